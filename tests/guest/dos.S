# A workload of the kind that DOS programs, extenders and memory managers are.
# A boot sector loads a small kernel that hooks INT 8 and INT 9 and carries out
# the same suite in real mode, in unreal mode and, under a monitor as EMM386 is
# one, in virtual-8086 mode with IOPL 3 and 0; in between it goes into 16-bit
# protected mode and comes back as one does on a 286.  Each part is hashed; the
# hashes go to COM1; a hard reset ends it.  Timer interrupts come all the time.
#
# Everything lies in one segment, KERNEL; OVERLAY and DATA are others.  Behind
# the kernel on the disk are overlays, and sectors to write to.
	.intel_syntax noprefix
	.code16
	.set KERNEL, 0x1000
	.set BASE, 0x10000	# of it, linear
	.set DATA, 0x3000
	.set OVERLAY, 0x5000
	.set TABLES, 0x60000	# page directory and table
	.set STACK, 0xf000	# in KERNEL, as are these
	.set MONITOR_STACK, 0xf800
	.set IDT, 0xb000
	.set TSS, 0xc000
	.set TSS_LIMIT, 104 + 8192
	.set TICK, 1193		# 1 ms
	.set KERNEL_SECTORS, 16
	.set SEL_FLAT, 0x08	# 4 GiB of data
	.set SEL_CODE16, 0x10
	.set SEL_DATA16, 0x18
	.set SEL_EXT, 0x20	# 64 KiB from 0x200000
	.set SEL_DOWN, 0x28	# expand-down, above 0x8000
	.set SEL_LDT, 0x30
	.set SEL_CODE32, 0x38	# KERNEL
	.set SEL_DATA32, 0x40
	.set SEL_TSS, 0x48
	.set SEL_ABSENT, 0x50

	.globl _start
_start:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	sti
	cld
	mov	ds:[0x7c00 + drive], dl
	mov	si, offset packet + 0x7c00
	mov	ah, 0x42
	int	0x13
	mov	al, '!'
	jc	2f
	ljmp	KERNEL, offset main
2:	mov	dx, 0x3f8
	out	dx, al
	hlt
	jmp	2b
	.balign 4
packet:	.word 16, KERNEL_SECTORS, 0, KERNEL
	.quad 0			# from the boot sector on
drive:	.byte 0
	.org 510
	.word 0xaa55

main:	mov	ax, KERNEL
	mov	ds, ax
	mov	es, ax
	cli
	mov	ss, ax
	mov	sp, STACK
	sti
	xor	ax, ax
	mov	fs, ax
	mov	al, fs:[0x7c00 + drive]
	mov	drive, al
	mov	si, offset t_start
	call	print
	call	hook
	call	disk
	call	report
	call	keys
	call	report
	call	bios
	call	report
	call	suite
	call	report
	call	a20
	call	report
	call	unreal
	call	suite
	call	extended
	call	report
	call	ways_of_286
	call	report
	mov	word ptr v86_flags, 0x3202 # IOPL 3
	call	in_v86
	call	report
	mov	word ptr v86_flags, 0x0202 # IOPL 0
	call	in_v86
	call	report
	call	unhook
	mov	si, offset t_done
	call	print
	mov	dx, 0xcf9	# all begins anew
	mov	al, 2
	out	dx, al
	mov	al, 6
	out	dx, al
1:	hlt
	jmp	1b

# ---- output ----

print:	mov	al, cs:[si]
	inc	si
	test	al, al
	jz	1f
	call	putc
	jmp	print
1:	ret

putc:	push	dx
	push	ax
	mov	dx, 0x3fd
1:	in	al, dx
	test	al, 0x20
	jz	1b
	pop	ax
	mov	dx, 0x3f8
	out	dx, al
	pop	dx
	ret

# The hash in hexadecimal; then it starts anew.
report:	mov	ax, KERNEL
	mov	ds, ax
	mov	es, ax
	mov	eax, hash
	mov	cx, 8
1:	rol	eax, 4
	push	eax
	and	al, 15
	cmp	al, 10
	sbb	al, 0x69
	das
	call	putc
	pop	eax
	loop	1b
	mov	al, ' '
	call	putc
	mov	dword ptr hash, 0x811c9dc5
	ret

# EAX into the hash.  Changes nothing but flags.
mix:	push	edx
	mov	edx, cs:hash
	rol	edx, 5
	xor	edx, eax
	imul	edx, edx, 0x01000193
	mov	cs:hash, edx
	pop	edx
	ret

mix16:	push	eax
	movzx	eax, ax
	call	mix
	pop	eax
	ret

# CX bytes from ES:DI.
mix_block:
	push	ax
1:	mov	al, es:[di]
	mov	ah, 0
	call	mix16
	inc	di
	loop	1b
	pop	ax
	ret

# ---- interrupts ----

# INT n goes to CS:to; the old vector is kept.
	.macro hook_vector n, to, old
	mov	eax, fs:[\n * 4]
	mov	\old, eax
	mov	word ptr fs:[\n * 4], offset \to
	mov	word ptr fs:[\n * 4 + 2], cs
	.endm
	.macro unhook_vector n, old
	mov	eax, \old
	mov	fs:[\n * 4], eax
	.endm

hook:	cli
	hook_vector 8, tick, old_8
	hook_vector 9, key, old_9
	hook_vector 0, divided, old_0
	hook_vector 1, stepped, old_1
	hook_vector 4, overflown, old_4
	hook_vector 5, bounded, old_5
	hook_vector 6, undefined, old_6
	hook_vector 7, absent, old_7
	hook_vector 0x60, service, old_60
	hook_vector 0x75, x87_error, old_75
	in	al, 0x21
	and	al, 0xfb
	out	0x21, al
	in	al, 0xa1
	and	al, 0xdf
	out	0xa1, al
	mov	al, 0x34
	out	0x43, al
	mov	al, TICK & 0xff
	out	0x40, al
	mov	al, TICK >> 8
	out	0x40, al
	sti
	ret

unhook:	cli
	xor	ax, ax
	mov	fs, ax
	unhook_vector 8, old_8
	unhook_vector 9, old_9
	unhook_vector 0, old_0
	unhook_vector 1, old_1
	unhook_vector 4, old_4
	unhook_vector 5, old_5
	unhook_vector 6, old_6
	unhook_vector 7, old_7
	unhook_vector 0x60, old_60
	unhook_vector 0x75, old_75
	mov	al, 0x34
	out	0x43, al
	mov	al, 0
	out	0x40, al
	out	0x40, al
	sti
	ret

