/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sigmask.c - see sigmask.h. */
#include "preload/sigmask.h"

#include <pthread.h>
#include <string.h>
#include <ucontext.h>

#include "config.h"
#include "preload/call.h"
#include "preload/real.h"
#include "preload/trap.h"
#include "sys.h"

HS_TLS unsigned long hs_sigmask_virtual;

/* Could this process ever use a hugetlb page?  Else masks are not touched. */
static bool wanted(void)
{
	return hs_config->enabled && (hs_config->heap || hs_config->mmap) &&
	       hs_config->fallback != HS_FALLBACK_ON &&
	       hs_config->backing <= HS_BACKING_HUGETLB;
}

HS_START bool hs_sigmask_engaged(unsigned long bits)
{
	if (hs_trap_active())
		return true;
	return bits != 0 && wanted() && hs_trap_install() == 0;
}

int hs_sigmask_enter(struct hs_sigmask_swap *swap, void **mask)
{
	unsigned long bits;

	swap->active = false;
	if (!hs_call_plausible(*mask))
		return 0;
	bits = hs_sigmask_bits(*mask);
	if (!hs_sigmask_engaged(bits))
		return 0;
	swap->active = true;
	swap->saved = hs_sigmask_virtual;
	if (bits != 0) {
		memcpy(&swap->set, *mask, sizeof(unsigned long));
		*hs_sigmask_word(&swap->set) &= ~HS_TRAP_BITS;
		*mask = &swap->set;
	}
	hs_sigmask_virtual = bits;
	if (hs_trap_deliver_pending() == 0)
		return 0;
	hs_sigmask_leave(swap);
	errno = EINTR;
	return -1;
}

void hs_sigmask_leave(struct hs_sigmask_swap *swap)
{
	if (swap->active)
		hs_sigmask_virtual = swap->saved;
}

static void change_virtual(int how, unsigned long bits)
{
	if (how == SIG_BLOCK)
		hs_sigmask_virtual |= bits;
	else if (how == SIG_UNBLOCK)
		hs_sigmask_virtual &= ~bits;
	else
		hs_sigmask_virtual = bits;
	if (how != SIG_BLOCK)
		hs_trap_handler_unblock(how == SIG_UNBLOCK ? bits : ~bits);
	if (hs_trap_pending() & ~hs_sigmask_virtual)
		hs_trap_deliver_pending();
}

/* What sigprocmask and pthread_sigmask differ in is how they fail. */
int hs_sigmask_change(hs_sigmask_fn *real, int how, const sigset_t *set,
		      sigset_t *old)
{
	unsigned long before = hs_sigmask_virtual | hs_trap_handler_bits();
	unsigned long bits = set ? hs_sigmask_bits(set) : 0;
	sigset_t stripped, was;
	int ret;

	if (!hs_sigmask_engaged(how == SIG_UNBLOCK ? 0 : bits))
		return real(how, set, old);
	if (set != NULL) {
		/* The kernel reads one word. */
		memcpy(&stripped, set, sizeof(unsigned long));
		*hs_sigmask_word(&stripped) &= ~HS_TRAP_BITS;
	}
	ret = real(how, set ? &stripped : NULL, old ? &was : NULL);
	if (ret != 0)
		return ret;
	/* Stored in user mode, so that the page may be rescued. */
	if (old != NULL)
		*hs_sigmask_word(old) = *hs_sigmask_word(&was) | before;
	if (set != NULL)
		change_virtual(how, bits);
	return 0;
}

int hs_sigmask_process(int how, const sigset_t *set, sigset_t *old)
{
	return hs_sigmask_change((hs_sigmask_fn *)hs_real(HS_REAL_sigprocmask),
				 how, set, old);
}

HS_EXPORT int hs_wrap_sigprocmask(int how, const sigset_t *set,
				  sigset_t *old) __asm__("sigprocmask");
int hs_wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return hs_sigmask_process(how, set, old);
}

