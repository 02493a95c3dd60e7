/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hugectl map: where in a process's address space its huge pages are. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "map.h"
#include "say.h"
#include "show.h"
#include "subcommand.h"

/* Emptiness that ends an area. */
#define GAP ((uintptr_t)64 << 20)

const char *map_kind_name(enum map_kind kind)
{
	static const char *const names[] = {
		[MAP_GIANT] = "giant pages (hugetlb)",
		[MAP_HUGE] = "huge pages (hugetlb)",
		[MAP_THP] = "transparent huge pages",
		[MAP_BASE] = "base pages",
		[MAP_OTHER] = "files, shared memory",
	};

	return names[kind];
}

static void measure(const struct map *map, const struct mapping *m,
		    uint64_t bytes[MAP_KINDS])
{
	memset(bytes, 0, MAP_KINDS * sizeof(bytes[0]));
	bytes[m->page_bytes > map->huge_page ? MAP_GIANT : MAP_HUGE] =
		m->hugetlb;
	bytes[MAP_THP] = m->anon_thp + m->other_thp;
	bytes[MAP_BASE] = m->anon - m->anon_thp;
	if (m->rss > m->anon + m->other_thp)
		bytes[MAP_OTHER] = m->rss - m->anon - m->other_thp;
}

static void *grown(void *list, unsigned nr, unsigned *room, size_t size)
{
	if (nr < *room)
		return list;
	*room = *room * 2 + 64;
	return must(realloc(list, *room * size));
}

static void add(uint64_t to[MAP_KINDS], const uint64_t bytes[MAP_KINDS])
{
	unsigned i;

	for (i = 0; i < MAP_KINDS; i++)
		to[i] += bytes[i];
}

static struct map_area *area_for(struct map *map, const struct mapping *m)
{
	struct map_area *area = map->area + map->nr_areas - 1;

	if (map->nr_areas > 0 && m->from - area->to < GAP) {
		area->to = m->to;
		return area;
	}
	map->area = grown(map->area, map->nr_areas, &map->room_areas,
			  sizeof(*map->area));
	area = map->area + map->nr_areas++;
	memset(area, 0, sizeof(*area));
	area->from = m->from;
	area->to = m->to;
	area->first = map->nr_parts;
	return area;
}

/* Address space without memory is no part of the picture. */
static bool take(const struct mapping *m, void *arg)
{
	uint64_t bytes[MAP_KINDS], sum = 0;
	struct map *map = arg;
	struct map_area *area;
	struct map_part *part;
	unsigned i;
	char *gone;

	measure(map, m, bytes);
	for (i = 0; i < MAP_KINDS; i++)
		sum += bytes[i];
	if (sum == 0)
		return true;
	area = area_for(map, m);
	area->nr_mappings++;
	area->nr++;
	add(area->bytes, bytes);
	add(map->bytes, bytes);
	if (sum > area->name_bytes) {
		area->name_bytes = sum;
		snprintf(area->name, sizeof(area->name), "%.63s",
			 strrchr(m->name, '/') != NULL
				 ? strrchr(m->name, '/') + 1
				 : m->name);
		show_clean(area->name);
		gone = strstr(area->name, " (deleted)");
		if (gone != NULL) /* as all of the kernel's own are */
			*gone = '\0';
		if (*area->name == '\0')
			snprintf(area->name, sizeof(area->name), "anonymous");
	}
	map->part = grown(map->part, map->nr_parts, &map->room_parts,
			  sizeof(*map->part));
	part = map->part + map->nr_parts++;
	part->from = m->from;
	part->to = m->to;
	memcpy(part->bytes, bytes, sizeof(bytes));
	return true;
}

void map_cell(const struct map *map, const struct map_area *area,
	      uintptr_t from, uintptr_t to, double bytes[MAP_KINDS])
{
	const struct map_part *part = map->part + area->first;
	const struct map_part *end = part + area->nr;
	uintptr_t low, high;
	unsigned i;

	for (i = 0; i < MAP_KINDS; i++)
		bytes[i] = 0;
	for (; part < end; part++) {
		low = part->from > from ? part->from : from;
		high = part->to < to ? part->to : to;
		if (low >= high)
			continue;
		for (i = 0; i < MAP_KINDS; i++)
			bytes[i] += (double)part->bytes[i] *
				    ((double)(high - low) /
				     (double)(part->to - part->from));
	}
}

/* --- text ---------------------------------------------------------------- */

static const char *const marks[] = { "#", "=", "-", ".", "," };
static const enum show_colour colours[] = { SHOW_GIANT, SHOW_HUGE, SHOW_THP,
					    SHOW_BASE, SHOW_PLAIN };

static unsigned width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 80)
		return size.ws_col > 200 ? 140 : size.ws_col - 60U;
	return 40;
}

