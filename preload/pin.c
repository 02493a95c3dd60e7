/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pin.c - memory that the kernel writes later, when no wrapper is there: stdio
 * buffers that the application gives, stacks that it places, asynchronous I/O.
 * Its slots become base pages before libc hears of it.
 *
 * A pin that fails leaves the slot huge: then what a bare program would see is
 * lost only when a fork and an empty pool come together.
 */
#include <aio.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <ucontext.h>

#include "preload/altstack.h"
#include "preload/call.h"
#include "preload/real.h"
#include "regmap.h"
#include "rescue.h"

static void pin(const void *addr, size_t len)
{
	if (len != 0 && hs_regmap_may_hold(addr, len) && hs_call_active())
		hs_rescue_pin_base(addr, len);
}

/* --- stdio -------------------------------------------------------------- */

typedef int setvbuf_fn(FILE *stream, char *buf, int mode, size_t size);
typedef void setbuffer_fn(FILE *stream, char *buf, size_t size);

HS_EXPORT setvbuf_fn hs_wrap_setvbuf __asm__("setvbuf");
int hs_wrap_setvbuf(FILE *stream, char *buf, int mode, size_t size)
{
	pin(buf, size);
	return ((setvbuf_fn *)hs_real(HS_REAL_setvbuf))(stream, buf, mode,
							size);
}

HS_EXPORT setvbuf_fn hs_wrap__IO_setvbuf __asm__("_IO_setvbuf");
int hs_wrap__IO_setvbuf(FILE *stream, char *buf, int mode, size_t size)
{
	pin(buf, size);
	return ((setvbuf_fn *)hs_real(HS_REAL__IO_setvbuf))(stream, buf, mode,
							    size);
}

HS_EXPORT setbuffer_fn hs_wrap_setbuffer __asm__("setbuffer");
void hs_wrap_setbuffer(FILE *stream, char *buf, size_t size)
{
	pin(buf, size);
	((setbuffer_fn *)hs_real(HS_REAL_setbuffer))(stream, buf, size);
}

HS_EXPORT setbuffer_fn hs_wrap__IO_setbuffer __asm__("_IO_setbuffer");
void hs_wrap__IO_setbuffer(FILE *stream, char *buf, size_t size)
{
	pin(buf, size);
	((setbuffer_fn *)hs_real(HS_REAL__IO_setbuffer))(stream, buf, size);
}

HS_EXPORT void hs_wrap_setbuf(FILE *stream, char *buf) __asm__("setbuf");
void hs_wrap_setbuf(FILE *stream, char *buf)
{
	pin(buf, BUFSIZ);
	((void (*)(FILE *, char *))hs_real(HS_REAL_setbuf))(stream, buf);
}

/* --- stacks: signal frames, and rseq's write-back ----------------------- */

HS_EXPORT int hs_wrap_sigaltstack(const stack_t *ss, stack_t *old)
	__asm__("sigaltstack");
int hs_wrap_sigaltstack(const stack_t *ss, stack_t *old)
{
	int (*real)(const stack_t *, stack_t *) = hs_real(HS_REAL_sigaltstack);

	if (!hs_call_active())
		return real(ss, old);
	/* Wrong pointers get the kernel's answer. */
	if ((ss != NULL && !hs_call_plausible(ss)) ||
	    (old != NULL && !hs_call_plausible(old)))
		return real(ss, old);
	if (ss != NULL && !(ss->ss_flags & SS_DISABLE))
		pin(ss->ss_sp, ss->ss_size);
	return hs_altstack_set(real, ss, old);
}

HS_EXPORT int hs_wrap_pthread_attr_setstack(pthread_attr_t *attr, void *addr,
					    size_t size)
	__asm__("pthread_attr_setstack");
int hs_wrap_pthread_attr_setstack(pthread_attr_t *attr, void *addr,
				  size_t size)
{
	pin(addr, size);
	return ((int (*)(pthread_attr_t *, void *, size_t))hs_real(
		HS_REAL_pthread_attr_setstack))(attr, addr, size);
}

