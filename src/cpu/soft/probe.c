/*
 * probe.c - how fast does a software engine run a counting loop here?
 *
 * The same question that the KVM engine asks of /dev/kvm, so that the answers
 * can be compared.
 */
#include <string.h>

#include <glib.h>

#include "cpu/soft/soft.h"

#define PROBE_RAM (1u << 16)

/* mov ecx, LOOPS; 1: dec ecx; jnz 1b; hlt (32-bit code) */
static const uint8_t probe_code[] = {0xb9, 0, 0, 0, 0, 0x49, 0x75, 0xfd, 0xf4};

static void probe_state(struct x86_state *s)
{
	uint16_t attr = X86_SEG_P | X86_SEG_S | X86_SEG_G | X86_SEG_DB;

	x86_state_reset(s, false, true);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_seg){0, 0xffffffff, 0x10, attr | 3};
	s->seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 8, attr | 11};
	s->cr0 = X86_CR0_PE | X86_CR0_ET;
	s->rip = 0;
}

/* Microseconds for the loop, 0 if the engine does not finish it. */
static double probe_run(
	const struct cpu_engine *e, struct cpu *cpu, const struct x86_state *s)
{
	struct cpu_exit exit = {0};
	double t;

	if (e->set(cpu, s))
		return 0;
	t = bus_host_ns() / 1e3;
	e->run(cpu, &exit);
	t = bus_host_ns() / 1e3 - t;
	return exit.reason == CPU_EXIT_HALT ? MAX(t, 0.1) : 0;
}

double soft_measure(const struct cpu_engine *e, uint32_t loops)
{
	struct x86_cpu_model *model = g_new0(struct x86_cpu_model, 1);
	struct x86_state *s = aligned_alloc(64, sizeof(*s));
	struct cpu_vm_conf conf = {.model = model};
	struct bus *b = bus_new(PROBE_RAM, PROBE_RAM);
	struct cpu_vm *vm;
	struct cpu *cpu;
	double us = 0;
	char err[128];

	x86_cpu_model_init(
		model, "pentium", NULL, &(struct x86_topology){1, 1, 1}, NULL);
	if (b && !e->vm_new(&vm, b, &conf, err, sizeof(err))) {
		struct bus_cpu *bc = bus_cpu_new(b, 0);

		memcpy(bus_ram(b)->host, probe_code, sizeof(probe_code));
		memcpy(bus_ram(b)->host + 1, &loops, 4);
		probe_state(s);
		if (!e->cpu_new(&cpu, vm, bc, err, sizeof(err))) {
			us = probe_run(e, cpu, s);
			e->cpu_free(cpu);
		}
		e->vm_free(vm);
	}
	bus_free(b);
	free(s);
	g_free(model);
	return us > 0 ? 2.0 * loops / us : 0;
}
