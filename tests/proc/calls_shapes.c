/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls_shapes.c - one call of each shape through which the kernel writes or
 * reads memory, on heap memory that is shared with a fork child while no huge
 * page is free: right bytes, no EFAULT.
 *
 *   calls_shapes [NAME...]    all shapes, or those named
 *
 * Each shape gets a slot (2 MiB, aligned) of its own, filled with a pattern
 * and not written since the fork.  Run bare it shows what the kernel and libc
 * do with base pages: the same.
 */
#include <aio.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>

#include "../lib/hs_test.h"

#define SLOT ((size_t)2 << 20)
/* Enough for all of a shape's buffers; the rest of a slot keeps the pattern. */
#define PART ((size_t)64 << 10)

#define WANT(cond)                                                             \
	do {                                                                   \
		if (!(cond))                                                   \
			return __LINE__;                                       \
	} while (0)

/* What a call only reads, or reads first, when that is not what is tested: a
 * store of ours into the slot would make its copy before the call. */
static _Alignas(64) char aux[8192];

static const char text[] = "the quick brown fox jumps over the lazy dog";

/* --- files -------------------------------------------------------------- */

static int file_with_text(void)
{
	char path[] = "/tmp/calls_shapes.XXXXXX";
	int fd = mkstemp(path);

	HS_T_CHECK(fd >= 0);
	unlink(path);
	HS_T_CHECK(write(fd, text, sizeof(text)) == sizeof(text));
	HS_T_CHECK(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static int shape_read(char *p)
{
	int fd = file_with_text();

	WANT(read(fd, p, PART) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);

static int shape_read_chk(char *p)
{
	int fd = file_with_text();

	WANT(__read_chk(fd, p, PART, PART) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

static int shape_pread(char *p)
{
	int fd = file_with_text();

	WANT(pread(fd, p, PART, 4) == sizeof(text) - 4);
	WANT(memcmp(p, text + 4, sizeof(text) - 4) == 0);
	close(fd);
	return 0;
}

static int shape_pread_chk(char *p)
{
	int fd = file_with_text();

	WANT(__pread_chk(fd, p, PART, 4, PART) == sizeof(text) - 4);
	WANT(memcmp(p, text + 4, sizeof(text) - 4) == 0);
	close(fd);
	return 0;
}

static int shape_readv(char *p)
{
	int fd = file_with_text();
	struct iovec iov[3];
	char spare[8];

	iov[0] = (struct iovec){ p, 4 };
	iov[1] = (struct iovec){ spare, 6 };
	iov[2] = (struct iovec){ p + 4096, 100 };
	WANT(readv(fd, iov, 3) == sizeof(text));
	WANT(memcmp(p, text, 4) == 0 && memcmp(spare, text + 4, 6) == 0);
	WANT(memcmp(p + 4096, text + 10, sizeof(text) - 10) == 0);
	close(fd);
	return 0;
}

static int shape_preadv2(char *p)
{
	int fd = file_with_text();
	struct iovec iov[2] = { { p, 10 }, { p + 8192, 100 } };

	WANT(preadv2(fd, iov, 2, 0, 0) == sizeof(text));
	WANT(memcmp(p, text, 10) == 0);
	WANT(memcmp(p + 8192, text + 10, sizeof(text) - 10) == 0);
	close(fd);
	return 0;
}

static int shape_write(char *p)
{
	int fd = file_with_text();
	char back[256];

	WANT(pwrite(fd, p, sizeof(back), 0) == sizeof(back));
	WANT(pread(fd, back, sizeof(back), 0) == sizeof(back));
	WANT(memcmp(p, back, sizeof(back)) == 0);
	close(fd);
	return 0;
}

static int shape_copy_file_range(char *p)
{
	int from = file_with_text(), to = file_with_text();
	loff_t *off = (loff_t *)p;

	off[0] = 4;
	memset(p + 16, 0, 16);
	WANT(copy_file_range(from, off, to, off + 2, 10, 0) == 10);
	WANT(off[0] == 14 && off[2] == 10);
	close(from);
	close(to);
	return 0;
}

static int shape_sendfile(char *p)
{
	int from = file_with_text(), fd[2];
	off_t *off = (off_t *)p;
	char got[10];

	WANT(pipe(fd) == 0);
	*off = 4;
	WANT(sendfile(fd[1], from, off, 10) == 10 && *off == 14);
	WANT(read(fd[0], got, 10) == 10 && memcmp(got, text + 4, 10) == 0);
	close(from);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_stat(char *p)
{
	struct stat *st = (struct stat *)p;
	struct statx *stx = (struct statx *)(p + 8192);

	WANT(stat("/proc/self/exe", st) == 0 && S_ISREG(st->st_mode));
	return statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, stx) == 0 &&
			       S_ISDIR(stx->stx_mode) ?
		       0 :
		       __LINE__;
}

static int shape_fstatat(char *p)
{
	struct stat *st = (struct stat *)p;

	WANT(fstatat(AT_FDCWD, "/", st, 0) == 0 && S_ISDIR(st->st_mode));
	return 0;
}

static int shape_statx(char *p)
{
	struct statx *st = (struct statx *)p;

	WANT(statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, st) == 0);
	WANT(S_ISDIR(st->stx_mode));
	return 0;
}

static int shape_statfs(char *p)
{
	struct statfs *st = (struct statfs *)p;

	WANT(statfs("/proc", st) == 0 && st->f_type == 0x9fa0);
	return 0;
}

static int shape_readlink(char *p)
{
	ssize_t n = readlink("/proc/self/exe", p, PART);

	WANT(n > 0 && p[0] == '/');
	return 0;
}

static int shape_getcwd(char *p)
{
	char want[4096];

	WANT(getcwd(want, sizeof(want)) == want);
	WANT(getcwd(p, PART) == p && strcmp(p, want) == 0);
	return 0;
}

static int shape_getdents(char *p)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	WANT(fd >= 0 && getdents64(fd, p, PART) > 0);
	close(fd);
	return 0;
}

static int shape_xattr(char *p)
{
	int fd = file_with_text();

	/* A file system without attributes: nothing to see. */
	if (fsetxattr(fd, "user.hs", "value", 5, 0) != 0)
		return close(fd);
	WANT(fgetxattr(fd, "user.hs", p, PART) == 5);
	WANT(memcmp(p, "value", 5) == 0);
	WANT(flistxattr(fd, p + 8192, PART) >= 8);
	close(fd);
	return 0;
}

static int shape_handle(char *p)
{
	struct file_handle *h = (struct file_handle *)p;
	int *mount = (int *)(p + 8192);

	h->handle_bytes = 128;
	if (name_to_handle_at(AT_FDCWD, "/tmp", h, mount, 0) != 0)
		WANT(errno == EOPNOTSUPP || errno == EPERM);
	return 0;
}

static int shape_mincore(char *p)
{
	unsigned char *vec = (unsigned char *)p;

	WANT(mincore((void *)((uintptr_t)p & ~4095UL), 4096, vec) == 0);
	WANT(*vec & 1);
	return 0;
}

static int shape_mlock(char *p)
{
	WANT(mlock(p, 8192) == 0);
	WANT(munlock(p, 8192) == 0);
	return 0;
}

static int shape_fcntl(char *p)
{
	struct flock *l = (struct flock *)p;
	int fd = file_with_text();

	memset(l, 0, sizeof(*l));
	l->l_type = F_WRLCK;
	WANT(fcntl(fd, F_GETLK, l) == 0 && l->l_type == F_UNLCK);
	close(fd);
	return 0;
}

static int shape_ioctl(char *p)
{
	int fd[2], *n = (int *)p;

	WANT(pipe(fd) == 0 && write(fd[1], text, 7) == 7);
	WANT(ioctl(fd[0], FIONREAD, n) == 0 && *n == 7);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_ioctl_tty(char *p)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	struct winsize *w = (struct winsize *)p;

	if (fd < 0)
		return 0;
	WANT(ioctl(fd, TIOCGWINSZ, w) == 0 && w->ws_row == 0);
	WANT(ioctl(fd, TIOCGPTN, p + 8192) == 0);
	close(fd);
	return 0;
}

struct conf {
	int len;
	char *buf;
};

static int shape_ioctl_conf(char *p)
{
	struct conf *conf = (struct conf *)aux;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	WANT(fd >= 0);
	conf->len = 4096;
	conf->buf = p + 8192;
	WANT(ioctl(fd, 0x8912 /* SIOCGIFCONF */, conf) == 0);
	WANT(conf->len >= 0 && conf->len <= 4096);
	close(fd);
	return 0;
}

static int shape_fread(char *p)
{
	FILE *f = fopen("/proc/self/exe", "r");

	WANT(f != NULL);
	WANT(fread(p, 1, PART, f) == PART && memcmp(p, "\177ELF", 4) == 0);
	WANT(!ferror(f));
	fclose(f);
	return 0;
}

static int shape_setvbuf(char *p)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];

	WANT(f != NULL && setvbuf(f, p, _IOFBF, PART) == 0);
	WANT(fgets(line, sizeof(line), f) != NULL);
	WANT(strncmp(line, "Name:", 5) == 0);
	fclose(f);
	return 0;
}

/* The stream's memory is libc's own, and was there before the fork. */
static FILE *old_stream;
static DIR *old_dir;

static int shape_stdio(char *p)
{
	char line[256];

	(void)p;
	WANT(fgets(line, sizeof(line), old_stream) != NULL);
	WANT(strncmp(line, "Name:", 5) == 0);
	return 0;
}

static int shape_readdir(char *p)
{
	int n = 0;

	(void)p;
	while (readdir(old_dir) != NULL)
		n++;
	WANT(n > 2);
	return 0;
}

static int shape_new_stdio(char *p)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char *line = NULL;
	size_t size = 0, n = 0;

	(void)p;
	WANT(f != NULL);
	while (getline(&line, &size, f) > 0)
		n++;
	WANT(n > 5 && !ferror(f));
	free(line);
	fclose(f);
	return 0;
}

