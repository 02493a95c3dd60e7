/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm.c - guards, edges, backing; mmap and munmap.
 */
#include "vm.h"

#include <signal.h>
#include <sys/mman.h>

#include "config.h"
#include "convert.h"
#include "pagesrc.h"
#include "region_internal.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define HS_MAP_FIXED_NOREPLACE 0x100000

/* What a mapping may be to be backed; MAP_STACK, MAP_LOCKED, MAP_HUGETLB,
 * MAP_GROWSDOWN, MAP_32BIT and the like may not. */
#define BACKED_FLAGS                                                           \
	(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED |             \
	 HS_MAP_FIXED_NOREPLACE | MAP_POPULATE)
/* Address space held by one call that is remembered. */
#define RESERVED_MAX (64 * HS_GIB)

/* --- guards --------------------------------------------------------------- */

void hs_vm_begin(struct hs_vm_guard *guard)
{
	const uint64_t all = ~(UINT64_C(1) << (SIGBUS - 1) |
			       UINT64_C(1) << (SIGSEGV - 1));

	guard->rescue = false;
	guard->masked = !hs_region.restricted &&
			hs_sys.sigprocmask(SIG_BLOCK, &all, &guard->mask) == 0;
	guard->locked = !hs_lock_is_mine(&hs_region_lock);
	if (guard->locked)
		hs_lock_acquire(&hs_region_lock);
}

void hs_vm_end(struct hs_vm_guard *guard)
{
	if (guard->locked)
		hs_lock_release(&hs_region_lock);
	if (guard->masked)
		hs_sys.sigprocmask(SIG_SETMASK, &guard->mask, NULL);
}

void hs_vm_change(struct hs_vm_guard *guard)
{
	guard->rescue = !hs_lock_is_mine(&hs_rescue_lock);
	if (guard->rescue)
		hs_lock_acquire(&hs_rescue_lock);
}

void hs_vm_changed(struct hs_vm_guard *guard)
{
	if (guard->rescue)
		hs_lock_release(&hs_rescue_lock);
	guard->rescue = false;
}

bool hs_vm_range(const void *addr, size_t len, struct hs_vm_range *range)
{
	size_t page = hs_sys_page_size();

	range->from = (uintptr_t)addr;
	if (len == 0 || len > PTRDIFF_MAX ||
	    (range->from & (page - 1)) != 0 ||
	    __builtin_add_overflow(range->from, hs_align_up(len, page),
				   &range->to))
		return false;
	return hs_vm_concerns(addr, range->to - range->from);
}

/* --- what a range touches ------------------------------------------------ */

static struct hs_slot *vm_slot(size_t index)
{
	return hs_regmap_covers(index) && hs_regmap.slots[index].vm
		       ? &hs_regmap.slots[index]
		       : NULL;
}

/* Base pages may go from a slot in parts, and nobody counts them. */
static void lose_count(struct hs_slot *slot)
{
	if (slot->mapped_units != 0)
		hs_stats_gauge_add(HS_GAUGE_VM_BASE,
				   -((int64_t)slot->mapped_units
				     << HS_UNIT_SHIFT));
	slot->mapped_units = 0;
}

static void forget(struct hs_slot *slot)
{
	hs_slot_set_state(slot, HS_SLOT_FREE);
	slot->vm = 0;
	slot->dontdump = 0;
	slot->mapped_units = 0;
}

static int settle_edge(size_t index)
{
	struct hs_slot *slot = vm_slot(index);
	int err = 0;

	if (!slot)
		return 0;
	if (hs_slot_state(slot) == HS_SLOT_RESERVED) {
		forget(slot);
		return 0;
	}
	if (hs_vm_is_huge(slot))
		err = hs_rescue_pin_base(hs_slot_address(slot), 1);
	if (!err)
		lose_count(slot);
	return err;
}

