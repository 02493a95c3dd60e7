/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_core.c - the core with each of its system calls failing, over a pool
 * that is a fake: no huge pages, no preload, every errno and every occurrence.
 *
 *   test_core [RULE [SCENARIO]]     RULE as in sys_fault.h: only that one
 *
 * Of a call that is made more often than HS_FAULT_SAMPLES times (default 4;
 * 2 under a sanitizer), that many occurrences are drawn by HS_TEST_SEED.
 *
 * A scenario ends with 0 when every byte was right and every invariant holds,
 * whatever it was refused on the way.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "block.h"
#include "config.h"
#include "cow.h"
#include "fork.h"
#include "heap.h"
#include "inflight.h"
#include "lock.h"
#include "log.h"
#include "meta.h"
#include "probe.h"
#include "region.h"
#include "rescue.h"
#include "tests/fault/errors.h"
#include "tests/fault/sys_fault.h"
#include "tests/lib/hs_test.h"
#include "tests/unit/fake_pool.h"

#define POOL_PAGES 9
#define HANG_S 5

enum {
	RIGHT,
	WRONG_BYTE = 11,
	NOT_ZERO,
	REGION_BROKEN,
	HEAP_BROKEN,
	OVERLAP,
	NOT_ANSWERED,
	BLOCK_LOST,
	NO_CALLS
};

static struct hs_config config;
static int overcommit_fd;

static HS_NOINLINE void bad(int what)
{
	_exit(what);
}

static int no_trap(void)
{
	return 0;
}

/* The fake does not see the first touch of a LAZY slot; the kernel does. */
static int mincore_of_either(void *addr, size_t len, unsigned char *vec)
{
	fake_pool_mincore(addr, len, vec);
	return *vec ? 0 : fake_pool.real.mincore(addr, len, vec);
}

/* Zeroing 2 MiB for one word is what would take the time here. */
static int madvise_but_thp(void *addr, size_t len, int advice)
{
	return advice == MADV_HUGEPAGE ? 0
				       : fake_pool_madvise(addr, len, advice);
}

static void start(void)
{
	config = *hs_config;
	config.enabled = true;
	config.heap = true;
	config.trust_seccomp = true;
	config.limit_percent = 0;
	config.limit_bytes = SIZE_MAX;
	config.base_first_bytes = HS_MIB;
	config.populate_max_bytes = 4 * HS_MIB;
	config.retain_bytes = 0;
	config.decay_ms = 0;
	hs_config = &config;
	hs_trap_install_hook = no_trap;
}

/* --- memory that is checked ---------------------------------------------- */

struct piece {
	char *p;
	size_t len;
	uint64_t seed;
};

/* Words this far apart are enough to tell one page from another. */
#define STRIDE ((size_t)32 << 10)

static void fill(struct piece *b, uint64_t seed)
{
	b->seed = seed;
	for (size_t o = 0; o + 8 <= b->len; o += STRIDE)
		*(uint64_t *)(void *)(b->p + o) = hs_t_word(seed, o);
}

static void check_first(const struct piece *b, size_t len)
{
	for (size_t o = 0; o + 8 <= len; o += STRIDE)
		if (*(uint64_t *)(void *)(b->p + o) != hs_t_word(b->seed, o))
			bad(WRONG_BYTE);
}

static void check(const struct piece *b)
{
	check_first(b, b->len);
}

static void check_zero(const struct piece *b)
{
	for (size_t o = 0; o + 8 <= b->len; o += STRIDE)
		if (*(uint64_t *)(void *)(b->p + o) != 0)
			bad(NOT_ZERO);
}

/* --- slots --------------------------------------------------------------- */

static bool map(struct piece *b, size_t nr_slots, unsigned flags)
{
	void *addr = NULL;

	b->len = 0;
	b->p = NULL;
	if (hs_region_map(NULL,
			  nr_slots * FAKE_SLOT -
				  (flags & HS_MAP_EXACT ? HS_UNIT : 0),
			  0, flags, &addr, &b->len) != 0)
		return false;
	b->p = addr;
	check_zero(b);
	fill(b, nr_slots + flags);
	return true;
}

static void unmap(struct piece *b)
{
	if (!b->p)
		return;
	check(b);
	hs_region_unmap(b->p, b->len);
	b->p = NULL;
	b->len = 0;
}

