/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork.h - the one prefork / postfork sequence.  See fork.c for the timeline.
 *
 * Context: hs_fork_prepare() may be called by a thread that interrupted itself
 * inside the heap (a crash handler that forks): locks it holds are skipped.
 */
#ifndef HS_FORK_H
#define HS_FORK_H

#include "base.h"

void hs_fork_prepare(void);
void hs_fork_parent(void);
void hs_fork_child(void);

#endif
