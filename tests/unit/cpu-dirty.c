/* cpu-dirty.c - every engine notes which pages are written. */
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "cpu/engine.h"

#define RAM_BYTES (1u << 20)

/* 32-bit: eax to [0x5000] and [0x9ffe] (two pages), to the page of this code,
 * read [0xb000], push to 0xdffc, hlt */
static const uint8_t code[] = {0xa3, 0x00, 0x50, 0, 0, 0xa3, 0xfe, 0x9f, 0, 0,
	0xa3, 0x00, 0x08, 0, 0, 0x8b, 0x1d, 0x00, 0xb0, 0, 0, 0x50, 0xf4};

struct rig {
	const struct cpu_engine *e;
	struct x86_cpu_model model;
	struct bus *bus;
	struct cpu_vm *vm;
	struct cpu *cpu;
	struct x86_state *s;
};

static bool rig_init(struct rig *r, const struct cpu_engine *e)
{
	const uint16_t attr =
		X86_SEG_P | X86_SEG_S | X86_SEG_G | X86_SEG_DB | 3;
	struct cpu_probe *probe = g_new0(struct cpu_probe, 1);
	struct cpu_vm_conf conf = {.model = &r->model};
	struct x86_topology one = {1, 1, 1};
	char err[256];

	e->probe(probe);
	if (!probe->usable) {
		g_test_skip(probe->why);
		g_free(probe);
		return false;
	}
	r->e = e;
	g_assert_cmpint(x86_cpu_model_init(
				&r->model, "pentium", probe->can, &one, NULL),
		==, 0);
	g_free(probe);
	r->bus = bus_new(RAM_BYTES, RAM_BYTES);
	memcpy(bus_ram(r->bus)->host, code, sizeof(code));
	g_assert_cmpint(
		e->vm_new(&r->vm, r->bus, &conf, err, sizeof(err)), ==, 0);
	g_assert_cmpint(e->cpu_new(&r->cpu, r->vm, bus_cpu_new(r->bus, 0), err,
				sizeof(err)),
		==, 0);
	r->s = aligned_alloc(64, sizeof(*r->s));
	memset(r->s, 0, sizeof(*r->s));
	x86_state_reset(r->s, false, true);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		r->s->seg[i] = (struct x86_seg){0, 0xffffffff, 0x10, attr};
	r->s->seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 8, attr | 11};
	r->s->cr0 = X86_CR0_PE | X86_CR0_ET;
	r->s->gpr[X86_RSP] = 0xe000;
	r->s->rip = 0;
	return true;
}

static void rig_run(struct rig *r)
{
	struct cpu_exit exit = {0};

	g_assert_cmpint(r->e->set(r->cpu, r->s), ==, 0);
	r->e->run(r->cpu, &exit);
	g_assert_cmpint(exit.reason, ==, CPU_EXIT_HALT);
}

static void rig_tell(struct rig *r, enum cpu_dirty what)
{
	bus_lock(r->bus);
	g_assert_cmpint(r->e->dirty(r->vm, what), ==, 0);
	bus_unlock(r->bus);
}

/* Bit n: page n. */
static uint64_t rig_fetch(struct rig *r)
{
	uint64_t bits[RAM_BYTES / 4096 / 64], n;

	rig_tell(r, CPU_DIRTY_FETCH);
	n = bus_dirty_fetch(r->bus, bits);
	g_assert_cmpuint(n, ==, (unsigned)__builtin_popcountll(bits[0]));
	g_assert_cmpuint(bits[1] | bits[2] | bits[3], ==, 0);
	return bits[0];
}

#define WRITTEN (1 << 5 | 1 << 9 | 1 << 10 | 1 << 0 | 1 << 13)

static void test_engine(const void *engine)
{
	struct rig r = {0};

	if (!rig_init(&r, engine))
		return;
	rig_run(&r); /* its TLB is full when the log starts */
	rig_tell(&r, CPU_DIRTY_START);
	bus_dirty_start(r.bus);
	g_assert_cmphex(rig_fetch(&r), ==, 0);
	for (unsigned i = 0; i < 3; i++) {
		rig_run(&r);
		g_assert_cmphex(rig_fetch(&r), ==, WRITTEN);
	}
	g_assert_cmphex(rig_fetch(&r), ==, 0);
	/* devices */
	bus_dma_write(r.bus, 0x6fff, "ab", 2);
	bus_mmio_write(r.bus, NULL, 0xc000, 4, 1);
	rig_run(&r);
	g_assert_cmphex(rig_fetch(&r), ==, WRITTEN | 1 << 6 | 1 << 7 | 1 << 12);
	rig_tell(&r, CPU_DIRTY_STOP);
	bus_dirty_stop(r.bus);
	for (unsigned i = 0; i < RAM_BYTES / 4096; i++)
		g_assert_false(bus_page_flags(r.bus)[i] & BUS_PAGE_CLEAN);
	r.e->cpu_free(r.cpu);
	r.e->vm_free(r.vm);
	bus_free(r.bus);
	free(r.s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/dirty/interp", &cpu_interp, test_engine);
	g_test_add_data_func("/dirty/bt", &cpu_bt, test_engine);
	g_test_add_data_func("/dirty/lockstep", &cpu_lockstep, test_engine);
	g_test_add_data_func("/dirty/kvm", &cpu_kvm, test_engine);
	return g_test_run();
}
