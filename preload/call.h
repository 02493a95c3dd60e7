/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * call.h - the memory of a system call under way, for the wrappers made from
 * lib/syscalls.tab.
 *
 * A wrapper names the ranges that the kernel will write (hs_call_w and the
 * shapes built on it) or read (hs_call_r).  Ranges outside the arena and slots
 * on base pages fall away; ranges to be written are published as calls in
 * flight (lib/cow.h), ranges to be read only need to be populated.
 *
 * Invariants
 * 1. Nothing is read through a pointer of the application that the kernel
 *    would not read too, and none that is obviously wrong (the kernel answers
 *    EFAULT, we would fault).
 * 2. The record lives on the caller's stack, above nothing that outlives the
 *    call: a cancelled or longjmp'ed call needs no clean-up.
 *
 * Context: async-signal-safe; errno untouched.  Locks: none of its own.
 */
#ifndef HS_CALL_H
#define HS_CALL_H

#include <errno.h>

#include "base.h"
#include "cow.h"
#include "region.h"
#include "rescue.h"

struct iovec;
struct mmsghdr;
struct msghdr;

/* True once a hugetlb page is in use: before that there is nothing to prepare.
 * Set by the trap's installation (preload/signal.c), never cleared. */
extern atomic_bool hs_call_on;

static HS_ALWAYS_INLINE bool hs_call_active(void)
{
	return atomic_load_explicit(&hs_call_on, memory_order_relaxed);
}

/* Records of one call: a long iovec may touch more slots than one holds. */
#define HS_CALL_RECORDS 4

struct hs_call {
	unsigned nr; /* records in use */
	unsigned converted; /* hs_rescue_converted() when it began */
	unsigned tries;
	struct hs_inflight rec[HS_CALL_RECORDS];
};

static HS_ALWAYS_INLINE void hs_call_init(struct hs_call *c)
{
	c->nr = c->tries = 0;
}

void hs_call_w(struct hs_call *c, const void *p, size_t len);
void hs_call_r(struct hs_call *c, const void *p, size_t len);
void hs_call_iovw(struct hs_call *c, const struct iovec *iov, size_t n);
void hs_call_iovr(struct hs_call *c, const struct iovec *iov, size_t n);
void hs_call_msgw(struct hs_call *c, struct msghdr *msg);
void hs_call_msgr(struct hs_call *c, const struct msghdr *msg);
void hs_call_mmsgw(struct hs_call *c, struct mmsghdr *msgs, unsigned n);
void hs_call_mmsgr(struct hs_call *c, struct mmsghdr *msgs, unsigned n);
/* @len: socklen_t in and out, of @addr. */
void hs_call_sockw(struct hs_call *c, void *addr, void *len);
void hs_call_fdset(struct hs_call *c, void *set, int n);

/* By command; what a command is not known to write is left alone. */
void hs_call_fcntl(struct hs_call *c, int cmd, void *arg);
void hs_call_ioctl(struct hs_call *c, unsigned cmd, void *arg);
void hs_call_semctl(struct hs_call *c, int id, int cmd, long arg);
void hs_call_prctl(struct hs_call *c, int option, long a1, long a2, long a4);
void hs_call_ptrace(struct hs_call *c, int request, void *addr, void *data);
void hs_call_handle(struct hs_call *c, void *handle);
/* process_vm_writev and _readv: the remote side, when it is this process. */
void hs_call_procw(struct hs_call *c, int pid, const struct iovec *iov,
		   size_t n);
void hs_call_procr(struct hs_call *c, int pid, const struct iovec *iov,
		   size_t n);

/* A system call by number with its six arguments. */
void hs_raw_ranges(struct hs_call *c, long nr, const long *arg);

/* Publish and prepare. */
static HS_ALWAYS_INLINE void hs_call_begin(struct hs_call *c)
{
	unsigned i;

	for (i = 0; i < c->nr; i++)
		hs_inflight_begin(&c->rec[i]);
	if (c->nr > 0)
		c->converted = hs_rescue_converted(false);
}

static HS_ALWAYS_INLINE void hs_call_end(struct hs_call *c)
{
	unsigned i = c->nr;

	while (i > 0)
		hs_inflight_end(&c->rec[--i]);
}

/*
 * A call failed.  A slot that another thread turns to base pages, because part
 * of it is unmapped or protected, cannot be written for most of a millisecond:
 * EFAULT, where the memory is good.  True: make the call again.
 */
bool hs_call_disturbed(struct hs_call *c);

static HS_ALWAYS_INLINE bool hs_call_again(struct hs_call *c)
{
	return hs_unlikely(c->nr > 0 && errno == EFAULT) &&
	       hs_call_disturbed(c);
}

/* Lengths from what the application gave; negative counts are none. */
static HS_ALWAYS_INLINE size_t hs_call_times(int n, size_t size)
{
	return n > 0 ? (size_t)n * size : 0;
}

static HS_ALWAYS_INLINE size_t hs_call_plus(size_t len, size_t more)
{
	return len + more < len ? len : len + more;
}

/* May the pointer be followed at all?  The kernel says EFAULT for the usual
 * wrong ones, and so it shall. */
static HS_ALWAYS_INLINE bool hs_call_plausible(const void *p)
{
#ifdef __x86_64__
	const uintptr_t end = (uintptr_t)1 << 47;
#else
	const uintptr_t end = (uintptr_t)1 << 52;
#endif
	return (uintptr_t)p - 65536 < end - 65536;
}

#endif
