/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shm.c - shmget: a new segment on huge pages (HUGESHIM_SHM).
 *
 * SHM_HUGETLB reserves its pages, but a reservation does not keep a control
 * group's limit or a node's shortage from killing who touches them.  So they
 * are populated before anybody gets the segment, through a mapping that can
 * only be read: the owner may not have the right to write.
 */
#include "preload/shm.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "config.h"
#include "preload/real.h"
#include "preload/trap.h"
#include "probe.h"
#include "region.h"
#include "stats.h"
#include "sys.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef SHM_HUGE_SHIFT
#define SHM_HUGE_SHIFT 26
#endif

static size_t page_bytes(void)
{
	size_t size = hs_config->page_size_bytes;

	return size ? size : hs_probe_default_huge_size();
}

static size_t round_up(size_t size)
{
	size_t page = page_bytes();

	return (size + page - 1) & ~(page - 1);
}

size_t hs_shm_length(size_t size_bytes)
{
	return hs_config->shm ? round_up(size_bytes) : size_bytes;
}

/* As for mappings: not for less than one page, nor where the pool is out of
 * bounds.  What asks for huge pages by itself gets what it asks for. */
static bool wants(key_t key, size_t size, int flags)
{
	if (!hs_config->shm || !hs_config->enabled ||
	    hs_config->fallback == HS_FALLBACK_ON ||
	    (hs_config->backing != HS_BACKING_AUTO &&
	     hs_config->backing != HS_BACKING_HUGETLB))
		return false;
	if (size < page_bytes() || round_up(size) < size)
		return false;
	return !(flags & SHM_HUGETLB) &&
	       (key == IPC_PRIVATE || (flags & IPC_CREAT)) &&
	       !hs_trap_is_vfork_child();
}

/* HUGESHIM_LIMIT, of each segment: they outlive the process that makes them.
 */
static bool within_limit(size_t size)
{
	size_t pool;

	if (round_up(size) > hs_config->limit_bytes)
		return false;
	if (hs_config->limit_percent == 0)
		return true;
	pool = hs_probe_pool_size(page_bytes());
	return pool > SIZE_MAX / 100 ||
	       round_up(size) / page_bytes() <=
		       pool * hs_config->limit_percent / 100;
}

static bool populate(int id, size_t size)
{
	void *p = HS_NEXT(shmat)(id, NULL, SHM_RDONLY);
	int err;

	if (p == (void *)-1)
		return false;
	err = hs_sys.madvise(p, round_up(size), MADV_POPULATE_READ);
	HS_NEXT(shmdt)(p);
	return err == 0;
}

/* A new segment, or -1 and why not. */
static int create(key_t key, size_t size, int flags,
		  enum hs_stats_counter *reason)
{
	int huge =
		SHM_HUGETLB | (__builtin_ctzl(page_bytes()) << SHM_HUGE_SHIFT);
	int id;

	*reason = HS_STAT_FALLBACK_SECCOMP;
	if (hs_region_is_restricted())
		return -1;
	*reason = HS_STAT_FALLBACK_LIMIT;
	if (!within_limit(size))
		return -1;
	id = HS_NEXT(shmget)(key, size, flags | huge | IPC_CREAT | IPC_EXCL);
	*reason =
		errno == ENOMEM ? HS_STAT_FALLBACK_POOL : HS_STAT_FALLBACK_MAP;
	if (id < 0)
		return -1;
	if (populate(id, size))
		return id;
	HS_NEXT(shmctl)(id, IPC_RMID, NULL);
	*reason = HS_STAT_FALLBACK_POOL;
	return -1;
}

HS_EXPORT int shmget(key_t key, size_t size, int flags)
{
	enum hs_stats_counter reason;
	int saved = errno, id;

	if (!wants(key, size, flags))
		return HS_NEXT(shmget)(key, size, flags);
	/* One that is there already is answered as ever. */
	if (key != IPC_PRIVATE &&
	    (HS_NEXT(shmget)(key, 0, 0) >= 0 || errno != ENOENT))
		goto as_ever;
	id = create(key, size, flags, &reason);
	if (id >= 0) {
		hs_stats_count(HS_STAT_SHM_BACKED);
		errno = saved;
		return id;
	}
	/* Somebody else's by now: no fallback. */
	if (errno == EEXIST && key != IPC_PRIVATE)
		goto as_ever;
	hs_stats_fallback(reason);
	if (hs_config->fallback == HS_FALLBACK_OFF) {
		errno = ENOMEM;
		return -1;
	}
as_ever:
	errno = saved;
	return HS_NEXT(shmget)(key, size, flags);
}
