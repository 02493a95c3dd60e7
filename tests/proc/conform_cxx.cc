// SPDX-License-Identifier: LGPL-2.1-or-later
// operator new and delete in every form; what happens when memory is short.
#include "tests/proc/both.h"

#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static const size_t too_much = size_t(PTRDIFF_MAX) - 4096;
static void *volatile sink;

static bool aligned_to(const void *p, size_t align)
{
	return reinterpret_cast<uintptr_t>(p) % align == 0;
}

static void every_form()
{
	for (size_t size : { 0, 1, 16, 100, 512, 513, 5000, 70000, 3000000 }) {
		for (size_t align = 16; align <= 65536; align *= 4) {
			auto a = std::align_val_t(align);
			void *p = ::operator new(size, a);
			HS_T_CHECK(aligned_to(p, align));
			memset(p, 1, size);
			::operator delete(p, a);
			p = ::operator new[](size, a);
			HS_T_CHECK(aligned_to(p, align));
			::operator delete[](p, a);
			p = ::operator new(size, a, std::nothrow);
			HS_T_CHECK(p && aligned_to(p, align));
			::operator delete(p, a, std::nothrow);
			p = ::operator new[](size, a, std::nothrow);
			HS_T_CHECK(p && aligned_to(p, align));
			::operator delete[](p, a, std::nothrow);
			p = ::operator new(size, a);
			::operator delete(p, size, a);
			p = ::operator new[](size, a);
			::operator delete[](p, size, a);
		}
		void *p = ::operator new(size);
		HS_T_CHECK(p && aligned_to(p, 16));
		memset(p, 2, size);
		::operator delete(p);
		p = ::operator new[](size);
		::operator delete[](p);
		p = ::operator new(size, std::nothrow);
		HS_T_CHECK(p);
		::operator delete(p, std::nothrow);
		p = ::operator new[](size, std::nothrow);
		HS_T_CHECK(p);
		::operator delete[](p, std::nothrow);
		p = ::operator new(size);
		::operator delete(p, size);
		p = ::operator new[](size);
		::operator delete[](p, size);
	}
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, size_t(8));
	::operator delete(nullptr, std::align_val_t(64));
}

template <typename F> static void wants_bad_alloc(const char *name, F f)
{
	bool caught = false;

	try {
		f();
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	HS_T_CHECK(caught, "%s", name);
}

static void no_memory_throws()
{
	auto a = std::align_val_t(4096);
	volatile size_t n = too_much;

	wants_bad_alloc("new", [&] { sink = ::operator new(n); });
	wants_bad_alloc("new[]", [&] { sink = ::operator new[](n); });
	wants_bad_alloc("aligned", [&] { sink = ::operator new(n, a); });
	wants_bad_alloc("aligned[]", [&] { sink = ::operator new[](n, a); });
	HS_T_CHECK(!::operator new(n, std::nothrow));
	HS_T_CHECK(!::operator new[](n, std::nothrow));
	HS_T_CHECK(!::operator new(n, a, std::nothrow));
	HS_T_CHECK(!::operator new[](n, a, std::nothrow));
	wants_bad_alloc("vector", [&] {
		std::vector<char> v;

		v.reserve(n);
	});
}

static int handler_calls;

static void handler_gives_up()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

struct out_of_luck : std::bad_alloc {
};

static void handler_throws()
{
	handler_calls++;
	throw out_of_luck();
}

static void new_handler()
{
	volatile size_t n = too_much;

	handler_calls = 0;
	std::set_new_handler(handler_gives_up);
	wants_bad_alloc("handler", [&] { sink = ::operator new(n); });
	HS_T_CHECK(handler_calls == 3);
	std::set_new_handler(handler_throws);
	bool caught = false;
	try {
		sink = ::operator new[](n);
	} catch (const out_of_luck &) {
		caught = true;
	}
	HS_T_CHECK(caught && handler_calls == 4);
	HS_T_CHECK(!::operator new(n, std::nothrow) && handler_calls == 5);
	HS_T_CHECK(!::operator new[](n, std::nothrow) && handler_calls == 6);
	HS_T_CHECK(!::operator new(n, std::align_val_t(64), std::nothrow));
	HS_T_CHECK(handler_calls == 7);
	std::set_new_handler(nullptr);
}

struct base_class {
	virtual ~base_class() = default;
	char text[24];
};

struct derived_class : base_class {
	std::string more = std::string(3000, 'x');
	char bulk[777];
};

struct alignas(256) wide {
	char bytes[256];
};

static thread_local std::vector<std::string> of_thread;

static void objects()
{
	for (int i = 0; i < 1000; i++) {
		std::unique_ptr<base_class> p(new derived_class);
		std::unique_ptr<wide[]> w(new wide[i % 7 + 1]);
		HS_T_CHECK(aligned_to(w.get(), 256));
	}
	std::map<int, std::string> map;
	for (int i = 0; i < 50000; i++)
		map[i * 7919 % 50000] = std::string(size_t(i % 200), 'y');
	HS_T_CHECK(map.size() == 50000);
	std::vector<std::thread> threads;
	for (int t = 0; t < 8; t++)
		threads.emplace_back([] {
			for (int i = 0; i < 2000; i++)
				of_thread.emplace_back(size_t(i % 100), 'z');
		});
	for (auto &thread : threads)
		thread.join();
}

/* What is thrown when there is no memory is itself allocated. */
static void exceptions_in_threads()
{
	std::vector<std::thread> threads;
	for (int t = 0; t < 4; t++)
		threads.emplace_back([] {
			for (int i = 0; i < 300; i++)
				no_memory_throws();
		});
	for (auto &thread : threads)
		thread.join();
}

const struct hs_t_case hs_t_cases[] = {
	{ "every_form", every_form, false },
	{ "no_memory_throws", no_memory_throws, false },
	{ "new_handler", new_handler, false },
	{ "objects", objects, false },
	{ "exceptions_in_threads", exceptions_in_threads, false },
	{ nullptr, nullptr, false },
};

HS_T_BOTH_MAIN
