/*
 * ne2000.c - cards around National's DP8390 network interface controller: an
 * NE2000 for ISA, and Realtek's RTL8029AS (10ec:8029), the same for PCI.
 *
 * DP8390D data sheet (National, 1995): "Register descriptions", "Remote DMA",
 * "Packet reception".  RTL8029AS data sheet (Realtek, 1997): 5.  Of 32 ports
 * the first half are registers in four pages, then comes the data port, then
 * the reset port.
 *
 * The card's memory as the controller addresses it: the address PROM at 0,
 * each byte twice, and 16 KB at 0x4000 with a ring of 256-byte pages for what
 * is received.
 */
#include "dev/net/ne2000.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/misc/irq_lines.h"
#include "dev/net/card.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define PORTS	   32
#define DATA_PORT  0x10
#define RESET_PORT 0x18

#define PROM_BYTES 32
#define RAM_START  0x4000
#define RAM_BYTES  0x4000
#define PAGE	   256

#define CR_STP	    0x01
#define CR_TXP	    0x04
#define CR_RD	    0x38
#define CR_READ	    0x08
#define CR_SEND	    0x18
#define CR_PAGE(cr) ((cr) >> 6)

#define ISR_PRX 0x01
#define ISR_PTX 0x02
#define ISR_CNT 0x20
#define ISR_RDC 0x40
#define ISR_RST 0x80

#define RCR_AR	0x02
#define RCR_AB	0x04
#define RCR_AM	0x08
#define RCR_PRO 0x10
#define RCR_MON 0x20

#define TCR_LB	0x06
#define DCR_WTS 0x01

#define RSR_PRX 0x01
#define RSR_PHY 0x20 /* a group address, despite its name */

struct ne2000 {
	struct dev dev;
	struct pci_func pci;
	struct card card;
	uint8_t cr, pstart, pstop, bnry, tpsr, tsr, isr, rcr, tcr, dcr, imr;
	uint8_t rsr, curr;
	uint16_t tbcr, rsar, rbcr;
	uint8_t par[ETH_ADDR], mar[8];
	uint8_t config[4]; /* 8029, page 3: 9346CR, CONFIG0, 2, 3 */
	uint8_t prom[PROM_BYTES], ram[RAM_BYTES];
	uint8_t rx_frame[2048];
};

/* ---- interrupts ---- */

static bool ne2000_level(const struct ne2000 *d)
{
	return d->isr & d->imr & 0x7f;
}

static void ne2000_update_irq(struct ne2000 *d)
{
	bool level = ne2000_level(d);

	if (d->pci.bus)
		pci_set_intx(&d->pci, level);
	else
		bus_irq_set(&d->dev.host.gsi[d->dev.host.isa_irq], level);
}

static void ne2000_cause(struct ne2000 *d, uint8_t causes)
{
	d->isr |= causes;
	ne2000_update_irq(d);
}

/* ---- the card's memory ---- */

static uint8_t ne2000_mem_read(const struct ne2000 *d, uint16_t at)
{
	if (at < PROM_BYTES)
		return d->prom[at];
	return at - RAM_START < RAM_BYTES && at >= RAM_START
		       ? d->ram[at - RAM_START]
		       : 0xff;
}

static void ne2000_mem_write(struct ne2000 *d, uint16_t at, uint8_t val)
{
	if (at >= RAM_START && at - RAM_START < RAM_BYTES)
		d->ram[at - RAM_START] = val;
}

/* "Remote DMA": the address wraps with the receive ring. */
static void ne2000_remote_step(struct ne2000 *d)
{
	d->rsar++;
	if (d->rsar == d->pstop << 8)
		d->rsar = d->pstart << 8;
	if (d->rbcr && --d->rbcr == 0)
		ne2000_cause(d, ISR_RDC);
}

/* Bytes that one access of the data port moves: DCR says whether bytes or
 * words, however wide the access is. */
static unsigned ne2000_moved(const struct ne2000 *d, unsigned size)
{
	if (!(d->dcr & DCR_WTS))
		return 1;
	return size < 2 ? 2 : size;
}

static uint32_t ne2000_data_read(struct ne2000 *d, unsigned size)
{
	uint32_t val = 0;

	for (unsigned i = 0; i < ne2000_moved(d, size); i++) {
		val |= (uint32_t)ne2000_mem_read(d, d->rsar) << (8 * i);
		if (d->rbcr)
			ne2000_remote_step(d);
	}
	return val;
}

