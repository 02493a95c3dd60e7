/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.c - questions to the kernel, answered from /proc and /sys.
 *
 * Under a seccomp filter that kills, only calls that ld.so and malloc make
 * themselves are safe: open, read and close are, prctl is not.  So the filter
 * is looked for in /proc/self/status, and prctl is asked only where there is
 * no /proc at all.
 */
#include "probe.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"
#include "sys.h"

#define MAX_MAP_COUNT_DEFAULT 65530
#define POOL_DIR "/sys/kernel/mm/hugepages/hugepages-"
#define THP_DIR "/sys/kernel/mm/transparent_hugepage/"
#define PATH_BYTES 128
#define LINE_BYTES 160

static struct hs_probe probe;

/* No signal storm may hold the caller, which has a lock, for ever. */
#define EINTR_TRIES 8

static int open_file(const char *path)
{
	int tries = EINTR_TRIES;
	int fd;

	do
		fd = hs_sys.open(path, O_RDONLY, 0);
	while (fd == -EINTR && --tries > 0);
	return fd;
}

static ssize_t read_some(int fd, char *buf, size_t size)
{
	int tries = EINTR_TRIES;
	ssize_t ret;

	do
		ret = hs_sys.read(fd, buf, size);
	while (ret == -EINTR && --tries > 0);
	return ret;
}

/* The start of a file as a string: bytes read, or -errno. */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t got = 0;
	int fd = open_file(path);

	if (fd < 0)
		return fd;
	while (used < size - 1) {
		got = read_some(fd, buf + used, size - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	hs_sys.close(fd);
	if (got < 0)
		return got;
	buf[used] = '\0';
	return (ssize_t)used;
}

/* A decimal number after blanks: 0 or -EINVAL. */
static int parse_number(const char *text, size_t *value)
{
	size_t number = 0;

	while (*text == ' ' || *text == '\t')
		text++;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (size_t)(*text - '0'),
					   &number))
			return -EINVAL;
	*value = number;
	return 0;
}

static int read_number(const char *path, size_t *value)
{
	char text[32];
	ssize_t len = read_file(path, text, sizeof(text));

	if (len < 0)
		return (int)len;
	return parse_number(text, value);
}

/* One field of a "Key:  number" file. */
struct field {
	const char *key;
	size_t value;
	bool found;
};

static void match_line(const char *line, struct field *fields, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		size_t len = strlen(fields[i].key);

		if (strncmp(line, fields[i].key, len) == 0 && line[len] == ':')
			fields[i].found = parse_number(line + len + 1,
						       &fields[i].value) == 0;
	}
}

/* Lines are cut at LINE_BYTES: Groups: alone may be hundreds of KiB. */
struct line_reader {
	char line[LINE_BYTES];
	size_t used;
};

static void feed(struct line_reader *reader, const char *text, size_t len,
		 struct field *fields, size_t nr)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (text[i] == '\n') {
			reader->line[reader->used] = '\0';
			match_line(reader->line, fields, nr);
			reader->used = 0;
		} else if (reader->used < LINE_BYTES - 1) {
			reader->line[reader->used++] = text[i];
		}
	}
}

/* 0, or -errno when the file could not be read to its end. */
static int read_fields(const char *path, struct field *fields, size_t nr)
{
	struct line_reader reader = { .used = 0 };
	char text[512];
	ssize_t got;
	int fd = open_file(path);

	if (fd < 0)
		return fd;
	while ((got = read_some(fd, text, sizeof(text))) > 0)
		feed(&reader, text, (size_t)got, fields, nr);
	hs_sys.close(fd);
	return (int)got;
}

size_t hs_probe_default_huge_size(void)
{
	size_t page_bytes = hs_sys_page_size();

	return page_bytes / sizeof(uint64_t) * page_bytes;
}

/*
 * No /proc here is told from no right to look: the first is a chroot or a
 * container, the second may be the filter's own doing, and then prctl could
 * be what it kills for.
 */
static bool seccomp_without_proc(int err)
{
	if (err != -ENOENT)
		return true;
	return hs_sys.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
}

static bool thp_disabled_by_prctl(void)
{
	if (probe.seccomp)
		return false;
	return hs_sys.prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1;
}

/* Fills proc and seccomp; returns whether prctl has switched THP off. */
static bool probe_process(void)
{
	struct field fields[] = {
		{ .key = "Seccomp" },
		{ .key = "THP_enabled" },
	};
	int ret =
		read_fields("/proc/self/status", fields, HS_ARRAY_SIZE(fields));

	if (fields[0].found)
		probe.seccomp = fields[0].value != 0;
	else
		/* A kernel without seccomp prints no such line. */
		probe.seccomp = ret != 0 && seccomp_without_proc(ret);
	if (fields[1].found)
		return fields[1].value == 0;
	return thp_disabled_by_prctl();
}

static void probe_vm(void)
{
	size_t value;

	probe.overcommit_never =
		read_number("/proc/sys/vm/overcommit_memory", &value) == 0 &&
		value == 2;
	if (read_number("/proc/sys/vm/max_map_count", &value) != 0)
		value = MAX_MAP_COUNT_DEFAULT;
	probe.max_map_count = value;
}

