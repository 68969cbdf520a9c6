/*
 * access.c - memory operands: address, TLB check, host operand.
 *
 * The check is the plain look-up
 *
 *	lea t0, [EA]; rorx t1, t0, 7; and t1, index mask
 *	xor t0, [tag]; cmp t0, 4096 - size; ja miss
 *
 * or, in loops, the slot of slot.c, or, for addresses formed with the stack
 * pointer, the one-page cache
 *
 *	lea t1, [EA]; xor t1, [tag]; cmp t1, 4096 - size; ja miss
 *
 * The access may run into the miss again after it was filled, so nothing may
 * have changed before; a miss restarts at the computation of the address.
 */
#include "cpu/bt/tr.h"

const uint8_t bt_reg[16] = {H_RAX, H_RCX, H_RDX, H_RBX, BT_GRSP, H_RBP, H_RSI,
	H_RDI, H_R8, H_R9, BT_HOMED, BT_HOMED, H_R12, H_R13, H_R14, BT_HOMED};

/* Has the segment of the operand a base and limit that may be anything? */
static bool bt_has_limit(const struct bt_tr *t, const struct x86_insn *in)
{
	if (t->code64)
		return false;
	switch (in->seg) {
	case X86_ES: return !(t->key & BT_KEY_FLAT_ES);
	case X86_SS: return !(t->key & BT_KEY_FLAT_SS);
	case X86_DS: return !(t->key & BT_KEY_FLAT_DS);
	case X86_FS: return !(t->key & BT_KEY_BIG_FS);
	case X86_GS: return !(t->key & BT_KEY_BIG_GS);
	default: return t->segs;
	}
}

static bool bt_fs_gs(const struct bt_tr *t, const struct x86_insn *in)
{
	unsigned seg = t->code64 ? in->seg_override : in->seg;

	return (seg == X86_FS || seg == X86_GS) && !bt_has_limit(t, in);
}

static unsigned bt_seg(const struct bt_tr *t, const struct x86_insn *in)
{
	return t->code64 ? in->seg_override : in->seg;
}

bool bt_can_address(struct bt_tr *t, const struct x86_insn *in, bool write)
{
	if (in->vsib)
		return false;
	if (in->base == X86_RIP) {
		int64_t d = (int64_t)t->off[t->i] + in->len + in->disp;

		return t->code64 && d == (int32_t)d;
	}
	if (t->code64)
		return true;
	if (in->seg == X86_CS && write)
		return (t->key & BT_KEY_OK(X86_CS)) &&
		       (t->key & (BT_KEY_REAL | BT_KEY_V86));
	if (in->seg == X86_CS && !t->segs)
		return t->key & BT_KEY_CS_READ;
	return !bt_has_limit(t, in) || (t->key & BT_KEY_OK(in->seg));
}

/* moffs: the whole address is in imm */
static bool bt_is_moffs(const struct x86_insn *in)
{
	return in->op == X86_OP_MOV && !in->map && (in->opcode & 0xfc) == 0xa0;
}

/* Host register with guest register g, loaded into tmp if it is homed. */
static unsigned bt_addr_reg(struct bt_tr *t, unsigned g, unsigned tmp)
{
	if (g == X86_NOREG)
		return H_NONE;
	if (bt_reg[g] != BT_HOMED)
		return bt_reg[g];
	em_load(&t->hot, 8, tmp, bt_home(g));
	return tmp;
}

void bt_effective_size(
	struct bt_tr *t, const struct x86_insn *in, unsigned d, unsigned size)
{
	unsigned base, index;

