/*
 * pcnet_ring.c - initialisation block and descriptor rings (data sheet 19436,
 * "Initialization Block", "Receive/Transmit Descriptors").
 *
 * Three layouts, by BCR20: style 0 with 8 bytes and 24-bit addresses, 2 with
 * 16 bytes, 3 with 16 bytes whose address comes last.  They are brought to one
 * form here.  The controller polls for descriptors; here it looks when it is
 * told to, and while a frame waits for one.
 */
#include <string.h>

#include "dev/net/pcnet_priv.h"

#define TX_BUDGET 512 /* the largest ring */
#define POLL_NS	  1000000

#define D_OWN	  0x80000000u
#define D_ADD_FCS 0x20000000u
#define D_LTINT	  0x10000000u
#define D_STP	  0x02000000u
#define D_ENP	  0x01000000u
#define D_BUFF	  0x04000000u /* receive: no buffer for the rest */
#define D_ERR	  0x40000000u
#define D_PAM	  0x00400000u
#define D_LAFM	  0x00200000u
#define D_BAM	  0x00100000u

struct pcnet_desc {
	uint32_t addr, bytes;
	uint32_t flags; /* as the upper bytes of styles 2 and 3 */
};

static unsigned pcnet_style(const struct pcnet *d)
{
	return d->bcr[20] & 0xff;
}

static uint32_t pcnet_address(const struct pcnet *d, uint32_t addr)
{
	if (d->bcr[20] & 0x100)
		return addr;
	/* 16-bit structures: the rest stands in CSR2. */
	return (addr & 0xffffff) | (d->csr[2] & 0xff00u) << 16;
}

/* ---- the initialisation block ---- */

void pcnet_initialise(struct pcnet *d)
{
	bool wide = d->bcr[20] & 0x100;
	uint8_t b[28] = {0};
	unsigned at = wide ? 4 : 2, lens;
	uint32_t rdra, tdra;

	bus_dma_read(d->dev.host.bus, d->csr[1] | (uint32_t)d->csr[2] << 16, b,
		wide ? 28 : 24);
	d->csr[15] = b[0] | b[1] << 8;
	for (unsigned i = 0; i < 3; i++)
		d->csr[12 + i] = b[at + 2 * i] | b[at + 2 * i + 1] << 8;
	at += wide ? 8 : 6;
	for (unsigned i = 0; i < 4; i++)
		d->csr[8 + i] = b[at + 2 * i] | b[at + 2 * i + 1] << 8;
	memcpy(&rdra, b + at + 8, 4);
	memcpy(&tdra, b + at + 12, 4);
	lens = wide ? (b[2] >> 4u) | (b[3] & 0xf0u)
		    : rdra >> 29 | (tdra >> 29) << 4;
	rdra = pcnet_address(d, rdra);
	tdra = pcnet_address(d, tdra);
	d->csr[24] = rdra;
	d->csr[25] = rdra >> 16;
	d->csr[30] = tdra;
	d->csr[31] = tdra >> 16;
	d->csr[76] = -(1 << ((lens & 15) > 9 ? 9 : lens & 15));
	d->csr[78] = -(1 << (lens >> 4 > 9 ? 9 : lens >> 4));
	d->csr[6] = (lens & 15) << 8 | (lens >> 4) << 12;
	d->rx_at = d->tx_at = 0;
	pcnet_cause(d, CSR0_IDON);
}

/* ---- descriptors ---- */

static gpa_t pcnet_desc_at(const struct pcnet *d, unsigned csr, unsigned n)
{
	return pcnet_csr32(d, csr) + (gpa_t)n * (pcnet_style(d) ? 16 : 8);
}

