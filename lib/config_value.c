/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text -> member of struct hs_config, and back for the messages. */
#include <string.h>
#include <sys/mman.h>

#include "config.h"
#include "config_internal.h"
#include "log.h"
#include "sys.h"

/* Not in every libc's headers; the kernel's encoding of a page size in the
 * flags of mmap. */
#define HUGE_SHIFT 26

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Decimal digits up to a character that is none.  0 or -EINVAL / -ERANGE. */
static int parse_digits(const char *text, const char **end, size_t *value)
{
	size_t n = 0, digit;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		digit = (size_t)(*p - '0');
		if (n > (SIZE_MAX - digit) / 10)
			return -ERANGE;
		n = n * 10 + digit;
	}
	if (p == text)
		return -EINVAL;
	*end = p;
	*value = n;
	return 0;
}

static unsigned unit_shift(char unit)
{
	switch (unit) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	case 't':
	case 'T':
		return 40;
	default:
		return 0;
	}
}

/* "2M", "2MB" and "2MiB" are the same. */
int hs_config_parse_size(const char *text, size_t *size_bytes)
{
	unsigned shift;
	const char *p;
	size_t value;
	int err;

	err = parse_digits(text, &p, &value);
	if (err)
		return err;
	shift = unit_shift(*p);
	if (shift != 0) {
		p++;
		if (p[0] == 'i' && p[1] == 'B')
			p++;
		if (*p == 'B')
			p++;
	}
	if (*p != '\0')
		return -EINVAL;
	if (shift != 0 && value > SIZE_MAX >> shift)
		return -ERANGE;
	*size_bytes = value << shift;
	return 0;
}

static int parse_bool(const char *text, bool *value)
{
	if (is(text, "on") || is(text, "yes") || is(text, "1") ||
	    is(text, "true"))
		*value = true;
	else if (is(text, "off") || is(text, "no") || is(text, "0") ||
		 is(text, "false"))
		*value = false;
	else
		return -EINVAL;
	return 0;
}

static int parse_number(const char *text, long min, long max, long *value)
{
	bool negative = *text == '-';
	const char *end;
	size_t digits;
	long n;

	if (parse_digits(text + negative, &end, &digits) || *end != '\0' ||
	    digits > LONG_MAX)
		return -EINVAL;
	n = negative ? -(long)digits : (long)digits;
	if (n < min || n > max)
		return -EINVAL;
	*value = n;
	return 0;
}

/* Position of @text in @list ("try,on,off"), or -EINVAL. */
static int parse_choice(const char *list, const char *text)
{
	size_t len = strlen(text), part;
	int position;

	for (position = 0;; position++) {
		part = strcspn(list, ",");
		if (part == len && !memcmp(list, text, len))
			return position;
		if (list[part] == '\0')
			return -EINVAL;
		list += part + 1;
	}
}

/* Ask the kernel by a mapping without a page: /sys need not be there.  Where
 * the mapping fails for another reason (a limit, a filter), a power of two
 * will do. */
static bool is_huge_page_size(size_t size_bytes)
{
	unsigned shift;
	void *p;

	if (!hs_is_pow2(size_bytes) || size_bytes <= hs_sys_page_size())
		return false;
	shift = (unsigned)__builtin_ctzl(size_bytes);
	p = hs_sys.mmap(NULL, size_bytes, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
				MAP_NORESERVE | (int)(shift << HUGE_SHIFT),
			-1, 0);
	if (hs_sys_is_err(p))
		return hs_sys_err(p) != -EINVAL && hs_sys_err(p) != -ENOENT;
	hs_sys.munmap(p, size_bytes);
	return true;
}

static int parse_page_size(const char *text, size_t *size_bytes)
{
	size_t value;

	if (hs_config_parse_size(text, &value) || !is_huge_page_size(value))
		return -EINVAL;
	*size_bytes = value;
	return 0;
}

