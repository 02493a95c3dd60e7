/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blocks.c - every call of <hugealloc.h>, its errors and its promises, on a
 * pool of a size that is known: blocks CASE FREE-PAGES.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "hugealloc.h"
#include "tests/lib/hs_test.h"

#define MPOL_F_NODE 1
#define MPOL_F_ADDR 2

static size_t huge;  /* bytes */
static size_t pages; /* free in the pool */

static struct hugealloc_attr with(enum hugealloc_fallback fallback)
{
	struct hugealloc_attr attr = HUGEALLOC_ATTR_INIT;

	attr.fallback = fallback;
	return attr;
}

static struct hugealloc_stats stats(void)
{
	struct hugealloc_stats s = { .struct_size = sizeof(s) };

	HS_T_CHECK(hugealloc_stats(&s) == 0);
	return s;
}

static struct hugealloc_info query(const void *p, size_t len)
{
	struct hugealloc_info info;

	HS_T_CHECK(hugealloc_query(p, len, &info) == 0);
	HS_T_CHECK(info.hugetlb + info.thp + info.base + info.absent +
			   info.unmapped == len);
	return info;
}

static bool is_zero(const void *p, size_t len)
{
	const char *c = p;

	return c[0] == 0 && memcmp(c, c + 1, len - 1) == 0;
}

/* --- arguments ------------------------------------------------------------ */

#define WANT_ERRNO(call, failed, err)                                          \
	do {                                                                   \
		errno = 0;                                                     \
		HS_T_CHECK((call) == (failed));                                \
		HS_T_CHECK(errno == (err), "%s", strerror(err));               \
	} while (0)
#define REFUSED(size, attr) WANT_ERRNO(hugealloc(size, attr), NULL, EINVAL)

static void refused_attr(void)
{
	static const char *const bad_nodes[] = {
		"", "x", "0,", ",0", "0-", "1-0", "0 ", "99999", "0;1", "--1",
		"18446744073709551616"
	};
	struct hugealloc_attr attr = with(HUGEALLOC_PREFER);

	REFUSED(0, NULL);
	attr.struct_size = 0;
	REFUSED(huge, &attr);
	attr.struct_size = sizeof(attr) - 8;
	REFUSED(huge, &attr);
	attr.struct_size = (size_t)-1;
	REFUSED(huge, &attr);
	for (int fallback = -1; fallback <= 3; fallback += 4) {
		attr = with(fallback);
		REFUSED(huge, &attr);
	}
	attr = with(HUGEALLOC_TRY);
	attr.flags = 0x80;
	REFUSED(huge, &attr);
	attr = with(HUGEALLOC_TRY);
	attr.page_size = 12345;
	REFUSED(huge, &attr);
	for (int numa = -1; numa <= 5; numa += 6) {
		attr = with(HUGEALLOC_TRY);
		attr.numa = numa;
		REFUSED(huge, &attr);
	}
	attr = with(HUGEALLOC_TRY);
	attr.nodes = "0"; /* and no policy */
	REFUSED(huge, &attr);
	attr.numa = HUGEALLOC_NUMA_LOCAL;
	REFUSED(huge, &attr);
	attr.nodes = NULL;
	attr.numa = HUGEALLOC_NUMA_BIND;
	REFUSED(huge, &attr);
	for (size_t i = 0; i < sizeof(bad_nodes) / sizeof(bad_nodes[0]); i++) {
		attr.nodes = bad_nodes[i];
		REFUSED(huge, &attr);
	}
}

/* A struct of a later version: members that we do not know are 0. */
static void later_attr(void)
{
	struct {
		struct hugealloc_attr attr;
		uint64_t later;
	} more = { with(HUGEALLOC_PREFER), 0 };
	void *p;

	more.attr.struct_size = sizeof(more);
	p = hugealloc(100, &more.attr);
	HS_T_CHECK(p);
	HS_T_CHECK(hugealloc_free(p, 100) == 0);
	more.later = 1;
	REFUSED(100, &more.attr);
}

