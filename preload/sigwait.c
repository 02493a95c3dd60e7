/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sigwait.c - calls that wait for signals or ask which are pending, as far as
 * SIGBUS and SIGSEGV go: those are blocked only virtually, so what is pending
 * of them is known here (preload/signal.c) and not to the kernel.
 *
 * sigtimedwait(2) takes a signal that it waits for even when it is not
 * blocked, so a waiting thread needs no more than to be told when another
 * thread's handler got one.  signalfd(2) cannot be served like this: it never
 * shows the two.
 */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "preload/call.h"
#include "preload/real.h"
#include "preload/trap.h"
#include "sys.h"
#include "regmap.h"

/* --- one call with another mask ----------------------------------------- */

static int suspend(int (*real)(const sigset_t *), const sigset_t *mask)
{
	struct hs_sigmask_swap swap;
	void *set = (void *)mask;
	int ret;

	if (!hs_call_plausible(mask))
		return real(mask);
	if (hs_sigmask_enter(&swap, &set) != 0)
		return -1;
	ret = real(set);
	hs_sigmask_leave(&swap);
	return ret;
}

int hs_sigmask_suspend(const sigset_t *mask)
{
	return suspend(hs_real(HS_REAL_sigsuspend), mask);
}

HS_EXPORT int hs_wrap_sigsuspend(const sigset_t *mask) __asm__("sigsuspend");
int hs_wrap_sigsuspend(const sigset_t *mask)
{
	return hs_sigmask_suspend(mask);
}

HS_EXPORT int hs_wrap___sigsuspend(const sigset_t *mask)
	__asm__("__sigsuspend");
int hs_wrap___sigsuspend(const sigset_t *mask)
{
	return suspend(hs_real(HS_REAL___sigsuspend), mask);
}

/* --- pending ------------------------------------------------------------ */

HS_EXPORT int hs_wrap_sigpending(sigset_t *set) __asm__("sigpending");
int hs_wrap_sigpending(sigset_t *set)
{
	int (*real)(sigset_t *) = hs_real(HS_REAL_sigpending);
	sigset_t pending;
	int ret;

	if (!hs_trap_active() || !hs_call_plausible(set))
		return real(set);
	ret = real(&pending);
	if (ret == 0)
		*hs_sigmask_word(set) = *hs_sigmask_word(&pending) |
					(hs_trap_pending() &
					 hs_sigmask_virtual);
	return ret;
}

/* --- sigwait and its kind ----------------------------------------------- */

typedef int timedwait_fn(const sigset_t *set, siginfo_t *info,
			 const struct timespec *timeout);
typedef int waitinfo_fn(const sigset_t *set, siginfo_t *info);

static void remaining(struct timespec *left, const struct timespec *deadline)
{
	struct timespec now;

	hs_sys.clock_gettime(CLOCK_MONOTONIC, &now);
	left->tv_sec = deadline->tv_sec - now.tv_sec;
	left->tv_nsec = deadline->tv_nsec - now.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_sec--;
		left->tv_nsec += 1000000000;
	}
	if (left->tv_sec < 0)
		memset(left, 0, sizeof(*left));
}

static void set_deadline(struct timespec *deadline,
			 const struct timespec *timeout)
{
	hs_sys.clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += timeout->tv_sec;
	deadline->tv_nsec += timeout->tv_nsec;
	if (deadline->tv_nsec >= 1000000000) {
		deadline->tv_sec++;
		deadline->tv_nsec -= 1000000000;
	}
}

/*
 * Wait for @set, which holds @bits of the trap's.  The handler may have kept a
 * signal between the look and the registration, or have interrupted the wait
 * to keep one: look again then.
 */
static int wait_with_trap(timedwait_fn *real, const sigset_t *set,
			  siginfo_t *info, const struct timespec *timeout,
			  unsigned long bits)
{
	struct timespec deadline, left;
	siginfo_t got;
	int sig;

	if (timeout != NULL)
		set_deadline(&deadline, timeout);
	hs_trap_wait_register(bits);
	for (;;) {
		sig = hs_trap_take(bits, &got);
		if (sig != 0)
			break;
		if (timeout != NULL)
			remaining(&left, &deadline);
		sig = real(set, &got, timeout ? &left : NULL);
		if (sig > 0 && hs_trap_is_poke(&got))
			continue;
		if (sig >= 0 || errno != EINTR ||
		    (hs_trap_pending() & bits) == 0)
			break;
	}
	hs_trap_wait_register(0);
	if (sig > 0 && info != NULL)
		*info = got;
	return sig;
}

/* Into a local, copied in user mode: the signal is lost when the kernel cannot
 * store what it has taken. */
static int wait_plain(timedwait_fn *real, const sigset_t *set, siginfo_t *info,
		      const struct timespec *timeout)
{
	siginfo_t got;
	int sig;

	if (!info || !hs_regmap_find(info))
		return real(set, info, timeout);
	sig = real(set, &got, timeout);
	if (sig > 0)
		*info = got;
	return sig;
}

static int timedwait(timedwait_fn *real, const sigset_t *set, siginfo_t *info,
		     const struct timespec *timeout)
{
	unsigned long bits;

	if (!hs_trap_active() || !hs_call_plausible(set) ||
	    (timeout != NULL && !hs_call_plausible(timeout)))
		return wait_plain(real, set, info, timeout);
	bits = hs_sigmask_bits(set);
	if (bits == 0 ||
	    (timeout != NULL && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
				 timeout->tv_nsec >= 1000000000)))
		return wait_plain(real, set, info, timeout);
	return wait_with_trap(real, set, info, timeout, bits);
}

HS_EXPORT timedwait_fn hs_wrap_sigtimedwait __asm__("sigtimedwait");
int hs_wrap_sigtimedwait(const sigset_t *set, siginfo_t *info,
			 const struct timespec *timeout)
{
	return timedwait((timedwait_fn *)hs_real(HS_REAL_sigtimedwait), set,
			 info, timeout);
}

HS_EXPORT timedwait_fn hs_wrap___sigtimedwait __asm__("__sigtimedwait");
int hs_wrap___sigtimedwait(const sigset_t *set, siginfo_t *info,
			   const struct timespec *timeout)
{
	return timedwait((timedwait_fn *)hs_real(HS_REAL_sigtimedwait), set,
			 info, timeout);
}

HS_EXPORT waitinfo_fn hs_wrap_sigwaitinfo __asm__("sigwaitinfo");
int hs_wrap_sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return timedwait((timedwait_fn *)hs_real(HS_REAL_sigtimedwait), set,
			 info, NULL);
}

HS_EXPORT int hs_wrap_sigwait(const sigset_t *set, int *sig)
	__asm__("sigwait");
int hs_wrap_sigwait(const sigset_t *set, int *sig)
{
	int (*real)(const sigset_t *, int *) = hs_real(HS_REAL_sigwait);
	int saved = errno, got, err;

	if (!hs_trap_active() || !hs_call_plausible(set) ||
	    hs_sigmask_bits(set) == 0)
		return real(set, sig);
	do
		got = timedwait((timedwait_fn *)hs_real(HS_REAL_sigtimedwait),
				set, NULL, NULL);
	while (got < 0 && errno == EINTR);
	err = got < 0 ? errno : 0;
	if (got > 0)
		*sig = got;
	errno = saved;
	return err;
}
