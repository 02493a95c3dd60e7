/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * malloc.h - our malloc and free under names that nobody can interpose, for
 * the other families that are made of them (C++ operators, jemalloc's calls).
 *
 * An executable may define malloc or operator new itself; its definition then
 * comes before ours, and what is built on the name has to use it, as libc's
 * and libstdc++'s own functions would.  Comparing the name with ours tells,
 * for the price of one load.
 */
#ifndef HS_PRELOAD_MALLOC_H
#define HS_PRELOAD_MALLOC_H

#include <stdlib.h>

#include "base.h"
#include "heap.h"
#include "heap_fast.h"
#include "preload/caller.h"
#include "preload/foreign.h"
#include "region.h"

/* malloc and free by names of our own. */
void *hs_malloc(size_t size) HS_HIDDEN;
void hs_free(void *p) HS_HIDDEN;

/* malloc when the fast path has nothing: every size, errno, libc's own blocks
 * (@caller is the address that malloc returns to). */
void *hs_malloc_slow(size_t size, const void *caller) HS_HIDDEN;

/* memalign(3) as glibc has it, errno included. */
void *hs_memalign(size_t align, size_t size) HS_HIDDEN;

/* The straight line of malloc; NULL: take hs_malloc_slow().  Inlined, so that
 * the return address is that of the exported function. */
static HS_ALWAYS_INLINE void *hs_malloc_fast(size_t size)
{
	void *p;

	if (hs_caller_wants_base(__builtin_return_address(0), size))
		return NULL;
	return hs_likely(hs_heap_malloc_fast(size, &p)) ? p : NULL;
}

/* free when the fast path declines. */
void hs_free_slow(void *p) HS_HIDDEN;

static HS_ALWAYS_INLINE void hs_free_inline(void *p)
{
	if (hs_unlikely(!hs_heap_free_fast(p)))
		hs_free_slow(p);
}

static HS_ALWAYS_INLINE bool hs_malloc_is_ours(void)
{
	return hs_likely(malloc == hs_malloc);
}

static HS_ALWAYS_INLINE bool hs_free_is_ours(void)
{
	return hs_likely(free == hs_free);
}

#endif
