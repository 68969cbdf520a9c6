/*
 * ide.c - 82371SB (PIIX3) function 1: IDE with bus mastering, also as a
 * function of other boards, that look for it at the same ports.
 *
 * Intel 82371SB data sheet 290550-002, 2.3 (function 1) and 2.7 (bus master
 * registers); ATA/ATAPI-7 volume 2, 5.2 and 5.3 (registers, absent drives);
 * Programming Interface for Bus Master IDE Controller 1.0.
 *
 * Both drives of a cable see every write; the selected one answers.  Drive 0
 * answers for an absent drive 1, with a status of zero.  A cable without
 * drives floats, with DD7 pulled low.
 */
#include "dev/storage/ide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define IDETIM	   0x40
#define IDETIM_IDE 0x80 /* in the high byte: decode the ports */
#define SIDETIM	   0x44
#define BM_BAR	   4
#define FLOATING   0x7f

#define IDE_CDB_BYTES 12u

#define CONTROL_NIEN 0x02
#define CONTROL_SRST 0x04
#define CONTROL_HOB  0x80

#define BM_START  0x01
#define BM_READ	  0x08 /* from the drive */
#define BM_ACTIVE 0x01
#define BM_ERROR  0x02
#define BM_IRQ	  0x04
#define BM_DRIVES 0x60

struct ide_channel {
	struct ide *ide;
	unsigned index;
	struct ata_drive drive[2];
	unsigned selected;
	uint8_t control;
	uint32_t pos;	       /* in the data block */
	bool intrq[2];	       /* each drive's wish */
	bool line;	       /* what the cable has */
	bool claimed;	       /* ports */
	struct ata_drive *dma; /* the drive that bus mastering serves */
	uint8_t bm_command, bm_status;
	uint32_t bm_table;
};

struct ide {
	struct dev dev;
	struct pci_func pci;
	struct ide_channel ch[2];
};

static const uint16_t ide_ports[2] = {0x1f0, 0x170};

/* ---- interrupt ---- */

static void ide_update_irq(struct ide_channel *ch)
{
	bool line = ch->intrq[ch->selected] &&
		    !(ch->control & (CONTROL_NIEN | CONTROL_SRST));

	if (line == ch->line)
		return;
	ch->line = line;
	if (line)
		ch->bm_status |= BM_IRQ;
	bus_irq_set(&ch->ide->dev.host.gsi[14 + ch->index], line);
}

static void ide_intrq(struct ide_channel *ch, unsigned unit, bool on)
{
	ch->intrq[unit] = on;
	ide_update_irq(ch);
}

/* ---- what the drives ask of us ---- */

static void ide_pio(struct ata_drive *d, bool irq)
{
	struct ide_channel *ch = d->port;

	ch->pos = 0;
	if (irq)
		ide_intrq(ch, d->unit, true);
}

/* Let a drive that waits have the bus. */
static void ide_dma_try(struct ide_channel *ch)
{
	uint8_t command = ch->ide->pci.config[PCI_COMMAND];
	struct prd prd;

	if (ch->dma || !(ch->bm_status & BM_ACTIVE) ||
		!(command & PCI_COMMAND_MASTER))
		return;
	for (unsigned i = 0; i < 2 && !ch->dma; i++)
		if (ch->drive[i].phase == ATA_DMA)
			ch->dma = &ch->drive[i];
	if (!ch->dma)
		return;
	prd_init_ide(&prd, ch->ide->dev.host.bus, ch->bm_table);
	ata_dma_go(ch->dma, &prd);
}

static void ide_dma(struct ata_drive *d)
{
	ide_dma_try(d->port);
}

/* 3.1: no interrupt, not active: the table was smaller than the transfer,
 * which the drive still waits to go on. */
static void ide_dma_short(struct ata_drive *d)
{
	struct ide_channel *ch = d->port;

	d->status = ATA_DRDY | ATA_DRQ;
	ch->bm_status &= ~BM_ACTIVE;
	ch->dma = NULL;
}

