/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the probe makes of files that say this or that, or are not there. */
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fake_files.h"
#include "log.h"
#include "probe.h"
#include "sys.h"
#include "unit.h"

#define HUGE (2 * HS_MIB)
#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define THP "/sys/kernel/mm/transparent_hugepage/"
#define STATUS "/proc/self/status"

static int nr_prctl;
static int seccomp_mode;
static int thp_disable;

static int fake_prctl(int option, unsigned long a2 HS_UNUSED,
		      unsigned long a3 HS_UNUSED, unsigned long a4 HS_UNUSED,
		      unsigned long a5 HS_UNUSED)
{
	nr_prctl++;
	if (option == PR_GET_SECCOMP)
		return seccomp_mode;
	ck_assert_int_eq(option, PR_GET_THP_DISABLE);
	return thp_disable;
}

/* An ordinary machine; tests change what they are about. */
static void machine(void)
{
	fake_files_add(STATUS, "Name:\tx\nTHP_enabled:\t1\nNoNewPrivs:\t0\n"
			       "Seccomp:\t0\nSeccomp_filters:\t0\n");
	fake_files_add("/proc/sys/vm/overcommit_memory", "0\n");
	fake_files_add("/proc/sys/vm/max_map_count", "65530\n");
	fake_files_add(THP "enabled", "always [madvise] never\n");
	fake_files_add(THP "hugepages-2048kB/enabled",
		       "always [inherit] madvise never\n");
	fake_files_add(POOL "nr_hugepages", "100\n");
	fake_files_add(POOL "free_hugepages", "40\n");
	fake_files_add(POOL "nr_overcommit_hugepages", "0\n");
	fake_files_add(POOL "surplus_hugepages", "0\n");
	fake_files_install();
	hs_sys.prctl = fake_prctl;
}

START_TEST(ordinary)
{
	const struct hs_probe *probe;
	int opened;

	machine();
	probe = hs_probe_run();
	ck_assert(probe->ran);
	ck_assert(!probe->seccomp && !probe->overcommit_never);
	ck_assert_int_eq(probe->thp, HS_THP_MADVISE);
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), 100);
	ck_assert_uint_eq(probe->max_map_count, 65530);
	ck_assert_int_eq(hs_probe_pool_free(HUGE), 40);
	ck_assert_int_eq(nr_prctl, 0);
	opened = fake_nr_opened;
	ck_assert_ptr_eq(hs_probe_run(), probe);
	ck_assert_int_eq(fake_nr_opened, opened);
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

START_TEST(one_byte_reads)
{
	machine();
	fake_read_max = 1;
	fake_files_add("/proc/sys/vm/overcommit_memory", "2\n");
	ck_assert(hs_probe_run()->overcommit_never);
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), 100);
	ck_assert(!hs_probe_run()->seccomp);
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

START_TEST(seccomp_filter)
{
	machine();
	fake_files_add(STATUS, "THP_enabled:\t1\nSeccomp:\t2\n"
			       "Seccomp_filters:\tx\n");
	ck_assert(hs_probe_run()->seccomp);
	/* What a filter may kill for is not called. */
	ck_assert_int_eq(nr_prctl, 0);
}
END_TEST

START_TEST(seccomp_filter_on_an_old_kernel)
{
	machine();
	fake_files_add(STATUS, "Seccomp:\t2\n");
	ck_assert(hs_probe_run()->seccomp);
	ck_assert_int_eq(nr_prctl, 0);
}
END_TEST

START_TEST(seccomp_behind_a_long_line)
{
	static char text[300000];
	size_t len = (size_t)sprintf(text, "Groups:\t");

	machine();
	/* "Seccomp:" inside a line is none. */
	while (len < 200000)
		len += (size_t)sprintf(text + len, "Seccomp:\t1 ");
	sprintf(text + len, "\nSeccomp:\t0\nSeccomp_filters:\t3\n");
	fake_files_add(STATUS, text);
	ck_assert(!hs_probe_run()->seccomp);
}
END_TEST

START_TEST(no_seccomp_in_the_kernel)
{
	machine();
	fake_files_add(STATUS, "Name:\tx\n");
	ck_assert(!hs_probe_run()->seccomp);
}
END_TEST

