/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_advise.c - madvise: what hugetlb refuses, or says it did and did not.
 */
#include <string.h>
#include <sys/mman.h>

#include "pagesrc.h"
#include "region_internal.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define ADV_DONTNEED_LOCKED 24
#define ADV_COLLAPSE 25

/* What a piece of advice is to a huge page. */
enum kind {
	GRANTED,  /* true already, or a matter of speed */
	EMPTY,    /* contents become zero */
	POPULATE, /* pages are to be there */
	DUMP,     /* core dumps */
	OTHERS    /* only the kernel can: base pages, and then the call */
};

static enum kind kind_of(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case ADV_COLLAPSE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	/* Contents may go at any time, or stay. */
	case MADV_FREE:
	/* The opposite was never granted to a huge page. */
	case MADV_DOFORK:
	case MADV_KEEPONFORK:
	case MADV_UNMERGEABLE:
		return GRANTED;
	case MADV_DONTNEED:
	case ADV_DONTNEED_LOCKED:
		return EMPTY;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return POPULATE;
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return DUMP;
	default:
		return OTHERS;
	}
}

/* --- one slot, from @from to @to ----------------------------------------- */

/* The heap's pages stay: a slot of its that is HUGE has one. */
static bool is_whole(const struct hs_slot *slot,
		     const struct hs_vm_range *part)
{
	return slot->vm && part->to - part->from == hs_region_slot_bytes();
}

static bool is_huge(const struct hs_slot *slot)
{
	enum hs_slot_state state = hs_slot_state(slot);

	return state == HS_SLOT_LAZY || state == HS_SLOT_HUGE;
}

static bool is_resident(struct hs_slot *slot)
{
	unsigned char vec = 0;

	return hs_sys.mincore(hs_slot_address(slot), hs_sys_page_size(),
			      &vec) != 0 ||
	       (vec & 1);
}

/* The page goes back to the pool. */
static int empty_whole(struct hs_vm_guard *guard, struct hs_slot *slot)
{
	int err;

	hs_vm_change(guard);
	err = hs_sys.madvise(hs_slot_address(slot), hs_region_slot_bytes(),
			     MADV_DONTNEED);
	if (!err && hs_slot_state(slot) == HS_SLOT_HUGE)
		hs_slot_set_state(slot, HS_SLOT_LAZY);
	hs_vm_changed(guard);
	return err;
}

/* Zeros, at once; the page stays huge unless all of it goes. */
static int empty(struct hs_vm_guard *guard, struct hs_slot *slot,
		 const struct hs_vm_range *part)
{
	size_t len = part->to - part->from;
	int err;

	if (hs_slot_state(slot) == HS_SLOT_LAZY && !is_resident(slot))
		return 0;
	if (is_whole(slot, part))
		return empty_whole(guard, slot);
	hs_rescue_prepare((void *)part->from, len);
	if (is_huge(slot) && hs_slot_prot(slot) & PROT_WRITE) {
		memset((void *)part->from, 0, len);
		return 0;
	}
	err = hs_rescue_pin_base((void *)part->from, len);
	return err ? err
		   : hs_sys.madvise((void *)part->from, len, MADV_DONTNEED);
}

static int populate(struct hs_slot *slot, const struct hs_vm_range *part,
		    int advice)
{
	size_t len = part->to - part->from;
	int err = hs_sys.madvise((void *)part->from, len, advice);

	if (err != -EFAULT || !(hs_slot_prot(slot) & PROT_WRITE))
		return err;
	err = hs_rescue_pin_base((void *)part->from, len);
	return err ? err : hs_sys.madvise((void *)part->from, len, advice);
}

static int dump(struct hs_slot *slot, const struct hs_vm_range *part,
		int advice)
{
	int err = 0;

	if (!is_whole(slot, part) || !hs_policy_may_split())
		err = hs_rescue_pin_base((void *)part->from, 1);
	if (!err)
		err = hs_sys.madvise((void *)part->from, part->to - part->from,
				     advice);
	if (!err && hs_vm_is_huge(slot)) {
		slot->dontdump = advice == MADV_DONTDUMP;
		atomic_fetch_add(&hs_region.nr_vmas, 2);
	}
	return err;
}

static int advise_slot(struct hs_vm_guard *guard, struct hs_slot *slot,
		       const struct hs_vm_range *part, int advice)
{
	switch (kind_of(advice)) {
	case EMPTY:
		return empty(guard, slot, part);
	case POPULATE:
		return populate(slot, part, advice);
	case DUMP:
		return dump(slot, part, advice);
	case GRANTED:
	case OTHERS:
		break;
	}
	return 0;
}

/* --- the range ----------------------------------------------------------- */

/* The first slot of the range from @from on that is huge, or its end. */
static uintptr_t next_huge(const struct hs_vm_range *range, uintptr_t from)
{
	size_t i = hs_vm_slot(from);
	size_t end = hs_vm_slot(range->to - 1) + 1;

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		if (is_huge(&hs_regmap.slots[i]))
			return HS_MAX(from, hs_vm_address(i));
	return range->to;
}

/* As the kernel goes: on over holes, which make it ENOMEM; not over the first
 * other error. */
static int advise_parts(struct hs_vm_guard *guard,
			const struct hs_vm_range *range, int advice)
{
	uintptr_t p = range->from;
	int result = 0, err;

	while (p < range->to) {
		uintptr_t huge = next_huge(range, p);
		struct hs_vm_range part = { p, huge };

		if (huge > p) {
			err = hs_sys.madvise((void *)p, huge - p, advice);
		} else {
			size_t i = hs_vm_slot(p);

			part.to = HS_MIN(range->to, hs_vm_address(i + 1));
			err = advise_slot(guard, &hs_regmap.slots[i], &part,
					  advice);
		}
		if (err && (err != -ENOMEM || kind_of(advice) == POPULATE))
			return err;
		if (err)
			result = err;
		p = part.to;
	}
	return result;
}

int hs_vm_madvise(void *addr, size_t len, int advice)
{
	struct hs_vm_range range;
	struct hs_vm_guard guard;
	int err;

	/* No length: does the kernel know the advice? */
	if (!hs_vm_range(addr, len, &range) ||
	    hs_sys.madvise(addr, 0, advice) != 0)
		return hs_sys.madvise(addr, len, advice);
	hs_vm_begin(&guard);
	if (kind_of(advice) == OTHERS) {
		hs_vm_unreserve(&range);
		err = hs_vm_settle_all(&range);
		if (!err)
			err = hs_sys.madvise(addr, len, advice);
	} else {
		err = advise_parts(&guard, &range, advice);
	}
	hs_vm_end(&guard);
	return err;
}
