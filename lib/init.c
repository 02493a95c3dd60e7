/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hugeshim.h"

#include <sys/auxv.h>

#include "config.h"
#include "lock.h"
#include "stats.h"

void hs_init(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	/* Without it forks that nobody announces leave locks held for ever;
	 * that is all. */
	(void)hs_lock_init_sentinel();
}

void hs_start(char *const *envp)
{
	hs_init();
	hs_config_init(envp, getauxval(AT_SECURE) != 0);
	hs_stats_init();
}
