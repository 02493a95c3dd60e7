/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters, gauges with their peaks, the first fallback's line, the report. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fake_files.h"
#include "config.h"
#include "log.h"
#include "stats.h"
#include "sys.h"
#include "unit.h"

#define STATUS "/proc/self/status"
#define REPORT_FD FAKE_FD

static char said[4096], reported[8192];
static size_t said_len, reported_len;
static int nr_writes, terminal, report_error;

static ssize_t fake_write(int fd, const void *buf, size_t len)
{
	char *to = fd == 2 ? said : reported;
	size_t *used = fd == 2 ? &said_len : &reported_len;

	if (fd != 2 && report_error)
		return -report_error;
	nr_writes++;
	memcpy(to + *used, buf, len);
	*used += len;
	to[*used] = '\0';
	return (ssize_t)len;
}

static int fake_ioctl(int fd, unsigned long request HS_UNUSED,
		      void *arg HS_UNUSED)
{
	ck_assert_int_eq(fd, 2);
	return terminal ? 0 : -ENOTTY;
}

static int fake_getpid(void)
{
	return 4711;
}

static void machine(const char *const *envp)
{
	fake_files_add(STATUS, "Name:\tpro\"g\nVmPeak:\t  9 kB\n"
			       "VmRSS:\t    2048 kB\n"
			       "HugetlbPages:\t    1024 kB\n");
	fake_files_install();
	hs_sys.write = fake_write;
	hs_sys.ioctl = fake_ioctl;
	hs_sys.getpid = fake_getpid;
	hs_config_init((char *const *)envp, false);
}

#define MACHINE(...) machine((const char *const[]){ __VA_ARGS__, NULL })

static int64_t mib(int64_t n)
{
	return n * (int64_t)HS_MIB;
}

START_TEST(gauges_keep_their_peak)
{
	hs_stats_gauge_add(HS_GAUGE_HUGE, mib(4));
	hs_stats_gauge_add(HS_GAUGE_HUGE, mib(6));
	hs_stats_gauge_add(HS_GAUGE_HUGE, -mib(8));
	hs_stats_gauge_add(HS_GAUGE_HUGE, mib(1));
	ck_assert_uint_eq(hs_stats_gauge(HS_GAUGE_HUGE), 3 * HS_MIB);
	ck_assert_uint_eq(hs_stats_gauge_peak(HS_GAUGE_HUGE), 10 * HS_MIB);
	ck_assert_uint_eq(hs_stats_gauge(HS_GAUGE_BASE), 0);
}
END_TEST

#define ROUNDS 100000

static void *count_and_move(void *arg HS_UNUSED)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		hs_stats_count(HS_STAT_SLOT_MAPPED);
		hs_stats_gauge_add(HS_GAUGE_BASE, 4096);
		hs_stats_gauge_add(HS_GAUGE_BASE, -4096);
	}
	return NULL;
}

START_TEST(threads_lose_nothing)
{
	pthread_t thread[4];
	size_t i;

	for (i = 0; i < HS_ARRAY_SIZE(thread); i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL,
						count_and_move, NULL), 0);
	for (i = 0; i < HS_ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_SLOT_MAPPED),
			  ROUNDS * HS_ARRAY_SIZE(thread));
	ck_assert_uint_eq(hs_stats_gauge(HS_GAUGE_BASE), 0);
	ck_assert_uint_ge(hs_stats_gauge_peak(HS_GAUGE_BASE), 4096);
	ck_assert_uint_le(hs_stats_gauge_peak(HS_GAUGE_BASE),
			  4096 * HS_ARRAY_SIZE(thread));
}
END_TEST

#define LINE "libhugeshim: falling back to smaller pages: "

START_TEST(first_fallback_is_said_once)
{
	MACHINE("HUGESHIM_VERBOSE=1");
	hs_stats_fallback(HS_STAT_FALLBACK_CONFIG);
	ck_assert_uint_eq(said_len, 0);
	hs_stats_fallback(HS_STAT_FALLBACK_POOL);
	hs_stats_fallback(HS_STAT_FALLBACK_POOL);
	hs_stats_fallback(HS_STAT_FALLBACK_LIMIT);
	ck_assert_str_eq(said, LINE "no free huge page in the pool\n");
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_POOL), 2);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_LIMIT), 1);
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FALLBACK_CONFIG), 1);
}
END_TEST

