/*
 * lib.h - what bare-metal tests stand on (32 and 64 bit).
 *
 * A test is one C file with test_main(); it reports by ok() and ends by
 * returning.  guarded() runs a function and tells which exception ended it.
 */
#ifndef TESTS_GUEST_LIB_H
#define TESTS_GUEST_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t word;

/* Selectors of the GDT that lib.c builds. */
#define SEL_CODE    0x08 /* ring 0, the test's own width */
#define SEL_DATA    0x10
#define SEL_TSS	    0x18 /* 16 bytes in 64-bit mode */
#define SEL_UCODE   0x2b /* ring 3 */
#define SEL_UDATA   0x33
#define SEL_CODE32  0x38
#define SEL_CODE16  0x40
#define SEL_UCODE32 0x4b
#define SEL_UCODE16 0x53
#define SEL_DATA16  0x58
#define SEL_LDT	    0x60 /* 16 bytes in 64-bit mode */
#define SEL_FREE    0x70 /* for tests, up to GDT_ENTRIES */
#define GDT_ENTRIES 64

extern uint64_t gdt[GDT_ENTRIES];

/* type: low byte of the access field (P DPL S type); flags: G D/B L AVL. */
uint64_t descriptor(
	uint32_t base, uint32_t limit, uint8_t access, uint8_t flags);

struct fault {
	int vector; /* -1: none */
	word error, rip, cr2, flags, cs, rsp;
};
extern struct fault fault;

/* Run fn in ring 0; returns the vector that ended it, -1 for none. */
int guarded(void (*fn)(void));
/* The same in ring 3, in the test's own width. */
int guarded_user(void (*fn)(void));
/* Jump to code (any width) at cs:fn in the ring that cs names; it ends by
 * INT 0x81 or an exception. */
int guarded_at(uint16_t cs, uint16_t ss, void (*fn)(void));
/* What it finds in rDI. */
extern word lib_target_arg;

/* Exceptions of this vector do not end guarded(): handler is called with the
 * frame, which it may change, and execution goes on.  NULL: back to normal. */
struct frame {
	word gpr[sizeof(word) == 8 ? 15 : 8]; /* in push order, see start */
	word vector, error, rip, cs, flags, rsp, ss;
};
void on_vector(unsigned vector, void (*handler)(struct frame *));
void set_gate(unsigned vector, void (*entry)(void), unsigned dpl);
/* The low half of a gate, to be spoilt. */
uint64_t *idt_entry(unsigned vector);

/* A function in assembly that ends by returning or by an exception.  It may
 * change all registers but the stack pointer. */
#define FN(name, code)                                                         \
	void name(void);                                                       \
	__asm__(".pushsection .text\n.globl " #name "\n" #name ":\n" code      \
		"\nret\n.popsection\n")

struct attempt {
	void (*fn)(void);
	int vector;
	const char *name;
};
void attempt_all(const struct attempt *list, unsigned n);
#define ATTEMPT(list) attempt_all(list, sizeof(list) / sizeof(*(list)))

void ok(bool cond, const char *name);
void ok_eq(word got, word want, const char *name);
void skip(const char *name, const char *why);
/* fn judges by clocks, and a host that is busy may stop us where it hurts: what
 * fails is done again from the start, a few times; the last time counts. */
void timed(void (*fn)(const void *arg), const void *arg, const char *name);
/* The last test of all: fn leads to a triple fault. */
void expect_shutdown(void (*fn)(void));
void print(const char *s);
void print_hex(word v);

void test_main(void);

extern uint32_t tss[];

#define STACK_BYTES 16384
extern uint8_t user_stack[STACK_BYTES];

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

#define RW_CR(n)                                                               \
	static inline word read_cr##n(void)                                    \
	{                                                                      \
		word v;                                                        \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));              \
		return v;                                                      \
	}                                                                      \
	static inline void write_cr##n(word v)                                 \
	{                                                                      \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");     \
	}
RW_CR(0)
RW_CR(2)
RW_CR(3)
RW_CR(4)
#undef RW_CR

static inline uint64_t rdmsr(uint32_t n)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t n, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(sub));
}

/* Is this bit of EAX, EBX, ECX or EDX (0..3) set? */
static inline bool has(uint32_t leaf, uint32_t sub, unsigned reg, unsigned bit)
{
	uint32_t r[4];

	cpuid(leaf, sub, r);
	return r[reg] >> bit & 1;
}

#endif
