/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_fuzz.c - the mmap family against a model, at base-page granularity.
 *
 *   vm_fuzz --seed 7 --steps 20000              the model against the kernel
 *   LD_PRELOAD=libhugeshim.so vm_fuzz --seed 7  the library against the model
 *   vm_fuzz --seed 7 --without mbind --without 4   leave these out
 *   vm_fuzz --seed 7 --minimise                 which steps does it take?
 *
 * Exit status 1 and a report on the first difference.  With one thread the same
 * seed makes the same calls.
 */
#include "vm_fuzz.h"

#include <getopt.h>
#include <pthread.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <time.h>

/* Far from where the kernel, the library and others place anything. */
#define PLACE 0x1000000000UL
#define PLACE_STEP 0x1000000000UL

struct fz_run fz_run = {
	.seed = 1,
	.steps = 20000,
	.threads = 1,
	.null_calls = true,
	.exact_mincore = true,
	.tick_fd = -1,
};
struct fz_ctx fz_ctxs[FZ_MAX_THREADS];

static struct fz_page window_pages[FZ_WINDOW_PAGES];
static pthread_barrier_t start_line;

/* --- what this kernel does ------------------------------------------------ */

static void make_files(void)
{
	static uint64_t page[FZ_WORDS];
	char path[64];

	fz_run.file_fd = memfd_create("pages", MFD_CLOEXEC);
	HS_T_CHECK(fz_run.file_fd >= 0);
	for (uint32_t i = 0; i < FZ_FILE_PAGES; i++) {
		uint64_t tag = fz_file_tag(i);

		page[fz_tag_word(tag)] = tag;
		HS_T_CHECK(write(fz_run.file_fd, page, FZ_PAGE) == FZ_PAGE);
		page[fz_tag_word(tag)] = 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fz_run.file_fd);
	fz_run.shared_fd = open(path, O_RDONLY | O_CLOEXEC);
	HS_T_CHECK(fz_run.shared_fd >= 0);
}

/* It lives as long as it is attached here or in a child. */
static void make_segment(void)
{
	size_t len = FZ_FILE_PAGES * FZ_PAGE;
	char *p;

	fz_run.shm_id = shmget(IPC_PRIVATE, len, 0600);
	if (fz_run.shm_id < 0)
		return;
	p = shmat(fz_run.shm_id, NULL, 0);
	HS_T_CHECK(p != (char *)-1);
	HS_T_CHECK(shmctl(fz_run.shm_id, IPC_RMID, NULL) == 0);
	HS_T_CHECK(pread(fz_run.file_fd, p, len, 0) == (ssize_t)len);
}

static char *two_pages(int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	char *p = mmap(NULL, 2 * FZ_PAGE, PROT_READ, flags, fd, 0);

	HS_T_CHECK(p != MAP_FAILED);
	return p;
}

