/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_calls - threads make system calls that write to the same huge pages of
 * the heap while another forks all the time.
 *
 *   cow_calls [--forks N] [--threads N] [--calls N] [--seed N] [--unseen 0]
 *
 * Each thread has cells of 4 KiB all over the area, side by side with those of
 * the others, and receives known bytes in them by one call after another: no
 * EFAULT, nothing short, nothing lost, every byte right.  A child checks that
 * what it inherited stays the same while the parent goes on, then rewrites
 * all of it.  A third of the children are killed on the way; a quarter come by
 * a system call instruction that no wrapper sees (not with --unseen 0: with no
 * page for the copies a call fails then), some have children in turn.  Up to
 * three live at a time.  Threads that only write to such pages come and go, and
 * leave no mapping behind.
 *
 * Exit status: 0, 1 with a line on what was wrong, or 77.
 * Standard output: one line, "forks N calls N".
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/lib/hs_test.h"

#define MAX_THREADS 16
#define MAX_CHILDREN 3
#define CELL ((size_t)4096)
#define AREA ((size_t)24 << 20)
#define NR_CELLS (AREA / CELL)

static unsigned long nr_forks = 60, nr_threads = 4, nr_calls = 1000;
static unsigned long unseen_forks = 1;
static char *area;
static atomic_bool stop;
static struct hs_t_rng rng;

struct caller {
	pthread_t thread;
	unsigned index;
	struct hs_t_rng rng;
	int stream[2], datagram[2], file, epoll;
	_Atomic unsigned long calls;
	char sent[CELL];
	uint64_t seed; /* of what was sent */
};

static struct caller callers[MAX_THREADS];

static char *cell_of(struct caller *c)
{
	size_t nr = NR_CELLS / nr_threads;

	return area + (hs_t_below(&c->rng, nr) * nr_threads + c->index) * CELL;
}

/* --- the calls ------------------------------------------------------------ */

static void send_bytes(struct caller *c, int fd, size_t len)
{
	c->seed = hs_t_next(&c->rng);
	hs_t_fill(c->sent, len, c->seed);
	HS_T_CHECK(write(fd, c->sent, len) == (ssize_t)len);
}

static void want_bytes(struct caller *c, const char *what, ssize_t ret,
		       const void *buf, size_t len)
{
	HS_T_CHECK(ret == (ssize_t)len, "%s: %zd of %zu", what, ret, len);
	HS_T_CHECK(hs_t_verify(buf, len, c->seed) < 0, "%s: wrong bytes", what);
}

static void call_read(struct caller *c, char *cell, size_t len)
{
	send_bytes(c, c->stream[1], len);
	want_bytes(c, "read", read(c->stream[0], cell, len), cell, len);
}

static void call_recv(struct caller *c, char *cell, size_t len)
{
	send_bytes(c, c->datagram[1], len);
	want_bytes(c, "recv", recv(c->datagram[0], cell, CELL, 0), cell, len);
}

/* Header, vector and buffer are all in the area. */
static void call_recvmsg(struct caller *c, char *cell, size_t len)
{
	struct msghdr *msg = (void *)cell;
	struct iovec *iov = (void *)(cell + 128);
	char *buf = cell + 256;

	len = len > 2048 ? 2048 : len;
	memset(msg, 0, sizeof(*msg));
	iov[0] = (struct iovec){ buf, 8 };
	iov[1] = (struct iovec){ buf + 8, 2048 };
	msg->msg_iov = iov;
	msg->msg_iovlen = 2;
	send_bytes(c, c->datagram[1], len);
	want_bytes(c, "recvmsg", recvmsg(c->datagram[0], msg, 0), buf, len);
}

static void call_readv(struct caller *c, char *cell, size_t len)
{
	struct iovec iov[2] = { { cell, 16 }, { cell + 16, CELL - 16 } };

	len = len < 17 ? 17 : len;
	send_bytes(c, c->stream[1], len);
	want_bytes(c, "readv", readv(c->stream[0], iov, 2), cell, len);
}

static void call_pread(struct caller *c, char *cell, size_t len)
{
	c->seed = hs_t_next(&c->rng);
	hs_t_fill(c->sent, len, c->seed);
	HS_T_CHECK(pwrite(c->file, c->sent, len, 0) == (ssize_t)len);
	want_bytes(c, "pread", pread(c->file, cell, len, 0), cell, len);
}

