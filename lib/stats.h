/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats.h - counters and gauges, and the report.
 *
 * Everything the library decides against a huge page is counted by reason.
 * Counters are relaxed atomics; they order nothing.
 *
 * Context: hs_stats_add() and friends are thread-safe, async-signal-safe and
 * valid in a fork child.  A child's counters start again at zero
 * (hs_stats_postfork_child()) but for gauges, which describe memory it has.
 */
#ifndef HS_STATS_H
#define HS_STATS_H

#include "base.h"

/* X(enum suffix, json name, text of the report) */
#define HS_STATS_COUNTERS(X)                                                   \
	X(FALLBACK_POOL, "pool_empty", "no free huge page in the pool")        \
	X(FALLBACK_LIMIT, "limit", "limit of this process reached")            \
	X(FALLBACK_MAP, "map_failed", "mapping huge pages failed")             \
	X(FALLBACK_SECCOMP, "seccomp", "seccomp filter active")                \
	X(FALLBACK_RLIMIT, "rlimit", "RLIMIT_AS, RLIMIT_DATA or mlockall")     \
	X(FALLBACK_MAP_COUNT, "map_count", "vm.max_map_count is near")         \
	X(FALLBACK_OVERCOMMIT, "overcommit", "mappings: overcommit_memory=2")  \
	X(FALLBACK_CONFIG, "config", "switched off by configuration")          \
	X(RESCUE_COW, "rescue_cow", "copies of a page shared by fork rescued") \
	X(RESCUE_TOUCH, "rescue_touch", "first touches rescued")               \
	X(RESCUE_FAILED, "rescue_failed", "rescues that found no memory")      \
	X(CONVERT, "convert", "huge pages turned into base pages")             \
	X(FORK, "fork", "forks seen")                                          \
	X(FORK_UNSEEN, "fork_unseen", "forks noticed afterwards")              \
	X(COW_FORK, "cow_fork", "forks after which the library copies")        \
	X(COW_FROZEN, "cow_frozen", "pages protected after a fork")            \
	X(COW_COPIED, "cow_copied", "pages copied by the library")             \
	X(COW_LIFTED, "cow_lifted", "pages that nobody shared any more")       \
	X(COW_LEFT, "cow_left", "protected runs left to the kernel")           \
	X(COW_UNTOLD, "cow_untold", "copies for want of /proc/self/pagemap")   \
	X(COW_US_32, "cow_us_32", "answers to a write below 32 us")            \
	X(COW_US_128, "cow_us_128", "answers to a write below 128 us")         \
	X(COW_US_512, "cow_us_512", "answers to a write below 512 us")         \
	X(COW_US_MORE, "cow_us_more", "answers to a write of 512 us and more") \
	X(SYSCALL_TOUCH, "syscall_touch", "pages touched before a call")       \
	X(SLOT_MAPPED, "slot_mapped", "huge page slots mapped")                \
	X(SLOT_RETURNED, "slot_returned", "huge pages given back")             \
	X(MMAP_BACKED, "mmap_backed", "huge page slots of mappings")           \
	X(MMAP_COLLAPSED, "mmap_collapsed", "small mappings made huge (THP)")  \
	X(SHM_BACKED, "shm_backed", "shared memory segments on huge pages")    \
	X(FOREIGN_FREE, "foreign_free", "pointers handed to the next free")

/* Bytes; each gauge keeps its peak. */
#define HS_STATS_GAUGES(X)                                                     \
	X(HUGE, "huge_bytes", "heap on huge pages (hugetlb)")                  \
	X(LAZY, "lazy_bytes", "huge pages mapped, not yet touched")            \
	X(THP, "thp_bytes", "heap on base pages advised for THP")              \
	X(BASE, "base_bytes", "heap on base pages")                            \
	X(RETAINED, "retained_bytes", "free, kept for re-use")                 \
	X(VM_HUGE, "mmap_huge_bytes", "mappings on huge pages (hugetlb)")      \
	X(VM_LAZY, "mmap_lazy_bytes", "mappings not yet touched")              \
	X(VM_BASE, "mmap_base_bytes", "mappings on smaller pages")

enum hs_stats_counter {
#define X(id, json, text) HS_STAT_##id,
	HS_STATS_COUNTERS(X)
#undef X
	HS_STAT_NR_COUNTERS
};

enum hs_stats_gauge {
#define X(id, json, text) HS_GAUGE_##id,
	HS_STATS_GAUGES(X)
#undef X
	HS_STAT_NR_GAUGES
};

void hs_stats_count(enum hs_stats_counter id);
void hs_stats_add(enum hs_stats_counter id, uint64_t n);
uint64_t hs_stats_get(enum hs_stats_counter id);

/* Move a gauge by @delta_bytes and keep the peak. */
void hs_stats_gauge_add(enum hs_stats_gauge id, int64_t delta_bytes);
uint64_t hs_stats_gauge(enum hs_stats_gauge id);
uint64_t hs_stats_gauge_peak(enum hs_stats_gauge id);

/* Count a fallback and, for the first of the process, say why in one line
 * (HS_LOG_WARN; also at the default level when standard error is a
 * terminal). */
void hs_stats_fallback(enum hs_stats_counter reason);

void hs_stats_postfork_child(void);

/* A seccomp filter is going on: the report's file is opened now, and nothing
 * is opened later. */
void hs_stats_restrict(void);

/* After hs_config_init(): where the report goes to standard error, keep a
 * close-on-exec copy of it; programs that close it at exit are many.  What
 * descriptor 2 becomes later gets no report. */
void hs_stats_init(void);

/* Write the report: to @fd, as text or as one JSON object.  Says that VmRSS
 * does not count hugetlb and shows HugetlbPages of /proc/self/status.
 * No allocation, no stdio. */
void hs_stats_report(int fd, bool json);

/* At exit: what hs_config->stats_path asks for (O_APPEND, one write).  A
 * failure is one line. */
void hs_stats_report_configured(void);

#endif
