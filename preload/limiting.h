/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limiting.h - calls by which a process limits itself: address space held ahead
 * is given back first, so that the call and every allocation after it behave
 * as they would without the shim.
 *
 * Context: thread-safe; takes the region's lock.
 */
#ifndef HS_LIMITS_H
#define HS_LIMITS_H

#include "base.h"

/* A seccomp filter is about to go on. */
void hs_limits_seccomp(void);

/* prctl(2) is about to be made with these arguments. */
void hs_limits_prctl(int option, long a1);

/* setrlimit(2) is about to be made: @soft as given. */
void hs_limits_rlimit(int resource, unsigned long soft);

/* mlockall(2) is about to be made. */
void hs_limits_mlockall(int flags);

#endif
