# A real-mode workload of the kind that DOS programs are: a boot sector that
# loads the rest, works in several segments and says checksums on COM1.  The
# symbol ROUNDS says how often.
	.intel_syntax noprefix
	.code16
	.globl _start
_start:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7c00
	sti
	cld
	mov	ax, 0x0208		# eight sectors behind this one
	mov	bx, 0x7e00
	mov	cx, 0x0002
	mov	dh, 0
	int	0x13
	jc	fail
	ljmp	0x07c0, offset main - _start
fail:
	mov	al, '!'
	mov	dx, 0x3f8
	out	dx, al
	hlt
	jmp	fail
	.org 510
	.word 0xaa55

	# CS = 07C0 from here: offsets are from _start

main:
	push	cs
	pop	ds
	mov	ax, 0x2000
	mov	es, ax
	mov	si, (offset s_start - _start)
	call	print
	mov	word ptr ds:[(offset rounds - _start)], ROUNDS
again:
	call	sieve
	call	report
	call	strings
	call	report
	call	sort
	call	report
	call	farcalls
	call	report
	call	divide
	call	report
	call	bytes
	call	report
	call	wide
	call	report
	dec	word ptr ds:[(offset rounds - _start)]
	jnz	again
	mov	si, (offset s_done - _start)
	call	print
1:	hlt
	jmp	1b

print:	lodsb
	test	al, al
	jz	1f
	call	putc
	jmp	print
1:	ret
putc:	push	dx
	push	ax
	mov	dx, 0x3fd
2:	in	al, dx
	test	al, 0x20
	jz	2b
	pop	ax
	mov	dx, 0x3f8
	out	dx, al
	pop	dx
	ret
	# AX in hexadecimal, in the last round only
report:	cmp	word ptr ds:[(offset rounds - _start)], 1
	jne	1f
	mov	cx, 4
3:	rol	ax, 4
	push	ax
	and	al, 15
	add	al, 0x90
	daa
	adc	al, 0x40
	daa
	call	putc
	pop	ax
	loop	3b
	mov	al, ' '
	call	putc
1:	ret

	# primes below 16384 by a byte array in ES
sieve:	xor	di, di
	mov	cx, 8192
	mov	ax, 0x0101
	rep stosw
	mov	si, 2
1:	cmp	byte ptr es:[si], 0
	je	3f
	mov	di, si
	add	di, di
	jmp	4f
2:	mov	byte ptr es:[di], 0
	add	di, si
4:	cmp	di, 16384
	jb	2b
3:	inc	si
	cmp	si, 128
	jb	1b
	xor	ax, ax
	mov	cx, 16384
	xor	bx, bx
5:	mov	dl, es:[bx]
	mov	dh, 0
	add	ax, dx
	inc	bx
	loop	5b
	ret

	# copy, compare and scan between segments
strings:
	push	ds
	push	es
	mov	ax, 0x3000
	mov	es, ax
	mov	ax, 0x2000
	mov	ds, ax
	xor	si, si
	xor	di, di
	mov	cx, 8192
	rep movsw
	xor	si, si
	xor	di, di
	mov	cx, 16384
	repe cmpsb
	pushf
	mov	bp, cx
	xor	di, di
	mov	cx, 16384
	mov	al, 7
	repne scasb
	add	bp, cx
	mov	cx, 2000
	mov	si, 100
	xor	bx, bx
1:	lodsb
	xor	bl, al
	rol	bx, 1
	add	bx, si
	loop	1b
	mov	si, 16
	mov	di, 20000
	mov	cx, 3000
2:	movsb
	stosb
	loop	2b
	pop	ax
	and	ax, 0x8d5
	add	ax, bp
	add	ax, bx
	pop	es
	pop	ds
	ret

	# bubble sort of 128 words on the stack
sort:	push	bp
	mov	bp, sp
	sub	sp, 256
	mov	ax, 12345
	xor	di, di
1:	mov	bx, 25173
	mul	bx
	add	ax, 13849
	mov	[bp+di-256], ax
	add	di, 2
	cmp	di, 256
	jb	1b
	mov	cx, 127
2:	push	cx
	xor	di, di
3:	mov	ax, [bp+di-256]
	cmp	ax, [bp+di-254]
	jbe	4f
	xchg	ax, [bp+di-254]
	mov	[bp+di-256], ax
4:	add	di, 2
	loop	3b
	pop	cx
	loop	2b
	xor	ax, ax
	xor	di, di
5:	rol	ax, 1
	xor	ax, [bp+di-256]
	add	di, 2
	cmp	di, 256
	jb	5b
	mov	sp, bp
	pop	bp
	ret

	# far calls with parameters, far pointers, and a software interrupt
farcalls:
	push	ds
	xor	ax, ax
	mov	ds, ax
	mov	word ptr ds:[0x60*4], (offset isr - _start)
	mov	word ptr ds:[0x60*4+2], cs
	pop	ds
	mov	cx, 1000
	xor	dx, dx
1:	push	cx
	push	cx
	push	dx
	lcall	0x07c0, (offset mixer - _start)
	mov	dx, ax
	les	bx, cs:[(offset pointer - _start)]
	add	es:[bx], dx
	lds	si, cs:[(offset pointer - _start)]
	add	dx, [si]
	push	cs
	pop	ds
	test	cl, 15
	jnz	2f
	int	0x60
2:	pop	cx
	loop	1b
	mov	ax, 0x2000
	mov	es, ax
	mov	word ptr es:[0x5000], 0
	mov	ax, dx
	ret
mixer:	push	bp
	mov	bp, sp
	mov	ax, [bp+6]
	imul	ax, ax, 31
	add	ax, [bp+8]
	cmp	ax, 0x8000
	jb	1f
	ror	ax, 3
1:	pop	bp
	retf	4
isr:	add	dx, 3
	iret
pointer: .word 0x5000, 0x2000

	# division and decimal printing
divide:	mov	cx, 500
	xor	bp, bp
1:	mov	ax, cx
	mul	cx
2:	mov	bx, 10
	xor	dx, dx
	div	bx
	add	bp, dx
	test	ax, ax
	jnz	2b
	mov	ax, cx
	mov	bl, 9
	and	ah, 3
	div	bl
	add	bp, ax
	loop	1b
	mov	ax, bp
	ret

	# byte registers, high and low, tables
bytes:	mov	cx, 4000
	mov	bx, (offset _start - _start)
	xor	ax, ax
	xor	dx, dx
1:	mov	ah, [bx]
	add	al, ah
	mov	dl, cl
	mov	dh, [bx+1]
	xor	ah, dh
	adc	al, dl
	mov	es:[bx], ah
	add	es:[bx+1], dh
	shl	ah, 1
	sbb	al, 0
	inc	bx
	and	bh, 3
	loop	1b
	ret

	# 32-bit operands and addresses in 16-bit code
wide:	mov	ecx, 3000
	mov	eax, 1
	xor	edi, edi
1:	imul	eax, eax, 69069
	inc	eax
	mov	edi, eax
	and	edi, 0xffc
	mov	es:[edi], eax
	movzx	edx, word ptr es:[edi+1]
	add	eax, edx
	bswap	edx
	xor	eax, edx
	dec	ecx
	jnz	1b
	mov	edx, eax
	shr	edx, 16
	xor	ax, dx
	ret

rounds:	.word 0
s_start: .asciz "START\n"
s_done:	.asciz "DONE\n"
	.org 512 * 9
