/*
 * lapic.c - local APICs: registers, acceptance, priorities, messages.
 *
 * Intel SDM vol. 3, chapter 11 "Advanced Programmable Interrupt Controller"
 * (of which 11.4.7 reset and INIT state, 11.5.1 LVT, 11.5.3 errors, 11.6 IPIs
 * and destinations, 11.8 priorities, acceptance, EOI, 11.12 x2APIC).
 *
 * BUS_EV_INTR of a processor is high exactly while lapic_ack() would give it
 * a vector; lapic_update() keeps that true after every change.
 *
 * Lowest-priority messages go to the target with the lowest PPR, the next one
 * in turn among equals.
 */
#include <string.h>

#include <glib.h>

#include "dev/irq/i8259.h"
#include "dev/irq/intc.h"
#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"

#define LAPIC_VERSION 0x01050014 /* integrated, 6 LVTs, may suppress EOI */

#define SVR_ENABLE	 (1u << 8)
#define SVR_NO_EOI_BCAST (1u << 12)
#define SVR_WRITABLE	 (0xffu | SVR_ENABLE | SVR_NO_EOI_BCAST)

#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECV_ILLEGAL (1u << 6)
#define ESR_REGISTER	 (1u << 7)

#define LVT_DELIVERY(v) (((v) >> 8) & 7)
#define LVT_REMOTE_IRR	(1u << 14)
#define LVT_LEVEL	(1u << 15)

#define ICR_LOGICAL  (1u << 11)
#define ICR_ASSERT   (1u << 14)
#define ICR_LEVEL    (1u << 15)
#define ICR_WRITABLE 0x000ccfffu

static bool lapic_enabled(const struct lapic *l)
{
	return l->base & LAPIC_BASE_EN;
}

static bool lapic_x2(const struct lapic *l)
{
	return l->base & LAPIC_BASE_EXTD;
}

static bool lapic_soft_enabled(const struct lapic *l)
{
	return lapic_enabled(l) && (l->svr & SVR_ENABLE);
}

static void lapic_bit_set(uint32_t *r, uint8_t v)
{
	r[v >> 5] |= 1u << (v & 31);
}

static void lapic_bit_clear(uint32_t *r, uint8_t v)
{
	r[v >> 5] &= ~(1u << (v & 31));
}

static bool lapic_bit(const uint32_t *r, uint8_t v)
{
	return r[v >> 5] & (1u << (v & 31));
}

static int lapic_highest(const uint32_t *r)
{
	for (int i = 7; i >= 0; i--)
		if (r[i])
			return i * 32 + 31 - __builtin_clz(r[i]);
	return -1;
}

/* 11.8.3.1 */
static uint8_t lapic_ppr(const struct lapic *l)
{
	int isr = lapic_highest(l->isr);

	if (isr < 0 || (l->tpr >> 4) >= (isr >> 4))
		return l->tpr;
	return isr & 0xf0;
}

static int lapic_deliverable(const struct lapic *l)
{
	int v = lapic_highest(l->irr);

	if (v < 0 || !lapic_enabled(l) || (v >> 4) <= (lapic_ppr(l) >> 4))
		return -1;
	return v;
}

/* Is the 8259's INT to be taken by this processor? */
static bool lapic_extint_pending(const struct lapic *l)
{
	uint32_t lint0 = l->lvt[LAPIC_LVT_LINT0];

	/* A disabled local APIC lets the pins through (11.4.3); the board
	 * wires INTR to the boot processor. */
	if (!lapic_enabled(l))
		return l->lint[0] && l->cpu->index == 0;
	if (l->extint)
		return true;
	return l->lint[0] && !(lint0 & LAPIC_LVT_MASK) &&
	       LVT_DELIVERY(lint0) == LAPIC_EXTINT;
}

void lapic_update(struct lapic *l)
{
	bool want = lapic_extint_pending(l) || lapic_deliverable(l) >= 0 ||
		    (l->pv.eoi_given && lapic_highest(l->irr) >= 0);
	bool have =
		atomic_load_explicit(&l->cpu->events, memory_order_relaxed) &
		BUS_EV_INTR;

	if (want && !have)
		bus_cpu_raise(l->cpu, BUS_EV_INTR);
	else if (!want && have)
		bus_cpu_clear(l->cpu, BUS_EV_INTR);
}

