/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_purge.h"

#include <sys/mman.h>

#include "region.h"
#include "sys.h"

size_t hs_purge_pages(uintptr_t from, uintptr_t to)
{
	size_t page_bytes = hs_sys_page_size(), sum_bytes = 0;
	uintptr_t end;

	from = hs_align_up(from, page_bytes);
	to = hs_align_down(to, page_bytes);
	for (; from < to; from = end) {
		void *addr = (void *)from;

		end = hs_align_down(from, hs_region_slot_bytes()) +
		      hs_region_slot_bytes();
		end = HS_MIN(end, to);
		if (hs_slot_state(hs_region_slot(addr)) == HS_SLOT_BASE &&
		    hs_sys.madvise(addr, end - from, MADV_DONTNEED) == 0)
			sum_bytes += end - from;
	}
	return sum_bytes;
}
