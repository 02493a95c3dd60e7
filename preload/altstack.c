/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* altstack.c - see altstack.h. */
#include "preload/altstack.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "lock.h"
#include "preload/call.h"
#include "raw.h"
#include "region.h"
#include "rescue.h"
#include "sys.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* Besides the kernel's frame: the rescue, and handlers of the application
 * that ask for a signal stack without giving one. */
#define ROOM_BYTES (128 * HS_KIB)

/* At the end of the mapping, above the stack. */
struct head {
	struct head *next;
	_Atomic uintptr_t owner; /* hs_lock_self(), or 0 */
	char *base;
	size_t size_bytes;
};

static _Atomic(struct head *) heads;
static HS_TLS struct head *mine;

#ifdef __x86_64__
#define SUPPORTED true
#else
#define SUPPORTED false
#endif

/* Or one of a thread that is gone and had the same place: without a block of
 * the heap of its own it was given a stack in the handler, and its end was not
 * seen. */
static struct head *take_free(void)
{
	struct head *h = atomic_load(&heads);

	for (; h != NULL; h = h->next) {
		uintptr_t owner = 0;

		if (atomic_compare_exchange_strong(&h->owner, &owner,
						   hs_lock_self()) ||
		    owner == hs_lock_self())
			return h;
	}
	return NULL;
}

static struct head *make(void)
{
	size_t page = hs_sys_page_size();
	size_t frame = hs_align_up(getauxval(AT_MINSIGSTKSZ), page);
	size_t size = page + HS_MAX(frame, page) + ROOM_BYTES;
	char *p = hs_sys.mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				      MAP_STACK,
			      -1, 0);
	struct head *h;

	if (hs_sys_is_err(p))
		return NULL;
	hs_sys.mprotect(p, page, PROT_NONE); /* a guard */
	h = (struct head *)(void *)(p + size - sizeof(*h));
	h->base = p + page;
	h->size_bytes = hs_align_down(size - page - sizeof(*h), 64);
	atomic_store(&h->owner, hs_lock_self());
	h->next = atomic_load(&heads);
	while (!atomic_compare_exchange_weak(&heads, &h->next, h))
		;
	return h;
}

static long set(const stack_t *ss, stack_t *old)
{
	return hs_raw6(SYS_sigaltstack, (long)ss, (long)old, 0, 0, 0, 0);
}

static long set_mine(void)
{
	stack_t ss;

	memset(&ss, 0, sizeof(ss));
	ss.ss_sp = mine->base;
	ss.ss_size = mine->size_bytes;
	return set(&ss, NULL);
}

void hs_altstack_attach(void)
{
	stack_t now;

	if (!SUPPORTED || mine != NULL || !hs_call_active() ||
	    hs_region_is_restricted() || set(NULL, &now) != 0 ||
	    !(now.ss_flags & SS_DISABLE))
		return;
	mine = take_free();
	if (mine == NULL)
		mine = make();
	if (mine != NULL)
		set_mine();
}

/* Reset in the kernel before the next thread can have it. */
void hs_altstack_detach(void)
{
	struct head *h = mine;
	stack_t now;

	/* A filter that does not know the call: it stays the thread's. */
	if (h == NULL || hs_region_is_restricted())
		return;
	if (set(NULL, &now) == 0 && now.ss_sp == h->base) {
		memset(&now, 0, sizeof(now));
		now.ss_flags = SS_DISABLE;
		if (set(&now, NULL) != 0)
			return;
	}
	/* In this order: a handler that comes between takes none. */
	atomic_store(&h->owner, 0);
	mine = NULL;
}

void hs_altstack_fork_child(void)
{
	struct head *h = atomic_load(&heads);

	for (; h != NULL; h = h->next)
		if (h != mine)
			atomic_store(&h->owner, 0);
}

bool hs_altstack_holds(uintptr_t sp)
{
	return mine != NULL &&
	       sp - (uintptr_t)mine->base < mine->size_bytes;
}

static void show_none(stack_t *old)
{
	memset(old, 0, sizeof(*old));
	old->ss_flags = SS_DISABLE;
}

int hs_altstack_set(int (*real)(const stack_t *, stack_t *),
		    const stack_t *ss, stack_t *old)
{
	stack_t was;
	int ret;

	/* The kernel stores after it has switched: into a local, copied in
	 * user mode, for its EFAULT would come too late. */
	ret = real(ss, &was);
	if (ret != 0)
		return ret;
	if (old != NULL && mine != NULL && was.ss_sp == mine->base)
		show_none(old);
	else if (old != NULL)
		*old = was;
	if (ss == NULL || !(ss->ss_flags & SS_DISABLE))
		return 0;
	if (mine != NULL)
		set_mine();
	else
		hs_altstack_attach();
	return 0;
}

/* --- leaving it --------------------------------------------------------- */

#ifdef __x86_64__

/* The kernel's struct rt_sigframe begins with the address of the restorer and
 * struct ucontext; the processor's state lies above, at most so far. */
#define FRAME_BYTES_MAX ((size_t)64 << 10)
#define RED_ZONE 128

/* Where the kernel says how much it stored: FP_XSTATE_MAGIC1 at 464. */
static size_t fpstate_bytes(const char *fp)
{
	uint32_t magic, size;

	memcpy(&magic, fp + 464, sizeof(magic));
	memcpy(&size, fp + 468, sizeof(size));
	return magic == 0x46505853 ? size : 512;
}

void hs_altstack_leave(hs_altstack_go *go, int sig, siginfo_t *info,
		       ucontext_t *uc)
{
	char *frame = (char *)uc - sizeof(void *), *to;
	char *end = (char *)(info + 1);
	uintptr_t sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP] - RED_ZONE;
	char *fp = (char *)uc->uc_mcontext.fpregs;
	ucontext_t *moved;
	size_t len;

	if (fp != NULL)
		end = fp + fpstate_bytes(fp);
	len = (size_t)(end - frame);
	if (end < (char *)(info + 1) || len > FRAME_BYTES_MAX)
		return;
	/* The state must stay aligned to 64 bytes. */
	to = (char *)(sp - len);
	to -= ((uintptr_t)to - (uintptr_t)frame) & 63;
	hs_rescue_prepare(to, len);
	memcpy(to, frame, len);
	moved = (ucontext_t *)(void *)(to + sizeof(void *));
	if (fp != NULL)
		moved->uc_mcontext.fpregs = (void *)(to + (fp - frame));
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "jmp *%1"
			 :
			 : "r"(to), "r"(go), "D"((long)sig),
			   "S"(to + ((char *)info - frame)), "d"(moved)
			 : "memory");
	__builtin_unreachable();
}

#else

void hs_altstack_leave(hs_altstack_go *go, int sig, siginfo_t *info,
		       ucontext_t *uc)
{
	(void)go;
	(void)sig;
	(void)info;
	(void)uc;
}

#endif
