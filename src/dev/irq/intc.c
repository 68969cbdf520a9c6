/*
 * intc.c - the interrupt complex of a PC: wires 8259 pair, I/O APIC and local
 * APICs together and decodes message-signalled interrupts.
 *
 * Intel MultiProcessor Specification 1.4, 3.6 (virtual wire and symmetric
 * modes: interrupts reach both controllers, software masks one); SDM vol. 3,
 * 11.11 (message address and data).
 *
 * A tick of the system timer that finds the one before still waiting, because
 * the host did not let the processor run, would be lost: guests that count
 * ticks lose time, and Linux gives up if none come while it waits for some.
 * Such ticks are owed, a bounded number, and each comes as soon as the one
 * before has been taken.
 */
#include <stdio.h>
#include <sys/param.h>

#include "dev/irq/i8259.h"
#include "dev/irq/intc.h"
#include "dev/irq/intc_state.h"
#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"
#include "dev/state.h"

#define MSI_MASK 0xfff00000ull
#define MSI_BASE 0xfee00000ull

struct intc {
	struct dev dev;
	struct i8259 pic;
	struct ioapic ioapic;
	struct lapic_set lapics;
	struct bus_irq gsi[BUS_NGSI];
	uint64_t msis;
	bool ignne;
};

static void intc_line(struct intc *c, unsigned n, bool level)
{
	if (n < 16)
		i8259_set(&c->pic, n, level);
	if (n != 2)
		ioapic_set(&c->ioapic, n == 0 ? 2 : n, level);
}

/* Has the last tick been sent on its way, and no processor taken it? */
static bool intc_tick_waits(const struct intc *c)
{
	const struct i8259_chip *pic = &c->pic.chip[0];
	int vector = ioapic_edge_vector(&c->ioapic, 2);

	if (vector >= 0)
		return lapic_waits(&c->lapics, vector);
	return pic->initialised && (pic->irr & ~pic->imr & 1);
}

static void intc_tick_taken(void *opaque)
{
	struct intc *c = opaque;
	bool level = c->pic.chip[0].line & 1;

	if (intc_tick_waits(c))
		return;
	c->lapics.owed--;
	intc_line(c, 0, false);
	intc_line(c, 0, true);
	intc_line(c, 0, level);
}

static void intc_gsi_set(void *opaque, unsigned n, bool level)
{
	struct intc *c = opaque;
	unsigned *owed = &c->lapics.owed;

	if (n == 0 && level && !(c->pic.chip[0].line & 1))
		*owed = intc_tick_waits(c) ? MIN(*owed + 1, LAPIC_MAX_OWED) : 0;
	intc_line(c, n, level);
}

static void intc_pic_out(void *opaque, unsigned n, bool level)
{
	struct intc *c = opaque;

	c->lapics.pic_line = level;
	lapic_set_lint(&c->lapics, 0, level);
	/* The 8259 is also wired to I/O APIC pin 0 (ExtINT). */
	ioapic_set(&c->ioapic, 0, level);
}

static bool intc_deliver(void *opaque, const struct lapic_message *m)
{
	struct intc *c = opaque;

	return lapic_deliver(&c->lapics, m);
}

static void intc_extint(void *opaque, const struct lapic_message *m, bool level)
{
	struct intc *c = opaque;

	lapic_deliver_extint(&c->lapics, m, level);
}

/* What firmware leaves in the boot processor's: the 8259 is heard. */
static void intc_wire(struct intc *c)
{
	struct lapic *l = c->lapics.apic[0];

	lapic_reg_write(l, 0x0f, 0x1ff);
	lapic_reg_write(l, 0x35, 0x700);
	lapic_reg_write(l, 0x36, 0x400);
}

static void intc_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct intc *c = opaque;
	struct lapic_message m = {
		.dest = (addr >> 12) & 0xff,
		.logical = addr & 4,
		.xapic_dest = true,
		.delivery = (data >> 8) & 7,
		.vector = data,
		.level = (data & 0x8000) && ((data >> 8) & 7) <= 1,
	};
	bool wired;

	if ((addr & ~0xfffffull) != MSI_BASE) {
		/* Not a message at all: a write to memory. */
		bus_dma_write(c->dev.host.bus, addr, &data, sizeof(data));
		return;
	}
	c->msis++;
	if (m.level && !(data & 0x4000))
		return; /* de-assert */
	/* A board's firmware makes its virtual wire anew on its way back from
	 * the INIT that ports cause; SeaBIOS does not. */
	wired = (c->lapics.apic[0]->lvt[LAPIC_LVT_LINT0] &
			(LAPIC_LVT_MASK | 0x700)) == 0x700;
	lapic_deliver(&c->lapics, &m);
	if (m.delivery == LAPIC_INIT && wired)
		intc_wire(c);
}

/* ---- errors of the x87 unit (82371SB data sheet 290550, 2.5.4) ---- */

#define X87_PORT 0xf0
#define X87_GSI	 13

