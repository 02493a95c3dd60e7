/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl top: processes by memory and page size, live.
 *
 * What is shown of each costs it nothing but a walk of its page tables, and
 * only those on the screen are walked.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "kernel.h"
#include "process.h"
#include "say.h"
#include "show.h"
#include "subcommand.h"

enum { DELAY_MS = 2000, BATCH_ROWS = 20, HEAD_ROWS = 4, FAULTS_MAX = 4096 };

struct view {
	long delay_ms;
	long count; /* -1: until q */
	bool batch;
	unsigned rows, columns;
	/* For rates: what each process had the last time. */
	struct {
		pid_t pid;
		uint64_t faults;
	} last[FAULTS_MAX];
	unsigned nr_last;
	struct timespec when;
	double seconds; /* since then; 0: the first time */
};

/* Below, the library's counters are left out. */
enum { WIDE = 104, FIXED_COLUMNS = 69, COUNTER_COLUMNS = 25 };

static bool is_wide(const struct view *view)
{
	return view->columns >= WIDE;
}

static struct termios saved;
static bool is_saved;
static volatile sig_atomic_t ended;

static void note_end(int sig)
{
	ended = sig;
}

static void note_resize(int sig)
{
	(void)sig; /* ends the wait */
}

/* The screen of its own, without a cursor; keys come one by one. */
static void screen_begin(void)
{
	struct sigaction end = { .sa_handler = note_end };
	struct sigaction resize = { .sa_handler = note_resize };
	struct termios raw;

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	if (tcgetattr(STDIN_FILENO, &saved) == 0) {
		is_saved = true;
		raw = saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
}

static void screen_end(void)
{
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (is_saved)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static void measure(struct view *view)
{
	struct winsize size;

	view->rows = BATCH_ROWS;
	view->columns = UINT_MAX;
	if (view->batch || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return;
	view->columns = size.ws_col > 20 ? size.ws_col : 80;
	view->rows =
		size.ws_row > HEAD_ROWS + 1 ? size.ws_row - HEAD_ROWS - 1 : 1;
}

static uint64_t weight(const struct process *process)
{
	return process->hugetlb_bytes + process->anon_bytes;
}

static int by_weight(const void *a, const void *b)
{
	uint64_t x = weight(a), y = weight(b);

	return (x < y) - (x > y);
}

static void print_pool_line(const char *end)
{
	struct pool pools[KERNEL_POOLS_MAX];
	unsigned i, nr = kernel_pools(-1, pools);
	char page[SHOW_BYTES_MAX], bytes[SHOW_BYTES_MAX];

	printf("%sPool%s", show_colour(SHOW_BOLD), show_colour(SHOW_PLAIN));
	for (i = 0; i < nr; i++)
		if (pools[i].total > 0 || i == 0)
			printf("  %s: %ld pages, %ld free, %ld reserved",
			       show_page(pools[i].page_bytes, page),
			       pools[i].total, pools[i].free,
			       pools[i].reserved);
	printf("   THP %s", show_bytes(kernel_meminfo("AnonHugePages"), bytes));
	printf("   available %s%s",
	       show_bytes(kernel_meminfo("MemAvailable"), bytes), end);
}

static uint64_t last_faults(const struct view *view, pid_t pid, uint64_t now)
{
	unsigned i;

	for (i = 0; i < view->nr_last; i++)
		if (view->last[i].pid == pid)
			return view->last[i].faults;
	return now;
}

static void print_faults(const struct view *view, const struct process *process)
{
	uint64_t last = last_faults(view, process->pid, process->minor_faults);

	if (view->seconds <= 0)
		printf("%9s", "-");
	else
		printf("%9.0f",
		       (double)(process->minor_faults - last) / view->seconds);
}

static void print_bytes(uint64_t bytes, enum show_colour colour)
{
	char text[SHOW_BYTES_MAX];

	if (bytes == 0)
		colour = SHOW_DIM;
	printf("%s%11s%s", show_colour(colour), show_bytes(bytes, text),
	       show_colour(SHOW_PLAIN));
}

static void print_counts(pid_t pid)
{
	static struct counters counters;

	if (counters_read(pid, &counters)) {
		printf("%9s%8s%8s", "", "", "");
		return;
	}
	printf("%9llu%8llu%8llu",
	       (unsigned long long)counters_fallbacks(&counters),
	       (unsigned long long)counters_rescues(&counters),
	       (unsigned long long)counters_cow(&counters));
}

static void print_process(const struct view *view,
			  const struct process *process)
{
	struct usage usage;
	int room = (int)(view->columns > 200 ? 200 : view->columns) -
		   FIXED_COLUMNS - (is_wide(view) ? COUNTER_COLUMNS : 0);

	printf("%8d %-9.9s", process->pid, process_user(process->uid));
	if (process_usage_quick(process->pid, &usage) == 0) {
		print_bytes(usage.hugetlb_bytes, SHOW_HUGE);
		print_bytes(usage.thp_bytes, SHOW_THP);
		print_bytes(usage.base_anon_bytes, SHOW_BASE);
		printf("%6.1f%%", show_percent(process_huge(&usage),
					       process_whole(&usage)));
	} else {
		print_bytes(process->hugetlb_bytes, SHOW_HUGE);
		printf("%11s", "?");
		print_bytes(process->anon_bytes, SHOW_BASE);
		printf("%7s", "");
	}
	if (is_wide(view))
		print_counts(process->pid);
	print_faults(view, process);
	printf("  %.*s", room > 0 ? room : 0, process->name);
}

static void remember(struct view *view, const struct process *all, unsigned nr)
{
	unsigned i;

	view->nr_last = nr < FAULTS_MAX ? nr : FAULTS_MAX;
	for (i = 0; i < view->nr_last; i++) {
		view->last[i].pid = all[i].pid;
		view->last[i].faults = all[i].minor_faults;
	}
}

static void keep_time(struct view *view)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	view->seconds = 0;
	if (view->when.tv_sec != 0)
		view->seconds =
			(double)(now.tv_sec - view->when.tv_sec) +
			(double)(now.tv_nsec - view->when.tv_nsec) / 1e9;
	view->when = now;
}

static void print_heading(const struct view *view, const char *end)
{
	printf("%s%8s %-9s%11s%11s%11s%7s", show_colour(SHOW_BOLD), "PID",
	       "USER", "HUGETLB", "THP", "BASE", "HUGE");
	if (is_wide(view))
		printf("%9s%8s%8s", "FALLBACK", "RESCUE", "COW");
	printf("%9s  %s%s%s", "FAULTS/s", "PROGRAM", show_colour(SHOW_PLAIN),
	       end);
}

static void print_screen(struct view *view)
{
	const char *end = view->batch ? "\n" : "\033[K\n";
	unsigned nr, i;
	struct process *all = process_all(&nr);

	keep_time(view);
	qsort(all, nr, sizeof(*all), by_weight);
	measure(view);
	if (!view->batch)
		fputs("\033[H", stdout);
	print_pool_line(end);
	print_heading(view, end);
	/* Kernel threads have no memory. */
	for (i = 0; i < nr && i < view->rows && weight(&all[i]) != 0; i++) {
		print_process(view, &all[i]);
		fputs(end, stdout);
	}
	if (!view->batch)
		printf("%sq quits, any other key looks again%s\033[J",
		       show_colour(SHOW_DIM), show_colour(SHOW_PLAIN));
	remember(view, all, nr);
	free(all);
	fflush(stdout);
}

/* False: that was all. */
static bool wait_for_more(const struct view *view)
{
	struct pollfd keys = { STDIN_FILENO, POLLIN, 0 };
	char key = 0;
	int n = poll(&keys, view->batch ? 0 : 1, (int)view->delay_ms);

	if (n > 0 && read(STDIN_FILENO, &key, 1) <= 0)
		return false;
	return !ended && key != 'q' && key != 'Q' && key != 3; /* ^C */
}

static void run_top(struct view *view)
{
	if (!view->batch)
		screen_begin();
	for (;;) {
		print_screen(view);
		if (ferror(stdout) || (view->count > 0 && --view->count == 0) ||
		    !wait_for_more(view))
			break;
		if (view->batch)
			putchar('\n');
	}
	if (!view->batch)
		screen_end();
}

static long parse_count(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 1 || value > 1000000)
		fail("top: --count: '%.40s' is not a number from 1", text);
	return value;
}

static long parse_delay(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0.1 && value <= 3600))
		fail("top: --delay: '%.40s' is not a number of seconds from "
		     "0.1 to 3600",
		     text);
	return (long)(value * 1000);
}

static void print_help(void)
{
	printf("Usage: hugectl top [OPTION]...\n"
	       "Show the processes with most memory by page size, live.\n\n"
	       "  -d, --delay=SECONDS  between two looks (2)\n"
	       "  -n, --count=N        so many looks, then end\n"
	       "  -b, --batch          as text, without a terminal\n"
	       "  --help               this text\n");
}

int top_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ "batch", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct view view = { .delay_ms = DELAY_MS, .count = -1 };
	int option;

	while ((option = getopt_long(argc, argv, "d:n:bh", options, NULL)) !=
	       -1) {
		switch (option) {
		case 'd':
			view.delay_ms = parse_delay(optarg);
			break;
		case 'n':
			view.count = parse_count(optarg);
			break;
		case 'b':
			view.batch = true;
			break;
		case 'h':
			print_help();
			return end_output();
		default:
			return STATUS_OWN;
		}
	}
	if (optind < argc)
		fail("top: '%s' is not an option", argv[optind]);
	if (!view.batch && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
		fail("top: not on a terminal; see --batch");
	run_top(&view);
	return end_output();
}
