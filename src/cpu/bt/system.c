/*
 * system.c - calls of the interpreter, and the system instructions that are
 * frequent enough to be translated.
 */
#include "cpu/bt/tr.h"

static void bt_emit_interp_call(
	struct bt_tr *t, const struct x86_insn *in, bool end)
{
	struct emit *e = &t->hot;

	bt_flags_clobber(t);
	em_call(e, t->vm->thunk[BT_TH_INTERP]);
	em_32(e, bt_info(t));
	em_32(e, end ? 0 : 12);
	em_32(e, in->op);
}

void bt_emit_interp(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_interp_call(t, in, false);
}

void bt_emit_interp_end(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_interp_call(t, in, true);
}

static void bt_emit_rflags(struct bt_tr *t, unsigned n, uint32_t bits)
{
	bt_flags_clobber(t);
	em_alu_mi(&t->hot, 4, n, bt_at_rsp(BT_ST(rflags)),
		n == EM_AND ? ~bits : bits);
}

/* An interrupt that pends must come after the next instruction. */
void bt_emit_sti(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold;

	bt_emit_rflags(t, EM_OR, X86_FL_IF);
	em_load(e, 8, BT_T0, bt_at_rsp((int32_t)offsetof(struct soft_cpu, bc)));
	em_alu_mi(e, 4, EM_CMP,
		em_at(BT_T0, (int32_t)offsetof(struct bus_cpu, events)), 0);
	cold = bt_cold(t, BT_TH_STI, em_jcc(e, CC_NE, e->p));
	cold->data[0] = BT_INFO(t->off[t->i] + in->len, t->i + 1, 0);
}

void bt_emit_cli(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_rflags(t, EM_AND, X86_FL_IF);
}

void bt_emit_cld(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_rflags(t, EM_AND, X86_FL_DF);
}

void bt_emit_std(struct bt_tr *t, const struct x86_insn *in)
{
	bt_emit_rflags(t, EM_OR, X86_FL_DF);
}

void bt_emit_rdtsc(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;

	bt_flags_clobber(t);
	em_16(e, 0x310f);
	em_op_rr(e, 8, 0xc1, 4, H_RDX);
	em_8(e, 32);
	em_op_rr(e, 8, 0x0b, H_RAX, H_RDX);
	em_op_rm(e, 8, 0x03, H_RAX, bt_at_rsp(BT_ST(tsc_offset)));
	em_mov_rr(e, 8, H_RDX, H_RAX);
	em_op_rr(e, 8, 0xc1, 5, H_RDX);
	em_8(e, 32);
	em_mov_rr(e, 4, H_RAX, H_RAX);
}

void bt_emit_swapgs(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;

	em_load(e, 8, BT_T0, bt_at_rsp(BT_ST(seg[X86_GS].base)));
	em_load(e, 8, BT_T1, bt_at_rsp(BT_ST(kernel_gs_base)));
	em_store(e, 8, bt_at_rsp(BT_ST(seg[X86_GS].base)), BT_T1);
	em_store(e, 8, bt_at_rsp(BT_ST(kernel_gs_base)), BT_T0);
}

void bt_emit_sys(struct bt_tr *t, const struct x86_insn *in)
{
	enum bt_sys op;

	if (in->op == X86_OP_SYSCALL)
		op = BT_SYS_SYSCALL;
	else if (in->op == X86_OP_SYSRET)
		op = in->osize == 8 ? BT_SYS_SYSRET8 : BT_SYS_SYSRET4;
	else
		op = in->osize == 8 ? BT_SYS_IRET8 : BT_SYS_IRET4;
	bt_flags_clobber(t);
	em_call(&t->hot, t->vm->thunk[BT_TH_SYS]);
	em_32(&t->hot, bt_info(t));
	em_32(&t->hot, op);
}
