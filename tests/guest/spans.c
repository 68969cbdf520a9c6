/*
 * spans.c - several accesses to the same surroundings in one block: fields of
 * a structure, pushes and pops, what is read and written back.
 *
 * A translator may check them together.  Nobody must see that: not where they
 * lie in two pages, nor where only some of them are allowed, nor where an
 * access that is not carried out would have been the only one to fault.
 */
#include "lib.h"

#define P	(1ull << 0)
#define W	(1ull << 1)
#define D	(1ull << 6)
#define WP	((word)1 << 16)
#define PF_P	1
#define PF_W	2
#define PAGE(n) __attribute__((aligned(4096))) n

static uint64_t PAGE(pdpt[512]), PAGE(pd[512]), PAGE(pt[512]);
/* Neighbours in the address space are not neighbours in memory. */
static uint8_t PAGE(memory[3][4096]);

#define VA ((uint8_t *)0x8080000000ull)

/* Used by the assembly below. */
extern word at, out[6], wanted;
word at, out[6], wanted;

static void set(unsigned n, uint64_t bits)
{
	pt[n] = bits ? (word)memory[2 - n] | bits : 0;
	__asm__ volatile("invlpg (%0)" : : "r"(VA + n * 4096) : "memory");
}

static void make_tables(void)
{
	uint64_t *pml4 = (uint64_t *)(read_cr3() & ~(word)0xfff);

	pml4[1] = (word)pdpt | P | W;
	pdpt[2] = (word)pd | P | W;
	pd[0] = (word)pt | P | W;
	for (unsigned n = 0; n < 3; n++)
		set(n, P | W);
	write_cr0(read_cr0() | WP);
}

static void fill(void)
{
	for (unsigned i = 0; i < 3 * 4096 / 8; i++)
		((volatile uint64_t *)VA)[i] = i * 0x9e3779b97f4a7c15u;
}

static uint64_t value(word a)
{
	uint8_t b[8];
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t n = (a + i - (word)VA) / 8;

		b[i] = n * 0x9e3779b97f4a7c15u >> (a + i) % 8 * 8;
	}
	for (unsigned i = 8; i--;)
		v = v << 8 | b[i];
	return v;
}

/* ---- where pages meet ---- */

FN(read_fields, "mov at, %rdi\n mov (%rdi), %rax\n mov 8(%rdi), %rcx\n"
		"lea 16(%rdi), %rsi\n mov (%rsi), %rdx\n add $24, %rdi\n"
		"mov (%rdi), %r8\n mov 12(%rsi), %r9\n"
		"mov %rax, out\n mov %rcx, out+8\n mov %rdx, out+16\n"
		"mov %r8, out+24\n mov %r9, out+32");

FN(add_fields, "mov at, %rdi\n addq $1, (%rdi)\n mov 8(%rdi), %rax\n"
	       "inc %rax\n mov %rax, 8(%rdi)\n incl 20(%rdi)\n"
	       "mov %rdi, %rdx\n lock xaddq %rax, 32(%rdx)");

FN(use_stack,
	"mov %rsp, %rbp\n mov at, %rsp\n push $1\n mov $2, %eax\n"
	"push %rax\n mov $3, %r10d\n push %r10\n pushq $4\n sub $24, %rsp\n"
	"movq $7, 16(%rsp)\n mov 40(%rsp), %rbx\n add $16, %rsp\n"
	"pop %rcx\n pop %rdx\n pop %rsi\n pop %rdi\n pop %r8\n"
	"mov %rsp, %r9\n mov %rbp, %rsp\n mov %rbx, out\n mov %rcx, out+8\n"
	"mov %rdx, out+16\n mov %rsi, out+24\n mov %rdi, out+32\n"
	"mov %r8, out+40");

static bool reads_right(void)
{
	read_fields();
	return out[0] == value(at) && out[1] == value(at + 8) &&
	       out[2] == value(at + 16) && out[3] == value(at + 24) &&
	       out[4] == value(at + 28);
}

