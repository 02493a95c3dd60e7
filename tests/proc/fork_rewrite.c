/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_rewrite - parent, child and grandchild rewrite everything they have,
 * with the pool of huge pages exhausted at each stage.
 *
 *   fork_rewrite [--rounds N] [--threads N] [--mib N] [--seed N]
 *
 * A round: the parent fills blocks of mixed sizes, forks a child that forks a
 * grandchild; each verifies what it inherited, rewrites every byte, reallocates
 * a part and verifies again, all three at the same time or one after another as
 * the seed says.  Who empties the pool, and when, is the seed's choice as well;
 * every eighth round leaves it alone.  Then the parent frees everything, so
 * that the next round starts from huge pages.
 *
 * Every word is a mix of its offset and of a number that is new with each
 * rewrite.  All three processes would draw the same numbers: each goes on from
 * a state of its own.
 *
 * Exit status: 0; 1 with a line on what was wrong; 77 without huge pages.
 * Standard output: one line, "forks N rounds N huge PERCENT".
 */
#include "tests/lib/blocks.h"
#include "tests/lib/hog.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>

#define MAX_THREADS 16

/* What the seed decides about a round. */
enum choice {
	TAKE_BEFORE_FORK = 1,
	TAKE_IN_PARENT = 2,
	TAKE_IN_CHILD = 4,
	TAKE_IN_GRANDCHILD = 8,
	GIVE_IN_CHILD = 16,
	PARENT_FIRST = 32,     /* child starts when the parent has rewritten */
	GRANDCHILD_LATE = 64,  /* forked after the child's rewrite */
	CHILD_IS_KILLED = 128, /* in the middle of its rewrite */
	CHILD_OUTLIVES = 256,  /* next round begins while it still works */
};

static struct blocks set;
static struct hog hog;
static struct hs_t_rng rng;
static unsigned long nr_threads = 1;
static unsigned long mib = 20;
static unsigned long nr_forks;

/* --- rewriting ---------------------------------------------------------- */

/* Thread t rewrites the words of index t, t + n, ...: all threads meet in all
 * pages.  */
struct part {
	unsigned index;
	pthread_t id;
};

static void *rewrite_part(void *arg)
{
	const struct part *part = arg;

	for (size_t i = 0; i < set.nr; i++) {
		unsigned char *p = set.b[i].p;
		uint64_t seed = set.b[i].seed;
		size_t words = set.b[i].len / 8;

		for (size_t w = part->index; w < words; w += nr_threads) {
			uint64_t value = hs_t_word(seed, w * 8);

			memcpy(p + w * 8, &value, 8);
		}
		if (part->index != 0)
			continue;
		for (size_t o = words * 8; o < set.b[i].len; o++)
			p[o] = (unsigned char)(seed + o);
	}
	return NULL;
}

static bool rewrite_blocks(void)
{
	struct part parts[MAX_THREADS];

	for (size_t i = 0; i < set.nr; i++)
		set.b[i].seed = hs_t_next(&rng);
	for (unsigned t = 0; t < nr_threads; t++) {
		parts[t].index = t;
		if (t && pthread_create(&parts[t].id, NULL, rewrite_part,
					&parts[t]) != 0)
			return false;
	}
	rewrite_part(&parts[0]);
	for (unsigned t = 1; t < nr_threads; t++)
		pthread_join(parts[t].id, NULL);
	return true;
}

/* --- the three processes ------------------------------------------------ */

static void grandchild(unsigned choice)
{
	rng.state += 2ull << 56;
	HS_T_CHILD(blocks_verify(&set), 20);
	if (choice & TAKE_IN_GRANDCHILD)
		hog_take(&hog);
	HS_T_CHILD(rewrite_blocks(), 21);
	HS_T_CHILD(blocks_verify(&set), 22);
	HS_T_CHILD(blocks_shuffle(&set, &rng), 23);
	HS_T_CHILD(blocks_verify(&set), 24);
	_exit(0);
}

static pid_t fork_grandchild(unsigned choice)
{
	pid_t pid = fork();

	HS_T_CHILD(pid >= 0, 12);
	if (pid == 0)
		grandchild(choice);
	return pid;
}

static void await_grandchild(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		HS_T_CHILD(errno == EINTR, 13);
	if (status)
		dprintf(2, "grandchild: %s\n", hs_t_status(status));
	HS_T_CHILD(status == 0, 14);
}

static void child(unsigned choice, struct hs_t_gate *parent_done,
		  struct hs_t_gate *in_rewrite)
{
	pid_t pid = 0;

