/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_purge.h - give back the pages of free memory inside slots that stay.
 *
 * Only base pages can go one by one: a huge page goes with its whole slot.
 * State is kept out of band, so whatever is free may be given back, inside
 * slabs too.
 */
#ifndef HS_HEAP_PURGE_H
#define HS_HEAP_PURGE_H

#include "base.h"

/* Give back the whole base pages in [from, to); returns their bytes.  If that
 * is all of it, it reads as zero now.  pre: the caller owns the memory, and
 * nobody needs what is in it.  Context: any.  Locks: none. */
size_t hs_purge_pages(uintptr_t from, uintptr_t to);

#endif
