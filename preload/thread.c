// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload/thread.h"

#include <limits.h>
#include <pthread.h>

#include "cow.h"
#include "heap.h"
#include "lock.h"
#include "preload/altstack.h"
#include "preload/real.h"

/* pthread_setspecific() of keys below this writes into the thread's
 * descriptor; above, it calls calloc. */
#define NR_INLINE_KEYS 32

static pthread_key_t exit_key;
static bool have_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uintptr_t first_thread HS_EARLY;

static void at_thread_exit(void *value)
{
	uintptr_t round = (uintptr_t)value;

	/* Every destructor that may run after this one gets its blocks from
	 * the heap it knows; only the last round gives it away. */
	if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
		HS_NEXT(pthread_setspecific)(exit_key, (void *)(round + 1));
		return;
	}
	hs_altstack_detach();
	hs_inflight_thread_exit();
	hs_heap_thread_exit();
}

/* Take the inline key with the highest index that is free, so that in each
 * round our destructor comes after those of the keys below it. */
static void create_last_inline_key(void)
{
	pthread_key_t keys[NR_INLINE_KEYS];
	size_t nr = 0, i;

	while (nr < NR_INLINE_KEYS &&
	       HS_NEXT(pthread_key_create)(&keys[nr], at_thread_exit) == 0) {
		if (keys[nr++] >= NR_INLINE_KEYS - 1)
			break;
	}
	for (i = 0; i + 1 < nr; i++)
		HS_NEXT(pthread_key_delete)(keys[i]);
	if (nr == 0)
		return;
	exit_key = keys[nr - 1];
	have_key = true;
}

void hs_thread_attach(void)
{
	hs_altstack_attach();
	/* The first thread's heap lives as long as the process, and a program
	 * without threads pays for no key (4 us of an exec). */
	if (hs_lock_self() == first_thread)
		return;
	HS_NEXT(pthread_once)(&key_once, create_last_inline_key);
	if (have_key && !HS_NEXT(pthread_getspecific)(exit_key))
		HS_NEXT(pthread_setspecific)(exit_key, (void *)1);
}

HS_START void hs_thread_init(void)
{
	first_thread = hs_lock_self();
	hs_heap_thread_attach_hook = hs_thread_attach;
}
