/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program_maps.c - `program maps`: calls on mappings, each followed by a look
 * at every page.  A call that fails must have changed nothing.  HS_MAPS_LEFT in
 * the environment makes the kernel refuse what takes more mappings than that.
 */
#include "tests/fault/program.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define MAX_PAGES 4096

/* A range under watch: what each page holds, if it is there. */
struct area {
	unsigned char *p;
	size_t nr;
	uint64_t tag[MAX_PAGES]; /* 0: zeros */
	bool hole[MAX_PAGES];
	bool hidden[MAX_PAGES]; /* PROT_NONE */
	bool fixed[MAX_PAGES];  /* PROT_READ */
};

static struct area a, b;

static uint64_t *word(const struct area *area, size_t page, size_t at)
{
	return (uint64_t *)(area->p + page * PAGE + at);
}

static bool is_mapped(const struct area *area, size_t page)
{
	unsigned char vec;

	return mincore(area->p + page * PAGE, PAGE, &vec) == 0 ||
	       errno != ENOMEM;
}

static void check_page(const struct area *area, size_t page)
{
	uint64_t tag = area->tag[page];

	if (is_mapped(area, page) == area->hole[page]) {
		fprintf(stderr, "program: page %zu of %p is%s mapped\n", page,
			(void *)area->p, area->hole[page] ? "" : " not");
		_exit(WRONG_BYTE);
	}
	if (area->hole[page] || area->hidden[page])
		return;
	if (*word(area, page, 0) != tag || *word(area, page, 2048) != tag ||
	    *word(area, page, PAGE - 8) != tag) {
		fprintf(stderr,
			"program: page %zu of %p has %llx, %llx was written\n",
			page, (void *)area->p,
			(unsigned long long)*word(area, page, 0),
			(unsigned long long)tag);
		_exit(WRONG_BYTE);
	}
}

static void check_area(const struct area *area)
{
	for (size_t i = 0; i < area->nr; i++)
		check_page(area, i);
}

static void write_page(struct area *area, size_t page, uint64_t tag)
{
	*word(area, page, 0) = tag;
	*word(area, page, 2048) = tag;
	*word(area, page, PAGE - 8) = tag;
	area->tag[page] = tag;
}

static void write_all(struct area *area, uint64_t seed)
{
	for (size_t i = 0; i < area->nr; i++)
		if (!area->hole[i] && !area->hidden[i] && !area->fixed[i])
			write_page(area, i, seed + i);
	check_area(area);
}

static void start(struct area *area, size_t bytes, int prot)
{
	area->nr = bytes / PAGE;
	/* A call that fails once is the program's own, and may be made again.
	 */
	for (int i = 0; i < 2; i++) {
		area->p = mmap(NULL, bytes, prot,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			       0);
		if (area->p != MAP_FAILED)
			break;
	}
	if (area->p == MAP_FAILED)
		out_of_memory("a mapping");
	for (size_t i = 0; i < area->nr; i++) {
		area->tag[i] = 0;
		area->hole[i] = false;
		area->hidden[i] = prot == PROT_NONE;
		area->fixed[i] = false;
	}
	check_area(area);
}

/* --- calls, and what they do to the pages -------------------------------- */

static void unmap(struct area *area, size_t first, size_t nr)
{
	if (munmap(area->p + first * PAGE, nr * PAGE) == 0)
		for (size_t i = first; i < first + nr; i++)
			area->hole[i] = true;
	check_area(area);
}

static void protect(struct area *area, size_t first, size_t nr, int prot)
{
	if (mprotect(area->p + first * PAGE, nr * PAGE, prot) == 0)
		for (size_t i = first; i < first + nr; i++) {
			area->hidden[i] = prot == PROT_NONE;
			area->fixed[i] = prot == PROT_READ;
		}
	check_area(area);
}

/* Refused half-way, it may have done a part: each page is as it was, or zero.
 */
static void empty(struct area *area, size_t first, size_t nr)
{
	int ret = madvise(area->p + first * PAGE, nr * PAGE, MADV_DONTNEED);

	for (size_t i = first; i < first + nr; i++)
		if (ret == 0 || *word(area, i, 0) == 0)
			area->tag[i] = 0;
	check_area(area);
}

