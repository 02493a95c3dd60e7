/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inject.c - run a plain program under the failing library, once for each
 * call, error and occurrence, and judge how it ended.
 *
 *   inject [-t SECONDS] [-j WORKERS] [-a] [-p K/N] [-v] PROGRAM ARG
 *
 * A first run counts the calls of each member of the sys table.  Then, for
 * each errno of the call's manual page: the call fails once, at each
 * occurrence; and it fails for ever, from each occurrence on.  Where that is
 * more than fits the time (-t, default 40 s; -a: no limit), the cases come in
 * a random order, from HS_TEST_SEED, and the output says how many were run.
 * -p: only the Kth of N parts, for runs that must be short.  -v: say which
 * case ended otherwise than without a fault.
 *
 * Right is, when a call fails once, what there is without a fault: exit status
 * 0, and no allocation gave NULL; a program that calls mmap itself is told of
 * the refusal, as by the kernel.  When it fails for ever, too, but for three:
 *
 *   mmap     all memory comes by it.  malloc gives NULL; a page that must be
 *            copied and cannot be ends the program by SIGBUS, and a read(2)
 *            into it by EFAULT, as the kernel does with base pages when it has
 *            none left; neither without a line of the library.
 *   mprotect a page of a mapping cannot be kept from being written while it is
 *            copied: a fault that no huge page is there for ends the program by
 *            SIGBUS, after a line.  (A page of the heap is moved aside for it;
 *            beside a mapping, somebody else might map something there.)
 *   madvise  a page cannot be kept from a child: a read(2) that is under way
 *            there during the fork may fail with EFAULT, after a line.
 *
 * Environment: HS_TEST_FAULT_LIB, the library.
 */
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/fault/errors.h"
#include "tests/fault/sys_fault.h"
#include "tests/lib/hs_test.h"

#define HANG_MS 5000
/* Of program.c. */
#define NO_MEMORY 3
#define BAD_READ 4

/* How a program can end. */
enum outcome {
	RIGHT,
	WITHOUT,        /* right, but an allocation gave NULL */
	NO_MEMORY_LEFT, /* it said that it cannot go on without one */
	READ_FAILED,    /* a read(2) into memory that could not be had */
	READ_AT_RISK,   /* one that was under way over a fork */
	KILLED,         /* by a fault on such memory */
	WRONG,
	NR_OUTCOMES
};

static const char *const outcome_text[] = {
	[RIGHT] = "right",
	[WITHOUT] = "with NULL",
	[NO_MEMORY_LEFT] = "out of memory",
	[READ_FAILED] = "read failed",
	[READ_AT_RISK] = "read failed over a fork",
	[KILLED] = "killed",
	[WRONG] = "wrong",
};

struct fault_case {
	char rule[64];
	const char *member;
	bool forever;
	uint64_t draw; /* its place in the random order */
};

static struct fault_case *cases;
static size_t nr_cases;
static char **program;
static bool verbose;
static unsigned part, nr_parts = 1;
static char counts_path[] = "/tmp/hugeshim-counts-XXXXXX";

/* --- one run ------------------------------------------------------------- */

static void exec_program(const char *rule, const char *counts, int output)
{
	const char *lib = getenv("HS_TEST_FAULT_LIB");

	setpgid(0, 0);
	dup2(output, 1);
	dup2(output, 2);
	if (rule)
		setenv("HS_FAULT", rule, 1);
	if (counts)
		setenv("HS_FAULT_COUNTS", counts, 1);
	setenv("LD_PRELOAD", lib, 1);
	execv(program[0], program);
	_exit(127);
}

/* Children whose parent was killed before them: until they are reaped, they may
 * hold pages of the pool, which the caller counts.  Under a filter that knows
 * no prctl they are init's. */
static void adopt_orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void reap_orphans(pid_t group)
{
	kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0 || errno == EINTR)
		;
}

