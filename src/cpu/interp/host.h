/*
 * host.h - rules common to all vector and x87 instructions.
 */
#ifndef CPU_INTERP_HOST_H
#define CPU_INTERP_HOST_H

#include "cpu/interp/ops.h"

/* Offsets in an FXSAVE64 image. */
enum {
	FX_FCW = 0,
	FX_FSW = 2,
	FX_FTW = 4,
	FX_FOP = 6,
	FX_FIP = 8,
	FX_FDP = 16,
	FX_MXCSR = 24,
	FX_ST0 = 32,
	FX_X87_END = 160,
};

#define FSW_ES	 0x0080
#define FSW_BUSY 0x8000
#define FSW_EXC	 0x003f /* IE DE ZE OE UE PE; the masks in FCW */

interp_inline uint16_t host_get16(const uint8_t *fx, unsigned off)
{
	uint16_t v;

	memcpy(&v, fx + off, 2);
	return v;
}

interp_inline uint64_t host_get64(const uint8_t *fx, unsigned off)
{
	uint64_t v;

	memcpy(&v, fx + off, 8);
	return v;
}

interp_inline void host_put16(uint8_t *fx, unsigned off, uint16_t v)
{
	memcpy(fx + off, &v, 2);
}

interp_inline void host_put64(uint8_t *fx, unsigned off, uint64_t v)
{
	memcpy(fx + off, &v, 8);
}

/* What every instruction that waits does first. */
interp_inline void host_wait(struct soft_cpu *c)
{
	if (interp_unlikely(
		    host_get16(c->st.fpu.fx, FX_FSW) & FSW_ES || c->ferr))
		soft_x87_error(c);
}

/* #UD, #NM and, if waiting, #MF by CR0, CR4, XCR0 and pending exceptions. */
void host_check(struct soft_cpu *c, const struct x86_insn *i, bool waiting);

/* Does it work on x87 or MMX state?  A conversion from memory does not. */
static inline bool host_uses_x87(const struct x86_insn *i)
{
	if (i->has_mem &&
		(i->op == X86_OP_CVTPI2PS || i->op == X86_OP_CVTPI2PD))
		return false;
	return i->def->attr & (X86_AT_X87 | X86_AT_MMX);
}

/* An MMX instruction makes all tags valid and TOP 0 (x87.c). */
void x87_enter_mmx(struct soft_cpu *c);

/* ---- memory under an opmask (mask.c) ---- */

/* Is any element selected? */
bool mask_any(const struct soft_cpu *c, const struct x86_insn *i);

/* Read the memory operand of size bytes into buf, only elements that the
 * opmask selects.  False if the whole operand is read whatever the mask. */
bool mask_load(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	uint8_t *buf);

/* Write those of n bytes whose bit in which is set; all are checked first. */
void mask_store(struct soft_cpu *c, const struct x86_insn *i, unsigned n,
	const uint8_t *buf, uint64_t which);

#endif
