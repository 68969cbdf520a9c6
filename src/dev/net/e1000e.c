/*
 * e1000e.c - what the 82574L (8086:10d3) has beyond the 82540EM: interrupts by
 * MSI-X, a second transmit queue, registers of the PCI Express generation.
 *
 * Intel 317694 (82574 data sheet): 7.4 (interrupts), 9 (PCI), 10.2
 * (registers).  All frames are received by queue 0, which the redirection
 * table allows at all times; no hash is reported, no time is stamped.  The
 * NVM is read through EERD, and there is no flash: no BAR 1.
 */
#include <glib.h>

#include "dev/net/e1000_priv.h"

#define SWSM_SMBI 1u

#define EEMNGCTL_CFG_DONE (1u << 18)

/* Causes that have no vector but that of "other" (10.2.4.1). */
#define ICR_OTHERS (ICR_LSC | ICR_RXO | ICR_MDAC | ICR_SRPD)

/* Beside those of the 82540EM, or other than there. */
static const struct {
	uint16_t first, last;
	uint32_t bits;
} e1000e_storage[] = {
	{0x0018, 0x0018, 0x7fffffff}, /* CTRL_EXT */
	{0x00dc, 0x00dc, 0x01f00000}, /* EIAC */
	{0x00e0, 0x00e0, 0xffffffff}, /* IAM */
	{0x00e4, 0x00e4, 0x800fffff}, /* IVAR */
	{0x00e8, 0x00f8, 0x0000ffff}, /* EITR */
	{0x0100, 0x0100, 0x7edfbffe}, /* RCTL */
	{0x0400, 0x0400, 0x73fffffa}, /* TCTL */
	{0x0f00, 0x0f00, 0x0fff003f}, /* EXTCNF_CTRL */
	{0x0f08, 0x0f08, 0x00ffffff}, /* EXTCNF_SIZE */
	{0x0f10, 0x0f10, 0x000000ff}, /* PHY_CTRL */
	{0x1008, 0x1008, 0x0000003f}, /* PBS */
	{0x2008, 0x2008, 0x00003fff}, /* ERT */
	{0x2170, 0x2170, 0x3f3f3f7f}, /* PSRCTL */
	{0x2900, 0x2900, 0xfffffff0}, /* RDBAL1 */
	{0x2904, 0x2904, 0xffffffff}, /* RDBAH1 */
	{0x2908, 0x2908, 0x000fff80}, /* RDLEN1 */
	{0x2910, 0x2910, 0x0000ffff}, /* RDH1 */
	{0x2918, 0x2918, 0x0000ffff}, /* RDT1 */
	{0x2928, 0x2928, 0x013f3f3f}, /* RXDCTL1 */
	{0x3840, 0x3840, 0xffffffff}, /* TARC0 */
	{0x3900, 0x3900, 0xfffffff0}, /* TDBAL1 */
	{0x3904, 0x3904, 0xffffffff}, /* TDBAH1 */
	{0x3908, 0x3908, 0x000fff80}, /* TDLEN1 */
	{0x3910, 0x3910, 0x0000ffff}, /* TDH1 */
	{0x3918, 0x3918, 0x0000ffff}, /* TDT1 */
	{0x3928, 0x3928, 0xff3f3f3f}, /* TXDCTL1 */
	{0x3940, 0x3940, 0xffffffff}, /* TARC1 */
	{0x5000, 0x5000, 0x00003fff}, /* RXCSUM */
	{0x5008, 0x5008, 0x0003ffff}, /* RFCTL */
	{0x5818, 0x5818, 0x003f0003}, /* MRQC */
	{0x5b00, 0x5b00, 0xffffffff}, /* GCR */
	{0x5b08, 0x5b18, 0xffffffff}, /* FUNCTAG, GSCL */
	{0x5b50, 0x5b50, 0x0000000f}, /* SWSM */
	{0x5b64, 0x5b64, 0xffffffff}, /* GCR2 */
	{0x5c00, 0x5ca4, 0xffffffff}, /* RETA, RSSRK */
};

bool e1000e_storage_bits(unsigned off, uint32_t *bits)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(e1000e_storage); i++) {
		if (off < e1000e_storage[i].first ||
			off > e1000e_storage[i].last)
			continue;
		*bits = e1000e_storage[i].bits;
		return true;
	}
	return false;
}

