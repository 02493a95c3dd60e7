/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_gen.c - the next call, by chance: around what was used last, around
 * the edges of huge pages, and now and then wrong.
 */
#include "vm_fuzz.h"

#include <sys/resource.h>
#include <sys/shm.h>

static uint32_t below(struct fz_ctx *c, uint32_t n)
{
	return (uint32_t)hs_t_below(&c->rng, n);
}

static bool chance(struct fz_ctx *c, uint32_t one_in)
{
	return below(c, one_in) == 0;
}

static int one_of(struct fz_ctx *c, const int *list, uint32_t nr)
{
	return list[below(c, nr)];
}

#define ONE_OF(c, ...)                                                         \
	one_of(c, (const int[]){ __VA_ARGS__ },                                \
	       sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

/* --- where ---------------------------------------------------------------- */

static struct fz_area *pick_area(struct fz_ctx *c)
{
	struct fz_area *a = fz_area_find(c, c->recent_area);

	if (a && !chance(c, 3))
		return a;
	for (int i = 0; i < 200; i++) {
		a = &c->area[below(c, FZ_MAX_AREAS)];
		if (a->nr)
			return a;
	}
	return &c->area[0];
}

static uint32_t clamp(int64_t page, uint32_t nr)
{
	if (page < 0)
		return 0;
	return page >= nr ? nr - 1 : (uint32_t)page;
}

/* The nearest page at which a huge page begins, or the area. */
static int64_t slot_edge(const struct fz_area *a, int64_t page)
{
	int64_t at = page + a->phase + FZ_SLOT / 2;

	return at - at % FZ_SLOT - a->phase;
}

static uint32_t pick_page(struct fz_ctx *c, const struct fz_area *a)
{
	int64_t any = below(c, a->nr);

	switch (below(c, 8)) {
	case 0 ... 1:
		return clamp(slot_edge(a, any) + below(c, 5) - 2, a->nr);
	case 2 ... 4:
		if (a->id == c->recent_area)
			return clamp((int64_t)c->recent_page + below(c, 9) - 4,
				     a->nr);
		return (uint32_t)any;
	case 5:
		return clamp(slot_edge(a, any), a->nr);
	default:
		return (uint32_t)any;
	}
}

/* A number of pages from @page on, up to the area's end. */
static uint32_t pick_pages(struct fz_ctx *c, const struct fz_area *a,
			   uint32_t page)
{
	uint32_t rest = a->nr - page, nr;
	int64_t edge;

	switch (below(c, 16)) {
	case 0 ... 8:
		nr = 1 + below(c, 8);
		break;
	case 9 ... 11:
		nr = 1 + below(c, 64);
		break;
	case 12:
		nr = FZ_SLOT - 2 + below(c, 5);
		break;
	case 13:
		nr = FZ_SLOT * (1 + below(c, 3));
		break;
	default: /* to an edge */
		edge = slot_edge(a, page + FZ_SLOT / 2);
		nr = edge > page ? (uint32_t)(edge - page) : 1;
	}
	return nr > rest ? rest : nr;
}

/* Up to the first page that is somebody else's. */
static uint32_t pick_ours(struct fz_ctx *c, const struct fz_area *a,
			  uint32_t page)
{
	uint32_t nr = pick_pages(c, a, page);

	for (uint32_t i = 0; i < nr; i++)
		if (a->page[page + i].kind == FZ_GONE)
			return i;
	return nr;
}

static void pick_range(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_area *a;
	uint32_t nr = 0;

	for (int i = 0; i < 8 && !nr; i++) {
		a = pick_area(c);
		call->area = a->id;
		call->page = pick_page(c, a);
		nr = pick_ours(c, a, call->page);
		if (!nr)
			c->recent_area = FZ_NO_AREA;
	}
	if (!nr)
		nr = 1;
	call->len = nr * FZ_PAGE;
	if (chance(c, 12)) /* rounded up by the kernel */
		call->len -= below(c, FZ_PAGE - 1);
	c->recent_area = a->id;
	c->recent_page = chance(c, 2) ? call->page : call->page + nr;
}

/* Now and then a range that no call takes. */
static void spoil(struct fz_ctx *c, struct fz_call *call)
{
	if (!chance(c, 40))
		return;
	switch (below(c, 4)) {
	case 0:
		call->len = 0;
		break;
	case 1:
		call->len = UINT64_MAX;
		break;
	case 2:
		call->len = UINT64_MAX - 2 * FZ_PAGE + 1;
		break;
	default:
		call->offset = 1 + below(c, FZ_PAGE - 1);
		if (call->len > FZ_PAGE)
			call->len -= FZ_PAGE;
	}
}

/* --- what ----------------------------------------------------------------- */

static int pick_prot(struct fz_ctx *c)
{
	return ONE_OF(c, PROT_NONE, PROT_NONE, PROT_READ, PROT_READ,
		      PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
		      PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
		      PROT_READ | PROT_WRITE, PROT_WRITE,
		      PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void gen_file(struct fz_ctx *c, struct fz_call *call)
{
	call->how = chance(c, 3) ? FZ_HOW_SHARED : FZ_HOW_PRIVATE;
	call->file_page = (uint16_t)below(c, FZ_FILE_PAGES + 2);
	call->flags &= ~(MAP_ANONYMOUS | MAP_PRIVATE);
	call->flags |= call->how == FZ_HOW_SHARED ? MAP_SHARED : MAP_PRIVATE;
	if (call->how == FZ_HOW_SHARED && !chance(c, 10))
		call->prot &= ~PROT_WRITE;
	if (call->len > 64 * FZ_PAGE)
		call->len = (1 + below(c, 64)) * FZ_PAGE;
}

static void gen_wrong_mmap(struct fz_ctx *c, struct fz_call *call)
{
	switch (below(c, 3)) {
	case 0:
		call->how = FZ_HOW_BAD_FD;
		call->flags &= ~MAP_ANONYMOUS;
		break;
	case 1:
		call->offset2 = 1 + below(c, FZ_PAGE - 1);
		break;
	default:
		call->flags &= ~MAP_PRIVATE;
	}
}

/* Room for a new area. */
static void gen_drop(struct fz_ctx *c, struct fz_call *call)
{
	const struct fz_area *a =
		&c->area[FZ_MAX_WINDOWS + below(c, FZ_MAX_DYNAMIC)];
	uint32_t nr = 0;

	call->op = FZ_MUNMAP;
	call->area = a->id;
	while (nr < a->nr && a->page[nr].kind != FZ_GONE)
		nr++;
	call->page = call->offset = 0;
	call->len = nr * FZ_PAGE;
}

/* Where the kernel, and so the library, is free to choose. */
static void gen_mmap_null(struct fz_ctx *c, struct fz_call *call)
{
	if (fz_dynamic_free(c) < 2) {
		gen_drop(c, call);
		return;
	}
	call->area = FZ_NO_AREA;
	call->page = 0;
	if (chance(c, 2))
		call->len = (FZ_SLOT + below(c, FZ_SLOT * 3)) * FZ_PAGE;
	if (chance(c, 4)) {
		call->prot = PROT_NONE;
		call->flags |= MAP_NORESERVE;
	}
}

static void gen_mmap(struct fz_ctx *c, struct fz_call *call)
{
	call->op = FZ_MMAP;
	call->how = FZ_HOW_ANON;
	call->prot = pick_prot(c);
	call->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	if (chance(c, 4))
		call->flags |= MAP_NORESERVE;
	if (chance(c, 16))
		call->flags |= MAP_POPULATE;
	if (chance(c, 64) && fz_run.has_mlock)
		call->flags |= MAP_LOCKED;
	if (chance(c, 32))
		call->flags |= MAP_STACK;
	switch (below(c, 8)) {
	case 0:
		if (fz_run.null_calls)
			gen_mmap_null(c, call);
		break;
	case 1:
		break; /* a hint */
	case 2:
		call->flags |= MAP_FIXED_NOREPLACE;
		break;
	default:
		call->flags |= MAP_FIXED;
		if (chance(c, 4))
			gen_file(c, call);
	}
	if (call->op == FZ_MMAP && chance(c, 50))
		gen_wrong_mmap(c, call);
}

static void gen_shmat(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_area *a = fz_area_find(c, call->area);
	uint32_t last = a->nr > FZ_FILE_PAGES ? a->nr - FZ_FILE_PAGES : 0;

	call->op = FZ_SHMAT;
	call->page = HS_T_MIN(call->page, last);
	call->len = FZ_FILE_PAGES * FZ_PAGE;
	call->flags = chance(c, 4) ? 0 : SHM_REMAP;
}

/* Whole huge pages anew: or soon nothing but small pieces would be left. */
static void gen_fresh(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_area *a = fz_area_find(c, call->area);
	int64_t edge = slot_edge(a, call->page);
	uint32_t nr = FZ_SLOT * (1 + below(c, 4));

	call->page = clamp(edge, a->nr);
	call->offset = 0;
	call->len = HS_T_MIN(nr, a->nr - call->page) * FZ_PAGE;
	call->op = FZ_MMAP;
	call->how = FZ_HOW_ANON;
	call->prot = chance(c, 6) ? PROT_NONE : PROT_READ | PROT_WRITE;
	call->flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	c->recent_page = call->page + below(c, (uint32_t)(call->len / FZ_PAGE));
}

static void gen_munmap(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_area *a = fz_area_find(c, call->area);

	call->op = FZ_MUNMAP;
	/* Room for new ones. */
	if (!a->window && (chance(c, 2) || fz_dynamic_free(c) < 3)) {
		call->page = call->offset = 0;
		call->len = a->nr * FZ_PAGE;
	}
}

static void gen_mprotect(struct fz_ctx *c, struct fz_call *call)
{
	call->op = chance(c, 8) ? FZ_PKEY_MPROTECT : FZ_MPROTECT;
	call->prot = chance(c, 50) ? 0x100 : pick_prot(c);
	call->flags = chance(c, 8) ? 15 : -1; /* the key */
}

static void gen_madvise(struct fz_ctx *c, struct fz_call *call)
{
	call->op = FZ_MADVISE;
	if (chance(c, 12)) {
		call->op = FZ_PROCESS_MADVISE;
		call->page2 = chance(c, 2) ? 0 : below(c, 8);
	} else if (chance(c, 8)) {
		call->op = FZ_POSIX_MADVISE;
		call->flags = (int)below(c, 5);
		if (chance(c, 10))
			call->flags = 99;
		return;
	}
	switch (below(c, 8)) {
	case 0 ... 1:
		call->flags = MADV_DONTNEED;
		return;
	case 2:
		call->flags =
			ONE_OF(c, MADV_FREE, MADV_FREE, MADV_DONTNEED_LOCKED,
			       MADV_COLLAPSE, MADV_GUARD_INSTALL,
			       MADV_GUARD_INSTALL, MADV_GUARD_REMOVE);
		return;
	case 3:
		call->flags = ONE_OF(c, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
				     MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED);
		return;
	case 4:
		call->flags = ONE_OF(c, MADV_DONTFORK, MADV_DOFORK,
				     MADV_WIPEONFORK, MADV_KEEPONFORK);
		return;
	case 5:
		call->flags = ONE_OF(c, 5, 7, 26, 27, 99, 104, -1, MADV_REMOVE,
				     MADV_REMOVE);
		return;
	default:
		call->flags =
			ONE_OF(c, MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL,
			       MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE,
			       MADV_UNMERGEABLE, MADV_DONTDUMP, MADV_DODUMP);
	}
}

/* Mostly to somewhere within an area, mostly not over itself. */
static void gen_mremap_fixed(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_area *a = pick_area(c);
	uint32_t nr = (uint32_t)((call->len2 + FZ_PAGE - 1) / FZ_PAGE);

	call->flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	if (nr > a->nr)
		nr = a->nr;
	call->area2 = a->id;
	call->page2 = pick_page(c, a);
	if (call->page2 > a->nr - nr)
		call->page2 = a->nr - nr;
	if (chance(c, 40))
		call->offset2 = 8;
	if (chance(c, 40))
		call->flags &= ~MREMAP_MAYMOVE;
	if (chance(c, 4)) {
		call->flags |= MREMAP_DONTUNMAP;
		if (!chance(c, 10))
			call->len2 = call->len;
	}
}

static void gen_mremap(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t nr;

	call->op = FZ_MREMAP;
	if (call->len >= FZ_SILLY)
		call->len = FZ_PAGE;
	call->len2 = call->len;
	nr = (uint32_t)(call->len / FZ_PAGE);
	switch (below(c, 4)) {
	case 0: /* shrink */
		call->len2 = below(c, nr + 1) * FZ_PAGE;
		break;
	case 1: /* grow */
		call->len2 +=
			(1 + below(c, chance(c, 2) ? 8 : FZ_SLOT)) * FZ_PAGE;
		break;
	}
	if (chance(c, 40))
		call->len = 0;
	switch (below(c, 8)) {
	case 0 ... 2:
		gen_mremap_fixed(c, call);
		break;
	case 3:
		call->flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
		call->len2 = chance(c, 10) ? call->len2 : call->len;
		break;
	case 4 ... 5:
		call->flags = MREMAP_MAYMOVE;
		break;
	}
	if (chance(c, 80))
		call->flags |= 0x10;
}

static void gen_lock(struct fz_ctx *c, struct fz_call *call)
{
	if (chance(c, 8)) {
		call->op = FZ_MLOCK2;
		call->flags = chance(c, 10) ? 2 : (int)below(c, 2);
	} else {
		call->op = chance(c, 3) ? FZ_MLOCK : FZ_MUNLOCK;
	}
	/* Locked ranges refuse much of the rest: let them be small. */
	if (call->op != FZ_MUNLOCK && call->len < FZ_SILLY)
		call->len = HS_T_MIN(call->len, 16 * FZ_PAGE);
}

static void gen_rare(struct fz_ctx *c, struct fz_call *call)
{
	switch (below(c, 5)) {
	case 0:
		call->op = FZ_SET_MEMPOLICY;
		call->flags = (int)below(c, 5);
		break;
	case 1:
		call->op = FZ_REMAP_PAGES;
		break;
	case 2:
		call->op = FZ_LOCK_ALL;
		call->flags = 1 + (int)below(c, 3);
		if (chance(c, 4))
			call->flags |= MCL_ONFAULT;
		break;
	case 3:
		call->op = FZ_LIMIT;
		call->flags = chance(c, 2) ? RLIMIT_AS : RLIMIT_DATA;
		break;
	default:
		gen_shmat(c, call);
	}
}

static void gen_ask(struct fz_ctx *c, struct fz_call *call)
{
	switch (below(c, 4)) {
	case 0:
		call->op = FZ_MBIND;
		call->flags = chance(c, 10) ? 77 : (int)below(c, 5);
		break;
	case 1:
		call->op = FZ_MSYNC;
		call->flags =
			ONE_OF(c, 0, MS_ASYNC, MS_SYNC, MS_INVALIDATE,
			       MS_ASYNC | MS_INVALIDATE,
			       MS_SYNC | MS_INVALIDATE, MS_SYNC | MS_ASYNC, 8);
		break;
	default:
		call->op = FZ_MINCORE;
	}
}

static void gen_io(struct fz_ctx *c, struct fz_call *call)
{
	call->op = chance(c, 3) ? FZ_WRITE : FZ_READ;
	call->how = (uint8_t)below(c, FZ_NR_HOW_IO);
	call->offset = 0;
	if (call->len >= FZ_SILLY)
		call->len = FZ_PAGE;
	if (call->len > 48 * FZ_PAGE && !chance(c, 4))
		call->len = (1 + below(c, 48)) * FZ_PAGE;
	if (chance(c, 2) && call->len > FZ_PAGE) {
		call->offset = below(c, FZ_PAGE);
		call->len -= below(c, FZ_PAGE);
		if (call->len > FZ_PAGE)
			call->len -= FZ_PAGE;
	}
	call->file_page = (uint16_t)below(c, FZ_FILE_PAGES - FZ_IO_PAGES);
}

static void gen_touch(struct fz_ctx *c, struct fz_call *call)
{
	call->op = chance(c, 3) ? FZ_READ_TOUCH : FZ_WRITE_TOUCH;
	if (call->len > 4 * FZ_PAGE && !chance(c, 5))
		call->len = (1 + below(c, 4)) * FZ_PAGE;
	call->value = hs_t_next(&c->rng);
}

void fz_generate(struct fz_ctx *c, struct fz_call *call)
{
	memset(call, 0, sizeof(*call));
	call->step = c->step;
	call->area2 = FZ_NO_AREA;
	pick_range(c, call);
	switch (below(c, 100)) {
	case 0 ... 44:
		gen_touch(c, call);
		return;
	case 45 ... 54:
		gen_io(c, call);
		return;
	}
	spoil(c, call);
	call->raw = chance(c, 6);
	switch (below(c, 47)) {
	case 0:
		gen_fresh(c, call);
		break;
	case 46:
		gen_rare(c, call);
		break;
	case 1 ... 8:
		gen_mmap(c, call);
		break;
	case 9 ... 12:
		gen_munmap(c, call);
		break;
	case 13 ... 20:
		gen_mprotect(c, call);
		break;
	case 21 ... 32:
		gen_madvise(c, call);
		break;
	case 33 ... 38:
		gen_mremap(c, call);
		break;
	case 39 ... 42:
		gen_lock(c, call);
		break;
	default:
		gen_ask(c, call);
	}
}
