/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls on base pages in the middle of huge pages, twice in each slot: what
 * they do, and that the rest stays.
 *
 *   vm_partial munmap|mprotect|dontneed|move|shrink
 *
 * How many huge pages become base pages the library's report says; the last
 * line of the output is how many may.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mman.h>

#include "../lib/hs_test.h"

#define NR_SLOTS 32
#define PAGE 4096
/* In each slot, in pages; apart from each other. */
#define HOLE_1 100
#define HOLE_2 300

static size_t slot_bytes;
static char *memory;

/* Can the kernel read the page?  It may lie anywhere, even nowhere. */
static bool is_readable(const char *p)
{
	static int fd[2] = { -1, -1 };
	char c;

	if (fd[0] < 0)
		HS_T_CHECK(pipe(fd) == 0);
	if (write(fd[1], p, 1) != 1)
		return false;
	HS_T_CHECK(read(fd[0], &c, 1) == 1);
	return true;
}

static void change(const char *what, char *p)
{
	int err = 0;

	if (strcmp(what, "munmap") == 0)
		err = munmap(p, PAGE);
	else if (strcmp(what, "mprotect") == 0)
		err = mprotect(p, PAGE, PROT_NONE);
	else if (strcmp(what, "dontneed") == 0)
		err = madvise(p, PAGE, MADV_DONTNEED);
	else
		hs_t_skip("no such case");
	HS_T_CHECK(err == 0, "%s", what);
}

static void check_hole(const char *what, const char *p)
{
	static const char zeros[PAGE];

	if (strcmp(what, "dontneed") == 0)
		HS_T_CHECK(memcmp(p, zeros, PAGE) == 0);
	else
		HS_T_CHECK(!is_readable(p), "%s", what);
}

static void check_slot(const char *what, unsigned i)
{
	const char *p = memory + i * slot_bytes;

	for (size_t page = 0; page < slot_bytes / PAGE; page++)
		if (page == HOLE_1 || page == HOLE_2)
			check_hole(what, p + page * PAGE);
		else
			HS_T_CHECK(hs_t_verify(p + page * PAGE, PAGE,
					       i * 1000 + page) == -1,
				   "%s: slot %u, page %zu", what, i, page);
}

static void fill(void)
{
	memory = mmap(NULL, NR_SLOTS * slot_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HS_T_CHECK(memory != MAP_FAILED);
	for (unsigned i = 0; i < NR_SLOTS; i++)
		for (size_t page = 0; page < slot_bytes / PAGE; page++)
			hs_t_fill(memory + i * slot_bytes + page * PAGE, PAGE,
				  i * 1000 + page);
}

static void holes(const char *what)
{
	for (unsigned i = 0; i < NR_SLOTS; i++)
		change(what, memory + i * slot_bytes + HOLE_1 * PAGE);
	for (unsigned i = 0; i < NR_SLOTS; i++)
		change(what, memory + i * slot_bytes + HOLE_2 * PAGE);
	for (unsigned i = 0; i < NR_SLOTS; i++)
		check_slot(what, i);
	/* Zeros need no smaller pages. */
	printf("%d\n", strcmp(what, "dontneed") == 0 ? 0 : NR_SLOTS);
}

/* A part that begins and ends in slots goes elsewhere: two edges. */
static void move(void)
{
	size_t from = 3 * slot_bytes + HOLE_1 * PAGE;
	size_t len = 20 * slot_bytes + HOLE_2 * PAGE;
	char *p = mremap(memory + from, len, len + slot_bytes, MREMAP_MAYMOVE);

	HS_T_CHECK(p != MAP_FAILED);
	for (size_t o = 0; o < len; o += PAGE) {
		unsigned i = (unsigned)((from + o) / slot_bytes);
		size_t page = (from + o) % slot_bytes / PAGE;

		HS_T_CHECK(hs_t_verify(p + o, PAGE, i * 1000 + page) == -1,
			   "moved slot %u, page %zu", i, page);
	}
	HS_T_CHECK(p == memory + from || !is_readable(memory + from));
	puts("2");
}

static void shrink(void)
{
	size_t len = 10 * slot_bytes + HOLE_1 * PAGE;
	char *p = mremap(memory, NR_SLOTS * slot_bytes, len, 0);

	HS_T_CHECK(p == memory);
	HS_T_CHECK(is_readable(memory + len - PAGE) &&
		   !is_readable(memory + len));
	HS_T_CHECK(hs_t_verify(memory + len - PAGE, PAGE,
			       10 * 1000 + HOLE_1 - 1) == -1);
	puts("1");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "munmap";

	slot_bytes = hs_t_huge_bytes();
	if (slot_bytes < 512 * PAGE)
		hs_t_skip("huge pages of %zu bytes", slot_bytes);
	fill();
	if (strcmp(what, "move") == 0)
		move();
	else if (strcmp(what, "shrink") == 0)
		shrink();
	else
		holes(what);
	return 0;
}
