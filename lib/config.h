/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.h - environment and /etc/hugeshim.conf -> one immutable struct.
 *
 * One table (lib/options.tab) names each option, its libhugetlbfs synonym, its
 * type, default and help text; config.c, hugectl --help and the man page's
 * list are made from it.
 *
 * Precedence: HUGESHIM_* over HUGETLB_* over /etc/hugeshim.conf's defaults;
 * what the file denies cannot be allowed by the environment.  Bad input: one
 * line naming the variable, the value and the default used instead.  With
 * AT_SECURE the environment is ignored.
 *
 * The struct is written once by hs_config_init() and never after.
 */
#ifndef HS_CONFIG_H
#define HS_CONFIG_H

#include "base.h"

enum hs_backing {
	HS_BACKING_AUTO,    /* hugetlb, then THP, then base pages */
	HS_BACKING_HUGETLB, /* as auto; THP is not used as the fallback */
	HS_BACKING_THP,     /* THP, then base pages: the pool is not touched */
	HS_BACKING_BASE,    /* base pages only */
};

enum hs_fallback {
	HS_FALLBACK_TRY, /* huge pages where they are to be had (default) */
	HS_FALLBACK_ON,  /* only what a fallback would use (no pool page) */
	HS_FALLBACK_OFF, /* ENOMEM instead of a fallback: asked for, so given */
};

enum hs_cow_engine { HS_COW_KERNEL, HS_COW_SIGSEGV, HS_COW_OFF };

enum hs_numa_mode {
	HS_NUMA_NONE, /* the process's own policy stays */
	HS_NUMA_LOCAL,
	HS_NUMA_INTERLEAVE, /* without a node: over all */
	HS_NUMA_BIND,
	HS_NUMA_PREFERRED,
};

#define HS_NUMA_NODES 1024

struct hs_config_numa {
	enum hs_numa_mode mode;
	uint64_t nodes[HS_NUMA_NODES / 64];
};

struct hs_config {
	bool enabled;        /* HUGESHIM: off -> base pages, no huge page */
	bool heap;           /* HUGESHIM_HEAP: back the heap with huge pages */
	bool mmap;           /* HUGESHIM_MMAP: back mappings with huge pages */
	bool shm;            /* HUGESHIM_SHM: shmget on huge pages */
	bool inherit;        /* HUGESHIM_INHERIT: children keep the preload */
	bool secure;         /* AT_SECURE: the environment was ignored */
	bool trust_seccomp;  /* HUGESHIM_SECCOMP=trust: filters allow us */
	bool stats_json;     /* HUGESHIM_STATS_FORMAT=json */
	enum hs_backing backing;     /* HUGESHIM_BACKING */
	enum hs_fallback fallback;   /* HUGESHIM_FALLBACK */
	enum hs_cow_engine cow;      /* HUGESHIM_COW */
	int verbose;                 /* HUGESHIM_VERBOSE 0..3 */
	size_t page_size_bytes;      /* HUGESHIM_PAGE_SIZE, 0: the default */
	size_t limit_bytes;          /* HUGESHIM_LIMIT, SIZE_MAX: none */
	unsigned limit_percent;      /* HUGESHIM_LIMIT in percent of the pool;
				      * default 95; 0 when bytes were given.
				      * Where the file gives one and the
				      * environment the other, both hold */
	size_t mmap_threshold_bytes; /* HUGESHIM_MMAP_THRESHOLD: mappings from
				      * this size on, at least a huge page */
	size_t mmap_first_bytes;     /* HUGESHIM_MMAP_FIRST: bytes mapped on
				      * base pages before the first huge one */
	size_t base_first_bytes;     /* HUGESHIM_BASE_FIRST: heap bytes on base
				      * pages before the first huge page, 1M */
	size_t populate_max_bytes;   /* HUGESHIM_POPULATE_MAX: blocks up to this
				      * are populated at once, 64M */
	size_t retain_bytes;         /* HUGESHIM_RETAIN: free huge pages kept
				      * for ever, 64M */
	long decay_ms;               /* HUGESHIM_DECAY: free pages above that
				      * are kept this long; -1 for ever; 10000*/
	size_t cow_min_bytes;        /* HUGESHIM_COW_MIN: smaller heaps are left
				      * to the kernel, 64M */
	long reserve_pages;          /* HUGESHIM_RESERVE: taken at start */
	struct hs_config_numa numa;  /* HUGESHIM_NUMA */
	const char *mount;           /* HUGESHIM_MOUNT: hugetlbfs mount to use
				      * instead of MAP_HUGETLB, or NULL */
	const char *stats_path;      /* HUGESHIM_STATS: NULL off, "-" stderr,
				      * else a file, %p is the PID */
};

/* Valid after hs_config_init(). */
extern const struct hs_config *hs_config;

/* Read everything.  @envp: the environment block, NULL-terminated (not
 * getenv: this may run before libc's constructors).  Reads
 * /etc/hugeshim.conf (honoured only if owned by root and writable by none
 * else; absent costs one failed open) and, only if the file has rules by
 * executable, /proc/self/exe.  Called once, before any thread.  Sets the log
 * level. */
void hs_config_init(char *const *envp, bool secure);

/* "4K", "2M", "1G", "17" -> bytes.  0 or -EINVAL / -ERANGE. */
int hs_config_parse_size(const char *text, size_t *size_bytes);

/* "0-3,5" -> bits.  0 or -EINVAL. */
int hs_config_parse_nodes(const char *text,
			  uint64_t nodes[HS_NUMA_NODES / 64]);

/* Would hs_config_init() take @value for @variable ("HUGESHIM_LIMIT")?  0;
 * -EINVAL with what is wrong in @why ("'x' is not ..."); -ENOENT for no such
 * variable.  For hugectl; Context: one thread. */
int hs_config_check(const char *variable, const char *value, char *why,
		    size_t why_size);

#endif
