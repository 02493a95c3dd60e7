/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.c - map, unmap and move slots, with fallback slot by slot.
 */
#include <string.h>
#include <sys/mman.h>

#include "config.h"
#include "convert.h"
#include "guard.h"
#include "log.h"
#include "region_internal.h"
#include "regmap.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"

#define PLACE_TRIES 64

static uint32_t epoch_now(void)
{
	return atomic_load_explicit(&hs_arena.epoch, memory_order_relaxed);
}

/* Gauges and the cap follow the state: @nr slots alike, more or less. */
static void account(const struct hs_slot *slot, int64_t nr)
{
	int64_t bytes = nr * (int64_t)hs_region_slot_bytes();
	bool vm = slot->vm;

	switch (hs_slot_state(slot)) {
	case HS_SLOT_HUGE:
		hs_stats_gauge_add(vm ? HS_GAUGE_VM_HUGE : HS_GAUGE_HUGE,
				   bytes);
		atomic_fetch_add(&hs_region.nr_pool, (size_t)nr);
		break;
	case HS_SLOT_LAZY:
		hs_stats_gauge_add(vm ? HS_GAUGE_VM_LAZY : HS_GAUGE_LAZY,
				   bytes);
		atomic_fetch_add(&hs_region.nr_pool, (size_t)nr);
		break;
	case HS_SLOT_BASE:
		bytes = nr * ((int64_t)slot->mapped_units << HS_UNIT_SHIFT);
		if (vm)
			hs_stats_gauge_add(HS_GAUGE_VM_BASE, bytes);
		else
			hs_stats_gauge_add(slot->thp ? HS_GAUGE_THP
						     : HS_GAUGE_BASE,
					   bytes);
		break;
	case HS_SLOT_FREE:
	case HS_SLOT_BROKEN:
	case HS_SLOT_RESERVED:
		break;
	}
}

static bool may_move(enum hs_slot_state from, enum hs_slot_state to, bool vm)
{
	if (to == HS_SLOT_BROKEN || to == HS_SLOT_FREE)
		return from != HS_SLOT_BROKEN;
	switch (from) {
	case HS_SLOT_FREE:
		return true;
	case HS_SLOT_LAZY:
		return to == HS_SLOT_HUGE || to == HS_SLOT_BASE;
	case HS_SLOT_HUGE:
		/* MADV_DONTNEED takes the page away from a mapping. */
		return to == HS_SLOT_BASE || (to == HS_SLOT_LAZY && vm);
	case HS_SLOT_RESERVED:
		return to == HS_SLOT_LAZY || to == HS_SLOT_BASE;
	case HS_SLOT_BASE:
	case HS_SLOT_BROKEN:
		return false;
	}
	return false;
}

void hs_slot_set_state(struct hs_slot *slot, enum hs_slot_state state)
{
	enum hs_slot_state from = hs_slot_state(slot);

	if (!may_move(from, state, slot->vm))
		hs_log_fatal("slot at %p: state %d cannot become %d",
			     (void *)hs_slot_address(slot), (int)from,
			     (int)state);
	account(slot, -1);
	if (state != HS_SLOT_HUGE && state != HS_SLOT_LAZY)
		hs_guard_forget(slot);
	if (state == HS_SLOT_HUGE)
		atomic_store_explicit(&slot->epoch, epoch_now(),
				      memory_order_relaxed);
	/* Pairs with the acquire in hs_slot_state(). */
	atomic_store_explicit(&slot->state, (uint8_t)state,
			      memory_order_release);
	account(slot, 1);
}

void hs_slot_set_run(struct hs_slot *slot, size_t nr, enum hs_slot_state state)
{
	if (nr == 0)
		return;
	for (size_t i = 0; i < nr; i++)
		atomic_store_explicit(&slot[i].state, (uint8_t)state,
				      memory_order_release);
	account(slot, (int64_t)nr);
}

bool hs_slot_is_frozen(const struct hs_slot *slot)
{
	return hs_slot_state(slot) == HS_SLOT_HUGE &&
	       atomic_load_explicit(&slot->epoch, memory_order_relaxed) !=
		       epoch_now();
}

