/*
 * lsi.c - an LSI 53C895A: PCI function, registers, interrupts (technical
 * manual, chapters 2 and 4).
 */
#include "dev/storage/lsi_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "dev/state.h"

#define BAR_REGS 0x400u /* the mapped registers; they repeat */

#define SCNTL1_RST  0x08
#define DCNTL_STD   0x04
#define DMODE_MAN   0x01
#define ISTAT_SRST  0x40
#define ISTAT_ABRT  0x80
#define CTEST3_BUSY 0x0c /* flushing and clearing the FIFO is done at once */

/* What stops SCRIPTS although it is masked: all but CMP, SEL, RSL, GEN, HTH
 * (2.2.16.2). */
#define FATAL0 0x8f
#define FATAL1 0x14

/* ---- interrupts ---- */

static bool scsi_pending(const struct lsi *d)
{
	return d->reg[LSI_SIST0] || d->reg[LSI_SIST1];
}

void lsi_update_irq(struct lsi *d)
{
	const uint8_t *r = d->reg;

	pci_set_intx(&d->pci, (r[LSI_DSTAT] & r[LSI_DIEN] & ~LSI_D_DFE) ||
				      (r[LSI_SIST0] & r[LSI_SIEN0]) ||
				      (r[LSI_SIST1] & r[LSI_SIEN1]) ||
				      (r[LSI_ISTAT0] & LSI_I_INTF));
}

void lsi_dma_interrupt(struct lsi *d, uint8_t dstat)
{
	d->reg[LSI_DSTAT] |= dstat;
	d->running = false;
	lsi_update_irq(d);
}

void lsi_scsi_interrupt(struct lsi *d, uint8_t sist0, uint8_t sist1)
{
	d->reg[LSI_SIST0] |= sist0;
	d->reg[LSI_SIST1] |= sist1;
	if ((sist0 & (FATAL0 | d->reg[LSI_SIEN0])) ||
		(sist1 & (FATAL1 | d->reg[LSI_SIEN1])))
		d->running = false;
	lsi_update_irq(d);
}

/* Of the status registers; reading clears them. */
static uint8_t take(struct lsi *d, unsigned reg)
{
	uint8_t v = d->reg[reg];

	d->reg[reg] = 0;
	lsi_update_irq(d);
	return v;
}

/* ---- resets ---- */

static void soft_reset(struct lsi *d)
{
	lsi_abandon(d);
	bus_timer_cancel(&d->go_on);
	bus_timer_cancel(&d->general);
	memset(d->reg, 0, sizeof(d->reg));
	d->running = d->carry = false;
	d->wait = LSI_WAIT_NOTHING;
	d->reg[LSI_SCNTL0] = 0xc0;
	d->reg[LSI_SCID] = LSI_HOST;
	d->reg[LSI_MACNTL] = 0xd0;
	d->reg[LSI_GPCNTL] = 0x0f;
	d->reg[LSI_STEST4] = 0xe0; /* LVD; the clock is locked */
	lsi_update_irq(d);
}

static void write_scntl1(struct lsi *d, uint8_t v)
{
	bool reset = v & ~d->reg[LSI_SCNTL1] & SCNTL1_RST;

	d->reg[LSI_SCNTL1] = v;
	if (!reset)
		return;
	lsi_bus_reset(d);
	d->wait = LSI_WAIT_NOTHING;
	lsi_scsi_interrupt(d, LSI_S0_RST, 0);
}

static void write_istat0(struct lsi *d, uint8_t v)
{
	uint8_t *r = &d->reg[LSI_ISTAT0];

	if (v & ISTAT_SRST) {
		soft_reset(d);
		return;
	}
	*r = (*r & LSI_I_INTF & ~v) | (v & 0xb0);
	if (v & ISTAT_ABRT) {
		if (d->wait == LSI_WAIT_DATA)
			lsi_abandon(d);
		d->wait = LSI_WAIT_NOTHING;
		*r &= ~ISTAT_ABRT;
		lsi_dma_interrupt(d, LSI_D_ABRT);
	}
	lsi_update_irq(d);
	if (v & LSI_I_SIGP)
		lsi_signalled(d);
}

