/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libhugeshim(7) says of a program's own mappings: which are on huge
 * pages, which are not, and what turns a huge page into base pages.
 * "mappings shim" or "mappings bare" says which side is expected; bare, every
 * page is a base page, and all else must be the same.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "tests/lib/hs_test.h"

#ifndef MAP_32BIT
#define MAP_32BIT MAP_STACK
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define HUGE (2 * MIB)
#define PAGE (4 * KIB)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define NR 4 /* slots of most mappings here */

static bool shim;

static char *map_at(void *addr, size_t len, int prot, int flags)
{
	char *p = mmap(addr, len, prot, flags, -1, 0);

	HS_T_CHECK(p != MAP_FAILED, "%zu bytes, flags %x", len, flags);
	return p;
}

static char *map(size_t len)
{
	return map_at(NULL, len, RW, ANON);
}

/* A byte in each base page; what it is depends on where it is. */
static void fill(char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += PAGE)
		p[i] = (char)(1 + i / PAGE % 100);
}

static void holds(const char *p, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to; i += PAGE)
		HS_T_CHECK(p[i] == (char)(1 + i / PAGE % 100), "at %zx: %d", i,
			   p[i]);
}

static void is_zero(const char *p, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to; i += PAGE)
		HS_T_CHECK(p[i] == 0, "at %zx: %d", i, p[i]);
}

/* What smaps says of the mapping that holds @p: its line of the @name, or its
 * first with an empty one; "" when nothing is mapped there. */
static const char *smaps(const void *p, const char *name)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	bool here = false, found = false;
	static char line[256];
	unsigned long from, to;

	HS_T_CHECK(file != NULL);
	while (!found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			here = from <= (unsigned long)p &&
			       (unsigned long)p < to;
			found = here && *name == '\0';
		} else {
			found = here && !strncmp(line, name, strlen(name));
		}
	}
	fclose(file);
	return found ? line + strlen(name) : "";
}

static size_t page_size(const void *p)
{
	return strtoul(smaps(p, "KernelPageSize:"), NULL, 10) * KIB;
}

/* "h" for a slot on a huge page, "b" for base pages, "-" for none, from @p on;
 * bare there is no huge page. */
static void expect(const char *p, const char *want, const char *what)
{
	size_t i, size;

	for (i = 0; want[i] != '\0'; i++) {
		size = page_size(p + i * HUGE);
		if (want[i] == 'h' && shim)
			HS_T_CHECK(size == HUGE, "%s: slot %zu", what, i);
		else
			HS_T_CHECK(size == (want[i] == '-' ? 0 : PAGE),
				   "%s: slot %zu: %zu", what, i, size);
	}
}

/* --- what is backed ------------------------------------------------------- */

/* Reserved by one call, and its last two slots made writable. */
static void reserved(size_t len, const char *want)
{
	char *p = map_at(NULL, len, PROT_NONE, ANON | MAP_NORESERVE);
	char *q = (char *)((uintptr_t)(p + len) & ~(HUGE - 1)) - 2 * HUGE;

	HS_T_CHECK(mprotect(q, 2 * HUGE, RW) == 0);
	expect(q, want, "the end of what was reserved");
	munmap(p, len);
}

static void backed(void)
{
	static const int flags[] = { ANON, ANON | MAP_NORESERVE,
				     ANON | MAP_POPULATE };
	char *p, *q;
	size_t i;

	for (i = 0; i < 3; i++) {
		p = map_at(NULL, NR * HUGE + 3 * PAGE, RW, flags[i]);
		HS_T_CHECK(!shim || (uintptr_t)p % HUGE == 0);
		fill(p, NR * HUGE + 3 * PAGE);
		expect(p, "hhhhb", "a whole mapping and its end");
		holds(p, 0, NR * HUGE + 3 * PAGE);
		munmap(p, NR * HUGE + 3 * PAGE);
	}
	/* Where the program wants it: the whole slots in it. */
	p = map_at(NULL, 8 * HUGE, PROT_NONE, ANON);
	q = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	map_at(q + PAGE, 3 * HUGE, RW, ANON | MAP_FIXED);
	expect(q, "bhhb", "MAP_FIXED");
	HS_T_CHECK(mprotect(q + 4 * HUGE, 2 * HUGE, RW) == 0);
	fill(q + 4 * HUGE, 2 * HUGE);
	expect(q + 4 * HUGE, "hhb", "PROT_NONE made writable");
	munmap(p, 8 * HUGE);
	reserved((size_t)64 << 30, "hh");
	reserved(((size_t)64 << 30) + PAGE, "bb");
	p = map_at((void *)(8UL << 40), 2 * HUGE, RW, ANON);
	HS_T_CHECK(p == (char *)(8UL << 40));
	expect(p, "hh", "a hint");
	munmap(p, 2 * HUGE);
	/* By number. */
	p = (char *)syscall(SYS_mmap, NULL, NR * HUGE, RW, ANON, -1, 0);
	expect(p, "hhhh", "syscall()");
	munmap(p, NR * HUGE);
}

