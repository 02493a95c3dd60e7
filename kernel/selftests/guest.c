// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_signal;

static void on_fault(int signal)
{
	fault_signal = signal;
	siglongjmp(fault_jump, 1);
}

static int signal_of(volatile char *p, int write, char value)
{
	struct sigaction act = { .sa_handler = on_fault }, segv, bus;

	sigaction(SIGSEGV, &act, &segv);
	sigaction(SIGBUS, &act, &bus);
	fault_signal = 0;
	if (!sigsetjmp(fault_jump, 1)) {
		if (write)
			*p = value;
		else
			(void)*p;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return fault_signal;
}

int signal_of_read(volatile char *p)
{
	return signal_of(p, 0, 0);
}

int signal_of_write(volatile char *p, char value)
{
	return signal_of(p, 1, value);
}

int in_child(int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(fn(arg) ? 1 : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status))
		return 1000 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

long field_of(const char *path, const char *name)
{
	size_t length = strlen(name);
	char line[512];
	long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, length) &&
		    (line[length] == ':' || line[length] == ' '))
			value = strtol(line + length + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

int put(const char *path, const char *text)
{
	ssize_t length = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC), saved;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, length);
	saved = errno;
	close(fd);
	errno = saved;
	return n == length ? 0 : -1;
}

long pool_available(void)
{
	return field_of("/proc/meminfo", "HugePages_Free") -
		field_of("/proc/meminfo", "HugePages_Rsvd");
}

static int call(void *arg)
{
	const struct test *test = arg;

	return test->run();
}

/* All of the pool, as it has to be again after each test. */
struct pool {
	long total, free, reserved, surplus;
};

static struct pool pool_read(void)
{
	return (struct pool){
		.total = field_of("/proc/meminfo", "HugePages_Total"),
		.free = field_of("/proc/meminfo", "HugePages_Free"),
		.reserved = field_of("/proc/meminfo", "HugePages_Rsvd"),
		.surplus = field_of("/proc/meminfo", "HugePages_Surp"),
	};
}

int run_tests(const char *program, const struct test *tests, size_t nr_tests)
{
	int failed = 0;

	for (size_t i = 0; i < nr_tests; i++) {
		struct pool before = pool_read(), after;
		int status = in_child(call, (void *)&tests[i]);

		after = pool_read();
		if (memcmp(&before, &after, sizeof(before))) {
			printf("\tpool: %ld total %ld free %ld reserved "
			       "%ld surplus, was %ld %ld %ld %ld\n",
			       after.total, after.free, after.reserved,
			       after.surplus, before.total, before.free,
			       before.reserved, before.surplus);
			status = status ? status : -1;
		}
		if (status)
			printf("FAIL %s:%s (%d)\n", program, tests[i].name,
			       status);
		else
			printf("PASS %s:%s\n", program, tests[i].name);
		fflush(stdout);
		failed += !!status;
	}
	return failed < 100 ? failed : 100;
}
