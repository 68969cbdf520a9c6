/*
 * soft.h - the processor in software: what interp and bt share.
 *
 * A struct soft_cpu is one virtual processor whose instructions are carried
 * out by this process.  soft/ has everything that is not the meaning of a
 * single instruction: translation of addresses, segment loads, delivery of
 * exceptions and interrupts, far transfers and task switches, MSRs and CRs.
 *
 * Exceptions: any function here marked "may raise" leaves by soft_raise*(),
 * which unwinds to the setjmp in the engine's run loop.  Until then st must be
 * the state at the beginning of the faulting instruction: whoever carries out
 * an instruction commits registers only after the last thing that may raise.
 *
 * bt addresses this struct through host RSP, so st.gpr stays at offset 0, and
 * keeps its stack below it (soft_cpu_alloc leaves room).
 */
#ifndef CPU_SOFT_SOFT_H
#define CPU_SOFT_SOFT_H

#include <setjmp.h>

#include "cpu/engine.h"
#include "x86/decode.h"

/* ---- the software TLB ---- */

/*
 * One array per access and mode.  An entry hits a access of n bytes at linear
 * address a if (a ^ tag) <= 4096 - n (unsigned 64-bit): same page, no page
 * crossing.  Then host = a + addend.  Empty: tag = soft_tlb_empty(index), which
 * never hits: the addresses around it belong to another index.  It is 0 for all
 * but the first, so that an array that nobody uses takes no memory.  Pages that
 * are not memory, for writes pages that hold translated code, and for accesses
 * that a data breakpoint in the page watches, never get an entry. A and D bits
 * are set before an entry is made (write entries only after D is set).
 */
#define SOFT_TLB_BITS 14
#define SOFT_TLB_SIZE (1u << SOFT_TLB_BITS)

struct soft_tlb_entry {
	uint64_t tag;
	uintptr_t addend; /* EXEC: host address of the page instead */
	uintptr_t host;	  /* host address of the page: host + (a ^ tag) */
	uint64_t unused;  /* makes the size a power of two */
};

enum soft_access { SOFT_READ, SOFT_WRITE, SOFT_EXEC, SOFT_NACCESS };

/*
 * Whose rights an access has.  KERNEL_AC: CPL < 3 and EFLAGS.AC = 1, matters
 * with CR4.SMAP.  Implicit supervisor accesses (GDT, IDT, TSS) use KERNEL.
 * USER_AC: CPL 3 with alignment checking on; its READ and WRITE arrays are
 * never filled, so every access takes the slow way, which looks.
 */
enum soft_mode {
	SOFT_KERNEL,
	SOFT_KERNEL_AC,
	SOFT_USER,
	SOFT_USER_AC,
	SOFT_NMODES
};

#define SOFT_TLB_JOURNAL 8192
#define SOFT_EXEC_PAGES	 4

/* Hashed sets of addresses filled since the flush that concerns them: 4 KiB
 * pages of code (of the kernel's modes, of the user's), 2 MiB and 1 GiB regions
 * mapped by large pages. */
struct soft_tlb_seen {
	uint64_t exec[2][64], large[64], giant;
};

static inline unsigned soft_tlb_index(gva_t a)
{
	return (a >> 12) & (SOFT_TLB_SIZE - 1);
}

static inline uint64_t soft_tlb_empty(unsigned index)
{
	return (uint64_t)!index << 12;
}

/* ---- the processor ---- */

