/*
 * mch.c - memory controller hub of Intel's 3 series chipsets (8086:29c0).
 *
 * Intel 3 Series Express Chipset Family data sheet 316966, D0:F0: GGC 52h,
 * DEVEN 54h, PCIEXBAR 60h, PAM0-PAM6 90h-96h, LAC 97h, SMRAM 9Dh, ESMRAMC 9Eh,
 * TOM A0h, TOUUD A2h, TOLUD B0h, CAPID0 E0h.  Bases of register blocks that
 * are not here (40h, 48h, 68h) keep what is written.  PCI Express Base
 * Specification 4.0, 7.2.2 (enhanced configuration access).
 */
#include "dev/pci/mch.h"

#include <glib.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define MCH_PXPEPBAR   0x40
#define MCH_MCHBAR     0x48
#define MCH_GGC	       0x52
#define MCH_DEVEN      0x54
#define MCH_PCIEXBAR   0x60
#define MCH_DMIBAR     0x68
#define MCH_PAM0       0x90
#define MCH_LAC	       0x97
#define MCH_REMAPBASE  0x98
#define MCH_REMAPLIMIT 0x9a
#define MCH_SMRAM      0x9d
#define MCH_ESMRAMC    0x9e
#define MCH_TOM	       0xa0
#define MCH_TOUUD      0xa2
#define MCH_GBSM       0xa4
#define MCH_TSEGMB     0xac
#define MCH_TOLUD      0xb0
#define MCH_ERRCMD     0xca
#define MCH_SKPD       0xdc
#define MCH_CAPID0     0xe0

#define PCIEXBAR_EN	0x1
#define PCIEXBAR_LENGTH 0x6
#define ESMRAMC_W1C	0x40
#define MCH_PRIO	2

struct mch {
	struct dev dev;
	struct pci_func pci;
	struct shadow shadow;
	struct bus_region ecam;
};

struct shadow *mch_shadow(struct dev *d)
{
	return &((struct mch *)d)->shadow;
}

/* ---- enhanced configuration access ---- */

static uint64_t mch_ecam_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct pci_bus *b = opaque;
	uint64_t high;

	if (size == 8) {
		high = mch_ecam_read(b, who, off + 4, 4);
		return high << 32 | mch_ecam_read(b, who, off, 4);
	}
	return pci_config_read(b, off >> 20, off >> 12, off & 0xfff, size);
}

static void mch_ecam_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct pci_bus *b = opaque;

	if (size == 8) {
		mch_ecam_write(b, who, off, 4, val);
		mch_ecam_write(b, who, off + 4, 4, val >> 32);
		return;
	}
	pci_config_write(b, off >> 20, off >> 12, off & 0xfff, size, val);
}

static const struct bus_mmio_ops mch_ecam_ops = {
	.read = mch_ecam_read,
	.write = mch_ecam_write,
};

static void mch_move_ecam(struct mch *h)
{
	uint32_t reg = pci_get32(h->pci.config + MCH_PCIEXBAR);
	uint64_t high = pci_get32(h->pci.config + MCH_PCIEXBAR + 4);
	unsigned length = (reg & PCIEXBAR_LENGTH) >> 1;
	uint64_t size = 256ull << 20 >> length;
	uint64_t base = (high << 32 | reg) & ~(size - 1);
	bool on = (reg & PCIEXBAR_EN) && length < 3;

	if (h->ecam.mapped && on && h->ecam.base == base &&
		h->ecam.size == size)
		return;
	bus_region_unmap(h->dev.host.bus, &h->ecam);
	if (!on)
		return;
	h->ecam = (struct bus_region){
		.name = "ecam",
		.base = base,
		.size = size,
		.prio = MCH_PRIO,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &mch_ecam_ops,
		.opaque = h->dev.host.pci,
	};
	bus_region_map(h->dev.host.bus, &h->ecam);
}

static void mch_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct mch *h = (struct mch *)f->dev;

	shadow_written(&h->shadow, off, len);
	if (off < MCH_PCIEXBAR + 8 && off + len > MCH_PCIEXBAR)
		mch_move_ecam(h);
}

