/*
 * alu.c - instructions carried out by the same instruction on the host.
 *
 * Registers that live elsewhere are substituted, memory operands are replaced
 * by the checked host operand; prefixes, opcode and immediate stay.
 */
#include "cpu/bt/tr.h"
#include "x86/optab.h"

static unsigned bt_place(const struct x86_insn *in, unsigned i)
{
	return x86_opspecs[in->def->opnd[i] & 0xff].place;
}

/* ---- encoding ---- */

static void bt_encode_tail(
	struct bt_tr *t, const struct x86_insn *in, const struct bt_enc *enc)
{
	const uint8_t *src = t->page + t->off[t->i];
	struct em_mem m;

	if (enc->m) {
		m = *enc->m;
		m.disp32 = in->enc == X86_ENC_EVEX;
		em_modrm_mem(&t->hot, enc->reg, &m);
	} else if (in->modrm_off) {
		em_modrm_reg(&t->hot, enc->reg, enc->rm);
	}
	for (unsigned i = 0; i < in->imm_size; i++)
		em_8(&t->hot, src[in->imm_off + i]);
	/* a register's number has three bits outside 64-bit code */
	if (in->enc == X86_ENC_VEX && !t->code64 && in->map == 3 &&
		in->opcode >= 0x4a && in->opcode <= 0x4c)
		t->hot.p[-1] &= 0x7f;
}

static bool bt_byte_rex(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nopnds; i++)
		if (in->opnd[i].kind == X86_OK_GPR && in->opnd[i].size == 1 &&
			!in->opnd[i].high8 && in->opnd[i].reg >= 4)
			return true;
	return false;
}

/*
 * A machine with one processor has nobody to lock out: interrupts come between
 * blocks.  As barriers towards devices, which other threads are, LOCK stays in
 * the kernel and where it means nothing else: on the stack.
 */
static bool bt_lock(struct bt_tr *t, const struct x86_insn *in)
{
	if (!(in->prefix & X86_PFX_LOCK))
		return false;
	return t->vm->soft.ncpus > 1 ||
	       (t->key & BT_KEY_CPL) != 3u << BT_KEY_CPL_SHIFT ||
	       in->base == X86_RSP;
}

/* Does the prefix mean the size of operands, and is not part of the opcode? */
static bool bt_opsize_free(const struct x86_insn *in)
{
	enum { PP_NONE = 1, PP_66 = 2 };
	unsigned pp = X86_KEY_PP(in->def->key) & (PP_NONE | PP_66);

	return !(in->def->attr & BT_VECTOR) && pp != PP_NONE && pp != PP_66;
}

static void bt_encode_legacy(
	struct bt_tr *t, const struct x86_insn *in, const struct bt_enc *enc)
{
	struct emit *e = &t->hot;
	unsigned rex = in->rex & X86_REX_W;
	bool opsize = in->prefix & X86_PFX_OPSIZE;

	/* of 16-bit code it is the other way round */
	if (t->code_size == 2 && bt_opsize_free(in))
		opsize = in->osize == 2;
	if (bt_lock(t, in))
		em_8(e, 0xf0);
	if (opsize)
		em_8(e, 0x66);
	if (in->prefix & X86_PFX_REP)
		em_8(e, 0xf3);
	if (in->prefix & X86_PFX_REPNE)
		em_8(e, 0xf2);
	if (enc->reg & 8)
		rex |= X86_REX_R;
	if (enc->m)
		rex |= em_rex_mem(enc->m);
	else if (enc->rm & 8)
		rex |= X86_REX_B;
	if (rex || bt_byte_rex(in))
		em_8(e, 0x40 | rex);
	if (in->map)
		em_8(e, 0x0f);
	if (in->map == 2)
		em_8(e, 0x38);
	else if (in->map == 3)
		em_8(e, 0x3a);
	if (in->modrm_off || enc->m)
		em_8(e, enc->opcode);
	else
		em_8(e, (enc->opcode & ~7u) | (enc->rm & 7));
	bt_encode_tail(t, in, enc);
}

