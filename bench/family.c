/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * family.c - what bench/malloc measures: the kinds of workload that papers
 * about allocators use, written from their descriptions.  One a process; what
 * it prints is said in measure.h.
 *
 * "pair", "batch100" and so on are for instruction counts: their work is
 * SCALE times a million calls of malloc and as many of free, and nothing else
 * depends on SCALE.
 */
#include "family.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

/* --- small objects that come and go --------------------------------------- */

/* 8 bytes to 1 KiB, small ones more often: an eighth of each doubling. */
static size_t small_size(uint64_t *state)
{
	size_t low = 8ul << random_below(state, 7);

	return low + random_below(state, low);
}

static void replace_blocks(char **blocks, size_t nr, size_t times)
{
	uint64_t state = 11;

	for (size_t i = 0; i < nr; i++) {
		blocks[i] = need(malloc(small_size(&state)));
		blocks[i][0] = (char)i;
	}
	while (times-- > 0) {
		size_t k = random_below(&state, nr);

		check += (unsigned char)blocks[k][0];
		free(blocks[k]);
		blocks[k] = need(malloc(small_size(&state)));
		blocks[k][0] = (char)times;
	}
	for (size_t i = 0; i < nr; i++)
		free(blocks[i]);
}

/* A few live in the processor's cache ... */
static void run_small(void)
{
	static char *blocks[1000];
	struct moment start = now();

	replace_blocks(blocks, 1000, scaled(25e6));
	phase_end("small", start);
}

/* ... and many that do not. */
static void run_heap(void)
{
	size_t nr = scaled(1e6);
	struct moment start = now();
	char **blocks = need(calloc(nr, sizeof(*blocks)));

	replace_blocks(blocks, nr, scaled(5e6));
	free(blocks);
	phase_end("heap", start);
}

/* --- symbolic algebra ----------------------------------------------------- */

/* Terms of a polynomial in x, by falling power, as a list. */
struct term {
	struct term *next;
	uint64_t factor;
	unsigned power;
};

static struct term *term_new(struct term *next, uint64_t factor, unsigned power)
{
	struct term *term = need(malloc(sizeof(*term)));

	*term = (struct term){ next, factor, power };
	return term;
}

static void poly_free(struct term *poly)
{
	while (poly) {
		struct term *next = poly->next;

		free(poly);
		poly = next;
	}
}

/* a + b * factor * x^power; a is used up. */
static struct term *poly_add(struct term *a, const struct term *b,
			     uint64_t factor, unsigned power)
{
	struct term **at = &a;

	for (; b; b = b->next) {
		unsigned wanted = b->power + power;

		while (*at && (*at)->power > wanted)
			at = &(*at)->next;
		if (*at && (*at)->power == wanted)
			(*at)->factor += b->factor * factor;
		else
			*at = term_new(*at, b->factor * factor, wanted);
	}
	return a;
}

static struct term *poly_multiply(const struct term *a, const struct term *b)
{
	struct term *product = NULL;

	for (; a; a = a->next)
		product = poly_add(product, b, a->factor, a->power);
	return product;
}

static struct term *poly_derive(const struct term *poly)
{
	struct term *derived = NULL, **end = &derived;

	for (; poly && poly->power; poly = poly->next) {
		*end = term_new(NULL, poly->factor * poly->power,
				poly->power - 1);
		end = &(*end)->next;
	}
	return derived;
}

static struct term *poly_random(uint64_t *state, unsigned nr_terms)
{
	struct term *poly = NULL;

	for (unsigned i = 0; i < nr_terms; i++)
		poly = term_new(poly, random_below(state, 1000), i * 3);
	return poly;
}

/* (a * b)' - a' * b, and again from its sum. */
static void run_algebra(void)
{
	uint64_t state = 12;
	struct moment start = now();

	for (size_t i = scaled(1.1e6); i > 0; i--) {
		struct term *a = poly_random(&state, 5 + i % 5);
		struct term *b = poly_random(&state, 5);
		struct term *ab = poly_multiply(a, b);
		struct term *left = poly_derive(ab), *da = poly_derive(a);
		struct term *right = poly_multiply(da, b);

		left = poly_add(left, right, ~(uint64_t)0, 0);
		for (struct term *term = left; term; term = term->next)
			check += term->factor ^ term->power;
		poly_free(a);
		poly_free(b);
		poly_free(ab);
		poly_free(da);
		poly_free(right);
		poly_free(left);
	}
	phase_end("algebra", start);
}

