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

/* Is there a slot that is or was a huge page?  Then what is one mapping to the
 * application may be several. */
static bool is_cut(const struct hs_vm_range *range)
{
	size_t i = hs_vm_slot(range->from);
	size_t end = hs_vm_slot(range->to - 1) + 1;

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		if (hs_regmap.slots[i].vm && hs_slot_state(&hs_regmap.slots[i]) !=
						     HS_SLOT_RESERVED)
			return true;
	return false;
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

/* --- pieces ------------------------------------------------------------------ */

static bool move_piece(uintptr_t from, uintptr_t to, size_t len)
{
	return !hs_sys_is_err(hs_sys.mremap((void *)from, len, len,
					    MREMAP_MAYMOVE | MREMAP_FIXED,
					    (void *)to));
}

/* What the kernel does not move: several mappings of its own, or one too many
 * for its limit.  The old place goes when the caller unmaps it. */
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
	return hs_sys.munmap((void *)from, len);
}

static int move_base(struct move *m, uintptr_t from, uintptr_t to, size_t len)
{
	size_t slot = hs_region_slot_bytes();
	int err = 0;

	if (move_piece(from, to, len))
		return 0;
	while (len > 0 && !err) {
		size_t here = HS_MIN(len, slot - (from & (slot - 1)));

		if (!move_piece(from, to, here))
			err = copy_piece(m, from, to, here);
		from += here;
		to += here;
		len -= here;
	}
	return err;
}

/* The records of [from, from + len) follow the pages. */
static void move_records(uintptr_t from, uintptr_t to, size_t len)
{
	size_t src = hs_vm_slot(from), dst = hs_vm_slot(to);
	size_t nr = len >> hs_arena.slot_shift;

	for (size_t i = 0; i < nr; i++)
		hs_vm_move_record(src + i, dst + i);
	hs_regmap.in_use = true;
}

