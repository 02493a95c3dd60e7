/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of running a program, and what they become in its environment. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "kernel.h"
#include "nodes.h"
#include "request.h"
#include "say.h"
#include "version.h"

static const char variables[] =
#include "tools/hugectl_help.h"
	;

enum {
	OPT_HEAP = 256,
	OPT_MMAP,
	OPT_THRESHOLD,
	OPT_THP,
	OPT_PAGE_SIZE,
	OPT_FALLBACK,
	OPT_LIMIT,
	OPT_STATS,
	OPT_JSON,
	OPT_NO_INHERIT,
	OPT_COW,
	OPT_DRY_RUN,
	OPT_FORCE_PRELOAD,
	OPT_NO_PRELOAD,
	OPT_NO_RESERVE,
	OPT_LIBRARY_USE_PATH,
	OPT_LIBRARY_PATH,
	OPT_DISABLE,
	OPT_SHM,
	OPT_SEGMENT,
	OPT_ONLY,
	OPT_NUMA,
	OPT_RESERVE,
	OPT_VERBOSE,
};

static const struct option options[] = {
	{ "heap", optional_argument, NULL, OPT_HEAP },
	{ "mmap", optional_argument, NULL, OPT_MMAP },
	{ "threshold", required_argument, NULL, OPT_THRESHOLD },
	{ "thp", no_argument, NULL, OPT_THP },
	{ "page-size", required_argument, NULL, OPT_PAGE_SIZE },
	{ "fallback", required_argument, NULL, OPT_FALLBACK },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "stats", optional_argument, NULL, OPT_STATS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "no-inherit", no_argument, NULL, OPT_NO_INHERIT },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ "numa", required_argument, NULL, OPT_NUMA },
	{ "reserve", required_argument, NULL, OPT_RESERVE },
	{ "cow", required_argument, NULL, OPT_COW },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "force-preload", no_argument, NULL, OPT_FORCE_PRELOAD },
	{ "no-preload", no_argument, NULL, OPT_NO_PRELOAD },
	{ "no-reserve", no_argument, NULL, OPT_NO_RESERVE },
	{ "library-use-path", no_argument, NULL, OPT_LIBRARY_USE_PATH },
	{ "library-path", required_argument, NULL, OPT_LIBRARY_PATH },
	{ "disable", optional_argument, NULL, OPT_DISABLE },
	{ "shm", optional_argument, NULL, OPT_SHM },
	{ "text", optional_argument, NULL, OPT_SEGMENT },
	{ "data", optional_argument, NULL, OPT_SEGMENT },
	{ "bss", optional_argument, NULL, OPT_SEGMENT },
	{ "share-text", no_argument, NULL, OPT_SEGMENT },
	{ "verbose", optional_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	printf("Usage: hugectl [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	       "Run COMMAND with its memory on huge pages: what it allocates "
	       "and what it maps,\nor the one that is named.\n\n"
	       "  --heap[=SIZE|yes|no|thp]  back malloc memory\n"
	       "  --mmap[=SIZE|yes|no|thp]  back its own mappings\n"
	       "  --threshold=SIZE          of those, only from this size on\n"
	       "  --shm[=SIZE|yes|no]       back System V shared memory\n"
	       "  --thp                     with transparent huge pages only\n"
	       "  --page-size=SIZE          huge page size, such as 2M or 1G\n"
	       "  --fallback=try|on|off     without huge pages: use others, "
	       "use\n"
	       "                            only others, or fail\n"
	       "  --limit=SIZE|PERCENT%%     most huge page memory of a "
	       "process\n"
	       "  --reserve=N               take N huge pages at the start, "
	       "or fail\n"
	       "  --numa=POLICY             local, interleave[:NODES], "
	       "bind:NODES or\n"
	       "                            preferred:NODE\n"
	       "  --stats[=FILE]            report at exit (standard error)\n"
	       "  --json                    the report as one JSON object\n"
	       "  --no-inherit              not for programs it starts\n"
	       "  --only=PROGRAM,...        only programs of these names\n"
	       "  --cow=ENGINE              who copies pages after a fork\n"
	       "  --dry-run                 print the environment, run "
	       "nothing\n"
	       "  -v, --verbose[=N]         say more, or as much as N (0..3)\n"
	       "  -q                        say less\n"
	       "  -h, --help                this text\n"
	       "  -V, --version             the version\n\n");
	printf("As libhugetlbfs's hugectl:\n"
	       "  --no-preload              leave LD_PRELOAD alone\n"
	       "  --force-preload           preload whatever COMMAND looks "
	       "like\n"
	       "  --no-reserve              accepted: nothing is reserved\n"
	       "  --disable                 accepted: no segment is remapped\n"
	       "  --library-use-path        let the loader search the library\n"
	       "  --library-path=DIR        the library is in DIR or lib/\n\n"
	       "Variables that the library reads (libhugeshim(7)):\n%s",
	       variables);
}

