/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hog.h - a process that takes the free huge pages on command and gives them
 * back, so that a test chooses the moment at which the pool is empty.
 *
 * The hog is a child that only makes system calls: it works the same in a
 * program under the library, and must be started before the program has a heap
 * worth speaking of.  It dies when the commands' pipe has no writer left, that
 * is with the process that started it (children of that process close it by
 * hog_forget(), or hold it as long as they live).
 */
#ifndef HS_TEST_HOG_H
#define HS_TEST_HOG_H

#include "hs_test.h" /* first: it asks for the GNU names */

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct hog {
	struct hs_t_gate command;
	struct hs_t_gate done;
	pid_t pid;
};

/* The most that a hog takes: far above every pool a test may make. */
#define HOG_PAGES 16384

struct hog_range {
	unsigned char *base;
	size_t huge;
	size_t taken;
};

HS_T_FN bool hog_range_init(struct hog_range *r)
{
	r->huge = hs_t_huge_bytes();
	r->taken = 0;
	if (!r->huge)
		return false;
	r->base =
		mmap(NULL, HOG_PAGES * r->huge, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE,
		     -1, 0);
	if (r->base == MAP_FAILED)
		r->base = NULL;
	return r->base != NULL;
}

/* Take free pages until none is left. */
HS_T_FN void hog_range_take(struct hog_range *r)
{
	while (r->taken < HOG_PAGES &&
	       madvise(r->base + r->taken * r->huge, r->huge,
		       MADV_POPULATE_WRITE) == 0)
		r->taken++;
}

/* Give back all but @keep. */
HS_T_FN void hog_range_give(struct hog_range *r, size_t keep)
{
	if (r->taken <= keep)
		return;
	madvise(r->base + keep * r->huge, (r->taken - keep) * r->huge,
		MADV_DONTNEED);
	r->taken = keep;
}

/* In this process and for good: what is free by now. */
HS_T_FN void hog_drain(void)
{
	static struct hog_range r;

	if (r.base || hog_range_init(&r))
		hog_range_take(&r);
}

HS_T_FN __attribute__((noreturn)) void hog_main(struct hog *h)
{
	struct hog_range r;
	int c;

	close(h->command.fd[1]);
	close(h->done.fd[0]);
	if (!hog_range_init(&r))
		_exit(1);
	hs_t_gate_post(&h->done, 'r');
	while ((c = hs_t_gate_wait(&h->command)) >= 0) {
		if (c == 't')
			hog_range_take(&r);
		else
			hog_range_give(&r, 0);
		hs_t_gate_post(&h->done, 'r');
	}
	_exit(0);
}

/* False where the kernel has no huge pages. */
HS_T_FN bool hog_start(struct hog *h)
{
	hs_t_gate_open(&h->command);
	hs_t_gate_open(&h->done);
	h->pid = fork();
	HS_T_CHECK(h->pid >= 0);
	if (h->pid == 0)
		hog_main(h);
	close(h->command.fd[0]);
	close(h->done.fd[1]);
	return hs_t_gate_wait(&h->done) == 'r';
}

/* Any process that has the hog's pipes may command it, one at a time. */
HS_T_FN bool hog_order(struct hog *h, char c)
{
	return hs_t_gate_post(&h->command, c) &&
	       hs_t_gate_wait(&h->done) == 'r';
}

/* Empty the pool. */
HS_T_FN bool hog_take(struct hog *h)
{
	return hog_order(h, 't');
}

HS_T_FN bool hog_give(struct hog *h)
{
	return hog_order(h, 'g');
}

HS_T_FN void hog_forget(struct hog *h)
{
	close(h->command.fd[1]);
	close(h->done.fd[0]);
}

HS_T_FN void hog_stop(struct hog *h)
{
	hog_forget(h);
	waitpid(h->pid, NULL, 0);
}

#endif
