// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mallctl.c - jemalloc's tree of names.
 *
 * A "management information base" (mib) has one number for each part of a
 * name.  Here every literal part is the row of the table, and a part written
 * <i> is the index itself, so that a caller may change it as jemalloc's manual
 * shows.
 */
#include <string.h>

#include "config.h"
#include "heap.h"
#include "preload/jemalloc.h"
#include "sys.h"

/* jemalloc's "all arenas", and the two names for them here. */
#define ARENAS_ALL 4096
#define NR_ARENAS 1

struct call {
	void *old;
	size_t *old_bytes;
	const void *new;
	size_t new_bytes;
	size_t index; /* the <i> of the name */
};

struct row {
	const char *name;
	int (*answer)(const struct call *call, size_t arg);
	size_t arg;
};

/* --- giving and taking values ------------------------------------------- */

static int give(const struct call *call, const void *value, size_t bytes)
{
	size_t room;

	if (!call->old || !call->old_bytes)
		return 0;
	room = *call->old_bytes;
	*call->old_bytes = HS_MIN(room, bytes);
	memcpy(call->old, value, *call->old_bytes);
	return room == bytes ? 0 : EINVAL;
}

static int give_read_only(const struct call *call, const void *value,
			  size_t bytes)
{
	if (call->new || call->new_bytes)
		return EPERM;
	return give(call, value, bytes);
}

/* 0: *value is what the caller wrote; -1: it only reads. */
static int take(const struct call *call, void *value, size_t bytes)
{
	if (!call->new)
		return -1;
	if (call->new_bytes != bytes)
		return EINVAL;
	memcpy(value, call->new, bytes);
	return 0;
}

/* --- answers ------------------------------------------------------------ */

static int answer_size(const struct call *call, size_t arg)
{
	return give_read_only(call, &arg, sizeof(arg));
}

static int answer_unsigned(const struct call *call, size_t arg)
{
	unsigned value = (unsigned)arg;

	return give_read_only(call, &value, sizeof(value));
}

static int answer_bool(const struct call *call, size_t arg)
{
	bool value = arg;

	return give_read_only(call, &value, sizeof(value));
}

static int answer_page(const struct call *call, size_t arg HS_UNUSED)
{
	return answer_size(call, hs_sys_page_size());
}

static int answer_version(const struct call *call, size_t arg HS_UNUSED)
{
	static const char text[] = "5.3.0-libhugeshim-" PACKAGE_VERSION;
	const char *version = text;

	return give_read_only(call, &version, sizeof(version));
}

/* Figures are always of now; the number only has to rise. */
static int answer_epoch(const struct call *call, size_t arg HS_UNUSED)
{
	static _Atomic uint64_t epoch = 1;
	uint64_t value;
	int err = take(call, &value, sizeof(value));

	if (err > 0)
		return err;
	if (err == 0)
		atomic_fetch_add_explicit(&epoch, 1, memory_order_relaxed);
	value = atomic_load_explicit(&epoch, memory_order_relaxed);
	return give(call, &value, sizeof(value));
}

/* A switch of something that is not there: it is off, and only off can be
 * written. */
static int answer_off(const struct call *call, size_t arg HS_UNUSED)
{
	bool off = false, wanted;
	int err = take(call, &wanted, sizeof(wanted));

	if (err > 0)
		return err;
	if (err == 0 && wanted)
		return ENOENT;
	return give(call, &off, sizeof(off));
}

static int answer_decay(const struct call *call, size_t arg HS_UNUSED)
{
	ssize_t decay_ms = hs_config->decay_ms;

	return give_read_only(call, &decay_ms, sizeof(decay_ms));
}

static int answer_stat(const struct call *call, size_t offset)
{
	struct hs_jemalloc_stats stats;

	hs_jemalloc_stats(&stats);
	return give_read_only(call, (const char *)&stats + offset,
			      sizeof(size_t));
}

static int answer_nothing(const struct call *call, size_t arg HS_UNUSED)
{
	if (call->old || call->old_bytes || call->new || call->new_bytes)
		return EPERM;
	return 0;
}

static int answer_purge(const struct call *call, size_t arg)
{
	int err = answer_nothing(call, arg);

	if (err)
		return err;
	/* The number of arenas stood for all of them before version 5. */
	if (call->index > NR_ARENAS && call->index != ARENAS_ALL)
		return EFAULT;
	hs_heap_trim(0);
	return 0;
}

static int answer_thread_arena(const struct call *call, size_t arg HS_UNUSED)
{
	unsigned zero = 0, wanted;
	int err = take(call, &wanted, sizeof(wanted));

	if (err > 0)
		return err;
	if (err == 0 && wanted >= NR_ARENAS)
		return EFAULT;
	return give(call, &zero, sizeof(zero));
}