/* --- a batch is allocated, then freed ------------------------------------- */

#define BATCH 20000

/* As many of each size from 1 to 1000 bytes, the smallest most often; freed in
 * the order of allocation, in the opposite one, and the halves crosswise. */
static void run_batch(void)
{
	static char *blocks[BATCH];
	uint64_t state = 13;
	struct moment start = now();

	for (size_t round = scaled(600); round > 0; round--) {
		for (size_t i = 0; i < BATCH; i++) {
			size_t most = 1 + random_below(&state, 1000);

			blocks[i] = need(malloc(1 + most * most / 1000));
			blocks[i][0] = (char)i;
		}
		for (size_t i = 0; i < BATCH; i++) {
			size_t k = i;

			if (round % 3 == 1)
				k = BATCH - 1 - i;
			else if (round % 3 == 2)
				k = (i * 2 + (i >= BATCH / 2)) % BATCH;
			check += (unsigned char)blocks[k][0];
			free(blocks[k]);
		}
	}
	phase_end("batch", start);
}

/* --- large blocks --------------------------------------------------------- */

#define NR_LARGE 32

/* 32 KiB to 8 MiB; one byte a page is written. */
static void run_large(void)
{
	char *blocks[NR_LARGE] = { NULL };
	uint64_t state = 14;
	struct moment start = now();

	for (size_t i = scaled(12e3); i > 0; i--) {
		size_t k = random_below(&state, NR_LARGE);
		size_t low = 32768ul << random_below(&state, 8);
		size_t size_bytes = low + random_below(&state, low);

		free(blocks[k]);
		blocks[k] = need(malloc(size_bytes));
		touch(blocks[k], size_bytes);
		check += blocks[k][0] + size_bytes;
	}
	look_at_memory();
	for (size_t k = 0; k < NR_LARGE; k++)
		free(blocks[k]);
	phase_end("large", start);
}

/* --- fragmentation -------------------------------------------------------- */

#define NR_HOURS 40
#define PER_HOUR 150000

/*
 * Each "hour" has sizes of its own.  Most of what is allocated dies within the
 * hour, some lives for hours; what lives together did not die together.
 */
static void run_fragment(void)
{
	size_t per_hour = scaled(PER_HOUR), nr = per_hour * 2;
	uint64_t state = 15;
	struct moment start = now();
	char **blocks = need(calloc(nr, sizeof(*blocks)));

	for (unsigned hour = 0; hour < NR_HOURS; hour++) {
		size_t most = 32ul << random_below(&state, 8);

		for (size_t i = 0; i < per_hour; i++) {
			size_t k = random_below(&state, nr);
			size_t size_bytes = 16 + random_below(&state, most);

			/* A quarter of the table is left alone for long. */
			if (k % 4 == 0 && blocks[k] &&
			    random_below(&state, 16) != 0)
				continue;
			free(blocks[k]);
			blocks[k] = need(malloc(size_bytes));
			memset(blocks[k], (int)hour, size_bytes);
		}
		for (size_t k = 0; k < nr; k++) {
			if (!blocks[k])
				continue;
			check += (unsigned char)blocks[k][0];
			if (k % 4 != 0 && random_below(&state, 3) == 0) {
				free(blocks[k]);
				blocks[k] = NULL;
			}
		}
		look_at_memory();
	}
	for (size_t k = 0; k < nr; k++)
		free(blocks[k]);
	free(blocks);
	phase_end("fragment", start);
}

/* --- realloc -------------------------------------------------------------- */

#define NR_VECTORS 64

struct vector {
	uint32_t *items;
	size_t nr, room;
};

static void vector_add(struct vector *v, uint32_t item)
{
	if (v->nr == v->room) {
		v->room = v->room * 3 / 2 + 8;
		v->items = need(realloc(v->items, v->room * sizeof(item)));
	}
	v->items[v->nr++] = item;
}

