/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "family.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define MOST_THREADS 64

static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (pthread_create(thread, NULL, run, arg))
		die("pthread_create");
}

/* @run with each of @nr arguments of @size bytes, until all have ended. */
static void run_all(void *(*run)(void *), void *args, size_t size, size_t nr)
{
	pthread_t threads[MOST_THREADS];

	for (size_t i = 0; i < nr; i++)
		start_thread(&threads[i], run, (char *)args + i * size);
	for (size_t i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

/* --- servers that hand their blocks over ---------------------------------- */

#define NR_SERVERS 4
#define SERVER_BLOCKS 4000

struct server {
	char *blocks[SERVER_BLOCKS];
	uint64_t state;
	uint64_t sum;
	size_t left; /* requests of this thread */
	unsigned generations;
};

/* Requests of 8 to 1000 bytes replace a random older one; then the next thread
 * goes on with the blocks of this one. */
static void *serve(void *arg)
{
	struct server *s = arg;

	for (size_t i = s->left; i > 0; i--) {
		size_t k = random_below(&s->state, SERVER_BLOCKS);
		size_t size_bytes = 8 + random_below(&s->state, 992);

		if (s->blocks[k])
			s->sum += (unsigned char)s->blocks[k][0];
		free(s->blocks[k]);
		s->blocks[k] = need(malloc(size_bytes));
		s->blocks[k][0] = (char)i;
		s->blocks[k][size_bytes - 1] = (char)i;
	}
	return NULL;
}

static void *serve_generations(void *arg)
{
	struct server *s = arg;
	pthread_t thread;

	for (unsigned i = 0; i < s->generations; i++) {
		start_thread(&thread, serve, s);
		pthread_join(thread, NULL);
	}
	return NULL;
}

void run_server(void)
{
	static struct server servers[NR_SERVERS];
	struct moment start = now();

	for (size_t i = 0; i < NR_SERVERS; i++) {
		servers[i].state = 21 + i;
		servers[i].generations = 100;
		servers[i].left = scaled(30e3);
	}
	run_all(serve_generations, servers, sizeof(*servers), NR_SERVERS);
	look_at_memory();
	for (size_t i = 0; i < NR_SERVERS; i++) {
		check += servers[i].sum;
		for (size_t k = 0; k < SERVER_BLOCKS; k++)
			free(servers[i].blocks[k]);
	}
	phase_end("server", start);
}

/* --- producers and consumers ---------------------------------------------- */

#define PARCEL 200
#define QUEUE 32

struct parcel {
	struct parcel *next;
	uint64_t *blocks[PARCEL];
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct parcel *head;
	unsigned nr;
	unsigned nr_producers;
	uint64_t sum;
};

struct producer {
	struct queue *queue;
	uint64_t state;
	size_t nr_parcels;
};

static void queue_put(struct queue *queue, struct parcel *parcel)
{
	pthread_mutex_lock(&queue->lock);
	while (queue->nr >= QUEUE)
		pthread_cond_wait(&queue->changed, &queue->lock);
	parcel->next = queue->head;
	queue->head = parcel;
	queue->nr++;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* NULL when nothing will come any more. */
static struct parcel *queue_get(struct queue *queue)
{
	struct parcel *parcel;

	pthread_mutex_lock(&queue->lock);
	while (!queue->head && queue->nr_producers)
		pthread_cond_wait(&queue->changed, &queue->lock);
	parcel = queue->head;
	if (parcel) {
		queue->head = parcel->next;
		queue->nr--;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	return parcel;
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (size_t i = p->nr_parcels; i > 0; i--) {
		struct parcel *parcel = need(malloc(sizeof(*parcel)));

		for (size_t k = 0; k < PARCEL; k++) {
			size_t size_bytes = 16 + random_below(&p->state, 240);

			parcel->blocks[k] = need(malloc(size_bytes));
			*parcel->blocks[k] = k;
		}
		queue_put(p->queue, parcel);
	}
	pthread_mutex_lock(&p->queue->lock);
	p->queue->nr_producers--;
	pthread_cond_broadcast(&p->queue->changed);
	pthread_mutex_unlock(&p->queue->lock);
	return NULL;
}

static void *consume(void *arg)
{
	struct queue *queue = arg;
	struct parcel *parcel;
	uint64_t sum = 0;

	while ((parcel = queue_get(queue))) {
		for (size_t k = 0; k < PARCEL; k++) {
			sum += *parcel->blocks[k];
			free(parcel->blocks[k]);
		}
		free(parcel);
	}
	pthread_mutex_lock(&queue->lock);
	queue->sum += sum;
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* Every block is freed by a thread that did not allocate it. */
void run_consume(void)
{
	static struct queue queue = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.nr_producers = 2,
	};
	struct producer producers[2];
	pthread_t consumers[2];
	struct moment start = now();

	for (size_t i = 0; i < 2; i++) {
		producers[i] = (struct producer){
			.queue = &queue,
			.state = 31 + i,
			.nr_parcels = scaled(30e3),
		};
		start_thread(&consumers[i], consume, &queue);
	}
	run_all(produce, producers, sizeof(*producers), 2);
	for (size_t i = 0; i < 2; i++)
		pthread_join(consumers[i], NULL);
	phase_end("consume", start);
	check += queue.sum;
}

/* --- batches in several threads ------------------------------------------- */

#define BATCH8 4000

struct batcher {
	char *blocks[BATCH8];
	uint64_t state;
	uint64_t sum;
	size_t nr_rounds;
};

static void *batch8(void *arg)
{
	struct batcher *b = arg;

	for (size_t round = b->nr_rounds; round > 0; round--) {
		for (size_t i = 0; i < BATCH8; i++) {
			size_t size_bytes = 1ul << random_below(&b->state, 12);

			size_bytes += random_below(&b->state, size_bytes);
			b->blocks[i] = need(malloc(size_bytes));
			b->blocks[i][0] = (char)i;
		}
		/* Most as a stack; every eighth after those. */
		for (size_t i = BATCH8; i > 0; i--)
			if (i % 8 != 0) {
				b->sum += (unsigned char)b->blocks[i - 1][0];
				free(b->blocks[i - 1]);
			}
		for (size_t i = 8; i <= BATCH8; i += 8)
			free(b->blocks[i - 1]);
	}
	return NULL;
}

void run_batch8(void)
{
	static struct batcher batchers[4];
	struct moment start = now();

	for (size_t i = 0; i < 4; i++) {
		batchers[i].state = 41 + i;
		batchers[i].nr_rounds = scaled(500);
	}
	run_all(batch8, batchers, sizeof(*batchers), 4);
	phase_end("batch8", start);
	for (size_t i = 0; i < 4; i++)
		check += batchers[i].sum;
}

/* --- false sharing -------------------------------------------------------- */

#define SHARING_BYTES 8
#define SHARING_WRITES 500

struct sharer {
	volatile char *first;
	size_t nr_blocks;
};

static void write_often(volatile char *block)
{
	for (int i = 0; i < SHARING_WRITES; i++)
		for (int k = 0; k < SHARING_BYTES; k++)
			block[k]++;
}

/* A small block, written often, then another one. */
static void *share(void *arg)
{
	struct sharer *s = arg;

	if (s->first) {
		write_often(s->first);
		free((void *)s->first);
	}
	for (size_t i = s->nr_blocks; i > 0; i--) {
		volatile char *block = need(malloc(SHARING_BYTES));

		for (int k = 0; k < SHARING_BYTES; k++)
			block[k] = 0;
		write_often(block);
		free((void *)block);
	}
	return NULL;
}

static void run_sharing(const char *name, bool handed_out)
{
	struct sharer sharers[4];
	struct moment start = now();

	for (size_t i = 0; i < 4; i++)
		sharers[i] = (struct sharer){
			.first = handed_out ? need(calloc(1, SHARING_BYTES))
					    : NULL,
			.nr_blocks = scaled(40e3),
		};
	run_all(share, sharers, sizeof(*sharers), 4);
	phase_end(name, start);
}

void run_scratch(void)
{
	run_sharing("scratch", true);
}

void run_thrash(void)
{
	run_sharing("thrash", false);
}

/* --- many short threads --------------------------------------------------- */

static void *live_shortly(void *arg)
{
	uint64_t *sum = arg, state = *sum;
	char *blocks[100];

	for (size_t i = 0; i < 100; i++) {
		blocks[i] = need(malloc(16 + random_below(&state, 500)));
		blocks[i][0] = (char)i;
	}
	for (size_t i = 0; i < 100; i++) {
		*sum += (unsigned char)blocks[i][0];
		free(blocks[i]);
	}
	return NULL;
}

void run_short_threads(void)
{
	uint64_t sums[8] = { 0 };
	struct moment start = now();

	for (size_t i = scaled(2500); i > 0; i--)
		run_all(live_shortly, sums, sizeof(*sums), 8);
	phase_end("short", start);
	for (size_t i = 0; i < 8; i++)
		check += sums[i];
}

/* --- the same work by more and more threads ------------------------------- */

#define SHARED_WORK 12e6
#define WORKER_BLOCKS 500

struct worker {
	char *blocks[WORKER_BLOCKS];
	uint64_t state;
	size_t nr;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (size_t i = w->nr; i > 0; i--) {
		size_t k = random_below(&w->state, WORKER_BLOCKS);

		free(w->blocks[k]);
		w->blocks[k] = need(malloc(16 + random_below(&w->state, 500)));
		w->blocks[k][0] = (char)i;
	}
	for (size_t k = 0; k < WORKER_BLOCKS; k++)
		free(w->blocks[k]);
	return NULL;
}

static void run_threads_of(const char *name, size_t nr)
{
	static struct worker workers[MOST_THREADS];
	struct moment start = now();

	for (size_t i = 0; i < nr; i++) {
		workers[i].state = 51 + i;
		workers[i].nr = scaled(SHARED_WORK) / nr;
		check += workers[i].nr;
	}
	run_all(work, workers, sizeof(*workers), nr);
	phase_end(name, start);
}

void run_threads2(void)
{
	run_threads_of("threads2", 2);
}

void run_threads8(void)
{
	run_threads_of("threads8", 8);
}

void run_threads64(void)
{
	run_threads_of("threads64", 64);
}
