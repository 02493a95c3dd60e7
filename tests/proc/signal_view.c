/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * signal_view.c - what a program sees of SIGBUS and SIGSEGV: masks, actions,
 * pending signals, faults of its own, what a new program inherits.  Each case
 * runs in a child, three times: as it is; after a first block of SIGSEGV, by
 * which the library puts its trap in place; with heap on huge pages where there
 * are any, when threads have a signal stack.  Bare, all are the kernel's.
 *
 *   signal_view [CASE...]
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "signal_view.h"

/* Old calls are what is tested. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static volatile sig_atomic_t count, last_code;
static void *volatile last_addr;
char *volatile guard;

static void counting(int sig)
{
	(void)sig;
	count++;
}

static void informed(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	count++;
	last_code = info->si_code;
	last_addr = info->si_addr;
}

/* Run @f in a child; its wait status. */
static int in_child(int (*f)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(f() ? 1 : 0);
	return hs_t_wait(pid);
}

static bool killed_by(int status, int sig)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

/* --- masks -------------------------------------------------------------- */

static int case_mask_view(void)
{
	sigset_t all, old, none;

	sigfillset(&all);
	sigemptyset(&none);
	WANT(sigprocmask(SIG_SETMASK, &all, &old) == 0);
	WANT(!sigismember(&old, SIGSEGV) && !sigismember(&old, SIGBUS));
	WANT(blocked(SIGSEGV) && blocked(SIGBUS) && blocked(SIGTERM));
	WANT(!blocked(SIGKILL));
	WANT(change(SIG_UNBLOCK, SIGBUS) == 0);
	WANT(blocked(SIGSEGV) && !blocked(SIGBUS));
	WANT(pthread_sigmask(SIG_SETMASK, &none, &old) == 0);
	WANT(sigismember(&old, SIGSEGV) && !sigismember(&old, SIGBUS));
	WANT(!blocked(SIGSEGV) && !blocked(SIGTERM));
	WANT(sigprocmask(99, &all, &old) == -1 && errno == EINVAL);
	WANT(pthread_sigmask(99, &all, &old) == EINVAL);
	WANT(!blocked(SIGSEGV));
	return 0;
}

static void *mask_of_thread(void *arg)
{
	(void)arg;
	return (void *)(uintptr_t)(blocked(SIGSEGV) + 2 * blocked(SIGBUS));
}

static int case_mask_thread(void)
{
	pthread_t t;
	void *ret;

	WANT(change(SIG_BLOCK, SIGSEGV) == 0);
	WANT(pthread_create(&t, NULL, mask_of_thread, NULL) == 0);
	WANT(pthread_join(t, &ret) == 0 && (uintptr_t)ret == 1);
	WANT(change(SIG_UNBLOCK, SIGSEGV) == 0);
	WANT(pthread_create(&t, NULL, mask_of_thread, NULL) == 0);
	WANT(pthread_join(t, &ret) == 0 && (uintptr_t)ret == 0);
	return 0;
}

static int child_has_mask(void)
{
	WANT(blocked(SIGSEGV) && !blocked(SIGBUS));
	return 0;
}

static int case_mask_fork(void)
{
	WANT(change(SIG_BLOCK, SIGSEGV) == 0);
	WANT(in_child(child_has_mask) == 0);
	return 0;
}

static int case_mask_action(void)
{
	struct sigaction sa, old;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = counting;
	sa.sa_flags = SA_RESTART;
	sigfillset(&sa.sa_mask);
	WANT(sigaction(SIGUSR1, &sa, NULL) == 0);
	WANT(sigaction(SIGUSR1, NULL, &old) == 0);
	WANT(old.sa_handler == counting && (old.sa_flags & SA_RESTART));
	WANT(sigismember(&old.sa_mask, SIGSEGV));
	WANT(sigismember(&old.sa_mask, SIGBUS));
	WANT(sigismember(&old.sa_mask, SIGTERM));
	sigemptyset(&sa.sa_mask);
	WANT(sigaction(SIGUSR1, &sa, &old) == 0);
	WANT(sigismember(&old.sa_mask, SIGBUS));
	WANT(sigaction(SIGUSR1, NULL, &old) == 0);
	WANT(!sigismember(&old.sa_mask, SIGBUS));
	return 0;
}

