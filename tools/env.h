/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * env.h - the environment that hugectl gives to the program: a list of
 * assignments, made first and then put in force or printed.
 *
 * Invariants
 * 1. A name is in the list once; the last value given for it counts.
 *
 * Errors: no memory ends the process with status 125.
 * Owner: hugectl; one thread.
 */
#ifndef HS_ENV_H
#define HS_ENV_H

#include <stddef.h>

#define ENV_MAX 32

/* The shim, and the one that leaves malloc to others. */
#define ENV_LIBRARY "libhugeshim.so"
#define ENV_LIBRARY_MMAP "libhugeshim-mmap.so"

struct env {
	struct {
		const char *name;
		char *value;
	} entry[ENV_MAX];
	unsigned nr;
};

/* @name must stay valid; @value is copied. */
void env_set(struct env *env, const char *name, const char *value);
/* The value given, or NULL. */
const char *env_get(const struct env *env, const char *name);
/* Drop a value given. */
void env_drop(struct env *env, const char *name);
/* Into this process's environment. */
void env_apply(const struct env *env);
/* As lines of NAME='value' that sh can evaluate, on standard output. */
void env_print(const struct env *env);

/*
 * The file @name of the shim.  @dir: where the user says it is (the directory
 * itself or a prefix with lib/), or NULL: next to hugectl, or where it was
 * installed.
 * 0, or -ENOENT with the place that was looked at in @path.
 */
int env_find_library(const char *dir, const char *name, char *path,
		     size_t size);

/* LD_PRELOAD with @library in front of what is there.  0, or -EINVAL when the
 * loader could not take the name apart again (blanks and colons). */
int env_preload(struct env *env, const char *library);

/* GLIBC_TUNABLES with @name=@value behind what is there; a value that the user
 * gave stays. */
void env_tunable(struct env *env, const char *name, const char *value);

#endif
