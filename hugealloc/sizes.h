/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sizes.h - page sizes and hugetlbfs mounts, from /sys and
 * /proc/self/mountinfo.
 */
#ifndef HUGEALLOC_SIZES_H
#define HUGEALLOC_SIZES_H

#include <stddef.h>
#include <stdbool.h>

#define HUGEALLOC_SIZES_MAX 16

/* Huge page sizes in bytes, ascending; how many. */
int hugealloc_sizes_read(size_t sizes[HUGEALLOC_SIZES_MAX]);
bool hugealloc_sizes_has(size_t page_bytes);
/* What the kernel takes where no size is named; 0: no huge pages. */
size_t hugealloc_sizes_default(void);

/* Call @visit for each mounted hugetlbfs, in the order they were mounted. */
void hugealloc_mounts_visit(void (*visit)(const char *path));

#endif
