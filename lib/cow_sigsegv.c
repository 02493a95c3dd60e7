/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_sigsegv.c - the heap is write-protected after a fork, and the handler of
 * the first write makes the copy.
 *
 *   parent    every pool slot of the heap that the fork shared is guarded, in
 *             runs, one mprotect each
 *   write     SIGSEGV, or a wrapper that prepares a buffer:
 *               no page yet, or nobody shares it any more: the guard is lifted,
 *               with those of neighbours of which the same is true
 *               shared: copied past the cache into a new page, which takes
 *               the slot's place by one mremap; readers never miss it
 *               no huge page to be had: base pages, as a rescue makes them
 *   child     lifts what guards it inherited: its copies are the kernel's
 *
 * The pages are private memory all the while, so a guard that is missed or
 * lifted at a wrong moment leaves the copy to the kernel, nothing else.
 *
 * Only the heap: the program's own mappings may be the arena of another malloc,
 * from which libc takes its stream buffers, and the kernel would refuse to
 * write there.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#include "config.h"
#include "convert.h"
#include "cow_internal.h"
#include "guard.h"
#include "probe.h"
#include "region_internal.h"
#include "regmap.h"
#include "stats.h"
#include "sys.h"

/* --- when ----------------------------------------------------------------*/

static const char *refuses(void)
{
	if (hs_region.restricted)
		return "a seccomp filter is on";
	if (hs_region.limited || hs_region.left_pool)
		return "the address space is limited or locked";
	if (hs_config->mount)
		return "huge pages come from a mount";
	if (hs_stats_gauge(HS_GAUGE_HUGE) + hs_stats_gauge(HS_GAUGE_LAZY) <
	    hs_config->cow_min_bytes)
		return "the heap is small";
	if (hs_convert_charges())
		return "overcommit_memory is 2";
	return NULL;
}

/* --- mappings of the kernel ----------------------------------------------*/

/*
 * Each slot that is copied becomes a mapping of its own for good, and each
 * mapping costs 0.8 us of every later fork.  A thousand are still no more than
 * a millisecond, for a heap whose fork takes 34 with base pages.
 */
#define VMAS_ALWAYS 64
#define VMAS_FEW 1024

static size_t vmas_allowed(void)
{
	size_t slots = (hs_stats_gauge(HS_GAUGE_HUGE) +
			hs_stats_gauge(HS_GAUGE_LAZY)) >>
		       hs_arena.slot_shift;
	size_t n = VMAS_ALWAYS + HS_MAX(slots / 4, HS_MIN(slots, VMAS_FEW));

	return HS_MIN(n, hs_probe_run()->max_map_count / 2);
}

static bool begins_mapping(const struct hs_slot *slot)
{
	return (size_t)(slot - hs_arena.slots) >=
		       hs_arena.size_bytes >> hs_arena.slot_shift ||
	       slot->vma_start;
}

/* May [slot, slot + nr) get a mapping of its own? */
static bool may_split(const struct hs_slot *slot, size_t nr)
{
	if (begins_mapping(slot) && begins_mapping(slot + nr))
		return true;
	return hs_guard_splits < vmas_allowed() && hs_policy_may_split();
}

/* --- who shares a page? --------------------------------------------------*/

enum sharing { ABSENT, OWN, SHARED };

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)

static enum sharing ask(int pagemap, const struct hs_slot *slot)
{
	off_t at = (off_t)((uintptr_t)hs_slot_address(slot) /
			   hs_sys_page_size() * sizeof(uint64_t));
	uint64_t entry;

	if (hs_sys.pread(pagemap, &entry, sizeof(entry), at) != sizeof(entry))
		return SHARED;
	if (!(entry & PAGEMAP_PRESENT))
		return ABSENT;
	return entry & PAGEMAP_EXCLUSIVE ? OWN : SHARED;
}

/* Opened anew: an inherited descriptor tells of the parent's memory, and the
 * process's first thread may have ended. */
static int open_pagemap(void)
{
	return hs_sys.open("/proc/thread-self/pagemap", O_RDONLY, 0);
}

/* --- lift ----------------------------------------------------------------*/

/* Neighbours that are looked at on each side. */
#define LIFT_MAX 64

static bool is_liftable(int pagemap, const struct hs_slot *slot)
{
	return slot->guarded && ask(pagemap, slot) != SHARED;
}

static void note_own(struct hs_slot *slot, size_t nr)
{
	uint32_t epoch = atomic_load_explicit(&hs_arena.epoch,
					      memory_order_relaxed);

	for (size_t i = 0; i < nr; i++)
		if (hs_slot_state(&slot[i]) == HS_SLOT_HUGE)
			atomic_store_explicit(&slot[i].epoch, epoch,
					      memory_order_relaxed);
	hs_stats_add(HS_STAT_COW_LIFTED, nr);
}

static int lift_neighbours(int pagemap, struct hs_slot *slot)
{
	struct hs_slot *first = slot, *end = slot + 1;
	const struct hs_slot *limit =
		hs_arena.slots + (hs_arena.size_bytes >> hs_arena.slot_shift);
	int err;

	while (first > hs_arena.slots && slot - first < LIFT_MAX &&
	       is_liftable(pagemap, first - 1))
		first--;
	while (end < limit && end - slot < LIFT_MAX &&
	       is_liftable(pagemap, end))
		end++;
	err = hs_guard_lift(first, (size_t)(end - first));
	if (!err)
		note_own(first, (size_t)(end - first));
	return err;
}

