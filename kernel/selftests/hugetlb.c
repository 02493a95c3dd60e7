// SPDX-License-Identifier: GPL-2.0
/*
 * What only huge pages of the pool do: shared page tables, a pool that runs
 * dry, reports by page size, migration, 1 GiB pages, lengths beyond an int.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backing.h"
#include "guest.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON_HUGE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB)
#define HUGE_1GB (30 << 26)

static char *map_pages(int nr, int flags)
{
	return mmap(NULL, nr * HUGE, RW, ANON_HUGE | flags, -1, 0);
}

/* --- lengths -------------------------------------------------------------- */

/* One page in 4 GiB: what was moved does not fit an int. */
static int test_mremap_4g(void)
{
	size_t length = 4 * GB;
	char *p, *q, *to;

	p = mmap(NULL, length, RW, ANON_HUGE | MAP_NORESERVE, -1, 0);
	to = find_room(length, HUGE);
	CHECK(p != MAP_FAILED && to != MAP_FAILED);
	p[3 * GB] = 42;
	q = mremap(p, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to);
	CHECK(q[3 * GB] == 42);
	return 0;
}

static int test_mremap_shrink(void)
{
	long available = pool_available();
	char *p = map_pages(4, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 5, 4 * HUGE);
	CHECK(mremap(p, 4 * HUGE, HUGE, 0) == p);
	CHECK(p[0] == 5 && signal_of_read(p + HUGE) == SIGSEGV);
	CHECK(pool_available() == available - 1);
	return 0;
}

/* --- 1 GiB pages ---------------------------------------------------------- */

static int test_gigantic(void)
{
	char *p = mmap(NULL, GB, RW, ANON_HUGE | HUGE_1GB, -1, 0), *to, *q;
	struct iovec local, remote;
	char copy[3 * BASE];

	CHECK(p != MAP_FAILED);
	p[GB / 2] = 1;
	CHECK(!mprotect(p, GB, PROT_READ));
	CHECK(signal_of_write(p + GB / 2 + 1, 'x') == SIGSEGV);
	CHECK(!mprotect(p, GB, RW));
	local = (struct iovec){ copy, sizeof(copy) };
	remote = (struct iovec){ p + GB / 2 - BASE, sizeof(copy) };
	CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) ==
	      (ssize_t)sizeof(copy));
	CHECK(copy[BASE] == 1 && copy[BASE - 1] == 0);
	CHECK(munmap(p, HUGE) == -1 && errno == EINVAL);
	to = find_room(GB, GB);
	q = mremap(p, GB, GB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to && q[GB / 2] == 1);
	return 0;
}

/* --- PMD tables that processes share -------------------------------------- */

static char *shared_at;

/* mprotect of one page splits the VMA and has to unshare the table first. */
static int split_shared(void *arg)
{
	char *p = shared_at;

	(void)arg;
	CHECK(p[0] == 1);
	p[HUGE] = 2;
	CHECK(!mprotect(p + HUGE, HUGE, PROT_READ));
	CHECK(signal_of_write(p + HUGE, 3) == SIGSEGV);
	CHECK(signal_of_write(p + 2 * HUGE, 3) == 0);
	CHECK(!munmap(p + 4 * HUGE, GB - 4 * HUGE));
	return 0;
}

static int move_shared(void *arg)
{
	char *to = find_room(GB, GB), *q;

	(void)arg;
	CHECK(shared_at[0] == 1);
	q = mremap(shared_at, GB, GB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to && q[0] == 1);
	q[5 * HUGE] = 5;
	return 0;
}

static int test_pmd_sharing(void)
{
	static const char path[] = "/huge/shared";
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0 && !ftruncate(fd, GB));
	shared_at = mmap(find_room(GB, GB), GB, RW,
			 MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd,
			 0);
	CHECK(shared_at != MAP_FAILED);
	unlink(path);
	shared_at[0] = 1;
	for (int i = 0; i < 4; i++) {
		CHECK(in_child(split_shared, NULL) == 0);
		/* Not write-protected here by what the child did. */
		CHECK(signal_of_write(shared_at + HUGE, 4) == 0);
		CHECK(in_child(move_shared, NULL) == 0);
		CHECK(shared_at[5 * HUGE] == 5);
	}
	CHECK(!munmap(shared_at, HUGE));
	CHECK(shared_at[2 * HUGE] == 3);
	CHECK(!munmap(shared_at, GB));
	close(fd);
	return 0;
}

