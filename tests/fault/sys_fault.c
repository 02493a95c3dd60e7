/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fault/sys_fault.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define RULES_MAX 16
#define ENVIRON_BYTES 65536

struct rule {
	int member;
	int err;
	uint64_t nth;
	bool forever;
};

static struct rule rules[RULES_MAX];
static unsigned nr_rules;
static struct hs_fault_counts own_counts;
static struct hs_fault_counts *_Atomic counts = &own_counts;
static const struct hs_sys *real;

/* clang-format off */
#define ERRORS(X) \
	X(E2BIG) X(EACCES) X(EAGAIN) X(EBADF) X(EBUSY) X(EDQUOT) \
	X(EEXIST) X(EFAULT) X(EFBIG) X(EHWPOISON) X(EINTR) \
	X(EINVAL) X(EIO) X(EISDIR) X(ELOOP) X(EMFILE) \
	X(ENAMETOOLONG) X(ENFILE) X(ENODEV) X(ENOENT) X(ENOMEM) \
	X(ENOSPC) X(ENOSYS) X(ENOTDIR) X(ENOTTY) X(ENXIO) \
	X(EOPNOTSUPP) X(EOVERFLOW) X(EPERM) X(EPIPE) X(EROFS) X(ESPIPE) \
	X(ESRCH) X(ETIMEDOUT) X(ETXTBSY)
/* clang-format on */

static const struct {
	const char *name;
	int err;
} errors[] = {
#define X(name) { #name, name },
	ERRORS(X)
#undef X
};

static const char *const member_names[] = {
#define X(name) #name,
	HS_FAULT_MEMBERS(X)
#undef X
};

_Static_assert(sizeof(struct hs_sys) ==
		       HS_FAULT_NR_MEMBERS * sizeof(void (*)(void)),
	       "a member of struct hs_sys is missing in HS_FAULT_MEMBERS");
_Static_assert(sizeof(struct hs_fault_counts) <= HS_FAULT_FILE_BYTES,
	       "the counts fit the file");

int hs_fault_member(const char *name)
{
	for (size_t i = 0; i < HS_ARRAY_SIZE(member_names); i++)
		if (strcmp(name, member_names[i]) == 0)
			return (int)i;
	return -1;
}

const char *hs_fault_member_name(int member)
{
	return member_names[member];
}

int hs_fault_error(const char *name)
{
	for (size_t i = 0; i < HS_ARRAY_SIZE(errors); i++)
		if (strcmp(name, errors[i].name) == 0)
			return errors[i].err;
	return 0;
}

static void start(void);

/* 0, or the negative error that this call of @member is to return. */
static int fault(enum hs_fault_member member)
{
	struct hs_fault_counts *c;
	uint64_t nth;

	start();
	c = atomic_load(&counts);
	nth = atomic_fetch_add(&c->calls[member], 1) + 1;
	for (unsigned i = 0; i < nr_rules; i++) {
		const struct rule *rule = &rules[i];

		if (rule->member != (int)member || !rule->err)
			continue;
		if (rule->forever ? nth < rule->nth : nth != rule->nth)
			continue;
		atomic_fetch_add(&c->failed[member], 1);
		return -rule->err;
	}
	return 0;
}

/* --- the table ----------------------------------------------------------- */

#define FAULTY(type, name, params, args)                                       \
	static type fault_##name params                                        \
	{                                                                      \
		int err = fault(HS_FAULT_##name);                              \
                                                                               \
		return err ? (type)(intptr_t)err : real->name args;            \
	}

FAULTY(void *, mmap,
       (void *addr, size_t len, int prot, int flags, int fd, off_t off),
       (addr, len, prot, flags, fd, off))
FAULTY(int, munmap, (void *addr, size_t len), (addr, len))
FAULTY(int, mprotect, (void *addr, size_t len, int prot), (addr, len, prot))
FAULTY(void *, mremap,
       (void *old, size_t old_len, size_t new_len, int flags, void *new_addr),
       (old, old_len, new_len, flags, new_addr))
FAULTY(int, mincore, (void *addr, size_t len, unsigned char *vec),
       (addr, len, vec))
FAULTY(int, mbind,
       (void *addr, size_t len, int mode, const unsigned long *nodes,
	unsigned long max_node, unsigned flags),
       (addr, len, mode, nodes, max_node, flags))
FAULTY(int, open, (const char *path, int flags, int mode), (path, flags, mode))
FAULTY(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
FAULTY(ssize_t, pread, (int fd, void *buf, size_t len, off_t off),
       (fd, buf, len, off))
FAULTY(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len))
FAULTY(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t off),
       (fd, buf, len, off))