/* --- copy ----------------------------------------------------------------*/

static void note_copied(struct hs_slot *slot)
{
	hs_guard_forget(slot);
	hs_guard_mark_split(slot);
	hs_guard_mark_split(slot + 1);
	if (hs_slot_state(slot) == HS_SLOT_LAZY)
		hs_slot_set_state(slot, HS_SLOT_HUGE);
	atomic_store_explicit(&slot->epoch,
			      atomic_load_explicit(&hs_arena.epoch,
						   memory_order_relaxed),
			      memory_order_relaxed);
	hs_stats_count(HS_STAT_COW_COPIED);
}

/* Protected once more, which costs little where it is so: a write that slips
 * through while the page is copied would be lost. */
static int copy(struct hs_slot *slot)
{
	char *addr = hs_slot_address(slot);
	size_t len = hs_region_slot_bytes();
	char *page = hs_cow_page_make();
	int err;

	if (!page)
		return -ENOMEM;
	err = hs_sys.mprotect(addr, len, PROT_READ);
	if (!err) {
		hs_cow_copy(page, addr, len);
		err = hs_cow_page_move(page, addr);
	}
	if (err)
		hs_cow_page_drop(page);
	else
		note_copied(slot);
	return err;
}

/* --- resolve -------------------------------------------------------------*/

static int leave_to_kernel(struct hs_slot *slot)
{
	int err = hs_guard_lift_around(slot);

	if (!err)
		hs_stats_count(HS_STAT_COW_LEFT);
	return err;
}

static int resolve_shared(struct hs_slot *slot)
{
	return may_split(slot, 1) ? copy(slot) : leave_to_kernel(slot);
}

static int resolve_asked(int pagemap, struct hs_slot *slot)
{
	if (pagemap < 0)
		hs_stats_count(HS_STAT_COW_UNTOLD);
	else if (ask(pagemap, slot) != SHARED)
		return may_split(slot, 1) ? lift_neighbours(pagemap, slot)
					  : leave_to_kernel(slot);
	return resolve_shared(slot);
}

static uint64_t now_us(void)
{
	struct timespec ts = { 0 };

	hs_sys.clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void note_time(uint64_t us)
{
	hs_stats_count(us < 32 ? HS_STAT_COW_US_32 :
		       us < 128 ? HS_STAT_COW_US_128 :
		       us < 512 ? HS_STAT_COW_US_512 :
				  HS_STAT_COW_US_MORE);
}

static int resolve(struct hs_slot *slot)
{
	uint64_t start = now_us();
	int pagemap = open_pagemap();
	int err = resolve_asked(pagemap, slot);

	if (pagemap >= 0)
		hs_sys.close(pagemap);
	note_time(now_us() - start);
	return err;
}

/* --- freeze --------------------------------------------------------------*/

static bool is_shared_pool(const struct hs_slot *slot)
{
	enum hs_slot_state state = hs_slot_state(slot);

	return !slot->vm && (state == HS_SLOT_HUGE || state == HS_SLOT_LAZY);
}

static bool is_to_guard(const struct hs_slot *slot)
{
	return is_shared_pool(slot) && !slot->guarded && !hs_cow_is_kept(slot);
}

/* A run that is not guarded is the kernel's to copy. */
static void guard_run(struct hs_slot *slot, size_t nr)
{
	if (may_split(slot, nr) && hs_guard_set(slot, nr) == 0)
		hs_stats_add(HS_STAT_COW_FROZEN, nr);
	else
		hs_stats_count(HS_STAT_COW_LEFT);
}

/* Counted anew, for slots that were given back took theirs along. */
static size_t count_mappings(size_t nr)
{
	size_t n = 0;

	for (size_t i = 0; i < nr; i++)
		n += is_shared_pool(&hs_arena.slots[i]) &&
		     hs_arena.slots[i].vma_start;
	return n;
}

static void freeze(void)
{
	size_t nr = hs_arena.size_bytes >> hs_arena.slot_shift;

	hs_guard_resolve_hook = resolve;
	hs_guard_splits = count_mappings(nr);
	for (size_t i = 0; i < nr; i++) {
		size_t n = 0;

		while (i + n < nr && is_to_guard(&hs_arena.slots[i + n]))
			n++;
		if (n != 0)
			guard_run(&hs_arena.slots[i], n);
		i += n;
	}
}

static void prefork(void)
{
	hs_cow_kernel.prefork();
}

/* Frozen while it is known what was left out. */
static void postfork_parent(void)
{
	freeze();
	hs_stats_count(HS_STAT_COW_FORK);
	hs_cow_kernel.postfork_parent();
}

static void postfork_child(void)
{
	hs_cow_kernel.postfork_child();
}

const struct hs_cow_engine_ops hs_cow_sigsegv = {
	.name = "sigsegv",
	.refuses = refuses,
	.prefork = prefork,
	.postfork_parent = postfork_parent,
	.postfork_child = postfork_child,
};
