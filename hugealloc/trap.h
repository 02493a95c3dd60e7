/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trap.h - the handlers of SIGBUS and SIGSEGV of a process without
 * libhugeshim.so.
 *
 * They answer faults for want of a huge page and hand every other one to the
 * action that was there before.  Nothing is interposed: a program that installs
 * handlers of its own afterwards, or blocks SIGBUS, takes these away.
 */
#ifndef HUGEALLOC_TRAP_H
#define HUGEALLOC_TRAP_H

#include "base.h"

/* 0 or -errno.  Once; Locks: hs_region_lock is held. */
int hugealloc_trap_install(void);
bool hugealloc_trap_is_on(void);
/* Are both signals still ours? */
bool hugealloc_trap_is_ours(void);

#endif