/* --- map -------------------------------------------------------------------*/

static void set_states(size_t first, size_t nr, enum hs_slot_state state)
{
	for (size_t i = first; i < first + nr; i++)
		hs_slot_set_state(&hs_arena.slots[i], state);
}

/* Slots from @first that share the given value of premapped. */
static size_t same_premapped(size_t first, size_t nr)
{
	size_t n = 1;

	while (n < nr && hs_arena.slots[first + n].premapped ==
				 hs_arena.slots[first].premapped)
		n++;
	return n;
}

/* How far a run that starts at @first and must hold @nr may reach ahead. */
static size_t run_length(size_t first, size_t nr)
{
	size_t want = hs_policy_run_slots(nr);
	size_t n = nr;

	if (hs_arena_extend((first + want) << hs_arena.slot_shift))
		return nr;
	while (n < want && hs_slot_map_is_free(&hs_region.map, first + n, 1) &&
	       !hs_arena.slots[first + n].premapped)
		n++;
	return n;
}

/* hugetlb under [first, first + nr), none of it premapped. */
static int premap(size_t first, size_t nr)
{
	size_t run = run_length(first, nr);
	size_t slot_bytes = hs_region_slot_bytes();
	int err = hs_pagesrc_huge()->map(hs_region_slot_addr(first),
					 run << hs_arena.slot_shift, slot_bytes,
					 hs_arena.reserved);

	if (err)
		return err;
	for (size_t i = first; i < first + run; i++) {
		hs_arena.slots[i].premapped = 1;
		hs_arena.slots[i].vma_start = i == first;
	}
	atomic_fetch_add(&hs_region.nr_vmas, 1);
	return 0;
}

/* As many of the first @nr slots as the pool gives; the rest is untouched or
 * premapped.  -EEXIST: the address space is somebody else's. */
static ssize_t map_pool(size_t first, size_t nr, unsigned flags)
{
	size_t have = 0;
	size_t populated;

	while (have < nr) {
		size_t n = same_premapped(first + have, nr - have);
		int err = hs_arena.slots[first + have].premapped
				  ? 0
				  : premap(first + have, n);

		if (err == -EEXIST)
			return err;
		if (err) {
			hs_policy_note_short(nr - have, HS_STAT_FALLBACK_MAP);
			break;
		}
		have += n;
	}
	if (have == 0)
		return 0;
	if (flags & HS_MAP_LAZY) {
		set_states(first, have, HS_SLOT_LAZY);
		return (ssize_t)have;
	}
	populated = hs_pagesrc_huge()->populate(hs_region_slot_addr(first),
						have << hs_arena.slot_shift,
						hs_region_slot_bytes()) >>
		    hs_arena.slot_shift;
	hs_policy_note_short(have - populated, HS_STAT_FALLBACK_POOL);
	set_states(first, populated, HS_SLOT_HUGE);
	hs_stats_add(HS_STAT_SLOT_MAPPED, populated);
	return (ssize_t)populated;
}

static void set_base(size_t first, size_t bytes, bool thp)
{
	size_t slot_bytes = hs_region_slot_bytes();

	for (size_t i = first; bytes > 0; i++) {
		struct hs_slot *slot = &hs_arena.slots[i];
		size_t here = HS_MIN(bytes, slot_bytes);

		slot->thp = thp;
		slot->premapped = 0;
		slot->vma_start = 1;
		slot->mapped_units = (uint32_t)(here >> HS_UNIT_SHIFT);
		hs_slot_set_state(slot, HS_SLOT_BASE);
		bytes -= here;
	}
}

/*
 * hugetlb that was mapped ahead cannot be replaced in part (EINVAL): back to
 * reserved address space with all of it.
 */
static int drop_premapped(size_t first, size_t nr)
{
	int err =
		hs_pagesrc_reset(hs_region_slot_addr(first),
				 nr << hs_arena.slot_shift, hs_arena.reserved);

	for (size_t i = first; i < first + nr && !err; i++)
		hs_arena.slots[i].premapped = 0;
	return err;
}

