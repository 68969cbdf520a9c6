/*
 * e1000_phy.c - the PHY behind MDIC (SDM 13.4.6; registers of an 88E1011, SDM
 * 13.5 and IEEE 802.3 clause 22) and the EEPROM (SDM 5.6).
 */
#include <string.h>

#include <glib.h>

#include "dev/net/e1000_priv.h"

#define PHY_ADDRESS 1

#define MII_BMCR      0
#define BMCR_RESET    0x8000
#define BMCR_LOOPBACK 0x4000
#define BMCR_AUTO     0x1000
#define BMCR_DOWN     0x0800
#define BMCR_RESTART  0x0200
#define MII_BMSR      1
#define BMSR_DONE     0x0020
#define BMSR_LINK     0x0004
#define M88_SPECIFIC  17
#define PHY_PAGE      22
#define SPECIFIC_LINK 0x0400

#define LINK_NS 2000000 /* as if the other end answered at once */

#define MDIC_OP_WRITE 1
#define MDIC_OP_READ  2
#define MDIC_READY    (1u << 28)
#define MDIC_WANT_IRQ (1u << 29)
#define MDIC_ERROR    (1u << 30)

/* Power-on contents and what can be written; a link partner that can all. */
static const struct {
	uint16_t val, bits;
} e1000_phy_regs[32] = {
	[MII_BMCR] = {0x1140, 0x7dc0},
	[MII_BMSR] = {0x7949, 0},
	[2] = {0x0141, 0}, /* identity */
	[3] = {0x0c20, 0},
	[4] = {0x0de1, 0xbde0}, /* what we offer */
	[5] = {0xcde1, 0},	/* what the other end offers */
	[6] = {0x000f, 0},
	[7] = {0x2001, 0xb7ff},
	[9] = {0x0e00, 0xff00}, /* 1000BASE-T */
	[10] = {0x3c00, 0},
	[15] = {0x3000, 0},
	[16] = {0x0360, 0xffff},
	[M88_SPECIFIC] = {0xa800, 0},
	[18] = {0, 0xffff},
	[20] = {0x0d60, 0xffff},
	[29] = {0, 0x001f},
	[30] = {0, 0xffff},
};

static void e1000_link(struct e1000 *d, bool up)
{
	bool was = d->phy[MII_BMSR] & BMSR_LINK;

	d->phy[MII_BMSR] &= ~(BMSR_LINK | BMSR_DONE);
	d->phy[M88_SPECIFIC] &= ~SPECIFIC_LINK;
	if (up) {
		d->phy[MII_BMSR] |= BMSR_LINK;
		if (d->phy[MII_BMCR] & BMCR_AUTO)
			d->phy[MII_BMSR] |= BMSR_DONE;
		d->phy[M88_SPECIFIC] |= SPECIFIC_LINK;
	}
	if (up != was)
		e1000_cause(d, ICR_LSC);
}

static void e1000_link_timer(void *opaque)
{
	struct e1000 *d = opaque;

	e1000_link(d, true);
	e1000_rx_more(d);
}

/* The link goes down and, when both ends agree, up again. */
static void e1000_negotiate(struct e1000 *d)
{
	e1000_link(d, false);
	bus_timer_arm(&d->link_timer, bus_clock_ns(d->dev.host.bus) + LINK_NS);
}

void e1000_phy_init(struct e1000 *d)
{
	bus_timer_init(&d->link_timer, d->dev.host.bus, e1000_link_timer, d);
}

void e1000_phy_reset(struct e1000 *d)
{
	e1000_negotiate(d);
	for (unsigned i = 0; i < 32; i++)
		d->phy[i] = e1000_phy_regs[i].val;
	if (d->express)
		d->phy[3] = 0x0cb1; /* the PHY inside an 82574L */
}

/* From 16 on it has pages, of which only the first is here; the others are
 * 0. */
static bool e1000_phy_elsewhere(const struct e1000 *d, unsigned reg)
{
	return d->express && d->phy[PHY_PAGE] && reg > 15 && reg != PHY_PAGE;
}

bool e1000_phy_loops(const struct e1000 *d)
{
	return d->phy[MII_BMCR] & BMCR_LOOPBACK;
}

