/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_check.c - the numbered invariants of heap.h, and those beneath them.
 */
#include "heap.h"
#include "heap_large.h"
#include "heap_slab.h"
#include "heap_span.h"
#include "heap_thread.h"

/* Units that one descriptor speaks for. */
static uint32_t unit_extent(const struct hs_unit *unit)
{
	switch ((uint8_t)unit->kind) {
	case HS_UNIT_SLAB:
	case HS_UNIT_LARGE:
		return hs_classes[unit->class].nr_units;
	case HS_UNIT_SPAN:
	case HS_UNIT_FREE:
		return unit->nr_units;
	default:
		return 1;
	}
}

static bool conts_are_right(const struct hs_unit *slab)
{
	uint32_t i;

	for (i = 1; i < hs_classes[slab->class].nr_units; i++)
		if (slab[i].kind != HS_UNIT_CONT || slab[i].nr_units != i ||
		    slab[i].owner_fast != NULL)
			return false;
	return true;
}

/* Invariant 2: whatever is in use is disjoint, and known by its head alone. */
static bool inside_is_quiet(uint32_t first, uint32_t nr_units)
{
	uint32_t i;

	for (i = first + 1; i < first + nr_units; i++) {
		const struct hs_unit *unit = hs_unit_at(i);

		if (unit->kind != HS_UNIT_NONE && unit->kind != HS_UNIT_FREED &&
		    !(i == first + nr_units - 1 &&
		      unit->kind == HS_UNIT_FREE_TAIL))
			return false;
	}
	return true;
}

static int check_unit(uint32_t index)
{
	struct hs_unit *unit = hs_unit_at(index);

	switch ((uint8_t)unit->kind) {
	case HS_UNIT_SLAB:
		if (!conts_are_right(unit))
			return 2;
		return hs_slab_check(unit) ? 1 : 0;
	case HS_UNIT_LARGE:
		if (!conts_are_right(unit) || unit->owner_fast != NULL)
			return 2;
		return hs_large_check(unit) ? 1 : 0;
	case HS_UNIT_SPAN:
	case HS_UNIT_FREE:
		return inside_is_quiet(index, unit->nr_units) ? 0 : 2;
	case HS_UNIT_NONE:
	case HS_UNIT_FREED:
		return 0;
	default:
		return 2;
	}
}

/* The lists of a heap hold what they should. */
static int check_heap(struct hs_theap *heap)
{
	unsigned cls;

	for (cls = 0; cls < HS_NR_SMALL; cls++) {
		struct hs_unit *slab = heap->front.active[cls];
		uint32_t number = heap->partial[cls].head;

		if (slab != &hs_unit_none &&
		    (slab->class != cls ||
		     hs_slab_body(slab)->state != HS_SLAB_ACTIVE ||
		     hs_slab_body(slab)->owner != heap))
			return 1;
		for (; number != HS_NO_UNIT; number = slab->next) {
			slab = hs_unit_at(number);
			if (slab->kind != HS_UNIT_SLAB || slab->class != cls ||
			    hs_slab_body(slab)->state != HS_SLAB_PARTIAL ||
			    hs_slab_body(slab)->owner != heap)
				return 1;
		}
	}
	return 0;
}

int hs_heap_check(void)
{
	uintptr_t units = (uintptr_t)hs_heap_map.units;
	struct hs_theap *heap;
	uint32_t i, top;

	if (hs_heap_map.base == 0)
		return 0;
	if (units - hs_heap_map.base < hs_heap_map.size_bytes)
		return 3;
	for (heap = hs_heap_first(); heap != NULL; heap = heap->next)
		if ((uintptr_t)heap - hs_heap_map.base < hs_heap_map.size_bytes)
			return 3;
		else if (check_heap(heap) != 0)
			return 1;
	for (i = 0, top = hs_span_top(); i < top;
	     i += unit_extent(hs_unit_at(i))) {
		int ret = check_unit(i);

		if (ret != 0)
			return ret;
	}
	return hs_span_check() ? 2 : 0;
}
