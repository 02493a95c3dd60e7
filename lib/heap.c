/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap.h"

#include <string.h>

#include "config.h"
#include "heap_fast.h"
#include "heap_internal.h"
#include "heap_large.h"
#include "heap_span.h"
#include "heap_thread.h"
#include "log.h"
#include "meta.h"
#include "region.h"
#include "rescue.h"

/* From this size on, a write to a block may meet pages that are not there
 * yet, or not this process's own. */
#define PREPARE_MIN ((size_t)4096)
/* hs_arena.epoch before the first fork. */
#define FIRST_EPOCH 1

/* The allocator never takes its own trap: free() and with it the program may
 * run with every signal blocked. */
static void prepare_write(void *p, size_t len)
{
	if (len >= PREPARE_MIN || hs_arena.epoch > FIRST_EPOCH)
		hs_rescue_prepare(p, len);
}

/* With the shared heap @heap, under its lock. */
static void *alloc_locked(struct hs_theap *heap, unsigned class, unsigned flags,
			  bool *zeroed)
{
	void *block;

	hs_lock_acquire(&heap->lock);
	if (heap->stale)
		hs_slab_recover_locked(heap);
	block = hs_slab_alloc(heap, class, flags, true, zeroed);
	hs_lock_release(&heap->lock);
	return block;
}

/* For a thread that has no heap, or none of that class yet. */
static void *alloc_shared(struct hs_theap *heap, unsigned class, unsigned flags,
			  bool *zeroed)
{
	void *block = alloc_locked(&hs_heap_shared, class, flags, zeroed);

	if (heap != NULL && block != NULL)
		heap->shy[class]--;
	return block;
}

static void *alloc_class(struct hs_theap *heap, unsigned class, unsigned flags,
			 bool *zeroed)
{
	if (class >= HS_NR_SMALL)
		return hs_large_alloc(class, flags, zeroed);
	if (heap == NULL || heap->shy[class] != 0)
		return alloc_shared(heap, class, flags, zeroed);
	if (heap == &hs_heap_on_base)
		return alloc_locked(heap, class, flags, zeroed);
	return hs_slab_alloc(heap, class, flags, false, zeroed);
}

/* Before new memory is mapped, what lies empty elsewhere is looked for. */
static void *alloc_small(struct hs_theap *heap, unsigned class, unsigned grow,
			 bool *zeroed)
{
	void *block = alloc_class(heap, class, 0, zeroed);

	if (hs_likely(block != NULL))
		return block;
	hs_heap_reclaim();
	return alloc_class(heap, class, grow, zeroed);
}

static size_t span_units(size_t size_bytes)
{
	size_t nr_units = hs_units_of(size_bytes);

	if (nr_units * HS_UNIT >= HS_SPAN_BIG_BYTES)
		nr_units = hs_align_up(nr_units, hs_units_per_slot());
	return nr_units;
}

/* Make a block of the units from @first on. */
static void *make_span(const struct hs_span_pool *pool, uint32_t first,
		       size_t nr_units, bool big)
{
	struct hs_unit *unit = hs_unit_at(first);

	unit->nr_units = (uint32_t)nr_units;
	unit->pool = pool->id;
	unit->big = big;
	hs_unit_set_kind(unit, HS_UNIT_SPAN);
	return hs_unit_address(first);
}

/* A block of whole units, or NULL. */
static void *take_span(struct hs_span_pool *pool, size_t nr_units,
		       size_t align_units, unsigned flags, bool *zeroed)
{
	size_t got_units;
	uint32_t first;

	first = hs_span_alloc(pool, nr_units, align_units, flags, zeroed,
			      &got_units);
	if (first == HS_NO_UNIT)
		return NULL;
	return make_span(pool, first, got_units, (flags & HS_SPAN_BIG) != 0);
}

