/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alignment, exhaustion, limits and threads. */
#include <linux/mman.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "meta.h"
#include "sys.h"
#include "unit.h"

static bool is_all(const unsigned char *p, size_t len, unsigned char value)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != value)
			return false;
	return true;
}

START_TEST(aligned_zeroed_disjoint)
{
	static struct {
		unsigned char *p;
		size_t size_bytes;
	} got[3000];
	size_t i;

	for (i = 0; i < HS_ARRAY_SIZE(got); i++) {
		size_t align = (size_t)1 << i % 13;

		got[i].size_bytes = i * 7 % 2000 + i % 100 / 99 * 70000;
		got[i].p = hs_meta_alloc(got[i].size_bytes, align);
		ck_assert_ptr_nonnull(got[i].p);
		ck_assert_uint_eq((uintptr_t)got[i].p % align, 0);
		ck_assert(is_all(got[i].p, got[i].size_bytes, 0));
		memset(got[i].p, (int)i, got[i].size_bytes);
	}
	for (i = 0; i < HS_ARRAY_SIZE(got); i++)
		ck_assert(
			is_all(got[i].p, got[i].size_bytes, (unsigned char)i));
}
END_TEST

START_TEST(empty_requests_differ)
{
	ck_assert_ptr_ne(hs_meta_alloc(0, 1), hs_meta_alloc(0, 1));
}
END_TEST

static struct hs_sys real;
static size_t largest_bytes; /* mmap fails above this */
static unsigned nr_mmaps;

static void *limited_mmap(void *addr, size_t len, int prot, int flags, int fd,
			  off_t off)
{
	if (len > largest_bytes)
		return (void *)(intptr_t)-ENOMEM;
	nr_mmaps++;
	return real.mmap(addr, len, prot, flags, fd, off);
}

static void limit_mmap(size_t size_bytes)
{
	if (!real.mmap)
		real = hs_sys;
	hs_sys.mmap = limited_mmap;
	largest_bytes = size_bytes;
}

START_TEST(small_requests_share_a_chunk)
{
	unsigned i;

	limit_mmap(SIZE_MAX);
	for (i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(hs_meta_alloc(64, 64));
	ck_assert_uint_eq(nr_mmaps, 1);
	ck_assert_uint_ge(hs_meta_bytes(), 64000);
}
END_TEST

START_TEST(nothing_to_be_had)
{
	size_t before_bytes;

	limit_mmap(0);
	ck_assert_ptr_null(hs_meta_alloc(1, 1));
	ck_assert_ptr_null(hs_meta_alloc(HS_MIB, 4096));
	ck_assert_ptr_null(hs_meta_reserve(HS_MIB));
	ck_assert_uint_eq(hs_meta_bytes(), 0);
	ck_assert_ptr_null(hs_meta_alloc(SIZE_MAX, 16));
	ck_assert_ptr_null(hs_meta_reserve(SIZE_MAX));
	ck_assert_ptr_null(hs_meta_reserve(SIZE_MAX - 1));
	/* And it recovers. */
	limit_mmap(SIZE_MAX);
	ck_assert_ptr_nonnull(hs_meta_alloc(1, 1));
	before_bytes = hs_meta_bytes();
	limit_mmap(0);
	ck_assert_ptr_nonnull(hs_meta_alloc(1, 1));
	ck_assert_uint_eq(hs_meta_bytes(), before_bytes);
}
END_TEST

START_TEST(single_pages_where_no_chunk_fits)
{
	size_t page_bytes = hs_sys_page_size();
	unsigned char *p;
	unsigned i;

	limit_mmap(page_bytes);
	for (i = 0; i < 100; i++) {
		p = hs_meta_alloc(page_bytes / 2 + 8, 64);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % 64, 0);
		memset(p, 1, page_bytes / 2 + 8);
	}
	ck_assert_ptr_null(hs_meta_alloc(2 * page_bytes, 64));
}
END_TEST

START_TEST(under_rlimit_as)
{
	struct rlimit limit = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };
	unsigned nr = 0;

	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	while (hs_meta_alloc(4096, 64))
		nr++;
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	ck_assert_uint_eq(nr, 0);
	ck_assert_ptr_nonnull(hs_meta_alloc(4096, 64));
}
END_TEST

START_TEST(reserve_and_trim)
{
	size_t page_bytes = hs_sys_page_size();
	unsigned char in_core[1];
	char *table = hs_meta_reserve(64 * HS_MIB + 1);

	ck_assert_ptr_nonnull(table);
	ck_assert_uint_eq(hs_meta_bytes(), 64 * HS_MIB + page_bytes);
	ck_assert_int_eq(table[0], 0);
	table[63 * HS_MIB] = 1;
	ck_assert_int_eq(mincore(table + 32 * HS_MIB, page_bytes, in_core), 0);
	ck_assert_int_eq(in_core[0] & 1, 0);

	hs_meta_reserve_trim(table, 64 * HS_MIB + 1, page_bytes + 1);
	ck_assert_uint_eq(hs_meta_bytes(), 2 * page_bytes);
	ck_assert_int_eq(mincore(table + page_bytes, page_bytes, in_core), 0);
	ck_assert_int_eq(mincore(table + 2 * page_bytes, page_bytes, in_core),
			 -1);
	hs_meta_reserve_trim(table, 2 * page_bytes, 2 * page_bytes);
	ck_assert_uint_eq(hs_meta_bytes(), 2 * page_bytes);
}
END_TEST

static int refused_munmap(void *addr HS_UNUSED, size_t len HS_UNUSED)
{
	return -ENOMEM;
}

START_TEST(trim_may_fail)
{
	char *table = hs_meta_reserve(HS_MIB);

	hs_sys.munmap = refused_munmap;
	hs_meta_reserve_trim(table, HS_MIB, 0);
	ck_assert_uint_eq(hs_meta_bytes(), HS_MIB);
	table[HS_MIB - 1] = 1;
}
END_TEST

#define NR_THREADS 4
#define NR_BLOCKS 2000

static void *grab(void *arg)
{
	unsigned char **block = arg;
	unsigned i;

	for (i = 0; i < NR_BLOCKS; i++) {
		block[i] = hs_meta_alloc(40, 8);
		if (!block[i] || !is_all(block[i], 40, 0))
			abort();
		memset(block[i], 0xff, 40);
	}
	return NULL;
}

START_TEST(threads)
{
	static unsigned char *block[NR_THREADS][NR_BLOCKS];
	pthread_t thread[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&thread[i], NULL, grab, block[i]);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert(!hs_lock_is_mine(&hs_meta_lock));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, aligned_zeroed_disjoint);
	tcase_add_test(tc, empty_requests_differ);
	tcase_add_test(tc, small_requests_share_a_chunk);
	tcase_add_test(tc, nothing_to_be_had);
	tcase_add_test(tc, single_pages_where_no_chunk_fits);
	tcase_add_test(tc, under_rlimit_as);
	tcase_add_test(tc, reserve_and_trim);
	tcase_add_test(tc, trim_may_fail);
	tcase_add_test(tc, threads);
}

int main(void)
{
	return unit_main("meta", add);
}
