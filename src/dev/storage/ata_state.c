/*
 * ata_state.c - what of an ATA drive is saved.
 *
 * Nothing is at work on the medium then: a command is over, waits for the host
 * (data by PIO, a command packet), or for its transport (DMA).
 */
#include <errno.h>
#include <stdio.h>
#include <sys/param.h>

#include "dev/state.h"
#include "dev/storage/ata.h"

#define IO_MAX_BYTES (65536ull * 2048)

void ata_drain_all(struct ata_drive *d)
{
	if (d->present)
		disk_queue_drain(d->queue);
}

static bool ata_data_ok(const struct ata_drive *d)
{
	const struct ata_xfer *x = &d->x;

	if (d->phase != ATA_PIO_IN && d->phase != ATA_PIO_OUT)
		return true;
	if (x->pos > x->len || x->block > x->len - x->pos)
		return false;
	return x->media || d->phase == ATA_PIO_IN || x->end;
}

static bool ata_dma_ok(const struct ata_drive *d)
{
	if (d->phase != ATA_DMA)
		return true;
	switch (d->io.kind) {
	case ATA_IO_BUF_IN: return d->io.len <= ATA_BUFFER;
	case ATA_IO_PACKET: return d->x.packet;
	default: return d->blk != NULL;
	}
}

/* A packet command waits for the host. */
static bool ata_packet_waits(const void *obj)
{
	const struct ata_drive *d = obj;

	return d->atapi && d->x.packet && d->phase != ATA_IDLE &&
	       d->phase != ATA_CDB;
}

static const char *ata_wrong(const struct ata_drive *d)
{
	if (!d->present)
		return d->phase == ATA_IDLE ? NULL : "the drive is not there";
	if (!ata_data_ok(d) || !ata_dma_ok(d))
		return "the transfer makes no sense";
	if (!d->blk && (d->x.media || (d->x.left && !d->x.packet)))
		return "there is no medium to go on with";
	if (d->x.packet && !d->atapi)
		return "a disk knows no packets";
	if (ata_packet_waits(d) && !d->req_ended && !d->req.unit)
		return "the packet command is missing";
	return NULL;
}

static int ata_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct ata_drive *d = obj;
	const char *wrong = ata_wrong(d);

	if (wrong) {
		snprintf(err, errsize, "%s", wrong);
		return -EINVAL;
	}
	d->io.d = d;
	d->io.blk = d->blk;
	d->io.buf = d->io.kind == ATA_IO_BUF_IN ? d->buf : NULL;
	d->io.to_guest =
		d->io.kind == ATA_IO_READ || d->io.kind == ATA_IO_BUF_IN;
	if (d->io.kind == ATA_IO_PACKET)
		d->io.to_guest = d->req.dir == SCSI_IN;
	return 0;
}

static void ata_packet_get(const void *obj, GByteArray *out)
{
	const struct ata_drive *d = obj;

	scsi_req_save(&d->req, d->req_ended, out);
}

static int ata_packet_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct ata_drive *d = obj;
	int rc;

	if (!d->atapi)
		return -EINVAL;
	rc = scsi_req_load(&d->req, &d->scsi, from, err, errsize);
	if (from->apply)
		d->req_ended = rc > 0;
	return MIN(rc, 0);
}

static const struct state_blob ata_packet = {.get = ata_packet_get,
	.put = ata_packet_put,
	.max = SCSI_REQ_STATE_MAX};

static const struct state_choice ata_ends[] = {
	{"ok", (const void *)ata_ok},
	{"packet", (const void *)atapi_drain},
	{NULL, NULL},
};

static const struct state_field ata_fields[] = {
	STATE(struct ata_drive, feature),
	STATE(struct ata_drive, count),
	STATE_ARRAY(struct ata_drive, lba),
	STATE(struct ata_drive, device),
	STATE(struct ata_drive, command),
	STATE(struct ata_drive, status),
	STATE(struct ata_drive, error),
	STATE(struct ata_drive, hob),
	STATE(struct ata_drive, phase, .max = ATA_DMA),
	STATE(struct ata_drive, x.off, .max = 1ull << 60),
	STATE(struct ata_drive, x.left, .max = IO_MAX_BYTES),
	STATE(struct ata_drive, x.len, .max = ATA_BUFFER),
	STATE(struct ata_drive, x.pos, .max = ATA_BUFFER),
	STATE(struct ata_drive, x.block, .max = ATA_BUFFER),
	STATE(struct ata_drive, x.block_max, .max = 0x10000),
	STATE(struct ata_drive, x.media),
	STATE(struct ata_drive, x.packet),
	STATE(struct ata_drive, x.flush),
	STATE_CHOICE(struct ata_drive, x.end, ata_ends),
	STATE(struct ata_drive, io.kind, .max = ATA_IO_PACKET),
	STATE(struct ata_drive, io.flush),
	STATE(struct ata_drive, io.off, .max = 1ull << 60),
	STATE(struct ata_drive, io.len, .max = IO_MAX_BYTES),
	STATE_MEM(struct ata_drive, buf, ATA_BUFFER),
	STATE_BYTES(struct ata_drive, cdb),
	STATE(struct ata_drive, cyls),
	STATE(struct ata_drive, heads, .max = 16),
	STATE(struct ata_drive, spt, .max = 255),
	STATE(struct ata_drive, multiple, .max = ATA_MULTIPLE),
	STATE(struct ata_drive, power),
	STATE(struct ata_drive, udma),
	STATE(struct ata_drive, mwdma),
	STATE(struct ata_drive, write_cache),
	STATE(struct ata_drive, look_ahead),
	STATE(struct ata_drive, smart),
	STATE(struct ata_drive, smart_save),
	STATE(struct ata_drive, asleep),
	STATE(struct ata_drive, ncq_failed),
	STATE_BYTES(struct ata_drive, ncq_log),
	STATE_STRUCT(struct ata_drive, scsi, &scsi_unit_state),
	STATE(struct ata_drive, dma_wanted),
	STATE_BLOB("packet", &ata_packet, .when = ata_packet_waits),
};

const struct state_list ata_state = STATE_LIST(
	"drive", struct ata_drive, 1, ata_fields, .loaded = ata_loaded);
