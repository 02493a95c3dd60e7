/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_slab.h"

#include "heap_fast.h"
#include "heap_purge.h"
#include "log.h"
#include "meta.h"

#define PAGE_BYTES ((size_t)4096)
/* How many partial slabs are compared to find the fullest. */
#define PARTIAL_TRIES 4
/* The first class that does not go by the direct table. */
#define FIRST_ACTIVE 32

static _Atomic uint64_t no_words;

struct hs_unit hs_unit_none = { .cur = &no_words };

static struct hs_slab_body *body_free[64 + 1]; /* by words; hs_span_lock */

static size_t body_remote_bytes(unsigned nr_words)
{
	return hs_align_up(sizeof(struct hs_slab_body) + nr_words * 8, 64);
}

static size_t body_bytes(unsigned nr_words)
{
	return body_remote_bytes(nr_words) + hs_align_up(nr_words * 8, 64);
}

/* A new one, from what is left of the last page or from a new page.  Locks:
 * hs_span_lock held. */
static struct hs_slab_body *body_new(unsigned nr_words)
{
	static char *next, *end;
	size_t size = body_bytes(nr_words);
	struct hs_slab_body *body;

	if (size > (size_t)(end - next)) {
		char *page = hs_meta_alloc(PAGE_BYTES, PAGE_BYTES);

		if (page == NULL)
			return NULL;
		next = page;
		end = page + PAGE_BYTES;
	}
	body = (struct hs_slab_body *)next;
	next += size;
	return body;
}

static struct hs_slab_body *body_get(unsigned nr_words)
{
	struct hs_slab_body *body;

	hs_lock_acquire(&hs_span_lock);
	body = body_free[nr_words];
	if (body != NULL)
		body_free[nr_words] = (void *)body->owner;
	else
		body = body_new(nr_words);
	hs_lock_release(&hs_span_lock);
	return body;
}

static void body_put(struct hs_slab_body *body, unsigned nr_words)
{
	hs_lock_acquire(&hs_span_lock);
	body->owner = (void *)body_free[nr_words];
	body_free[nr_words] = body;
	hs_lock_release(&hs_span_lock);
}

static const struct hs_class *class_of(const struct hs_unit *slab)
{
	return &hs_classes[slab->class];
}

/* The bits of word @i that are blocks. */
static uint64_t block_bits(const struct hs_class *class, unsigned i)
{
	unsigned left = class->capacity - i * 64;

	return left >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;
}

/* A slab's tail looks like one more block to a division; its remote bit is
 * always set, which sends a free of it to the slow path. */
static uint64_t tail_bit(const struct hs_class *class, unsigned i)
{
	return class->capacity / 64 == i ? (uint64_t)1 << class->capacity % 64
					 : 0;
}

void hs_slab_double_free(const struct hs_unit *slab, unsigned index)
{
	void *block = (void *)(hs_slab_base(slab) + index * slab->size_bytes);

	if (index >= hs_classes[slab->class].capacity)
		hs_log_fatal("invalid free of %p", block);
	hs_log_fatal("double free of %p", block);
}

bool hs_slab_is_live(const struct hs_unit *slab, unsigned index)
{
	uint64_t words = slab->words[index / 64];

	return !((words | slab->remote[index / 64]) >> index % 64 & 1);
}

/* Lists of partial slabs.  Locks: heap->lock. */
static void partial_add(struct hs_theap *heap, struct hs_unit *slab)
{
	struct hs_slab_list *list = &heap->partial[slab->class];
	uint32_t number = hs_unit_number(slab);

	slab->next = HS_NO_UNIT;
	slab->prev = list->tail;
	if (list->tail != HS_NO_UNIT)
		hs_unit_at(list->tail)->next = number;
	else
		list->head = number;
	list->tail = number;
	hs_slab_body(slab)->state = HS_SLAB_PARTIAL;
	atomic_store_explicit(&slab->owner_fast,
			      hs_classes[slab->class].nr_units == 1 ? heap
								    : NULL,
			      memory_order_relaxed);
}

static void partial_del(struct hs_theap *heap, struct hs_unit *slab)
{
	struct hs_slab_list *list = &heap->partial[slab->class];

	if (slab->prev != HS_NO_UNIT)
		hs_unit_at(slab->prev)->next = slab->next;
	else
		list->head = slab->next;
	if (slab->next != HS_NO_UNIT)
		hs_unit_at(slab->next)->prev = slab->prev;
	else
		list->tail = slab->prev;
}

