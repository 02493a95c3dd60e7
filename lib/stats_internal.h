/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats_internal.h - the counters themselves, shared by stats.c (writes) and
 * what reads them: the report, and hugectl from another process.
 *
 * Owner: stats.c.  Relaxed atomics without pairs: each stands for itself.
 */
#ifndef HS_STATS_INTERNAL_H
#define HS_STATS_INTERNAL_H

#include "base.h"
#include "stats.h"

struct hs_stats {
	_Atomic uint64_t counter[HS_STAT_NR_COUNTERS];
	_Atomic uint64_t gauge[HS_STAT_NR_GAUGES];
	_Atomic uint64_t peak[HS_STAT_NR_GAUGES];
	/* Of the heap and of mappings: the most of all page sizes together, and
	 * what of it was huge, touched or not. */
	struct hs_stats_largest {
		_Atomic uint64_t bytes;
		_Atomic uint64_t huge_bytes;
	} heap, mmap;
	_Atomic bool fallback_said;
};

extern struct hs_stats hs_stats;

/* What hugectl finds by the note "hugeshim" in the library's header: int32
 * distances, from where they stand, to hs_stats and to this.  The version says
 * that the members of struct hs_stats before fallback_said are as above. */
#define HS_STATS_VERSION 1

struct hs_stats_layout {
	uint32_t nr_counters;
	uint32_t nr_gauges;
	uint32_t size_bytes; /* of struct hs_stats */
	uint32_t version;
	char names[1024]; /* of counters, then of gauges, each with its NUL */
};

HS_HIDDEN extern const struct hs_stats_layout hs_stats_layout;

#endif
