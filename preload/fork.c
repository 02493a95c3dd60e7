/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork.c - the ways to fork that run no atfork handlers.
 *
 * fork(), forkpty() and daemon() run them (preload/init.c); vfork(),
 * posix_spawn() and clone(CLONE_VM) share the address space and change
 * nothing.  Left are _Fork(), clone() without CLONE_VM, and system calls by
 * number (preload/rawcall.c).
 *
 * A handler of our own, that runs before the library's locks are taken, looks
 * up every name when there are threads: the child could wait for ever for
 * ld.so's lock.
 */
#include <sched.h>

#include "fork.h"
#include "preload/call.h"
#include "preload/real.h"
#include "preload/start.h"
#include "preload/trap.h"
#include "regmap.h"
#include "rescue.h"
#include "sys.h"

int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *dso);

static void before_locks(void)
{
	if (hs_real_has_threads())
		hs_real_resolve_all();
}

HS_START void hs_fork_family_start(void)
{
	__register_atfork(before_locks, NULL, hs_trap_fork_child, NULL);
}

HS_EXPORT pid_t hs_wrap__Fork(void) __asm__("_Fork");
pid_t hs_wrap__Fork(void)
{
	pid_t (*real)(void) = hs_real(HS_REAL__Fork);
	pid_t pid;

	hs_fork_prepare();
	pid = real();
	if (pid == 0) {
		hs_fork_child();
		hs_trap_fork_child();
	} else {
		hs_fork_parent();
	}
	return pid;
}

/* --- clone() ------------------------------------------------------------ */

typedef int clone_fn(int (*fn)(void *), void *stack, int flags, void *arg,
		     void *ptid, void *tls, void *ctid);

struct child_start {
	int (*fn)(void *);
	void *arg;
	int *tid; /* to store there, or NULL */
};

static int child_main(void *arg)
{
	struct child_start start = *(struct child_start *)arg;

	hs_fork_child();
	hs_trap_fork_child();
	if (start.tid != NULL)
		*start.tid = hs_sys.gettid();
	return start.fn(start.arg);
}

/*
 * The kernel ignores it when it cannot store a thread id, so both words are
 * prepared; published before the fork, their slots are not shared by it.
 */
static void publish_ids(struct hs_call *c, int flags, void *ptid, void *ctid)
{
	hs_call_init(c);
	if (flags & (CLONE_PARENT_SETTID | CLONE_PIDFD))
		hs_call_w(c, ptid, sizeof(int));
	if (flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
		hs_call_w(c, ctid, sizeof(int));
	hs_call_begin(c);
}

/* The record is on the stack of the caller: the child has a copy of it. */
static int clone_forking(clone_fn *real, int (*fn)(void *), void *stack,
			 int flags, void *arg, void *ptid, void *tls,
			 void *ctid)
{
	struct child_start start = { .fn = fn, .arg = arg };
	int ret;

	/* The child's word is not there yet when the kernel would store. */
	if ((flags & CLONE_CHILD_SETTID) && hs_regmap_find(ctid))
		start.tid = ctid;
	hs_fork_prepare();
	ret = real(child_main, stack, flags, &start, ptid, tls, ctid);
	hs_fork_parent();
	return ret;
}

/* What a stack is taken to need: clone() is told where it ends, no more. */
#define STACK_BYTES (256 * HS_KIB)

/* The first push of a process or thread on a page that cannot be had could be
 * answered on no stack. */
static void pin_stack(const void *end)
{
	if (end != NULL && hs_call_active())
		hs_rescue_pin_base((const char *)end - STACK_BYTES,
				   STACK_BYTES);
}

static int do_clone(clone_fn *real, int (*fn)(void *), void *stack, int flags,
		    void *arg, void *ptid, void *tls, void *ctid)
{
	struct hs_call c;
	int ret;

	pin_stack(stack);
	publish_ids(&c, flags, ptid, ctid);
	if (fn == NULL || stack == NULL || (flags & CLONE_VM))
		ret = real(fn, stack, flags, arg, ptid, tls, ctid);
	else
		ret = clone_forking(real, fn, stack, flags, arg, ptid, tls,
				    ctid);
	hs_call_end(&c);
	return ret;
}

HS_EXPORT clone_fn hs_wrap_clone __asm__("clone");
int hs_wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg,
		  void *ptid, void *tls, void *ctid)
{
	return do_clone((clone_fn *)hs_real(HS_REAL_clone), fn, stack, flags,
			arg, ptid, tls, ctid);
}

HS_EXPORT clone_fn hs_wrap___clone __asm__("__clone");
int hs_wrap___clone(int (*fn)(void *), void *stack, int flags, void *arg,
		    void *ptid, void *tls, void *ctid)
{
	return do_clone((clone_fn *)hs_real(HS_REAL___clone), fn, stack, flags,
			arg, ptid, tls, ctid);
}
