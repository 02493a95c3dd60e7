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
#include <sys/uio.h>

#include "base.h"
#include "preload/real.h"
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
	if (flags & MAP_FIXED && p != MAP_FAILED)
		hs_region_disown(p, len);
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
	void *new_addr = NULL;
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
	return ((fn_mremap *)hs_real(HS_REAL_mremap))(old, old_len, new_len,
						      flags, new_addr);
}
