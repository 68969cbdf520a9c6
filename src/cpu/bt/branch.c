/*
 * branch.c - the stack and near transfers of control.
 *
 * Within the page, exits are jumps that are linked to the target's block once
 * it is known; everything else goes through the jump cache, whose entries were
 * made under the current mapping and are dropped with it.
 */
#include "cpu/bt/tr.h"

void bt_emit_rip(struct bt_tr *t, unsigned d, int64_t off)
{
	unsigned size = t->code64 ? 8 : 4;

	if (t->segs) {
		em_mov_ri(&t->hot, d, (uint32_t)((t->key >> 32) + off));
		return;
	}
	em_load(&t->hot, size, d, bt_at_rsp(BT_NEAR(rip_base)));
	if (off)
		em_lea(&t->hot, size, d, em_at(d, off));
}

/* ---- leaving a block ---- */

void bt_exit_jump(struct bt_tr *t, int cc, unsigned off)
{
	struct emit *e = &t->hot;
	struct bt_exit *x;
	struct bt_cold *cold;
	uint32_t n;

	if (off == t->b->off && t->stream_next) {
		if (cc < 0)
			em_jmp(e, t->stream_next);
		else
			em_jcc(e, cc, t->stream_next);
		return;
	}
	n = t->vm->nexits++;
	x = &t->vm->exits[n];
	em_align_disp(e, cc < 0 ? 1 : 2);
	*x = (struct bt_exit){
		.block = t->b - t->vm->blocks, .off = off, .key = t->key};
	if (off == t->b->off && t->stream_back && !(t->key & BT_KEY_SINGLE))
		x->key |= BT_KEY_STREAM;
	x->disp = cc < 0 ? em_jmp(e, e->p) : em_jcc(e, cc, e->p);
	t->b->nexits++;
	cold = bt_cold(t, BT_TH_LINK, x->disp);
	cold->data[0] = n;
}

void bt_emit_indirect(struct bt_tr *t, int32_t undo)
{
	struct emit *e = &t->hot;
	int32_t jc = BT_AREA(jc) +
		     (int32_t)(t->mode * BT_JC_SIZE * sizeof(struct bt_jc));
	struct bt_cold *cold;

	bt_flags_clobber_after(t);
	if (t->segs) { /* the offset above the linear address */
		em_load(e, 4, BT_T1, bt_at_rsp(BT_SEG(X86_CS, base)));
		em_op_rr(e, 4, 0x03, BT_T1, BT_T0);
		em_op_rr(e, 8, 0xc1, 4, BT_T0);
		em_8(e, 32);
		em_op_rr(e, 8, 0x0b, BT_T0, BT_T1);
	}
	if (t->step) {
		cold = bt_cold(t, BT_TH_JC, em_jmp(e, e->p));
		cold->data[0] = bt_info(t);
		cold->data[1] = undo;
		return;
	}
	em_ror(e, t->vm->bmi2, BT_T1, BT_T0, 62); /* bt_jc_index << 4 */
	em_op_rm(e, 4, 0x23, BT_T1, bt_at_rsp(BT_NEAR(jc_mask)));
	em_op_rm(e, 8, 0x3b, BT_T0, em_sib(H_RSP, BT_T1, 1, jc));
	cold = bt_cold(t, BT_TH_JC, em_jcc(e, CC_NE, e->p));
	cold->data[0] = bt_info(t);
	cold->data[1] = undo;
	em_jmp_mem(e, em_sib(H_RSP, BT_T1, 1, jc + 8));
}

static int64_t bt_next(struct bt_tr *t)
{
	return t->off[t->i] + t->insn[t->i].len;
}

static void bt_goto(struct bt_tr *t, int64_t off, int32_t undo)
{
	if (!t->step && off >= 0 && off < (int64_t)BUS_PAGE_SIZE) {
		if (t->fl == BT_FL_SAVED && t->live[t->i + 1])
			bt_emit_flags_load(&t->hot, BT_T1);
		t->held = 0;
		bt_exit_jump(t, -1, off);
		return;
	}
	bt_flags_clobber_after(t);
	bt_emit_rip(t, BT_T0, off);
	bt_emit_indirect(t, undo);
}

static void bt_jump(struct bt_tr *t, int64_t off)
{
	bt_goto(t, off, 0);
}

/* Behind the limit the fetch faults, not what precedes it. */
void bt_emit_goto(struct bt_tr *t, int64_t off)
{
	bt_goto(t, off, -1);
}

static int64_t bt_target(struct bt_tr *t)
{
	return bt_branch_to(t, &t->insn[t->i], t->off[t->i]);
}

static void bt_skip_to_here(struct bt_tr *t, uint8_t *disp)
{
	em_patch(disp, t->hot.p);
}

