/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_map.c - mmap, munmap, mremap.
 */
#include "vm_fuzz.h"

#include <sys/shm.h>

static uint32_t pages_of(uint64_t len)
{
	return (uint32_t)((len + FZ_PAGE - 1) / FZ_PAGE);
}

static int64_t result(const void *p)
{
	return p == MAP_FAILED ? -1 : (int64_t)(uintptr_t)p;
}

/* Is [page, page + nr) within the area and nobody else's? */
static bool ours(const struct fz_area *a, uint32_t page, uint32_t nr)
{
	if (page > a->nr || nr > a->nr - page)
		return false;
	for (uint32_t i = page; i < page + nr; i++)
		if (a->page[i].kind == FZ_GONE)
			return false;
	return true;
}

static bool all_holes(const struct fz_area *a, uint32_t page, uint32_t nr)
{
	for (uint32_t i = page; i < page + nr; i++)
		if (fz_mapped(&a->page[i]))
			return false;
	return true;
}

/* --- mmap ----------------------------------------------------------------- */

static int map_fd(const struct fz_call *call)
{
	if (call->how == FZ_HOW_PRIVATE)
		return fz_run.file_fd;
	return call->how == FZ_HOW_SHARED ? fz_run.shared_fd : -1;
}

/* In the kernel's order: what a call gets that cannot succeed. */
static int mmap_error(const struct fz_call *call, const struct fz_area *a)
{
	bool fixed = call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);

	if (call->offset2)
		return EINVAL;
	if (call->how == FZ_HOW_BAD_FD)
		return EBADF;
	if (call->len == 0)
		return EINVAL;
	if (call->len >= FZ_SILLY)
		return ENOMEM;
	if (fixed && call->offset)
		return EINVAL;
	if ((call->flags & MAP_FIXED_NOREPLACE) && a &&
	    !all_holes(a, call->page, pages_of(call->len)))
		return EEXIST;
	if (!(call->flags & (MAP_PRIVATE | MAP_SHARED)))
		return EINVAL;
	if (call->how == FZ_HOW_SHARED && (call->prot & PROT_WRITE))
		return EACCES;
	return 0;
}

static void set_mapped(struct fz_ctx *c, struct fz_area *a, uint32_t page,
		       const struct fz_call *call)
{
	static const enum fz_kind kinds[] = {
		[FZ_HOW_ANON] = FZ_ANON,
		[FZ_HOW_PRIVATE] = FZ_PRIVATE,
		[FZ_HOW_SHARED] = FZ_SHARED,
	};
	uint32_t nr = pages_of(call->len), vma = fz_vma_next(c);

	for (uint32_t i = 0; i < nr; i++) {
		struct fz_page *p = &a->page[page + i];

		fz_clear(p);
		p->kind = (uint8_t)kinds[call->how];
		p->prot = (uint8_t)call->prot;
		p->vma = vma;
		if (p->kind != FZ_ANON)
			p->file_page = (uint16_t)(call->file_page + i);
		if (call->flags & MAP_LOCKED)
			p->flags |= FZ_LOCKED;
		if (call->flags & (MAP_LOCKED | MAP_POPULATE))
			p->flags |= FZ_MAYBE;
	}
}

/* Where it has to be: 0 if that is up to the kernel. */
static char *mmap_place(const struct fz_call *call, const struct fz_area *a)
{
	if (!a)
		return NULL;
	if ((call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) ||
	    all_holes(a, call->page, pages_of(call->len)))
		return a->base + call->page * FZ_PAGE;
	return NULL;
}

static void mmap_call(const struct fz_area *a, struct fz_call *call)
{
	char *hint = a ? fz_addr(a, call) : NULL;
	off_t off = (off_t)(call->file_page * FZ_PAGE + call->offset2);

	errno = 0;
	if (call->raw)
		call->ret = syscall(SYS_mmap, hint, call->len,
				    FZ_ARG(call->prot), FZ_ARG(call->flags),
				    FZ_ARG(map_fd(call)), off);
	else
		call->ret = result(mmap(hint, call->len, call->prot,
					call->flags, map_fd(call), off));
	call->err = call->ret == -1 ? errno : 0;
}

