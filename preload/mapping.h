/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapping.h - system calls on mappings that are made by their number.
 *
 * Context: async-signal-safe.  Locks: as lib/vm.h.
 */
#ifndef HS_MAPPING_H
#define HS_MAPPING_H

#include <sys/syscall.h>

#include "base.h"

/* Younger than the headers of some distributions that run on a kernel with it.
 */
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/*
 * System call @nr with its six arguments: true, it was made here, *@ret and
 * errno are what syscall() answers; false, it is for the kernel alone (of some
 * calls the range is on base pages now).
 */
bool hs_mapping_call(long nr, const long *a, long *ret);

#endif
