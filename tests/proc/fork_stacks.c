/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_stacks - stacks in heap memory, at a fork with no page left for copies:
 * the kernel writes signal frames and rseq areas to them without a call.
 *
 *   fork_stacks CASE
 *
 *   altstack   sigaltstack() on a heap block, signals in parent and child
 *   thread     pthread_attr_setstack() on a heap block, threads that run on,
 *              get signals and are preempted
 *   context    makecontext() on heap blocks; fork on such a stack
 *   clone      clone(CLONE_VM) on a heap block
 *   switch     a stack that is switched to by instructions, as coroutine
 *              libraries do, with nothing for a wrapper to see
 *
 * Exit status: 0, 1 with a line, or 77.
 */
#include "tests/lib/blocks.h"
#include "tests/lib/hog.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <ucontext.h>

#define STACK (256 << 10)
#define ROUNDS 12
#define MIB 8

static struct hog hog;
static struct blocks set;
static struct hs_t_rng rng;
static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	volatile char frame[2000];

	(void)sig;
	memset((char *)frame, 1, sizeof(frame));
	signals++;
}

/* The block lies among others on huge pages, as a program's would. */
static unsigned char *stack_block(void)
{
	unsigned char *p;

	HS_T_CHECK(blocks_make(&set, &rng, (size_t)MIB << 20));
	p = aligned_alloc(16, STACK);
	HS_T_CHECK(p);
	return p;
}

/* A child that keeps every page shared until it is told to end. */
static pid_t holder(struct hs_t_gate *end)
{
	pid_t pid;

	hs_t_gate_open(end);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		close(end->fd[1]);
		hs_t_gate_wait(end);
		_exit(blocks_verify(&set) ? 0 : 9);
	}
	HS_T_CHECK(hog_take(&hog));
	return pid;
}

static void release(struct hs_t_gate *end, pid_t pid)
{
	close(end->fd[1]);
	HS_T_WAIT_OK(pid);
	close(end->fd[0]);
	HS_T_CHECK(hog_give(&hog));
}

static void clean(unsigned char *stack)
{
	free(stack);
	blocks_free(&set);
}

static void case_altstack(void)
{
	struct sigaction sa = { .sa_handler = on_signal,
				.sa_flags = SA_ONSTACK };
	stack_t off = { .ss_flags = SS_DISABLE };
	stack_t ss = { .ss_size = STACK };
	struct hs_t_gate end;
	pid_t pid, other;

	ss.ss_sp = stack_block();
	HS_T_CHECK(sigaltstack(&ss, NULL) == 0);
	HS_T_CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	pid = holder(&end);
	other = fork();
	HS_T_CHECK(other >= 0);
	raise(SIGUSR1);
	blocks_rewrite(&set, &rng);
	raise(SIGUSR1);
	if (other == 0)
		_exit(blocks_verify(&set) ? 0 : 8);
	HS_T_WAIT_OK(other);
	HS_T_CHECK(signals >= 2);
	release(&end, pid);
	HS_T_CHECK(sigaltstack(&off, NULL) == 0);
	clean(ss.ss_sp);
}

static _Atomic bool stop;
static _Atomic unsigned turns;

static void *thread_main(void *arg)
{
	volatile unsigned char local[4096];

	(void)arg;
	while (!atomic_load(&stop)) {
		memset((unsigned char *)local, (int)atomic_load(&turns), 4096);
		HS_T_CHECK(local[100] == local[4000]);
		atomic_fetch_add(&turns, 1);
		sched_yield();
	}
	return NULL;
}

static void await_turns(unsigned n)
{
	unsigned want = atomic_load(&turns) + n;

	while ((int)(atomic_load(&turns) - want) < 0)
		sched_yield();
}

static void case_thread(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned char *stack = stack_block();
	struct hs_t_gate end;
	pthread_attr_t attr;
	pthread_t id;
	pid_t pid;

	atomic_store(&stop, false);
	HS_T_CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	HS_T_CHECK(pthread_attr_init(&attr) == 0);
	HS_T_CHECK(pthread_attr_setstack(&attr, stack, STACK) == 0);
	HS_T_CHECK(pthread_create(&id, &attr, thread_main, NULL) == 0);
	await_turns(10);
	pid = holder(&end);
	for (int i = 0; i < 20; i++) {
		pthread_kill(id, SIGUSR1);
		await_turns(20);
	}
	blocks_rewrite(&set, &rng);
	release(&end, pid);
	atomic_store(&stop, true);
	pthread_join(id, NULL);
	pthread_attr_destroy(&attr);
	clean(stack);
}