static int case_mask_context(void)
{
	static ucontext_t uc;
	volatile int round = 0;

	WANT(getcontext(&uc) == 0);
	if (round++ == 0) {
		sigaddset(&uc.uc_sigmask, SIGSEGV);
		setcontext(&uc);
		return __LINE__;
	}
	WANT(blocked(SIGSEGV));
	return 0;
}

static int case_mask_syscall(void)
{
	unsigned long set = 1UL << (SIGSEGV - 1), old = 0;

	WANT(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &old, 8) == 0);
	WANT(blocked(SIGSEGV));
	WANT(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, &old, 8) == 0);
	WANT((old & set) && !blocked(SIGSEGV));
	return 0;
}

/* --- actions ------------------------------------------------------------ */

static int case_action_view(void)
{
	struct sigaction old;
	int sigs[2] = { SIGSEGV, SIGBUS }, i;

	for (i = 0; i < 2; i++) {
		WANT(sigaction(sigs[i], NULL, &old) == 0);
		WANT(old.sa_handler == SIG_DFL && !(old.sa_flags & SA_SIGINFO));
		WANT(action(sigs[i], informed, SA_RESTART | SA_NODEFER) == 0);
		WANT(sigaction(sigs[i], NULL, &old) == 0);
		WANT(old.sa_sigaction == informed);
		WANT((old.sa_flags & (SA_SIGINFO | SA_RESTART | SA_NODEFER |
				      SA_ONSTACK)) ==
		     (SA_SIGINFO | SA_RESTART | SA_NODEFER));
		WANT(!sigismember(&old.sa_mask, SIGTERM));
		WANT(signal(sigs[i], counting) != SIG_ERR);
		WANT(sigaction(sigs[i], NULL, &old) == 0);
		WANT(old.sa_handler == counting && (old.sa_flags & SA_RESTART));
		WANT(sigismember(&old.sa_mask, sigs[i]));
		WANT(siginterrupt(sigs[i], 1) == 0);
		WANT(sigaction(sigs[i], NULL, &old) == 0);
		WANT(!(old.sa_flags & SA_RESTART));
		WANT(signal(sigs[i], SIG_IGN) == counting);
		WANT(signal(sigs[i], SIG_DFL) == SIG_IGN);
	}
	WANT(signal(SIGKILL, SIG_IGN) == SIG_ERR && errno == EINVAL);
	WANT(sigaction(12345, NULL, &old) == -1 && errno == EINVAL);
	return 0;
}

extern void (*sysv_signal(int, void (*)(int)))(int);

static int case_action_sysv(void)
{
	struct sigaction old;

	WANT(sysv_signal(SIGSEGV, counting) == SIG_DFL);
	WANT(sigaction(SIGSEGV, NULL, &old) == 0);
	WANT((old.sa_flags & (int)(SA_RESETHAND | SA_NODEFER)) ==
	     (int)(SA_RESETHAND | SA_NODEFER));
	count = 0;
	raise(SIGSEGV);
	WANT(count == 1);
	WANT(sigaction(SIGSEGV, NULL, &old) == 0);
	WANT(old.sa_handler == SIG_DFL);
	return 0;
}

static int case_action_xopen(void)
{
	WANT(sigset(SIGSEGV, counting) == SIG_DFL);
	WANT(sighold(SIGSEGV) == 0 && blocked(SIGSEGV));
	count = 0;
	raise(SIGSEGV);
	WANT(count == 0);
	WANT(sigset(SIGSEGV, counting) == SIG_HOLD);
	WANT(count == 1 && !blocked(SIGSEGV));
	WANT(sigset(SIGSEGV, SIG_HOLD) == counting && blocked(SIGSEGV));
	WANT(sigrelse(SIGSEGV) == 0 && !blocked(SIGSEGV));
	WANT(sigignore(SIGSEGV) == 0);
	raise(SIGSEGV);
	WANT(sigset(SIGSEGV, SIG_DFL) == SIG_IGN);
	return 0;
}

static int case_action_bsd(void)
{
	int bit = 1 << (SIGSEGV - 1);

	WANT(sigblock(bit) == 0 && sigblock(0) == bit);
	WANT(blocked(SIGSEGV));
	WANT(sigsetmask(0) == bit && !blocked(SIGSEGV));
	return 0;
}

