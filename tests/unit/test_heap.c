// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One thread against a model: contents, alignment, bounds, what is in use.
 */
#include <sys/mman.h>

#include "heap_model.h"

#include "heap_class.h"
#include "heap_span.h"
#include "region.h"

#define NR_BLOCKS 600
#define NR_STEPS 60000

static const uint64_t seeds[] = { 1, 20, 4242, 99991 };

static void model_free(struct block *b)
{
	ck_assert_msg(block_is_whole(b, b->len), "%p of %zu was overwritten",
		      (void *)b->p, b->len);
	hs_heap_free(b->p);
	b->p = NULL;
}

static void model_alloc(struct block *b, uint64_t *state)
{
	size_t align = (size_t)16 << rnd(state) % 10;
	unsigned how = rnd(state) % 8;

	b->len = rnd_size(state);
	if (how == 0)
		b->p = hs_heap_calloc(b->len);
	else if (how == 1)
		b->p = hs_heap_memalign(align, b->len);
	else if (how == 2)
		b->p = hs_heap_malloc_base(b->len);
	else
		b->p = hs_heap_malloc(b->len);
	ck_assert_ptr_nonnull(b->p);
	ck_assert_uint_eq((uintptr_t)b->p % (how == 1 ? align : 16), 0);
	ck_assert_uint_ge(hs_heap_usable_size(b->p), b->len);
	ck_assert(how != 0 || is_zero(b->p, b->len));
	block_fill(b, (unsigned char)rnd(state));
}

static void model_realloc(struct block *b, uint64_t *state)
{
	size_t len = rnd_size(state), kept = HS_MIN(len, b->len);
	unsigned char *p = hs_heap_realloc(b->p, len);

	ck_assert_ptr_nonnull(p);
	b->p = p;
	ck_assert_msg(block_is_whole(b, kept), "realloc %zu to %zu", b->len,
		      len);
	b->len = len;
	block_fill(b, (unsigned char)rnd(state));
}

START_TEST(model)
{
	static struct block blocks[NR_BLOCKS];
	struct hs_heap_usage usage;
	uint64_t state = seeds[_i];
	unsigned i;

	heap_test_init();
	for (i = 0; i < NR_STEPS; i++) {
		struct block *b = &blocks[rnd(&state) % NR_BLOCKS];

		if (b->p == NULL)
			model_alloc(b, &state);
		else if (rnd(&state) % 4 == 0)
			model_realloc(b, &state);
		else
			model_free(b);
		if (i % 5000 == 0)
			ck_assert_int_eq(hs_heap_check(), 0);
		if (i % 20000 == 19999)
			hs_heap_trim(0);
	}
	for (i = 0; i < NR_BLOCKS; i++)
		if (blocks[i].p != NULL)
			model_free(&blocks[i]);
	ck_assert_int_eq(hs_heap_check(), 0);
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.allocated_bytes, 0);
	hs_heap_trim(0);
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.mapped_bytes, 0);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(class_table)
{
	size_t size, before = 0;
	unsigned i;

	for (i = 0; i < HS_NR_CLASSES; i++) {
		const struct hs_class *c = &hs_classes[i];
		size_t used = (size_t)c->capacity * c->size_bytes;

		ck_assert_uint_eq(c->size_bytes % 16, 0);
		ck_assert_uint_gt(c->size_bytes, before);
		ck_assert_uint_le(used, c->nr_units * HS_UNIT);
		/* A slab's tail needs a bit in its last word. */
		ck_assert(used == c->nr_units * HS_UNIT ||
			  c->capacity % 64 != 0);
		ck_assert_uint_eq(c->nr_words, (c->capacity + 63) / 64);
		if (before >= 128)
			ck_assert_uint_le((c->size_bytes - before - 1) * 8,
					  c->size_bytes);
		before = c->size_bytes;
	}
	for (size = 0; size <= HS_LARGE_MAX; size++) {
		unsigned class = hs_class_of(size);

		if (hs_classes[class].size_bytes < size ||
		    (class > 0 && hs_classes[class - 1].size_bytes >= size))
			ck_abort_msg("class %u for %zu", class, size);
	}
}
END_TEST

/* The first class that is large enough and a multiple of the alignment. */
START_TEST(class_aligned)
{
	size_t size, align;
	unsigned i;

	for (align = 16; align <= HS_UNIT; align *= 2)
		for (size = 0; size <= HS_LARGE_MAX; size += 61) {
			for (i = 0; i < HS_NR_CLASSES; i++)
				if (hs_classes[i].size_bytes >= size &&
				    hs_classes[i].size_bytes % align == 0)
					break;
			if (hs_class_of_aligned(size, align) != i)
				ck_abort_msg("%zu aligned to %zu", size, align);
			if (size > HS_ALIGNED_MAX || align > HS_ALIGNED_MAX)
				continue;
			/* The short way of memalign is to the same class. */
			ck_assert_uint_eq(hs_class_of_small(hs_align_up(
						  HS_MAX(size, (size_t)1),
						  align)),
					  i);
		}
}
END_TEST