static void *alloc_span(struct hs_span_pool *pool, size_t size_bytes,
			size_t align, unsigned grow, bool *zeroed)
{
	size_t align_units = HS_MAX(align >> HS_UNIT_SHIFT, (size_t)1);
	size_t nr_units;
	unsigned flags = 0;
	void *block;

	if (size_bytes > hs_arena.max_bytes)
		return NULL;
	nr_units = HS_MAX(hs_units_of(size_bytes), (size_t)1);
	if (pool->id == HS_POOL_MAIN && nr_units * HS_UNIT >= HS_SPAN_BIG_BYTES)
		flags = HS_SPAN_BIG;
	block = take_span(pool, nr_units, align_units, flags, zeroed);
	if (block != NULL)
		return block;
	hs_heap_reclaim();
	return take_span(pool, nr_units, align_units, flags | grow, zeroed);
}

/*
 * A block from the heap that a young fork child has on base pages, or NULL.
 * What was inherited is not looked through for space.
 */
static void *alloc_young(struct hs_theap *heap, size_t size_bytes, bool *zeroed)
{
	if (size_bytes <= HS_SMALL_MAX)
		return hs_slab_alloc(heap, hs_class_of(size_bytes),
				     HS_SPAN_GROW, false, zeroed);
	if (size_bytes <= HS_LARGE_MAX)
		return take_span(heap->pool, hs_units_of(size_bytes), 1,
				 HS_SPAN_GROW, zeroed);
	return NULL;
}

static bool is_young(const struct hs_theap *heap)
{
	return hs_unlikely(heap != NULL && heap->pool->id == HS_POOL_CHILD);
}

/* On base pages, and no more of them than @size_bytes needs. */
static void *alloc_base(size_t size_bytes, size_t align, bool *zeroed)
{
	if (size_bytes <= HS_SMALL_MAX && align <= HS_HEAP_MIN_ALIGN)
		return alloc_small(&hs_heap_on_base, hs_class_of(size_bytes),
				   HS_SPAN_GROW, zeroed);
	return alloc_span(&hs_span_pools[HS_POOL_BASE],
			  HS_MAX(size_bytes, HS_SMALL_MAX + 1), align,
			  HS_SPAN_GROW, zeroed);
}

/* A limit may leave room for that where it does not for a slab or for whole
 * slots. */
static void *alloc_rest(size_t size_bytes, size_t align, bool *zeroed)
{
	if (hs_config->fallback == HS_FALLBACK_OFF)
		return NULL;
	return alloc_base(size_bytes, align, zeroed);
}

static void *alloc(size_t size_bytes, bool *zeroed)
{
	struct hs_theap *heap = hs_heap_thread_get();
	unsigned grow = HS_SPAN_GROW;
	void *block;

	if (size_bytes > PTRDIFF_MAX || hs_heap_map.base == 0)
		return NULL;
	if (is_young(heap)) {
		block = alloc_young(heap, size_bytes, zeroed);
		if (block != NULL)
			return block;
		heap = hs_heap_thread_grow_up();
	}
	if (size_bytes > HS_SMALL_MAX && hs_region_limit() >= HS_LIMIT_LOCKED)
		grow = 0;
	if (size_bytes <= HS_LARGE_MAX)
		block = alloc_small(heap, hs_class_of(size_bytes), grow,
				    zeroed);
	else
		block = alloc_span(&hs_span_pools[HS_POOL_MAIN], size_bytes, 0,
				   grow, zeroed);
	if (hs_likely(block != NULL))
		return block;
	return alloc_rest(size_bytes, 0, zeroed);
}

/* From the slab that the thread allocates @class from, if it has a block. */
static bool take_active(unsigned class, void **block)
{
	struct hs_unit *slab = hs_theap_self->front.active[class];
	bool zeroed;

	return hs_slab_take_tracked(slab, block, &zeroed) ||
	       (hs_slab_next_word(slab) &&
		hs_slab_take_tracked(slab, block, &zeroed));
}

void *hs_heap_malloc(size_t size_bytes)
{
	bool zeroed;
	void *block;

	if (size_bytes <= HS_SMALL_MAX &&
	    take_active(hs_class_of_small(size_bytes), &block))
		return block;
	return alloc(size_bytes, &zeroed);
}

