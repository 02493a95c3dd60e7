/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks: what each fallback does on a pool that is short, on one node or in
 * all; the cap; what is given back; policies.  Pool and nodes are fakes.
 */
#include <string.h>

#include "block.h"
#include "config.h"
#include "fake_pool.h"
#include "region.h"
#include "rescue.h"
#include "stats.h"
#include "unit.h"

#define MPOL_BIND 2

static struct hs_config config;

/* mbind() as it was called last, and how many pages node 1 has, on which the
 * policies of these tests put their blocks. */
static struct {
	unsigned nr_calls;
	uintptr_t from, to;
	int mode;
	unsigned long nodes;
	int err;
	size_t node_pages;
} numa;

static int fake_mbind(void *addr, size_t len, int mode,
		      const unsigned long *nodes,
		      unsigned long max_node HS_UNUSED,
		      unsigned flags HS_UNUSED)
{
	numa.nr_calls++;
	numa.from = (uintptr_t)addr;
	numa.to = numa.from + len;
	numa.mode = mode;
	numa.nodes = nodes ? nodes[0] : 0;
	return -numa.err;
}

/* The node is dry before the pool is. */
static int node_madvise(void *addr, size_t len, int advice)
{
	uintptr_t p = (uintptr_t)addr;

	if (advice != MADV_POPULATE_WRITE || p < numa.from || p >= numa.to)
		return fake_pool_madvise(addr, len, advice);
	for (; p < (uintptr_t)addr + len; p += FAKE_SLOT) {
		if (fake_pool_find(p) < fake_pool.nr)
			continue;
		if (numa.node_pages == 0 || !fake_pool_take(p))
			return -EFAULT;
		numa.node_pages--;
	}
	return 0;
}

static int no_trap(void)
{
	return 0;
}

static void start(size_t free_pages)
{
	config = *hs_config;
	config.enabled = true;
	config.trust_seccomp = true;
	config.limit_percent = 0;
	config.limit_bytes = SIZE_MAX;
	hs_config = &config;
	hs_trap_install_hook = no_trap;
	fake_pool_install(free_pages);
	hs_sys.mbind = fake_mbind;
	ck_assert_int_eq(hs_region_init(), 0);
}

static struct hs_block_request request(enum hs_block_fallback fallback,
				       uint32_t flags)
{
	return (struct hs_block_request){ .fallback = fallback,
					  .flags = flags };
}

static char *map(size_t nr, const struct hs_block_request *r)
{
	void *p = NULL;
	int err = hs_block_map(nr * FAKE_SLOT, r, &p);

	ck_assert_msg(err == 0 || err == -ENOMEM, "%d", err);
	return err ? NULL : p;
}

static struct hs_block_stats stats(void)
{
	struct hs_block_stats s;

	hs_block_stats(&s);
	return s;
}

static void want(size_t blocks, size_t huge_pages, size_t free_pages)
{
	struct hs_block_stats s = stats();

	ck_assert_uint_eq(s.blocks, blocks);
	ck_assert_uint_eq(s.huge_bytes, huge_pages * FAKE_SLOT);
	ck_assert_uint_eq(fake_pool.free_pages, free_pages);
	ck_assert_int_eq(hs_region_check(), 0);
}

static void unmap(char *p, size_t nr)
{
	ck_assert_int_eq(hs_block_unmap(p, nr * FAKE_SLOT), 0);
	ck_assert_int_eq(hs_block_unmap(p, nr * FAKE_SLOT), -EINVAL);
}

START_TEST(test_enough)
{
	struct hs_block_request r;
	char *p;

	start(8);
	for (uint32_t flags = 0; flags <= HS_BLOCK_DONTFORK; flags++)
		for (int f = HS_BLOCK_PREFER; f <= HS_BLOCK_REQUIRE; f++) {
			r = request((enum hs_block_fallback)f, flags);
			p = map(8, &r);
			ck_assert_ptr_nonnull(p);
			ck_assert_uint_eq((uintptr_t)p % FAKE_SLOT, 0);
			want(1, 8, 0);
			unmap(p, 8);
			want(0, 0, 8);
		}
}
END_TEST

