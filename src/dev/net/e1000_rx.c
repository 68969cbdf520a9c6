/*
 * e1000_rx.c - receiving: filters and descriptors (SDM 3.2).
 *
 * A frame goes into as many buffers as it takes, or waits in the cable until
 * there are that many.  Lengths in descriptors include the check sequence
 * unless RCTL.SECRC strips it.
 */
#include <string.h>

#include <glib.h>

#include "dev/net/e1000_priv.h"
#include "net/inet.h"

#define RXD_DD	  0x01
#define RXD_EOP	  0x02
#define RXD_IXSM  0x04 /* no checksum was looked at */
#define RXD_VP	  0x08
#define RXD_TCPCS 0x20
#define RXD_IPCS  0x40
#define RXD_PIF	  0x80 /* let in by a filter that is not exact */

#define RXCSUM_PCSS  0xff
#define RXCSUM_IPOFL 0x100
#define RXCSUM_TUOFL 0x200
#define RXCSUM_PCSD  0x2000

struct e1000_rxd { /* second half */
	uint16_t length, checksum;
	uint8_t status, errors;
	uint16_t special;
};

/* ---- filters (3.2.1) ---- */

static bool e1000_tagged(const struct e1000 *d, const uint8_t *f, size_t len)
{
	return len >= ETH_HEADER + 4 &&
	       inet_get16(f + 12) == (e1000_get(d, E1000_VET) & 0xffff);
}

/* 9.2.2, 13.4.22 */
static bool e1000_vlan_wanted(
	const struct e1000 *d, const uint8_t *frame, size_t len)
{
	uint32_t rctl = e1000_get(d, E1000_RCTL);
	uint16_t tag;

	if (!(rctl & RCTL_VFE) || !e1000_tagged(d, frame, len))
		return true;
	tag = inet_get16(frame + 14);
	if ((rctl & RCTL_CFIEN) && !!(rctl & RCTL_CFI) != (tag >> 12 & 1))
		return false;
	tag &= 0xfff;
	return e1000_get(d, E1000_VFTA + 4 * (tag >> 5)) >> (tag & 31) & 1;
}

static bool e1000_exact(const struct e1000 *d, const uint8_t *mac)
{
	for (unsigned i = 0; i < 16; i++) {
		uint32_t high = e1000_get(d, E1000_RA + 8 * i + 4);

		if (high >> 31 && !(high >> 16 & 3) &&
			!memcmp(mac, &d->reg[(E1000_RA + 8 * i) / 4], ETH_ADDR))
			return true;
	}
	return false;
}

/* 13.5.1: which twelve of the address's upper bits RCTL.MO says. */
static bool e1000_hashed(const struct e1000 *d, const uint8_t *mac)
{
	static const uint8_t shift[] = {4, 3, 2, 0};
	unsigned mo = e1000_get(d, E1000_RCTL) >> 12 & 3;
	unsigned hash = (mac[4] | mac[5] << 8) >> shift[mo] & 0xfff;

	return e1000_get(d, E1000_MTA + 4 * (hash >> 5)) >> (hash & 31) & 1;
}

static bool e1000_wanted(
	struct e1000 *d, const uint8_t *frame, size_t len, uint8_t *status)
{
	uint32_t rctl = e1000_get(d, E1000_RCTL);

	if (!e1000_vlan_wanted(d, frame, len))
		return false;
	if (card_is_broadcast(frame) && (rctl & RCTL_BAM))
		return true;
	if (e1000_exact(d, frame))
		return true;
	if (card_is_multicast(frame)) {
		if (rctl & RCTL_MPE)
			return true;
		*status |= RXD_PIF;
		return e1000_hashed(d, frame);
	}
	return rctl & RCTL_UPE;
}

/* ---- what is told of a frame ---- */

/* 3.2.9: none of this is for what was not carried, and may lack them. */
static uint8_t e1000_rx_sums(
	const struct e1000 *d, const uint8_t *frame, size_t len)
{
	uint32_t csum = e1000_get(d, E1000_RXCSUM);
	uint8_t status = 0;
	struct inet_frame f;

	if (!(csum & (RXCSUM_IPOFL | RXCSUM_TUOFL)) || e1000_phy_loops(d) ||
		!d->card.port || !d->card.port->checksums_good ||
		!inet_parse(&f, frame, len))
		return RXD_IXSM;
	if ((csum & RXCSUM_IPOFL) && f.ipv4)
		status |= RXD_IPCS;
	if ((csum & RXCSUM_TUOFL) && f.data)
		status |= RXD_TCPCS;
	return status ? status : RXD_IXSM;
}