START_TEST(fallback_is_not_said_into_a_file)
{
	MACHINE("A=b");
	hs_stats_fallback(HS_STAT_FALLBACK_LIMIT);
	ck_assert_uint_eq(said_len, 0);
}
END_TEST

START_TEST(fallback_is_said_to_a_terminal)
{
	MACHINE("A=b");
	terminal = 1;
	hs_stats_fallback(HS_STAT_FALLBACK_LIMIT);
	ck_assert_str_eq(said, LINE "limit of this process reached\n");
}
END_TEST

START_TEST(child_counts_afresh)
{
	hs_stats_count(HS_STAT_FORK);
	hs_stats_gauge_add(HS_GAUGE_HUGE, mib(4));
	hs_stats_gauge_add(HS_GAUGE_HUGE, -mib(2));
	hs_stats_postfork_child();
	ck_assert_uint_eq(hs_stats_get(HS_STAT_FORK), 0);
	ck_assert_uint_eq(hs_stats_gauge(HS_GAUGE_HUGE), 2 * HS_MIB);
	ck_assert_uint_eq(hs_stats_gauge_peak(HS_GAUGE_HUGE), 2 * HS_MIB);
}
END_TEST

static void some_heap(void)
{
	hs_stats_gauge_add(HS_GAUGE_BASE, mib(2));
	hs_stats_gauge_add(HS_GAUGE_HUGE, mib(6));
	hs_stats_gauge_add(HS_GAUGE_HUGE, -mib(5));
	hs_stats_gauge_add(HS_GAUGE_BASE, -mib(1));
	hs_stats_add(HS_STAT_FALLBACK_POOL, 12);
}

