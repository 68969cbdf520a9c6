/*
 * string.c - string instructions.
 *
 * Single ones are accesses like any other.
 *
 * REP MOVS and REP STOS are inline within one page of each operand.
 *
 * The TLB is asked as for any access, but for as many bytes as rCX says; the
 * pointers are host addresses while the host's own instruction runs.  What
 * crosses a page, counts down or does not hit goes to the interpreter, which
 * also fills the TLB.
 */
#include "cpu/bt/tr.h"

static void bt_string_index(struct bt_tr *t, unsigned reg)
{
	struct emit *e = &t->hot;

	em_ror(e, t->vm->bmi2, BT_T1, reg, 7);
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
	em_op_rm(e, 8, 0x33, BT_T0, em_sib(H_RSP, BT_T1, 1, bt_tlb(t, write)));
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

/* Counts down: by the interpreter. */
static struct bt_cold *bt_string_up(struct bt_tr *t)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold = bt_cold(t, BT_TH_INTERP, NULL);

	cold->data[0] = bt_info(t);
	em_op_rm(e, 4, 0xf6, 0, bt_at_rsp(BT_ST(rflags) + 1)); /* test DF */
	em_8(e, X86_FL_DF >> 8);
	cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
	return cold;
}

static unsigned bt_string_size(const struct x86_insn *in)
{
	return in->opcode & 1 ? in->osize : 1;
}

/* ---- repeated, base 0 ---- */

static void bt_emit_rep_flat(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	bool movs = in->op == X86_OP_MOVS;
	unsigned size = bt_string_size(in);
	struct bt_cold *cold;

	bt_flags_clobber(t);
	cold = bt_string_up(t);
	em_lea(e, 8, BT_T0, em_at(H_RCX, -1));
	em_alu_ri(e, 8, EM_CMP, BT_T0, (int32_t)(BUS_PAGE_SIZE / size) - 1);
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);

	if (movs)
		bt_string_check(t, H_RSI, size, false);
	bt_string_check(t, H_RDI, size, true);
	em_load(e, 8, BT_T0, em_sib(H_RSP, BT_T1, 1, bt_tlb(t, true) + 8));
	if (movs) {
		bt_string_index(t, H_RSI);
		em_load(e, 8, BT_T1,
			em_sib(H_RSP, BT_T1, 1, bt_tlb(t, false) + 8));
		em_op_rr(e, 8, 0x03, H_RSI, BT_T1);
	}
	em_op_rr(e, 8, 0x03, H_RDI, BT_T0);
	bt_string_run(t, movs ? 0xa4 : 0xaa, size);
	em_op_rr(e, 8, 0x2b, H_RDI, BT_T0);
	if (movs)
		em_op_rr(e, 8, 0x2b, H_RSI, BT_T1);
}

/* ---- repeated, 16-bit addresses ---- */

/* The host address of rCX elements at seg:reg into a slot, if they are within
 * the limit, 64 KiB and a page of the TLB. */
static void bt_rep16_check(struct bt_tr *t, unsigned reg, unsigned seg,
	unsigned size, int32_t slot)
{
	struct emit *e = &t->hot;
	bool write = reg == H_RDI;
	struct bt_cold *cold = bt_cold(t, BT_TH_INTERP, NULL), *page;

	cold->data[0] = bt_info(t);
	em_op_rr(e, 4, 0x0fb7, BT_T0, reg);
	em_op_rr(e, 4, 0x0fb7, BT_T1, H_RCX);
	em_lea(e, 4, BT_T1, em_sib(BT_T0, BT_T1, size, -1));
	em_op_rm(e, 4, 0x3b, BT_T1, bt_at_rsp(BT_SEG(seg, limit)));
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);
	em_alu_ri(e, 4, EM_CMP, BT_T1, 0xffff);
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);
	em_op_rm(e, 4, 0x03, BT_T0, bt_at_rsp(BT_SEG(seg, base)));
	bt_string_index(t, BT_T0);
	em_op_rm(e, 8, 0x33, BT_T0, em_sib(H_RSP, BT_T1, 1, bt_tlb(t, write)));
	em_alu_ri(e, 8, EM_CMP, BT_T0, BUS_PAGE_SIZE - 1);
	page = bt_cold(t, BT_TH_INTERP, em_jcc(e, CC_A, e->p));
	page->data[0] = bt_info(t);
	em_op_rm(e, 8, 0x03, BT_T0,
		em_sib(H_RSP, BT_T1, 1, bt_tlb(t, write) + 16));
	em_store(e, 8, bt_at_rsp(slot), BT_T0);
	em_alu_ri(e, 4, EM_AND, BT_T0, BUS_PAGE_SIZE - 1);
	em_op_rr(e, 4, 0x0fb7, BT_T1, H_RCX);
	em_lea(e, 4, BT_T0, em_sib(BT_T0, BT_T1, size, 0));
	em_alu_ri(e, 4, EM_CMP, BT_T0, BUS_PAGE_SIZE);
	page->patch[page->npatch++] = em_jcc(e, CC_A, e->p);
}

