/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rawcall.c - syscall(): a system call by its number.
 *
 * Forks, limits and signal masks are treated as by the functions that libc has
 * for them; memory that the kernel reads or writes is prepared (lines of class
 * raw in lib/syscalls.tab); everything else goes straight through, by a jump:
 * SYS_vfork's child must find no frame of ours.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fork.h"
#include "preload/call.h"
#include "preload/limiting.h"
#include "preload/mapping.h"
#include "preload/real.h"
#include "preload/sigmask.h"
#include "preload/trap.h"

typedef long syscall_fn(long nr, long a0, long a1, long a2, long a3, long a4,
			long a5);

static syscall_fn *real_syscall(void)
{
	return (syscall_fn *)hs_real(HS_REAL_syscall);
}

/* --- forks -------------------------------------------------------------- */

/*
 * @own_stack: the child is not going to return here but to whatever its stack
 * says, so nothing can be done on its side: it finds out by the locks' page
 * that the kernel wipes (lib/lock.h).  In the parent it is as if the fork had
 * been seen just after it happened: no lock may be held while it does.
 */
static long forking(long nr, const long *a, bool own_stack)
{
	syscall_fn *real = real_syscall();
	long ret;

	if (!own_stack)
		hs_fork_prepare();
	ret = real(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (ret == 0 && !own_stack) {
		hs_fork_child();
		hs_trap_fork_child();
		return 0;
	}
	if (own_stack)
		hs_fork_prepare();
	hs_fork_parent();
	return ret;
}

/* struct clone_args of the kernel, as far as it matters. */
struct clone3_head {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack;
};

/* Does this call give the child its own copy of the memory? */
static bool is_fork(long nr, const long *a, bool *own_stack)
{
	const struct clone3_head *args = (const void *)a[0];

	*own_stack = false;
	switch (nr) {
#ifdef SYS_fork
	case SYS_fork:
		return true;
#endif
	case SYS_clone:
		*own_stack = a[1] != 0;
		return (a[0] & CLONE_VM) == 0;
#ifdef SYS_clone3
	case SYS_clone3:
		if (!hs_call_plausible(args) || (size_t)a[1] < sizeof(*args))
			return false;
		*own_stack = args->stack != 0;
		return (args->flags & CLONE_VM) == 0;
#endif
	default:
		return false;
	}
}

/* --- limits ------------------------------------------------------------- */

static void announce(long nr, const long *a)
{
	const unsigned long *limit;

	switch (nr) {
#ifdef SYS_seccomp
	case SYS_seccomp:
		if (a[0] == 0 || a[0] == 1) /* SET_MODE_STRICT, _FILTER */
			hs_limits_seccomp();
		break;
#endif
	case SYS_prctl:
		hs_limits_prctl((int)a[0], a[1]);
		break;
	case SYS_setrlimit:
		limit = (const unsigned long *)a[1];
		if (hs_call_plausible(limit))
			hs_limits_rlimit((int)a[0], *limit);
		break;
	case SYS_prlimit64:
		limit = (const unsigned long *)a[2];
		if (hs_call_plausible(limit))
			hs_limits_rlimit((int)a[1], *limit);
		break;
	case SYS_mlockall:
		hs_limits_mlockall((int)a[0]);
		break;
	default:
		break;
	}
}

/* --- masks -------------------------------------------------------------- */

static int raw_mask(int how, const sigset_t *set, sigset_t *old)
{
	return (int)real_syscall()(SYS_rt_sigprocmask, how, (long)set,
				   (long)old, sizeof(unsigned long), 0, 0);
}

/* --- mappings ----------------------------------------------------------- */

static bool is_mapping(long nr)
{
	switch (nr) {
#ifdef SYS_remap_file_pages
	case SYS_remap_file_pages:
#endif
#ifdef SYS_mbind
	case SYS_mbind:
#endif
	case SYS_set_mempolicy_home_node:
	case SYS_mseal:
	case SYS_brk:
#ifdef SYS_process_madvise
	case SYS_process_madvise:
#endif
	case SYS_mmap:
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_madvise:
	case SYS_mremap:
	case SYS_shmat:
	case SYS_mlock:
	case SYS_mlock2:
		return true;
	default:
		return false;
	}
}

/* --- the call ----------------------------------------------------------- */

/* Numbers that need more than their memory prepared. */
static bool is_special(long nr)
{
	switch (nr) {
#ifdef SYS_fork
	case SYS_fork:
#endif
#ifdef SYS_clone3
	case SYS_clone3:
#endif
#ifdef SYS_seccomp
	case SYS_seccomp:
#endif
	case SYS_clone:
	case SYS_prctl:
	case SYS_setrlimit:
	case SYS_prlimit64:
	case SYS_mlockall:
	case SYS_rt_sigprocmask:
		return true;
	default:
		return is_mapping(nr);
	}
}

static HS_NOINLINE long special(long nr, const long *a)
{
	bool own_stack;
	long ret;

	if (is_mapping(nr) && hs_mapping_call(nr, a, &ret))
		return ret;

	if (nr == SYS_rt_sigprocmask && a[3] == sizeof(unsigned long))
		return hs_sigmask_change(raw_mask, (int)a[0],
					 (const sigset_t *)a[1],
					 (sigset_t *)a[2]);
	if (is_fork(nr, a, &own_stack))
		return forking(nr, a, own_stack);
	announce(nr, a);
	return real_syscall()(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static HS_NOINLINE long prepared(long nr, const long *a)
{
	struct hs_call c;
	long ret;

	hs_call_init(&c);
	hs_raw_ranges(&c, nr, a);
	do {
		hs_call_begin(&c);
		ret = real_syscall()(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		hs_call_end(&c);
	} while (ret == -1 && hs_call_again(&c));
	return ret;
}

static HS_NOINLINE long with_array(bool is_special_nr, long nr, long a0,
				   long a1, long a2, long a3, long a4, long a5)
{
	const long a[6] = { a0, a1, a2, a3, a4, a5 };

	return is_special_nr ? special(nr, a) : prepared(nr, a);
}

HS_EXPORT syscall_fn hs_wrap_syscall __asm__("syscall");
long hs_wrap_syscall(long nr, long a0, long a1, long a2, long a3, long a4,
		     long a5)
{
	bool is_special_nr = is_special(nr);

#ifdef SYS_vfork
	if (nr == SYS_vfork)
		return real_syscall()(nr, a0, a1, a2, a3, a4, a5);
#endif
	if (is_special_nr || hs_call_active())
		return with_array(is_special_nr, nr, a0, a1, a2, a3, a4, a5);
	return real_syscall()(nr, a0, a1, a2, a3, a4, a5);
}
