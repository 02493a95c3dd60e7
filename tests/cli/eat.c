/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * eat MIB [fork]: have so many MiB of heap in blocks of 64 KiB, all written,
 * and print what /proc says of this process then:
 *
 *   HugetlbPages KIB
 *   AnonHugePages KIB
 *
 * With "fork" a child does, while the parent still has its own.  Exit status 3:
 * malloc failed with ENOMEM.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int main(int argc, char **argv)
{
	size_t nr = (size_t)atoi(argc > 1 ? argv[1] : "1") * 16, i;
	char **blocks = calloc(nr, sizeof(*blocks));
	int status = 0;

	for (i = 0; blocks != NULL && i < nr; i++) {
		blocks[i] = malloc(BLOCK);
		if (blocks[i] == NULL)
			return errno == ENOMEM ? 3 : 4;
		memset(blocks[i], (int)i, BLOCK);
	}
	if (argc > 2 && fork() > 0)
		return wait(&status) < 0 || status ? 5 : 0;
	print_field("/proc/self/status", "HugetlbPages");
	print_field("/proc/self/smaps_rollup", "AnonHugePages");
	for (i = 0; blocks != NULL && i < nr; i++)
		if (blocks[i][BLOCK - 1] != (char)i)
			return 6;
	return 0;
}
