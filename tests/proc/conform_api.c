// SPDX-License-Identifier: LGPL-2.1-or-later
/* What each function of the malloc family promises, one thread: alignment,
 * errno, overflow, zero sizes, usable size. */
#include "tests/proc/both.h"

#include <malloc.h>

static void *volatile sink;

static bool aligned_to(const void *p, size_t align)
{
	return (uintptr_t)p % align == 0;
}

static void say(const char *call, const void *p, int err)
{
	printf("  %s: %s errno %d\n", call, p ? "block" : "NULL", err);
}

/* errno of a call that must not find it changed, or must change it. */
#define TRY(expression)                                                        \
	do {                                                                   \
		errno = 4711;                                                  \
		sink = (expression);                                           \
		say(#expression, sink, errno);                                 \
		free(sink);                                                    \
	} while (0)

static void sizes_and_alignment(void)
{
	size_t size;

	for (size = 0; size < 70000; size += size < 5000 ? 1 : 977) {
		unsigned char *p = malloc(size);
		size_t usable = malloc_usable_size(p);

		HS_T_CHECK(p && aligned_to(p, 16), "size %zu", size);
		HS_T_CHECK(usable >= size, "size %zu usable %zu", size, usable);
		memset(p, 0xa5, usable);
		free(p);
	}
}

static void zero_sizes(void)
{
	void *a = malloc(0), *b = malloc(0), *c = calloc(0, 8);
	void *d = calloc(8, 0), *e = NULL;

	HS_T_CHECK(a && b && c && d && a != b && b != c && c != d);
	HS_T_CHECK(posix_memalign(&e, 64, 0) == 0 && e && aligned_to(e, 64));
	free(a);
	free(b);
	free(c);
	free(d);
	free(e);
	TRY(malloc(0));
	TRY(realloc(NULL, 0));
	TRY(realloc(malloc(10), 0));
	TRY(reallocarray(malloc(10), 0, 7));
	TRY(reallocarray(malloc(10), 7, 0));
	TRY(memalign(4096, 0));
	TRY(aligned_alloc(4096, 0));
	TRY(valloc(0));
	TRY(pvalloc(0));
}

static void overflow(void)
{
	volatile size_t max = SIZE_MAX, half = PTRDIFF_MAX;
	void *p = malloc(100), *q = (void *)0x55;

	memset(p, 0x5a, 100);
	TRY(malloc(max));
	TRY(malloc(max - 4096));
	TRY(malloc(half));
	TRY(malloc(half + 1));
	TRY(malloc(half - 65536));
	TRY(calloc(max, 1));
	TRY(calloc(max / 2, 3));
	TRY(calloc(half, 2));
	TRY(calloc(1 + max / 4, 4));
	TRY(memalign(4096, max));
	TRY(memalign(4096, half));
	TRY(memalign(half + 1, 8));
	TRY(aligned_alloc(4096, max - 8));
	TRY(valloc(max));
	TRY(pvalloc(max));
	TRY(pvalloc(max - 4095));
	TRY(realloc(NULL, max));
	errno = 0;
	HS_T_CHECK(!realloc(p, max) && errno == ENOMEM);
	errno = 0;
	HS_T_CHECK(!realloc(p, half + 1) && errno == ENOMEM);
	errno = 0;
	HS_T_CHECK(!reallocarray(p, max / 2, 4) && errno == ENOMEM);
	HS_T_CHECK(posix_memalign(&q, 64, max) == ENOMEM && q == (void *)0x55);
	HS_T_CHECK(((unsigned char *)p)[99] == 0x5a);
	free(p);
}

static void alignment_rules(void)
{
	static const size_t odd[] = { 0, 1, 2, 3, 4, 7, 8, 12, 15, 16, 17, 24,
				      32, 33, 48, 64, 65, 100, 1000, 4095,
				      4097, 65537, SIZE_MAX / 2 + 1,
				      SIZE_MAX / 2 + 2, SIZE_MAX };
	size_t i, pow2, rounded;
	void *p;
	int err;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		p = (void *)0x77;
		errno = 4711;
		err = posix_memalign(&p, odd[i], 40);
		printf("  posix_memalign %zu: %d %s\n", odd[i], err,
		       p == (void *)0x77 ? "untouched" : "set");
		if (!err) {
			HS_T_CHECK(aligned_to(p, odd[i]));
			free(p);
		}
		errno = 4711;
		p = memalign(odd[i], 40);
		printf("  memalign %zu: %s %d\n", odd[i], p ? "block" : "NULL",
		       errno);
		for (pow2 = 1; pow2 < odd[i] && pow2 < 1 << 20; pow2 *= 2)
			;
		rounded = pow2;
		HS_T_CHECK(!p || aligned_to(p, rounded), "%zu", odd[i]);
		free(p);
		errno = 4711;
		p = aligned_alloc(odd[i], 40);
		printf("  aligned_alloc %zu: %s %d\n", odd[i],
		       p ? "block" : "NULL", errno);
		free(p);
	}
}

