/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl setup: the pool and who may use it, now and at boot.
 *
 * Everything is checked before anything changes.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "kernel.h"
#include "say.h"
#include "show.h"
#include "step.h"
#include "subcommand.h"

#define SYSCTL_FILE "/etc/sysctl.d/90-hugeshim.conf"
#define TMPFILES_FILE "/etc/tmpfiles.d/hugeshim.conf"
#define UDEV_FILE "/etc/udev/rules.d/90-hugeshim.rules"
#define UNIT_DIR "/etc/systemd/system"
#define WANTS_DIR UNIT_DIR "/sysinit.target.wants"
#define SHM_GROUP "/proc/sys/vm/hugetlb_shm_group"
#define DEVICE "/dev/userfaultfd"

enum { REQUESTS_MAX = 16 };

struct wish {
	struct {
		uint64_t page_bytes;
		long pages;
		int node; /* -1: the machine */
	} pool[REQUESTS_MAX];
	unsigned nr_pools;
	uint64_t page_bytes; /* of the --pages to come; 0: the default */
	const char *shm_group, *device_group;
	bool mount, at_boot, dry_run, undo;
};

/* --- options ------------------------------------------------------------- */

static bool has_pool(int node, uint64_t page_bytes)
{
	char dir[128];

	kernel_pool_dir(node, page_bytes, dir, sizeof(dir));
	return access(dir, F_OK) == 0;
}

static void set_page_size(struct wish *wish, const char *text)
{
	size_t bytes;

	if (hs_config_parse_size(text, &bytes) || !has_pool(-1, bytes))
		fail("setup: --page-size: '%.40s' is not a huge page size",
		     text);
	wish->page_bytes = bytes;
}

/* A number of pages, or a size with a unit, rounded up to pages. */
static long parse_pages(const char *text, uint64_t page_bytes)
{
	size_t len = strlen(text), bytes;

	if (len > 0 && len < 10 && strspn(text, "0123456789") == len)
		return strtol(text, NULL, 10);
	if (len == 0 || isdigit((unsigned char)text[len - 1]) ||
	    hs_config_parse_size(text, &bytes))
		return -1;
	return (long)((bytes + page_bytes - 1) / page_bytes);
}

static void add_pool(struct wish *wish, const char *text)
{
	uint64_t page = wish->page_bytes;
	char number[32], *end, *at;
	int node = -1;
	unsigned i;

	if (page == 0)
		page = kernel_default_page();
	if (page == 0 || !has_pool(-1, page))
		fail("setup: --pages: this kernel has no huge pages");
	snprintf(number, sizeof(number), "%.31s", text);
	at = strchr(number, '@');
	if (at != NULL) {
		*at++ = '\0';
		node = (int)strtol(at, &end, 10);
		if (!isdigit((unsigned char)*at) || *end != '\0' ||
		    !has_pool(node, page))
			fail("setup: --pages: '%.40s': no such node", text);
	}
	if (wish->nr_pools == REQUESTS_MAX)
		fail("setup: --pages: more than %d times", REQUESTS_MAX);
	for (i = 0; i < wish->nr_pools; i++)
		if (wish->pool[i].page_bytes == page &&
		    (wish->pool[i].node == node || node < 0 ||
		     wish->pool[i].node < 0))
			fail("setup: --pages: '%.40s': there is one for this "
			     "size and node already",
			     text);
	wish->pool[i].page_bytes = page;
	wish->pool[i].node = node;
	wish->pool[i].pages = parse_pages(number, page);
	if (wish->pool[i].pages < 0)
		fail("setup: --pages: '%.40s' is neither a number of pages "
		     "nor a size",
		     text);
	wish->nr_pools++;
}

/* As groupadd would take it. */
static const char *checked_group(const char *option, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 31 ||
	    !(islower((unsigned char)*name) || *name == '_') ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != len)
		fail("setup: %s: '%.40s' is not a name for a group", option,
		     name);
	return name;
}

/* --- the plan ------------------------------------------------------------ */

static void plan_groups(const struct wish *wish, struct plan *plan)
{
	const char *shm = wish->shm_group, *device = wish->device_group;

	if (shm != NULL && getgrnam(shm) == NULL)
		step_add(plan, STEP_GROUP, shm, "");
	if (device != NULL && getgrnam(device) == NULL &&
	    (shm == NULL || strcmp(shm, device) != 0))
		step_add(plan, STEP_GROUP, device, "");
}

