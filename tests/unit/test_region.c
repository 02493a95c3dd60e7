/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots: mapping with fallback one by one, giving back, moving, converting,
 * rescuing, limits, calls in flight.  The pool is a fake.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "cow.h"
#include "fake_pool.h"
#include "inflight.h"
#include "region.h"
#include "rescue.h"
#include "stats.h"
#include "unit.h"

static struct hs_config config;

static int no_trap(void)
{
	return 0;
}

static void start(size_t free_pages)
{
	config = *hs_config;
	config.enabled = true;
	config.heap = true;
	config.trust_seccomp = true;
	config.limit_percent = 0;
	config.limit_bytes = SIZE_MAX;
	hs_config = &config;
	hs_trap_install_hook = no_trap;
	fake_pool_install(free_pages);
	ck_assert_int_eq(hs_region_init(), 0);
}

static char *map(size_t nr_slots, unsigned flags)
{
	size_t got = 0;
	void *addr = NULL;

	ck_assert_int_eq(hs_region_map(NULL, nr_slots * FAKE_SLOT, 0, flags,
				       &addr, &got),
			 0);
	ck_assert_uint_eq(got, nr_slots * FAKE_SLOT);
	ck_assert_uint_eq((uintptr_t)addr % FAKE_SLOT, 0);
	return addr;
}

static enum hs_slot_state state(const char *slot)
{
	return hs_slot_state(hs_region_slot(slot));
}

static bool is_all(const char *p, size_t len, char value)
{
	return len == 0 || (p[0] == value && memcmp(p, p + 1, len - 1) == 0);
}

START_TEST(slots_fall_back_one_by_one)
{
	char *p;
	size_t i;

	start(3);
	p = map(8, 0);
	ck_assert(is_all(p, 8 * FAKE_SLOT, 0));
	memset(p, 1, 8 * FAKE_SLOT);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(state(p + i * FAKE_SLOT),
				 i < 3 ? HS_SLOT_HUGE : HS_SLOT_BASE);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_POOL), 5);
	ck_assert_uint_eq(hs_stats_gauge(HS_GAUGE_HUGE), 3 * FAKE_SLOT);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(pages_come_back_zeroed_and_uncounted)
{
	char *p;
	int round;

	start(4);
	for (round = 0; round < 3; round++) {
		p = map(4, 0);
		ck_assert_uint_eq(fake_pool.free_pages, 0);
		ck_assert(is_all(p, 4 * FAKE_SLOT, 0));
		memset(p, 5, 4 * FAKE_SLOT);
		hs_region_unmap(p, 4 * FAKE_SLOT);
		ck_assert_uint_eq(fake_pool.free_pages, 4);
		ck_assert_int_eq(state(p), HS_SLOT_FREE);
	}
	/* The mapping was kept for the next use. */
	ck_assert_uint_eq(fake_pool.nr_hugetlb_maps, 1);
	ck_assert_uint_eq(hs_stats_gauge(HS_GAUGE_HUGE), 0);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(contents_that_stay_are_never_handed_out)
{
	char *p;
	char *q;

	start(4);
	p = map(1, 0);
	memset(p, 5, FAKE_SLOT);
	fake_pool.fail_dontneed = EPERM;
	hs_region_unmap(p, FAKE_SLOT);
	q = map(1, 0);
	ck_assert(is_all(q, FAKE_SLOT, 0));
}
END_TEST

START_TEST(the_cap_holds)
{
	char *p;

	start(100);
	config.limit_bytes = 3 * FAKE_SLOT;
	p = map(5, 0);
	ck_assert_int_eq(state(p + 2 * FAKE_SLOT), HS_SLOT_HUGE);
	ck_assert_int_eq(state(p + 3 * FAKE_SLOT), HS_SLOT_BASE);
	ck_assert_uint_eq(fake_pool.free_pages, 97);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_LIMIT), 2);
	hs_region_unmap(p, 5 * FAKE_SLOT);
	p = map(2, HS_MAP_LAZY);
	ck_assert_int_eq(state(p + FAKE_SLOT), HS_SLOT_LAZY);
	p = map(2, HS_MAP_LAZY);
	ck_assert_int_eq(state(p), HS_SLOT_LAZY);
	ck_assert_int_eq(state(p + FAKE_SLOT), HS_SLOT_BASE);
}
END_TEST

