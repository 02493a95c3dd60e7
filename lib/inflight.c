/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inflight.h"

#include <fcntl.h>
#include <time.h>

#include "convert.h"
#include "cow.h"
#include "heap.h"
#include "lock.h"
#include "log.h"
#include "meta.h"
#include "region_internal.h"
#include "rescue.h"
#include "sys.h"

#define RECORD_RANGES 64
#define RECORDS_MAX 8 /* of one thread */
#define GATE_WAIT_NS 20000000L
#define HOLD_WAIT_NS 50000L
#define HOLD_TRIES 32
#define HOLD_DISK_WAIT_NS 1000000L
#define HOLD_DISK_TRIES 3000

/* Invariant: @call is NULL in ranges that are not published. */
struct record {
	struct record *next;
	_Atomic uintptr_t owner; /* hs_lock_self(), 0: free for re-use */
	_Atomic int tid;
	_Atomic unsigned nr;
	struct record *outer; /* the same thread's, full when this began */
	struct {
		const void *addr;
		size_t len;
		const struct hs_inflight *call;
		_Atomic bool inside; /* prepared: the kernel may write now */
	} range[RECORD_RANGES];
};

static _Atomic(struct record *) records;
static HS_TLS struct record *mine; /* the innermost */

/* Futex: hs_lock_generation() while a fork is under way, else 0.  A child of a
 * fork that was not seen may inherit it shut; the generation tells. */
static _Atomic uint32_t gate;
static _Atomic uintptr_t gate_owner;

/*
 * A slot that is being converted, and hs_lock_generation() while it is: calls
 * that are about to write there wait, and those that do are waited for.
 * Without this a read is short, and a datagram lost, in the moment in which
 * the slot cannot be written, and what a disk still has to write by itself
 * (O_DIRECT) goes to a page that is no longer there.  Who waits for a disk is
 * waited for until that has answered, other calls a few milliseconds: they may
 * wait for data for ever.  A call sets `inside` and then looks here; the
 * conversion sets this and then looks for `inside`.
 */
static _Atomic uintptr_t held;
static _Atomic uint32_t held_generation;

static void hold_calls(const void *slot);

static struct record *take_free(void)
{
	struct record *r = atomic_load(&records);

	for (; r; r = r->next) {
		uintptr_t none = 0;

		if (atomic_compare_exchange_strong(&r->owner, &none,
						   hs_lock_self()))
			return r;
	}
	return NULL;
}

/* A handler that interrupted the metadata's lock must not wait for it. */
static struct record *make_record(void)
{
	struct record *r;

	if (hs_lock_is_mine(&hs_meta_lock))
		return NULL;
	r = hs_meta_alloc(sizeof(*r), 64);
	if (!r)
		return NULL;
	hs_convert_hold_hook = hold_calls;
	atomic_store(&r->owner, hs_lock_self());
	r->next = atomic_load(&records);
	while (!atomic_compare_exchange_weak(&records, &r->next, r))
		;
	return r;
}

/* Inside those that the thread has. */
static HS_COLD struct record *get_record(void)
{
	struct record *r = take_free();

	if (!r)
		r = make_record();
	if (!r)
		return NULL;
	atomic_store(&r->tid, hs_sys.gettid());
	r->outer = mine;
	mine = r;
	if (hs_heap_thread_attach_hook)
		hs_heap_thread_attach_hook();
	return r;
}

static bool is_shut(void)
{
	uint32_t shut = atomic_load(&gate);

	return shut != 0 && shut == hs_lock_generation();
}

/* With a timeout: a wake-up that the kernel refused must not be the end. */
static void wait_at_gate(void)
{
	const struct timespec timeout = { .tv_nsec = GATE_WAIT_NS };

	while (is_shut()) {
		int ret = hs_sys.futex_wait(&gate, hs_lock_generation(),
					    &timeout);

		if (ret < 0 && ret != -EAGAIN && ret != -EINTR &&
		    ret != -ETIMEDOUT)
			hs_sys.sched_yield();
	}
}