struct soft_vm {
	struct bus *bus;
	const struct x86_cpu_model *model;
	const struct bus_ram *ram;
	/* Addresses translated host = ram_host + offset.  Differs from
	 * ram->host in the follower of a lockstep pair. */
	uint8_t *ram_host;
	_Atomic(uint8_t) *page_flags; /* bus_page_flags() */
	struct soft_cpu *cpus[BUS_MAX_CPUS];
	unsigned ncpus;
	bool amd; /* the model's vendor is AMD or Hygon */
	/* XSAVE layout: offset and size of each component */
	struct {
		uint32_t off, bytes;
		bool align;
	} xsave[64];
	/* Held for LOCKed accesses that the host cannot make as one; alone:
	 * no other processor runs meanwhile (lock.c). */
	pthread_mutex_t bus_lock;
	_Atomic(bool) alone;
	struct bus_listener listener;
	/* Per RAM page the TLB indices of its write entries, plus one, in two
	 * halves; ~0: more than two.  Only bt has it. */
	uint32_t *write_slots;
	/* bt hooks; NULL in a pure interpreter.  A store through
	 * soft_store* or a DMA hit a page with BUS_PAGE_CODE. */
	void (*code_written)(struct soft_vm *vm, struct soft_cpu *cpu,
		uint64_t ram_offset, unsigned len);
};

/*
 * Where input that is not a function of the state comes from.  NULL = the
 * machine's bus and clock.  Lockstep records through one and replays through
 * another.
 */
struct soft_env {
	uint64_t (*mmio_read)(struct soft_cpu *c, gpa_t gpa, unsigned size);
	void (*mmio_write)(
		struct soft_cpu *c, gpa_t gpa, unsigned size, uint64_t val);
	uint32_t (*io_read)(struct soft_cpu *c, uint16_t port, unsigned size);
	void (*io_write)(
		struct soft_cpu *c, uint16_t port, unsigned size, uint32_t val);
	uint64_t (*rdtsc)(struct soft_cpu *c); /* host TSC, without offset */
	int (*ack_interrupt)(struct soft_cpu *c);
	bool (*rdmsr)(struct soft_cpu *c, uint32_t msr, uint64_t *val);
	bool (*wrmsr)(struct soft_cpu *c, uint32_t msr, uint64_t val);
	uint8_t (*get_tpr)(struct soft_cpu *c);
	void (*set_tpr)(struct soft_cpu *c, uint8_t cr8);
	uint64_t (*random)(struct soft_cpu *c); /* RDRAND, RDSEED */
	int64_t (*hypercall)(struct soft_cpu *c, uint64_t nr,
		const uint64_t arg[4], bool wide);
	bool (*x87_error)(struct soft_cpu *c, bool pending);
};

struct soft_fault {
	uint8_t vector; /* SOFT_NO_EVENT: the instruction only begins again */
	bool has_error;
	bool soft_int; /* INT n, INT3, INTO: return address after it */
	bool ext;      /* raised while delivering an external event */
	uint32_t error;
	uint64_t cr2; /* #PF: committed to CR2 on delivery */
	uint64_t dr6; /* #DB: bits to merge into DR6 on delivery */
};

#define SOFT_NO_EVENT 0xff

enum soft_counter {
	SOFT_CNT_TLB_READ, /* misses */
	SOFT_CNT_TLB_WRITE,
	SOFT_CNT_TLB_EXEC,
	SOFT_CNT_TLB_FLUSH,
	SOFT_CNT_TLB_FLUSH_PAGE,
	SOFT_CNT_MMIO,
	SOFT_CNT_IO_IN,
	SOFT_CNT_IO_OUT,
	SOFT_CNT_RDMSR,
	SOFT_CNT_WRMSR,
	SOFT_CNT_CR,
	SOFT_CNT_CPUID,
	SOFT_CNT_HLT,
	SOFT_CNT_INTERRUPT,
	SOFT_CNT_NMI,
	SOFT_CNT_TASK_SWITCH,
	SOFT_NCOUNTERS,
};

#define SOFT_ENGINE_AREA_BYTES (8400u << 10)

struct soft_cpu {
	struct x86_state st; /* first: see head comment */

