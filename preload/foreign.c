// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload/foreign.h"

#include <malloc.h>

#include "log.h"
#include "preload/caller.h"
#include "preload/link.h"
#include "preload/real.h"
#include "stats.h"

static HS_TLS bool resolving;

/* NULL when nobody else has it, and for a block that dlsym() itself frees. */
static void *lookup(enum hs_real_id id)
{
	void *function = hs_real_peek(id);

	if (function == NULL) {
		if (resolving)
			return NULL;
		resolving = true;
		hs_real_resolve(id);
		resolving = false;
	}
	return hs_real_exists(id) ? hs_real(id) : NULL;
}

static bool next_is_libc(const void *function)
{
	return hs_caller_is_libc(function);
}

/* The frames of the callers that led here: nobody's heap.  Not the whole
 * stack: a coroutine's may lie between blocks of the other allocator. */
static bool on_this_stack(uintptr_t p)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return p >= here && p - here < 1024;
}

/* The first 64 KiB and the kernel's half, where no program has memory. */
static bool off_the_map(uintptr_t p)
{
	return p < 65536 || (intptr_t)p < 0;
}

static void reject_nonsense(const char *call, void *p, const void *function)
{
	struct hs_link_object object;

	if (!next_is_libc(function))
		return;
	if ((uintptr_t)p % (2 * sizeof(size_t)) != 0 ||
	    off_the_map((uintptr_t)p) || on_this_stack((uintptr_t)p) ||
	    hs_link_object(p, &object))
		hs_log_fatal("%s: invalid pointer %p (not a heap block)", call,
			     p);
}

void hs_foreign_free(void *p)
{
	int saved_errno = errno;
	void (*function)(void *) = lookup(HS_REAL_free);

	hs_stats_count(HS_STAT_FOREIGN_FREE);
	if (function) {
		reject_nonsense("free()", p, (void *)function);
		function(p);
	}
	errno = saved_errno;
}

void *hs_foreign_realloc(void *p, size_t size_bytes)
{
	void *(*function)(void *, size_t) = lookup(HS_REAL_realloc);

	hs_stats_count(HS_STAT_FOREIGN_FREE);
	if (!function) {
		errno = ENOMEM;
		return NULL;
	}
	reject_nonsense("realloc()", p, (void *)function);
	return function(p, size_bytes);
}

size_t hs_foreign_usable_size(void *p)
{
	size_t (*function)(void *) = lookup(HS_REAL_malloc_usable_size);

	return function ? function(p) : 0;
}
