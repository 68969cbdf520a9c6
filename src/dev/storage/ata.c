/*
 * ata.c - an ATA drive: registers, phases of a command, the table of commands
 * (ATA/ATAPI-7 volume 1, chapter 6).
 *
 * A command is in one phase at a time.  Data between host and medium go
 * through a buffer for PIO, read ahead and written behind within the command,
 * or straight to guest memory for DMA.  Whatever touches the medium happens on
 * the drive's worker thread; while it does, the drive is busy.
 */
#include "dev/storage/ata.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#define NCQ_THREADS 4

/* ---- ends of a command ---- */

static void ata_end(struct ata_drive *d, uint8_t status, bool irq)
{
	d->phase = ATA_IDLE;
	d->status = status;
	d->t->done(d, irq);
}

static uint8_t ata_ready(const struct ata_drive *d)
{
	/* A CD drive says DSC only for overlapped commands. */
	return d->atapi ? ATA_DRDY : ATA_DRDY | ATA_DSC;
}

void ata_ok(struct ata_drive *d)
{
	d->error = 0;
	ata_end(d, ata_ready(d), true);
}

void ata_fail(struct ata_drive *d, uint8_t error)
{
	d->error = error;
	ata_end(d, ata_ready(d) | ATA_ERR, true);
}

/* The medium failed. */
static void ata_io_failed(struct ata_drive *d, const struct ata_io *io)
{
	bool write = io->kind == ATA_IO_WRITE || io->kind == ATA_IO_FLUSH;

	ata_set_lba48(d, (io->off + io->moved) / ATA_SECTOR);
	if (io->kind == ATA_IO_TRIM)
		ata_fail(d, ATA_E_ABRT);
	else
		ata_fail(d, write ? ATA_E_ABRT : ATA_E_UNC);
}

void ata_submit(struct ata_drive *d, struct ata_io *io)
{
	disk_queue_submit(d->queue, &io->job);
}

/* ---- the drive's one unqueued transfer ---- */

static void ata_io_done(struct disk_job *j)
{
	struct ata_io *io = (struct ata_io *)j;

	if (io->kind == ATA_IO_READ)
		io->d->bytes_read += io->moved;
	if (io->kind == ATA_IO_WRITE)
		io->d->bytes_written += io->moved;
	io->end(io);
}

static struct ata_io *ata_io_make(
	struct ata_drive *d, enum ata_io_kind kind, uint64_t off, uint64_t len)
{
	struct ata_io *io = &d->io;

	io->d = d;
	io->blk = d->blk;
	io->kind = kind;
	io->to_guest = kind == ATA_IO_READ || kind == ATA_IO_BUF_IN;
	io->flush = false;
	io->buf = NULL;
	io->off = off;
	io->len = len;
	return io;
}

static void ata_busy(struct ata_drive *d, void (*end)(struct ata_io *io))
{
	d->phase = ATA_BUSY;
	d->status = ata_ready(d) | ATA_BSY;
	d->io.end = end;
	ata_submit(d, &d->io);
}

/* Verify and flush end here. */
static void ata_plain_end(struct ata_io *io)
{
	if (io->rc)
		ata_io_failed(io->d, io);
	else
		ata_ok(io->d);
}

static void ata_plain(
	struct ata_drive *d, enum ata_io_kind kind, uint64_t off, uint64_t len)
{
	ata_io_make(d, kind, off, len);
	ata_busy(d, ata_plain_end);
}

/* ---- PIO ---- */

static void ata_block(struct ata_drive *d, enum ata_phase phase, bool irq)
{
	struct ata_xfer *x = &d->x;

	x->block = MIN(x->block_max, x->len - x->pos);
	if (d->t->whole_blocks)
		x->block = x->len - x->pos;
	d->phase = phase;
	d->status = ata_ready(d) | ATA_DRQ;
	if (x->packet)
		atapi_block(d);
	d->t->pio(d, irq);
}

void ata_pio_in(struct ata_drive *d, uint32_t len)
{
	d->x.len = len;
	d->x.pos = 0;
	ata_block(d, ATA_PIO_IN, true);
}