static void bt_encode_vex(
	struct bt_tr *t, const struct x86_insn *in, const struct bt_enc *enc)
{
	struct emit *e = &t->hot;
	const uint8_t *op = t->page + t->off[t->i] + in->opcode_off;
	unsigned last = op[-1], map = 1, w = bt_vex_w(t, in) ? 0x80 : 0;
	unsigned x = 0, b = 0;

	if (op[-2] != 0xc5) /* no map of the longer form looks like this */
		map = op[-2] & 0x1f;
	if (enc->m) {
		b = em_rex_mem(enc->m) & 1;
		x = em_rex_mem(enc->m) & 2;
	} else {
		b = enc->rm & 8;
	}
	em_8(e, 0xc4);
	em_8(e, (enc->reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) |
			map);
	em_8(e, w | (~enc->vvvv & 15) << 3 | (last & 7));
	em_8(e, enc->opcode);
	bt_encode_tail(t, in, enc);
}

static void bt_encode_evex(
	struct bt_tr *t, const struct x86_insn *in, const struct bt_enc *enc)
{
	struct emit *e = &t->hot;
	const uint8_t *op = t->page + t->off[t->i] + in->opcode_off;
	unsigned p0 = op[-3], p1 = op[-2];

	p0 = (p0 & ~0x80u) | (enc->reg & 8 ? 0 : 0x80);
	if (enc->m) {
		p0 &= ~0x60u;
		p0 |= (em_rex_mem(enc->m) & 2 ? 0 : 0x40) |
		      (em_rex_mem(enc->m) & 1 ? 0 : 0x20);
	} else {
		p0 = (p0 & ~0x20u) | (enc->rm & 8 ? 0 : 0x20);
	}
	p1 = (p1 & 7) | (~enc->vvvv & 15) << 3 | (bt_vex_w(t, in) ? 0x80 : 0);
	if (!t->code64)
		p0 |= 0x10;
	em_8(e, 0x62);
	em_8(e, p0);
	em_8(e, p1);
	em_8(e, op[-1]);
	em_8(e, enc->opcode);
	bt_encode_tail(t, in, enc);
}

void bt_encode(
	struct bt_tr *t, const struct x86_insn *in, const struct bt_enc *enc)
{
	if (in->enc == X86_ENC_LEGACY)
		bt_encode_legacy(t, in, enc);
	else if (in->enc == X86_ENC_VEX)
		bt_encode_vex(t, in, enc);
	else
		bt_encode_evex(t, in, enc);
}

/* ---- guest registers ---- */

void bt_get(struct bt_tr *t, unsigned size, unsigned d, unsigned g)
{
	if (bt_reg[g] == BT_HOMED)
		em_load(&t->hot, size, d, bt_home(g));
	else
		em_mov_rr(&t->hot, size, d, bt_reg[g]);
}

/* The whole of host register s; a size of 4 means it is zero-extended. */
void bt_put(struct bt_tr *t, unsigned size, unsigned g, unsigned s)
{
	if (bt_reg[g] == BT_HOMED)
		em_store(&t->hot, 8, bt_home(g), s);
	else
		em_mov_rr(&t->hot, size, bt_reg[g], s);
}

/* ---- the same instruction ---- */

static bool bt_home_ok(const struct x86_insn *in, unsigned i)
{
	const struct x86_opnd *o = &in->opnd[i];

	if (bt_place(in, i) != X86_PL_RM)
		return false;
	if (o->access == X86_OA_W)
		return in->op == X86_OP_MOV && o->size != 4;
	if (o->access != X86_OA_R)
		return false;
	switch (in->op) {
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_MOVSXD:
	case X86_OP_ADD:
	case X86_OP_OR:
	case X86_OP_ADC:
	case X86_OP_SBB:
	case X86_OP_AND:
	case X86_OP_SUB:
	case X86_OP_XOR:
	case X86_OP_CMP:
	case X86_OP_TEST:
	case X86_OP_IMUL:
	case X86_OP_CMOVCC: return true;
	default: return false;
	}
}

