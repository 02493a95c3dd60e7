/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The differences that libhugeshim(7) lists as impossible to hide, each still
 * true: "differences bare" or "differences shim" says which side is expected.
 * If one no longer holds, the page has to change.
 */
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/lib/hs_test.h"

#define MIB ((size_t)1 << 20)
#define BLOCK (64 * 1024)
#define NR_BLOCKS 512 /* 32 MiB */
#define LARGE (16 * MIB)
#define HUGE (2 * MIB)

static bool shim;
static char *blocks[NR_BLOCKS];

/* A field of a file in /proc, in KiB; -1 when it is not there. */
static long field(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[256];
	long value = -1;

	HS_T_CHECK(file != NULL, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name), NULL, 10);
	fclose(file);
	return value;
}

static long status(const char *name)
{
	return field("/proc/self/status", name);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* "leave out huge pages"; "counts fewer page faults"; "sbrk does not move" */
static void fill_the_heap(void)
{
	long rss = status("VmRSS:"), faults = minor_faults();
	char *end = sbrk(0);
	int i;

	for (i = 0; i < NR_BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		HS_T_CHECK(blocks[i] != NULL);
		memset(blocks[i], i, BLOCK);
	}
	faults = minor_faults() - faults;
	rss = status("VmRSS:") - rss;
	if (shim) {
		HS_T_CHECK(rss < 8 * 1024, "VmRSS grew by %ld kB", rss);
		HS_T_CHECK(status("HugetlbPages:") >= 28 * 1024);
		HS_T_CHECK(faults < 2000, "%ld faults", faults);
		HS_T_CHECK(end == sbrk(0));
	} else {
		HS_T_CHECK(rss >= 30 * 1024, "VmRSS grew by %ld kB", rss);
		HS_T_CHECK(faults >= 8000, "%ld faults", faults);
		HS_T_CHECK(end != sbrk(0));
	}
}

/* "VmSize includes the address space that the heap is laid out in" */
static void address_space(void)
{
	long total = field("/proc/meminfo", "MemTotal:");

	HS_T_CHECK((status("VmSize:") > total) == shim,
		   "VmSize %ld, memory %ld", status("VmSize:"), total);
}

/* "mincore shows whole huge pages as present": also what nobody touched. */
static void residency(void)
{
	static unsigned char present[LARGE / 4096];
	size_t i, nr = 0;
	char *p = malloc(LARGE);

	HS_T_CHECK(p != NULL);
	p = (char *)(((uintptr_t)p + 4095) & ~(uintptr_t)4095);
	HS_T_CHECK(mincore(p, LARGE - 4096, present) == 0);
	for (i = 0; i < (LARGE - 4096) / 4096; i++)
		nr += present[i] & 1;
	if (shim)
		HS_T_CHECK(nr == (LARGE - 4096) / 4096, "%zu present", nr);
	else
		HS_T_CHECK(nr < 16, "%zu present", nr);
}

/* "The first write after a fork copies 2 MiB": of 3 writes, 3 huge pages. */
static void copies(void)
{
	long before, after;
	char *p = aligned_alloc(HUGE, 3 * HUGE), byte;
	int hold[2], i;
	pid_t pid;

	HS_T_CHECK(p != NULL && pipe(hold) == 0);
	memset(p, 1, 3 * HUGE);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		close(hold[1]);
		HS_T_CHILD(read(hold[0], &byte, 1) == 0, 1);
		_exit(0);
	}
	before = field("/proc/meminfo", "HugePages_Free:");
	for (i = 0; i < 3; i++)
		p[(size_t)i * HUGE] = 2;
	after = field("/proc/meminfo", "HugePages_Free:");
	HS_T_CHECK(before - after == (shim ? 3 : 0), "%ld pages taken",
		   before - after);
	close(hold[0]);
	close(hold[1]);
	HS_T_WAIT_OK(pid);
}

int main(int argc, char **argv)
{
	shim = argc > 1 && !strcmp(argv[1], "shim");
	fill_the_heap();
	address_space();
	residency();
	copies();
	return 0;
}
