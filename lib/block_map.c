/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_map.c - the memory of blocks.
 *
 * Addresses are held by a PROT_NONE mapping first, so that a failure at any
 * step leaves nothing of anybody else's touched.
 */
#include <sys/mman.h>

#include "block_internal.h"
#include "config.h"
#include "convert.h"
#include "pagesrc.h"
#include "region_internal.h"
#include "rescue.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

#define RW (PROT_READ | PROT_WRITE)

/* Bytes of direct blocks count against the cap, too. */
static size_t direct_slots;

bool hs_block_is_direct(const struct hs_block_request *request)
{
	return request->page_bytes != hs_region_slot_bytes() ||
	       (request->flags & HS_BLOCK_DONTFORK);
}

int hs_block_hold(size_t len, size_t align, uintptr_t *at)
{
	size_t more;
	uintptr_t q;

	if (__builtin_add_overflow(len, align - hs_sys_page_size(), &more))
		return -ENOMEM;
	q = (uintptr_t)hs_sys.mmap(NULL, more, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				   -1, 0);
	if (hs_sys_is_err((void *)q))
		return -ENOMEM;
	*at = hs_align_up(q, align);
	if (*at != q)
		hs_sys.munmap((void *)q, *at - q);
	if (q + more != *at + len)
		hs_sys.munmap((void *)(*at + len), q + more - *at - len);
	return 0;
}

/* Base pages, or none (PROT_NONE), over what is there; records go. */
static int map_over(uintptr_t at, size_t len, int prot)
{
	struct hs_vm_range range = { at, at + len };
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	struct hs_vm_guard guard;
	void *p;

	if (len == 0)
		return 0;
	if (prot == PROT_NONE)
		flags |= MAP_NORESERVE;
	hs_vm_begin(&guard);
	hs_vm_change(&guard);
	p = hs_sys.mmap((void *)at, len, prot, flags, -1, 0);
	if (!hs_sys_is_err(p))
		hs_vm_forget(&range);
	hs_vm_changed(&guard);
	hs_vm_end(&guard);
	return hs_sys_is_err(p) ? -ENOMEM : 0;
}

static int place(const struct hs_block_request *request, uintptr_t at,
		 size_t len)
{
	if (request->mode == 0 || len == 0)
		return 0;
	return hs_sys.mbind((void *)at, len, request->mode,
			    request->nr_nodes ? request->nodes : NULL,
			    request->nr_nodes ? request->nr_nodes + 1 : 0, 0);
}

/* Base pages; transparent huge ones unless base pages were asked for. */
static int fill_base(const struct hs_block_request *request, uintptr_t at,
		     size_t len)
{
	int err;

	if (len == 0)
		return 0;
	err = map_over(at, len, RW);
	if (!err)
		err = place(request, at, len);
	if (!err && request->page_bytes > hs_sys_page_size() &&
	    hs_policy_fallback(HS_MAP_VM) == &hs_pagesrc_thp)
		hs_sys.madvise((void *)at, len, MADV_HUGEPAGE);
	return err;
}

/* --- with records -------------------------------------------------------- */

static bool usable(void)
{
	return hs_config->enabled && !hs_region.limited &&
	       !hs_region.left_pool && !hs_region_is_restricted();
}

static size_t count_lazy(const struct hs_vm_range *range)
{
	size_t i = hs_vm_slot(range->from), end = hs_vm_slot(range->to);
	size_t nr = 0;

	for (; (i = hs_regmap_next(i, end)) < end; i++)
		nr += hs_vm_is_huge(&hs_regmap.slots[i]);
	return nr;
}

/* hugetlb under as many slots as may have it, untouched; that many. */
static size_t back(const struct hs_vm_range *range)
{
	struct hs_vm_guard guard;
	size_t nr = 0;

	if (!usable())
		return 0;
	hs_vm_begin(&guard);
	if (hs_vm_back(range, RW, MAP_POPULATE | HS_VM_EXPLICIT))
		nr = count_lazy(range);
	hs_vm_end(&guard);
	return nr;
}

static size_t populate(uintptr_t at, size_t len)
{
	if (len == 0)
		return 0;
	return hs_pagesrc_huge()->populate((void *)at, len,
					   hs_region_slot_bytes());
}

/* Another thread that needs pages may have had some of these, as nobody had
 * touched them yet (hs_policy_pool_slots()). */
static bool is_whole(const struct hs_vm_range *range)
{
	struct hs_vm_guard guard;
	size_t nr;

	hs_vm_begin(&guard);
	nr = count_lazy(range);
	hs_vm_end(&guard);
	return nr == (range->to - range->from) >> hs_arena.slot_shift;
}

static int fill_slots(const struct hs_block_request *request, uintptr_t at,
		      size_t len)
{
	struct hs_vm_range range = { at, at + len };
	size_t huge, done = 0;
	int err = fill_base(request, at, len);

	if (err)
		return err;
	huge = back(&range) << hs_arena.slot_shift;
	/* The pool's mapping is a new one. */
	err = place(request, at, huge);
	if (err)
		return err;
	if (huge == len || request->fallback == HS_BLOCK_PREFER)
		done = populate(at, huge);
	if (huge == len)
		hs_policy_note_short((huge - done) >> hs_arena.slot_shift,
				     HS_STAT_FALLBACK_POOL);
	if (done != len && request->fallback == HS_BLOCK_REQUIRE)
		return -ENOMEM;
	if (done != len && request->fallback == HS_BLOCK_TRY)
		done = 0;
	/* Nobody knows the addresses yet, so no slot needs to be converted. */
	if (done < huge)
		err = fill_base(request, at + done, len - done);
	if (!err)
		hs_vm_populate(&range);
	if (err || done != len || request->fallback == HS_BLOCK_PREFER ||
	    is_whole(&range))
		return err;
	return request->fallback == HS_BLOCK_TRY ? fill_base(request, at, len)
						 : -ENOMEM;
}