# Counts in its own code, shows the spinner, and calls the BIOS each 55 times.
tick:	push	ax
	push	ds
	push	es
	push	si
	push	di
	push	cx
	mov	ax, cs
	mov	ds, ax
	mov	es, ax
	.byte	0xb8		# MOV AX, imm16
ticks:	.word	0
	inc	ax
	mov	ticks, ax
	cld
	mov	si, offset ring
	mov	di, offset ring + 1
	mov	cx, 7
	mov	al, [si + 7]
	std
	add	si, 6
	add	di, 6
	rep movsb
	mov	ring, al
	cld
	dec	byte ptr countdown
	pop	cx
	pop	di
	pop	si
	pop	es
	pop	ds
	pop	ax
	jnz	1f
	mov	byte ptr cs:countdown, 55
	ljmp	cs:[old_8]
1:	push	ax
	mov	al, 0x20
	out	0x20, al
	pop	ax
	iret
ring:	.ascii	"|/-\\|/-\\"

# Takes the first keys itself, the others go to the BIOS.
key:	push	ax
	push	bx
	mov	bx, cs:nkeys
	inc	word ptr cs:nkeys
	cmp	bx, 4
	jae	1f
	in	al, 0x60
	mov	cs:[keybuf + bx], al
	mov	al, 0x20
	out	0x20, al
	pop	bx
	pop	ax
	iret
1:	pop	bx
	pop	ax
	ljmp	cs:[old_9]

# Faults that programs provoke: go on behind the instruction.
divided:
	inc	word ptr cs:count_0
	push	bp
	mov	bp, sp
	add	word ptr [bp + 2], 2
	pop	bp
	iret
stepped:
	push	bp
	mov	bp, sp
	push	eax
	movzx	eax, word ptr [bp + 2]
	call	mix
	pop	eax
	pop	bp
	iret
overflown:
	inc	word ptr cs:count_4
	iret
bounded:
	inc	word ptr cs:count_5
	push	bp
	mov	bp, sp
	add	word ptr [bp + 2], 5
	pop	bp
	iret
undefined:
	inc	word ptr cs:count_6
	push	bp
	mov	bp, sp
	add	word ptr [bp + 2], 2
	pop	bp
	iret
# An emulator of x87 instructions of two bytes: counts and notes them.
absent:	push	bp
	mov	bp, sp
	push	ds
	push	si
	push	eax
	lds	si, [bp + 2]
	cld
	lodsw
	call	mix16
	mov	[bp + 2], si
	pop	eax
	pop	si
	pop	ds
	pop	bp
	iret
# IRQ 13: errors as a coprocessor of its own reports them.
x87_error:
	push	ax
	mov	al, 0
	out	0xf0, al
	mov	al, 0x20
	out	0xa0, al
	out	0x20, al
	fnclex
	inc	word ptr cs:count_75
	pop	ax
	iret
service:
	sti
	xchg	al, ah
	add	ax, 0x1234
	iret

# ---- disk ----

# Load overlay AL (0..3) to OVERLAY:0: the even ones by LBA, the odd by CHS.
load:	push	es
	pusha
	movzx	ax, al
	add	ax, KERNEL_SECTORS
	test	al, 1
	jz	1f
	div	byte ptr cs:per_track
	mov	cl, ah
	inc	cl
	mov	dh, al
	mov	ch, 0
	mov	dl, cs:drive
	mov	ax, OVERLAY
	mov	es, ax
	xor	bx, bx
	mov	ax, 0x0201
	int	0x13
	jmp	2f
1:	mov	cs:ovl_lba, ax
	mov	si, offset ovl_packet
	mov	dl, cs:drive
	mov	ah, 0x42
	int	0x13
2:	popa
	pop	es
	ret
	.balign 4
ovl_packet: .word 16, 1, 0, OVERLAY
ovl_lba: .long 0, 0

disk:	push	es
	mov	ah, 8
	mov	dl, drive
	int	0x13
	pop	es
	and	cl, 63
	mov	per_track, cl
	mov	cx, 12
	xor	bx, bx
1:	mov	al, cl
	and	al, 3
	call	load
	jc	9f
	mov	ax, bx
	push	cx
	lcall	OVERLAY, 0
	pop	cx
	mov	bx, ax
	call	mix16
	loop	1b
	# write, read back
	push	es
	mov	ax, DATA
	mov	es, ax
	xor	di, di
	mov	cx, 512
	mov	ax, bx
2:	imul	ax, ax, 25173
	add	ax, 13849
	stosw
	loop	2b
	pop	es
	mov	word ptr ovl_lba, KERNEL_SECTORS + 4
	mov	word ptr ovl_packet + 2, 2
	mov	word ptr ovl_packet + 6, DATA
	mov	ax, 0x4300
	call	packet_io
	mov	word ptr ovl_packet + 4, 0x1000
	mov	ah, 0x42
	call	packet_io
	push	ds
	push	es
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	xor	si, si
	mov	di, 0x1000
	mov	cx, 512
	repe cmpsw
	mov	ax, cx
	setz	al
	pop	es
	pop	ds
	call	mix16
	mov	word ptr ovl_packet + 2, 1
	mov	dword ptr ovl_packet + 4, OVERLAY << 16
	ret
9:	mov	si, offset t_disk
	jmp	print

packet_io:
	mov	si, offset ovl_packet
	mov	dl, drive
	int	0x13
	setc	al
	mov	ah, 0
	jmp	mix16

# ---- keyboard ----

# The controller puts a byte where the keyboard's come.
send_key:
	push	ax
	call	kbc_ready
	mov	al, 0xd2
	out	0x64, al
	call	kbc_ready
	pop	ax
	mov	bx, nkeys
	out	0x60, al
	mov	cx, ticks
1:	cmp	bx, nkeys	# until INT 9 has come
	jne	2f
	mov	ax, ticks
	sub	ax, cx
	cmp	ax, 2000
	jb	1b
2:	ret
kbc_ready:
	in	al, 0x64
	test	al, 2
	jnz	kbc_ready
	ret

keys:	mov	word ptr nkeys, 0
	mov	si, offset scancodes
1:	lodsb
	test	al, al
	jz	2f
	call	send_key
	jmp	1b
2:	mov	eax, dword ptr keybuf
	call	mix
	mov	cx, 4
3:	mov	ah, 1
	int	0x16
	jz	4f
	mov	ah, 0
	int	0x16
	call	mix16
	loop	3b
4:	mov	ax, cx
	jmp	mix16
