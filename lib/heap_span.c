/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_span.h"

#include <time.h>

#include "config.h"
#include "heap_extent.h"
#include "heap_purge.h"
#include "region.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"

/* Map a 24th of what there is at a time (fewer, longer runs: every
 * hugetlb VMA makes forks slower), at most this many slots. */
#define GROW_SHARE 24
#define GROW_MAX_SLOTS 32
/* What the pools on base pages map at a time; where a limit is in force, and
 * there at least that share too. */
#define BASE_CHUNK_UNITS 16
#define LIMITED_CHUNK_UNITS 4
/* A fork child that has needed this much is no longer taken for short-lived. */
#define CHILD_MAX_UNITS 64

struct hs_heap_map hs_heap_map;
struct hs_lock hs_span_lock = HS_LOCK_INIT(HS_RANK_SPAN);
struct hs_span_pool hs_span_pools[HS_NR_POOLS];

static uint64_t *dirty_map; /* a bit a unit */
static int64_t retained_reported;

/* Leave the lock, and tell the gauge what has changed since. */
static void span_unlock(void)
{
	int64_t now = 0, delta;
	int i;

	for (i = 0; i < HS_NR_POOLS; i++)
		now += (int64_t)hs_span_pools[i].free_units;
	delta = now - retained_reported;
	retained_reported = now;
	hs_lock_release(&hs_span_lock);
	if (delta != 0)
		hs_stats_gauge_add(HS_GAUGE_RETAINED, delta * (int64_t)HS_UNIT);
}

/* Bits of one word of the dirty map that belong to [first, end). */
static uint64_t range_mask(size_t word, size_t first, size_t end)
{
	uint64_t mask = ~(uint64_t)0;

	if (word == first / 64)
		mask &= ~(uint64_t)0 << (first % 64);
	if (word == (end - 1) / 64)
		mask &= ~(uint64_t)0 >> (63 - (end - 1) % 64);
	return mask;
}

/* True when none was dirty before. */
static bool dirty_set(size_t first, size_t nr_units)
{
	size_t word, end = first + nr_units;
	uint64_t was = 0;

	for (word = first / 64; word <= (end - 1) / 64; word++) {
		uint64_t mask = range_mask(word, first, end);

		was |= dirty_map[word] & mask;
		dirty_map[word] |= mask;
	}
	return was == 0;
}

static void dirty_clear(size_t first, size_t nr_units)
{
	size_t word, end = first + nr_units;

	for (word = first / 64; word <= (end - 1) / 64; word++)
		if (dirty_map[word] & range_mask(word, first, end))
			dirty_map[word] &= ~range_mask(word, first, end);
}

static bool is_dirty(uint32_t unit)
{
	return dirty_map[unit / 64] >> unit % 64 & 1;
}

/* Beside the arena, and growing with it. */
static int map_tables(void)
{
	unsigned id;

	for (id = 0; id < HS_NR_POOLS; id++)
		hs_span_pools[id].id = (uint8_t)id;
	hs_heap_map.units =
		hs_region_table(sizeof(struct hs_unit), HS_UNIT_SHIFT);
	dirty_map = hs_region_table(sizeof(uint64_t), HS_UNIT_SHIFT + 6);
	if (hs_heap_map.units == NULL || dirty_map == NULL)
		return -ENOMEM;
	hs_heap_map.base = hs_arena.base;
	return 0;
}

int hs_span_init(void)
{
	int ret = 0;

	hs_lock_acquire(&hs_span_lock);
	if (hs_heap_map.base == 0) {
		ret = hs_region_init();
		if (ret == 0)
			ret = map_tables();
	}
	hs_lock_release(&hs_span_lock);
	return ret;
}

uint32_t hs_span_top(void)
{
	uint32_t top = 0;
	int i;

	for (i = 0; i < HS_NR_POOLS; i++)
		top = HS_MAX(top, hs_span_pools[i].top);
	return top;
}

/*
 * Bytes in live blocks, to tell whether the process is still too small for
 * huge pages.  Other threads count on meanwhile; an estimate will do.
 */
