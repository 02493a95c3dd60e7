/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signal_view_jump.c - jumps that restore the mask; the mask in a handler. */
#include <setjmp.h>
#include <sys/mman.h>

#include "signal_view.h"

static volatile sig_atomic_t count;
static sigjmp_buf env, plain_env;

static void counting(int sig)
{
	(void)sig;
	count++;
}

/* The mask is that of the time of sigsetjmp(), if that was to be saved. */
int case_jump_mask(void)
{
	WANT(signal(SIGSEGV, counting) != SIG_ERR);
	if (sigsetjmp(env, 1) == 0) {
		WANT(change(SIG_BLOCK, SIGSEGV) == 0);
		count = 0;
		raise(SIGSEGV);
		WANT(count == 0);
		siglongjmp(env, 1);
	}
	WANT(!blocked(SIGSEGV) && count == 1);
	WANT(change(SIG_BLOCK, SIGBUS) == 0);
	if (sigsetjmp(env, 1) == 0) {
		WANT(change(SIG_UNBLOCK, SIGBUS) == 0 && !blocked(SIGBUS));
		siglongjmp(env, 1);
	}
	WANT(blocked(SIGBUS) && !blocked(SIGSEGV));
	if (sigsetjmp(plain_env, 0) == 0) {
		WANT(change(SIG_UNBLOCK, SIGBUS) == 0);
		siglongjmp(plain_env, 1);
	}
	WANT(!blocked(SIGBUS));
	return 0;
}

static volatile sig_atomic_t saw_segv, saw_bus, saw_again;

static void asking(int sig)
{
	(void)sig;
	saw_segv = blocked(SIGSEGV);
	saw_bus = blocked(SIGBUS);
	change(SIG_UNBLOCK, SIGSEGV);
	saw_again = blocked(SIGSEGV);
	mprotect(guard, 4096, PROT_READ | PROT_WRITE);
}

/* What a handler blocks by running. */
int case_handler_view(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = asking;
	WANT(sigaction(SIGSEGV, &sa, NULL) == 0);
	*guard = 1;
	WANT(saw_segv && !saw_bus && !saw_again && !blocked(SIGSEGV));
	sigaddset(&sa.sa_mask, SIGBUS);
	sa.sa_flags = (int)SA_NODEFER;
	WANT(sigaction(SIGSEGV, &sa, NULL) == 0);
	raise(SIGSEGV);
	WANT(!saw_segv && !blocked(SIGBUS));
	sa.sa_flags = 0;
	WANT(sigaction(SIGSEGV, &sa, NULL) == 0);
	raise(SIGSEGV);
	WANT(saw_segv && saw_bus && !saw_again);
	WANT(!blocked(SIGBUS) && !blocked(SIGSEGV));
	return 0;
}