/* --- without ------------------------------------------------------------- */

/* Of @len bytes, how many may come from the pool. */
static size_t allowed_direct(size_t len, size_t page_bytes)
{
	size_t nr = len >> hs_arena.slot_shift, allowed;
	struct hs_vm_guard guard;

	if (!usable())
		return 0;
	hs_vm_begin(&guard);
	allowed = hs_policy_pool_slots(nr + direct_slots, HS_MAP_VM);
	if (hs_convert_charges())
		allowed = 0;
	allowed -= HS_MIN(allowed, direct_slots);
	hs_vm_end(&guard);
	return hs_align_down(allowed << hs_arena.slot_shift, page_bytes);
}

static void count_direct(size_t bytes, bool taken)
{
	size_t nr = bytes >> hs_arena.slot_shift;
	struct hs_vm_guard guard;

	hs_vm_begin(&guard);
	direct_slots = taken ? direct_slots + nr
			     : direct_slots - HS_MIN(direct_slots, nr);
	hs_vm_end(&guard);
}

/* Huge pages from @at on, as many of @len bytes as there are; *@huge: bytes. */
static int take_direct(const struct hs_block_request *request, uintptr_t at,
		       size_t len, size_t *huge)
{
	int err;

	*huge = 0;
	if (len == 0 ||
	    hs_pagesrc_overlay((void *)at, len, request->page_bytes, RW))
		return 0;
	err = place(request, at, len);
	if (err)
		return err;
	*huge = hs_pagesrc_hugetlb.populate((void *)at, len,
					    request->page_bytes);
	if (*huge != len)
		hs_stats_fallback(HS_STAT_FALLBACK_POOL);
	return 0;
}

static int fill_direct(const struct hs_block_request *request, uintptr_t at,
		       size_t len, size_t *huge)
{
	size_t page = request->page_bytes, may = 0;
	int err;

	*huge = 0;
	if (page > hs_sys_page_size())
		may = allowed_direct(len, page);
	if (may != len && request->fallback != HS_BLOCK_PREFER)
		may = 0;
	err = take_direct(request, at, may, huge);
	if (err)
		return err;
	if (*huge != len && request->fallback != HS_BLOCK_PREFER)
		*huge = 0;
	if (*huge != len && request->fallback == HS_BLOCK_REQUIRE &&
	    page > hs_sys_page_size())
		return -ENOMEM;
	err = fill_base(request, at + *huge, len - *huge);
	if (!err && request->flags & HS_BLOCK_DONTFORK)
		err = hs_sys.madvise((void *)at, len, MADV_DONTFORK);
	if (!err)
		count_direct(*huge, true);
	return err;
}

/* --- both ---------------------------------------------------------------- */

int hs_block_fill(const struct hs_block_request *request, uintptr_t at,
		  size_t len, size_t *huge)
{
	int err;

	*huge = 0;
	err = hs_block_is_direct(request)
		      ? fill_direct(request, at, len, huge)
		      : fill_slots(request, at, len);
	if (err)
		map_over(at, len, PROT_NONE);
	return err;
}

/* What is one block may be several mappings, which move one by one; each of
 * them is whole pages. */
static int move_direct(uintptr_t from, uintptr_t to, size_t len, size_t page)
{
	size_t half = hs_align_up(len / 2, page);
	void *p = hs_sys.mremap((void *)from, len, len,
				MREMAP_MAYMOVE | MREMAP_FIXED, (void *)to);
	int err;

	if (!hs_sys_is_err(p))
		return 0;
	if (hs_sys_err(p) != -EFAULT || half >= len)
		return hs_sys_err(p);
	err = move_direct(from, to, half, page);
	if (err)
		return err;
	err = move_direct(from + half, to + half, len - half, page);
	if (err) /* back: the block stays whole */
		move_direct(to, from, half, page);
	return err;
}

int hs_block_move(const struct hs_block *block, uintptr_t to)
{
	void *p;

	if (hs_block_is_direct(&block->request))
		return move_direct(block->addr, to, block->len,
				   block->request.page_bytes);
	p = hs_vm_mremap((void *)block->addr, block->len, block->len,
			 MREMAP_MAYMOVE | MREMAP_FIXED, (void *)to);
	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

int hs_block_drop(const struct hs_block *block, uintptr_t from, size_t len)
{
	size_t huge_end = block->addr + block->direct_huge;
	int err;

	if (len == 0)
		return 0;
	if (!hs_block_is_direct(&block->request))
		return hs_vm_munmap((void *)from, len);
	err = hs_sys.munmap((void *)from, len);
	if (!err && huge_end > from)
		count_direct(HS_MIN(huge_end - from, len), false);
	return err;
}
