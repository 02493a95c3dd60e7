/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c - futex locks with an owner, and their take-over after a fork that
 * nobody announced.
 */
#include "lock.h"

#include <linux/mman.h>
#include <sys/mman.h>
#include <time.h>

#include "log.h"
#include "sys.h"

#define LOCK_HELD UINT64_C(1)
#define LOCK_WAITERS UINT64_C(2)
#define LOCK_FLAGS (LOCK_HELD | LOCK_WAITERS)
#define GENERATION_SHIFT 56
#define OWNER_MASK ((UINT64_C(1) << GENERATION_SHIFT) - 64)

#define SPINS 128
/* A waiter looks around this often: for the sentinel, and in case a wake-up
 * was lost. */
#define WAIT_NS 20000000L
#define PREFORK_WAITS 5
#define WAIT_FOR_EVER UINT_MAX

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the futex is the low half of the word");

/* Aligned so that its address leaves room for the flags. */
static HS_TLS struct {
	char address;
	unsigned nr_held;
#ifdef HS_DEBUG_LOCKS
	unsigned char held[HS_RANK_LEAF + 1];
#endif
} self __attribute__((aligned(64)));

/*
 * The generation: a page of its own that a fork child reads as zero.  Without
 * the page it is the constant below, and no orphan is seen.
 */
static _Atomic uint32_t constant_generation = 1;
static _Atomic uint32_t *_Atomic sentinel = &constant_generation;
/* The last generation in use in this line of processes; a fork copies it. */
static _Atomic uint32_t last_generation = 1;
static _Atomic unsigned unseen_forks;

uintptr_t hs_lock_self(void)
{
	return (uintptr_t)&self;
}

/* 1 .. 255, so that a wiped page is none of them. */
static uint32_t next_generation(void)
{
	uint32_t last =
		atomic_load_explicit(&last_generation, memory_order_relaxed);

	return last % 255 + 1;
}

/* Of several threads that find the page wiped, one stamps it. */
static HS_COLD uint32_t renew_generation(_Atomic uint32_t *page, bool seen)
{
	uint32_t next = next_generation();
	uint32_t found = 0;

	if (!atomic_compare_exchange_strong(page, &found, next))
		return found;
	atomic_store_explicit(&last_generation, next, memory_order_relaxed);
	if (!seen)
		atomic_fetch_add_explicit(&unseen_forks, 1,
					  memory_order_relaxed);
	return next;
}

static uint64_t generation(void)
{
	_Atomic uint32_t *page =
		atomic_load_explicit(&sentinel, memory_order_relaxed);
	uint32_t value = atomic_load_explicit(page, memory_order_relaxed);

	if (hs_unlikely(value == 0))
		value = renew_generation(page, false);
	return (uint64_t)value << GENERATION_SHIFT;
}

uint32_t hs_lock_generation(void)
{
	return (uint32_t)(generation() >> GENERATION_SHIFT);
}

/* What the word of a lock held by this thread is, but for the waiters. */
static uint64_t my_word(void)
{
	return generation() | hs_lock_self() | LOCK_HELD;
}

#ifdef HS_DEBUG_LOCKS
static void check_order(const struct hs_lock *lock)
{
	unsigned rank;

	for (rank = lock->rank; rank <= HS_RANK_LEAF; rank++) {
		if (!self.held[rank])
			continue;
		if (rank == lock->rank && rank == HS_RANK_HEAP)
			continue;
		hs_log_fatal("lock of rank %u taken under one of rank %u",
			     lock->rank, rank);
	}
}

static void note_acquired(const struct hs_lock *lock)
{
	self.held[lock->rank]++;
}

static void note_released(const struct hs_lock *lock)
{
	if (self.held[lock->rank]-- == 0)
		hs_log_fatal("lock of rank %u released, not held", lock->rank);
}

static void check_mine(const struct hs_lock *lock)
{
	if (!hs_lock_is_mine(lock))
		hs_log_fatal("lock of rank %u released by another thread",
			     lock->rank);
}
#else
static void check_order(const struct hs_lock *lock HS_UNUSED)
{
}
static void note_acquired(const struct hs_lock *lock HS_UNUSED)
{
}
static void note_released(const struct hs_lock *lock HS_UNUSED)
{
}
static void check_mine(const struct hs_lock *lock HS_UNUSED)
{
}
#endif

