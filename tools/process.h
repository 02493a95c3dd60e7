/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * process.h - what the kernel says about a process's memory: the one reader of
 * /proc/PID.
 *
 * Nothing is stopped, traced or written to.  status and stat cost the process
 * nothing at all; smaps walks its page tables under a lock that only its own
 * mmap and munmap wait for.
 *
 * Errors: 0 or -errno (-ESRCH: it is gone; -EACCES: another's).
 * Owner: hugectl; one thread.
 */
#ifndef HS_PROCESS_H
#define HS_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_SIZES_MAX 4 /* of huge pages in use at once */

struct process {
	pid_t pid;
	uid_t uid;
	char name[32];
	uint64_t rss_bytes, anon_bytes, swap_bytes; /* without hugetlb */
	uint64_t peak_rss_bytes;
	uint64_t hugetlb_bytes;
	uint64_t minor_faults;
};

/* One mapping, as smaps has it.  All in bytes. */
struct mapping {
	uintptr_t from, to;
	uint64_t page_bytes; /* KernelPageSize */
	uint64_t rss, anon, swap;
	uint64_t anon_thp, other_thp;
	uint64_t hugetlb; /* private and shared */
	char prot[5];     /* "rw-p" */
	char name[PATH_MAX];
};

/* A process's memory by size of page. */
struct usage {
	struct {
		uint64_t page_bytes, bytes;
	} hugetlb[PROCESS_SIZES_MAX];
	unsigned nr_sizes;
	uint64_t hugetlb_bytes;
	uint64_t thp_bytes, thp_file_bytes;
	uint64_t base_anon_bytes, base_file_bytes;
	uint64_t swap_bytes;
	unsigned nr_mappings;
};

/* status and stat. */
int process_read(pid_t pid, struct process *process);
/* The text of a PID; -1 when it is none. */
pid_t process_parse(const char *text);
/* The process of the text, or the end with one line. */
pid_t process_must(const char *text, struct process *process);
/* All that can be seen, in the order of /proc.  Free the list. */
struct process *process_all(unsigned *nr);
/* Names of users are looked up once. */
const char *process_user(uid_t uid);

/* Call @each for the mappings, in order, until it returns false. */
int process_mappings(pid_t pid,
		     bool (*each)(const struct mapping *mapping, void *arg),
		     void *arg);
/* The sum over all mappings. */
int process_usage(pid_t pid, struct usage *usage);
/* Only the sums, from smaps_rollup: without the sizes of hugetlb pages. */
int process_usage_quick(pid_t pid, struct usage *usage);
/* Of what could be on huge pages, what is: hugetlb and anonymous THP. */
uint64_t process_huge(const struct usage *usage);
uint64_t process_whole(const struct usage *usage);

#endif
