/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shortage_heap - a heap exerciser that is run bare and under the library in
 * surroundings that are short of something, and must come to the same end.
 *
 * It allocates in every way and size, fills every byte from a seed, verifies
 * every byte before it frees or reallocates, and prints one line:
 *
 *   result ops=N failed=N obtained=BYTES huge=BYTES live=BYTES
 *
 * failed: allocations that returned NULL; obtained: what --greedy got before
 * the first failure; huge: HugetlbPages at the peak (-1: no /proc); live:
 * bytes asked for and alive at that point.
 *
 * Exit status: 0; 2 a wrong byte; 3 calloc was not zero; 4 a child died or saw
 * a wrong byte; 5 an action was refused; 6 usage; 7 no thread, no child.
 */
#include "tests/lib/hs_test.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "seccomp_filter.h"

#define BLOCKS 2048
#define MAX_THREADS 16
#define MAX_ACTIONS 8

struct block {
	unsigned char *p;
	size_t len;
	uint64_t seed;
};

struct worker {
	struct block blocks[BLOCKS];
	struct hs_t_rng rng;
	size_t cap;
	size_t live;
	unsigned long nr_ops;
	unsigned long failed;
};

static struct {
	unsigned long ops;
	size_t live_bytes;
	size_t greedy_block; /* 0: no greedy phase */
	unsigned threads;
	bool do_fork;
	bool no_status; /* do not read /proc: a filter would kill for it */
	uint64_t seed;
	const char *start[MAX_ACTIONS];
	const char *middle[MAX_ACTIONS];
} opt = { .ops = 6000, .live_bytes = 96 << 20, .threads = 1, .seed = 1 };

/* Not from the heap under test. */
static struct worker workers[MAX_THREADS];

/* One write(2): dprintf calls lseek, which no filter here allows. */
static void __attribute__((format(printf, 2, 3)))
say(int fd, const char *format, ...)
{
	char text[256];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (write(fd, text, (size_t)len) != len)
		_exit(1);
}

static void die(int status, const char *what)
{
	say(2, "shortage_heap: %s\n", what);
	_exit(status);
}

/* --- blocks ------------------------------------------------------------- */

static size_t pick_size(struct hs_t_rng *rng)
{
	unsigned kind = (unsigned)hs_t_below(rng, 100);

	if (kind < 50)
		return 1 + hs_t_below(rng, 512);
	if (kind < 75)
		return 512 + hs_t_below(rng, 16 << 10);
	if (kind < 90)
		return (16 << 10) + hs_t_below(rng, 240 << 10);
	if (kind < 98)
		return (256 << 10) + hs_t_below(rng, 3840 << 10);
	return (4 << 20) + hs_t_below(rng, 20 << 20);
}

static void verify(const struct block *b, size_t len)
{
	if (hs_t_verify(b->p, len, b->seed) >= 0)
		die(2, "wrong byte");
}