/* --- sent by kill ------------------------------------------------------- */

static int case_kill_handler(void)
{
	WANT(action(SIGSEGV, informed, 0) == 0);
	count = 0;
	WANT(kill(getpid(), SIGSEGV) == 0 && count == 1);
	WANT(last_code == SI_USER);
	raise(SIGSEGV);
	WANT(count == 2 && last_code == SI_TKILL);
	return 0;
}

static int die_by_kill(void)
{
	kill(getpid(), SIGBUS);
	return 1;
}

static int ignore_kill(void)
{
	signal(SIGBUS, SIG_IGN);
	kill(getpid(), SIGBUS);
	return 0;
}

static int case_kill_default(void)
{
	WANT(killed_by(in_child(die_by_kill), SIGBUS));
	WANT(in_child(ignore_kill) == 0);
	return 0;
}

static int case_kill_blocked(void)
{
	sigset_t set;

	WANT(action(SIGBUS, informed, 0) == 0);
	count = 0;
	WANT(change(SIG_BLOCK, SIGBUS) == 0);
	WANT(kill(getpid(), SIGBUS) == 0);
	raise(SIGBUS);
	WANT(count == 0);
	WANT(sigpending(&set) == 0 && sigismember(&set, SIGBUS));
	WANT(change(SIG_UNBLOCK, SIGBUS) == 0);
	WANT(count == 2);
	WANT(sigpending(&set) == 0 && !sigismember(&set, SIGBUS));
	return 0;
}

static int child_has_nothing_pending(void)
{
	sigset_t set;

	WANT(sigpending(&set) == 0 && !sigismember(&set, SIGBUS));
	return 0;
}

static int case_kill_fork(void)
{
	WANT(change(SIG_BLOCK, SIGBUS) == 0);
	raise(SIGBUS);
	WANT(kill(getpid(), SIGBUS) == 0);
	WANT(in_child(child_has_nothing_pending) == 0);
	return 0;
}

static int die_when_unblocked(void)
{
	change(SIG_BLOCK, SIGSEGV);
	raise(SIGSEGV);
	change(SIG_UNBLOCK, SIGSEGV);
	return 1;
}

static int case_kill_pending_default(void)
{
	WANT(killed_by(in_child(die_when_unblocked), SIGSEGV));
	return 0;
}

static int case_wait(void)
{
	struct timespec zero = { 0, 0 };
	sigset_t set;
	siginfo_t info;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	sigaddset(&set, SIGUSR1);
	WANT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	WANT(sigtimedwait(&set, &info, &zero) == -1 && errno == EAGAIN);
	WANT(kill(getpid(), SIGBUS) == 0);
	WANT(sigwaitinfo(&set, &info) == SIGBUS);
	WANT(info.si_signo == SIGBUS && info.si_code == SI_USER &&
	     info.si_pid == getpid());
	raise(SIGBUS);
	WANT(sigwait(&set, &sig) == 0 && sig == SIGBUS);
	raise(SIGUSR1);
	WANT(sigwait(&set, &sig) == 0 && sig == SIGUSR1);
	WANT(sigtimedwait(&set, &info, &zero) == -1 && errno == EAGAIN);
	zero.tv_nsec = -1;
	WANT(sigtimedwait(&set, &info, &zero) == -1 && errno == EINVAL);
	return 0;
}

static struct hs_t_gate from_waiter;

static void *waiter(void *arg)
{
	sigset_t set;
	int sig = 0;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	hs_t_gate_post(&from_waiter, 'r');
	if (sigwait(&set, &sig) != 0)
		return NULL;
	return (void *)(uintptr_t)sig;
}

/* A thread that waits for what all block, as servers do. */
static int case_wait_thread(void)
{
	pthread_t t;
	void *ret;

	hs_t_gate_open(&from_waiter);
	WANT(change(SIG_BLOCK, SIGBUS) == 0);
	WANT(pthread_create(&t, NULL, waiter, NULL) == 0);
	WANT(hs_t_gate_wait(&from_waiter) == 'r');
	WANT(kill(getpid(), SIGBUS) == 0);
	WANT(pthread_join(t, &ret) == 0 && (uintptr_t)ret == SIGBUS);
	return 0;
}

