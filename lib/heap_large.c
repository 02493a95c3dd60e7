/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_large.h"

#include "heap_purge.h"
#include "heap_slab.h"

#define NR_LARGE (HS_NR_CLASSES - HS_NR_SMALL)

struct hs_lock hs_large_lock = HS_LOCK_INIT(HS_RANK_LARGE);

/* Slabs with a free block, by class; index + 1, so that zero is none. */
static uint32_t lists[NR_LARGE];
static bool has_empty[NR_LARGE];

static uint64_t block_bits(const struct hs_class *class)
{
	return ((uint64_t)1 << class->capacity) - 1;
}

static uint32_t *list_of(unsigned class)
{
	return &lists[class - HS_NR_SMALL];
}

static void list_add(struct hs_unit *slab)
{
	uint32_t *head = list_of(slab->class);

	slab->prev = 0;
	slab->next = *head;
	if (*head != 0)
		hs_unit_at(*head - 1)->prev = hs_unit_number(slab) + 1;
	*head = hs_unit_number(slab) + 1;
}

static void list_del(struct hs_unit *slab)
{
	if (slab->prev != 0)
		hs_unit_at(slab->prev - 1)->next = slab->next;
	else
		*list_of(slab->class) = slab->next;
	if (slab->next != 0)
		hs_unit_at(slab->next - 1)->prev = slab->prev;
}

static struct hs_unit *slab_create(unsigned class, unsigned flags)
{
	const struct hs_class *c = &hs_classes[class];
	struct hs_unit *slab;
	size_t got_units;
	uint32_t first;
	bool zeroed;
	unsigned i;

	first = hs_span_alloc(&hs_span_pools[HS_POOL_MAIN], c->nr_units, 1,
			      flags | HS_SPAN_SLAB, &zeroed, &got_units);
	if (first == HS_NO_UNIT)
		return NULL;
	slab = hs_unit_at(first);
	slab->free = block_bits(c);
	slab->fresh = zeroed ? slab->free : 0;
	slab->size_bytes = c->size_bytes;
	slab->recip = 0;
	slab->used = 0;
	slab->class = (uint8_t) class;
	hs_unit_set_kind(slab, HS_UNIT_LARGE);
	for (i = 1; i < c->nr_units; i++) {
		slab[i].nr_units = i;
		hs_unit_set_kind(&slab[i], HS_UNIT_CONT);
	}
	return slab;
}

/* pre: empty and in its list. */
static void slab_release(struct hs_unit *slab)
{
	unsigned i, nr_units = hs_classes[slab->class].nr_units;

	list_del(slab);
	for (i = 1; i < nr_units; i++)
		hs_unit_set_kind(&slab[i], HS_UNIT_NONE);
	hs_unit_set_kind(slab, HS_UNIT_FREED);
	hs_span_free(&hs_span_pools[HS_POOL_MAIN], hs_unit_number(slab),
		     nr_units);
}

/* A block of @slab, which is in its list.  Locks: hs_large_lock. */
static void *take(struct hs_unit *slab, bool *zeroed)
{
	unsigned index = (unsigned)__builtin_ctzll(slab->free);

	slab->used++;
	slab->free &= slab->free - 1;
	if (slab->free == 0)
		list_del(slab);
	*zeroed = slab->fresh >> index & 1;
	slab->fresh &= ~((uint64_t)1 << index);
	return (void *)(hs_slab_base(slab) + index * slab->size_bytes);
}

void *hs_large_alloc(unsigned class, unsigned flags, bool *zeroed)
{
	struct hs_unit *slab;
	void *block;

	hs_lock_acquire(&hs_large_lock);
	if (*list_of(class) != 0) {
		slab = hs_unit_at(*list_of(class) - 1);
		if (slab->used == 0)
			has_empty[class - HS_NR_SMALL] = false;
	} else {
		/* Not held while slots are mapped and populated. */
		hs_lock_release(&hs_large_lock);
		slab = slab_create(class, flags);
		if (slab == NULL)
			return NULL;
		hs_lock_acquire(&hs_large_lock);
		list_add(slab);
	}
	block = take(slab, zeroed);
	hs_lock_release(&hs_large_lock);
	return block;
}

void hs_large_free(struct hs_unit *slab, unsigned index)
{
	uint64_t bit = (uint64_t)1 << index;
	bool *empty = &has_empty[slab->class - HS_NR_SMALL];

	hs_lock_acquire(&hs_large_lock);
	if (slab->kind != HS_UNIT_LARGE || slab->free & bit) {
		hs_lock_release(&hs_large_lock);
		hs_slab_double_free(slab, index);
	}
	if (slab->free == 0)
		list_add(slab);
	slab->free |= bit;
	if (--slab->used == 0) {
		if (*empty)
			slab_release(slab);
		*empty = true;
	}
	hs_lock_release(&hs_large_lock);
}

bool hs_large_is_live(struct hs_unit *slab, unsigned index)
{
	bool live;

	hs_lock_acquire(&hs_large_lock);
	live = slab->kind == HS_UNIT_LARGE && !(slab->free >> index & 1);
	hs_lock_release(&hs_large_lock);
	return live;
}

bool hs_large_drain(void)
{
	bool any = false;
	unsigned cls;

	hs_lock_acquire(&hs_large_lock);
	for (cls = HS_NR_SMALL; cls < HS_NR_CLASSES; cls++) {
		uint32_t next = *list_of(cls);

		while (has_empty[cls - HS_NR_SMALL] && next != 0) {
			struct hs_unit *slab = hs_unit_at(next - 1);

			next = slab->next;
			if (slab->used != 0)
				continue;
			slab_release(slab);
			has_empty[cls - HS_NR_SMALL] = false;
			any = true;
		}
	}
	hs_lock_release(&hs_large_lock);
	return any;
}

/* Locks: hs_large_lock. */
static size_t purge_slab(struct hs_unit *slab)
{
	uint64_t left = slab->free & ~slab->fresh;
	size_t got_bytes, sum_bytes = 0;

	for (; left != 0; left &= left - 1) {
		unsigned index = (unsigned)__builtin_ctzll(left);
		uintptr_t block = hs_slab_base(slab) +
				  (size_t)index * slab->size_bytes;

		got_bytes = hs_purge_pages(block, block + slab->size_bytes);
		if (got_bytes == slab->size_bytes)
			slab->fresh |= left & -left;
		sum_bytes += got_bytes;
	}
	return sum_bytes;
}

size_t hs_large_purge(void)
{
	size_t sum_bytes = 0;
	uint32_t next;
	unsigned cls;

	hs_lock_acquire(&hs_large_lock);
	for (cls = HS_NR_SMALL; cls < HS_NR_CLASSES; cls++)
		for (next = *list_of(cls); next != 0;
		     next = hs_unit_at(next - 1)->next)
			sum_bytes += purge_slab(hs_unit_at(next - 1));
	hs_lock_release(&hs_large_lock);
	return sum_bytes;
}

int hs_large_check(const struct hs_unit *slab)
{
	const struct hs_class *c = &hs_classes[slab->class];

	if (slab->free & ~block_bits(c))
		return 1;
	return slab->used != c->capacity - hs_popcount(slab->free);
}
