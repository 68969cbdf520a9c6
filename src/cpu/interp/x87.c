/*
 * x87.c - control of the x87 unit: what does not wait, and its environment in
 * memory.  SDM vol. 1, 8.1.
 *
 * Everything else of x87 is carried out by the host (host.c).
 */
#include "cpu/interp/host.h"

/* A pending exception is one that is flagged and not masked. */
static uint16_t x87_summary(uint16_t fsw, uint16_t fcw)
{
	fsw &= ~(FSW_ES | FSW_BUSY);
	if (fsw & ~fcw & FSW_EXC)
		fsw |= FSW_ES | FSW_BUSY;
	return fsw;
}

/* A new FSW.  ST(i) is stored relative to TOP, which may change. */
static void x87_set_fsw(struct soft_cpu *c, uint16_t fsw)
{
	uint8_t *fx = c->st.fpu.fx, st[128];
	unsigned turn = ((fsw >> 11) - (host_get16(fx, FX_FSW) >> 11)) & 7;

	memcpy(st, fx + FX_ST0, sizeof(st));
	for (unsigned r = 0; r < 8; r++)
		memcpy(fx + FX_ST0 + r * 16, st + ((r + turn) & 7) * 16, 16);
	host_put16(fx, FX_FSW, fsw);
}

void x87_enter_mmx(struct soft_cpu *c)
{
	x87_set_fsw(c, host_get16(c->st.fpu.fx, FX_FSW) & ~0x3800);
	c->st.fpu.fx[FX_FTW] = 0xff;
}

/* ---- tags ---- */

/* Full tag of physical register r: 0 valid, 1 zero, 2 special, 3 empty. */
static unsigned x87_tag(const uint8_t *fx, unsigned r)
{
	unsigned top = host_get16(fx, FX_FSW) >> 11 & 7;
	const uint8_t *st = fx + FX_ST0 + ((r - top) & 7) * 16;
	uint64_t mant = host_get64(st, 0);
	uint16_t exp = host_get16(st, 8) & 0x7fff;

	if (!(fx[FX_FTW] >> r & 1))
		return 3;
	if (!exp && !mant)
		return 1;
	return !exp || exp == 0x7fff || !(mant >> 63) ? 2 : 0;
}

static uint16_t x87_full_tags(const uint8_t *fx)
{
	uint16_t v = 0;

	for (unsigned r = 0; r < 8; r++)
		v |= x87_tag(fx, r) << (r * 2);
	return v;
}

static uint8_t x87_short_tags(uint16_t full)
{
	uint8_t v = 0;

	for (unsigned r = 0; r < 8; r++)
		if ((full >> (r * 2) & 3) != 3)
			v |= 1 << r;
	return v;
}

/* ---- the environment: 14 or 28 bytes, by operand size and mode ---- */

static bool x87_real_format(const struct soft_cpu *c)
{
	return !c->protected_mode || c->v86;
}

static void x87_put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static uint32_t x87_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static void x87_env_out32(const struct soft_cpu *c, uint8_t *env)
{
	const uint8_t *fx = c->st.fpu.fx;
	uint32_t fip = host_get64(fx, FX_FIP), fdp = host_get64(fx, FX_FDP);
	uint32_t fop = host_get16(fx, FX_FOP) & 0x7ff;

	x87_put32(env, 0xffff0000u | host_get16(fx, FX_FCW));
	x87_put32(env + 4, 0xffff0000u | host_get16(fx, FX_FSW));
	x87_put32(env + 8, 0xffff0000u | x87_full_tags(fx));
	if (x87_real_format(c)) {
		x87_put32(env + 12, 0xffff0000u | (fip & 0xffff));
		x87_put32(env + 16, (fip >> 16) << 12 | fop);
		x87_put32(env + 20, 0xffff0000u | (fdp & 0xffff));
		x87_put32(env + 24, (fdp >> 16) << 12);
	} else {
		x87_put32(env + 12, fip);
		x87_put32(env + 16, fop << 16);
		x87_put32(env + 20, fdp);
		x87_put32(env + 24, 0xffff0000u);
	}
}

static void x87_env_out16(const struct soft_cpu *c, uint8_t *env)
{
	const uint8_t *fx = c->st.fpu.fx;
	uint32_t fip = host_get64(fx, FX_FIP), fdp = host_get64(fx, FX_FDP);
	uint32_t fop = host_get16(fx, FX_FOP) & 0x7ff;

	host_put16(env, 0, host_get16(fx, FX_FCW));
	host_put16(env, 2, host_get16(fx, FX_FSW));
	host_put16(env, 4, x87_full_tags(fx));
	host_put16(env, 6, fip);
	host_put16(env, 10, fdp);
	if (x87_real_format(c)) {
		host_put16(env, 8, (fip >> 4 & 0xf000) | fop);
		host_put16(env, 12, fdp >> 4 & 0xf000);
	} else {
		host_put16(env, 8, 0);
		host_put16(env, 12, 0);
	}
}

struct x87_env {
	uint16_t fcw, fsw, tags, fop;
	uint32_t fip, fdp;
};

static void x87_env_in32(
	const struct soft_cpu *c, const uint8_t *env, struct x87_env *e)
{
	e->fcw = host_get16(env, 0);
	e->fsw = host_get16(env, 4);
	e->tags = host_get16(env, 8);
	e->fip = x87_get32(env + 12);
	e->fdp = x87_get32(env + 20);
	if (x87_real_format(c)) {
		uint32_t v = x87_get32(env + 16);

		e->fop = v & 0x7ff;
		e->fip = (e->fip & 0xffff) | (v >> 12) << 16;
		e->fdp = (e->fdp & 0xffff) | (x87_get32(env + 24) >> 12) << 16;
	} else {
		e->fop = x87_get32(env + 16) >> 16 & 0x7ff;
	}
}

