/*
 * event.c - exceptions, interrupts and how they pile up.
 *
 * An event in delivery is c->event.  What goes wrong during delivery unwinds
 * to soft_deliver, which combines both into the next event: serially, to a
 * double fault, or to shutdown (Intel SDM vol. 3, table 6-5).  State is
 * changed only when a delivery can no longer fail, but for task switches,
 * after whose commit point the fault belongs to the new task (7.3).
 */
#include "cpu/soft/priv.h"

/* Chains longer than this are #AC or #DB raised by their own delivery without
 * end; the hardware hangs in microcode, we shut down. */
#define NESTED_MAX 16

static _Noreturn void soft_unwind(struct soft_cpu *c)
{
	c->ext = 0;
	__builtin_longjmp(c->jmp, 1);
}

static void soft_set_fault(
	struct soft_cpu *c, uint8_t vector, bool has_error, uint32_t error)
{
	memset(&c->fault, 0, sizeof(c->fault));
	c->fault.vector = vector;
	c->fault.has_error = has_error;
	c->fault.error = error;
}

void soft_raise(struct soft_cpu *c, uint8_t vector)
{
	soft_set_fault(c, vector, false, 0);
	soft_unwind(c);
}

void soft_raise_err(struct soft_cpu *c, uint8_t vector, uint32_t error)
{
	soft_set_fault(c, vector, true, error);
	soft_unwind(c);
}

void soft_raise_pf(struct soft_cpu *c, gva_t addr, uint32_t error)
{
	soft_set_fault(c, X86_PF, true, error);
	c->fault.cr2 = addr;
	soft_unwind(c);
}

void soft_raise_sel(struct soft_cpu *c, uint8_t vector, uint16_t sel)
{
	soft_raise_err(c, vector, (sel & 0xfffc) | c->ext);
}

void soft_raise_gp(struct soft_cpu *c)
{
	soft_raise_err(c, X86_GP, c->ext);
}

void soft_raise_db(struct soft_cpu *c, uint64_t dr6)
{
	soft_set_fault(c, X86_DB, false, 0);
	c->fault.dr6 = dr6;
	soft_unwind(c);
}

/* ---- combining ---- */

enum fault_class { FAULT_BENIGN, FAULT_CONTRIBUTORY, FAULT_PAGE, FAULT_DOUBLE };

static enum fault_class soft_fault_class(
	const struct soft_fault *f, bool external)
{
	if (external)
		return FAULT_BENIGN;
	switch (f->vector) {
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_SSF:
	case X86_GP:
	case X86_CP: return FAULT_CONTRIBUTORY;
	case X86_PF: return FAULT_PAGE;
	case X86_DF: return FAULT_DOUBLE;
	default: return FAULT_BENIGN;
	}
}

/* c->fault happened while c->event was delivered: what comes next is put into
 * c->event.  False: shutdown. */
static bool soft_combine(struct soft_cpu *c, bool external)
{
	enum fault_class first = soft_fault_class(&c->event, external);
	enum fault_class second = soft_fault_class(&c->fault, false);

	if (first == FAULT_DOUBLE)
		return false;
	if ((first == FAULT_CONTRIBUTORY && second == FAULT_CONTRIBUTORY) ||
		(first == FAULT_PAGE && second != FAULT_BENIGN)) {
		if (second == FAULT_PAGE)
			c->st.cr2 = c->fault.cr2;
		soft_set_fault(c, X86_DF, true, 0);
	}
	c->event = c->fault;
	return true;
}

/* What an exception changes before its handler is looked for. */
static void soft_commit_fault_regs(struct soft_cpu *c)
{
	struct x86_state *s = &c->st;

	c->exceptions[c->event.vector & 31]++;
	if (c->event.vector == X86_PF) {
		s->cr2 = c->event.cr2;
	} else if (c->event.vector == X86_DB) {
		if (c->event.dr6)
			s->dr6 = (s->dr6 & ~0xfull) | c->event.dr6;
		s->dr7 &= ~(1ull << 13);
		s->debugctl &= ~1ull;
	}
}

/* RFLAGS as pushed: RF is set for faults (SDM vol. 3, 17.3.1.1). */
static uint64_t soft_pushed_flags(const struct soft_cpu *c, bool external)
{
	uint64_t fl = c->st.rflags;

	if (external || c->event.soft_int)
		return fl;
	switch (c->event.vector) {
	case X86_DB:
		/* faults: general detect only; instruction breakpoints push
		 * the flag as it is */
		return c->event.dr6 & X86_DR6_BD ? fl | X86_FL_RF : fl;
	case X86_BP:
	case X86_OF:
	case X86_MC: return fl;
	default: return fl | X86_FL_RF;
	}
}

void soft_inject(struct soft_cpu *c, uint64_t rip, uint64_t flags)
{
	if (!c->protected_mode)
		soft_inject_real(c, rip, flags);
	else if (c->long_mode)
		soft_inject_long(c, rip, flags);
	else
		soft_inject_prot(c, rip, flags);
}