	/* Derived from st; soft_update_mode() recomputes after any change of
	 * CR0, CR4, EFER, CS, SS, RFLAGS.VM/AC. */
	uint8_t cpl;
	uint8_t code_size;  /* 2, 4, 8: decoding mode */
	uint8_t stack_size; /* 2, 4, 8: stack pointer width */
	uint8_t tlb_mode;   /* enum soft_mode of ordinary data accesses */
	bool long_mode;	    /* EFER.LMA */
	bool code64;	    /* long_mode and CS.L */
	bool pae, paging, protected_mode, v86;
	uint8_t insn_bp;   /* DR7 enables an instruction breakpoint */
	uint8_t data_bp;   /* DR7 enables a data or I/O breakpoint */
	uint8_t bp_acc[4]; /* of DR7's data breakpoints: 1 << enum
			      soft_access for those that meet them */
	uint8_t debug;	   /* SOFT_DBG_*: call soft_poll before instructions */
	uint8_t phys_bits;
	gpa_t a20;	   /* bus_a20_mask() at the last flush */
	uint64_t mode_key; /* the bits that TLB entries depend on */

	_Atomic(bool) inside; /* between soft_come_in and soft_go_out */
	struct bus_cpu *bc;
	struct soft_vm *vm;
	struct bus *bus;
	const struct soft_env *env;
	void *env_opaque;

	/* Exceptions in flight. */
	void *jmp[5]; /* __builtin_setjmp buffer of the run loop */
	struct soft_fault fault;
	bool delivering; /* inside event delivery: faults combine to #DF */
	uint8_t delivering_vector;
	uint8_t ext;	 /* EXT bit of error codes raised now */
	bool bp_inhibit; /* MOV SS shadow covers this instruction */
	bool tf_done;	 /* this instruction ended stepping: no BS trap */
	bool ferr;	 /* FERR# is asserted */
	struct soft_fault event; /* what is being delivered */
	uint64_t db_pending;	 /* data breakpoints hit by this instruction, as
				    DR6 bits; a trap after it completes */

	struct cpu_trace *trace; /* or NULL */
	/* What a debugger outside the guest wants (soft/watch.c), or NULL. */
	struct cpu_debug *debugger;
	struct cpu_break debug_hit; /* SOFT_DBG_HIT */
	uint64_t step_rip;	    /* where the step began */

	/* Set when something cached by a translator about this cpu became
	 * stale; engines look after each instruction or block. */
	uint32_t tlb_gen;   /* counts flushes of any kind */
	uint32_t exec_gen;  /* counts changes that unmap or remap code */
	uint8_t exec_stale; /* in which modes (bits); engines clear it */
	/* Beside those, single pages, with bits of modes; engines clear it. */
	uint8_t exec_npages;
	gva_t exec_page[SOFT_EXEC_PAGES];

	/* Statistics, written by this processor's thread only. */
	uint64_t insns; /* interpreted */
	uint64_t counters[SOFT_NCOUNTERS];
	uint64_t exceptions[32];

	/* PDPTEs of PAE paging, loaded with CR3 */
	uint64_t pdpte[4];

	struct soft_tlb_entry tlb[SOFT_NMODES][SOFT_NACCESS][SOFT_TLB_SIZE];
	bool tlb_used[SOFT_NMODES]
		     [SOFT_NACCESS]; /* since the last full flush */
	/* Slots (array * SIZE + index) that got an entry of a page that is not
	 * global since the last flush, each once, as tlb_local says: so a
	 * change of address spaces costs what was used.  More than fit: the
	 * arrays go that tlb_used_local tells. */
	uint32_t tlb_journal[SOFT_TLB_JOURNAL];
	uint32_t tlb_nfills;
	uint64_t tlb_local[SOFT_NMODES * SOFT_NACCESS * SOFT_TLB_SIZE / 64];
	bool tlb_used_local[SOFT_NMODES][SOFT_NACCESS];
	struct soft_tlb_seen tlb_seen[2]; /* by G bit */

	void *engine; /* the engine's own part (bt: struct bt_cpu) */
	void *interp; /* the interpreter's caches */
	/* The engine's own part that generated code addresses through RSP;
	 * zeroed by soft_cpu_alloc and left alone otherwise. */
	_Alignas(64) uint8_t engine_area[SOFT_ENGINE_AREA_BYTES];
	uint64_t ops[X86_NOPS]; /* interpreted, by operation */
};

