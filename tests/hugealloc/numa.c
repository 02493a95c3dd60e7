/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * numa.c - blocks on two memory nodes, each with so many free huge pages:
 * numa PAGES.  Run by numa.sh in a guest.
 */
#include <sched.h>
#include <sys/syscall.h>

#include "hugealloc.h"
#include "tests/lib/hs_test.h"

#define MPOL_F_NODE 1
#define MPOL_F_ADDR 2

static size_t huge;  /* bytes */
static size_t pages; /* free on each node */

static struct hugealloc_attr on(enum hugealloc_numa numa, const char *nodes,
				enum hugealloc_fallback fallback)
{
	struct hugealloc_attr attr = HUGEALLOC_ATTR_INIT;

	attr.numa = numa;
	attr.nodes = nodes;
	attr.fallback = fallback;
	return attr;
}

static size_t free_on(int node)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/hugepages/"
		 "hugepages-%zukB/free_hugepages",
		 node, huge / 1024);
	HS_T_CHECK(hs_t_slurp(path), "%s", path);
	return strtoul(hs_t_slurp(path), NULL, 10);
}

static int node_of(char *p)
{
	int node = -1;

	HS_T_CHECK(syscall(SYS_get_mempolicy, &node, NULL, 0, p,
			   MPOL_F_NODE | MPOL_F_ADDR) == 0);
	return node;
}

/* How many of the block's slots are on node 1, all of which are written. */
static size_t count_on_1(char *p, size_t nr)
{
	size_t on_1 = 0;

	for (size_t i = 0; i < nr; i++) {
		p[i * huge] = 1;
		on_1 += node_of(p + i * huge) == 1;
	}
	return on_1;
}

static size_t count_huge(const char *p, size_t nr)
{
	struct hugealloc_info info;

	HS_T_CHECK(hugealloc_query(p, nr * huge, &info) == 0);
	return info.hugetlb / huge;
}

static void want(const struct hugealloc_attr *attr, size_t nr, size_t nr_huge,
		 size_t on_1)
{
	char *p = hugealloc(nr * huge, attr);
	const char *nodes = attr->nodes ? attr->nodes : "none";

	HS_T_CHECK(p, "policy %d, nodes %s", attr->numa, nodes);
	HS_T_CHECK(count_huge(p, nr) == nr_huge, "policy %d, nodes %s: %zu",
		   attr->numa, nodes, count_huge(p, nr));
	HS_T_CHECK(count_on_1(p, nr) == on_1, "policy %d, nodes %s: %zu",
		   attr->numa, nodes, count_on_1(p, nr));
	HS_T_CHECK(hugealloc_free(p, nr * huge) == 0);
	HS_T_CHECK(free_on(0) == pages && free_on(1) == pages);
}

static void where_asked(void)
{
	static const char *const one[] = { "1", "1-1", "!0", "+1" };
	struct hugealloc_attr attr;

	for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
		attr = on(HUGEALLOC_NUMA_BIND, one[i], HUGEALLOC_REQUIRE);
		want(&attr, pages, pages, pages);
	}
	attr = on(HUGEALLOC_NUMA_BIND, "0", HUGEALLOC_REQUIRE);
	want(&attr, pages, pages, 0);
	attr = on(HUGEALLOC_NUMA_BIND, "all", HUGEALLOC_REQUIRE);
	want(&attr, 2 * pages, 2 * pages, pages);
	attr = on(HUGEALLOC_NUMA_INTERLEAVE, "0,1", HUGEALLOC_REQUIRE);
	want(&attr, pages, pages, pages / 2);
	attr.nodes = NULL;
	want(&attr, pages, pages, pages / 2);
	attr = on(HUGEALLOC_NUMA_PREFERRED, "1", HUGEALLOC_REQUIRE);
	want(&attr, pages, pages, pages);
	/* What the one has not, the other has. */
	want(&attr, pages + 2, pages + 2, pages);
}

static void local(void)
{
	struct hugealloc_attr attr =
		on(HUGEALLOC_NUMA_LOCAL, NULL, HUGEALLOC_REQUIRE);
	cpu_set_t cpu;

	for (int node = 0; node < 2; node++) {
		CPU_ZERO(&cpu);
		CPU_SET(node, &cpu);
		HS_T_CHECK(sched_setaffinity(0, sizeof(cpu), &cpu) == 0);
		want(&attr, pages, pages, node ? pages : 0);
	}
}