static void ata_fill_end(struct ata_io *io)
{
	struct ata_drive *d = io->d;

	if (io->rc) {
		ata_io_failed(d, io);
		return;
	}
	d->x.off += io->len;
	d->x.left -= io->len;
	ata_pio_in(d, (uint32_t)io->len);
}

static void ata_fill(struct ata_drive *d)
{
	ata_io_make(d, ATA_IO_READ, d->x.off, MIN(d->x.left, ATA_BUFFER))->buf =
		d->buf;
	ata_busy(d, ata_fill_end);
}

void ata_media_in(struct ata_drive *d, uint64_t off, uint64_t len)
{
	d->x.media = true;
	d->x.off = off;
	d->x.left = len;
	ata_fill(d);
}

static void ata_want(struct ata_drive *d, bool irq)
{
	d->x.len = (uint32_t)MIN(d->x.left, ATA_BUFFER);
	d->x.pos = 0;
	ata_block(d, ATA_PIO_OUT, irq);
}

void ata_media_out(struct ata_drive *d, uint64_t off, uint64_t len)
{
	d->x.media = true;
	d->x.off = off;
	d->x.left = len;
	ata_want(d, false);
}

static void ata_drain_end(struct ata_io *io)
{
	struct ata_drive *d = io->d;

	if (io->rc) {
		ata_io_failed(d, io);
		return;
	}
	d->x.off += io->len;
	d->x.left -= io->len;
	if (d->x.left)
		ata_want(d, true);
	else
		ata_ok(d);
}

static void ata_drain(struct ata_drive *d)
{
	struct ata_io *io = ata_io_make(d, ATA_IO_WRITE, d->x.off, d->x.len);

	io->buf = d->buf;
	io->flush = d->x.flush;
	ata_busy(d, ata_drain_end);
}

void ata_answer(struct ata_drive *d, uint32_t len)
{
	d->x.left = 0;
	if (!d->x.block_max)
		d->x.block_max = ATA_SECTOR;
	ata_pio_in(d, len);
}

void ata_take(
	struct ata_drive *d, uint32_t len, void (*end)(struct ata_drive *d))
{
	d->x.media = false;
	d->x.left = len;
	d->x.end = end;
	if (!d->x.block_max)
		d->x.block_max = ATA_SECTOR;
	ata_want(d, d->x.packet);
}

static void ata_pio_in_done(struct ata_drive *d)
{
	if (d->x.pos < d->x.len)
		ata_block(d, ATA_PIO_IN, true);
	else if (d->x.left)
		ata_fill(d);
	else if (d->x.packet)
		atapi_more(d);
	else
		/* 9.5: the last block's interrupt was the last. */
		ata_end(d, ata_ready(d), false);
}

void ata_pio_done(struct ata_drive *d)
{
	enum ata_phase phase = d->phase;

	if (phase == ATA_CDB) {
		atapi_packet(d);
		return;
	}
	d->x.pos += d->x.block;
	if (phase == ATA_PIO_IN)
		ata_pio_in_done(d);
	else if (d->x.pos < d->x.len)
		ata_block(d, ATA_PIO_OUT, true);
	else if (d->x.media)
		ata_drain(d);
	else
		d->x.end(d);
}

/* ---- DMA ---- */

static void ata_dma_end(struct ata_io *io)
{
	struct ata_drive *d = io->d;

	if (io->kind == ATA_IO_PACKET)
		atapi_dma_end(d);
	else if (io->rc)
		ata_io_failed(d, io);
	else if (io->moved < io->len && io->kind != ATA_IO_TRIM)
		d->t->dma_short(d);
	else
		ata_ok(d);
}

void ata_dma_ready(
	struct ata_drive *d, enum ata_io_kind kind, uint64_t off, uint64_t len)
{
	struct ata_io *io = ata_io_make(d, kind, off, len);

	io->flush = d->x.flush;
	if (kind == ATA_IO_BUF_IN)
		io->buf = d->buf;
	if (kind == ATA_IO_PACKET)
		io->to_guest = d->req.dir == SCSI_IN;
	d->phase = ATA_DMA;
	d->status = ata_ready(d) | ATA_DRQ;
	d->t->dma(d);
}

