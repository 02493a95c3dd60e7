// SPDX-License-Identifier: LGPL-2.1-or-later
/* Libraries that come and go, constructors that allocate, and blocks of other
 * allocators: from libc's own malloc, from another namespace's libc. */
#include "tests/proc/both.h"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/utsname.h>

/* --- constructors and destructors --------------------------------------- */

static char *early;

__attribute__((constructor)) static void allocate_early(void)
{
	early = malloc(123456);
	if (early)
		hs_t_fill(early, 123456, 11);
}

__attribute__((destructor)) static void free_late(void)
{
	free(early);
	early = malloc(100);
	free(early);
}

static void at_exit(void)
{
	char *p = calloc(1, 77777);

	if (!p || p[77776] || hs_t_verify(early, 123456, 11) >= 0)
		_exit(60);
	free(p);
}

static void constructors(void)
{
	HS_T_CHECK(early && hs_t_verify(early, 123456, 11) < 0);
	HS_T_CHECK(atexit(at_exit) == 0);
}

/* --- dlopen ------------------------------------------------------------- */

static const char *module_path(const char *name)
{
	const char *top = getenv("HS_BUILDDIR");
	static char path[4096];

	snprintf(path, sizeof(path), "%s/tests/proc/.libs/%s.so",
		 top ? top : ".", name);
	return path;
}

static void *load_module(const char *name)
{
	const char *path = module_path(name);
	void *handle;

	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	HS_T_CHECK(handle, "%s", dlerror());
	return handle;
}

static void *use_thread_slot(void *function)
{
	return (void *)(intptr_t)((int (*)(void))function)();
}

static void load_and_unload(void)
{
	char *(*text)(void);
	void (*release)(char *);
	pthread_t thread;
	char *kept = NULL;
	void *result;
	int i;

	for (i = 0; i < 100; i++) {
		void *handle = load_module("alloc_module");

		text = (char *(*)(void))dlsym(handle, "alloc_module_text");
		release = (void (*)(char *))dlsym(handle,
						  "alloc_module_release");
		HS_T_CHECK(text && release);
		HS_T_CHECK(!dlsym(handle, "no_such_symbol"));
		HS_T_CHECK(strstr(dlerror(), "no_such_symbol"));
		free(kept);
		kept = text();
		release(text());
		HS_T_CHECK(!pthread_create(
			&thread, NULL, use_thread_slot,
			dlsym(handle, "alloc_module_thread_slot")));
		HS_T_CHECK(!pthread_join(thread, &result) && !result);
		HS_T_CHECK(dlclose(handle) == 0);
		HS_T_CHECK(strlen(kept) == 4999);
	}
	free(kept);
	HS_T_CHECK(!dlopen("/no/such/library.so", RTLD_NOW) && dlerror());
}

/* A wrapper calls the next definition: that of a library preloaded behind
 * ours, not that of one which is loaded later, nor libc's before its time. */
static void system_name(void)
{
	struct utsname name;

	HS_T_CHECK(uname(&name) == 0);
	HS_T_CHECK(!strcmp(name.sysname,
			   getenv("INTERPOSED") ? "interposed" : "Linux"));
}

static void preloaded_behind(void)
{
	char preload[8192];
	pid_t pid;

	snprintf(preload, sizeof(preload), "%s:%s", hs_t_library(),
		 module_path("alloc_module"));
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		setenv("LD_PRELOAD", preload, 1);
		setenv("INTERPOSED", "yes", 1);
		close(1); /* its text is not the transcript's */
		execl("/proc/self/exe", "conform_dl", "inner", "system_name",
		      (char *)NULL);
		_exit(127);
	}
	HS_T_CHECK(hs_t_wait(pid) == 0);
}

/* A C++ library in a C program: operator new finds whose exception to throw.
 */
static void cxx_library(void)
{
	int (*throws)(void) = (int (*)(void))dlsym(load_module("cxx_module"),
						   "cxx_module_throws");

	HS_T_CHECK(throws && throws() == 2);
}

/* --- blocks that are not the library's ---------------------------------- */

struct libc_heap {
	void *(*malloc)(size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	char *(*strdup)(const char *);
};

static struct libc_heap heap_of(void *handle)
{
	struct libc_heap heap;

	HS_T_CHECK(handle, "%s", dlerror());
	heap.malloc = (void *(*)(size_t))dlsym(handle, "malloc");
	heap.realloc = (void *(*)(void *, size_t))dlsym(handle, "realloc");
	heap.free = (void (*)(void *))dlsym(handle, "free");
	heap.strdup = (char *(*)(const char *))dlsym(handle, "strdup");
	HS_T_CHECK(heap.malloc && heap.realloc && heap.free && heap.strdup);
	return heap;
}

/* A program that takes malloc from libc's handle frees with the plain name. */
static void blocks_of_libc(void)
{
	static const size_t sizes[] = { 1, 24, 100, 1000, 5000, 70000, 300000,
					5000000 };
	struct libc_heap libc =
		heap_of(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD));
	size_t i, round;

