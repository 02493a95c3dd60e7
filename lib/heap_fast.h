/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_fast.h - the inlined halves of malloc and free.
 *
 * The exported functions compile to these; what they decline goes to the
 * functions of heap.h.  Safe before anything is initialised: the heap map is
 * empty and the thread's heap has nothing in it, so both decline.
 *
 *	void *malloc(size_t size)
 *	{
 *		void *p;
 *
 *		if (hs_likely(hs_heap_malloc_fast(size, &p)))
 *			return p;
 *		return malloc_slow(size);
 *	}
 *
 *	void free(void *p)
 *	{
 *		if (hs_unlikely(!hs_heap_free_fast(p)))
 *			free_slow(p);
 *	}
 *
 * Context: as malloc and free.  Locks: none.
 */
#ifndef HS_HEAP_FAST_H
#define HS_HEAP_FAST_H

#include "base.h"
#include "heap_slab.h"

/* Take a block from the word that @slab is allocating from. */
static HS_ALWAYS_INLINE bool hs_slab_take(struct hs_unit *slab, void **block)
{
	_Atomic uint64_t *cur = slab->cur;
	uint64_t word = atomic_load_explicit(cur, memory_order_relaxed);

	if (hs_unlikely(word == 0))
		return false;
	/* Counted before it is taken: a child that is forked in between and
	 * inherits the slab must not find it emptier than it is. */
	slab->used++;
	atomic_signal_fence(memory_order_release);
	atomic_store_explicit(cur, word & (word - 1), memory_order_relaxed);
	*block = (void *)(slab->cur_base +
			  (uint32_t)__builtin_ctzll(word) * slab->size_bytes);
	if (*block == NULL)
		__builtin_unreachable(); /* saves callers the test */
	return true;
}

/* The same, and say whether the block is still as the kernel zeroed it. */
static HS_ALWAYS_INLINE bool hs_slab_take_tracked(struct hs_unit *slab,
						  void **block, bool *zeroed)
{
	*zeroed = false;
	if (slab->class >= HS_FIRST_FRESH) {
		struct hs_slab_body *body = hs_slab_body(slab);
		uint64_t word =
			atomic_load_explicit(slab->cur, memory_order_relaxed);

		/* Before the block is taken, for the same reason. */
		*zeroed = (body->fresh & word & -word) != 0;
		body->fresh &= ~(word & -word);
		atomic_signal_fence(memory_order_release);
	}
	return hs_slab_take(slab, block);
}

/* False: hs_heap_malloc() has to do it. */
static HS_ALWAYS_INLINE bool hs_heap_malloc_fast(size_t size_bytes,
						 void **block)
{
	if (hs_unlikely(size_bytes > HS_DIRECT_MAX))
		return false;
	return hs_slab_take(hs_theap_self->front.direct[(size_bytes + 15) >> 4],
			    block);
}

/* Exact division by the reciprocal (Lemire, Kaser, Kurz 2019): the fraction is
 * below recip just for multiples of the size.  Holds for offsets and sizes
 * below 2^16, which one-unit slabs have; the recip of others is 0. */
static HS_ALWAYS_INLINE bool hs_slab_divide(const struct hs_unit *slab,
					    uintptr_t off, uint32_t *index)
{
	uint64_t product = (off & (HS_UNIT - 1)) * slab->recip;

	*index = (uint32_t)(product >> 32);
	return hs_likely((uint32_t)product < slab->recip);
}

/*
 * The size of the block at @p, which is taken to be live, if it is in a slab of
 * one unit.  0: hs_heap_usable_size() has to find out.
 */
static HS_ALWAYS_INLINE size_t hs_heap_usable_fast(const void *p)
{
	uintptr_t off = (uintptr_t)p - hs_heap_map.base;
	const struct hs_unit *slab;
	uint32_t index;

	if (hs_unlikely(off >= __atomic_load_n(&hs_heap_map.size_bytes,
					       __ATOMIC_RELAXED)))
		return 0;
	slab = &hs_heap_map.units[off >> HS_UNIT_SHIFT];
	if (slab->kind != HS_UNIT_SLAB || !hs_slab_divide(slab, off, &index))
		return 0;
	return slab->size_bytes;
}

/* False: NULL, not ours, another thread's, misuse or the like: hs_heap_free()
 * for what is in the arena. */
static HS_ALWAYS_INLINE bool hs_heap_free_fast(void *p)
{
	uintptr_t off = (uintptr_t)p - hs_heap_map.base;
	struct hs_unit *slab;
	uint64_t word;
	uint32_t index;

	if (hs_unlikely(off >= __atomic_load_n(&hs_heap_map.size_bytes,
					       __ATOMIC_RELAXED)))
		return false;
	slab = &hs_heap_map.units[off >> HS_UNIT_SHIFT];
	if (hs_unlikely(atomic_load_explicit(&slab->owner_fast,
					     memory_order_relaxed) !=
			hs_theap_self))
		return false;
	if (!hs_slab_divide(slab, off, &index))
		return false;
	/* In most slabs remote need not be looked at: a line of memory less. */
	if (hs_unlikely(index >= atomic_load_explicit(&slab->limit,
						      memory_order_relaxed))) {
		hs_slab_free_told(slab, index);
		return true;
	}
	word = atomic_load_explicit(&slab->words[index >> 6],
				    memory_order_relaxed);
	if (hs_unlikely(word >> (index & 63) & 1))
		return false;
	word |= (uint64_t)1 << (index & 63);
	atomic_store_explicit(&slab->words[index >> 6], word,
			      memory_order_relaxed);
	if (hs_unlikely(--slab->used == 0))
		hs_slab_emptied(slab);
	return true;
}

#endif
