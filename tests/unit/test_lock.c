/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contention, ownership, forks seen and unseen, and kernels that fail us. */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "sys.h"
#include "unit.h"

static struct hs_lock lock = HS_LOCK_INIT(HS_RANK_META);
static struct hs_lock heap_lock = HS_LOCK_INIT(HS_RANK_HEAP);

START_TEST(states)
{
	ck_assert_uint_eq(hs_lock_self() % 64, 0);
	ck_assert(!hs_lock_is_mine(&lock));
	hs_lock_acquire(&lock);
	ck_assert(hs_lock_is_mine(&lock));
	ck_assert(!hs_lock_try_acquire(&lock));
	hs_lock_release(&lock);
	ck_assert(!hs_lock_is_mine(&lock));
	ck_assert(hs_lock_try_acquire(&lock));
	ck_assert(hs_lock_is_mine(&lock));
	hs_lock_release(&lock);
	hs_lock_init(&lock, HS_RANK_LEAF);
	ck_assert_uint_eq(lock.rank, HS_RANK_LEAF);
	ck_assert(hs_lock_try_acquire(&lock));
}
END_TEST

#define NR_THREADS 4
#define NR_ROUNDS 20000

static unsigned long counter;
static unsigned long nr_rounds = NR_ROUNDS;

static void *count(void *arg HS_UNUSED)
{
	unsigned long i;

	for (i = 0; i < nr_rounds; i++) {
		hs_lock_acquire(&lock);
		if (!hs_lock_is_mine(&lock))
			abort();
		counter++;
		if (i % 64 == 0)
			hs_sys.sched_yield();
		hs_lock_release(&lock);
	}
	return NULL;
}

static void run_threads(void)
{
	pthread_t thread[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, count, NULL),
				 0);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(counter, NR_THREADS * nr_rounds);
}

START_TEST(contention)
{
	hs_lock_init_sentinel();
	run_threads();
}
END_TEST

START_TEST(contention_without_sentinel)
{
	run_threads();
}
END_TEST

static int no_wait(_Atomic uint32_t *word HS_UNUSED,
		   uint32_t expected HS_UNUSED,
		   const struct timespec *timeout HS_UNUSED)
{
	return -ENOSYS;
}

static int no_wake(_Atomic uint32_t *word HS_UNUSED, int nr HS_UNUSED)
{
	return -ENOSYS;
}

START_TEST(without_futexes)
{
	hs_sys.futex_wait = no_wait;
	hs_sys.futex_wake = no_wake;
	run_threads();
}
END_TEST

START_TEST(lost_wakeups)
{
	hs_sys.futex_wake = no_wake;
	nr_rounds = 200;
	run_threads();
}
END_TEST

static struct hs_sys real;
static _Atomic unsigned nr_waits;

static int counted_wait(_Atomic uint32_t *word, uint32_t expected,
			const struct timespec *timeout)
{
	atomic_fetch_add(&nr_waits, 1);
	if (!timeout)
		abort();
	return real.futex_wait(word, expected, timeout);
}

static void *acquire_and_release(void *arg HS_UNUSED)
{
	hs_lock_acquire(&lock);
	hs_lock_release(&lock);
	return NULL;
}

/* A waiter sleeps, and goes on when the holder is done. */
START_TEST(waiter_sleeps)
{
	pthread_t thread;

	real = hs_sys;
	hs_sys.futex_wait = counted_wait;
	hs_lock_acquire(&lock);
	pthread_create(&thread, NULL, acquire_and_release, NULL);
	while (atomic_load(&nr_waits) == 0)
		hs_sys.sched_yield();
	hs_lock_release(&lock);
	pthread_join(thread, NULL);
	ck_assert(hs_lock_try_acquire(&lock));
}
END_TEST

