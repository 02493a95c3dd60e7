/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits_calls.c - every way in which a program limits itself, after it has
 * used its heap: what could be allocated before and what not afterwards is as
 * without the library.  Each case in a child.
 */
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../lib/hs_test.h"

#define MIB ((size_t)1 << 20)
#define WANT(cond)                                                             \
	do {                                                                   \
		if (!(cond))                                                   \
			return __LINE__;                                       \
	} while (0)

static const struct rlimit half_gib = { 512 * MIB, 512 * MIB };

static int by_setrlimit(int resource)
{
	return setrlimit((__rlimit_resource_t)resource, &half_gib);
}

static int by_prlimit(int resource)
{
	return prlimit(0, (__rlimit_resource_t)resource, &half_gib, NULL);
}

static int by_prlimit_pid(int resource)
{
	struct rlimit old = { 1, 1 };
	int ret = prlimit(getpid(), (__rlimit_resource_t)resource, &half_gib,
			  &old);

	return ret == 0 && old.rlim_cur == RLIM_INFINITY ? 0 : -1;
}

static int by_number(int resource)
{
	return (int)syscall(SYS_prlimit64, 0, resource, &half_gib, NULL);
}

static int by_old_number(int resource)
{
	return (int)syscall(SYS_setrlimit, resource, &half_gib);
}

static int (*const ways[])(int) = { by_setrlimit, by_prlimit, by_prlimit_pid,
				    by_number, by_old_number };

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

static bool can_use(size_t bytes)
{
	char *p = malloc(bytes);
	bool right;

	if (p == NULL)
		return false;
	hs_t_fill(p, bytes, 3);
	right = hs_t_verify(p, bytes, 3) < 0;
	free(p);
	return right;
}

/* A heap that has been in use. */
static bool warm_up(void)
{
	return can_use(24 * MIB) && can_use(100) && can_use(100000);
}

static int limited(int (*way)(int), int resource)
{
	struct rlimit now;

	WANT(warm_up());
	WANT(way(resource) == 0);
	WANT(getrlimit((__rlimit_resource_t)resource, &now) == 0);
	WANT(now.rlim_cur == half_gib.rlim_cur);
	WANT(can_use(100) && can_use(100000) && can_use(300 * MIB));
	errno = 0;
	WANT(malloc(600 * MIB) == NULL && errno == ENOMEM);
	WANT(can_use(300 * MIB) && can_use(1000));
	return 0;
}

static int locked(int flags, bool number)
{
	int ret;

	WANT(warm_up());
	ret = number ? (int)syscall(SYS_mlockall, flags) : mlockall(flags);
	/* What RLIMIT_MEMLOCK does not allow is refused bare too. */
	WANT(ret == 0 || errno == ENOMEM || errno == EPERM);
	WANT(can_use(100) && can_use(100000) && can_use(8 * MIB));
	WANT(munlockall() == 0);
	WANT(can_use(64 * MIB));
	return 0;
}

/* Read, write and exit are all that is left: small blocks from memory that is
 * there need no more. */
static int strict(void)
{
	static const char ok[] = "ok\n";
	char *p[100];
	int i;

	WANT(warm_up());
	for (i = 0; i < 100; i++)
		p[i] = malloc(200);
	for (i = 0; i < 100; i++)
		free(p[i]);
	WANT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	for (i = 0; i < 100; i++) {
		p[i] = malloc(200);
		if (p[i] == NULL)
			syscall(SYS_exit, 3);
		memset(p[i], i, 200);
	}
	if (write(STDOUT_FILENO, ok, sizeof(ok) - 1) != sizeof(ok) - 1)
		syscall(SYS_exit, 4);
	syscall(SYS_exit, 0);
	return __LINE__;
}

static int failed;

static void run(const char *name, size_t way, int (*f)(size_t))
{
	int line = 0, status;
	struct hs_t_gate gate;
	pid_t pid;

	hs_t_gate_open(&gate);
	fflush(NULL);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		line = f(way);
		if (write(gate.fd[1], &line, sizeof(line)) < 0)
			_exit(98);
		_exit(line != 0);
	}
	close(gate.fd[1]);
	if (read(gate.fd[0], &line, sizeof(line)) != sizeof(line))
		line = 0;
	close(gate.fd[0]);
	status = hs_t_wait(pid);
	if (status == 0)
		return;
	fprintf(stderr, "%s %zu: line %d, %s\n", name, way, line,
		hs_t_status(status));
	failed++;
}

static int limit_as(size_t way)
{
	return limited(ways[way], RLIMIT_AS);
}

static int limit_data(size_t way)
{
	return limited(ways[way], RLIMIT_DATA);
}

static int lock(size_t way)
{
	static const int flags[] = { MCL_CURRENT, MCL_FUTURE,
				     MCL_CURRENT | MCL_FUTURE,
				     MCL_CURRENT | 4 /* MCL_ONFAULT */ };

	return locked(flags[way % 4], way >= 4);
}

static int seccomp_strict(size_t way)
{
	(void)way;
	return strict();
}

int main(void)
{
	size_t i;

	for (i = 0; i < NR_WAYS; i++) {
		run("RLIMIT_AS", i, limit_as);
		run("RLIMIT_DATA", i, limit_data);
	}
	for (i = 0; i < 8; i++)
		run("mlockall", i, lock);
	run("seccomp", 0, seccomp_strict);
	printf("%d cases failed\n", failed);
	return failed != 0;
}
