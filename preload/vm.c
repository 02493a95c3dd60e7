/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.c - the mmap family: lib/vm.h does what concerns huge pages; the rest goes
 * straight through.
 *
 * On memory of the heap, which programs protect, advise and map over too (guard
 * pages, ring buffers, just-in-time code), the slots of the range become base
 * pages first.
 */
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base.h"
#include "preload/call.h"
#include "preload/mapping.h"
#include "preload/real.h"
#include "preload/shm.h"
#include "region.h"
#include "sys.h"
#include "vm.h"

typedef void *fn_mmap(void *, size_t, int, int, int, off_t);
typedef int fn_munmap(void *, size_t);
typedef int fn_mprotect(void *, size_t, int);
typedef int fn_pkey_mprotect(void *, size_t, int, int);
typedef int fn_madvise(void *, size_t, int);
typedef void *fn_mremap(void *, size_t, size_t, int, ...);

/* As the C library answers: -errno becomes -1 and errno. */
static int answer(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static void *answer_address(void *p)
{
	if (!hs_sys_is_err(p))
		return p;
	errno = -hs_sys_err(p);
	return MAP_FAILED;
}

HS_EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd,
		     off_t off)
{
	void *p;

	if (!hs_vm_wants(addr, len, prot, flags))
		p = ((fn_mmap *)hs_real(HS_REAL_mmap))(addr, len, prot, flags,
						       fd, off);
	else
		p = answer_address(hs_vm_mmap(addr, len, prot, flags, fd, off));
	if (p == MAP_FAILED)
		return p;
	if (flags & MAP_FIXED)
		hs_region_disown(p, len);
	else if (hs_vm_is_small(addr, len, prot, flags))
		hs_vm_small_mapped(p, len);
	return p;
}

HS_EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
		       off_t off) __attribute__((alias("mmap")));

HS_EXPORT int munmap(void *addr, size_t len)
{
	if (hs_vm_concerns(addr, len))
		return answer(hs_vm_munmap(addr, len));
	return ((fn_munmap *)hs_real(HS_REAL_munmap))(addr, len);
}

HS_EXPORT int mprotect(void *addr, size_t len, int prot)
{
	if (hs_vm_concerns(addr, len))
		return answer(hs_vm_mprotect(addr, len, prot));
	return ((fn_mprotect *)hs_real(HS_REAL_mprotect))(addr, len, prot);
}

HS_EXPORT int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	int err;

	if (pkey == -1)
		return mprotect(addr, len, prot);
	err = hs_vm_release(addr, len);
	if (err)
		return answer(err);
	return ((fn_pkey_mprotect *)hs_real(HS_REAL_pkey_mprotect))(
		addr, len, prot, pkey);
}

HS_EXPORT int madvise(void *addr, size_t len, int advice)
{
	if (hs_vm_concerns(addr, len))
		return answer(hs_vm_madvise(addr, len, advice));
	return ((fn_madvise *)hs_real(HS_REAL_madvise))(addr, len, advice);
}

/* glibc answers POSIX_MADV_DONTNEED without a call; the others are numbered as
 * the kernel's.  An error is the value. */
HS_EXPORT int posix_madvise(void *addr, size_t len, int advice)
{
	if (advice != POSIX_MADV_DONTNEED && advice >= 0 &&
	    advice <= POSIX_MADV_DONTNEED && hs_vm_concerns(addr, len))
		return -hs_vm_madvise(addr, len, advice);
	return ((fn_madvise *)hs_real(HS_REAL_posix_madvise))(addr, len,
							      advice);
}

HS_EXPORT void *mremap(void *old, size_t old_len, size_t new_len, int flags,
		       ...)
{
	void *new_addr = NULL, *p;
	va_list ap;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	if (hs_vm_concerns(old, old_len) ||
	    (flags & MREMAP_FIXED && hs_vm_concerns(new_addr, new_len)))
		return answer_address(
			hs_vm_mremap(old, old_len, new_len, flags, new_addr));
	p = ((fn_mremap *)hs_real(HS_REAL_mremap))(old, old_len, new_len,
						   flags, new_addr);
	if (p == MAP_FAILED && errno == EFAULT && hs_regmap.in_use)
		p = answer_address(hs_vm_mremap(old, old_len, new_len, flags,
						new_addr));
	return p;
}

/* --- what only the kernel can do to a page: it gets base pages ----------- */

typedef int fn_mlock(const void *, size_t);
typedef int fn_mlock2(const void *, size_t, unsigned);
typedef int fn_remap_file_pages(void *, size_t, int, size_t, int);
typedef ssize_t fn_process_madvise(int, const struct iovec *, size_t, int,
				   unsigned);
typedef void *fn_shmat(int, const void *, int);
typedef int fn_brk(void *);
typedef void *fn_sbrk(intptr_t);

/* Locked memory counts, and refuses some advice. */
HS_EXPORT int mlock(const void *addr, size_t len)
{
	int err = hs_vm_release(addr, len);

	if (err)
		return answer(err);
	return ((fn_mlock *)hs_real(HS_REAL_mlock))(addr, len);
}

HS_EXPORT int mlock2(const void *addr, size_t len, unsigned flags)
{
	int err = hs_vm_release(addr, len);

	if (err)
		return answer(err);
	return ((fn_mlock2 *)hs_real(HS_REAL_mlock2))(addr, len, flags);
}