# A B up for us; a, shift-b, up arrow, Enter for the BIOS
scancodes:
	.byte	0x1e, 0x9e, 0x30, 0xb0
	.byte	0x1e, 0x9e, 0x2a, 0x30, 0xb0, 0xaa, 0x48, 0xc8, 0x1c, 0x9c, 0

# ---- what the BIOS says without a disk ----

bios:	int	0x11
	and	ax, 0x0002	# a coprocessor
	call	mix16
	int	0x12
	cmp	ax, 600
	setae	al
	mov	ah, 0
	call	mix16
	mov	ah, 0x88
	int	0x15
	cmp	ax, 1024
	setae	al
	mov	ah, 0
	call	mix16
	mov	ah, 2		# the clock, which is BCD
	int	0x1a
	mov	al, ch
	aam	16
	cmp	ah, 10
	adc	al, 0
	cmp	cl, 0x60
	setb	al
	mov	ah, 0
	call	mix16
	mov	ax, 0x0e0d	# teletype
	mov	bx, 7
	int	0x10
	mov	ax, 0x4321
	int	0x60
	jmp	mix16

# ---- the suite ----

suite:	call	strings
	call	decimal
	call	coprocessor
	call	self_modifying
	call	traps
	call	far_things
	call	wait_ticks
	ret

# Strings: both directions, overlaps, segments, words over the segment's end.
strings:
	push	ds
	push	es
	mov	ax, DATA
	mov	es, ax
	xor	di, di
	mov	cx, 0x1000
	mov	ax, 0x1357
1:	stosw
	imul	ax, ax, 31421
	inc	ax
	loop	1b
	mov	ax, DATA
	mov	ds, ax
	xor	si, si
	mov	di, 3		# overlapping, upward: a pattern of 3 bytes
	mov	cx, 0x400
	rep movsb
	mov	si, 0x13ff	# overlapping, downward: a copy
	mov	di, 0x1403
	mov	cx, 0x400
	std
	rep movsb
	mov	si, 0x0ffe
	mov	di, 0x1ffc
	mov	cx, 0x100
	rep movsd
	cld
	mov	ax, DATA - 0x100
	mov	ds, ax
	mov	si, 0x1000 - 4
	mov	di, 0xfffc	# DI wraps behind two doublewords
	mov	cx, 2
	rep movsw
	movsb
	mov	ax, DATA
	mov	ds, ax
	xor	di, di
	mov	cx, 0x2000
	call	mix_block
	xor	si, si
	mov	di, 0x800
	mov	cx, 0x400
	xor	dx, dx
2:	repe cmpsb
	adc	dx, cx
	rol	dx, 1
	jcxz	3f
	jmp	2b
3:	mov	ax, dx
	call	mix16
	xor	di, di
	mov	cx, 0x1000
	mov	al, 0x57
4:	repne scasb
	add	dx, cx
	jcxz	5f
	jmp	4b
5:	mov	ax, dx
	call	mix16
	mov	si, 0x10
	mov	cx, 40
	rep lodsb
	call	mix16
	lodsd
	call	mix
	lods	ax, word ptr es:[si]
	call	mix16
	mov	ax, si
	add	ax, di
	call	mix16
	mov	bx, 0x20
	mov	al, 9
	xlat	byte ptr es:[bx]
	call	mix16
	pop	es
	pop	ds
	ret

# Decimal instructions over all of AL, with CF and AF as they come.
	.macro bcd insn, mask
	xor	bx, bx
1:	mov	ah, bh
	shl	ah, 3
	or	ah, bh
	and	ah, 0x11	# CF and AF
	sahf
	mov	al, bl
	mov	ah, bl
	\insn
	pushf
	pop	dx
	and	dx, \mask
	shl	edx, 16
	mov	dx, ax
	mov	eax, edx
	call	mix
	inc	bx
	test	bh, 4
	jz	1b
	.endm
decimal:
	bcd	daa, 0xd5
	bcd	das, 0xd5
	bcd	aaa, 0x11
	bcd	aas, 0x11
	bcd	aam, 0xc4
	bcd	aad, 0xc4
	# a sum of packed decimals of eight digits, a thousand times
	mov	cx, 1000
	xor	eax, eax
	mov	edx, 0x00271828
2:	push	cx
	mov	cx, 4
	clc
3:	pushf
	popf
	mov	bl, al
	adc	al, dl
	daa
	pushf
	ror	eax, 8
	ror	edx, 8
	popf
	loop	3b
	pop	cx
	loop	2b
	call	mix
	ret

# x87, or an emulator in its place.
coprocessor:
	push	bp
	mov	bp, sp
	sub	sp, 128
	fninit
	fnstcw	[bp - 2]
	mov	ax, [bp - 2]
	call	mix16
	fild	word ptr cs:n_355
	fild	word ptr cs:n_113
	fdivp	st(1), st
	fld	st(0)
	fmul	st, st(0)
	fsqrt
	fsub	st, st(1)
	ftst
	fnstsw	ax
	call	mix16
	fstp	st(0)
	mov	cx, 40
1:	fld	st(0)
	fadd	dword ptr cs:n_1_5
	fsqrt
	fst	qword ptr [bp - 16]
	mov	eax, [bp - 16]
	call	mix
	mov	eax, [bp - 12]
	call	mix
	fscale
	frndint
	fxam
	fnstsw	ax
	and	ax, 0x4700
	call	mix16
	fcomp	st(1)
	fnstsw	ax
	and	ax, 0x4500
	call	mix16
	fadd	dword ptr cs:n_1_5
	loop	1b
	fimul	word ptr cs:n_10000
	fbstp	[bp - 28]
	lea	di, [bp - 28]
	push	es
	push	ss
	pop	es
	mov	cx, 10
	call	mix_block
	pop	es
	fbld	[bp - 28]
	fld1
	fldz
	fdivp	st(1), st	# 1/0, masked
	fnstsw	ax
	call	mix16
	fnsave	[bp - 128]
	mov	ax, [bp - 128]	# control, status and tag words
	call	mix16
	mov	ax, [bp - 126]
	call	mix16
	mov	ax, [bp - 124]
	call	mix16
	push	es
	push	ss
	pop	es
	lea	di, [bp - 128 + 14]
	mov	cx, 20
	call	mix_block
	pop	es
	frstor	[bp - 128]
	fistp	word ptr [bp - 4]
	fistp	dword ptr [bp - 8]
	mov	ax, [bp - 4]
	call	mix16
	mov	eax, [bp - 8]
	call	mix
	mov	word ptr cs:count_75, 0
	mov	cx, 10
