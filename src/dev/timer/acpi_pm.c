/*
 * acpi_pm.c - power management function of the 82371AB (PIIX4), 00:01.3.
 *
 * Intel 82371AB data sheet 290562-001, chapter 7 (configuration: PMBA 40h,
 * DEVACTB 58h, PMREGMISC 80h, SMBBA 90h, SMBHSTCFG D2h; I/O space); ACPI 6.4,
 * 4.8 (fixed hardware: PM1 event and control, PM timer, GPE0).
 *
 * Ports 0xb2/0xb3 are the APM control and status; as there is no system
 * management mode, what the SMI handler would do to switch ACPI on and off is
 * done here, and APMC_EN reads as set already so that firmware does not try to
 * install such a handler.  Nothing is on the SMBus: every transaction ends
 * with a device error.
 */
#include <string.h>

#include "dev/pci/pci_priv.h"
#include "dev/timer/acpi_pm.h"
#include "dev/timer/ticks.h"

#define PM_TIMER_HZ 3579545u
#define PM_BYTES    64
#define SMB_BYTES   16

#define PMBA	  0x40
#define DEVACTB_3 0x5b /* bits 31:24 of it; APMC_EN is bit 25 */
#define PMREGMISC 0x80
#define SMBBA	  0x90
#define SMBHSTCFG 0xd2

#define PM1_TMR	   0x0001
#define PM1_BM	   0x0010
#define PM1_GBL	   0x0020
#define PM1_PWRBTN 0x0100
#define PM1_RTC	   0x0400
#define PM1_RSM	   0x8000
#define PM1_STS_ALL                                                            \
	(PM1_TMR | PM1_BM | PM1_GBL | PM1_PWRBTN | PM1_RTC | PM1_RSM)
#define PM1_EN_ALL     (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)
#define PM1_SCI_EN     0x0001
#define PM1_SLP_EN     0x2000
#define PM1_CNT_RW     0x1c03
#define PM1_SLP_TYP(v) (((v) >> 10) & 7)

#define SMB_HSTSTS	 0x00
#define SMB_HSTCNT	 0x02
#define SMB_HSTCNT_START 0x40
#define SMB_DEV_ERR	 0x04

struct acpi_pm {
	struct dev dev;
	struct pci_func pci;
	uint16_t base, smb_base; /* claimed now, 0 = none */
	uint16_t sts, en, cnt;
	uint16_t gpe_sts, gpe_en;
	uint8_t apmc, apms;
	uint8_t rest[PM_BYTES]; /* registers that only hold what is written */
	uint8_t smb[SMB_BYTES];
	uint64_t timer_high; /* bits 63:23 of the timer at the last look */
	struct bus_timer overflow;
};

static uint64_t acpi_pm_ticks(const struct acpi_pm *p)
{
	return ticks_of_ns(bus_clock_ns(p->dev.host.bus), PM_TIMER_HZ);
}

/* TMR_STS is set whenever bit 23 of the timer changes. */
static void acpi_pm_look(struct acpi_pm *p)
{
	uint64_t high = acpi_pm_ticks(p) >> 23;

	if (high != p->timer_high)
		p->sts |= PM1_TMR;
	p->timer_high = high;
}

static void acpi_pm_update(struct acpi_pm *p)
{
	bool sci;

	acpi_pm_look(p);
	sci = (p->cnt & PM1_SCI_EN) &&
	      ((p->sts & p->en & PM1_EN_ALL) || (p->gpe_sts & p->gpe_en));
	bus_irq_set(&p->dev.host.gsi[ACPI_PM_SCI], sci);
	if ((p->en & PM1_TMR) && !(p->sts & PM1_TMR))
		bus_timer_arm(&p->overflow,
			ticks_to_ns((p->timer_high + 1) << 23, PM_TIMER_HZ));
	else
		bus_timer_cancel(&p->overflow);
}

static void acpi_pm_overflow(void *opaque)
{
	acpi_pm_update(opaque);
}

