/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_attr.c - calls that change or ask what is mapped: mprotect, madvise,
 * mincore, msync, mlock, mbind; and those of the whole process.
 */
#include "vm_fuzz.h"

#include <sys/resource.h>
#include <sys/uio.h>

static void finish(struct fz_call *call, long ret)
{
	call->ret = ret;
	call->err = ret == -1 ? errno : 0;
}

static void expect_err(struct fz_ctx *c, struct fz_call *call, int err)
{
	fz_expect(c, call, err ? -1 : 0, err);
}

/* --- mprotect ------------------------------------------------------------- */

/* What is before the first page that cannot be done is done. */
static int protect(struct fz_ctx *c, struct fz_area *a, uint32_t first,
		   uint32_t end, int prot)
{
	for (uint32_t i = first; i < end; i++) {
		struct fz_page *p = &a->page[i];
		uint32_t from = i;

		if (!fz_mapped(p))
			return ENOMEM;
		if (p->kind == FZ_SHARED && (prot & PROT_WRITE))
			return EACCES;
		for (; i < end && fz_mapped(&a->page[i]); i++) {
			p = &a->page[i];
			if (p->prot == prot ||
			    (p->kind == FZ_SHARED && (prot & PROT_WRITE)))
				break;
			p->prot = (uint8_t)prot;
		}
		fz_vma_split(c, a, from, i - from);
		if (i > from)
			i--;
	}
	return 0;
}

static long protect_call(const struct fz_call *call, char *addr)
{
	if (call->op == FZ_PKEY_MPROTECT)
		return call->raw ? syscall(SYS_pkey_mprotect, addr, call->len,
					   FZ_ARG(call->prot),
					   FZ_ARG(call->flags))
				 : pkey_mprotect(addr, call->len, call->prot,
						 call->flags);
	return call->raw ? syscall(SYS_mprotect, addr, call->len,
				   FZ_ARG(call->prot))
			 : mprotect(addr, call->len, call->prot);
}

bool fz_do_mprotect(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	int err = 0, known = PROT_READ | PROT_WRITE | PROT_EXEC;

	if (!a)
		return false;
	errno = 0;
	finish(call, protect_call(call, fz_addr(a, call)));
	if (call->offset)
		err = EINVAL;
	else if (call->len >= FZ_SILLY)
		err = ENOMEM;
	else if (call->len && (call->prot & ~known))
		err = EINVAL;
	else if (call->len && call->op == FZ_PKEY_MPROTECT && call->flags != -1)
		err = EINVAL;
	else if (call->len)
		err = protect(c, a, first, end, call->prot);
	expect_err(c, call, err);
	return true;
}

/* --- madvise -------------------------------------------------------------- */

static int advise_discard(struct fz_page *p, int advice)
{
	if ((p->flags & FZ_LOCKED) && advice != MADV_DONTNEED_LOCKED)
		return EINVAL;
	if (advice != MADV_FREE) {
		fz_discard(p);
		return 0;
	}
	if (p->kind != FZ_ANON)
		return EINVAL;
	if (p->tag)
		p->flags |= FZ_LAZY;
	if (p->flags & FZ_WRITTEN)
		p->flags |= FZ_MAYBE;
	p->flags &= (uint16_t)~FZ_WRITTEN;
	return 0;
}

static int advise_populate(struct fz_page *p, int advice)
{
	int need = advice == MADV_POPULATE_READ ? PROT_READ : PROT_WRITE;

	if (!(p->prot & need))
		return EINVAL;
	if (fz_past_end(p) || (p->flags & FZ_GUARD))
		return EFAULT;
	p->flags |= FZ_MAYBE;
	return 0;
}

static int advise_guard(struct fz_page *p, int advice)
{
	if (advice == MADV_GUARD_REMOVE) {
		p->flags &= (uint16_t)~FZ_GUARD;
		return 0;
	}
	if (p->flags & FZ_LOCKED)
		return EINVAL;
	fz_discard(p);
	p->flags |= FZ_GUARD;
	return 0;
}

static int advise_remove(const struct fz_page *p)
{
	if ((p->flags & FZ_LOCKED) || p->kind == FZ_ANON)
		return EINVAL;
	return EACCES;
}