/* One parser for all: a value is good if the library will take it. */
static void set_checked(struct request *request, const char *option,
			const char *variable, const char *value)
{
	char why[160];

	if (hs_config_check(variable, value, why, sizeof(why)))
		fail("%s: %s", option, why);
	env_set(&request->env, variable, value);
}

/* What --heap and --mmap take is the same. */
static const char *checked_use(const char *option, const char *value)
{
	char why[160];

	if (value == NULL)
		return "yes";
	if (hs_config_check("HUGESHIM_HEAP", value, why, sizeof(why)))
		fail("%s: %s", option, why);
	return value;
}

static bool is_off(const char *value)
{
	static const char *const words[] = { "no", "off", "false", "0" };
	size_t i;

	for (i = 0; value != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(value, words[i]))
			return true;
	return false;
}

static bool is_on(const char *value)
{
	return value != NULL && !is_off(value);
}

static bool is_thp(const char *value)
{
	return value != NULL && !strcmp(value, "thp");
}

/* Neither a word nor thp, once checked. */
static bool is_size(const char *value)
{
	char why[160];

	return value != NULL && !is_thp(value) &&
	       hs_config_check("HUGESHIM_MMAP", value, why, sizeof(why)) != 0;
}

/* There is one size for heap, mappings and shared memory. */
static void set_size(struct request *request, const char *option,
		     const char *value)
{
	const char *given = env_get(&request->env, "HUGESHIM_PAGE_SIZE");
	const char *from = request->mmap == value ? "--page-size" : "--mmap";
	size_t mine, other;

	if (!is_size(value))
		return;
	if (!is_size(request->mmap))
		from = "--page-size";
	if (is_size(request->heap)) {
		given = request->heap;
		from = "--heap";
	}
	if (given != NULL && !hs_config_parse_size(given, &other) &&
	    !hs_config_parse_size(value, &mine) && mine != other)
		fail("%s: '%s' is another huge page size than that of %s",
		     option, value, from);
	env_set(&request->env, "HUGESHIM_PAGE_SIZE", value);
}

static void set_shm(struct request *request, bool thp)
{
	const char *shm = request->shm;

	if (shm == NULL)
		return;
	if (is_on(shm) && thp)
		fail("--shm: there are no transparent huge pages for System V "
		     "shared memory");
	env_set(&request->env, "HUGESHIM_SHM", is_off(shm) ? "no" : "yes");
	if (is_on(shm))
		env_set(&request->env, "HUGETLB_SHM", "yes");
	set_size(request, "--shm", shm);
}

/* What is switched on by itself switches the others off. */
static void set_uses(struct request *request)
{
	const char *heap = request->heap, *mmap = request->mmap;
	bool named = is_on(heap) || is_on(mmap) || is_on(request->shm);
	bool thp = request->thp || is_thp(heap) || is_thp(mmap) ||
		   is_thp(request->shm);

	if (named && heap == NULL)
		heap = "no";
	if (named && mmap == NULL)
		mmap = "no";
	if (thp && is_off(heap))
		env_set(&request->env, "HUGESHIM_BACKING", "thp");
	else if (thp)
		heap = "thp";
	if (is_off(heap) && (!is_off(mmap) || is_on(request->shm)))
		request->library = ENV_LIBRARY_MMAP;
	if (heap != NULL) {
		env_set(&request->env, "HUGESHIM_HEAP", heap);
		/* As libhugetlbfs's hugectl: what was asked for. */
		if (request->heap != NULL || thp)
			env_set(&request->env, "HUGETLB_MORECORE", heap);
	}
	if (mmap != NULL)
		env_set(&request->env, "HUGESHIM_MMAP",
			is_off(mmap) ? "no" : "yes");
	if (!thp)
		set_size(request, "--mmap", mmap);
	set_shm(request, thp);
}

static void set_numa(struct request *request, const char *value)
{
	char policy[4096];

	if (!nodes_resolve(value, policy, sizeof(policy)))
		fail("--numa: '%.80s': there are no such nodes", value);
	set_checked(request, "--numa", "HUGESHIM_NUMA", policy);
}

/* By file name, as libhugetlbfs has it: separated by colons. */
static void set_only(struct env *env, const char *names)
{
	char *list = must(strdup(names)), *p;
	bool empty = true;

	for (p = list; *p != '\0'; p++) {
		if (*p == '/')
			fail("--only: '%s' is not a file name without "
			     "directory",
			     names);
		if (*p == ',')
			*p = ':';
		else
			empty = false;
	}
	if (empty)
		fail("--only: '%s' names no program", names);
	env_set(env, "HUGESHIM_RESTRICT_EXE", list);
	free(list);
}

