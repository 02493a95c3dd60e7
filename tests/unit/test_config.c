/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Environment and file -> configuration, and what is said about bad input. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fake_files.h"
#include "config.h"
#include "config_internal.h"
#include "log.h"
#include "sys.h"
#include "unit.h"

#define CONF "/etc/hugeshim.conf"

static char said[8192];
static size_t said_len;
static struct stat conf_stat = { .st_mode = S_IFREG | 0644 };
static const char *exe = "/usr/bin/program";

static ssize_t fake_write(int fd, const void *buf, size_t len)
{
	ck_assert_int_eq(fd, 2);
	ck_assert_uint_lt(said_len + len, sizeof(said));
	memcpy(said + said_len, buf, len);
	said_len += len;
	return (ssize_t)len;
}

static int fake_fstat(int fd HS_UNUSED, struct stat *st)
{
	*st = conf_stat;
	return 0;
}

static int fake_readlink(const char *path, char *buf, size_t len)
{
	ck_assert_str_eq(path, "/proc/self/exe");
	if (exe == NULL)
		return -ENOENT;
	ck_assert_uint_lt(strlen(exe), len);
	memcpy(buf, exe, strlen(exe));
	return (int)strlen(exe);
}

/* The kernel of the tests has pages of 64K, 2M and 1G. */
static void *fake_mmap(void *addr HS_UNUSED, size_t len, int prot HS_UNUSED,
		       int flags, int fd HS_UNUSED, off_t off HS_UNUSED)
{
	ck_assert(flags & MAP_HUGETLB);
	ck_assert_uint_eq(len, (size_t)1 << (flags >> 26 & 63));
	if (len == 64 * HS_KIB || len == 2 * HS_MIB || len == HS_GIB)
		return (void *)HS_GIB;
	return (void *)(intptr_t)-EINVAL;
}

static int fake_munmap(void *addr, size_t len HS_UNUSED)
{
	ck_assert_uint_eq((uintptr_t)addr, HS_GIB);
	return 0;
}

static void machine(void)
{
	fake_files_install();
	hs_sys.write = fake_write;
	hs_sys.fstat = fake_fstat;
	hs_sys.readlink = fake_readlink;
	hs_sys.mmap = fake_mmap;
	hs_sys.munmap = fake_munmap;
}

static const struct hs_config *with(const char *const *envp)
{
	machine();
	said_len = 0;
	hs_config_init((char *const *)envp, false);
	said[said_len] = '\0';
	return hs_config;
}

#define WITH(...) with((const char *const[]){ __VA_ARGS__, NULL })
#define FILE_SAYS(text) (fake_files_add(CONF, text), WITH("A=b"))

#define ck_said(text) ck_assert_str_eq(said, text)
#define ck_silent() ck_assert_uint_eq(said_len, 0)

START_TEST(defaults)
{
	const struct hs_config *c = WITH("PATH=/bin", "HUGESHIMS=no", "HUGE=1",
					 "NOEQUALS", "");

	ck_silent();
	ck_assert(c->enabled && c->heap && c->inherit);
	ck_assert(!c->secure && !c->trust_seccomp && !c->stats_json);
	ck_assert_int_eq(c->backing, HS_BACKING_AUTO);
	ck_assert_int_eq(c->fallback, HS_FALLBACK_TRY);
	ck_assert_int_eq(c->cow, HS_COW_KERNEL);
	ck_assert_int_eq(c->verbose, 0);
	ck_assert_uint_eq(c->page_size_bytes, 0);
	ck_assert_uint_eq(c->limit_bytes, SIZE_MAX);
	ck_assert_uint_eq(c->limit_percent, 95);
	ck_assert_uint_eq(c->mmap_first_bytes, 8 * HS_MIB);
	ck_assert_uint_eq(c->base_first_bytes, HS_MIB);
	ck_assert_uint_eq(c->populate_max_bytes, 64 * HS_MIB);
	ck_assert_uint_eq(c->retain_bytes, 64 * HS_MIB);
	ck_assert_int_eq(c->decay_ms, 10000);
	ck_assert_ptr_null(c->mount);
	ck_assert_ptr_null(c->stats_path);
	ck_assert_int_eq(fake_nr_opened, 0);
}
END_TEST

