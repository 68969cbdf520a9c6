/*
 * walks.c - loops of ring 3 that walk from page to page.
 *
 * A translator may look at each page once for many passes.  Nobody must see
 * that: not at the end of a page, nor where the next one is missing, may only
 * be read, holds the loop itself or is watched by a debug register, nor when
 * other memory is mapped there the next time.
 */
#include "lib.h"

#define P	(1ull << 0)
#define W	(1ull << 1)
#define U	(1ull << 2)
#define PAGES	10
#define BYTES	(PAGES * 4096)
#define PAGE(n) __attribute__((aligned(4096))) n

static uint64_t PAGE(pdpt[512]), PAGE(pd[512]), PAGE(pt[512]);
/* Neighbours in the address space are not neighbours in memory. */
static uint8_t PAGE(memory[2 * PAGES][4096]);

#define SRC ((uint8_t *)0x8080000000ull)
#define DST (SRC + BYTES)

/* What the assembly below takes and gives. */
extern word from, to, count, out[4];
word from, to, count, out[4];

static void set(unsigned n, uint64_t bits)
{
	pt[n] = bits ? (word)memory[2 * PAGES - 1 - n] | bits : 0;
	__asm__ volatile("invlpg (%0)" : : "r"(SRC + n * 4096) : "memory");
}

static void make_tables(void)
{
	uint64_t *pml4 = (uint64_t *)(read_cr3() & ~(word)0xfff);

	pml4[1] = (word)pdpt | P | W | U;
	pdpt[2] = (word)pd | P | W | U;
	pd[0] = (word)pt | P | W | U;
	for (unsigned n = 0; n < 2 * PAGES; n++)
		set(n, P | W | U);
	write_cr4(read_cr4() | 0x600); /* SSE */
}

static void fill(void)
{
	for (unsigned i = 0; i < 2 * BYTES / 8; i++)
		((volatile uint64_t *)SRC)[i] = i * 0x9e3779b97f4a7c15u;
}

static bool same(const uint8_t *a, const uint8_t *b, unsigned n)
{
	const volatile uint8_t *x = a, *y = b;

	while (n--)
		if (*x++ != *y++)
			return false;
	return true;
}

/* ---- copies ---- */

FN(copy_bytes,
	"mov from, %rsi\n mov to, %rdi\n mov count, %rcx\n xor %eax, %eax\n"
	"1: movzbl (%rsi,%rax), %edx\n copy_store: mov %dl, (%rdi,%rax)\n"
	"inc %rax\n cmp %rcx, %rax\n jne 1b\n mov %rax, out\n mov %edx, out+8");
extern char copy_store[];

FN(copy_words_down,
	"mov count, %rcx\n mov from, %rsi\n mov to, %rdi\n add %rcx, %rsi\n"
	"add %rcx, %rdi\n shr $3, %rcx\n"
	"1: mov -8(%rsi), %rax\n mov %rax, -8(%rdi)\n sub $8, %rsi\n"
	"lea -8(%rdi), %rdi\n dec %rcx\n jne 1b\n mov %rsi, out\n"
	"mov %rdi, out+8");

FN(copy_by_others,
	"mov from, %r10\n mov to, %r11\n mov count, %rcx\n shr $2, %rcx\n"
	"xor %r15d, %r15d\n 1: mov (%r10,%r15,4), %r9d\n"
	"mov %r9d, (%r11,%r15,4)\n add $1, %r15\n cmp %rcx, %r15\n jne 1b");

FN(copy_by_base,
	"mov from, %rsi\n mov to, %rdi\n mov count, %rcx\n shr $3, %rcx\n"
	"xor %eax, %eax\n 1: mov (%rsi,%rax,8), %rdx\n"
	"mov %rdx, (%rdi,%rax,8)\n add $8, %rsi\n add $8, %rdi\n"
	"dec %rcx\n jne 1b");

FN(copy_vectors,
	"mov from, %rsi\n mov to, %rdi\n mov count, %rcx\n shr $4, %rcx\n"
	"1: movups (%rsi), %xmm3\n movups %xmm3, (%rdi)\n add $16, %rsi\n"
	"add $16, %rdi\n sub $1, %rcx\n jne 1b");

