/*
 * soft-event.c - delivery of exceptions and interrupts: frames in memory,
 * error codes, nested faults, shadows.
 */
#include "soft-rig.h"

#define HANDLER 0x6000

static void raise_now(
	struct rig *r, uint8_t vector, bool has_error, uint32_t error)
{
	memset(&r->c->fault, 0, sizeof(r->c->fault));
	r->c->fault.vector = vector;
	r->c->fault.has_error = has_error;
	r->c->fault.error = error;
	soft_deliver_fault(r->c);
}

static void idt32(struct rig *r, unsigned v, uint16_t sel, uint8_t type)
{
	put8(r, RIG_IDT + v * 8, gate(sel, HANDLER + v * 16, type));
}

static void idt64(
	struct rig *r, unsigned v, uint16_t sel, uint8_t type, unsigned ist)
{
	put8(r, RIG_IDT + v * 16,
		gate(sel, HANDLER + v * 16, type) | (uint64_t)ist << 32);
	put8(r, RIG_IDT + v * 16 + 8, 0);
}

static void test_real(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	for (unsigned i = 0; i < 6; i++) {
		s->seg[i].sel = 0x100;
		s->seg[i].base = 0x1000;
	}
	s->gpr[X86_RSP] = 0xabcd0002;
	s->rip = 0x123;
	s->rflags = 0x202;
	soft_update_mode(r->c);
	put4(r, 6 * 4, 0x20001234);
	raise_now(r, X86_UD, false, 0);
	g_assert_cmphex(s->seg[X86_CS].sel, ==, 0x2000);
	g_assert_cmphex(s->seg[X86_CS].base, ==, 0x20000);
	g_assert_cmphex(s->rip, ==, 0x1234);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0xabcdfffc);
	g_assert_cmphex(s->rflags, ==, 2);
	g_assert_cmphex(get2(r, 0x1000), ==, 0x202); /* SP wrapped */
	g_assert_cmphex(get2(r, 0x10ffe), ==, 0x100);
	g_assert_cmphex(get2(r, 0x10ffc), ==, 0x123);
	/* no vector 13 and no vector 8: shutdown */
	s->idtr.limit = 4 * 4 - 1;
	raise_now(r, X86_UD, false, 0);
	g_assert_cmpint(s->activity, ==, X86_ACT_SHUTDOWN);
	rig_free(r);
}

static void test_same_ring(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	idt32(r, X86_GP, K_CODE, 0x8e);
	idt32(r, 0x20, K_CODE, 0x8f);
	s->rflags = 0x4302;
	raise_now(r, X86_GP, true, 0x1234);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x9000 - 16);
	g_assert_cmphex(get4(r, 0x8ff0), ==, 0x1234);
	g_assert_cmphex(get4(r, 0x8ff4), ==, 0x5000);
	g_assert_cmphex(get4(r, 0x8ff8), ==, K_CODE);
	g_assert_cmphex(get4(r, 0x8ffc), ==, 0x14302); /* RF */
	g_assert_cmphex(s->rflags, ==, 2);
	g_assert_cmphex(s->rip, ==, HANDLER + 13 * 16);
	/* a trap gate leaves IF; an interrupt pushes no RF */
	s->rflags = 0x202;
	soft_deliver_interrupt(r->c, 0x20);
	g_assert_cmphex(s->rflags, ==, 0x202);
	g_assert_cmphex(get4(r, 0x8fec), ==, 0x202);
	rig_free(r);
}

static void test_inner_ring(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 3);
	idt32(r, X86_PF, K_CODE, 0x8e);
	r->c->fault.cr2 = 0;
	memset(&r->c->fault, 0, sizeof(r->c->fault));
	r->c->fault.vector = X86_PF;
	r->c->fault.has_error = true;
	r->c->fault.error = 4;
	r->c->fault.cr2 = 0xdead000;
	soft_deliver_fault(r->c);
	g_assert_cmphex(s->cr2, ==, 0xdead000);
	g_assert_cmpint(r->c->cpl, ==, 0);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x8000 - 24);
	g_assert_cmphex(s->seg[X86_SS].sel, ==, K_DATA);
	g_assert_cmphex(get4(r, 0x7ffc), ==, U_DATA | 3);
	g_assert_cmphex(get4(r, 0x7ff8), ==, 0x9000);
	g_assert_cmphex(get4(r, 0x7ff0), ==, U_CODE | 3);
	g_assert_cmphex(get4(r, 0x7fe8), ==, 4);
	rig_free(r);
}

