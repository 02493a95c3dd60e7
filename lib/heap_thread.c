/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_thread.h"

#include "config.h"
#include "heap.h"
#include "heap_large.h"
#include "meta.h"

/* Of each class, from the shared heap; see make_shy(). */
#define SHY_BYTES 16384u

struct hs_lock hs_registry_lock = HS_LOCK_INIT(HS_RANK_REGISTRY);
void (*hs_heap_thread_attach_hook)(void) HS_EARLY;

const struct hs_theap_front hs_theap_front_none = {
	.direct = { [0 ... HS_NR_DIRECT - 1] = &hs_unit_none },
	.active = { [0 ... HS_NR_SMALL - 1] = &hs_unit_none },
};
_Static_assert(offsetof(struct hs_theap, front) == 0, "see HS_THEAP_NONE");
struct hs_theap hs_heap_on_base;
struct hs_theap hs_heap_shared;

HS_TLS struct hs_theap *hs_theap_self = HS_THEAP_NONE;
_Atomic uint32_t hs_fork_generation = 1;

/* The thread has handed its heap over. */
static HS_TLS bool exited;
static struct hs_theap *heaps; /* all, newest first */
static struct hs_theap *idle;
static bool ready;
static bool young; /* a fork child that has not needed much yet */

struct hs_theap *hs_heap_first(void)
{
	return heaps;
}

static void registry_add(struct hs_theap *heap, struct hs_span_pool *pool)
{
	hs_slab_heap_init(heap, pool);
	heap->next = heaps;
	heaps = heap;
}

/*
 * On huge pages a slab of which little is used costs as much as a full one.  So
 * that many threads with a few blocks each do not take one for every class, a
 * thread's first blocks of each come from slabs that all threads share.
 */
static void make_shy(struct hs_theap *heap)
{
	unsigned cls;

	for (cls = 0; cls < HS_NR_SMALL; cls++)
		heap->shy[cls] = (uint16_t)HS_MAX(
			SHY_BYTES / hs_classes[cls].size_bytes, 1u);
}

/* Locks: hs_registry_lock held. */
static struct hs_theap *take_idle(const struct hs_span_pool *pool)
{
	struct hs_theap **link = &idle, *heap;

	while (*link != NULL && (*link)->pool != pool)
		link = &(*link)->next_idle;
	heap = *link;
	if (heap == NULL)
		return NULL;
	*link = heap->next_idle;
	heap->next_idle = NULL;
	heap->idle = false;
	if (heap->stale) {
		hs_lock_acquire(&heap->lock);
		hs_slab_recover_locked(heap);
		hs_lock_release(&heap->lock);
	}
	return heap;
}

/* An idle heap or a new one.  Locks: hs_registry_lock held. */
static struct hs_theap *obtain(struct hs_span_pool *pool)
{
	struct hs_theap *heap = take_idle(pool);

	if (heap != NULL)
		return heap;
	heap = hs_meta_alloc(sizeof(*heap), 64);
	if (heap == NULL)
		return NULL;
	if (heaps != &hs_heap_shared && pool->id == HS_POOL_MAIN)
		make_shy(heap); /* not the only one */
	registry_add(heap, pool);
	return heap;
}

static void call_attach_hook(void)
{
	static HS_TLS bool attached;

	if (attached || hs_heap_thread_attach_hook == NULL)
		return;
	attached = true;
	hs_heap_thread_attach_hook();
}

struct hs_theap *hs_heap_thread_get(void)
{
	struct hs_theap *heap = hs_theap_self;

	if (hs_likely(heap != HS_THEAP_NONE))
		return heap;
	hs_lock_acquire(&hs_registry_lock);
	if (!ready && hs_span_init() == 0) {
		registry_add(&hs_heap_on_base, &hs_span_pools[HS_POOL_BASE]);
		registry_add(&hs_heap_shared, &hs_span_pools[HS_POOL_MAIN]);
		ready = true;
	}
	heap = NULL;
	if (ready && !exited)
		heap = obtain(
			&hs_span_pools[young ? HS_POOL_CHILD : HS_POOL_MAIN]);
	if (heap != NULL)
		hs_theap_self = heap;
	hs_lock_release(&hs_registry_lock);
	if (heap != NULL)
		call_attach_hook();
	return heap;
}

/* Locks: hs_registry_lock held. */
static bool drain(struct hs_theap *heap)
{
	bool any;

	hs_lock_acquire(&heap->lock);
	if (heap->stale)
		hs_slab_recover_locked(heap);
	any = hs_slab_drain_locked(heap);
	hs_lock_release(&heap->lock);
	return any;
}

static void make_idle(struct hs_theap *heap)
{
	heap->idle = true;
	heap->next_idle = idle;
	idle = heap;
}

void hs_heap_thread_exit(void)
{
	struct hs_theap *heap = hs_theap_self;

	exited = true;
	if (heap == HS_THEAP_NONE)
		return;
	hs_theap_self = HS_THEAP_NONE;
	hs_lock_acquire(&hs_registry_lock);
	drain(heap);
	make_idle(heap);
	hs_lock_release(&hs_registry_lock);
}

struct hs_theap *hs_heap_thread_grow_up(void)
{
	struct hs_theap *heap = hs_theap_self;
	bool first;

