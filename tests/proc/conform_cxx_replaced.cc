// SPDX-License-Identifier: LGPL-2.1-or-later
// A program that replaces the two plain operators only: every other form has
// to come down to them, or its headers are missed.
#include "tests/proc/both.h"

#include <cstdlib>
#include <initializer_list>
#include <new>

static size_t live;
static void *volatile sink;
static const uint64_t mark = 0x6d61726b65642121;

// That the sized form is missing is the point.
#pragma GCC diagnostic ignored "-Wsized-deallocation"

void *operator new(size_t size)
{
	auto *header = static_cast<uint64_t *>(malloc(size + 16));

	if (!header || size > size_t(1) << 40)
		throw std::bad_alloc();
	header[0] = mark;
	header[1] = size;
	live++;
	return header + 2;
}

void operator delete(void *p) noexcept
{
	if (!p)
		return;
	auto *header = static_cast<uint64_t *>(p) - 2;
	HS_T_CHECK(header[0] == mark);
	header[0] = 0;
	live--;
	free(header);
}

static void forms_come_down_to_the_replaced()
{
	size_t before = live;
	volatile size_t n = PTRDIFF_MAX - 4096;

	for (size_t size : { 1, 100, 600, 70000 }) {
		void *a = ::operator new[](size);
		void *b = ::operator new(size, std::nothrow);
		void *c = ::operator new[](size, std::nothrow);
		void *d = ::operator new(size);
		void *e = ::operator new[](size);

		HS_T_CHECK(live == before + 5);
		::operator delete[](a);
		::operator delete(b, std::nothrow);
		::operator delete[](c, std::nothrow);
		::operator delete(d, size);
		::operator delete[](e, size);
		HS_T_CHECK(live == before);
	}
	HS_T_CHECK(!::operator new(n, std::nothrow));
	HS_T_CHECK(!::operator new[](n, std::nothrow));
	bool caught = false;
	try {
		sink = ::operator new[](n);
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	HS_T_CHECK(caught);
	/* The aligned forms are another pair, which nobody replaced. */
	void *p = ::operator new(100, std::align_val_t(64));
	HS_T_CHECK(live == before);
	::operator delete(p, std::align_val_t(64));
}

const struct hs_t_case hs_t_cases[] = {
	{ "forms_come_down_to_the_replaced", forms_come_down_to_the_replaced,
	  false },
	{ nullptr, nullptr, false },
};

HS_T_BOTH_MAIN