/* Linux 6.17 moves several mappings by one call. */
static bool asks_moves_many(void)
{
	char *from = two_pages(-1), *to = two_pages(-1);
	bool yes;

	HS_T_CHECK(mprotect(from, FZ_PAGE, PROT_NONE) == 0);
	yes = mremap(from, 2 * FZ_PAGE, 2 * FZ_PAGE,
		     MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
	if (!yes)
		munmap(from, 2 * FZ_PAGE);
	munmap(to, 2 * FZ_PAGE);
	return yes;
}

/* A hole, and behind it what cannot be read: of which does it tell? */
static bool asks_populate_stops(void)
{
	char *q = mmap(NULL, 3 * FZ_PAGE, PROT_READ,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	HS_T_CHECK(q != MAP_FAILED);
	munmap(q + FZ_PAGE, FZ_PAGE);
	HS_T_CHECK(mprotect(q + 2 * FZ_PAGE, FZ_PAGE, PROT_NONE) == 0);
	err = madvise(q, 3 * FZ_PAGE, MADV_POPULATE_READ) ? errno : 0;
	munmap(q, 3 * FZ_PAGE);
	return err == ENOMEM;
}

/* Linux 6.13; older ones know a few kinds of advice only. */
static bool asks_self_advice(char *page)
{
	struct iovec iov = { page, FZ_PAGE };

	fz_run.self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return process_madvise(fz_run.self_fd, &iov, 1, MADV_DONTNEED, 0) ==
	       (ssize_t)FZ_PAGE;
}

static void ask_kernel(void)
{
	char *p = two_pages(-1), *q = two_pages(fz_run.shared_fd);
	const char *thp = hs_t_slurp("/sys/kernel/mm/transparent_hugepage/"
				     "enabled");

	fz_run.shim = hs_t_under_shim();
	if (thp && strstr(thp, "[always]"))
		fz_run.exact_mincore = false;
	if (hs_t_field("/proc/meminfo", "SwapTotal", false) > 0)
		fz_run.exact_mincore = false;
	fz_run.has_thp = madvise(p, FZ_PAGE, MADV_HUGEPAGE) == 0;
	fz_run.has_ksm = madvise(p, FZ_PAGE, MADV_MERGEABLE) == 0;
	fz_run.has_guard = madvise(q, FZ_PAGE, MADV_GUARD_INSTALL) == 0;
	fz_run.has_swap = madvise(p, FZ_PAGE, MADV_WILLNEED) == 0;
	fz_run.has_mbind =
		syscall(SYS_mbind, p, FZ_PAGE, 0, NULL, 0UL, 0UL) == 0;
	fz_run.has_self_advice = asks_self_advice(p);
	fz_run.has_mlock = geteuid() == 0 && mlock(p, FZ_PAGE) == 0;
	munmap(p, 2 * FZ_PAGE);
	munmap(q, 2 * FZ_PAGE);
	fz_run.moves_many = asks_moves_many();
	fz_run.populate_stops = asks_populate_stops();
}

/* --- address space -------------------------------------------------------- */

/* An address with nothing at and around it. */
static char *free_place(uint32_t nr)
{
	static uintptr_t next = PLACE;
	size_t len = (nr + 2 * FZ_SLOT) * FZ_PAGE;

	for (int i = 0; i < 100; i++) {
		char *at = (char *)next;
		void *p = mmap(at, len, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				       MAP_FIXED_NOREPLACE,
			       -1, 0);

		next += PLACE_STEP;
		if (p == MAP_FAILED)
			continue;
		munmap(p, len);
		if (p == at)
			return at + FZ_SLOT * FZ_PAGE;
	}
	HS_T_CHECK(false, "no place in the address space");
	return NULL;
}

static struct fz_area *add_window(struct fz_ctx *c, char *base, uint32_t nr)
{
	static uint32_t used;

	for (uint32_t i = 0; i < FZ_MAX_WINDOWS; i++) {
		struct fz_area *a = &c->area[i];

		if (a->nr)
			continue;
		HS_T_CHECK(used + nr <= FZ_WINDOW_PAGES);
		a->id = i + 1;
		a->nr = nr;
		a->phase = (uint32_t)((uintptr_t)base / FZ_PAGE % FZ_SLOT);
		a->window = a->keep = true;
		a->base = base;
		a->page = window_pages + used;
		used += nr;
		return a;
	}
	abort();
}

static void first_map(struct fz_ctx *c, uint32_t area, uint32_t page,
		      uint32_t nr, int prot, int flags)
{
	struct fz_call call = {
		.step = ++c->step,
		.op = FZ_MMAP,
		.area = area,
		.page = page,
		.area2 = FZ_NO_AREA,
		.prot = prot,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | flags,
		.len = nr * FZ_PAGE,
	};

	fz_step(c, &call);
}

/* One thread: a mapping at a hint, a reservation that is committed piece by
 * piece, and two mappings where the kernel likes. */
static void lay_out_one(struct fz_ctx *c)
{
	uint32_t phase = (uint32_t)hs_t_below(&c->rng, FZ_SLOT);
	char *base = free_place(4608) + phase * FZ_PAGE;

	add_window(c, base, 4096);
	add_window(c, free_place(4096), 4096);
}

static void map_one(struct fz_ctx *c)
{
	first_map(c, 1, 8, 4000, PROT_READ | PROT_WRITE, 0);
	first_map(c, 2, 0, 4096, PROT_NONE, MAP_NORESERVE);
	first_map(c, FZ_NO_AREA, 0, 2600, PROT_READ | PROT_WRITE, 0);
	first_map(c, FZ_NO_AREA, 0, 3 * FZ_SLOT, PROT_READ | PROT_WRITE, 0);
}

/* Many threads: stripes of one mapping, whose edges are within huge pages. */
static void lay_out_many(struct hs_t_rng *rng)
{
	bool anywhere = fz_run.seed % 2;
	uint32_t nr = FZ_WINDOW_PAGES, page = 0, t = 0, stripe;
	char *want = anywhere ? NULL : free_place(nr);
	char *base = mmap(want, nr * FZ_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	HS_T_CHECK(base != MAP_FAILED && (!want || base == want));
	fz_run.null_calls = !anywhere;
	for (; page < nr; page += stripe, t++) {
		struct fz_area *a;

		stripe = 64 + (uint32_t)hs_t_below(rng, 800);
		stripe = HS_T_MIN(stripe, nr - page);
		a = add_window(&fz_ctxs[t % fz_run.threads],
			       base + page * FZ_PAGE, stripe);
		for (uint32_t i = 0; i < stripe; i++) {
			a->page[i].kind = FZ_ANON;
			a->page[i].prot = PROT_READ | PROT_WRITE;
			a->page[i].vma = 1;
		}
		fz_ctxs[t % fz_run.threads].vmas = 1;
	}
}

/* --- threads -------------------------------------------------------------- */

static void *run_thread(void *arg)
{
	struct fz_ctx *c = arg;

	fz_self = c;
	pthread_barrier_wait(&start_line);
	fz_loop(c, fz_run.steps / fz_run.threads);
	pthread_barrier_wait(&start_line);
	fz_end(c);
	return NULL;
}

static void run_threads(void)
{
	pthread_t thread[FZ_MAX_THREADS];
	struct hs_t_rng rng = { fz_run.seed };

	lay_out_many(&rng);
	HS_T_CHECK(!pthread_barrier_init(&start_line, NULL, fz_run.threads));
	for (uint32_t i = 0; i < fz_run.threads; i++) {
		fz_begin(&fz_ctxs[i], i);
		HS_T_CHECK(pthread_create(&thread[i], NULL, run_thread,
					  &fz_ctxs[i]) == 0);
	}
	for (uint32_t i = 0; i < fz_run.threads; i++)
		pthread_join(thread[i], NULL);
}

static void run_one(void)
{
	struct fz_ctx *c = &fz_ctxs[0];

	fz_begin(c, 0);
	lay_out_one(c);
	map_one(c);
	fz_loop(c, fz_run.steps);
	fz_end(c);
}

/* --- the pool changes ----------------------------------------------------- */

static void toggle(int fd, unsigned int low, unsigned int high)
{
	struct hs_t_rng rng = { fz_run.seed };
	char tick;

	while (read(fd, &tick, 1) == 1) {
		uint64_t n = low + hs_t_below(&rng, high - low + 1);
		FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");

		if (!f || fprintf(f, "%llu\n", (unsigned long long)n) < 0)
			_exit(1);
		fclose(f);
	}
	_exit(0);
}

static pid_t toggler;

/* What it still has to read must not be done after whoever runs this has given
 * the pool back. */
static void end_toggle(void)
{
	kill(toggler, SIGKILL);
	waitpid(toggler, NULL, 0);
}

/* A process that sets the pool's size, low to high, as the steps go on. */
static void start_toggle(const char *range)
{
	unsigned int low, high;
	int fd[2];

	HS_T_CHECK(sscanf(range, "%u:%u", &low, &high) == 2 && low <= high,
		   "--pool-toggle LOW:HIGH");
	HS_T_CHECK(pipe2(fd, O_CLOEXEC) == 0);
	signal(SIGPIPE, SIG_IGN);
	toggler = fork();
	if (toggler == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd[1]);
		toggle(fd[0], low, high);
	}
	close(fd[0]);
	fz_run.tick_fd = fd[1];
}

/* --- fewer steps ---------------------------------------------------------- */

/* Do the calls of a file again. */
static void replay(int fd)
{
	struct fz_ctx *c = &fz_ctxs[0];
	struct fz_call call;

	fz_begin(c, 0);
	lay_out_one(c);
	while (pread(fd, &call, sizeof(call),
		     (off_t)(c->nr_replayed++ * sizeof(call))) ==
	       sizeof(call)) {
		c->step = call.step;
		fz_step(c, &call);
	}
	fz_end(c);
}

/* This program in a new process, for the library's state is part of it: true,
 * it differed. */
static bool again(const char *mode, int fd, bool quiet)
{
	char fd_text[16], seed[32], steps[32], forks[16];
	pid_t pid;

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)fz_run.seed);
	snprintf(steps, sizeof(steps), "%llu",
		 (unsigned long long)fz_run.steps);
	snprintf(forks, sizeof(forks), "%u", fz_run.forks);
	pid = fork();
	HS_T_CHECK(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", "vm_fuzz", "--seed", seed, "--steps",
		      steps, "--forks", forks, mode, fd_text,
		      quiet ? "--quiet" : NULL, NULL);
		_exit(127);
	}
	return hs_t_wait(pid) != 0;
}

