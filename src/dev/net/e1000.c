/*
 * e1000.c - Intel 82540EM gigabit Ethernet controller (8086:100e): the PCI
 * function, registers and interrupts; and the 82574L (8086:10d3), of the same
 * family, whose own is in e1000e.c.
 *
 * Intel 317453 (SDM): 4 (PCI), 13.4 (registers), 14 (initialisation).  The
 * registers are memory BAR 0 and, through an address and a data port, I/O BAR
 * 2 (4.1.1.3).  What a register may hold is a table; what it does is a switch.
 *
 * Interrupts (13.4.17 and on): the line is up while a cause is both there and
 * wanted; between two rises lie at least ITR * 256 ns.
 */
#include "dev/net/e1000.h"

#include <string.h>

#include <glib.h>

#include "dev/net/e1000_priv.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define BAR_BYTES 0x20000
#define IO_BYTES  64

#define STATUS_GIO   (1u << 19) /* 82574L: may be a master */
#define CTRL_GIO_OFF (1u << 2)
#define STATUS_FIXED 0x381 /* full duplex, 1000 Mb/s */
#define CTRL_RESET   0x00140a40u
#define CTRL_BITS    0x58fc1be9u

/* Which bits of which registers are storage. */
static const struct {
	uint16_t first, last;
	uint32_t bits;
} e1000_storage[] = {
	{0x0018, 0x0018, 0x00ffffff}, /* CTRL_EXT */
	{0x0028, 0x0028, 0xffffffff}, /* FCAL */
	{0x002c, 0x002c, 0x0000ffff}, /* FCAH */
	{0x0030, 0x0030, 0x0000ffff}, /* FCT */
	{0x0038, 0x0038, 0x0000ffff}, /* VET */
	{0x00c4, 0x00c4, 0x0000ffff}, /* ITR */
	{0x0100, 0x0100, 0x06dfb3fe}, /* RCTL */
	{0x0170, 0x0170, 0x0000ffff}, /* FCTTV */
	{0x0178, 0x0178, 0xc000ffff}, /* TXCW */
	{0x0400, 0x0400, 0x03fffffa}, /* TCTL */
	{0x0410, 0x0410, 0x3fffffff}, /* TIPG */
	{0x0458, 0x0458, 0x0000ffff}, /* AIT */
	{0x0e00, 0x0e00, 0xcfcfcfcf}, /* LEDCTL */
	{0x2160, 0x2160, 0x8000fff8}, /* FCRTL */
	{0x2168, 0x2168, 0x0000fff8}, /* FCRTH */
	{0x2410, 0x2430, 0x00001fff}, /* receive FIFO diagnostics */
	{0x2800, 0x2800, 0xfffffff0}, /* RDBAL */
	{0x2804, 0x2804, 0xffffffff}, /* RDBAH */
	{0x2808, 0x2808, 0x000fff80}, /* RDLEN */
	{0x2810, 0x2810, 0x0000ffff}, /* RDH */
	{0x2818, 0x2818, 0x0000ffff}, /* RDT */
	{0x2820, 0x2820, 0x0000ffff}, /* RDTR */
	{0x2828, 0x2828, 0x013f3f3f}, /* RXDCTL */
	{0x282c, 0x282c, 0x0000ffff}, /* RADV */
	{0x2c00, 0x2c00, 0x00000fff}, /* RSRPD */
	{0x3000, 0x3000, 0x00000001}, /* TXDMAC */
	{0x3410, 0x3430, 0x00001fff}, /* transmit FIFO diagnostics */
	{0x3800, 0x3800, 0xfffffff0}, /* TDBAL */
	{0x3804, 0x3804, 0xffffffff}, /* TDBAH */
	{0x3808, 0x3808, 0x000fff80}, /* TDLEN */
	{0x3810, 0x3810, 0x0000ffff}, /* TDH */
	{0x3818, 0x3818, 0x0000ffff}, /* TDT */
	{0x3820, 0x3820, 0x0000ffff}, /* TIDV */
	{0x3828, 0x3828, 0xff3f3f3f}, /* TXDCTL */
	{0x382c, 0x382c, 0x0000ffff}, /* TADV */
	{0x3830, 0x3830, 0xffffffff}, /* TSPMT */
	{0x5000, 0x5000, 0x000007ff}, /* RXCSUM */
	{0x5200, 0x53fc, 0xffffffff}, /* MTA */
	{0x5400, 0x547c, 0xffffffff}, /* RAL, RAH */
	{0x5600, 0x57fc, 0xffffffff}, /* VFTA */
	{0x5800, 0x5800, 0x0000000f}, /* WUC */
	{0x5808, 0x5808, 0x000f80ff}, /* WUFC */
	{0x5820, 0x5820, 0xffffffff}, /* MANC */
	{0x5838, 0x5838, 0x0001000f}, /* IPAV */
	{0x5840, 0x585c, 0xffffffff}, /* IP4AT */
	{0x5880, 0x588c, 0xffffffff}, /* IP6AT */
	{0x5900, 0x5900, 0x0000ffff}, /* WUPL */
	/* SWSM and SW_FW_SYNC: not this controller's, but there are drivers
	 * that take the semaphores of later ones before they read its EEPROM.
	 */
	{0x5b50, 0x5b50, 0x00000002}, {0x5b5c, 0x5b5c, 0xffffffff},
	{0x5f00, 0x5f18, 0x000007ff}, /* FFLT */
};