START_TEST(no_environment)
{
	machine();
	hs_config_init(NULL, false);
	ck_assert(hs_config->enabled);
}
END_TEST

START_TEST(each_variable)
{
	const struct hs_config *c = WITH(
		"HUGESHIM=off", "HUGESHIM_HEAP=no", "HUGESHIM_INHERIT=no",
		"HUGESHIM_SECCOMP=trust", "HUGESHIM_STATS_FORMAT=json",
		"HUGESHIM_BACKING=base", "HUGESHIM_FALLBACK=off",
		"HUGESHIM_COW=kernel", "HUGESHIM_VERBOSE=3",
		"HUGESHIM_PAGE_SIZE=1G", "HUGESHIM_LIMIT=3G",
		"HUGESHIM_BASE_FIRST=0", "HUGESHIM_POPULATE_MAX=1T",
		"HUGESHIM_RETAIN=5", "HUGESHIM_DECAY=-1", "HUGESHIM_MOUNT=/m",
		"HUGESHIM_STATS=/tmp/x");

	ck_silent();
	ck_assert(!c->enabled && !c->heap && !c->inherit);
	ck_assert(c->trust_seccomp && c->stats_json);
	ck_assert_int_eq(c->backing, HS_BACKING_BASE);
	ck_assert_int_eq(c->fallback, HS_FALLBACK_OFF);
	ck_assert_int_eq(c->verbose, 3);
	ck_assert_int_eq(hs_log_level(), 3);
	ck_assert_uint_eq(c->page_size_bytes, HS_GIB);
	ck_assert_uint_eq(c->limit_bytes, 3 * HS_GIB);
	ck_assert_uint_eq(c->limit_percent, 0);
	ck_assert_uint_eq(c->base_first_bytes, 0);
	ck_assert_uint_eq(c->populate_max_bytes, HS_TIB);
	ck_assert_uint_eq(c->retain_bytes, 5);
	ck_assert_int_eq(c->decay_ms, -1);
	ck_assert_str_eq(c->mount, "/m");
	ck_assert_str_eq(c->stats_path, "/tmp/x");
}
END_TEST

START_TEST(old_names)
{
	const struct hs_config *c = WITH(
		"HUGETLB_DEFAULT_PAGE_SIZE=64K", "HUGETLB_MORECORE=thp",
		"HUGETLB_VERBOSE=2", "HUGETLB_PATH=/old", "HUGETLB_ELFMAP=no",
		"HUGETLB_UNKNOWN=1");

	ck_silent();
	ck_assert_uint_eq(c->page_size_bytes, 64 * HS_KIB);
	ck_assert(c->heap);
	ck_assert_int_eq(c->backing, HS_BACKING_THP);
	ck_assert_int_eq(c->verbose, 1);
	ck_assert_str_eq(c->mount, "/old");
	c = WITH("HUGETLB_MORECORE=2M", "HUGETLB_DEBUG=");
	ck_assert(c->heap);
	ck_assert_uint_eq(c->page_size_bytes, 2 * HS_MIB);
	ck_assert_int_eq(c->verbose, 0);
	c = WITH("HUGETLB_MORECORE=no", "HUGETLB_DEBUG=yes");
	ck_assert(!c->heap);
	ck_assert_int_eq(c->verbose, 3);
	c = WITH("HUGETLB_VERBOSE=0");
	ck_assert_int_eq(c->verbose, 0);
}
END_TEST

/* Whatever the order in the environment. */
START_TEST(our_names_win)
{
	ck_assert_int_eq(WITH("HUGESHIM_VERBOSE=1", "HUGETLB_VERBOSE=4")
				 ->verbose, 1);
	ck_assert_int_eq(WITH("HUGETLB_VERBOSE=4", "HUGESHIM_VERBOSE=1")
				 ->verbose, 1);
	ck_assert(WITH("HUGESHIM_HEAP=yes", "HUGETLB_MORECORE=no")->heap);
}
END_TEST

START_TEST(first_of_two_counts)
{
	ck_assert_int_eq(WITH("HUGESHIM_DECAY=1", "HUGESHIM_DECAY=2")->decay_ms,
			 1);
}
END_TEST