static void truncate(struct record *r, unsigned nr)
{
	unsigned i, old = atomic_load_explicit(&r->nr, memory_order_relaxed);

	for (i = nr; i < old; i++) {
		r->range[i].call = NULL;
		atomic_store_explicit(&r->range[i].inside, false,
				      memory_order_release);
	}
	atomic_store_explicit(&r->nr, nr, memory_order_release);
}

static void give_back(struct record *r)
{
	truncate(r, 0);
	atomic_store(&r->owner, 0);
}

static void leave_innermost(void)
{
	struct record *r = mine;

	mine = r->outer; /* first, for a handler that comes between */
	give_back(r);
}

static bool overlap(const struct hs_inflight *a, const struct hs_inflight *b)
{
	return a != NULL &&
	       (uintptr_t)a - (uintptr_t)b + sizeof(*a) - 1 <
		       2 * sizeof(*a) - 1;
}

/* Calls that were left by longjmp pile up, and lay where @f lies now. */
static void drop_left(struct record *r, const struct hs_inflight *f)
{
	unsigned nr = atomic_load_explicit(&r->nr, memory_order_relaxed);
	unsigned left = nr;

	while (left > 0 && overlap(r->range[left - 1].call, f))
		left--;
	if (hs_unlikely(left < nr))
		truncate(r, left);
}

/* The record for @f's ranges, where those of the calls stay that it
 * interrupts. */
static struct record *with_room(struct record *r, const struct hs_inflight *f)
{
	const struct record *outer = r;
	struct record *inner = NULL;
	unsigned depth = 0;

	drop_left(r, f);
	if (hs_likely(r->nr + f->nr <= RECORD_RANGES))
		return r;
	while ((outer = outer->outer) != NULL)
		depth++;
	if (depth + 1 < RECORDS_MAX)
		inner = get_record();
	if (inner == NULL)
		truncate(r, 0);
	return inner ? inner : r;
}

/* The places are claimed before they are filled: a handler that comes between
 * goes on behind them. */
static void publish(struct record *r, struct hs_inflight *f)
{
	unsigned saved = atomic_load_explicit(&r->nr, memory_order_relaxed);

	f->record = r;
	f->saved = saved;
	atomic_store(&r->nr, saved + f->nr);
	atomic_signal_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < f->nr; i++) {
		r->range[saved + i].addr = f->range[i].addr;
		r->range[saved + i].len = f->range[i].len;
		r->range[saved + i].call = f;
	}
	atomic_thread_fence(memory_order_seq_cst);
}

/* --- calls and conversions ----------------------------------------------- */

static bool touches(uintptr_t slot, const void *addr, size_t len)
{
	uintptr_t from = (uintptr_t)addr;

	return from < slot + hs_region_slot_bytes() && slot < from + len;
}

static bool is_held(const struct hs_inflight *f)
{
	uint32_t generation = atomic_load(&held_generation);
	uintptr_t slot = atomic_load(&held);

	if (hs_likely(generation == 0) || generation != hs_lock_generation())
		return false;
	for (unsigned i = 0; i < f->nr; i++)
		if (touches(slot, f->range[i].addr, f->range[i].len))
			return true;
	return false;
}

static bool is_written(const struct record *r, uintptr_t slot)
{
	unsigned nr = atomic_load(&r->nr);

	for (unsigned i = 0; i < nr && i < RECORD_RANGES; i++)
		if (atomic_load(&r->range[i].inside) &&
		    touches(slot, r->range[i].addr, r->range[i].len))
			return true;
	return false;
}

/* In the kernel's uninterruptible sleep: "TID (NAME) D ...". */
static bool waits_for_disk(int tid)
{
	char text[256];
	ssize_t n;
	int fd;

	hs_log_format(text, sizeof(text), "/proc/self/task/%d/stat", tid);
	fd = hs_sys.open(text, O_RDONLY, 0);
	if (fd < 0)
		return false;
	n = hs_sys.read(fd, text, sizeof(text));
	hs_sys.close(fd);
	/* A name may have any character; what follows it has no bracket. */
	while (n > 0 && text[n - 1] != ')')
		n--;
	return n > 0 && (size_t)n + 1 < sizeof(text) && text[n + 1] == 'D';
}

