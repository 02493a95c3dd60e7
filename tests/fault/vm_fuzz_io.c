/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_io.c - loads and stores, and the kernel's in read(2) and write(2).
 */
#include "vm_fuzz.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* --- touches -------------------------------------------------------------- */

/* What an access to the page gives: 0, or a signal and its code. */
static void predict(const struct fz_page *p, bool write, struct fz_fault *f)
{
	memset(f, 0, sizeof(*f));
	f->signo = SIGSEGV;
	if (!fz_mapped(p)) {
		f->code = SEGV_MAPERR;
	} else if (write ? !(p->prot & PROT_WRITE) : p->prot == PROT_NONE) {
		f->code = SEGV_ACCERR;
	} else if (p->flags & FZ_GUARD) {
		f->code = SEGV_MAPERR;
	} else if (fz_past_end(p)) {
		f->signo = SIGBUS;
		f->code = BUS_ADRERR;
	} else {
		f->signo = 0;
	}
}

/* Writes @tag in its place and clears the old one's. */
static void store(char *addr, uint64_t old, uint64_t tag)
{
	volatile uint64_t *word = (volatile uint64_t *)addr;

	word[fz_tag_word(tag)] = tag;
	if (old && fz_tag_word(old) != fz_tag_word(tag))
		word[fz_tag_word(old)] = 0;
}

static void access_page(struct fz_ctx *c, char *addr, bool write, uint64_t old,
			uint64_t tag, uint32_t word)
{
	c->fault.signo = 0;
	c->armed = true;
	if (sigsetjmp(c->jump, 0) == 0) {
		if (write)
			store(addr, old, tag);
		else
			(void)((volatile uint64_t *)addr)[word];
	}
	c->armed = false;
}

static void touch(struct fz_ctx *c, struct fz_area *a, uint32_t page,
		  bool write, uint64_t random)
{
	struct fz_page *p = &a->page[page];
	char *addr = a->base + page * FZ_PAGE;
	uint64_t old = fz_readable(p) ? fz_content(p) : 0;
	uint64_t tag = fz_tag_make(random, random % FZ_WORDS);
	uint32_t word = write ? fz_tag_word(tag) : random % FZ_WORDS;
	struct fz_fault want;
	char *at = addr + word * 8;

	predict(p, write, &want);
	access_page(c, addr, write, old, tag, word);
	if (c->fault.signo != want.signo ||
	    (want.signo && c->fault.code != want.code) ||
	    (want.signo && c->fault.addr != at))
		fz_differ(c, a, page, 1,
			  "%s page %u at %p: signal %d, code %d, address %p; "
			  "signal %d, code %d was expected",
			  write ? "writing" : "reading", page, (void *)at,
			  c->fault.signo, c->fault.code, (void *)c->fault.addr,
			  want.signo, want.code);
	if (want.signo)
		return;
	if (write)
		fz_set(p, tag);
	fz_check_page(c, a, page, random % 64 == 0);
}

/* A handful of faults is enough: each takes as long as ten touches. */
bool fz_do_touch(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end, faults = 0;
	struct fz_area *a = fz_range(c, call, &first, &end);
	bool write = call->op == FZ_WRITE_TOUCH;
	struct hs_t_rng rng = { call->value };

	if (!a || call->len >= FZ_SILLY)
		return false;
	for (uint32_t i = first; i < end && faults < 4; i++) {
		struct fz_page *p = &a->page[i];

		faults += !(write ? fz_writable(p) : fz_readable(p));
		touch(c, a, i, write, hs_t_next(&rng));
	}
	return true;
}

/* --- read(2) into pages --------------------------------------------------- */

/* Bytes [from, to) of a page: does the word lie in it (1), outside (0), or
 * across its end (-1)? */
static int word_in(uint64_t tag, uint64_t from, uint64_t to)
{
	uint64_t at = fz_tag_word(tag) * 8;

	if (at >= from && at + 8 <= to)
		return 1;
	return at + 8 <= from || at >= to ? 0 : -1;
}

/* What bytes [from, to) of a page with tag @new make of a page with tag @old;
 * false if that would be two tags, or half of one. */
static bool mix(uint64_t old, uint64_t new, uint64_t from, uint64_t to,
		uint64_t *tag)
{
	int has_new = word_in(new, from, to);
	int has_old = old ? word_in(old, from, to) : 1;

	if (has_new < 0 || has_old < 0 || (has_new && !has_old))
		return false;
	if (has_new)
		*tag = new;
	else
		*tag = has_old ? 0 : old;
	return true;
}

struct piece {
	uint64_t from, to; /* bytes of a page */
};

