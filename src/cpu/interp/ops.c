/*
 * ops.c - which function carries out which operation.
 *
 * Vector and x87 operations that are not listed are executed by the host
 * (host.c); whatever else is missing is #UD.
 */
#include "cpu/interp/ops.h"

#define SEQ(op, f) [X86_OP_##op] = {{interp_op_##f}, false}
#define OWN(op, f) [X86_OP_##op] = {{interp_op_##f}, true}
#define SIZED(op, f)                                                           \
	[X86_OP_##op] = {{interp_op_##f##1, interp_op_##f##2,                  \
				 interp_op_##f##4, interp_op_##f##8},          \
		false}

const struct interp_op interp_ops[X86_NOPS] = {
	SIZED(ADD, add),
	SIZED(OR, or),
	SIZED(ADC, adc),
	SIZED(SBB, sbb),
	SIZED(AND, and),
	SIZED(SUB, sub),
	SIZED(XOR, xor),
	SIZED(CMP, cmp),
	SIZED(INC, inc),
	SIZED(DEC, dec),
	SIZED(NEG, neg),
	SIZED(NOT, not ),
	SIZED(TEST, test),
	SIZED(XADD, xadd),
	SEQ(CMPXCHG, cmpxchg),
	SEQ(CMPXCHG8B, cmpxchg8b),
	SEQ(CMPXCHG16B, cmpxchg16b),
	SEQ(ADCX, adcx),
	SEQ(ADOX, adox),

	SIZED(ROL, rol),
	SIZED(ROR, ror),
	SIZED(RCL, rcl),
	SIZED(RCR, rcr),
	SIZED(SHL, shl),
	SIZED(SHR, shr),
	SIZED(SAR, sar),
	SEQ(SHLD, shld),
	SEQ(SHRD, shrd),

	SEQ(MUL, mul),
	SEQ(IMUL, imul),
	SEQ(MULX, mulx),
	SEQ(DIV, div),
	SEQ(IDIV, idiv),

	SEQ(BT, bt),
	SEQ(BTS, bts),
	SEQ(BTR, btr),
	SEQ(BTC, btc),
	SEQ(BSF, bsf),
	SEQ(BSR, bsr),
	SEQ(TZCNT, tzcnt),
	SEQ(LZCNT, lzcnt),
	SEQ(POPCNT, popcnt),
	SEQ(CRC32, crc32),

	SEQ(ANDN, andn),
	SEQ(BEXTR, bextr),
	SEQ(BLSI, blsi),
	SEQ(BLSMSK, blsmsk),
	SEQ(BLSR, blsr),
	SEQ(BZHI, bzhi),
	SEQ(PDEP, pdep),
	SEQ(PEXT, pext),
	SEQ(RORX, rorx),
	SEQ(SARX, sarx),
	SEQ(SHLX, shlx),
	SEQ(SHRX, shrx),

	SIZED(MOV, mov),
	SIZED(MOVNTI, mov),
	SIZED(MOVDIRI, mov),
	SEQ(MOVZX, movzx),
	SEQ(MOVSX, movsx),
	SEQ(MOVSXD, movsx),
	SEQ(MOVBE, movbe),
	SEQ(BSWAP, bswap),
	SEQ(XCHG, xchg),
	SEQ(LEA, lea),
	SEQ(CMOVCC, cmovcc),
	SEQ(SETCC, setcc),
	SEQ(CBW, cbw),
	SEQ(CWD, cwd),
	SEQ(XLAT, xlat),
	SEQ(LAHF, lahf),
	SEQ(SAHF, sahf),
	SEQ(SALC, salc),
	SEQ(CLC, clc),
	SEQ(STC, stc),
	SEQ(CMC, cmc),
	SEQ(CLD, cld),
	SEQ(STD, std),
	SEQ(MOV_SREG, mov_sreg),
	SEQ(LES, les),
	SEQ(LDS, lds),
	SEQ(LSS, lss),
	SEQ(LFS, lfs),
	SEQ(LGS, lgs),
	SEQ(MOVDIR64B, movdir64b),
	SEQ(CLZERO, clzero),

	SEQ(PUSH, push),
	SEQ(POP, pop),
	SEQ(PUSH_SREG, push_sreg),
	SEQ(POP_SREG, pop_sreg),
	SEQ(PUSHA, pusha),
	SEQ(POPA, popa),
	SEQ(PUSHF, pushf),
	SEQ(POPF, popf),
	SEQ(ENTER, enter),
	SEQ(LEAVE, leave),

	OWN(JCC, jcc),
	OWN(JMP_REL, jmp_rel),
	OWN(JMP_IND, jmp_ind),
	OWN(CALL_REL, call_rel),
	OWN(CALL_IND, call_ind),
	OWN(RET, ret),
	OWN(JCXZ, jcxz),
	OWN(LOOP, loop),
	OWN(LOOPE, loope),
	OWN(LOOPNE, loopne),
	OWN(JMP_FAR, jmp_far),
	OWN(JMP_FARM, jmp_farm),
	OWN(CALL_FAR, call_far),
	OWN(CALL_FARM, call_farm),
	OWN(RETF, retf),
	OWN(IRET, iret),
	OWN(INT, int),
	OWN(INT3, int3),
	OWN(INT1, int1),
	OWN(INTO, into),
	OWN(SYSCALL, syscall),
	OWN(SYSRET, sysret),
	OWN(SYSENTER, sysenter),
	OWN(SYSEXIT, sysexit),
	SEQ(BOUND, bound),

	OWN(MOVS, movs),
	OWN(CMPS, cmps),
	OWN(SCAS, scas),
	OWN(LODS, lods),
	OWN(STOS, stos),
	OWN(INS, ins),
	OWN(OUTS, outs),
	SEQ(IN, in),
	SEQ(OUT, out),

	SEQ(DAA, daa),
	SEQ(DAS, das),
	SEQ(AAA, aaa),
	SEQ(AAS, aas),
	SEQ(AAM, aam),
	SEQ(AAD, aad),

	SEQ(ARPL, arpl),
	SEQ(LAR, lar),
	SEQ(LSL, lsl),
	SEQ(VERR, verr),
	SEQ(VERW, verw),
	SEQ(SLDT, sldt),
	SEQ(STR, str),
	SEQ(LLDT, lldt),
	SEQ(LTR, ltr),
	SEQ(SGDT, sgdt),
	SEQ(SIDT, sidt),
	SEQ(LGDT, lgdt),
	SEQ(LIDT, lidt),
	SEQ(SMSW, smsw),
	SEQ(LMSW, lmsw),
	SEQ(CLTS, clts),
	SEQ(MOV_CR, mov_cr),
	SEQ(MOV_DR, mov_dr),
	SEQ(INVLPG, invlpg),
	SEQ(INVPCID, invpcid),
	SEQ(CLFLUSH, clflush),
	SEQ(CLFLUSHOPT, clflush),
	SEQ(CLWB, clflush),
	SEQ(RDMSR, rdmsr),
	SEQ(WRMSR, wrmsr),
	SEQ(RDTSC, rdtsc),
	SEQ(RDTSCP, rdtscp),
	SEQ(RDPMC, rdpmc),
	SEQ(RDPID, rdpid),
	SEQ(CPUID, cpuid),
	SEQ(RDRAND, rdrand),
	SEQ(RDSEED, rdrand),
	SEQ(RDFSBASE, rdfsbase),
	SEQ(RDGSBASE, rdgsbase),
	SEQ(WRFSBASE, wrfsbase),
	SEQ(WRGSBASE, wrgsbase),
	SEQ(SWAPGS, swapgs),
	SEQ(CLI, cli),
	SEQ(STI, sti),
	SEQ(CLAC, clac),
	SEQ(STAC, stac),
	SEQ(RDPKRU, rdpkru),
	SEQ(WRPKRU, wrpkru),
	SEQ(HLT, hlt),
	SEQ(VMCALL, hypercall),
	SEQ(VMMCALL, hypercall),
	SEQ(MONITOR, monitor),
	SEQ(MONITORX, monitor),
	SEQ(MWAIT, mwait),
	SEQ(MWAITX, mwait),
	SEQ(UMONITOR, umonitor),
	SEQ(UMWAIT, umwait),
	SEQ(TPAUSE, umwait),
	OWN(XBEGIN, xbegin),
	SEQ(XEND, xend),
	SEQ(XTEST, xtest),

	SEQ(FXSAVE, fxsave),
	SEQ(FXRSTOR, fxrstor),
	SEQ(XSAVE, xsave),
	SEQ(XSAVEOPT, xsaveopt),
	SEQ(XSAVEC, xsavec),
	SEQ(XSAVES, xsaves),
	SEQ(XRSTOR, xrstor),
	SEQ(XRSTORS, xrstors),
	SEQ(XGETBV, xgetbv),
	SEQ(XSETBV, xsetbv),

	SEQ(LDMXCSR, ldmxcsr),
	SEQ(STMXCSR, stmxcsr),
	SEQ(VZEROUPPER, vzeroupper),
	SEQ(VZEROALL, vzeroall),
	SEQ(MASKMOVQ, maskmov),
	SEQ(MASKMOVDQU, maskmov),
	SEQ(VMASKMOVPS, vmaskmov),
	SEQ(VMASKMOVPD, vmaskmov),
	SEQ(VPMASKMOVD, vmaskmov),
	SEQ(VPMASKMOVQ, vmaskmov),
	SEQ(VPGATHERDD, gather),
	SEQ(VPGATHERDQ, gather),
	SEQ(VPGATHERQD, gather),
	SEQ(VPGATHERQQ, gather),
	SEQ(VGATHERDPS, gather),
	SEQ(VGATHERDPD, gather),
	SEQ(VGATHERQPS, gather),
	SEQ(VGATHERQPD, gather),
	SEQ(VPSCATTERDD, scatter),
	SEQ(VPSCATTERDQ, scatter),
	SEQ(VPSCATTERQD, scatter),
	SEQ(VPSCATTERQQ, scatter),
	SEQ(VSCATTERDPS, scatter),
	SEQ(VSCATTERDPD, scatter),
	SEQ(VSCATTERQPS, scatter),
	SEQ(VSCATTERQPD, scatter),

	SEQ(WAIT, wait),
	SEQ(FNCLEX, fnclex),
	SEQ(FNINIT, fninit),
	SEQ(FNSTSW, fnstsw),
	SEQ(FNSTCW, fnstcw),
	SEQ(FNSTENV, fnstenv),
	SEQ(FNSAVE, fnsave),
	SEQ(FLDENV, fldenv),
	SEQ(FRSTOR, frstor),
	SEQ(FNENI, x87_nop),
	SEQ(FNDISI, x87_nop),
	SEQ(FNSETPM, x87_nop),

	SEQ(NOP, nop),
	SEQ(PAUSE, nop),
	SEQ(HINT_NOP, nop),
	SEQ(ENDBR32, nop),
	SEQ(ENDBR64, nop),
	SEQ(INVD, nop),
	SEQ(WBINVD, nop),
	SEQ(WBNOINVD, nop),
	SEQ(CLDEMOTE, nop),
	SEQ(SERIALIZE, nop),
	SEQ(PREFETCHNTA, nop),
	SEQ(PREFETCHT0, nop),
	SEQ(PREFETCHT1, nop),
	SEQ(PREFETCHT2, nop),
	SEQ(PREFETCHW, nop),
	SEQ(PREFETCHWT1, nop),
	SEQ(PREFETCH, nop),
	SEQ(PREFETCH_RSV, nop),
	SEQ(LFENCE, nop),
	SEQ(MFENCE, nop),
	SEQ(SFENCE, nop),
	SEQ(XABORT, nop),
	SEQ(XSUSLDTRK, nop),
	SEQ(XRESLDTRK, nop),
	SEQ(PTWRITE, nop),
};