/* A cell is of the kind that most of it is, and empty below an eighth. */
static void print_cell(const double bytes[MAP_KINDS], double size)
{
	unsigned i, most = 0;
	double sum = 0;

	for (i = 0; i < MAP_KINDS; i++) {
		sum += bytes[i];
		if (bytes[i] > bytes[most])
			most = i;
	}
	if (sum < size / 8)
		putchar(' ');
	else
		printf("%s%s%s", show_colour(colours[most]), marks[most],
		       show_colour(SHOW_PLAIN));
}

static uint64_t sum_of(const uint64_t bytes[MAP_KINDS])
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < MAP_KINDS; i++)
		sum += bytes[i];
	return sum;
}

/* No cell is smaller than a huge page, so that small areas have short bars. */
static void print_area(const struct map *map, const struct map_area *area,
		       unsigned cells)
{
	uintptr_t size = area->to - area->from, cell = size / cells + 1, from;
	char span[SHOW_BYTES_MAX], has[SHOW_BYTES_MAX];
	double bytes[MAP_KINDS];
	unsigned i;

	if (cell < map->huge_page)
		cell = map->huge_page;
	printf("%014lx %10s %10s |", area->from, show_bytes(size, span),
	       show_bytes(sum_of(area->bytes), has));
	for (i = 0, from = area->from; i < cells; i++, from += cell) {
		if (from >= area->to) {
			putchar(' ');
			continue;
		}
		map_cell(map, area, from, from + cell, bytes);
		print_cell(bytes,
			   (double)(area->to - from < cell ? area->to - from
							   : cell));
	}
	printf("| %.20s\n", area->name);
}

static void print_legend(const struct map *map)
{
	char text[SHOW_BYTES_MAX];
	uint64_t whole = sum_of(map->bytes);
	unsigned i;

	for (i = 0; i < MAP_KINDS; i++)
		if (map->bytes[i] != 0)
			printf("  %s%s%s %-24s%12s%8.1f %%\n",
			       show_colour(colours[i]), marks[i],
			       show_colour(SHOW_PLAIN),
			       map_kind_name((enum map_kind)i),
			       show_bytes(map->bytes[i], text),
			       show_percent(map->bytes[i], whole));
}

static void print_text(const struct map *map)
{
	unsigned i, cells = width();

	printf("%s%s%s, PID %d\n", show_colour(SHOW_BOLD), map->process.name,
	       show_colour(SHOW_PLAIN), map->process.pid);
	print_legend(map);
	printf("\n%s%-14s %10s %10s  %-*s  %s%s\n", show_colour(SHOW_DIM),
	       "address", "span", "memory", (int)cells, "", "most of it",
	       show_colour(SHOW_PLAIN));
	for (i = 0; i < map->nr_areas; i++)
		print_area(map, &map->area[i], cells);
}

static int write_to(const struct map *map, FILE *file, const char *path)
{
	if (file == NULL)
		fail("map: %s: %s", path, strerror(errno));
	map_svg(map, file);
	if (fflush(file) || ferror(file)) {
		say("map: %s: %s", path, strerror(errno));
		fclose(file);
		return STATUS_OWN;
	}
	fclose(file);
	return 0;
}

/* A file whole or not at all: written beside, then renamed.  A pipe or device
 * stays what it is. */
static int write_svg(const struct map *map, const char *path)
{
	char temporary[PATH_MAX];
	struct stat st;
	int status;

	if (!strcmp(path, "-"))
		return write_to(map, stdout, "standard output");
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_to(map, fopen(path, "we"), path);
	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >=
	    (int)sizeof(temporary))
		fail("map: %.40s...: %s", path, strerror(ENAMETOOLONG));
	status = write_to(map, fopen(temporary, "wxe"), temporary);
	if (status == 0 && rename(temporary, path) == 0)
		return 0;
	if (status == 0)
		say("map: %s: %s", path, strerror(errno));
	unlink(temporary);
	return STATUS_OWN;
}

static void print_help(void)
{
	printf("Usage: hugectl map [--svg=FILE] PID\n"
	       "Show where in a process's address space its huge pages are.\n\n"
	       "  --svg=FILE  draw it into FILE (-: standard output)\n"
	       "  --help      this text\n");
}

static const char *why(int err)
{
	return strerror(err == -EACCES || err == -EPERM ? EACCES : -err);
}

int map_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "svg", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct map map;
	const char *svg = NULL;
	int option, err;
	pid_t pid;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return end_output();
		}
		if (option != 's')
			return STATUS_OWN;
		svg = optarg;
	}
	if (svg != NULL && *svg == '\0')
		fail("map: --svg: '' is not a file");
	if (optind + 1 != argc)
		fail("map: of which process? see hugectl map --help");
	pid = process_must(argv[optind], &map.process);
	map.huge_page = kernel_thp_page();
	err = process_mappings(pid, take, &map);
	if (err)
		fail("map: %d: %s", pid, why(err));
	if (map.nr_areas == 0)
		fail("map: %d has no memory of its own", pid);
	if (svg != NULL)
		return write_svg(&map, svg);
	print_text(&map);
	return end_output();
}
