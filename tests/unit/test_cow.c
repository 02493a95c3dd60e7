/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine sigsegv: what a fork protects, what a write to it gets, and that
 * no call finds a protected slot where it wants a writable one.  The pool is a
 * fake, and so is /proc/self/pagemap.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "cow.h"
#include "cow_internal.h"
#include "fake_pool.h"
#include "fork.h"
#include "guard.h"
#include "inflight.h"
#include "region.h"
#include "rescue.h"
#include "stats.h"
#include "unit.h"

#define PAGEMAP 1000
#define PRESENT (UINT64_C(1) << 63)
#define EXCLUSIVE (UINT64_C(1) << 56)

static struct hs_config config;
static uint64_t pagemap_entry; /* of every page */
static bool pagemap_refused;

static int no_trap(void)
{
	return 0;
}

static int open_fake(const char *path, int flags, int mode)
{
	if (strcmp(path, "/proc/thread-self/pagemap") != 0)
		return fake_pool_open(path, flags, mode);
	return pagemap_refused ? -EACCES : PAGEMAP;
}

static int close_fake(int fd)
{
	return fd == PAGEMAP ? 0 : fake_pool.real.close(fd);
}

static ssize_t pread_fake(int fd, void *buf, size_t len, off_t off)
{
	if (fd != PAGEMAP)
		return fake_pool.real.pread(fd, buf, len, off);
	ck_assert_uint_eq(len, sizeof(pagemap_entry));
	memcpy(buf, &pagemap_entry, len);
	return (ssize_t)len;
}

static void start(size_t free_pages)
{
	config = *hs_config;
	config.enabled = true;
	config.heap = true;
	config.trust_seccomp = true;
	config.limit_percent = 0;
	config.limit_bytes = SIZE_MAX;
	config.cow = HS_COW_SIGSEGV;
	config.cow_min_bytes = 0;
	hs_config = &config;
	hs_trap_install_hook = no_trap;
	fake_pool_install(free_pages);
	hs_sys.open = open_fake;
	hs_sys.close = close_fake;
	hs_sys.pread = pread_fake;
	ck_assert_int_eq(hs_region_init(), 0);
}

static char *map(size_t nr_slots, unsigned flags)
{
	size_t got = 0;
	void *addr = NULL;

	ck_assert_int_eq(hs_region_map(NULL, nr_slots * FAKE_SLOT, 0, flags,
				       &addr, &got),
			 0);
	return addr;
}

/* A fork as its parent sees it. */
static void forked(void)
{
	hs_fork_prepare();
	hs_fork_parent();
	pagemap_entry = PRESENT;
}

static bool fault(char *p)
{
	return hs_rescue_fault(SIGSEGV, SEGV_ACCERR, p);
}

static bool guarded(char *p)
{
	return hs_region_slot(p)->guarded;
}

/* Does the kernel let a call write there? */
static bool is_writable(char *p)
{
	int fd[2];
	bool ok;

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(write(fd[1], "x", 1), 1);
	ok = read(fd[0], p, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return ok;
}

static bool is_all(const char *p, size_t len, char value)
{
	return len == 0 || (p[0] == value && memcmp(p, p + 1, len - 1) == 0);
}

/* @nr slots with bytes 1, 2, ..., after a fork. */
static char *frozen(size_t nr)
{
	char *p = map(nr, 0);

	for (size_t i = 0; i < nr; i++)
		memset(p + i * FAKE_SLOT, (int)i + 1, FAKE_SLOT);
	forked();
	return p;
}

START_TEST(a_fork_protects_the_heap)
{
	char *p;

	start(8);
	p = frozen(4);
	ck_assert_uint_eq(hs_guard_nr, 4);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_FORK), 1);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_FROZEN), 4);
	ck_assert(!is_writable(p));
	ck_assert(!is_writable(p + 4 * FAKE_SLOT - 1));
	/* The second fork finds it so. */
	forked();
	ck_assert_uint_eq(hs_guard_nr, 4);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_FROZEN), 4);
}
END_TEST

