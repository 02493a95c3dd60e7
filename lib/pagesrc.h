/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagesrc.h - where pages come from: MAP_HUGETLB, a hugetlbfs mount, THP, base
 * pages.  One file a backend; policy is the caller's (region).
 *
 * Invariants
 * 1. Nothing is mapped over live data but by mremap of a whole, populated
 *    replacement.
 * 2. Every hugetlb mapping is private and MAP_NORESERVE.
 *
 * Context: thread-safe as far as the ranges are disjoint; async-signal-safe;
 * valid in a fork child.
 */
#ifndef HS_PAGESRC_H
#define HS_PAGESRC_H

#include "base.h"

struct hs_pagesrc {
	const char *name;
	/* Map [addr, addr + len) readable and writable, unpopulated, over what
	 * is there (the arena's own reservation, or nothing when @reserved is
	 * false).  0 or -errno, the range as before. */
	int (*map)(void *addr, size_t len, size_t page_bytes, bool reserved);
	/* Make pages present for writing.  Returns bytes populated from the
	 * start, always a multiple of page_bytes; never a signal. */
	size_t (*populate)(void *addr, size_t len, size_t page_bytes);
};

extern const struct hs_pagesrc hs_pagesrc_hugetlb; /* MAP_HUGETLB */
extern const struct hs_pagesrc hs_pagesrc_mount;   /* hugetlbfs mount */
extern const struct hs_pagesrc hs_pagesrc_thp;     /* base + MADV_HUGEPAGE */
extern const struct hs_pagesrc hs_pagesrc_base;

/* Give [addr, addr + len) pages of this process's own, present and writable:
 * absent ones are taken, shared ones copied by the kernel.  0, or -errno (with
 * part of it done) when there is none to be had; never a signal. */
int hs_pagesrc_own(void *addr, size_t len);

/* Is there a huge page at @addr, which may be read?  If the kernel does not
 * tell, one is there afterwards where one can be had. */
bool hs_pagesrc_has_page(void *addr, size_t len);

/* Map huge pages of the configured source, unpopulated, over mapped memory that
 * was never written to, with protection @prot.  0, or -errno: what is there
 * then is for the caller to mend. */
int hs_pagesrc_overlay(void *addr, size_t len, size_t page_bytes, int prot);

/* The hugetlb source that the configuration asks for. */
const struct hs_pagesrc *hs_pagesrc_huge(void);

/* Turn [addr, addr + len) back into reserved address space (PROT_NONE,
 * MAP_NORESERVE, DONTDUMP), or unmap it when @reserved is false. */
int hs_pagesrc_reset(void *addr, size_t len, bool reserved);

#endif
