/*
 * i8259.c - two cascaded 8259A interrupt controllers and the edge/level
 * registers of the PIIX3.
 *
 * Intel 8259A data sheet 231468-003: initialisation words "ICW1..ICW4",
 * operation words "OCW1..OCW3", "Fully nested mode", "Automatic rotation",
 * "Special mask mode", "Poll command"; 82371SB data sheet 290550 section 2.7.1
 * (ELCR, which takes the place of ICW1's LTIM).
 *
 * In edge mode a request stays latched after the line has dropped, as all
 * integrated successors of the chip do: only an input that falls between INT
 * and INTA in level mode, or a masked one, gives the spurious interrupt 7.
 */
#include <string.h>

#include "dev/irq/i8259.h"

#define ICW1_IC4  0x01
#define ICW1_SNGL 0x02
#define ICW1_INIT 0x10
#define ICW4_UPM  0x01
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10
#define OCW3_RIS  0x01
#define OCW3_RR	  0x02
#define OCW3_POLL 0x04
#define OCW3	  0x08
#define OCW3_SMM  0x20
#define OCW3_ESMM 0x40
#define CASCADE	  2
/* Timer, keyboard, cascade, RTC and FPU are always edge triggered. */
#define ELCR0_FIXED 0x07
#define ELCR1_FIXED 0x21

/* Position in the present order of priority of the best bit, 0 the highest;
 * 8 if none is set. */
static unsigned i8259_priority(const struct i8259_chip *c, uint8_t mask)
{
	unsigned p = 0;

	if (!mask)
		return 8;
	while (!(mask & (1u << ((p + c->prio_add) & 7))))
		p++;
	return p;
}

static unsigned i8259_input(const struct i8259_chip *c, unsigned priority)
{
	return (priority + c->prio_add) & 7;
}

/* The input to be served now, or -1. */
static int i8259_pending(const struct i8259 *p, const struct i8259_chip *c)
{
	unsigned best = i8259_priority(c, c->irr & ~c->imr), busy;
	uint8_t isr = c->isr;

	if (best == 8 || !c->initialised)
		return -1;
	/* Special mask mode: what is masked does not hold back others. */
	if (c->special_mask)
		isr &= ~c->imr;
	/* Special fully nested: the secondary may interrupt itself. */
	if (c->special_nested && c == &p->chip[0])
		isr &= ~(1u << CASCADE);
	busy = i8259_priority(c, isr);
	return best < busy ? (int)i8259_input(c, best) : -1;
}

static void i8259_chip_set(struct i8259_chip *c, unsigned n, bool level)
{
	uint8_t bit = 1u << n;
	bool was = c->line & bit;

	if (level)
		c->line |= bit;
	else
		c->line &= ~bit;
	if (c->elcr & bit)
		c->irr = level ? c->irr | bit : c->irr & ~bit;
	else if (level && !was)
		c->irr |= bit;
}

/* Carry requests of the secondary to the primary, of the primary out. */
static void i8259_update(struct i8259 *p)
{
	bool second = i8259_pending(p, &p->chip[1]) >= 0;
	bool out;

	/* The secondary's INT behaves as a level: with nothing left to ask
	 * for, a latched request of the cascade is withdrawn. */
	i8259_chip_set(&p->chip[0], CASCADE, second);
	if (!second)
		p->chip[0].irr &= ~(1u << CASCADE);
	else if (!(p->chip[0].isr & (1u << CASCADE)))
		p->chip[0].irr |= 1u << CASCADE;
	out = i8259_pending(p, &p->chip[0]) >= 0;
	if (out != p->out_level) {
		p->out_level = out;
		bus_irq_set(&p->out, out);
	}
}

void i8259_set(struct i8259 *p, unsigned irq, bool level)
{
	if (irq == CASCADE || irq > 15)
		return;
	i8259_chip_set(&p->chip[irq >> 3], irq & 7, level);
	i8259_update(p);
}

static void i8259_chip_ack(struct i8259_chip *c, unsigned n)
{
	uint8_t bit = 1u << n;

	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->prio_add = (n + 1) & 7;
	if (!(c->elcr & bit))
		c->irr &= ~bit;
}

uint8_t i8259_ack(struct i8259 *p)
{
	int n = i8259_pending(p, &p->chip[0]), m;
	uint8_t vector;

	p->acks++;
	if (n < 0) {
		p->spurious++;
		vector = p->chip[0].base + 7;
	} else if (n != CASCADE) {
		i8259_chip_ack(&p->chip[0], n);
		vector = p->chip[0].base + n;
	} else {
		m = i8259_pending(p, &p->chip[1]);
		i8259_chip_ack(&p->chip[0], n);
		if (m < 0) {
			p->spurious++;
			m = 7;
		} else {
			i8259_chip_ack(&p->chip[1], m);
		}
		vector = p->chip[1].base + m;
	}
	/* INT goes low with the acknowledge and rises again for the next. */
	if (p->out_level) {
		p->out_level = false;
		bus_irq_set(&p->out, false);
	}
	i8259_update(p);
	return vector;
}

