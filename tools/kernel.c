/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "show.h"

#define POOLS "/sys/kernel/mm/hugepages"
#define NODES "/sys/devices/system/node"
#define CGROUPS "/sys/fs/cgroup"

bool kernel_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n = 0;

	buf[0] = '\0';
	if (fd < 0)
		return false;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	buf[len] = '\0';
	if (len > 0 && buf[len - 1] == '\n')
		buf[len - 1] = '\0';
	return n >= 0;
}

long kernel_number(const char *path)
{
	char text[64], *end;
	long value;

	if (!kernel_text(path, text, sizeof(text)))
		return -1;
	errno = 0;
	value = strtol(text, &end, 10);
	return end == text || errno ? -1 : value;
}

uint64_t kernel_meminfo(const char *field)
{
	char text[8192], *line;
	size_t len = strlen(field);

	if (!kernel_text("/proc/meminfo", text, sizeof(text)))
		return 0;
	for (line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, field, len) && line[len] == ':')
			return strtoull(line + len + 1, NULL, 10) * 1024;
	}
	return 0;
}

uint64_t kernel_default_page(void)
{
	return kernel_meminfo("Hugepagesize");
}

uint64_t kernel_thp_page(void)
{
	long bytes = kernel_number(
		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	uint64_t base = (uint64_t)sysconf(_SC_PAGESIZE);

	return bytes > 0 ? (uint64_t)bytes : base / 8 * base;
}

void kernel_pool_dir(int node, uint64_t page_bytes, char *buf, size_t size)
{
	unsigned long long kib = page_bytes / 1024;

	if (node < 0)
		snprintf(buf, size, POOLS "/hugepages-%llukB", kib);
	else
		snprintf(buf, size, NODES "/node%d/hugepages/hugepages-%llukB",
			 node, kib);
}

static long pool_file(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return kernel_number(path);
}

static void read_pool(int node, struct pool *pool)
{
	char dir[128];

	kernel_pool_dir(node, pool->page_bytes, dir, sizeof(dir));
	pool->total = pool_file(dir, "nr_hugepages");
	pool->free = pool_file(dir, "free_hugepages");
	pool->reserved = pool_file(dir, "resv_hugepages");
	pool->surplus = pool_file(dir, "surplus_hugepages");
	pool->overcommit = pool_file(dir, "nr_overcommit_hugepages");
}

static int by_page(const void *a, const void *b)
{
	const struct pool *x = a, *y = b;

	return (x->page_bytes > y->page_bytes) -
	       (x->page_bytes < y->page_bytes);
}

unsigned kernel_pools(int node, struct pool pools[KERNEL_POOLS_MAX])
{
	unsigned long long kib;
	struct dirent *entry;
	char path[128];
	unsigned nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), POOLS);
	if (node >= 0)
		snprintf(path, sizeof(path), NODES "/node%d/hugepages", node);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (nr < KERNEL_POOLS_MAX && (entry = readdir(dir)) != NULL) {
		if (sscanf(entry->d_name, "hugepages-%llukB", &kib) != 1)
			continue;
		pools[nr].page_bytes = kib * 1024;
		read_pool(node, &pools[nr++]);
	}
	closedir(dir);
	qsort(pools, nr, sizeof(pools[0]), by_page);
	return nr;
}

unsigned kernel_nodes(int *nodes, unsigned max)
{
	char text[4096], *p = text, *end;
	unsigned nr = 0;
	long from, to;

	if (!kernel_text(NODES "/has_memory", text, sizeof(text)))
		return 0;
	while (isdigit((unsigned char)*p)) {
		from = to = strtol(p, &end, 10);
		if (*end == '-')
			to = strtol(end + 1, &end, 10);
		for (; from <= to && nr < max; from++)
			nodes[nr++] = (int)from;
		p = end + (*end == ',');
	}
	return nr;
}

/* "2M" of pagesize=2M. */
static uint64_t option_bytes(const char *options, const char *name,
			     uint64_t absent)
{
	const char *p = strstr(options, name);
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t value;
	char *end;

	if (p == NULL)
		return absent;
	value = strtoull(p + strlen(name), &end, 10);
	unit = *end == '\0' ? NULL : strchr(units, *end & ~0x20);
	return unit == NULL ? value : value << 10 * (unit - units + 1);
}

