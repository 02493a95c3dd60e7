/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start.h - what init.c's constructor, the only one, starts in the other
 * files: the order matters, and constructors of one library have none that a
 * reader could see.
 *
 * Context: single-threaded, once, after hs_start().
 */
#ifndef HS_PRELOAD_START_H
#define HS_PRELOAD_START_H

/* preload/signal.c: say who installs the handlers; take over an inherited
 * mask. */
void hs_trap_start(void);

/* preload/fork.c: fork handlers of the wrappers.  To be registered after the
 * library's own, so that the prepare handler runs before their locks are
 * taken: it calls ld.so, which may allocate. */
void hs_fork_family_start(void);

#endif
