/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caller.h - does a return address lie in libc?
 *
 * Memory that libc allocates for itself is written by the kernel in system
 * calls that libc makes without a symbol one could wrap (the buffer of a
 * stream, of a directory).  Such blocks live on base pages, where the kernel
 * can always copy.
 *
 * Invariant: written once, by the constructor, before a second thread exists;
 * until then nothing counts as libc.
 *
 * Context: any.
 */
#ifndef HS_PRELOAD_CALLER_H
#define HS_PRELOAD_CALLER_H

#include "base.h"

/* Streams and directories: FILE with its one-byte buffer (472 bytes; 552 in
 * older releases), stream buffers (st_blksize), directory buffers (32 KiB and
 * a header).  Smaller blocks are strings and list nodes that libc fills
 * itself. */
#define HS_CALLER_MIN_BYTES ((size_t)464)
#define HS_CALLER_MAX_BYTES ((size_t)64 << 10)

extern uintptr_t hs_caller_libc_start;
extern size_t hs_caller_libc_bytes;

/* Find libc once. */
void hs_caller_init(void);

/* Must a block of @size_bytes that @caller asks for be on base pages? */
static HS_ALWAYS_INLINE bool hs_caller_wants_base(const void *caller,
						  size_t size_bytes)
{
	return size_bytes > HS_CALLER_MIN_BYTES &&
	       size_bytes <= HS_CALLER_MAX_BYTES &&
	       (uintptr_t)caller - hs_caller_libc_start < hs_caller_libc_bytes;
}

#endif