/* Vectors that grow beside each other by half, up to megabytes, and begin
 * anew; strings that grow by a few bytes. */
static void run_realloc(void)
{
	struct vector vectors[NR_VECTORS] = { { NULL, 0, 0 } };
	uint64_t state = 16;
	struct moment start = now();

	for (size_t i = scaled(1.2e6); i > 0; i--) {
		struct vector *v = &vectors[random_below(&state, NR_VECTORS)];
		size_t nr = 1 + random_below(&state, 100);

		while (nr-- > 0)
			vector_add(v, (uint32_t)i);
		check += v->items[v->nr / 2];
		if (v->nr > random_below(&state, 40ul << 20)) {
			free(v->items);
			*v = (struct vector){ NULL, 0, 0 };
		}
	}
	look_at_memory();
	for (size_t k = 0; k < NR_VECTORS; k++)
		free(vectors[k].items);
	for (size_t i = scaled(200e3); i > 0; i--) {
		char *text = NULL;

		for (size_t len = 1; len < 200; len += 1 + len / 4) {
			text = need(realloc(text, len));
			text[len - 1] = (char)len;
		}
		check += (unsigned char)text[0];
		free(text);
	}
	phase_end("realloc", start);
}

/* --- aligned allocation --------------------------------------------------- */

#define NR_ALIGNED 2000

static void run_aligned(void)
{
	static char *blocks[NR_ALIGNED];
	uint64_t state = 17;
	struct moment start = now();

	for (size_t i = scaled(8e6); i > 0; i--) {
		size_t k = random_below(&state, NR_ALIGNED);
		size_t align = 32ul << random_below(&state, 8);
		void *p;

		free(blocks[k]);
		if (posix_memalign(&p, align, 1 + random_below(&state, 2048)))
			die("posix_memalign");
		blocks[k] = p;
		blocks[k][0] = (char)i;
		check += (uintptr_t)p % align;
	}
	for (size_t k = 0; k < NR_ALIGNED; k++)
		free(blocks[k]);
	phase_end("aligned", start);
}

/* --- rows of a table that are replaced ------------------------------------ */

struct row {
	struct row *next;
	uint64_t key;
	uint32_t nr_bytes;
	char text[];
};

static struct row **row_find(struct row **buckets, size_t mask, uint64_t key)
{
	struct row **row = &buckets[key & mask];

	while (*row && (*row)->key != key)
		row = &(*row)->next;
	return row;
}

static void row_add(struct row **buckets, size_t mask, uint64_t key)
{
	uint32_t nr_bytes = 16 + (uint32_t)(key >> 32) % 80;
	struct row **place = row_find(buckets, mask, key);
	struct row *row = need(malloc(sizeof(*row) + nr_bytes));

	row->next = *place;
	row->key = key;
	row->nr_bytes = nr_bytes;
	memset(row->text, (int)(key & 127), nr_bytes);
	*place = row;
}

static void row_replace(struct row **buckets, size_t mask, uint64_t key,
			uint64_t new_key)
{
	struct row **place = row_find(buckets, mask, key), *row = *place;

	if (row) {
		*place = row->next;
		check += (unsigned char)row->text[row->nr_bytes - 1];
		free(row);
	}
	row_add(buckets, mask, new_key);
}

/* A random row goes, another comes: of a million, far beyond the cache. */
static void run_rows(void)
{
	size_t nr = scaled(2e6), mask = 1;
	struct row **buckets;
	uint64_t state = 18;
	struct moment start;

	while (mask < nr)
		mask = mask * 2 + 1;
	buckets = need(calloc(mask + 1, sizeof(*buckets)));
	for (size_t i = 0; i < nr; i++)
		row_add(buckets, mask, mix(i));
	start = now();
	for (size_t i = 0; i < nr; i++)
		row_replace(buckets, mask, mix(random_below(&state, nr)),
			    mix(nr + i));
	phase_end("rows", start);
}

/* --- what goes back to the system ----------------------------------------- */