FAULTY(int, ftruncate, (int fd, off_t len), (fd, len))
FAULTY(int, fstat, (int fd, struct stat *buf), (fd, buf))
FAULTY(int, fstatfs, (int fd, void *buf), (fd, buf))
FAULTY(int, dup_cloexec, (int fd, int lowest), (fd, lowest))
FAULTY(int, ioctl, (int fd, unsigned long request, void *arg),
       (fd, request, arg))
FAULTY(int, readlink, (const char *path, char *buf, size_t len),
       (path, buf, len))
FAULTY(int, futex_wait,
       (_Atomic uint32_t *word, uint32_t expected,
	const struct timespec *timeout),
       (word, expected, timeout))
FAULTY(int, futex_wake, (_Atomic uint32_t *word, int nr), (word, nr))
FAULTY(int, sigaction, (int sig, const void *act, void *old), (sig, act, old))
FAULTY(int, sigprocmask, (int how, const void *set, void *old), (how, set, old))
FAULTY(int, sigtimedwait,
       (const void *set, void *info, const struct timespec *timeout),
       (set, info, timeout))
FAULTY(int, prctl,
       (int option, unsigned long a2, unsigned long a3, unsigned long a4,
	unsigned long a5),
       (option, a2, a3, a4, a5))
FAULTY(int, getrlimit, (int resource, struct rlimit64 *limit),
       (resource, limit))
FAULTY(int, getrandom, (void *buf, size_t len, unsigned flags),
       (buf, len, flags))
FAULTY(int, getpid, (void), ())
FAULTY(int, gettid, (void), ())
FAULTY(int, tgkill, (int pid, int tid, int sig), (pid, tid, sig))
FAULTY(int, clock_gettime, (int clock, struct timespec *ts), (clock, ts))
FAULTY(int, sched_yield, (void), ())

static int fault_close(int fd)
{
	int err = fault(HS_FAULT_close);
	int ret = real->close(fd);

	return err ? err : ret;
}

static int fault_madvise(void *addr, size_t len, int advice)
{
	int err = fault(HS_FAULT_madvise);

	if (!err)
		return real->madvise(addr, len, advice);
	if (err == -EFAULT && advice == MADV_POPULATE_WRITE)
		real->madvise(addr, hs_align_down(len / 2, 2 * HS_MIB), advice);
	return err;
}

#define TABLE                                                                  \
	{                                                                      \
		.mmap = fault_mmap, .munmap = fault_munmap,                    \
		.mprotect = fault_mprotect, .madvise = fault_madvise,          \
		.mremap = fault_mremap, .mincore = fault_mincore,              \
		.mbind = fault_mbind,                                          \
		.open = fault_open, .close = fault_close, .read = fault_read,  \
		.pread = fault_pread, .write = fault_write,                    \
		.pwrite = fault_pwrite,                                        \
		.ftruncate = fault_ftruncate, .fstat = fault_fstat,            \
		.fstatfs = fault_fstatfs, .dup_cloexec = fault_dup_cloexec,    \
		.ioctl = fault_ioctl, .readlink = fault_readlink,              \
		.futex_wait = fault_futex_wait,                                \
		.futex_wake = fault_futex_wake, .sigaction = fault_sigaction,  \
		.sigprocmask = fault_sigprocmask,                              \
		.sigtimedwait = fault_sigtimedwait, .prctl = fault_prctl,      \
		.getrlimit = fault_getrlimit, .getrandom = fault_getrandom,    \
		.getpid = fault_getpid, .gettid = fault_gettid,                \
		.tgkill = fault_tgkill, .clock_gettime = fault_clock_gettime,  \
		.sched_yield = fault_sched_yield,                              \
	}

