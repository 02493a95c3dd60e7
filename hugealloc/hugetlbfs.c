// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hugetlbfs.c - libhugetlbfs's questions: page sizes, mounts, files.
 *
 * Answers are those of libhugetlbfs 2.23, which knows the kernel's default huge
 * page size and those that there are mounts of; what it finds out at its start
 * is found out at the first question here.
 */
#include "hugealloc/hugetlbfs.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base.h"
#include "hugealloc/sizes.h"

/* Both from 2.23. */
#define SIZES_MAX 10
#define FILE_NAME "/libhugetlbfs.tmp.XXXXXX"

/* The kernel's default first. */
static struct {
	long page_bytes;
	char path[PATH_MAX]; /* empty: no mount */
} sizes[SIZES_MAX];
static int nr_sizes;
static int default_size = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int find(long page_bytes)
{
	for (int i = 0; i < nr_sizes; i++)
		if (sizes[i].page_bytes == page_bytes)
			return i;
	return -1;
}

/* The first mount of each size counts. */
static void add(const char *path)
{
	struct statfs fs;
	int i;

	if (strlen(path) >= PATH_MAX || statfs(path, &fs) ||
	    (unsigned long)fs.f_type != HUGETLBFS_MAGIC || fs.f_bsize <= 0)
		return;
	i = find(fs.f_bsize);
	if (i < 0 && nr_sizes < SIZES_MAX) {
		i = nr_sizes++;
		sizes[i].page_bytes = fs.f_bsize;
	}
	if (i >= 0 && !sizes[i].path[0])
		strcpy(sizes[i].path, path);
}

static void add_mounted(const char *path)
{
	if (access(path, R_OK | W_OK | X_OK) == 0)
		add(path);
}

static void add_list(const char *list)
{
	char path[PATH_MAX];

	for (;;) {
		size_t len = strcspn(list, ":");

		if (len < sizeof(path)) {
			memcpy(path, list, len);
			path[len] = '\0';
			add(path);
		}
		if (list[len] == '\0')
			return;
		list += len + 1;
	}
}

/* "2M", "0x200000"; -1 for what is no size. */
static long parse_size(const char *text)
{
	static const char units[] = "kmg";
	char *end;
	long size;

	errno = 0;
	size = strtol(text, &end, 0);
	if (errno || end == text || size <= 0)
		return -1;
	for (int i = 0; units[i]; i++) {
		if ((*end | 0x20) != units[i])
			continue;
		if (__builtin_mul_overflow(size, 1L << 10 * (i + 1), &size))
			return -1;
	}
	return size;
}

static void choose_default(void)
{
	const char *text = secure_getenv("HUGETLB_DEFAULT_PAGE_SIZE");
	long size;

	if (nr_sizes == 0)
		return;
	size = text && *text ? parse_size(text)
			     : (long)hugealloc_sizes_default();
	if (size < 0)
		return;
	default_size = find(size) >= 0 ? find(size) : 0;
}

static void look(void)
{
	const char *list = secure_getenv("HUGETLB_PATH");

	sizes[0].page_bytes = (long)hugealloc_sizes_default();
	nr_sizes = sizes[0].page_bytes > 0;
	if (list)
		add_list(list);
	else
		hugealloc_mounts_visit(add_mounted);
	choose_default();
}

static void look_once(void)
{
	int saved = errno;

	pthread_once(&once, look);
	errno = saved;
}

HS_EXPORT long gethugepagesize(void)
{
	look_once();
	if (default_size < 0) {
		errno = ENOSYS;
		return -1;
	}
	errno = 0;
	return sizes[default_size].page_bytes;
}

HS_EXPORT int gethugepagesizes(long pagesizes[], int n_elem)
{
	size_t found[HUGEALLOC_SIZES_MAX];
	size_t first = hugealloc_sizes_default();
	int nr_found, nr = 0;

	if (n_elem < 0 || (n_elem > 0 && !pagesizes)) {
		errno = EINVAL;
		return -1;
	}
	errno = 0;
	if (first == 0)
		return 0;
	nr_found = hugealloc_sizes_read(found);
	errno = 0;
	for (int i = -1; i < nr_found; i++) {
		if (i >= 0 && found[i] == first)
			continue;
		if (pagesizes && nr == n_elem)
			break;
		if (pagesizes)
			pagesizes[nr] = (long)(i < 0 ? first : found[i]);
		nr++;
	}
	return nr;
}

HS_EXPORT int getpagesizes(long pagesizes[], int n_elem)
{
	int nr;

	if (n_elem < 0 || (n_elem > 0 && !pagesizes)) {
		errno = EINVAL;
		return -1;
	}
	if (pagesizes && n_elem == 0)
		return 0;
	if (pagesizes)
		pagesizes[0] = sysconf(_SC_PAGESIZE);
	nr = gethugepagesizes(pagesizes ? pagesizes + 1 : NULL,
			      pagesizes ? n_elem - 1 : 0);
	return nr < 0 ? nr : nr + 1;
}

HS_EXPORT int hugetlbfs_test_path(const char *mount)
{
	struct statfs fs;

	if (statfs(mount, &fs))
		return -1;
	return (unsigned long)fs.f_type == HUGETLBFS_MAGIC;
}

HS_EXPORT const char *hugetlbfs_find_path_for_size(long page_size)
{
	int i;

	look_once();
	i = find(page_size);
	return i < 0 || !sizes[i].path[0] ? NULL : sizes[i].path;
}

HS_EXPORT const char *hugetlbfs_find_path(void)
{
	long size = gethugepagesize();

	return size > 0 ? hugetlbfs_find_path_for_size(size) : NULL;
}

HS_EXPORT int hugetlbfs_unlinked_fd_for_size(long page_size)
{
	const char *path = hugetlbfs_find_path_for_size(page_size);
	char name[PATH_MAX + sizeof(FILE_NAME)];
	int fd;

	if (!path)
		return -1;
	snprintf(name, sizeof(name), "%s" FILE_NAME, path);
	fd = mkstemp(name);
	if (fd >= 0)
		unlink(name);
	return fd;
}

HS_EXPORT int hugetlbfs_unlinked_fd(void)
{
	long size = gethugepagesize();

	return size > 0 ? hugetlbfs_unlinked_fd_for_size(size) : -1;
}
