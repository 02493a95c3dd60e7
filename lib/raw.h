/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * raw.h - a system call by its number, entered by the kernel's own convention:
 * for the table of sys.h, and in preload/ for what is not in that table because
 * only wrappers make it.
 *
 * libc's syscall() and wrappers set errno, may be interposed (by our own
 * preload/ for one) and may be cancellation points; two instructions avoid
 * all three.
 *
 * Context: any; returns the kernel's value, errno untouched.
 */
#ifndef HS_RAW_H
#define HS_RAW_H

#include <sys/syscall.h>

#include "base.h"

static HS_ALWAYS_INLINE long hs_raw6(long nr, long a0, long a1, long a2,
				     long a3, long a4, long a5)
{
#if defined(__x86_64__)
	long ret;
	register long r10 __asm__("r10") = a3;
	register long r8 __asm__("r8") = a4;
	register long r9 __asm__("r9") = a5;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10),
			   "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a0;
	register long x1 __asm__("x1") = a1;
	register long x2 __asm__("x2") = a2;
	register long x3 __asm__("x3") = a3;
	register long x4 __asm__("x4") = a4;
	register long x5 __asm__("x5") = a5;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4),
			   "r"(x5)
			 : "memory");
	return x0;
#else
#error "only x86-64 and arm64 are supported"
#endif
}

#endif
