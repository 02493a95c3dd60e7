// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * query.c - what lies behind addresses, as the kernel tells it: mappings from
 * /proc/self/smaps, pages from /proc/self/pagemap.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hugealloc.h"
#include "hugealloc/engine.h"
#include "probe.h"
#include "sys.h"

/* pagemap, Documentation/admin-guide/mm/pagemap.rst: a word a page. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_WORDS 512

/* PAGEMAP_SCAN, Linux 6.7; headers are older. */
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_HUGE (UINT64_C(1) << 6)
#define SCAN_REGIONS 64

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

struct mapping {
	uintptr_t from, to;
	uint64_t page_bytes; /* KernelPageSize */
	uint64_t thp_bytes;  /* AnonHugePages */
};

struct query {
	uintptr_t from, to;
	int pagemap;
	uint64_t mapped;
	uint64_t page_bytes; /* of the last mapping seen */
	struct hugealloc_info info;
};

static uint64_t count_present(int pagemap, uintptr_t from, uintptr_t to)
{
	size_t page = hs_sys_page_size();
	uint64_t words[PAGEMAP_WORDS], nr = 0;

	while (from < to) {
		size_t want = HS_MIN((to - from) / page, PAGEMAP_WORDS);
		ssize_t got = pread(pagemap, words, want * sizeof(words[0]),
				    (off_t)(from / page * sizeof(words[0])));

		if (got <= 0)
			break;
		got /= (ssize_t)sizeof(words[0]);
		for (ssize_t i = 0; i < got; i++)
			nr += (words[i] & PAGEMAP_PRESENT) != 0;
		from += (size_t)got * page;
	}
	return nr * page;
}

/* Bytes on transparent huge pages, or -1: the kernel does not tell. */
static int64_t count_thp(int pagemap, uintptr_t from, uintptr_t to)
{
	struct scan_region regions[SCAN_REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = from,
		.end = to,
		.vec = (uintptr_t)regions,
		.vec_len = SCAN_REGIONS,
		.category_mask = SCAN_PRESENT | SCAN_HUGE,
		.return_mask = SCAN_HUGE,
	};
	int64_t bytes = 0;

	while (arg.start < arg.end) {
		int nr = ioctl(pagemap, SCAN_IOCTL, &arg);

		if (nr < 0 || arg.walk_end <= arg.start)
			return nr < 0 ? -1 : bytes;
		for (int i = 0; i < nr; i++)
			bytes += (int64_t)(regions[i].end - regions[i].start);
		arg.start = arg.walk_end;
	}
	return bytes;
}

static void add_mapping(struct query *q, const struct mapping *m)
{
	uintptr_t from = HS_MAX(q->from, m->from), to = HS_MIN(q->to, m->to);
	uint64_t present;
	int64_t thp;

	if (from >= to)
		return;
	q->mapped += to - from;
	q->page_bytes = m->page_bytes;
	present = count_present(q->pagemap, from, to);
	q->info.absent += to - from - present;
	if (m->page_bytes > hs_sys_page_size()) {
		q->info.hugetlb += present;
		return;
	}
	thp = count_thp(q->pagemap, from, to);
	if (thp < 0)
		thp = (int64_t)HS_MIN(m->thp_bytes, present);
	q->info.thp += HS_MIN((uint64_t)thp, present);
	q->info.base += present - HS_MIN((uint64_t)thp, present);
}

/* A mapping's lines follow the line with its addresses. */
static void read_mappings(struct query *q, FILE *smaps)
{
	struct mapping m = { 0 };
	size_t size = 0;
	char *line = NULL;

	while (getline(&line, &size, smaps) > 0) {
		unsigned long from, to, kib;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			add_mapping(q, &m);
			m = (struct mapping){ .from = from, .to = to };
			if (from >= q->to)
				break;
		} else if (sscanf(line, "KernelPageSize: %lu", &kib) == 1) {
			m.page_bytes = (uint64_t)kib << 10;
		} else if (sscanf(line, "AnonHugePages: %lu", &kib) == 1) {
			m.thp_bytes = (uint64_t)kib << 10;
		}
	}
	add_mapping(q, &m);
	free(line);
}

/* 0 or -errno. */
static int run(struct query *q, const void *addr, size_t len)
{
	size_t page = hs_sys_page_size();
	FILE *smaps;
	int err = 0;

	q->from = hs_align_down((uintptr_t)addr, page);
	if (len == 0 || len > PTRDIFF_MAX ||
	    __builtin_add_overflow((uintptr_t)addr, len + page - 1, &q->to))
		return -EINVAL;
	q->to = hs_align_down(q->to, page);
	smaps = fopen("/proc/self/smaps", "re");
	if (!smaps)
		return -errno;
	q->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (q->pagemap < 0) {
		err = -errno;
	} else {
		read_mappings(q, smaps);
		close(q->pagemap);
	}
	fclose(smaps);
	q->info.unmapped = q->to - q->from - q->mapped;
	return err;
}

HS_EXPORT int hugealloc_query(const void *addr, size_t len,
			      struct hugealloc_info *info)
{
	struct query q = { 0 };
	int saved = errno;
	int err = info ? run(&q, addr, len) : -EINVAL;

	if (err)
		return HUGEALLOC_FAIL(err, -1);
	*info = q.info;
	errno = saved;
	return 0;
}

HS_EXPORT long hugealloc_page_size(const void *addr)
{
	struct query q = { 0 };
	int saved = errno;
	int err;

	if (!addr) {
		size_t own = hugealloc_engine()->page_bytes();

		errno = saved;
		return own ? (long)own : (long)hs_probe_default_huge_size();
	}
	err = run(&q, addr, 1);
	if (!err && q.mapped == 0)
		err = -EFAULT;
	if (err)
		return HUGEALLOC_FAIL(err, -1);
	errno = saved;
	return q.info.thp ? (long)hs_probe_default_huge_size()
			  : (long)q.page_bytes;
}