START_TEST(a_shared_page_is_copied)
{
	char *p;

	start(8);
	p = frozen(4);
	ck_assert(fault(p + FAKE_SLOT + 5));
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_COPIED), 1);
	ck_assert(!guarded(p + FAKE_SLOT));
	ck_assert(guarded(p));
	ck_assert(guarded(p + 2 * FAKE_SLOT));
	ck_assert(is_all(p + FAKE_SLOT, FAKE_SLOT, 2));
	memset(p + FAKE_SLOT, 9, FAKE_SLOT);
	ck_assert(is_all(p, FAKE_SLOT, 1));
	ck_assert(is_all(p + 2 * FAKE_SLOT, FAKE_SLOT, 3));
	ck_assert(!hs_slot_is_frozen(hs_region_slot(p + FAKE_SLOT)));
	/* The page is a part of the next fork. */
	ck_assert_uint_eq(fake_pool.nr_dontfork, 1);
	ck_assert_uint_eq(fake_pool.nr_dofork, 1);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(what_nobody_shares_is_lifted_with_its_neighbours)
{
	char *p;

	start(8);
	p = frozen(4);
	pagemap_entry |= EXCLUSIVE;
	ck_assert(fault(p + 2 * FAKE_SLOT));
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_LIFTED), 4);
	ck_assert_uint_eq(fake_pool.free_pages, 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert(is_all(p + i * FAKE_SLOT, FAKE_SLOT, (char)(i + 1)));
		ck_assert(is_writable(p + i * FAKE_SLOT));
	}
}
END_TEST

START_TEST(without_pagemap_it_is_shared)
{
	char *p;

	start(8);
	p = frozen(2);
	pagemap_refused = true;
	ck_assert(fault(p));
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_UNTOLD), 1);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_COPIED), 1);
	ck_assert(is_all(p, FAKE_SLOT, 1));
}
END_TEST

START_TEST(without_a_page_it_becomes_base_pages)
{
	char *p;

	start(2);
	p = frozen(2);
	ck_assert_uint_eq(fake_pool.free_pages, 0);
	ck_assert(fault(p));
	ck_assert_int_eq(hs_slot_state(hs_region_slot(p)), HS_SLOT_BASE);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_RESCUE_COW), 1);
	ck_assert(is_writable(p + FAKE_SLOT - 1));
	ck_assert(is_all(p, FAKE_SLOT - 1, 1));
	ck_assert(guarded(p + FAKE_SLOT));
	ck_assert_uint_eq(hs_guard_nr, 1);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(a_refused_move_leaves_it_as_it_was)
{
	char *p;

	start(8);
	p = frozen(1);
	fake_pool.fail_mremap = ENOMEM;
	fake_pool.fail_proc = ENOENT;
	ck_assert(hs_rescue_pin_base(p, 1) != 0);
	ck_assert(is_all(p, FAKE_SLOT, 1));
	fake_pool.fail_mremap = 0;
	ck_assert(fault(p));
	ck_assert(is_writable(p));
}
END_TEST

START_TEST(a_refused_protection_protects_nothing)
{
	char *p;

	start(8);
	fake_pool.fail_mprotect = ENOMEM;
	p = frozen(3);
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_LEFT), 1);
	ck_assert(is_writable(p));
}
END_TEST

START_TEST(a_call_finds_its_buffer_writable)
{
	struct hs_inflight f = { .nr = 1 };
	char *p;

	start(8);
	p = frozen(3);
	f.range[0].addr = p + FAKE_SLOT - 10;
	f.range[0].len = 20;
	hs_inflight_begin(&f);
	ck_assert(is_writable(p + FAKE_SLOT - 10));
	ck_assert(is_writable(p + FAKE_SLOT));
	ck_assert(guarded(p + 2 * FAKE_SLOT));
	/* A fork of another thread meanwhile leaves them so. */
	forked();
	ck_assert(is_writable(p + FAKE_SLOT - 10));
	ck_assert(is_writable(p + FAKE_SLOT));
	hs_inflight_end(&f);
	forked();
	ck_assert(!is_writable(p));
}
END_TEST

START_TEST(freed_memory_comes_back_writable)
{
	char *p, *q;

	start(8);
	p = frozen(3);
	hs_region_unmap(p + FAKE_SLOT, FAKE_SLOT);
	ck_assert_uint_eq(hs_guard_nr, 2);
	q = map(1, 0);
	ck_assert_ptr_eq(q, p + FAKE_SLOT);
	ck_assert(is_all(q, FAKE_SLOT, 0));
	ck_assert(is_writable(q));
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(moved_memory_is_writable)
{
	size_t got;
	void *q;
	char *p;

	start(16);
	p = frozen(2);
	ck_assert_int_eq(hs_region_move(p, 2 * FAKE_SLOT, 4 * FAKE_SLOT, &q,
					&got),
			 0);
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert(is_writable((char *)q + FAKE_SLOT));
	ck_assert(is_all(q, FAKE_SLOT, 1));
}
END_TEST

START_TEST(a_limit_or_filter_ends_it)
{
	char *p;

	start(8);
	p = frozen(3);
	hs_region_unreserve(false);
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert(is_writable(p));
	forked();
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_FORK), 1);
}
END_TEST