static void e1000_rx_count(struct e1000 *d, const uint8_t *frame, size_t len)
{
	e1000_count(d, E1000_TPR);
	e1000_count(d, E1000_GPRC);
	e1000_count_octets(d, E1000_TORL, len);
	e1000_count_octets(d, E1000_GORCL, len);
	e1000_count_size(d, E1000_PRC64, len);
	if (card_is_broadcast(frame))
		e1000_count(d, E1000_BPRC);
	else if (card_is_multicast(frame))
		e1000_count(d, E1000_MPRC);
	d->card.rx_frames++;
}

/* ---- buffers ---- */

/* 317694, 7.1.5: the kinds of receive descriptors. */
static bool e1000_rx_split(const struct e1000 *d)
{
	return d->express &&
	       (e1000_get(d, E1000_RCTL) & RCTL_DTYP) == RCTL_DTYP_PS;
}

static bool e1000_rx_extended(const struct e1000 *d)
{
	return d->express && (e1000_get(d, E1000E_RFCTL) & RFCTL_EXTEN);
}

/* Of the four buffers of a split one. */
static unsigned e1000_split_bytes(const struct e1000 *d, unsigned i)
{
	uint32_t size = e1000_get(d, E1000E_PSRCTL) >> 8 * i;

	return i ? (size & 0x3f) * 1024 : (size & 0x7f) * 128;
}

static unsigned e1000_buffer_bytes(const struct e1000 *d)
{
	/* 13.4.22: the first one of the large ones is reserved */
	static const uint16_t bytes[] = {
		2048, 1024, 512, 256, 2048, 16384, 8192, 4096};
	uint32_t rctl = e1000_get(d, E1000_RCTL);
	unsigned sum = 0;

	for (unsigned i = 0; e1000_rx_split(d) && i < 4; i++)
		sum += e1000_split_bytes(d, i);
	if (e1000_rx_split(d))
		return sum ? sum : 128;
	return bytes[(rctl >> 16 & 3) | (rctl & RCTL_BSEX ? 4 : 0)];
}

/* Of 16 bytes, by which RDH and RDT count whatever a descriptor's size. */
static unsigned e1000_rx_units(const struct e1000 *d)
{
	return e1000_rx_split(d) ? 2 : 1;
}

static unsigned e1000_rx_free(const struct e1000 *d, unsigned n)
{
	uint32_t head = e1000_get(d, E1000_RDH), tail = e1000_get(d, E1000_RDT);

	if (head >= n || tail >= n)
		return 0;
	return tail >= head ? tail - head : tail + n - head;
}

/* What extended and split ones begin with: status above, errors, no hash. */
static void e1000_rx_head(
	const struct e1000 *d, const struct e1000_rxd *r, uint32_t w[4])
{
	w[0] = 0;
	w[1] = e1000_get(d, E1000_RXCSUM) & RXCSUM_PCSD
		       ? 0
		       : (uint32_t)r->checksum << 16;
	w[2] = r->status | (uint32_t)r->errors << 24;
	w[3] = r->length | (uint32_t)r->special << 16;
}

/* Headers stay with their data: one buffer after the other is filled. */
static void e1000_rx_put_split(struct e1000 *d, gpa_t desc, const uint8_t *p,
	size_t len, const struct e1000_rxd *r)
{
	struct bus *b = d->dev.host.bus;
	struct e1000_rxd first = *r;
	uint16_t lengths[4] = {0};
	uint64_t buffer[4] = {0};
	uint32_t w[8] = {0};

	bus_dma_read(b, desc, buffer, sizeof(buffer));
	for (unsigned i = 0; i < 4 && len; i++) {
		size_t put = MIN(len, e1000_split_bytes(d, i));

		if (buffer[i])
			bus_dma_write(b, buffer[i], p, put);
		lengths[i] = put;
		p += put;
		len -= put;
	}
	first.length = lengths[0];
	e1000_rx_head(d, &first, w);
	w[4] = (uint32_t)lengths[1] << 16; /* below: header status */
	w[5] = lengths[2] | (uint32_t)lengths[3] << 16;
	bus_dma_write(b, desc, w, sizeof(w));
}

/* One descriptor's worth; r->length says how much. */
static void e1000_rx_put(struct e1000 *d, gpa_t desc, const uint8_t *p,
	const struct e1000_rxd *r)
{
	struct bus *b = d->dev.host.bus;
	uint64_t buffer = 0;
	uint32_t w[4];

	if (e1000_rx_split(d)) {
		e1000_rx_put_split(d, desc, p, r->length, r);
		return;
	}
	bus_dma_read(b, desc, &buffer, 8);
	if (buffer) /* 3.2.3: null pointers are skipped */
		bus_dma_write(b, buffer, p, r->length);
	if (e1000_rx_extended(d)) {
		e1000_rx_head(d, r, w);
		bus_dma_write(b, desc, w, sizeof(w));
	} else {
		bus_dma_write(b, desc + 8, r, sizeof(*r));
	}
}

