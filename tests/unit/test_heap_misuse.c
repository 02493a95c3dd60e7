// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Misuse, one kind in each child: the exact line, and death by SIGABRT.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap_model.h"

#include "heap_unit.h"

static const size_t sizes[] = { 1,      16,     64,      1000,     1024,
				3000,   8192,   12000,   32768,    100000,
				524288, 700000, 5000000, 20 << 20, 70 << 20 };

enum kind {
	DOUBLE,
	DOUBLE_LATER,
	INSIDE,
	INVALID,
	TAIL,
	SIZE,
	REALLOC_FREED,
	DOUBLE_OTHER_THREAD,
	DOUBLE_AFTER_OTHER_THREAD,
	DOUBLE_REMOTE_TWICE,
	NR_KINDS
};

static void *free_it(void *p)
{
	hs_heap_free(p);
	return NULL;
}

static void free_elsewhere(void *p)
{
	pthread_t thread;

	pthread_create(&thread, NULL, free_it, p);
	pthread_join(thread, NULL);
}

/* Print what the line must be, then earn it. */
static void misuse(enum kind kind, size_t size, char *p)
{
	char *others[40];
	int i;

	for (i = 0; i < 40; i++)
		others[i] = size < 100000 ? hs_heap_malloc(size) : NULL;
	switch (kind) {
	case DOUBLE:
		printf("double free of %p\n", p);
		fflush(stdout);
		hs_heap_free(p);
		hs_heap_free(p);
		break;
	case DOUBLE_LATER:
		printf("double free of %p\n", p);
		fflush(stdout);
		hs_heap_free(p);
		for (i = 0; i < 40; i++)
			hs_heap_free(others[i]);
		hs_heap_free(p);
		break;
	case INSIDE:
		printf("free of %p, inside a block\n", p + (size + 1) / 2);
		fflush(stdout);
		hs_heap_free(p + (size + 1) / 2);
		break;
	case INVALID:
		p = (char *)hs_arena.base + hs_arena.size_bytes - 4096;
		printf("invalid free of %p\n", p);
		fflush(stdout);
		hs_heap_free(p);
		break;
	case TAIL:
		/* 48 * 1365 = 65520: the last 16 bytes are no block. */
		p = hs_heap_malloc(48);
		p = (char *)(((uintptr_t)p & -HS_UNIT) + 65520);
		printf("invalid free of %p\n", p);
		fflush(stdout);
		hs_heap_free(p);
		break;
	case SIZE:
		printf("free of %p with size %zu, the block has %zu\n", p,
		       size * 2 + 16, hs_heap_usable_size(p));
		fflush(stdout);
		hs_heap_free_sized(p, size * 2 + 16, 0);
		break;
	case REALLOC_FREED:
		printf("realloc of freed block %p\n", p);
		fflush(stdout);
		hs_heap_free(p);
		hs_heap_realloc(p, size);
		break;
	case DOUBLE_OTHER_THREAD:
		printf("double free of %p\n", p);
		fflush(stdout);
		hs_heap_free(p);
		free_elsewhere(p);
		break;
	case DOUBLE_AFTER_OTHER_THREAD:
		printf("double free of %p\n", p);
		fflush(stdout);
		free_elsewhere(p);
		hs_heap_free(p);
		break;
	case DOUBLE_REMOTE_TWICE:
		printf("double free of %p\n", p);
		fflush(stdout);
		free_elsewhere(p);
		free_elsewhere(p);
		break;
	case NR_KINDS:
		break;
	}
}

static void run_child(int out, int err, enum kind kind, size_t size)
{
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	heap_test_init();
	misuse(kind, size, hs_heap_malloc(size));
	_exit(9);
}

static void read_all(int fd, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size - 1 &&
	       (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += (size_t)n;
	buf[have] = '\0';
	close(fd);
}

START_TEST(one_line_and_abort)
{
	enum kind kind = _i % NR_KINDS;
	size_t size = sizes[_i / NR_KINDS];
	char want[256], got[512], line[300];
	int out[2], err[2], status;
	pid_t pid;

	ck_assert(pipe(out) == 0 && pipe(err) == 0);
	pid = fork();
	if (pid == 0)
		run_child(out[1], err[1], kind, size);
	close(out[1]);
	close(err[1]);
	read_all(out[0], want, sizeof(want));
	read_all(err[0], got, sizeof(got));
	waitpid(pid, &status, 0);
	snprintf(line, sizeof(line), "libhugeshim: %s", want);
	ck_assert_msg(strcmp(got, line) == 0, "kind %d, size %zu: %s, not %s",
		      kind, size, got, line);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
		      "kind %d, size %zu: status %x", kind, size, status);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, one_line_and_abort, 0,
			    NR_KINDS * HS_ARRAY_SIZE(sizes));
}

int main(void)
{
	return unit_main("heap_misuse", add);
}