/* A 16-bit gate to ring 3 code pushes words and keeps the stack. */
static void test_gate16(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 3);
	put8(r, RIG_IDT + 0x30 * 8, gate(U_CODE | 3, 0x12345678, 0xe6));
	g_assert_cmpint(
		FAULT(r->c, soft_int(r->c, 0x30, 0x5002, SOFT_INT_N)), ==, -1);
	g_assert_cmphex(s->rip, ==, 0x5678);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x9000 - 6);
	g_assert_cmphex(get2(r, 0x8ffa), ==, 0x5002);
	g_assert_cmphex(get2(r, 0x8ffc), ==, U_CODE | 3);
	rig_free(r);
}

static void test_errors(void)
{
	struct rig *r = rig_new();
	struct soft_cpu *c = r->c;

	rig_protected(r, 3);
	/* INT n: gate DPL, then P; then the selector */
	idt32(r, 0x30, K_CODE, 0x8e);
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_GP);
	g_assert_cmphex(c->fault.error, ==, 0x30 * 8 + 2);
	idt32(r, 0x30, K_CODE, 0x6e);
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_NP);
	idt32(r, 0x30, 0, 0xee);
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_GP);
	g_assert_cmphex(c->fault.error, ==, 0);
	idt32(r, 0x30, K_DATA, 0xee);
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_GP);
	g_assert_cmphex(c->fault.error, ==, K_DATA);
	/* ICEBP ignores the gate's DPL and reports EXT */
	idt32(r, 1, K_CODE, 0x8e);
	put8(r, RIG_GDT + K_CODE, desc(0, 0xfffff, 0xc01b));
	g_assert_cmpint(
		FAULT(c, soft_int(c, 1, 0, SOFT_INT_ICEBP)), ==, X86_NP);
	g_assert_cmphex(c->fault.error, ==, K_CODE | 1);
	put8(r, RIG_GDT + K_CODE, desc(0, 0xfffff, 0xc09b));
	/* the stack of the TSS */
	put4(r, RIG_TSS + 8, 0);
	idt32(r, 0x30, K_CODE, 0xee);
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_TS);
	g_assert_cmphex(c->fault.error, ==, 0);
	put4(r, RIG_TSS + 8, U_DATA | 3);
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_TS);
	g_assert_cmphex(c->fault.error, ==, U_DATA);
	c->st.seg[X86_TR].limit = 8;
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_TS);
	g_assert_cmphex(c->fault.error, ==, TSS_SEL);
	c->st.idtr.limit = 0x30 * 8 + 6;
	g_assert_cmpint(FAULT(c, soft_int(c, 0x30, 0, SOFT_INT_N)), ==, X86_GP);
	g_assert_cmphex(c->fault.error, ==, 0x30 * 8 + 2);
	rig_free(r);
}

/* The classes of SDM table 6-5. */
static void test_nested(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	idt32(r, X86_DF, K_CODE, 0x8e);
	raise_now(r, X86_UD, false, 0); /* benign, then #NP: serial */
	/* #NP has no gate either: contributory twice */
	g_assert_cmphex(s->rip, ==, HANDLER + 8 * 16);
	g_assert_cmphex(get4(r, s->gpr[X86_RSP]), ==, 0);
	idt32(r, X86_GP, K_CODE, 0x8e);
	raise_now(r, X86_UD, false, 0); /* no gate: #GP(6*8+2+EXT) */
	g_assert_cmphex(s->rip, ==, HANDLER + 13 * 16);
	g_assert_cmphex(get4(r, s->gpr[X86_RSP]), ==, 6 * 8 + 3);
	raise_now(r, X86_NP, true, 0);
	g_assert_cmphex(s->rip, ==, HANDLER + 8 * 16);
	raise_now(r, X86_PF, true, 0);
	g_assert_cmphex(s->rip, ==, HANDLER + 8 * 16);
	g_assert_cmpint(s->activity, ==, X86_ACT_RUN);
	put8(r, RIG_IDT + 8 * 8, 0);
	raise_now(r, X86_PF, true, 0);
	g_assert_cmpint(s->activity, ==, X86_ACT_SHUTDOWN);
	rig_free(r);
}

