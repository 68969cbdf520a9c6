/*
 * rtl8139.c - Realtek RTL8139C+ fast Ethernet controller (10ec:8139): the PCI
 * function, registers, and the four transmit buffers and the receive ring of
 * all RTL8139s.
 *
 * Data sheets: RTL8139C(L) rev. 1.4, RTL8139C+(L) rev. 1.6; 5 (registers), 6
 * (EEPROM).  Registers are bytes with masks of what can be written; what a
 * write does follows it.  Two classes: the C+ (revision 20h), and the C (10h)
 * for systems whose drivers leave a C+ alone.
 */
#include "dev/net/rtl8139.h"

#include <string.h>

#include <glib.h>

#include "dev/net/rtl8139_priv.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define TSD_SIZE 0x1fff
#define TSD_OWN	 0x2000 /* the card is done with it */
#define TSD_TOK	 0x8000

#define EEM_MASK   0xc0
#define EEM_CONFIG 0xc0
#define EEM_PINS   0x80
#define EECS	   0x08
#define EESK	   0x04
#define EEDI	   0x02
#define EEDO	   0x01

#define PLUS_REVISION 0x20

/* ---- interrupts and the timer ---- */

static void rtl8139_update_irq(struct rtl8139 *d)
{
	pci_set_intx(&d->pci,
		rtl8139_get(d, RTL_ISR, 2) & rtl8139_get(d, RTL_IMR, 2));
}

void rtl8139_cause(struct rtl8139 *d, uint16_t causes)
{
	rtl8139_put(d, RTL_ISR, 2, rtl8139_get(d, RTL_ISR, 2) | causes);
	rtl8139_update_irq(d);
}

/* 5.25, 5.31: TCTR counts the PCI clock, 33 MHz. */
static uint32_t rtl8139_tctr(const struct rtl8139 *d)
{
	uint64_t ns = bus_clock_ns(d->dev.host.bus) - d->timer_base_ns;

	return ns / 1000 * 33 + ns % 1000 * 33 / 1000;
}

static void rtl8139_timer_arm(struct rtl8139 *d)
{
	uint32_t at = rtl8139_get(d, RTL_TIMERINT, 4);
	uint32_t left = at - rtl8139_tctr(d);

	bus_timer_cancel(&d->timer);
	if (at)
		bus_timer_arm(&d->timer, bus_clock_ns(d->dev.host.bus) +
						 left * 1000ull / 33 + 1);
}

static void rtl8139_timer_fired(void *opaque)
{
	struct rtl8139 *d = opaque;

	rtl8139_cause(d, ISR_TIMEOUT);
	rtl8139_timer_arm(d);
}

/* ---- sending ---- */