bool fz_do_mmap(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t nr = call->len < FZ_SILLY ? pages_of(call->len) : 0;
	struct fz_area *a = NULL;
	char *want;
	int err;

	if (call->area != FZ_NO_AREA) {
		a = fz_area_find(c, call->area);
		if (!a || !ours(a, call->page, nr ? nr : 1))
			return false;
	}
	err = mmap_error(call, a);
	want = err ? NULL : mmap_place(call, a);
	if (!err && !want &&
	    (nr > FZ_DYNAMIC_PAGES || !fz_dynamic_free(c) ||
	     !fz_run.null_calls))
		return false;
	mmap_call(a, call);
	if (err || want)
		fz_expect(c, call, err ? -1 : result(want), err);
	else if (call->ret == -1 || call->ret % (int64_t)FZ_PAGE)
		fz_expect(c, call, 0, 0);
	if (err)
		return true;
	if (want)
		set_mapped(c, a, call->page, call);
	else
		set_mapped(c, fz_area_add(c, (char *)call->ret, nr), 0, call);
	return true;
}

/* --- shmat ---------------------------------------------------------------- */

/* For reading only, so that it is like a shared mapping of the file. */
static void *attach(const struct fz_area *a, const struct fz_call *call)
{
	int flags = SHM_RDONLY | call->flags;

	if (call->raw)
		return (void *)syscall(SYS_shmat, FZ_ARG(fz_run.shm_id),
				       fz_addr(a, call), FZ_ARG(flags));
	return shmat(fz_run.shm_id, fz_addr(a, call), flags);
}

bool fz_do_shmat(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_area *a = fz_area_find(c, call->area);
	struct fz_call as = {
		.how = FZ_HOW_SHARED,
		.prot = PROT_READ,
		.len = FZ_FILE_PAGES * FZ_PAGE,
	};
	int err = 0;

	if (!a || fz_run.shm_id < 0 || !ours(a, call->page, FZ_FILE_PAGES))
		return false;
	if (call->offset || (!(call->flags & SHM_REMAP) &&
			     !all_holes(a, call->page, FZ_FILE_PAGES)))
		err = EINVAL;
	errno = 0;
	call->ret = result(attach(a, call));
	call->err = call->ret == -1 ? errno : 0;
	fz_expect(c, call, err ? -1 : result(fz_addr(a, call)), err);
	if (err)
		return true;
	set_mapped(c, a, call->page, &as);
	for (uint32_t i = 0; i < FZ_FILE_PAGES; i++)
		a->page[call->page + i].flags |= FZ_SEGMENT;
	return true;
}

/* --- munmap --------------------------------------------------------------- */

bool fz_do_munmap(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	bool wrong = call->offset || !call->len || call->len >= FZ_SILLY;

	if (!a)
		return false;
	errno = 0;
	call->ret = call->raw
			    ? syscall(SYS_munmap, fz_addr(a, call), call->len)
			    : munmap(fz_addr(a, call), call->len);
	call->err = call->ret ? errno : 0;
	fz_expect(c, call, wrong ? -1 : 0, wrong ? EINVAL : 0);
	if (wrong)
		return true;
	fz_unmap(a, first, end - first);
	fz_area_reap(a);
	return true;
}

/* --- mremap --------------------------------------------------------------- */

struct move {
	struct fz_area *from, *to; /* @to: of MREMAP_FIXED */
	uint32_t page, page2;
	uint32_t nr_old, nr_new;
	bool fixed, may_move, keep_old;
};

/* Is [page, page + nr) one mapping of the kernel's? */
enum { ONE_NO, ONE_PERHAPS, ONE_YES };

/* What keeps two mappings apart and is not to be seen: the library may take
 * them for one. */
static bool differ_unseen(const struct fz_page *p, const struct fz_page *q)
{
	if ((p->flags & FZ_VMA_FLAGS) == (q->flags & FZ_VMA_FLAGS))
		return false;
	return !fz_run.shim || p->kind != FZ_ANON;
}

