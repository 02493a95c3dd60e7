/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork.c - the one sequence around every fork that can be seen.
 *
 *   time      thread that forks            other threads      who owns a page
 *   prepare   fork lock, gate shut,        calls with arena   the process
 *             all locks in rank order      buffers wait; the
 *             slots of calls in flight     rest runs until it
 *             copied, MADV_DONTFORK        needs a lock
 *   fork      kernel shares every page     stores go on       both; kept slots:
 *             but the kept ones                               the parent
 *   parent    epoch + 1 (all HUGE slots    wait               as above
 *             are FROZEN), kept slots
 *             DOFORK, locks, gate open
 *   child     epoch + 1, copies into the   are not there:     copies: the child
 *             holes, locks and records     their heaps are
 *             of other threads reset       idle
 *   first     kernel copies 2 MiB, or      the same           the writer has
 *   write     SIGBUS: rescue copies to                        its own copy
 *             base pages
 *   exit      the other side is sole owner: the kernel lets it write in place
 *
 * A fork that is not seen (a raw system call) shares the locks as they were:
 * lock.c takes them over by generation; pages are safe as they are the
 * kernel's to copy.
 */
#include "fork.h"

#include <signal.h>

#include "cow.h"
#include "heap.h"
#include "inflight.h"
#include "lock.h"
#include "meta.h"
#include "regmap.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"

static struct hs_lock fork_lock = HS_LOCK_INIT(HS_RANK_FORK);
static struct {
	unsigned depth; /* prepare handlers that fork again */
	bool masked;
	uint64_t mask; /* what it was */
	bool region, rescue, meta;
} taken;

/* Of the fork under way. */
static const struct hs_cow_engine_ops *engine;

static bool take_lower(bool skip)
{
	if (!hs_lock_prefork_try(&hs_region_lock, &taken.region) && !skip)
		return false;
	if (!hs_lock_prefork_try(&hs_rescue_lock, &taken.rescue) && !skip)
		return false;
	return hs_lock_prefork_try(&hs_meta_lock, &taken.meta) || skip;
}

static void give_back(struct hs_lock *lock, bool *was_taken)
{
	hs_lock_postfork_parent(lock, *was_taken);
	*was_taken = false;
}

static void release_lower(void)
{
	give_back(&hs_meta_lock, &taken.meta);
	give_back(&hs_rescue_lock, &taken.rescue);
	give_back(&hs_region_lock, &taken.region);
}

static bool take_all(bool skip)
{
	if (!hs_heap_prefork(skip))
		return false;
	if (take_lower(skip))
		return true;
	release_lower();
	hs_heap_postfork_parent();
	return false;
}

/* --- a stack that is heap memory ---------------------------------------- */

/* What the rest of the fork may push below, and reads above. */
#define STACK_BELOW (64 * HS_KIB)
#define STACK_ABOVE (4 * HS_KIB)

/* On it the forking thread's own stack is converted.  Fork lock held. */
static _Alignas(64) char spare_stack[32 * HS_KIB];

static void call_on_spare(void (*fn)(void *arg), void *arg)
{
	void *top = spare_stack + sizeof(spare_stack);

#if defined(__x86_64__)
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %[top], %%rsp\n\t"
			 "call *%[fn]\n\t"
			 "mov %%rbx, %%rsp"
			 : "+D"(arg)
			 : [top] "r"(top), [fn] "r"(fn)
			 : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10",
			   "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
			   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
			   "memory");
#else
	(void)top;
	(void)fn;
	(void)arg;
#endif
}

static void stack_to_base(void *sp)
{
	hs_rescue_pin_base((char *)sp - STACK_BELOW, STACK_BELOW + STACK_ABOVE);
}

/*
 * Else the first push after the fork, with the rescue's lock held, could meet
 * a page that is shared and cannot be copied.  Stacks that were announced are
 * on base pages already; a coroutine library's may be any block.
 */
static void settle_own_stack(void)
{
	void *sp = __builtin_frame_address(0);

	if (hs_regmap_find(sp))
		call_on_spare(stack_to_base, sp);
}

/*
 * A handler that came between prepare and the fork, or the fork and its end,
 * could wait for a lock of its own thread, or write to a page that only the
 * rescue could copy, whose lock its thread has.  (libc's fork blocks signals
 * too; so a filter that allows fork allows this.)
 */
static bool block_signals(uint64_t *mask)
{
	const uint64_t all = ~(UINT64_C(1) << (SIGBUS - 1) |
			       UINT64_C(1) << (SIGSEGV - 1));

	return hs_sys.sigprocmask(SIG_BLOCK, &all, mask) == 0;
}

/* The lock goes last but one: whoever takes it next stores its own mask. */
static void end(void (*release)(struct hs_lock *lock, bool taken))
{
	uint64_t mask = taken.mask;
	bool masked = taken.masked;

	hs_inflight_open();
	release(&fork_lock, true);
	if (masked)
		hs_sys.sigprocmask(SIG_SETMASK, &mask, NULL);
}

/*
 * A handler that interrupted the heap and forks holds what its thread held.
 * Another thread may wait for that, holding what this fork wants, so it does
 * not insist: it leaves such locks out.  A fork from elsewhere that meets a
 * lock so held lets go of everything, the fork lock too, for the handler may
 * be waiting for that.
 */
void hs_fork_prepare(void)
{
	bool interrupted = hs_lock_holds_any();
	uint64_t mask = 0;
	bool masked;

	if (hs_lock_is_mine(&fork_lock)) {
		taken.depth++;
		return;
	}
	masked = block_signals(&mask);
	hs_lock_prefork(&fork_lock);
	taken.masked = masked;
	taken.mask = mask;
	settle_own_stack();
	hs_inflight_shut();
	while (!take_all(interrupted)) {
		hs_inflight_open();
		hs_lock_postfork_parent(&fork_lock, true);
		hs_sys.sched_yield();
		hs_lock_prefork(&fork_lock);
		taken.masked = masked;
		taken.mask = mask;
		hs_inflight_shut();
	}
	engine = hs_cow_choose();
	engine->prefork();
	hs_rescue_in_fork = taken.rescue;
}

void hs_fork_parent(void)
{
	if (taken.depth > 0) {
		taken.depth--;
		return;
	}
	hs_rescue_in_fork = false;
	engine->postfork_parent();
	release_lower();
	hs_heap_postfork_parent();
	hs_stats_count(HS_STAT_FORK);
	end(hs_lock_postfork_parent);
}

void hs_fork_child(void)
{
	hs_lock_rearm_sentinel();
	if (taken.depth > 0) {
		taken.depth--;
		return;
	}
	hs_rescue_in_fork = false;
	hs_inflight_postfork_child();
	hs_stats_postfork_child();
	engine->postfork_child();
	hs_cow_postfork_child();
	hs_lock_postfork_child(&hs_meta_lock, taken.meta);
	hs_lock_postfork_child(&hs_rescue_lock, taken.rescue);
	hs_lock_postfork_child(&hs_region_lock, taken.region);
	hs_heap_postfork_child();
	end(hs_lock_postfork_child);
}
