/*
 * state.c - struct x86_state to and from what KVM keeps.
 *
 * MSRs are moved one by one: a KVM that lacks one must not make the rest fail.
 * Vector state goes through the XSAVE image, whose component offsets are the
 * host's (SDM vol. 1, 13.4; CPUID leaf 0xD).
 */
#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <x86intrin.h>

#include <glib.h>

#include "cpu/kvm/priv.h"

#define XCOMP_YMM      2
#define XCOMP_OPMASK   5
#define XCOMP_ZMM_HIGH 6
#define XCOMP_HI16     7
#define XCOMP_PKRU     9
#define XSAVE_HEADER   512
#define FXSAVE_XMM     160
#define FXSAVE_X87_END 160

/* MSR number and where x86_state keeps it. */
static const struct {
	uint32_t msr;
	uint32_t offset;
} kvm_msrs[] = {
#define M(n, field)                                                            \
	{                                                                      \
		n, offsetof(struct x86_state, field)                           \
	}
	M(0xc0000081, star),
	M(0xc0000082, lstar),
	M(0xc0000083, cstar),
	M(0xc0000084, sfmask),
	M(0xc0000102, kernel_gs_base),
	M(0x174, sysenter_cs),
	M(0x175, sysenter_esp),
	M(0x176, sysenter_eip),
	M(0x3b, tsc_adjust),
	M(0xc0000103, tsc_aux),
	M(0x277, pat),
	M(0x1a0, misc_enable),
	M(0x1d9, debugctl),
	M(0x48, spec_ctrl),
	M(0xda0, xss),
	M(0x2ff, mtrr_def_type),
	M(0x250, mtrr_fixed[0]),
	M(0x258, mtrr_fixed[1]),
	M(0x259, mtrr_fixed[2]),
	M(0x268, mtrr_fixed[3]),
	M(0x269, mtrr_fixed[4]),
	M(0x26a, mtrr_fixed[5]),
	M(0x26b, mtrr_fixed[6]),
	M(0x26c, mtrr_fixed[7]),
	M(0x26d, mtrr_fixed[8]),
	M(0x26e, mtrr_fixed[9]),
	M(0x26f, mtrr_fixed[10]),
	M(0x200, mtrr_var[0][0]),
	M(0x201, mtrr_var[0][1]),
	M(0x202, mtrr_var[1][0]),
	M(0x203, mtrr_var[1][1]),
	M(0x204, mtrr_var[2][0]),
	M(0x205, mtrr_var[2][1]),
	M(0x206, mtrr_var[3][0]),
	M(0x207, mtrr_var[3][1]),
	M(0x208, mtrr_var[4][0]),
	M(0x209, mtrr_var[4][1]),
	M(0x20a, mtrr_var[5][0]),
	M(0x20b, mtrr_var[5][1]),
	M(0x20c, mtrr_var[6][0]),
	M(0x20d, mtrr_var[6][1]),
	M(0x20e, mtrr_var[7][0]),
	M(0x20f, mtrr_var[7][1]),
	M(0x17a, mcg_status),
	M(0x17b, mcg_ctl),
	M(0x3a, feature_control),
	M(0xe1, umwait_control),
	M(0x9e, smbase),
#define BANK(n)                                                                \
	M(0x400 + 4 * (n), mc_bank[n][0]), M(0x401 + 4 * (n), mc_bank[n][1]),  \
		M(0x402 + 4 * (n), mc_bank[n][2]),                             \
		M(0x403 + 4 * (n), mc_bank[n][3])
	BANK(0),
	BANK(1),
	BANK(2),
	BANK(3),
	BANK(4),
	BANK(5),
	BANK(6),
	BANK(7),
	BANK(8),
	BANK(9),
#undef BANK
#undef M
};

#define MSR_TSC 0x10

static bool kvm_msr_move(
	struct cpu *c, unsigned long request, uint32_t msr, uint64_t *val)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = {.head.nmsrs = 1, .entry = {.index = msr, .data = *val}};

	if (kvm_ioctl(c->fd, request, &m) != 1)
		return false;
	*val = m.entry.data;
	return true;
}

