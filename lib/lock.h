/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h - ranked futex locks that know their owner.
 *
 * Invariants
 * 1. A thread acquires locks in rising rank; equal ranks only for
 *    HS_RANK_HEAP (in list order, by prefork).  Debug builds
 *    (-DHS_DEBUG_LOCKS) abort on a violation.
 * 2. The owner is the address of a thread-local, not a tid: it stays valid in
 *    the fork child of the thread that held the lock.
 * 3. A fork that no handler of ours saw leaves locks held by threads that are
 *    gone.  Each acquire stamps the lock with the generation that it reads in
 *    a page which the kernel wipes on fork; a waiter that finds another one
 *    than its own takes the lock over.
 *
 * Context: thread-safe.  Acquire is async-signal-safe only for locks that are
 * taken with signals that could re-enter excluded, or with try.
 */
#ifndef HS_LOCK_H
#define HS_LOCK_H

#include "base.h"

enum hs_lock_rank {
	HS_RANK_FORK = 1, /* one fork at a time */
	HS_RANK_REGISTRY, /* list of thread heaps */
	HS_RANK_HEAP,     /* one thread heap's slow path */
	HS_RANK_LARGE,    /* shared slabs of large blocks */
	HS_RANK_SPAN,     /* free extents of the heap */
	HS_RANK_REGION,   /* the arena's slots: map, unmap */
	HS_RANK_RESCUE,   /* convert of one slot, the stage */
	HS_RANK_META,     /* chunks of own metadata */
	HS_RANK_LEAF,     /* log-once flags and the like */
};

/*
 * One word says everything, so that no instant exists in which a lock is held
 * by nobody: the holder's hs_lock_self() with two flags in its low bits and
 * the fork generation (see invariant 3) in its top byte; 0 when free.  Its low
 * half is the futex.
 */
struct hs_lock {
	_Atomic uint64_t word;
	uint32_t rank;
};

#define HS_LOCK_INIT(rank_) { .word = 0, .rank = (rank_) }

/* A value unique to the calling thread, the same before and after fork; the
 * low six bits are zero. */
uintptr_t hs_lock_self(void);

void hs_lock_init(struct hs_lock *lock, enum hs_lock_rank rank);
void hs_lock_acquire(struct hs_lock *lock);
bool hs_lock_try_acquire(struct hs_lock *lock);
void hs_lock_release(struct hs_lock *lock);
bool hs_lock_is_mine(const struct hs_lock *lock);
/* Does the calling thread hold any lock of ours?  (In a handler: had the
 * interrupted code?) */
bool hs_lock_holds_any(void);

/*
 * Fork support.  prefork: take the lock unless this thread already holds it
 * (a handler that interrupted the holder and forks); returns whether it was
 * taken here, which the post handlers hand back to hs_lock_postfork().
 * child: waiters are gone, so the word is reset; so is that of a lock that
 * was given up, whose holder is not here.
 */
bool hs_lock_prefork(struct hs_lock *lock);
/*
 * As hs_lock_prefork(), the answer in *@taken, but gives up after a tenth of a
 * second and returns false: the holder may be waiting for a lock that this
 * thread's interrupted code holds, or be in a handler that forks, too.
 */
bool hs_lock_prefork_try(struct hs_lock *lock, bool *taken);
void hs_lock_postfork_parent(struct hs_lock *lock, bool taken);
void hs_lock_postfork_child(struct hs_lock *lock, bool taken);

/* Must be called once at start: maps the page that a fork child reads as
 * zero (MADV_WIPEONFORK), so that orphaned locks can be told.  Returns 0 or
 * -errno; without the page orphans are not detected. */
int hs_lock_init_sentinel(void);
/* After a fork that was seen: the child adopts a fresh sentinel. */
void hs_lock_rearm_sentinel(void);

/* Not 0, and another in a child of a fork that nobody announced: what such a
 * child inherits marked with it is not its own. */
uint32_t hs_lock_generation(void);

/* Forks of this line of processes that were noticed by the sentinel alone. */
unsigned hs_lock_unseen_forks(void);

#endif
