/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls_stack.c - a coroutine whose stack came from malloc, switched to by the
 * program's own instructions, with its page shared since a fork and no huge
 * page free: a fault of the rescue's and one of the program's on that stack.
 */
#include <sys/mman.h>
#include <ucontext.h>

#include "../lib/hog.h"

#define SLOT ((size_t)2 << 20)
#define STACK ((size_t)64 << 10)

#ifdef __x86_64__

/* Call fn(arg) on the stack that ends at @top. */
static __attribute__((noinline)) void on_stack(char *top, void (*fn)(void *),
					       void *arg)
{
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %0, %%rsp\n\t"
			 "call *%1\n\t"
			 "mov %%rbx, %%rsp"
			 :
			 : "r"(top), "r"(fn), "D"(arg)
			 : "rbx", "rax", "rcx", "rdx", "rsi", "r8", "r9",
			   "r10", "r11", "memory", "cc");
}

static void deep(void *arg)
{
	volatile char room[32768];
	size_t i;

	for (i = 0; i < sizeof(room); i += 512)
		room[i] = (char)i;
	*(int *)arg = room[512] == 0 && room[1024] == 0 ? 1 : 2;
}

static char *volatile guard;
static char *volatile low, *volatile high;
static volatile bool on_coroutine, other_on_coroutine;

static void heal(int sig, siginfo_t *info, void *context)
{
	char here;

	(void)context;
	on_coroutine = &here >= low && &here < high;
	if (sig == SIGSEGV && info->si_addr == guard)
		mprotect(guard, 4096, PROT_READ | PROT_WRITE);
}

static void other(int sig)
{
	char here;

	(void)sig;
	other_on_coroutine = &here >= low && &here < high;
}

/* The program's own fault; its handler runs here too, as without the shim. */
static void fault(void *arg)
{
	volatile double kept = 2.5;

	*guard = 5;
	raise(SIGUSR1);
	*(int *)arg = kept == 2.5 && *guard == 5 ? 1 : 2;
}

static void install(void)
{
	struct sigaction sa;
	stack_t ss;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = heal;
	sa.sa_flags = SA_SIGINFO;
	HS_T_CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
	signal(SIGUSR1, other);
	HS_T_CHECK(sigaltstack(NULL, &ss) == 0);
	HS_T_CHECK(ss.ss_flags == SS_DISABLE && ss.ss_sp == NULL);
}

/* One stack a run: a rescued slot is on base pages for good. */
static void run(char *stack, void (*fn)(void *))
{
	int result = 0;

	low = stack;
	high = stack + STACK;
	on_stack(stack + STACK, fn, &result);
	HS_T_CHECK(result == 1);
}

int main(void)
{
	char *slot[3];
	struct hs_t_gate gate;
	pid_t holder;
	int i;

	for (i = 0; i < 3; i++) {
		slot[i] = aligned_alloc(SLOT, SLOT);
		HS_T_CHECK(slot[i] != NULL);
		memset(slot[i], 0, SLOT);
	}
	if (getenv("CALLS_NEED_HUGE"))
		HS_T_CHECK(hs_t_hugetlb_bytes(0) >= (long long)(3 * SLOT));
	guard = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HS_T_CHECK(guard != MAP_FAILED);
	install();
	hs_t_gate_open(&gate);
	holder = fork();
	HS_T_CHECK(holder >= 0);
	if (holder == 0) {
		close(gate.fd[1]);
		hs_t_gate_wait(&gate);
		_exit(0);
	}
	hog_drain();
	run(slot[0], deep);
	run(slot[1], fault);
	HS_T_CHECK(on_coroutine && other_on_coroutine);
	hs_t_gate_close(&gate);
	HS_T_WAIT_OK(holder);
	return 0;
}

#else

int main(void)
{
	hs_t_skip("switches stacks by instructions of x86-64");
}

#endif