static void i8259_icw1(struct i8259_chip *c, uint8_t val)
{
	c->imr = c->isr = 0;
	c->prio_add = 0;
	c->special_mask = c->read_isr = c->poll = false;
	c->auto_eoi = c->rotate_aeoi = c->special_nested = false;
	c->icw4_needed = val & ICW1_IC4;
	c->single = val & ICW1_SNGL;
	/* The edge detectors are reset: an input must fall and rise. */
	c->irr = c->line & c->elcr;
	c->initialised = false;
	c->icw = 2;
}

static void i8259_eoi(struct i8259_chip *c, unsigned op, unsigned level)
{
	unsigned pr = i8259_priority(c, c->isr);
	unsigned n = i8259_input(c, pr);

	switch (op) {
	case 0: /* rotate in automatic EOI mode off, on */
	case 4: c->rotate_aeoi = op; break;
	case 1: /* non-specific EOI, rotate on it */
	case 5:
		/* In special mask mode masked ones are passed over. */
		if (c->special_mask) {
			pr = i8259_priority(c, c->isr & ~c->imr);
			n = i8259_input(c, pr);
		}
		if (pr == 8)
			break;
		c->isr &= ~(1u << n);
		if (op == 5)
			c->prio_add = (n + 1) & 7;
		break;
	case 3: c->isr &= ~(1u << level); break;
	case 7:
		c->isr &= ~(1u << level);
		c->prio_add = (level + 1) & 7;
		break;
	case 6: c->prio_add = (level + 1) & 7; break;
	}
}

static void i8259_command(struct i8259_chip *c, uint8_t val)
{
	if (val & ICW1_INIT) {
		i8259_icw1(c, val);
	} else if (val & OCW3) {
		c->poll = val & OCW3_POLL;
		if (val & OCW3_RR)
			c->read_isr = val & OCW3_RIS;
		if (val & OCW3_ESMM)
			c->special_mask = val & OCW3_SMM;
	} else {
		i8259_eoi(c, val >> 5, val & 7);
	}
}

static void i8259_data(struct i8259_chip *c, uint8_t val)
{
	switch (c->icw) {
	case 2:
		c->base = val & 0xf8;
		c->icw = !c->single ? 3 : c->icw4_needed ? 4 : 0;
		break;
	case 3: c->icw = c->icw4_needed ? 4 : 0; break;
	case 4:
		c->special_nested = val & ICW4_SFNM;
		c->auto_eoi = val & ICW4_AEOI;
		c->icw = 0;
		break;
	default: c->imr = val; return;
	}
	c->initialised = !c->icw;
}

static void i8259_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8259 *p = opaque;
	struct i8259_chip *c = &p->chip[port >= 0xa0];

	if (port & 1)
		i8259_data(c, val);
	else
		i8259_command(c, val);
	i8259_update(p);
}

/* "The 8259A treats the next RD pulse as an interrupt acknowledge." */
static uint8_t i8259_poll(struct i8259 *p, struct i8259_chip *c)
{
	int n = i8259_pending(p, c);

	c->poll = false;
	if (n < 0)
		return 0;
	i8259_chip_ack(c, n);
	i8259_update(p);
	return 0x80 | n;
}

static uint32_t i8259_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8259 *p = opaque;
	struct i8259_chip *c = &p->chip[port >= 0xa0];

	if (c->poll)
		return i8259_poll(p, c);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static uint32_t i8259_elcr_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8259 *p = opaque;

	return p->chip[port & 1].elcr;
}

static void i8259_elcr_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8259 *p = opaque;
	struct i8259_chip *c = &p->chip[port & 1];

	c->elcr = val & ~(port & 1 ? ELCR1_FIXED : ELCR0_FIXED);
	c->irr = (c->irr & ~c->elcr) | (c->line & c->elcr);
	i8259_update(p);
}

static const struct bus_io_ops i8259_ops = {
	.read = i8259_read,
	.write = i8259_write,
};

static const struct bus_io_ops i8259_elcr_ops = {
	.read = i8259_elcr_read,
	.write = i8259_elcr_write,
};

void i8259_init(struct i8259 *p, struct bus *b, struct bus_irq out)
{
	memset(p, 0, sizeof(*p));
	p->bus = b;
	p->out = out;
	bus_io_claim(b, 0x20, 2, &i8259_ops, p);
	bus_io_claim(b, 0xa0, 2, &i8259_ops, p);
	bus_io_claim(b, 0x4d0, 2, &i8259_elcr_ops, p);
}

void i8259_fini(struct i8259 *p)
{
	bus_io_release(p->bus, 0x20, 2, p);
	bus_io_release(p->bus, 0xa0, 2, p);
	bus_io_release(p->bus, 0x4d0, 2, p);
}

void i8259_reset(struct i8259 *p)
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t line = p->chip[i].line;

		memset(&p->chip[i], 0, sizeof(p->chip[i]));
		p->chip[i].line = line;
	}
	if (p->out_level)
		bus_irq_set(&p->out, false);
	p->out_level = false;
}