void mch_open_ecam(struct dev *d)
{
	struct mch *h = (struct mch *)d;

	pci_put32(h->pci.config + MCH_PCIEXBAR, MCH_ECAM | PCIEXBAR_EN);
	mch_move_ecam(h);
}

/* ---- life ---- */

/* Registers that keep what is written to these bits. */
static const struct mch_reg {
	uint8_t off;
	uint32_t reset, wmask;
} mch_regs[] = {
	{MCH_PXPEPBAR, 0, 0xfffff001},
	{MCH_PXPEPBAR + 4, 0, 0x0000000f},
	{MCH_MCHBAR, 0, 0xffffc001},
	{MCH_MCHBAR + 4, 0, 0x0000000f},
	{MCH_GGC & ~3, 0x0030u << 16, 0x0072u << 16},
	{MCH_DEVEN, 0x000003db, 0x000023da},
	{MCH_PCIEXBAR, 0xe0000000, 0xfc000007},
	{MCH_PCIEXBAR + 4, 0, 0x0000000f},
	{MCH_DMIBAR, 0, 0xfffff001},
	{MCH_DMIBAR + 4, 0, 0x0000000f},
	{MCH_REMAPBASE, 0x000003ff, 0x03ff03ff},
	{MCH_TOM, 0x00000001, 0xffff01ff},
	{MCH_GBSM, 0, 0xfff00000},
	{MCH_TSEGMB, 0, 0xfff00000},
	{MCH_TOLUD, 0x00000010, 0x0000fff0},
	{MCH_ERRCMD & ~3, 0, 0x00000fc3u << 16},
	{MCH_SKPD, 0, 0xffffffff},
	{MCH_CAPID0, 0x010b0009, 0},
};

static int mch_init(struct dev *d, char *err, unsigned errsize)
{
	struct mch *h = (struct mch *)d;

	pci_func_init(&h->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x29c0,
			.class_code = 0x060000,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	h->pci.config_written = mch_config_written;
	for (unsigned i = 0; i < G_N_ELEMENTS(mch_regs); i++)
		pci_put32(h->pci.wmask + mch_regs[i].off, mch_regs[i].wmask);
	shadow_init(&h->shadow, &h->pci, MCH_PAM0, MCH_SMRAM);
	h->pci.wmask[MCH_LAC] = 0x03;
	h->pci.w1cmask[MCH_ESMRAMC] = ESMRAMC_W1C;
	h->pci.wmask[MCH_ESMRAMC] = 0x87;
	h->pci.config[PCI_CAP_POINTER] = MCH_CAPID0;
	h->pci.config[PCI_STATUS] = 0x90;
	return pci_func_plug(&h->pci, d->host.pci, 0);
}

static void mch_reset(struct dev *d)
{
	struct mch *h = (struct mch *)d;
	struct pci_func *f = &h->pci;

	pci_func_reset(f);
	/* PCICMD: memory and bus master enable are hard-wired. */
	f->config[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	f->wmask[PCI_COMMAND] = 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(mch_regs); i++)
		pci_put32(f->config + mch_regs[i].off, mch_regs[i].reset);
	f->config[MCH_LAC] = 0;
	f->config[MCH_ESMRAMC] = 0x38;
	shadow_reset(&h->shadow);
	mch_move_ecam(h);
}

static void mch_fini(struct dev *d)
{
	struct mch *h = (struct mch *)d;

	bus_region_unmap(d->host.bus, &h->ecam);
	shadow_fini(&h->shadow);
	pci_func_unplug(&h->pci);
}

/* ---- state ---- */

static int mch_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct mch *h = obj;

	shadow_written(&h->shadow, MCH_PAM0, 7);
	mch_move_ecam(h);
	return 0;
}

static const struct state_field mch_fields[] = {
	STATE_STRUCT(struct mch, pci, &pci_func_state),
	STATE_STRUCT_AT(struct mch, dev.host.pci, &pci_bus_state),
};

static const struct state_list mch_state =
	STATE_LIST("mch", struct mch, 1, mch_fields, .loaded = mch_loaded);

const struct dev_class mch_class = {
	.name = "mch",
	.size = sizeof(struct mch),
	.init = mch_init,
	.reset = mch_reset,
	.fini = mch_fini,
	.state = &mch_state,
};