static void ne2000_data_write(struct ne2000 *d, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < ne2000_moved(d, size) && d->rbcr; i++) {
		ne2000_mem_write(d, d->rsar, val >> (8 * i));
		ne2000_remote_step(d);
	}
}

/* ---- sending ---- */

static void ne2000_transmit(struct ne2000 *d)
{
	uint16_t at = d->tpsr << 8;
	uint8_t frame[2048];
	unsigned len = d->tbcr;

	if (len > sizeof(frame))
		len = sizeof(frame);
	for (unsigned i = 0; i < len; i++)
		frame[i] = ne2000_mem_read(d, at + i);
	d->tsr = 1; /* sent */
	d->cr &= ~CR_TXP;
	ne2000_cause(d, ISR_PTX);
	/* What loops comes back to the FIFO only. */
	if (!(d->tcr & TCR_LB) && len >= ETH_HEADER)
		card_send(&d->card, frame, len);
}

/* ---- receiving ---- */

/* 5.1.2.1, CR: STP alone stops it, and STA controls nothing.  Drivers choose
 * pages with commands that have neither. */
static bool ne2000_runs(const struct ne2000 *d)
{
	return !(d->cr & CR_STP);
}

static bool ne2000_wanted(const struct ne2000 *d, const uint8_t *frame)
{
	unsigned hash;

	if (card_is_broadcast(frame))
		return d->rcr & RCR_AB;
	if (card_is_multicast(frame)) {
		hash = card_hash_big(frame) >> 26;
		return (d->rcr & RCR_AM) &&
		       (d->mar[hash / 8] >> (hash & 7) & 1);
	}
	return (d->rcr & RCR_PRO) || !memcmp(frame, d->par, ETH_ADDR);
}

/* Pages that can be written before the one that the driver reads next. */
static unsigned ne2000_free(const struct ne2000 *d)
{
	unsigned pages = d->pstop - d->pstart;
	unsigned used = d->curr - d->bnry;

	if (d->curr < d->bnry)
		return d->bnry - d->curr;
	return used < pages ? pages - used : 0;
}

static bool ne2000_ring_ok(const struct ne2000 *d)
{
	return d->pstart < d->pstop && d->curr >= d->pstart &&
	       d->curr < d->pstop;
}

/* A header of four bytes, the frame, its check sequence, in whole pages. */
static void ne2000_store(struct ne2000 *d, const uint8_t *frame, size_t len)
{
	unsigned total = len + 4, pages = (total + 4 + PAGE - 1) / PAGE;
	unsigned next = d->curr + pages;
	uint16_t at = d->curr << 8;

	if (next >= d->pstop)
		next -= d->pstop - d->pstart;
	d->rsr = RSR_PRX | (card_is_multicast(frame) ? RSR_PHY : 0);
	ne2000_mem_write(d, at++, d->rsr);
	ne2000_mem_write(d, at++, next);
	ne2000_mem_write(d, at++, total);
	ne2000_mem_write(d, at++, total >> 8);
	for (size_t i = 0; i < len + ETH_FCS; i++) {
		ne2000_mem_write(d, at++, d->rx_frame[i]);
		if (at == d->pstop << 8)
			at = d->pstart << 8;
	}
	d->curr = next;
	ne2000_cause(d, ISR_PRX);
}

static bool ne2000_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct ne2000 *d = opaque;

	if (!ne2000_runs(d) || (d->rcr & RCR_MON) || (d->tcr & TCR_LB) ||
		len < ETH_HEADER || len > ETH_MAX + 4 ||
		!ne2000_wanted(d, frame) || !ne2000_ring_ok(d))
		return true;
	memcpy(d->rx_frame, frame, len);
	if (len < ETH_MIN) {
		memset(d->rx_frame + len, 0, ETH_MIN - len);
		len = ETH_MIN;
	}
	card_put_fcs(d->rx_frame + len, d->rx_frame, len);
	/* The page that the driver reads next is never reached. */
	if ((len + 8 + PAGE - 1) / PAGE >= ne2000_free(d)) {
		/* It waits in the cable, not lost; but drivers that have
		 * acknowledged all and left some in the ring count on being
		 * called again. */
		ne2000_cause(d, ISR_PRX);
		return false;
	}
	d->card.rx_frames++;
	ne2000_store(d, frame, len);
	return true;
}

