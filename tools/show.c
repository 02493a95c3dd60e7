/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "show.h"

bool show_has_colour(FILE *file)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (no != NULL && *no != '\0')
		return false;
	if (term == NULL || !strcmp(term, "dumb"))
		return false;
	return isatty(fileno(file));
}

const char *show_colour(enum show_colour colour)
{
	static const char *const sequence[] = {
		[SHOW_PLAIN] = "\033[0m", [SHOW_BOLD] = "\033[1m",
		[SHOW_DIM] = "\033[2m",   [SHOW_GIANT] = "\033[35m",
		[SHOW_HUGE] = "\033[32m", [SHOW_THP] = "\033[36m",
		[SHOW_BASE] = "\033[33m", [SHOW_WARN] = "\033[31m",
	};
	static int has = -1;

	if (has < 0)
		has = show_has_colour(stdout);
	return has ? sequence[colour] : "";
}

const char *show_bytes(uint64_t bytes, char buf[SHOW_BYTES_MAX])
{
	static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	if (bytes == 0) {
		memcpy(buf, "0", 2);
		return buf;
	}
	/* 1023.96 would be shown as 1024.0 */
	while (value >= 1023.95 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, SHOW_BYTES_MAX, unit < 2 ? "%.0f %s" : "%.1f %s", value,
		 units[unit]);
	return buf;
}

const char *show_page(uint64_t bytes, char buf[SHOW_BYTES_MAX])
{
	static const char units[] = "BKMGT";
	unsigned unit = 0;

	while (bytes >= 1024 && bytes % 1024 == 0 && unit < 4) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, SHOW_BYTES_MAX, "%llu%c", (unsigned long long)bytes,
		 units[unit]);
	return buf;
}

double show_percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

void show_json_text(FILE *file, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	putc('"', file);
	for (; *p != '\0'; p++)
		if (*p == '"' || *p == '\\')
			fprintf(file, "\\%c", *p);
		else if (*p < ' ' || *p > 126)
			fprintf(file, "\\u%04x", *p);
		else
			putc(*p, file);
	putc('"', file);
}

void show_clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > 126)
			*text = '?';
}
