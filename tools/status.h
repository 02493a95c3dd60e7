/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status.h - one look at the machine's huge pages, and its machine-readable
 * forms.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_STATUS_H
#define HS_STATUS_H

#include "kernel.h"
#include "process.h"

struct machine {
	struct pool pools[KERNEL_POOLS_MAX];
	unsigned nr_pools;
	uint64_t default_page;
	int nodes[KERNEL_NODES_MAX];
	unsigned nr_nodes;
	struct kernel_limit limits[KERNEL_POOLS_MAX]; /* by pool */
	bool has_limit[KERNEL_POOLS_MAX];
	struct kernel_limit memory_limit;
	bool has_memory_limit;
	struct kernel_mount mounts[KERNEL_MOUNTS_MAX];
	unsigned nr_mounts;
	char thp[16], defrag[16], shmem[16]; /* "": the kernel has none */
	uint64_t thp_bytes, total_bytes, available_bytes;
	long shm_group, overcommit, max_map_count;
	bool has_userfaultfd;
	struct process *holders; /* of pool pages, most first */
	unsigned nr_holders;
};

void status_json(const struct machine *machine);
void status_openmetrics(const struct machine *machine);

#endif
