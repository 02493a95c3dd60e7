/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* limits.c - see limiting.h. */
#include "preload/limiting.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "heap.h"
#include "preload/call.h"
#include "preload/real.h"
#include "preload/trap.h"
#include "raw.h"
#include "regmap.h"
#include "sys.h"
#include "vm.h"

/* What the heap asks the kernel once, it asks while it may. */
void hs_limits_seccomp(void)
{
	if (hs_trap_is_vfork_child())
		return;
	hs_heap_free(hs_heap_malloc(1));
	hs_vm_settle(false);
	hs_region_restrict();
}

/* The modes are those of <linux/seccomp.h>: strict and filter. */
void hs_limits_prctl(int option, long a1)
{
	if (option == PR_SET_SECCOMP && (a1 == 1 || a1 == 2))
		hs_limits_seccomp();
}

/* Locked memory counts neither address space nor huge pages: RLIMIT_MEMLOCK
 * matters to mlockall() alone, which is below. */
void hs_limits_rlimit(int resource, unsigned long soft)
{
	if ((resource == RLIMIT_AS || resource == RLIMIT_DATA) &&
	    soft != (unsigned long)RLIM_INFINITY && !hs_trap_is_vfork_child())
		hs_region_unreserve(false);
}

/* For want of CAP_IPC_LOCK, which root is taken to have. */
static bool locking_is_limited(void)
{
	struct rlimit64 limit;

	return hs_raw6(SYS_geteuid, 0, 0, 0, 0, 0, 0) != 0 &&
	       hs_sys.getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	       limit.rlim_cur != RLIM64_INFINITY;
}

void hs_limits_mlockall(int flags)
{
	bool leave = (flags & MCL_FUTURE) && locking_is_limited();

	if (flags & (MCL_CURRENT | MCL_FUTURE))
		hs_region_unreserve((flags & MCL_CURRENT) != 0);
	if (leave || flags & MCL_CURRENT)
		hs_vm_settle(leave);
	if (leave)
		hs_region_leave_pool((flags & MCL_CURRENT) != 0);
}

static void announce(int resource, const struct rlimit *limit)
{
	if (hs_call_plausible(limit))
		hs_limits_rlimit(resource, limit->rlim_cur);
}

typedef int setrlimit_fn(int resource, const struct rlimit *limit);
typedef int prlimit_fn(int pid, int resource, const struct rlimit *limit,
		       struct rlimit *old);

HS_EXPORT setrlimit_fn hs_wrap_setrlimit __asm__("setrlimit");
int hs_wrap_setrlimit(int resource, const struct rlimit *limit)
{
	announce(resource, limit);
	return ((setrlimit_fn *)hs_real(HS_REAL_setrlimit))(resource, limit);
}

HS_EXPORT setrlimit_fn hs_wrap_setrlimit64 __asm__("setrlimit64");
int hs_wrap_setrlimit64(int resource, const struct rlimit *limit)
{
	announce(resource, limit);
	return ((setrlimit_fn *)hs_real(HS_REAL_setrlimit64))(resource, limit);
}

/* The old value is stored after the new one is in force: into a local. */
static int do_prlimit(prlimit_fn *real, int pid, int resource,
		      const struct rlimit *limit, struct rlimit *old)
{
	struct rlimit was;
	int ret;

	if (limit != NULL && (pid == 0 || pid == hs_sys.getpid()))
		announce(resource, limit);
	if (!hs_regmap_find(old))
		return real(pid, resource, limit, old);
	ret = real(pid, resource, limit, &was);
	if (ret == 0)
		*old = was;
	return ret;
}

HS_EXPORT prlimit_fn hs_wrap_prlimit __asm__("prlimit");
int hs_wrap_prlimit(int pid, int resource, const struct rlimit *limit,
		    struct rlimit *old)
{
	return do_prlimit((prlimit_fn *)hs_real(HS_REAL_prlimit), pid, resource,
			  limit, old);
}

HS_EXPORT prlimit_fn hs_wrap_prlimit64 __asm__("prlimit64");
int hs_wrap_prlimit64(int pid, int resource, const struct rlimit *limit,
		      struct rlimit *old)
{
	return do_prlimit((prlimit_fn *)hs_real(HS_REAL_prlimit64), pid,
			  resource, limit, old);
}

HS_EXPORT int hs_wrap_mlockall(int flags) __asm__("mlockall");
int hs_wrap_mlockall(int flags)
{
	hs_limits_mlockall(flags);
	return ((int (*)(int))hs_real(HS_REAL_mlockall))(flags);
}

typedef int prctl_fn(int option, long a1, long a2, long a3, long a4);

HS_EXPORT prctl_fn hs_wrap_prctl __asm__("prctl");
int hs_wrap_prctl(int option, long a1, long a2, long a3, long a4)
{
	prctl_fn *real = (prctl_fn *)hs_real(HS_REAL_prctl);
	struct hs_call c;
	int ret;

	hs_limits_prctl(option, a1);
	hs_call_init(&c);
	if (hs_call_active())
		hs_call_prctl(&c, option, a1, a2, a4);
	hs_call_begin(&c);
	ret = real(option, a1, a2, a3, a4);
	hs_call_end(&c);
	return ret;
}