3:	fninit
	fldcw	cs:cw_zero_divide
	fld1
	fldz
	fdivp	st(1), st	# IRQ 13 comes with the next one
	fnstcw	[bp - 2]
	fld1
	loop	3b
	mov	ax, cs:count_75
	call	mix16
	fninit
	mov	sp, bp
	pop	bp
	cmp	byte ptr cs:in_monitor, 0
	jne	2f		# EM can only be changed in ring 0
	smsw	ax
	or	ax, 4
	lmsw	ax
	.byte	0xd8, 0xc1	# FADD ST, ST(1)
	.byte	0xde, 0xd9	# FCOMPP
	.byte	0xd9, 0xfa	# FSQRT
	mov	eax, cr0
	and	al, 0xfb
	mov	cr0, eax
	ret
2:	mov	ax, 0xc1d8	# what the emulator would have noted
	call	mix16
	mov	ax, 0xd9de
	call	mix16
	mov	ax, 0xfad9
	jmp	mix16
cw_zero_divide: .word 0x037b
n_355:	.word	355
n_113:	.word	113
n_10000: .word	10000
n_1_5:	.float	1.5

# Code that changes itself, is made, and is unpacked.
self_modifying:
	push	ds
	push	es
	mov	ax, cs
	mov	ds, ax
	mov	es, ax
	mov	cx, 300
	xor	dx, dx
1:	mov	word ptr 2f + 1, cx
2:	mov	ax, 0x1111	# the next instruction
	add	dx, ax
	xor	byte ptr 3f, 0x28 ^ 0x00
3:	add	dl, cl		# ADD and SUB in turn
	mov	byte ptr 4f + 2, cl
4:	add	dx, 0x11
	loop	1b
	mov	ax, dx
	call	mix16
	# a routine made in a buffer: MOV AX,n; ROL AX,k; XOR AX,n; RET
	mov	cx, 200
5:	mov	di, offset buffer
	mov	al, 0xb8
	stosb
	mov	ax, cx
	imul	ax, ax, 4099
	stosw
	mov	ax, 0xc0c1
	stosw
	mov	al, cl
	and	al, 15
	stosb
	mov	al, 0x35
	stosb
	mov	ax, dx
	stosw
	mov	al, 0xc3
	stosb
	mov	bx, offset buffer
	call	bx
	mov	dx, ax
	loop	5b
	call	mix16
	# unpack: each byte is exclusive-ored with the one before, run, pack
	mov	cx, 20
6:	push	cx
	mov	si, offset packed
	mov	di, offset buffer
	mov	cx, packed_end - packed
	mov	ah, 0x5a
7:	lodsb
	xor	al, ah
	add	ah, 0x11
	stosb
	loop	7b
	mov	ax, dx
	mov	bx, offset buffer
	call	bx
	mov	dx, ax
	# change the packed form: ADD AX, imm16
	pop	cx
	xor	byte ptr packed + 1, cl
	loop	6b
	call	mix16
	# back to what it was: 20 .. 1 exclusive-ored
	mov	byte ptr packed + 1, 0x34 ^ 0x6b
	pop	es
	pop	ds
	ret
	# ADD AX, 1234h; ROR AX, 1; NEG AX; RET
packed:	.byte	0x05 ^ 0x5a, 0x34 ^ 0x6b, 0x12 ^ 0x7c, 0xd1 ^ 0x8d
	.byte	0xc8 ^ 0x9e, 0xf7 ^ 0xaf, 0xd8 ^ 0xc0, 0xc3 ^ 0xd1
packed_end:
buffer:	.skip	16

# Exceptions that programs live with.
traps:	mov	word ptr cs:count_0, 0
	mov	word ptr cs:count_4, 0
	mov	word ptr cs:count_5, 0
	mov	word ptr cs:count_6, 0
	mov	cx, 50
1:	xor	bl, bl
	mov	ax, cx
	div	bl
	mov	ax, 0x7ff0
	add	ax, cx
	into
	mov	ax, cx
	.byte	0x2e		# CS
	.byte	0x62, 0x06	# BOUND AX, [bounds]
	.word	bounds
	ud2
	loop	1b
	mov	ax, cs:count_0
	call	mix16
	mov	ax, cs:count_4
	call	mix16
	mov	ax, cs:count_5
	call	mix16
	mov	ax, cs:count_6
	call	mix16
	# single steps over a loop, a call, an INT and a MOV SS
	pushf
	pop	ax
	or	ah, 1
	push	ax
	popf
	mov	cx, 3
2:	nop
	loop	2b
	call	3f
	mov	ax, 0x2211
	int	0x60
	mov	bx, ss
	mov	ss, bx
	nop
	pushf
	pop	dx
	and	dh, 0xfe
	push	dx
	popf
	jmp	mix16
3:	ret
bounds:	.word	10, 40

# Far calls, far pointers, frames, 32-bit operands and addresses.
far_things:
	push	ds
	push	es
	mov	cx, 300
	mov	eax, 12345
1:	push	cx
	push	eax
	push	cs
	call	far_routine
	add	sp, 4
	mov	dx, DATA
	mov	es, dx
	mov	edi, eax
	and	edi, 0xffc
	add	es:[edi + 4*ebx + 0x1000], eax
	les	bx, cs:far_pointer
	rol	word ptr es:[bx], 3
	lds	si, cs:far_pointer
	add	ax, [si]
	pop	cx
	loop	1b
	call	mix
	pusha
	mov	bp, sp
	mov	ax, [bp + 12]
	call	mix16
	popa
	pushad
	popad
	mov	bx, 3
	bt	eax, 5
	rcl	bx, 4
	bts	bx, 9
	bsr	cx, bx
	shld	eax, ebx, 7
	add	ax, cx
	call	mix
	mov	ax, 0xfffe
	mov	dx, 1
	mov	bx, 0x7fff
	div	bx
	call	mix16
	movsx	eax, al
	cwd
	idiv	bx
	call	mix16
	pop	es
	pop	ds
	ret
far_routine:
	enter	8, 1
	mov	eax, [bp + 6]
	mov	[bp - 4], eax
	imul	eax, eax, 69069
	inc	eax
	xor	ebx, ebx
	mov	[bp - 8], eax
	mov	bl, [bp - 7]
	leave
	retf
far_pointer: .word 0x40, DATA

# Until five more ticks have come, in HLT.
wait_ticks:
	mov	cx, 5
1:	mov	ax, cs:ticks
2:	sti
	hlt
	cmp	ax, cs:ticks
	je	2b
	loop	1b
	mov	ax, cx
	jmp	mix16

# ---- the A20 gate ----

