/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl advise: would a program gain from huge pages, and how many does it
 * need?
 *
 * A running one is looked at once.  One that is started here is looked at
 * whenever its memory has grown, and judged by when it would have gained most.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"
#include "kernel.h"
#include "process.h"
#include "say.h"
#include "show.h"
#include "subcommand.h"

enum { LOOK_MS = 20 };

/* What the library populates at once (HUGESHIM_POPULATE_MAX). */
#define POPULATE_MAX ((uint64_t)64 << 20)
/* Less is not worth anybody's time. */
#define WORTHWHILE ((uint64_t)16 << 20)

struct finding {
	struct process process;
	uint64_t huge_page;
	uint64_t huge_bytes; /* on huge pages now */
	uint64_t heap_bytes; /* base pages of [heap] and small mappings */
	uint64_t map_bytes;  /* base pages of mappings of a huge page or more */
	uint64_t map_pages;  /* huge pages that these would take */
	uint64_t other_bytes; /* base pages that stay: program, stacks */
	uint64_t faults;
	bool has_library;
	struct counters counters;
};

/* What the library would take over: see hugectl(8). */
static bool is_candidate(const struct mapping *m)
{
	return m->prot[0] == 'r' && m->prot[1] == 'w' && m->prot[2] == '-' &&
	       m->prot[3] == 'p' &&
	       (*m->name == '\0' || !strcmp(m->name, "[heap]") ||
		!strncmp(m->name, "[anon:", 6));
}

static bool judge(const struct mapping *m, void *arg)
{
	struct finding *f = arg;
	uint64_t base = m->anon - m->anon_thp, size = m->to - m->from;
	uint64_t pages = size / f->huge_page;

	f->huge_bytes += m->anon_thp + m->hugetlb;
	if (!is_candidate(m)) {
		f->other_bytes += base;
	} else if (pages == 0 || !strcmp(m->name, "[heap]")) {
		f->heap_bytes += base;
	} else {
		f->map_bytes += base;
		if (size > POPULATE_MAX)
			pages = (base + f->huge_page - 1) / f->huge_page;
		f->map_pages += base != 0 ? pages : 0;
	}
	return true;
}

/* 0 or -errno. */
static int look(pid_t pid, struct finding *f)
{
	int err = process_read(pid, &f->process);

	f->huge_page = kernel_default_page();
	if (f->huge_page == 0)
		f->huge_page = kernel_thp_page();
	f->huge_bytes = f->heap_bytes = f->map_bytes = 0;
	f->map_pages = f->other_bytes = 0;
	f->faults = f->process.minor_faults;
	return err ? err : process_mappings(pid, judge, f);
}

static uint64_t gain(const struct finding *f)
{
	return f->heap_bytes + f->map_bytes;
}

static uint64_t pages_needed(const struct finding *f)
{
	return (f->heap_bytes + f->huge_page - 1) / f->huge_page + f->map_pages;
}

/* --- what to do ---------------------------------------------------------- */

static void advise_pool(FILE *out, const struct finding *f, uint64_t pages)
{
	struct pool pools[KERNEL_POOLS_MAX];
	unsigned i, nr = kernel_pools(-1, pools);
	char page[SHOW_BYTES_MAX];
	long left;

	for (i = 0; i < nr && pools[i].page_bytes != f->huge_page; i++)
		;
	if (i == nr) {
		fprintf(out, "This kernel has no pool: hugectl --thp\n");
		return;
	}
	/* One process gets at most 95 % of the pool by default. */
	pages += pages / 16 + 1;
	left = pools[i].free - pools[i].reserved;
	show_page(f->huge_page, page);
	if (left >= (long)pages)
		fprintf(out,
			"The pool has %ld free pages of %s, which is enough: "
			"hugectl COMMAND\n",
			left, page);
	else
		fprintf(out,
			"The pool has %ld free pages of %s; make it %ld:\n"
			"  hugectl setup --pages=%ld\n"
			"or use transparent huge pages: hugectl --thp "
			"COMMAND\n",
			left, page, pools[i].total - left + (long)pages,
			pools[i].total - left + (long)pages);
}

static void advise_counters(FILE *out, const struct finding *f)
{
	const struct counters *c = &f->counters;

	if (counters_get(c, "pool_empty"))
		fprintf(out,
			"The library found no free huge page %llu times: the "
			"pool is too small.\n",
			(unsigned long long)counters_get(c, "pool_empty"));
	if (counters_get(c, "limit"))
		fprintf(out, "It reached its own limit: --limit.\n");
	if (counters_get(c, "seccomp"))
		fprintf(out, "A seccomp filter keeps it from huge pages: "
			     "HUGESHIM_SECCOMP in libhugeshim(7).\n");
	if (counters_get(c, "rlimit"))
		fprintf(out, "RLIMIT_AS, RLIMIT_DATA or mlockall keeps it from "
			     "huge pages.\n");
	if (counters_get(c, "map_count"))
		fprintf(out, "It has too many mappings: raise "
			     "vm.max_map_count.\n");
	if (counters_get(c, "overcommit"))
		fprintf(out, "vm.overcommit_memory=2 keeps its mappings from "
			     "huge pages.\n");
}

