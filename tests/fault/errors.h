/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * errors.h - which errors each call of the sys table may return.
 */
#ifndef HS_TEST_FAULT_ERRORS_H
#define HS_TEST_FAULT_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct fault_errors {
	const char *member;
	const char *names; /* separated by blanks */
};

/*
 * From the manual pages of Linux; EPERM besides, which a seccomp filter returns
 * for what it refuses.  Members that are missing here cannot fail.
 */
static const struct fault_errors fault_errors[] = {
	{ "mmap", "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM "
		  "EOVERFLOW EPERM ETXTBSY" },
	{ "munmap", "EINVAL ENOMEM EPERM" },
	{ "mprotect", "EACCES EINVAL ENOMEM EPERM" },
	{ "madvise", "EACCES EAGAIN EBADF EBUSY EFAULT EHWPOISON EINVAL EIO "
		     "ENOMEM EPERM" },
	{ "mremap", "EAGAIN EFAULT EINVAL ENOMEM EPERM" },
	{ "mincore", "EAGAIN EFAULT EINVAL ENOMEM EPERM" },
	{ "open", "EACCES EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL "
		  "EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT "
		  "ENOMEM ENOSPC ENOTDIR ENXIO EOVERFLOW EPERM EROFS ETXTBSY" },
	{ "close", "EBADF EDQUOT EINTR EIO ENOSPC EPERM" },
	{ "read", "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR EPERM" },
	{ "pread", "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ENXIO "
		   "EOVERFLOW EPERM ESPIPE" },
	{ "write", "EAGAIN EBADF EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC "
		   "EPERM EPIPE" },
	{ "pwrite", "EAGAIN EBADF EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC "
		    "ENXIO EOVERFLOW EPERM EPIPE ESPIPE" },
	{ "mbind", "EFAULT EINVAL EIO ENOMEM ENOSYS EPERM" },
	{ "ftruncate", "EACCES EBADF EFBIG EINTR EINVAL EIO EISDIR EPERM EROFS "
		       "ETXTBSY" },
	{ "fstat", "EBADF EFAULT ENOMEM EOVERFLOW EPERM" },
	{ "fstatfs", "EBADF EFAULT EINTR EIO ENOMEM ENOSYS EOVERFLOW EPERM" },
	{ "dup_cloexec", "EBADF EINVAL EMFILE EPERM" },
	{ "ioctl", "EBADF EFAULT EINVAL ENOTTY EPERM" },
	{ "readlink", "EACCES EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT "
		      "ENOMEM ENOTDIR EPERM" },
	{ "futex_wait", "EACCES EAGAIN EFAULT EINTR EINVAL ENOSYS EPERM "
			"ETIMEDOUT" },
	{ "futex_wake", "EACCES EFAULT EINVAL ENOSYS EPERM" },
	{ "sigaction", "EFAULT EINVAL EPERM" },
	{ "sigprocmask", "EFAULT EINVAL EPERM" },
	{ "sigtimedwait", "EAGAIN EINTR EINVAL EPERM" },
	{ "prctl", "EACCES EBADF EBUSY EFAULT EINVAL ENODEV ENXIO EOPNOTSUPP "
		   "EPERM" },
	{ "getrlimit", "EFAULT EINVAL EPERM ESRCH" },
	{ "getrandom", "EAGAIN EFAULT EINTR EINVAL ENOSYS EPERM" },
	{ "tgkill", "EAGAIN EINVAL EPERM ESRCH" },
	{ "clock_gettime", "EACCES EFAULT EINVAL ENODEV EPERM" },
};

#define FAULT_NR_ERRORS (sizeof(fault_errors) / sizeof(fault_errors[0]))

/* What all memory comes by.  When it is refused for ever, malloc gives NULL as
 * any malloc would, and a page that must be copied cannot be had at all. */
static inline bool fault_brings_memory(const char *member)
{
	return strcmp(member, "mmap") == 0;
}

/* What keeps the page of a call under way from a child: memory for the child's
 * copy, and advice to the kernel. */
static inline bool fault_shares_pages(const char *member)
{
	return fault_brings_memory(member) || strcmp(member, "madvise") == 0;
}

#endif