static int map_base_range(const struct hs_pagesrc *source, size_t first,
			  size_t bytes, bool ours)
{
	return source->map(hs_region_slot_addr(first), bytes,
			   hs_region_slot_bytes(), ours);
}

/*
 * Base pages for [first, first + nr): whole slots if that can be, else up to
 * @need_bytes.  *@bytes: what was mapped.
 */
static int map_rest(size_t first, size_t nr, size_t need_bytes, unsigned flags,
		    size_t *bytes)
{
	const struct hs_pagesrc *source = hs_policy_fallback(flags);
	size_t done = 0;
	int err = 0;

	if (!source)
		return -ENOMEM;
	while (done < nr && !err) {
		size_t n = same_premapped(first + done, nr - done);
		bool ours = hs_arena.reserved ||
			    hs_arena.slots[first + done].premapped;
		size_t len = n << hs_arena.slot_shift;
		size_t need =
			HS_MIN(len, need_bytes - (done << hs_arena.slot_shift));

		err = -ENOMEM;
		if (!(flags & HS_MAP_EXACT) || len == need)
			err = map_base_range(source, first + done, len, ours);
		if (err && err != -EEXIST && need < len) {
			len = need;
			source = &hs_pagesrc_base;
			if (hs_arena.slots[first + done].premapped) {
				err = drop_premapped(first + done, n);
				if (err)
					break;
				ours = hs_arena.reserved;
			}
			err = map_base_range(source, first + done, len, ours);
		}
		if (err)
			break;
		set_base(first + done, len, source == &hs_pagesrc_thp);
		atomic_fetch_add(&hs_region.nr_vmas, 1);
		*bytes += len;
		done += n;
	}
	return err;
}

static void unmap_locked(size_t first, size_t bytes);

/* All of [first, first + nr) or none. */
static int map_at(size_t first, size_t nr, size_t size_bytes, unsigned flags,
		  size_t *got_bytes)
{
	size_t allowed;
	ssize_t pool = 0;
	size_t bytes;
	int err = hs_arena_extend((first + nr) << hs_arena.slot_shift);

	if (err)
		return err;
	allowed = hs_policy_pool_slots(nr, flags);
	if (allowed && hs_convert_charge(first, allowed))
		return -ENOMEM;
	if (allowed)
		pool = map_pool(first, allowed, flags);
	if (pool < (ssize_t)allowed)
		hs_convert_uncharge(first + (size_t)HS_MAX(pool, 0),
				    allowed - (size_t)HS_MAX(pool, 0));
	if (pool < 0)
		return (int)pool;
	bytes = (size_t)pool << hs_arena.slot_shift;
	if ((size_t)pool < nr)
		err = map_rest(first + (size_t)pool, nr - (size_t)pool,
			       size_bytes - bytes, flags, &bytes);
	if (err) {
		unmap_locked(first, bytes);
		return err;
	}
	hs_slot_map_set(&hs_region.map, first, nr);
	*got_bytes = bytes;
	return 0;
}

static size_t choose(const void *hint, size_t nr, size_t align_bytes)
{
	size_t slot_bytes = hs_region_slot_bytes();
	size_t align = HS_MAX(align_bytes >> hs_arena.slot_shift, 1);
	size_t phase = (hs_arena.base >> hs_arena.slot_shift) & (align - 1);

	if (hint && ((uintptr_t)hint & (slot_bytes - 1)) == 0 &&
	    (uintptr_t)hint - hs_arena.base < hs_arena.max_bytes) {
		size_t first = hs_region_index(hint);

		if (hs_slot_map_is_free(&hs_region.map, first, nr))
			return first;
	}
	return hs_slot_map_find(&hs_region.map, nr, align, phase);
}

