/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sys.c - the table of system calls.
 */
#include "sys.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>
#include <time.h>

#include "raw.h"

#define KERNEL_SIGSET_BYTES 8

#if defined(__x86_64__)

/*
 * The kernel returns from a handler to sa_restorer.  gdb and the unwinders of
 * libgcc and LLVM tell a signal frame by exactly these two instructions at an
 * address that no unwind entry covers; they look up the address minus one,
 * hence the nop.
 */
#define KERNEL_SA_RESTORER 0x04000000UL
void hs_sys_restore_rt(void) HS_HIDDEN;
__asm__(".pushsection .text.hs_sys_restore_rt,\"ax\",@progbits\n"
	".balign 16\n"
	"	nop\n"
	".globl hs_sys_restore_rt\n"
	".hidden hs_sys_restore_rt\n"
	".type hs_sys_restore_rt,@function\n"
	"hs_sys_restore_rt:\n"
	"	mov $15, %rax\n"
	"	syscall\n"
	".size hs_sys_restore_rt, . - hs_sys_restore_rt\n"
	".popsection\n");
_Static_assert(SYS_rt_sigreturn == 15, "number in hs_sys_restore_rt");

#endif

/* 1 to 6 arguments, widened the way the kernel takes them. */
#define CALL_ARGS(nr, a, b, c, d, e, f, ...)                                   \
	hs_raw6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e),     \
		(long)(f))
#define CALL(...) CALL_ARGS(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

static void *sys_mmap(void *addr, size_t len, int prot, int flags, int fd,
		      off_t off)
{
	return (void *)CALL(SYS_mmap, addr, len, prot, flags, fd, off);
}

static int sys_munmap(void *addr, size_t len)
{
	return (int)CALL(SYS_munmap, addr, len);
}

static int sys_mprotect(void *addr, size_t len, int prot)
{
	return (int)CALL(SYS_mprotect, addr, len, prot);
}

static int sys_madvise(void *addr, size_t len, int advice)
{
	return (int)CALL(SYS_madvise, addr, len, advice);
}

static void *sys_mremap(void *old, size_t old_len, size_t new_len, int flags,
			void *new_addr)
{
	return (void *)CALL(SYS_mremap, old, old_len, new_len, flags, new_addr);
}

static int sys_mincore(void *addr, size_t len, unsigned char *vec)
{
	return (int)CALL(SYS_mincore, addr, len, vec);
}

static int sys_mbind(void *addr, size_t len, int mode,
		     const unsigned long *nodes, unsigned long max_node,
		     unsigned flags)
{
	return (int)CALL(SYS_mbind, addr, len, mode, nodes, max_node, flags);
}

static HS_START int sys_open(const char *path, int flags, int mode)
{
	return (int)CALL(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

static int sys_close(int fd)
{
	return (int)CALL(SYS_close, fd);
}

static ssize_t sys_read(int fd, void *buf, size_t len)
{
	return CALL(SYS_read, fd, buf, len);
}

static ssize_t sys_pread(int fd, void *buf, size_t len, off_t off)
{
	return CALL(SYS_pread64, fd, buf, len, off);
}

static ssize_t sys_write(int fd, const void *buf, size_t len)
{
	return CALL(SYS_write, fd, buf, len);
}

static ssize_t sys_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return CALL(SYS_pwrite64, fd, buf, len, off);
}

static int sys_ftruncate(int fd, off_t len)
{
	return (int)CALL(SYS_ftruncate, fd, len);
}

static int sys_fstat(int fd, struct stat *stat_buf)
{
	return (int)CALL(SYS_fstat, fd, stat_buf);
}

static int sys_fstatfs(int fd, void *statfs_buf)
{
	return (int)CALL(SYS_fstatfs, fd, statfs_buf);
}

static int sys_dup_cloexec(int fd, int lowest)
{
	return (int)CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
	return (int)CALL(SYS_ioctl, fd, request, arg);
}

static int sys_readlink(const char *path, char *buf, size_t len)
{
	return (int)CALL(SYS_readlinkat, AT_FDCWD, path, buf, len);
}

static int sys_futex_wait(_Atomic uint32_t *word, uint32_t expected,
			  const struct timespec *timeout)
{
	return (int)CALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
			 timeout);
}

static int sys_futex_wake(_Atomic uint32_t *word, int count)
{
	return (int)CALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
}

/* What rt_sigaction(2) takes on both architectures. */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void sigaction_to_kernel(struct kernel_sigaction *to,
				const struct sigaction *from)
{
	to->handler = from->sa_handler;
	to->flags = (unsigned long)(unsigned)from->sa_flags;
	to->restorer = NULL;
	__builtin_memcpy(&to->mask, &from->sa_mask, sizeof(to->mask));
#ifdef KERNEL_SA_RESTORER
	to->flags |= KERNEL_SA_RESTORER;
	to->restorer = hs_sys_restore_rt;
#endif
}