static void soft_shutdown(struct soft_cpu *c)
{
	c->st.activity = X86_ACT_SHUTDOWN;
	c->delivering = false;
	c->ext = 0;
}

/*
 * Deliver c->event and what comes of it.  external: an interrupt or NMI, not
 * an exception.
 */
static void soft_deliver(struct soft_cpu *c, bool external_event)
{
	volatile bool external = external_event;
	volatile unsigned nested = 0;
	void *outer[5];

	memcpy(outer, c->jmp, sizeof(outer));
	if (__builtin_setjmp(c->jmp)) {
		if (++nested > NESTED_MAX || !soft_combine(c, external)) {
			soft_shutdown(c);
			memcpy(c->jmp, outer, sizeof(outer));
			return;
		}
		external = false;
	}
	c->delivering = true;
	c->delivering_vector = c->event.vector;
	c->st.sti_shadow = 0;
	c->st.movss_shadow = 0;
	c->bp_inhibit = false;
	if (!external)
		soft_commit_fault_regs(c);
	soft_trace_event(c, external);
	c->ext = 1;
	soft_inject(c, c->st.rip, soft_pushed_flags(c, external));
	c->ext = 0;
	if (c->db_pending) {
		/* the T bit of a new task, or a breakpoint on the stack */
		uint64_t dr6 = c->db_pending;

		c->db_pending = 0;
		soft_raise_db(c, dr6);
	}
	c->delivering = false;
	c->st.activity = X86_ACT_RUN;
	memcpy(c->jmp, outer, sizeof(outer));
}

void soft_deliver_fault(struct soft_cpu *c)
{
	if (c->fault.vector == SOFT_NO_EVENT)
		return;
	c->db_pending = 0;
	c->debug &= ~SOFT_DBG_HIT;
	c->event = c->fault;
	soft_deliver(c, false);
}

void soft_deliver_interrupt(struct soft_cpu *c, uint8_t vector)
{
	memset(&c->event, 0, sizeof(c->event));
	c->event.vector = vector;
	c->counters[SOFT_CNT_INTERRUPT]++;
	soft_deliver(c, true);
}

void soft_deliver_nmi(struct soft_cpu *c)
{
	memset(&c->event, 0, sizeof(c->event));
	c->event.vector = X86_NMI;
	c->st.nmi_blocked = 1;
	atomic_store(&c->bc->nmi_masked, true);
	c->counters[SOFT_CNT_NMI]++;
	soft_deliver(c, true);
}

/* ---- INT n, INT3, INTO, INT1 ---- */

/* Does VME's bitmap send the interrupt to the 8086 program's own handler?
 * The 32 bytes lie below the I/O bitmap. */
static bool soft_vme_redirects(struct soft_cpu *c, uint8_t vector)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	uint32_t off;

	if (!(c->st.cr4 & X86_CR4_VME) || (tr->attr & 0xd) != SOFT_TSS32 ||
		tr->limit < 103)
		return false;
	off = soft_load(c, (uint32_t)(tr->base + 102), 2, SOFT_KERNEL);
	off = off - 32 + vector / 8;
	if (off > tr->limit)
		return false;
	return !(soft_load(c, (uint32_t)(tr->base + off), 1, SOFT_KERNEL) >>
			 (vector % 8) &
		 1);
}

void soft_int(struct soft_cpu *c, uint8_t vector, uint64_t next,
	enum soft_int_kind kind)
{
	bool tf = c->st.rflags & X86_FL_TF;

	if (c->v86 && kind == SOFT_INT_N) {
		if (soft_vme_redirects(c, vector)) {
			soft_inject_v86_redirected(c, vector, next);
			c->tf_done = tf;
			return;
		}
		if ((c->st.rflags & X86_FL_IOPL) != X86_FL_IOPL)
			soft_raise_err(c, X86_GP, 0);
	}
	memset(&c->event, 0, sizeof(c->event));
	c->event.vector = vector;
	c->event.soft_int = kind != SOFT_INT_ICEBP;
	if (kind == SOFT_INT_ICEBP && c->db_pending) {
		/* breakpoints held by MOV SS are part of this #DB */
		c->event.dr6 = c->db_pending;
		c->db_pending = 0;
	}
	c->ext = kind == SOFT_INT_ICEBP;
	if (kind == SOFT_INT_ICEBP)
		soft_commit_fault_regs(c);
	else if (vector < 32)
		c->exceptions[vector]++;
	soft_trace(c, CPU_TRACE_EXCEPTION, 1, vector, 0);
	/* RF was cleared when the instruction began */
	soft_inject(c, next, c->st.rflags & ~(uint64_t)X86_FL_RF);
	c->ext = 0;
	c->st.sti_shadow = 0;
	c->st.movss_shadow = 0;
	c->tf_done = tf; /* the gate cleared TF: no trap at the handler */
}
