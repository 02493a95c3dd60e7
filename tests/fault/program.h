/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program.h - what the parts of tests/fault/program share.
 */
#ifndef HS_TEST_FAULT_PROGRAM_H
#define HS_TEST_FAULT_PROGRAM_H

#include "tests/lib/hs_test.h"

/* The exit status. */
enum { RIGHT, WRONG_BYTE, BAD_USE, NO_MEMORY, BAD_READ };

/* Says so and ends. */
void out_of_memory(const char *what) __attribute__((noreturn));
/* Of a child; one that was killed is followed. */
int child_status(pid_t pid);

int run_maps(void);

#endif