static bool writes_right(void)
{
	volatile uint64_t *p = (volatile uint64_t *)at;
	uint64_t a = p[0], b = p[1], c = p[4];
	uint32_t d = *(volatile uint32_t *)(at + 20);

	add_fields();
	return p[0] == a + 1 && p[1] == b + 1 && p[4] == c + b + 1 &&
	       *(volatile uint32_t *)(at + 20) == d + 1;
}

static bool stack_right(void)
{
	guarded(use_stack);
	return out[0] == 2 && out[1] == 7 && out[2] == 4 && out[3] == 3 &&
	       out[4] == 2 && out[5] == 1;
}

static void borders(void)
{
	bool reads = true, writes = true, stack = true;

	for (unsigned round = 0; round < 3; round++)
		for (unsigned off = 4096 - 96; off < 4096 + 96; off += 4) {
			at = (word)VA + off;
			fill();
			reads &= reads_right();
			writes &= writes_right();
			stack &= stack_right();
		}
	ok(reads, "fields read across pages");
	ok(writes, "fields written across pages");
	ok(stack, "pushes and pops across pages");
}

/* ---- one that is not there ---- */

FN(read_two,
	"mov at, %rdi\n mov $5, %eax\n mov (%rdi), %rax\n"
	"mov %rax, out\n read_second: mov 4088(%rdi), %rcx\n mov %rcx, out+8");
extern char read_second[];

static void missing(void)
{
	fill();
	set(1, 0);
	at = (word)VA + 8;
	for (unsigned i = 0; i < 3; i++) {
		out[0] = 0;
		ok_eq(guarded(read_two), 14, "second of two fields faults");
		ok_eq(fault.rip, (word)read_second, "at its instruction");
		ok_eq(fault.cr2, (word)VA + 4096, "and its address");
		ok_eq(out[0], value(at), "the first was read");
	}
	set(1, P | W);
	ok_eq(guarded(read_two), -1, "not once the page is there");
	ok_eq(out[1], value(at + 4088), "which was read");
}

/* ---- read here, written perhaps ---- */

FN(write_if, "mov at, %rdi\n mov (%rdi), %rax\n mov %rax, out\n"
	     "cmpq $0, wanted\n je 1f\n wrote: movq $9, 8(%rdi)\n"
	     "incq 16(%rdi)\n 1:");
extern char wrote[];

static void refused(void)
{
	bool reads = true;

	fill();
	at = (word)VA + 256;
	wanted = 0;
	set(0, P);
	for (unsigned i = 0; i < 40; i++) {
		out[0] = 0;
		reads &= guarded(write_if) == -1 && out[0] == value(at);
	}
	ok(reads, "read-only, and not written");
	ok(!(pt[0] & D), "nor dirty");
	wanted = 1;
	ok_eq(guarded(write_if), 14, "written after all: faults");
	ok_eq(fault.rip, (word)wrote, "at the write");
	ok_eq(fault.error, PF_P | PF_W, "for it");
	set(0, P | W);
	wanted = 0;
	for (unsigned i = 0; i < 40; i++)
		reads &= guarded(write_if) == -1;
	ok(reads && !(pt[0] & D), "clean while it is only read");
	wanted = 1;
	ok(guarded(write_if) == -1 && (pt[0] & D), "dirty once written");
	ok_eq(*(volatile uint64_t *)(at + 8), 9, "which it was");
}

/* ---- what registers hold ---- */

FN(follow, "mov at, %rbx\n mov (%rbx), %r8\n mov %rbx, %rax\n"
	   "mov $8, %ecx\n mul %rcx\n" /* rax is another now */
	   "mov at, %rax\n mov 8(%rax), %r9\n mov $1, %edx\n"
	   "xchg %rbx, %rdx\n mov %rdx, %rsi\n mov 16(%rsi), %rcx\n"
	   "mov %rsi, %rdi\n movl %edi, %edi\n mov at, %rdi\n"
	   "lea 8(%rdi,%rbx,8), %r12\n mov -8(%r12), %r12\n"
	   "mov 8(%rdi,%rbx,8), %r13\n add $2, %rbx\n mov (%rdi,%rbx,8), %r14\n"
	   "mov %r8, out\n mov %r9, out+8\n mov %rcx, out+16\n"
	   "mov %r12, out+24\n mov %r13, out+32\n mov %r14, out+40");

