/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link.c - see link.h. */
#include "preload/link.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#define VERSION_HIDDEN 0x8000
#define NR_TABLES 32
#define FILTER_BITS (8 * sizeof(ElfW(Addr)))

/* The tables of one object. */
struct table {
	uintptr_t base;
	uint32_t nr_buckets;
	uint32_t filter_mask; /* of its words */
	uint32_t filter_shift;
	const ElfW(Addr) *filter;
	const uint32_t *buckets;
	const uint32_t *chains; /* by symbol */
	const ElfW(Sym) *symbols;
	const char *strings;
	const ElfW(Half) *versions;
};

/* Those from ours, which is not among them, to libc's, which is the last. */
static struct table tables[NR_TABLES];
static size_t nr_tables;

/* A fork child may find it BUILDING for ever. */
enum { NONE, BUILDING, READY, UNFIT };
static _Atomic int state;

/* Since glibc 2.35: lock-free, async-signal-safe. */
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *dso);

HS_START bool hs_link_object(const void *addr, struct hs_link_object *object)
{
	struct dl_find_object found;

	if (!_dl_find_object || _dl_find_object((void *)addr, &found) != 0)
		return false;
	object->start = (uintptr_t)found.dlfo_map_start;
	object->size_bytes = (uintptr_t)found.dlfo_map_end - object->start;
	object->map = found.dlfo_link_map;
	return true;
}

HS_START bool hs_link_libc(struct hs_link_object *libc)
{
	return hs_link_object((void *)__register_atfork, libc);
}

/* --- the tables --------------------------------------------------------- */

/* nr_buckets, the first symbol, the number of the filter's words, its shift;
 * then the filter, the buckets, and a word for each symbol from the first. */
static void read_hash(struct table *t, const uint32_t *hash)
{
	t->nr_buckets = hash[0];
	t->filter_mask = hash[2] - 1;
	t->filter_shift = hash[3];
	t->filter = (const ElfW(Addr) *)(const void *)(hash + 4);
	t->buckets = (const uint32_t *)(const void *)(t->filter + hash[2]);
	t->chains = t->buckets + hash[0] - hash[1];
}

/* ld.so has added the object's address to the pointers, but for the vDSO,
 * whose dynamic section it cannot write. */
static const void *pointer(const struct link_map *l, const ElfW(Dyn) *d)
{
	uintptr_t p = d->d_un.d_ptr;

	return (const void *)(p < l->l_addr ? p + l->l_addr : p);
}

static bool read_table(struct table *t, const struct link_map *l)
{
	const ElfW(Dyn) *d;

	t->base = l->l_addr;
	for (d = l->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_GNU_HASH)
			read_hash(t, pointer(l, d));
		else if (d->d_tag == DT_SYMTAB)
			t->symbols = pointer(l, d);
		else if (d->d_tag == DT_STRTAB)
			t->strings = pointer(l, d);
		else if (d->d_tag == DT_VERSYM)
			t->versions = pointer(l, d);
	}
	return t->nr_buckets != 0 && t->symbols != NULL && t->strings != NULL;
}

static bool build(void)
{
	struct hs_link_object own, libc;
	const struct link_map *l;

	if (!hs_link_object(tables, &own) || !hs_link_libc(&libc))
		return false;
	l = own.map;
	do {
		l = l->l_next;
		if (l == NULL || nr_tables == NR_TABLES ||
		    !read_table(&tables[nr_tables], l))
			return false;
		nr_tables++;
	} while (l != libc.map);
	return true;
}

static bool ready(void)
{
	int none = NONE, now = atomic_load(&state);

	if (hs_likely(now != NONE))
		return now == READY;
	if (!atomic_compare_exchange_strong(&state, &none, BUILDING))
		return false;
	now = build() ? READY : UNFIT;
	atomic_store(&state, now);
	return now == READY;
}

/* --- the search --------------------------------------------------------- */

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name != '\0'; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

static bool may_have(const struct table *t, uint32_t h)
{
	ElfW(Addr) word = t->filter[h / FILTER_BITS & t->filter_mask];

	return word >> h % FILTER_BITS & word >> (h >> t->filter_shift) %
		       FILTER_BITS & 1;
}

static bool is_hidden(const struct table *t, uint32_t index)
{
	return t->versions != NULL && (t->versions[index] & VERSION_HIDDEN);
}

/* The definition of @name in one object, of the default version where there
 * are several; NULL where it has none. */
static const ElfW(Sym) *look_up(const struct table *t, const char *name,
				uint32_t h)
{
	uint32_t index = may_have(t, h) ? t->buckets[h % t->nr_buckets] : 0;
	const ElfW(Sym) *s, *found = NULL;

	if (index == 0)
		return NULL;
	do {
		s = &t->symbols[index];
		if ((t->chains[index] | 1) == (h | 1) &&
		    s->st_shndx != SHN_UNDEF &&
		    (found == NULL || !is_hidden(t, index)) &&
		    strcmp(t->strings + s->st_name, name) == 0)
			found = s;
	} while (!(t->chains[index++] & 1));
	return found;
}

static bool is_plain(const struct table *t, const ElfW(Sym) *s)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);

	return (type == STT_FUNC || type == STT_OBJECT) &&
	       s->st_shndx != SHN_ABS &&
	       !is_hidden(t, (uint32_t)(s - t->symbols));
}

void *hs_link_find(const char *name)
{
	uint32_t h = hash_of(name);
	const struct table *t = tables;
	const ElfW(Sym) *s = NULL;

	if (!ready())
		return NULL;
	for (; s == NULL && t < tables + nr_tables; t++)
		s = look_up(t, name, h);
	if (s == NULL || t != tables + nr_tables || !is_plain(t - 1, s))
		return NULL;
	return (void *)(t[-1].base + s->st_value);
}