static void x87_env_in16(
	const struct soft_cpu *c, const uint8_t *env, struct x87_env *e)
{
	e->fcw = host_get16(env, 0);
	e->fsw = host_get16(env, 2);
	e->tags = host_get16(env, 4);
	e->fip = host_get16(env, 6);
	e->fdp = host_get16(env, 10);
	e->fop = 0;
	if (x87_real_format(c)) {
		uint16_t v = host_get16(env, 8);

		e->fop = v & 0x7ff;
		e->fip |= (v & 0xf000u) << 4;
		e->fdp |= (host_get16(env, 12) & 0xf000u) << 4;
	}
}

static unsigned x87_env_bytes(const struct x86_insn *i)
{
	return i->osize == 2 ? 14 : 28;
}

static void x87_env_out(
	const struct soft_cpu *c, const struct x86_insn *i, uint8_t *env)
{
	if (i->osize == 2)
		x87_env_out16(c, env);
	else
		x87_env_out32(c, env);
}

static void x87_env_in(
	struct soft_cpu *c, const struct x86_insn *i, const uint8_t *env)
{
	uint8_t *fx = c->st.fpu.fx;
	struct x87_env e;

	if (i->osize == 2)
		x87_env_in16(c, env, &e);
	else
		x87_env_in32(c, env, &e);
	e.fcw = (e.fcw & 0x1f3f) | 0x40;
	host_put16(fx, FX_FCW, e.fcw);
	x87_set_fsw(c, x87_summary(e.fsw, e.fcw));
	fx[FX_FTW] = x87_short_tags(e.tags);
	host_put16(fx, FX_FOP, e.fop);
	host_put64(fx, FX_FIP, e.fip);
	host_put64(fx, FX_FDP, e.fdp);
}

static void x87_init(struct soft_cpu *c)
{
	uint8_t *fx = c->st.fpu.fx;

	host_put16(fx, FX_FCW, 0x37f);
	x87_set_fsw(c, 0);
	fx[FX_FTW] = 0;
	host_put16(fx, FX_FOP, 0);
	host_put64(fx, FX_FIP, 0);
	host_put64(fx, FX_FDP, 0);
}

/* ---- operations ---- */

/* The first word is tried first, then the last byte. */
static gva_t x87_address(struct soft_cpu *c, const struct x86_insn *i,
	unsigned n, enum soft_access acc)
{
	return interp_try_ends(c, i, i->osize == 2 ? 2 : 4, n, acc);
}

INTERP_FN(wait)
{
	uint64_t both = X86_CR0_MP | X86_CR0_TS;

	if ((c->st.cr0 & both) == both)
		soft_raise(c, X86_NM);
	host_wait(c);
}

INTERP_FN(fnclex)
{
	uint8_t *fx = c->st.fpu.fx;

	host_check(c, i, false);
	host_put16(fx, FX_FSW, host_get16(fx, FX_FSW) & 0x7f00);
}

INTERP_FN(fninit)
{
	host_check(c, i, false);
	x87_init(c);
}

INTERP_FN(fnstsw)
{
	host_check(c, i, false);
	interp_write(c, i, 0, 2, host_get16(c->st.fpu.fx, FX_FSW));
}

INTERP_FN(fnstcw)
{
	host_check(c, i, false);
	interp_write(c, i, 0, 2, host_get16(c->st.fpu.fx, FX_FCW));
}

INTERP_FN(fnstenv)
{
	unsigned n = x87_env_bytes(i);
	uint8_t env[28], *fx = c->st.fpu.fx;
	gva_t a;

	host_check(c, i, false);
	a = x87_address(c, i, n, SOFT_WRITE);
	x87_env_out(c, i, env);
	soft_store_bytes(c, a, env, n, c->tlb_mode);
	/* All exceptions are masked afterwards. */
	host_put16(fx, FX_FCW, host_get16(fx, FX_FCW) | FSW_EXC);
	host_put16(fx, FX_FSW,
		x87_summary(host_get16(fx, FX_FSW), host_get16(fx, FX_FCW)));
}

INTERP_FN(fldenv)
{
	unsigned n = x87_env_bytes(i);
	uint8_t env[28];

	host_check(c, i, true);
	soft_load_bytes(
		c, x87_address(c, i, n, SOFT_READ), env, n, c->tlb_mode);
	x87_env_in(c, i, env);
}

INTERP_FN(fnsave)
{
	unsigned n = x87_env_bytes(i);
	uint8_t buf[108];
	gva_t a;

	host_check(c, i, false);
	a = x87_address(c, i, n + 80, SOFT_WRITE);
	x87_env_out(c, i, buf);
	for (unsigned r = 0; r < 8; r++)
		memcpy(buf + n + r * 10, c->st.fpu.fx + FX_ST0 + r * 16, 10);
	soft_store_bytes(c, a, buf, n + 80, c->tlb_mode);
	x87_init(c);
}

INTERP_FN(frstor)
{
	unsigned n = x87_env_bytes(i);
	uint8_t buf[108];

	host_check(c, i, true);
	soft_load_bytes(c, x87_address(c, i, n + 80, SOFT_READ), buf, n + 80,
		c->tlb_mode);
	x87_env_in(c, i, buf);
	for (unsigned r = 0; r < 8; r++) {
		memcpy(c->st.fpu.fx + FX_ST0 + r * 16, buf + n + r * 10, 10);
		memset(c->st.fpu.fx + FX_ST0 + r * 16 + 10, 0, 6);
	}
}

INTERP_FN(x87_nop)
{
	host_check(c, i, false);
}
