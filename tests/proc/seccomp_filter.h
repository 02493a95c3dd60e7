/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seccomp_filter.h - filters that allow exactly what a bare run needs and kill
 * the process for every other system call.
 *
 * The sets are what `strace -f` shows of shortage_heap without the library
 * (glibc 2.36, x86-64 and its arm64 equivalents):
 *
 *   heap     what malloc, free and realloc call in one thread: brk, mmap,
 *            munmap, mremap, getrandom; and the program's own read, write and
 * exit threads  heap, and what several threads' malloc and pthread_create add:
 *            mprotect, madvise, futex, clone3, rseq, set_robust_list,
 *            rt_sigprocmask, sched_getaffinity, openat, close
 *   fork     threads, and clone, wait4 and what libc's fork calls
 *   exec     fork, and what execve, ld.so and libc's start need
 *
 * filter_install("prctl:heap") or ("seccomp:fork"), or ("raw:heap") for a
 * filter that is installed by a system call no wrapper can see.
 */
#ifndef HS_SECCOMP_FILTER_H
#define HS_SECCOMP_FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/lib/hs_test.h"

enum filter_set {
	FILTER_HEAP = 1,
	FILTER_THREADS = 2,
	FILTER_FORK = 4,
	FILTER_EXEC = 8,
};

static const struct {
	unsigned number;
	unsigned set;
} filter_calls[] = {
	{ __NR_brk, FILTER_HEAP },
	{ __NR_mmap, FILTER_HEAP },
	{ __NR_munmap, FILTER_HEAP },
	{ __NR_mremap, FILTER_HEAP },
	{ __NR_getrandom, FILTER_HEAP }, /* glibc's first malloc */
	{ __NR_read, FILTER_HEAP },
	{ __NR_write, FILTER_HEAP },
	{ __NR_exit_group, FILTER_HEAP },
	{ __NR_mprotect, FILTER_THREADS },
	{ __NR_madvise, FILTER_THREADS },
	{ __NR_futex, FILTER_THREADS },
	{ __NR_clone3, FILTER_THREADS },
	{ __NR_exit, FILTER_THREADS },
	{ __NR_set_robust_list, FILTER_THREADS },
	{ __NR_rt_sigprocmask, FILTER_THREADS },
	{ __NR_rt_sigaction, FILTER_THREADS }, /* pthread_create, once */
	{ __NR_sched_getaffinity, FILTER_THREADS },
	{ __NR_openat, FILTER_THREADS }, /* overcommit_memory, by free */
	{ __NR_close, FILTER_THREADS },
#ifdef __NR_rseq
	{ __NR_rseq, FILTER_THREADS },
#endif
	{ __NR_clone, FILTER_FORK },
	{ __NR_wait4, FILTER_FORK },
	{ __NR_execve, FILTER_EXEC },
	{ __NR_pread64, FILTER_EXEC },
	{ __NR_newfstatat, FILTER_EXEC },
	{ __NR_set_tid_address, FILTER_EXEC },
	{ __NR_prlimit64, FILTER_EXEC },
#ifdef __NR_arch_prctl
	{ __NR_arch_prctl, FILTER_EXEC },
#endif
#ifdef __NR_access
	{ __NR_access, FILTER_EXEC },
#else
	{ __NR_faccessat, FILTER_EXEC },
#endif
};

#define FILTER_NR (sizeof(filter_calls) / sizeof(filter_calls[0]))

static HS_T_UNUSED unsigned filter_sets(const char *name)
{
	static const char *const names[] = { "heap", "threads", "fork",
					     "exec" };

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return (2u << i) - 1;
	fprintf(stderr, "unknown filter %s\n", name);
	_exit(6);
}

static HS_T_UNUSED unsigned short filter_build(struct sock_filter *f,
					       unsigned sets)
{
	unsigned short n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < FILTER_NR; i++) {
		if (!(filter_calls[i].set & sets))
			continue;
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						      filter_calls[i].number, 0,
						      1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						      SECCOMP_RET_ALLOW);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
					      SECCOMP_RET_KILL_PROCESS);
	return n;
}

/* A system call that no wrapper sees. */
static HS_T_UNUSED long filter_raw(long nr, long a, long b, long c)
{
#ifdef __x86_64__
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
#else
	return syscall(nr, a, b, c);
#endif
}

/* @how: "HOW:SET" as above; leaves with 5 where the kernel refuses. */
static HS_T_UNUSED void filter_install(const char *how)
{
	struct sock_filter code[2 * FILTER_NR + 4];
	const char *set = strchr(how, ':');
	struct sock_fprog prog = { .filter = code };
	long ret;

	prog.len = filter_build(code, filter_sets(set ? set + 1 : "exec"));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(5);
	if (strncmp(how, "prctl", 5) == 0)
		ret = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
	else if (strncmp(how, "raw", 3) == 0)
		ret = filter_raw(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0,
				 (long)&prog);
	else
		ret = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
	if (ret != 0)
		_exit(5);
}

#endif
