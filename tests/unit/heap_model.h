/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_model.h - a model of an allocator: which blocks live, what is in them.
 * Every block is filled with a pattern of its own, so an overlap or a lost
 * byte shows when it is freed.
 */
#ifndef HS_TEST_HEAP_MODEL_H
#define HS_TEST_HEAP_MODEL_H

#include <string.h>

#include "config.h"
#include "heap.h"
#include "unit.h"

static inline void heap_test_init(void)
{
	static char *const envp[] = { (char *)"HUGESHIM_BACKING=base", NULL };

	hs_config_init(envp, false);
}

static inline uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly small, up to 3 MiB. */
static inline size_t rnd_size(uint64_t *state)
{
	unsigned bits = rnd(state) % 100;

	if (bits < 60)
		return rnd(state) % 1200;
	if (bits < 85)
		return rnd(state) % 40000;
	if (bits < 97)
		return rnd(state) % 600000;
	return rnd(state) % (3 * HS_MIB);
}

static inline bool is_zero(const unsigned char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

struct block {
	unsigned char *p;
	size_t len;
	unsigned char fill;
};

/* First, last and some bytes between: big blocks cost little. */
static inline void block_fill(struct block *b, unsigned char fill)
{
	size_t i, step = b->len > 4096 ? 509 : 1;

	b->fill = fill;
	for (i = 0; i < b->len; i += step)
		b->p[i] = fill;
	if (b->len)
		b->p[b->len - 1] = fill;
}

static inline bool block_is_whole(const struct block *b, size_t len)
{
	size_t i, step = b->len > 4096 ? 509 : 1;

	for (i = 0; i < len; i += step)
		if (b->p[i] != b->fill)
			return false;
	return b->len == 0 || len < b->len || b->p[b->len - 1] == b->fill;
}

#endif