static int wait_for(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

START_TEST(fork_seen)
{
	bool taken;
	pid_t pid;

	hs_lock_init_sentinel();
	taken = hs_lock_prefork(&lock);
	ck_assert(taken);
	ck_assert(hs_lock_is_mine(&lock));
	pid = fork();
	if (pid == 0) {
		hs_lock_rearm_sentinel();
		if (!hs_lock_is_mine(&lock))
			_exit(1);
		hs_lock_postfork_child(&lock, taken);
		if (hs_lock_is_mine(&lock) || !hs_lock_try_acquire(&lock))
			_exit(2);
		_exit(hs_lock_unseen_forks() == 0 ? 0 : 3);
	}
	hs_lock_postfork_parent(&lock, taken);
	ck_assert(hs_lock_try_acquire(&lock));
	ck_assert_int_eq(wait_for(pid), 0);
}
END_TEST

static void *fails_to_get_it(void *arg HS_UNUSED)
{
	return hs_lock_try_acquire(&lock) ? &lock : NULL;
}

static bool others_get_it(void)
{
	pthread_t thread;
	void *got = &lock;

	if (pthread_create(&thread, NULL, fails_to_get_it, NULL) != 0)
		return true;
	pthread_join(thread, &got);
	return got != NULL;
}

/* A handler that interrupted the holder forks: the lock stays held, in both
 * processes, until the holder releases it. */
START_TEST(fork_by_the_holder)
{
	bool taken;
	pid_t pid;

	hs_lock_init_sentinel();
	hs_lock_acquire(&lock);
	taken = hs_lock_prefork(&lock);
	ck_assert(!taken);
	pid = fork();
	if (pid == 0) {
		hs_lock_postfork_child(&lock, taken);
		if (!hs_lock_is_mine(&lock))
			_exit(1);
		if (others_get_it())
			_exit(2);
		hs_lock_release(&lock);
		_exit(others_get_it() ? 0 : 3);
	}
	hs_lock_postfork_parent(&lock, taken);
	ck_assert(hs_lock_is_mine(&lock));
	ck_assert(!others_get_it());
	hs_lock_release(&lock);
	ck_assert_int_eq(wait_for(pid), 0);
}
END_TEST

static int holder_ready[2];
static int holder_go[2];

static void *hold(void *arg HS_UNUSED)
{
	char c = 0;

	hs_lock_acquire(&lock);
	if (write(holder_ready[1], &c, 1) != 1 ||
	    read(holder_go[0], &c, 1) != 1)
		abort();
	hs_lock_release(&lock);
	return NULL;
}

static pthread_t start_holder(void)
{
	pthread_t thread;
	char c;

	ck_assert_int_eq(pipe(holder_ready), 0);
	ck_assert_int_eq(pipe(holder_go), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold, NULL), 0);
	ck_assert_int_eq(read(holder_ready[0], &c, 1), 1);
	return thread;
}

static void stop_holder(pthread_t thread)
{
	ck_assert_int_eq(write(holder_go[1], "", 1), 1);
	pthread_join(thread, NULL);
}

START_TEST(prefork_gives_up)
{
	pthread_t holder = start_holder();
	bool taken = true;

	ck_assert(!hs_lock_prefork_try(&lock, &taken));
	ck_assert(!taken);
	ck_assert(!hs_lock_holds_any());
	stop_holder(holder);
	ck_assert(hs_lock_prefork_try(&lock, &taken));
	ck_assert(taken && hs_lock_is_mine(&lock) && hs_lock_holds_any());
	/* Already mine: nothing to take, nothing to give back. */
	ck_assert(hs_lock_prefork_try(&lock, &taken));
	ck_assert(!taken);
	hs_lock_postfork_parent(&lock, taken);
	ck_assert(hs_lock_is_mine(&lock));
	hs_lock_postfork_parent(&lock, true);
	ck_assert(!hs_lock_is_mine(&lock) && !hs_lock_holds_any());
}
END_TEST

/* Given up at prefork: in the child its holder is not there. */
START_TEST(fork_without_the_lock)
{
	pthread_t holder;
	bool taken;
	pid_t pid;

	hs_lock_init_sentinel();
	holder = start_holder();
	ck_assert(!hs_lock_prefork_try(&lock, &taken));
	pid = fork();
	if (pid == 0) {
		hs_lock_postfork_child(&lock, taken);
		_exit(hs_lock_try_acquire(&lock) && hs_lock_holds_any() ? 0
									: 1);
	}
	hs_lock_postfork_parent(&lock, taken);
	ck_assert_int_eq(wait_for(pid), 0);
	ck_assert(!hs_lock_try_acquire(&lock));
	stop_holder(holder);
}
END_TEST

