/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hugectl status for programs: JSON, and the text that Prometheus reads. */
#include <stdio.h>
#include <string.h>

#include "show.h"
#include "status.h"

static long total(const struct pool *pool)
{
	return pool->total;
}

static long free_pages(const struct pool *pool)
{
	return pool->free;
}

static long reserved(const struct pool *pool)
{
	return pool->reserved;
}

static long surplus(const struct pool *pool)
{
	return pool->surplus;
}

static long overcommit(const struct pool *pool)
{
	return pool->overcommit;
}

static const struct {
	const char *json, *metric, *help;
	long (*of)(const struct pool *pool);
} fields[] = {
	{ "total", "pool_pages", "Pages in the pool", total },
	{ "free", "free_pages", "Pages in no use", free_pages },
	{ "reserved", "reserved_pages", "Free pages that are promised",
	  reserved },
	{ "surplus", "surplus_pages", "Pages above the pool's size", surplus },
	{ "overcommit", "overcommit_pages", "Most surplus pages", overcommit },
};

enum { NR_FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* --- JSON ---------------------------------------------------------------- */

/* What the kernel does not say is null. */
static void json_number(const char *name, long value)
{
	if (value < 0)
		printf(",\"%s\":null", name);
	else
		printf(",\"%s\":%ld", name, value);
}

static void json_bytes(const char *name, uint64_t bytes)
{
	if (bytes == UINT64_MAX)
		printf(",\"%s\":null", name);
	else
		printf(",\"%s\":%llu", name, (unsigned long long)bytes);
}

static void json_pools(const struct pool *pools, unsigned nr)
{
	unsigned i, j;

	printf("[");
	for (i = 0; i < nr; i++) {
		printf("%s{\"page_bytes\":%llu", i ? "," : "",
		       (unsigned long long)pools[i].page_bytes);
		for (j = 0; j < NR_FIELDS; j++)
			json_number(fields[j].json, fields[j].of(&pools[i]));
		printf("}");
	}
	printf("]");
}

static void json_nodes(const struct machine *m)
{
	struct pool pools[KERNEL_POOLS_MAX];
	unsigned i, nr;

	printf(",\"nodes\":[");
	for (i = 0; i < m->nr_nodes; i++) {
		nr = kernel_pools(m->nodes[i], pools);
		printf("%s{\"node\":%d,\"pools\":", i ? "," : "", m->nodes[i]);
		json_pools(pools, nr);
		printf("}");
	}
	printf("]");
}

static void json_limit(const struct kernel_limit *limit, uint64_t page_bytes,
		       bool first)
{
	printf("%s{\"group\":", first ? "" : ",");
	show_json_text(stdout, limit->group);
	json_bytes("page_bytes", page_bytes == 0 ? UINT64_MAX : page_bytes);
	json_bytes("max_bytes", limit->max_bytes);
	json_bytes("used_bytes", limit->used_bytes);
	printf("}");
}

static void json_limits(const struct machine *m)
{
	bool first = true;
	unsigned i;

	printf(",\"limits\":[");
	for (i = 0; i < m->nr_pools; i++) {
		if (!m->has_limit[i])
			continue;
		json_limit(&m->limits[i], m->pools[i].page_bytes, first);
		first = false;
	}
	if (m->has_memory_limit)
		json_limit(&m->memory_limit, 0, first);
	printf("]");
}

static void json_mounts(const struct machine *m)
{
	unsigned i;

	printf(",\"mounts\":[");
	for (i = 0; i < m->nr_mounts; i++) {
		printf("%s{\"dir\":", i ? "," : "");
		show_json_text(stdout, m->mounts[i].dir);
		json_bytes("page_bytes", m->mounts[i].page_bytes);
		json_bytes("limit_bytes", m->mounts[i].limit_bytes);
		printf(",\"writable\":%s}",
		       m->mounts[i].writable ? "true" : "false");
	}
	printf("]");
}

static void json_holders(const struct machine *m)
{
	unsigned i;

	printf(",\"processes\":[");
	for (i = 0; i < m->nr_holders; i++) {
		printf("%s{\"pid\":%d,\"uid\":%u,\"program\":", i ? "," : "",
		       m->holders[i].pid, m->holders[i].uid);
		show_json_text(stdout, m->holders[i].name);
		json_bytes("hugetlb_bytes", m->holders[i].hugetlb_bytes);
		printf("}");
	}
	printf("]");
}

void status_json(const struct machine *m)
{
	printf("{\"pools\":");
	json_pools(m->pools, m->nr_pools);
	json_nodes(m);
	json_bytes("default_page_bytes", m->default_page);
	printf(",\"thp\":{\"enabled\":");
	show_json_text(stdout, m->thp);
	printf(",\"defrag\":");
	show_json_text(stdout, m->defrag);
	printf(",\"shmem\":");
	show_json_text(stdout, m->shmem);
	json_bytes("bytes", m->thp_bytes);
	printf("}");
	json_bytes("memory_bytes", m->total_bytes);
	json_bytes("available_bytes", m->available_bytes);
	json_limits(m);
	json_mounts(m);
	json_number("shm_group", m->shm_group);
	json_number("overcommit_memory", m->overcommit);
	json_number("max_map_count", m->max_map_count);
	printf(",\"userfaultfd\":%s", m->has_userfaultfd ? "true" : "false");
	json_holders(m);
	printf("}\n");
}

/* --- OpenMetrics --------------------------------------------------------- */

static void family(const char *name, const char *help)
{
	printf("# HELP hugepages_%s %s.\n# TYPE hugepages_%s gauge\n", name,
	       help, name);
}

static void metric_pools(const struct machine *m, unsigned field)
{
	unsigned i;

	family(fields[field].metric, fields[field].help);
	for (i = 0; i < m->nr_pools; i++)
		if (fields[field].of(&m->pools[i]) >= 0)
			printf("hugepages_%s{size=\"%llu\"} %ld\n",
			       fields[field].metric,
			       (unsigned long long)m->pools[i].page_bytes,
			       fields[field].of(&m->pools[i]));
}

/* In families of their own: sums over a label must not count twice. */
static void metric_nodes(const struct machine *m, unsigned field)
{
	struct pool pools[KERNEL_POOLS_MAX];
	char name[32], help[64];
	unsigned i, j, nr;
	long value;

	snprintf(name, sizeof(name), "node_%s", fields[field].metric);
	snprintf(help, sizeof(help), "%s, by node", fields[field].help);
	family(name, help);
	for (i = 0; i < m->nr_nodes; i++) {
		nr = kernel_pools(m->nodes[i], pools);
		for (j = 0; j < nr; j++) {
			value = fields[field].of(&pools[j]);
			if (value >= 0)
				printf("hugepages_%s{node=\"%d\",size=\"%llu\"}"
				       " %ld\n",
				       name, m->nodes[i],
				       (unsigned long long)pools[j].page_bytes,
				       value);
		}
	}
}

static void metric_limits(const struct machine *m)
{
	unsigned i;

	family("limit_bytes", "Limit of the control group");
	for (i = 0; i < m->nr_pools; i++)
		if (m->has_limit[i] && m->limits[i].max_bytes != UINT64_MAX)
			printf("hugepages_limit_bytes{size=\"%llu\"} %llu\n",
			       (unsigned long long)m->pools[i].page_bytes,
			       (unsigned long long)m->limits[i].max_bytes);
}

/* Programs by name, so that series do not come and go with each PID. */
static void metric_holders(const struct machine *m)
{
	uint64_t bytes;
	unsigned i, j;

	family("program_bytes", "Memory on pages of a pool, by program");
	for (i = 0; i < m->nr_holders; i++) {
		for (j = 0; j < i; j++)
			if (!strcmp(m->holders[j].name, m->holders[i].name))
				break;
		if (j < i)
			continue; /* counted with the first of the name */
		for (bytes = 0; j < m->nr_holders; j++)
			if (!strcmp(m->holders[j].name, m->holders[i].name))
				bytes += m->holders[j].hugetlb_bytes;
		printf("hugepages_program_bytes{program=");
		show_json_text(stdout, m->holders[i].name);
		printf("} %llu\n", (unsigned long long)bytes);
	}
}

void status_openmetrics(const struct machine *m)
{
	unsigned i;

	for (i = 0; i < NR_FIELDS; i++)
		metric_pools(m, i);
	/* A node has a total, free and surplus pages. */
	for (i = 0; i < NR_FIELDS; i++)
		if (fields[i].of == total || fields[i].of == free_pages ||
		    fields[i].of == surplus)
			metric_nodes(m, i);
	family("thp_bytes", "Anonymous memory on transparent huge pages");
	printf("hugepages_thp_bytes %llu\n", (unsigned long long)m->thp_bytes);
	metric_limits(m);
	metric_holders(m);
	printf("# EOF\n");
}
