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

/* Who spins long waits for a processor that the host does not run: let it. */
void bt_emit_pause(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold;

	em_8(e, 0xf3);
	em_8(e, 0x90);
	if (t->vm->soft.ncpus < 2 || t->step)
		return;
	bt_flags_clobber(t);
	em_alu_mi(e, 4, EM_SUB, bt_at_rsp(BT_AREA(spins)), 1);
	cold = bt_cold(t, BT_TH_PAUSE, em_jcc(e, CC_B, e->p));
	cold->retry = e->p;
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
	if (in->op == X86_OP_RDTSCP) { /* waits for loads before it */
		em_16(e, 0xae0f);      /* lfence */
		em_8(e, 0xe8);
	}
	em_16(e, 0x310f);
	em_op_rr(e, 8, 0xc1, 4, H_RDX);
	em_8(e, 32);
	em_op_rr(e, 8, 0x0b, H_RAX, H_RDX);
	em_op_rm(e, 8, 0x03, H_RAX, bt_at_rsp(BT_ST(tsc_offset)));
	em_mov_rr(e, 8, H_RDX, H_RAX);
	em_op_rr(e, 8, 0xc1, 5, H_RDX);
	em_8(e, 32);
	em_mov_rr(e, 4, H_RAX, H_RAX);
	if (in->op == X86_OP_RDTSCP)
		em_load(e, 4, H_RCX, bt_at_rsp(BT_ST(tsc_aux)));
}

void bt_emit_swapgs(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;

	em_load(e, 8, BT_T0, bt_at_rsp(BT_ST(seg[X86_GS].base)));
	em_load(e, 8, BT_T1, bt_at_rsp(BT_ST(kernel_gs_base)));
	em_store(e, 8, bt_at_rsp(BT_ST(seg[X86_GS].base)), BT_T1);
	em_store(e, 8, bt_at_rsp(BT_ST(kernel_gs_base)), BT_T0);
}

/*
 * STAC and CLAC choose between two modes of access; what follows them in the
 * block is translated for the new one.  The jump cache of that mode must be for
 * the key that differs in the mode only.
 */
void bt_emit_ac(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	bool set = in->op == X86_OP_STAC;
	unsigned mode = set ? SOFT_KERNEL_AC : SOFT_KERNEL;
	bt_key_t key =
		(t->key & ~(bt_key_t)BT_KEY_MODE) | mode << BT_KEY_MODE_SHIFT;
	struct bt_cold *cold;

	if (mode == t->mode)
		return;
	bt_flags_clobber(t);
	em_alu_mi(e, 4, EM_CMP, bt_at_rsp(BT_AREA(jc_key[mode])), (int32_t)key);
	cold = bt_cold(t, BT_TH_INTERP, em_jcc(e, CC_NE, e->p));
	cold->data[0] = bt_info(t);
	em_alu_mi(e, 4, set ? EM_OR : EM_AND, bt_at_rsp(BT_ST(rflags)),
		set ? (int32_t)X86_FL_AC : ~(int32_t)X86_FL_AC);
	em_op_rm(e, 4, 0xc6, 0,
		bt_at_rsp((int32_t)offsetof(struct soft_cpu, tlb_mode)));
	em_8(e, mode);
	t->mode = mode;
	t->key = key;
}

/* ---- bases of FS and GS ---- */

static int32_t bt_base_of(const struct x86_insn *in)
{
	bool fs = in->op == X86_OP_RDFSBASE || in->op == X86_OP_WRFSBASE;

	return fs ? BT_ST(seg[X86_FS].base) : BT_ST(seg[X86_GS].base);
}

/* CR4.FSGSBASE or #UD by the interpreter. */
static struct bt_cold *bt_need_fsgsbase(struct bt_tr *t)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold;

	bt_flags_clobber(t);
	em_op_rm(e, 4, 0xf6, 0, bt_at_rsp(BT_ST(cr4) + 2)); /* test */
	em_8(e, X86_CR4_FSGSBASE >> 16);
	cold = bt_cold(t, BT_TH_INTERP, em_jcc(e, CC_E, e->p));
	cold->data[0] = bt_info(t);
	return cold;
}

void bt_emit_read_base(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned size = in->opnd[0].size;

	bt_need_fsgsbase(t);
	em_load(&t->hot, size, BT_T0, bt_at_rsp(bt_base_of(in)));
	bt_put(t, size, in->opnd[0].reg, BT_T0);
}

void bt_emit_write_base(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold = bt_need_fsgsbase(t);

	bt_get(t, in->opnd[0].size, BT_T0, in->opnd[0].reg);
	em_mov_rr(e, 8, BT_T1, BT_T0);
	em_op_rr(e, 8, 0xc1, 4, BT_T1); /* shl */
	em_8(e, 16);
	em_op_rr(e, 8, 0xc1, 7, BT_T1); /* sar */
	em_8(e, 16);
	em_op_rr(e, 8, 0x3b, BT_T1, BT_T0);
	cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
	em_store(e, 8, bt_at_rsp(bt_base_of(in)), BT_T0);
}

