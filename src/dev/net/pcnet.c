/*
 * pcnet.c - AMD Am79C970A, PCnet-PCI II (1022:2000): the PCI function, control
 * and status registers (CSR), bus configuration registers (BCR), interrupts.
 *
 * AMD data sheet 19436.  The 32 ports are words until the driver writes a
 * double word to RDP (WIO), and double words from then on (DWIO); H_RESET
 * brings words back.
 */
#include "dev/net/pcnet.h"

#include <string.h>

#include <glib.h>

#include "dev/net/pcnet_priv.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define IO_BYTES   32
#define BCR18_DWIO 0x0080

/* CSR4: events, each with its mask in the bit below */
#define CSR4_EVENTS 0x022a

/* BCR19 */
#define EEPROM_PVALID 0x8000
#define EEPROM_PREAD  0x4000
#define EEPROM_PDET   0x2000
#define EEPROM_EEN    0x0010
#define EEPROM_ECS    0x0004
#define EEPROM_ESK    0x0002
#define EEPROM_EDI    0x0001

bool pcnet_may_dma(const struct pcnet *d)
{
	return d->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* ---- interrupts ---- */

static void pcnet_update_irq(struct pcnet *d)
{
	uint16_t c0 = d->csr[0], c4 = d->csr[4], c5 = d->csr[5];
	bool event = c0 & ~d->csr[3] & 0x5f00;

	event |= c4 & ~(c4 << 1) & CSR4_EVENTS;
	event |= (c4 & 0x40) || ((c5 & 0x800) && (c5 & 0x400)); /* UINT, SINT */
	c0 &= ~(CSR0_INTR | CSR0_ERR);
	c0 |= (event ? CSR0_INTR : 0) | (c0 & CSR0_ERRS ? CSR0_ERR : 0);
	d->csr[0] = c0;
	pci_set_intx(&d->pci, event && (c0 & CSR0_IENA));
}

void pcnet_cause(struct pcnet *d, uint16_t causes)
{
	d->csr[0] |= causes;
	pcnet_update_irq(d);
}

/* ---- control and status registers ---- */

/* What a driver may write to each now; much only while the controller stands.
 */
static uint16_t pcnet_csr_bits(const struct pcnet *d, unsigned n)
{
	bool stop = d->csr[0] & CSR0_STOP;

	switch (n) {
	case 3: return 0x5f7c;
	case 58:
	case 112:
	case 114: return 0xffff;
	case 15: /* with SPND too: to change the mode of a running one */
	case 8 ... 11:
	case 12 ... 14: return stop || (d->csr[5] & CSR5_SPND) ? 0xffff : 0;
	case 1 ... 2:
	case 16 ... 25:
	case 30 ... 31:
	case 46 ... 47:
	case 76:
	case 78:
	case 80:
	case 82:
	case 100: return stop ? 0xffff : 0;
	}
	return 0;
}

static void pcnet_stop(struct pcnet *d)
{
	bus_timer_cancel(&d->timer);
	d->csr[0] = CSR0_STOP;
	/* CSR4: events and their user interrupt; CSR5: interrupts, suspend */
	d->csr[4] &= ~(CSR4_EVENTS | 0xc0);
	d->csr[5] &= ~0x0a91;
	d->tx_len = 0;
	d->hopeless = false;
	pcnet_update_irq(d);
}

/* "Reset register": BCRs stay, and of the CSRs those whose text says so, as
 * the address of the initialisation block. */
static void pcnet_soft_reset(struct pcnet *d)
{
	static const uint8_t cleared[] = {
		3, 5, 6, 8, 9, 10, 11, 46, 47, 94, 112, 114};

	pcnet_stop(d);
	for (unsigned i = 0; i < sizeof(cleared); i++)
		d->csr[cleared[i]] = 0;
	d->csr[4] = 0x0115;
	d->csr[15] &= 0x21c4;
	for (unsigned i = 0; i < 3; i++)
		d->csr[12 + i] = d->aprom[2 * i] | d->aprom[2 * i + 1] << 8;
	d->csr[76] = d->csr[78] = 0xffff;
	d->csr[80] = 0x1410;
	d->csr[88] = 0x1003; /* who it is */
	d->csr[89] = 0x0262;
	d->csr[100] = 0x0200;
	d->rap = 0;
	d->rx_at = d->tx_at = 0;
	pcnet_update_irq(d);
}

static void pcnet_start(struct pcnet *d)
{
	d->csr[0] &= ~CSR0_STOP;
	d->csr[0] |= CSR0_STRT;
	if (!(d->csr[15] & MODE_DTX))
		d->csr[0] |= CSR0_TXON;
	if (!(d->csr[15] & MODE_DRX))
		d->csr[0] |= CSR0_RXON;
}

static void pcnet_csr0_write(struct pcnet *d, uint16_t val)
{
	d->csr[0] &= ~(val & 0x7f00); /* events are cleared by ones */
	if (val & CSR0_STOP) {
		pcnet_stop(d);
		return;
	}
	d->csr[0] = (d->csr[0] & ~CSR0_IENA) | (val & CSR0_IENA);
	if ((val & CSR0_INIT) && !(d->csr[0] & CSR0_INIT)) {
		d->csr[0] &= ~CSR0_STOP;
		d->csr[0] |= CSR0_INIT;
		pcnet_initialise(d);
	}
	if (val & CSR0_STRT)
		pcnet_start(d);
	pcnet_update_irq(d);
	/* What follows may call back. */
	if (val & (CSR0_TDMD | CSR0_STRT))
		pcnet_transmit(d);
	if (d->csr[0] & CSR0_RXON)
		card_ready(&d->card);
}

static void pcnet_csr4_write(struct pcnet *d, uint16_t val)
{
	uint16_t events = CSR4_EVENTS | 0x40;

	d->csr[4] = (d->csr[4] & events & ~val) | (val & ~(events | 0x80));
	if (val & 0x80) /* UINTCMD */
		d->csr[4] |= 0x40;
	pcnet_update_irq(d);
}

static void pcnet_csr5_write(struct pcnet *d, uint16_t val)
{
	const uint16_t events = 0x0a90;

	d->csr[5] = (d->csr[5] & events & ~val) | (val & ~events & 0xc56f);
	pcnet_update_irq(d);
	if (!(val & CSR5_SPND))
		pcnet_poll(d);
}

static void pcnet_bcr_write(struct pcnet *d, unsigned n, uint16_t val);

static void pcnet_csr_write(struct pcnet *d, unsigned n, uint16_t val)
{
	uint16_t bits;

	switch (n) {
	case 0: pcnet_csr0_write(d, val); return;
	case 4: pcnet_csr4_write(d, val); return;
	case 5: pcnet_csr5_write(d, val); return;
	case 58: pcnet_bcr_write(d, 20, val); return;
	case 16:
	case 17: n -= 15; break; /* the initialisation block's address */
	}
	if (n >= PCNET_CSRS)
		return;
	bits = pcnet_csr_bits(d, n);
	d->csr[n] = (d->csr[n] & ~bits) | (val & bits);
	if (n == 3)
		pcnet_update_irq(d);
	if (n == 24 || n == 25)
		d->rx_at = 0;
	if (n == 30 || n == 31)
		d->tx_at = 0;
}

static uint16_t pcnet_csr_read(const struct pcnet *d, unsigned n)
{
	switch (n) {
	case 16:
	case 17: return d->csr[n - 15];
	case 58: return d->bcr[20];
	case 72: return d->csr[76] + d->rx_at;
	case 74: return d->csr[78] + d->tx_at;
	}
	return n < PCNET_CSRS ? d->csr[n] : 0;
}

/* ---- bus configuration registers ---- */

static const struct {
	uint16_t val, bits;
} pcnet_bcrs[PCNET_BCRS] = {
	[0] = {0x0005, 0},
	[1] = {0x0005, 0},
	[2] = {0x0002, 0x4b5f},
	[4] = {0x00c0, 0x7fff}, /* LEDs; 4 says whether there is a link */
	[5] = {0x0084, 0x7fff},
	[6] = {0x0088, 0x7fff},
	[7] = {0x0090, 0x7fff},
	[9] = {0x0000, 0x0007},
	[16] = {0x0000, 0xffe0},
	[17] = {0x0000, 0xffff},
	[18] = {0x9001, 0xff67},
	[19] = {0x0002, EEPROM_EEN | EEPROM_ECS | EEPROM_ESK | EEPROM_EDI},
	[20] = {0x0200, 0x04ff},
	[21] = {0x0000, 0},
	[22] = {0xff06, 0xffff},
};

static void pcnet_load_eeprom(struct pcnet *d)
{
	for (unsigned i = 0; i < sizeof(d->aprom); i++)
		d->aprom[i] = d->eeprom.word[i / 2] >> (i & 1) * 8;
}

static void pcnet_eeprom_write(struct pcnet *d, uint16_t val)
{
	if (val & EEPROM_PREAD)
		pcnet_load_eeprom(d);
	if (val & EEPROM_EEN)
		eeprom93_set(&d->eeprom, val & EEPROM_ECS, val & EEPROM_ESK,
			val & EEPROM_EDI);
}

/* Software style: 0 has 16-bit structures, 1 to 3 have 32-bit ones. */
static void pcnet_style_write(struct pcnet *d, uint16_t val)
{
	unsigned style = val & 0xff;

	if (!(d->csr[0] & CSR0_STOP) || style > 3)
		return;
	d->bcr[20] = (val & 0x0400) | style;
	d->bcr[20] |= style ? 0x0100 : 0;
	d->bcr[20] |= style == 1 ? 0 : 0x0200;
}

static void pcnet_bcr_write(struct pcnet *d, unsigned n, uint16_t val)
{
	uint16_t bits = n < PCNET_BCRS ? pcnet_bcrs[n].bits : 0;

	if (!bits)
		return;
	if (n == 20) {
		pcnet_style_write(d, val);
		return;
	}
	d->bcr[n] = (d->bcr[n] & ~bits) | (val & bits);
	if (n == 19)
		pcnet_eeprom_write(d, val);
}

static uint16_t pcnet_bcr_read(const struct pcnet *d, unsigned n)
{
	uint16_t val = n < PCNET_BCRS ? d->bcr[n] : 0;

	if (n >= 4 && n <= 7 && (val & 0x40)) /* LNKSTE: the link is there */
		val |= 0x8000;
	if (n == 19) {
		val |= EEPROM_PVALID | EEPROM_PDET;
		val &= ~EEPROM_EDI;
		val |= eeprom93_out(&d->eeprom) ? EEPROM_EDI : 0;
	}
	return val;
}

/* ---- ports ---- */

enum { PORT_RDP, PORT_RAP, PORT_RESET, PORT_BDP, PORT_NONE };

static unsigned pcnet_port(const struct pcnet *d, unsigned off)
{
	unsigned width = d->bcr[18] & BCR18_DWIO ? 4 : 2;

	return (off - 0x10) / width < PORT_NONE ? (off - 0x10) / width
						: PORT_NONE;
}

static uint32_t pcnet_aprom(const struct pcnet *d, unsigned off, unsigned size)
{
	uint32_t val = 0;

	for (unsigned i = 0; i < size && off + i < sizeof(d->aprom); i++)
		val |= (uint32_t)d->aprom[off + i] << (8 * i);
	return val;
}

static uint32_t pcnet_read(void *opaque, uint16_t off, unsigned size)
{
	struct pcnet *d = opaque;

	if (off < 0x10)
		return pcnet_aprom(d, off, size);
	switch (pcnet_port(d, off)) {
	case PORT_RDP: return pcnet_csr_read(d, d->rap);
	case PORT_RAP: return d->rap;
	case PORT_RESET: pcnet_soft_reset(d); return 0;
	case PORT_BDP: return pcnet_bcr_read(d, d->rap);
	}
	return 0;
}

static void pcnet_write(void *opaque, uint16_t off, unsigned size, uint32_t val)
{
	struct pcnet *d = opaque;

	/* BCR2.APROMWE: the address can be written. */
	if (off < 0x10) {
		for (unsigned i = 0; i < size && (d->bcr[2] & 0x0100); i++)
			if (off + i < sizeof(d->aprom))
				d->aprom[off + i] = val >> (8 * i);
		return;
	}
	if (off == 0x10 && size == 4)
		d->bcr[18] |= BCR18_DWIO;
	if (size == 1)
		return;
	switch (pcnet_port(d, off)) {
	case PORT_RDP: pcnet_csr_write(d, d->rap, val); break;
	case PORT_RAP: d->rap = val & 0x7f; break;
	case PORT_BDP: pcnet_bcr_write(d, d->rap, val); break;
	}
}

static const struct bus_io_ops pcnet_io_ops = {
	.read = pcnet_read,
	.write = pcnet_write,
	.sizes = 1 | 2 | 4,
};

static uint64_t pcnet_mmio_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	return pcnet_read(opaque, off, size);
}

