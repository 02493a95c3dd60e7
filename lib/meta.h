/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta.h - the library's own memory, straight from the system.
 *
 * Own metadata lives on ordinary private base pages, never in the arena, so
 * that it is copied by the kernel on fork at 4 KiB and can be written with
 * every signal blocked.  Nothing is given back: callers keep free lists of
 * their own types.
 *
 * Context: thread-safe, valid in a fork child.  Locks: HS_RANK_META.
 */
#ifndef HS_META_H
#define HS_META_H

#include "base.h"
#include "lock.h"

extern struct hs_lock hs_meta_lock; /* for prefork */

/* Zeroed memory of @size_bytes, aligned to @align (a power of two up to 4096),
 * or NULL when the system has none.  Small requests share mapped chunks. */
void *hs_meta_alloc(size_t size_bytes, size_t align);

/* A zeroed table of @size_bytes whose pages appear when touched
 * (MAP_NORESERVE), or NULL. */
void *hs_meta_reserve(size_t size_bytes);

/* Give back the part of a reserved table from @from_bytes (rounded up to a
 * base page) to @size_bytes. */
void hs_meta_reserve_trim(void *table, size_t size_bytes, size_t from_bytes);

/* Bytes mapped by hs_meta_alloc() and touched at most by tables. */
size_t hs_meta_bytes(void);

#endif
