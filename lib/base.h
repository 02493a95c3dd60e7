/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * base.h - what every file of the library may use: types, attributes, small
 * arithmetic.  Row 0 of the layering; includes nothing of ours.
 */
#ifndef HS_BASE_H
#define HS_BASE_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HS_EXPORT __attribute__((visibility("default")))
#define HS_HIDDEN __attribute__((visibility("hidden")))
#define HS_NOINLINE __attribute__((noinline))
#define HS_COLD __attribute__((cold, noinline))
#define HS_UNUSED __attribute__((unused))
#define HS_ALWAYS_INLINE inline __attribute__((always_inline))
#define HS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
/* Initial-exec TLS: no __tls_get_addr, so no allocation on first use. */
#define HS_TLS __thread __attribute__((tls_model("initial-exec")))

/* For what a start writes that is zero before: beside the data that the loader
 * has to write to, for each page of it costs every exec 1 us. */
#define HS_EARLY __attribute__((section(".data")))
/* For functions that a start calls: side by side, for each 64 KiB of text that
 * is touched cost every exec 1.3 us. */
#define HS_START __attribute__((section(".text.startup")))

#define hs_likely(x) __builtin_expect(!!(x), 1)
#define hs_unlikely(x) __builtin_expect(!!(x), 0)

#define HS_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define HS_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HS_MAX(a, b) ((a) > (b) ? (a) : (b))

#define HS_KIB ((size_t)1 << 10)
#define HS_MIB ((size_t)1 << 20)
#define HS_GIB ((size_t)1 << 30)
#define HS_TIB ((size_t)1 << 40)

/* pre: align is a power of two; the rounded-up value does not overflow. */
static HS_ALWAYS_INLINE uintptr_t hs_align_up(uintptr_t value, uintptr_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static HS_ALWAYS_INLINE uintptr_t hs_align_down(uintptr_t value,
						uintptr_t align)
{
	return value & ~(align - 1);
}

static HS_ALWAYS_INLINE bool hs_is_pow2(uintptr_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

#endif