/* 4: 4340 cycles of the 40 MHz clock, doubled by each step. */
static void write_stime1(struct lsi *d, uint8_t v)
{
	d->reg[LSI_STIME1] = v;
	if (v & 15)
		bus_timer_arm(
			&d->general, bus_clock_ns(d->dev.host.bus) +
					     ((4340ull * 25) << (v & 15)));
	else
		bus_timer_cancel(&d->general);
}

static void general_due(void *opaque)
{
	lsi_scsi_interrupt(opaque, 0, LSI_S1_GEN);
}

static void go_on_due(void *opaque)
{
	lsi_run(opaque);
}

/* ---- registers ---- */

static uint8_t read_istat0(const struct lsi *d)
{
	return d->reg[LSI_ISTAT0] | (d->connected ? LSI_I_CON : 0) |
	       (scsi_pending(d) ? 2 : 0) |
	       (d->reg[LSI_DSTAT] & ~LSI_D_DFE ? 1 : 0);
}

/* Control lines of the bus: REQ, BSY, ATN, MSG, C/D, I/O. */
static uint8_t read_sbcl(const struct lsi *d)
{
	if (!d->connected)
		return 0;
	return 0x20 | (d->atn ? 8 : 0) |
	       (d->phase == LSI_NO_REQ ? 0 : 0x80 | d->phase);
}

static uint8_t read_ctest2(struct lsi *d)
{
	uint8_t v = (d->reg[LSI_ISTAT0] & LSI_I_SIGP) << 1 | 0x31;

	d->reg[LSI_ISTAT0] &= ~LSI_I_SIGP;
	return v;
}

uint8_t lsi_reg_read(struct lsi *d, unsigned reg)
{
	switch (reg) {
	case LSI_SBCL: return read_sbcl(d);
	case LSI_DSTAT: return take(d, reg) | LSI_D_DFE;
	case LSI_SIST0:
	case LSI_SIST1: return take(d, reg);
	case LSI_SSTAT0: return d->reg[LSI_SCNTL1] & SCNTL1_RST ? 2 : 0;
	case LSI_SSTAT1: return d->phase & 7;
	case LSI_SSTAT2: return d->connected ? 0 : 2;
	case LSI_ISTAT0: return read_istat0(d);
	case LSI_ISTAT1: return d->running ? 2 : 0;
	case LSI_CTEST1: return 0xf0;
	case LSI_CTEST2: return read_ctest2(d);
	case LSI_SBDL:
	case LSI_SBDL + 1: return 0;
	}
	return d->reg[reg];
}

static void write_dcntl(struct lsi *d, uint8_t v)
{
	d->reg[LSI_DCNTL] = v & ~DCNTL_STD;
	if (v & DCNTL_STD)
		lsi_start(d);
}

void lsi_reg_write(struct lsi *d, unsigned reg, uint8_t v)
{
	switch (reg) {
	case LSI_SCNTL1: write_scntl1(d, v); return;
	case LSI_ISTAT0: write_istat0(d, v); return;
	case LSI_STIME1: write_stime1(d, v); return;
	case LSI_DCNTL: write_dcntl(d, v); return;
	case LSI_CTEST3: v &= ~CTEST3_BUSY; break;
	case LSI_MACNTL: v = (v & 15) | 0xd0; break;
	case LSI_STEST4:
	case LSI_ISTAT1:
	case LSI_DSTAT:
	case LSI_SIST0:
	case LSI_SIST1:
	case LSI_SSID: return;
	}
	d->reg[reg] = v;
	if (reg == LSI_DIEN || reg == LSI_SIEN0 || reg == LSI_SIEN1)
		lsi_update_irq(d);
	/* The highest byte of the pointer starts SCRIPTS. */
	if (reg == LSI_DSP + 3 && !(d->reg[LSI_DMODE] & DMODE_MAN))
		lsi_start(d);
}

