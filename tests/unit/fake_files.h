/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_files.h - open, read and close of the sys table over a list of files in
 * memory; whatever is not in the list is not there.
 */
#ifndef HS_TEST_FAKE_FILES_H
#define HS_TEST_FAKE_FILES_H

#include <string.h>

#include "sys.h"

struct fake_file {
	const char *path;
	const char *text;
	int err; /* of open, negative; or of read, positive */
};

#define FAKE_FILES_MAX 16
#define FAKE_FD 100

static struct fake_file fake_files[FAKE_FILES_MAX];
static size_t fake_offset[FAKE_FILES_MAX];
static size_t fake_read_max = 4096; /* bytes a read gives at most */
static int fake_open_default = -ENOENT;
static int fake_nr_open;
static int fake_nr_opened;

static int fake_open(const char *path, int flags HS_UNUSED, int mode HS_UNUSED)
{
	int i;

	for (i = 0; i < FAKE_FILES_MAX && fake_files[i].path; i++) {
		if (strcmp(path, fake_files[i].path) != 0)
			continue;
		if (fake_files[i].err < 0)
			return fake_files[i].err;
		fake_offset[i] = 0;
		fake_nr_open++;
		fake_nr_opened++;
		return FAKE_FD + i;
	}
	return fake_open_default;
}

static ssize_t fake_read(int fd, void *buf, size_t len)
{
	struct fake_file *file = &fake_files[fd - FAKE_FD];
	size_t left = strlen(file->text) - fake_offset[fd - FAKE_FD];

	if (file->err > 0)
		return -file->err;
	len = HS_MIN(HS_MIN(len, left), fake_read_max);
	memcpy(buf, file->text + fake_offset[fd - FAKE_FD], len);
	fake_offset[fd - FAKE_FD] += len;
	return (ssize_t)len;
}

static int fake_close(int fd HS_UNUSED)
{
	fake_nr_open--;
	return 0;
}

static void fake_files_add(const char *path, const char *text)
{
	int i = 0;

	while (fake_files[i].path && strcmp(fake_files[i].path, path) != 0)
		i++;
	fake_files[i] = (struct fake_file){ .path = path, .text = text };
}

static void fake_files_fail(const char *path, int err)
{
	fake_files_add(path, "");
	for (int i = 0; fake_files[i].path; i++)
		if (strcmp(fake_files[i].path, path) == 0)
			fake_files[i].err = err;
}

static void fake_files_install(void)
{
	hs_sys.open = fake_open;
	hs_sys.read = fake_read;
	hs_sys.close = fake_close;
}

#endif
