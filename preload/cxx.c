// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cxx.c - C++ operator new and delete in every form, by their mangled names
 * (size_t is `m' on x86-64 and arm64), so that no C++ library is needed.
 *
 * They save the call from libstdc++'s operators to malloc.  Three rules of the
 * standard make that more than an alias:
 *
 * 1. A program may replace some forms and leave the rest, which are defined in
 *    terms of the replaced ones ([new.delete]): new[] and nothrow new of
 *    operator new, sized delete and delete[] of operator delete.  A program
 *    whose new puts a header before the block depends on that.  Each form
 *    therefore asks whether the form below it is still ours; the price is one
 *    load.  The same for malloc and free below operator new and delete.
 * 2. When memory is short, operator new calls the new-handler until it
 *    succeeds, throws or is gone, and then throws std::bad_alloc.  All this is
 *    what the next definition (libstdc++'s, libc++'s) does over our malloc, so
 *    it gets the request: it is looked up at that moment.
 * 3. Nothrow new returns NULL for what a handler throws: the next definition
 *    again.
 *
 * The size that sized delete gets is not checked: libstdc++ never did, so
 * programs live with a wrong one (a derived object deleted through its base),
 * and a preloaded library must not kill them for it.
 */
#include <dlfcn.h>
#include <malloc.h>

#include "heap.h"
#include "log.h"
#include "preload/foreign.h"
#include "preload/malloc.h"
#include "preload/real.h"
#include "region.h"

struct nothrow_t;

typedef void *new_function(size_t);
typedef void *new_aligned_function(size_t, size_t);

/* The names of C++; defined below or, where a program replaces them, there. */
void *_Znwm(size_t size);
void *_Znam(size_t size);
void *_ZnwmRKSt9nothrow_t(size_t size, const struct nothrow_t *tag);
void *_ZnamRKSt9nothrow_t(size_t size, const struct nothrow_t *tag);
void *_ZnwmSt11align_val_t(size_t size, size_t align);
void *_ZnamSt11align_val_t(size_t size, size_t align);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
					 const struct nothrow_t *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
					 const struct nothrow_t *tag);
void _ZdlPv(void *p);
void _ZdaPv(void *p);
void _ZdlPvm(void *p, size_t size);
void _ZdaPvm(void *p, size_t size);
void _ZdlPvRKSt9nothrow_t(void *p, const struct nothrow_t *tag);
void _ZdaPvRKSt9nothrow_t(void *p, const struct nothrow_t *tag);
void _ZdlPvSt11align_val_t(void *p, size_t align);
void _ZdaPvSt11align_val_t(void *p, size_t align);
void _ZdlPvmSt11align_val_t(void *p, size_t size, size_t align);
void _ZdaPvmSt11align_val_t(void *p, size_t size, size_t align);
void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
					 const struct nothrow_t *tag);
void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
					 const struct nothrow_t *tag);

/* Ours, whatever a program replaces. */
new_function hs_new HS_HIDDEN __attribute__((alias("_Znwm")));
new_function hs_new_array HS_HIDDEN __attribute__((alias("_Znam")));
new_aligned_function hs_new_aligned HS_HIDDEN
	__attribute__((alias("_ZnwmSt11align_val_t")));
void hs_delete(void *p) HS_HIDDEN __attribute__((alias("_ZdlPv")));

/* --- when memory is short ----------------------------------------------- */

static void *symbol_of(const char *object, const char *name, void *own)
{
	void *handle, *symbol;

	handle = object ? HS_NEXT(dlopen)(object, RTLD_LAZY | RTLD_NOLOAD) :
			  NULL;
	symbol = handle ? dlsym(handle, name) : NULL;
	return symbol == own ? NULL : symbol;
}

/*
 * The definition that would have served without us.  RTLD_NEXT sees the
 * program's own libraries; a library loaded later with RTLD_LOCAL has its C++
 * library to itself, so ask the object that called, then the usual names.
 */
static HS_COLD void *next_operator(const char *name, void *own,
				   const void *caller)
{
	static const char *const libraries[] = {
		"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1",
	};
	void *symbol = hs_real_next(name);
	Dl_info info;
	size_t i;

	if (symbol)
		return symbol;
	if (HS_NEXT(dladdr)(caller, &info))
		symbol = symbol_of(info.dli_fname, name, own);
	for (i = 0; !symbol && i < HS_ARRAY_SIZE(libraries); i++)
		symbol = symbol_of(libraries[i], name, own);
	return symbol;
}

static HS_COLD void *new_short(size_t size, const void *caller)
{
	new_function *next = (new_function *)next_operator(
		"_Znwm", (void *)hs_new, caller);

	if (!next)
		hs_log_fatal("operator new: no memory for %zu bytes, and no "
			     "C++ library to throw std::bad_alloc", size);
	return next(size);
}

static HS_COLD void *new_aligned_short(size_t size, size_t align,
				       const void *caller)
{
	new_aligned_function *next = (new_aligned_function *)next_operator(
		"_ZnwmSt11align_val_t", (void *)hs_new_aligned, caller);

	if (!next)
		hs_log_fatal("operator new: no memory for %zu bytes aligned to "
			     "%zu, and no C++ library to throw "
			     "std::bad_alloc", size, align);
	return next(size, align);
}

static HS_COLD void *new_nothrow_short(size_t size, const struct nothrow_t *tag,
				       const void *caller)
{
	void *(*next)(size_t, const struct nothrow_t *) =
		(void *(*)(size_t, const struct nothrow_t *))next_operator(
			"_ZnwmRKSt9nothrow_t", (void *)_ZnwmRKSt9nothrow_t,
			caller);

	return next ? next(size, tag) : NULL;
}

static HS_COLD void *new_aligned_nothrow_short(size_t size, size_t align,
					       const struct nothrow_t *tag,
					       const void *caller)
{
	void *(*next)(size_t, size_t, const struct nothrow_t *) =
		(void *(*)(size_t, size_t, const struct nothrow_t *))
			next_operator(
				"_ZnwmSt11align_val_tRKSt9nothrow_t",
				(void *)_ZnwmSt11align_val_tRKSt9nothrow_t,
				caller);

	return next ? next(size, align, tag) : NULL;
}

/* --- new ---------------------------------------------------------------- */

static HS_NOINLINE void *new_slow(size_t size, const void *caller)
{
	void *p = hs_malloc_is_ours() ? hs_malloc_slow(size, caller) :
					malloc(size ? size : 1);

	return hs_likely(p != NULL) ? p : new_short(size, caller);
}

HS_EXPORT void *_Znwm(size_t size)
{
	void *p = hs_malloc_is_ours() ? hs_malloc_fast(size) : NULL;

	if (hs_likely(p != NULL))
		return p;
	return new_slow(size, __builtin_return_address(0));
}

HS_EXPORT void *_Znam(size_t size)
{
	void *p;

	if (_Znwm != hs_new)
		return _Znwm(size);
	p = hs_malloc_is_ours() ? hs_malloc_fast(size) : NULL;
	if (hs_likely(p != NULL))
		return p;
	return new_slow(size, __builtin_return_address(0));
}

/* Not a pointer that new can return: the next definition answers for a
 * replaced operator new, a handler and the exceptions of both. */
static HS_NOINLINE void *nothrow_slow(size_t size, const struct nothrow_t *tag,
				      const void *caller)
{
	void *p = NULL;

	if (_Znwm == hs_new)
		p = hs_malloc_is_ours() ? hs_malloc_slow(size, caller) :
					  malloc(size ? size : 1);
	return hs_likely(p != NULL) ? p : new_nothrow_short(size, tag, caller);
}

HS_EXPORT void *_ZnwmRKSt9nothrow_t(size_t size, const struct nothrow_t *tag)
{
	void *p = NULL;

	if (_Znwm == hs_new && hs_malloc_is_ours())
		p = hs_malloc_fast(size);
	if (hs_likely(p != NULL))
		return p;
	return nothrow_slow(size, tag, __builtin_return_address(0));
}

/* Defined by new[]: which a program may have replaced alone. */
HS_EXPORT void *_ZnamRKSt9nothrow_t(size_t size, const struct nothrow_t *tag)
{
	const void *caller = __builtin_return_address(0);
	void *(*next)(size_t, const struct nothrow_t *);

	if (_Znam == hs_new_array)
		return _ZnwmRKSt9nothrow_t(size, tag);
	next = (void *(*)(size_t, const struct nothrow_t *))next_operator(
		"_ZnamRKSt9nothrow_t", (void *)_ZnamRKSt9nothrow_t, caller);
	return next ? next(size, tag) : NULL;
}

HS_EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t align)
{
	void *p = NULL;

	if (hs_is_pow2(align))
		p = hs_malloc_is_ours() ? hs_memalign(align, size) :
					  memalign(align, size ? size : 1);
	if (hs_likely(p != NULL))
		return p;
	return new_aligned_short(size, align, __builtin_return_address(0));
}

HS_EXPORT void *_ZnamSt11align_val_t(size_t size, size_t align)
{
	return _ZnwmSt11align_val_t(size, align);
}

HS_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
						   const struct nothrow_t *tag)
{
	void *p = NULL;

	if (_ZnwmSt11align_val_t == hs_new_aligned && hs_is_pow2(align))
		p = hs_malloc_is_ours() ? hs_memalign(align, size) :
					  memalign(align, size ? size : 1);
	if (hs_likely(p != NULL))
		return p;
	return new_aligned_nothrow_short(size, align, tag,
					 __builtin_return_address(0));
}

HS_EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
						   const struct nothrow_t *tag)
{
	return _ZnwmSt11align_val_tRKSt9nothrow_t(size, align, tag);
}

/* --- delete ------------------------------------------------------------- */

static HS_ALWAYS_INLINE void release(void *p)
{
	if (hs_free_is_ours())
		hs_free_inline(p);
	else
		free(p);
}

HS_EXPORT void _ZdlPv(void *p)
{
	release(p);
}

/* One level down when that is ours, else through the name. */
#define HS_DELETE_PLAIN(p)                                                     \
	do {                                                                   \
		if (hs_likely(_ZdlPv == hs_delete))                            \
			release(p);                                            \
		else                                                           \
			_ZdlPv(p);                                             \
	} while (0)

HS_EXPORT void _ZdaPv(void *p)
{
	HS_DELETE_PLAIN(p);
}

HS_EXPORT void _ZdlPvm(void *p, size_t size HS_UNUSED)
{
	HS_DELETE_PLAIN(p);
}

HS_EXPORT void _ZdlPvRKSt9nothrow_t(void *p,
				    const struct nothrow_t *tag HS_UNUSED)
{
	HS_DELETE_PLAIN(p);
}

HS_EXPORT void _ZdaPvm(void *p, size_t size HS_UNUSED)
{
	_ZdaPv(p);
}

HS_EXPORT void _ZdaPvRKSt9nothrow_t(void *p,
				    const struct nothrow_t *tag HS_UNUSED)
{
	_ZdaPv(p);
}

HS_EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align HS_UNUSED)
{
	release(p);
}

HS_EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align)
{
	_ZdlPvSt11align_val_t(p, align);
}

HS_EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t size HS_UNUSED,
				      size_t align)
{
	_ZdlPvSt11align_val_t(p, align);
}

HS_EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t size HS_UNUSED,
				      size_t align)
{
	_ZdaPvSt11align_val_t(p, align);
}

HS_EXPORT void
_ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
				    const struct nothrow_t *tag HS_UNUSED)
{
	_ZdlPvSt11align_val_t(p, align);
}

HS_EXPORT void
_ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
				    const struct nothrow_t *tag HS_UNUSED)
{
	_ZdaPvSt11align_val_t(p, align);
}
