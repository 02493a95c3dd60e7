/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * target.h - can a library be preloaded into the program that is to run, and
 * if not, why?  Answered from its ELF header before it is started, because a
 * program that ignores LD_PRELOAD does so silently.
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_TARGET_H
#define HS_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum target_obstacle {
	TARGET_NONE, /* nothing in the way, or it cannot be told */
	TARGET_STATIC,
	TARGET_SETID,     /* setuid or setgid */
	TARGET_CAPABLE,   /* file capabilities */
	TARGET_CLASS,     /* 32 bit against 64 */
	TARGET_MACHINE,   /* another processor */
	TARGET_LIBC,      /* another C library; detail: which */
	TARGET_SANITISED, /* detail: by what */
};

struct target {
	char path[PATH_MAX];   /* what execve() gets */
	char binary[PATH_MAX]; /* the ELF file: path, or its interpreter */
	bool is_elf;           /* path itself is one */
	enum target_obstacle obstacle;
	char detail[64];
};

/* Search as execvp() does.  0, or the errno with which execvp() would fail,
 * target->path then being @command. */
int target_find(const char *command, struct target *target);

/* Read the header of target->path, and of the interpreters of scripts.
 * Fills in the rest; what cannot be read is no obstacle. */
void target_inspect(struct target *target);

/* Why there is an obstacle, as in "PROGRAM is ...". */
const char *target_explain(const struct target *target);

#endif
