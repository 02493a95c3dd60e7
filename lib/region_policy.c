/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region_policy.c - who gets huge pages: configuration, the surroundings, the
 * cap, the number of kernel mappings.
 */
#include "config.h"
#include "convert.h"
#include "probe.h"
#include "region_internal.h"
#include "regmap.h"
#include "rescue.h"
#include "sys.h"

#define RUN_MIN 16 /* slots mapped by one call, once the heap has that many */
#define RUN_MAX 64
#define RECOUNT_EVERY 256
#define GIVE_WAY_MIN 64 /* slots at once: each look is at all of them */

static struct {
	bool decided;
	bool usable;
	enum hs_stats_counter reason; /* why not */
	size_t cap_slots;             /* as of the last look at the pool */
	size_t max_vmas;
} policy;

static bool probe_says_restricted(void)
{
	bool mine = hs_lock_is_mine(&hs_region_lock);
	bool filtered;

	if (!mine)
		hs_lock_acquire(&hs_region_lock);
	filtered = hs_probe_run()->seccomp && !hs_config->trust_seccomp;
	if (!mine)
		hs_lock_release(&hs_region_lock);
	return filtered;
}

bool hs_region_is_restricted(void)
{
	enum { UNKNOWN, NO, YES };
	static _Atomic int found;

	if (hs_region.restricted)
		return true;
	/* Pool pages are in use only where the probe found no filter. */
	if (policy.usable)
		return false;
	if (atomic_load_explicit(&found, memory_order_relaxed) == UNKNOWN)
		atomic_store_explicit(&found,
				      probe_says_restricted() ? YES : NO,
				      memory_order_relaxed);
	return atomic_load_explicit(&found, memory_order_relaxed) == YES;
}

static enum hs_stats_counter refused_by_config(void)
{
	if (!hs_config->enabled || hs_config->fallback == HS_FALLBACK_ON)
		return HS_STAT_FALLBACK_CONFIG;
	if (hs_config->backing != HS_BACKING_AUTO &&
	    hs_config->backing != HS_BACKING_HUGETLB)
		return HS_STAT_FALLBACK_CONFIG;
	return HS_STAT_NR_COUNTERS;
}

/* Looked at when the heap first outgrows its base pages, not at start. */
static void decide(void)
{
	const struct hs_probe *probe;

	policy.decided = true;
	policy.max_vmas = SIZE_MAX;
	policy.reason = refused_by_config();
	if (policy.reason != HS_STAT_NR_COUNTERS)
		return;
	policy.reason = HS_STAT_FALLBACK_SECCOMP;
	if (hs_region.restricted)
		return;
	probe = hs_probe_run();
	policy.max_vmas = probe->max_map_count / 2;
	if (probe->seccomp && !hs_config->trust_seccomp)
		return;
	policy.reason = HS_STAT_FALLBACK_MAP;
	if (hs_rescue_init() == 0)
		policy.usable = true;
}

/* Both limits are in force where the file gave one and the environment the
 * other. */
static size_t cap_now(void)
{
	size_t cap = hs_config->limit_bytes >> hs_arena.slot_shift;
	size_t pages;

	if (hs_config->limit_percent == 0)
		return cap;
	pages = hs_probe_pool_size(hs_region_slot_bytes());
	if (pages > SIZE_MAX / 100)
		return cap;
	return HS_MIN(cap, pages * hs_config->limit_percent / 100);
}

/* The pool may have grown since: look again before refusing. */
static size_t within_cap(size_t nr)
{
	size_t used =
		atomic_load_explicit(&hs_region.nr_pool, memory_order_relaxed);

	if (used + nr > policy.cap_slots && !hs_region.restricted)
		policy.cap_slots = cap_now();
	if (used >= policy.cap_slots)
		return 0;
	return HS_MIN(nr, policy.cap_slots - used);
}

static bool is_untouched(struct hs_slot *slot)
{
	unsigned char vec = 0;

	return hs_slot_state(slot) == HS_SLOT_LAZY &&
	       hs_sys.mincore(hs_slot_address(slot), hs_sys_page_size(),
			      &vec) == 0 &&
	       !(vec & 1);
}

/* Base pages in at most @nr untouched slots, but for the first @skip.  How many
 * there were, the skipped ones included. */
static size_t settle_untouched(size_t skip, size_t nr)
{
	size_t i = hs_regmap.first, found = 0;

	for (; (i = hs_regmap_next(i, hs_regmap.end)) < hs_regmap.end; i++) {
		struct hs_slot *slot = &hs_regmap.slots[i];

		if (!is_untouched(slot) || found++ < skip)
			continue;
		if (nr-- == 0 || hs_rescue_pin_base(hs_slot_address(slot), 1))
			break;
	}
	return found;
}

