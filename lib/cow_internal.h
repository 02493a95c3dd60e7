/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_internal.h - what the engines share.
 *
 * Locks: hs_rescue_lock for all of it, unless said otherwise.
 */
#ifndef HS_COW_INTERNAL_H
#define HS_COW_INTERNAL_H

#include "cow.h"
#include "region.h"

/* The fork under way leaves the slot out, as a call in flight writes there.
 * Valid from prefork until the kernel engine's postfork. */
bool hs_cow_is_kept(const struct hs_slot *slot);
/* Every page is shared from here on; the new epoch. */
uint32_t hs_cow_new_epoch(void);

/* Copy @len bytes, a multiple of 4096, past the cache; both at page boundaries.
 * Context: any. */
void hs_cow_copy(void *to, const void *from, size_t len);

/* A huge page of this process alone, populated, in a mapping of its own that is
 * left out of forks (MADV_DONTFORK); NULL: none to be had.  Context: any. */
char *hs_cow_page_make(void);
/* Put it in the place of the slot at @addr, as a part of forks from then on.
 * 0, or -errno with both as they were, but for forks. */
int hs_cow_page_move(char *page, char *addr);
void hs_cow_page_drop(char *page);

#endif
