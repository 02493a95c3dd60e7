/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sigmask.h - SIGBUS and SIGSEGV are never blocked behind the rescue's back.
 *
 * A thread that blocks them and then touches a page that cannot be had would
 * be killed.  So both are taken out of every mask that goes to the kernel and
 * kept as bits of the thread ("virtual mask"); the application sees them as
 * set.  When one is sent by kill(2) while its bit is set, it is kept as
 * pending (preload/signal.c).
 *
 * Owner of the data: this module, in initial-exec TLS.  A fork child inherits
 * it; a new thread gets its creator's bits.
 *
 * Invariants
 * 1. No thread has SIGBUS or SIGSEGV in its kernel mask once the trap is in
 *    place, but inside libc's own short critical sections.
 *
 * Context: async-signal-safe, valid in a fork child.
 */
#ifndef HS_SIGMASK_H
#define HS_SIGMASK_H

#include <signal.h>

#include "base.h"

#define HS_SIGBIT(sig) (1UL << ((sig) - 1))
#define HS_TRAP_BITS (HS_SIGBIT(SIGBUS) | HS_SIGBIT(SIGSEGV))

/* The calling thread's virtual mask: a subset of HS_TRAP_BITS. */
extern HS_TLS unsigned long hs_sigmask_virtual;

/* The kernel's mask is the first word of libc's. */
static HS_ALWAYS_INLINE unsigned long *hs_sigmask_word(sigset_t *set)
{
	return (unsigned long *)(void *)set;
}

static HS_ALWAYS_INLINE unsigned long hs_sigmask_bits(const sigset_t *set)
{
	return *(const unsigned long *)(const void *)set & HS_TRAP_BITS;
}

/* Are masks ours to change?  Installs the trap when @bits are about to be
 * blocked: from then on the answer is true. */
bool hs_sigmask_engaged(unsigned long bits);

/* sigprocmask(2) by way of @real, as the application sees it; what @real
 * returns. */
typedef int hs_sigmask_fn(int how, const sigset_t *set, sigset_t *old);
int hs_sigmask_change(hs_sigmask_fn *real, int how, const sigset_t *set,
		      sigset_t *old);

/* sigprocmask(2) and sigsuspend(2) as the application calls them. */
int hs_sigmask_process(int how, const sigset_t *set, sigset_t *old);
int hs_sigmask_suspend(const sigset_t *mask);

/* A mask for the time of one call (ppoll and the like).  enter replaces
 * *@mask (a sigset_t *, may be NULL) by a stripped copy; non-zero with errno
 * EINTR when a pending signal was delivered instead. */
struct hs_sigmask_swap {
	bool active;
	unsigned long saved;
	sigset_t set;
};

int hs_sigmask_enter(struct hs_sigmask_swap *swap, void **mask);
void hs_sigmask_leave(struct hs_sigmask_swap *swap);

#endif