void bt_emit_jcc(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned cc = in->opcode & 15;
	int64_t to = bt_target(t);
	enum bt_flags_at fl;
	uint8_t *over;

	bt_flags_need(t, BT_T1);
	if (!t->step && to >= 0 && to < (int64_t)BUS_PAGE_SIZE) {
		bt_exit_jump(t, cc, to);
	} else {
		over = em_jcc(&t->hot, cc ^ 1, t->hot.p);
		fl = t->fl;
		bt_jump(t, to);
		t->fl = fl;
		bt_skip_to_here(t, over);
	}
	if (t->i + 1 == t->n)
		bt_emit_goto(t, bt_next(t));
}

void bt_emit_jmp_rel(struct bt_tr *t, const struct x86_insn *in)
{
	bt_jump(t, bt_target(t));
}

static uint8_t *bt_jrcxz(struct bt_tr *t, const struct x86_insn *in)
{
	if (in->asize == 2) { /* flags were saved */
		em_8(&t->hot, 0x66);
		em_op_rr(&t->hot, 4, 0x85, H_RCX, H_RCX); /* test cx, cx */
		return em_jcc(&t->hot, CC_E, t->hot.p);
	}
	if (in->asize != 8)
		em_8(&t->hot, 0x67);
	em_8(&t->hot, 0xe3); /* over the short jump to the long one */
	em_8(&t->hot, 2);
	em_8(&t->hot, 0xeb);
	em_8(&t->hot, 5);
	return em_jmp(&t->hot, t->hot.p);
}

void bt_emit_jcxz(struct bt_tr *t, const struct x86_insn *in)
{
	enum bt_flags_at fl;
	uint8_t *zero;

	if (in->asize == 2)
		bt_flags_clobber(t);
	fl = t->fl;
	zero = bt_jrcxz(t, in);
	bt_emit_goto(t, bt_next(t));
	t->fl = fl;
	bt_skip_to_here(t, zero);
	bt_jump(t, bt_target(t));
}

void bt_emit_loop(struct bt_tr *t, const struct x86_insn *in)
{
	enum bt_flags_at fl;
	uint8_t *zero;

	if (in->asize == 2) {
		bt_flags_clobber(t);
		em_8(&t->hot, 0x66);
	}
	fl = t->fl;
	em_lea(&t->hot, in->asize, H_RCX, em_at(H_RCX, -1));
	zero = bt_jrcxz(t, in);
	bt_goto(t, bt_target(t), BT_UNDO_RCX | in->asize);
	t->fl = fl;
	bt_skip_to_here(t, zero);
	bt_emit_goto(t, bt_next(t));
}

/* ---- stack ---- */

static unsigned bt_word(struct bt_tr *t)
{
	return t->code64 ? 8 : t->insn[t->i].osize;
}

void bt_load(struct bt_tr *t, unsigned size, unsigned d, struct em_mem m)
{
	if (size == 2)
		em_op_rm(&t->hot, 4, 0x0fb7, d, m);
	else
		em_load(&t->hot, size, d, m);
}

static void bt_store(
	struct bt_tr *t, unsigned size, struct em_mem m, unsigned s)
{
	if (size == 2)
		em_8(&t->hot, 0x66);
	em_store(&t->hot, size, m, s);
}

/* SP, ESP or RSP = base + by. */
static void bt_set_rsp(struct bt_tr *t, unsigned base, int32_t by)
{
	if (t->key & BT_KEY_SS16)
		em_8(&t->hot, 0x66);
	em_lea(&t->hot, t->code64 ? 8 : 4, BT_GRSP, em_at(base, by));
}

void bt_move_rsp(struct bt_tr *t, int32_t by)
{
	t->rsp_by += by;
	if (bt_share_next(t))
		return; /* together with what comes */
	bt_set_rsp(t, BT_GRSP, t->rsp_by);
	t->rsp_by = 0;
}

/* Push host register r, which is not T1. */
void bt_push_reg(struct bt_tr *t, unsigned r)
{
	unsigned size = bt_word(t);
	struct bt_access acc = {.size = size, .write = true};

	bt_access_stack(t, BT_GRSP, -(int)size, &acc);
	bt_store(t, size, acc.m, r);
	bt_move_rsp(t, -(int)size);
}

/* Pop into T0, zero-extended. */
void bt_pop_reg(struct bt_tr *t, int32_t at, unsigned size)
{
	struct bt_access acc = {.size = size};

	bt_access_stack(t, BT_GRSP, at, &acc);
	bt_load(t, size, BT_T0, acc.m);
}

void bt_emit_push(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = bt_word(t);
	struct bt_access acc = {.size = size};
	const struct x86_opnd *o = &in->opnd[0];

	if (o->kind == X86_OK_IMM) {
		acc.write = true;
		bt_access_stack(t, BT_GRSP, -(int)size, &acc);
		if (size == 2) {
			em_8(&t->hot, 0x66);
			em_op_rm(&t->hot, 4, 0xc7, 0, acc.m);
			em_16(&t->hot, (uint16_t)in->imm);
		} else {
			em_mov_mi(&t->hot, size, acc.m, in->imm);
		}
		bt_move_rsp(t, -(int)size);
		return;
	}
	if (o->kind == X86_OK_GPR && bt_reg[o->reg] != BT_HOMED) {
		bt_push_reg(t, bt_reg[o->reg]);
		return;
	}
	if (o->kind == X86_OK_GPR) {
		bt_get(t, size, BT_T0, o->reg);
	} else {
		bt_access(t, in, &acc);
		bt_load(t, size, BT_T0, acc.m);
	}
	bt_push_reg(t, BT_T0);
}

