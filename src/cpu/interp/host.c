/*
 * host.c - vector and x87 instructions, carried out by the host processor on
 * the guest's registers (thunk.c), with the checks and the memory access of
 * the guest around it.
 *
 * SDM vol. 3, 2.5 (CR0.EM, MP, TS), 13.1 to 13.4; vol. 2, 2.4 to 2.8
 * (exception classes); vol. 1, 8.5 and 11.5.
 */
#include "cpu/interp/host.h"

#include "cpu/interp/thunk.h"

#define XCR0_AVX    0x06u
#define XCR0_AVX512 0xe6u

/* ---- checks ---- */

static void host_check_simd(struct soft_cpu *c, uint32_t attr)
{
	uint64_t need = attr & X86_AT_AVX512 ? XCR0_AVX512 : XCR0_AVX;

	if (attr & (X86_AT_AVX | X86_AT_AVX512)) {
		if (!(c->st.cr4 & X86_CR4_OSXSAVE) ||
			(c->st.xcr0 & need) != need)
			soft_raise(c, X86_UD);
		return;
	}
	if (c->st.cr0 & X86_CR0_EM)
		soft_raise(c, X86_UD);
	if (attr & X86_AT_SSE && !(c->st.cr4 & X86_CR4_OSFXSR))
		soft_raise(c, X86_UD);
}

void host_check(struct soft_cpu *c, const struct x86_insn *i, bool waiting)
{
	uint32_t attr = i->def->attr;

	if (attr & X86_AT_VECTOR)
		host_check_simd(c, attr);
	else if (c->st.cr0 & X86_CR0_EM)
		soft_raise(c, X86_NM);
	if (c->st.cr0 & X86_CR0_TS)
		soft_raise(c, X86_NM);
	if (waiting && host_uses_x87(i))
		host_wait(c);
}

/* ---- the memory operand ---- */

struct host_mem {
	const struct x86_opnd *o; /* NULL: none */
	gva_t a;
	unsigned size;
	bool masked; /* read or written by elements */
};

static void host_find_mem(const struct x86_insn *i, struct host_mem *m)
{
	m->o = NULL;
	m->masked = false;
	for (unsigned n = 0; n < i->nopnds; n++)
		if (i->opnd[n].kind == X86_OK_MEM)
			m->o = &i->opnd[n];
	if (m->o)
		m->size = m->o->size;
}

static void host_mem_in(struct soft_cpu *c, const struct x86_insn *i,
	struct host_mem *m, uint8_t *buf)
{
	enum soft_access acc = m->o->access & X86_OA_W ? SOFT_WRITE : SOFT_READ;

	if (i->def->attr & X86_AT_ALIGN &&
		(i->enc != X86_ENC_EVEX || !i->aaa || mask_any(c, i)))
		interp_check_align(c, i, m->size);
	m->masked = i->enc == X86_ENC_EVEX && i->aaa;
	/* A store that an exception stops accesses nothing: later. */
	if (acc == SOFT_WRITE)
		return;
	if (m->masked && mask_load(c, i, m->size, buf))
		return;
	m->a = interp_mem(c, i, m->size, acc);
	if (m->size <= 8 && !(m->size & (m->size - 1))) {
		host_put64(
			buf, 0, soft_fast_load(c, m->a, m->size, c->tlb_mode));
	} else {
		soft_load_bytes(c, m->a, buf, m->size, c->tlb_mode);
	}
}

/* ---- running ---- */

/* FOP of our copy of the instruction. */
static uint16_t host_fop(const struct x86_insn *i)
{
	uint8_t modrm = i->has_mem ? (i->modrm & 0x38) | 6 : i->modrm;

	return (i->opcode & 7) << 8 | modrm;
}

