// SPDX-License-Identifier: LGPL-2.1-or-later
/* fork and what runs around it: while other threads allocate, from a signal
 * handler that interrupted malloc, with handlers that allocate; the heap works
 * in the child and in the child's threads. */
#include "tests/proc/both.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

static atomic_bool stop;

/* Exercise the heap; the number of the step that failed, or 0. */
static int use_heap(uint64_t seed)
{
	struct hs_t_rng rng = { seed };
	enum { NR = 64 };
	char *block[NR] = { NULL };
	size_t len[NR] = { 0 };
	int step, i;

	for (step = 0; step < 400; step++) {
		i = (int)hs_t_below(&rng, NR);
		if (block[i] && hs_t_verify(block[i], len[i], (uint64_t)i) >= 0)
			return 10;
		free(block[i]);
		len[i] = hs_t_next(&rng) >> (46 + hs_t_below(&rng, 17));
		block[i] = step % 3 ? malloc(len[i]) : calloc(1, len[i]);
		if (!block[i])
			return 11;
		hs_t_fill(block[i], len[i], (uint64_t)i);
	}
	for (i = 0; i < NR; i++) {
		if (block[i] && hs_t_verify(block[i], len[i], (uint64_t)i) >= 0)
			return 12;
		free(block[i]);
	}
	return 0;
}

static void *churn(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg;
	int problem;

	while (!atomic_load(&stop)) {
		problem = use_heap(seed++);
		if (problem)
			return (void *)(uintptr_t)problem;
	}
	return NULL;
}

/* --- from a signal handler that interrupted malloc -------------------------
 * A crash handler that starts a debugger does this: the child execs or leaves,
 * and must not hang in the fork.  Comes before any handler of pthread_atfork()
 * that allocates, which would be the program's own deadlock. */

static atomic_int forks;
static atomic_int bad_children;

static void fork_in_handler(int sig)
{
	int saved_errno = errno, status;
	pid_t pid = fork();

	(void)sig;
	if (pid == 0)
		_exit(0);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		atomic_fetch_add(&forks, 1);
	else
		atomic_fetch_add(&bad_children, 1);
	errno = saved_errno;
}

static void fork_from_handlers(int wanted)
{
	struct itimerval timer = { { 0, 700 }, { 0, 700 } }, off = { 0 };
	struct sigaction act = { 0 };
	uint64_t seed = hs_t_seed(45);

	atomic_store(&forks, 0);
	act.sa_handler = fork_in_handler;
	act.sa_flags = SA_RESTART;
	HS_T_CHECK(sigaction(SIGPROF, &act, NULL) == 0);
	/* Counts processor time: the signals land in the heap's code. */
	HS_T_CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
	while (atomic_load(&forks) < wanted && !atomic_load(&bad_children))
		HS_T_CHECK(use_heap(seed++) == 0);
	HS_T_CHECK(setitimer(ITIMER_PROF, &off, NULL) == 0);
	signal(SIGPROF, SIG_IGN);
	HS_T_CHECK(bad_children == 0, "%d of %d", bad_children, forks);
}

static void fork_from_handler(void)
{
	fork_from_handlers(150);
}

/* With threads glibc's own heap may deadlock here; this one must not, though
 * every thread takes the signals: some fork in handlers at the same time, each
 * of them holding a lock of the heap that another waits for. */
static void fork_from_handler_with_threads(void)
{
	enum { NR = 3 };
	pthread_t thread[NR];
	void *result;
	size_t i;

	atomic_store(&stop, false);
	for (i = 0; i < NR; i++)
		HS_T_CHECK(!pthread_create(&thread[i], NULL, churn,
					   (void *)(77 + 1000 * i)));
	fork_from_handlers(150);
	atomic_store(&stop, true);
	for (i = 0; i < NR; i++) {
		HS_T_CHECK(!pthread_join(thread[i], &result));
		HS_T_CHECK(!result, "thread: %zu", (size_t)result);
	}
}

static void *child_thread(void *arg)
{
	return (void *)(uintptr_t)use_heap((uint64_t)(uintptr_t)arg);
}

/* In the child: the heap of this thread, of new threads, and of grandchildren.
 */
static int child_work(uint64_t seed, int depth)
{
	pthread_t thread;
	void *result;
	int problem = use_heap(seed);
	pid_t pid;

	if (problem)
		return problem;
	if (pthread_create(&thread, NULL, child_thread, (void *)(seed + 1)) ||
	    pthread_join(thread, &result))
		return 20;
	if (result)
		return 21;
	if (depth == 0)
		return 0;
	pid = fork();
	if (pid < 0)
		return 22;
	if (pid == 0)
		_exit(child_work(seed + 2, depth - 1));
	return hs_t_wait(pid) == 0 ? 0 : 23;
}

