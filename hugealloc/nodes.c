// SPDX-License-Identifier: LGPL-2.1-or-later
#include "hugealloc/nodes.h"

#include <ctype.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
#include <string.h>

#include "hugealloc.h"

#ifndef MPOL_LOCAL
#define MPOL_LOCAL 4
#endif

static const int modes[] = {
	[HUGEALLOC_NUMA_DEFAULT] = 0,
	[HUGEALLOC_NUMA_LOCAL] = MPOL_LOCAL,
	[HUGEALLOC_NUMA_BIND] = MPOL_BIND,
	[HUGEALLOC_NUMA_INTERLEAVE] = MPOL_INTERLEAVE,
	[HUGEALLOC_NUMA_PREFERRED] = MPOL_PREFERRED,
};

static bool is_number(const char **text, long *value)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*value = strtol(*text, &end, 10);
	*text = end;
	return errno == 0;
}

/* libnuma says on standard error what it does not like; so it is only given
 * what it likes.  "0,2-3", with ! or + in front. */
static bool is_list(const char *text)
{
	long max = numa_max_node();

	text += *text == '!';
	text += *text == '+';
	if (strcmp(text, "all") == 0 || strcmp(text, "same") == 0)
		return true;
	for (;;) {
		long from, to;

		if (!is_number(&text, &from))
			return false;
		to = from;
		if (*text == '-' && (text++, !is_number(&text, &to)))
			return false;
		if (from > to || to > max)
			return false;
		if (*text == '\0')
			return true;
		if (*text++ != ',')
			return false;
	}
}

/* -EINVAL: none, or more than there is room for. */
static int take(const struct bitmask *mask, struct hs_block_request *request)
{
	int nr = 0;

	for (unsigned i = 0; i < mask->size; i++) {
		if (!numa_bitmask_isbitset(mask, i))
			continue;
		if (i >= HS_BLOCK_NODES)
			return -EINVAL;
		request->nodes[i / (8 * sizeof(long))] |=
			1UL << i % (8 * sizeof(long));
		nr++;
	}
	request->nr_nodes = HS_BLOCK_NODES;
	if (nr == 0 || (request->mode == MPOL_PREFERRED && nr != 1))
		return -EINVAL;
	return 0;
}

static int parse(const char *text, struct hs_block_request *request)
{
	struct bitmask *mask;
	int err;

	if (!is_list(text))
		return -EINVAL;
	mask = numa_parse_nodestring_all(text);
	if (!mask)
		return -EINVAL;
	err = take(mask, request);
	numa_bitmask_free(mask);
	return err;
}

int hugealloc_nodes_parse(int numa, const char *text,
			  struct hs_block_request *request)
{
	bool wants = numa == HUGEALLOC_NUMA_BIND ||
		     numa == HUGEALLOC_NUMA_PREFERRED;

	if (numa < 0 || numa >= (int)HS_ARRAY_SIZE(modes))
		return -EINVAL;
	if (text ? numa <= HUGEALLOC_NUMA_LOCAL : wants)
		return -EINVAL;
	request->mode = modes[numa];
	if (numa == HUGEALLOC_NUMA_DEFAULT)
		return 0;
	if (numa_available() < 0)
		return -ENOSYS;
	if (text)
		return parse(text, request);
	return numa == HUGEALLOC_NUMA_INTERLEAVE
		       ? take(numa_all_nodes_ptr, request)
		       : 0;
}
