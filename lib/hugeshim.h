/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeshim.h - the library as preload/ sees it: start and end.
 */
#ifndef HS_HUGESHIM_H
#define HS_HUGESHIM_H

#include "base.h"

/* Idempotent; called by the preload's initfirst constructor or by the first
 * intercepted call, whichever is first (ld.so is single-threaded then). */
void hs_init(void);

#endif
