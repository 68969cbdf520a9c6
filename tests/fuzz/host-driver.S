/*
 * host-driver.S - what runs one case after the other, in ring 3 of either side.
 *
 * It loads a case's registers, jumps to its code, and is jumped to at the end
 * of that (or behind its last fault) to store the registers and the memory.
 * So nothing is left for the harness to do between two cases, and the engine
 * stays in the code that it translated.
 *
 * Copied to HOST_DRIVER on both sides, hence absolute addresses.  The handler
 * of exceptions is for the engine's side; a signal handler does the same on
 * the other.
 */
#include "host-layout.h"

	.section .rodata
	.globl	host_driver, host_driver_end, host_driver_enter
	.globl	host_driver_far, host_driver_leave, host_driver_finish
	.globl	host_driver_fault, host_driver_done
	.balign	64

/* ---- the next case ---- */

host_driver:
	mov	CTL_IN, %rsi
	mov	CTL_OUT, %rdi
	add	$IN_BYTES, %rsi
	add	$OUT_BYTES, %rdi
	mov	%rsi, CTL_IN
	mov	%rdi, CTL_OUT
	cmp	CTL_END, %rsi
	je	.Lfinish
	cmpq	$0, IN_SKIP(%rsi)
	jne	host_driver
	movq	$0, OUT_NFAULTS(%rdi)
	movq	$0, OUT_LEFT(%rdi)
	lea	IN_PATCH(%rsi), %rdx
	mov	$HOST_PATCHES, %ecx
.Lpatch:
	mov	(%rdx), %rdi
	movups	16(%rdx), %xmm0
	movups	32(%rdx), %xmm1
	movups	48(%rdx), %xmm2
	movups	64(%rdx), %xmm3
	movups	%xmm0, (%rdi)
	movups	%xmm1, 16(%rdi)
	movups	%xmm2, 32(%rdi)
	movups	%xmm3, 48(%rdi)
	add	$80, %rdx
	dec	%ecx
	jnz	.Lpatch
	mov	IN_GO(%rsi), %rax
	mov	IN_FAR(%rsi), %rdx
	mov	%rax, CTL_GO
	mov	%rdx, CTL_FAR
	mov	$HOST_XC, %eax
	xor	%edx, %edx
	xrstor64 IN_XSAVE(%rsi)
	mov	$CTL_STACK, %esp
	push	IN_RFLAGS(%rsi)
	popfq
	mov	0(%rsi), %rax
	mov	8(%rsi), %rcx
	mov	16(%rsi), %rdx
	mov	24(%rsi), %rbx
	mov	32(%rsi), %rsp
	mov	40(%rsi), %rbp
	mov	56(%rsi), %rdi
	mov	64(%rsi), %r8
	mov	72(%rsi), %r9
	mov	80(%rsi), %r10
	mov	88(%rsi), %r11
	mov	96(%rsi), %r12
	mov	104(%rsi), %r13
	mov	112(%rsi), %r14
	mov	120(%rsi), %r15
	mov	48(%rsi), %rsi
	jmp	*CTL_GO

/* CTL_GO of 32- and 16-bit code */
host_driver_far:
	mov	CTL_SS, %ss
	mov	CTL_DS, %ds
	mov	CTL_ES, %es
	ljmp	*CTL_FAR

.Lfinish:
	jmp	*CTL_FINISH

/* ---- the end of one ---- */

host_driver_leave:
	mov	%rax, CTL_RAX
	mov	CTL_OUT, %rax
	mov	%rsp, 32(%rax)
	mov	$CTL_STACK, %esp
	pushfq
	pop	OUT_RFLAGS(%rax)
	push	$2 /* AC, DF, NT off */
	popfq
	mov	%rcx, 8(%rax)
	mov	%rdx, 16(%rax)
	mov	%rbx, 24(%rax)
	mov	%rbp, 40(%rax)
	mov	%rsi, 48(%rax)
	mov	%rdi, 56(%rax)
	mov	%r8, 64(%rax)
	mov	%r9, 72(%rax)
	mov	%r10, 80(%rax)
	mov	%r11, 88(%rax)
	mov	%r12, 96(%rax)
	mov	%r13, 104(%rax)
	mov	%r14, 112(%rax)
	mov	%r15, 120(%rax)
	mov	CTL_RAX, %rcx
	mov	%rcx, (%rax)
	mov	%rax, %rbx
	mov	$HOST_XC, %eax
	xor	%edx, %edx
	xsave64	OUT_XSAVE(%rbx)
	/* which components are in use is the processor's own business */
	movq	$HOST_XC, OUT_XSAVE + 512(%rbx)
	mov	$HOST_DATA, %esi
	lea	OUT_DATA(%rbx), %rdi
	mov	$HOST_DATA_BYTES / 8, %ecx
	rep movsq
	jmp	host_driver

/* ---- the native side: void enter(void) ---- */

host_driver_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	mov	%rsp, CTL_RSP
	jmp	host_driver

/* CTL_FINISH there */
host_driver_finish:
	mov	CTL_RSP, %rsp
	xor	%edi, %edi
	mov	%edi, %ds
	mov	%edi, %es
	mov	$0x2b, %edi
	mov	%edi, %ss
	fninit
	ldmxcsr	CTL_MXCSR
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* ---- the engine's side ---- */

/* CTL_FINISH there: a gate to a handler that halts */
host_driver_done:
	int	$31

/* Every exception, in ring 0, with vector and error code on the stack. */
host_driver_fault:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	mov	CTL_OUT, %rbx
	mov	OUT_NFAULTS(%rbx), %rcx
	cmp	$HOST_MAX_FAULTS, %rcx
	jae	.Llost
	incq	OUT_NFAULTS(%rbx)
	imul	$40, %rcx, %rdx
	lea	OUT_FAULT(%rbx, %rdx), %rdx
	mov	32(%rsp), %rax
	mov	%rax, (%rdx)
	mov	40(%rsp), %rax
	mov	%rax, 8(%rdx)
	xor	%eax, %eax
	cmpq	$14, 32(%rsp)
	jne	.Lno_cr2
	mov	%cr2, %rax
.Lno_cr2:
	mov	%rax, 16(%rdx)
	mov	48(%rsp), %rax
	mov	%rax, 24(%rdx)
	mov	64(%rsp), %rax
	mov	%rax, 32(%rdx)
	cmp	$HOST_MAX_FAULTS - 1, %ecx
	jae	.Lend
	mov	32(%rsp), %ecx
	mov	$HOST_RESUMABLE, %edx
	bt	%ecx, %edx
	jnc	.Lend
	mov	48(%rsp), %rax
	add	CTL_BASE, %rax
	sub	$HOST_CODE, %rax
	cmp	$HOST_CODE_BYTES, %rax
	jae	.Lend
	movabs	$HOST_STEP, %rdx
	movzbl	(%rdx, %rax), %eax
	test	$STEP_RESUME, %al
	jz	.Lend
	and	$STEP_LEN, %eax
	add	%rax, 48(%rsp)
	andq	$~HOST_DROPPED, 64(%rsp)
	jmp	.Lback
.Lend:
	movq	$1, OUT_LEFT(%rbx)
	movq	$HOST_DRIVER + host_driver_leave - host_driver, 48(%rsp)
	mov	CTL_LEAVE_CS, %rax
	mov	%rax, 56(%rsp)
	movq	$0x202, 64(%rsp)
	mov	CTL_LEAVE_SS, %rax
	mov	%rax, 80(%rsp)
.Lback:
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq
.Llost:
	hlt
host_driver_end:

	.section .note.GNU-stack, "", @progbits