static int bt_copy_field(const struct x86_insn *in, unsigned i)
{
	switch (bt_place(in, i)) {
	case X86_PL_REG: return BT_F_REG;
	case X86_PL_RM:
	case X86_PL_RMREG:
	case X86_PL_OPC: return BT_F_RM;
	case X86_PL_VVVV: return BT_F_VVVV;
	default: return -1;
	}
}

static void bt_plan_gpr(
	struct bt_plan *p, const struct x86_insn *in, unsigned i)
{
	const struct x86_opnd *o = &in->opnd[i];
	int field = bt_copy_field(in, i);

	if (field < 0)
		return;
	if (o->high8) {
		p->high8 = true;
		p->field[field] = o->reg + 4;
		return;
	}
	if (bt_reg[o->reg] != BT_HOMED) {
		p->field[field] = bt_reg[o->reg];
		p->same &= p->field[field] == o->reg;
		p->extended |= p->field[field] >= 8;
		return;
	}
	p->same = false;
	p->extended = true;
	if (p->home < 0 && p->mem < 0 && bt_home_ok(in, i)) {
		p->home = i;
		return;
	}
	p->temp[p->ntemp].opnd = i;
	p->temp[p->ntemp++].field = field;
}

static bool bt_needs_reencode(struct bt_tr *t, const struct x86_insn *in)
{
	if (in->map || in->enc != X86_ENC_LEGACY)
		return false;
	if (in->op == X86_OP_MOV && (in->opcode & 0xfc) == 0xa0)
		return true;
	return !t->code64 &&
	       ((in->opcode & 0xf0) == 0x40 || in->opcode == 0x82);
}

static void bt_plan_mem(
	struct bt_plan *p, const struct x86_insn *in, unsigned i)
{
	const struct x86_opnd *o = &in->opnd[i];

	p->mem = i;
	p->write = (o->access & X86_OA_W) || in->op == X86_OP_CMPXCHG;
	p->align =
		(in->def->attr & X86_AT_ALIGN) || in->op == X86_OP_CMPXCHG16B;
	p->masked = bt_is_masked(in);
}

void bt_plan(struct bt_tr *t, struct bt_plan *p, const struct x86_insn *in)
{
	memset(p, 0, sizeof(*p));
	p->field[BT_F_REG] =
		(in->modrm >> 3 & 7) | (in->rex & X86_REX_R ? 8 : 0);
	p->field[BT_F_RM] = ((in->modrm_off ? in->modrm : in->opcode) & 7) |
			    (in->rex & X86_REX_B ? 8 : 0);
	p->field[BT_F_VVVV] = in->vvvv;
	p->mem = p->home = -1;
	p->reencode = bt_needs_reencode(t, in);
	p->same = !p->reencode;
	if (t->code_size == 2 || (!t->code64 && in->enc != X86_ENC_LEGACY))
		p->same = false;
	for (unsigned i = 0; i < in->nopnds; i++)
		if (in->opnd[i].kind == X86_OK_MEM)
			bt_plan_mem(p, in, i);
	for (unsigned i = 0; i < in->nopnds; i++)
		if (in->opnd[i].kind == X86_OK_GPR)
			bt_plan_gpr(p, in, i);
}

bool bt_copyable(struct bt_tr *t, const struct x86_insn *in)
{
	struct bt_plan p;

	bt_plan(t, &p, in);
	if (p.high8 && p.extended)
		return false;
	if (p.mem < 0)
		return p.ntemp <= 2;
	return p.ntemp <= 1 && in->opnd[p.mem].size &&
	       in->opnd[p.mem].size <= 64 &&
	       bt_can_address(t, in, in->opnd[p.mem].access & X86_OA_W);
}

/* inc, dec and 82 /n of 32-bit code, moffs: other opcodes in 64-bit mode. */
static struct x86_insn bt_reencode(
	const struct x86_insn *in, struct bt_enc *enc)
{
	struct x86_insn r = *in;

	if (in->opcode == 0x82) {
		enc->opcode = 0x80;
	} else if ((in->opcode & 0xfc) == 0xa0) {
		enc->opcode = (in->opcode & 1) | (in->opcode & 2 ? 0x88 : 0x8a);
		enc->reg = H_RAX;
		r.modrm_off = 1;
		r.imm_size = 0;
	} else {
		enc->opcode = 0xff;
		enc->rm = in->opcode & 7;
		if (enc->rm == X86_RSP)
			enc->rm = BT_GRSP;
		enc->reg = in->opcode >> 3 & 1;
		r.modrm_off = 1;
	}
	return r;
}

