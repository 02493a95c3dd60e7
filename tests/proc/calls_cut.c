/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls_cut.c - one thread receives datagrams, another reads a file, without
 * the page cache where that is possible, while the main thread unmaps a page of
 * the huge page that they write to: no datagram is lost, no read is short or
 * stored in what is no longer there.  A slot is cut once: it is on base pages
 * then.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../lib/hs_test.h"

#define SLOT ((size_t)2 << 20)
#define NR_SLOTS 40
#define PAGE ((size_t)4096)
#define SEEN 40 /* calls into a slot before it is cut, and after */
#define FILE_BYTES (SLOT / 2)

static char *memory;
static int sockets[2], file;
static _Atomic size_t slot;
static _Atomic unsigned long received, read_in;
static atomic_bool stop;

/* Behind the page that will be cut: for datagrams, and for the file. */
static char *place(size_t offset)
{
	return memory + slot * SLOT + PAGE + offset;
}

static void *send_all(void *arg)
{
	for (unsigned long n = 1; !atomic_load(&stop); n++)
		HS_T_CHECK(send(sockets[1], &n, sizeof(n), 0) == sizeof(n));
	shutdown(sockets[0], SHUT_RDWR);
	return arg;
}

static void *receive_all(void *arg)
{
	for (unsigned long want = 1;; want++) {
		unsigned long *p = (unsigned long *)place(0);
		ssize_t n = recv(sockets[0], p, 64, 0);

		if (n == 0)
			return arg;
		HS_T_CHECK(n == sizeof(*p), "datagram %lu: %zd", want, n);
		HS_T_CHECK(*p == want, "%lu, not %lu", *p, want);
		received++;
	}
}

static void *read_all(void *arg)
{
	while (!atomic_load(&stop)) {
		char *p = place(PAGE);
		ssize_t n;

		memset(p, 0, FILE_BYTES);
		n = pread(file, p, FILE_BYTES, 0);
		HS_T_CHECK(n == FILE_BYTES, "read %zd", n);
		HS_T_CHECK(hs_t_verify(p, FILE_BYTES, 9) < 0);
		read_in++;
	}
	return arg;
}

static void see(_Atomic unsigned long *nr, unsigned long more)
{
	unsigned long end = *nr + more;

	while (*nr < end)
		sched_yield();
}

static void make_file(void)
{
	char path[] = "/var/tmp/calls_cut.XXXXXX", *text = malloc(FILE_BYTES);
	int written = mkostemp(path, O_CLOEXEC);

	HS_T_CHECK(text != NULL && written >= 0);
	hs_t_fill(text, FILE_BYTES, 9);
	HS_T_CHECK(write(written, text, FILE_BYTES) == (ssize_t)FILE_BYTES);
	HS_T_CHECK(fsync(written) == 0);
	free(text);
	file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (file < 0)
		file = written;
	unlink(path);
}

int main(void)
{
	void *(*const work[])(void *) = { send_all, receive_all, read_all };
	pthread_t thread[3];

	make_file();
	HS_T_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) == 0);
	memory = mmap(NULL, NR_SLOTS * SLOT, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HS_T_CHECK(memory != MAP_FAILED);
	for (int i = 0; i < 3; i++)
		HS_T_CHECK(!pthread_create(&thread[i], NULL, work[i], NULL));
	for (size_t i = 0; i < NR_SLOTS; i++) {
		slot = i;
		see(&received, SEEN);
		see(&read_in, 2);
		HS_T_CHECK(munmap(memory + i * SLOT, PAGE) == 0);
		see(&received, SEEN);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
