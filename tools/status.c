/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hugectl status: the machine's huge pages, and who has them. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "process.h"
#include "say.h"
#include "show.h"
#include "status.h"
#include "subcommand.h"

enum { SHORT_LIST = 10 };

#define THP "/sys/kernel/mm/transparent_hugepage/"

static int by_hugetlb(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->hugetlb_bytes < y->hugetlb_bytes) -
	       (x->hugetlb_bytes > y->hugetlb_bytes);
}

static void read_holders(struct machine *machine)
{
	unsigned i, nr;
	struct process *all = process_all(&nr);

	machine->holders = all;
	for (i = 0; i < nr; i++)
		if (all[i].hugetlb_bytes != 0)
			all[machine->nr_holders++] = all[i];
	qsort(all, machine->nr_holders, sizeof(*all), by_hugetlb);
}

static void read_machine(struct machine *machine)
{
	unsigned i;

	machine->nr_pools = kernel_pools(-1, machine->pools);
	machine->nr_nodes = kernel_nodes(machine->nodes, KERNEL_NODES_MAX);
	machine->default_page = kernel_default_page();
	kernel_choice(THP "enabled", machine->thp, sizeof(machine->thp));
	kernel_choice(THP "defrag", machine->defrag, sizeof(machine->defrag));
	kernel_choice(THP "shmem_enabled", machine->shmem,
		      sizeof(machine->shmem));
	machine->thp_bytes = kernel_meminfo("AnonHugePages");
	machine->total_bytes = kernel_meminfo("MemTotal");
	machine->available_bytes = kernel_meminfo("MemAvailable");
	machine->shm_group = kernel_number("/proc/sys/vm/hugetlb_shm_group");
	machine->overcommit = kernel_number("/proc/sys/vm/overcommit_memory");
	machine->max_map_count = kernel_number("/proc/sys/vm/max_map_count");
	machine->has_userfaultfd = access("/dev/userfaultfd", R_OK | W_OK) == 0;
	machine->nr_mounts = kernel_mounts(machine->mounts, KERNEL_MOUNTS_MAX);
	for (i = 0; i < machine->nr_pools; i++)
		machine->has_limit[i] = kernel_limit(
			machine->pools[i].page_bytes, &machine->limits[i]);
	machine->has_memory_limit = kernel_limit(0, &machine->memory_limit);
	read_holders(machine);
}

static void heading(const char *text)
{
	printf("%s%s%s\n", show_colour(SHOW_BOLD), text,
	       show_colour(SHOW_PLAIN));
}

/* Free and promised to nobody. */
static uint64_t available(const struct pool *pool)
{
	long pages = pool->free;

	if (pool->reserved > 0)
		pages -= pool->reserved;
	return pages > 0 ? (uint64_t)pages * pool->page_bytes : 0;
}

/* A node's directory has no reservations. */
static void print_count(long pages)
{
	if (pages < 0)
		printf("%11s", "");
	else
		printf("%11ld", pages);
}

static void print_pool(const struct pool *pool, const char *where)
{
	char page[SHOW_BYTES_MAX], all[SHOW_BYTES_MAX], left[SHOW_BYTES_MAX];
	uint64_t total = (uint64_t)pool->total * pool->page_bytes;

	printf("  %-5s%-8s", show_page(pool->page_bytes, page), where);
	print_count(pool->total);
	print_count(pool->free);
	print_count(pool->reserved);
	print_count(pool->surplus);
	print_count(pool->overcommit);
	printf("%12s%12s\n", show_bytes(total, all),
	       show_bytes(available(pool), left));
}

static void print_pools(const struct machine *m)
{
	struct pool pools[KERNEL_POOLS_MAX];
	unsigned i, j, nr;
	char where[16];

	heading("Huge page pools");
	if (m->nr_pools == 0) {
		printf("  none: this kernel has no huge pages\n");
		return;
	}
	printf("%s  %-5s%-8s%11s%11s%11s%11s%11s%12s%12s%s\n",
	       show_colour(SHOW_DIM), "size", "where", "pages", "free",
	       "reserved", "surplus", "overcommit", "memory", "available",
	       show_colour(SHOW_PLAIN));
	for (i = 0; i < m->nr_pools; i++)
		print_pool(&m->pools[i], "machine");
	for (i = 0; m->nr_nodes > 1 && i < m->nr_nodes; i++) {
		nr = kernel_pools(m->nodes[i], pools);
		snprintf(where, sizeof(where), "node %d", m->nodes[i]);
		for (j = 0; j < nr; j++)
			print_pool(&pools[j], where);
	}
}

static void print_memory(const struct machine *m)
{
	char a[SHOW_BYTES_MAX], b[SHOW_BYTES_MAX], c[SHOW_BYTES_MAX];
	bool off = !strcmp(m->thp, "never");

	printf("\n");
	heading("Memory");
	printf("  machine     %s, %s available\n",
	       show_bytes(m->total_bytes, a),
	       show_bytes(m->available_bytes, b));
	if (*m->thp == '\0') {
		printf("  THP         this kernel has none\n");
		return;
	}
	printf("  THP         %s%s%s, defrag %s, shared memory %s; %s in use\n",
	       off ? show_colour(SHOW_WARN) : "", m->thp,
	       show_colour(SHOW_PLAIN), m->defrag,
	       *m->shmem != '\0' ? m->shmem : "never",
	       show_bytes(m->thp_bytes, c));
}