# AX: 1 if FFFF:0510 is not 0000:0500.
probe_a20:
	push	ds
	push	es
	xor	ax, ax
	mov	ds, ax
	dec	ax
	mov	es, ax
	mov	word ptr ds:[0x500], 0x1234
	mov	word ptr es:[0x510], 0x4321
	cmp	word ptr ds:[0x500], 0x1234
	sete	al
	mov	ah, 0
	pop	es
	pop	ds
	jmp	mix16

a20:	mov	cx, 3
1:	in	al, 0x92
	and	al, 0xfc
	out	0x92, al
	call	probe_a20
	in	al, 0x92
	and	al, 0xfe
	or	al, 2
	out	0x92, al
	call	probe_a20
	mov	al, 0xdd
	call	kbc_output
	call	probe_a20
	mov	al, 0xdf
	call	kbc_output
	call	probe_a20
	mov	ax, 0x2400
	int	0x15
	call	probe_a20
	mov	ax, 0x2401
	int	0x15
	call	probe_a20
	loop	1b
	ret

kbc_output:
	cli
	push	ax
	call	kbc_ready
	mov	al, 0xd1
	out	0x64, al
	call	kbc_ready
	pop	ax
	out	0x60, al
	call	kbc_ready
	sti
	ret

# ---- unreal mode and extended memory ----

unreal:	cli
	push	ds
	push	es
	lgdt	cs:gdtr
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	jmp	1f
1:	mov	bx, SEL_FLAT
	mov	gs, bx
	mov	es, bx
	and	al, 0xfe
	mov	cr0, eax
	jmp	1f
1:	pop	es
	pop	ds
	xor	ax, ax
	mov	gs, ax
	sti
	ret

# Beyond 1 MB: with big segments, and by the BIOS.
extended:
	push	es
	xor	ax, ax
	mov	es, ax
	mov	edi, 0x180000
	mov	ecx, 0x4000
	mov	eax, 1
1:	stos	dword ptr es:[edi], eax
	imul	eax, eax, 1664525
	add	eax, 1013904223
	dec	ecx
	jnz	1b
	mov	esi, 0x180000
	mov	edi, 0x200000
	mov	ecx, 0x4000
	rep movs dword ptr es:[edi], dword ptr gs:[esi]
	pop	es
	push	es
	mov	ax, cs
	mov	es, ax
	mov	si, offset move_table
	mov	cx, 0x1000	# words
	mov	ah, 0x87
	int	0x15
	setc	al
	mov	ah, 0
	call	mix16
	mov	ax, DATA
	mov	es, ax
	xor	di, di
	mov	cx, 0x2000
	call	mix_block
	pop	es
	call	unreal		# the BIOS may have closed it
	mov	edi, 0x20fffc
	mov	eax, gs:[edi]
	jmp	mix
	.balign 8
move_table:
	.quad	0, 0
	.quad	0x0000932000100000 | 0xffff # from 0x200010
	.quad	0x0000930300000000 | 0xffff # to DATA
	.quad	0, 0

# ---- protected mode as on a 286 ----

	.balign 8
gdt:	.quad	0
	.quad	0x00cf93000000ffff
	.quad	0x00009b010000ffff
	.quad	0x000093010000ffff
	.quad	0x000093200000ffff
	.quad	0x0000970300007fff
	.word	15, ldt, 0x8201, 0
	.quad	0x00409b010000ffff
	.quad	0x004093010000ffff
	.word	TSS_LIMIT, TSS, 0x8901, 0
	.quad	0x000013010000ffff
gdt_end:
gdtr:	.word	gdt_end - gdt - 1
	.long	BASE + gdt
	.balign 8
ldt:	.quad	0x0000930300000000 | 0xfff	# 4 KiB of DATA
	.word	gate_target, SEL_CODE16, 0x8400, 0 # call gate
idt286:	.rept	32
	.word	fault286, SEL_CODE16, 0x8600, 0
	.endr
idtr286: .word	32 * 8 - 1
	.long	BASE + idt286
idtr386: .word	0x60 * 8 - 1
	.long	BASE + IDT
idtr_real: .word 0x3ff
	.long	0
idtr_none: .word 0
	.long	0

# There and back, by the four ways of resetting the processor.
ways_of_286:
	mov	word ptr way, 0
next_way:
	cli
	mov	al, 0x0f
	out	0x70, al
	mov	al, 0x0a	# jump to 40:67, no EOI
	out	0x71, al
	xor	ax, ax
	mov	fs, ax
	mov	word ptr fs:[0x467], offset back_286
	mov	word ptr fs:[0x469], cs
	mov	old_sp, sp
	lgdt	gdtr
	lidt	idtr286
	smsw	ax
	or	ax, 1
	lmsw	ax
	ljmp	SEL_CODE16, offset in_286
in_286:	mov	ax, SEL_DATA16
	mov	ds, ax
	mov	ss, ax
	mov	ax, SEL_LDT
	lldt	ax
	call	work_286
	mov	bx, way
	cmp	bx, 2
	je	3f
	ja	5f
	cmp	bx, 1
	je	2f
	mov	al, 0xfe	# the keyboard controller
	out	0x64, al
	jmp	4f
2:	lidt	idtr_none	# a triple fault
	int3
3:	in	al, 0x92	# port 92h
	and	al, 0xfe
	out	0x92, al
	or	al, 1
	out	0x92, al
	jmp	4f
5:	mov	dx, 0xcf9	# the bridge: INIT
	mov	al, 0
	out	dx, al
	mov	al, 4
	out	dx, al
4:	hlt
	jmp	4b

back_286:
	cli
	mov	ax, KERNEL
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, old_sp
	smsw	ax
	and	ax, 1
	call	mix16
	mov	ax, way
	call	mix16
	inc	word ptr way
	cmp	word ptr way, 4
	jb	next_way
	xor	ax, ax
	mov	fs, ax
	mov	gs, ax
	sti
	jmp	wait_ticks

# Segments, gates and faults.
work_286:
	mov	ax, SEL_EXT
	mov	es, ax
	mov	ax, SEL_DATA16
	mov	ds, ax
	xor	di, di
	mov	cx, 64
	push	ds
	mov	ax, SEL_EXT
	mov	ds, ax
	xor	ax, ax
	xor	si, si
1:	add	ax, [si]
	rol	ax, 1
	add	si, 2
	loop	1b
	pop	ds
	call	mix286
	mov	si, offset selectors
