/*
 * x87.c - the x87 instruction and data pointers.
 *
 * Inline x87 instructions leave the host's own addresses in FIP and FDP.  Each
 * therefore stores where it stands in the guest, unless the next instruction
 * does anyway before anybody can look; the page, the same for a whole block, is
 * stored once.
 */
#include <string.h>

#include "cpu/bt/tr.h"

unsigned bt_x87_probe(void)
{
	static const double one = 1;
	_Alignas(64) uint8_t fx[512];
	uint64_t at, fip, fdp;
	uint16_t fop;

	__asm__ volatile("fninit\n\t"
			 "lea 1f(%%rip), %[at]\n"
			 "1:\tfldl %[one]\n\t"
			 "fxsave64 %[fx]\n\t"
			 "fninit"
			 : [fx] "=m"(fx), [at] "=&r"(at)
			 : [one] "m"(one));
	memcpy(&fop, fx + 6, 2);
	memcpy(&fip, fx + 8, 8);
	memcpy(&fdp, fx + 16, 8);
	return (fip == at ? BT_X87_FIP : 0) |
	       (fdp == (uintptr_t)&one ? BT_X87_FDP : 0) |
	       (fop ? BT_X87_FOP : 0);
}

/* Does it leave the pointers alone? */
static bool bt_x87_control(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_FNENI:
	case X86_OP_FNDISI:
	case X86_OP_FNSETPM:
	case X86_OP_FNCLEX:
	case X86_OP_FNSTSW:
	case X86_OP_FNSTCW:
	case X86_OP_FLDCW:
	case X86_OP_WAIT: return true;
	default: return false;
	}
}

/* Is insn i + 1 one that sets them without looking before? */
static bool bt_x87_again(struct bt_tr *t)
{
	const struct x86_insn *next = &t->insn[t->i + 1];

	return t->i + 1 < t->n && t->emitter[t->i + 1] == bt_emit_vec &&
	       (next->def->attr & X86_AT_X87) && !next->has_mem &&
	       !bt_x87_control(next);
}

void bt_emit_x87_pointers(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	unsigned kept = t->vm->x87_kept;

	if (!(kept & BT_X87_FIP) || bt_x87_control(in))
		return;
	/* An access may miss and go to the interpreter, past this. */
	if (!t->x87_page) {
		em_load(e, 8, BT_T0, bt_at_rsp(BT_NEAR(rip_base)));
		em_store(e, 8, bt_at_rsp(BT_AREA(x87_page)), BT_T0);
		t->x87_page = !in->has_mem;
	}
	if (in->has_mem && (kept & BT_X87_FDP)) {
		bt_effective(t, in, BT_T0);
		em_store(e, 8, bt_at_rsp(BT_AREA(x87_fdp)), BT_T0);
	}
	if (!bt_x87_again(t))
		em_mov_mi(e, 4, bt_at_rsp(BT_AREA(x87_at)),
			BT_X87_AT(t->off[t->i],
				(in->opcode & 7u) << 8 | in->modrm));
}
