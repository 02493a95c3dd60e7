/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cow.c - which engine a fork gets, and the engine that does nothing. */
#include "cow.h"

#include "config.h"
#include "cow_internal.h"
#include "guard.h"
#include "log.h"
#include "region_internal.h"

static void nothing(void)
{
}

static void share(void)
{
	hs_cow_new_epoch();
}

/* Then no page may be shared at all, which kernel sees to. */
static const char *off_refuses(void)
{
	return hs_region.restricted ? "a seccomp filter is on" : NULL;
}

const struct hs_cow_engine_ops hs_cow_off = {
	.name = "off",
	.refuses = off_refuses,
	.prefork = nothing,
	.postfork_parent = share,
	.postfork_child = share,
};

static const struct hs_cow_engine_ops *const engines[] = {
	[HS_COW_KERNEL] = &hs_cow_kernel,
	[HS_COW_SIGSEGV] = &hs_cow_sigsegv,
	[HS_COW_OFF] = &hs_cow_off,
};

/* One line for each new reason, not for each fork. */
static void say(const struct hs_cow_engine_ops *engine, const char *reason)
{
	static const char *said;

	if (reason == said)
		return;
	said = reason;
	if (reason)
		hs_log(HS_LOG_INFO, "fork: engine kernel, not %s: %s",
		       engine->name, reason);
	else
		hs_log(HS_LOG_INFO, "fork: engine %s", engine->name);
}

const struct hs_cow_engine_ops *hs_cow_choose(void)
{
	const struct hs_cow_engine_ops *engine = engines[hs_config->cow];
	const char *reason;

	if (!engine->refuses)
		return engine;
	reason = engine->refuses();
	say(engine, reason);
	return reason ? &hs_cow_kernel : engine;
}

void hs_cow_postfork_child(void)
{
	hs_guard_lift_all();
}
