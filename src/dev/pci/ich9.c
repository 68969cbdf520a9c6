/*
 * ich9.c - 82801IB (ICH9) function 1f.0: PCI to LPC bridge.
 *
 * Intel ICH9 data sheet 316972: 13.1 (configuration: PMBASE 40h, ACPI_CNTL
 * 44h, GPIOBASE 48h, PIRQ[A:H]_ROUT 60h-63h and 68h-6Bh, RCBA F0h), 13.8
 * (power management I/O), 10.1 (chipset configuration: D25IR to D31IR, where
 * the pins of slots 25 to 31 go).
 *
 * The pins of slots 0 to 24, which are not the ICH9's own, go to PIRQ E to H
 * in turn.  A PIRQ always drives its own pin of the I/O APIC, 16 to 23, and an
 * ISA interrupt of the 8259s if it is routed to one.  There is no system
 * management mode: APMC_EN reads as set, so that firmware installs nothing for
 * it.
 */
#include "dev/pci/ich9.h"

#include <string.h>

#include <glib.h>

#include "dev/misc/cf9.h"
#include "dev/pci/ich9_tco.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define ICH9_PMBASE    0x40
#define ICH9_ACPI_CNTL 0x44
#define ICH9_GPIOBASE  0x48
#define ICH9_GPIO_CNTL 0x4c
#define ICH9_PIRQA     0x60
#define ICH9_SIRQ_CNTL 0x64
#define ICH9_PIRQE     0x68
#define ICH9_IBDF      0x6c
#define ICH9_IO_DEC    0x80
#define ICH9_GEN_PMCON 0xa0
#define ICH9_GPI_ROUT  0xb8
#define ICH9_FWH_SEL   0xd0
#define ICH9_BIOS_CNTL 0xdc
#define ICH9_FDCAP     0xe0
#define ICH9_RCBA_REG  0xf0

#define PIRQ_DISABLED	0x80
#define PIRQ_NONE	(1u << 0 | 1u << 1 | 1u << 2 | 1u << 8 | 1u << 13)
#define ACPI_CNTL_EN	0x80
#define ICH9_NPIRQS	8
#define ICH9_RC_BITS	0x0e
#define RCBA_BYTES	0x4000
#define RCBA_PRIO	2
#define PM_SMI_EN	0x30
#define PM_SMI_EN_RESET 0x20 /* APMC_EN */

struct ich9 {
	struct dev dev;
	struct pci_func pci;
	struct cf9 reset_control;
	struct acpi_regs acpi;
	uint8_t pins[32]; /* that pull, of each slot */
	uint8_t pirqs;	  /* that are pulled */
	uint16_t levels;  /* of the ISA interrupts driven from here */
	uint16_t pm_base; /* claimed now, 0 = none */
	uint8_t pm_rest[ICH9_PM_BYTES]; /* registers that only keep bits */
	uint8_t chipset[RCBA_BYTES];
	struct ich9_tco tco;
	struct bus_region rcba;
};

struct acpi_regs *ich9_acpi(struct dev *d)
{
	return &((struct ich9 *)d)->acpi;
}

/* ---- interrupts ---- */

/* Where D25IR to D31IR are, from slot 25 on; 0: has none. */
static const uint16_t ich9_dir[7] = {
	0x3150, 0x314c, 0x3148, 0x3146, 0x3144, 0x3142, 0x3140};

static unsigned ich9_wired(const struct ich9 *p, unsigned slot, unsigned pin)
{
	if (slot < 25)
		return ich9_pirq(slot, pin);
	return pci_get16(p->chipset + ich9_dir[slot - 25]) >> (4 * pin) & 7;
}

static uint8_t ich9_pulled(const struct ich9 *p)
{
	uint8_t pirqs = 0;

	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned pin = 0; p->pins[slot] >> pin; pin++)
			if (p->pins[slot] >> pin & 1)
				pirqs |= 1u << ich9_wired(p, slot, pin);
	return pirqs;
}