static bool may_be_one(const struct fz_page *p, const struct fz_page *q)
{
	return fz_mapped(q) && p->kind == q->kind && p->prot == q->prot &&
	       !differ_unseen(p, q);
}

static int is_one(const struct fz_area *a, uint32_t page, uint32_t nr)
{
	int one = ONE_YES;

	for (uint32_t i = page; i < page + nr; i++) {
		const struct fz_page *p = &a->page[page], *q = &a->page[i];

		if (!may_be_one(p, q))
			return ONE_NO;
		if (p->kind != FZ_ANON &&
		    q->file_page != p->file_page + (i - page))
			return ONE_NO;
		if (p->vma != q->vma)
			one = ONE_PERHAPS;
	}
	return one;
}

static bool any_unseen(const struct move *m)
{
	const struct fz_page *p = &m->from->page[m->page];

	for (uint32_t i = 1; i < m->nr_old; i++)
		if ((p[i].flags ^ p->flags) & FZ_VMA_FLAGS)
			return true;
	return false;
}

static bool any_of_segment(const struct move *m)
{
	for (uint32_t i = 0; i < m->nr_old; i++)
		if (m->from->page[m->page + i].flags & FZ_SEGMENT)
			return true;
	return false;
}

static int mremap_error(const struct fz_call *call, const struct move *m)
{
	int known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

	if ((call->flags & ~known) || call->offset || !m->nr_new)
		return EINVAL;
	if (!m->fixed && !m->keep_old)
		return 0;
	if ((m->fixed && call->offset2) || !m->may_move)
		return EINVAL;
	if (m->keep_old && m->nr_old != m->nr_new)
		return EINVAL;
	if (m->fixed && m->from == m->to && m->page < m->page2 + m->nr_new &&
	    m->page2 < m->page + m->nr_old)
		return EINVAL;
	return 0;
}

/* What is left behind by MREMAP_DONTUNMAP: an untouched mapping. */
static void leave_empty(struct fz_page *p)
{
	fz_discard(p);
	p->flags &= (uint16_t) ~(FZ_LOCKED | FZ_ONFAULT | FZ_GUARD);
}

/* Pages [page, page + nr) of @from go to @to, holes do not. */
static void move_pages(struct fz_ctx *c, const struct move *m,
		       struct fz_area *to, uint32_t page2, uint32_t nr)
{
	uint32_t before = 0, vma = 0;
	uint16_t was;

	for (uint32_t i = 0; i < nr; i++) {
		struct fz_page *p = &m->from->page[m->page + i];
		struct fz_page *q = &to->page[page2 + i];

		if (!fz_mapped(p))
			continue;
		if (p->vma != before)
			vma = fz_vma_next(c);
		before = p->vma;
		fz_clear(q);
		was = q->was;
		*q = *p;
		q->was = was;
		q->vma = vma;
		if (m->keep_old)
			leave_empty(p);
		else
			fz_unmap(m->from, m->page + i, 1);
	}
}

/* Pages [page, page + nr) become like the one that @like describes. */
static void extend(struct fz_ctx *c, const struct fz_page *like,
		   struct fz_area *a, uint32_t page, uint32_t nr)
{
	(void)c;
	for (uint32_t i = 0; i < nr; i++) {
		struct fz_page *p = &a->page[page + i];

		fz_clear(p);
		p->kind = like->kind;
		p->prot = like->prot;
		p->vma = like->vma;
		p->flags =
			like->flags & (FZ_VMA_FLAGS | FZ_THP | FZ_SEGMENT);
		p->flags |= FZ_MAYBE;
		if (p->kind != FZ_ANON)
			p->file_page = (uint16_t)(like->file_page + i);
	}
}