/* The kernel writes blanks of names as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		if (*text == '\\' && isdigit((unsigned char)text[1]) &&
		    isdigit((unsigned char)text[2]) &&
		    isdigit((unsigned char)text[3])) {
			*to++ = (char)((text[1] - '0') * 64 +
				       (text[2] - '0') * 8 + (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

unsigned kernel_mounts(struct kernel_mount *mounts, unsigned max)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[2 * PATH_MAX], *save, *dir, *type, *options;
	struct kernel_mount *mount;
	unsigned nr = 0;

	if (file == NULL)
		return 0;
	while (nr < max && fgets(line, sizeof(line), file) != NULL) {
		if (strtok_r(line, " ", &save) == NULL)
			continue;
		dir = strtok_r(NULL, " ", &save);
		type = strtok_r(NULL, " ", &save);
		options = strtok_r(NULL, " \n", &save);
		if (options == NULL || strcmp(type, "hugetlbfs") != 0)
			continue;
		unescape(dir);
		mount = &mounts[nr++];
		snprintf(mount->dir, sizeof(mount->dir), "%s", dir);
		mount->page_bytes = option_bytes(
			options, "pagesize=", kernel_default_page());
		mount->limit_bytes =
			option_bytes(options, ",size=", UINT64_MAX);
		mount->writable = access(mount->dir, W_OK) == 0;
	}
	fclose(file);
	return nr;
}

void kernel_choice(const char *path, char *buf, size_t size)
{
	char text[256], *from, *to;

	buf[0] = '\0';
	if (!kernel_text(path, text, sizeof(text)))
		return;
	from = strchr(text, '[');
	to = from != NULL ? strchr(from, ']') : NULL;
	if (to == NULL)
		return;
	*to = '\0';
	snprintf(buf, size, "%s", from + 1);
}

/* --- control groups ------------------------------------------------------ */


/* The file systems of version 2, and of version 1 with the controller. */
static bool own_group(const char *controller, char *dir, size_t size)
{
	char text[4096], *line, *save, *path, want[64];
	size_t len;

	if (!kernel_text("/proc/self/cgroup", text, sizeof(text)))
		return false;
	snprintf(want, sizeof(want), ":%s:", controller);
	for (line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		path = strstr(line, want);
		len = strlen(want);
		if (path != NULL) {
			snprintf(dir, size, CGROUPS "/%s%s", controller,
				 path + len);
			return access(dir, F_OK) == 0;
		}
		if (!strncmp(line, "0::", 3)) {
			snprintf(dir, size, CGROUPS "%s", line + 3);
			if (access(CGROUPS "/cgroup.controllers", F_OK) == 0)
				return true;
		}
	}
	return false;
}

/* "max" of version 2 and the largest number of version 1 are none. */
static uint64_t limit_of(const char *dir, const char *file)
{
	char path[PATH_MAX + 64], text[64], *end;
	uint64_t value;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (!kernel_text(path, text, sizeof(text)))
		return UINT64_MAX;
	value = strtoull(text, &end, 10);
	return end == text || value >= (uint64_t)INT64_MAX / 2 ? UINT64_MAX
							       : value;
}

static bool has_file(const char *dir, const char *file)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return access(path, R_OK) == 0;
}

/* The names of a limit and of what is used, in both versions. */
static void limit_files(uint64_t page_bytes, bool v1, char *max, char *used,
			size_t size)
{
	unsigned long long n = page_bytes >> 10;
	const char *unit = "KB";

	if (n >= 1 << 20) {
		n >>= 20;
		unit = "GB";
	} else if (n >= 1 << 10) {
		n >>= 10;
		unit = "MB";
	}
	if (page_bytes == 0) {
		snprintf(max, size,
			 v1 ? "memory.limit_in_bytes" : "memory.max");
		snprintf(used, size,
			 v1 ? "memory.usage_in_bytes" : "memory.current");
		return;
	}
	snprintf(max, size,
		 v1 ? "hugetlb.%llu%s.limit_in_bytes" : "hugetlb.%llu%s.max", n,
		 unit);
	snprintf(used, size,
		 v1 ? "hugetlb.%llu%s.usage_in_bytes"
		    : "hugetlb.%llu%s.current",
		 n, unit);
}

bool kernel_limit(uint64_t page_bytes, struct kernel_limit *limit)
{
	const char *controller = page_bytes == 0 ? "memory" : "hugetlb";
	char dir[PATH_MAX], max[64], used[64], *slash;
	size_t top = strlen(CGROUPS);
	bool v1, known = false;
	uint64_t value;

	limit->max_bytes = limit->used_bytes = UINT64_MAX;
	limit->group[0] = '\0';
	if (!own_group(controller, dir, sizeof(dir)))
		return false;
	v1 = !strncmp(dir + top + 1, controller, strlen(controller));
	limit_files(page_bytes, v1, max, used, sizeof(max));
	while (strlen(dir) >= top) {
		value = limit_of(dir, max);
		known = known || has_file(dir, max);
		if (value < limit->max_bytes) {
			limit->max_bytes = value;
			limit->used_bytes = limit_of(dir, used);
			snprintf(limit->group, sizeof(limit->group), "%.255s",
				 dir + top);
		}
		slash = strrchr(dir, '/');
		*slash = '\0';
	}
	return known;
}
