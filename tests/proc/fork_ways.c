/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_ways - every way in which a program makes a child, with no huge page
 * left for the copies.
 *
 *   fork_ways [--seed N] [--threads N] [WAY...]
 *
 * For each way: the parent fills its blocks, makes the child with the pool
 * emptied before or after, and rewrites everything.  Then the child, if it has
 * the parent's memory, must still find what it inherited; it rewrites,
 * reallocates, and makes a child of its own that does the same.  With
 * --threads, other threads allocate and free meanwhile.
 *
 * Exit status: 0; 1 with a line for the first way that failed; 77.
 */
#include "tests/lib/blocks.h"
#include "tests/lib/hog.h"

#include <linux/sched.h>
#include <malloc.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

extern char **environ;

#define MIB 20
#define STACK (256 << 10)
#define CHAIN 12

static struct hog hog;
static struct blocks set;
static struct hs_t_rng rng;
static struct hs_t_gate go;     /* the parent has rewritten everything */
static struct hs_t_gate result; /* of a child that is not waited for */
static unsigned long nr_threads;
/* The child came to be without libc's fork while other threads allocate: it
 * may use async-signal-safe functions only, as POSIX has it. */
static bool bare_fork;

/* --- what child and grandchild do --------------------------------------- */

static void grandchild(void)
{
	HS_T_CHILD(blocks_verify(&set), 30);
	blocks_rewrite(&set, &rng);
	HS_T_CHILD(blocks_verify(&set), 31);
	_exit(0);
}

static int child_work(void)
{
	int status = -1;
	pid_t pid;

	rng.state += 1ull << 56;
	if (hs_t_gate_wait(&go) != 'g')
		return 10;
	if (!blocks_verify(&set))
		return 11;
	blocks_rewrite(&set, &rng);
	if (!blocks_verify(&set))
		return 12;
	if (!bare_fork && !blocks_shuffle(&set, &rng))
		return 13;
	pid = bare_fork ? _Fork() : fork();
	if (pid == 0)
		grandchild();
	blocks_rewrite(&set, &rng);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 14;
	if (status)
		dprintf(2, "grandchild: %s\n", hs_t_status(status));
	if (status)
		return 16;
	return blocks_verify(&set) ? 0 : 15;
}

/* --- what the parent does while the child waits ------------------------- */

static void parent_work(void)
{
	HS_T_CHECK(hog_take(&hog));
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(blocks_verify(&set));
	HS_T_CHECK(blocks_shuffle(&set, &rng));
	hs_t_gate_post(&go, 'g');
}

static void await(const char *way, pid_t pid)
{
	int status = hs_t_wait(pid);

	HS_T_CHECK(status == 0, "%s: child: %s", way, hs_t_status(status));
	HS_T_CHECK(blocks_verify(&set), "%s: after the child's end", way);
}

static void forked(const char *way, pid_t pid)
{
	HS_T_CHECK(pid >= 0, "%s", way);
	if (pid == 0)
		_exit(child_work());
	parent_work();
	await(way, pid);
}

/* --- the ways ----------------------------------------------------------- */

static void way_fork(void)
{
	forked("fork", fork());
}

static void way__Fork(void)
{
	forked("_Fork", _Fork());
}

