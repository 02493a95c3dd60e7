// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * engine.c - the choice of the engine, and the start of our own.
 */
#include "hugealloc/engine.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "hugealloc/fork.h"
#include "hugealloc/trap.h"
#include "hugeshim.h"
#include "rescue.h"
#include "stats.h"

static const struct hs_engine own = HS_ENGINE_INIT;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
	hs_start(environ);
	hs_trap_install_hook = hugealloc_trap_install;
	pthread_atfork(hugealloc_fork_prepare, hugealloc_fork_parent,
		       hugealloc_fork_child);
	if (hs_config->stats_path)
		atexit(hs_stats_report_configured);
}

const struct hs_engine *hugealloc_engine(void)
{
	const struct hs_engine *shim = &hugeshim_engine_1;

	if (shim)
		return shim;
	pthread_once(&once, start);
	return &own;
}