static int case_suspend(void)
{
	sigset_t none;

	sigemptyset(&none);
	WANT(action(SIGBUS, informed, 0) == 0);
	WANT(change(SIG_BLOCK, SIGBUS) == 0);
	count = 0;
	raise(SIGBUS);
	WANT(count == 0);
	WANT(sigsuspend(&none) == -1 && errno == EINTR && count == 1);
	WANT(blocked(SIGBUS));
	raise(SIGBUS);
	WANT(ppoll(NULL, 0, NULL, &none) == -1 && errno == EINTR);
	WANT(count == 2 && blocked(SIGBUS));
	raise(SIGBUS);
	WANT(pselect(0, NULL, NULL, NULL, NULL, &none) == -1 &&
	     errno == EINTR && count == 3);
	raise(SIGBUS);
	WANT(sigpause(SIGBUS) == -1 && errno == EINTR && count == 4);
	return 0;
}

/* --- the program's own faults ------------------------------------------- */

static sigjmp_buf env;

static void jumping(int sig, siginfo_t *info, void *context)
{
	(void)context;
	count++;
	last_code = info->si_code;
	last_addr = info->si_addr;
	siglongjmp(env, sig);
}

static HS_T_UNUSED __attribute__((noinline)) int fault_at(int depth)
{
	volatile char room[200];

	room[0] = (char)depth;
	if (depth > 0)
		return fault_at(depth - 1) + room[0];
	*guard = 1;
	return 0;
}

/* Left by longjmp a thousand times, from ever different depths. */
static int case_fault_jump(void)
{
	volatile int i;

	WANT(action(SIGSEGV, jumping, 0) == 0);
	count = 0;
	for (i = 0; i < 1000; i++) {
		if (sigsetjmp(env, 1) == 0) {
			fault_at(i % 37);
			return __LINE__;
		}
		WANT(last_addr == guard && last_code == SEGV_ACCERR);
		WANT(!blocked(SIGSEGV));
	}
	WANT(count == 1000);
	return 0;
}

static void healing(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	count++;
	mprotect(guard, 4096, PROT_READ | PROT_WRITE);
	sigaddset(&uc->uc_sigmask, SIGUSR2);
}

static int case_fault_heal(void)
{
	WANT(action(SIGSEGV, healing, 0) == 0);
	count = 0;
	*guard = 7;
	WANT(count == 1 && *guard == 7 && blocked(SIGUSR2));
	WANT(!blocked(SIGSEGV));
	return 0;
}

static volatile sig_atomic_t saw_usr1, saw_term;

static void looking(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	saw_usr1 = blocked(SIGUSR1);
	saw_term = blocked(SIGTERM);
	mprotect(guard, 4096, PROT_READ | PROT_WRITE);
}

static int case_fault_mask(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = looking;
	sa.sa_flags = SA_SIGINFO;
	sigaddset(&sa.sa_mask, SIGUSR1);
	WANT(sigaction(SIGSEGV, &sa, NULL) == 0);
	*guard = 1;
	WANT(saw_usr1 == 1 && saw_term == 0 && !blocked(SIGUSR1));
	return 0;
}

static int fault_bus(void)
{
	char path[] = "/tmp/signal_view.XXXXXX";
	int fd = mkstemp(path);
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	unlink(path);
	return p[0]; /* behind the end of the file */
}

/* The same in a block of the heap. */
static int fault_bus_heap(void)
{
	char path[] = "/tmp/signal_view.XXXXXX";
	int fd = mkstemp(path);
	volatile char *p = aligned_alloc(4096, 256 << 10);

	unlink(path);
	p[0] = 1;
	alarm(10); /* not for ever */
	if (mmap((void *)p, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) !=
	    p)
		return 1;
	return p[0];
}

static int case_fault_bus(void)
{
	WANT(killed_by(in_child(fault_bus), SIGBUS));
	WANT(killed_by(in_child(fault_bus_heap), SIGBUS));
	WANT(action(SIGBUS, jumping, 0) == 0);
	count = 0;
	if (sigsetjmp(env, 1) == 0)
		fault_bus();
	WANT(count == 1 && last_code == BUS_ADRERR);
	return 0;
}

static int fault_default(void)
{
	*guard = 1;
	return 0;
}

static int fault_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	*guard = 1;
	return 0;
}

static int fault_blocked(void)
{
	signal(SIGSEGV, counting);
	change(SIG_BLOCK, SIGSEGV);
	*guard = 1;
	return 0;
}

