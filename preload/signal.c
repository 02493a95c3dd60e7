/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * signal.c - see trap.h.
 *
 * The handler runs with every signal blocked: a rescue is not interrupted by
 * the application.  Before the application's own handler is called its mask is
 * put in place, without the trap's signals, for it may touch the heap.  That
 * the kernel would have blocked the signal that is being handled, and killed
 * on a fault inside the handler, is told from the stack (struct nest).
 */
#include "preload/trap.h"

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "preload/altstack.h"
#include "preload/call.h"
#include "preload/real.h"
#include "preload/start.h"
#include "raw.h"
#include "region.h"
#include "rescue.h"
#include "sys.h"

/* libc shows the kernel's flag in what it says the old action was. */
#ifdef __x86_64__
#define SHOWN_FLAGS 0x04000000U
#else
#define SHOWN_FLAGS 0U
#endif

enum { TRAP_BUS, TRAP_SEGV, TRAP_NR };

static int trap_index(int sig)
{
	return sig == SIGBUS ? TRAP_BUS : TRAP_SEGV;
}

/* --- the application's actions ------------------------------------------ */

struct action {
	_Atomic uint32_t version; /* odd while it is written */
	_Atomic uint32_t flags;
	void *_Atomic handler;
	_Atomic unsigned long mask; /* as the application gave it */
};

static struct action actions[TRAP_NR];

/* sa_mask of every other signal had these bits. */
static _Atomic uint8_t other_bits[_NSIG];

atomic_bool hs_trap_on HS_EARLY;

/* How often a reader or writer looks again before it takes the writer for
 * dead: it has no more than four stores to make. */
#define ACTION_TRIES 10000

static void action_write(struct action *a, void *handler, uint32_t flags,
			 unsigned long mask)
{
	uint32_t version = atomic_load(&a->version) & ~1U;
	int tries = ACTION_TRIES;

	while (!atomic_compare_exchange_weak(&a->version, &version,
					     version + 1) &&
	       tries-- > 0)
		version &= ~1U;
	atomic_store(&a->handler, handler);
	atomic_store(&a->flags, flags);
	atomic_store(&a->mask, mask);
	atomic_store(&a->version, (version & ~1U) + 2);
}

static void action_read(struct action *a, struct sigaction *out)
{
	uint32_t before, after;
	int tries = ACTION_TRIES;

	memset(out, 0, sizeof(*out));
	do {
		before = atomic_load(&a->version);
		out->sa_handler =
			(void (*)(int))atomic_load(&a->handler);
		out->sa_flags = (int)atomic_load(&a->flags);
		*hs_sigmask_word(&out->sa_mask) = atomic_load(&a->mask);
		after = atomic_load(&a->version);
	} while ((before != after || before & 1) && tries-- > 0);
}

/* --- pending: sent by kill(2) while blocked virtually ------------------- */

struct pending {
	_Atomic int state; /* 0 none, 1 being stored, 2 there */
	siginfo_t info;
};

/* Sent to the process; to a thread (tgkill). */
static struct pending process_pending[TRAP_NR];
static HS_TLS struct pending thread_pending[TRAP_NR];
/* A thread in sigtimedwait for that signal, or 0. */
static _Atomic int waiter[TRAP_NR];

static long send_to(int tid, int sig, const siginfo_t *info)
{
	return hs_raw6(SYS_rt_tgsigqueueinfo, hs_sys.getpid(), tid, sig,
		       (long)info, 0, 0);
}

/* The address of this says that a signal is a poke: look what is pending. */
static char poke_mark;

bool hs_trap_is_poke(const siginfo_t *info)
{
	return info->si_code == SI_QUEUE &&
	       info->si_value.sival_ptr == &poke_mark;
}

/* The kernel lets a thread send a siginfo with the code of kill(2) only to
 * itself, so the waiter is poked and fetches the original. */
static void poke(int tid, int sig)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = SI_QUEUE;
	info.si_value.sival_ptr = &poke_mark;
	send_to(tid, sig, &info);
}

/* Stored first, then a look for a waiter; the waiter registers first and then
 * looks here: one of the two sees the other. */
static void pend(int sig, const siginfo_t *info)
{
	int i = trap_index(sig), none = 0, tid;
	struct pending *p = info->si_code == SI_TKILL ? &thread_pending[i] :
							&process_pending[i];

	/* A standard signal is pending once. */
	if (!atomic_compare_exchange_strong(&p->state, &none, 1))
		return;
	p->info = *info;
	atomic_store(&p->state, 2);
	tid = atomic_load(&waiter[i]);
	if (tid != 0 && p == &process_pending[i])
		poke(tid, sig);
}

