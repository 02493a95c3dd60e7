/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rescue.h - a huge page cannot be had in a fault: base pages take its place.
 *
 * hs_rescue_fault() is called by the SIGBUS and SIGSEGV handlers.  It resolves
 *   - SIGBUS, BUS_ADRERR in a LAZY or HUGE slot: the slot is converted;
 *   - SIGSEGV, SEGV_ACCERR in a slot that another thread is converting: the
 *     thread waits until it is done.
 * Everything else is not ours (BUS_MCEERR included).
 *
 * Context: async-signal-safe, no allocation, stack below 1 KiB, errno not
 * touched.  Locks: hs_rescue_lock (HS_RANK_RESCUE), never held while memory
 * of the arena is written.
 */
#ifndef HS_RESCUE_H
#define HS_RESCUE_H

#include "base.h"
#include "lock.h"

extern struct hs_lock hs_rescue_lock;

/*
 * The forking thread has the lock, and nothing is being changed: faults of its
 * own are answered with the lock as it is.  Between a fork's handlers libc
 * writes to blocks of its own (the lock of nsswitch.conf's state), which may be
 * on a page that the last fork has shared.  Written by fork.c alone.
 */
extern bool hs_rescue_in_fork;

/* Set by preload/: installs the SIGBUS and SIGSEGV handlers; 0 or -errno.
 * NULL: there is nobody to catch a fault, so no hugetlb is used. */
extern int (*hs_trap_install_hook)(void);

/* Install the handlers and the stage.  Called before the first
 * hugetlb slot is handed out.  0 or -errno (then no hugetlb is used). */
int hs_rescue_init(void);

/* True: resolved, return from the handler and retry the access. */
bool hs_rescue_fault(int sig, int si_code, void *fault_addr);

/*
 * Make [addr, addr + len) safe for the kernel to read and write in a system
 * call: LAZY slots are populated (or turned to BASE), FROZEN ones touched so
 * that the copy is made here, where the rescue works.  Ranges without slots of
 * ours cost a comparison or two; slots known to be this process's own cost a
 * load each.  errno untouched.  Context: async-signal-safe.
 */
void hs_rescue_prepare(const void *addr, size_t len);

/* How many slots were turned to base pages; with @wait, the one that another
 * thread is just turning is done. */
unsigned hs_rescue_converted(bool wait);

/* Turn the pool slots of [addr, addr + len) to base pages for
 * good: memory that the kernel writes without a call that can be wrapped
 * (stacks, stdio buffers, aio).  0 or -errno with the slots as before. */
int hs_rescue_pin_base(const void *addr, size_t len);

#endif
