/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* real.c - see real.h. */
#include "preload/real.h"

#include <dlfcn.h>

#include "preload/link.h"

#define X(name) + sizeof(#name)
enum { NAMES_BYTES = 0 HS_REAL_NAMES(X) };
#undef X

/* One block of text and offsets into it instead of an array of pointers: no
 * relocations to be done in every exec. */
#define X(name) #name "\0"
static const char names[NAMES_BYTES + 1] = HS_REAL_NAMES(X);
#undef X

struct name_layout {
#define X(name) char name_##name[sizeof(#name)];
	HS_REAL_NAMES(X)
#undef X
};

static const uint16_t name_offset[HS_REAL_NR] = {
#define X(name) offsetof(struct name_layout, name_##name),
	HS_REAL_NAMES(X)
#undef X
};

void *_Atomic hs_real_table[HS_REAL_NR];

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

void *hs_real_next(const char *name)
{
	int saved = errno;
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		/* Not the application's, and it holds a block. */
		HS_NEXT(dlerror)();
	errno = saved;
	return p;
}

void *hs_real_resolve(enum hs_real_id id)
{
	const char *name = names + name_offset[id];
	void *p = hs_link_find(name);

	if (p == NULL)
		p = hs_real_next(name);
	if (p == NULL)
		p = (void *)missing;
	atomic_store_explicit(&hs_real_table[id], p, memory_order_relaxed);
	return p;
}

bool hs_real_exists(enum hs_real_id id)
{
	return hs_real(id) != (void *)missing;
}

void hs_real_resolve_all(void)
{
	static atomic_bool done;
	unsigned id;

	if (atomic_load_explicit(&done, memory_order_relaxed))
		return;
	for (id = 0; id < HS_REAL_NR; id++)
		hs_real((enum hs_real_id)id);
	atomic_store_explicit(&done, true, memory_order_relaxed);
}

bool hs_real_has_threads(void)
{
	const char *single = hs_real(HS_REAL___libc_single_threaded);

	return !hs_real_exists(HS_REAL___libc_single_threaded) || !*single;
}
