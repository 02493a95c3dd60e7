/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl - run a program with its memory on huge pages, or look after huge
 * pages.
 *
 * Turns options into environment variables, puts the shim in front of
 * LD_PRELOAD and executes the program.  Exit status as env(1): 125 when hugectl
 * fails, 126 and 127 when the program cannot be run or found, else the
 * program's own.
 *
 * The name of a subcommand counts only as the first argument: a program that is
 * called the same runs after "--" or any option.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "subcommand.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{ "advise", advise_main },
	{ "map", map_main },
	{ "setup", setup_main },
	{ "stat", stat_main },
	{ "status", status_main },
	{ "top", top_main },
};

int main(int argc, char **argv)
{
	static char name[32];
	size_t i;

	for (i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
		if (argc < 2 || strcmp(argv[1], subcommands[i].name) != 0)
			continue;
		/* In what getopt_long says. */
		snprintf(name, sizeof(name), "hugectl: %s", argv[1]);
		argv[1] = name;
		return subcommands[i].run(argc - 1, argv + 1);
	}
	return run_main(argc, argv);
}
