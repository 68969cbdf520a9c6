/*
 * ata_io.c - what worker threads do for ATA drives: move bytes between the
 * medium and a buffer or guest memory, flush, trim.  No lock is held.
 *
 * A command moves at most 65536 sectors; guest memory is taken in windows, so
 * that neither the number of regions nor their size matters.
 */
#include "dev/storage/ata.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#define WINDOW	   (4u << 20)
#define TRIM_BYTES (8u * ATA_SECTOR)

static int io_read_buf(struct ata_io *io)
{
	io->moved = io->len;
	return blk_pread(io->blk, io->buf, io->len, io->off);
}

static int io_write_buf(struct ata_io *io)
{
	io->moved = io->len;
	return blk_pwrite(io->blk, io->buf, io->len, io->off);
}

static int io_window(struct ata_io *io, struct dma_iov *v)
{
	uint64_t off = io->off + io->moved;
	int rc;

	if (io->kind == ATA_IO_WRITE)
		return blk_pwritev(io->blk, v->iov, (int)v->n, off);
	rc = blk_preadv(io->blk, v->iov, (int)v->n, off);
	if (!rc)
		dma_iov_written(v);
	return rc;
}

static int io_transfer(struct ata_io *io, struct dma_iov *v)
{
	bool write = io->kind == ATA_IO_WRITE;
	int rc = 0;

	while (io->moved < io->len && !rc && !io->d->stopping) {
		uint64_t n = prd_take(
			&io->prd, v, MIN(io->len - io->moved, WINDOW), write);

		if (!n)
			break;
		rc = io_window(io, v);
		if (!rc)
			io->moved += n;
	}
	dma_iov_clear(v);
	return rc;
}

/* Nothing of it is kept; errors of the medium show. */
static int io_verify(struct ata_io *io)
{
	uint8_t *buf = g_malloc(MIN(io->len, WINDOW));
	uint64_t end = MIN(io->off + io->len, io->blk->size);
	int rc = 0;

	for (uint64_t at = io->off; at < end && !rc && !io->d->stopping;
		at += WINDOW)
		rc = blk_pread(io->blk, buf, MIN(WINDOW, end - at), at);
	g_free(buf);
	return rc;
}

/* ACS-2, 7.10.3: entries of a 48-bit address and a 16-bit count. */
static int io_trim(struct ata_io *io)
{
	uint8_t buf[TRIM_BYTES];
	uint64_t len = MIN(io->len, sizeof(buf)), sectors;
	int rc = 0;

	io->moved = prd_copy(&io->prd, buf, len, false);
	sectors = io->blk->size / ATA_SECTOR;
	for (uint64_t i = 0; i + 8 <= io->moved && !rc; i += 8) {
		uint64_t e, lba, n;

		memcpy(&e, buf + i, 8);
		e = GUINT64_FROM_LE(e);
		lba = e & 0xffffffffffff;
		n = e >> 48;
		if (lba > sectors || n > sectors - lba)
			return -ERANGE;
		if (n)
			rc = blk_discard(
				io->blk, lba * ATA_SECTOR, n * ATA_SECTOR);
	}
	return rc;
}

struct io_packet {
	struct scsi_job j;
	struct ata_io *io;
};

static uint64_t io_packet_window(
	struct scsi_job *j, struct dma_iov *v, uint64_t bytes)
{
	struct ata_io *io = ((struct io_packet *)j)->io;

	return prd_take(&io->prd, v, bytes, !io->to_guest);
}

/* A piece of the data; the end too, if it is the last. */
static void io_packet(struct ata_io *io, struct dma_iov *v)
{
	struct ata_drive *d = io->d;
	struct io_packet p = {.io = io,
		.j = {.req = &d->req,
			.max = io->len,
			.buf = io->buf,
			.window = io->buf ? NULL : io_packet_window}};

	scsi_work(&p.j, v);
	io->moved = p.j.moved;
	if (scsi_left(&d->req))
		return;
	scsi_end(&d->req);
	d->req_ended = true;
}

static int io_do(struct ata_io *io, struct dma_iov *v)
{
	switch (io->kind) {
	case ATA_IO_READ: return io->buf ? io_read_buf(io) : io_transfer(io, v);
	case ATA_IO_WRITE:
		return io->buf ? io_write_buf(io) : io_transfer(io, v);
	case ATA_IO_VERIFY: return io_verify(io);
	case ATA_IO_FLUSH: return blk_flush(io->blk);
	case ATA_IO_TRIM: return io_trim(io);
	case ATA_IO_BUF_IN:
		io->moved = prd_copy(&io->prd, io->buf, io->len, true);
		return 0;
	case ATA_IO_PACKET: io_packet(io, v); return 0;
	}
	return -EINVAL;
}

void ata_io_work(struct disk_job *j, struct dma_iov *v)
{
	struct ata_io *io = (struct ata_io *)j;

	io->moved = 0;
	io->rc = io_do(io, v);
	if (!io->rc && io->flush)
		io->rc = blk_flush(io->blk);
}