static void set_active(struct hs_theap *heap, unsigned class,
		       struct hs_unit *slab)
{
	unsigned i;

	heap->front.active[class] = slab;
	if (class >= FIRST_ACTIVE)
		return;
	for (i = hs_classes[class].size_bytes / 16; hs_class_small[i] == class;
	     i--) {
		heap->front.direct[i] = slab;
		if (i == 0)
			break;
	}
}

void hs_slab_heap_init(struct hs_theap *heap, struct hs_span_pool *pool)
{
	unsigned cls;

	heap->pool = pool;
	hs_lock_init(&heap->lock, HS_RANK_HEAP);
	for (cls = 0; cls < HS_NR_SMALL; cls++) {
		heap->partial[cls].head = HS_NO_UNIT;
		heap->partial[cls].tail = HS_NO_UNIT;
		set_active(heap, cls, &hs_unit_none);
	}
}

static void slab_init(struct hs_theap *heap, struct hs_unit *slab,
		      struct hs_slab_body *body, unsigned class, bool zeroed)
{
	const struct hs_class *c = &hs_classes[class];
	unsigned i;

	body->stack_next = NULL;
	body->pending = 0;
	body->notified = 0;
	body->taken = 0;
	body->fresh = zeroed && class >= HS_FIRST_FRESH ? block_bits(c, 0) : 0;
	slab->remote = body->remote;
	slab->words = (void *)((char *)body + body_remote_bytes(c->nr_words));
	for (i = 0; i < c->nr_words; i++) {
		body->remote[i] = tail_bit(c, i);
		slab->words[i] = block_bits(c, i);
	}
	slab->cur = slab->words;
	slab->cur_base = hs_slab_base(slab);
	slab->size_bytes = c->size_bytes;
	slab->recip = c->nr_units == 1 ? c->recip : 0;
	slab->used = 0;
	slab->limit = c->capacity;
	slab->class = (uint8_t) class;
	body->owner = heap;
	hs_unit_set_kind(slab, HS_UNIT_SLAB);
	for (i = 1; i < c->nr_units; i++) {
		slab[i].nr_units = i;
		hs_unit_set_kind(&slab[i], HS_UNIT_CONT);
	}
}

static struct hs_unit *slab_create(struct hs_theap *heap, unsigned class,
				   unsigned flags)
{
	const struct hs_class *c = &hs_classes[class];
	struct hs_slab_body *body = body_get(c->nr_words);
	size_t got_units;
	uint32_t first;
	bool zeroed;

	if (body == NULL)
		return NULL;
	first = hs_span_alloc(heap->pool, c->nr_units, 1, flags | HS_SPAN_SLAB,
			      &zeroed, &got_units);
	if (first == HS_NO_UNIT) {
		body_put(body, c->nr_words);
		return NULL;
	}
	slab_init(heap, hs_unit_at(first), body, class, zeroed);
	return hs_unit_at(first);
}

/* Is nobody on the way to tell of a remote free? */
static bool is_quiet(struct hs_slab_body *body)
{
	return atomic_load(&body->pending) !=
		       atomic_load(&hs_fork_generation) &&
	       atomic_load(&body->notified) == body->taken;
}

/* pre: empty, in no list, quiet. */
static void slab_release(struct hs_theap *heap, struct hs_unit *slab)
{
	const struct hs_class *c = class_of(slab);
	struct hs_slab_body *body = hs_slab_body(slab);
	unsigned i;

	atomic_store_explicit(&slab->owner_fast, NULL, memory_order_relaxed);
	for (i = 1; i < c->nr_units; i++)
		hs_unit_set_kind(&slab[i], HS_UNIT_NONE);
	hs_unit_set_kind(slab, HS_UNIT_FREED);
	body_put(body, c->nr_words);
	hs_span_free(heap->pool, hs_unit_number(slab), c->nr_units);
}

/* An empty slab in the list of its class is kept if it is the only one. */
static void settle_empty(struct hs_theap *heap, struct hs_unit *slab)
{
	struct hs_unit **spare = &heap->spare[slab->class];

	if (*spare == NULL)
		*spare = slab;
	if (*spare == slab || !is_quiet(hs_slab_body(slab)))
		return;
	partial_del(heap, slab);
	slab_release(heap, slab);
}