START_TEST(held_locks_are_counted)
{
	ck_assert(!hs_lock_holds_any());
	hs_lock_acquire(&heap_lock);
	ck_assert(hs_lock_try_acquire(&lock));
	ck_assert(!hs_lock_try_acquire(&lock));
	hs_lock_release(&heap_lock);
	ck_assert(hs_lock_holds_any());
	hs_lock_release(&lock);
	ck_assert(!hs_lock_holds_any());
}
END_TEST

/* No atfork handler runs, no wrapper sees it. */
static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* In the child of a fork that nobody saw: the parent's holder is gone. */
static void in_unseen_child(void)
{
	hs_lock_acquire(&lock);
	if (!hs_lock_is_mine(&lock))
		_exit(1);
	if (hs_lock_unseen_forks() != 1)
		_exit(2);
	/* Now of this process: nobody takes it over. */
	if (others_get_it())
		_exit(3);
	hs_lock_release(&lock);
	if (!others_get_it())
		_exit(4);
	_exit(0);
}

START_TEST(orphan_is_taken_over)
{
	pthread_t holder;
	pid_t pid;

	ck_assert_int_eq(hs_lock_init_sentinel(), 0);
	holder = start_holder();
	pid = raw_fork();
	if (pid == 0)
		in_unseen_child();
	ck_assert_int_eq(wait_for(pid), 0);
	/* The parent's lock is untouched by all that. */
	ck_assert(!hs_lock_try_acquire(&lock));
	stop_holder(holder);
	ck_assert(hs_lock_try_acquire(&lock));
	ck_assert_uint_eq(hs_lock_unseen_forks(), 0);
}
END_TEST

START_TEST(orphan_is_tried)
{
	pthread_t holder;
	pid_t pid;

	hs_lock_init_sentinel();
	holder = start_holder();
	pid = raw_fork();
	if (pid == 0)
		_exit(hs_lock_try_acquire(&lock) ? 0 : 1);
	ck_assert_int_eq(wait_for(pid), 0);
	stop_holder(holder);
}
END_TEST

START_TEST(orphan_for_prefork)
{
	pthread_t holder;
	pid_t pid;

	hs_lock_init_sentinel();
	holder = start_holder();
	pid = raw_fork();
	if (pid == 0)
		_exit(hs_lock_prefork(&lock) ? 0 : 1);
	ck_assert_int_eq(wait_for(pid), 0);
	stop_holder(holder);
}
END_TEST

/* Grandchildren, each of an unseen fork of a process with a held lock. */
START_TEST(orphans_of_orphans)
{
	pthread_t holder;
	pid_t pid;
	int depth;

	hs_lock_init_sentinel();
	holder = start_holder();
	pid = raw_fork();
	if (pid == 0) {
		for (depth = 1; depth < 4; depth++) {
			pthread_t thread;

			hs_lock_acquire(&lock);
			hs_lock_release(&lock);
			thread = start_holder();
			pid = raw_fork();
			if (pid == 0)
				continue;
			if (wait_for(pid) != 0)
				_exit(depth);
			stop_holder(thread);
			_exit(0);
		}
		hs_lock_acquire(&lock);
		_exit(hs_lock_unseen_forks() == 4 ? 0 : 10);
	}
	ck_assert_int_eq(wait_for(pid), 0);
	stop_holder(holder);
}
END_TEST

#ifndef __SANITIZE_THREAD__
/* vfork and threads share the memory: nothing is wiped, nothing is taken. */
START_TEST(shared_memory_is_no_orphan)
{
	pid_t pid;

	hs_lock_init_sentinel();
	hs_lock_acquire(&lock);
	pid = vfork();
	if (pid == 0)
		_exit(hs_lock_try_acquire(&lock) ? 1 : 0);
	ck_assert_int_eq(wait_for(pid), 0);
	hs_lock_release(&lock);
}
END_TEST
#endif

