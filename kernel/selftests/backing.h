/* SPDX-License-Identifier: GPL-2.0 */
/* The kinds of memory that a test of the matrix runs on. */
#ifndef BACKING_H
#define BACKING_H

#include <stddef.h>

struct backing {
	const char *name;
	size_t page;		/* bytes that a page table entry maps */
	int is_huge;		/* from the pool, and cannot be split */
	int is_shared;		/* a child's write is seen by its parent */
	char *(*map)(size_t length);
};

extern const struct backing backings[];
extern const size_t nr_backings;

/* The one that the test is to use. */
extern const struct backing *backing;

/* Address space without anything in it, aligned to the given power of two. */
char *find_room(size_t length, size_t align);

#endif
