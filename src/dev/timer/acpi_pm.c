/*
 * acpi_pm.c - power management function of the 82371AB (PIIX4), 00:01.3.
 *
 * Intel 82371AB data sheet 290562-001, chapter 7 (configuration: PMBA 40h,
 * DEVACTB 58h, PMREGMISC 80h, SMBBA 90h, SMBHSTCFG D2h; I/O space); ACPI 6.4,
 * 4.8 (fixed hardware: PM1 event and control, PM timer, GPE0).
 *
 * APMC_EN reads as set already, so that firmware does not try to install a
 * handler of system management interrupts: there are none.  Nothing is on the
 * SMBus: every transaction ends with a device error.
 */
#include <string.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"
#include "dev/timer/acpi_pm.h"

#define PM_BYTES  64
#define SMB_BYTES 16

#define PMBA	  0x40
#define DEVACTB_3 0x5b /* bits 31:24 of it; APMC_EN is bit 25 */
#define PMREGMISC 0x80
#define SMBBA	  0x90
#define SMBHSTCFG 0xd2

#define SMB_HSTSTS	 0x00
#define SMB_HSTCNT	 0x02
#define SMB_HSTCNT_START 0x40
#define SMB_DEV_ERR	 0x04

struct acpi_pm {
	struct dev dev;
	struct pci_func pci;
	uint16_t base, smb_base; /* claimed now, 0 = none */
	struct acpi_regs regs;
	uint8_t rest[PM_BYTES]; /* registers that only hold what is written */
	uint8_t smb[SMB_BYTES];
};

/* The 16-bit register at an even offset. */
static uint16_t acpi_pm_get(struct acpi_pm *p, unsigned off)
{
	if (off < ACPI_PM_GPE0)
		return acpi_regs_get(&p->regs, off);
	switch (off) {
	case 0x0c: return p->regs.gpe_sts;
	case 0x0e: return p->regs.gpe_en;
	}
	return pci_get16(p->rest + off);
}

static void acpi_pm_put(
	struct acpi_pm *p, unsigned off, uint16_t val, uint16_t mask)
{
	struct acpi_regs *r = &p->regs;

	if (off < ACPI_PM_GPE0) {
		acpi_regs_put(r, off, val, mask);
		return;
	}
	switch (off) {
	case 0x0c: r->gpe_sts &= ~(uint64_t)(val & mask); break;
	case 0x0e: r->gpe_en = (r->gpe_en & ~mask) | (val & mask); break;
	default:
		pci_put16(p->rest + off,
			(pci_get16(p->rest + off) & ~mask) | (val & mask));
	}
}

static uint32_t acpi_pm_read(void *opaque, uint16_t port, unsigned size)
{
	struct acpi_pm *p = opaque;
	unsigned off = (port - p->base) & (PM_BYTES - 1);

	/* The timer is read at once, or it could tear. */
	if (size == 4 && off == ACPI_PM_TMR)
		return acpi_regs_timer(&p->regs);
	if (size == 4)
		return acpi_pm_get(p, off & ~1u) |
		       (uint32_t)acpi_pm_get(p, (off & ~1u) + 2) << 16;
	return acpi_pm_get(p, off & ~1u) >> (size == 1 && off & 1 ? 8 : 0);
}

static void acpi_pm_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct acpi_pm *p = opaque;
	unsigned off = (port - p->base) & (PM_BYTES - 1);
	bool odd = size == 1 && (off & 1);

	if (size == 1)
		acpi_pm_put(p, off & ~1u, odd ? val << 8 : val,
			odd ? 0xff00 : 0x00ff);
	else
		acpi_pm_put(p, off & ~1u, val, 0xffff);
	if (size == 4)
		acpi_pm_put(p, (off & ~1u) + 2, val >> 16, 0xffff);
	acpi_regs_update(&p->regs);
}

/* ---- SMBus host ---- */

static uint32_t acpi_pm_smb_read(void *opaque, uint16_t port, unsigned size)
{
	struct acpi_pm *p = opaque;

	return p->smb[(port - p->smb_base) & (SMB_BYTES - 1)];
}

static void acpi_pm_smb_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct acpi_pm *p = opaque;
	unsigned off = (port - p->smb_base) & (SMB_BYTES - 1);

	if (off == SMB_HSTSTS) {
		p->smb[off] &= ~val;
		return;
	}
	p->smb[off] = val;
	if (off == SMB_HSTCNT && (val & SMB_HSTCNT_START)) {
		p->smb[SMB_HSTCNT] &= ~SMB_HSTCNT_START;
		p->smb[SMB_HSTSTS] |= SMB_DEV_ERR;
	}
}

