/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagesrc_internal.h - what the backends share with each other and with nobody
 * else.
 */
#ifndef HS_PAGESRC_INTERNAL_H
#define HS_PAGESRC_INTERNAL_H

#include "pagesrc.h"

/* Linux 4.17; older kernels ignore it, so the address must be compared. */
#define HS_MAP_FIXED_NOREPLACE 0x100000

/* mmap flags of every private mapping of ours. */
int hs_pagesrc_flags(bool reserved);

/* Map hugetlb memory of @fd (-1: anonymous, by @extra_flags). */
int hs_pagesrc_map_hugetlb_fd(void *addr, size_t len, int extra_flags, int fd,
			      bool reserved);

/* MADV_POPULATE_WRITE, and how far it got. */
size_t hs_pagesrc_populate_hugetlb(void *addr, size_t len, size_t page_bytes);

#endif
