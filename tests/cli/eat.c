/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * eat MIB [fork | mmap MIB]: have so many MiB of heap in blocks of 64 KiB, all
 * written, and print what /proc says of this process then:
 *
 *   HugetlbPages KIB
 *   AnonHugePages KIB
 *   heap KIB               the kernel's page size in the last block
 *   map KIB                and in the middle of the mapping
 *
 * With "fork" a child does, while the parent still has its own; with "mmap"
 * there is a mapping of so many MiB besides, written by read(2) and a store.
 * Exit status 3: malloc failed with ENOMEM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)

static void print_field(const char *path, const char *field)
{
	FILE *file = fopen(path, "r");
	char line[256];

	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL)
		if (!strncmp(line, field, strlen(field)))
			printf("%s %ld\n", field,
			       strtol(line + strlen(field) + 1, NULL, 10));
	fclose(file);
}

/* KernelPageSize of the mapping that holds @p. */
static void print_page(const char *what, const void *p)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long from, to, here = 0;
	char line[256];

	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (unsigned long)p &&
			       (unsigned long)p < to;
		if (here && !strncmp(line, "KernelPageSize:", 15))
			printf("%s %ld\n", what, strtol(line + 15, NULL, 10));
	}
	fclose(file);
}

/* Written in every base page, the first by the kernel; NULL: no memory. */
static char *map(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int zero = open("/dev/zero", O_RDONLY);
	size_t i;

	if (p == MAP_FAILED || read(zero, p, 1) != 1)
		return NULL;
	close(zero);
	for (i = 0; i < len; i += 4096)
		p[i + 1] = (char)(i >> 12);
	return p;
}

static int check_map(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += 4096)
		if (p[i] != 0 || p[i + 1] != (char)(i >> 12))
			return 7;
	return 0;
}

int main(int argc, char **argv)
{
	size_t nr = (size_t)atoi(argc > 1 ? argv[1] : "1") * 16, i;
	char **blocks = calloc(nr, sizeof(*blocks)), *mapped = NULL;
	size_t len = argc > 3 ? (size_t)atoi(argv[3]) << 20 : 0;
	int status = 0;

	for (i = 0; blocks != NULL && i < nr; i++) {
		blocks[i] = malloc(BLOCK);
		if (blocks[i] == NULL)
			return errno == ENOMEM ? 3 : 4;
		memset(blocks[i], (int)i, BLOCK);
	}
	if (len != 0 && (mapped = map(len)) == NULL)
		return 8;
	if (argc == 3 && fork() > 0)
		return wait(&status) < 0 || status ? 5 : 0;
	print_field("/proc/self/status", "HugetlbPages");
	print_field("/proc/self/smaps_rollup", "AnonHugePages");
	if (nr != 0 && blocks != NULL)
		print_page("heap", blocks[nr - 1]);
	if (mapped != NULL)
		print_page("map", mapped + len / 2);
	for (i = 0; blocks != NULL && i < nr; i++)
		if (blocks[i][BLOCK - 1] != (char)i)
			return 6;
	return mapped != NULL ? check_map(mapped, len) : 0;
}
