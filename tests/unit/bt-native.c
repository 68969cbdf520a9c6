/*
 * bt-native.c - the same functions natively and in translated code.
 *
 * The test program maps a copy of itself into a guest in 64-bit mode, at the
 * same addresses, and calls functions there; results must be what the host
 * gives.  The functions call nothing outside this program and use no TLS.
 */
#include <glib.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/bt/bt.h"
#include "x86/cpuid.h"

#define RAM_BYTES (64ull << 20)
#define STACK_TOP 0x7f0000000000ull
/* What runs in the guest must not look for a sanitizer's shadow there. */
#define NOINLINE                                                               \
	__attribute__((noinline, noclone, no_sanitize("address", "undefined")))

struct rig {
	struct bus *bus;
	struct bus_cpu *bc;
	struct cpu_vm *vm;
	struct cpu *cpu;
	struct x86_cpu_model model;
	uint64_t next; /* free guest physical page */
	uint64_t cr3;
	uint64_t halt;
};

static uint64_t rig_page(struct rig *r)
{
	uint64_t p = r->next;

	r->next += 4096;
	g_assert_cmpuint(r->next, <=, RAM_BYTES);
	return p;
}

static uint8_t *rig_host(struct rig *r, uint64_t gpa)
{
	return bus_ram(r->bus)->host + gpa;
}

/* Map the page of a; returns where it is. */
static uint64_t rig_map(struct rig *r, uint64_t a)
{
	uint64_t table = r->cr3, *e = NULL;

	for (int level = 3; level >= 0; level--) {
		e = (uint64_t *)(void *)rig_host(r, table) +
		    (a >> (12 + 9 * level) & 511);
		if (!(*e & 1))
			*e = rig_page(r) | 7;
		table = *e & ~0xfffull;
	}
	return table;
}

/* Whole pages, over the guards that a sanitizer puts between objects. */
static NOINLINE void rig_copy_page(uint8_t *to, uint64_t from)
{
	for (unsigned i = 0; i < 4096; i += 8)
		*(volatile uint64_t *)(void *)(to + i) =
			*(volatile uint64_t *)(uintptr_t)(from + i);
}

static int rig_copy_image(struct dl_phdr_info *info, size_t size, void *opaque)
{
	struct rig *r = opaque;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t a = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD)
			continue;
		for (uint64_t v = a & ~0xfffull; v < a + p->p_memsz; v += 4096)
			rig_copy_page(rig_host(r, rig_map(r, v)), v);
	}
	return 1; /* the program itself only */
}

static void rig_open(struct rig *r, const struct cpu_engine *engine)
{
	struct cpu_vm_conf conf = {.model = &r->model};
	struct x86_topology topo = {1, 1, 1};
	const char *missing;
	char err[200];

	memset(r, 0, sizeof(*r));
	r->bus = bus_new(RAM_BYTES, RAM_BYTES);
	g_assert_nonnull(r->bus);
	r->bc = bus_cpu_new(r->bus, 0);
	g_assert_cmpint(
		x86_cpu_model_init(&r->model, "host", NULL, &topo, &missing),
		==, 0);
	g_assert_cmpint(engine->vm_new(&r->vm, r->bus, &conf, err, 200), ==, 0);
	g_assert_cmpint(
		engine->cpu_new(&r->cpu, r->vm, r->bc, err, 200), ==, 0);
	r->next = 4096;
	r->cr3 = rig_page(r);
	dl_iterate_phdr(rig_copy_image, r);
	for (unsigned i = 1; i <= 64; i++)
		rig_map(r, STACK_TOP - i * 4096);
	r->halt = STACK_TOP;
	*rig_host(r, rig_map(r, r->halt)) = 0xf4;
}

static void rig_close(struct rig *r, const struct cpu_engine *engine)
{
	engine->cpu_free(r->cpu);
	engine->vm_free(r->vm);
	bus_free(r->bus);
}

