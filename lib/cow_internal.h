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

/*
 * The stock: huge pages that are populated and not in use, mapped one by one,
 * left out of forks (MADV_DONTFORK) until they are put in the place of another.
 * Lock-free.
 */
#define HS_COW_STOCK_MAX 16

/* A populated page of this process alone, from the stock or a new one; NULL:
 * none to be had. */
char *hs_cow_stock_take(void);
/* A page that was taken is not needed. */
void hs_cow_stock_drop(char *page);
/* Pages in stock. */
unsigned hs_cow_stock_nr(void);
/* Give all of it back. */
void hs_cow_stock_empty(void);
/* A child has none of it. */
void hs_cow_stock_forget(void);

#endif
