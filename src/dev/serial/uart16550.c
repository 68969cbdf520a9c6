/*
 * uart16550.c - 16550A serial port.
 *
 * National Semiconductor PC16550D data sheet, section 8 (registers: LCR 8.1,
 * LSR 8.3, FCR 8.4, IIR 8.5, IER 8.6, MCR 8.7, MSR 8.8, FIFO interrupt mode
 * 8.12).
 *
 * Bytes go out as fast as the host takes them, whatever the divisor says: when
 * it does not, they stay in the transmitter and THRE stays low, so a guest
 * that looks at THRE loses nothing.  Input waits at the host until there is
 * room.  A receive FIFO reset drops looped-back bytes but not the host's:
 * drivers reset FIFOs as they start, and what somebody has typed or piped by
 * then is delivered a little later.
 */
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/chardev.h"
#include "dev/misc/irq_lines.h"
#include "dev/serial/uart16550.h"
#include "dev/state.h"

#define UART_FIFO 16

#define IER_RDI	 0x01
#define IER_THRI 0x02
#define IER_RLSI 0x04
#define IER_MSI	 0x08

#define IIR_NONE 0x01
#define IIR_MSI	 0x00
#define IIR_THRI 0x02
#define IIR_RDI	 0x04
#define IIR_RLSI 0x06
#define IIR_CTI	 0x0c
#define IIR_FIFO 0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR_TX 0x04

#define LCR_BREAK 0x40
#define LCR_DLAB  0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10

#define LSR_DR	 0x01
#define LSR_OE	 0x02
#define LSR_BI	 0x10
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define LSR_INT	 0x1e

#define MSR_DELTA 0x0f
#define MSR_CTS	  0x10
#define MSR_DSR	  0x20
#define MSR_RI	  0x40
#define MSR_DCD	  0x80
#define MSR_TERI  0x04

#define UART_TIMEOUT_NS 200000	/* below the trigger level, and then idle */
#define UART_REFILL_NS	2000000 /* after a FIFO reset gave bytes back */

struct uart16550 {
	struct dev dev;
	struct dev_chardev *chr;
	struct bus_irq irq;
	uint16_t base;
	uint8_t ier, lcr, mcr, lsr, msr, scr, fcr;
	uint16_t divisor;
	bool thri; /* transmitter-empty interrupt pending */
	bool timeout;
	uint8_t rx[UART_FIFO], tx[UART_FIFO];
	unsigned nrx, ntx;
	bool rx_from_host; /* rx holds the host's bytes, not looped ones */
	uint8_t kept[UART_FIFO]; /* given back by a FIFO reset */
	unsigned nkept;
	struct bus_timer timeout_timer, refill_timer;
	uint64_t in, out;
};