static uint32_t e1000_storage_bits(const struct e1000 *d, unsigned off)
{
	uint32_t bits;

	if (d->express && e1000e_storage_bits(off, &bits))
		return bits;
	for (unsigned i = 0; i < G_N_ELEMENTS(e1000_storage); i++) {
		if (off < e1000_storage[i].first || off > e1000_storage[i].last)
			continue;
		/* RAH: valid, what it selects, 16 bits of address */
		return off >= E1000_RA && off < E1000_RA + 0x80 && (off & 4)
			       ? 0x8003ffff
			       : e1000_storage[i].bits;
	}
	return 0;
}

/* Where the registers of older controllers of the family are (13.2). */
static unsigned e1000_alias(const struct e1000 *d, unsigned off)
{
	static const struct {
		uint16_t first, last, at;
	} old[] = {
		{0x0040, 0x00bc, E1000_RA},
		{0x0108, 0x0108, E1000_RDTR},
		{0x0110, 0x0118, E1000_RDBAL},
		{0x0120, 0x0120, E1000_RDH},
		{0x0128, 0x0128, E1000_RDT},
		{0x0160, 0x0168, 0x2160},
		{0x0200, 0x03fc, E1000_MTA},
		{0x0420, 0x0428, E1000_TDBAL},
		{0x0430, 0x0430, E1000_TDH},
		{0x0438, 0x0438, E1000_TDT},
		{0x0440, 0x0440, E1000_TIDV},
		{0x0600, 0x07fc, E1000_VFTA},
	};

	if (d->express)
		return off;
	for (unsigned i = 0; off < 0x0800 && i < G_N_ELEMENTS(old); i++)
		if (off >= old[i].first && off <= old[i].last)
			return off - old[i].first + old[i].at;
	return off;
}

/* ---- interrupts ---- */

static void e1000_update_irq(struct e1000 *d)
{
	uint32_t wanted = e1000_get(d, E1000_ICR) & e1000_get(d, E1000_IMS);
	uint64_t now;

	if (d->pci.msix.enabled) {
		pci_set_intx(&d->pci, false);
		e1000e_update_msix(d);
		return;
	}
	if (!wanted || d->asserted) {
		if (!wanted)
			pci_set_intx(&d->pci, false);
		d->asserted = wanted;
		return;
	}
	now = bus_clock_ns(d->dev.host.bus);
	if (now < d->irq_next_ns) {
		bus_timer_arm(&d->irq_timer, d->irq_next_ns);
		return;
	}
	d->irq_next_ns = now + e1000_get(d, E1000_ITR) * 256ull;
	d->asserted = true;
	if (pci_msi_enabled(&d->pci))
		pci_msi_notify(&d->pci);
	else
		pci_set_intx(&d->pci, true);
}

static uint32_t e1000_all_causes(const struct e1000 *d)
{
	return d->express ? ICR_ALL_E : ICR_ALL;
}

static void e1000_irq_timer(void *opaque)
{
	e1000_update_irq(opaque);
}