/* Somebody else has mapped something there: the slot is lost to us. */
static void mark_broken(size_t first)
{
	if (hs_arena_extend((first + 1) << hs_arena.slot_shift))
		return;
	if (hs_slot_state(&hs_arena.slots[first]) == HS_SLOT_FREE)
		hs_slot_set_state(&hs_arena.slots[first], HS_SLOT_BROKEN);
	hs_slot_map_set(&hs_region.map, first, 1);
}

static int map_locked(void *hint, size_t size_bytes, size_t align_bytes,
		      unsigned flags, void **addr, size_t *got_bytes)
{
	size_t slot_bytes = hs_region_slot_bytes();
	size_t nr = (size_bytes + slot_bytes - 1) >> hs_arena.slot_shift;

	if (size_bytes == 0 || size_bytes > hs_arena.max_bytes)
		return -ENOMEM;
	for (int i = 0; i < PLACE_TRIES; i++) {
		size_t first = choose(hint, nr, align_bytes);
		int err;

		if (first == HS_SLOT_NONE)
			return -ENOMEM;
		err = map_at(first, nr, size_bytes, flags, got_bytes);
		if (err == -EEXIST) {
			mark_broken(first);
			continue;
		}
		if (err)
			return -ENOMEM;
		*addr = hs_region_slot_addr(first);
		return 0;
	}
	return -ENOMEM;
}

int hs_region_map(void *hint, size_t size_bytes, size_t align_bytes,
		  unsigned flags, void **addr, size_t *got_bytes)
{
	int err;

	hs_lock_acquire(&hs_region_lock);
	err = map_locked(hint, size_bytes, align_bytes, flags, addr, got_bytes);
	hs_lock_release(&hs_region_lock);
	return err;
}

/* --- unmap -----------------------------------------------------------------*/

static bool is_pool(const struct hs_slot *slot)
{
	enum hs_slot_state state = hs_slot_state(slot);

	return state == HS_SLOT_HUGE || state == HS_SLOT_LAZY;
}

static size_t slot_mapped(const struct hs_slot *slot)
{
	if (hs_slot_state(slot) == HS_SLOT_BASE)
		return (size_t)slot->mapped_units << HS_UNIT_SHIFT;
	return is_pool(slot) ? hs_region_slot_bytes() : 0;
}

size_t hs_region_slot_mapped(const void *addr)
{
	return slot_mapped(hs_region_slot(addr));
}

/*
 * Pool pages go back at once and the mapping stays for the next use.  Where
 * the process is limited, the address space goes too.
 */
static int give_back(size_t first, size_t nr, size_t len, bool pool)
{
	char *addr = hs_region_slot_addr(first);
	bool keep = pool && !hs_region.limited &&
		    hs_guard_lift_any(&hs_arena.slots[first], nr) &&
		    hs_sys.madvise(addr, len, MADV_DONTNEED) == 0;

	for (size_t i = first; i < first + nr; i++)
		hs_arena.slots[i].premapped = keep;
	return keep ? 0 : hs_pagesrc_reset(addr, len, hs_arena.reserved);
}

/* @len: what is mapped of them; behind it, in a process that is limited, may
 * be somebody else's.  A slot whose contents could not be given up must not
 * pass for zeroed. */
static void unmap_same(size_t first, size_t nr, size_t len, bool pool)
{
	int err = give_back(first, nr, len, pool);

	for (size_t i = first; i < first + nr; i++)
		hs_slot_set_state(&hs_arena.slots[i],
				  err ? HS_SLOT_BROKEN : HS_SLOT_FREE);
	if (pool)
		hs_convert_uncharge(first, nr);
	if (pool && !err)
		hs_stats_add(HS_STAT_SLOT_RETURNED, nr);
	if (!err)
		hs_slot_map_clear(&hs_region.map, first, nr);
}

static void unmap_locked(size_t first, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		struct hs_slot *slot = &hs_arena.slots[first];
		bool pool = is_pool(slot);
		size_t nr = 0;
		size_t len = 0;

		/* Whole slots, and one that is mapped in part as the last. */
		while (done + len < bytes && is_pool(slot + nr) == pool &&
		       slot_mapped(slot + nr) &&
		       len == nr << hs_arena.slot_shift) {
			len += slot_mapped(slot + nr);
			nr++;
		}
		if (nr == 0)
			hs_log_fatal("unmap of slot %zu, which is not mapped",
				     first);
		unmap_same(first, nr, len, pool);
		done += len;
		first += nr;
	}
}

