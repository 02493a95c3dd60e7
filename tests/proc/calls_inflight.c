/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls_inflight.c - threads wait in recv(2) and readv(2) for data while
 * another forks, with no huge page free: what arrives afterwards is stored
 * where it belongs, nothing is lost, and the child has the memory as it was.
 *
 * Each round has a slot of its own for each thread: one that has been rescued
 * is on base pages for good.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../lib/hog.h"

#define SLOT ((size_t)2 << 20)
#define NR_THREADS 4
#define NR_ROUNDS 24
#define DATA 3000

static struct reader {
	pthread_t thread;
	char *slot[NR_ROUNDS];
	int fd[2];
	struct hs_t_gate go, done;
} readers[NR_THREADS];

static struct hs_t_gate hold;

static size_t offset_of(int round)
{
	return (size_t)round * 81920 % (SLOT - 8192);
}

static ssize_t receive(struct reader *r, char *buf, int round)
{
	struct iovec iov[2] = { { buf, 100 }, { buf + 100, DATA - 100 } };

	if (round & 1)
		return recv(r->fd[0], buf, DATA, 0);
	return readv(r->fd[0], iov, 2);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	int round;

	for (round = 0; hs_t_gate_wait(&r->go) == 'g'; round++) {
		char *buf = r->slot[round] + offset_of(round);
		ssize_t n = receive(r, buf, round);
		bool right = n == DATA &&
			     hs_t_verify(buf, DATA, (uint64_t)round) < 0;

		if (!right)
			fprintf(stderr, "round %d: %zd bytes, %s\n", round, n,
				n < 0 ? strerror(errno) : "wrong");
		/* For the child to come: what it must find. */
		hs_t_fill(buf, DATA, (uint64_t)round + 77);
		hs_t_gate_post(&r->done, right ? 'y' : 'n');
	}
	return NULL;
}

/* In the child: what earlier rounds left. */
static void check_child(int round)
{
	int i, k;

	/* Until then it keeps the parent's pages shared. */
	HS_T_CHILD(hs_t_gate_wait(&hold) == 'h', 11);
	for (i = 0; i < NR_THREADS; i++)
		for (k = 0; k < round; k++) {
			char *p = readers[i].slot[k] + offset_of(k);

			HS_T_CHILD(hs_t_verify(p, DATA, (uint64_t)k + 77) < 0,
				   10);
			hs_t_fill(p, DATA, 1);
		}
	_exit(0);
}

static void start(struct reader *r)
{
	int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		r->slot[i] = aligned_alloc(SLOT, SLOT);
		HS_T_CHECK(r->slot[i] != NULL);
		memset(r->slot[i], 1, SLOT);
	}
	HS_T_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, r->fd) == 0);
	hs_t_gate_open(&r->go);
	hs_t_gate_open(&r->done);
	HS_T_CHECK(pthread_create(&r->thread, NULL, reader_main, r) == 0);
}

static bool run_round(int round)
{
	char data[DATA];
	bool right = true;
	pid_t pid;
	int i;

	for (i = 0; i < NR_THREADS; i++)
		hs_t_gate_post(&readers[i].go, 'g');
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		check_child(round);
	hog_drain();
	hs_t_fill(data, DATA, (uint64_t)round);
	for (i = 0; i < NR_THREADS; i++)
		HS_T_CHECK(send(readers[i].fd[1], data, DATA, 0) == DATA);
	for (i = 0; i < NR_THREADS; i++)
		right &= hs_t_gate_wait(&readers[i].done) == 'y';
	hs_t_gate_post(&hold, 'h');
	HS_T_WAIT_OK(pid);
	return right;
}

int main(void)
{
	const long long all = (long long)(NR_THREADS * NR_ROUNDS * SLOT);
	int i, wrong = 0;

	hs_t_gate_open(&hold);
	for (i = 0; i < NR_THREADS; i++)
		start(&readers[i]);
	if (getenv("CALLS_NEED_HUGE"))
		HS_T_CHECK(hs_t_hugetlb_bytes(0) >= all * 9 / 10);
	for (i = 0; i < NR_ROUNDS; i++)
		wrong += !run_round(i);
	for (i = 0; i < NR_THREADS; i++) {
		hs_t_gate_post(&readers[i].go, 'e');
		pthread_join(readers[i].thread, NULL);
	}
	printf("%d of %d rounds wrong\n", wrong, NR_ROUNDS);
	return wrong != 0;
}
