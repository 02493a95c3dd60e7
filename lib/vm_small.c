/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_small.c - mappings smaller than a huge page: a transparent one where they
 * add up.
 *
 * Allocators that map a megabyte at a time (CPython's) get their mappings side
 * by side, and the kernel makes one of them.  When they have filled a slot it
 * is collapsed to one huge page (MADV_COLLAPSE, Linux 6.1): contents stay,
 * nobody can see an instant without them, and unmapping a part later is the
 * kernel's affair.  The kernel refuses whatever is not one mapping, so the
 * addresses kept here need neither a lock nor news of what became of them.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "config.h"
#include "region_internal.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* The last small mappings, if they lie side by side. */
static _Atomic uintptr_t run_from, run_to;
static _Atomic size_t bytes_mapped;
/* A collapse saves as much time in faults as it takes, or nearly; but where
 * memory in one piece is hard to find, or all processors are busy (the kernel
 * asks each), it takes longer: a quarter of the time at most. */
static _Atomic uint64_t began_ns, spent_ns;

static uint64_t now_ns(void)
{
	struct timespec ts = { 0 };

	hs_sys.clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void collapse(uintptr_t slot)
{
	uint64_t start = now_ns(), none = 0;

	atomic_compare_exchange_strong(&began_ns, &none, start);
	if (4 * atomic_load(&spent_ns) > start - atomic_load(&began_ns))
		return;
	if (hs_sys.madvise((void *)slot, hs_region_slot_bytes(),
			   MADV_COLLAPSE) == 0)
		hs_stats_count(HS_STAT_MMAP_COLLAPSED);
	atomic_fetch_add(&spent_ns, now_ns() - start);
}

static bool may_collapse(void)
{
	struct hs_vm_guard guard;
	bool may;

	hs_vm_begin(&guard);
	may = hs_vm_enabled() &&
	      hs_policy_fallback(HS_MAP_VM) == &hs_pagesrc_thp;
	hs_vm_end(&guard);
	return may;
}

/* The run goes from @from to @to now; the slot that this has made whole. */
static uintptr_t completed(uintptr_t from, uintptr_t to, uintptr_t old_from,
			   uintptr_t old_to)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t first = hs_align_up(from, slot);
	uintptr_t end = hs_align_down(to, slot);

	if (first >= end)
		return 0;
	if (from < old_from && first < hs_align_up(old_from, slot))
		return first;
	if (to > old_to && end > hs_align_down(old_to, slot))
		return end - slot;
	return 0;
}

void hs_vm_small_mapped(void *addr, size_t len)
{
	uintptr_t p = (uintptr_t)addr, end, slot;
	uintptr_t old_from = atomic_load(&run_from);
	uintptr_t old_to = atomic_load(&run_to);

	end = p + hs_align_up(len, hs_sys_page_size());
	atomic_store(&run_from, old_to == p ? old_from : p);
	atomic_store(&run_to, end == old_from ? old_to : end);
	if (atomic_fetch_add(&bytes_mapped, len) < hs_config->mmap_first_bytes)
		return;
	if ((old_to != p && old_from != end) || hs_region_init())
		return;
	slot = completed(atomic_load(&run_from), atomic_load(&run_to), old_from,
			 old_to);
	if (slot && may_collapse())
		collapse(slot);
}