void e1000_cause(struct e1000 *d, uint32_t causes)
{
	if (d->express)
		causes = e1000e_causes(causes);
	*e1000_reg(d, E1000_ICR) |= causes & e1000_all_causes(d);
	e1000_update_irq(d);
}

void e1000_delay(struct e1000 *d, struct bus_timer *t, uint64_t *limit_ns,
	unsigned delay, unsigned limit)
{
	uint64_t now = bus_clock_ns(d->dev.host.bus);
	uint64_t at = now + delay * 1024ull;

	if (limit && !*limit_ns)
		*limit_ns = now + limit * 1024ull;
	bus_timer_arm(t, *limit_ns && *limit_ns < at ? *limit_ns : at);
}

/* ---- statistics (13.7) ---- */

void e1000_count(struct e1000 *d, unsigned off)
{
	uint32_t *r = e1000_reg(d, off);

	*r += *r != UINT32_MAX;
}

void e1000_count_octets(struct e1000 *d, unsigned off, size_t len)
{
	uint32_t *lo = e1000_reg(d, off), *hi = e1000_reg(d, off + 4);
	uint64_t sum = (*lo | (uint64_t)*hi << 32) + len;

	*lo = sum;
	*hi = sum >> 32;
}

void e1000_count_size(struct e1000 *d, unsigned first, size_t len)
{
	static const unsigned top[] = {64, 127, 255, 511, 1023};
	unsigned n = 0;

	while (n < G_N_ELEMENTS(top) && len > top[n])
		n++;
	e1000_count(d, first + 4 * n);
}

/* ---- registers ---- */