void hs_region_unmap(void *addr, size_t size_bytes)
{
	hs_lock_acquire(&hs_region_lock);
	unmap_locked(hs_region_index(addr), size_bytes);
	hs_lock_release(&hs_region_lock);
}

/* --- move ------------------------------------------------------------------*/

/* Slots from @first, at most @nr, that one mremap can take. */
static size_t same_mapping(size_t first, size_t nr)
{
	bool pool = is_pool(&hs_arena.slots[first]);
	size_t n = 1;

	while (n < nr && !hs_arena.slots[first + n].vma_start &&
	       is_pool(&hs_arena.slots[first + n]) == pool)
		n++;
	return n;
}

/* The record of a slot goes with its pages. */
static void move_record(size_t from, size_t to)
{
	struct hs_slot *src = &hs_arena.slots[from];
	struct hs_slot *dst = &hs_arena.slots[to];
	enum hs_slot_state state = hs_slot_state(src);

	hs_slot_set_state(dst, HS_SLOT_FREE);
	dst->thp = src->thp;
	dst->premapped = 0;
	dst->vma_start = src->vma_start;
	dst->mapped_units = src->mapped_units;
	hs_slot_set_state(dst, state);
	atomic_store_explicit(&dst->epoch,
			      atomic_load_explicit(&src->epoch,
						   memory_order_relaxed),
			      memory_order_relaxed);
}

/* Moved-away slots are a hole: take the addresses back, or never use them. */
static void reclaim_hole(size_t first, size_t nr)
{
	int err =
		hs_pagesrc_reset(hs_region_slot_addr(first),
				 nr << hs_arena.slot_shift, hs_arena.reserved);

	for (size_t i = first; i < first + nr; i++) {
		hs_arena.slots[i].premapped = 0;
		hs_slot_set_state(&hs_arena.slots[i],
				  err ? HS_SLOT_BROKEN : HS_SLOT_FREE);
	}
	if (!err)
		hs_slot_map_clear(&hs_region.map, first, nr);
}

/*
 * The destination is whole before anything moves, so a refused mremap (a
 * filter, the number of mappings) is made good by copying, and no order of
 * failures leaves a hole.
 */
static void move_slots(size_t from, size_t to, size_t nr)
{
	hs_guard_lift_any(&hs_arena.slots[from], nr);
	while (nr > 0) {
		size_t n = same_mapping(from, nr);
		size_t len = n << hs_arena.slot_shift;
		char *src = hs_region_slot_addr(from);
		char *dst = hs_region_slot_addr(to);
		void *p = hs_sys.mremap(src, len, len,
					MREMAP_MAYMOVE | MREMAP_FIXED, dst);

		if (hs_sys_is_err(p)) {
			hs_rescue_prepare(dst, len);
			memcpy(dst, src, len);
		} else {
			for (size_t i = 0; i < n; i++)
				move_record(from + i, to + i);
			reclaim_hole(from, n);
		}
		from += n;
		to += n;
		nr -= n;
	}
}

int hs_region_move(void *from, size_t size_bytes, size_t new_size_bytes,
		   void **addr, size_t *got_bytes)
{
	size_t nr = size_bytes >> hs_arena.slot_shift;
	size_t first = hs_region_index(from);
	int err;

	/* A charge belongs to its slot's address. */
	if (size_bytes & (hs_region_slot_bytes() - 1) ||
	    new_size_bytes < size_bytes || hs_convert_charges())
		return -EINVAL;
	hs_lock_acquire(&hs_region_lock);
	err = map_locked(NULL, new_size_bytes, 0, HS_MAP_LAZY, addr, got_bytes);
	if (!err) {
		move_slots(first, hs_region_index(*addr), nr);
		/* What had to be copied is still at the old place. */
		for (size_t i = first; i < first + nr; i++)
			if (slot_mapped(&hs_arena.slots[i]))
				unmap_same(i, 1, hs_region_slot_bytes(),
					   is_pool(&hs_arena.slots[i]));
	}
	hs_lock_release(&hs_region_lock);
	return err;
}

