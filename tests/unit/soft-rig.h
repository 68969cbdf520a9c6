/*
 * soft-rig.h - one software processor on a bus with RAM, for unit tests.
 *
 * The GDT below serves protected and long mode alike; tests write descriptors,
 * gates, TSSs and page tables straight into RAM.
 */
#ifndef TESTS_UNIT_SOFT_RIG_H
#define TESTS_UNIT_SOFT_RIG_H

#include <glib.h>
#include <string.h>

#include "cpu/soft/fast.h"
#include "cpu/soft/soft.h"
#include "x86/msr.h"

#define RIG_RAM (16u << 20)
#define RIG_GDT 0x1000
#define RIG_IDT 0x2000
#define RIG_TSS 0x4000
#define RIG_PT	0x10000 /* page tables of rig_long */

/* Selectors. */
enum {
	K_CODE = 0x08, /* 32-bit, or 64-bit after rig_long */
	K_DATA = 0x10,
	U_CODE = 0x18,
	U_DATA = 0x20,
	TSS_SEL = 0x28, /* 16 bytes in long mode */
	CODE16 = 0x38,
	CONF = 0x40, /* conforming, ring 0 */
	TSS2_SEL = 0x48,
	GATE = 0x50, /* for tests, 16 bytes */
	EXTRA = 0x60,
	CODE32 = 0x68, /* 32-bit code, ring 0, in both modes */
	LDT_SEL = 0x70,
	GDT_LIMIT = 0xff,
};

struct rig {
	struct bus *bus;
	struct x86_cpu_model model;
	struct soft_vm vm;
	struct soft_cpu *c;
	uint8_t *ram;
};

/* Vector raised by stmt, or -1; details are in c->fault. */
#define FAULT(cpu, stmt)                                                       \
	({                                                                     \
		volatile int vector_ = -1;                                     \
		if (!__builtin_setjmp((cpu)->jmp)) {                           \
			stmt;                                                  \
		} else {                                                       \
			vector_ = (cpu)->fault.vector;                         \
		}                                                              \
		vector_;                                                       \
	})

static inline void put8(struct rig *r, uint32_t a, uint64_t v)
{
	memcpy(r->ram + a, &v, 8);
}

static inline void put4(struct rig *r, uint32_t a, uint32_t v)
{
	memcpy(r->ram + a, &v, 4);
}

static inline void put2(struct rig *r, uint32_t a, uint16_t v)
{
	memcpy(r->ram + a, &v, 2);
}

static inline uint64_t get8(struct rig *r, uint32_t a)
{
	uint64_t v;

	memcpy(&v, r->ram + a, 8);
	return v;
}

static inline uint32_t get4(struct rig *r, uint32_t a)
{
	return (uint32_t)get8(r, a);
}

static inline uint16_t get2(struct rig *r, uint32_t a)
{
	return (uint16_t)get8(r, a);
}

static inline uint64_t desc(uint32_t base, uint32_t limit, uint16_t attr)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)attr << 40 | (uint64_t)(limit & 0xf0000) << 32 |
	       (uint64_t)(base & 0xff000000) << 32;
}

/* type_dpl: bits 40..47, such as 0x8e. */
static inline uint64_t gate(uint16_t sel, uint32_t off, uint8_t type_dpl)
{
	return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)type_dpl << 40 |
	       (uint64_t)(off & 0xffff0000) << 32;
}

static inline void rig_force(struct rig *r)
{
	static const uint16_t on[] = {X86_FEAT_SMEP, X86_FEAT_SMAP, X86_FEAT_NX,
		X86_FEAT_PDPE1GB, X86_FEAT_PCID, X86_FEAT_INVPCID,
		X86_FEAT_UMIP, X86_FEAT_VME, X86_FEAT_PSE, X86_FEAT_PAE,
		X86_FEAT_PGE, X86_FEAT_LM, X86_FEAT_SYSCALL, X86_FEAT_DE,
		X86_FEAT_PSE36, X86_FEAT_MTRR, X86_FEAT_PAT, X86_FEAT_MCA,
		X86_FEAT_TSC_ADJUST, X86_FEAT_SEP, X86_FEAT_FSGSBASE,
		X86_FEAT_XSAVE, X86_FEAT_AVX, X86_FEAT_XSAVEC, X86_FEAT_RDTSCP,
		X86_FEAT_FXSR, X86_FEAT_SSE, X86_FEAT_APIC, X86_FEAT_X2APIC,
		X86_FEAT_TSC};

	for (unsigned i = 0; i < G_N_ELEMENTS(on); i++)
		r->model.feature[on[i]] = true;
	r->model.phys_bits = 40;
	r->model.xcr0_mask = 7;
}