static int set_heap(struct hs_config *config, const char *text)
{
	if (is(text, "thp")) {
		config->heap = true;
		config->backing = HS_BACKING_THP;
		return 0;
	}
	if (parse_bool(text, &config->heap) == 0)
		return 0;
	if (parse_page_size(text, &config->page_size_bytes))
		return -EINVAL;
	config->heap = true;
	return 0;
}

static int set_limit(struct hs_config *config, const char *text)
{
	const char *end;
	size_t value;

	if (is(text, "none")) {
		config->limit_bytes = SIZE_MAX;
		config->limit_percent = 0;
		return 0;
	}
	if (parse_digits(text, &end, &value) == 0 && is(end, "%")) {
		if (value < 1 || value > 100)
			return -EINVAL;
		config->limit_bytes = SIZE_MAX;
		config->limit_percent = (unsigned)value;
		return 0;
	}
	if (hs_config_parse_size(text, &value))
		return -EINVAL;
	config->limit_bytes = value;
	config->limit_percent = 0;
	return 0;
}

/* Copied: programs that write a title over their arguments overwrite the
 * environment that the text came from. */
static int set_text(char *buf, const char **member, const char *text)
{
	size_t len = strlen(text);

	if (len >= HS_CONFIG_PATH_MAX)
		return -EINVAL;
	memcpy(buf, text, len + 1);
	*member = buf;
	return 0;
}

static int set_stats(struct hs_config_state *state, const char *text)
{
	bool on;

	if (parse_bool(text, &on))
		return set_text(state->stats_path, &state->config.stats_path,
				text);
	state->config.stats_path = on ? "-" : NULL;
	return 0;
}

static int set_mount(struct hs_config_state *state, const char *text)
{
	if (*text != '/')
		return -EINVAL;
	return set_text(state->mount, &state->config.mount, text);
}

/* "redis-server:java"; by the last component, as libhugetlbfs does. */
static void set_names(struct hs_config_state *state, const char *text)
{
	const char *exe = hs_config_basename(hs_config_exe());
	size_t len = strlen(exe), part;

	state->restricted = true;
	for (;; text += part + 1) {
		part = strcspn(text, ":");
		if (part == len && !memcmp(text, exe, len))
			state->restricted = false;
		if (text[part] == '\0')
			return;
	}
}

int hs_config_parse_nodes(const char *text,
			  uint64_t nodes[HS_NUMA_NODES / 64])
{
	size_t from, to;

	memset(nodes, 0, HS_NUMA_NODES / 8);
	for (;; text++) {
		if (parse_digits(text, &text, &from))
			return -EINVAL;
		to = from;
		if (*text == '-' && parse_digits(text + 1, &text, &to))
			return -EINVAL;
		if (from > to || to >= HS_NUMA_NODES)
			return -EINVAL;
		for (; from <= to; from++)
			nodes[from / 64] |= (uint64_t)1 << from % 64;
		if (*text == '\0')
			return 0;
		if (*text != ',')
			return -EINVAL;
	}
}

static unsigned count_nodes(const uint64_t *nodes)
{
	unsigned nr = 0, i;

	for (i = 0; i < HS_NUMA_NODES / 64; i++)
		for (uint64_t left = nodes[i]; left; left &= left - 1)
			nr++;
	return nr;
}

static int set_numa(struct hs_config_numa *numa, const char *text)
{
	static const char words[] = "none,local,interleave,bind,preferred";
	struct hs_config_numa made = { HS_NUMA_NONE, { 0 } };
	const char *nodes = strchr(text, ':');
	size_t len = nodes != NULL ? (size_t)(nodes - text) : strlen(text);
	char word[16];
	int mode;

	if (len >= sizeof(word))
		return -EINVAL;
	memcpy(word, text, len);
	word[len] = '\0';
	mode = parse_choice(words, word);
	if (mode < 0)
		return -EINVAL;
	made.mode = (enum hs_numa_mode)mode;
	if (nodes != NULL && hs_config_parse_nodes(nodes + 1, made.nodes))
		return -EINVAL;
	switch (made.mode) {
	case HS_NUMA_NONE:
	case HS_NUMA_LOCAL:
		if (nodes != NULL)
			return -EINVAL;
		break;
	case HS_NUMA_INTERLEAVE:
		break;
	case HS_NUMA_BIND:
		if (nodes == NULL)
			return -EINVAL;
		break;
	case HS_NUMA_PREFERRED:
		if (count_nodes(made.nodes) != 1)
			return -EINVAL;
	}
	*numa = made;
	return 0;
}

