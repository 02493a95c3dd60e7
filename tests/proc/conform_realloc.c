// SPDX-License-Identifier: LGPL-2.1-or-later
/* realloc in every direction: between all classes and the huge, from aligned
 * blocks, in long random walks; what was there stays, what failed changes
 * nothing. */
#include "tests/proc/both.h"

#include <malloc.h>

static const size_t sizes[] = {
	1,	  16,	    100,      512,	513,	 1024,	   5000,
	8192,	  40000,    65536,    65537,	200000,	 1 << 20,  1900000,
	2097136,  2097152,  2097153,  5000000,	16777216, 16777217, 33554432,
};

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* The pattern of a block that is cut at @len keeps to whole words. */
static void check(const void *p, size_t len, uint64_t seed, size_t from,
		  size_t to)
{
	HS_T_CHECK(hs_t_verify(p, len & ~(size_t)7, seed) < 0,
		   "from %zu to %zu", from, to);
}

static void every_pair(void)
{
	size_t from, to;

	for (from = 0; from < NR_SIZES; from++) {
		for (to = 0; to < NR_SIZES; to++) {
			size_t len = sizes[from], new_len = sizes[to];
			char *p = malloc(len), *q;

			HS_T_CHECK(p);
			hs_t_fill(p, len, from);
			q = realloc(p, new_len);
			HS_T_CHECK(q && (uintptr_t)q % 16 == 0);
			HS_T_CHECK(malloc_usable_size(q) >= new_len);
			check(q, len < new_len ? len : new_len, from, len,
			      new_len);
			memset(q, 0x11, new_len);
			free(q);
		}
	}
}

static void from_aligned(void)
{
	size_t align, i;

	for (align = 32; align <= 8 << 20; align *= 4) {
		for (i = 0; i < NR_SIZES; i++) {
			char *p = memalign(align, 3000), *q;

			HS_T_CHECK(p && (uintptr_t)p % align == 0);
			hs_t_fill(p, 3000, align);
			q = realloc(p, sizes[i]);
			HS_T_CHECK(q);
			check(q, sizes[i] < 3000 ? sizes[i] : 3000, align, 3000,
			      sizes[i]);
			free(q);
		}
	}
}

static void failure_changes_nothing(void)
{
	size_t i;

	for (i = 0; i < NR_SIZES; i++) {
		char *p = malloc(sizes[i]);

		HS_T_CHECK(p);
		hs_t_fill(p, sizes[i], i);
		errno = 0;
		HS_T_CHECK(!realloc(p, (size_t)PTRDIFF_MAX - 100));
		HS_T_CHECK(errno == ENOMEM);
		HS_T_CHECK(hs_t_verify(p, sizes[i], i) < 0);
		free(p);
	}
}

/* As a vector or a string buffer does. */
static void grow_and_shrink(void)
{
	size_t len = 8, step;
	char *p = malloc(len), *q;

	hs_t_fill(p, len, 7);
	for (step = 0; len < 100 << 20; step++) {
		size_t new_len = len + len / 2 + 8;

		q = realloc(p, new_len);
		HS_T_CHECK(q);
		check(q, len, 7, len, new_len);
		hs_t_fill(q, new_len, 7);
		p = q;
		len = new_len;
	}
	while (len > 8) {
		q = realloc(p, len / 3);
		HS_T_CHECK(q);
		p = q;
		len /= 3;
		check(p, len, 7, len * 3, len);
	}
	free(p);
}

static void random_walk(void)
{
	enum { NR = 200 };
	static char *block[NR];
	static size_t len[NR];
	struct hs_t_rng rng = { hs_t_seed(43) };
	size_t step, i, new_len;

	for (step = 0; step < 40000; step++) {
		i = hs_t_below(&rng, NR);
		new_len = 1 + (hs_t_next(&rng) >> (42 + hs_t_below(&rng, 21)));
		block[i] = realloc(block[i], new_len);
		HS_T_CHECK(block[i], "to %zu", new_len);
		check(block[i], len[i] < new_len ? len[i] : new_len, i, len[i],
		      new_len);
		hs_t_fill(block[i], new_len, i);
		len[i] = new_len;
	}
	for (i = 0; i < NR; i++)
		free(block[i]);
}

const struct hs_t_case hs_t_cases[] = {
	{ "every_pair", every_pair, false },
	{ "from_aligned", from_aligned, false },
	{ "failure_changes_nothing", failure_changes_nothing, false },
	{ "grow_and_shrink", grow_and_shrink, false },
	{ "random_walk", random_walk, false },
	{ NULL, NULL, false },
};

HS_T_BOTH_MAIN
