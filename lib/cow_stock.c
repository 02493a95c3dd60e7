/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_stock.c - see cow_internal.h.
 *
 * Each page is a mapping of its own wherever the kernel puts it: when it has
 * been moved to its place nothing is left behind that somebody else could have
 * taken meanwhile.
 */
#include <sys/mman.h>

#include "cow_internal.h"
#include "lock.h"
#include "pagesrc.h"
#include "sys.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

static _Atomic(char *) stock[HS_COW_STOCK_MAX];
/* Whose stock it is: the child of a fork that nobody saw inherits the pointers
 * but not the pages. */
static _Atomic uint32_t owner;

static bool is_ours(void)
{
	return atomic_load(&owner) == hs_lock_generation();
}

/* Left out of forks before it has a page: the copy must not be shared while it
 * is made. */
static char *make(void)
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

static char *take_stored(void)
{
	for (unsigned i = 0; i < HS_COW_STOCK_MAX; i++) {
		char *p = atomic_load(&stock[i]);

		if (p && atomic_compare_exchange_strong(&stock[i], &p, NULL))
			return p;
	}
	return NULL;
}

char *hs_cow_stock_take(void)
{
	char *p;

	if (!is_ours())
		hs_cow_stock_forget();
	p = take_stored();
	return p ? p : make();
}

void hs_cow_stock_drop(char *page)
{
	hs_sys.munmap(page, hs_region_slot_bytes());
}

unsigned hs_cow_stock_nr(void)
{
	unsigned n = 0;

	for (unsigned i = 0; is_ours() && i < HS_COW_STOCK_MAX; i++)
		n += atomic_load(&stock[i]) != NULL;
	return n;
}

void hs_cow_stock_empty(void)
{
	char *p;

	if (!is_ours())
		hs_cow_stock_forget();
	while ((p = take_stored()) != NULL)
		hs_cow_stock_drop(p);
}

void hs_cow_stock_forget(void)
{
	for (unsigned i = 0; i < HS_COW_STOCK_MAX; i++)
		atomic_store(&stock[i], NULL);
	atomic_store(&owner, hs_lock_generation());
}
