/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region_find.h - which slots are busy: a bitmap and first fit, lowest first,
 * so that high slots drain.  Used by region.c alone, under its lock.
 */
#ifndef HS_REGION_FIND_H
#define HS_REGION_FIND_H

#include "base.h"

struct hs_slot_map {
	uint64_t *busy;  /* one bit a slot */
	size_t nr_slots; /* in all */
	size_t low;      /* no free slot below */
	size_t high;     /* no busy slot at or above */
};

#define HS_SLOT_NONE SIZE_MAX

/* First of @nr free slots in a row whose index plus @phase is a multiple of
 * @align, or HS_SLOT_NONE.  (@phase: the arena's own offset from that
 * alignment, in slots.) */
size_t hs_slot_map_find(const struct hs_slot_map *map, size_t nr, size_t align,
			size_t phase);

/* Whether [first, first + nr) exists and is free. */
bool hs_slot_map_is_free(const struct hs_slot_map *map, size_t first,
			 size_t nr);

/* First busy slot in [from, to), or @to. */
size_t hs_slot_map_next_busy(const struct hs_slot_map *map, size_t from,
			     size_t to);
/* First free slot in [from, to), or @to. */
size_t hs_slot_map_next_free(const struct hs_slot_map *map, size_t from,
			     size_t to);

void hs_slot_map_set(struct hs_slot_map *map, size_t first, size_t nr);
void hs_slot_map_clear(struct hs_slot_map *map, size_t first, size_t nr);

#endif
