/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blocks.h - a set of heap blocks of mixed sizes whose every byte is known:
 * filled, verified and rewritten by the processes of the fork tests.
 */
#ifndef HS_TEST_BLOCKS_H
#define HS_TEST_BLOCKS_H

#include "hs_test.h"

#define BLOCKS_MAX 4096

struct blocks {
	size_t nr;
	struct {
		unsigned char *p;
		size_t len;
		uint64_t seed;
	} b[BLOCKS_MAX];
};

HS_T_FN size_t blocks_size(struct hs_t_rng *rng)
{
	unsigned kind = (unsigned)hs_t_below(rng, 100);

	if (kind < 40)
		return 8 + hs_t_below(rng, 1024);
	if (kind < 70)
		return 1024 + hs_t_below(rng, 64 << 10);
	if (kind < 97)
		return (64 << 10) + hs_t_below(rng, 1 << 20);
	return (1 << 20) + hs_t_below(rng, 6 << 20);
}

/* Allocate and fill until @bytes are there. */
HS_T_FN bool blocks_make(struct blocks *s, struct hs_t_rng *rng, size_t bytes)
{
	size_t total = 0;

	for (s->nr = 0; s->nr < BLOCKS_MAX && total < bytes; s->nr++) {
		size_t len = blocks_size(rng);
		unsigned char *p = malloc(len);

		if (!p)
			return false;
		s->b[s->nr].p = p;
		s->b[s->nr].len = len;
		s->b[s->nr].seed = hs_t_next(rng);
		hs_t_fill(p, len, s->b[s->nr].seed);
		total += len;
	}
	return true;
}

/* True when every byte is as written last; else says where it is not. */
HS_T_FN bool blocks_verify(const struct blocks *s)
{
	for (size_t i = 0; i < s->nr; i++) {
		ssize_t bad = hs_t_verify(s->b[i].p, s->b[i].len, s->b[i].seed);

		if (bad < 0)
			continue;
		dprintf(2,
			"pid %d block %zu of %zu bytes, word at %zd (%p) is "
			"%llx, not %llx\n",
			(int)getpid(), i, s->b[i].len, bad,
			(void *)(s->b[i].p + bad),
			*(unsigned long long *)(void *)(s->b[i].p + bad),
			(unsigned long long)hs_t_word(s->b[i].seed,
						      (size_t)bad));
		return false;
	}
	return true;
}

HS_T_FN void blocks_rewrite(struct blocks *s, struct hs_t_rng *rng)
{
	for (size_t i = 0; i < s->nr; i++) {
		s->b[i].seed = hs_t_next(rng);
		hs_t_fill(s->b[i].p, s->b[i].len, s->b[i].seed);
	}
}

/* Reallocate an eighth and allocate anew another eighth. */
HS_T_FN bool blocks_shuffle(struct blocks *s, struct hs_t_rng *rng)
{
	for (size_t n = s->nr / 4; n; n--) {
		size_t i = hs_t_below(rng, s->nr);
		size_t len = blocks_size(rng);
		size_t keep = HS_T_MIN(len, s->b[i].len) & ~(size_t)7;
		unsigned char *p;

		if (n & 1) {
			free(s->b[i].p);
			p = malloc(len);
		} else {
			p = realloc(s->b[i].p, len);
			if (p && hs_t_verify(p, keep, s->b[i].seed) >= 0)
				return false;
		}
		if (!p)
			return false;
		s->b[i].p = p;
		s->b[i].len = len;
		s->b[i].seed = hs_t_next(rng);
		hs_t_fill(p, len, s->b[i].seed);
	}
	return true;
}

HS_T_FN void blocks_free(struct blocks *s)
{
	while (s->nr)
		free(s->b[--s->nr].p);
}

#endif