START_TEST(base_and_exact)
{
	size_t got;
	void *addr;

	start(4);
	ck_assert_int_eq(hs_region_map(NULL, 3 * HS_UNIT, 0,
				       HS_MAP_BASE | HS_MAP_EXACT, &addr, &got),
			 0);
	ck_assert_uint_eq(got, 3 * HS_UNIT);
	ck_assert_uint_eq(hs_region_slot_mapped(addr), 3 * HS_UNIT);
	memset(addr, 1, got);
	ck_assert_uint_eq(fake_pool.free_pages, 4);
	hs_region_unmap(addr, got);
	ck_assert_uint_eq(hs_region_slot_mapped(addr), 0);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(hints_and_alignment)
{
	char *p;
	void *addr;
	size_t got;

	start(64);
	p = map(1, 0);
	ck_assert_int_eq(hs_region_map(p + FAKE_SLOT, FAKE_SLOT, 0, 0, &addr,
				       &got),
			 0);
	ck_assert_ptr_eq(addr, p + FAKE_SLOT);
	ck_assert_int_eq(hs_region_map(p, FAKE_SLOT, 0, 0, &addr, &got), 0);
	ck_assert_ptr_ne(addr, p);
	ck_assert_int_eq(hs_region_map(NULL, FAKE_SLOT, HS_GIB, 0, &addr, &got),
			 0);
	ck_assert_uint_eq((uintptr_t)addr % HS_GIB, 0);
	ck_assert_int_eq(hs_region_map(NULL, hs_arena.max_bytes, 0, 0, &addr,
				       &got),
			 -ENOMEM);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(no_fallback_if_so_configured)
{
	void *addr;
	size_t got;

	start(2);
	config.fallback = HS_FALLBACK_OFF;
	ck_assert_int_eq(hs_region_map(NULL, 4 * FAKE_SLOT, 0, 0, &addr, &got),
			 -ENOMEM);
	ck_assert_uint_eq(fake_pool.free_pages, 2);
	map(2, 0);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(no_pool_page_if_so_configured)
{
	char *p;

	start(4);
	config.fallback = HS_FALLBACK_ON;
	p = map(2, 0);
	ck_assert_int_eq(state(p), HS_SLOT_BASE);
	ck_assert_uint_eq(fake_pool.nr_hugetlb_maps, 0);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_CONFIG), 2);
}
END_TEST

START_TEST(convert_keeps_contents)
{
	char *p;

	start(4);
	p = map(3, 0);
	memset(p, 1, FAKE_SLOT);
	memset(p + FAKE_SLOT, 2, FAKE_SLOT);
	memset(p + 2 * FAKE_SLOT, 3, FAKE_SLOT);
	ck_assert_int_eq(hs_rescue_pin_base(p + 2 * FAKE_SLOT - 1, 1), 0);
	ck_assert_int_eq(state(p), HS_SLOT_HUGE);
	ck_assert_int_eq(state(p + FAKE_SLOT), HS_SLOT_BASE);
	ck_assert_int_eq(state(p + 2 * FAKE_SLOT), HS_SLOT_HUGE);
	ck_assert(is_all(p + FAKE_SLOT, FAKE_SLOT, 2));
	memset(p, 4, 3 * FAKE_SLOT);
	/* Again, and what is already on base pages: nothing to do. */
	ck_assert_int_eq(hs_rescue_pin_base(p, 3 * FAKE_SLOT), 0);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_CONVERT), 3);
	ck_assert(is_all(p, 3 * FAKE_SLOT, 4));
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(convert_that_fails_leaves_the_slot)
{
	char *p;

	start(4);
	p = map(1, 0);
	memset(p, 1, FAKE_SLOT);
	fake_pool.fail_mprotect = ENOMEM;
	fake_pool.fail_mremap = ENOMEM;
	ck_assert_int_eq(hs_rescue_pin_base(p, 1), -ENOMEM);
	fake_pool.fail_mprotect = 0;
	fake_pool.fail_proc = ENOENT;
	ck_assert_int_eq(hs_rescue_pin_base(p, 1), -ENOMEM);
	ck_assert_int_eq(state(p), HS_SLOT_HUGE);
	memset(p + 1, 1, FAKE_SLOT - 1); /* writable */
	ck_assert(is_all(p, FAKE_SLOT, 1));
	fake_pool.fail_mremap = 0;
	ck_assert_int_eq(hs_rescue_pin_base(p, 1), 0);
	ck_assert(is_all(p, FAKE_SLOT, 1));
}
END_TEST

