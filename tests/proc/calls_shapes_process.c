/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shapes of calls_shapes.c: processes, time, signals, stacks. */
#include <aio.h>
#include <mqueue.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <ucontext.h>

#include "calls_shapes.h"

/* --- processes ---------------------------------------------------------- */

static pid_t child_exit(int status)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(status);
	return pid;
}

int shape_waitpid(char *p)
{
	int *status = (int *)p;
	pid_t pid = child_exit(7);

	WANT(waitpid(pid, status, 0) == pid && WEXITSTATUS(*status) == 7);
	return 0;
}

int shape_wait4(char *p)
{
	int *status = (int *)p;
	struct rusage *ru = (struct rusage *)(p + 8192);
	pid_t pid = child_exit(8);

	WANT(wait4(pid, status, 0, ru) == pid && WEXITSTATUS(*status) == 8);
	WANT(ru->ru_maxrss > 0);
	return 0;
}

int shape_waitid(char *p)
{
	siginfo_t *info = (siginfo_t *)p;
	pid_t pid = child_exit(9);

	WANT(waitid(P_PID, (id_t)pid, info, WEXITED) == 0);
	WANT(info->si_pid == pid && info->si_status == 9);
	return 0;
}

extern char **environ;

int shape_spawn(char *p)
{
	char *argv[] = { (char *)"true", NULL };
	pid_t *pid = (pid_t *)p;

	WANT(posix_spawnp(pid, "true", NULL, NULL, argv, environ) == 0);
	WANT(*pid > 0 && hs_t_wait(*pid) == 0);
	return 0;
}

int shape_times(char *p)
{
	struct tms *t = (struct tms *)p;

	WANT(times(t) != (clock_t)-14 && t->tms_cutime >= 0);
	return 0;
}

int shape_rusage(char *p)
{
	struct rusage *ru = (struct rusage *)p;
	struct rlimit *rl = (struct rlimit *)(p + 8192);

	WANT(getrusage(RUSAGE_SELF, ru) == 0 && ru->ru_maxrss > 0);
	WANT(getrlimit(RLIMIT_NOFILE, rl) == 0 && rl->rlim_cur > 0);
	return 0;
}

int shape_prlimit(char *p)
{
	struct rlimit *rl = (struct rlimit *)p;

	WANT(prlimit(0, RLIMIT_NOFILE, NULL, rl) == 0 && rl->rlim_cur > 0);
	return 0;
}

int shape_ids(char *p)
{
	uid_t *id = (uid_t *)p;
	gid_t *groups = (gid_t *)(p + 8192);

	WANT(getresuid(id, id + 1, id + 2) == 0 && id[0] == getuid());
	WANT(getgroups(1024, groups) >= 0);
	return 0;
}

int shape_sysinfo(char *p)
{
	struct sysinfo *si = (struct sysinfo *)p;

	WANT(sysinfo(si) == 0 && si->totalram > 0);
	return 0;
}

int shape_uname(char *p)
{
	struct utsname *u = (struct utsname *)p;

	WANT(uname(u) == 0 && strcmp(u->sysname, "Linux") == 0);
	return 0;
}

int shape_affinity(char *p)
{
	cpu_set_t *set = (cpu_set_t *)p;

	WANT(sched_getaffinity(0, sizeof(*set), set) == 0);
	WANT(CPU_COUNT(set) > 0);
	return 0;
}

int shape_prctl(char *p)
{
	WANT(prctl(PR_SET_NAME, "shape") == 0);
	WANT(prctl(PR_GET_NAME, p) == 0 && strcmp(p, "shape") == 0);
	return 0;
}

int shape_thread_name(char *p)
{
	WANT(pthread_setname_np(pthread_self(), "shape2") == 0);
	WANT(pthread_getname_np(pthread_self(), p, 16) == 0);
	WANT(strcmp(p, "shape2") == 0);
	return 0;
}

