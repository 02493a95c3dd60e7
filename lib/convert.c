/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert.h"

#include <string.h>
#include <sys/mman.h>

#include "config.h"
#include "convert_internal.h"
#include "guard.h"
#include "pagesrc.h"
#include "probe.h"
#include "region_internal.h"
#include "regmap.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"

#define TRIES 4

void (*hs_convert_hold_hook)(const void *slot);
static bool stage_mapped;
static bool stage_used; /* by a conversion that failed: not zeros any more */
static _Atomic unsigned nr_converted;

/* Right behind the arena; the reservation includes it. */
static char *stage_addr(void)
{
	return (char *)hs_arena.base + hs_arena.max_bytes;
}

static char *charge_addr(size_t index)
{
	return stage_addr() + hs_region_slot_bytes() +
	       (index << hs_arena.slot_shift);
}

bool hs_convert_charges(void)
{
	return hs_probe_run()->overcommit_never;
}

int hs_convert_charge(size_t first, size_t nr)
{
	size_t len = nr << hs_arena.slot_shift;

	if (!hs_convert_charges())
		return 0;
	return hs_pagesrc_base.map(charge_addr(first), len, 0, false) ?
		       -ENOMEM :
		       0;
}

void hs_convert_uncharge(size_t first, size_t nr)
{
	if (hs_convert_charges())
		hs_sys.munmap(charge_addr(first), nr << hs_arena.slot_shift);
}

static const struct hs_pagesrc *stage_source(void)
{
	if (hs_region.restricted || hs_config->backing != HS_BACKING_AUTO)
		return &hs_pagesrc_base;
	return &hs_pagesrc_thp;
}

/* The stage is ours in the reservation, and in use again only after a
 * conversion took it away. */
static int map_stage(void)
{
	size_t len = hs_region_slot_bytes();
	int err;

	if (stage_mapped)
		return 0;
	err = stage_source()->map(stage_addr(), len, len, hs_arena.reserved);
	stage_mapped = err == 0;
	return err;
}

unsigned hs_convert_nr(void)
{
	return atomic_load_explicit(&nr_converted, memory_order_relaxed);
}

int hs_convert_init(void)
{
	int err;

	hs_lock_acquire(&hs_rescue_lock);
	err = map_stage();
	hs_lock_release(&hs_rescue_lock);
	return err;
}

/* An untouched slot has nothing to copy, and reading it could fault. */
static bool has_page(struct hs_slot *slot)
{
	return hs_slot_state(slot) == HS_SLOT_HUGE ||
	       hs_pagesrc_has_page(hs_slot_address(slot),
				   hs_region_slot_bytes());
}

/* What the application gave the slot goes over to the stage.  The advice is a
 * core dump's matter only. */
static int dress(const struct hs_slot *slot, char *stage)
{
	size_t len = hs_region_slot_bytes();

	if (slot->vm && slot->dontdump)
		hs_sys.madvise(stage, len, MADV_DONTDUMP);
	if (hs_slot_prot(slot) == (PROT_READ | PROT_WRITE))
		return 0;
	return hs_sys.mprotect(stage, len, hs_slot_prot(slot));
}

static void undress(const struct hs_slot *slot, char *stage)
{
	size_t len = hs_region_slot_bytes();

	if (slot->vm && slot->dontdump)
		hs_sys.madvise(stage, len, MADV_DODUMP);
	if (hs_slot_prot(slot) != (PROT_READ | PROT_WRITE))
		hs_sys.mprotect(stage, len, PROT_READ | PROT_WRITE);
}

/* A refusal may be a moment's, and what is done without the call is worse. */
static int protect(char *addr, size_t len)
{
	int err = -ENOMEM;

	for (int i = 0; i < TRIES && err; i++)
		err = hs_sys.mprotect(addr, len, PROT_READ);
	return err;
}

static int move_over(char *addr, size_t len, char *from)
{
	void *p = NULL;

	for (int i = 0; i < TRIES; i++) {
		p = hs_sys.mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
				  addr);
		if (!hs_sys_is_err(p))
			return 0;
	}
	return hs_sys_err(p);
}

/* Not with a charge, which would be needed twice; nor with a filter, which may
 * kill for what this takes. */
static int write_over(const struct hs_slot *slot, const char *from, int err)
{
	if (hs_convert_charges() || hs_region.restricted)
		return err;
	if (hs_convert_written(hs_slot_address(slot), hs_region_slot_bytes(),
			       from, hs_slot_prot(slot),
			       stage_source() == &hs_pagesrc_thp))
		return err;
	return 0;
}

/* Protected, without which its copy does not stay true. */
static int replace_protected(struct hs_slot *slot, char *from, bool *taken)
{
	char *addr = hs_slot_address(slot);
	size_t len = hs_region_slot_bytes();
	int err;

	if (has_page(slot)) {
		memcpy(from, addr, len);
		stage_used = true;
	} else if (stage_used) {
		memset(from, 0, len);
	}
	err = dress(slot, from);
	if (!err)
		err = move_over(addr, len, from);
	if (!err) {
		stage_used = false;
		*taken = true;
		return 0;
	}
	undress(slot, from);
	return write_over(slot, from, err);
}

/* Only in the arena, where nobody else maps anything into the hole, and only
 * what is writable: the stage's own protection cannot be set either. */
static int replace_moved(struct hs_slot *slot, char *from, bool *taken, int err)
{
	if (slot->vm || hs_slot_prot(slot) != (PROT_READ | PROT_WRITE))
		return err;
	err = hs_convert_moved(hs_slot_address(slot), hs_region_slot_bytes(),
			       from);
	*taken = err == 0;
	stage_used = err != 0;
	return err;
}

/* Copy the slot to @from and put that in its place; *@taken: it is gone from
 * where it was. */
static int replace(struct hs_slot *slot, char *from, bool *taken)
{
	char *addr = hs_slot_address(slot);
	size_t len = hs_region_slot_bytes();
	int err = protect(addr, len);

	if (err)
		return replace_moved(slot, from, taken, err);
	err = replace_protected(slot, from, taken);
	if (err && hs_sys.mprotect(addr, len, hs_slot_prot(slot)) == 0)
		hs_guard_forget(slot);
	return err;
}

int hs_convert_to_base_locked(struct hs_slot *slot)
{
	size_t index = (size_t)(slot - hs_arena.slots);
	bool charged = !slot->vm && hs_convert_charges();
	bool taken = false;
	int err = charged ? 0 : map_stage();

	if (err)
		return err;
	if (hs_convert_hold_hook)
		hs_convert_hold_hook(hs_slot_address(slot));
	err = replace(slot, charged ? charge_addr(index) : stage_addr(),
		      &taken);
	if (hs_convert_hold_hook)
		hs_convert_hold_hook(NULL);
	if (err)
		return err;
	slot->premapped = 0;
	slot->vma_start = 1;
	/* The table of slots ends where the part in use does. */
	if (!slot->vm &&
	    index + 1 < hs_arena.size_bytes >> hs_arena.slot_shift)
		(slot + 1)->vma_start = 1;
	slot->thp = !charged && stage_source() == &hs_pagesrc_thp;
	slot->mapped_units =
		(uint32_t)(hs_region_slot_bytes() >> HS_UNIT_SHIFT);
	hs_slot_set_state(slot, HS_SLOT_BASE);
	atomic_fetch_add_explicit(&nr_converted, 1, memory_order_relaxed);
	hs_stats_count(HS_STAT_CONVERT);
	atomic_fetch_add(&hs_region.nr_vmas, 2);
	if (!charged && taken) {
		stage_mapped = false;
		map_stage();
	}
	return 0;
}
