// SPDX-License-Identifier: LGPL-2.1-or-later
/* A library that allocates in its constructor, for its callers and in its
 * destructor; loaded and unloaded by conform_dl.c, and preloaded by it behind
 * the library. */
#include <stdlib.h>
#include <string.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <threads.h>

char *alloc_module_text(void);
void alloc_module_release(char *text);
int alloc_module_thread_slot(void);

static char *from_constructor;
/* Dynamic thread-local storage: libc allocates it at the first use. */
static __thread char slot[3000] __attribute__((tls_model("global-dynamic")));

/* Of another preloaded library, or of nobody when it is loaded later. */
__attribute__((visibility("default"))) int uname(struct utsname *name)
{
	strcpy(name->sysname, "interposed");
	return 0;
}

static int first_calls(void *arg)
{
	struct tms now;

	free(malloc(100));
	return arg != NULL || times(&now) == (clock_t)-1;
}

/* A thread that uses the heap and makes a call for the first time, while its
 * creator, who waits for it, holds the loader's lock. */
static void run_thread(void)
{
	thrd_t thread;
	int result = -1;

	if (thrd_create(&thread, first_calls, NULL) != thrd_success ||
	    thrd_join(thread, &result) != thrd_success || result != 0)
		abort();
}

__attribute__((constructor)) static void start(void)
{
	run_thread();
	from_constructor = malloc(5000);
	memset(from_constructor, 'c', 4999);
	from_constructor[4999] = '\0';
	free(calloc(1, 3000000));
}

__attribute__((destructor)) static void end(void)
{
	char *p = malloc(700);

	memset(p, 'd', 700);
	free(p);
	free(from_constructor);
}

__attribute__((visibility("default"))) char *alloc_module_text(void)
{
	return strdup(from_constructor);
}

__attribute__((visibility("default"))) void alloc_module_release(char *text)
{
	free(text);
}

__attribute__((visibility("default"))) int alloc_module_thread_slot(void)
{
	size_t i;

	for (i = 0; i < sizeof(slot); i++)
		if (slot[i])
			return -1;
	memset(slot, 1, sizeof(slot));
	memset(slot, 0, sizeof(slot));
	return 0;
}