int shape_vm_readv(char *p)
{
	struct iovec to = { p, sizeof(text) };
	struct iovec from = { (void *)text, sizeof(text) };
	ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	if (n < 0 && (errno == ENOSYS || errno == EPERM))
		return 0;
	WANT(n == sizeof(text) && memcmp(p, text, sizeof(text)) == 0);
	return 0;
}

static int clone_main(void *arg)
{
	_exit(arg != NULL);
}

int shape_clone(char *p)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t *tid = (pid_t *)p;
	pid_t pid = clone(clone_main, stack + sizeof(stack),
			  CLONE_PARENT_SETTID | SIGCHLD, NULL, tid);

	WANT(pid > 0 && *tid == pid && hs_t_wait(pid) == 0);
	return 0;
}

/* --- time --------------------------------------------------------------- */

int shape_clock(char *p)
{
	struct timespec *ts = (struct timespec *)p;

	WANT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, ts) == 0);
	WANT(ts->tv_sec >= 0 && ts->tv_nsec < 1000000000);
	return 0;
}

int shape_timex(char *p)
{
	struct timex *t = (struct timex *)p;

	memset(t, 0, sizeof(*t));
	WANT(adjtimex(t) >= 0 && t->tick > 0);
	return 0;
}

int shape_timers(char *p)
{
	struct itimerval *it = (struct itimerval *)p;
	struct itimerspec *its = (struct itimerspec *)(p + 8192);
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	WANT(getitimer(ITIMER_REAL, it) == 0 && it->it_value.tv_sec == 0);
	WANT(timerfd_gettime(fd, its) == 0 && its->it_value.tv_sec == 0);
	close(fd);
	return 0;
}

/* --- queues ------------------------------------------------------------- */

struct message {
	long type;
	char text[64];
};

int shape_msgrcv(char *p)
{
	struct message *m = (struct message *)p, out = { 1, "hello" };
	struct msqid_ds *ds = (struct msqid_ds *)(p + 8192);
	int id = msgget(IPC_PRIVATE, 0600);

	if (id < 0)
		return 0;
	WANT(msgsnd(id, &out, 6, 0) == 0);
	WANT(msgctl(id, IPC_STAT, ds) == 0 && ds->msg_qnum == 1);
	WANT(msgrcv(id, m, 64, 0, 0) == 6 && strcmp(m->text, "hello") == 0);
	WANT(msgctl(id, IPC_RMID, NULL) == 0);
	return 0;
}

int shape_sem(char *p)
{
	unsigned short *values = (unsigned short *)p;
	int id = semget(IPC_PRIVATE, 3, 0600);

	if (id < 0)
		return 0;
	WANT(semctl(id, 0, GETALL, values) == 0 && values[0] == 0);
	WANT(semctl(id, 0, IPC_RMID) == 0);
	return 0;
}

int shape_mq(char *p)
{
	char name[64];
	mqd_t q;

	snprintf(name, sizeof(name), "/calls_shapes.%d", (int)getpid());
	q = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
	if (q == (mqd_t)-1)
		return 0;
	mq_unlink(name);
	WANT(mq_send(q, text, 5, 3) == 0);
	WANT(mq_receive(q, p, PART, (unsigned *)(p + PART)) == 5);
	WANT(memcmp(p, text, 5) == 0 && *(unsigned *)(p + PART) == 3);
	mq_close(q);
	return 0;
}

/* --- random ------------------------------------------------------------- */

static bool looks_random(const char *p, size_t n)
{
	size_t i, same = 0;

	for (i = 1; i < n; i++)
		same += p[i] == p[0];
	return same < n / 8;
}

int shape_getrandom(char *p)
{
	WANT(getrandom(p, 256, 0) == 256 && looks_random(p, 256));
	return 0;
}

int shape_getentropy(char *p)
{
	WANT(getentropy(p, 256) == 0 && looks_random(p, 256));
	return 0;
}

int shape_arc4random(char *p)
{
	arc4random_buf(p, 4096);
	WANT(looks_random(p, 4096));
	return 0;
}

/* --- signals ------------------------------------------------------------ */

