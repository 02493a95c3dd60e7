/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel.h - what the kernel says about the machine's huge pages: the one
 * reader of /sys and of /proc's files that are not a process's.
 *
 * What is not there reads as absent (-1 or an empty list), never as an error:
 * kernels differ in what they have.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_KERNEL_H
#define HS_KERNEL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_POOLS_MAX 16
#define KERNEL_NODES_MAX 1024
#define KERNEL_MOUNTS_MAX 32

/* Pages, not bytes; -1: the kernel does not say. */
struct pool {
	uint64_t page_bytes;
	long total, free, reserved, surplus;
	long overcommit; /* most that may come besides when needed */
};

struct kernel_mount {
	char dir[PATH_MAX];
	uint64_t page_bytes;
	uint64_t limit_bytes; /* size=; UINT64_MAX: none */
	bool writable;        /* by who asks */
};

/* The strictest limit on the way from this process's group to the root. */
struct kernel_limit {
	uint64_t max_bytes; /* UINT64_MAX: none */
	uint64_t used_bytes;
	char group[256]; /* whose */
};

/* The whole of a small file as text, without the last new line.  False when it
 * cannot be read; @buf is then empty. */
bool kernel_text(const char *path, char *buf, size_t size);
/* A file that holds one number; -1. */
long kernel_number(const char *path);
/* "FIELD:   123 kB" of /proc/meminfo, in bytes; 0. */
uint64_t kernel_meminfo(const char *field);

/* The pools by page size, smallest first, of the machine (@node < 0) or of a
 * node.  Returns how many. */
unsigned kernel_pools(int node, struct pool pools[KERNEL_POOLS_MAX]);
/* The directory of a pool's files.  @node < 0: the machine's. */
void kernel_pool_dir(int node, uint64_t page_bytes, char *buf, size_t size);
/* The page size of MAP_HUGETLB; 0: none. */
uint64_t kernel_default_page(void);
/* What one entry of the second page table level maps: the size of THP. */
uint64_t kernel_thp_page(void);
/* Numbers of the nodes with memory, at most @max.  Returns how many. */
unsigned kernel_nodes(int *nodes, unsigned max);
/* Mounts of hugetlbfs. */
unsigned kernel_mounts(struct kernel_mount *mounts, unsigned max);

/* The word in brackets of "always [madvise] never"; "" when absent. */
void kernel_choice(const char *path, char *buf, size_t size);

/* Limits of cgroup 2 on pages of the pool, and on memory (@page_bytes 0).
 * False: there is no such controller here. */
bool kernel_limit(uint64_t page_bytes, struct kernel_limit *limit);

#endif
