// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * jemalloc.c - the "non-standard API": allocation with flags.
 *
 * Arena and thread-cache flags choose among things that this heap has one of,
 * so they change nothing.
 */
#include "preload/jemalloc.h"

#include <malloc.h>
#include <string.h>

#include "log.h"
#include "preload/malloc.h"
#include "stats.h"
#include "sys.h"

static size_t align_of(int flags)
{
	unsigned lg = HS_MALLOCX_LG_ALIGN(flags);

	return lg ? (size_t)1 << lg : 0;
}

static void *allocate(size_t size, int flags)
{
	size_t align = align_of(flags);
	void *p;

	if (flags & HS_MALLOCX_ZERO && align <= HS_HEAP_MIN_ALIGN)
		return calloc(1, size);
	p = align > HS_HEAP_MIN_ALIGN ? memalign(align, size) : malloc(size);
	if (p && flags & HS_MALLOCX_ZERO)
		memset(p, 0, malloc_usable_size(p));
	return p;
}

HS_EXPORT void *mallocx(size_t size, int flags)
{
	return allocate(size, flags);
}

/* A block that must be aligned, or zeroed where it grows, is made anew: realloc
 * promises neither. */
HS_EXPORT void *rallocx(void *p, size_t size, int flags)
{
	size_t old_bytes;
	void *fresh;

	if (align_of(flags) <= HS_HEAP_MIN_ALIGN &&
	    !(flags & HS_MALLOCX_ZERO))
		return realloc(p, size ? size : 1);
	old_bytes = malloc_usable_size(p);
	fresh = allocate(size, flags);
	if (!fresh)
		return NULL;
	memcpy(fresh, p, HS_MIN(old_bytes, size));
	free(p);
	return fresh;
}

/* In place or not at all; the answer is the size there is. */
HS_EXPORT size_t xallocx(void *p, size_t size HS_UNUSED,
			 size_t extra HS_UNUSED, int flags HS_UNUSED)
{
	return malloc_usable_size(p);
}

HS_EXPORT size_t sallocx(const void *p, int flags HS_UNUSED)
{
	return malloc_usable_size((void *)p);
}

HS_EXPORT void dallocx(void *p, int flags HS_UNUSED)
{
	free(p);
}

HS_EXPORT void sdallocx(void *p, size_t size, int flags)
{
	if (hs_free_is_ours() && hs_region_contains(p))
		hs_heap_free_sized(p, size, align_of(flags));
	else
		free(p);
}

HS_EXPORT size_t nallocx(size_t size, int flags)
{
	size_t align = HS_MAX(align_of(flags), (size_t)HS_HEAP_MIN_ALIGN);

	if (size > PTRDIFF_MAX || align > PTRDIFF_MAX - size)
		return 0;
	return hs_heap_good_size(align > HS_HEAP_MIN_ALIGN ?
					 hs_align_up(size, align) : size);
}

void hs_jemalloc_stats(struct hs_jemalloc_stats *stats)
{
	struct hs_heap_usage usage;

	hs_heap_usage(&usage);
	stats->allocated = usage.allocated_bytes;
	stats->mapped = usage.mapped_bytes;
	stats->active = usage.mapped_bytes - usage.retained_bytes;
	stats->metadata = usage.metadata_bytes;
	stats->resident = usage.mapped_bytes + usage.metadata_bytes -
			  HS_MIN(hs_stats_gauge(HS_GAUGE_LAZY),
				 usage.mapped_bytes);
	stats->retained = 0;
}

static void write_stderr(void *arg HS_UNUSED, const char *text)
{
	hs_sys.write(2, text, strlen(text));
}

HS_EXPORT void malloc_stats_print(void (*write_cb)(void *, const char *),
				  void *arg, const char *options)
{
	bool json = options && strchr(options, 'J');
	struct hs_jemalloc_stats stats;
	char text[HS_LOG_LINE_MAX];

	hs_jemalloc_stats(&stats);
	hs_log_format(text, sizeof(text),
		      json ? "{\"jemalloc\":{\"version\":\"libhugeshim "
			     PACKAGE_VERSION "\",\"stats\":{\"allocated\":%zu,"
			     "\"active\":%zu,\"metadata\":%zu,\"resident\":%zu,"
			     "\"mapped\":%zu,\"retained\":%zu}}}\n" :
			     "___ Begin libhugeshim statistics ___\n"
			     "Allocated: %zu, active: %zu, metadata: %zu, "
			     "resident: %zu, mapped: %zu, retained: %zu\n"
			     "--- End libhugeshim statistics ---\n",
		      stats.allocated, stats.active, stats.metadata,
		      stats.resident, stats.mapped, stats.retained);
	(write_cb ? write_cb : write_stderr)(arg, text);
}
