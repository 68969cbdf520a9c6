/*
 * host-engine.c - run one instruction in an engine, without a board.
 *
 * A long-mode machine with one user program at the native side's addresses.
 * It ends by a jump to UD2; whatever exception comes goes to a handler of its
 * vector that halts, and the frame on its stack tells.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "host.h"

/* Guest physical addresses. */
#define RAM_BYTES (1u << 20)
#define PHYS_PML4 0x1000u
#define PHYS_PDPT 0x2000u
#define PHYS_PD	  0x3000u
#define PHYS_PD1  0xf000u
#define PHYS_PT	  0x4000u /* HOST_CODE, HOST_DATA, low */
#define PHYS_GDT  0x8000u
#define PHYS_IDT  0x9000u
#define PHYS_TSS  0xa000u
#define PHYS_STUB 0xb000u /* one HLT per vector */
#define PHYS_STK  0xd000u /* top of the handlers' stack */
#define PHYS_CODE 0x10000u
#define PHYS_DATA 0x20000u
#define PHYS_AREA 0x30000u		/* UD2 where the code leaves to */
#define LOW	  0xffffffff80000000ull /* supervisor view of the first 64 KiB */

static const struct cpu_engine *engine;
static struct bus *bus;
static struct cpu_vm *vm;
static struct cpu *cpu;
static struct x86_cpu_model model;
static uint8_t *ram;
static struct x86_state base;

static void put64(uint32_t at, uint64_t v)
{
	memcpy(ram + at, &v, 8);
}

static uint64_t get64(uint32_t at)
{
	uint64_t v;

	memcpy(&v, ram + at, 8);
	return v;
}

static void map_page(gva_t a, uint32_t phys, uint64_t rights, uint32_t pt)
{
	uint32_t pdpt = a >> 47 ? PHYS_PDPT + 0x4000 : PHYS_PDPT;
	uint32_t pd = a >> 47	    ? PHYS_PD + 0x4000
		      : a >> 30 & 1 ? PHYS_PD1
				    : PHYS_PD;

	put64(PHYS_PML4 + (a >> 39 & 511) * 8, pdpt | 7);
	put64(pdpt + (a >> 30 & 511) * 8, pd | 7);
	put64(pd + (a >> 21 & 511) * 8, pt | 7);
	put64(pt + (a >> 12 & 511) * 8, phys | rights | 0x61);
}

#define MAP_USER  4
#define MAP_WRITE 2
#define MAP_NX	  (1ull << 63)

static void make_tables(void)
{
	for (unsigned i = 0; i < 16; i++)
		map_page(LOW + i * 4096, i * 4096, MAP_WRITE, 0xe000);
	for (unsigned i = 0; i < HOST_CODE_BYTES; i += 4096)
		map_page(HOST_CODE + i, PHYS_CODE + i, MAP_USER, PHYS_PT);
	map_page(HOST_AREA, PHYS_AREA, MAP_USER, PHYS_PT);
	for (unsigned i = 0; i < HOST_PAGES; i++)
		map_page(HOST_DATA + i * 4096, PHYS_DATA + i * 4096,
			MAP_NX | MAP_USER | (i < 2 ? MAP_WRITE : 0),
			PHYS_PT + 0x1000);
	/* ring 0 code at 0x10, then Linux's user selectors */
	put64(PHYS_GDT + 0x10, 0x00af9b000000ffffull);
	put64(PHYS_GDT + 0x18, 0x00cf93000000ffffull);
	put64(PHYS_GDT + 0x20, 0x00cffb000000ffffull);
	put64(PHYS_GDT + 0x28, 0x00cff3000000ffffull);
	put64(PHYS_GDT + 0x30, 0x00affb000000ffffull);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t to = LOW + PHYS_STUB + v * 16;
		unsigned dpl = v == 3 || v == 4 ? 3 : 0;

		put64(PHYS_IDT + v * 16, (to & 0xffff) | 0x10 << 16 |
						 (to >> 16 & 0xffff) << 48 |
						 (0x8e00ull | dpl << 13) << 32);
		put64(PHYS_IDT + v * 16 + 8, to >> 32);
		ram[PHYS_STUB + v * 16] = 0xf4;
	}
	memset(ram + PHYS_TSS, 0, 0x68);
	put64(PHYS_TSS + 4, LOW + PHYS_STK);
	ram[PHYS_TSS + 0x66] = 0x68;
	memset(ram + PHYS_CODE, 0xcc, HOST_CODE_BYTES);
	ram[PHYS_AREA + (HOST_LEAVE - HOST_AREA)] = 0x0f;
	ram[PHYS_AREA + (HOST_LEAVE - HOST_AREA) + 1] = 0x0b;
}

static void make_state(void)
{
	uint16_t data = 0xf3 | X86_SEG_DB | X86_SEG_G;

	x86_state_reset(&base, false, true);
	base.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_MP |
		   X86_CR0_ET | X86_CR0_WP | X86_CR0_AM;
	base.cr3 = PHYS_PML4;
	base.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |
		   X86_CR4_DE | X86_CR4_PGE;
	if (model.feature[X86_FEAT_XSAVE])
		base.cr4 |= X86_CR4_OSXSAVE;
	base.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
	base.xcr0 = model.xcr0_mask | 1;
	base.gdtr = (struct x86_dtab){LOW + PHYS_GDT, 0x7f};
	base.idtr = (struct x86_dtab){LOW + PHYS_IDT, 0x1ff};
	base.seg[X86_TR] = (struct x86_seg){LOW + PHYS_TSS, 0x67, 0x40, 0x8b};
	base.seg[X86_LDTR] = (struct x86_seg){0, 0xffff, 0, 0x82};
	base.seg[X86_SS] = (struct x86_seg){0, 0xffffffff, 0x2b, data};
	base.seg[X86_FS] = (struct x86_seg){0};
	base.activity = X86_ACT_RUN;
}

