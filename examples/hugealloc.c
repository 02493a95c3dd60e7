/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A column of numbers on huge pages: asked for, grown, looked at, given back.
 *
 *	cc -o hugealloc hugealloc.c $(pkg-config --cflags --libs hugealloc)
 *	./hugealloc [MiB]
 */
#include <hugealloc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct column {
	uint64_t *value;
	size_t nr, room;
};

/* Twice the room, without copying what is there: its pages move. */
static int column_grow(struct column *c)
{
	size_t size = c->room * sizeof(c->value[0]);
	uint64_t *p = hugealloc_resize(c->value, size, 2 * size,
				       HUGEALLOC_MAYMOVE);

	if (!p)
		return -1;
	c->value = p;
	c->room *= 2;
	return 0;
}

static int column_fill(struct column *c, size_t nr)
{
	for (; c->nr < nr; c->nr++) {
		if (c->nr == c->room && column_grow(c))
			return -1;
		c->value[c->nr] = c->nr;
	}
	return 0;
}

static void column_show(const struct column *c)
{
	struct hugealloc_info info;
	size_t size = c->room * sizeof(c->value[0]);
	uint64_t sum = 0;

	for (size_t i = 0; i < c->nr; i++)
		sum += c->value[i];
	printf("%zu values, sum %" PRIu64 "\n", c->nr, sum);
	if (hugealloc_query(c->value, size, &info) == 0)
		printf("%" PRIu64 " MiB on huge pages, %" PRIu64
		       " on transparent ones, %" PRIu64 " on base pages\n",
		       info.hugetlb >> 20, info.thp >> 20, info.base >> 20);
}

int main(int argc, char **argv)
{
	struct hugealloc_attr attr = HUGEALLOC_ATTR_INIT;
	struct column c = { .nr = 0 };
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 32) << 20;
	long page = hugealloc_page_size(NULL);

	/* Page by page: what the pool has not comes from elsewhere. */
	attr.fallback = HUGEALLOC_PREFER;
	c.value = hugealloc((size_t)page, &attr);
	if (!c.value) {
		perror("hugealloc");
		return 1;
	}
	c.room = (size_t)page / sizeof(c.value[0]);
	if (column_fill(&c, size / sizeof(c.value[0]))) {
		perror("hugealloc_resize");
		return 1;
	}
	column_show(&c);
	return hugealloc_free(c.value, c.room * sizeof(c.value[0])) ? 1 : 0;
}
