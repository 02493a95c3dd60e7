/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_internal.h - block.c (the list of blocks) and block_map.c (their
 * memory).
 */
#ifndef HS_BLOCK_INTERNAL_H
#define HS_BLOCK_INTERNAL_H

#include "block.h"

struct hs_block {
	struct hs_block *next;
	uintptr_t addr;
	size_t size_bytes;   /* as asked for */
	size_t len;          /* whole pages */
	size_t direct_huge;  /* bytes on huge pages without records */
	int pid;             /* whose, with DONTFORK */
	struct hs_block_request request; /* page_bytes is never 0 */
};

/* Without records: of another size, or not for children. */
bool hs_block_is_direct(const struct hs_block_request *request);
/* Hold addresses: @len bytes aligned to @align. */
int hs_block_hold(size_t len, size_t align, uintptr_t *at);
/*
 * Make held addresses memory as @request says, *@huge: bytes without records
 * that are on huge pages.  On failure they are held as before.  Locks: none
 * held.
 */
int hs_block_fill(const struct hs_block_request *request, uintptr_t at,
		  size_t len, size_t *huge);
/* Pages of the block at @from to the held addresses at @to. */
int hs_block_move(const struct hs_block *block, uintptr_t to);
/* Give back pages of a block. */
int hs_block_drop(const struct hs_block *block, uintptr_t from, size_t len);

#endif