static uint16_t ich9_isa_levels(const struct ich9 *p)
{
	uint16_t levels = 0;

	for (unsigned i = 0; i < ICH9_NPIRQS; i++) {
		unsigned reg = i < 4 ? ICH9_PIRQA + i : ICH9_PIRQE + i - 4;
		uint8_t rout = p->pci.config[reg];

		if ((p->pirqs >> i & 1) && !(rout & PIRQ_DISABLED))
			levels |= 1u << (rout & 15);
	}
	return levels & ~PIRQ_NONE;
}

static void ich9_update(struct ich9 *p)
{
	const struct bus_irq *gsi = p->dev.host.gsi;
	uint8_t pirqs = ich9_pulled(p), diff = pirqs ^ p->pirqs;
	uint16_t levels, isa;

	p->pirqs = pirqs;
	for (unsigned i = 0; i < ICH9_NPIRQS; i++)
		if (diff & (1u << i))
			bus_irq_set(&gsi[16 + i], pirqs >> i & 1);
	levels = ich9_isa_levels(p);
	isa = levels ^ p->levels;
	p->levels = levels;
	for (unsigned n = 0; n < 16; n++)
		if (isa & (1u << n))
			bus_irq_set(&gsi[n], levels >> n & 1);
}

static void ich9_route(void *opaque, unsigned slot, unsigned pin, bool level)
{
	struct ich9 *p = opaque;
	uint8_t bit = 1u << pin;

	p->pins[slot] = level ? p->pins[slot] | bit : p->pins[slot] & ~bit;
	ich9_update(p);
}

/* ---- chipset configuration ---- */

static const struct ich9_chipset {
	uint16_t off;
	uint32_t reset, wmask;
} ich9_chipset[] = {
	{0x3100, 0x03243200, 0x0fffff00}, /* D31IP */
	{0x3108, 0x10004321, 0xf000ffff}, /* D29IP */
	{0x310c, 0x00214321, 0x00ffffff}, /* D28IP */
	{0x3110, 0x00000001, 0x0000000f}, /* D27IP */
	{0x3114, 0x30000321, 0xf0000fff}, /* D26IP */
	{0x3118, 0x00000001, 0x0000000f}, /* D25IP */
	{0x3140, 0x00003210, 0x00007777}, /* D31IR; D30IR is zero */
	{0x3144, 0x32103210, 0x77777777}, /* D29IR, D28IR */
	{0x3148, 0x00003210, 0x00007777}, /* D27IR */
	{0x314c, 0x00003210, 0x00007777}, /* D26IR */
	{0x3150, 0x00003210, 0x00007777}, /* D25IR */
	{0x31fc, 0x00000000, 0x00030000}, /* OIC */
	{0x3400, 0x00000000, 0x0000001c}, /* RC */
	{0x3404, 0x00000000, 0x00000083}, /* HPTC */
	{ICH9_GCS, ICH9_GCS_NR, 0x00000fe0},
	{0x3414, 0x00000000, 0x00000005}, /* BUC */
	{0x3418, 0x00000000, 0x0300ffff}, /* FD */
	{0x341c, 0x00000000, 0xffffffff}, /* CG */
};

static uint32_t ich9_chipset_mask(unsigned off)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(ich9_chipset); i++)
		if (ich9_chipset[i].off == off)
			return ich9_chipset[i].wmask;
	return 0;
}

static uint64_t ich9_chipset_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct ich9 *p = opaque;
	uint64_t val = 0;

	for (unsigned i = 0; i < size && off + i < RCBA_BYTES; i++)
		val |= (uint64_t)p->chipset[off + i] << (8 * i);
	return val;
}

static void ich9_chipset_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct ich9 *p = opaque;

	for (unsigned i = 0; i < size && off + i < RCBA_BYTES; i++) {
		unsigned at = off + i;
		uint8_t m = ich9_chipset_mask(at & ~3u) >> (8 * (at & 3));
		uint8_t *c = &p->chipset[at];

		*c = (*c & ~m) | ((val >> (8 * i)) & m);
	}
	ich9_tco_update(&p->tco);
	ich9_update(p);
}