START_TEST(a_filter_ends_it)
{
	char *p;

	start(8);
	p = frozen(3);
	hs_region_restrict();
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert(is_writable(p));
}
END_TEST

START_TEST(a_small_heap_is_the_kernels)
{
	char *p;

	start(8);
	config.cow_min_bytes = 4 * FAKE_SLOT;
	p = frozen(3);
	ck_assert(is_writable(p));
	map(1, 0);
	forked();
	ck_assert_uint_eq(hs_guard_nr, 4);
}
END_TEST

START_TEST(past_the_budget_the_kernel_copies)
{
	char *p;

	start(8);
	p = frozen(4);
	hs_guard_splits = SIZE_MAX;
	ck_assert(fault(p + FAKE_SLOT));
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_LEFT), 1);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_COW_COPIED), 0);
	ck_assert_uint_eq(hs_guard_nr, 0);
	ck_assert(is_all(p + FAKE_SLOT, FAKE_SLOT, 2));
}
END_TEST

START_TEST(a_child_has_no_guard)
{
	int status;
	pid_t pid;
	char *p;

	start(8);
	p = frozen(3);
	hs_fork_prepare();
	pid = fork();
	if (pid == 0) {
		hs_fork_child();
		if (hs_guard_nr != 0)
			_exit(1);
		memset(p, 7, 3 * FAKE_SLOT);
		_exit(0);
	}
	hs_fork_parent();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(is_all(p, FAKE_SLOT, 1));
	ck_assert_uint_eq(hs_guard_nr, 3);
}
END_TEST

START_TEST(a_child_that_was_not_seen_copies_by_itself)
{
	int status;
	pid_t pid;
	char *p;

	start(8);
	p = frozen(3);
	pid = fork();
	if (pid == 0) {
		if (!fault(p))
			_exit(1);
		memset(p, 7, FAKE_SLOT);
		_exit(is_all(p + FAKE_SLOT, FAKE_SLOT, 2) ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(is_all(p, FAKE_SLOT, 1));
}
END_TEST

START_TEST(other_faults_are_not_ours)
{
	char *p, *q;

	start(8);
	p = frozen(1);
	q = map(1, HS_MAP_BASE);
	ck_assert(!hs_rescue_fault(SIGSEGV, SEGV_MAPERR, p));
	ck_assert(!fault((char *)&config));
	ck_assert(guarded(p));
	/* Another thread may just have turned it: once. */
	ck_assert(fault(q));
	ck_assert(!fault(q));
}
END_TEST

START_TEST(copies_are_true)
{
	static _Alignas(4096) char from[8192], to[8192];

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7 + i / 251);
	hs_cow_copy(to, from, sizeof(from));
	ck_assert(memcmp(to, from, sizeof(from)) == 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_fork_protects_the_heap);
	tcase_add_test(tc, a_shared_page_is_copied);
	tcase_add_test(tc, what_nobody_shares_is_lifted_with_its_neighbours);
	tcase_add_test(tc, without_pagemap_it_is_shared);
	tcase_add_test(tc, without_a_page_it_becomes_base_pages);
	tcase_add_test(tc, a_refused_move_leaves_it_as_it_was);
	tcase_add_test(tc, a_refused_protection_protects_nothing);
	tcase_add_test(tc, a_call_finds_its_buffer_writable);
	tcase_add_test(tc, freed_memory_comes_back_writable);
	tcase_add_test(tc, moved_memory_is_writable);
	tcase_add_test(tc, a_limit_or_filter_ends_it);
	tcase_add_test(tc, a_filter_ends_it);
	tcase_add_test(tc, a_small_heap_is_the_kernels);
	tcase_add_test(tc, past_the_budget_the_kernel_copies);
	tcase_add_test(tc, a_child_has_no_guard);
	tcase_add_test(tc, a_child_that_was_not_seen_copies_by_itself);
	tcase_add_test(tc, other_faults_are_not_ours);
	tcase_add_test(tc, copies_are_true);
}

int main(void)
{
	return unit_main("cow", add);
}
