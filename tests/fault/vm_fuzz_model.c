/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_model.c - what is at each base page, and a look at whether it is.
 */
#include "vm_fuzz.h"

#include <sys/syscall.h>

/* --- areas ---------------------------------------------------------------- */

struct fz_area *fz_area_find(struct fz_ctx *c, uint32_t id)
{
	for (int i = 0; i < FZ_MAX_AREAS; i++)
		if (c->area[i].nr && c->area[i].id == id)
			return &c->area[i];
	return NULL;
}

struct fz_area *fz_area_at(struct fz_ctx *c, const char *addr, uint32_t *page)
{
	for (int i = 0; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];

		if (!a->nr || addr < a->base ||
		    addr >= a->base + a->nr * FZ_PAGE)
			continue;
		*page = (uint32_t)((size_t)(addr - a->base) / FZ_PAGE);
		if (a->page[*page].kind != FZ_GONE)
			return a;
	}
	return NULL;
}

static uint32_t nr_mapped(const struct fz_area *a)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < a->nr; i++)
		nr += fz_mapped(&a->page[i]);
	return nr;
}

void fz_area_reap(struct fz_area *a)
{
	if (!a->window && !nr_mapped(a))
		a->nr = 0;
}

uint32_t fz_dynamic_free(struct fz_ctx *c)
{
	uint32_t nr = 0;

	for (int i = FZ_MAX_WINDOWS; i < FZ_MAX_AREAS; i++)
		nr += c->area[i].nr == 0;
	return nr;
}

void fz_area_claim(struct fz_ctx *c, char *base, uint32_t nr)
{
	for (int i = 0; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];
		char *from = a->base, *to = a->base + a->nr * FZ_PAGE;

		if (!a->nr || base >= to || base + nr * FZ_PAGE <= from)
			continue;
		from = from < base ? base : from;
		to = to > base + nr * FZ_PAGE ? base + nr * FZ_PAGE : to;
		for (; from < to; from += FZ_PAGE) {
			uint32_t page =
				(uint32_t)((size_t)(from - a->base) / FZ_PAGE);

			if (fz_mapped(&a->page[page]))
				fz_differ(c, a, page, 1,
					  "a mapping was put over another");
			a->page[page].kind = FZ_GONE;
		}
		fz_area_reap(a);
	}
}

/* The kernel's own choices lie above the library's. */
static bool stays_ours(const char *base, uint32_t nr)
{
	if (fz_run.threads > 1 || nr < FZ_SLOT)
		return false;
	return !fz_run.shim || (uintptr_t)base < 0x700000000000ULL;
}

struct fz_area *fz_area_add(struct fz_ctx *c, char *base, uint32_t nr)
{
	fz_area_claim(c, base, nr);
	for (int i = FZ_MAX_WINDOWS; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];

		if (a->nr)
			continue;
		a->id = 1000 + c->step;
		a->nr = nr;
		a->phase = (uint32_t)((uintptr_t)base / FZ_PAGE % FZ_SLOT);
		a->base = base;
		a->window = false;
		a->keep = stays_ours(base, nr);
		a->page = c->dynamic[i - FZ_MAX_WINDOWS];
		memset(a->page, 0, nr * sizeof(*a->page));
		return a;
	}
	abort(); /* callers ask fz_dynamic_free() first */
}

/* --- pages ---------------------------------------------------------------- */

bool fz_mapped(const struct fz_page *p)
{
	return p->kind >= FZ_ANON;
}

bool fz_past_end(const struct fz_page *p)
{
	return p->kind >= FZ_PRIVATE && p->file_page >= FZ_FILE_PAGES;
}

bool fz_readable(const struct fz_page *p)
{
	return fz_mapped(p) && p->prot != PROT_NONE && !fz_past_end(p) &&
	       !(p->flags & FZ_GUARD);
}

bool fz_writable(const struct fz_page *p)
{
	return fz_readable(p) && (p->prot & PROT_WRITE);
}

uint32_t fz_tag_word(uint64_t tag)
{
	return (uint32_t)(tag >> 55);
}

uint64_t fz_tag_make(uint64_t random, uint32_t word)
{
	return (random >> 9 | 1) | (uint64_t)word << 55;
}

uint64_t fz_file_tag(uint32_t file_page)
{
	struct hs_t_rng rng = { fz_run.seed ^ (file_page * 0x9e3779b9ULL) };
	uint64_t random = hs_t_next(&rng);

	return fz_tag_make(random, hs_t_next(&rng) % FZ_WORDS);
}

uint64_t fz_content(const struct fz_page *p)
{
	if (p->kind == FZ_ANON || (p->flags & FZ_COPY))
		return p->tag;
	return fz_file_tag(p->file_page);
}

static bool own_tag(const struct fz_page *p)
{
	return p->tag && (p->kind == FZ_ANON || (p->flags & FZ_COPY));
}

void fz_clear(struct fz_page *p)
{
	uint16_t was = own_tag(p) ? (uint16_t)fz_tag_word(p->tag) : p->was;

	memset(p, 0, sizeof(*p));
	p->was = was;
}