bool lapic_waits(const struct lapic_set *s, uint8_t vector)
{
	for (unsigned i = 0; i < s->n; i++)
		if (lapic_bit(s->apic[i]->irr, vector))
			return true;
	return false;
}

static int lapic_take(struct lapic *l)
{
	bool settled = pv_eoi_settle(l);
	int v;

	if (lapic_extint_pending(l)) {
		v = i8259_ack(l->set->pic);
		lapic_update(l);
		return v;
	}
	v = lapic_deliverable(l);
	if (v < 0) {
		/* 11.9: asked for, but gone meanwhile. */
		bool spurious =
			lapic_highest(l->irr) >= 0 && lapic_soft_enabled(l);

		/* ... or only asked for the settling of an EOI. */
		spurious &= !settled;
		lapic_update(l);
		return spurious ? (int)(l->svr & 0xff) : -1;
	}
	lapic_bit_clear(l->irr, v);
	lapic_bit_set(l->isr, v);
	if (lapic_highest(l->irr) < 0 && !lapic_bit(l->tmr, v))
		pv_eoi_give(l);
	lapic_update(l);
	return v;
}

static int lapic_ack(void *opaque)
{
	struct lapic *l = opaque;
	int v = lapic_take(l);

	if (l->set->owed)
		l->set->taken(l->set->taken_opaque);
	return v;
}

/* ---- acceptance ---- */

static bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
	if (!lapic_soft_enabled(l))
		return false;
	if (vector < 16) {
		lapic_raise_error(l, ESR_RECV_ILLEGAL);
		return false;
	}
	l->accepted++;
	if (level)
		lapic_bit_set(l->tmr, vector);
	else
		lapic_bit_clear(l->tmr, vector);
	if (!lapic_bit(l->irr, vector)) {
		lapic_bit_set(l->irr, vector);
		lapic_update(l);
	}
	return true;
}

static bool lapic_accept_message(struct lapic *l, const struct lapic_message *m)
{
	switch (m->delivery) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST: return lapic_accept(l, m->vector, m->level);
	case LAPIC_NMI: bus_cpu_raise(l->cpu, BUS_EV_NMI); return true;
	case LAPIC_INIT:
		lapic_init_state(l);
		/* INIT forgets NMIs, both of them. */
		bus_cpu_clear(l->cpu, BUS_EV_SIPI | BUS_EV_NMI);
		bus_cpu_clear(l->cpu, BUS_EV_NMI);
		bus_cpu_raise(l->cpu, BUS_EV_INIT);
		return true;
	case LAPIC_SIPI:
		/* The first one counts; the run loop drops it unless the
		 * processor waits for it. */
		if (!(atomic_load(&l->cpu->events) & BUS_EV_SIPI)) {
			atomic_store(&l->cpu->sipi_vector, m->vector);
			bus_cpu_raise(l->cpu, BUS_EV_SIPI);
		}
		return true;
	}
	return true; /* SMI: no system management mode; reserved: ignored */
}

/* 11.6.2.2 */
static bool lapic_match_logical(
	const struct lapic *l, uint32_t dest, bool broadcast)
{
	uint8_t mine = l->ldr >> 24;

	if (lapic_x2(l)) {
		uint32_t ldr = lapic_x2apic_ldr(l->id);

		return dest == 0xffffffff ||
		       ((dest >> 16) == (ldr >> 16) && (dest & ldr & 0xffff));
	}
	if (broadcast)
		return true;
	if (dest > 0xff)
		return false;
	if ((l->dfr >> 28) == 0xf)
		return dest & mine;
	return (dest >> 4) == (mine >> 4) && (dest & mine & 0xf);
}

