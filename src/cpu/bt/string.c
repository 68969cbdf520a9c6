/*
 * string.c - REP MOVS and REP STOS within one page of each operand.
 *
 * The TLB is asked as for any access, but for as many bytes as rCX says; the
 * pointers are host addresses while the host's own instruction runs.  What
 * crosses a page, counts down or does not hit goes to the interpreter, which
 * also fills the TLB.
 */
#include "cpu/bt/tr.h"

static int32_t bt_string_tlb(struct bt_tr *t, bool write)
{
	return (int32_t)(offsetof(struct soft_cpu, tlb) +
			 (t->mode * SOFT_NACCESS +
				 (write ? SOFT_WRITE : SOFT_READ)) *
				 SOFT_TLB_SIZE * sizeof(struct soft_tlb_entry));
}

static void bt_string_index(struct bt_tr *t, unsigned reg)
{
	struct emit *e = &t->hot;

	em_mov_rr(e, 8, BT_T1, reg);
	em_op_rr(e, 8, 0xc1, 5, BT_T1); /* shr */
	em_8(e, 7);
	em_alu_ri(e, 4, EM_AND, BT_T1, (SOFT_TLB_SIZE - 1) << 5);
}

/* Are rCX elements at reg within one page of the TLB?  T1 = its index. */
static void bt_string_check(
	struct bt_tr *t, unsigned reg, unsigned size, bool write)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold;

	bt_string_index(t, reg);
	em_mov_rr(e, 8, BT_T0, reg);
	em_op_rm(e, 8, 0x33, BT_T0,
		em_sib(H_RSP, BT_T1, 1, bt_string_tlb(t, write)));
	em_alu_ri(e, 8, EM_CMP, BT_T0, BUS_PAGE_SIZE - 1);
	cold = bt_cold(t, BT_TH_INTERP, em_jcc(e, CC_A, e->p));
	cold->data[0] = bt_info(t);
	em_lea(e, 8, BT_T0, em_sib(BT_T0, H_RCX, size, 0));
	em_alu_ri(e, 8, EM_CMP, BT_T0, BUS_PAGE_SIZE);
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);
}

static void bt_string_run(struct bt_tr *t, unsigned opcode, unsigned size)
{
	struct emit *e = &t->hot;

	if (size == 2)
		em_8(e, 0x66);
	em_8(e, 0xf3);
	if (size == 8)
		em_8(e, 0x48);
	em_8(e, size == 1 ? opcode : opcode + 1);
}

void bt_emit_rep(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	bool movs = in->op == X86_OP_MOVS;
	unsigned size = in->opcode & 1 ? in->osize : 1;
	struct bt_cold *cold;

	bt_flags_clobber(t);
	cold = bt_cold(t, BT_TH_INTERP, NULL);
	cold->data[0] = bt_info(t);
	em_op_rm(e, 4, 0xf6, 0, bt_at_rsp(BT_ST(rflags) + 1)); /* DF */
	em_8(e, X86_FL_DF >> 8);
	cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
	em_lea(e, 8, BT_T0, em_at(H_RCX, -1));
	em_alu_ri(e, 8, EM_CMP, BT_T0, (int32_t)(BUS_PAGE_SIZE / size) - 1);
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);

	if (movs)
		bt_string_check(t, H_RSI, size, false);
	bt_string_check(t, H_RDI, size, true);
	em_load(e, 8, BT_T0,
		em_sib(H_RSP, BT_T1, 1, bt_string_tlb(t, true) + 8));
	if (movs) {
		bt_string_index(t, H_RSI);
		em_load(e, 8, BT_T1,
			em_sib(H_RSP, BT_T1, 1, bt_string_tlb(t, false) + 8));
		em_op_rr(e, 8, 0x03, H_RSI, BT_T1);
	}
	em_op_rr(e, 8, 0x03, H_RDI, BT_T0);
	bt_string_run(t, movs ? 0xa4 : 0xaa, size);
	em_op_rr(e, 8, 0x2b, H_RDI, BT_T0);
	if (movs)
		em_op_rr(e, 8, 0x2b, H_RSI, BT_T1);
}