static bool take(struct pending *p, siginfo_t *info)
{
	int there = 2;

	if (atomic_load(&p->state) != 2)
		return false;
	*info = p->info;
	return atomic_compare_exchange_strong(&p->state, &there, 0);
}

unsigned long hs_trap_pending(void)
{
	unsigned long bits = 0;
	int i;

	for (i = 0; i < TRAP_NR; i++)
		if (atomic_load(&process_pending[i].state) == 2 ||
		    atomic_load(&thread_pending[i].state) == 2)
			bits |= HS_SIGBIT(i == TRAP_BUS ? SIGBUS : SIGSEGV);
	return bits;
}

int hs_trap_take(unsigned long bits, siginfo_t *info)
{
	int i;

	for (i = 0; i < TRAP_NR; i++) {
		int sig = i == TRAP_BUS ? SIGBUS : SIGSEGV;

		if ((bits & HS_SIGBIT(sig)) != 0 &&
		    (take(&thread_pending[i], info) ||
		     take(&process_pending[i], info)))
			return sig;
	}
	return 0;
}

void hs_trap_wait_register(unsigned long bits)
{
	int tid = hs_sys.gettid();
	int i;

	for (i = 0; i < TRAP_NR; i++) {
		int mine = tid, sig = i == TRAP_BUS ? SIGBUS : SIGSEGV;

		if (bits & HS_SIGBIT(sig))
			atomic_store(&waiter[i], tid);
		else
			atomic_compare_exchange_strong(&waiter[i], &mine, 0);
	}
}

static void own_memory(void);

void hs_trap_fork_child(void)
{
	int i;

	for (i = 0; i < TRAP_NR; i++) {
		atomic_store(&process_pending[i].state, 0);
		atomic_store(&thread_pending[i].state, 0);
		atomic_store(&waiter[i], 0);
	}
	hs_altstack_fork_child();
	if (hs_trap_active())
		own_memory();
}

/* A pending signal is sent anew, to this thread and with its own siginfo, so
 * that it arrives like any other. */
int hs_trap_deliver_pending(void)
{
	unsigned long bits = hs_trap_pending() & ~hs_sigmask_virtual;
	int n = 0, sig;
	siginfo_t info;

	while (bits != 0 && (sig = hs_trap_take(bits, &info)) != 0) {
		send_to(hs_sys.gettid(), sig, &info);
		n++;
	}
	return n;
}

/* --- what is not ours --------------------------------------------------- */

static void handler(int sig, siginfo_t *info, void *context);

static int install(int sig, bool restart)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | (restart ? SA_RESTART : 0);
	memset(&sa.sa_mask, 0xff, sizeof(unsigned long));
	return hs_sys.sigaction(sig, &sa, NULL);
}

/* Die as the kernel would have killed: the fault recurs when the handler
 * returns; what was sent is sent again. */
static void die(int sig, const siginfo_t *info)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	hs_sys.sigaction(sig, &sa, NULL);
	if (info->si_code <= 0 || (sig == SIGBUS && info->si_code == 5))
		hs_sys.tgkill(hs_sys.getpid(), hs_sys.gettid(), sig);
}

static uintptr_t stack_pointer(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)uc->uc_mcontext.sp;
#else
#error "which register is the stack pointer?"
#endif
}

/*
 * A handler of the application that is running in this thread.  It lies on the
 * stack that the handler runs on; if the handler was left by a longjmp the
 * stack is used for other things, and the mark is gone.
 */
struct nest {
	struct nest *self;
	unsigned long serial;
	unsigned long blocks; /* of the trap's signals, as the kernel would */
};

static HS_TLS struct nest *nest_top[TRAP_NR];
static HS_TLS unsigned long nest_serial[TRAP_NR];
static HS_TLS unsigned nest_depth[TRAP_NR];

/* As far below its own frame as a handler is believed to reach. */
#define NEST_STACK_BYTES ((uintptr_t)1 << 20)
/* A fault inside the handler of the same signal kills; the mark may be stale,
 * so not before it has happened this often without a return. */
#define NEST_DEPTH_MAX 4

static struct nest *running(int i, uintptr_t sp)
{
	struct nest *n = nest_top[i];

