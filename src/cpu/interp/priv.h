/*
 * priv.h - what the files of interp/ share: operands, memory, flags.
 *
 * Every operation is a function of the processor and the decoded instruction.
 * It may raise at any time before it changes anything; RIP is advanced by the
 * caller unless the operation is marked as doing that itself.
 */
#ifndef CPU_INTERP_PRIV_H
#define CPU_INTERP_PRIV_H

#include "cpu/interp/interp.h"
#include "cpu/soft/fast.h"

#define interp_likely(x)   __builtin_expect(!!(x), 1)
#define interp_unlikely(x) __builtin_expect(!!(x), 0)
#define interp_inline	   static inline __attribute__((always_inline))

typedef void interp_fn(struct soft_cpu *c, const struct x86_insn *i);

struct interp_op {
	/* By log2 of the first operand's size; only fn[0] if it is the same
	 * for all. */
	interp_fn *fn[4];
	bool own_rip; /* sets RIP itself */
};

extern const struct interp_op interp_ops[X86_NOPS];

/* The function that carries out the instruction on this machine: that of its
 * operation, or #UD if the machine's CPU model lacks it. */
interp_fn *interp_select(struct soft_cpu *c, struct x86_insn *i, bool *own_rip);

/* ---- general registers ---- */

interp_inline uint64_t interp_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

interp_inline unsigned interp_size_log2(unsigned size)
{
	return __builtin_ctz(size | 8);
}

interp_inline int64_t interp_sext(uint64_t v, unsigned size)
{
	unsigned n = 64 - size * 8;

	return (int64_t)(v << n) >> n;
}

interp_inline uint64_t interp_reg(
	const struct soft_cpu *c, unsigned reg, unsigned size)
{
	return c->st.gpr[reg] & interp_mask(size);
}

interp_inline void interp_set_reg(
	struct soft_cpu *c, unsigned reg, unsigned size, uint64_t v)
{
	uint64_t *p = &c->st.gpr[reg];

	switch (size) {
	case 1: *(uint8_t *)p = v; break;
	case 2: *(uint16_t *)p = v; break;
	case 4: *p = (uint32_t)v; break;
	default: *p = v; break;
	}
}

interp_inline uint64_t interp_gpr(
	const struct soft_cpu *c, const struct x86_opnd *o, unsigned size)
{
	if (size == 1)
		return ((const uint8_t *)&c->st.gpr[o->reg])[o->high8];
	return interp_reg(c, o->reg, size);
}

interp_inline void interp_set_gpr(
	struct soft_cpu *c, const struct x86_opnd *o, unsigned size, uint64_t v)
{
	if (size == 1)
		((uint8_t *)&c->st.gpr[o->reg])[o->high8] = v;
	else
		interp_set_reg(c, o->reg, size, v);
}

/* ---- memory ---- */

/* Segment of an operand that is addressed by implied registers. */
interp_inline unsigned interp_data_seg(const struct x86_insn *i)
{
	return i->seg_override == X86_NOREG ? X86_DS : i->seg_override;
}

interp_inline uint64_t interp_asize_mask(const struct x86_insn *i, uint64_t a)
{
	if (interp_likely(i->asize == 8))
		return a;
	return i->asize == 4 ? (uint32_t)a : (uint16_t)a;
}

/* Offset of the memory operand in its segment. */
interp_inline uint64_t interp_ea(
	const struct soft_cpu *c, const struct x86_insn *i)
{
	uint64_t a = (int64_t)i->disp;

	if (interp_likely(i->base < X86_NGPR))
		a += c->st.gpr[i->base];
	else if (i->base == X86_RIP)
		a += c->st.rip + i->len;
	else if (i->disp_size == 8)
		a = i->imm;
	if (i->index != X86_NOREG)
		a += c->st.gpr[i->index] * i->scale;
	return interp_asize_mask(i, a);
}

/* Linear address of size bytes at off in seg, watched by data breakpoints. */
interp_inline gva_t interp_linear(struct soft_cpu *c, unsigned seg,
	uint64_t off, unsigned size, enum soft_access acc)
{
	gva_t a = soft_fast_linear(c, seg, off, size, acc);

	if (interp_unlikely(c->data_bp))
		soft_check_data_bp(c, a, size, acc);
	return a;
}

interp_inline gva_t interp_mem(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, enum soft_access acc)
{
	return interp_linear(c, i->seg, interp_ea(c, i), size, acc);
}

interp_inline uint64_t interp_load(
	struct soft_cpu *c, const struct x86_insn *i, unsigned size)
{
	gva_t a = interp_mem(c, i, size, SOFT_READ);

