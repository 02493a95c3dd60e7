/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * altstack.h - a signal stack for threads that have none of their own.
 *
 * A program may run on heap memory (coroutines whose stacks come from malloc).
 * When such a page cannot be had, the kernel cannot put a signal frame there
 * either, and kills.  So each thread that uses the heap gets a signal stack
 * outside the arena once a huge page is in use; the application does not see
 * it, and its own takes its place.
 *
 * The application's handlers for SIGBUS and SIGSEGV run where they would
 * without it: hs_altstack_leave() moves the kernel's frame to the stack that
 * was interrupted, and goes on there.
 *
 * Owner of the data: this module.  A stack belongs to the thread whose
 * hs_lock_self() its head names; it is re-used after the thread's exit, and
 * in a fork child when its thread has not come along.
 *
 * On arm64 there is none: frames there may have parts elsewhere.
 *
 * Context: thread-safe; attach, detach and the queries async-signal-safe.
 */
#ifndef HS_ALTSTACK_H
#define HS_ALTSTACK_H

#include <signal.h>
#include <ucontext.h>

#include "base.h"

/* Give the calling thread a stack unless it has one; from now on every thread
 * that calls it.  errno untouched. */
void hs_altstack_attach(void);

/* The calling thread exits. */
void hs_altstack_detach(void);

void hs_altstack_fork_child(void);

/* Is [sp] on the stack that this module gave the calling thread? */
bool hs_altstack_holds(uintptr_t sp);

/* sigaltstack(2) as the application sees it; by way of @real. */
int hs_altstack_set(int (*real)(const stack_t *, stack_t *),
		    const stack_t *ss, stack_t *old);

/*
 * From a handler that runs on a signal stack: put the kernel's frame onto the
 * interrupted stack and continue with @go there, as if the kernel had built it
 * there; its return is the return from the signal.  Returns only when that
 * cannot be done.
 */
typedef void hs_altstack_go(int sig, siginfo_t *info, void *context);
void hs_altstack_leave(hs_altstack_go *go, int sig, siginfo_t *info,
		       ucontext_t *uc);

#endif
