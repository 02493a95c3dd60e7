// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads that free each other's blocks, that end with blocks alive, and forks
 * while others allocate.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap_model.h"

#include "fork.h"
#include "heap_span.h"
#include "region.h"

#define NR_THREADS 4
#define NR_MAILBOXES 256

static _Atomic(struct block *) mailboxes[NR_MAILBOXES];
static _Atomic bool stop;

static struct block *block_new(uint64_t *state, size_t max)
{
	struct block *b = hs_heap_malloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->len = rnd(state) % 8 ? rnd(state) % 300 : rnd(state) % max;
	b->p = hs_heap_malloc(b->len);
	if (b->p != NULL)
		block_fill(b, (unsigned char)rnd(state));
	return b;
}

static bool block_end(struct block *b)
{
	bool whole;

	if (b == NULL)
		return true;
	whole = b->p != NULL && block_is_whole(b, b->len);
	hs_heap_free(b->p);
	hs_heap_free(b);
	return whole;
}

/* Swap a block of one's own for whatever is in a mailbox, and free that. */
static void *trader(void *arg)
{
	uint64_t state = (uintptr_t)arg * 77 + 1;
	uintptr_t bad = 0;
	unsigned i;

	for (i = 0; i < 50000; i++) {
		struct block *b = block_new(&state, 90000);

		b = atomic_exchange(&mailboxes[rnd(&state) % NR_MAILBOXES], b);
		bad += !block_end(b);
	}
	hs_heap_thread_exit();
	return (void *)bad;
}

static void empty_mailboxes(void)
{
	unsigned i;

	for (i = 0; i < NR_MAILBOXES; i++)
		ck_assert(block_end(atomic_exchange(&mailboxes[i], NULL)));
}

static void assert_all_free(void)
{
	struct hs_heap_usage usage;

	ck_assert_int_eq(hs_heap_check(), 0);
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.allocated_bytes, 0);
	hs_heap_trim(0);
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.mapped_bytes, 0);
	ck_assert_int_eq(hs_heap_check(), 0);
}

START_TEST(trade)
{
	pthread_t threads[NR_THREADS];
	uintptr_t i;
	void *bad;

	heap_test_init();
	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, trader,
						(void *)i),
				 0);
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	empty_mailboxes();
	assert_all_free();
}
END_TEST

static void *leaver(void *arg)
{
	void **kept = arg;
	int i;

	for (i = 0; i < 20; i++)
		kept[i] = hs_heap_malloc(100 + (size_t)i);
	for (i = 0; i < 10; i++)
		hs_heap_free(kept[i]);
	hs_heap_thread_exit();
	/* Later destructors: not a new heap of their own. */
	hs_heap_free(hs_heap_malloc(50));
	return NULL;
}

/* Threads that come and go leave nothing behind. */
START_TEST(thread_exit)
{
	struct hs_heap_usage before, after;
	void *kept[20];
	pthread_t thread;
	int i, j;

	heap_test_init();
	for (i = 0; i < 3000; i++) {
		pthread_create(&thread, NULL, leaver, kept);
		pthread_join(thread, NULL);
		for (j = 10; j < 20; j++)
			hs_heap_free(kept[j]);
		if (i == 100)
			hs_heap_usage(&before);
	}
	hs_heap_usage(&after);
	ck_assert_uint_le(after.mapped_bytes, before.mapped_bytes);
	ck_assert_uint_le(after.metadata_bytes, before.metadata_bytes);
	assert_all_free();
}
END_TEST

static void *few_blocks(void *arg)
{
	pthread_barrier_t *barrier = arg;
	void *blocks[60];
	int i;

	for (i = 0; i < 60; i++)
		blocks[i] = hs_heap_malloc((size_t)i * 50 + 1);
	pthread_barrier_wait(barrier);
	for (i = 0; i < 60; i++)
		hs_heap_free(blocks[i]);
	hs_heap_thread_exit();
	return NULL;
}

/* Many threads with a few blocks each do not take a slab each of every size. */
START_TEST(threads_share_slabs)
{
	pthread_barrier_t barrier;
	struct hs_heap_usage usage;
	pthread_t threads[50];
	int i;

	heap_test_init();
	pthread_barrier_init(&barrier, NULL, 51);
	for (i = 0; i < 50; i++)
		pthread_create(&threads[i], NULL, few_blocks, &barrier);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 50; i++)
		pthread_join(threads[i], NULL);
	hs_heap_usage(&usage);
	ck_assert_uint_le(usage.mapped_bytes, 16 * HS_MIB);
	assert_all_free();
}
END_TEST

/* A block made and freed by threads without a heap of their own. */
static void *stranger(void *arg)
{
	hs_heap_free(arg);
	return NULL;
}

