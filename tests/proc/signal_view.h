/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signal_view.h - what the files of signal_view share. */
#ifndef HS_TEST_SIGNAL_VIEW_H
#define HS_TEST_SIGNAL_VIEW_H

#include "../lib/hs_test.h"

#define WANT(cond)                                                             \
	do {                                                                   \
		if (!(cond))                                                   \
			return __LINE__;                                       \
	} while (0)

extern char *volatile guard; /* PROT_NONE */

int case_jump_mask(void);
int case_handler_view(void);

HS_T_FN bool blocked(int sig)
{
	sigset_t set;

	return sigprocmask(SIG_BLOCK, NULL, &set) == 0 &&
	       sigismember(&set, sig) == 1;
}

HS_T_FN int change(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return sigprocmask(how, &set, NULL);
}

HS_T_FN int action(int sig, void (*handler)(int, siginfo_t *, void *),
		  int flags)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | flags;
	return sigaction(sig, &sa, NULL);
}

#endif
