// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads: blocks that another thread frees, blocks that outlive their thread,
 * destructors at a thread's end, many threads one after another. */
#include "tests/proc/both.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#define NR_THREADS 8

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, run, arg);

	HS_T_CHECK(err == 0, "pthread_create: %d", err);
}

static void *join(pthread_t thread)
{
	void *result;

	HS_T_CHECK(pthread_join(thread, &result) == 0);
	return result;
}

/* --- each thread frees what the one before it made ---------------------- */

#define RING 1024

struct ring {
	_Atomic(uint64_t *) slot[RING];
	size_t put, got;
};

static struct ring rings[NR_THREADS];

static size_t block_bytes(uint64_t n)
{
	static const size_t sizes[] = { 16, 40, 64, 200, 500, 1000, 4000,
					9000, 33000, 70000, 300000 };

	return sizes[n % 97 < 87 ? n % 6 : n % 11];
}

static void *pass_on(void *arg)
{
	size_t self = (size_t)arg, i;
	struct ring *out = &rings[self];
	struct ring *in = &rings[(self + 1) % NR_THREADS];

	for (i = 0; i < 60000 || in->got < 60000;) {
		size_t at = out->put % RING;
		uint64_t *p;

		if (i < 60000 &&
		    !atomic_load_explicit(&out->slot[at],
					  memory_order_acquire)) {
			p = malloc(block_bytes(i));
			if (!p)
				return (void *)"no memory";
			p[0] = i;
			p[1] = ~(uint64_t)i;
			atomic_store_explicit(&out->slot[at], p,
					      memory_order_release);
			out->put++;
			i++;
		}
		at = in->got % RING;
		p = atomic_load_explicit(&in->slot[at], memory_order_acquire);
		if (p) {
			if (p[0] != in->got || p[1] != ~(uint64_t)in->got)
				return (void *)"wrong word";
			atomic_store_explicit(&in->slot[at], NULL,
					      memory_order_release);
			in->got++;
			free(p);
		} else if (i == 60000) {
			sched_yield();
		}
	}
	return NULL;
}

static void free_each_others(void)
{
	pthread_t thread[NR_THREADS];
	size_t i;

	for (i = 0; i < NR_THREADS; i++)
		start(&thread[i], pass_on, (void *)i);
	for (i = 0; i < NR_THREADS; i++) {
		const char *problem = join(thread[i]);

		HS_T_CHECK(!problem, "%s", problem ? problem : "");
	}
}

/* --- blocks that outlive their thread ----------------------------------- */

static void *leave_blocks(void *arg)
{
	void ***out = arg;
	size_t i;

	*out = malloc(500 * sizeof(**out));
	for (i = 0; i < 500; i++) {
		(*out)[i] = malloc(block_bytes(i));
		hs_t_fill((*out)[i], block_bytes(i), i);
	}
	return NULL;
}

static void blocks_outlive_threads(void)
{
	void **left[50];
	pthread_t thread;
	size_t t, i;

	for (t = 0; t < 50; t++) {
		start(&thread, leave_blocks, &left[t]);
		join(thread);
	}
	for (t = 0; t < 50; t++) {
		for (i = 0; i < 500; i++) {
			HS_T_CHECK(hs_t_verify(left[t][i], block_bytes(i), i) <
				   0);
			if (i % 2)
				left[t][i] = realloc(left[t][i], 100000);
			free(left[t][i]);
		}
		free(left[t]);
	}
}

/* --- destructors of keys that allocate and free ------------------------- */

#define NR_KEYS 40 /* more than glibc keeps in a thread's descriptor */

static pthread_key_t keys[NR_KEYS];
static _Atomic int destructor_runs;

struct value {
	int rounds;
	size_t key;
	char *text;
};

/* Frees, allocates and comes again, as POSIX allows it three times. */
static void key_destructor(void *arg)
{
	struct value *value = arg, *next;

	atomic_fetch_add(&destructor_runs, 1);
	HS_T_CHECK(hs_t_verify(value->text, 300, value->key) < 0);
	free(value->text);
	if (value->rounds-- > 0) {
		next = malloc(sizeof(*next));
		*next = *value;
		next->text = malloc(300);
		hs_t_fill(next->text, 300, next->key);
		pthread_setspecific(next->key < NR_KEYS ? keys[next->key] :
							  keys[0], next);
	}
	free(value);
}

static void *use_keys(void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < NR_KEYS; i++) {
		struct value *value = malloc(sizeof(*value));

		value->rounds = 3;
		value->key = i;
		value->text = malloc(300);
		hs_t_fill(value->text, 300, i);
		pthread_setspecific(keys[i], value);
	}
	return NULL;
}

static void key_destructors(void)
{
	pthread_t thread[NR_THREADS];
	size_t i, round;

	for (i = 0; i < NR_KEYS; i++)
		HS_T_CHECK(pthread_key_create(&keys[i], key_destructor) == 0);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < NR_THREADS; i++)
			start(&thread[i], use_keys, NULL);
		for (i = 0; i < NR_THREADS; i++)
			join(thread[i]);
	}
	printf("  destructors ran %d times\n", destructor_runs);
	for (i = 0; i < NR_KEYS; i++)
		pthread_key_delete(keys[i]);
}

/* --- C++ thread_local objects (their destructors, from C) --------------- */

int __cxa_thread_atexit_impl(void (*destructor)(void *), void *arg, void *dso);
extern void *__dso_handle;

