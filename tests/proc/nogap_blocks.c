/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nogap_blocks BLOCK_BYTES TOTAL_BYTES THREADS - allocate and write blocks of
 * one size, and say what memory they take.
 *
 * Prints "asked N huge N in_use N": bytes asked for; bytes on huge pages; and
 * all memory, huge pages included, that the process uses more than before.
 * Measured while everything is alive, then all is verified and freed.
 */
#include "tests/lib/hs_test.h"

#include <pthread.h>

#define MAX_THREADS 16

/* The blocks are a chain: no other memory is needed to keep them. */
struct link {
	struct link *next;
	uint64_t number;
};

static size_t block_bytes, thread_bytes;

struct part {
	pthread_t id;
	uint64_t index;
	struct link *head;
	struct hs_t_gate ready, go;
};

static struct part parts[MAX_THREADS];

static void fill(struct part *part)
{
	uint64_t nr = (thread_bytes + block_bytes - 1) / block_bytes;

	for (uint64_t i = 0; i < nr; i++) {
		struct link *l = malloc(block_bytes);

		HS_T_CHECK(l, "block %llu", (unsigned long long)i);
		l->number = i;
		hs_t_fill(l + 1, block_bytes - sizeof(*l), i ^ part->index);
		l->next = part->head;
		part->head = l;
	}
}

static void empty(struct part *part)
{
	struct link *l;

	while ((l = part->head)) {
		HS_T_CHECK(hs_t_verify(l + 1, block_bytes - sizeof(*l),
				       l->number ^ part->index) < 0);
		part->head = l->next;
		free(l);
	}
}

static void *part_main(void *arg)
{
	struct part *part = arg;

	fill(part);
	hs_t_gate_post(&part->ready, 'r');
	hs_t_gate_wait(&part->go);
	empty(part);
	return NULL;
}

int main(int argc, char **argv)
{
	long long rss, huge, asked = 0;
	unsigned threads;

	HS_T_CHECK(argc == 4);
	block_bytes = strtoull(argv[1], NULL, 0);
	threads = (unsigned)atoi(argv[3]);
	HS_T_CHECK(threads >= 1 && threads <= MAX_THREADS);
	thread_bytes = strtoull(argv[2], NULL, 0) / threads;
	HS_T_CHECK(block_bytes >= 32);

	rss = hs_t_rss_bytes(0);
	huge = hs_t_hugetlb_bytes(0);
	HS_T_CHECK(rss > 0 && huge >= 0, "needs /proc");
	for (unsigned t = 0; t < threads; t++) {
		parts[t].index = (uint64_t)t << 32;
		hs_t_gate_open(&parts[t].ready);
		hs_t_gate_open(&parts[t].go);
		if (threads == 1)
			fill(&parts[0]);
		else
			HS_T_CHECK(pthread_create(&parts[t].id, NULL, part_main,
						  &parts[t]) == 0);
		asked += (long long)((thread_bytes + block_bytes - 1) /
				     block_bytes * block_bytes);
	}
	for (unsigned t = 0; threads > 1 && t < threads; t++)
		hs_t_gate_wait(&parts[t].ready);
	rss = hs_t_rss_bytes(0) - rss;
	huge = hs_t_hugetlb_bytes(0) - huge;
	printf("asked %lld huge %lld in_use %lld\n", asked, huge, rss + huge);
	fflush(stdout);
	if (threads == 1)
		empty(&parts[0]);
	for (unsigned t = 0; threads > 1 && t < threads; t++) {
		hs_t_gate_post(&parts[t].go, 'g');
		pthread_join(parts[t].id, NULL);
	}
	return 0;
}
