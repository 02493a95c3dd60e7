// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hugetlbfs_alloc.c - libhugetlbfs's memory: blocks of the engine.
 */
#include <stdlib.h>
#include <unistd.h>

#include "hugealloc/engine.h"
#include "hugealloc/hugetlbfs.h"

static size_t page_bytes(void)
{
	long size = gethugepagesize();

	return size > 0 ? (size_t)size : hugealloc_engine()->page_bytes();
}

/* NULL and errno. */
static void *map(size_t len, size_t page, uint32_t fallback)
{
	struct hs_block_request request = {
		.page_bytes = page,
		.fallback = fallback,
		/* Children of programs written for libhugetlbfs have such
		 * memory, whatever its page size. */
		.flags = HS_BLOCK_KERNEL_COW,
	};
	int saved = errno, err;
	void *p;

	err = len == 0 ? -EINVAL
		       : hugealloc_engine()->map(len, &request, &p);
	if (err)
		return HUGEALLOC_FAIL(err, NULL);
	errno = saved;
	return p;
}

/* What is not the start of a block is left alone. */
static void unmap(void *ptr, bool start)
{
	const struct hs_engine *engine = hugealloc_engine();
	int saved = errno;
	size_t size;
	void *addr;

	if (engine->find(ptr, &addr, &size) == 0 && (addr == ptr || !start))
		engine->unmap(addr, size);
	errno = saved;
}

HS_EXPORT void *get_huge_pages(size_t len, ghp_t flags HS_UNUSED)
{
	return map(len, page_bytes(), HS_BLOCK_REQUIRE);
}

HS_EXPORT void free_huge_pages(void *ptr)
{
	unmap(ptr, true);
}

/* Buffers that all begin on a page meet in the same cache lines. */
static void *colour(char *p, size_t left_over)
{
	static _Atomic size_t turn;
	long line = sysconf(_SC_LEVEL2_CACHE_LINESIZE);
	size_t nr;

	nr = left_over / (line > 0 ? (size_t)line : 64);
	if (nr == 0)
		return p;
	return p + atomic_fetch_add(&turn, 1) * 7 % nr *
			   (line > 0 ? (size_t)line : 64);
}

HS_EXPORT void *get_hugepage_region(size_t len, ghr_t flags)
{
	size_t page = page_bytes();
	char *p = map(len, page, HS_BLOCK_REQUIRE);

	if (!p && (flags & GHR_FALLBACK)) {
		page = (size_t)sysconf(_SC_PAGESIZE);
		p = map(len, page, HS_BLOCK_PREFER);
	}
	if (!p || !(flags & GHR_COLOR))
		return p;
	return colour(p, hs_align_up(len, page) - len);
}

HS_EXPORT void free_hugepage_region(void *ptr)
{
	unmap(ptr, false);
}