static void tls_destructor(void *arg)
{
	char *fresh = malloc(2000);

	HS_T_CHECK(hs_t_verify(arg, 900, 5) < 0);
	free(arg);
	memset(fresh, 1, 2000);
	free(fresh);
	atomic_fetch_add(&destructor_runs, 1);
}

static void *use_tls(void *arg)
{
	char *p = malloc(900);

	(void)arg;
	hs_t_fill(p, 900, 5);
	__cxa_thread_atexit_impl(tls_destructor, p, &__dso_handle);
	return NULL;
}

static void tls_destructors(void)
{
	pthread_t thread;
	int i;

	destructor_runs = 0;
	for (i = 0; i < 200; i++) {
		start(&thread, use_tls, NULL);
		join(thread);
	}
	printf("  destructors ran %d times\n", destructor_runs);
}

/* A thread that allocates for the first time in a destructor. */
static void first_malloc(void *arg)
{
	(void)arg;
	free(malloc(2000));
	atomic_fetch_add(&destructor_runs, 1);
}

static void *allocate_in_destructor(void *arg)
{
	(void)arg;
	pthread_setspecific(keys[0], "set");
	return NULL;
}

static void first_allocation_in_destructor(void)
{
	pthread_t thread;
	int i;

	HS_T_CHECK(pthread_key_create(&keys[0], first_malloc) == 0);
	destructor_runs = 0;
	for (i = 0; i < 100; i++) {
		start(&thread, allocate_in_destructor, NULL);
		join(thread);
	}
	printf("  destructors ran %d times\n", destructor_runs);
	pthread_key_delete(keys[0]);
}

/* Keys that a program makes before its first thread leave the library none of
 * those that come without an allocation. */
static int many_keys_then_threads(void)
{
	pthread_key_t key;
	pthread_t thread;
	size_t i;

	for (i = 0; i < NR_KEYS; i++)
		HS_T_CHILD(pthread_key_create(&key, NULL) == 0, 1);
	destructor_runs = 0;
	for (i = 0; i < 100; i++) {
		HS_T_CHILD(!pthread_create(&thread, NULL, use_tls, NULL), 2);
		HS_T_CHILD(!pthread_join(thread, NULL), 3);
	}
	return destructor_runs == 100 ? 0 : 4;
}

/* In a child, so that the other cases have the usual key. */
static void keys_before_threads(void)
{
	pid_t pid = fork();

	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		_exit(many_keys_then_threads());
	HS_T_WAIT_OK(pid);
}

/* --- 10 000 threads, one after another ---------------------------------- */

static void *little_work(void *arg)
{
	void *keep = malloc(1000), *drop = malloc(50000);

	memset(keep, 1, 1000);
	memset(drop, 1, 50000);
	free(drop);
	free(arg);
	return keep;
}

static void many_threads(void)
{
	long long before = 0, after;
	void *last = NULL;
	pthread_t thread;
	int i;

	for (i = 0; i < 10000; i++) {
		start(&thread, little_work, last);
		last = join(thread);
		if (i == 500)
			before = hs_t_rss_bytes(0) + hs_t_hugetlb_bytes(0);
	}
	free(last);
	after = hs_t_rss_bytes(0) + hs_t_hugetlb_bytes(0);
	HS_T_CHECK(after - before < 4 << 20, "grew by %lld", after - before);
}

/* Detached threads end when nobody looks. */
static struct hs_t_gate gate;

static void *detached(void *arg)
{
	free(malloc((size_t)arg));
	hs_t_gate_post(&gate, 'x');
	return NULL;
}

static void detached_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	size_t i, waited = 0;

	hs_t_gate_open(&gate);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (i = 0; i < 2000; i++) {
		HS_T_CHECK(pthread_create(&thread, &attr, detached,
					  (void *)(i * 37)) == 0);
		if (i - waited >= 16) {
			HS_T_CHECK(hs_t_gate_wait(&gate) == 'x');
			waited++;
		}
	}
	for (; waited < 2000; waited++)
		HS_T_CHECK(hs_t_gate_wait(&gate) == 'x');
	hs_t_gate_close(&gate);
}

/* A cancelled thread unwinds and its blocks stay usable. */
static void *wait_for_ever(void *arg)
{
	*(void **)arg = malloc(777);
	hs_t_gate_post(&gate, 'r');
	for (;;)
		pause();
	return NULL;
}

static void cancelled_threads(void)
{
	pthread_t thread;
	void *block;
	int i;

	hs_t_gate_open(&gate);
	for (i = 0; i < 200; i++) {
		start(&thread, wait_for_ever, &block);
		HS_T_CHECK(hs_t_gate_wait(&gate) == 'r');
		pthread_cancel(thread);
		HS_T_CHECK(join(thread) == PTHREAD_CANCELED);
		memset(block, 3, 777);
		free(block);
	}
	hs_t_gate_close(&gate);
}

const struct hs_t_case hs_t_cases[] = {
	{ "keys_before_threads", keys_before_threads, false },
	{ "free_each_others", free_each_others, false },
	{ "blocks_outlive_threads", blocks_outlive_threads, false },
	{ "key_destructors", key_destructors, false },
	{ "tls_destructors", tls_destructors, false },
	{ "first_allocation_in_destructor", first_allocation_in_destructor,
	  false },
	{ "many_threads", many_threads, false },
	{ "detached_threads", detached_threads, false },
	{ "cancelled_threads", cancelled_threads, false },
	{ NULL, NULL, false },
};

HS_T_BOTH_MAIN
