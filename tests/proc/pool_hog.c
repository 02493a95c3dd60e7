/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool_hog take|churn [SEED] - take every free huge page.
 *
 * take: says "ready" and holds them until it is killed or standard input
 * ends.  churn: takes all, gives back all or a part, at random, until it is
 * killed or standard input ends; "ready" comes after the first round.
 */
#include "tests/lib/hog.h"

#include <poll.h>

static bool input_ended(int timeout_ms)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	char c;

	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	return read(0, &c, 1) <= 0;
}

int main(int argc, char **argv)
{
	struct hs_t_rng rng = { argc > 2 ? strtoull(argv[2], NULL, 0) : 1 };
	bool churn = argc > 1 && strcmp(argv[1], "churn") == 0;
	struct hog_range r;

	if (!hog_range_init(&r))
		return HS_T_SKIP;
	hog_range_take(&r);
	if (write(1, "ready\n", 6) != 6)
		return 1;
	while (!input_ended(churn ? (int)hs_t_below(&rng, 3) : -1)) {
		if (!churn)
			continue;
		hog_range_give(&r, hs_t_below(&rng, r.taken + 1));
		if (input_ended((int)hs_t_below(&rng, 3)))
			break;
		hog_range_take(&r);
	}
	return 0;
}
