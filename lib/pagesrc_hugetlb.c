/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagesrc_hugetlb.c - anonymous private hugetlb memory, and what it shares
 * with the mount: populating.
 */
#include "pagesrc_internal.h"

#include <sys/mman.h>

#include "config.h"
#include "sys.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

int hs_pagesrc_flags(bool reserved)
{
	return MAP_PRIVATE | MAP_NORESERVE |
	       (reserved ? MAP_FIXED : HS_MAP_FIXED_NOREPLACE);
}

/*
 * PROT_NONE first, then writable: mlockall(MCL_FUTURE) populates what mmap
 * maps writable, by its own rules.
 */
int hs_pagesrc_map_hugetlb_fd(void *addr, size_t len, int extra_flags, int fd,
			      bool reserved)
{
	void *p = hs_sys.mmap(addr, len, PROT_NONE,
			      hs_pagesrc_flags(reserved) | extra_flags, fd, 0);
	int err;

	if (hs_sys_is_err(p))
		return hs_sys_err(p);
	if (p != addr) { /* a kernel before 4.17 took the address as a hint */
		hs_sys.munmap(p, len);
		return -EEXIST;
	}
	err = hs_sys.mprotect(addr, len, PROT_READ | PROT_WRITE);
	if (err)
		hs_pagesrc_reset(addr, len, reserved);
	return err;
}

static int map(void *addr, size_t len, size_t page_bytes, bool reserved)
{
	int size_flag = __builtin_ctzl(page_bytes) << MAP_HUGE_SHIFT;

	return hs_pagesrc_map_hugetlb_fd(
		addr, len, MAP_ANONYMOUS | MAP_HUGETLB | size_flag, -1,
		reserved);
}

int hs_pagesrc_overlay(void *addr, size_t len, size_t page_bytes, int prot)
{
	int size_flag = __builtin_ctzl(page_bytes) << MAP_HUGE_SHIFT;
	void *p;
	int err;

	if (!hs_config->mount) {
		p = hs_sys.mmap(addr, len, prot,
				hs_pagesrc_flags(true) | MAP_ANONYMOUS |
					MAP_HUGETLB | size_flag,
				-1, 0);
		return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
	}
	err = hs_pagesrc_mount.map(addr, len, page_bytes, true);
	if (!err && prot != (PROT_READ | PROT_WRITE))
		err = hs_sys.mprotect(addr, len, prot);
	return err;
}

int hs_pagesrc_own(void *addr, size_t len)
{
	return hs_sys.madvise(addr, len, MADV_POPULATE_WRITE);
}

/* Reading what is not there would be a fault, with the rescue's lock held. */
bool hs_pagesrc_has_page(void *addr, size_t len)
{
	unsigned char vec = 0;

	if (hs_sys.mincore(addr, hs_sys_page_size(), &vec) == 0)
		return vec & 1;
	return hs_sys.madvise(addr, len, MADV_POPULATE_READ) != -EFAULT;
}

static bool is_resident(char *page)
{
	unsigned char vec = 0;

	return hs_sys.mincore(page, hs_sys_page_size(), &vec) == 0 && (vec & 1);
}

/*
 * The kernel stops at the first page it cannot have and does not say where;
 * what it got stays.  EFAULT: pool, cgroup or quota; nothing is signalled.
 */
size_t hs_pagesrc_populate_hugetlb(void *addr, size_t len, size_t page_bytes)
{
	char *p = addr;
	size_t done = 0;

	if (hs_pagesrc_own(addr, len) == 0)
		return len;
	while (done < len && is_resident(p + done))
		done += page_bytes;
	return done;
}

const struct hs_pagesrc hs_pagesrc_hugetlb = {
	.name = "hugetlb",
	.map = map,
	.populate = hs_pagesrc_populate_hugetlb,
};

const struct hs_pagesrc *hs_pagesrc_huge(void)
{
	return hs_config->mount ? &hs_pagesrc_mount : &hs_pagesrc_hugetlb;
}