bool rtl8139_may_dma(const struct rtl8139 *d)
{
	return d->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

void rtl8139_send(struct rtl8139 *d, const uint8_t *frame, size_t len)
{
	d->tx_ok++;
	if ((rtl8139_get(d, RTL_TCR, 4) & TCR_LBK) == TCR_LBK) {
		d->card.tx_frames++;
		rtl8139_receive(d, frame, len);
	} else {
		card_send(&d->card, frame, len);
	}
}

/* 5.5: the driver has given buffer n to the card. */
static void rtl8139_tx(struct rtl8139 *d, unsigned n)
{
	uint32_t tsd = rtl8139_get(d, RTL_TSD + 4 * n, 4);
	uint32_t len = tsd & TSD_SIZE;

	if ((tsd & TSD_OWN) || !(d->reg[RTL_CR] & CR_TE) ||
		!rtl8139_may_dma(d) || rtl8139_plus_tx(d))
		return;
	if (len > 1792) /* more does not fit into the FIFO */
		len = 1792;
	bus_dma_read(d->dev.host.bus, rtl8139_get(d, RTL_TSAD + 4 * n, 4),
		d->tx_frame, len);
	rtl8139_put(d, RTL_TSD + 4 * n, 4, tsd | TSD_OWN | TSD_TOK);
	if (len >= ETH_HEADER)
		rtl8139_send(d, d->tx_frame, len);
	rtl8139_cause(d, ISR_TOK);
}

/* ---- receiving ---- */

/* RX_* of the filter that lets it in, -1: none (5.19). */
static int rtl8139_match(const struct rtl8139 *d, const uint8_t *frame)
{
	uint32_t rcr = rtl8139_get(d, RTL_RCR, 4);
	unsigned hash;

	if (card_is_broadcast(frame))
		return rcr & (RCR_AB | RCR_AAP) ? RX_BROADCAST : -1;
	if (card_is_multicast(frame)) {
		hash = card_hash_big(frame) >> 26;
		if ((rcr & RCR_AM) &&
			(d->reg[RTL_MAR + hash / 8] >> (hash & 7) & 1))
			return RX_MULTICAST;
		return rcr & RCR_AAP ? RX_MULTICAST : -1;
	}
	if (!memcmp(frame, d->reg + RTL_IDR, ETH_ADDR))
		return rcr & (RCR_APM | RCR_AAP) ? RX_PHYSICAL : -1;
	return rcr & RCR_AAP ? 0 : -1;
}

static unsigned rtl8139_ring_bytes(const struct rtl8139 *d)
{
	return 8192u << (rtl8139_get(d, RTL_RCR, 4) >> 11 & 3);
}

/* What the driver has read up to: CAPR lags 16 bytes behind (5.13). */
static unsigned rtl8139_read_at(const struct rtl8139 *d)
{
	return (rtl8139_get(d, RTL_CAPR, 2) + 16) & (rtl8139_ring_bytes(d) - 1);
}

static unsigned rtl8139_write_at(const struct rtl8139 *d)
{
	return rtl8139_get(d, RTL_CBR, 2) & (rtl8139_ring_bytes(d) - 1);
}

/* Into the ring at `at`; with WRAP a frame goes on behind its end. */
static void rtl8139_ring_put(
	struct rtl8139 *d, unsigned at, const void *p, size_t len)
{
	uint32_t base = rtl8139_get(d, RTL_RBSTART, 4);
	unsigned size = rtl8139_ring_bytes(d);
	size_t first = len;

	if (!(rtl8139_get(d, RTL_RCR, 4) & RCR_WRAP) && at + len > size)
		first = size - at;
	bus_dma_write(d->dev.host.bus, base + at, p, first);
	bus_dma_write(
		d->dev.host.bus, base, (const uint8_t *)p + first, len - first);
}

static bool rtl8139_store(struct rtl8139 *d, size_t len, unsigned matched)
{
	unsigned size = rtl8139_ring_bytes(d), at = rtl8139_write_at(d);
	unsigned room = (rtl8139_read_at(d) - at) & (size - 1);
	unsigned need = (len + 4 + 3) & ~3u;
	uint16_t head[2] = {1 | matched << 13, len};

	if (room && room <= need)
		return false;
	/* The header never wraps: entries are double words. */
	rtl8139_ring_put(d, at, head, 4);
	rtl8139_ring_put(d, at + 4, d->rx_frame, len);
	rtl8139_put(d, RTL_CBR, 2, (at + need) & (size - 1));
	return true;
}

static void rtl8139_count(struct rtl8139 *d, unsigned matched)
{
	d->card.rx_frames++;
	d->rx_ok++;
	d->rx_physical += matched == RX_PHYSICAL;
	d->rx_broadcast += matched == RX_BROADCAST;
	d->rx_multicast += matched == RX_MULTICAST;
}

bool rtl8139_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct rtl8139 *d = opaque;
	int matched;
	bool stored;

	if (!(d->reg[RTL_CR] & CR_RE) || !rtl8139_may_dma(d) ||
		len < ETH_HEADER || len > sizeof(d->rx_frame) - ETH_FCS)
		return true;
	matched = rtl8139_match(d, frame);
	if (matched < 0)
		return true;
	memcpy(d->rx_frame, frame, len);
	if (len < ETH_MIN) {
		memset(d->rx_frame + len, 0, ETH_MIN - len);
		len = ETH_MIN;
	}
	card_put_fcs(d->rx_frame + len, d->rx_frame, len);
	stored = rtl8139_plus_rx(d)
			 ? rtl8139_plus_store(d, len + ETH_FCS, matched)
			 : rtl8139_store(d, len + ETH_FCS, matched);
	if (!stored) {
		/* It waits in the cable, not lost; but drivers that have
		 * acknowledged all and left the rest for later count on being
		 * called again. */
		rtl8139_cause(d, rtl8139_plus_rx(d) ? ISR_RXOVW : ISR_ROK);
		return false;
	}
	rtl8139_count(d, matched);
	rtl8139_cause(d, ISR_ROK);
	return true;
}

