/*
 * move.c - data movement between registers and memory.
 */
#include "cpu/interp/ops.h"

interp_inline void move_mov(
	struct soft_cpu *c, const struct x86_insn *i, unsigned size)
{
	interp_write(c, i, 0, size, interp_read(c, i, 1, size));
}

INTERP_FN(mov1)
{
	move_mov(c, i, 1);
}

INTERP_FN(mov2)
{
	move_mov(c, i, 2);
}

INTERP_FN(mov4)
{
	move_mov(c, i, 4);
}

INTERP_FN(mov8)
{
	move_mov(c, i, 8);
}

INTERP_FN(movzx)
{
	uint64_t v = interp_read(c, i, 1, i->opnd[1].size);

	interp_set_gpr(c, &i->opnd[0], i->opnd[0].size, v);
}

INTERP_FN(movsx)
{
	unsigned size = i->opnd[1].size;
	uint64_t v = interp_read(c, i, 1, size);

	interp_set_gpr(c, &i->opnd[0], i->opnd[0].size,
		(uint64_t)interp_sext(v, size));
}

static uint64_t move_swap(uint64_t v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - size * 8);
}

INTERP_FN(movbe)
{
	unsigned size = i->opnd[0].size;

	interp_write(
		c, i, 0, size, move_swap(interp_read(c, i, 1, size), size));
}

INTERP_FN(bswap)
{
	unsigned size = i->opnd[0].size;
	uint64_t v = interp_gpr(c, &i->opnd[0], size);

	/* SDM: undefined for 16 bits; processors give zero. */
	interp_set_gpr(
		c, &i->opnd[0], size, size == 2 ? 0 : move_swap(v, size));
}

static uint64_t move_exchange(uint64_t a, uint64_t b, uint64_t *fl)
{
	return b;
}

INTERP_FN(xchg)
{
	unsigned size = i->opnd[0].size;
	unsigned m = i->opnd[1].kind == X86_OK_MEM;
	const struct x86_opnd *d = &i->opnd[m], *s = &i->opnd[!m];
	uint64_t b = interp_gpr(c, s, size), old, fl = 0;

	if (d->kind == X86_OK_GPR) {
		old = interp_gpr(c, d, size);
		interp_set_gpr(c, d, size, b);
	} else {
		gva_t a = interp_mem(c, i, size, SOFT_WRITE);

		old = interp_rmw_locked(c, a, size, move_exchange, b, &fl);
	}
	interp_set_gpr(c, s, size, old);
}

INTERP_FN(lea)
{
	interp_set_gpr(c, &i->opnd[0], i->opnd[0].size, interp_ea(c, i));
}

INTERP_FN(cmovcc)
{
	unsigned size = i->opnd[0].size;
	uint64_t v = interp_read(c, i, 1, size);

	if (!interp_cond(c->st.rflags, i->opcode))
		v = interp_gpr(c, &i->opnd[0], size);
	interp_set_gpr(c, &i->opnd[0], size, v);
}

INTERP_FN(setcc)
{
	interp_write(c, i, 0, 1, interp_cond(c->st.rflags, i->opcode));
}

/* ---- accumulator ---- */

INTERP_FN(cbw)
{
	unsigned size = i->osize;

	interp_set_reg(c, X86_RAX, size,
		(uint64_t)interp_sext(c->st.gpr[X86_RAX], size / 2));
}

INTERP_FN(cwd)
{
	unsigned size = i->osize;
	int64_t v = interp_sext(c->st.gpr[X86_RAX], size);

	interp_set_reg(c, X86_RDX, size, v < 0 ? ~0ull : 0);
}

INTERP_FN(xlat)
{
	uint64_t off = interp_asize_mask(
		i, c->st.gpr[X86_RBX] + (uint8_t)c->st.gpr[X86_RAX]);
	gva_t a = interp_linear(c, interp_data_seg(i), off, 1, SOFT_READ);

	interp_set_reg(c, X86_RAX, 1, soft_fast_load(c, a, 1, c->tlb_mode));
}

