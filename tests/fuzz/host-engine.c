/*
 * host-engine.c - run a batch of cases in an engine, without a board.
 *
 * A long-mode machine with one user program, the driver, at the native side's
 * addresses.  Exceptions go to the driver's handler; at the end it takes a gate
 * to a handler that halts.
 *
 * The code is put into other physical pages each time, or a translator would
 * take it for code that changes all the time and treat it as such - which it
 * is to do as well now and then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "host.h"

/* Guest physical addresses. */
#define PHYS_PML4   0x1000u
#define PHYS_PDPT   0x2000u
#define PHYS_PD	    0x3000u
#define PHYS_PT	    0x4000u /* of HOST_CODE and up, HOST_DATA */
#define PHYS_PDPT1  0x6000u /* of LOW */
#define PHYS_PD1    0x7000u
#define PHYS_GDT    0x8000u
#define PHYS_IDT    0x9000u
#define PHYS_TSS    0xa000u
#define PHYS_STUB   0xb000u /* 16 bytes for each vector */
#define PHYS_STK    0xd000u /* top of the handlers' stack */
#define PHYS_DRIVER 0xd000u
#define PHYS_PT1    0xe000u
#define PHYS_PD2    0xf000u  /* of 0x40000000 up */
#define PHYS_PD3    0x10000u /* of HOST_IN up */
#define PHYS_PT3    0x11000u /* two */
#define PHYS_LDT    0x13000u
#define PHYS_CTL    0x14000u
#define PHYS_DATA   0x20000u
#define PHYS_STEP   0x24000u
#define PHYS_IN	    0x30000u
#define PHYS_OUT    0x60000u
#define PHYS_CODE   0x100000u
#define CODE_PLACES 512u
#define RAM_BYTES   (PHYS_CODE + CODE_PLACES * HOST_CODE_BYTES)
#define LOW                                                                    \
	0xffffffff80000000ull /* supervisor view of what is below PHYS_CTL */
#define END_VECTOR 31

struct host_engine {
	const struct cpu_engine *engine;
	struct bus *bus;
	struct cpu_vm *vm;
	struct cpu *cpu;
	uint8_t *ram;
	struct x86_state base;
	unsigned place;
};

static struct x86_cpu_model model;

static void put64(const struct host_engine *e, uint32_t at, uint64_t v)
{
	memcpy(e->ram + at, &v, 8);
}

#define MAP_USER  4
#define MAP_WRITE 2
#define MAP_NX	  (1ull << 63)

/* The tables on the way to an address. */
static void map_page(
	const struct host_engine *e, gva_t a, uint32_t phys, uint64_t rights)
{
	uint32_t pdpt = PHYS_PDPT, pd = PHYS_PD, pt;

	switch (a >> 28) {
	case LOW >> 28:
		pdpt = PHYS_PDPT1;
		pd = PHYS_PD1;
		pt = PHYS_PT1;
		break;
	case HOST_DATA >> 28: pt = PHYS_PT; break;
	case HOST_CODE >> 28:
		pd = PHYS_PD2;
		pt = PHYS_PT + 0x1000;
		break;
	default:
		pd = PHYS_PD3;
		pt = PHYS_PT3 + (a >> 21 & 1) * 0x1000;
		break;
	}
	put64(e, PHYS_PML4 + (a >> 39 & 511) * 8, pdpt | 7);
	put64(e, pdpt + (a >> 30 & 511) * 8, pd | 7);
	put64(e, pd + (a >> 21 & 511) * 8, pt | 7);
	put64(e, pt + (a >> 12 & 511) * 8, phys | rights | 0x61);
}

/* Neighbours in the address space are none in memory. */
static uint32_t backwards(uint32_t phys, uint32_t bytes, uint32_t off)
{
	return phys + bytes - 4096 - off;
}

static void map_backwards(const struct host_engine *e, gva_t a, uint32_t phys,
	uint32_t bytes, uint64_t rights)
{
	for (uint32_t i = 0; i < bytes; i += 4096)
		map_page(e, a + i, backwards(phys, bytes, i), rights);
}

static void map_pages(const struct host_engine *e, gva_t a, uint32_t phys,
	uint32_t bytes, uint64_t rights)
{
	for (uint32_t i = 0; i < bytes; i += 4096)
		map_page(e, a + i, phys + i, rights);
}

static void map_all(const struct host_engine *e)
{
	uint64_t rw = MAP_NX | MAP_USER | MAP_WRITE;

	map_pages(e, LOW, 0, 0x14000, MAP_WRITE);
	map_pages(e, HOST_DRIVER, PHYS_DRIVER, 4096, MAP_USER);
	map_pages(e, HOST_CTL, PHYS_CTL, 4096, rw);
	map_backwards(e, HOST_DATA, PHYS_DATA, HOST_BYTES, rw);
	map_page(e, HOST_DATA + HOST_DATA_BYTES, PHYS_DATA, MAP_NX | MAP_USER);
	map_pages(e, HOST_IN, PHYS_IN, HOST_BATCH * IN_BYTES, rw);
	map_pages(e, HOST_OUT, PHYS_OUT, HOST_BATCH * OUT_BYTES, rw);
	map_pages(e, HOST_STEP, PHYS_STEP, HOST_CODE_BYTES, rw);
}

