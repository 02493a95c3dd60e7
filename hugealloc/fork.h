/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork.h - the engine of this library around fork(2): handlers for
 * pthread_atfork(3).  lib/fork.c is the shim's, which has a heap besides.
 */
#ifndef HUGEALLOC_FORK_H
#define HUGEALLOC_FORK_H

void hugealloc_fork_prepare(void);
void hugealloc_fork_parent(void);
void hugealloc_fork_child(void);

#endif
