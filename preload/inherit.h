/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inherit.h - HUGESHIM_INHERIT=no: programs started from this one are not
 * preloaded.
 */
#ifndef HS_PRELOAD_INHERIT_H
#define HS_PRELOAD_INHERIT_H

#include "base.h"

/* Take our name out of LD_PRELOAD in @envp, in place; the variable goes when
 * nothing is left in it.  Context: start, one thread. */
void hs_inherit_drop(char **envp);

/* Remove each element whose file name is @file_name from a list separated by
 * colons and blanks, as LD_PRELOAD is.  True when something is left. */
bool hs_inherit_remove(char *list, const char *file_name);

#endif
