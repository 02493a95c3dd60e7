/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sys_fault.h - a sys table that counts calls and fails the ones it is told to.
 *
 * Two uses, neither of them installed:
 *   - a build of the preload (tests/libhugeshim-fault.so) whose table it is,
 *     told by the environment:
 *
 *       HS_FAULT=RULE[,RULE...]      RULE is MEMBER:ERROR:once:N
 *                                         or MEMBER:ERROR:from:N
 *       HS_FAULT_COUNTS=FILE         a file of HS_FAULT_FILE_BYTES that every
 *                                    process maps shared: a struct
 *                                    hs_fault_counts
 *
 *     MEMBER is a name of struct hs_sys, ERROR a name such as ENOMEM, N counts
 *     from 1;
 *   - unit tests of the core, told by hs_fault_set().
 *
 * The Nth call counts over all processes that share the counts, else over the
 * one process.  A failing call is not made, with two exceptions: close(2),
 * which Linux always does, and a MADV_POPULATE_WRITE that fails with EFAULT,
 * of which the first half is done, as by a pool that runs dry.
 *
 * Context: all of it is thread-safe and async-signal-safe; no libc but memory
 * functions.
 */
#ifndef HS_TEST_SYS_FAULT_H
#define HS_TEST_SYS_FAULT_H

#include "sys.h"

#define HS_FAULT_MEMBERS(X)                                                    \
	X(mmap)                                                                \
	X(munmap)                                                              \
	X(mprotect)                                                            \
	X(madvise)                                                             \
	X(mremap)                                                              \
	X(mincore)                                                             \
	X(mbind)                                                               \
	X(open)                                                                \
	X(close)                                                               \
	X(read)                                                                \
	X(pread)                                                               \
	X(write)                                                               \
	X(pwrite)                                                              \
	X(ftruncate)                                                           \
	X(fstat)                                                               \
	X(fstatfs)                                                             \
	X(dup_cloexec)                                                         \
	X(ioctl)                                                               \
	X(readlink)                                                            \
	X(futex_wait)                                                          \
	X(futex_wake)                                                          \
	X(sigaction)                                                           \
	X(sigprocmask)                                                         \
	X(sigtimedwait)                                                        \
	X(prctl)                                                               \
	X(getrlimit)                                                           \
	X(getrandom)                                                           \
	X(getpid)                                                              \
	X(gettid)                                                              \
	X(tgkill)                                                              \
	X(clock_gettime)                                                       \
	X(sched_yield)

enum hs_fault_member {
#define X(name) HS_FAULT_##name,
	HS_FAULT_MEMBERS(X)
#undef X
		HS_FAULT_NR_MEMBERS
};

struct hs_fault_counts {
	_Atomic uint64_t calls[HS_FAULT_NR_MEMBERS];
	_Atomic uint64_t failed[HS_FAULT_NR_MEMBERS];
};

#define HS_FAULT_FILE_BYTES 4096

/* Of a name such as "mmap", or -1. */
int hs_fault_member(const char *name);
const char *hs_fault_member_name(int member);
/* Of a name such as "ENOMEM", or 0. */
int hs_fault_error(const char *name);

#ifndef HS_SYS_FAULT
/* Put the failing table in front of the one in use. */
void hs_fault_install(void);
/* Forget counts and rules; fail call @nth of @member with @err, and, with
 * @forever, every later one.  @err 0: only count. */
void hs_fault_set(int member, int err, uint64_t nth, bool forever);
const struct hs_fault_counts *hs_fault_counts(void);
#endif

#endif
