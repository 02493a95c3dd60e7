/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * real.h - the next definition of a name that the shim exports.
 *
 * Owner of the data: this module, one pointer a name, zero until first used:
 * an exec pays nothing for names that are not called.  The names come from
 * lib/syscalls.tab and preload/real.list.
 *
 * Invariants
 * 1. A pointer is written once with its final value (twice with the same value
 *    when two threads race).
 * 2. hs_real() never returns NULL: a name that nobody else defines gives a
 *    function that fails with ENOSYS.
 *
 * Context: hs_real() is thread-safe, valid before constructors and in a fork
 * child; errno untouched.  The first use of a name that preload/link.h does not
 * find takes ld.so's lock (which a thread may take again) unless
 * hs_real_resolve_all() has run.
 */
#ifndef HS_REAL_H
#define HS_REAL_H

#include "base.h"
#include "real_ids.h"

HS_HIDDEN extern void *_Atomic hs_real_table[HS_REAL_NR];

/* Look one name up; what hs_real() does at its first use. */
void *hs_real_resolve(enum hs_real_id id);

/* Look every name up: called by prefork when there are threads, so that the
 * child never needs ld.so's lock, which a thread that is gone may hold. */
void hs_real_resolve_all(void);

/* False when @p is the ENOSYS stand-in. */
bool hs_real_exists(enum hs_real_id id);

/* Could there be another thread?  In doubt true. */
bool hs_real_has_threads(void);

/* The next definition of a name that is not in the list, or NULL: asked each
 * time, for one that comes with a library loaded later. */
void *hs_real_next(const char *name);

/* NULL when it has not been looked up yet. */
static HS_ALWAYS_INLINE void *hs_real_peek(enum hs_real_id id)
{
	return atomic_load_explicit(&hs_real_table[id], memory_order_relaxed);
}

static HS_ALWAYS_INLINE void *hs_real(enum hs_real_id id)
{
	void *p = hs_real_peek(id);

	return hs_likely(p != NULL) ? p : hs_real_resolve(id);
}

/* libc's function @name, which a header declares. */
#define HS_NEXT(name) ((__typeof__(name) *)hs_real(HS_REAL_##name))

#endif