static int advise_fork(struct fz_page *p, int advice)
{
	if (advice == MADV_WIPEONFORK && p->kind != FZ_ANON)
		return EINVAL;
	if (advice == MADV_WIPEONFORK)
		p->flags |= FZ_WIPE;
	else if (advice == MADV_KEEPONFORK)
		p->flags &= (uint16_t)~FZ_WIPE;
	else if (advice == MADV_DONTFORK)
		p->flags |= FZ_DONTFORK;
	else
		p->flags &= (uint16_t)~FZ_DONTFORK;
	return 0;
}

/* One mapped page; the errno that ends the call there. */
static int advise_page(struct fz_page *p, int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
		return advise_discard(p, advice);
	case MADV_COLD:
	case MADV_PAGEOUT:
		if ((p->flags & FZ_WRITTEN) && !fz_run.exact_mincore)
			p->flags =
				(p->flags & (uint16_t)~FZ_WRITTEN) | FZ_MAYBE;
		return p->flags & FZ_LOCKED ? EINVAL : 0;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return advise_populate(p, advice);
	case MADV_GUARD_INSTALL:
	case MADV_GUARD_REMOVE:
		return advise_guard(p, advice);
	case MADV_REMOVE:
		return advise_remove(p);
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_DONTFORK:
	case MADV_DOFORK:
		return advise_fork(p, advice);
	case MADV_WILLNEED:
		return p->kind == FZ_ANON && !fz_run.has_swap ? EBADF : 0;
	case MADV_HUGEPAGE:
		p->flags |= FZ_THP;
		return 0;
	default:
		return 0;
	}
}

static bool splits(int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
	case MADV_GUARD_INSTALL:
	case MADV_GUARD_REMOVE:
	case MADV_REMOVE:
	case MADV_WILLNEED:
		return false;
	default:
		return true;
	}
}

static bool populates(int advice)
{
	return advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE;
}

static int advise(struct fz_ctx *c, struct fz_area *a, uint32_t first,
		  uint32_t end, int advice)
{
	int hole = 0;

	if (splits(advice))
		fz_vma_split(c, a, first, end - first);
	for (uint32_t i = first; i < end; i++) {
		struct fz_page *p = &a->page[i];
		int err;

		if (!fz_mapped(p)) {
			hole = ENOMEM;
			if (populates(advice) && fz_run.populate_stops)
				return hole;
			continue;
		}
		err = advise_page(p, advice);
		if (err)
			return err;
	}
	return hole;
}

static bool valid_advice(int advice)
{
	if (advice == MADV_MERGEABLE || advice == MADV_UNMERGEABLE)
		return fz_run.has_ksm;
	if (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE ||
	    advice == MADV_COLLAPSE)
		return fz_run.has_thp;
	if (advice == MADV_GUARD_INSTALL || advice == MADV_GUARD_REMOVE)
		return fz_run.has_guard;
	return (advice >= 0 && advice <= MADV_SEQUENTIAL) ||
	       advice == MADV_WILLNEED || advice == MADV_DONTNEED ||
	       (advice >= MADV_FREE && advice <= MADV_DOFORK) ||
	       (advice >= MADV_DONTDUMP && advice <= MADV_DONTNEED_LOCKED);
}

/* Whether there are huge pages to be had is nothing to predict. */
static void expect_collapse(struct fz_ctx *c, struct fz_call *call,
			    struct fz_area *a, uint32_t first, uint32_t end)
{
	if (call->ret == -1 && call->err != EINVAL && call->err != ENOMEM &&
	    call->err != EAGAIN && call->err != EBUSY)
		fz_expect(c, call, 0, 0);
	for (uint32_t i = first; i < end; i++)
		a->page[i].flags |= FZ_THP;
}

/* posix_madvise returns the error; in glibc POSIX_MADV_DONTNEED is nothing. */
static bool posix_advise(struct fz_ctx *c, struct fz_call *call,
			 struct fz_area *a, uint32_t first, uint32_t end)
{
	int err = 0;

	call->ret = posix_madvise(fz_addr(a, call), call->len, call->flags);
	call->err = 0;
	if (call->flags == POSIX_MADV_DONTNEED)
		err = 0;
	else if (call->flags < 0 || call->flags > POSIX_MADV_WILLNEED ||
		 call->offset || call->len >= FZ_SILLY)
		err = EINVAL;
	else
		err = advise(c, a, first, end, call->flags);
	fz_expect(c, call, err, 0);
	return true;
}