	if (n == NULL || sp >= (uintptr_t)n ||
	    (uintptr_t)n - sp > NEST_STACK_BYTES || n->self != n ||
	    n->serial != nest_serial[i])
		return NULL;
	return n;
}

static bool inside_handler(int i, uintptr_t sp)
{
	struct nest *n = running(i, sp);
	int sig = i == TRAP_BUS ? SIGBUS : SIGSEGV;

	if (n == NULL || !(n->blocks & HS_SIGBIT(sig))) {
		nest_depth[i] = 0;
		return false;
	}
	return ++nest_depth[i] >= NEST_DEPTH_MAX;
}

unsigned long hs_trap_handler_bits(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	unsigned long bits = 0;
	struct nest *n;
	int i;

	for (i = 0; i < TRAP_NR; i++) {
		n = running(i, here);
		if (n != NULL)
			bits |= n->blocks;
	}
	return bits;
}

void hs_trap_handler_unblock(unsigned long bits)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct nest *n;
	int i;

	for (i = 0; i < TRAP_NR; i++) {
		n = running(i, here);
		if (n != NULL)
			n->blocks &= ~bits;
	}
}

void hs_trap_handlers_left(uintptr_t sp)
{
	int i;

	for (i = 0; i < TRAP_NR; i++)
		if (running(i, (uintptr_t)__builtin_frame_address(0)) &&
		    (sp == 0 || (uintptr_t)nest_top[i] < sp))
			nest_top[i] = NULL;
}

static void set_mask(unsigned long mask)
{
	hs_sys.sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void call_application(int sig, siginfo_t *info, ucontext_t *uc,
			     const struct sigaction *act)
{
	unsigned long *uc_mask = hs_sigmask_word(&uc->uc_sigmask);
	unsigned long mask = *uc_mask | *hs_sigmask_word(
						(sigset_t *)&act->sa_mask);
	int i = trap_index(sig);
	struct nest *outer = nest_top[i];
	unsigned long outer_serial = nest_serial[i];
	struct nest nest = { .self = &nest, .serial = outer_serial + 1 };

	nest.blocks = HS_SIGBIT(sig) | hs_sigmask_bits(&act->sa_mask);

	if (act->sa_flags & (int)SA_RESETHAND)
		action_write(&actions[i], (void *)SIG_DFL, 0, 0);
	if (!(act->sa_flags & SA_NODEFER)) {
		nest_top[i] = &nest;
		nest_serial[i] = nest.serial;
	}
	*uc_mask |= hs_sigmask_virtual;
	set_mask(mask & ~HS_TRAP_BITS);
	if (act->sa_flags & SA_SIGINFO)
		act->sa_sigaction(sig, info, uc);
	else
		act->sa_handler(sig);
	set_mask(~0UL);
	__asm__ volatile("" : : "r"(&nest) : "memory");
	nest_top[i] = outer;
	nest_serial[i] = outer_serial;
	nest_depth[i] = 0;
	/* The handler may have changed the mask to return with. */
	hs_sigmask_virtual = *uc_mask & HS_TRAP_BITS;
	*uc_mask &= ~HS_TRAP_BITS;
}

/* As the kernel would have called the application's handler. */
static void deliver(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	struct sigaction act;

	action_read(&actions[trap_index(sig)], &act);
	call_application(sig, info, context, &act);
	errno = saved;
}

static bool kills(int sig, const siginfo_t *info, const ucontext_t *uc,
		  const struct sigaction *act)
{
	if (act->sa_handler == SIG_DFL || act->sa_handler == SIG_IGN)
		return true;
	if (info->si_code <= 0)
		return false;
	return (hs_sigmask_virtual & HS_SIGBIT(sig)) != 0 ||
	       inside_handler(trap_index(sig), stack_pointer(uc));
}

/*
 * Is the handler of the application to run on the interrupted stack, and does
 * this one not?  The context tells which signal stack was in force.
 */
static bool on_wrong_stack(const ucontext_t *uc, const struct sigaction *act)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t base = (uintptr_t)uc->uc_stack.ss_sp;
	size_t size = uc->uc_stack.ss_size;

	return here - base < size && stack_pointer(uc) - base >= size &&
	       (hs_altstack_holds(here) || !(act->sa_flags & SA_ONSTACK));
}

