/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagesrc_mount.c - private mappings of unlinked files on a hugetlbfs mount.
 *
 * The mount's size= is then the limit, whoever uses the pool.  A private
 * mapping of a hole takes its pages when written, without entering the page
 * cache, so the file stays empty and one descriptor a run is enough; it is
 * closed at once, since programs close descriptors they do not know.
 */
#include "pagesrc_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "config.h"
#include "sys.h"

#define HUGETLBFS_MAGIC 0x958458f6
#define LIST_MAX 1024 /* what the configuration takes */

static int open_in(const char *mount, size_t len, size_t page_bytes)
{
	struct statfs fs;
	int fd = hs_sys.open(mount, O_TMPFILE | O_RDWR, 0600);
	int err;

	if (fd < 0)
		return fd;
	err = hs_sys.fstatfs(fd, &fs);
	if (err == 0 && ((unsigned long)fs.f_type != HUGETLBFS_MAGIC ||
			 (size_t)fs.f_bsize != page_bytes))
		err = -EINVAL;
	if (err == 0)
		err = hs_sys.ftruncate(fd, (off_t)len);
	if (err == 0)
		return fd;
	hs_sys.close(fd);
	return err;
}

/* HUGETLB_PATH may name several, with pages of several sizes: the first that
 * will do. */
static int open_unlinked(size_t len, size_t page_bytes)
{
	const char *next = hs_config->mount;
	int fd = -ENOENT;

	while (next && fd < 0) {
		const char *end = strchr(next, ':');
		size_t size = end ? (size_t)(end - next) : strlen(next);
		char mount[LIST_MAX];

		if (size < sizeof(mount)) {
			memcpy(mount, next, size);
			mount[size] = '\0';
			fd = open_in(mount, len, page_bytes);
		}
		next = end ? end + 1 : NULL;
	}
	return fd;
}

static int map(void *addr, size_t len, size_t page_bytes, bool reserved)
{
	int fd = open_unlinked(len, page_bytes);
	int err;

	if (fd < 0)
		return fd;
	err = hs_pagesrc_map_hugetlb_fd(addr, len, 0, fd, reserved);
	hs_sys.close(fd);
	return err;
}

const struct hs_pagesrc hs_pagesrc_mount = {
	.name = "mount",
	.map = map,
	.populate = hs_pagesrc_populate_hugetlb,
};