static void refused_sizes(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_PREFER);
	size_t sizes[16];
	int nr = hugealloc_page_sizes(sizes, 16);

	HS_T_CHECK(nr > 0 && hugealloc_page_sizes(NULL, 0) == nr);
	WANT_ERRNO(hugealloc_page_sizes(NULL, 1), -1, EINVAL);
	WANT_ERRNO(hugealloc_page_sizes(sizes, -1), -1, EINVAL);
	WANT_ERRNO(hugealloc(PTRDIFF_MAX, NULL), NULL, ENOMEM);
	WANT_ERRNO(hugealloc(SIZE_MAX, NULL), NULL, ENOMEM);
	for (int i = 0; i < nr; i++) {
		attr.page_size = sizes[i];
		if (sizes[i] != huge)
			WANT_ERRNO(hugealloc(1, &attr), NULL, EOPNOTSUPP);
	}
}

static void refused_blocks(void)
{
	struct hugealloc_info info;
	struct hugealloc_stats s = { .struct_size = 8 };
	char *p = hugealloc(huge + 1, NULL);

	HS_T_CHECK(p);
	WANT_ERRNO(hugealloc_free(p, huge), -1, EINVAL);
	WANT_ERRNO(hugealloc_free(p, 0), -1, EINVAL);
	WANT_ERRNO(hugealloc_free(p, 2 * huge), -1, EINVAL);
	WANT_ERRNO(hugealloc_free(p + huge, huge + 1), -1, EINVAL);
	WANT_ERRNO(hugealloc_free(&info, 1), -1, EINVAL);
	WANT_ERRNO(hugealloc_resize(p, huge, huge, 0), NULL, EINVAL);
	WANT_ERRNO(hugealloc_resize(p, huge + 1, 0, 0), NULL, EINVAL);
	WANT_ERRNO(hugealloc_resize(p, huge + 1, 1, 2), NULL, EINVAL);
	WANT_ERRNO(hugealloc_resize(NULL, 1, 1, 0), NULL, EINVAL);
	WANT_ERRNO(hugealloc_resize(p, huge + 1, SIZE_MAX, 1), NULL, ENOMEM);
	WANT_ERRNO(hugealloc_query(p, 0, &info), -1, EINVAL);
	WANT_ERRNO(hugealloc_query(p, 1, NULL), -1, EINVAL);
	WANT_ERRNO(hugealloc_query(p, SIZE_MAX, &info), -1, EINVAL);
	WANT_ERRNO(hugealloc_page_size((void *)8), -1, EFAULT);
	WANT_ERRNO(hugealloc_stats(NULL), -1, EINVAL);
	WANT_ERRNO(hugealloc_stats(&s), -1, EINVAL);
	HS_T_CHECK(is_zero(p, 2 * huge), "it is whole");
	errno = 42;
	HS_T_CHECK(hugealloc_free(p, huge + 1) == 0);
	HS_T_CHECK(hugealloc_free(NULL, 5) == 0 && errno == 42);
	WANT_ERRNO(hugealloc_free(p, huge + 1), -1, EINVAL);
}

static void case_arguments(void)
{
	refused_attr();
	later_attr();
	refused_sizes();
	refused_blocks();
	HS_T_CHECK(stats().blocks == 0);
}

/* --- blocks --------------------------------------------------------------- */

static void want_huge(const void *p, size_t len, size_t nr_huge)
{
	struct hugealloc_info info = query(p, len);

	HS_T_CHECK(info.hugetlb == nr_huge * huge, "%zu of %zu pages",
		   (size_t)info.hugetlb / huge, nr_huge);
	HS_T_CHECK(info.unmapped == 0);
	HS_T_CHECK(stats().huge_bytes == info.hugetlb);
}

