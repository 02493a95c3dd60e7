// SPDX-License-Identifier: LGPL-2.1-or-later
/* jemalloc's calls and C23's sized frees, which bare glibc has none of: the
 * right sizes are accepted, the figures are true, unknown names are ENOENT. */
#include "tests/proc/both.h"

#include <dlfcn.h>
#include <malloc.h>

#define CALLS(X)                                                               \
	X(void *, mallocx, (size_t, int))                                      \
	X(void *, rallocx, (void *, size_t, int))                              \
	X(size_t, xallocx, (void *, size_t, size_t, int))                      \
	X(size_t, sallocx, (const void *, int))                                \
	X(void, dallocx, (void *, int))                                        \
	X(void, sdallocx, (void *, size_t, int))                               \
	X(size_t, nallocx, (size_t, int))                                      \
	X(int, mallctl, (const char *, void *, size_t *, void *, size_t))      \
	X(int, mallctlnametomib, (const char *, size_t *, size_t *))           \
	X(int, mallctlbymib,                                                   \
	  (const size_t *, size_t, void *, size_t *, void *, size_t))          \
	X(void, malloc_stats_print,                                            \
	  (void (*)(void *, const char *), void *, const char *))              \
	X(void, free_sized, (void *, size_t))                                  \
	X(void, free_aligned_sized, (void *, size_t, size_t))

#define X(type, name, args) static type(*p_##name) args;
CALLS(X)
#undef X

static const size_t sizes[] = { 1,     16,    17,     100,    512,
				513,   1000,  4096,   5000,   32768,
				65536, 65537, 200000, 2097152, 17000000 };

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define LG_ALIGN(lg) (lg)
#define ZERO 0x40