/*
 * A large mapping or block may have the whole cap and use little of it.  What
 * is needed now comes before what may be needed: the slots from its end on, as
 * far as nobody has touched them, become base pages.
 */
static void give_way(size_t nr)
{
	size_t total;

	if (hs_stats_gauge(HS_GAUGE_VM_LAZY) + hs_stats_gauge(HS_GAUGE_LAZY) ==
	    0)
		return;
	total = settle_untouched(SIZE_MAX, 0);
	nr = HS_MIN(total, HS_MAX(nr, GIVE_WAY_MIN));
	if (nr)
		settle_untouched(total - nr, nr);
}

size_t hs_policy_pool_slots(size_t nr, unsigned flags)
{
	size_t allowed;

	if (flags & HS_MAP_BASE)
		return 0;
	if (!policy.decided)
		decide();
	if (!hs_config->heap && !(flags & HS_MAP_VM)) {
		hs_policy_note_short(nr, HS_STAT_FALLBACK_CONFIG);
		return 0;
	}
	if (!policy.usable || hs_region.restricted) {
		hs_policy_note_short(nr, policy.usable
						 ? HS_STAT_FALLBACK_SECCOMP
						 : policy.reason);
		return 0;
	}
	/* What a rescue may need is charged by a mapping of the same size,
	 * which a limit would count once more. */
	if (hs_region.left_pool ||
	    (hs_region.limited && hs_convert_charges())) {
		hs_policy_note_short(nr, HS_STAT_FALLBACK_RLIMIT);
		return 0;
	}
	if (!hs_policy_may_split()) {
		hs_policy_note_short(nr, HS_STAT_FALLBACK_MAP_COUNT);
		return 0;
	}
	allowed = within_cap(nr);
	if (allowed < nr && !(flags & HS_MAP_LAZY)) {
		give_way(nr - allowed);
		allowed = within_cap(nr);
	}
	if (allowed < nr)
		hs_policy_note_short(nr - allowed,
				     policy.cap_slots == 0 &&
						     hs_config->limit_percent
					     ? HS_STAT_FALLBACK_POOL
					     : HS_STAT_FALLBACK_LIMIT);
	return allowed;
}

static bool vmas_left(void)
{
	return atomic_load_explicit(&hs_region.nr_vmas, memory_order_relaxed) <
	       policy.max_vmas;
}

/* What is counted only goes up; the kernel knows better, but not for nothing.
 */
bool hs_policy_may_split(void)
{
	static unsigned refused;

	if (!policy.decided || vmas_left())
		return policy.decided;
	if (refused++ % RECOUNT_EVERY == 0)
		atomic_store_explicit(&hs_region.nr_vmas,
				      hs_probe_nr_mappings(),
				      memory_order_relaxed);
	return vmas_left();
}

/*
 * Hugetlb mappings never merge and each costs 0.8 us of every fork, so runs
 * are mapped by one call; a small heap maps little ahead.
 */
size_t hs_policy_run_slots(size_t nr)
{
	size_t used =
		atomic_load_explicit(&hs_region.nr_pool, memory_order_relaxed);

	if (hs_region.limited || nr >= RUN_MAX)
		return nr;
	return HS_MAX(nr, HS_MIN(RUN_MAX, HS_MAX(used / 4, RUN_MIN)));
}

const struct hs_pagesrc *hs_policy_fallback(unsigned flags)
{
	if (flags & HS_MAP_BASE)
		return &hs_pagesrc_base;
	if (hs_config->fallback == HS_FALLBACK_OFF)
		return NULL;
	if (!hs_config->enabled ||
	    (!hs_config->heap && !(flags & HS_MAP_VM)) ||
	    hs_config->backing == HS_BACKING_BASE ||
	    hs_config->backing == HS_BACKING_HUGETLB || hs_region.restricted)
		return &hs_pagesrc_base;
	if (hs_probe_run()->thp == HS_THP_NEVER)
		return &hs_pagesrc_base;
	return &hs_pagesrc_thp;
}

void hs_policy_note_short(size_t nr, enum hs_stats_counter reason)
{
	if (nr == 0)
		return;
	if (hs_region.limited && reason == HS_STAT_FALLBACK_MAP)
		reason = HS_STAT_FALLBACK_RLIMIT;
	hs_stats_fallback(reason);
	hs_stats_add(reason, nr - 1);
}
