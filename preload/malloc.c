// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * malloc.c - the C library's allocation functions over the heap: errno,
 * overflow, alignment rules and zero sizes as glibc has them.
 *
 * A request above PTRDIFF_MAX fails.  realloc(p, 0) frees and returns NULL.
 * free() leaves errno alone.  memalign() and aligned_alloc() round an
 * alignment that is no power of two up to one, and only what cannot be rounded
 * is EINVAL (aligned_alloc() is memalign() until glibc 2.38).
 */
#include "preload/malloc.h"

#include <malloc.h>
#include <string.h>

#include "heap.h"
#include "heap_class.h"
#include "preload/caller.h"
#include "preload/foreign.h"
#include "region.h"
#include "sys.h"

#define REQUEST_MAX ((size_t)PTRDIFF_MAX)

/* Names that no header declares. */
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);

static HS_COLD void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static HS_ALWAYS_INLINE void *or_no_memory(void *p)
{
	return hs_likely(p != NULL) ? p : no_memory();
}

HS_NOINLINE void *hs_malloc_slow(size_t size, const void *caller)
{
	if (size > REQUEST_MAX)
		return no_memory();
	if (hs_caller_wants_base(caller, size))
		return or_no_memory(hs_heap_malloc_base(size));
	return or_no_memory(hs_heap_malloc(size));
}

HS_EXPORT void *malloc(size_t size)
{
	void *p = hs_malloc_fast(size);

	if (hs_likely(p != NULL))
		return p;
	return hs_malloc_slow(size, __builtin_return_address(0));
}

HS_NOINLINE void hs_free_slow(void *p)
{
	if (hs_region_contains(p))
		hs_heap_free_slow(p);
	else if (p)
		hs_foreign_free(p);
}

HS_EXPORT void free(void *p)
{
	hs_free_inline(p);
}

static HS_NOINLINE void *calloc_base(size_t size)
{
	void *p = hs_heap_malloc_base(size);

	return p ? memset(p, 0, size) : no_memory();
}

HS_EXPORT void *calloc(size_t nmemb, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(nmemb, size, &total) || total > REQUEST_MAX)
		return no_memory();
	if (hs_unlikely(hs_caller_wants_base(__builtin_return_address(0),
					     total)))
		return calloc_base(total);
	return or_no_memory(hs_heap_calloc(total));
}

static HS_NOINLINE void *realloc_base(void *p, size_t size)
{
	void *fresh = hs_heap_malloc_base(size);

	if (!fresh)
		return no_memory();
	memcpy(fresh, p, HS_MIN(size, hs_heap_usable_size(p)));
	hs_heap_free(p);
	return fresh;
}

static HS_ALWAYS_INLINE void *realloc_for(void *p, size_t size,
					  const void *caller)
{
	if (!p)
		return hs_malloc_slow(size, caller);
	if (!hs_region_contains(p))
		return hs_foreign_realloc(p, size);
	if (size == 0) {
		hs_heap_free(p);
		return NULL;
	}
	if (size > REQUEST_MAX)
		return no_memory();
	if (hs_caller_wants_base(caller, size))
		return realloc_base(p, size);
	return or_no_memory(hs_heap_realloc(p, size));
}

HS_EXPORT void *realloc(void *p, size_t size)
{
	return realloc_for(p, size, __builtin_return_address(0));
}

HS_EXPORT void *reallocarray(void *p, size_t nmemb, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(nmemb, size, &total))
		return no_memory();
	return realloc_for(p, total, __builtin_return_address(0));
}

void *hs_memalign(size_t align, size_t size)
{
	size_t rounded = HS_HEAP_MIN_ALIGN;

	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	if (hs_is_pow2(align))
		rounded = HS_MAX(rounded, align);
	while (rounded < align)
		rounded <<= 1;
	/* The sum must not wrap: the heap may place the block anywhere in it.
	 */
	if (size > REQUEST_MAX || rounded > REQUEST_MAX - size)
		return no_memory();
	return or_no_memory(hs_heap_memalign(rounded, size));
}

HS_EXPORT void *memalign(size_t align, size_t size)
{
	return hs_memalign(align, size);
}

HS_EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return hs_memalign(align, size);
}

HS_EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	int saved_errno;
	void *p;

	if (align % sizeof(void *) != 0 || !hs_is_pow2(align))
		return EINVAL;
	if (hs_likely(align <= HS_ALIGNED_MAX && size <= HS_ALIGNED_MAX)) {
		p = hs_heap_memalign(align, size);
		if (hs_likely(p != NULL)) {
			*out = p;
			return 0;
		}
	}
	saved_errno = errno;
	p = hs_memalign(align, size);
	errno = saved_errno;
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

HS_EXPORT void *valloc(size_t size)
{
	return hs_memalign(hs_sys_page_size(), size);
}

HS_EXPORT void *pvalloc(size_t size)
{
	size_t page = hs_sys_page_size();

	if (size > REQUEST_MAX - page)
		return no_memory();
	return hs_memalign(page, hs_align_up(size, page));
}

/* The caller says what it asked for; another answer is a corrupted heap or a
 * wrong pointer.  (C23.) */
HS_EXPORT void free_sized(void *p, size_t size)
{
	if (hs_likely(hs_region_contains(p)))
		hs_heap_free_sized(p, size, 0);
	else if (p)
		hs_foreign_free(p);
}

HS_EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	if (hs_likely(hs_region_contains(p)))
		hs_heap_free_sized(p, size, align);
	else if (p)
		hs_foreign_free(p);
}

HS_EXPORT size_t malloc_usable_size(void *p)
{
	if (!p)
		return 0;
	return hs_region_contains(p) ? hs_heap_usable_size(p) :
				       hs_foreign_usable_size(p);
}

/* An alias takes over the attributes of what it stands for. */
#if defined(__has_attribute) && __has_attribute(copy)
#define HS_COPY(function) , copy(function)
#else
#define HS_COPY(function)
#endif

#define HS_SAME(name, function, visible)                                       \
	extern __typeof__(function) name __attribute__((                       \
		alias(#function), visibility(visible) HS_COPY(function)))

HS_SAME(hs_malloc, malloc, "hidden");
HS_SAME(hs_free, free, "hidden");

/* What old programs and libc's own helpers call. */
HS_SAME(cfree, free, "default");
HS_SAME(__libc_malloc, malloc, "default");
HS_SAME(__libc_calloc, calloc, "default");
HS_SAME(__libc_realloc, realloc, "default");
HS_SAME(__libc_free, free, "default");
HS_SAME(__libc_memalign, memalign, "default");
HS_SAME(__libc_valloc, valloc, "default");
HS_SAME(__libc_pvalloc, pvalloc, "default");