FN(copy_fields,
	"mov from, %rsi\n mov to, %rdi\n mov count, %rcx\n xor %edx, %edx\n"
	"1: mov 4(%rsi,%rdx), %eax\n mov (%rsi,%rdx), %ebx\n"
	"mov %ebx, (%rdi,%rdx)\n mov %eax, 4(%rdi,%rdx)\n"
	"mov 8(%rsi,%rdx), %ax\n mov %ax, 8(%rdi,%rdx)\n"
	"mov 10(%rsi,%rdx), %ah\n mov %ah, 10(%rdi,%rdx)\n"
	"mov 11(%rsi,%rdx), %al\n mov %al, 11(%rdi,%rdx)\n"
	"add $12, %rdx\n cmp %rcx, %rdx\n jb 1b");

static void copies(void)
{
	static const struct attempt list[] = {{copy_bytes, 0, "by bytes"},
		{copy_words_down, 0, "by words, downwards"},
		{copy_by_others, 0, "by R10, R11 and R15"},
		{copy_by_base, 0, "by a base that moves"},
		{copy_vectors, 0, "by vectors"},
		{copy_fields, 0, "by fields at odd addresses"}};

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		bool good = true;

		for (unsigned off = 0; off < 40; off += 13) {
			fill();
			from = (word)SRC + off;
			to = (word)DST + 77 - off;
			count = (BYTES - 128) / 48 * 48;
			good &= guarded_user(list[i].fn) == -1;
			good &= same((uint8_t *)from, (uint8_t *)to, count);
			good &= !same(
				(uint8_t *)from, (uint8_t *)to, count + 8);
		}
		ok(good, list[i].name);
	}
}

/* ---- sums ---- */

/* Of every word, by a stride of that many bytes. */
#define SUM(by)                                                                \
	FN(sum_##by, "mov from, %rsi\n mov count, %rcx\n xor %eax, %eax\n"     \
		     "1: add (%rsi), %rax\n rol $1, %rax\n add $" #by          \
		     ", %rsi\n dec %rcx\n jne 1b\n mov %rax, out")
SUM(8);
SUM(24);
SUM(64);
SUM(512);
SUM(520);
SUM(4096);

static word sum(unsigned by)
{
	word v = 0;

	for (word i = 0; i < count; i++) {
		v += *(volatile word *)(from + i * by);
		v = v << 1 | v >> 63;
	}
	return v;
}

static void sums(void)
{
	static const struct {
		void (*fn)(void);
		unsigned by;
	} list[] = {{sum_8, 8}, {sum_24, 24}, {sum_64, 64}, {sum_512, 512},
		{sum_520, 520}, {sum_4096, 4096}};
	bool good = true;

	fill();
	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++)
		for (unsigned off = 0; off < 32; off += 5) {
			from = (word)SRC + off;
			count = (2 * BYTES - 40) / list[i].by;
			good &= guarded_user(list[i].fn) == -1 &&
				out[0] == sum(list[i].by);
		}
	ok(good, "strides from 8 to 4096");
}

/* ---- pages that are not as the others ---- */

static volatile word seen_cr2, seen_rip, seen_error, nfaults;
static unsigned mends;

static void mend(struct frame *f)
{
	seen_cr2 = read_cr2();
	seen_rip = f->rip;
	seen_error = f->error;
	nfaults++;
	set(mends, P | W | U);
}

static void faults(void)
{
	static const struct {
		uint64_t bits;
		word error;
		const char *name;
	} list[] = {{0, 6, "a missing page"}, {P | U, 7, "a read-only page"},
		{P | W, 7, "a page of the kernel"}};

	on_vector(14, mend);
	for (unsigned i = 0; i < 3; i++) {
		bool good = true;

		for (unsigned page = PAGES + 1; page < 2 * PAGES; page++) {
			fill();
			mends = page;
			set(page, list[i].bits);
			nfaults = 0;
			from = (word)SRC + 3;
			to = (word)DST + 5;
			count = BYTES - 64;
			good &= guarded_user(copy_bytes) == -1;
			good &= nfaults == 1 && seen_error == list[i].error &&
				seen_cr2 == (word)SRC + page * 4096 &&
				seen_rip == (word)copy_store;
			good &= same((uint8_t *)from, (uint8_t *)to, count);
		}
		ok(good, list[i].name);
	}
	on_vector(14, NULL);
}