HS_EXPORT int hs_wrap_pthread_sigmask(int how, const sigset_t *set,
				      sigset_t *old)
	__asm__("pthread_sigmask");
int hs_wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return hs_sigmask_change(
		(hs_sigmask_fn *)hs_real(HS_REAL_pthread_sigmask), how, set,
		old);
}

HS_EXPORT int hs_wrap_pthread_attr_setsigmask_np(pthread_attr_t *attr,
						 const sigset_t *set)
	__asm__("pthread_attr_setsigmask_np");
int hs_wrap_pthread_attr_setsigmask_np(pthread_attr_t *attr,
				       const sigset_t *set)
{
	int (*real)(pthread_attr_t *, const sigset_t *) =
		hs_real(HS_REAL_pthread_attr_setsigmask_np);
	sigset_t stripped;

	if (set == NULL || !hs_sigmask_engaged(hs_sigmask_bits(set)))
		return real(attr, set);
	stripped = *set;
	*hs_sigmask_word(&stripped) &= ~HS_TRAP_BITS;
	return real(attr, &stripped);
}

/*
 * The mask of a context that the application filled in itself.  One that
 * getcontext() stored has no such bits, and then the virtual mask stays.
 */
static void strip_context(const ucontext_t *ucp)
{
	sigset_t *set = (sigset_t *)&ucp->uc_sigmask;
	unsigned long bits = hs_sigmask_bits(set);

	if (hs_likely(bits == 0) || !hs_sigmask_engaged(bits))
		return;
	*hs_sigmask_word(set) &= ~HS_TRAP_BITS;
	hs_sigmask_virtual |= bits;
}

HS_EXPORT int hs_wrap_setcontext(const ucontext_t *ucp) __asm__("setcontext");
int hs_wrap_setcontext(const ucontext_t *ucp)
{
	int (*real)(const ucontext_t *) = hs_real(HS_REAL_setcontext);

	strip_context(ucp);
	return real(ucp);
}

HS_EXPORT int hs_wrap_swapcontext(ucontext_t *oucp, const ucontext_t *ucp)
	__asm__("swapcontext");
int hs_wrap_swapcontext(ucontext_t *oucp, const ucontext_t *ucp)
{
	int (*real)(ucontext_t *, const ucontext_t *) =
		hs_real(HS_REAL_swapcontext);

	strip_context(ucp);
	return real(oucp, ucp);
}

/* --- threads ------------------------------------------------------------ */

/* From creator to thread: few are under way at a time, and a creator that
 * finds none free lets the thread begin with nothing blocked. */
struct start {
	atomic_bool used;
	void *(*routine)(void *);
	void *arg;
	unsigned long bits;
};

static struct start starts[32];

static struct start *start_get(void)
{
	size_t i;

	for (i = 0; i < HS_ARRAY_SIZE(starts); i++)
		if (!atomic_exchange(&starts[i].used, true))
			return &starts[i];
	return NULL;
}

static void *start_thread(void *arg)
{
	struct start *s = arg;
	void *(*routine)(void *) = s->routine;

	arg = s->arg;
	hs_sigmask_virtual = s->bits;
	atomic_store(&s->used, false);
	return routine(arg);
}

typedef int create_fn(pthread_t *thread, const pthread_attr_t *attr,
		      void *(*routine)(void *), void *arg);

HS_EXPORT create_fn hs_wrap_pthread_create __asm__("pthread_create");
int hs_wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			   void *(*routine)(void *), void *arg)
{
	create_fn *real = hs_real(HS_REAL_pthread_create);
	struct start *s;
	int err;

	hs_real_resolve_all();
	if (hs_likely(hs_sigmask_virtual == 0))
		return real(thread, attr, routine, arg);
	s = start_get();
	if (s == NULL)
		return real(thread, attr, routine, arg);
	s->routine = routine;
	s->arg = arg;
	s->bits = hs_sigmask_virtual;
	err = real(thread, attr, start_thread, s);
	if (err != 0)
		atomic_store(&s->used, false);
	return err;
}
