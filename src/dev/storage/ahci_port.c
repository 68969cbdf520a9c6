/*
 * ahci_port.c - a port of the AHCI controller: command slots, FISes, queued
 * commands (AHCI 1.3.1, chapters 3.3, 4 and 5; SATA 3.0, 10.5).
 *
 * Slots are taken in turn.  One command that is not queued is at work at a
 * time; queued ones are given to the drive at once and end in any order.  The
 * list, the tables and the FISes are guest memory: each is read once.  An
 * error halts the port until software clears ST.
 */
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"
#include "dev/storage/ahci_priv.h"

/* PxIS and PxIE */
#define IS_DHRS 0x00000001u
#define IS_PSS	0x00000002u
#define IS_SDBS 0x00000008u
#define IS_OFS	0x01000000u
#define IS_TFES 0x40000000u
#define IE_MASK 0xfdc000ffu

/* PxCMD */
#define CMD_ST	  0x00000001u
#define CMD_CLO	  0x00000008u
#define CMD_FRE	  0x00000010u
#define CMD_CCS	  0x00001f00u
#define CMD_FR	  0x00004000u
#define CMD_CR	  0x00008000u
#define CMD_ATAPI 0x01000000u
/* what software may write: POD, SUD, ST, FRE, ATAPI, DLAE, ALPE, ASP */
#define CMD_WRITABLE 0x0f000017u

#define SERR_X	  0x04000000u
#define SSTS_UP	  0x00000123u /* active, 3 Gb/s, communicating */
#define SIG_DISK  0x00000101u
#define SIG_CD	  0xeb140101u
#define TFD_EMPTY 0x7fu

/* where FISes are received */
#define RX_PIO	 0x20
#define RX_D2H	 0x40
#define RX_SDB	 0x58
#define RX_BYTES 0x100

#define FIS_H2D	      0x27
#define FIS_D2H	      0x34
#define FIS_PIO_SETUP 0x5f
#define FIS_SDB	      0xa1
#define FIS_I	      0x40
#define FIS_TO_HOST   0x20

/* ---- FISes to the host ---- */

static struct bus *port_bus(const struct ahci_port *p)
{
	return p->hba->dev.host.bus;
}

static void port_event(struct ahci_port *p, uint32_t is)
{
	p->is |= is;
	if (is & p->ie)
		ahci_update_irq(p->hba, true);
}

static void port_receive(
	struct ahci_port *p, unsigned at, const uint8_t *fis, unsigned len)
{
	if (p->cmd & CMD_FRE)
		bus_dma_write(port_bus(p), p->fb + at, fis, len);
}

static void fill_registers(const struct ata_drive *d, uint8_t *fis)
{
	fis[2] = d->status;
	fis[3] = d->error;
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = d->lba[i];
		fis[8 + i] = d->lba[i] >> 8;
	}
	fis[7] = d->device;
	fis[12] = d->count;
	fis[13] = d->count >> 8;
}

static void send_d2h(struct ahci_port *p, bool irq)
{
	struct ata_drive *d = &p->drive;
	uint8_t fis[20] = {FIS_D2H, irq ? FIS_I : 0};

	fill_registers(d, fis);
	p->tfd = d->status | d->error << 8;
	port_receive(p, RX_D2H, fis, sizeof(fis));
	port_event(
		p, (irq ? IS_DHRS : 0) | (d->status & ATA_ERR ? IS_TFES : 0));
}

static void send_pio_setup(struct ahci_port *p, uint32_t len, bool irq)
{
	struct ata_drive *d = &p->drive;
	uint8_t fis[20] = {FIS_PIO_SETUP, irq ? FIS_I : 0};

	if (d->phase == ATA_PIO_IN)
		fis[1] |= FIS_TO_HOST;
	fill_registers(d, fis);
	fis[15] = ATA_DRDY | ATA_DSC;
	fis[16] = len;
	fis[17] = len >> 8;
	p->tfd = fis[15];
	port_receive(p, RX_PIO, fis, sizeof(fis));
	if (irq)
		port_event(p, IS_PSS);
}

