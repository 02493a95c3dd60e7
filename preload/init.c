// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * init.c - the library's start in a program, and the program's end.
 *
 * Start: ld.so may have allocated already; the heap has then started by
 * itself.  The library is linked with -z initfirst, so that the fork handlers
 * registered here are the oldest: the last to run before a fork and the first
 * after it, when every other handler finds a heap that works.
 *
 * End: exit(3) and a return from main print the report that was asked for,
 * after the last destructor (the handler registered here is the oldest of
 * all, older than ld.so's that runs the destructors), and quick_exit(3) does.
 * _exit(2) and death by a signal print nothing: the first says that no
 * handler shall run, and neither leaves a moment to do it in.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "fork.h"
#include "hugeshim.h"
#include "preload/caller.h"
#include "preload/inherit.h"
#include "preload/numa.h"
#include "preload/real.h"
#include "preload/reserve.h"
#include "preload/sanitised.h"
#include "preload/start.h"
#include "preload/thread.h"
#include "stats.h"

int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *dso);
int __cxa_atexit(void (*function)(void *), void *arg, void *dso);
int __cxa_at_quick_exit(void (*function)(void *), void *dso);

static void report_at_end(void *unused HS_UNUSED)
{
	hs_stats_report_configured();
}

/* No object owns the handlers (NULL): ours is never unloaded, and its own
 * destructors, which would call what it owns, are not the end. */
static void arrange_report(void)
{
	if (!hs_config->stats_path)
		return;
	HS_NEXT(__cxa_atexit)(report_at_end, NULL, NULL);
	HS_NEXT(__cxa_at_quick_exit)(report_at_end, NULL);
}

/* Before our other constructors: a fork handler that one of them registers
 * must run before the locks are taken (it may allocate), and after they are
 * free again in the child. */
static void __attribute__((constructor(101)))
preload_start(int argc HS_UNUSED, char **argv, char **envp)
{
	static char off[] = "HUGESHIM=off";
	static char *const sanitised[] = { off, NULL };

	hs_start(hs_sanitised_start(argv, envp) ? sanitised : envp);
	hs_numa_start();
	hs_thread_init();
	hs_caller_init();
	__register_atfork(hs_fork_prepare, hs_fork_parent, hs_fork_child, NULL);
	hs_trap_start();
	hs_fork_family_start();
	arrange_report();
	hs_reserve_start(envp);
	if (!hs_config->inherit)
		hs_inherit_drop(envp);
}
