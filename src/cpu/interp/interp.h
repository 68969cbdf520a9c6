/*
 * interp.h - carry out one guest instruction exactly.
 *
 * The reference for every other engine, and their fallback for what they do
 * not translate.
 */
#ifndef CPU_INTERP_INTERP_H
#define CPU_INTERP_INTERP_H

#include "cpu/soft/soft.h"
#include "x86/decode.h"

/*
 * Fetch, decode and carry out the instruction at CS:RIP, with breakpoints and
 * single-step traps.  REP string instructions run until done, until an event
 * is pending or a page's worth of iterations has passed; RIP then stays.  May
 * raise (unwinds to c->jmp): c->st is then as before the instruction, except
 * for completed iterations of string instructions.
 */
void interp_step(struct soft_cpu *c);

/* Carry out an already decoded instruction at st.rip.  May raise. */
void interp_exec(struct soft_cpu *c, const struct x86_insn *insn);

/* Free what the above keep for the processor; before soft_cpu_free(). */
void interp_cpu_fini(struct soft_cpu *c);

/*
 * Run up to max instructions from the current state, delivering exceptions
 * and (if events is true) external events at boundaries; stops early when
 * *exit must be returned to the run loop (returns true then).  *done counts
 * retired instructions, a delivered exception counting as one.
 */
bool interp_run(struct soft_cpu *c, uint64_t max, bool events, uint64_t *done,
	struct cpu_exit *exit);

/* REX.W, VEX.W or EVEX.W of a vector instruction where it is not ignored. */
bool interp_vex_w(const struct x86_insn *insn);

/* What a processor whose instructions the interpreter can carry out may claim
 * on this host. */
void interp_features(bool can[X86_NFEATURES]);

#endif
