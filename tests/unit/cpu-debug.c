/*
 * cpu-debug.c - breakpoints, watchpoints and steps from outside the guest, on
 * interp and bt alike.
 */
#include <glib.h>
#include <string.h>

#include "cpu/engine.h"

#define CODE 0x1000u
#define DATA 0x2000u
#define GDT  0x100u
#define IDT  0x400u

struct rig {
	struct x86_cpu_model model;
	struct bus *bus;
	struct bus_cpu *bc;
	const struct cpu_engine *e;
	struct cpu_vm *vm;
	struct cpu *cpu;
	struct x86_state *s;
	struct cpu_debug d;
	struct cpu_exit exit;
};

static int rig_ack(void *opaque)
{
	return 0x90;
}

static uint8_t rig_get_tpr(void *opaque)
{
	return 0;
}

static void rig_set_tpr(void *opaque, uint8_t cr8)
{
}

static void rig_tsc_moved(void *opaque)
{
}

static const struct bus_cpu_intc rig_intc = {.ack = rig_ack,
	.get_tpr = rig_get_tpr,
	.set_tpr = rig_set_tpr,
	.tsc_moved = rig_tsc_moved};

static void rig_put(struct rig *r, unsigned at, const void *bytes, unsigned n)
{
	memcpy(bus_ram(r->bus)->host + at, bytes, n);
}

static void rig_gate(struct rig *r, unsigned vector, uint32_t to)
{
	uint64_t gate = (to & 0xffff) | 8u << 16 | 0x8e00ull << 32;

	rig_put(r, IDT + vector * 8, &gate, 8);
}

static void rig_start_state(struct x86_state *s)
{
	uint16_t attr = X86_SEG_P | X86_SEG_S | X86_SEG_G | X86_SEG_DB;

	x86_state_reset(s, false, true);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_seg){0, 0xffffffff, 0x10, attr | 3};
	s->seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 8, attr | 11};
	s->gdtr = (struct x86_dtab){GDT, 0x17};
	s->idtr = (struct x86_dtab){IDT, 0x7ff};
	s->cr0 = X86_CR0_PE | X86_CR0_ET;
	s->rip = CODE;
	s->gpr[X86_RSP] = 0x8000;
	s->gpr[X86_RAX] = 0;
}

