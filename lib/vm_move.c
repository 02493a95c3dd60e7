/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_move.c - mremap: what is one mapping to the application is several to the
 * kernel, which moves one at a time.
 */
#include <string.h>
#include <sys/mman.h>

#include "region_internal.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define FLAGS_KNOWN (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)
#define HS_MAP_FIXED_NOREPLACE 0x100000

struct move {
	struct hs_vm_guard *guard;
	struct hs_vm_range old;
	size_t old_len, new_len; /* whole pages */
	uintptr_t target;        /* with MREMAP_FIXED */
	int flags, prot;
	struct hs_vm_range fresh; /* memory that is new, to be populated */
	bool populate;
};

static struct hs_slot *huge_at(uintptr_t addr)
{
	size_t index = hs_vm_slot(addr);

	if (!hs_regmap_covers(index) ||
	    !hs_vm_is_huge(&hs_regmap.slots[index]))
		return NULL;
	return &hs_regmap.slots[index];
}

static void *map_new(uintptr_t addr, size_t len, int prot, int flags)
{
	return hs_sys.mmap((void *)addr, len, prot,
			   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* Untouched memory at the end of what was there. */
static void back_fresh(struct move *m, uintptr_t from, uintptr_t to)
{
	m->fresh.from = from;
	m->fresh.to = to;
	if (m->prot & PROT_WRITE && hs_vm_enabled())
		m->populate = hs_vm_back(&m->fresh, m->prot, 0);
}

/* --- pieces -------------------------------------------------------------- */

static int move_piece(uintptr_t from, uintptr_t to, size_t len, size_t new_len,
		      int flags)
{
	void *p = hs_sys.mremap((void *)from, len, new_len,
				MREMAP_MAYMOVE | MREMAP_FIXED | flags,
				(void *)to);

	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

/* What the kernel does not move for want of a mapping more.  The new place has
 * it then, whether the old one can be given back or not. */
static int copy_piece(struct move *m, uintptr_t from, uintptr_t to, size_t len)
{
	int prot = m->prot | PROT_READ | PROT_WRITE;

	if (prot != m->prot &&
	    (hs_sys.mprotect((void *)to, len, prot) ||
	     hs_sys.mprotect((void *)from, len, prot)))
		return -ENOMEM;
	memcpy((void *)to, (void *)from, len);
	if (prot != m->prot)
		hs_sys.mprotect((void *)to, len, m->prot);
	if (m->flags & MREMAP_DONTUNMAP)
		map_new(from, len, m->prot, MAP_FIXED);
	else
		hs_sys.munmap((void *)from, len);
	return 0;
}

static bool is_mapped(uintptr_t addr)
{
	struct hs_vm_range page = { addr, addr + hs_sys_page_size() };

	return hs_vm_first_hole(&page) == page.to;
}

/* Kernels before 6.17 move one of their mappings at a time and say EFAULT to
 * more: halves, until each is in one. */
static int move_base(struct move *m, uintptr_t from, uintptr_t to, size_t len)
{
	int keep = m->flags & MREMAP_DONTUNMAP;
	size_t half = hs_align_up(len / 2, hs_sys_page_size());
	int err = move_piece(from, to, len, len, keep);

	if (!err)
		return 0;
	if (err != -EFAULT || (half == len && is_mapped(from)))
		return copy_piece(m, from, to, len);
	if (half == len)
		return err;
	err = move_base(m, from, to, half);
	return err ? err : move_base(m, from + half, to + half, len - half);
}

/* Whole slots; their records follow the pages. */
static bool move_slots(struct move *m, uintptr_t from, uintptr_t to, size_t len)
{
	size_t src = hs_vm_slot(from), dst = hs_vm_slot(to);
	size_t nr = len >> hs_arena.slot_shift;
	int err;

	hs_regmap.in_use = true;
	hs_vm_change(m->guard);
	err = move_piece(from, to, len, len, 0);
	for (size_t i = 0; !err && i < nr; i++)
		hs_vm_move_record(src + i, dst + i);
	hs_vm_changed(m->guard);
	return !err;
}

/* What cannot be moved is copied, without the rescue's lock, which the pages
 * read may need. */
static int move_huge(struct move *m, uintptr_t from, uintptr_t to, size_t len)
{
	size_t slot = hs_region_slot_bytes();

	if (move_slots(m, from, to, len))
		return 0;
	for (; len > 0; from += slot, to += slot, len -= slot) {
		struct hs_vm_range part = { from, from + slot };
		int err;

		if (move_slots(m, from, to, slot))
			continue;
		hs_rescue_prepare((void *)from, slot);
		err = copy_piece(m, from, to, slot);
		if (err)
			return err;
		hs_vm_forget(&part);
	}
	return 0;
}

/* From @from up to where huge and other pages meet, or @end. */
static uintptr_t piece_end(uintptr_t from, uintptr_t end, bool huge)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t p = from;

	while (p < end && (huge_at(p) != NULL) == huge)
		p = hs_align_down(p, slot) + slot;
	return HS_MIN(p, end);
}

/* Huge pages cannot be moved and leave their mapping behind. */
static int move_one(struct move *m, uintptr_t from, uintptr_t to, size_t len,
		    bool huge)
{
	int err = huge ? move_huge(m, from, to, len)
		       : move_base(m, from, to, len);
	void *p;

	if (err || !huge || !(m->flags & MREMAP_DONTUNMAP))
		return err;
	p = map_new(from, len, m->prot, MAP_FIXED);
	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

/* Base pages grow with whatever else the program asked for them. */
static int move_last(struct move *m, uintptr_t from, uintptr_t to)
{
	size_t page = hs_sys_page_size();
	size_t more = m->new_len - m->old_len;

	if (move_piece(from, to, page, page + more, 0) == 0)
		return 0;
	return copy_piece(m, from, to, page);
}

/* pre: the target is mapped, and no part of it is huge. */
static int move_pieces(struct move *m, uintptr_t to)
{
	size_t page = hs_sys_page_size();
	uintptr_t p = m->old.from, end = p + m->old_len;
	bool grows = m->new_len > m->old_len && !huge_at(end - 1);
	int err = 0;

	if (grows)
		end -= page;
	while (p < end && !err) {
		bool huge = huge_at(p) != NULL;
		uintptr_t next = piece_end(p, end, huge);

		err = move_one(m, p, to + (p - m->old.from), next - p, huge);
		p = next;
	}
	if (!err && grows)
		err = move_last(m, end, to + (end - m->old.from));
	return err;
}

/* --- where to ------------------------------------------------------------ */

/* A place whose slots begin where those of the old one do. */
static uintptr_t map_in_phase(const struct move *m)
{
	size_t slot = hs_region_slot_bytes();
	size_t more = m->new_len + slot;
	uintptr_t q = (uintptr_t)map_new(0, more, PROT_NONE, MAP_NORESERVE);
	uintptr_t at;

	if (hs_sys_is_err((void *)q))
		return q;
	at = q + ((m->old.from - q) & (slot - 1));
	if (at != q)
		hs_sys.munmap((void *)q, at - q);
	hs_sys.munmap((void *)(at + m->new_len), q + more - at - m->new_len);
	if (hs_sys_is_err(map_new(at, m->new_len, m->prot, MAP_FIXED))) {
		hs_sys.munmap((void *)at, m->new_len);
		return (uintptr_t)-ENOMEM;
	}
	return at;
}

static uintptr_t map_target(const struct move *m)
{
	struct hs_vm_range range = { m->target, m->target + m->new_len };
	uintptr_t p;
	int err;

	if (!(m->flags & MREMAP_FIXED))
		return map_in_phase(m);
	err = hs_vm_settle_edges(&range);
	if (err)
		return (uintptr_t)(intptr_t)err;
	hs_vm_change(m->guard);
	p = (uintptr_t)map_new(m->target, m->new_len, m->prot, MAP_FIXED);
	if (!hs_sys_is_err((void *)p))
		hs_vm_forget(&range);
	hs_vm_changed(m->guard);
	return p;
}

static uintptr_t move(struct move *m)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t to = map_target(m);
	int err = 0;

	if (hs_sys_is_err((void *)to))
		return to;
	/* Only whole slots move to whole slots. */
	if ((to - m->old.from) & (slot - 1))
		err = hs_vm_settle_all(&m->old);
	if (!err)
		err = hs_regmap_cover(hs_vm_slot(to),
				      hs_vm_slot(to + m->new_len - 1) + 1 -
					      hs_vm_slot(to));
	if (!err)
		err = move_pieces(m, to);
	if (err)
		return (uintptr_t)(intptr_t)err;
	hs_vm_forget(&m->old);
	if (m->new_len > m->old_len)
		back_fresh(m, to + m->old_len, to + m->new_len);
	return to;
}

/* --- mremap -------------------------------------------------------------- */

static int unmap_tail(struct move *m)
{
	struct hs_vm_range tail = { m->old.from + m->new_len, m->old.to };
	int err = hs_vm_settle_edges(&tail);

	if (err)
		return err;
	hs_vm_change(m->guard);
	err = hs_sys.munmap((void *)tail.from, tail.to - tail.from);
	if (!err)
		hs_vm_forget(&tail);
	hs_vm_changed(m->guard);
	if (!err) {
		m->old.to = tail.from;
		m->old_len = m->new_len;
	}
	return err;
}

/* A mapping of base pages grows as the kernel lets it grow. */
static bool grow_base(const struct move *m, size_t more)
{
	size_t page = hs_sys_page_size();

	return !hs_sys_is_err(hs_sys.mremap((void *)(m->old.to - page), page,
					    page + more, 0, NULL));
}

static bool grow_huge(const struct move *m, size_t more)
{
	void *p = map_new(m->old.to, more, m->prot, HS_MAP_FIXED_NOREPLACE);

	if (hs_sys_is_err(p))
		return false;
	if ((uintptr_t)p == m->old.to)
		return true;
	hs_sys.munmap(p, more);
	return false;
}

static bool grow_in_place(struct move *m)
{
	size_t more = m->new_len - m->old_len;
	bool huge = huge_at(m->old.to - 1) != NULL;

	if (!(huge ? grow_huge(m, more) : grow_base(m, more)))
		return false;
	back_fresh(m, m->old.to, m->old.to + more);
	return true;
}

/* What is to stay of the old range. */
static struct hs_vm_range kept(const struct move *m)
{
	size_t len = HS_MIN(m->old_len, m->new_len);

	return (struct hs_vm_range){ m->old.from, m->old.from + len };
}

/* By pieces: the kept range is one mapping for the program. */
static uintptr_t remap(struct move *m)
{
	int moving = m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
	int err;

	if (m->new_len < m->old_len) {
		err = unmap_tail(m);
		if (err)
			return (uintptr_t)(intptr_t)err;
	}
	if (!moving && m->new_len == m->old_len)
		return m->old.from;
	if (!moving && grow_in_place(m))
		return m->old.from;
	if (!(m->flags & MREMAP_MAYMOVE))
		return (uintptr_t)-ENOMEM;
	return move(m);
}

static bool has_huge(const struct hs_vm_range *range)
{
	size_t i = hs_vm_slot(range->from);
	size_t end = hs_vm_slot(range->to - 1) + 1;

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		if (hs_vm_is_huge(&hs_regmap.slots[i]))
			return true;
	return false;
}

/*
 * What is several mappings moves one by one (Linux 6.17), which huge pages that
 * are to be replaced do not like; and if the call fails, what is there stays.
 */
static int settle_target(const struct move *m, const struct hs_vm_range *target)
{
	if (m->new_len == m->old_len && has_huge(target))
		return hs_vm_settle_all(target);
	return hs_vm_settle_edges(target);
}

/* pre: the old range has no huge page. */
static uintptr_t remap_native(struct move *m)
{
	struct hs_vm_range target = { m->target, m->target + m->new_len };
	struct hs_vm_range tail = { m->old.from + m->new_len, m->old.to };
	bool fixed = m->flags & MREMAP_FIXED;
	uintptr_t p;
	int err = 0;

	if (fixed)
		err = settle_target(m, &target);
	if (err)
		return (uintptr_t)(intptr_t)err;
	hs_vm_change(m->guard);
	p = (uintptr_t)hs_sys.mremap((void *)m->old.from, m->old_len,
				     m->new_len, m->flags, (void *)m->target);
	if (!hs_sys_is_err((void *)p) && fixed)
		hs_vm_forget(&target);
	if (!hs_sys_is_err((void *)p) && p != m->old.from)
		hs_vm_forget(&m->old);
	else if (!hs_sys_is_err((void *)p) && m->new_len < m->old_len)
		hs_vm_forget(&tail);
	hs_vm_changed(m->guard);
	return p;
}

/* All of it huge pages of the same protection: no need to ask the kernel. */
static bool is_huge_all_over(const struct hs_vm_range *range, int *prot)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t p = range->from;

	if ((range->from | range->to) & (slot - 1))
		return false;
	for (; p < range->to; p += slot) {
		const struct hs_slot *record = huge_at(p);

		if (!record || (p != range->from && record->prot != *prot))
			return false;
		*prot = record->prot;
	}
	return true;
}

/* pre: its first page is mapped, and there are huge pages in it. */
static uintptr_t remap_huge(struct move *m)
{
	int moving = m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
	struct hs_vm_range range = kept(m);
	int err;

	if ((!moving && m->new_len <= m->old_len) ||
	    is_huge_all_over(&range, &m->prot) ||
	    hs_vm_is_uniform(&range, &m->prot))
		return remap(m);
	if (!(m->flags & MREMAP_FIXED) || m->new_len != m->old_len)
		return (uintptr_t)-EFAULT;
	/* Several mappings at once: since Linux 6.17. */
	err = hs_vm_settle_all(&m->old);
	return err ? (uintptr_t)(intptr_t)err : remap_native(m);
}

static uintptr_t remap_any(struct move *m)
{
	struct hs_vm_range range;
	uintptr_t p;

	if (!is_mapped(m->old.from))
		return (uintptr_t)-EFAULT;
	if (has_huge(&m->old))
		return remap_huge(m);
	p = remap_native(m);
	range = kept(m);
	/* Slots that were turned to base pages leave several mappings. */
	if (p == (uintptr_t)-EFAULT && hs_vm_is_uniform(&range, &m->prot))
		p = remap(m);
	return p;
}

/* Arguments that the kernel refuses. */
static bool is_refused(const struct move *m, void *old, void *new_addr)
{
	size_t page = hs_sys_page_size();

	if (((uintptr_t)old & (page - 1)) || m->flags & ~FLAGS_KNOWN ||
	    m->new_len == 0 || m->old_len == 0 || m->new_len > PTRDIFF_MAX ||
	    m->old_len > PTRDIFF_MAX)
		return true;
	if (m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) &&
	    !(m->flags & MREMAP_MAYMOVE))
		return true;
	if (m->flags & MREMAP_DONTUNMAP && m->new_len != m->old_len)
		return true;
	return m->flags & MREMAP_FIXED &&
	       (((uintptr_t)new_addr & (page - 1)) ||
		((uintptr_t)old + m->old_len > m->target &&
		 m->target + m->new_len > (uintptr_t)old));
}

void *hs_vm_mremap(void *old, size_t old_len, size_t new_len, int flags,
		   void *new_addr)
{
	size_t page = hs_sys_page_size();
	struct hs_vm_guard guard;
	struct move m = { .guard = &guard,
			  .old_len = hs_align_up(old_len, page),
			  .new_len = hs_align_up(new_len, page),
			  .target = (uintptr_t)new_addr,
			  .flags = flags };
	uintptr_t p;

	if (is_refused(&m, old, new_addr))
		return hs_sys.mremap(old, old_len, new_len, flags, new_addr);
	m.old.from = (uintptr_t)old;
	m.old.to = m.old.from + m.old_len;
	hs_vm_begin(&guard);
	p = (uintptr_t)(intptr_t)hs_vm_settle_edges(&m.old);
	hs_vm_unreserve(&m.old);
	if (p == 0)
		p = remap_any(&m);
	hs_vm_end(&guard);
	if (m.populate)
		hs_vm_populate(&m.fresh);
	return (void *)p;
}