static void remapped(void)
{
	bool good = true;

	fill();
	for (unsigned i = 0; i < 12; i++) {
		unsigned n = i % PAGES;

		/* another page of the source, in turn */
		pt[n] = (word)memory[i & 1 ? 2 * PAGES - 1 - n : 0] | P | W | U;
		__asm__ volatile("invlpg (%0)" : : "r"(SRC + n * 4096));
		from = (word)SRC;
		to = (word)DST;
		count = BYTES - 4096;
		good &= guarded_user(copy_bytes) == -1;
		good &= same(SRC, DST, count);
		set(n, P | W | U);
	}
	ok(good, "other memory each time");
}

/* ---- the loop itself ---- */

/* Copies a page over its own; one byte of it is how much RBX grows. */
static const uint8_t over[] = {
	0x8a,
	0x06, /* mov (%rsi), %al */
	0x88,
	0x07, /* mov %al, (%rdi) */
	0x48,
	0x83,
	0xc3,
	0x01, /* add $1, %rbx */
	0x48,
	0xff,
	0xc6, /* inc %rsi */
	0x48,
	0xff,
	0xc7, /* inc %rdi */
	0x48,
	0xff,
	0xc9, /* dec %rcx */
	0x75,
	0xed, /* jne */
	0x48,
	0x89,
	0x1c,
	0x25,
	0,
	0,
	0,
	0, /* mov %rbx, out */
	0xc3,
};
FN(walk_over, "mov from, %rsi\n mov to, %rdi\n mov count, %rcx\n"
	      "xor %ebx, %ebx\n jmp *out+8");

static void put_code(uint8_t *at, uint8_t add)
{
	uint32_t where = (uint32_t)(word)out;

	for (unsigned i = 0; i < sizeof(over); i++)
		((volatile uint8_t *)at)[i] = over[i];
	((volatile uint8_t *)at)[7] = add;
	for (unsigned i = 0; i < 4; i++)
		((volatile uint8_t *)at)[23 + i] = where >> i * 8;
}

static void itself(void)
{
	bool good = true;

	for (unsigned i = 0; i < 8; i++) {
		unsigned off = 6 * 4096 + 100 + i * 333;

		fill();
		put_code(SRC + off, 5);
		put_code(DST + off, 1);
		from = (word)SRC;
		to = (word)DST;
		count = BYTES;
		out[1] = (word)DST + off;
		good &= guarded_user(walk_over) == -1;
		good &= out[0] == off + 7 + (count - off - 7) * 5;
		good &= same(SRC, DST, BYTES);
	}
	ok(good, "the loop's own code is overwritten");
}

/* ---- data breakpoints ---- */

static volatile word nhits, hit_rip;

static void hit(struct frame *f)
{
	word dr6;

	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	if ((dr6 & 0xf) == 1)
		nhits++;
	hit_rip = f->rip;
	__asm__ volatile("mov %0, %%dr6" : : "r"((word)0));
}

static void watched(void)
{
	bool good = true;

	on_vector(1, hit);
	for (unsigned i = 0; i < 6; i++) {
		word at = (word)DST + i * 6131 + 5;

		fill();
		nhits = 0;
		from = (word)SRC;
		to = (word)DST;
		count = BYTES;
		__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7"
				 :
				 : "r"(at), "r"((word)0x10402));
		good &= guarded_user(copy_bytes) == -1;
		__asm__ volatile("mov %0, %%dr7" : : "r"((word)0x400));
		/* a trap: behind the store of three bytes */
		good &= nhits == 1 && hit_rip == (word)copy_store + 3;
		good &= same(SRC, DST, BYTES);
	}
	ok(good, "a byte that is watched");
	on_vector(1, NULL);
}

void test_main(void)
{
	make_tables();
	copies();
	sums();
	faults();
	remapped();
	itself();
	watched();
}