void ata_answer_dma(struct ata_drive *d, uint32_t len)
{
	ata_dma_ready(d, ATA_IO_BUF_IN, 0, len);
}

void ata_dma_go(struct ata_drive *d, const struct prd *prd)
{
	if (d->phase != ATA_DMA)
		return;
	d->io.prd = *prd;
	ata_busy(d, ata_dma_end);
}

/* ---- data of packet commands ---- */

void ata_packet_step(
	struct ata_drive *d, uint32_t max, void (*end)(struct ata_io *io))
{
	ata_io_make(d, ATA_IO_PACKET, 0, max)->buf = d->buf;
	if (d->req.blocks) {
		ata_busy(d, end);
	} else {
		ata_io_work(&d->io.job, NULL);
		end(&d->io);
	}
}

/* ---- addresses ---- */

void ata_set_lba48(struct ata_drive *d, uint64_t lba)
{
	for (unsigned i = 0; i < 3; i++)
		d->lba[i] = (lba >> (8 * i) & 0xff) |
			    (lba >> (8 * i + 24) & 0xff) << 8;
}

/* 6.2: cylinder, head and sector under the translation the host chose. */
static bool ata_chs(const struct ata_drive *d, uint64_t *lba)
{
	unsigned cyl = (d->lba[2] & 0xff) << 8 | (d->lba[1] & 0xff);
	unsigned head = d->device & 15, sector = d->lba[0] & 0xff;

	if (!d->spt || cyl >= d->cyls || head >= d->heads || !sector ||
		sector > d->spt)
		return false;
	*lba = ((uint64_t)cyl * d->heads + head) * d->spt + sector - 1;
	return true;
}

static bool ata_range(
	const struct ata_drive *d, bool ext, uint64_t *lba, uint64_t *n)
{
	*n = ext ? d->count : d->count & 0xff;
	if (!*n)
		*n = ext ? 65536 : 256;
	if (ext)
		*lba = ata_lba48(d);
	else if (d->device & ATA_DEV_LBA)
		*lba = (ata_lba48(d) & 0xffffff) | (d->device & 15) << 24;
	else if (!ata_chs(d, lba))
		return false;
	return *lba < d->sectors && *n <= d->sectors - *lba;
}

/* ---- reading, writing, verifying ---- */

enum {
	RW_WRITE = 1,
	RW_DMA = 2,
	RW_MULTI = 4,
	RW_EXT = 8,
	RW_FUA = 16,
	RW_VERIFY = 32,
	FOR_CD = 64, /* a CD drive knows it, too */
	ONLY_CD = 128,
};

struct ata_cmd {
	void (*fn)(struct ata_drive *d);
	uint8_t flags;
};

static const struct ata_cmd ata_cmds[256];

static void ata_cmd_rw(struct ata_drive *d)
{
	unsigned f = ata_cmds[d->command].flags;
	uint64_t lba, n;

	if ((f & RW_MULTI) && !d->multiple) {
		ata_fail(d, ATA_E_ABRT);
		return;
	}
	if (!ata_range(d, f & RW_EXT, &lba, &n)) {
		ata_fail(d, ATA_E_IDNF);
		return;
	}
	if ((f & RW_WRITE) && d->readonly) {
		ata_fail(d, ATA_E_ABRT | ATA_E_UNC); /* bit 6: protected */
		return;
	}
	d->requests++;
	d->x.flush = (f & RW_WRITE) && ((f & RW_FUA) || !d->write_cache);
	d->x.block_max = (f & RW_MULTI ? d->multiple : 1) * ATA_SECTOR;
	if (f & RW_VERIFY)
		ata_plain(d, ATA_IO_VERIFY, lba * ATA_SECTOR, n * ATA_SECTOR);
	else if (f & RW_DMA)
		ata_dma_ready(d, f & RW_WRITE ? ATA_IO_WRITE : ATA_IO_READ,
			lba * ATA_SECTOR, n * ATA_SECTOR);
	else if (f & RW_WRITE)
		ata_media_out(d, lba * ATA_SECTOR, n * ATA_SECTOR);
	else
		ata_media_in(d, lba * ATA_SECTOR, n * ATA_SECTOR);
}