/* Registers that live in memory, before and behind the instruction. */
static void bt_copy_temps(struct bt_tr *t, const struct x86_insn *in,
	const unsigned *scratch, bool before)
{
	const struct bt_plan *p = &t->plan[t->i];

	for (unsigned i = 0; i < p->ntemp; i++) {
		const struct x86_opnd *o = &in->opnd[p->temp[i].opnd];
		struct em_mem home = bt_home(o->reg);

		if (!before && (o->access & X86_OA_W))
			em_store(&t->hot, 8, home, scratch[i]);
		if (before && ((o->access & X86_OA_R) || o->size < 4))
			em_load(&t->hot, 8, scratch[i], home);
	}
}

static void bt_copy_encode(struct bt_tr *t, const struct x86_insn *in,
	const unsigned *scratch, struct em_mem *m)
{
	const struct bt_plan *p = &t->plan[t->i];
	bool high8 = p->high8 && p->mem >= 0;
	unsigned field[BT_NFIELDS];
	struct bt_enc enc;
	struct x86_insn r;

	for (unsigned i = 0; i < BT_NFIELDS; i++)
		field[i] = p->field[i];
	for (unsigned i = 0; i < p->ntemp; i++)
		field[p->temp[i].field] = scratch[i];
	if (high8) { /* an address without REX */
		em_store(&t->hot, 8, bt_at_rsp(BT_AREA(save0)), H_RSI);
		em_lea(&t->hot, 8, H_RSI, *m);
		*m = em_at(H_RSI, 0);
	}
	enc = (struct bt_enc){field[BT_F_REG], field[BT_F_RM], field[BT_F_VVVV],
		m, in->opcode};
	if (p->reencode) {
		r = bt_reencode(in, &enc);
		in = &r;
	}
	bt_encode(t, in, &enc);
	if (high8)
		em_load(&t->hot, 8, H_RSI, bt_at_rsp(BT_AREA(save0)));
}

void bt_emit_copy(struct bt_tr *t, const struct x86_insn *in)
{
	const struct bt_plan *p = &t->plan[t->i];
	struct bt_access acc = {0};
	unsigned scratch[2] = {BT_T0, BT_T1};

	if (p->mem >= 0) {
		acc.size = in->opnd[p->mem].size;
		acc.write = p->write;
		acc.align = p->align;
		if (p->masked)
			bt_access_masked(t, in, &acc);
		else
			bt_access(t, in, &acc);
		scratch[0] = acc.free;
	}
	bt_flags_need(t, scratch[0]);
	if (p->mem < 0 && p->same) {
		/* so many bytes may be read and written */
		memcpy(t->hot.p, t->page + t->off[t->i], 16);
		t->hot.p += in->len;
		bt_flags_done(t);
		return;
	}
	if (p->home >= 0)
		acc.m = bt_home(in->opnd[p->home].reg);
	if (p->ntemp > 1)
		t->held = 0;
	if (p->ntemp)
		bt_copy_temps(t, in, scratch, true);
	bt_copy_encode(
		t, in, scratch, p->mem >= 0 || p->home >= 0 ? &acc.m : NULL);
	if (p->ntemp)
		bt_copy_temps(t, in, scratch, false);
	bt_flags_done(t);
}

void bt_emit_nothing(struct bt_tr *t, const struct x86_insn *in)
{
}

