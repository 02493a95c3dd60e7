// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sanitised.h - programs built with a sanitiser that inherited the preload.
 *
 * Their run-time library brings its own allocator, lays out the address space
 * itself and ends the program when anything was loaded before it.  So the
 * program is executed once more, without us, before it has done anything.
 */
#ifndef HS_SANITISED_H
#define HS_SANITISED_H

#include "base.h"

/* The first thing in the process.  Does not return where it executes the
 * program again; true: a sanitised program that could not be (no /proc, or we
 * are not in LD_PRELOAD), for which everything is to be off.  Calls nothing
 * that a sanitiser intercepts, since that would start the sanitiser.
 * Context: single-threaded start. */
bool hs_sanitised_start(char **argv, char **envp);

#endif