/* Out of the area and into it again. */
static void call_write(struct caller *c, char *cell, size_t len)
{
	c->seed = hs_t_next(&c->rng);
	hs_t_fill(cell, len, c->seed);
	HS_T_CHECK(write(c->stream[1], cell, len) == (ssize_t)len);
	cell = cell_of(c);
	want_bytes(c, "write", read(c->stream[0], cell, len), cell, len);
}

static void call_structs(struct caller *c, char *cell, size_t len)
{
	struct stat *st = (void *)cell;
	struct timespec *ts = (void *)(cell + 512);
	int *waiting = (void *)(cell + 1024);
	int *type = (void *)(cell + 2000);
	socklen_t *size = (void *)(cell + 3000);

	st->st_size = -1;
	HS_T_CHECK(fstat(c->file, st) == 0 && st->st_size >= 0);
	ts->tv_nsec = -1;
	HS_T_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, ts) == 0 &&
		   ts->tv_nsec >= 0);
	send_bytes(c, c->stream[1], len);
	*waiting = -1;
	HS_T_CHECK(ioctl(c->stream[0], FIONREAD, waiting) == 0);
	HS_T_CHECK(*waiting == (int)len);
	*size = sizeof(*type);
	HS_T_CHECK(getsockopt(c->datagram[0], SOL_SOCKET, SO_TYPE, type,
			      size) == 0 &&
		   *type == SOCK_DGRAM);
	want_bytes(c, "read", read(c->stream[0], cell, len), cell, len);
}

static void call_poll(struct caller *c, char *cell, size_t len)
{
	struct pollfd *p = (void *)cell;
	struct epoll_event *event = (void *)(cell + 256);

	send_bytes(c, c->stream[1], len);
	*p = (struct pollfd){ .fd = c->stream[0], .events = POLLIN };
	HS_T_CHECK(poll(p, 1, -1) == 1 && p->revents == POLLIN);
	event->events = 0;
	HS_T_CHECK(epoll_wait(c->epoll, event, 1, -1) == 1 &&
		   event->events == EPOLLIN);
	want_bytes(c, "read", read(c->stream[0], cell, len), cell, len);
}

static void (*const calls[])(struct caller *c, char *cell, size_t len) = {
	call_read,  call_recv,	call_recvmsg, call_readv,
	call_pread, call_write, call_structs, call_poll,
};

static void caller_open(struct caller *c)
{
	struct epoll_event event = { .events = EPOLLIN };

	HS_T_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, c->stream) == 0);
	HS_T_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, c->datagram) == 0);
	c->file = (int)syscall(SYS_memfd_create, "cell", 0);
	HS_T_CHECK(c->file >= 0);
	c->epoll = epoll_create1(0);
	HS_T_CHECK(epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->stream[0], &event) ==
		   0);
}

static void *caller_main(void *arg)
{
	struct caller *c = arg;

	while (!atomic_load(&stop)) {
		size_t len = 1 + hs_t_below(&c->rng, CELL - 1);
		size_t i = hs_t_below(&c->rng, sizeof(calls) / sizeof(*calls));

		calls[i](c, cell_of(c), len);
		atomic_fetch_add(&c->calls, 1);
	}
	return NULL;
}

/* --- children ------------------------------------------------------------- */

static uint64_t checksum(void)
{
	const uint64_t *w = (const uint64_t *)(void *)area;
	uint64_t sum = 0;

	for (size_t i = 0; i < AREA / sizeof(*w); i++)
		sum = (sum ^ w[i]) * 0x100000001b3ULL;
	return sum;
}

/* In memory of its own it finds what was there, and then what it wrote. */
static void child(bool again)
{
	uint64_t before = checksum();
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	HS_T_CHILD(checksum() == before, 30);
	pid = again ? fork() : 0;
	HS_T_CHILD(checksum() == before, 31);
	for (size_t i = 0; i < NR_CELLS; i++)
		hs_t_fill(area + i * CELL, CELL, i + (uint64_t)pid);
	for (size_t i = 0; i < NR_CELLS; i++)
		HS_T_CHILD(hs_t_verify(area + i * CELL, CELL,
				       i + (uint64_t)pid) < 0,
			   32);
	if (again && pid > 0)
		HS_T_CHILD(hs_t_wait(pid) == 0, 33);
	_exit(0);
}

static long raw_fork(void)
{
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"((long)SYS_clone), "D"((long)SIGCHLD), "S"(0L),
			   "d"(0L)
			 : "rcx", "r11", "memory");
	return ret;
