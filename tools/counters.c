/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "counters.h"
#include "stats.h"
#include "stats_internal.h"

#define NOTE_NAME "hugeshim"

/* Where the library begins in the process. */
struct library {
	pid_t pid;
	uintptr_t base;
	char *name; /* of 64 */
};

static int peek(pid_t pid, uintptr_t address, void *buf, size_t size)
{
	struct iovec mine = { buf, size };
	struct iovec theirs = { (void *)address, size };
	ssize_t n = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);

	if (n == (ssize_t)size)
		return 0;
	if (n >= 0 || errno == EFAULT)
		return -EPROTO;
	return errno == ESRCH ? -ESRCH : -EPERM;
}

/* The first mapping of a file that is called as ours are: at its offset 0. */
static int find_library(struct library *library)
{
	char path[64], line[PATH_MAX + 128], *name;
	unsigned long from, offset;
	int err = -ENOENT;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", library->pid);
	file = fopen(path, "re");
	if (file == NULL)
		return errno == EACCES ? -EPERM : -ESRCH;
	while (err != 0 && fgets(line, sizeof(line), file) != NULL) {
		name = strrchr(line, '/');
		if (name == NULL || (strncmp(name, "/libhugeshim", 12) != 0 &&
				     strncmp(name, "/libhugealloc", 13) != 0))
			continue;
		if (sscanf(line, "%lx-%*x %*s %lx", &from, &offset) != 2 ||
		    offset != 0)
			continue;
		library->base = from;
		snprintf(library->name, 64, "%.63s", name + 1);
		library->name[strcspn(library->name, " \n")] = '\0';
		err = 0;
	}
	fclose(file);
	return err;
}

/* The addresses that the note at @note (of @size bytes in all) leads to. */
static int read_note(const struct library *library, uintptr_t note, size_t size,
		     uintptr_t *stats, uintptr_t *layout)
{
	struct {
		ElfW(Nhdr) head;
		char name[12];
		int32_t stats, layout;
	} found;
	size_t skip;
	int err;

	while (size >= sizeof(found)) {
		err = peek(library->pid, note, &found, sizeof(found));
		if (err)
			return err;
		if (found.head.n_namesz == sizeof(NOTE_NAME) &&
		    !memcmp(found.name, NOTE_NAME, sizeof(NOTE_NAME))) {
			note += offsetof(__typeof__(found), stats);
			*stats = note + (uintptr_t)(intptr_t)found.stats;
			note += sizeof(found.stats);
			*layout = note + (uintptr_t)(intptr_t)found.layout;
			return 0;
		}
		skip = sizeof(found.head) +
		       ((found.head.n_namesz + 3UL) & ~3UL) +
		       ((found.head.n_descsz + 3UL) & ~3UL);
		if (skip > size)
			break;
		note += skip;
		size -= skip;
	}
	return -EPROTO;
}

static int find_note(const struct library *library, uintptr_t *stats,
		     uintptr_t *layout)
{
	ElfW(Ehdr) head;
	ElfW(Phdr) part;
	unsigned i;
	int err = peek(library->pid, library->base, &head, sizeof(head));

	if (err)
		return err;
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] !=
		    (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return -EPROTO;
	for (i = 0; i < head.e_phnum; i++) {
		err = peek(library->pid,
			   library->base + head.e_phoff + i * sizeof(part),
			   &part, sizeof(part));
		if (err)
			return err;
		if (part.p_type == PT_NOTE &&
		    !read_note(library, library->base + part.p_vaddr,
			       part.p_memsz, stats, layout))
			return 0;
	}
	return -EPROTO;
}

static const char *next_name(struct counter *counter, const char *name)
{
	snprintf(counter->name, sizeof(counter->name), "%.31s", name);
	return name + strlen(name) + 1;
}

/* counter[], gauge[] and peak[] follow each other in memory. */
static int take(struct counters *counters, const struct hs_stats_layout *layout,
		const uint64_t *values)
{
	const char *name = layout->names;
	unsigned i;

	counters->nr_counters = layout->nr_counters;
	counters->nr_gauges = layout->nr_gauges;
	for (i = 0; i < layout->nr_counters; i++) {
		name = next_name(&counters->counter[i], name);
		counters->counter[i].value = values[i];
	}
	values += layout->nr_counters;
	for (i = 0; i < layout->nr_gauges; i++) {
		name = next_name(&counters->gauge[i], name);
		counters->gauge[i].value = values[i];
		counters->gauge[i].peak = values[layout->nr_gauges + i];
	}
	return 0;
}