/* SATA 3.0, 10.3.7: queued commands that have ended. */
static void send_sdb(struct ahci_port *p, uint32_t done)
{
	struct ata_drive *d = &p->drive;
	uint8_t fis[8] = {FIS_SDB, FIS_I, d->status & 0x77, d->error};

	for (unsigned i = 0; i < 4; i++)
		fis[4 + i] = done >> (8 * i);
	p->tfd = (p->tfd & ATA_BSY) | (d->status & 0x77) | d->error << 8;
	port_receive(p, RX_SDB, fis, sizeof(fis));
	p->sact &= ~done;
	port_event(p, IS_SDBS | (d->status & ATA_ERR ? IS_TFES : 0));
}

/* ---- the end of a command ---- */

static void port_finish(struct ahci_port *p, bool ok)
{
	uint32_t moved = p->bytes;

	/* Cleared by ST meanwhile. */
	if (p->slot < 0)
		return;
	if (p->drive.io.prd.bus && !moved)
		moved = p->drive.io.moved;
	bus_dma_write(port_bus(p), p->header + 4, &moved, 4);
	if (ok)
		p->ci &= ~(1u << p->slot);
	else
		p->halted = true;
	p->slot = -1;
	ahci_port_run(p);
}

static void ahci_done(struct ata_drive *d, bool irq)
{
	struct ahci_port *p = d->port;
	bool ok = !(d->status & ATA_ERR);

	if (irq || !ok)
		send_d2h(p, true);
	else
		p->tfd = d->status | d->error << 8;
	port_finish(p, ok);
}

static void ahci_pio(struct ata_drive *d, bool irq)
{
	struct ahci_port *p = d->port;
	uint8_t *at = d->buf + d->x.pos;
	uint32_t len = d->x.block;
	uint64_t n;

	if (d->phase == ATA_CDB) { /* it is in the command table */
		ata_pio_done(d);
		return;
	}
	send_pio_setup(p, len, irq);
	n = prd_copy(&p->prd, at, len, d->phase == ATA_PIO_IN);
	p->bytes += n;
	if (n < len)
		port_event(p, IS_OFS);
	ata_pio_done(d);
}

static void ahci_dma(struct ata_drive *d)
{
	struct ahci_port *p = d->port;

	ata_dma_go(d, &p->prd);
}

/* 6.1.2: more data than the table has room for. */
static void ahci_dma_short(struct ata_drive *d)
{
	struct ahci_port *p = d->port;

	port_event(p, IS_OFS);
	ata_ok(d);
}

const struct ata_transport ahci_transport = {
	.pio = ahci_pio,
	.dma = ahci_dma,
	.dma_short = ahci_dma_short,
	.done = ahci_done,
	.whole_blocks = true,
	.sata = true,
};

/* ---- queued commands ---- */

static void ahci_ncq_end(struct ata_io *io)
{
	struct ahci_port *p = io->d->port;
	uint32_t bit = 1u << io->tag;

	p->queued &= ~bit;
	if (p->halted) /* what one's error stops does not end */
		return;
	if (io->rc) {
		ata_ncq_fail(io->d, io,
			io->kind == ATA_IO_READ ? ATA_E_UNC : ATA_E_ABRT);
		p->halted = true;
		send_sdb(p, 0);
		return;
	}
	if (io->moved < io->len)
		port_event(p, IS_OFS);
	io->d->status = ATA_DRDY | ATA_DSC;
	io->d->error = 0;
	send_sdb(p, bit);
	ahci_port_run(p);
}

static void start_ncq(struct ahci_port *p, unsigned slot)
{
	struct ata_drive *d = &p->drive;
	struct ata_io *io = &p->io[slot];

	io->tag = slot;
	io->prd = p->prd;
	io->end = ahci_ncq_end;
	io->moved = 0;
	/* The tag stands in the count; it must be the slot. */
	if ((d->count >> 3 & 31) == slot && ata_ncq(d, io)) {
		p->queued |= 1u << slot;
		p->ci &= ~(1u << slot);
		send_d2h(p, false);
		return;
	}
	io->off = ata_lba48(d) * ATA_SECTOR;
	ata_ncq_fail(d, io, d->error ? d->error : ATA_E_ABRT);
	p->halted = true;
	send_d2h(p, true);
}

