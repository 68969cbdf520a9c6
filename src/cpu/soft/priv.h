/*
 * priv.h - what the files of soft/ share among themselves.
 */
#ifndef CPU_SOFT_PRIV_H
#define CPU_SOFT_PRIV_H

#include "cpu/soft/fast.h"
#include "cpu/soft/soft.h"
#include "x86/msr.h"

/* ---- raising (event.c) ---- */

/* An exception whose error code names a selector; EXT is added. */
_Noreturn void soft_raise_sel(struct soft_cpu *c, uint8_t vector, uint16_t sel);
/* #DB with what it adds to DR6. */
_Noreturn void soft_raise_db(struct soft_cpu *c, uint64_t dr6);
/* #GP(0), or #GP(EXT) during delivery. */
_Noreturn void soft_raise_gp(struct soft_cpu *c);

static inline bool soft_has(const struct soft_cpu *c, enum x86_feature f)
{
	return c->vm->model->feature[f];
}

static inline bool soft_canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* ---- descriptors (seg.c) ---- */

/* Bytes 40..55 of a descriptor as in struct x86_seg. */
static inline uint16_t soft_desc_attr(uint64_t d)
{
	return (d >> 40) & 0xf0ff;
}

static inline unsigned soft_desc_dpl(uint64_t d)
{
	return (d >> 45) & 3;
}

static inline bool soft_desc_present(uint64_t d)
{
	return d & 1ull << 47;
}

/* Type with the S bit: 0..0xf system, 0x10..0x1f code and data. */
static inline unsigned soft_desc_type(uint64_t d)
{
	return (d >> 40) & 0x1f;
}

static inline bool soft_desc_code(uint64_t d)
{
	return (soft_desc_type(d) & 0x18) == 0x18;
}

static inline bool soft_desc_conforming(uint64_t d)
{
	return (soft_desc_type(d) & 0x1c) == 0x1c;
}

static inline bool soft_desc_writable_data(uint64_t d)
{
	return (soft_desc_type(d) & 0x1a) == 0x12;
}

uint32_t soft_desc_base(uint64_t d);
uint32_t soft_desc_limit(uint64_t d);

enum soft_sys_type {
	SOFT_TSS16 = 1,
	SOFT_LDT = 2,
	SOFT_TSS16_BUSY = 3,
	SOFT_CALL16 = 4,
	SOFT_TASK_GATE = 5,
	SOFT_INT16 = 6,
	SOFT_TRAP16 = 7,
	SOFT_TSS32 = 9,
	SOFT_TSS32_BUSY = 11,
	SOFT_CALL32 = 12,
	SOFT_INT32 = 14,
	SOFT_TRAP32 = 15,
};

static inline bool soft_sel_null(uint16_t sel)
{
	return !(sel & 0xfffc);
}

/* Linear address of the descriptor; false if outside its table (or LDT
 * unusable).  n: bytes that must lie within the limit (8 or 16). */
bool soft_desc_addr(struct soft_cpu *c, uint16_t sel, unsigned n, gva_t *a);
/* Read a descriptor; outside the table: raise vector(sel). */
uint64_t soft_desc_read(struct soft_cpu *c, uint16_t sel, uint8_t vector);
/* Upper half of a 16-byte descriptor; outside the table: vector(sel). */
uint64_t soft_desc_read_high(struct soft_cpu *c, uint16_t sel, uint8_t vector);
/* Set bits in byte 5 of the descriptor (accessed, busy), atomically, unless
 * they are set.  May raise #PF. */
void soft_desc_set(struct soft_cpu *c, uint16_t sel, uint64_t d, uint8_t bits);
void soft_desc_clear(struct soft_cpu *c, uint16_t sel, uint8_t bits);
void soft_seg_from_desc(struct x86_seg *s, uint16_t sel, uint64_t d);
void soft_seg_null(struct x86_seg *s, uint16_t sel);
/* Real or V86 mode: base = sel * 16. */
void soft_seg_real(struct soft_cpu *c, unsigned seg, uint16_t sel);
/* The register as V86 mode wants it. */
void soft_seg_v86(struct x86_seg *s, uint16_t sel);
/* After a return or V86 exit to ring cpl: null data segments that it may not
 * use. */
void soft_null_outer_segs(struct soft_cpu *c, unsigned cpl);

/* ---- stacks under construction (stack.c) ---- */

struct soft_stack {
	struct x86_seg ss;
	uint64_t sp;
	uint64_t mask; /* of the stack pointer */
	bool code64;   /* flat, canonical checks only */
	enum soft_mode mode;
	uint16_t err; /* selector in #SS */
};