/*
 * Guest TSC - host TSC.  Newer kernels know it exactly; from others it is
 * read, as tightly as a few tries allow.
 */
static bool kvm_tsc_attr(struct cpu *c, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr a = {.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset};

	return kvm_ioctl(c->fd, request, &a) == 0;
}

static bool kvm_tsc_get(struct cpu *c, uint64_t *offset)
{
	uint64_t best = ~0ull;

	if (kvm_tsc_attr(c, KVM_GET_DEVICE_ATTR, offset))
		return true;
	for (unsigned i = 0; i < 5; i++) {
		uint64_t tsc = 0, a = __rdtsc(), b;

		if (!kvm_msr_move(c, KVM_GET_MSRS, MSR_TSC, &tsc))
			return false;
		b = __rdtsc();
		if (b - a < best) {
			best = b - a;
			*offset = tsc - a - best / 2;
		}
	}
	return true;
}

static void kvm_tsc_set(struct cpu *c, uint64_t offset)
{
	uint64_t tsc;

	if (kvm_tsc_attr(c, KVM_SET_DEVICE_ATTR, &offset))
		return;
	tsc = __rdtsc() + offset;
	kvm_msr_move(c, KVM_SET_MSRS, MSR_TSC, &tsc);
}

#define TSC_SAME 200000 /* ticks: processors that close count as one */

void kvm_tsc_tell(struct cpu *c)
{
	uint64_t offset = 0, first = bus_cpu_at(c->vm->bus, 0)->tsc_offset;

	if (!kvm_tsc_get(c, &offset))
		return;
	/* What was read, not told, differs by chance. */
	if (c->bc->index && offset - first + TSC_SAME < 2 * TSC_SAME)
		offset = first;
	bus_cpu_tsc_moved(c->bc, offset);
}

/* KVM's own clock for guests, which time standing still does not stop. */
static void kvm_shift_clock(struct cpu *c, uint64_t ticks)
{
	struct kvm_clock_data now = {0}, back = {0};
	int khz = kvm_ioctl(c->fd, KVM_GET_TSC_KHZ, NULL);
	uint64_t ns;

	if (khz <= 0 || kvm_ioctl(c->vm->fd, KVM_GET_CLOCK, &now) < 0)
		return;
	ns = (uint64_t)((unsigned __int128)ticks * 1000000 / (unsigned)khz);
	back.clock = now.clock > ns ? now.clock - ns : 0;
	kvm_ioctl(c->vm->fd, KVM_SET_CLOCK, &back);
}

void kvm_shift_tsc(struct cpu *c, uint64_t ticks)
{
	uint64_t offset;

	if (kvm_tsc_get(c, &offset))
		kvm_tsc_set(c, offset - ticks);
	if (!c->vm->irqchip)
		kvm_tsc_tell(c);
	else if (c->bc->index == 0)
		kvm_shift_clock(c, ticks);
}

static void kvm_msrs_get(struct cpu *c, struct x86_state *s)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(kvm_msrs); i++) {
		uint64_t *field =
			(uint64_t *)((uint8_t *)s + kvm_msrs[i].offset);

		kvm_msr_move(c, KVM_GET_MSRS, kvm_msrs[i].msr, field);
	}
	kvm_tsc_get(c, &s->tsc_offset);
}

static void kvm_msrs_set(struct cpu *c, const struct x86_state *s)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(kvm_msrs); i++) {
		uint64_t val;

		memcpy(&val, (const uint8_t *)s + kvm_msrs[i].offset, 8);
		kvm_msr_move(c, KVM_SET_MSRS, kvm_msrs[i].msr, &val);
	}
	kvm_tsc_set(c, s->tsc_offset);
}

/* ---- segments and system registers ---- */