static void case_basics(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	size_t size = 5 * huge + 1, len = 6 * huge;
	char *p;

	errno = 42;
	p = hugealloc(size, &attr);
	HS_T_CHECK(p && errno == 42 && (uintptr_t)p % huge == 0);
	HS_T_CHECK(is_zero(p, len));
	want_huge(p, len, 6);
	HS_T_CHECK(hugealloc_page_size(p + huge) == (long)huge);
	HS_T_CHECK(hugealloc_page_size(NULL) == (long)huge);
	HS_T_CHECK(hugealloc_page_size(&p) == sysconf(_SC_PAGESIZE));
	hs_t_fill(p, size, 1);
	p = hugealloc_resize(p, size, 9 * huge, HUGEALLOC_MAYMOVE);
	HS_T_CHECK(p && hs_t_verify(p, size, 1) < 0);
	HS_T_CHECK(is_zero(p + len, 3 * huge));
	want_huge(p, 9 * huge, 9);
	HS_T_CHECK(hugealloc_resize(p, 9 * huge, 2 * huge, 0) == p);
	HS_T_CHECK(hs_t_verify(p, 2 * huge, 1) < 0);
	want_huge(p, 2 * huge, 2);
	HS_T_CHECK(query(p, 9 * huge).unmapped == 7 * huge);
	HS_T_CHECK(stats().bytes == 2 * huge && stats().blocks == 1);
	HS_T_CHECK(hugealloc_free(p, 2 * huge) == 0);
	HS_T_CHECK(stats().blocks == 0 && stats().bytes == 0);
}

/* Something behind the block: it has to move, or to stay. */
static void case_moving(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	char *p, *q, *wall;

	for (unsigned flags = 0; flags <= HUGEALLOC_DONTFORK; flags++) {
		attr.flags = flags;
		p = hugealloc(3 * huge, &attr);
		HS_T_CHECK(p);
		hs_t_fill(p, 3 * huge, 7);
		wall = mmap(p + 3 * huge, 4096, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		HS_T_CHECK(wall != MAP_FAILED);
		if (wall != p + 3 * huge)
			munmap(wall, 4096);
		else
			WANT_ERRNO(hugealloc_resize(p, 3 * huge, 4 * huge, 0),
				   NULL, ENOMEM);
		q = hugealloc_resize(p, 3 * huge, 5 * huge, HUGEALLOC_MAYMOVE);
		HS_T_CHECK(q && hs_t_verify(q, 3 * huge, 7) < 0);
		HS_T_CHECK(is_zero(q + 3 * huge, 2 * huge));
		want_huge(q, 5 * huge, 5);
		/* What has been several mappings moves once more. */
		wall = mmap(q + 5 * huge, 4096, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		p = hugealloc_resize(q, 5 * huge, 8 * huge, HUGEALLOC_MAYMOVE);
		HS_T_CHECK(p && hs_t_verify(p, 3 * huge, 7) < 0);
		want_huge(p, 8 * huge, 8);
		munmap(wall, 4096);
		HS_T_CHECK(hugealloc_free(p, 8 * huge) == 0);
	}
}

static void case_base(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	char *p;

	attr.page_size = (size_t)sysconf(_SC_PAGESIZE);
	p = hugealloc(3 * huge, &attr);
	HS_T_CHECK(p && is_zero(p, 3 * huge));
	want_huge(p, 3 * huge, 0);
	hs_t_fill(p, 3 * huge, 3);
	p = hugealloc_resize(p, 3 * huge, 4 * huge, HUGEALLOC_MAYMOVE);
	HS_T_CHECK(p && hs_t_verify(p, 3 * huge, 3) < 0);
	HS_T_CHECK(hugealloc_free(p, 4 * huge) == 0);
}

/* More than there is, by each fallback; nothing is taken that is not used. */
static void case_shortage(void)
{
	size_t size = (pages + 8) * huge;

	for (unsigned flags = 0; flags <= HUGEALLOC_DONTFORK; flags++) {
		struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
		struct hugealloc_stats before = stats();
		char *p;

		attr.flags = flags;
		WANT_ERRNO(hugealloc(size, &attr), NULL, ENOMEM);
		HS_T_CHECK(stats().failed == before.failed + 1);
		HS_T_CHECK(stats().fallback_pages > before.fallback_pages);
		attr.fallback = HUGEALLOC_TRY;
		p = hugealloc(size, &attr);
		HS_T_CHECK(p);
		want_huge(p, size, 0);
		hs_t_fill(p, size, 5);
		HS_T_CHECK(hs_t_verify(p, size, 5) < 0);
		HS_T_CHECK(hugealloc_free(p, size) == 0);
		attr.fallback = HUGEALLOC_PREFER;
		p = hugealloc(size, &attr);
		HS_T_CHECK(p);
		want_huge(p, size, pages);
		hs_t_fill(p, size, 6);
		HS_T_CHECK(hs_t_verify(p, size, 6) < 0);
		HS_T_CHECK(hugealloc_free(p, size) == 0);
		/* Growing beyond the pool fails as a whole. */
		attr.fallback = HUGEALLOC_REQUIRE;
		p = hugealloc(pages * huge, &attr);
		HS_T_CHECK(p || pages == 0);
		if (!p)
			continue;
		hs_t_fill(p, pages * huge, 8);
		WANT_ERRNO(hugealloc_resize(p, pages * huge, size, 1), NULL,
			   ENOMEM);
		HS_T_CHECK(hs_t_verify(p, pages * huge, 8) < 0);
		want_huge(p, pages * huge, pages);
		HS_T_CHECK(hugealloc_free(p, pages * huge) == 0);
	}
	HS_T_CHECK(stats().blocks == 0);
}

static int node_of(void *p)
{
	int node = -1;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0, p,
		    MPOL_F_NODE | MPOL_F_ADDR))
		return -1;
	return node;
}

