/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hugectl stat: one process's memory by page size, and what the library did. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "process.h"
#include "say.h"
#include "show.h"
#include "subcommand.h"

struct report {
	struct process process;
	struct usage usage;
	struct counters counters;
	int usage_error, counters_error; /* 0: they hold */
};

static void read_report(const char *text, struct report *report)
{
	pid_t pid = process_must(text, &report->process);

	report->usage_error = process_usage(pid, &report->usage);
	report->counters_error = counters_read(pid, &report->counters);
	if (!report->counters_error)
		counters_touched(&report->counters,
				 report->process.hugetlb_bytes);
	if (report->usage_error == -ESRCH)
		fail("%d: no such process", pid);
}

/* --- text ---------------------------------------------------------------- */

static void print_row(const char *what, enum show_colour colour, uint64_t bytes,
		      uint64_t whole)
{
	char text[SHOW_BYTES_MAX];

	printf("  %s%-36s%s%12s", show_colour(colour), what,
	       show_colour(SHOW_PLAIN), show_bytes(bytes, text));
	if (whole != 0)
		printf("%8.1f %%", show_percent(bytes, whole));
	putchar('\n');
}

static void print_usage(const struct usage *usage)
{
	uint64_t whole = process_whole(usage);
	char what[48], page[SHOW_BYTES_MAX];
	unsigned i;

	for (i = 0; i < usage->nr_sizes; i++) {
		snprintf(what, sizeof(what), "huge pages of %s (hugetlb)",
			 show_page(usage->hugetlb[i].page_bytes, page));
		print_row(what,
			  usage->hugetlb[i].page_bytes >= 1 << 30 ? SHOW_GIANT
								  : SHOW_HUGE,
			  usage->hugetlb[i].bytes, whole);
	}
	print_row("transparent huge pages", SHOW_THP, usage->thp_bytes, whole);
	print_row("base pages", SHOW_BASE, usage->base_anon_bytes, whole);
	print_row("files and shared memory", SHOW_PLAIN,
		  usage->base_file_bytes + usage->thp_file_bytes, 0);
	if (usage->swap_bytes != 0)
		print_row("swapped out", SHOW_WARN, usage->swap_bytes, 0);
	printf("  %s%-36s%20.1f %%%s\n", show_colour(SHOW_BOLD),
	       "of its own memory on huge pages",
	       show_percent(process_huge(usage), whole),
	       show_colour(SHOW_PLAIN));
}

static const char *meaning(const char *name)
{
	const char *text = counters_text(name);

	return text != NULL ? text : name;
}

static void print_counters(const struct counters *counters)
{
	char now[SHOW_BYTES_MAX], peak[SHOW_BYTES_MAX];
	const struct counter *c;
	bool any = false;

	printf("\n%s%-38s%12s%12s%s\n", show_colour(SHOW_DIM),
	       "As the library counts", "now", "at most",
	       show_colour(SHOW_PLAIN));
	for (c = counters->gauge; c < counters->gauge + counters->nr_gauges;
	     c++)
		if (c->peak != 0)
			printf("  %-36s%12s%12s\n", meaning(c->name),
			       show_bytes(c->value, now),
			       show_bytes(c->peak, peak));
	for (c = counters->counter;
	     c < counters->counter + counters->nr_counters; c++) {
		if (c->value == 0)
			continue;
		if (!any)
			printf("\n%sWhat happened%s\n", show_colour(SHOW_DIM),
			       show_colour(SHOW_PLAIN));
		any = true;
		printf("  %-36s%12llu\n", meaning(c->name),
		       (unsigned long long)c->value);
	}
}

static const char *why_none(int error)
{
	switch (error) {
	case -ENOENT:
		return "not under the library";
	case -EPROTO:
		return "its library is of another version";
	case -EPERM:
	case -EACCES:
		return "its counters may not be read (ptrace(2) says when)";
	default:
		return "its counters cannot be read";
	}
}