static void not_backed(void)
{
	static const struct {
		const char *what;
		int prot, flags;
	} cases[] = {
		{ "shared", RW, MAP_SHARED | MAP_ANONYMOUS },
		{ "stack", RW, ANON | MAP_STACK },
		{ "growing", RW, ANON | MAP_GROWSDOWN },
		{ "low", RW, ANON | MAP_32BIT },
		{ "locked", RW, ANON | MAP_LOCKED },
		{ "code", RW | PROT_EXEC, ANON },
		{ "read-only", PROT_READ, ANON },
		{ "nothing", PROT_NONE, ANON },
	};
	char *p;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = map_at(NULL, NR * HUGE, cases[i].prot, cases[i].flags);
		expect(p, "bbbb", cases[i].what);
		munmap(p, NR * HUGE);
	}
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	p = mmap(NULL, NR * HUGE, RW, MAP_PRIVATE, fd, 0);
	HS_T_CHECK(fd >= 0 && p != MAP_FAILED);
	expect(p, "bbbb", "a file");
	munmap(p, NR * HUGE);
	close(fd);
	p = map(HUGE - PAGE);
	expect(p, "b", "less than a huge page");
	munmap(p, HUGE - PAGE);
}

/* --- what turns it into base pages ---------------------------------------- */

typedef void change(char *p);

/* The change is to slot 1 of four; what is left of the contents is there. */
static void after(const char *what, change *change, const char *want,
		  bool (*kept)(size_t at))
{
	char *p = map(NR * HUGE);
	size_t i;

	fill(p, NR * HUGE);
	change(p + HUGE);
	expect(p, want, what);
	for (i = 0; i < NR * HUGE; i += PAGE)
		if (!kept || kept(i))
			holds(p, i, i + PAGE);
	munmap(p, NR * HUGE);
}

static bool not_the_page(size_t at)
{
	return at != HUGE;
}

static bool not_the_slot(size_t at)
{
	return at < HUGE || at >= 2 * HUGE;
}

#define CHANGE(name, call)                                                     \
	static void name(char *p)                                              \
	{                                                                      \
		HS_T_CHECK((call) == 0);                                       \
	}

CHANGE(unmap_page, munmap(p, PAGE))
CHANGE(unmap_slot, munmap(p, HUGE))
CHANGE(protect_page, mprotect(p, PAGE, PROT_READ))
CHANGE(protect_slot, mprotect(p, HUGE, PROT_READ))
CHANGE(protect_none, mprotect(p, HUGE, PROT_NONE))
CHANGE(make_code, mprotect(p, HUGE, PROT_READ | PROT_EXEC))
CHANGE(dontfork, madvise(p, HUGE, MADV_DONTFORK))
CHANGE(wipeonfork, madvise(p, HUGE, MADV_WIPEONFORK))
CHANGE(nohugepage, madvise(p, HUGE, MADV_NOHUGEPAGE) && errno != EINVAL)
CHANGE(dontdump, madvise(p, HUGE, MADV_DONTDUMP))
CHANGE(dontdump_page, madvise(p, PAGE, MADV_DONTDUMP))
CHANGE(cold, madvise(p, HUGE, MADV_COLD))
CHANGE(pageout, madvise(p, PAGE, MADV_PAGEOUT))
CHANGE(lock, mlock(p, HUGE))
CHANGE(bind, syscall(SYS_mbind, p, HUGE, 0, NULL, 0, 0) != 0 && errno != ENOSYS)

static void map_over(char *p)
{
	map_at(p, PAGE, RW, ANON | MAP_FIXED);
}

