/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thrift_small BYTES - allocate so much in blocks of mixed sizes, keep it, and
 * say how many bytes are on huge pages.  Churns below the bound as well: what
 * counts is what is alive, not what has ever been asked for.
 */
#include "tests/lib/hs_test.h"

#include <sys/mman.h>

#define NR 4096

int main(int argc, char **argv)
{
	static void *keep[NR];
	struct hs_t_rng rng = { 3 };
	size_t want = argc > 1 ? strtoull(argv[1], NULL, 0) : 0, got = 0;

	for (int i = 0; i < 100000; i++) {
		size_t len = 1 + hs_t_below(&rng, 4096);
		void *p = malloc(len);

		HS_T_CHECK(p);
		hs_t_fill(p, len, len);
		free(p);
	}
	for (int i = 0; i < NR && got < want; i++) {
		size_t len = 16 + hs_t_below(&rng, 8192);

		if (len > want - got)
			len = want - got;
		keep[i] = malloc(len);
		HS_T_CHECK(keep[i]);
		hs_t_fill(keep[i], len, len);
		got += len;
	}
	printf("heap %zu huge %lld\n", got, hs_t_hugetlb_bytes(0));
	return 0;
}