static bool still_differs(const struct fz_call *calls, uint64_t n, bool quiet)
{
	int fd = memfd_create("calls", 0);
	ssize_t size = (ssize_t)(n * sizeof(*calls));
	bool differs;

	HS_T_CHECK(fd >= 0 && pwrite(fd, calls, (size_t)size, 0) == size);
	differs = again("--replay", fd, quiet);
	close(fd);
	return differs;
}

static uint64_t without(struct fz_call *to, const struct fz_call *from,
			uint64_t n, uint64_t at, uint64_t nr)
{
	memcpy(to, from, at * sizeof(*to));
	memcpy(to + at, from + at + nr, (n - at - nr) * sizeof(*to));
	return n - nr;
}

static uint64_t reduce(struct fz_call *calls, uint64_t n)
{
	struct fz_call *fewer = malloc(n * sizeof(*fewer));
	uint64_t chunk = n / 2 ? n / 2 : 1, before = n;

	HS_T_CHECK(fewer);
	for (;;) {
		for (uint64_t at = 0; at < n;) {
			uint64_t nr = HS_T_MIN(chunk, n - at);

			if (nr < n &&
			    still_differs(fewer,
					  without(fewer, calls, n, at, nr),
					  true)) {
				n -= nr;
				memcpy(calls, fewer, n * sizeof(*calls));
			} else {
				at += nr;
			}
		}
		fprintf(stderr, "%llu steps left\n", (unsigned long long)n);
		if (chunk == 1 && n == before)
			break;
		before = n;
		chunk = chunk > 1 ? (chunk + 1) / 2 : 1;
	}
	free(fewer);
	return n;
}