static const struct bus_mmio_ops ich9_chipset_ops = {
	.read = ich9_chipset_read,
	.write = ich9_chipset_write,
};

static void ich9_move_rcba(struct ich9 *p)
{
	uint32_t reg = pci_get32(p->pci.config + ICH9_RCBA_REG);
	uint32_t base = reg & ~(RCBA_BYTES - 1);

	if (p->rcba.mapped && (reg & 1) && p->rcba.base == base)
		return;
	bus_region_unmap(p->dev.host.bus, &p->rcba);
	if (!(reg & 1))
		return;
	p->rcba = (struct bus_region){
		.name = "rcba",
		.base = base,
		.size = RCBA_BYTES,
		.prio = RCBA_PRIO,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &ich9_chipset_ops,
		.opaque = p,
	};
	bus_region_map(p->dev.host.bus, &p->rcba);
}

/* ---- power management I/O ---- */

/* The 16-bit register at an even offset. */
static uint16_t ich9_pm_get(struct ich9 *p, unsigned off)
{
	if (off < 0x0c)
		return acpi_regs_get(&p->acpi, off);
	if (off >= ICH9_TCO)
		return ich9_tco_get(&p->tco, off - ICH9_TCO);
	if (off >= ICH9_GPE0 && off < ICH9_GPE0 + 8)
		return p->acpi.gpe_sts >> (8 * (off & 7));
	if (off >= ICH9_GPE0 + 8 && off < ICH9_GPE0 + 16)
		return p->acpi.gpe_en >> (8 * (off & 7));
	return pci_get16(p->pm_rest + off);
}

static void ich9_pm_put(
	struct ich9 *p, unsigned off, uint16_t val, uint16_t mask)
{
	unsigned shift = 8 * (off & 7);
	uint64_t bits = (uint64_t)(val & mask) << shift;

	if (off < 0x0c) {
		acpi_regs_put(&p->acpi, off, val, mask);
	} else if (off >= ICH9_GPE0 && off < ICH9_GPE0 + 8) {
		p->acpi.gpe_sts &= ~bits;
	} else if (off >= ICH9_GPE0 + 8 && off < ICH9_GPE0 + 16) {
		p->acpi.gpe_en &= ~((uint64_t)mask << shift);
		p->acpi.gpe_en |= bits;
	} else if (off >= ICH9_TCO) {
		ich9_tco_put(&p->tco, off - ICH9_TCO, val, mask);
	} else if (off == PM_SMI_EN) {
		val = (val & mask) | PM_SMI_EN_RESET;
		pci_put16(p->pm_rest + off, val);
	} else {
		pci_put16(p->pm_rest + off,
			(pci_get16(p->pm_rest + off) & ~mask) | (val & mask));
	}
}

static uint32_t ich9_pm_read(void *opaque, uint16_t port, unsigned size)
{
	struct ich9 *p = opaque;
	unsigned off = (port - p->pm_base) & (ICH9_PM_BYTES - 1);

	/* The timer is read at once, or it could tear. */
	if (size == 4 && off == ACPI_PM_TMR)
		return acpi_regs_timer(&p->acpi);
	if (size == 4)
		return ich9_pm_get(p, off & ~3u) |
		       (uint32_t)ich9_pm_get(p, (off & ~3u) + 2) << 16;
	return ich9_pm_get(p, off & ~1u) >> (size == 1 && off & 1 ? 8 : 0);
}

static void ich9_pm_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct ich9 *p = opaque;
	unsigned off = (port - p->pm_base) & (ICH9_PM_BYTES - 1);

	if (size == 1 && off & 1)
		ich9_pm_put(p, off & ~1u, val << 8, 0xff00);
	else
		ich9_pm_put(p, off & ~1u, val, size == 1 ? 0x00ff : 0xffff);
	if (size == 4)
		ich9_pm_put(p, (off & 0x7c) + 2, val >> 16, 0xffff);
	acpi_regs_update(&p->acpi);
}

static const struct bus_io_ops ich9_pm_ops = {
	.read = ich9_pm_read,
	.write = ich9_pm_write,
	.sizes = 1 | 2 | 4,
};