/* DI or SI = what was saved + what the host's register went by. */
static void bt_rep16_end(
	struct bt_tr *t, unsigned reg, int32_t slot, int32_t saved)
{
	struct emit *e = &t->hot;

	em_op_rm(e, 8, 0x2b, reg, bt_at_rsp(slot));
	em_load(e, 8, BT_T1, bt_at_rsp(saved));
	em_8(e, 0x66);
	em_op_rr(e, 4, 0x03, BT_T1, reg);
	em_mov_rr(e, 8, reg, BT_T1);
}

static void bt_emit_rep16(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	bool movs = in->op == X86_OP_MOVS;
	unsigned size = bt_string_size(in);
	int32_t src = BT_AREA(tmp), dst = BT_AREA(tmp2);
	struct bt_cold *cold;

	bt_flags_clobber(t);
	cold = bt_string_up(t);
	em_op_rr(e, 4, 0x0fb7, BT_T0, H_RCX);
	em_alu_ri(e, 4, EM_SUB, BT_T0, 1);
	em_alu_ri(e, 4, EM_CMP, BT_T0, (int32_t)(BUS_PAGE_SIZE / size) - 1);
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);
	if (movs)
		bt_rep16_check(t, H_RSI, in->seg, size, src);
	bt_rep16_check(t, H_RDI, X86_ES, size, dst);

	em_mov_rr(e, 8, BT_T0, H_RCX);
	em_op_rr(e, 4, 0x0fb7, H_RCX, H_RCX);
	em_store(e, 8, bt_at_rsp(BT_AREA(save1)), H_RDI);
	em_load(e, 8, H_RDI, bt_at_rsp(dst));
	if (movs) {
		em_store(e, 8, bt_at_rsp(BT_AREA(save0)), H_RSI);
		em_load(e, 8, H_RSI, bt_at_rsp(src));
	}
	bt_string_run(t, movs ? 0xa4 : 0xaa, size);
	bt_rep16_end(t, H_RDI, dst, BT_AREA(save1));
	if (movs)
		bt_rep16_end(t, H_RSI, src, BT_AREA(save0));
	em_mov_rr(e, 8, H_RCX, BT_T0);
	em_8(e, 0x66); /* mov cx, 0 */
	em_8(e, 0xb9);
	em_16(e, 0);
}

/* ---- single ---- */

static bool bt_string_reads_src(const struct x86_insn *in)
{
	return in->op == X86_OP_LODS || in->op == X86_OP_MOVS ||
	       in->op == X86_OP_CMPS;
}

static void bt_string_operand(
	const struct x86_insn *in, struct x86_insn *x, bool src)
{
	*x = *in;
	x->has_mem = 1;
	x->base = src ? X86_RSI : X86_RDI;
	x->index = X86_NOREG;
	x->scale = 1;
	x->disp = 0;
	if (src)
		return;
	x->seg = X86_ES;
	x->seg_override = X86_NOREG;
}

/* opcode for bytes, opcode + 1 for more */
static void bt_string_op(struct bt_tr *t, unsigned size, unsigned opcode,
	unsigned reg, struct em_mem m)
{
	if (size == 2)
		em_8(&t->hot, 0x66);
	em_op_rm(&t->hot, size, size == 1 ? opcode : opcode + 1, reg, m);
}

