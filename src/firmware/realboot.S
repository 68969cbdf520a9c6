/*
 * realboot.S - the option ROM that starts real-mode kernels.
 *
 * BIOS Boot Specification 1.01: a PnP expansion header with a bootstrap entry
 * vector.  The BIOS calls it in real mode with interrupts on.  fw_cfg DMA (as
 * in QEMU's documentation of fw_cfg): a big-endian descriptor {control,
 * length, address} in memory, its address written to ports 0x514 and 0x518.
 * realboot.c fills in the ROM's size and checksum.
 */
	.section .rodata
	.code16
	.globl fw_realboot_image, fw_realboot_image_end
	.balign 16

#define FW_CFG_SELECT	0x510
#define FW_CFG_DATA	0x511
#define FW_CFG_DMA_LOW	0x518
#define DMA_ERROR	0x01
#define DMA_READ	0x02
#define DMA_SELECT	0x08

fw_realboot_image:
	.byte	0x55, 0xaa, 0		/* size: realboot.c */
	lret				/* nothing to initialise */
	.org	fw_realboot_image + 0x1a
	.word	pnp - fw_realboot_image

	.balign 16
pnp:	.ascii	"$PnP"
	.byte	1, 2			/* revision, length / 16 */
	.word	0			/* next header */
	.byte	0, 0			/* checksum: not looked at */
	.long	0			/* device identifier */
	.word	0
	.word	name - fw_realboot_image
	.byte	0x02, 0x00, 0x00	/* mass storage */
	.byte	0x64			/* may be shadowed, is an IPL device */
	.word	0, 0
	.word	start - fw_realboot_image /* bootstrap entry vector */
	.word	0, 0

name:	.asciz	"vmeste kernel"
failed:	.asciz	"\r\nvmeste: the kernel could not be loaded\r\n"

/* Four bytes of entry %ax into %eax. */
number:
	movw	$FW_CFG_SELECT, %dx
	outw	%ax, %dx
	movw	$FW_CFG_DATA, %dx
	movw	$4, %cx
1:	inb	%dx, %al
	rorl	$8, %eax
	loop	1b
	ret

/* Copy entry %bx, whose length is entry %si, to where entry %di says. */
piece:
	movw	%si, %ax
	call	number
	testl	%eax, %eax
	jz	2f
	bswap	%eax
	movl	%eax, 4(%bp)		/* length */
	movw	%di, %ax
	call	number
	bswap	%eax
	movl	%eax, 12(%bp)		/* address, low half */
	movl	$0, 8(%bp)
	movzwl	%bx, %eax
	shll	$16, %eax
	orb	$(DMA_SELECT | DMA_READ), %al
	bswap	%eax
	movl	%eax, (%bp)
	xorl	%eax, %eax		/* linear address of the descriptor */
	movw	%ss, %ax
	shll	$4, %eax
	movzwl	%bp, %ecx
	addl	%ecx, %eax
	bswap	%eax
	movw	$FW_CFG_DMA_LOW, %dx
	outl	%eax, %dx
1:	movl	(%bp), %eax
	bswap	%eax
	testb	$DMA_ERROR, %al
	jnz	fail
	testl	%eax, %eax
	jnz	1b
2:	ret

fail:
	movw	$(failed - fw_realboot_image), %si
1:	lodsb	%cs:(%si), %al
	testb	%al, %al
	jz	2f
	movb	$0x0e, %ah
	movw	$7, %bx
	int	$0x10
	jmp	1b
2:	sti
	hlt
	jmp	2b

start:
	cld
	xorw	%ax, %ax		/* descriptor and stack below 0x7c00 */
	cli
	movw	%ax, %ss
	movw	$0x7bf0, %sp
	movw	%sp, %bp
	subw	$16, %sp
	subw	$16, %bp
	sti
	movw	$0x11, %bx		/* kernel */
	movw	$0x08, %si
	movw	$0x07, %di
	call	piece
	movw	$0x12, %bx		/* initrd */
	movw	$0x0b, %si
	movw	$0x0a, %di
	call	piece
	movw	$0x18, %bx		/* setup */
	movw	$0x17, %si
	movw	$0x16, %di
	call	piece
	movw	$0x15, %bx		/* command line */
	movw	$0x14, %si
	movw	$0x13, %di
	call	piece
	movw	$0x16, %ax
	call	number
	shrl	$4, %eax
	cli
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movl	$0xe000, %esp
	addw	$0x20, %ax
	pushw	%ax
	pushw	$0
	xorl	%ebp, %ebp
	lret
fw_realboot_image_end:
	.section .note.GNU-stack, "", @progbits
