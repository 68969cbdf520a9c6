/*
 * harness.c - run one bare-metal program on one engine.
 *
 *   harness ENGINE MODE FLAT-BINARY [CPUS [MODEL]]      MODE: 16, 32 or 64
 *
 * The program is loaded at 0x7c00 (16) or 0x200000 and started in that mode
 * with interrupts off.  In 64-bit mode the first 4 GiB are mapped to
 * themselves by 2 MiB pages that ring 3 may use.  Bytes written to port 0xe9
 * are the test's TAP output; a byte written to port 0xf4 ends it; a byte n
 * written to port 0xf5 says that a triple fault is to come, as test n, and
 * ends it too.  Port 0xf4 reads as the environment's GUEST_SEED, or 1.
 *
 * Around it are the board's interrupt controllers, timers, both A20 gates and
 * ports 0x2000 + n that set the level of interrupt line n, and one more behind
 * them for the NMI line.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "cpu/engine.h"
#include "cpu/kvm/kvm.h"
#include "dev/input/i8042.h"
#include "dev/irq/intc.h"
#include "dev/misc/i8237.h"
#include "dev/misc/port92.h"
#include "dev/sound/sb16.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/pci.h"
#include "dev/pci/piix3.h"
#include "dev/timer/acpi_pm.h"
#include "dev/timer/hpet.h"
#include "dev/timer/i8254.h"
#include "dev/timer/mc146818.h"

#define RAM_BYTES (32ull << 20)
#define PML4	  0x100000
#define LOAD	  0x200000
#define LOAD16	  0x7c00
#define STACK	  0x1f0000

#define MAX_CPUS 4
#define LINES	 0x2000 /* ports */

struct harness {
	const struct cpu_engine *engine;
	const struct bus_irq *gsi;
	struct dev *intc, *rtc;
	struct x86_cpu_model model;
	struct bus *bus;
	struct bus_cpu *bc[MAX_CPUS];
	struct cpu *cpu[MAX_CPUS];
	unsigned ncpus, triple;
	_Atomic(bool) done;
	int code;
};

struct runner {
	struct harness *h;
	unsigned index;
	pthread_t thread;
};

static void end(struct harness *h, int code)
{
	if (!h->done)
		h->code = code;
	h->done = true;
	for (unsigned i = 0; i < h->ncpus; i++)
		bus_cpu_raise(h->bc[i], BUS_EV_STOP);
}

static void port_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct harness *h = opaque;

	if (port == 0xe9)
		putchar((int)(val & 0xff));
	else if (port == 0xf4)
		end(h, (int)(val & 0xff));
	else if (port == 0xf5)
		h->triple = val & 0xff;
	else if (port < LINES + BUS_NGSI)
		bus_irq_set(&h->gsi[port - LINES], val & 1);
	else if ((val & 1) && !mc146818_nmi_masked(h->rtc))
		intc_nmi(h->intc);
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned size)
{
	const char *seed = getenv("GUEST_SEED");

	return port == 0xf4 && seed ? (uint32_t)atoi(seed) : 1;
}

static const struct bus_io_ops ports = {
	.read = port_read, .write = port_write, .sizes = 1 | 2};

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

/* ---- the board ---- */

static struct dev *add(const struct dev_class *cls, const struct dev_host *host)
{
	char err[256];
	struct dev *d = dev_new(cls, cls->name, host, err, sizeof(err));

	if (!d)
		exit(fail(err));
	return d;
}

