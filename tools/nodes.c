/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifdef HAVE_NUMA
#include <numa.h>
#endif

#include "nodes.h"

#ifdef HAVE_NUMA

/* libnuma's own complaints; one line is enough, and it is ours. */
void __attribute__((visibility("default")))
numa_warn(int number, char *where, ...)
{
	(void)number;
	(void)where;
}

static bool print_nodes(const struct bitmask *mask, char *buf, size_t size)
{
	size_t len = 0;
	unsigned long i, end;

	for (i = 0; i < mask->size; i = end) {
		end = i + 1;
		if (!numa_bitmask_isbitset(mask, (unsigned)i))
			continue;
		while (end < mask->size &&
		       numa_bitmask_isbitset(mask, (unsigned)end))
			end++;
		len += (size_t)snprintf(buf + len, size - len,
					end - i == 1 ? "%s%lu" : "%s%lu-%lu",
					len ? "," : "", i, end - 1);
		if (len >= size)
			return false;
	}
	return len > 0;
}

bool nodes_resolve(const char *value, char *buf, size_t size)
{
	const char *nodes = strchr(value, ':');
	struct bitmask *mask;
	size_t len;
	bool done;

	len = (size_t)snprintf(buf, size, "%s", value);
	if (nodes == NULL)
		return len < size;
	if (numa_available() < 0)
		return false;
	mask = numa_parse_nodestring(nodes + 1);
	if (mask == NULL)
		return false;
	len = (size_t)(nodes + 1 - value);
	done = print_nodes(mask, buf + len, size - len);
	numa_bitmask_free(mask);
	return done;
}

#else

bool nodes_resolve(const char *value, char *buf, size_t size)
{
	return snprintf(buf, size, "%s", value) < (int)size;
}

#endif
