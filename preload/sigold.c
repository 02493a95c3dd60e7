/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sigold.c - the older signal calls, in terms of the newer ones where they
 * concern SIGBUS or SIGSEGV with the trap in place; else libc's own.
 */
#include <signal.h>
#include <string.h>

#include "preload/real.h"
#include "preload/trap.h"

typedef void sig_fn(int);
typedef sig_fn *signal_fn(int sig, sig_fn *fn);

/* Flags of siginterrupt(): such signals get no SA_RESTART from signal(). */
static _Atomic unsigned long interrupting;

static bool ours(int sig)
{
	return hs_trap_is_ours(sig) && hs_trap_active();
}

static sig_fn *set_action(int sig, sig_fn *fn, int flags)
{
	struct sigaction act, old;

	if (fn == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	memset(&act, 0, sizeof(act));
	act.sa_handler = fn;
	act.sa_flags = flags;
	hs_trap_sigaction(sig, &act, &old);
	return old.sa_handler;
}

static sig_fn *set_bsd(int sig, sig_fn *fn)
{
	struct sigaction act, old;

	if (fn == SIG_ERR)
		return set_action(sig, fn, 0);
	memset(&act, 0, sizeof(act));
	act.sa_handler = fn;
	*hs_sigmask_word(&act.sa_mask) = HS_SIGBIT(sig);
	if (!(atomic_load(&interrupting) & HS_SIGBIT(sig)))
		act.sa_flags = SA_RESTART;
	hs_trap_sigaction(sig, &act, &old);
	return old.sa_handler;
}

#define BSD(name)                                                              \
	HS_EXPORT signal_fn hs_wrap_##name __asm__(#name);                     \
	sig_fn *hs_wrap_##name(int sig, sig_fn *fn)                            \
	{                                                                      \
		if (ours(sig))                                                 \
			return set_bsd(sig, fn);                               \
		return ((signal_fn *)hs_real(HS_REAL_##name))(sig, fn);        \
	}

BSD(signal)
BSD(bsd_signal)
BSD(ssignal)

#define SYSV(name)                                                             \
	HS_EXPORT signal_fn hs_wrap_##name __asm__(#name);                     \
	sig_fn *hs_wrap_##name(int sig, sig_fn *fn)                            \
	{                                                                      \
		if (ours(sig))                                                 \
			return set_action(sig, fn,                             \
					  (int)(SA_RESETHAND | SA_NODEFER));   \
		return ((signal_fn *)hs_real(HS_REAL_##name))(sig, fn);        \
	}

SYSV(sysv_signal)
SYSV(__sysv_signal)

/* --- X/Open: one signal blocked or not ---------------------------------- */

static int mask_one(int how, int sig)
{
	sigset_t set = { 0 };

	*hs_sigmask_word(&set) = HS_SIGBIT(sig);
	return hs_sigmask_process(how, &set, NULL);
}

HS_EXPORT signal_fn hs_wrap_sigset __asm__("sigset");
sig_fn *hs_wrap_sigset(int sig, sig_fn *fn)
{
	bool held;
	struct sigaction old;

	if (!hs_trap_is_ours(sig) ||
	    !hs_sigmask_engaged(fn == SIG_HOLD ? HS_SIGBIT(sig) : 0))
		return ((signal_fn *)hs_real(HS_REAL_sigset))(sig, fn);
	held = (hs_sigmask_virtual & HS_SIGBIT(sig)) != 0;
	if (fn == SIG_HOLD) {
		hs_trap_sigaction(sig, NULL, &old);
		mask_one(SIG_BLOCK, sig);
		return held ? SIG_HOLD : old.sa_handler;
	}
	fn = set_action(sig, fn, 0);
	if (fn == SIG_ERR)
		return fn;
	mask_one(SIG_UNBLOCK, sig);
	return held ? SIG_HOLD : fn;
}

HS_EXPORT int hs_wrap_sighold(int sig) __asm__("sighold");
int hs_wrap_sighold(int sig)
{
	if (hs_trap_is_ours(sig))
		return mask_one(SIG_BLOCK, sig);
	return ((int (*)(int))hs_real(HS_REAL_sighold))(sig);
}

HS_EXPORT int hs_wrap_sigrelse(int sig) __asm__("sigrelse");
int hs_wrap_sigrelse(int sig)
{
	if (hs_trap_is_ours(sig))
		return mask_one(SIG_UNBLOCK, sig);
	return ((int (*)(int))hs_real(HS_REAL_sigrelse))(sig);
}

HS_EXPORT int hs_wrap_sigignore(int sig) __asm__("sigignore");
int hs_wrap_sigignore(int sig)
{
	if (!ours(sig))
		return ((int (*)(int))hs_real(HS_REAL_sigignore))(sig);
	set_action(sig, SIG_IGN, 0);
	return 0;
}

HS_EXPORT int hs_wrap_siginterrupt(int sig, int flag)
	__asm__("siginterrupt");
int hs_wrap_siginterrupt(int sig, int flag)
{
	struct sigaction act;

	if (!ours(sig))
		return ((int (*)(int, int))hs_real(HS_REAL_siginterrupt))(
			sig, flag);
	hs_trap_sigaction(sig, NULL, &act);
	if (flag) {
		atomic_fetch_or(&interrupting, HS_SIGBIT(sig));
		act.sa_flags &= ~SA_RESTART;
	} else {
		atomic_fetch_and(&interrupting, ~HS_SIGBIT(sig));
		act.sa_flags |= SA_RESTART;
	}
	return hs_trap_sigaction(sig, &act, NULL);
}

/* --- BSD: masks of 32 signals ------------------------------------------- */

static int mask_int(int how, int mask)
{
	sigset_t set = { 0 }, old;

	*hs_sigmask_word(&set) = (unsigned)mask;
	if (hs_sigmask_process(how, &set, &old) != 0)
		return -1;
	return (int)*hs_sigmask_word(&old);
}

HS_EXPORT int hs_wrap_sigblock(int mask) __asm__("sigblock");
int hs_wrap_sigblock(int mask)
{
	return mask_int(SIG_BLOCK, mask);
}

HS_EXPORT int hs_wrap_sigsetmask(int mask) __asm__("sigsetmask");
int hs_wrap_sigsetmask(int mask)
{
	return mask_int(SIG_SETMASK, mask);
}

HS_EXPORT int hs_wrap_siggetmask(void) __asm__("siggetmask");
int hs_wrap_siggetmask(void)
{
	return mask_int(SIG_BLOCK, 0);
}

/* A mask (BSD), or the one signal to take out (X/Open). */
static int pause_with(int sig_or_mask, bool is_sig)
{
	sigset_t set = { 0 };

	if (!is_sig) {
		*hs_sigmask_word(&set) = (unsigned)sig_or_mask;
	} else if (hs_sigmask_process(SIG_BLOCK, NULL, &set) != 0 ||
		   HS_NEXT(sigdelset)(&set, sig_or_mask) != 0) {
		return -1;
	}
	return hs_sigmask_suspend(&set);
}

HS_EXPORT int hs_wrap_sigpause(int mask) __asm__("sigpause");
int hs_wrap_sigpause(int mask)
{
	return pause_with(mask, false);
}

HS_EXPORT int hs_wrap___sigpause(int sig_or_mask, int is_sig)
	__asm__("__sigpause");
int hs_wrap___sigpause(int sig_or_mask, int is_sig)
{
	return pause_with(sig_or_mask, is_sig != 0);
}

HS_EXPORT int hs_wrap___xpg_sigpause(int sig) __asm__("__xpg_sigpause");
int hs_wrap___xpg_sigpause(int sig)
{
	return pause_with(sig, true);
}