2:	lodsw
	mov	bx, ax
	test	ax, ax
	jz	3f
	xor	ax, ax
	lar	ax, bx
	pushf
	and	ax, 0xfe00	# without "accessed"
	call	mix286
	popf
	sete	al
	mov	ah, 0
	call	mix286
	lsl	ax, bx
	call	mix286
	verw	bx
	sete	al
	mov	ah, 0
	call	mix286
	verr	bx
	sete	al
	call	mix286
	jmp	2b
3:	mov	ax, SEL_DATA16
	mov	bx, 3
	arpl	ax, bx
	call	mix286
	lcall	0xc, 0		# LDT 8 with TI: the call gate
	call	mix286
	mov	ax, 4
	mov	es, ax		# LDT 0
	mov	ax, es:[0x10]
	call	mix286
	# faults: each leaves vector and error code
	mov	si, offset faulty
4:	lodsw
	test	ax, ax
	jz	5f
	mov	word ptr fault_resume, offset 6f
	mov	fault_sp, sp
	call	ax
	mov	ax, 0xffff	# none
	call	mix286
	jmp	4b
6:	mov	ax, SEL_DATA16
	mov	ds, ax
	jmp	4b
5:	ret
selectors: .word SEL_FLAT, SEL_CODE16, SEL_DATA16, SEL_EXT, SEL_DOWN, SEL_LDT
	.word	SEL_CODE32, SEL_TSS, SEL_ABSENT, 0x78, 4, 0xc, 0
faulty:	.word	f_limit, f_write, f_absent, f_beyond, f_down, f_down_ok, f_null, 0
f_limit: mov	ax, 4
	mov	es, ax
	mov	al, es:[0x1000]
	ret
f_write: mov	byte ptr cs:[buffer], 1
	ret
f_absent: mov	ax, SEL_ABSENT
	mov	es, ax
	ret
f_beyond: mov	ax, 0x78
	mov	es, ax
	ret
f_down:	mov	ax, SEL_DOWN
	mov	es, ax
	mov	al, es:[0x7fff]
	ret
f_down_ok: mov	ax, SEL_DOWN
	mov	es, ax
	mov	al, es:[0x8000]
	ret
f_null:	xor	ax, ax
	mov	es, ax
	mov	al, es:[0]
	ret
gate_target:
	mov	ax, 0x0286
	retf
# An error code is on the stack or not: what lies between says.
fault286:
	mov	bp, sp
	mov	ax, SEL_DATA16
	mov	ds, ax
	mov	ax, fault_sp
	sub	ax, bp
	call	mix286
	mov	ax, [bp]
	cmp	ax, 0x100
	jb	1f
	mov	ax, 0xfffe	# an address
1:	call	mix286
	mov	sp, fault_sp
	mov	ax, fault_resume
	jmp	ax
# As mix16, where CS cannot be written.
mix286:	push	edx
	push	eax
	movzx	eax, ax
	mov	edx, hash
	rol	edx, 5
	xor	edx, eax
	imul	edx, edx, 0x01000193
	mov	hash, edx
	pop	eax
	pop	edx
	ret

# ---- virtual-8086 mode under a monitor ----

in_v86:	cli
	mov	old_sp, sp
	call	make_tables
	lgdt	gdtr
	lidt	idtr386
	mov	eax, TABLES
	mov	cr3, eax
	mov	eax, cr0
	or	eax, 0x80000001
	mov	cr0, eax
	ljmp	SEL_CODE32, offset monitor
back_386:			# 16-bit protected mode again
	mov	ax, SEL_DATA16
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	mov	eax, cr0
	and	eax, 0x7ffffffe
	mov	cr0, eax
	ljmp	KERNEL, offset back_387
back_387:
	xor	eax, eax
	mov	cr3, eax
	lidt	cs:idtr_real
	mov	ax, KERNEL
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, old_sp
	xor	ax, ax
	mov	fs, ax
	mov	gs, ax
	mov	bx, 0x7008	# vectors of the 8259s
	call	set_8259s
	mov	byte ptr in_monitor, 0
	sti
	ret

# 4 MiB to themselves; gates; the TSS's I/O map lets all ports but 92h pass.
make_tables:
	push	es
	mov	ax, TABLES >> 4
	mov	es, ax
	xor	di, di
	xor	eax, eax
	mov	cx, 1024
	rep stosd
	mov	dword ptr es:[0], TABLES + 0x1000 + 7
	mov	eax, 7
	mov	cx, 1024
1:	stosd
	add	eax, 0x1000
	loop	1b
	mov	ax, ds
	mov	es, ax
	mov	di, IDT
	mov	eax, SEL_CODE32 << 16
	mov	bx, offset stubs
	mov	cx, 0x60
2:	mov	ax, bx
	stosd
	mov	dword ptr [di], 0x8e00
	add	di, 4
	add	bx, 16
	loop	2b
	mov	byte ptr ds:[IDT + 3 * 8 + 5], 0xee # INT3 and INTO
	mov	byte ptr ds:[IDT + 4 * 8 + 5], 0xee
	mov	di, TSS
	mov	cx, TSS_LIMIT + 1
	mov	al, 0
	rep stosb
	mov	word ptr ds:[TSS + 4], MONITOR_STACK
	mov	word ptr ds:[TSS + 8], SEL_DATA32
	mov	word ptr ds:[TSS + 102], 104 # the I/O map
	mov	byte ptr ds:[TSS + 104 + 0x92 / 8], 1 << (0x92 & 7)
	mov	byte ptr ds:[TSS + TSS_LIMIT], 0xff
	and	byte ptr gdt + SEL_TSS + 5, 0xfd # not busy
	mov	byte ptr in_monitor, 1
	mov	bx, 0x5850
	call	set_8259s
	pop	es
	ret

# Vectors BL and BH; masks stay.
set_8259s:
	in	al, 0x21
	mov	cl, al
	in	al, 0xa1
	mov	ch, al
	mov	al, 0x11
	out	0x20, al
	out	0xa0, al
	mov	al, bl
	out	0x21, al
	mov	al, bh
	out	0xa1, al
	mov	al, 4
	out	0x21, al
	mov	al, 2
	out	0xa1, al
	mov	al, 1
	out	0x21, al
	out	0xa1, al
	mov	al, cl
	out	0x21, al
	mov	al, ch
	out	0xa1, al
	ret

# What runs in virtual-8086 mode.
v86_main:
	xor	ax, ax
	mov	fs, ax
	call	suite
	call	keys
	call	bios
	call	ems
	call	v86_a20
	mov	eax, cr0	# the monitor shows it
	and	eax, 1
	call	mix
	pushf
	pop	ax
	and	ax, 0x0200
	call	mix16
	cli
	pushf
	pop	ax
	and	ax, 0x0200
	call	mix16
	mov	cx, ticks	# none comes
	mov	dx, 2000
