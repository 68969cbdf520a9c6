/*
 * thunk.h - host code that carries out one guest vector or x87 instruction.
 */
#ifndef CPU_INTERP_THUNK_H
#define CPU_INTERP_THUNK_H

#include "cpu/interp/priv.h"

/*
 * What an instruction works on besides the vector and opmask registers, which
 * are taken from and put back to struct x86_fpu.
 */
struct thunk_frame {
	_Alignas(64) uint8_t mem[128]; /* the memory operand */
	_Alignas(64) uint8_t fx[512];  /* x87 state, as FXSAVE64 */
	uint64_t gpr[3];	       /* rAX or the operand, rCX, rDX */
	uint64_t flags;		       /* arithmetic flags */
	uint32_t mxcsr, host_mxcsr;
};

struct thunk {
	uint8_t key[16];      /* the rewritten instruction, its length last */
	const uint8_t *code;  /* NULL: empty */
	const uint8_t *insn;  /* the instruction in it */
	const uint8_t *fault; /* where to go on when it raises SIGFPE */
};

/*
 * The thunk of the instruction, made if it is new.  Operand: a general
 * register operand is in gpr[0]; otherwise gpr[] are rAX, rCX, rDX.  NULL if
 * the host gives no executable memory.
 */
const struct thunk *thunk_get(struct soft_cpu *c, const struct x86_insn *i);

/*
 * Run it.  False: it raised a SIMD floating-point exception; then nothing has
 * changed but f->mxcsr.
 */
bool thunk_run(
	const struct thunk *t, struct thunk_frame *f, struct x86_fpu *fpu);

void thunk_free(struct soft_cpu *c);

#endif