static void *fail_mmap(void *addr HS_UNUSED, size_t len HS_UNUSED,
		       int prot HS_UNUSED, int flags HS_UNUSED,
		       int fd HS_UNUSED, off_t off HS_UNUSED)
{
	return (void *)(intptr_t)-ENOMEM;
}

static int fail_madvise(void *addr HS_UNUSED, size_t len HS_UNUSED,
			int advice HS_UNUSED)
{
	return -EINVAL;
}

START_TEST(no_sentinel_to_be_had)
{
	real = hs_sys;
	hs_sys.mmap = fail_mmap;
	ck_assert_int_eq(hs_lock_init_sentinel(), -ENOMEM);
	hs_sys.mmap = real.mmap;
	hs_sys.madvise = fail_madvise;
	ck_assert_int_eq(hs_lock_init_sentinel(), -EINVAL);
	hs_lock_rearm_sentinel();
	hs_lock_acquire(&lock);
	ck_assert(!others_get_it());
	hs_lock_release(&lock);
}
END_TEST

#ifdef HS_DEBUG_LOCKS
START_TEST(rising_ranks)
{
	struct hs_lock other_heap = HS_LOCK_INIT(HS_RANK_HEAP);

	hs_lock_acquire(&heap_lock);
	hs_lock_acquire(&other_heap);
	hs_lock_acquire(&lock);
	hs_lock_release(&heap_lock);
	hs_lock_release(&lock);
	hs_lock_release(&other_heap);
	hs_lock_acquire(&heap_lock);
	hs_lock_release(&heap_lock);
}
END_TEST

START_TEST(falling_ranks_abort)
{
	hs_lock_acquire(&lock);
	hs_lock_acquire(&heap_lock);
}
END_TEST

START_TEST(equal_ranks_abort)
{
	struct hs_lock other = HS_LOCK_INIT(HS_RANK_META);

	hs_lock_acquire(&lock);
	hs_lock_acquire(&other);
}
END_TEST

START_TEST(release_of_a_free_lock_aborts)
{
	hs_lock_release(&lock);
}
END_TEST

/* A handler forks above whatever it interrupted. */
START_TEST(prefork_in_any_order)
{
	hs_lock_acquire(&lock);
	ck_assert(hs_lock_prefork(&heap_lock));
	hs_lock_postfork_parent(&heap_lock, true);
	hs_lock_release(&lock);
}
END_TEST

static void add_order(TCase *tc)
{
	tcase_add_test(tc, rising_ranks);
	tcase_add_test_raise_signal(tc, falling_ranks_abort, SIGABRT);
	tcase_add_test_raise_signal(tc, equal_ranks_abort, SIGABRT);
	tcase_add_test_raise_signal(tc, release_of_a_free_lock_aborts, SIGABRT);
	tcase_add_test(tc, prefork_in_any_order);
}
#else
static void add_order(TCase *tc HS_UNUSED)
{
}
#endif

static void add(TCase *tc)
{
	tcase_add_test(tc, states);
	tcase_add_test(tc, contention);
	tcase_add_test(tc, contention_without_sentinel);
	tcase_add_test(tc, without_futexes);
	tcase_add_test(tc, lost_wakeups);
	tcase_add_test(tc, waiter_sleeps);
	tcase_add_test(tc, fork_seen);
	tcase_add_test(tc, fork_by_the_holder);
	tcase_add_test(tc, prefork_gives_up);
	tcase_add_test(tc, fork_without_the_lock);
	tcase_add_test(tc, held_locks_are_counted);
	tcase_add_test(tc, orphan_is_taken_over);
	tcase_add_test(tc, orphan_is_tried);
	tcase_add_test(tc, orphan_for_prefork);
	tcase_add_test(tc, orphans_of_orphans);
#ifndef __SANITIZE_THREAD__ /* which makes a fork of vfork */
	tcase_add_test(tc, shared_memory_is_no_orphan);
#endif
	tcase_add_test(tc, no_sentinel_to_be_had);
	add_order(tc);
}

int main(void)
{
	return unit_main("lock", add);
}
