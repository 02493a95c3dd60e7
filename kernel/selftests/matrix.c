// SPDX-License-Identifier: GPL-2.0
/*
 * What every kind of memory has to do, huge or not: fork, COW, mprotect,
 * mremap, munmap, GUP, mincore, madvise, mlock.  Each case on each backing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backing.h"
#include "guest.h"

#define NR 4
#define LENGTH (NR * HUGE)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* A byte every 1000 or so, so that pages and their halves differ. */
static char byte_at(size_t offset)
{
	return (char)(offset / 997 * 31 + 7);
}

static size_t first_at(size_t offset)
{
	return (offset + 996) / 997 * 997;
}

static void fill(char *p, size_t from, size_t to)
{
	for (size_t i = first_at(from); i < to; i += 997)
		p[i - from] = byte_at(i);
}

static int is_filled(const char *p, size_t from, size_t to)
{
	for (size_t i = first_at(from); i < to; i += 997) {
		if (p[i - from] != byte_at(i))
			return 0;
	}
	return 1;
}

static char *map_filled(void)
{
	char *p = backing->map(LENGTH);

	if (p != MAP_FAILED)
		fill(p, 0, LENGTH);
	return p;
}

static int write_all(void *arg)
{
	char *p = arg;

	CHECK(is_filled(p, 0, LENGTH));
	for (size_t i = 0; i < LENGTH; i += HUGE / 2)
		p[i] = 'c';
	for (size_t i = 0; i < LENGTH; i += HUGE / 2)
		CHECK(p[i] == 'c');
	return 0;
}

static int test_fork(void)
{
	char *p = map_filled();

	CHECK(p != MAP_FAILED);
	CHECK(in_child(write_all, p) == 0);
	if (backing->is_shared)
		CHECK(p[HUGE] == 'c');
	else
		CHECK(is_filled(p, 0, LENGTH));
	/* The parent's entries were write-protected; it is sole owner again. */
	CHECK(signal_of_write(p + HUGE, 'p') == 0);
	CHECK(p[HUGE] == 'p');
	return 0;
}

/* Both sides live: the child must not see what the parent writes. */
static int wait_then_compare(void *arg)
{
	char **all = arg, *p = all[0], byte;
	int *fds = (int *)all[1];

	CHECK(read(fds[0], &byte, 1) == 1);
	if (backing->is_shared)
		CHECK(p[0] == 'p');
	else
		CHECK(is_filled(p, 0, LENGTH));
	return 0;
}

static int test_cow_by_parent(void)
{
	int fds[2], status;
	char *p = map_filled();
	char *all[2] = { p, (char *)fds };
	pid_t pid;

	CHECK(p != MAP_FAILED);
	CHECK(!pipe(fds));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(wait_then_compare(all) ? 1 : 0);
	for (size_t i = 0; i < LENGTH; i += HUGE / 2)
		p[i] = 'p';
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(p[0] == 'p' && p[HUGE] == 'p');
	return 0;
}

static int test_mprotect(void)
{
	char *p = map_filled(), *one = p + HUGE;

	CHECK(p != MAP_FAILED);
	CHECK(!mprotect(one, HUGE, PROT_READ));
	CHECK(signal_of_write(one, 'x') == SIGSEGV);
	CHECK(signal_of_write(one + HUGE - 1, 'x') == SIGSEGV);
	CHECK(signal_of_write(one - 1, one[-1]) == 0);
	CHECK(signal_of_write(one + HUGE, one[HUGE]) == 0);
	CHECK(signal_of_read(one) == 0);
	CHECK(!mprotect(one, HUGE, PROT_NONE));
	CHECK(signal_of_read(one) == SIGSEGV);
	CHECK(!mprotect(p, LENGTH, PROT_READ | PROT_WRITE));
	CHECK(is_filled(p, 0, HUGE));
	CHECK(signal_of_write(one, 'y') == 0);
	CHECK(*one == 'y');
	return 0;
}