void e1000e_mac_reset(struct e1000 *d)
{
	*e1000_reg(d, E1000_CTRL) = 0x00140240;
	*e1000_reg(d, E1000_PBA) = 0x00140014; /* halves of 40 KB */
	*e1000_reg(d, E1000E_EEMNGCTL) = EEMNGCTL_CFG_DONE;
	d->msix_sent = 0;
	for (unsigned i = 0; i < E1000E_VECTORS; i++)
		d->vector_next_ns[i] = 0;
}

/* ---- interrupts ---- */

uint32_t e1000e_causes(uint32_t causes)
{
	if (causes & (ICR_RXT0 | ICR_RXDMT0))
		causes |= ICR_RXQ0;
	if ((causes & ICR_TXDW) && !(causes & ICR_TXQ1))
		causes |= ICR_TXQ0;
	if (causes & ICR_OTHERS)
		causes |= ICR_OTHER;
	return causes;
}

/* 10.2.4.9: the causes that IVAR gives to a vector. */
static uint32_t e1000e_vector_causes(const struct e1000 *d, unsigned vector)
{
	uint32_t ivar = e1000_get(d, E1000E_IVAR), causes = 0;

	for (unsigned i = 0; i < 5; i++)
		if ((ivar >> 4 * i & 15) == (8 | vector))
			causes |= ICR_RXQ0 << i;
	return causes;
}

/* 7.4.3: the message is sent; EIAC's causes are no more, and with EIAME those
 * of IAM are masked. */
static void e1000e_send_vector(
	struct e1000 *d, unsigned vector, uint32_t causes)
{
	*e1000_reg(d, E1000_ICR) &= ~(causes & e1000_get(d, E1000E_EIAC));
	if (e1000_get(d, E1000_CTRL_EXT) & CTRL_EXT_EIAME)
		*e1000_reg(d, E1000_IMS) &=
			~(causes & e1000_get(d, E1000E_IAM));
	d->msix_sent |= causes;
	pci_msix_notify(&d->pci, vector);
}

/* Each cause is told of once, until it has been cleared or masked; a vector
 * not before its EITR has passed. */
void e1000e_update_msix(struct e1000 *d)
{
	uint64_t now = bus_clock_ns(d->dev.host.bus), again = UINT64_MAX;

	for (unsigned v = 0; v < E1000E_VECTORS; v++) {
		uint32_t wanted =
			e1000_get(d, E1000_ICR) & e1000_get(d, E1000_IMS);
		uint32_t causes;

		d->msix_sent &= wanted;
		causes = wanted & e1000e_vector_causes(d, v) & ~d->msix_sent;
		if (!causes)
			continue;
		if (now < d->vector_next_ns[v]) {
			again = MIN(again, d->vector_next_ns[v]);
			continue;
		}
		d->vector_next_ns[v] =
			now + e1000_get(d, E1000E_EITR + 4 * v) * 256ull;
		e1000e_send_vector(d, v, causes);
	}
	d->msix_sent &= e1000_get(d, E1000_ICR) & e1000_get(d, E1000_IMS);
	if (again != UINT64_MAX)
		bus_timer_arm(&d->irq_timer, again);
}

static void e1000e_auto_mask(struct e1000 *d)
{
	if (e1000_get(d, E1000_CTRL_EXT) & CTRL_EXT_IAME)
		*e1000_reg(d, E1000_IMS) &= ~e1000_get(d, E1000E_IAM);
}

/* 10.2.4.1: reading clears if nothing is wanted, or if something wanted is
 * there; else causes that are masked for now would be lost. */
uint32_t e1000e_icr_read(struct e1000 *d)
{
	uint32_t val = e1000_get(d, E1000_ICR), ims = e1000_get(d, E1000_IMS);

	if (val & ims)
		val |= ICR_INT_ASSERTED;
	if (val & ims || !ims || d->pci.msix.enabled)
		*e1000_reg(d, E1000_ICR) = 0;
	if (val & ims)
		e1000e_auto_mask(d);
	return val;
}

void e1000e_icr_write(struct e1000 *d, uint32_t val)
{
	if (e1000_get(d, E1000_ICR) & e1000_get(d, E1000_IMS))
		e1000e_auto_mask(d);
	*e1000_reg(d, E1000_ICR) &= ~val;
}

/* 10.2.3.15: who reads it as 0 has it. */
uint32_t e1000e_swsm_read(struct e1000 *d)
{
	uint32_t val = e1000_get(d, E1000E_SWSM);

	*e1000_reg(d, E1000E_SWSM) |= SWSM_SMBI;
	return val;
}
