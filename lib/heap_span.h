/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_span.h - runs of whole units: where slabs and blocks above
 * HS_LARGE_MAX come from.
 *
 * A pool maps slots from the arena, keeps free extents (joined across slots)
 * and hands out the lowest address of the best fitting size, so that high
 * slots drain and can be given back.  Three pools: the one everything uses; one
 * on base pages for memory that the kernel writes behind our back; and one of
 * a few MiB, on base pages too, for the first blocks of a fork child, which in
 * the free space of inherited huge pages would cost a copy of 2 MiB each.
 *
 * Invariants (hs_span_check)
 * 1. The free extents of a pool are disjoint, not adjacent to one another, and
 *    each is in the bin of its size.
 * 2. free_units is their sum; free_slot_units that of the whole slots in them.
 * 3. A unit whose dirty bit is clear reads as zero and is in a free extent.
 *
 * Locks: hs_span_lock (HS_RANK_SPAN); not held while slots are mapped.
 * Context: thread-safe, valid in a fork child.
 */
#ifndef HS_HEAP_SPAN_H
#define HS_HEAP_SPAN_H

#include "base.h"
#include "heap_unit.h"
#include "lock.h"

/* Exact up to 32 units, then eight a doubling up to 2^32. */
#define HS_SPAN_BINS (32 + 27 * 8)

enum { HS_POOL_MAIN, HS_POOL_BASE, HS_POOL_CHILD, HS_NR_POOLS };

/* Blocks from this size on start on a slot and own their slots. */
#define HS_SPAN_BIG_BYTES (16 * HS_MIB)

struct hs_span_pool {
	uint8_t id; /* its index; valid after hs_span_init() */
	bool huge; /* past its first bytes on base pages */
	uint32_t bins[HS_SPAN_BINS];
	uint64_t bin_map[(HS_SPAN_BINS + 63) / 64];
	size_t mapped_units;
	size_t free_units;
	size_t free_slot_units;
	size_t low_slot_units; /* least free_slot_units of this period */
	uint32_t top;          /* past the highest unit ever mapped */
	unsigned growing;      /* threads that map for packed requests now */
	unsigned ticks;
	long period_start_ms;
};

extern struct hs_lock hs_span_lock;
extern struct hs_span_pool hs_span_pools[HS_NR_POOLS];

enum {
	HS_SPAN_GROW = 1, /* map slots when there is nothing free */
	HS_SPAN_BIG = 2,  /* on slots of its own; may be left unpopulated */
	HS_SPAN_SLAB = 4, /* for a slab: not all of it is asked for yet */
};

/* First use: the arena and the tables.  0 or -ENOMEM.  Locks: takes
 * hs_span_lock. */
int hs_span_init(void);

/* @nr_units in a row, the first aligned to @align_units (a power of two), or
 * HS_NO_UNIT.  *@zeroed: the memory reads as zero.  With HS_SPAN_BIG more than
 * asked for may come: *@got_units.  The descriptors' kind is NONE or FREED.
 */
uint32_t hs_span_alloc(struct hs_span_pool *pool, size_t nr_units,
		       size_t align_units, unsigned flags, bool *zeroed,
		       size_t *got_units);
/* Contents are lost at leisure.  The first descriptor becomes FREED. */
void hs_span_free(struct hs_span_pool *pool, uint32_t first, size_t nr_units);
/* Add the units that follow [first, first + nr_units) up to @new_units, from
 * free ones or (BIG) newly mapped ones.  False: nothing has changed. */
bool hs_span_extend(struct hs_span_pool *pool, uint32_t first, size_t nr_units,
		    size_t new_units, unsigned flags);
/* Move a big span to a place where it has @new_units, without copying.
 * HS_NO_UNIT: nothing has changed. */
uint32_t hs_span_move(struct hs_span_pool *pool, uint32_t first,
		      size_t nr_units, size_t new_units, size_t *got_units);

/* Give free slots back until at most @keep_units of free slots are left.
 * Returns units given back. */
size_t hs_span_release(struct hs_span_pool *pool, size_t keep_units);

/* Give back the base pages of what is free of the pool, where whole slots are
 * not.  Returns bytes.  Locks: takes hs_span_lock. */
size_t hs_span_purge(const struct hs_span_pool *pool);

/* The lowest index past every unit ever mapped. */
uint32_t hs_span_top(void);

/* 0 or the number of the broken invariant.  Locks: takes hs_span_lock. */
int hs_span_check(void);

/* The free extent that starts at @unit, whatever its pool; for walks. */
static HS_ALWAYS_INLINE bool hs_unit_is_free(const struct hs_unit *unit)
{
	return unit->kind == HS_UNIT_FREE;
}

#endif