START_TEST(no_proc)
{
	machine();
	fake_files_fail(STATUS, -ENOENT);
	fake_files_fail("/proc/sys/vm/overcommit_memory", -ENOENT);
	fake_files_fail("/proc/sys/vm/max_map_count", -ENOENT);
	ck_assert(!hs_probe_run()->seccomp);
	ck_assert_uint_eq(hs_probe_run()->max_map_count, 65530);
	ck_assert(!hs_probe_run()->overcommit_never);
	ck_assert_int_eq(hs_probe_run()->thp, HS_THP_MADVISE);
}
END_TEST

START_TEST(no_proc_but_a_filter)
{
	machine();
	fake_files_fail(STATUS, -ENOENT);
	seccomp_mode = 2;
	ck_assert(hs_probe_run()->seccomp);
	ck_assert_int_eq(nr_prctl, 1);
}
END_TEST

START_TEST(no_proc_and_thp_off)
{
	machine();
	fake_files_fail(STATUS, -ENOENT);
	thp_disable = 1;
	ck_assert_int_eq(hs_probe_run()->thp, HS_THP_NEVER);
}
END_TEST

START_TEST(proc_forbidden)
{
	machine();
	fake_files_fail(STATUS, -EACCES);
	ck_assert(hs_probe_run()->seccomp);
	ck_assert_int_eq(nr_prctl, 0);
}
END_TEST

START_TEST(proc_unreadable)
{
	machine();
	fake_files_fail(STATUS, EINTR);
	ck_assert(hs_probe_run()->seccomp);
	ck_assert_int_eq(nr_prctl, 0);
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

START_TEST(thp_switched_off_by_prctl)
{
	machine();
	fake_files_add(STATUS, "THP_enabled:\t0\nSeccomp:\t0\n");
	fake_files_add(THP "enabled", "[always] madvise never\n");
	ck_assert_int_eq(hs_probe_run()->thp, HS_THP_NEVER);
}
END_TEST

START_TEST(thp_modes)
{
	static const struct {
		const char *all;
		const char *size;
		enum hs_thp_mode mode;
	} cases[] = {
		{ "[always] madvise never\n", NULL, HS_THP_ALWAYS },
		{ "always [madvise] never\n", NULL, HS_THP_MADVISE },
		{ "always madvise [never]\n", NULL, HS_THP_NEVER },
		{ "[always] madvise never\n",
		  "always inherit madvise [never]\n", HS_THP_NEVER },
		{ "always madvise [never]\n",
		  "[always] inherit madvise never\n", HS_THP_ALWAYS },
		{ "always madvise [never]\n",
		  "always [inherit] madvise never\n", HS_THP_NEVER },
		{ "what is this", NULL, HS_THP_NEVER },
		{ "", NULL, HS_THP_NEVER },
	};

	machine();
	fake_files_add(THP "enabled", cases[_i].all);
	if (cases[_i].size)
		fake_files_add(THP "hugepages-2048kB/enabled", cases[_i].size);
	else
		fake_files_fail(THP "hugepages-2048kB/enabled", -ENOENT);
	ck_assert_int_eq(hs_probe_run()->thp, cases[_i].mode);
}
END_TEST
#define NR_THP_CASES 8

START_TEST(pool_that_overcommits)
{
	machine();
	fake_files_add(POOL "nr_overcommit_hugepages", "10\n");
	fake_files_add(POOL "surplus_hugepages", "3\n");
	/* Surplus pages are in the 100 already. */
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), 107);
	ck_assert_int_eq(hs_probe_pool_free(HUGE), 47);
	fake_files_add(POOL "surplus_hugepages", "12\n");
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), 100);
	ck_assert_int_eq(hs_probe_pool_free(HUGE), 40);
}
END_TEST

START_TEST(no_sys)
{
	machine();
	memset(fake_files, 0, sizeof(fake_files));
	fake_files_add(STATUS, "THP_enabled:\t1\nSeccomp:\t0\n");
	ck_assert(!hs_probe_run()->seccomp);
	ck_assert_int_eq(hs_probe_run()->thp, HS_THP_MADVISE);
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), SIZE_MAX);
	ck_assert_int_eq(hs_probe_pool_free(HUGE), -ENOENT);
	fake_files_add("/proc/meminfo",
		       "MemTotal: 1 kB\nHugePages_Total:      12\n"
		       "HugePages_Free:        5\n"
		       "Hugepagesize:       2048 kB\n");
	ck_assert_int_eq(hs_probe_pool_free(HUGE), 5);
	ck_assert_int_eq(hs_probe_pool_free(HS_GIB), -ENOENT);
}
END_TEST

