// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ends in the way that its argument names; ends.sh looks at what is left. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *end_last(void *arg)
{
	free(arg);
	exit(7);
}

static void in_child(void (*end)(int))
{
	pid_t pid = fork();

	if (pid == 0)
		end(7);
	waitpid(pid, NULL, 0);
	_exit(7);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	void *p = malloc(100000);
	pthread_t thread;

	if (!p)
		return 1;
	memset(p, 1, 100000);
	if (!strcmp(how, "return"))
		return 7;
	if (!strcmp(how, "exit"))
		exit(7);
	if (!strcmp(how, "quick_exit"))
		quick_exit(7);
	if (!strcmp(how, "_exit"))
		_exit(7);
	if (!strcmp(how, "child"))
		in_child(exit);
	if (!strcmp(how, "_child"))
		in_child(_exit);
	if (!strcmp(how, "forks")) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
		return 7;
	}
	if (!strcmp(how, "thread")) {
		/* The first thread ends before the process does. */
		if (pthread_create(&thread, NULL, end_last, p))
			return 1;
		pthread_exit(NULL);
	}
	if (!strcmp(how, "preload")) {
		printf("%s\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") :
						      "none");
		fflush(stdout);
		if (argc > 2)
			execlp("sh", "sh", "-c", "echo ${LD_PRELOAD-none}",
			       (char *)NULL);
		return 7;
	}
	return 1;
}
