/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz_run.c - one step after the other, in parent and child.
 */
#include "vm_fuzz.h"

#include <sys/socket.h>

/* Steps between two looks at everything. */
#define CHECK_ALL_STEPS 1024
#define TICK_STEPS 256
#define CHILD_STEPS 400

__thread struct fz_ctx *fz_self;

/* --- ranges --------------------------------------------------------------- */

char *fz_addr(const struct fz_area *a, const struct fz_call *call)
{
	return a->base + call->page * FZ_PAGE + call->offset;
}

struct fz_area *fz_range(struct fz_ctx *c, const struct fz_call *call,
			 uint32_t *first, uint32_t *end)
{
	struct fz_area *a = fz_area_find(c, call->area);
	uint64_t bytes = call->offset + call->len;

	*first = *end = call->page;
	if (!a || call->page >= a->nr)
		return NULL;
	if (call->len < FZ_SILLY)
		*end += (uint32_t)((bytes + FZ_PAGE - 1) / FZ_PAGE);
	if (*end > a->nr)
		return NULL;
	for (uint32_t i = *first; i < *end; i++)
		if (a->page[i].kind == FZ_GONE)
			return NULL;
	return a->page[*first].kind == FZ_GONE ? NULL : a;
}

/* --- faults --------------------------------------------------------------- */

static void on_fault(int signo, siginfo_t *info, void *context)
{
	struct fz_ctx *c = fz_self;
	char *addr = info->si_addr;
	uint32_t page = 0;
	struct fz_area *a;

	(void)context;
	if (c->armed) {
		c->fault.signo = signo;
		c->fault.code = info->si_code;
		c->fault.addr = addr;
		siglongjmp(c->jump, 1);
	}
	a = fz_area_at(c, addr, &page);
	fz_differ(c, a, page, 1, "signal %d, code %d at %p, page %u", signo,
		  info->si_code, (void *)addr, page);
}

void fz_catch_faults(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_NODEFER };

	sa.sa_sigaction = on_fault;
	HS_T_CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
	HS_T_CHECK(sigaction(SIGBUS, &sa, NULL) == 0);
}

/* --- forks ---------------------------------------------------------------- */

static void open_files(struct fz_ctx *c)
{
	c->scratch_fd = memfd_create("scratch", MFD_CLOEXEC);
	HS_T_CHECK(c->scratch_fd >= 0);
	HS_T_CHECK(pipe2(c->pipe_fd, O_CLOEXEC) == 0);
	HS_T_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
			      c->socket_fd) == 0);
}

static void reap_child(struct fz_ctx *c)
{
	int status;

	if (!c->child)
		return;
	while (waitpid(c->child, &status, 0) < 0)
		HS_T_CHECK(errno == EINTR);
	c->child = 0;
	if (status)
		fz_differ(c, NULL, 0, 0, "the child ended with %s",
			  hs_t_status(status));
}

/* All of the child's memory is as it was, and then its own. */
static void run_child(struct fz_ctx *c, const struct fz_call *call)
{
	c->depth++;
	c->child = 0;
	c->rng.state = call->value;
	fz_run.tick_fd = -1;
	fz_run.trace = NULL;
	open_files(c);
	fz_run.self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	fz_model_fork(c);
	fz_check_all(c, false);
	fz_loop(c, CHILD_STEPS);
	fz_check_all(c, false);
	fflush(NULL);
	_exit(0);
}

static void do_fork(struct fz_ctx *c, struct fz_call *call)
{
	reap_child(c);
	c->child = fork();
	HS_T_CHECK(c->child >= 0);
	if (c->child == 0)
		run_child(c, call);
	fz_check_all(c, false);
}

/* --- steps ---------------------------------------------------------------- */

static bool left_out(const struct fz_call *call)
{
	unsigned int advice = (unsigned int)call->flags;

	if (fz_run.without >> call->op & 1)
		return true;
	return call->op == FZ_MADVISE && advice < 128 &&
	       (fz_run.without_advice[advice / 64] >> advice % 64 & 1);
}

