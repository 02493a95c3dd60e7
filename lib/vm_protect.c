/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_protect.c - mprotect: whole slots by the plain call; whole slots of
 * reserved address space that become writable are backed.
 */
#include <sys/mman.h>

#include "region_internal.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

#define PROT_KNOWN (PROT_READ | PROT_WRITE | PROT_EXEC)
/* What a change in the middle of a mapping costs in kernel mappings. */
#define SPLIT_VMAS 2

static void set_prot(size_t first, size_t end, int prot)
{
	for (; (first = hs_regmap_next(first, end)) < end; first++)
		if (hs_regmap.slots[first].vm)
			hs_regmap.slots[first].prot = (uint8_t)prot;
}

/* Records take over what the kernel did; where it does not tell, it is made as
 * it was. */
static void follow_kernel(const struct hs_vm_range *range)
{
	size_t i = hs_vm_first_whole(range), end = hs_vm_end_whole(range);

	for (; (i = hs_regmap_next(i, end)) < end; i++) {
		struct hs_vm_range whole = { hs_vm_address(i),
					     hs_vm_address(i + 1) };
		struct hs_slot *slot = &hs_regmap.slots[i];
		int prot;

		if (!hs_vm_is_huge(slot))
			continue;
		if (hs_vm_is_uniform(&whole, &prot))
			slot->prot = (uint8_t)prot;
		else
			hs_sys.mprotect((void *)whole.from,
					hs_region_slot_bytes(), slot->prot);
	}
}

/* The kernel has changed what lies before the first page that it could not
 * change: a hole, or a file that may not be written (EACCES); or it stopped for
 * want of memory, nobody knows where. */
static void after_failure(const struct hs_vm_range *range, int prot, int err)
{
	uintptr_t hole = err == -ENOMEM ? hs_vm_first_hole(range) : range->to;

	if (hole < range->to)
		set_prot(hs_vm_first_whole(range),
			 HS_MIN(hs_vm_slot(hole), hs_vm_end_whole(range)),
			 prot);
	else
		follow_kernel(range);
}

static bool is_reserved(size_t index)
{
	return hs_regmap_covers(index) &&
	       hs_slot_state(&hs_regmap.slots[index]) == HS_SLOT_RESERVED;
}

/* Reserved slots of the range, of which only whole ones are left, while nobody
 * can write to them yet.  True: some are to be populated. */
static bool back_reserved(const struct hs_vm_range *range)
{
	size_t i = hs_vm_first_whole(range), end = hs_vm_end_whole(range);
	bool populate = false;

	while ((i = hs_regmap_next(i, end)) < end) {
		struct hs_vm_range run = { hs_vm_address(i), 0 };
		int prot = hs_regmap.slots[i].prot;

		if (!is_reserved(i)) {
			i++;
			continue;
		}
		while (i < end && is_reserved(i) &&
		       hs_regmap.slots[i].prot == prot)
			i++;
		run.to = hs_vm_address(i);
		populate |= hs_vm_back(&run, prot, 0);
		hs_vm_unreserve(&run);
	}
	return populate;
}

static bool changes_a_slot(const struct hs_vm_range *range)
{
	size_t i = hs_vm_first_whole(range), end = hs_vm_end_whole(range);

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		if (hs_vm_is_huge(&hs_regmap.slots[i]))
			return true;
	return false;
}

/* Huge pages are neither for code nor worth any number of mappings. */
static int settle(const struct hs_vm_range *range, int prot)
{
	int err;

	if (prot & ~(PROT_READ | PROT_WRITE)) {
		hs_vm_unreserve(range);
		return hs_vm_settle_all(range);
	}
	err = hs_vm_settle_edges(range);
	if (err || !changes_a_slot(range))
		return err;
	if (!hs_policy_may_split())
		return hs_vm_settle_all(range);
	atomic_fetch_add(&hs_region.nr_vmas, SPLIT_VMAS);
	return 0;
}

int hs_vm_mprotect(void *addr, size_t len, int prot)
{
	struct hs_vm_range range;
	struct hs_vm_guard guard;
	bool populate = false;
	int err;

	if (!hs_vm_range(addr, len, &range) || (prot & ~PROT_KNOWN))
		return hs_sys.mprotect(addr, len, prot);
	hs_vm_begin(&guard);
	err = settle(&range, prot);
	if (err) {
		hs_vm_end(&guard);
		return err;
	}
	if (prot & PROT_WRITE && hs_vm_enabled())
		populate = back_reserved(&range);
	else if (prot & PROT_WRITE)
		hs_vm_unreserve(&range);
	hs_vm_change(&guard);
	err = hs_sys.mprotect(addr, len, prot);
	if (err)
		after_failure(&range, prot, err);
	else
		set_prot(hs_vm_first_whole(&range), hs_vm_end_whole(&range),
			 prot);
	hs_vm_changed(&guard);
	if (err)
		hs_vm_unreserve(&range);
	hs_vm_end(&guard);
	if (populate && !err)
		hs_vm_populate(&range);
	return err;
}