static void test_long(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_long(r, 3);
	idt64(r, X86_GP, K_CODE, 0x8e, 0);
	idt64(r, X86_NMI, K_CODE, 0x8e, 2);
	s->gpr[X86_RSP] = 0x9008;
	raise_now(r, X86_GP, true, 0x55);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x8000 - 48);
	g_assert_cmphex(get8(r, 0x7fd0), ==, 0x55);
	g_assert_cmphex(get8(r, 0x7fd8), ==, 0x5000);
	g_assert_cmphex(get8(r, 0x7fe0), ==, U_CODE | 3);
	g_assert_cmphex(get8(r, 0x7fe8), ==, 0x10002);
	g_assert_cmphex(get8(r, 0x7ff0), ==, 0x9008);
	g_assert_cmphex(get8(r, 0x7ff8), ==, U_DATA | 3);
	g_assert_cmphex(s->seg[X86_SS].sel, ==, 0);
	g_assert_cmpint(r->c->cpl, ==, 0);
	/* same ring with IST; SS stays, RSP is aligned */
	soft_deliver_nmi(r->c);
	g_assert_cmpint(s->nmi_blocked, ==, 1);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x7200 - 40);
	g_assert_cmphex(get8(r, 0x7200 - 16), ==, 0x8000 - 48);
	g_assert_cmpint(FAULT(r->c, soft_iret(r->c, 8, 0)), ==, -1);
	g_assert_cmpint(s->nmi_blocked, ==, 0);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x8000 - 48);
	s->gpr[X86_RSP] += 8;
	g_assert_cmpint(FAULT(r->c, soft_iret(r->c, 8, 0)), ==, -1);
	g_assert_cmpint(r->c->cpl, ==, 3);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x9008);
	g_assert_cmphex(s->rip, ==, 0x5000);
	/* non-canonical IST: #SS, and no #SS gate: #DF, no gate: shutdown */
	put8(r, RIG_TSS + 0x24 + 8, 1ull << 47);
	soft_deliver_nmi(r->c);
	g_assert_cmpint(s->activity, ==, X86_ACT_SHUTDOWN);
	rig_free(r);
}

static void test_v86(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	idt32(r, X86_GP, K_CODE, 0x8e);
	/* IRET to V86: EIP CS EFLAGS ESP SS ES DS FS GS */
	s->gpr[X86_RSP] = 0x8f00;
	for (unsigned i = 0; i < 9; i++) {
		static const uint32_t frame[] = {0x1234, 0x1000, 0x20202,
			0xfff0, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000};

		put4(r, 0x8f00 + i * 4, frame[i]);
	}
	g_assert_cmpint(FAULT(r->c, soft_iret(r->c, 4, 0)), ==, -1);
	g_assert_true(r->c->v86);
	g_assert_cmpint(r->c->cpl, ==, 3);
	g_assert_cmphex(s->seg[X86_GS].base, ==, 0x60000);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0xfff0);
	/* IOPL 0: INT n faults; INT3 does not look at IOPL */
	g_assert_cmpint(
		FAULT(r->c, soft_int(r->c, 0x21, 0, SOFT_INT_N)), ==, X86_GP);
	g_assert_cmphex(r->c->fault.error, ==, 0);
	idt32(r, X86_BP, K_CODE, 0xee);
	g_assert_cmpint(FAULT(r->c, soft_popf(r->c, 0, 2)), ==, X86_GP);
	g_assert_cmpint(FAULT(r->c, soft_cli(r->c)), ==, X86_GP);
	raise_now(r, X86_GP, true, 0);
	g_assert_false(r->c->v86);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x8000 - 40);
	g_assert_cmphex(get4(r, 0x7ffc), ==, 0x6000); /* GS */
	g_assert_cmphex(get4(r, 0x7ff0), ==, 0x3000); /* ES */
	g_assert_cmphex(get4(r, 0x7fec), ==, 0x2000); /* SS */
	g_assert_cmphex(get4(r, 0x7fe4), ==, 0x30202);
	g_assert_cmphex(s->seg[X86_DS].sel, ==, 0);
	s->gpr[X86_RSP] += 4;
	g_assert_cmpint(FAULT(r->c, soft_iret(r->c, 4, 0)), ==, -1);
	g_assert_true(r->c->v86);
	rig_free(r);
}

