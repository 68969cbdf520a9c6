/*
 * ioapic.c - 82093AA I/O APIC with the EOI register of version 0x20.
 *
 * Intel 82093AA data sheet 290566, section 3 (registers); ICH data sheets for
 * the EOI register (offset 0x40).
 *
 * A level-triggered pin sends once and sets Remote IRR; EOI clears it and an
 * input that is still active sends again.  A masked edge is lost unless it was
 * latched while the pin was unmasked and could not be delivered.
 *
 * The board's lines are high when active, as the ACPI tables say: a pin that is
 * programmed to be active low is so while its line rests.
 */
#include <string.h>

#include "dev/irq/intc.h"
#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"

#define IOREGSEL 0x00
#define IOWIN	 0x10
#define IOEOI	 0x40

#define RTE_VECTOR	0xffull
#define RTE_DELIVERY(r) (((r) >> 8) & 7)
#define RTE_LOGICAL	(1ull << 11)
#define RTE_STATUS	(1ull << 12) /* read-only */
#define RTE_LOW		(1ull << 13)
#define RTE_REMOTE_IRR	(1ull << 14) /* read-only */
#define RTE_LEVEL	(1ull << 15)
#define RTE_MASK	(1ull << 16)
#define RTE_WRITABLE	(0xff0000000001afffull)

#define IOAPIC_VERSION (0x20 | ((IOAPIC_NPINS - 1) << 16))

static void ioapic_message(
	const struct ioapic *io, unsigned pin, struct lapic_message *m)
{
	uint64_t r = io->rte[pin];

	*m = (struct lapic_message){
		.dest = r >> 56,
		.logical = r & RTE_LOGICAL,
		.delivery = RTE_DELIVERY(r),
		.vector = r & RTE_VECTOR,
		.level = (r & RTE_LEVEL) && RTE_DELIVERY(r) <= 1,
		.xapic_dest = true,
	};
}

static void ioapic_service(struct ioapic *io, unsigned pin)
{
	uint64_t *r = &io->rte[pin];
	uint32_t bit = 1u << pin;
	struct lapic_message m;

	if (!(io->irr & bit) || (*r & RTE_MASK))
		return;
	ioapic_message(io, pin, &m);
	if (m.delivery == LAPIC_EXTINT)
		return; /* follows the line: ioapic_set */
	if (m.level && (*r & RTE_REMOTE_IRR))
		return;
	if (!io->deliver(io->opaque, &m) && m.level)
		return; /* nobody took it: tried again on any change */
	io->delivered[pin]++;
	if (m.level)
		*r |= RTE_REMOTE_IRR;
	else
		io->irr &= ~bit;
}

/* What the polarity bit says of the pin's level. */
static bool ioapic_active(const struct ioapic *io, unsigned pin)
{
	return (io->line >> pin & 1) ^ !!(io->rte[pin] & RTE_LOW);
}

static void ioapic_follow_extint(struct ioapic *io, unsigned pin)
{
	uint64_t r = io->rte[pin];
	struct lapic_message m;

	if (RTE_DELIVERY(r) != LAPIC_EXTINT)
		return;
	ioapic_message(io, pin, &m);
	io->extint(io->opaque, &m, !(r & RTE_MASK) && ioapic_active(io, pin));
}

void ioapic_set(struct ioapic *io, unsigned pin, bool level)
{
	uint32_t bit = 1u << pin;
	bool was, active, edge;

	if (pin >= IOAPIC_NPINS)
		return;
	was = ioapic_active(io, pin);
	edge = !(io->rte[pin] & RTE_LEVEL);
	io->line = level ? io->line | bit : io->line & ~bit;
	active = ioapic_active(io, pin);
	if (RTE_DELIVERY(io->rte[pin]) == LAPIC_EXTINT) {
		ioapic_follow_extint(io, pin);
		return;
	}
	if (!edge)
		io->irr = active ? io->irr | bit : io->irr & ~bit;
	else if (active && !was && !(io->rte[pin] & RTE_MASK))
		io->irr |= bit;
	else
		return;
	if (active)
		ioapic_service(io, pin);
}

