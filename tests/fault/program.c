/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program.c - plain programs for fault injection: they use malloc, check every
 * byte they ever wrote, and live with NULL.
 *
 *   program heap      sizes from 24 bytes to 13 MiB, realloc, calloc, memalign
 *   program threads   threads that free each other's blocks, and children
 *                     that go on with what they find
 *   program fork      parent, child and grandchild rewrite everything, with
 *                     whatever the pool had left taken away before
 *   program calls     forks while a thread is in read(2)
 *   program maps      mappings cut, protected, emptied, moved (program_maps.c)
 *
 * Exit status: 0 all bytes right, 1 a wrong byte, 3 no memory to go on with
 * (said so, as a program would that checks), 4 a read(2) failed.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/fault/program.h"

#define MIB ((size_t)1 << 20)

struct block {
	unsigned char *p;
	size_t len;
	uint64_t seed;
};

static unsigned nr_null;

void out_of_memory(const char *what)
{
	fprintf(stderr, "program: no memory for %s\n", what);
	_exit(NO_MEMORY);
}

static void fill(struct block *b, uint64_t seed)
{
	b->seed = seed;
	hs_t_fill(b->p, b->len, seed);
}

static void check_first(const struct block *b, size_t len)
{
	if (b->p && hs_t_verify(b->p, len, b->seed) >= 0) {
		fprintf(stderr, "program: wrong byte in %zu at %p\n", b->len,
			(void *)b->p);
		_exit(WRONG_BYTE);
	}
}

static void check(const struct block *b)
{
	check_first(b, b->len);
}

static bool have(struct block *b, void *p, size_t len)
{
	b->p = p;
	b->len = p ? len : 0;
	if (!p)
		nr_null++;
	return p != NULL;
}

static void drop(struct block *b)
{
	check(b);
	free(b->p);
	b->p = NULL;
	b->len = 0;
}

static int worse(int a, int b)
{
	if (a == WRONG_BYTE || b == WRONG_BYTE)
		return WRONG_BYTE;
	return a > b ? a : b;
}