bool fz_do_madvise(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	int err = 0;

	if (!a)
		return false;
	/* EBADF, from a kernel without swap, for anonymous memory alone. */
	if (call->flags == MADV_WILLNEED && !fz_run.has_swap && fz_run.shim)
		return false;
	if (call->op == FZ_POSIX_MADVISE)
		return posix_advise(c, call, a, first, end);
	errno = 0;
	finish(call, call->raw ? syscall(SYS_madvise, fz_addr(a, call),
					 call->len, FZ_ARG(call->flags))
			       : madvise(fz_addr(a, call), call->len,
					 call->flags));
	if (!valid_advice(call->flags) || call->offset ||
	    call->len >= FZ_SILLY) {
		err = EINVAL;
	} else if (call->flags == MADV_COLLAPSE) {
		expect_collapse(c, call, a, first, end);
		return true;
	} else {
		err = advise(c, a, first, end, call->flags);
	}
	expect_err(c, call, err);
	return true;
}

/* --- process_madvise ------------------------------------------------------ */

/* In one piece, or in two that meet at a page: how many bytes were advised, or
 * why the first one was not. */
static int advise_two(struct fz_ctx *c, struct fz_area *a, uint32_t first,
		      uint32_t end, const struct fz_call *call,
		      int64_t *advised)
{
	uint32_t middle = first + call->page2;
	int err;

	*advised = 0;
	if (!valid_advice(call->flags) || call->offset)
		return EINVAL;
	if (middle > first && middle < end) {
		err = advise(c, a, first, middle, call->flags);
		if (err)
			return err;
		*advised = (int64_t)(call->page2 * FZ_PAGE);
		first = middle;
	}
	err = advise(c, a, first, end, call->flags);
	if (!err)
		*advised = (int64_t)call->len;
	return err;
}

static long process_madvise_call(const struct fz_call *call,
				 const struct iovec *iov, size_t n)
{
	if (call->raw)
		return syscall(SYS_process_madvise, FZ_ARG(fz_run.self_fd), iov,
			       n, FZ_ARG(call->flags), 0L);
	return process_madvise(fz_run.self_fd, iov, n, call->flags, 0);
}

bool fz_do_process_madvise(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	size_t bytes = call->page2 * FZ_PAGE;
	struct iovec iov[2];
	int64_t advised;
	bool two;
	int err;

	if (!a || !fz_run.has_self_advice || call->len >= FZ_SILLY ||
	    !call->len || call->flags == MADV_COLLAPSE ||
	    (call->flags == MADV_WILLNEED && !fz_run.has_swap))
		return false;
	two = call->page2 && call->page2 < end - first && !call->offset;
	iov[0].iov_base = fz_addr(a, call);
	iov[0].iov_len = two ? bytes : call->len;
	iov[1].iov_base = fz_addr(a, call) + bytes;
	iov[1].iov_len = call->len - bytes;
	errno = 0;
	finish(call, process_madvise_call(call, iov, two ? 2 : 1));
	err = advise_two(c, a, first, end, call, &advised);
	fz_expect(c, call, advised ? advised : -1, advised ? 0 : err);
	return true;
}

/* --- mincore -------------------------------------------------------------- */

/* What was written is resident, where nothing is ever swapped; what nobody
 * touched is not, but for huge pages. */
static void check_resident(struct fz_ctx *c, struct fz_area *a, uint32_t first,
			   uint32_t end)
{
	for (uint32_t i = first; i < end; i++) {
		const struct fz_page *p = &a->page[i];
		bool resident = c->vec[i - first] & 1;

		if (p->kind != FZ_ANON || !fz_run.exact_mincore)
			continue;
		if ((p->flags & FZ_WRITTEN) && !resident)
			fz_differ(c, a, i, 1,
				  "mincore: page %u was written and is not "
				  "resident",
				  i);
		if (!resident ||
		    (p->flags & (FZ_WRITTEN | FZ_MAYBE | FZ_THP | FZ_LOCKED)))
			continue;
		if (!fz_run.shim)
			fz_differ(c, a, i, 1,
				  "mincore: page %u is resident and was never "
				  "touched",
				  i);
		fz_allow(FZ_ALLOW_MINCORE);
	}
}