/* VME: redirected INT n, VIF for IF. */
static void test_vme(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	s->cr4 |= X86_CR4_VME;
	s->seg[X86_TR].limit = 0x2000;
	put2(r, RIG_TSS + 102, 0x88); /* bitmap of 32 bytes below it */
	memset(r->ram + RIG_TSS + 0x68, 0, 32);
	for (unsigned i = 0; i < 6; i++)
		s->seg[i] = (struct x86_seg){0x30000, 0xffff, 0x3000, 0xf3};
	s->rflags = X86_FL_VM | X86_FL_VIF | 2;
	s->gpr[X86_RSP] = 0x1000;
	soft_update_mode(r->c);
	put4(r, 0x21 * 4, 0x40005678);
	g_assert_cmpint(
		FAULT(r->c, soft_int(r->c, 0x21, 0x99, SOFT_INT_N)), ==, -1);
	g_assert_cmphex(s->rip, ==, 0x5678);
	g_assert_cmphex(s->seg[X86_CS].base, ==, 0x40000);
	g_assert_true(r->c->v86);
	g_assert_cmphex(get2(r, 0x30ffe), ==, 0x3202); /* IF = VIF, IOPL 3 */
	g_assert_cmphex(get2(r, 0x30ffa), ==, 0x99);
	g_assert_cmphex(s->rflags & X86_FL_VIF, ==, 0);
	g_assert_cmpint(FAULT(r->c, soft_sti(r->c)), ==, -1);
	g_assert_cmphex(s->rflags & X86_FL_VIF, ==, X86_FL_VIF);
	s->rflags |= X86_FL_VIP;
	g_assert_cmpint(FAULT(r->c, soft_sti(r->c)), ==, X86_GP);
	g_assert_cmpint(FAULT(r->c, soft_popf(r->c, X86_FL_IF, 2)), ==, X86_GP);
	g_assert_cmpint(FAULT(r->c, soft_pushf(r->c, 4)), ==, X86_GP);
	r->ram[RIG_TSS + 0x68 + 0x21 / 8] = 1 << (0x21 % 8);
	g_assert_cmpint(FAULT(r->c, soft_int(r->c, 0x21, 0x99, SOFT_INT_N)), ==,
		X86_GP);
	rig_free(r);
}

static int ack_vector;

static int on_ack(struct soft_cpu *c)
{
	bus_cpu_clear(c->bc, BUS_EV_INTR);
	return ack_vector;
}

static void test_poll(void)
{
	static const struct soft_env env = {.ack_interrupt = on_ack};
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;
	struct cpu_exit exit;

	rig_protected(r, 0);
	r->c->env = &env;
	ack_vector = 0x20;
	idt32(r, 0x20, K_CODE, 0x8e);
	idt32(r, X86_NMI, K_CODE, 0x8e);
	bus_cpu_raise(r->c->bc, BUS_EV_INTR);
	g_assert_false(soft_poll(r->c, &exit));
	g_assert_cmphex(s->rip, ==, 0x5000); /* IF = 0 */
	soft_sti(r->c);
	g_assert_true(soft_attention(r->c));
	g_assert_false(soft_poll(r->c, &exit));
	g_assert_cmphex(s->rip, ==, 0x5000); /* the shadow */
	g_assert_false(soft_poll(r->c, &exit));
	g_assert_cmphex(s->rip, ==, HANDLER + 0x20 * 16);
	s->rflags |= X86_FL_IF;
	s->activity = X86_ACT_HALT;
	g_assert_true(soft_poll(r->c, &exit));
	g_assert_cmpint(exit.reason, ==, CPU_EXIT_HALT);
	bus_cpu_raise(r->c->bc, BUS_EV_NMI);
	s->nmi_blocked = 1;
	g_assert_true(soft_poll(r->c, &exit));
	s->nmi_blocked = 0;
	g_assert_false(soft_poll(r->c, &exit));
	g_assert_cmpint(s->activity, ==, X86_ACT_RUN);
	g_assert_cmphex(s->rip, ==, HANDLER + 2 * 16);
	bus_cpu_raise(r->c->bc, BUS_EV_STOP);
	g_assert_true(soft_poll(r->c, &exit));
	g_assert_cmpint(exit.reason, ==, CPU_EXIT_EVENT);
	rig_free(r);
}