/* Locks: heap->lock. */
static void merge(struct hs_theap *heap, struct hs_unit *slab)
{
	const struct hs_class *c = class_of(slab);
	struct hs_slab_body *body = hs_slab_body(slab);
	unsigned i;

	/* Before the bits are taken: who comes later sets it again. */
	atomic_store(&slab->limit, c->capacity);
	for (i = 0; i < c->nr_words; i++) {
		uint64_t tail = tail_bit(c, i), bits, word;

		if (atomic_load_explicit(&slab->remote[i],
					 memory_order_relaxed) == tail)
			continue;
		bits = atomic_exchange(&slab->remote[i], tail) & ~tail;
		body->taken++;
		word = slab->words[i];
		if (word & bits)
			hs_slab_double_free(slab,
					    i * 64 + (unsigned)__builtin_ctzll(
							     word & bits));
		atomic_store_explicit(&slab->words[i], word | bits,
				      memory_order_relaxed);
		slab->used -= (uint16_t)hs_popcount(bits);
	}
	if (body->state == HS_SLAB_FULL && slab->used < c->capacity)
		partial_add(heap, slab);
	if (slab->used == 0)
		settle_empty(heap, slab);
}

/* Merge wherever there is something to merge.  Locks: heap->lock. */
static void merge_all(struct hs_theap *heap)
{
	uint32_t i, top = hs_span_top();

	for (i = 0; i < top; i++) {
		struct hs_unit *slab = hs_unit_at(i);

		if (slab->kind == HS_UNIT_SLAB &&
		    hs_slab_body(slab)->owner == heap)
			merge(heap, slab);
	}
	heap->unmerged = false;
}

/* Merge the slabs on the heap's stack.  Locks: heap->lock. */
static void drain_stack(struct hs_theap *heap)
{
	uint32_t generation = hs_fork_generation;
	struct hs_unit *slab, *next;

	if (hs_unlikely(heap->unmerged))
		merge_all(heap);
	if (atomic_load_explicit(&heap->remote_head, memory_order_relaxed) ==
	    NULL)
		return;
	slab = atomic_exchange(&heap->remote_head, NULL);
	for (; slab != NULL; slab = next) {
		struct hs_slab_body *body;

		/* After a fork that no handler saw the stack may be torn. */
		if (slab->kind != HS_UNIT_SLAB)
			break;
		body = hs_slab_body(slab);
		next = body->stack_next;
		if (body->owner != heap ||
		    atomic_exchange(&body->pending, 0) != generation)
			break;
		merge(heap, slab);
	}
}

bool hs_slab_next_word(struct hs_unit *slab)
{
	const struct hs_class *c;
	unsigned from, i;

	if (slab == &hs_unit_none)
		return false;
	c = class_of(slab);
	if (slab->used > c->capacity)
		return false;
	from = (unsigned)(slab->cur - slab->words);
	for (i = from + 1; i != from; i++) {
		if (i == c->nr_words) {
			i = 0;
			if (from == 0)
				break;
		}
		if (slab->words[i] != 0)
			break;
	}
	if (slab->words[i] == 0)
		return false;
	slab->cur = &slab->words[i];
	slab->cur_base = hs_slab_base(slab) + i * 64 * slab->size_bytes;
	return true;
}

/* The fullest of the first few with a sixteenth free, or four blocks where that
 * is more: each switch of slabs costs as much as ten blocks.  Else the one with
 * most.  Locks: heap->lock. */
static struct hs_unit *partial_pick(struct hs_theap *heap, unsigned class)
{
	unsigned capacity = hs_classes[class].capacity;
	unsigned enough =
		capacity - HS_MAX(capacity / 16, HS_MIN(capacity / 4, 4u));
	uint32_t number = heap->partial[class].head;
	struct hs_unit *best = NULL;
	unsigned tries;

	for (tries = 0; number != HS_NO_UNIT && tries < PARTIAL_TRIES;
	     tries++) {
		struct hs_unit *slab = hs_unit_at(number);

		if (best == NULL ||
		    (best->used > enough
			     ? slab->used < best->used
			     : slab->used <= enough && slab->used > best->used))
			best = slab;
		number = slab->next;
	}
	return best;
}

