/*
 * rtl8139_plus.c - descriptor rings of the RTL8139C+ (data sheet, 5.35 on and
 * 9): two for sending, one for receiving, of up to 64 descriptors of 16 bytes,
 * with checksums, large segments and VLAN tags.
 */
#include <string.h>

#include "dev/net/rtl8139_priv.h"
#include "net/inet.h"

#define RING_MAX  64
#define TX_BUDGET 256
#define AGAIN_NS  1000000 /* when a driver has left no descriptor */

#define D_OWN 0x80000000u
#define D_EOR 0x40000000u
#define D_FS  0x20000000u
#define D_LS  0x10000000u

#define TX_LGSEN  0x08000000u
#define TX_MSS(w) ((w) >> 16 & 0x7ff)
#define TX_IPCS	  0x00040000u
#define TX_UDPCS  0x00020000u
#define TX_TCPCS  0x00010000u
#define TX_TAGC	  0x00020000u /* second word */

#define RX_SIZE	   0x1fff
#define RX_TAVA	   0x00010000u /* second word */
#define RX_PID_TCP 0x00010000u
#define RX_PID_UDP 0x00020000u
#define RX_PID_IP  0x00030000u

#define POLL_NORMAL 0x40
#define POLL_HIGH   0x80

struct rtl8139_desc {
	uint32_t cmd, vlan;
	uint64_t addr;
};

static gpa_t rtl8139_desc_at(
	const struct rtl8139 *d, unsigned reg, unsigned align, unsigned at)
{
	uint64_t base = rtl8139_get(d, reg, 4) |
			(uint64_t)rtl8139_get(d, reg + 4, 4) << 32;

	return (base & ~(uint64_t)(align - 1)) + 16ull * at;
}

static void rtl8139_next(uint16_t *at, uint32_t cmd)
{
	*at = (cmd & D_EOR) || *at + 1 >= RING_MAX ? 0 : *at + 1;
}

/* ---- sending ---- */

static void rtl8139_emit(void *opaque, const uint8_t *frame, size_t len)
{
	rtl8139_send(opaque, frame, len);
}

/* The tag lies in the descriptor as it lies in the frame. */
static void rtl8139_tag(struct rtl8139 *d, uint32_t vlan)
{
	if (!(vlan & TX_TAGC) || d->tx_len + 4 > sizeof(d->tx_frame))
		return;
	memmove(d->tx_frame + 16, d->tx_frame + 12, d->tx_len - 12);
	inet_put16(d->tx_frame + 12, 0x8100);
	d->tx_frame[14] = vlan;
	d->tx_frame[15] = vlan >> 8;
	d->tx_len += 4;
}

static void rtl8139_large(struct rtl8139 *d, const struct rtl8139_desc *t)
{
	const struct net_port *p = d->card.port;
	bool whole = p && p->large_send && !(t->vlan & TX_TAGC) &&
		     !(rtl8139_get(d, RTL_TCR, 4) & TCR_LBK);

	if (whole && inet_finish_tcp4(d->tx_frame, d->tx_len))
		rtl8139_send(d, d->tx_frame, d->tx_len);
	else if (!inet_cut_tcp(d->tx_frame, d->tx_len, TX_MSS(t->cmd),
			 rtl8139_emit, d))
		d->card.dropped++;
}

static void rtl8139_sums(struct rtl8139 *d, uint32_t cmd)
{
	struct inet_frame f;

	if (!(cmd & (TX_IPCS | TX_UDPCS | TX_TCPCS)) ||
		!inet_parse(&f, d->tx_frame, d->tx_len))
		return;
	if (cmd & TX_IPCS)
		inet_finish_ip(d->tx_frame, &f);
	if ((cmd & TX_TCPCS && f.proto == 6) ||
		(cmd & TX_UDPCS && f.proto == 17))
		inet_finish_l4(d->tx_frame, &f);
}

static void rtl8139_finish(struct rtl8139 *d, const struct rtl8139_desc *t)
{
	if (d->hopeless || d->tx_len < ETH_HEADER) {
		d->card.dropped++;
		return;
	}
	rtl8139_tag(d, t->vlan);
	if (t->cmd & TX_LGSEN) {
		rtl8139_large(d, t);
		return;
	}
	rtl8139_sums(d, t->cmd);
	if (d->tx_len < ETH_MIN) {
		memset(d->tx_frame + d->tx_len, 0, ETH_MIN - d->tx_len);
		d->tx_len = ETH_MIN;
	}
	rtl8139_send(d, d->tx_frame, d->tx_len);
}

/* One descriptor; false: it is the driver's. */
static bool rtl8139_send_one(struct rtl8139 *d, unsigned reg, uint16_t *at)
{
	gpa_t where = rtl8139_desc_at(d, reg, 256, *at);
	struct rtl8139_desc t;
	uint32_t len;

	if (!bus_dma_read(d->dev.host.bus, where, &t, sizeof(t)) ||
		!(t.cmd & D_OWN))
		return false;
	len = t.cmd & 0xffff;
	if (t.cmd & D_FS) {
		d->tx_len = 0;
		d->hopeless = false;
	}
	if (d->tx_len + len > sizeof(d->tx_frame)) {
		d->hopeless = true;
	} else {
		bus_dma_read(
			d->dev.host.bus, t.addr, d->tx_frame + d->tx_len, len);
		d->tx_len += len;
	}
	if (t.cmd & D_LS) {
		rtl8139_finish(d, &t);
		d->tx_len = 0;
	}
	/* Done: where commands stood, errors and collisions would */
	t.cmd &= ~(D_OWN | 0x07ff0000u);
	bus_dma_write(d->dev.host.bus, where, &t.cmd, 4);
	rtl8139_next(at, t.cmd);
	return true;
}