#define HS_STAT(field)                                                         \
	{                                                                      \
		"stats." #field, answer_stat,                                  \
			offsetof(struct hs_jemalloc_stats, field)              \
	}

static const struct row rows[] = {
	{ "version", answer_version, 0 },
	{ "epoch", answer_epoch, 0 },
	{ "background_thread", answer_off, 0 },
	{ "config.debug", answer_bool, false },
	{ "config.fill", answer_bool, false },
	{ "config.prof", answer_bool, false },
	{ "config.stats", answer_bool, true },
	{ "opt.background_thread", answer_bool, false },
	{ "opt.dirty_decay_ms", answer_decay, 0 },
	{ "opt.narenas", answer_unsigned, NR_ARENAS },
	{ "opt.tcache", answer_bool, false },
	{ "thread.arena", answer_thread_arena, 0 },
	{ "thread.idle", answer_nothing, 0 },
	{ "thread.tcache.enabled", answer_off, 0 },
	{ "thread.tcache.flush", answer_nothing, 0 },
	{ "arena.<i>.decay", answer_purge, 0 },
	{ "arena.<i>.purge", answer_purge, 0 },
	{ "arenas.dirty_decay_ms", answer_decay, 0 },
	{ "arenas.narenas", answer_unsigned, NR_ARENAS },
	{ "arenas.page", answer_page, 0 },
	{ "arenas.quantum", answer_size, HS_HEAP_MIN_ALIGN },
	HS_STAT(active),
	HS_STAT(allocated),
	HS_STAT(mapped),
	HS_STAT(metadata),
	HS_STAT(resident),
	HS_STAT(retained),
};

/* --- names -------------------------------------------------------------- */

/* The number at @text, up to the next point or the end; false if there is
 * none. */
static bool parse_index(const char **text, size_t *value)
{
	const char *p = *text;

	*value = 0;
	while (*p >= '0' && *p <= '9' && p - *text < 10)
		*value = *value * 10 + (size_t)(*p++ - '0');
	if (p == *text || (*p && *p != '.'))
		return false;
	*text = p;
	return true;
}

static bool matches(const char *pattern, const char *name, size_t *index)
{
	for (; *pattern; pattern++) {
		if (*pattern == '<') {
			if (!parse_index(&name, index))
				return false;
			pattern += 2;
		} else if (*pattern != *name++) {
			return false;
		}
	}
	return *name == '\0';
}

static const struct row *lookup(const char *name, size_t *index)
{
	size_t i;

	for (i = 0; i < HS_ARRAY_SIZE(rows); i++) {
		if (matches(rows[i].name, name, index))
			return &rows[i];
	}
	return NULL;
}

/* Fill @mib for a row; returns the number of parts. */
static size_t mib_of(const struct row *row, size_t index,
		     size_t mib[HS_MALLCTL_DEPTH])
{
	const char *part = row->name;
	size_t nr = 0;

	for (; part; nr++) {
		mib[nr] = *part == '<' ? index : (size_t)(row - rows);
		part = strchr(part, '.');
		part = part ? part + 1 : NULL;
	}
	return nr;
}

HS_EXPORT int mallctl(const char *name, void *old, size_t *old_bytes, void *new,
		      size_t new_bytes)
{
	struct call call = { old, old_bytes, new, new_bytes, 0 };
	const struct row *row = lookup(name, &call.index);

	return row ? row->answer(&call, row->arg) : ENOENT;
}

HS_EXPORT int mallctlnametomib(const char *name, size_t *mib, size_t *mib_len)
{
	size_t parts[HS_MALLCTL_DEPTH], index = 0, nr;
	const struct row *row = lookup(name, &index);

	if (!row)
		return ENOENT;
	nr = HS_MIN(mib_of(row, index, parts), *mib_len);
	memcpy(mib, parts, nr * sizeof(*mib));
	*mib_len = nr;
	return 0;
}

HS_EXPORT int mallctlbymib(const size_t *mib, size_t mib_len, void *old,
			   size_t *old_bytes, void *new, size_t new_bytes)
{
	struct call call = { old, old_bytes, new, new_bytes, 0 };
	size_t parts[HS_MALLCTL_DEPTH], i;
	const struct row *row;

	if (mib_len == 0 || mib[0] >= HS_ARRAY_SIZE(rows))
		return ENOENT;
	row = &rows[mib[0]];
	if (mib_len != mib_of(row, SIZE_MAX, parts))
		return ENOENT;
	for (i = 0; i < mib_len; i++) {
		if (parts[i] == SIZE_MAX)
			call.index = mib[i];
		else if (parts[i] != mib[i])
			return ENOENT;
	}
	return row->answer(&call, row->arg);
}
