/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sys.h - every system call the library makes, as one table.
 *
 * Purpose: tests replace entries (a fake OS for unit tests, the Nth call
 * failing for fault tests); nothing else in lib/ reaches the kernel.
 *
 * Invariants
 * 1. Members return the kernel's value, or -errno; errno is never touched.
 * 2. They are raw system calls: no cancellation point, no libc wrapper that
 *    may be interposed (by us or by another preload).
 *
 * Context: every member is thread-safe, async-signal-safe and valid in a
 * fork child.
 */
#ifndef HS_SYS_H
#define HS_SYS_H

#include "base.h"

struct timespec;
struct rlimit64;
struct stat;

/* Returned by mmap and mremap members; test with hs_sys_is_err(). */
static HS_ALWAYS_INLINE bool hs_sys_is_err(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)-4095L;
}

static HS_ALWAYS_INLINE int hs_sys_err(const void *p)
{
	return (int)(intptr_t)p;
}

struct hs_sys {
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd,
		      off_t off);
	int (*munmap)(void *addr, size_t len);
	int (*mprotect)(void *addr, size_t len, int prot);
	int (*madvise)(void *addr, size_t len, int advice);
	void *(*mremap)(void *old, size_t old_len, size_t new_len, int flags,
			void *new_addr);
	int (*mincore)(void *addr, size_t len, unsigned char *vec);
	/* @nodes: mask of @max_node bits, or NULL. */
	int (*mbind)(void *addr, size_t len, int mode,
		     const unsigned long *nodes, unsigned long max_node,
		     unsigned flags);
	/* openat(AT_FDCWD, path, flags | O_CLOEXEC, mode) */
	int (*open)(const char *path, int flags, int mode);
	int (*close)(int fd);
	ssize_t (*read)(int fd, void *buf, size_t len);
	ssize_t (*pread)(int fd, void *buf, size_t len, off_t off);
	ssize_t (*write)(int fd, const void *buf, size_t len);
	ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t off);
	int (*ftruncate)(int fd, off_t len);
	/* struct stat of libc. */
	int (*fstat)(int fd, struct stat *stat_buf);
	int (*fstatfs)(int fd, void *statfs_buf);
	/* The lowest free descriptor from @lowest up, close-on-exec. */
	int (*dup_cloexec)(int fd, int lowest);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	int (*readlink)(const char *path, char *buf, size_t len);
	/* Private futex; timeout is relative, NULL waits for ever. */
	int (*futex_wait)(_Atomic uint32_t *word, uint32_t expected,
			  const struct timespec *timeout);
	int (*futex_wake)(_Atomic uint32_t *word, int count);
	/* struct sigaction of libc, not the kernel's; mask of 8 bytes. */
	int (*sigaction)(int sig, const void *act, void *old);
	int (*sigprocmask)(int how, const void *set, void *old);
	/* @set: mask of 8 bytes; @info: siginfo_t or NULL. */
	int (*sigtimedwait)(const void *set, void *info,
			    const struct timespec *timeout);
	int (*prctl)(int option, unsigned long a2, unsigned long a3,
		     unsigned long a4, unsigned long a5);
	/* struct rlimit64, of this process. */
	int (*getrlimit)(int resource, struct rlimit64 *limit);
	int (*getrandom)(void *buf, size_t len, unsigned flags);
	int (*getpid)(void);
	int (*gettid)(void);
	int (*tgkill)(int pid, int tid, int sig);
	int (*clock_gettime)(int clock, struct timespec *ts);
	int (*sched_yield)(void);
};

/* The table in use.  Written only before the first thread exists (tests,
 * fault injection); read everywhere. */
extern struct hs_sys hs_sys;

/* Bytes of a base page; read once from the auxiliary vector. */
size_t hs_sys_page_size(void);

/* Kill this process by SIGABRT with default disposition, after the caller
 * has said why in one line.  Context: any. */
void hs_sys_abort(void) __attribute__((noreturn));

#endif