/* ---- choice ---- */

static interp_fn *ops_function(const struct x86_insn *i)
{
	const struct interp_op *op = &interp_ops[i->op];

	if (!op->fn[0])
		return i->def->attr & (X86_AT_X87 | X86_AT_VECTOR)
			       ? interp_op_host
			       : interp_op_ud;
	return op->fn[1] ? op->fn[interp_size_log2(i->opnd[0].size)]
			 : op->fn[0];
}

/* Operations that depend on the mode or the privilege level. */
static void ops_guarded(struct soft_cpu *c, const struct x86_insn *i)
{
	uint32_t attr = i->def->attr;

	if (attr & X86_AT_PROT && (!c->protected_mode || c->v86))
		soft_raise(c, X86_UD);
	if (attr & X86_AT_PRIV && c->cpl) {
		bool ud = i->op == X86_OP_MONITOR || i->op == X86_OP_MWAIT ||
			  i->op == X86_OP_CLAC || i->op == X86_OP_STAC;

		if (ud)
			soft_raise(c, X86_UD);
		soft_raise_err(c, X86_GP, 0);
	}
	if (attr & X86_AT_UMIP && c->cpl && c->st.cr4 & X86_CR4_UMIP)
		soft_raise_err(c, X86_GP, 0);
	ops_function(i)(c, i);
}

interp_fn *interp_select(struct soft_cpu *c, struct x86_insn *i, bool *own_rip)
{
	*own_rip = false;
	if (!x86_insn_fit(i, c->vm->model))
		return interp_op_ud;
	*own_rip = interp_ops[i->op].own_rip;
	if (i->def->attr & (X86_AT_PROT | X86_AT_PRIV | X86_AT_UMIP))
		return ops_guarded;
	return ops_function(i);
}
