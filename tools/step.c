/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "say.h"
#include "step.h"

/* Pools have one besides for each node. */
enum { ENTRIES_MAX = STEPS_MAX * (1 + STEPS_MAX / 2) };

/* One line of the record: a word, a path without blanks, the rest. */
struct entry {
	char kind[16];
	char path[PATH_MAX];
	char old[64];
};

void step_add(struct plan *plan, enum step_kind kind, const char *path,
	      const char *text)
{
	struct step *step = &plan->step[plan->nr++];

	if (plan->nr > STEPS_MAX)
		abort(); /* more than there are options for */
	step->kind = kind;
	snprintf(step->path, sizeof(step->path), "%s", path);
	step->text = must(strdup(text));
}

/* --- printed ------------------------------------------------------------- */

/* The number of a group that is yet to be made is found out by sh. */
static void print_text(const char *text)
{
	bool inside = false;

	for (; *text != '\0'; text++) {
		if (*text != '@') {
			putchar(*text);
			continue;
		}
		fputs(inside ? " | cut -d: -f3)" : "$(getent group ", stdout);
		inside = !inside;
	}
}

static void print_step(const struct step *step)
{
	const char *path = step->path;

	switch (step->kind) {
	case STEP_VALUE:
		printf("echo ");
		print_text(step->text);
		printf(" >%s\n", path);
		return;
	case STEP_FILE:
		printf("cat >%s <<EOF\n", path);
		print_text(step->text);
		printf("EOF\n");
		return;
	case STEP_LINK:
		printf("ln -s %s %s\n", step->text, path);
		return;
	case STEP_DIR:
		printf("mkdir %s\n", path);
		return;
	case STEP_MOUNT:
		printf("mount -t hugetlbfs -o %s hugetlbfs %s\n", step->text,
		       path);
		return;
	case STEP_OWNER:
		printf("chgrp %s %s\nchmod 660 %s\n", step->text, path, path);
		return;
	case STEP_GROUP:
		printf("groupadd --system %s\n", path);
	}
}

void step_print(const struct plan *plan)
{
	unsigned i;

	for (i = 0; i < plan->nr; i++)
		print_step(&plan->step[i]);
}

/* --- done --------------------------------------------------------------------
 */

static int said(const char *path)
{
	int err = errno;

	say("setup: %s: %s", path, strerror(err));
	return -err;
}

/* Less than was asked for is not what was asked for. */
static int write_value(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	long now;

	if (fd < 0)
		return said(path);
	n = write(fd, value, strlen(value));
	if (n < 0) {
		close(fd);
		return said(path);
	}
	close(fd);
	now = kernel_number(path);
	if (now >= strtol(value, NULL, 10))
		return 0;
	say("setup: %s is %ld, not %s: there is not so much memory in one "
	    "piece; --at-boot, or the kernel's command line (hugectl-setup(8))",
	    path, now, value);
	return -ENOMEM;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t len = strlen(text);
	int err = 0;

	if (fd < 0)
		return said(path);
	if (fchmod(fd, 0644) || write(fd, text, len) != (ssize_t)len ||
	    fsync(fd)) {
		err = said(path);
		unlink(path);
	}
	close(fd);
	return err;
}

static int run_tool(const char *tool, const char *a, const char *b)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (b != NULL)
			execlp(tool, tool, a, b, (char *)NULL);
		else
			execlp(tool, tool, a, (char *)NULL);
		_exit(STATUS_NOT_FOUND);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		return 0;
	say("setup: %s does not work", tool);
	return -EIO;
}

static int own(const char *path, const char *group)
{
	struct group *entry = getgrnam(group);

	if (entry == NULL) {
		say("setup: %s: no such group", group);
		return -ENOENT;
	}
	if (chown(path, (uid_t)-1, entry->gr_gid) || chmod(path, 0660))
		return said(path);
	return 0;
}

/* sysctl takes numbers, which a group that is new has only now. */
static char *with_number(const char *text)
{
	const char *at = strchr(text, '@'), *end;
	struct group *entry;
	char name[64], *made;

	if (at == NULL)
		return must(strdup(text));
	end = strchr(at + 1, '@');
	snprintf(name, sizeof(name), "%.*s", (int)(end - at - 1), at + 1);
	entry = getgrnam(name);
	if (entry == NULL || asprintf(&made, "%.*s%u%s", (int)(at - text), text,
				      entry->gr_gid, end + 1) < 0)
		return NULL;
	return made;
}