START_TEST(noted)
{
	WITH("HUGETLB_SHM=yes", "HUGETLB_NO_RESERVE=yes");
	ck_silent();
	ck_assert(hs_config->shm);
	WITH("HUGETLB_NO_RESERVE=yes", "HUGESHIM_VERBOSE=2");
	ck_said("libhugeshim: HUGETLB_NO_RESERVE: accepted, without "
		"effect\n");
}
END_TEST

static const struct {
	const char *entry;
	const char *line;
} bad[] = {
	{ "HUGESHIM=maybe", "HUGESHIM: 'maybe' is not on or off; using on" },
	{ "HUGESHIM_PAGE_SIZE=3M",
	  "HUGESHIM_PAGE_SIZE: '3M' is not a huge page size; using 2M" },
	{ "HUGESHIM_PAGE_SIZE=4M",
	  "HUGESHIM_PAGE_SIZE: '4M' is not a huge page size; using 2M" },
	{ "HUGESHIM_PAGE_SIZE=4K",
	  "HUGESHIM_PAGE_SIZE: '4K' is not a huge page size; using 2M" },
	{ "HUGESHIM_PAGE_SIZE=0",
	  "HUGESHIM_PAGE_SIZE: '0' is not a huge page size; using 2M" },
	{ "HUGETLB_DEFAULT_PAGE_SIZE=x",
	  "HUGETLB_DEFAULT_PAGE_SIZE: 'x' is not a huge page size; using 2M" },
	{ "HUGESHIM_HEAP=maybe", "HUGESHIM_HEAP: 'maybe' is not yes, no, thp "
				 "or a huge page size; using yes" },
	{ "HUGESHIM_FALLBACK=trying", "HUGESHIM_FALLBACK: 'trying' is not one "
				      "of try, on, off; using try" },
	{ "HUGESHIM_FALLBACK=t", "HUGESHIM_FALLBACK: 't' is not one of try, "
				 "on, off; using try" },
	{ "HUGESHIM_BACKING=disk", "HUGESHIM_BACKING: 'disk' is not one of "
				   "auto, hugetlb, thp, base; using auto" },
	{ "HUGESHIM_COW=uffd", "HUGESHIM_COW: 'uffd' is not one of kernel, "
			       "sigsegv, off; using kernel" },
	{ "HUGESHIM_SECCOMP=no", "HUGESHIM_SECCOMP: 'no' is not one of auto, "
				 "trust; using auto" },
	{ "HUGESHIM_LIMIT=101%", "HUGESHIM_LIMIT: '101%' is not a size, a "
				 "percentage from 1% to 100% or none; using "
				 "95%" },
	{ "HUGESHIM_LIMIT=0%", "HUGESHIM_LIMIT: '0%' is not a size, a "
			       "percentage from 1% to 100% or none; using "
			       "95%" },
	{ "HUGESHIM_RETAIN=-1",
	  "HUGESHIM_RETAIN: '-1' is not a size; using 64M" },
	{ "HUGESHIM_RETAIN=18446744073709551616",
	  "HUGESHIM_RETAIN: '18446744073709551616' is not a size; using 64M" },
	{ "HUGESHIM_RETAIN=16777216T",
	  "HUGESHIM_RETAIN: '16777216T' is not a size; using 64M" },
	{ "HUGESHIM_BASE_FIRST=1Q",
	  "HUGESHIM_BASE_FIRST: '1Q' is not a size; using 1M" },
	{ "HUGESHIM_DECAY=-2", "HUGESHIM_DECAY: '-2' is not a number from -1 "
			       "to 86400000; using 10000" },
	{ "HUGESHIM_VERBOSE=4",
	  "HUGESHIM_VERBOSE: '4' is not a number from 0 to 3; using 0" },
	{ "HUGESHIM_VERBOSE=1x",
	  "HUGESHIM_VERBOSE: '1x' is not a number from 0 to 3; using 0" },
	{ "HUGETLB_VERBOSE=100",
	  "HUGETLB_VERBOSE: '100' is not a number from 0 to 99; using 0" },
	{ "HUGESHIM_MOUNT=mnt", "HUGESHIM_MOUNT: 'mnt' is not an absolute "
				"path below 1024 bytes; ignored" },
	{ "HUGESHIM_PAGESIZE=2M",
	  "HUGESHIM_PAGESIZE: no such variable; ignored" },
	{ "HUGESHIM_=2M", "HUGESHIM_: no such variable; ignored" },
	{ "HUGESHIM_HEAP=a\nb\x1b[31m",
	  "HUGESHIM_HEAP: 'a?b?[31m' is not yes, no, thp or a huge page size; "
	  "using yes" },
	{ "HUGESHIM_DECAY="
	  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	  "HUGESHIM_DECAY: '0123456789abcdef0123456789abcdef0123456789ab...' "
	  "is not a number from -1 to 86400000; using 10000" },
};

