/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_extent.h"

#include "region.h"

/* How many of a bin's extents are looked at when not every one of them is
 * sure to fit. */
#define TRIES 8

/*
 * Pairing heap of the extents of one bin; the lowest address is the root.
 * Links are unit indexes; ph_prev of a first child is its parent.
 */
static uint32_t ph_meld(uint32_t a, uint32_t b)
{
	struct hs_unit *parent, *child;

	if (a == HS_NO_UNIT)
		return b;
	if (b == HS_NO_UNIT)
		return a;
	if (b < a) {
		uint32_t low = b;

		b = a;
		a = low;
	}
	parent = hs_unit_at(a);
	child = hs_unit_at(b);
	child->ph_prev = a;
	child->ph_next = parent->ph_child;
	if (child->ph_next != HS_NO_UNIT)
		hs_unit_at(child->ph_next)->ph_prev = b;
	parent->ph_child = b;
	return a;
}

/* Meld the siblings from @node on, in the usual two passes. */
static uint32_t ph_meld_siblings(uint32_t node)
{
	uint32_t pairs = HS_NO_UNIT, root = HS_NO_UNIT;

	while (node != HS_NO_UNIT) {
		uint32_t a = node, b = hs_unit_at(a)->ph_next;

		node = b == HS_NO_UNIT ? b : hs_unit_at(b)->ph_next;
		a = ph_meld(a, b);
		hs_unit_at(a)->ph_next = pairs;
		pairs = a;
	}
	while (pairs != HS_NO_UNIT) {
		uint32_t next = hs_unit_at(pairs)->ph_next;

		root = ph_meld(root, pairs);
		pairs = next;
	}
	return root;
}

static void bin_set_root(struct hs_span_pool *pool, unsigned bin, uint32_t root)
{
	uint64_t bit = (uint64_t)1 << (bin & 63);

	pool->bins[bin] = root;
	if (root == HS_NO_UNIT) {
		pool->bin_map[bin >> 6] &= ~bit;
		return;
	}
	pool->bin_map[bin >> 6] |= bit;
	hs_unit_at(root)->ph_prev = HS_NO_UNIT;
	hs_unit_at(root)->ph_next = HS_NO_UNIT;
}

static uint32_t bin_root(const struct hs_span_pool *pool, unsigned bin)
{
	return pool->bin_map[bin >> 6] >> (bin & 63) & 1 ? pool->bins[bin]
							 : HS_NO_UNIT;
}

static void bin_add(struct hs_span_pool *pool, uint32_t index)
{
	struct hs_unit *unit = hs_unit_at(index);
	unsigned bin = hs_extent_bin(unit->nr_units);

	unit->ph_child = HS_NO_UNIT;
	unit->ph_next = HS_NO_UNIT;
	unit->ph_prev = HS_NO_UNIT;
	bin_set_root(pool, bin, ph_meld(bin_root(pool, bin), index));
}

static void bin_del(struct hs_span_pool *pool, uint32_t index)
{
	struct hs_unit *unit = hs_unit_at(index), *prev;
	unsigned bin = hs_extent_bin(unit->nr_units);
	uint32_t below = ph_meld_siblings(unit->ph_child);

	if (pool->bins[bin] == index) {
		bin_set_root(pool, bin, below);
		return;
	}
	prev = hs_unit_at(unit->ph_prev);
	if (prev->ph_child == index)
		prev->ph_child = unit->ph_next;
	else
		prev->ph_next = unit->ph_next;
	if (unit->ph_next != HS_NO_UNIT)
		hs_unit_at(unit->ph_next)->ph_prev = unit->ph_prev;
	bin_set_root(pool, bin, ph_meld(pool->bins[bin], below));
}

/* The next node of a bin in preorder, or HS_NO_UNIT. */
static uint32_t ph_next_node(uint32_t node)
{
	uint32_t child = hs_unit_at(node)->ph_child;

	if (child != HS_NO_UNIT)
		return child;
	while (hs_unit_at(node)->ph_next == HS_NO_UNIT) {
		uint32_t prev = hs_unit_at(node)->ph_prev;

		while (prev != HS_NO_UNIT &&
		       hs_unit_at(prev)->ph_child != node) {
			node = prev;
			prev = hs_unit_at(node)->ph_prev;
		}
		if (prev == HS_NO_UNIT)
			return HS_NO_UNIT;
		node = prev;
	}
	return hs_unit_at(node)->ph_next;
}

static unsigned next_bin(const struct hs_span_pool *pool, unsigned bin)
{
	unsigned word = bin >> 6;
	uint64_t bits;

	if (bin >= HS_SPAN_BINS)
		return HS_SPAN_BINS;
	bits = pool->bin_map[word] & (~(uint64_t)0 << (bin & 63));
	while (bits == 0) {
		if (++word == HS_ARRAY_SIZE(pool->bin_map))
			return HS_SPAN_BINS;
		bits = pool->bin_map[word];
	}
	return word * 64 + (unsigned)__builtin_ctzll(bits);
}