/* Absolute, because the program may leave the directory; and found out now,
 * not when the program has run for a day. */
static void set_stats(struct request *request, const char *value)
{
	char path[2 * PATH_MAX], dir[PATH_MAX], *slash;
	struct stat st;

	if (value == NULL || !strcmp(value, "-")) {
		env_set(&request->env, "HUGESHIM_STATS", "-");
		return;
	}
	if (*value == '\0')
		fail("--stats: '' is not a file");
	if (*value == '/')
		dir[0] = '\0';
	else if (getcwd(dir, sizeof(dir)) == NULL)
		fail("--stats: no working directory: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", value);
	set_checked(request, "--stats", "HUGESHIM_STATS", path);
	slash = strrchr(path, '/');
	slash[1] = '\0';
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		fail("--stats: '%s' is in no directory", value);
}

static int clamp(int level, int max)
{
	return level < 0 ? 0 : level > max ? max : level;
}

/* libhugetlbfs's hugectl takes the number as it is; ours counts to 3. */
static void name_verbose(struct request *request, const char *text)
{
	char *end;
	long level = strtol(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end != '\0' ||
	    level > OLD_VERBOSE_MAX)
		fail("--verbose: '%s' is not a number from 0 to 3", text);
	request->verbose = clamp((int)level, OUR_VERBOSE_MAX);
	request->old_verbose = (int)level;
}

static int environment_number(const char *name, int absent)
{
	const char *text = getenv(name);

	return text != NULL && isdigit((unsigned char)*text) ? atoi(text)
							     : absent;
}

static int old_verbose(const struct request *request)
{
	if (request->old_verbose >= 0)
		return request->old_verbose;
	if (getenv("HUGETLB_DEBUG") != NULL)
		return OLD_VERBOSE_MAX;
	return environment_number("HUGETLB_VERBOSE", OLD_VERBOSE_DEFAULT);
}

static void change_verbose(struct request *request, int by)
{
	int level = request->verbose < 0
			    ? environment_number("HUGESHIM_VERBOSE", 0)
			    : request->verbose;

	request->old_verbose =
		clamp(old_verbose(request) + by, OLD_VERBOSE_MAX);
	request->verbose = clamp(level + by, OUR_VERBOSE_MAX);
}

/*
 * For programs that are linked with libhugetlbfs: its level.  Ours is said
 * besides, or the library would take it from that one; unless it comes from the
 * user, who means both.
 */
static void expose_verbose(struct request *request)
{
	bool users = getenv("HUGESHIM_VERBOSE") != NULL ||
		     getenv("HUGETLB_VERBOSE") != NULL ||
		     getenv("HUGETLB_DEBUG") != NULL;
	char text[16];

	snprintf(text, sizeof(text), "%d", old_verbose(request));
	env_set(&request->env, "HUGETLB_VERBOSE", text);
	if (request->verbose < 0 && users)
		return;
	snprintf(text, sizeof(text), "%d",
		 request->verbose < 0 ? 0 : request->verbose);
	env_set(&request->env, "HUGESHIM_VERBOSE", text);
}

/* "--verbose 3" is how libhugetlbfs's hugectl wants it. */
static void set_verbose(struct request *request, char **argv, const char *value)
{
	const char *next = argv[optind];

	if (value == NULL && next != NULL && *next != '\0' &&
	    next[strspn(next, "0123456789")] == '\0') {
		value = next;
		optind++;
	}
	if (value != NULL)
		name_verbose(request, value);
	else
		change_verbose(request, 1);
}