static int policy_of(void *p)
{
	int mode = -1;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, p, MPOL_F_ADDR))
		return -1;
	return mode;
}

/* The policy is on every page, huge or not, of a block that grows. */
static void case_numa(void)
{
	static const int modes[] = { 0, 4, 2, 3, 1 }; /* of mbind(2) */
	size_t size = (pages + 2) * huge;

	for (int numa = HUGEALLOC_NUMA_LOCAL; numa <= HUGEALLOC_NUMA_PREFERRED;
	     numa++) {
		struct hugealloc_attr attr = with(HUGEALLOC_PREFER);
		char *p;

		attr.numa = numa;
		attr.nodes = numa == HUGEALLOC_NUMA_LOCAL ? NULL : "0";
		p = hugealloc(2 * huge, &attr);
		if (!p && errno == ENOSYS)
			hs_t_skip("the kernel has no memory policies");
		HS_T_CHECK(p);
		p = hugealloc_resize(p, 2 * huge, size, HUGEALLOC_MAYMOVE);
		HS_T_CHECK(p);
		for (size_t o = 0; o < size; o += huge) {
			p[o] = 1;
			HS_T_CHECK(policy_of(p + o) == modes[numa]);
			HS_T_CHECK(node_of(p + o) == 0 ||
				   numa == HUGEALLOC_NUMA_LOCAL);
		}
		HS_T_CHECK(hugealloc_free(p, size) == 0);
	}
}

/* --- fork ----------------------------------------------------------------- */

/* Parent and child write all of a block that fills the pool. */
static void write_both(char *p, size_t size)
{
	struct hs_t_gate go;
	pid_t child;

	hs_t_fill(p, size, 1);
	hs_t_gate_open(&go);
	child = fork();
	HS_T_CHECK(child >= 0);
	if (child == 0) {
		HS_T_CHILD(hs_t_gate_wait(&go) == 'g', 1);
		HS_T_CHILD(hs_t_verify(p, size, 1) < 0, 2);
		hs_t_fill(p, size, 3);
		HS_T_CHILD(hs_t_verify(p, size, 3) < 0, 3);
		HS_T_CHILD(hugealloc_free(p, size) == 0, 4);
		_exit(0);
	}
	hs_t_fill(p, size, 2);
	hs_t_gate_post(&go, 'g');
	HS_T_WAIT_OK(child);
	HS_T_CHECK(hs_t_verify(p, size, 2) < 0);
	hs_t_gate_close(&go);
}

static void case_fork(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	char *p = hugealloc(pages * huge, &attr);

	HS_T_CHECK(p);
	write_both(p, pages * huge);
	HS_T_CHECK(stats().rescued_pages > 0);
	write_both(p, pages * huge);
	HS_T_CHECK(hugealloc_free(p, pages * huge) == 0);
}

static void own_handler(int sig HS_T_UNUSED)
{
	_exit(70);
}