static void move(struct piece *b, size_t nr_slots)
{
	void *addr;
	size_t got;

	if (!b->p ||
	    hs_region_move(b->p, b->len, nr_slots * FAKE_SLOT, &addr, &got))
		return;
	b->p = addr;
	check(b);
	b->len = got;
	fill(b, 4242);
}

/* As after a fork: every page is shared, and the pool is empty. */
static void shared_and_dry(void)
{
	fake_pool.shared = true;
	fake_pool.free_pages = 0;
	atomic_fetch_add(&hs_arena.epoch, 1);
}

static void check_region(void)
{
	if (hs_region_check() != 0)
		bad(REGION_BROKEN);
}

static void run_region(void)
{
	struct piece b[8] = { { 0 } };

	hs_lock_init_sentinel();
	if (hs_region_init() != 0)
		return;
	map(&b[0], 4, 0);
	map(&b[1], 3, HS_MAP_LAZY);
	map(&b[2], 1, HS_MAP_BASE);
	map(&b[3], 2, HS_MAP_BASE | HS_MAP_EXACT);
	map(&b[4], 6, 0);
	check_region();
	move(&b[0], 6);
	unmap(&b[2]);
	map(&b[2], 2, 0);
	check_region();
	for (int i = 0; i < 5; i++)
		check(&b[i]);
	shared_and_dry();
	hs_rescue_prepare(b[4].p, b[4].p ? b[4].len : 0);
	for (int i = 0; i < 5; i++) {
		check(&b[i]);
		if (b[i].p)
			hs_rescue_pin_base(b[i].p, b[i].len);
		check(&b[i]);
	}
	fake_pool.shared = false;
	fake_pool.free_pages = 3;
	unmap(&b[0]);
	unmap(&b[4]);
	map(&b[5], 5, 0);
	hs_region_unreserve(true);
	map(&b[6], 2, 0);
	map(&b[7], 2, HS_MAP_EXACT);
	check_region();
	for (int i = 0; i < 8; i++)
		unmap(&b[i]);
	check_region();
}

/* overcommit_memory=2, as far as the library can tell: pool slots are charged
 * for the base pages that may have to replace them. */
static int open_overcommit(const char *path, int flags, int mode)
{
	if (strcmp(path, "/proc/sys/vm/overcommit_memory") != 0)
		return fake_pool.real.open(path, flags, mode);
	return dup(overcommit_fd);
}

static void never_overcommit(void)
{
	overcommit_fd = (int)syscall(SYS_memfd_create, "two", 0);
	if (overcommit_fd < 0 || write(overcommit_fd, "2\n", 2) != 2)
		_exit(NO_CALLS);
	lseek(overcommit_fd, 0, SEEK_SET);
	hs_sys.open = open_overcommit;
}

/* --- the heap ------------------------------------------------------------ */

#define NR_PIECES 90

static struct piece pieces[NR_PIECES];

static size_t size_of(size_t i)
{
	static const size_t sizes[] = { 40, 300, 5000, 40000, 150000, 1200000 };

	return (i % 53 == 7 ? 3 * HS_MIB : sizes[i % 6]) + i;
}

static bool have(struct piece *b, void *p, size_t len, uint64_t seed)
{
	b->p = p;
	b->len = p ? len : 0;
	if (p)
		fill(b, seed);
	return p != NULL;
}

static void take(size_t i)
{
	struct piece *b = &pieces[i];
	size_t len = size_of(i);

	if (i % 7 == 3) {
		b->p = hs_heap_calloc(len);
		b->len = b->p ? len : 0;
		check_zero(b);
		fill(b, i);
	} else if (i % 7 == 5) {
		have(b, hs_heap_memalign(4096, len), len, i);
	} else if (i % 7 == 6) {
		have(b, hs_heap_malloc_base(len), len, i);
	} else {
		have(b, hs_heap_malloc(len), len, i);
	}
}

static void drop(size_t i)
{
	struct piece *b = &pieces[i];

	if (!b->p)
		return;
	check(b);
	hs_heap_free(b->p);
	b->p = NULL;
	b->len = 0;
}

static void resize(size_t i, size_t len)
{
	struct piece *b = &pieces[i];
	void *p = b->p ? hs_heap_realloc(b->p, len) : NULL;

	if (!p)
		return;
	b->p = p;
	check_first(b, HS_MIN(b->len, len));
	have(b, p, len, i + 99);
}

static void check_heap(void)
{
	for (size_t i = 0; i < NR_PIECES; i++)
		check(&pieces[i]);
	if (hs_heap_check() != 0)
		bad(HEAP_BROKEN);
	check_region();
}