static void set_option(struct request *request, int option, const char *name,
		       char **argv)
{
	struct env *env = &request->env;

	switch (option) {
	case OPT_HEAP:
		request->heap = checked_use("--heap", optarg);
		break;
	case OPT_MMAP:
		request->mmap = checked_use("--mmap", optarg);
		break;
	case OPT_THRESHOLD:
		set_checked(request, "--threshold", "HUGESHIM_MMAP_THRESHOLD",
			    optarg);
		break;
	case OPT_THP:
		request->thp = true;
		break;
	case OPT_PAGE_SIZE:
		set_checked(request, "--page-size", "HUGESHIM_PAGE_SIZE",
			    optarg);
		break;
	case OPT_FALLBACK:
		set_checked(request, "--fallback", "HUGESHIM_FALLBACK", optarg);
		break;
	case OPT_LIMIT:
		set_checked(request, "--limit", "HUGESHIM_LIMIT", optarg);
		break;
	case OPT_STATS:
		set_stats(request, optarg);
		break;
	case OPT_JSON:
		env_set(env, "HUGESHIM_STATS_FORMAT", "json");
		break;
	case OPT_NO_INHERIT:
		env_set(env, "HUGESHIM_INHERIT", "no");
		break;
	case OPT_COW:
		set_checked(request, "--cow", "HUGESHIM_COW", optarg);
		break;
	case OPT_DRY_RUN:
		request->dry_run = true;
		break;
	case OPT_FORCE_PRELOAD:
		request->preload = true;
		request->force_preload = true;
		break;
	case OPT_NO_PRELOAD:
		request->preload = false;
		break;
	case OPT_NO_RESERVE:
		env_set(env, "HUGETLB_NO_RESERVE", "yes");
		break;
	case OPT_LIBRARY_USE_PATH:
		request->bare_name = true;
		break;
	case OPT_LIBRARY_PATH:
		request->library_dir = optarg;
		break;
	case OPT_DISABLE:
		env_set(env, "HUGETLB_ELFMAP", "no");
		break;
	case OPT_SHM:
		request->shm = checked_use("--shm", optarg);
		break;
	case OPT_SEGMENT:
		fail("--%s: program segments are not offered, only --heap, "
		     "--mmap and --shm",
		     name);
	case OPT_RESERVE:
		set_checked(request, "--reserve", "HUGESHIM_RESERVE", optarg);
		break;
	case OPT_NUMA:
		set_numa(request, optarg);
		break;
	case OPT_ONLY:
		set_only(env, optarg);
		break;
	case OPT_VERBOSE:
		set_verbose(request, argv, optarg);
		break;
	case 'v':
		change_verbose(request, 1);
		break;
	case 'q':
		change_verbose(request, -1);
		break;
	case 'h':
		print_help();
		exit(0);
	case 'V':
		printf("hugectl (%s)\n", hs_version);
		exit(0);
	default:
		exit(STATUS_OWN); /* getopt_long has said why */
	}
}

static uint64_t page_of(const struct env *env)
{
	const char *size = env_get(env, "HUGESHIM_PAGE_SIZE");
	const char *heap = env_get(env, "HUGESHIM_HEAP");
	size_t bytes;

	if (is_size(heap))
		size = heap;
	if (size != NULL && !hs_config_parse_size(size, &bytes))
		return bytes;
	return kernel_thp_page();
}

/* Before the program runs: it could not say 125. */
static void check_reserve(const struct request *request)
{
	const char *text = env_get(&request->env, "HUGESHIM_RESERVE");
	const char *heap = env_get(&request->env, "HUGESHIM_HEAP");
	struct pool pools[KERNEL_POOLS_MAX];
	unsigned i, nr = kernel_pools(-1, pools);
	long free = 0, want;

	if (text == NULL)
		return;
	want = strtol(text, NULL, 10);
	if (is_off(heap) || is_thp(heap))
		fail("--reserve: pages are taken for the heap, which is not "
		     "on pages of the pool");
	for (i = 0; i < nr; i++)
		if (pools[i].page_bytes == page_of(&request->env))
			free = pools[i].free - pools[i].reserved +
			       pools[i].overcommit - pools[i].surplus;
	if (want > free)
		fail("--reserve: %ld huge pages are free, not %ld", free, want);
}

/* As libhugetlbfs's hugectl: the prefix's directories before what is there.
 * Without a trailing colon, which would mean the working directory. */
static void expose_library_path(struct request *request)
{
	const char *old = getenv("LD_LIBRARY_PATH");
	char dir[PATH_MAX], value[3 * PATH_MAX];

	if (realpath(request->library_dir, dir) == NULL)
		return; /* found out when the library is looked for */
	if (old == NULL || *old == '\0')
		snprintf(value, sizeof(value), "%s/lib:%s/lib64", dir, dir);
	else
		snprintf(value, sizeof(value), "%s/lib:%s/lib64:%s", dir, dir,
			 old);
	env_set(&request->env, "LD_LIBRARY_PATH", value);
}

void request_parse(struct request *request, int argc, char **argv)
{
	static char name[] = "hugectl"; /* in what getopt_long says */
	int option, index;

	argv[0] = name;
	for (;;) {
		index = 0;
		option = getopt_long(argc, argv, "+hvqV", options, &index);
		if (option == -1)
			break;
		set_option(request, option, options[index].name, argv);
	}
	if (argv[optind] == NULL && !request->dry_run)
		fail("no command to run; see hugectl --help");
	if (env_get(&request->env, "HUGESHIM_STATS_FORMAT") != NULL &&
	    env_get(&request->env, "HUGESHIM_STATS") == NULL &&
	    getenv("HUGESHIM_STATS") == NULL)
		env_set(&request->env, "HUGESHIM_STATS", "-");
	set_uses(request);
	check_reserve(request);
	expose_verbose(request);
	if (request->library_dir != NULL)
		expose_library_path(request);
}