size_t hs_probe_nr_mappings(void)
{
	int fd = hs_sys.open("/proc/self/maps", O_RDONLY, 0);
	char buf[1024];
	size_t lines = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = hs_sys.read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	hs_sys.close(fd);
	return lines;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (; *text; text++)
		if (strncmp(text, word, len) == 0)
			return true;
	return false;
}

/* The bracketed word of "always [madvise] never"; false when there is none
 * that is known ("inherit" among them). */
static bool parse_thp(const char *text, enum hs_thp_mode *mode)
{
	if (has_word(text, "[always]"))
		*mode = HS_THP_ALWAYS;
	else if (has_word(text, "[madvise]"))
		*mode = HS_THP_MADVISE;
	else if (has_word(text, "[never]"))
		*mode = HS_THP_NEVER;
	else
		return false;
	return true;
}

/* Since Linux 6.8 each size has a switch, which may inherit the common one. */
static bool read_thp_of_size(enum hs_thp_mode *mode)
{
	char path[PATH_BYTES];
	char text[64];

	hs_log_format(path, sizeof(path), THP_DIR "hugepages-%zukB/enabled",
		      hs_probe_default_huge_size() / HS_KIB);
	return read_file(path, text, sizeof(text)) > 0 && parse_thp(text, mode);
}

static enum hs_thp_mode probe_thp(bool disabled)
{
	enum hs_thp_mode mode = HS_THP_NEVER;
	char text[64];
	ssize_t len = read_file(THP_DIR "enabled", text, sizeof(text));

	if (disabled)
		return HS_THP_NEVER;
	/* Without /sys, asking costs one madvise that may be refused. */
	if (len < 0)
		return HS_THP_MADVISE;
	if (!read_thp_of_size(&mode))
		parse_thp(text, &mode);
	return mode;
}

static int read_pool(size_t huge_page_bytes, const char *name, size_t *value)
{
	char path[PATH_BYTES];

	hs_log_format(path, sizeof(path), POOL_DIR "%zukB/%s",
		      huge_page_bytes / HS_KIB, name);
	return read_number(path, value);
}

/* Without /sys: the pool of the default size is in /proc/meminfo too. */
static int read_meminfo_pool(size_t huge_page_bytes, const char *key,
			     size_t *value)
{
	struct field fields[] = {
		{ .key = "Hugepagesize" },
		{ .key = key },
	};
	int ret = read_fields("/proc/meminfo", fields, HS_ARRAY_SIZE(fields));

	if (ret != 0)
		return ret;
	if (!fields[0].found || !fields[1].found ||
	    fields[0].value != huge_page_bytes / HS_KIB)
		return -ENOENT;
	*value = fields[1].value;
	return 0;
}

/* What the pool may still take from the system. */
static size_t pool_growth(size_t huge_page_bytes)
{
	size_t overcommit;
	size_t surplus;

	if (read_pool(huge_page_bytes, "nr_overcommit_hugepages",
		      &overcommit) != 0 ||
	    read_pool(huge_page_bytes, "surplus_hugepages", &surplus) != 0 ||
	    overcommit < surplus)
		return 0;
	return overcommit - surplus;
}

size_t hs_probe_pool_size(size_t huge_page_bytes)
{
	size_t pages;

	if (read_pool(huge_page_bytes, "nr_hugepages", &pages) != 0 &&
	    read_meminfo_pool(huge_page_bytes, "HugePages_Total", &pages) != 0)
		return SIZE_MAX;
	return pages + pool_growth(huge_page_bytes);
}

const struct hs_probe *hs_probe_run(void)
{
	bool thp_disabled;

	if (probe.ran)
		return &probe;
	thp_disabled = probe_process();
	probe_vm();
	probe.thp = probe_thp(thp_disabled);
	probe.ran = true;
	if (!probe.seccomp)
		hs_log_guard(true);
	return &probe;
}

long hs_probe_pool_free(size_t huge_page_bytes)
{
	size_t pages;
	int ret = read_pool(huge_page_bytes, "free_hugepages", &pages);

	if (ret != 0)
		ret = read_meminfo_pool(huge_page_bytes, "HugePages_Free",
					&pages);
	if (ret != 0)
		return ret;
	pages += pool_growth(huge_page_bytes);
	return pages > LONG_MAX ? LONG_MAX : (long)pages;
}

/* A limit that cannot be read is taken to be in force: the price is a smaller
 * reservation. */
static bool limited(int resource, size_t *limit_bytes)
{
	struct rlimit64 limit = { .rlim_cur = 0 };

	if (hs_sys.getrlimit(resource, &limit) != 0)
		limit.rlim_cur = SIZE_MAX - 1;
	if (limit.rlim_cur == RLIM64_INFINITY)
		return false;
	if (limit_bytes)
		*limit_bytes = limit.rlim_cur;
	return true;
}

bool hs_probe_address_space_limited(size_t *limit_bytes)
{
	return limited(RLIMIT_AS, limit_bytes);
}

bool hs_probe_data_limited(void)
{
	return limited(RLIMIT_DATA, NULL);
}