static void rtl8139_rx_more(struct rtl8139 *d)
{
	if (d->reg[RTL_CR] & CR_RE)
		card_ready(&d->card);
}

static void rtl8139_rx_again(void *opaque)
{
	rtl8139_rx_more(opaque);
}

/* ---- registers ---- */

static bool rtl8139_is_plus(const struct rtl8139 *d)
{
	return d->pci.config[PCI_REVISION] >= PLUS_REVISION;
}

static const struct {
	uint8_t first, bytes;
	uint8_t bits;	   /* of each byte */
	bool plus, config; /* the C+ only; under EEM_CONFIG only */
} rtl8139_storage[] = {
	{RTL_IDR, 6, 0xff}, {RTL_MAR, 8, 0xff}, {RTL_TSD, 16, 0xff},
	{RTL_TSAD, 16, 0xff}, {RTL_RBSTART, 4, 0xff},
	{RTL_CR, 1, CR_RE | CR_TE}, {RTL_CAPR, 2, 0xff}, {RTL_IMR, 2, 0xff},
	{RTL_TCR, 2, 0xff}, {RTL_TCR + 2, 1, 0x07}, {RTL_TCR + 3, 1, 0x03},
	{RTL_RCR, 4, 0xff}, {RTL_9346CR, 1, EEM_MASK | EECS | EESK | EEDI},
	{RTL_CONFIG0, 1, 0x07, .config = true},
	{RTL_CONFIG1, 1, 0xf3, .config = true}, {RTL_TIMERINT, 4, 0xff},
	{RTL_MSR, 1, 0xc0}, {RTL_CONFIG3, 1, 0x61, .config = true},
	{RTL_CONFIG4, 1, 0xff, .config = true}, {0x5c, 2, 0xff}, /* MULINT */
	{RTL_BMCR, 1, 0x00}, {RTL_BMCR + 1, 1, 0x31}, {RTL_ANAR, 2, 0xff},
	{0x70, 1, 0xff},    /* NWAYTR */
	{0x78, 8, 0xff},    /* PHY1_PARM, TW_PARM */
	{0x80, 1, 0xff},    /* PHY2_PARM */
	{0x84, 0x48, 0xff}, /* wake-up frames */
	{RTL_CONFIG5, 1, 0x7f, .plus = true}, {RTL_CPCR, 1, 0xff, .plus = true},
	{RTL_CPCR + 1, 1, 0x03, .plus = true},
	{RTL_RDSAR, 8, 0xff, .plus = true},
	{0xec, 1, 0x3f, .plus = true}, /* ETTHR */
};

static uint8_t rtl8139_bits(const struct rtl8139 *d, unsigned off)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(rtl8139_storage); i++) {
		if (off - rtl8139_storage[i].first >= rtl8139_storage[i].bytes)
			continue;
		if ((rtl8139_storage[i].plus && !rtl8139_is_plus(d)) ||
			(rtl8139_storage[i].config &&
				(d->reg[RTL_9346CR] & EEM_MASK) != EEM_CONFIG))
			return 0;
		return rtl8139_storage[i].bits;
	}
	return 0;
}

/* 5.7: RST; the address, hashes and configuration stay. */
static void rtl8139_soft_reset(struct rtl8139 *d)
{
	bus_timer_cancel(&d->timer);
	bus_timer_cancel(&d->rx_timer);
	bus_timer_cancel(&d->tx_timer);
	d->timer_base_ns = bus_clock_ns(d->dev.host.bus);
	d->reg[RTL_CR] = 0;
	memset(d->reg + RTL_TSD, 0, 0x24); /* TSD, TSAD, RBSTART */
	for (unsigned i = 0; i < 4; i++)
		rtl8139_put(d, RTL_TSD + 4 * i, 4, TSD_OWN);
	memset(d->reg + RTL_CAPR, 0, RTL_TCR - RTL_CAPR);
	rtl8139_put(d, RTL_CAPR, 2, 0xfff0);
	rtl8139_put(
		d, RTL_TCR, 4, rtl8139_is_plus(d) ? 0x74800000 : 0x74000000);
	rtl8139_put(d, RTL_RCR, 4, 0);
	rtl8139_put(d, RTL_TIMERINT, 4, 0);
	rtl8139_put(d, RTL_MPC, 4, 0);
	rtl8139_put(d, RTL_CPCR, 2, 0);
	d->tx_at[0] = d->tx_at[1] = d->rx_at = 0;
	d->tx_len = 0;
	d->hopeless = false;
	rtl8139_update_irq(d);
}

