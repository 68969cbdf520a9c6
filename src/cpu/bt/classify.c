/*
 * classify.c - which instructions are translated, and how.
 *
 * What is not listed is carried out by the interpreter; so are encodings that
 * the processor's model does not have, and those that a mode makes special.
 */
#include "cpu/bt/tr.h"

static bool bt_allowed(struct bt_tr *t, const struct x86_insn *in)
{
	unsigned f = in->def->feature;

	return (!f || t->vm->soft.model->feature[f]) &&
	       x86_insn_allowed(in, t->vm->soft.model);
}

/* Those that show or load the x87 pointers or control word, whose mask bits
 * belong to the key. */
static bool bt_x87_ok(struct bt_tr *t, const struct x86_insn *in)
{
	if (!(t->key & BT_KEY_X87) || !t->vm->xsave)
		return false;
	switch (in->op) {
	case X86_OP_FNINIT: /* clears what the host's pointers do not show */
	case X86_OP_FLDENV:
	case X86_OP_FNSTENV:
	case X86_OP_FRSTOR:
	case X86_OP_FNSAVE:
	case X86_OP_MASKMOVQ: return false;
	default: return true;
	}
}

static bool bt_vec_ok(struct bt_tr *t, const struct x86_insn *in)
{
	uint32_t need = 0, attr = in->def->attr;
	bool x87 = attr & (X86_AT_MMX | X86_AT_X87);

	for (unsigned i = 0; i < in->nopnds; i++)
		x87 |= in->opnd[i].kind == X86_OK_MMX;
	if (x87 && !bt_x87_ok(t, in))
		return false;
	if (attr & X86_AT_SSE)
		need = BT_KEY_SSE;
	if (attr & X86_AT_AVX)
		need |= BT_KEY_AVX;
	if (attr & X86_AT_AVX512)
		need |= BT_KEY_AVX512;
	if ((t->key & need) != need || in->vsib)
		return false;
	switch (in->op) {
	case X86_OP_MASKMOVDQU: return false;
	default: return bt_copyable(t, in);
	}
}

static bt_emitter *bt_copy_or_interp(struct bt_tr *t, const struct x86_insn *in)
{
	return bt_copyable(t, in) ? bt_emit_copy : bt_emit_interp;
}

static bool bt_stack_ok(struct bt_tr *t, const struct x86_insn *in)
{
	if (t->code64)
		return in->osize == 8;
	if (t->segs)
		return t->key & BT_KEY_OK(X86_SS);
	return in->osize == 4 && (t->key & BT_KEY_FLAT_SS);
}

static bt_emitter *bt_class_stack(struct bt_tr *t, const struct x86_insn *in)
{
	if (!bt_stack_ok(t, in))
		return bt_emit_interp;
	switch (in->op) {
	case X86_OP_PUSH:
		if (in->has_mem && !bt_can_address(t, in, false))
			return bt_emit_interp;
		return bt_emit_push;
	case X86_OP_POP: return in->has_mem ? bt_emit_interp : bt_emit_pop;
	case X86_OP_LEAVE: return bt_emit_leave;
	default: return t->key & BT_KEY_V86 ? bt_emit_interp : bt_emit_pushf;
	}
}

static bt_emitter *bt_class_branch(struct bt_tr *t, const struct x86_insn *in)
{
	bool mem_ok = !in->has_mem || bt_can_address(t, in, false);
	bool word = t->segs || in->osize == (t->code64 ? 8 : 4);

	if (!word)
		return NULL;
	switch (in->op) {
	case X86_OP_JCC: return bt_emit_jcc;
	case X86_OP_JMP_REL: return bt_emit_jmp_rel;
	case X86_OP_JMP_IND: return mem_ok ? bt_emit_jmp_ind : NULL;
	case X86_OP_JCXZ: return bt_emit_jcxz;
	case X86_OP_LOOP: return bt_emit_loop;
	default: break;
	}
	if (!bt_stack_ok(t, in))
		return NULL;
	switch (in->op) {
	case X86_OP_CALL_REL: return bt_emit_call_rel;
	case X86_OP_CALL_IND: return mem_ok ? bt_emit_call_ind : NULL;
	case X86_OP_RET: return bt_emit_ret;
	default: return NULL;
	}
}

/* Loads of segment registers in real mode; those of SS hold interrupts. */
static bt_emitter *bt_class_real(struct bt_tr *t, const struct x86_insn *in)
{
	bool mem_ok = !in->has_mem || bt_can_address(t, in, false);
	unsigned seg = in->opnd[0].reg;

	if (!(t->key & BT_KEY_REAL) || !mem_ok)
		return NULL;
	if (in->op == X86_OP_MOV_SREG)
		return seg != X86_SS && seg != X86_CS ? bt_emit_mov_to_sreg
						      : NULL;
	if (in->osize != 2)
		return NULL;
	switch (in->op) {
	case X86_OP_LES:
	case X86_OP_LDS:
	case X86_OP_LFS:
	case X86_OP_LGS: return bt_emit_lxs;
	case X86_OP_JMP_FAR:
	case X86_OP_JMP_FARM: return bt_emit_jmp_far;
	default: break;
	}
	if (!bt_stack_ok(t, in))
		return NULL;
	switch (in->op) {
	case X86_OP_POP_SREG: return seg != X86_SS ? bt_emit_pop_sreg : NULL;
	case X86_OP_CALL_FAR:
	case X86_OP_CALL_FARM: return bt_emit_call_far;
	case X86_OP_RETF: return bt_emit_retf;
	default: return NULL;
	}
}