static inline struct rig *rig_new(void)
{
	static const struct x86_topology one = {1, 1, 1};
	struct rig *r = g_new0(struct rig, 1);
	const char *missing;

	r->bus = bus_new(RIG_RAM, RIG_RAM);
	x86_cpu_model_init(&r->model, "host", NULL, &one, &missing);
	rig_force(r);
	bus_lock(r->bus);
	soft_vm_init(&r->vm, r->bus, &r->model);
	bus_set_a20(r->bus, true);
	bus_unlock(r->bus);
	r->vm.amd = false;
	r->c = soft_cpu_alloc(&r->vm, bus_cpu_new(r->bus, 0));
	r->ram = bus_ram(r->bus)->host;
	r->c->a20 = ~0ull;
	return r;
}

static inline void rig_free(struct rig *r)
{
	soft_cpu_free(r->c);
	bus_lock(r->bus);
	soft_vm_fini(&r->vm);
	bus_unlock(r->bus);
	bus_free(r->bus);
	g_free(r);
}

static inline void rig_flat(
	struct rig *r, unsigned seg, uint16_t sel, uint16_t attr)
{
	r->c->st.seg[seg] = (struct x86_seg){0, 0xffffffff, sel, attr};
}

/* Be in ring cpl of flat 32-bit protected mode with the GDT loaded. */
static inline void rig_protected(struct rig *r, unsigned cpl)
{
	uint16_t dpl = cpl << 5;
	struct x86_state *s = &r->c->st;

	put8(r, RIG_GDT, 0);
	put8(r, RIG_GDT + K_CODE, desc(0, 0xfffff, 0xc09b));
	put8(r, RIG_GDT + K_DATA, desc(0, 0xfffff, 0xc093));
	put8(r, RIG_GDT + U_CODE, desc(0, 0xfffff, 0xc0fb));
	put8(r, RIG_GDT + U_DATA, desc(0, 0xfffff, 0xc0f3));
	put8(r, RIG_GDT + TSS_SEL, desc(RIG_TSS, 0x67, 0x8b));
	put8(r, RIG_GDT + CODE16, desc(0, 0xffff, 0x9b));
	put8(r, RIG_GDT + CONF, desc(0, 0xfffff, 0xc09f));
	put8(r, RIG_GDT + CODE32, desc(0, 0xfffff, 0xc09b));
	s->gdtr.base = RIG_GDT;
	s->gdtr.limit = GDT_LIMIT;
	s->idtr.base = RIG_IDT;
	s->idtr.limit = 0xfff;
	s->cr0 |= X86_CR0_PE;
	rig_flat(r, X86_CS, (cpl ? U_CODE : K_CODE) | cpl, 0xc09b | dpl);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS)
			rig_flat(r, i, (cpl ? U_DATA : K_DATA) | cpl,
				0xc093 | dpl);
	s->seg[X86_TR] = (struct x86_seg){RIG_TSS, 0x67, TSS_SEL, 0x8b};
	put4(r, RIG_TSS + 4, 0x8000);
	put4(r, RIG_TSS + 8, K_DATA);
	put2(r, RIG_TSS + 102, 0x68);
	s->gpr[X86_RSP] = 0x9000;
	s->rip = 0x5000;
	s->rflags = 2;
	soft_update_mode(r->c);
}

/* The same in 64-bit mode, the first 1 GiB mapped by 2 MiB user pages. */
static inline void rig_long(struct rig *r, unsigned cpl)
{
	struct x86_state *s = &r->c->st;
	uint16_t dpl = cpl << 5;

	rig_protected(r, cpl);
	put8(r, RIG_GDT + K_CODE, desc(0, 0xfffff, 0xa09b));
	put8(r, RIG_GDT + U_CODE, desc(0, 0xfffff, 0xa0fb));
	put8(r, RIG_GDT + CONF, desc(0, 0xfffff, 0xa09f));
	put8(r, RIG_PT, (RIG_PT + 0x1000) | 7);
	put8(r, RIG_PT + 0x1000, (RIG_PT + 0x2000) | 7);
	for (unsigned i = 0; i < 512; i++)
		put8(r, RIG_PT + 0x2000 + i * 8, (uint64_t)i << 21 | 0x87);
	s->cr3 = RIG_PT;
	s->cr4 |= X86_CR4_PAE;
	s->efer |= X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
	s->cr0 |= X86_CR0_PG;
	rig_flat(r, X86_CS, (cpl ? U_CODE : K_CODE) | cpl, 0xa09b | dpl);
	put8(r, RIG_TSS + 4, 0x8000);
	for (unsigned i = 1; i < 8; i++)
		put8(r, RIG_TSS + 0x24 + (i - 1) * 8, 0x7000 + i * 0x100);
	soft_update_mode(r->c);
}

#endif
