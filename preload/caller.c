// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload/caller.h"

#include "preload/link.h"

uintptr_t hs_caller_libc_end HS_EARLY;
size_t hs_caller_libc_bytes HS_EARLY;

HS_START void hs_caller_init(void)
{
	struct hs_link_object libc;

	if (!hs_link_libc(&libc))
		return;
	hs_caller_libc_end = libc.start + libc.size_bytes;
	hs_caller_libc_bytes = libc.size_bytes;
}