static void run_heap(void)
{
	hs_lock_init_sentinel();
	for (size_t i = 0; i < NR_PIECES; i++)
		take(i);
	check_heap();
	for (size_t i = 0; i < NR_PIECES; i += 3)
		drop(i);
	hs_heap_trim(0);
	for (size_t i = 1; i < NR_PIECES; i += 3)
		resize(i, size_of(i) * 2);
	resize(1, 5 * HS_MIB);
	resize(1, 9 * HS_MIB);
	resize(1, HS_MIB);
	check_heap();
	for (size_t i = 0; i < NR_PIECES; i += 3)
		take(i);
	check_heap();
	for (size_t i = 0; i < NR_PIECES; i++)
		drop(i);
	hs_heap_trim(0);
	check_heap();
	hs_heap_thread_exit();
}

/* --- metadata, locks and the probe --------------------------------------- */

static void run_basics(void)
{
	static struct hs_lock lock = HS_LOCK_INIT(HS_RANK_LEAF);
	struct piece b = { .len = 100000 };

	hs_lock_init_sentinel();
	hs_lock_acquire(&lock);
	hs_probe_run();
	hs_probe_pool_size(FAKE_SLOT);
	hs_probe_pool_free(FAKE_SLOT);
	hs_probe_address_space_limited(NULL);
	hs_log(HS_LOG_ERROR, "a line");
	for (int i = 0; i < 5; i++) {
		b.p = i % 2 ? hs_meta_alloc(b.len, 64) : hs_meta_reserve(b.len);
		if (!b.p)
			continue;
		check_zero(&b);
		fill(&b, (uint64_t)i);
		check(&b);
		if (i % 2 == 0)
			hs_meta_reserve_trim(b.p, b.len, b.len / 2);
		check_first(&b, b.len / 2);
	}
	hs_lock_release(&lock);
}

/* --- blocks --------------------------------------------------------------- */

static uint64_t nr_blocks(void)
{
	struct hs_block_stats stats;

	hs_block_stats(&stats);
	return stats.blocks;
}

static void resize_block(struct piece *b, size_t len)
{
	size_t kept = b->len < len ? b->len : len;
	void *moved = b->p;

	if (hs_block_resize(b->p, b->len, len, true, &moved) == 0) {
		struct piece fresh = { (char *)moved + kept, len - kept, 0 };

		check_zero(&fresh);
		b->p = moved;
		b->len = len;
	}
	check_first(b, kept);
	if (nr_blocks() != 1)
		bad(BLOCK_LOST);
}

static void one_block(const struct hs_block_request *request)
{
	struct piece b = { .len = 3 * FAKE_SLOT };
	void *p;

	if (hs_block_map(b.len, request, &p) != 0) {
		if (nr_blocks() != 0)
			bad(BLOCK_LOST);
		return;
	}
	b.p = p;
	check_zero(&b);
	fill(&b, 5);
	resize_block(&b, 12 * FAKE_SLOT); /* more than the pool has */
	fill(&b, 6);
	resize_block(&b, 5 * FAKE_SLOT);
	fill(&b, 7);
	resize_block(&b, FAKE_SLOT + 1);
	check(&b);
	while (hs_block_unmap(b.p, b.len) != 0) {
		check(&b);
		if (nr_blocks() != 1)
			bad(BLOCK_LOST);
		if (hs_fault_counts()->failed[HS_FAULT_munmap] > 1)
			_exit(RIGHT);
	}
	if (nr_blocks() != 0 || hs_block_unmap(b.p, b.len) != -EINVAL)
		bad(BLOCK_LOST);
}

static void run_blocks(void)
{
	for (uint32_t fallback = HS_BLOCK_PREFER; fallback <= HS_BLOCK_REQUIRE;
	     fallback++)
		for (uint32_t flags = 0; flags <= HS_BLOCK_DONTFORK; flags++) {
			struct hs_block_request request = {
				.fallback = fallback,
				.flags = flags,
				.mode = 4, /* MPOL_LOCAL */
			};

			one_block(&request);
		}
	if (hs_region_check() != 0)
		bad(REGION_BROKEN);
}

/* --- calls that wait for a fork ------------------------------------------- */

static void *begin_and_end(void *arg)
{
	struct hs_inflight f = { .nr = 1 };

	f.range[0].addr = arg;
	f.range[0].len = 1;
	hs_inflight_begin(&f);
	hs_inflight_end(&f);
	hs_inflight_thread_exit();
	return NULL;
}

