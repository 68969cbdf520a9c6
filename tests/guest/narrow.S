/* narrow.S - the sensitive instructions in 32- and 16-bit code. */
	.intel_syntax noprefix
	.text
	.code32
	.globl asm32_sensitive
asm32_sensitive:
	str eax
	mov [narrow_str], eax
	sldt eax
	mov [narrow_sldt], eax
	smsw eax
	mov [narrow_smsw], eax
	mov eax, cs
	mov [narrow_cs], eax
	int 0x81

	.code16
	.globl asm16_sensitive
asm16_sensitive:
	mov ebx, offset narrow_str
	str ax
	mov [ebx], ax
	sldt ax
	mov [ebx + 4], ax
	smsw ax
	mov [ebx + 8], ax
	mov ax, cs
	mov [ebx + 12], ax
	int 0x81

	.bss
	.balign 4
	.globl narrow_str, narrow_sldt, narrow_smsw, narrow_cs
narrow_str:	.skip 4
narrow_sldt:	.skip 4
narrow_smsw:	.skip 4
narrow_cs:	.skip 4
	.section .note.GNU-stack, "", @progbits
