// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A standard container whose memory is on huge pages.
//
//	c++ -o hugevector hugevector.cc $(pkg-config --cflags --libs hugealloc)
#include <hugealloc.h>

#include <cstdio>
#include <new>
#include <vector>

// Page by page: as many huge pages as there are.
template <typename T> struct huge_allocator {
	typedef T value_type;

	huge_allocator() = default;
	template <typename U> huge_allocator(const huge_allocator<U> &) {}

	T *allocate(std::size_t n)
	{
		void *p = nullptr;

		if (n <= std::size_t(-1) / sizeof(T))
			p = hugealloc(n * sizeof(T), nullptr);
		if (!p)
			throw std::bad_alloc();
		return static_cast<T *>(p);
	}

	void deallocate(T *p, std::size_t n)
	{
		hugealloc_free(p, n * sizeof(T));
	}
};

template <typename T, typename U>
bool operator==(const huge_allocator<T> &, const huge_allocator<U> &)
{
	return true;
}

template <typename T, typename U>
bool operator!=(const huge_allocator<T> &, const huge_allocator<U> &)
{
	return false;
}

int main()
{
	std::vector<double, huge_allocator<double>> v(1 << 20, 1.5);
	struct hugealloc_info info;
	double sum = 0;

	for (double x : v)
		sum += x;
	if (hugealloc_query(v.data(), v.size() * sizeof(v[0]), &info))
		return 1;
	std::printf("sum %.1f, %.0f %% on huge pages\n", sum,
		    100. * double(info.hugetlb) / (v.size() * sizeof(v[0])));
	return 0;
}