static unsigned uart16550_depth(const struct uart16550 *u)
{
	return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned uart16550_trigger(const struct uart16550 *u)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* ---- interrupts ---- */

/* 8.5, in order of priority. */
static uint8_t uart16550_cause(const struct uart16550 *u)
{
	if ((u->ier & IER_RLSI) && (u->lsr & LSR_INT))
		return IIR_RLSI;
	if ((u->ier & IER_RDI) && u->nrx >= uart16550_trigger(u))
		return IIR_RDI;
	if ((u->ier & IER_RDI) && u->timeout)
		return IIR_CTI;
	if ((u->ier & IER_THRI) && u->thri)
		return IIR_THRI;
	if ((u->ier & IER_MSI) && (u->msr & MSR_DELTA))
		return IIR_MSI;
	return IIR_NONE;
}

/* The PC wires INTR through a buffer that OUT2 enables; the pin is inactive in
 * loop-back mode. */
static bool uart16550_level(const struct uart16550 *u)
{
	bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	return gate && uart16550_cause(u) != IIR_NONE;
}

static void uart16550_update(struct uart16550 *u)
{
	bus_irq_set(&u->irq, uart16550_level(u));
}

/* ---- receiver ---- */

static void uart16550_rx_changed(struct uart16550 *u)
{
	bool below = u->nrx && u->nrx < uart16550_trigger(u);

	if (u->nrx)
		u->lsr |= LSR_DR;
	else
		u->lsr &= ~LSR_DR;
	u->timeout = false;
	if (below)
		bus_timer_arm(&u->timeout_timer,
			bus_clock_ns(u->dev.host.bus) + UART_TIMEOUT_NS);
	else
		bus_timer_cancel(&u->timeout_timer);
}

static void uart16550_push(struct uart16550 *u, uint8_t byte)
{
	unsigned depth = uart16550_depth(u);

	if (u->nrx >= depth) {
		/* The FIFO keeps what it has; a lone register is replaced. */
		u->lsr |= LSR_OE;
		if (depth == 1)
			u->rx[0] = byte;
		return;
	}
	u->rx[u->nrx++] = byte;
	uart16550_rx_changed(u);
}

static void uart16550_timed_out(void *opaque)
{
	struct uart16550 *u = opaque;

	u->timeout = u->nrx > 0 && (u->fcr & FCR_ENABLE);
	uart16550_update(u);
}

static void uart16550_ask(struct uart16550 *u)
{
	if (u->chr && u->chr->accept_input)
		u->chr->accept_input(u->chr);
}

/* Put back what a FIFO reset gave back. */
static void uart16550_refill(void *opaque)
{
	struct uart16550 *u = opaque;
	unsigned n = 0;

	if (u->mcr & MCR_LOOP)
		return;
	while (n < u->nkept && u->nrx < uart16550_depth(u))
		uart16550_push(u, u->kept[n++]);
	if (n)
		u->rx_from_host = true;
	u->nkept -= n;
	memmove(u->kept, u->kept + n, u->nkept);
	uart16550_update(u);
}

static size_t uart16550_can_receive(void *opaque)
{
	struct uart16550 *u = opaque;
	unsigned depth = uart16550_depth(u);

	if ((u->mcr & MCR_LOOP) || u->nkept || u->refill_timer.slot)
		return 0;
	return u->nrx < depth ? depth - u->nrx : 0;
}

static void uart16550_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct uart16550 *u = opaque;

	u->in += len;
	u->rx_from_host = true;
	for (size_t i = 0; i < len; i++)
		uart16550_push(u, buf[i]);
	uart16550_update(u);
}

static void uart16550_rx_reset(struct uart16550 *u)
{
	unsigned room = UART_FIFO - u->nkept, n = MIN(u->nrx, room);

	if (u->rx_from_host && n) {
		memmove(u->kept + n, u->kept, u->nkept);
		memcpy(u->kept, u->rx, n);
		u->nkept += n;
	}
	u->nrx = 0;
	u->rx_from_host = false;
	u->lsr &= ~(LSR_DR | LSR_INT);
	uart16550_rx_changed(u);
	if (u->nkept)
		bus_timer_arm(&u->refill_timer,
			bus_clock_ns(u->dev.host.bus) + UART_REFILL_NS);
}

static uint8_t uart16550_read_rbr(struct uart16550 *u)
{
	uint8_t byte = u->rx[0];

	if (!u->nrx)
		return byte;
	u->nrx--;
	memmove(u->rx, u->rx + 1, u->nrx);
	uart16550_rx_changed(u);
	if (!u->nrx) {
		u->rx_from_host = false;
		if (u->nkept && !u->refill_timer.slot)
			uart16550_refill(u);
	}
	uart16550_update(u);
	uart16550_ask(u);
	return byte;
}

/* ---- transmitter ---- */

static void uart16550_flush(struct uart16550 *u)
{
	size_t n = u->ntx;

	if (u->ntx && u->chr && u->chr->write)
		n = u->chr->write(u->chr, u->tx, u->ntx);
	u->out += n;
	u->ntx -= n;
	memmove(u->tx, u->tx + n, u->ntx);
	if (u->ntx)
		return;
	if (!(u->lsr & LSR_THRE))
		u->thri = true;
	u->lsr |= LSR_THRE | LSR_TEMT;
}

static void uart16550_writable(void *opaque)
{
	struct uart16550 *u = opaque;

	if (!u->ntx)
		return;
	uart16550_flush(u);
	uart16550_update(u);
}

static void uart16550_write_thr(struct uart16550 *u, uint8_t byte)
{
	u->thri = false;
	u->lsr &= ~(LSR_THRE | LSR_TEMT);
	if (u->mcr & MCR_LOOP) {
		u->rx_from_host = false;
		uart16550_push(u, byte);
		u->lsr |= LSR_THRE | LSR_TEMT;
		u->thri = true;
	} else {
		/* Beyond the FIFO only a guest comes that ignores THRE. */
		if (u->ntx == UART_FIFO)
			uart16550_flush(u);
		if (u->ntx < UART_FIFO)
			u->tx[u->ntx++] = byte;
		u->lsr &= ~(LSR_THRE | LSR_TEMT);
		uart16550_flush(u);
	}
	uart16550_update(u);
}

