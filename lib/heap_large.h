/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_large.h - blocks above HS_SMALL_MAX up to HS_LARGE_MAX: slabs of 9 to 16
 * units that all threads share, 2 to 16 blocks each, their state one word in
 * the descriptor.
 *
 * Invariants (hs_large_check)
 * 1. used is the number of blocks whose bit in `free` is clear.
 * 2. A slab is in its class's list exactly while it has a free block; at most
 *    one slab a class is empty.
 *
 * Locks: hs_large_lock (HS_RANK_LARGE).  Context: thread-safe.
 */
#ifndef HS_HEAP_LARGE_H
#define HS_HEAP_LARGE_H

#include "base.h"
#include "heap_class.h"
#include "heap_span.h"
#include "heap_unit.h"
#include "lock.h"

extern struct hs_lock hs_large_lock;

/* A block of @class (HS_NR_SMALL and above), or NULL; *@zeroed: it reads as
 * zero. */
void *hs_large_alloc(unsigned class, unsigned flags, bool *zeroed);
/* Free block @index of @slab; aborts when it is free. */
void hs_large_free(struct hs_unit *slab, unsigned index);
bool hs_large_is_live(struct hs_unit *slab, unsigned index);
/* Release the empty slabs; true when there were any. */
bool hs_large_drain(void);
/* Give back the base pages of free blocks; returns bytes. */
size_t hs_large_purge(void);
int hs_large_check(const struct hs_unit *slab);

#endif