/* ---- command slots ---- */

struct ahci_command {
	uint16_t flags, prdtl;
	uint8_t fis[64];
};

/* 4.2.2: the header, then the table that it names. */
static void fetch(struct ahci_port *p, unsigned slot, struct ahci_command *c)
{
	struct bus *b = port_bus(p);
	uint32_t h[4] = {0};
	gpa_t table;

	p->header = p->clb + slot * 32;
	bus_dma_read(b, p->header, h, sizeof(h));
	c->flags = h[0];
	c->prdtl = h[0] >> 16;
	table = (h[2] & ~127u) | (gpa_t)h[3] << 32;
	memset(c->fis, 0, sizeof(c->fis));
	bus_dma_read(b, table, c->fis, sizeof(c->fis));
	bus_dma_read(b, table + 0x40, p->drive.cdb, ATA_CDB_BYTES);
	prd_init_ahci(&p->prd, b, table + 0x80, c->prdtl);
	p->bytes = 0;
}

/* A FIS that sets the device control register: SRST, 10.4.1. */
static void control(struct ahci_port *p, unsigned slot, uint8_t val)
{
	bool reset = val & 4;

	p->ci &= ~(1u << slot);
	if (p->device_reset && !reset) {
		ata_reset(&p->drive, false);
		p->drive.device = 0;
		send_d2h(p, false);
	} else if (reset) {
		ata_abort(&p->drive);
		p->queued = 0;
	}
	p->device_reset = reset;
}

static void load_registers(struct ata_drive *d, const uint8_t *fis)
{
	d->command = fis[2];
	d->feature = fis[3] | fis[11] << 8;
	for (unsigned i = 0; i < 3; i++)
		d->lba[i] = fis[4 + i] | fis[8 + i] << 8;
	d->device = fis[7];
	d->count = fis[12] | fis[13] << 8;
}

static bool is_queued(uint8_t command)
{
	return command == ATA_CMD_FPDMA_READ || command == ATA_CMD_FPDMA_WRITE;
}

/* False: it has to wait. */
static bool start_slot(struct ahci_port *p, unsigned slot)
{
	struct ahci_command c;

	fetch(p, slot, &c);
	if (c.fis[0] != FIS_H2D) {
		p->ci &= ~(1u << slot);
		return true;
	}
	if (!(c.fis[1] & 0x80)) {
		control(p, slot, c.fis[15]);
		return true;
	}
	if (p->queued && !is_queued(c.fis[2]))
		return false;
	p->cmd = (p->cmd & ~CMD_CCS) | slot << 8;
	load_registers(&p->drive, c.fis);
	if (is_queued(c.fis[2])) {
		start_ncq(p, slot);
		return true;
	}
	p->slot = (int)slot;
	p->tfd |= ATA_BSY;
	p->drive.io.prd.bus = NULL; /* as yet it moves nothing by DMA */
	ata_command(&p->drive);
	return true;
}

