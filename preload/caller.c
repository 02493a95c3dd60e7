// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload/caller.h"

#include "preload/foreign.h"

uintptr_t hs_caller_libc_start HS_EARLY;
size_t hs_caller_libc_bytes HS_EARLY;

/* Declared here because libc's headers have it static in libc_nonshared.a:
 * the real one is in libc.so, and nobody else defines it. */
int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *dso);

HS_START void hs_caller_init(void)
{
	uintptr_t start;
	size_t len;

	if (!hs_foreign_object((void *)__register_atfork, &start, &len))
		return;
	hs_caller_libc_start = start;
	hs_caller_libc_bytes = len;
}
