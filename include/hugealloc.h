/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugealloc.h - memory on huge pages, asked for explicitly: hugealloc(3).
 *
 *	struct hugealloc_attr attr = HUGEALLOC_ATTR_INIT;
 *	void *table;
 *
 *	attr.fallback = HUGEALLOC_REQUIRE;
 *	table = hugealloc((size_t)1 << 30, &attr);
 *	...
 *	hugealloc_free(table, (size_t)1 << 30);
 *
 * Sizes and addresses are in bytes.  Memory is private, anonymous, readable,
 * writable, zeroed, and starts on a page of the size that was asked for.  All
 * of its huge pages are there when hugealloc() returns: a shortage is an answer
 * of hugealloc(), not a SIGBUS later.
 *
 * Functions that fail return NULL or -1, set errno and change nothing; those
 * that succeed leave errno alone.  All are thread-safe; none may be called in a
 * signal handler.
 *
 * C99 and C++11.  Link with: pkg-config --cflags --libs hugealloc
 */
#ifndef HUGEALLOC_H
#define HUGEALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to do where there are not enough huge pages. */
enum hugealloc_fallback {
	/* Page by page: as many huge pages as there are, smaller pages for the
	 * rest.  Fails only where malloc(3) would. */
	HUGEALLOC_PREFER = 0,
	/* Whole: all of it on huge pages, or all of it on smaller ones, and no
	 * huge page taken. */
	HUGEALLOC_TRY = 1,
	/* All of it on huge pages, or ENOMEM. */
	HUGEALLOC_REQUIRE = 2
};

/* On which memory nodes: see mbind(2), whose modes these are. */
enum hugealloc_numa {
	HUGEALLOC_NUMA_DEFAULT = 0,    /* the thread's policy; no nodes */
	HUGEALLOC_NUMA_LOCAL = 1,      /* where the caller runs; no nodes */
	HUGEALLOC_NUMA_BIND = 2,       /* on these nodes and no other */
	HUGEALLOC_NUMA_INTERLEAVE = 3, /* page by page over these; NULL: all */
	HUGEALLOC_NUMA_PREFERRED = 4   /* on this one node while it has some */
};

/* Flags of struct hugealloc_attr. */

/* Children of fork(2) do not get the memory (MADV_DONTFORK): a write after a
 * fork never needs a page more.  A child that touches it gets SIGSEGV. */
#define HUGEALLOC_DONTFORK 0x1u

/* Flags of hugealloc_resize(). */
#define HUGEALLOC_MAYMOVE 0x1u

/* How memory is to be had.  Set struct_size, or start from
 * HUGEALLOC_ATTR_INIT; members that a later version adds are then 0, which is
 * what they are without it. */
struct hugealloc_attr {
	size_t struct_size; /* sizeof(struct hugealloc_attr) */
	size_t page_size;   /* bytes: one of hugealloc_page_sizes(), or the base
			     * page's; 0: hugealloc_page_size(NULL) */
	int fallback;       /* enum hugealloc_fallback */
	int numa;           /* enum hugealloc_numa */
	const char *nodes;  /* as numactl(8) takes them: "0,2-3", "all", "!1";
			     * not kept */
	unsigned flags;     /* HUGEALLOC_DONTFORK */
};

#define HUGEALLOC_ATTR_INIT                                                    \
	{                                                                      \
		sizeof(struct hugealloc_attr), 0, HUGEALLOC_PREFER,            \
			HUGEALLOC_NUMA_DEFAULT, NULL, 0                        \
	}

/*
 * At least @size bytes of memory as @attr (NULL: HUGEALLOC_ATTR_INIT) says.
 * What is mapped is a whole number of pages of the size asked for.
 *
 * NULL and errno:
 *   EINVAL      size 0; an unknown member's value or flag; no such page size;
 *               nodes that numactl(8) would refuse, do not go with the policy,
 *               or are not allowed to the process
 *   ENOMEM      no memory; HUGEALLOC_REQUIRE: not enough huge pages, or none
 *               for this process (cap, HUGESHIM=off, RLIMIT_AS, seccomp: see
 *               hugealloc(3))
 *   EOPNOTSUPP  huge pages of another size than hugealloc_page_size(NULL)
 *               without HUGEALLOC_DONTFORK
 *   ENOSYS      a policy, and the kernel has none (CONFIG_NUMA)
 */
