/*
 * watch.c - what a debugger outside the guest asks of a processor:
 * breakpoints, watchpoints and steps that the guest cannot see.
 *
 * All of it is looked at between instructions, by soft_poll, which the run
 * loops call before each instruction while soft_cpu.debug is not 0.  The
 * translator ends its blocks before instructions that a breakpoint may mean,
 * and interprets while something is stepped: SOFT_BP_DEBUGGER in insn_bp says
 * so.  Accesses to watched pages, which the TLB leaves out, go to the
 * interpreter one by one, the guest's own data breakpoints' too.
 */
#include <stdlib.h>

#include "cpu/soft/priv.h"

static bool watch_has(const struct cpu_debug *d, bool exec)
{
	for (unsigned i = 0; i < d->nbrk; i++)
		if ((d->brk[i].kind == CPU_BREAK_EXEC) == exec)
			return true;
	return false;
}

/* What debugger and trace want together. */
static void watch_update(struct soft_cpu *c)
{
	const struct cpu_debug *d = c->debugger;

	c->debug = 0;
	c->insn_bp &= ~SOFT_BP_DEBUGGER;
	c->data_bp &= ~SOFT_BP_DEBUGGER;
	if (c->trace && c->trace->insns)
		c->debug |= SOFT_DBG_TRACE;
	if (d && watch_has(d, true))
		c->debug |= SOFT_DBG_BREAK;
	if (d && watch_has(d, false))
		c->data_bp |= SOFT_BP_DEBUGGER;
	if (d && d->step)
		c->debug |= SOFT_DBG_STEP;
	if (c->debug & (SOFT_DBG_STEP | SOFT_DBG_TRACE))
		c->insn_bp |= SOFT_BP_DEBUGGER;
	if (c->data_bp & SOFT_BP_DEBUGGER)
		soft_tlb_flush(c); /* of the watched pages' entries */
}

void soft_set_debug(struct soft_cpu *c, const struct cpu_debug *d)
{
	if (!d) {
		free(c->debugger);
		c->debugger = NULL;
	} else {
		if (!c->debugger)
			c->debugger = malloc(sizeof(*c->debugger));
		if (c->debugger)
			*c->debugger = *d;
	}
	watch_update(c);
}

void soft_set_trace(struct soft_cpu *c, struct cpu_trace *t)
{
	c->trace = t;
	watch_update(c);
}

void soft_trace(struct soft_cpu *c, enum cpu_trace_kind kind, unsigned size,
	uint64_t a, uint64_t b)
{
	struct cpu_trace *t = c->trace;

	if (!t)
		return;
	t->ring[t->next++ & t->mask] =
		(struct cpu_trace_event){.tsc = __builtin_ia32_rdtsc(),
			.rip = c->st.rip,
			.a = a,
			.b = b,
			.kind = (uint8_t)kind,
			.size = (uint8_t)size,
			.cpl = c->cpl};
}

void soft_trace_event(struct soft_cpu *c, bool external)
{
	const struct soft_fault *e = &c->event;

	if (!external && e->vector == X86_PF)
		soft_trace(c, CPU_TRACE_PAGE_FAULT, 8, e->cr2, e->error);
	else
		soft_trace(c,
			external ? CPU_TRACE_INTERRUPT : CPU_TRACE_EXCEPTION, 1,
			e->vector, e->error);
}

/* The bytes of the next instruction without touching anything. */
static void watch_trace(struct soft_cpu *c, gva_t a)
{
	enum soft_mode m = c->cpl == 3 ? SOFT_USER : SOFT_KERNEL;
	uint64_t code[2] = {0};
	gpa_t gpa;
	unsigned n = BUS_PAGE_SIZE - (a & (BUS_PAGE_SIZE - 1));

	n = n < sizeof(code) ? n : sizeof(code);
	if (!(soft_translate(c, a, SOFT_EXEC, m, false, &gpa) >> 31))
		bus_dma_read(c->bus, gpa, code, n);
	soft_trace(c, CPU_TRACE_INSN, c->code_size, code[0], code[1]);
}

void soft_watch(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_access acc)
{
	const struct cpu_debug *d = c->debugger;

	for (unsigned i = 0; i < d->nbrk; i++) {
		const struct cpu_break *b = &d->brk[i];

		if (!(soft_break_acc(b) >> acc & 1) || a >= b->addr + b->len ||
			b->addr >= a + size)
			continue;
		c->debug_hit = *b;
		c->debug |= SOFT_DBG_HIT;
		return;
	}
}

static bool watch_leave(struct cpu_exit *exit, const struct cpu_break *why)
{
	exit->reason = CPU_EXIT_DEBUG;
	exit->debug = *why;
	exit->masked = false;
	exit->text[0] = 0;
	return true;
}

bool soft_debug_after(struct soft_cpu *c, struct cpu_exit *exit)
{
	struct cpu_break step = {.kind = CPU_BREAK_STEP, .addr = c->st.rip};

	if (c->st.activity == X86_ACT_SHUTDOWN)
		return false;
	if (c->debug & SOFT_DBG_HIT) {
		c->debug &= ~(SOFT_DBG_HIT | SOFT_DBG_STEP | SOFT_DBG_STEPPING);
		return watch_leave(exit, &c->debug_hit);
	}
	if (!(c->debug & SOFT_DBG_STEPPING))
		return false;
	/* in the middle of a string */
	if (c->st.rip == c->step_rip && (c->st.rflags & X86_FL_RF))
		return false;
	c->debug &= ~(SOFT_DBG_STEP | SOFT_DBG_STEPPING);
	return watch_leave(exit, &step);
}

/*
 * The instruction where a step begins is carried out whatever breakpoint is
 * there: else nobody could go on from one.  RF means that its breakpoint has
 * been met already, as for the guest's own.
 */
bool soft_debug_before(
	struct soft_cpu *c, bool delivered, struct cpu_exit *exit)
{
	const struct cpu_debug *d = c->debugger;
	gva_t a = c->st.rip;

	if (c->debug & SOFT_DBG_HIT) /* by the frame of what was delivered */
		return soft_debug_after(c, exit);
	if (!c->code64)
		a = (uint32_t)(a + c->st.seg[X86_CS].base);
	if ((c->debug & SOFT_DBG_TRACE) &&
		!(delivered && (c->debug & SOFT_DBG_STEP)))
		watch_trace(c, a);
	if (c->debug & SOFT_DBG_STEP) {
		if (delivered) { /* an interrupt: the step ends at its handler
				  */
			c->step_rip = ~c->st.rip;
			c->debug |= SOFT_DBG_STEPPING;
			return soft_debug_after(c, exit);
		}
		if (!(c->debug & SOFT_DBG_STEPPING))
			c->step_rip = c->st.rip;
		c->debug |= SOFT_DBG_STEPPING;
		return false;
	}
	if (!(c->debug & SOFT_DBG_BREAK) || (c->st.rflags & X86_FL_RF))
		return false;
	for (unsigned i = 0; i < d->nbrk; i++)
		if (d->brk[i].kind == CPU_BREAK_EXEC && d->brk[i].addr == a)
			return watch_leave(exit, &d->brk[i]);
	return false;
}
