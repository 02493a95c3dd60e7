/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "regmap.h"

#include <sys/mman.h>

#include "pagesrc_internal.h"
#include "sys.h"

struct hs_regmap hs_regmap;

static size_t page_bytes(void)
{
	return (size_t)sizeof(struct hs_slot) << hs_regmap.page_shift;
}

static size_t nr_pages(void)
{
	size_t per_page = (size_t)1 << hs_regmap.page_shift;

	return (hs_regmap.end - hs_regmap.first + per_page - 1) >>
	       hs_regmap.page_shift;
}

static char *page_address(size_t page)
{
	return (char *)(hs_regmap.slots + hs_regmap.first) +
	       page * page_bytes();
}

size_t hs_regmap_bytes(void)
{
	size_t slots = (size_t)1 << (HS_USER_BITS - hs_arena.slot_shift);
	size_t most = HS_REGMAP_PAGES_MAX * hs_sys_page_size();

	return HS_MIN(slots * sizeof(struct hs_slot), most);
}

void hs_regmap_init(void *table, uintptr_t base, size_t size_bytes)
{
	size_t slots = (size_t)1 << (HS_USER_BITS - hs_arena.slot_shift);

	hs_regmap.page_shift = (unsigned)__builtin_ctzl(
		hs_sys_page_size() / sizeof(struct hs_slot));
	hs_regmap.first = 0;
	hs_regmap.end = slots;
	if (slots * sizeof(struct hs_slot) > hs_regmap_bytes()) {
		hs_regmap.first = base >> hs_arena.slot_shift;
		hs_regmap.end = (base + size_bytes) >> hs_arena.slot_shift;
	}
	hs_regmap.slots = (struct hs_slot *)table - hs_regmap.first;
}

static bool has_page(size_t page)
{
	return atomic_load_explicit(&hs_regmap.page_map[page / 64],
				    memory_order_acquire) >>
		       (page % 64) &
	       1;
}

static int map_pages(size_t page, size_t nr)
{
	void *want = page_address(page);
	size_t len = nr * page_bytes();
	void *p = hs_sys.mmap(want, len, PROT_READ | PROT_WRITE,
			      (hs_pagesrc_flags(hs_arena.reserved) &
			       ~MAP_NORESERVE) |
				      MAP_ANONYMOUS,
			      -1, 0);

	if (hs_sys_is_err(p))
		return -ENOMEM;
	if (p != want) {
		hs_sys.munmap(p, len);
		return -ENOMEM;
	}
	/* Pairs with the acquire in hs_regmap_covers(). */
	for (; nr > 0; nr--, page++)
		atomic_fetch_or_explicit(&hs_regmap.page_map[page / 64],
					 (uint64_t)1 << (page % 64),
					 memory_order_release);
	return 0;
}

int hs_regmap_cover(size_t first, size_t nr)
{
	size_t page, end;

	if (nr == 0)
		return 0;
	if (first < hs_regmap.first || first + nr > hs_regmap.end)
		return -ENOMEM;
	page = (first - hs_regmap.first) >> hs_regmap.page_shift;
	end = ((first + nr - 1 - hs_regmap.first) >> hs_regmap.page_shift) + 1;
	while (page < end) {
		size_t n = 0;

		while (page + n < end && !has_page(page + n))
			n++;
		if (n != 0 && map_pages(page, n))
			return -ENOMEM;
		page += n + 1;
	}
	return 0;
}

/* From a page that is not there to where the next may be. */
static size_t skip_step(size_t page, size_t end)
{
	bool word = page % 64 == 0 && end - page > 64 &&
		    hs_regmap.page_map[page / 64] == 0;

	return word ? 64 : 1;
}

void hs_regmap_unreserve(void)
{
	size_t page = 0, end = nr_pages();

	while (page < end) {
		size_t from;

		while (page < end && has_page(page))
			page++;
		from = page;
		/* Most words of the map are empty. */
		while (page < end && !has_page(page))
			page += skip_step(page, end);
		if (page > from)
			hs_sys.munmap(page_address(from),
				      (page - from) * page_bytes());
	}
}

size_t hs_regmap_next(size_t from, size_t to)
{
	size_t per_page = (size_t)1 << hs_regmap.page_shift;

	from = HS_MAX(from, hs_regmap.first);
	to = HS_MIN(to, hs_regmap.end);
	while (from < to) {
		size_t page = (from - hs_regmap.first) >> hs_regmap.page_shift;

		if (has_page(page))
			return from;
		if (page % 64 == 0 && hs_regmap.page_map[page / 64] == 0)
			page += 63;
		from = hs_regmap.first + (page + 1) * per_page;
	}
	return HS_MAX(from, to);
}