START_TEST(test_short)
{
	struct hs_block_request r;
	char *p;

	start(5);
	for (uint32_t flags = 0; flags <= HS_BLOCK_DONTFORK; flags++) {
		r = request(HS_BLOCK_REQUIRE, flags);
		ck_assert_ptr_null(map(8, &r));
		want(0, 0, 5);
		r = request(HS_BLOCK_TRY, flags);
		p = map(8, &r);
		want(1, 0, 5);
		memset(p, 1, 8 * FAKE_SLOT);
		unmap(p, 8);
		r = request(HS_BLOCK_PREFER, flags);
		p = map(8, &r);
		want(1, 5, 0);
		memset(p, 1, 8 * FAKE_SLOT);
		unmap(p, 8);
		want(0, 0, 5);
	}
	ck_assert_uint_eq(stats().failed, 2);
	ck_assert_uint_ge(stats().fallback_pages, 4);
}
END_TEST

/* The cap of the process holds for all blocks together, of either kind. */
START_TEST(test_cap)
{
	struct hs_block_request r = request(HS_BLOCK_REQUIRE, 0);
	char *p, *q;

	start(20);
	config.limit_bytes = 6 * FAKE_SLOT;
	ck_assert_ptr_null(map(7, &r));
	p = map(4, &r);
	ck_assert_ptr_nonnull(p);
	r.flags = HS_BLOCK_DONTFORK;
	ck_assert_ptr_null(map(3, &r));
	q = map(2, &r);
	ck_assert_ptr_nonnull(q);
	want(2, 6, 14);
	ck_assert_ptr_null(map(1, &r));
	unmap(p, 4);
	unmap(q, 2);
	p = map(6, &r);
	ck_assert_ptr_nonnull(p);
	unmap(p, 6);
}
END_TEST

START_TEST(test_switched_off)
{
	struct hs_block_request r = request(HS_BLOCK_REQUIRE, 0);
	char *p;

	start(8);
	config.mmap = config.heap = false; /* do not concern blocks */
	p = map(2, &r);
	ck_assert_ptr_nonnull(p);
	unmap(p, 2);
	config.enabled = false;
	ck_assert_ptr_null(map(2, &r));
	r.fallback = HS_BLOCK_PREFER;
	p = map(2, &r);
	want(1, 0, 8);
	unmap(p, 2);
}
END_TEST

START_TEST(test_resize)
{
	struct hs_block_request r = request(HS_BLOCK_REQUIRE, 0);
	void *q = NULL;
	char *p;

	start(8);
	p = map(3, &r);
	memset(p, 7, 3 * FAKE_SLOT);
	ck_assert_int_eq(hs_block_resize(p, 3 * FAKE_SLOT, 9 * FAKE_SLOT, true,
					 &q),
			 -ENOMEM);
	want(1, 3, 5);
	ck_assert_int_eq(hs_block_resize(p, 2 * FAKE_SLOT, FAKE_SLOT, true, &q),
			 -EINVAL);
	ck_assert_int_eq(hs_block_resize(p, 3 * FAKE_SLOT, 8 * FAKE_SLOT, true,
					 &q),
			 0);
	want(1, 8, 0);
	p = q;
	ck_assert_int_eq(p[0], 7);
	ck_assert_int_eq(p[3 * FAKE_SLOT - 1], 7);
	ck_assert_int_eq(p[3 * FAKE_SLOT], 0);
	ck_assert_int_eq(hs_block_resize(p, 8 * FAKE_SLOT, 5, false, &q), 0);
	ck_assert_ptr_eq(q, p);
	want(1, 1, 7);
	ck_assert_int_eq(hs_block_unmap(p, FAKE_SLOT), -EINVAL);
	ck_assert_int_eq(hs_block_unmap(p, 5), 0);
	want(0, 0, 8);
}
END_TEST

