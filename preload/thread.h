/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread.h - what happens when a thread ends.
 *
 * Each thread that gets a heap also gets a value of one pthread key, whose
 * destructor hands the heap on.  Destructors of other keys, and C++
 * thread_local objects, may still allocate and free: ours lets every round
 * but the last pass (POSIX repeats destructors PTHREAD_DESTRUCTOR_ITERATIONS
 * times), and its key is the last of the first 32, after which
 * pthread_setspecific would have to allocate.
 */
#ifndef HS_PRELOAD_THREAD_H
#define HS_PRELOAD_THREAD_H

#include "base.h"

/* Set the heap's hook; the key is made when the second thread gets a heap.
 * Called once, by the constructor. */
void hs_thread_init(void);

/* Arrange that the calling thread's end is seen.  Idempotent, does not
 * allocate.  Context: not async-signal-safe. */
void hs_thread_attach(void);

#endif