	return soft_fast_load(c, a, size, c->tlb_mode);
}

interp_inline void interp_store(
	struct soft_cpu *c, const struct x86_insn *i, unsigned size, uint64_t v)
{
	gva_t a = interp_mem(c, i, size, SOFT_WRITE);

	soft_fast_store(c, a, size, v, c->tlb_mode);
}

/* Address of a long memory operand of n bytes, after raising what an access to
 * it raises: processors try the first so many bytes, then the last byte. */
gva_t interp_try_ends(struct soft_cpu *c, const struct x86_insn *i,
	unsigned first, unsigned n, enum soft_access acc);

/* Raise #GP unless the memory operand is aligned; that comes before anything
 * about its address. */
interp_inline void interp_check_align(
	struct soft_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t base =
		c->code64 && i->seg < X86_FS ? 0 : c->st.seg[i->seg].base;

	if ((interp_ea(c, i) + base) & (size - 1))
		soft_raise_err(c, X86_GP, 0);
}

/* ---- operands of 1, 2, 4, 8 bytes ---- */

/* Operand n if it is neither a register nor imm.  rmw.c */
uint64_t interp_read_other(struct soft_cpu *c, const struct x86_insn *i,
	unsigned n, unsigned size);

interp_inline uint64_t interp_read(
	struct soft_cpu *c, const struct x86_insn *i, unsigned n, unsigned size)
{
	const struct x86_opnd *o = &i->opnd[n];

	switch (o->kind) {
	case X86_OK_GPR: return interp_gpr(c, o, size);
	case X86_OK_IMM: return i->imm & interp_mask(size);
	default: return interp_read_other(c, i, n, size);
	}
}

interp_inline void interp_write(struct soft_cpu *c, const struct x86_insn *i,
	unsigned n, unsigned size, uint64_t v)
{
	if (i->opnd[n].kind == X86_OK_GPR)
		interp_set_gpr(c, &i->opnd[n], size, v);
	else
		interp_store(c, i, size, v);
}

/* ---- flags ---- */

/*
 * The host's own instructions compute results and flags, undefined ones
 * included.  Flags travel as LAHF and SETO leave them in AX.  SHORT sets them
 * where the instruction overwrites all; FULL first loads the guest's.
 */
#define INTERP_FLAGS_OUT "\n\tlahf\n\tseto %%al"
#define INTERP_FLAGS_IN	 "addb $127, %%al\n\tsahf\n\t"

interp_inline uint16_t interp_flags_ax(uint64_t fl)
{
	return (fl & 0xd5) << 8 | (fl >> 11 & 1);
}

interp_inline uint64_t interp_flags_merge(uint64_t fl, uint16_t ax)
{
	return (fl & ~(uint64_t)X86_FL_ARITH) |
	       ((ax >> 8 | (ax & 1) << 11) & X86_FL_ARITH);
}

/* Condition code cc (0..15) under the flags. */
interp_inline bool interp_cond(uint64_t fl, unsigned cc)
{
	bool r;

	switch (cc >> 1 & 7) {
	case 0: r = fl & X86_FL_OF; break;
	case 1: r = fl & X86_FL_CF; break;
	case 2: r = fl & X86_FL_ZF; break;
	case 3: r = fl & (X86_FL_CF | X86_FL_ZF); break;
	case 4: r = fl & X86_FL_SF; break;
	case 5: r = fl & X86_FL_PF; break;
	case 6: r = (fl >> 7 ^ fl >> 11) & 1; break;
	default: r = ((fl >> 7 ^ fl >> 11) & 1) || (fl & X86_FL_ZF); break;
	}
	return r ^ (cc & 1);
}

/* An interp_alu of the host's instruction text on a, which is %1, under the
 * guest's flags; the last argument is what else it reads, made of b. */
