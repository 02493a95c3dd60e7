/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.h - the loaded objects, without the loader's lock.
 *
 * Owner of the data: ld.so.  The objects from ours to libc are there from the
 * start and stay (the library is never unloaded), so their links and tables do
 * not change.
 *
 * Context: async-signal-safe, thread-safe, valid in a fork child and before
 * constructors; errno untouched.
 */
#ifndef HS_PRELOAD_LINK_H
#define HS_PRELOAD_LINK_H

#include "base.h"

struct link_map;

struct hs_link_object {
	uintptr_t start;
	size_t size_bytes;
	const struct link_map *map;
};

/* The loaded object that holds @addr; false when there is none, or before
 * glibc 2.35. */
bool hs_link_object(const void *addr, struct hs_link_object *object);

/* libc's. */
bool hs_link_libc(struct hs_link_object *libc);

/*
 * What dlsym(RTLD_NEXT, @name) finds, for the names where nothing is special:
 * no object between ours and libc's defines them, and libc has them under a
 * default version and not indirect.  A quarter of the time, and no thread has
 * to wait for another's dlopen().  NULL: dlsym() has to be asked.
 */
void *hs_link_find(const char *name);

#endif
