/* start16.S - entry and interrupt stubs of real-mode programs (gcc -m16). */
	.intel_syntax noprefix
	.code16
	.section .text.start, "ax"
	.globl _start
_start:
	ljmp 0, offset 1f
1:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	mov esp, 0x7c00
	.att_syntax prefix
	calll real_main
	.intel_syntax noprefix
1:	hlt
	jmp 1b

	.text
/* Vectors 0 to 31: note which, go back to guarded(). */
	.balign 8
	.globl stubs16
stubs16:
	.set v, 0
	.rept 32
	.balign 8
	push v
	jmp common16
	.set v, v + 1
	.endr

common16:
	push ax
	push ds
	xor ax, ax
	mov ds, ax
	mov ax, [esp + 4]
	mov [fault_vector], ax
	mov ax, [esp + 6]
	mov [fault_ip], ax
	mov ax, [esp + 8]
	mov [fault_cs], ax
	mov ax, [esp + 10]
	mov [fault_flags], ax
	mov [fault_sp], sp
	jmp leave16

/* int guarded(void (*fn)(void)): vector that ended fn, -1 if none */
	.globl guarded
guarded:
	push ebx
	push ebp
	push esi
	push edi
	mov [saved_esp16], esp
	mov word ptr [fault_vector], 0xffff
	mov eax, [esp + 20]
	call eax
	jmp leave16
	.globl leave16
leave16:
	cld
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	mov esp, [saved_esp16]
	pop edi
	pop esi
	pop ebp
	pop ebx
	movsx eax, word ptr [fault_vector]
	push 2
	popf
	.att_syntax prefix
	retl
	.intel_syntax noprefix

	.bss
	.balign 4
	.globl fault_vector, fault_ip, fault_cs, fault_flags, fault_sp
saved_esp16:	.skip 4
fault_vector:	.skip 2
fault_ip:	.skip 2
fault_cs:	.skip 2
fault_flags:	.skip 2
fault_sp:	.skip 2
	.section .note.GNU-stack, "", @progbits
