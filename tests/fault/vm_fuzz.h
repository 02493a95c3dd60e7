/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz.h - random calls of the mmap family against a shadow model.
 *
 * Purpose: every call's return value and errno, every page's contents and
 * every fault must be those of base pages.  The model is checked by running the
 * same program without the library; under the library it then is the judge.
 *
 * A *context* is one thread's part of the address space: *areas*, each an
 * address range with a record per base page.  Nobody else maps anything there.
 * A page holds zeros but for one word, its *tag*, whose upper bits say where in
 * the page it is: so that contents cost eight bytes in the model and still show
 * a page that went elsewhere, came back or turned to zeros.
 *
 * A step is a struct fz_call, which says all about it in terms of areas and
 * pages: it can be done again without the random numbers that made it.
 *
 * Owner: a context belongs to one thread; what is shared is read-only after the
 * start.  No locks.  All memory is static: the model must not lie on memory
 * that is tested.
 */
#ifndef VM_FUZZ_H
#define VM_FUZZ_H

#include "tests/lib/hs_test.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define FZ_PAGE 4096UL
#define FZ_SLOT 512 /* pages of a huge page, as far as the generator cares */
#define FZ_WORDS 512 /* of a page */

#define FZ_FILE_PAGES 1024
#define FZ_IO_PAGES 640
#define FZ_MAX_THREADS 8
#define FZ_WINDOW_PAGES 16384 /* of all windows of all threads */
#define FZ_MAX_WINDOWS 64 /* of one thread */
#define FZ_MAX_DYNAMIC 12 /* areas whose address was the kernel's choice */
#define FZ_DYNAMIC_PAGES 3072 /* at most, of one of them */
#define FZ_MAX_AREAS (FZ_MAX_WINDOWS + FZ_MAX_DYNAMIC)
#define FZ_RING 8192 /* calls that are remembered for the report */

/* Lengths from here on wrap around or exceed any address space. */
#define FZ_SILLY (1ULL << 48)

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

/* --- the model ------------------------------------------------------------ */

enum fz_kind {
	FZ_HOLE, /* unmapped, and nobody else's */
	FZ_GONE, /* unmapped, perhaps somebody else's by now: out of bounds */
	FZ_ANON,
	FZ_PRIVATE, /* of the file */
	FZ_SHARED, /* of the file, opened for reading only */
};

enum fz_flag {
	FZ_COPY = 1, /* FZ_PRIVATE: has contents of its own */
	FZ_LAZY = 2, /* MADV_FREE: the tag, or zeros from some moment on */
	FZ_LOCKED = 4,
	FZ_ONFAULT = 8,
	FZ_WIPE = 16,
	FZ_DONTFORK = 32,
	FZ_GUARD = 64,
	FZ_WRITTEN = 128, /* is resident */
	FZ_MAYBE = 256, /* may be resident: read or populated */
	FZ_THP = 512, /* so may be its neighbours: MADV_HUGEPAGE */
	FZ_SEGMENT = 1024, /* FZ_SHARED: of shmat */
};

/* What the kernel keeps per mapping, not per page of memory. */
#define FZ_VMA_FLAGS (FZ_LOCKED | FZ_ONFAULT | FZ_WIPE | FZ_DONTFORK)


struct fz_page {
	uint64_t tag;
	/* Neighbours with the same number are of one mapping of the kernel's
	 * (VMA) for sure; with different ones, they may be merged or not. */
	uint32_t vma;
	uint16_t file_page;
	uint16_t flags;
	uint8_t kind;
	uint8_t prot;
	/* Where the last tag was that is not to be there any more: what went
	 * wrong would show there first. */
	uint16_t was;
};

struct fz_area {
	uint32_t id;
	uint32_t nr; /* pages; 0: not in use */
	uint32_t phase; /* the first page's place in its huge page */
	bool window; /* lives for the whole run, at a known place */
	bool keep; /* what is unmapped here stays ours */
	char *base;
	struct fz_page *page;
};

/* --- calls ---------------------------------------------------------------- */

enum fz_op {
	FZ_READ_TOUCH,
	FZ_WRITE_TOUCH,
	FZ_MMAP,
	FZ_MUNMAP,
	FZ_MPROTECT,
	FZ_PKEY_MPROTECT,
	FZ_MADVISE,
	FZ_POSIX_MADVISE,
	FZ_PROCESS_MADVISE,
	FZ_MREMAP,
	FZ_MINCORE,
	FZ_MSYNC,
	FZ_MLOCK,
	FZ_MLOCK2,
	FZ_MUNLOCK,
	FZ_MBIND,
	FZ_SET_MEMPOLICY,
	FZ_SHMAT,
	FZ_REMAP_PAGES,
	FZ_LOCK_ALL, /* this and the next: of a child only */
	FZ_LIMIT,
	FZ_READ,
	FZ_WRITE,
	FZ_FORK,
	FZ_NR_OPS,
};