static void print_row(FILE *out, const char *what, uint64_t bytes)
{
	char text[SHOW_BYTES_MAX];

	fprintf(out, "  %-44s%12s\n", what, show_bytes(bytes, text));
}

static void advise(FILE *out, const struct finding *f)
{
	uint64_t pages = pages_needed(f), saved = gain(f);
	uint64_t base = saved / (uint64_t)sysconf(_SC_PAGESIZE);

	fprintf(out, "%s, PID %d%s\n", f->process.name, f->process.pid,
		f->has_library ? ", under the library" : "");
	print_row(out, "on huge pages", f->huge_bytes);
	print_row(out, "on base pages, heap and small mappings", f->heap_bytes);
	print_row(out, "on base pages, mappings of a huge page or more",
		  f->map_bytes);
	print_row(out, "on base pages, which the library leaves there",
		  f->other_bytes);
	fprintf(out, "  %-44s%12llu\n", "page faults so far",
		(unsigned long long)f->faults);
	if (f->has_library)
		advise_counters(out, f);
	if (saved < WORTHWHILE) {
		fprintf(out, "Nothing to gain: less than 16 MiB could move to "
			     "huge pages.\n");
		return;
	}
	fprintf(out,
		"%llu base pages could be %llu huge ones, with as many fewer "
		"page faults and TLB entries.\n",
		(unsigned long long)base, (unsigned long long)pages);
	advise_pool(out, f, pages);
}

/* --- a command ----------------------------------------------------------- */

/* Returns when it runs, or when it does not and ends with the status that says
 * so: a pipe that exec closes tells. */
static pid_t start(char **argv, bool *runs)
{
	char failed;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		fail("advise: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		fail("advise: %s", strerror(errno));
	if (pid == 0) {
		execvp(argv[0], argv);
		failed = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_INVOKE;
		say("%s: %s", argv[0], strerror(errno));
		_exit(write(ends[1], &failed, 1) == 1 ? failed : STATUS_OWN);
	}
	close(ends[1]);
	*runs = read(ends[0], &failed, 1) == 0;
	close(ends[0]);
	return pid;
}

/* The moment at which it had most to gain. */
static void watch(pid_t pid, struct finding *best)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { pidfd, POLLIN, 0 };
	static struct finding now;
	struct process process;
	uint64_t seen = 0;

	if (pidfd < 0)
		fail("advise: pidfd_open: %s", strerror(errno));
	while (poll(&end, 1, LOOK_MS) <= 0) {
		if (process_read(pid, &process) ||
		    process.anon_bytes <= seen + seen / 16)
			continue;
		if (look(pid, &now) == 0 && gain(&now) >= gain(best)) {
			now.has_library = !counters_read(pid, &now.counters);
			*best = now;
			seen = process.anon_bytes;
		}
	}
	close(pidfd);
}

/* Its output is its own, so the advice goes to standard error. */
static int run(char **argv)
{
	static struct finding best;
	struct rusage usage;
	int status;
	bool runs;
	pid_t pid = start(argv, &runs);

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if (runs)
		watch(pid, &best);
	if (wait4(pid, &status, 0, &usage) < 0)
		fail("advise: %s", strerror(errno));
	if (best.process.pid != 0) {
		best.faults = (uint64_t)usage.ru_minflt;
		advise(stderr, &best);
	} else if (runs) {
		say("advise: %s has ended before it could be looked at",
		    argv[0]);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int look_at(const char *text)
{
	static struct finding found;
	pid_t pid = process_must(text, &found.process);
	int err = look(pid, &found);

	if (err)
		fail("advise: %d: %s", pid, strerror(-err));
	found.has_library = !counters_read(pid, &found.counters);
	advise(stdout, &found);
	return end_output();
}

static void print_help(void)
{
	printf("Usage: hugectl advise PID\n"
	       "       hugectl advise [--] COMMAND [ARGUMENT]...\n"
	       "Say how much of a process's memory could be on huge pages, and "
	       "how many that\ntakes.  A COMMAND is run; the advice follows on "
	       "standard error.\n\n"
	       "  --help  this text\n");
}

int advise_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option = getopt_long(argc, argv, "+h", options, NULL);

	if (option == 'h') {
		print_help();
		return end_output();
	}
	if (option != -1)
		return STATUS_OWN;
	if (optind == argc)
		fail("advise: on what? see hugectl advise --help");
	if (optind + 1 == argc && strcmp(argv[optind - 1], "--") != 0 &&
	    strspn(argv[optind], "0123456789") == strlen(argv[optind]))
		return look_at(argv[optind]);
	return run(argv + optind);
}
