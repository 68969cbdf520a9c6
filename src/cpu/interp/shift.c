/*
 * shift.c - shifts and rotates, by the host's own instructions.
 *
 * The guest's flags are loaded first: a masked count of zero leaves them, and
 * rotates keep most of them.
 */
#include "cpu/interp/ops.h"

#define SHIFT_FN(name, insn, sfx, type)                                        \
	INTERP_HOST_FN(name, insn sfx " %%cl, %1", type, "c"((uint8_t)b))

#define SHIFT_OP(name, n, sfx, type)                                           \
	SHIFT_FN(name##n, #name, sfx, type)                                    \
	INTERP_FN(name##n)                                                     \
	{                                                                      \
		interp_modify(c, i, n, name##n, interp_read(c, i, 1, 1));      \
	}

#define SHIFT(name)                                                            \
	SHIFT_OP(name, 1, "b", uint8_t)                                        \
	SHIFT_OP(name, 2, "w", uint16_t)                                       \
	SHIFT_OP(name, 4, "l", uint32_t)                                       \
	SHIFT_OP(name, 8, "q", uint64_t)

/*
 * Rotates of a register by an immediate other than one leave OF, which is
 * undefined, in another way than rotates by CL on some processors: ask ours.
 */
static bool shift_keeps_of(void)
{
	static int known; /* 1 no, 2 yes; threads find the same */
	uint16_t ax = 1;
	uint8_t x = 0xff;

	if (!known) {
		asm(INTERP_FLAGS_IN "rolb $2, %1" INTERP_FLAGS_OUT
			: "+&a"(ax), "+&r"(x)
			:
			: "cc");
		known = 1 + (ax & 1);
	}
	return known == 2;
}

interp_inline void shift_rotate(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, interp_alu *f)
{
	uint64_t count = interp_read(c, i, 1, 1), of;

	of = c->st.rflags & X86_FL_OF;
	interp_modify(c, i, size, f, count);
	if (i->opnd[1].kind != X86_OK_IMM || i->has_mem || !shift_keeps_of())
		return;
	if ((count & (size == 8 ? 63 : 31)) != 1)
		c->st.rflags = (c->st.rflags & ~(uint64_t)X86_FL_OF) | of;
}

#define SHIFT_ROTATE1(name, n, sfx, type)                                      \
	SHIFT_FN(name##n, #name, sfx, type)                                    \
	INTERP_FN(name##n)                                                     \
	{                                                                      \
		shift_rotate(c, i, n, name##n);                                \
	}

#define SHIFT_ROTATE(name)                                                     \
	SHIFT_ROTATE1(name, 1, "b", uint8_t)                                   \
	SHIFT_ROTATE1(name, 2, "w", uint16_t)                                  \
	SHIFT_ROTATE1(name, 4, "l", uint32_t)                                  \
	SHIFT_ROTATE1(name, 8, "q", uint64_t)

SHIFT_ROTATE(rol)
SHIFT_ROTATE(ror)
SHIFT(rcl)
SHIFT(rcr)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)

/* ---- double shifts ---- */

struct shift_double {
	uint64_t src;
	uint8_t count, size;
	bool right;
};

#define SHIFT_DOUBLE(name, insn, sfx, type)                                    \
	static uint64_t name(                                                  \
		uint64_t a, const struct shift_double *d, uint64_t *fl)        \
	{                                                                      \
		type x = a;                                                    \
		uint16_t ax = interp_flags_ax(*fl);                            \
		asm(INTERP_FLAGS_IN insn sfx " %%cl, %2, %1" INTERP_FLAGS_OUT  \
			: "+&a"(ax), "+&r"(x)                                  \
			: "r"((type)d->src), "c"(d->count)                     \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return x;                                                      \
	}

SHIFT_DOUBLE(shld2, "shld", "w", uint16_t)
SHIFT_DOUBLE(shld4, "shld", "l", uint32_t)
SHIFT_DOUBLE(shld8, "shld", "q", uint64_t)
SHIFT_DOUBLE(shrd2, "shrd", "w", uint16_t)
SHIFT_DOUBLE(shrd4, "shrd", "l", uint32_t)
SHIFT_DOUBLE(shrd8, "shrd", "q", uint64_t)

static uint64_t shift_double_step(uint64_t a, uint64_t closure, uint64_t *fl)
{
	const struct shift_double *d = (const struct shift_double *)closure;

	switch (d->size) {
	case 2: return d->right ? shrd2(a, d, fl) : shld2(a, d, fl);
	case 4: return d->right ? shrd4(a, d, fl) : shld4(a, d, fl);
	default: return d->right ? shrd8(a, d, fl) : shld8(a, d, fl);
	}
}

static void shift_double(
	struct soft_cpu *c, const struct x86_insn *i, bool right)
{
	unsigned size = i->opnd[0].size;
	struct shift_double d = {
		.src = interp_read(c, i, 1, size),
		.count = interp_read(c, i, 2, 1),
		.size = size,
		.right = right,
	};

	interp_modify(c, i, size, shift_double_step, (uintptr_t)&d);
}

INTERP_FN(shld)
{
	shift_double(c, i, false);
}

INTERP_FN(shrd)
{
	shift_double(c, i, true);
}
