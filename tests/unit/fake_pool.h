/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_pool.h - a huge-page pool without huge pages: MAP_HUGETLB becomes plain
 * anonymous memory, MADV_POPULATE_WRITE takes from a count, mincore tells what
 * it gave, MADV_DONTNEED gives it back.  Sharing after a fork is a switch.
 */
#ifndef HS_TEST_FAKE_POOL_H
#define HS_TEST_FAKE_POOL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"

#define FAKE_SLOT ((size_t)2 << 20)
#define FAKE_SLOTS_MAX 512
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static struct {
	struct hs_sys real;
	size_t free_pages;
	bool shared; /* every page is shared: writing takes a page more */
	size_t nr;
	uintptr_t page[FAKE_SLOTS_MAX]; /* resident, by address */
	int fail_mremap;  /* errno, 0: works */
	int fail_mprotect;
	int fail_proc; /* opening anything below it */
	int fail_dontneed;
	unsigned nr_dontfork, nr_dofork;
	unsigned nr_hugetlb_maps;
} fake_pool;

static size_t fake_pool_find(uintptr_t addr)
{
	size_t i;

	for (i = 0; i < fake_pool.nr; i++)
		if (fake_pool.page[i] == addr)
			break;
	return i;
}

static bool fake_pool_take(uintptr_t addr)
{
	bool resident = fake_pool_find(addr) < fake_pool.nr;

	if (resident && !fake_pool.shared)
		return true;
	if (fake_pool.free_pages == 0)
		return false;
	fake_pool.free_pages--;
	if (!resident && fake_pool.nr == FAKE_SLOTS_MAX)
		abort();
	if (!resident)
		fake_pool.page[fake_pool.nr++] = addr;
	return true;
}

static void fake_pool_drop(uintptr_t addr)
{
	size_t i = fake_pool_find(addr);

	if (i == fake_pool.nr)
		return;
	fake_pool.page[i] = fake_pool.page[--fake_pool.nr];
	fake_pool.free_pages++;
}

/* Whole pages of it: of a part the kernel would say EINVAL. */
static void fake_pool_drop_range(uintptr_t addr, size_t len)
{
	for (size_t i = fake_pool.nr; i-- > 0;)
		if (fake_pool.page[i] >= addr &&
		    fake_pool.page[i] + FAKE_SLOT <= addr + len)
			fake_pool_drop(fake_pool.page[i]);
}

static int fake_pool_munmap(void *addr, size_t len)
{
	int err = fake_pool.real.munmap(addr, len);

	if (!err)
		fake_pool_drop_range((uintptr_t)addr, len);
	return err;
}

static void *fake_pool_mmap(void *addr, size_t len, int prot, int flags, int fd,
			    off_t off)
{
	if (flags & MAP_FIXED)
		fake_pool_drop_range((uintptr_t)addr, len);
	if (flags & MAP_HUGETLB) {
		flags &= MAP_HUGETLB - 1; /* and the size above it */
		fake_pool.nr_hugetlb_maps++;
	}
	return fake_pool.real.mmap(addr, len, prot, flags, fd, off);
}

static int fake_pool_madvise(void *addr, size_t len, int advice)
{
	uintptr_t p = (uintptr_t)addr;

	fake_pool.nr_dontfork += advice == MADV_DONTFORK;
	fake_pool.nr_dofork += advice == MADV_DOFORK;
	if (advice == MADV_DONTNEED && fake_pool.fail_dontneed)
		return -fake_pool.fail_dontneed;
	if (advice != MADV_POPULATE_WRITE && advice != MADV_DONTNEED)
		return fake_pool.real.madvise(addr, len, advice);
	for (; p < (uintptr_t)addr + len; p += FAKE_SLOT) {
		if (advice == MADV_DONTNEED)
			fake_pool_drop(p);
		else if (!fake_pool_take(p))
			return -EFAULT;
	}
	return advice == MADV_DONTNEED ?
		       fake_pool.real.madvise(addr, len, advice) :
		       0;
}

static int fake_pool_mincore(void *addr, size_t len HS_UNUSED,
			     unsigned char *vec)
{
	*vec = fake_pool_find((uintptr_t)addr) < fake_pool.nr;
	return 0;
}

static void *fake_pool_mremap(void *old, size_t old_len, size_t new_len,
			      int flags, void *new_addr)
{
	uintptr_t p = (uintptr_t)new_addr;

	if (fake_pool.fail_mremap)
		return (void *)(intptr_t)-fake_pool.fail_mremap;
	for (; p < (uintptr_t)new_addr + new_len; p += FAKE_SLOT) {
		size_t from = fake_pool_find((uintptr_t)old + p -
					     (uintptr_t)new_addr);

		fake_pool_drop(p);
		if (from < fake_pool.nr)
			fake_pool.page[from] = p;
	}
	return fake_pool.real.mremap(old, old_len, new_len, flags, new_addr);
}

static int fake_pool_mprotect(void *addr, size_t len, int prot)
{
	if (fake_pool.fail_mprotect && prot == PROT_READ)
		return -fake_pool.fail_mprotect;
	return fake_pool.real.mprotect(addr, len, prot);
}

static int fake_pool_open(const char *path, int flags, int mode)
{
	if (fake_pool.fail_proc && strncmp(path, "/proc/", 6) == 0)
		return -fake_pool.fail_proc;
	return fake_pool.real.open(path, flags, mode);
}

static void fake_pool_install(size_t free_pages)
{
	fake_pool.real = hs_sys;
	fake_pool.free_pages = free_pages;
	hs_sys.mmap = fake_pool_mmap;
	hs_sys.munmap = fake_pool_munmap;
	hs_sys.open = fake_pool_open;
	hs_sys.madvise = fake_pool_madvise;
	hs_sys.mincore = fake_pool_mincore;
	hs_sys.mremap = fake_pool_mremap;
	hs_sys.mprotect = fake_pool_mprotect;
}

#endif
