/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hs_test.h - small helpers for test programs, all static: include it and
 * link nothing.
 *
 * Rules that they serve: a child reports by a numbered _exit, only the parent
 * asserts; processes and threads synchronise by pipes, never by time; random
 * choices come from a seed that is printed; a skip is exit status 77 with one
 * line.
 */
#ifndef HS_TEST_H
#define HS_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define HS_T_UNUSED __attribute__((unused))
#define HS_T_FN static HS_T_UNUSED
#define HS_T_MIN(a, b) ((a) < (b) ? (a) : (b))

#define HS_T_SKIP 77
/* Exit status of a child whose HS_T_CHILD() check had no number of its own. */
#define HS_T_CHILD_FAILED 99

/* --- asserting ----------------------------------------------------------- */

/* In the parent: say what did not hold, and end the test. */
#define HS_T_CHECK(cond, ...)                                                  \
	do {                                                                   \
		if (!(cond))                                                   \
			hs_t_fail(__FILE__, __LINE__, #cond, " " __VA_ARGS__); \
	} while (0)

/* In a child: leave with @number (1..76, 78..125). */
#define HS_T_CHILD(cond, number)                                               \
	do {                                                                   \
		if (!(cond))                                                   \
			_exit(number);                                         \
	} while (0)

HS_T_FN __attribute__((noreturn, format(printf, 4, 5))) void
hs_t_fail(const char *file, int line, const char *cond, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "%s:%d: %s:", file, line, cond);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d %s)\n", err, strerror(err));
	exit(1);
}

HS_T_FN __attribute__((noreturn, format(printf, 1, 2))) void
hs_t_skip(const char *fmt, ...)
{
	va_list ap;

	fputs("SKIP: ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(HS_T_SKIP);
}

/* "exit 3", "signal 7 (Bus error)"; a static buffer. */
HS_T_FN const char *hs_t_status(int status)
{
	static char text[64];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "exit %d", WEXITSTATUS(status));
	return text;
}

/* Wait for @pid; the wait status. */
HS_T_FN int hs_t_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		HS_T_CHECK(errno == EINTR, "waitpid %d", (int)pid);
	return status;
}

/* Wait for @pid and want exit status 0. */
#define HS_T_WAIT_OK(pid)                                                      \
	do {                                                                   \
		int status_ = hs_t_wait(pid);                                  \
		HS_T_CHECK(status_ == 0, "child: %s", hs_t_status(status_));   \
	} while (0)

/* --- random numbers and patterns ------------------------------------------ */

struct hs_t_rng {
	uint64_t state;
};