static void ich9_move_pm(struct ich9 *p)
{
	const uint8_t *c = p->pci.config;
	struct bus *b = p->dev.host.bus;
	uint16_t to = pci_get16(c + ICH9_PMBASE) & 0xff80;

	if (!(c[ICH9_ACPI_CNTL] & ACPI_CNTL_EN))
		to = 0;
	if (to == p->pm_base)
		return;
	if (p->pm_base)
		bus_io_release(b, p->pm_base, ICH9_PM_BYTES, p);
	p->pm_base = to;
	if (to)
		bus_io_claim(b, to, ICH9_PM_BYTES, &ich9_pm_ops, p);
}

/* ACPI_CNTL 2:0 says where the SCI goes; reserved values: nowhere. */
static const struct bus_irq *ich9_sci(const struct ich9 *p)
{
	static const uint8_t line[8] = {9, 10, 11, 0, 20, 21, 0, 0};
	uint8_t n = line[p->pci.config[ICH9_ACPI_CNTL] & 7];

	return n ? &p->dev.host.gsi[n] : NULL;
}

/* ---- configuration ---- */

static void ich9_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct ich9 *p = (struct ich9 *)f->dev;

	ich9_move_pm(p);
	ich9_move_rcba(p);
	acpi_regs_route(&p->acpi, ich9_sci(p));
	ich9_update(p);
}

static const struct ich9_reg {
	uint8_t off;
	uint32_t reset, wmask;
} ich9_regs[] = {
	{ICH9_PMBASE, 0x00000001, 0x0000ff80},
	{ICH9_ACPI_CNTL, 0, 0x87},
	{ICH9_GPIOBASE, 0x00000001, 0x0000ffc0},
	{ICH9_GPIO_CNTL, 0, 0x11},
	{ICH9_PIRQA, 0x80808080, 0x8f8f8f8f},
	{ICH9_SIRQ_CNTL, 0x10, 0xc3},
	{ICH9_PIRQE, 0x80808080, 0x8f8f8f8f},
	{ICH9_IBDF, 0x00f8, 0xffff},
	{ICH9_IO_DEC, 0, 0x3f0f1377},
	{ICH9_IO_DEC + 4, 0, 0x00fcfffd}, /* four generic decode ranges */
	{ICH9_IO_DEC + 8, 0, 0x00fcfffd},
	{ICH9_IO_DEC + 12, 0, 0x00fcfffd},
	{ICH9_IO_DEC + 16, 0, 0x00fcfffd},
	{ICH9_GEN_PMCON, 0, 0x00001fff},
	{ICH9_GEN_PMCON + 4, 0, 0x0000ffff},
	{ICH9_GPI_ROUT, 0, 0xffffffff},
	{ICH9_FWH_SEL, 0x00112233, 0x0fffffff},
	{ICH9_FWH_SEL + 4, 0x4567, 0xffff},
	{ICH9_FWH_SEL + 8, 0xffcf, 0x7fff},
	{ICH9_BIOS_CNTL, 0, 0x03},
	{ICH9_FDCAP, 0x100c0009, 0}, /* feature detection: none is missing */
	{ICH9_RCBA_REG, 0, 0xffffc001},
};

void ich9_setup(struct dev *d, uint16_t pm_base)
{
	struct ich9 *p = (struct ich9 *)d;
	uint8_t *c = p->pci.config;

	pci_put32(c + ICH9_PIRQA, 0x0b0b0a0a);
	pci_put32(c + ICH9_PIRQE, 0x0b0b0a0a);
	pci_put32(c + ICH9_PMBASE, pm_base | 1);
	c[ICH9_ACPI_CNTL] = ACPI_CNTL_EN;
	pci_put32(c + ICH9_RCBA_REG, ICH9_RCBA | 1);
	bus_io_write(d->host.bus, 0x4d1, 1, 1u << (10 - 8) | 1u << (11 - 8));
	ich9_config_written(&p->pci, 0, PCI_CONFIG_SIZE);
}

/* ---- life ---- */

