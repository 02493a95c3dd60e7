/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * say.h - what hugectl tells: one line on standard error, and the statuses of
 * env(1).
 *
 * Owner: hugectl; one thread.
 */
#ifndef HS_SAY_H
#define HS_SAY_H

enum { STATUS_OWN = 125, STATUS_INVOKE = 126, STATUS_NOT_FOUND = 127 };

/* "hugectl: ..." and a new line. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, and the end: status 125. */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* @p, unless it is NULL for want of memory: then the end. */
void *must(void *p);
/* Was all of standard output written?  0, or one line and 125. */
int end_output(void);

#endif
