/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_thread.h - which heap a thread uses: the registry of heaps, thread
 * start and exit, fork.
 *
 * A thread gets a heap with its first allocation: an idle one as it is, else a
 * new one; at its end the heap goes idle, with the blocks that live on.  Heap
 * objects are never given back.  free() alone does not make a heap: a thread
 * without one frees as a stranger.
 *
 * Fork.  In a child whose heap is on huge pages a block from an inherited slab
 * means a copy of 2 MiB when it is written to.  Most children need little
 * before they execute something or end: they start with a heap of their own on
 * base pages, and the inherited one lies idle until that is not enough.
 *
 * Locks: hs_registry_lock (HS_RANK_REGISTRY).
 */
#ifndef HS_HEAP_THREAD_H
#define HS_HEAP_THREAD_H

#include "base.h"
#include "heap_slab.h"
#include "lock.h"

extern struct hs_lock hs_registry_lock;

/* Under their locks: of blocks on base pages, and of threads that are past
 * their end or for which there is no memory for a heap. */
extern struct hs_theap hs_heap_on_base;
extern struct hs_theap hs_heap_shared;

/* This thread's heap, attached if need be, or NULL: use hs_heap_shared. */
struct hs_theap *hs_heap_thread_get(void);

/* This thread's heap is that of a young fork child, and cannot grow: take over
 * what was inherited.  What hs_heap_thread_get() returns then. */
struct hs_theap *hs_heap_thread_grow_up(void);

/* Empty what can be emptied before new memory is mapped: this thread's heap,
 * the idle ones, the shared slabs.  True when units were freed.  Locks: none
 * of the heap's held. */
bool hs_heap_reclaim(void);

/* Give back the base pages that lie free inside slabs of this thread's heap, of
 * idle ones and of shared ones; not of other threads' heaps, which take blocks
 * without a lock.  Returns bytes.  Locks: none of the heap's held. */
size_t hs_heap_purge(void);

/* All heaps, by next. */
struct hs_theap *hs_heap_first(void);

#endif
