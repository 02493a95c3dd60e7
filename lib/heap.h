/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap.h - the allocator over the arena; what preload/ exports by its names.
 *
 * Size classes with at most 12.5 % internal waste; slabs of 64 KiB units with
 * bitmaps out of band: the allocator never writes to memory that it has handed
 * out or taken back, so a fork child's frees copy nothing, and a free with all
 * signals blocked cannot fault.
 *
 * Invariants
 * 1. A block's bit is set in its slab's free map or remote map exactly while
 *    it is free.
 * 2. No two live blocks overlap, whatever a program frees.
 * 3. Metadata is outside the arena.
 *
 * Errors: pointers are NULL with the reason as -errno in the out-parameter-free
 * functions below meaning ENOMEM; preload/ sets errno.
 * Context: thread-safe; not async-signal-safe, as malloc is not; valid in a
 * fork child.  Locks: HS_RANK_REGISTRY .. HS_RANK_SPAN.
 */
#ifndef HS_HEAP_H
#define HS_HEAP_H

#include "base.h"

#define HS_HEAP_MIN_ALIGN 16

struct hs_heap_usage {
	size_t allocated_bytes; /* in live blocks, rounded to their classes */
	size_t mapped_bytes;    /* of the arena, by the heap */
	size_t retained_bytes;  /* mapped, in no block and no slab */
	size_t metadata_bytes;
	size_t nr_large; /* blocks above the largest class */
	size_t large_bytes;
};

/* NULL: no memory.  size 0 gives a unique block.  */
void *hs_heap_malloc(size_t size_bytes);
/* As malloc for blocks that libc may have the kernel write (stdio buffers,
 * directory streams): always on base pages. */
void *hs_heap_malloc_base(size_t size_bytes);
/* The overflow of nmemb * size is the caller's business. */
void *hs_heap_calloc(size_t size_bytes);
/* pre: align is a power of two. */
void *hs_heap_memalign(size_t align, size_t size_bytes);
/* pre: p is a block of ours.  NULL: no memory, p as before. */
void *hs_heap_realloc(void *p, size_t size_bytes);
/* pre: p is in the arena (or NULL).  Aborts with one line on misuse. */
void hs_heap_free(void *p);
/* The same for what hs_heap_free_fast() has declined. */
void hs_heap_free_slow(void *p);
/* As free, and abort when the block is not of the class that @size_bytes (and
 * @align, 0 for none) would get. */
void hs_heap_free_sized(void *p, size_t size_bytes, size_t align);
/* Usable bytes; aborts when p is no live block of ours. */
size_t hs_heap_usable_size(const void *p);
/* What malloc(size) would be able to use; 0 when it would fail. */
size_t hs_heap_good_size(size_t size_bytes);
/* Give back what is free, but keep @keep_bytes.  True if anything was. */
bool hs_heap_trim(size_t keep_bytes);
void hs_heap_usage(struct hs_heap_usage *usage);

/* Called once in each thread, when it gets its heap; preload/ arranges there
 * that hs_heap_thread_exit() runs.  Must not allocate.  May be NULL. */
extern void (*hs_heap_thread_attach_hook)(void);

/* Threads: called at thread exit (a TLS destructor); the heap object and its
 * slabs go to the next thread that needs one. */
void hs_heap_thread_exit(void);

/* Fork: in rank order, called by fork.c only. */
/* False: a lock could not be had in good time, and none is kept; with @skip
 * such locks are left out (their holders' heaps are put right in the child). */
bool hs_heap_prefork(bool skip);
void hs_heap_postfork_parent(void);
void hs_heap_postfork_child(void);

/* Validate every numbered invariant of every heap; for tests, with no other
 * thread in the heap.  0 or the number of the broken one. */
int hs_heap_check(void);

#endif