static void way_syscall_clone(void)
{
	forked("syscall(SYS_clone)",
	       (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static void way_syscall_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	forked("syscall(SYS_clone3)",
	       (pid_t)syscall(SYS_clone3, &args, sizeof(args)));
}

#ifdef SYS_fork
static void way_syscall_fork(void)
{
	forked("syscall(SYS_fork)", (pid_t)syscall(SYS_fork));
}
#endif

/* A system call that nobody can see. */
static void way_instruction(void)
{
#ifdef __x86_64__
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(SYS_clone), "D"((long)SIGCHLD), "S"(0L), "d"(0L),
			   "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	forked("clone by an instruction", (pid_t)ret);
#endif
}

static int clone_main(void *arg)
{
	(void)arg;
	return child_work();
}

static void cloned(const char *way, unsigned char *stack)
{
	pid_t pid = clone(clone_main, stack + STACK, SIGCHLD, NULL);

	HS_T_CHECK(pid > 0, "%s", way);
	parent_work();
	await(way, pid);
}

static void way_clone(void)
{
	void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cloned("clone", stack);
	munmap(stack, STACK);
}

/* The child's stack is a heap block: its first push meets a shared page. */
static void way_clone_heap_stack(void)
{
	unsigned char *stack = aligned_alloc(16, STACK);

	cloned("clone, stack from the heap", stack);
	free(stack);
}

static void way_daemon(void)
{
	pid_t pid = fork();
	int got;

	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		HS_T_CHILD(daemon(1, 1) == 0, 40);
		hs_t_gate_post(&result, (char)child_work());
		_exit(0);
	}
	await("daemon", pid);
	parent_work();
	got = hs_t_gate_wait(&result);
	HS_T_CHECK(got == 0, "daemon: result %d", got);
	HS_T_CHECK(blocks_verify(&set), "daemon");
}

static void way_forkpty(void)
{
	int master = -1;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	if (pid < 0 && errno == ENOENT) {
		fprintf(stderr, "forkpty: no /dev/ptmx, left out\n");
		return;
	}
	forked("forkpty", pid);
	close(master);
}

static void way_popen(void)
{
	FILE *out = popen("cat >/dev/null", "w");
	FILE *in;
	char line[64];

	HS_T_CHECK(out);
	HS_T_CHECK(hog_take(&hog));
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(fputs("some text\n", out) >= 0);
	HS_T_CHECK(pclose(out) == 0);
	in = popen("echo hello", "r");
	HS_T_CHECK(in);
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(fgets(line, sizeof(line), in) &&
		   strcmp(line, "hello\n") == 0);
	HS_T_CHECK(pclose(in) == 0);
	HS_T_CHECK(blocks_verify(&set), "popen");
}

static void way_system(void)
{
	HS_T_CHECK(hog_take(&hog));
	HS_T_CHECK(WEXITSTATUS(system("exit 5")) == 5);
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(blocks_verify(&set), "system");
}

/* Everything that posix_spawn reads and writes is in the heap. */
static void way_posix_spawn(void)
{
	char **argv = calloc(4, sizeof(*argv));
	pid_t *pid = malloc(sizeof(*pid));
	int status;

	HS_T_CHECK(argv && pid);
	argv[0] = strdup("sh");
	argv[1] = strdup("-c");
	argv[2] = strdup("read x; exit 6");
	HS_T_CHECK(hog_take(&hog));
	HS_T_CHECK(posix_spawn(pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(waitpid(*pid, &status, 0) == *pid &&
		   WEXITSTATUS(status) == 6);
	HS_T_CHECK(blocks_verify(&set), "posix_spawn");
	for (int i = 0; i < 3; i++)
		free(argv[i]);
	free(argv);
	free(pid);
}

static void way_vfork(void)
{
	pid_t pid;

	HS_T_CHECK(hog_take(&hog));
	pid = vfork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	blocks_rewrite(&set, &rng);
	await("vfork", pid);
}

/* A child that executes this program again, which fills a heap of its own. */
static void way_exec(void)
{
	pid_t pid;

	HS_T_CHECK(hog_take(&hog));
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		blocks_rewrite(&set, &rng);
		execl("/proc/self/exe", "fork_ways", "--fill", (char *)NULL);
		_exit(127);
	}
	blocks_rewrite(&set, &rng);
	await("fork and exec", pid);
}

static void *fork_in_thread(void *arg)
{
	(void)arg;
	forked("fork in a thread", fork());
	return NULL;
}

static void way_thread(void)
{
	pthread_t id;

	HS_T_CHECK(pthread_create(&id, NULL, fork_in_thread, NULL) == 0);
	pthread_join(id, NULL);
}

/* Each one forks the next and ends at once; the last one reports. */
static void way_chain(void)
{
	pid_t first = fork();
	int got;

	HS_T_CHECK(first >= 0);
	if (first > 0) {
		await("chain", first);
		parent_work();
		got = hs_t_gate_wait(&result);
		HS_T_CHECK(got == 0, "chain: result %d", got);
		return;
	}
	for (int depth = 0; depth < CHAIN; depth++) {
		pid_t pid = fork();

		HS_T_CHILD(pid >= 0, 41);
		if (pid > 0)
			_exit(0);
		if (!blocks_verify(&set)) {
			hs_t_gate_post(&result, 42);
			_exit(0);
		}
		blocks_rewrite(&set, &rng);
	}
	hs_t_gate_post(&result, (char)child_work());
	_exit(0);
}

/* Killed in the middle of a rewrite: the parent does not notice. */
static void way_killed(void)
{
	for (int i = 0; i < 8; i++) {
		struct hs_t_gate begun;
		pid_t pid;

		hs_t_gate_open(&begun);
		pid = fork();
		HS_T_CHECK(pid >= 0);
		if (pid == 0) {
			hs_t_gate_post(&begun, 'b');
			for (;;)
				blocks_rewrite(&set, &rng);
		}
		hs_t_gate_wait(&begun);
		HS_T_CHECK(hog_take(&hog));
		blocks_rewrite(&set, &rng);
		kill(pid, SIGKILL);
		hs_t_wait(pid);
		HS_T_CHECK(blocks_verify(&set), "killed");
		HS_T_CHECK(hog_give(&hog));
		hs_t_gate_close(&begun);
	}
}

/* Many children at once, each with its own copy of everything. */
static void way_many(void)
{
	pid_t pids[8];

	for (int i = 0; i < 8; i++) {
		pids[i] = fork();
		HS_T_CHECK(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(child_work());
	}
	parent_work();
	for (int i = 1; i < 8; i++)
		hs_t_gate_post(&go, 'g');
	for (int i = 0; i < 8; i++)
		await("many", pids[i]);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool bare; /* no atfork handler runs */
} ways[] = {
	{ "fork", way_fork, false },
	{ "_Fork", way__Fork, true },
	{ "syscall_clone", way_syscall_clone, true },
	{ "syscall_clone3", way_syscall_clone3, true },
#ifdef SYS_fork
	{ "syscall_fork", way_syscall_fork, true },
#endif
	{ "instruction", way_instruction, true },
	{ "clone", way_clone, true },
	{ "clone_heap_stack", way_clone_heap_stack, true },
	{ "daemon", way_daemon, false },
	{ "forkpty", way_forkpty, false },
	{ "popen", way_popen, false },
	{ "system", way_system, false },
	{ "posix_spawn", way_posix_spawn, false },
	{ "vfork", way_vfork, false },
	{ "exec", way_exec, false },
	{ "thread", way_thread, false },
	{ "chain", way_chain, false },
	{ "killed", way_killed, false },
	{ "many", way_many, false },
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* --- other threads ------------------------------------------------------ */

static _Atomic bool stop;

static void *busy_main(void *arg)
{
	struct hs_t_rng own = { (uintptr_t)arg };
	struct {
		unsigned char *p;
		size_t len;
	} b[32] = { 0 };

	while (!atomic_load(&stop)) {
		unsigned i = (unsigned)hs_t_below(&own, 32);

		if (b[i].p)
			HS_T_CHECK(hs_t_verify(b[i].p, b[i].len, i) < 0,
				   "busy thread");
		free(b[i].p);
		b[i].len = 1 + hs_t_below(&own, 64 << 10);
		b[i].p = malloc(b[i].len);
		HS_T_CHECK(b[i].p);
		hs_t_fill(b[i].p, b[i].len, i);
	}
	for (unsigned i = 0; i < 32; i++)
		free(b[i].p);
	return NULL;
}

static void run_way(size_t i, bool take_before)
{
	HS_T_CHECK(hog_give(&hog));
	HS_T_CHECK(blocks_make(&set, &rng, (size_t)MIB << 20));
	fprintf(stderr, "%s, pool emptied %s, %lld MiB huge\n", ways[i].name,
		take_before ? "before" : "after", hs_t_hugetlb_bytes(0) >> 20);
	if (take_before)
		HS_T_CHECK(hog_take(&hog));
	hs_t_gate_open(&go);
	hs_t_gate_open(&result);
	bare_fork = nr_threads && ways[i].bare;
	ways[i].run();
	hs_t_gate_close(&go);
	hs_t_gate_close(&result);
	blocks_free(&set);
	malloc_trim(0);
}

int main(int argc, char **argv)
{
	pthread_t ids[16];
	uint64_t seed = 1;
	int i = 1;

	if (argc > 1 && strcmp(argv[1], "--fill") == 0) {
		rng.state = 9;
		HS_T_CHILD(blocks_make(&set, &rng, (size_t)MIB << 20), 50);
		HS_T_CHILD(blocks_verify(&set), 51);
		return 0;
	}
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--threads") == 0)
			nr_threads = strtoul(argv[i + 1], NULL, 0);
	}
	rng.state = hs_t_seed(seed);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (!hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	for (unsigned long t = 0; t < nr_threads && t < 16; t++)
		HS_T_CHECK(pthread_create(&ids[t], NULL, busy_main,
					  (void *)(t + 1)) == 0);
	for (size_t w = 0; w < NR_WAYS; w++) {
		bool wanted = i >= argc;

		for (int a = i; a < argc; a++)
			wanted |= strcmp(argv[a], ways[w].name) == 0;
		if (!wanted)
			continue;
		run_way(w, false);
		run_way(w, true);
	}
	atomic_store(&stop, true);
	for (unsigned long t = 0; t < nr_threads && t < 16; t++)
		pthread_join(ids[t], NULL);
	hog_stop(&hog);
	printf("ways %zu\n", NR_WAYS);
	return 0;
}
