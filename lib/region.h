/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.h - the arena: one range of address space cut into slots of one huge
 * page each, and the state machine of a slot.
 *
 * Owner of the data: this module; every other one reads through the
 * accessors.  Address -> slot is a shift.  Slots outside the arena, in
 * mappings of the application's own, are vm's (regmap.h, vm.h); the state
 * machine and everything built on it are the same.
 *
 * Transitions (one setter asserts them):
 *
 *   from \ to | FREE | LAZY | HUGE | BASE |
 *   FREE      |      | map  | map  | map  |
 *   LAZY      | unmap|      | populate, touch | rescue, populate short |
 *   HUGE      | unmap|      |      | convert, rescue |
 *   BASE      | unmap|      |      |      |
 *
 * A rescue or a failed unmap may also leave BROKEN: never used again.  RESERVED
 * (vm alone) goes to FREE, LAZY or HUGE.
 * FROZEN is HUGE whose epoch is older than the arena's: a fork has happened
 * since this process last knew the page to be its own.
 *
 * Invariants
 * 1. A slot that is not FREE was mapped by hs_region_map(), is readable and
 *    writable, and stays so until hs_region_unmap().
 * 2. A slot's state changes under the region lock, but for LAZY/HUGE -> BASE,
 *    which happens under the rescue lock in the fault of the thread that
 *    needs it.
 * 3. nr_huge + nr_lazy never exceeds the process's cap.
 *
 * Locks: hs_region_lock (HS_RANK_REGION).
 */
#ifndef HS_REGION_H
#define HS_REGION_H

#include "base.h"
#include "lock.h"

/* The unit in which the heap hands out and limited processes map. */
#define HS_UNIT_SHIFT 16
#define HS_UNIT ((size_t)1 << HS_UNIT_SHIFT)

enum hs_slot_state {
	HS_SLOT_FREE,   /* reserved address space, nothing mapped */
	HS_SLOT_LAZY,   /* hugetlb mapped, not populated */
	HS_SLOT_HUGE,   /* one huge page */
	HS_SLOT_BASE,   /* base pages or THP; perhaps only its first units */
	HS_SLOT_BROKEN, /* the address space was taken by somebody else */
	HS_SLOT_RESERVED, /* vm: the application's, private, anonymous, and
			   * never writable so far: reads as zero */
};

struct hs_slot {
	_Atomic uint8_t state; /* enum hs_slot_state */
	uint8_t thp;           /* BASE: advised for THP */
	uint8_t premapped;     /* FREE: hugetlb is mapped here, unpopulated */
	uint8_t vma_start;     /* a kernel mapping begins here */
	uint8_t vm;            /* of a mapping of the application's own */
	uint8_t prot;          /* vm: the application's protection */
	uint8_t dontdump;      /* vm: MADV_DONTDUMP */
	uint8_t guarded;       /* see guard.h */
	_Atomic uint32_t epoch; /* fork epoch at which the page was last known
				 * to be this process's own */
	uint32_t mapped_units; /* BASE: units mapped, from the start */
};

struct hs_arena {
	uintptr_t base;       /* 0 until hs_region_init(); slot aligned */
	size_t size_bytes;    /* the part that has ever been in use and whose
			       * tables are there; grows, never shrinks */
	size_t max_bytes;     /* the address space it may grow to */
	unsigned slot_shift;
	bool reserved;        /* the address space is held by PROT_NONE */
	struct hs_slot *slots;
	_Atomic uint32_t epoch;
};

extern struct hs_arena hs_arena;
extern struct hs_lock hs_region_lock;

enum {
	HS_MAP_BASE = 1,  /* base pages, not advised for THP */
	HS_MAP_LAZY = 2,  /* may be left unpopulated */
	HS_MAP_EXACT = 4, /* ask for size_bytes, not whole slots */
	HS_MAP_VM = 8,    /* for a mapping of the application */
};

/* One subtraction and one comparison; false for NULL and before the first
 * map.  Context: any. */
static HS_ALWAYS_INLINE bool hs_region_contains(const void *p)
{
	return (uintptr_t)p - hs_arena.base < hs_arena.size_bytes;
}

static HS_ALWAYS_INLINE size_t hs_region_slot_bytes(void)
{
	return (size_t)1 << hs_arena.slot_shift;
}

/* pre: hs_region_contains(p) */
static HS_ALWAYS_INLINE struct hs_slot *hs_region_slot(const void *p)
{
	return &hs_arena.slots[((uintptr_t)p - hs_arena.base) >>
			       hs_arena.slot_shift];
}

/* Choose and reserve the address space, the first time.  0 or -ENOMEM.
 * Locks: takes hs_region_lock. */