static uint64_t read_bytes(struct lsi *d, unsigned reg, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)lsi_reg_read(d, (reg + i) % LSI_REGS) << (8 * i);
	return v;
}

static void write_bytes(struct lsi *d, unsigned reg, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		lsi_reg_write(d, (reg + i) % LSI_REGS, v >> (8 * i));
}

static uint64_t lsi_mmio_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	return read_bytes(opaque, off % LSI_REGS, size);
}

static void lsi_mmio_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	write_bytes(opaque, off % LSI_REGS, size, val);
}

static const struct bus_mmio_ops lsi_mmio = {lsi_mmio_read, lsi_mmio_write};

static uint32_t lsi_port_read(void *opaque, uint16_t port, unsigned size)
{
	return (uint32_t)read_bytes(opaque, port % LSI_REGS, size);
}

static void lsi_port_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	write_bytes(opaque, port % LSI_REGS, size, val);
}

static const struct bus_io_ops lsi_ports = {
	.read = lsi_port_read, .write = lsi_port_write, .sizes = 7};

/* ---- targets ---- */

int lsi_attach(struct dev *dev, unsigned target, struct scsi_conf *c)
{
	struct lsi *d = (struct lsi *)dev;
	int rc;

	if (target >= LSI_TARGETS || target == LSI_HOST)
		return -EINVAL;
	if (d->present[target])
		return -EBUSY;
	c->cable = SCSI_ON_PARALLEL;
	c->autosense = false;
	rc = scsi_unit_init(&d->unit[target], c);
	d->present[target] = !rc;
	return rc;
}

struct scsi_unit *lsi_unit(struct dev *dev, unsigned target)
{
	struct lsi *d = (struct lsi *)dev;

	return target < LSI_TARGETS && d->present[target] ? &d->unit[target]
							  : NULL;
}

/* ---- device ---- */

static int lsi_init(struct dev *dev, char *err, unsigned errsize)
{
	static const struct pci_ident id = {
		.vendor = 0x1000,
		.device = 0x0012,
		.class_code = 0x010000,
		.sub_vendor = 0x1000,
		.sub_id = 0x1000,
	};
	struct lsi *d = (struct lsi *)dev;
	int slot = dev->host.pci_slot, rc = -ENOMEM;
	void *ram = NULL;

	pci_func_init(&d->pci, dev, &id);
	d->pci.irq_pin = 1;
	d->pci.bar[0] = (struct pci_bar){
		.size = LSI_REGS, .io = true, .ports = &lsi_ports, .opaque = d};
	d->pci.bar[1] = (struct pci_bar){
		.size = BAR_REGS, .mmio = &lsi_mmio, .opaque = d};
	d->step.d = d;
	bus_timer_init(&d->go_on, dev->host.bus, go_on_due, d);
	bus_timer_init(&d->general, dev->host.bus, general_due, d);
	if (!posix_memalign(&ram, BUS_PAGE_SIZE, LSI_RAM)) {
		d->ram = memset(ram, 0, LSI_RAM);
		d->pci.bar[2] =
			(struct pci_bar){.size = LSI_RAM, .host = d->ram};
		rc = pci_func_plug(
			&d->pci, dev->host.pci, slot < 0 ? -1 : slot << 3);
	}
	if (!rc)
		d->queue = disk_queue_new(dev->host.bus, 1);
	if (d->queue)
		return 0;
	snprintf(err, errsize, "%s: %s", dev->id,
		rc ? "no free PCI slot" : "no worker thread");
	if (!rc)
		pci_func_unplug(&d->pci);
	free(d->ram);
	return rc ? rc : -EAGAIN;
}

static void lsi_reset(struct dev *dev)
{
	struct lsi *d = (struct lsi *)dev;

	soft_reset(d);
	memset(d->ram, 0, LSI_RAM);
	for (unsigned i = 0; i < LSI_TARGETS; i++)
		if (d->present[i])
			scsi_unit_power_on(&d->unit[i]);
	pci_func_reset(&d->pci);
}

