/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load.c - libhugealloc comes by dlopen(), from one of several threads, and is
 * let go of: load LIBRARY.  Its block lives on, through a fork.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "hugealloc.h"
#include "tests/lib/hs_test.h"

#define SIZE ((size_t)4 << 20)

static const char *library;
static char *block;

static void *load(void *unused)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	void *(*alloc)(size_t, const struct hugealloc_attr *);

	HS_T_CHECK(handle, "%s", dlerror());
	alloc = (void *(*)(size_t, const struct hugealloc_attr *))dlsym(
		handle, "hugealloc");
	HS_T_CHECK(alloc, "%s", dlerror());
	block = alloc(SIZE, NULL);
	HS_T_CHECK(block);
	hs_t_fill(block, SIZE, 1);
	HS_T_CHECK(dlclose(handle) == 0);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	pid_t child;

	HS_T_CHECK(argc == 2);
	library = argv[1];
	HS_T_CHECK(pthread_create(&thread, NULL, load, NULL) == 0);
	pthread_join(thread, NULL);
	child = fork();
	HS_T_CHECK(child >= 0);
	if (child == 0) {
		hs_t_fill(block, SIZE, 2);
		_exit(hs_t_verify(block, SIZE, 2) < 0 ? 0 : 1);
	}
	hs_t_fill(block, SIZE, 3);
	HS_T_WAIT_OK(child);
	HS_T_CHECK(hs_t_verify(block, SIZE, 3) < 0);
	return 0;
}
