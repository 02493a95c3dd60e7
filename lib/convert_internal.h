/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert_internal.h - conversions where the kernel refuses a call for good.
 *
 * Both leave a hole for a moment: a thread that faults there waits for
 * hs_rescue_lock, as it does while a slot is protected; a system call of
 * another thread that works there at that moment gets EFAULT.  So they come
 * last, where the program would be killed otherwise.
 *
 * Locks: hs_rescue_lock.  Context: async-signal-safe.
 */
#ifndef HS_CONVERT_INTERNAL_H
#define HS_CONVERT_INTERNAL_H

#include "base.h"

/* Without mprotect: move the page away, copy it to @from, and move that into
 * its place.  0, or -errno with the page as before and @from changed. */
int hs_convert_moved(char *addr, size_t len, char *from);

/* Without mremap: put the contents of @from in the place of the page, which is
 * read-only and whose copy it is.  0, or -errno with the page as before. */
int hs_convert_written(char *addr, size_t len, const char *from, int prot,
		       bool thp);

#endif
