/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"

static void vsay(const char *fmt, va_list ap)
{
	char line[PATH_MAX + 256];

	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(stderr, "hugectl: %s\n", line);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	exit(STATUS_OWN);
}

void *must(void *p)
{
	if (p == NULL)
		fail("out of memory");
	return p;
}

int end_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	say("standard output: %s", strerror(errno));
	return STATUS_OWN;
}
