/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_threads - threads that go on writing and allocating while another one
 * forks and a hog empties and refills the pool.
 *
 *   fork_threads [--epochs N] [--forks N] [--threads N] [--mib N] [--seed N]
 *
 * Writers increment words, each its own, interleaved so that all writers meet
 * in every page, and check on each increment that the last one is still there:
 * a write that is lost while a page is being replaced is seen.  A child checks
 * that what it inherited does not change under it while the parent's writers
 * make another pass, then increments everything itself.  Up to three children
 * live at a time.  Other threads allocate, verify and free all the while.
 *
 * Exit status: 0, 1 with a line on what was wrong, or 77.
 * Standard output: one line, "forks N passes N huge PERCENT".
 */
#include "tests/lib/hog.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#define MAX_THREADS 16
#define MAX_CHILDREN 3

static struct hog hog;
static unsigned long nr_writers = 6, nr_allocators = 2;
static unsigned long mib = 24;
static struct hs_t_rng rng;
static unsigned long nr_forks, nr_passes;

static uint64_t *area;
static size_t area_words;
static _Atomic bool stop;
static _Atomic uint64_t passes[MAX_THREADS];

struct member {
	unsigned index;
	pthread_t id;
	uint64_t seed;
};

static struct member members[MAX_THREADS];

static void *writer(void *arg)
{
	unsigned index = ((struct member *)arg)->index;
	volatile uint64_t *words = area;
	uint64_t pass;

	for (pass = 0; !atomic_load(&stop); pass++) {
		for (size_t w = index; w < area_words; w += nr_writers) {
			if (words[w] != pass)
				hs_t_fail(__FILE__, __LINE__, "write lost",
					  " word %zu (%p) is %llu, not %llu", w,
					  (void *)&words[w],
					  (unsigned long long)words[w],
					  (unsigned long long)pass);
			words[w] = pass + 1;
		}
		atomic_store(&passes[index], pass + 1);
	}
	return NULL;
}

static void *allocator(void *arg)
{
	struct {
		unsigned char *p;
		size_t len;
	} blocks[64] = { 0 };
	struct hs_t_rng own = { ((struct member *)arg)->seed };

	while (!atomic_load(&stop)) {
		unsigned i = (unsigned)hs_t_below(&own, 64);

		if (blocks[i].p) {
			HS_T_CHECK(hs_t_verify(blocks[i].p, blocks[i].len,
					       blocks[i].len) < 0,
				   "allocator's block");
			free(blocks[i].p);
			blocks[i].p = NULL;
			continue;
		}
		blocks[i].len =
			1 + hs_t_below(&own, hs_t_below(&own, 20) ? 16 << 10
								  : 512 << 10);
		blocks[i].p = malloc(blocks[i].len);
		HS_T_CHECK(blocks[i].p);
		hs_t_fill(blocks[i].p, blocks[i].len, blocks[i].len);
	}
	for (unsigned i = 0; i < 64; i++)
		free(blocks[i].p);
	return NULL;
}

static uint64_t checksum(void)
{
	uint64_t sum = 0;

	for (size_t w = 0; w < area_words; w++)
		sum = (sum ^ area[w]) * 0x100000001b3ULL;
	return sum;
}

static bool child_allocates(void)
{
	for (unsigned i = 0; i < 200; i++) {
		size_t len = 1 + hs_t_below(&rng, 64 << 10);
		unsigned char *p = malloc(len);

		if (!p)
			return false;
		hs_t_fill(p, len, i);
		p = realloc(p, len * 2);
		if (!p || hs_t_verify(p, len & ~7ul, i) >= 0)
			return false;
		free(p);
	}
	return true;
}

/* go: the parent's writers have made a pass since the child said so. */
static void child(struct hs_t_gate *seen, struct hs_t_gate *go, bool take)
{
	uint64_t before, sum;

	before = checksum();
	hs_t_gate_post(seen, 's');
	HS_T_CHILD(hs_t_gate_wait(go) == 'g', 33);
	HS_T_CHILD(checksum() == before, 30);
	HS_T_CHILD(child_allocates(), 32);
	if (take)
		hog_take(&hog);
	sum = 0;
	for (size_t w = 0; w < area_words; w++) {
		sum = (sum ^ area[w]) * 0x100000001b3ULL;
		area[w] ^= 0x5555;
	}
	HS_T_CHILD(sum == before, 34);
	for (size_t w = 0; w < area_words; w++)
		area[w] ^= 0x5555;
	HS_T_CHILD(checksum() == before, 31);
	_exit(0);
}

