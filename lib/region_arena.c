/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region_arena.c - the address space: where the arena is, the tables beside it
 * and how far both are in use.
 *
 *   | regmap, 1 GiB | tables, 1/256 of the arena | arena ...        | stage |
 *   base - space                                 base  base + size  base + max
 *
 * All of it is one PROT_NONE, MAP_NORESERVE reservation at a random address
 * between 32 and 80 TiB: the kernel places programs, libraries, heaps and
 * stacks elsewhere (below 1 TiB, and from 84 TiB up), and so do the
 * sanitizers, the JVM and Go.  With RLIMIT_AS nothing is reserved; the same
 * addresses are then mapped piece by piece with MAP_FIXED_NOREPLACE.  The
 * charges of convert.c, where overcommit is off, come behind the stage.
 */
#include <sys/mman.h>

#include "config.h"
#include "pagesrc_internal.h"
#include "probe.h"
#include "region_internal.h"
#include "regmap.h"
#include "sys.h"

#define ARENA_MAX (4 * HS_TIB)
#define ARENA_MIN (4 * HS_GIB)
#define TABLE_SHARE 256 /* of the arena's size, for all tables together */
#define LIMITED_SHARE 16
#define EXTEND_STEP (256 * HS_MIB)
#define WINDOW_LOW (32 * HS_TIB)
#define WINDOW_HIGH (80 * HS_TIB)
/* Processors with 39 bits of user addresses. */
#define SMALL_WINDOW_LOW (64 * HS_GIB)
#define SMALL_WINDOW_HIGH (320 * HS_GIB)
#define PLACE_TRIES 8

struct table {
	char *start;
	size_t entry_bytes;
	unsigned shift;
	size_t committed_bytes;
};

static struct {
	struct table table[HS_REGION_TABLES];
	unsigned nr_tables;
	char *space;      /* start of what is reserved for tables */
	size_t space_used;
	size_t space_bytes;
} tables;

struct hs_arena hs_arena;
struct hs_region_state hs_region;
struct hs_lock hs_region_lock = HS_LOCK_INIT(HS_RANK_REGION);

static uint64_t random_number(void)
{
	static uint64_t fallback = 0x9e3779b97f4a7c15;
	uint64_t r;

	if (hs_sys.getrandom(&r, sizeof(r), 1 /* GRND_NONBLOCK */) == sizeof(r))
		return r;
	fallback = fallback * 6364136223846793005 + (uintptr_t)&r;
	return fallback;
}

/* Reserve tables and arena at @at.  True when they are ours. */
static bool place(uintptr_t at, size_t space, size_t size)
{
	void *want = (void *)(at - space);
	void *p;

	if (hs_region.limited)
		return true; /* claimed piece by piece */
	p = hs_sys.mmap(want, space + size, PROT_NONE,
			hs_pagesrc_flags(false) | MAP_ANONYMOUS, -1, 0);
	if (hs_sys_is_err(p))
		return false;
	if (p == want) {
		hs_sys.madvise(p, space + size, MADV_DONTDUMP);
		return true;
	}
	hs_sys.munmap(p, space + size);
	return false;
}

static bool place_in_window(uintptr_t low, uintptr_t high, size_t size)
{
	size_t slot = hs_region_slot_bytes();
	size_t space = hs_align_up(size / TABLE_SHARE, slot) +
		       hs_align_up(hs_regmap_bytes(), slot);
	size_t whole = size + slot; /* the stage of conversions behind it */
	size_t room;

	low += space;
	if (high < low + whole)
		return false;
	room = (high - low - whole) >> hs_arena.slot_shift;
	for (int i = 0; i < PLACE_TRIES; i++) {
		uintptr_t at = hs_align_up(low, slot) +
			       ((random_number() % (room + 1))
				<< hs_arena.slot_shift);

		if (!place(at, space, whole))
			continue;
		hs_arena.base = at;
		hs_arena.max_bytes = size;
		hs_arena.reserved = !hs_region.limited;
		tables.space = (char *)at - space;
		tables.space_bytes = space;
		tables.space_used = hs_regmap_bytes();
		hs_regmap_init(tables.space, at, size);
		return true;
	}
	return false;
}

static bool place_arena(size_t size)
{
	for (; size >= ARENA_MIN || size >= 2 * hs_region_slot_bytes();
	     size /= 4) {
		if (place_in_window(WINDOW_LOW, WINDOW_HIGH, size) ||
		    place_in_window(SMALL_WINDOW_LOW, SMALL_WINDOW_HIGH, size))
			return true;
	}
	return false;
}

/* A multiple of the limit: exact maps at the limit waste addresses, not
 * memory. */
static size_t limited_size(size_t limit_bytes)
{
	size_t slot = hs_region_slot_bytes();

	if (limit_bytes > ARENA_MAX / LIMITED_SHARE)
		return ARENA_MAX;
	return hs_align_up(HS_MAX(LIMITED_SHARE * limit_bytes, 64 * slot),
			   slot);
}