/* ---- control registers ---- */

void bt_emit_read_cr(struct bt_tr *t, const struct x86_insn *in)
{
	static const int32_t at[] = {
		BT_ST(cr0), 0, BT_ST(cr2), BT_ST(cr3), BT_ST(cr4)};
	unsigned size = t->code64 ? 8 : 4;

	em_load(&t->hot, size, BT_T0, bt_at_rsp(at[in->opnd[1].reg]));
	bt_put(t, size, in->opnd[0].reg, BT_T0);
}

/* ---- bit strings ---- */

/* BT, BTS, BTR, BTC on memory with the bit's number in a register, which also
 * moves the address. */
void bt_emit_bit(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	unsigned size = in->opnd[0].size, g = in->opnd[1].reg;
	struct bt_access acc = {.size = size, .write = in->op != X86_OP_BT};
	const uint8_t *retry;

	bt_flags_clobber(t);
	retry = e->p;
	bt_effective(t, in, BT_T0);
	bt_get(t, size, BT_T1, g);
	if (size == 4)
		em_op_rr(e, 8, 0x63, BT_T1, BT_T1); /* movsxd */
	em_op_rr(e, 8, 0xc1, 7, BT_T1);		    /* sar */
	em_8(e, size == 8 ? 6 : 5);
	em_lea(e, 8, BT_T0, em_sib(BT_T0, BT_T1, size, 0));
	bt_access_linear(t, in, &acc, retry);
	bt_get(t, 4, BT_T1, g);
	em_alu_ri(e, 4, EM_AND, BT_T1, size * 8 - 1);
	bt_flags_need(t, H_NONE);
	if (in->prefix & X86_PFX_LOCK)
		em_8(e, 0xf0);
	em_op_rm(e, size, 0x0f00 | in->opcode, BT_T1, acc.m);
	bt_flags_done(t);
}

/* ---- SYSCALL and SYSRET ---- */

#define CODE64 0xa09bu /* P, S, execute/read/accessed, L, G */
#define DATA32 0xc093u

static void bt_sys_call(struct bt_tr *t, enum bt_sys op)
{
	bt_flags_clobber(t);
	em_call(&t->hot, t->vm->thunk[BT_TH_SYS]);
	em_32(&t->hot, bt_info(t));
	em_32(&t->hot, op);
}

static void bt_test_m8(struct bt_tr *t, int32_t at, unsigned bits)
{
	em_op_rm(&t->hot, 4, 0xf6, 0, bt_at_rsp(at));
	em_8(&t->hot, bits);
}

static void bt_store_m8(struct bt_tr *t, int32_t at, unsigned r)
{
	em_op_rm(&t->hot, 4, 0x88, r, bt_at_rsp(at));
}

static void bt_else(struct bt_tr *t, struct bt_cold *cold, unsigned cc)
{
	cold->patch[cold->npatch++] = em_jcc(&t->hot, cc, t->hot.p);
}

/* Go on in another ring, in a mode whose jump cache is for this key; what is
 * not as usual is left to the helper. */
static struct bt_cold *bt_ring_check(
	struct bt_tr *t, enum bt_sys op, unsigned mode, unsigned cpl)
{
	struct bt_cold *cold;

	bt_flags_clobber(t);
	cold = bt_cold(t, BT_TH_SYS, NULL);
	cold->data[0] = bt_info(t);
	cold->data[1] = op;
	t->mode = mode;
	t->key = (t->key & ~(uint32_t)(BT_KEY_MODE | BT_KEY_CPL)) |
		 mode << BT_KEY_MODE_SHIFT | cpl << BT_KEY_CPL_SHIFT;
	em_alu_mi(&t->hot, 4, EM_CMP, bt_at_rsp(BT_AREA(jc_key[mode])),
		(int32_t)t->key);
	bt_else(t, cold, CC_NE);
	bt_test_m8(t, BT_ST(efer), X86_EFER_SCE);
	bt_else(t, cold, CC_E);
	return cold;
}

/* T0 = RFLAGS to be: all but the arithmetic ones' place is st.rflags. */
static void bt_put_rflags(struct bt_tr *t)
{
	struct emit *e = &t->hot;

	em_alu_ri(e, 4, EM_OR, BT_T0, X86_FL_1);
	em_store(e, 8, bt_at_rsp(BT_ST(rflags)), BT_T0);
	bt_store_m8(t, BT_NEAR(fl) + 1, BT_T0);
	em_op_rr(e, 4, 0xc1, 5, BT_T0); /* shr */
	em_8(e, 11);
	em_alu_ri(e, 4, EM_AND, BT_T0, 1);
	bt_store_m8(t, BT_NEAR(fl), BT_T0);
}

