/*
 * smc.c - code that writes code: the next instruction, the same loop, another
 * page, through another mapping, beside data, and endlessly.
 *
 * Every change must be seen at the latest after the next branch (Intel SDM
 * vol. 3, 8.1.3); processors since the Pentium see it at once, and so do we.
 */
#include "lib.h"

#define PAGE 4096

static uint8_t area[64 * PAGE] __attribute__((aligned(PAGE)));

typedef unsigned (*fn)(void);

static unsigned call(const void *p)
{
	return ((fn)(uintptr_t)p)();
}

static void put32(uint8_t *p, uint32_t v)
{
	*(volatile uint32_t *)p = v;
}

static void copy(uint8_t *to, const void *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

/* mov eax, imm32; ret */
static void make_mov(uint8_t *p, uint32_t imm)
{
	volatile uint8_t *v = p;

	v[0] = 0xb8;
	put32(p + 1, imm);
	v[5] = 0xc3;
}

static void patch_immediate(void)
{
	bool good = true;

	make_mov(area, 0);
	for (uint32_t i = 0; i < 5000; i++) {
		put32(area + 1, i * 77777);
		good &= call(area) == i * 77777;
	}
	ok(good, "immediate patched before each call");
}

/* mov, add, sub, xor, cmp, adc, test with immediates that change */
static void patch_many_immediates(void)
{
	static const uint8_t code[] = {0xb8, 0, 0, 0, 0, /* mov eax, a */
		0x05, 0, 0, 0, 0,			 /* add eax, b */
		0x81, 0xf0, 0, 0, 0, 0,			 /* xor eax, c */
		0x83, 0xe8, 0,				 /* sub eax, d8 */
		0x3d, 0, 0, 0, 0,			 /* cmp eax, e */
		0x83, 0xd0, 0,				 /* adc eax, f8 */
		0xc3};
	uint8_t *p = area + PAGE;
	uint32_t a = 1, b = 3, c = 5, e = 7, want;
	int8_t d = 0, f = 0;
	bool good = true;

	copy(p, code, sizeof(code));
	for (unsigned i = 0; i < 3000; i++) {
		a = a * 1664525 + 1013904223;
		b ^= a >> 3;
		c += b;
		e = e * 69069 + 1;
		d = a >> 24;
		f = b >> 24;
		put32(p + 1, a);
		put32(p + 6, b);
		put32(p + 12, c);
		*(volatile int8_t *)(p + 18) = d;
		put32(p + 20, e);
		*(volatile int8_t *)(p + 26) = f;
		want = ((a + b) ^ c) - (uint32_t)d;
		want = want + (uint32_t)f + (want < e);
		good &= call(p) == want;
	}
	ok(good, "six immediates of one block");
}

static void patch_opcode(void)
{
	static const uint8_t one[] = {0x31, 0xc0, 0x83, 0xc0, 7, 0xc3},
			     two[] = {0xb8, 9, 0, 0, 0, 0xc3},
			     three[] = {0x6a, 11, 0x58, 0xc3, 0xcc, 0xcc};
	uint8_t *p = area + 2 * PAGE;
	bool good = true;

	for (unsigned i = 0; i < 600; i++) {
		copy(p, one, 6);
		good &= call(p) == 7;
		copy(p, two, 6);
		good &= call(p) == 9;
		copy(p, three, 6);
		good &= call(p) == 11;
	}
	ok(good, "other instructions each time");
}

static void next_instruction(void)
{
#ifdef __x86_64__
	/* mov [rip + 1], edi; mov eax, 0; ret */
	static const uint8_t code[] = {
		0x89, 0x3d, 1, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xc3};
#else
	/* mov ecx, [esp + 4]; mov [imm], ecx; mov eax, 0; ret */
	static const uint8_t code[] = {0x8b, 0x4c, 0x24, 4, 0x89, 0x0d, 0, 0, 0,
		0, 0xb8, 0, 0, 0, 0, 0xc3};
#endif
	uint8_t *p = area + 3 * PAGE;
	bool good = true;

	copy(p, code, sizeof(code));
#ifndef __x86_64__
	put32(p + 6, (uintptr_t)p + 11);
#endif
	for (unsigned i = 0; i < 2000; i++)
		good &= ((unsigned (*)(unsigned))(uintptr_t)p)(i) == i;
	ok(good, "an instruction writes the next one");
}

static void own_loop(void)
{
	/* xor eax, eax; mov ecx, 100; 1: add eax, imm8; inc byte [edx];
	 * dec ecx; jnz 1b; ret - edx points to imm8 */
	static const uint8_t code[] = {0x31, 0xc0, 0xb9, 100, 0, 0, 0, 0x83,
		0xc0, 0, 0xfe, 0x02, 0x83, 0xe9, 1, 0x75, 0xf6, 0xc3};
	uint8_t *p = area + 4 * PAGE;
	unsigned got;
	bool good = true;

	copy(p, code, sizeof(code));
	for (unsigned i = 0; i < 50; i++) {
		p[9] = 0;
		__asm__ volatile("call *%2"
				 : "=&a"(got), "=&c"(((unsigned[1]){0})[0])
				 : "r"(p), "d"(p + 9)
				 : "memory", "cc");
		good &= got == 99 * 100 / 2;
	}
	ok(good, "a loop changes itself");
}

static void across_pages(void)
{
	bool good = true;

	for (unsigned i = 1; i < 6; i++) {
		uint8_t *p = area + 6 * PAGE - i;

		for (uint32_t k = 0; k < 500; k++) {
			make_mov(p, k * 0x01010101);
			good &= call(p) == k * 0x01010101;
		}
		for (uint32_t k = 0; k < 200; k++) { /* one byte behind */
			((volatile uint8_t *)area)[6 * PAGE + 5 - i - 1] = k;
			good &= (call(p) >> 24) == (k & 255);
		}
	}
	ok(good, "an instruction on two pages, either part patched");
}

static void data_beside(void)
{
	uint8_t *p = area + 8 * PAGE;
	volatile uint32_t *data = (uint32_t *)(p + 2048);
	bool good = true;

	make_mov(p, 5);
	*data = 0;
	for (unsigned i = 1; i <= 20000; i++) {
		++*data;
		good &= call(p) == 5;
		if (i % 1000 == 0)
			make_mov(p, 5 + i);
		good &= *data == i && call(p) == (i % 1000 ? 5 : 5 + i);
		if (i % 1000 == 0)
			make_mov(p, 5);
	}
	ok(good, "busy data beside code");
}

static void by_strings(void)
{
	uint8_t *p = area + 10 * PAGE, *from = area + 11 * PAGE;
	bool good = true;

	for (unsigned i = 0; i < 300; i++) {
		void *d = p, *s = from;
		word n = 64;

		make_mov(from, i);
		make_mov(p + 64, ~i);
		__asm__ volatile("rep movsb"
				 : "+D"(d), "+S"(s), "+c"(n)
				 :
				 : "memory");
		good &= call(p) == i && call(p + 64) == ~i;
		d = p + 1;
		n = 4;
		__asm__ volatile("rep stosb"
				 : "+D"(d), "+c"(n)
				 : "a"(i)
				 : "memory");
		good &= call(p) == (i & 255) * 0x01010101u;
	}
	ok(good, "string instructions write code");
}

static void by_atomics(void)
{
	uint8_t *p = area + 12 * PAGE;
	uint32_t *imm = (uint32_t *)(p + 4);
	bool good = true;

	make_mov(p + 3, 0); /* the immediate is aligned */
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t was = i;

		__atomic_fetch_add(imm, 1, __ATOMIC_SEQ_CST);
		good &= call(p + 3) == i + 1;
		__atomic_exchange_n(imm, i, __ATOMIC_SEQ_CST);
		good &= call(p + 3) == i;
		__atomic_compare_exchange_n(imm, &was, i + 1, false,
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		good &= call(p + 3) == i + 1;
	}
	ok(good, "atomic instructions write code");
}

#ifdef __x86_64__
/* The same memory at 3 GiB too: write there, run here. */
static void by_alias(void)
{
	uint64_t *pd = (uint64_t *)(read_cr3() + 0x2000);
	uint64_t at = (uintptr_t)area, alias = 0xc0000000, was;
	uint8_t *p = area + 14 * PAGE, *q;
	bool good = true;

	was = pd[alias >> 21];
	pd[alias >> 21] = pd[at >> 21];
	write_cr3(read_cr3());
	q = p - (at & ~0x1fffffull) + alias;
	make_mov(p, 0);
	for (uint32_t i = 0; i < 2000; i++) {
		put32(q + 1, i);
		good &= call(p) == i && call(q) == i;
	}
	pd[alias >> 21] = was;
	write_cr3(read_cr3());
	ok(good, "code written through another mapping");
}
#endif

static uint32_t alu(unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case 0x05: return a + b;
	case 0x0d: return a | b;
	case 0x25: return a & b;
	case 0x2d: return a - b;
	default: return a ^ b;
	}
}

/* A new function each time, all over the area: more than a code cache holds. */
static void endless(void)
{
	static const uint8_t ops[5] = {0x05, 0x0d, 0x25, 0x2d, 0x35};
	bool good = true;

	for (uint32_t i = 0; i < 40000; i++) {
		uint8_t *p = area + i * 80 % (sizeof(area) - 64);
		unsigned one = ops[i % 5], two = ops[i / 5 % 5];
		/* mov eax, i; op eax, imm; op eax, imm; ret */
		uint8_t code[] = {0xb8, 0, 0, 0, 0, one, 0, 0, 0, 0, two, 0, 0,
			0, 0, 0xc3};

		put32(code + 1, i);
		put32(code + 6, i * 3);
		put32(code + 11, i * 5);
		copy(p, code, sizeof(code));
		good &= call(p) == alu(two, alu(one, i, i * 3), i * 5);
	}
	ok(good, "code without end");
}

void test_main(void)
{
	patch_immediate();
	patch_many_immediates();
	patch_opcode();
	next_instruction();
	own_loop();
	across_pages();
	data_beside();
	by_strings();
	by_atomics();
#ifdef __x86_64__
	by_alias();
#endif
	endless();
}