/* What registers hold without being written. */
static void rtl8139_refresh(struct rtl8139 *d, unsigned off)
{
	uint32_t val = 0;

	switch (off & ~3u) {
	case RTL_TCTR: rtl8139_put(d, RTL_TCTR, 4, rtl8139_tctr(d)); break;
	case RTL_CR & ~3:
		d->reg[RTL_CR] &= ~CR_BUFE;
		if (rtl8139_read_at(d) == rtl8139_write_at(d))
			d->reg[RTL_CR] |= CR_BUFE;
		break;
	case RTL_9346CR:
		d->reg[RTL_9346CR] &= ~EEDO;
		if (eeprom93_out(&d->eeprom))
			d->reg[RTL_9346CR] |= EEDO;
		break;
	case RTL_TSAD_ALL:
		for (unsigned i = 0; i < 4; i++) {
			uint32_t tsd = rtl8139_get(d, RTL_TSD + 4 * i, 4);

			val |= !!(tsd & TSD_OWN) << i | !!(tsd & TSD_TOK)
								<< (12 + i);
		}
		rtl8139_put(d, RTL_TSAD_ALL, 2, val);
		break;
	}
}

static uint32_t rtl8139_read(void *opaque, uint16_t off, unsigned size)
{
	struct rtl8139 *d = opaque;

	if (off + size > RTL_REGS)
		return 0;
	rtl8139_refresh(d, off);
	rtl8139_refresh(d, off + size - 1);
	return rtl8139_get(d, off, size);
}

static void rtl8139_9346_written(struct rtl8139 *d)
{
	uint8_t val = d->reg[RTL_9346CR];

	if ((val & EEM_MASK) == EEM_PINS)
		eeprom93_set(&d->eeprom, val & EECS, val & EESK, val & EEDI);
}

/* Registers that do something but hold nothing. */
static void rtl8139_act(struct rtl8139 *d, unsigned off, uint8_t val)
{
	switch (off) {
	case RTL_CR:
		if (val & CR_RST)
			rtl8139_soft_reset(d);
		break;
	case RTL_ISR:
	case RTL_ISR + 1: d->reg[off] &= ~val; break;
	case RTL_TCTR:
		d->timer_base_ns = bus_clock_ns(d->dev.host.bus);
		rtl8139_timer_arm(d);
		break;
	case RTL_MPC: rtl8139_put(d, RTL_MPC, 3, 0); break;
	case RTL_BMCR + 1:
		if (val & 0x80) /* the PHY's reset */
			d->reg[off] = 0x31;
		break;
	case RTL_TPPOLL:
		if ((val & 1) && rtl8139_is_plus(d))
			rtl8139_cause(d, ISR_SWINT);
		if (rtl8139_plus_tx(d))
			rtl8139_plus_send(d, val);
		break;
	}
}

/* Registers that hold something new. */
static void rtl8139_written(struct rtl8139 *d, unsigned off)
{
	if (off >= RTL_TSD && off < RTL_TSAD) {
		if (rtl8139_plus_tx(d) || rtl8139_plus_rx(d))
			rtl8139_plus_dump(d);
		else
			rtl8139_tx(d, (off - RTL_TSD) / 4);
		return;
	}
	switch (off) {
	case RTL_CR:
	case RTL_CAPR:
	case RTL_IMR:
	case RTL_ISR:
		rtl8139_update_irq(d);
		rtl8139_rx_more(d);
		break;
	case RTL_RDSAR: d->rx_at = 0; break;
	case RTL_TNPDS: d->tx_at[0] = 0; break;
	case RTL_THPDS: d->tx_at[1] = 0; break;
	case RTL_TIMERINT: rtl8139_timer_arm(d); break;
	case RTL_9346CR: rtl8139_9346_written(d); break;
	}
}

/* Where the register begins that a write to off reaches: what it does, it does
 * once.  Beside another one it may be written by bytes. */
static unsigned rtl8139_register(unsigned off)
{
	switch (off & ~1u) {
	case RTL_CAPR:
	case RTL_IMR:
	case RTL_ISR: return off & ~1u;
	}
	if (off < RTL_TSD || (off >= RTL_CR && off < RTL_TCR) ||
		(off >= RTL_9346CR && off < RTL_TIMERINT) || off >= RTL_MSR)
		return off >= RTL_RDSAR && off < 0xec ? RTL_RDSAR : off;
	if (off >= RTL_TNPDS && off < RTL_RBSTART)
		return off & ~7u;
	return off & ~3u;
}