static void ata_cmd_seek(struct ata_drive *d)
{
	uint64_t lba, n;

	d->count = 1;
	if (ata_range(d, false, &lba, &n))
		ata_ok(d);
	else
		ata_fail(d, ATA_E_IDNF);
}

static void ata_cmd_flush(struct ata_drive *d)
{
	d->requests++;
	ata_plain(d, ATA_IO_FLUSH, 0, 0);
}

static void ata_cmd_trim(struct ata_drive *d)
{
	if ((d->feature & 0xff) != 1 || !d->count || d->count > 8 ||
		d->readonly)
		ata_fail(d, ATA_E_ABRT);
	else
		ata_dma_ready(d, ATA_IO_TRIM, 0, d->count * ATA_SECTOR);
}

static void ata_cmd_read_buffer(struct ata_drive *d)
{
	ata_answer(d, ATA_SECTOR);
}

static void ata_cmd_write_buffer(struct ata_drive *d)
{
	ata_take(d, ATA_SECTOR, ata_ok);
}

static void ata_cmd_read_max(struct ata_drive *d)
{
	bool ext = d->command == 0x27;
	uint64_t last = d->sectors - 1;

	if (!ext)
		last = MIN(last, 0x0ffffffe);
	ata_set_lba48(d, last);
	if (!ext)
		d->device = (d->device & 0xf0) | (last >> 24 & 15);
	ata_ok(d);
}

/* ---- settings ---- */

static void ata_cmd_nothing(struct ata_drive *d)
{
	ata_ok(d);
}

static void ata_cmd_set_multiple(struct ata_drive *d)
{
	unsigned n = d->count & 0xff;

	if (n > ATA_MULTIPLE || (n & (n - 1))) {
		ata_fail(d, ATA_E_ABRT);
		return;
	}
	d->multiple = n;
	ata_ok(d);
}

/* 6.2.1: the capacity under a translation stays within 28 bits of CHS. */
static void ata_translate(struct ata_drive *d, unsigned heads, unsigned spt)
{
	uint64_t n = d->sectors / (heads * spt);

	d->heads = heads;
	d->spt = spt;
	d->cyls = MIN(n, heads == 16 && spt == 63 ? 16383 : 65535);
}

static void ata_cmd_init_params(struct ata_drive *d)
{
	unsigned spt = d->count & 0xff;

	if (!spt) {
		ata_fail(d, ATA_E_ABRT);
		return;
	}
	ata_translate(d, (d->device & 15) + 1, spt);
	ata_ok(d);
}

static bool ata_set_mode(struct ata_drive *d)
{
	unsigned kind = d->count >> 3 & 31, mode = d->count & 7;

	switch (kind) {
	case 0: return mode <= 1;
	case 1: return mode <= 4;
	case 4:
		if (mode > 2)
			return false;
		d->mwdma = 1u << mode;
		d->udma = 0;
		return true;
	case 8:
		if (mode > 5)
			return false;
		d->udma = 1u << mode;
		d->mwdma = 0;
		return true;
	}
	return false;
}

static void ata_cmd_set_features(struct ata_drive *d)
{
	bool ok = true;

	switch (d->feature & 0xff) {
	case 0x02: d->write_cache = !d->atapi; break;
	case 0x82:
		d->write_cache = false;
		if (!d->atapi) { /* what is in it goes to the medium */
			ata_cmd_flush(d);
			return;
		}
		break;
	case 0x03: ok = ata_set_mode(d); break;
	case 0x55: d->look_ahead = false; break;
	case 0xaa: d->look_ahead = true; break;
	case 0x66: /* keep, or forget, what was set at a software reset */
	case 0xcc: break;
	default: ok = false; break;
	}
	if (ok)
		ata_ok(d);
	else
		ata_fail(d, ATA_E_ABRT);
}

/* ---- power ---- */

enum {
	POWER_STANDBY = 0x00,
	POWER_IDLE = 0x80,
	POWER_ACTIVE = 0xff,
};