/* push 0 where the processor pushes no error code; push vector; jmp fault */
static void make_stub(const struct host_engine *e, unsigned v)
{
	uint8_t *p = e->ram + PHYS_STUB + v * 16;
	uint32_t to = PHYS_DRIVER + (host_driver_fault - host_driver);
	int32_t rel;

	if (v == END_VECTOR) {
		*p = 0xf4;
		return;
	}
	if (!(0x227d00u >> v & 1)) {
		*p++ = 0x6a;
		*p++ = 0;
	}
	*p++ = 0x6a;
	*p++ = v;
	*p++ = 0xe9;
	rel = (int32_t)(to - (uint32_t)(p + 4 - e->ram));
	memcpy(p, &rel, 4);
}

static void make_tables(const struct host_engine *e)
{
	map_all(e);
	/* ring 0 code at 0x10, then Linux's user selectors */
	put64(e, PHYS_GDT + 0x10, 0x00af9b000000ffffull);
	put64(e, PHYS_GDT + 0x18, 0x00cf93000000ffffull);
	put64(e, PHYS_GDT + 0x20, 0x00cffb000000ffffull);
	put64(e, PHYS_GDT + 0x28, 0x00cff3000000ffffull);
	put64(e, PHYS_GDT + 0x30, 0x00affb000000ffffull);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t to = LOW + PHYS_STUB + v * 16;
		unsigned dpl = v == 3 || v == 4 || v == END_VECTOR ? 3 : 0;

		put64(e, PHYS_IDT + v * 16,
			(to & 0xffff) | 0x10 << 16 | (to >> 16 & 0xffff) << 48 |
				(0x8e00ull | dpl << 13 | host_kernel) << 32);
		put64(e, PHYS_IDT + v * 16 + 8, to >> 32);
		make_stub(e, v);
	}
	for (unsigned n = 0; n < HOST_LDT_ENTRIES; n++)
		put64(e, PHYS_LDT + n * 8, host_segs_descriptor(n));
	put64(e, PHYS_TSS + 4, LOW + PHYS_STK);
	put64(e, PHYS_TSS + 0x24, LOW + PHYS_STK); /* IST1 */
	e->ram[PHYS_TSS + 0x66] = 0x68;
	memcpy(e->ram + PHYS_DRIVER, host_driver,
		host_driver_end - host_driver);
}

static void make_state(struct x86_state *s)
{
	uint16_t data = 0xf3 | X86_SEG_DB | X86_SEG_G;
	uint16_t code = 0xfb | X86_SEG_G | X86_SEG_L;

	x86_state_reset(s, false, true);
	s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_MP |
		 X86_CR0_ET | X86_CR0_WP | X86_CR0_AM;
	s->cr3 = PHYS_PML4;
	s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |
		 X86_CR4_PGE; /* as Linux: no DE */
	if (model.feature[X86_FEAT_XSAVE])
		s->cr4 |= X86_CR4_OSXSAVE;
	s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
	s->xcr0 = model.xcr0_mask | 1;
	s->gdtr = (struct x86_dtab){LOW + PHYS_GDT, 0x7f};
	s->idtr = (struct x86_dtab){LOW + PHYS_IDT, 0x1ff};
	s->seg[X86_TR] = (struct x86_seg){LOW + PHYS_TSS, 0x67, 0x40, 0x8b};
	s->seg[X86_LDTR] = (struct x86_seg){
		LOW + PHYS_LDT, HOST_LDT_ENTRIES * 8 - 1, 0x48, 0x82};
	s->seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 0x33, code};
	s->seg[X86_SS] = (struct x86_seg){0, 0xffffffff, 0x2b, data};
	s->seg[X86_DS] = s->seg[X86_ES] = (struct x86_seg){0};
	s->seg[X86_FS] = s->seg[X86_GS] = (struct x86_seg){0};
	if (host_kernel) {
		s->seg[X86_CS].sel = 0x10;
		s->seg[X86_SS].sel = 0x18;
		s->seg[X86_CS].attr &= ~X86_SEG_DPL;
		s->seg[X86_SS].attr &= ~X86_SEG_DPL;
	}
	s->rflags = 0x202;
	s->rip = HOST_DRIVER;
	s->activity = X86_ACT_RUN;
}

static void make_model(const struct cpu_engine *engine)
{
	struct x86_topology one = {1, 1, 1};
	struct cpu_probe *p = g_new0(struct cpu_probe, 1);
	const char *missing;

	engine->probe(p);
	x86_cpu_model_init(&model, "host", p->can, &one, &missing);
	g_free(p);
}

