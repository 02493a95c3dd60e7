/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double scale = 1;
uint64_t check;
static long peak_huge_kib;

static double clock_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

struct moment now(void)
{
	return (struct moment){
		.wall_s = clock_s(CLOCK_MONOTONIC),
		.cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID),
	};
}

/* A field of /proc/self/status in KiB, 0 where it has none. */
static long status_kib(const char *field)
{
	char line[256];
	long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			kib = strtol(line + strlen(field) + 1, NULL, 10);
	fclose(file);
	return kib;
}

void look_at_memory(void)
{
	long huge_kib = status_kib("HugetlbPages");

	if (huge_kib > peak_huge_kib)
		peak_huge_kib = huge_kib;
}

long resident_kib(void)
{
	return status_kib("VmRSS") + status_kib("HugetlbPages");
}

void phase_end(const char *name, struct moment start)
{
	struct moment end = now();

	look_at_memory();
	printf("phase %s %.6f %.6f\n", name, end.wall_s - start.wall_s,
	       end.cpu_s - start.cpu_s);
}

size_t scaled(double n)
{
	return n * scale < 1 ? 1 : (size_t)(n * scale);
}

void die(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(2);
}

void *need(void *p)
{
	if (!p)
		die("allocation");
	return p;
}

static int usage(const struct workload *list)
{
	fprintf(stderr, "usage: PROGRAM NAME [SCALE], with one of");
	for (; list->name; list++)
		fprintf(stderr, " %s", list->name);
	fprintf(stderr, "\n");
	return 2;
}

int run_named(const struct workload *list, int argc, char **argv)
{
	const struct workload *chosen = list;

	while (chosen->name && (argc < 2 || strcmp(argv[1], chosen->name)))
		chosen++;
	if (!chosen->name)
		return usage(list);
	if (argc > 2)
		scale = strtod(argv[2], NULL);
	chosen->run();
	printf("peak %ld %ld\n", status_kib("VmHWM"), peak_huge_kib);
	printf("check %" PRIu64 "\n", check);
	return 0;
}