static void rig_open(struct rig *r, const struct cpu_engine *e,
	const uint8_t *code, unsigned bytes)
{
	static const uint64_t gdt[] = {
		0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
	struct cpu_vm_conf conf = {.model = &r->model};
	char err[128];

	memset(r, 0, sizeof(*r));
	r->e = e;
	x86_cpu_model_init(&r->model, "pentium", NULL,
		&(struct x86_topology){1, 1, 1}, NULL);
	r->bus = bus_new(1 << 16, 1 << 16);
	g_assert_cmpint(e->vm_new(&r->vm, r->bus, &conf, err, 128), ==, 0);
	r->bc = bus_cpu_new(r->bus, 0);
	r->bc->intc = &rig_intc;
	g_assert_cmpint(e->cpu_new(&r->cpu, r->vm, r->bc, err, 128), ==, 0);
	rig_put(r, CODE, code, bytes);
	rig_put(r, GDT, gdt, sizeof(gdt));
	r->s = g_aligned_alloc0(1, sizeof(*r->s), 64);
	rig_start_state(r->s);
	g_assert_cmpint(e->set(r->cpu, r->s), ==, 0);
}

static void rig_close(struct rig *r)
{
	r->e->cpu_free(r->cpu);
	r->e->vm_free(r->vm);
	bus_free(r->bus);
	g_aligned_free(r->s);
}

static void rig_break(
	struct rig *r, enum cpu_break_kind kind, gva_t a, unsigned len)
{
	r->d.brk[r->d.nbrk++] = (struct cpu_break){kind, a, len};
	g_assert_cmpint(r->e->set_debug(r->cpu, &r->d), ==, 0);
}

static enum cpu_exit_reason rig_run(struct rig *r)
{
	memset(&r->exit, 0, sizeof(r->exit));
	r->e->run(r->cpu, &r->exit);
	r->e->get(r->cpu, r->s);
	return r->exit.reason;
}

/* One step; where it ends. */
static uint64_t rig_step(struct rig *r)
{
	r->d.step = true;
	r->e->set_debug(r->cpu, &r->d);
	g_assert_cmpint(rig_run(r), ==, CPU_EXIT_DEBUG);
	g_assert_cmpint(r->exit.debug.kind, ==, CPU_BREAK_STEP);
	r->d.step = false;
	r->e->set_debug(r->cpu, &r->d);
	return r->s->rip;
}

static const uint8_t loop_code[] = {
	0xb9, 5, 0, 0, 0, /* 1000 mov ecx, 5 */
	0x01, 0xc8,	  /* 1005 add eax, ecx */
	0x49,		  /* 1007 dec ecx */
	0x75, 0xfb,	  /* 1008 jnz 1005 */
	0xf4,		  /* 100a hlt */
};

/* In the middle of a block that has run before, and out again; the flags at
 * the stop are exact although the next instruction overwrites them. */
static void test_break(gconstpointer e)
{
	static const unsigned sums[] = {5, 9, 12, 14, 15};
	struct rig r;

	rig_open(&r, e, loop_code, sizeof(loop_code));
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	rig_start_state(r.s);
	r.e->set(r.cpu, r.s);
	rig_break(&r, CPU_BREAK_EXEC, CODE + 7, 1);
	for (unsigned i = 0; i < 5; i++) {
		g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
		g_assert_cmpint(r.exit.debug.kind, ==, CPU_BREAK_EXEC);
		g_assert_cmphex(r.s->rip, ==, CODE + 7);
		g_assert_cmpuint(r.s->gpr[X86_RAX], ==, sums[i]);
		g_assert_cmphex(r.s->rflags & X86_FL_PF, ==,
			__builtin_parity(sums[i]) ? 0 : X86_FL_PF);
		/* again, without having run */
		g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
		g_assert_cmphex(rig_step(&r), ==, CODE + 8);
	}
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	rig_start_state(r.s);
	r.e->set(r.cpu, r.s);
	r.e->set_debug(r.cpu, NULL);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	rig_close(&r);
}

/* The same by the host's debug registers, and a repeated string instruction as
 * one step. */
static void test_kvm(void)
{
	static const uint8_t code[] = {
		0xb9, 100, 0, 0, 0,  /* 1000 mov ecx, 100 */
		0xbf, 0, 0x20, 0, 0, /* 1005 mov edi, 2000 */
		0xf3, 0xaa,	     /* 100a rep stosb */
		0x90,		     /* 100c nop */
		0xf4,		     /* 100d hlt */
	};
	g_autofree struct cpu_probe *probe = g_new0(struct cpu_probe, 1);
	struct rig r;

	cpu_kvm.probe(probe);
	if (!probe->usable) {
		g_test_skip(probe->why);
		return;
	}
	test_break(&cpu_kvm);
	rig_open(&r, &cpu_kvm, code, sizeof(code));
	g_assert_cmphex(rig_step(&r), ==, 0x1005);
	g_assert_cmphex(rig_step(&r), ==, 0x100a);
	g_assert_cmphex(rig_step(&r), ==, 0x100c);
	g_assert_cmpuint(r.s->gpr[X86_RCX], ==, 0);
	g_assert_cmphex(rig_step(&r), ==, 0x100d);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	rig_close(&r);
}

static void test_kvm_can(void)
{
	static const struct {
		struct cpu_break b;
		bool can;
	} rows[] = {
		{{CPU_BREAK_EXEC, 0x1001, 1}, true},
		{{CPU_BREAK_WRITE, 0x1001, 1}, true},
		{{CPU_BREAK_WRITE, 0x1002, 2}, true},
		{{CPU_BREAK_WRITE, 0x1002, 4}, false},
		{{CPU_BREAK_ACCESS, 0x1008, 8}, true},
		{{CPU_BREAK_ACCESS, 0x1008, 16}, false},
		{{CPU_BREAK_ACCESS, 0x1008, 3}, false},
		{{CPU_BREAK_READ, 0x1008, 4}, false},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
		g_assert_true(cpu_kvm.can_break(&rows[i].b) == rows[i].can);
}

static void test_watch(gconstpointer e)
{
	static const uint8_t code[] = {
		0xa3, 0, 0x20, 0, 0,	   /* 1000 mov [2000], eax */
		0x8b, 0x1d, 0, 0x20, 0, 0, /* 1005 mov ebx, [2000] */
		0xff, 0x05, 0, 0x30, 0, 0, /* 100b inc dword [3000] */
		0xb9, 8, 0, 0, 0,	   /* 1011 mov ecx, 8 */
		0xbf, 0, 0x40, 0, 0,	   /* 1016 mov edi, 4000 */
		0xf3, 0xab,		   /* 101b rep stosd */
		0xf4,			   /* 101d hlt */
	};
	struct rig r;

	rig_open(&r, e, code, sizeof(code));
	rig_break(&r, CPU_BREAK_WRITE, 0x2003, 1);
	rig_break(&r, CPU_BREAK_READ, 0x2000, 4);
	rig_break(&r, CPU_BREAK_ACCESS, 0x3002, 2);
	rig_break(&r, CPU_BREAK_WRITE, 0x4008, 4);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmphex(r.s->rip, ==, 0x1005);
	g_assert_cmphex(r.exit.debug.addr, ==, 0x2003);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmphex(r.s->rip, ==, 0x100b);
	g_assert_cmpint(r.exit.debug.kind, ==, CPU_BREAK_READ);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmphex(r.s->rip, ==, 0x1011);
	g_assert_cmpint(r.exit.debug.kind, ==, CPU_BREAK_ACCESS);
	/* in the middle of the string */
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmphex(r.s->rip, ==, 0x101b);
	g_assert_cmpuint(r.s->gpr[X86_RCX], ==, 5);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	g_assert_cmpuint(r.s->gpr[X86_RCX], ==, 0);
	rig_close(&r);
}

/* Instructions interpreted so far. */
static uint64_t rig_interpreted(struct rig *r)
{
	struct cpu_stat list[CPU_STATS_MAX];
	struct cpu_stats s = {list, CPU_STATS_MAX, 0};

	r->e->stats(r->cpu, &s);
	for (unsigned i = 0; i < s.n; i++)
		if (!strcmp(list[i].group, "exit") &&
			!strcmp(list[i].name, "interpreted"))
			return list[i].value;
	g_assert_not_reached();
}

/* What touches other pages, or the watched one otherwise, goes on in code that
 * was made before. */
static void test_watch_code(gconstpointer e)
{
	static const uint8_t code[] = {
		0xb9, 0xe8, 3, 0, 0,	      /* 1000 mov ecx, 1000 */
		0x89, 0x0d, 0, 0x50, 0, 0,    /* 1005 mov [5000], ecx */
		0x8b, 0x1d, 0x10, 0x60, 0, 0, /* 100b mov ebx, [6010] */
		0x49,			      /* 1011 dec ecx */
		0x75, 0xf1,		      /* 1012 jnz 1005 */
		0xff, 0x05, 0, 0x60, 0, 0,    /* 1014 inc dword [6000] */
		0xff, 0x05, 0x10, 0x60, 0, 0, /* 101a inc dword [6010] */
		0xf4,			      /* 1020 hlt */
	};
	struct rig r;
	uint64_t was;

	rig_open(&r, e, code, sizeof(code));
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	rig_start_state(r.s);
	r.e->set(r.cpu, r.s);
	rig_break(&r, CPU_BREAK_WRITE, 0x6010, 4);
	was = rig_interpreted(&r);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmphex(r.s->rip, ==, 0x1020);
	if (e == &cpu_bt)
		g_assert_cmpuint(rig_interpreted(&r) - was, <, 20);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_HALT);
	/* the last of several that are set one after the other */
	rig_start_state(r.s);
	r.e->set(r.cpu, r.s);
	rig_break(&r, CPU_BREAK_READ, 0x6010, 4);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmphex(r.s->rip, ==, 0x1011);
	g_assert_cmpint(r.exit.debug.kind, ==, CPU_BREAK_READ);
	rig_close(&r);
}

/* The frame of an interrupt, before its handler. */
static void test_watch_frame(gconstpointer e)
{
	static const uint8_t code[] = {0xfb, 0x90, 0xeb, 0xfd}, iret = 0xcf;
	struct rig r;

	rig_open(&r, e, code, sizeof(code)); /* sti; nop; jmp */
	rig_gate(&r, 0x90, 0x1300);
	rig_put(&r, 0x1300, &iret, 1);
	rig_break(&r, CPU_BREAK_WRITE, 0x7ff8, 4);
	bus_cpu_raise(r.bc, BUS_EV_INTR);
	g_assert_cmpint(rig_run(&r), ==, CPU_EXIT_DEBUG);
	g_assert_cmpint(r.exit.debug.kind, ==, CPU_BREAK_WRITE);
	g_assert_cmphex(r.s->rip, ==, 0x1300);
	rig_close(&r);
}

static const uint8_t step_code[] = {
	0xfb,		     /* 1000 sti */
	0x8e, 0xd0,	     /* 1001 mov ss, ax */
	0xb9, 100, 0, 0, 0,  /* 1003 mov ecx, 100 */
	0xbf, 0, 0x20, 0, 0, /* 1008 mov edi, 2000 */
	0xf3, 0xaa,	     /* 100d rep stosb */
	0xcd, 0x80,	     /* 100f int 0x80 */
	0x0f, 0x0b,	     /* 1011 ud2 */
};

static void step_open(struct rig *r, const struct cpu_engine *e)
{
	static const uint8_t iret = 0xcf;

	rig_open(r, e, step_code, sizeof(step_code));
	rig_gate(r, 0x80, 0x1100);
	rig_gate(r, X86_UD, 0x1200);
	rig_gate(r, 0x90, 0x1300);
	rig_put(r, 0x1100, &iret, 1);
	rig_put(r, 0x1300, &iret, 1);
	r->s->gpr[X86_RAX] = 0x10;
	r->e->set(r->cpu, r->s);
}

/* Each instruction one step, whatever it is; interrupts wait. */
static void test_step(gconstpointer e)
{
	static const uint32_t where[] = {
		0x1001, 0x1003, 0x1008, 0x100d, 0x100f, 0x1100, 0x1011, 0x1200};
	struct rig r;

	step_open(&r, e);
	bus_cpu_raise(r.bc, BUS_EV_INTR);
	for (unsigned i = 0; i < G_N_ELEMENTS(where); i++) {
		g_assert_cmphex(rig_step(&r), ==, where[i]);
		if (i < 2)
			g_assert_true(r.s->sti_shadow | r.s->movss_shadow);
		if (i == 4)
			g_assert_cmpuint(r.s->gpr[X86_RCX], ==, 0);
	}
	rig_close(&r);
}

/* With events an interrupt is a step of its own, after the shadows. */
static void test_step_events(gconstpointer e)
{
	static const uint32_t where[] = {
		0x1001, 0x1003, 0x1008, 0x1300, 0x1008, 0x100d};
	struct rig r;

	step_open(&r, e);
	r.d.events = true;
	bus_cpu_raise(r.bc, BUS_EV_INTR);
	for (unsigned i = 0; i < G_N_ELEMENTS(where); i++) {
		if (i == 4)
			bus_cpu_clear(r.bc, BUS_EV_INTR);
		g_assert_cmphex(rig_step(&r), ==, where[i]);
	}
	rig_close(&r);
}

int main(int argc, char **argv)
{
	static const struct cpu_engine *const engines[] = {
		&cpu_interp, &cpu_bt};
	static const struct {
		const char *name;
		GTestDataFunc fn;
	} tests[] = {{"break", test_break}, {"watch", test_watch},
		{"watch-code", test_watch_code},
		{"watch-frame", test_watch_frame}, {"step", test_step},
		{"step-events", test_step_events}};

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/debug/kvm/break-and-step", test_kvm);
	g_test_add_func("/debug/kvm/can", test_kvm_can);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++) {
			g_autofree char *path = g_strdup_printf("/debug/%s/%s",
				engines[i]->name, tests[k].name);

			g_test_add_data_func(path, engines[i], tests[k].fn);
		}
	return g_test_run();
}
