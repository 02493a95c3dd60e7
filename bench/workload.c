/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * workload.c - what bench/run measures, one workload a process.
 *
 *   workload NAME [SCALE]
 *
 * Only malloc and free, so that any allocator can be preloaded.  What it prints
 * is said in measure.h.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

/* --- random update over 2 GiB -------------------------------------------- */

static void run_update(void)
{
	size_t nr_words = scaled(2.0 * GIB) / sizeof(uint64_t);
	uint64_t *words = need(malloc(nr_words * sizeof(*words)));
	uint64_t state = 1;
	struct moment start;

	for (size_t i = 0; i < nr_words; i++)
		words[i] = i;
	start = now();
	for (size_t i = scaled(40e6); i > 0; i--)
		words[random_below(&state, nr_words)] ^= state;
	phase_end("update", start);
	for (size_t i = 0; i < nr_words; i += 64)
		check += mix(words[i]);
	free(words);
}

/* --- 20 million nodes of 64 bytes, in random order ------------------------ */

struct node {
	struct node *next;
	uint64_t value[7];
};

static struct node **allocate_nodes(size_t nr)
{
	struct node **nodes = need(malloc(nr * sizeof(*nodes)));

	for (size_t i = 0; i < nr; i++) {
		nodes[i] = need(malloc(sizeof(**nodes)));
		nodes[i]->value[0] = i;
	}
	return nodes;
}

/* One cycle through all of them (Sattolo). */
static struct node *link_nodes(struct node **nodes, size_t nr)
{
	uint64_t state = 2;

	for (size_t i = nr - 1; i > 0; i--) {
		size_t k = random_below(&state, i);
		struct node *swap = nodes[i];

		nodes[i] = nodes[k];
		nodes[k] = swap;
	}
	for (size_t i = 0; i < nr; i++)
		nodes[i]->next = nodes[i + 1 < nr ? i + 1 : 0];
	return nodes[0];
}

static void run_chase(void)
{
	size_t nr = scaled(20e6);
	struct moment start = now();
	struct node **nodes = allocate_nodes(nr);
	struct node *node;

	phase_end("node-malloc", start);
	node = link_nodes(nodes, nr);
	start = now();
	for (size_t i = 0; i < nr; i++) {
		check += node->value[0] ^ i;
		node = node->next;
	}
	phase_end("chase", start);
	start = now();
	for (size_t i = 0; i < nr; i++)
		free(nodes[i]);
	phase_end("node-free", start);
	free(nodes);
}

/* --- a hash map of 10 million nodes --------------------------------------- */

struct entry {
	struct entry *next;
	uint64_t key;
	uint64_t value;
	char payload[24];
};

static struct entry **map_find(struct entry **buckets, size_t mask,
			       uint64_t key)
{
	struct entry **entry = &buckets[key & mask];

	while (*entry && (*entry)->key != key)
		entry = &(*entry)->next;
	return entry;
}

static void map_fill(struct entry **buckets, size_t mask, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct entry **place = map_find(buckets, mask, mix(i));
		struct entry *entry = need(malloc(sizeof(*entry)));

		entry->next = *place;
		entry->key = mix(i);
		entry->value = i;
		*place = entry;
	}
}

static void run_map(void)
{
	size_t nr = scaled(10e6), mask = 1;
	struct entry **buckets;
	uint64_t state = 3;
	struct moment start;

	while (mask < nr)
		mask = mask * 2 + 1;
	start = now();
	buckets = need(calloc(mask + 1, sizeof(*buckets)));
	map_fill(buckets, mask, nr);
	for (size_t i = 0; i < nr; i++) {
		uint64_t key = mix(random_below(&state, nr));

		check += (*map_find(buckets, mask, key))->value;
	}
	for (size_t i = 0; i < nr; i++) {
		struct entry **place = map_find(buckets, mask, mix(i));
		struct entry *entry = *place;

		*place = entry->next;
		free(entry);
	}
	free(buckets);
	phase_end("map", start);
}

/* --- first touch and re-touch of 2 GiB ------------------------------------ */

