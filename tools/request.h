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

/* libhugetlbfs's hugectl asks for one level more than its library has by
 * default, which is one above our lowest. */
enum { OUR_VERBOSE_MAX = 3, OLD_VERBOSE_DEFAULT = 1, OLD_VERBOSE_MAX = 99 };

struct request {
	struct env env;
	bool preload;
	bool force_preload;
	bool bare_name; /* --library-use-path */
	bool dry_run;
	bool thp;
	const char *heap, *mmap; /* the last --heap and --mmap; NULL: none */
	const char *library, *library_dir;
	int verbose; /* ours; -1: not asked for */
};

/* Fill in @request, which holds its defaults; optind is then at the command. */
void request_parse(struct request *request, int argc, char **argv);

#endif
