/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_syscalls_cases.h - the calls of fork_syscalls.c, each on one buffer.
 */
#ifndef FORK_SYSCALLS_CASES_H
#define FORK_SYSCALLS_CASES_H

#include <stdbool.h>
#include <stddef.h>

#define LEN 4096

/* The caller's: what the calls transfer, and by what. */
extern unsigned char data[LEN];
extern int pipe_fd[2];  /* bytes */
extern int dgram_fd[2]; /* datagrams: one that is lost stays lost */

struct syscall_case {
	const char *name;
	/* @b is LEN bytes, aligned to 16; true when the call did its work. */
	bool (*run)(unsigned char *b);
};

extern const struct syscall_case cases[];
extern const size_t nr_cases;

#endif