void *hs_heap_malloc_base(size_t size_bytes)
{
	bool zeroed;

	hs_heap_thread_get();
	if (size_bytes > PTRDIFF_MAX || hs_heap_map.base == 0)
		return NULL;
	return alloc_base(size_bytes, 0, &zeroed);
}

void *hs_heap_calloc(size_t size_bytes)
{
	bool zeroed = false;
	void *block;

	if (!hs_heap_malloc_fast(size_bytes, &block))
		block = alloc(size_bytes, &zeroed);
	if (block == NULL || zeroed)
		return block;
	prepare_write(block, size_bytes);
	return memset(block, 0, size_bytes);
}

void *hs_heap_memalign(size_t align, size_t size_bytes)
{
	struct hs_theap *heap;
	unsigned class;
	void *block;
	bool zeroed;

	if (align <= HS_HEAP_MIN_ALIGN)
		return hs_heap_malloc(size_bytes);
	if (align <= HS_ALIGNED_MAX && size_bytes <= HS_ALIGNED_MAX) {
		size_bytes = hs_align_up(HS_MAX(size_bytes, (size_t)1), align);
		if (take_active(hs_class_of_small(size_bytes), &block))
			return block;
	}
	class = hs_class_of_aligned(size_bytes, align);
	heap = hs_heap_thread_get();
	if (size_bytes > PTRDIFF_MAX || hs_heap_map.base == 0)
		return NULL;
	if (is_young(heap)) {
		block = NULL;
		if (class < HS_NR_SMALL)
			block = hs_slab_alloc(heap, class, HS_SPAN_GROW, false,
					      &zeroed);
		if (block != NULL)
			return block;
		heap = hs_heap_thread_grow_up();
	}
	if (class < HS_NR_CLASSES)
		block = alloc_small(heap, class, HS_SPAN_GROW, &zeroed);
	else
		block = alloc_span(&hs_span_pools[HS_POOL_MAIN], size_bytes,
				   align, HS_SPAN_GROW, &zeroed);
	return block != NULL ? block : alloc_rest(size_bytes, align, &zeroed);
}

/* --- which block ---------------------------------------------------------- */

static bool inside_span(const struct hs_unit *unit)
{
	uint32_t i, index = hs_unit_number(unit);

	for (i = index; i > 0; i--) {
		const struct hs_unit *head = hs_unit_at(i - 1);

		if (head->kind == HS_UNIT_NONE || head->kind == HS_UNIT_FREED)
			continue;
		return head->kind == HS_UNIT_SPAN &&
		       i - 1 + head->nr_units > index;
	}
	return false;
}

/* Block @off / size of @slab, or false: there is none that starts there. */
static bool block_index(const struct hs_unit *slab, uint32_t off,
			unsigned *index)
{
	uint32_t size_bytes = (uint32_t)slab->size_bytes;

	if (slab->recip != 0)
		return hs_slab_divide(slab, off, index);
	*index = off / size_bytes;
	return *index * size_bytes == off &&
	       *index < hs_classes[slab->class].capacity;
}

enum hs_heap_found hs_heap_find(const void *p, struct hs_unit **slab,
				unsigned *index)
{
	struct hs_unit *unit = hs_unit_at(hs_unit_index(p));
	uintptr_t off;
	bool whole;

	*slab = unit;
	*index = 0;
	if (unit->kind == HS_UNIT_CONT)
		unit -= unit->nr_units;
	*slab = unit;
	off = (uintptr_t)p - hs_slab_base(unit);
	switch ((uint8_t)unit->kind) {
	case HS_UNIT_SLAB:
	case HS_UNIT_LARGE:
		whole = block_index(unit, (uint32_t)off, index);
		if (*index >= hs_classes[unit->class].capacity)
			return HS_FOUND_NOTHING;
		if (!whole)
			return HS_FOUND_INSIDE;
		if (unit->kind == HS_UNIT_SLAB ? hs_slab_is_live(unit, *index)
					       : hs_large_is_live(unit, *index))
			return HS_FOUND_BLOCK;
		return HS_FOUND_FREED;
	case HS_UNIT_SPAN:
		return off == 0 ? HS_FOUND_BLOCK : HS_FOUND_INSIDE;
	case HS_UNIT_FREED:
	case HS_UNIT_FREE:
	case HS_UNIT_FREE_TAIL:
		if (off == 0)
			return HS_FOUND_FREED;
		break;
	default:
		break;
	}
	return inside_span(unit) ? HS_FOUND_INSIDE : HS_FOUND_NOTHING;
}

