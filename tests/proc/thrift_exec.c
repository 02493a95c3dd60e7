/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thrift_exec LIBRARY [PAIRS] - what the library adds to an exec of /bin/true.
 *
 * Bare and preloaded runs take turns, so that both meet the same noise.  Prints
 * "bare US preloaded US added US": medians, and the difference of the medians.
 * posix_spawn, so that the size of this process plays no part.
 */
#include "tests/lib/hs_test.h"

#include <spawn.h>
#include <time.h>

#define MAX_PAIRS 5000

static double samples[2][MAX_PAIRS];

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static double run_us(char **envp)
{
	static char *argv[] = { (char *)"true", NULL };
	double start = now_us();
	int status;
	pid_t pid;

	HS_T_CHECK(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, envp) == 0);
	HS_T_CHECK(waitpid(pid, &status, 0) == pid && status == 0, "%s",
		   hs_t_status(status));
	return now_us() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static char preload[4200] = "LD_PRELOAD=",
		    path[] = "PATH=/bin:/usr/bin";
	char *bare[] = { path, NULL };
	char *shim[] = { preload, path, NULL };
	int pairs = argc > 2 ? atoi(argv[2]) : 500;

	HS_T_CHECK(argc > 1 && pairs > 10 && pairs <= MAX_PAIRS);
	strncat(preload, argv[1], 4096);
	for (int i = 0; i < 10; i++) {
		run_us(bare);
		run_us(shim);
	}
	for (int i = 0; i < pairs; i++) {
		samples[i & 1][i] = run_us(i & 1 ? shim : bare);
		samples[!(i & 1)][i] = run_us(i & 1 ? bare : shim);
	}
	for (int k = 0; k < 2; k++)
		qsort(samples[k], (size_t)pairs, sizeof(double), compare);
	printf("bare %.0f preloaded %.0f added %.0f\n", samples[0][pairs / 2],
	       samples[1][pairs / 2],
	       samples[1][pairs / 2] - samples[0][pairs / 2]);
	return 0;
}
