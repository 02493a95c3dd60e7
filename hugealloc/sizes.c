// SPDX-License-Identifier: LGPL-2.1-or-later
#include "hugealloc/sizes.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES_DIR "/sys/kernel/mm/hugepages"

static int by_size(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

int hugealloc_sizes_read(size_t sizes[HUGEALLOC_SIZES_MAX])
{
	DIR *dir = opendir(SIZES_DIR);
	struct dirent *entry;
	int nr = 0;

	if (!dir)
		return 0;
	while (nr < HUGEALLOC_SIZES_MAX && (entry = readdir(dir))) {
		unsigned long kib;

		if (sscanf(entry->d_name, "hugepages-%lukB", &kib) == 1)
			sizes[nr++] = (size_t)kib << 10;
	}
	closedir(dir);
	qsort(sizes, (size_t)nr, sizeof(sizes[0]), by_size);
	return nr;
}

bool hugealloc_sizes_has(size_t page_bytes)
{
	size_t sizes[HUGEALLOC_SIZES_MAX];
	int nr = hugealloc_sizes_read(sizes);

	for (int i = 0; i < nr; i++)
		if (sizes[i] == page_bytes)
			return true;
	return false;
}

size_t hugealloc_sizes_default(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Hugepagesize: %lu kB", &kib) == 1)
			break;
	fclose(file);
	return (size_t)kib << 10;
}

/* Blanks and the like are written as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		unsigned value;

		*to = *text;
		if (*text != '\\' || strspn(text + 1, "01234567") < 3 ||
		    sscanf(text + 1, "%3o", &value) != 1)
			continue;
		*to = (char)value;
		text += 3;
	}
	*to = '\0';
}

/* "36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw": the fifth is
 * where, the one behind the lonely hyphen what. */
static char *mount_point(char *line)
{
	char *type = strstr(line, " - ");
	char *field = line;

	if (!type || strncmp(type, " - hugetlbfs ", 13) != 0)
		return NULL;
	for (int i = 0; i < 4 && field; i++) {
		field = strchr(field, ' ');
		field = field ? field + 1 : NULL;
	}
	if (!field)
		return NULL;
	field[strcspn(field, " ")] = '\0';
	unescape(field);
	return field;
}

void hugealloc_mounts_visit(void (*visit)(const char *path))
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	size_t size = 0;
	char *line = NULL;

	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		const char *path = mount_point(line);

		if (path)
			visit(path);
	}
	free(line);
	fclose(file);
}