/* --- what others do -------------------------------------------------------*/

/* Beyond what has been in use the arena ends there: marks would need tables
 * that reach so far. */
void hs_region_disown(const void *addr, size_t len)
{
	uintptr_t from = HS_MAX((uintptr_t)addr, hs_arena.base);
	uintptr_t to = HS_MIN((uintptr_t)addr + len,
			      hs_arena.base + hs_arena.max_bytes);
	size_t known = hs_arena.size_bytes >> hs_arena.slot_shift;

	if (from >= to)
		return;
	hs_lock_acquire(&hs_region_lock);
	for (size_t i = hs_region_index((void *)from);
	     i <= hs_region_index((void *)(to - 1)); i++) {
		if (i >= known) {
			hs_region.map.nr_slots =
				HS_MIN(hs_region.map.nr_slots, i);
			break;
		}
		if (hs_slot_state(&hs_arena.slots[i]) == HS_SLOT_FREE)
			mark_broken(i);
	}
	hs_lock_release(&hs_region_lock);
}

/* --- limits ----------------------------------------------------------------*/

static void settle_lazy(void)
{
	for (size_t i = 0; i < hs_region.map.high; i++)
		if (hs_slot_state(&hs_arena.slots[i]) == HS_SLOT_LAZY)
			hs_rescue_pin_base(hs_region_slot_addr(i), 1);
}

void hs_region_unreserve(bool settle)
{
	hs_lock_acquire(&hs_region_lock);
	if (hs_arena.base) {
		hs_guard_lift_all();
		if (settle)
			settle_lazy();
		hs_arena_unreserve();
	}
	hs_region.limited = true;
	hs_lock_release(&hs_region_lock);
}

void hs_region_leave_pool(bool all)
{
	hs_lock_acquire(&hs_region_lock);
	hs_region.left_pool = true;
	hs_region.limited_from = all ? 0 : hs_region.map.high;
	for (size_t i = 0; hs_arena.base && i < hs_region.map.high; i++)
		hs_rescue_pin_base(hs_region_slot_addr(i), 1);
	hs_lock_release(&hs_region_lock);
}

const void *hs_region_limited_from(void)
{
	return hs_region_slot_addr(hs_region.limited_from);
}

enum hs_region_limit hs_region_limit(void)
{
	if (hs_region.left_pool)
		return HS_LIMIT_LOCKED;
	return hs_region.limited ? HS_LIMIT_SPACE : HS_LIMIT_NONE;
}

void hs_region_restrict(void)
{
	hs_lock_acquire(&hs_region_lock);
	if (hs_arena.base) {
		hs_guard_lift_all();
		settle_lazy();
	}
	hs_region.restricted = true;
	hs_lock_release(&hs_region_lock);
	hs_stats_restrict();
}

int hs_region_check(void)
{
	size_t nr_pool = 0, i;
	int broken = 0;

	hs_lock_acquire(&hs_region_lock);
	for (i = 0; i < hs_region.map.high; i++) {
		const struct hs_slot *slot = &hs_arena.slots[i];
		bool busy = !hs_slot_map_is_free(&hs_region.map, i, 1);

		if (busy != (hs_slot_state(slot) != HS_SLOT_FREE))
			broken = 1;
		if (hs_slot_state(slot) > HS_SLOT_BROKEN)
			broken = 2;
	}
	i = hs_regmap.first;
	for (; (i = hs_regmap_next(i, hs_regmap.end)) < hs_regmap.end; i++)
		nr_pool += is_pool(&hs_regmap.slots[i]);
	if (nr_pool != atomic_load(&hs_region.nr_pool))
		broken = 3;
	hs_lock_release(&hs_region_lock);
	return broken;
}
