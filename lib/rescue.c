/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rescue.h"

#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "convert.h"
#include "guard.h"
#include "log.h"
#include "pagesrc.h"
#include "region_internal.h"
#include "regmap.h"
#include "stats.h"
#include "sys.h"

/* What else can be had when neither a huge page nor base pages can: wait for
 * somebody to free memory, then die as a bare program would. */
#define WAIT_NS 10000000L
#define WAIT_TRIES 300
#define AT_ONCE_TRIES 4

struct hs_lock hs_rescue_lock = HS_LOCK_INIT(HS_RANK_RESCUE);
bool hs_rescue_in_fork;
int (*hs_trap_install_hook)(void) HS_EARLY;

int hs_rescue_init(void)
{
	int err;

	if (!hs_trap_install_hook)
		return -ENOSYS;
	err = hs_convert_init();
	return err ? err : hs_trap_install_hook();
}

/* Not twice: a fork has it. */
static bool lock(void)
{
	if (hs_lock_is_mine(&hs_rescue_lock))
		return false;
	hs_lock_acquire(&hs_rescue_lock);
	return true;
}

static void unlock(bool locked)
{
	if (locked)
		hs_lock_release(&hs_rescue_lock);
}

/* The page is there and this process's own. */
static void mark_own(struct hs_slot *slot, uint32_t epoch)
{
	if (hs_slot_state(slot) == HS_SLOT_LAZY)
		hs_slot_set_state(slot, HS_SLOT_HUGE);
	atomic_store_explicit(&slot->epoch, epoch, memory_order_relaxed);
}

static bool is_pool(const struct hs_slot *slot)
{
	enum hs_slot_state state = hs_slot_state(slot);

	return state == HS_SLOT_LAZY || state == HS_SLOT_HUGE;
}

/*
 * Give the slot a page of its own: a huge one (the kernel copies a shared
 * one), else base pages.  0, or -errno with the slot as before.
 */
static int own_locked(struct hs_slot *slot)
{
	size_t len = hs_region_slot_bytes();
	uint32_t epoch = atomic_load_explicit(&hs_arena.epoch,
					      memory_order_relaxed);
	bool shared = hs_slot_state(slot) == HS_SLOT_HUGE;
	int err = 0;

	if (!is_pool(slot))
		return 0;
	if (slot->guarded)
		err = hs_guard_resolve_hook(slot);
	if (err == 0 && hs_pagesrc_own(hs_slot_address(slot), len) == 0) {
		mark_own(slot, epoch);
		return 0;
	}
	err = hs_convert_to_base_locked(slot);
	if (!err)
		hs_stats_count(shared ? HS_STAT_RESCUE_COW :
					HS_STAT_RESCUE_TOUCH);
	return err;
}

/* A refusal may be a moment's: memory that another thread was just freeing,
 * a mapping too many.  A buffer that is not made ready costs its caller a
 * datagram, so a few tries. */
static int try_locked(struct hs_slot *slot, int (*change)(struct hs_slot *slot))
{
	/* A handler that came in between could not be rescued: the lock would
	 * be its own thread's. */
	const uint64_t all = ~(UINT64_C(1) << (SIGBUS - 1) |
			       UINT64_C(1) << (SIGSEGV - 1));
	uint64_t old = 0;
	bool masked = !hs_region.restricted &&
		      hs_sys.sigprocmask(SIG_BLOCK, &all, &old) == 0;
	bool locked;
	int err = 0;

	locked = lock();
	for (int i = 0; i < AT_ONCE_TRIES; i++) {
		err = change(slot);
		if (!err)
			break;
	}
	unlock(locked);
	if (masked)
		hs_sys.sigprocmask(SIG_SETMASK, &old, NULL);
	return err;
}

static int own(struct hs_slot *slot)
{
	return try_locked(slot, own_locked);
}

static int resolve_locked(struct hs_slot *slot)
{
	if (!slot->guarded || hs_guard_resolve_hook(slot) == 0)
		return 0;
	return own_locked(slot);
}

static void wait_for_memory(void)
{
	static _Atomic uint32_t never_woken;
	const struct timespec timeout = { .tv_nsec = WAIT_NS };

	hs_sys.futex_wait(&never_woken, 0, &timeout);
}

/*
 * A slot on base pages: another thread may have converted it since the fault,
 * or the program made the fault itself (its own mprotect, a file mapped over
 * the block that ends before it), which looks the same.  So one retry for each
 * address, and again when there has been a conversion meanwhile.
 */
static bool retry_once(const void *addr, unsigned nr_converted)
{
	static HS_TLS const void *retried;
	static HS_TLS unsigned retried_at;

	if (retried == addr && retried_at == nr_converted)
		return false;
	retried = addr;
	retried_at = nr_converted;
	return true;
}

static bool was_pool(const struct hs_slot *slot)
{
	return hs_slot_state(slot) == HS_SLOT_BASE;
}

static void say_no_memory(const void *addr, int err)
{
	hs_log(HS_LOG_ERROR,
	       "no memory for the page at %p: neither huge nor base pages "
	       "(error %d)",
	       addr, -err);
}

/* @change is tried until it has found memory, or for long. */
static bool insist(struct hs_slot *slot, int (*change)(struct hs_slot *slot),
		   const void *addr)
{
	int err = 0;

	for (int i = 0; i < WAIT_TRIES; i++) {
		err = try_locked(slot, change);
		if (!err)
			return true;
		wait_for_memory();
	}
	hs_stats_count(HS_STAT_RESCUE_FAILED);
	say_no_memory(addr, err);
	return false;
}

