/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.h - the application's own mappings on huge pages: mmap, munmap, mprotect,
 * madvise and mremap as base pages have them.
 *
 * What is private, anonymous, writable and at least as long as the threshold is
 * first mapped as the application asked for it, so that the kernel's answer is
 * the kernel's; then the whole slots in it, which nobody has touched yet, are
 * mapped over with hugetlb.  Everything else goes to the kernel untouched.
 * Address space that is not writable (RESERVED) is backed when a call makes
 * whole slots of it writable.
 *
 * A slot on base pages is the kernel's affair again: its record only says that
 * it once was a huge page, for a thread that met it half-way.  So a call is
 * honoured at base-page granularity by turning the slots at its edges to base
 * pages, and by the plain call on what lies between.
 *
 * Invariants
 * 1. A slot is LAZY or HUGE with vm set just while hugetlb memory of ours is
 *    mapped in all of it, with the protection in its record.
 * 2. No step leaves a hole: what takes a slot's place is whole before it does.
 *
 * Functions return what the system call would: 0 or an address, or -errno.
 * Locks: they take hs_region_lock, unless the interrupted code of this thread
 * has it, and hs_rescue_lock while the kernel's view of a slot and its record
 * change.  Context: thread-safe, async-signal-safe, valid in a fork child.
 */
#ifndef HS_VM_H
#define HS_VM_H

#include <sys/mman.h>
#include <sys/types.h>

#include "base.h"
#include "regmap.h"

void *hs_vm_mmap(void *addr, size_t len, int prot, int flags, int fd,
		 off_t off);
int hs_vm_munmap(void *addr, size_t len);
int hs_vm_mprotect(void *addr, size_t len, int prot);
int hs_vm_madvise(void *addr, size_t len, int advice);
/* Also for what the kernel answers with EFAULT, once slots are in use: what was
 * moved by pieces may be several mappings that were one. */
void *hs_vm_mremap(void *old, size_t old_len, size_t new_len, int flags,
		   void *new_addr);

/* Turn every slot of the range to base pages and forget what it might become:
 * for calls that change what only the kernel can know.  0 or -errno, with the
 * rest as before. */
int hs_vm_release(const void *addr, size_t len);
/* The process limits itself: LAZY slots become base pages (it is going to lock
 * what it has), or all huge ones. */
void hs_vm_settle(bool all);

/* Might mmap() with these arguments concern us? */
bool hs_vm_wants(const void *addr, size_t len, int prot, int flags);

/* From this size on mappings below a huge page are looked at. */
#define HS_VM_SMALL_MIN ((size_t)256 << 10)

/* Such a mapping was made: some of them may have filled a slot.  Context:
 * async-signal-safe. */
void hs_vm_small_mapped(void *addr, size_t len);

/* Private, anonymous, readable and writable, where the kernel likes. */
static HS_ALWAYS_INLINE bool hs_vm_is_small(const void *addr, size_t len,
					    int prot, int flags)
{
	return len >= HS_VM_SMALL_MIN && len < 8 * HS_VM_SMALL_MIN && !addr &&
	       prot == (PROT_READ | PROT_WRITE) &&
	       flags == (MAP_PRIVATE | MAP_ANONYMOUS);
}

/* Could a call on the range concern a slot of ours?  False is certain. */
static HS_ALWAYS_INLINE bool hs_vm_concerns(const void *addr, size_t len)
{
	uintptr_t from = (uintptr_t)addr, to = from + len;
	size_t last;

	if (len == 0 || to < from)
		return false;
	if (!hs_regmap.in_use)
		return from < hs_arena.base + hs_arena.size_bytes &&
		       to > hs_arena.base;
	last = ((to - 1) >> hs_arena.slot_shift) + 1;
	return hs_regmap_next(from >> hs_arena.slot_shift, last) < last;
}

#endif