#ifndef HS_SYS_FAULT

static void start(void)
{
}

void hs_fault_install(void)
{
	static const struct hs_sys table = TABLE;
	static struct hs_sys before;

	before = hs_sys;
	real = &before;
	hs_sys = table;
}

void hs_fault_set(int member, int err, uint64_t nth, bool forever)
{
	memset(&own_counts, 0, sizeof(own_counts));
	rules[0] = (struct rule){ member, err, nth, forever };
	nr_rules = 1;
}

const struct hs_fault_counts *hs_fault_counts(void)
{
	return atomic_load(&counts);
}

#else

struct hs_sys hs_sys = TABLE;
extern struct hs_sys hs_sys_kernel; /* sys.c, built with HS_SYS_FAULT */

/* The text up to @end into @word and past it, or NULL when it is too long. */
static const char *take_word(const char *text, char end, char *word,
			     size_t size)
{
	size_t len = 0;

	while (text[len] && text[len] != end)
		len++;
	if (len >= size)
		return NULL;
	memcpy(word, text, len);
	word[len] = '\0';
	return text[len] ? text + len + 1 : text + len;
}

/* A test that asks for what there is not must not pass. */
static void bad_rule(void)
{
	static const char message[] = "sys_fault: bad HS_FAULT\n";

	real->write(2, message, sizeof(message) - 1);
	hs_sys_abort();
}

static const char *take_rule(const char *text, struct rule *rule)
{
	char word[32];

	text = take_word(text, ':', word, sizeof(word));
	if (!text || (rule->member = hs_fault_member(word)) < 0)
		return NULL;
	text = take_word(text, ':', word, sizeof(word));
	if (!text || (rule->err = hs_fault_error(word)) == 0)
		return NULL;
	text = take_word(text, ':', word, sizeof(word));
	if (!text || (strcmp(word, "once") != 0 && strcmp(word, "from") != 0))
		return NULL;
	rule->forever = word[0] == 'f';
	text = take_word(text, ',', word, sizeof(word));
	if (!text || !word[0])
		return NULL;
	rule->nth = 0;
	for (const char *p = word; *p; p++)
		rule->nth = rule->nth * 10 + (uint64_t)(*p - '0');
	return text;
}

static void parse(const char *text)
{
	while (*text) {
		if (nr_rules == RULES_MAX)
			bad_rule();
		text = take_rule(text, &rules[nr_rules]);
		if (!text)
			bad_rule();
		nr_rules++;
	}
}

static void share_counts(const char *path)
{
	int fd = real->open(path, O_RDWR, 0);
	void *p;

	if (fd < 0)
		return;
	p = real->mmap(NULL, HS_FAULT_FILE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	real->close(fd);
	if (!hs_sys_is_err(p))
		atomic_store(&counts, p);
}

/* libc may not have an environment yet: the kernel has. */
static void read_environment(void)
{
	static char text[ENVIRON_BYTES];
	size_t used = 0;
	ssize_t got;
	int fd = real->open("/proc/self/environ", O_RDONLY, 0);

	if (fd < 0)
		return;
	while ((got = real->read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	real->close(fd);
	for (const char *p = text; p < text + used; p += strlen(p) + 1) {
		if (strncmp(p, "HS_FAULT=", 9) == 0)
			parse(p + 9);
		else if (strncmp(p, "HS_FAULT_COUNTS=", 16) == 0)
			share_counts(p + 16);
	}
}

static void start(void)
{
	static _Atomic int state; /* 0 not, 1 being, 2 started */
	int none = 0;

	if (hs_likely(atomic_load(&state) == 2))
		return;
	if (atomic_compare_exchange_strong(&state, &none, 1)) {
		real = &hs_sys_kernel;
		read_environment();
		atomic_store(&state, 2);
	}
	while (atomic_load(&state) != 2)
		hs_sys_kernel.sched_yield();
}

#endif
