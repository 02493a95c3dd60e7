// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * reserve.c - see reserve.h.
 *
 * Taken as blocks of the heap and given back to it: the heap keeps that much
 * (HUGESHIM_RETAIN is raised to it where the configuration is read), populated.
 * A reservation of the kernel's own would be for one mapping alone, and would
 * make a child that copies a page die for its parent.
 */
#include "preload/reserve.h"

#include <string.h>

#include "config.h"
#include "heap.h"
#include "log.h"
#include "region.h"
#include "stats.h"

/* Blocks of this size are populated at once, and begin on a huge page. */
#define BLOCK_BYTES ((size_t)32 << 20)

static void drop_variable(char **envp)
{
	static const char variable[] = "HUGESHIM_RESERVE=";
	char **in, **out = envp;

	for (in = envp; *in != NULL; in++)
		if (strncmp(*in, variable, sizeof(variable) - 1) != 0)
			*out++ = *in;
	*out = NULL;
}

/* Each block holds the address of the one before it; they are the program's to
 * come, so nothing is lost by writing to them. */
static void take_and_give_back(size_t bytes)
{
	void **last = NULL, **block;

	for (; bytes > 0; bytes -= HS_MIN(bytes, BLOCK_BYTES)) {
		block = hs_heap_malloc(HS_MIN(bytes, BLOCK_BYTES));
		if (block == NULL)
			break;
		*block = last;
		last = block;
	}
	while (last != NULL) {
		block = *last;
		hs_heap_free(last);
		last = block;
	}
}

void hs_reserve_start(char **envp)
{
	size_t nr = (size_t)hs_config->reserve_pages, bytes, got;

	if (nr == 0)
		return;
	if (envp != NULL)
		drop_variable(envp);
	if (!hs_config->enabled || !hs_config->heap)
		return;
	/* Before the first huge page the heap takes HUGESHIM_BASE_FIRST. */
	hs_heap_free(hs_heap_malloc(hs_config->base_first_bytes));
	bytes = nr * hs_region_slot_bytes();
	take_and_give_back(bytes);
	got = hs_stats_gauge(HS_GAUGE_HUGE);
	if (got < bytes)
		hs_log(HS_LOG_ERROR,
		       "HUGESHIM_RESERVE: %zu of %zu huge pages were to be had",
		       got / hs_region_slot_bytes(), nr);
}