/* Half a huge page: hugetlb refuses, the rest obeys. */
static int test_mprotect_half(void)
{
	char *p = map_filled();
	int result;

	CHECK(p != MAP_FAILED);
	result = mprotect(p + HUGE, HUGE / 2, PROT_READ);
	if (backing->is_huge) {
		CHECK(result == -1 && errno == EINVAL);
		CHECK(signal_of_write(p + HUGE, 'x') == 0);
		return 0;
	}
	CHECK(result == 0);
	CHECK(signal_of_write(p + HUGE, 'x') == SIGSEGV);
	CHECK(signal_of_write(p + HUGE + HUGE / 2, 'x') == 0);
	return 0;
}

static int test_mremap(void)
{
	char *p = map_filled(), *to = find_room(LENGTH, HUGE), *q;

	CHECK(p != MAP_FAILED && to != MAP_FAILED);
	q = mremap(p, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to);
	CHECK(is_filled(q, 0, LENGTH));
	CHECK(signal_of_read(p) == SIGSEGV);
	CHECK(signal_of_write(q + LENGTH - 1, 'z') == 0);
	return 0;
}

static int test_mremap_part(void)
{
	char *p = map_filled(), *to = find_room(HUGE, HUGE), *q;

	CHECK(p != MAP_FAILED && to != MAP_FAILED);
	q = mremap(p + HUGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to);
	CHECK(is_filled(q, HUGE, 2 * HUGE));
	CHECK(signal_of_read(p + HUGE) == SIGSEGV);
	CHECK(is_filled(p, 0, HUGE));
	CHECK(is_filled(p + 2 * HUGE, 2 * HUGE, LENGTH));
	/* And back into the hole. */
	q = mremap(q, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + HUGE);
	CHECK(q == p + HUGE);
	CHECK(is_filled(p, 0, LENGTH));
	return 0;
}

static int test_munmap(void)
{
	long free = field_of("/proc/meminfo", "HugePages_Free");
	char *p = map_filled();

	CHECK(p != MAP_FAILED);
	if (backing->is_huge)
		CHECK(munmap(p + HUGE, BASE) == -1 && errno == EINVAL);
	CHECK(!munmap(p + HUGE, HUGE));
	CHECK(signal_of_read(p + HUGE) == SIGSEGV);
	CHECK(is_filled(p, 0, HUGE));
	CHECK(is_filled(p + 2 * HUGE, 2 * HUGE, LENGTH));
	CHECK(!munmap(p, LENGTH));
	CHECK(signal_of_read(p) == SIGSEGV);
	if (backing->is_huge)
		CHECK(field_of("/proc/meminfo", "HugePages_Free") == free);
	return 0;
}

static ssize_t read_remote(struct iovec *local, struct iovec *remote)
{
	return process_vm_readv(getpid(), local, 1, remote, 1, 0);
}

static ssize_t write_remote(struct iovec *local, struct iovec *remote)
{
	return process_vm_writev(getpid(), local, 1, remote, 1, 0);
}

/* process_vm_readv and _writev with odd offsets over boundaries. */
static int test_gup_remote(void)
{
	size_t from = HUGE - 12345, n = HUGE + 54321;
	char *p = map_filled(), *copy = malloc(n);
	struct iovec local = { copy, n }, remote = { p + from, n };

	CHECK(p != MAP_FAILED && copy);
	CHECK(read_remote(&local, &remote) == (ssize_t)n);
	CHECK(!memcmp(copy, p + from, n));
	memset(copy, 'w', n);
	CHECK(write_remote(&local, &remote) == (ssize_t)n);
	CHECK(!memcmp(copy, p + from, n));
	CHECK(is_filled(p, 0, HUGE - 2 * 997 * 13));
	/* Nothing there yet: GUP takes the faults. */
	CHECK(!munmap(p, LENGTH));
	p = backing->map(LENGTH);
	CHECK(p != MAP_FAILED);
	remote.iov_base = p + from;
	CHECK(write_remote(&local, &remote) == (ssize_t)n);
	CHECK(p[from] == 'w' && p[from + n - 1] == 'w' && p[from + n] == 0);
	return 0;
}