static int do_step(const struct step *step)
{
	char *text = with_number(step->text);
	int err = 0;

	if (text == NULL) {
		say("setup: the new group is not there");
		return -ENOENT;
	}
	switch (step->kind) {
	case STEP_VALUE:
		err = write_value(step->path, text);
		break;
	case STEP_FILE:
		err = write_file(step->path, text);
		break;
	case STEP_LINK:
		err = symlink(text, step->path) ? said(step->path) : 0;
		break;
	case STEP_DIR:
		err = mkdir(step->path, 0755) ? said(step->path) : 0;
		break;
	case STEP_MOUNT:
		err = mount("hugetlbfs", step->path, "hugetlbfs", 0, text)
			      ? said(step->path)
			      : 0;
		break;
	case STEP_OWNER:
		err = own(step->path, text);
		break;
	case STEP_GROUP:
		err = run_tool("groupadd", "--system", step->path);
	}
	free(text);
	return err;
}

static const char *const words[] = {
	[STEP_VALUE] = "value", [STEP_FILE] = "file",   [STEP_LINK] = "link",
	[STEP_DIR] = "dir",     [STEP_MOUNT] = "mount", [STEP_OWNER] = "owner",
	[STEP_GROUP] = "group",
};

/* The size that a pool was given.  nr_hugepages counts pages as well that are
 * in use beyond it, and who restores that number makes them stay. */
static long pool_size(const char *path)
{
	char surplus[PATH_MAX], *slash;
	long beyond = -1;

	snprintf(surplus, sizeof(surplus), "%s", path);
	slash = strrchr(surplus, '/');
	if (!strcmp(slash, "/nr_hugepages")) {
		snprintf(slash, sizeof(surplus) - (size_t)(slash - surplus),
			 "/surplus_hugepages");
		beyond = kernel_number(surplus);
	}
	return kernel_number(path) - (beyond > 0 ? beyond : 0);
}

/* A pool of the machine is spread over nodes, and is put back as it was
 * spread. */
static void record_nodes(FILE *file, const char *path)
{
	int nodes[STEPS_MAX / 2];
	unsigned nr = kernel_nodes(nodes, STEPS_MAX / 2), i;
	unsigned long long kib;
	char dir[128], of[160];

	if (nr < 2 || sscanf(path, "/sys/kernel/mm/hugepages/hugepages-%llukB",
			     &kib) != 1)
		return;
	for (i = 0; i < nr; i++) {
		kernel_pool_dir(nodes[i], kib * 1024, dir, sizeof(dir));
		snprintf(of, sizeof(of), "%s/nr_hugepages", dir);
		fprintf(file, "%s %s %ld\n", words[STEP_VALUE], of,
			pool_size(of));
	}
}

/* What the file or device has now. */
static int record(FILE *file, const struct step *step)
{
	struct stat st;

	fprintf(file, "%s %s ", words[step->kind], step->path);
	if (step->kind == STEP_VALUE)
		fprintf(file, "%ld\n", pool_size(step->path));
	else if (step->kind == STEP_OWNER && stat(step->path, &st) == 0)
		fprintf(file, "%u %u %o\n", st.st_uid, st.st_gid,
			st.st_mode & 07777U);
	else
		fprintf(file, "-\n");
	if (step->kind == STEP_VALUE)
		record_nodes(file, step->path);
	if (!fflush(file) && !ferror(file) && !fsync(fileno(file)))
		return 0;
	return said(STEP_RECORD);
}

/* A step that makes something new made nothing when it failed: what is there
 * is somebody else's. */
static void forget(FILE *file, const struct step *step, long start)
{
	if (step->kind != STEP_VALUE && step->kind != STEP_OWNER &&
	    ftruncate(fileno(file), start))
		say("setup: %s: %s", STEP_RECORD, strerror(errno));
}

int step_do(const struct plan *plan)
{
	long start;
	FILE *file;
	unsigned i;
	int err = 0;

	if (mkdir(STEP_RECORD_DIR, 0755) && errno != EEXIST)
		return said(STEP_RECORD_DIR);
	file = fopen(STEP_RECORD, "wxe");
	if (file == NULL)
		return said(STEP_RECORD);
	for (i = 0; i < plan->nr && !err; i++) {
		start = ftell(file);
		err = record(file, &plan->step[i]);
		if (err)
			break;
		err = do_step(&plan->step[i]);
		if (err)
			forget(file, &plan->step[i], start);
	}
	fclose(file);
	if (err)
		step_undo(false);
	return err;
}

