/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_unit.h - what the heap knows about each 64 KiB unit of the arena: one
 * descriptor of a cache line, in a flat table outside the arena, so that an
 * address becomes its descriptor by a shift.
 *
 * Owner of a descriptor: whoever holds the unit.
 *   NONE, FREED, FREE, FREE_TAIL   the span layer (HS_RANK_SPAN)
 *   SLAB, CONT of one              a thread heap: its thread, and its lock
 *   LARGE, CONT of one             the shared slabs (HS_RANK_LARGE)
 *   SPAN                           the block's owner, by realloc and free
 *
 * Invariants
 * 1. kind, size_bytes and recip of a unit do not change while a block in it
 *    lives, so a legitimate free may read them without a lock.
 * 2. owner_fast is the owning heap in one-unit slabs that are not full, and
 *    NULL in every other unit: what it is NULL for takes the slow path.
 * 3. Every extent of free units has its length in its first descriptor
 *    (FREE) and in its last (FREE_TAIL, when it is not the first too).
 */
#ifndef HS_HEAP_UNIT_H
#define HS_HEAP_UNIT_H

#include "base.h"
#include "heap_class.h"
#include "region.h"

struct hs_theap;

#define HS_NO_UNIT UINT32_MAX

enum hs_unit_kind {
	HS_UNIT_NONE,      /* not the heap's, or inside a span or an extent */
	HS_UNIT_FREED,     /* as NONE; a block or slab once started here */
	HS_UNIT_SLAB,      /* first unit of a thread's slab */
	HS_UNIT_LARGE,     /* first unit of a shared slab */
	HS_UNIT_CONT,      /* a further unit of a slab: nr_units back */
	HS_UNIT_SPAN,      /* first unit of a block of whole units */
	HS_UNIT_FREE,      /* first unit of a free extent */
	HS_UNIT_FREE_TAIL, /* last unit of a free extent */
};

struct hs_unit {
	_Atomic(struct hs_theap *) owner_fast;
	union {
		struct {                          /* SLAB */
			_Atomic uint64_t *words;  /* bit set: block is free */
			_Atomic uint64_t *remote; /* freed by others, unmerged*/
			_Atomic uint64_t *cur;    /* word now allocated from */
			uintptr_t cur_base;       /* block of its bit 0 */
		};
		struct {                /* LARGE */
			uint64_t free;  /* bit set: block is free */
			uint64_t fresh; /* bit set: zero since mapped */
		};
		struct { /* FREE: pairing heap by address */
			uint32_t ph_child;
			uint32_t ph_next;
			uint32_t ph_prev; /* parent of a first child */
		};
	};
	uint32_t size_bytes;  /* of a block; SLAB and LARGE */
	uint32_t recip;       /* SLAB of one unit; of more, LARGE: 0 */
	_Atomic uint16_t limit; /* SLAB: blocks in it; 0: others may have freed
				 * some of them, look at remote, too */
	uint16_t used;        /* blocks not free, or freed by others */
	_Atomic uint8_t kind; /* enum hs_unit_kind; neighbours read it */
	uint8_t class;        /* SLAB and LARGE */
	union {
		struct { /* SLAB and LARGE: list of its class */
			uint32_t next;
			uint32_t prev;
		};
		struct { /* SPAN, FREE, FREE_TAIL, CONT */
			uint32_t nr_units;
			uint8_t pool; /* index of hs_span_pools */
			uint8_t big;  /* SPAN: whole slots of its own */
		};
	};
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct hs_unit) == 64, "one cache line a unit");

/* All zero before the first mapping, so that every address is foreign.  The
 * size grows, under hs_span_lock. */
struct hs_heap_map {
	uintptr_t base;    /* of the arena */
	size_t size_bytes; /* of the part that the heap has seen in use */
	struct hs_unit *units;
};

extern struct hs_heap_map hs_heap_map;

/* pre: p is in the map */
static HS_ALWAYS_INLINE uint32_t hs_unit_index(const void *p)
{
	return (uint32_t)(((uintptr_t)p - hs_heap_map.base) >> HS_UNIT_SHIFT);
}

static HS_ALWAYS_INLINE struct hs_unit *hs_unit_at(uint32_t index)
{
	return &hs_heap_map.units[index];
}

static HS_ALWAYS_INLINE uint32_t hs_unit_number(const struct hs_unit *unit)
{
	return (uint32_t)(unit - hs_heap_map.units);
}

static HS_ALWAYS_INLINE void hs_unit_set_kind(struct hs_unit *unit,
					      enum hs_unit_kind kind)
{
	atomic_store_explicit(&unit->kind, (uint8_t)kind, memory_order_release);
}

static HS_ALWAYS_INLINE void *hs_unit_address(uint32_t index)
{
	return (void *)(hs_heap_map.base + ((uintptr_t)index << HS_UNIT_SHIFT));
}

static HS_ALWAYS_INLINE bool hs_heap_contains(const void *p)
{
	return (uintptr_t)p - hs_heap_map.base <
	       __atomic_load_n(&hs_heap_map.size_bytes, __ATOMIC_RELAXED);
}

static HS_ALWAYS_INLINE uint32_t hs_units_per_slot(void)
{
	return (uint32_t)1 << (hs_arena.slot_shift - HS_UNIT_SHIFT);
}

/* In line: without an option for the processor the compiler calls libgcc. */
static HS_ALWAYS_INLINE unsigned hs_popcount(uint64_t bits)
{
	const uint64_t ones = ~(uint64_t)0;

	bits -= bits >> 1 & ones / 3;
	bits = (bits & ones / 5) + (bits >> 2 & ones / 5);
	return (unsigned)(((bits + (bits >> 4)) & ones / 17) * (ones / 255) >>
			  56);
}

/* Bytes to units, rounded up.  pre: does not overflow. */
static HS_ALWAYS_INLINE size_t hs_units_of(size_t size_bytes)
{
	return (size_bytes + HS_UNIT - 1) >> HS_UNIT_SHIFT;
}

#endif
