/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_page.c - see cow_internal.h: pages that take the place of others.
 *
 * Each is a mapping wherever the kernel puts it: when it has been moved to its
 * place nothing is left behind that somebody else could have taken meanwhile.
 */
#include <sys/mman.h>

#include "cow_internal.h"
#include "pagesrc.h"
#include "sys.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

/* Left out of forks before it has a page: the copy must not be shared while it
 * is made. */
char *hs_cow_page_make(void)
{
	size_t len = hs_region_slot_bytes();
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_HUGETLB |
		    (int)(hs_arena.slot_shift << MAP_HUGE_SHIFT);
	char *p = hs_sys.mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (hs_sys_is_err(p))
		return NULL;
	if (hs_sys.madvise(p, len, MADV_DONTFORK) == 0 &&
	    hs_pagesrc_own(p, len) == 0)
		return p;
	hs_sys.munmap(p, len);
	return NULL;
}

int hs_cow_page_move(char *page, char *addr)
{
	size_t len = hs_region_slot_bytes();
	int err = hs_sys.madvise(page, len, MADV_DOFORK);
	void *p;

	if (err)
		return err;
	p = hs_sys.mremap(page, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, addr);
	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

void hs_cow_page_drop(char *page)
{
	hs_sys.munmap(page, hs_region_slot_bytes());
}