/* Give @class a slab to allocate from.  Locks: heap->lock held. */
static bool refill_locked(struct hs_theap *heap, unsigned class, unsigned flags)
{
	struct hs_unit *slab = heap->front.active[class];

	drain_stack(heap);
	if (hs_slab_next_word(slab))
		return true;
	if (slab != &hs_unit_none) {
		slab->used--;
		hs_slab_body(slab)->state = HS_SLAB_FULL;
		atomic_store_explicit(&slab->owner_fast, NULL,
				      memory_order_relaxed);
		set_active(heap, class, &hs_unit_none);
	}
	slab = partial_pick(heap, class);
	if (slab != NULL) {
		partial_del(heap, slab);
		if (heap->spare[class] == slab)
			heap->spare[class] = NULL;
	} else {
		slab = slab_create(heap, class, flags);
		if (slab == NULL)
			return false;
		if (hs_classes[class].nr_units == 1)
			atomic_store_explicit(&slab->owner_fast, heap,
					      memory_order_relaxed);
	}
	slab->used++;
	hs_slab_body(slab)->state = HS_SLAB_ACTIVE;
	set_active(heap, class, slab);
	if (*slab->cur == 0 && !hs_slab_next_word(slab))
		hs_log_fatal("heap corrupted: no free block in %p",
			     (void *)hs_slab_base(slab));
	return true;
}

void *hs_slab_alloc(struct hs_theap *heap, unsigned class, unsigned flags,
		    bool locked, bool *zeroed)
{
	void *block;

	*zeroed = false;
	for (;;) {
		struct hs_unit *slab = heap->front.active[class];
		bool ok;

		if (hs_slab_take_tracked(slab, &block, zeroed))
			return block;
		if (hs_slab_next_word(slab))
			continue;
		if (!locked)
			hs_lock_acquire(&heap->lock);
		ok = refill_locked(heap, class, flags);
		if (!locked)
			hs_lock_release(&heap->lock);
		if (!ok)
			return NULL;
	}
}

void hs_slab_emptied(struct hs_unit *slab)
{
	struct hs_theap *heap = hs_slab_body(slab)->owner;

	hs_lock_acquire(&heap->lock);
	settle_empty(heap, slab);
	hs_lock_release(&heap->lock);
}

void hs_slab_free_told(struct hs_unit *slab, unsigned index)
{
	_Atomic uint64_t *word = &slab->words[index / 64];

	if (!hs_slab_is_live(slab, index))
		hs_slab_double_free(slab, index);
	atomic_store_explicit(word, *word | (uint64_t)1 << index % 64,
			      memory_order_relaxed);
	if (--slab->used == 0)
		hs_slab_emptied(slab);
}

void hs_slab_free_local(struct hs_theap *self, struct hs_unit *slab,
			unsigned index)
{
	_Atomic uint64_t *word = &slab->words[index / 64];

	if (!hs_slab_is_live(slab, index))
		hs_slab_double_free(slab, index);
	atomic_store_explicit(word, *word | (uint64_t)1 << index % 64,
			      memory_order_relaxed);
	slab->used--;
	if (hs_slab_body(slab)->state == HS_SLAB_FULL) {
		hs_lock_acquire(&self->lock);
		partial_add(self, slab);
		hs_lock_release(&self->lock);
	}
	if (slab->used == 0)
		hs_slab_emptied(slab);
}

static void stack_push(struct hs_theap *heap, struct hs_unit *slab)
{
	struct hs_slab_body *body = hs_slab_body(slab);
	struct hs_unit *head = heap->remote_head;

	do
		atomic_store_explicit(&body->stack_next, head,
				      memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&heap->remote_head, &head, slab));
}

void hs_slab_free_remote(struct hs_unit *slab, unsigned index)
{
	struct hs_slab_body *body = hs_slab_body(slab);
	struct hs_theap *heap = body->owner;
	uint64_t bit = (uint64_t)1 << index % 64;
	uint64_t tail = tail_bit(class_of(slab), index / 64), old;
	uint32_t generation = hs_fork_generation;

	/* Looked at before: once the remote bit is set the owner may move it
	 * here at any time, and even release the slab. */
	if (slab->words[index / 64] & bit)
		hs_slab_double_free(slab, index);
	old = atomic_fetch_or(&slab->remote[index / 64], bit);
	if (old & bit)
		hs_slab_double_free(slab, index);
	if ((old & ~tail) != 0)
		return;
	/* Pairs with the store in merge(). */
	atomic_store(&slab->limit, 0);
	/* Pairs with the exchanges in drain_stack() and merge(). */
	if (atomic_exchange(&body->pending, generation) != generation)
		stack_push(heap, slab);
	atomic_fetch_add(&body->notified, 1);
}