/* @NAME@ where the group's number is known only when it has been made. */
static void group_number(const char *name, char *buf, size_t size)
{
	struct group *entry = getgrnam(name);

	if (entry != NULL)
		snprintf(buf, size, "%u", entry->gr_gid);
	else
		snprintf(buf, size, "@%s@", name);
}

static void plan_now(const struct wish *wish, struct plan *plan)
{
	char path[128], dir[96], value[64];
	unsigned i;

	for (i = 0; i < wish->nr_pools; i++) {
		kernel_pool_dir(wish->pool[i].node, wish->pool[i].page_bytes,
				dir, sizeof(dir));
		snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
		snprintf(value, sizeof(value), "%ld", wish->pool[i].pages);
		step_add(plan, STEP_VALUE, path, value);
	}
	if (wish->shm_group != NULL) {
		group_number(wish->shm_group, value, sizeof(value));
		step_add(plan, STEP_VALUE, SHM_GROUP, value);
	}
	if (wish->device_group != NULL && access(DEVICE, F_OK) == 0)
		step_add(plan, STEP_OWNER, DEVICE, wish->device_group);
}

/* Directories that a minimal system does not have. */
static void plan_file(struct plan *plan, const char *path, const char *text)
{
	char dir[PATH_MAX], *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	*slash = '\0';
	slash = strrchr(dir, '/');
	*slash = '\0';
	if (access(dir, F_OK) != 0)
		step_add(plan, STEP_DIR, dir, "");
	*slash = '/';
	if (access(dir, F_OK) != 0)
		step_add(plan, STEP_DIR, dir, "");
	step_add(plan, STEP_FILE, path, text);
}

static void plan_sysctl(const struct wish *wish, struct plan *plan)
{
	char text[512] = "# Made by hugectl setup; see hugectl-setup(8).\n";
	size_t start = strlen(text), len = start;
	char number[64];
	unsigned i;

	for (i = 0; i < wish->nr_pools; i++)
		if (wish->pool[i].node < 0 &&
		    wish->pool[i].page_bytes == kernel_default_page())
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"vm.nr_hugepages = %ld\n",
						wish->pool[i].pages);
	if (wish->shm_group != NULL) {
		group_number(wish->shm_group, number, sizeof(number));
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"vm.hugetlb_shm_group = %s\n", number);
	}
	if (len > start)
		plan_file(plan, SYSCTL_FILE, text);
}

/* sysctl knows neither nodes nor other sizes. */
static void plan_tmpfiles(const struct wish *wish, struct plan *plan)
{
	char text[4096] = "# Made by hugectl setup; see hugectl-setup(8).\n";
	size_t start = strlen(text), len = start;
	char dir[96];
	unsigned i;

	for (i = 0; i < wish->nr_pools; i++) {
		if (wish->pool[i].node < 0 &&
		    wish->pool[i].page_bytes == kernel_default_page())
			continue;
		kernel_pool_dir(wish->pool[i].node, wish->pool[i].page_bytes,
				dir, sizeof(dir));
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"w %s/nr_hugepages - - - - %ld\n", dir,
					wish->pool[i].pages);
	}
	if (len > start)
		plan_file(plan, TMPFILES_FILE, text);
}

static void plan_udev(const struct wish *wish, struct plan *plan)
{
	char text[256];

	if (wish->device_group == NULL)
		return;
	snprintf(text, sizeof(text),
		 "# Made by hugectl setup; see hugectl-setup(8).\n"
		 "KERNEL==\"userfaultfd\", GROUP=\"%s\", MODE=\"0660\"\n",
		 wish->device_group);
	plan_file(plan, UDEV_FILE, text);
}

static bool is_mounted(uint64_t page_bytes)
{
	static struct kernel_mount mounts[KERNEL_MOUNTS_MAX];
	unsigned nr = kernel_mounts(mounts, KERNEL_MOUNTS_MAX), i;

	for (i = 0; i < nr; i++)
		if (mounts[i].page_bytes == page_bytes)
			return true;
	return false;
}