/* ---- registers ---- */

static void ne2000_soft_reset(struct ne2000 *d)
{
	d->cr = CR_STP | 0x20;
	d->isr = ISR_RST;
	d->imr = 0;
	d->dcr &= ~0x80;
	d->tcr &= ~TCR_LB;
	ne2000_update_irq(d);
}

/* "Send packet": a remote read of the next one received. */
static void ne2000_send_packet(struct ne2000 *d)
{
	d->rsar = d->bnry << 8;
	d->rbcr = ne2000_mem_read(d, d->rsar + 2) |
		  ne2000_mem_read(d, d->rsar + 3) << 8;
}

static void ne2000_cr_write(struct ne2000 *d, uint8_t val)
{
	uint8_t rd = val & CR_RD;

	d->cr = val;
	if (val & CR_STP) {
		ne2000_cause(d, ISR_RST);
		return;
	}
	d->isr &= ~ISR_RST;
	if (rd == CR_SEND)
		ne2000_send_packet(d);
	if (rd && rd < 0x20 && !d->rbcr)
		ne2000_cause(d, ISR_RDC);
	if (val & CR_TXP)
		ne2000_transmit(d);
	card_ready(&d->card);
}

/*
 * Frames come faster here than by any cable of the card's days, and drivers
 * leave some in the ring for the next one's interrupt to remind them.  When
 * the sender waits for answers to just these there is no next one: so PRX
 * stays while the page that is read next is not the one that is written next.
 */
static void ne2000_isr_write(struct ne2000 *d, uint8_t val)
{
	d->isr &= ~(val & 0x7f);
	ne2000_update_irq(d);
	card_ready(&d->card);
	if ((val & ISR_PRX) && ne2000_runs(d) && ne2000_ring_ok(d) &&
		ne2000_free(d) + 1 < (unsigned)(d->pstop - d->pstart))
		ne2000_cause(d, ISR_PRX);
}

/* Page 0 as it is written. */
static void ne2000_page0_write(struct ne2000 *d, unsigned reg, uint8_t val)
{
	switch (reg) {
	case 0x1: d->pstart = val; break;
	case 0x2: d->pstop = val; break;
	case 0x3:
		d->bnry = val;
		card_ready(&d->card);
		break;
	case 0x4: d->tpsr = val; break;
	case 0x5: d->tbcr = (d->tbcr & 0xff00) | val; break;
	case 0x6: d->tbcr = (d->tbcr & 0xff) | val << 8; break;
	case 0x7: ne2000_isr_write(d, val); break;
	case 0x8: d->rsar = (d->rsar & 0xff00) | val; break;
	case 0x9: d->rsar = (d->rsar & 0xff) | val << 8; break;
	case 0xa: d->rbcr = (d->rbcr & 0xff00) | val; break;
	case 0xb: d->rbcr = (d->rbcr & 0xff) | val << 8; break;
	case 0xc: d->rcr = val & 0x3f; break;
	case 0xd: d->tcr = val & 0x1f; break;
	case 0xe: d->dcr = val & 0x7f; break;
	case 0xf:
		d->imr = val & 0x7f;
		ne2000_update_irq(d);
		break;
	}
}

static uint8_t ne2000_page0_read(const struct ne2000 *d, unsigned reg)
{
	switch (reg) {
	case 0x1: return 0; /* local DMA stands */
	case 0x2: return d->curr;
	case 0x3: return d->bnry;
	case 0x4: return d->tsr;
	case 0x7: return d->isr;
	case 0x8: return d->rsar;
	case 0x9: return d->rsar >> 8;
	case 0xa: return d->pci.bus ? 'P' : 0xff; /* 8029ID0, 8029ID1 */
	case 0xb: return d->pci.bus ? 'C' : 0xff;
	case 0xc: return d->rsr;
	}
	return 0; /* no collisions; the counters of errors stay 0 */
}