static bool dispatch(struct fz_ctx *c, struct fz_call *call)
{
	if (left_out(call))
		return false;
	switch (call->op) {
	case FZ_READ_TOUCH:
	case FZ_WRITE_TOUCH:
		return fz_do_touch(c, call);
	case FZ_MMAP:
		return fz_do_mmap(c, call);
	case FZ_MUNMAP:
		return fz_do_munmap(c, call);
	case FZ_SHMAT:
		return fz_do_shmat(c, call);
	case FZ_MPROTECT:
	case FZ_PKEY_MPROTECT:
		return fz_do_mprotect(c, call);
	case FZ_MADVISE:
	case FZ_POSIX_MADVISE:
		return fz_do_madvise(c, call);
	case FZ_MREMAP:
		return fz_do_mremap(c, call);
	case FZ_PROCESS_MADVISE:
		return fz_do_process_madvise(c, call);
	case FZ_MINCORE:
		return fz_do_mincore(c, call);
	case FZ_MSYNC:
		return fz_do_msync(c, call);
	case FZ_MLOCK:
	case FZ_MLOCK2:
	case FZ_MUNLOCK:
		return fz_do_mlock(c, call);
	case FZ_MBIND:
		return fz_do_mbind(c, call);
	case FZ_REMAP_PAGES:
		return fz_do_remap_pages(c, call);
	case FZ_SET_MEMPOLICY:
	case FZ_LOCK_ALL:
	case FZ_LIMIT:
		return fz_do_process(c, call);
	case FZ_READ:
	case FZ_WRITE:
		return fz_do_io(c, call);
	default:
		do_fork(c, call);
		return true;
	}
}

static void check_at(struct fz_ctx *c, uint32_t area, int64_t page)
{
	struct fz_area *a = fz_area_find(c, area);

	if (a && page >= 0 && page < a->nr && fz_readable(&a->page[page]))
		fz_check_page(c, a, (uint32_t)page, false);
}

/* The first and last pages of what a call was about, and those next to them:
 * not always, for a look makes pages present. */
static void check_around(struct fz_ctx *c, const struct fz_call *call)
{
	uint64_t len = call->op == FZ_MREMAP ? call->len2 : call->len;
	int64_t end = call->page + (int64_t)(len / FZ_PAGE);

	if (call->step % 2 || len >= FZ_SILLY)
		return;
	check_at(c, call->area, (int64_t)call->page - 1);
	check_at(c, call->area, call->page);
	check_at(c, call->area, end - 1);
	check_at(c, call->area, end);
	check_at(c, call->area2, call->page2);
	check_at(c, call->area2, call->page2 + (end - 1 - call->page));
}

/* A call is in the history before it is done, and with its result after. */
bool fz_step(struct fz_ctx *c, struct fz_call *call)
{
	struct fz_call *kept = &c->ring[c->nr_calls % FZ_RING];

	*kept = *call;
	c->nr_calls++;
	if (fz_run.trace)
		fz_run.trace[(*fz_run.trace_nr)++] = *call;
	if (dispatch(c, kept)) {
		fz_run.done++;
		check_around(c, kept);
		return true;
	}
	c->nr_calls--;
	if (fz_run.trace)
		(*fz_run.trace_nr)--;
	return false;
}

static bool fork_now(struct fz_ctx *c)
{
	uint64_t every;

	if (!fz_run.forks || c->depth > 2)
		return false;
	every = fz_run.steps / fz_run.forks;
	return hs_t_below(&c->rng, every ? every : 1) == 0;
}

void fz_loop(struct fz_ctx *c, uint64_t steps)
{
	struct fz_call call;

	for (uint64_t i = 0; i < steps; i++) {
		c->step++;
		if (fork_now(c)) {
			memset(&call, 0, sizeof(call));
			call.op = FZ_FORK;
			call.step = c->step;
			call.value = hs_t_next(&c->rng);
			fz_step(c, &call);
		}
		for (int tries = 0; tries < 8; tries++) {
			fz_generate(c, &call);
			if (fz_step(c, &call))
				break;
		}
		if (c->step % CHECK_ALL_STEPS == 0)
			fz_check_all(c, false);
		if (fz_run.tick_fd >= 0 && c->step % TICK_STEPS == 0 &&
		    write(fz_run.tick_fd, "", 1) != 1)
			fz_run.tick_fd = -1;
	}
	reap_child(c);
}

void fz_begin(struct fz_ctx *c, uint32_t thread)
{
	c->thread = thread;
	c->rng.state = fz_run.seed ^ (uint64_t)thread << 32;
	/* Neighbouring seeds would make the same numbers, one later. */
	c->rng.state = hs_t_next(&c->rng) * 0xd1342543de82ef95ULL;
	open_files(c);
	fz_self = c;
}

void fz_end(struct fz_ctx *c)
{
	reap_child(c);
	fz_check_all(c, true);
	fz_reveal_all(c);
	fz_check_all(c, false);
}