1:	in	al, 0x61
	dec	dx
	jnz	1b
	mov	ax, ticks
	sub	ax, cx
	call	mix16
	sti
	call	wait_ticks
	pushfd
	pop	eax
	and	eax, 0x20200	# VM does not show
	call	mix
	int	0x66		# to the monitor: enough
	hlt

# Pages of extended memory in a window at D000:0, by INT 67h.
ems:	mov	cx, 16
1:	mov	bx, cx
	call	ems_map
	mov	ax, 0xd000
	mov	es, ax
	xor	di, di
	push	cx
	mov	ax, cx
	mov	cx, 0x800
2:	imul	ax, ax, 4093
	inc	ax
	stosw
	loop	2b
	pop	cx
	loop	1b
	mov	cx, 16
3:	mov	bx, 17
	sub	bx, cx
	call	ems_map
	xor	si, si
	push	cx
	mov	cx, 0x800
	xor	dx, dx
4:	lods	ax, word ptr es:[si]
	rol	dx, 1
	xor	dx, ax
	loop	4b
	pop	cx
	mov	ax, dx
	call	mix16
	loop	3b
	mov	ax, KERNEL
	mov	es, ax
	ret
ems_map:
	mov	ax, 0x4400
	int	0x67
	ret

# The monitor's A20 gate is made of pages.
v86_a20:
	in	al, 0x92
	and	al, 0xfc
	out	0x92, al
	call	probe_a20
	in	al, 0x92
	or	al, 2
	out	0x92, al
	call	probe_a20
	in	al, 0x92
	and	ax, 2
	jmp	mix16

# ---- the monitor: 32 bits, ring 0 ----

	.code32
monitor:
	mov	eax, SEL_DATA32
	mov	ds, eax
	mov	ss, eax
	mov	esp, MONITOR_STACK
	mov	eax, SEL_FLAT
	mov	es, eax
	mov	fs, eax
	mov	gs, eax
	xor	eax, eax
	lldt	ax
	mov	eax, SEL_TSS
	ltr	ax
	mov	dword ptr a20_open, 2
	mov	eax, KERNEL
	push	eax		# GS FS DS ES SS ESP EFLAGS CS EIP
	push	eax
	push	eax
	push	eax
	push	eax
	push	STACK - 0x400
	movzx	ebx, word ptr v86_flags
	or	ebx, 0x20000
	push	ebx
	push	eax
	push	offset v86_main
	iretd

	.balign 16
stubs:	.set	v, 0
	.rept	0x60
	.balign 16
	.if (v == 8) || ((v >= 10) && (v <= 14)) || (v == 17)
	.else
	push	0
	.endif
	push	v
	jmp	common
	.set	v, v + 1
	.endr

	# PUSHAD below, vector, error code, then what IRETD takes
	.set F_EDI, 0
	.set F_ESP, 12
	.set F_EDX, 20
	.set F_EBX, 16
	.set F_EAX, 28
	.set F_VECTOR, 32
	.set F_ERROR, 36
	.set F_EIP, 40
	.set F_CS, 44
	.set F_FLAGS, 48
	.set F_USER_ESP, 52
	.set F_SS, 56
common:	pushad
	mov	ebp, esp
	mov	eax, SEL_DATA32
	mov	ds, eax
	mov	eax, SEL_FLAT
	mov	es, eax
	cld
	test	dword ptr [ebp + F_FLAGS], 0x20000
	jz	broken
	mov	eax, [ebp + F_VECTOR]
	cmp	eax, 0x50
	jae	irq
	cmp	eax, 13
	je	general
	cmp	eax, 7
	jbe	reflected
broken:	mov	al, '?'
	mov	dx, 0x3f8
	out	dx, al
	mov	eax, [ebp + F_VECTOR]
	add	al, 'A'
	out	dx, al
1:	hlt
	jmp	1b

leave:	popad
	add	esp, 8
	iretd

irq:	movzx	eax, byte ptr irq_vectors[eax - 0x50]
	# fall through

# Exceptions of the program are the program's.
reflected:
	call	reflect
	jmp	leave

# EAX becomes the program's interrupt.
reflect:
	push	eax
	mov	ecx, [ebp + F_FLAGS]
	or	ecx, 0x3000	# IOPL as it believes
	call	push16
	mov	ecx, [ebp + F_CS]
	call	push16
	mov	ecx, [ebp + F_EIP]
	call	push16
	pop	eax
	mov	ecx, es:[eax * 4]
	movzx	edx, cx
	mov	[ebp + F_EIP], edx
	shr	ecx, 16
	mov	[ebp + F_CS], ecx
	and	dword ptr [ebp + F_FLAGS], ~0x100
	mov	ecx, 0
	# fall through

# Set the program's interrupt flag to that of ECX.
set_if:	and	ecx, 0x200
	and	dword ptr [ebp + F_FLAGS], ~0x200
	or	[ebp + F_FLAGS], ecx
	ret

# CX to and from the program's stack.
push16:	sub	word ptr [ebp + F_USER_ESP], 2
	call	stack_at
	mov	es:[eax], cx
	ret
pop16:	call	stack_at
	movzx	ecx, word ptr es:[eax]
	add	word ptr [ebp + F_USER_ESP], 2
	ret
stack_at:
	movzx	eax, word ptr [ebp + F_SS]
	shl	eax, 4
	movzx	edx, word ptr [ebp + F_USER_ESP]
	add	eax, edx
	ret

# An instruction that the program may not carry out itself.
general:
	movzx	esi, word ptr [ebp + F_CS]
	shl	esi, 4
	add	esi, [ebp + F_EIP]
	xor	ebx, ebx	# how long
	mov	dword ptr wide, 0
1:	mov	al, es:[esi + ebx]
	inc	ebx
	cmp	al, 0x66
	jne	2f
	inc	dword ptr wide
	jmp	1b
2:	mov	edi, offset handlers
3:	cmp	byte ptr [edi], al
	je	4f
	add	edi, 8
	cmp	edi, offset handlers_end
	jb	3b
	jmp	broken
4:	push	dword ptr [ebp + F_FLAGS]
	push	edi
	call	[edi + 4]
	add	[ebp + F_EIP], ebx
	pop	edi
	pop	eax
	test	ah, 1		# it was stepped; INT is not
	jz	leave
	cmp	byte ptr [edi], 0xcd
	je	leave
	mov	eax, 1
	call	reflect
	jmp	leave

	.macro handler code, to
	.long	\code, \to
	.endm