/* A thread whose call comes while the gate is shut goes on when it opens. */
static void run_gate(void)
{
	const struct hs_fault_counts *counts = hs_fault_counts();
	pthread_t thread;

	hs_inflight_shut();
	if (pthread_create(&thread, NULL, begin_and_end, pieces) != 0)
		_exit(NO_CALLS);
	while (atomic_load(&counts->calls[HS_FAULT_futex_wait]) == 0 &&
	       atomic_load(&counts->failed[HS_FAULT_mmap]) == 0)
		sched_yield();
	hs_inflight_open();
	pthread_join(thread, NULL);
}

/* --- pages that are protected after a fork -------------------------------- */

/* Where there is no memory at all, a write ends the program, as the kernel's
 * copy would. */
static void answer(int sig, siginfo_t *info, void *context)
{
	const struct hs_fault_counts *counts = hs_fault_counts();

	(void)context;
	if (!hs_rescue_fault(sig, info->si_code, info->si_addr))
		_exit(counts->failed[HS_FAULT_mmap] > 1 ? RIGHT : NOT_ANSWERED);
}

static void catch_faults(void)
{
	struct sigaction sa = { .sa_sigaction = answer,
				.sa_flags = SA_SIGINFO };

	sigfillset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/* What the child inherited stays while the parent writes. */
static void frozen_child(struct piece *b, size_t nr, struct hs_t_gate *go)
{
	close(go->fd[1]); /* or it would wait for itself */
	hs_fork_child();
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < nr; i++)
			check(&b[i]);
		if (round == 0 && hs_t_gate_wait(go) != 'g')
			_exit(NO_CALLS);
	}
	for (size_t i = 0; i < nr; i++) {
		fill(&b[i], 99 + i);
		check(&b[i]);
	}
	_exit(RIGHT);
}

static void fork_and_write(struct piece *b, size_t nr, uint64_t seed)
{
	struct hs_t_gate go;
	int status;
	pid_t pid;

	hs_t_gate_open(&go);
	hs_fork_prepare();
	pid = fork();
	if (pid == 0)
		frozen_child(b, nr, &go);
	hs_fork_parent();
	for (size_t i = 0; i < nr; i++) {
		check(&b[i]);
		fill(&b[i], seed + i);
	}
	hs_t_gate_post(&go, 'g');
	for (size_t i = 0; i < nr; i++)
		check(&b[i]);
	status = hs_t_wait(pid);
	hs_t_gate_close(&go);
	if (status)
		_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : NO_CALLS);
}

/* Three seconds for memory that never comes are long, a hundred times. */
static int futex_wait_briefly(_Atomic uint32_t *word, uint32_t expected,
			      const struct timespec *timeout)
{
	const struct timespec brief = { .tv_nsec = 10000 };

	return fake_pool.real.futex_wait(word, expected,
					 timeout ? &brief : NULL);
}

static void never_wait(void)
{
	hs_sys.futex_wait = futex_wait_briefly;
}

static void run_frozen(void)
{
	struct piece b[3] = { { 0 } };

	config.cow = HS_COW_SIGSEGV;
	config.cow_min_bytes = 0;
	catch_faults();
	hs_lock_init_sentinel();
	if (hs_region_init() != 0)
		return;
	map(&b[0], 3, 0);
	map(&b[1], 2, HS_MAP_LAZY);
	fork_and_write(b, 2, 1000);
	hs_rescue_prepare(b[0].p, b[0].len);
	map(&b[2], 1, 0);
	fork_and_write(b, 3, 2000);
	if (b[1].p)
		hs_rescue_pin_base(b[1].p, b[1].len);
	fork_and_write(b, 3, 3000);
	move(&b[0], 4);
	check_region();
	for (int i = 0; i < 3; i++)
		unmap(&b[i]);
	check_region();
}

/* --- the harness --------------------------------------------------------- */