static void host_frame_in(struct soft_cpu *c, const struct x86_insn *i,
	const struct x86_opnd *gpr, struct thunk_frame *f)
{
	uint8_t *fx = c->st.fpu.fx;

	f->gpr[0] = gpr ? c->st.gpr[gpr->reg] : c->st.gpr[X86_RAX];
	f->gpr[1] = c->st.gpr[X86_RCX];
	f->gpr[2] = c->st.gpr[X86_RDX];
	f->flags = (c->st.rflags & X86_FL_ARITH) | X86_FL_1;
	memcpy(&f->mxcsr, fx + FX_MXCSR, 4);
	if (!host_uses_x87(i))
		return;
	memcpy(f->fx, fx, FX_X87_END);
	memset(f->fx + FX_X87_END, 0, sizeof(f->fx) - FX_X87_END);
	host_put16(f->fx, FX_FOP, ~host_fop(i) & 0x7ff);
	if (host_get16(fx, FX_FSW) & FSW_ES) {
		/* IGNNE#: it must not raise #MF in us either */
		host_put16(f->fx, FX_FSW,
			host_get16(fx, FX_FSW) & ~(FSW_ES | FSW_BUSY));
		host_put16(f->fx, FX_FCW, host_get16(fx, FX_FCW) | FSW_EXC);
	}
}

/* FIP, FDP and FOP name our copy of the instruction where it set them. */
static void host_x87_pointers(struct soft_cpu *c, const struct x86_insn *i,
	const struct thunk *t, struct thunk_frame *f)
{
	uint64_t mask = c->code64 ? ~0ull : 0xffffffffull;
	uint16_t fop = host_get16(c->st.fpu.fx, FX_FOP);

	if (host_get16(f->fx, FX_FOP) == host_fop(i))
		fop = (i->opcode & 7) << 8 | i->modrm;
	host_put16(f->fx, FX_FOP, fop);
	if (!(i->def->attr & X86_AT_X87))
		return;
	if (host_get64(f->fx, FX_FIP) == (uintptr_t)t->insn)
		host_put64(f->fx, FX_FIP, c->st.rip & mask);
	if (i->has_mem && host_get64(f->fx, FX_FDP) == (uintptr_t)f->mem)
		host_put64(f->fx, FX_FDP, interp_ea(c, i) & mask);
}

static void host_x87_out(struct soft_cpu *c, const struct x86_insn *i,
	const struct thunk *t, struct thunk_frame *f)
{
	uint8_t *fx = c->st.fpu.fx;

	host_x87_pointers(c, i, t, f);
	if (host_get16(fx, FX_FSW) & FSW_ES && i->op != X86_OP_FLDCW) {
		/* back from the IGNNE# disguise */
		host_put16(f->fx, FX_FCW, host_get16(fx, FX_FCW));
		host_put16(f->fx, FX_FSW,
			host_get16(f->fx, FX_FSW) | FSW_ES | FSW_BUSY);
	}
	memcpy(fx, f->fx, FX_MXCSR);
	memcpy(fx + FX_ST0, f->fx + FX_ST0, FX_X87_END - FX_ST0);
}

static void host_frame_out(struct soft_cpu *c, const struct x86_insn *i,
	const struct x86_opnd *gpr, const struct thunk *t,
	struct thunk_frame *f)
{
	const struct x86_opdef *d = i->def;
	uint64_t changed = d->flags_written | d->flags_undef;

	if (gpr && gpr->access & X86_OA_W)
		c->st.gpr[gpr->reg] = f->gpr[0];
	if (d->attr & X86_AT_IMPGPR &&
		(i->op == X86_OP_PCMPESTRI || i->op == X86_OP_PCMPISTRI))
		c->st.gpr[X86_RCX] = f->gpr[1];
	changed &= X86_FL_ARITH;
	c->st.rflags = (c->st.rflags & ~changed) | (f->flags & changed);
	if (host_uses_x87(i))
		host_x87_out(c, i, t, f);
	memcpy(c->st.fpu.fx + FX_MXCSR, &f->mxcsr, 4);
}