/* T0, T1: selectors of CS and SS, but for their RPL. */
static void bt_put_flat(struct bt_tr *t, unsigned cpl)
{
	static const struct {
		uint8_t seg, from;
		uint32_t attr;
	} s[] = {{X86_CS, BT_T0, CODE64}, {X86_SS, BT_T1, DATA32}};
	struct emit *e = &t->hot;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t attr = s[i].attr | cpl << X86_SEG_DPL_SHIFT;

		/* SYSCALL keeps the RPL of STAR in SS */
		em_alu_ri(e, 4, EM_AND, s[i].from, i ? 0xffff : 0xfffc);
		em_alu_ri(e, 4, EM_OR, s[i].from, (int32_t)(attr << 16 | cpl));
		em_store(e, 4, bt_at_rsp(BT_SEG(s[i].seg, sel)), s[i].from);
		em_mov_mi(e, 8, bt_at_rsp(BT_SEG(s[i].seg, base)), 0);
		em_mov_mi(e, 4, bt_at_rsp(BT_SEG(s[i].seg, limit)), -1);
	}
	em_op_rm(e, 4, 0xc6, 0,
		bt_at_rsp((int32_t)offsetof(struct soft_cpu, cpl)));
	em_8(e, cpl);
	em_op_rm(e, 4, 0xc6, 0,
		bt_at_rsp((int32_t)offsetof(struct soft_cpu, tlb_mode)));
	em_8(e, t->mode);
}

static void bt_emit_syscall(struct bt_tr *t, const struct x86_insn *in)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold = bt_ring_check(t, BT_SYS_SYSCALL, SOFT_KERNEL, 0);

	/* AC must become clear: the mode is known then */
	bt_test_m8(t, BT_ST(sfmask) + 2, X86_FL_AC >> 16);
	bt_else(t, cold, CC_E);
	bt_emit_rflags_image(t);
	em_store(e, 8, bt_home(X86_R11), BT_T0);
	em_load(e, 4, BT_T1, bt_at_rsp(BT_ST(sfmask)));
	em_op_rr(e, 4, 0xf7, 2, BT_T1); /* not */
	em_op_rr(e, 4, 0x23, BT_T0, BT_T1);
	bt_put_rflags(t);
	bt_emit_rip(t, H_RCX, (int64_t)t->off[t->i] + in->len);
	em_op_rm(e, 4, 0x0fb7, BT_T0, bt_at_rsp(BT_ST(star) + 4));
	em_lea(e, 4, BT_T1, em_at(BT_T0, 8));
	bt_put_flat(t, 0);
	em_load(e, 8, BT_T0, bt_at_rsp(BT_ST(lstar)));
	bt_emit_indirect(t, -1);
}

static void bt_emit_sysret(struct bt_tr *t)
{
	struct emit *e = &t->hot;
	struct bt_cold *cold = bt_ring_check(t, BT_SYS_SYSRET8, SOFT_USER, 3);

	em_load(e, 8, BT_T0, bt_home(X86_R11));
	em_op_rr(e, 4, 0xf7, 0, BT_T0); /* test */
	em_32(e, X86_FL_TF | X86_FL_AC);
	bt_else(t, cold, CC_NE);
	em_mov_rr(e, 8, BT_T1, H_RCX);
	em_op_rr(e, 8, 0xc1, 4, BT_T1); /* shl, sar: canonical? */
	em_8(e, 16);
	em_op_rr(e, 8, 0xc1, 7, BT_T1);
	em_8(e, 16);
	em_op_rr(e, 8, 0x3b, BT_T1, H_RCX);
	bt_else(t, cold, CC_NE);
	em_load(e, 8, BT_T1, bt_at_rsp((int32_t)offsetof(struct soft_cpu, bc)));
	em_alu_mi(e, 4, EM_CMP,
		em_at(BT_T1, (int32_t)offsetof(struct bus_cpu, events)), 0);
	bt_else(t, cold, CC_NE);
	bt_test_m8(t, BT_ST(cr4), X86_CR4_TSD);
	bt_else(t, cold, CC_NE);
	em_alu_ri(e, 4, EM_AND, BT_T0, 0x3c7fd7);
	bt_put_rflags(t);
	em_op_rm(e, 4, 0x0fb7, BT_T0, bt_at_rsp(BT_ST(star) + 6));
	em_lea(e, 4, BT_T1, em_at(BT_T0, 8));
	em_lea(e, 4, BT_T0, em_at(BT_T0, 16));
	bt_put_flat(t, 3);
	em_mov_rr(e, 8, BT_T0, H_RCX);
	bt_emit_indirect(t, -1);
}

void bt_emit_sys(struct bt_tr *t, const struct x86_insn *in)
{
	bool wide = in->osize == 8;

	if (in->op == X86_OP_SYSCALL && !t->step && t->mode == SOFT_USER)
		bt_emit_syscall(t, in);
	else if (in->op == X86_OP_SYSCALL)
		bt_sys_call(t, BT_SYS_SYSCALL);
	else if (in->op == X86_OP_IRET)
		bt_sys_call(t, wide ? BT_SYS_IRET8 : BT_SYS_IRET4);
	else if (!wide)
		bt_sys_call(t, BT_SYS_SYSRET4);
	else if (t->step || t->mode != SOFT_KERNEL)
		bt_sys_call(t, BT_SYS_SYSRET8);
	else
		bt_emit_sysret(t);
}