static int set_old_verbose(struct hs_config *config, const char *text)
{
	long value;

	if (parse_number(text, 0, 99, &value))
		return -EINVAL;
	config->verbose = (int)HS_MIN(HS_MAX(value - 1, 0L), 3L);
	return 0;
}

/* libhugetlbfs looks only at whether it is there. */
static int set_old_debug(struct hs_config *config)
{
	config->verbose = 3;
	return 0;
}

static int set_long(const struct hs_option *option, const char *text,
		    long *member)
{
	return parse_number(text, option->min, option->max, member);
}

static int set_int(const struct hs_option *option, const char *text,
		   int *member)
{
	long value;

	if (parse_number(text, option->min, option->max, &value))
		return -EINVAL;
	*member = (int)value;
	return 0;
}

static int set_choice(const struct hs_option *option, const char *text,
		      void *member)
{
	int position = parse_choice(option->values, text);

	if (position < 0)
		return -EINVAL;
	if (option->type == OPT_FLAG)
		*(bool *)member = position != 0;
	else
		*(int *)member = position; /* an enum's representation */
	return 0;
}

int hs_config_set(struct hs_config_state *state, const struct hs_option *option,
		  const char *value)
{
	struct hs_config *config = &state->config;
	void *member = (char *)config + option->offset;

	switch ((enum hs_option_type)option->type) {
	case OPT_BOOL:
		return parse_bool(value, member);
	case OPT_CHOICE:
	case OPT_FLAG:
		return set_choice(option, value, member);
	case OPT_HEAP:
		return set_heap(config, value);
	case OPT_INT:
		return set_int(option, value, member);
	case OPT_LONG:
		return set_long(option, value, member);
	case OPT_LIMIT:
		return set_limit(config, value);
	case OPT_MOUNT:
		return set_mount(state, value);
	case OPT_NAMES:
		set_names(state, value);
		return 0;
	case OPT_NOTED:
		return 0;
	case OPT_NUMA:
		return set_numa(member, value);
	case OPT_OLD_DEBUG:
		return set_old_debug(config);
	case OPT_OLD_VERBOSE:
		return set_old_verbose(config, value);
	case OPT_PAGE_SIZE:
		return parse_page_size(value, member);
	case OPT_PATH:
		return set_stats(state, value);
	case OPT_SIZE:
		return hs_config_parse_size(value, member) ? -EINVAL : 0;
	}
	return -EINVAL;
}

/* What a value should have been. */
static void expected(const struct hs_option *option, char *buf, size_t size)
{
	static const char choices[] = "one of ";
	size_t len = 0;
	const char *p;

	switch ((enum hs_option_type)option->type) {
	case OPT_CHOICE:
	case OPT_FLAG:
		p = option->values;
		if (strchr(p, ',') != NULL)
			len = hs_log_format(buf, size, "%s", choices);
		for (; *p != '\0' && len + 2 < size; p++) {
			buf[len++] = *p;
			if (*p == ',')
				buf[len++] = ' ';
		}
		buf[len] = '\0';
		return;
	case OPT_INT:
	case OPT_LONG:
		hs_log_format(buf, size, "a number from %d to %d", option->min,
			      option->max);
		return;
	case OPT_OLD_VERBOSE:
		hs_log_format(buf, size, "a number from 0 to 99");
		return;
	case OPT_BOOL:
		hs_log_format(buf, size, "on or off");
		return;
	case OPT_HEAP:
		hs_log_format(buf, size, "yes, no, thp or a huge page size");
		return;
	case OPT_LIMIT:
		hs_log_format(buf, size,
			      "a size, a percentage from 1%% to 100%% or none");
		return;
	case OPT_PAGE_SIZE:
		hs_log_format(buf, size, "a huge page size");
		return;
	case OPT_SIZE:
		hs_log_format(buf, size, "a size");
		return;
	case OPT_NUMA:
		hs_log_format(buf, size,
			      "local, interleave[:NODES], bind:NODES or "
			      "preferred:NODE");
		return;
	case OPT_MOUNT:
		hs_log_format(buf, size, "an absolute path below %d bytes",
			      HS_CONFIG_PATH_MAX);
		return;
	default:
		hs_log_format(buf, size, "a path below %d bytes",
			      HS_CONFIG_PATH_MAX);
	}
}