int ioapic_edge_vector(const struct ioapic *io, unsigned pin)
{
	uint64_t r = io->rte[pin];

	if ((r & (RTE_MASK | RTE_LEVEL)) || RTE_DELIVERY(r) > 1)
		return -1;
	return r & RTE_VECTOR;
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_NPINS; pin++) {
		uint64_t *r = &io->rte[pin];

		if ((*r & RTE_VECTOR) != vector || !(*r & RTE_LEVEL) ||
			!(*r & RTE_REMOTE_IRR))
			continue;
		*r &= ~RTE_REMOTE_IRR;
		ioapic_service(io, pin);
	}
}

static uint32_t ioapic_reg_read(const struct ioapic *io)
{
	unsigned n = io->select;

	switch (n) {
	case 0:				       /* ID */
	case 2: return (uint32_t)io->id << 24; /* arbitration ID */
	case 1: return IOAPIC_VERSION;
	}
	if (n < 0x10 || n >= 0x10 + 2 * IOAPIC_NPINS)
		return 0;
	return io->rte[(n - 0x10) / 2] >> (n & 1 ? 32 : 0);
}

static void ioapic_rte_write(
	struct ioapic *io, unsigned pin, bool high, uint32_t val)
{
	uint64_t *r = &io->rte[pin], was = *r;
	uint64_t mask =
		RTE_WRITABLE & (high ? 0xffffffff00000000ull : 0xffffffffull);
	uint64_t v = high ? (uint64_t)val << 32 : val;
	uint32_t bit = 1u << pin;

	*r = (was & ~mask) | (v & mask);
	/* Edge-triggered pins have no remote IRR; older kernels make a pin
	 * edge and level again to clear it. */
	if (!(*r & RTE_LEVEL))
		*r &= ~RTE_REMOTE_IRR;
	if (*r & RTE_LEVEL)
		io->irr = (io->irr & ~bit) | (ioapic_active(io, pin) ? bit : 0);
	else if (was & RTE_LEVEL)
		io->irr &= ~bit;
	if (RTE_DELIVERY(was) == LAPIC_EXTINT &&
		RTE_DELIVERY(*r) != LAPIC_EXTINT) {
		struct lapic_message m;

		ioapic_message(io, pin, &m);
		io->extint(io->opaque, &m, false);
	}
	ioapic_follow_extint(io, pin);
	ioapic_service(io, pin);
}

static void ioapic_reg_write(struct ioapic *io, uint32_t val)
{
	unsigned n = io->select;

	if (n == 0)
		io->id = (val >> 24) & 0x0f;
	else if (n >= 0x10 && n < 0x10 + 2 * IOAPIC_NPINS)
		ioapic_rte_write(io, (n - 0x10) / 2, n & 1, val);
}

static uint64_t ioapic_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct ioapic *io = opaque;

	switch (off & 0xff) {
	case IOREGSEL: return io->select;
	case IOWIN: return ioapic_reg_read(io);
	}
	return 0;
}

static void ioapic_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct ioapic *io = opaque;

	switch (off & 0xff) {
	case IOREGSEL: io->select = val; break;
	case IOWIN: ioapic_reg_write(io, val); break;
	case IOEOI: ioapic_eoi(io, val); break;
	}
}

static const struct bus_mmio_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

void ioapic_init(struct ioapic *io, struct bus *b)
{
	io->bus = b;
	io->region = (struct bus_region){
		.name = "ioapic",
		.base = INTC_IOAPIC_BASE,
		.size = 0x1000,
		.prio = 10,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &ioapic_ops,
		.opaque = io,
	};
	bus_region_map(b, &io->region);
}

void ioapic_fini(struct ioapic *io)
{
	bus_region_unmap(io->bus, &io->region);
}

void ioapic_reset(struct ioapic *io)
{
	for (unsigned i = 0; i < IOAPIC_NPINS; i++)
		io->rte[i] = RTE_MASK;
	io->irr = 0;
	io->id = INTC_IOAPIC_ID;
	io->select = 0;
}
