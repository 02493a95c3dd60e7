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

extern uintptr_t hs_caller_libc_end HS_HIDDEN;
extern size_t hs_caller_libc_bytes HS_HIDDEN;

/* Find libc once. */
void hs_caller_init(void);

static HS_ALWAYS_INLINE bool hs_caller_is_libc(const void *caller)
{
	return hs_caller_libc_end - (uintptr_t)caller < hs_caller_libc_bytes;
}

/* Must a block of @size_bytes that @caller asks for be on base pages?  The
 * caller first: a program's sizes are what a processor cannot predict. */
static HS_ALWAYS_INLINE bool hs_caller_wants_base(const void *caller,
						  size_t size_bytes)
{
	return hs_unlikely(hs_caller_is_libc(caller)) &&
	       size_bytes > HS_CALLER_MIN_BYTES &&
	       size_bytes <= HS_CALLER_MAX_BYTES;
}

#endif
