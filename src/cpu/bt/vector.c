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
	struct bt_cold *cold = bt_cold(t, BT_TH_INTERP, NULL);

	cold->data[0] = bt_info(t);
	bt_flags_clobber(t);
	t->held = 0;
	bt_linear(t, in, BT_T0);
	cold->patch[cold->npatch++] = bt_check_tlb(t, acc->size, acc->write);
	if (acc->align)
		cold->patch[cold->npatch++] =
			bt_test_align(t, acc->size, BT_T0);
	bt_access_host(t, acc);
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
