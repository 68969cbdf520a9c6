/*
 * poll.c - what happens between instructions.
 *
 * Intel SDM vol. 3, 6.8 (masking), 6.9 (priorities).
 */
#include "cpu/soft/priv.h"

bool soft_end_shadow(struct soft_cpu *c)
{
	bool held = c->st.sti_shadow | c->st.movss_shadow;

	c->bp_inhibit = c->st.movss_shadow;
	c->st.sti_shadow = 0;
	c->st.movss_shadow = 0;
	return held;
}

static void soft_poll_flush(struct soft_cpu *c)
{
	bus_cpu_clear(c->bc, BUS_EV_FLUSH);
	c->a20 = bus_a20_mask(c->bus);
	soft_tlb_flush(c);
	c->exec_gen++;
	c->exec_stale = 0xff;
}

/* Was this processor, or will be, woken by another's hypercall?  An event of
 * no meaning of its own sees to it that one that sleeps looks. */
static void soft_poll_unhalt(struct soft_cpu *c, uint32_t ev)
{
	if (ev & BUS_EV_UNHALT)
		bus_cpu_clear(c->bc, BUS_EV_UNHALT);
	if (c->st.activity == X86_ACT_HALT && atomic_load(&c->bc->unhalted)) {
		atomic_store(&c->bc->unhalted, false);
		c->st.activity = X86_ACT_RUN;
	}
}

static bool soft_leave(struct cpu_exit *exit, enum cpu_exit_reason why)
{
	exit->reason = why;
	exit->masked = false;
	exit->text[0] = 0;
	return true;
}

static int soft_ack(struct soft_cpu *c)
{
	if (c->env && c->env->ack_interrupt)
		return c->env->ack_interrupt(c);
	return bus_cpu_ack_interrupt(c->bc);
}

/* NMI before interrupts; at most one is delivered. */
static bool soft_poll_interrupts(struct soft_cpu *c, uint32_t ev)
{
	int vector;

	if ((ev & BUS_EV_NMI) && !c->st.nmi_blocked) {
		bus_cpu_clear(c->bc, BUS_EV_NMI);
		c->st.activity = X86_ACT_RUN;
		soft_deliver_nmi(c);
		return true;
	}
	if (!(ev & BUS_EV_INTR) || !(c->st.rflags & X86_FL_IF))
		return false;
	vector = soft_ack(c);
	if (vector < 0)
		return false;
	c->st.activity = X86_ACT_RUN;
	soft_deliver_interrupt(c, vector);
	return true;
}

/* Interrupts wait while the debugger steps; only they end a HLT. */
static bool soft_debug_holds(const struct soft_cpu *c)
{
	return (c->debug & SOFT_DBG_STEP) && !c->debugger->events &&
	       c->st.activity != X86_ACT_HALT;
}

bool soft_poll(struct soft_cpu *c, struct cpu_exit *exit)
{
	uint32_t ev = atomic_load(&c->bc->events);
	bool delivered = false;

	if (c->debug && soft_debug_after(c, exit))
		return true;
	if (ev & BUS_EV_HOLD) {
		bus_cpu_clear(c->bc, BUS_EV_HOLD);
		soft_come_in(c);
	}
	if (ev & BUS_EV_FLUSH)
		soft_poll_flush(c);
	if (c->st.activity == X86_ACT_SHUTDOWN &&
		!(ev & (BUS_EV_STOP | BUS_EV_INIT)))
		return soft_leave(exit, CPU_EXIT_SHUTDOWN);
	if (ev & (BUS_EV_STOP | BUS_EV_INIT | BUS_EV_SIPI))
		return soft_leave(exit, CPU_EXIT_EVENT);
	if (c->st.activity == X86_ACT_WAIT_SIPI)
		return soft_leave(exit, CPU_EXIT_HALT);
	if (!soft_end_shadow(c) && (ev & (BUS_EV_NMI | BUS_EV_INTR)) &&
		!soft_debug_holds(c))
		delivered = soft_poll_interrupts(c, ev);
	soft_poll_unhalt(c, ev);
	if (c->st.activity == X86_ACT_HALT) {
		soft_leave(exit, CPU_EXIT_HALT);
		exit->masked = !(c->st.rflags & X86_FL_IF);
		return true;
	}
	if (c->st.activity == X86_ACT_SHUTDOWN)
		return soft_leave(exit, CPU_EXIT_SHUTDOWN);
	return c->debug && soft_debug_before(c, delivered, exit);
}