static void ide_done(struct ata_drive *d, bool irq)
{
	struct ide_channel *ch = d->port;

	if (ch->dma == d) {
		/* Active beside the interrupt: regions are left over. */
		if (!d->io.prd.left && !d->io.prd.entries)
			ch->bm_status &= ~BM_ACTIVE;
		ch->dma = NULL;
	}
	if (irq)
		ide_intrq(ch, d->unit, true);
}

static const struct ata_transport ide_transport = {
	.pio = ide_pio,
	.dma = ide_dma,
	.dma_short = ide_dma_short,
	.done = ide_done,
};

/* ---- data ---- */

/* Up to n bytes of the block at hand. */
static uint8_t *ide_data(
	struct ide_channel *ch, enum ata_phase dir, unsigned *n)
{
	struct ata_drive *d = &ch->drive[ch->selected];
	uint32_t len;

	if (!d->present || (ch->control & CONTROL_SRST))
		return NULL;
	len = d->phase == ATA_CDB ? IDE_CDB_BYTES : d->x.block;
	/* A loaded state may say anything. */
	if (ch->pos >= len)
		return NULL;
	*n = MIN(*n, len - ch->pos);
	if (d->phase == ATA_CDB && dir == ATA_PIO_OUT)
		return d->cdb + ch->pos;
	if (d->phase != dir)
		return NULL;
	return d->buf + d->x.pos + ch->pos;
}

static void ide_data_moved(struct ide_channel *ch, unsigned n)
{
	struct ata_drive *d = &ch->drive[ch->selected];

	ch->pos += n;
	if (ch->pos < (d->phase == ATA_CDB ? IDE_CDB_BYTES : d->x.block))
		return;
	ide_intrq(ch, d->unit, false);
	ata_pio_done(d);
}

static uint32_t ide_data_read(struct ide_channel *ch, unsigned size)
{
	unsigned n = size;
	uint8_t *p = ide_data(ch, ATA_PIO_IN, &n);
	uint32_t val = 0;

	if (!p)
		return 0xffffff00 | FLOATING;
	memcpy(&val, p, n);
	ide_data_moved(ch, n);
	return val;
}

static void ide_data_write(struct ide_channel *ch, unsigned size, uint32_t val)
{
	unsigned n = size;
	uint8_t *p = ide_data(ch, ATA_PIO_OUT, &n);

	if (!p)
		return;
	memcpy(p, &val, n);
	ide_data_moved(ch, n);
}

/* The words of a block at once. */
static void ide_data_many(
	struct ide_channel *ch, unsigned size, uint8_t *buf, unsigned n, bool w)
{
	while (n) {
		unsigned len = n * size;
		uint8_t *p = ide_data(ch, w ? ATA_PIO_OUT : ATA_PIO_IN, &len);
		uint32_t val = 0;

		len -= len % size;
		if (p && len) {
			memcpy(w ? p : buf, w ? buf : p, len);
			ide_data_moved(ch, len);
		} else if (w) { /* none is wanted, or the rest of a block */
			len = size;
			memcpy(&val, buf, size);
			ide_data_write(ch, size, val);
		} else {
			len = size;
			val = ide_data_read(ch, size);
			memcpy(buf, &val, size);
		}
		buf += len;
		n -= len / size;
	}
}

/* ---- registers ---- */

static bool ide_empty(const struct ide_channel *ch)
{
	return !ch->drive[0].present && !ch->drive[1].present;
}

static uint8_t ide_status(struct ide_channel *ch)
{
	struct ata_drive *d = &ch->drive[ch->selected];

	if (ide_empty(ch))
		return FLOATING;
	if (!d->present)
		return 0;
	return ch->control & CONTROL_SRST ? ATA_BSY : d->status;
}

static uint8_t ide_half(const struct ide_channel *ch, uint16_t reg)
{
	return ch->control & CONTROL_HOB ? reg >> 8 : reg;
}

static uint8_t ide_reg_read(struct ide_channel *ch, unsigned reg)
{
	struct ata_drive *d = &ch->drive[ch->selected];
	uint8_t status = ide_status(ch);

	if (!d->present)
		d = &ch->drive[0];
	if (reg == 7) {
		ide_intrq(ch, ch->selected, false);
		return status;
	}
	if (!d->present)
		return FLOATING;
	if (status & ATA_BSY)
		return status; /* 5.2.9: then the others show it */
	switch (reg) {
	case 1: return ch->control & CONTROL_HOB ? 0 : d->error;
	case 2: return ide_half(ch, d->count);
	case 6:
		return (d->device & ~ATA_DEV_1) | 0xa0 |
		       (ch->selected ? ATA_DEV_1 : 0);
	default: return ide_half(ch, d->lba[reg - 3]);
	}
}

