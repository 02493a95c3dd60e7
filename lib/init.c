/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hugeshim.h"

#include <sys/auxv.h>

#include "config.h"
#include "stats.h"

HS_START void hs_start(char *const *envp)
{
	hs_config_init(envp, getauxval(AT_SECURE) != 0);
	hs_stats_init();
}