static void map_over(struct area *area, size_t first, size_t nr)
{
	void *p = mmap(area->p + first * PAGE, nr * PAGE,
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	for (size_t i = first; p != MAP_FAILED && i < first + nr; i++) {
		area->tag[i] = 0;
		area->hole[i] = false;
		area->hidden[i] = false;
		area->fixed[i] = false;
	}
	check_area(area);
}

static void resize(struct area *area, size_t nr)
{
	unsigned char *p = mremap(area->p, area->nr * PAGE, nr * PAGE,
				  MREMAP_MAYMOVE);

	if (p != MAP_FAILED) {
		for (size_t i = area->nr; i < nr; i++) {
			area->tag[i] = 0;
			area->hole[i] = false;
			area->hidden[i] = area->hidden[area->nr - 1];
			area->fixed[i] = area->fixed[area->nr - 1];
		}
		area->p = p;
		area->nr = nr;
	}
	check_area(area);
}

/* Pages of @from in the place of others of @to. */
static void move_onto(struct area *to, size_t first, struct area *from,
		      size_t src, size_t nr)
{
	void *p;

	if (src + nr > from->nr)
		return; /* for want of memory it did not grow */
	p = mremap(from->p + src * PAGE, nr * PAGE, nr * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, to->p + first * PAGE);
	for (size_t i = 0; p != MAP_FAILED && i < nr; i++) {
		to->tag[first + i] = from->tag[src + i];
		to->hole[first + i] = false;
		to->hidden[first + i] = from->hidden[src + i];
		to->fixed[first + i] = from->fixed[src + i];
		from->hole[src + i] = true;
	}
	check_area(to);
	check_area(from);
}

static int in_a_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return NO_MEMORY;
	if (pid == 0) {
		check_area(&a);
		write_all(&a, 0x700000);
		unmap(&a, 300, 700);
		check_area(&b);
		_exit(RIGHT);
	}
	write_all(&a, 0x900000);
	pid = child_status(pid);
	check_area(&a);
	return pid;
}

/* HS_MAPS_LEFT: room for so many mappings more, about; what is refused is
 * refused by the kernel then. */
static void crowd(long left)
{
	const char *text = hs_t_slurp("/proc/sys/vm/max_map_count");
	size_t max = strtoul(text ? text : "65530", NULL, 10), i = 0;
	char *p = mmap(NULL, 2 * max * PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		out_of_memory("a mapping to split");
	while (i < max && mprotect(p + 2 * i * PAGE, PAGE, PROT_READ) == 0)
		i++;
	/* Each page that is like the others again joins three to one. */
	for (; left > 0 && i > 0; left -= 2)
		mprotect(p + 2 * --i * PAGE, PAGE, PROT_NONE);
}

int run_maps(void)
{
	const char *left = getenv("HS_MAPS_LEFT");
	int status;

	start(&a, 16 * MIB, PROT_READ | PROT_WRITE);
	write_all(&a, 0x100000);
	if (left)
		crowd(atol(left));
	unmap(&a, 700, 1);
	protect(&a, 1030, 900, PROT_READ);
	protect(&a, 1030, 900, PROT_READ | PROT_WRITE);
	protect(&a, 1024, 512, PROT_NONE);
	protect(&a, 1024, 1024, PROT_READ | PROT_WRITE);
	empty(&a, 2051, 3);
	empty(&a, 2560, 1024);
	write_all(&a, 0x200000);
	map_over(&a, 600, 200);
	map_over(&a, 3584, 512);
	start(&b, 12 * MIB, PROT_NONE);
	protect(&b, 256, 2048, PROT_READ | PROT_WRITE);
	write_all(&b, 0x300000);
	protect(&b, 0, 3072, PROT_READ | PROT_WRITE);
	write_all(&b, 0x400000);
	resize(&b, 1500);
	resize(&b, 3500);
	write_all(&b, 0x500000);
	move_onto(&a, 512, &b, 1024, 1024);
	move_onto(&a, 2100, &b, 10, 600);
	status = in_a_child();
	unmap(&a, 0, a.nr);
	unmap(&b, 0, b.nr);
	return status;
}