/* insn_bp, data_bp: bit 0 the guest's, this one the debugger's. */
#define SOFT_BP_DEBUGGER 2

/* soft_cpu.debug */
#define SOFT_DBG_BREAK	  1  /* breakpoints to be compared with RIP */
#define SOFT_DBG_STEP	  2  /* one instruction */
#define SOFT_DBG_STEPPING 4  /* which has begun */
#define SOFT_DBG_HIT	  8  /* a watched access was made */
#define SOFT_DBG_TRACE	  16 /* instructions are recorded */

/* Allocate with room for a host stack below (bt), 64-byte aligned, zeroed. */
struct soft_cpu *soft_cpu_alloc(struct soft_vm *vm, struct bus_cpu *bc);
void soft_cpu_free(struct soft_cpu *c);

void soft_vm_init(
	struct soft_vm *vm, struct bus *bus, const struct x86_cpu_model *model);
void soft_vm_fini(struct soft_vm *vm);

/* The dirty log, as an engine's call: processors begin with empty TLBs. */
void soft_vm_dirty(struct soft_vm *vm);

/* Recompute the derived fields; flushes what the change makes stale. */
void soft_update_mode(struct soft_cpu *c);

/* Load a whole state / read it back (engine get and set). */
int soft_set_state(struct soft_cpu *c, const struct x86_state *s);
void soft_get_state(struct soft_cpu *c, struct x86_state *s);

/* ---- raising ---- */

_Noreturn void soft_raise(struct soft_cpu *c, uint8_t vector);
_Noreturn void soft_raise_err(
	struct soft_cpu *c, uint8_t vector, uint32_t error);
_Noreturn void soft_raise_pf(struct soft_cpu *c, gva_t addr, uint32_t error);

/* ---- memory (soft/mmu.c) ---- */

/* Segment and canonical checks: linear address of [off, off+size) in seg.  May
 * raise #GP, #SS.  off is already truncated to the address size. */
gva_t soft_linear(struct soft_cpu *c, unsigned seg, uint64_t off, unsigned size,
	enum soft_access acc);

/* Loads and stores at linear addresses, any alignment, page crossing and MMIO
 * included; both pages are checked before either is written.  May raise #PF.
 * #AC is checked if CR0.AM and CPL 3 and AC. size 1, 2, 4, 8. */
uint64_t soft_load(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m);
void soft_store(struct soft_cpu *c, gva_t a, unsigned size, uint64_t val,
	enum soft_mode m);
/* The same for n bytes (vectors, FXSAVE, ...), n <= 4096. */
void soft_load_bytes(
	struct soft_cpu *c, gva_t a, void *buf, unsigned n, enum soft_mode m);
void soft_store_bytes(struct soft_cpu *c, gva_t a, const void *buf, unsigned n,
	enum soft_mode m);
/* Check that a write of n bytes would succeed (faults raised now). */
void soft_probe_write(
	struct soft_cpu *c, gva_t a, unsigned n, enum soft_mode m);

/* The same for an operand of size bytes, of which #AC is looked at first. */
void soft_probe_operand(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m);

/* Host pointer for an access wholly inside one page of plain memory with the
 * rights of m, filling the TLB; NULL if the page is MMIO, crosses, (write)
 * is watched for code, or has data breakpoints.  May raise #PF. */
void *soft_host(struct soft_cpu *c, gva_t a, unsigned size,
	enum soft_access acc, enum soft_mode m);

/* soft_host for writing, but watched pages too: *ram >= 0 then, and
 * soft_code_written(c, *ram, size) is to be called after the write.  For
 * read-modify-write instructions. */
void *soft_host_rmw(struct soft_cpu *c, gva_t a, unsigned size,
	enum soft_mode m, int64_t *ram);