static bool lapic_match(const struct lapic *l, const struct lapic_message *m)
{
	bool broadcast =
		m->dest == 0xffffffff || (m->xapic_dest && m->dest == 0xff);

	if (!lapic_enabled(l))
		/* The INIT and NMI pins still work, and an AP is woken. */
		return m->delivery >= LAPIC_NMI && !m->logical &&
		       (broadcast || l->id == m->dest);
	if (m->logical)
		return lapic_match_logical(l, m->dest, broadcast);
	if (broadcast)
		return true;
	return lapic_x2(l) ? l->id == m->dest : (l->id & 0xff) == m->dest;
}

static bool lapic_deliver_lowest(
	struct lapic_set *s, const struct lapic_message *m)
{
	struct lapic *best = NULL;

	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = s->apic[(s->next_lowest + i) % s->n];

		if (!lapic_soft_enabled(l) || !lapic_match(l, m))
			continue;
		if (!best || lapic_ppr(l) < lapic_ppr(best))
			best = l;
	}
	if (!best)
		return false;
	s->next_lowest = (best->cpu->index + 1) % s->n;
	return lapic_accept_message(best, m);
}

bool lapic_deliver(struct lapic_set *s, const struct lapic_message *m)
{
	bool taken = false;

	if (m->delivery == LAPIC_LOWEST)
		return lapic_deliver_lowest(s, m);
	for (unsigned i = 0; i < s->n; i++)
		if (lapic_match(s->apic[i], m))
			taken |= lapic_accept_message(s->apic[i], m);
	return taken;
}

void lapic_deliver_extint(
	struct lapic_set *s, const struct lapic_message *m, bool level)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = s->apic[i];
		bool now = level && lapic_match(l, m);

		if (l->extint != now) {
			l->extint = now;
			lapic_update(l);
		}
	}
}

/* ---- local interrupts ---- */

void lapic_local(struct lapic *l, enum lapic_lvt which)
{
	uint32_t lvt = l->lvt[which];

	if ((lvt & LAPIC_LVT_MASK) || !lapic_enabled(l))
		return;
	switch (which == LAPIC_LVT_TIMER || which == LAPIC_LVT_ERROR
			? LAPIC_FIXED
			: LVT_DELIVERY(lvt)) {
	case LAPIC_FIXED: lapic_accept(l, lvt, false); break;
	case LAPIC_NMI: bus_cpu_raise(l->cpu, BUS_EV_NMI); break;
	case LAPIC_INIT: bus_cpu_raise(l->cpu, BUS_EV_INIT); break;
	}
}

void lapic_raise_error(struct lapic *l, uint32_t bits)
{
	uint32_t lvt = l->lvt[LAPIC_LVT_ERROR];

	if (!(bits & ~l->esr_new))
		return;
	l->esr_new |= bits;
	if (lvt & LAPIC_LVT_MASK)
		return;
	if ((lvt & 0xff) < 16)
		l->esr_new |= ESR_RECV_ILLEGAL;
	else
		lapic_accept(l, lvt, false);
}

/* A level-triggered fixed LINT pin: sends once until EOI. */
static void lapic_lint_level(struct lapic *l, unsigned pin)
{
	uint32_t *lvt = &l->lvt[LAPIC_LVT_LINT0 + pin];

	if ((*lvt & (LAPIC_LVT_MASK | LVT_REMOTE_IRR)) || !l->lint[pin] ||
		!lapic_enabled(l))
		return;
	if (lapic_accept(l, *lvt, true))
		*lvt |= LVT_REMOTE_IRR;
}

static bool lapic_lint_is_level(const struct lapic *l, unsigned pin)
{
	uint32_t lvt = l->lvt[LAPIC_LVT_LINT0 + pin];

	/* 11.5.1: LINT1 does not support level-triggered fixed interrupts */
	return pin == 0 && (lvt & LVT_LEVEL) && !LVT_DELIVERY(lvt);
}

void lapic_set_lint(struct lapic_set *s, unsigned pin, bool level)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = s->apic[i];
		bool rise = level && !l->lint[pin];

		l->lint[pin] = level;
		if (!lapic_enabled(l)) {
			if (pin == 1 && rise && l->cpu->index == 0)
				bus_cpu_raise(l->cpu, BUS_EV_NMI);
		} else if (lapic_lint_is_level(l, pin)) {
			lapic_lint_level(l, pin);
		} else if (rise) {
			lapic_local(l, LAPIC_LVT_LINT0 + pin);
		}
		if (pin == 0)
			lapic_update(l);
	}
}