static void e1000_bmcr_write(struct e1000 *d, uint16_t val)
{
	if (val & BMCR_RESET) {
		e1000_phy_reset(d);
		return;
	}
	d->phy[MII_BMCR] = val & e1000_phy_regs[MII_BMCR].bits;
	if (val & BMCR_DOWN) {
		bus_timer_cancel(&d->link_timer);
		e1000_link(d, false);
	} else if ((val & BMCR_AUTO) && (val & BMCR_RESTART)) {
		e1000_negotiate(d);
	} else if (!d->link_timer.slot) {
		e1000_link(d, true);
	}
}

void e1000_mdic_write(struct e1000 *d, uint32_t val)
{
	unsigned reg = val >> 16 & 31, phy = val >> 21 & 31, op = val >> 26 & 3;

	val &= 0x2fffffff;
	if (phy != PHY_ADDRESS) {
		val |= MDIC_ERROR;
	} else if (op == MDIC_OP_READ) {
		val = (val & 0xffff0000) |
		      (e1000_phy_elsewhere(d, reg) ? 0 : d->phy[reg]);
	} else if (d->express && op == MDIC_OP_WRITE && reg == PHY_PAGE) {
		d->phy[reg] = val;
	} else if (e1000_phy_elsewhere(d, reg)) {
		/* written to nowhere */
	} else if (op == MDIC_OP_WRITE && reg == MII_BMCR) {
		e1000_bmcr_write(d, val);
	} else if (op == MDIC_OP_WRITE) {
		uint16_t bits = e1000_phy_regs[reg].bits;

		d->phy[reg] = (d->phy[reg] & ~bits) | (val & bits);
	}
	*e1000_reg(d, E1000_MDIC) = val | MDIC_READY;
	if (val & MDIC_WANT_IRQ)
		e1000_cause(d, ICR_MDAC);
}

/* ---- EEPROM ---- */

/* 5.6.1, table 5-2; all words together make 0xbaba. */
void e1000_eeprom_init(struct e1000 *d)
{
	static const struct {
		uint8_t at;
		uint16_t val;
	} words[] = {
		{0x03, 0x0000},
		{0x04, 0xffff},
		{0x05, 0xffff},
		{0x08, 0x3000},
		{0x09, 0x1000}, /* part number */
		{0x0a, 0x6400}, /* initialisation control 1 */
		{0x0b, 0x001e},
		{0x0c, 0x8086}, /* subsystem */
		{0x0d, 0x100e},
		{0x0e, 0x8086}, /* device */
		{0x0f, 0x3040}, /* initialisation control 2 */
		{0x20, 0x0008},
		{0x21, 0x7e14},
		{0x22, 0x0048},
		{0x23, 0x1000},
		{0x24, 0x00d8},
		{0x26, 0x2700},
		{0x2f, 0x0602},
		{0x30, 0x0100},
		{0x31, 0x1240},
	};
	static const uint16_t express[] = {0xa01f, 0x8086, 0x10d3};
	uint16_t *w = d->eeprom.word, sum = 0;

	for (unsigned i = 0; i < 3; i++)
		w[i] = d->card.mac[2 * i] | d->card.mac[2 * i + 1] << 8;
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
		w[words[i].at] = words[i].val;
	if (d->express) {
		memcpy(&w[0x0b], express, sizeof(express));
		w[0x0f] = 0; /* no management, which bits 13 and 14 would be */
	}
	for (unsigned i = 0; i < 0x3f; i++)
		sum += w[i];
	w[0x3f] = 0xbaba - sum;
	eeprom93_reset(&d->eeprom);
}

uint32_t e1000_eecd_read(struct e1000 *d)
{
	uint32_t val = e1000_get(d, E1000_EECD) | EECD_PRES;

	if (d->express)
		val |= EECD_AUTO_RD;
	if (val & EECD_REQ)
		val |= EECD_GNT;
	return val | (eeprom93_out(&d->eeprom) ? EECD_DO : 0);
}

void e1000_eecd_write(struct e1000 *d, uint32_t val)
{
	*e1000_reg(d, E1000_EECD) =
		val & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
	eeprom93_set(&d->eeprom, val & EECD_CS, val & EECD_SK, val & EECD_DI);
}

/* 13.4.4: START, then DONE with the word; both places differ on an 82574L. */
void e1000_eerd_write(struct e1000 *d, uint32_t val)
{
	unsigned shift = d->express ? 2 : 8, done = d->express ? 1 : 4;
	unsigned at = val >> shift & (d->express ? 0x3fff : 0xff);

	if (!(val & 1))
		return;
	*e1000_reg(d, E1000_EERD) =
		(uint32_t)d->eeprom.word[at % EEPROM93_WORDS] << 16 |
		at << shift | 1u << done;
}
