/*
 * engine.h - the contract of an execution engine: something that runs
 * virtual processors.
 *
 * Who holds the truth: between cpu_new and cpu_free the engine does.  run()
 * and kick() apart, every call is made while the processor does not run, from
 * the thread that runs it, before that thread exists, or while it stands still
 * (vmm/runloop.c parks it).
 *
 * Port and memory-mapped I/O, interrupts, NMI, CPUID and MSRs are handled
 * inside run() through the bus; run() returns only for what the run loop must
 * decide.
 */
#ifndef CPU_ENGINE_H
#define CPU_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bus/bus.h"
#include "cpu/trace.h"
#include "x86/cpuid.h"
#include "x86/state.h"

struct cpu_vm; /* one machine in an engine; each engine has its own */
struct cpu;    /* one virtual processor in an engine */

enum cpu_exit_reason {
	CPU_EXIT_EVENT,	   /* a bus event that the run loop handles is pending
			      (BUS_EV_STOP, INIT, SIPI) */
	CPU_EXIT_HALT,	   /* activity is X86_ACT_HALT and nothing pends */
	CPU_EXIT_SHUTDOWN, /* triple fault */
	CPU_EXIT_DEBUG,	   /* what set_debug asked for: exit->debug */
	CPU_EXIT_DIFF,	   /* lockstep found a difference (printed) */
	CPU_EXIT_ERROR,	   /* the host failed: text in exit->text */
};

/* ---- a debugger outside the guest ---- */

enum cpu_break_kind {
	CPU_BREAK_EXEC,	  /* before the instruction at addr; len is 1 */
	CPU_BREAK_WRITE,  /* after a store that touches [addr, addr + len) */
	CPU_BREAK_READ,	  /* after a load */
	CPU_BREAK_ACCESS, /* after either */
	CPU_BREAK_STEP,	  /* only as the reason of an exit */
};

struct cpu_break {
	enum cpu_break_kind kind;
	gva_t addr; /* linear */
	unsigned len;
};

#define CPU_MAX_BREAKS 128

/*
 * None of this can be seen by the guest: its debug registers and its memory
 * stay as they are.
 *
 * step: run() carries out one instruction, or delivers the exception that it
 * raises, and comes back.  A repeated string instruction is
 * one.  Interrupts wait meanwhile, unless events.
 */
struct cpu_debug {
	struct cpu_break brk[CPU_MAX_BREAKS];
	unsigned nbrk;
	bool step, events;
};

struct cpu_exit {
	enum cpu_exit_reason reason;
	struct cpu_break debug; /* CPU_EXIT_DEBUG: which one; for data its addr
				   and len are the access's */
	bool masked; /* HALT with interrupts disabled: BUS_EV_INTR does not
			end it; do not wait for it */
	char text[512];
};

struct cpu_probe {
	bool usable;
	double mips; /* measured million guest instructions/s, 0 unknown */
	bool can[X86_NFEATURES]; /* CPUID features that it can give a guest */
	char why[256];		 /* why not usable, or what is notable */
	char fix[256];		 /* what the user can do about it, or "" */
};

struct cpu_vm_conf {
	const struct x86_cpu_model *model;
	bool kernel_irqchip; /* kvm only: in-kernel interrupt controllers */
	uint64_t code_cache_bytes; /* bt: bound of the code cache, 0 default */
	int dev_kvm; /* kvm: /dev/kvm, opened before (stays the caller's); 0 =
			open it */
};

/* A counter, shown as "group.name value".  Both strings are static.  Groups:
 * exit, exception, tlb, interpreted (by operation), code, cache, time. */
struct cpu_stat {
	const char *group, *name;
	uint64_t value;
};

#define CPU_STATS_MAX 2048 /* more than any engine has */

/* A list being filled: entries that list[] has no room for are counted in n
 * and left out. */
struct cpu_stats {
	struct cpu_stat *list;
	unsigned room, n;
};

