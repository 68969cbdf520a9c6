/*
 * lapic_msr.c - IA32_APIC_BASE, the x2APIC registers and IA32_TSC_DEADLINE as
 * model-specific registers.
 *
 * Intel SDM vol. 3, 11.4.4 (APIC_BASE), 11.12.1 and table 11-6 (x2APIC
 * registers and their access), 11.12.5 (state transitions), 11.5.4.1.
 * Returning false makes the instruction fault with #GP(0).
 */
#include "dev/irq/lapic.h"

#define MSR_APIC_BASE	 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC	 0x800

#define X2_ICR	    0x30
#define X2_SELF_IPI 0x3f
/* Reserved in the low half of the ICR; the old delivery status bit 12 may be
 * written and is ignored. */
#define X2_ICR_RESERVED 0xfff32000u

/* Bits that may be set by WRMSR; 0 for registers that are not writable.
 * EOI and ESR are writable with 0 only and handled apart. */
static uint32_t lapic_x2_writable(const struct lapic *l, unsigned reg)
{
	switch (reg) {
	case 0x08: return 0xff;
	case 0x0f: return 0x11ff;
	case 0x32: return l->set->tsc_deadline ? 0x710ff : 0x310ff;
	case 0x33:
	case 0x34: return 0x117ff;
	case 0x35:
	case 0x36: return 0x1f7ff;
	case 0x37: return 0x110ff;
	case 0x38: return 0xffffffff;
	case 0x3e: return 0xb;
	case 0x3f: return 0xff;
	}
	return 0;
}

static bool lapic_x2_readable(unsigned reg)
{
	switch (reg) {
	case 0x02:
	case 0x03:
	case 0x08:
	case 0x0a:
	case 0x0d:
	case 0x0f ... 0x28:
	case 0x32 ... 0x39:
	case 0x3e: return true;
	}
	return false;
}

static bool lapic_x2_read(struct lapic *l, unsigned reg, uint64_t *val)
{
	uint32_t v;

	if (reg == X2_ICR) {
		*val = l->icr;
		return true;
	}
	if (!lapic_x2_readable(reg) || !lapic_reg_read(l, reg, &v))
		return false;
	*val = v;
	return true;
}

static bool lapic_x2_write(struct lapic *l, unsigned reg, uint64_t val)
{
	if (reg == X2_ICR) {
		if (val & X2_ICR_RESERVED)
			return false;
		l->icr = val & ~(1ull << 12);
		lapic_icr_send(l);
		return true;
	}
	if (reg == 0x0b || reg == 0x28)
		return val == 0 && lapic_reg_write(l, reg, 0);
	if (!lapic_x2_writable(l, reg) ||
		(val & ~(uint64_t)lapic_x2_writable(l, reg)))
		return false;
	if (reg == X2_SELF_IPI) {
		uint64_t icr = l->icr;

		/* A fixed, edge IPI with shorthand "self" that leaves the
		 * ICR alone (11.12.11). */
		l->icr = (1u << 18) | val;
		lapic_icr_send(l);
		l->icr = icr;
		return true;
	}
	return lapic_reg_write(l, reg, val);
}

static bool lapic_write_base(struct lapic *l, uint64_t val)
{
	const uint64_t mode = LAPIC_BASE_EN | LAPIC_BASE_EXTD;
	uint64_t was = l->base & mode, now = val & mode;
	uint64_t reserved = ~((1ull << l->set->phys_bits) - 1) | 0x2ff;

	if (!l->set->x2apic)
		reserved |= LAPIC_BASE_EXTD;
	if (val & reserved)
		return false;
	/* 11.12.5: EXTD needs EN; only xAPIC goes to x2APIC, and x2APIC only
	 * to disabled. */
	if (now == LAPIC_BASE_EXTD || (now == mode && !was) ||
		(was == mode && now == LAPIC_BASE_EN))
		return false;
	l->base = val;
	if (was && !now) {
		uint8_t tpr = l->tpr;

		/* 11.4.3: state may be lost; CR8 lives on. */
		lapic_init_state(l);
		l->tpr = tpr;
		l->id = l->cpu->apic_id;
	}
	if (now == mode && was != mode) {
		l->id = l->cpu->apic_id;
		l->icr = (uint32_t)l->icr;
	}
	lapic_map_page(l);
	lapic_update(l);
	return true;
}

bool lapic_rdmsr(void *opaque, uint32_t msr, uint64_t *val)
{
	struct lapic *l = opaque;

	pv_eoi_settle(l);
	switch (msr) {
	case MSR_APIC_BASE: *val = l->base; return true;
	case MSR_TSC_DEADLINE:
		if (!l->set->tsc_deadline)
			return false;
		*val = lapic_timer_deadline(l);
		return true;
	case MSR_X2APIC ... MSR_X2APIC + 0xff:
		return (l->base & LAPIC_BASE_EXTD) &&
		       lapic_x2_read(l, msr - MSR_X2APIC, val);
	}
	return pv_rdmsr(l, msr, val);
}

bool lapic_wrmsr(void *opaque, uint32_t msr, uint64_t val)
{
	struct lapic *l = opaque;

	pv_eoi_settle(l);
	switch (msr) {
	case MSR_APIC_BASE: return lapic_write_base(l, val);
	case MSR_TSC_DEADLINE:
		if (!l->set->tsc_deadline)
			return false;
		lapic_timer_set_deadline(l, val);
		return true;
	case MSR_X2APIC ... MSR_X2APIC + 0xff:
		return (l->base & LAPIC_BASE_EXTD) &&
		       lapic_x2_write(l, msr - MSR_X2APIC, val);
	}
	return pv_wrmsr(l, msr, val);
}