/* The heap's slots are the region's, which never finds holes in them. */
static int settle_heap(const struct hs_vm_range *range)
{
	uintptr_t from = HS_MAX(range->from, hs_arena.base);
	uintptr_t to =
		HS_MIN(range->to, hs_arena.base + hs_arena.size_bytes);

	return from < to ? hs_rescue_pin_base((void *)from, to - from) : 0;
}

int hs_vm_settle_edges(const struct hs_vm_range *range)
{
	size_t first = hs_vm_slot(range->from);
	size_t last = hs_vm_slot(range->to - 1);
	int err = settle_heap(range);

	if (!err && range->from != hs_vm_address(first))
		err = settle_edge(first);
	if (!err && range->to != hs_vm_address(last + 1) &&
	    (last != first || range->from == hs_vm_address(first)))
		err = settle_edge(last);
	return err;
}

int hs_vm_settle_all(const struct hs_vm_range *range)
{
	return hs_rescue_pin_base((void *)range->from, range->to - range->from);
}

void hs_vm_forget(const struct hs_vm_range *range)
{
	size_t i = hs_vm_first_whole(range), end = hs_vm_end_whole(range);

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		if (hs_regmap.slots[i].vm)
			forget(&hs_regmap.slots[i]);
}

void hs_vm_unreserve(const struct hs_vm_range *range)
{
	size_t i = hs_vm_slot(range->from);
	size_t end = hs_vm_slot(range->to - 1) + 1;

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		if (hs_slot_state(&hs_regmap.slots[i]) == HS_SLOT_RESERVED)
			forget(&hs_regmap.slots[i]);
}

/* Pages that one mincore tells about. */
#define LOOK_PAGES 1024

uintptr_t hs_vm_first_hole(const struct hs_vm_range *range)
{
	unsigned char vec[LOOK_PAGES];
	size_t page = hs_sys_page_size();
	uintptr_t p = range->from;

	while (p < range->to) {
		size_t len = HS_MIN(range->to - p, LOOK_PAGES * page);

		if (hs_sys.mincore((void *)p, len, vec) != -ENOMEM) {
			p += len;
			continue;
		}
		while (p < range->to &&
		       hs_sys.mincore((void *)p, page, vec) != -ENOMEM)
			p += page;
		return p;
	}
	return range->to;
}

/* --- backing ------------------------------------------------------------- */

bool hs_vm_enabled(void)
{
	return hs_config->mmap && hs_config->enabled && !hs_region.limited &&
	       !hs_region.left_pool && !hs_region_is_restricted();
}

static size_t threshold(void)
{
	return HS_MAX(hs_config->mmap_threshold_bytes, hs_region_slot_bytes());
}

/* The start of a program, whose mappings are small and hardly used.  Locks:
 * hs_region_lock. */
static bool is_among_first(size_t len)
{
	static size_t so_far;
	size_t first = hs_config->mmap_first_bytes;

	if (len > first - so_far) {
		so_far = first;
		return false;
	}
	so_far += len;
	return true;
}

/* Records for [first, first + nr), whatever they were. */
static void take(size_t first, size_t nr, enum hs_slot_state state, int prot)
{
	size_t units = state == HS_SLOT_BASE
			       ? hs_region_slot_bytes() >> HS_UNIT_SHIFT
			       : 0;
	uint32_t epoch = atomic_load_explicit(&hs_arena.epoch,
					      memory_order_relaxed);

	for (size_t i = first; i < first + nr; i++) {
		struct hs_slot *slot = &hs_regmap.slots[i];

		if (slot->vm)
			forget(slot);
		slot->vm = 1;
		slot->prot = (uint8_t)prot;
		slot->premapped = 0;
		slot->thp = 0;
		slot->mapped_units = (uint32_t)units;
		atomic_store_explicit(&slot->epoch, epoch,
				      memory_order_relaxed);
	}
	hs_slot_set_run(&hs_regmap.slots[first], nr, state);
}

