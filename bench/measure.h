/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.h - what the benchmark programs share.
 *
 * A program has named workloads and runs one of them: PROGRAM NAME [SCALE].
 * SCALE (1) multiplies the amount of work and of memory, to try things out.  It
 * prints a line a phase, "phase NAME WALL_SECONDS CPU_SECONDS", then "peak
 * RSS_KIB HUGETLB_KIB" and "check NUMBER"; the number is the same with every
 * allocator.  Random numbers are splitmix64's with fixed seeds.
 *
 * Not thread-safe but for random numbers, touch() and need().
 */
#ifndef HS_BENCH_MEASURE_H
#define HS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GIB (1ul << 30)
#define MIB (1ul << 20)

struct workload {
	const char *name; /* NULL ends a list */
	void (*run)(void);
};

struct moment {
	double wall_s;
	double cpu_s;
};

extern double scale;
extern uint64_t check;

/* The main function of a program.  Returns its exit status. */
int run_named(const struct workload *list, int argc, char **argv);

struct moment now(void);
/* Print a phase that began at @start, and look at the memory. */
void phase_end(const char *name, struct moment start);
/* The kernel keeps no peak of HugetlbPages: look at it now. */
void look_at_memory(void);
/* Now held: base pages and huge pages. */
long resident_kib(void);

/* @n times the scale, at least 1. */
size_t scaled(double n);
/* @p, which must not be NULL. */
void *need(void *p);
void die(const char *what) __attribute__((noreturn));

/* One byte a base page: what makes the kernel give the memory. */
static inline void touch(char *p, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i += 4096)
		p[i] = 1;
}

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static inline uint64_t next_random(uint64_t *state)
{
	return mix(*state += 0x9e3779b97f4a7c15);
}

/* Without the bias of a remainder, and without its division. */
static inline size_t random_below(uint64_t *state, size_t n)
{
	return (size_t)((unsigned __int128)next_random(state) * n >> 64);
}

#endif