static bool pcnet_desc_read(
	const struct pcnet *d, gpa_t at, struct pcnet_desc *out)
{
	uint32_t w[4] = {0};

	if (!bus_dma_read(d->dev.host.bus, at, w, pcnet_style(d) ? 16 : 8))
		return false;
	out->flags = w[1];
	switch (pcnet_style(d)) {
	case 0:
		out->addr = pcnet_address(d, w[0]);
		out->flags = w[0] & 0xff000000u;
		break;
	case 3: out->addr = w[2]; break;
	default: out->addr = w[0]; break;
	}
	/* A two's complement of twelve bits */
	out->bytes = 4096 - (w[1] & 0xfff);
	return true;
}

/* Give it back: flags, then what the card says of the frame. */
static void pcnet_desc_write(
	const struct pcnet *d, gpa_t at, uint32_t flags, uint16_t status)
{
	struct bus *b = d->dev.host.bus;
	unsigned style = pcnet_style(d);
	uint32_t wide = status;
	uint8_t byte = flags >> 24;

	if (!style) {
		bus_dma_write(b, at + 6, &status, 2);
		bus_dma_write(b, at + 3, &byte, 1);
		return;
	}
	bus_dma_write(b, at + (style == 3 ? 0 : 8), &wide, 4);
	bus_dma_write(b, at + 4, &flags, 4);
}

static void pcnet_next(const struct pcnet *d, uint16_t *at, unsigned len_csr)
{
	uint16_t len = -d->csr[len_csr];

	if (++*at >= len)
		*at = 0;
}

/* ---- sending ---- */

static void pcnet_out(struct pcnet *d)
{
	uint8_t *f = d->tx_frame;

	if (d->hopeless || d->tx_len < ETH_HEADER) {
		d->card.dropped++;
		return;
	}
	if (d->tx_len < ETH_MIN && (d->csr[4] & CSR4_APAD_XMT)) {
		memset(f + d->tx_len, 0, ETH_MIN - d->tx_len);
		d->tx_len = ETH_MIN;
	}
	if (d->csr[15] & MODE_LOOP) {
		d->card.tx_frames++;
		pcnet_receive(d, f, d->tx_len);
	} else {
		card_send(&d->card, f, d->tx_len);
	}
}

static void pcnet_tx_one(struct pcnet *d, gpa_t at, struct pcnet_desc *t)
{
	bool told;

	if (t->flags & D_STP) {
		d->tx_len = 0;
		d->hopeless = false;
	}
	if (d->tx_len + t->bytes > sizeof(d->tx_frame)) {
		d->hopeless = true;
	} else {
		bus_dma_read(d->dev.host.bus, t->addr, d->tx_frame + d->tx_len,
			t->bytes);
		d->tx_len += t->bytes;
	}
	pcnet_desc_write(d, at, t->flags & ~(D_OWN | D_ERR), 0);
	if (!(t->flags & D_ENP))
		return;
	/* It brings its check sequence along. */
	if ((d->csr[15] & MODE_DXMTFCS) && !(t->flags & D_ADD_FCS) &&
		d->tx_len > ETH_FCS)
		d->tx_len -= ETH_FCS;
	pcnet_out(d);
	d->tx_len = 0;
	/* CSR5: not of each, or of those that ask for it only */
	told = !(d->csr[5] & CSR5_TOKINTD) &&
	       (!(d->csr[5] & CSR5_LTINTEN) || (t->flags & D_LTINT));
	d->csr[4] |= CSR4_TXSTRT;
	pcnet_cause(d, told ? CSR0_TINT : 0);
}

void pcnet_transmit(struct pcnet *d)
{
	struct pcnet_desc t;

	for (unsigned left = TX_BUDGET; left; left--) {
		gpa_t at = pcnet_desc_at(d, 30, d->tx_at);

		if (!(d->csr[0] & CSR0_TXON) || (d->csr[5] & CSR5_SPND) ||
			!pcnet_may_dma(d) || !pcnet_desc_read(d, at, &t) ||
			!(t.flags & D_OWN))
			return;
		pcnet_next(d, &d->tx_at, 78);
		pcnet_tx_one(d, at, &t);
	}
	bus_timer_arm(&d->timer, bus_clock_ns(d->dev.host.bus));
}