static int shape_localtime(char *p)
{
	time_t noon = 1700000000;
	struct tm *tm;

	(void)p;
	if (access("/usr/share/zoneinfo/Asia/Tokyo", R_OK) != 0)
		return 0;
	setenv("TZ", "Asia/Tokyo", 1);
	tzset();
	tm = localtime(&noon);
	WANT(tm != NULL && tm->tm_gmtoff == 9 * 3600);
	return 0;
}

/* --- sockets ------------------------------------------------------------ */

static int pair(int fd[2], int type)
{
	return socketpair(AF_UNIX, type, 0, fd);
}

static int shape_recv(char *p)
{
	int fd[2];

	WANT(pair(fd, SOCK_DGRAM) == 0);
	WANT(send(fd[1], text, sizeof(text), 0) == sizeof(text));
	WANT(recv(fd[0], p, PART, 0) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_recv_chk(char *p)
{
	int fd[2];

	WANT(pair(fd, SOCK_DGRAM) == 0);
	WANT(send(fd[1], text, sizeof(text), 0) == sizeof(text));
	WANT(__recv_chk(fd[0], p, PART, PART, 0) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int loopback(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(*addr);

	memset(addr, 0, sizeof(*addr));
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	HS_T_CHECK(fd >= 0);
	HS_T_CHECK(bind(fd, (void *)addr, sizeof(*addr)) == 0);
	HS_T_CHECK(getsockname(fd, (void *)addr, &len) == 0);
	return fd;
}

static int shape_recvfrom(char *p)
{
	struct sockaddr_in to, *from = (void *)(p + 8192);
	socklen_t *len = (socklen_t *)aux;
	int fd = loopback(&to);

	*len = sizeof(*from);
	WANT(sendto(fd, text, sizeof(text), 0, (void *)&to, sizeof(to)) ==
	     sizeof(text));
	WANT(recvfrom(fd, p, PART, 0, (void *)from, len) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	WANT(*len == sizeof(*from) && from->sin_port == to.sin_port);
	close(fd);
	return 0;
}

static int shape_recvmsg(char *p)
{
	struct msghdr *m = (struct msghdr *)aux;
	struct iovec iov[2] = { { p + 8192, 10 }, { p + 16384, 100 } };
	struct sockaddr_in to, *from = (void *)(p + 4096);
	int fd = loopback(&to), one = 1;

	WANT(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one)) == 0);
	WANT(sendto(fd, text, sizeof(text), 0, (void *)&to, sizeof(to)) ==
	     sizeof(text));
	memset(m, 0, sizeof(*m));
	m->msg_name = from;
	m->msg_namelen = sizeof(*from);
	m->msg_iov = iov;
	m->msg_iovlen = 2;
	m->msg_control = p + 32768;
	m->msg_controllen = 256;
	WANT(recvmsg(fd, m, 0) == sizeof(text));
	WANT(memcmp(p + 8192, text, 10) == 0);
	WANT(memcmp(p + 16384, text + 10, sizeof(text) - 10) == 0);
	WANT(from->sin_port == to.sin_port);
	WANT(CMSG_FIRSTHDR(m) != NULL &&
	     CMSG_FIRSTHDR(m)->cmsg_type == SCM_TIMESTAMP);
	close(fd);
	return 0;
}

static int shape_recvmmsg(char *p)
{
	struct mmsghdr *m = (struct mmsghdr *)aux;
	struct iovec iov[2] = { { p + 8192, 100 }, { p + 16384, 100 } };
	struct sockaddr_in to;
	int fd = loopback(&to), i;

	memset(m, 0, 2 * sizeof(*m));
	for (i = 0; i < 2; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		WANT(sendto(fd, text + i, 5, 0, (void *)&to, sizeof(to)) == 5);
	}
	WANT(recvmmsg(fd, m, 2, 0, NULL) == 2);
	WANT(m[0].msg_len == 5 && memcmp(p + 8192, text, 5) == 0);
	WANT(m[1].msg_len == 5 && memcmp(p + 16384, text + 1, 5) == 0);
	close(fd);
	return 0;
}

static int shape_sendmmsg(char *p)
{
	struct mmsghdr *m = (struct mmsghdr *)p;
	struct iovec iov = { p + 8192, 8 };
	int fd[2];
	char got[8];

	WANT(pair(fd, SOCK_DGRAM) == 0);
	memset(m, 0, sizeof(*m));
	m->msg_hdr.msg_iov = &iov;
	m->msg_hdr.msg_iovlen = 1;
	WANT(sendmmsg(fd[0], m, 1, 0) == 1 && m->msg_len == 8);
	WANT(recv(fd[1], got, 8, 0) == 8 && memcmp(got, p + 8192, 8) == 0);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_accept(char *p)
{
	struct sockaddr_in addr, *peer = (void *)p;
	socklen_t len = sizeof(addr), *peer_len = (socklen_t *)aux;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0), got;

	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	WANT(bind(fd, (void *)&addr, sizeof(addr)) == 0 && listen(fd, 1) == 0);
	WANT(getsockname(fd, (void *)&addr, &len) == 0);
	WANT(connect(client, (void *)&addr, sizeof(addr)) == 0);
	*peer_len = sizeof(*peer);
	got = accept(fd, (void *)peer, peer_len);
	WANT(got >= 0 && *peer_len == sizeof(*peer));
	WANT(peer->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	close(got);
	close(client);
	close(fd);
	return 0;
}

static int shape_sockname(char *p)
{
	struct sockaddr_in addr, *got = (void *)p;
	socklen_t *len = (socklen_t *)aux;
	int fd = loopback(&addr), *value = (int *)(p + 16384);

	*len = sizeof(addr);
	WANT(getsockname(fd, (void *)got, len) == 0);
	WANT(got->sin_port == addr.sin_port);
	*len = sizeof(int);
	WANT(getsockopt(fd, SOL_SOCKET, SO_TYPE, value, len) == 0);
	WANT(*value == SOCK_DGRAM);
	close(fd);
	return 0;
}

static int shape_socketpair(char *p)
{
	int *fd = (int *)p;

	WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	WANT(write(fd[0], "x", 1) == 1);
	WANT(close(fd[0]) == 0 && close(fd[1]) == 0);
	return 0;
}

static int shape_pipe(char *p)
{
	int *fd = (int *)p;

	WANT(pipe(fd) == 0);
	WANT(close(fd[0]) == 0 && close(fd[1]) == 0);
	return 0;
}

/* --- waiting ------------------------------------------------------------ */

static int ready_pipe(int fd[2])
{
	return pipe(fd) == 0 && write(fd[1], "x", 1) == 1 ? 0 : -1;
}

static int shape_poll(char *p)
{
	struct pollfd *pfd = (struct pollfd *)p;
	int fd[2];

	WANT(ready_pipe(fd) == 0);
	*pfd = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	WANT(poll(pfd, 1, -1) == 1 && pfd->revents == POLLIN);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_poll_chk(char *p)
{
	struct pollfd *pfd = (struct pollfd *)p;
	int fd[2];

	WANT(ready_pipe(fd) == 0);
	*pfd = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	WANT(__poll_chk(pfd, 1, -1, PART) == 1 && pfd->revents == POLLIN);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_ppoll(char *p)
{
	struct pollfd *pfd = (struct pollfd *)p;
	sigset_t all;
	int fd[2];

	sigfillset(&all);
	WANT(ready_pipe(fd) == 0);
	*pfd = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	WANT(ppoll(pfd, 1, NULL, &all) == 1 && pfd->revents == POLLIN);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_select(char *p)
{
	fd_set *in = (fd_set *)p, *out = (fd_set *)(p + 8192);
	struct timeval *tv = (struct timeval *)(p + 16384);
	int fd[2];

	WANT(ready_pipe(fd) == 0);
	FD_ZERO(in);
	FD_ZERO(out);
	FD_SET(fd[0], in);
	FD_SET(fd[1], out);
	*tv = (struct timeval){ .tv_sec = 10 };
	WANT(select(fd[1] + 1, in, out, NULL, tv) == 2);
	WANT(FD_ISSET(fd[0], in) && FD_ISSET(fd[1], out));
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_pselect(char *p)
{
	fd_set *in = (fd_set *)p;
	sigset_t all;
	int fd[2];

	sigfillset(&all);
	WANT(ready_pipe(fd) == 0);
	FD_ZERO(in);
	FD_SET(fd[0], in);
	WANT(pselect(fd[0] + 1, in, NULL, NULL, NULL, &all) == 1);
	WANT(FD_ISSET(fd[0], in));
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_epoll(char *p)
{
	struct epoll_event *e = (struct epoll_event *)p, add;
	int ep = epoll_create1(0), fd[2];

	memset(&add, 0, sizeof(add));
	add.events = EPOLLIN;
	add.data.u64 = 42;
	WANT(ep >= 0 && ready_pipe(fd) == 0);
	WANT(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &add) == 0);
	WANT(epoll_wait(ep, e, 64, -1) == 1 && e->data.u64 == 42);
	memset(e, 0, sizeof(*e));
	WANT(epoll_pwait(ep, e, 64, -1, NULL) == 1 && e->data.u64 == 42);
	close(ep);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_eventfd(char *p)
{
	eventfd_t *v = (eventfd_t *)p;
	int fd = eventfd(7, 0);

	WANT(fd >= 0 && eventfd_read(fd, v) == 0 && *v == 7);
	close(fd);
	return 0;
}

/* --- processes ---------------------------------------------------------- */

static pid_t child_exit(int status)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(status);
	return pid;
}

static int shape_waitpid(char *p)
{
	int *status = (int *)p;
	pid_t pid = child_exit(7);

	WANT(waitpid(pid, status, 0) == pid && WEXITSTATUS(*status) == 7);
	return 0;
}

static int shape_wait4(char *p)
{
	int *status = (int *)p;
	struct rusage *ru = (struct rusage *)(p + 8192);
	pid_t pid = child_exit(8);

	WANT(wait4(pid, status, 0, ru) == pid && WEXITSTATUS(*status) == 8);
	WANT(ru->ru_maxrss > 0);
	return 0;
}

static int shape_waitid(char *p)
{
	siginfo_t *info = (siginfo_t *)p;
	pid_t pid = child_exit(9);

	WANT(waitid(P_PID, (id_t)pid, info, WEXITED) == 0);
	WANT(info->si_pid == pid && info->si_status == 9);
	return 0;
}

extern char **environ;

static int shape_spawn(char *p)
{
	char *argv[] = { (char *)"true", NULL };
	pid_t *pid = (pid_t *)p;

	WANT(posix_spawnp(pid, "true", NULL, NULL, argv, environ) == 0);
	WANT(*pid > 0 && hs_t_wait(*pid) == 0);
	return 0;
}

static int shape_times(char *p)
{
	struct tms *t = (struct tms *)p;

	WANT(times(t) != (clock_t)-14 && t->tms_cutime >= 0);
	return 0;
}

static int shape_rusage(char *p)
{
	struct rusage *ru = (struct rusage *)p;
	struct rlimit *rl = (struct rlimit *)(p + 8192);

	WANT(getrusage(RUSAGE_SELF, ru) == 0 && ru->ru_maxrss > 0);
	WANT(getrlimit(RLIMIT_NOFILE, rl) == 0 && rl->rlim_cur > 0);
	return 0;
}

static int shape_prlimit(char *p)
{
	struct rlimit *rl = (struct rlimit *)p;

	WANT(prlimit(0, RLIMIT_NOFILE, NULL, rl) == 0 && rl->rlim_cur > 0);
	return 0;
}

static int shape_ids(char *p)
{
	uid_t *id = (uid_t *)p;
	gid_t *groups = (gid_t *)(p + 8192);

	WANT(getresuid(id, id + 1, id + 2) == 0 && id[0] == getuid());
	WANT(getgroups(1024, groups) >= 0);
	return 0;
}

static int shape_sysinfo(char *p)
{
	struct sysinfo *si = (struct sysinfo *)p;

	WANT(sysinfo(si) == 0 && si->totalram > 0);
	return 0;
}

static int shape_uname(char *p)
{
	struct utsname *u = (struct utsname *)p;

	WANT(uname(u) == 0 && strcmp(u->sysname, "Linux") == 0);
	return 0;
}

static int shape_affinity(char *p)
{
	cpu_set_t *set = (cpu_set_t *)p;

	WANT(sched_getaffinity(0, sizeof(*set), set) == 0);
	WANT(CPU_COUNT(set) > 0);
	return 0;
}

static int shape_prctl(char *p)
{
	WANT(prctl(PR_SET_NAME, "shape") == 0);
	WANT(prctl(PR_GET_NAME, p) == 0 && strcmp(p, "shape") == 0);
	return 0;
}

static int shape_thread_name(char *p)
{
	WANT(pthread_setname_np(pthread_self(), "shape2") == 0);
	WANT(pthread_getname_np(pthread_self(), p, 16) == 0);
	WANT(strcmp(p, "shape2") == 0);
	return 0;
}

static int shape_vm_readv(char *p)
{
	struct iovec to = { p, sizeof(text) };
	struct iovec from = { (void *)text, sizeof(text) };
	ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	if (n < 0 && (errno == ENOSYS || errno == EPERM))
		return 0;
	WANT(n == sizeof(text) && memcmp(p, text, sizeof(text)) == 0);
	return 0;
}

static int clone_main(void *arg)
{
	_exit(arg != NULL);
}

static int shape_clone(char *p)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t *tid = (pid_t *)p;
	pid_t pid = clone(clone_main, stack + sizeof(stack),
			  CLONE_PARENT_SETTID | SIGCHLD, NULL, tid);

	WANT(pid > 0 && *tid == pid && hs_t_wait(pid) == 0);
	return 0;
}

/* --- time --------------------------------------------------------------- */

static int shape_clock(char *p)
{
	struct timespec *ts = (struct timespec *)p;

	WANT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, ts) == 0);
	WANT(ts->tv_sec >= 0 && ts->tv_nsec < 1000000000);
	return 0;
}

static int shape_timex(char *p)
{
	struct timex *t = (struct timex *)p;

	memset(t, 0, sizeof(*t));
	WANT(adjtimex(t) >= 0 && t->tick > 0);
	return 0;
}

static int shape_timers(char *p)
{
	struct itimerval *it = (struct itimerval *)p;
	struct itimerspec *its = (struct itimerspec *)(p + 8192);
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	WANT(getitimer(ITIMER_REAL, it) == 0 && it->it_value.tv_sec == 0);
	WANT(timerfd_gettime(fd, its) == 0 && its->it_value.tv_sec == 0);
	close(fd);
	return 0;
}

/* --- queues ------------------------------------------------------------- */

struct message {
	long type;
	char text[64];
};

static int shape_msgrcv(char *p)
{
	struct message *m = (struct message *)p, out = { 1, "hello" };
	struct msqid_ds *ds = (struct msqid_ds *)(p + 8192);
	int id = msgget(IPC_PRIVATE, 0600);

	if (id < 0)
		return 0;
	WANT(msgsnd(id, &out, 6, 0) == 0);
	WANT(msgctl(id, IPC_STAT, ds) == 0 && ds->msg_qnum == 1);
	WANT(msgrcv(id, m, 64, 0, 0) == 6 && strcmp(m->text, "hello") == 0);
	WANT(msgctl(id, IPC_RMID, NULL) == 0);
	return 0;
}

static int shape_sem(char *p)
{
	unsigned short *values = (unsigned short *)p;
	int id = semget(IPC_PRIVATE, 3, 0600);

	if (id < 0)
		return 0;
	WANT(semctl(id, 0, GETALL, values) == 0 && values[0] == 0);
	WANT(semctl(id, 0, IPC_RMID) == 0);
	return 0;
}

static int shape_mq(char *p)
{
	char name[64];
	mqd_t q;

	snprintf(name, sizeof(name), "/calls_shapes.%d", (int)getpid());
	q = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
	if (q == (mqd_t)-1)
		return 0;
	mq_unlink(name);
	WANT(mq_send(q, text, 5, 3) == 0);
	WANT(mq_receive(q, p, PART, (unsigned *)(p + PART)) == 5);
	WANT(memcmp(p, text, 5) == 0 && *(unsigned *)(p + PART) == 3);
	mq_close(q);
	return 0;
}

/* --- random ------------------------------------------------------------- */

static bool looks_random(const char *p, size_t n)
{
	size_t i, same = 0;

	for (i = 1; i < n; i++)
		same += p[i] == p[0];
	return same < n / 8;
}

static int shape_getrandom(char *p)
{
	WANT(getrandom(p, 256, 0) == 256 && looks_random(p, 256));
	return 0;
}

static int shape_getentropy(char *p)
{
	WANT(getentropy(p, 256) == 0 && looks_random(p, 256));
	return 0;
}

static int shape_arc4random(char *p)
{
	arc4random_buf(p, 4096);
	WANT(looks_random(p, 4096));
	return 0;
}

/* --- signals ------------------------------------------------------------ */

static int shape_sigmask(char *p)
{
	sigset_t *old = (sigset_t *)p, *pending = (sigset_t *)(p + 8192), set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	WANT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	WANT(sigprocmask(SIG_SETMASK, NULL, old) == 0);
	WANT(sigismember(old, SIGUSR2) == 1);
	raise(SIGUSR2);
	WANT(sigpending(pending) == 0 && sigismember(pending, SIGUSR2) == 1);
	return 0;
}

static int shape_sigwait(char *p)
{
	siginfo_t *info = (siginfo_t *)p;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	WANT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	raise(SIGUSR1);
	WANT(sigwaitinfo(&set, info) == SIGUSR1 && info->si_pid == getpid());
	return 0;
}

static volatile sig_atomic_t handled;

static void count(int sig)
{
	(void)sig;
	handled++;
}

static int shape_sigaltstack(char *p)
{
	stack_t ss = { .ss_sp = p, .ss_size = PART };
	stack_t *old = (stack_t *)(p + 2 * PART);
	struct sigaction sa = { .sa_handler = count, .sa_flags = SA_ONSTACK };

	WANT(sigaltstack(&ss, old) == 0 && (old->ss_flags & SS_DISABLE));
	WANT(sigaction(SIGTERM, &sa, NULL) == 0);
	handled = 0;
	raise(SIGTERM);
	WANT(handled == 1);
	ss.ss_flags = SS_DISABLE;
	WANT(sigaltstack(&ss, NULL) == 0);
	return 0;
}

/* --- stacks and helpers ------------------------------------------------- */

static ucontext_t back, there;
static int context_sum;

static void in_context(int a, int b, int c)
{
	char local[4096];

	memset(local, a, sizeof(local));
	handled = 0;
	raise(SIGINT); /* its frame goes onto this stack */
	context_sum = local[17] + b + c + handled;
}

static int shape_context(char *p)
{
	signal(SIGINT, count);
	WANT(getcontext(&there) == 0);
	there.uc_stack.ss_sp = p;
	there.uc_stack.ss_size = PART;
	there.uc_link = &back;
	makecontext(&there, (void (*)(void))in_context, 3, 1, 20, 300);
	WANT(swapcontext(&back, &there) == 0 && context_sum == 322);
	return 0;
}

static void *on_stack(void *arg)
{
	char local[4096];

	memset(local, 1, sizeof(local));
	return local[99] == 1 ? arg : NULL;
}

static int shape_thread_stack(char *p)
{
	pthread_attr_t attr;
	pthread_t t;
	void *ret = NULL;

	WANT(pthread_attr_init(&attr) == 0);
	WANT(pthread_attr_setstack(&attr, p, 2 * PART) == 0);
	WANT(pthread_create(&t, &attr, on_stack, p) == 0);
	WANT(pthread_join(t, &ret) == 0 && ret == p);
	return 0;
}

static int shape_aio(char *p)
{
	struct aiocb *cb = (struct aiocb *)aux;
	const struct aiocb *list[1] = { cb };
	int fd = file_with_text();

	memset(cb, 0, sizeof(*cb));
	cb->aio_fildes = fd;
	cb->aio_buf = p;
	cb->aio_nbytes = PART;
	WANT(aio_read(cb) == 0);
	while (aio_error(cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	WANT(aio_error(cb) == 0 && aio_return(cb) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

/* --- by number ---------------------------------------------------------- */

static int shape_syscall_read(char *p)
{
	int fd = file_with_text();

	WANT(syscall(SYS_read, fd, p, PART) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

static int shape_syscall_recvfrom(char *p)
{
	int fd[2];

	WANT(pair(fd, SOCK_DGRAM) == 0);
	WANT(syscall(SYS_sendto, fd[1], text, sizeof(text), 0, NULL, 0) ==
	     sizeof(text));
	WANT(syscall(SYS_recvfrom, fd[0], p, PART, 0, NULL, NULL) ==
	     sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static int shape_syscall_getrandom(char *p)
{
	WANT(syscall(SYS_getrandom, p, 256, 0) == 256 && looks_random(p, 256));
	return 0;
}

/* --- all ---------------------------------------------------------------- */

#define SHAPES(X)                                                              \
	X(read) X(read_chk) X(pread) X(pread_chk) X(readv) X(preadv2)          \
	X(write) X(copy_file_range) X(sendfile) X(stat) X(fstatat) X(statx)    \
	X(statfs) X(readlink) X(getcwd) X(getdents) X(xattr) X(handle)         \
	X(mincore) X(mlock) X(fcntl) X(ioctl) X(ioctl_tty) X(ioctl_conf)       \
	X(fread) X(setvbuf) X(stdio) X(readdir) X(new_stdio) X(localtime)      \
	X(recv) X(recv_chk) X(recvfrom) X(recvmsg) X(recvmmsg) X(sendmmsg)     \
	X(accept) X(sockname) X(socketpair) X(pipe) X(poll) X(poll_chk)        \
	X(ppoll) X(select) X(pselect) X(epoll) X(eventfd) X(waitpid)           \
	X(wait4) X(waitid) X(spawn) X(times) X(rusage) X(prlimit) X(ids)       \
	X(sysinfo) X(uname) X(affinity) X(prctl) X(thread_name) X(vm_readv)    \
	X(clone) X(clock) X(timex) X(timers) X(msgrcv) X(sem) X(mq)            \
	X(getrandom) X(getentropy) X(arc4random) X(sigmask) X(sigwait)         \
	X(sigaltstack) X(context) X(thread_stack) X(aio) X(syscall_read)       \
	X(syscall_recvfrom) X(syscall_getrandom)

static const struct shape {
	const char *name;
	int (*run)(char *p);
} shapes[] = {
#define X(name) { #name, shape_##name },
	SHAPES(X)
#undef X
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static bool wanted(const char *name, char **argv)
{
	if (!argv[1])
		return true;
	for (argv++; *argv; argv++)
		if (!strcmp(*argv, name))
			return true;
	return false;
}

/* Take every free page of the pool, and what may be overcommitted. */
static void drain(void)
{
	char *p = mmap(NULL, (size_t)64 << 30, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			       MAP_NORESERVE,
		       -1, 0);
	size_t n = 0;

	if (p == MAP_FAILED)
		return;
	while (madvise(p + n * SLOT, SLOT, 23 /* MADV_POPULATE_WRITE */) == 0)
		n++;
}

/* The rest of the slot has still its pattern; what the shape uses lies in its
 * first 256 KiB. */
static bool rest_is_right(const char *slot, size_t i)
{
	return hs_t_verify(slot + 4 * PART, SLOT - 4 * PART, i) < 0;
}

int main(int argc, char **argv)
{
	static char *slots[NR_SHAPES];
	size_t i, failed = 0;
	struct hs_t_gate gate;
	pid_t holder;

	(void)argc;
	for (i = 0; i < NR_SHAPES; i++) {
		slots[i] = aligned_alloc(SLOT, SLOT);
		HS_T_CHECK(slots[i] != NULL);
		hs_t_fill(slots[i], 4 * PART, i + 1000);
		hs_t_fill(slots[i] + 4 * PART, SLOT - 4 * PART, i);
	}
	if (getenv("CALLS_NEED_HUGE"))
		HS_T_CHECK(hs_t_hugetlb_bytes(0) >=
				   (long long)(NR_SHAPES * SLOT * 9 / 10),
			   "only %lld bytes on huge pages",
			   hs_t_hugetlb_bytes(0));
	old_stream = fopen("/proc/self/status", "r");
	old_dir = opendir("/");
	HS_T_CHECK(old_stream != NULL && old_dir != NULL);
	hs_t_gate_open(&gate);
	holder = fork();
	HS_T_CHECK(holder >= 0);
	if (holder == 0) {
		close(gate.fd[1]);
		hs_t_gate_wait(&gate);
		_exit(0);
	}
	drain();
	for (i = 0; i < NR_SHAPES; i++) {
		int line;

		if (!wanted(shapes[i].name, argv))
			continue;
		errno = 0;
		line = shapes[i].run(slots[i]);
		if (line != 0 || !rest_is_right(slots[i], i)) {
			fprintf(stderr, "%s: line %d, errno %d (%s)\n",
				shapes[i].name, line, errno, strerror(errno));
			failed++;
		}
	}
	hs_t_gate_close(&gate);
	hs_t_wait(holder);
	printf("%zu of %zu shapes failed\n", failed, (size_t)NR_SHAPES);
	return failed != 0;
}