void hs_lock_init(struct hs_lock *lock, enum hs_lock_rank rank)
{
	atomic_init(&lock->word, 0);
	lock->rank = rank;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

/* Free, or held by a thread of another process of this line.  Pairs with the
 * release in release_word(). */
static bool try_word(struct hs_lock *lock, uint64_t found, uint64_t mine)
{
	if (found && found >> GENERATION_SHIFT == mine >> GENERATION_SHIFT)
		return false;
	return atomic_compare_exchange_strong_explicit(&lock->word, &found,
						       mine,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static void wait_for_change(struct hs_lock *lock, uint64_t found)
{
	const struct timespec timeout = { .tv_nsec = WAIT_NS };
	int ret;

	if (!(found & LOCK_WAITERS)) {
		uint64_t marked = found | LOCK_WAITERS;

		if (!atomic_compare_exchange_strong_explicit(
			    &lock->word, &found, marked, memory_order_relaxed,
			    memory_order_relaxed))
			return;
		found = marked;
	}
	ret = hs_sys.futex_wait((_Atomic uint32_t *)&lock->word,
				(uint32_t)found, &timeout);
	/* A kernel or a filter without futexes leaves turns to take. */
	if (ret < 0 && ret != -EAGAIN && ret != -EINTR && ret != -ETIMEDOUT)
		hs_sys.sched_yield();
}

/* False: not had after @waits waits. */
static HS_NOINLINE bool acquire_slow(struct hs_lock *lock, unsigned waits)
{
	unsigned spins;

	for (spins = 0; spins < SPINS; spins++) {
		uint64_t found =
			atomic_load_explicit(&lock->word, memory_order_relaxed);

		if (found & LOCK_WAITERS)
			break;
		if (try_word(lock, found, my_word()))
			return true;
		relax();
	}
	for (;;) {
		uint64_t found =
			atomic_load_explicit(&lock->word, memory_order_relaxed);

		/* With waiters: whether there are others is not known. */
		if (try_word(lock, found, my_word() | LOCK_WAITERS))
			return true;
		if (waits == 0)
			return false;
		if (waits != WAIT_FOR_EVER)
			waits--;
		if (found)
			wait_for_change(lock, found);
	}
}

bool hs_lock_try_acquire(struct hs_lock *lock)
{
	uint64_t found =
		atomic_load_explicit(&lock->word, memory_order_relaxed);

	self.nr_held++;
	if (!try_word(lock, found, my_word())) {
		self.nr_held--;
		return false;
	}
	note_acquired(lock);
	return true;
}

/* Counted before it is held, and until it is not, so that a handler that
 * comes between does not take this thread for free. */
static bool acquire(struct hs_lock *lock, unsigned waits)
{
	self.nr_held++;
	atomic_signal_fence(memory_order_seq_cst);
	if (hs_unlikely(!try_word(lock, 0, my_word())) &&
	    !acquire_slow(lock, waits)) {
		self.nr_held--;
		return false;
	}
	note_acquired(lock);
	return true;
}

void hs_lock_acquire(struct hs_lock *lock)
{
	check_order(lock);
	acquire(lock, WAIT_FOR_EVER);
}

/* Pairs with the acquire in try_word(). */
static void release_word(struct hs_lock *lock)
{
	uint64_t old =
		atomic_exchange_explicit(&lock->word, 0, memory_order_release);

	if (hs_unlikely(old & LOCK_WAITERS))
		hs_sys.futex_wake((_Atomic uint32_t *)&lock->word, 1);
}

void hs_lock_release(struct hs_lock *lock)
{
	check_mine(lock);
	note_released(lock);
	release_word(lock);
	atomic_signal_fence(memory_order_seq_cst);
	self.nr_held--;
}

bool hs_lock_holds_any(void)
{
	return self.nr_held != 0;
}

bool hs_lock_is_mine(const struct hs_lock *lock)
{
	uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	return (word & OWNER_MASK) == hs_lock_self();
}

/* Without the check of the order: a handler that forks may have interrupted
 * the holder of any rank. */
bool hs_lock_prefork(struct hs_lock *lock)
{
	return !hs_lock_is_mine(lock) && acquire(lock, WAIT_FOR_EVER);
}

bool hs_lock_prefork_try(struct hs_lock *lock, bool *taken)
{
	*taken = false;
	if (hs_lock_is_mine(lock))
		return true;
	*taken = acquire(lock, PREFORK_WAITS);
	return *taken;
}

void hs_lock_postfork_parent(struct hs_lock *lock, bool taken)
{
	if (taken)
		hs_lock_release(lock);
}

void hs_lock_postfork_child(struct hs_lock *lock, bool taken)
{
	if (taken) {
		note_released(lock);
		atomic_store_explicit(&lock->word, 0, memory_order_release);
		self.nr_held--;
		return;
	}
	/* An interrupted holder goes on here: its lock is of this process. */
	hs_lock_rearm_sentinel();
	atomic_store_explicit(&lock->word,
			      hs_lock_is_mine(lock) ? my_word() : 0,
			      memory_order_relaxed);
}

int hs_lock_init_sentinel(void)
{
	_Atomic uint32_t *page;
	size_t size_bytes = hs_sys_page_size();
	int ret;

	page = hs_sys.mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hs_sys_is_err(page))
		return hs_sys_err(page);
	ret = hs_sys.madvise((void *)page, size_bytes, MADV_WIPEONFORK);
	if (ret != 0) {
		hs_sys.munmap((void *)page, size_bytes);
		return ret;
	}
	atomic_store_explicit(page,
			      atomic_load_explicit(&last_generation,
						   memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(&sentinel, page, memory_order_release);
	return 0;
}

void hs_lock_rearm_sentinel(void)
{
	_Atomic uint32_t *page =
		atomic_load_explicit(&sentinel, memory_order_relaxed);

	if (atomic_load_explicit(page, memory_order_relaxed) == 0)
		renew_generation(page, true);
}

unsigned hs_lock_unseen_forks(void)
{
	return atomic_load_explicit(&unseen_forks, memory_order_relaxed);
}