void bt_emit_pop(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = bt_word(t), g = in->opnd[0].reg;
	struct bt_access acc = {.size = size};

	bt_access_stack(t, BT_GRSP, 0, &acc);
	if (bt_reg[g] == BT_HOMED) {
		em_load(&t->hot, size, BT_T0, acc.m);
		bt_put(t, size, g, BT_T0);
	} else {
		if (size == 2)
			em_8(&t->hot, 0x66);
		em_load(&t->hot, size, bt_reg[g], acc.m);
	}
	if (g != X86_RSP)
		bt_move_rsp(t, size);
}

void bt_emit_leave(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = bt_word(t);
	struct bt_access acc = {.size = size};

	bt_access_stack(t, H_RBP, 0, &acc);
	bt_load(t, size, BT_T0, acc.m);
	bt_set_rsp(t, H_RBP, size);
	if (size == 2)
		em_8(&t->hot, 0x66);
	em_mov_rr(&t->hot, size, H_RBP, BT_T0);
}

void bt_emit_rflags_image(struct bt_tr *t)
{
	struct emit *e = &t->hot;

	em_load(e, 4, BT_T0, bt_at_rsp(BT_ST(rflags)));
	em_alu_ri(e, 4, EM_AND, BT_T0, 0xfcffff & ~X86_FL_ARITH);
	em_op_rm(e, 4, 0x0fb6, BT_T1, bt_at_rsp(BT_NEAR(fl) + 1));
	em_op_rr(e, 4, 0x0b, BT_T0, BT_T1);
	em_op_rm(e, 4, 0x0fb6, BT_T1, bt_at_rsp(BT_NEAR(fl)));
	em_op_rr(e, 4, 0xc1, 4, BT_T1);
	em_8(e, 11);
	em_op_rr(e, 4, 0x0b, BT_T0, BT_T1);
}

void bt_emit_pushf(struct bt_tr *t, const struct x86_insn *in)
{
	bt_flags_clobber(t);
	bt_emit_rflags_image(t);
	bt_push_reg(t, BT_T0);
}

/* ---- calls and returns ---- */

static void bt_push_next(struct bt_tr *t)
{
	bt_emit_rip(t, BT_T0, bt_next(t));
	bt_push_reg(t, BT_T0);
}

void bt_emit_call_rel(struct bt_tr *t, const struct x86_insn *in)
{
	int64_t to = bt_target(t);

	bt_push_next(t);
	if (t->segs || (to >= 0 && to < (int64_t)BUS_PAGE_SIZE)) {
		bt_goto(t, to, bt_word(t));
		return;
	}
	em_lea(&t->hot, t->code64 ? 8 : 4, BT_T0,
		em_at(BT_T0, (int32_t)(to - bt_next(t))));
	bt_emit_indirect(t, bt_word(t));
}

void bt_emit_call_ind(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = bt_word(t), g = in->opnd[0].reg;
	struct bt_access acc = {.size = size};
	bool keep = in->has_mem || g == X86_RSP;

	bt_flags_clobber(t);
	if (in->has_mem) {
		bt_access(t, in, &acc);
		bt_load(t, size, BT_T0, acc.m);
	} else if (keep) {
		bt_get(t, size, BT_T0, g);
	}
	if (keep)
		em_store(&t->hot, 8, bt_at_rsp(BT_AREA(tmp2)), BT_T0);
	bt_push_next(t);
	if (keep)
		em_load(&t->hot, 8, BT_T0, bt_at_rsp(BT_AREA(tmp2)));
	else
		bt_get(t, size, BT_T0, g);
	if (size == 2)
		em_op_rr(&t->hot, 4, 0x0fb7, BT_T0, BT_T0);
	bt_emit_indirect(t, size);
}

void bt_emit_jmp_ind(struct bt_tr *t, const struct x86_insn *in)
{
	struct bt_access acc = {.size = bt_word(t)};

	bt_flags_clobber(t);
	if (in->has_mem) {
		bt_access(t, in, &acc);
		bt_load(t, acc.size, BT_T0, acc.m);
	} else {
		bt_get(t, acc.size, BT_T0, in->opnd[0].reg);
		if (acc.size == 2)
			em_op_rr(&t->hot, 4, 0x0fb7, BT_T0, BT_T0);
	}
	bt_emit_indirect(t, 0);
}

void bt_emit_ret(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = bt_word(t);
	struct bt_access acc = {.size = size};
	int32_t by = size + (in->opcode == 0xc2 ? (uint16_t)in->imm : 0);

	bt_access_stack(t, BT_GRSP, 0, &acc);
	bt_load(t, size, BT_T0, acc.m);
	bt_move_rsp(t, by);
	bt_emit_indirect(t, -by);
}