static bool rescue_bus(struct hs_slot *slot, const void *addr)
{
	unsigned nr_converted;
	bool pool, locked;

	locked = lock();
	pool = is_pool(slot);
	nr_converted = hs_convert_nr();
	unlock(locked);
	if (!pool)
		return was_pool(slot) && retry_once(addr, nr_converted);
	return insist(slot, own_locked, addr);
}

/* A pool slot that the application may write is read-only only while it is
 * converted. */
static bool retry_protected(struct hs_slot *slot, const void *addr)
{
	unsigned nr_converted;
	bool pool, mine, guarded, locked;
	int err = 0;

	locked = lock();
	pool = is_pool(slot);
	guarded = slot->guarded;
	nr_converted = hs_convert_nr();
	mine = !pool || hs_slot_prot(slot) & PROT_WRITE;
	/* Also where a conversion failed and could not undo this itself. */
	if (pool && mine && !guarded)
		err = hs_sys.mprotect(hs_slot_address(slot),
				      hs_region_slot_bytes(),
				      hs_slot_prot(slot));
	unlock(locked);
	if (guarded)
		return insist(slot, resolve_locked, addr);
	if (!mine)
		return false;
	if (err)
		hs_log(HS_LOG_ERROR,
		       "the page at %p cannot be made writable (error %d)",
		       addr, -err);
	if (pool)
		return err == 0;
	return was_pool(slot) && retry_once(addr, nr_converted);
}

/* While a conversion has moved the page away. */
static bool retry_hole(struct hs_slot *slot, const void *addr)
{
	unsigned nr_converted;
	bool ours, locked;

	locked = lock();
	ours = is_pool(slot) || was_pool(slot);
	nr_converted = hs_convert_nr();
	unlock(locked);
	return ours && retry_once(addr, nr_converted);
}

/* In the middle of a change: nothing is to be relied on. */
static void say_own_fault(const void *addr)
{
	hs_log(HS_LOG_ERROR,
	       "the page at %p cannot be had, and the library itself needs it",
	       addr);
}

bool hs_rescue_fault(int sig, int si_code, void *fault_addr)
{
	struct hs_slot *slot = hs_regmap_find(fault_addr);

	if (!slot)
		return false;
	if (hs_lock_is_mine(&hs_rescue_lock) && !hs_rescue_in_fork) {
		if (sig == SIGBUS && is_pool(slot))
			say_own_fault(fault_addr);
		return false;
	}
	/* A child that our handler has not seen yet is one all the same. */
	if (hs_rescue_in_fork)
		hs_lock_rearm_sentinel();
	if (sig == SIGBUS && si_code == BUS_ADRERR)
		return rescue_bus(slot, fault_addr);
	if (sig == SIGSEGV && si_code == SEGV_ACCERR)
		return retry_protected(slot, fault_addr);
	if (sig == SIGSEGV && si_code == SEGV_MAPERR &&
	    atomic_load(&hs_convert_holes))
		return retry_hole(slot, fault_addr);
	return false;
}

/* Calls @visit for each slot of [addr, addr + len) that has a record; stops at
 * the first error. */
static int for_slots(const void *addr, size_t len,
		     int (*visit)(struct hs_slot *slot))
{
	uintptr_t from = (uintptr_t)addr, to;
	size_t i, end;

	if (__builtin_add_overflow(from, len, &to))
		to = UINTPTR_MAX;
	if (!hs_regmap.in_use) {
		from = HS_MAX(from, hs_arena.base);
		to = HS_MIN(to, hs_arena.base + hs_arena.size_bytes);
	}
	if (from >= to)
		return 0;
	i = from >> hs_arena.slot_shift;
	end = ((to - 1) >> hs_arena.slot_shift) + 1;
	for (; (i = hs_regmap_next(i, end)) < end; i++) {
		int err = visit(&hs_regmap.slots[i]);

		if (err)
			return err;
	}
	return 0;
}

/* Nothing will be written there, and only base pages are sure to be had: the
 * probe for a page of this process's own is a write. */
static void prepare_read_only(struct hs_slot *slot)
{
	if (hs_slot_state(slot) == HS_SLOT_LAZY && slot->prot != PROT_NONE)
		hs_rescue_pin_base(hs_slot_address(slot), 1);
}

/* The call itself reports what could not be had, as EFAULT; the line says why,
 * once, as a program may well go on. */
static int prepare_slot(struct hs_slot *slot)
{
	static atomic_bool said;
	int err;

	if (!(hs_slot_prot(slot) & PROT_WRITE)) {
		prepare_read_only(slot);
		return 0;
	}
	if (hs_slot_state(slot) != HS_SLOT_LAZY && !slot->guarded &&
	    !hs_slot_is_frozen(slot))
		return 0;
	hs_stats_count(HS_STAT_SYSCALL_TOUCH);
	err = own(slot);
	if (!err)
		return 0;
	hs_stats_count(HS_STAT_RESCUE_FAILED);
	if (!atomic_exchange(&said, true))
		say_no_memory(hs_slot_address(slot), err);
	return 0;
}

void hs_rescue_prepare(const void *addr, size_t len)
{
	for_slots(addr, len, prepare_slot);
}

static int pin_locked(struct hs_slot *slot)
{
	return is_pool(slot) ? hs_convert_to_base_locked(slot) : 0;
}

static int pin_slot(struct hs_slot *slot)
{
	return is_pool(slot) ? try_locked(slot, pin_locked) : 0;
}

int hs_rescue_pin_base(const void *addr, size_t len)
{
	return for_slots(addr, len, pin_slot);
}

static int nothing(struct hs_slot *slot)
{
	(void)slot;
	return 0;
}

unsigned hs_rescue_converted(bool wait)
{
	if (wait && !hs_lock_is_mine(&hs_rescue_lock))
		try_locked(NULL, nothing);
	return hs_convert_nr();
}
