/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_kernel.c - the copy is the kernel's, 2 MiB at the first write; where no
 * huge page can be had for it, the rescue's.
 *
 * What the rescue cannot catch is the kernel's own write in a call that was
 * already under way when the fork made its buffer shared: EFAULT, and a
 * datagram lost.  So the slots of calls in flight are left out of the fork:
 *
 *   prefork   copy each such slot to base pages; MADV_DONTFORK on the slot
 *   parent    MADV_DOFORK; drop the copy: the slot was never shared
 *   child     the copy moves into the hole
 */
#include <string.h>
#include <sys/mman.h>

#include "convert.h"
#include "cow_internal.h"
#include "inflight.h"
#include "log.h"
#include "pagesrc.h"
#include "region_internal.h"
#include "regmap.h"
#include "stats.h"
#include "sys.h"

#define KEPT_MAX 256
#define TRIES 4

static struct kept {
	struct hs_slot *slot;
	char *copy; /* NULL: the slot has no page, so zeros will do */
	bool frozen;
} kept[KEPT_MAX];
static unsigned nr_kept;

bool hs_cow_is_kept(const struct hs_slot *slot)
{
	for (unsigned i = 0; i < nr_kept; i++)
		if (kept[i].slot == slot)
			return true;
	return false;
}

/* 0 and the copy (or NULL when there is nothing to copy). */
static int copy_slot(struct hs_slot *slot, char **copy)
{
	size_t len = hs_region_slot_bytes();
	char *p;

	*copy = NULL;
	if (hs_slot_state(slot) == HS_SLOT_LAZY &&
	    !hs_pagesrc_has_page(hs_slot_address(slot), len))
		return 0;
	p = hs_sys.mmap(NULL, len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hs_sys_is_err(p))
		return hs_sys_err(p);
	memcpy(p, hs_slot_address(slot), len);
	*copy = p;
	return 0;
}

static int keep(struct hs_slot *slot)
{
	size_t len = hs_region_slot_bytes();
	struct kept *k = &kept[nr_kept];
	int err;

	if (nr_kept == KEPT_MAX)
		return -ENOMEM;
	err = copy_slot(slot, &k->copy);
	if (err)
		return err;
	err = hs_sys.madvise(hs_slot_address(slot), len, MADV_DONTFORK);
	if (err) {
		if (k->copy)
			hs_sys.munmap(k->copy, len);
		return err;
	}
	k->slot = slot;
	k->frozen = hs_slot_is_frozen(slot);
	nr_kept++;
	return 0;
}

/* A refusal may be a moment's, and costs the call in flight its data. */
static int keep_retried(struct hs_slot *slot)
{
	int err = -ENOMEM;

	for (int i = 0; i < TRIES && err; i++)
		err = keep(slot);
	return err;
}

/* Converting it instead risks the call: what it writes meanwhile is refused. */
static void convert_in_use(struct hs_slot *slot, int err)
{
	static bool said;

	if (!said)
		hs_log(HS_LOG_ERROR,
		       "fork: the page at %p cannot be kept from the child "
		       "(error %d): a call that is writing there may fail",
		       (void *)hs_slot_address(slot), -err);
	said = true;
	hs_convert_to_base_locked(slot);
}

static void visit_range(const void *addr, size_t len)
{
	const char *p = (const char *)hs_align_down((uintptr_t)addr,
						    hs_region_slot_bytes());
	const char *end = (const char *)addr + len;

	for (; p < end; p += hs_region_slot_bytes()) {
		struct hs_slot *slot;
		enum hs_slot_state state;
		int err;

		slot = hs_regmap_find(p);
		if (!slot)
			continue;
		state = hs_slot_state(slot);
		if (state != HS_SLOT_HUGE && state != HS_SLOT_LAZY)
			continue;
		err = hs_cow_is_kept(slot) ? 0 : keep_retried(slot);
		if (err)
			convert_in_use(slot, err);
	}
}

