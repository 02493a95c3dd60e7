/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.c - what calls on mappings cost: run by hand, bare and under the library.
 *
 *   vm [sparse|move|calls]...
 *
 * sparse: mmap and munmap of 64 GiB, MAP_NORESERVE; at most 1 ms is wanted.
 * move: mremap of 1 GiB to another place; at most 2 us a huge page.
 * calls: mmap, touch, mprotect, madvise and munmap at random by four threads;
 * at least 10 000 calls a second.
 *
 * The pool has to have 600 free pages.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define SLOT (2 * MIB)
#define ROUNDS 9
#define THREADS 4
#define CALLS 20000
#define AREAS 16
#define AREA_PAGES 2048

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static char *map(size_t len, int more_flags)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | more_flags, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

static void sparse(void)
{
	double map_us[ROUNDS], unmap_us[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double start = now_us();
		char *p = map(64 * GIB, MAP_NORESERVE);

		map_us[i] = now_us() - start;
		p[GIB] = 1;
		start = now_us();
		munmap(p, 64 * GIB);
		unmap_us[i] = now_us() - start;
	}
	printf("mmap 64 GiB: first %.0f us, ", map_us[0]);
	printf("median %.0f us; munmap %.0f us\n", median(map_us),
	       median(unmap_us));
}

static void move(void)
{
	double us[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		char *p = map(GIB, 0), *q = map(GIB + SLOT, MAP_NORESERVE);
		char *to = (char *)(((uintptr_t)q + SLOT - 1) & -SLOT);
		double start;

		for (size_t o = 0; o < GIB; o += SLOT)
			p[o] = 1;
		start = now_us();
		p = mremap(p, GIB, GIB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		us[i] = now_us() - start;
		if (p == MAP_FAILED || p[GIB - SLOT] != 1) {
			puts("mremap failed");
			exit(1);
		}
		munmap(q, GIB + SLOT);
	}
	printf("mremap 1 GiB: %.2f us a huge page\n",
	       median(us) / (GIB / SLOT));
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *random_calls(void *arg)
{
	uint64_t rnd = (uintptr_t)arg + 88172645463325252u;
	char *areas[AREAS] = { NULL };

	for (int i = 0; i < CALLS; i++) {
		uint64_t r = next(&rnd);
		char **area = &areas[r % AREAS], *p;
		size_t page = r / 64 % AREA_PAGES;
		size_t nr = 1 + r / 131072 % (AREA_PAGES - page);

		if (!*area)
			*area = map(AREA_PAGES * 4096, MAP_NORESERVE);
		p = *area + page * 4096;
		if (r >> 60 < 8) {
			mprotect(*area, AREA_PAGES * 4096,
				 PROT_READ | PROT_WRITE);
			*p = 1;
		} else if (r >> 60 < 10) {
			mprotect(p, nr * 4096, PROT_READ);
		} else if (r >> 60 < 14) {
			madvise(p, nr * 4096, MADV_DONTNEED);
		} else {
			munmap(*area, AREA_PAGES * 4096);
			*area = NULL;
		}
	}
	for (int i = 0; i < AREAS; i++)
		if (areas[i])
			munmap(areas[i], AREA_PAGES * 4096);
	return NULL;
}

static void calls(void)
{
	pthread_t threads[THREADS];
	double start = now_us();

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, random_calls, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("random calls, %d threads: %.0f a second\n", THREADS,
	       THREADS * CALLS / (now_us() - start) * 1e6);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {
		{ "sparse", sparse },
		{ "move", move },
		{ "calls", calls },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int asked = argc < 2;

		for (int arg = 1; arg < argc; arg++)
			asked |= strcmp(argv[arg], all[i].name) == 0;
		if (asked)
			all[i].run();
	}
	return 0;
}
