/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow.h - private copy-on-write after a fork.
 *
 * An engine says what the parent and the child do with the slots they share.
 * `kernel` leaves the copy to the kernel and the shortage to the rescue;
 * `sigsegv` makes it itself; `off` does nothing about calls in flight either.
 * The kernel's own copy-on-write is beneath all of them.
 *
 * Also here: memory of system calls in flight, which a fork must not leave on
 * pages that cannot be copied.
 */
#ifndef HS_COW_H
#define HS_COW_H

#include "base.h"

/* Called by the fork sequence (fork.c) with all locks held. */
struct hs_cow_engine_ops {
	const char *name;
	/* Why it cannot serve the fork that begins, in a few words that stay
	 * valid; NULL: it can.  An engine without it always can. */
	const char *(*refuses)(void);
	void (*prefork)(void);
	void (*postfork_parent)(void);
	void (*postfork_child)(void);
};

extern const struct hs_cow_engine_ops hs_cow_kernel;
extern const struct hs_cow_engine_ops hs_cow_sigsegv;
extern const struct hs_cow_engine_ops hs_cow_off;

/* The engine for the fork that begins: the configured one, or `kernel` where
 * that refuses. */
const struct hs_cow_engine_ops *hs_cow_choose(void);
/* Whatever the engine: a child keeps nothing of its parent's. */
void hs_cow_postfork_child(void);

/*
 * Ranges that the kernel may write in a call now under way.  The wrapper
 * publishes before it prepares the ranges; prefork keeps the slots of
 * published ranges out of the fork (MADV_DONTFORK) and gives the child a copy
 * on base pages, so that a call in flight never meets a page to be copied.
 * Records are kept per thread, outside stacks; @f only remembers how to end.
 */
#define HS_INFLIGHT_RANGES 8

struct hs_inflight {
	unsigned nr; /* ranges filled in by the wrapper, at most the above */
	unsigned saved;
	void *record; /* where they are published, or NULL */
	struct {
		const void *addr;
		size_t len;
	} range[HS_INFLIGHT_RANGES];
};

/* Start a call: @f filled in (ranges outside the arena may be left out; more
 * than fit: those are prepared by hs_rescue_prepare() alone).  Publishes,
 * waits while another thread's fork is under way, prepares the ranges.  errno
 * untouched.  Context: thread-safe, async-signal-safe. */
void hs_inflight_begin(struct hs_inflight *f);
/* The call is over; errno untouched.  After a cancellation or longjmp out of
 * the call it need not be made: stale records only cost time in fork. */
void hs_inflight_end(struct hs_inflight *f);
/* The calling thread is about to exit. */
void hs_inflight_thread_exit(void);

#endif