/* A pin for writing has to break COW: the other side keeps its byte. */
static int write_in_child(void *arg)
{
	char *p = arg, bytes[3] = "gup";
	struct iovec local = { bytes, 3 }, remote = { p + HUGE - 1, 3 };

	CHECK(write_remote(&local, &remote) == 3);
	CHECK(!memcmp(p + HUGE - 1, bytes, 3));
	return 0;
}

static int test_gup_cow(void)
{
	char *p = map_filled();

	CHECK(p != MAP_FAILED);
	CHECK(in_child(write_in_child, p) == 0);
	if (backing->is_shared)
		CHECK(!memcmp(p + HUGE - 1, "gup", 3));
	else
		CHECK(is_filled(p, 0, LENGTH) && p[HUGE - 1] != 'g' &&
		      p[HUGE] != 'u');
	return 0;
}

/* One call over base pages, this backing, base pages and then a hole. */
static int test_gup_mixed(void)
{
	size_t n = 2 * BASE + LENGTH;
	char *copy = malloc(n + BASE), *room;
	int anon = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	struct iovec local = { copy, n + BASE }, remote;
	char *p = map_filled(), *before, *after;

	room = find_room(LENGTH + 2 * HUGE, HUGE) + HUGE;
	CHECK(p != MAP_FAILED && copy);
	p = mremap(p, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	CHECK(p == room);
	before = mmap(p - BASE, BASE, PROT_READ | PROT_WRITE, anon, -1, 0);
	after = mmap(p + LENGTH, BASE, PROT_READ | PROT_WRITE, anon, -1, 0);
	CHECK(before == p - BASE && after == p + LENGTH);
	memset(before, 'b', BASE);
	memset(after, 'a', BASE);
	remote = (struct iovec){ before, n + BASE };
	CHECK(read_remote(&local, &remote) == (ssize_t)n);
	CHECK(copy[BASE - 1] == 'b' && copy[BASE + LENGTH] == 'a');
	CHECK(is_filled(copy + BASE, 0, LENGTH));
	/* The hole alone is an error. */
	remote = (struct iovec){ after + BASE, BASE };
	CHECK(read_remote(&local, &remote) == -1 && errno == EFAULT);
	return 0;
}

/* A pipe holds the page while parent and child go their ways. */
static int test_gup_vmsplice(void)
{
	char *p = map_filled(), got[BASE];
	struct iovec iov = { p + HUGE + 3 * BASE, BASE };
	int fds[2];

	CHECK(p != MAP_FAILED);
	CHECK(!pipe(fds));
	CHECK(vmsplice(fds[1], &iov, 1, 0) == (ssize_t)BASE);
	CHECK(in_child(write_all, p) == 0);
	CHECK(read(fds[0], got, BASE) == (ssize_t)BASE);
	CHECK(!memcmp(got, p + HUGE + 3 * BASE, BASE));
	/* Unmapped while it is in the pipe: the pipe's page stays. */
	fill(p, 0, LENGTH);
	CHECK(vmsplice(fds[1], &iov, 1, 0) == (ssize_t)BASE);
	CHECK(!munmap(p, LENGTH));
	CHECK(read(fds[0], got, BASE) == (ssize_t)BASE);
	for (size_t i = 0; i < BASE; i++) {
		if ((HUGE + 3 * BASE + i) % 997 == 0)
			CHECK(got[i] == byte_at(HUGE + 3 * BASE + i));
	}
	return 0;
}

/* /proc/self/mem writes with FOLL_FORCE; hugetlb does not know that. */
static int test_gup_force(void)
{
	char *p = map_filled();
	int fd = open("/proc/self/mem", O_RDWR);
	ssize_t n;

	CHECK(p != MAP_FAILED && fd >= 0);
	CHECK(!mprotect(p, LENGTH, PROT_READ));
	n = pwrite(fd, "force", 5, (off_t)(uintptr_t)(p + HUGE));
	if (backing->is_huge || backing->is_shared)
		CHECK(n == -1 && errno == EIO);
	else
		CHECK(n == 5 && !memcmp(p + HUGE, "force", 5));
	CHECK(!mprotect(p, LENGTH, PROT_READ | PROT_WRITE));
	CHECK(pwrite(fd, "plain", 5, (off_t)(uintptr_t)(p + HUGE)) == 5);
	CHECK(!memcmp(p + HUGE, "plain", 5));
	return 0;
}

static int test_mincore(void)
{
	static unsigned char there[LENGTH / BASE];
	char *p = backing->map(LENGTH);

	CHECK(p != MAP_FAILED);
	memset(p + HUGE, 1, HUGE);
	CHECK(!mincore(p, LENGTH, there));
	for (size_t i = 0; i < LENGTH / BASE; i++)
		CHECK((there[i] & 1) == (i >= 512 && i < 1024));
	return 0;
}

static int test_madvise(void)
{
	char *p = map_filled();

	CHECK(p != MAP_FAILED);
	CHECK(!madvise(p + HUGE, HUGE, MADV_DONTNEED));
	if (backing->is_shared || !strcmp(backing->name, "hugetlbfs-private"))
		CHECK(signal_of_read(p + HUGE) == 0);
	else
		CHECK(p[HUGE] == 0 && p[2 * HUGE - 1] == 0);
	CHECK(is_filled(p, 0, HUGE));
	CHECK(is_filled(p + 2 * HUGE, 2 * HUGE, LENGTH));
	CHECK(!munmap(p, LENGTH));
	p = backing->map(LENGTH);
	CHECK(p != MAP_FAILED);
	CHECK(!madvise(p, LENGTH, MADV_POPULATE_READ));
	CHECK(!madvise(p, LENGTH, MADV_POPULATE_WRITE));
	CHECK(p[LENGTH - 1] == 0);
	return 0;
}

static int test_mlock(void)
{
	static unsigned char there[LENGTH / BASE];
	char *p = backing->map(LENGTH);

	CHECK(p != MAP_FAILED);
	CHECK(!mlock(p, LENGTH));
	CHECK(!mincore(p, LENGTH, there));
	for (size_t i = 0; i < LENGTH / BASE; i++)
		CHECK(there[i] & 1);
	CHECK(!munlock(p, LENGTH));
	return 0;
}

static const struct test tests[] = {
	{ "fork", test_fork },
	{ "cow-by-parent", test_cow_by_parent },
	{ "mprotect", test_mprotect },
	{ "mprotect-half", test_mprotect_half },
	{ "mremap", test_mremap },
	{ "mremap-part", test_mremap_part },
	{ "munmap", test_munmap },
	{ "gup-remote", test_gup_remote },
	{ "gup-cow", test_gup_cow },
	{ "gup-mixed", test_gup_mixed },
	{ "gup-vmsplice", test_gup_vmsplice },
	{ "gup-force", test_gup_force },
	{ "mincore", test_mincore },
	{ "madvise", test_madvise },
	{ "mlock", test_mlock },
};

int main(int argc, char **argv)
{
	int failed = 0;

	for (size_t i = 0; i < nr_backings; i++) {
		backing = &backings[i];
		/* A kernel without hugetlb; matrix:base says so. */
		if (argc > 1 && !strcmp(argv[1], "base") && backing->is_huge)
			continue;
		failed += run_tests(backing->name, tests, ARRAY_SIZE(tests));
	}
	return failed < 100 ? failed : 100;
}
