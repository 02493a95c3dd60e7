/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls_shapes.c - one call of each shape through which the kernel writes or
 * reads memory, on heap memory that is shared with a fork child while no huge
 * page is free: right bytes, no EFAULT.
 *
 *   calls_shapes [NAME...]    all shapes, or those named
 *
 * Each shape gets a slot (2 MiB, aligned) of its own, filled with a pattern
 * and not written since the fork.  Run bare it shows what the kernel and libc
 * do with base pages: the same.
 */
#include <sys/mman.h>

#include "../lib/hog.h"
#include "calls_shapes.h"

_Alignas(64) char aux[8192];
const char text[44] = "the quick brown fox jumps over the lazy dog";

/* --- all ---------------------------------------------------------------- */

static const struct shape {
	const char *name;
	int (*run)(char *p);
} shapes[] = {
#define X(name) { #name, shape_##name },
	SHAPES(X)
#undef X
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static bool wanted(const char *name, char **argv)
{
	if (!argv[1])
		return true;
	for (argv++; *argv; argv++)
		if (!strcmp(*argv, name))
			return true;
	return false;
}

/* The rest of the slot has still its pattern; what the shape uses lies in its
 * first 256 KiB. */
static bool rest_is_right(const char *slot, size_t i)
{
	return hs_t_verify(slot + 4 * PART, SLOT - 4 * PART, i) < 0;
}

int main(int argc, char **argv)
{
	static char *slots[NR_SHAPES];
	size_t i, failed = 0;
	struct hs_t_gate gate;
	pid_t holder;

	(void)argc;
	for (i = 0; i < NR_SHAPES; i++) {
		slots[i] = aligned_alloc(SLOT, SLOT);
		HS_T_CHECK(slots[i] != NULL);
		hs_t_fill(slots[i], 4 * PART, i + 1000);
		hs_t_fill(slots[i] + 4 * PART, SLOT - 4 * PART, i);
	}
	if (getenv("CALLS_NEED_HUGE"))
		HS_T_CHECK(hs_t_hugetlb_bytes(0) >=
				   (long long)(NR_SHAPES * SLOT * 9 / 10),
			   "only %lld bytes on huge pages",
			   hs_t_hugetlb_bytes(0));
	old_stream = fopen("/proc/self/status", "r");
	old_dir = opendir("/");
	HS_T_CHECK(old_stream != NULL && old_dir != NULL);
	hs_t_gate_open(&gate);
	holder = fork();
	HS_T_CHECK(holder >= 0);
	if (holder == 0) {
		close(gate.fd[1]);
		hs_t_gate_wait(&gate);
		_exit(0);
	}
	hog_drain();
	for (i = 0; i < NR_SHAPES; i++) {
		int line;

		if (!wanted(shapes[i].name, argv))
			continue;
		errno = 0;
		line = shapes[i].run(slots[i]);
		if (line != 0 || !rest_is_right(slots[i], i)) {
			fprintf(stderr, "%s: line %d, errno %d (%s)\n",
				shapes[i].name, line, errno, strerror(errno));
			failed++;
		}
	}
	hs_t_gate_close(&gate);
	hs_t_wait(holder);
	printf("%zu of %zu shapes failed\n", failed, (size_t)NR_SHAPES);
	return failed != 0;
}
