/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 64 GiB, or as many as the second argument says, of which one base page in
 * 64 MiB is touched: no huge page before the first touch, at most one for each,
 * few kernel mappings, all given back.
 *
 *   vm_sparse mmap|calloc
 *   vm_sparse read	says "mapped", waits for a line, and reads a pipe into
 *			parts that nobody has touched
 *   vm_sparse wait	touches every 8th of the places, says "mapped", where
 *			and its process id, and waits for a line
 *   vm_sparse abort	likewise, and then aborts
 *   vm_sparse malloc	touches as many, then allocates and fills 32 MiB
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mman.h>
#include <sys/resource.h>

#include "../lib/hs_test.h"

#define GIB ((size_t)1 << 30)
#define STEP ((size_t)64 << 20)
/* Where in its step a touched page is: not at a slot's start. */
#define OFFSET 123 * 4096
#define FEW 64
#define READ_BYTES 4000
#define NR_READS 20

static size_t size = 64 * GIB;
static size_t nr;

static unsigned count_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	HS_T_CHECK(file != NULL);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

static char *map(void)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	HS_T_CHECK(p != MAP_FAILED);
	return p;
}

static void touch(char *p, size_t every)
{
	for (size_t i = 0; i < nr; i += every)
		memcpy(p + i * STEP + OFFSET, &i, sizeof(i));
}

static void verify(const char *p, size_t every)
{
	for (size_t i = 0; i < nr; i += every) {
		size_t got;

		memcpy(&got, p + i * STEP + OFFSET, sizeof(got));
		HS_T_CHECK(got == i, "place %zu holds %zu", i, got);
		HS_T_CHECK(p[i * STEP + OFFSET + sizeof(got)] == 0 &&
				   p[i * STEP + OFFSET - 4096] == 0,
			   "not zero near place %zu", i);
	}
}

static void sparse(bool by_calloc)
{
	long long slot = (long long)hs_t_huge_bytes(), huge, before;
	unsigned maps = count_maps();
	char *p;

	before = hs_t_hugetlb_bytes(0);
	p = by_calloc ? calloc(1, size) : map();
	HS_T_CHECK(p != NULL);
	huge = hs_t_hugetlb_bytes(0) - before;
	HS_T_CHECK(huge <= slot, "%lld bytes before a touch", huge);
	maps = count_maps() - maps;
	HS_T_CHECK(maps <= FEW, "%u kernel mappings", maps);
	touch(p, 1);
	huge = hs_t_hugetlb_bytes(0) - before;
	HS_T_CHECK(huge <= (long long)(nr + 1) * slot,
		   "%lld huge pages for %zu touches", huge / slot, nr);
	printf("huge %lld of %zu, maps %u\n", huge / slot, nr, maps);
	verify(p, 1);
	if (by_calloc)
		free(p);
	else
		HS_T_CHECK(munmap(p, size) == 0);
	huge = hs_t_hugetlb_bytes(0) - before;
	HS_T_CHECK(by_calloc || huge == 0, "%lld bytes kept", huge);
}

static void wait_for_line(const char *p)
{
	char c;

	printf("mapped %p %d\n", (const void *)p, (int)getpid());
	fflush(stdout);
	HS_T_CHECK(read(0, &c, 1) == 1);
}

static void read_into(void)
{
	char out[READ_BYTES], *p = map();
	int fd[2];

	wait_for_line(p);
	HS_T_CHECK(pipe(fd) == 0);
	for (size_t i = 0; i < NR_READS; i++) {
		char *at = p + i * (size / NR_READS) / 4096 * 4096 + OFFSET;

		hs_t_fill(out, sizeof(out), i);
		HS_T_CHECK(write(fd[1], out, sizeof(out)) == READ_BYTES);
		HS_T_CHECK(read(fd[0], at, READ_BYTES) == READ_BYTES,
			   "place %zu", i);
		HS_T_CHECK(hs_t_verify(at, READ_BYTES, i) == -1,
			   "place %zu", i);
	}
}

static void fill_heap(void)
{
	char *p = map(), *block[32];

	touch(p, 8);
	for (size_t i = 0; i < 32; i++) {
		block[i] = malloc(1 << 20);
		HS_T_CHECK(block[i] != NULL);
		hs_t_fill(block[i], 1 << 20, i);
	}
	for (size_t i = 0; i < 32; i++)
		HS_T_CHECK(hs_t_verify(block[i], 1 << 20, i) == -1);
	verify(p, 8);
	/* What became base pages is as good as what did not. */
	touch(p, 1);
	verify(p, 1);
}

int main(int argc, char **argv)
{
	struct rlimit no_limit = { RLIM_INFINITY, RLIM_INFINITY };
	const char *what = argc > 1 ? argv[1] : "mmap";
	char *p;

	if (argc > 2)
		size = strtoul(argv[2], NULL, 10) * GIB;
	nr = size / STEP;
	if (strcmp(what, "mmap") == 0 || strcmp(what, "calloc") == 0) {
		sparse(*what == 'c');
	} else if (strcmp(what, "read") == 0) {
		read_into();
	} else if (strcmp(what, "malloc") == 0) {
		fill_heap();
	} else {
		p = map();
		touch(p, 8);
		wait_for_line(p);
		if (strcmp(what, "abort") == 0) {
			HS_T_CHECK(setrlimit(RLIMIT_CORE, &no_limit) == 0);
			abort();
		}
	}
	return 0;
}
