/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert.h - one slot from a huge page to base pages, in place.
 *
 *   protect the slot read-only; copy it to the stage; mremap the stage over it
 *
 * The slot is readable throughout and never a hole; a thread that writes
 * meanwhile gets SIGSEGV and waits for hs_rescue_lock.  The stage is one slot
 * of address space beside the arena that is always mapped ahead, so that a
 * process at RLIMIT_AS can still convert.
 *
 * Where the kernel refuses mprotect or mremap for good, convert_refused.c does
 * without; see there for the price.
 *
 * With overcommit_memory=2 every pool slot has a charge: an untouched, private
 * writable mapping of a slot's size.  malloc and fork then fail where they
 * would without huge pages, and a conversion takes the slot's charge for its
 * stage, so it cannot fail for want of commit.
 *
 * Locks: hs_rescue_lock for everything here.
 */
#ifndef HS_CONVERT_H
#define HS_CONVERT_H

#include "region.h"

/* Map the stage.  0 or -errno. */
int hs_convert_init(void);

/* pre: hs_rescue_lock is held, the slot is LAZY or HUGE.  0, or -errno with
 * the slot as before. */
int hs_convert_to_base_locked(struct hs_slot *slot);

/* A conversion has left a hole for a moment, so a fault for want of a mapping
 * may be ours.  Set before the first, never cleared. */
extern atomic_bool hs_convert_holes;

/* Called with a slot's address before it is protected, and with NULL when that
 * is over: calls in flight that write there (lib/inflight.c). */
extern void (*hs_convert_hold_hook)(const void *slot);

/* How many slots were converted so far; it may wrap. */
unsigned hs_convert_nr(void);

/* Charge or free the charge of pool slots; nothing unless overcommit_memory
 * is 2.  0 or -ENOMEM. */
int hs_convert_charge(size_t first, size_t nr);
void hs_convert_uncharge(size_t first, size_t nr);
bool hs_convert_charges(void);

#endif
