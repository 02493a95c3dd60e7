/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cow_copy.c - copy a huge page with non-temporal stores: none of it is going
 * to be read soon but for the line that was written to, and 2 MiB would push
 * out what is.
 *
 * The widest stores that the processor and the kernel know, found out once.
 */
#include <string.h>

#include "cow_internal.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

typedef void copy_fn(char *to, const char *from, size_t len);

static void copy_sse2(char *to, const char *from, size_t len)
{
	for (size_t i = 0; i < len; i += 64) {
		__m128i a = _mm_load_si128((const void *)(from + i));
		__m128i b = _mm_load_si128((const void *)(from + i + 16));
		__m128i c = _mm_load_si128((const void *)(from + i + 32));
		__m128i d = _mm_load_si128((const void *)(from + i + 48));

		_mm_stream_si128((void *)(to + i), a);
		_mm_stream_si128((void *)(to + i + 16), b);
		_mm_stream_si128((void *)(to + i + 32), c);
		_mm_stream_si128((void *)(to + i + 48), d);
	}
}

__attribute__((target("avx2"))) static void
copy_avx2(char *to, const char *from, size_t len)
{
	for (size_t i = 0; i < len; i += 128) {
		__m256i a = _mm256_load_si256((const void *)(from + i));
		__m256i b = _mm256_load_si256((const void *)(from + i + 32));
		__m256i c = _mm256_load_si256((const void *)(from + i + 64));
		__m256i d = _mm256_load_si256((const void *)(from + i + 96));

		_mm256_stream_si256((void *)(to + i), a);
		_mm256_stream_si256((void *)(to + i + 32), b);
		_mm256_stream_si256((void *)(to + i + 64), c);
		_mm256_stream_si256((void *)(to + i + 96), d);
	}
}

__attribute__((target("avx512f"))) static void
copy_avx512(char *to, const char *from, size_t len)
{
	for (size_t i = 0; i < len; i += 256) {
		__m512i a = _mm512_load_si512(from + i);
		__m512i b = _mm512_load_si512(from + i + 64);
		__m512i c = _mm512_load_si512(from + i + 128);
		__m512i d = _mm512_load_si512(from + i + 192);

		_mm512_stream_si512((void *)(to + i), a);
		_mm512_stream_si512((void *)(to + i + 64), b);
		_mm512_stream_si512((void *)(to + i + 128), c);
		_mm512_stream_si512((void *)(to + i + 192), d);
	}
}

/* What the kernel saves of a thread: XCR0. */
#define XCR0_AVX 0x6U
#define XCR0_AVX512 0xe6U

static unsigned enabled_state(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

static copy_fn *choose(void)
{
	unsigned a, b = 0, c, d, state = enabled_state();

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return copy_sse2;
	if (b & bit_AVX512F && (state & XCR0_AVX512) == XCR0_AVX512)
		return copy_avx512;
	if (b & bit_AVX2 && (state & XCR0_AVX) == XCR0_AVX)
		return copy_avx2;
	return copy_sse2;
}

void hs_cow_copy(void *to, const void *from, size_t len)
{
	static _Atomic(copy_fn *) chosen;
	copy_fn *fn = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (!fn) {
		fn = choose();
		atomic_store_explicit(&chosen, fn, memory_order_relaxed);
	}
	fn(to, from, len);
	_mm_sfence();
}
#else
void hs_cow_copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}
#endif