static void pcnet_mmio_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	pcnet_write(opaque, off, size, val);
}

static const struct bus_mmio_ops pcnet_mmio_ops = {
	.read = pcnet_mmio_read,
	.write = pcnet_mmio_write,
};

/* ---- device ---- */

/* The address, what kind of card it is, a sum of all this, "WW". */
static void pcnet_eeprom_init(struct pcnet *d)
{
	uint8_t p[16] = {[9] = 0x11, [14] = 0x57, [15] = 0x57};
	uint16_t sum = 0;

	memcpy(p, d->card.mac, ETH_ADDR);
	for (unsigned i = 0; i < sizeof(p); i++)
		sum += p[i];
	p[12] = sum;
	p[13] = sum >> 8;
	for (unsigned i = 0; i < sizeof(p) / 2; i++)
		d->eeprom.word[i] = p[2 * i] | p[2 * i + 1] << 8;
}

static int pcnet_init(struct dev *dev, char *err, unsigned errsize)
{
	struct pcnet *d = (struct pcnet *)dev;

	bus_timer_init(&d->timer, dev->host.bus, pcnet_poll, d);
	pci_func_init(&d->pci, dev,
		&(struct pci_ident){.vendor = 0x1022,
			.device = 0x2000,
			.class_code = 0x020000,
			.revision = 0x16});
	d->pci.irq_pin = 1;
	d->pci.config[0x3e] = 0x06; /* minimum grant, maximum latency */
	d->pci.config[0x3f] = 0xff;
	d->pci.bar[0] = (struct pci_bar){.size = IO_BYTES,
		.io = true,
		.ports = &pcnet_io_ops,
		.opaque = d};
	d->pci.bar[1] = (struct pci_bar){
		.size = IO_BYTES, .mmio = &pcnet_mmio_ops, .opaque = d};
	card_init(&d->card, dev, pcnet_receive);
	pcnet_eeprom_init(d);
	return pci_func_plug(&d->pci, dev->host.pci,
		dev->host.pci_slot < 0 ? -1 : dev->host.pci_slot << 3);
}