/* Access mode of ring cpl with the present flags. */
enum soft_mode soft_mode_for(const struct soft_cpu *c, unsigned cpl);
/* The current stack. */
void soft_stack_current(struct soft_cpu *c, struct soft_stack *s);
/* A new stack for ring cpl in legacy or compatibility mode. */
void soft_stack_new(struct soft_cpu *c, struct soft_stack *s,
	const struct x86_seg *ss, uint64_t sp, unsigned cpl);
void soft_stack_push(
	struct soft_cpu *c, struct soft_stack *s, unsigned size, uint64_t val);
uint64_t soft_stack_pop(
	struct soft_cpu *c, struct soft_stack *s, unsigned size);
/* Raise #SS unless count pushes (pops) of size bytes fit the segment. */
void soft_stack_room(struct soft_cpu *c, const struct soft_stack *s,
	unsigned count, unsigned size);
void soft_stack_avail(struct soft_cpu *c, const struct soft_stack *s,
	unsigned count, unsigned size);
/* Write the stack pointer back to RSP by the width of the stack. */
void soft_stack_commit(struct soft_cpu *c, const struct soft_stack *s);
/* SS:SP for ring cpl out of the TSS (legacy), checked for code of ring cpl;
 * *d gets the SS descriptor. */
void soft_stack_from_tss(
	struct soft_cpu *c, unsigned cpl, struct soft_stack *s, uint64_t *d);
/* RSPn (ist = 0) or ISTn out of a 64-bit TSS. */
uint64_t soft_rsp_from_tss(struct soft_cpu *c, unsigned cpl, unsigned ist);

/* ---- control transfer within code (far.c) ---- */

/* Load CS from a checked descriptor with privilege cpl; sets accessed before
 * anything is committed: call soft_desc_set first. */
void soft_commit_cs(struct soft_cpu *c, uint16_t sel, uint64_t d, unsigned cpl);
/* Raise #GP(err) unless off is a valid instruction pointer in the code
 * segment d. */
void soft_check_rip(struct soft_cpu *c, uint64_t d, uint64_t off, uint16_t err);
/* Is the code descriptor's size combination legal (L and D)? */
static inline bool soft_desc_bad_long(const struct soft_cpu *c, uint64_t d)
{
	return c->long_mode && (d & 3ull << 53) == 3ull << 53;
}

static inline bool soft_desc_code64(const struct soft_cpu *c, uint64_t d)
{
	return c->long_mode && (d & 1ull << 53);
}

/* The code segment that RET or IRET returns to. */
uint64_t soft_return_code(struct soft_cpu *c, uint16_t sel);
/* The stack of the outer level; code: descriptor returned to. */
void soft_return_stack(struct soft_cpu *c, uint16_t sel, unsigned cpl,
	uint64_t code, uint64_t sp, struct soft_stack *k);

/* ---- tasks (task.c) ---- */

enum soft_task_reason { SOFT_TASK_JMP, SOFT_TASK_CALL, SOFT_TASK_IRET };

/* Switch to the TSS sel, whose descriptor is checked here.  next and flags:
 * the outgoing task's EIP and EFLAGS. */
void soft_task_switch(struct soft_cpu *c, uint16_t sel,
	enum soft_task_reason why, uint64_t next, uint64_t flags);
/* Through a task gate, DPL and P of which are already checked. */
static inline void soft_task_gate(struct soft_cpu *c, uint64_t gate,
	enum soft_task_reason why, uint64_t next, uint64_t flags)
{
	soft_task_switch(c, gate >> 16, why, next, flags);
}
/* IRET with NT. */
void soft_task_return(struct soft_cpu *c, uint64_t next);

/* ---- event.c, gate.c ---- */

/* Deliver c->event in the current mode; raises what goes wrong. */
void soft_inject(struct soft_cpu *c, uint64_t rip, uint64_t flags);
void soft_inject_long(struct soft_cpu *c, uint64_t rip, uint64_t flags);
void soft_inject_prot(struct soft_cpu *c, uint64_t rip, uint64_t flags);
void soft_inject_real(struct soft_cpu *c, uint64_t rip, uint64_t flags);
/* V86 with VME: interrupt n through the 8086 handler. */
void soft_inject_v86_redirected(
	struct soft_cpu *c, uint8_t vector, uint64_t rip);
/* ---- debug.c ---- */

void soft_update_dr7(struct soft_cpu *c);

#define SOFT_ACC(acc) (1u << (acc))

/* Which accesses to its bytes meet the debugger's b, as in bp_acc. */
static inline unsigned soft_break_acc(const struct cpu_break *b)
{
	switch (b->kind) {
	case CPU_BREAK_WRITE: return SOFT_ACC(SOFT_WRITE);
	case CPU_BREAK_READ: return SOFT_ACC(SOFT_READ);
	case CPU_BREAK_ACCESS:
		return SOFT_ACC(SOFT_READ) | SOFT_ACC(SOFT_WRITE);
	default: return 0;
	}
}
void soft_check_io_bp(struct soft_cpu *c, uint16_t port, unsigned size);

