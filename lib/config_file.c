/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HS_CONFIG_FILE, and the rules by executable. */
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "config.h"
#include "config_internal.h"
#include "log.h"
#include "sys.h"

/*
 * Programs that must not be touched, by the last component of the name:
 * emulators that lay out a guest's address space themselves, CRIU (which maps
 * its own image over everything), and the helpers that set up sandboxes with
 * a handful of allowed system calls.
 */
static const char unfit[][16] = {
	"bwrap",  "chrome-sandbox", "criu",           "firejail",
	"qemu-*", "snap-confine",   "xdg-dbus-proxy",
};

HS_START const char *hs_config_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* The name given to execve: no system call, but of a script it is the
 * script's, and it may be relative. */
static HS_START const char *exec_name(void)
{
	const char *name = (const char *)getauxval(AT_EXECFN);

	return name != NULL ? name : "";
}

const char *hs_config_exe(void)
{
	static const char deleted[] = " (deleted)";
	static char exe[HS_CONFIG_PATH_MAX];
	size_t len, tail = sizeof(deleted) - 1;
	int n;

	if (*exe != '\0')
		return exe;
	n = hs_sys.readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0) {
		exe[0] = '\0';
		return exec_name();
	}
	len = (size_t)n;
	exe[len] = '\0';
	if (len > tail && !strcmp(exe + len - tail, deleted))
		exe[len - tail] = '\0';
	return exe;
}

HS_START bool hs_config_exe_is_unfit(void)
{
	const char *name = hs_config_basename(exec_name());
	size_t i;

	for (i = 0; i < HS_ARRAY_SIZE(unfit); i++)
		if (hs_config_glob(unfit[i], name))
			return true;
	return false;
}

/* Match one character against [set] or [!set]; *@pattern moves behind it.
 * Without a closing bracket the opening one stands for itself. */
static bool match_set(const char **pattern, char c)
{
	const char *p = *pattern + 1;
	bool negated = *p == '!' || *p == '^', found = false;
	const char *first = p + negated;

	for (p = first; *p != '\0' && (*p != ']' || p == first); p++) {
		if (p[1] == '-' && p[2] != ']' && p[2] != '\0') {
			found |= c >= p[0] && c <= p[2];
			p += 2;
		} else {
			found |= c == *p;
		}
	}
	if (*p == '\0') {
		*pattern += 1;
		return c == '[';
	}
	*pattern = p + 1;
	return found != negated;
}

static HS_START bool match_one(const char **pattern, char c)
{
	if (**pattern == '[')
		return match_set(pattern, c);
	if (**pattern != '?' && **pattern != c)
		return false;
	*pattern += 1;
	return true;
}

/* Only the last * needs to be tried again: an earlier one that matched less
 * would leave it the same text. */
