/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls_shapes.h - the shapes of calls_shapes.c, and what they share.
 *
 * A shape makes one call (and what it needs before) with its buffers in the
 * 256 KiB at @p, which a fork child shares; it returns 0, or the number of the
 * line at which something was not as it should be.
 */
#ifndef CALLS_SHAPES_H
#define CALLS_SHAPES_H

#include <dirent.h>
#include <stdio.h>

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
extern _Alignas(64) char aux[8192];

extern const char text[44];

/* Opened before the fork: their buffers are the child's, too. */
extern FILE *old_stream;
extern DIR *old_dir;

/* A file that holds text, at its start. */
int file_with_text(void);
/* A pair of connected sockets; as socketpair(). */
int pair(int fd[2], int type);

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

#define X(name) int shape_##name(char *p);
SHAPES(X)
#undef X

#endif
