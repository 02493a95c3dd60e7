/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "target.h"

/* As many interpreters of interpreters as the kernel follows. */
#define MAX_SCRIPTS 4
/* Larger tables of names are not read; the largest browsers have a tenth. */
#define MAX_NAMES ((size_t)64 << 20)
#define MAX_SEGMENTS 256

/* Our own header, provided by the linker: what the shim was built for. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct image {
	int fd;
	ElfW(Ehdr) header;
	ElfW(Phdr) segment[MAX_SEGMENTS];
	unsigned nr_segments;
};

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path != NULL ? path : "/bin:/usr/bin";
}

int target_find(const char *command, struct target *target)
{
	const char *dir = search_path();
	size_t len;
	int n, result = ENOENT;

	memset(target, 0, sizeof(*target));
	snprintf(target->path, sizeof(target->path), "%s", command);
	if (strchr(command, '/') != NULL || *command == '\0')
		return access(command, F_OK) == 0 ? 0 : errno;
	for (;; dir += len + 1) {
		len = strcspn(dir, ":");
		n = snprintf(target->path, sizeof(target->path), "%.*s%s%s",
			     (int)len, dir, len ? "/" : "", command);
		if (n > 0 && (size_t)n < sizeof(target->path)) {
			if (is_program(target->path))
				return 0;
			if (access(target->path, F_OK) == 0)
				result = EACCES;
		}
		if (dir[len] == '\0')
			break;
	}
	snprintf(target->path, sizeof(target->path), "%s", command);
	return result;
}

static bool read_at(int fd, void *buf, size_t len, off_t offset)
{
	return pread(fd, buf, len, offset) == (ssize_t)len;
}

/* "#! /bin/sh -e" -> "/bin/sh".  False when it is no script. */
static bool script_interpreter(int fd, char *path, size_t size)
{
	char line[256];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
	size_t len;
	char *p;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	p = line + 2 + strspn(line + 2, " \t");
	len = strcspn(p, " \t\n");
	if (len == 0 || len >= size)
		return false;
	memcpy(path, p, len);
	path[len] = '\0';
	return true;
}

static bool has_magic(const struct image *image)
{
	return memcmp(image->header.e_ident, ELFMAG, SELFMAG) == 0;
}

/* False for headers that the loader would refuse too. */
static bool read_segments(struct image *image)
{
	const ElfW(Ehdr) *h = &image->header;

	if (h->e_phentsize != sizeof(image->segment[0]) || h->e_phnum == 0 ||
	    h->e_phnum > MAX_SEGMENTS)
		return false;
	image->nr_segments = h->e_phnum;
	return read_at(image->fd, image->segment,
		       sizeof(image->segment[0]) * h->e_phnum,
		       (off_t)h->e_phoff);
}

static const ElfW(Phdr) * find_segment(const struct image *image, uint32_t type)
{
	unsigned i;

	for (i = 0; i < image->nr_segments; i++)
		if (image->segment[i].p_type == type)
			return &image->segment[i];
	return NULL;
}

/* Where in the file an address is, or -1. */
static off_t file_offset(const struct image *image, ElfW(Addr) addr)
{
	const ElfW(Phdr) * s;
	unsigned i;

	for (i = 0; i < image->nr_segments; i++) {
		s = &image->segment[i];
		if (s->p_type == PT_LOAD && addr >= s->p_vaddr &&
		    addr - s->p_vaddr < s->p_filesz)
			return (off_t)(s->p_offset + (addr - s->p_vaddr));
	}
	return -1;
}

/* The table of names of the dynamic section, malloced and ended by a NUL, or
 * NULL; *@size without that NUL. */
static char *read_names(const struct image *image, size_t *size)
{
	const ElfW(Phdr) *dynamic = find_segment(image, PT_DYNAMIC);
	ElfW(Addr) table = 0;
	ElfW(Dyn) entry;
	off_t offset;
	char *names;
	size_t i;

	*size = 0;
	if (dynamic == NULL)
		return NULL;
	for (i = 0; i < dynamic->p_filesz / sizeof(entry); i++) {
		if (!read_at(image->fd, &entry, sizeof(entry),
			     (off_t)(dynamic->p_offset + i * sizeof(entry))) ||
		    entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_STRTAB)
			table = entry.d_un.d_ptr;
		if (entry.d_tag == DT_STRSZ)
			*size = entry.d_un.d_val;
	}
	offset = file_offset(image, table);
	if (offset < 0 || *size == 0 || *size > MAX_NAMES)
		return NULL;
	names = malloc(*size + 1);
	if (names == NULL)
		return NULL;
	if (!read_at(image->fd, names, *size, offset)) {
		free(names);
		return NULL;
	}
	names[*size] = '\0';
	return names;
}

/*
 * Sanitisers bring their own allocator and check that nothing is loaded before
 * it.  Shared run-time: a needed library; static run-time (clang): a symbol.
 */
static const char *sanitiser_of(const char *name)
{
	static const char *const marks[][2] = {
		{ "libasan.so", "AddressSanitizer" },
		{ "libhwasan.so", "HWAddressSanitizer" },
		{ "liblsan.so", "LeakSanitizer" },
		{ "libtsan.so", "ThreadSanitizer" },
		{ "libclang_rt.asan", "AddressSanitizer" },
		{ "libclang_rt.hwasan", "HWAddressSanitizer" },
		{ "libclang_rt.tsan", "ThreadSanitizer" },
		{ "libclang_rt.msan", "MemorySanitizer" },
		{ "__asan_init", "AddressSanitizer" },
		{ "__hwasan_init", "HWAddressSanitizer" },
		{ "__lsan_init", "LeakSanitizer" },
		{ "__msan_init", "MemorySanitizer" },
		{ "__tsan_init", "ThreadSanitizer" },
	};
	size_t i;

	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (!strncmp(name, marks[i][0], strlen(marks[i][0])))
			return marks[i][1];
	return NULL;
}