/* The other node has enough, and is not touched. */
static void short_of(void)
{
	size_t nr = pages + 3;
	struct hugealloc_attr attr =
		on(HUGEALLOC_NUMA_BIND, "1", HUGEALLOC_REQUIRE);

	errno = 0;
	HS_T_CHECK(!hugealloc(nr * huge, &attr) && errno == ENOMEM);
	HS_T_CHECK(free_on(0) == pages && free_on(1) == pages);
	attr.fallback = HUGEALLOC_TRY;
	want(&attr, nr, 0, nr);
	attr.fallback = HUGEALLOC_PREFER;
	want(&attr, nr, pages, nr);
	attr.nodes = "2";
	errno = 0;
	HS_T_CHECK(!hugealloc(huge, &attr) && errno == EINVAL);
	attr = on(HUGEALLOC_NUMA_PREFERRED, "0-1", HUGEALLOC_PREFER);
	errno = 0;
	HS_T_CHECK(!hugealloc(huge, &attr) && errno == EINVAL);
}

static void grow(void)
{
	struct hugealloc_attr attr =
		on(HUGEALLOC_NUMA_BIND, "1", HUGEALLOC_REQUIRE);
	char *p = hugealloc(2 * huge, &attr), *q;

	HS_T_CHECK(p);
	hs_t_fill(p, 2 * huge, 1);
	errno = 0;
	HS_T_CHECK(!hugealloc_resize(p, 2 * huge, (pages + 1) * huge,
				     HUGEALLOC_MAYMOVE) &&
		   errno == ENOMEM);
	q = hugealloc_resize(p, 2 * huge, pages * huge, HUGEALLOC_MAYMOVE);
	HS_T_CHECK(q && hs_t_verify(q, 2 * huge, 1) < 0);
	HS_T_CHECK(count_huge(q, pages) == pages && free_on(0) == pages);
	HS_T_CHECK(count_on_1(q, pages) == pages);
	HS_T_CHECK(hugealloc_free(q, pages * huge) == 0);
}

/* Its node is dry, so neither side's copy can be a huge page. */
static void fork_short(void)
{
	struct hugealloc_attr attr =
		on(HUGEALLOC_NUMA_BIND, "1", HUGEALLOC_REQUIRE);
	size_t size = pages * huge;
	char *p = hugealloc(size, &attr);
	pid_t child;

	HS_T_CHECK(p);
	hs_t_fill(p, size, 1);
	child = fork();
	if (child == 0) {
		HS_T_CHILD(hs_t_verify(p, size, 1) < 0, 1);
		hs_t_fill(p, size, 2);
		HS_T_CHILD(hs_t_verify(p, size, 2) < 0, 2);
		_exit(0);
	}
	HS_T_WAIT_OK(child);
	HS_T_CHECK(hs_t_verify(p, size, 1) < 0);
	HS_T_CHECK(hugealloc_free(p, size) == 0);
}

/* A page of another size than the engine's: the guest has one, of 1 GiB. */
static void gigabyte(void)
{
	struct hugealloc_attr attr = HUGEALLOC_ATTR_INIT;
	size_t size = (size_t)1 << 30, sizes[16];
	struct hugealloc_info info;
	char *p;
	pid_t child;

	HS_T_CHECK(hugealloc_page_sizes(sizes, 16) == 2 && sizes[1] == size);
	attr.page_size = size;
	attr.fallback = HUGEALLOC_REQUIRE;
	errno = 0;
	HS_T_CHECK(!hugealloc(1, &attr) && errno == EOPNOTSUPP);
	attr.flags = HUGEALLOC_DONTFORK;
	p = hugealloc(5, &attr);
	HS_T_CHECK(p && (uintptr_t)p % size == 0);
	HS_T_CHECK(hugealloc_page_size(p + size - 1) == (long)size);
	HS_T_CHECK(hugealloc_query(p, size, &info) == 0);
	HS_T_CHECK(info.hugetlb == size);
	p[0] = p[size - 1] = 7;
	child = fork();
	if (child == 0)
		_exit(hugealloc_free(p, 5) == -1 && errno == EINVAL ? 0 : 1);
	p[0] = 8;
	HS_T_WAIT_OK(child);
	errno = 0;
	HS_T_CHECK(!hugealloc_resize(p, 5, size + 1, HUGEALLOC_MAYMOVE) &&
		   errno == ENOMEM);
	HS_T_CHECK(p[0] == 8 && p[size - 1] == 7);
	HS_T_CHECK(hugealloc_free(p, 5) == 0);
	HS_T_CHECK(hugealloc_query(p, size, &info) == 0);
	HS_T_CHECK(info.unmapped == size);
}

int main(int argc, char **argv)
{
	HS_T_CHECK(argc == 2);
	huge = hs_t_huge_bytes();
	pages = strtoul(argv[1], NULL, 0);
	HS_T_CHECK(free_on(0) == pages && free_on(1) == pages,
		   "%zu and %zu free", free_on(0), free_on(1));
	gigabyte();
	where_asked();
	local();
	short_of();
	grow();
	fork_short();
	HS_T_CHECK(free_on(0) == pages && free_on(1) == pages);
	puts("passed");
	return 0;
}