static void not_ours(int sig, siginfo_t *info, ucontext_t *uc)
{
	bool synchronous = info->si_code > 0;
	bool blocked = (hs_sigmask_virtual & HS_SIGBIT(sig)) != 0;
	struct sigaction act;

	if (hs_trap_is_poke(info))
		return;
	action_read(&actions[trap_index(sig)], &act);
	if (!synchronous && blocked) {
		pend(sig, info);
		return;
	}
	if (!synchronous && act.sa_handler == SIG_IGN)
		return;
	if (kills(sig, info, uc, &act)) {
		die(sig, info);
		return;
	}
	if (on_wrong_stack(uc, &act))
		hs_altstack_leave(deliver, sig, info, uc);
	deliver(sig, info, uc);
}

static void handler(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	/* Positive codes are the kernel's: nobody else can send them. */
	if (info->si_code <= 0 ||
	    !hs_rescue_fault(sig, info->si_code, info->si_addr))
		not_ours(sig, info, context);
	errno = saved;
	hs_altstack_attach(); /* the next fault may come on another stack */
}

/* --- whose memory is this? ---------------------------------------------- */

static _Atomic int owner_pid;

/* A page: 0 in a child that has its own memory. */
enum { MEMORY_UNSEEN_FORK, MEMORY_OWN, MEMORY_CANNOT_TELL };
static uint32_t *memory_mark;