bool fz_do_mincore(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	int err = 0;

	if (!a || end - first > sizeof(c->vec))
		return false;
	errno = 0;
	finish(call, call->raw ? syscall(SYS_mincore, fz_addr(a, call),
					 call->len, c->vec)
			       : mincore(fz_addr(a, call), call->len, c->vec));
	if (call->offset)
		err = EINVAL;
	else if (call->len >= FZ_SILLY)
		err = ENOMEM;
	for (uint32_t i = first; i < end && !err; i++)
		if (!fz_mapped(&a->page[i]))
			err = ENOMEM;
	expect_err(c, call, err);
	if (!err)
		check_resident(c, a, first, end);
	return true;
}

/* --- msync ---------------------------------------------------------------- */

static int sync_error(const struct fz_call *call, const struct fz_area *a,
		      uint32_t first, uint32_t end)
{
	const int both = MS_ASYNC | MS_SYNC;
	int err = 0;

	if ((call->flags & ~(both | MS_INVALIDATE)) || call->offset ||
	    (call->flags & both) == both)
		return EINVAL;
	if (call->len >= FZ_SILLY)
		return call->len == UINT64_MAX ? 0 : ENOMEM;
	for (uint32_t i = first; i < end; i++) {
		const struct fz_page *p = &a->page[i];

		if (!fz_mapped(p))
			err = ENOMEM;
		else if ((p->flags & FZ_LOCKED) &&
			 (call->flags & MS_INVALIDATE))
			return EBUSY;
	}
	return err;
}

bool fz_do_msync(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);

	if (!a)
		return false;
	errno = 0;
	finish(call, call->raw ? syscall(SYS_msync, fz_addr(a, call), call->len,
					 FZ_ARG(call->flags))
			       : msync(fz_addr(a, call), call->len,
				       call->flags));
	expect_err(c, call, sync_error(call, a, first, end));
	return true;
}

/* --- mlock ---------------------------------------------------------------- */

static int set_locked(struct fz_ctx *c, struct fz_area *a, uint32_t first,
		      uint32_t end, uint16_t flags)
{
	for (uint32_t i = first; i < end; i++) {
		struct fz_page *p = &a->page[i];

		if (!fz_mapped(p)) {
			fz_vma_split(c, a, first, i - first);
			return ENOMEM;
		}
		p->flags &= (uint16_t) ~(FZ_LOCKED | FZ_ONFAULT);
		p->flags |= flags;
	}
	fz_vma_split(c, a, first, end - first);
	return 0;
}

/* mlock reads or writes every page; what faults makes it ENOMEM. */
static int lock_populate(struct fz_area *a, uint32_t first, uint32_t end)
{
	int err = 0;

	for (uint32_t i = first; i < end; i++) {
		struct fz_page *p = &a->page[i];

		if (!fz_readable(p))
			err = ENOMEM;
		p->flags |= FZ_MAYBE;
	}
	return err;
}

static long lock_call_by_number(struct fz_call *call, char *addr)
{
	if (call->op == FZ_MLOCK)
		return syscall(SYS_mlock, addr, call->len);
	if (call->op == FZ_MUNLOCK)
		return syscall(SYS_munlock, addr, call->len);
	return syscall(SYS_mlock2, addr, call->len, FZ_ARG(call->flags));
}

static long lock_call(struct fz_call *call, char *addr)
{
	if (call->raw)
		return lock_call_by_number(call, addr);
	if (call->op == FZ_MLOCK)
		return mlock(addr, call->len);
	if (call->op == FZ_MUNLOCK)
		return munlock(addr, call->len);
	return mlock2(addr, call->len, (unsigned int)call->flags);
}

bool fz_do_mlock(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	bool onfault = call->op == FZ_MLOCK2 && call->flags == 1;
	uint16_t flags = FZ_LOCKED;
	int err = 0;

	if (!a || !fz_run.has_mlock)
		return false;
	if (onfault)
		flags |= FZ_ONFAULT;
	errno = 0;
	finish(call, lock_call(call, fz_addr(a, call)));
	if (call->op == FZ_MLOCK2 && (call->flags & ~1))
		err = EINVAL;
	else if (call->len >= FZ_SILLY)
		err = call->len == UINT64_MAX ? 0 : EINVAL;
	else if (call->op == FZ_MUNLOCK)
		err = set_locked(c, a, first, end, 0);
	else
		err = set_locked(c, a, first, end, flags);
	if (!err && call->op != FZ_MUNLOCK && !onfault)
		err = lock_populate(a, first, end);
	expect_err(c, call, err);
	return true;
}