static void registers(void)
{
	bool good = true;

	fill();
	for (unsigned i = 0; i < 20; i++) {
		at = (word)VA + 4096 - 40 + i * 4;
		guarded(follow);
		good &= out[0] == value(at) && out[1] == value(at + 8) &&
			out[2] == value(at + 16) && out[3] == value(at + 8) &&
			out[4] == value(at + 16) && out[5] == value(at + 24);
	}
	ok(good, "registers moved, added to and overwritten");
}

/* One under a mask in between is on its own. */
FN(read_around,
	"mov at, %rdi\n mov (%rdi), %rax\n vpcmpeqd %xmm1, %xmm1, %xmm1\n"
	"vpmaskmovd 64(%rdi), %xmm1, %xmm0\n mov 8(%rdi), %rcx\n"
	"mov %rax, out\n mov %rcx, out+8\n vmovq %xmm0, out+16");

#define OSFXSR	(1 << 9)
#define OSXSAVE (1 << 18)

static void masked(void)
{
	bool good = true;

	if (!has(1, 0, 2, 28) || !has(7, 0, 1, 5)) /* AVX, AVX2 */
		return;
	write_cr4(read_cr4() | OSFXSR | OSXSAVE);
	__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	fill();
	for (unsigned i = 0; i < 20; i++) {
		at = (word)VA + 4096 - 80 + i * 4;
		good &= guarded(read_around) == -1 && out[0] == value(at) &&
			out[1] == value(at + 8) && out[2] == value(at + 64);
	}
	ok(good, "one under a mask between two others");
}

/* ---- behind an instruction that crosses pages ---- */

FN(call_there, "mov wanted, %rdi\n call *at\n mov %rax, out\n"
	       "mov %rcx, out+8");

static void crossing(void)
{
	/* mov $0, %rax; mov (%rdi), %rax; mov 8(%rdi), %rcx; ret */
	static const uint8_t code[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x48,
		0x8b, 0x07, 0x48, 0x8b, 0x4f, 0x08, 0xc3};
	bool good = true;

	fill();
	at = (word)VA + 4096 - 5;
	for (unsigned i = 0; i < sizeof(code); i++)
		((volatile uint8_t *)at)[i] = code[i];
	for (unsigned i = 0; i < 20; i++) {
		wanted = (word)VA + 8192 - 20 + i;
		good &= guarded(call_there) == -1 && out[0] == value(wanted) &&
			out[1] == value(wanted + 8);
	}
	ok(good, "two behind an instruction in two pages");
	wanted = 0;
}

/* ---- pages come and go between two passes ---- */

static void remap(void)
{
	bool good = true;

	fill();
	at = (word)VA + 64;
	for (unsigned i = 0; i < 20; i++) {
		uint64_t want = value((word)VA + 64 + (i & 1) * 8192);

		pt[0] = (word)memory[i & 1 ? 0 : 2] | P | W;
		__asm__ volatile("invlpg (%0)" : : "r"(VA) : "memory");
		read_fields();
		good &= out[0] == want;
	}
	set(0, P | W);
	ok(good, "another page at the same address");
}

/* A device's registers: no memory, but read and written together. */
FN(device, "mov at, %rdi\n mov 0x30(%rdi), %eax\n mov %rax, out\n"
	   "mov 0x80(%rdi), %ecx\n mov $0x20, %edx\n mov %edx, 0x80(%rdi)\n"
	   "mov 0x80(%rdi), %edx\n mov %ecx, 0x80(%rdi)\n mov %rdx, out+8");

static void mmio(void)
{
	bool good = true;

	at = 0xfee00000;
	for (unsigned i = 0; i < 20; i++) {
		device();
		good &= (out[0] & 0xff) >= 0x10 && (out[1] & 0xff) == 0x20;
	}
	ok(good, "registers of the local APIC");
}

void test_main(void)
{
	make_tables();
	borders();
	missing();
	refused();
	registers();
	masked();
	crossing();
	remap();
	mmio();
}