static HS_COLD __attribute__((noreturn)) void misuse(const void *p,
						     enum hs_heap_found found)
{
	if (found == HS_FOUND_INSIDE)
		hs_log_fatal("free of %p, inside a block", p);
	if (found == HS_FOUND_FREED)
		hs_log_fatal("double free of %p", p);
	hs_log_fatal("invalid free of %p", p);
}

static size_t block_bytes(const struct hs_unit *unit)
{
	return unit->kind == HS_UNIT_SPAN ? unit->nr_units * HS_UNIT
					  : unit->size_bytes;
}

/* --- free ----------------------------------------------------------------- */

/* Two threads may free one span at once; one of them does. */
static void free_span(struct hs_unit *unit)
{
	struct hs_span_pool *pool = &hs_span_pools[unit->pool];
	uint32_t first = hs_unit_number(unit);
	size_t nr_units = unit->nr_units;

	if (atomic_exchange(&unit->kind, HS_UNIT_FREED) != HS_UNIT_SPAN)
		misuse(hs_unit_address(first), HS_FOUND_FREED);
	hs_span_free(pool, first, nr_units);
}

static void free_block(struct hs_unit *unit, unsigned index)
{
	struct hs_theap *self = hs_theap_self;

	if (unit->kind == HS_UNIT_SPAN)
		free_span(unit);
	else if (unit->kind == HS_UNIT_LARGE)
		hs_large_free(unit, index);
	else if (hs_slab_body(unit)->owner == self)
		hs_slab_free_local(self, unit, index);
	else
		hs_slab_free_remote(unit, index);
}

/* Blocks in slabs, the commonest of what the fast path declines: those of
 * other threads, and of classes whose slabs are more than one unit. */
static bool free_in_slab(const void *p)
{
	struct hs_unit *unit = hs_unit_at(hs_unit_index(p));
	struct hs_theap *self = hs_theap_self;
	unsigned index;

	if (unit->kind == HS_UNIT_CONT)
		unit -= unit->nr_units;
	if ((unit->kind != HS_UNIT_SLAB && unit->kind != HS_UNIT_LARGE) ||
	    !block_index(unit, (uint32_t)((uintptr_t)p - hs_slab_base(unit)),
			 &index))
		return false;
	if (unit->kind == HS_UNIT_LARGE)
		hs_large_free(unit, index);
	else if (hs_slab_body(unit)->owner != self)
		hs_slab_free_remote(unit, index);
	else if (index < hs_classes[unit->class].capacity)
		hs_slab_free_local(self, unit, index);
	else
		return false;
	return true;
}

void hs_heap_free(void *p)
{
	if (!hs_heap_free_fast(p))
		hs_heap_free_slow(p);
}

void hs_heap_free_slow(void *p)
{
	enum hs_heap_found found;
	struct hs_unit *unit;
	unsigned index;

	if (p == NULL)
		return;
	if (!hs_heap_contains(p))
		misuse(p, HS_FOUND_NOTHING);
	if (free_in_slab(p))
		return;
	found = hs_heap_find(p, &unit, &index);
	if (found != HS_FOUND_BLOCK)
		misuse(p, found);
	free_block(unit, index);
}

/* Would a span for that size be as long?  A limit can make a big one end before
 * its last slot does. */
static bool fits_span(const struct hs_unit *unit, size_t size_bytes)
{
	return size_bytes <= hs_arena.max_bytes &&
	       unit->nr_units >= hs_units_of(size_bytes) &&
	       unit->nr_units <= span_units(size_bytes);
}

