/*
 * e1000_tx.c - sending: descriptors, checksums, segmentation (SDM 3.3 to 3.5).
 *
 * Descriptors are 16 bytes; the second half of each says which of three kinds
 * it is.  A packet is gathered from as many as it takes and finished at the
 * one that ends it.  Segments leave uncut where the cable takes them so.
 *
 * A bounded number of descriptors is taken at a time; the rest follows from
 * the control loop.
 */
#include <string.h>

#include <glib.h>

#include "dev/net/e1000_priv.h"
#include "net/inet.h"

#define TX_BUDGET 256

/* Third word: length below, kind, commands above */
#define DTYP(w)	 ((w) >> 20 & 15)
#define CMD_EOP	 (1u << 24)
#define CMD_IC	 (1u << 26) /* legacy: insert a checksum */
#define CMD_TSE	 (1u << 26) /* data: cut */
#define CMD_RS	 (1u << 27)
#define CMD_RPS	 (1u << 28)
#define CMD_DEXT (1u << 29)
#define CMD_VLE	 (1u << 30)
#define CMD_IDE	 (1u << 31)

#define POPTS_IXSM 1
#define POPTS_TXSM 2

#define TUCMD_TSE 4

#define STA_DD 1

struct e1000_txd {
	uint64_t addr;
	uint32_t cmd, sta;
};

/* ---- a packet ---- */

static void e1000_tx_append(
	struct e1000 *d, struct e1000_txq *q, uint64_t addr, uint32_t len)
{
	struct e1000_packet *p = &q->packet;

	if (p->len + len > sizeof(p->frame)) {
		p->hopeless = true;
		return;
	}
	bus_dma_read(d->dev.host.bus, addr, p->frame + p->len, len);
	p->len += len;
}

static void e1000_tx_count(struct e1000 *d, const uint8_t *frame, size_t len)
{
	len += ETH_FCS;
	e1000_count(d, E1000_TPT);
	e1000_count(d, E1000_GPTC);
	e1000_count_octets(d, E1000_TOTL, len);
	e1000_count_octets(d, E1000_GOTCL, len);
	e1000_count_size(d, E1000_PTC64, len);
	if (card_is_broadcast(frame))
		e1000_count(d, E1000_BPTC);
	else if (card_is_multicast(frame))
		e1000_count(d, E1000_MPTC);
}

static void e1000_tx_out(void *opaque, const uint8_t *frame, size_t len)
{
	struct e1000 *d = opaque;

	e1000_tx_count(d, frame, len);
	if (e1000_phy_loops(d) || (e1000_get(d, E1000_RCTL) & RCTL_LBM)) {
		d->card.tx_frames++;
		e1000_receive(d, frame, len);
	} else {
		card_send(&d->card, frame, len);
	}
}

/* 3.3.3: a tag goes behind the addresses. */
static void e1000_tx_tag(struct e1000 *d, struct e1000_txq *q, uint16_t tag)
{
	struct e1000_packet *p = &q->packet;
	uint16_t type = e1000_get(d, E1000_VET);

	if (p->len + 4 > sizeof(p->frame))
		return;
	memmove(p->frame + 16, p->frame + 12, p->len - 12);
	inet_put16(p->frame + 12, type);
	inet_put16(p->frame + 14, tag);
	p->len += 4;
}

static void e1000_tx_checksums(struct e1000_txq *q)
{
	const struct e1000_context *c = &q->plain;
	struct e1000_packet *p = &q->packet;

	if (p->popts & POPTS_IXSM)
		inet_fill_checksum(p->frame, p->len, c->ipcss,
			c->ipcse ? c->ipcse + 1u : p->len, c->ipcso);
	if (p->popts & POPTS_TXSM)
		inet_fill_checksum(p->frame, p->len, c->tucss,
			c->tucse ? c->tucse + 1u : p->len, c->tucso);
}

/* tag: of a VLAN, or -1. */
static void e1000_tx_cut(struct e1000 *d, struct e1000_txq *q, int tag)
{
	struct e1000_packet *p = &q->packet;
	const struct net_port *port = d->card.port;
	bool whole = port && port->large_send && tag < 0 && !e1000_phy_loops(d);

	e1000_count(d, E1000_TSCTC);
	if (tag >= 0)
		e1000_tx_tag(d, q, tag);
	if (whole && inet_finish_tcp4(p->frame, p->len))
		e1000_tx_out(d, p->frame, p->len);
	else if (!inet_cut_tcp(p->frame, p->len, q->cut.mss, e1000_tx_out, d))
		d->card.dropped++;
}

static void e1000_tx_finish(
	struct e1000 *d, struct e1000_txq *q, const struct e1000_txd *t)
{
	struct e1000_packet *p = &q->packet;
	int tag = (t->cmd & CMD_VLE) && (e1000_get(d, E1000_CTRL) & CTRL_VME)
			  ? (int)(t->sta >> 16)
			  : -1;

	if (p->hopeless || p->len < ETH_HEADER) {
		d->card.dropped++;
	} else if (p->tse) {
		e1000_tx_cut(d, q, tag);
	} else {
		e1000_tx_checksums(q);
		if (tag >= 0)
			e1000_tx_tag(d, q, tag);
		if (p->len < ETH_MIN && (e1000_get(d, E1000_TCTL) & TCTL_PSP)) {
			memset(p->frame + p->len, 0, ETH_MIN - p->len);
			p->len = ETH_MIN;
		}
		e1000_tx_out(d, p->frame, p->len);
	}
	p->len = 0;
	p->begun = p->hopeless = p->tse = false;
	p->popts = 0;
}