/* A process that has begun to write over itself must not lead us astray. */
static bool sane(const struct hs_stats_layout *layout)
{
	unsigned nr = layout->nr_counters + layout->nr_gauges, i, names = 0;

	if (layout->version != HS_STATS_VERSION ||
	    layout->nr_counters > COUNTERS_MAX ||
	    layout->nr_gauges > COUNTERS_MAX)
		return false;
	for (i = 0; i < sizeof(layout->names); i++)
		names += layout->names[i] == '\0';
	return names >= nr;
}

int counters_read(pid_t pid, struct counters *counters)
{
	struct library library = { .pid = pid, .name = counters->library };
	uint64_t values[3 * COUNTERS_MAX];
	struct hs_stats_layout layout;
	uintptr_t stats, where;
	int err;

	memset(counters, 0, sizeof(*counters));
	err = find_library(&library);
	if (!err)
		err = find_note(&library, &stats, &where);
	if (err)
		return err;
	err = peek(pid, where, &layout, sizeof(layout));
	if (err)
		return err;
	if (!sane(&layout))
		return -EPROTO;
	err = peek(pid, stats, values,
		   (layout.nr_counters + 2 * layout.nr_gauges) *
			   sizeof(values[0]));
	return err ? err : take(counters, &layout, values);
}

static uint64_t find(const struct counter *list, unsigned nr, const char *name)
{
	unsigned i;

	for (i = 0; i < nr; i++)
		if (!strcmp(list[i].name, name))
			return list[i].value;
	return 0;
}

uint64_t counters_get(const struct counters *counters, const char *name)
{
	return find(counters->counter, counters->nr_counters, name);
}

uint64_t counters_gauge(const struct counters *counters, const char *name)
{
	return find(counters->gauge, counters->nr_gauges, name);
}

static struct counter *gauge(struct counters *counters, const char *name)
{
	static struct counter none;
	unsigned i;

	for (i = 0; i < counters->nr_gauges; i++)
		if (!strcmp(counters->gauge[i].name, name))
			return &counters->gauge[i];
	memset(&none, 0, sizeof(none));
	return &none;
}

static void move(struct counter *lazy, struct counter *huge, uint64_t *unknown)
{
	uint64_t bytes = *unknown < lazy->value ? *unknown : lazy->value;

	lazy->value -= bytes;
	huge->value += bytes;
	if (huge->peak < huge->value)
		huge->peak = huge->value;
	*unknown -= bytes;
}

void counters_touched(struct counters *counters, uint64_t hugetlb_bytes)
{
	struct counter *heap = gauge(counters, "huge_bytes");
	struct counter *maps = gauge(counters, "mmap_huge_bytes");
	uint64_t known = heap->value + maps->value, unknown;

	if (hugetlb_bytes <= known)
		return;
	unknown = hugetlb_bytes - known;
	move(gauge(counters, "lazy_bytes"), heap, &unknown);
	move(gauge(counters, "mmap_lazy_bytes"), maps, &unknown);
}

/* The library counts fallbacks first, one counter a reason.  What the user
 * switched off is no shortage. */
uint64_t counters_fallbacks(const struct counters *counters)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < counters->nr_counters; i++) {
		if (!strncmp(counters->counter[i].name, "rescue", 6))
			break;
		if (strcmp(counters->counter[i].name, "config") != 0)
			sum += counters->counter[i].value;
	}
	return sum;
}

uint64_t counters_rescues(const struct counters *counters)
{
	return counters_get(counters, "rescue_cow") +
	       counters_get(counters, "rescue_touch");
}

/* Of pages that a fork shared, by the library. */
uint64_t counters_cow(const struct counters *counters)
{
	return counters_get(counters, "rescue_cow") +
	       counters_get(counters, "cow_copied");
}

const char *counters_text(const char *name)
{
	static const struct {
		const char *name, *text;
	} known[] = {
#define X(id, json, text) { json, text },
		HS_STATS_COUNTERS(X) HS_STATS_GAUGES(X)
#undef X
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, name))
			return known[i].text;
	return NULL;
}
