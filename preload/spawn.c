/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spawn.c - new programs.
 *
 * They inherit the mask and the ignored signals of the thread that starts
 * them, and shall inherit what it would have without us: a virtual mask
 * becomes a real one just before the exec, and SIG_IGN of the application the
 * kernel's.  Processes that never blocked or ignored SIGBUS or SIGSEGV go
 * straight through.
 *
 * posix_spawn() stores the process id with all signals blocked: into a local
 * here, for a fault on the heap would kill.
 */
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "preload/call.h"
#include "preload/real.h"
#include "preload/trap.h"
#include "sys.h"

/* --- ignored signals ---------------------------------------------------- */

static const int trap_signals[2] = { SIGBUS, SIGSEGV };

struct ignored {
	struct sigaction was[2];
	bool set[2];
};

static void ignore_begin(struct ignored *s)
{
	struct sigaction ignore;
	int i;

	memset(&ignore, 0, sizeof(ignore));
	ignore.sa_handler = SIG_IGN;
	for (i = 0; i < 2; i++) {
		s->set[i] = hs_trap_is_ignored(trap_signals[i]);
		if (s->set[i])
			hs_sys.sigaction(trap_signals[i], &ignore, &s->was[i]);
	}
}

static void ignore_end(struct ignored *s)
{
	int i;

	for (i = 0; i < 2; i++)
		if (s->set[i])
			hs_sys.sigaction(trap_signals[i], &s->was[i], NULL);
}

/* --- posix_spawn -------------------------------------------------------- */

typedef int spawn_fn(pid_t *pid, const char *path,
		     const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attr, char *const argv[],
		     char *const envp[]);

/* The attributes with the virtual mask, when the application gives no mask of
 * its own (which the kernel gets as it is: the child has no rescue). */
static const posix_spawnattr_t *with_mask(const posix_spawnattr_t *attr,
					  posix_spawnattr_t *copy)
{
	short flags = 0;
	sigset_t set;

	if (attr != NULL) {
		HS_NEXT(posix_spawnattr_getflags)(attr, &flags);
		if (flags & POSIX_SPAWN_SETSIGMASK)
			return attr;
		*copy = *attr;
	} else {
		HS_NEXT(posix_spawnattr_init)(copy);
	}
	hs_sigmask_process(SIG_BLOCK, NULL, &set); /* the virtual view */
	HS_NEXT(posix_spawnattr_setsigmask)(copy, &set);
	HS_NEXT(posix_spawnattr_setflags)(copy, flags | POSIX_SPAWN_SETSIGMASK);
	return copy;
}

static int spawn(spawn_fn *real, pid_t *pid, const char *path,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const argv[],
		 char *const envp[])
{
	/* While the kernel ignores them no other thread could be rescued. */
	bool hand_on = hs_trap_active() && !hs_real_has_threads();
	struct ignored ignored;
	posix_spawnattr_t copy;
	pid_t got = 0;
	int err;

	if (hs_sigmask_virtual != 0)
		attr = with_mask(attr, &copy);
	if (hand_on)
		ignore_begin(&ignored);
	err = real(&got, path, actions, attr, argv, envp);
	if (hand_on)
		ignore_end(&ignored);
	if (err == 0 && pid != NULL)
		*pid = got;
	return err;
}

HS_EXPORT spawn_fn hs_wrap_posix_spawn __asm__("posix_spawn");
int hs_wrap_posix_spawn(pid_t *pid, const char *path,
			const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[],
			char *const envp[])
{
	return spawn((spawn_fn *)hs_real(HS_REAL_posix_spawn), pid, path,
		     actions, attr, argv, envp);
}

HS_EXPORT spawn_fn hs_wrap_posix_spawnp __asm__("posix_spawnp");
int hs_wrap_posix_spawnp(pid_t *pid, const char *path,
			 const posix_spawn_file_actions_t *actions,
			 const posix_spawnattr_t *attr, char *const argv[],
			 char *const envp[])
{
	return spawn((spawn_fn *)hs_real(HS_REAL_posix_spawnp), pid, path,
		     actions, attr, argv, envp);
}

/* --- exec --------------------------------------------------------------- */

struct exec_state {
	unsigned long blocked;
	struct ignored ignored;
};

static void exec_begin(struct exec_state *s)
{
	memset(s, 0, sizeof(*s));
	if (!hs_trap_active())
		return;
	ignore_begin(&s->ignored);
	s->blocked = hs_sigmask_virtual;
	if (s->blocked != 0)
		hs_sys.sigprocmask(SIG_BLOCK, &s->blocked, NULL);
}

/* It failed. */
static void exec_undo(struct exec_state *s)
{
	ignore_end(&s->ignored);
	if (s->blocked != 0)
		hs_sys.sigprocmask(SIG_UNBLOCK, &s->blocked, NULL);
}