/* 11.8.5 */
void lapic_eoi(struct lapic *l)
{
	int v = lapic_highest(l->isr);

	if (v < 0)
		return;
	l->eois++;
	lapic_bit_clear(l->isr, v);
	if (lapic_bit(l->tmr, v)) {
		uint32_t *lint0 = &l->lvt[LAPIC_LVT_LINT0];

		if ((*lint0 & LVT_REMOTE_IRR) && (int)(*lint0 & 0xff) == v) {
			*lint0 &= ~LVT_REMOTE_IRR;
			lapic_lint_level(l, 0);
		}
		if (!(l->svr & SVR_NO_EOI_BCAST))
			ioapic_eoi(l->set->ioapic, v);
	}
	lapic_update(l);
}

/* ---- interprocessor interrupts ---- */

static bool lapic_icr_shorthand(struct lapic *l, const struct lapic_message *m)
{
	unsigned shorthand = (l->icr >> 18) & 3;

	if (!shorthand)
		return false;
	for (unsigned i = 0; i < l->set->n; i++) {
		struct lapic *to = l->set->apic[i];

		if (shorthand == 1 ? to == l : shorthand == 2 || to != l)
			lapic_accept_message(to, m);
	}
	return true;
}

void lapic_icr_send(struct lapic *l)
{
	uint32_t low = l->icr;
	struct lapic_message m = {
		.dest = lapic_x2(l) ? l->icr >> 32 : l->icr >> 56,
		.logical = low & ICR_LOGICAL,
		.xapic_dest = !lapic_x2(l),
		.delivery = (low >> 8) & 7,
		.vector = low,
	};

	l->ipis++;
	if (m.delivery <= LAPIC_LOWEST && m.vector < 16) {
		lapic_raise_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	/* INIT level de-assert only synchronised arbitration IDs once. */
	if (m.delivery == LAPIC_INIT && (low & ICR_LEVEL) &&
		!(low & ICR_ASSERT))
		return;
	if (m.delivery == LAPIC_EXTINT || m.delivery == 3)
		return; /* reserved in the ICR */
	if (!lapic_icr_shorthand(l, &m))
		lapic_deliver(l->set, &m);
}

/* ---- registers ---- */

uint32_t lapic_x2apic_ldr(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

static uint32_t lapic_apr(const struct lapic *l)
{
	int irr = lapic_highest(l->irr), isr = lapic_highest(l->isr);
	int high = MAX(MAX(irr, 0) >> 4, MAX(isr, 0) >> 4);

	return (l->tpr >> 4) >= high ? l->tpr : (uint32_t)high << 4;
}

bool lapic_reg_read(struct lapic *l, unsigned reg, uint32_t *val)
{
	switch (reg) {
	case 0x02: *val = lapic_x2(l) ? l->id : l->id << 24; break;
	case 0x03: *val = LAPIC_VERSION; break;
	case 0x08: *val = l->tpr; break;
	case 0x09: *val = lapic_apr(l); break;
	case 0x0a: *val = lapic_ppr(l); break;
	case 0x0b:
	case 0x0c: *val = 0; break;
	case 0x0d: *val = lapic_x2(l) ? lapic_x2apic_ldr(l->id) : l->ldr; break;
	case 0x0e: *val = l->dfr; break;
	case 0x0f: *val = l->svr; break;
	case 0x10 ... 0x17: *val = l->isr[reg & 7]; break;
	case 0x18 ... 0x1f: *val = l->tmr[reg & 7]; break;
	case 0x20 ... 0x27: *val = l->irr[reg & 7]; break;
	case 0x28: *val = l->esr; break;
	case 0x30: *val = l->icr; break;
	case 0x31: *val = l->icr >> 32; break;
	case 0x32 ... 0x37: *val = l->lvt[reg - 0x32]; break;
	case 0x38: *val = l->timer.initial; break;
	case 0x39: *val = lapic_timer_current(l); break;
	case 0x3e: *val = l->timer.divide; break;
	default: return false;
	}
	return true;
}

static void lapic_write_svr(struct lapic *l, uint32_t val)
{
	l->svr = val & SVR_WRITABLE;
	/* 11.4.7.2: software disabled: LVT mask bits stay set. */
	if (!(l->svr & SVR_ENABLE))
		for (unsigned i = 0; i < LAPIC_NLVT; i++)
			l->lvt[i] |= LAPIC_LVT_MASK;
	lapic_update(l);
}

static void lapic_write_lvt(struct lapic *l, unsigned n, uint32_t val)
{
	static const uint32_t writable[LAPIC_NLVT] = {
		[LAPIC_LVT_TIMER] = 0x700ff,
		[LAPIC_LVT_THERMAL] = 0x107ff,
		[LAPIC_LVT_PERF] = 0x107ff,
		[LAPIC_LVT_LINT0] = 0x1a7ff,
		[LAPIC_LVT_LINT1] = 0x1a7ff,
		[LAPIC_LVT_ERROR] = 0x100ff,
	};
	uint32_t old = l->lvt[n];

	val &= writable[n];
	if (!(l->svr & SVR_ENABLE))
		val |= LAPIC_LVT_MASK;
	if (n == LAPIC_LVT_TIMER) {
		lapic_timer_set_lvt(l, val);
		return;
	}
	if ((val & LVT_LEVEL) && !LVT_DELIVERY(val))
		val |= old & LVT_REMOTE_IRR;
	l->lvt[n] = val;
	if (n == LAPIC_LVT_LINT0) {
		if (lapic_lint_is_level(l, 0))
			lapic_lint_level(l, 0);
		lapic_update(l);
	}
}

bool lapic_reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
	switch (reg) {
	case 0x02:
		if (!lapic_x2(l))
			l->id = val >> 24;
		break;
	case 0x08:
		l->tpr = val;
		lapic_update(l);
		break;
	case 0x0b: lapic_eoi(l); break;
	case 0x0d: l->ldr = val & 0xff000000; break;
	case 0x0e: l->dfr = val | 0x0fffffff; break;
	case 0x0f: lapic_write_svr(l, val); break;
	case 0x28:
		l->esr = l->esr_new;
		l->esr_new = 0;
		break;
	case 0x30:
		l->icr = (l->icr & ~0xffffffffull) | (val & ICR_WRITABLE);
		lapic_icr_send(l);
		break;
	case 0x31:
		l->icr = (l->icr & 0xffffffff) | (uint64_t)(val & 0xff000000)
							 << 32;
		break;
	case 0x32 ... 0x37: lapic_write_lvt(l, reg - 0x32, val); break;
	case 0x38: lapic_timer_set_initial(l, val); break;
	case 0x3e: lapic_timer_set_divide(l, val); break;
	case 0x03: /* read-only ones: no effect, no error */
	case 0x09:
	case 0x0a:
	case 0x0c:
	case 0x10 ... 0x27:
	case 0x39: break;
	default: return false;
	}
	return true;
}

/* ---- the register page ---- */

static uint64_t lapic_mmio_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct lapic *l = who ? who->intc_opaque : NULL;
	uint32_t val = 0;

	if (!l || (opaque ? opaque != l : l->moved.mapped) ||
		!lapic_enabled(l) || lapic_x2(l))
		return ~0ull;
	pv_eoi_settle(l);
	if (!lapic_reg_read(l, off >> 4, &val))
		lapic_raise_error(l, ESR_REGISTER);
	/* Only the first four of sixteen bytes are there. */
	return (off & 15) < 4 ? val >> ((off & 3) * 8) : 0;
}