static void find(void)
{
#define X(type, name, args)                                                    \
	p_##name = (type(*) args)dlsym(RTLD_DEFAULT, #name);                   \
	HS_T_CHECK(p_##name, #name);
	CALLS(X)
#undef X
}

static bool all_zero(const char *p, size_t len)
{
	return len == 0 || (*p == 0 && !memcmp(p, p + 1, len - 1));
}

static void sized_frees(void)
{
	size_t i, align, k;

	for (i = 0; i < NR_SIZES; i++) {
		size_t n = sizes[i];
		char *p;

		p_free_sized(malloc(n), n);
		p_free_sized(calloc(1, n), n);
		p_sdallocx(malloc(n), n, 0);
		/* Any size up to the usable one is right, says jemalloc. */
		p = malloc(n);
		p_sdallocx(p, malloc_usable_size(p), 0);
		for (align = 8; align <= 1 << 22; align *= 4) {
			p = aligned_alloc(align, n);
			p_free_aligned_sized(p, align, n);
			p = memalign(align, n);
			p_sdallocx(p, n, __builtin_ctzl(align));
		}
		for (k = 0; k < NR_SIZES; k++) {
			p = realloc(malloc(n), sizes[k]);
			p_free_sized(p, sizes[k]);
		}
	}
	/* Blocks that libc allocates have homes of their own. */
	for (i = 1; i < 100000; i += i / 2 + 1) {
		char *text = malloc(i), *copy;

		memset(text, 'x', i - 1);
		text[i - 1] = '\0';
		copy = strdup(text);
		p_free_sized(copy, i);
		copy = strdup(text);
		p_free_sized(realloc(copy, i + 1), i + 1);
		free(text);
	}
	p_free_sized(NULL, 10);
	p_free_aligned_sized(NULL, 64, 10);
}

static void with_flags(void)
{
	size_t i, lg;

	for (i = 0; i < NR_SIZES; i++) {
		for (lg = 0; lg <= 21; lg += 3) {
			int flags = LG_ALIGN((int)lg);
			char *p = p_mallocx(sizes[i], flags | ZERO);

			HS_T_CHECK(p &&
				   ((uintptr_t)p & ((1UL << lg) - 1)) == 0);
			HS_T_CHECK(all_zero(p, sizes[i]));
			HS_T_CHECK(p_sallocx(p, flags) >= sizes[i]);
			HS_T_CHECK(p_sallocx(p, 0) == malloc_usable_size(p));
			HS_T_CHECK(p_nallocx(sizes[i], flags) >= sizes[i]);
			HS_T_CHECK(p_xallocx(p, sizes[i], 0, flags) >=
				   sizes[i]);
			hs_t_fill(p, sizes[i], i);
			p = p_rallocx(p, sizes[i] * 2, flags | ZERO);
			HS_T_CHECK(p &&
				   ((uintptr_t)p & ((1UL << lg) - 1)) == 0);
			HS_T_CHECK(hs_t_verify(p, sizes[i] & ~7UL, i) < 0);
			p = p_rallocx(p, 3, flags);
			HS_T_CHECK(p);
			p_dallocx(p, flags);
		}
		HS_T_CHECK(p_nallocx(sizes[i], 0) ==
			   malloc_usable_size(p_mallocx(sizes[i], 0)));
	}
	HS_T_CHECK(!p_mallocx((size_t)PTRDIFF_MAX + 1, 0));
	HS_T_CHECK(!p_mallocx(PTRDIFF_MAX, LG_ALIGN(12) | ZERO));
	HS_T_CHECK(p_nallocx(SIZE_MAX, 0) == 0);
}

static size_t figure(const char *name)
{
	size_t value = 0, len = sizeof(value);
	uint64_t epoch = 1;

	HS_T_CHECK(p_mallctl("epoch", &epoch, &(size_t){ sizeof(epoch) },
			     &epoch, sizeof(epoch)) == 0);
	HS_T_CHECK(p_mallctl(name, &value, &len, NULL, 0) == 0, "%s", name);
	return value;
}

/* What redis-server asks. */
static void figures_are_true(void)
{
	size_t before = figure("stats.allocated"), after;
	char *p = malloc(40 << 20);

	memset(p, 1, 40 << 20);
	after = figure("stats.allocated");
	HS_T_CHECK(after - before >= 40 << 20 && after - before < 46 << 20,
		   "%zu %zu", before, after);
	HS_T_CHECK(figure("stats.active") >= figure("stats.allocated"));
	HS_T_CHECK(figure("stats.mapped") >= figure("stats.active"));
	HS_T_CHECK(figure("stats.resident") >= 40 << 20);
	HS_T_CHECK(figure("stats.metadata") > 0);
	free(p);
	after = figure("stats.allocated");
	HS_T_CHECK(after < before + (1 << 20), "%zu %zu", before, after);
}

static void names(void)
{
	size_t mib[4], len = 4, value = 0, size = sizeof(value), i;
	bool flag = true, was = true;
	unsigned arenas = 99;
	const char *version = NULL;

	HS_T_CHECK(p_mallctl("arenas.narenas", &arenas,
			     &(size_t){ sizeof(arenas) }, NULL, 0) == 0);
	HS_T_CHECK(arenas == 1);
	HS_T_CHECK(p_mallctl("version", &version, &(size_t){ sizeof(version) },
			     NULL, 0) == 0);
	HS_T_CHECK(strstr(version, "hugeshim"), "%s", version);
	HS_T_CHECK(p_mallctl("background_thread", &was,
			     &(size_t){ sizeof(was) }, NULL, 0) == 0 && !was);
	HS_T_CHECK(p_mallctl("background_thread", NULL, NULL, &flag,
			     sizeof(flag)) == ENOENT);
	HS_T_CHECK(p_mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0);
	HS_T_CHECK(p_mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
	HS_T_CHECK(p_mallctl("arena.77.purge", NULL, NULL, NULL, 0) == EFAULT);
	HS_T_CHECK(p_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
	HS_T_CHECK(p_mallctl("no.such.name", NULL, NULL, NULL, 0) == ENOENT);
	HS_T_CHECK(p_mallctl("stats.allocated.x", NULL, NULL, NULL, 0) ==
		   ENOENT);
	HS_T_CHECK(p_mallctl("arena.x.purge", NULL, NULL, NULL, 0) == ENOENT);
	HS_T_CHECK(p_mallctl("", NULL, NULL, NULL, 0) == ENOENT);
	/* Read-only, and of another size. */
	HS_T_CHECK(p_mallctl("stats.allocated", &value, &size, &value,
			     sizeof(value)) == EPERM);
	size = 4;
	HS_T_CHECK(p_mallctl("stats.allocated", &value, &size, NULL, 0) ==
		   EINVAL);
	HS_T_CHECK(p_mallctlnametomib("arena.0.purge", mib, &len) == 0);
	HS_T_CHECK(len == 3 && mib[1] == 0);
	mib[1] = 4096;
	HS_T_CHECK(p_mallctlbymib(mib, len, NULL, NULL, NULL, 0) == 0);
	mib[1] = 78;
	HS_T_CHECK(p_mallctlbymib(mib, len, NULL, NULL, NULL, 0) == EFAULT);
	HS_T_CHECK(p_mallctlbymib(mib, 2, NULL, NULL, NULL, 0) == ENOENT);
	len = 4;
	HS_T_CHECK(p_mallctlnametomib("stats.mapped", mib, &len) == 0);
	size = sizeof(value);
	for (i = 0; i < 3; i++)
		HS_T_CHECK(p_mallctlbymib(mib, len, &value, &size, NULL, 0) ==
			   0);
	HS_T_CHECK(value > 0 && len == 2);
}

static void gather(void *arg, const char *text)
{
	char *all = arg;

	strncat(all, text, 4000 - strlen(all));
}

static void printed(void)
{
	static char all[4096];

	p_malloc_stats_print(gather, all, NULL);
	HS_T_CHECK(strstr(all, "Allocated: ") && strstr(all, "resident: "));
	all[0] = '\0';
	p_malloc_stats_print(gather, all, "J");
	HS_T_CHECK(strstr(all, "\"allocated\":"), "%s", all);
}

const struct hs_t_case hs_t_cases[] = {
	{ "find", find, true },
	{ "sized_frees", sized_frees, true },
	{ "with_flags", with_flags, true },
	{ "figures_are_true", figures_are_true, true },
	{ "names", names, true },
	{ "printed", printed, true },
	{ NULL, NULL, false },
};

HS_T_BOTH_MAIN