static bool all_zero(const unsigned char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void *allocate(struct hs_t_rng *rng, size_t len)
{
	void *p = NULL;

	switch (hs_t_below(rng, 5)) {
	case 0:
		p = calloc(1, len);
		if (p && !all_zero(p, len))
			die(3, "calloc gave memory that is not zero");
		return p;
	case 1:
		return posix_memalign(&p, 64, len) ? NULL : p;
	default:
		return malloc(len);
	}
}

static void drop(struct worker *w, struct block *b)
{
	verify(b, b->len);
	free(b->p);
	w->live -= b->len;
	b->p = NULL;
}

static void make_room(struct worker *w, size_t len)
{
	while (w->live && w->live + len > w->cap) {
		struct block *b = &w->blocks[hs_t_below(&w->rng, BLOCKS)];

		if (b->p)
			drop(w, b);
	}
}

static void fill(struct worker *w, struct block *b)
{
	b->seed = hs_t_next(&w->rng);
	hs_t_fill(b->p, b->len, b->seed);
}

static void op_allocate(struct worker *w, struct block *b)
{
	size_t len = pick_size(&w->rng);

	make_room(w, len);
	b->p = allocate(&w->rng, len);
	if (!b->p) {
		w->failed++;
		return;
	}
	b->len = len;
	w->live += len;
	fill(w, b);
}

static void op_realloc(struct worker *w, struct block *b)
{
	size_t len = pick_size(&w->rng);
	unsigned char *p = realloc(b->p, len);

	if (!p) {
		w->failed++;
		return;
	}
	b->p = p;
	verify(b, len < b->len ? len & ~(size_t)7 : b->len);
	w->live += len - b->len;
	b->len = len;
	fill(w, b);
}

static void run_ops(struct worker *w, unsigned long n)
{
	for (; n; n--) {
		struct block *b = &w->blocks[hs_t_below(&w->rng, BLOCKS)];
		unsigned kind = (unsigned)hs_t_below(&w->rng, 8);

		w->nr_ops++;
		if (!b->p)
			op_allocate(w, b);
		else if (kind < 4)
			drop(w, b);
		else if (kind < 7)
			op_realloc(w, b);
		else
			verify(b, b->len);
	}
}

static void verify_all(struct worker *w, bool rewrite)
{
	for (size_t i = 0; i < BLOCKS; i++) {
		if (!w->blocks[i].p)
			continue;
		verify(&w->blocks[i], w->blocks[i].len);
		if (rewrite)
			fill(w, &w->blocks[i]);
	}
}

static void drop_all(struct worker *w)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (w->blocks[i].p)
			drop(w, &w->blocks[i]);
}

/* --- until no more is to be had ----------------------------------------- */

static size_t greedy(size_t block_bytes)
{
	/* A chain through the blocks themselves: nothing else is needed. */
	struct link {
		struct link *next;
		size_t len;
	} *head = NULL, *l;
	struct hs_t_rng rng = { opt.seed };
	size_t got = 0;

	for (;;) {
		size_t len = block_bytes / 2 + hs_t_below(&rng, block_bytes);

		l = malloc(len);
		if (!l)
			break;
		hs_t_fill(l + 1, len - sizeof(*l), len);
		l->next = head;
		l->len = len;
		head = l;
		got += len;
	}
	while ((l = head)) {
		if (hs_t_verify(l + 1, l->len - sizeof(*l), l->len) >= 0)
			die(2, "wrong byte in a block of the greedy phase");
		head = l->next;
		free(l);
	}
	return got;
}

/* --- what the program does to itself ------------------------------------ */

static void limit(int resource, const char *value)
{
	struct rlimit r;

	if (getrlimit(resource, &r) != 0)
		die(5, "getrlimit");
	r.rlim_cur = strtoull(value, NULL, 0);
	if (setrlimit(resource, &r) != 0)
		die(5, "setrlimit");
}

static void lock_all(const char *how)
{
	int flags = strcmp(how, "current") == 0  ? MCL_CURRENT
		    : strcmp(how, "future") == 0 ? MCL_FUTURE
		    : strcmp(how, "onfault") == 0
			    ? MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT
			    : MCL_CURRENT | MCL_FUTURE;
	int ret = mlockall(flags);

	/* Whether it is allowed is compared, too. */
	say(1, "mlockall %s: %s\n", how, ret ? strerror(errno) : "done");
}

static void act(const char *action)
{
	const char *value = strchr(action, '=');

	value = value ? value + 1 : "";
	if (strncmp(action, "as=", 3) == 0)
		limit(RLIMIT_AS, value);
	else if (strncmp(action, "data=", 5) == 0)
		limit(RLIMIT_DATA, value);
	else if (strncmp(action, "memlock=", 8) == 0)
		limit(RLIMIT_MEMLOCK, value);
	else if (strncmp(action, "mlockall=", 9) == 0)
		lock_all(value);
	else if (strcmp(action, "thp-off") == 0)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	else if (strncmp(action, "seccomp=", 8) == 0)
		filter_install(value);
	else
		die(6, "unknown action");
}