/* The old pages are at @to now, and as many as there are to be. */
static void moved(struct fz_ctx *c, const struct move *m, struct fz_area *to,
		  uint32_t page2)
{
	uint32_t nr = HS_T_MIN(m->nr_old, m->nr_new);
	struct fz_page like = m->from->page[m->page];

	if (nr < m->nr_old)
		fz_unmap(m->from, m->page + nr, m->nr_old - nr);
	if (nr) {
		if (m->nr_old != m->nr_new)
			fz_unmap(to, page2, m->nr_new);
		move_pages(c, m, to, page2, nr);
		like = to->page[page2 + nr - 1];
		like.file_page++;
	}
	like.vma = nr ? like.vma : fz_vma_next(c);
	extend(c, &like, to, page2 + nr, m->nr_new - nr);
	fz_area_reap(m->from);
}

static void moved_anywhere(struct fz_ctx *c, const struct fz_call *call,
			   const struct move *m)
{
	struct fz_area *to = fz_area_add(c, (char *)call->ret, m->nr_new);

	moved(c, m, to, 0);
}

static void grown(struct fz_ctx *c, const struct move *m)
{
	struct fz_area *a = m->from;
	uint32_t end = m->page + m->nr_old, more = m->nr_new - m->nr_old;
	uint32_t vma = fz_vma_next(c);
	struct fz_page like;

	if (end + more > a->nr) {
		uint32_t beyond = end + more - a->nr;

		fz_area_claim(c, a->base + a->nr * FZ_PAGE, beyond);
		memset(a->page + a->nr, 0, beyond * sizeof(*a->page));
		a->nr += beyond;
	}
	/* What was merged with pages further on is one no longer for sure. */
	for (uint32_t i = m->page; i < end; i++)
		a->page[i].vma = vma;
	like = a->page[end - 1];
	like.file_page++;
	extend(c, &like, a, end, more);
}

static void mremap_call(struct fz_call *call, const struct move *m)
{
	char *old = fz_addr(m->from, call), *to = NULL;

	if (m->to)
		to = m->to->base + m->page2 * FZ_PAGE + call->offset2;
	errno = 0;
	if (call->raw)
		call->ret = syscall(SYS_mremap, old, call->len, call->len2,
				    FZ_ARG(call->flags), to);
	else
		call->ret = result(
			mremap(old, call->len, call->len2, call->flags, to));
	call->err = call->ret == -1 ? errno : 0;
}

/* To @to: any number of mappings when the size stays. */
static bool do_fixed(struct fz_ctx *c, struct fz_call *call,
		     const struct move *m)
{
	uint32_t nr = HS_T_MIN(m->nr_old, m->nr_new);
	int one = is_one(m->from, m->page, nr ? nr : 1);
	bool same = m->nr_old == m->nr_new;
	const struct fz_page *p = &m->from->page[m->page];
	int err = 0;

	if (one == ONE_PERHAPS && !(same && fz_run.moves_many))
		return false;
	/* Not among several. */
	if (one != ONE_YES && any_of_segment(m))
		return false;
	/* To where it comes from, a copy of nothing: of no use to anybody. */
	if (!nr && m->from == m->to && m->page >= m->page2 &&
	    m->page < m->page2 + m->nr_new)
		return false;
	if (!fz_mapped(p))
		err = EFAULT;
	else if (!nr && p->kind != FZ_SHARED)
		err = EINVAL;
	else if (one == ONE_NO && !same)
		err = EFAULT;
	else if (one == ONE_NO && !fz_run.moves_many)
		return false;
	mremap_call(call, m);
	fz_expect(c, call, err ? -1 : result(m->to->base + m->page2 * FZ_PAGE),
		  err);
	if (!err)
		moved(c, m, m->to, m->page2);
	return true;
}