static void plan_mount(const struct wish *wish, struct plan *plan,
		       uint64_t page_bytes)
{
	bool usual = page_bytes == kernel_default_page();
	char page[SHOW_BYTES_MAX], dir[64], options[64], path[128], link[160];
	char text[512];

	if (is_mounted(page_bytes))
		return;
	show_page(page_bytes, page);
	snprintf(dir, sizeof(dir), "/dev/hugepages%s", usual ? "" : page);
	snprintf(options, sizeof(options), "pagesize=%s,mode=1777", page);
	if (!wish->at_boot) {
		if (access(dir, F_OK) != 0)
			step_add(plan, STEP_DIR, dir, "");
		step_add(plan, STEP_MOUNT, dir, options);
	}
	snprintf(text, sizeof(text),
		 "# Made by hugectl setup; see hugectl-setup(8).\n"
		 "[Unit]\nDescription=Huge pages of %s\n"
		 "DefaultDependencies=no\nBefore=sysinit.target\n\n"
		 "[Mount]\nWhat=hugetlbfs\nWhere=%s\nType=hugetlbfs\n"
		 "Options=%s\n",
		 page, dir, options);
	snprintf(path, sizeof(path), UNIT_DIR "/dev-hugepages%s.mount",
		 usual ? "" : page);
	plan_file(plan, path, text);
	if (access(WANTS_DIR, F_OK) != 0)
		step_add(plan, STEP_DIR, WANTS_DIR, "");
	snprintf(link, sizeof(link), WANTS_DIR "/%s", strrchr(path, '/') + 1);
	step_add(plan, STEP_LINK, link, path);
}

static void plan_mounts(const struct wish *wish, struct plan *plan)
{
	unsigned i, j;

	if (!wish->mount)
		return;
	if (wish->nr_pools == 0)
		plan_mount(wish, plan, kernel_default_page());
	for (i = 0; i < wish->nr_pools; i++) {
		for (j = 0; j < i; j++)
			if (wish->pool[j].page_bytes ==
			    wish->pool[i].page_bytes)
				break;
		if (j == i)
			plan_mount(wish, plan, wish->pool[i].page_bytes);
	}
}

/* A directory is planned once, however many files go there. */
static void drop_twice(struct plan *plan)
{
	unsigned i, j;

	for (i = 0; i < plan->nr; i++)
		for (j = i + 1; j < plan->nr; j++) {
			if (plan->step[i].kind != STEP_DIR ||
			    plan->step[j].kind != STEP_DIR ||
			    strcmp(plan->step[i].path, plan->step[j].path))
				continue;
			free(plan->step[j].text);
			plan->nr--;
			memmove(&plan->step[j], &plan->step[j + 1],
				(plan->nr - j) * sizeof(plan->step[0]));
			j--;
		}
}

/* What is there is somebody's. */
static void check_plan(const struct plan *plan)
{
	const struct step *step;
	struct stat st;

	for (step = plan->step; step < plan->step + plan->nr; step++) {
		if ((step->kind == STEP_FILE || step->kind == STEP_LINK) &&
		    lstat(step->path, &st) == 0)
			fail("setup: %s is there already, and not by hugectl "
			     "setup",
			     step->path);
		if (step->kind == STEP_VALUE && access(step->path, W_OK) != 0)
			fail("setup: %s: %s", step->path, strerror(errno));
	}
}

/* The kernel would try for minutes, and take everything from everybody. */
static void check_memory(const struct wish *wish)
{
	uint64_t more = 0, room = kernel_meminfo("MemAvailable");
	char path[128], dir[96], want[SHOW_BYTES_MAX], have[SHOW_BYTES_MAX];
	unsigned i;
	long now;

	if (wish->at_boot)
		room = kernel_meminfo("MemTotal");
	for (i = 0; i < wish->nr_pools; i++) {
		kernel_pool_dir(wish->pool[i].node, wish->pool[i].page_bytes,
				dir, sizeof(dir));
		snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
		now = wish->at_boot ? 0 : kernel_number(path);
		if (wish->pool[i].pages > now)
			more += (uint64_t)(wish->pool[i].pages - now) *
				wish->pool[i].page_bytes;
	}
	if (more > room / 20 * 19)
		fail("setup: --pages: %s more, of %s that there are",
		     show_bytes(more, want), show_bytes(room, have));
}