static void rtl8139_write(
	void *opaque, uint16_t off, unsigned size, uint32_t val)
{
	struct rtl8139 *d = opaque;
	unsigned last = ~0u;

	if (off + size > RTL_REGS)
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t bits = rtl8139_bits(d, off + i), v = val >> (8 * i);

		d->reg[off + i] = (d->reg[off + i] & ~bits) | (v & bits);
	}
	for (unsigned i = 0; i < size; i++) {
		unsigned r = rtl8139_register(off + i);

		rtl8139_act(d, off + i, val >> (8 * i));
		if (r != last)
			last = r;
		else
			continue;
		rtl8139_written(d, r);
	}
	if (off <= RTL_ISR + 1 && off + size > RTL_ISR)
		rtl8139_update_irq(d);
}

static uint64_t rtl8139_mmio_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	uint64_t val = rtl8139_read(opaque, off, size < 4 ? size : 4);

	if (size == 8)
		val |= (uint64_t)rtl8139_read(opaque, off + 4, 4) << 32;
	return val;
}

static void rtl8139_mmio_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	rtl8139_write(opaque, off, size < 4 ? size : 4, val);
	if (size == 8)
		rtl8139_write(opaque, off + 4, 4, val >> 32);
}

static const struct bus_mmio_ops rtl8139_mmio_ops = {
	.read = rtl8139_mmio_read,
	.write = rtl8139_mmio_write,
};

static const struct bus_io_ops rtl8139_io_ops = {
	.read = rtl8139_read,
	.write = rtl8139_write,
	.sizes = 1 | 2 | 4,
};

/* ---- device ---- */

/* 6: identity, then the address from word 7 on. */
static void rtl8139_eeprom_init(struct rtl8139 *d)
{
	static const uint16_t head[] = {
		0x8129, 0x10ec, 0x8139, 0x10ec, 0x8139, 0x4020, 0xe512};
	uint16_t *w = d->eeprom.word;

	memcpy(w, head, sizeof(head));
	for (unsigned i = 0; i < 3; i++)
		w[7 + i] = d->card.mac[2 * i] | d->card.mac[2 * i + 1] << 8;
	w[0x0a] = 0x4d10;
	w[0x0b] = 0xf7c2;
	w[0x0c] = 0x8001;
	eeprom93_reset(&d->eeprom);
}

static int rtl8139_make(struct rtl8139 *d, uint8_t revision)
{
	struct dev *dev = &d->dev;
	unsigned at;

	bus_timer_init(&d->timer, dev->host.bus, rtl8139_timer_fired, d);
	bus_timer_init(&d->rx_timer, dev->host.bus, rtl8139_rx_again, d);
	bus_timer_init(&d->tx_timer, dev->host.bus, rtl8139_plus_more, d);
	pci_func_init(&d->pci, dev,
		&(struct pci_ident){.vendor = 0x10ec,
			.device = 0x8139,
			.class_code = 0x020000,
			.revision = revision,
			.sub_vendor = 0x10ec,
			.sub_id = 0x8139});
	d->pci.irq_pin = 1;
	d->pci.config[0x3e] = 0x20; /* minimum grant, maximum latency */
	d->pci.config[0x3f] = 0x40;
	d->pci.bar[0] = (struct pci_bar){.size = RTL_REGS,
		.io = true,
		.ports = &rtl8139_io_ops,
		.opaque = d};
	d->pci.bar[1] = (struct pci_bar){
		.size = RTL_REGS, .mmio = &rtl8139_mmio_ops, .opaque = d};
	d->pci.next_cap = 0x50;
	at = pci_add_cap(&d->pci, 0x01, 8);
	pci_put16(d->pci.config + at + 2, 0xf7c2);
	pci_put16(d->pci.wmask + at + 4, 0x0103);
	d->pci.w1cmask[at + 5] = 0x80;
	card_init(&d->card, dev, rtl8139_receive);
	rtl8139_eeprom_init(d);
	return pci_func_plug(&d->pci, dev->host.pci,
		dev->host.pci_slot < 0 ? -1 : dev->host.pci_slot << 3);
}