handlers:
	handler	0xcd, g_int
	handler	0xfa, g_cli
	handler	0xfb, g_sti
	handler	0x9c, g_pushf
	handler	0x9d, g_popf
	handler	0xcf, g_iret
	handler	0xf4, g_hlt
	handler	0xe4, g_in
	handler	0xe6, g_out
	handler	0x0f, g_cr0
handlers_end:

g_int:	movzx	eax, byte ptr es:[esi + ebx]
	inc	ebx
	cmp	al, 0x66
	je	finish
	cmp	al, 0x67
	je	g_ems
	add	[ebp + F_EIP], ebx
	xor	ebx, ebx
	jmp	reflect
g_cli:	xor	ecx, ecx
	jmp	set_if
g_sti:	mov	ecx, 0x200
	jmp	set_if
g_pushf:
	mov	ecx, [ebp + F_FLAGS]
	or	ecx, 0x3000
	cmp	dword ptr wide, 0
	je	push16
	push	ecx
	shr	ecx, 16
	and	ecx, 0xfffc	# neither RF nor VM
	call	push16
	pop	ecx
	jmp	push16
g_popf:	call	pop16
	call	new_flags
	cmp	dword ptr wide, 0
	jne	pop16
	ret
g_iret:	call	pop16
	mov	[ebp + F_EIP], ecx
	call	pop16
	mov	[ebp + F_CS], ecx
	call	pop16
	xor	ebx, ebx
	# fall through
new_flags:
	mov	eax, [ebp + F_FLAGS]
	and	eax, 0x23200	# VM and IOPL are not the program's
	mov	edx, ecx
	and	edx, 0x4dd5
	or	eax, edx
	mov	[ebp + F_FLAGS], eax
	jmp	set_if
# Until the 8259 has something: an interrupt here would come out of ring 0.
g_hlt:	mov	al, 0x0a
	out	0x20, al
	in	al, 0x21
	mov	ah, al
	not	ah
	in	al, 0x20
	test	al, ah
	jz	g_hlt
	ret
g_in:	movzx	eax, byte ptr es:[esi + ebx]
	inc	ebx
	cmp	al, 0x92
	jne	broken
	mov	al, a20_open
	mov	[ebp + F_EAX], al
	ret
g_out:	movzx	eax, byte ptr es:[esi + ebx]
	inc	ebx
	cmp	al, 0x92
	jne	broken
	mov	al, [ebp + F_EAX]
	and	eax, 2
	mov	a20_open, eax
	# the 64 KiB behind 1 MiB
	mov	edi, TABLES + 0x1000 + 0x100 * 4
	shl	eax, 19		# 0 or 0x100000
	or	eax, 7
	mov	ecx, 16
1:	mov	es:[edi], eax
	add	edi, 4
	add	eax, 0x1000
	loop	1b
	mov	eax, cr3
	mov	cr3, eax
	ret
g_cr0:	movzx	ecx, word ptr es:[esi + ebx]
	xor	ecx, 0xc020	# MOV register, CR0
	test	ecx, 0xf8ff
	jnz	broken
	add	ebx, 2
	shr	ecx, 8
	neg	ecx
	mov	eax, cr0
	mov	[ebp + ecx * 4 + F_EAX], eax
	ret
# Page BX of 4 KiB into the window.
g_ems:	movzx	eax, word ptr [ebp + F_EBX]
	shl	eax, 12
	add	eax, 0x300000 + 7
	mov	es:[TABLES + 0x1000 + 0xd0 * 4], eax
	mov	edi, 0xd0000
	invlpg	es:[edi]
	mov	byte ptr [ebp + F_EAX + 1], 0
	ret
finish:	mov	eax, cr0
	and	eax, 0x7fffffff
	mov	cr0, eax
	xor	eax, eax
	mov	cr3, eax
	ljmp	SEL_CODE16, offset back_386

	.code16
irq_vectors: .byte 8, 9, 10, 11, 12, 13, 14, 15
	.byte	0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77

# ---- data ----

t_start: .asciz	"START\n"
t_done:	.asciz	"DONE\n"
t_disk:	.asciz	"disk? "
	.balign 4
hash:	.long	0x811c9dc5
old_8:	.long	0
old_9:	.long	0
old_0:	.long	0
old_1:	.long	0
old_4:	.long	0
old_5:	.long	0
old_6:	.long	0
old_7:	.long	0
old_60:	.long	0
old_75:	.long	0
wide:	.long	0
a20_open: .long	0
count_0: .word	0
count_4: .word	0
count_5: .word	0
count_6: .word	0
count_75: .word	0
nkeys:	.word	0
keybuf:	.long	0
way:	.word	0
old_sp:	.word	0
fault_sp: .word	0
fault_resume: .word 0
v86_flags: .word 0
per_track: .byte 0
countdown: .byte 55
in_monitor: .byte 0
	.org	KERNEL_SECTORS * 512

	# Four overlays of a sector each, far routines at OVERLAY:0.
overlay_0:
	mov	cx, 100
1:	add	ax, cx
	rol	ax, 3
	loop	1b
	jmp	2f
	.org	overlay_0 + 256
2:	xor	ax, 0x5555
	push	cs
	pop	es
	mov	cx, ax
	mov	es:[3f - overlay_0 + 1], ax
3:	mov	cx, 0
	sub	ax, cx
	add	ax, 0x1111
	mov	cx, KERNEL
	mov	es, cx
	jmp	4f
	.org	overlay_0 + 512 - 16
4:	retf
	.org	overlay_0 + 512

overlay_1:
	push	bp
	mov	bp, ax
	mov	cx, 50
1:	mov	ax, bp
	mov	dx, 31421
	mul	dx
	add	ax, 6927
	adc	dx, 0
	xor	ax, dx
	mov	bp, ax
	loop	1b
	pop	bp
	retf
	.org	overlay_1 + 512

overlay_2:
	push	ds
	push	cs
	pop	ds
	mov	cx, 256
	xor	si, si
	cld
	mov	dx, ax
1:	lodsw
	rol	dx, 1
	xor	dx, ax
	loop	1b
	mov	ax, dx
	pop	ds
	retf
	.org	overlay_2 + 508
	.long	0x5eed1e55

overlay_3:
	jmp	2f
1:	retf
	.org	overlay_3 + 400
2:	mov	cx, 17
3:	add	al, ah
	daa
	xchg	al, ah
	ror	ax, 2
	sbb	ax, cx
	loop	3b
	jmp	1b
	.org	overlay_3 + 512

	# to be written
	.skip	1024