#define FZ_NO_AREA UINT32_MAX

/* How FZ_MMAP maps: fz_call.how */
enum { FZ_HOW_ANON, FZ_HOW_PRIVATE, FZ_HOW_SHARED, FZ_HOW_BAD_FD };
/* How FZ_READ and FZ_WRITE transfer. */
enum {
	FZ_HOW_AT,
	FZ_HOW_PLAIN,
	FZ_HOW_VECTOR,
	/* All of it or nothing, from here on. */
	FZ_HOW_PIPE,
	FZ_HOW_DATAGRAM,
	FZ_HOW_LOCAL, /* process_vm_readv, of itself: the near side */
	FZ_HOW_REMOTE, /* the far side */
	FZ_NR_HOW_IO
};

struct fz_call {
	uint32_t step;
	uint8_t op;
	uint8_t how;
	uint16_t file_page;
	uint32_t area; /* its id, or FZ_NO_AREA: address 0 */
	uint32_t page;
	uint32_t area2; /* where to, of mremap */
	uint32_t page2;
	uint32_t offset; /* bytes, of the address in its page */
	uint32_t offset2; /* the same of the second address */
	int32_t prot;
	int32_t flags; /* or the advice, or the mode */
	uint64_t len; /* bytes */
	uint64_t len2;
	uint64_t value; /* seed of what is written */
	int64_t ret; /* what it gave: filled in when it is done */
	int32_t err;
	uint32_t raw; /* by syscall() and its number */
};

struct fz_fault {
	int signo; /* 0: none */
	int code;
	char *addr;
};

/* --- a context ------------------------------------------------------------ */

struct fz_ctx {
	struct hs_t_rng rng;
	uint32_t thread;
	uint32_t step;
	uint32_t vmas; /* the last number given */
	uint32_t depth; /* of forks */
	uint64_t nr_replayed;
	struct fz_area area[FZ_MAX_AREAS];
	struct fz_page dynamic[FZ_MAX_DYNAMIC][FZ_DYNAMIC_PAGES];
	uint32_t recent_area, recent_page;

	sigjmp_buf jump;
	volatile bool armed;
	volatile struct fz_fault fault;

	struct fz_call ring[FZ_RING];
	uint64_t nr_calls; /* in the ring, and before */
	int scratch_fd;
	int pipe_fd[2];
	int socket_fd[2];
	char buffer[FZ_IO_PAGES * FZ_PAGE];
	unsigned char vec[FZ_WINDOW_PAGES];
	pid_t child;
};

/* What is the same for all: set at the start. */
struct fz_run {
	uint64_t seed;
	uint64_t steps;
	unsigned int threads;
	unsigned int forks; /* about, of the whole run */
	bool quiet;
	uint64_t without; /* bits of fz_op that are left out */
	uint64_t without_advice[2];
	bool shim; /* under the library */
	bool null_calls; /* the kernel may be asked for an address */
	int file_fd; /* FZ_FILE_PAGES with tags */
	int shared_fd; /* the same, for reading only */
	int shm_id; /* the same, or -1 */
	int self_fd; /* this process, for process_madvise */
	int tick_fd; /* a byte a few hundred steps, or -1 */
	/* What this kernel does: asked at the start. */
	bool has_guard;
	bool has_ksm;
	bool has_thp;
	bool has_swap; /* or MADV_WILLNEED refuses anonymous memory */
	bool has_mbind;
	bool has_mlock; /* of any amount */
	bool has_self_advice; /* process_madvise of any kind on itself */
	bool exact_mincore; /* no swap, no huge pages unasked */
	bool moves_many; /* mremap moves several mappings at once */
	bool populate_stops; /* MADV_POPULATE_READ ends at the first hole */
	struct fz_call *trace; /* every call goes here too, or NULL */
	uint64_t *trace_nr;
	_Atomic uint64_t done; /* steps that were not left out */
};

extern struct fz_run fz_run;
extern struct fz_ctx fz_ctxs[FZ_MAX_THREADS];
extern __thread struct fz_ctx *fz_self;

/* Differences that are allowed, each with its reason: vm_fuzz_report.c. */
enum fz_allowed { FZ_ALLOW_MINCORE, FZ_ALLOW_MREMAP, FZ_NR_ALLOWED };

/* --- vm_fuzz_model.c ------------------------------------------------------ */

struct fz_area *fz_area_find(struct fz_ctx *c, uint32_t id);
/* The area and page of an address, or NULL. */
struct fz_area *fz_area_at(struct fz_ctx *c, const char *addr, uint32_t *page);
/* A new area for a mapping whose address was the kernel's choice; its pages
 * must not be mapped by the model.  NULL: it was told as a difference. */