/* ---- modem lines ---- */

static uint8_t uart16550_lines(const struct uart16550 *u)
{
	uint8_t m = u->mcr;

	if (!(m & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) |
	       (m & MCR_OUT1 ? MSR_RI : 0) | (m & MCR_OUT2 ? MSR_DCD : 0);
}

static void uart16550_update_msr(struct uart16550 *u)
{
	uint8_t lines = uart16550_lines(u), was = u->msr & 0xf0;
	uint8_t delta = (lines ^ was) >> 4;

	/* Of the ring indicator only the trailing edge counts. */
	if ((delta & MSR_TERI) && (lines & MSR_RI))
		delta &= ~MSR_TERI;
	u->msr = lines | (u->msr & MSR_DELTA) | delta;
}

/* ---- registers ---- */

static void uart16550_write_fcr(struct uart16550 *u, uint8_t val)
{
	bool toggled = (val ^ u->fcr) & FCR_ENABLE;

	/* 8.4: bit 0 must be set for the others to be programmed, and both
	 * FIFOs are cleared when it changes. */
	u->fcr = val & FCR_ENABLE ? val & 0xc9 : 0;
	if (toggled || (val & FCR_ENABLE && val & FCR_CLEAR_RX))
		uart16550_rx_reset(u);
	if (toggled || (val & FCR_ENABLE && val & FCR_CLEAR_TX)) {
		/* What waits for the host has left the FIFO long ago on a
		 * line that never stalls: it is not thrown away. */
		uart16550_flush(u);
		if (!u->ntx)
			u->thri = true;
	}
	uart16550_update(u);
	uart16550_ask(u);
}

static void uart16550_write_ier(struct uart16550 *u, uint8_t val)
{
	bool on = (val & IER_THRI) && !(u->ier & IER_THRI);

	u->ier = val & 0x0f;
	/* Enabling it with an empty transmitter interrupts at once. */
	if (on && (u->lsr & LSR_THRE))
		u->thri = true;
	uart16550_update(u);
}

static void uart16550_write_mcr(struct uart16550 *u, uint8_t val)
{
	bool was_loop = u->mcr & MCR_LOOP;

	u->mcr = val & 0x1f;
	uart16550_update_msr(u);
	uart16550_update(u);
	if (was_loop && !(u->mcr & MCR_LOOP)) {
		uart16550_refill(u);
		uart16550_ask(u);
	}
}

static void uart16550_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct uart16550 *u = opaque;
	bool dlab = u->lcr & LCR_DLAB;

	switch (port & 7) {
	case 0:
		if (dlab)
			u->divisor = (u->divisor & 0xff00) | val;
		else
			uart16550_write_thr(u, val);
		break;
	case 1:
		if (dlab)
			u->divisor = (u->divisor & 0xff) | val << 8;
		else
			uart16550_write_ier(u, val);
		break;
	case 2: uart16550_write_fcr(u, val); break;
	case 3: u->lcr = val; break;
	case 4: uart16550_write_mcr(u, val); break;
	case 7: u->scr = val; break;
	}
}

