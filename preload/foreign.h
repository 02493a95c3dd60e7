/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * foreign.h - pointers that are not ours: blocks of other allocators.
 *
 * A pointer outside the arena belongs to whoever would have got it without us,
 * the next definition of free (RTLD_NEXT): a program that took malloc from
 * libc's handle, another preloaded allocator.  Found at the first such
 * pointer; a program without any pays nothing.
 *
 * Blocks of ld.so's first, minimal malloc never come here: ld.so knows them
 * (l_free_initfini, dl_initial_dtv) and keeps them, as libc's free would abort
 * on them too.
 *
 * Context: thread-safe; valid in a fork child.
 */
#ifndef HS_PRELOAD_FOREIGN_H
#define HS_PRELOAD_FOREIGN_H

#include "base.h"

/* Free a block that is not ours.  One line and abort when it can be nobody's:
 * on the caller's stack, or inside a loaded object when the next free is
 * libc's.  errno untouched.  pre: @p is not NULL, not in the arena. */
void hs_foreign_free(void *p) HS_COLD;

/* As realloc(3), errno included. pre: as hs_foreign_free(). */
void *hs_foreign_realloc(void *p, size_t size_bytes) HS_COLD;

/* 0 when the next allocator cannot say. pre: as hs_foreign_free(). */
size_t hs_foreign_usable_size(void *p) HS_COLD;

#endif