	if (in->base == X86_RIP) {
		bt_emit_rip(t, d, (int64_t)t->off[t->i] + in->len + in->disp);
		if (size == 4)
			em_mov_rr(&t->hot, 4, d, d);
		return;
	}
	if (bt_is_moffs(in)) {
		em_mov_ri(&t->hot, d, size == 8 ? in->imm : (uint32_t)in->imm);
		return;
	}
	if (in->asize == 2 && in->base == X86_NOREG && in->index == X86_NOREG) {
		em_mov_ri(&t->hot, d, (uint16_t)in->disp);
		return;
	}
	base = bt_addr_reg(t, in->base, d == BT_T1 ? BT_T1 : BT_T0);
	index = bt_addr_reg(t, in->index, d == BT_T1 ? BT_T0 : BT_T1);
	if (base == H_NONE && index == H_NONE) {
		em_mov_ri(&t->hot, d,
			size == 8 ? (uint64_t)(int64_t)in->disp
				  : (uint32_t)in->disp);
		return;
	}
	if (index == H_NONE && !in->disp) {
		if (in->asize == 2)
			em_op_rr(&t->hot, 4, 0x0fb7, d, base);
		else if (size == 4 || base != d)
			em_mov_rr(&t->hot, size, d, base);
		return;
	}
	em_lea(&t->hot, size, d,
		em_sib(base, index, in->scale ? in->scale : 1, in->disp));
	if (in->asize == 2)
		em_op_rr(&t->hot, 4, 0x0fb7, d, d);
}

/* Register d: from offset of size bytes in a segment with a base and a limit to
 * linear address.  What is beyond the limit the interpreter faults on. */
static void bt_emit_segment(
	struct bt_tr *t, unsigned d, unsigned seg, unsigned size, bool word)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold = bt_cold(t, BT_TH_INTERP, NULL);

	cold->data[0] = bt_info(t);
	if (size > 1)
		em_alu_ri(e, 4, EM_ADD, d, (int32_t)size - 1);
	if (size > 1 && !word)
		cold->patch[cold->npatch++] = em_jcc(e, CC_B, e->p);
	em_op_rm(e, 4, 0x3b, d, bt_at_rsp(BT_SEG(seg, limit)));
	cold->patch[cold->npatch++] = em_jcc(e, CC_A, e->p);
	em_op_rm(e, 4, 0x03, d, bt_at_rsp(BT_SEG(seg, base)));
	if (size > 1)
		em_alu_ri(e, 4, EM_SUB, d, (int32_t)size - 1);
}

void bt_effective(struct bt_tr *t, const struct x86_insn *in, unsigned d)
{
	bt_effective_size(t, in, d, in->asize == 8 ? 8 : 4);
}

int32_t bt_tlb(struct bt_tr *t, bool write)
{
	return offsetof(struct soft_cpu, tlb) +
	       (t->mode * SOFT_NACCESS + (write ? SOFT_WRITE : SOFT_READ)) *
		       SOFT_TLB_SIZE * sizeof(struct soft_tlb_entry);
}

static uint32_t bt_access_info(struct bt_tr *t, const struct bt_access *acc)
{
	return bt_info(t) | (acc->write ? BT_INFO_WRITE : 0) |
	       (acc->align ? BT_INFO_ALIGN : 0) |
	       (acc->size - 1) << BT_INFO_SIZE_SHIFT;
}

uint8_t *bt_test_align(struct bt_tr *t, unsigned size, unsigned r)
{
	struct emit *e = &t->hot;

	em_8(e, 0x41); /* test r, size - 1 */
	em_8(e, 0xf6);
	em_modrm_reg(e, 0, r);
	em_8(e, size - 1);
	return em_jcc(e, CC_NE, e->p);
}

uint8_t *bt_check_tlb(struct bt_tr *t, unsigned size, bool write)
{
	struct emit *e = &t->hot;

	em_ror(e, t->vm->bmi2, BT_T1, BT_T0, 7);
	em_alu_ri(e, 4, EM_AND, BT_T1, (SOFT_TLB_SIZE - 1) << 5);
	em_op_rm(e, 8, 0x33, BT_T0, em_sib(H_RSP, BT_T1, 1, bt_tlb(t, write)));
	em_alu_ri(e, 8, EM_CMP, BT_T0, (int32_t)BUS_PAGE_SIZE - (int32_t)size);
	return em_jcc(e, CC_A, e->p);
}

static void bt_check(
	struct bt_tr *t, const struct bt_access *acc, const uint8_t *retry)
{
	struct bt_cold *cold =
		bt_cold(t, BT_TH_MISS, bt_check_tlb(t, acc->size, acc->write));

	cold->data[0] = bt_access_info(t, acc);
	cold->retry = retry;
	if (acc->align)
		cold->patch[cold->npatch++] =
			bt_test_align(t, acc->size, BT_T0);
}