static bt_emitter *bt_class_system(struct bt_tr *t, const struct x86_insn *in)
{
	bool cpl0 = !(t->key & BT_KEY_CPL);

	switch (in->op) {
	case X86_OP_STI: return cpl0 && !t->step ? bt_emit_sti : NULL;
	case X86_OP_CLI: return cpl0 ? bt_emit_cli : NULL;
	case X86_OP_SWAPGS: return cpl0 && t->code64 ? bt_emit_swapgs : NULL;
	case X86_OP_SYSCALL:
	case X86_OP_SYSRET:
	case X86_OP_IRET: return t->code64 ? bt_emit_sys : NULL;
	default: return bt_class_real(t, in);
	}
}

/* Those of the system's instructions that need not end a block; NULL for
 * others. */
static bt_emitter *bt_class_inline(struct bt_tr *t, const struct x86_insn *in)
{
	bool cpl0 = !(t->key & BT_KEY_CPL);

	switch (in->op) {
	case X86_OP_STAC:
	case X86_OP_CLAC: return cpl0 && !t->step ? bt_emit_ac : NULL;
	case X86_OP_RDFSBASE:
	case X86_OP_RDGSBASE: return t->code64 ? bt_emit_read_base : NULL;
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE: return t->code64 ? bt_emit_write_base : NULL;
	case X86_OP_MOV_CR:
		return cpl0 && in->opnd[0].kind == X86_OK_GPR &&
				       in->opnd[1].reg != 1 &&
				       in->opnd[1].reg <= 4
			       ? bt_emit_read_cr
			       : NULL;
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP: return t->key & BT_KEY_TSC ? bt_emit_rdtsc : NULL;
	default: return NULL;
	}
}

/* How the operation is carried out by the same instruction on host registers,
 * and whether all registers that it writes are operands. */
enum { BT_NAMES_ALL = 1, BT_COPIED = 2 };

static const uint8_t bt_ops[X86_NOPS] = {
	[X86_OP_ADD] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_OR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_ADC] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SBB] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_AND] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SUB] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_XOR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_CMP] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_INC] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_DEC] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_NEG] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_NOT] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_TEST] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_MUL] = BT_COPIED,
	[X86_OP_IMUL] = BT_COPIED,
	[X86_OP_ROL] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_ROR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_RCL] = BT_COPIED,
	[X86_OP_RCR] = BT_COPIED,
	[X86_OP_SHL] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SHR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SAR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SHLD] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SHRD] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_MOV] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_MOVZX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_MOVSX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_MOVSXD] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_MOVBE] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BSWAP] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_XCHG] = BT_COPIED,
	[X86_OP_XADD] = BT_COPIED,
	[X86_OP_CMPXCHG] = BT_COPIED,
	[X86_OP_CMPXCHG8B] = BT_COPIED,
	[X86_OP_CMPXCHG16B] = BT_COPIED,
	[X86_OP_CBW] = BT_COPIED,
	[X86_OP_CWD] = BT_COPIED,
	[X86_OP_LAHF] = BT_COPIED,
	[X86_OP_SAHF] = BT_COPIED,
	[X86_OP_SETCC] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_CMOVCC] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BSF] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BSR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_TZCNT] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_LZCNT] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_POPCNT] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_CRC32] = BT_COPIED,
	[X86_OP_ADCX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_ADOX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_ANDN] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BEXTR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BLSI] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BLSMSK] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BLSR] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_BZHI] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_PDEP] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_PEXT] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_RORX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SARX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SHLX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_SHRX] = BT_COPIED | BT_NAMES_ALL,
	[X86_OP_CLC] = BT_COPIED,
	[X86_OP_STC] = BT_COPIED,
	[X86_OP_CMC] = BT_COPIED,
	[X86_OP_MOVNTI] = BT_COPIED,
	[X86_OP_LFENCE] = BT_COPIED,
	[X86_OP_MFENCE] = BT_COPIED,
	[X86_OP_SFENCE] = BT_COPIED,
	[X86_OP_BT] = BT_NAMES_ALL,
	[X86_OP_BTS] = BT_NAMES_ALL,
	[X86_OP_BTR] = BT_NAMES_ALL,
	[X86_OP_BTC] = BT_NAMES_ALL,
	[X86_OP_MULX] = BT_NAMES_ALL,
	[X86_OP_LEA] = BT_NAMES_ALL,
	[X86_OP_NOP] = BT_NAMES_ALL,
	[X86_OP_JCC] = BT_NAMES_ALL,
	[X86_OP_PUSH] = BT_NAMES_ALL,
	[X86_OP_POP] = BT_NAMES_ALL,
};

