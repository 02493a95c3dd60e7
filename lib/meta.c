/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta.c - own memory, cut from chunks that are never given back.
 */
#include "meta.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include "sys.h"

#define CHUNK_BYTES (256 * HS_KIB)
/* Larger requests get a mapping of their own, and waste no chunk. */
#define SMALL_MAX (CHUNK_BYTES / 4)
/* THP would touch whole huge pages of a table that is touched in places. */
#define NOHUGEPAGE_FROM (2 * HS_MIB)

struct hs_lock hs_meta_lock = HS_LOCK_INIT(HS_RANK_META);

/* The chunk being cut; protected by hs_meta_lock. */
static uintptr_t chunk_next;
static uintptr_t chunk_end;

static _Atomic size_t meta_bytes;

static void *map_pages(size_t size_bytes, int extra_flags)
{
	void *p = hs_sys.mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);

	if (hs_sys_is_err(p))
		return NULL;
	atomic_fetch_add_explicit(&meta_bytes, size_bytes,
				  memory_order_relaxed);
	return p;
}

/* Rounded up to base pages, or 0 when that overflows. */
static size_t round_to_pages(size_t size_bytes)
{
	size_t page_bytes = hs_sys_page_size();

	if (size_bytes > SIZE_MAX / 2)
		return 0;
	return hs_align_up(size_bytes, page_bytes);
}

/*
 * Under a limit on the address space a whole chunk may not be had where what
 * is asked for can.  A chunk right behind the last one goes on with it.
 */
static bool refill(size_t size_bytes)
{
	size_t got_bytes = CHUNK_BYTES;
	uintptr_t p = (uintptr_t)map_pages(got_bytes, 0);

	if (!p) {
		got_bytes = round_to_pages(size_bytes);
		p = (uintptr_t)map_pages(got_bytes, 0);
	}
	if (!p)
		return false;
	if (p != chunk_end)
		chunk_next = p;
	chunk_end = p + got_bytes;
	return true;
}

static void *cut(size_t size_bytes, size_t align)
{
	uintptr_t p = hs_align_up(chunk_next, align);

	if (p > chunk_end || chunk_end - p < size_bytes)
		return NULL;
	chunk_next = p + size_bytes;
	return (void *)p;
}

static void *alloc_small(size_t size_bytes, size_t align)
{
	void *p;

	hs_lock_acquire(&hs_meta_lock);
	p = cut(size_bytes, align);
	if (!p && refill(size_bytes))
		p = cut(size_bytes, align);
	hs_lock_release(&hs_meta_lock);
	return p;
}

void *hs_meta_alloc(size_t size_bytes, size_t align)
{
	if (size_bytes == 0)
		size_bytes = 1;
	if (size_bytes <= SMALL_MAX)
		return alloc_small(size_bytes, align);
	size_bytes = round_to_pages(size_bytes);
	return size_bytes ? map_pages(size_bytes, 0) : NULL;
}

void *hs_meta_reserve(size_t size_bytes)
{
	void *p;

	size_bytes = round_to_pages(size_bytes);
	if (size_bytes == 0)
		return NULL;
	p = map_pages(size_bytes, MAP_NORESERVE);
	if (p && size_bytes >= NOHUGEPAGE_FROM)
		hs_sys.madvise(p, size_bytes, MADV_NOHUGEPAGE);
	return p;
}

void hs_meta_reserve_trim(void *table, size_t size_bytes, size_t from_bytes)
{
	size_bytes = round_to_pages(size_bytes);
	from_bytes = round_to_pages(from_bytes);
	if (from_bytes >= size_bytes)
		return;
	if (hs_sys.munmap((char *)table + from_bytes,
			  size_bytes - from_bytes) == 0)
		atomic_fetch_sub_explicit(&meta_bytes, size_bytes - from_bytes,
					  memory_order_relaxed);
}

size_t hs_meta_bytes(void)
{
	return atomic_load_explicit(&meta_bytes, memory_order_relaxed);
}