void bt_access_host(struct bt_tr *t, struct bt_access *acc)
{
	int32_t at = bt_tlb(t, acc->write) +
		     (int32_t)offsetof(struct soft_tlb_entry, host);

	em_op_rm(&t->hot, 8, 0x03, BT_T0, em_sib(H_RSP, BT_T1, 1, at));
	acc->m = em_at(BT_T0, 0);
	acc->free = BT_T1;
}

void bt_access_linear(struct bt_tr *t, const struct x86_insn *in,
	struct bt_access *acc, const uint8_t *retry)
{
	if (bt_fs_gs(t, in))
		em_op_rm(&t->hot, 8, 0x03, BT_T0,
			bt_at_rsp(BT_ST(seg[bt_seg(t, in)].base)));
	bt_check(t, acc, retry);
	bt_access_host(t, acc);
}

void bt_access_stack(
	struct bt_tr *t, unsigned base, int32_t disp, struct bt_access *acc)
{
	struct emit *e = &t->hot;
	int32_t at = bt_stack_at(t->mode, acc->write);
	const uint8_t *retry;
	struct bt_cold *cold;
	unsigned size = t->code64 ? 8 : 4;

	if (bt_share(t, true, acc))
		return;
	bt_flags_clobber(t);
	t->held = 0;
	retry = e->p;

	if (disp)
		em_lea(e, size, BT_T1, em_at(base, disp));
	else
		em_mov_rr(e, size, BT_T1, base);
	if (t->segs) {
		if (t->key & BT_KEY_SS16)
			em_op_rr(e, 4, 0x0fb7, BT_T1, BT_T1);
		bt_emit_segment(
			t, BT_T1, X86_SS, acc->size, t->key & BT_KEY_SS16);
	}
	em_op_rm(e, 8, 0x33, BT_T1, bt_at_rsp(at));
	em_alu_ri(e, 8, EM_CMP, BT_T1, (int32_t)BUS_PAGE_SIZE - acc->size);
	cold = bt_cold(t, BT_TH_MISS, em_jcc(e, CC_A, e->p));
	cold->data[0] = bt_access_info(t, acc) | BT_INFO_STACK;
	cold->retry = retry;
	if (acc->align)
		cold->patch[cold->npatch++] =
			bt_test_align(t, acc->size, BT_T1);
	em_op_rm(e, 8, 0x03, BT_T1, bt_at_rsp(at + 8));
	acc->m = em_at(BT_T1, 0);
	acc->free = BT_T0;
}

bool bt_by_addend(const struct bt_tr *t, const struct x86_insn *in)
{
	return t->code64 && !bt_fs_gs(t, in) && in->asize == 8 &&
	       !bt_is_moffs(in) && in->base < X86_NGPR &&
	       bt_reg[in->base] != BT_HOMED &&
	       (in->index == X86_NOREG || bt_reg[in->index] != BT_HOMED);
}

void bt_access_base(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc)
{
	acc->free = BT_T0;
	if (in->index == X86_NOREG) {
		acc->m = em_sib(bt_reg[in->base], BT_T1, 1, in->disp);
		return;
	}
	em_lea(&t->hot, 8, BT_T1, em_sib(BT_T1, bt_reg[in->base], 1, 0));
	acc->m = em_sib(BT_T1, bt_reg[in->index], in->scale, in->disp);
}

void bt_linear(struct bt_tr *t, const struct x86_insn *in, unsigned d)
{
	bt_effective(t, in, d);
	if (bt_fs_gs(t, in))
		em_op_rm(&t->hot, t->code64 ? 8 : 4, 0x03, d,
			bt_at_rsp(BT_SEG(bt_seg(t, in), base)));
}

/*
 *	lea t1, [EA]; sub t1, [lo]; cmp t1, [lim]; jae miss; mov t1, [addend]
 */
static void bt_access_slot(struct bt_tr *t, const struct x86_insn *in,
	struct bt_access *acc, int32_t slot)
{
	int32_t addend = slot + (int32_t)offsetof(struct bt_slot, addend);
	bool base = bt_by_addend(t, in);
	struct emit *e = &t->hot;
	const uint8_t *retry = e->p;
	struct bt_cold *cold;

