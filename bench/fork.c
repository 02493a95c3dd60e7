/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork - what a snapshot by fork costs the parent.
 *
 *   fork [--mib N] [--writes N] [--gap-us N] [--threads N] [--forks N] [--thp]
 *
 * A block of N MiB is filled.  Then, --forks times: a child is forked that only
 * waits, the threads write words at random places with a pause between writes,
 * the child is killed and waited for.  Output, one line of "name value" pairs a
 * fork: how long fork() took, the writes' p50, p99, p99.9 and maximum, their
 * sum, all in microseconds, and how long the whole took in milliseconds.
 *
 * With --thp the block is advised for transparent huge pages: to be compared
 * with, without the library.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HUGE_BYTES ((size_t)2 << 20)
#define THREADS_MAX 64

static unsigned long mib = 1024, nr_writes = 20000, gap_us = 20;
static unsigned long nr_threads = 1, nr_forks = 1;
static int thp;
static uint64_t *block;
static size_t nr_words;
static uint32_t *latency_ns; /* of all threads, one after another */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct writer {
	pthread_t id;
	uint64_t state;
	uint32_t *latency_ns;
};

static void *write_paced(void *arg)
{
	struct writer *w = arg;
	uint64_t due = now_ns();

	for (unsigned long i = 0; i < nr_writes; i++) {
		volatile uint64_t *p = &block[next(&w->state) % nr_words];
		uint64_t before;

		while (gap_us != 0 && now_ns() < due)
			;
		before = now_ns();
		*p = before;
		due = now_ns();
		w->latency_ns[i] = (uint32_t)(due - before);
		due += gap_us * 1000;
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double at(double share, size_t n)
{
	size_t i = (size_t)(share * (double)n);

	return latency_ns[i < n ? i : n - 1] / 1e3;
}

static void run_writers(unsigned long round)
{
	static struct writer writer[THREADS_MAX];

	for (unsigned long i = 0; i < nr_threads; i++) {
		writer[i].state = 88172645463325252U + round * 977 + i * 7919;
		writer[i].latency_ns = latency_ns + i * nr_writes;
		if (pthread_create(&writer[i].id, NULL, write_paced,
				   &writer[i]))
			abort();
	}
	for (unsigned long i = 0; i < nr_threads; i++)
		pthread_join(writer[i].id, NULL);
}

static void report(uint64_t fork_ns, uint64_t all_ns)
{
	size_t n = nr_threads * nr_writes;
	double sum = 0;

	qsort(latency_ns, n, sizeof(*latency_ns), compare);
	for (size_t i = 0; i < n; i++)
		sum += latency_ns[i] / 1e3;
	printf("fork_us %.1f p50_us %.2f p99_us %.1f p999_us %.1f max_us %.1f "
	       "writes_us %.0f all_ms %.1f\n",
	       (double)fork_ns / 1e3, n ? at(0.5, n) : 0, n ? at(0.99, n) : 0,
	       n ? at(0.999, n) : 0, n ? at(1, n) : 0, sum,
	       (double)all_ns / 1e6);
}

static void snapshot(unsigned long round)
{
	uint64_t start = now_ns(), forked;
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (pid == 0) {
		for (;;)
			pause();
	}
	forked = now_ns();
	run_writers(round);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	report(forked - start, now_ns() - start);
}

static void parse(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned long *value;
	} option[] = {
		{ "--mib", &mib },         { "--writes", &nr_writes },
		{ "--gap-us", &gap_us },   { "--threads", &nr_threads },
		{ "--forks", &nr_forks },
	};

	for (int i = 1; i < argc; i++) {
		size_t o = 0;

		if (!strcmp(argv[i], "--thp")) {
			thp = 1;
			continue;
		}
		while (o < sizeof(option) / sizeof(*option) &&
		       strcmp(argv[i], option[o].name) != 0)
			o++;
		if (o == sizeof(option) / sizeof(*option) || i + 1 == argc) {
			fprintf(stderr, "fork: what is %s?\n", argv[i]);
			exit(2);
		}
		*option[o].value = strtoul(argv[++i], NULL, 0);
	}
	if (nr_threads == 0 || nr_threads > THREADS_MAX || mib == 0)
		exit(2);
}

int main(int argc, char **argv)
{
	size_t size;
	void *p = NULL;

	parse(argc, argv);
	size = (size_t)mib << 20;
	nr_words = size / sizeof(uint64_t);
	if (posix_memalign(&p, HUGE_BYTES, size))
		return 1;
	if (thp)
		madvise(p, size, MADV_HUGEPAGE);
	block = p;
	memset(block, 1, size);
	latency_ns = calloc(nr_threads * nr_writes + 1, sizeof(*latency_ns));
	if (!latency_ns)
		return 1;
	for (unsigned long i = 0; i < nr_forks; i++)
		snapshot(i);
	free(latency_ns);
	free(p);
	return 0;
}
