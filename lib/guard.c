/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guard.h"

#include <signal.h>
#include <sys/mman.h>

#include "convert.h"
#include "region_internal.h"
#include "regmap.h"
#include "rescue.h"
#include "sys.h"

_Atomic size_t hs_guard_nr;
size_t hs_guard_splits;
int (*hs_guard_resolve_hook)(struct hs_slot *slot);

static void mark(struct hs_slot *slot, size_t nr, bool guarded)
{
	for (size_t i = 0; i < nr; i++)
		slot[i].guarded = guarded;
	if (guarded)
		atomic_fetch_add_explicit(&hs_guard_nr, nr,
					  memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&hs_guard_nr, nr,
					  memory_order_relaxed);
}

static int protect(struct hs_slot *slot, size_t nr, int prot)
{
	return hs_sys.mprotect(hs_slot_address(slot), nr << hs_arena.slot_shift,
			       prot);
}

/* The table ends where the arena's part in use does. */
static bool has_record(const struct hs_slot *slot)
{
	return (size_t)(slot - hs_arena.slots) <
	       hs_arena.size_bytes >> hs_arena.slot_shift;
}

void hs_guard_mark_split(struct hs_slot *slot)
{
	if (!has_record(slot) || slot->vma_start)
		return;
	slot->vma_start = 1;
	hs_guard_splits++;
	atomic_fetch_add(&hs_region.nr_vmas, 1);
}

static void mark_ends(struct hs_slot *slot, size_t nr)
{
	hs_guard_mark_split(slot);
	hs_guard_mark_split(slot + nr);
}

/* Marked first: a write that traps in between finds its slot guarded. */
int hs_guard_set(struct hs_slot *slot, size_t nr)
{
	int err;

	mark(slot, nr, true);
	mark_ends(slot, nr);
	err = protect(slot, nr, PROT_READ);
	/* It may have done a part; a mark too many does no harm. */
	if (err && protect(slot, nr, PROT_READ | PROT_WRITE) == 0)
		mark(slot, nr, false);
	return err;
}

int hs_guard_lift(struct hs_slot *slot, size_t nr)
{
	int err = protect(slot, nr, PROT_READ | PROT_WRITE);

	if (err)
		return err;
	mark_ends(slot, nr);
	mark(slot, nr, false);
	return 0;
}

int hs_guard_lift_around(struct hs_slot *slot)
{
	struct hs_slot *first = slot, *end = slot + 1;

	while (first > hs_arena.slots && (first - 1)->guarded)
		first--;
	while (has_record(end) && end->guarded)
		end++;
	return hs_guard_lift(first, (size_t)(end - first));
}

void hs_guard_forget(struct hs_slot *slot)
{
	if (slot->guarded)
		mark(slot, 1, false);
}

/* A handler that came in between could not be rescued: the lock would be its
 * own thread's. */
struct hold {
	uint64_t mask;
	bool masked, locked;
};

static void hold(struct hold *h)
{
	const uint64_t all = ~(UINT64_C(1) << (SIGBUS - 1) |
			       UINT64_C(1) << (SIGSEGV - 1));

	h->locked = !hs_lock_is_mine(&hs_rescue_lock);
	h->masked = h->locked && !hs_region.restricted &&
		    hs_sys.sigprocmask(SIG_BLOCK, &all, &h->mask) == 0;
	if (h->locked)
		hs_lock_acquire(&hs_rescue_lock);
}

static void let_go(const struct hold *h)
{
	if (h->locked)
		hs_lock_release(&hs_rescue_lock);
	if (h->masked)
		hs_sys.sigprocmask(SIG_SETMASK, &h->mask, NULL);
}

static bool none(void)
{
	return atomic_load_explicit(&hs_guard_nr, memory_order_relaxed) == 0;
}

bool hs_guard_lift_any(struct hs_slot *slot, size_t nr)
{
	bool all = true;
	struct hold h;

	if (none())
		return true;
	hold(&h);
	for (size_t i = 0; i < nr; i++) {
		size_t n = 0;

		while (i + n < nr && slot[i + n].guarded)
			n++;
		if (n != 0 && hs_guard_lift(&slot[i], n))
			all = false;
		i += n;
	}
	let_go(&h);
	return all;
}

void hs_guard_lift_all(void)
{
	size_t nr = hs_arena.size_bytes >> hs_arena.slot_shift;
	struct hold h;

	if (none())
		return;
	hold(&h);
	for (size_t i = 0; i < nr; i++)
		if (hs_arena.slots[i].guarded &&
		    hs_guard_lift_around(&hs_arena.slots[i]))
			hs_convert_to_base_locked(&hs_arena.slots[i]);
	let_go(&h);
}
