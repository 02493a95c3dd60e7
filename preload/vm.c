/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.c - the mmap family, as far as it is used on heap memory.
 *
 * Programs protect, advise and map over pages of blocks they got from
 * malloc and memalign (guard pages, ring buffers, just-in-time code).  Base
 * pages allow that at 4 KiB; a hugetlb slot answers EINVAL, or does nothing and
 * says it did.  So the slots of such a range become base pages first.  Where
 * that cannot be, the call gets the kernel's answer.
 *
 * Mappings of the program's own pass straight through.
 */
#include <stdarg.h>
#include <sys/mman.h>

#include "base.h"
#include "preload/real.h"
#include "region.h"
#include "rescue.h"
#include "sys.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

typedef void *fn_mmap(void *, size_t, int, int, int, off_t);
typedef int fn_munmap(void *, size_t);
typedef int fn_mprotect(void *, size_t, int);
typedef int fn_pkey_mprotect(void *, size_t, int, int);
typedef int fn_madvise(void *, size_t, int);
typedef void *fn_mremap(void *, size_t, size_t, int, ...);

/*
 * On huge pages these are true already, or matter only for speed; the kernel
 * would refuse some for their alignment.
 */
static bool is_granted(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_COLLAPSE:
	case MADV_COLD:
		return true;
	default:
		return false;
	}
}

HS_EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd,
		     off_t off)
{
	fn_mmap *real = (fn_mmap *)hs_real(HS_REAL_mmap);
	void *p;

	if (!(flags & MAP_FIXED))
		return real(addr, len, prot, flags, fd, off);
	hs_rescue_pin_base(addr, len);
	p = real(addr, len, prot, flags, fd, off);
	if (p != MAP_FAILED)
		hs_region_disown(p, len);
	return p;
}

HS_EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
		       off_t off) __attribute__((alias("mmap")));

HS_EXPORT int munmap(void *addr, size_t len)
{
	hs_rescue_pin_base(addr, len);
	return ((fn_munmap *)hs_real(HS_REAL_munmap))(addr, len);
}

HS_EXPORT int mprotect(void *addr, size_t len, int prot)
{
	hs_rescue_pin_base(addr, len);
	return ((fn_mprotect *)hs_real(HS_REAL_mprotect))(addr, len, prot);
}

HS_EXPORT int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	hs_rescue_pin_base(addr, len);
	return ((fn_pkey_mprotect *)hs_real(HS_REAL_pkey_mprotect))(
		addr, len, prot, pkey);
}

/* Aligned as the kernel wants it, so that a wrong call still fails. */
static bool granted_on_heap(void *addr, size_t len, int advice)
{
	return is_granted(advice) && hs_region_contains(addr) &&
	       ((uintptr_t)addr & (hs_sys_page_size() - 1)) == 0 && len > 0 &&
	       len < hs_arena.size_bytes &&
	       hs_region_contains((char *)addr + len - 1) &&
	       hs_slot_state(hs_region_slot(addr)) != HS_SLOT_BASE;
}

HS_EXPORT int madvise(void *addr, size_t len, int advice)
{
	if (granted_on_heap(addr, len, advice))
		return 0;
	if (advice != MADV_POPULATE_READ && advice != MADV_POPULATE_WRITE)
		hs_rescue_pin_base(addr, len);
	return ((fn_madvise *)hs_real(HS_REAL_madvise))(addr, len, advice);
}

/* glibc answers POSIX_MADV_DONTNEED without a call. */
HS_EXPORT int posix_madvise(void *addr, size_t len, int advice)
{
	if (advice != POSIX_MADV_DONTNEED && granted_on_heap(addr, len, advice))
		return 0;
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
		hs_rescue_pin_base(new_addr, new_len);
	}
	hs_rescue_pin_base(old, old_len);
	return ((fn_mremap *)hs_real(HS_REAL_mremap))(old, old_len, new_len,
						      flags, new_addr);
}
