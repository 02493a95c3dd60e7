/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork_syscalls - system calls that write to, or read from, memory on huge
 * pages that cannot be had: no EFAULT, nothing lost.
 *
 *   fork_syscalls frozen   pages shared with a child, no page left to copy to;
 *                          tried in a child, then in the parent
 *   fork_syscalls lazy     memory that nobody has touched, and no page left
 *   fork_syscalls lazy-across  the same, buffers across two slots
 *
 * and a second argument is the name of the one case to run.
 *
 * Each case has two slots of its own, and its buffer lies in the first one (in
 * the child, lazy) or across both (in the parent, lazy-across).  What lies
 * around the buffer must be as before.
 *
 * Exit status: 0; 1 with a line for each case that failed; 77.
 */
#include "tests/lib/hog.h"

#include <sys/socket.h>

#include "fork_syscalls_cases.h"

#define AROUND 65536 /* bytes checked on each side of a buffer */

unsigned char data[LEN];
int pipe_fd[2];
int dgram_fd[2];

static struct hog hog;

/* --- the memory --------------------------------------------------------- */

static unsigned char *area;
static size_t huge;

static unsigned char *buffer_of(size_t i, bool across)
{
	unsigned char *second = area + (2 * i + 1) * huge;

	return across ? second - LEN / 2 : second - huge / 2;
}

static bool around_is(const unsigned char *b, unsigned char value)
{
	for (size_t i = 1; i <= AROUND; i++)
		if (b[-(ssize_t)i] != value || b[LEN + i - 1] != value)
			return false;
	return true;
}

static const char *only; /* one case, to look at it alone */

static unsigned run_cases(const char *who, bool across, unsigned char around)
{
	unsigned bad = 0;

	for (size_t i = 0; i < nr_cases; i++) {
		unsigned char *b = buffer_of(i, across);
		char drain[LEN];
		bool ok;

		if (only && strcmp(only, cases[i].name) != 0)
			continue;
		errno = 0;
		ok = cases[i].run(b);
		if (!ok)
			dprintf(2, "%s: %s failed: %s\n", who, cases[i].name,
				strerror(errno));
		else if (!around_is(b, around))
			dprintf(2, "%s: %s: bytes around it changed\n", who,
				cases[i].name);
		bad += !ok || !around_is(b, around);
		while (read(pipe_fd[0], drain, LEN) > 0)
			;
		while (recv(dgram_fd[0], drain, LEN, MSG_DONTWAIT) > 0)
			;
	}
	return bad;
}

/* A buffer whose slots start where the huge pages do. */
static bool get_area(unsigned char **block)
{
	size_t len = (2 * nr_cases + 1) * huge;

	*block = malloc(len);
	area = (void *)(((uintptr_t)*block + huge - 1) & ~(huge - 1));
	return *block != NULL;
}

static bool all_is(const unsigned char *p, size_t len, unsigned char value)
{
	return p[0] == value && memcmp(p, p + 1, len - 1) == 0;
}

/* Keeps every page shared, then checks that nobody wrote to its copy. */
static pid_t start_holder(struct hs_t_gate *end)
{
	pid_t pid = fork();

	HS_T_CHECK(pid >= 0);
	if (pid > 0)
		return pid;
	close(end->fd[1]);
	hs_t_gate_wait(end);
	HS_T_CHILD(all_is(area, 2 * nr_cases * huge, 0x5a), 2);
	_exit(0);
}

static void test_frozen(void)
{
	struct hs_t_gate end;
	unsigned char *block;
	pid_t holder, pid;
	unsigned bad;
	int status;

	HS_T_CHECK(get_area(&block));
	memset(area, 0x5a, 2 * nr_cases * huge);
	fprintf(stderr, "frozen: %lld MiB on huge pages\n",
		hs_t_hugetlb_bytes(0) >> 20);
	hs_t_gate_open(&end);
	holder = start_holder(&end);
	HS_T_CHECK(hog_take(&hog));
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0)
		_exit((int)run_cases("child", false, 0x5a));
	status = hs_t_wait(pid);
	bad = run_cases("parent", true, 0x5a);
	close(end.fd[1]);
	HS_T_WAIT_OK(holder);
	close(end.fd[0]);
	HS_T_CHECK(status == 0, "child: %s", hs_t_status(status));
	HS_T_CHECK(bad == 0, "%u cases", bad);
	free(block);
	HS_T_CHECK(hog_give(&hog));
}

/* In a process of its own: memory that was freed before is not lazy. */
static void test_lazy(bool across)
{
	unsigned char *block;
	unsigned bad;

	HS_T_CHECK(get_area(&block));
	HS_T_CHECK(hog_take(&hog));
	bad = run_cases(across ? "lazy, across" : "lazy", across, 0);
	HS_T_CHECK(bad == 0, "%u cases", bad);
	free(block);
	HS_T_CHECK(hog_give(&hog));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "frozen";
	int i;

	only = argc > 2 ? argv[2] : NULL;
	huge = hs_t_huge_bytes();
	if (!huge || !hog_start(&hog))
		hs_t_skip("needs a kernel with CONFIG_HUGETLBFS");
	HS_T_CHECK(pipe2(pipe_fd, O_NONBLOCK) == 0);
	HS_T_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram_fd) == 0);
	for (i = 0; i < LEN; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	if (strcmp(what, "frozen") == 0)
		test_frozen();
	else
		test_lazy(strcmp(what, "lazy-across") == 0);
	hog_stop(&hog);
	printf("cases %zu\n", nr_cases);
	return 0;
}