static void ata_cmd_power(struct ata_drive *d)
{
	unsigned c = d->command;

	if (c == 0xe5 || c == 0x98) {
		d->count = d->power;
		ata_ok(d);
		return;
	}
	if (c == 0xe6 || c == 0x99)
		d->asleep = true;
	else if (c == 0xe1 || c == 0xe3 || c == 0x95 || c == 0x97)
		d->power = POWER_IDLE;
	else
		d->power = POWER_STANDBY;
	/* 4.15: what the cache holds is on the medium before it stops. */
	if (!d->atapi && d->power == POWER_STANDBY)
		ata_cmd_flush(d);
	else
		ata_ok(d);
}

/* ---- reset ---- */

void ata_signature(struct ata_drive *d)
{
	d->count = d->lba[0] = 1;
	d->lba[1] = d->atapi ? 0x14 : 0;
	d->lba[2] = d->atapi ? 0xeb : 0;
	d->device &= ATA_DEV_1;
	d->error = 1; /* passed */
	d->status = d->atapi ? 0 : ATA_DRDY | ATA_DSC;
}

/* Whoever moves a lot looks at it from time to time. */
static void ata_stop(struct ata_drive *d)
{
	d->stopping = true;
	if (d->atapi)
		scsi_unit_stop(&d->scsi, true);
	disk_queue_stop(d->queue);
	d->stopping = false;
	if (d->atapi) {
		scsi_unit_stop(&d->scsi, false);
		scsi_drop(&d->req);
	}
}

void ata_abort(struct ata_drive *d)
{
	ata_stop(d);
	d->phase = ATA_IDLE;
	d->x = (struct ata_xfer){0};
	d->status = ata_ready(d);
}

void ata_reset(struct ata_drive *d, bool hard)
{
	if (!d->present)
		return;
	ata_abort(d);
	d->asleep = d->hob = false;
	d->power = POWER_ACTIVE;
	d->ncq_failed = false;
	if (hard) {
		d->multiple = 0;
		d->udma = d->mwdma = 0;
		if (d->t->sata)
			d->udma = 1 << 5;
		d->write_cache = !d->atapi;
		d->look_ahead = true;
		if (!d->atapi)
			ata_translate(d, 16, 63);
	}
	d->dma_wanted = false;
	if (d->atapi)
		scsi_unit_reset(&d->scsi, SCSI_AT_POWER_ON);
	ata_signature(d);
}

/* 9.16: ends with the signature and no error. */
static void ata_cmd_diagnostic(struct ata_drive *d)
{
	uint8_t unit = d->unit ? ATA_DEV_1 : 0;

	d->device = unit;
	ata_signature(d);
	ata_end(d, d->status, true);
}

static void ata_cmd_device_reset(struct ata_drive *d)
{
	uint8_t device = d->device & ATA_DEV_1;

	ata_reset(d, false);
	d->device = device;
	ata_end(d, d->status, false);
}

/* 9.14.4: a CD drive refuses these with its signature. */
static void ata_cmd_not_for_cd(struct ata_drive *d)
{
	uint8_t status = ATA_ERR;

	ata_signature(d);
	d->error = ATA_E_ABRT;
	ata_end(d, status, true);
}

static void ata_cmd_identify_ata(struct ata_drive *d)
{
	if (d->atapi)
		ata_cmd_not_for_cd(d);
	else
		ata_cmd_identify(d);
}

static void ata_cmd_read_sectors(struct ata_drive *d)
{
	if (d->atapi)
		ata_cmd_not_for_cd(d);
	else
		ata_cmd_rw(d);
}

