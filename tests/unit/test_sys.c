/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every member of the table against the real kernel. */
#include <fcntl.h>
#include <linux/mman.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include "sys.h"
#include "unit.h"

#define PAGE hs_sys_page_size()

START_TEST(every_member_is_set)
{
	void *const *member = (void *const *)(const void *)&hs_sys;
	size_t i;

	for (i = 0; i < sizeof(hs_sys) / sizeof(*member); i++)
		ck_assert_ptr_nonnull(member[i]);
}
END_TEST

START_TEST(memory)
{
	unsigned char present[4] = { 0 };
	char *p;
	char *q;

	errno = 77;
	p = hs_sys.mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(!hs_sys_is_err(p));
	p[0] = 1;
	ck_assert_int_eq(hs_sys.mincore(p, PAGE, present), 0);
	ck_assert_int_eq(present[0] & 1, 1);
	ck_assert_int_eq(hs_sys.mprotect(p, PAGE, PROT_READ), 0);
	ck_assert_int_eq(hs_sys.madvise(p + PAGE, PAGE, MADV_DONTNEED), 0);
	ck_assert_int_eq(hs_sys.madvise(p + 1, PAGE, MADV_DONTNEED), -EINVAL);
	q = hs_sys.mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			  p + 2 * PAGE);
	ck_assert_ptr_eq(q, p + 2 * PAGE);
	ck_assert_int_eq(q[0], 1);
	ck_assert_int_eq(hs_sys.munmap(p, 4 * PAGE), 0);
	q = hs_sys.mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(hs_sys_is_err(q));
	ck_assert_int_eq(hs_sys_err(q), -EINVAL);
	ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(mmap_offset_is_in_bytes)
{
	FILE *f = tmpfile();
	char *p;

	ck_assert_int_eq(ftruncate(fileno(f), (off_t)(2 * PAGE)), 0);
	ck_assert_int_eq(pwrite(fileno(f), "!", 1, (off_t)PAGE), 1);
	p = hs_sys.mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fileno(f),
			(off_t)PAGE);
	ck_assert(!hs_sys_is_err(p));
	ck_assert_int_eq(p[0], '!');
}
END_TEST