/* One call that the kernel always refuses is done without. */
static void convert_without(int *fail)
{
	char *p;

	start(4);
	p = map(4, 0);
	for (int i = 0; i < 4; i++)
		memset(p + i * FAKE_SLOT, i + 1, FAKE_SLOT);
	*fail = EPERM;
	ck_assert_int_eq(hs_rescue_pin_base(p + FAKE_SLOT, 2 * FAKE_SLOT), 0);
	*fail = 0;
	ck_assert_int_eq(hs_rescue_pin_base(p, 1), 0);
	for (int i = 0; i < 4; i++) {
		char *at = p + i * FAKE_SLOT;

		ck_assert_int_eq(state(at),
				 i == 3 ? HS_SLOT_HUGE : HS_SLOT_BASE);
		ck_assert(is_all(at, FAKE_SLOT, i + 1));
		memset(at, 7, FAKE_SLOT);
	}
	ck_assert_int_eq(hs_region_check(), 0);
}

START_TEST(convert_without_mprotect)
{
	convert_without(&fake_pool.fail_mprotect);
}
END_TEST

START_TEST(convert_without_mremap)
{
	convert_without(&fake_pool.fail_mremap);
}
END_TEST

START_TEST(convert_that_failed_leaves_nothing_behind)
{
	char *huge, *lazy;

	start(1);
	huge = map(1, 0);
	lazy = map(1, HS_MAP_LAZY);
	memset(huge, 1, FAKE_SLOT);
	fake_pool.fail_mremap = ENOMEM;
	fake_pool.fail_proc = ENOENT;
	ck_assert_int_eq(hs_rescue_pin_base(huge, 1), -ENOMEM);
	fake_pool.fail_mremap = 0;
	ck_assert(hs_rescue_fault(SIGBUS, BUS_ADRERR, lazy));
	ck_assert_int_eq(state(lazy), HS_SLOT_BASE);
	ck_assert(is_all(lazy, FAKE_SLOT, 0));
}
END_TEST

/* 1024 slots: their table ends with a page of memory. */
START_TEST(convert_the_last_slot_of_all)
{
	char *p;

	start(0);
	p = map(1024, HS_MAP_LAZY);
	ck_assert_int_eq(hs_rescue_pin_base(p + 1023 * FAKE_SLOT, 1), 0);
	ck_assert_int_eq(state(p + 1023 * FAKE_SLOT), HS_SLOT_BASE);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

/* What the program does to base pages of its own accord. */
START_TEST(a_fault_on_base_pages_is_retried_once)
{
	char *p;

	start(0);
	p = map(2, HS_MAP_LAZY);
	ck_assert_int_eq(hs_rescue_pin_base(p, 1), 0);
	ck_assert(hs_rescue_fault(SIGBUS, BUS_ADRERR, p));
	ck_assert(!hs_rescue_fault(SIGBUS, BUS_ADRERR, p));
	ck_assert(hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p + 64));
	ck_assert(!hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p + 64));
	/* A conversion later the fault may be ours again. */
	ck_assert_int_eq(hs_rescue_pin_base(p + FAKE_SLOT, 1), 0);
	ck_assert(hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p + 64));
	ck_assert(!hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p + 64));
}
END_TEST