bool e1000_may_dma(const struct e1000 *d)
{
	return d->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* 14.3: all but the PHY, the EEPROM's contents and PCI. */
static void e1000_mac_reset(struct e1000 *d)
{
	bus_timer_cancel(&d->irq_timer);
	bus_timer_cancel(&d->rx_timer);
	bus_timer_cancel(&d->more_timer);
	d->rx_limit_ns = d->irq_next_ns = 0;
	memset(d->reg, 0, sizeof(d->reg));
	*e1000_reg(d, E1000_CTRL) = CTRL_RESET;
	*e1000_reg(d, E1000_PBA) = 0x00100030;
	if (d->express)
		e1000e_mac_reset(d);
	*e1000_reg(d, E1000_TIPG) = 0x00602008;
	*e1000_reg(d, E1000_LEDCTL) = 0x07068302;
	memcpy(e1000_reg(d, E1000_RA), d->eeprom.word, ETH_ADDR);
	*e1000_reg(d, E1000_RA + 4) |= 1u << 31; /* valid */
	eeprom93_reset(&d->eeprom);
	e1000_tx_reset(d);
	e1000_update_irq(d);
}

static void e1000_ctrl_write(struct e1000 *d, uint32_t val)
{
	if (val & CTRL_PHY_RST)
		e1000_phy_reset(d);
	if (val & CTRL_RST) {
		e1000_mac_reset(d);
		return;
	}
	*e1000_reg(d, E1000_CTRL) =
		val & (d->express ? CTRL_BITS | CTRL_GIO_OFF : CTRL_BITS);
}

static uint32_t e1000_status(const struct e1000 *d)
{
	bool up = d->phy[1] & 4;

	bool gio = d->express && !(e1000_get(d, E1000_CTRL) & CTRL_GIO_OFF);

	return STATUS_FIXED | (up ? STATUS_LU : 0) | (gio ? STATUS_GIO : 0);
}

static uint32_t e1000_reg_read(struct e1000 *d, unsigned off)
{
	uint32_t val;

	off = e1000_alias(d, off);
	if (off >= E1000_REG_BYTES)
		return 0;
	val = e1000_get(d, off);
	switch (off) {
	case E1000_STATUS: return e1000_status(d);
	case E1000_EECD: return e1000_eecd_read(d);
	case E1000_ICS:
	case E1000_IMC: return 0; /* write only */
	case E1000_ICR:
		if (d->express)
			val = e1000e_icr_read(d);
		else
			*e1000_reg(d, E1000_ICR) = 0;
		e1000_update_irq(d);
		return val;
	case E1000E_SWSM: return d->express ? e1000e_swsm_read(d) : val;
	}
	if (off >= E1000_STAT_FIRST && off <= E1000_STAT_LAST)
		*e1000_reg(d, off) = 0;
	return val;
}

static void e1000_irq_write(struct e1000 *d, unsigned off, uint32_t val)
{
	switch (off) {
	case E1000_ICR:
		if (d->express)
			e1000e_icr_write(d, val);
		else
			*e1000_reg(d, E1000_ICR) &= ~val;
		break;
	case E1000_ICS:
		*e1000_reg(d, E1000_ICR) |= val & e1000_all_causes(d);
		break;
	case E1000_IMS:
		*e1000_reg(d, E1000_IMS) |= val & e1000_all_causes(d);
		break;
	case E1000_IMC: *e1000_reg(d, E1000_IMS) &= ~val; break;
	}
	e1000_update_irq(d);
}

static void e1000_reg_write(struct e1000 *d, unsigned off, uint32_t val)
{
	uint32_t bits;

	off = e1000_alias(d, off);
	switch (off) {
	case E1000_CTRL:
	case E1000_CTRL + 4: e1000_ctrl_write(d, val); return;
	case E1000_EECD: e1000_eecd_write(d, val); return;
	case E1000_EERD: e1000_eerd_write(d, val); return;
	case E1000_MDIC: e1000_mdic_write(d, val); return;
	case E1000_PBA:
		/* what receiving leaves of 64 KB, or 40, is for sending */
		val = MIN(val & 0x3f, d->express ? 40u : 64u);
		*e1000_reg(d, off) = val | ((d->express ? 40 : 64) - val) << 16;
		return;
	case E1000_ICR:
	case E1000_ICS:
	case E1000_IMS:
	case E1000_IMC: e1000_irq_write(d, off, val); return;
	}
	bits = e1000_storage_bits(d, off);
	if (!bits)
		return;
	*e1000_reg(d, off) = val & bits;
	switch (off) {
	case E1000_TCTL:
	case E1000_TDT:
	case E1000_TDT + E1000_QUEUE_STEP: e1000_tx(d); break;
	case E1000E_IVAR: e1000_update_irq(d); break;
	case E1000_RCTL:
	case E1000_RDT: e1000_rx_more(d); break;
	}
}

/* Registers are double words; parts of them can be read. */
static uint64_t e1000_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct e1000 *d = opaque;
	uint64_t val = e1000_reg_read(d, off & ~3u);

	if (size == 8)
		val |= (uint64_t)e1000_reg_read(d, (off & ~3u) + 4) << 32;
	return val >> (off & 3) * 8;
}

static void e1000_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct e1000 *d = opaque;

	if (off & 3 || size < 4)
		return; /* 13.1: to be written whole */
	e1000_reg_write(d, off, val);
	if (size == 8)
		e1000_reg_write(d, off + 4, val >> 32);
}

static const struct bus_mmio_ops e1000_ops = {
	.read = e1000_read,
	.write = e1000_write,
};

/* 13.3: IOADDR and IODATA */
static uint32_t e1000_io_read(void *opaque, uint16_t port, unsigned size)
{
	struct e1000 *d = opaque;

	if (port == 0)
		return d->ioaddr;
	return port == 4 && d->ioaddr < BAR_BYTES
		       ? e1000_reg_read(d, d->ioaddr & ~3u)
		       : 0;
}

static void e1000_io_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct e1000 *d = opaque;

	if (size != 4)
		return;
	if (port == 0)
		d->ioaddr = val;
	else if (port == 4 && d->ioaddr < BAR_BYTES)
		e1000_reg_write(d, d->ioaddr & ~3u, val);
}

static const struct bus_io_ops e1000_io_ops = {
	.read = e1000_io_read,
	.write = e1000_io_write,
	.sizes = 1 | 2 | 4,
};

/* ---- device ---- */

static void e1000_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct e1000 *d = (struct e1000 *)f->dev;

	if (off <= PCI_COMMAND && off + len > PCI_COMMAND && e1000_may_dma(d)) {
		e1000_tx(d);
		e1000_rx_more(d);
	}
}

