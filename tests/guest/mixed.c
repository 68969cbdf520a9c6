/*
 * mixed.c - random code of ring 3 in every segmented mode: 16 and 32 bits with
 * limits, virtual-8086 mode, odd stacks, pages that fault, single steps and
 * breakpoints.
 *
 * It judges nothing itself: under lockstep the engines are compared behind
 * every block.  What runs may do as it likes: it is confined to the first
 * megabyte, has no ports, and a timer ends it.
 */
#include "lib.h"

#define USED   __attribute__((used))
#define CODE   0x50000
#define DATA   0x60000
#define STACK  0x70000
#define BYTES  96
#define ROUNDS 4000

#define FREE(n) (SEL_FREE + (n)*8)
#define IOAPIC	((volatile uint32_t *)0xfec00000)

struct entry {
	uint32_t eip, cs, eflags, esp, ss, es, ds, fs, gs;
};
struct entry go USED;

/* Both leave by IRET; data segments are loaded last. */
FN(enter_v86, "push go + 32; push go + 28; push go + 24; push go + 20\n"
	      "push go + 16; push go + 12; push go + 8; push go + 4; push go\n"
	      "iret");
FN(enter_prot, "push go + 16; push go + 12; push go + 8; push go + 4; push go\n"
	       "mov go + 32, %gs; mov go + 28, %fs; mov go + 20, %es\n"
	       "mov go + 24, %ds; iret");

FN(do_end, "int $0x81");

static uint64_t state;

static uint32_t rnd(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33);
}

/* What is met often in old code, and what is treated apart. */
static const uint8_t usual[] = {0x01, 0x03, 0x13, 0x1b, 0x23, 0x29, 0x2b, 0x33,
	0x39, 0x3b, 0x00, 0x02, 0x38, 0x3a, 0x04, 0x05, 0x40, 0x48, 0x50, 0x53,
	0x56, 0x58, 0x5b, 0x5e, 0x60, 0x61, 0x66, 0x67, 0x68, 0x6a, 0x69, 0x6b,
	0x74, 0x75, 0x72, 0x7c, 0x7e, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87,
	0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8f, 0x91, 0x93, 0x98, 0x99, 0x9c,
	0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa,
	0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb8, 0xbb, 0xc0, 0xc1, 0xc6, 0xc7,
	0xc8, 0xc9, 0xd0, 0xd1, 0xd2, 0xd3, 0xd7, 0xe2, 0xe3, 0xeb, 0xf2, 0xf3,
	0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfc, 0xfd, 0xfe, 0xff, 0x26, 0x2e, 0x36,
	0x3e, 0x64, 0x27, 0x2f, 0x37, 0x3f, 0xd4, 0xd5, 0xd8, 0xd9, 0xdd, 0xdf};
static const uint8_t two[] = {0x40, 0x44, 0x4c, 0x84, 0x85, 0x90, 0x95, 0xa2,
	0xa3, 0xab, 0xa4, 0xa5, 0xac, 0xad, 0xaf, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7,
	0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc7, 0xc8, 0xa0, 0xa8,
	0x02, 0x03, 0x10, 0x11, 0x28, 0x29, 0x6e, 0x6f, 0x7e, 0x7f, 0xfc, 0xef};

#define PICK(a) ((a)[rnd() % sizeof(a)])

static unsigned put(uint8_t *p, unsigned n, unsigned width)
{
	/* registers: most point into the segments */
	for (unsigned r = 0; r < 8; r++) {
		uint32_t v = rnd() & (rnd() & 3 ? 0xffff : ~0u);

		if (r == 4)
			continue;
		if (width == 2)
			p[n++] = 0x66;
		p[n++] = (uint8_t)(0xb8 + r);
		*(volatile uint32_t *)(p + n) = v;
		n += 4;
	}
	while (n < BYTES) {
		if (!(rnd() & 15)) {
			p[n++] = (uint8_t)rnd();
			continue;
		}
		if (rnd() & 3) {
			p[n++] = PICK(usual);
		} else {
			p[n++] = 0x0f;
			p[n++] = PICK(two);
		}
		p[n++] = (uint8_t)(rnd() | (rnd() & 1 ? 0xc0 : 0));
		if (rnd() & 1)
			p[n++] = (uint8_t)(rnd() & 15);
	}
	return n;
}

/* ---- paging: some pages of data and stack are less than they seem ---- */

#define PAGED 0x80000000u

static uint32_t dir[1024] __attribute__((aligned(4096)));
static uint32_t low[1024] __attribute__((aligned(4096)));

static void make_pages(void)
{
	for (uint32_t i = 0; i < 1024; i++) {
		dir[i] = i << 22 | 0x87;
		low[i] = i << 12 | 7;
	}
	dir[0] = (uint32_t)low | 7;
	write_cr4(read_cr4() | 0x10);
}

/* Absent, of ring 0, read-only, or not yet used. */
static void put_pages(void)
{
	static const uint8_t less[] = {0, 3, 5, 7};

	for (uint32_t i = (CODE >> 12) + 1; i < (STACK + 0x20000) >> 12; i++)
		low[i] = i << 12 | (rnd() & 3 ? 7 : PICK(less));
	write_cr3((word)dir);
	write_cr0(read_cr0() | PAGED);
}