static void kvm_seg_get(struct x86_seg *d, const struct kvm_segment *k)
{
	d->base = k->base;
	d->limit = k->limit;
	d->sel = k->selector;
	d->attr = k->type | k->s << 4 | k->dpl << X86_SEG_DPL_SHIFT |
		  (k->present && !k->unusable) << 7 | k->avl << 12 |
		  k->l << 13 | k->db << 14 | k->g << 15;
}

static void kvm_seg_set(struct kvm_segment *k, const struct x86_seg *s)
{
	*k = (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.type = s->attr & X86_SEG_TYPE,
		.s = !!(s->attr & X86_SEG_S),
		.dpl = (s->attr & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT,
		.present = !!(s->attr & X86_SEG_P),
		.avl = !!(s->attr & X86_SEG_AVL),
		.l = !!(s->attr & X86_SEG_L),
		.db = !!(s->attr & X86_SEG_DB),
		.g = !!(s->attr & X86_SEG_G),
		.unusable = !(s->attr & X86_SEG_P),
	};
}

static struct kvm_segment *kvm_sregs_seg(struct kvm_sregs *r, unsigned i)
{
	struct kvm_segment *const seg[X86_NSEG] = {&r->es, &r->cs, &r->ss,
		&r->ds, &r->fs, &r->gs, &r->ldt, &r->tr};

	return seg[i];
}

static void kvm_sregs_get(struct cpu *c, struct x86_state *s)
{
	struct kvm_sregs r;

	if (kvm_ioctl(c->fd, KVM_GET_SREGS, &r) < 0)
		return;
	for (unsigned i = 0; i < X86_NSEG; i++)
		kvm_seg_get(&s->seg[i], kvm_sregs_seg(&r, i));
	s->gdtr = (struct x86_dtab){r.gdt.base, r.gdt.limit};
	s->idtr = (struct x86_dtab){r.idt.base, r.idt.limit};
	s->cr0 = r.cr0;
	s->cr2 = r.cr2;
	s->cr3 = r.cr3;
	s->cr4 = r.cr4;
	s->cr8 = r.cr8;
	s->efer = r.efer;
	if (c->vm->irqchip)
		s->apic_base = r.apic_base;
}

static int kvm_sregs_set(struct cpu *c, const struct x86_state *s)
{
	struct kvm_sregs r;
	int e = kvm_ioctl(c->fd, KVM_GET_SREGS, &r);

	if (e < 0)
		return e;
	for (unsigned i = 0; i < X86_NSEG; i++)
		kvm_seg_set(kvm_sregs_seg(&r, i), &s->seg[i]);
	r.gdt.base = s->gdtr.base;
	r.gdt.limit = s->gdtr.limit;
	r.idt.base = s->idtr.base;
	r.idt.limit = s->idtr.limit;
	r.cr0 = s->cr0;
	r.cr2 = s->cr2;
	r.cr3 = s->cr3;
	r.cr4 = s->cr4;
	r.cr8 = s->cr8;
	r.efer = s->efer;
	if (c->vm->irqchip)
		r.apic_base = s->apic_base;
	memset(r.interrupt_bitmap, 0, sizeof(r.interrupt_bitmap));
	return kvm_ioctl(c->fd, KVM_SET_SREGS, &r);
}

/* ---- general registers ---- */

/* KVM's order of the first eight differs from the encoding's. */
static __u64 *kvm_regs_gpr(struct kvm_regs *r, unsigned i)
{
	__u64 *const gpr[X86_NGPR] = {&r->rax, &r->rcx, &r->rdx, &r->rbx,
		&r->rsp, &r->rbp, &r->rsi, &r->rdi, &r->r8, &r->r9, &r->r10,
		&r->r11, &r->r12, &r->r13, &r->r14, &r->r15};

	return gpr[i];
}

static void kvm_regs_get(struct cpu *c, struct x86_state *s)
{
	struct kvm_regs r;

	if (kvm_ioctl(c->fd, KVM_GET_REGS, &r) < 0)
		return;
	for (unsigned i = 0; i < X86_NGPR; i++)
		s->gpr[i] = *kvm_regs_gpr(&r, i);
	s->rip = r.rip;
	s->rflags = r.rflags;
}

static int kvm_regs_set(struct cpu *c, const struct x86_state *s)
{
	struct kvm_regs r;

	for (unsigned i = 0; i < X86_NGPR; i++)
		*kvm_regs_gpr(&r, i) = s->gpr[i];
	r.rip = s->rip;
	r.rflags = s->rflags;
	return kvm_ioctl(c->fd, KVM_SET_REGS, &r);
}

static void kvm_debugregs_get(struct cpu *c, struct x86_state *s)
{
	struct kvm_debugregs d;

	if (kvm_ioctl(c->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return;
	memcpy(s->dr, d.db, sizeof(s->dr));
	s->dr6 = d.dr6;
	s->dr7 = d.dr7;
}

static void kvm_debugregs_set(struct cpu *c, const struct x86_state *s)
{
	struct kvm_debugregs d = {.dr6 = s->dr6, .dr7 = s->dr7};

	memcpy(d.db, s->dr, sizeof(s->dr));
	kvm_ioctl(c->fd, KVM_SET_DEBUGREGS, &d);
}

/* ---- x87 and vectors ---- */

static unsigned kvm_xsave_offset(unsigned component)
{
	unsigned a, b, cx, d;

	if (!__get_cpuid_count(0xd, component, &a, &b, &cx, &d) || !a)
		return 0;
	return b;
}

struct xsave_layout {
	unsigned ymm, opmask, zmm_high, hi16, pkru; /* 0 = not there */
};

static struct xsave_layout kvm_xsave_layout(void)
{
	return (struct xsave_layout){kvm_xsave_offset(XCOMP_YMM),
		kvm_xsave_offset(XCOMP_OPMASK),
		kvm_xsave_offset(XCOMP_ZMM_HIGH), kvm_xsave_offset(XCOMP_HI16),
		kvm_xsave_offset(XCOMP_PKRU)};
}

static void kvm_fpu_get(struct cpu *c, struct x86_fpu *f)
{
	_Alignas(64) uint8_t x[KVM_XSAVE_BYTES] = {0};
	struct xsave_layout l = kvm_xsave_layout();
	uint64_t have;

	if (kvm_ioctl(c->fd, KVM_GET_XSAVE, x) < 0)
		return;
	memcpy(&have, x + XSAVE_HEADER, 8);
	memcpy(f->fx, x, sizeof(f->fx));
	memset(f->zmm, 0, sizeof(f->zmm));
	for (unsigned i = 0; i < 16; i++) {
		memcpy(f->zmm[i], x + FXSAVE_XMM + 16 * i, 16);
		if (l.ymm && (have & (1 << XCOMP_YMM)))
			memcpy(f->zmm[i] + 16, x + l.ymm + 16 * i, 16);
		if (l.zmm_high && (have & (1 << XCOMP_ZMM_HIGH)))
			memcpy(f->zmm[i] + 32, x + l.zmm_high + 32 * i, 32);
		if (l.hi16 && (have & (1 << XCOMP_HI16)))
			memcpy(f->zmm[16 + i], x + l.hi16 + 64 * i, 64);
	}
	memset(f->k, 0, sizeof(f->k));
	if (l.opmask && (have & (1 << XCOMP_OPMASK)))
		memcpy(f->k, x + l.opmask, sizeof(f->k));
	f->pkru = 0;
	if (l.pkru && (have & (1 << XCOMP_PKRU)))
		memcpy(&f->pkru, x + l.pkru, 4);
}

static int kvm_fpu_set(struct cpu *c, const struct x86_state *s)
{
	_Alignas(64) uint8_t x[KVM_XSAVE_BYTES] = {0};
	struct xsave_layout l = kvm_xsave_layout();
	const struct x86_fpu *f = &s->fpu;
	uint64_t have = 3;

	memcpy(x, f->fx, FXSAVE_X87_END);
	for (unsigned i = 0; i < 16; i++) {
		memcpy(x + FXSAVE_XMM + 16 * i, f->zmm[i], 16);
		if (l.ymm)
			memcpy(x + l.ymm + 16 * i, f->zmm[i] + 16, 16);
		if (l.zmm_high)
			memcpy(x + l.zmm_high + 32 * i, f->zmm[i] + 32, 32);
		if (l.hi16)
			memcpy(x + l.hi16 + 64 * i, f->zmm[16 + i], 64);
	}
	if (l.opmask)
		memcpy(x + l.opmask, f->k, sizeof(f->k));
	if (l.pkru)
		memcpy(x + l.pkru, &f->pkru, 4);
	have |= (l.ymm ? 1 << XCOMP_YMM : 0) |
		(l.opmask ? 1 << XCOMP_OPMASK : 0) |
		(l.zmm_high ? 1 << XCOMP_ZMM_HIGH : 0) |
		(l.hi16 ? 1 << XCOMP_HI16 : 0);
	if (l.pkru && x86_host_has(X86_FEAT_PKU))
		have |= 1 << XCOMP_PKRU;
	have &= c->vm->model->xcr0_mask | 3;
	memcpy(x + XSAVE_HEADER, &have, 8);
	return kvm_ioctl(c->fd, KVM_SET_XSAVE, x);
}

static void kvm_xcr_set(struct cpu *c, const struct x86_state *s)
{
	struct kvm_xcrs x = {.nr_xcrs = 1};

	x.xcrs[0].value = s->xcr0;
	kvm_ioctl(c->fd, KVM_SET_XCRS, &x);
}

static void kvm_xcr_get(struct cpu *c, struct x86_state *s)
{
	struct kvm_xcrs x;

	if (kvm_ioctl(c->fd, KVM_GET_XCRS, &x) == 0 && x.nr_xcrs)
		s->xcr0 = x.xcrs[0].value;
}

/* ---- what is pending ---- */

/*
 * What KVM has taken and not delivered.  Software interrupts and breakpoints
 * need no mention: RIP is still at the instruction, which does it again.
 */
static void kvm_injection_get(
	struct x86_state *s, const struct kvm_vcpu_events *e)
{
	bool again = e->exception.nr == X86_BP || e->exception.nr == X86_OF;

	s->inject = X86_INJECT_NONE;
	s->nmi_pending = e->nmi.pending;
	if ((e->exception.injected || e->exception.pending) && !again) {
		s->inject = X86_INJECT_EXCEPTION;
		s->inject_vector = e->exception.nr;
		s->inject_error = e->exception.has_error_code;
		s->inject_code = e->exception.error_code;
	} else if (e->nmi.injected) {
		s->inject = X86_INJECT_NMI;
	} else if (e->interrupt.injected && !e->interrupt.soft) {
		s->inject = X86_INJECT_INTERRUPT;
		s->inject_vector = e->interrupt.nr;
	}
}

static void kvm_injection_set(
	const struct x86_state *s, struct kvm_vcpu_events *e)
{
	e->nmi.pending = s->nmi_pending;
	e->flags |= s->nmi_pending ? KVM_VCPUEVENT_VALID_NMI_PENDING : 0;
	e->nmi.injected = s->inject == X86_INJECT_NMI;
	e->interrupt.injected = s->inject == X86_INJECT_INTERRUPT;
	e->interrupt.nr = s->inject_vector;
	if (s->inject != X86_INJECT_EXCEPTION)
		return;
	e->exception.injected = 1;
	e->exception.nr = s->inject_vector;
	e->exception.has_error_code = s->inject_error;
	e->exception.error_code = s->inject_code;
}

static void kvm_events_get(struct cpu *c, struct x86_state *s)
{
	struct kvm_vcpu_events e;
	struct kvm_mp_state mp;

	if (kvm_ioctl(c->fd, KVM_GET_VCPU_EVENTS, &e) == 0) {
		s->sti_shadow = !!(e.interrupt.shadow & KVM_X86_SHADOW_INT_STI);
		s->movss_shadow =
			!!(e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS);
		s->nmi_blocked = e.nmi.masked;
		kvm_injection_get(s, &e);
	}
	if (!c->vm->irqchip || kvm_ioctl(c->fd, KVM_GET_MP_STATE, &mp) < 0)
		return;
	switch (mp.mp_state) {
	case KVM_MP_STATE_HALTED: s->activity = X86_ACT_HALT; break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED: s->activity = X86_ACT_WAIT_SIPI; break;
	default: s->activity = X86_ACT_RUN; break;
	}
}

static void kvm_events_set(struct cpu *c, const struct x86_state *s)
{
	struct kvm_vcpu_events e = {0};
	struct kvm_mp_state mp = {KVM_MP_STATE_RUNNABLE};

	e.interrupt.shadow = (s->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
			     (s->movss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0);
	e.nmi.masked = s->nmi_blocked;
	e.flags = KVM_VCPUEVENT_VALID_SHADOW;
	kvm_injection_set(s, &e);
	kvm_ioctl(c->fd, KVM_SET_VCPU_EVENTS, &e);
	if (!c->vm->irqchip)
		return;
	if (s->activity == X86_ACT_HALT)
		mp.mp_state = KVM_MP_STATE_HALTED;
	else if (s->activity == X86_ACT_WAIT_SIPI)
		mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	kvm_ioctl(c->fd, KVM_SET_MP_STATE, &mp);
}

/* ---- the whole ---- */

void kvm_state_get(struct cpu *c, struct x86_state *s)
{
	kvm_cpu_finish_exit(c);
	*s = c->extra;
	kvm_regs_get(c, s);
	kvm_sregs_get(c, s);
	kvm_debugregs_get(c, s);
	kvm_xcr_get(c, s);
	kvm_fpu_get(c, &s->fpu);
	kvm_msrs_get(c, s);
	kvm_events_get(c, s);
}

int kvm_state_set(struct cpu *c, const struct x86_state *s)
{
	int e;

	kvm_cpu_finish_exit(c);
	c->extra = *s;
	e = kvm_sregs_set(c, s);
	if (e == 0)
		e = kvm_regs_set(c, s);
	if (e < 0)
		return -EINVAL;
	kvm_debugregs_set(c, s);
	kvm_xcr_set(c, s);
	kvm_fpu_set(c, s);
	kvm_msrs_set(c, s);
	kvm_events_set(c, s);
	if (!c->vm->irqchip)
		kvm_tsc_tell(c);
	/* What the run loop asks before KVM has run and told. */
	c->run->if_flag = !!(s->rflags & X86_FL_IF);
	c->run->ready_for_interrupt_injection = 0;
	return 0;
}

int kvm_state_cpuid(struct cpu *c)
{
	const struct x86_cpu_model *m = c->vm->model;
	struct kvm_cpuid2 *k = g_malloc0(
		sizeof(*k) + X86_CPU_MAX_LEAVES * sizeof(k->entries[0]));
	struct x86_state s;
	int e;

	x86_state_reset(&s, false, c->bc->index == 0);
	/* The answers of 64-bit mode: Intel hides SYSCALL elsewhere. */
	s.efer = X86_EFER_LMA;
	s.seg[X86_CS].attr |= X86_SEG_L;
	for (unsigned i = 0; i < m->nleaves; i++) {
		struct kvm_cpuid_entry2 *to = &k->entries[k->nent++];
		struct x86_cpuid_regs r;

		x86_cpu_model_cpuid(m, c->bc->apic_id, &s, m->leaves[i].leaf,
			m->leaves[i].sub, &r);
		to->function = m->leaves[i].leaf;
		to->index = m->leaves[i].sub;
		if (m->leaves[i].has_sub)
			to->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		to->eax = r.eax;
		to->ebx = r.ebx;
		to->ecx = r.ecx;
		to->edx = r.edx;
	}
	e = kvm_ioctl(c->fd, KVM_SET_CPUID2, k);
	g_free(k);
	return e;
}