static int init_locked(void)
{
	size_t huge = hs_config->page_size_bytes;
	size_t limit = SIZE_MAX;
	size_t size = ARENA_MAX;

	if (hs_arena.base)
		return 0;
	/* Without it forks that nobody announces leave locks held for ever;
	 * that is all. */
	(void)hs_lock_init_sentinel();
	if (huge < hs_sys_page_size() * 2 || huge < HS_UNIT)
		huge = hs_probe_default_huge_size();
	hs_arena.slot_shift = (unsigned)__builtin_ctzl(huge);
	atomic_store_explicit(&hs_arena.epoch, 1, memory_order_relaxed);
	if (hs_probe_address_space_limited(&limit)) {
		hs_region.limited = true;
		size = limited_size(limit);
	}
	if (hs_probe_data_limited())
		hs_region.limited = true;
	if (!place_arena(size))
		return -ENOMEM;
	hs_region.map.nr_slots = hs_arena.max_bytes >> hs_arena.slot_shift;
	hs_arena.slots =
		hs_regmap.slots + (hs_arena.base >> hs_arena.slot_shift);
	hs_region.map.busy =
		hs_region_table(sizeof(uint64_t), hs_arena.slot_shift + 6);
	return hs_region.map.busy ? 0 : -ENOMEM;
}

int hs_region_init(void)
{
	int err;

	hs_lock_acquire(&hs_region_lock);
	err = init_locked();
	hs_lock_release(&hs_region_lock);
	return err;
}

/* Entries for the first @bytes of the arena. */
static int commit(struct table *table, size_t bytes)
{
	size_t page = hs_sys_page_size();
	size_t entries = (bytes + ((size_t)1 << table->shift) - 1) >>
			 table->shift;
	size_t want = hs_align_up(entries * table->entry_bytes, page);
	char *from = table->start + table->committed_bytes;
	void *p;

	if (want <= table->committed_bytes)
		return 0;
	p = hs_sys.mmap(from, want - table->committed_bytes,
			PROT_READ | PROT_WRITE,
			(hs_pagesrc_flags(hs_arena.reserved) & ~MAP_NORESERVE) |
				MAP_ANONYMOUS,
			-1, 0);
	if (hs_sys_is_err(p))
		return -ENOMEM;
	if (p != from) {
		hs_sys.munmap(p, want - table->committed_bytes);
		return -ENOMEM;
	}
	table->committed_bytes = want;
	return 0;
}

void *hs_region_table(size_t entry_bytes, unsigned shift)
{
	size_t entries = (hs_arena.max_bytes + ((size_t)1 << shift) - 1) >>
			 shift;
	size_t bytes = hs_align_up(entries * entry_bytes, hs_sys_page_size());
	struct table *table = &tables.table[tables.nr_tables];

	if (tables.nr_tables == HS_REGION_TABLES ||
	    bytes > tables.space_bytes - tables.space_used)
		return NULL;
	table->start = tables.space + tables.space_used;
	table->entry_bytes = entry_bytes;
	table->shift = shift;
	table->committed_bytes = 0;
	if (commit(table, hs_arena.size_bytes))
		return NULL;
	tables.space_used += bytes;
	tables.nr_tables++;
	return table->start;
}

static int extend_to(size_t bytes)
{
	if (hs_regmap_cover(hs_arena.base >> hs_arena.slot_shift,
			    (bytes + hs_region_slot_bytes() - 1) >>
				    hs_arena.slot_shift))
		return -ENOMEM;
	for (unsigned i = 0; i < tables.nr_tables; i++) {
		int err = commit(&tables.table[i], bytes);

		if (err)
			return err;
	}
	/* Pairs with nothing: who holds a pointer into the new part got it
	 * from the thread that stores here, by its own synchronisation. */
	__atomic_store_n(&hs_arena.size_bytes, bytes, __ATOMIC_RELEASE);
	return 0;
}

int hs_arena_extend(size_t bytes)
{
	size_t generous;

	if (bytes <= hs_arena.size_bytes)
		return 0;
	if (bytes > hs_arena.max_bytes)
		return -ENOMEM;
	generous = HS_MIN(hs_align_up(bytes, EXTEND_STEP), hs_arena.max_bytes);
	if (!hs_region.limited && extend_to(generous) == 0)
		return 0;
	return extend_to(bytes);
}

static void unmap_free_slots(void)
{
	size_t end = hs_region.map.nr_slots;
	size_t known = hs_arena.size_bytes >> hs_arena.slot_shift;
	size_t i = 0;

	while (i < end) {
		size_t first = hs_slot_map_next_free(&hs_region.map, i, end);
		size_t next = hs_slot_map_next_busy(&hs_region.map, first, end);

		if (first < next)
			hs_sys.munmap(hs_region_slot_addr(first),
				      (next - first) << hs_arena.slot_shift);
		for (size_t s = first; s < HS_MIN(next, known); s++)
			hs_arena.slots[s].premapped = 0;
		i = next;
	}
}

void hs_arena_unreserve(void)
{
	char *used = tables.space + hs_regmap_bytes();

	hs_region.limited = true;
	if (!hs_arena.reserved)
		return;
	hs_arena.reserved = false;
	unmap_free_slots();
	hs_regmap_unreserve();
	for (unsigned i = 0; i < tables.nr_tables; i++) {
		struct table *table = &tables.table[i];

		if (table->start > used)
			hs_sys.munmap(used, (size_t)(table->start - used));
		used = table->start + table->committed_bytes;
	}
	hs_sys.munmap(used, (size_t)((char *)hs_arena.base - used));
}