static void make_board(struct harness *h)
{
	struct dev_host host = {.bus = h->bus, .pci_slot = -1};
	struct dev *d = h->intc = add(&intc_class, &host);
	static const struct x86_state any;
	struct x86_cpuid_regs kvm;

	intc_set_features(d, h->model.phys_bits,
		h->model.feature[X86_FEAT_X2APIC],
		h->model.feature[X86_FEAT_TSC_DEADLINE]);
	intc_virtual_wire(d);
	x86_cpu_model_cpuid(&h->model, 0, &any, 0x40000001, 0, &kvm);
	intc_set_paravirt(d, kvm.eax, h->model.tsc_hz);
	host.gsi = h->gsi = intc_gsi(d);
	host.gsi = hpet_gsi(add(&hpet_class, &host));
	h->rtc = add(&mc146818_class, &host);
	add(&i8254_class, &host);
	host.gsi = h->gsi;
	host.pci = pci_bus_new(h->bus);
	shadow_open(i440fx_shadow(add(&i440fx_class, &host)));
	add(&piix3_class, &host);
	acpi_pm_set_base(add(&acpi_pm_class, &host), ACPI_PM_BASE);
	add(&i8042_class, &host);
	add(&port92_class, &host);
	host.dma = add(&i8237_class, &host);
	add(&sb16_class, &host);
	bus_set_a20(h->bus, true);
	bus_io_claim(h->bus, 0xe9, 1, &ports, h);
	bus_io_claim(h->bus, 0xf4, 2, &ports, h);
	bus_io_claim(h->bus, LINES, BUS_NGSI + 1, &ports, h);
}

static void *run_timers(void *opaque)
{
	struct harness *h = opaque;

	while (!h->done) {
		struct pollfd p = {
			.fd = bus_timers_fd(h->bus), .events = POLLIN};

		if (poll(&p, 1, 50) > 0)
			bus_timers_run(h->bus);
	}
	return NULL;
}

/* ---- processors ---- */

static void take_events(struct harness *h, unsigned i)
{
	const struct cpu_engine *e = h->engine;
	uint32_t events = atomic_load(&h->bc[i]->events);
	struct x86_state *s;

	if (!(events & (BUS_EV_INIT | BUS_EV_SIPI)))
		return;
	s = g_aligned_alloc0(1, sizeof(*s), 64);
	e->get(h->cpu[i], s);
	if (events & BUS_EV_INIT) {
		bus_cpu_clear(h->bc[i], BUS_EV_INIT);
		x86_state_reset(s, true, i == 0);
	}
	if (events & BUS_EV_SIPI) {
		bus_cpu_clear(h->bc[i], BUS_EV_SIPI);
		if (s->activity == X86_ACT_WAIT_SIPI)
			x86_state_sipi(s, atomic_load(&h->bc[i]->sipi_vector));
	}
	e->set(h->cpu[i], s);
	g_aligned_free(s);
}

static void shut_down(struct harness *h)
{
	if (h->triple)
		printf("ok %u a triple fault shuts down\n1..%u\n", h->triple,
			h->triple);
	else
		fail("triple fault");
	end(h, !h->triple);
}

static void *run_cpu(void *opaque)
{
	struct runner *r = opaque;
	struct harness *h = r->h;
	struct bus_cpu *bc = h->bc[r->index];
	uint32_t wake = BUS_EV_NMI | BUS_EV_INIT | BUS_EV_SIPI | BUS_EV_STOP |
			BUS_EV_ENGINE;

	while (!h->done) {
		struct cpu_exit e = {0};

		h->engine->run(h->cpu[r->index], &e);
		if (h->done)
			break;
		switch (e.reason) {
		case CPU_EXIT_SHUTDOWN: shut_down(h); break;
		case CPU_EXIT_HALT:
			if (e.masked && h->ncpus == 1)
				end(h, fail("halted for ever"));
			bus_cpu_wait(bc, e.masked ? wake : wake | BUS_EV_INTR);
			take_events(h, r->index);
			break;
		case CPU_EXIT_EVENT: take_events(h, r->index); break;
		default: end(h, fail(e.text)); break;
		}
	}
	return NULL;
}

static int make_cpus(struct harness *h, struct cpu_vm *vm, unsigned mode)
{
	struct x86_state *s = g_aligned_alloc0(1, sizeof(*s), 64);
	char err[256];

	for (unsigned i = 0; i < h->ncpus; i++) {
		if (h->engine->cpu_new(
			    &h->cpu[i], vm, h->bc[i], err, sizeof(err)))
			return fail(err);
		if (i)
			x86_state_reset(s, false, false);
		else
			start_state(s, mode);
		if (h->engine->set(h->cpu[i], s))
			return fail("start state refused");
	}
	g_aligned_free(s);
	return 0;
}

