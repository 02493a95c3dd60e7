/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shm.h - System V shared memory on huge pages.
 *
 * Owner of the data: the kernel; nothing is kept here.  It remembers the size
 * that was asked for and says so by IPC_STAT; only what is mapped is longer.
 */
#ifndef HS_SHM_H
#define HS_SHM_H

#include "base.h"

/* The most that shmat() may map of a segment of @size_bytes. */
size_t hs_shm_length(size_t size_bytes);

#endif