HS_EXPORT int remap_file_pages(void *addr, size_t len, int prot, size_t off,
			       int flags)
{
	int err = hs_vm_release(addr, len);

	if (err)
		return answer(err);
	return ((fn_remap_file_pages *)hs_real(HS_REAL_remap_file_pages))(
		addr, len, prot, off, flags);
}

/* Of another process the addresses mean nothing here, and at worst a page of
 * ours is a base page for it. */
static int release_all(const struct iovec *iov, size_t n)
{
	int err = 0;

	if (!hs_call_plausible(iov) || n > IOV_MAX)
		return 0;
	for (size_t i = 0; i < n && !err; i++)
		if (hs_vm_concerns(iov[i].iov_base, iov[i].iov_len))
			err = hs_vm_release(iov[i].iov_base, iov[i].iov_len);
	return err;
}

HS_EXPORT ssize_t process_madvise(int pidfd, const struct iovec *iov, size_t n,
				  int advice, unsigned flags)
{
	int err = release_all(iov, n);

	if (err)
		return answer(err);
	return ((fn_process_madvise *)hs_real(HS_REAL_process_madvise))(
		pidfd, iov, n, advice, flags);
}

/* Over something that is mapped: as long as the segment is. */
static int release_for_segment(int id, const void *addr, int flags)
{
	struct shmid_ds segment;

	if (!(flags & SHM_REMAP) || shmctl(id, IPC_STAT, &segment) != 0)
		return 0;
	return hs_vm_release(addr, hs_shm_length(segment.shm_segsz));
}

HS_EXPORT void *shmat(int id, const void *addr, int flags)
{
	int err = release_for_segment(id, addr, flags);

	if (err)
		return answer_address((void *)(intptr_t)err);
	return ((fn_shmat *)hs_real(HS_REAL_shmat))(id, addr, flags);
}

/* Of the program break: what a program maps over memory below it is unmapped
 * when the break goes back. */
static int release_above(uintptr_t addr)
{
	uintptr_t end = (uintptr_t)((fn_sbrk *)hs_real(HS_REAL_sbrk))(0);

	return addr != 0 && addr < end
		       ? hs_vm_release((void *)addr, end - addr)
		       : 0;
}

HS_EXPORT int brk(void *addr)
{
	int err = release_above((uintptr_t)addr);

	if (err)
		return answer(err);
	return ((fn_brk *)hs_real(HS_REAL_brk))(addr);
}

HS_EXPORT void *sbrk(intptr_t increment)
{
	fn_sbrk *real = (fn_sbrk *)hs_real(HS_REAL_sbrk);
	int err = 0;

	if (increment < 0)
		err = release_above((uintptr_t)real(0) + (uintptr_t)increment);
	if (err)
		return answer_address((void *)(intptr_t)err);
	return real(increment);
}

/* --- by number ----------------------------------------------------------- */

/* The range that a call of the kind above names. */
static int release_for(long nr, const long *a)
{
	switch (nr) {
	case SYS_mlock:
	case SYS_mlock2:
#ifdef SYS_remap_file_pages
	case SYS_remap_file_pages:
#endif
#ifdef SYS_mbind
	case SYS_mbind:
#endif
	case SYS_set_mempolicy_home_node:
	case SYS_mseal:
	case SYS_pkey_mprotect:
		return hs_vm_release((void *)a[0], (size_t)a[1]);
#ifdef SYS_process_madvise
	case SYS_process_madvise:
		return release_all((const struct iovec *)a[1], (size_t)a[2]);
#endif
	case SYS_shmat:
		return release_for_segment((int)a[0], (void *)a[1], (int)a[2]);
	case SYS_brk: /* a failure is the kernel's, which tells by the break */
		release_above((uintptr_t)a[0]);
		return 0;
	default:
		return 0;
	}
}

static bool mapping_call(long nr, const long *a, long *ret)
{
	void *addr = (void *)a[0];
	size_t len = (size_t)a[1];

	switch (nr) {
	case SYS_mmap:
		if (!hs_vm_wants(addr, len, (int)a[2], (int)a[3]))
			return false;
		*ret = (long)hs_vm_mmap(addr, len, (int)a[2], (int)a[3],
					(int)a[4], a[5]);
		return true;
	case SYS_munmap:
		*ret = hs_vm_munmap(addr, len);
		return true;
	case SYS_pkey_mprotect:
		if ((int)a[3] != -1)
			return false;
		/* fallthrough */
	case SYS_mprotect:
		*ret = hs_vm_mprotect(addr, len, (int)a[2]);
		return true;
	case SYS_madvise:
		*ret = hs_vm_madvise(addr, len, (int)a[2]);
		return true;
	case SYS_mremap:
		*ret = (long)hs_vm_mremap(addr, len, (size_t)a[2], (int)a[3],
					  (void *)a[4]);
		return true;
	default:
		return false;
	}
}

bool hs_mapping_call(long nr, const long *a, long *ret)
{
	if (!mapping_call(nr, a, ret)) {
		*ret = release_for(nr, a);
		if (*ret == 0)
			return false;
	}
	if (hs_sys_is_err((void *)*ret)) {
		errno = (int)-*ret;
		*ret = -1;
	}
	return true;
}