static int run(struct harness *h)
{
	struct runner r[MAX_CPUS];
	pthread_t timers;

	pthread_create(&timers, NULL, run_timers, h);
	for (unsigned i = 0; i < h->ncpus; i++) {
		r[i] = (struct runner){h, i};
		pthread_create(&r[i].thread, NULL, run_cpu, &r[i]);
	}
	for (unsigned i = 0; i < h->ncpus; i++)
		pthread_join(r[i].thread, NULL);
	pthread_join(timers, NULL);
	fflush(stdout);
	return h->code;
}

/* Whatever the guest did, the code cache is within its bound. */
static bool within_bound(const struct cpu_engine *engine, struct cpu_vm *vm)
{
	struct cpu_stat list[64];
	struct cpu_stats stats = {list, 64, 0};
	uint64_t used = 0, bound = 0;

	if (!engine->vm_stats)
		return true;
	engine->vm_stats(vm, &stats);
	for (unsigned i = 0; i < stats.n && i < stats.room; i++) {
		if (!strcmp(list[i].name, "bytes-used"))
			used = list[i].value;
		if (!strcmp(list[i].name, "bytes-bound"))
			bound = list[i].value;
		printf("# %s %llu\n", list[i].name,
			(unsigned long long)list[i].value);
	}
	if (used > bound)
		fail("code cache beyond its bound");
	return used <= bound;
}

int main(int argc, char **argv)
{
	static struct harness h = {.ncpus = 1};
	struct cpu_probe probe;
	/* the smallest code cache there is: tests shall fill it */
	struct cpu_vm_conf conf = {.model = &h.model, .code_cache_bytes = 1};
	struct x86_topology topo = {1, 1, 1};
	struct cpu_vm *vm;
	const char *missing;
	char err[256];
	gchar *code;
	gsize len;
	unsigned mode;

	if (argc < 4)
		return fail("usage: harness ENGINE MODE BINARY [CPUS [MODEL]]");
	h.engine = cpu_engine_find(argv[1]);
	mode = (unsigned)atoi(argv[2]);
	if (argc > 4)
		h.ncpus = topo.cores = (unsigned)atoi(argv[4]);
	if (!h.engine || !h.ncpus || h.ncpus > MAX_CPUS ||
		!g_file_get_contents(argv[3], &code, &len, NULL))
		return fail("no such engine or file");
	h.engine->probe(&probe);
	/* An emulated KVM lacks instructions that these tests use. */
	if (!probe.usable || (h.engine == &cpu_kvm && probe.mips < 50)) {
		printf("1..0 # SKIP %s\n", probe.why);
		return 0;
	}
	if (h.engine == &cpu_kvm)
		cpu_kvm_without_irqchip(probe.can);
	if (x86_cpu_model_init(&h.model, argc > 5 ? argv[5] : "auto", probe.can,
		    &topo, &missing))
		return fail("CPU model");
	setvbuf(stdout, NULL, _IOLBF, 0);
	h.bus = bus_new(RAM_BYTES, RAM_BYTES);
	bus_lock(h.bus);
	for (unsigned i = 0; i < h.ncpus; i++)
		h.bc[i] = bus_cpu_new(h.bus, x86_topology_apic_id(&topo, i));
	make_board(&h);
	map_identity(bus_ram(h.bus)->host);
	memcpy(bus_ram(h.bus)->host + (mode == 16 ? LOAD16 : LOAD), code, len);
	bus_unlock(h.bus);
	if (h.engine->vm_new(&vm, h.bus, &conf, err, sizeof(err)))
		return fail(err);
	if (make_cpus(&h, vm, mode) || run(&h))
		return 1;
	return !within_bound(h.engine, vm);
}