static void await_passes(void)
{
	uint64_t want[MAX_THREADS];

	for (unsigned t = 0; t < nr_writers; t++)
		want[t] = atomic_load(&passes[t]) + 2;
	for (unsigned t = 0; t < nr_writers; t++)
		while (atomic_load(&passes[t]) < want[t])
			sched_yield();
}

static void await_child(pid_t pid)
{
	int status = hs_t_wait(pid);

	HS_T_CHECK(status == 0, "child: %s", hs_t_status(status));
}

static pid_t fork_once(void)
{
	struct hs_t_gate seen, go;
	unsigned choice = (unsigned)hs_t_next(&rng);
	pid_t pid;

	hs_t_gate_open(&seen);
	hs_t_gate_open(&go);
	HS_T_CHECK(choice & 1 ? hog_take(&hog) : hog_give(&hog));
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		child(&seen, &go, choice & 2);
	nr_forks++;
	close(seen.fd[1]);
	if (choice & 4)
		HS_T_CHECK(hog_take(&hog));
	/* A child that has died before is found by await_child(). */
	hs_t_gate_wait(&seen);
	await_passes();
	hs_t_gate_post(&go, 'g');
	close(seen.fd[0]);
	hs_t_gate_close(&go);
	return pid;
}

static void start_threads(void)
{
	atomic_store(&stop, false);
	for (unsigned t = 0; t < nr_writers + nr_allocators; t++) {
		members[t] =
			(struct member){ .index = t, .seed = hs_t_next(&rng) };
		atomic_store(&passes[t], 0);
		HS_T_CHECK(pthread_create(&members[t].id, NULL,
					  t < nr_writers ? writer : allocator,
					  &members[t]) == 0);
	}
}

static void stop_threads(void)
{
	atomic_store(&stop, true);
	for (unsigned t = 0; t < nr_writers + nr_allocators; t++)
		pthread_join(members[t].id, NULL);
}

static unsigned epoch(unsigned long forks)
{
	pid_t children[MAX_CHILDREN] = { 0 };
	long long huge;

	HS_T_CHECK(hog_give(&hog));
	area_words = (mib << 20) / 8;
	area = calloc(area_words, 8);
	HS_T_CHECK(area);
	huge = hs_t_hugetlb_bytes(0);
	start_threads();
	for (unsigned long f = 0; f < forks; f++) {
		pid_t *slot = &children[f % MAX_CHILDREN];

		if (*slot)
			await_child(*slot);
		*slot = fork_once();
	}
	for (unsigned i = 0; i < MAX_CHILDREN; i++)
		if (children[i])
			await_child(children[i]);
	stop_threads();
	for (size_t w = 0; w < area_words; w++)
		HS_T_CHECK(area[w] == atomic_load(&passes[w % nr_writers]),
			   "word %zu", w);
	nr_passes += atomic_load(&passes[0]);
	free(area);
	malloc_trim(0);
	huge = huge < 0 ? 0 : huge * 100 / (long long)(mib << 20);
	return huge > 100 ? 100 : (unsigned)huge;
}

int main(int argc, char **argv)
{
	unsigned long epochs = 10, forks = 10, seed = 1;
	const struct hs_t_number numbers[] = {
		{ "--epochs", &epochs },      { "--forks", &forks },
		{ "--threads", &nr_writers }, { "--mib", &mib },
		{ "--seed", &seed },          { NULL, NULL },
	};
	unsigned percent = 0;

	if (!hs_t_numbers(argc, argv, numbers))
		return 6;
	HS_T_CHECK(nr_writers + nr_allocators <= MAX_THREADS && epochs);
	rng.state = hs_t_seed(seed);
	if (!hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	for (unsigned long e = 0; e < epochs; e++)
		percent += epoch(forks);
	hog_stop(&hog);
	printf("forks %lu passes %lu huge %u\n", nr_forks, nr_passes,
	       (unsigned)(percent / epochs));
	return 0;
}
