// SPDX-License-Identifier: GPL-2.0
/*
 * What normal pages cost.  Under QEMU's -icount with shift=0 the time stamp
 * counter counts instructions.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "guest.h"

#define PAGES 4096
#define LENGTH (PAGES * BASE)
#define RW (PROT_READ | PROT_WRITE)

static long now(void)
{
	return (long)__rdtsc();
}

static char *map(void)
{
	char *p = mmap(NULL, LENGTH, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	madvise(p, LENGTH, MADV_NOHUGEPAGE);
	return p;
}

static void touch(char *p)
{
	for (size_t i = 0; i < LENGTH; i += BASE)
		p[i] = 1;
}

/* Each returns what one round took; the unit is in the table below. */
static long bench_fault(void)
{
	char *p = map();
	long start = now();

	touch(p);
	start = now() - start;
	munmap(p, LENGTH);
	return start;
}

static long bench_munmap(void)
{
	char *p = map();
	long start;

	touch(p);
	start = now();
	munmap(p, LENGTH);
	return now() - start;
}

static long bench_mprotect(void)
{
	char *p = map();
	long start;

	touch(p);
	start = now();
	mprotect(p, LENGTH, PROT_READ);
	mprotect(p, LENGTH, RW);
	start = now() - start;
	munmap(p, LENGTH);
	return start;
}

static long bench_fork(void)
{
	char *p = map();
	long start;
	pid_t pid;

	touch(p);
	start = now();
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	start = now() - start;
	munmap(p, LENGTH);
	return start;
}

static long bench_cow(void)
{
	char *p = map();
	long start;
	pid_t pid;
	int fds[2];

	touch(p);
	if (pipe(fds))
		abort();
	pid = fork();
	if (!pid) {
		char byte;

		_exit(read(fds[0], &byte, 1) != 1);
	}
	start = now();
	touch(p);
	start = now() - start;
	if (write(fds[1], "x", 1) != 1)
		abort();
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	munmap(p, LENGTH);
	return start;
}

static long bench_mremap(void)
{
	char *p = map(), *to = map();
	long start;

	touch(p);
	start = now();
	/* Not by a whole table: entry by entry. */
	p = mremap(p + BASE, LENGTH - BASE, LENGTH - BASE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, to);
	start = now() - start;
	munmap(to, LENGTH);
	munmap(p, LENGTH);
	return start;
}

static long bench_mlock(void)
{
	char *p = map();
	long start = now();

	mlock(p, LENGTH);
	start = now() - start;
	munmap(p, LENGTH);
	return start;
}

static long bench_mincore(void)
{
	static unsigned char there[PAGES];
	char *p = map();
	long start;

	touch(p);
	start = now();
	mincore(p, LENGTH, there);
	start = now() - start;
	munmap(p, LENGTH);
	return start;
}

static const struct {
	const char *name;
	long (*round)(void);
} benches[] = {
	{ "fault", bench_fault },
	{ "munmap", bench_munmap },
	{ "mprotect", bench_mprotect },
	{ "fork+exit", bench_fork },
	{ "cow", bench_cow },
	{ "mremap", bench_mremap },
	{ "mlock", bench_mlock },
	{ "mincore", bench_mincore },
};

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

#define ROUNDS 21

/* The median: a timer's interrupt falls into some rounds and not others. */
int main(void)
{
	long size = 0;
	FILE *f;

	for (size_t i = 0; i < ARRAY_SIZE(benches); i++) {
		long taken[ROUNDS];

		benches[i].round();
		for (int j = 0; j < ROUNDS; j++)
			taken[j] = benches[i].round();
		qsort(taken, ROUNDS, sizeof(*taken), compare);
		printf("count %s %ld\n", benches[i].name, taken[ROUNDS / 2]);
	}
	f = fopen("/sys/kernel/slab/vm_area_struct/object_size", "r");
	if (f && fscanf(f, "%ld", &size) == 1)
		printf("count vma-size %ld\n", size);
	return size == 0;
}
