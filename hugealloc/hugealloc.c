// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hugealloc.c - the calls that act on blocks: arguments and errno; what they do
 * is the engine's (lib/block.h).
 */
#include "hugealloc.h"

#include <string.h>
#include <sys/mman.h>

#include "hugealloc/engine.h"
#include "hugealloc/nodes.h"
#include "hugealloc/sizes.h"
#include "sys.h"

_Static_assert((int)HUGEALLOC_PREFER == (int)HS_BLOCK_PREFER &&
		       (int)HUGEALLOC_TRY == (int)HS_BLOCK_TRY &&
		       (int)HUGEALLOC_REQUIRE == (int)HS_BLOCK_REQUIRE,
	       "passed on as they are");
_Static_assert(HUGEALLOC_DONTFORK == HS_BLOCK_DONTFORK, "the same");

/* What the first version of the structs had. */
#define ATTR_MIN                                                               \
	(offsetof(struct hugealloc_attr, flags) + sizeof(unsigned))
#define STATS_MIN                                                              \
	(offsetof(struct hugealloc_stats, failed) + sizeof(uint64_t))
/* No struct of ours will be as large. */
#define STRUCT_MAX 4096

/* A caller that knows more members than we do must not mean them. */
static bool is_understood(const struct hugealloc_attr *attr)
{
	const unsigned char *byte = (const unsigned char *)attr;

	if (attr->struct_size < ATTR_MIN || attr->struct_size > STRUCT_MAX)
		return false;
	for (size_t i = sizeof(*attr); i < attr->struct_size; i++)
		if (byte[i] != 0)
			return false;
	return true;
}

static int check_page_size(size_t page_bytes)
{
	if (page_bytes == 0 || page_bytes == hs_sys_page_size() ||
	    hugealloc_sizes_has(page_bytes))
		return 0;
	return -EINVAL;
}

static int read_attr(const struct hugealloc_attr *attr,
		     struct hs_block_request *request)
{
	int err;

	memset(request, 0, sizeof(*request));
	if (!attr)
		return 0;
	if (!is_understood(attr) || attr->fallback < HUGEALLOC_PREFER ||
	    attr->fallback > HUGEALLOC_REQUIRE ||
	    (attr->flags & ~HUGEALLOC_DONTFORK))
		return -EINVAL;
	err = check_page_size(attr->page_size);
	if (err)
		return err;
	request->page_bytes = attr->page_size;
	request->fallback = (uint32_t)attr->fallback;
	request->flags = attr->flags;
	return hugealloc_nodes_parse(attr->numa, attr->nodes, request);
}

HS_EXPORT void *hugealloc(size_t size, const struct hugealloc_attr *attr)
{
	struct hs_block_request request;
	int saved = errno;
	void *p;
	int err = size == 0 ? -EINVAL : read_attr(attr, &request);

	if (!err)
		err = hugealloc_engine()->map(size, &request, &p);
	if (err)
		return HUGEALLOC_FAIL(err, NULL);
	errno = saved;
	return p;
}

HS_EXPORT int hugealloc_free(void *p, size_t size)
{
	int err;

	if (!p)
		return 0;
	err = size == 0 ? -EINVAL : hugealloc_engine()->unmap(p, size);
	return err ? HUGEALLOC_FAIL(err, -1) : 0;
}

HS_EXPORT void *hugealloc_resize(void *p, size_t old_size, size_t new_size,
				 unsigned flags)
{
	void *moved;
	int err;

	if (!p || old_size == 0 || new_size == 0 ||
	    (flags & ~HUGEALLOC_MAYMOVE))
		return HUGEALLOC_FAIL(-EINVAL, NULL);
	err = hugealloc_engine()->resize(p, old_size, new_size,
					 flags & HUGEALLOC_MAYMOVE, &moved);
	return err ? HUGEALLOC_FAIL(err, NULL) : moved;
}

HS_EXPORT int hugealloc_stats(struct hugealloc_stats *stats)
{
	struct hs_block_stats now;
	struct hugealloc_stats out;
	size_t size;

	if (!stats || stats->struct_size < STATS_MIN ||
	    stats->struct_size > STRUCT_MAX)
		return HUGEALLOC_FAIL(-EINVAL, -1);
	size = stats->struct_size;
	hugealloc_engine()->stats(&now);
	out = (struct hugealloc_stats){
		.struct_size = size,
		.blocks = now.blocks,
		.bytes = now.bytes,
		.huge_bytes = now.huge_bytes,
		.fallback_pages = now.fallback_pages,
		.rescued_pages = now.rescued_pages,
		.converted_pages = now.converted_pages,
		.failed = now.failed,
	};
	memset(stats, 0, size);
	memcpy(stats, &out, HS_MIN(size, sizeof(out)));
	return 0;
}

HS_EXPORT int hugealloc_page_sizes(size_t sizes[], int nr)
{
	size_t found[HUGEALLOC_SIZES_MAX];
	int saved = errno, nr_found;

	if (nr < 0 || (nr > 0 && !sizes))
		return HUGEALLOC_FAIL(-EINVAL, -1);
	nr_found = hugealloc_sizes_read(found);
	for (int i = 0; i < nr && i < nr_found; i++)
		sizes[i] = found[i];
	errno = saved;
	return nr_found;
}
