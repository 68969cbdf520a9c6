/*
 * atapi.c - the PACKET command: SCSI commands over an ATA cable (ATA/ATAPI-7,
 * 6.34 and 9.8).
 *
 * Data go through the drive's buffer by PIO, or straight to guest memory by
 * DMA.  What touches the disc happens on the drive's worker thread.
 */
#include <string.h>

#include <glib.h>

#include "dev/storage/ata.h"

/* Before a data block: its length and direction. */
void atapi_block(struct ata_drive *d)
{
	d->lba[1] = d->x.block & 0xff;
	d->lba[2] = d->x.block >> 8 & 0xff;
	d->count = d->phase == ATA_PIO_IN ? ATAPI_IO : 0;
}

void ata_cmd_packet(struct ata_drive *d)
{
	unsigned limit = (d->lba[2] & 0xff) << 8 | (d->lba[1] & 0xff);

	if (d->feature & 2) { /* overlapped */
		ata_fail(d, ATA_E_ABRT);
		return;
	}
	d->dma_wanted = d->feature & 1;
	if (limit == 0xffff || limit < 2)
		limit = 0xfffe;
	d->x.packet = true;
	d->x.block_max = limit & ~1u;
	d->phase = ATA_CDB;
	d->count = ATAPI_CD;
	d->status = ATA_DRDY | ATA_DRQ;
	d->t->pio(d, false);
}

/* Status and sense data are there. */
static void atapi_finish(struct ata_drive *d)
{
	d->count = ATAPI_CD | ATAPI_IO;
	if (d->req.status == SCSI_GOOD)
		ata_ok(d);
	else
		ata_fail(d, d->req.why.key << 4 | ATA_E_ABRT);
}

static void atapi_filled(struct ata_io *io)
{
	struct ata_drive *d = io->d;

	if (!d->req_ended || d->req.status == SCSI_GOOD)
		ata_pio_in(d, (uint32_t)io->moved);
	else
		atapi_finish(d);
}

static void atapi_drained(struct ata_io *io);

void atapi_drain(struct ata_drive *d)
{
	ata_packet_step(d, d->x.len, atapi_drained);
}

static void atapi_drained(struct ata_io *io)
{
	struct ata_drive *d = io->d;

	if (d->req_ended)
		atapi_finish(d);
	else
		ata_take(d, (uint32_t)MIN(scsi_left(&d->req), ATA_BUFFER),
			atapi_drain);
}

void atapi_more(struct ata_drive *d)
{
	if (d->req_ended)
		atapi_finish(d);
	else
		ata_packet_step(d, ATA_BUFFER, atapi_filled);
}

static void atapi_ended(struct ata_io *io)
{
	atapi_finish(io->d);
}

void atapi_dma_end(struct ata_drive *d)
{
	if (d->req_ended)
		atapi_finish(d);
	else
		d->t->dma_short(d);
}

void atapi_packet(struct ata_drive *d)
{
	struct scsi_req *r = &d->req;

	scsi_drop(r); /* one that had no room for its data has not ended */
	memcpy(r->cdb, d->cdb, sizeof(r->cdb));
	scsi_begin(r, &d->scsi, 0);
	d->req_ended = false;
	d->requests++;
	if (!r->len)
		ata_packet_step(d, 0, atapi_ended);
	else if (d->dma_wanted)
		ata_dma_ready(d, ATA_IO_PACKET, 0, r->len);
	else if (r->dir == SCSI_IN)
		ata_packet_step(d, ATA_BUFFER, atapi_filled);
	else
		ata_take(d, (uint32_t)MIN(r->len, ATA_BUFFER), atapi_drain);
}