static void move_out(char *p)
{
	char *q = map_at(NULL, PAGE, RW, ANON);

	HS_T_CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) ==
		   q);
	munmap(q, PAGE);
}

/* Sealed, or ENOSYS; what is sealed stays as it is. */
static void seal(char *p)
{
	if (syscall(SYS_mseal, p, PAGE, 0) != 0) {
		HS_T_CHECK(errno == ENOSYS);
		return;
	}
	HS_T_CHECK(munmap(p, HUGE) == -1 && errno == EPERM);
	HS_T_CHECK(mprotect(p, PAGE, PROT_READ) == -1 && errno == EPERM);
	HS_T_CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
}

static void attach(char *p)
{
	int id = shmget(IPC_PRIVATE, HUGE - 2 * PAGE, 0600);

	HS_T_CHECK(id >= 0);
	HS_T_CHECK(shmat(id, p, 0) == (void *)-1 && errno == EINVAL);
	HS_T_CHECK(shmat(id, p, SHM_REMAP) == p);
	HS_T_CHECK(shmctl(id, IPC_RMID, NULL) == 0);
	is_zero(p, 0, HUGE - 2 * PAGE);
	memset(p, 7, HUGE - 2 * PAGE);
}

static bool not_attached(size_t at)
{
	return at < HUGE || at >= 2 * HUGE - 2 * PAGE;
}

/* In the place of the slot, a stack that grows into what is left of it. */
static void grow_down(char *p)
{
	char *top = p + HUGE, *at = top - 16 * PAGE;

	HS_T_CHECK(munmap(p, HUGE) == 0);
	map_at(at, 16 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN);
	for (; at >= top - 64 * PAGE; at -= PAGE)
		*at = 1;
	is_zero(top - 64 * PAGE, 1, PAGE);
}

static void changed(void)
{
	after("munmap of a page", unmap_page, "h-hh", not_the_page);
	after("munmap", unmap_slot, "h-hh", not_the_slot);
	after("mprotect of a page", protect_page, "hbhh", NULL);
	after("mprotect", protect_slot, "hhhh", NULL);
	after("PROT_NONE", protect_none, "hhhh", not_the_slot);
	after("PROT_EXEC", make_code, "hbhh", NULL);
	after("MADV_DONTFORK", dontfork, "hbhh", NULL);
	after("MADV_WIPEONFORK", wipeonfork, "hbhh", NULL);
	after("MADV_NOHUGEPAGE", nohugepage, "hbhh", NULL);
	after("MADV_DONTDUMP", dontdump, "hhhh", NULL);
	after("MADV_DONTDUMP of a page", dontdump_page, "hbhh", NULL);
	after("MADV_COLD", cold, "hhhh", NULL);
	after("MADV_PAGEOUT", pageout, "hhhh", NULL);
	after("mlock", lock, "hbhh", NULL);
	after("mbind", bind, "hbhh", NULL);
	after("MAP_FIXED", map_over, "hbhh", not_the_page);
	after("mremap of a page", move_out, "h-hh", not_the_page);
	after("mseal of a page", seal, "hbhh", NULL);
	after("shmat", attach, "hbhh", not_attached);
	after("MAP_GROWSDOWN", grow_down, "h-hh", not_the_slot);
}

/* Base pages take over protection and what core dumps leave out. */
static void attributes(void)
{
	char *p = map(2 * HUGE);

	fill(p, 2 * HUGE);
	HS_T_CHECK(mprotect(p, HUGE, PROT_READ) == 0);
	HS_T_CHECK(madvise(p + HUGE, HUGE, MADV_DONTDUMP) == 0);
	HS_T_CHECK(munmap(p + PAGE, PAGE) == 0);
	HS_T_CHECK(munmap(p + HUGE + PAGE, PAGE) == 0);
	expect(p, "bb", "two slots with a hole each");
	HS_T_CHECK(strstr(smaps(p, ""), " r--p ") != NULL);
	HS_T_CHECK(strstr(smaps(p + HUGE, ""), " rw-p ") != NULL);
	HS_T_CHECK(strstr(smaps(p, "VmFlags:"), " dd") == NULL);
	HS_T_CHECK(strstr(smaps(p + HUGE, "VmFlags:"), " dd") != NULL);
	munmap(p, 2 * HUGE);
}

/* A mapping over memory below the program break, which then goes back to the
 * middle of one of its slots and comes again. */
