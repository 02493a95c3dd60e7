/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "region_find.h"

#define WORD_BITS 64

/* First slot in [from, to) whose bit, xored with @flip, is set. */
static size_t next_bit(const struct hs_slot_map *map, size_t from, size_t to,
		       uint64_t flip)
{
	while (from < to) {
		uint64_t word = (map->busy[from / WORD_BITS] ^ flip) >>
				(from % WORD_BITS);

		if (word) {
			from += (size_t)__builtin_ctzll(word);
			return HS_MIN(from, to);
		}
		from = (from / WORD_BITS + 1) * WORD_BITS;
	}
	return to;
}

size_t hs_slot_map_next_busy(const struct hs_slot_map *map, size_t from,
			     size_t to)
{
	size_t end = HS_MIN(to, map->high);
	size_t found;

	if (from >= end)
		return to;
	found = next_bit(map, from, end, 0);
	return found == end ? to : found;
}

size_t hs_slot_map_next_free(const struct hs_slot_map *map, size_t from,
			     size_t to)
{
	if (from >= map->high)
		return HS_MIN(from, to);
	from = next_bit(map, from, HS_MIN(to, map->high), ~UINT64_C(0));
	return HS_MIN(from, to);
}

bool hs_slot_map_is_free(const struct hs_slot_map *map, size_t first, size_t nr)
{
	return first < map->nr_slots && nr <= map->nr_slots - first &&
	       hs_slot_map_next_busy(map, first, first + nr) == first + nr;
}

size_t hs_slot_map_find(const struct hs_slot_map *map, size_t nr, size_t align,
			size_t phase)
{
	size_t first = map->low;

	if (nr > map->nr_slots)
		return HS_SLOT_NONE;
	for (;;) {
		size_t busy;

		first = hs_slot_map_next_free(map, first, map->nr_slots);
		first = hs_align_up(first + phase, align) - phase;
		if (first > map->nr_slots - nr)
			return HS_SLOT_NONE;
		busy = hs_slot_map_next_busy(map, first, first + nr);
		if (busy == first + nr)
			return first;
		first = busy + 1;
	}
}

void hs_slot_map_set(struct hs_slot_map *map, size_t first, size_t nr)
{
	for (size_t i = first; i < first + nr; i++)
		map->busy[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
	map->high = HS_MAX(map->high, first + nr);
	if (first <= map->low)
		map->low = hs_slot_map_next_free(map, map->low, map->nr_slots);
}

void hs_slot_map_clear(struct hs_slot_map *map, size_t first, size_t nr)
{
	for (size_t i = first; i < first + nr; i++)
		map->busy[i / WORD_BITS] &= ~(UINT64_C(1) << (i % WORD_BITS));
	map->low = HS_MIN(map->low, first);
	while (map->high > 0 &&
	       !(map->busy[(map->high - 1) / WORD_BITS] &
		 (UINT64_C(1) << ((map->high - 1) % WORD_BITS))))
		map->high--;
}