static struct piece piece_of(const struct fz_call *call, uint32_t page)
{
	uint64_t start = call->offset, end = call->offset + call->len;
	uint64_t base = (page - call->page) * FZ_PAGE;
	struct piece p = { 0, FZ_PAGE };

	if (start > base)
		p.from = start - base;
	if (end < base + FZ_PAGE)
		p.to = end - base;
	return p;
}

static uint64_t source_tag(const struct fz_call *call, uint32_t page)
{
	return fz_file_tag(call->file_page + page - call->page);
}

/* Bytes that can be transferred, and whether the model can say the result. */
static bool measure(const struct fz_call *call, const struct fz_area *a,
		    uint32_t first, uint32_t end, int64_t *bytes)
{
	bool in = call->op == FZ_READ;
	int64_t n = 0;

	for (uint32_t i = first; i < end; i++) {
		const struct fz_page *p = &a->page[i];
		struct piece part = piece_of(call, i);
		uint64_t tag;

		if (!(in ? fz_writable(p) : fz_readable(p)))
			break;
		/* What the processor lets a program read, and the kernel
		 * another process not. */
		if (call->how == FZ_HOW_REMOTE && !(p->prot & PROT_READ))
			return false;
		if (in && !mix(fz_content(p), source_tag(call, i), part.from,
			       part.to, &tag))
			return false;
		n += (int64_t)(part.to - part.from);
	}
	*bytes = n;
	return true;
}

static void apply_read(const struct fz_call *call, struct fz_area *a,
		       uint32_t first, int64_t bytes)
{
	for (uint32_t i = first; bytes > 0; i++) {
		struct fz_page *p = &a->page[i];
		struct piece part = piece_of(call, i);
		bool lazy = p->flags & FZ_LAZY;
		uint64_t old = fz_content(p), tag = 0;

		mix(old, source_tag(call, i), part.from, part.to, &tag);
		fz_set(p, tag);
		/* What was not written of a freed page may be zeros. */
		if (lazy && tag == old && old)
			p->flags |= FZ_LAZY;
		bytes -= (int64_t)(part.to - part.from);
	}
}

/* The buffer's bytes, by what delivers all of them or nothing. */
static long deliver(struct fz_ctx *c, const struct fz_call *call, char *addr)
{
	struct iovec there = { addr, call->len };
	struct iovec here = { c->buffer, call->len };

	switch (call->how) {
	case FZ_HOW_PIPE:
		HS_T_CHECK(write(c->pipe_fd[1], c->buffer, call->len) ==
			   (ssize_t)call->len);
		return read(c->pipe_fd[0], addr, call->len);
	case FZ_HOW_DATAGRAM:
		HS_T_CHECK(send(c->socket_fd[1], c->buffer, call->len, 0) ==
			   (ssize_t)call->len);
		return recv(c->socket_fd[0], addr, call->len, 0);
	case FZ_HOW_LOCAL:
		return process_vm_readv(getpid(), &there, 1, &here, 1, 0);
	default:
		return process_vm_writev(getpid(), &here, 1, &there, 1, 0);
	}
}

/* To the buffer. */
static long fetch(struct fz_ctx *c, const struct fz_call *call, char *addr)
{
	struct iovec there = { addr, call->len };
	struct iovec here = { c->buffer, call->len };
	long n;

	switch (call->how) {
	case FZ_HOW_PIPE:
		n = write(c->pipe_fd[1], addr, call->len);
		return n < 0 ? n : read(c->pipe_fd[0], c->buffer, (size_t)n);
	case FZ_HOW_DATAGRAM:
		n = send(c->socket_fd[1], addr, call->len, 0);
		return n < 0 ? n
			     : recv(c->socket_fd[0], c->buffer, (size_t)n, 0);
	case FZ_HOW_LOCAL:
		return process_vm_writev(getpid(), &there, 1, &here, 1, 0);
	default:
		return process_vm_readv(getpid(), &here, 1, &there, 1, 0);
	}
}

/* The source is a file, or its bytes by something else. */
static long read_by(struct fz_ctx *c, const struct fz_call *call, char *addr)
{
	off_t at = (off_t)(call->file_page * FZ_PAGE + call->offset);
	struct iovec iov[2] = {
		{ addr, call->len / 3 },
		{ addr + call->len / 3, call->len - call->len / 3 },
	};

	if (call->how >= FZ_HOW_PIPE) {
		HS_T_CHECK(pread(fz_run.file_fd, c->buffer, call->len, at) ==
			   (ssize_t)call->len);
		return deliver(c, call, addr);
	}
	switch (call->how) {
	case FZ_HOW_AT:
		return pread(fz_run.file_fd, addr, call->len, at);
	case FZ_HOW_VECTOR:
		return preadv(fz_run.file_fd, iov, 2, at);
	default:
		/* The position is the context's own only in its own file. */
		HS_T_CHECK(pread(fz_run.file_fd, c->buffer, call->len, at) ==
			   (ssize_t)call->len);
		HS_T_CHECK(pwrite(c->scratch_fd, c->buffer, call->len, 0) ==
			   (ssize_t)call->len);
		lseek(c->scratch_fd, 0, SEEK_SET);
		return read(c->scratch_fd, addr, call->len);
	}
}