START_TEST(bad_value_is_one_line)
{
	char line[512];

	WITH(bad[_i].entry);
	hs_log_format(line, sizeof(line), "libhugeshim: %s\n", bad[_i].line);
	ck_said(line);
}
END_TEST

START_TEST(bad_values_are_one_line_each)
{
	const char *p = said;
	int lines = 0;

	WITH("HUGESHIM_LIMIT=x", "HUGESHIM_COW=x", "HUGESHIM_X=x",
	     "HUGESHIM_FALLBACK=");
	while ((p = strchr(p, '\n')) != NULL) {
		lines++;
		p++;
	}
	ck_assert_int_eq(lines, 3);
}
END_TEST

/* A bad value leaves what the name of lower precedence said. */
START_TEST(bad_value_uses_the_next)
{
	ck_assert_uint_eq(WITH("HUGESHIM_PAGE_SIZE=3M",
			       "HUGETLB_DEFAULT_PAGE_SIZE=1G")
				  ->page_size_bytes, HS_GIB);
	ck_said("libhugeshim: HUGESHIM_PAGE_SIZE: '3M' is not a huge page "
		"size; using 1G\n");
}
END_TEST

static char long_path[HS_CONFIG_PATH_MAX + 64] = "HUGESHIM_STATS=";

START_TEST(long_path_is_refused)
{
	memset(long_path + strlen(long_path), 'x', HS_CONFIG_PATH_MAX);
	ck_assert_ptr_null(WITH(long_path)->stats_path);
	ck_assert_ptr_nonnull(strstr(said, "...' is not a path below 1024"));
}
END_TEST

/* Programs that write a title over their arguments change the environment. */
START_TEST(text_is_copied)
{
	char stats[] = "HUGESHIM_STATS=/s", mount[] = "HUGESHIM_MOUNT=/m";

	WITH(stats, mount);
	memset(stats, 'X', sizeof(stats) - 1);
	memset(mount, 'X', sizeof(mount) - 1);
	ck_assert_str_eq(hs_config->stats_path, "/s");
	ck_assert_str_eq(hs_config->mount, "/m");
}
END_TEST

START_TEST(limit_forms)
{
	const struct hs_config *c = WITH("HUGESHIM_LIMIT=none");

	ck_assert_uint_eq(c->limit_bytes, SIZE_MAX);
	ck_assert_uint_eq(c->limit_percent, 0);
	c = WITH("HUGESHIM_LIMIT=100%");
	ck_assert_uint_eq(c->limit_bytes, SIZE_MAX);
	ck_assert_uint_eq(c->limit_percent, 100);
	c = WITH("HUGESHIM_LIMIT=0");
	ck_assert_uint_eq(c->limit_bytes, 0);
	ck_assert_uint_eq(c->limit_percent, 0);
}
END_TEST

START_TEST(stats_forms)
{
	ck_assert_str_eq(WITH("HUGESHIM_STATS=-")->stats_path, "-");
	ck_assert_str_eq(WITH("HUGESHIM_STATS=yes")->stats_path, "-");
	ck_assert_ptr_null(WITH("HUGESHIM_STATS=off")->stats_path);
	ck_assert_str_eq(WITH("HUGESHIM_STATS=./on")->stats_path, "./on");
}
END_TEST

START_TEST(secure_ignores_the_environment)
{
	static const char *const envp[] = {
		"HUGESHIM=off",
		"HUGESHIM_DECAY=1",
		"HUGESHIM_STATS=/tmp/x",
		"HUGESHIM_BAD=1",
		"HUGETLB_MORECORE=no",
		"HUGESHIM_LIMIT=x",
		NULL,
	};

	machine();
	fake_files_add(CONF, "decay = 7\n");
	hs_config_init((char *const *)envp, true);
	ck_silent();
	ck_assert(hs_config->secure && hs_config->enabled && hs_config->heap);
	ck_assert_int_eq(hs_config->decay_ms, 7);
	ck_assert_ptr_null(hs_config->stats_path);
}
END_TEST