static bool fits(uint32_t index, size_t nr_units, size_t align_units)
{
	size_t skip;

	/* Alignment is of addresses; the arena's base is aligned to a slot
	 * only. */
	skip = -((uintptr_t)hs_unit_address(index) >> HS_UNIT_SHIFT) &
	       (align_units - 1);
	return hs_unit_at(index)->nr_units >= skip + nr_units;
}

uint32_t hs_extent_find(const struct hs_span_pool *pool, size_t nr_units,
			size_t align_units)
{
	unsigned bin = hs_extent_bin(nr_units), tries;

	while ((bin = next_bin(pool, bin)) < HS_SPAN_BINS) {
		uint32_t node = pool->bins[bin], best = HS_NO_UNIT;

		for (tries = 0; node != HS_NO_UNIT && tries < TRIES; tries++) {
			if (node < best && fits(node, nr_units, align_units))
				best = node;
			if (best == pool->bins[bin])
				break;
			node = ph_next_node(node);
		}
		if (best != HS_NO_UNIT)
			return best;
		bin++;
	}
	return HS_NO_UNIT;
}

size_t hs_extent_slot_units(uint32_t first, size_t nr_units)
{
	size_t per_slot = hs_units_per_slot();
	size_t from = hs_align_up(first, per_slot);
	size_t to = hs_align_down(first + nr_units, per_slot);

	return to > from ? to - from : 0;
}

static void tag(const struct hs_span_pool *pool, uint32_t first,
		size_t nr_units)
{
	struct hs_unit *head = hs_unit_at(first);
	struct hs_unit *tail = hs_unit_at(first + (uint32_t)nr_units - 1);

	hs_unit_set_kind(tail, HS_UNIT_FREE_TAIL);
	tail->nr_units = (uint32_t)nr_units;
	tail->pool = pool->id;
	hs_unit_set_kind(head, HS_UNIT_FREE);
	head->nr_units = (uint32_t)nr_units;
	head->pool = pool->id;
}

void hs_extent_remove(struct hs_span_pool *pool, uint32_t first)
{
	struct hs_unit *head = hs_unit_at(first);
	size_t nr_units = head->nr_units;

	bin_del(pool, first);
	pool->free_units -= nr_units;
	pool->free_slot_units -= hs_extent_slot_units(first, nr_units);
	hs_unit_set_kind(hs_unit_at(first + (uint32_t)nr_units - 1),
			 HS_UNIT_NONE);
	hs_unit_set_kind(head, HS_UNIT_NONE);
}

/* The extent that ends before @first, or HS_NO_UNIT. */
static uint32_t left_of(const struct hs_span_pool *pool, uint32_t first)
{
	struct hs_unit *unit;

	if (first == 0)
		return HS_NO_UNIT;
	unit = hs_unit_at(first - 1);
	if ((unit->kind != HS_UNIT_FREE && unit->kind != HS_UNIT_FREE_TAIL) ||
	    unit->pool != pool->id)
		return HS_NO_UNIT;
	return first - unit->nr_units;
}

uint32_t hs_extent_insert(struct hs_span_pool *pool, uint32_t first,
			  size_t nr_units)
{
	uint32_t left = left_of(pool, first), start = first;
	uint32_t right = first + (uint32_t)nr_units;
	struct hs_unit *unit;

	if (left != HS_NO_UNIT) {
		nr_units += hs_unit_at(left)->nr_units;
		hs_extent_remove(pool, left);
		start = left;
	}
	if (right < pool->top) {
		unit = hs_unit_at(right);
		if (unit->kind == HS_UNIT_FREE && unit->pool == pool->id) {
			nr_units += unit->nr_units;
			hs_extent_remove(pool, right);
		}
	}
	tag(pool, start, nr_units);
	bin_add(pool, start);
	pool->free_units += nr_units;
	pool->free_slot_units += hs_extent_slot_units(start, nr_units);
	return start;
}

/* What of the extent at @first can be unmapped: whole slots, and a partly
 * mapped one at its end. */
static bool releasable(uint32_t first, uint32_t *from, uint32_t *to)
{
	size_t per_slot = hs_units_per_slot();
	size_t end = first + hs_unit_at(first)->nr_units;
	size_t start = hs_align_up(first, per_slot);
	size_t slot = hs_align_down(end, per_slot);

	if (end != slot && slot >= start &&
	    hs_region_slot_mapped(hs_unit_address((uint32_t)slot)) ==
		    (end - slot) * HS_UNIT)
		slot = end;
	*from = (uint32_t)start;
	*to = (uint32_t)slot;
	return slot > start;
}

bool hs_extent_highest_slots(const struct hs_span_pool *pool, uint32_t *first,
			     uint32_t *from, uint32_t *to)
{
	unsigned bin;
	bool found = false;

	for (bin = next_bin(pool, 0); bin < HS_SPAN_BINS;
	     bin = next_bin(pool, bin + 1)) {
		uint32_t node = pool->bins[bin], a, b;

		for (; node != HS_NO_UNIT; node = ph_next_node(node)) {
			if ((found && node < *first) ||
			    !releasable(node, &a, &b))
				continue;
			*first = node;
			*from = a;
			*to = b;
			found = true;
		}
	}
	return found;
}
