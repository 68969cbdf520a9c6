/* priv.h - what the files of kvm/ share. */
#ifndef CPU_KVM_PRIV_H
#define CPU_KVM_PRIV_H

#include <linux/kvm.h>

#include "cpu/kvm/kvm.h"

#define KVM_MAX_SLOTS	64
#define KVM_MAX_BREAKS	4
#define KVM_XSAVE_BYTES 4096

enum kvm_counter {
	KVM_CNT_EXIT,
	KVM_CNT_IO_IN,
	KVM_CNT_IO_OUT,
	KVM_CNT_MMIO,
	KVM_CNT_HLT,
	KVM_CNT_RDMSR,
	KVM_CNT_WRMSR,
	KVM_CNT_WINDOW,
	KVM_CNT_KICK,
	KVM_CNT_INTERRUPT,
	KVM_CNT_NMI,
	KVM_NCOUNTERS,
};

struct cpu_vm {
	struct bus *bus;
	const struct x86_cpu_model *model;
	int sys, fd;
	size_t run_bytes;
	bool irqchip, log_dirty;
	bool user_msr; /* unknown MSRs come to us */
	struct bus_listener listener;
	struct bus_range slots[KVM_MAX_SLOTS]; /* what each slot maps now */
};

struct cpu {
	struct cpu_vm *vm;
	struct bus_cpu *bc;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	_Atomic(bool) in_run;
	bool incomplete; /* the last exit's result is not yet in the state */
	struct x86_state extra; /* fields that KVM does not hold */
	struct {		/* what set_debug asked for */
		struct cpu_break brk[KVM_MAX_BREAKS];
		unsigned set; /* bits: those that KVM looks for */
		bool step, hold;
		uint64_t pc; /* where the last step ended, or began */
	} debug;
	/* Statistics, written by this processor's thread only. */
	uint64_t counters[KVM_NCOUNTERS];
	_Atomic(uint8_t) where; /* enum cpu_where */
};

/* ioctl that gives -errno instead of -1. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

/* memory.c: make KVM's slots equal the bus's map.  Lock held. */
void kvm_memory_sync(struct cpu_vm *vm);
int kvm_memory_dirty(struct cpu_vm *vm, enum cpu_dirty what);

/* state.c */
void kvm_state_get(struct cpu *c, struct x86_state *s);
int kvm_state_set(struct cpu *c, const struct x86_state *s);
/* Tell the bus how this processor's TSC differs from the host's. */
void kvm_tsc_tell(struct cpu *c);
void kvm_shift_tsc(struct cpu *c, uint64_t ticks);
int kvm_state_cpuid(struct cpu *c);

/* vcpu.c */
void kvm_cpu_run(struct cpu *c, struct cpu_exit *exit);
void kvm_cpu_kick(void *opaque);
void kvm_cpu_finish_exit(struct cpu *c);

/* debug.c */
int kvm_set_debug(struct cpu *c, const struct cpu_debug *d);
bool kvm_can_break(const struct cpu_break *b);
/* True if run() must return. */
bool kvm_exit_debug(struct cpu *c, struct cpu_exit *exit);

/* probe.c */
void kvm_probe(struct cpu_probe *out);

#endif
