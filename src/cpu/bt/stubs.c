/*
 * stubs.c - the generated code that every block shares: into the cache, out
 * of it, and calls from it into C.
 *
 * A call into C leaves the guest's registers in st.gpr, changes to the
 * thread's own stack and passes the processor and the address of the data
 * behind the call instruction.  The helper returns where to go on; all
 * registers, T0, T1 and EFLAGS (from fl) are loaded again for it.
 */
#include "cpu/bt/priv.h"

/* guest register number -> host register; those homed in memory are absent */
static const struct {
	uint8_t guest, host;
} pinned[] = {
	{X86_RAX, H_RAX},
	{X86_RCX, H_RCX},
	{X86_RDX, H_RDX},
	{X86_RBX, H_RBX},
	{X86_RSP, BT_GRSP},
	{X86_RBP, H_RBP},
	{X86_RSI, H_RSI},
	{X86_RDI, H_RDI},
	{X86_R8, H_R8},
	{X86_R9, H_R9},
	{X86_R12, H_R12},
	{X86_R13, H_R13},
	{X86_R14, H_R14},
};

#define NPINNED (sizeof(pinned) / sizeof(pinned[0]))

static const uint8_t callee_saved[] = {
	H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static struct em_mem bt_rsp(int32_t disp)
{
	return em_at(H_RSP, disp);
}

void bt_emit_flags_save(struct emit *e)
{
	em_mov_rr(e, 8, BT_T1, H_RAX);
	em_8(e, 0x9f); /* lahf */
	em_8(e, 0x0f); /* seto al */
	em_8(e, 0x90);
	em_8(e, 0xc0);
	em_8(e, 0x66);
	em_store(e, 4, bt_rsp(BT_NEAR(fl)), H_RAX);
	em_mov_rr(e, 8, H_RAX, BT_T1);
}

static void bt_emit_flags_from_fl(struct emit *e)
{
	em_op_rm(e, 4, 0x0fb7, H_RAX, bt_rsp(BT_NEAR(fl)));
	em_8(e, 0x04); /* add al, 0x7f: OF */
	em_8(e, 0x7f);
	em_8(e, 0x9e); /* sahf */
}

void bt_emit_flags_load(struct emit *e, unsigned scratch)
{
	if (scratch == H_NONE)
		em_store(e, 8, bt_rsp(BT_AREA(tmp)), H_RAX);
	else
		em_mov_rr(e, 8, scratch, H_RAX);
	bt_emit_flags_from_fl(e);
	if (scratch == H_NONE)
		em_load(e, 8, H_RAX, bt_rsp(BT_AREA(tmp)));
	else
		em_mov_rr(e, 8, H_RAX, scratch);
}

static void bt_emit_in_code(struct emit *e, unsigned where)
{
	em_op_rm(e, 4, 0xc6, 0, bt_rsp(BT_NEAR(in_code)));
	em_8(e, where);
}

/* RSP = processor, area.resume set. */
static void bt_emit_resume(struct emit *e)
{
	bt_emit_in_code(e, BT_IN_CODE);
	bt_emit_flags_from_fl(e);
	for (unsigned i = 0; i < NPINNED; i++)
		em_load(e, 8, pinned[i].host, bt_rsp(pinned[i].guest * 8));
	em_load(e, 8, BT_T0, bt_rsp(BT_AREA(t0)));
	em_load(e, 8, BT_T1, bt_rsp(BT_AREA(t1)));
	em_jmp_mem(e, bt_rsp(BT_AREA(resume)));
}

static void bt_emit_push(struct emit *e, unsigned r, bool pop)
{
	if (r >= 8)
		em_8(e, 0x41);
	em_8(e, (pop ? 0x58 : 0x50) | (r & 7));
}

static void bt_emit_enter(struct emit *e)
{
	for (unsigned i = 0; i < sizeof(callee_saved); i++)
		bt_emit_push(e, callee_saved[i], false);
	bt_emit_push(e, H_RDI, false); /* also aligns; found by returns */
	em_store(e, 8, em_at(H_RDI, BT_AREA(host_rsp)), H_RSP);
	em_mov_rr(e, 8, H_RSP, H_RDI);
	em_store(e, 8, bt_rsp(BT_AREA(resume)), H_RSI);
	bt_emit_resume(e);
}

static void bt_emit_leave(struct emit *e)
{
	em_load(e, 8, H_RSP, bt_rsp(BT_AREA(host_rsp)));
	bt_emit_push(e, H_RDI, true);
	for (unsigned i = sizeof(callee_saved); i--;)
		bt_emit_push(e, callee_saved[i], true);
	em_8(e, 0xc3);
}

static void bt_emit_thunk(struct emit *e, bt_helper *fn, bool save_flags)
{
	/* pop [rsp+d]: the address uses RSP after the increment */
	em_op_rm(e, 4, 0x8f, 0, bt_rsp(BT_AREA(site)));
	if (save_flags)
		bt_emit_flags_save(e);
	for (unsigned i = 0; i < NPINNED; i++)
		em_store(e, 8, bt_rsp(pinned[i].guest * 8), pinned[i].host);
	em_store(e, 8, bt_rsp(BT_AREA(t0)), BT_T0);
	em_store(e, 8, bt_rsp(BT_AREA(t1)), BT_T1);
	bt_emit_in_code(e, BT_IN_C);
	em_mov_rr(e, 8, H_RDI, H_RSP);
	em_load(e, 8, H_RSI, bt_rsp(BT_AREA(site)));
	em_load(e, 8, H_RSP, bt_rsp(BT_AREA(host_rsp)));
	em_mov_ri(e, H_RAX, (uintptr_t)fn);
	em_op_rr(e, 4, 0xff, 2, H_RAX);
	em_load(e, 8, H_RSP, em_at(H_RSP, 0));
	em_store(e, 8, bt_rsp(BT_AREA(resume)), H_RAX);
	bt_emit_resume(e);
}

/* ---- refilling a one-page cache from the TLB ---- */

/* Displacement while the return address of the call is on the stack. */
#define BELOW(disp) bt_rsp((disp) + 8)

/*
 * T1 = address ^ tag.  If the TLB has the page, copy its entry and try again;
 * if that is the page already there (the access crosses or is misaligned) or
 * the TLB misses, go on as BT_TH_MISS.  T0 stays.
 */
static void bt_emit_stack_miss(
	struct cpu_vm *vm, struct emit *e, unsigned mode, unsigned acc)
{
	int32_t slot = bt_stack_at(mode, acc);
	int32_t tlb = (int32_t)(offsetof(struct soft_cpu, tlb) +
				(mode * SOFT_NACCESS + acc) * SOFT_TLB_SIZE *
					sizeof(struct soft_tlb_entry));
	uint8_t *miss, *same;

	em_store(e, 8, BELOW(BT_AREA(save0)), BT_T0);
	em_load(e, 8, BT_T0, BELOW(slot));
	em_op_rr(e, 8, 0x33, BT_T1, BT_T0);
	em_store(e, 8, BELOW(BT_AREA(save1)), BT_T1);
	em_mov_rr(e, 8, BT_T0, BT_T1);
	em_op_rr(e, 8, 0xc1, 5, BT_T0);
	em_8(e, 7);
	em_alu_ri(e, 4, EM_AND, BT_T0, (SOFT_TLB_SIZE - 1) << 5);
	em_op_rm(e, 8, 0x33, BT_T1, em_sib(H_RSP, BT_T0, 1, tlb + 8));
	em_alu_ri(e, 8, EM_CMP, BT_T1, BUS_PAGE_SIZE - 1);
	miss = em_jcc(e, CC_A, e->p);
	em_load(e, 8, BT_T1, em_sib(H_RSP, BT_T0, 1, tlb + 8));
	em_op_rm(e, 8, 0x3b, BT_T1, BELOW(slot));
	same = em_jcc(e, CC_E, e->p);
	em_store(e, 8, BELOW(slot), BT_T1);
	em_load(e, 8, BT_T1, em_sib(H_RSP, BT_T0, 1, tlb + 24));
	em_store(e, 8, BELOW(slot + 8), BT_T1);
	/* to the retry address behind the call */
	bt_emit_push(e, BT_T1, true);
	em_op_rm(e, 8, 0x63, BT_T0, em_at(BT_T1, 4)); /* movsxd */
	em_op_rr(e, 8, 0x03, BT_T1, BT_T0);
	em_load(e, 8, BT_T0, bt_rsp(BT_AREA(save0)));
	em_op_rr(e, 4, 0xff, 4, BT_T1);

	em_patch(miss, e->p);
	em_patch(same, e->p);
	em_load(e, 8, BT_T1, BELOW(BT_AREA(save1)));
	em_op_rm(e, 8, 0x33, BT_T1, BELOW(slot));
	em_load(e, 8, BT_T0, BELOW(BT_AREA(save0)));
	em_jmp(e, vm->thunk[BT_TH_MISS]);
}

static void bt_emit_align(struct emit *e)
{
	while ((uintptr_t)e->p & 15)
		em_8(e, 0xcc);
}

/* vmovdqu64 / vmovdqu / movdqu between register n and [rdi + disp]. */
static void bt_emit_vec_move(
	struct cpu_vm *vm, struct emit *e, unsigned n, bool load)
{
	struct em_mem m = em_at(H_RDI, BT_ST(fpu.zmm) + (int32_t)n * 64);

	m.disp32 = true;
	if (vm->avx512) { /* EVEX.512.F3.0F.W1 would be dqu32; F3 W1 dqu64 */
		em_8(e, 0x62);
		em_8(e, (n & 8 ? 0 : 0x80) | 0x40 | 0x20 | (n & 16 ? 0 : 0x10) |
				1);
		em_8(e, 0xfe);
		em_8(e, 0x48);
		em_8(e, load ? 0x6f : 0x7f);
	} else if (vm->avx) { /* VEX.256.F3.0F */
		em_8(e, 0xc5);
		em_8(e, (n & 8 ? 0 : 0x80) | 0x7e);
		em_8(e, load ? 0x6f : 0x7f);
	} else {
		em_8(e, 0xf3);
		if (n & 8)
			em_8(e, 0x44);
		em_8(e, 0x0f);
		em_8(e, load ? 0x6f : 0x7f);
	}
	em_modrm_mem(e, n & 7, &m);
}

/* Vectors, masks and MXCSR <-> st.fpu of the processor in RDI. */
static void bt_emit_vec(struct cpu_vm *vm, struct emit *e, bool load)
{
	struct em_mem m = em_at(H_RDI, BT_ST(fpu.fx) + 24);

	for (unsigned n = 0; n < (vm->avx512 ? 32u : 16u); n++)
		bt_emit_vec_move(vm, e, n, load);
	for (unsigned n = 0; vm->avx512 && n < 8; n++) {
		struct em_mem k = em_at(H_RDI, BT_ST(fpu.k) + (int32_t)n * 8);

		em_8(e, 0xc4); /* kmovq */
		em_8(e, 0xe1);
		em_8(e, 0xf8);
		em_8(e, load ? 0x90 : 0x91);
		em_modrm_mem(e, n, &k);
	}
	em_op_rm(e, 4, 0x0fae, load ? 2 : 3, m); /* ldmxcsr, stmxcsr */
	if (!load)
		em_op_rm(e, 4, 0x0fae, 2, em_at(H_RDI, BT_AREA(host_mxcsr)));
	em_8(e, 0xc3);
}

/* Function pointers to generated code. */
static void *bt_stub_fn(struct emit *e)
{
	bt_emit_align(e);
	return e->p;
}

void bt_stubs_make(struct cpu_vm *vm, struct emit *e)
{
	vm->enter = bt_stub_fn(e);
	bt_emit_enter(e);
	vm->leave = bt_stub_fn(e);
	bt_emit_leave(e);
	for (unsigned i = 0; i < BT_NTHUNKS; i++) {
		vm->thunk[i] = bt_stub_fn(e);
		bt_emit_thunk(e, bt_helpers[i], i == BT_TH_LINK);
	}
	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		for (unsigned acc = 0; acc < 2; acc++) {
			vm->stack_miss[m][acc] = bt_stub_fn(e);
			bt_emit_stack_miss(vm, e, m, acc);
		}
	}
	vm->slot_refill = bt_stub_fn(e);
	bt_slot_stub(vm, e);
	vm->jc_miss = bt_stub_fn(e);
	em_call(e, vm->thunk[BT_TH_JC]);
	em_32(e, 0);
	em_32(e, ~0u);
	em_32(e, 0);
	vm->vec_save = bt_stub_fn(e);
	bt_emit_vec(vm, e, false);
	vm->vec_load = bt_stub_fn(e);
	bt_emit_vec(vm, e, true);
	bt_emit_align(e);
}
