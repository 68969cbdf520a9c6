/*
 * host.h - one instruction, or a block of them with its branches and loops, on
 * the host processor and in an engine.
 *
 * Both run it in ring 3 at the same linear addresses with the same registers
 * and memory; what comes of it is compared.  64-bit code, and 32-bit code
 * through the compatibility segment that Linux gives every process.
 */
#ifndef FUZZ_HOST_H
#define FUZZ_HOST_H

#include <string.h>

#include "cpu/engine.h"
#include "x86/decode.h"

/* Linear addresses, the same on both sides. */
#define HOST_CODE	0x50000000u /* two pages, INT3 around the code */
#define HOST_CODE_BYTES 8192u
#define HOST_INSN	(HOST_CODE + 0x800)
#define HOST_AREA	0x50010000u	    /* the native side's own */
#define HOST_LEAVE	(HOST_AREA + 1024u) /* where the code goes at its end */
#define HOST_DATA	0x20000000u /* pages: writable, writable, read-only */
#define HOST_PAGES	3
#define HOST_BYTES	(HOST_PAGES * 4096u)

#define HOST_MAX_CODE 1024u
#define HOST_GS_BASE  0x40u /* in 64-bit code */

struct host_case {
	unsigned mode; /* 4, 8 */
	uint8_t code[HOST_MAX_CODE];
	unsigned len;
	uint32_t at;	      /* address of the code */
	bool block;	      /* several instructions */
	struct x86_insn insn; /* the only one */
	struct x86_state in;  /* gpr, rflags, fpu are used */
	uint8_t data[HOST_BYTES];
};

struct host_result {
	bool faulted;
	uint8_t vector; /* if not faulted, rip is at + len */
	uint32_t error;
	uint64_t cr2;
	uint64_t gpr[16], rip, rflags;
	struct x86_fpu fpu;
	uint8_t data[HOST_BYTES];
	bool ignore; /* says nothing: single step and the like */
};

/* Bytes that follow the code: a jump to HOST_LEAVE. */
#define HOST_EXIT_BYTES 14
static inline void host_put_exit(uint8_t *p, unsigned mode)
{
	uint32_t to = HOST_LEAVE;

	memset(p, 0, HOST_EXIT_BYTES);
	if (mode == 8) { /* jmp [rip] */
		p[0] = 0xff;
		p[1] = 0x25;
		memcpy(p + 6, &to, 4);
	} else { /* jmp 0x33:leave */
		p[0] = 0xea;
		memcpy(p + 1, &to, 4);
		p[5] = 0x33;
	}
}

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
/* Its parts, for blocks. */
unsigned host_below(unsigned n);
bool host_chance(unsigned of);
uint64_t host_make_address(void);
uint64_t host_make_gpr(void);
void host_make_fpu(struct x86_fpu *f);
void host_make_data(struct host_case *k);
unsigned host_make_opcode(uint8_t *p, unsigned mode);
bool host_excluded(const struct x86_insn *i);

/* host-block.c: the next block, and other inputs for the same one. */
void host_make_block(struct host_case *k, unsigned mode);
void host_make_block_inputs(struct host_case *k);

/* host-compare.c: how many differences, printed if asked for */
struct host_judge {
	bool strict; /* undefined flags too */
	bool live;   /* in a fault's frame only flags that will be read */
};
unsigned host_compare(const struct host_judge *j, const struct host_case *k,
	struct host_result *h, struct host_result *e, bool print);

#endif