static bool rtl8139_send_ring(
	struct rtl8139 *d, unsigned reg, uint16_t *at, unsigned *left)
{
	bool sent = false;

	while (*left && rtl8139_send_one(d, reg, at)) {
		sent = true;
		--*left;
	}
	return sent;
}

void rtl8139_plus_more(void *opaque)
{
	rtl8139_plus_send(opaque, POLL_NORMAL | POLL_HIGH);
}

void rtl8139_plus_send(struct rtl8139 *d, uint8_t poll)
{
	unsigned left = TX_BUDGET;
	bool sent = false;

	if (!(d->reg[RTL_CR] & CR_TE) || !rtl8139_may_dma(d))
		return;
	if (poll & POLL_HIGH)
		sent |= rtl8139_send_ring(d, RTL_THPDS, &d->tx_at[1], &left);
	if (poll & POLL_NORMAL)
		sent |= rtl8139_send_ring(d, RTL_TNPDS, &d->tx_at[0], &left);
	if (!left)
		bus_timer_arm(&d->tx_timer, bus_clock_ns(d->dev.host.bus));
	if (sent)
		rtl8139_cause(d, ISR_TOK | (left ? ISR_TDU : 0));
}

/* ---- receiving ---- */

static uint32_t rtl8139_protocol(const struct rtl8139 *d, size_t len)
{
	struct inet_frame f;
	uint32_t bits;

	if (!(rtl8139_get(d, RTL_CPCR, 2) & CPCR_RXCHKSUM) ||
		!inet_parse(&f, d->rx_frame, len) || !f.ipv4)
		return 0;
	if (d->card.port && !d->card.port->checksums_good &&
		(!inet_ip_good(d->rx_frame, &f) ||
			!inet_l4_good(d->rx_frame, &f)))
		return 0; /* not looked at: the driver will */
	bits = f.proto == 6 ? RX_PID_TCP : RX_PID_UDP;
	return f.data ? bits : RX_PID_IP;
}

bool rtl8139_plus_store(struct rtl8139 *d, size_t len, unsigned matched)
{
	gpa_t where = rtl8139_desc_at(d, RTL_RDSAR, 256, d->rx_at);
	struct rtl8139_desc r;
	uint32_t protocol, room;

	if (!bus_dma_read(d->dev.host.bus, where, &r, sizeof(r)) ||
		!(r.cmd & D_OWN)) {
		bus_timer_arm(
			&d->rx_timer, bus_clock_ns(d->dev.host.bus) + AGAIN_NS);
		return false;
	}
	room = r.cmd & RX_SIZE;
	r.vlan = 0;
	protocol = rtl8139_protocol(d, len - ETH_FCS);
	if ((rtl8139_get(d, RTL_CPCR, 2) & CPCR_RXVLAN) && len > 20 &&
		inet_get16(d->rx_frame + 12) == 0x8100) {
		r.vlan = RX_TAVA | d->rx_frame[14] | d->rx_frame[15] << 8;
		memmove(d->rx_frame + 12, d->rx_frame + 16, len - 16);
		len -= 4;
	}
	if (len > room) { /* buffers hold whole frames */
		d->card.dropped++;
		return true;
	}
	bus_dma_write(d->dev.host.bus, r.addr, d->rx_frame, len);
	r.cmd = (r.cmd & D_EOR) | D_FS | D_LS | matched << 24 | protocol | len;
	bus_dma_write(d->dev.host.bus, where + 4, &r.vlan, 4);
	bus_dma_write(d->dev.host.bus, where, &r.cmd, 4);
	rtl8139_next(&d->rx_at, r.cmd);
	return true;
}

/* ---- counters (5.6) ---- */

void rtl8139_plus_dump(struct rtl8139 *d)
{
	uint64_t at = rtl8139_get(d, RTL_DTCCR, 4) |
		      (uint64_t)rtl8139_get(d, RTL_DTCCR + 4, 4) << 32;
	struct {
		uint64_t tx_ok, rx_ok, tx_err;
		uint32_t rx_err;
		uint16_t missed, alignment;
		uint32_t one_collision, collisions;
		uint64_t physical, broadcast;
		uint32_t multicast;
		uint16_t aborted, underrun;
	} t = {
		.tx_ok = d->tx_ok,
		.rx_ok = d->rx_ok,
		.missed = d->rx_missed,
		.physical = d->rx_physical,
		.broadcast = d->rx_broadcast,
		.multicast = d->rx_multicast,
	};

	if (!(at & 8))
		return;
	if (rtl8139_may_dma(d))
		bus_dma_write(d->dev.host.bus, at & ~63ull, &t, sizeof(t));
	d->reg[RTL_DTCCR] &= ~8;
}