static void print_limit(const char *what, const struct kernel_limit *limit)
{
	char max[SHOW_BYTES_MAX], used[SHOW_BYTES_MAX];

	if (limit->max_bytes == UINT64_MAX)
		printf("  %-12sno limit\n", what);
	else
		printf("  %-12sat most %s, %s used, by %s\n", what,
		       show_bytes(limit->max_bytes, max),
		       show_bytes(limit->used_bytes, used),
		       *limit->group != '\0' ? limit->group : "/");
}

static void print_limits(const struct machine *m)
{
	char page[SHOW_BYTES_MAX], what[32];
	bool any = m->has_memory_limit;
	unsigned i;

	printf("\n");
	heading("Limits of this control group");
	for (i = 0; i < m->nr_pools; i++) {
		any = any || m->has_limit[i];
		if (!m->has_limit[i])
			continue;
		snprintf(what, sizeof(what), "%s pages",
			 show_page(m->pools[i].page_bytes, page));
		print_limit(what, &m->limits[i]);
	}
	if (m->has_memory_limit)
		print_limit("memory", &m->memory_limit);
	if (!any)
		printf("  none\n");
}

static void print_shm_group(const struct machine *m)
{
	if (m->shm_group < 0)
		return;
	printf("  SHM_HUGETLB for root%s", m->shm_group ? " and group " : "");
	if (m->shm_group)
		printf("%ld", m->shm_group);
	printf("  (vm.hugetlb_shm_group)\n");
}

static void print_access(const struct machine *m)
{
	char page[SHOW_BYTES_MAX], size[SHOW_BYTES_MAX];
	const struct kernel_mount *mount;
	unsigned i;

	printf("\n");
	heading("Who may use them how");
	print_shm_group(m);
	printf("  /dev/userfaultfd %s\n",
	       m->has_userfaultfd ? "may be opened" : "may not be opened");
	for (i = 0; i < m->nr_mounts; i++) {
		mount = &m->mounts[i];
		printf("  hugetlbfs   %s, %s pages, %s", mount->dir,
		       show_page(mount->page_bytes, page),
		       mount->writable ? "writable" : "not writable");
		if (mount->limit_bytes != UINT64_MAX)
			printf(", at most %s",
			       show_bytes(mount->limit_bytes, size));
		printf("\n");
	}
	if (m->nr_mounts == 0)
		printf("  hugetlbfs   is not mounted\n");
	printf("  vm.overcommit_memory=%ld, vm.max_map_count=%ld\n",
	       m->overcommit, m->max_map_count);
}

static void print_holders(const struct machine *m, bool all)
{
	unsigned i, nr = m->nr_holders;
	char size[SHOW_BYTES_MAX];

	printf("\n");
	heading("Processes with pages of a pool");
	if (nr == 0) {
		printf("  none%s\n",
		       geteuid() ? " that this user may see" : "");
		return;
	}
	if (!all && nr > SHORT_LIST)
		nr = SHORT_LIST;
	printf("%s  %8s  %-12s%12s  %s%s\n", show_colour(SHOW_DIM), "PID",
	       "user", "memory", "program", show_colour(SHOW_PLAIN));
	for (i = 0; i < nr; i++)
		printf("  %8d  %-12s%s%12s%s  %s\n", m->holders[i].pid,
		       process_user(m->holders[i].uid), show_colour(SHOW_HUGE),
		       show_bytes(m->holders[i].hugetlb_bytes, size),
		       show_colour(SHOW_PLAIN), m->holders[i].name);
	if (nr < m->nr_holders)
		printf("  and %u more (--all)\n", m->nr_holders - nr);
}

static void print_help(void)
{
	printf("Usage: hugectl status [--all] [--json | --openmetrics]\n"
	       "Show the huge page pools by size and node, transparent huge "
	       "pages, limits,\nand which processes have pages of a pool.\n\n"
	       "  --all          every such process, not only the %d largest\n"
	       "  --json         one JSON object\n"
	       "  --openmetrics  for Prometheus' textfile collector\n"
	       "  --help         this text\n",
	       SHORT_LIST);
}

int status_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "openmetrics", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct machine machine;
	bool all = false;
	int option, form = 0;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			all = true;
			break;
		case 'j':
		case 'o':
			if (form != 0 && form != option)
				fail("status: --json or --openmetrics, not "
				     "both");
			form = option;
			break;
		case 'h':
			print_help();
			return end_output();
		default:
			return STATUS_OWN;
		}
	}
	if (optind < argc)
		fail("status: '%s' is not an option", argv[optind]);
	read_machine(&machine);
	if (form == 'j') {
		status_json(&machine);
	} else if (form == 'o') {
		status_openmetrics(&machine);
	} else {
		print_pools(&machine);
		print_memory(&machine);
		print_limits(&machine);
		print_access(&machine);
		print_holders(&machine, all);
	}
	free(machine.holders);
	return end_output();
}
