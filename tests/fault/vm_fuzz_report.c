/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_report.c - what differed, what led to it, and what may differ.
 */
#include "vm_fuzz.h"

#define HISTORY 20

/*
 * Where the library's answer may be another than bare pages': the whole list,
 * with reasons.  A bare run takes none of them.
 */
static struct {
	const char *what;
	const char *why;
	_Atomic unsigned long seen;
} allowed[FZ_NR_ALLOWED] = {
	[FZ_ALLOW_MINCORE] = {
		"mincore shows a page as resident that was never touched",
		"the huge page that it is part of is resident",
		0,
	},
	[FZ_ALLOW_MREMAP] = {
		"mremap of a range did not fail with EFAULT",
		"what makes it several mappings, a lock or some advice, is not "
		"in /proc/self/maps",
		0,
	},
};

void fz_allow(enum fz_allowed what)
{
	allowed[what].seen++;
}

void fz_print_allowed(void)
{
	for (int i = 0; i < FZ_NR_ALLOWED; i++)
		if (allowed[i].seen)
			printf("allowed %lu times: %s, because %s\n",
			       allowed[i].seen, allowed[i].what,
			       allowed[i].why);
}

/* --- calls as text -------------------------------------------------------- */

static const char *const op_names[FZ_NR_OPS] = {
	[FZ_READ_TOUCH] = "read pages",
	[FZ_WRITE_TOUCH] = "write pages",
	[FZ_MMAP] = "mmap",
	[FZ_MUNMAP] = "munmap",
	[FZ_MPROTECT] = "mprotect",
	[FZ_PKEY_MPROTECT] = "pkey_mprotect",
	[FZ_MADVISE] = "madvise",
	[FZ_POSIX_MADVISE] = "posix_madvise",
	[FZ_PROCESS_MADVISE] = "process_madvise",
	[FZ_MREMAP] = "mremap",
	[FZ_MINCORE] = "mincore",
	[FZ_MSYNC] = "msync",
	[FZ_MLOCK] = "mlock",
	[FZ_MLOCK2] = "mlock2",
	[FZ_MUNLOCK] = "munlock",
	[FZ_MBIND] = "mbind",
	[FZ_SET_MEMPOLICY] = "set_mempolicy",
	[FZ_SHMAT] = "shmat",
	[FZ_REMAP_PAGES] = "remap_file_pages",
	[FZ_LOCK_ALL] = "mlockall",
	[FZ_LIMIT] = "setrlimit",
	[FZ_READ] = "read(2) into",
	[FZ_WRITE] = "write(2) from",
	[FZ_FORK] = "fork",
};

int fz_op_of(const char *name)
{
	for (int i = 0; i < FZ_NR_OPS; i++)
		if (!strcmp(op_names[i], name))
			return i;
	return -1;
}

static const char *place(char *text, size_t size, uint32_t area, uint32_t page,
			 uint32_t offset)
{
	if (area == FZ_NO_AREA)
		return "NULL";
	if (offset)
		snprintf(text, size, "area %u + %u pages + %u", area, page,
			 offset);
	else
		snprintf(text, size, "area %u + %u pages", area, page);
	return text;
}

static const char *size_text(char *text, size_t size, uint64_t len)
{
	if (len % FZ_PAGE == 0 && len < FZ_SILLY)
		snprintf(text, size, "%llu pages",
			 (unsigned long long)(len / FZ_PAGE));
	else
		snprintf(text, size, "%#llx", (unsigned long long)len);
	return text;
}

static void print_map_call(FILE *f, const struct fz_call *call)
{
	char text[64];

	if (call->op == FZ_MREMAP) {
		fprintf(f, " to %s, flags %#x",
			size_text(text, sizeof(text), call->len2), call->flags);
		fprintf(f, ", at %s",
			place(text, sizeof(text), call->area2, call->page2,
			      call->offset2));
		return;
	}
	fprintf(f, ", prot %d, flags %#x, ", call->prot, call->flags);
	if (call->how == FZ_HOW_ANON)
		fprintf(f, "anonymous");
	else
		fprintf(f, "%s file at page %u",
			call->how == FZ_HOW_BAD_FD ? "no" : "a",
			call->file_page);
}

void fz_print_call(FILE *f, const struct fz_call *call)
{
	char at[64], len[64];

	fprintf(f, "  step %u: %s%s %s, %s", call->step, op_names[call->op],
		call->raw ? " by number" : "",
		place(at, sizeof(at), call->area, call->page, call->offset),
		size_text(len, sizeof(len), call->len));
	switch (call->op) {
	case FZ_MMAP:
	case FZ_MREMAP:
		print_map_call(f, call);
		break;
	case FZ_MPROTECT:
	case FZ_PKEY_MPROTECT:
		fprintf(f, ", prot %d", call->prot);
		break;
	case FZ_READ:
	case FZ_WRITE:
		fprintf(f, ", how %d, file page %u", call->how,
			call->file_page);
		break;
	case FZ_PROCESS_MADVISE:
		fprintf(f, ", %d, first %u pages", call->flags, call->page2);
		break;
	case FZ_READ_TOUCH:
	case FZ_WRITE_TOUCH:
	case FZ_FORK:
		break;
	default:
		fprintf(f, ", %d", call->flags);
	}
	fprintf(f, " = %#llx", (unsigned long long)call->ret);
	if (call->err)
		fprintf(f, " (%s)", strerrorname_np(call->err));
	fputc('\n', f);
}

