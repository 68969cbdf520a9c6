/*
 * harness.c - run one bare-metal program on one engine, without a board.
 *
 *   harness ENGINE MODE FLAT-BINARY      MODE: 16, 32 or 64
 *
 * The program is loaded at 0x7c00 (16) or 0x200000 and started in that mode
 * with interrupts off.  In 64-bit mode the first 4 GiB are mapped to
 * themselves by 2 MiB pages that ring 3 may use.  Bytes written to port 0xe9
 * are the test's TAP output; a byte written to port 0xf4 ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "cpu/engine.h"

#define RAM_BYTES (32ull << 20)
#define PML4	  0x100000
#define LOAD	  0x200000
#define LOAD16	  0x7c00
#define STACK	  0x1f0000

struct harness {
	struct bus_cpu *bc;
	bool done;
	int code;
};

static void port_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct harness *h = opaque;

	if (port == 0xe9) {
		putchar((int)(val & 0xff));
	} else {
		h->done = true;
		h->code = (int)(val & 0xff);
		bus_cpu_raise(h->bc, BUS_EV_STOP);
	}
}

static const struct bus_io_ops ports = {.write = port_write};

/* 4 GiB identity map: PML4, one PDPT, four page directories. */
static void map_identity(uint8_t *ram)
{
	uint64_t *pml4 = (uint64_t *)(ram + PML4);
	uint64_t *pdpt = (uint64_t *)(ram + PML4 + 0x1000);

	pml4[0] = (PML4 + 0x1000) | 7;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t *pd = (uint64_t *)(ram + PML4 + 0x2000 + i * 0x1000);

		pdpt[i] = (PML4 + 0x2000 + i * 0x1000) | 7;
		for (unsigned j = 0; j < 512; j++)
			pd[j] = (((uint64_t)i * 512 + j) << 21) | 0x87;
	}
}

static void set_flat(struct x86_state *s, unsigned mode)
{
	uint16_t code = X86_SEG_P | X86_SEG_S | X86_SEG_G | 0xb;
	uint16_t data = X86_SEG_P | X86_SEG_S | X86_SEG_G | X86_SEG_DB | 0x3;

	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_seg){0, 0xffffffff, 0x10, data};
	code |= mode == 64 ? X86_SEG_L : X86_SEG_DB;
	s->seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 8, code};
	s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	s->rip = LOAD;
	s->gpr[X86_RSP] = STACK;
	s->tsc_offset = 0;
	if (mode == 64) {
		s->cr0 |= X86_CR0_PG;
		s->cr3 = PML4;
		s->cr4 = X86_CR4_PAE;
		s->efer = X86_EFER_LME | X86_EFER_LMA;
	}
}

static void start_state(struct x86_state *s, unsigned mode)
{
	x86_state_reset(s, false, true);
	if (mode != 16) {
		set_flat(s, mode);
		return;
	}
	for (unsigned i = X86_ES; i <= X86_GS; i++) {
		s->seg[i].sel = 0;
		s->seg[i].base = 0;
	}
	s->rip = LOAD16;
	s->gpr[X86_RSP] = LOAD16;
}

static int fail(const char *what)
{
	printf("Bail out! %s\n", what);
	return 1;
}

static int run(const struct cpu_engine *engine, struct cpu *cpu,
	struct bus_cpu *bc, struct harness *h)
{
	while (!h->done) {
		struct cpu_exit e = {0};

		engine->run(cpu, &e);
		if (h->done)
			break;
		if (e.reason == CPU_EXIT_SHUTDOWN)
			return fail("triple fault");
		if (e.reason == CPU_EXIT_ERROR || e.reason == CPU_EXIT_DIFF)
			return fail(e.text);
		if (e.reason == CPU_EXIT_HALT)
			return fail("halted for ever");
		bus_cpu_clear(bc, BUS_EV_STOP);
	}
	return h->code;
}

int main(int argc, char **argv)
{
	const struct cpu_engine *engine;
	struct cpu_probe probe;
	struct x86_cpu_model model;
	struct x86_topology topo = {1, 1, 1};
	struct cpu_vm_conf conf = {.model = &model};
	struct harness h = {0};
	struct x86_state s;
	struct bus *bus;
	struct bus_cpu *bc;
	struct cpu_vm *vm;
	struct cpu *cpu;
	char err[256];
	const char *missing;
	gchar *code;
	gsize len;
	unsigned mode;

	if (argc != 4)
		return fail("usage: harness ENGINE MODE BINARY");
	engine = cpu_engine_find(argv[1]);
	mode = (unsigned)atoi(argv[2]);
	if (!engine || !g_file_get_contents(argv[3], &code, &len, NULL))
		return fail("no such engine or file");
	engine->probe(&probe);
	/* An emulated KVM lacks instructions that these tests use. */
	if (!probe.usable || (engine == &cpu_kvm && probe.mips < 50)) {
		printf("1..0 # SKIP %s\n", probe.why);
		g_free(code);
		return 0;
	}
	if (x86_cpu_model_init(&model, "auto", probe.can, &topo, &missing))
		return fail("CPU model");
	bus = bus_new(RAM_BYTES, RAM_BYTES);
	bus_lock(bus);
	h.bc = bc = bus_cpu_new(bus, 0);
	bus_io_claim(bus, 0xe9, 1, &ports, &h);
	bus_io_claim(bus, 0xf4, 1, &ports, &h);
	map_identity(bus_ram(bus)->host);
	memcpy(bus_ram(bus)->host + (mode == 16 ? LOAD16 : LOAD), code, len);
	bus_unlock(bus);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (engine->vm_new(&vm, bus, &conf, err, sizeof(err)) ||
		engine->cpu_new(&cpu, vm, bc, err, sizeof(err)))
		return fail(err);
	start_state(&s, mode);
	if (engine->set(cpu, &s))
		return fail("start state refused");
	h.code = run(engine, cpu, bc, &h);
	fflush(stdout);
	engine->cpu_free(cpu);
	engine->vm_free(vm);
	bus_free(bus);
	g_free(code);
	return h.code;
}
