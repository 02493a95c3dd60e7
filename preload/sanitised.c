// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload/sanitised.h"

#include "raw.h"
#include "sys.h"

/* The run-time library of every sanitiser that brings its own malloc has it,
 * shared or linked into the program; else the loader leaves it NULL.  One name
 * for them all: a name that nobody has costs an exec 0.5 us. */
extern size_t __sanitizer_get_allocated_size(const volatile void *p)
	__attribute__((weak, visibility("default")));

static bool is_sanitised(void)
{
	return __sanitizer_get_allocated_size != NULL;
}

/* The string functions here are plain loops over volatile bytes: the compiler
 * must not make calls of strlen and memmove out of them, which would be the
 * sanitiser's. */
static size_t starts_with(const volatile char *text, const char *prefix)
{
	size_t i;

	for (i = 0; prefix[i] != '\0'; i++)
		if (text[i] != prefix[i])
			return 0;
	return i;
}

static bool is_separator(char c)
{
	return c == ':' || c == ' ';
}

/* Does the entry [text, end) end in the file @name, of @len bytes? */
static bool is_file(const volatile char *text, const volatile char *end,
		    const char *name, size_t len)
{
	size_t i;

	if ((size_t)(end - text) < len)
		return false;
	if ((size_t)(end - text) > len && end[-(ptrdiff_t)len - 1] != '/')
		return false;
	for (i = 0; i < len; i++)
		if (end[i - len] != name[i])
			return false;
	return true;
}

/* With malloc or without it. */
static bool is_ours(const volatile char *text, const volatile char *end)
{
	static const char with[] = "libhugeshim.so";
	static const char without[] = "libhugeshim-mmap.so";

	return is_file(text, end, with, sizeof(with) - 1) ||
	       is_file(text, end, without, sizeof(without) - 1);
}

/* Take our entries out of the list, in place.  True if there were any. */
static bool remove_ours(volatile char *list)
{
	volatile char *in = list, *out = list, *end;
	bool found = false;

	while (*in != '\0') {
		for (end = in; *end != '\0' && !is_separator(*end); end++)
			;
		if (is_ours(in, end)) {
			found = true;
			in = end;
		}
		while (in < end)
			*out++ = *in++;
		if (*in != '\0')
			*out++ = *in++;
	}
	*out = '\0';
	return found;
}

static bool drop_preload(char **envp)
{
	static const char variable[] = "LD_PRELOAD=";
	bool found = false;

	for (; *envp != NULL; envp++)
		if (starts_with(*envp, variable))
			found |= remove_ours(*envp + sizeof(variable) - 1);
	return found;
}

HS_START bool hs_sanitised_start(char **argv, char **envp)
{
	static char self[] = "/proc/self/exe";
	static char path[1024];
	int len;

	if (!is_sanitised())
		return false;
	if (!drop_preload(envp))
		return true;
	/* By its name, so that it keeps it in /proc; that of a file which is
	 * gone fails, and the link still leads there. */
	len = hs_sys.readlink(self, path, sizeof(path) - 1);
	if (len > 0) {
		path[len] = '\0';
		hs_raw6(SYS_execve, (long)path, (long)argv, (long)envp, 0, 0,
			0);
	}
	hs_raw6(SYS_execve, (long)self, (long)argv, (long)envp, 0, 0, 0);
	return true;
}
