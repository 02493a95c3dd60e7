/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "env.h"
#include "say.h"

#define SEPARATORS ": \t\n"

void env_set(struct env *env, const char *name, const char *value)
{
	char *copy = must(strdup(value));
	unsigned i;

	for (i = 0; i < env->nr; i++)
		if (!strcmp(env->entry[i].name, name)) {
			free(env->entry[i].value);
			env->entry[i].value = copy;
			return;
		}
	if (env->nr == ENV_MAX)
		abort(); /* more options than there are */
	env->entry[env->nr].name = name;
	env->entry[env->nr].value = copy;
	env->nr++;
}

const char *env_get(const struct env *env, const char *name)
{
	unsigned i;

	for (i = 0; i < env->nr; i++)
		if (!strcmp(env->entry[i].name, name))
			return env->entry[i].value;
	return NULL;
}

void env_drop(struct env *env, const char *name)
{
	unsigned i;

	for (i = 0; i < env->nr; i++) {
		if (strcmp(env->entry[i].name, name))
			continue;
		free(env->entry[i].value);
		env->nr--;
		memmove(&env->entry[i], &env->entry[i + 1],
			(env->nr - i) * sizeof(env->entry[0]));
		return;
	}
}

void env_apply(const struct env *env)
{
	unsigned i;

	for (i = 0; i < env->nr; i++)
		if (setenv(env->entry[i].name, env->entry[i].value, 1))
			must(NULL);
}

/* Between single quotes only the single quote itself is special. */
static void print_quoted(const char *value)
{
	putchar('\'');
	for (; *value != '\0'; value++)
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	putchar('\'');
}

void env_print(const struct env *env)
{
	unsigned i;

	for (i = 0; i < env->nr; i++) {
		printf("%s=", env->entry[i].name);
		print_quoted(env->entry[i].value);
		putchar('\n');
	}
}

/* Readable, by its absolute name, which goes to @path. */
static bool found(const char *dir, const char *below, const char *name,
		  char *path, size_t size)
{
	char file[PATH_MAX], real[PATH_MAX];
	int n = snprintf(file, sizeof(file), "%s%s/%s", dir, below, name);

	if (n < 0 || (size_t)n >= sizeof(file) || access(file, R_OK) ||
	    realpath(file, real) == NULL || strlen(real) >= size)
		return false;
	memcpy(path, real, strlen(real) + 1);
	return true;
}

/* The directory of this program, or "" without /proc. */
static void own_directory(char *dir, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", dir, size - 1);
	char *slash;

	dir[n > 0 ? n : 0] = '\0';
	slash = strrchr(dir, '/');
	if (slash != NULL)
		*slash = '\0';
}

int env_find_library(const char *dir, const char *name, char *path, size_t size)
{
	/* .libs: the build tree. */
	static const char *const beside[] = { "/.libs", "/../lib",
					      "/../lib64" };
	static const char *const below[] = { "", "/lib", "/lib64" };
	char own[PATH_MAX];
	size_t i;

	if (dir != NULL) {
		for (i = 0; i < sizeof(below) / sizeof(below[0]); i++)
			if (found(dir, below[i], name, path, size))
				return 0;
		snprintf(path, size, "%s", dir);
		return -ENOENT;
	}
	own_directory(own, sizeof(own));
	for (i = 0; *own && i < sizeof(beside) / sizeof(beside[0]); i++)
		if (found(own, beside[i], name, path, size))
			return 0;
	if (found(PKGLIBDIR, "", name, path, size))
		return 0;
	snprintf(path, size, "%s/../lib or %s", own, PKGLIBDIR);
	return -ENOENT;
}

static bool is_file(const char *entry, size_t len, const char *name)
{
	size_t base = strlen(name);

	return len >= base && !memcmp(entry + len - base, name, base) &&
	       (len == base || entry[len - base - 1] == '/');
}

static bool is_shim(const char *entry, size_t len)
{
	return is_file(entry, len, ENV_LIBRARY) ||
	       is_file(entry, len, ENV_LIBRARY_MMAP);
}

/* Another copy of the shim in the list would be a second allocator with
 * signal handlers of its own: ours takes its place. */
int env_preload(struct env *env, const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	size_t len, size;
	char *value;

	if (library[strcspn(library, SEPARATORS)] != '\0')
		return -EINVAL;
	if (old == NULL)
		old = "";
	size = strlen(library) + strlen(old) + 2;
	value = must(malloc(size));
	memcpy(value, library, strlen(library) + 1);
	for (; *old != '\0'; old += len) {
		old += strspn(old, SEPARATORS);
		len = strcspn(old, SEPARATORS);
		if (len == 0 || is_shim(old, len))
			continue;
		strcat(value, ":");
		strncat(value, old, len);
	}
	env_set(env, "LD_PRELOAD", value);
	free(value);
	return 0;
}

static bool has_tunable(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; *list != '\0'; list += strcspn(list, ":")) {
		list += *list == ':';
		if (!strncmp(list, name, len) && list[len] == '=')
			return true;
	}
	return false;
}

void env_tunable(struct env *env, const char *name, const char *value)
{
	const char *old = getenv("GLIBC_TUNABLES");
	size_t size;
	char *list;

	if (old == NULL)
		old = "";
	if (has_tunable(old, name))
		return;
	size = strlen(old) + strlen(name) + strlen(value) + 3;
	list = must(malloc(size));
	snprintf(list, size, "%s%s%s=%s", old, *old != '\0' ? ":" : "", name,
		 value);
	env_set(env, "GLIBC_TUNABLES", list);
	free(list);
}
