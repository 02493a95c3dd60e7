/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An allocator that maps KIB at a time: contents stay as the mappings become
 * transparent huge pages, whichever of them go again.  Says how many bytes of
 * them are huge.
 *
 *   vm_small KIB
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mman.h>

#include "../lib/hs_test.h"

#define TOTAL ((size_t)64 << 20)
#define NR_MAX (TOTAL >> 18)

static char *part[NR_MAX];

static unsigned long huge_kib(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	unsigned long kib = 0;
	char line[128];

	HS_T_CHECK(file != NULL);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			break;
	fclose(file);
	return kib;
}

int main(int argc, char **argv)
{
	size_t size = strtoul(argc > 1 ? argv[1] : "1024", NULL, 10) << 10;
	size_t nr = TOTAL / size;

	HS_T_CHECK(nr >= 1 && nr <= NR_MAX);
	for (size_t i = 0; i < nr; i++) {
		part[i] = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		HS_T_CHECK(part[i] != MAP_FAILED);
		for (size_t at = 0; at < size; at += 4096)
			HS_T_CHECK(part[i][at] == 0, "part %zu is not new", i);
		hs_t_fill(part[i], size, i);
	}
	printf("%lu\n", huge_kib() << 10);
	for (size_t i = 1; i < nr; i += 3)
		HS_T_CHECK(munmap(part[i], size) == 0);
	for (size_t i = 2; i < nr; i += 3)
		HS_T_CHECK(mprotect(part[i], 4096, PROT_READ) == 0);
	for (size_t i = 0; i < nr; i++)
		HS_T_CHECK(i % 3 == 1 || hs_t_verify(part[i], size, i) == -1,
			   "part %zu", i);
	return 0;
}