/* --- SysV ----------------------------------------------------------------- */

static int test_shm_twice(void)
{
	int id = shmget(IPC_PRIVATE, 2 * HUGE, IPC_CREAT | SHM_HUGETLB | 0600);
	char *a, *b;

	CHECK(id >= 0);
	a = shmat(id, NULL, 0);
	b = shmat(id, NULL, SHM_RDONLY);
	CHECK(a != (char *)-1 && b != (char *)-1 && a != b);
	CHECK(!shmctl(id, IPC_RMID, NULL));
	a[HUGE + 17] = 9;
	CHECK(b[HUGE + 17] == 9);
	CHECK(signal_of_write(b, 1) == SIGSEGV);
	CHECK(!shmdt(a));
	CHECK(signal_of_read(a) == SIGSEGV);
	CHECK(b[HUGE + 17] == 9);
	CHECK(!shmdt(b));
	return 0;
}

/* --- truncation ----------------------------------------------------------- */

static int test_truncate(void)
{
	static const char path[] = "/huge/truncated";
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char *p, *q;

	CHECK(fd >= 0 && !ftruncate(fd, 4 * HUGE));
	unlink(path);
	p = mmap(NULL, 4 * HUGE, RW, MAP_SHARED, fd, 0);
	q = mmap(NULL, 4 * HUGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && q != MAP_FAILED);
	memset(p, 1, 4 * HUGE);
	q[3 * HUGE] = 2;
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HUGE,
			 HUGE));
	CHECK(p[HUGE] == 0 && p[0] == 1);
	CHECK(!madvise(p, HUGE, MADV_REMOVE));
	CHECK(p[0] == 0);
	CHECK(!ftruncate(fd, 2 * HUGE));
	CHECK(signal_of_read(p + 2 * HUGE) == SIGBUS);
	CHECK(signal_of_read(q + 3 * HUGE) == SIGBUS);
	CHECK(p[HUGE] == 0);
	return 0;
}

/* --- what /proc says ------------------------------------------------------ */

/* The line of a report about the VMA that begins at p, or a field below it. */
static int report_of(const char *path, char *p, const char *field, char *to,
		     size_t size)
{
	char start[32], line[4096];
	int inside = 0, found = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		return 0;
	snprintf(start, sizeof(start), "%lx", (unsigned long)p);
	while (!found && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, start, strlen(start)))
			inside = 1;
		if (inside && !strncmp(line, field ? field : start,
				       strlen(field ? field : start)))
			found = 1;
	}
	fclose(f);
	snprintf(to, size, "%s", found ? line : "");
	return found;
}

static long smaps(char *p, const char *field)
{
	char line[4096];

	if (!report_of("/proc/self/smaps", p, field, line, sizeof(line)))
		return -1;
	return strtol(strchr(line, ':') + 1, NULL, 10);
}

static int test_smaps(void)
{
	char *p = map_pages(4, 0);

	CHECK(p != MAP_FAILED);
	p[HUGE] = 1;
	CHECK(smaps(p, "Size:") == 8192);
	CHECK(smaps(p, "KernelPageSize:") == 2048);
	CHECK(smaps(p, "Private_Hugetlb:") == 2048);
	CHECK(smaps(p, "Shared_Hugetlb:") == 0);
	p[2 * HUGE] = 1;
	CHECK(smaps(p, "Private_Hugetlb:") == 4096);
	/* A walk of a kind that has no callback for huge pages. */
	CHECK(!put("/proc/self/clear_refs", "1"));
	CHECK(!put("/proc/self/clear_refs", "4"));
	CHECK(p[HUGE] == 1 && signal_of_write(p + HUGE, 2) == 0);
	return 0;
}