int child_status(pid_t pid)
{
	int status = hs_t_wait(pid);

	if (WIFSIGNALED(status)) {
		fprintf(stderr, "program: child: %s\n", hs_t_status(status));
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}

/* --- heap ---------------------------------------------------------------- */

#define NR_BLOCKS 700

static struct block blocks[NR_BLOCKS];

static size_t size_of(size_t i)
{
	static const size_t sizes[] = { 24,    100,   700,    4000,
					20000, 70000, 150000, 300000 };

	if (i == 100)
		return 9 * MIB;
	if (i % 200 == 150)
		return 3 * MIB + i;
	return i % 16 == 0 ? sizes[4 + i / 16 % 4] + i : sizes[i % 4] + i;
}

static void take(size_t i)
{
	struct block *b = &blocks[i];
	size_t len = size_of(i);

	switch (i % 11) {
	case 3:
		if (have(b, memalign(i % 2 ? 4096 : 64, len), len))
			fill(b, i);
		break;
	case 7:
		if (!have(b, calloc(1, len), len))
			break;
		for (size_t o = 0; o < len; o++)
			if (b->p[o])
				_exit(WRONG_BYTE);
		fill(b, i);
		break;
	default:
		if (have(b, malloc(len), len))
			fill(b, i);
	}
}

static void resize(size_t i, size_t len)
{
	struct block *b = &blocks[i];
	void *p = realloc(b->p, len);

	if (!p) {
		nr_null++;
		return; /* the old one is as it was */
	}
	b->p = p;
	check_first(b, (len < b->len ? len : b->len) & ~(size_t)7);
	b->len = len;
	fill(b, i + 7777);
}

static int run_heap(void)
{
	for (size_t i = 0; i < NR_BLOCKS; i++)
		take(i);
	for (size_t i = 0; i < NR_BLOCKS; i += 3)
		drop(&blocks[i]);
	malloc_trim(0);
	for (size_t i = 1; i < NR_BLOCKS; i += 3)
		resize(i, size_of(i) / 2 + 8 + i % 5 * 1000);
	resize(100, 13 * MIB);
	resize(100, 1 * MIB);
	for (size_t i = 0; i < NR_BLOCKS; i += 3)
		take(i);
	for (size_t i = 0; i < NR_BLOCKS; i++)
		drop(&blocks[i]);
	malloc_trim(0);
	take(100);
	drop(&blocks[100]);
	return RIGHT;
}

/* --- threads ------------------------------------------------------------- */

#define NR_THREADS 4
#define NR_SWAPS 1500
#define NR_PLACES 64

static struct block *_Atomic places[NR_PLACES];

static void release_block(struct block *b)
{
	if (!b)
		return;
	check(b);
	free(b->p);
	free(b);
}

static struct block *make_block(struct hs_t_rng *rng)
{
	struct block *b = malloc(sizeof(*b));
	size_t len = hs_t_below(rng, 100) ? hs_t_below(rng, 3000) + 1
					  : hs_t_below(rng, 300000) + 1;

	if (!b)
		return NULL;
	b->p = malloc(len);
	b->len = len;
	if (!b->p) {
		free(b);
		return NULL;
	}
	fill(b, hs_t_next(rng));
	return b;
}

static void *swap_blocks(void *arg)
{
	struct hs_t_rng rng = { (uintptr_t)arg };

	for (int i = 0; i < NR_SWAPS; i++) {
		size_t place = hs_t_below(&rng, NR_PLACES);

		release_block(
			atomic_exchange(&places[place], make_block(&rng)));
	}
	return NULL;
}

/* In a child of a process whose threads are in the heap. */
static int live_on(void)
{
	for (size_t i = 0; i < 50; i++)
		take(i);
	for (size_t i = 0; i < 50; i++)
		drop(&blocks[i]);
	for (int i = 0; i < NR_PLACES; i++)
		release_block(atomic_exchange(&places[i], NULL));
	return RIGHT;
}

static int run_threads(void)
{
	pthread_t thread[NR_THREADS];
	int worst = RIGHT;

	for (uintptr_t i = 0; i < NR_THREADS; i++)
		if (pthread_create(&thread[i], NULL, swap_blocks,
				   (void *)(i + 1)) != 0)
			out_of_memory("a thread");
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(live_on());
		if (pid > 0)
			worst = worse(worst, child_status(pid));
	}
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < NR_PLACES; i++)
		release_block(atomic_exchange(&places[i], NULL));
	return worst;
}

/* --- fork ---------------------------------------------------------------- */

#define NR_FORK_BLOCKS 24

static void check_all(void)
{
	for (int i = 0; i < NR_FORK_BLOCKS; i++)
		check(&blocks[i]);
}

static void rewrite_all(uint64_t seed)
{
	for (int i = 0; i < NR_FORK_BLOCKS; i++)
		if (blocks[i].p)
			fill(&blocks[i], seed + (uint64_t)i);
	check_all();
}

/* What the pool has left: kept from the copies that follow.  Without pages of
 * the pool, what is there is another test's. */
static void drain_pool(void)
{
#ifdef MAP_HUGETLB
	size_t huge_bytes = hs_t_huge_bytes();

	if (getenv("HUGESHIM_BACKING"))
		return;
	while (huge_bytes && mmap(NULL, huge_bytes, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
				  0) != MAP_FAILED)
		;
#endif
}

/* The kernel writes where a copy has to be made. */
static void read_into_blocks(void)
{
	static const unsigned char text[512] = "from a pipe";
	int fd[2];

	if (pipe(fd) != 0)
		_exit(BAD_USE);
	for (int i = 0; i < NR_FORK_BLOCKS; i += 5) {
		struct block *b = &blocks[i];
		ssize_t n = (ssize_t)sizeof(text);

		if (!b->p)
			continue;
		if (write(fd[1], text, sizeof(text)) != n ||
		    read(fd[0], b->p + b->len / 2, sizeof(text)) != n)
			_exit(BAD_READ);
		if (memcmp(b->p + b->len / 2, text, sizeof(text)) != 0)
			_exit(WRONG_BYTE);
		hs_t_fill(b->p, b->len, b->seed);
	}
	close(fd[0]);
	close(fd[1]);
}