static void ide_command(struct ide_channel *ch, uint8_t command)
{
	struct ata_drive *d = &ch->drive[ch->selected];

	if (command == ATA_CMD_DIAGNOSTIC) {
		/* Both do it; drive 0 interrupts. */
		ch->selected = 0;
		for (unsigned i = 2; i-- > 0;) {
			ch->intrq[i] = false;
			ch->drive[i].command = command;
			if (ch->drive[i].present)
				ata_command(&ch->drive[i]);
			ch->drive[i].device = 0;
		}
		ch->intrq[1] = false;
		ide_update_irq(ch);
		return;
	}
	if (!d->present)
		return;
	ide_intrq(ch, ch->selected, false);
	d->command = command;
	ata_command(d);
}

static void ide_reg_write(struct ide_channel *ch, unsigned reg, uint8_t val)
{
	struct ata_drive *s = &ch->drive[ch->selected];
	bool at_work = s->present && (s->status & (ATA_BSY | ATA_DRQ));

	ch->control &= ~CONTROL_HOB;
	if (ch->control & CONTROL_SRST)
		return;
	if (at_work && !(reg == 7 && s->atapi && val == ATA_CMD_DEVICE_RESET))
		return;
	if (reg == 7) {
		ide_command(ch, val);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct ata_drive *d = &ch->drive[i];

		switch (reg) {
		case 1: d->feature = d->feature << 8 | val; break;
		case 2: d->count = d->count << 8 | val; break;
		case 6: d->device = val; break;
		default: d->lba[reg - 3] = d->lba[reg - 3] << 8 | val; break;
		}
	}
	if (reg == 6) {
		ch->selected = !!(val & ATA_DEV_1);
		ide_update_irq(ch);
	}
}

static void ide_reset_drives(struct ide_channel *ch, bool hard)
{
	for (unsigned i = 0; i < 2; i++) {
		if (hard)
			ata_power_on(&ch->drive[i]);
		else
			ata_reset(&ch->drive[i], false);
		ch->drive[i].device = 0;
		ch->intrq[i] = false;
	}
	ch->selected = 0;
	ch->dma = NULL;
	ch->pos = 0;
}

static void ide_control(struct ide_channel *ch, uint8_t val)
{
	bool rise = (val & CONTROL_SRST) && !(ch->control & CONTROL_SRST);

	ch->control = val;
	if (rise)
		ide_reset_drives(ch, false);
	ide_update_irq(ch);
}

/* ---- ports ---- */

static uint32_t ide_read(void *opaque, uint16_t port, unsigned size)
{
	struct ide_channel *ch = opaque;
	unsigned reg = port & 7;
	uint32_t val = 0;

	if (!reg)
		return ide_data_read(ch, size);
	for (unsigned i = 0; i < size && reg + i < 8; i++)
		val |= (uint32_t)ide_reg_read(ch, reg + i) << (8 * i);
	return val;
}

static void ide_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct ide_channel *ch = opaque;
	unsigned reg = port & 7;

	if (!reg) {
		ide_data_write(ch, size, val);
		return;
	}
	for (unsigned i = 0; i < size && reg + i < 8; i++)
		ide_reg_write(ch, reg + i, val >> (8 * i));
}

static void ide_many(void *opaque, uint16_t port, unsigned size, void *buf,
	unsigned n, bool write)
{
	uint8_t *p = buf;

	if (!(port & 7)) {
		ide_data_many(opaque, size, buf, n, write);
		return;
	}
	for (; n--; p += size) {
		uint32_t val = 0;

		memcpy(&val, p, size);
		if (write)
			ide_write(opaque, port, size, val);
		else
			val = ide_read(opaque, port, size);
		memcpy(p, &val, size);
	}
}

static uint32_t ide_alt_read(void *opaque, uint16_t port, unsigned size)
{
	return ide_status(opaque);
}

