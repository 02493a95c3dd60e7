// SPDX-License-Identifier: LGPL-2.1-or-later
#include "hugealloc/trap.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "rescue.h"
#include "sys.h"

enum { TRAP_BUS, TRAP_SEGV, TRAP_NR };

static const int signals[TRAP_NR] = { SIGBUS, SIGSEGV };
/* What was there before us.  Written once, before our handler is. */
static struct sigaction before[TRAP_NR];
static atomic_bool installed;

/* As the kernel would have killed: the fault recurs when the handler returns;
 * what was sent is sent again. */
static void die(int sig, const siginfo_t *info)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	hs_sys.sigaction(sig, &dfl, NULL);
	if (info->si_code <= 0)
		hs_sys.tgkill(hs_sys.getpid(), hs_sys.gettid(), sig);
}

/* With the mask that the kernel would have set. */
static void call(const struct sigaction *sa, int sig, siginfo_t *info,
		 void *context)
{
	const ucontext_t *uc = context;
	uint64_t mask, more;

	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	memcpy(&more, &sa->sa_mask, sizeof(more));
	mask |= more;
	if (!(sa->sa_flags & SA_NODEFER))
		mask |= UINT64_C(1) << (sig - 1);
	hs_sys.sigprocmask(SIG_SETMASK, &mask, NULL);
	if (sa->sa_flags & SA_SIGINFO)
		sa->sa_sigaction(sig, info, context);
	else
		sa->sa_handler(sig);
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction *sa = &before[sig == SIGBUS ? TRAP_BUS : TRAP_SEGV];
	bool sent = info->si_code <= 0;

	if (!(sa->sa_flags & SA_SIGINFO) && sa->sa_handler == SIG_IGN && sent)
		return;
	if (!(sa->sa_flags & SA_SIGINFO) &&
	    (sa->sa_handler == SIG_DFL || sa->sa_handler == SIG_IGN)) {
		die(sig, info);
		return;
	}
	call(sa, sig, info, context);
}

static void handler(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (!hs_rescue_fault(sig, info->si_code, info->si_addr))
		pass_on(sig, info, context);
	errno = saved;
}

int hugealloc_trap_install(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	memset(&sa.sa_mask, 0xff, sizeof(uint64_t));
	for (int i = 0; i < TRAP_NR; i++) {
		int err = hs_sys.sigaction(signals[i], NULL, &before[i]);

		if (!err)
			err = hs_sys.sigaction(signals[i], &sa, NULL);
		if (err && i > 0)
			hs_sys.sigaction(signals[0], &before[0], NULL);
		if (err)
			return err;
	}
	atomic_store(&installed, true);
	return 0;
}

bool hugealloc_trap_is_on(void)
{
	return atomic_load(&installed);
}

bool hugealloc_trap_is_ours(void)
{
	struct sigaction now;

	for (int i = 0; i < TRAP_NR; i++)
		if (hs_sys.sigaction(signals[i], NULL, &now) ||
		    now.sa_sigaction != handler)
			return false;
	return true;
}