/* The first one runs; that there are others makes a difference to LOCK. */
static int make_cpus(struct host_engine *e, char *err, unsigned errsize)
{
	unsigned n = getenv("CPUS") ? (unsigned)atoi(getenv("CPUS")) : 1;

	while (n--) {
		struct cpu **cpu = n ? &(struct cpu *){NULL} : &e->cpu;
		int ret = e->engine->cpu_new(
			cpu, e->vm, bus_cpu_new(e->bus, n), err, errsize);

		if (ret)
			return ret;
	}
	return 0;
}

struct host_engine *host_engine_new(const char *name)
{
	struct cpu_vm_conf conf = {.model = &model};
	struct host_engine *e = g_new0(struct host_engine, 1);
	char err[256];

	e->engine = cpu_engine_find(name);
	if (!e->engine)
		return NULL;
	if (!model.name[0])
		make_model(e->engine);
	e->bus = bus_new(RAM_BYTES, RAM_BYTES);
	e->ram = bus_ram(e->bus)->host;
	make_tables(e);
	make_state(&e->base);
	if (e->engine->vm_new(&e->vm, e->bus, &conf, err, sizeof(err)) ||
		make_cpus(e, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return NULL;
	}
	return e;
}

const struct x86_cpu_model *host_engine_model(void)
{
	return &model;
}

/* Every eighth batch where the one before was. */
static void place_code(struct host_engine *e, const struct host_batch *b)
{
	uint32_t at;

	if (e->place++ % 8 == 7)
		at = PHYS_CODE;
	else
		at = PHYS_CODE + e->place % CODE_PLACES * HOST_CODE_BYTES;
	for (uint32_t i = 0; i < HOST_CODE_BYTES; i += 4096)
		bus_dma_write(e->bus, backwards(at, HOST_CODE_BYTES, i),
			b->code + i, 4096);
	map_backwards(e, HOST_CODE, at, HOST_CODE_BYTES, MAP_USER);
	memcpy(e->ram + PHYS_STEP, b->step, HOST_CODE_BYTES);
}

const struct host_out *host_engine_run(
	struct host_engine *e, const struct host_batch *b)
{
	struct host_ctl *ctl = (void *)(e->ram + PHYS_CTL);
	struct cpu_exit exit = {0};
	struct x86_state s = e->base;

	place_code(e, b);
	for (uint32_t i = 0; i < HOST_BYTES; i += 4096)
		memcpy(e->ram + backwards(PHYS_DATA, HOST_BYTES, i),
			b->data + i, 4096);
	memcpy(e->ram + PHYS_IN, host_native_in(), b->n * IN_BYTES);
	*ctl = (struct host_ctl){.in = HOST_IN - IN_BYTES,
		.out = HOST_OUT - OUT_BYTES,
		.end = HOST_IN + b->n * IN_BYTES,
		.finish = HOST_LABEL(done),
		.ss = host_segs.sel[X86_SS],
		.ds = host_segs.sel[X86_DS],
		.es = host_segs.sel[X86_ES],
		.base = host_segs.base[X86_CS],
		.leave_cs = e->base.seg[X86_CS].sel,
		.leave_ss = e->base.seg[X86_SS].sel};
	s.seg[X86_GS].base = b->mode == 8 ? HOST_GS_BASE : 0;
	if (e->engine->set(e->cpu, &s)) {
		fprintf(stderr, "engine refuses the state\n");
		abort();
	}
	e->engine->run(e->cpu, &exit);
	e->engine->get(e->cpu, &s);
	if (s.rip != LOW + PHYS_STUB + END_VECTOR * 16 + 1) {
		fprintf(stderr, "%s is lost: rip %lx rsp %lx case %lu\n",
			e->engine->name, s.rip, s.gpr[X86_RSP],
			(ctl->in - HOST_IN) / IN_BYTES);
		for (unsigned n = 0; n < HOST_BATCH; n++)
			memset(e->ram + PHYS_OUT + n * OUT_BYTES, 0xee,
				OUT_FAULT);
	}
	return (const struct host_out *)(e->ram + PHYS_OUT);
}

const uint8_t *host_engine_constant(const struct host_engine *e)
{
	return e->ram + PHYS_DATA;
}

uint64_t host_engine_insns(const struct host_engine *e)
{
	struct cpu_stat list[1];
	struct cpu_stats st = {list, 1, 0};

	e->engine->stats(e->cpu, &st); /* the first one */
	return list[0].value;
}

void host_engine_print_ops(const struct host_engine *e)
{
	struct cpu_stat *list = g_new(struct cpu_stat, CPU_STATS_MAX);
	struct cpu_stats st = {list, CPU_STATS_MAX, 0};
	unsigned ops = 0;

	e->engine->stats(e->cpu, &st);
	for (unsigned i = 0; i < st.n && i < st.room; i++) {
		if (strcmp(list[i].group, "interpreted"))
			continue;
		printf("%12lu %s\n", list[i].value, list[i].name);
		ops++;
	}
	printf("%u operations\n", ops);
	g_free(list);
}
