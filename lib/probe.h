/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.h - what this kernel and this process's surroundings allow, asked at
 * run time, lazily: nothing here runs before the heap outgrows its base pages.
 *
 * Context: thread-safe under the caller's HS_RANK_REGION lock; hs_probe_get()
 * after the first hs_probe_run() is lock-free.
 */
#ifndef HS_PROBE_H
#define HS_PROBE_H

#include "base.h"

enum hs_thp_mode { HS_THP_NEVER, HS_THP_MADVISE, HS_THP_ALWAYS };

struct hs_probe {
	bool ran;
	bool seccomp;         /* a seccomp filter is on (or cannot be told) */
	bool overcommit_never;/* vm.overcommit_memory is 2 */
	enum hs_thp_mode thp; /* what MADV_HUGEPAGE can get; prctl considered */
	size_t max_map_count; /* vm.max_map_count, 65530 when unknown */
};

/* Huge page size when none is configured: what one page-middle-directory
 * entry maps with this base page size (2 MiB with 4 KiB). */
size_t hs_probe_default_huge_size(void);

/* Fill the struct once; later calls return at once. */
const struct hs_probe *hs_probe_run(void);

/* Pages in the pool of that size now and what may still be overcommitted;
 * SIZE_MAX when it cannot be told. */
size_t hs_probe_pool_size(size_t huge_page_bytes);

/* Kernel mappings that this process has; 0 when it cannot be told. */
size_t hs_probe_nr_mappings(void);

/* Pages of that size that the pool could give now: free ones and what may
 * still be overcommitted; -errno when it cannot be told. */
long hs_probe_pool_free(size_t huge_page_bytes);

/* RLIMIT_AS, RLIMIT_DATA or MCL_FUTURE in force: reserve nothing ahead.
 * Costs two system calls; cheap enough for start. */
bool hs_probe_address_space_limited(size_t *limit_bytes);
bool hs_probe_data_limited(void);

#endif
