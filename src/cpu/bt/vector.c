/*
 * vector.c - vector instructions that are not simply the host's.
 */
#include "cpu/bt/tr.h"

bool bt_is_masked(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_VMASKMOVPS:
	case X86_OP_VMASKMOVPD:
	case X86_OP_VPMASKMOVD:
	case X86_OP_VPMASKMOVQ: return true;
	default: return in->enc == X86_ENC_EVEX && in->has_mem && in->aaa;
	}
}

/*
 * If all of the operand is in a page of the TLB, no element faults.  Otherwise
 * the interpreter looks at each, which also fills the TLB.
 */
void bt_access_masked(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc)
{
	struct emit *e = &t->hot;
	int32_t tlb = offsetof(struct soft_cpu, tlb) +
		      (t->mode * SOFT_NACCESS +
			      (acc->write ? SOFT_WRITE : SOFT_READ)) *
			      SOFT_TLB_SIZE * sizeof(struct soft_tlb_entry);
	struct bt_cold *cold = bt_cold(t, BT_TH_INTERP, NULL);

	cold->data[0] = bt_info(t);
	bt_flags_clobber(t);
	t->held = 0;
	bt_effective(t, in, BT_T0);
	if (in->seg >= X86_FS)
		em_op_rm(e, 8, 0x03, BT_T0, bt_at_rsp(BT_SEG(in->seg, base)));
	em_mov_rr(e, 8, BT_T1, BT_T0);
	em_op_rr(e, 8, 0xc1, 5, BT_T1); /* shr */
	em_8(e, 7);
	em_alu_ri(e, 4, EM_AND, BT_T1, (SOFT_TLB_SIZE - 1) << 5);
	em_op_rm(e, 8, 0x33, BT_T0, em_sib(H_RSP, BT_T1, 1, tlb));
	em_alu_ri(e, 8, EM_CMP, BT_T0, (int32_t)BUS_PAGE_SIZE - acc->size);
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);
	if (acc->align) {
		em_8(e, 0x41); /* test t0b, size - 1 */
		em_8(e, 0xf6);
		em_modrm_reg(e, 0, BT_T0);
		em_8(e, acc->size - 1);
		cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
	}
	em_op_rm(e, 8, 0x03, BT_T0,
		em_sib(H_RSP, BT_T1, 1,
			tlb + (int32_t)offsetof(struct soft_tlb_entry, host)));
	acc->m = em_at(BT_T0, 0);
	acc->free = BT_T1;
}

bool bt_vex_w(const struct bt_tr *t, const struct x86_insn *in)
{
	if (!t->code64 && !(in->def->attr & BT_VECTOR))
		return false; /* general registers */
	return interp_vex_w(in);
}

/* Only eight registers are there to be cleared. */
void bt_emit_vzero(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;

	bt_emit_live(t, BT_LIVE_VEC, BT_NEAR(vec_live));
	for (unsigned n = 0; n < 8; n++) {
		em_8(e, 0xc5);
		if (in->op == X86_OP_VZEROALL) { /* vpxor n, n, n */
			em_8(e, 0x80 | (~n & 15) << 3 | 1);
			em_8(e, 0xef);
		} else { /* vmovdqa xmm n, xmm n */
			em_8(e, 0xf9);
			em_8(e, 0x6f);
		}
		em_modrm_reg(e, n, n);
	}
}
