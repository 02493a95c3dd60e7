/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block.h - memory that a program asks for by page size and policy: what
 * libhugealloc calls, in this process's one engine.
 *
 * A block is a range of whole pages of one size.  On pages of the engine's own
 * size its slots have records as those of the program's mappings (vm.h), so
 * that rescue, fork and statistics know them.  A block of another size, or one
 * that children do not get, has none: nothing can be asked of it later, for its
 * pages are there and never shared.
 *
 * Invariants
 * 1. A block's huge pages are populated before it is handed out.
 * 2. A call that fails leaves mappings and blocks as they were.
 *
 * Functions return 0 or -errno.  Locks: hs_region_lock, for the list of blocks
 * too.  Context: thread-safe, valid in a fork child.
 */
#ifndef HS_BLOCK_H
#define HS_BLOCK_H

#include "base.h"

enum hs_block_fallback {
	HS_BLOCK_PREFER, /* page by page */
	HS_BLOCK_TRY,    /* all on huge pages, or none */
	HS_BLOCK_REQUIRE /* all, or -ENOMEM */
};

enum {
	HS_BLOCK_DONTFORK = 1,
	/* Another page size without DONTFORK: after a fork the copy is the
	 * kernel's, and a shortage then is SIGBUS for the writer. */
	HS_BLOCK_KERNEL_COW = 2
};

#define HS_BLOCK_NODES 1024

struct hs_block_request {
	size_t page_bytes; /* 0: the engine's huge page */
	uint32_t fallback; /* enum hs_block_fallback */
	uint32_t flags;
	int32_t mode;      /* MPOL_* of mbind(2); 0: none */
	uint32_t nr_nodes; /* bits of @nodes that count; 0: no mask */
	unsigned long nodes[HS_BLOCK_NODES / (8 * sizeof(long))];
};

struct hs_block_stats {
	uint64_t blocks, bytes, huge_bytes;
	uint64_t fallback_pages, rescued_pages, converted_pages, failed;
};

int hs_block_map(size_t size_bytes, const struct hs_block_request *request,
		 void **addr);
/* -EINVAL: no block of that size begins there. */
int hs_block_unmap(void *addr, size_t size_bytes);
/* @size_bytes 0: of whatever size; for callers that are not told. */
int hs_block_resize(void *addr, size_t old_bytes, size_t new_bytes,
		    bool may_move, void **moved);
/* The start of the block that holds @p, and its size, or -EINVAL. */
int hs_block_find(const void *p, void **addr, size_t *size_bytes);
void hs_block_stats(struct hs_block_stats *stats);
/* Bytes of the huge page that is the engine's own. */
size_t hs_block_page_bytes(void);

/*
 * The engine of libhugeshim.so as libhugealloc finds it, under a name that
 * changes when the table or a struct above does: a symbol's value, so that the
 * two need not be of one build.
 */
struct hs_engine {
	int (*map)(size_t size_bytes, const struct hs_block_request *request,
		   void **addr);
	int (*unmap)(void *addr, size_t size_bytes);
	int (*resize)(void *addr, size_t old_bytes, size_t new_bytes,
		      bool may_move, void **moved);
	int (*find)(const void *p, void **addr, size_t *size_bytes);
	void (*stats)(struct hs_block_stats *stats);
	size_t (*page_bytes)(void);
};

#define HS_ENGINE_INIT                                                         \
	{                                                                      \
		.map = hs_block_map, .unmap = hs_block_unmap,                  \
		.resize = hs_block_resize, .find = hs_block_find,              \
		.stats = hs_block_stats, .page_bytes = hs_block_page_bytes,    \
	}

#endif