static uint64_t rig_call(struct rig *r, const struct cpu_engine *engine,
	uint64_t fn, uint64_t arg)
{
	struct x86_state s;
	struct cpu_exit exit = {0};
	uint64_t sp = STACK_TOP - 64;

	engine->get(r->cpu, &s);
	memset(s.gpr, 0, sizeof(s.gpr));
	s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
	s.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |
		X86_CR4_OSXSAVE;
	s.xcr0 = r->model.xcr0_mask & 0xe7;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	s.cr3 = r->cr3;
	s.seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 8, 0xa09b};
	s.seg[X86_SS] = (struct x86_seg){0, 0xffffffff, 16, 0xc093};
	s.seg[X86_DS] = s.seg[X86_ES] = s.seg[X86_SS];
	s.rflags = 2;
	s.fpu.fx[0] = 0x7f; /* as FNINIT leaves it */
	s.fpu.fx[1] = 0x03;
	s.fpu.fx[4] = 0;
	s.activity = X86_ACT_RUN;
	memcpy(rig_host(r, rig_map(r, sp) + (sp & 4095)), &r->halt, 8);
	s.gpr[X86_RSP] = sp;
	s.gpr[X86_RDI] = arg;
	s.rip = fn;
	g_assert_cmpint(engine->set(r->cpu, &s), ==, 0);
	engine->run(r->cpu, &exit);
	g_assert_cmpint(exit.reason, ==, CPU_EXIT_HALT);
	engine->get(r->cpu, &s);
	g_assert_cmphex(s.rip, ==, r->halt + 1);
	g_assert_cmphex(s.gpr[X86_RSP], ==, sp + 8);
	return s.gpr[X86_RAX];
}

/* ---- what is run ---- */

static _Alignas(64) uint32_t table[4096];

static NOINLINE uint64_t fn_sum(uint64_t n)
{
	uint64_t s = 0;

	for (uint64_t i = 0; i < n; i++)
		s = s * 31 + (i ^ (s >> 7));
	return s;
}

static NOINLINE uint64_t fn_fib(uint64_t n)
{
	return n < 2 ? n : fn_fib(n - 1) + fn_fib(n - 2);
}

static NOINLINE uint64_t fn_sieve(uint64_t n)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < 4096; i++)
		table[i] = 1;
	for (unsigned i = 2; i < 4096; i++) {
		count += table[i];
		for (unsigned k = 2 * i; k < 4096; k += i)
			table[k] = 0;
	}
	return count + n;
}

static NOINLINE uint64_t op_add(uint64_t a, uint64_t b)
{
	return a + b;
}

static NOINLINE uint64_t op_div(uint64_t a, uint64_t b)
{
	return b ? a / b + (int64_t)a % (int32_t)(b | 1) : a;
}

static NOINLINE uint64_t op_rot(uint64_t a, uint64_t b)
{
	return a << (b & 63) | a >> (-b & 63);
}

static NOINLINE uint64_t op_mul(uint64_t a, uint64_t b)
{
	return (unsigned __int128)a * b >> 64;
}

static uint64_t (*volatile const ops[])(uint64_t, uint64_t) = {
	op_add, op_div, op_rot, op_mul};

static NOINLINE uint64_t fn_indirect(uint64_t n)
{
	uint64_t s = n;

	for (uint64_t i = 1; i < n; i++)
		s ^= ops[(s >> 3) & 3](s * i + 77, i);
	return s;
}

static NOINLINE uint64_t fn_switch(uint64_t n)
{
	uint64_t x = n, steps = 0;
	int16_t h = 5;

	while (steps < n) {
		switch ((x >> 5) % 9) {
		case 0: x += 3; break;
		case 1: x ^= x << 5; break;
		case 2: x -= 77; break;
		case 3: x = x * 5 + 1; break;
		case 4: h += (int16_t)x; break;
		case 5: x = __builtin_bswap64(x); break;
		case 6: x += (uint64_t)(int64_t)h; break;
		case 7: h = (int16_t)(h << 1 | (uint16_t)h >> 15); break;
		default: x = (x >> 9) + __builtin_popcountll(x); break;
		}
		steps++;
	}
	return x + (uint16_t)h;
}

static NOINLINE uint64_t fn_float(uint64_t n)
{
	double s = 0, x = 1.5;
	uint64_t r;

	for (uint64_t i = 1; i < n; i++) {
		s += x / (double)i;
		x = x * 1.000001 + (double)(i & 7);
	}
	memcpy(&r, &s, 8);
	return r;
}