__attribute__((no_sanitize("thread"))) static size_t live_bytes(void)
{
	uint32_t i, top = hs_span_top();
	size_t sum = 0;

	for (i = 0; i < top; i++) {
		const struct hs_unit *unit = hs_unit_at(i);

		if (unit->kind == HS_UNIT_SLAB && unit->used != 0)
			sum += (unit->used - 1u) * unit->size_bytes;
		else if (unit->kind == HS_UNIT_LARGE)
			sum += unit->used * unit->size_bytes;
		else if (unit->kind == HS_UNIT_SPAN)
			sum += unit->nr_units * HS_UNIT;
	}
	return sum;
}

/* Packed memory is populated before it is handed out. */
static void settle_lazy(uint32_t first, size_t nr_units)
{
	size_t per_slot = hs_units_per_slot();
	size_t slot = hs_align_down(first, per_slot);

	for (; slot < first + nr_units; slot += per_slot) {
		void *addr = hs_unit_address((uint32_t)slot);

		if (hs_slot_state(hs_region_slot(addr)) == HS_SLOT_LAZY)
			hs_rescue_prepare(addr, hs_region_slot_bytes());
	}
}

/* Take units out of the free ones.  Locks: hs_span_lock held. */
static uint32_t take(struct hs_span_pool *pool, size_t nr_units,
		     size_t align_units, unsigned flags, bool *zeroed)
{
	uint32_t index = hs_extent_find(pool, nr_units, align_units);
	uint32_t first, end;
	size_t skip;

	if (index == HS_NO_UNIT)
		return index;
	skip = -((uintptr_t)hs_unit_address(index) >> HS_UNIT_SHIFT) &
	       (align_units - 1);
	first = index + (uint32_t)skip;
	end = index + hs_unit_at(index)->nr_units;
	hs_extent_remove(pool, index);
	if (skip != 0)
		hs_extent_insert(pool, index, skip);
	if (end != first + nr_units)
		hs_extent_insert(pool, first + (uint32_t)nr_units,
				 end - first - nr_units);
	if (pool->free_slot_units < pool->low_slot_units)
		pool->low_slot_units = pool->free_slot_units;
	*zeroed = dirty_set(first, nr_units);
	if (!(flags & HS_SPAN_BIG))
		settle_lazy(first, nr_units);
	return first;
}

/* Mapped memory joins the pool's books.  Locks: hs_span_lock held. */
static void account(struct hs_span_pool *pool, void *addr, size_t got_bytes)
{
	uintptr_t end = (uintptr_t)addr + got_bytes - hs_heap_map.base;

	/* Who is given a block above the old end is told of it by means that
	 * order this store too. */
	__atomic_store_n(&hs_heap_map.size_bytes, hs_arena.size_bytes,
			 __ATOMIC_RELEASE);
	pool->mapped_units += got_bytes >> HS_UNIT_SHIFT;
	if (pool->top < end >> HS_UNIT_SHIFT)
		pool->top = (uint32_t)(end >> HS_UNIT_SHIFT);
}

/* Are these units' slots unmapped, as far as can be told without a lock? */
static bool slots_are_free(size_t first, size_t nr_units)
{
	size_t end = first + nr_units;

	if (first % hs_units_per_slot() != 0 ||
	    end > hs_arena.max_bytes >> HS_UNIT_SHIFT)
		return false;
	end = HS_MIN(end, hs_heap_map.size_bytes >> HS_UNIT_SHIFT);
	for (; first < end; first += hs_units_per_slot()) {
		void *addr = hs_unit_address((uint32_t)first);

		if (hs_slot_state(hs_region_slot(addr)) != HS_SLOT_FREE)
			return false;
	}
	return true;
}

/*
 * Map @nr_units at @first exactly and add them to the pool's books, not to its
 * free extents.  Locks: hs_span_lock held, but not while mapping.
 */
static bool map_at(struct hs_span_pool *pool, uint32_t first, size_t nr_units,
		   unsigned map_flags)
{
	void *hint = hs_unit_address(first), *addr;
	size_t got_bytes;
	int ret;

	if (!slots_are_free(first, nr_units))
		return false;
	hs_lock_release(&hs_span_lock);
	ret = hs_region_map(hint, nr_units * HS_UNIT, 0, map_flags, &addr,
			    &got_bytes);
	hs_lock_acquire(&hs_span_lock);
	if (ret != 0)
		return false;
	if (addr != hint || got_bytes != nr_units * HS_UNIT) {
		hs_region_unmap(addr, got_bytes);
		return false;
	}
	account(pool, addr, got_bytes);
	return true;
}