static void act_all(const char *const *actions)
{
	for (size_t i = 0; i < MAX_ACTIONS && actions[i]; i++)
		act(actions[i]);
}

/* --- threads and a child ------------------------------------------------ */

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	run_ops(w, opt.ops / opt.threads / 2);
	return NULL;
}

static void run_threads(void)
{
	pthread_t id[MAX_THREADS];

	for (unsigned t = 1; t < opt.threads; t++)
		if (pthread_create(&id[t], NULL, thread_main, &workers[t]))
			die(7, "pthread_create");
	thread_main(&workers[0]);
	for (unsigned t = 1; t < opt.threads; t++)
		pthread_join(id[t], NULL);
}

static pid_t fork_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die(7, "fork");
	if (pid > 0)
		return pid;
	for (unsigned t = 0; t < opt.threads; t++)
		verify_all(&workers[t], true);
	run_ops(&workers[0], opt.ops / 4);
	for (unsigned t = 0; t < opt.threads; t++)
		drop_all(&workers[t]);
	_exit(0);
}

static void await_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die(4, "waitpid");
	if (status != 0)
		die(4, hs_t_status(status));
}

static int run(void)
{
	unsigned long nr_ops = 0, failed = 0;
	size_t live = 0, got = 0;
	long long huge;
	pid_t pid = 0;

	act_all(opt.start);
	for (unsigned t = 0; t < opt.threads; t++) {
		workers[t].rng.state = opt.seed * 1000 + t;
		workers[t].cap = opt.live_bytes / opt.threads;
	}
	run_threads();
	act_all(opt.middle);
	if (opt.do_fork)
		pid = fork_child();
	run_threads();
	for (unsigned t = 0; t < opt.threads; t++)
		verify_all(&workers[t], true);
	if (pid)
		await_child(pid);
	huge = opt.no_status ? -1 : hs_t_hugetlb_bytes(0);
	for (unsigned t = 0; t < opt.threads; t++) {
		live += workers[t].live;
		nr_ops += workers[t].nr_ops;
		failed += workers[t].failed;
		drop_all(&workers[t]);
	}
	if (opt.greedy_block)
		got = greedy(opt.greedy_block);
	say(1, "result ops=%lu failed=%lu obtained=%zu huge=%lld live=%zu\n",
	    nr_ops, failed, got, huge, live);
	return 0;
}

static void add_action(const char **list, const char *action)
{
	for (size_t i = 0; i < MAX_ACTIONS; i++)
		if (!list[i]) {
			list[i] = action;
			return;
		}
	die(6, "too many actions");
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "0";

		if (strcmp(argv[i], "--fork") == 0) {
			opt.do_fork = true;
			continue;
		}
		if (strcmp(argv[i], "--no-status") == 0) {
			opt.no_status = true;
			continue;
		}
		i++;
		if (strcmp(argv[i - 1], "--ops") == 0)
			opt.ops = strtoul(value, NULL, 0);
		else if (strcmp(argv[i - 1], "--mib") == 0)
			opt.live_bytes = strtoull(value, NULL, 0) << 20;
		else if (strcmp(argv[i - 1], "--greedy") == 0)
			opt.greedy_block = strtoull(value, NULL, 0);
		else if (strcmp(argv[i - 1], "--threads") == 0)
			opt.threads = (unsigned)strtoul(value, NULL, 0);
		else if (strcmp(argv[i - 1], "--seed") == 0)
			opt.seed = strtoull(value, NULL, 0);
		else if (strcmp(argv[i - 1], "--start") == 0)
			add_action(opt.start, value);
		else if (strcmp(argv[i - 1], "--middle") == 0)
			add_action(opt.middle, value);
		else
			die(6, "unknown option");
	}
	if (opt.threads < 1 || opt.threads > MAX_THREADS)
		die(6, "--threads 1..16");
	return run();
}