void soft_code_written(struct soft_cpu *c, int64_t ram, unsigned size);

/* Translate without side effects on fault state: 0 and *gpa, or the #PF error
 * code with bit 31 set.  set_ad: update A (and D for writes). */
uint32_t soft_translate(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, bool set_ad, gpa_t *gpa);

/* Fetch up to 15 instruction bytes at linear address a = CS.base + RIP (both
 * pages).  Returns the number readable without a fault, at least 1, else
 * raises #PF, or #GP for CS.limit or a non-canonical address.  If the decoder
 * wants more than n bytes, soft_fetch(c, a + n) raises what hinders.  Of a
 * device the second page is read only with from_device, for reading has
 * effects: ask again with it. */
unsigned soft_fetch(
	struct soft_cpu *c, gva_t a, uint8_t buf[15], bool from_device);

/* Zeros are empty entries, but for the first of an array. */
static inline void soft_tlb_from_zeros(struct soft_cpu *c)
{
	for (unsigned m = 0; m < SOFT_NMODES; m++)
		for (unsigned acc = 0; acc < SOFT_NACCESS; acc++)
			c->tlb[m][acc][0].tag = soft_tlb_empty(0);
}

void soft_tlb_flush(struct soft_cpu *c);	       /* everything */
void soft_tlb_flush_local(struct soft_cpu *c);	       /* not global pages */
void soft_tlb_flush_page(struct soft_cpu *c, gva_t a); /* INVLPG */

/* ---- segments, control transfers, system registers ---- */

/* MOV to / POP of a segment register, LDS...; all checks.  May raise. */
void soft_load_seg(struct soft_cpu *c, unsigned seg, uint16_t sel);
void soft_lldt(struct soft_cpu *c, uint16_t sel);
void soft_ltr(struct soft_cpu *c, uint16_t sel);
/* LAR LSL VERR VERW: true if the descriptor may be looked at. */
bool soft_lar(struct soft_cpu *c, uint16_t sel, uint32_t *attr);
bool soft_lsl(struct soft_cpu *c, uint16_t sel, uint32_t *limit);
bool soft_verify(struct soft_cpu *c, uint16_t sel, bool write);

/* Far transfers; osize 2, 4, 8; next = RIP of the following instruction (for
 * CALL's return address and task switches).  They set RIP.  May raise. */
void soft_far_jmp(struct soft_cpu *c, uint16_t sel, uint64_t off,
	unsigned osize, uint64_t next);
void soft_far_call(struct soft_cpu *c, uint16_t sel, uint64_t off,
	unsigned osize, uint64_t next);
void soft_far_ret(struct soft_cpu *c, unsigned osize, unsigned pop);
void soft_iret(struct soft_cpu *c, unsigned osize, uint64_t next);

void soft_syscall(struct soft_cpu *c, uint64_t next);
void soft_sysret(struct soft_cpu *c, unsigned osize);
void soft_sysenter(struct soft_cpu *c);
void soft_sysexit(struct soft_cpu *c, unsigned osize);

/* MOV CR/DR, LMSW, CLTS, XSETBV, RDMSR, WRMSR: all checks and effects.  The
 * privilege level is checked by them too. */
uint64_t soft_read_cr(struct soft_cpu *c, unsigned n);
void soft_write_cr(struct soft_cpu *c, unsigned n, uint64_t val);
uint64_t soft_read_dr(struct soft_cpu *c, unsigned n);
void soft_write_dr(struct soft_cpu *c, unsigned n, uint64_t val);
void soft_lmsw(struct soft_cpu *c, uint16_t msw);
void soft_clts(struct soft_cpu *c);
void soft_xsetbv(struct soft_cpu *c, uint32_t idx, uint64_t val);
uint64_t soft_rdmsr(struct soft_cpu *c, uint32_t msr);
void soft_wrmsr(struct soft_cpu *c, uint32_t msr, uint64_t val);
void soft_hypercall(struct soft_cpu *c); /* VMCALL, VMMCALL */
void soft_cpuid(struct soft_cpu *c);	 /* EAX, ECX in st -> EAX..EDX */

