/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugetlbfs.c - every call of libhugetlbfs's interface, and what it answers, a
 * line each.  A script runs it with libhugetlbfs and with libhugealloc and
 * wants the same lines.  Written for libhugetlbfs's header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hugetlbfs.h>

#define NR 8
#define MIB ((size_t)1 << 20)

static const char *why(int failed)
{
	return failed ? strerrorname_np(errno) : "ok";
}

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* In which order others than the first come is left open. */
static void show_sizes(const char *name, int (*fn)(long[], int), int n,
		       int first)
{
	long sizes[NR + 1] = { 0 };
	int nr;

	errno = 0;
	nr = fn(sizes, n);
	printf("%s(%d) = %d %s:", name, n, nr, why(nr < 0));
	if (nr > first)
		qsort(sizes + first, (size_t)(nr - first), sizeof(sizes[0]),
		      ascending);
	for (int i = 0; i < nr; i++)
		printf(" %ld", sizes[i]);
	printf(", behind %ld\n", nr < 0 ? sizes[0] : sizes[nr]);
}

static void sizes(void)
{
	long size;
	int nr;

	errno = 0;
	size = gethugepagesize();
	printf("gethugepagesize = %ld %s\n", size, why(size < 0));
	for (int n = -1; n <= 1; n++)
		show_sizes("gethugepagesizes", gethugepagesizes, n, 1);
	show_sizes("gethugepagesizes", gethugepagesizes, NR, 1);
	for (int n = -1; n <= 2; n++)
		show_sizes("getpagesizes", getpagesizes, n, 2);
	show_sizes("getpagesizes", getpagesizes, NR, 2);
	nr = gethugepagesizes(NULL, 0);
	printf("gethugepagesizes(NULL, 0) = %d\n", nr);
	nr = gethugepagesizes(NULL, 1);
	printf("gethugepagesizes(NULL, 1) = %d %s\n", nr, why(nr < 0));
	nr = getpagesizes(NULL, 0);
	printf("getpagesizes(NULL, 0) = %d\n", nr);
	nr = getpagesizes(NULL, 1);
	printf("getpagesizes(NULL, 1) = %d %s\n", nr, why(nr < 0));
}

static void show_path(const char *what, const char *path)
{
	printf("%s = %s\n", what, path ? path : "NULL");
}

static void paths(char **tested)
{
	static const long size[] = { 2 << 20, 1 << 30, 4096, 0, -1 };
	char what[64];

	for (; *tested; tested++) {
		int ret = hugetlbfs_test_path(*tested);

		printf("test_path %s = %d %s\n", *tested, ret, why(ret < 0));
	}
	show_path("find_path", hugetlbfs_find_path());
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		snprintf(what, sizeof(what), "find_path_for_size %ld", size[i]);
		show_path(what, hugetlbfs_find_path_for_size(size[i]));
	}
}

static void show_file(const char *what, int fd)
{
	struct statfs fs;
	struct stat st;

	if (fd < 0) {
		printf("%s = %d\n", what, fd);
		return;
	}
	if (fstatfs(fd, &fs) || fstat(fd, &st))
		exit(1);
	printf("%s: type %lx, pages of %ld, %d names, mode %o, %ld bytes, "
	       "flags %o, descriptor's %o\n",
	       what, (unsigned long)fs.f_type, (long)fs.f_bsize,
	       (int)st.st_nlink, st.st_mode, (long)st.st_size,
	       (unsigned)fcntl(fd, F_GETFL), (unsigned)fcntl(fd, F_GETFD));
	close(fd);
}

/* MiB on huge pages. */
static int huge(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[128];
	int kib = 0;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "HugetlbPages: %d kB", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib / 1024;
}

/* All of it can be written, and was zero. */
static const char *usable(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 512) {
		if (p[i])
			return "dirty";
		p[i] = 1;
	}
	return "zeroed";
}

static void pages(size_t len)
{
	char *p;

	errno = 0;
	p = get_huge_pages(len, GHP_DEFAULT);
	printf("get_huge_pages(%zu) = %s", len, p ? "memory" : why(1));
	if (p)
		printf(", aligned %d, %s",
		       (uintptr_t)p % (2 * MIB) == 0, usable(p, len));
	printf(", %d MiB huge", huge());
	free_huge_pages(p);
	printf(", freed: %d MiB\n", huge());
}

static void region(size_t len, ghr_t flags)
{
	size_t off;
	char *p;

	errno = 0;
	p = get_hugepage_region(len, flags);
	off = (uintptr_t)p % 4096;
	printf("get_hugepage_region(%zu, %lx) = %s", len, flags,
	       p ? "memory" : why(1));
	if (p)
		printf(", cache line %d, at a page's start or coloured %d, %s",
		       off % 64 == 0, off == 0 || (flags & GHR_COLOR) != 0,
		       usable(p, len));
	printf(", %d MiB huge", huge());
	free_hugepage_region(p);
	printf(", freed: %d MiB\n", huge());
}

static void memory(void)
{
	static const ghr_t flags[] = { GHR_STRICT, GHR_FALLBACK,
				       GHR_STRICT | GHR_COLOR, GHR_DEFAULT };
	static const size_t sizes[] = { 2 * MIB, 4 * MIB, 16 * MIB, 64 * MIB,
					100, 3 * MIB + 5 };
	size_t nr = sizeof(sizes) / sizeof(sizes[0]);

	for (size_t i = 0; i < nr; i++)
		pages(sizes[i]);
	for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++)
		for (size_t i = 0; i < nr; i++)
			region(sizes[i], flags[f]);
	free_huge_pages(NULL);
	free_huge_pages(&nr);
	free_hugepage_region(NULL);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	sizes();
	paths(argv + 2);
	show_file("unlinked_fd", hugetlbfs_unlinked_fd());
	show_file("unlinked_fd_for_size 2M",
		  hugetlbfs_unlinked_fd_for_size(2 << 20));
	show_file("unlinked_fd_for_size 4K",
		  hugetlbfs_unlinked_fd_for_size(4096));
	if (strcmp(argv[1], "memory") == 0)
		memory();
	return 0;
}