/* The program's handlers took the place of ours: nothing may need one. */
static void case_handlers(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	char *p = hugealloc(pages * huge, &attr);

	HS_T_CHECK(p);
	signal(SIGBUS, own_handler);
	signal(SIGSEGV, own_handler);
	write_both(p, pages * huge);
	HS_T_CHECK(hugealloc_free(p, pages * huge) == 0);
}

static sigjmp_buf back;

static void jump(int sig)
{
	siglongjmp(back, sig);
}

/* Faults of the program's own reach the handlers it had before. */
static void case_chain(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	struct sigaction sa = { .sa_handler = jump };
	char *p, *hole = mmap(NULL, 4096, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sigaction(SIGSEGV, &sa, NULL);
	p = hugealloc(huge, &attr);
	HS_T_CHECK(p);
	for (int i = 0; i < 3; i++) {
		int sig = sigsetjmp(back, 1);

		if (sig == 0)
			*(volatile char *)hole = 1;
		HS_T_CHECK(sig == SIGSEGV);
	}
	HS_T_CHECK(hugealloc_free(p, huge) == 0);
}

static void case_dontfork(void)
{
	struct hugealloc_attr attr = with(HUGEALLOC_REQUIRE);
	size_t size = pages * huge;
	char *p;
	pid_t child;
	int status;

	attr.flags = HUGEALLOC_DONTFORK;
	p = hugealloc(size, &attr);
	HS_T_CHECK(p);
	hs_t_fill(p, size, 1);
	child = fork();
	if (child == 0) {
		struct rlimit none = { 0, 0 };

		HS_T_CHILD(hugealloc_free(p, size) == -1 && errno == EINVAL, 1);
		HS_T_CHILD(stats().blocks == 0, 2);
		HS_T_CHILD(query(p, size).unmapped == size, 3);
		setrlimit(RLIMIT_CORE, &none);
		*(volatile char *)p = 1;
		_exit(4);
	}
	status = hs_t_wait(child);
	HS_T_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%s",
		   hs_t_status(status));
	hs_t_fill(p, size, 2);
	want_huge(p, size, pages);
	HS_T_CHECK(hugealloc_free(p, size) == 0);
}

/* --- threads -------------------------------------------------------------- */

static void *churn(void *arg)
{
	struct hs_t_rng rng = { (uintptr_t)arg };

	for (int i = 0; i < 150; i++) {
		size_t size = 1 + hs_t_below(&rng, 4 * huge);
		size_t more = 1 + hs_t_below(&rng, 4 * huge);
		uint64_t *p = hugealloc(size, NULL);

		if (!p)
			return (void *)"no memory";
		*p = i + 1;
		p = hugealloc_resize(p, size, more, HUGEALLOC_MAYMOVE);
		if (!p || *p != (uint64_t)i + 1)
			return (void *)"resize";
		if (hugealloc_free(p, more))
			return (void *)"free";
	}
	return NULL;
}

static void case_threads(void)
{
	pthread_t thread[4];

	for (uintptr_t i = 0; i < 4; i++)
		HS_T_CHECK(!pthread_create(&thread[i], NULL, churn,
					   (void *)(i + 1)));
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(churn((void *)99) ? 1 : 0);
		if (i % 8 == 0)
			HS_T_WAIT_OK(child);
		else
			kill(child, SIGKILL), hs_t_wait(child);
	}
	for (int i = 0; i < 4; i++) {
		void *why;

		pthread_join(thread[i], &why);
		HS_T_CHECK(!why, "%s", (char *)why);
	}
	HS_T_CHECK(stats().blocks == 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "arguments", case_arguments }, { "basics", case_basics },
	{ "moving", case_moving },	 { "base", case_base },
	{ "shortage", case_shortage },	 { "numa", case_numa },
	{ "fork", case_fork },		 { "handlers", case_handlers },
	{ "chain", case_chain },	 { "dontfork", case_dontfork },
	{ "threads", case_threads },
};

int main(int argc, char **argv)
{
	huge = hs_t_huge_bytes();
	HS_T_CHECK(argc == 3 && huge);
	pages = strtoul(argv[2], NULL, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return 0;
		}
	fprintf(stderr, "no case %s\n", argv[1]);
	return 2;
}
