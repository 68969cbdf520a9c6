/*
 * trace.h - the last things that a processor did: a ring that its thread
 * writes and that is read while it stands.
 */
#ifndef CPU_TRACE_H
#define CPU_TRACE_H

#include <stdbool.h>
#include <stdint.h>

enum cpu_trace_kind {
	CPU_TRACE_INSN, /* a, b: 16 bytes from rip on; size: 2, 4, 8 (mode) */
	CPU_TRACE_INTERRUPT,  /* a: vector */
	CPU_TRACE_EXCEPTION,  /* a: vector, INT n included; b: error code */
	CPU_TRACE_PAGE_FAULT, /* a: address, b: error code */
	CPU_TRACE_CR,	      /* written; a: number, b: value */
	CPU_TRACE_RDMSR,      /* a: number */
	CPU_TRACE_WRMSR,      /* a: number, b: value */
	CPU_TRACE_IN,	      /* a: port, b: value */
	CPU_TRACE_OUT,
	CPU_TRACE_READ, /* MMIO; a: physical address, b: value */
	CPU_TRACE_WRITE,
	CPU_TRACE_CPUID, /* a: leaf, b: subleaf */
	CPU_TRACE_HALT,
	CPU_TRACE_NKINDS,
};

struct cpu_trace_event {
	uint64_t tsc; /* the host's */
	uint64_t rip; /* of the instruction, or where an event interrupts */
	uint64_t a, b;
	uint8_t kind, size, cpl;
};

struct cpu_trace {
	bool insns;    /* instructions too */
	uint64_t mask; /* number of events in ring - 1 */
	uint64_t next; /* events so far */
	struct cpu_trace_event ring[];
};

#endif