void fz_discard(struct fz_page *p)
{
	if (own_tag(p))
		p->was = (uint16_t)fz_tag_word(p->tag);
	p->tag = 0;
	p->flags &= (uint16_t) ~(FZ_COPY | FZ_LAZY | FZ_WRITTEN | FZ_MAYBE);
}

/* The page was written and is @tag now. */
void fz_set(struct fz_page *p, uint64_t tag)
{
	if (fz_content(p) && fz_content(p) != tag)
		p->was = (uint16_t)fz_tag_word(fz_content(p));
	p->tag = tag;
	p->flags &= (uint16_t)~FZ_LAZY;
	p->flags |= FZ_WRITTEN;
	if (p->kind == FZ_PRIVATE)
		p->flags |= FZ_COPY;
}

void fz_unmap(struct fz_area *a, uint32_t page, uint32_t nr)
{
	for (uint32_t i = page; i < page + nr; i++) {
		struct fz_page *p = &a->page[i];

		fz_clear(p);
		p->kind = a->keep ? FZ_HOLE : FZ_GONE;
	}
}

uint32_t fz_vma_next(struct fz_ctx *c)
{
	return ++c->vmas;
}

void fz_vma_split(struct fz_ctx *c, struct fz_area *a, uint32_t page,
		  uint32_t nr)
{
	uint32_t before = 0, now = 0;

	for (uint32_t i = page; i < page + nr; i++) {
		if (i == page || a->page[i].vma != before)
			now = fz_vma_next(c);
		before = a->page[i].vma;
		a->page[i].vma = now;
	}
}

/* --- a look at contents --------------------------------------------------- */

/* Offset of the first word that is neither @tag in its place nor 0, or -1. */
static int wrong_word(const volatile uint64_t *word, uint64_t tag)
{
	for (uint32_t i = 0; i < FZ_WORDS; i++) {
		bool own = tag && i == fz_tag_word(tag);

		if (word[i] != (own ? tag : 0))
			return (int)i;
	}
	return -1;
}

/* After MADV_FREE zeros may have come, which then stay. */
static void check_lazy(struct fz_page *p, const volatile uint64_t *word)
{
	if (p->tag && word[fz_tag_word(p->tag)] == 0) {
		p->tag = 0;
		p->flags &= (uint16_t)~FZ_LAZY;
	}
}

void fz_check_page(struct fz_ctx *c, struct fz_area *a, uint32_t page,
		   bool full)
{
	const volatile uint64_t *word =
		(const volatile uint64_t *)(a->base + page * FZ_PAGE);
	struct fz_page *p = &a->page[page];
	uint64_t tag;
	uint32_t at;

	if (p->flags & FZ_LAZY)
		check_lazy(p, word);
	tag = fz_content(p);
	p->flags |= FZ_MAYBE;
	if (full) {
		int wrong = wrong_word(word, tag);

		if (wrong >= 0)
			fz_differ(c, a, page, 1,
				  "contents of page %u: word %d is %#llx; "
				  "%#llx in word %u was expected",
				  page, wrong, (unsigned long long)word[wrong],
				  (unsigned long long)tag, fz_tag_word(tag));
		return;
	}
	at = tag ? fz_tag_word(tag) : (page * 7 + c->step) % FZ_WORDS;
	if (word[at] != tag)
		fz_differ(c, a, page, 1,
			  "contents of page %u: word %u is %#llx; "
			  "%#llx was expected",
			  page, at, (unsigned long long)word[at],
			  (unsigned long long)tag);
	/* What was there before, or by a wrong hand. */
	at = p->was != at ? p->was : (at + 1 + c->step % 511) % FZ_WORDS;
	if (word[at] != 0)
		fz_differ(c, a, page, 1,
			  "contents of page %u: word %u is %#llx; "
			  "0 was expected",
			  page, at, (unsigned long long)word[at]);
}

void fz_check_all(struct fz_ctx *c, bool full)
{
	for (int i = 0; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];

		for (uint32_t page = 0; page < a->nr; page++)
			if (fz_readable(&a->page[page]))
				fz_check_page(c, a, page, full);
	}
}

/* What was PROT_NONE in between has kept its contents. */
void fz_reveal_all(struct fz_ctx *c)
{
	for (int i = 0; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];

		for (uint32_t page = 0; page < a->nr; page++) {
			struct fz_page *p = &a->page[page];

			if (!fz_mapped(p) || p->prot != PROT_NONE)
				continue;
			if (mprotect(a->base + page * FZ_PAGE, FZ_PAGE,
				     PROT_READ))
				fz_differ(c, a, page, 1, "mprotect: %m");
			p->prot = PROT_READ;
		}
	}
}

void fz_model_fork(struct fz_ctx *c)
{
	for (int i = 0; i < FZ_MAX_AREAS; i++) {
		struct fz_area *a = &c->area[i];

		for (uint32_t page = 0; page < a->nr; page++) {
			struct fz_page *p = &a->page[page];

			if (p->flags & FZ_DONTFORK) {
				fz_unmap(a, page, 1);
				continue;
			}
			p->flags &= (uint16_t) ~(FZ_LOCKED | FZ_ONFAULT);
			if (!(p->flags & FZ_WIPE))
				continue;
			p->flags &= (uint16_t)~FZ_GUARD;
			fz_discard(p);
		}
		fz_area_reap(a);
	}
}