/* The address is that of the stack's end, and its size is not known yet. */
HS_EXPORT int hs_wrap_pthread_attr_setstackaddr(pthread_attr_t *attr,
						void *addr)
	__asm__("pthread_attr_setstackaddr");
int hs_wrap_pthread_attr_setstackaddr(pthread_attr_t *attr, void *addr)
{
	size_t size = 0;

	if (HS_NEXT(pthread_attr_getstacksize)(attr, &size) == 0 && size != 0)
		pin((char *)addr - size, size);
	return ((int (*)(pthread_attr_t *, void *))hs_real(
		HS_REAL_pthread_attr_setstackaddr))(attr, addr);
}

#define CONTEXT_ARGS 16

HS_EXPORT void hs_wrap_makecontext(ucontext_t *ucp, void (*fn)(void),
				   int argc, ...) __asm__("makecontext");
void hs_wrap_makecontext(ucontext_t *ucp, void (*fn)(void), int argc, ...)
{
	void (*real)(ucontext_t *, void (*)(void), int, ...) =
		hs_real(HS_REAL_makecontext);
	long a[CONTEXT_ARGS];
	va_list ap;
	int i;

	pin(ucp->uc_stack.ss_sp, ucp->uc_stack.ss_size);
	va_start(ap, argc);
	/* Words, as libc passes them on: some give pointers. */
	for (i = 0; i < CONTEXT_ARGS; i++)
		a[i] = i < argc ? va_arg(ap, long) : 0;
	va_end(ap);
	real(ucp, fn, HS_MIN(argc, CONTEXT_ARGS), a[0], a[1], a[2], a[3], a[4],
	     a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14],
	     a[15]);
}

/* --- asynchronous I/O: a helper thread of libc works on both, the control
 *     block with all signals blocked ------------------------------------- */

static void pin_aio(const struct aiocb *cb)
{
	if (!hs_call_plausible(cb))
		return;
	pin(cb, sizeof(*cb));
	pin((const void *)cb->aio_buf, cb->aio_nbytes);
}

typedef int aio_fn(struct aiocb *cb);
typedef int aio_fsync_fn(int op, struct aiocb *cb);
typedef int listio_fn(int mode, struct aiocb *const list[], int nr,
		      struct sigevent *event);

#define AIO(name)                                                              \
	HS_EXPORT aio_fn hs_wrap_##name __asm__(#name);                        \
	int hs_wrap_##name(struct aiocb *cb)                                   \
	{                                                                      \
		pin_aio(cb);                                                   \
		return ((aio_fn *)hs_real(HS_REAL_##name))(cb);                \
	}

AIO(aio_read)
AIO(aio_read64)
AIO(aio_write)
AIO(aio_write64)

#define AIO_FSYNC(name)                                                        \
	HS_EXPORT aio_fsync_fn hs_wrap_##name __asm__(#name);                  \
	int hs_wrap_##name(int op, struct aiocb *cb)                           \
	{                                                                      \
		pin(cb, sizeof(*cb));                                          \
		return ((aio_fsync_fn *)hs_real(HS_REAL_##name))(op, cb);      \
	}

AIO_FSYNC(aio_fsync)
AIO_FSYNC(aio_fsync64)

static void pin_list(struct aiocb *const list[], int nr)
{
	int i;

	if (!hs_call_plausible(list))
		return;
	for (i = 0; i < nr; i++)
		pin_aio(list[i]);
}

#define LISTIO(name)                                                           \
	HS_EXPORT listio_fn hs_wrap_##name __asm__(#name);                     \
	int hs_wrap_##name(int mode, struct aiocb *const list[], int nr,       \
			   struct sigevent *event)                             \
	{                                                                      \
		pin_list(list, nr);                                            \
		return ((listio_fn *)hs_real(HS_REAL_##name))(mode, list, nr,  \
							      event);          \
	}

LISTIO(lio_listio)
LISTIO(lio_listio64)
