/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The formatter's edges, levels, and what a line does to a broken pipe. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "sys.h"
#include "unit.h"

#define FORMATS_AS(want, ...)                                                  \
	do {                                                                   \
		char buf_[128];                                                \
		size_t len_ = hs_log_format(buf_, sizeof(buf_), __VA_ARGS__);  \
		ck_assert_str_eq(buf_, want);                                  \
		ck_assert_uint_eq(len_, strlen(want));                         \
	} while (0)

/* Formats on purpose beyond what the compiler's check knows to be right. */
static const char *opaque(const char *fmt)
{
	const char *volatile hidden = fmt;

	return hidden;
}

START_TEST(integers)
{
	FORMATS_AS("0", "%d", 0);
	FORMATS_AS("-1", "%i", -1);
	FORMATS_AS("-2147483648", "%d", INT_MIN);
	FORMATS_AS("4294967295", "%u", UINT_MAX);
	FORMATS_AS("-9223372036854775808", "%ld", LONG_MIN);
	FORMATS_AS("-9223372036854775808", "%lld", LLONG_MIN);
	FORMATS_AS("18446744073709551615", "%lu", ULONG_MAX);
	FORMATS_AS("18446744073709551615", "%zu", SIZE_MAX);
	FORMATS_AS("18446744073709551615", "%llu", ULLONG_MAX);
	FORMATS_AS("-5", "%zd", (ssize_t)-5);
	FORMATS_AS("deadbeef", "%x", 0xdeadbeefU);
	FORMATS_AS("ffffffffffffffff", "%lx", ULONG_MAX);
	FORMATS_AS("0x0", "%p", NULL);
	FORMATS_AS("0x1000", "%p", (void *)0x1000);
}
END_TEST

START_TEST(widths)
{
	FORMATS_AS("   42", "%5d", 42);
	FORMATS_AS("00042", "%05d", 42);
	FORMATS_AS("  -42", "%5d", -42);
	FORMATS_AS("-0042", "%05d", -42);
	FORMATS_AS("123456", "%3d", 123456);
	FORMATS_AS("  0x10", "%6p", (void *)0x10);
	FORMATS_AS("0000ff", "%06x", 255U);
	FORMATS_AS("  ab|", "%4s|", "ab");
}
END_TEST

START_TEST(texts)
{
	FORMATS_AS("", "%s", "");
	FORMATS_AS("a b", "%s %s", "a", "b");
	FORMATS_AS("(null)", opaque("%s"), (char *)NULL);
	FORMATS_AS("x", "%c", 'x');
	FORMATS_AS("100%", "%d%%", 100);
}
END_TEST

START_TEST(unknown_as_they_stand)
{
	FORMATS_AS("%q 7", opaque("%q %d"), 7);
	FORMATS_AS("50%", opaque("50%"), 0);
	FORMATS_AS("%5", opaque("%5"), 0);
	FORMATS_AS("%-5d", opaque("%-5d"), 0);
	FORMATS_AS("%l", opaque("%l"), 0);
}
END_TEST

START_TEST(cut_at_the_size)
{
	char buf[8];

	memset(buf, 'z', sizeof(buf));
	ck_assert_uint_eq(hs_log_format(buf, 4, "%s", "abcdef"), 3);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(buf[4], 'z');
	ck_assert_uint_eq(hs_log_format(buf, 1, "%d", 12), 0);
	ck_assert_int_eq(buf[0], '\0');
	buf[0] = 'z';
	ck_assert_uint_eq(hs_log_format(buf, 0, "%d", 12), 0);
	ck_assert_int_eq(buf[0], 'z');
	ck_assert_uint_eq(hs_log_format(buf, 5, "%400d", 1), 4);
	ck_assert_str_eq(buf, "    ");
	ck_assert_uint_eq(hs_log_format(buf, 5, opaque("%99999999999d"), 1), 4);
	/* A string without an end within what may be read. */
	memset(buf, 'y', sizeof(buf));
	{
		char out[5];

		hs_log_format(out, sizeof(out), "%s", buf);
		ck_assert_str_eq(out, "yyyy");
	}
}
END_TEST