	for (round = 0; round < 50; round++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *p = libc.malloc(sizes[i]), *q;

			hs_t_fill(p, sizes[i], i);
			HS_T_CHECK(malloc_usable_size(p) >= sizes[i]);
			q = realloc(p, sizes[i] * 2);
			HS_T_CHECK(q);
			HS_T_CHECK(hs_t_verify(q, sizes[i] & ~7UL, i) < 0);
			errno = 4711;
			free(q);
			HS_T_CHECK(errno == 4711);
			p = libc.malloc(sizes[i]);
			HS_T_CHECK(p && !realloc(p, 0));
			free(libc.malloc(sizes[i]));
		}
	}
}

/* Memory of a second libc stays with it; ours goes through it unharmed. */
static void another_namespace(void)
{
	void *handle = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	struct libc_heap other = heap_of(handle);
	char *ours = malloc(300), *theirs = other.strdup("text of the other");
	int i;

	strcpy(ours, "text of ours");
	for (i = 0; i < 1000; i++) {
		char *p = other.strdup(ours), *q = strdup(theirs);

		HS_T_CHECK(!strcmp(p, ours) && !strcmp(q, theirs));
		p = other.realloc(p, 100000);
		other.free(p);
		free(q);
	}
	other.free(theirs);
	free(ours);
}

/* libc's own allocations, that the kernel writes for it. */
static void blocks_that_libc_makes(void)
{
	char *line = NULL, *text = NULL, buf[64];
	size_t room = 0, len = 0;
	FILE *in = fopen("/proc/self/maps", "r"), *mem;
	ssize_t n;
	long lines = 0;

	HS_T_CHECK(in);
	while ((n = getline(&line, &room, in)) > 0)
		lines++;
	HS_T_CHECK(lines > 5);
	fclose(in);
	line = realloc(line, 5000);
	free(line);
	mem = open_memstream(&text, &len);
	for (n = 0; n < 20000; n++)
		fprintf(mem, "%zd ", n);
	fclose(mem);
	HS_T_CHECK(len > 100000 && text[len - 1] == ' ');
	free(text);
	in = popen("echo through a pipe", "r");
	HS_T_CHECK(in && fgets(buf, sizeof(buf), in));
	printf("  %s", buf);
	HS_T_CHECK(pclose(in) == 0);
	text = realpath("/proc/self/../self/cwd/.", NULL);
	HS_T_CHECK(text);
	free(text);
	text = getcwd(NULL, 0);
	HS_T_CHECK(text);
	free(text);
}

/* Of the mapping that holds @p: pages of the base size, no THP advised. */
static bool on_base_pages(const void *p)
{
	FILE *in = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool inside = false, base = false;
	char line[512];
	long kib;

	HS_T_CHECK(in);
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)p >= start && (uintptr_t)p < end;
		if (inside && sscanf(line, "KernelPageSize: %ld", &kib) == 1)
			base = kib * 1024 == sysconf(_SC_PAGESIZE);
		if (inside && !strncmp(line, "VmFlags:", 8)) {
			fclose(in);
			return base && !strstr(line, " hg");
		}
	}
	HS_T_CHECK(false, "%p is not in smaps", p);
	return false;
}

/* The kernel writes them in calls of libc's that nobody can wrap. */
static void streams_are_on_base_pages(void)
{
	const char *backing = getenv("HUGESHIM_BACKING");
	char *bulk = malloc(64 << 20), *line = NULL;
	size_t room = 0;
	int i;

	memset(bulk, 1, 64 << 20);
	if (backing && !strcmp(backing, "auto"))
		HS_T_CHECK(!on_base_pages(bulk + (32 << 20)));
	for (i = 0; i < 20; i++) {
		FILE *in = fopen("/proc/self/status", "r");
		DIR *dir = opendir("/proc/self");

		HS_T_CHECK(in && dir && readdir(dir));
		HS_T_CHECK(getline(&line, &room, in) > 0);
		HS_T_CHECK(on_base_pages(in) && on_base_pages(dir));
		HS_T_CHECK(on_base_pages(in->_IO_buf_base));
		closedir(dir);
		fclose(in);
	}
	free(line);
	free(bulk);
}

const struct hs_t_case hs_t_cases[] = {
	{ "constructors", constructors, false },
	{ "load_and_unload", load_and_unload, false },
	{ "system_name", system_name, false },
	{ "preloaded_behind", preloaded_behind, true },
	{ "cxx_library", cxx_library, false },
	{ "blocks_of_libc", blocks_of_libc, false },
	{ "another_namespace", another_namespace, false },
	{ "blocks_that_libc_makes", blocks_that_libc_makes, false },
	{ "streams_are_on_base_pages", streams_are_on_base_pages, true },
	{ NULL, NULL, false },
};

HS_T_BOTH_MAIN
