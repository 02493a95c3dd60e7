/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * both.h - a program that runs twice: without the library, where glibc says
 * what is right, and under it, where the same must come out.
 *
 * The program defines hs_t_cases[]; each case checks what it can know by
 * itself (HS_T_CHECK) and prints what only the reference can tell (errno, what
 * is accepted).  The driver runs the whole list bare and under the library,
 * and wants exit status 0 and equal text from both.
 *
 *     prog            the test
 *     prog inner      every case once, in this process
 *     prog inner N    one case by name
 */
#ifndef HS_TEST_BOTH_H
#define HS_TEST_BOTH_H

#include "tests/lib/hs_test.h"

struct hs_t_case {
	const char *name;
	void (*run)(void);
	bool shim_only;
};

extern const struct hs_t_case hs_t_cases[];

HS_T_FN int hs_t_inner(const char *only)
{
	const struct hs_t_case *c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (c = hs_t_cases; c->name; c++) {
		if (only && strcmp(only, c->name))
			continue;
		if (c->shim_only && !hs_t_under_shim())
			continue;
		if (!c->shim_only)
			printf("%s\n", c->name);
		c->run();
	}
	return 0;
}

/* Run ourselves; standard output into @text. */
HS_T_FN size_t hs_t_transcript(const char *self, bool shim, char *text,
			       size_t room, int *status)
{
	size_t got = 0;
	ssize_t n;
	pid_t pid;
	int fd[2];

	HS_T_CHECK(pipe(fd) == 0);
	fflush(NULL);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		if (shim)
			setenv("LD_PRELOAD", hs_t_library(), 1);
		else
			unsetenv("LD_PRELOAD");
		/* Who uses the pool has its lock: tests/proc/malloc_huge.sh.
		 */
		setenv("HUGESHIM_BACKING", "thp", 0);
		execl(self, self, "inner", (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	while ((n = read(fd[0], text + got, room - 1 - got)) > 0)
		got += (size_t)n;
	close(fd[0]);
	text[got] = '\0';
	*status = hs_t_wait(pid);
	return got;
}

/* The first line that differs, and the case it belongs to, to stderr. */
HS_T_FN void hs_t_show_difference(const char *bare, const char *shim)
{
	size_t line = 0, i;

	for (i = 0; bare[i] && bare[i] == shim[i]; i++)
		if (bare[i] == '\n')
			line = i + 1;
	fprintf(stderr, "bare: %.*s\nshim: %.*s\n",
		(int)strcspn(bare + line, "\n"), bare + line,
		(int)strcspn(shim + line, "\n"), shim + line);
}

HS_T_FN int hs_t_both(int argc, char **argv)
{
	static char bare[1 << 18], shim[1 << 18];
	char self[4096];
	int status;
	ssize_t n;

	if (argc > 1 && !strcmp(argv[1], "inner"))
		return hs_t_inner(argc > 2 ? argv[2] : NULL);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	HS_T_CHECK(n > 0);
	self[n] = '\0';
	hs_t_transcript(self, false, bare, sizeof(bare), &status);
	HS_T_CHECK(status == 0, "bare: %s after\n%s", hs_t_status(status),
		   bare);
	hs_t_transcript(self, true, shim, sizeof(shim), &status);
	HS_T_CHECK(status == 0, "under the library: %s after\n%s",
		   hs_t_status(status), shim);
	if (strcmp(bare, shim)) {
		hs_t_show_difference(bare, shim);
		return 1;
	}
	return 0;
}

#define HS_T_BOTH_MAIN                                                         \
	int main(int argc, char **argv)                                        \
	{                                                                      \
		return hs_t_both(argc, argv);                                  \
	}

#endif