/* 4.1.4: power management, PCI-X, MSI, where the controller has them. */
static void e1000_add_caps(struct pci_func *f)
{
	unsigned at;

	f->next_cap = 0xdc;
	at = pci_add_cap(f, 0x01, 8);
	pci_put16(f->config + at + 2, 0xc822); /* version 2, PME from D0, D3 */
	pci_put16(f->wmask + at + 4, 0x1f03);
	f->w1cmask[at + 5] = 0x80;
	at = pci_add_cap(f, 0x07, 8);
	pci_put16(f->wmask + at + 2, 0x007f);
	pci_put32(f->config + at + 4, 0x0040fff8); /* bus and slot unknown */
	f->next_cap = 0xf0;
	pci_add_msi(f);
}

/* 317694, 9.1.3: power management, MSI, MSI-X; Express comes with the bus. */
static void e1000e_add_caps(struct pci_func *f)
{
	unsigned at;

	f->next_cap = 0xc8;
	at = pci_add_cap(f, 0x01, 8);
	pci_put16(f->config + at + 2, 0xc822);
	pci_put16(f->wmask + at + 4, 0x1f03);
	f->w1cmask[at + 5] = 0x80;
	f->next_cap = 0xd0;
	pci_add_msi(f);
	f->next_cap = 0xa0;
	pci_add_msix(f, 3, E1000E_VECTORS);
	f->next_cap = 0x40; /* for pci_func_plug: the longer kind does not fit
			     * where the chip has it */
	f->express_able = true;
}

static int e1000_make(struct dev *dev, const struct pci_ident *id)
{
	struct e1000 *d = (struct e1000 *)dev;
	struct bus *b = dev->host.bus;

	bus_timer_init(&d->irq_timer, b, e1000_irq_timer, d);
	bus_timer_init(&d->rx_timer, b, e1000_rx_delayed, d);
	bus_timer_init(&d->tx_timer, b, e1000_tx_delayed, d);
	bus_timer_init(&d->more_timer, b, (void (*)(void *))e1000_tx, d);
	pci_func_init(&d->pci, dev, id);
	d->pci.irq_pin = 1;
	d->pci.config_written = e1000_config_written;
	d->pci.bar[0] = (struct pci_bar){
		.size = BAR_BYTES, .mmio = &e1000_ops, .opaque = d};
	d->pci.bar[2] = (struct pci_bar){.size = d->express ? 32 : IO_BYTES,
		.io = true,
		.ports = &e1000_io_ops,
		.opaque = d};
	if (d->express)
		e1000e_add_caps(&d->pci);
	else
		e1000_add_caps(&d->pci);
	card_init(&d->card, dev, e1000_receive);
	e1000_phy_init(d);
	e1000_eeprom_init(d);
	return pci_func_plug(&d->pci, dev->host.pci,
		dev->host.pci_slot < 0 ? -1 : dev->host.pci_slot << 3);
}

static int e1000_init(struct dev *dev, char *err, unsigned errsize)
{
	return e1000_make(dev, &(struct pci_ident){.vendor = 0x8086,
				       .device = 0x100e,
				       .class_code = 0x020000,
				       .revision = 2,
				       .sub_vendor = 0x8086,
				       .sub_id = 0x001e});
}

static int e1000e_init(struct dev *dev, char *err, unsigned errsize)
{
	((struct e1000 *)dev)->express = true;
	return e1000_make(dev, &(struct pci_ident){.vendor = 0x8086,
				       .device = 0x10d3,
				       .class_code = 0x020000,
				       .sub_vendor = 0x8086,
				       .sub_id = 0xa01f});
}

static void e1000_reset(struct dev *dev)
{
	struct e1000 *d = (struct e1000 *)dev;

	pci_func_reset(&d->pci);
	d->ioaddr = 0;
	e1000_phy_reset(d);
	e1000_mac_reset(d);
}

static void e1000_fini(struct dev *dev)
{
	struct e1000 *d = (struct e1000 *)dev;

	card_fini(&d->card);
	bus_timer_cancel(&d->irq_timer);
	bus_timer_cancel(&d->rx_timer);
	bus_timer_cancel(&d->tx_timer);
	bus_timer_cancel(&d->more_timer);
	bus_timer_cancel(&d->link_timer);
	pci_func_unplug(&d->pci);
}