int host_engine_init(const char *name)
{
	struct x86_topology one = {1, 1, 1};
	struct cpu_vm_conf conf = {.model = &model};
	struct cpu_probe *p = g_new0(struct cpu_probe, 1);
	const char *missing;
	char err[256];

	engine = cpu_engine_find(name);
	if (!engine)
		return -1;
	engine->probe(p);
	x86_cpu_model_init(&model, "host", p->can, &one, &missing);
	g_free(p);
	bus = bus_new(RAM_BYTES, RAM_BYTES);
	ram = bus_ram(bus)->host;
	make_tables();
	make_state();
	if (engine->vm_new(&vm, bus, &conf, err, sizeof(err)) ||
		engine->cpu_new(
			&cpu, vm, bus_cpu_new(bus, 0), err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	return 0;
}

const struct x86_cpu_model *host_engine_model(void)
{
	return &model;
}

static void set_segments(struct x86_state *s, unsigned mode)
{
	uint16_t data = 0xf3 | X86_SEG_DB | X86_SEG_G;
	uint16_t code = 0xfb | X86_SEG_G;
	struct x86_seg d = {0, 0xffffffff, 0x2b, data};

	s->seg[X86_CS] = mode == 8 ? (struct x86_seg){0, 0xffffffff, 0x33,
					     code | X86_SEG_L}
				   : (struct x86_seg){0, 0xffffffff, 0x23,
					     code | X86_SEG_DB};
	if (mode == 8)
		memset(&d, 0, sizeof(d));
	s->seg[X86_DS] = s->seg[X86_ES] = d;
	s->seg[X86_GS] = (struct x86_seg){mode == 8 ? HOST_GS_BASE : 0};
}

/* The exception frame that the halted handler has. */
static void read_frame(const struct x86_state *s, const struct host_case *k,
	struct host_result *r)
{
	uint32_t sp = (uint32_t)(s->gpr[X86_RSP] - LOW);

	if (s->rip < LOW + PHYS_STUB || s->rip > LOW + PHYS_STUB + 0x200 ||
		sp > PHYS_STK || sp < PHYS_STK - 64) {
		fprintf(stderr, "engine lost: rip %lx rsp %lx\n", s->rip,
			s->gpr[X86_RSP]);
		r->vector = 0xff;
		r->faulted = true;
		return;
	}
	r->vector = (uint8_t)((s->rip - 1 - LOW - PHYS_STUB) / 16);
	r->error = 0;
	if (PHYS_STK - sp == 48) {
		r->error = (uint32_t)get64(sp);
		sp += 8;
	}
	r->rip = get64(sp);
	r->rflags = get64(sp + 16);
	r->gpr[X86_RSP] = get64(sp + 24);
	r->cr2 = s->cr2;
	r->faulted = r->vector != X86_UD || r->rip != HOST_LEAVE;
	if (r->faulted)
		return;
	r->rip = k->at + k->len;
	r->rflags &= ~(uint64_t)X86_FL_RF;
}

/* Write it only if it is other code than before, so that what an engine keeps
 * of it is used again. */
static void place_code(const struct host_case *k)
{
	static uint8_t now[HOST_MAX_CODE + HOST_EXIT_BYTES], last[sizeof(now)];
	static unsigned last_at, last_len;
	unsigned at = k->at - HOST_CODE, len = k->len + HOST_EXIT_BYTES;

	memcpy(now, k->code, k->len);
	host_put_exit(now + k->len, k->mode);
	if (last_at == at && last_len == len && !memcmp(now, last, len))
		return;
	memset(last, 0xcc, last_len);
	bus_dma_write(bus, PHYS_CODE + last_at, last, last_len);
	bus_dma_write(bus, PHYS_CODE + at, now, len);
	memcpy(last, now, len);
	last_at = at;
	last_len = len;
}

void host_engine_run(const struct host_case *k, struct host_result *r)
{
	static struct x86_state s;
	struct cpu_exit exit = {0};

	place_code(k);
	memcpy(ram + PHYS_DATA, k->data, HOST_BYTES);
	s = base;
	set_segments(&s, k->mode);
	memcpy(s.gpr, k->in.gpr, sizeof(s.gpr));
	s.rflags = k->in.rflags;
	s.rip = k->at;
	s.fpu = k->in.fpu;
	memset(r, 0, offsetof(struct host_result, data));
	if (engine->set(cpu, &s)) {
		fprintf(stderr, "engine refuses the state\n");
		abort();
	}
	engine->run(cpu, &exit);
	engine->get(cpu, &s);
	memcpy(r->gpr, s.gpr, sizeof(r->gpr));
	r->fpu = s.fpu;
	read_frame(&s, k, r);
	memcpy(r->data, ram + PHYS_DATA, HOST_BYTES);
}
