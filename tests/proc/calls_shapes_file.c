/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shapes of calls_shapes.c: files. */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>

#include "calls_shapes.h"

/* --- files -------------------------------------------------------------- */

int file_with_text(void)
{
	char path[] = "/tmp/calls_shapes.XXXXXX";
	int fd = mkstemp(path);

	HS_T_CHECK(fd >= 0);
	unlink(path);
	HS_T_CHECK(write(fd, text, sizeof(text)) == sizeof(text));
	HS_T_CHECK(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

int shape_read(char *p)
{
	int fd = file_with_text();

	WANT(read(fd, p, PART) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size);

int shape_read_chk(char *p)
{
	int fd = file_with_text();

	WANT(__read_chk(fd, p, PART, PART) == sizeof(text));
	WANT(memcmp(p, text, sizeof(text)) == 0);
	close(fd);
	return 0;
}

int shape_pread(char *p)
{
	int fd = file_with_text();

	WANT(pread(fd, p, PART, 4) == sizeof(text) - 4);
	WANT(memcmp(p, text + 4, sizeof(text) - 4) == 0);
	close(fd);
	return 0;
}

int shape_pread_chk(char *p)
{
	int fd = file_with_text();

	WANT(__pread_chk(fd, p, PART, 4, PART) == sizeof(text) - 4);
	WANT(memcmp(p, text + 4, sizeof(text) - 4) == 0);
	close(fd);
	return 0;
}

int shape_readv(char *p)
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

int shape_preadv2(char *p)
{
	int fd = file_with_text();
	struct iovec iov[2] = { { p, 10 }, { p + 8192, 100 } };

	WANT(preadv2(fd, iov, 2, 0, 0) == sizeof(text));
	WANT(memcmp(p, text, 10) == 0);
	WANT(memcmp(p + 8192, text + 10, sizeof(text) - 10) == 0);
	close(fd);
	return 0;
}

int shape_write(char *p)
{
	int fd = file_with_text();
	char back[256];

	WANT(pwrite(fd, p, sizeof(back), 0) == sizeof(back));
	WANT(pread(fd, back, sizeof(back), 0) == sizeof(back));
	WANT(memcmp(p, back, sizeof(back)) == 0);
	close(fd);
	return 0;
}

int shape_copy_file_range(char *p)
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

int shape_sendfile(char *p)
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

int shape_stat(char *p)
{
	struct stat *st = (struct stat *)p;
	struct statx *stx = (struct statx *)(p + 8192);

	WANT(stat("/proc/self/exe", st) == 0 && S_ISREG(st->st_mode));
	return statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, stx) == 0 &&
			       S_ISDIR(stx->stx_mode) ?
		       0 :
		       __LINE__;
}

int shape_fstatat(char *p)
{
	struct stat *st = (struct stat *)p;

	WANT(fstatat(AT_FDCWD, "/", st, 0) == 0 && S_ISDIR(st->st_mode));
	return 0;
}

int shape_statx(char *p)
{
	struct statx *st = (struct statx *)p;

	WANT(statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, st) == 0);
	WANT(S_ISDIR(st->stx_mode));
	return 0;
}

int shape_statfs(char *p)
{
	struct statfs *st = (struct statfs *)p;

	WANT(statfs("/proc", st) == 0 && st->f_type == 0x9fa0);
	return 0;
}

int shape_readlink(char *p)
{
	ssize_t n = readlink("/proc/self/exe", p, PART);

	WANT(n > 0 && p[0] == '/');
	return 0;
}

int shape_getcwd(char *p)
{
	char want[4096];

	WANT(getcwd(want, sizeof(want)) == want);
	WANT(getcwd(p, PART) == p && strcmp(p, want) == 0);
	return 0;
}

int shape_getdents(char *p)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	WANT(fd >= 0 && getdents64(fd, p, PART) > 0);
	close(fd);
	return 0;
}

int shape_xattr(char *p)
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

int shape_handle(char *p)
{
	struct file_handle *h = (struct file_handle *)p;
	int *mount = (int *)(p + 8192);

	h->handle_bytes = 128;
	if (name_to_handle_at(AT_FDCWD, "/tmp", h, mount, 0) != 0)
		WANT(errno == EOPNOTSUPP || errno == EPERM);
	return 0;
}

int shape_mincore(char *p)
{
	unsigned char *vec = (unsigned char *)p;

	WANT(mincore((void *)((uintptr_t)p & ~4095UL), 4096, vec) == 0);
	WANT(*vec & 1);
	return 0;
}

int shape_mlock(char *p)
{
	WANT(mlock(p, 8192) == 0);
	WANT(munlock(p, 8192) == 0);
	return 0;
}

int shape_fcntl(char *p)
{
	struct flock *l = (struct flock *)p;
	int fd = file_with_text();

	memset(l, 0, sizeof(*l));
	l->l_type = F_WRLCK;
	WANT(fcntl(fd, F_GETLK, l) == 0 && l->l_type == F_UNLCK);
	close(fd);
	return 0;
}

int shape_ioctl(char *p)
{
	int fd[2], *n = (int *)p;

	WANT(pipe(fd) == 0 && write(fd[1], text, 7) == 7);
	WANT(ioctl(fd[0], FIONREAD, n) == 0 && *n == 7);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

int shape_ioctl_tty(char *p)
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

int shape_ioctl_conf(char *p)
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

int shape_fread(char *p)
{
	FILE *f = fopen("/proc/self/exe", "r");

	WANT(f != NULL);
	WANT(fread(p, 1, PART, f) == PART && memcmp(p, "\177ELF", 4) == 0);
	WANT(!ferror(f));
	fclose(f);
	return 0;
}

int shape_setvbuf(char *p)
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
FILE *old_stream;
DIR *old_dir;

int shape_stdio(char *p)
{
	char line[256];

	(void)p;
	WANT(fgets(line, sizeof(line), old_stream) != NULL);
	WANT(strncmp(line, "Name:", 5) == 0);
	return 0;
}

int shape_readdir(char *p)
{
	int n = 0;

	(void)p;
	while (readdir(old_dir) != NULL)
		n++;
	WANT(n > 2);
	return 0;
}

int shape_new_stdio(char *p)
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

int shape_localtime(char *p)
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
