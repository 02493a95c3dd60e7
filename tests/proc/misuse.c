// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a program does wrong with its blocks is seen, or at least does no harm:
 * {double, invalid, interior, wrong-size free; realloc of freed} x {same
 * thread, other thread, after reuse, large, after fork}, each trial in a child
 * of its own.
 *
 * An immediate double free always gives exactly one line and SIGABRT.  Every
 * kind does so in at least 99 of 100 trials, and every cell in 96: a large
 * block that a fork child allocates has whole units of 64 KiB, and cannot tell
 * two sizes apart that take as many.  Where misuse is not seen, two live blocks
 * never overlap.  Seeded; HS_TEST_TRIALS changes the number for each cell (400:
 * 10 000 in all).
 */
#include "tests/lib/hs_test.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

enum kind { DOUBLE, INVALID, INTERIOR, WRONG_SIZE, REALLOC_FREED, NR_KINDS };
enum when { SAME, OTHER, REUSE, LARGE, FORK, NR_WHENS };

static const char *const kind_names[] = { "double", "invalid", "interior",
					  "wrong size", "realloc of freed" };
static const char *const when_names[] = { "same thread", "other thread",
					  "after reuse", "large",
					  "after fork" };

/* How a child that was not stopped leaves. */
enum { UNSEEN = 10, OVERLAP = 11, NO_MEMORY = 12 };

#define NR_LIVE 64

struct trial {
	struct hs_t_rng rng;
	enum when when;
	size_t size;
	char *p;
};

static void (*free_sized_fn)(void *, size_t);
static void (*sdallocx_fn)(void *, size_t, int);
static size_t (*nallocx_fn)(size_t, int);

/* What the parent had before it forked. */
static char *inherited_live[NR_LIVE], *inherited_freed[NR_LIVE];
static size_t inherited_size[NR_LIVE];
static char static_bytes[4096];

/* --- blocks ------------------------------------------------------------- */

static size_t small_size(struct hs_t_rng *rng)
{
	return 1 + (hs_t_next(rng) >> (48 + hs_t_below(rng, 13)));
}

static size_t large_size(struct hs_t_rng *rng)
{
	return 131072 + hs_t_below(rng, (size_t)1 << (17 + hs_t_below(rng, 9)));
}

static void *in_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	void *result = NULL;

	if (pthread_create(&thread, NULL, run, arg) ||
	    pthread_join(thread, &result))
		_exit(NO_MEMORY);
	return result;
}

/* Not a tail call, which would return to libc: libc's own blocks have room for
 * more than one size. */
static void *thread_malloc(void *arg)
{
	void *volatile p = malloc((size_t)arg);

	return p;
}

static void *thread_free(void *arg)
{
	free(arg);
	return NULL;
}

/* The block of the trial, live. */
static char *take(struct trial *t)
{
	size_t i;

	t->size = t->when == LARGE ? large_size(&t->rng) : small_size(&t->rng);
	if (t->when == FORK) {
		i = hs_t_below(&t->rng, NR_LIVE);
		t->size = inherited_size[i];
		t->p = inherited_live[i];
	} else if (t->when == OTHER) {
		t->p = in_thread(thread_malloc, (void *)t->size);
	} else {
		t->p = malloc(t->size);
	}
	if (t->when == REUSE) {
		free(t->p);
		t->p = malloc(t->size);
	}
	if (!t->p)
		_exit(NO_MEMORY);
	return t->p;
}

static char *live[NR_LIVE];
static size_t live_size[NR_LIVE];

static void allocate_live(struct trial *t)
{
	size_t i;

	for (i = 0; i < NR_LIVE; i++) {
		/* Some of the same size: likely to get the same place. */
		live_size[i] = i % 4 ? small_size(&t->rng) : t->size;
		live[i] = malloc(live_size[i]);
		if (!live[i])
			_exit(NO_MEMORY);
	}
}

static void free_live(void)
{
	size_t i;

	for (i = 0; i < NR_LIVE; i++)
		free(live[i]);
}