static bool others_write(uintptr_t slot, bool disk)
{
	const struct record *r = atomic_load(&records);
	uintptr_t owner;

	for (; r; r = r->next) {
		owner = atomic_load(&r->owner);
		if (owner != 0 && owner != hs_lock_self() &&
		    is_written(r, slot) &&
		    (!disk || waits_for_disk(atomic_load(&r->tid))))
			return true;
	}
	return false;
}

static void wait_for_others(uintptr_t slot, bool disk)
{
	static _Atomic uint32_t never_woken;
	const struct timespec timeout = {
		.tv_nsec = disk ? HOLD_DISK_WAIT_NS : HOLD_WAIT_NS
	};
	int tries = disk ? HOLD_DISK_TRIES : HOLD_TRIES;

	while (tries-- > 0 && others_write(slot, disk))
		hs_sys.futex_wait(&never_woken, 0, &timeout);
}

/* For hs_convert_hold_hook; pre: hs_rescue_lock is held. */
static void hold_calls(const void *slot)
{
	if (!slot) {
		atomic_store(&held_generation, 0);
		return;
	}
	atomic_store(&held, (uintptr_t)slot);
	atomic_store(&held_generation, hs_lock_generation());
	atomic_thread_fence(memory_order_seq_cst);
	wait_for_others((uintptr_t)slot, false);
	/* A filter may not know these calls. */
	if (!hs_region.restricted)
		wait_for_others((uintptr_t)slot, true);
}

static void enter(struct record *r, const struct hs_inflight *f)
{
	for (unsigned i = 0; i < f->nr; i++)
		atomic_store_explicit(&r->range[f->saved + i].inside, true,
				      memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

/* Published, prepared and inside; false: not without waiting. */
static bool try_begin(struct record *r, struct hs_inflight *f)
{
	publish(r, f);
	if (is_shut() && atomic_load(&gate_owner) != hs_lock_self()) {
		truncate(r, f->saved);
		wait_at_gate();
		return false;
	}
	for (unsigned i = 0; i < f->nr; i++)
		hs_rescue_prepare(f->range[i].addr, f->range[i].len);
	enter(r, f);
	if (hs_likely(!is_held(f)))
		return true;
	truncate(r, f->saved);
	hs_rescue_converted(true); /* when the conversion is over */
	return false;
}

void hs_inflight_begin(struct hs_inflight *f)
{
	struct record *r = mine ? mine : get_record();

	f->record = NULL;
	while (r) {
		r = with_room(r, f);
		if (try_begin(r, f))
			return;
	}
	for (unsigned i = 0; i < f->nr; i++)
		hs_rescue_prepare(f->range[i].addr, f->range[i].len);
}

/* What is inside belongs to calls that were left. */
void hs_inflight_end(struct hs_inflight *f)
{
	if (!mine || !f->record)
		return;
	while (mine != f->record && mine->outer)
		leave_innermost();
	if (mine != f->record)
		return;
	if (f->saved == 0 && mine->outer)
		leave_innermost();
	else
		truncate(mine, f->saved);
}

void hs_inflight_thread_exit(void)
{
	while (mine)
		leave_innermost();
}

void hs_inflight_shut(void)
{
	atomic_store(&gate_owner, hs_lock_self());
	atomic_store(&gate, hs_lock_generation());
	atomic_thread_fence(memory_order_seq_cst);
}

void hs_inflight_open(void)
{
	atomic_store(&gate, 0);
	atomic_store(&gate_owner, 0);
	hs_sys.futex_wake(&gate, INT_MAX);
}

void hs_inflight_visit(void (*visit)(const void *addr, size_t len))
{
	struct record *r = atomic_load(&records);

	for (; r; r = r->next) {
		unsigned nr = atomic_load(&r->nr);

		for (unsigned i = 0; i < nr && i < RECORD_RANGES; i++)
			visit(r->range[i].addr, r->range[i].len);
	}
}

void hs_inflight_postfork_child(void)
{
	struct record *r = atomic_load(&records);

	for (; r; r = r->next)
		if (atomic_load(&r->owner) != hs_lock_self())
			give_back(r);
		else
			atomic_store(&r->tid, hs_sys.gettid());
}