typedef int execv_fn(const char *path, char *const argv[]);
typedef int execve_fn(const char *path, char *const argv[],
		      char *const envp[]);
typedef int fexecve_fn(int fd, char *const argv[], char *const envp[]);
typedef int execveat_fn(int fd, const char *path, char *const argv[],
			char *const envp[], int flags);

static int do_execve(const char *path, char *const argv[], char *const envp[])
{
	struct exec_state s;
	int ret;

	exec_begin(&s);
	ret = ((execve_fn *)hs_real(HS_REAL_execve))(path, argv, envp);
	exec_undo(&s);
	return ret;
}

HS_EXPORT execve_fn hs_wrap_execve __asm__("execve");
int hs_wrap_execve(const char *path, char *const argv[], char *const envp[])
{
	return do_execve(path, argv, envp);
}

HS_EXPORT execve_fn hs_wrap_execvpe __asm__("execvpe");
int hs_wrap_execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct exec_state s;
	int ret;

	exec_begin(&s);
	ret = ((execve_fn *)hs_real(HS_REAL_execvpe))(file, argv, envp);
	exec_undo(&s);
	return ret;
}

static int do_execv(const char *path, char *const argv[])
{
	struct exec_state s;
	int ret;

	exec_begin(&s);
	ret = ((execv_fn *)hs_real(HS_REAL_execv))(path, argv);
	exec_undo(&s);
	return ret;
}

HS_EXPORT execv_fn hs_wrap_execv __asm__("execv");
int hs_wrap_execv(const char *path, char *const argv[])
{
	return do_execv(path, argv);
}

static int do_execvp(const char *file, char *const argv[])
{
	struct exec_state s;
	int ret;

	exec_begin(&s);
	ret = ((execv_fn *)hs_real(HS_REAL_execvp))(file, argv);
	exec_undo(&s);
	return ret;
}

HS_EXPORT execv_fn hs_wrap_execvp __asm__("execvp");
int hs_wrap_execvp(const char *file, char *const argv[])
{
	return do_execvp(file, argv);
}

HS_EXPORT fexecve_fn hs_wrap_fexecve __asm__("fexecve");
int hs_wrap_fexecve(int fd, char *const argv[], char *const envp[])
{
	struct exec_state s;
	int ret;

	exec_begin(&s);
	ret = ((fexecve_fn *)hs_real(HS_REAL_fexecve))(fd, argv, envp);
	exec_undo(&s);
	return ret;
}

HS_EXPORT execveat_fn hs_wrap_execveat __asm__("execveat");
int hs_wrap_execveat(int fd, const char *path, char *const argv[],
		     char *const envp[], int flags)
{
	struct exec_state s;
	int ret;

	exec_begin(&s);
	ret = ((execveat_fn *)hs_real(HS_REAL_execveat))(fd, path, argv, envp,
							 flags);
	exec_undo(&s);
	return ret;
}

/* The list forms, as libc makes them: an array on the stack. */
#define LIST_TO_ARGV(argv, first, ap)                                          \
	do {                                                                   \
		va_list count_;                                                \
		size_t n_ = 1, i_;                                             \
		va_copy(count_, ap);                                           \
		while ((first) != NULL && va_arg(count_, char *) != NULL)      \
			n_++;                                                  \
		va_end(count_);                                                \
		(argv) = __builtin_alloca((n_ + 1) * sizeof(char *));          \
		(argv)[0] = (char *)(first);                                   \
		for (i_ = 1; (first) != NULL && i_ <= n_; i_++)                \
			(argv)[i_] = va_arg(ap, char *);                       \
		(argv)[n_] = NULL;                                             \
	} while (0)

HS_EXPORT int hs_wrap_execl(const char *path, const char *arg, ...)
	__asm__("execl");
int hs_wrap_execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	va_start(ap, arg);
	LIST_TO_ARGV(argv, arg, ap);
	va_end(ap);
	return do_execv(path, argv);
}

HS_EXPORT int hs_wrap_execlp(const char *file, const char *arg, ...)
	__asm__("execlp");
int hs_wrap_execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list ap;

	va_start(ap, arg);
	LIST_TO_ARGV(argv, arg, ap);
	va_end(ap);
	return do_execvp(file, argv);
}

HS_EXPORT int hs_wrap_execle(const char *path, const char *arg, ...)
	__asm__("execle");
int hs_wrap_execle(const char *path, const char *arg, ...)
{
	char **argv, **envp;
	va_list ap;

	va_start(ap, arg);
	LIST_TO_ARGV(argv, arg, ap);
	envp = va_arg(ap, char **);
	va_end(ap);
	return do_execve(path, argv, envp);
}