	hs_lock_acquire(&hs_registry_lock);
	first = young;
	young = false;
	hs_theap_self = HS_THEAP_NONE;
	drain(heap);
	make_idle(heap);
	hs_lock_release(&hs_registry_lock);
	/* Free huge pages that the parent shares would be copied before they
	 * are written. */
	if (first)
		hs_span_release(&hs_span_pools[HS_POOL_MAIN], 0);
	return hs_heap_thread_get();
}

bool hs_heap_reclaim(void)
{
	struct hs_theap *heap = hs_theap_self;
	bool any = false;

	hs_lock_acquire(&hs_registry_lock);
	if (heap != HS_THEAP_NONE)
		any |= drain(heap);
	for (heap = idle; heap != NULL; heap = heap->next_idle)
		any |= drain(heap);
	if (ready) {
		any |= drain(&hs_heap_shared);
		any |= drain(&hs_heap_on_base);
	}
	hs_lock_release(&hs_registry_lock);
	any |= hs_large_drain();
	return any;
}

static size_t purge(struct hs_theap *heap)
{
	size_t sum_bytes = 0;

	hs_lock_acquire(&heap->lock);
	if (!heap->stale)
		sum_bytes = hs_slab_purge_locked(heap);
	hs_lock_release(&heap->lock);
	return sum_bytes;
}

size_t hs_heap_purge(void)
{
	struct hs_theap *heap = hs_theap_self;
	size_t sum_bytes = 0;

	hs_lock_acquire(&hs_registry_lock);
	if (heap != HS_THEAP_NONE)
		sum_bytes += purge(heap);
	for (heap = idle; heap != NULL; heap = heap->next_idle)
		sum_bytes += purge(heap);
	if (ready) {
		sum_bytes += purge(&hs_heap_shared);
		sum_bytes += purge(&hs_heap_on_base);
	}
	hs_lock_release(&hs_registry_lock);
	return sum_bytes + hs_large_purge();
}

/*
 * Fork.  All locks in rank order, so that lists stand still; bitmaps of other
 * threads' heaps may change meanwhile, see heap_slab.h.
 */
static bool registry_taken, large_taken, span_taken;

static bool take_heaps(bool skip)
{
	struct hs_theap *heap;

	for (heap = heaps; heap != NULL; heap = heap->next)
		if (!hs_lock_prefork_try(&heap->lock, &heap->prefork_taken) &&
		    !skip)
			return false;
	return true;
}

static bool take_all(bool skip)
{
	if (!hs_lock_prefork_try(&hs_registry_lock, &registry_taken) && !skip)
		return false;
	if (!take_heaps(skip))
		return false;
	if (!hs_lock_prefork_try(&hs_large_lock, &large_taken) && !skip)
		return false;
	return hs_lock_prefork_try(&hs_span_lock, &span_taken) || skip;
}

static void give_back(struct hs_lock *lock, bool *taken)
{
	hs_lock_postfork_parent(lock, *taken);
	*taken = false;
}

void hs_heap_postfork_parent(void)
{
	struct hs_theap *heap;

	give_back(&hs_span_lock, &span_taken);
	give_back(&hs_large_lock, &large_taken);
	for (heap = heaps; heap != NULL; heap = heap->next)
		give_back(&heap->lock, &heap->prefork_taken);
	give_back(&hs_registry_lock, &registry_taken);
}

bool hs_heap_prefork(bool skip)
{
	if (take_all(skip))
		return true;
	hs_heap_postfork_parent();
	return false;
}

/* Does this process, just forked, start with a heap of its own?  Not when the
 * fork interrupted the heap: it goes on with the one it was in. */
static bool starts_young(void)
{
	struct hs_theap *heap = hs_theap_self;

	return heap != HS_THEAP_NONE && heap->prefork_taken && span_taken &&
	       heap->pool->id == HS_POOL_MAIN && heap->pool->huge &&
	       hs_config->base_first_bytes != 0;
}

/* The heaps of threads that this process does not have go idle; they, and
 * what others had freed of ours, are put right when they are next used. */
static void orphan_heaps(void)
{
	struct hs_theap *heap;

	idle = NULL;
	if (starts_young()) {
		young = true;
		hs_theap_self = HS_THEAP_NONE;
	}
	for (heap = heaps; heap != NULL; heap = heap->next) {
		bool was_told = atomic_exchange(&heap->remote_head, NULL);

		if (heap == hs_theap_self) {
			heap->unmerged = was_told || heap != heaps ||
					 heap->next != &hs_heap_shared;
			continue;
		}
		heap->stale = true;
		if (heap != &hs_heap_shared && heap != &hs_heap_on_base)
			make_idle(heap);
	}
}

void hs_heap_postfork_child(void)
{
	struct hs_theap *heap;

	hs_fork_generation++;
	if (registry_taken)
		orphan_heaps();
	for (int i = 0; i < HS_NR_POOLS; i++)
		hs_span_pools[i].growing = 0;
	hs_lock_postfork_child(&hs_span_lock, span_taken);
	hs_lock_postfork_child(&hs_large_lock, large_taken);
	for (heap = heaps; heap != NULL; heap = heap->next)
		hs_lock_postfork_child(&heap->lock, heap->prefork_taken);
	hs_lock_postfork_child(&hs_registry_lock, registry_taken);
}
