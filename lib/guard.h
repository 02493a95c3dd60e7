/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.h - slots that are write-protected since a fork.
 *
 * An engine of cow.h guards slots so that the first write is its own to answer.
 * A guard is a hint: whoever finds one in the way lifts it, and the kernel's
 * copy-on-write takes over.
 *
 * Owner of the data: this module; the mark is slot->guarded.
 *
 * Invariants
 * 1. A guarded slot is LAZY or HUGE and the application may read and write it;
 *    the kernel's mapping of it is read-only, or, where a call failed half-way,
 *    still writable.
 * 2. What is not guarded has the protection of its record.
 * 3. Every mapping of the kernel that is read-only for a guard consists of
 *    guarded slots.
 *
 * Context: thread-safe, async-signal-safe, valid in a fork child.
 * Locks: hs_rescue_lock for all of it, unless said otherwise.
 */
#ifndef HS_GUARD_H
#define HS_GUARD_H

#include "base.h"
#include "region.h"

/* Guarded slots of this process.  Relaxed: 0 is exact for who holds the lock,
 * or has just been told that no thread guards any. */
extern _Atomic size_t hs_guard_nr;

/* Kernel mappings that guards and their ends have made out of fewer; an upper
 * estimate. */
extern size_t hs_guard_splits;

/* The engine's answer to a write to a guarded slot: 0 when the slot is not
 * guarded any more, or -errno with it as before.  Set once, with the first
 * guard. */
extern int (*hs_guard_resolve_hook)(struct hs_slot *slot);

/* Guard [slot, slot + nr), all of them LAZY or HUGE and none guarded.  0, or
 * -errno with none of them guarded. */
int hs_guard_set(struct hs_slot *slot, size_t nr);

/* Make [slot, slot + nr), all guarded, writable.  0, or -errno with all of them
 * guarded. */
int hs_guard_lift(struct hs_slot *slot, size_t nr);

/* The guarded slots around @slot that share a mapping with it may be no more
 * than their mapping allows: lift all neighbours, which splits nothing. */
int hs_guard_lift_around(struct hs_slot *slot);

/* The slot has lost its guard otherwise (it was replaced, or protected anew).
 * Nothing when it had none. */
void hs_guard_forget(struct hs_slot *slot);

/* Lift the guards among [slot, slot + nr); false: one could not be.  Locks:
 * takes hs_rescue_lock. */
bool hs_guard_lift_any(struct hs_slot *slot, size_t nr);

/* Lift every guard; what cannot be lifted becomes base pages.  Locks: takes
 * hs_rescue_lock unless the caller has it. */
void hs_guard_lift_all(void);

/* A kernel mapping begins at @slot from now on. */
void hs_guard_mark_split(struct hs_slot *slot);

#endif