/* The wait status; with a hang, -1, and all of it killed. */
static int run(const char *rule, const char *counts, int output)
{
	struct pollfd p = { .events = POLLIN };
	int ready;
	pid_t pid;

	adopt_orphans();
	fflush(NULL);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		exec_program(rule, counts, output);
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	HS_T_CHECK(p.fd >= 0);
	do
		ready = poll(&p, 1, HANG_MS);
	while (ready < 0 && errno == EINTR);
	close(p.fd);
	if (ready == 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	ready = ready ? hs_t_wait(pid) : (hs_t_wait(pid), -1);
	reap_orphans(pid);
	return ready;
}

static bool has_line(int output, const char *text)
{
	static char buf[1 << 16];
	ssize_t n = pread(output, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return strstr(buf, text) != NULL;
}

/* What it says before it lets a program have its fault, or its EFAULT. */
#define NO_PAGE "libhugeshim: no memory for the page at "
#define AT_RISK "libhugeshim: fork: the page at "

static enum outcome outcome_of(int status, int output)
{
	if (status == -1)
		return WRONG;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGBUS && has_line(output, NO_PAGE)
			       ? KILLED
			       : WRONG;
	switch (WEXITSTATUS(status)) {
	case 0:
		return has_line(output, "gave NULL") ? WITHOUT : RIGHT;
	case NO_MEMORY:
		return NO_MEMORY_LEFT;
	case BAD_READ:
		if (has_line(output, AT_RISK))
			return READ_AT_RISK;
		return has_line(output, NO_PAGE) ? READ_FAILED : WRONG;
	}
	return WRONG;
}

/* The call that was refused may have been the program's own. */
static bool maps_itself(void)
{
	return strcmp(program[1], "maps") == 0;
}

static bool is_allowed(const struct fault_case *c, enum outcome outcome)
{
	switch (outcome) {
	case RIGHT:
		return true;
	case NO_MEMORY_LEFT:
		if (maps_itself() && fault_brings_memory(c->member))
			return true;
		/* fallthrough */
	case WITHOUT:
	case READ_FAILED:
		return c->forever && fault_brings_memory(c->member);
	case KILLED:
		return c->forever &&
		       (fault_brings_memory(c->member) ||
			(maps_itself() && strcmp(c->member, "mprotect") == 0));
	case READ_AT_RISK:
		return c->forever && fault_shares_pages(c->member);
	case WRONG:
	case NR_OUTCOMES:
		break;
	}
	return false;
}

static void show(int output)
{
	char buf[2000];
	ssize_t n = pread(output, buf, sizeof(buf), 0);

	if (n > 0)
		fprintf(stderr, "%.*s", (int)n, buf);
}

/* A machine that is busy may stop a program for long: a hang is one twice. */
static enum outcome try_case(const struct fault_case *c, int output)
{
	enum outcome outcome = WRONG;
	int status = -1;

	for (int i = 0; i < 2 && status == -1; i++) {
		HS_T_CHECK(ftruncate(output, 0) == 0);
		lseek(output, 0, SEEK_SET);
		status = run(c->rule, NULL, output);
		outcome = outcome_of(status, output);
	}
	if (is_allowed(c, outcome)) {
		if (verbose && outcome != RIGHT)
			printf("HS_FAULT=%s: %s\n", c->rule,
			       outcome_text[outcome]);
		return outcome;
	}
	fprintf(stderr, "FAIL: HS_FAULT=%s: %s\n", c->rule,
		status == -1 ? "hung for 5 s" : hs_t_status(status));
	show(output);
	return WRONG;
}

/* --- all cases ----------------------------------------------------------- */

/* By the text, as the number of calls differs a little from run to run. */
static unsigned part_of(const char *rule)
{
	uint32_t hash = 2166136261;

	for (; *rule; rule++)
		hash = (hash ^ (unsigned char)*rule) * 16777619;
	return (hash >> 8) % nr_parts;
}

static void add_case(const char *member, const char *name, bool forever,
		     uint64_t nth)
{
	struct fault_case *c;

	cases = realloc(cases, (nr_cases + 1) * sizeof(*cases));
	HS_T_CHECK(cases);
	c = &cases[nr_cases++];
	snprintf(c->rule, sizeof(c->rule), "%s:%s:%s:%llu", member, name,
		 forever ? "from" : "once", (unsigned long long)nth);
	c->member = member;
	c->forever = forever;
	if (part_of(c->rule) != part)
		nr_cases--;
}

static void add_errors(const struct fault_errors *e, uint64_t nr_calls)
{
	char names[256];
	char *rest = NULL;
	char *name;

	snprintf(names, sizeof(names), "%s", e->names);
	for (name = strtok_r(names, " ", &rest); name;
	     name = strtok_r(NULL, " ", &rest)) {
		HS_T_CHECK(hs_fault_error(name), "%s", name);
		for (uint64_t n = 1; n <= nr_calls; n++) {
			add_case(e->member, name, false, n);
			add_case(e->member, name, true, n);
		}
	}
}

static struct hs_fault_counts *map_counts(void)
{
	int fd = mkstemp(counts_path);
	void *p;

	HS_T_CHECK(fd >= 0 && ftruncate(fd, HS_FAULT_FILE_BYTES) == 0);
	p = mmap(NULL, HS_FAULT_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	HS_T_CHECK(p != MAP_FAILED);
	close(fd);
	return p;
}

/* Without a fault the program is right; what it calls makes the cases. */
static void count_calls(int output)
{
	struct hs_fault_counts *counts = map_counts();
	int status = run(NULL, counts_path, output);

	unlink(counts_path);
	if (status != 0)
		show(output);
	HS_T_CHECK(status == 0, "no fault: %s", hs_t_status(status));
	HS_T_CHECK(atomic_load(&counts->calls[HS_FAULT_mmap]) > 0,
		   "the library was not loaded");
	for (size_t i = 0; i < FAULT_NR_ERRORS; i++) {
		int member = hs_fault_member(fault_errors[i].member);
		uint64_t nr;

		HS_T_CHECK(member >= 0, "%s", fault_errors[i].member);
		nr = atomic_load(&counts->calls[member]);
		if (nr)
			printf("%s%s %llu", nr_cases ? ", " : "calls: ",
			       fault_errors[i].member, (unsigned long long)nr);
		add_errors(&fault_errors[i], nr);
	}
	printf("\n");
	munmap(counts, HS_FAULT_FILE_BYTES);
}

static int by_draw(const void *a, const void *b)
{
	uint64_t x = ((const struct fault_case *)a)->draw;
	uint64_t y = ((const struct fault_case *)b)->draw;

	return x < y ? -1 : x > y;
}

/* Those that fail for ever may end slowly: for one of them, three that fail
 * once, until these are through. */
static void order(uint64_t seed)
{
	struct hs_t_rng rng = { seed };

	for (size_t i = 0; i < nr_cases; i++)
		cases[i].draw =
			(hs_t_next(&rng) >> 2) * (cases[i].forever ? 3 : 1);
	qsort(cases, nr_cases, sizeof(*cases), by_draw);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int make_output(void)
{
	int fd = (int)syscall(SYS_memfd_create, "output", 0);

	HS_T_CHECK(fd >= 0);
	return fd;
}

/* How many ended how; once, for ever. */
struct tally {
	unsigned nr[2][NR_OUTCOMES];
};

/* Every @nr th case from @first; how they ended goes to @fd. */
static void work(size_t first, size_t nr, double until, int fd)
{
	struct tally tally = { 0 };
	int output = make_output();

	for (size_t i = first; i < nr_cases && now_s() < until; i += nr)
		tally.nr[cases[i].forever][try_case(&cases[i], output)]++;
	fflush(NULL);
	_exit(write(fd, &tally, sizeof(tally)) == sizeof(tally) ? 0 : 1);
}

static void print_tally(const struct tally *tally, bool forever)
{
	unsigned possible = 0, sum = 0;

	for (size_t i = 0; i < nr_cases; i++)
		possible += cases[i].forever == forever;
	for (int k = 0; k < NR_OUTCOMES; k++)
		sum += tally->nr[forever][k];
	printf("%s: %s, %u of %u:", program[1], forever ? "for ever" : "once",
	       sum, possible);
	for (int k = 0; k < NR_OUTCOMES; k++)
		if (tally->nr[forever][k])
			printf(" %u %s", tally->nr[forever][k],
			       outcome_text[k]);
	printf("\n");
}

/* How many were wrong. */
static unsigned run_cases(unsigned nr_workers, double until)
{
	struct tally sum = { 0 };
	struct tally one;
	int fd[2];

	HS_T_CHECK(pipe(fd) == 0);
	fflush(NULL);
	for (unsigned i = 0; i < nr_workers; i++)
		if (fork() == 0)
			work(i, nr_workers, until, fd[1]);
	for (unsigned i = 0; i < nr_workers; i++) {
		int status;

		HS_T_CHECK(wait(&status) > 0 && status == 0, "a worker");
		HS_T_CHECK(read(fd[0], &one, sizeof(one)) == sizeof(one));
		for (int k = 0; k < 2 * NR_OUTCOMES; k++)
			sum.nr[k / NR_OUTCOMES][k % NR_OUTCOMES] +=
				one.nr[k / NR_OUTCOMES][k % NR_OUTCOMES];
	}
	print_tally(&sum, false);
	print_tally(&sum, true);
	return sum.nr[0][WRONG] + sum.nr[1][WRONG];
}

int main(int argc, char **argv)
{
	unsigned nr_workers = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	double seconds = 40;
	int opt;

	while ((opt = getopt(argc, argv, "+t:j:ap:v")) != -1) {
		if (opt == 't')
			seconds = atof(optarg);
		else if (opt == 'j')
			nr_workers = (unsigned)atoi(optarg);
		else if (opt == 'a')
			seconds = 1e9;
		else if (opt == 'v')
			verbose = true;
		else if (opt != 'p' ||
			 sscanf(optarg, "%u/%u", &part, &nr_parts) != 2 ||
			 part-- == 0 || part >= nr_parts)
			return 2;
	}
	program = argv + optind;
	HS_T_CHECK(argc - optind == 2 && getenv("HS_TEST_FAULT_LIB"),
		   "usage: inject [-t SECONDS] [-j WORKERS] [-a] [-p K/N] [-v] "
		   "PROGRAM ARG");
	unsetenv("HS_FAULT");
	count_calls(make_output());
	order(hs_t_seed((uint64_t)now_s()));
	return run_cases(nr_workers, now_s() + seconds) ? 1 : 0;
}