/* ---- descriptors ---- */

static void e1000_tx_context(struct e1000_txq *q, const struct e1000_txd *t)
{
	struct e1000_context c = {
		.ipcss = t->addr,
		.ipcso = t->addr >> 8,
		.ipcse = t->addr >> 16,
		.tucss = t->addr >> 32,
		.tucso = t->addr >> 40,
		.tucse = t->addr >> 48,
		.paylen = t->cmd & 0xfffff,
		.tucmd = t->cmd >> 24,
		.hdrlen = t->sta >> 8,
		.mss = t->sta >> 16,
	};

	*(c.tucmd & TUCMD_TSE ? &q->cut : &q->plain) = c;
}

/* 3.3.6: what the first descriptor of a packet says holds for all of it. */
static void e1000_tx_data(
	struct e1000 *d, struct e1000_txq *q, const struct e1000_txd *t)
{
	struct e1000_packet *p = &q->packet;

	if (!p->begun) {
		p->begun = true;
		p->popts = t->sta >> 8;
		p->tse = t->cmd & CMD_TSE;
	}
	e1000_tx_append(d, q, t->addr, t->cmd & 0xfffff);
	if (t->cmd & CMD_EOP)
		e1000_tx_finish(d, q, t);
}

/* 3.3.3: CSO and CSS stand where others have the kind and POPTS. */
static void e1000_tx_legacy(
	struct e1000 *d, struct e1000_txq *q, const struct e1000_txd *t)
{
	struct e1000_packet *p = &q->packet;

	e1000_tx_append(d, q, t->addr, t->cmd & 0xffff);
	if (!(t->cmd & CMD_EOP))
		return;
	p->tse = false;
	p->popts = 0;
	if ((t->cmd & CMD_IC) && !p->hopeless)
		inet_fill_checksum(p->frame, p->len, t->sta >> 8 & 0xff, p->len,
			t->cmd >> 16 & 0xff);
	e1000_tx_finish(d, q, t);
}

/* Returns whether the driver is to be told. */
static bool e1000_tx_one(struct e1000 *d, struct e1000_txq *q, gpa_t at)
{
	struct e1000_txd t;
	uint32_t sta;

	if (!bus_dma_read(d->dev.host.bus, at, &t, sizeof(t)))
		return false;
	if (!(t.cmd & CMD_DEXT))
		e1000_tx_legacy(d, q, &t);
	else if (DTYP(t.cmd) == 0)
		e1000_tx_context(q, &t);
	else if (DTYP(t.cmd) == 1)
		e1000_tx_data(d, q, &t);
	if (!(t.cmd & (CMD_RS | CMD_RPS)))
		return false;
	sta = t.sta | STA_DD;
	bus_dma_write(d->dev.host.bus, at + 12, &sta, sizeof(sta));
	if (!(t.cmd & CMD_IDE) || !e1000_get(d, E1000_TIDV))
		return true;
	e1000_delay(d, &d->tx_timer, &d->tx_limit_ns, e1000_get(d, E1000_TIDV),
		e1000_get(d, E1000_TADV));
	return false;
}

/* Returns the causes that come of it. */
static uint32_t e1000_tx_queue(struct e1000 *d, unsigned n, uint32_t *left)
{
	unsigned step = n * E1000_QUEUE_STEP;
	uint64_t base = e1000_get(d, E1000_TDBAL + step) |
			(uint64_t)e1000_get(d, E1000_TDBAH + step) << 32;
	uint32_t size = e1000_get(d, E1000_TDLEN + step) / 16, causes = 0;
	uint32_t *head = e1000_reg(d, E1000_TDH + step);
	uint32_t tail = e1000_get(d, E1000_TDT + step);

	if (*head >= size || tail >= size || *head == tail)
		return 0;
	for (; *left && *head != tail; --*left) {
		if (e1000_tx_one(d, &d->txq[n], base + *head * 16ull))
			causes |= ICR_TXDW | (n ? ICR_TXQ1 : 0);
		*head = *head + 1 == size ? 0 : *head + 1;
	}
	if (*head == tail)
		causes |= ICR_TXQE;
	else
		bus_timer_arm(&d->more_timer, bus_clock_ns(d->dev.host.bus));
	return causes;
}

void e1000_tx(struct e1000 *d)
{
	uint32_t left = TX_BUDGET;

	if (!(e1000_get(d, E1000_TCTL) & TCTL_EN) || !e1000_may_dma(d))
		return;
	for (unsigned n = 0; n < (d->express ? 2 : 1); n++) {
		uint32_t causes = e1000_tx_queue(d, n, &left);

		if (causes)
			e1000_cause(d, causes);
	}
}

void e1000_tx_delayed(void *opaque)
{
	struct e1000 *d = opaque;

	d->tx_limit_ns = 0;
	e1000_cause(d, ICR_TXDW);
}

void e1000_tx_reset(struct e1000 *d)
{
	bus_timer_cancel(&d->tx_timer);
	d->tx_limit_ns = 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(d->txq); i++) {
		struct e1000_txq *q = &d->txq[i];

		q->packet.len = 0;
		q->packet.begun = q->packet.hopeless = q->packet.tse = false;
		q->packet.popts = 0;
		memset(&q->plain, 0, sizeof(q->plain));
		memset(&q->cut, 0, sizeof(q->cut));
	}
}