/* --- mbind ---------------------------------------------------------------- */

/* All of it on node 0, so nothing moves. */
enum { BIND_DEFAULT, BIND_PREFERRED, BIND_BIND, BIND_INTERLEAVE, BIND_LOCAL };

static int bind_error(const struct fz_call *call, const struct fz_area *a,
		      uint32_t first, uint32_t end)
{
	uint32_t holes = 0;

	if (call->flags < 0 || call->flags > BIND_LOCAL || call->offset)
		return EINVAL;
	if (call->len >= FZ_SILLY)
		return call->len == UINT64_MAX ? 0 : EINVAL;
	for (uint32_t i = first; i < end; i++)
		holes += !fz_mapped(&a->page[i]);
	if (call->flags == BIND_DEFAULT)
		return holes && holes == end - first ? EFAULT : 0;
	return holes ? EFAULT : 0;
}

bool fz_do_mbind(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	unsigned long node0 = 1;
	bool nodes = call->flags != BIND_DEFAULT && call->flags != BIND_LOCAL;
	int err;

	if (!a || !fz_run.has_mbind)
		return false;
	errno = 0;
	finish(call, syscall(SYS_mbind, fz_addr(a, call), call->len,
			     call->flags, nodes ? &node0 : NULL,
			     nodes ? 8 * sizeof(node0) : 0UL, 0UL));
	err = bind_error(call, a, first, end);
	expect_err(c, call, err);
	if (err || call->len >= FZ_SILLY)
		return true;
	fz_vma_split(c, a, first, end - first);
	return true;
}

/* --- remap_file_pages ----------------------------------------------------- */

/* Of shared mappings alone. */
bool fz_do_remap_pages(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	char *addr;

	if (!a || a->page[first].kind == FZ_SHARED || call->offset)
		return false;
	addr = fz_addr(a, call);
	errno = 0;
	finish(call, call->raw ? syscall(SYS_remap_file_pages, addr, call->len,
					 0L, 0L, 0L)
			       : remap_file_pages(addr, call->len, 0, 0, 0));
	expect_err(c, call, EINVAL);
	return true;
}

/* --- of the process ------------------------------------------------------- */

/* And unlocked again: huge pages stay huge pages when all is locked, which
 * shows by the advice that locked memory refuses. */
static void lock_all(struct fz_ctx *c, struct fz_call *call)
{
	finish(call, call->raw ? syscall(SYS_mlockall, FZ_ARG(call->flags))
			       : mlockall(call->flags));
	fz_expect(c, call, 0, 0);
	fz_check_all(c, false);
	HS_T_CHECK(munlockall() == 0);
	for (int i = 0; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];

		for (uint32_t page = 0; page < a->nr; page++) {
			a->page[page].flags |= FZ_MAYBE;
			a->page[page].flags &=
				(uint16_t) ~(FZ_LOCKED | FZ_ONFAULT);
		}
	}
}

/* So much that it is never reached. */
static void limit(struct fz_ctx *c, struct fz_call *call)
{
	struct rlimit rlimit;

	HS_T_CHECK(getrlimit(call->flags, &rlimit) == 0);
	rlimit.rlim_cur = HS_T_MIN(1UL << 46, rlimit.rlim_max);
	finish(call, call->raw ? syscall(SYS_prlimit64, 0L, FZ_ARG(call->flags),
					 &rlimit, NULL)
			       : setrlimit(call->flags, &rlimit));
	fz_expect(c, call, 0, 0);
}

static void set_policy(struct fz_ctx *c, struct fz_call *call)
{
	unsigned long node0 = 1;
	bool nodes = call->flags != BIND_DEFAULT && call->flags != BIND_LOCAL;

	finish(call, syscall(SYS_set_mempolicy, FZ_ARG(call->flags),
			     nodes ? &node0 : NULL,
			     nodes ? 8 * sizeof(node0) : 0UL));
	fz_expect(c, call, 0, 0);
}

bool fz_do_process(struct fz_ctx *c, struct fz_call *call)
{
	errno = 0;
	if (call->op == FZ_SET_MEMPOLICY && fz_run.has_mbind)
		set_policy(c, call);
	else if (call->op == FZ_LIMIT && c->depth)
		limit(c, call);
	else if (call->op == FZ_LOCK_ALL && c->depth && fz_run.has_mlock)
		lock_all(c, call);
	else
		return false;
	return true;
}