/* In place or to where the kernel likes: MREMAP_DONTUNMAP, and growing. */
static bool do_anywhere(struct fz_ctx *c, struct fz_call *call,
			const struct move *m, bool in_place_ok, bool in_place)
{
	int one = is_one(m->from, m->page, m->nr_old ? m->nr_old : 1);
	const struct fz_page *p = &m->from->page[m->page];
	int64_t stay = result(m->from->base + m->page * FZ_PAGE);

	if (m->may_move && !in_place &&
	    (!fz_run.null_calls || !fz_dynamic_free(c) ||
	     m->nr_new > FZ_DYNAMIC_PAGES))
		return false;
	mremap_call(call, m);
	if (one == ONE_PERHAPS && call->ret == -1 && call->err == EFAULT)
		return true;
	if (one == ONE_PERHAPS && any_unseen(m))
		fz_allow(FZ_ALLOW_MREMAP);
	if (!m->nr_old && p->kind != FZ_SHARED) {
		fz_expect(c, call, -1, EINVAL);
	} else if (one == ONE_NO) {
		fz_expect(c, call, -1, EFAULT);
	} else if (in_place || (in_place_ok && call->ret == stay)) {
		fz_expect(c, call, stay, 0);
		grown(c, m);
	} else if (!m->may_move) {
		fz_expect(c, call, -1, ENOMEM);
	} else {
		if (call->ret == -1 || call->ret % (int64_t)FZ_PAGE ||
		    call->ret == stay)
			fz_expect(c, call, 0, 0);
		moved_anywhere(c, call, m);
	}
	return true;
}

static bool do_grow(struct fz_ctx *c, struct fz_call *call,
		    const struct move *m)
{
	const struct fz_area *a = m->from;
	uint32_t from = m->page + m->nr_old, more = m->nr_new - m->nr_old;
	bool unknown = false, taken = false;

	for (uint32_t i = from; i < from + more && !taken; i++) {
		if (i >= a->nr || a->page[i].kind == FZ_GONE)
			unknown = true;
		else
			taken = fz_mapped(&a->page[i]);
	}
	if (!m->nr_old)
		taken = true;
	if (unknown && !taken) {
		/* Whether it fits depends on who else is there. */
		if (a->window || from + more > FZ_DYNAMIC_PAGES ||
		    !ours(a, from, HS_T_MIN(more, a->nr - from)))
			return false;
		return do_anywhere(c, call, m, true, false);
	}
	return do_anywhere(c, call, m, false, !taken);
}

static bool do_in_place(struct fz_ctx *c, struct fz_call *call,
			const struct move *m)
{
	mremap_call(call, m);
	fz_expect(c, call, result(m->from->base + m->page * FZ_PAGE), 0);
	fz_unmap(m->from, m->page + m->nr_new, m->nr_old - m->nr_new);
	return true;
}

/* Linux unlocks all of the mapping that such pages are moved from. */
static bool any_locked(const struct move *m)
{
	for (uint32_t i = 0; i < m->nr_old; i++)
		if (m->from->page[m->page + i].flags & FZ_LOCKED)
			return true;
	return false;
}

bool fz_do_mremap(struct fz_ctx *c, struct fz_call *call)
{
	struct move m = {
		.from = fz_area_find(c, call->area),
		.page = call->page,
		.page2 = call->page2,
		.nr_old = pages_of(call->len),
		.nr_new = pages_of(call->len2),
		.fixed = call->flags & MREMAP_FIXED,
		.may_move = call->flags & MREMAP_MAYMOVE,
		.keep_old = call->flags & MREMAP_DONTUNMAP,
	};
	int err;

	if (!m.from || !ours(m.from, m.page, m.nr_old ? m.nr_old : 1))
		return false;
	if (m.keep_old && any_locked(&m))
		return false;
	if (m.fixed) {
		m.to = fz_area_find(c, call->area2);
		if (!m.to || !ours(m.to, m.page2, m.nr_new ? m.nr_new : 1))
			return false;
	}
	err = mremap_error(call, &m);
	if (!err && !fz_mapped(&m.from->page[m.page]))
		err = EFAULT;
	/* Kernels before 6.17 unmap the target first and ask then, and in
	 * another order. */
	if (m.fixed && !fz_run.moves_many &&
	    (err || !m.nr_old || is_one(m.from, m.page, m.nr_old) != ONE_YES))
		return false;
	if (err) {
		mremap_call(call, &m);
		fz_expect(c, call, -1, err);
		return true;
	}
	if (m.fixed)
		return do_fixed(c, call, &m);
	if (m.keep_old)
		return do_anywhere(c, call, &m, false, false);
	if (m.nr_new <= m.nr_old)
		return do_in_place(c, call, &m);
	return do_grow(c, call, &m);
}
