/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "process.h"
#include "say.h"
#include "show.h"

/* "Field:   123 kB" -> bytes; false when the line is of another field. */
static bool take(const char *line, const char *field, uint64_t *bytes)
{
	size_t len = strlen(field);

	if (strncmp(line, field, len) != 0 || line[len] != ':')
		return false;
	*bytes = strtoull(line + len + 1, NULL, 10) * 1024;
	return true;
}

static void read_status_line(struct process *process, char *line)
{
	uint64_t kib;

	if (!strncmp(line, "Name:\t", 6)) {
		snprintf(process->name, sizeof(process->name), "%.31s",
			 line + 6);
		show_clean(process->name);
	}
	if (take(line, "Uid", &kib))
		process->uid = (uid_t)(kib / 1024);
	take(line, "VmHWM", &process->peak_rss_bytes);
	take(line, "VmRSS", &process->rss_bytes);
	take(line, "RssAnon", &process->anon_bytes);
	take(line, "VmSwap", &process->swap_bytes);
	take(line, "HugetlbPages", &process->hugetlb_bytes);
}

/* The name may hold anything, so what follows its last parenthesis counts. */
static void read_stat(struct process *process)
{
	char path[64], text[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", process->pid);
	if (!kernel_text(path, text, sizeof(text)))
		return;
	p = strrchr(text, ')');
	if (p != NULL)
		sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %lu",
		       &process->minor_faults);
}

int process_read(pid_t pid, struct process *process)
{
	char path[64], text[8192], *line, *save;

	memset(process, 0, sizeof(*process));
	process->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!kernel_text(path, text, sizeof(text)))
		return errno == EACCES ? -EACCES : -ESRCH;
	for (line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		read_status_line(process, line);
	read_stat(process);
	return 0;
}

pid_t process_parse(const char *text)
{
	long value;

	if (*text == '\0' || strlen(text) > 9 ||
	    text[strspn(text, "0123456789")] != '\0')
		return -1;
	value = strtol(text, NULL, 10);
	return value > 0 ? (pid_t)value : -1;
}

/* A thread's number has an entry in /proc, too, which no listing shows. */
pid_t process_must(const char *text, struct process *process)
{
	pid_t pid = process_parse(text);

	if (pid < 0)
		fail("'%.40s' is not a process ID", text);
	if (process_read(pid, process))
		fail("%d: no such process", pid);
	return pid;
}

struct process *process_all(unsigned *nr)
{
	struct process *list = NULL;
	unsigned room = 0;
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	pid_t pid;

	*nr = 0;
	if (dir == NULL)
		fail("/proc: %s", strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		pid = process_parse(entry->d_name);
		if (pid < 0)
			continue;
		if (*nr == room) {
			room = room * 2 + 64;
			list = must(realloc(list, room * sizeof(*list)));
		}
		if (process_read(pid, &list[*nr]) == 0)
			++*nr;
	}
	closedir(dir);
	return list;
}

const char *process_user(uid_t uid)
{
	static char name[33];
	static uid_t last = (uid_t)-1;
	struct passwd *entry;

	if (uid == last)
		return name;
	entry = getpwuid(uid);
	last = uid;
	if (entry != NULL)
		snprintf(name, sizeof(name), "%.32s", entry->pw_name);
	else
		snprintf(name, sizeof(name), "%u", uid);
	return name;
}

/* --- smaps --------------------------------------------------------------- */

static bool is_head(const char *line)
{
	return isxdigit((unsigned char)line[0]) && strchr(line, '-') != NULL &&
	       strchr(line, ':') > strchr(line, '-');
}

static void read_head(struct mapping *mapping, const char *line)
{
	int at = 0;

	memset(mapping, 0, offsetof(struct mapping, name));
	mapping->name[0] = '\0';
	if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &mapping->from,
		   &mapping->to, mapping->prot, &at) < 3 ||
	    at == 0)
		return;
	snprintf(mapping->name, sizeof(mapping->name), "%s", line + at);
	mapping->name[strcspn(mapping->name, "\n")] = '\0';
}

static void read_field(struct mapping *mapping, const char *line)
{
	uint64_t bytes;

	if (take(line, "AnonHugePages", &mapping->anon_thp) ||
	    take(line, "KernelPageSize", &mapping->page_bytes) ||
	    take(line, "Rss", &mapping->rss) ||
	    take(line, "Anonymous", &mapping->anon) ||
	    take(line, "Swap", &mapping->swap))
		return;
	if (take(line, "ShmemPmdMapped", &bytes) ||
	    take(line, "FilePmdMapped", &bytes))
		mapping->other_thp += bytes;
	else if (take(line, "Private_Hugetlb", &bytes) ||
		 take(line, "Shared_Hugetlb", &bytes))
		mapping->hugetlb += bytes;
}

static int read_mappings(pid_t pid, const char *name,
			 bool (*each)(const struct mapping *mapping, void *arg),
			 void *arg)
{
	static struct mapping mapping;
	char path[64], line[PATH_MAX + 128];
	bool have = false, more = true;
	FILE *file;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	if (file == NULL)
		return errno == ENOENT ? -ESRCH : -errno;
	while (more && fgets(line, sizeof(line), file) != NULL) {
		if (!is_head(line)) {
			read_field(&mapping, line);
			continue;
		}
		if (have)
			more = each(&mapping, arg);
		read_head(&mapping, line);
		have = true;
	}
	if (ferror(file))
		err = -errno;
	if (have && more && !err)
		each(&mapping, arg);
	fclose(file);
	return err;
}

int process_mappings(pid_t pid,
		     bool (*each)(const struct mapping *mapping, void *arg),
		     void *arg)
{
	return read_mappings(pid, "smaps", each, arg);
}

static void add_hugetlb(struct usage *usage, uint64_t page_bytes,
			uint64_t bytes)
{
	unsigned i;

	usage->hugetlb_bytes += bytes;
	for (i = 0; i < usage->nr_sizes; i++)
		if (usage->hugetlb[i].page_bytes == page_bytes)
			break;
	if (i == PROCESS_SIZES_MAX)
		return;
	if (i == usage->nr_sizes)
		usage->nr_sizes++;
	usage->hugetlb[i].page_bytes = page_bytes;
	usage->hugetlb[i].bytes += bytes;
}

static bool add_mapping(const struct mapping *m, void *arg)
{
	struct usage *usage = arg;

	usage->nr_mappings++;
	if (m->hugetlb != 0)
		add_hugetlb(usage, m->page_bytes, m->hugetlb);
	usage->thp_bytes += m->anon_thp;
	usage->thp_file_bytes += m->other_thp;
	usage->base_anon_bytes += m->anon - m->anon_thp;
	if (m->rss > m->anon + m->other_thp)
		usage->base_file_bytes += m->rss - m->anon - m->other_thp;
	usage->swap_bytes += m->swap;
	return true;
}

int process_usage(pid_t pid, struct usage *usage)
{
	memset(usage, 0, sizeof(*usage));
	return process_mappings(pid, add_mapping, usage);
}

int process_usage_quick(pid_t pid, struct usage *usage)
{
	memset(usage, 0, sizeof(*usage));
	return read_mappings(pid, "smaps_rollup", add_mapping, usage);
}

uint64_t process_huge(const struct usage *usage)
{
	return usage->hugetlb_bytes + usage->thp_bytes;
}

uint64_t process_whole(const struct usage *usage)
{
	return process_huge(usage) + usage->base_anon_bytes;
}