START_TEST(a_dry_pool_is_rescued)
{
	char *p;

	start(1);
	p = map(2, HS_MAP_LAZY);
	ck_assert(hs_rescue_fault(SIGBUS, BUS_ADRERR, p));
	ck_assert_int_eq(state(p), HS_SLOT_HUGE);
	ck_assert(hs_rescue_fault(SIGBUS, BUS_ADRERR, p + FAKE_SLOT));
	ck_assert_int_eq(state(p + FAKE_SLOT), HS_SLOT_BASE);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_RESCUE_TOUCH), 1);
	memset(p, 1, FAKE_SLOT);
	fake_pool.shared = true;
	ck_assert(hs_rescue_fault(SIGBUS, BUS_ADRERR, p));
	ck_assert_int_eq(state(p), HS_SLOT_BASE);
	ck_assert(is_all(p, FAKE_SLOT, 1));
	ck_assert_uint_eq(hs_stats_get(HS_STAT_RESCUE_COW), 1);
}
END_TEST

START_TEST(other_faults_are_not_ours)
{
	char *p;
	int on_stack;

	start(1);
	p = map(1, 0);
	ck_assert(!hs_rescue_fault(SIGBUS, BUS_ADRERR, &on_stack));
	ck_assert(!hs_rescue_fault(SIGBUS, BUS_ADRERR, NULL));
	ck_assert(!hs_rescue_fault(SIGBUS, 4 /* BUS_MCEERR_AR */, p));
	ck_assert(!hs_rescue_fault(SIGSEGV, SEGV_MAPERR, p));
	ck_assert(!hs_rescue_fault(SIGBUS, BUS_ADRERR, p + FAKE_SLOT));
	/* Protected by the program: one retry, then it is its own. */
	ck_assert_int_eq(hs_rescue_pin_base(p, 1), 0);
	ck_assert(hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p));
	ck_assert(!hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p));
}
END_TEST

START_TEST(a_call_finds_its_pages)
{
	char *p;

	start(1);
	p = map(2, HS_MAP_LAZY);
	hs_rescue_prepare(p + 10, FAKE_SLOT);
	ck_assert_int_eq(state(p), HS_SLOT_HUGE);
	ck_assert_int_eq(state(p + FAKE_SLOT), HS_SLOT_BASE);
	hs_rescue_prepare(p, 2 * FAKE_SLOT);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_SYSCALL_TOUCH), 2);
	/* After a fork the page may be shared again. */
	hs_cow_kernel.prefork();
	hs_cow_kernel.postfork_parent();
	ck_assert(hs_slot_is_frozen(hs_region_slot(p)));
	hs_rescue_prepare(p, 1);
	ck_assert(!hs_slot_is_frozen(hs_region_slot(p)));
	hs_rescue_prepare(p - FAKE_SLOT, 4 * FAKE_SLOT);
	hs_rescue_prepare((void *)-2, 4);
}
END_TEST

