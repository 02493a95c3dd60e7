/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * numa.h - the policy by which the program's memory is spread over nodes.
 *
 * Owner of the data: the kernel.
 */
#ifndef HS_NUMA_H
#define HS_NUMA_H

#include "base.h"

/* HUGESHIM_NUMA.  At start, before there are threads, which inherit it. */
void hs_numa_start(void);

#endif