START_TEST(file_gives_defaults)
{
	const struct hs_config *c;

	fake_files_add(CONF, "# comment\n\n  decay=7 \nretain\t=\t3M\r\n"
			     "heap = thp\nenabled = off\nmount = /h");
	c = WITH("HUGESHIM_DECAY=9");
	ck_silent();
	ck_assert_int_eq(c->decay_ms, 9);
	ck_assert_uint_eq(c->retain_bytes, 3 * HS_MIB);
	ck_assert_int_eq(c->backing, HS_BACKING_THP);
	ck_assert_str_eq(c->mount, "/h");
	ck_assert(!c->enabled);
	ck_assert(WITH("HUGESHIM=on")->enabled);
	ck_assert_int_eq(fake_nr_open, 0);
}
END_TEST

START_TEST(file_read_in_pieces)
{
	fake_read_max = (size_t)_i;
	FILE_SAYS("decay = 7\nretain = 3M\n\nbacking = thp");
	ck_silent();
	ck_assert_int_eq(hs_config->decay_ms, 7);
	ck_assert_uint_eq(hs_config->retain_bytes, 3 * HS_MIB);
	ck_assert_int_eq(hs_config->backing, HS_BACKING_THP);
}
END_TEST

START_TEST(file_errors_have_line_numbers)
{
	FILE_SAYS("# first\ndecay = never\nnonsense\nfoo = 1\n"
		  "restrict_exe = a\nretain = 3M\n");
	ck_said("libhugeshim: " CONF ":2: decay: 'never' is not a number from "
		"-1 to 86400000; using 10000\n"
		"libhugeshim: " CONF ":3: not of the form option = value; "
		"ignored\n"
		"libhugeshim: " CONF ":4: no such option; ignored\n"
		"libhugeshim: " CONF ":5: no such option; ignored\n");
	ck_assert_uint_eq(hs_config->retain_bytes, 3 * HS_MIB);
}
END_TEST

START_TEST(file_long_line)
{
	static char text[8192] = "decay = 1\nretain = ";

	memset(text + strlen(text), '9', 5000);
	strcat(text, "\nretain = 3M\nbad\n");
	FILE_SAYS(text);
	ck_said("libhugeshim: " CONF ":2: line too long; ignored\n"
		"libhugeshim: " CONF ":4: not of the form option = value; "
		"ignored\n");
	ck_assert_uint_eq(hs_config->retain_bytes, 3 * HS_MIB);
	ck_assert_int_eq(hs_config->decay_ms, 1);
}
END_TEST

static void distrusted(mode_t mode, uid_t uid, bool loud)
{
	conf_stat.st_mode = mode;
	conf_stat.st_uid = uid;
	FILE_SAYS("decay = 7\ndeny = *\n");
	ck_assert_int_eq(hs_config->decay_ms, 10000);
	ck_assert(hs_config->enabled);
	ck_assert_int_eq(fake_nr_open, 0);
	if (!loud)
		ck_silent();
	else
		ck_said("libhugeshim: " CONF ": not a regular file that "
			"belongs to root and only root may write; ignored\n");
}

START_TEST(file_of_others_is_not_believed)
{
	distrusted(S_IFREG | 0664, 0, true);
	distrusted(S_IFREG | 0646, 0, true);
	distrusted(S_IFREG | 0644, 1000, true);
	distrusted(S_IFDIR | 0755, 0, true);
	distrusted(S_IFIFO | 0644, 0, true);
	/* A user namespace that does not map root: nobody's fault. */
	distrusted(S_IFREG | 0644, 65534, false);
}
END_TEST

START_TEST(file_that_cannot_be_read)
{
	fake_files_fail(CONF, -ENOTDIR);
	WITH("A=b");
	ck_silent();
	fake_files_fail(CONF, -EACCES);
	WITH("A=b");
	ck_silent();
	ck_assert(hs_config->enabled);
	fake_files_fail(CONF, EIO);
	WITH("A=b");
	ck_said("libhugeshim: " CONF ":1: cannot be read (error 5)\n");
	ck_assert(hs_config->enabled);
}
END_TEST

