/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shapes of calls_shapes.c: sockets and waiting. */
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "calls_shapes.h"

ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);

/* --- sockets ------------------------------------------------------------ */

int pair(int fd[2], int type)
{
	return socketpair(AF_UNIX, type, 0, fd);
}

int shape_recv(char *p)
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

int shape_recv_chk(char *p)
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

int shape_recvfrom(char *p)
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

int shape_recvmsg(char *p)
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

int shape_recvmmsg(char *p)
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

int shape_sendmmsg(char *p)
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

int shape_accept(char *p)
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

int shape_sockname(char *p)
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

int shape_socketpair(char *p)
{
	int *fd = (int *)p;

	WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	WANT(write(fd[0], "x", 1) == 1);
	WANT(close(fd[0]) == 0 && close(fd[1]) == 0);
	return 0;
}

int shape_pipe(char *p)
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

int shape_poll(char *p)
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

int shape_poll_chk(char *p)
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

int shape_ppoll(char *p)
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

int shape_select(char *p)
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

int shape_pselect(char *p)
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

int shape_epoll(char *p)
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

int shape_eventfd(char *p)
{
	eventfd_t *v = (eventfd_t *)p;
	int fd = eventfd(7, 0);

	WANT(fd >= 0 && eventfd_read(fd, v) == 0 && *v == 7);
	close(fd);
	return 0;
}
