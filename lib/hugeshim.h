/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeshim.h - the library as preload/ sees it: start and end.
 */
#ifndef HS_HUGESHIM_H
#define HS_HUGESHIM_H

#include "base.h"

/*
 * From the preload's initfirst constructor: read the configuration.  @envp as
 * the kernel gave it.  Once, before any thread.
 *
 * ld.so and other constructors may allocate before: the heap then starts by
 * itself, under the built-in defaults, by which the first MiB is on base
 * pages, so nothing is decided too early.
 */
void hs_start(char *const *envp);

#endif