START_TEST(file_limit_is_a_cap)
{
	const struct hs_config *c;

	fake_files_add(CONF, "limit = 50%\n");
	ck_assert_uint_eq(WITH("A=b")->limit_percent, 50);
	ck_assert_uint_eq(WITH("HUGESHIM_LIMIT=30%")->limit_percent, 30);
	ck_assert_uint_eq(WITH("HUGESHIM_LIMIT=90%")->limit_percent, 50);
	ck_assert_uint_eq(WITH("HUGESHIM_LIMIT=none")->limit_percent, 50);
	c = WITH("HUGESHIM_LIMIT=1G");
	ck_assert_uint_eq(c->limit_percent, 50);
	ck_assert_uint_eq(c->limit_bytes, HS_GIB);
	fake_files_add(CONF, "limit = 2G\n");
	ck_assert_uint_eq(WITH("HUGESHIM_LIMIT=1G")->limit_bytes, HS_GIB);
	ck_assert_uint_eq(WITH("HUGESHIM_LIMIT=3G")->limit_bytes, 2 * HS_GIB);
	c = WITH("HUGESHIM_LIMIT=40%");
	ck_assert_uint_eq(c->limit_percent, 40);
	ck_assert_uint_eq(c->limit_bytes, 2 * HS_GIB);
}
END_TEST

static const struct {
	const char *exe;
	const char *file;
	bool enabled;
} rules[] = {
	{ "/usr/bin/java", "deny = java\n", false },
	{ "/usr/bin/java", "deny = jav\n", true },
	{ "/usr/bin/java", "deny = perl  j?va\n", false },
	{ "/usr/bin/java", "deny = /usr/bin/*\n", false },
	{ "/usr/bin/java", "deny = /usr/*\n", false },
	{ "/usr/bin/java", "deny = /bin/java\n", true },
	{ "/usr/bin/java", "deny = */java\n", true },
	{ "/usr/bin/java", "deny =\n", true },
	{ "/usr/bin/java (deleted)", "deny = java\n", false },
	{ "/usr/bin/java", "allow = perl\n", false },
	{ "/usr/bin/java", "allow = perl\nallow = java\n", true },
	{ "/usr/bin/java", "allow = java\ndeny = java\n", false },
};

/* The environment has no say in it. */
START_TEST(file_rules)
{
	exe = rules[_i].exe;
	fake_files_add(CONF, rules[_i].file);
	ck_assert_int_eq(WITH("HUGESHIM=on")->enabled, rules[_i].enabled);
	ck_silent();
}
END_TEST

START_TEST(denied_is_said_when_asked)
{
	fake_files_add(CONF, "deny = program\n");
	WITH("HUGESHIM_VERBOSE=2");
	ck_said("libhugeshim: off: denied by " CONF "\n");
}
END_TEST

START_TEST(restrict_exe)
{
	ck_assert(!WITH("HUGESHIM_RESTRICT_EXE=java:perl")->enabled);
	ck_silent();
}
END_TEST

START_TEST(restrict_exe_names_it)
{
	ck_assert(WITH("HUGETLB_RESTRICT_EXE=java:program:x")->enabled);
	ck_silent();
}
END_TEST

/* Without /proc the name given to execve has to do: that of this test. */
START_TEST(exe_without_proc)
{
	exe = NULL;
	ck_assert(WITH("HUGESHIM_RESTRICT_EXE=test_config:lt-test_config")
			  ->enabled);
}
END_TEST

static const struct {
	const char *pattern;
	const char *text;
	bool matches;
} globs[] = {
	{ "", "", true },	    { "", "a", false },
	{ "*", "", true },	    { "*", "abc", true },
	{ "a*c", "abbc", true },    { "a*c", "abcb", false },
	{ "*a*b*", "xxaxxbx", true }, { "*ab", "aab", true },
	{ "?", "", false },	    { "?", "a", true },
	{ "a?", "a", false },	    { "[abc]x", "bx", true },
	{ "[a-c]x", "dx", false },  { "[!a-c]x", "dx", true },
	{ "[^a]x", "ax", false },   { "[]]x", "]x", true },
	{ "[a-]x", "-x", true },    { "[a", "[a", true },
	{ "[a", "a", false },	    { "qemu-*", "qemu-system-x86", true },
	{ "a**b", "ab", true },	    { "a*", "b", false },
	{ "*[0-9]", "lib9", true }, { "abc", "ab", false },
};