static ucontext_t main_context, own_context;

static void context_main(void)
{
	struct hs_t_gate end;
	pid_t pid = holder(&end);
	volatile unsigned char local[2000];

	memset((unsigned char *)local, 3, sizeof(local));
	raise(SIGUSR1);
	swapcontext(&own_context, &main_context);
	raise(SIGUSR1);
	HS_T_CHECK(local[1999] == 3);
	pid_t other = fork();
	HS_T_CHECK(other >= 0);
	memset((unsigned char *)local, 4, sizeof(local));
	raise(SIGUSR1);
	if (other == 0)
		_exit(local[7] == 4 && blocks_verify(&set) ? 0 : 7);
	HS_T_WAIT_OK(other);
	blocks_rewrite(&set, &rng);
	release(&end, pid);
}

static void case_context(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned char *stack = stack_block();

	HS_T_CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	HS_T_CHECK(getcontext(&own_context) == 0);
	own_context.uc_stack.ss_sp = stack;
	own_context.uc_stack.ss_size = STACK;
	own_context.uc_link = &main_context;
	makecontext(&own_context, context_main, 0);
	HS_T_CHECK(swapcontext(&main_context, &own_context) == 0);
	blocks_rewrite(&set, &rng);
	HS_T_CHECK(swapcontext(&main_context, &own_context) == 0);
	HS_T_CHECK(blocks_verify(&set));
	clean(stack);
}

static int clone_main(void *arg)
{
	volatile unsigned char local[4096];

	(void)arg;
	for (int i = 0; i < 200; i++) {
		memset((unsigned char *)local, i, 4096);
		if (local[5] != local[4000])
			return 3;
	}
	return 0;
}

static void case_clone(void)
{
	unsigned char *stack = stack_block();
	struct hs_t_gate end;
	pid_t pid = holder(&end);
	pid_t other =
		clone(clone_main, stack + STACK, CLONE_VM | SIGCHLD, NULL);

	HS_T_CHECK(other > 0);
	HS_T_WAIT_OK(other);
	release(&end, pid);
	clean(stack);
}

/* Runs on a heap block; reads into it, forks on it. */
static void switched(void)
{
	volatile unsigned char local[3000];
	struct hs_t_gate end, data;
	pid_t pid, other;

	memset((unsigned char *)local, 5, sizeof(local));
	hs_t_gate_open(&data);
	pid = holder(&end);
	HS_T_CHECK(write(data.fd[1], "0123456789", 10) == 10);
	HS_T_CHECK(read(data.fd[0], (char *)local + 100, 10) == 10);
	HS_T_CHECK(local[109] == '9' && local[110] == 5);
	other = fork();
	HS_T_CHECK(other >= 0);
	memset((unsigned char *)local, 6, sizeof(local));
	blocks_rewrite(&set, &rng);
	if (other == 0)
		_exit(local[7] == 6 && blocks_verify(&set) ? 0 : 6);
	HS_T_WAIT_OK(other);
	raise(SIGUSR1);
	HS_T_CHECK(local[2999] == 6 && blocks_verify(&set));
	release(&end, pid);
	hs_t_gate_close(&data);
}

static void case_switch(void)
{
#ifdef __x86_64__
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned char *stack = stack_block();
	void *top = (void *)(((uintptr_t)stack + STACK) & ~(uintptr_t)63);

	HS_T_CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %0, %%rsp\n\t"
			 "call *%1\n\t"
			 "mov %%rbx, %%rsp"
			 :
			 : "r"(top), "r"(switched)
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
			   "r10", "r11", "cc", "memory");
	clean(stack);
#endif
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = { { "altstack", case_altstack },
		      { "thread", case_thread },
		      { "context", case_context },
		      { "clone", case_clone },
		      { "switch", case_switch } };
	bool any = false;

	rng.state = hs_t_seed(1);
	if (!hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		any = true;
		for (int r = 0; r < ROUNDS; r++)
			cases[i].run();
	}
	HS_T_CHECK(any, "no such case");
	hog_stop(&hog);
	printf("stacks hold\n");
	return 0;
}
