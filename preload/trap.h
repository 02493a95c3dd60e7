/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trap.h - the SIGBUS and SIGSEGV handlers, and what the application thinks
 * its own actions are.
 *
 * Until the trap is installed (no huge page in use, neither signal ever
 * blocked) nothing here differs from libc.  Afterwards the kernel always has
 * our handler; the application's action is kept here and applied to what is
 * not ours: its handler is called with its mask, a default action is restored
 * in the kernel so that the fault recurs and kills with the right status and
 * core, an ignored synchronous fault kills as the kernel would.
 *
 * Owner of the data: preload/signal.c.  Two actions, each a record of atomics
 * with a version; a reader that meets a writer tries again, a bounded number
 * of times, for the writer may be gone (fork).
 *
 * Context: async-signal-safe, valid in a fork child.
 */
#ifndef HS_TRAP_H
#define HS_TRAP_H

#include <signal.h>

#include "base.h"
#include "preload/sigmask.h"

extern atomic_bool hs_trap_on;

static HS_ALWAYS_INLINE bool hs_trap_active(void)
{
	return atomic_load_explicit(&hs_trap_on, memory_order_acquire);
}

static HS_ALWAYS_INLINE bool hs_trap_is_ours(int sig)
{
	return sig == SIGBUS || sig == SIGSEGV;
}

/* Install the handlers; 0 or -errno.  Idempotent.  For hs_trap_install_hook
 * by way of hs_trap_huge(). */
int hs_trap_install(void);

/* sigaction(2) as the application sees it; the trap's signals only, with the
 * trap on.  0. */
int hs_trap_sigaction(int sig, const struct sigaction *act,
		      struct sigaction *old);

/* The application's action is SIG_IGN: what an exec must inherit. */
bool hs_trap_is_ignored(int sig);

/* What the handlers of the application that run in this thread block by
 * running, and that it has unblocked @bits of it.  The kernel's own mask has
 * none of it, and a fault kills only when it comes again and again. */
unsigned long hs_trap_handler_bits(void);
void hs_trap_handler_unblock(unsigned long bits);
/* The caller jumps out of them to a frame at @sp, 0: not known. */
void hs_trap_handlers_left(uintptr_t sp);

/* Deliver to the application's action what is pending and no longer blocked
 * virtually in this thread; the number delivered. */
int hs_trap_deliver_pending(void);

/* Pending here or in the process: a subset of HS_TRAP_BITS. */
unsigned long hs_trap_pending(void);

/* Take one pending signal of @bits; its number, or 0. */
int hs_trap_take(unsigned long bits, siginfo_t *info);

/* The calling thread waits for @bits in sigtimedwait (0: no longer): the
 * handler pokes it when another thread gets one of them. */
void hs_trap_wait_register(unsigned long bits);

/* What it was sent then: no signal, but a word that one is pending. */
bool hs_trap_is_poke(const siginfo_t *info);

/* A child of vfork(), which shares the parent's memory?  Told once huge pages
 * are in use; false before. */
bool hs_trap_is_vfork_child(void);

/* A child has no signal pending and no thread that waits. */
void hs_trap_fork_child(void);

#endif