/* clang-format off */
static const struct ata_cmd ata_cmds[256] = {
	[0x06] = {ata_cmd_trim, 0},
	[0x08] = {ata_cmd_device_reset, ONLY_CD},
	[0x10 ... 0x1f] = {ata_cmd_nothing, 0}, /* recalibrate */
	[0x20] = {ata_cmd_read_sectors, FOR_CD},
	[0x21] = {ata_cmd_rw, 0},
	[0x24] = {ata_cmd_rw, RW_EXT},
	[0x25] = {ata_cmd_rw, RW_EXT | RW_DMA},
	[0x27] = {ata_cmd_read_max, 0},
	[0x29] = {ata_cmd_rw, RW_EXT | RW_MULTI},
	[0x2f] = {ata_cmd_read_log, 0},
	[0x30] = {ata_cmd_rw, RW_WRITE},
	[0x31] = {ata_cmd_rw, RW_WRITE},
	[0x34] = {ata_cmd_rw, RW_WRITE | RW_EXT},
	[0x35] = {ata_cmd_rw, RW_WRITE | RW_EXT | RW_DMA},
	[0x39] = {ata_cmd_rw, RW_WRITE | RW_EXT | RW_MULTI},
	[0x3c] = {ata_cmd_rw, RW_WRITE},
	[0x3d] = {ata_cmd_rw, RW_WRITE | RW_EXT | RW_DMA | RW_FUA},
	[0x40] = {ata_cmd_rw, RW_VERIFY},
	[0x41] = {ata_cmd_rw, RW_VERIFY},
	[0x42] = {ata_cmd_rw, RW_VERIFY | RW_EXT},
	[0x47] = {ata_cmd_read_log, RW_DMA},
	[0x70 ... 0x7f] = {ata_cmd_seek, 0},
	[0x90] = {ata_cmd_diagnostic, FOR_CD},
	[0x91] = {ata_cmd_init_params, 0},
	[0x94 ... 0x99] = {ata_cmd_power, FOR_CD},
	[0xa0] = {ata_cmd_packet, ONLY_CD},
	[0xa1] = {ata_cmd_identify_packet, ONLY_CD},
	[0xb0] = {ata_cmd_smart, 0},
	[0xc4] = {ata_cmd_rw, RW_MULTI},
	[0xc5] = {ata_cmd_rw, RW_WRITE | RW_MULTI},
	[0xc6] = {ata_cmd_set_multiple, 0},
	[0xc8] = {ata_cmd_rw, RW_DMA},
	[0xc9] = {ata_cmd_rw, RW_DMA},
	[0xca] = {ata_cmd_rw, RW_WRITE | RW_DMA},
	[0xcb] = {ata_cmd_rw, RW_WRITE | RW_DMA},
	[0xce] = {ata_cmd_rw, RW_WRITE | RW_EXT | RW_MULTI | RW_FUA},
	[0xe0 ... 0xe3] = {ata_cmd_power, FOR_CD},
	[0xe4] = {ata_cmd_read_buffer, 0},
	[0xe5 ... 0xe6] = {ata_cmd_power, FOR_CD},
	[0xe7] = {ata_cmd_flush, 0},
	[0xe8] = {ata_cmd_write_buffer, 0},
	[0xea] = {ata_cmd_flush, 0},
	[0xec] = {ata_cmd_identify_ata, FOR_CD},
	[0xef] = {ata_cmd_set_features, FOR_CD},
	[0xf8] = {ata_cmd_read_max, 0},
};
/* clang-format on */

void ata_command(struct ata_drive *d)
{
	const struct ata_cmd *c = &ata_cmds[d->command];

	if (d->asleep && d->command != ATA_CMD_DEVICE_RESET)
		return; /* 4.15.4: only a reset wakes it */
	d->x = (struct ata_xfer){0};
	d->error = 0;
	d->hob = false;
	if (!c->fn || (d->atapi ? !(c->flags & (FOR_CD | ONLY_CD))
				: c->flags & ONLY_CD)) {
		ata_fail(d, ATA_E_ABRT);
		return;
	}
	if (c->fn != ata_cmd_power)
		d->power = POWER_ACTIVE;
	c->fn(d);
}

/* ---- queued commands (SATA 3.0, 13.6) ---- */