START_TEST(pool_from_meminfo)
{
	machine();
	memset(fake_files, 0, sizeof(fake_files));
	fake_files_add("/proc/meminfo",
		       "HugePages_Total:      12\nHugePages_Free:        5\n"
		       "Hugepagesize:       2048 kB\n");
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), 12);
}
END_TEST

START_TEST(nonsense_in_files)
{
	machine();
	fake_files_add("/proc/sys/vm/max_map_count", "many\n");
	fake_files_add("/proc/sys/vm/overcommit_memory", "");
	fake_files_add(POOL "nr_hugepages", "99999999999999999999999\n");
	ck_assert_uint_eq(hs_probe_run()->max_map_count, 65530);
	ck_assert(!hs_probe_run()->overcommit_never);
	ck_assert_uint_eq(hs_probe_pool_size(HUGE), SIZE_MAX);
}
END_TEST

START_TEST(default_size)
{
	size_t page_bytes = hs_sys_page_size();

	ck_assert_uint_eq(hs_probe_default_huge_size(),
			  page_bytes * page_bytes / 8);
}
END_TEST

START_TEST(limits)
{
	/* Above what the sanitizers map. */
	const size_t large = (size_t)1 << 46;
	struct rlimit limit = { .rlim_cur = large, .rlim_max = large };
	size_t limit_bytes = 1;

	ck_assert(!hs_probe_address_space_limited(&limit_bytes));
	ck_assert_uint_eq(limit_bytes, 1);
	ck_assert(!hs_probe_data_limited());
	setrlimit(RLIMIT_AS, &limit);
	ck_assert(hs_probe_address_space_limited(&limit_bytes));
	ck_assert_uint_eq(limit_bytes, large);
	ck_assert(hs_probe_address_space_limited(NULL));
	ck_assert(!hs_probe_data_limited());
	setrlimit(RLIMIT_DATA, &limit);
	ck_assert(hs_probe_data_limited());
}
END_TEST

static int refused_getrlimit(int resource HS_UNUSED,
			     struct rlimit64 *limit HS_UNUSED)
{
	return -EFAULT;
}

START_TEST(limits_unknown)
{
	size_t limit_bytes = 1;

	hs_sys.getrlimit = refused_getrlimit;
	ck_assert(hs_probe_address_space_limited(&limit_bytes));
	ck_assert(hs_probe_data_limited());
}
END_TEST

/* The real files of this machine, whatever they say. */
START_TEST(real_machine)
{
	const struct hs_probe *probe = hs_probe_run();
	char text[256];
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");

	if (f && fgets(text, sizeof(text), f))
		ck_assert_uint_eq(probe->max_map_count,
				  strtoul(text, NULL, 10));
	if (prctl(PR_GET_SECCOMP) >= 0)
		ck_assert_int_eq(probe->seccomp, prctl(PR_GET_SECCOMP) != 0);
}
END_TEST

/* THP switched off for real, as this kernel shows it. */
START_TEST(real_thp_switch)
{
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
		return;
	ck_assert_int_eq(hs_probe_run()->thp, HS_THP_NEVER);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, ordinary);
	tcase_add_test(tc, one_byte_reads);
	tcase_add_test(tc, seccomp_filter);
	tcase_add_test(tc, seccomp_filter_on_an_old_kernel);
	tcase_add_test(tc, seccomp_behind_a_long_line);
	tcase_add_test(tc, no_seccomp_in_the_kernel);
	tcase_add_test(tc, no_proc);
	tcase_add_test(tc, no_proc_but_a_filter);
	tcase_add_test(tc, no_proc_and_thp_off);
	tcase_add_test(tc, proc_forbidden);
	tcase_add_test(tc, proc_unreadable);
	tcase_add_test(tc, thp_switched_off_by_prctl);
	tcase_add_loop_test(tc, thp_modes, 0, NR_THP_CASES);
	tcase_add_test(tc, pool_that_overcommits);
	tcase_add_test(tc, no_sys);
	tcase_add_test(tc, pool_from_meminfo);
	tcase_add_test(tc, nonsense_in_files);
	tcase_add_test(tc, default_size);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, limits_unknown);
	tcase_add_test(tc, real_machine);
	tcase_add_test(tc, real_thp_switch);
}

int main(void)
{
	return unit_main("probe", add);
}