START_TEST(glob)
{
	ck_assert_int_eq(hs_config_glob(globs[_i].pattern, globs[_i].text),
			 globs[_i].matches);
}
END_TEST

START_TEST(parse_size)
{
	size_t n = 1;

	ck_assert_int_eq(hs_config_parse_size("17", &n), 0);
	ck_assert_uint_eq(n, 17);
	ck_assert_int_eq(hs_config_parse_size("4k", &n), 0);
	ck_assert_uint_eq(n, 4096);
	ck_assert_int_eq(hs_config_parse_size("2MiB", &n), 0);
	ck_assert_uint_eq(n, 2 * HS_MIB);
	ck_assert_int_eq(hs_config_parse_size("1GB", &n), 0);
	ck_assert_uint_eq(n, HS_GIB);
	ck_assert_int_eq(hs_config_parse_size("", &n), -EINVAL);
	ck_assert_int_eq(hs_config_parse_size("M", &n), -EINVAL);
	ck_assert_int_eq(hs_config_parse_size("1.5M", &n), -EINVAL);
	ck_assert_int_eq(hs_config_parse_size(" 1", &n), -EINVAL);
	ck_assert_int_eq(hs_config_parse_size("1 M", &n), -EINVAL);
	ck_assert_int_eq(hs_config_parse_size("1MM", &n), -EINVAL);
	ck_assert_int_eq(hs_config_parse_size("99999999999999999999", &n),
			 -ERANGE);
	ck_assert_int_eq(hs_config_parse_size("18014398509481984K", &n),
			 -ERANGE);
	ck_assert_uint_eq(n, HS_GIB);
}
END_TEST

START_TEST(check)
{
	char why[160];

	machine();
	ck_assert_int_eq(hs_config_check("HUGESHIM_LIMIT", "50%", why,
					 sizeof(why)), 0);
	ck_assert_int_eq(hs_config_check("HUGESHIM_PAGE_SIZE", "3M", why,
					 sizeof(why)), -EINVAL);
	ck_assert_str_eq(why, "'3M' is not a huge page size");
	ck_assert_int_eq(hs_config_check("HUGESHIM_NO", "3M", why,
					 sizeof(why)), -ENOENT);
	/* What was checked is not in force. */
	ck_assert_uint_eq(hs_config->limit_percent, 95);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, no_environment);
	tcase_add_test(tc, each_variable);
	tcase_add_test(tc, old_names);
	tcase_add_test(tc, our_names_win);
	tcase_add_test(tc, first_of_two_counts);
	tcase_add_test(tc, noted);
	tcase_add_loop_test(tc, bad_value_is_one_line, 0,
			    (int)HS_ARRAY_SIZE(bad));
	tcase_add_test(tc, bad_values_are_one_line_each);
	tcase_add_test(tc, bad_value_uses_the_next);
	tcase_add_test(tc, long_path_is_refused);
	tcase_add_test(tc, text_is_copied);
	tcase_add_test(tc, limit_forms);
	tcase_add_test(tc, stats_forms);
	tcase_add_test(tc, secure_ignores_the_environment);
	tcase_add_test(tc, file_gives_defaults);
	tcase_add_loop_test(tc, file_read_in_pieces, 1, 16);
	tcase_add_test(tc, file_errors_have_line_numbers);
	tcase_add_test(tc, file_long_line);
	tcase_add_test(tc, file_of_others_is_not_believed);
	tcase_add_test(tc, file_that_cannot_be_read);
	tcase_add_test(tc, file_limit_is_a_cap);
	tcase_add_loop_test(tc, file_rules, 0, (int)HS_ARRAY_SIZE(rules));
	tcase_add_test(tc, denied_is_said_when_asked);
	tcase_add_test(tc, restrict_exe);
	tcase_add_test(tc, restrict_exe_names_it);
	tcase_add_test(tc, exe_without_proc);
	tcase_add_loop_test(tc, glob, 0, (int)HS_ARRAY_SIZE(globs));
	tcase_add_test(tc, parse_size);
	tcase_add_test(tc, check);
}

int main(void)
{
	return unit_main("config", add);
}