static void at_the_break(void)
{
	char *start = sbrk(8 * HUGE), *p;

	HS_T_CHECK(start != (char *)-1);
	p = (char *)(((uintptr_t)start + HUGE - 1) & ~(HUGE - 1));
	map_at(p, 4 * HUGE, RW, ANON | MAP_FIXED);
	fill(p, 4 * HUGE);
	expect(p, "hhhh", "over what the break made");
	HS_T_CHECK(brk(p + 3 * HUGE + PAGE) == 0);
	holds(p, 0, 3 * HUGE + PAGE);
	HS_T_CHECK(sbrk(-(intptr_t)(HUGE + 2 * PAGE)) == p + 3 * HUGE + PAGE);
	holds(p, 0, 2 * HUGE - PAGE);
	expect(p, "hb-", "below the break");
	HS_T_CHECK(sbrk(2 * HUGE) == p + 2 * HUGE - PAGE);
	is_zero(p, 2 * HUGE - PAGE, 4 * HUGE - PAGE);
	HS_T_CHECK(brk(start) == 0);
}

/* --- contents that go ----------------------------------------------------- */

static void emptied(void)
{
	char *p = map(NR * HUGE);

	fill(p, NR * HUGE);
	HS_T_CHECK(madvise(p + PAGE, HUGE, MADV_DONTNEED) == 0);
	expect(p, "hhhh", "MADV_DONTNEED");
	holds(p, 0, PAGE);
	is_zero(p, PAGE, HUGE + PAGE);
	holds(p, HUGE + PAGE, NR * HUGE);
	HS_T_CHECK(madvise(p, 2 * HUGE, MADV_DONTNEED) == 0);
	is_zero(p, 0, 2 * HUGE);
	expect(p, "hhhh", "MADV_DONTNEED of two");
	HS_T_CHECK(madvise(p + 2 * HUGE, HUGE, MADV_FREE) == 0);
	expect(p, "hhhh", "MADV_FREE");
	munmap(p, NR * HUGE);
}

/* --- moving and growing --------------------------------------------------- */

static void moved(void)
{
	char *p = map(NR * HUGE), *q;

	fill(p, NR * HUGE);
	p = mremap(p, NR * HUGE, 2 * NR * HUGE, MREMAP_MAYMOVE);
	HS_T_CHECK(p != MAP_FAILED);
	fill(p + NR * HUGE, NR * HUGE);
	expect(p, "hhhhhhhh", "growing");
	holds(p, 0, NR * HUGE);
	p = mremap(p, 2 * NR * HUGE, 2 * HUGE - PAGE, 0);
	HS_T_CHECK(p != MAP_FAILED);
	holds(p, 0, 2 * HUGE - PAGE);
	expect(p, "hb--", "shrinking");
	munmap(p, 2 * HUGE - PAGE);

	p = map(NR * HUGE);
	fill(p, NR * HUGE);
	q = map_at(NULL, (NR + 1) * HUGE, PROT_NONE, ANON);
	q = (char *)(((uintptr_t)q + HUGE - 1) & ~(HUGE - 1));
	HS_T_CHECK(mremap(p, NR * HUGE, NR * HUGE,
			  MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	holds(q, 0, NR * HUGE);
	expect(q, "hhhh", "moving to a slot");
	expect(p, "----", "moving from");
	HS_T_CHECK(mremap(q, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			  p + PAGE) == p + PAGE);
	expect(p + PAGE, "b-", "moving to where no slot begins");
	munmap(p + PAGE, HUGE);
	munmap(q, NR * HUGE);
}

/* --- processes that limit themselves -------------------------------------- */

static void limited(void)
{
	struct rlimit limit;
	char *p = map(HUGE), *q;

	fill(p, HUGE);
	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = (rlim_t)1 << 40;
	HS_T_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	q = map(NR * HUGE);
	expect(p, "h", "mapped before the limit");
	expect(q, "bbbb", "mapped with a limit");
	holds(p, 0, HUGE);
	munmap(p, HUGE);
	munmap(q, NR * HUGE);
}

int main(int argc, char **argv)
{
	shim = argc > 1 && !strcmp(argv[1], "shim");
	backed();
	not_backed();
	changed();
	attributes();
	at_the_break();
	emptied();
	moved();
	limited();
	return 0;
}
