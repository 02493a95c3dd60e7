/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_signal - fork in a signal handler that interrupted malloc or free.
 *
 *   fork_signal [--forks N] [--threads N] [--seed N]
 *
 * The program allocates and frees without end, so that the signal finds it in
 * the heap most of the time; the handler forks, as a crash handler does that
 * starts a debugger, with the pool emptied or not.  The child rewrites all it
 * can (no malloc: async-signal-safe functions only), every third one executes
 * a program; the parent goes on allocating where it was interrupted.
 *
 * Exit status: 0, 1 with a line, or 77.  Prints "forks N inside N": of the
 * forks, how many interrupted the allocator.
 */
#include "tests/lib/blocks.h"
#include "tests/lib/hog.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

#define MIB 12

static struct hog hog;
static struct blocks set;
static struct hs_t_rng rng, handler_rng;
static volatile sig_atomic_t inside; /* in a function of the heap */
static volatile sig_atomic_t armed;
static _Atomic unsigned long nr_forks, nr_inside;
static _Atomic bool stop;
static unsigned long want_forks = 150;

static void child(unsigned choice)
{
	if (choice & 1)
		hog_take(&hog);
	HS_T_CHILD(blocks_verify(&set), 10);
	blocks_rewrite(&set, &handler_rng);
	HS_T_CHILD(blocks_verify(&set), 11);
	if (choice % 3 == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(12);
	}
	_exit(0);
}

static void handler(int sig)
{
	unsigned choice = (unsigned)hs_t_next(&handler_rng);
	int saved = errno, status;
	pid_t pid;

	(void)sig;
	if (atomic_load(&nr_forks) >= want_forks)
		return;
	if (choice & 2)
		hog_take(&hog);
	pid = choice & 4 ? _Fork() : fork();
	if (pid == 0)
		child(choice);
	/* The parent's copies are made while the child lives. */
	blocks_rewrite(&set, &handler_rng);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		dprintf(2, "child of the handler: %s\n", hs_t_status(status));
		_exit(1);
	}
	if (!blocks_verify(&set))
		_exit(1);
	hog_give(&hog);
	atomic_fetch_add(&nr_inside, inside != 0);
	atomic_fetch_add(&nr_forks, 1);
	armed = 0;
	errno = saved;
}

/* One step, checked; the marks tell the handler where it came. */
static void churn(struct hs_t_rng *own, unsigned char **p, size_t *len,
		  bool mark)
{
	HS_T_CHECK(!*p || hs_t_verify(*p, *len, *len) < 0, "churned block");
	if (mark)
		inside = 1;
	if (hs_t_below(own, 2)) {
		free(*p);
		*p = NULL;
	}
	*len = hs_t_below(own, 8) ? 1 + hs_t_below(own, 4096)
				  : 1 + hs_t_below(own, 600 << 10);
	*p = realloc(*p, *len);
	if (mark)
		inside = 0;
	HS_T_CHECK(*p);
	hs_t_fill(*p, *len, *len);
}

/* Much of the slow paths, nothing else: here most signals come. */
static void flurry(struct hs_t_rng *own)
{
	void *q[256];

	inside = 1;
	for (int i = 0; i < 256; i++)
		q[i] = malloc(hs_t_below(own, 16)
				      ? 1 + hs_t_below(own, 20000)
				      : 1 + hs_t_below(own, 2 << 20));
	for (int i = 0; i < 256; i++)
		free(q[i]);
	inside = 0;
}

/* Now and then on huge pages again: what was rescued is on base pages. */
static void renew_set(void)
{
	static unsigned long last;
	sigset_t all, old;

	if (atomic_load(&nr_forks) < last + 5)
		return;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	last = atomic_load(&nr_forks);
	blocks_free(&set);
	malloc_trim(0);
	HS_T_CHECK(blocks_make(&set, &rng, (size_t)MIB << 20));
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void *thread_main(void *arg)
{
	struct hs_t_rng own = { (uintptr_t)arg };
	unsigned char *p[32] = { NULL };
	size_t len[32] = { 0 };

	while (!atomic_load(&stop)) {
		unsigned i = (unsigned)hs_t_below(&own, 32);

		churn(&own, &p[i], &len[i], false);
	}
	for (unsigned i = 0; i < 32; i++)
		free(p[i]);
	return NULL;
}

/* One shot, so that the program gets on between two of them. */
static void arm(long us)
{
	struct itimerval timer = { { 0, 0 }, { 0, us } };

	HS_T_CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void run_main(void)
{
	unsigned char *p[64] = { NULL };
	size_t len[64] = { 0 };

	while (atomic_load(&nr_forks) < want_forks) {
		unsigned i = (unsigned)hs_t_below(&rng, 64);

		if (!armed) {
			armed = 1;
			arm(50 + (long)hs_t_below(&rng, 3000));
		}
		churn(&rng, &p[i], &len[i], true);
		flurry(&rng);
		renew_set();
	}
	arm(0);
	for (unsigned i = 0; i < 64; i++)
		free(p[i]);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	unsigned long nr_threads = 0, seed = 1;
	const struct hs_t_number numbers[] = {
		{ "--forks", &want_forks },
		{ "--threads", &nr_threads },
		{ "--seed", &seed },
		{ NULL, NULL },
	};
	sigset_t alarm_set;
	pthread_t ids[8];

	if (!hs_t_numbers(argc, argv, numbers))
		return 6;
	HS_T_CHECK(nr_threads <= 8);
	rng.state = hs_t_seed(seed);
	handler_rng.state = ~rng.state;
	if (!hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	HS_T_CHECK(blocks_make(&set, &rng, (size_t)MIB << 20));
	HS_T_CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
	/* The handler is the main thread's, from the first moment on. */
	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_set, NULL);
	for (unsigned long t = 0; t < nr_threads; t++)
		HS_T_CHECK(pthread_create(&ids[t], NULL, thread_main,
					  (void *)(t + 1)) == 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm_set, NULL);
	run_main();
	atomic_store(&stop, true);
	for (unsigned long t = 0; t < nr_threads; t++)
		pthread_join(ids[t], NULL);
	HS_T_CHECK(blocks_verify(&set));
	hog_stop(&hog);
	printf("forks %lu inside %lu\n", atomic_load(&nr_forks),
	       atomic_load(&nr_inside));
	return 0;
}