/* The block of the trial, freed: the pointer is stale. */
static char *take_freed(struct trial *t)
{
	if (t->when == FORK && hs_t_below(&t->rng, 2)) {
		t->size = 100;
		t->p = inherited_freed[hs_t_below(&t->rng, NR_LIVE)];
		return t->p;
	}
	take(t);
	if (t->when == OTHER && hs_t_below(&t->rng, 2))
		in_thread(thread_free, t->p);
	else
		free(t->p);
	if (t->when == REUSE)
		allocate_live(t);
	return t->p;
}

/* --- what goes wrong ---------------------------------------------------- */

static void do_double(struct trial *t)
{
	free(take_freed(t));
	/* A stale pointer that names another's block frees that: seen when its
	 * owner frees it. */
	if (t->when == REUSE)
		free_live();
}

static void do_invalid(struct trial *t)
{
	char *p = take(t), *on_stack[16];
	size_t usable = malloc_usable_size(p), at = hs_t_below(&t->rng, 8);

	memset(on_stack, 0, sizeof(on_stack));
	switch (at) {
	case 0: /* not aligned, in the next block */
		p += usable + 1 + hs_t_below(&t->rng, 15);
		break;
	case 1: /* anywhere near */
		p += hs_t_below(&t->rng, 1 << 22) | 1;
		break;
	case 2:
		p = (char *)&on_stack[hs_t_below(&t->rng, 8) * 2];
		break;
	case 3:
		p = static_bytes + hs_t_below(&t->rng, 4000);
		break;
	case 4:
		p = (char *)(uintptr_t)(1 + hs_t_below(&t->rng, 60000));
		break;
	case 5:
		p = (char *)do_invalid + hs_t_below(&t->rng, 64);
		break;
	case 6: /* not a user's address at all */
		p = (char *)(UINTPTR_MAX - hs_t_below(&t->rng, 1 << 20));
		break;
	default:
		p = (char *)kind_names[hs_t_below(&t->rng, NR_KINDS)];
		break;
	}
	free(p);
}

static void do_interior(struct trial *t)
{
	char *p = take(t);
	size_t usable = malloc_usable_size(p);
	size_t off = 1 + hs_t_below(&t->rng, usable - 1);

	/* Half of them as aligned as a block. */
	if (hs_t_below(&t->rng, 2) && usable > 16)
		off = 16 * (1 + hs_t_below(&t->rng, (usable - 1) / 16));
	free(p + off);
}

static void do_wrong_size(struct trial *t)
{
	char *p = take(t);
	size_t right = nallocx_fn(t->size, 0), wrong;

	do
		wrong = hs_t_below(&t->rng, 2) ? small_size(&t->rng) :
						 large_size(&t->rng);
	while (nallocx_fn(wrong, 0) == right);
	if (hs_t_below(&t->rng, 2))
		free_sized_fn(p, wrong);
	else
		sdallocx_fn(p, wrong, 0);
}

static void do_realloc_freed(struct trial *t)
{
	char *p = take_freed(t);
	size_t size = hs_t_below(&t->rng, 3) ? small_size(&t->rng) : t->size;
	char *q = realloc(p, size);

	if (t->when == REUSE) {
		free(q);
		free_live();
	}
}

static void (*const misuses[NR_KINDS])(struct trial *) = {
	do_double, do_invalid, do_interior, do_wrong_size, do_realloc_freed,
};

/* Nobody stopped us: the heap must at least still keep blocks apart. */
static int blocks_are_apart(struct trial *t)
{
	static char *block[400];
	static size_t size[400];
	size_t i;

	for (i = 0; i < 400; i++) {
		size[i] = i % 3 ? t->size : small_size(&t->rng);
		if (size[i] > 1 << 20)
			size[i] = 1 << 20;
		block[i] = malloc(size[i]);
		if (!block[i])
			return NO_MEMORY;
		hs_t_fill(block[i], size[i], i);
	}
	for (i = 0; i < 400; i++)
		if (hs_t_verify(block[i], size[i], i) >= 0)
			return OVERLAP;
	return UNSEEN;
}

/* --- trials ------------------------------------------------------------- */

static int output[2];