static const struct bus_io_ops acpi_pm_ops = {
	.read = acpi_pm_read,
	.write = acpi_pm_write,
	.sizes = 1 | 2 | 4,
};

static const struct bus_io_ops acpi_pm_smb_ops = {
	.read = acpi_pm_smb_read,
	.write = acpi_pm_smb_write,
};

/* ---- configuration ---- */

static void acpi_pm_move(struct acpi_pm *p, uint16_t *at, uint16_t to,
	unsigned bytes, const struct bus_io_ops *ops)
{
	struct bus *b = p->dev.host.bus;

	if (*at == to)
		return;
	if (*at)
		bus_io_release(b, *at, bytes, p);
	*at = to;
	if (to)
		bus_io_claim(b, to, bytes, ops, p);
}

static void acpi_pm_config_written(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct acpi_pm *p = (struct acpi_pm *)f->dev;
	const uint8_t *c = f->config;

	acpi_pm_move(p, &p->base,
		c[PMREGMISC] & 1 ? pci_get16(c + PMBA) & 0xffc0 : 0, PM_BYTES,
		&acpi_pm_ops);
	acpi_pm_move(p, &p->smb_base,
		c[SMBHSTCFG] & 1 ? pci_get16(c + SMBBA) & 0xfff0 : 0, SMB_BYTES,
		&acpi_pm_smb_ops);
}

void acpi_pm_set_base(struct dev *d, uint16_t base)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	pci_put16(p->pci.config + PMBA, (base & 0xffc0) | 1);
	p->pci.config[PMREGMISC] |= 1;
	acpi_pm_config_written(&p->pci, PMBA, 2);
}

struct acpi_regs *acpi_pm_regs(struct dev *d)
{
	return &((struct acpi_pm *)d)->regs;
}

/* ---- life ---- */

static int acpi_pm_init(struct dev *d, char *err, unsigned errsize)
{
	struct acpi_pm *p = (struct acpi_pm *)d;
	struct pci_func *f = &p->pci;

	pci_func_init(f, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x7113,
			.class_code = 0x068000,
			.revision = 3,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	f->irq_pin = 1;
	f->config_written = acpi_pm_config_written;
	pci_put16(f->wmask + PMBA, 0xffc0);
	memset(f->wmask + 0x44, 0xff, PMREGMISC - 0x44); /* device monitors */
	f->wmask[PMREGMISC] = 0x0f;
	pci_put16(f->wmask + SMBBA, 0xfff0);
	f->wmask[SMBHSTCFG] = 0x0f;
	acpi_regs_init(&p->regs, d->host.bus);
	p->regs.off_types = 1u << ACPI_PM_S5_TYP;
	p->regs.sci = &d->host.gsi[ACPI_PM_SCI];
	return pci_func_plug(f, d->host.pci, (1 << 3) | 3);
}

static void acpi_pm_reset(struct dev *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;
	uint8_t *c = p->pci.config;

	pci_func_reset(&p->pci);
	memset(c + PMBA, 0, PCI_CONFIG_SIZE - PMBA);
	c[PMBA] = c[SMBBA] = 1;
	c[DEVACTB_3] = 0x02;
	memset(p->rest, 0, sizeof(p->rest));
	memset(p->smb, 0, sizeof(p->smb));
	acpi_pm_config_written(&p->pci, PMBA, 4);
	acpi_regs_reset(&p->regs);
}

static void acpi_pm_fini(struct dev *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	acpi_regs_fini(&p->regs);
	acpi_pm_move(p, &p->base, 0, PM_BYTES, NULL);
	acpi_pm_move(p, &p->smb_base, 0, SMB_BYTES, NULL);
	pci_func_unplug(&p->pci);
}

/* ---- state ---- */

static int acpi_pm_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct acpi_pm *p = obj;

	acpi_pm_config_written(&p->pci, PMBA, 4);
	return 0;
}

static const struct state_field acpi_pm_fields[] = {
	STATE_STRUCT(struct acpi_pm, pci, &pci_func_state),
	STATE_STRUCT(struct acpi_pm, regs, &acpi_regs_state),
	STATE_BYTES(struct acpi_pm, rest),
	STATE_BYTES(struct acpi_pm, smb),
};

static const struct state_list acpi_pm_state = STATE_LIST(
	"acpi_pm", struct acpi_pm, 1, acpi_pm_fields, .loaded = acpi_pm_loaded);

const struct dev_class acpi_pm_class = {
	.name = "acpi_pm",
	.size = sizeof(struct acpi_pm),
	.init = acpi_pm_init,
	.reset = acpi_pm_reset,
	.fini = acpi_pm_fini,
	.state = &acpi_pm_state,
};