static int move_huge(struct move *m, uintptr_t from, uintptr_t to, size_t len)
{
	size_t slot = hs_region_slot_bytes();

	if (move_piece(from, to, len)) {
		move_records(from, to, len);
		return 0;
	}
	for (; len > 0; from += slot, to += slot, len -= slot) {
		struct hs_vm_range part = { from, from + slot };
		int err;

		if (move_piece(from, to, slot)) {
			move_records(from, to, slot);
			continue;
		}
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

/* pre: the target is mapped, and no part of it is huge. */
static int move_pieces(struct move *m, uintptr_t to)
{
	uintptr_t p = m->old.from, end = p + HS_MIN(m->old_len, m->new_len);

	while (p < end) {
		bool huge = huge_at(p) != NULL;
		uintptr_t next = piece_end(p, end, huge);
		uintptr_t dst = to + (p - m->old.from);
		int err = huge ? move_huge(m, p, dst, next - p)
			       : move_base(m, p, dst, next - p);

		if (err)
			return err;
		p = next;
	}
	return 0;
}

/* --- where to ---------------------------------------------------------------- */

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

static uintptr_t map_target(struct hs_vm_guard *guard, const struct move *m)
{
	struct hs_vm_range range = { m->target, m->target + m->new_len };
	uintptr_t p;
	int err;

	if (!(m->flags & MREMAP_FIXED))
		return map_in_phase(m);
	err = hs_vm_settle_edges(&range);
	if (err)
		return (uintptr_t)(intptr_t)err;
	hs_vm_change(guard);
	p = (uintptr_t)map_new(m->target, m->new_len, m->prot, MAP_FIXED);
	if (!hs_sys_is_err((void *)p))
		hs_vm_forget(&range);
	hs_vm_changed(guard);
	return p;
}

static uintptr_t move(struct hs_vm_guard *guard, struct move *m)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t to = map_target(guard, m);
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
	if (!err) {
		hs_vm_change(guard);
		err = move_pieces(m, to);
		hs_vm_changed(guard);
	}
	if (err)
		return (uintptr_t)(intptr_t)err;
	hs_vm_forget(&m->old);
	if (m->new_len > m->old_len)
		back_fresh(m, to + m->old_len, to + m->new_len);
	if (m->flags & MREMAP_DONTUNMAP)
		map_new(m->old.from, m->old_len, m->prot, MAP_FIXED);
	return to;
}

/* --- mremap ------------------------------------------------------------------ */

static int unmap_tail(struct hs_vm_guard *guard, struct move *m)
{
	struct hs_vm_range tail = { m->old.from + m->new_len, m->old.to };
	int err = hs_vm_settle_edges(&tail);

	if (err)
		return err;
	hs_vm_change(guard);
	err = hs_sys.munmap((void *)tail.from, tail.to - tail.from);
	if (!err)
		hs_vm_forget(&tail);
	hs_vm_changed(guard);
	if (!err) {
		m->old.to = tail.from;
		m->old_len = m->new_len;
	}
	return err;
}

static bool grow_in_place(struct move *m)
{
	uintptr_t end = m->old.to;
	size_t more = m->new_len - m->old_len;
	void *p = map_new(end, more, m->prot, HS_MAP_FIXED_NOREPLACE);

	if (hs_sys_is_err(p))
		return false;
	if ((uintptr_t)p != end) {
		hs_sys.munmap(p, more);
		return false;
	}
	back_fresh(m, end, end + more);
	return true;
}

/* pre: the old range is all mapped, and the same all over. */
static uintptr_t remap(struct hs_vm_guard *guard, struct move *m)
{
	int moving = m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
	int err;

	if (m->new_len < m->old_len) {
		err = unmap_tail(guard, m);
		if (err)
			return (uintptr_t)(intptr_t)err;
	}
	if (!moving && m->new_len == m->old_len)
		return m->old.from;
	if (!moving && grow_in_place(m))
		return m->old.from;
	if (!(m->flags & MREMAP_MAYMOVE))
		return (uintptr_t)-ENOMEM;
	return move(guard, m);
}

/* One mapping, or something that the kernel refuses; but huge pages may be
 * where it goes. */
static uintptr_t remap_native(struct hs_vm_guard *guard, struct move *m)
{
	struct hs_vm_range target = { m->target, m->target + m->new_len };
	struct hs_vm_range tail = { m->old.from + m->new_len, m->old.to };
	bool fixed = m->flags & MREMAP_FIXED;
	uintptr_t p;
	int err = 0;

	if (fixed)
		err = hs_vm_settle_edges(&target);
	if (err)
		return (uintptr_t)(intptr_t)err;
	hs_vm_change(guard);
	p = (uintptr_t)hs_sys.mremap((void *)m->old.from, m->old_len,
				     m->new_len, m->flags, (void *)m->target);
	if (!hs_sys_is_err((void *)p) && fixed)
		hs_vm_forget(&target);
	if (!hs_sys_is_err((void *)p) && p != m->old.from)
		hs_vm_forget(&m->old);
	else if (!hs_sys_is_err((void *)p) && m->new_len < m->old_len)
		hs_vm_forget(&tail);
	hs_vm_changed(guard);
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
	struct move m = { .old_len = hs_align_up(old_len, page),
			  .new_len = hs_align_up(new_len, page),
			  .target = (uintptr_t)new_addr,
			  .flags = flags };
	struct hs_vm_guard guard;
	uintptr_t p;

	if (is_refused(&m, old, new_addr))
		return hs_sys.mremap(old, old_len, new_len, flags, new_addr);
	m.old.from = (uintptr_t)old;
	m.old.to = m.old.from + m.old_len;
	hs_vm_begin(&guard);
	p = (uintptr_t)(intptr_t)hs_vm_settle_edges(&m.old);
	hs_vm_unreserve(&m.old);
	if (p == 0 && !is_cut(&m.old))
		p = remap_native(&guard, &m);
	if (p == 0 || p == (uintptr_t)-EFAULT)
		p = hs_vm_is_uniform(&m.old, &m.prot)
			    ? remap(&guard, &m)
			    : remap_native(&guard, &m);
	hs_vm_end(&guard);
	if (m.populate)
		hs_vm_populate(&m.fresh);
	return (void *)p;
}
