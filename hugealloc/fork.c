// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fork.c - locks in rank order around a fork, signals blocked meanwhile; every
 * huge page is shared afterwards, which the epoch says.
 *
 * Prepare handlers run one after the other under libc's lock, so there is one
 * fork at a time; but one of another library, run after ours, may fork.
 */
#include "hugealloc/fork.h"

#include <signal.h>

#include "hugealloc/trap.h"
#include "lock.h"
#include "meta.h"
#include "region.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"
#include "vm.h"

static struct {
	unsigned depth;
	uint64_t mask;
	bool masked, region, rescue, meta;
} taken;

static void block_signals(void)
{
	const uint64_t all = ~(UINT64_C(1) << (SIGBUS - 1) |
			       UINT64_C(1) << (SIGSEGV - 1));

	taken.masked = hs_sys.sigprocmask(SIG_BLOCK, &all, &taken.mask) == 0;
}

static void unblock_signals(void)
{
	if (taken.masked)
		hs_sys.sigprocmask(SIG_SETMASK, &taken.mask, NULL);
}

/*
 * Where the program has put handlers of its own in place of ours, a page that
 * cannot be copied would kill; and under a filter that it set, the handler's
 * calls might.  Then no huge page is shared.
 */
static void settle(void)
{
	if (!hugealloc_trap_is_on())
		return;
	if (!hugealloc_trap_is_ours() || hs_region_is_restricted())
		hs_vm_settle(true);
}

void hugealloc_fork_prepare(void)
{
	if (taken.depth++ > 0)
		return;
	settle();
	block_signals();
	taken.region = hs_lock_prefork(&hs_region_lock);
	taken.rescue = hs_lock_prefork(&hs_rescue_lock);
	taken.meta = hs_lock_prefork(&hs_meta_lock);
}

static void release(void (*give_back)(struct hs_lock *lock, bool was_taken))
{
	atomic_fetch_add_explicit(&hs_arena.epoch, 1, memory_order_relaxed);
	give_back(&hs_meta_lock, taken.meta);
	give_back(&hs_rescue_lock, taken.rescue);
	give_back(&hs_region_lock, taken.region);
	unblock_signals();
}

void hugealloc_fork_parent(void)
{
	if (--taken.depth > 0)
		return;
	hs_stats_count(HS_STAT_FORK);
	release(hs_lock_postfork_parent);
}

void hugealloc_fork_child(void)
{
	hs_lock_rearm_sentinel();
	if (--taken.depth > 0)
		return;
	hs_stats_postfork_child();
	release(hs_lock_postfork_child);
}