static void run_touch(void)
{
	size_t size_bytes = scaled(2.0 * GIB);
	struct moment start = now();
	char *p = need(malloc(size_bytes));

	touch(p, size_bytes);
	phase_end("first-touch", start);
	start = now();
	free(p);
	p = need(malloc(size_bytes));
	touch(p, size_bytes);
	phase_end("re-touch", start);
	check += p[size_bytes / 2 & ~4095ul];
	free(p);
}

/* --- threads that free what the other allocated --------------------------- */

#define RING_SIZE 4096u

/* One writer, one reader; each index has its cache line. */
struct ring {
	_Alignas(64) _Atomic size_t head; /* written by the writer */
	_Alignas(64) _Atomic size_t tail; /* written by the reader */
	_Alignas(64) uint64_t *slots[RING_SIZE];
};

struct exchange {
	struct ring *out, *in;
	uint64_t state;
	uint64_t sum;
	size_t nr_blocks;
};

static bool ring_put(struct ring *ring, uint64_t *block)
{
	size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	/* Pairs with the release in ring_get(). */
	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) ==
	    RING_SIZE)
		return false;
	ring->slots[head % RING_SIZE] = block;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	return true;
}

static uint64_t *ring_get(struct ring *ring)
{
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t *block;

	/* Pairs with the release in ring_put(). */
	if (tail == atomic_load_explicit(&ring->head, memory_order_acquire))
		return NULL;
	block = ring->slots[tail % RING_SIZE];
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return block;
}

static size_t receive(struct exchange *x)
{
	size_t nr = 0;
	uint64_t *block;

	while ((block = ring_get(x->in))) {
		x->sum += *block;
		free(block);
		nr++;
	}
	return nr;
}

static void *exchange_blocks(void *arg)
{
	struct exchange *x = arg;
	size_t nr_received = 0;

	for (size_t i = 0; i < x->nr_blocks; i++) {
		size_t size_bytes = 16 + random_below(&x->state, 1008);
		uint64_t *block = need(malloc(size_bytes));

		*block = i;
		while (!ring_put(x->out, block)) {
			size_t nr = receive(x);

			nr_received += nr;
			if (!nr)
				sched_yield();
		}
		if (i % 64 == 0)
			nr_received += receive(x);
	}
	while (nr_received < x->nr_blocks) {
		size_t nr = receive(x);

		nr_received += nr;
		if (!nr)
			sched_yield();
	}
	return NULL;
}

static void run_threads(void)
{
	static struct ring rings[2];
	struct exchange x[2];
	pthread_t thread;
	struct moment start = now();

	for (int i = 0; i < 2; i++)
		x[i] = (struct exchange){
			.out = &rings[i],
			.in = &rings[!i],
			.state = 4 + i,
			.nr_blocks = scaled(12e6),
		};
	if (pthread_create(&thread, NULL, exchange_blocks, &x[1]))
		die("pthread_create");
	exchange_blocks(&x[0]);
	pthread_join(thread, NULL);
	phase_end("threads", start);
	check += x[0].sum + x[1].sum;
}

/* --- large blocks that come and go ---------------------------------------- */

#define NR_LARGE 64

/* 32 KiB to 32 MiB, each power of two as likely as any other. */
static size_t large_size(uint64_t *state)
{
	size_t low = 32768ul << random_below(state, 10);

	return low + random_below(state, low);
}

static void run_churn(void)
{
	char *blocks[NR_LARGE] = { NULL };
	uint64_t state = 6;
	struct moment start = now();

	for (size_t i = scaled(4000); i > 0; i--) {
		size_t k = random_below(&state, NR_LARGE);
		size_t size_bytes = large_size(&state);

		if (i % 8 == 0) {
			blocks[k] = need(realloc(blocks[k], size_bytes));
		} else {
			free(blocks[k]);
			blocks[k] = need(malloc(size_bytes));
		}
		touch(blocks[k], size_bytes);
		check += blocks[k][0] + size_bytes;
	}
	phase_end("churn", start);
	for (size_t k = 0; k < NR_LARGE; k++)
		free(blocks[k]);
}

/* -------------------------------------------------------------------------- */

static const struct workload workloads[] = {
	{ "update", run_update },   { "chase", run_chase },
	{ "map", run_map },         { "touch", run_touch },
	{ "threads", run_threads }, { "churn", run_churn },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_named(workloads, argc, argv);
}