static void e1000_describe(struct dev *dev, char *buf, unsigned size)
{
	card_describe(&((struct e1000 *)dev)->card, buf, size);
}

static void e1000_copied(struct dev *dev)
{
	struct e1000 *d = (struct e1000 *)dev;
	struct eeprom93 was = d->eeprom;

	e1000_eeprom_init(d);
	eeprom93_go_on(&d->eeprom, &was);
}

/* ---- state ---- */

static const struct state_field e1000_context_fields[] = {
	STATE(struct e1000_context, ipcss),
	STATE(struct e1000_context, ipcso),
	STATE(struct e1000_context, ipcse),
	STATE(struct e1000_context, tucss),
	STATE(struct e1000_context, tucso),
	STATE(struct e1000_context, tucse),
	STATE(struct e1000_context, hdrlen),
	STATE(struct e1000_context, tucmd),
	STATE(struct e1000_context, mss),
	STATE(struct e1000_context, paylen),
};

static const struct state_list e1000_context_state =
	STATE_LIST("context", struct e1000_context, 1, e1000_context_fields);

#define E1000_FIELDS                                                           \
	STATE_STRUCT(struct e1000, pci, &pci_func_state),                      \
		STATE_STRUCT(struct e1000, eeprom, &eeprom93_state),           \
		STATE_ARRAY(struct e1000, reg),                                \
		STATE_ARRAY(struct e1000, phy), STATE(struct e1000, ioaddr),   \
		STATE_STRUCT(struct e1000, plain, &e1000_context_state),       \
		STATE_STRUCT(struct e1000, cut, &e1000_context_state),         \
		STATE(struct e1000, packet.len, .max = NET_MAX_FRAME),         \
		STATE(struct e1000, packet.begun),                             \
		STATE(struct e1000, packet.hopeless),                          \
		STATE(struct e1000, packet.tse),                               \
		STATE(struct e1000, packet.popts),                             \
		STATE_BYTES(struct e1000, packet.frame),                       \
		STATE(struct e1000, asserted),                                 \
		STATE(struct e1000, irq_next_ns),                              \
		STATE(struct e1000, rx_limit_ns),                              \
		STATE(struct e1000, tx_limit_ns),                              \
		STATE_TIMER(struct e1000, irq_timer),                          \
		STATE_TIMER(struct e1000, link_timer),                         \
		STATE_TIMER(struct e1000, rx_timer),                           \
		STATE_TIMER(struct e1000, tx_timer),                           \
		STATE_TIMER(struct e1000, more_timer)

static const struct state_field e1000_fields[] = {E1000_FIELDS};

static const struct state_field e1000e_fields[] = {
	E1000_FIELDS,
	STATE_STRUCT(struct e1000, txq[1].plain, &e1000_context_state),
	STATE_STRUCT(struct e1000, txq[1].cut, &e1000_context_state),
	STATE(struct e1000, txq[1].packet.len, .max = NET_MAX_FRAME),
	STATE(struct e1000, txq[1].packet.begun),
	STATE(struct e1000, txq[1].packet.hopeless),
	STATE(struct e1000, txq[1].packet.tse),
	STATE(struct e1000, txq[1].packet.popts),
	STATE_BYTES(struct e1000, txq[1].packet.frame),
	STATE(struct e1000, msix_sent),
	STATE_ARRAY(struct e1000, vector_next_ns),
};

static const struct state_list e1000e_state =
	STATE_LIST("e1000e", struct e1000, 1, e1000e_fields);

static const struct state_list e1000_state =
	STATE_LIST("e1000", struct e1000, 1, e1000_fields);

const struct dev_class e1000_class = {
	.name = "e1000",
	.size = sizeof(struct e1000),
	.init = e1000_init,
	.reset = e1000_reset,
	.fini = e1000_fini,
	.copied = e1000_copied,
	.describe = e1000_describe,
	.state = &e1000_state,
};

const struct dev_class e1000e_class = {
	.name = "e1000e",
	.size = sizeof(struct e1000),
	.init = e1000e_init,
	.reset = e1000_reset,
	.fini = e1000_fini,
	.describe = e1000_describe,
	.copied = e1000_copied,
	.state = &e1000e_state,
};
