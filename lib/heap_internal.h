/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_internal.h - finding the block that an address is meant for.
 */
#ifndef HS_HEAP_INTERNAL_H
#define HS_HEAP_INTERNAL_H

#include "heap_unit.h"

enum hs_heap_found {
	HS_FOUND_NOTHING, /* no block has started there */
	HS_FOUND_INSIDE,  /* in a block, not at its start */
	HS_FOUND_FREED,   /* the start of a block that is free */
	HS_FOUND_BLOCK,   /* the start of a live block */
};

/* pre: p is in the heap's map.  *@unit: the first descriptor of the slab or
 * span; *@index: the block in it. */
enum hs_heap_found hs_heap_find(const void *p, struct hs_unit **unit,
				unsigned *index);

#endif