#else
	return _Fork();
#endif
}

struct offspring {
	pid_t pid;
	bool killed;
};

/* A fork that was not seen leaves locks as they were, so such a child makes
 * none of its own. */
static struct offspring fork_once(void)
{
	struct offspring o = { 0 };
	unsigned choice = (unsigned)hs_t_next(&rng);
	bool unseen = unseen_forks && choice % 4 == 0;

	o.pid = unseen ? (pid_t)raw_fork() : fork();
	HS_T_CHECK(o.pid >= 0, "fork");
	if (o.pid == 0)
		child(!unseen && choice & 16);
	o.killed = choice % 3 == 0;
	return o;
}

static void await(struct offspring *o)
{
	int status;

	if (o->pid == 0)
		return;
	if (o->killed)
		kill(o->pid, SIGKILL);
	status = hs_t_wait(o->pid);
	HS_T_CHECK(status == 0 || (o->killed && WIFSIGNALED(status) &&
				   WTERMSIG(status) == SIGKILL),
		   "child: %s", hs_t_status(status));
	o->pid = 0;
}

/* Until each thread has made some calls more. */
static void await_calls(unsigned long nr)
{
	for (unsigned t = 0; t < nr_threads; t++) {
		unsigned long want = atomic_load(&callers[t].calls) + nr;

		while (atomic_load(&callers[t].calls) < want)
			sched_yield();
	}
}

#define WRITTEN ((size_t)4 << 20)

static void *writer_main(void *written)
{
	for (size_t i = 0; i < WRITTEN; i += CELL)
		((volatile char *)written)[i]++;
	return NULL;
}

static void write_in_thread(char *written)
{
	pthread_t thread;

	HS_T_CHECK(pthread_create(&thread, NULL, writer_main, written) == 0);
	pthread_join(thread, NULL);
}

static size_t nr_mappings(void)
{
	char buf[CELL];
	int fd = open("/proc/self/maps", O_RDONLY);
	size_t nr = 0;
	ssize_t n;

	HS_T_CHECK(fd >= 0);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			nr += buf[i] == '\n';
	close(fd);
	return nr;
}

static void run(void)
{
	struct offspring old[MAX_CHILDREN] = { 0 };
	char *written = malloc(WRITTEN);
	size_t before = 0;

	for (unsigned long i = 0; i < nr_forks; i++) {
		await(&old[i % MAX_CHILDREN]);
		old[i % MAX_CHILDREN] = fork_once();
		write_in_thread(written);
		await_calls(hs_t_below(&rng, nr_calls / nr_forks * 2 + 1));
		if (i == nr_forks / 4)
			before = nr_mappings();
	}
	for (unsigned i = 0; i < MAX_CHILDREN; i++)
		await(&old[i]);
	HS_T_CHECK(nr_mappings() < before + nr_forks, "%zu mappings, then %zu",
		   before, nr_mappings());
	free(written);
}

static unsigned long number(int argc, char **argv, const char *name,
			    unsigned long value)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return strtoul(argv[i + 1], NULL, 0);
	return value;
}

int main(int argc, char **argv)
{
	unsigned long done = 0;

	nr_forks = number(argc, argv, "--forks", nr_forks);
	nr_threads = number(argc, argv, "--threads", nr_threads);
	nr_calls = number(argc, argv, "--calls", nr_calls);
	unseen_forks = number(argc, argv, "--unseen", unseen_forks);
	rng.state = hs_t_seed(number(argc, argv, "--seed", 1));
	HS_T_CHECK(nr_threads >= 1 && nr_threads <= MAX_THREADS);
	area = malloc(AREA);
	HS_T_CHECK(area);
	memset(area, 1, AREA);
	for (unsigned t = 0; t < nr_threads; t++) {
		struct caller *c = &callers[t];

		c->index = t;
		c->rng.state = hs_t_next(&rng);
		caller_open(c);
		HS_T_CHECK(pthread_create(&c->thread, NULL, caller_main, c) ==
			   0);
	}
	run();
	atomic_store(&stop, true);
	for (unsigned t = 0; t < nr_threads; t++) {
		pthread_join(callers[t].thread, NULL);
		done += atomic_load(&callers[t].calls);
	}
	printf("forks %lu calls %lu\n", nr_forks, done);
	free(area);
	return 0;
}