static inline void cpu_stats_add(struct cpu_stats *s, const char *group,
	const char *name, uint64_t value)
{
	if (s->n < s->room)
		s->list[s->n] = (struct cpu_stat){group, name, value};
	s->n++;
}

/* What a processor is doing right now, for samples of where time goes. */
enum cpu_where {
	CPU_IN_GUEST,  /* guest code, or its translation */
	CPU_IN_ENGINE, /* emulation, translation, devices */
	CPU_OUTSIDE,   /* not in run(): halted or stopped */
	CPU_NWHERE,
};

enum cpu_dirty {
	CPU_DIRTY_START,
	CPU_DIRTY_FETCH,
	CPU_DIRTY_STOP,
};

struct cpu_engine {
	const char *name;

	/* May this host use the engine, how fast is it?  About a millisecond,
	 * a few hundred on an emulated KVM; never aborts. */
	void (*probe)(struct cpu_probe *out);

	/* 0 or -errno with one line in err[errsize]. */
	int (*vm_new)(struct cpu_vm **out, struct bus *bus,
		const struct cpu_vm_conf *conf, char *err, unsigned errsize);
	void (*vm_free)(struct cpu_vm *vm);

	/* Binds bc->kick to the new processor; cpu_free unbinds it if it still
	 * is this processor's. */
	int (*cpu_new)(struct cpu **out, struct cpu_vm *vm, struct bus_cpu *bc,
		char *err, unsigned errsize);
	void (*cpu_free)(struct cpu *cpu);

	/* Run until something for the run loop happens. */
	void (*run)(struct cpu *cpu, struct cpu_exit *exit);

	void (*get)(struct cpu *cpu, struct x86_state *s);
	/* 0 or -EINVAL if the state is not one that the engine can hold. */
	int (*set)(struct cpu *cpu, const struct x86_state *s);

	/* The guest's time stood still meanwhile: by ticks of the host's TSC.
	 * NULL: by get and set. */
	void (*shift_tsc)(struct cpu *cpu, uint64_t ticks);

	/* The dirty log (bus_dirty_*) starts, is to be fetched, or stops.  All
	 * processors stand, the bus lock is held.  0 or -errno: start only. */
	int (*dirty)(struct cpu_vm *vm, enum cpu_dirty what);

	/* What the debugger wants of this processor from its next run() on;
	 * copied.  NULL: there is none.  Also from another thread while the
	 * processor's own stands still.  0, or -ENOSPC if there are more
	 * breakpoints than the engine has.  The member is NULL if an engine
	 * cannot be debugged. */
	int (*set_debug)(struct cpu *cpu, const struct cpu_debug *d);
	unsigned max_breaks; /* at most CPU_MAX_BREAKS */
	/* Can it have this one?  NULL: any. */
	bool (*can_break)(const struct cpu_break *b);

	/* Record into *t, which stays the caller's, from the next run() on;
	 * NULL: no more.  Threads as for set_debug.  NULL: cannot. */
	void (*set_trace)(struct cpu *cpu, struct cpu_trace *t);

	/* Counters of one processor, and those that all share (may be NULL).
	 * Any thread; they are read without stopping anything. */
	void (*stats)(struct cpu *cpu, struct cpu_stats *out);
	void (*vm_stats)(struct cpu_vm *vm, struct cpu_stats *out);

	/* Any thread. */
	enum cpu_where (*where)(struct cpu *cpu);
};

extern const struct cpu_engine cpu_interp, cpu_bt, cpu_kvm, cpu_lockstep;

/* NULL-terminated table of the above, and look-up by name. */
extern const struct cpu_engine *const cpu_engines[];
const struct cpu_engine *cpu_engine_find(const char *name);

/* The fastest, by what these two said of themselves; reason (one line) into
 * why. Never NULL: the interpreter is always there. */
const struct cpu_engine *cpu_engine_choose(const struct cpu_probe *kvm,
	const struct cpu_probe *bt, char *why, unsigned size);

#endif