/* The reciprocal tells multiples from everything else, for every offset. */
START_TEST(class_reciprocals)
{
	unsigned i;
	uint64_t off;

	for (i = 0; i < HS_NR_SMALL; i++) {
		const struct hs_class *c = &hs_classes[i];

		for (off = 0; c->nr_units == 1 && off < HS_UNIT; off++) {
			uint64_t product = off * c->recip;
			bool exact = (uint32_t)product < c->recip;

			if (exact != (off % c->size_bytes == 0) ||
			    (exact && product >> 32 != off / c->size_bytes))
				ck_abort_msg("class %u, offset %zu", i,
					     (size_t)off);
		}
	}
}
END_TEST

START_TEST(aligned)
{
	size_t align, size;

	heap_test_init();
	for (align = 16; align <= 64 * HS_MIB; align *= 2)
		for (size = 0; size < 3 * HS_MIB; size = size * 3 + 1) {
			char *p = hs_heap_memalign(align, size);

			ck_assert_ptr_nonnull(p);
			ck_assert_uint_eq((uintptr_t)p % align, 0);
			ck_assert_uint_ge(hs_heap_usable_size(p), size);
			memset(p, 1, HS_MIN(size, (size_t)4096));
			hs_heap_free_sized(p, size, align);
		}
	ck_assert_int_eq(hs_heap_check(), 0);
}
END_TEST

/* What is in use stays near what was asked for, for one size at a time. */
START_TEST(no_gap)
{
	static const size_t sizes[] = { 64,      4096,    65536,
					131072,  204800,  1 << 20,
					1992294, 3 << 20, 64 << 20 };
	size_t size = sizes[_i], total = 256 * HS_MIB, nr = total / size, i;
	struct hs_heap_usage usage;
	void **blocks;

	heap_test_init();
	blocks = calloc(nr, sizeof(*blocks));
	for (i = 0; i < nr; i++) {
		blocks[i] = hs_heap_malloc(size);
		ck_assert_ptr_nonnull(blocks[i]);
	}
	hs_heap_usage(&usage);
	ck_assert_uint_le(usage.mapped_bytes, nr * size * 115 / 100);
	for (i = 0; i < nr; i++)
		hs_heap_free(blocks[i]);
	ck_assert_int_eq(hs_heap_check(), 0);
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.allocated_bytes, 0);
	hs_heap_trim(0);
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.mapped_bytes, 0);
	free(blocks);
}
END_TEST

START_TEST(calloc_zeroes_again)
{
	size_t size;

	heap_test_init();
	for (size = 1; size < 40 * HS_MIB; size = size * 2 + size / 3 + 1) {
		unsigned char *p = hs_heap_malloc(size);

		memset(p, 0xaa, size);
		hs_heap_free(p);
		p = hs_heap_calloc(size);
		ck_assert(is_zero(p, size));
		memset(p, 0xaa, size);
		hs_heap_free(p);
		hs_heap_trim(0);
		p = hs_heap_calloc(size);
		ck_assert(is_zero(p, size));
		hs_heap_free(p);
	}
}
END_TEST

/* Is any whole page between the two there? */
static bool is_resident(const unsigned char *from, const unsigned char *to)
{
	uintptr_t page = hs_align_up((uintptr_t)from, 4096);
	unsigned char there;

	for (; page + 4096 <= (uintptr_t)to; page += 4096) {
		ck_assert_int_eq(mincore((void *)page, 4096, &there), 0);
		if (there & 1)
			return true;
	}
	return false;
}

/* One block in ten keeps its slab, and no page but its own. */
START_TEST(trim_inside)
{
	static const size_t sizes[] = { 8000, 12000, 32768, 100000, 700000 };
	unsigned char *p[200], *again;
	size_t size = sizes[_i], i;

	heap_test_init();
	for (i = 0; i < 200; i++) {
		p[i] = hs_heap_malloc(size);
		memset(p[i], (int)i, size);
	}
	for (i = 0; i < 200; i++)
		if (i % 10 != 0)
			hs_heap_free(p[i]);
	ck_assert(hs_heap_trim(0));
	for (i = 0; i < 200; i++) {
		if (i % 10 != 0)
			ck_assert(!is_resident(p[i], p[i] + size));
		else
			ck_assert(p[i][0] == i && !memcmp(p[i], p[i] + 1,
							  size - 1));
	}
	for (i = 0; i < 200; i++) {
		again = hs_heap_calloc(size);
		ck_assert(is_zero(again, size));
		memset(again, 0xaa, size);
	}
	ck_assert_int_eq(hs_heap_check(), 0);
}
END_TEST