/* Every power of two up to 1 GiB, small and large blocks, all alive at once. */
static void memalign_to_1gib(void)
{
	static const size_t sizes[] = { 1, 100, 4096, 70000, 3000000 };
	void *held[31 * 5];
	size_t nr = 0, shift, i, usable;
	unsigned char *p;

	for (shift = 0; shift <= 30; shift++) {
		for (i = 0; i < 5; i++) {
			p = memalign((size_t)1 << shift, sizes[i]);
			HS_T_CHECK(p, "shift %zu size %zu", shift, sizes[i]);
			HS_T_CHECK(aligned_to(p, (size_t)1 << shift),
				   "shift %zu", shift);
			usable = malloc_usable_size(p);
			HS_T_CHECK(usable >= sizes[i]);
			hs_t_fill(p, sizes[i], nr);
			held[nr++] = p;
		}
	}
	for (i = 0; i < nr; i++) {
		HS_T_CHECK(hs_t_verify(held[i], sizes[i % 5], i) < 0,
			   "block %zu", i);
		free(held[i]);
	}
}

static void page_functions(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size;

	for (size = 0; size < 3 * page; size += page / 3) {
		void *p = valloc(size), *q = pvalloc(size);

		HS_T_CHECK(p && q && aligned_to(p, page));
		HS_T_CHECK(aligned_to(q, page));
		HS_T_CHECK(malloc_usable_size(q) >=
			   (size + page - 1) / page * page);
		free(p);
		free(q);
	}
}

/* Of every class: dirty it, free it, and ask for zeros. */
static void calloc_is_zero(void)
{
	static const size_t sizes[] = { 1,	8,	24,	100,   600,
					4000,	5000,	40000,	70000, 300000,
					1900000, 5000000, 40000000 };
	size_t i, round, at;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *p = malloc(sizes[i]);

			memset(p, 0xff, malloc_usable_size(p));
			free(p);
			p = calloc(round % 2 ? 1 : sizes[i],
				   round % 2 ? sizes[i] : 1);
			HS_T_CHECK(p);
			for (at = 0; at < sizes[i]; at++)
				HS_T_CHECK(p[at] == 0, "size %zu byte %zu",
					   sizes[i], at);
			memset(p, 0xee, sizes[i]);
			free(p);
		}
	}
}

static void free_keeps_errno(void)
{
	static const size_t sizes[] = { 10, 5000, 200000, 3000000, 70000000 };
	size_t i;

	for (i = 0; i < 5; i++) {
		void *p = malloc(sizes[i]);

		HS_T_CHECK(p);
		memset(p, 1, sizes[i]);
		errno = 4711;
		free(p);
		HS_T_CHECK(errno == 4711, "size %zu", sizes[i]);
	}
	errno = 4711;
	free(NULL);
	HS_T_CHECK(errno == 4711);
	HS_T_CHECK(malloc_usable_size(NULL) == 0);
	errno = 4711;
	sink = malloc(100);
	HS_T_CHECK(errno == 4711);
	free(sink);
}

/* No two live blocks overlap: each is filled by its own pattern. */
static void blocks_do_not_overlap(void)
{
	enum { NR = 4000 };
	static void *block[NR];
	static size_t size[NR];
	struct hs_t_rng rng = { hs_t_seed(42) };
	size_t step, i;

	for (step = 0; step < 60000; step++) {
		i = hs_t_below(&rng, NR);
		if (block[i]) {
			HS_T_CHECK(hs_t_verify(block[i], size[i], i) < 0);
			free(block[i]);
		}
		size[i] = hs_t_next(&rng) >> (50 + hs_t_below(&rng, 13));
		block[i] = malloc(size[i]);
		HS_T_CHECK(block[i]);
		hs_t_fill(block[i], size[i], i);
	}
	for (i = 0; i < NR; i++) {
		HS_T_CHECK(hs_t_verify(block[i], size[i], i) < 0);
		free(block[i]);
	}
}

static void knobs(void)
{
	struct mallinfo2 before, after;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	void *p;

	printf("  mallopt %d %d %d\n", mallopt(M_MMAP_THRESHOLD, 1 << 20),
	       mallopt(M_ARENA_MAX, 1), mallopt(M_MXFAST, 1 << 20));
	before = mallinfo2();
	p = malloc(50 << 20);
	after = mallinfo2();
	HS_T_CHECK(p);
	HS_T_CHECK(after.uordblks + after.hblkhd >=
		   before.uordblks + before.hblkhd + (50 << 20));
	free(p);
	malloc_trim(0);
	after = mallinfo2();
	HS_T_CHECK(after.uordblks + after.hblkhd < before.uordblks +
							  before.hblkhd +
							  (1 << 20));
	out = open_memstream(&text, &len);
	printf("  malloc_info %d %d\n", malloc_info(1, out),
	       malloc_info(0, out));
	fclose(out);
	HS_T_CHECK(strstr(text, "<malloc version=") &&
		   strstr(text, "</malloc>"));
	free(text);
}

const struct hs_t_case hs_t_cases[] = {
	{ "sizes_and_alignment", sizes_and_alignment, false },
	{ "zero_sizes", zero_sizes, false },
	{ "overflow", overflow, false },
	{ "alignment_rules", alignment_rules, false },
	{ "memalign_to_1gib", memalign_to_1gib, false },
	{ "page_functions", page_functions, false },
	{ "calloc_is_zero", calloc_is_zero, false },
	{ "free_keeps_errno", free_keeps_errno, false },
	{ "blocks_do_not_overlap", blocks_do_not_overlap, false },
	{ "knobs", knobs, false },
	{ NULL, NULL, false },
};

HS_T_BOTH_MAIN
