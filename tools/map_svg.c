/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture of hugectl map as SVG: one row of cells an area. */
#include "map.h"
#include "show.h"

enum {
	WIDTH = 960,
	MARGIN = 20,
	TOP = 96,
	ROW = 34,
	BAR = 16,
	BAR_LEFT = 20,
	BAR_WIDTH = WIDTH - 2 * BAR_LEFT,
	CELLS = 184, /* of five units */
	LEAST = 3,   /* so much of a bar is drawn of the smallest area */
};

/* Told apart by those who do not see colours, too: by lightness. */
static const char *const fill[] = { "#6a1b9a", "#1b7837", "#41b6c4", "#fdae61",
				    "#cccccc" };

static void text(FILE *file, int x, int y, const char *anchor,
		 const char *style, const char *what)
{
	fprintf(file,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" class=\"%s\">", x,
		y, anchor, style);
	for (; *what != '\0'; what++)
		if (*what == '<' || *what == '&' || *what == '>')
			fprintf(file, "&#%d;", *what);
		else
			putc(*what, file);
	fputs("</text>\n", file);
}

static void rect(FILE *file, double x, int y, double w, int h,
		 const char *colour)
{
	fprintf(file,
		"<rect x=\"%.1f\" y=\"%d\" width=\"%.2f\" height=\"%d\" "
		"fill=\"%s\"/>\n",
		x, y, w, h, colour);
}

static void head(const struct map *map, FILE *file)
{
	int height = TOP + (int)map->nr_areas * ROW + MARGIN;
	char title[96];

	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" viewBox=\"0 0 %d %d\">\n"
		"<style>text{font-family:sans-serif;fill:#222}"
		".t{font-size:18px;font-weight:bold}.l{font-size:12px}"
		".a{font-size:11px;font-family:monospace}</style>\n",
		WIDTH, height, WIDTH, height);
	rect(file, 0, 0, WIDTH, height, "#ffffff");
	snprintf(title, sizeof(title), "%s, PID %d: memory by page size",
		 map->process.name, map->process.pid);
	text(file, MARGIN, 30, "start", "t", title);
}

static void legend(const struct map *map, FILE *file)
{
	char bytes[SHOW_BYTES_MAX], line[96];
	uint64_t whole = 0;
	int x = MARGIN, y = 46, nr = 0;
	unsigned i;

	for (i = 0; i < MAP_KINDS; i++)
		whole += map->bytes[i];
	for (i = 0; i < MAP_KINDS; i++) {
		if (map->bytes[i] == 0)
			continue;
		rect(file, x, y, 12, 12, fill[i]);
		snprintf(line, sizeof(line), "%s: %s (%.1f %%)",
			 map_kind_name((enum map_kind)i),
			 show_bytes(map->bytes[i], bytes),
			 show_percent(map->bytes[i], whole));
		text(file, x + 18, y + 11, "start", "l", line);
		x += 310;
		if (++nr % 3 == 0) {
			x = MARGIN;
			y += 20;
		}
	}
}

/* A cell's kinds lie above each other, so nothing small gets lost. */
static void cell(FILE *file, double x, int y, double w,
		 const double bytes[MAP_KINDS], double size)
{
	double from = y + BAR, height;
	unsigned i;

	for (i = 0; i < MAP_KINDS; i++) {
		height = bytes[i] * BAR / size;
		if (height < 0.05)
			continue;
		from -= height;
		fprintf(file,
			"<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
			"height=\"%.2f\" fill=\"%s\"/>\n",
			x, from, w, height, fill[i]);
	}
}

static void area(const struct map *map, const struct map_area *a, FILE *file,
		 int y)
{
	uintptr_t size = a->to - a->from, step = size / CELLS + 1, from;
	double w = (double)BAR_WIDTH / CELLS, x = BAR_LEFT, bytes[MAP_KINDS];
	char line[160], span[SHOW_BYTES_MAX];
	double length;

	snprintf(line, sizeof(line), "%lx  %s  %s", a->from,
		 show_bytes(size, span), a->name);
	text(file, BAR_LEFT, y + 10, "start", "a", line);
	if (step < map->huge_page)
		step = map->huge_page;
	length = (double)size / (double)step * w;
	if (length < LEAST) {
		w *= LEAST / length; /* one cell, which would not be seen */
		length = LEAST;
	}
	rect(file, x, y + 14, length, BAR, "#f0f0f0");
	for (from = a->from; from < a->to; from += step, x += w) {
		uintptr_t to = a->to - from < step ? a->to : from + step;

		map_cell(map, a, from, to, bytes);
		cell(file, x, y + 14, w * (double)(to - from) / (double)step,
		     bytes, (double)(to - from));
	}
}

void map_svg(const struct map *map, FILE *file)
{
	unsigned i;

	head(map, file);
	legend(map, file);
	for (i = 0; i < map->nr_areas; i++)
		area(map, &map->area[i], file, TOP + (int)i * ROW);
	fputs("</svg>\n", file);
}