static void fork_while_others_allocate(void)
{
	enum { NR = 4 };
	pthread_t thread[NR];
	uint64_t seed = hs_t_seed(44);
	void *result;
	int i;

	atomic_store(&stop, false);
	for (i = 0; i < NR; i++)
		HS_T_CHECK(!pthread_create(&thread[i], NULL, churn,
					   (void *)(seed + 1000 * (size_t)i)));
	for (i = 0; i < 150; i++) {
		pid_t pid = fork();

		HS_T_CHECK(pid >= 0);
		if (pid == 0)
			_exit(child_work(seed + (uint64_t)i, i % 10 == 0));
		HS_T_WAIT_OK(pid);
	}
	atomic_store(&stop, true);
	for (i = 0; i < NR; i++) {
		HS_T_CHECK(!pthread_join(thread[i], &result));
		HS_T_CHECK(!result, "thread: %zu", (size_t)result);
	}
}

/* Threads fork at the same time. */
static void *fork_often(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg;
	int i;

	for (i = 0; i < 40; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(use_heap(seed + (uint64_t)i));
		while (waitpid(pid, &status, 0) < 0)
			;
		if (status || use_heap(seed))
			return (void *)1;
	}
	return NULL;
}

static void threads_fork_together(void)
{
	pthread_t thread[4];
	void *result;
	int i;

	for (i = 0; i < 4; i++)
		HS_T_CHECK(!pthread_create(&thread[i], NULL, fork_often,
					   (void *)(size_t)(i + 1)));
	for (i = 0; i < 4; i++) {
		HS_T_CHECK(!pthread_join(thread[i], &result));
		HS_T_CHECK(!result);
	}
}

/* --- handlers that allocate --------------------------------------------- */

static void *handler_block;
static char handler_order[16];

static void note(char c)
{
	size_t len = strlen(handler_order);

	if (len < sizeof(handler_order) - 1)
		handler_order[len] = c;
	free(handler_block);
	handler_block = malloc(3000);
	memset(handler_block, c, 3000);
	free(calloc(1, 300000));
}

static void prepare_a(void)
{
	note('a');
}
static void prepare_b(void)
{
	note('b');
}
static void parent_a(void)
{
	note('p');
}
static void parent_b(void)
{
	note('q');
}
static void child_a(void)
{
	note('c');
}
static void child_b(void)
{
	note('d');
}

static void handlers_allocate(void)
{
	pid_t pid;

	pthread_atfork(prepare_a, parent_a, child_a);
	pthread_atfork(prepare_b, parent_b, child_b);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		_exit(strcmp(handler_order, "bacd") ? 30 : use_heap(9));
	HS_T_WAIT_OK(pid);
	printf("  %s\n", handler_order);
	HS_T_CHECK(use_heap(9) == 0);
}

/* --- exec --------------------------------------------------------------- */

static void vfork_and_exec(void)
{
	int i, status;

	for (i = 0; i < 20; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(40);
		}
		HS_T_CHECK(pid > 0);
		status = hs_t_wait(pid);
		HS_T_CHECK(status == 0, "%s", hs_t_status(status));
		HS_T_CHECK(use_heap((uint64_t)i) == 0);
	}
	HS_T_CHECK(system("exit 3") == 3 << 8);
}

/* The child frees and grows what the parent made, the parent's stays. */
static void child_owns_its_copy(void)
{
	enum { NR = 300 };
	static char *block[NR];
	static size_t len[NR];
	pid_t pid;
	size_t i;

	for (i = 0; i < NR; i++) {
		len[i] = i * i * 37 + 8;
		block[i] = malloc(len[i]);
		hs_t_fill(block[i], len[i], i);
	}
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		for (i = 0; i < NR; i++) {
			HS_T_CHILD(hs_t_verify(block[i], len[i], i) < 0, 50);
			block[i] = realloc(block[i], len[i] + len[i] / 2);
			HS_T_CHILD(block[i], 51);
			HS_T_CHILD(hs_t_verify(block[i], len[i] & ~7UL, i) < 0,
				   52);
			memset(block[i], 0, len[i]);
		}
		for (i = 0; i < NR; i++)
			free(block[i]);
		_exit(use_heap(1));
	}
	HS_T_WAIT_OK(pid);
	for (i = 0; i < NR; i++) {
		HS_T_CHECK(hs_t_verify(block[i], len[i], i) < 0, "%zu", i);
		free(block[i]);
	}
}

const struct hs_t_case hs_t_cases[] = {
	{ "fork_from_handler", fork_from_handler, false },
	{ "fork_from_handler_with_threads", fork_from_handler_with_threads,
	  true },
	{ "fork_while_others_allocate", fork_while_others_allocate, false },
	{ "threads_fork_together", threads_fork_together, false },
	{ "handlers_allocate", handlers_allocate, false },
	{ "vfork_and_exec", vfork_and_exec, false },
	{ "child_owns_its_copy", child_owns_its_copy, false },
	{ NULL, NULL, false },
};

HS_T_BOTH_MAIN