static void set(struct target *target, enum target_obstacle obstacle,
		const char *detail)
{
	target->obstacle = obstacle;
	snprintf(target->detail, sizeof(target->detail), "%s", detail);
}

static void check_names(const struct image *image, struct target *target)
{
	const char *by;
	size_t size, at;
	char *names = read_names(image, &size);

	if (names == NULL)
		return;
	for (at = 0; at < size; at += strlen(names + at) + 1) {
		by = sanitiser_of(names + at);
		if (by != NULL) {
			set(target, TARGET_SANITISED, by);
			break;
		}
	}
	free(names);
}

/* ld.so run as a program has no interpreter and preloads all the same. */
static bool is_loader(const struct image *image)
{
	size_t size, at;
	bool found = false;
	char *names;

	if (image->header.e_type != ET_DYN)
		return false;
	names = read_names(image, &size);
	if (names == NULL)
		return false;
	for (at = 0; at < size && !found; at += strlen(names + at) + 1)
		found = !strncmp(names + at, "ld-linux", 8) ||
			!strncmp(names + at, "ld64.so", 7);
	free(names);
	return found;
}

static void check_loader(const struct image *image, struct target *target)
{
	static const char *const other[][2] = {
		{ "ld-musl", "musl" },
		{ "uClibc", "uClibc" },
		{ "/bin/linker", "bionic" },
	};
	const ElfW(Phdr) *interp = find_segment(image, PT_INTERP);
	char path[PATH_MAX];
	size_t i;

	if (interp == NULL) {
		if (!is_loader(image))
			set(target, TARGET_STATIC, "");
		return;
	}
	if (interp->p_filesz == 0 || interp->p_filesz >= sizeof(path) ||
	    !read_at(image->fd, path, interp->p_filesz,
		     (off_t)interp->p_offset))
		return;
	path[interp->p_filesz] = '\0';
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (strstr(path, other[i][0]) != NULL)
			set(target, TARGET_LIBC, other[i][1]);
}

/* Where the loader runs with AT_SECURE it ignores libraries named by a path.
 * As the kernel decides it: the identity must change. */
static void check_privilege(const struct image *image, struct target *target)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(image->fd, &st) || fstatvfs(image->fd, &fs) ||
	    (fs.f_flag & ST_NOSUID) ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return;
	if (((st.st_mode & S_ISUID) && st.st_uid != getuid()) ||
	    ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	     st.st_gid != getgid()))
		set(target, TARGET_SETID, "");
	else if (getuid() != 0 &&
		 fgetxattr(image->fd, "security.capability", NULL, 0) > 0)
		set(target, TARGET_CAPABLE, "");
}

static void check_image(struct image *image, struct target *target)
{
	const unsigned char *ident = image->header.e_ident;

	/* The fields up to e_machine are the same in both classes. */
	if (ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA] &&
	    ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS])
		set(target, TARGET_CLASS,
		    ident[EI_CLASS] == ELFCLASS32 ? "32" : "64");
	else if (ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
		 image->header.e_machine != __ehdr_start.e_machine)
		set(target, TARGET_MACHINE, "");
	if (target->obstacle != TARGET_NONE || !read_segments(image))
		return;
	check_loader(image, target);
	if (target->obstacle == TARGET_NONE)
		check_privilege(image, target);
	if (target->obstacle == TARGET_NONE)
		check_names(image, target);
}

/* True when target->binary is a script: it has become its interpreter. */
static bool inspect_file(struct target *target, bool first)
{
	static struct image image;
	bool script = false;

	memset(&image, 0, sizeof(image));
	image.fd = open(target->binary,
			O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (image.fd < 0)
		return false;
	if (pread(image.fd, &image.header, sizeof(image.header), 0) >=
		    (ssize_t)offsetof(ElfW(Ehdr), e_version) &&
	    has_magic(&image)) {
		target->is_elf = first;
		check_image(&image, target);
	} else {
		script = script_interpreter(image.fd, target->binary,
					    sizeof(target->binary));
	}
	close(image.fd);
	return script;
}

void target_inspect(struct target *target)
{
	int i;

	target->obstacle = TARGET_NONE;
	memcpy(target->binary, target->path, sizeof(target->binary));
	for (i = 0; i <= MAX_SCRIPTS; i++)
		if (!inspect_file(target, i == 0))
			return;
}

const char *target_explain(const struct target *target)
{
	static char text[128];

	switch (target->obstacle) {
	case TARGET_NONE:
		return "";
	case TARGET_STATIC:
		return "statically linked: no library can be preloaded";
	case TARGET_SETID:
		return "setuid or setgid: the loader preloads nothing into it";
	case TARGET_CAPABLE:
		return "given file capabilities: the loader preloads nothing "
		       "into it";
	case TARGET_CLASS:
		snprintf(text, sizeof(text),
			 "a %s-bit program: the library is of another class",
			 target->detail);
		return text;
	case TARGET_MACHINE:
		return "built for another processor than the library";
	case TARGET_LIBC:
		snprintf(text, sizeof(text),
			 "linked with %s: the library needs glibc",
			 target->detail);
		return text;
	case TARGET_SANITISED:
		snprintf(text, sizeof(text),
			 "built with %s, which needs its own malloc",
			 target->detail);
		return text;
	}
	return "";
}