void bt_emit_lea(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned g = in->opnd[0].reg, d = bt_reg[g], size = in->opnd[0].size;

	if (size >= 4 && d != BT_HOMED) {
		bt_effective_size(
			t, in, d, size < in->asize ? size : in->asize);
		return;
	}
	bt_effective(t, in, BT_T0);
	if (size == 2) { /* merges */
		if (d == BT_HOMED) {
			em_8(&t->hot, 0x66);
			em_store(&t->hot, 4, bt_home(g), BT_T0);
			return;
		}
		em_8(&t->hot, 0x66);
		em_mov_rr(&t->hot, 4, d, BT_T0);
		return;
	}
	if (size == 4 && d == BT_HOMED)
		em_mov_rr(&t->hot, 4, BT_T0, BT_T0);
	bt_put(t, size, g, BT_T0);
}

/*
 * DIV and IDIV: what would raise #DE is sent to the interpreter by tests that
 * are exact for DIV, and for IDIV accept the dividends that a preceding CDQ or
 * CQO makes.  The flags stay as they were, which is as good as undefined.
 */
static void bt_div_check(struct bt_tr *t, const struct x86_insn *in, unsigned d,
	struct bt_cold *cold)
{
	struct emit *e = &t->hot;
	unsigned size = in->osize;

	if (in->op == X86_OP_DIV) {
		em_op_rr(e, size, 0x3b, H_RDX, d); /* cmp rdx, d; jae */
		cold->patch[cold->npatch++] = em_jcc(e, CC_AE, e->p);
		return;
	}
	/* neither 0 nor -1 */
	em_lea(e, size, BT_T1, em_at(d, 1));
	em_alu_ri(e, size, EM_CMP, BT_T1, 1);
	cold->patch[cold->npatch++] = em_jcc(e, CC_BE, e->p);
	em_mov_rr(e, size, BT_T1, H_RAX);
	em_op_rr(e, size, 0xc1, 7, BT_T1); /* sar */
	em_8(e, size == 8 ? 63 : 31);
	em_op_rr(e, size, 0x3b, BT_T1, H_RDX);
	cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
}

void bt_emit_div(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_access acc = {.size = in->osize};
	struct bt_cold *cold;
	unsigned d = BT_T0, size = in->osize;

	bt_flags_clobber(t);
	if (in->has_mem) {
		bt_access(t, in, &acc);
		em_load(e, size, BT_T0, acc.m);
	} else {
		if (bt_reg[in->opnd[0].reg] == BT_HOMED)
			bt_get(t, size, BT_T0, in->opnd[0].reg);
		else
			d = bt_reg[in->opnd[0].reg];
	}
	cold = bt_cold(t, BT_TH_INTERP, NULL);
	cold->data[0] = bt_info(t);
	bt_div_check(t, in, d, cold);
	em_op_rr(e, size, 0xf7, in->op == X86_OP_DIV ? 6 : 7, d);
}

/* T0 = the divisor of one or two bytes, extended. */
static void bt_div_operand(
	struct bt_tr *t, const struct x86_insn *in, bool sign)
{
	struct emit *e = &t->hot;
	const struct x86_opnd *o = &in->opnd[0];
	struct bt_access acc = {.size = o->size};
	unsigned extend = (o->size == 1 ? 0x0fb6 : 0x0fb7) + (sign ? 8 : 0);

	bt_flags_clobber(t);
	if (in->has_mem) {
		bt_access(t, in, &acc);
		em_op_rm(e, 4, extend, BT_T0, acc.m);
		return;
	}
	bt_get(t, 4, BT_T0, o->reg);
	if (o->high8) {
		em_op_rr(e, 4, 0xc1, 5, BT_T0); /* shr */
		em_8(e, 8);
	}
	em_op_rr(e, 4, extend, BT_T0, BT_T0);
}

