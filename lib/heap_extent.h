/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_extent.h - free extents of units: bins by size, in each a pairing heap
 * by address.  The span layer's own; everything under hs_span_lock.
 */
#ifndef HS_HEAP_EXTENT_H
#define HS_HEAP_EXTENT_H

#include "base.h"
#include "heap_span.h"

/* Add [first, first + nr_units) as free, joined with its neighbours.  Returns
 * the first unit of what it became. */
uint32_t hs_extent_insert(struct hs_span_pool *pool, uint32_t first,
			  size_t nr_units);
/* Take the whole extent that starts at @first out; its descriptors are NONE
 * then. */
void hs_extent_remove(struct hs_span_pool *pool, uint32_t first);
/* The extent for @nr_units whose first is aligned to @align_units, best fit
 * first, then lowest address; or HS_NO_UNIT. */
uint32_t hs_extent_find(const struct hs_span_pool *pool, size_t nr_units,
			size_t align_units);
/* The highest extent with at least one whole slot or fully covering a partly
 * mapped one: [*from, *to) is what of it can be unmapped.  False: none. */
bool hs_extent_highest_slots(const struct hs_span_pool *pool, uint32_t *first,
			     uint32_t *from, uint32_t *to);
/* The units of whole slots in [first, first + nr_units). */
size_t hs_extent_slot_units(uint32_t first, size_t nr_units);

static HS_ALWAYS_INLINE unsigned hs_extent_bin(size_t nr_units)
{
	unsigned msb;

	if (nr_units <= 32)
		return (unsigned)nr_units - 1;
	msb = 31 - (unsigned)__builtin_clz((unsigned)nr_units);
	return 32 + (msb - 5) * 8 + ((nr_units >> (msb - 3)) & 7);
}

#endif
