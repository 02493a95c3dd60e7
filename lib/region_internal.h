/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region_internal.h - shared by region.c (map, unmap), region_arena.c (address
 * space, tables) and region_policy.c (may this request have huge pages); all
 * of it under hs_region_lock unless said otherwise.
 */
#ifndef HS_REGION_INTERNAL_H
#define HS_REGION_INTERNAL_H

#include "pagesrc.h"
#include "region.h"
#include "region_find.h"
#include "stats.h"

struct hs_region_state {
	struct hs_slot_map map;
	_Atomic size_t nr_pool;  /* slots HUGE or LAZY */
	_Atomic size_t nr_vmas;  /* kernel mappings made, an upper estimate */
	bool limited;            /* nothing is reserved or mapped ahead */
	bool left_pool;          /* see hs_region_leave_pool() */
	size_t limited_from;     /* slots below were mapped before that */
	bool restricted;         /* only calls that malloc makes */
};

extern struct hs_region_state hs_region;

static inline char *hs_region_slot_addr(size_t index)
{
	return (char *)hs_arena.base + (index << hs_arena.slot_shift);
}

static inline size_t hs_region_index(const void *addr)
{
	return ((uintptr_t)addr - hs_arena.base) >> hs_arena.slot_shift;
}

/* region_arena.c */

/* Make [0, bytes) of the arena usable: tables there, size_bytes moved up.
 * 0 or -ENOMEM. */
int hs_arena_extend(size_t bytes);
/* Give back all reserved address space that is not in use. */
void hs_arena_unreserve(void);

/* region_policy.c */

/* How many of @nr slots may come from the pool; for those that may not, the
 * reason has been counted. */
size_t hs_policy_pool_slots(size_t nr, unsigned flags);
/* May hugetlb mappings be cut into more? */
bool hs_policy_may_split(void);
/* Slots to map by one call when @nr are wanted. */
size_t hs_policy_run_slots(size_t nr);
/* What the rest is mapped from; NULL: HUGESHIM_FALLBACK=off. */
const struct hs_pagesrc *hs_policy_fallback(unsigned flags);
/* @nr slots could not be had although allowed. */
void hs_policy_note_short(size_t nr, enum hs_stats_counter reason);

#endif
