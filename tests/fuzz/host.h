/*
 * host.h - one instruction, on the host processor and in an engine.
 *
 * Both run it in ring 3 at the same linear addresses with the same registers
 * and memory; what comes of it is compared.  64-bit code, and 32-bit code
 * through the compatibility segment that Linux gives every process.
 */
#ifndef FUZZ_HOST_H
#define FUZZ_HOST_H

#include "cpu/engine.h"
#include "x86/decode.h"

/* Linear addresses, the same on both sides. */
#define HOST_CODE 0x10000000u /* a page, filled with INT3 around the code */
#define HOST_INSN (HOST_CODE + 0x800)
#define HOST_AREA                                                              \
	0x10010000u	       /* native side's own; not mapped in the engine  \
				*/
#define HOST_DATA  0x20000000u /* pages: writable, writable, read-only */
#define HOST_PAGES 3
#define HOST_BYTES (HOST_PAGES * 4096u)

struct host_case {
	unsigned mode; /* 4, 8 */
	uint8_t code[16];
	unsigned len;
	struct x86_insn insn;
	struct x86_state in; /* gpr, rflags, fpu are used */
	uint8_t data[HOST_BYTES];
};

struct host_result {
	bool faulted;
	uint8_t vector;
	uint32_t error;
	uint64_t cr2;
	uint64_t gpr[16], rip, rflags;
	struct x86_fpu fpu;
	uint8_t data[HOST_BYTES];
	bool ignore; /* says nothing: single step and the like */
};

/* host-native.c */
void host_native_init(void);
void host_native_run(const struct host_case *k, struct host_result *r);

/* host-engine.c */
int host_engine_init(const char *name);
const struct x86_cpu_model *host_engine_model(void);
void host_engine_run(const struct host_case *k, struct host_result *r);

/* host-make.c */
void host_seed(uint64_t seed);
uint64_t host_random(void);
/* Fill in the next case of the mode. */
void host_make(struct host_case *k, unsigned mode);

#endif