static uint8_t ne2000_page2_read(const struct ne2000 *d, unsigned reg)
{
	switch (reg) {
	case 0x1: return d->pstart;
	case 0x2: return d->pstop;
	case 0x4: return d->tpsr;
	case 0x6: return d->curr;
	case 0xc: return d->rcr | 0xc0;
	case 0xd: return d->tcr | 0xe0;
	case 0xe: return d->dcr | 0x80;
	case 0xf: return d->imr | 0x80;
	}
	return 0;
}

/* RTL8029AS: 9346CR, then CONFIG0, CONFIG2 and CONFIG3. */
static uint8_t *ne2000_page3(struct ne2000 *d, unsigned reg)
{
	switch (d->pci.bus ? reg : 0) {
	case 0x1: return &d->config[0];
	case 0x3: return &d->config[1];
	case 0x5: return &d->config[2];
	case 0x6: return &d->config[3];
	}
	return NULL;
}

static void ne2000_page3_write(struct ne2000 *d, unsigned reg, uint8_t val)
{
	uint8_t *r = ne2000_page3(d, reg);
	bool unlocked = (d->config[0] & 0xc0) == 0xc0;

	if (r == &d->config[0])
		*r = val & 0xce;
	else if (r && unlocked && reg != 3)
		*r = reg == 6 ? (*r & ~0x46) | (val & 0x46) : val;
}

static uint8_t ne2000_reg_read(struct ne2000 *d, unsigned reg)
{
	uint8_t *r;

	if (!reg)
		return d->cr;
	switch (CR_PAGE(d->cr)) {
	case 0: return ne2000_page0_read(d, reg);
	case 1:
		return reg < 7	  ? d->par[reg - 1]
		       : reg == 7 ? d->curr
				  : d->mar[reg - 8];
	case 2: return ne2000_page2_read(d, reg);
	default: r = ne2000_page3(d, reg); return r ? *r : 0;
	}
}

static void ne2000_reg_write(struct ne2000 *d, unsigned reg, uint8_t val)
{
	if (!reg) {
		ne2000_cr_write(d, val);
		return;
	}
	switch (CR_PAGE(d->cr)) {
	case 0: ne2000_page0_write(d, reg, val); break;
	case 1:
		if (reg < 7)
			d->par[reg - 1] = val;
		else if (reg == 7)
			d->curr = val;
		else
			d->mar[reg - 8] = val;
		break;
	case 3: ne2000_page3_write(d, reg, val); break;
	}
}

static uint32_t ne2000_read(void *opaque, uint16_t port, unsigned size)
{
	struct ne2000 *d = opaque;
	unsigned off = port & (PORTS - 1);
	uint32_t val = 0;

	if (off >= RESET_PORT) {
		ne2000_soft_reset(d);
		return 0;
	}
	if (off >= DATA_PORT)
		return ne2000_data_read(d, size);
	for (unsigned i = 0; i < size && off + i < DATA_PORT; i++)
		val |= (uint32_t)ne2000_reg_read(d, off + i) << (8 * i);
	return val;
}

static void ne2000_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct ne2000 *d = opaque;
	unsigned off = port & (PORTS - 1);

	if (off >= RESET_PORT)
		return; /* the reset ends */
	if (off >= DATA_PORT) {
		ne2000_data_write(d, size, val);
		return;
	}
	for (unsigned i = 0; i < size && off + i < DATA_PORT; i++)
		ne2000_reg_write(d, off + i, val >> (8 * i));
}

static const struct bus_io_ops ne2000_io_ops = {
	.read = ne2000_read,
	.write = ne2000_write,
	.sizes = 1 | 2 | 4,
};

/* ---- device ---- */

static void ne2000_prom_init(struct ne2000 *d)
{
	for (unsigned i = 0; i < PROM_BYTES; i++)
		d->prom[i] = i / 2 < ETH_ADDR ? d->card.mac[i / 2]
			     : i / 2 >= 14    ? 0x57 /* 16 bits wide */
					      : 0;
}

static int ne2000_pci_init(struct dev *dev, char *err, unsigned errsize)
{
	struct ne2000 *d = (struct ne2000 *)dev;

	pci_func_init(&d->pci, dev,
		&(struct pci_ident){.vendor = 0x10ec,
			.device = 0x8029,
			.class_code = 0x020000,
			.sub_vendor = 0x10ec,
			.sub_id = 0x8029});
	d->pci.irq_pin = 1;
	d->pci.bar[0] = (struct pci_bar){.size = PORTS,
		.io = true,
		.ports = &ne2000_io_ops,
		.opaque = d};
	card_init(&d->card, dev, ne2000_receive);
	ne2000_prom_init(d);
	return pci_func_plug(&d->pci, dev->host.pci,
		dev->host.pci_slot < 0 ? -1 : dev->host.pci_slot << 3);
}

