/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - one bounded line to standard error by one write(2).
 *
 * No stdio, no allocation, no locale.  Formats: %s %c %d %i %u %ld %lu %zu
 * %llu %x %lx %p %% and a width or zero padding for numbers; anything else is
 * printed as it stands.  A line is cut at HS_LOG_LINE_MAX bytes.
 *
 * Context: all of it is thread-safe, async-signal-safe and valid in a fork
 * child; errno is not touched.
 */
#ifndef HS_LOG_H
#define HS_LOG_H

#include <stdarg.h>

#include "base.h"

#define HS_LOG_LINE_MAX 512

enum hs_log_level {
	HS_LOG_ERROR = 0, /* always: bad input, misuse, death */
	HS_LOG_WARN = 1,  /* HUGESHIM_VERBOSE >= 1, or a terminal: fallbacks */
	HS_LOG_INFO = 2,  /* HUGESHIM_VERBOSE >= 2: what was decided and why */
	HS_LOG_DEBUG = 3, /* HUGESHIM_VERBOSE >= 3: every slot */
};

/* Levels above @level are not printed.  Default HS_LOG_ERROR. */
void hs_log_set_level(int level);
int hs_log_level(void);

/*
 * Whether a write to a pipe that nobody reads is kept from raising SIGPIPE.
 * Off at start: the two calls it takes could be what a seccomp filter kills
 * for; the probe switches it on when no filter is in force.
 */
void hs_log_guard(bool guarded);

/* One write(2) as hs_log() makes it: -EINTR retried, SIGPIPE guarded. */
ssize_t hs_log_write(int fd, const char *buf, size_t len);

/* "libhugeshim: <text>\n" to standard error. */
void hs_log(enum hs_log_level level, const char *fmt, ...) HS_PRINTF(2, 3);

/* Print the line whatever the level, then abort the process (corruption). */
void hs_log_fatal(const char *fmt, ...)
	HS_PRINTF(1, 2) __attribute__((noreturn));

/* Bounded formatting as above; returns bytes written without the NUL, never
 * more than size - 1. */
size_t hs_log_format(char *buf, size_t size, const char *fmt, ...)
	HS_PRINTF(3, 4);
size_t hs_log_vformat(char *buf, size_t size, const char *fmt, va_list ap);

#endif
