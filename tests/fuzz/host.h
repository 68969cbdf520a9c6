/*
 * host.h - user-mode instructions, one or a block of them with its branches
 * and loops, on the host processor and in an engine.
 *
 * Both run them in ring 3 at the same linear addresses with the same registers
 * and memory; what comes of it is compared.  64-bit code, and 32- and 16-bit
 * code through the compatibility segments that Linux gives every process or
 * lets it make.
 *
 * Cases are run by the batch: host-driver.S goes from one to the next, storing
 * all registers and the memory that can be written behind each.  Memory is
 * what the cases before have left, with a few bytes patched.
 */
#ifndef FUZZ_HOST_H
#define FUZZ_HOST_H

#include <stddef.h>
#include <string.h>

#include "cpu/engine.h"
#include "host-layout.h"
#include "x86/decode.h"

/* Engines run it in ring 0, where only what does not depend on that is made. */
extern bool host_kernel;

#define HOST_INSN     (HOST_CODE + 0x800)
#define HOST_MAX_CODE 1024u
#define HOST_GS_BASE  0x40u /* in 64-bit code */

/* ---- segments (host-segs.c) ---- */

#define HOST_LDT_ENTRIES 15

struct host_segs {
	uint16_t sel[X86_NSEG];
	uint32_t base[X86_NSEG];
	bool narrow_stack; /* SS is a 16-bit segment */
};

extern struct host_segs host_segs; /* of the batch that is made or run */
void host_segs_choose(unsigned mode);
bool host_segs_init(void); /* the native side's table; false: forbidden */
uint64_t host_segs_descriptor(unsigned n);

/* ---- what is run ---- */

struct host_patch {
	uint64_t at, unused;
	uint8_t bytes[64];
};

/* One case as the driver reads it. */
struct host_in {
	uint64_t gpr[16], rflags;
	uint64_t go, far; /* where to jump; of 32-bit code in two steps */
	uint64_t skip;
	uint64_t unused[4];
	struct host_patch patch[HOST_PATCHES];
	_Alignas(64) uint8_t xsave[HOST_XSAVE];
};

struct host_case {
	unsigned mode; /* 2, 4, 8 */
	uint8_t code[HOST_MAX_CODE];
	unsigned len;
	uint32_t at;	      /* address of the code */
	bool block;	      /* several instructions */
	struct x86_insn insn; /* the only one */
	struct x86_state in;  /* gpr, rflags, fpu are used */
	struct host_patch patch[HOST_PATCHES];
};

struct host_batch {
	unsigned mode, n;
	struct host_case *c; /* HOST_BATCH */
	uint8_t data[HOST_BYTES];
	uint8_t code[HOST_CODE_BYTES], step[HOST_CODE_BYTES];
};

/* ---- what comes of it ---- */

struct host_fault {
	uint64_t vector, error, cr2, rip, rflags;
};

struct host_out {
	uint64_t gpr[16], rflags;
	uint64_t nfaults;
	uint64_t left; /* the last fault ended it, not the end of the code */
	uint64_t unused;
	struct host_fault fault[HOST_MAX_FAULTS];
	_Alignas(64) uint8_t xsave[HOST_XSAVE];
	uint8_t data[HOST_DATA_BYTES];
};

/* One page that driver and harness share. */
struct host_ctl {
	uint64_t in, out, end, finish, rax, go, far, rsp, mxcsr;
	uint64_t ss, ds, es, base; /* selectors; CS's base */
	uint64_t leave_cs, leave_ss;
};

#define HOST_AT(type, member, off)                                             \
	_Static_assert(offsetof(struct type, member) == (off), #member)
HOST_AT(host_in, rflags, IN_RFLAGS);
HOST_AT(host_in, go, IN_GO);
HOST_AT(host_in, far, IN_FAR);
HOST_AT(host_in, skip, IN_SKIP);
HOST_AT(host_in, patch, IN_PATCH);
HOST_AT(host_in, xsave, IN_XSAVE);
_Static_assert(sizeof(struct host_in) == IN_BYTES, "host_in");
HOST_AT(host_out, rflags, OUT_RFLAGS);
HOST_AT(host_out, nfaults, OUT_NFAULTS);
HOST_AT(host_out, left, OUT_LEFT);
HOST_AT(host_out, fault, OUT_FAULT);
HOST_AT(host_out, xsave, OUT_XSAVE);
HOST_AT(host_out, data, OUT_DATA);
_Static_assert(sizeof(struct host_out) == OUT_BYTES, "host_out");
HOST_AT(host_ctl, mxcsr, CTL_MXCSR - HOST_CTL);
HOST_AT(host_ctl, leave_ss, CTL_LEAVE_SS - HOST_CTL);

/* host-driver.S, and addresses of its labels where it is run */
extern const uint8_t host_driver[], host_driver_end[], host_driver_enter[],
	host_driver_far[], host_driver_leave[], host_driver_finish[],
	host_driver_fault[], host_driver_done[];
#define HOST_LABEL(x) (HOST_DRIVER + (uint64_t)(host_driver_##x - host_driver))

/* ---- the two sides ---- */

/* host-native.c.  The records are at HOST_IN and HOST_OUT.  Cases that say
 * nothing (single step and the like) have skip set behind it; b->n shrinks if
 * one does not end. */
void host_native_init(void);
void host_native_run(struct host_batch *b);

static inline struct host_in *host_native_in(void)
{
	return (struct host_in *)(uintptr_t)HOST_IN;
}

static inline struct host_out *host_native_out(void)
{
	return (struct host_out *)(uintptr_t)HOST_OUT;
}

/* host-engine.c.  NULL: not here. */
struct host_engine;
struct host_engine *host_engine_new(const char *name);
const struct x86_cpu_model *host_engine_model(void); /* of the first one */
/* What host_native_run has run; the records stay until the next run. */
const struct host_out *host_engine_run(
	struct host_engine *e, const struct host_batch *b);
const uint8_t *host_engine_constant(const struct host_engine *e); /* page */
/* Instructions that it interpreted so far. */
uint64_t host_engine_insns(const struct host_engine *e);
void host_engine_print_ops(const struct host_engine *e);

/* ---- making cases ---- */

/* host-make.c */
void host_seed(uint64_t seed);
uint64_t host_random(void);
/* Fill in the next case of the mode, for the address at. */
void host_make(struct host_case *k, unsigned mode, uint32_t at);
/* Its parts, for blocks. */
unsigned host_below(unsigned n);
bool host_chance(unsigned of);
uint64_t host_make_address(void);
uint64_t host_make_gpr(void);
void host_make_fpu(struct x86_fpu *f);
void host_make_patches(struct host_case *k);
void host_make_data(uint8_t data[HOST_BYTES]);
unsigned host_make_opcode(uint8_t *p, unsigned mode);
bool host_excluded(const struct x86_insn *i);
/* Some of the operations that bytes are decoded to too often are refused. */
bool host_wanted(unsigned op, unsigned mode);

/* host-block.c: the next block, and other inputs for the same one. */
void host_make_block(struct host_case *k, unsigned mode);
void host_make_block_inputs(struct host_case *k);

/* ---- comparing ---- */

/* host-compare.c: how many differences, printed if asked for */
struct host_judge {
	bool strict; /* undefined flags too */
	bool live;   /* in a fault's frame only flags that will be read */
};
unsigned host_compare(const struct host_judge *j, const struct host_case *k,
	const struct host_out *host, const struct host_out *engine, bool print);

#endif
