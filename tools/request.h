/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.h - what the user wants of a run: options -> environment.
 *
 * Errors: one line and status 125.
 * Owner: hugectl; one thread.
 */
#ifndef HS_REQUEST_H
#define HS_REQUEST_H

#include <stdbool.h>

#include "env.h"

/* The levels of libhugetlbfs's hugectl, two above ours where none is named. */
enum { OUR_VERBOSE_MAX = 3, OLD_VERBOSE_DEFAULT = 2, OLD_VERBOSE_MAX = 99 };

struct request {
	struct env env;
	bool preload;
	bool force_preload;
	bool bare_name; /* --library-use-path */
	bool dry_run;
	bool thp;
	const char *heap, *mmap, *shm; /* the last of each; NULL: none */
	const char *library, *library_dir;
	int verbose;     /* ours; -1: not asked for */
	int old_verbose; /* libhugetlbfs's; -1: not asked for */
};

/* Fill in @request, which holds its defaults; optind is then at the command. */
void request_parse(struct request *request, int argc, char **argv);

#endif