static const struct scenario {
	const char *name;
	void (*run)(void);
	void (*prepare)(void); /* under the faults, may be NULL */
} scenarios[] = {
	{ "basics", run_basics, NULL },
	{ "region", run_region, NULL },
	{ "charged", run_region, never_overcommit },
	{ "heap", run_heap, NULL },
	{ "blocks", run_blocks, NULL },
	{ "gate", run_gate, NULL },
	{ "frozen", run_frozen, never_wait },
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static uint64_t samples = 2;
#else
static uint64_t samples = 4;
#endif
static struct hs_t_rng rng;
static unsigned nr_run;
static unsigned nr_failed;

/* In a child: the calls of each member in *@calls, when asked for. */
static int run_once(const struct scenario *scenario, int member, int err,
		    uint64_t nth, bool forever, int counts_fd)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid != 0)
		return hs_t_wait(pid);
	alarm(HANG_S);
	if (!freopen("/dev/null", "w", stderr))
		_exit(NO_CALLS);
	start();
	fake_pool_install(POOL_PAGES);
	hs_sys.mincore = mincore_of_either;
	hs_sys.madvise = madvise_but_thp;
	if (scenario->prepare)
		scenario->prepare();
	hs_fault_install();
	hs_fault_set(member, err, nth, forever);
	scenario->run();
	if (counts_fd >= 0 && write(counts_fd, hs_fault_counts(),
				    sizeof(struct hs_fault_counts)) !=
				      (ssize_t)sizeof(struct hs_fault_counts))
		_exit(NO_CALLS);
	_exit(RIGHT);
}

static void judge(const struct scenario *scenario, const char *member,
		  const char *error, uint64_t nth, bool forever)
{
	int status = run_once(scenario, hs_fault_member(member),
			      hs_fault_error(error), nth, forever, -1);

	nr_run++;
	if (status == 0)
		return;
	nr_failed++;
	if (nr_failed <= 50)
		printf("FAIL: %s with %s:%s:%s:%llu: %s\n", scenario->name,
		       member, error, forever ? "from" : "once",
		       (unsigned long long)nth, hs_t_status(status));
}

static bool drawn(uint64_t nr_calls)
{
	return nr_calls <= samples || hs_t_below(&rng, nr_calls) < samples;
}

static void each_error(const struct scenario *scenario,
		       const struct fault_errors *e, uint64_t nr_calls)
{
	char names[256];
	char *rest = NULL;
	char *name;

	snprintf(names, sizeof(names), "%s", e->names);
	for (name = strtok_r(names, " ", &rest); name;
	     name = strtok_r(NULL, " ", &rest)) {
		for (uint64_t n = 1; n <= nr_calls; n++) {
			if (drawn(nr_calls))
				judge(scenario, e->member, name, n, false);
			if (drawn(nr_calls))
				judge(scenario, e->member, name, n, true);
		}
	}
}

static void each_call(const struct scenario *scenario)
{
	struct hs_fault_counts counts;
	int fd[2];
	int status;

	HS_T_CHECK(pipe(fd) == 0);
	status = run_once(scenario, 0, 0, 0, false, fd[1]);
	HS_T_CHECK(status == 0, "%s without a fault: %s", scenario->name,
		   hs_t_status(status));
	HS_T_CHECK(read(fd[0], &counts, sizeof(counts)) ==
		   (ssize_t)sizeof(counts));
	close(fd[0]);
	close(fd[1]);
	HS_T_CHECK(counts.calls[HS_FAULT_mmap] > 0);
	for (size_t i = 0; i < FAULT_NR_ERRORS; i++) {
		int member = hs_fault_member(fault_errors[i].member);

		each_error(scenario, &fault_errors[i], counts.calls[member]);
	}
}

static int one_rule(char *rule, const char *name)
{
	char *member = strtok(rule, ":");
	char *error = strtok(NULL, ":");
	char *mode = strtok(NULL, ":");
	char *nth = strtok(NULL, ":");

	HS_T_CHECK(nth, "MEMBER:ERROR:once|from:N");
	for (size_t i = 0; i < HS_ARRAY_SIZE(scenarios); i++)
		if (!name || strcmp(name, scenarios[i].name) == 0)
			judge(&scenarios[i], member, error,
			      strtoull(nth, NULL, 10), mode[0] == 'f');
	return nr_failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return one_rule(argv[1], argc > 2 ? argv[2] : NULL);
	if (getenv("HS_FAULT_SAMPLES"))
		samples = strtoull(getenv("HS_FAULT_SAMPLES"), NULL, 10);
	rng.state = hs_t_seed((uint64_t)getpid());
	for (size_t i = 0; i < HS_ARRAY_SIZE(scenarios); i++)
		each_call(&scenarios[i]);
	printf("%u cases run, %u failed\n", nr_run, nr_failed);
	return nr_failed ? 1 : 0;
}
