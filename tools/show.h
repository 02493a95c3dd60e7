/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * show.h - how numbers and tables look: units, colour, JSON text.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_SHOW_H
#define HS_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SHOW_BYTES_MAX 24

/* Colours mean page sizes, everywhere the same. */
enum show_colour {
	SHOW_PLAIN,
	SHOW_BOLD,
	SHOW_DIM,
	SHOW_GIANT, /* 1 GiB pages and the like */
	SHOW_HUGE,  /* hugetlb */
	SHOW_THP,
	SHOW_BASE,
	SHOW_WARN,
};

/* Colour is for terminals that have it: not for files, not with NO_COLOR. */
bool show_has_colour(FILE *file);
/* The sequence that switches to @colour, or "". */
const char *show_colour(enum show_colour colour);

/* "1.5 GiB", "12 KiB", "0" into @buf, which is returned. */
const char *show_bytes(uint64_t bytes, char buf[SHOW_BYTES_MAX]);
/* A page size without blank or fraction: "2M", "1G". */
const char *show_page(uint64_t bytes, char buf[SHOW_BYTES_MAX]);
/* In percent; 0 of 0 is 0. */
double show_percent(uint64_t part, uint64_t whole);

/* @text between double quotes, as JSON has it. */
void show_json_text(FILE *file, const char *text);
/* What a terminal or a table could not bear becomes "?". */
void show_clean(char *text);

#endif