/* Load RFLAGS: bits of mask come from val; recomputes the mode. */
void soft_set_flags(struct soft_cpu *c, uint64_t val, uint64_t mask);

/* ---- TLB and walks ---- */

struct soft_walk {
	gpa_t gpa;	   /* of the byte */
	uint8_t page_bits; /* 12, 21, 22, 30 */
	bool global;	   /* survives a change of CR3 */
};

/* Walk for an access: 0, or the #PF error code with bit 31 set.  set_ad: A
 * and D are updated. */
uint32_t soft_mmu_walk(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, bool set_ad, struct soft_walk *w);

/* What lies at a linear address for an access: walks, fills the TLB. */
struct soft_place {
	uint8_t *host; /* NULL: not memory */
	gpa_t gpa;
	int64_t ram; /* RAM offset if a write must be told: code page */
};

void soft_tlb_place(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, struct soft_place *p);
void soft_tlb_fill(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, uint8_t *host_page, const struct soft_walk *w);

#define PTE_P	 (1ull << 0)
#define PTE_W	 (1ull << 1)
#define PTE_U	 (1ull << 2)
#define PTE_A	 (1ull << 5)
#define PTE_D	 (1ull << 6)
#define PTE_PS	 (1ull << 7)
#define PTE_G	 (1ull << 8)
#define PTE_NX	 (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

/* Do the rights allow it?  SDM 4.6. */
static inline bool soft_allowed(const struct soft_cpu *c, uint64_t rights,
	enum soft_access acc, enum soft_mode m)
{
	bool user = m >= SOFT_USER;

	if (acc == SOFT_EXEC && (rights & PTE_NX))
		return false;
	if (user)
		return (rights & PTE_U) &&
		       (acc != SOFT_WRITE || (rights & PTE_W));
	if (rights & PTE_U) {
		if (acc == SOFT_EXEC)
			return !(c->st.cr4 & X86_CR4_SMEP);
		if ((c->st.cr4 & X86_CR4_SMAP) && m == SOFT_KERNEL)
			return false;
	}
	return acc != SOFT_WRITE || (rights & PTE_W) ||
	       !(c->st.cr0 & X86_CR0_WP);
}

static inline unsigned soft_filter_bit(uint64_t n)
{
	return (n * 0x9e3779b97f4a7c15ull) >> 52; /* 4096 bits */
}

static inline void soft_filter_add(uint64_t f[64], uint64_t n)
{
	unsigned b = soft_filter_bit(n);

	f[b / 64] |= 1ull << (b % 64);
}

static inline bool soft_filter_has(const uint64_t f[64], uint64_t n)
{
	unsigned b = soft_filter_bit(n);

	return f[b / 64] >> (b % 64) & 1;
}

/* After filling for a write to RAM: false, and the entry is gone, if the page
 * is watched. */
bool soft_tlb_recheck(
	struct soft_cpu *c, gva_t a, enum soft_mode m, uint64_t ram);

/* Load PDPTEs for a new CR3 etc.; false if a reserved bit is set. */
bool soft_load_pdptes(struct soft_cpu *c, uint64_t cr3, uint64_t out[4]);
/* bus_resolve with A20 and a lockstep follower's own RAM. */
void soft_phys_page(struct soft_cpu *c, gpa_t gpa, struct bus_page *p);
uint64_t soft_mmio_read(struct soft_cpu *c, gpa_t gpa, unsigned size);
/* Physical memory, through A20, any kind. */
uint64_t soft_phys_read(struct soft_cpu *c, gpa_t gpa, unsigned size);

#define X86_DR6_BD (1ull << 13)
#define X86_DR6_BS (1ull << 14)
#define X86_DR6_BT (1ull << 15)
#define X86_DR7_GD (1ull << 13)

/* Bits that MOV to CR4 may set under the model. */
uint64_t soft_cr4_valid(const struct soft_cpu *c);
uint64_t soft_efer_valid(const struct soft_cpu *c);

static inline uint64_t soft_size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/* Linear addresses wrap at 4 GiB outside long mode's 64-bit accesses. */
static inline gva_t soft_wrap(const struct soft_cpu *c, gva_t a)
{
	return c->code64 ? a : (uint32_t)a;
}

/* TPR through env or bus. */
uint8_t soft_get_tpr(struct soft_cpu *c);
void soft_set_tpr(struct soft_cpu *c, uint8_t cr8);

#endif