/* The worst status of this process and those below it. */
static int generation(int depth)
{
	pid_t pid;
	int status;

	if (depth == 0) {
		rewrite_all(1000);
		return RIGHT;
	}
	pid = fork();
	if (pid < 0)
		return NO_MEMORY;
	if (pid == 0) {
		check_all();
		read_into_blocks();
		rewrite_all((uint64_t)depth * 100);
		_exit(generation(depth - 1));
	}
	rewrite_all((uint64_t)depth * 100 + 50);
	read_into_blocks();
	status = child_status(pid);
	check_all();
	return status;
}

static int run_fork(void)
{
	int first;

	for (size_t i = 0; i < NR_FORK_BLOCKS; i++) {
		size_t len = i % 12 == 11 ? 3 * MIB : 200000 + i * 1000;

		if (have(&blocks[i], malloc(len), len))
			fill(&blocks[i], i);
	}
	drain_pool();
	first = generation(2);
	return worse(first, generation(1));
}

/* --- calls in flight ----------------------------------------------------- */

#define NR_LINES 60
#define LINE_BYTES 512

static int line_pipe[2];

static size_t middle(const struct block *b)
{
	return b->len / 2 & ~(size_t)7;
}

/* Every line comes into a block of its own, and stays there. */
static void *read_lines(void *unused)
{
	(void)unused;
	for (int i = 0; i < NR_LINES; i++) {
		struct block *b = &blocks[i % NR_FORK_BLOCKS];
		unsigned char *at = b->p + middle(b);

		if (read(line_pipe[0], at, LINE_BYTES) != LINE_BYTES)
			_exit(BAD_READ);
		if (hs_t_verify(at, LINE_BYTES, (uint64_t)i) >= 0)
			_exit(WRONG_BYTE);
		hs_t_fill(b->p, b->len, b->seed);
		check(b);
	}
	return NULL;
}

/* In a child: all but the middles, which the parent's thread may have been at
 * when it forked, and every page of it there to be written. */
static void check_unread(void)
{
	for (int i = 0; i < NR_FORK_BLOCKS; i++) {
		check_first(&blocks[i], middle(&blocks[i]));
		hs_t_fill(blocks[i].p, blocks[i].len, blocks[i].seed);
		check(&blocks[i]);
	}
}

static void write_line(int i)
{
	unsigned char line[LINE_BYTES];

	hs_t_fill(line, sizeof(line), (uint64_t)i);
	if (write(line_pipe[1], line, sizeof(line)) != LINE_BYTES)
		_exit(BAD_USE);
}

static int run_calls(void)
{
	pthread_t thread;
	int worst = RIGHT;

	for (size_t i = 0; i < NR_FORK_BLOCKS; i++) {
		size_t len = 250000 + i * 1000;

		if (!have(&blocks[i], malloc(len), len))
			out_of_memory("a block");
		fill(&blocks[i], i);
	}
	drain_pool();
	if (pipe(line_pipe) != 0 ||
	    pthread_create(&thread, NULL, read_lines, NULL) != 0)
		out_of_memory("a thread");
	for (int i = 0; i < NR_LINES; i++) {
		pid_t pid = i % 15 == 7 ? fork() : -1;

		if (pid == 0) {
			check_unread();
			_exit(RIGHT);
		}
		write_line(i);
		if (pid > 0)
			worst = worse(worst, child_status(pid));
	}
	pthread_join(thread, NULL);
	for (int i = 0; i < NR_FORK_BLOCKS; i++)
		drop(&blocks[i]);
	return worst;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	int status = BAD_USE;

	if (strcmp(what, "heap") == 0)
		status = run_heap();
	else if (strcmp(what, "threads") == 0)
		status = run_threads();
	else if (strcmp(what, "fork") == 0)
		status = run_fork();
	else if (strcmp(what, "calls") == 0)
		status = run_calls();
	else if (strcmp(what, "maps") == 0)
		status = run_maps();
	if (nr_null)
		fprintf(stderr, "program: %u allocations gave NULL\n", nr_null);
	return status;
}