static void ide_alt_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	ide_control(opaque, val);
}

static const struct bus_io_ops ide_ops = {
	.read = ide_read,
	.write = ide_write,
	.many = ide_many,
	.sizes = 1 | 2 | 4,
};

static const struct bus_io_ops ide_alt_ops = {
	.read = ide_alt_read,
	.write = ide_alt_write,
};

/* ---- bus master ---- */

static void ide_bm_command(struct ide_channel *ch, uint8_t val)
{
	bool was = ch->bm_command & BM_START;

	ch->bm_command = val & (BM_START | BM_READ);
	if ((val & BM_START) && !was) {
		ch->bm_status |= BM_ACTIVE;
		ide_dma_try(ch);
	} else if (!(val & BM_START)) {
		/* What a worker moves just now comes to its end. */
		ch->bm_status &= ~BM_ACTIVE;
		ch->dma = NULL;
	}
}

static uint8_t ide_bm_read_byte(struct ide_channel *ch, unsigned reg)
{
	switch (reg) {
	case 0: return ch->bm_command;
	case 2: return ch->bm_status;
	case 4:
	case 5:
	case 6:
	case 7: return ch->bm_table >> (8 * (reg - 4));
	}
	return 0;
}

static void ide_bm_write_byte(struct ide_channel *ch, unsigned reg, uint8_t val)
{
	unsigned shift = 8 * (reg & 3);

	switch (reg) {
	case 0: ide_bm_command(ch, val); break;
	case 2:
		ch->bm_status &= ~(val & (BM_ERROR | BM_IRQ));
		ch->bm_status =
			(ch->bm_status & ~BM_DRIVES) | (val & BM_DRIVES);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		ch->bm_table &= ~(0xffu << shift);
		ch->bm_table |= (uint32_t)val << shift & ~3u;
		break;
	}
}

static uint32_t ide_bm_read(void *opaque, uint16_t port, unsigned size)
{
	struct ide *s = opaque;
	uint32_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= (uint32_t)ide_bm_read_byte(
			       &s->ch[(port + i) >> 3 & 1], (port + i) & 7)
		       << (8 * i);
	return val;
}

static void ide_bm_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct ide *s = opaque;

	for (unsigned i = 0; i < size; i++)
		ide_bm_write_byte(&s->ch[(port + i) >> 3 & 1], (port + i) & 7,
			val >> (8 * i));
}

static const struct bus_io_ops ide_bm_ops = {
	.read = ide_bm_read,
	.write = ide_bm_write,
	.sizes = 1 | 2 | 4,
};

/* ---- the function ---- */

static void ide_decode(struct ide_channel *ch, bool on)
{
	struct bus *b = ch->ide->dev.host.bus;
	uint16_t port = ide_ports[ch->index];

	if (on == ch->claimed)
		return;
	ch->claimed = on;
	if (on) {
		bus_io_claim(b, port, 8, &ide_ops, ch);
		bus_io_claim(b, port + 0x206, 1, &ide_alt_ops, ch);
	} else {
		bus_io_release(b, port, 8, ch);
		bus_io_release(b, port + 0x206, 1, ch);
	}
}

static void ide_update_decode(struct ide *s)
{
	bool io = s->pci.config[PCI_COMMAND] & PCI_COMMAND_IO;

	for (unsigned i = 0; i < 2; i++)
		ide_decode(&s->ch[i],
			io && (s->pci.config[IDETIM + 2 * i + 1] & IDETIM_IDE));
}

static void ide_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct ide *s = (struct ide *)f->dev;

	ide_update_decode(s);
	for (unsigned i = 0; i < 2; i++)
		ide_dma_try(&s->ch[i]);
}

void ide_enable(struct dev *d)
{
	struct ide *s = (struct ide *)d;

	s->pci.config[IDETIM + 1] = s->pci.config[IDETIM + 3] = IDETIM_IDE;
	ide_update_decode(s);
}

