/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hugectl COMMAND: the environment, and exec. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request.h"
#include "say.h"
#include "subcommand.h"
#include "target.h"

static void add_preload(struct request *request)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", request->library);
	if (!request->bare_name &&
	    env_find_library(request->library_dir, request->library, path,
			     sizeof(path)))
		fail("%s is not in %s; say where by --library-path",
		     request->library, path);
	if (env_preload(&request->env, path))
		fail("'%s': the loader takes no name with blanks or colons",
		     path);
}

/* What the library was to do, glibc's malloc can do in part by itself, in a
 * statically linked program too: transparent huge pages only, because with
 * those of the pool it dies when a fork's copy finds none. */
static bool wants_thp_heap(const struct request *request)
{
	const char *heap = env_get(&request->env, "HUGESHIM_HEAP");

	return heap != NULL && !strcmp(heap, "thp");
}

/* True when preloading makes sense. */
static bool check_target(const struct request *request, struct target *target)
{
	const char *consequence = "runs without huge pages";

	target_inspect(target);
	if (target->obstacle == TARGET_NONE)
		return true;
	if (target->obstacle == TARGET_STATIC && wants_thp_heap(request))
		consequence = "only glibc's malloc takes huge pages";
	if (request->force_preload)
		consequence = "preloading all the same";
	if (strcmp(target->path, target->binary))
		say("%s: its interpreter %s is %s; %s", target->path,
		    target->binary, target_explain(target), consequence);
	else
		say("%s is %s; %s", target->path, target_explain(target),
		    consequence);
	return request->force_preload;
}

/* A file without a header that the kernel knows is a script for sh, as for
 * execvp(); a program of another machine is not. */
static void run_by_shell(const struct target *target, char **argv)
{
	static char shell[] = "/bin/sh";
	size_t nr = 0;
	char **args;

	while (argv[nr] != NULL)
		nr++;
	args = calloc(nr + 2, sizeof(*args));
	if (args == NULL)
		fail("out of memory");
	args[0] = shell;
	args[1] = (char *)target->path;
	memcpy(args + 2, argv + 1, nr * sizeof(*args));
	execv(shell, args);
	free(args);
}

static int run(const struct target *target, int find_error, char **argv)
{
	if (find_error == 0) {
		execv(target->path, argv);
		find_error = errno;
		if (find_error == ENOEXEC && !target->is_elf) {
			run_by_shell(target, argv);
			find_error = errno;
		}
	}
	say("%s: %s", target->path, strerror(find_error));
	return find_error == ENOENT ? STATUS_NOT_FOUND : STATUS_INVOKE;
}

static void show(const struct env *env)
{
	unsigned i;

	for (i = 0; i < env->nr; i++)
		say("%s=%s", env->entry[i].name, env->entry[i].value);
}

int run_main(int argc, char **argv)
{
	static struct request request = { .preload = true,
					  .library = ENV_LIBRARY,
					  .verbose = -1,
					  .old_verbose = -1 };
	static struct target target;
	int find_error = 0;
	bool use = true, thp;

	request_parse(&request, argc, argv);
	if (request.preload)
		add_preload(&request);
	argv += optind;
	if (*argv != NULL) {
		find_error = target_find(*argv, &target);
		if (find_error == 0 && request.preload)
			use = check_target(&request, &target);
	}
	thp = wants_thp_heap(&request) &&
	      (!request.preload || (!use && target.obstacle == TARGET_STATIC));
	if (!use)
		request.env.nr = 0;
	if (thp)
		env_tunable(&request.env, "glibc.malloc.hugetlb", "1");
	if (request.dry_run) {
		env_print(&request.env);
		return fflush(stdout) || ferror(stdout) ? STATUS_OWN : 0;
	}
	if (request.verbose >= 2)
		show(&request.env);
	env_apply(&request.env);
	return run(&target, find_error, argv);
}