static void sigaction_from_kernel(struct sigaction *to,
				  const struct kernel_sigaction *from)
{
	__builtin_memset(to, 0, sizeof(*to));
	to->sa_handler = from->handler;
	to->sa_flags = (int)from->flags;
	to->sa_restorer = from->restorer;
	__builtin_memcpy(&to->sa_mask, &from->mask, sizeof(from->mask));
}

static int sys_sigaction(int sig, const void *act, void *old)
{
	struct kernel_sigaction kernel_act;
	struct kernel_sigaction kernel_old;
	long ret;

	if (act)
		sigaction_to_kernel(&kernel_act, act);
	ret = CALL(SYS_rt_sigaction, sig, act ? &kernel_act : NULL,
		   old ? &kernel_old : NULL, KERNEL_SIGSET_BYTES);
	if (ret == 0 && old)
		sigaction_from_kernel(old, &kernel_old);
	return (int)ret;
}

static HS_START int sys_sigprocmask(int how, const void *set, void *old)
{
	return (int)CALL(SYS_rt_sigprocmask, how, set, old,
			 KERNEL_SIGSET_BYTES);
}

static int sys_sigtimedwait(const void *set, void *info,
			    const struct timespec *timeout)
{
	return (int)CALL(SYS_rt_sigtimedwait, set, info, timeout,
			 KERNEL_SIGSET_BYTES);
}

static int sys_prctl(int option, unsigned long a2, unsigned long a3,
		     unsigned long a4, unsigned long a5)
{
	return (int)CALL(SYS_prctl, option, a2, a3, a4, a5);
}

static int sys_getrlimit(int resource, struct rlimit64 *limit)
{
	return (int)CALL(SYS_prlimit64, 0, resource, NULL, limit);
}

static int sys_getrandom(void *buf, size_t len, unsigned flags)
{
	return (int)CALL(SYS_getrandom, buf, len, flags);
}

static int sys_getpid(void)
{
	return (int)CALL(SYS_getpid, 0);
}

static int sys_gettid(void)
{
	return (int)CALL(SYS_gettid, 0);
}

static int sys_tgkill(int pid, int tid, int sig)
{
	return (int)CALL(SYS_tgkill, pid, tid, sig);
}

static int sys_clock_gettime(int clock, struct timespec *ts)
{
	return (int)CALL(SYS_clock_gettime, clock, ts);
}

static int sys_sched_yield(void)
{
	return (int)CALL(SYS_sched_yield, 0);
}

/* A test build puts a table of its own in front of this one. */
#ifdef HS_SYS_FAULT
#define TABLE hs_sys_kernel
extern struct hs_sys hs_sys_kernel;
#else
#define TABLE hs_sys
#endif

struct hs_sys TABLE = {
	.mmap = sys_mmap,
	.munmap = sys_munmap,
	.mprotect = sys_mprotect,
	.madvise = sys_madvise,
	.mremap = sys_mremap,
	.mincore = sys_mincore,
	.mbind = sys_mbind,
	.open = sys_open,
	.close = sys_close,
	.read = sys_read,
	.pread = sys_pread,
	.write = sys_write,
	.pwrite = sys_pwrite,
	.ftruncate = sys_ftruncate,
	.fstat = sys_fstat,
	.fstatfs = sys_fstatfs,
	.dup_cloexec = sys_dup_cloexec,
	.ioctl = sys_ioctl,
	.readlink = sys_readlink,
	.futex_wait = sys_futex_wait,
	.futex_wake = sys_futex_wake,
	.sigaction = sys_sigaction,
	.sigprocmask = sys_sigprocmask,
	.sigtimedwait = sys_sigtimedwait,
	.prctl = sys_prctl,
	.getrlimit = sys_getrlimit,
	.getrandom = sys_getrandom,
	.getpid = sys_getpid,
	.gettid = sys_gettid,
	.tgkill = sys_tgkill,
	.clock_gettime = sys_clock_gettime,
	.sched_yield = sys_sched_yield,
};

size_t hs_sys_page_size(void)
{
	static _Atomic size_t page_bytes;
	size_t bytes = atomic_load_explicit(&page_bytes, memory_order_relaxed);

	if (hs_likely(bytes != 0))
		return bytes;
	bytes = getauxval(AT_PAGESZ);
	if (bytes == 0)
		bytes = 4096;
	atomic_store_explicit(&page_bytes, bytes, memory_order_relaxed);
	return bytes;
}

/* Not through the table: nothing may come between here and the end. */
void hs_sys_abort(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	uint64_t none_but_abort = ~(UINT64_C(1) << (SIGABRT - 1));

	sys_sigaction(SIGABRT, &dfl, NULL);
	sys_tgkill(sys_getpid(), sys_gettid(), SIGABRT);
	sys_sigprocmask(SIG_SETMASK, &none_but_abort, NULL);
	for (;;) {
		__builtin_trap();
		CALL(SYS_exit_group, 127);
	}
}