int hs_region_init(void);

/*
 * A zeroed table with an entry of @entry_bytes for every 1 << @shift bytes of
 * the arena, indexed by (address - hs_arena.base) >> @shift.  Entries are
 * readable and writable up to hs_arena.size_bytes and appear as it grows; so
 * overcommit_memory=2 and RLIMIT_AS are charged only for what is in use.
 * At most HS_REGION_TABLES of them, made once, right after hs_region_init().
 * NULL: no memory.
 */
#define HS_REGION_TABLES 3
void *hs_region_table(size_t entry_bytes, unsigned shift);

/*
 * Map at least @size_bytes (a multiple of HS_UNIT) of zeroed, readable and
 * writable memory that starts on a slot; at @hint when its slots are free
 * (to grow a run in place), else anywhere in the arena aligned to
 * @align_bytes (0, or a power of two above a slot).
 *
 * Whole slots are mapped and *@got_bytes says how much; where a limit makes
 * that fail, or with HS_MAP_EXACT, the last slot holds only what was asked
 * for.  Per-slot fallback: hugetlb, THP, base pages.  Unless HS_MAP_LAZY,
 * hugetlb slots are populated.
 *
 * Returns 0 or -ENOMEM with nothing mapped.
 * Context: thread-safe, valid in a fork child.  Locks: takes hs_region_lock.
 */
int hs_region_map(void *hint, size_t size_bytes, size_t align_bytes,
		  unsigned flags, void **addr, size_t *got_bytes);

/* Give slots back; @addr on a slot, @size_bytes as mapped (whole slots, or up
 * to the end of a partly mapped one).  Contents are lost.  Locks: takes
 * hs_region_lock. */
void hs_region_unmap(void *addr, size_t size_bytes);

/* Bytes from @addr (on a slot) that are mapped in that slot. */
size_t hs_region_slot_mapped(const void *addr);

/* Move whole slots: [from, from + size) to freshly mapped address space,
 * without copying.  0 and *@addr, or -errno with everything as before (the
 * caller copies instead). */
int hs_region_move(void *from, size_t size_bytes, size_t new_size_bytes,
		   void **addr, size_t *got_bytes);

/* The state machine's one setter.  Locks: per invariant 2. */
void hs_slot_set_state(struct hs_slot *slot, enum hs_slot_state state);

/* The same for @nr slots in a row that are FREE and else alike. */
void hs_slot_set_run(struct hs_slot *slot, size_t nr, enum hs_slot_state state);

static HS_ALWAYS_INLINE enum hs_slot_state
hs_slot_state(const struct hs_slot *slot)
{
	return (enum hs_slot_state)atomic_load_explicit(&slot->state,
							memory_order_acquire);
}

/* HUGE, and a fork has happened since the page was last known to be ours. */
bool hs_slot_is_frozen(const struct hs_slot *slot);

/* The process is about to be limited (setrlimit, mlockall): give back the
 * address space that is not in use (arena and tables), and reserve nothing
 * ahead from now on.  mlockall(MCL_CURRENT) also must not populate LAZY
 * slots: with @settle they become BASE. */
void hs_region_unreserve(bool settle);

/* New mappings will be refused at some point where a program that maps nothing
 * lives on (mlockall(MCL_FUTURE) under RLIMIT_MEMLOCK), so none may be needed
 * for a copy: huge pages become base pages, and none is taken from now on.
 * @all: what is there counts against the limit, too (MCL_CURRENT). */
void hs_region_leave_pool(bool all);

/* Which of the two has happened; the second implies the first. */
enum hs_region_limit {
	HS_LIMIT_NONE,
	HS_LIMIT_SPACE, /* nothing is reserved or mapped ahead */
	HS_LIMIT_LOCKED /* and no huge page is taken: all of it counts */
};
enum hs_region_limit hs_region_limit(void);
/* What lies below was mapped before the limit and does not count: giving it
 * back makes no room. */
const void *hs_region_limited_from(void);

/* A seccomp filter is going on: from now on only calls that malloc makes. */
void hs_region_restrict(void);

/* A seccomp filter is on, announced or found in /proc: calls that malloc does
 * not make may kill.  Locks: takes hs_region_lock once, unless it is held. */
bool hs_region_is_restricted(void);

/* The program has mapped something of its own at [addr, addr + len), by
 * MAP_FIXED: free slots there are never used.  Context: thread-safe.  Locks:
 * takes hs_region_lock. */
void hs_region_disown(const void *addr, size_t len);

/* Validate every invariant that can be; for tests. 0 or the number of the
 * invariant that does not hold. */
int hs_region_check(void);

#endif
