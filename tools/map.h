/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map.h - a picture of an address space by page size.
 *
 * Mappings that lie close together make an area; the emptiness between areas is
 * left out.  An area is divided into cells of equal size, and each cell says
 * how much of it is on pages of which kind.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_MAP_H
#define HS_MAP_H

#include <stdint.h>
#include <stdio.h>

#include "process.h"

enum map_kind {
	MAP_GIANT, /* pages larger than the default huge page */
	MAP_HUGE,
	MAP_THP,
	MAP_BASE,
	MAP_OTHER, /* files and shared memory on base pages */
	MAP_KINDS
};

struct map_area {
	uintptr_t from, to;
	uint64_t bytes[MAP_KINDS];
	unsigned first, nr; /* of map->part */
	unsigned nr_mappings;
	char name[64]; /* of the mapping with most memory */
	uint64_t name_bytes;
};

/* Neighbouring mappings of one make. */
struct map_part {
	uintptr_t from, to;
	uint64_t bytes[MAP_KINDS];
};

struct map {
	struct process process;
	struct map_area *area;
	struct map_part *part;
	unsigned nr_areas, nr_parts, room_areas, room_parts;
	uint64_t bytes[MAP_KINDS];
	uint64_t huge_page;
};

/* What of [@from, @to) of the area is of which kind. */
void map_cell(const struct map *map, const struct map_area *area,
	      uintptr_t from, uintptr_t to, double bytes[MAP_KINDS]);
const char *map_kind_name(enum map_kind kind);

/* The picture as SVG. */
void map_svg(const struct map *map, FILE *file);

#endif
