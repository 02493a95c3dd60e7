// SPDX-License-Identifier: LGPL-2.1-or-later
// A C++ library for conform_dl.c, a C program: libstdc++ comes with it and is
// nobody else's (RTLD_LOCAL).
#include <cstdint>
#include <new>
#include <string>
#include <vector>

static void *volatile sink;

extern "C" __attribute__((visibility("default"))) int cxx_module_throws()
{
	volatile std::size_t too_much = PTRDIFF_MAX - 4096;
	std::vector<std::string> some(100, std::string(300, 'x'));
	int caught = 0;

	try {
		some[0].reserve(too_much / 2);
	} catch (const std::bad_alloc &) {
		caught++;
	}
	try {
		sink = ::operator new[](too_much);
	} catch (const std::bad_alloc &) {
		caught++;
	}
	sink = ::operator new(too_much, std::nothrow);
	return sink ? -1 : caught;
}