static int ide_init(struct dev *d, char *err, unsigned errsize)
{
	struct ide *s = (struct ide *)d;

	pci_func_init(&s->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x7010,
			.class_code = 0x010180,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	for (unsigned i = 0; i < 2; i++) {
		s->ch[i].ide = s;
		s->ch[i].index = i;
	}
	s->pci.bar[BM_BAR] = (struct pci_bar){
		.size = 16,
		.io = true,
		.ports = &ide_bm_ops,
		.opaque = s,
	};
	s->pci.config_written = ide_config_written;
	pci_put16(s->pci.wmask + PCI_COMMAND,
		PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	memset(s->pci.wmask + IDETIM, 0xff, 5);
	return pci_func_plug(&s->pci, d->host.pci,
		d->host.pci_slot < 0 ? IDE_DEVFN
				     : d->host.pci_slot << 3 | d->host.pci_fn);
}

int ide_attach(struct dev *d, unsigned n, const struct ata_conf *c)
{
	struct ide *s = (struct ide *)d;
	struct ide_channel *ch = &s->ch[n / 2];
	struct ata_drive *a = &ch->drive[n % 2];

	if (a->present)
		return -EBUSY;
	a->port = ch;
	a->unit = n % 2;
	return ata_init(a, d, &ide_transport, c);
}

struct ata_drive *ide_drive(struct dev *d, unsigned n)
{
	struct ide *s = (struct ide *)d;

	return &s->ch[n / 2].drive[n % 2];
}

static void ide_reset(struct dev *d)
{
	struct ide *s = (struct ide *)d;

	pci_func_reset(&s->pci);
	memset(s->pci.config + IDETIM, 0, 5);
	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *ch = &s->ch[i];

		ch->control = 0;
		ide_reset_drives(ch, true);
		ch->bm_command = ch->bm_status = 0;
		ch->bm_table = 0;
		ide_update_irq(ch);
	}
	ide_update_decode(s);
}

static void ide_fini(struct dev *d)
{
	struct ide *s = (struct ide *)d;

	for (unsigned n = 0; n < IDE_DRIVES; n++)
		ata_fini(ide_drive(d, n));
	for (unsigned i = 0; i < 2; i++)
		ide_decode(&s->ch[i], false);
	pci_func_unplug(&s->pci);
}

static void ide_describe(struct dev *d, char *buf, unsigned size)
{
	static const char *const place[] = {"0:0", "0:1", "1:0", "1:1"};
	unsigned at = 0;

	for (unsigned n = 0; n < IDE_DRIVES; n++) {
		struct ata_drive *a = ide_drive(d, n);

		if (!a->present || at >= size)
			continue;
		at += snprintf(
			buf + at, size - at, "%s%s ", at ? "; " : "", place[n]);
		if (at < size)
			ata_describe(a, buf + at, size - at);
		at = strlen(buf);
	}
}

/* ---- state ---- */

static void ide_drain(struct dev *d)
{
	for (unsigned n = 0; n < IDE_DRIVES; n++)
		ata_drain_all(ide_drive(d, n));
}

static int ide_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	ide_update_decode(obj);
	return 0;
}

static const struct state_field ide_channel_fields[] = {
	STATE_STRUCTS(struct ide_channel, drive, &ata_state),
	STATE(struct ide_channel, selected, .max = 1),
	STATE(struct ide_channel, control),
	STATE(struct ide_channel, pos, .max = ATA_BUFFER),
	STATE_ARRAY(struct ide_channel, intrq),
	STATE(struct ide_channel, line),
	STATE(struct ide_channel, bm_command),
	STATE(struct ide_channel, bm_status),
	STATE(struct ide_channel, bm_table),
};

static const struct state_list ide_channel_state =
	STATE_LIST("channel", struct ide_channel, 1, ide_channel_fields);

static const struct state_field ide_fields[] = {
	STATE_STRUCT(struct ide, pci, &pci_func_state),
	STATE_STRUCTS(struct ide, ch, &ide_channel_state),
};

static const struct state_list ide_state =
	STATE_LIST("ide", struct ide, 1, ide_fields, .loaded = ide_loaded);

const struct dev_class ide_class = {
	.name = "ide",
	.size = sizeof(struct ide),
	.init = ide_init,
	.reset = ide_reset,
	.fini = ide_fini,
	.describe = ide_describe,
	.state = &ide_state,
	.drain = ide_drain,
};