/* --- differences ---------------------------------------------------------- */

static bool overlaps(uint32_t area, uint32_t from, uint64_t len, uint32_t id,
		     uint32_t page, uint32_t nr)
{
	uint64_t pages = len >= FZ_SILLY ? 1 : (len + 2 * FZ_PAGE) / FZ_PAGE;

	return area == id && from < page + nr && page < from + pages;
}

static bool concerns(const struct fz_call *call, const struct fz_area *a,
		     uint32_t page, uint32_t nr)
{
	if (call->op == FZ_FORK || 1000 + call->step == a->id)
		return true;
	return overlaps(call->area, call->page, call->len, a->id, page, nr) ||
	       overlaps(call->area2, call->page2, call->len2, a->id, page, nr);
}

static void print_history(FILE *f, struct fz_ctx *c, struct fz_area *a,
			  uint32_t page, uint32_t nr)
{
	const struct fz_call *found[HISTORY];
	int n = 0;

	for (uint64_t i = c->nr_calls; i > 0 && n < HISTORY; i--) {
		const struct fz_call *call = &c->ring[(i - 1) % FZ_RING];

		if (c->nr_calls - i >= FZ_RING)
			break;
		if (!a || concerns(call, a, page, nr))
			found[n++] = call;
	}
	fprintf(f, "the last %d calls there, oldest first:\n", n);
	while (n > 0)
		fz_print_call(f, found[--n]);
}

static void print_page(FILE *f, const struct fz_area *a, uint32_t page)
{
	static const char *const kinds[] = { "hole", "gone", "anonymous",
					     "private file", "shared file" };
	const struct fz_page *p = &a->page[page];

	fprintf(f,
		"model of page %u (%p): %s, prot %d, flags %#x, vma %u, "
		"tag %#llx, file page %u\n",
		page, (void *)(a->base + page * FZ_PAGE), kinds[p->kind],
		p->prot, p->flags, p->vma, (unsigned long long)p->tag,
		p->file_page);
}

/* Lines of /proc/self/maps that overlap the area's pages, with one around. */
static void print_maps(FILE *f, const struct fz_area *a, uint32_t page,
		       uint32_t nr)
{
	uintptr_t from = (uintptr_t)a->base + page * FZ_PAGE - FZ_PAGE;
	uintptr_t to = (uintptr_t)a->base + (page + nr) * FZ_PAGE + FZ_PAGE;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int shown = 0;

	while (maps && fgets(line, sizeof(line), maps) && shown < 12) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || start >= to ||
		    end <= from)
			continue;
		fprintf(f, "  %s", line);
		shown++;
	}
	if (maps)
		fclose(maps);
}

__attribute__((noreturn)) static void differ_end(void)
{
	fflush(NULL);
	_exit(1);
}

void fz_differ(struct fz_ctx *c, struct fz_area *a, uint32_t page, uint32_t nr,
	       const char *fmt, ...)
{
	static _Atomic int told;
	va_list ap;

	if (fz_run.quiet)
		differ_end();
	if (told++)
		for (;;)
			pause(); /* the first one ends the process */
	fprintf(stderr, "DIFFERENCE: seed %llu, thread %u, step %u%s: ",
		(unsigned long long)fz_run.seed, c->thread, c->step,
		c->depth ? ", in a child" : "");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (a) {
		if (page < a->nr)
			print_page(stderr, a, page);
		fprintf(stderr, "area %u: %u pages at %p; mapped there:\n",
			a->id, a->nr, (void *)a->base);
		print_maps(stderr, a, page, nr ? nr : 1);
	}
	print_history(stderr, c, a, page, nr ? nr : 1);
	differ_end();
}

static const char *err_text(int err)
{
	return err ? strerrorname_np(err) : "no error";
}

void fz_expect(struct fz_ctx *c, struct fz_call *call, int64_t ret, int err)
{
	uint32_t first, end;
	struct fz_area *a;

	if (call->ret == ret && call->err == err)
		return;
	a = fz_range(c, call, &first, &end);
	fz_differ(c, a, a ? first : 0, a ? end - first : 0,
		  "%s returned %lld (%s); %lld (%s) was expected",
		  op_names[call->op], (long long)call->ret, err_text(call->err),
		  (long long)ret, err_text(err));
}