/* splitmix64 */
HS_T_FN uint64_t hs_t_next(struct hs_t_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* 0 .. n - 1; n > 0 */
HS_T_FN uint64_t hs_t_below(struct hs_t_rng *rng, uint64_t n)
{
	return hs_t_next(rng) % n;
}

/* HS_TEST_SEED, or @fallback; printed so that a failure can be repeated. */
HS_T_FN uint64_t hs_t_seed(uint64_t fallback)
{
	const char *text = getenv("HS_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : fallback;

	fprintf(stderr, "seed: HS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* Every byte of [p, p + len) from @seed: the word at offset o is a mix of seed
 * and o, so a page that went elsewhere or turned to zeros is seen. */
HS_T_FN uint64_t hs_t_word(uint64_t seed, size_t offset)
{
	return (seed + offset) * 0x9e3779b97f4a7c15ULL ^ (seed << 17 | 1);
}

HS_T_FN void hs_t_fill(void *p, size_t len, uint64_t seed)
{
	unsigned char *c = (unsigned char *)p;
	size_t o;

	for (o = 0; o + 8 <= len; o += 8) {
		uint64_t w = hs_t_word(seed, o);

		memcpy(c + o, &w, 8);
	}
	for (; o < len; o++)
		c[o] = (unsigned char)(seed + o);
}

/* Offset of the first wrong byte (to the word), or -1 when all are right. */
HS_T_FN ssize_t hs_t_verify(const void *p, size_t len, uint64_t seed)
{
	const unsigned char *c = (const unsigned char *)p;
	size_t o;

	for (o = 0; o + 8 <= len; o += 8) {
		uint64_t w;

		memcpy(&w, c + o, 8);
		if (w != hs_t_word(seed, o))
			return (ssize_t)o;
	}
	for (; o < len; o++)
		if (c[o] != (unsigned char)(seed + o))
			return (ssize_t)o;
	return -1;
}

/* --- pipes -------------------------------------------------------------- */

/* A gate: any number of posts, each lets one wait through. */
struct hs_t_gate {
	int fd[2];
};

HS_T_FN void hs_t_gate_open(struct hs_t_gate *g)
{
	HS_T_CHECK(pipe(g->fd) == 0);
}

HS_T_FN void hs_t_gate_close(struct hs_t_gate *g)
{
	close(g->fd[0]);
	close(g->fd[1]);
}

/* Let one waiter through, and tell it @c. */
HS_T_FN bool hs_t_gate_post(struct hs_t_gate *g, char c)
{
	ssize_t n;

	do
		n = write(g->fd[1], &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* The byte that was posted, or -1 when no poster is left. */
HS_T_FN int hs_t_gate_wait(struct hs_t_gate *g)
{
	unsigned char c;
	ssize_t n;

	do
		n = read(g->fd[0], &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? c : -1;
}

/* --- programs under the library ----------------------------------------- */

/* The library under test; a skip cannot hide that it was not built. */
HS_T_FN const char *hs_t_library(void)
{
	const char *lib = getenv("HS_TEST_LIB");

	if (!lib || access(lib, R_OK) != 0) {
		fprintf(stderr, "set HS_TEST_LIB to libhugeshim.so\n");
		exit(1);
	}
	return lib;
}

/* Run argv with LD_PRELOAD, and @env's NAME=VALUE (may be NULL) added; the
 * wait status. */
HS_T_FN int hs_t_run(char *const argv[], const char *const env[], bool shim)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		for (; env && *env; env++)
			putenv((char *)*env);
		unsetenv("LD_PRELOAD");
		if (shim)
			setenv("LD_PRELOAD", hs_t_library(), 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	return hs_t_wait(pid);
}

/* --- what the kernel and the library say -------------------------------- */

/* A whole small file into a static buffer; NULL when it cannot be read. */
HS_T_FN char *hs_t_slurp(const char *path)
{
	static char text[1 << 16];
	size_t got = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while ((n = read(fd, text + got, sizeof(text) - 1 - got)) > 0)
		got += (size_t)n;
	close(fd);
	text[got] = '\0';
	return text;
}

/* The number after "@key" and a colon in a file, or -1: fields of /proc files
 * ("HugetlbPages") and of the library's JSON ("rescue_cow", with quotes
 * supplied here). */
HS_T_FN long long hs_t_field(const char *path, const char *key, bool json)
{
	char quoted[128];
	const char *p = hs_t_slurp(path);

	snprintf(quoted, sizeof(quoted), json ? "\"%s\"" : "%s:", key);
	p = p ? strstr(p, quoted) : NULL;
	if (!p)
		return -1;
	p += strlen(quoted);
	p += strspn(p, " \t:\"");
	return strtoll(p, NULL, 10);
}

struct hs_t_number {
	const char *option;
	unsigned long *value;
};

/* "--rounds 7 --seed 3": each a row of @of, whose last has no name.  False for
 * one that is not. */
HS_T_FN bool hs_t_numbers(int argc, char **argv, const struct hs_t_number *of)
{
	const struct hs_t_number *n;

	for (int i = 1; i + 1 < argc; i += 2) {
		for (n = of; n->option && strcmp(n->option, argv[i]); n++)
			;
		if (!n->option)
			return false;
		*n->value = strtoul(argv[i + 1], NULL, 0);
	}
	return true;
}

/* A number of the library's report (HUGESHIM_STATS=FILE, format json). */
HS_T_FN long long hs_t_stat(const char *path, const char *name)
{
	return hs_t_field(path, name, true);
}

/* Bytes on hugetlb pages of a process (VmRSS does not count them), or -1;
 * @pid 0 is the caller. */
HS_T_FN long long hs_t_hugetlb_bytes(pid_t pid)
{
	char path[64] = "/proc/self/status";
	long long kib;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	kib = hs_t_field(path, "HugetlbPages", false);
	return kib < 0 ? -1 : kib * 1024;
}

/* Resident bytes that are not hugetlb, or -1. */
HS_T_FN long long hs_t_rss_bytes(pid_t pid)
{
	char path[64] = "/proc/self/status";
	long long kib;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	kib = hs_t_field(path, "VmRSS", false);
	return kib < 0 ? -1 : kib * 1024;
}

/* Of the default huge page size, or 0 without CONFIG_HUGETLBFS. */
HS_T_FN size_t hs_t_huge_bytes(void)
{
	long long kib = hs_t_field("/proc/meminfo", "Hugepagesize", false);

	return kib > 0 ? (size_t)kib * 1024 : 0;
}

/* Is this program running under the library? */
HS_T_FN bool hs_t_under_shim(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "hugeshim");
}

#endif