static int test_numa_maps(void)
{
	char *p = map_pages(4, 0), line[4096];

	CHECK(p != MAP_FAILED);
	memset(p, 1, 3 * HUGE);
	CHECK(report_of("/proc/self/numa_maps", p, NULL, line, sizeof(line)));
	CHECK(strstr(line, " huge ") && strstr(line, "anon=3 "));
	CHECK(strstr(line, "kernelpagesize_kB=2048"));
	return 0;
}

static int test_pagemap(void)
{
	static uint64_t entries[2 * HUGE / BASE];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	char *p = map_pages(2, 0);
	uint64_t pfn = (1ULL << 55) - 1;

	CHECK(p != MAP_FAILED && fd >= 0);
	memset(p + HUGE, 1, HUGE);
	CHECK(pread(fd, entries, sizeof(entries),
		    (uintptr_t)p / BASE * sizeof(*entries)) ==
	      (ssize_t)sizeof(entries));
	for (size_t i = 0; i < 512; i++) {
		CHECK(!(entries[i] >> 63));
		CHECK(entries[512 + i] >> 63);
		CHECK((entries[512 + i] & pfn) == (entries[512] & pfn) + i);
	}
	return 0;
}

/* --- migration ------------------------------------------------------------ */

static int node_of(char *p)
{
	int node = -1;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0, p,
		    MPOL_F_NODE | MPOL_F_ADDR))
		return -1;
	return node;
}

static int test_migrate(void)
{
	char *p = map_pages(2, 0);
	unsigned long nodes;
	int from, to;

	CHECK(p != MAP_FAILED);
	memset(p, 7, 2 * HUGE);
	from = node_of(p);
	CHECK(from == 0 || from == 1);
	to = !from;
	nodes = 1UL << to;
	CHECK(!syscall(SYS_mbind, p, 2 * HUGE, MPOL_BIND, &nodes, 8,
		       MPOL_MF_MOVE | MPOL_MF_STRICT));
	CHECK(node_of(p) == to && node_of(p + HUGE) == to);
	CHECK(p[0] == 7 && p[2 * HUGE - 1] == 7);
	return 0;
}

/* --- a pool that runs dry ------------------------------------------------- */

static int write_one(void *arg)
{
	*(volatile char *)arg = 'c';
	return 0;
}

static int read_one(void *arg)
{
	return *(volatile char *)arg != 'p';
}

/* Nothing is left for the child's copy: it gets SIGBUS, the parent nothing. */
static int test_child_short(void)
{
	char *p = map_pages(1, 0), *rest;

	CHECK(p != MAP_FAILED);
	*p = 'p';
	rest = map_pages(pool_available(), MAP_POPULATE);
	CHECK(rest != MAP_FAILED && pool_available() == 0);
	CHECK(in_child(write_one, p) == 1000 + SIGBUS);
	CHECK(in_child(read_one, p) == 0);
	CHECK(*p == 'p');
	return 0;
}

/* The owner's write takes the page away from its child. */
static int test_parent_short(void)
{
	char *p = map_pages(1, 0), *rest, byte;
	int fds[2], status;
	pid_t pid;

	CHECK(p != MAP_FAILED && !pipe(fds));
	*p = 'p';
	rest = map_pages(pool_available(), MAP_POPULATE);
	CHECK(rest != MAP_FAILED && pool_available() == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		if (read(fds[0], &byte, 1) != 1)
			_exit(2);
		_exit(read_one(p));
	}
	CHECK(signal_of_write(p, 'P') == 0);
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	CHECK(*p == 'P');
	return 0;
}

static int test_noreserve_short(void)
{
	char *rest = map_pages(pool_available(), MAP_POPULATE), *p;
	struct iovec local = { "w", 1 }, remote;

	CHECK(rest != MAP_FAILED);
	CHECK(map_pages(1, 0) == MAP_FAILED && errno == ENOMEM);
	p = map_pages(1, MAP_NORESERVE);
	CHECK(p != MAP_FAILED);
	CHECK(signal_of_write(p, 1) == SIGBUS);
	remote = (struct iovec){ p, 1 };
	CHECK(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == -1 &&
	      errno == EFAULT);
	return 0;
}

