/*
 * lpt.c - a parallel port: SPP, PS/2, EPP and ECP.
 *
 * IEEE 1284-1994 (compatibility, EPP and ECP modes); Microsoft, "Extended
 * Capabilities Port Protocol and ISA Interface Standard" 1.09: registers, modes
 * of the ECR, FIFO and its thresholds, cnfgA and cnfgB; National PC87306 data
 * sheet for EPP's registers and its timeout bit.
 *
 * Bytes go out as fast as the host takes them; when it does not, the printer is
 * busy, or the FIFO full.  There is no ECP by DMA, and nothing ever comes back
 * from a printer.
 */
#include "dev/serial/lpt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/chardev.h"
#include "dev/state.h"

#define FIFO	  16
#define THRESHOLD 8

/* Status; bits 7 and 6 are the lines inverted and as they are. */
#define ST_NOT_BUSY 0x80
#define ST_NOT_ACK  0x40
#define ST_PAPER    0x20 /* there is none */
#define ST_SELECT   0x10
#define ST_NO_ERROR 0x08
#define ST_REST	    0x06 /* not driven */
#define ST_TIMEOUT  0x01 /* EPP: nobody answered */

#define CT_STROBE 0x01
#define CT_INIT	  0x04 /* 0: the printer is reset */
#define CT_IRQ	  0x10
#define CT_READ	  0x20 /* data come from outside */

#define ECR_MODE(e) ((e) >> 5)
#define ECR_SERVICE 0x04
#define ECR_FULL    0x02
#define ECR_EMPTY   0x01

enum lpt_mode {
	MODE_SPP,
	MODE_PS2,
	MODE_FIFO, /* SPP by FIFO */
	MODE_ECP,
	MODE_EPP,
	MODE_TEST = 6,
	MODE_CONFIG,
};

struct lpt {
	struct dev dev;
	struct dev_chardev *chr;
	struct bus_irq irq;
	uint16_t base;
	uint8_t data, latch, control, ecr, config_b;
	bool timeout;
	bool busy; /* a strobed byte waits for the host */
	uint8_t fifo[FIFO];
	uint8_t nfifo;
	uint64_t out;
};

static const struct {
	uint16_t base;
	uint8_t irq;
	uint8_t config; /* of cnfgB: 1 is 7, 7 is 5 */
} ports[LPT_PORTS] = {
	{0x378, 7, 1 << 3}, {0x278, 5, 7 << 3}, {0x3bc, 7, 1 << 3}};

static enum lpt_mode lpt_mode(const struct lpt *l)
{
	return (enum lpt_mode)ECR_MODE(l->ecr);
}

static bool lpt_send(struct lpt *l, uint8_t byte)
{
	if (!l->chr || l->chr->write(l->chr, &byte, 1) != 1)
		return false;
	l->out++;
	return true;
}

/* ---- compatibility: data, strobe, acknowledge ---- */

static void lpt_acknowledge(struct lpt *l)
{
	l->busy = false;
	if (l->control & CT_IRQ)
		bus_irq_pulse(&l->irq);
}

static void lpt_strobe(struct lpt *l)
{
	if (!l->chr || l->busy)
		return;
	l->latch = l->data;
	if (lpt_send(l, l->latch))
		lpt_acknowledge(l);
	else
		l->busy = true;
}

static uint8_t lpt_status(const struct lpt *l)
{
	uint8_t val = ST_REST | (l->timeout ? ST_TIMEOUT : 0);

	/* Nothing plugged in: all lines float high, Busy is inverted. */
	if (!l->chr)
		return val | ST_NOT_ACK | ST_PAPER | ST_SELECT | ST_NO_ERROR;
	if (!l->busy && l->control & CT_INIT)
		val |= ST_NOT_BUSY;
	return val | ST_NOT_ACK | ST_SELECT | ST_NO_ERROR;
}

static void lpt_write_control(struct lpt *l, uint8_t val)
{
	bool strobe = val & CT_STROBE && !(l->control & CT_STROBE);

	/* Only where data can be turned round. */
	if (lpt_mode(l) == MODE_SPP || lpt_mode(l) == MODE_FIFO)
		val &= ~CT_READ;
	l->control = val & 0x3f;
	if (strobe && lpt_mode(l) <= MODE_PS2)
		lpt_strobe(l);
}

/* ---- EPP: cycles that end when the other side answers ---- */

static void lpt_epp_write(struct lpt *l, uint8_t byte)
{
	if (lpt_mode(l) == MODE_EPP && !lpt_send(l, byte))
		l->timeout = true;
}

static uint8_t lpt_epp_read(struct lpt *l)
{
	if (lpt_mode(l) == MODE_EPP)
		l->timeout = true;
	return 0xff;
}

/* ---- ECP ---- */

/* 3.4: it asks to be served when so much room, or data, is there. */
static void lpt_service(struct lpt *l)
{
	bool reads = l->control & CT_READ;
	unsigned n = reads ? l->nfifo : FIFO - l->nfifo;
	enum lpt_mode m = lpt_mode(l);

	if (l->ecr & ECR_SERVICE || n < THRESHOLD ||
		(m != MODE_FIFO && m != MODE_ECP && m != MODE_TEST))
		return;
	l->ecr |= ECR_SERVICE;
	bus_irq_pulse(&l->irq);
}

static void lpt_drain(struct lpt *l)
{
	unsigned n = 0;

	if (lpt_mode(l) == MODE_TEST)
		return;
	while (n < l->nfifo && lpt_send(l, l->fifo[n]))
		n++;
	l->nfifo -= (uint8_t)n;
	memmove(l->fifo, l->fifo + n, l->nfifo);
}