/* 1 seen, 0 unseen; anything else ends the test. */
static int outcome(pid_t pid, const char *cell, uint64_t seed)
{
	char text[4096];
	int status = hs_t_wait(pid), lines = 0;
	ssize_t n = read(output[0], text, sizeof(text) - 1), i;

	text[n > 0 ? n : 0] = '\0';
	for (i = 0; i < n; i++)
		lines += text[i] == '\n';
	HS_T_CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) == OVERLAP),
		   "%s: two live blocks overlap, seed %llu", cell,
		   (unsigned long long)seed);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && lines == 1 &&
	    !strncmp(text, "libhugeshim: ", 13))
		return 1;
	if (getenv("HS_TEST_VERBOSE"))
		fprintf(stderr, "%s: seed %llu: %s: %s\n", cell,
			(unsigned long long)seed, hs_t_status(status), text);
	return 0;
}

static int trial(enum kind kind, enum when when, uint64_t seed)
{
	struct trial t = { .rng = { seed }, .when = when };
	char cell[64];
	pid_t pid = fork();

	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		dup2(output[1], 2);
		misuses[kind](&t);
		_exit(blocks_are_apart(&t));
	}
	snprintf(cell, sizeof(cell), "%s, %s", kind_names[kind],
		 when_names[when]);
	return outcome(pid, cell, seed);
}

static void prepare(uint64_t seed)
{
	struct hs_t_rng rng = { seed };
	size_t i;

	for (i = 0; i < NR_LIVE; i++) {
		free(inherited_live[i]);
		inherited_size[i] = i % 8 ? small_size(&rng) : large_size(&rng);
		inherited_live[i] = malloc(inherited_size[i]);
		inherited_freed[i] = malloc(i % 8 ? small_size(&rng) :
						    large_size(&rng));
	}
	for (i = 0; i < NR_LIVE; i++)
		free(inherited_freed[i]);
}

/* Of the library, not of libc: bare glibc has none of them. */
static void find_functions(void)
{
	free_sized_fn = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT,
							"free_sized");
	sdallocx_fn = (void (*)(void *, size_t, int))dlsym(RTLD_DEFAULT,
							   "sdallocx");
	nallocx_fn = (size_t(*)(size_t, int))dlsym(RTLD_DEFAULT, "nallocx");
	HS_T_CHECK(free_sized_fn && sdallocx_fn && nallocx_fn);
}

/* One cell; returns how many of @nr were seen. */
static int run_cell(enum kind kind, enum when when, int nr, uint64_t *seed)
{
	int seen = 0, i;

	for (i = 0; i < nr; i++, (*seed)++) {
		if (i % 50 == 0)
			prepare(*seed);
		seen += trial(kind, when, *seed);
	}
	printf("%-17s %-13s %d of %d\n", kind_names[kind], when_names[when],
	       seen, nr);
	return seen;
}

static int inner(void)
{
	static const struct rlimit no_core = { 0, 0 };
	const char *text = getenv("HS_TEST_TRIALS");
	int nr = text ? atoi(text) : 400, bad = 0, kind, when, seen, of_kind;
	uint64_t seed = hs_t_seed(46);

	find_functions();
	setrlimit(RLIMIT_CORE, &no_core);
	HS_T_CHECK(pipe(output) == 0);
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	for (kind = 0; kind < NR_KINDS; kind++) {
		of_kind = 0;
		for (when = 0; when < NR_WHENS; when++) {
			bool always = kind == DOUBLE && when != REUSE;

			seen = run_cell(kind, when, nr, &seed);
			of_kind += seen;
			if (seen < nr && (always || seen * 100 < nr * 96))
				bad = 1;
		}
		if (of_kind * 100 < nr * NR_WHENS * 99)
			bad = 1;
	}
	return bad;
}

int main(int argc, char **argv)
{
	char *again[] = { (char *)"/proc/self/exe", (char *)"inner", NULL };
	int status;

	(void)argv;
	if (argc > 1)
		return inner();
	/* Who uses the pool has its lock: tests/proc/malloc_huge.sh. */
	setenv("HUGESHIM_BACKING", "thp", 0);
	status = hs_t_run(again, NULL, true);
	HS_T_CHECK(status == 0, "%s", hs_t_status(status));
	return 0;
}