/* An error that nobody was told of yet is interrupt 13. */
static bool intc_x87_error(void *opaque, bool pending)
{
	struct intc *c = opaque;

	c->ignne &= pending;
	bus_irq_set(&c->gsi[X87_GSI], pending && !c->ignne);
	return c->ignne;
}

static uint32_t intc_x87_read(void *opaque, uint16_t port, unsigned size)
{
	return 0xff;
}

/* Whatever is written takes the interrupt back and asserts IGNNE# until the
 * error is gone. */
static void intc_x87_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct intc *c = opaque;

	c->ignne = true;
	bus_irq_set(&c->gsi[X87_GSI], false);
}

static const struct bus_io_ops intc_x87_ops = {
	.read = intc_x87_read,
	.write = intc_x87_write,
};

static int intc_init(struct dev *d, char *err, unsigned errsize)
{
	struct intc *c = (struct intc *)d;
	struct bus *b = d->host.bus;

	if (!bus_ncpus(b)) {
		snprintf(err, errsize, "%s: no processors yet", d->id);
		return -1;
	}
	lapic_set_init(&c->lapics, b);
	c->lapics.pic = &c->pic;
	c->lapics.ioapic = &c->ioapic;
	c->lapics.taken = intc_tick_taken;
	c->lapics.taken_opaque = c;
	ioapic_init(&c->ioapic, b);
	c->ioapic.deliver = intc_deliver;
	c->ioapic.extint = intc_extint;
	c->ioapic.opaque = c;
	i8259_init(
		&c->pic, b, (struct bus_irq){.set = intc_pic_out, .opaque = c});
	for (unsigned i = 0; i < BUS_NGSI; i++)
		c->gsi[i] = (struct bus_irq){
			.set = intc_gsi_set, .opaque = c, .n = i};
	bus_msi_handler(b, intc_msi, c);
	bus_x87_handler(b, intc_x87_error, c);
	bus_io_claim(b, X87_PORT, 1, &intc_x87_ops, c);
	return 0;
}

static void intc_reset(struct dev *d)
{
	struct intc *c = (struct intc *)d;

	lapic_set_reset(&c->lapics);
	c->lapics.owed = 0;
	ioapic_reset(&c->ioapic);
	i8259_reset(&c->pic);
	c->ignne = false;
}

static void intc_fini(struct dev *d)
{
	struct intc *c = (struct intc *)d;

	bus_io_release(d->host.bus, X87_PORT, 1, c);
	bus_x87_handler(d->host.bus, NULL, NULL);
	bus_msi_handler(d->host.bus, NULL, NULL);
	i8259_fini(&c->pic);
	ioapic_fini(&c->ioapic);
	lapic_set_fini(&c->lapics);
}

static void intc_describe(struct dev *d, char *buf, unsigned size)
{
	struct intc *c = (struct intc *)d;
	uint64_t ipis = 0, accepted = 0;

	for (unsigned i = 0; i < c->lapics.n; i++) {
		ipis += c->lapics.apic[i]->ipis;
		accepted += c->lapics.apic[i]->accepted;
	}
	snprintf(buf, size,
		"apic %llu ipi %llu msi %llu 8259 %llu (spurious %llu)",
		(unsigned long long)accepted, (unsigned long long)ipis,
		(unsigned long long)c->msis, (unsigned long long)c->pic.acks,
		(unsigned long long)c->pic.spurious);
}

const struct bus_irq *intc_gsi(struct dev *d)
{
	return ((struct intc *)d)->gsi;
}

void intc_set_features(
	struct dev *d, unsigned phys_bits, bool x2apic, bool tsc_deadline)
{
	struct intc *c = (struct intc *)d;

	c->lapics.phys_bits = phys_bits;
	c->lapics.x2apic = x2apic;
	c->lapics.tsc_deadline = tsc_deadline;
}

void intc_set_paravirt(struct dev *d, uint32_t features, uint64_t tsc_hz)
{
	struct intc *c = (struct intc *)d;

	c->lapics.pv.features = features;
	c->lapics.pv.tsc_hz = tsc_hz;
}

void intc_virtual_wire(struct dev *d)
{
	intc_wire((struct intc *)d);
}

void intc_nmi(struct dev *d)
{
	struct intc *c = (struct intc *)d;

	lapic_set_lint(&c->lapics, 1, true);
	lapic_set_lint(&c->lapics, 1, false);
}

static const struct state_field intc_fields[] = {
	STATE_STRUCT(struct intc, pic, &i8259_state),
	STATE_STRUCT(struct intc, ioapic, &ioapic_state),
	STATE_STRUCT(struct intc, lapics, &lapic_set_state),
	STATE(struct intc, ignne),
};

static const struct state_list intc_state =
	STATE_LIST("intc", struct intc, 1, intc_fields);

const struct dev_class intc_class = {
	.name = "intc",
	.size = sizeof(struct intc),
	.init = intc_init,
	.reset = intc_reset,
	.fini = intc_fini,
	.describe = intc_describe,
	.state = &intc_state,
};