static void faulting(int sig)
{
	(void)sig;
	*guard = 1;
}

static int fault_nested(void)
{
	signal(SIGSEGV, faulting);
	*guard = 1;
	return 0;
}

static int fault_reset(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = counting; /* and the fault recurs */
	sa.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGSEGV, &sa, NULL);
	*guard = 1;
	return 0;
}

static int fault_null_call(void)
{
	void (*volatile f)(void) = NULL;

	f();
	return 0;
}

static int case_fault_kills(void)
{
	WANT(killed_by(in_child(fault_default), SIGSEGV));
	WANT(killed_by(in_child(fault_ignored), SIGSEGV));
	WANT(killed_by(in_child(fault_blocked), SIGSEGV));
	WANT(killed_by(in_child(fault_nested), SIGSEGV));
	WANT(killed_by(in_child(fault_reset), SIGSEGV));
	WANT(killed_by(in_child(fault_null_call), SIGSEGV));
	return 0;
}

static char *volatile alt_low, *volatile alt_high;
static volatile bool on_alt;

static void on_altstack(int sig, siginfo_t *info, void *context)
{
	char here;

	(void)sig;
	(void)info;
	(void)context;
	on_alt = &here >= alt_low && &here < alt_high;
	siglongjmp(env, 1);
}

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static __attribute__((noinline)) int recurse(volatile char *p)
{
	volatile char room[4096];

	room[0] = *p;
	room[1] = (char)recurse(room);
	return room[0] + room[1];
}

/* The classic: the stack is full, and the handler runs elsewhere. */
static int case_fault_stack(void)
{
	struct rlimit rl = { 1 << 20, 1 << 20 };
	stack_t ss;
	volatile char start = 0;

	setrlimit(RLIMIT_STACK, &rl);
	memset(&ss, 0, sizeof(ss));
	ss.ss_size = 65536;
	ss.ss_sp = malloc(ss.ss_size);
	alt_low = ss.ss_sp;
	alt_high = alt_low + ss.ss_size;
	WANT(sigaltstack(&ss, NULL) == 0);
	WANT(action(SIGSEGV, on_altstack, SA_ONSTACK) == 0);
	if (sigsetjmp(env, 1) == 0)
		recurse(&start);
	WANT(on_alt);
	return 0;
}

/* --- what a new program inherits ---------------------------------------- */

static char *self;

static int report_inherited(void)
{
	struct sigaction bus;

	sigaction(SIGBUS, NULL, &bus);
	return 10 + blocked(SIGSEGV) + 2 * blocked(SIGBUS) +
	       4 * (bus.sa_handler == SIG_IGN);
}

static int exec_self(void)
{
	change(SIG_BLOCK, SIGSEGV);
	signal(SIGBUS, SIG_IGN);
	execl(self, self, "inherited", NULL);
	return 1;
}

static int exec_self_env(void)
{
	char *argv[] = { self, (char *)"inherited", NULL };
	extern char **environ;

	change(SIG_BLOCK, SIGBUS);
	execve(self, argv, environ);
	return 1;
}

static int exec_fails(void)
{
	change(SIG_BLOCK, SIGSEGV);
	execl("/nonexistent", "x", NULL);
	WANT(blocked(SIGSEGV) && !blocked(SIGBUS));
	WANT(change(SIG_UNBLOCK, SIGSEGV) == 0 && !blocked(SIGSEGV));
	return 0;
}

static int case_exec(void)
{
	int status = in_child(exec_self);

	WANT(WIFEXITED(status) && WEXITSTATUS(status) == 15);
	status = in_child(exec_self_env);
	WANT(WIFEXITED(status) && WEXITSTATUS(status) == 12);
	WANT(in_child(exec_fails) == 0);
	return 0;
}