START_TEST(test_find)
{
	struct hs_block_request r = request(HS_BLOCK_PREFER, 0);
	size_t size = 0;
	void *at = NULL;
	char *p;

	start(8);
	p = map(3, &r);
	ck_assert_int_eq(hs_block_find(p + FAKE_SLOT + 9, &at, &size), 0);
	ck_assert_ptr_eq(at, p);
	ck_assert_uint_eq(size, 3 * FAKE_SLOT);
	ck_assert_int_eq(hs_block_find(p - 1, &at, &size), -EINVAL);
	ck_assert_int_eq(hs_block_find(p + 3 * FAKE_SLOT, &at, &size),
			 -EINVAL);
	unmap(p, 3);
	ck_assert_int_eq(hs_block_find(p, &at, &size), -EINVAL);
}
END_TEST

static struct hs_block_request bound(enum hs_block_fallback fallback)
{
	struct hs_block_request r = request(fallback, 0);

	r.mode = MPOL_BIND;
	r.nr_nodes = HS_BLOCK_NODES;
	r.nodes[0] = 1UL << 1;
	return r;
}

/* The pool has enough, the node has not. */
START_TEST(test_node_short)
{
	struct hs_block_request r;
	char *p;

	start(20);
	hs_sys.madvise = node_madvise;
	for (int f = HS_BLOCK_PREFER; f <= HS_BLOCK_REQUIRE; f++) {
		r = bound((enum hs_block_fallback)f);
		numa.node_pages = 3;
		p = map(5, &r);
		ck_assert_int_eq(numa.mode, MPOL_BIND);
		ck_assert_uint_eq(numa.nodes, 2);
		if (f == HS_BLOCK_REQUIRE) {
			ck_assert_ptr_null(p);
			want(0, 0, 20);
			continue;
		}
		/* What the fallback mapped has the policy, too. */
		ck_assert_uint_eq(numa.to, (uintptr_t)p + 5 * FAKE_SLOT);
		want(1, f == HS_BLOCK_TRY ? 0 : 3,
		     f == HS_BLOCK_TRY ? 20 : 17);
		unmap(p, 5);
		want(0, 0, 20);
	}
}
END_TEST

START_TEST(test_node_refused)
{
	struct hs_block_request r = bound(HS_BLOCK_PREFER);
	void *p = NULL;

	start(8);
	numa.err = EINVAL;
	ck_assert_int_eq(hs_block_map(FAKE_SLOT, &r, &p), -EINVAL);
	want(0, 0, 8);
	r.mode = 0;
	numa.nr_calls = 0;
	ck_assert_int_eq(hs_block_map(FAKE_SLOT, &r, &p), 0);
	ck_assert_uint_eq(numa.nr_calls, 0);
	unmap(p, 1);
}
END_TEST

START_TEST(test_sizes)
{
	struct hs_block_request r = request(HS_BLOCK_PREFER, 0);
	void *p = NULL;

	start(8);
	ck_assert_uint_eq(hs_block_page_bytes(), FAKE_SLOT);
	ck_assert_int_eq(hs_block_map(SIZE_MAX, &r, &p), -ENOMEM);
	ck_assert_int_eq(hs_block_map(PTRDIFF_MAX, &r, &p), -ENOMEM);
	r.page_bytes = HS_GIB;
	ck_assert_int_eq(hs_block_map(1, &r, &p), -EOPNOTSUPP);
	r.page_bytes = hs_sys_page_size();
	ck_assert_int_eq(hs_block_map(5, &r, &p), 0);
	want(1, 0, 8);
	ck_assert_int_eq(hs_block_unmap(p, 5), 0);
	want(0, 0, 8);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, test_enough);
	tcase_add_test(tc, test_short);
	tcase_add_test(tc, test_cap);
	tcase_add_test(tc, test_switched_off);
	tcase_add_test(tc, test_resize);
	tcase_add_test(tc, test_find);
	tcase_add_test(tc, test_node_short);
	tcase_add_test(tc, test_node_refused);
	tcase_add_test(tc, test_sizes);
}

int main(void)
{
	return unit_main("block", add_tests);
}
