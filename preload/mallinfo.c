// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mallinfo.c - glibc's questions and knobs, answered from the heap's own
 * figures.
 *
 * Where a field describes a mechanism that this heap does not have (fast bins,
 * sbrk), it is 0, as it is in glibc when the mechanism is not in use.
 */
#include <malloc.h>
#include <stdio.h>

#include "heap.h"
#include "log.h"
#include "preload/real.h"
#include "stats.h"
#include "sys.h"

/* What glibc refuses: a fast bin above 80 * sizeof(size_t) / 4 bytes. */
#define MXFAST_MAX (80 * (int)sizeof(size_t) / 4)

static struct mallinfo2 info_now(void)
{
	struct hs_heap_usage usage;
	struct mallinfo2 info = { 0 };
	size_t small_bytes;

	hs_heap_usage(&usage);
	small_bytes = usage.mapped_bytes - usage.large_bytes;
	info.arena = small_bytes;
	info.hblks = usage.nr_large;
	info.hblkhd = usage.large_bytes;
	info.uordblks = usage.allocated_bytes - usage.large_bytes;
	info.fordblks = small_bytes - info.uordblks;
	info.keepcost = usage.retained_bytes;
	return info;
}

HS_EXPORT struct mallinfo2 mallinfo2(void)
{
	return info_now();
}

/* The fields of the old struct are ints; glibc too lets them wrap. */
static struct mallinfo narrow(struct mallinfo2 wide)
{
	struct mallinfo info = { 0 };

	info.arena = (int)wide.arena;
	info.hblks = (int)wide.hblks;
	info.hblkhd = (int)wide.hblkhd;
	info.uordblks = (int)wide.uordblks;
	info.fordblks = (int)wide.fordblks;
	info.keepcost = (int)wide.keepcost;
	return info;
}

HS_EXPORT struct mallinfo mallinfo(void)
{
	return narrow(info_now());
}

HS_EXPORT int malloc_trim(size_t pad)
{
	return hs_heap_trim(pad);
}

/* Knobs of a heap that is not this one: accepted as glibc accepts what it does
 * not know. */
static int option(int param, int value)
{
	if (param == M_MXFAST)
		return value >= 0 && value <= MXFAST_MAX;
	return 1;
}

HS_EXPORT int mallopt(int param, int value)
{
	return option(param, value);
}

HS_EXPORT void malloc_stats(void)
{
	struct hs_heap_usage usage;
	char line[HS_LOG_LINE_MAX];
	size_t len;

	hs_heap_usage(&usage);
	len = hs_log_format(line, sizeof(line),
			    "system bytes     = %10zu\n"
			    "in use bytes     = %10zu\n"
			    "large blocks     = %10zu\n"
			    "large bytes      = %10zu\n"
			    "retained bytes   = %10zu\n",
			    usage.mapped_bytes, usage.allocated_bytes,
			    usage.nr_large, usage.large_bytes,
			    usage.retained_bytes);
	hs_sys.write(2, line, len);
}

HS_EXPORT int malloc_info(int options, FILE *stream)
{
	struct hs_heap_usage usage;

	if (options != 0)
		return EINVAL;
	hs_heap_usage(&usage);
	HS_NEXT(fprintf)(
		stream,
		"<malloc version=\"1\">\n"
		"<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
		"<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n"
		"<aspace type=\"total\" size=\"%zu\"/>\n"
		"<hugetlb type=\"current\" size=\"%llu\"/>\n"
		"</malloc>\n",
		usage.mapped_bytes - usage.allocated_bytes, usage.nr_large,
		usage.large_bytes, usage.mapped_bytes, usage.mapped_bytes,
		(unsigned long long)hs_stats_gauge(HS_GAUGE_HUGE));
	return 0;
}

/* The names that libc's own helpers and old programs use. */
struct mallinfo __libc_mallinfo(void);
int __libc_mallopt(int param, int value);

HS_EXPORT struct mallinfo __libc_mallinfo(void)
{
	return narrow(info_now());
}

HS_EXPORT int __libc_mallopt(int param, int value)
{
	return option(param, value);
}