static void lsi_fini(struct dev *dev)
{
	struct lsi *d = (struct lsi *)dev;

	soft_reset(d);
	disk_queue_free(d->queue);
	for (unsigned i = 0; i < LSI_TARGETS; i++)
		if (d->present[i])
			scsi_unit_fini(&d->unit[i]);
	pci_func_unplug(&d->pci);
	free(d->ram);
}

static void lsi_describe(struct dev *dev, char *buf, unsigned size)
{
	struct lsi *d = (struct lsi *)dev;
	char text[160];
	unsigned at;

	at = snprintf(buf, size, "SCRIPTS %s",
		!d->running ? "stand"
		: d->wait   ? "wait"
			    : "run");
	for (unsigned i = 0; i < LSI_TARGETS && at < size; i++) {
		if (!d->present[i])
			continue;
		scsi_describe(&d->unit[i], text, sizeof(text));
		at += snprintf(buf + at, size - at, "; %u: %s", i, text);
	}
}

/* ---- state ---- */

static bool lsi_quiet(void *opaque)
{
	const struct lsi *d = opaque;

	/* A worker that is at a command asks for a phase when it is done. */
	return !d->active || d->phase != LSI_NO_REQ;
}

static void lsi_drain(struct dev *dev)
{
	dev_wait(dev->host.bus, lsi_quiet, dev);
}

static void req_get(const void *obj, GByteArray *out)
{
	const struct lsi *d = obj;

	if (d->active)
		scsi_req_save(&d->req, d->ended, out);
}

static int req_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct lsi *d = obj;
	int rc;

	if (from->apply)
		d->active = d->ended = false;
	if (!from->n)
		return 0;
	rc = scsi_req_load(&d->req, &d->unit[d->target], from, err, errsize);
	if (from->apply && rc >= 0) {
		d->active = true;
		d->ended = rc > 0;
	}
	return MIN(rc, 0);
}

static const struct state_blob lsi_req = {
	.get = req_get, .put = req_put, .max = 2 * SCSI_MAX_PARAMS};

static int lsi_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct lsi *d = obj;

	if (d->running && !d->wait)
		bus_timer_arm(&d->go_on, bus_clock_ns(d->dev.host.bus));
	return 0;
}

static const struct state_field lsi_fields[] = {
	STATE_STRUCT(struct lsi, pci, &pci_func_state),
	STATE_BYTES(struct lsi, reg),
	STATE_MEM(struct lsi, ram, LSI_RAM),
	STATE_TIMER(struct lsi, general),
	STATE(struct lsi, running),
	STATE(struct lsi, carry),
	STATE(struct lsi, wait, .max = LSI_WAIT_DATA),
	STATE(struct lsi, connected),
	STATE(struct lsi, atn),
	STATE(struct lsi, timed_out),
	STATE(struct lsi, selected),
	STATE(struct lsi, phase, .max = LSI_NO_REQ),
	STATE(struct lsi, later, .max = LSI_NO_REQ),
	STATE(struct lsi, target, .max = LSI_TARGETS - 1),
	STATE(struct lsi, lun, .max = 63),
	STATE_BYTES(struct lsi, out),
	STATE_BYTES(struct lsi, in),
	STATE(struct lsi, nout, .max = LSI_MSG),
	STATE(struct lsi, nin, .max = LSI_MSG),
	STATE(struct lsi, over),
	STATE(struct lsi, move_at),
	STATE(struct lsi, move_left, .max = 0xffffff),
	STATE(struct lsi, move_high),
	STATE_STRUCTS(struct lsi, unit, &scsi_unit_state),
	STATE_BLOB("command", &lsi_req),
};

static const struct state_list lsi_state = STATE_LIST(
	"lsi53c895a", struct lsi, 1, lsi_fields, .loaded = lsi_loaded);

const struct dev_class lsi_class = {
	.name = "lsi53c895a",
	.size = sizeof(struct lsi),
	.init = lsi_init,
	.reset = lsi_reset,
	.fini = lsi_fini,
	.describe = lsi_describe,
	.state = &lsi_state,
	.drain = lsi_drain,
};