bool bt_names_all(unsigned op)
{
	return bt_ops[op] & BT_NAMES_ALL;
}

static bt_emitter *bt_class_plain(struct bt_tr *t, const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_NOP:
	case X86_OP_HINT_NOP:
	case X86_OP_ENDBR32:
	case X86_OP_ENDBR64:
	case X86_OP_PREFETCHNTA:
	case X86_OP_PREFETCHT0:
	case X86_OP_PREFETCHT1:
	case X86_OP_PREFETCHT2:
	case X86_OP_PREFETCH:
	case X86_OP_PREFETCHW: return bt_emit_nothing;
	case X86_OP_LEA: return in->vsib ? bt_emit_interp : bt_emit_lea;
	case X86_OP_DIV:
	case X86_OP_IDIV:
		if (in->has_mem && !bt_can_address(t, in, false))
			return bt_emit_interp;
		if (in->opcode == 0xf7 && in->osize >= 4)
			return bt_emit_div;
		return in->opcode == 0xf6 && in->op == X86_OP_IDIV
			       ? bt_emit_interp
			       : bt_emit_div_narrow;
	case X86_OP_PUSH:
	case X86_OP_POP:
	case X86_OP_LEAVE:
	case X86_OP_PUSHF: return bt_class_stack(t, in);
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_LODS:
	case X86_OP_CMPS:
	case X86_OP_SCAS: return bt_class_string(t, in);
	case X86_OP_MULX: /* two results in one register: the order counts */
	case X86_OP_XADD:
		return in->opnd[0].kind != X86_OK_MEM &&
				       in->opnd[0].reg == in->opnd[1].reg
			       ? bt_emit_interp
			       : bt_copy_or_interp(t, in);
	case X86_OP_PUSH_SREG:
		return bt_stack_ok(t, in) && in->osize == 2 ? bt_emit_push_sreg
							    : bt_emit_interp;
	case X86_OP_MOV_SREG:
		return in->has_mem && !bt_can_address(t, in, true)
			       ? bt_emit_interp
			       : bt_emit_mov_from_sreg;
	case X86_OP_CLD: return bt_emit_cld;
	case X86_OP_PAUSE: return bt_emit_pause;
	case X86_OP_STD: return bt_emit_std;
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		if (in->has_mem && in->opnd[1].kind == X86_OK_GPR)
			return t->code64 && in->asize == 8 &&
					       in->opnd[0].size >= 4
				       ? bt_emit_bit
				       : bt_emit_interp;
		return bt_copy_or_interp(t, in);
	default:
		return bt_ops[in->op] & BT_COPIED ? bt_copy_or_interp(t, in)
						  : bt_emit_interp;
	}
}

/* Has it an operand whose size is that of a general register, which W would
 * make 64 bits wide? */
bt_emitter *bt_classify(struct bt_tr *t, const struct x86_insn *in, bool *ends)
{
	uint32_t attr = in->def->attr;
	bt_emitter *fn;

	*ends = attr & (X86_AT_BRANCH | X86_AT_SYSTEM);
	if (!bt_allowed(t, in))
		return *ends ? bt_emit_interp_end : bt_emit_interp;
	if (in->enc != X86_ENC_LEGACY && (t->key & (BT_KEY_REAL | BT_KEY_V86)))
		return bt_emit_interp;
	if (bt_is_masked(in) && !t->code64 &&
		(in->seg != X86_DS || !(t->key & BT_KEY_FLAT_DS)))
		return bt_emit_interp;
	if (!t->code64 && (t->key & BT_KEY_AVX) &&
		(in->op == X86_OP_VZEROUPPER || in->op == X86_OP_VZEROALL))
		return bt_emit_vzero;
	if ((attr & BT_VECTOR) && bt_vec_ok(t, in))
		return in->op == X86_OP_FLDCW || in->op == X86_OP_LDMXCSR
			       ? bt_emit_control
			       : bt_emit_vec;
	if (attr & BT_VECTOR)
		return bt_emit_interp;
	/* What a port's device did to memory is compared right behind it. */
	if (in->op == X86_OP_OUT && t->step)
		*ends = true;
	if (in->op == X86_OP_POPF || (t->step && in->op == X86_OP_OUT))
		return bt_emit_interp_end;
	fn = bt_class_inline(t, in);
	if (fn) {
		*ends = false;
		return fn;
	}
	if (*ends) {
		fn = attr & X86_AT_SYSTEM ? bt_class_system(t, in)
					  : bt_class_branch(t, in);
		if (fn == bt_emit_mov_to_sreg || fn == bt_emit_pop_sreg ||
			fn == bt_emit_lxs)
			*ends = false;
		if (fn == bt_emit_sti || fn == bt_emit_cli ||
			fn == bt_emit_swapgs)
			*ends = false;
		return fn ? fn : bt_emit_interp_end;
	}
	return bt_class_plain(t, in);
}
