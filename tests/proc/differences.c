/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The differences that libhugeshim(7) lists as impossible to hide, each still
 * true: "differences bare" or "differences shim" says which side is expected.
 * If one no longer holds, the page has to change.
 */
#include <limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/lib/hs_test.h"

#define MIB ((size_t)1 << 20)
#define BLOCK (64 * 1024)
#define NR_BLOCKS 512 /* 32 MiB */
#define LARGE (16 * MIB)
#define HUGE (2 * MIB)

static bool shim;
static char *blocks[NR_BLOCKS];

/* A field of a file in /proc, in KiB; -1 when it is not there. */
static long field(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[256];
	long value = -1;

	HS_T_CHECK(file != NULL, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name), NULL, 10);
	fclose(file);
	return value;
}

static long status(const char *name)
{
	return field("/proc/self/status", name);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* "leave out huge pages"; "counts fewer page faults"; "sbrk does not move" */
static void fill_the_heap(void)
{
	long rss = status("VmRSS:"), faults = minor_faults();
	char *end = sbrk(0);
	int i;

	for (i = 0; i < NR_BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		HS_T_CHECK(blocks[i] != NULL);
		memset(blocks[i], i, BLOCK);
	}
	faults = minor_faults() - faults;
	rss = status("VmRSS:") - rss;
	if (shim) {
		HS_T_CHECK(rss < 8 * 1024, "VmRSS grew by %ld kB", rss);
		HS_T_CHECK(status("HugetlbPages:") >= 28 * 1024);
		HS_T_CHECK(faults < 2000, "%ld faults", faults);
		HS_T_CHECK(end == sbrk(0));
	} else {
		HS_T_CHECK(rss >= 30 * 1024, "VmRSS grew by %ld kB", rss);
		HS_T_CHECK(faults >= 8000, "%ld faults", faults);
		HS_T_CHECK(end != sbrk(0));
	}
}

/* "VmSize includes the address space that the heap is laid out in" */
static void address_space(void)
{
	long total = field("/proc/meminfo", "MemTotal:");

	HS_T_CHECK((status("VmSize:") > total) == shim,
		   "VmSize %ld, memory %ld", status("VmSize:"), total);
}

/* "mincore shows whole huge pages as present": also what nobody touched. */
static void residency(void)
{
	static unsigned char present[LARGE / 4096];
	size_t i, nr = 0;
	char *p = malloc(LARGE);

	HS_T_CHECK(p != NULL);
	p = (char *)(((uintptr_t)p + 4095) & ~(uintptr_t)4095);
	HS_T_CHECK(mincore(p, LARGE - 4096, present) == 0);
	for (i = 0; i < (LARGE - 4096) / 4096; i++)
		nr += present[i] & 1;
	if (shim)
		HS_T_CHECK(nr == (LARGE - 4096) / 4096, "%zu present", nr);
	else
		HS_T_CHECK(nr < 16, "%zu present", nr);
}

static size_t nr_present(char *p, size_t len)
{
	static unsigned char present[LARGE / 4096];
	size_t i, nr = 0;

	HS_T_CHECK(len <= LARGE && mincore(p, len, present) == 0);
	for (i = 0; i < len / 4096; i++)
		nr += present[i] & 1;
	return nr;
}

static size_t nr_lines(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	char line[256];
	size_t nr = 0;

	HS_T_CHECK(file != NULL);
	while (fgets(line, sizeof(line), file))
		nr += strstr(line, text) != NULL;
	fclose(file);
	return nr;
}

static char *map(int flags)
{
	char *p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	HS_T_CHECK(p != MAP_FAILED);
	return p;
}

/* The same of mappings; "has their pages at once"; "a read takes a page";
 * "several lines, with a name". */
static void mappings(void)
{
	long rss;
	char *p = map(0), *q = map(MAP_NORESERVE), *r = map(MAP_NORESERVE);
	size_t i;

	HS_T_CHECK(nr_present(p, LARGE) == (shim ? LARGE / 4096 : 0));
	HS_T_CHECK(nr_present(q, LARGE) == 0);
	q[5] = 1;
	HS_T_CHECK(nr_present(q, LARGE) == (shim ? HUGE / 4096 : 1));
	HS_T_CHECK((nr_lines("/proc/self/maps", "/anon_hugepage") != 0) ==
		   shim);
	rss = status("HugetlbPages:");
	for (i = 0; i < LARGE; i += HUGE)
		HS_T_CHECK(*(volatile char *)(r + i) == 0);
	rss = status("HugetlbPages:") - rss;
	HS_T_CHECK(rss == (shim ? (long)LARGE / 1024 : 0), "%ld kB", rss);
	HS_T_CHECK(munmap(p, LARGE) == 0);
	HS_T_CHECK(munmap(q, LARGE) == 0);
	HS_T_CHECK(munmap(r, LARGE) == 0);
}

/* "may succeed": advice keeps a part of the mapping apart from the rest. */
static void resized(void)
{
	char *p = map(0), *q;

	HS_T_CHECK(madvise(p + LARGE / 2, LARGE / 4, MADV_DONTDUMP) == 0);
	q = mremap(p, LARGE, 2 * LARGE, MREMAP_MAYMOVE);
	if (!shim)
		HS_T_CHECK(q == MAP_FAILED && errno == EFAULT);
	else
		HS_T_CHECK(q != MAP_FAILED);
	HS_T_CHECK(munmap(shim ? q : p, shim ? 2 * LARGE : LARGE) == 0);
}

/* "VmLck" after mlockall() does not count huge pages; "is not refused". */
static void locked(void)
{
	char *p = map(MAP_POPULATE);
	int ret;

	HS_T_CHECK(mlockall(MCL_CURRENT) == 0);
	HS_T_CHECK((status("VmLck:") < (long)LARGE / 1024) == shim,
		   "VmLck %ld", status("VmLck:"));
	ret = madvise(p + LARGE / 2, HUGE, MADV_DONTNEED);
	HS_T_CHECK(shim ? ret == 0 : ret == -1 && errno == EINVAL);
	HS_T_CHECK(munlockall() == 0);
	HS_T_CHECK(munmap(p, LARGE) == 0);
}

/* Is the page mapped by this process alone? */
static bool is_mine(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	HS_T_CHECK(fd >= 0);
	HS_T_CHECK(pread(fd, &entry, sizeof(entry),
			 (off_t)((uintptr_t)p / 4096 * sizeof(entry))) ==
		   sizeof(entry));
	close(fd);
	return entry >> 56 & 1;
}

/* "The first write after a fork copies 2 MiB": also what is far from it. */
static void copies(void)
{
	char *p = aligned_alloc(HUGE, HUGE), byte;
	int hold[2];
	pid_t pid;

	HS_T_CHECK(p != NULL && pipe(hold) == 0);
	memset(p, 1, HUGE);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		close(hold[1]);
		HS_T_CHILD(read(hold[0], &byte, 1) == 0, 1);
		_exit(0);
	}
	HS_T_CHECK(!is_mine(p + HUGE / 2));
	*(volatile char *)p = 2;
	HS_T_CHECK(is_mine(p));
	HS_T_CHECK(is_mine(p + HUGE / 2) == shim);
	close(hold[0]);
	close(hold[1]);
	HS_T_WAIT_OK(pid);
}

int main(int argc, char **argv)
{
	shim = argc > 1 && !strcmp(argv[1], "shim");
	/* Base pages are base pages, whatever the machine's setting. */
	if (!shim)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	fill_the_heap();
	address_space();
	residency();
	mappings();
	copies();
	resized();
	locked();
	return 0;
}