static void lapic_mmio_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct lapic *l = who ? who->intc_opaque : NULL;

	if (!l || (opaque ? opaque != l : l->moved.mapped) ||
		!lapic_enabled(l) || lapic_x2(l))
		return;
	if ((off & 15) || size < 4)
		return;
	pv_eoi_settle(l);
	if (!lapic_reg_write(l, off >> 4, val))
		lapic_raise_error(l, ESR_REGISTER);
}

static const struct bus_mmio_ops lapic_mmio_ops = {
	.read = lapic_mmio_read,
	.write = lapic_mmio_write,
};

/* The page of those at the default base is always there; a processor that
 * moved or switched off its own sees nothing in it. */
void lapic_map_page(struct lapic *l)
{
	uint64_t at = l->base & ~0xfffull;
	struct bus *b = l->set->bus;

	if (l->moved.mapped && l->moved.base == at)
		return;
	bus_region_unmap(b, &l->moved);
	if (at == INTC_LAPIC_BASE)
		return;
	l->moved.base = at;
	bus_region_map(b, &l->moved);
}

/* ---- life ---- */

static uint8_t lapic_get_tpr(void *opaque)
{
	struct lapic *l = opaque;

	return l->tpr >> 4;
}

static void lapic_set_tpr(void *opaque, uint8_t cr8)
{
	struct lapic *l = opaque;

	l->tpr = cr8 << 4;
	lapic_update(l);
}