/* Registers that translated code keeps in memory, and byte registers. */
static NOINLINE uint64_t fn_regs(uint64_t n)
{
	uint64_t r;

	__asm__ volatile(
		"sub $128, %%rsp; push %%r15; push %%rbx; push %%rbp\n"
		"mov %1, %%r10; lea (%%r10,%%r10,2), %%r11\n"
		"mov $7, %%r15d; mov %%r10, %%rbx\n"
		"1: add %%r11, %%r10; xchg %%r10, %%r15; adc $3, %%r11d\n"
		"xadd %%r15, %%r10; mov %%r10, %%rcx; mov %%cl, %%bh\n"
		"rol $3, %%r15w\n"
		"movzbl %%bh, %%ebp; add %%rbp, %%r11; cmovc %%r15, %%r10\n"
		"push %%r11; pop %%r15; push %%r10; add %%rbx, (%%rsp)\n"
		"pop %%r10; setc %%bl; imul $37, %%r10, %%r11; bswap %%r15\n"
		"sub $1, %%rdi; jnz 1b\n"
		"lea (%%r10,%%r11), %%rax; xor %%r15, %%rax; add %%rbx, %%rax\n"
		"pop %%rbp; pop %%rbx; pop %%r15; add $128, %%rsp\n"
		: "=&a"(r), "+D"(n)
		:
		: "rcx", "r10", "r11", "cc", "memory");
	return r;
}

/* Flags across memory accesses. */
static NOINLINE uint64_t fn_flags(uint64_t n)
{
	uint64_t r = 0;

	__asm__ volatile(
		"1: mov %1, %%rcx; shl $55, %%rcx; add %%rcx, %%rcx\n"
		"mov %3, %%rdx; adc %%rdx, %0\n"
		"lea -128(%%rsp), %%rsp; pushf; pop %%rdx\n"
		"lea 128(%%rsp), %%rsp\n"
		"and $0x8d5, %%edx; add %%rdx, %0; inc %0\n"
		"mov %%rdx, %3; sbb $5, %0; bt $3, %0; mov %3, %%rdx\n"
		"rcl $1, %0; cmp $9, %%cl; lahf; mov %%ah, %%dl; sahf\n"
		"mov %%rdx, %3; ja 2f; je 3f; add $99, %0; 2: not %0; 3:\n"
		"dec %1; mov %3, %%rdx; jnz 1b\n"
		: "+r"(r), "+r"(n)
		: "m"(table[0]), "m"(table[2])
		: "rax", "rcx", "rdx", "cc", "memory");
	return r;
}

static NOINLINE uint64_t fn_strings(uint64_t n)
{
	uint64_t r = 0;
	uint8_t *p = (uint8_t *)table, *q = p + 5000;
	uint64_t c = n & 1023;

	__asm__ volatile("rep stosb" : "+D"(p), "+c"(c) : "a"(n) : "memory");
	p = (uint8_t *)table;
	c = 999;
	__asm__ volatile("rep movsb" : "+D"(q), "+S"(p), "+c"(c) : : "memory");
	for (unsigned i = 0; i < 8000; i++)
		r = r * 33 + ((uint8_t *)table)[i];
	return r;
}

/* A single string instruction in a loop of one block, over pages. */
static NOINLINE uint64_t fn_movs(uint64_t n)
{
	uint64_t *from = (uint64_t *)table, *to = from + 1024, c = 1024, r = n;

	for (unsigned i = 0; i < 4096; i++)
		table[i] = i * 2654435761u;
	__asm__ volatile("1: movsq; dec %2; jnz 1b"
			 : "+S"(from), "+D"(to), "+r"(c)
			 :
			 : "memory", "cc");
	for (unsigned i = 0; i < 4096; i++)
		r = r * 33 + table[i];
	return r;
}

static NOINLINE uint64_t fn_x87(uint64_t n)
{
	volatile long double s = 1.25L;
	uint64_t r = 0;

	for (uint64_t i = 1; i < n; i++) {
		s = s * 1.0625L + __builtin_sqrtl((long double)i) / s;
		if (s > 1e30L)
			s -= 0.5e30L;
		r += (uint64_t)(s * 16) + table[i & 63]++;
	}
	return r;
}

typedef int v4 __attribute__((vector_size(16)));

