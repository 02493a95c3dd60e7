/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sigjmp.c - sigsetjmp() and siglongjmp() for the two signals whose mask the
 * kernel does not have.
 *
 * libc keeps the kernel's mask, one word, in a field of sixteen; what the
 * application sees as blocked goes into the last ones.  A buffer that was
 * filled before the trap was in place has it in the kernel's mask.
 *
 * setjmp() and _setjmp() as <setjmp.h> has them save no mask and are left
 * alone; the functions that jump are the same for all, and tell that the
 * handlers which they leave are no longer running.
 */
#include <setjmp.h>
#include <string.h>

#include "preload/real.h"
#include "preload/trap.h"

/* "hugeshim", in place of what no mask of the kernel has: no signal is that
 * high.  glibc on x86-64 has a pointer in word 2. */
#define MARK 0x68756765736869a7UL
enum { WORD_SP = 13, WORD_MARK, WORD_BITS };

_Static_assert(sizeof(((struct __jmp_buf_tag *)0)->__saved_mask) >=
		       (WORD_BITS + 1) * sizeof(unsigned long),
	       "libc's sigset_t has room");

void *hs_sigjmp_note(struct __jmp_buf_tag *env, int save) HS_HIDDEN;

/* Called by the entry below, at whose place libc's function goes on. */
void *hs_sigjmp_note(struct __jmp_buf_tag *env, int save)
{
	unsigned long *word = hs_sigmask_word(&env->__saved_mask);

	if (save != 0 && hs_trap_active()) {
		word[WORD_MARK] = MARK;
		word[WORD_BITS] = hs_sigmask_virtual | hs_trap_handler_bits();
		word[WORD_SP] = (uintptr_t)__builtin_frame_address(0);
	}
	return hs_real(HS_REAL___sigsetjmp);
}

/* A function that calls setjmp() cannot return before the jump. */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl setjmp\n"
	".type setjmp,@function\n"
	"setjmp:\n"
	"	endbr64\n"
	"	mov $1, %esi\n"
	"	jmp 1f\n"
	".size setjmp, . - setjmp\n"
	".globl __sigsetjmp\n"
	".type __sigsetjmp,@function\n"
	"__sigsetjmp:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"1:	push %rdi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	push %rsi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	sub $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call hs_sigjmp_note\n"
	"	add $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	pop %rsi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	pop %rdi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	jmp *%rax\n"
	"	.cfi_endproc\n"
	".size __sigsetjmp, . - __sigsetjmp\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl setjmp\n"
	".type setjmp,%function\n"
	"setjmp:\n"
	"	hint #34\n" /* bti c */
	"	mov w1, #1\n"
	"	b 1f\n"
	".size setjmp, . - setjmp\n"
	".globl __sigsetjmp\n"
	".type __sigsetjmp,%function\n"
	"__sigsetjmp:\n"
	"	.cfi_startproc\n"
	"	hint #34\n"
	"1:	stp x29, x30, [sp, #-32]!\n"
	"	.cfi_def_cfa_offset 32\n"
	"	.cfi_offset 29, -32\n"
	"	.cfi_offset 30, -24\n"
	"	stp x0, x1, [sp, #16]\n"
	"	bl hs_sigjmp_note\n"
	"	mov x16, x0\n"
	"	ldp x0, x1, [sp, #16]\n"
	"	ldp x29, x30, [sp], #32\n"
	"	.cfi_restore 29\n"
	"	.cfi_restore 30\n"
	"	.cfi_def_cfa_offset 0\n"
	"	br x16\n"
	"	.cfi_endproc\n"
	".size __sigsetjmp, . - __sigsetjmp\n"
	".popsection\n");
#else
#error "setjmp for this processor"
#endif

static void restore_mask(struct __jmp_buf_tag *env)
{
	unsigned long *word = hs_sigmask_word(&env->__saved_mask);

	if (word[WORD_MARK] != MARK) {
		word[WORD_MARK] = MARK;
		word[WORD_BITS] = word[0] & HS_TRAP_BITS;
		word[WORD_SP] = 0;
	}
	word[0] &= ~HS_TRAP_BITS;
	hs_sigmask_virtual = word[WORD_BITS] & HS_TRAP_BITS;
}

static void before_jump(struct __jmp_buf_tag *env)
{
	uintptr_t sp = 0;

	if (!hs_trap_active())
		return;
	if (env->__mask_was_saved) {
		restore_mask(env);
		sp = hs_sigmask_word(&env->__saved_mask)[WORD_SP];
	}
	hs_trap_handlers_left(sp);
	if (hs_trap_pending() & ~hs_sigmask_virtual)
		hs_trap_deliver_pending();
}

typedef void jump_fn(struct __jmp_buf_tag *env, int value);

#define JUMP(name)                                                             \
	HS_EXPORT __attribute__((noreturn)) jump_fn hs_wrap_##name __asm__(    \
		#name);                                                        \
	void hs_wrap_##name(struct __jmp_buf_tag *env, int value)              \
	{                                                                      \
		before_jump(env);                                              \
		((jump_fn *)hs_real(HS_REAL_##name))(env, value);              \
		__builtin_unreachable();                                       \
	}

JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
JUMP(__longjmp_chk)
