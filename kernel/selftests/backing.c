// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "backing.h"
#include "guest.h"

#define RW (PROT_READ | PROT_WRITE)

const struct backing *backing;

char *find_room(size_t length, size_t align)
{
	char *p = mmap(NULL, length + align, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return MAP_FAILED;
	munmap(p, length + align);
	return (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
}

static char *map_at_room(size_t length, int flags, int fd)
{
	char *room = find_room(length, HUGE);

	if (room == MAP_FAILED)
		return MAP_FAILED;
	return mmap(room, length, RW, flags | MAP_FIXED_NOREPLACE, fd, 0);
}

static char *map_huge_private(size_t length)
{
	return mmap(NULL, length, RW,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

static char *map_huge_shared(size_t length)
{
	return mmap(NULL, length, RW,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

static char *map_file(size_t length, int fd, int flags)
{
	char *p;

	if (fd < 0)
		return MAP_FAILED;
	p = ftruncate(fd, length) ? MAP_FAILED : map_at_room(length, flags, fd);
	close(fd);
	return p;
}

static char *map_hugetlbfs(size_t length)
{
	static const char path[] = "/huge/file";
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	unlink(path);
	return map_file(length, fd, MAP_SHARED);
}

static char *map_hugetlbfs_private(size_t length)
{
	static const char path[] = "/huge/private";
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	unlink(path);
	return map_file(length, fd, MAP_PRIVATE);
}

static char *map_shm(size_t length, int flags)
{
	int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600 | flags);
	char *p;

	if (id < 0)
		return MAP_FAILED;
	p = shmat(id, find_room(length, HUGE), 0);
	shmctl(id, IPC_RMID, NULL);
	return p;
}

static char *map_shm_huge(size_t length)
{
	return map_shm(length, SHM_HUGETLB);
}

static char *map_shm_base(size_t length)
{
	return map_shm(length, 0);
}

static char *map_base(size_t length)
{
	char *p = map_at_room(length, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (p != MAP_FAILED)
		madvise(p, length, MADV_NOHUGEPAGE);
	return p;
}

static char *map_base_shared(size_t length)
{
	return map_at_room(length, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static char *map_thp(size_t length)
{
	char *p = map_at_room(length, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (p != MAP_FAILED)
		madvise(p, length, MADV_HUGEPAGE);
	return p;
}

const struct backing backings[] = {
	{ "hugetlb-private", HUGE, 1, 0, map_huge_private },
	{ "hugetlb-shared", HUGE, 1, 1, map_huge_shared },
	{ "hugetlbfs", HUGE, 1, 1, map_hugetlbfs },
	{ "hugetlbfs-private", HUGE, 1, 0, map_hugetlbfs_private },
	{ "shm-hugetlb", HUGE, 1, 1, map_shm_huge },
	{ "base", BASE, 0, 0, map_base },
	{ "base-shared", BASE, 0, 1, map_base_shared },
	{ "shm", BASE, 0, 1, map_shm_base },
	{ "thp", BASE, 0, 0, map_thp },
};

const size_t nr_backings = ARRAY_SIZE(backings);