/* --- the OOM killer ------------------------------------------------------- */

static int take_too_much(void *arg)
{
	char *p = map_pages(8, 0);

	(void)arg;
	CHECK(!put("/cgroup/small/cgroup.procs", "0"));
	CHECK(p != MAP_FAILED);
	memset(p, 1, 8 * HUGE);
	for (size_t i = 0;; i++) {
		char *q = mmap(NULL, MB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		CHECK(q != MAP_FAILED);
		memset(q, 1, MB);
	}
}

static int test_oom(void)
{
	CHECK(!put("/cgroup/cgroup.subtree_control", "+memory"));
	mkdir("/cgroup/small", 0755);
	CHECK(!put("/cgroup/small/memory.max", "16777216"));
	for (int i = 0; i < 3; i++)
		CHECK(in_child(take_too_much, NULL) == 1000 + SIGKILL);
	CHECK(!rmdir("/cgroup/small"));
	return 0;
}

/* --- the gate page, on the way to it -------------------------------------- */

static int test_gate(void)
{
	char code[BASE];
	struct iovec local = { code, sizeof(code) };
	struct iovec remote = { (void *)0xffffffffff600000UL, sizeof(code) };

	CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) ==
	      (ssize_t)sizeof(code));
	/* mov $__NR_gettimeofday, %rax; syscall */
	CHECK(!memcmp(code, "\x48\xc7\xc0\x60\x00\x00\x00\x0f\x05", 9));
	return 0;
}

/* --- all at once ---------------------------------------------------------- */

#define ROUNDS 40
#define THREADS 3

static char *arena;
static int stop;

static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		char *p = arena + rand_r(&seed) % 16 * HUGE;
		struct iovec local = { &seed, 1 }, remote = { p + 5, 1 };

		switch (rand_r(&seed) % 4) {
		case 0:
			madvise(p, HUGE, MADV_DONTNEED);
			break;
		case 1:
			process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
			break;
		case 2:
			mprotect(p, HUGE, PROT_READ);
			mprotect(p, HUGE, RW);
			break;
		default:
			process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
		}
	}
	return NULL;
}

static int touch_all(void *arg)
{
	char *p = arg;

	/* Threads of the parent protect pages all the time. */
	for (int i = 0; i < 16; i++)
		signal_of_write(p + i * HUGE + 9, 'c');
	return 0;
}

static int test_churn(void)
{
	pthread_t threads[THREADS];

	arena = map_pages(16, 0);
	CHECK(arena != MAP_FAILED);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, churn,
				      (void *)(i + 1)));
	for (int i = 0; i < ROUNDS; i++) {
		char *p = map_pages(2, MAP_POPULATE);

		CHECK(p != MAP_FAILED);
		CHECK(in_child(touch_all, arena) != -1);
		CHECK(!munmap(p, 2 * HUGE));
		CHECK(smaps(arena, "Size:") >= 0);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static const struct test tests[] = {
	{ "mremap-4g", test_mremap_4g },
	{ "mremap-shrink", test_mremap_shrink },
	{ "gigantic", test_gigantic },
	{ "pmd-sharing", test_pmd_sharing },
	{ "shm-twice", test_shm_twice },
	{ "truncate", test_truncate },
	{ "smaps", test_smaps },
	{ "numa-maps", test_numa_maps },
	{ "pagemap", test_pagemap },
	{ "migrate", test_migrate },
	{ "child-short", test_child_short },
	{ "parent-short", test_parent_short },
	{ "noreserve-short", test_noreserve_short },
	{ "oom", test_oom },
	{ "gate", test_gate },
	{ "churn", test_churn },
};

int main(void)
{
	return run_tests("hugetlb", tests, ARRAY_SIZE(tests));
}