	bt_linear(t, in, base ? BT_T1 : BT_T0);
	if (!base)
		em_mov_rr(e, 8, BT_T1, BT_T0);
	em_op_rm(e, 8, 0x2b, BT_T1, bt_at_rsp(slot));
	em_op_rm(e, 8, 0x3b, BT_T1,
		bt_at_rsp(slot + (int32_t)offsetof(struct bt_slot, lim)));
	cold = bt_cold(t, BT_TH_MISS, em_jcc(e, CC_AE, e->p));
	cold->data[0] = bt_access_info(t, acc);
	cold->retry = retry;
	cold->slot = slot;
	cold->size = acc->size;
	cold->write = acc->write;
	cold->align = acc->align;
	if (acc->align)
		cold->patch[cold->npatch++] =
			bt_test_align(t, acc->size, BT_T1);
	if (base) {
		em_load(e, 8, BT_T1, bt_at_rsp(addend));
		bt_access_base(t, in, acc);
		return;
	}
	em_op_rm(e, 8, 0x03, BT_T0, bt_at_rsp(addend));
	acc->m = em_at(BT_T0, 0);
	acc->free = BT_T1;
}

/* The slot misses: ask the TLB, and C if that misses too; then again. */
void bt_access_cold(struct bt_tr *t, const struct bt_cold *r)
{
	struct emit hot = t->hot, *e = &t->hot;
	const uint8_t *again = t->cold.p, *site;
	uint8_t *miss, *wrong = NULL;
	int32_t tlb;

	/* what computes addresses writes to hot, for insn i */
	t->hot = t->cold;
	t->i = r->insn;
	t->mode = r->mode;
	tlb = bt_tlb(t, r->write);
	bt_linear(t, &t->insn[r->insn], BT_T0);
	miss = bt_check_tlb(t, r->size, r->write);
	if (r->align)
		wrong = bt_test_align(t, r->size, BT_T0);
	em_op_rm(e, 8, 0x33, BT_T0, em_sib(H_RSP, BT_T1, 1, tlb));
	em_load(e, 8, BT_T1, em_sib(H_RSP, BT_T1, 1, tlb + 8));
	em_call(e, t->vm->slot_refill);
	site = e->p;
	em_32(e, t->b - t->vm->blocks);
	em_32(e, (uint32_t)(r->retry - site));
	em_32(e, r->slot);
	em_32(e, r->size);
	em_32(e, t->off[r->insn]);
	em_patch(miss, e->p);
	if (wrong)
		em_patch(wrong, e->p);
	em_call(e, t->vm->thunk[BT_TH_MISS]);
	site = e->p;
	em_32(e, r->data[0]);
	em_32(e, (uint32_t)(again - site));
	em_32(e, bt_to_next(t, r->insn, site));
	t->cold = *e;
	t->hot = hot;
}

bool bt_access(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc)
{
	const uint8_t *retry;
	int32_t slot, tlb = bt_tlb(t, acc->write);

	if (!bt_can_address(t, in, acc->write) || acc->size < 1 ||
		acc->size > 64)
		return false;
	if (in == &t->insn[t->i] &&
		(t->stream ? bt_stream(t, in, acc) : bt_share(t, false, acc)))
		return true;
	bt_flags_clobber(t);
	t->held = 0;
	if (in->base == X86_RSP && in->index == X86_NOREG && !bt_fs_gs(t, in) &&
		!t->segs && !bt_has_limit(t, in) &&
		in->asize == (t->code64 ? 8 : 4)) {
		bt_access_stack(t, BT_GRSP, in->disp, acc);
		return true;
	}
	/* the rare path computes the address from the instruction again */
	if (!bt_has_limit(t, in) && in == &t->insn[t->i]) {
		slot = bt_slot_new(t, in, acc->size, acc->write);
		if (slot) {
			bt_access_slot(t, in, acc, slot);
			return true;
		}
	}
	retry = t->hot.p;
	if (bt_has_limit(t, in)) {
		bt_effective(t, in, BT_T0);
		bt_emit_segment(t, BT_T0, in->seg, acc->size, in->asize == 2);
	} else {
		bt_linear(t, in, BT_T0);
	}
	bt_check(t, acc, retry);
	/* of one register, without waiting for the tag */
	if (bt_by_addend(t, in) && in->index == X86_NOREG) {
		em_load(&t->hot, 8, BT_T1, em_sib(H_RSP, BT_T1, 1, tlb + 8));
		bt_access_base(t, in, acc);
		return true;
	}
	bt_access_host(t, acc);
	return true;
}