static NOINLINE uint64_t fn_vector(uint64_t n)
{
	v4 *p = (v4 *)(void *)table, s = {1, 2, 3, 4};

	for (uint64_t i = 0; i < n; i++) {
		p[i & 511] += s * p[(i * 7) & 511];
		s ^= p[i & 255] + (int)i;
	}
	return (uint64_t)s[0] ^ (uint64_t)s[1] << 20 ^ (uint64_t)s[2] << 40;
}

static const struct {
	const char *name;
	uint64_t (*fn)(uint64_t);
	uint64_t arg;
} cases[] = {
	{"sum", fn_sum, 100000},
	{"fib", fn_fib, 20},
	{"sieve", fn_sieve, 3},
	{"indirect", fn_indirect, 5000},
	{"switch", fn_switch, 20000},
	{"float", fn_float, 3000},
	{"regs", fn_regs, 1000},
	{"flags", fn_flags, 1000},
	{"x87", fn_x87, 500},
	{"vector", fn_vector, 9000},
	{"strings", fn_strings, 777},
	{"movs", fn_movs, 5},
};

static void test_case(gconstpointer opaque)
{
	unsigned i = GPOINTER_TO_UINT(opaque);
	struct rig r;
	uint64_t got, want;

	memset(table, 0, sizeof(table));
	rig_open(&r, &cpu_bt);
	want = cases[i].fn(cases[i].arg);
	got = rig_call(&r, &cpu_bt, (uintptr_t)cases[i].fn, cases[i].arg);
	g_assert_cmphex(got, ==, want);
	rig_close(&r, &cpu_bt);
}

/* ---- instructions across two pages ---- */

#define CROSS 0x600000000000ull

static void rig_remap(struct rig *r, uint64_t a, uint64_t gpa)
{
	uint64_t t = r->cr3;

	rig_map(r, a);
	for (int level = 3; level > 0; level--)
		t = ((uint64_t *)(void *)rig_host(
			    r, t))[a >> (12 + 9 * level) & 511] &
		    ~0xfffull;
	((uint64_t *)(void *)rig_host(r, t))[a >> 12 & 511] = gpa | 7;
}

/*
 * A loop whose MOV EAX, imm32 ends on a second page: other pages mapped there,
 * and bytes changed there by the host's side and by the guest, must be seen.
 */
static void test_crossing(void)
{
	static const uint8_t head[] = {0x31, 0xd2, /* xor edx, edx */
		0xb9, 0x40, 0, 0, 0,		   /* mov ecx, 64 */
		0xb8, 0x01};			   /* mov eax, 0x.....01 */
	static const uint8_t tail[] = {0x02, 0x03, 0x04, /* ... 0x04030201 */
		0x01, 0xc2,				 /* add edx, eax */
		0x83, 0x05, 0xf4, 0xff, 0xff, 0xff,
		0x01,	    /* add dword [rip - 12], 1: its own immediate */
		0xff, 0xc9, /* dec ecx */
		0x75, 0xee, /* jnz to the mov */
		0x89, 0xd0, 0xc3}; /* mov eax, edx; ret */
	uint64_t code, second[2], want[2] = {0, 0};
	struct rig r;

	rig_open(&r, &cpu_bt);
	code = rig_map(&r, CROSS);
	memcpy(rig_host(&r, code + 4096 - sizeof(head)), head, sizeof(head));
	for (unsigned i = 0; i < 2; i++) {
		second[i] = rig_page(&r);
		memcpy(rig_host(&r, second[i]), tail, sizeof(tail));
		rig_host(&r, second[i])[2] += i;
	}
	for (unsigned n = 0; n < 6; n++) {
		uint8_t *p = rig_host(&r, second[n & 1]);
		uint32_t imm =
			1u | p[0] << 8 | p[1] << 16 | (uint32_t)p[2] << 24;

		want[n & 1] = 0;
		for (unsigned k = 0; k < 64; k++, imm += 0x100)
			want[n & 1] += imm;
		rig_remap(&r, CROSS + 4096, second[n & 1]);
		g_assert_cmphex(
			rig_call(&r, &cpu_bt, CROSS + 4096 - sizeof(head), 0),
			==, (uint32_t)want[n & 1]);
	}
	rig_close(&r, &cpu_bt);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *name =
			g_strdup_printf("/bt/native/%s", cases[i].name);

		g_test_add_data_func(name, GUINT_TO_POINTER(i), test_case);
	}
	g_test_add_func("/bt/crossing", test_crossing);
	return g_test_run();
}