static void test_debug(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	idt32(r, X86_DB, K_CODE, 0x8e);
	soft_write_dr(r->c, 0, 0x5000);
	soft_write_dr(r->c, 1, 0x6002);
	soft_write_dr(r->c, 7, 1 | 1 << 2 | 0x5 << 20); /* exec; write 2 */
	g_assert_true(r->c->insn_bp && r->c->data_bp);
	g_assert_cmpint(FAULT(r->c, soft_check_insn_bp(r->c)), ==, X86_DB);
	soft_deliver_fault(r->c);
	g_assert_cmphex(s->dr6, ==, 0xffff0ff1);
	g_assert_cmphex(get4(r, 0x8ffc), ==, 2); /* RF as it was */
	s->rip = 0x5000;
	s->rflags |= X86_FL_RF;
	g_assert_cmpint(FAULT(r->c, soft_check_insn_bp(r->c)), ==, -1);
	soft_check_data_bp(r->c, 0x6000, 2, SOFT_WRITE);
	g_assert_cmphex(r->c->db_pending, ==, 0);
	soft_check_data_bp(r->c, 0x6000, 4, SOFT_READ);
	g_assert_cmphex(r->c->db_pending, ==, 0);
	soft_check_data_bp(r->c, 0x6000, 4, SOFT_WRITE);
	g_assert_cmphex(r->c->db_pending, ==, 2);
	s->movss_shadow = 1;
	g_assert_cmpint(FAULT(r->c, soft_end_insn_traps(r->c, true)), ==, -1);
	soft_end_shadow(r->c);
	s->rflags &= ~X86_FL_RF;
	g_assert_cmpint(FAULT(r->c, soft_check_insn_bp(r->c)), ==, -1);
	g_assert_cmpint(
		FAULT(r->c, soft_end_insn_traps(r->c, true)), ==, X86_DB);
	g_assert_cmphex(r->c->fault.dr6, ==, 0x4002);
	/* general detect */
	soft_write_dr(r->c, 7, 1 << 13);
	g_assert_cmpint(FAULT(r->c, soft_read_dr(r->c, 0)), ==, X86_DB);
	soft_deliver_fault(r->c);
	g_assert_cmphex(s->dr7, ==, 0x400);
	g_assert_cmphex(s->dr6 & 0xf00f, ==, 0x2000);
	g_assert_cmphex(
		get4(r, s->gpr[X86_RSP] + 8) & X86_FL_RF, ==, X86_FL_RF);
	s->cr4 |= X86_CR4_DE;
	g_assert_cmpint(FAULT(r->c, soft_read_dr(r->c, 4)), ==, X86_UD);
	rig_free(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/soft/event/real", test_real);
	g_test_add_func("/soft/event/same-ring", test_same_ring);
	g_test_add_func("/soft/event/inner-ring", test_inner_ring);
	g_test_add_func("/soft/event/gate16", test_gate16);
	g_test_add_func("/soft/event/errors", test_errors);
	g_test_add_func("/soft/event/nested", test_nested);
	g_test_add_func("/soft/event/long", test_long);
	g_test_add_func("/soft/event/v86", test_v86);
	g_test_add_func("/soft/event/vme", test_vme);
	g_test_add_func("/soft/event/poll", test_poll);
	g_test_add_func("/soft/event/debug", test_debug);
	return g_test_run();
}