static int ne2000_isa_init(struct dev *dev, char *err, unsigned errsize)
{
	struct ne2000 *d = (struct ne2000 *)dev;
	const struct dev_host *h = &dev->host;

	if (h->isa_port % PORTS || !h->isa_port || h->isa_irq > 15) {
		snprintf(err, errsize, "%s: no such ports or interrupt",
			dev->id);
		return -EINVAL;
	}
	bus_io_claim(h->bus, h->isa_port, PORTS, &ne2000_io_ops, d);
	card_init(&d->card, dev, ne2000_receive);
	ne2000_prom_init(d);
	return 0;
}

static void ne2000_reset(struct dev *dev)
{
	struct ne2000 *d = (struct ne2000 *)dev;

	if (d->pci.bus)
		pci_func_reset(&d->pci);
	d->pstart = d->pstop = d->bnry = d->tpsr = d->tsr = d->rcr = d->tcr = 0;
	d->dcr = d->rsr = d->curr = 0;
	d->tbcr = d->rsar = d->rbcr = 0;
	memset(d->par, 0, sizeof(d->par));
	memset(d->mar, 0, sizeof(d->mar));
	memset(d->config, 0, sizeof(d->config));
	memset(d->ram, 0, sizeof(d->ram));
	ne2000_soft_reset(d);
}

static void ne2000_fini(struct dev *dev)
{
	struct ne2000 *d = (struct ne2000 *)dev;

	card_fini(&d->card);
	if (d->pci.bus)
		pci_func_unplug(&d->pci);
	else
		bus_io_release(dev->host.bus, dev->host.isa_port, PORTS, d);
}

static void ne2000_describe(struct dev *dev, char *buf, unsigned size)
{
	card_describe(&((struct ne2000 *)dev)->card, buf, size);
}

/* ---- state ---- */

static bool ne2000_on_pci(const void *obj)
{
	return ((const struct ne2000 *)obj)->pci.bus;
}

static int ne2000_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	const struct ne2000 *d = obj;

	if (!d->pci.bus)
		irq_lines_note(
			&d->dev.host.gsi[d->dev.host.isa_irq], ne2000_level(d));
	return 0;
}

static const struct state_field ne2000_fields[] = {
	STATE_STRUCT(
		struct ne2000, pci, &pci_func_state, .when = ne2000_on_pci),
	STATE(struct ne2000, cr),
	STATE(struct ne2000, pstart),
	STATE(struct ne2000, pstop),
	STATE(struct ne2000, bnry),
	STATE(struct ne2000, tpsr),
	STATE(struct ne2000, tsr),
	STATE(struct ne2000, isr),
	STATE(struct ne2000, rcr),
	STATE(struct ne2000, tcr),
	STATE(struct ne2000, dcr),
	STATE(struct ne2000, imr),
	STATE(struct ne2000, rsr),
	STATE(struct ne2000, curr),
	STATE(struct ne2000, tbcr),
	STATE(struct ne2000, rsar),
	STATE(struct ne2000, rbcr),
	STATE_BYTES(struct ne2000, par),
	STATE_BYTES(struct ne2000, mar),
	STATE_BYTES(struct ne2000, config),
	STATE_BYTES(struct ne2000, ram),
};

static const struct state_list ne2000_state = STATE_LIST(
	"ne2000", struct ne2000, 1, ne2000_fields, .loaded = ne2000_loaded);

#define NE2000_CLASS(name_, init_)                                             \
	{                                                                      \
		.name = name_, .size = sizeof(struct ne2000), .init = init_,   \
		.reset = ne2000_reset, .fini = ne2000_fini,                    \
		.describe = ne2000_describe, .state = &ne2000_state,           \
	}

const struct dev_class ne2000_class = NE2000_CLASS("ne2000", ne2000_pci_init);
const struct dev_class ne2000_isa_class =
	NE2000_CLASS("ne2000-isa", ne2000_isa_init);
