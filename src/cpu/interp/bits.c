/*
 * bits.c - bit tests, scans, counts, CRC32.
 */
#include "cpu/interp/ops.h"

/* ---- BT, BTS, BTR, BTC ---- */

enum bits_kind { BITS_BT, BITS_BTS, BITS_BTR, BITS_BTC };

static uint64_t bits_change(uint64_t a, uint64_t bit, enum bits_kind kind)
{
	switch (kind) {
	case BITS_BTS: return a | 1ull << bit;
	case BITS_BTR: return a & ~(1ull << bit);
	case BITS_BTC: return a ^ 1ull << bit;
	default: return a;
	}
}

/* The other flags are left alone by processors (SDM: undefined but ZF). */
static void bits_flag(uint64_t *fl, uint64_t a, uint64_t bit)
{
	*fl = (*fl & ~(uint64_t)X86_FL_CF) | (a >> bit & 1);
}

#define BITS_STEP(name, kind)                                                  \
	static uint64_t name(uint64_t a, uint64_t bit, uint64_t *fl)           \
	{                                                                      \
		bits_flag(fl, a, bit);                                         \
		return bits_change(a, bit, kind);                              \
	}

BITS_STEP(bits_bts, BITS_BTS)
BITS_STEP(bits_btr, BITS_BTR)
BITS_STEP(bits_btc, BITS_BTC)

/* A register bit number reaches beyond the memory operand, both ways. */
static gva_t bits_address(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t bit, enum soft_access acc)
{
	int64_t n = interp_sext(bit, size) >> (3 + interp_size_log2(size));
	uint64_t off;

	if (i->opnd[1].kind != X86_OK_GPR)
		n = 0;
	off = interp_asize_mask(i, interp_ea(c, i) + (uint64_t)n * size);
	return interp_linear(c, i->seg, off, size, acc);
}

static void bits_modify(
	struct soft_cpu *c, const struct x86_insn *i, interp_alu *f)
{
	unsigned size = i->opnd[0].size;
	uint64_t bit = interp_read(c, i, 1, size), fl = c->st.rflags;
	uint64_t in = bit & (size * 8 - 1);
	gva_t a;

	if (i->opnd[0].kind == X86_OK_GPR) {
		interp_modify(c, i, size, f, in);
		return;
	}
	a = bits_address(c, i, size, bit, SOFT_WRITE);
	if (i->prefix & X86_PFX_LOCK)
		interp_rmw_locked(c, a, size, f, in, &fl);
	else
		interp_rmw_slow(c, a, size, f, in, &fl);
	c->st.rflags = fl;
}

INTERP_FN(bt)
{
	unsigned size = i->opnd[0].size;
	uint64_t bit = interp_read(c, i, 1, size), v;

	if (i->opnd[0].kind == X86_OK_GPR) {
		v = interp_gpr(c, &i->opnd[0], size);
	} else {
		gva_t a = bits_address(c, i, size, bit, SOFT_READ);

		v = soft_fast_load(c, a, size, c->tlb_mode);
	}
	bits_flag(&c->st.rflags, v, bit & (size * 8 - 1));
}

INTERP_FN(bts)
{
	bits_modify(c, i, bits_bts);
}

INTERP_FN(btr)
{
	bits_modify(c, i, bits_btr);
}

INTERP_FN(btc)
{
	bits_modify(c, i, bits_btc);
}

/* ---- register = f(source), flags by the host ---- */

/*
 * The destination's old value goes in: BSF and BSR leave it alone when the
 * source is zero.
 */
#define BITS_FN(name, insn, sfx, type)                                         \
	static uint64_t name(uint64_t d, uint64_t s, uint64_t *fl)             \
	{                                                                      \
		uint64_t ax = interp_flags_ax(*fl);                            \
		type src = s;                                                  \
		asm(INTERP_FLAGS_IN insn sfx " %2, %" BITS_REG_##type          \
			"1" INTERP_FLAGS_OUT                                   \
			: "+&a"(ax), "+&r"(d)                                  \
			: "r"(src)                                             \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return d;                                                      \
	}
#define BITS_REG_uint16_t "w"
#define BITS_REG_uint32_t "k"
#define BITS_REG_uint64_t "q"

#define BITS_SCAN(name)                                                        \
	BITS_FN(host_##name##2, #name, "w", uint16_t)                          \
	BITS_FN(host_##name##4, #name, "l", uint32_t)                          \
	BITS_FN(host_##name##8, #name, "q", uint64_t)                          \
	INTERP_FN(name)                                                        \
	{                                                                      \
		unsigned size = i->opnd[0].size;                               \
		uint64_t s = interp_read(c, i, 1, size);                       \
		uint64_t *d = &c->st.gpr[i->opnd[0].reg];                      \
		uint64_t *fl = &c->st.rflags;                                  \
                                                                               \
		switch (size) {                                                \
		case 2: *d = host_##name##2(*d, s, fl); break;                 \
		case 4: *d = host_##name##4(*d, s, fl); break;                 \
		default: *d = host_##name##8(*d, s, fl); break;                \
		}                                                              \
	}

BITS_SCAN(bsf)
BITS_SCAN(bsr)
BITS_SCAN(tzcnt)
BITS_SCAN(lzcnt)
BITS_SCAN(popcnt)

INTERP_FN(crc32)
{
	uint64_t v = (uint32_t)c->st.gpr[i->opnd[0].reg];
	unsigned size = i->opnd[1].size;
	uint64_t s = interp_read(c, i, 1, size);

	for (unsigned n = 0; n < size * 8; n++) {
		uint64_t bit = (v ^ s) & 1;

		v = v >> 1 ^ (bit ? 0x82f63b78 : 0);
		s >>= 1;
	}
	c->st.gpr[i->opnd[0].reg] = v;
}
