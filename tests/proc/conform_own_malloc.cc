// SPDX-License-Identifier: LGPL-2.1-or-later
// A program that brings its own malloc, as one linked with an allocator does,
// but leaves operator new alone: what is built on malloc has to use its.
#include "tests/proc/both.h"

#include <map>
#include <new>
#include <string>

#pragma GCC visibility push(default)

static char pool[64 << 20] __attribute__((aligned(16)));
static size_t used, calls;
static void *volatile sink;

static bool is_ours(const void *p)
{
	auto *c = static_cast<const char *>(p);

	return c >= pool && c < pool + sizeof(pool);
}

static size_t *header_of(void *p)
{
	return static_cast<size_t *>(p) - 2;
}

extern "C" void *malloc(size_t size) noexcept
{
	char *p = pool + used + 16;

	calls++;
	if (size > sizeof(pool) - used - 32)
		return nullptr;
	used += (size + 31) & ~size_t(15);
	*header_of(p) = size;
	return p;
}

extern "C" void free(void *p) noexcept
{
	if (p && !is_ours(p))
		_exit(70);
}

extern "C" void *calloc(size_t nmemb, size_t size) noexcept
{
	return malloc(nmemb * size); /* the pool is zero: nothing is re-used */
}

extern "C" void *realloc(void *p, size_t size) noexcept
{
	void *q = malloc(size);

	if (p && !is_ours(p))
		_exit(71);
	if (p && q)
		memcpy(q, p, *header_of(p) < size ? *header_of(p) : size);
	return q;
}

extern "C" void *memalign(size_t align, size_t size) noexcept
{
	auto p = reinterpret_cast<uintptr_t>(malloc(size + align));

	return reinterpret_cast<void *>((p + align - 1) & ~(align - 1));
}

extern "C" void *aligned_alloc(size_t align, size_t size) noexcept
{
	return memalign(align, size);
}

extern "C" int posix_memalign(void **out, size_t align, size_t size) noexcept
{
	*out = memalign(align, size);
	return *out ? 0 : ENOMEM;
}

#pragma GCC visibility pop

struct alignas(128) wide {
	char bytes[128];
};

static void everything_comes_from_it()
{
	std::map<int, std::string> map;
	size_t before = calls;

	for (int i = 0; i < 1000; i++)
		map[i] = std::string(size_t(i % 300), 'x');
	HS_T_CHECK(calls > before + 1000);
	auto *p = new char[600];
	auto *q = new (std::nothrow) char[60];
	auto *w = new wide;
	auto *text = strdup("text");
	HS_T_CHECK(is_ours(p) && is_ours(q) && is_ours(w) && is_ours(text));
	HS_T_CHECK(is_ours(&map.begin()->second));
	delete[] p;
	delete[] q;
	delete w;
	free(text);
	bool caught = false;
	volatile size_t n = sizeof(pool);
	try {
		sink = ::operator new[](n);
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	HS_T_CHECK(caught);
}

const struct hs_t_case hs_t_cases[] = {
	{ "everything_comes_from_it", everything_comes_from_it, false },
	{ nullptr, nullptr, false },
};

HS_T_BOTH_MAIN
