/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_slab.h - slabs of small blocks, and the heap object that owns them.
 *
 * A heap belongs to one thread at a time (or to none: idle; or, the shared
 * ones, to whoever holds its lock).  A slab's free blocks are bits in `words`;
 * blocks that other threads free are bits in `remote` until the owner merges
 * them.  Nothing is ever written to the blocks.
 *
 * Who may do what
 *   owner's thread, no lock   take and set bits in words, cur, used
 *   owner's thread + lock     lists, state, owner_fast, create, release, merge
 *   any thread                set bits in remote, push on remote_head
 * The lock is there for prefork: with it held the lists stand still.
 *
 * Remote frees.  The thread whose bit makes a remote word non-zero tells the
 * owner: it sets the slab's limit to 0, so that the owner's own frees look at
 * remote, too, until it is merged; it marks the slab pending and pushes it on
 * the owner's stack, and then, as the last thing it does to the slab, counts
 * `notified`.  The owner counts in `taken` the non-zero words it takes.  A slab
 * is released only when notified == taken and it is not pending: nobody is on
 * the way.
 *
 * Fork.  Pages are copied while other threads run, so in a child the heaps of
 * threads that are gone can be torn: a slab's body (one page) is as it was at
 * one moment, but descriptors, stacks and bodies are of different moments.
 * Such heaps are `stale`: what can be derived from the bodies is derived
 * again before the heap is used.  `pending` holds the fork generation, so
 * that a mark left by a lost push does not count.
 *
 * Invariants (hs_slab_check); of a stale heap only the third
 * 1. used is the number of blocks whose bit is clear in words, and one more in
 *    the ACTIVE slab, which is not to be found empty by every free.
 * 2. A slab in state FULL has had no free bit since it became full.
 * 3. remote and words are disjoint.
 * 4. What has bits in remote has the limit 0.
 */
#ifndef HS_HEAP_SLAB_H
#define HS_HEAP_SLAB_H

#include "base.h"
#include "heap_class.h"
#include "heap_span.h"
#include "heap_unit.h"
#include "lock.h"

enum hs_slab_state {
	HS_SLAB_ACTIVE,  /* the one its class is allocated from */
	HS_SLAB_PARTIAL, /* in its class's list */
	HS_SLAB_FULL,    /* in no list */
};

/* Never crosses a page, so that a fork copies it at one moment. */
struct hs_slab_body {
	_Atomic(struct hs_theap *) owner; /* as long as the slab lives */
	_Atomic(struct hs_unit *) stack_next;
	_Atomic uint32_t pending; /* fork generation when pushed, 0 if not */
	_Atomic uint32_t notified;
	uint32_t taken;
	uint8_t state;  /* enum hs_slab_state */
	uint64_t fresh; /* from HS_FIRST_FRESH on: zero since mapped */
	_Atomic uint64_t remote[];
} __attribute__((aligned(64)));

struct hs_slab_list {
	uint32_t head;
	uint32_t tail;
};

/* What is read of HS_THEAP_NONE, aligned as a whole one. */
struct hs_theap_front {
	struct hs_unit *direct[HS_NR_DIRECT]; /* by (size + 15) / 16 */
	struct hs_unit *active[HS_NR_SMALL];  /* hs_unit_none if none */
} __attribute__((aligned(64)));

struct hs_theap {
	struct hs_theap_front front;
	struct hs_slab_list partial[HS_NR_SMALL];
	struct hs_unit *spare[HS_NR_SMALL]; /* empty, in the list */
	uint16_t shy[HS_NR_SMALL]; /* blocks still taken from the shared heap
				    * before a first slab of one's own */
	struct hs_span_pool *pool;
	struct hs_theap *next;      /* of all heaps, never taken out */
	struct hs_theap *next_idle; /* while idle */
	bool idle;
	bool stale;    /* torn by a fork: recover before use */
	bool unmerged; /* the stack was lost by a fork: look everywhere */
	bool prefork_taken;
	struct hs_lock lock; /* HS_RANK_HEAP */
	/* Slabs with remote frees; everybody pushes, the owner takes all. */
	__attribute__((aligned(64))) _Atomic(struct hs_unit *) remote_head;
};

/* Stands for "no slab": its only word is 0 for ever. */
extern struct hs_unit hs_unit_none;
/* A heap with nothing in it, of threads that have none: never written, for
 * the pages that the loader writes to cost every exec. */
extern const struct hs_theap_front hs_theap_front_none;
#define HS_THEAP_NONE ((struct hs_theap *)&hs_theap_front_none)
extern HS_TLS struct hs_theap *hs_theap_self;
extern _Atomic uint32_t hs_fork_generation;

static HS_ALWAYS_INLINE struct hs_slab_body *
hs_slab_body(const struct hs_unit *slab)
{
	return (struct hs_slab_body *)((char *)slab->remote -
				       offsetof(struct hs_slab_body, remote));
}

/* pre: slab is a SLAB or LARGE */
static HS_ALWAYS_INLINE uintptr_t hs_slab_base(const struct hs_unit *slab)
{
	return (uintptr_t)hs_unit_address(hs_unit_number(slab));
}

void hs_slab_heap_init(struct hs_theap *heap, struct hs_span_pool *pool);

/* A block of @class, or NULL; *@zeroed tells whether it reads as zero.  Maps
 * nothing new unless @flags has HS_SPAN_GROW.  pre: the caller is the heap's
 * thread; or it holds its lock and says so. */
void *hs_slab_alloc(struct hs_theap *heap, unsigned class, unsigned flags,
		    bool locked, bool *zeroed);
/* Go on to the next word of @slab that has a free block.  pre: @slab is one
 * that the caller allocates from, or hs_unit_none. */
bool hs_slab_next_word(struct hs_unit *slab);
/* Free block @index of @slab, which @self owns. */
void hs_slab_free_local(struct hs_theap *self, struct hs_unit *slab,
			unsigned index);
/* Free block @index of a slab that the caller does not own. */
void hs_slab_free_remote(struct hs_unit *slab, unsigned index);
/* The fast path's free of block @index, or of the tail, of a slab with one
 * unit of which others may have freed blocks. */
void hs_slab_free_told(struct hs_unit *slab, unsigned index);
/* The fast path has freed the last block of @slab. */
void hs_slab_emptied(struct hs_unit *slab);
/* Is block @index allocated? */
bool hs_slab_is_live(const struct hs_unit *slab, unsigned index);

/* Merge what others have freed, and release the empty slabs.  True when units
 * were given back.  Locks: heap->lock held; the heap is the caller's or
 * idle. */
bool hs_slab_drain_locked(struct hs_theap *heap);
/* Give back the base pages of free blocks above a page.  Returns bytes, those
 * that had gone before too.  Locks: as for
 * hs_slab_drain_locked(). */
size_t hs_slab_purge_locked(struct hs_theap *heap);
/* After a fork: make @heap whole again.  Locks: heap->lock held. */
void hs_slab_recover_locked(struct hs_theap *heap);

/* Blocks that live, those freed by others and not merged yet left out. */
unsigned hs_slab_nr_live(const struct hs_unit *slab);

/* 0 or the broken invariant of one slab. */
int hs_slab_check(const struct hs_unit *slab);

void hs_slab_double_free(const struct hs_unit *slab, unsigned index)
	__attribute__((noreturn, cold));

#endif