/* ---- flags ---- */

INTERP_FN(lahf)
{
	((uint8_t *)&c->st.gpr[X86_RAX])[1] = c->st.rflags & 0xff;
}

INTERP_FN(sahf)
{
	uint8_t ah = c->st.gpr[X86_RAX] >> 8;

	c->st.rflags = (c->st.rflags & ~0xd5ull) | (ah & 0xd5);
}

INTERP_FN(salc)
{
	interp_set_reg(c, X86_RAX, 1, c->st.rflags & X86_FL_CF ? 0xff : 0);
}

INTERP_FN(clc)
{
	c->st.rflags &= ~(uint64_t)X86_FL_CF;
}

INTERP_FN(stc)
{
	c->st.rflags |= X86_FL_CF;
}

INTERP_FN(cmc)
{
	c->st.rflags ^= X86_FL_CF;
}

INTERP_FN(cld)
{
	c->st.rflags &= ~(uint64_t)X86_FL_DF;
}

INTERP_FN(std)
{
	c->st.rflags |= X86_FL_DF;
}

/* ---- segment registers ---- */

INTERP_FN(mov_sreg)
{
	const struct x86_opnd *d = &i->opnd[0], *s = &i->opnd[1];

	if (d->kind == X86_OK_SREG)
		soft_load_seg(c, d->reg, interp_read(c, i, 1, 2));
	else if (d->kind == X86_OK_MEM)
		interp_store(c, i, 2, c->st.seg[s->reg].sel);
	else
		interp_set_gpr(c, d, d->size, c->st.seg[s->reg].sel);
}

static void move_far_pointer(
	struct soft_cpu *c, const struct x86_insn *i, unsigned seg)
{
	unsigned size = i->opnd[0].size;
	uint64_t off = interp_ea(c, i), v;
	uint16_t sel;
	gva_t a;

	/* One operand for the limit check; selector after the offset. */
	a = interp_linear(c, i->seg, off, size + 2, SOFT_READ);
	v = soft_load(c, a, size, c->tlb_mode);
	a = soft_fast_linear(
		c, i->seg, interp_asize_mask(i, off + size), 2, SOFT_READ);
	sel = soft_load(c, a, 2, c->tlb_mode);
	soft_load_seg(c, seg, sel);
	interp_set_gpr(c, &i->opnd[0], size, v);
}

INTERP_FN(les)
{
	move_far_pointer(c, i, X86_ES);
}

INTERP_FN(lds)
{
	move_far_pointer(c, i, X86_DS);
}

INTERP_FN(lss)
{
	move_far_pointer(c, i, X86_SS);
}

INTERP_FN(lfs)
{
	move_far_pointer(c, i, X86_FS);
}

INTERP_FN(lgs)
{
	move_far_pointer(c, i, X86_GS);
}

/* ---- stores of other shapes ---- */

INTERP_FN(movdir64b)
{
	const struct x86_opnd *d = &i->opnd[0];
	uint64_t off = interp_asize_mask(i, c->st.gpr[d->reg]);
	gva_t to, from = interp_mem(c, i, 64, SOFT_READ);
	uint8_t buf[64];

	soft_load_bytes(c, from, buf, 64, c->tlb_mode);
	to = interp_linear(c, X86_ES, off, 64, SOFT_WRITE);
	if (to & 63)
		soft_raise_err(c, X86_GP, 0);
	soft_store_bytes(c, to, buf, 64, c->tlb_mode);
}

INTERP_FN(clzero)
{
	static const uint8_t zero[64];
	uint64_t off = interp_asize_mask(i, c->st.gpr[X86_RAX]) & ~63ull;
	gva_t a = interp_linear(c, interp_data_seg(i), off, 64, SOFT_WRITE);

	soft_store_bytes(c, a, zero, 64, c->tlb_mode);
}