/* The calls of a run, in a file: their number, a page on the calls. */
static size_t trace_bytes(void)
{
	return (fz_run.steps + 64) * sizeof(struct fz_call) + FZ_PAGE;
}

static void map_trace(int fd)
{
	char *p = mmap(NULL, trace_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);

	HS_T_CHECK(p != MAP_FAILED);
	fz_run.trace_nr = (uint64_t *)p;
	fz_run.trace = (struct fz_call *)(p + FZ_PAGE);
}

static void minimise(void)
{
	int fd = memfd_create("trace", 0);
	struct fz_call *calls;
	uint64_t *nr;

	HS_T_CHECK(fd >= 0 && ftruncate(fd, (off_t)trace_bytes()) == 0);
	if (!again("--record", fd, true)) {
		puts("no difference");
		return;
	}
	map_trace(fd);
	calls = fz_run.trace;
	nr = fz_run.trace_nr;
	if (!still_differs(calls, *nr, true))
		HS_T_CHECK(false, "the same calls once more make none");
	*nr = reduce(calls, *nr);
	still_differs(calls, *nr, false);
	for (uint64_t i = 0; i < *nr; i++)
		fz_print_call(stdout, &calls[i]);
	fflush(NULL);
	_exit(1);
}

/* --- main ----------------------------------------------------------------- */

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "steps", required_argument, NULL, 'n' },
	{ "threads", required_argument, NULL, 't' },
	{ "forks", required_argument, NULL, 'f' },
	{ "pool-toggle", required_argument, NULL, 'p' },
	{ "without", required_argument, NULL, 'w' },
	{ "minimise", no_argument, NULL, 'm' },
	{ "record", required_argument, NULL, 'c' },
	{ "replay", required_argument, NULL, 'r' },
	{ "quiet", no_argument, NULL, 'q' },
	{ NULL, 0, NULL, 0 },
};