/* --- taken back
 * --------------------------------------------------------------- */

bool step_is_done(void)
{
	return access(STEP_RECORD, F_OK) == 0;
}

static bool is(const struct entry *entry, enum step_kind kind)
{
	return strcmp(entry->kind, words[kind]) == 0;
}

static void print_undo(const struct entry *entry)
{
	unsigned uid, gid, mode;

	if (is(entry, STEP_VALUE))
		printf("echo %s >%s\n", entry->old, entry->path);
	else if (is(entry, STEP_FILE) || is(entry, STEP_LINK))
		printf("rm -f %s\n", entry->path);
	else if (is(entry, STEP_DIR))
		printf("rmdir %s\n", entry->path);
	else if (is(entry, STEP_MOUNT))
		printf("umount %s\n", entry->path);
	else if (is(entry, STEP_GROUP))
		printf("groupdel %s\n", entry->path);
	else if (is(entry, STEP_OWNER) &&
		 sscanf(entry->old, "%u %u %o", &uid, &gid, &mode) == 3)
		printf("chown %u:%u %s\nchmod %o %s\n", uid, gid, entry->path,
		       mode, entry->path);
}

static int put_back_owner(const struct entry *entry)
{
	unsigned uid, gid, mode;

	if (sscanf(entry->old, "%u %u %o", &uid, &gid, &mode) != 3)
		return 0;
	return chown(entry->path, uid, gid) || chmod(entry->path, mode);
}

/* A value that there was before can be had again; pages in use then stay with
 * their users as surplus ones. */
static int put_back_value(const struct entry *entry)
{
	int fd = open(entry->path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(entry->old);
	bool done;

	if (fd < 0)
		return -1;
	done = write(fd, entry->old, len) == (ssize_t)len;
	close(fd);
	return done ? 0 : -1;
}

/* What is no longer there needs no taking back. */
static int undo(const struct entry *entry)
{
	int failed = 0;

	errno = 0;
	if (is(entry, STEP_VALUE))
		failed = put_back_value(entry);
	else if (is(entry, STEP_FILE) || is(entry, STEP_LINK))
		failed = unlink(entry->path);
	else if (is(entry, STEP_DIR))
		failed = rmdir(entry->path);
	else if (is(entry, STEP_MOUNT))
		failed = umount(entry->path);
	else if (is(entry, STEP_OWNER))
		failed = put_back_owner(entry);
	else if (is(entry, STEP_GROUP) && getgrnam(entry->path) != NULL)
		return run_tool("groupdel", entry->path, NULL);
	/* A mount that is gone is EINVAL; a directory may be others' by now. */
	if (!failed || errno == ENOENT ||
	    (errno == EINVAL && is(entry, STEP_MOUNT)) ||
	    (errno == ENOTEMPTY && is(entry, STEP_DIR)))
		return 0;
	return said(entry->path);
}

static unsigned read_record(struct entry *entries)
{
	FILE *file = fopen(STEP_RECORD, "re");
	char line[PATH_MAX + 128];
	unsigned nr = 0;

	if (file == NULL)
		return 0;
	while (nr < ENTRIES_MAX && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%15s %4095s %63[^\n]", entries[nr].kind,
			   entries[nr].path, entries[nr].old) == 3)
			nr++;
	fclose(file);
	return nr;
}

int step_undo(bool dry_run)
{
	static struct entry entries[ENTRIES_MAX];
	unsigned nr = read_record(entries), i;
	int err = 0;

	for (i = nr; i > 0; i--) {
		if (dry_run)
			print_undo(&entries[i - 1]);
		else if (undo(&entries[i - 1]))
			err = -EIO;
	}
	if (dry_run) {
		printf("rm %s\nrmdir %s\n", STEP_RECORD, STEP_RECORD_DIR);
		return 0;
	}
	/* What could not be taken back can be tried again. */
	if (err)
		return err;
	if (unlink(STEP_RECORD))
		return said(STEP_RECORD);
	rmdir(STEP_RECORD_DIR);
	return 0;
}
