/*
 * segs.c - segment registers, and what real mode does with them.
 *
 * There a segment register is a selector and a base of sixteen times that;
 * limits and rights stay, so the key does not change and the block goes on.
 */
#include "cpu/bt/tr.h"

static void bt_store16(struct emit *e, struct em_mem m, unsigned r)
{
	em_8(e, 0x66);
	em_store(e, 4, m, r);
}

/* Load segment register seg with register r, which is destroyed. */
static void bt_emit_real_seg(struct bt_tr *t, unsigned seg, unsigned r)
{
	struct emit *e = &t->hot;

	bt_store16(e, bt_at_rsp(BT_SEG(seg, sel)), r);
	em_op_rr(e, 4, 0x0fb7, r, r);
	em_op_rr(e, 4, 0xc1, 4, r); /* shl */
	em_8(e, 4);
	em_store(e, 8, bt_at_rsp(BT_SEG(seg, base)), r);
}

static void bt_emit_sel(struct bt_tr *t, unsigned seg)
{
	em_op_rm(&t->hot, 4, 0x0fb7, BT_T0, bt_at_rsp(BT_SEG(seg, sel)));
}

void bt_emit_push_sreg(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_sel(t, in->opnd[0].reg);
	bt_push_reg(t, BT_T0);
}

void bt_emit_mov_from_sreg(struct bt_tr *t, const struct x86_insn *in)
{
	struct bt_access acc = {.size = 2, .write = true};
	unsigned seg = in->opnd[1].reg, d;

	if (in->has_mem) {
		bt_access(t, in, &acc);
		em_op_rm(&t->hot, 4, 0x0fb7, acc.free,
			bt_at_rsp(BT_SEG(seg, sel)));
		bt_store16(&t->hot, acc.m, acc.free);
		return;
	}
	bt_emit_sel(t, seg);
	d = in->opnd[0].reg;
	if (in->osize != 2) {
		bt_put(t, 4, d, BT_T0);
		return;
	}
	if (bt_reg[d] == BT_HOMED) {
		bt_store16(&t->hot, bt_home(d), BT_T0);
		return;
	}
	em_8(&t->hot, 0x66);
	em_mov_rr(&t->hot, 4, bt_reg[d], BT_T0);
}

void bt_emit_pop_sreg(struct bt_tr *t, const struct x86_insn *in)
{
	bt_pop_reg(t, 0, in->osize);
	bt_move_rsp(t, in->osize);
	bt_emit_real_seg(t, in->opnd[0].reg, BT_T0);
}

void bt_emit_mov_to_sreg(struct bt_tr *t, const struct x86_insn *in)
{
	struct bt_access acc = {.size = 2};

	bt_flags_clobber(t);
	if (in->has_mem) {
		bt_access(t, in, &acc);
		bt_load(t, 2, BT_T0, acc.m);
	} else {
		bt_get(t, 4, BT_T0, in->opnd[1].reg);
	}
	bt_emit_real_seg(t, in->opnd[0].reg, BT_T0);
}

/* LES and the like with a pointer of two words. */
void bt_emit_lxs(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_access acc = {.size = 4};
	unsigned seg;

	switch (in->op) {
	case X86_OP_LES: seg = X86_ES; break;
	case X86_OP_LDS: seg = X86_DS; break;
	case X86_OP_LFS: seg = X86_FS; break;
	default: seg = X86_GS; break;
	}
	bt_access(t, in, &acc);
	em_load(e, 4, BT_T0, acc.m);
	em_8(e, 0x66);
	em_mov_rr(e, 4, bt_reg[in->opnd[0].reg], BT_T0);
	em_op_rr(e, 4, 0xc1, 5, BT_T0); /* shr */
	em_8(e, 16);
	bt_emit_real_seg(t, seg, BT_T0);
}

/* ---- far transfers with words ---- */

/* Go to T0 = selector << 16 | offset. */
static void bt_emit_go_far(struct bt_tr *t)
{
	struct emit *e = &t->hot;

	em_mov_rr(e, 4, BT_T1, BT_T0);
	em_op_rr(e, 4, 0xc1, 5, BT_T1);
	em_8(e, 16);
	bt_emit_real_seg(t, X86_CS, BT_T1);
	em_op_rr(e, 4, 0x0fb7, BT_T0, BT_T0);
	bt_emit_indirect(t, -1);
}

/* T0 = the far pointer that the instruction names. */
static void bt_far_pointer(struct bt_tr *t, const struct x86_insn *in)
{
	struct bt_access acc = {.size = 4};

	bt_flags_clobber(t);
	if (in->has_mem) {
		bt_access(t, in, &acc);
		em_load(&t->hot, 4, BT_T0, acc.m);
	} else {
		em_mov_ri(&t->hot, BT_T0,
			(uint32_t)in->imm2 << 16 | (uint16_t)in->imm);
	}
}

void bt_emit_jmp_far(struct bt_tr *t, const struct x86_insn *in)
{
	bt_far_pointer(t, in);
	bt_emit_go_far(t);
}

void bt_emit_call_far(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_access acc = {.size = 4, .write = true};

	bt_far_pointer(t, in);
	em_store(e, 8, bt_at_rsp(BT_AREA(tmp2)), BT_T0);
	bt_access_stack(t, BT_GRSP, -4, &acc);
	bt_emit_rip(t, BT_T0, t->off[t->i] + in->len);
	bt_store16(e, acc.m, BT_T0);
	bt_emit_sel(t, X86_CS);
	acc.m.disp += 2;
	bt_store16(e, acc.m, BT_T0);
	bt_move_rsp(t, -4);
	em_load(e, 8, BT_T0, bt_at_rsp(BT_AREA(tmp2)));
	bt_emit_go_far(t);
}

void bt_emit_retf(struct bt_tr *t, const struct x86_insn *in)
{
	bt_pop_reg(t, 0, 4);
	bt_move_rsp(t, 4 + (in->opcode == 0xca ? (uint16_t)in->imm : 0));
	bt_emit_go_far(t);
}
