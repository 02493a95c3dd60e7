/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_limits - limits that leave no room at all, at a fork with no huge page
 * left: the copies need what the bare program's would, and not a byte more of
 * address space.
 *
 *   fork_limits as | data | mlock | mlock-user
 *
 *   as, data    RLIMIT_AS, RLIMIT_DATA lowered to what is in use
 *   mlock       mlockall(MCL_FUTURE) by root
 *   mlock-user  the same by an ordinary user whose RLIMIT_MEMLOCK is exceeded
 *
 * Each is set after the heap is filled; then parent and child rewrite all.
 * Exit status: 0, 1 with a line, or 77.
 */
#include "tests/lib/blocks.h"
#include "tests/lib/hog.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define MIB 40

static struct hog hog;
static struct blocks set;
static struct hs_t_rng rng;

static void lower(int resource, const char *field)
{
	struct rlimit r;
	long long kib = hs_t_field("/proc/self/status", field, false);

	HS_T_CHECK(kib > 0 && getrlimit(resource, &r) == 0);
	r.rlim_cur = (rlim_t)kib << 10;
	HS_T_CHECK(setrlimit(resource, &r) == 0);
}

static void lock_as_user(void)
{
	struct rlimit r = { 1 << 20, 1 << 20 };

	HS_T_CHECK(setrlimit(RLIMIT_MEMLOCK, &r) == 0);
	HS_T_CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 &&
		   setuid(65534) == 0);
	HS_T_CHECK(mlockall(MCL_FUTURE) == 0);
}

static void limit(const char *what)
{
	if (strcmp(what, "as") == 0)
		lower(RLIMIT_AS, "VmSize");
	else if (strcmp(what, "data") == 0)
		lower(RLIMIT_DATA, "VmData");
	else if (strcmp(what, "mlock") == 0)
		HS_T_CHECK(mlockall(MCL_FUTURE) == 0);
	else if (strcmp(what, "mlock-user") == 0)
		lock_as_user();
	else
		HS_T_CHECK(false, "no such limit");
}

static void child(struct hs_t_gate *go)
{
	close(go->fd[1]);
	HS_T_CHILD(hs_t_gate_wait(go) == 'g', 7);
	HS_T_CHILD(blocks_verify(&set), 8);
	blocks_rewrite(&set, &rng);
	HS_T_CHILD(blocks_verify(&set), 9);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct hs_t_gate go;
	pid_t pid;

	HS_T_CHECK(argc == 2);
	rng.state = hs_t_seed(1);
	if (!hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	HS_T_CHECK(blocks_make(&set, &rng, (size_t)MIB << 20));
	fprintf(stderr, "%s: %lld MiB on huge pages\n", argv[1],
		hs_t_hugetlb_bytes(0) >> 20);
	limit(argv[1]);
	HS_T_CHECK(hog_take(&hog));
	hs_t_gate_open(&go);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		child(&go);
	/* First, or the child would leave the pages to this process. */
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(blocks_verify(&set));
	hs_t_gate_post(&go, 'g');
	HS_T_WAIT_OK(pid);
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(blocks_verify(&set));
	hog_stop(&hog);
	printf("%s holds\n", argv[1]);
	return 0;
}
