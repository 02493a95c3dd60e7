/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "config.h"
#include "config_internal.h"
#include "config_options.h"
#include "log.h"
#include "sys.h"

const struct hs_option hs_config_options[] = { HS_CONFIG_OPTIONS };
const unsigned hs_config_nr_options = HS_ARRAY_SIZE(hs_config_options);

_Static_assert(HS_ARRAY_SIZE(hs_config_options) <= 64,
	       "a set of options is a uint64_t");

static const struct hs_config defaults = { HS_CONFIG_DEFAULTS };
static struct hs_config_state state = { .config = { HS_CONFIG_DEFAULTS } };

const struct hs_config *hs_config = &state.config;

const struct hs_option *hs_config_find(const char *name, size_t len)
{
	const struct hs_option *option;
	unsigned i;

	for (i = 0; i < hs_config_nr_options; i++) {
		option = &hs_config_options[i];
		if (strlen(option->name) == len &&
		    !memcmp(option->name, name, len))
			return option;
	}
	return NULL;
}

void hs_config_set_or_say(struct hs_config_state *st,
			  const struct hs_option *option, const char *where,
			  const char *name, const char *value)
{
	char what[160], used[64];

	if (*value == '\0' || hs_config_set(st, option, value) == 0)
		return;
	hs_config_describe(option, value, what, sizeof(what));
	hs_config_show(&st->config, option, used, sizeof(used));
	if (*used != '\0')
		hs_log(HS_LOG_ERROR, "%s%s: %s; using %s", where, name, what,
		       used);
	else
		hs_log(HS_LOG_ERROR, "%s%s: %s; ignored", where, name, what);
}

static void say_unknown(const char *entry, size_t len)
{
	char name[64];
	size_t i;

	for (i = 0; i < len && i < sizeof(name) - 1; i++)
		name[i] = entry[i] > ' ' && entry[i] < 127 ? entry[i] : '?';
	name[i] = '\0';
	hs_log(HS_LOG_ERROR, "%s: no such variable; ignored", name);
}

static bool has_prefix(const char *entry, const char *prefix)
{
	return strncmp(entry, prefix, strlen(prefix)) == 0;
}

/* One pass over the entries that start with @prefix.  As for getenv, the first
 * of two entries of one name counts.  Returns the set of options seen. */
static HS_START uint64_t read_environment(char *const *envp, const char *prefix)
{
	const struct hs_option *option;
	uint64_t seen = 0, bit;
	const char *equals;
	size_t len;

	for (; *envp != NULL; envp++) {
		if ((*envp)[0] != 'H' || !has_prefix(*envp, prefix))
			continue;
		equals = strchr(*envp, '=');
		if (equals == NULL)
			continue;
		len = (size_t)(equals - *envp);
		option = hs_config_find(*envp, len);
		if (option == NULL) {
			if (has_prefix(*envp, "HUGESHIM_"))
				say_unknown(*envp, len);
			continue;
		}
		bit = (uint64_t)1 << (option - hs_config_options);
		if (!(seen & bit))
			hs_config_set_or_say(&state, option, "", option->name,
					     equals + 1);
		seen |= bit;
	}
	return seen;
}

/* The environment lowers a limit of the file but does not raise it.  Where one
 * is in bytes and the other in percent, both hold. */
static void keep_file_limit(const struct hs_config *file)
{
	struct hs_config *config = &state.config;

	if (file->limit_bytes < config->limit_bytes)
		config->limit_bytes = file->limit_bytes;
	if (file->limit_percent != 0 &&
	    (config->limit_percent == 0 ||
	     file->limit_percent < config->limit_percent))
		config->limit_percent = file->limit_percent;
}

/* What is taken ahead is free memory until the program wants it. */
static void keep_reserve(struct hs_config *config)
{
	size_t page = config->page_size_bytes;

	if (page == 0)
		page = hs_sys_page_size() / 8 * hs_sys_page_size();
	page *= (size_t)config->reserve_pages;
	config->retain_bytes = HS_MAX(config->retain_bytes, page);
}

static HS_START const char *why_off(void)
{
	if (state.denied)
		return "denied by " HS_CONFIG_FILE;
	if (state.has_allow && !state.allowed)
		return "not among what " HS_CONFIG_FILE " allows";
	if (!state.allowed && hs_config_exe_is_unfit())
		return "this program does not get along with huge pages";
	if (state.restricted)
		return "not in HUGESHIM_RESTRICT_EXE";
	return NULL;
}

static HS_START void note_without_effect(uint64_t seen)
{
	unsigned i;

	for (i = 0; i < hs_config_nr_options; i++)
		if ((seen >> i & 1) && hs_config_options[i].type == OPT_NOTED)
			hs_log(HS_LOG_INFO, "%s: accepted, without effect",
			       hs_config_options[i].name);
}

HS_START void hs_config_init(char *const *envp, bool secure)
{
	struct hs_config file;
	const char *reason;
	uint64_t seen = 0;

	state.config = defaults;
	state.config.secure = secure;
	hs_config_read_file(&state);
	file = state.config;
	if (!secure && envp != NULL) {
		seen = read_environment(envp, "HUGETLB_");
		read_environment(envp, "HUGESHIM");
	}
	if (state.file_limited)
		keep_file_limit(&file);
	keep_reserve(&state.config);
	hs_log_set_level(state.config.verbose);
	note_without_effect(seen);
	if (!state.config.enabled)
		return;
	reason = why_off();
	if (reason == NULL)
		return;
	state.config.enabled = false;
	hs_log(HS_LOG_INFO, "off: %s", reason);
}

int hs_config_check(const char *variable, const char *value, char *why,
		    size_t why_size)
{
	static struct hs_config_state scratch;
	const struct hs_option *option;

	option = hs_config_find(variable, strlen(variable));
	if (option == NULL)
		return -ENOENT;
	scratch.config = defaults;
	if (hs_config_set(&scratch, option, value) == 0)
		return 0;
	hs_config_describe(option, value, why, why_size);
	return -EINVAL;
}
