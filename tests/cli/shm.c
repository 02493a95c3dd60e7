/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shm BYTES: a System V segment of so many bytes, by a key and then private:
 * what POSIX says of it, "page KIB", the kernel's page size in it, and whether
 * it can be attached at any page's address.  Exit status: the number of what
 * does not hold.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static int id = -1;

/* The number is enough for who reads the source. */
static void check(int ok, int number)
{
	if (ok)
		return;
	fprintf(stderr, "shm: check %d, errno %d\n", number, errno);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	exit(number);
}

/* KernelPageSize of the mapping that begins at @p. */
static long page_of(const void *p)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	char line[512];
	long kib = -1;
	int here = 0;

	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from == (unsigned long)p;
		if (here && !strncmp(line, "KernelPageSize:", 15))
			kib = strtol(line + 15, NULL, 10);
	}
	fclose(file);
	return kib;
}

static size_t asked_size(void)
{
	struct shmid_ds segment;

	check(shmctl(id, IPC_STAT, &segment) == 0, 1);
	check(segment.shm_nattch == 0, 2);
	check((segment.shm_perm.mode & 0777) == 0600, 3);
	return segment.shm_segsz;
}

/* What one process writes the other reads, to the last byte. */
static void share(char *p, size_t size)
{
	int status;
	pid_t pid;
	size_t i;

	for (i = 0; i < size; i++)
		check(p[i] == 0, 10);
	memset(p, 1, size);
	pid = fork();
	check(pid >= 0, 11);
	if (pid == 0) {
		for (i = 0; i < size; i++)
			if (p[i] != 1)
				_exit(1);
		p[size - 1] = 2;
		_exit(shmdt(p) ? 2 : 0);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0, 12);
	check(p[size - 1] == 2, 13);
}

/* Where a huge page cannot be: the one thing that a program could notice. */
static void attach_odd(char *p)
{
	char *odd = p - (64 << 20) + getpagesize(), *q = shmat(id, odd, 0);

	printf("odd address %s\n", q == odd ? "taken" : "refused");
	check(q == odd ? shmdt(q) == 0 : errno == EINVAL, 14);
}

static void use(size_t size)
{
	char *p, *q;

	check(asked_size() == size, 20);
	p = shmat(id, NULL, 0);
	check(p != (void *)-1, 21);
	share(p, size);
	printf("page %ld\n", page_of(p));
	q = shmat(id, NULL, SHM_RDONLY);
	check(q != (void *)-1 && q != p && q[size - 1] == 2, 22);
	check(shmdt(q) == 0 && shmdt(p) == 0, 23);
	errno = 0;
	check(shmdt(p) == -1 && errno == EINVAL, 24);
	/* Where it was, by an address. */
	q = shmat(id, p, 0);
	check(q == p && q[0] == 1, 25);
	errno = 0;
	check(shmat(id, p, 0) == (void *)-1 && errno == EINVAL, 26);
	check(shmat(id, p, SHM_REMAP) == p && p[size - 1] == 2, 27);
	check(shmdt(p) == 0 && asked_size() == size, 28);
	attach_odd(p);
}

static void by_key(key_t key, size_t size)
{
	errno = 0;
	check(shmget(key, size, 0600) == -1 && errno == ENOENT, 30);
	errno = 0;
	id = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600);
	check(id >= 0 && errno == 0, 31);
	check(shmget(key, size, IPC_CREAT | IPC_EXCL | 0600) == -1 &&
		      errno == EEXIST,
	      32);
	check(shmget(key, size, IPC_CREAT | 0600) == id, 33);
	check(shmget(key, size - 1, 0600) == id && shmget(key, 0, 0) == id, 34);
	check(shmget(key, size + 1, IPC_CREAT | 0600) == -1 && errno == EINVAL,
	      35);
	use(size);
	check(shmctl(id, IPC_RMID, NULL) == 0, 36);
	check(shmget(key, size, 0600) == -1 && errno == ENOENT, 37);
	id = shmget(key, size, IPC_CREAT | 0600);
	check(id >= 0 && asked_size() == size, 38);
	check(shmctl(id, IPC_RMID, NULL) == 0, 39);
	id = -1;
}

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	key_t key = (key_t)(0x48530000 | (getpid() & 0xffff));

	if (size == 0)
		return 99;
	by_key(key, size);
	id = shmget(IPC_PRIVATE, size, 0600);
	check(id >= 0, 40);
	use(size);
	check(shmctl(id, IPC_RMID, NULL) == 0, 41);
	return 0;
}