static void acpi_pm_write_cnt(struct acpi_pm *p, uint16_t val)
{
	p->cnt = val & PM1_CNT_RW;
	if ((val & PM1_SLP_EN) && PM1_SLP_TYP(val) == ACPI_PM_S5_TYP)
		bus_request(p->dev.host.bus, BUS_REQ_POWEROFF);
}

/* The 16-bit register at an even offset. */
static uint16_t acpi_pm_get(struct acpi_pm *p, unsigned off)
{
	switch (off) {
	case 0x00: acpi_pm_look(p); return p->sts;
	case 0x02: return p->en;
	case 0x04: return p->cnt;
	case 0x08: return acpi_pm_ticks(p);
	case 0x0a: return acpi_pm_ticks(p) >> 16 & 0xff;
	case 0x0c: return p->gpe_sts;
	case 0x0e: return p->gpe_en;
	}
	return pci_get16(p->rest + off);
}

static void acpi_pm_put(
	struct acpi_pm *p, unsigned off, uint16_t val, uint16_t mask)
{
	switch (off) {
	case 0x00:
		acpi_pm_look(p);
		p->sts &= ~(val & mask & PM1_STS_ALL);
		break;
	case 0x02: p->en = ((p->en & ~mask) | (val & mask)) & PM1_EN_ALL; break;
	case 0x04: acpi_pm_write_cnt(p, (p->cnt & ~mask) | (val & mask)); break;
	case 0x08:
	case 0x0a: break;
	case 0x0c: p->gpe_sts &= ~(val & mask); break;
	case 0x0e: p->gpe_en = (p->gpe_en & ~mask) | (val & mask); break;
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
		return acpi_pm_ticks(p) & 0xffffff;
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
	acpi_pm_update(p);
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

/* ---- APM ports ---- */

static uint32_t acpi_pm_apm_read(void *opaque, uint16_t port, unsigned size)
{
	struct acpi_pm *p = opaque;

	return port == ACPI_PM_SMI_CMD ? p->apmc : p->apms;
}

static void acpi_pm_apm_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct acpi_pm *p = opaque;

	if (port != ACPI_PM_SMI_CMD) {
		p->apms = val;
		return;
	}
	p->apmc = val;
	if (val == ACPI_PM_ENABLE)
		p->cnt |= PM1_SCI_EN;
	else if (val == ACPI_PM_DISABLE)
		p->cnt &= ~PM1_SCI_EN;
	acpi_pm_update(p);
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

static const struct bus_io_ops acpi_pm_apm_ops = {
	.read = acpi_pm_apm_read,
	.write = acpi_pm_apm_write,
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

void acpi_pm_power_button(struct dev *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	p->sts |= PM1_PWRBTN;
	acpi_pm_update(p);
}

void acpi_pm_gpe(struct dev *d, unsigned n)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	p->gpe_sts |= 1u << (n & 15);
	acpi_pm_update(p);
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
	bus_timer_init(&p->overflow, d->host.bus, acpi_pm_overflow, p);
	bus_io_claim(d->host.bus, ACPI_PM_SMI_CMD, 2, &acpi_pm_apm_ops, p);
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
	p->sts = p->en = p->cnt = p->gpe_sts = p->gpe_en = 0;
	p->apmc = p->apms = 0;
	memset(p->rest, 0, sizeof(p->rest));
	memset(p->smb, 0, sizeof(p->smb));
	p->timer_high = acpi_pm_ticks(p) >> 23;
	acpi_pm_config_written(&p->pci, PMBA, 4);
	acpi_pm_update(p);
}

static void acpi_pm_fini(struct dev *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	bus_timer_cancel(&p->overflow);
	acpi_pm_move(p, &p->base, 0, PM_BYTES, NULL);
	acpi_pm_move(p, &p->smb_base, 0, SMB_BYTES, NULL);
	bus_io_release(d->host.bus, ACPI_PM_SMI_CMD, 2, p);
	pci_func_unplug(&p->pci);
}

const struct dev_class acpi_pm_class = {
	.name = "acpi_pm",
	.size = sizeof(struct acpi_pm),
	.init = acpi_pm_init,
	.reset = acpi_pm_reset,
	.fini = acpi_pm_fini,
};
