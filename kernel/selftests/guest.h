/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that run in the guest share.  A test is a function that
 * returns 0 or the line on which it failed; each runs in a process of its own.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define KB 1024UL
#define MB (1024 * KB)
#define GB (1024 * MB)
#define BASE (4 * KB)
#define HUGE (2 * MB)

/* For use in a test: return the line and say what was not so. */
#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "\t%s:%d: %s\n", __FILE__, __LINE__, \
				#what); \
			return __LINE__; \
		} \
	} while (0)

/* Do it and hand on what is not 0. */
#define DO(what) \
	do { \
		int line_ = (what); \
		if (line_) \
			return line_; \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct test {
	const char *name;
	int (*run)(void);
};

/*
 * Run the tests, each in a child, with the pool of huge pages the same before
 * and after.  The return value is the number that failed, at most 100.
 */
int run_tests(const char *program, const struct test *tests, size_t nr_tests);

/* The exit status of fn(arg) in a child; 1000 + signal when it was killed. */
int in_child(int (*fn)(void *), void *arg);

/* The signal that reading or writing a byte raises, or 0. */
int signal_of_read(volatile char *p);
int signal_of_write(volatile char *p, char value);

/* A field of /proc/meminfo or the like; -1 when there is none. */
long field_of(const char *path, const char *name);

/* Write the text to a file; 0 or -1. */
int put(const char *path, const char *text);

/* Free pages of the pool of 2 MiB pages that nothing has reserved. */
long pool_available(void);

#endif