bool ata_ncq(struct ata_drive *d, struct ata_io *io)
{
	uint64_t lba = ata_lba48(d), n = d->feature ? d->feature : 65536;
	bool write = d->command == ATA_CMD_FPDMA_WRITE;

	d->error = 0;
	if (d->atapi || d->ncq_failed || (write && d->readonly))
		d->error = ATA_E_ABRT;
	else if (lba >= d->sectors || n > d->sectors - lba)
		d->error = ATA_E_IDNF;
	if (d->error) {
		d->status = ata_ready(d) | ATA_ERR;
		return false;
	}
	d->requests++;
	io->d = d;
	io->blk = d->blk;
	io->kind = write ? ATA_IO_WRITE : ATA_IO_READ;
	io->to_guest = !write;
	/* FUA is bit 7 of the device register. */
	io->flush = write && ((d->device & 0x80) || !d->write_cache);
	io->buf = NULL;
	io->off = lba * ATA_SECTOR;
	io->len = n * ATA_SECTOR;
	io->job.work = ata_io_work;
	io->job.done = ata_io_done;
	d->status = ata_ready(d);
	ata_submit(d, io);
	return true;
}

void ata_ncq_fail(struct ata_drive *d, const struct ata_io *io, uint8_t error)
{
	uint64_t lba = (io->off + io->moved) / ATA_SECTOR;

	d->ncq_failed = true;
	d->error = error;
	d->status = ata_ready(d) | ATA_ERR;
	memset(d->ncq_log, 0, sizeof(d->ncq_log));
	d->ncq_log[0] = io->tag;
	d->ncq_log[2] = d->status;
	d->ncq_log[3] = error;
	for (unsigned i = 0; i < 3; i++) {
		d->ncq_log[4 + i] = lba >> (8 * i);
		d->ncq_log[8 + i] = lba >> (8 * i + 24);
	}
	d->ncq_log[7] = ATA_DEV_LBA;
}

/* ---- life ---- */

void ata_power_on(struct ata_drive *d)
{
	if (!d->present)
		return;
	d->device = 0;
	d->feature = 0;
	d->smart = d->smart_save = true;
	if (d->atapi)
		scsi_unit_power_on(&d->scsi);
	ata_reset(d, true);
}

int ata_init(struct ata_drive *d, struct dev *dev,
	const struct ata_transport *t, const struct ata_conf *c)
{
	struct scsi_conf scsi = {.id = c->id,
		.blk = c->blk,
		.cd = true,
		.cable = SCSI_ON_ATAPI,
		.serial = c->serial};

	d->t = t;
	d->bus = dev->host.bus;
	d->blk = c->blk;
	d->atapi = c->atapi;
	d->readonly = c->readonly || (c->blk && c->blk->readonly);
	if (!c->atapi && (!c->blk || c->blk->size < ATA_SECTOR))
		return -EINVAL;
	if (c->atapi)
		scsi_unit_init(&d->scsi, &scsi);
	if (!c->atapi)
		d->sectors = MIN(c->blk->size / ATA_SECTOR, 0xffffffffffff);
	d->queue = disk_queue_new(d->bus, t->sata ? NCQ_THREADS : 1);
	if (!d->queue)
		return -EAGAIN;
	d->buf = g_malloc0(ATA_BUFFER);
	d->io.job.work = ata_io_work;
	d->io.job.done = ata_io_done;
	d->present = true;
	g_strlcpy(d->model, c->atapi ? "VMESTE CD-ROM" : "VMESTE DISK",
		sizeof(d->model));
	if (c->serial)
		g_strlcpy(d->serial, c->serial, sizeof(d->serial));
	else
		snprintf(d->serial, sizeof(d->serial), "VMESTE-%s", c->id);
	ata_power_on(d);
	return 0;
}

void ata_fini(struct ata_drive *d)
{
	if (!d->present)
		return;
	disk_queue_free(d->queue);
	if (d->atapi) {
		scsi_drop(&d->req);
		scsi_unit_fini(&d->scsi);
	}
	g_free(d->buf);
	d->present = false;
}

void ata_describe(struct ata_drive *d, char *buf, unsigned size)
{
	if (d->atapi) {
		scsi_describe(&d->scsi, buf, size);
		return;
	}
	snprintf(buf, size, "disk %llu MiB %s%s, %llu requests",
		(unsigned long long)(d->blk->size >> 20), d->blk->ops->name,
		d->readonly ? " read-only" : "",
		(unsigned long long)d->requests);
}