static void lapic_stood_still(void *opaque, uint64_t ticks)
{
	struct lapic *l = opaque;

	lapic_timer_stood_still(l, ticks);
	if (l == l->set->apic[0])
		pv_stood_still(l->set, ticks);
}

static const struct bus_cpu_intc lapic_intc = {
	.ack = lapic_ack,
	.rdmsr = lapic_rdmsr,
	.wrmsr = lapic_wrmsr,
	.get_tpr = lapic_get_tpr,
	.set_tpr = lapic_set_tpr,
	.hypercall = pv_hypercall,
	.tsc_moved = pv_tsc_moved,
	.stood_still = lapic_stood_still,
};

/* 11.4.7.1 and 11.4.7.3: all but the ID and APIC_BASE */
void lapic_init_state(struct lapic *l)
{
	l->tpr = 0;
	l->ldr = 0;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	l->icr = 0;
	l->esr = l->esr_new = 0;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	for (unsigned i = 0; i < LAPIC_NLVT; i++)
		l->lvt[i] = LAPIC_LVT_MASK;
	l->extint = false;
	pv_cpu_reset(l);
	lapic_timer_reset(l);
	lapic_update(l);
}

static const struct bus_region lapic_region = {
	.name = "lapic",
	.base = INTC_LAPIC_BASE,
	.size = 0x1000,
	.prio = 11,
	.access = BUS_MAP_R | BUS_MAP_W,
	.ops = &lapic_mmio_ops,
};

void lapic_set_init(struct lapic_set *s, struct bus *b)
{
	s->bus = b;
	s->n = bus_ncpus(b);
	s->phys_bits = 46;
	s->x2apic = s->tsc_deadline = true;
	lapic_clock_start(s);
	pv_init(s);
	s->page = lapic_region;
	bus_region_map(b, &s->page);
	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = g_new0(struct lapic, 1);

		l->set = s;
		l->cpu = bus_cpu_at(b, i);
		l->moved = lapic_region;
		l->moved.opaque = l;
		lapic_timer_init(l);
		s->apic[i] = l;
		l->cpu->intc = &lapic_intc;
		l->cpu->intc_opaque = l;
	}
}

void lapic_set_fini(struct lapic_set *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = s->apic[i];

		l->cpu->intc = NULL;
		l->cpu->intc_opaque = NULL;
		bus_timer_cancel(&l->timer.timer);
		bus_region_unmap(s->bus, &l->moved);
		g_free(l);
	}
	bus_region_unmap(s->bus, &s->page);
	pv_fini(s);
}

void lapic_set_reset(struct lapic_set *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = s->apic[i];

		l->base = INTC_LAPIC_BASE | LAPIC_BASE_EN |
			  (i == 0 ? LAPIC_BASE_BSP : 0);
		l->id = l->cpu->apic_id;
		lapic_map_page(l);
		lapic_init_state(l);
	}
	s->next_lowest = 0;
	pv_reset(s);
}