/* Units below @low stay. */
static size_t release_locked(struct hs_span_pool *pool, size_t keep_units,
			     uint32_t low)
{
	size_t done = 0, per_slot = hs_units_per_slot();
	uint32_t first, from, to, end;

	while ((pool->free_slot_units > keep_units || keep_units == 0) &&
	       hs_extent_highest_slots(pool, &first, &from, &to)) {
		size_t excess = hs_align_up(pool->free_slot_units - keep_units,
					    per_slot);

		from = HS_MAX(from, low);
		if (from >= to)
			break;
		if (keep_units != 0 && to - from > excess)
			from = (uint32_t)hs_align_down(to - excess, per_slot);
		end = first + hs_unit_at(first)->nr_units;
		hs_extent_remove(pool, first);
		hs_region_unmap(hs_unit_address(from), (to - from) * HS_UNIT);
		dirty_clear(from, to - from);
		pool->mapped_units -= to - from;
		done += to - from;
		if (from != first)
			hs_extent_insert(pool, first, from - first);
		if (end != to)
			hs_extent_insert(pool, to, end - to);
	}
	pool->low_slot_units = pool->free_slot_units;
	return done;
}

/* Nothing can be mapped: give back whatever is free, of every pool, if that
 * makes room. */
static void release_all_locked(void)
{
	int i;

	for (i = 0; i < HS_NR_POOLS; i++)
		release_locked(&hs_span_pools[i], 0,
			       hs_unit_index(hs_region_limited_from()));
}

static size_t retain_units(void)
{
	return hs_config->retain_bytes >> HS_UNIT_SHIFT;
}

