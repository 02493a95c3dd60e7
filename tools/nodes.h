/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nodes.h - what a user calls NUMA nodes, as numactl(8) does.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_NODES_H
#define HS_NODES_H

#include <stddef.h>

/* The value of --numa with its nodes as plain numbers ("bind:all" becomes
 * "bind:0-1"), for HUGESHIM_NUMA.  False: there are no such nodes. */
_Bool nodes_resolve(const char *value, char *buf, size_t size);

#endif