void hs_vm_move_record(size_t from, size_t to)
{
	struct hs_slot *src = &hs_regmap.slots[from];
	struct hs_slot *dst = &hs_regmap.slots[to];
	uint32_t epoch =
		atomic_load_explicit(&src->epoch, memory_order_relaxed);

	take(to, 1, HS_SLOT_LAZY, src->prot);
	if (hs_slot_state(src) == HS_SLOT_HUGE)
		hs_slot_set_state(dst, HS_SLOT_HUGE);
	dst->dontdump = src->dontdump;
	atomic_store_explicit(&dst->epoch, epoch, memory_order_relaxed);
	forget(src);
}

/* No huge page for these: transparent ones, or base pages.  Of what may be
 * sparse, only what is touched is to take memory, unless the user chose THP. */
static void leave_base(size_t first, size_t nr, int prot, bool sparse)
{
	if (nr == 0)
		return;
	sparse &= hs_config->backing != HS_BACKING_THP;
	if (!sparse && hs_policy_fallback(HS_MAP_VM) == &hs_pagesrc_thp)
		hs_sys.madvise((void *)hs_vm_address(first),
			       nr << hs_arena.slot_shift, MADV_HUGEPAGE);
	take(first, nr, HS_SLOT_BASE, prot);
}

/* 0, or -errno with what was there before, or the like of it. */
static int overlay(size_t first, size_t nr, int prot)
{
	void *addr = (void *)hs_vm_address(first);
	size_t len = nr << hs_arena.slot_shift;
	int err = hs_pagesrc_overlay(addr, len, hs_region_slot_bytes(), prot);
	void *p;

	if (!err) {
		atomic_fetch_add(&hs_region.nr_vmas, 1);
		return 0;
	}
	/* A call that failed half-way may have left a hole. */
	p = hs_sys.mmap(addr, len, prot,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return hs_sys_is_err(p) ? hs_sys_err(p) : err;
}

bool hs_vm_back(const struct hs_vm_range *range, int prot, int flags)
{
	size_t first = hs_vm_first_whole(range);
	size_t end = hs_vm_end_whole(range), nr = end - first, allowed;
	bool sparse = !(flags & MAP_POPULATE) &&
		      (flags & MAP_NORESERVE ||
		       nr << hs_arena.slot_shift >
			       hs_config->populate_max_bytes);

	if (first >= end ||
	    (!(flags & HS_VM_EXPLICIT) &&
	     (range->to - range->from < threshold() ||
	      is_among_first(range->to - range->from))) ||
	    hs_regmap_cover(first, nr))
		return false;
	hs_regmap.in_use = true;
	allowed = hs_policy_pool_slots(nr, HS_MAP_VM |
						   (sparse ? HS_MAP_LAZY : 0));
	if (allowed && hs_convert_charges()) {
		hs_policy_note_short(allowed, HS_STAT_FALLBACK_OVERCOMMIT);
		allowed = 0;
	}
	if (allowed && overlay(first, allowed, prot)) {
		hs_policy_note_short(allowed, HS_STAT_FALLBACK_MAP);
		allowed = 0;
	}
	take(first, allowed, HS_SLOT_LAZY, prot);
	leave_base(first + allowed, nr - allowed, prot, sparse);
	hs_stats_add(HS_STAT_MMAP_BACKED, allowed);
	return allowed != 0 && !sparse;
}

static bool is_lazy(size_t index)
{
	struct hs_slot *slot = vm_slot(index);

	return slot && hs_slot_state(slot) == HS_SLOT_LAZY;
}

static void note_populated(size_t first, size_t nr)
{
	for (size_t i = first; i < first + nr; i++)
		if (is_lazy(i))
			hs_slot_set_state(&hs_regmap.slots[i], HS_SLOT_HUGE);
	hs_stats_add(HS_STAT_SLOT_MAPPED, nr);
}

/*
 * Not under the lock: a page takes a tenth of a millisecond.  Nobody but the
 * caller knows the address yet, or has been told that it may be used.
 */
void hs_vm_populate(const struct hs_vm_range *range)
{
	size_t i = hs_vm_first_whole(range), end = hs_vm_end_whole(range);

	while ((i = hs_regmap_next(i, end)) < end) {
		size_t nr = 0, done;
		struct hs_vm_guard guard;

		while (i + nr < end && is_lazy(i + nr))
			nr++;
		if (nr == 0) {
			i++;
			continue;
		}
		done = hs_pagesrc_huge()->populate((void *)hs_vm_address(i),
						   nr << hs_arena.slot_shift,
						   hs_region_slot_bytes()) >>
		       hs_arena.slot_shift;
		hs_vm_begin(&guard);
		hs_vm_change(&guard);
		note_populated(i, done);
		hs_vm_changed(&guard);
		/* The others may be in use by now: as a rescue would do it. */
		hs_policy_note_short(nr - done, HS_STAT_FALLBACK_POOL);
		hs_rescue_pin_base((void *)hs_vm_address(i + done),
				   (nr - done) << hs_arena.slot_shift);
		hs_vm_end(&guard);
		i += nr;
	}
}

void hs_vm_reserve(const struct hs_vm_range *range, int prot)
{
	size_t first = hs_vm_first_whole(range), end = hs_vm_end_whole(range);

	if (first >= end || range->to - range->from > RESERVED_MAX ||
	    hs_regmap_cover(first, end - first))
		return;
	hs_regmap.in_use = true;
	take(first, end - first, HS_SLOT_RESERVED, prot);
}

/* --- mmap ---------------------------------------------------------------- */

static bool is_anonymous(int flags)
{
	return (flags & MAP_ANONYMOUS) && (flags & MAP_TYPE) == MAP_PRIVATE &&
	       !(flags & ~BACKED_FLAGS);
}

static bool replaces(int flags)
{
	return (flags & MAP_FIXED) && !(flags & HS_MAP_FIXED_NOREPLACE);
}

bool hs_vm_wants(const void *addr, size_t len, int prot, int flags)
{
	if (replaces(flags) && hs_vm_concerns(addr, len))
		return true;
	return hs_vm_enabled() && is_anonymous(flags) && !(prot & PROT_EXEC) &&
	       len >= threshold() && len <= PTRDIFF_MAX;
}

/* The kernel aligns by length; so that no slot of it is lost, we do. */
static void *map_aligned(void *p, size_t len, int prot, int flags)
{
	size_t slot = hs_region_slot_bytes();
	size_t more = len + slot - hs_sys_page_size();
	uintptr_t q, from;

	if (((uintptr_t)p & (slot - 1)) == 0 || len < slot)
		return p;
	q = (uintptr_t)hs_sys.mmap(NULL, more, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				   -1, 0);
	if (hs_sys_is_err((void *)q))
		return p;
	from = hs_align_up(q, slot);
	if (hs_sys_is_err(hs_sys.mmap((void *)from, len, prot,
				      flags | MAP_FIXED, -1, 0))) {
		hs_sys.munmap((void *)q, more);
		return p;
	}
	if (from != q)
		hs_sys.munmap((void *)q, from - q);
	if (q + more != from + len)
		hs_sys.munmap((void *)(from + len), q + more - from - len);
	hs_sys.munmap(p, len);
	return (void *)from;
}

/* The kernel may have unmapped what was there and then failed. */
static void forget_holes(const struct hs_vm_range *range)
{
	size_t i = hs_vm_first_whole(range), end = hs_vm_end_whole(range);

	for (; (i = hs_regmap_next(i, end)) < end; i++) {
		struct hs_slot *slot = &hs_regmap.slots[i];
		unsigned char vec;

		if (slot->vm && hs_sys.mincore(hs_slot_address(slot),
					       hs_sys_page_size(),
					       &vec) == -ENOMEM)
			forget(slot);
	}
}

static void *map_native(struct hs_vm_guard *guard, void *addr, size_t len,
			int prot, int flags, int fd, off_t off)
{
	struct hs_vm_range old;
	void *p;
	int err = 0;

	if (!replaces(flags) || !hs_vm_range(addr, len, &old))
		return hs_sys.mmap(addr, len, prot, flags, fd, off);
	err = hs_vm_settle_edges(&old);
	if (err)
		return (void *)(intptr_t)err;
	hs_vm_change(guard);
	p = hs_sys.mmap(addr, len, prot, flags, fd, off);
	if (hs_sys_is_err(p))
		forget_holes(&old);
	else
		hs_vm_forget(&old);
	hs_vm_changed(guard);
	return p;
}

static bool backs(size_t len, int prot, int flags)
{
	return is_anonymous(flags) && !(prot & PROT_EXEC) &&
	       len >= threshold() && hs_vm_enabled();
}

void *hs_vm_mmap(void *addr, size_t len, int prot, int flags, int fd,
		 off_t off)
{
	bool back, populate = false;
	struct hs_vm_range range;
	struct hs_vm_guard guard;
	int now = flags;
	void *p;

	if (hs_region_init())
		return hs_sys.mmap(addr, len, prot, flags, fd, off);
	back = backs(len, prot, flags);
	if (back)
		now &= ~MAP_POPULATE;
	hs_vm_begin(&guard);
	p = map_native(&guard, addr, len, prot, now, fd, off);
	if (!hs_sys_is_err(p) && back && addr == NULL && !(now & MAP_FIXED))
		p = map_aligned(p, len, prot, now);
	range.from = (uintptr_t)p;
	range.to = range.from + hs_align_up(len, hs_sys_page_size());
	if (!hs_sys_is_err(p) && back) {
		if (prot & PROT_WRITE)
			populate = hs_vm_back(&range, prot, flags);
		else
			hs_vm_reserve(&range, prot);
	}
	hs_vm_end(&guard);
	if (populate)
		hs_vm_populate(&range);
	if (now != flags && !hs_sys_is_err(p))
		hs_sys.madvise(p, len, MADV_POPULATE_WRITE);
	return p;
}

/* --- munmap -------------------------------------------------------------- */

int hs_vm_munmap(void *addr, size_t len)
{
	struct hs_vm_range range;
	struct hs_vm_guard guard;
	int err;

	if (!hs_vm_range(addr, len, &range))
		return hs_sys.munmap(addr, len);
	hs_vm_begin(&guard);
	err = hs_vm_settle_edges(&range);
	if (!err) {
		hs_vm_change(&guard);
		err = hs_sys.munmap(addr, len);
		if (!err)
			hs_vm_forget(&range);
		hs_vm_changed(&guard);
	}
	hs_vm_end(&guard);
	return err;
}

/* --- for others ---------------------------------------------------------- */

int hs_vm_release(const void *addr, size_t len)
{
	struct hs_vm_range range;
	struct hs_vm_guard guard;
	int err;

	if (!hs_vm_range((const void *)hs_align_down((uintptr_t)addr,
						     hs_sys_page_size()),
			 len + ((uintptr_t)addr & (hs_sys_page_size() - 1)),
			 &range))
		return 0;
	hs_vm_begin(&guard);
	hs_vm_unreserve(&range);
	err = hs_vm_settle_all(&range);
	hs_vm_end(&guard);
	return err;
}

void hs_vm_settle(bool all)
{
	size_t i = hs_regmap.first;
	struct hs_vm_guard guard;

	if (!hs_regmap.in_use)
		return;
	hs_vm_begin(&guard);
	for (; (i = hs_regmap_next(i, hs_regmap.end)) < hs_regmap.end; i++)
		if (is_lazy(i) || (all && hs_vm_is_huge(&hs_regmap.slots[i])))
			hs_rescue_pin_base((void *)hs_vm_address(i), 1);
	hs_vm_end(&guard);
}