static void put_breakpoints(void)
{
	static const word bases[] = {CODE, DATA, STACK, CODE};
	word dr7 = 0x400;

	if (!(rnd() & 7))
		for (unsigned n = 0; n < 4; n++)
			dr7 |= (rnd() & 1) << (n * 2) | (word)(rnd() & 15)
								<< (16 + n * 4);
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2\n"
			 "mov %3, %%dr7"
			 :
			 : "r"(bases[0] + rnd() % BYTES),
			 "r"(bases[1] + (rnd() & 0xffff)),
			 "r"(bases[2] + (rnd() & 0xffff)), "r"(dr7));
}

static unsigned armed;

/* The 8254 makes an NMI after so many of its ticks: IF may be clear. */
static void watchdog(unsigned ticks)
{
	armed = ticks;
	outb(0x43, 0x30);
	if (!ticks)
		return;
	outb(0x40, (uint8_t)ticks);
	outb(0x40, ticks >> 8);
}

/* Out of ring 3 by way of plain code there; again if it came early. */
static void on_nmi(struct frame *f)
{
	if (!(f->flags & 0x20000) && !(f->cs & 3)) {
		watchdog(armed);
		return;
	}
	f->cs = SEL_UCODE;
	f->rip = (word)do_end;
	f->flags = 2;
	f->rsp = (word)user_stack + STACK_BYTES;
	f->ss = SEL_UDATA;
}

static void run(unsigned mode)
{
	bool v86 = mode == 2, wide = mode & 1;
	unsigned at = rnd() & 0xff0;

	if (!(rnd() & 7))
		at = 0xffff - rnd() % 64; /* over the end */
	else if (!(rnd() & 7))
		at = 0xff0 + rnd() % 16; /* over a page */
	put((uint8_t *)(word)CODE + at, 0, wide ? 4 : 2);
	go = (struct entry){.eip = at,
		.cs = FREE(wide) | 3,
		.eflags = 0x202 | (rnd() & 0x8d5),
		.esp = rnd() & 0xffff,
		.ss = FREE(mode & 4 ? 5 : 3) | 3,
		.ds = FREE(2) | 3,
		.es = FREE(rnd() & 1 ? 2 : 4) | 3,
		.fs = rnd() & 1 ? FREE(6) | 3 : 0,
		.gs = FREE(3) | 3};
	if (!(rnd() & 15))
		go.eflags |= 0x100;
	if (!(rnd() & 7))
		go.eflags |= 0x40000;
	if (v86) {
		go.cs = CODE / 16;
		go.ds = go.es = DATA / 16;
		go.ss = go.gs = STACK / 16;
		go.fs = DATA / 16 + 0x10;
		go.eflags |= 0x20000 | (rnd() & 1 ? 0x3000 : 0);
	}
	put_breakpoints();
	if (rnd() & 1)
		put_pages();
	watchdog(20000);
	guarded(v86 ? enter_v86 : enter_prot);
	watchdog(0);
	write_cr0(read_cr0() & ~PAGED);
	__asm__ volatile("mov %0, %%dr7" : : "r"((word)0x400));
}

static void put_segments(void)
{
	gdt[FREE(0) / 8] = descriptor(CODE, 0xffff, 0xfb, 0);
	gdt[FREE(1) / 8] = descriptor(CODE, 0xffff, 0xfb, 4);
	gdt[FREE(2) / 8] = descriptor(DATA, 0xffff, 0xf3, 4);
	gdt[FREE(3) / 8] = descriptor(STACK, 0xffff, 0xf3, 0);
	gdt[FREE(4) / 8] = descriptor(DATA, 0x8fff, 0xf1, 4);
	gdt[FREE(5) / 8] = descriptor(STACK, 0xffff, 0xf3, 4);
	gdt[FREE(6) / 8] = descriptor(DATA, 0x7fff, 0xf7, 0); /* down */
}

void test_main(void)
{
	uint32_t seed;

	__asm__ volatile("inw $0xf4, %w0" : "=a"(seed) : "0"(0));
	state = seed;
	put_segments();
	make_pages();
	write_cr0((read_cr0() & ~(word)0xc) | 0x40000);
	write_cr4(read_cr4() | 0x600);
	__asm__ volatile("fninit");
	on_vector(2, on_nmi);
	IOAPIC[0] = 0x15;
	IOAPIC[4] = 0;
	IOAPIC[0] = 0x14; /* pin 2, the 8254's: NMI */
	IOAPIC[4] = 0x400;
	for (unsigned i = 0; i < 0x20000; i += 4)
		*(volatile uint32_t *)(word)(DATA + i) = rnd();
	for (unsigned n = 0; n < ROUNDS; n++) {
		write_cr4((read_cr4() & ~(word)1) | (rnd() & 1)); /* VME */
		run(rnd() % 6);
	}
	ok(true, "random code in segmented modes");
}