void hs_config_describe(const struct hs_option *option, const char *value,
			char *buf, size_t size)
{
	char shown[48], want[80];
	size_t i;

	for (i = 0; value[i] != '\0' && i < sizeof(shown) - 4; i++)
		shown[i] = value[i] >= ' ' && value[i] < 127 ? value[i] : '?';
	shown[i] = '\0';
	if (value[i] != '\0')
		memcpy(shown + i, "...", 4);
	expected(option, want, sizeof(want));
	hs_log_format(buf, size, "'%s' is not %s", shown, want);
}

static void show_size(size_t bytes, char *buf, size_t size)
{
	static const char units[] = { 'K', 'M', 'G', 'T' };
	size_t n = bytes;
	int unit = -1;

	while (unit < 3 && n != 0 && n % 1024 == 0) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		hs_log_format(buf, size, "%zu", n);
	else
		hs_log_format(buf, size, "%zu%c", n, units[unit]);
}

/* The size of a second-level page table entry, which is what the library takes
 * when none is given. */
static size_t default_page_size(void)
{
	return hs_sys_page_size() / 8 * hs_sys_page_size();
}

static void show_limit(const struct hs_config *config, char *buf, size_t size)
{
	if (config->limit_percent != 0)
		hs_log_format(buf, size, "%u%%", config->limit_percent);
	else if (config->limit_bytes == SIZE_MAX)
		hs_log_format(buf, size, "none");
	else
		show_size(config->limit_bytes, buf, size);
}

static void show_choice(const struct hs_option *option, int position, char *buf,
			size_t size)
{
	const char *p = option->values;
	size_t len;

	for (; position > 0; position--)
		p = strchr(p, ',') + 1;
	len = HS_MIN(strcspn(p, ","), size - 1);
	memcpy(buf, p, len);
	buf[len] = '\0';
}

void hs_config_show(const struct hs_config *config,
		    const struct hs_option *option, char *buf, size_t size)
{
	const void *member = (const char *)config + option->offset;
	const char *text = "";
	size_t bytes;

	switch ((enum hs_option_type)option->type) {
	case OPT_BOOL:
		text = *(const bool *)member ? "on" : "off";
		break;
	case OPT_HEAP:
		text = config->heap ? "yes" : "no";
		break;
	case OPT_CHOICE:
		show_choice(option, *(const int *)member, buf, size);
		return;
	case OPT_FLAG:
		show_choice(option, *(const bool *)member, buf, size);
		return;
	case OPT_INT:
	case OPT_OLD_DEBUG:
	case OPT_OLD_VERBOSE:
		hs_log_format(buf, size, "%d", *(const int *)member);
		return;
	case OPT_LONG:
		hs_log_format(buf, size, "%ld", *(const long *)member);
		return;
	case OPT_LIMIT:
		show_limit(config, buf, size);
		return;
	case OPT_PAGE_SIZE:
		bytes = *(const size_t *)member;
		show_size(bytes ? bytes : default_page_size(), buf, size);
		return;
	case OPT_SIZE:
		show_size(*(const size_t *)member, buf, size);
		return;
	case OPT_PATH:
	case OPT_MOUNT:
	case OPT_NAMES:
	case OPT_NOTED:
	case OPT_NUMA:
		break;
	}
	hs_log_format(buf, size, "%s", text);
}