/* The frame in rx_frame, with its check sequence if that is wanted. */
static void e1000_rx_store(
	struct e1000 *d, size_t len, struct e1000_rxd *last, unsigned n)
{
	uint64_t base = e1000_get(d, E1000_RDBAL) |
			(uint64_t)e1000_get(d, E1000_RDBAH) << 32;
	unsigned room = e1000_buffer_bytes(d), units = e1000_rx_units(d);
	uint32_t *head = e1000_reg(d, E1000_RDH);

	for (size_t at = 0, put; at < len; at += put) {
		struct e1000_rxd r = {.status = RXD_DD};

		put = len - at < room ? len - at : room;
		if (at + put == len)
			r = *last;
		r.length = put;
		e1000_rx_put(d, base + *head * 16ull, d->rx_frame + at, &r);
		*head = *head + units >= n ? 0 : *head + units;
	}
}

/* Take the tag out of rx_frame; 0: there is none. */
static size_t e1000_rx_untag(struct e1000 *d, size_t len, struct e1000_rxd *r)
{
	if (!(e1000_get(d, E1000_CTRL) & CTRL_VME) ||
		!e1000_tagged(d, d->rx_frame, len))
		return len;
	r->status |= RXD_VP;
	r->special = inet_get16(d->rx_frame + 14);
	memmove(d->rx_frame + 12, d->rx_frame + 16, len - 16);
	return len - 4;
}

void e1000_rx_delayed(void *opaque)
{
	struct e1000 *d = opaque;

	d->rx_limit_ns = 0;
	e1000_cause(d, ICR_RXT0);
}

/* 3.2.7 */
static void e1000_rx_interrupt(struct e1000 *d, size_t len, unsigned n)
{
	uint32_t rctl = e1000_get(d, E1000_RCTL), causes = 0;
	unsigned left = e1000_rx_free(d, n);

	if (left <= n >> ((rctl >> 8 & 3) + 1))
		causes |= ICR_RXDMT0;
	if (len <= e1000_get(d, E1000_RSRPD))
		causes |= ICR_SRPD;
	if (!e1000_get(d, E1000_RDTR))
		causes |= ICR_RXT0;
	else
		e1000_delay(d, &d->rx_timer, &d->rx_limit_ns,
			e1000_get(d, E1000_RDTR), e1000_get(d, E1000_RADV));
	e1000_cause(d, causes);
}

/* Too long for what is let: longer than a tagged frame, unless LPE. */
static bool e1000_too_long(struct e1000 *d, const uint8_t *frame, size_t len)
{
	size_t max = e1000_get(d, E1000_RCTL) & RCTL_LPE ? 16384 - ETH_FCS
		     : e1000_tagged(d, frame, len)	 ? ETH_MAX + 4
							 : ETH_MAX;

	if (len <= max)
		return false;
	e1000_count(d, E1000_ROC);
	return true;
}

bool e1000_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct e1000 *d = opaque;
	unsigned n = e1000_get(d, E1000_RDLEN) / 16, need;
	struct e1000_rxd r = {.status = RXD_DD | RXD_EOP};
	size_t pcss = e1000_get(d, E1000_RXCSUM) & RXCSUM_PCSS, total;

	if (!(e1000_get(d, E1000_RCTL) & RCTL_EN) || len < ETH_HEADER ||
		!e1000_may_dma(d) || e1000_too_long(d, frame, len) ||
		!e1000_wanted(d, frame, len, &r.status))
		return true;
	if (!(d->phy[1] & 4) && !e1000_phy_loops(d))
		return false; /* the link comes up soon */
	memcpy(d->rx_frame, frame, len);
	if (len < ETH_MIN) {
		memset(d->rx_frame + len, 0, ETH_MIN - len);
		len = ETH_MIN;
	}
	r.status |= e1000_rx_sums(d, d->rx_frame, len);
	card_put_fcs(d->rx_frame + len, d->rx_frame, len);
	total = e1000_rx_untag(d, len + ETH_FCS, &r);
	if (pcss < total - ETH_FCS)
		r.checksum = inet_fold(
			inet_sum(d->rx_frame + pcss, total - ETH_FCS - pcss));
	if (e1000_get(d, E1000_RCTL) & RCTL_SECRC)
		total -= ETH_FCS;
	need = (total + e1000_buffer_bytes(d) - 1) / e1000_buffer_bytes(d) *
	       e1000_rx_units(d);
	if (need >= n) {
		d->card.dropped++; /* it will never fit */
		return true;
	}
	if (e1000_rx_free(d, n) < need)
		return false;
	e1000_rx_count(d, frame, len + ETH_FCS);
	e1000_rx_store(d, total, &r, n);
	e1000_rx_interrupt(d, len + ETH_FCS, n);
	return true;
}

void e1000_rx_more(struct e1000 *d)
{
	if (e1000_get(d, E1000_RCTL) & RCTL_EN)
		card_ready(&d->card);
}