START_TEST(free_without_a_heap)
{
	pthread_t thread;
	int i;

	heap_test_init();
	for (i = 0; i < 1000; i++) {
		void *p = hs_heap_malloc(i % 2 ? 24 : 3000);

		pthread_create(&thread, NULL, stranger, p);
		pthread_join(thread, NULL);
	}
	assert_all_free();
}
END_TEST

/*
 * No fork before the threads run: one that has just been made is in libc's and
 * the sanitizer's allocator.  ASan of gcc 12 does not hold its allocator's
 * locks over a fork, so a child of that moment waited for ever in its first
 * pthread_create(), with no frame of this library on any stack (3 of 60 runs
 * on a busy machine): AsanThread::Init, pthread_getattr_np, free,
 * QuarantineChunk, SizeClassAllocator64::GetFromAllocator.
 */
static pthread_barrier_t begun;

static void *churner(void *arg)
{
	uint64_t state = (uintptr_t)arg + 5;
	uintptr_t bad = 0;

	pthread_barrier_wait(&begun);
	while (!stop) {
		struct block *b = block_new(&state, 9000);

		b = atomic_exchange(&mailboxes[rnd(&state) % NR_MAILBOXES], b);
		bad += !block_end(b);
	}
	hs_heap_thread_exit();
	return (void *)bad;
}

/* In a child that was forked while others allocated: what the forking thread
 * had is whole, and the heap works.  0, or which check failed. */
static int child_works(struct block *mine, unsigned nr, uint64_t state)
{
	unsigned i;

	for (i = 0; i < nr; i++) {
		if (!block_is_whole(&mine[i], mine[i].len))
			return 1;
		hs_heap_free(mine[i].p);
	}
	for (i = 0; i < 1000; i++) {
		struct block *b = block_new(&state, 90000);

		b = atomic_exchange(&mailboxes[rnd(&state) % 8], b);
		if (i > 100 && !block_end(b))
			return 2;
	}
	hs_heap_trim(0);
	if (hs_heap_check() != 0)
		return 3;
	return hs_region_check() != 0 ? 4 : 0;
}

static void *child_thread(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	struct block *b;
	unsigned i;

	for (i = 0; i < 500; i++) {
		b = block_new(&state, 9000);
		if (!block_end(b))
			return (void *)1;
	}
	hs_heap_thread_exit();
	return NULL;
}

/* Threads of the child adopt the heaps of those that are gone. */
static int child_threads_work(void)
{
#ifdef __SANITIZE_THREAD__
	return 0; /* it loses count of the threads of such a child */
#endif
	pthread_t threads[NR_THREADS + 1];
	void *bad = NULL, *any = NULL;
	int broken;
	uintptr_t i;

	for (i = 0; i <= NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, child_thread,
				   (void *)(i + 1)))
			return 5;
	for (i = 0; i <= NR_THREADS; i++) {
		pthread_join(threads[i], &bad);
		any = bad ? bad : any;
	}
	if (any != NULL)
		return 6;
	broken = hs_heap_check();
	return broken ? 70 + broken : 0;
}

static int fork_once(struct block *mine, unsigned nr, uint64_t state)
{
	int status, ret;
	unsigned i;
	pid_t pid;

	hs_fork_prepare();
	pid = fork();
	if (pid == 0) {
		hs_fork_child();
		/* What the others had is torn, not ours to free. */
		for (i = 0; i < NR_MAILBOXES; i++)
			mailboxes[i] = NULL;
		/* Torn heaps are adopted, or emptied first. */
		ret = state % 2 ? child_threads_work() : 0;
		ret = ret ? ret : child_works(mine, nr, state);
		_exit(ret ? ret : child_threads_work());
	}
	hs_fork_parent();
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

START_TEST(fork_while_others_allocate)
{
	pthread_t threads[NR_THREADS];
	struct block mine[200];
	uint64_t state = 11;
	uintptr_t i, round;
	void *bad;

	heap_test_init();
	pthread_barrier_init(&begun, NULL, NR_THREADS + 1);
	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&threads[i], NULL, churner, (void *)i);
	pthread_barrier_wait(&begun);
	for (round = 0; round < 30; round++) {
		for (i = 0; i < 200; i++) {
			mine[i].len = rnd(&state) % 5000;
			mine[i].p = hs_heap_malloc(mine[i].len);
			block_fill(&mine[i], (unsigned char)i);
		}
		ck_assert_int_eq(fork_once(mine, 200, state), 0);
		for (i = 0; i < 200; i++) {
			ck_assert(block_is_whole(&mine[i], mine[i].len));
			hs_heap_free(mine[i].p);
		}
	}
	stop = true;
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	empty_mailboxes();
	assert_all_free();
}
END_TEST