HS_START bool hs_config_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern != '\0' && match_one(&pattern, *text)) {
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool hs_config_exe_matches(const char *pattern)
{
	const char *exe = hs_config_exe();

	if (*pattern != '/')
		exe = hs_config_basename(exe);
	return *exe != '\0' && hs_config_glob(pattern, exe);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cut blanks off both ends, in place. */
static char *trim(char *text)
{
	size_t len;

	while (is_blank(*text))
		text++;
	len = strlen(text);
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

/* "PATTERN PATTERN ..." against the executable. */
static bool any_matches(char *patterns)
{
	bool matches = false;
	char *end;

	while (*patterns != '\0') {
		end = patterns + strcspn(patterns, " \t");
		if (*end != '\0')
			*end++ = '\0';
		matches |= hs_config_exe_matches(patterns);
		patterns = end + strspn(end, " \t");
	}
	return matches;
}

/* "page_size" -> the option HUGESHIM_PAGE_SIZE. */
static const struct hs_option *find_key(const char *key)
{
	static const char prefix[] = "HUGESHIM_";
	char name[sizeof(hs_config_options[0].name)];
	size_t i, len = sizeof(prefix) - 1;
	const struct hs_option *option;

	if (!strcmp(key, "enabled"))
		return hs_config_find("HUGESHIM", 8);
	memcpy(name, prefix, len);
	for (i = 0; key[i] != '\0' && len < sizeof(name); i++)
		name[len++] = key[i] >= 'a' && key[i] <= 'z'
				      ? (char)(key[i] - 'a' + 'A')
				      : key[i];
	option = key[i] == '\0' ? hs_config_find(name, len) : NULL;
	/* Lists of executables are what allow and deny are for. */
	return option != NULL && option->type != OPT_NAMES ? option : NULL;
}

static void read_option(struct hs_config_state *state, const char *where,
			const char *key, const char *value)
{
	const struct hs_option *option = find_key(key);

	if (option == NULL) {
		hs_log(HS_LOG_ERROR, "%sno such option; ignored", where);
		return;
	}
	hs_config_set_or_say(state, option, where, key, value);
	if (option->type == OPT_LIMIT)
		state->file_limited = true;
}

static void read_line(struct hs_config_state *state, char *line, unsigned nr)
{
	char where[sizeof(HS_CONFIG_FILE) + 24], *equals, *key, *value;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return;
	hs_log_format(where, sizeof(where), HS_CONFIG_FILE ":%u: ", nr);
	equals = strchr(line, '=');
	if (equals == NULL) {
		hs_log(HS_LOG_ERROR,
		       "%snot of the form option = value; "
		       "ignored",
		       where);
		return;
	}
	*equals = '\0';
	key = trim(line);
	value = trim(equals + 1);
	if (!strcmp(key, "deny")) {
		state->denied |= any_matches(value);
	} else if (!strcmp(key, "allow")) {
		state->has_allow = true;
		state->allowed |= any_matches(value);
	} else {
		read_option(state, where, key, value);
	}
}

/* Lines longer than the buffer are refused, not split. */
static void read_lines(struct hs_config_state *state, int fd)
{
	static char buf[2048];
	size_t used = 0;
	unsigned nr = 1;
	bool skip = false;
	char *line, *end;
	ssize_t n;

	while ((n = hs_sys.read(fd, buf + used, sizeof(buf) - 1 - used)) > 0) {
		used += (size_t)n;
		buf[used] = '\0';
		line = buf;
		while ((end = memchr(line, '\n',
				     used - (size_t)(line - buf)))) {
			*end = '\0';
			if (!skip)
				read_line(state, line, nr);
			skip = false;
			nr++;
			line = end + 1;
		}
		used -= (size_t)(line - buf);
		memmove(buf, line, used);
		if (used < sizeof(buf) - 1)
			continue;
		if (!skip)
			hs_log(HS_LOG_ERROR,
			       HS_CONFIG_FILE ":%u: line too "
					      "long; ignored",
			       nr);
		skip = true;
		used = 0;
	}
	if (n < 0)
		hs_log(HS_LOG_ERROR,
		       HS_CONFIG_FILE ":%u: cannot be read "
				      "(error %d)",
		       nr, (int)-n);
	buf[used] = '\0';
	if (used > 0 && !skip)
		read_line(state, buf, nr);
}

/* The owner that the kernel shows for users that a user namespace does not
 * map: in a sandbox that may be root's own file. */
#define OVERFLOW_UID 65534

/* Somebody else's file could switch a daemon's memory about: not believed. */
static bool is_trusted(int fd)
{
	enum hs_log_level level = HS_LOG_ERROR;
	struct stat st;

	if (hs_sys.fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode) && st.st_uid == 0 &&
		    !(st.st_mode & (S_IWGRP | S_IWOTH)))
			return true;
		if (st.st_uid == OVERFLOW_UID)
			level = HS_LOG_WARN;
	}
	hs_log(level, HS_CONFIG_FILE ": not a regular file that belongs to "
				     "root and only root may write; ignored");
	return false;
}

HS_START void hs_config_read_file(struct hs_config_state *state)
{
	int fd = hs_sys.open(HS_CONFIG_FILE, O_RDONLY | O_NOCTTY | O_NONBLOCK,
			     0);

	if (fd == -ENOENT || fd == -ENOTDIR)
		return;
	if (fd < 0) {
		hs_log(HS_LOG_WARN,
		       HS_CONFIG_FILE ": cannot be opened "
				      "(error %d); ignored",
		       -fd);
		return;
	}
	if (is_trusted(fd))
		read_lines(state, fd);
	hs_sys.close(fd);
}