static int case_spawn(void)
{
	char *argv[] = { self, (char *)"inherited", NULL };
	extern char **environ;
	int status;
	pid_t pid;

	WANT(change(SIG_BLOCK, SIGSEGV) == 0);
	signal(SIGBUS, SIG_IGN);
	WANT(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	status = hs_t_wait(pid);
	WANT(WIFEXITED(status) && WEXITSTATUS(status) == 15);
	WANT(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ) ==
	     ENOENT);
	WANT(signal(SIGBUS, SIG_DFL) == SIG_IGN);
	WANT(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	status = hs_t_wait(pid);
	WANT(WIFEXITED(status) && WEXITSTATUS(status) == 11);
	return 0;
}

/* A child of vfork() sets its own actions, in its parent's memory. */
static int case_vfork(void)
{
	char *argv[] = { self, (char *)"inherited", NULL };
	extern char **environ;
	struct sigaction old;
	int status;
	pid_t pid;

	WANT(action(SIGSEGV, informed, 0) == 0);
	pid = vfork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_IGN);
		execve(self, argv, environ);
		_exit(99);
	}
	status = hs_t_wait(pid);
	WANT(WIFEXITED(status) && WEXITSTATUS(status) == 14);
	WANT(sigaction(SIGSEGV, NULL, &old) == 0);
	WANT(old.sa_sigaction == informed);
	WANT(sigaction(SIGBUS, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
	count = 0;
	raise(SIGSEGV);
	WANT(count == 1);
	return 0;
}

/* --- all ---------------------------------------------------------------- */

#define CASES(X)                                                               \
	X(mask_view) X(mask_thread) X(mask_fork) X(mask_action)                \
	X(mask_context) X(mask_syscall) X(action_view) X(action_sysv)          \
	X(action_xopen) X(action_bsd) X(kill_handler) X(kill_default)          \
	X(kill_blocked) X(kill_fork) X(kill_pending_default) X(wait)           \
	X(wait_thread) X(suspend) X(fault_jump) X(jump_mask) X(handler_view)   \
	X(fault_heal) X(fault_mask)                                            \
	X(fault_bus) X(fault_kills) X(fault_stack) X(exec) X(spawn)      \
	X(vfork)

static const struct {
	const char *name;
	int (*run)(void);
} cases[] = {
#define X(name) { #name, case_##name },
	CASES(X)
#undef X
};

#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

enum mode { PLAIN, TRAP, HUGE_PAGES, NR_MODES };

static const char *const mode_text[NR_MODES] = { "", " (trap in place)",
						 " (huge pages)" };

static void enter_mode(enum mode mode)
{
	if (mode == TRAP) {
		change(SIG_BLOCK, SIGSEGV);
		change(SIG_UNBLOCK, SIGSEGV);
	}
	if (mode == HUGE_PAGES) {
		char *p = malloc((size_t)8 << 20);

		HS_T_CHILD(p != NULL, 97);
		memset(p, 1, (size_t)8 << 20);
		HS_T_CHILD(!getenv("CALLS_NEED_HUGE") ||
				   hs_t_hugetlb_bytes(0) >= (4 << 20),
			   96);
	}
}

/* The number of the line that did not hold, through a pipe: too large for an
 * exit status. */
static int run_case(size_t i, enum mode mode)
{
	struct hs_t_gate gate;
	int line = 0, status;
	pid_t pid;

	hs_t_gate_open(&gate);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		enter_mode(mode);
		line = cases[i].run();
		HS_T_CHILD(write(gate.fd[1], &line, sizeof(line)) > 0, 98);
		_exit(0);
	}
	close(gate.fd[1]);
	if (read(gate.fd[0], &line, sizeof(line)) != sizeof(line))
		line = -1;
	close(gate.fd[0]);
	status = hs_t_wait(pid);
	if (line == 0 && status == 0)
		return 0;
	fprintf(stderr, "%s%s: line %d, %s\n", cases[i].name,
		mode_text[mode], line, hs_t_status(status));
	return 1;
}

int main(int argc, char **argv)
{
	struct rlimit no_core = { 0, 0 };
	int failed = 0, j;
	enum mode mode;
	size_t i;

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "inherited"))
		return report_inherited();
	setrlimit(RLIMIT_CORE, &no_core);
	guard = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HS_T_CHECK(guard != MAP_FAILED);
	for (i = 0; i < NR_CASES; i++) {
		bool wanted = argc == 1;

		for (j = 1; j < argc; j++)
			wanted |= !strcmp(argv[j], cases[i].name);
		for (mode = PLAIN; wanted && mode < NR_MODES; mode++)
			failed += run_case(i, mode);
	}
	printf("%d of %zu cases failed\n", failed,
	       NR_MODES * NR_CASES);
	return failed != 0;
}