START_TEST(text)
{
	char want[2048];

	MACHINE("A=b");
	some_heap();
	hs_stats_report(REPORT_FD, false);
	ck_assert_int_eq(nr_writes, 1);
	snprintf(want, sizeof(want), "%s",
"pro\"g (pid 4711), huge pages of 2.0 MiB\n"
"                                             now        peak\n"
"  heap on huge pages (hugetlb)           1.0 MiB     6.0 MiB\n"
"  huge pages mapped, not yet touched         0 B         0 B\n"
"  heap on base pages advised for THP         0 B         0 B\n"
"  heap on base pages                     1.0 MiB     2.0 MiB\n"
"  free, kept for re-use                      0 B         0 B\n"
"  coverage: 50.0 % of the heap on huge pages now, 75.0 % when it was "
"largest\n"
"  fallbacks:          12  no free huge page in the pool\n"
"  rescues: none\n"
"  events: none\n"
"  VmRSS 2.0 MiB; that leaves out huge pages: HugetlbPages 1.0 MiB\n");
	ck_assert_ptr_nonnull(strstr(reported, ": "));
	ck_assert_str_eq(strstr(reported, ": ") + 2, want);
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

/* The many processes of a script: one line each. */
START_TEST(text_of_a_small_process)
{
	MACHINE("A=b");
	hs_stats_gauge_add(HS_GAUGE_BASE, mib(1));
	hs_stats_count(HS_STAT_FORK);
	hs_stats_report(REPORT_FD, false);
	ck_assert_str_eq(strstr(reported, ": ") + 2,
			 "pro\"g (pid 4711) is too small for huge pages: "
			 "1.0 MiB of heap at most\n");
}
END_TEST

START_TEST(text_without_proc)
{
	MACHINE("HUGESHIM=off");
	fake_files_fail(STATUS, -ENOENT);
	hs_stats_report(REPORT_FD, false);
	ck_assert_ptr_nonnull(strstr(reported, ": ? (pid 4711), huge pages of "
					       "2.0 MiB, off\n"));
	ck_assert_ptr_null(strstr(reported, "VmRSS"));
	ck_assert_ptr_nonnull(strstr(reported, "coverage: 0.0 %"));
}
END_TEST

/* Every counter at its longest: nothing is cut. */
START_TEST(text_at_its_longest)
{
	int i;

	MACHINE("A=b");
	for (i = 0; i < HS_STAT_NR_COUNTERS; i++)
		hs_stats_add((enum hs_stats_counter)i, UINT64_MAX);
	for (i = 0; i < HS_STAT_NR_GAUGES; i++)
		hs_stats_gauge_add((enum hs_stats_gauge)i, mib(1023) << 20);
	hs_stats_report(REPORT_FD, false);
	ck_assert_ptr_nonnull(strstr(reported, "HugetlbPages 1.0 MiB\n"));
	reported_len = 0;
	hs_stats_report(REPORT_FD, true);
	ck_assert_ptr_nonnull(strstr(reported,
				     "\"rss_counts_hugetlb\":false}\n"));
}
END_TEST

/* That it parses is checked on real reports, by a real parser. */
START_TEST(json)
{
	MACHINE("A=b");
	some_heap();
	hs_stats_report(REPORT_FD, true);
	ck_assert_int_eq(nr_writes, 1);
	ck_assert_ptr_nonnull(strstr(reported, "\"program\":\"pro\\\"g\","
					       "\"pid\":4711,\"enabled\":true,"
					       "\"page_size_bytes\":2097152"));
	ck_assert_ptr_nonnull(strstr(reported, "\"huge_bytes\":{\"now\":1048576"
					       ",\"peak\":6291456}"));
	ck_assert_ptr_nonnull(strstr(reported, "\"coverage\":0.500,"
					       "\"coverage_at_peak\":0.750"));
	ck_assert_ptr_nonnull(strstr(reported, "\"pool_empty\":12"));
	ck_assert_ptr_nonnull(strstr(reported, "\"hugetlb_bytes\":1048576"));
	ck_assert_ptr_eq(strchr(reported, '\n'), reported + reported_len - 1);
}
END_TEST

/* 8 MiB wait for a touch; the kernel says that 6 have had it. */
START_TEST(touched_since)
{
	MACHINE("A=b");
	hs_stats_gauge_add(HS_GAUGE_LAZY, mib(8));
	hs_stats_gauge_add(HS_GAUGE_HUGE, mib(2));
	hs_stats_gauge_add(HS_GAUGE_BASE, mib(2));
	fake_files_add(STATUS, "Name:\tx\nHugetlbPages:\t 8192 kB\n");
	hs_stats_report(REPORT_FD, true);
	ck_assert_ptr_nonnull(strstr(reported, "\"huge_bytes\":{\"now\":8388608"
					       ",\"peak\":8388608}"));
	ck_assert_ptr_nonnull(strstr(reported, "\"lazy_bytes\":{\"now\":2097152"
					       ",\"peak\":8388608}"));
	ck_assert_ptr_nonnull(strstr(reported, "\"coverage\":0.800,"
					       "\"coverage_at_peak\":0.833"));
	/* A mapping of the program's own is none of ours. */
	reported_len = 0;
	fake_files_add(STATUS, "Name:\tx\nHugetlbPages:\t 99999 kB\n");
	hs_stats_report(REPORT_FD, true);
	ck_assert_ptr_nonnull(strstr(reported,
				     "\"huge_bytes\":{\"now\":10485760"
				     ",\"peak\":10485760}"));
}
END_TEST

/* 8 MiB are mapped, and there were pages for 6. */
START_TEST(populated_in_part)
{
	MACHINE("A=b");
	hs_stats_gauge_add(HS_GAUGE_VM_LAZY, mib(8));
	hs_stats_gauge_add(HS_GAUGE_VM_LAZY, -mib(8));
	hs_stats_gauge_add(HS_GAUGE_VM_HUGE, mib(6));
	hs_stats_gauge_add(HS_GAUGE_VM_BASE, mib(2));
	hs_stats_gauge_add(HS_GAUGE_VM_BASE, -mib(2));
	hs_stats_report(REPORT_FD, true);
	ck_assert_ptr_nonnull(strstr(reported, "\"mmap_coverage\":1.000,"
					       "\"mmap_coverage_at_peak\":"
					       "0.750"));
}
END_TEST

START_TEST(json_without_proc)
{
	MACHINE("A=b");
	fake_files_fail(STATUS, -ENOENT);
	hs_stats_report(REPORT_FD, true);
	ck_assert_ptr_nonnull(strstr(reported, "\"coverage\":null"));
	ck_assert_ptr_nonnull(strstr(reported, "\"hugetlb_bytes\":null"));
}
END_TEST

START_TEST(to_a_file)
{
	MACHINE("HUGESHIM_STATS=/tmp/a%%b%p.%p", "HUGESHIM_STATS_FORMAT=json");
	fake_files_add("/tmp/a%b4711.4711", "");
	hs_stats_report_configured();
	ck_assert_uint_eq(said_len, 0);
	ck_assert_int_eq(reported[0], '{');
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

START_TEST(to_a_file_that_cannot_be)
{
	MACHINE("HUGESHIM_STATS=/no/file");
	hs_stats_report_configured();
	ck_assert_str_eq(said, "libhugeshim: /no/file: cannot write the report "
			       "(error 2)\n");
	ck_assert_uint_eq(reported_len, 0);
}
END_TEST

START_TEST(to_a_full_disk)
{
	MACHINE("HUGESHIM_STATS=/full");
	fake_files_add("/full", "");
	report_error = ENOSPC;
	hs_stats_report_configured();
	ck_assert_str_eq(said, "libhugeshim: /full: cannot write the report "
			       "(error 28)\n");
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

START_TEST(not_asked_for)
{
	MACHINE("A=b");
	hs_stats_init();
	hs_stats_report_configured();
	ck_assert_int_eq(nr_writes, 0);
	ck_assert_int_eq(fake_nr_opened, 0);
}
END_TEST

/* Which file each descriptor is; 0: none. */
static ino_t file_of_2 = 1, file_of_copy;

static ssize_t descriptor_write(int fd, const void *buf, size_t len)
{
	ck_assert_uint_eq(fd == 2 ? file_of_2 : file_of_copy, 1);
	return fake_write(fd, buf, len);
}

static int fake_dup(int fd, int lowest)
{
	ck_assert_int_eq(fd, 2);
	ck_assert_int_ge(lowest, 3);
	file_of_copy = file_of_2;
	return 777;
}

static int fake_fstat(int fd, struct stat *st)
{
	st->st_dev = 5;
	st->st_ino = fd == 2 ? file_of_2 : file_of_copy;
	return st->st_ino ? 0 : -EBADF;
}

static void standard_error(void)
{
	MACHINE("HUGESHIM_STATS=-");
	hs_sys.write = descriptor_write;
	hs_sys.dup_cloexec = fake_dup;
	hs_sys.fstat = fake_fstat;
	hs_stats_init();
}

START_TEST(to_standard_error)
{
	standard_error();
	hs_stats_report_configured();
	ck_assert_uint_gt(said_len, 0);
	ck_assert_uint_eq(reported_len, 0);
}
END_TEST

/* Closed at exit, or something else by now. */
START_TEST(standard_error_is_gone)
{
	standard_error();
	file_of_2 = (ino_t)_i;
	hs_stats_report_configured();
	ck_assert_uint_eq(said_len, 0);
	ck_assert_uint_gt(reported_len, 0);
}
END_TEST

START_TEST(both_are_gone)
{
	standard_error();
	file_of_2 = 2;
	file_of_copy = 3;
	hs_stats_report_configured();
	ck_assert_uint_eq(said_len + reported_len, 0);
}
END_TEST

START_TEST(no_standard_error_at_start)
{
	file_of_2 = 0;
	standard_error();
	file_of_2 = 1;
	hs_stats_report_configured();
	ck_assert_uint_eq(said_len + reported_len, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, gauges_keep_their_peak);
	tcase_add_test(tc, threads_lose_nothing);
	tcase_add_test(tc, first_fallback_is_said_once);
	tcase_add_test(tc, fallback_is_not_said_into_a_file);
	tcase_add_test(tc, fallback_is_said_to_a_terminal);
	tcase_add_test(tc, child_counts_afresh);
	tcase_add_test(tc, text);
	tcase_add_test(tc, text_of_a_small_process);
	tcase_add_test(tc, text_without_proc);
	tcase_add_test(tc, text_at_its_longest);
	tcase_add_test(tc, json);
	tcase_add_test(tc, touched_since);
	tcase_add_test(tc, populated_in_part);
	tcase_add_test(tc, json_without_proc);
	tcase_add_test(tc, to_a_file);
	tcase_add_test(tc, to_a_file_that_cannot_be);
	tcase_add_test(tc, to_a_full_disk);
	tcase_add_test(tc, not_asked_for);
	tcase_add_test(tc, to_standard_error);
	tcase_add_loop_test(tc, standard_error_is_gone, 0, 1);
	tcase_add_loop_test(tc, standard_error_is_gone, 2, 3);
	tcase_add_test(tc, both_are_gone);
	tcase_add_test(tc, no_standard_error_at_start);
}

int main(void)
{
	return unit_main("stats", add);
}
