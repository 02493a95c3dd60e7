/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeshim.h - the library as preload/ sees it: start and end.
 */
#ifndef HS_HUGESHIM_H
#define HS_HUGESHIM_H

#include "base.h"

/* What the first intercepted call needs, whoever makes it (ld.so and other
 * constructors may be before ours): idempotent, cheap.  Until hs_start() the
 * configuration is the built-in default, under which the first MiB of heap is
 * on base pages, so nothing is decided too early. */
void hs_init(void);

/* From the preload's initfirst constructor: read the configuration.  @envp as
 * the kernel gave it.  Once, before any thread. */
void hs_start(char *const *envp);

#endif