START_TEST(big_realloc)
{
	size_t size, i;
	unsigned char *p, *barrier;

	heap_test_init();
	p = hs_heap_malloc(17 * HS_MIB);
	for (i = 0; i < 17 * HS_MIB; i += 4096)
		p[i] = (unsigned char)(i >> 12);
	for (size = 20 * HS_MIB; size < 200 * HS_MIB; size += 33 * HS_MIB) {
		p = hs_heap_realloc(p, size);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_ge(hs_heap_usable_size(p), size);
		for (i = 0; i < 17 * HS_MIB; i += 4096)
			ck_assert_uint_eq(p[i], (unsigned char)(i >> 12));
		p[size - 1] = 7;
		/* Make the next one move. */
		barrier = hs_heap_malloc(16 * HS_MIB);
		ck_assert_ptr_nonnull(barrier);
		ck_assert_int_eq(hs_heap_check(), 0);
	}
	p = hs_heap_realloc(p, 18 * HS_MIB);
	p = hs_heap_realloc(p, 100);
	ck_assert_uint_eq(p[0], 0);
	hs_heap_free(p);
	ck_assert_int_eq(hs_heap_check(), 0);
	ck_assert_int_eq(hs_region_check(), 0);
}
END_TEST

START_TEST(sizes_that_fail)
{
	heap_test_init();
	ck_assert_ptr_null(hs_heap_malloc(SIZE_MAX));
	ck_assert_ptr_null(hs_heap_malloc(SIZE_MAX - 14));
	ck_assert_ptr_null(hs_heap_malloc((size_t)PTRDIFF_MAX + 1));
	ck_assert_ptr_null(hs_heap_malloc(PTRDIFF_MAX));
	ck_assert_ptr_null(hs_heap_calloc(PTRDIFF_MAX));
	ck_assert_ptr_null(hs_heap_memalign(4096, PTRDIFF_MAX));
	ck_assert_uint_eq(hs_heap_good_size(PTRDIFF_MAX), 0);
	ck_assert_ptr_nonnull(hs_heap_malloc(0));
	ck_assert_ptr_ne(hs_heap_malloc(0), hs_heap_malloc(0));
	ck_assert_int_eq(hs_heap_check(), 0);
}
END_TEST

/* Free slots up to the bound stay, the rest goes; trim takes all. */
START_TEST(retention)
{
	static char *const envp[] = { (char *)"HUGESHIM_BACKING=base",
				      (char *)"HUGESHIM_DECAY=0",
				      (char *)"HUGESHIM_RETAIN=8M", NULL };
	struct hs_heap_usage usage;
	void *p[60];
	int i;

	hs_config_init(envp, false);
	for (i = 0; i < 60; i++)
		p[i] = hs_heap_malloc(2 * HS_MIB);
	hs_heap_usage(&usage);
	ck_assert_uint_ge(usage.mapped_bytes, 120 * HS_MIB);
	for (i = 0; i < 60; i++)
		hs_heap_free(p[i]);
	hs_heap_usage(&usage);
	ck_assert_uint_le(usage.mapped_bytes, 12 * HS_MIB);
	ck_assert_uint_ge(usage.mapped_bytes, 8 * HS_MIB);
	ck_assert_uint_eq(usage.mapped_bytes, usage.retained_bytes);
	ck_assert(hs_heap_trim(0));
	hs_heap_usage(&usage);
	ck_assert_uint_eq(usage.mapped_bytes, 0);
	ck_assert(!hs_heap_trim(0));
	ck_assert_int_eq(hs_heap_check(), 0);
}
END_TEST

/* A churn of small blocks of many sizes does not grow without bound. */
START_TEST(churn_is_bounded)
{
	static void *blocks[4000];
	struct hs_heap_usage usage;
	uint64_t state = 7;
	size_t i;

	heap_test_init();
	for (i = 0; i < 2000000; i++) {
		void **b = &blocks[rnd(&state) % 4000];

		hs_heap_free(*b);
		*b = hs_heap_malloc(rnd(&state) % 2000);
	}
	hs_heap_usage(&usage);
	ck_assert_uint_le(usage.mapped_bytes, 16 * HS_MIB);
	ck_assert_int_eq(hs_heap_check(), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, model, 0, HS_ARRAY_SIZE(seeds));
	tcase_add_test(tc, class_table);
	tcase_add_test(tc, class_reciprocals);
	tcase_add_test(tc, class_aligned);
	tcase_add_test(tc, aligned);
	tcase_add_loop_test(tc, no_gap, 0, 9);
	tcase_add_test(tc, calloc_zeroes_again);
	tcase_add_loop_test(tc, trim_inside, 0, 5);
	tcase_add_test(tc, big_realloc);
	tcase_add_test(tc, sizes_that_fail);
	tcase_add_test(tc, retention);
	tcase_add_test(tc, churn_is_bounded);
}

int main(void)
{
	return unit_main("heap", add);
}