void *hugealloc(size_t size, const struct hugealloc_attr *attr);

/*
 * Give back what hugealloc() or hugealloc_resize() returned; @size is the size
 * last asked for.  NULL is freed by doing nothing.
 *
 * 0; or -1 and errno: EINVAL, no block of that size is at @p (nor, in a child,
 * one with HUGEALLOC_DONTFORK); ENOMEM, the kernel refuses (vm.max_map_count).
 */
int hugealloc_free(void *p, size_t size);

/*
 * Make the block at @p, of @old_size bytes, @new_size bytes large; contents up
 * to the smaller of both are kept, new memory is zeroed and comes as the
 * block's attributes say.  Without HUGEALLOC_MAYMOVE the address stays.  With
 * it, pages move; they are not copied.  Pages that are left over are given
 * back.
 *
 * The address; or NULL and errno, the block as before: EINVAL, no such block,
 * @new_size 0 or an unknown flag; ENOMEM as hugealloc(), or the block cannot
 * grow where it is.
 */
void *hugealloc_resize(void *p, size_t old_size, size_t new_size,
		       unsigned flags);

/* What lies behind a range of addresses, in bytes; their sum is its length. */
struct hugealloc_info {
	uint64_t hugetlb;  /* on huge pages of the pool */
	uint64_t thp;      /* on transparent huge pages */
	uint64_t base;     /* on base pages */
	uint64_t absent;   /* mapped, no page there: not touched, swapped */
	uint64_t unmapped; /* no mapping */
	uint64_t reserved[3];
};

/*
 * Coverage of any memory of the process, this library's or not: the pages that
 * [addr, addr + len) touches; @len is rounded up to them.  Read from
 * /proc/self; a millisecond for some hundred mappings.  Other threads may
 * change what is reported.  Transparent huge pages of a mapping that the range
 * covers in part are told exactly from Linux 6.7 on (PAGEMAP_SCAN); before that
 * they count as in the mapping, as far as the range is present.
 *
 * 0; or -1 and errno: EINVAL, @len 0, beyond the address space, or @info NULL;
 * what opening /proc/self/smaps fails with.
 */
int hugealloc_query(const void *addr, size_t len, struct hugealloc_info *info);

/*
 * Bytes of the kernel's page behind @addr: a huge page's size for memory of the
 * pool, touched or not, and for a transparent huge page (from Linux 6.7 on),
 * else a base page's.  NULL: the size that hugealloc() uses by itself.
 *
 * -1 and errno: EFAULT, nothing is mapped there; errors of hugealloc_query().
 */
long hugealloc_page_size(const void *addr);

/*
 * The sizes of huge pages that the kernel has, in bytes, ascending.  At most
 * @nr are stored; @sizes may be NULL if @nr is 0.
 *
 * How many there are (0: none); or -1 and errno EINVAL.
 */
int hugealloc_page_sizes(size_t sizes[], int nr);

/* Counts since the process (or fork child) began.  With libhugeshim.so in the
 * process they are of its engine, which serves both. */
struct hugealloc_stats {
	size_t struct_size;     /* sizeof(struct hugealloc_stats), set by the
				 * caller */
	uint64_t blocks;        /* there now */
	uint64_t bytes;         /* mapped for them, all kinds of page */
	uint64_t huge_bytes;    /* of these, on huge pages of the pool */
	uint64_t fallback_pages;/* huge pages that could not be had */
	uint64_t rescued_pages; /* that became base pages in a fault (fork) */
	uint64_t converted_pages; /* that became base pages, for any reason */
	uint64_t failed;        /* calls that returned ENOMEM */
};

/* 0; or -1 and errno EINVAL: NULL, or a struct_size that is not one. */
int hugealloc_stats(struct hugealloc_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