START_TEST(files)
{
	char path[] = "/tmp/hugeshim-sys-XXXXXX";
	char link[64];
	char proc[64];
	char buf[8] = "";
	struct stat st;
	struct statfs fs;
	int avail = 0;
	int fd = mkstemp(path);
	int dup;

	ck_assert_int_ge(fd, 0);
	close(fd);
	errno = 77;
	fd = hs_sys.open(path, O_RDWR, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(hs_sys.write(fd, "abcdef", 6), 6);
	ck_assert_int_eq(hs_sys.pread(fd, buf, 2, 2), 2);
	ck_assert_str_eq(buf, "cd");
	ck_assert_int_eq(hs_sys.ioctl(fd, 0x541B /* FIONREAD */, &avail), 0);
	ck_assert_int_eq(hs_sys.ftruncate(fd, 3), 0);
	ck_assert_int_eq(hs_sys.fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 3);
	ck_assert_int_eq(hs_sys.fstatfs(fd, &fs), 0);
	ck_assert_int_ne(fs.f_type, 0);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(hs_sys.readlink(proc, link, sizeof(link)),
			 (int)strlen(path));
	ck_assert_mem_eq(link, path, strlen(path));
	dup = hs_sys.dup_cloexec(fd, 100);
	ck_assert_int_ge(dup, 100);
	ck_assert_int_eq(fcntl(dup, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(hs_sys.close(dup), 0);
	ck_assert_int_eq(hs_sys.close(fd), 0);
	ck_assert_int_eq(hs_sys.close(fd), -EBADF);
	ck_assert_int_eq(hs_sys.read(fd, buf, 1), -EBADF);
	ck_assert_int_eq(hs_sys.open("/nowhere/at/all", O_RDONLY, 0), -ENOENT);
	ck_assert_int_eq(errno, 77);
	unlink(path);
}
END_TEST

static volatile int seen_signal;
static volatile void *seen_addr;
static volatile int unwound_frames;

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context,
				       void *arg HS_UNUSED)
{
	if (_Unwind_GetIP(context) == 0)
		return _URC_END_OF_STACK;
	unwound_frames++;
	return _URC_NO_REASON;
}

static void on_signal(int sig, siginfo_t *info, void *context HS_UNUSED)
{
	seen_signal = sig;
	seen_addr = info->si_value.sival_ptr;
	unwound_frames = 0;
	_Unwind_Backtrace(count_frame, NULL);
}

static HS_NOINLINE int raise_deep(int depth)
{
	union sigval value = { .sival_ptr = &seen_addr };
	int ret = depth ? raise_deep(depth - 1)
			: sigqueue(getpid(), SIGUSR1, value);

	__asm__ volatile("" : "+r"(ret));
	return ret;
}

START_TEST(sigaction_there_and_back)
{
	struct sigaction act = { .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction old;

	act.sa_sigaction = on_signal;
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGUSR2);
	sigaddset(&act.sa_mask, SIGRTMAX);
	errno = 77;
	ck_assert_int_eq(hs_sys.sigaction(SIGUSR1, &act, NULL), 0);
	ck_assert_int_eq(hs_sys.sigaction(SIGUSR1, NULL, &old), 0);
	ck_assert_ptr_eq((void *)old.sa_sigaction, (void *)on_signal);
	ck_assert_int_eq(old.sa_flags & (SA_SIGINFO | SA_RESTART),
			 SA_SIGINFO | SA_RESTART);
	ck_assert(sigismember(&old.sa_mask, SIGUSR2));
	ck_assert(sigismember(&old.sa_mask, SIGRTMAX));
	ck_assert(!sigismember(&old.sa_mask, SIGHUP));
	/* libc sees the same. */
	ck_assert_int_eq(sigaction(SIGUSR1, NULL, &old), 0);
	ck_assert_ptr_eq((void *)old.sa_sigaction, (void *)on_signal);
	ck_assert(sigismember(&old.sa_mask, SIGRTMAX));
	ck_assert_int_eq(hs_sys.sigaction(SIGKILL, &act, NULL), -EINVAL);
	ck_assert_int_eq(errno, 77);
}
END_TEST

/* Returned through our restorer, and unwound through the signal frame. */
START_TEST(handler_returns_and_unwinds)
{
	struct sigaction act = { .sa_flags = SA_SIGINFO };
	int shallow;

	act.sa_sigaction = on_signal;
	ck_assert_int_eq(hs_sys.sigaction(SIGUSR1, &act, NULL), 0);
	ck_assert_int_eq(raise_deep(0), 0);
	ck_assert_int_eq(seen_signal, SIGUSR1);
	ck_assert_ptr_eq((void *)seen_addr, (void *)&seen_addr);
	shallow = unwound_frames;
	ck_assert_int_eq(raise_deep(10), 0);
	ck_assert_int_eq(unwound_frames, shallow + 10);
}
END_TEST

START_TEST(signal_masks)
{
	const struct timespec at_once = { 0, 0 };
	uint64_t set = UINT64_C(1) << (SIGUSR2 - 1);
	uint64_t old = 0;
	sigset_t libc_set;

	ck_assert_int_eq(hs_sys.sigprocmask(SIG_BLOCK, &set, &old), 0);
	sigprocmask(SIG_BLOCK, NULL, &libc_set);
	ck_assert(sigismember(&libc_set, SIGUSR2));
	ck_assert_int_eq(hs_sys.sigtimedwait(&set, NULL, &at_once), -EAGAIN);
	ck_assert_int_eq(hs_sys.tgkill(getpid(), hs_sys.gettid(), SIGUSR2), 0);
	ck_assert_int_eq(hs_sys.sigtimedwait(&set, NULL, &at_once), SIGUSR2);
	ck_assert_int_eq(hs_sys.sigprocmask(SIG_SETMASK, &old, NULL), 0);
	sigprocmask(SIG_BLOCK, NULL, &libc_set);
	ck_assert(!sigismember(&libc_set, SIGUSR2));
}
END_TEST

static _Atomic uint32_t futex_word;

static void *wake_up(void *arg HS_UNUSED)
{
	atomic_store(&futex_word, 1);
	while (hs_sys.futex_wake(&futex_word, 1) == 0 &&
	       atomic_load(&futex_word) != 2)
		hs_sys.sched_yield();
	return NULL;
}

START_TEST(futexes)
{
	const struct timespec short_time = { 0, 1000000 };
	pthread_t thread;

	errno = 77;
	ck_assert_int_eq(hs_sys.futex_wait(&futex_word, 1, NULL), -EAGAIN);
	ck_assert_int_eq(hs_sys.futex_wait(&futex_word, 0, &short_time),
			 -ETIMEDOUT);
	pthread_create(&thread, NULL, wake_up, NULL);
	while (atomic_load(&futex_word) == 0)
		hs_sys.futex_wait(&futex_word, 0, NULL);
	atomic_store(&futex_word, 2);
	pthread_join(thread, NULL);
	ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(process)
{
	struct rlimit64 limit;
	struct rlimit libc_limit;
	struct timespec ts = { 0, 0 };
	unsigned char bytes[16] = { 0 };
	unsigned char zeros[16] = { 0 };

	ck_assert_int_eq(hs_sys.getpid(), getpid());
	ck_assert_int_eq(hs_sys.gettid(), (int)syscall(SYS_gettid));
	ck_assert_int_eq(hs_sys.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
			 prctl(PR_GET_DUMPABLE));
	ck_assert_int_eq(hs_sys.getrlimit(RLIMIT_NOFILE, &limit), 0);
	getrlimit(RLIMIT_NOFILE, &libc_limit);
	ck_assert_uint_eq(limit.rlim_cur, libc_limit.rlim_cur);
	ck_assert_int_eq(hs_sys.getrandom(bytes, sizeof(bytes), 0), 16);
	ck_assert_mem_ne(bytes, zeros, sizeof(bytes));
	ck_assert_int_eq(hs_sys.clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	ck_assert_int_gt(ts.tv_sec + ts.tv_nsec, 0);
	ck_assert_int_eq(hs_sys.sched_yield(), 0);
	ck_assert_uint_eq(PAGE, (size_t)sysconf(_SC_PAGESIZE));
}
END_TEST

static void on_abort(int sig HS_UNUSED)
{
	_exit(1);
}

/* By SIGABRT whatever the program thinks of it. */
START_TEST(abort_cannot_be_escaped)
{
	sigset_t all;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGABRT, on_abort);
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		hs_sys_abort();
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_member_is_set);
	tcase_add_test(tc, memory);
	tcase_add_test(tc, mmap_offset_is_in_bytes);
	tcase_add_test(tc, files);
	tcase_add_test(tc, sigaction_there_and_back);
	tcase_add_test(tc, handler_returns_and_unwinds);
	tcase_add_test(tc, signal_masks);
	tcase_add_test(tc, futexes);
	tcase_add_test(tc, process);
	tcase_add_test(tc, abort_cannot_be_escaped);
}

int main(void)
{
	return unit_main("sys", add);
}