int shape_sigmask(char *p)
{
	sigset_t *old = (sigset_t *)p, *pending = (sigset_t *)(p + 8192), set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	WANT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	WANT(sigprocmask(SIG_SETMASK, NULL, old) == 0);
	WANT(sigismember(old, SIGUSR2) == 1);
	raise(SIGUSR2);
	WANT(sigpending(pending) == 0 && sigismember(pending, SIGUSR2) == 1);
	return 0;
}

int shape_sigwait(char *p)
{
	siginfo_t *info = (siginfo_t *)p;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	WANT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	raise(SIGUSR1);
	WANT(sigwaitinfo(&set, info) == SIGUSR1 && info->si_pid == getpid());
	return 0;
}

static volatile sig_atomic_t handled;

static void count(int sig)
{
	(void)sig;
	handled++;
}

int shape_sigaltstack(char *p)
{
	stack_t ss = { .ss_sp = p, .ss_size = PART };
	stack_t *old = (stack_t *)(p + 2 * PART);
	struct sigaction sa = { .sa_handler = count, .sa_flags = SA_ONSTACK };

	WANT(sigaltstack(&ss, old) == 0 && (old->ss_flags & SS_DISABLE));
	WANT(sigaction(SIGTERM, &sa, NULL) == 0);
	handled = 0;
	raise(SIGTERM);
	WANT(handled == 1);
	ss.ss_flags = SS_DISABLE;
	WANT(sigaltstack(&ss, NULL) == 0);
	return 0;
}

/* --- stacks and helpers ------------------------------------------------- */

static ucontext_t back, there;
static int context_sum;

static void in_context(int a, int b, int c)
{
	char local[4096];

	memset(local, a, sizeof(local));
	handled = 0;
	raise(SIGINT); /* its frame goes onto this stack */
	context_sum = local[17] + b + c + handled;
}

int shape_context(char *p)
{
	signal(SIGINT, count);
	WANT(getcontext(&there) == 0);
	there.uc_stack.ss_sp = p;
	there.uc_stack.ss_size = PART;
	there.uc_link = &back;
	makecontext(&there, (void (*)(void))in_context, 3, 1, 20, 300);
	WANT(swapcontext(&back, &there) == 0 && context_sum == 322);
	return 0;
}

static void *on_stack(void *arg)
{
	char local[4096];

	memset(local, 1, sizeof(local));
	return local[99] == 1 ? arg : NULL;
}

int shape_thread_stack(char *p)
{
	pthread_attr_t attr;
	pthread_t t;
	void *ret = NULL;

	WANT(pthread_attr_init(&attr) == 0);
	WANT(pthread_attr_setstack(&attr, p, 2 * PART) == 0);
	WANT(pthread_create(&t, &attr, on_stack, p) == 0);
	WANT(pthread_join(t, &ret) == 0 && ret == p);
	return 0;
}

int shape_aio(char *p)
{
	struct aiocb *cb = (struct aiocb *)aux;
	const struct aiocb *list[1] = { cb };
	int fd = file_with_text();

	memset(cb, 0, sizeof(*cb));
	cb->aio_fildes = fd;
	cb->aio_buf = p;
	cb->aio_nbytes = PART;
	WANT(aio_read(cb) == 0);
	while (aio_error(cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	WANT(aio_error(cb) == 0 && aio_return(cb) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

/* --- by number ---------------------------------------------------------- */

int shape_syscall_read(char *p)
{
	int fd = file_with_text();

	WANT(syscall(SYS_read, fd, p, PART) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

int shape_syscall_recvfrom(char *p)
{
	int fd[2];

	WANT(pair(fd, SOCK_DGRAM) == 0);
	WANT(syscall(SYS_sendto, fd[1], text, sizeof(text), 0, NULL, 0) ==
	     sizeof(text));
	WANT(syscall(SYS_recvfrom, fd[0], p, PART, 0, NULL, NULL) ==
	     sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

int shape_syscall_getrandom(char *p)
{
	WANT(syscall(SYS_getrandom, p, 256, 0) == 256 && looks_random(p, 256));
	return 0;
}