/* A filter may know neither sigreturn, without which no fault is answered,
 * nor anything else that the program did not need: no page is shared then that
 * could have to be rescued. */
static void convert_all(void)
{
	size_t i = hs_regmap.first;

	for (; (i = hs_regmap_next(i, hs_regmap.end)) < hs_regmap.end; i++) {
		enum hs_slot_state state = hs_slot_state(&hs_regmap.slots[i]);

		if (state == HS_SLOT_HUGE || state == HS_SLOT_LAZY)
			hs_convert_to_base_locked(&hs_regmap.slots[i]);
	}
}

/* pre: hs_region_lock and hs_rescue_lock are held. */
static void prefork(void)
{
	nr_kept = 0;
	if (hs_region.restricted)
		convert_all();
	if (atomic_load_explicit(&hs_region.nr_pool, memory_order_relaxed))
		hs_inflight_visit(visit_range);
}

uint32_t hs_cow_new_epoch(void)
{
	return atomic_fetch_add_explicit(&hs_arena.epoch, 1,
					 memory_order_relaxed) +
	       1;
}

static void postfork_parent(void)
{
	size_t len = hs_region_slot_bytes();
	uint32_t epoch = hs_cow_new_epoch();

	for (unsigned i = 0; i < nr_kept; i++) {
		/* Else the next child would miss the slot. */
		if (hs_sys.madvise(hs_slot_address(kept[i].slot), len,
				   MADV_DOFORK))
			hs_convert_to_base_locked(kept[i].slot);
		if (kept[i].copy)
			hs_sys.munmap(kept[i].copy, len);
		if (!kept[i].frozen)
			atomic_store_explicit(&kept[i].slot->epoch, epoch,
					      memory_order_relaxed);
	}
	nr_kept = 0;
}

static int move_copy(const struct kept *k)
{
	size_t len = hs_region_slot_bytes();
	void *p =
		hs_sys.mremap(k->copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			      hs_slot_address(k->slot));

	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

static int map_hole(const struct kept *k)
{
	size_t len = hs_region_slot_bytes();

	return hs_pagesrc_base.map(hs_slot_address(k->slot), len, len, true);
}

static int copy_into_hole(const struct kept *k)
{
	size_t len = hs_region_slot_bytes();

	for (int i = 0; k->copy && i < TRIES; i++)
		if (move_copy(k) == 0)
			return 0;
	for (int i = 0; i < TRIES; i++) {
		int err = map_hole(k);

		if (err)
			continue;
		if (k->copy) {
			memcpy(hs_slot_address(k->slot), k->copy, len);
			hs_sys.munmap(k->copy, len);
		}
		return 0;
	}
	return -ENOMEM;
}

static int fill_hole(const struct kept *k)
{
	int prot = hs_slot_prot(k->slot);
	int err = copy_into_hole(k);

	if (!err && prot != (PROT_READ | PROT_WRITE))
		err = hs_sys.mprotect(hs_slot_address(k->slot),
				      hs_region_slot_bytes(), prot);
	return err;
}

static void postfork_child(void)
{
	hs_cow_new_epoch();
	for (unsigned i = 0; i < nr_kept; i++) {
		struct hs_slot *slot = kept[i].slot;

		if (fill_hole(&kept[i]))
			hs_log_fatal("fork: the child cannot map its copy of "
				     "%p",
				     (void *)hs_slot_address(slot));
		slot->premapped = 0;
		slot->vma_start = 1;
		slot->thp = 0;
		slot->mapped_units =
			(uint32_t)(hs_region_slot_bytes() >> HS_UNIT_SHIFT);
		hs_slot_set_state(slot, HS_SLOT_BASE);
		if (!slot->vm)
			hs_convert_uncharge((size_t)(slot - hs_arena.slots),
					    1);
	}
	nr_kept = 0;
}

const struct hs_cow_engine_ops hs_cow_kernel = {
	.name = "kernel",
	.prefork = prefork,
	.postfork_parent = postfork_parent,
	.postfork_child = postfork_child,
};
