/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reserve.h - huge pages that a program has from its start.
 *
 * Owner of the data: the heap, which keeps them as free memory.
 */
#ifndef HS_RESERVE_H
#define HS_RESERVE_H

#include "base.h"

/* HUGESHIM_RESERVE, which is taken out of @envp: it is of this program, not of
 * those it starts.  At start, before there are threads. */
void hs_reserve_start(char **envp);

#endif
