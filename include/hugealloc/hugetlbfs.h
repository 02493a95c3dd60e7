/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugetlbfs.h - the interface of libhugetlbfs 2.23, for programs that were
 * written for it: hugetlbfs(3).  Names, values and answers are those of
 * libhugetlbfs; the memory is libhugealloc's.
 *
 * Link with: pkg-config --cflags --libs hugealloc
 */
#ifndef _HUGETLBFS_H
#define _HUGETLBFS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HUGETLBFS_MAGIC 0x958458f6

/* Bytes of a huge page by default: HUGETLB_DEFAULT_PAGE_SIZE, else the
 * kernel's.  -1 and errno ENOSYS: the kernel has none. */
long gethugepagesize(void);
/* All sizes; the default first.  At most @n_elem are stored; with NULL and 0
 * they are counted.  -1 and errno EINVAL. */
int gethugepagesizes(long pagesizes[], int n_elem);
/* The same behind the base page's size. */
int getpagesizes(long pagesizes[], int n_elem);

/* 1: on a hugetlbfs; 0: not; -1 and errno of statfs(2). */
int hugetlbfs_test_path(const char *mount);
/* A mount for that page size (HUGETLB_PATH, else the first mounted that the
 * process may write to), or NULL.  The string stays. */
const char *hugetlbfs_find_path(void);
const char *hugetlbfs_find_path_for_size(long page_size);
/* A new unlinked file there; -1 on failure. */
int hugetlbfs_unlinked_fd(void);
int hugetlbfs_unlinked_fd_for_size(long page_size);

#define PF_LINUX_HUGETLB 0x100000

typedef unsigned long ghp_t;
#define GHP_DEFAULT ((ghp_t)0x01UL)
#define GHP_MASK (GHP_DEFAULT)

/* @len bytes, a multiple of the default huge page; all on huge pages, or NULL
 * and errno ENOMEM. */
void *get_huge_pages(size_t len, ghp_t flags);
void free_huge_pages(void *ptr);

typedef unsigned long ghr_t;
#define GHR_STRICT ((ghr_t)0x10000000U)
#define GHR_FALLBACK ((ghr_t)0x20000000U)
#define GHR_COLOR ((ghr_t)0x40000000U)
#define GHR_DEFAULT (GHR_FALLBACK | GHR_COLOR)
#define GHR_MASK (GHR_FALLBACK | GHR_STRICT | GHR_COLOR)

/* @len bytes of any length, on huge pages; with GHR_FALLBACK on base pages when
 * there are not enough.  With GHR_COLOR the start is moved by whole cache lines
 * within what would be left over. */
void *get_hugepage_region(size_t len, ghr_t flags);
void free_hugepage_region(void *ptr);

#ifdef __cplusplus
}
#endif

#endif