#define INTERP_HOST_FN(name, text, type, ...)                                  \
	interp_inline uint64_t name(uint64_t a, uint64_t b, uint64_t *fl)      \
	{                                                                      \
		type x = a;                                                    \
		uint16_t ax = interp_flags_ax(*fl);                            \
		asm(INTERP_FLAGS_IN text INTERP_FLAGS_OUT                      \
			: "+&a"(ax), "+&r"(x)                                  \
			: __VA_ARGS__                                          \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return x;                                                      \
	}

/* ---- read-modify-write ---- */

/* New value from the old one and an operand; *fl: RFLAGS in and out. */
typedef uint64_t interp_alu(uint64_t a, uint64_t b, uint64_t *fl);

/* The memory operand of a read-modify-write: LOCKed or not, size 1..8.  Gives
 * the old value.  rmw.c */
uint64_t interp_rmw_locked(struct soft_cpu *c, gva_t a, unsigned size,
	interp_alu *f, uint64_t b, uint64_t *fl);
uint64_t interp_rmw_slow(struct soft_cpu *c, gva_t a, unsigned size,
	interp_alu *f, uint64_t b, uint64_t *fl);

/* Apply f to the memory operand.  Not inline: each operation at each width
 * would hold a copy. */
void interp_rmw(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	interp_alu *f, uint64_t b);

/* Apply f to operand 0, register or memory. */
interp_inline void interp_modify(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, interp_alu *f, uint64_t b)
{
	const struct x86_opnd *d = &i->opnd[0];
	uint64_t fl = c->st.rflags;

	if (d->kind != X86_OK_GPR) {
		interp_rmw(c, i, size, f, b);
		return;
	}
	interp_set_gpr(c, d, size, f(interp_gpr(c, d, size), b, &fl));
	c->st.rflags = fl;
}

/* 16 bytes, for CMPXCHG16B: compare with old, write new if equal, else the
 * value read.  old gets what was there.  True if equal. */
bool interp_cmpxchg16(
	struct soft_cpu *c, gva_t a, uint64_t old[2], const uint64_t new[2]);

/* ---- the stack ---- */

interp_inline uint64_t interp_sp_mask(const struct soft_cpu *c, uint64_t sp)
{
	if (interp_likely(c->stack_size == 8))
		return sp;
	return c->stack_size == 4 ? (uint32_t)sp : (uint16_t)sp;
}

interp_inline uint64_t interp_sp(const struct soft_cpu *c)
{
	return interp_sp_mask(c, c->st.gpr[X86_RSP]);
}

interp_inline void interp_set_sp(struct soft_cpu *c, uint64_t sp)
{
	interp_set_reg(c, X86_RSP, c->stack_size, sp);
}

/* Store below *sp, load at *sp; *sp is moved, the register is not. */
interp_inline void interp_push_at(
	struct soft_cpu *c, uint64_t *sp, unsigned size, uint64_t v)
{
	uint64_t n = interp_sp_mask(c, *sp - size);
	gva_t a = interp_linear(c, X86_SS, n, size, SOFT_WRITE);

	soft_fast_store(c, a, size, v, c->tlb_mode);
	*sp = n;
}

interp_inline uint64_t interp_pop_at(
	struct soft_cpu *c, uint64_t *sp, unsigned size)
{
	gva_t a = interp_linear(c, X86_SS, *sp, size, SOFT_READ);
	uint64_t v = soft_fast_load(c, a, size, c->tlb_mode);

	*sp = interp_sp_mask(c, *sp + size);
	return v;
}

interp_inline void interp_push(struct soft_cpu *c, unsigned size, uint64_t v)
{
	uint64_t sp = interp_sp(c);

	interp_push_at(c, &sp, size, v);
	interp_set_sp(c, sp);
}

/* ---- control ---- */

interp_inline bool interp_canonical(const struct soft_cpu *c, uint64_t a)
{
	unsigned n = c->st.cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(a << n) >> n) == a;
}

/* Where a near transfer goes: truncated to the operand size and checked. */
interp_inline uint64_t interp_target(
	struct soft_cpu *c, uint64_t t, unsigned osize)
{
	if (osize == 2)
		t = (uint16_t)t;
	if (interp_likely(c->code64)) {
		if (interp_unlikely(!interp_canonical(c, t)))
			soft_raise_err(c, X86_GP, 0);
		return t;
	}
	t = (uint32_t)t;
	if (interp_unlikely(t > c->st.seg[X86_CS].limit))
		soft_raise_err(c, X86_GP, 0);
	return t;
}

/* RIP of the next instruction. */
interp_inline uint64_t interp_next(
	const struct soft_cpu *c, const struct x86_insn *i)
{
	uint64_t n = c->st.rip + i->len;

	return interp_likely(c->code_size == 8) ? n : (uint32_t)n;
}

/* Raise #GP(0) unless CPL is 0. */
interp_inline void interp_need_cpl0(struct soft_cpu *c)
{
	if (c->cpl)
		soft_raise_err(c, X86_GP, 0);
}

interp_inline bool interp_has(const struct soft_cpu *c, enum x86_feature f)
{
	return c->vm->model->feature[f];
}

/* Where the processor's thunks are kept (thunk.c). */
struct thunk_cache **interp_thunks(struct soft_cpu *c);

/* Declares the functions of one file. */
#define INTERP_FN(name)                                                        \
	void interp_op_##name(struct soft_cpu *c, const struct x86_insn *i)

#endif