static bool port_ready(const struct ahci_port *p)
{
	return (p->cmd & CMD_ST) && p->drive.present && !p->halted &&
	       p->slot < 0 && !(p->sctl & 1) &&
	       (p->hba->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

void ahci_port_run(struct ahci_port *p)
{
	uint32_t todo;

	if (p->running)
		return;
	p->running = true;
	todo = p->ci & ~p->queued;
	/* Each slot at most once: what ends at once may be issued again. */
	for (unsigned i = 1; i <= AHCI_SLOTS && port_ready(p); i++) {
		unsigned slot = (((p->cmd & CMD_CCS) >> 8) + 1) % AHCI_SLOTS;

		while (todo && !(todo >> slot & 1))
			slot = (slot + 1) % AHCI_SLOTS;
		if (!(todo >> slot & 1) || !start_slot(p, slot))
			break;
		todo &= ~(1u << slot);
	}
	p->running = false;
}

/* ---- the link ---- */

static void port_signature(struct ahci_port *p)
{
	p->sig = p->drive.atapi ? SIG_CD : SIG_DISK;
	send_d2h(p, false);
}

/* Give up all that the port is about. */
static void port_drop(struct ahci_port *p)
{
	if (p->drive.present)
		ata_abort(&p->drive);
	p->ci = p->sact = p->queued = 0;
	p->slot = -1;
	p->halted = false;
}

/* COMRESET, and what comes of it (10.4.2). */
static void port_link(struct ahci_port *p, bool up)
{
	port_drop(p);
	p->device_reset = false;
	p->sig = 0xffffffff;
	p->tfd = TFD_EMPTY;
	p->ssts = 0;
	if (!p->drive.present)
		return;
	if (!up) {
		p->tfd = TFD_EMPTY | ATA_BSY;
		return;
	}
	ata_reset(&p->drive, true);
	p->drive.device = 0;
	p->ssts = SSTS_UP;
	p->serr |= SERR_X;
	port_signature(p);
	if (p->ie & 1u << 6)
		ahci_update_irq(p->hba, true);
}

void ahci_port_reset(struct ahci_port *p)
{
	p->is = p->ie = p->serr = p->sctl = 0;
	p->cmd = 0x00000006; /* spun up, powered */
	port_link(p, true);
}

/* ---- registers ---- */

static void write_cmd(struct ahci_port *p, uint32_t val)
{
	uint32_t was = p->cmd;

	p->cmd = (was & ~CMD_WRITABLE) | (val & CMD_WRITABLE);
	p->cmd &= ~(CMD_FR | CMD_CR);
	if (val & CMD_FRE)
		p->cmd |= CMD_FR;
	if (val & CMD_ST)
		p->cmd |= CMD_CR;
	if (val & CMD_CLO)
		p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
	if ((was & CMD_ST) && !(val & CMD_ST)) {
		port_drop(p);
		p->cmd &= ~CMD_CCS;
		if (p->drive.present)
			p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
	}
	/* The signature may have waited for somebody to receive it. */
	if (!(was & CMD_FRE) && (val & CMD_FRE) && p->ssts)
		send_d2h(p, false);
	ahci_port_run(p);
}

static void write_sctl(struct ahci_port *p, uint32_t val)
{
	bool was = p->sctl & 1, now = val & 1;

	p->sctl = val & 0xfff;
	if (was != now)
		port_link(p, !now);
	else if ((val & 15) == 4) { /* disabled */
		port_link(p, false);
		p->tfd = TFD_EMPTY;
	}
}

uint32_t ahci_port_read(struct ahci_port *p, unsigned reg)
{
	switch (reg) {
	case 0x00: return p->clb;
	case 0x04: return p->clb >> 32;
	case 0x08: return p->fb;
	case 0x0c: return p->fb >> 32;
	case 0x10: return ahci_port_is(p);
	case 0x14: return p->ie;
	case 0x18: return p->cmd;
	case 0x20: return p->tfd;
	case 0x24: return p->sig;
	case 0x28: return p->ssts;
	case 0x2c: return p->sctl;
	case 0x30: return p->serr;
	case 0x34: return p->sact;
	case 0x38: return p->ci;
	}
	return 0;
}

static void set_low(uint64_t *reg, uint32_t val)
{
	*reg = (*reg & ~0xffffffffull) | val;
}

static void set_high(uint64_t *reg, uint32_t val)
{
	*reg = (*reg & 0xffffffff) | (uint64_t)val << 32;
}

void ahci_port_write(struct ahci_port *p, unsigned reg, uint32_t val)
{
	switch (reg) {
	case 0x00: set_low(&p->clb, val & ~1023u); break;
	case 0x04: set_high(&p->clb, val); break;
	case 0x08: set_low(&p->fb, val & ~255u); break;
	case 0x0c: set_high(&p->fb, val); break;
	case 0x10: p->is &= ~val; break;
	case 0x14:
		p->ie = val & IE_MASK;
		ahci_update_irq(p->hba, true);
		break;
	case 0x18: write_cmd(p, val); break;
	case 0x2c: write_sctl(p, val); break;
	case 0x30: p->serr &= ~val; break;
	case 0x34:
		if (p->cmd & CMD_ST)
			p->sact |= val;
		break;
	case 0x38:
		if (!(p->cmd & CMD_ST))
			break;
		p->ci |= val;
		ahci_port_run(p);
		break;
	}
}