static long now_ms(void)
{
	struct timespec ts = { 0, 0 };

	hs_sys.clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Free slots beyond what is retained go back when they have not been needed
 * for a whole decay period: the least that was free in it is what goes.
 */
static void decay(struct hs_span_pool *pool, size_t nr_units)
{
	size_t keep = retain_units(), unused;
	long now;

	if (pool->free_slot_units <= keep || hs_config->decay_ms < 0)
		return;
	if (nr_units < hs_units_per_slot() && (++pool->ticks & 15) != 0)
		return;
	/* A filter that allows malloc's calls need not allow the clock's. */
	if (hs_config->decay_ms > 0 && hs_region_is_restricted())
		return;
	now = hs_config->decay_ms > 0 ? now_ms() : 0;
	if (pool->period_start_ms == 0)
		pool->period_start_ms = now;
	if (now - pool->period_start_ms < hs_config->decay_ms)
		return;
	unused = HS_MIN(pool->low_slot_units, pool->free_slot_units);
	if (hs_config->decay_ms == 0)
		unused = pool->free_slot_units;
	if (unused > keep)
		release_locked(pool, pool->free_slot_units - (unused - keep),
			       0);
	pool->period_start_ms = now;
	pool->low_slot_units = pool->free_slot_units;
}

/*
 * Extend the extent that ends at the pool's top, so that runs grow in place.
 * Locks: hs_span_lock held.
 */
static bool grow_top(struct hs_span_pool *pool, size_t nr_units,
		     size_t align_units, size_t roomy_units, unsigned flags)
{
	unsigned map_flags = flags & HS_SPAN_BIG ? HS_MAP_LAZY : 0;
	size_t per_slot = hs_units_per_slot(), have = 0, need;
	uint32_t top = pool->top;
	struct hs_unit *tail;

	if (top == 0 || align_units > per_slot)
		return false;
	tail = hs_unit_at(top - 1);
	if ((tail->kind == HS_UNIT_FREE_TAIL || tail->kind == HS_UNIT_FREE) &&
	    tail->pool == pool->id)
		have = hs_align_down(tail->nr_units, align_units);
	if (nr_units * HS_UNIT <= hs_config->populate_max_bytes)
		map_flags = 0;
	need = nr_units > have ? nr_units - have : per_slot;
	need = hs_align_up(HS_MAX(need, roomy_units), per_slot);
	if (!map_at(pool, top, need, map_flags))
		return false;
	hs_extent_insert(pool, top, need);
	return true;
}

/* Map somewhere; the first unit, or HS_NO_UNIT.  Locks: hs_span_lock held, but
 * not while mapping. */
static uint32_t map_any(struct hs_span_pool *pool, size_t nr_units,
			size_t align_units, unsigned map_flags,
			size_t *got_units)
{
	size_t align_bytes = align_units * HS_UNIT, got_bytes;
	void *addr;
	int ret;

	if (align_bytes <= hs_region_slot_bytes())
		align_bytes = 0;
	hs_lock_release(&hs_span_lock);
	ret = hs_region_map(NULL, nr_units * HS_UNIT, align_bytes, map_flags,
			    &addr, &got_bytes);
	hs_lock_acquire(&hs_span_lock);
	if (ret != 0)
		return HS_NO_UNIT;
	account(pool, addr, got_bytes);
	*got_units = got_bytes >> HS_UNIT_SHIFT;
	return hs_unit_index(addr);
}

/* How much to map when @units would be usual. */
static size_t base_chunk(const struct hs_span_pool *pool, size_t units)
{
	if (hs_region_limit() == HS_LIMIT_NONE)
		return units;
	return HS_MIN(units, HS_MAX(pool->mapped_units / GROW_SHARE,
				    (size_t)LIMITED_CHUNK_UNITS));
}

/* How to map for a packed request: base pages first, then in long runs. */
static unsigned grow_policy(struct hs_span_pool *pool, size_t nr_units,
			    unsigned flags, size_t *roomy_units)
{
	size_t base_units = hs_units_of(hs_config->base_first_bytes);
	size_t want = flags & HS_SPAN_SLAB ? 0 : nr_units * HS_UNIT;
	size_t most = GROW_MAX_SLOTS * (size_t)hs_units_per_slot();

	if (pool->id != HS_POOL_MAIN || hs_region_limit() >= HS_LIMIT_LOCKED) {
		*roomy_units = base_chunk(pool, BASE_CHUNK_UNITS);
		return HS_MAP_BASE | HS_MAP_EXACT;
	}
	if (!pool->huge && live_bytes() + want <= hs_config->base_first_bytes &&
	    base_units != 0) {
		*roomy_units = base_chunk(pool, base_units);
		return HS_MAP_BASE | HS_MAP_EXACT;
	}
	pool->huge = true;
	/* Threads that find nothing free at once need not all be generous. */
	*roomy_units = pool->growing > 1 ? 0
					 : HS_MIN(pool->mapped_units /
							  GROW_SHARE,
						  most);
	return 0;
}

/* Locks: hs_span_lock held. */
static uint32_t grow_packed(struct hs_span_pool *pool, size_t nr_units,
			    size_t align_units, unsigned flags, bool *zeroed)
{
	uint32_t first = HS_NO_UNIT;
	size_t roomy, got = 0, ask;
	unsigned map_flags;

	if (pool->id == HS_POOL_CHILD &&
	    pool->mapped_units + nr_units > CHILD_MAX_UNITS)
		return HS_NO_UNIT;
	map_flags = grow_policy(pool, nr_units, flags, &roomy);
	if (map_flags == 0 &&
	    grow_top(pool, nr_units, align_units, roomy, flags)) {
		first = take(pool, nr_units, align_units, flags, zeroed);
		if (first != HS_NO_UNIT)
			return first;
	}
	ask = HS_MAX(nr_units, roomy);
	first = map_any(pool, ask, align_units, map_flags, &got);
	if (first == HS_NO_UNIT) {
		/* Short: give back what is not used, ask for the least. */
		release_all_locked();
		first = map_any(pool, nr_units, align_units, map_flags, &got);
	}
	if (first == HS_NO_UNIT)
		return first;
	hs_extent_insert(pool, first, got);
	return take(pool, nr_units, align_units, flags, zeroed);
}

static uint32_t grow_counted(struct hs_span_pool *pool, size_t nr_units,
			     size_t align_units, unsigned flags, bool *zeroed)
{
	uint32_t first;

	pool->growing++;
	first = grow_packed(pool, nr_units, align_units, flags, zeroed);
	/* A child that this thread forked from a handler begins at zero. */
	if (pool->growing > 0)
		pool->growing--;
	return first;
}

/* Locks: hs_span_lock held. */
static uint32_t grow_big(struct hs_span_pool *pool, size_t nr_units,
			 size_t align_units, bool *zeroed, size_t *got_units)
{
	unsigned map_flags = 0;
	uint32_t first;

	if (pool->id == HS_POOL_BASE)
		map_flags = HS_MAP_BASE;
	else if (nr_units * HS_UNIT > hs_config->populate_max_bytes)
		map_flags = HS_MAP_LAZY;
	if (map_flags != HS_MAP_BASE &&
	    grow_top(pool, nr_units, align_units, 0, HS_SPAN_BIG)) {
		*got_units = nr_units;
		first = take(pool, nr_units, align_units, HS_SPAN_BIG, zeroed);
		if (first != HS_NO_UNIT)
			return first;
	}
	first = map_any(pool, nr_units, align_units, map_flags, got_units);
	if (first == HS_NO_UNIT) {
		release_all_locked();
		first = map_any(pool, nr_units, align_units, map_flags,
				got_units);
	}
	if (first == HS_NO_UNIT)
		return first;
	pool->huge = true;
	*zeroed = dirty_set(first, *got_units);
	return first;
}

uint32_t hs_span_alloc(struct hs_span_pool *pool, size_t nr_units,
		       size_t align_units, unsigned flags, bool *zeroed,
		       size_t *got_units)
{
	size_t most = hs_arena.max_bytes >> HS_UNIT_SHIFT;
	uint32_t first;

	if (nr_units > most || align_units > most)
		return HS_NO_UNIT;
	if (flags & HS_SPAN_BIG) {
		nr_units = hs_align_up(nr_units, hs_units_per_slot());
		align_units = HS_MAX(align_units, (size_t)hs_units_per_slot());
	}
	*got_units = nr_units;
	hs_lock_acquire(&hs_span_lock);
	first = take(pool, nr_units, align_units, flags, zeroed);
	if (first == HS_NO_UNIT && flags & HS_SPAN_GROW) {
		if (flags & HS_SPAN_BIG)
			first = grow_big(pool, nr_units, align_units, zeroed,
					 got_units);
		else
			first = grow_counted(pool, nr_units, align_units,
					     flags, zeroed);
		decay(pool, nr_units);
	}
	span_unlock();
	return first;
}

void hs_span_free(struct hs_span_pool *pool, uint32_t first, size_t nr_units)
{
	hs_lock_acquire(&hs_span_lock);
	hs_unit_set_kind(hs_unit_at(first), HS_UNIT_FREED);
	hs_extent_insert(pool, first, nr_units);
	decay(pool, nr_units);
	span_unlock();
}

bool hs_span_extend(struct hs_span_pool *pool, uint32_t first, size_t nr_units,
		    size_t new_units, unsigned flags)
{
	size_t need = new_units - nr_units, have = 0;
	uint32_t right = first + (uint32_t)nr_units;
	unsigned map_flags;
	bool done = false;

	hs_lock_acquire(&hs_span_lock);
	if (right < pool->top && hs_unit_is_free(hs_unit_at(right)) &&
	    hs_unit_at(right)->pool == pool->id) {
		have = hs_unit_at(right)->nr_units;
		hs_extent_remove(pool, right);
	}
	map_flags = new_units * HS_UNIT > hs_config->populate_max_bytes
			    ? HS_MAP_LAZY
			    : 0;
	if (have >= need) {
		done = true;
	} else if (flags & HS_SPAN_BIG && pool->id == HS_POOL_MAIN &&
		   map_at(pool, right + (uint32_t)have, need - have,
			  map_flags)) {
		have = need;
		done = true;
	}
	if (done) {
		dirty_set(right, need);
		if (!(flags & HS_SPAN_BIG))
			settle_lazy(right, need);
		right += (uint32_t)need;
		have -= need;
	}
	if (have != 0)
		hs_extent_insert(pool, right, have);
	span_unlock();
	return done;
}

uint32_t hs_span_move(struct hs_span_pool *pool, uint32_t first,
		      size_t nr_units, size_t new_units, size_t *got_units)
{
	size_t got_bytes;
	void *addr;
	int ret;

	if (nr_units % hs_units_per_slot() != 0 || pool->id != HS_POOL_MAIN)
		return HS_NO_UNIT;
	/* Under the lock: the old place must not be mapped again before the
	 * books say that it is gone. */
	hs_lock_acquire(&hs_span_lock);
	ret = hs_region_move(hs_unit_address(first), nr_units * HS_UNIT,
			     new_units * HS_UNIT, &addr, &got_bytes);
	if (ret != 0) {
		hs_lock_release(&hs_span_lock);
		return HS_NO_UNIT;
	}
	hs_unit_set_kind(hs_unit_at(first), HS_UNIT_FREED);
	dirty_clear(first, nr_units);
	pool->mapped_units -= nr_units;
	account(pool, addr, got_bytes);
	*got_units = got_bytes >> HS_UNIT_SHIFT;
	dirty_set(hs_unit_index(addr), *got_units);
	span_unlock();
	return hs_unit_index(addr);
}

size_t hs_span_release(struct hs_span_pool *pool, size_t keep_units)
{
	size_t done;

	hs_lock_acquire(&hs_span_lock);
	done = release_locked(pool, keep_units, 0);
	span_unlock();
	return done;
}

/* The dirty units of one free extent, run by run.  Locks: hs_span_lock. */
static size_t purge_extent(uint32_t first, uint32_t end)
{
	size_t got_bytes, sum_bytes = 0;
	uint32_t from, to;

	for (from = first; from < end; from = to) {
		bool dirty = is_dirty(from);

		for (to = from + 1; to < end && is_dirty(to) == dirty; to++)
			;
		if (!dirty)
			continue;
		got_bytes = hs_purge_pages((uintptr_t)hs_unit_address(from),
					   (uintptr_t)hs_unit_address(to));
		if (got_bytes == (to - from) * HS_UNIT)
			dirty_clear(from, to - from);
		sum_bytes += got_bytes;
	}
	return sum_bytes;
}

size_t hs_span_purge(const struct hs_span_pool *pool)
{
	size_t sum_bytes = 0;
	uint32_t i;

	hs_lock_acquire(&hs_span_lock);
	for (i = 0; i < pool->top; i++) {
		const struct hs_unit *unit = hs_unit_at(i);

		if (!hs_unit_is_free(unit) || unit->pool != pool->id)
			continue;
		sum_bytes += purge_extent(i, i + unit->nr_units);
		i += unit->nr_units - 1;
	}
	hs_lock_release(&hs_span_lock);
	return sum_bytes;
}

/* One walk over the units: extents are tagged, apart from one another, and
 * their sums are right. */
static int check_pool(const struct hs_span_pool *pool)
{
	size_t free_units = 0, slot_units = 0;
	bool after_free = false;
	uint32_t i;

	for (i = 0; i < pool->top;) {
		const struct hs_unit *unit = hs_unit_at(i), *tail;

		if (unit->kind == HS_UNIT_FREE_TAIL && unit->pool == pool->id)
			return 1;
		if (unit->kind != HS_UNIT_FREE || unit->pool != pool->id) {
			after_free = false;
			i++;
			continue;
		}
		tail = hs_unit_at(i + unit->nr_units - 1);
		if (after_free || tail->nr_units != unit->nr_units ||
		    (tail != unit && tail->kind != HS_UNIT_FREE_TAIL))
			return 1;
		free_units += unit->nr_units;
		slot_units += hs_extent_slot_units(i, unit->nr_units);
		i += unit->nr_units;
		after_free = true;
	}
	return free_units == pool->free_units &&
			       slot_units == pool->free_slot_units
		       ? 0
		       : 2;
}

int hs_span_check(void)
{
	int ret, pool;

	hs_lock_acquire(&hs_span_lock);
	for (ret = 0, pool = 0; ret == 0 && pool < HS_NR_POOLS; pool++)
		ret = check_pool(&hs_span_pools[pool]);
	hs_lock_release(&hs_span_lock);
	return ret;
}