/* As above, for DX:AX, and DIV only for AX. */
void bt_emit_div_narrow(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	bool byte = in->opcode == 0xf6, idiv = in->op == X86_OP_IDIV;
	struct bt_cold *cold;

	bt_div_operand(t, in, idiv);
	cold = bt_cold(t, BT_TH_INTERP, NULL);
	cold->data[0] = bt_info(t);
	if (idiv) {
		em_lea(e, 4, BT_T1, em_at(BT_T0, 1));
		em_alu_ri(e, 4, EM_CMP, BT_T1, 1);
		cold->patch[cold->npatch++] = em_jcc(e, CC_BE, e->p);
		em_op_rr(e, 4, 0x0fbf, BT_T1, H_RAX);
		em_op_rr(e, 4, 0xc1, 7, BT_T1); /* sar */
		em_8(e, 31);
		em_8(e, 0x66);
		em_op_rr(e, 4, 0x3b, BT_T1, H_RDX);
		cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
	} else {
		em_op_rr(e, 4, 0x0fb7, BT_T1, byte ? H_RAX : H_RDX);
		if (byte) {
			em_op_rr(e, 4, 0xc1, 5, BT_T1);
			em_8(e, 8);
		}
		em_op_rr(e, 4, 0x3b, BT_T1, BT_T0);
		cold->patch[cold->npatch++] = em_jcc(e, CC_AE, e->p);
	}
	if (!byte)
		em_8(e, 0x66);
	em_op_rr(e, 4, in->opcode, idiv ? 7 : 6, BT_T0);
}

/* Vector and x87 instructions: the guest's registers are the host's once they
 * are loaded. */
void bt_emit_live(struct bt_tr *t, unsigned live, int32_t flag)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold;

	if (t->fpu_checked & live)
		return;
	bt_flags_clobber(t);
	em_op_rm(e, 4, 0x80, 7, bt_at_rsp(flag));
	em_8(e, 0);
	cold = bt_cold(t, BT_TH_FPU, em_jcc(e, CC_E, e->p));
	cold->retry = e->p;
	cold->data[0] = live;
	t->fpu_checked |= live;
}

void bt_emit_live_for(struct bt_tr *t, const struct x86_insn *in)
{
	uint32_t attr = in->def->attr;
	bool x87 = attr & (X86_AT_X87 | X86_AT_MMX);
	bool vec = attr & (X86_AT_SSE | X86_AT_AVX | X86_AT_AVX512);

	for (unsigned i = 0; i < in->nopnds; i++) {
		x87 |= in->opnd[i].kind == X86_OK_MMX;
		vec |= in->opnd[i].kind == X86_OK_VEC;
	}
	if (vec)
		bt_emit_live(t, BT_LIVE_VEC, BT_NEAR(vec_live));
	if (x87)
		bt_emit_live(t, BT_LIVE_X87, BT_NEAR(x87_live));
}

void bt_emit_vec(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_live_for(t, in);
	bt_emit_copy(t, in);
	if (in->def->attr & X86_AT_X87)
		bt_emit_x87_pointers(t, in);
}

/*
 * FLDCW and LDMXCSR: code runs with all exceptions masked, so a value that
 * unmasks one goes to the interpreter, after which the key is another.
 */
void bt_emit_control(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	bool x87 = in->op == X86_OP_FLDCW;
	struct bt_access acc = {.size = x87 ? 2 : 4};
	struct bt_cold *cold;

	if (x87)
		bt_emit_live(t, BT_LIVE_X87, BT_NEAR(x87_live));
	else
		bt_emit_live(t, BT_LIVE_VEC, BT_NEAR(vec_live));
	bt_access(t, in, &acc);
	em_op_rm(e, 4, x87 ? 0x0fb7 : 0x8b, BT_T0, acc.m);
	em_store(e, 4, bt_at_rsp(BT_AREA(tmp2)), BT_T0);
	em_mov_rr(e, 4, BT_T1, BT_T0);
	em_alu_ri(e, 4, EM_AND, BT_T1, x87 ? 0x3f : (int32_t)0xffff1f80);
	em_alu_ri(e, 4, EM_CMP, BT_T1, x87 ? 0x3f : 0x1f80);
	cold = bt_cold(t, BT_TH_INTERP, em_jcc(e, CC_NE, e->p));
	cold->data[0] = bt_info(t);
	if (x87)
		em_op_rm(e, 4, 0xd9, 5, bt_at_rsp(BT_AREA(tmp2)));
	else
		em_op_rm(e, 4, 0x0fae, 2, bt_at_rsp(BT_AREA(tmp2)));
}
