/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An allocator of a program's own: blocks one after the other in a mapping,
 * and none is ever freed.  Preloaded behind the shim, as a library that a
 * program is linked with comes behind it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA ((size_t)32 << 20)
#define ALIGN ((size_t)16)
#define PUBLIC __attribute__((visibility("default")))

PUBLIC void *malloc(size_t size);
PUBLIC void *calloc(size_t nmemb, size_t size);
PUBLIC void *realloc(void *p, size_t size);
PUBLIC void free(void *p);

static _Atomic(char *) arena;
static atomic_size_t used;

static char *get_arena(void)
{
	char *none = NULL, *p = arena;

	if (p != NULL)
		return p;
	p = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&arena, &none, p))
		return p;
	munmap(p, ARENA);
	return none;
}

/* The size is in front of the block. */
void *malloc(size_t size)
{
	size_t whole = ALIGN + ((size + ALIGN - 1) & ~(ALIGN - 1)), at;
	char *p = get_arena();

	if (p == NULL || size > ARENA ||
	    (at = atomic_fetch_add(&used, whole)) + whole > ARENA) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(p + at, &size, sizeof(size));
	return p + at + ALIGN;
}

void *calloc(size_t nmemb, size_t size)
{
	return size != 0 && nmemb > SIZE_MAX / size
		       ? NULL
		       : malloc(nmemb * size);
}

void *realloc(void *p, size_t size)
{
	void *fresh = malloc(size);
	size_t old;

	if (p == NULL || fresh == NULL)
		return fresh;
	memcpy(&old, (char *)p - ALIGN, sizeof(old));
	return memcpy(fresh, p, old < size ? old : size);
}

void free(void *p)
{
	(void)p;
}