static uint8_t uart16550_read_iir(struct uart16550 *u)
{
	uint8_t cause = uart16550_cause(u);

	if (cause == IIR_THRI) {
		u->thri = false;
		uart16550_update(u);
	}
	return cause | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t uart16550_read_lsr(struct uart16550 *u)
{
	uint8_t val = u->lsr;

	if (val & LSR_INT) {
		u->lsr &= ~LSR_INT;
		uart16550_update(u);
	}
	return val;
}

static uint8_t uart16550_read_msr(struct uart16550 *u)
{
	uint8_t val = u->msr;

	if (val & MSR_DELTA) {
		u->msr &= ~MSR_DELTA;
		uart16550_update(u);
	}
	return val;
}

static uint32_t uart16550_read(void *opaque, uint16_t port, unsigned size)
{
	struct uart16550 *u = opaque;
	bool dlab = u->lcr & LCR_DLAB;

	switch (port & 7) {
	case 0: return dlab ? u->divisor & 0xff : uart16550_read_rbr(u);
	case 1: return dlab ? u->divisor >> 8 : u->ier;
	case 2: return uart16550_read_iir(u);
	case 3: return u->lcr;
	case 4: return u->mcr;
	case 5: return uart16550_read_lsr(u);
	case 6: return uart16550_read_msr(u);
	default: return u->scr;
	}
}

static const struct bus_io_ops uart16550_ops = {
	.read = uart16550_read,
	.write = uart16550_write,
};

/* ---- life ---- */

static int uart16550_init(struct dev *d, char *err, unsigned errsize)
{
	static const uint16_t base[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	static const uint8_t line[4] = {4, 3, 4, 3};
	struct uart16550 *u = (struct uart16550 *)d;

	if (d->host.index > 3) {
		snprintf(err, errsize, "%s: a PC has COM1 to COM4", d->id);
		return -1;
	}
	u->base = base[d->host.index];
	u->irq = d->host.gsi[line[d->host.index]];
	u->chr = d->host.chr;
	bus_timer_init(&u->timeout_timer, d->host.bus, uart16550_timed_out, u);
	bus_timer_init(&u->refill_timer, d->host.bus, uart16550_refill, u);
	if (u->chr) {
		u->chr->opaque = u;
		u->chr->can_receive = uart16550_can_receive;
		u->chr->receive = uart16550_receive;
		u->chr->writable = uart16550_writable;
	}
	bus_io_claim(d->host.bus, u->base, 8, &uart16550_ops, u);
	return 0;
}

static void uart16550_reset(struct dev *d)
{
	struct uart16550 *u = (struct uart16550 *)d;

	/* 8.2, table III.  The divisor and the scratch register are not
	 * affected; what has not gone out yet still goes. */
	u->ier = u->fcr = u->lcr = u->mcr = 0;
	u->lsr = u->ntx ? 0 : LSR_THRE | LSR_TEMT;
	u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	u->thri = false;
	if (!u->divisor)
		u->divisor = 12;
	uart16550_rx_reset(u);
	uart16550_update(u);
}

static void uart16550_fini(struct dev *d)
{
	struct uart16550 *u = (struct uart16550 *)d;

	bus_timer_cancel(&u->timeout_timer);
	bus_timer_cancel(&u->refill_timer);
	bus_io_release(d->host.bus, u->base, 8, u);
	if (u->chr)
		u->chr->can_receive = NULL, u->chr->receive = NULL,
		u->chr->writable = NULL;
}

static void uart16550_describe(struct dev *d, char *buf, unsigned size)
{
	struct uart16550 *u = (struct uart16550 *)d;

	snprintf(buf, size, "in %llu out %llu ier %02x mcr %02x lsr %02x",
		(unsigned long long)u->in, (unsigned long long)u->out, u->ier,
		u->mcr, u->lsr);
}

/* ---- state ---- */

static int uart16550_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	const struct uart16550 *u = obj;

	irq_lines_note(&u->irq, uart16550_level(u));
	return 0;
}

static const struct state_field uart16550_fields[] = {
	STATE(struct uart16550, ier, .max = 0x0f),
	STATE(struct uart16550, lcr),
	STATE(struct uart16550, mcr, .max = 0x1f),
	STATE(struct uart16550, lsr),
	STATE(struct uart16550, msr),
	STATE(struct uart16550, scr),
	STATE(struct uart16550, fcr),
	STATE(struct uart16550, divisor),
	STATE(struct uart16550, thri),
	STATE(struct uart16550, timeout),
	STATE_BYTES(struct uart16550, rx),
	STATE(struct uart16550, nrx, .max = UART_FIFO),
	STATE_BYTES(struct uart16550, tx),
	STATE(struct uart16550, ntx, .max = UART_FIFO),
	STATE(struct uart16550, rx_from_host),
	STATE_BYTES(struct uart16550, kept),
	STATE(struct uart16550, nkept, .max = UART_FIFO),
	STATE_TIMER(struct uart16550, timeout_timer),
	STATE_TIMER(struct uart16550, refill_timer),
};

static const struct state_list uart16550_state = STATE_LIST("uart16550",
	struct uart16550, 1, uart16550_fields, .loaded = uart16550_loaded);

const struct dev_class uart16550_class = {
	.name = "uart16550",
	.size = sizeof(struct uart16550),
	.init = uart16550_init,
	.reset = uart16550_reset,
	.fini = uart16550_fini,
	.describe = uart16550_describe,
	.state = &uart16550_state,
};