struct fz_area *fz_area_add(struct fz_ctx *c, char *base, uint32_t nr);
/* Whatever is at [base, base + nr pages) belongs to somebody else now. */
void fz_area_claim(struct fz_ctx *c, char *base, uint32_t nr);
/* Forget areas of which nothing is left. */
void fz_area_reap(struct fz_area *a);
uint32_t fz_dynamic_free(struct fz_ctx *c);

bool fz_mapped(const struct fz_page *p);
/* Reading it faults with SIGBUS. */
bool fz_past_end(const struct fz_page *p);
bool fz_readable(const struct fz_page *p);
bool fz_writable(const struct fz_page *p);
uint64_t fz_content(const struct fz_page *p);
uint64_t fz_file_tag(uint32_t file_page);
uint32_t fz_tag_word(uint64_t tag);
uint64_t fz_tag_make(uint64_t random, uint32_t word);

void fz_unmap(struct fz_area *a, uint32_t page, uint32_t nr);
/* Nothing is known of it but where its last tag was. */
void fz_clear(struct fz_page *p);
void fz_discard(struct fz_page *p);
void fz_set(struct fz_page *p, uint64_t tag);
/* A number for pages that are split off now. */
uint32_t fz_vma_next(struct fz_ctx *c);
/* [page, page + nr) got something that is its own: it is split off. */
void fz_vma_split(struct fz_ctx *c, struct fz_area *a, uint32_t page,
		  uint32_t nr);

/* Contents of one readable page; a difference ends the run. */
void fz_check_page(struct fz_ctx *c, struct fz_area *a, uint32_t page,
		   bool full);
/* Of every readable page. */
void fz_check_all(struct fz_ctx *c, bool full);
/* Make every page readable that is PROT_NONE. */
void fz_reveal_all(struct fz_ctx *c);
/* The model as the child of a fork has it. */
void fz_model_fork(struct fz_ctx *c);

/* --- vm_fuzz_gen.c -------------------------------------------------------- */

void fz_generate(struct fz_ctx *c, struct fz_call *call);

/* --- vm_fuzz_map.c, vm_fuzz_attr.c, vm_fuzz_io.c -------------------------- */

/* Of syscall(): a whole register. */
#define FZ_ARG(x) ((long)(x))

/* Each does the call, compares and brings the model up to date.  False: the
 * call does not fit the model's state and was left out. */
bool fz_do_mmap(struct fz_ctx *c, struct fz_call *call);
bool fz_do_munmap(struct fz_ctx *c, struct fz_call *call);
bool fz_do_mremap(struct fz_ctx *c, struct fz_call *call);
bool fz_do_shmat(struct fz_ctx *c, struct fz_call *call);
bool fz_do_mprotect(struct fz_ctx *c, struct fz_call *call);
bool fz_do_madvise(struct fz_ctx *c, struct fz_call *call);
bool fz_do_process_madvise(struct fz_ctx *c, struct fz_call *call);
bool fz_do_mincore(struct fz_ctx *c, struct fz_call *call);
bool fz_do_msync(struct fz_ctx *c, struct fz_call *call);
bool fz_do_mlock(struct fz_ctx *c, struct fz_call *call);
bool fz_do_mbind(struct fz_ctx *c, struct fz_call *call);
bool fz_do_remap_pages(struct fz_ctx *c, struct fz_call *call);
/* Of the whole process. */
bool fz_do_process(struct fz_ctx *c, struct fz_call *call);
bool fz_do_touch(struct fz_ctx *c, struct fz_call *call);
bool fz_do_io(struct fz_ctx *c, struct fz_call *call);

/* --- vm_fuzz_run.c -------------------------------------------------------- */

/* The range of a call: the area, and pages [*first, *end) that its bytes
 * touch.  NULL: it is not the model's. */
struct fz_area *fz_range(struct fz_ctx *c, const struct fz_call *call,
			 uint32_t *first, uint32_t *end);
char *fz_addr(const struct fz_area *a, const struct fz_call *call);
/* False: the call was left out, as it does not fit the model's state. */
bool fz_step(struct fz_ctx *c, struct fz_call *call);
void fz_loop(struct fz_ctx *c, uint64_t steps);
/* Around all steps of a context, in its own thread. */
void fz_begin(struct fz_ctx *c, uint32_t thread);
void fz_end(struct fz_ctx *c);
void fz_catch_faults(void);

/* --- vm_fuzz_report.c ----------------------------------------------------- */

/* Says what differs, with the history of @a's [page, page + nr); exit 1. */
__attribute__((noreturn, format(printf, 5, 6))) void
fz_differ(struct fz_ctx *c, struct fz_area *a, uint32_t page, uint32_t nr,
	  const char *fmt, ...);
/* Return value and errno of @call; differs -> exit 1. */
void fz_expect(struct fz_ctx *c, struct fz_call *call, int64_t ret, int err);
void fz_allow(enum fz_allowed what);
/* The call of that name, or -1. */
int fz_op_of(const char *name);
void fz_print_call(FILE *f, const struct fz_call *call);
void fz_print_allowed(void);

#endif