static void print_report(const struct report *report)
{
	const struct process *process = &report->process;

	printf("%s%s%s, PID %d, user %s, %s\n", show_colour(SHOW_BOLD),
	       process->name, show_colour(SHOW_PLAIN), process->pid,
	       process_user(process->uid),
	       report->counters_error ? why_none(report->counters_error)
				      : report->counters.library);
	if (report->usage_error) {
		print_row("huge pages (hugetlb)", SHOW_HUGE,
			  process->hugetlb_bytes, 0);
		print_row("all other memory", SHOW_PLAIN, process->rss_bytes,
			  0);
	} else {
		print_usage(&report->usage);
	}
	printf("  %-36s%12llu\n", "minor page faults",
	       (unsigned long long)process->minor_faults);
	if (!report->counters_error)
		print_counters(&report->counters);
}

/* --- JSON ---------------------------------------------------------------- */

static void json_field(const char *name, uint64_t value)
{
	printf(",\"%s\":%llu", name, (unsigned long long)value);
}

static void json_usage(const struct usage *usage)
{
	unsigned i;

	printf(",\"pages\":{\"hugetlb\":{");
	for (i = 0; i < usage->nr_sizes; i++)
		printf("%s\"%llu\":%llu", i ? "," : "",
		       (unsigned long long)usage->hugetlb[i].page_bytes,
		       (unsigned long long)usage->hugetlb[i].bytes);
	printf("}");
	json_field("thp_bytes", usage->thp_bytes);
	json_field("base_bytes", usage->base_anon_bytes);
	json_field("file_bytes", usage->base_file_bytes);
	json_field("file_thp_bytes", usage->thp_file_bytes);
	json_field("swap_bytes", usage->swap_bytes);
	json_field("mappings", usage->nr_mappings);
	printf(",\"coverage\":%.4f}",
	       show_percent(process_huge(usage), process_whole(usage)) / 100);
}

static void json_counters(const struct counters *counters)
{
	unsigned i;

	printf(",\"memory\":{");
	for (i = 0; i < counters->nr_gauges; i++)
		printf("%s\"%s\":{\"now\":%llu,\"peak\":%llu}", i ? "," : "",
		       counters->gauge[i].name,
		       (unsigned long long)counters->gauge[i].value,
		       (unsigned long long)counters->gauge[i].peak);
	printf("},\"events\":{");
	for (i = 0; i < counters->nr_counters; i++)
		printf("%s\"%s\":%llu", i ? "," : "", counters->counter[i].name,
		       (unsigned long long)counters->counter[i].value);
	printf("}");
}

static void print_json(const struct report *report)
{
	const struct process *process = &report->process;

	printf("{\"pid\":%d,\"uid\":%u,\"program\":", process->pid,
	       process->uid);
	show_json_text(stdout, process->name);
	printf(",\"library\":");
	if (report->counters_error)
		printf("null");
	else
		show_json_text(stdout, report->counters.library);
	json_field("rss_bytes", process->rss_bytes);
	json_field("hugetlb_bytes", process->hugetlb_bytes);
	json_field("minor_faults", process->minor_faults);
	if (report->usage_error)
		printf(",\"pages\":null");
	else
		json_usage(&report->usage);
	if (report->counters_error)
		printf(",\"memory\":null,\"events\":null");
	else
		json_counters(&report->counters);
	printf("}\n");
}

static void print_help(void)
{
	printf("Usage: hugectl stat [--json] PID...\n"
	       "Show a process's memory by page size and, of one under "
	       "libhugeshim, its counters.\n\n"
	       "  --json  one JSON object a line\n"
	       "  --help  this text\n");
}

int stat_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct report report;
	bool json = false;
	int option, i;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return end_output();
		}
		if (option != 'j')
			return STATUS_OWN;
		json = true;
	}
	if (optind == argc)
		fail("stat: of which process? see hugectl stat --help");
	/* Nothing half done: all are looked at before any is shown. */
	for (i = optind; i < argc; i++)
		process_must(argv[i], &report.process);
	for (i = optind; i < argc; i++) {
		read_report(argv[i], &report);
		if (i > optind && !json)
			putchar('\n');
		if (json)
			print_json(&report);
		else
			print_report(&report);
	}
	return end_output();
}