static void own_memory(void)
{
	uint32_t *p = memory_mark;

	if (p == NULL) {
		p = hs_sys.mmap(NULL, hs_sys_page_size(),
				PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (hs_sys_is_err(p))
			return;
		hs_sys.madvise(p, hs_sys_page_size(), MADV_WIPEONFORK);
		memory_mark = p;
	}
	/* A filter may not know getpid(2). */
	if (hs_region_is_restricted()) {
		*p = MEMORY_CANNOT_TELL;
		return;
	}
	*p = MEMORY_OWN;
	atomic_store(&owner_pid, hs_sys.getpid());
}

bool hs_trap_is_vfork_child(void)
{
	if (memory_mark == NULL || hs_region_is_restricted() ||
	    *memory_mark == MEMORY_CANNOT_TELL ||
	    hs_sys.getpid() == atomic_load(&owner_pid))
		return false;
	if (*memory_mark == MEMORY_OWN)
		return true;
	own_memory();
	return false;
}

/* --- installing --------------------------------------------------------- */

/* The mask may have been inherited over exec. */
static void unblock_trap(void)
{
	unsigned long bits = HS_TRAP_BITS, old = 0;

	if (hs_sys.sigprocmask(SIG_UNBLOCK, &bits, &old) == 0)
		hs_sigmask_virtual |= old & HS_TRAP_BITS;
}

static int adopt(int sig)
{
	struct sigaction old;
	int err = hs_sys.sigaction(sig, NULL, &old);

	if (err < 0)
		return err;
	/* Ours already: the other signal's could not be installed then. */
	if (old.sa_sigaction == handler)
		return 0;
	action_write(&actions[trap_index(sig)], (void *)old.sa_handler,
		     (uint32_t)old.sa_flags, *hs_sigmask_word(&old.sa_mask));
	return install(sig, old.sa_handler == SIG_DFL ||
				    old.sa_handler == SIG_IGN ||
				    (old.sa_flags & SA_RESTART));
}

int hs_trap_install(void)
{
	static _Atomic int state; /* 0 not yet, 1 somebody is at it, 2 done */
	int zero = 0, err;

	if (hs_trap_active())
		return 0;
	if (!atomic_compare_exchange_strong(&state, &zero, 1)) {
		while (!hs_trap_active() && atomic_load(&state) == 1)
			hs_sys.sched_yield();
		return hs_trap_active() ? 0 : -EAGAIN;
	}
	err = adopt(SIGBUS);
	if (err == 0)
		err = adopt(SIGSEGV);
	if (err != 0) {
		atomic_store(&state, 0);
		return err;
	}
	own_memory();
	atomic_store(&hs_trap_on, true);
	atomic_store(&state, 2);
	unblock_trap();
	return 0;
}

/* The first huge page is about to be handed out. */
static int install_for_huge(void)
{
	int err = hs_trap_install();

	if (err == 0) {
		atomic_store(&hs_call_on, true);
		hs_altstack_attach();
	}
	return err;
}

/* A mask that is inherited with the two signals blocked is inherited by every
 * thread to come: it is taken over while there is but one. */
HS_START void hs_trap_start(void)
{
	unsigned long mask = 0;

	hs_trap_install_hook = install_for_huge;
	if (hs_sys.sigprocmask(SIG_BLOCK, NULL, &mask) == 0 &&
	    hs_sigmask_engaged(mask & HS_TRAP_BITS))
		unblock_trap();
}

/* --- sigaction ---------------------------------------------------------- */

bool hs_trap_is_ignored(int sig)
{
	return atomic_load(&actions[trap_index(sig)].handler) ==
	       (void *)SIG_IGN;
}

/*
 * A child of vfork() has signal actions of its own but the parent's memory,
 * where the parent's are kept.  It is going to exec, which resets handlers:
 * only to ignore a signal needs anything done.
 */
static void set_in_vfork_child(int sig, const struct sigaction *act)
{
	if (act->sa_handler == SIG_IGN)
		hs_sys.sigaction(sig, act, NULL);
}

int hs_trap_sigaction(int sig, const struct sigaction *act,
		      struct sigaction *old)
{
	struct action *a = &actions[trap_index(sig)];
	struct sigaction was;

	action_read(a, &was);
	if (act != NULL && hs_trap_is_vfork_child()) {
		set_in_vfork_child(sig, act);
	} else if (act != NULL) {
		action_write(a, (void *)act->sa_handler,
			     (uint32_t)act->sa_flags | SHOWN_FLAGS,
			     *(const unsigned long *)&act->sa_mask &
				     ~(HS_SIGBIT(SIGKILL) |
				       HS_SIGBIT(SIGSTOP)));
		install(sig, act->sa_handler == SIG_DFL ||
				     act->sa_handler == SIG_IGN ||
				     (act->sa_flags & SA_RESTART));
	}
	if (old != NULL)
		*old = was;
	return 0;
}

typedef int sigaction_fn(int sig, const struct sigaction *act,
			 struct sigaction *old);

/* Any other signal: its handler shall not run with the trap's blocked. */
static int other(sigaction_fn *real, int sig, const struct sigaction *act,
		 struct sigaction *old)
{
	unsigned long bits = act ? hs_sigmask_bits(&act->sa_mask) : 0;
	uint8_t was;
	struct sigaction stripped;
	int ret;

	if (sig <= 0 || sig >= _NSIG || !hs_sigmask_engaged(bits))
		return real(sig, act, old);
	was = atomic_load(&other_bits[sig]);
	if (bits != 0) {
		stripped = *act;
		*hs_sigmask_word(&stripped.sa_mask) &= ~HS_TRAP_BITS;
	}
	ret = real(sig, bits != 0 ? &stripped : act, old);
	if (ret != 0)
		return ret;
	if (old != NULL)
		*hs_sigmask_word(&old->sa_mask) |=
			(was & 1 ? HS_SIGBIT(SIGBUS) : 0) |
			(was & 2 ? HS_SIGBIT(SIGSEGV) : 0);
	if (act != NULL)
		atomic_store(&other_bits[sig],
			     (bits & HS_SIGBIT(SIGBUS) ? 1 : 0) |
				     (bits & HS_SIGBIT(SIGSEGV) ? 2 : 0));
	return 0;
}

static int set_action(sigaction_fn *real, int sig, const struct sigaction *act,
		      struct sigaction *old)
{
	int ret;

	if (!hs_trap_is_ours(sig))
		return other(real, sig, act, old);
	if (hs_trap_active())
		return hs_trap_sigaction(sig, act, old);
	ret = real(sig, act, old);
	/* The first huge page may have come in another thread meanwhile: then
	 * the kernel has the wrong handler. */
	if (ret == 0 && act != NULL && hs_trap_active())
		hs_trap_sigaction(sig, act, NULL);
	return ret;
}

HS_EXPORT sigaction_fn hs_wrap_sigaction __asm__("sigaction");
int hs_wrap_sigaction(int sig, const struct sigaction *act,
		      struct sigaction *old)
{
	return set_action((sigaction_fn *)hs_real(HS_REAL_sigaction), sig, act,
			  old);
}

HS_EXPORT sigaction_fn hs_wrap___sigaction __asm__("__sigaction");
int hs_wrap___sigaction(int sig, const struct sigaction *act,
			struct sigaction *old)
{
	return set_action((sigaction_fn *)hs_real(HS_REAL___sigaction), sig,
			  act, old);
}