static void lpt_fifo_write(struct lpt *l, uint8_t byte)
{
	enum lpt_mode m = lpt_mode(l);

	if (m != MODE_FIFO && m != MODE_ECP && m != MODE_TEST)
		return;
	if (l->nfifo < FIFO)
		l->fifo[l->nfifo++] = byte;
	lpt_drain(l);
	lpt_service(l);
}

static uint8_t lpt_fifo_read(struct lpt *l)
{
	uint8_t byte = l->fifo[0];

	if (lpt_mode(l) == MODE_CONFIG)
		return 0x14; /* pulses, 8 bits, nothing in the transmitter */
	if (lpt_mode(l) != MODE_TEST || !l->nfifo)
		return 0xff;
	l->nfifo--;
	memmove(l->fifo, l->fifo + 1, l->nfifo);
	lpt_service(l);
	return byte;
}

static uint8_t lpt_ecr(const struct lpt *l)
{
	return l->ecr | (l->nfifo == FIFO ? ECR_FULL : 0) |
	       (l->nfifo ? 0 : ECR_EMPTY);
}

static void lpt_write_ecr(struct lpt *l, uint8_t val)
{
	enum lpt_mode was = lpt_mode(l);

	l->ecr = val & 0xfc;
	/* 3.3: a way through modes 0 and 1 empties the FIFO. */
	if (lpt_mode(l) != was)
		l->nfifo = 0;
	if (lpt_mode(l) == MODE_SPP)
		l->control &= ~CT_READ;
	lpt_service(l);
}

/* ---- ports ---- */

static uint32_t lpt_read(void *opaque, uint16_t port, unsigned size)
{
	struct lpt *l = opaque;

	switch (port - l->base) {
	case 0: return l->control & CT_READ ? 0xff : l->data;
	case 1: return lpt_status(l);
	case 2: return l->control | 0xc0;
	case 0x400: return lpt_fifo_read(l);
	case 0x401: return lpt_mode(l) == MODE_CONFIG ? l->config_b : 0xff;
	case 0x402: return lpt_ecr(l);
	}
	return lpt_epp_read(l);
}

static void lpt_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct lpt *l = opaque;
	uint8_t byte = (uint8_t)val;

	switch (port - l->base) {
	case 0:
		/* in ECP mode an address, into the FIFO as well */
		if (lpt_mode(l) == MODE_ECP)
			lpt_fifo_write(l, byte);
		l->data = byte;
		break;
	case 1: l->timeout &= !(byte & ST_TIMEOUT); break;
	case 2: lpt_write_control(l, byte); break;
	case 0x400: lpt_fifo_write(l, byte); break;
	case 0x401: break;
	case 0x402: lpt_write_ecr(l, byte); break;
	default: lpt_epp_write(l, byte);
	}
}

static const struct bus_io_ops lpt_ops = {
	.read = lpt_read,
	.write = lpt_write,
};

/* The host takes bytes again. */
static void lpt_writable(void *opaque)
{
	struct lpt *l = opaque;

	if (l->busy && lpt_send(l, l->latch))
		lpt_acknowledge(l);
	lpt_drain(l);
	lpt_service(l);
}

/* ---- life ---- */

/* EPP's registers are the five that follow; 3bc has none there. */
static unsigned lpt_registers(const struct lpt *l)
{
	return l->base == 0x3bc ? 3 : 8;
}

static int lpt_init(struct dev *d, char *err, unsigned errsize)
{
	struct lpt *l = (struct lpt *)d;

	if (d->host.index >= LPT_PORTS) {
		snprintf(err, errsize, "%s: a PC has LPT1 to LPT3", d->id);
		return -EINVAL;
	}
	l->base = ports[d->host.index].base;
	l->irq = d->host.gsi[ports[d->host.index].irq];
	l->config_b = ports[d->host.index].config;
	l->chr = d->host.chr;
	if (l->chr) {
		l->chr->opaque = l;
		l->chr->writable = lpt_writable;
	}
	bus_io_claim(d->host.bus, l->base, lpt_registers(l), &lpt_ops, l);
	bus_io_claim(d->host.bus, l->base + 0x400, 3, &lpt_ops, l);
	return 0;
}

static void lpt_reset(struct dev *d)
{
	struct lpt *l = (struct lpt *)d;

	l->data = l->latch = 0;
	l->control = CT_INIT | 0x08;
	l->ecr = 0;
	l->nfifo = 0;
	l->timeout = l->busy = false;
	bus_irq_set(&l->irq, false);
}

static void lpt_fini(struct dev *d)
{
	struct lpt *l = (struct lpt *)d;

	bus_io_release(d->host.bus, l->base, lpt_registers(l), l);
	bus_io_release(d->host.bus, l->base + 0x400, 3, l);
	if (l->chr)
		l->chr->writable = NULL;
}

static void lpt_describe(struct dev *d, char *buf, unsigned size)
{
	struct lpt *l = (struct lpt *)d;

	snprintf(buf, size, "out %llu control %02x ecr %02x",
		(unsigned long long)l->out, l->control, l->ecr);
}

static const struct state_field lpt_fields[] = {
	STATE(struct lpt, data),
	STATE(struct lpt, latch),
	STATE(struct lpt, control, .max = 0x3f),
	STATE(struct lpt, ecr, .max = 0xff),
	STATE(struct lpt, timeout),
	STATE(struct lpt, busy),
	STATE_BYTES(struct lpt, fifo),
	STATE(struct lpt, nfifo, .max = FIFO),
};

static const struct state_list lpt_state =
	STATE_LIST("lpt", struct lpt, 1, lpt_fields);

const struct dev_class lpt_class = {
	.name = "lpt",
	.size = sizeof(struct lpt),
	.init = lpt_init,
	.reset = lpt_reset,
	.fini = lpt_fini,
	.describe = lpt_describe,
	.state = &lpt_state,
};