static void free_by_stranger(void *p)
{
	pthread_t thread;

	pthread_create(&thread, NULL, stranger, p);
	pthread_join(thread, NULL);
}

/* Told of one free before the fork, and of the others after it. */
static int child_is_told(struct block *mine, unsigned nr)
{
	struct hs_heap_usage usage;
	unsigned i;

	hs_heap_trim(0);
	for (i = 1; i < nr; i++)
		free_by_stranger(mine[i].p);
	hs_heap_trim(0);
	hs_heap_usage(&usage);
	if (usage.mapped_bytes != 0)
		return 30;
	return hs_heap_check() ? 31 : 0;
}

#define NR_SLOTS 64

static bool slot_was_used[NR_SLOTS];

static bool is_new_slot(const void *p)
{
	size_t slot = ((uintptr_t)p - hs_arena.base) >> hs_arena.slot_shift;

	return slot < NR_SLOTS && !slot_was_used[slot];
}

/* A child's first blocks are not in slots that it shares; what it inherited
 * can be freed all the same.  0, or which check failed. */
static int young_child(struct block *mine, unsigned nr)
{
	unsigned i;
	char *p;

	for (i = 0; i < 40; i++) {
		p = hs_heap_malloc(i * 37);
		if (!is_new_slot(p))
			return 10;
		hs_heap_free_sized(p, i * 37, 0);
	}
	p = hs_heap_calloc(100000);
	if (!is_new_slot(p) || hs_heap_realloc(p, 100001) != p)
		return 11;
	hs_heap_free_sized(p, 100001, 0);
	p = hs_heap_malloc(700);
	for (i = 0; i < nr / 2; i++)
		hs_heap_free(mine[i].p);
	if (hs_heap_check() != 0)
		return 12;
	/* Too much for a short life: what was inherited is taken over. */
	for (i = 0; i < 3000; i++)
		if (hs_heap_malloc(3000) == NULL)
			return 13;
	if (hs_span_pools[HS_POOL_CHILD].mapped_units * HS_UNIT > 4 * HS_MIB)
		return 13;
	hs_heap_free(p);
	for (i = nr / 2; i < nr; i++)
		hs_heap_free(mine[i].p);
	return hs_heap_check() ? 14 : 0;
}

static int run_fork(int (*child)(struct block *, unsigned), struct block *mine,
		    unsigned nr)
{
	int status;
	pid_t pid;

	hs_fork_prepare();
	pid = fork();
	if (pid == 0) {
		hs_fork_child();
		_exit(child(mine, nr));
	}
	hs_fork_parent();
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Its own child, while it is young, goes on with the same pages. */
static int young_parent(struct block *mine, unsigned nr)
{
	char *p = hs_heap_malloc(64);
	int ret;

	if (!is_new_slot(p))
		return 20;
	ret = run_fork(young_child, mine, nr);
	hs_heap_free(p);
	return ret ? ret : young_child(mine, nr);
}

START_TEST(young_children)
{
	static struct block mine[3000];
	size_t i;

	heap_test_init();
	for (i = 0; i < 3000; i++)
		mine[i].p = hs_heap_malloc(i % 2 ? 2000 : 70);
	hs_heap_free(hs_heap_malloc(3 * HS_MIB));
	for (i = 0; i < NR_SLOTS; i++)
		slot_was_used[i] =
			hs_slot_state(&hs_arena.slots[i]) != HS_SLOT_FREE;
	ck_assert_int_eq(run_fork(young_child, mine, 3000), 0);
	ck_assert_int_eq(run_fork(young_parent, mine, 3000), 0);
	for (i = 0; i < 3000; i++)
		hs_heap_free(mine[i].p);
	assert_all_free();
}
END_TEST

START_TEST(others_free_before_and_after_a_fork)
{
	static struct block mine[50];
	unsigned i;

	heap_test_init();
	for (i = 0; i < 50; i++)
		mine[i].p = hs_heap_malloc(64);
	free_by_stranger(mine[0].p);
	ck_assert_int_eq(run_fork(child_is_told, mine, 50), 0);
	for (i = 1; i < 50; i++)
		hs_heap_free(mine[i].p);
	assert_all_free();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, trade);
	tcase_add_test(tc, thread_exit);
	tcase_add_test(tc, threads_share_slabs);
	tcase_add_test(tc, free_without_a_heap);
	tcase_add_test(tc, fork_while_others_allocate);
	tcase_add_test(tc, young_children);
	tcase_add_test(tc, others_free_before_and_after_a_fork);
}

int main(void)
{
	return unit_main("heap_threads", add);
}
