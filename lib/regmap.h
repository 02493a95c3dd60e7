/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * regmap.h - from any address of the process to its slot.
 *
 * One flat table over the whole user address space, a slot's record each;
 * address space for it is reserved with the arena, pages of it (256 slots,
 * half a gigabyte of addresses) appear as slots there come into use.  The
 * arena's slots are a part of it, so that a slot's address follows from where
 * its record lies.
 *
 * Owner of the data: this module; the records are region's and vm's.
 * Context: look-ups are lock-free, async-signal-safe and valid in a fork child.
 */
#ifndef HS_REGMAP_H
#define HS_REGMAP_H

#include "base.h"
#include "region.h"

#ifdef __x86_64__
#define HS_USER_BITS 47
#else
#define HS_USER_BITS 48
#endif

/* Pages of the table for slots of 2 MiB and base pages of 4 KiB. */
#define HS_REGMAP_PAGES_MAX ((size_t)1 << (HS_USER_BITS - 29))

struct hs_regmap {
	/* Indexed by address >> slot_shift; only pages whose bit is set. */
	struct hs_slot *slots;
	size_t first, end;   /* slots that have a record at all */
	unsigned page_shift; /* slots a page of the table, as a power of two */
	bool in_use;         /* some slot outside the arena is, or was */
	_Atomic uint64_t page_map[HS_REGMAP_PAGES_MAX / 64];
};

extern struct hs_regmap hs_regmap;

/* Bytes of address space that the table takes. */
size_t hs_regmap_bytes(void);
/* The table is to lie at @table, for addresses below 1 << HS_USER_BITS, or for
 * [base, base + size) alone where a slot is so small that it would take more
 * than the map can tell.  pre: hs_arena.slot_shift is set. */
void hs_regmap_init(void *table, uintptr_t base, size_t size_bytes);

/* Make the records of slots [first, first + nr) usable; 0 or -ENOMEM.  Locks:
 * hs_region_lock. */
int hs_regmap_cover(size_t first, size_t nr);
/* Give back the address space of pages that are not in use. */
void hs_regmap_unreserve(void);

static HS_ALWAYS_INLINE bool hs_regmap_covers(size_t index)
{
	size_t page = (index - hs_regmap.first) >> hs_regmap.page_shift;

	/* Pairs with the release in hs_regmap_cover(). */
	return index - hs_regmap.first < hs_regmap.end - hs_regmap.first &&
	       (atomic_load_explicit(&hs_regmap.page_map[page / 64],
				     memory_order_acquire) >>
		(page % 64) & 1);
}

/* The record for the slot that holds @p, or NULL: nothing of ours was ever
 * near it. */
static HS_ALWAYS_INLINE struct hs_slot *hs_regmap_find(const void *p)
{
	size_t index = (uintptr_t)p >> hs_arena.slot_shift;

	if (hs_region_contains(p))
		return hs_region_slot(p);
	if (hs_likely(!hs_regmap.in_use) || !hs_regmap_covers(index))
		return NULL;
	return &hs_regmap.slots[index];
}

/* Could a byte of [p, p + len) lie in a slot of ours?  Ranges that begin and
 * end far from any are taken not to reach one; len is not 0. */
static HS_ALWAYS_INLINE bool hs_regmap_may_hold(const void *p, size_t len)
{
	if (hs_region_contains(p))
		return true;
	return hs_unlikely(hs_regmap.in_use) &&
	       (hs_regmap_find(p) || hs_regmap_find((const char *)p + len - 1));
}

/* The protection that the application sees there. */
static HS_ALWAYS_INLINE int hs_slot_prot(const struct hs_slot *slot)
{
	return slot->vm ? slot->prot : 3 /* PROT_READ | PROT_WRITE */;
}

static HS_ALWAYS_INLINE char *hs_slot_address(const struct hs_slot *slot)
{
	return (char *)((uintptr_t)(slot - hs_regmap.slots)
			<< hs_arena.slot_shift);
}

/* The lowest index in [from, to) that has a record, or @to.  For walks over
 * ranges that may be terabytes long. */
size_t hs_regmap_next(size_t from, size_t to);

#endif