static void bt_string_advance(
	struct bt_tr *t, const struct x86_insn *in, unsigned reg)
{
	if (in->asize == 2)
		em_8(&t->hot, 0x66);
	em_lea(&t->hot, in->asize, reg, em_at(reg, bt_string_size(in)));
}

/* Load the element at one operand, access the other: *acc; its value is then in
 * acc->free. */
static void bt_string_both(struct bt_tr *t, const struct x86_insn *in,
	struct bt_access *acc, bool src_first)
{
	struct emit *e = &t->hot;
	struct bt_access first = {.size = acc->size};
	unsigned load[] = {[1] = 0x0fb6, [2] = 0x0fb7, [4] = 0x8b, [8] = 0x8b};
	struct x86_insn x;

	bt_string_operand(in, &x, src_first);
	bt_access(t, &x, &first);
	em_op_rm(e, acc->size, load[acc->size], first.free, first.m);
	em_store(e, 8, bt_at_rsp(BT_AREA(tmp2)), first.free);
	bt_string_operand(in, &x, !src_first);
	bt_access(t, &x, acc);
	em_load(e, 8, acc->free, bt_at_rsp(BT_AREA(tmp2)));
}

static void bt_emit_string(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = bt_string_size(in);
	struct bt_access acc = {.size = size};
	struct x86_insn x;

	bt_flags_clobber(t);
	bt_string_up(t);
	acc.write = in->op == X86_OP_STOS || in->op == X86_OP_MOVS;
	switch (in->op) {
	case X86_OP_MOVS:
		bt_string_both(t, in, &acc, true);
		bt_string_op(t, size, 0x88, acc.free, acc.m);
		break;
	case X86_OP_CMPS: /* the destination is read first */
		bt_string_both(t, in, &acc, false);
		bt_string_op(t, size, 0x38, acc.free, acc.m);
		break;
	default:
		bt_string_operand(in, &x, in->op == X86_OP_LODS);
		bt_access(t, &x, &acc);
		bt_string_op(t, size,
			in->op == X86_OP_LODS	? 0x8a
			: in->op == X86_OP_STOS ? 0x88
						: 0x3a,
			H_RAX, acc.m);
		break;
	}
	if (bt_string_reads_src(in))
		bt_string_advance(t, in, H_RSI);
	if (in->op != X86_OP_LODS)
		bt_string_advance(t, in, H_RDI);
	bt_flags_done(t);
}

/* ---- which ---- */

static bool bt_string_can(struct bt_tr *t, const struct x86_insn *in)
{
	bool write = in->op == X86_OP_STOS || in->op == X86_OP_MOVS;
	struct x86_insn x;

	bt_string_operand(in, &x, true);
	if (bt_string_reads_src(in) && !bt_can_address(t, &x, false))
		return false;
	bt_string_operand(in, &x, false);
	return in->op == X86_OP_LODS || bt_can_address(t, &x, write);
}

static bool bt_string_flat(struct bt_tr *t, const struct x86_insn *in)
{
	static const uint32_t flat[] = {[X86_ES] = BT_KEY_FLAT_ES,
		[X86_SS] = BT_KEY_FLAT_SS,
		[X86_DS] = BT_KEY_FLAT_DS};

	if (t->code64)
		return in->asize == 8 && in->seg < X86_FS;
	return in->asize == 4 && (t->key & BT_KEY_FLAT_ES) &&
	       (in->op == X86_OP_STOS ||
		       (in->seg <= X86_DS && (t->key & flat[in->seg])));
}

bt_emitter *bt_class_string(struct bt_tr *t, const struct x86_insn *in)
{
	if (!bt_string_can(t, in))
		return bt_emit_interp;
	if (!in->rep_string)
		return bt_emit_string;
	if (in->op != X86_OP_MOVS && in->op != X86_OP_STOS)
		return bt_emit_interp;
	if (bt_string_flat(t, in))
		return bt_emit_rep_flat;
	return in->asize == 2 ? bt_emit_rep16 : bt_emit_interp;
}