/* Would a request of that size and alignment have been given this block? */
static bool size_matches(const struct hs_unit *unit, size_t size_bytes,
			 size_t align)
{
	unsigned class = HS_NR_CLASSES;

	if (unit->kind == HS_UNIT_SPAN && unit->pool != HS_POOL_MAIN)
		return (size_bytes > HS_SMALL_MAX ||
			align > HS_HEAP_MIN_ALIGN) &&
		       fits_span(unit, HS_MAX(size_bytes, (size_t)1));
	if (align > HS_HEAP_MIN_ALIGN)
		class = hs_class_of_aligned(size_bytes, align);
	else if (size_bytes <= HS_LARGE_MAX)
		class = hs_class_of(size_bytes);
	if (unit->kind != HS_UNIT_SPAN)
		return class == unit->class;
	if (class != HS_NR_CLASSES)
		return false;
	return fits_span(unit, HS_MAX(size_bytes, (size_t)1));
}

void hs_heap_free_sized(void *p, size_t size_bytes, size_t align)
{
	enum hs_heap_found found;
	struct hs_unit *unit;
	unsigned index;

	if (p == NULL)
		return;
	if (!hs_heap_contains(p))
		misuse(p, HS_FOUND_NOTHING);
	found = hs_heap_find(p, &unit, &index);
	if (found != HS_FOUND_BLOCK)
		misuse(p, found);
	if (!size_matches(unit, size_bytes, align))
		hs_log_fatal("free of %p with size %zu, the block has %zu", p,
			     size_bytes, block_bytes(unit));
	if (!hs_heap_free_fast(p))
		free_block(unit, index);
}

/* --- realloc -------------------------------------------------------------- */

static struct hs_unit *find_live(const void *p, const char *what)
{
	struct hs_unit *unit;
	unsigned index;

	if (!hs_heap_contains(p) ||
	    hs_heap_find(p, &unit, &index) != HS_FOUND_BLOCK)
		hs_log_fatal("%s of freed block %p", what, p);
	return unit;
}

/* Make the span at @unit @new_units long where it is, or NULL. */
static void *resize_span(struct hs_unit *unit, size_t new_units)
{
	struct hs_span_pool *pool = &hs_span_pools[unit->pool];
	uint32_t first = hs_unit_number(unit);
	size_t nr_units = unit->nr_units, got_units;

	if (new_units > nr_units) {
		if (hs_span_extend(pool, first, nr_units, new_units,
				   unit->big ? HS_SPAN_BIG : 0)) {
			unit->nr_units = (uint32_t)new_units;
			return hs_unit_address(first);
		}
		if (!unit->big)
			return NULL;
		first = hs_span_move(pool, first, nr_units, new_units,
				     &got_units);
		if (first == HS_NO_UNIT)
			return NULL;
		return make_span(pool, first, got_units, true);
	}
	if (new_units < nr_units) {
		unit->nr_units = (uint32_t)new_units;
		hs_span_free(pool, first + (uint32_t)new_units,
			     nr_units - new_units);
	}
	return hs_unit_address(first);
}

static void *realloc_span(struct hs_unit *unit, size_t size_bytes)
{
	bool packed = unit->pool != HS_POOL_MAIN;
	size_t new_units = packed ? hs_units_of(size_bytes)
				  : span_units(size_bytes);
	bool big = !packed && new_units * HS_UNIT >= HS_SPAN_BIG_BYTES;

	if (size_matches(unit, size_bytes, 0))
		return hs_unit_address(hs_unit_number(unit));
	if (size_bytes <= (packed ? HS_SMALL_MAX : HS_LARGE_MAX) ||
	    big != unit->big || unit->pool == HS_POOL_CHILD ||
	    size_bytes > hs_arena.max_bytes)
		return NULL;
	return resize_span(unit, new_units);
}

static bool is_on_base(const struct hs_unit *unit)
{
	if (unit->kind == HS_UNIT_SPAN)
		return unit->pool == HS_POOL_BASE;
	return unit->kind == HS_UNIT_SLAB &&
	       hs_slab_body(unit)->owner == &hs_heap_on_base;
}

