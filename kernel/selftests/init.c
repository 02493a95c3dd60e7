// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's init: mounts, makes the pool, runs the programs that the command
 * line names (run=a,b,c), looks through the kernel's log for trouble, and ends
 * the machine.  Passed means both: the line "guest: NONCE passed", with the
 * nonce of the command line, and the exit status that leave() makes.  A machine
 * that stops in any other way gives neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

#define DEBUG_EXIT 0xf4
#define KMEMLEAK "/sys/kernel/debug/kmemleak"

static char nonce[64] = "?", programs[1024], pool[32] = "128";

/* QEMU's isa-debug-exit ends it with status 2 * code + 1. */
static void leave(int passed)
{
	fflush(NULL);
	/* The end does not wait for the console. */
	tcdrain(STDOUT_FILENO);
	if (iopl(3)) {
		perror("guest: iopl");
		for (;;)
			pause();
	}
	outb(passed ? 0x10 : 0x20, DEBUG_EXIT);
	for (;;)
		pause();
}

static void mount_all(void)
{
	static const struct {
		const char *what, *where, *type, *options;
	} mounts[] = {
		{ "proc", "/proc", "proc", NULL },
		{ "sysfs", "/sys", "sysfs", NULL },
		{ "devtmpfs", "/dev", "devtmpfs", NULL },
		{ "tmpfs", "/tmp", "tmpfs", NULL },
		{ "hugetlbfs", "/huge", "hugetlbfs", NULL },
		{ "cgroup2", "/cgroup", "cgroup2", NULL },
		{ "debugfs", "/sys/kernel/debug", "debugfs", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].where, 0755);
		if (mount(mounts[i].what, mounts[i].where, mounts[i].type, 0,
			  mounts[i].options))
			printf("guest: no %s: %s\n", mounts[i].what,
			       strerror(errno));
	}
	mkdir("/dev/shm", 0755);
	mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
}

static void take_option(const char *word, const char *name, char *to,
			size_t size)
{
	size_t length = strlen(name);

	if (!strncmp(word, name, length))
		snprintf(to, size, "%s", word + length);
}

static void read_options(void)
{
	char line[2048] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (!f || !fgets(line, sizeof(line), f))
		return;
	fclose(f);
	for (char *word = strtok(line, " \n"); word;
	     word = strtok(NULL, " \n")) {
		take_option(word, "nonce=", nonce, sizeof(nonce));
		take_option(word, "run=", programs, sizeof(programs));
		take_option(word, "pool=", pool, sizeof(pool));
	}
}

/* NAME or NAME:ARGUMENT:ARGUMENT... */
static int run_program(char *command)
{
	char path[128], *argv[16], *word;
	int argc = 0, status;
	pid_t pid;

	for (word = strtok(command, ":"); word && argc < 15;
	     word = strtok(NULL, ":"))
		argv[argc++] = word;
	argv[argc] = NULL;
	if (!argc)
		return -1;
	snprintf(path, sizeof(path), "/test/%s", argv[0]);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(STDOUT_FILENO, STDERR_FILENO);
		execv(path, argv);
		printf("guest: %s: %s\n", path, strerror(errno));
		fflush(stdout);
		_exit(127);
	}
	/* Orphans of the tests are ours, too. */
	for (;;) {
		pid_t done = wait(&status);

		if (done == pid)
			return status;
		if (done < 0 && errno != EINTR)
			return -1;
	}
}

static int run_programs(void)
{
	char *next = programs, *one;
	int failed = 0;

	while ((one = strsep(&next, ",")) != NULL) {
		char name[256];
		int status;

		snprintf(name, sizeof(name), "%s", one);
		printf("guest: running %s\n", name);
		status = run_program(one);
		if (!WIFEXITED(status))
			printf("guest: %s ended by signal %d\n", name,
			       WTERMSIG(status));
		else
			printf("guest: %s ended with status %d\n", name,
			       WEXITSTATUS(status));
		failed += status != 0;
	}
	return failed;
}

/* What the kernel says when something is wrong with it. */
static int is_trouble(const char *line)
{
	static const char *const signs[] = {
		"WARNING:", "BUG:", "BUG at", "Oops", "KASAN", "UBSAN",
		"Bad page", "bad pmd", "bad pud", "bad pgd", "Bad rss",
		"kmemleak:", "INFO:", "general protection", "Kernel panic",
		"page dumped", "corruption", "refcount_t", "list_add",
		"list_del", "scheduling while", "sleeping function",
		"possible recursive", "circular locking", "inconsistent lock",
		"suspicious RCU", "ODEBUG", "detected stall", "VM_BUG",
		"use-after-free in", "out-of-bounds in",
	};

	/* Says that it is there. */
	if (strstr(line, "kmemleak: Kernel memory leak detector init") ||
	    strstr(line, "kmemleak: Automatic memory scanning"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (strstr(line, signs[i]))
			return 1;
	}
	return 0;
}

static int look_through_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), trouble = 0;
	char record[8192];
	ssize_t n;

	if (fd < 0) {
		perror("guest: /dev/kmsg");
		return 1;
	}
	for (;;) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE) {
			printf("guest: messages were lost\n");
			trouble++;
			continue;
		}
		if (n <= 0)
			break;
		record[n] = '\0';
		if (is_trouble(record)) {
			printf("guest: trouble: %s", record);
			trouble++;
		}
	}
	close(fd);
	return trouble;
}

/* Twice: what a first scan finds may be on its way. */
static int look_for_leaks(void)
{
	static const char path[] = KMEMLEAK;
	char text[4096];
	ssize_t n = 0;
	int fd;

	if (access(path, F_OK))
		return 0;
	put(path, "scan");
	put(path, "scan");
	fd = open(path, O_RDONLY);
	if (fd >= 0)
		n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	printf("guest: leak: %s\n", text);
	return 1;
}

int main(void)
{
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_all();
	read_options();
	/* Faults that tests make on purpose are no news. */
	put("/proc/sys/debug/exception-trace", "0");
	/*
	 * The kernel's own scan would wait for ours, and be a hung task where
	 * the host is slow.  Now, while its thread still sleeps.
	 */
	if (!access(KMEMLEAK, F_OK))
		put(KMEMLEAK, "scan=off");
	put("/proc/sys/vm/nr_hugepages", pool);
	if (field_of("/proc/meminfo", "HugePages_Total") >= 0 &&
	    field_of("/proc/meminfo", "HugePages_Total") != atol(pool)) {
		printf("guest: no pool of %s pages\n", pool);
		leave(0);
	}
	failed = run_programs();
	failed += look_for_leaks();
	failed += look_through_log();
	printf("guest: %s %s\n", nonce, failed ? "failed" : "passed");
	leave(!failed);
}