START_TEST(moving)
{
	size_t got;
	void *to;
	char *p;

	start(8);
	p = map(4, 0);
	memset(p, 6, 4 * FAKE_SLOT);
	ck_assert_int_eq(hs_rescue_pin_base(p + FAKE_SLOT, 1), 0);
	ck_assert_int_eq(hs_region_move(p, 4 * FAKE_SLOT, 6 * FAKE_SLOT, &to,
					&got),
			 0);
	ck_assert(is_all(to, 4 * FAKE_SLOT, 6));
	ck_assert_int_eq(state(p), HS_SLOT_FREE);
	ck_assert_int_eq(state((char *)to + FAKE_SLOT), HS_SLOT_BASE);
	ck_assert_int_eq(hs_region_check(), 0);
	p = to;
	fake_pool.fail_mremap = EPERM;
	ck_assert_int_eq(hs_region_move(p, 6 * FAKE_SLOT, 7 * FAKE_SLOT, &to,
					&got),
			 0);
	ck_assert(is_all(to, 4 * FAKE_SLOT, 6));
	ck_assert_int_eq(state(p), HS_SLOT_FREE);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(address_space_given_back)
{
	char *p;
	char *q;

	start(8);
	p = map(2, 0);
	memset(p, 3, 2 * FAKE_SLOT);
	q = map(2, HS_MAP_LAZY);
	hs_region_unreserve(true);
	ck_assert_int_eq(state(q), HS_SLOT_BASE);
	/* Behind the last slot in use there is nothing of ours. */
	ck_assert_int_eq(hs_sys.madvise(q + 64 * FAKE_SLOT, FAKE_SLOT,
					MADV_NORMAL),
			 -ENOMEM);
	ck_assert(is_all(p, 2 * FAKE_SLOT, 3));
	q = map(40, 0);
	memset(q, 1, 40 * FAKE_SLOT);
	hs_region_unmap(q, 40 * FAKE_SLOT);
	ck_assert_int_eq(hs_sys.madvise(q, FAKE_SLOT, MADV_NORMAL), -ENOMEM);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(what_the_program_maps_is_its_own)
{
	char *p;
	char *theirs;
	char *far;
	size_t got;
	void *addr;
	int i;

	start(8);
	p = map(1, 0);
	theirs = p + 5 * FAKE_SLOT + 4096;
	far = p + HS_TIB;
	ck_assert_ptr_eq(fake_pool.real.mmap(theirs, FAKE_SLOT,
					     PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS |
						     MAP_FIXED,
					     -1, 0),
			 theirs);
	memset(theirs, 7, FAKE_SLOT);
	hs_region_disown(theirs, FAKE_SLOT);
	hs_region_disown(far, 4096);
	hs_region_disown(&i, sizeof(i));
	for (i = 0; i < 40; i++) {
		char *q = map(1 + (size_t)i % 7, 0);

		memset(q, 1, FAKE_SLOT);
	}
	ck_assert(is_all(theirs, FAKE_SLOT, 7));
	ck_assert_int_eq(hs_region_map(far, FAKE_SLOT, 0, 0, &addr, &got), 0);
	ck_assert_ptr_ne(addr, far);
	ck_assert_int_eq(hs_region_map(NULL, HS_TIB + FAKE_SLOT, 0, HS_MAP_LAZY,
				       &addr, &got),
			 -ENOMEM);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(only_calls_of_malloc)
{
	char *p;

	start(8);
	map(1, 0);
	hs_region_restrict();
	p = map(40, 0);
	ck_assert_int_eq(state(p), HS_SLOT_BASE);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_SECCOMP), 40);
	memset(p, 1, 40 * FAKE_SLOT);
}
END_TEST

START_TEST(calls_in_flight_stay_out_of_the_fork)
{
	struct hs_inflight call = { .nr = 1 };
	char *p;
	pid_t child;
	int status;

	start(8);
	p = map(2, 0);
	memset(p, 1, 2 * FAKE_SLOT);
	call.range[0].addr = p + 100;
	call.range[0].len = 10;
	hs_inflight_begin(&call);
	hs_cow_kernel.prefork();
	ck_assert_uint_eq(fake_pool.nr_dontfork, 1);
	child = fork();
	if (child == 0) {
		hs_cow_kernel.postfork_child();
		if (state(p) != HS_SLOT_BASE)
			_exit(1);
		if (!is_all(p, 2 * FAKE_SLOT, 1))
			_exit(2);
		memset(p, 2, 2 * FAKE_SLOT);
		_exit(hs_region_check() ? 3 : 0);
	}
	hs_cow_kernel.postfork_parent();
	ck_assert_uint_eq(fake_pool.nr_dofork, 1);
	ck_assert(!hs_slot_is_frozen(hs_region_slot(p)));
	ck_assert(hs_slot_is_frozen(hs_region_slot(p + FAKE_SLOT)));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(is_all(p, 2 * FAKE_SLOT, 1));
	hs_inflight_end(&call);
	hs_cow_kernel.prefork();
	ck_assert_uint_eq(fake_pool.nr_dontfork, 1);
	hs_cow_kernel.postfork_parent();
}
END_TEST

static void *shut_gate(void *unused)
{
	hs_inflight_shut();
	return unused;
}

START_TEST(a_gate_inherited_unseen_is_open)
{
	struct hs_inflight call = { .nr = 1 };
	pthread_t thread;
	pid_t child;
	int status;

	start(0);
	ck_assert_int_eq(pthread_create(&thread, NULL, shut_gate, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		alarm(10);
		hs_inflight_begin(&call);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

static unsigned nr_visited;

static void count_range(const void *addr HS_UNUSED, size_t len)
{
	nr_visited += len != 0;
}

/* However many handlers interrupt calls that interrupt calls. */
START_TEST(calls_nest_deep)
{
	static struct hs_inflight call[100];
	unsigned i, k;

	start(0);
	for (i = 0; i < 100; i++) {
		call[i].nr = 3;
		for (k = 0; k < 3; k++)
			call[i].range[k].len = 1;
		hs_inflight_begin(&call[i]);
	}
	nr_visited = 0;
	hs_inflight_visit(count_range);
	ck_assert_uint_eq(nr_visited, 300);
	/* Some are left by longjmp, the rest ends. */
	for (i = 100; i-- > 0;)
		if (i % 7)
			hs_inflight_end(&call[i]);
	hs_inflight_end(&call[0]);
	nr_visited = 0;
	hs_inflight_visit(count_range);
	ck_assert_uint_eq(nr_visited, 0);
}
END_TEST

START_TEST(calls_nest)
{
	struct hs_inflight outer = { .nr = 2 };
	struct hs_inflight inner = { .nr = 1 };
	struct hs_inflight lost = { .nr = 8 };
	int i;

	start(0);
	outer.range[0].len = outer.range[1].len = inner.range[0].len = 1;
	hs_inflight_begin(&outer);
	hs_inflight_begin(&inner);
	hs_inflight_visit(count_range);
	ck_assert_uint_eq(nr_visited, 3);
	hs_inflight_end(&inner);
	hs_inflight_end(&outer);
	nr_visited = 0;
	hs_inflight_visit(count_range);
	ck_assert_uint_eq(nr_visited, 0);
	hs_inflight_begin(&outer);
	for (i = 0; i < 1000; i++)
		hs_inflight_begin(&lost); /* left by longjmp */
	hs_inflight_visit(count_range);
	ck_assert_uint_eq(nr_visited, 2);
	hs_inflight_thread_exit();
	nr_visited = 0;
	hs_inflight_visit(count_range);
	ck_assert_uint_eq(nr_visited, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, slots_fall_back_one_by_one);
	tcase_add_test(tc, pages_come_back_zeroed_and_uncounted);
	tcase_add_test(tc, contents_that_stay_are_never_handed_out);
	tcase_add_test(tc, the_cap_holds);
	tcase_add_test(tc, base_and_exact);
	tcase_add_test(tc, hints_and_alignment);
	tcase_add_test(tc, no_fallback_if_so_configured);
	tcase_add_test(tc, no_pool_page_if_so_configured);
	tcase_add_test(tc, convert_keeps_contents);
	tcase_add_test(tc, convert_that_fails_leaves_the_slot);
	tcase_add_test(tc, convert_without_mprotect);
	tcase_add_test(tc, convert_without_mremap);
	tcase_add_test(tc, convert_that_failed_leaves_nothing_behind);
	tcase_add_test(tc, convert_the_last_slot_of_all);
	tcase_add_test(tc, a_fault_on_base_pages_is_retried_once);
	tcase_add_test(tc, a_dry_pool_is_rescued);
	tcase_add_test(tc, other_faults_are_not_ours);
	tcase_add_test(tc, a_call_finds_its_pages);
	tcase_add_test(tc, moving);
	tcase_add_test(tc, address_space_given_back);
	tcase_add_test(tc, what_the_program_maps_is_its_own);
	tcase_add_test(tc, only_calls_of_malloc);
	tcase_add_test(tc, calls_in_flight_stay_out_of_the_fork);
	tcase_add_test(tc, a_gate_inherited_unseen_is_open);
	tcase_add_test(tc, calls_nest);
	tcase_add_test(tc, calls_nest_deep);
}

int main(void)
{
	return unit_main("region", add);
}