/* H_RESET */
static void pcnet_reset(struct dev *dev)
{
	struct pcnet *d = (struct pcnet *)dev;

	pci_func_reset(&d->pci);
	eeprom93_reset(&d->eeprom);
	pcnet_load_eeprom(d);
	memset(d->csr, 0, sizeof(d->csr));
	for (unsigned i = 0; i < PCNET_BCRS; i++)
		d->bcr[i] = pcnet_bcrs[i].val;
	pcnet_soft_reset(d);
}

static void pcnet_fini(struct dev *dev)
{
	struct pcnet *d = (struct pcnet *)dev;

	card_fini(&d->card);
	bus_timer_cancel(&d->timer);
	pci_func_unplug(&d->pci);
}

static void pcnet_describe(struct dev *dev, char *buf, unsigned size)
{
	card_describe(&((struct pcnet *)dev)->card, buf, size);
}

static void pcnet_copied(struct dev *dev)
{
	struct pcnet *d = (struct pcnet *)dev;
	struct eeprom93 was = d->eeprom;

	pcnet_eeprom_init(d);
	eeprom93_go_on(&d->eeprom, &was);
	pcnet_load_eeprom(d);
}

static const struct state_field pcnet_fields[] = {
	STATE_STRUCT(struct pcnet, pci, &pci_func_state),
	STATE_STRUCT(struct pcnet, eeprom, &eeprom93_state),
	STATE_ARRAY(struct pcnet, csr),
	STATE_ARRAY(struct pcnet, bcr),
	STATE(struct pcnet, rap, .max = 0x7f),
	STATE_BYTES(struct pcnet, aprom),
	STATE(struct pcnet, rx_at),
	STATE(struct pcnet, tx_at),
	STATE(struct pcnet, hopeless),
	STATE(struct pcnet, tx_len, .max = NET_MAX_FRAME),
	STATE_TIMER(struct pcnet, timer),
	STATE_BYTES(struct pcnet, tx_frame),
};

static const struct state_list pcnet_state =
	STATE_LIST("pcnet", struct pcnet, 1, pcnet_fields);

const struct dev_class pcnet_class = {
	.name = "pcnet",
	.size = sizeof(struct pcnet),
	.init = pcnet_init,
	.reset = pcnet_reset,
	.fini = pcnet_fini,
	.copied = pcnet_copied,
	.describe = pcnet_describe,
	.state = &pcnet_state,
};
