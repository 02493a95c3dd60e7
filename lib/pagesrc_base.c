/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagesrc_base.c - base pages, with and without advice for THP, and the
 * arena's reserved address space.
 *
 * Base pages are mapped without MAP_NORESERVE: what the kernel's overcommit
 * rules refuse to a bare malloc, they refuse here.
 */
#include "pagesrc_internal.h"

#include <sys/mman.h>

#include "sys.h"

static int map_base(void *addr, size_t len, size_t page_bytes, bool reserved)
{
	int flags = (hs_pagesrc_flags(reserved) & ~MAP_NORESERVE) |
		    MAP_ANONYMOUS;
	void *p = hs_sys.mmap(addr, len, PROT_READ | PROT_WRITE, flags, -1, 0);

	(void)page_bytes;
	if (hs_sys_is_err(p))
		return hs_sys_err(p);
	if (p == addr)
		return 0;
	hs_sys.munmap(p, len);
	return -EEXIST;
}

/* Advice that fails (THP off, a filter) leaves base pages, which is what the
 * caller can live with. */
static int map_thp(void *addr, size_t len, size_t page_bytes, bool reserved)
{
	int err = map_base(addr, len, page_bytes, reserved);

	if (err == 0)
		hs_sys.madvise(addr, len, MADV_HUGEPAGE);
	return err;
}

/* First touch is cheap enough in place, and nobody waits for a pool. */
static size_t populate_none(void *addr, size_t len, size_t page_bytes)
{
	(void)addr;
	(void)page_bytes;
	return len;
}

const struct hs_pagesrc hs_pagesrc_base = {
	.name = "base",
	.map = map_base,
	.populate = populate_none,
};

const struct hs_pagesrc hs_pagesrc_thp = {
	.name = "thp",
	.map = map_thp,
	.populate = populate_none,
};

/*
 * Mapped afresh, not mprotect()ed: a touched range made PROT_NONE merges into
 * the arena's mapping, and a core dump then walks all of it.
 */
int hs_pagesrc_reset(void *addr, size_t len, bool reserved)
{
	void *p;

	if (!reserved)
		return hs_sys.munmap(addr, len);
	p = hs_sys.mmap(addr, len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
			-1, 0);
	if (hs_sys_is_err(p))
		return hs_sys_err(p);
	hs_sys.madvise(addr, len, MADV_DONTDUMP);
	return 0;
}
