/* start.S - entry, exception stubs and ring changes for 32 and 64 bit. */
#ifdef __x86_64__
#define SP rsp
#define WORD .quad
#define IRET iretq
#define W 8
#else
#define SP esp
#define WORD .long
#define IRET iretl
#define W 4
#endif
	.intel_syntax noprefix
	.section .text.start, "ax"
	.globl _start
_start:
	call lib_start
1:	hlt
	jmp 1b

	.text
/* 256 stubs of equal size: a missing error code is pushed as 0. */
	.balign 16
	.globl stubs
stubs:
	.set v, 0
	.rept 256
	.balign 16
	.if (v == 8) || (v >= 10 && v <= 14) || (v == 17) || (v == 21)
	.else
	push 0
	.endif
#ifdef __x86_64__
	push v
#else
	push v
#endif
	jmp common
	.set v, v + 1
	.endr

common:
#ifdef __x86_64__
	push rax
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	mov rdi, rsp
	cld
	mov rbx, rsp
	and rsp, -16
	call lib_exception
	mov rsp, rbx
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rdi
	pop rsi
	pop rbp
	pop rbx
	pop rdx
	pop rcx
	pop rax
	add rsp, 16
	iretq
#else
	pusha
	mov eax, esp
	push ds
	push es
	mov ecx, 0x10
	mov ds, ecx
	mov es, ecx
	cld
	push eax
	call lib_exception
	add esp, 4
	pop es
	pop ds
	popa
	add esp, 8
	iretd
#endif

/* int lib_enter(void (*fn)(void)): call fn; lib_leave() comes back here. */
	.globl lib_enter
lib_enter:
#ifdef __x86_64__
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [saved_sp], rsp
	call rdi
	mov eax, -1
	jmp lib_return
#else
	push ebx
	push ebp
	push esi
	push edi
	mov [saved_sp], esp
	call dword ptr [esp + 20]
	mov eax, -1
	jmp lib_return
#endif

/* void lib_leave(int vector): drop whatever runs, return from lib_enter. */
	.globl lib_leave
lib_leave:
#ifdef __x86_64__
	mov eax, edi
lib_return:
	mov rsp, [saved_sp]
	mov ecx, 0x10
	mov ds, ecx
	mov es, ecx
	mov ss, ecx
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	push 2
	popf
	ret
#else
	mov eax, [esp + 4]
lib_return:
	mov ecx, 0x10
	mov ds, ecx
	mov es, ecx
	mov ss, ecx
	mov esp, [saved_sp]
	pop edi
	pop esi
	pop ebp
	pop ebx
	push 2
	popf
	ret
#endif

/* void lib_far(): from saved context, go to lib_target by IRET. */
	.globl lib_far
lib_far:
#ifdef __x86_64__
	mov eax, [lib_target_ss]
	mov ds, eax
	mov es, eax
	push qword ptr [lib_target_ss]
	push qword ptr [lib_target_sp]
	pushfq
	push qword ptr [lib_target_cs]
	push qword ptr [lib_target_ip]
	mov rdi, [lib_target_arg]
	iretq
#else
	mov eax, [lib_target_ss]
	mov ecx, [lib_target_cs]
	test ecx, 3
	jz 1f
	mov ds, eax
	mov es, eax
	push eax
	push dword ptr [lib_target_sp]
1:	pushfd
	push ecx
	push dword ptr [lib_target_ip]
	mov edi, [lib_target_arg]
	iretd
#endif

/* Where a ring-3 function returns to. */
	.globl lib_user_return
lib_user_return:
	int 0x81

	.bss
	.balign 16
	.globl saved_sp
saved_sp:
	.skip 8
	.section .note.GNU-stack, "", @progbits
