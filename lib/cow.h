/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow.h - private copy-on-write after a fork.
 *
 * An engine says what the parent and the child do with the slots they share.
 * The `kernel` engine leaves the copy to the kernel and the shortage to the
 * rescue.  Also here: memory of system calls in flight, which a fork must not
 * leave on pages that cannot be copied.
 */
#ifndef HS_COW_H
#define HS_COW_H

#include "base.h"

struct hs_cow_engine_ops {
	const char *name;
	void (*prefork)(void);
	void (*postfork_parent)(void);
	void (*postfork_child)(void);
};

extern const struct hs_cow_engine_ops hs_cow_kernel;

/*
 * A range that the kernel may write in a call now under way.  The wrapper
 * publishes before it prepares the range, and prefork turns the slots of
 * published ranges to BASE.
 */
#define HS_INFLIGHT_RANGES 8

struct hs_inflight {
	struct hs_inflight *next; /* of this thread: nested by signals */
	unsigned nr;
	struct {
		const void *addr;
		size_t len;
	} range[HS_INFLIGHT_RANGES];
};

/* Start a call: @f on the caller's stack, ranges filled in (those outside the
 * arena may be left out; with nr == 0 do not call).  Publishes, waits while a
 * fork is under way, prepares the ranges.  errno untouched.
 * Context: thread-safe, async-signal-safe. */
void hs_inflight_begin(struct hs_inflight *f);
/* The call is over; errno untouched.  Also on cancellation and longjmp: a
 * record below the stack pointer that published it is dropped. */
void hs_inflight_end(struct hs_inflight *f);

#endif