static int ich9_init(struct dev *d, char *err, unsigned errsize)
{
	struct ich9 *p = (struct ich9 *)d;
	struct pci_func *f = &p->pci;

	pci_func_init(f, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x2918,
			.class_code = 0x060100,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	f->config[PCI_HEADER_TYPE] = 0x80; /* has more functions */
	f->config_written = ich9_config_written;
	for (unsigned i = 0; i < G_N_ELEMENTS(ich9_regs); i++)
		pci_put32(f->wmask + ich9_regs[i].off, ich9_regs[i].wmask);
	f->config[PCI_CAP_POINTER] = ICH9_FDCAP;
	pci_put16(f->config + PCI_STATUS, 0x0210);
	acpi_regs_init(&p->acpi, d->host.bus);
	/* 13.8.3.3 says 7; firmware for QEMU-class boards writes 0. */
	p->acpi.off_types = 1u << 7 | 1u << 0;
	ich9_tco_init(&p->tco, d->host.bus, p->chipset + ICH9_GCS);
	pci_bus_set_route(d->host.pci, ich9_route, p);
	cf9_init(&p->reset_control, d->host.pci, d->host.bus, ICH9_RC_BITS);
	return pci_func_plug(f, d->host.pci, ICH9_SLOT << 3);
}

static void ich9_reset(struct dev *d)
{
	struct ich9 *p = (struct ich9 *)d;
	struct pci_func *f = &p->pci;

	pci_func_reset(f);
	/* PCICMD: always a master that decodes. */
	f->config[PCI_COMMAND] =
		PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	f->wmask[PCI_COMMAND] = 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(ich9_regs); i++)
		pci_put32(f->config + ich9_regs[i].off, ich9_regs[i].reset);
	memset(p->chipset, 0, sizeof(p->chipset));
	for (unsigned i = 0; i < G_N_ELEMENTS(ich9_chipset); i++)
		pci_put32(p->chipset + ich9_chipset[i].off,
			ich9_chipset[i].reset);
	memset(p->pm_rest, 0, sizeof(p->pm_rest));
	p->pm_rest[PM_SMI_EN] = PM_SMI_EN_RESET;
	p->reset_control.val = 0;
	ich9_tco_reset(&p->tco);
	acpi_regs_reset(&p->acpi);
	ich9_config_written(f, 0, PCI_CONFIG_SIZE);
}

static void ich9_fini(struct dev *d)
{
	struct ich9 *p = (struct ich9 *)d;

	if (p->pm_base)
		bus_io_release(d->host.bus, p->pm_base, ICH9_PM_BYTES, p);
	bus_region_unmap(d->host.bus, &p->rcba);
	ich9_tco_fini(&p->tco);
	acpi_regs_fini(&p->acpi);
	pci_bus_set_route(d->host.pci, NULL, NULL);
	cf9_fini(d->host.pci);
	pci_func_unplug(&p->pci);
}

/* ---- state ---- */

static int ich9_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct ich9 *p = obj;

	ich9_move_pm(p);
	ich9_move_rcba(p);
	p->acpi.sci = ich9_sci(p);
	return 0;
}

static const struct state_field ich9_fields[] = {
	STATE_STRUCT(struct ich9, pci, &pci_func_state),
	STATE_STRUCT(struct ich9, acpi, &acpi_regs_state),
	STATE(struct ich9, reset_control.val, .max = ICH9_RC_BITS),
	STATE_BYTES(struct ich9, pins),
	STATE(struct ich9, pirqs),
	STATE(struct ich9, levels),
	STATE_BYTES(struct ich9, pm_rest),
	STATE_BYTES(struct ich9, chipset),
	STATE_STRUCT(struct ich9, tco, &ich9_tco_state, .since = 2),
};

static const struct state_list ich9_state =
	STATE_LIST("ich9", struct ich9, 2, ich9_fields, .loaded = ich9_loaded);

const struct dev_class ich9_class = {
	.name = "ich9",
	.size = sizeof(struct ich9),
	.init = ich9_init,
	.reset = ich9_reset,
	.fini = ich9_fini,
	.state = &ich9_state,
};