static int rtl8139_plus_init(struct dev *dev, char *err, unsigned errsize)
{
	return rtl8139_make((struct rtl8139 *)dev, PLUS_REVISION);
}

static int rtl8139_c_init(struct dev *dev, char *err, unsigned errsize)
{
	return rtl8139_make((struct rtl8139 *)dev, 0x10);
}

static void rtl8139_reset(struct dev *dev)
{
	struct rtl8139 *d = (struct rtl8139 *)dev;

	pci_func_reset(&d->pci);
	memset(d->reg, 0, sizeof(d->reg));
	for (unsigned i = 0; i < ETH_ADDR; i++)
		d->reg[RTL_IDR + i] = d->eeprom.word[7 + i / 2] >> (i & 1) * 8;
	d->reg[RTL_CONFIG1] = 0x0d;
	d->reg[RTL_CONFIG3] = 0x01;
	d->reg[RTL_MSR] = 0x10; /* power; no LINKB: the link is up, 100 Mb/s */
	d->reg[RTL_RERID] = 0x10;
	rtl8139_put(d, RTL_BMCR, 2, 0x3100);
	rtl8139_put(d, RTL_BMSR, 2, 0x782d);
	rtl8139_put(d, RTL_ANAR, 2, 0x05e1);
	rtl8139_put(d, RTL_ANLPAR, 2, 0x45e1);
	rtl8139_put(d, RTL_ANER, 2, 0x0001);
	rtl8139_put(d, RTL_CSCR, 2, 0x03c8); /* connected */
	d->tx_ok = d->rx_ok = d->rx_physical = d->rx_broadcast = 0;
	d->rx_multicast = d->rx_missed = 0;
	eeprom93_reset(&d->eeprom);
	rtl8139_soft_reset(d);
}

static void rtl8139_fini(struct dev *dev)
{
	struct rtl8139 *d = (struct rtl8139 *)dev;

	card_fini(&d->card);
	bus_timer_cancel(&d->timer);
	bus_timer_cancel(&d->rx_timer);
	bus_timer_cancel(&d->tx_timer);
	pci_func_unplug(&d->pci);
}

static void rtl8139_describe(struct dev *dev, char *buf, unsigned size)
{
	card_describe(&((struct rtl8139 *)dev)->card, buf, size);
}

static void rtl8139_copied(struct dev *dev)
{
	struct rtl8139 *d = (struct rtl8139 *)dev;
	struct eeprom93 was = d->eeprom;

	rtl8139_eeprom_init(d);
	eeprom93_go_on(&d->eeprom, &was);
}

/* ---- state ---- */

static const struct state_field rtl8139_fields[] = {
	STATE_STRUCT(struct rtl8139, pci, &pci_func_state),
	STATE_STRUCT(struct rtl8139, eeprom, &eeprom93_state),
	STATE_BYTES(struct rtl8139, reg),
	STATE(struct rtl8139, timer_base_ns),
	STATE_TIMER(struct rtl8139, timer),
	STATE_TIMER(struct rtl8139, rx_timer),
	STATE_TIMER(struct rtl8139, tx_timer),
	STATE_ARRAY(struct rtl8139, tx_at),
	STATE(struct rtl8139, rx_at),
	STATE(struct rtl8139, hopeless),
	STATE(struct rtl8139, tx_len, .max = NET_MAX_FRAME),
	STATE(struct rtl8139, tx_ok),
	STATE(struct rtl8139, rx_ok),
	STATE(struct rtl8139, rx_physical),
	STATE(struct rtl8139, rx_broadcast),
	STATE(struct rtl8139, rx_multicast),
	STATE(struct rtl8139, rx_missed),
	STATE_BYTES(struct rtl8139, tx_frame),
};

static const struct state_list rtl8139_state =
	STATE_LIST("rtl8139", struct rtl8139, 1, rtl8139_fields);

#define RTL8139_CLASS(name_, init_)                                            \
	{                                                                      \
		.name = name_, .size = sizeof(struct rtl8139), .init = init_,  \
		.reset = rtl8139_reset, .fini = rtl8139_fini,                  \
		.copied = rtl8139_copied, .describe = rtl8139_describe,        \
		.state = &rtl8139_state,                                       \
	}

const struct dev_class rtl8139_class =
	RTL8139_CLASS("rtl8139", rtl8139_plus_init);
const struct dev_class rtl8139c_class =
	RTL8139_CLASS("rtl8139c", rtl8139_c_init);