static char written[1024];
static size_t written_len;
static int nr_writes;
static int interrupts;

static ssize_t fake_write(int fd, const void *buf, size_t len)
{
	ck_assert_int_eq(fd, 2);
	if (interrupts != 0) {
		interrupts--;
		return -EINTR;
	}
	memcpy(written, buf, len);
	written_len = len;
	nr_writes++;
	return (ssize_t)len;
}

START_TEST(lines)
{
	char text[2 * HS_LOG_LINE_MAX];

	hs_sys.write = fake_write;
	errno = 1234;
	hs_log(HS_LOG_WARN, "not shown");
	ck_assert_int_eq(nr_writes, 0);
	hs_log(HS_LOG_ERROR, "shown %d", 7);
	ck_assert_int_eq(nr_writes, 1);
	ck_assert_mem_eq(written, "libhugeshim: shown 7\n", written_len);
	hs_log_set_level(HS_LOG_INFO);
	ck_assert_int_eq(hs_log_level(), HS_LOG_INFO);
	hs_log(HS_LOG_INFO, "info");
	ck_assert_int_eq(nr_writes, 2);
	hs_log(HS_LOG_DEBUG, "not shown");
	ck_assert_int_eq(nr_writes, 2);

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	hs_log(HS_LOG_ERROR, "%s", text);
	ck_assert_int_eq(nr_writes, 3);
	ck_assert_uint_le(written_len, HS_LOG_LINE_MAX);
	ck_assert_uint_ge(written_len, HS_LOG_LINE_MAX - 2);
	ck_assert_int_eq(written[written_len - 1], '\n');
	ck_assert_int_eq(errno, 1234);
}
END_TEST

START_TEST(interrupted)
{
	hs_sys.write = fake_write;
	interrupts = 3;
	hs_log(HS_LOG_ERROR, "once");
	ck_assert_int_eq(nr_writes, 1);
	/* For ever interrupted: given up, not hung. */
	interrupts = -1;
	hs_log(HS_LOG_ERROR, "never");
	ck_assert_int_eq(nr_writes, 1);
}
END_TEST

static void break_stderr(void)
{
	int fd[2];

	if (pipe(fd) != 0 || dup2(fd[1], 2) != 2)
		_exit(10);
	close(fd[0]);
	close(fd[1]);
}

static volatile sig_atomic_t nr_sigpipe;

static void on_sigpipe(int sig HS_UNUSED)
{
	nr_sigpipe++;
}

static int in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void guarded_line(void)
{
	sigset_t pending;

	signal(SIGPIPE, on_sigpipe);
	break_stderr();
	hs_log_guard(true);
	hs_log(HS_LOG_ERROR, "nobody reads this");
	sigpending(&pending);
	if (nr_sigpipe || sigismember(&pending, SIGPIPE))
		_exit(1);
	/* The program's own write still gets its signal. */
	if (write(2, "x", 1) != -1 || nr_sigpipe != 1)
		_exit(2);
}

static void guarded_line_blocked(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	break_stderr();
	/* Pending of the program's own making stays. */
	if (write(2, "x", 1) != -1)
		_exit(1);
	hs_log_guard(true);
	hs_log(HS_LOG_ERROR, "nobody reads this");
	sigpending(&set);
	if (!sigismember(&set, SIGPIPE))
		_exit(2);
}

START_TEST(broken_pipe)
{
	ck_assert_int_eq(in_child(guarded_line), 0);
	ck_assert_int_eq(in_child(guarded_line_blocked), 0);
}
END_TEST

static void die(void)
{
	signal(SIGABRT, SIG_IGN);
	hs_log_fatal("%s", "the end");
}

START_TEST(fatal_aborts)
{
	int status = in_child(die);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, integers);
	tcase_add_test(tc, widths);
	tcase_add_test(tc, texts);
	tcase_add_test(tc, unknown_as_they_stand);
	tcase_add_test(tc, cut_at_the_size);
	tcase_add_test(tc, lines);
	tcase_add_test(tc, interrupted);
	tcase_add_test(tc, broken_pipe);
	tcase_add_test(tc, fatal_aborts);
}

int main(void)
{
	return unit_main("log", add);
}
