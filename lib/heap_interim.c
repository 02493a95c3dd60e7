// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * heap_interim.c - the interface of heap.h in its plainest form, one lock and
 * power-of-two lists with a header before each block.  Configure builds it
 * only where lib/heap.c is not in the tree.
 */
#include <string.h>

#include "heap.h"
#include "lock.h"
#include "log.h"
#include "region.h"

struct block {
	void *start;      /* of the chunk's piece, or of the region */
	size_t got_bytes; /* of a large block's region, else 0 */
	size_t usable_bytes;
	uint32_t class;
	uint32_t magic;
};

#define MAGIC_LIVE 0x6c697665u
#define MAGIC_FREE 0x66726565u
#define CHUNK_BYTES ((size_t)4 << 20)
#define NR_CLASSES 21 /* up to 1 MiB */

struct free_block {
	struct free_block *next;
};

void (*hs_heap_thread_attach_hook)(void);

static struct hs_lock heap_lock = HS_LOCK_INIT(HS_RANK_HEAP);
static bool heap_lock_taken;
static bool ready;
static struct {
	struct free_block *list[NR_CLASSES];
	char *next, *end;
} pools[2]; /* [1]: base pages */
static size_t mapped_bytes;
static size_t allocated_bytes;
static HS_TLS bool attached;

static void *piece(unsigned class, bool base)
{
	size_t size = (size_t)1 << class;
	void *p = pools[base].list[class];
	size_t got;

	if (p) {
		pools[base].list[class] = *(void **)p;
		return p;
	}
	if ((size_t)(pools[base].end - pools[base].next) < size) {
		if (hs_region_map(NULL, CHUNK_BYTES, 0,
				  base || mapped_bytes < HS_MIB ? HS_MAP_BASE
								: 0,
				  &p, &got))
			return NULL;
		mapped_bytes += got;
		pools[base].next = p;
		pools[base].end = (char *)p + got;
	}
	p = pools[base].next;
	pools[base].next += size;
	return p;
}

static void *allocate(size_t align, size_t size, bool base, bool clear)
{
	size_t need, got = 0;
	struct block *b;
	unsigned class = 6;
	void *start = NULL;

	if (size > PTRDIFF_MAX - align - HS_MIB)
		return NULL;
	need = size + align + sizeof(*b);
	hs_lock_acquire(&heap_lock);
	if (!ready)
		ready = hs_region_init() == 0;
	while (class < NR_CLASSES && ((size_t)1 << class) < need)
		class++;
	if (ready && class < NR_CLASSES)
		start = piece(class, base);
	else if (ready && hs_region_map(NULL, hs_align_up(need, HS_UNIT), 0,
					base ? HS_MAP_BASE : 0, &start, &got))
		start = NULL;
	if (start) {
		mapped_bytes += got;
		allocated_bytes += got ? got : (size_t)1 << class;
	}
	hs_lock_release(&heap_lock);
	if (!start)
		return NULL;
	b = (struct block *)hs_align_up((uintptr_t)start + sizeof(*b), align) -
	    1;
	b->start = start;
	b->got_bytes = got;
	b->class = class | (base ? 0x100 : 0);
	b->usable_bytes = (uintptr_t)start +
			  (got ? got : (size_t)1 << class) -
			  (uintptr_t)(b + 1);
	b->magic = MAGIC_LIVE;
	if (clear && !got)
		memset(b + 1, 0, size);
	if (!attached) {
		attached = true;
		if (hs_heap_thread_attach_hook)
			hs_heap_thread_attach_hook();
	}
	return b + 1;
}

static struct block *block_of(const void *p)
{
	struct block *b = (struct block *)(uintptr_t)p - 1;

	if ((uintptr_t)p % 16)
		hs_log_fatal("free(): invalid pointer %p", p);
	if (b->magic == MAGIC_FREE)
		hs_log_fatal("free(): double free of %p", p);
	if (b->magic != MAGIC_LIVE)
		hs_log_fatal("free(): invalid pointer %p", p);
	return b;
}

void *hs_heap_malloc(size_t size_bytes)
{
	return allocate(HS_HEAP_MIN_ALIGN, size_bytes, false, false);
}

void *hs_heap_malloc_base(size_t size_bytes)
{
	return allocate(HS_HEAP_MIN_ALIGN, size_bytes, true, false);
}

void *hs_heap_calloc(size_t size_bytes)
{
	return allocate(HS_HEAP_MIN_ALIGN, size_bytes, false, true);
}

void *hs_heap_memalign(size_t align, size_t size_bytes)
{
	return allocate(HS_MAX(align, (size_t)HS_HEAP_MIN_ALIGN), size_bytes,
			false, false);
}

void *hs_heap_realloc(void *p, size_t size_bytes)
{
	struct block *b = block_of(p);
	void *fresh;

	if (size_bytes <= b->usable_bytes && size_bytes >= b->usable_bytes / 4)
		return p;
	fresh = hs_heap_malloc(size_bytes);
	if (!fresh)
		return NULL;
	memcpy(fresh, p, HS_MIN(size_bytes, b->usable_bytes));
	hs_heap_free(p);
	return fresh;
}

void hs_heap_free(void *p)
{
	struct block *b;
	struct free_block *f;
	bool base;

	if (!p)
		return;
	b = block_of(p);
	b->magic = MAGIC_FREE;
	hs_lock_acquire(&heap_lock);
	if (b->got_bytes) {
		mapped_bytes -= b->got_bytes;
		allocated_bytes -= b->got_bytes;
		hs_region_unmap(b->start, b->got_bytes);
	} else {
		base = b->class & 0x100;
		f = b->start;
		allocated_bytes -= (size_t)1 << (b->class & 0xff);
		f->next = pools[base].list[b->class & 0xff];
		pools[base].list[b->class & 0xff] = f;
	}
	hs_lock_release(&heap_lock);
}

void hs_heap_free_sized(void *p, size_t size_bytes, size_t align HS_UNUSED)
{
	if (p && block_of(p)->usable_bytes < size_bytes)
		hs_log_fatal("free_sized(): wrong size for %p", p);
	hs_heap_free(p);
}

size_t hs_heap_usable_size(const void *p)
{
	return p ? block_of(p)->usable_bytes : 0;
}

size_t hs_heap_good_size(size_t size_bytes)
{
	return hs_align_up(size_bytes, HS_HEAP_MIN_ALIGN);
}

bool hs_heap_trim(size_t keep_bytes HS_UNUSED)
{
	return false;
}

void hs_heap_usage(struct hs_heap_usage *usage)
{
	memset(usage, 0, sizeof(*usage));
	usage->mapped_bytes = mapped_bytes;
	usage->allocated_bytes = allocated_bytes;
}

void hs_heap_thread_exit(void)
{
}

void hs_heap_prefork(void)
{
	heap_lock_taken = hs_lock_prefork(&heap_lock);
}

void hs_heap_postfork_parent(void)
{
	hs_lock_postfork_parent(&heap_lock, heap_lock_taken);
}

void hs_heap_postfork_child(void)
{
	hs_lock_postfork_child(&heap_lock, heap_lock_taken);
}

int hs_heap_check(void)
{
	return 0;
}