/* POPF, also from IRET paths: which bits may change depends on CPL, IOPL,
 * VME.  STI, CLI with VME/PVI. May raise. */
void soft_popf(struct soft_cpu *c, uint64_t val, unsigned osize);
uint64_t soft_pushf(struct soft_cpu *c, unsigned osize); /* image */
void soft_cli(struct soft_cpu *c);
void soft_sti(struct soft_cpu *c);

/* May CPL/IOPL/TSS bitmap use the port?  Raises #GP if not; then does it. */
uint32_t soft_in(struct soft_cpu *c, uint16_t port, unsigned size);
void soft_out(struct soft_cpu *c, uint16_t port, unsigned size, uint32_t val);
/* n accesses of a port that was checked; false: one by one, please. */
bool soft_io_many(struct soft_cpu *c, uint16_t port, unsigned size, void *buf,
	unsigned n, bool write);
void soft_io_check(struct soft_cpu *c, uint16_t port, unsigned size);

uint64_t soft_rdtsc(struct soft_cpu *c); /* guest TSC; no checks */

/* ---- events ---- */

/* INT n / INT3 / INTO / INT1 carried out by an instruction; next = return
 * address.  Privilege (gate DPL, IOPL in V86) is checked here.  May raise. */
enum soft_int_kind { SOFT_INT_N, SOFT_INT_ICEBP, SOFT_INT_3, SOFT_INT_O };
void soft_int(struct soft_cpu *c, uint8_t vector, uint64_t next,
	enum soft_int_kind kind);

/*
 * Deliver c->fault (set by soft_raise*) or an external interrupt or NMI.  Not
 * called under the setjmp of an instruction: they handle nested faults,
 * double faults and shutdown (activity = X86_ACT_SHUTDOWN) themselves.
 */
void soft_deliver_fault(struct soft_cpu *c);
void soft_deliver_interrupt(struct soft_cpu *c, uint8_t vector);
void soft_deliver_nmi(struct soft_cpu *c);

/* ---- the bus lock (soft/lock.c) ---- */

/* Engines run the guest between these; the first waits while another processor
 * has the bus for itself. */
void soft_come_in(struct soft_cpu *c);
static inline void soft_go_out(struct soft_cpu *c)
{
	atomic_store(&c->inside, false);
}

/* Inside, for one access: exclude the LOCKed ones of other processors that go
 * this way; if alone, all they do.  What code of this processor relies on may
 * not change before soft_unlock_bus. */
void soft_lock_bus(struct soft_cpu *c, bool alone);
void soft_unlock_bus(struct soft_cpu *c);

/*
 * At an instruction boundary: look at c->bc->events, deliver what may be
 * delivered now (flush, NMI, interrupt), wake from HLT.  Returns true if run()
 * must return (STOP, INIT, SIPI, shutdown; halt or wait-for-SIPI with nothing
 * pending: CPU_EXIT_HALT), with *exit filled.
 *
 * Also the end of interrupt shadows: the instruction that makes one sets
 * st.sti_shadow or st.movss_shadow to 1 (soft_sti and soft_load_seg do); the
 * soft_poll at the boundary after it delivers nothing and clears them, so the
 * one after the following instruction delivers.  Call it before an instruction
 * whenever soft_attention() says so.
 */
bool soft_poll(struct soft_cpu *c, struct cpu_exit *exit);

static inline bool soft_attention(struct soft_cpu *c)
{
	return atomic_load_explicit(&c->bc->events, memory_order_relaxed) |
	       c->st.sti_shadow | c->st.movss_shadow | c->st.activity;
}

/* The shadow half of soft_poll, for who runs without external events: before
 * an instruction; true if events are held at this boundary. */
bool soft_end_shadow(struct soft_cpu *c);