/* The slab of one unit in which @p is a live block, or NULL. */
static struct hs_unit *find_small(const void *p)
{
	struct hs_unit *slab;
	uint32_t index;

	if (!hs_heap_contains(p))
		return NULL;
	slab = hs_unit_at(hs_unit_index(p));
	if (slab->kind != HS_UNIT_SLAB ||
	    !hs_slab_divide(slab, (uintptr_t)p - hs_heap_map.base, &index) ||
	    !hs_slab_is_live(slab, index))
		return NULL;
	return slab;
}

void *hs_heap_realloc(void *p, size_t size_bytes)
{
	struct hs_unit *small = find_small(p);
	struct hs_unit *unit = small != NULL ? small : find_live(p, "realloc");
	size_t old_bytes = block_bytes(unit);
	void *block;

	if (unit->kind == HS_UNIT_SPAN) {
		block = realloc_span(unit, size_bytes);
		if (block != NULL)
			return block;
	} else if (size_bytes <= HS_LARGE_MAX &&
		   hs_class_of(size_bytes) == unit->class) {
		return p;
	}
	block = is_on_base(unit) ? hs_heap_malloc_base(size_bytes)
				 : hs_heap_malloc(size_bytes);
	if (block == NULL)
		return NULL;
	prepare_write(block, HS_MIN(old_bytes, size_bytes));
	memcpy(block, p, HS_MIN(old_bytes, size_bytes));
	hs_heap_free(p);
	return block;
}

/* --- questions ------------------------------------------------------------ */

size_t hs_heap_usable_size(const void *p)
{
	size_t size_bytes = hs_heap_usable_fast(p);

	if (hs_likely(size_bytes != 0))
		return size_bytes;
	return block_bytes(find_live(p, "size"));
}

size_t hs_heap_good_size(size_t size_bytes)
{
	if (size_bytes <= HS_LARGE_MAX)
		return hs_classes[hs_class_of(size_bytes)].size_bytes;
	hs_heap_thread_get();
	if (size_bytes > hs_arena.max_bytes)
		return 0;
	return span_units(size_bytes) * HS_UNIT;
}

bool hs_heap_trim(size_t keep_bytes)
{
	size_t done = 0;
	int pool;

	if (hs_heap_map.base == 0)
		return false;
	hs_heap_reclaim();
	for (pool = 0; pool < HS_NR_POOLS; pool++)
		done += hs_span_release(&hs_span_pools[pool],
					keep_bytes >> HS_UNIT_SHIFT);
	if (keep_bytes == 0) {
		for (pool = 0; pool < HS_NR_POOLS; pool++)
			done += hs_span_purge(&hs_span_pools[pool]);
		done += hs_heap_purge();
	}
	return done != 0;
}

__attribute__((no_sanitize("thread"))) void
hs_heap_usage(struct hs_heap_usage *usage)
{
	uint32_t i, top = hs_span_top();
	int pool;

	memset(usage, 0, sizeof(*usage));
	usage->metadata_bytes = hs_meta_bytes();
	for (pool = 0; pool < HS_NR_POOLS; pool++) {
		const struct hs_span_pool *p = &hs_span_pools[pool];

		usage->mapped_bytes += p->mapped_units * HS_UNIT;
		usage->retained_bytes += p->free_units * HS_UNIT;
	}
	for (i = 0; i < top; i++) {
		const struct hs_unit *unit = hs_unit_at(i);

		if (unit->kind == HS_UNIT_SPAN) {
			usage->nr_large++;
			usage->large_bytes += unit->nr_units * HS_UNIT;
			usage->allocated_bytes += unit->nr_units * HS_UNIT;
		} else if (unit->kind == HS_UNIT_SLAB) {
			usage->allocated_bytes +=
				hs_slab_nr_live(unit) * unit->size_bytes;
		} else if (unit->kind == HS_UNIT_LARGE) {
			usage->allocated_bytes += unit->used * unit->size_bytes;
		}
	}
}
