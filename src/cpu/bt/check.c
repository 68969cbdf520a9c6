/*
 * check.c - blocks that compare their bytes with guest RAM on entry.
 *
 * Code that is patched again and again, or shares its page with busy data, is
 * not watched: its page can be written at full speed, and the block sees for
 * itself whether it is still what it was translated from.  Immediate operands
 * are not compared but loaded from RAM when they are used, so code of which
 * only those change is translated once.
 *
 * Within the block nothing may write memory before the last instruction: what
 * an instruction writes must be seen by the next.  What other processors write
 * is seen at the next entry, as serialization makes them expect.
 */
#include "cpu/bt/tr.h"

/* Longest block; bytes are numbered by bits of check_skip. */
#define CHECK_BYTES 64

/* ---- which instructions ---- */

static bool bt_only_reads(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_CMPXCHG:
	case X86_OP_CMPXCHG8B:
	case X86_OP_CMPXCHG16B: return false;
	default: break;
	}
	for (unsigned i = 0; i < in->nopnds; i++)
		if (in->opnd[i].kind == X86_OK_MEM &&
			(in->opnd[i].access != X86_OA_R || !in->opnd[i].size))
			return false;
	return true;
}

/* Opcode of "op r/m, r" for those with an immediate that is loaded. */
static unsigned bt_imm_opcode(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_ADD: return 0x01;
	case X86_OP_OR: return 0x09;
	case X86_OP_ADC: return 0x11;
	case X86_OP_SBB: return 0x19;
	case X86_OP_AND: return 0x21;
	case X86_OP_SUB: return 0x29;
	case X86_OP_XOR: return 0x31;
	case X86_OP_CMP: return 0x39;
	case X86_OP_TEST: return 0x85;
	case X86_OP_MOV: return 0x89;
	default: return 0;
	}
}

static bool bt_imm_loadable(const struct x86_insn *in)
{
	const struct x86_opnd *d = &in->opnd[0];

	return in->enc == X86_ENC_LEGACY && in->nopnds == 2 &&
	       d->kind == X86_OK_GPR && d->size >= 4 &&
	       in->opnd[1].kind == X86_OK_IMM && in->imm_off &&
	       bt_imm_opcode(in);
}

/* Host address of the byte at a page offset, which may be on the second. */
static uint64_t bt_check_host(struct bt_tr *t, unsigned off)
{
	if (off < BUS_PAGE_SIZE)
		return (uintptr_t)t->live_page + off;
	return (uintptr_t)t->vm->soft.ram_host +
	       ((uint64_t)t->page2 << BUS_PAGE_SHIFT) + off - BUS_PAGE_SIZE;
}

static bool bt_one_page(unsigned off, unsigned len)
{
	return off >> BUS_PAGE_SHIFT == (off + len - 1) >> BUS_PAGE_SHIFT;
}

static void bt_load_imm(struct bt_tr *t, const struct x86_insn *in, unsigned d)
{
	unsigned size = in->opnd[0].size;
	struct em_mem m = em_at(BT_T1, 0);

	em_mov_ri(&t->hot, BT_T1, bt_check_host(t, t->off[t->i] + in->imm_off));
	if (in->imm_size == 1)
		em_op_rm(&t->hot, size, 0x0fbe, d, m);
	else if (in->imm_size < size)
		em_op_rm(&t->hot, size, 0x63, d, m);
	else
		em_load(&t->hot, size, d, m);
}

static bt_emitter bt_emit_imm;

static void bt_emit_imm(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	unsigned g = in->opnd[0].reg, size = in->opnd[0].size, r = bt_reg[g];
	bool homed = r == BT_HOMED;

	bt_flags_need(t, BT_T1);
	if (in->op == X86_OP_MOV) {
		bt_load_imm(t, in, homed ? BT_T0 : r);
		if (homed)
			bt_put(t, 8, g, BT_T0);
		return;
	}
	bt_load_imm(t, in, BT_T0);
	if (homed) {
		r = BT_T1;
		bt_get(t, 8, r, g);
	}
	em_op_rr(e, size, bt_imm_opcode(in), BT_T0, r);
	if (homed && in->op != X86_OP_CMP && in->op != X86_OP_TEST)
		bt_put(t, 8, g, r);
	bt_flags_done(t);
}

void bt_check_classify(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emitter **fn = &t->emitter[t->n];
	unsigned at = t->off[t->n] - t->b->off;

	if (*fn == bt_emit_copy && bt_imm_loadable(in) &&
		bt_one_page(t->off[t->n] + in->imm_off, in->imm_size)) {
		*fn = bt_emit_imm;
		t->check_skip |= ((1ull << in->imm_size) - 1)
				 << (at + in->imm_off);
	} else if (!((*fn == bt_emit_copy || *fn == bt_emit_vec ||
			     *fn == bt_emit_div) &&
			   bt_only_reads(in)) &&
		   *fn != bt_emit_lea && *fn != bt_emit_nothing) {
		t->check_ends = true;
	}
	if (at + in->len + 15 > CHECK_BYTES)
		t->check_ends = true;
}

/* ---- the comparison ---- */

void bt_emit_check_fail(struct bt_tr *t)
{
	t->check_fail = t->hot.p;
	em_call(&t->hot, t->vm->thunk[BT_TH_CHECK]);
	em_32(&t->hot, BT_INFO(t->b->off, 0, 0));
	em_32(&t->hot, t->b - t->vm->blocks);
}

/* T1 = host address of the byte at page offset base: compare n bytes. */
static void bt_emit_compare(
	struct bt_tr *t, unsigned base, unsigned off, unsigned n)
{
	struct emit *e = &t->hot;
	struct em_mem m = em_at(BT_T1, off - base);
	uint64_t v = 0;

	memcpy(&v, t->page + off, n);
	if (n == 8) {
		em_mov_ri(e, BT_T0, v);
		em_op_rm(e, 8, 0x3b, BT_T0, m);
	} else if (n == 4) {
		em_op_rm(e, 4, 0x81, EM_CMP, m);
		em_32(e, v);
	} else {
		em_op_rm(e, 4, 0x80, EM_CMP, m);
		em_8(e, v);
	}
	em_jcc(e, CC_NE, t->check_fail);
}

/* The bytes from off to end, which are in one page. */
static void bt_emit_check_part(struct bt_tr *t, unsigned off, unsigned end)
{
	unsigned base = off, k;

	if (off >= end)
		return;
	em_mov_ri(&t->hot, BT_T1, bt_check_host(t, base));
	for (; off < end; off += k) {
		uint64_t skip = t->check_skip >> (off - t->b->off);

		k = 1;
		if (skip & 1)
			continue;
		k = skip ? __builtin_ctzll(skip) : 8;
		if (k > end - off)
			k = end - off;
		k = k >= 8 ? 8 : k >= 4 ? 4 : 1;
		bt_emit_compare(t, base, off, k);
	}
}

void bt_emit_check(struct bt_tr *t)
{
	unsigned off = t->b->off, end = t->end;

	if (t->straddle) /* it is stepped, as long as it does */
		end = t->page_end - off < 15 ? t->page_end : off + 15;
	if (end <= BUS_PAGE_SIZE) {
		bt_emit_check_part(t, off, end);
		return;
	}
	bt_emit_check_part(t, off, BUS_PAGE_SIZE);
	bt_emit_check_part(t, BUS_PAGE_SIZE, end);
}