/* ---- receiving ---- */

/* D_* of the filter that lets it in, 0: none but PROM, -1: none at all. */
static int32_t pcnet_match(const struct pcnet *d, const uint8_t *frame)
{
	uint16_t mode = d->csr[15];
	unsigned hash;

	if (card_is_broadcast(frame) && !(mode & MODE_DRCVBC))
		return D_BAM;
	if (card_is_multicast(frame)) {
		hash = card_hash_little(frame) >> 26;
		if (!card_is_broadcast(frame) &&
			(d->csr[8 + hash / 16] >> (hash & 15) & 1))
			return D_LAFM;
	} else if (!(mode & MODE_DRCVPA) &&
		   !memcmp(frame, &d->csr[12], ETH_ADDR)) {
		return D_PAM;
	}
	return mode & MODE_PROM ? 0 : -1;
}

/* Into as many buffers as it takes; BUFF in the last one if the next is not
 * there. */
static void pcnet_store(struct pcnet *d, size_t len, uint32_t match)
{
	uint32_t status = match | D_STP;
	struct pcnet_desc r;
	gpa_t at = pcnet_desc_at(d, 24, d->rx_at), next;

	pcnet_desc_read(d, at, &r);
	for (size_t done = 0;;) {
		size_t put = len - done < r.bytes ? len - done : r.bytes;
		uint32_t flags = r.flags & 0x000fffff;

		bus_dma_write(d->dev.host.bus, r.addr, d->rx_frame + done, put);
		done += put;
		pcnet_next(d, &d->rx_at, 76);
		if (done == len) {
			pcnet_desc_write(d, at, flags | status | D_ENP, len);
			return;
		}
		next = pcnet_desc_at(d, 24, d->rx_at);
		if (!pcnet_desc_read(d, next, &r) || !(r.flags & D_OWN)) {
			pcnet_desc_write(
				d, at, flags | status | D_BUFF | D_ERR, len);
			return;
		}
		pcnet_desc_write(d, at, flags | status, 0);
		status = 0;
		at = next;
	}
}

/* CSR4: padding and check sequence of frames with a length field are cut. */
static size_t pcnet_strip(const struct pcnet *d, size_t len)
{
	size_t said = d->rx_frame[12] << 8 | d->rx_frame[13];

	if (!(d->csr[4] & CSR4_ASTRP_RCV) || said >= ETH_MIN - ETH_HEADER)
		return len;
	return ETH_HEADER + said;
}

bool pcnet_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct pcnet *d = opaque;
	struct pcnet_desc r;
	int32_t match;

	if (!(d->csr[0] & CSR0_RXON) || (d->csr[5] & CSR5_SPND) ||
		!pcnet_may_dma(d) || len < ETH_HEADER ||
		len > sizeof(d->rx_frame) - ETH_FCS)
		return true;
	match = pcnet_match(d, frame);
	if (match < 0)
		return true;
	if (!pcnet_desc_read(d, pcnet_desc_at(d, 24, d->rx_at), &r) ||
		!(r.flags & D_OWN)) {
		bus_timer_arm(
			&d->timer, bus_clock_ns(d->dev.host.bus) + POLL_NS);
		return false;
	}
	memcpy(d->rx_frame, frame, len);
	if (len < ETH_MIN) {
		memset(d->rx_frame + len, 0, ETH_MIN - len);
		len = ETH_MIN;
	}
	card_put_fcs(d->rx_frame + len, d->rx_frame, len);
	d->card.rx_frames++;
	pcnet_store(d, pcnet_strip(d, len + ETH_FCS), match);
	pcnet_cause(d, CSR0_RINT);
	return true;
}

void pcnet_poll(void *opaque)
{
	struct pcnet *d = opaque;

	pcnet_transmit(d);
	if (d->csr[0] & CSR0_RXON)
		card_ready(&d->card);
}