	if (choice & PARENT_FIRST)
		HS_T_CHILD(hs_t_gate_wait(parent_done) == 'd', 15);
	rng.state += 1ull << 56;
	HS_T_CHILD(blocks_verify(&set), 10);
	if (choice & GIVE_IN_CHILD)
		hog_give(&hog);
	if (choice & TAKE_IN_CHILD)
		hog_take(&hog);
	if (!(choice & GRANDCHILD_LATE))
		pid = fork_grandchild(choice);
	hs_t_gate_post(in_rewrite, 'w');
	HS_T_CHILD(rewrite_blocks(), 16);
	HS_T_CHILD(blocks_verify(&set), 11);
	if (!pid)
		pid = fork_grandchild(choice);
	HS_T_CHILD(blocks_shuffle(&set, &rng), 17);
	await_grandchild(pid);
	HS_T_CHILD(blocks_verify(&set), 18);
	_exit(0);
}

static void parent(unsigned choice, struct hs_t_gate *parent_done)
{
	if (choice & TAKE_IN_PARENT)
		hog_take(&hog);
	HS_T_CHECK(rewrite_blocks());
	if (choice & PARENT_FIRST)
		hs_t_gate_post(parent_done, 'd');
	HS_T_CHECK(blocks_verify(&set), "after the parent's rewrite");
	HS_T_CHECK(blocks_shuffle(&set, &rng));
}

static void await_child(pid_t pid, unsigned choice)
{
	int status = hs_t_wait(pid);

	if (choice & CHILD_IS_KILLED)
		HS_T_CHECK(status == 0 || WIFSIGNALED(status), "child: %s",
			   hs_t_status(status));
	else
		HS_T_CHECK(status == 0, "child: %s", hs_t_status(status));
	if (WIFSIGNALED(status))
		HS_T_CHECK(WTERMSIG(status) == SIGKILL, "child: %s",
			   hs_t_status(status));
}

/* --- rounds ------------------------------------------------------------- */

static unsigned choose(void)
{
	unsigned choice = (unsigned)hs_t_next(&rng) & 511;

	if (hs_t_below(&rng, 8) == 0)
		choice &= ~15u;
	if (hs_t_below(&rng, 4))
		choice &= ~(unsigned)CHILD_IS_KILLED;
	if (choice & CHILD_IS_KILLED)
		choice &= ~(unsigned)(CHILD_OUTLIVES | PARENT_FIRST);
	return choice;
}

/* Percent of the blocks that are on huge pages, at most 100. */
static unsigned huge_percent(void)
{
	long long huge = hs_t_hugetlb_bytes(0);

	if (huge < 0)
		return 0;
	huge = huge * 100 / (long long)(mib << 20);
	return huge > 100 ? 100 : (unsigned)huge;
}

/* The child that outlives its round, and what it was to do. */
static pid_t late_pid;
static unsigned late_choice;

static void round_once(unsigned *percent)
{
	struct hs_t_gate parent_done, in_rewrite;
	unsigned choice = choose();
	pid_t pid;

	if (!late_pid)
		HS_T_CHECK(hog_give(&hog));
	HS_T_CHECK(blocks_make(&set, &rng, mib << 20));
	*percent += huge_percent();
	hs_t_gate_open(&parent_done);
	hs_t_gate_open(&in_rewrite);
	if (choice & TAKE_BEFORE_FORK)
		HS_T_CHECK(hog_take(&hog));
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		child(choice, &parent_done, &in_rewrite);
	nr_forks += 2;
	if (choice & CHILD_IS_KILLED) {
		close(in_rewrite.fd[1]);
		hs_t_gate_wait(&in_rewrite);
		kill(pid, SIGKILL);
	}
	parent(choice, &parent_done);
	if (late_pid)
		await_child(late_pid, late_choice);
	late_pid = 0;
	if (choice & CHILD_OUTLIVES) {
		late_pid = pid;
		late_choice = choice;
	} else {
		await_child(pid, choice);
	}
	HS_T_CHECK(blocks_verify(&set), "at the end of the round");
	blocks_free(&set);
	malloc_trim(0);
	hs_t_gate_close(&parent_done);
	hs_t_gate_close(&in_rewrite);
}

/* Grandchildren of children that were killed: they, too, saw nothing wrong. */
static void await_orphans(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0)
		HS_T_CHECK(status == 0, "orphan %d: %s", (int)pid,
			   hs_t_status(status));
	HS_T_CHECK(errno == ECHILD);
}

int main(int argc, char **argv)
{
	unsigned long rounds = 100, seed = 1;
	const struct hs_t_number numbers[] = {
		{ "--rounds", &rounds }, { "--threads", &nr_threads },
		{ "--mib", &mib },       { "--seed", &seed },
		{ NULL, NULL },
	};
	unsigned percent = 0;

	if (!hs_t_numbers(argc, argv, numbers))
		return 6;
	HS_T_CHECK(nr_threads >= 1 && nr_threads <= MAX_THREADS);
	rng.state = hs_t_seed(seed);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (!hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	for (unsigned long r = 0; r < rounds; r++)
		round_once(&percent);
	if (late_pid)
		await_child(late_pid, late_choice);
	hog_stop(&hog);
	await_orphans();
	printf("forks %lu rounds %lu huge %u\n", nr_forks, rounds,
	       (unsigned)(percent / (rounds ? rounds : 1)));
	return 0;
}