/* Instruction breakpoint at RIP (raises #DB as a fault unless RF). */
void soft_check_insn_bp(struct soft_cpu *c);
/* Data breakpoints on [a, a+size): recorded in db_pending.  The carrier-out of
 * an instruction calls it for its operands if c->data_bp; soft_load/store do
 * not.  What soft/ itself pushes and pops and ports are covered. */
void soft_check_data_bp(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_access acc);
/* Does a data breakpoint in the page at a watch such accesses?  Ask only if
 * c->data_bp. */
bool soft_page_watched(const struct soft_cpu *c, gva_t a, enum soft_access acc);
/* After a completed instruction: raise #DB trap for TF and db_pending (needed
 * only if one of them is set).  tf = RFLAGS.TF before the instruction.  With a
 * fresh MOV SS shadow nothing is raised: db_pending waits. */
void soft_end_insn_traps(struct soft_cpu *c, bool tf);
/* RFLAGS.RF is cleared by the engine after each completed instruction but
 * IRET, task switches and event delivery, which load it. */

/* ---- a debugger outside the guest (soft/watch.c) ---- */

void soft_set_debug(struct soft_cpu *c, const struct cpu_debug *d);
void soft_set_trace(struct soft_cpu *c, struct cpu_trace *t);
/* Record, if there is a trace.  Out of line: its callers are slow paths. */
void soft_trace(struct soft_cpu *c, enum cpu_trace_kind kind, unsigned size,
	uint64_t a, uint64_t b);
/* c->event is delivered. */
void soft_trace_event(struct soft_cpu *c, bool external);

/* soft_check_data_bp calls it if data_bp has SOFT_BP_DEBUGGER. */
void soft_watch(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_access acc);
/* For soft_poll, if debug is not 0: at a boundary, is what the last
 * instruction did to be reported?  And, once events are delivered, may the
 * next one run? */
bool soft_debug_after(struct soft_cpu *c, struct cpu_exit *exit);
bool soft_debug_before(
	struct soft_cpu *c, bool delivered, struct cpu_exit *exit);

/* ---- extended state (soft/fpu.c) ---- */

/* a: linear address, checked by soft_linear for soft_xsave_bytes() or 512
 * bytes; alignment is checked here (#GP).  wide: REX.W.  May raise. */
void soft_fxsave(struct soft_cpu *c, gva_t a, bool wide);
void soft_fxrstor(struct soft_cpu *c, gva_t a, bool wide);

enum soft_xsave_kind { SOFT_XSAVE, SOFT_XSAVEOPT, SOFT_XSAVEC, SOFT_XSAVES };
/* mask: EDX:EAX.  XSAVES and XRSTORS check CPL. */
void soft_xsave(struct soft_cpu *c, gva_t a, uint64_t mask,
	enum soft_xsave_kind kind, bool wide);
void soft_xrstor(
	struct soft_cpu *c, gva_t a, uint64_t mask, bool supervisor, bool wide);
/* Bytes of the area that such an instruction may touch. */
unsigned soft_xsave_bytes(struct soft_cpu *c, uint64_t mask, bool compacted);
/* XGETBV with ECX = 1: components not in their initial state. */
uint64_t soft_xinuse(const struct soft_cpu *c);

/* Before an x87 instruction that waits, if an error is pending or FERR# is
 * asserted: #MF, or with CR0.NE clear FERR# and a wait for the interrupt that
 * comes of it.  Returns if the instruction may go on. */
void soft_x87_error(struct soft_cpu *c);

/* INVPCID (all checks; desc is the linear address of the descriptor). */
void soft_invpcid(struct soft_cpu *c, uint64_t type, gva_t desc);

/* What every software engine counts. */
void soft_stats(const struct soft_cpu *c, struct cpu_stats *out);

/* Million instructions a second over loops turns of a counting loop in flat
 * 32-bit code; 0 if the engine cannot run it. */
double soft_measure(const struct cpu_engine *e, uint32_t loops);

#endif