/* Each allocator has its own name for "return what is free". */
static void return_free(void)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t);
	void (*collect)(bool);
	void (*release)(void);

	/* POSIX has functions as objects here; ISO C has not. */
	*(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
	*(void **)&collect = dlsym(RTLD_DEFAULT, "mi_collect");
	*(void **)&release = dlsym(RTLD_DEFAULT,
				   "MallocExtension_ReleaseFreeMemory");
	if (mallctl)
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	if (collect)
		collect(true);
	if (release)
		release();
	malloc_trim(0);
}

/*
 * Two GiB of blocks of all kinds, nine in ten freed at random.  The phase is
 * what that takes; "kept" lines say what the process still holds then, and
 * after it has asked the allocator to return what is free.
 */
static void run_shrink(void)
{
	size_t want = scaled(2.0 * GIB), have = 0, nr = 0, live = 0;
	char **blocks = need(malloc(scaled(2e6) * sizeof(*blocks)));
	uint64_t state = 19;
	struct moment start;

	while (have < want && nr < scaled(2e6)) {
		size_t low = 32ul << random_below(&state, 12);
		size_t size_bytes = low + random_below(&state, low);

		blocks[nr] = need(malloc(size_bytes));
		memset(blocks[nr++], 1, size_bytes);
		have += size_bytes;
	}
	look_at_memory();
	printf("kept full %ld\n", resident_kib());
	start = now();
	for (size_t i = 0; i < nr; i++) {
		if (random_below(&state, 10) == 0) {
			live++;
			continue;
		}
		free(blocks[i]);
	}
	phase_end("shrink", start);
	printf("kept freed %ld\n", resident_kib());
	return_free();
	printf("kept returned %ld\n", resident_kib());
	check += live;
}

/* --- for instruction counts ----------------------------------------------- */

static size_t millions(void)
{
	return (size_t)(scale * 1e6);
}

static void pairs(size_t size_bytes)
{
	for (size_t i = millions(); i > 0; i--) {
		char *p = need(malloc(size_bytes));

		__asm__ volatile("" : : "r"(p) : "memory");
		free(p);
	}
}

static void run_pair16(void)
{
	pairs(16);
}

static void run_pair64(void)
{
	pairs(64);
}

static void run_pair512(void)
{
	pairs(512);
}

static void run_pair2k(void)
{
	pairs(2048);
}

/* As many are live at once; freed as a queue. */
static void batches(size_t nr, size_t size_bytes)
{
	void **blocks = need(malloc(nr * sizeof(*blocks)));

	for (size_t i = millions() / nr; i > 0; i--) {
		for (size_t k = 0; k < nr; k++)
			blocks[k] = need(malloc(size_bytes));
		for (size_t k = 0; k < nr; k++)
			free(blocks[k]);
	}
	free(blocks);
}

static void run_batch100(void)
{
	batches(100, 64);
}

static void run_batch10k(void)
{
	batches(10000, 64);
}

static void run_calloc(void)
{
	for (size_t i = millions(); i > 0; i--) {
		char *p = need(calloc(1, 64));

		__asm__ volatile("" : : "r"(p) : "memory");
		free(p);
	}
}

static const struct workload families[] = {
	{ "small", run_small },
	{ "heap", run_heap },
	{ "algebra", run_algebra },
	{ "server", run_server },
	{ "consume", run_consume },
	{ "batch", run_batch },
	{ "batch8", run_batch8 },
	{ "scratch", run_scratch },
	{ "thrash", run_thrash },
	{ "large", run_large },
	{ "short", run_short_threads },
	{ "fragment", run_fragment },
	{ "realloc", run_realloc },
	{ "aligned", run_aligned },
	{ "rows", run_rows },
	{ "shrink", run_shrink },
	{ "threads2", run_threads2 },
	{ "threads8", run_threads8 },
	{ "threads64", run_threads64 },
	{ "pair16", run_pair16 },
	{ "pair64", run_pair64 },
	{ "pair512", run_pair512 },
	{ "pair2k", run_pair2k },
	{ "batch100", run_batch100 },
	{ "batch10k", run_batch10k },
	{ "calloc", run_calloc },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_named(families, argc, argv);
}