/* --- write(2) from pages -------------------------------------------------- */

static long write_by(struct fz_ctx *c, const struct fz_call *call, char *addr)
{
	struct iovec iov[2] = {
		{ addr, call->len / 3 },
		{ addr + call->len / 3, call->len - call->len / 3 },
	};

	if (call->how >= FZ_HOW_PIPE)
		return fetch(c, call, addr);
	switch (call->how) {
	case FZ_HOW_VECTOR:
		return pwritev(c->scratch_fd, iov, 2, 0);
	case FZ_HOW_PLAIN:
		lseek(c->scratch_fd, 0, SEEK_SET);
		return write(c->scratch_fd, addr, call->len);
	default:
		return pwrite(c->scratch_fd, addr, call->len, 0);
	}
}

static bool as_expected(uint64_t tag, struct piece part, const char *got)
{
	static __thread char image[FZ_PAGE];
	bool same;

	if (tag)
		memcpy(image + fz_tag_word(tag) * 8, &tag, 8);
	same = memcmp(image + part.from, got, part.to - part.from) == 0;
	if (tag)
		memset(image + fz_tag_word(tag) * 8, 0, 8);
	return same;
}

/* The bytes of one page that were written, at @got. */
static void check_piece(struct fz_ctx *c, struct fz_area *a, uint32_t page,
			struct piece part, const char *got)
{
	struct fz_page *p = &a->page[page];
	uint64_t tag = fz_content(p);

	if (as_expected(tag, part, got))
		return;
	for (uint64_t i = part.from; i < part.to; i++) {
		uint64_t at = tag ? fz_tag_word(tag) * 8 : FZ_PAGE;
		char want = 0;

		if (i >= at && i < at + 8)
			memcpy(&want, (const char *)&tag + (i - at), 1);
		if (got[i - part.from] == want ||
		    ((p->flags & FZ_LAZY) && got[i - part.from] == 0))
			continue;
		fz_differ(c, a, page, 1,
			  "write from page %u: byte %llu is %#x; "
			  "%#x was expected",
			  page, (unsigned long long)i,
			  (unsigned char)got[i - part.from],
			  (unsigned char)want);
	}
}

/* Reading makes what is not there be there. */
static void apply_written(struct fz_area *a, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++)
		a->page[i].flags |= FZ_MAYBE;
}

static void check_written(struct fz_ctx *c, const struct fz_call *call,
			  struct fz_area *a, uint32_t first, int64_t bytes)
{
	const char *got = c->buffer;

	if (call->how < FZ_HOW_PIPE)
		HS_T_CHECK(pread(c->scratch_fd, c->buffer, (size_t)bytes, 0) ==
			   bytes);
	for (uint32_t i = first; bytes > 0; i++) {
		struct piece part = piece_of(call, i);

		check_piece(c, a, i, part, got);
		got += part.to - part.from;
		bytes -= (int64_t)(part.to - part.from);
	}
}

bool fz_do_io(struct fz_ctx *c, struct fz_call *call)
{
	uint32_t first, end;
	struct fz_area *a = fz_range(c, call, &first, &end);
	bool in = call->op == FZ_READ;
	int64_t bytes;

	if (!a || call->len > sizeof(c->buffer) ||
	    call->file_page + end - first > FZ_FILE_PAGES ||
	    !measure(call, a, first, end, &bytes))
		return false;
	/* These lose what they cannot deliver, or deliver a part. */
	if (call->how >= FZ_HOW_PIPE &&
	    (bytes < (int64_t)call->len || call->len > 16 * FZ_PAGE))
		return false;
	errno = 0;
	call->ret = in ? read_by(c, call, fz_addr(a, call))
		       : write_by(c, call, fz_addr(a, call));
	call->err = call->ret == -1 ? errno : 0;
	if (call->len && !bytes)
		fz_expect(c, call, -1, EFAULT);
	else
		fz_expect(c, call, bytes, 0);
	apply_written(a, first, end);
	if (in)
		apply_read(call, a, first, bytes);
	else
		check_written(c, call, a, first, bytes);
	return true;
}
