/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_internal.h - what the calls of vm share.
 */
#ifndef HS_VM_INTERNAL_H
#define HS_VM_INTERNAL_H

#include "vm.h"

/* Page-aligned addresses. */
struct hs_vm_range {
	uintptr_t from, to;
};

/* What hs_vm_begin() did. */
struct hs_vm_guard {
	uint64_t mask;
	bool masked, locked, rescue;
};

/* A handler may map, too: signals are blocked, and the lock is left alone where
 * the code it interrupted has it. */
void hs_vm_begin(struct hs_vm_guard *guard);
void hs_vm_end(struct hs_vm_guard *guard);
/* Between these the kernel's view and the records change together. */
void hs_vm_change(struct hs_vm_guard *guard);
void hs_vm_changed(struct hs_vm_guard *guard);

/* False: the kernel refuses such a range, or there is nothing in it. */
bool hs_vm_range(const void *addr, size_t len, struct hs_vm_range *range);

static inline size_t hs_vm_slot(uintptr_t addr)
{
	return addr >> hs_arena.slot_shift;
}

static inline uintptr_t hs_vm_address(size_t slot)
{
	return (uintptr_t)slot << hs_arena.slot_shift;
}

/* The first slot that lies wholly at or above, the first that does not. */
static inline size_t hs_vm_first_whole(const struct hs_vm_range *range)
{
	return hs_vm_slot(range->from + hs_region_slot_bytes() - 1);
}

static inline size_t hs_vm_end_whole(const struct hs_vm_range *range)
{
	return hs_vm_slot(range->to);
}

/* On a huge page of ours, there or to come; of a mapping. */
static inline bool hs_vm_is_huge(const struct hs_slot *slot)
{
	enum hs_slot_state state = hs_slot_state(slot);

	return slot->vm && (state == HS_SLOT_LAZY || state == HS_SLOT_HUGE);
}

/* All of these: pre: begun. */

/* Base pages in what is not ours to keep: heap slots of the range and the slots
 * that it covers in part.  0 or -errno. */
int hs_vm_settle_edges(const struct hs_vm_range *range);
/* Base pages in all of it. */
int hs_vm_settle_all(const struct hs_vm_range *range);
/* The whole slots are no longer ours. */
void hs_vm_forget(const struct hs_vm_range *range);
/* The RESERVED among the slots that the range touches are no longer. */
void hs_vm_unreserve(const struct hs_vm_range *range);

/* Where the range's first unmapped page is, or its end. */
uintptr_t hs_vm_first_hole(const struct hs_vm_range *range);
/* Private anonymous memory of one protection, all of it?  False without /proc.
 * Context: as the rest, but with some hundred bytes on the stack. */
bool hs_vm_is_uniform(const struct hs_vm_range *range, int *prot);
/* The page of slot @from is now that of @to. */
void hs_vm_move_record(size_t from, size_t to);

/* A flag for hs_vm_back() beside mmap's: asked for by name, whatever the
 * threshold for mappings. */
#define HS_VM_EXPLICIT 0x40000000
/* hugetlb over the whole slots, which are mapped and were never written to.
 * True: some are to be populated when the guard has ended. */
bool hs_vm_back(const struct hs_vm_range *range, int prot, int flags);
/* Populate what is LAZY; base pages where there are no huge ones.  Takes its
 * own guard.  pre: not begun. */
void hs_vm_populate(const struct hs_vm_range *range);
/* Remember address space that is not writable. */
void hs_vm_reserve(const struct hs_vm_range *range, int prot);
/* May mappings be backed at all? */
bool hs_vm_enabled(void);

#endif