static void make_plan(const struct wish *wish, struct plan *plan)
{
	plan_groups(wish, plan);
	if (!wish->at_boot)
		plan_now(wish, plan);
	plan_sysctl(wish, plan);
	plan_tmpfiles(wish, plan);
	plan_udev(wish, plan);
	plan_mounts(wish, plan);
	drop_twice(plan);
}

/* --- what is left to do -------------------------------------------------- */

static void explain(const struct wish *wish)
{
	char page[SHOW_BYTES_MAX];
	unsigned i;

	for (i = 0; i < wish->nr_pools; i++)
		if (wish->pool[i].page_bytes >= 1 << 30) {
			show_page(wish->pool[i].page_bytes, page);
			say("setup: pages of %s are sure to be had only from "
			    "the kernel's command line: hugepagesz=%s "
			    "hugepages=%ld",
			    page, page, wish->pool[i].pages);
		}
	if (wish->shm_group != NULL || wish->device_group != NULL)
		say("setup: users get into a group by usermod -aG GROUP USER, "
		    "when they log in next");
}

static void print_help(void)
{
	printf("Usage: hugectl setup [OPTION]...\n"
	       "Reserve huge pages and say who may use them, now and at every "
	       "boot.  Needs root.\n\n"
	       "  --pages=N|SIZE[@NODE]       the pool has N pages, or as many "
	       "as SIZE takes,\n"
	       "                              of the machine or of one NUMA "
	       "node\n"
	       "  --page-size=SIZE            of the --pages that follow, such "
	       "as 1G\n"
	       "  --shm-group=GROUP           may use SHM_HUGETLB (hugectl "
	       "--shm)\n"
	       "  --userfaultfd-group=GROUP   may open /dev/userfaultfd\n"
	       "  --mount                     mount hugetlbfs where it is "
	       "missing\n"
	       "  --at-boot                   only prepare the next boot\n"
	       "  --dry-run                   print the commands, do nothing\n"
	       "  --undo                      take back what setup did\n"
	       "  --help                      this text\n");
}

static void parse(struct wish *wish, int argc, char **argv)
{
	static const struct option options[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "page-size", required_argument, NULL, 's' },
		{ "shm-group", required_argument, NULL, 'g' },
		{ "userfaultfd-group", required_argument, NULL, 'u' },
		{ "mount", no_argument, NULL, 'm' },
		{ "at-boot", no_argument, NULL, 'b' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "undo", no_argument, NULL, 'U' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			add_pool(wish, optarg);
			break;
		case 's':
			set_page_size(wish, optarg);
			break;
		case 'g':
			wish->shm_group = checked_group("--shm-group", optarg);
			break;
		case 'u':
			wish->device_group =
				checked_group("--userfaultfd-group", optarg);
			break;
		case 'm':
			wish->mount = true;
			break;
		case 'b':
			wish->at_boot = true;
			break;
		case 'n':
			wish->dry_run = true;
			break;
		case 'U':
			wish->undo = true;
			break;
		case 'h':
			print_help();
			exit(end_output());
		default:
			exit(STATUS_OWN);
		}
	}
	if (optind < argc)
		fail("setup: '%s' is not an option", argv[optind]);
}

static int undo(const struct wish *wish)
{
	if (wish->nr_pools != 0 || wish->shm_group || wish->device_group ||
	    wish->mount || wish->at_boot)
		fail("setup: --undo takes back everything; it goes with "
		     "--dry-run alone");
	if (!step_is_done())
		fail("setup: nothing to undo: there is no " STEP_RECORD);
	if (!wish->dry_run && geteuid() != 0)
		fail("setup: needs root");
	if (step_undo(wish->dry_run))
		return STATUS_OWN;
	return end_output();
}

int setup_main(int argc, char **argv)
{
	static struct wish wish;
	static struct plan plan;

	parse(&wish, argc, argv);
	if (wish.undo)
		return undo(&wish);
	if (wish.nr_pools == 0 && wish.shm_group == NULL &&
	    wish.device_group == NULL && !wish.mount)
		fail("setup: what? see hugectl setup --help");
	check_memory(&wish);
	make_plan(&wish, &plan);
	if (wish.dry_run) {
		step_print(&plan);
		return end_output();
	}
	if (geteuid() != 0)
		fail("setup: needs root");
	if (step_is_done())
		fail("setup: done already; take it back first by --undo");
	check_plan(&plan);
	if (step_do(&plan))
		return STATUS_OWN;
	explain(&wish);
	return 0;
}
