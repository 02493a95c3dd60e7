/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counters.h - the library's own counters, read from a live process's memory.
 *
 * The process does not notice: nothing is stopped, and it keeps no file, page
 * or descriptor for it.  What may be read is what ptrace(2) may: a process of
 * the same user, unless kernel.yama.ptrace_scope or the process forbids it.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_COUNTERS_H
#define HS_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define COUNTERS_MAX 64

/* One name and its value; a gauge has a peak besides. */
struct counter {
	char name[32];
	uint64_t value, peak;
};

struct counters {
	char library[64]; /* file name, without directory */
	struct counter counter[COUNTERS_MAX], gauge[COUNTERS_MAX];
	unsigned nr_counters, nr_gauges;
};

/* 0; -ENOENT: the process does not have the library; -EPERM: it may not be
 * read; -EPROTO: a version of the library that this hugectl does not know;
 * or what process_mappings() says. */
int counters_read(pid_t pid, struct counters *counters);
/* By name; 0 when there is none. */
uint64_t counters_get(const struct counters *counters, const char *name);
uint64_t counters_gauge(const struct counters *counters, const char *name);

/* A first touch that finds its huge page is between the program and the kernel:
 * by what the kernel counts (@hugetlb_bytes), move from the gauges of what has
 * not been touched to those of huge pages.  As the report at exit does. */
void counters_touched(struct counters *counters, uint64_t hugetlb_bytes);

/* Sums that tables show. */
uint64_t counters_fallbacks(const struct counters *counters);
uint64_t counters_rescues(const struct counters *counters);
uint64_t counters_cow(const struct counters *counters);

/* What a name means, for people; NULL: a newer library's. */
const char *counters_text(const char *name);

#endif
