/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jemalloc.h - the calls that programs built for jemalloc make besides
 * malloc's: Debian's redis-server is linked with libjemalloc and asks it for
 * its statistics.  With this library in front they are asked of this heap, and
 * get its figures; what it has no answer for is ENOENT, which programs meet
 * with every jemalloc that was built without the feature.
 *
 * The figures in jemalloc's words
 *   allocated  bytes in live blocks, rounded to their classes
 *   active     bytes of pages that hold blocks
 *   mapped     active, and free pages that are kept
 *   resident   mapped by the heap and its tables, but for huge pages that
 *              nobody has touched yet
 *   retained   0: address space that is kept without memory costs nothing
 */
#ifndef HS_PRELOAD_JEMALLOC_H
#define HS_PRELOAD_JEMALLOC_H

#include "base.h"

/* Bits of the flags argument, as <jemalloc/jemalloc.h> has them. */
#define HS_MALLOCX_LG_ALIGN(flags) ((unsigned)(flags) & 0x3f)
#define HS_MALLOCX_ZERO 0x40

/* The largest number of parts that a name of mallctl has here. */
#define HS_MALLCTL_DEPTH 4

struct hs_jemalloc_stats {
	size_t allocated, active, metadata, resident, mapped, retained;
};

void hs_jemalloc_stats(struct hs_jemalloc_stats *stats);

void *mallocx(size_t size, int flags);
void *rallocx(void *p, size_t size, int flags);
size_t xallocx(void *p, size_t size, size_t extra, int flags);
size_t sallocx(const void *p, int flags);
void dallocx(void *p, int flags);
void sdallocx(void *p, size_t size, int flags);
size_t nallocx(size_t size, int flags);
int mallctl(const char *name, void *old, size_t *old_bytes, void *new,
	    size_t new_bytes);
int mallctlnametomib(const char *name, size_t *mib, size_t *mib_len);
int mallctlbymib(const size_t *mib, size_t mib_len, void *old,
		 size_t *old_bytes, void *new, size_t new_bytes);
void malloc_stats_print(void (*write_cb)(void *, const char *), void *arg,
			const char *options);

#endif
