/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.h - what hugectl setup does, step by step, and how it is taken back.
 *
 * Invariants
 * 1. What a step will change is in the record, on disk, before it changes.
 * 2. Taking back goes by the record alone, last step first.
 *
 * Errors: 0, or -errno with one line said.
 * Owner: hugectl; one thread.
 */
#ifndef HS_STEP_H
#define HS_STEP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define STEP_RECORD_DIR "/var/lib/hugeshim"
#define STEP_RECORD STEP_RECORD_DIR "/setup"
#define STEPS_MAX 64

enum step_kind {
	STEP_VALUE, /* a number in a file of /proc or /sys */
	STEP_FILE,  /* a new file */
	STEP_LINK,  /* a new symbolic link; text: where to */
	STEP_DIR,   /* a new directory */
	STEP_MOUNT, /* text: options */
	STEP_OWNER, /* text: the group; mode 0660 */
	STEP_GROUP, /* path: the name */
};

struct step {
	enum step_kind kind;
	char path[PATH_MAX];
	char *text;
};

struct plan {
	struct step step[STEPS_MAX];
	unsigned nr;
};

/* @text is copied. */
void step_add(struct plan *plan, enum step_kind kind, const char *path,
	      const char *text);
/* As commands for sh, on standard output. */
void step_print(const struct plan *plan);
/* All, or none: what was done before one fails is taken back. */
int step_do(const struct plan *plan);
/* Is there a record? */
bool step_is_done(void);
/* Take back what the record says, or only print the commands. */
int step_undo(bool dry_run);

#endif