bool hs_slab_drain_locked(struct hs_theap *heap)
{
	bool any = false;
	unsigned cls;

	drain_stack(heap);
	for (cls = 0; cls < HS_NR_SMALL; cls++) {
		struct hs_unit *slab = heap->front.active[cls];

		if (slab != &hs_unit_none && slab->used == 1) {
			slab->used = 0;
			set_active(heap, cls, &hs_unit_none);
			partial_add(heap, slab);
			settle_empty(heap, slab);
			any = true;
		}
		slab = heap->spare[cls];
		if (slab == NULL || !is_quiet(hs_slab_body(slab)))
			continue;
		heap->spare[cls] = NULL;
		partial_del(heap, slab);
		slab_release(heap, slab);
		any = true;
	}
	return any;
}

/* Blocks above a page have all their bits in one word. */
static size_t purge_slab(const struct hs_unit *slab)
{
	uint64_t left = slab->words[0], size_bytes = slab->size_bytes;
	size_t sum_bytes = 0;
	uintptr_t base = hs_slab_base(slab);

	while (left != 0) {
		unsigned from = (unsigned)__builtin_ctzll(left);
		uint64_t rest = ~(left >> from);
		unsigned to = from + (unsigned)__builtin_ctzll(rest);

		sum_bytes += hs_purge_pages(base + from * size_bytes,
					    base + to * size_bytes);
		left &= ~(uint64_t)0 << to;
	}
	return sum_bytes;
}

size_t hs_slab_purge_locked(struct hs_theap *heap)
{
	size_t sum_bytes = 0;
	uint32_t i, top = hs_span_top();

	for (i = 0; i < top; i++) {
		struct hs_unit *slab = hs_unit_at(i);

		if (slab->kind == HS_UNIT_SLAB &&
		    slab->class >= HS_FIRST_FRESH &&
		    hs_slab_body(slab)->owner == heap)
			sum_bytes += purge_slab(slab);
	}
	return sum_bytes;
}

/* What a torn descriptor says of a slab, from its body. */
static void recover_slab(struct hs_theap *heap, struct hs_unit *slab)
{
	const struct hs_class *c = class_of(slab);
	struct hs_slab_body *body = hs_slab_body(slab);
	unsigned i, nr_free = 0;

	for (i = 0; i < c->nr_words; i++)
		nr_free += hs_popcount(slab->words[i]);
	slab->used = (uint16_t)(c->capacity - nr_free +
				(body->state == HS_SLAB_ACTIVE));
	slab->cur = slab->words;
	slab->cur_base = hs_slab_base(slab);
	if (body->state == HS_SLAB_FULL && nr_free != 0)
		partial_add(heap, slab);
	merge(heap, slab);
}

void hs_slab_recover_locked(struct hs_theap *heap)
{
	uint32_t i, top = hs_span_top();

	for (i = 0; i < top; i++) {
		struct hs_unit *slab = hs_unit_at(i);

		if (slab->kind == HS_UNIT_SLAB &&
		    hs_slab_body(slab)->owner == heap)
			recover_slab(heap, slab);
	}
	heap->stale = false;
	heap->unmerged = false;
}

unsigned hs_slab_nr_live(const struct hs_unit *slab)
{
	const struct hs_class *c = class_of(slab);
	unsigned i, nr_free = 0;

	for (i = 0; i < c->nr_words; i++)
		nr_free += hs_popcount(slab->words[i] |
				       (slab->remote[i] & ~tail_bit(c, i)));
	return c->capacity - nr_free;
}

int hs_slab_check(const struct hs_unit *slab)
{
	const struct hs_class *c = class_of(slab);
	struct hs_slab_body *body = hs_slab_body(slab);
	unsigned i, nr_free = 0, nr_unseen = 0;
	bool looked_for = slab->limit == 0;

	for (i = 0; i < c->nr_words; i++) {
		uint64_t word = slab->words[i];

		if (word & slab->remote[i])
			return 3;
		if ((slab->remote[i] & tail_bit(c, i)) != tail_bit(c, i) ||
		    (word & ~block_bits(c, i)))
			return 3;
		nr_free += hs_popcount(word);
		if (slab->remote[i] != tail_bit(c, i) && !looked_for)
			nr_unseen++;
	}
	/* The fork may have come between a free and its thread's wait for the
	 * lock; recover_slab() does the rest before the heap is used. */
	if (((struct hs_theap *)body->owner)->stale)
		return 0;
	if (nr_unseen != 0 && !((struct hs_theap *)body->owner)->unmerged)
		return 4;
	if (slab->used !=
	    c->capacity - nr_free + (body->state == HS_SLAB_ACTIVE))
		return 1;
	return body->state == HS_SLAB_FULL && nr_free != 0 ? 2 : 0;
}
