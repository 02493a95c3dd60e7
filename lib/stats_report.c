/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report: a block to read at a glance, or one JSON object. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "log.h"
#include "probe.h"
#include "stats.h"
#include "stats_internal.h"
#include "sys.h"
#include "version.h"

/* On the stack: malloc_stats() may be called by several threads at once, and
 * the exit handler by any.  Half of it is enough for every counter. */
#define REPORT_MAX 4096

struct report {
	size_t len;
	char text[REPORT_MAX];
};

/* Fields of /proc/self/status; SIZE_MAX where it has none. */
struct process {
	char name[32];
	int pid;
	size_t rss_bytes;
	size_t hugetlb_bytes;
};

struct usage {
	uint64_t now[HS_STAT_NR_GAUGES];
	uint64_t peak[HS_STAT_NR_GAUGES];
	uint64_t heap_now, mmap_now; /* touched as far as is known */
};

struct label {
	const char *json;
	const char *text;
};

static const struct label counters[] = {
#define X(id, json, text) [HS_STAT_##id] = { json, text },
	HS_STATS_COUNTERS(X)
#undef X
};

static const struct label gauges[] = {
#define X(id, json, text) [HS_GAUGE_##id] = { json, text },
	HS_STATS_GAUGES(X)
#undef X
};

static void put(struct report *r, const char *fmt, ...) HS_PRINTF(2, 3);

static void put(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->len += hs_log_vformat(r->text + r->len, sizeof(r->text) - r->len,
				 fmt, ap);
	va_end(ap);
}

static void put_padding(struct report *r, size_t have, size_t want)
{
	while (have++ < want)
		put(r, " ");
}

static void put_left(struct report *r, const char *text, size_t width)
{
	put(r, "%s", text);
	put_padding(r, strlen(text), width);
}

static void put_right(struct report *r, const char *text, size_t width)
{
	put_padding(r, strlen(text), width);
	put(r, "%s", text);
}

/* "1.5 GiB", "640.0 KiB", "12 B" */
static const char *human(uint64_t bytes, char *buf, size_t size)
{
	static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = 0;
	uint64_t n = bytes;

	for (; n >= 1024 && unit < HS_ARRAY_SIZE(units) - 1; unit++)
		n /= 1024;
	if (unit == 0)
		hs_log_format(buf, size, "%lu B", (unsigned long)bytes);
	else
		hs_log_format(buf, size, "%lu.%lu %s", (unsigned long)n,
			      (unsigned long)((bytes >> (10 * (unit - 1))) %
					      1024 * 10 / 1024),
			      units[unit]);
	return buf;
}

static void put_bytes(struct report *r, uint64_t bytes, size_t width)
{
	char buf[32];

	put_right(r, human(bytes, buf, sizeof(buf)), width);
}

/* Tenths of a percent; 0 of 0 is nothing on huge pages. */
static unsigned long permille(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (unsigned long)(part * 1000 / whole);
}