static _Noreturn void host_raise_xm(
	struct soft_cpu *c, const struct x86_insn *i, struct thunk_frame *f)
{
	if (host_uses_x87(i))
		host_x87_out(c, i, NULL, f);
	memcpy(c->st.fpu.fx + FX_MXCSR, &f->mxcsr, 4);
	soft_raise(c, c->st.cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

static void host_run(struct soft_cpu *c, const struct x86_insn *i,
	const struct x86_opnd *gpr, const struct thunk *t,
	struct thunk_frame *f)
{
	host_frame_in(c, i, gpr, f);
	if (!thunk_run(t, f, &c->st.fpu))
		host_raise_xm(c, i, f);
}

/*
 * Which bytes of its memory operand does the instruction write?  Those that
 * are the same after it ran on two different fillings.  f->mem was filled with
 * zeros for the first run.
 */
static uint64_t host_written(struct soft_cpu *c, const struct x86_insn *i,
	const struct x86_opnd *gpr, const struct thunk *t,
	struct thunk_frame *f, unsigned size)
{
	uint8_t first[64];
	uint64_t which = 0;

	memcpy(first, f->mem, size);
	memset(f->mem, 0xff, size);
	host_run(c, i, gpr, t, f);
	for (unsigned n = 0; n < size; n++)
		if (f->mem[n] == first[n])
			which |= 1ull << n;
	return which;
}

static void host_mem_out(struct soft_cpu *c, const struct x86_insn *i,
	const struct x86_opnd *gpr, const struct thunk *t,
	struct thunk_frame *f, struct host_mem *m)
{
	bool x87_fault =
		i->def->attr & X86_AT_X87 && host_get16(f->fx, FX_FSW) & FSW_ES;

	bool parts = m->masked || x87_fault;
	uint64_t which = 1;

	if (parts)
		which = host_written(c, i, gpr, t, f, m->size);
	if (m->size == 10 && which) /* stored as eight and two */
		soft_probe_write(
			c, interp_mem(c, i, 8, SOFT_WRITE), 8, c->tlb_mode);
	if (parts) {
		mask_store(c, i, m->size, f->mem, which);
		return;
	}
	m->a = interp_mem(c, i, m->size, SOFT_WRITE);
	if (m->size <= 8 && !(m->size & (m->size - 1)))
		soft_fast_store(
			c, m->a, m->size, host_get64(f->mem, 0), c->tlb_mode);
	else
		soft_store_bytes(c, m->a, f->mem, m->size, c->tlb_mode);
}

INTERP_FN(host)
{
	const struct x86_opnd *gpr = NULL;
	struct thunk_frame f;
	const struct thunk *t;
	struct host_mem m = {NULL, 0, 0, false};

	host_check(c, i, true);
	t = thunk_get(c, i);
	if (!t)
		soft_raise(c, X86_UD);
	for (unsigned n = 0; n < i->nopnds; n++)
		if (i->opnd[n].kind == X86_OK_GPR)
			gpr = &i->opnd[n];
	host_find_mem(i, &m);
	if (m.o) {
		memset(f.mem, 0, 64);
		host_mem_in(c, i, &m, f.mem);
	}
	host_run(c, i, gpr, t, &f);
	if (m.o && m.o->access & X86_OA_W)
		host_mem_out(c, i, gpr, t, &f, &m);
	host_frame_out(c, i, gpr, t, &f);
}

/* ---- a few that need no host ---- */

INTERP_FN(ldmxcsr)
{
	uint32_t v;

	host_check(c, i, false);
	v = interp_load(c, i, 4);
	if (v & ~0xffffu)
		soft_raise_err(c, X86_GP, 0);
	memcpy(c->st.fpu.fx + FX_MXCSR, &v, 4);
}

INTERP_FN(stmxcsr)
{
	uint32_t v;

	host_check(c, i, false);
	memcpy(&v, c->st.fpu.fx + FX_MXCSR, 4);
	interp_store(c, i, 4, v);
}

static void host_zero(
	struct soft_cpu *c, const struct x86_insn *i, unsigned from)
{
	host_check(c, i, false);
	for (unsigned n = 0; n < (i->mode == 8 ? 16u : 8u); n++)
		memset(c->st.fpu.zmm[n] + from, 0, 64 - from);
}

INTERP_FN(vzeroupper)
{
	host_zero(c, i, 16);
}

INTERP_FN(vzeroall)
{
	host_zero(c, i, 0);
}