struct mode {
	const char *pool;
	bool minimise;
	int record, replay; /* descriptors, or -1 */
};

/* To find the second difference before the first is mended: a call's name, or
 * a number of madvise. */
static void leave_out(const char *what)
{
	unsigned int advice = (unsigned int)atoi(what);
	int op = fz_op_of(what);

	if (op >= 0)
		fz_run.without |= 1ULL << op;
	else if (advice < 128)
		fz_run.without_advice[advice / 64] |= 1ULL << advice % 64;
}

static void parse(int argc, char **argv, struct mode *mode)
{
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 's')
			fz_run.seed = strtoull(optarg, NULL, 0);
		else if (o == 'n')
			fz_run.steps = strtoull(optarg, NULL, 0);
		else if (o == 't')
			fz_run.threads = (unsigned int)atoi(optarg);
		else if (o == 'f')
			fz_run.forks = (unsigned int)atoi(optarg);
		else if (o == 'p')
			mode->pool = optarg;
		else if (o == 'w')
			leave_out(optarg);
		else if (o == 'm')
			mode->minimise = true;
		else if (o == 'c')
			mode->record = atoi(optarg);
		else if (o == 'r')
			mode->replay = atoi(optarg);
		else if (o == 'q')
			fz_run.quiet = true;
		else
			exit(2);
	}
	HS_T_CHECK(fz_run.threads >= 1 && fz_run.threads <= FZ_MAX_THREADS);
}

/* The same seed is to find the same addresses. */
static void fix_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (now < 0 || (now & ADDR_NO_RANDOMIZE) ||
	    personality((unsigned long)now | ADDR_NO_RANDOMIZE) < 0)
		return;
	execv("/proc/self/exe", argv);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct mode mode = { .record = -1, .replay = -1 };
	double start;

	fix_addresses(argv);
	parse(argc, argv, &mode);
	if (sysconf(_SC_PAGESIZE) != FZ_PAGE)
		hs_t_skip("needs base pages of 4 KiB");
	if (mode.pool)
		start_toggle(mode.pool);
	make_files();
	make_segment();
	ask_kernel();
	fz_catch_faults();
	if (mode.record >= 0)
		map_trace(mode.record);
	start = seconds();
	if (mode.minimise)
		minimise();
	else if (mode.replay >= 0)
		replay(mode.replay);
	else if (fz_run.threads > 1)
		run_threads();
	else
		run_one();
	if (mode.pool)
		end_toggle();
	if (fz_run.quiet)
		return 0;
	printf("seed %llu: %llu steps, %.0f a second\n",
	       (unsigned long long)fz_run.seed, (unsigned long long)fz_run.done,
	       (double)fz_run.done / (seconds() - start));
	fz_print_allowed();
	return 0;
}