static uint64_t relaxed(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

/* The value of "FIELD:\t  123 kB" in bytes. */
static size_t status_bytes(const char *status, const char *field)
{
	const char *p = strstr(status, field);
	size_t kib = 0;

	if (p == NULL)
		return SIZE_MAX;
	p += strlen(field);
	p += strspn(p, " \t");
	for (; *p >= '0' && *p <= '9'; p++)
		kib = kib * 10 + (size_t)(*p - '0');
	return kib * HS_KIB;
}

static void status_name(const char *status, char *name, size_t size)
{
	static const char field[] = "Name:\t";
	size_t len;

	if (strncmp(status, field, sizeof(field) - 1))
		return;
	status += sizeof(field) - 1;
	len = HS_MIN(strcspn(status, "\n"), size - 1);
	memcpy(name, status, len);
	name[len] = '\0';
}

/* From now on a filter may kill for a file that is opened. */
static bool restricted;
static int kept_file = -1; /* the report's, opened before */

/* Under a filter that was there before the start, these calls were ld.so's,
 * too; getpid() was not. */
static size_t read_status(char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd;

	if (restricted)
		return 0;
	fd = hs_sys.open("/proc/self/status", O_RDONLY | O_NOCTTY, 0);
	if (fd < 0)
		return 0;
	while (len < size - 1 &&
	       (n = hs_sys.read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	hs_sys.close(fd);
	buf[len] = '\0';
	return len;
}

static void read_process(struct process *process)
{
	char status[2048];
	size_t pid;

	memcpy(process->name, "?", 2);
	process->rss_bytes = SIZE_MAX;
	process->hugetlb_bytes = SIZE_MAX;
	process->pid = 0;
	if (read_status(status, sizeof(status)) == 0) {
		if (!restricted)
			process->pid = hs_sys.getpid();
		return;
	}
	status_name(status, process->name, sizeof(process->name));
	process->rss_bytes = status_bytes(status, "\nVmRSS:");
	process->hugetlb_bytes = status_bytes(status, "\nHugetlbPages:");
	pid = status_bytes(status, "\nPid:");
	process->pid = pid == SIZE_MAX ? hs_sys.getpid() : (int)(pid / HS_KIB);
}

/* A first touch that finds its huge page is between the program and the
 * kernel, whose HugetlbPages tells how many of the waiting pages are there by
 * now.  (A program's own hugetlb mappings count in it as well: hence the
 * bound.) */
static void touched(struct usage *usage, enum hs_stats_gauge lazy,
		    enum hs_stats_gauge huge, uint64_t *unknown)
{
	uint64_t bytes = HS_MIN(*unknown, usage->now[lazy]);

	usage->now[huge] += bytes;
	usage->now[lazy] -= bytes;
	*unknown -= bytes;
	usage->peak[huge] = HS_MAX(usage->peak[huge], usage->now[huge]);
}

static void read_usage(const struct process *process, struct usage *usage)
{
	uint64_t *now = usage->now, known, unknown = 0;
	unsigned i;

	for (i = 0; i < HS_STAT_NR_GAUGES; i++) {
		now[i] = hs_stats_gauge((enum hs_stats_gauge)i);
		usage->peak[i] = hs_stats_gauge_peak((enum hs_stats_gauge)i);
	}
	known = now[HS_GAUGE_HUGE] + now[HS_GAUGE_VM_HUGE];
	if (process->hugetlb_bytes != SIZE_MAX &&
	    process->hugetlb_bytes > known)
		unknown = process->hugetlb_bytes - known;
	touched(usage, HS_GAUGE_LAZY, HS_GAUGE_HUGE, &unknown);
	touched(usage, HS_GAUGE_VM_LAZY, HS_GAUGE_VM_HUGE, &unknown);
	usage->heap_now =
		now[HS_GAUGE_HUGE] + now[HS_GAUGE_THP] + now[HS_GAUGE_BASE];
	usage->mmap_now = now[HS_GAUGE_VM_HUGE] + now[HS_GAUGE_VM_BASE];
}

static size_t page_size_bytes(void)
{
	return hs_config->page_size_bytes ? hs_config->page_size_bytes
					  : hs_probe_default_huge_size();
}

static void text_coverage(struct report *r, const char *what, uint64_t huge,
			  uint64_t all, struct hs_stats_largest *largest)
{
	unsigned long now = permille(huge, all);
	unsigned long peak = permille(relaxed(&largest->huge_bytes),
				      relaxed(&largest->bytes));

	put(r,
	    "  coverage: %lu.%lu %% of the %s on huge pages now, %lu.%lu %%"
	    " when it was largest\n",
	    now / 10, now % 10, what, peak / 10, peak % 10);
}

static void text_gauges(struct report *r, const struct usage *usage)
{
	bool maps = relaxed(&hs_stats.mmap.bytes) != 0;
	unsigned i;

	put(r, "  ");
	put_left(r, "", 34);
	put_right(r, "now", 12);
	put_right(r, "peak", 12);
	put(r, "\n");
	for (i = 0; i < (maps ? HS_STAT_NR_GAUGES : HS_GAUGE_VM_HUGE); i++) {
		put(r, "  ");
		put_left(r, gauges[i].text, 34);
		put_bytes(r, usage->now[i], 12);
		put_bytes(r, usage->peak[i], 12);
		put(r, "\n");
	}
	text_coverage(r, "heap", usage->now[HS_GAUGE_HUGE], usage->heap_now,
		      &hs_stats.heap);
	if (maps)
		text_coverage(r, "mapped memory", usage->now[HS_GAUGE_VM_HUGE],
			      usage->mmap_now, &hs_stats.mmap);
}

static void text_counters(struct report *r, const char *title, unsigned first,
			  unsigned last)
{
	char number[24];
	unsigned i;
	bool any = false;

	for (i = first; i <= last; i++) {
		uint64_t n = hs_stats_get((enum hs_stats_counter)i);

		if (n == 0)
			continue;
		put(r, "  ");
		put_left(r, any ? "" : title, 12);
		hs_log_format(number, sizeof(number), "%lu", (unsigned long)n);
		put_right(r, number, 10);
		put(r, "  %s\n", counters[i].text);
		any = true;
	}
	if (!any)
		put(r, "  %s none\n", title);
}

static void text_process(struct report *r, const struct process *process)
{
	char rss[32], huge[32];

	if (process->rss_bytes == SIZE_MAX)
		return;
	human(process->rss_bytes, rss, sizeof(rss));
	if (process->hugetlb_bytes == SIZE_MAX) {
		put(r, "  VmRSS %s\n", rss);
		return;
	}
	human(process->hugetlb_bytes, huge, sizeof(huge));
	put(r, "  VmRSS %s; that leaves out huge pages: HugetlbPages %s\n", rss,
	    huge);
}

/* Nothing huge, and nothing that should have been: most of the processes that
 * a script starts. */
static bool is_small(void)
{
	unsigned i;

	for (i = 0; i <= HS_STAT_RESCUE_FAILED; i++)
		if (hs_stats_get((enum hs_stats_counter)i) != 0)
			return false;
	return hs_config->enabled && hs_stats_gauge_peak(HS_GAUGE_HUGE) == 0 &&
	       hs_stats_gauge_peak(HS_GAUGE_LAZY) == 0 &&
	       hs_stats_gauge_peak(HS_GAUGE_THP) == 0 &&
	       relaxed(&hs_stats.mmap.bytes) == 0;
}

static void report_text(struct report *r, const struct process *process,
			const struct usage *usage)
{
	char size[32];

	if (is_small()) {
		put(r,
		    "%s: %s (pid %d) is too small for huge pages: %s of "
		    "heap at most\n",
		    hs_version, process->name, process->pid,
		    human(relaxed(&hs_stats.heap.bytes), size, sizeof(size)));
		return;
	}
	put(r, "%s: %s (pid %d), huge pages of %s%s\n", hs_version,
	    process->name, process->pid,
	    human(page_size_bytes(), size, sizeof(size)),
	    hs_config->enabled ? "" : ", off");
	text_gauges(r, usage);
	text_counters(r, "fallbacks:", HS_STAT_FALLBACK_POOL,
		      HS_STAT_FALLBACK_CONFIG);
	text_counters(r, "rescues:", HS_STAT_RESCUE_COW, HS_STAT_RESCUE_FAILED);
	text_counters(r, "events:", HS_STAT_RESCUE_FAILED + 1,
		      HS_STAT_NR_COUNTERS - 1);
	text_process(r, process);
}

/* Program names may hold any byte. */
static void put_json_string(struct report *r, const char *text)
{
	unsigned char c;

	put(r, "\"");
	for (; *text != '\0'; text++) {
		c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			put(r, "\\%c", c);
		else if (c < ' ' || c > 126)
			put(r, "\\u%04x", c);
		else
			put(r, "%c", c);
	}
	put(r, "\"");
}

static void put_json_bytes(struct report *r, const char *key, size_t bytes)
{
	if (bytes == SIZE_MAX)
		put(r, ",\"%s\":null", key);
	else
		put(r, ",\"%s\":%zu", key, bytes);
}

static void put_json_share(struct report *r, const char *key, uint64_t part,
			   uint64_t whole)
{
	unsigned long share = permille(part, whole);

	if (whole == 0)
		put(r, ",\"%s\":null", key);
	else
		put(r, ",\"%s\":%lu.%03lu", key, share / 1000, share % 1000);
}

static void report_json(struct report *r, const struct process *process,
			const struct usage *usage)
{
	unsigned i;

	put(r, "{\"version\":");
	put_json_string(r, hs_version);
	put(r, ",\"program\":");
	put_json_string(r, process->name);
	put(r, ",\"pid\":%d,\"enabled\":%s,\"page_size_bytes\":%zu",
	    process->pid, hs_config->enabled ? "true" : "false",
	    page_size_bytes());
	put(r, ",\"memory\":{");
	for (i = 0; i < HS_STAT_NR_GAUGES; i++)
		put(r, "%s\"%s\":{\"now\":%lu,\"peak\":%lu}", i ? "," : "",
		    gauges[i].json, (unsigned long)usage->now[i],
		    (unsigned long)usage->peak[i]);
	put(r, "}");
	put_json_share(r, "coverage", usage->now[HS_GAUGE_HUGE],
		       usage->heap_now);
	put_json_share(r, "coverage_at_peak",
		       relaxed(&hs_stats.heap.huge_bytes),
		       relaxed(&hs_stats.heap.bytes));
	put_json_share(r, "mmap_coverage", usage->now[HS_GAUGE_VM_HUGE],
		       usage->mmap_now);
	put_json_share(r, "mmap_coverage_at_peak",
		       relaxed(&hs_stats.mmap.huge_bytes),
		       relaxed(&hs_stats.mmap.bytes));
	put(r, ",\"events\":{");
	for (i = 0; i < HS_STAT_NR_COUNTERS; i++)
		put(r, "%s\"%s\":%lu", i ? "," : "", counters[i].json,
		    (unsigned long)hs_stats_get((enum hs_stats_counter)i));
	put(r, "}");
	put_json_bytes(r, "rss_bytes", process->rss_bytes);
	put_json_bytes(r, "hugetlb_bytes", process->hugetlb_bytes);
	put(r, ",\"rss_counts_hugetlb\":false}\n");
}

static ssize_t write_report(int fd, bool json)
{
	struct process process;
	struct usage usage;
	struct report r;

	r.len = 0;
	read_process(&process);
	read_usage(&process, &usage);
	if (json)
		report_json(&r, &process, &usage);
	else
		report_text(&r, &process, &usage);
	return hs_sys.write(fd, r.text, r.len);
}

void hs_stats_report(int fd, bool json)
{
	write_report(fd, json);
}

/* %p is the PID, %% a percent sign; 0 or -ENAMETOOLONG. */
static int expand_path(const char *path, char *buf, size_t size)
{
	size_t len = 0;

	for (; *path != '\0' && len + 12 < size; path++) {
		if (path[0] == '%' && path[1] == 'p') {
			len += hs_log_format(buf + len, size - len, "%d",
					     hs_sys.getpid());
			path++;
		} else {
			buf[len++] = *path;
			if (path[0] == '%' && path[1] == '%')
				path++;
		}
	}
	buf[len] = '\0';
	return *path == '\0' ? 0 : -ENAMETOOLONG;
}

/* The name that was made of @path is left in @name. */
static int open_report(const char *path, char *name, size_t size)
{
	int fd = expand_path(path, name, size);

	if (fd != 0)
		return fd;
	return hs_sys.open(name,
			   O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY |
				   O_NONBLOCK,
			   0644);
}

static void report_to_file(const char *path, bool json)
{
	char name[1024 + 32] = "";
	ssize_t n;
	int fd = kept_file;

	if (!restricted)
		fd = open_report(path, name, sizeof(name));
	if (fd < 0) {
		hs_log(HS_LOG_ERROR, "%s: cannot write the report (error %d)",
		       name[0] ? name : path, -fd);
		return;
	}
	n = write_report(fd, json);
	if (!restricted)
		hs_sys.close(fd);
	if (n < 0)
		hs_log(HS_LOG_ERROR, "%s: cannot write the report (error %d)",
		       name[0] ? name : path, (int)-n);
}

/*
 * Standard error as it was at the start, and a copy of it.  Programs that close
 * it in an exit handler to see whether all was written (coreutils) are many;
 * and in one that closed it early, descriptor 2 may be a database by now.
 */
static struct {
	int copy;
	dev_t dev;
	ino_t ino;
} at_start = { .copy = -1 };

/* Away from what programs expect to get from open. */
#define COPY_LOWEST 500

static bool identify(int fd, dev_t *dev, ino_t *ino)
{
	struct stat st;

	if (hs_sys.fstat(fd, &st) < 0)
		return false;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return true;
}

HS_START void hs_stats_init(void)
{
	int fd;

	if (hs_config->stats_path == NULL || strcmp(hs_config->stats_path, "-"))
		return;
	if (!identify(2, &at_start.dev, &at_start.ino))
		return;
	fd = hs_sys.dup_cloexec(2, COPY_LOWEST);
	at_start.copy = fd < 0 ? 2 : fd;
}

static bool is_stderr(int fd)
{
	dev_t dev;
	ino_t ino;

	return identify(fd, &dev, &ino) && dev == at_start.dev &&
	       ino == at_start.ino;
}

static void report_to_stderr(bool json)
{
	if (at_start.copy < 0)
		return; /* there was none */
	/* Restricted: no question is safe, see hs_stats_restrict(). */
	if (!restricted && is_stderr(2))
		write_report(2, json);
	else if (restricted || is_stderr(at_start.copy))
		write_report(at_start.copy, json);
}

void hs_stats_restrict(void)
{
	const char *path = hs_config->stats_path;
	char name[1024 + 32];
	int fd;

	if (restricted)
		return;
	restricted = true;
	if (at_start.copy >= 0 && !is_stderr(at_start.copy))
		at_start.copy = -1;
	if (path == NULL || strcmp(path, "-") == 0)
		return;
	fd = open_report(path, name, sizeof(name));
	if (fd < 0)
		return;
	kept_file = hs_sys.dup_cloexec(fd, COPY_LOWEST);
	hs_sys.close(fd);
}

void hs_stats_report_configured(void)
{
	const char *path = hs_config->stats_path;

	if (path == NULL)
		return;
	if (strcmp(path, "-"))
		report_to_file(path, hs_config->stats_json);
	else
		report_to_stderr(hs_config->stats_json);
}
