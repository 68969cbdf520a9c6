/*
 * scsi_disk.c - commands of direct access units (SBC-3, chapter 5).
 */
#include "dev/storage/scsi.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#define SAME_CHUNK 65536u

/* Where a command of 6, 10, 12 or 16 bytes says what it reads or writes:
 * the group code in the operation code (SPC-4, 4.2.5.1). */
static void get_range(const struct scsi_req *r, uint64_t *lba, uint64_t *n)
{
	const uint8_t *c = r->cdb;

	switch (c[0] >> 5) {
	case 0:
		*lba = scsi_get32(c) & 0x1fffff;
		*n = c[4] ? c[4] : 256;
		break;
	case 4:
		*lba = scsi_get64(c + 2);
		*n = scsi_get32(c + 10);
		break;
	case 5:
		*lba = scsi_get32(c + 2);
		*n = scsi_get32(c + 6);
		break;
	default:
		*lba = scsi_get32(c + 2);
		*n = scsi_get16(c + 7);
		break;
	}
}

static bool six(const struct scsi_req *r)
{
	return r->cdb[0] < 0x20;
}

/* Where the length stands, for sense data. */
static unsigned length_at(const struct scsi_req *r)
{
	static const uint8_t at[8] = {4, 7, 7, 7, 10, 6, 7, 7};

	return at[r->cdb[0] >> 5];
}

/* ---- reading and writing ---- */

static void disk_rw(struct scsi_req *r, enum scsi_dir dir)
{
	uint64_t lba, n;

	get_range(r, &lba, &n);
	if (!six(r) && (r->cdb[1] & 0xe0)) /* formatted without protection */
		scsi_bad_cdb(r, 1);
	else if (n > SCSI_MAX_BLOCKS)
		scsi_bad_cdb(r, length_at(r));
	else
		scsi_media(r, dir, lba, n);
}

static void disk_read(struct scsi_req *r)
{
	disk_rw(r, SCSI_IN);
}

static void disk_write(struct scsi_req *r)
{
	bool fua = !six(r) && (r->cdb[1] & 8);

	disk_rw(r, SCSI_OUT);
	r->flush = fua || !r->unit->write_cache;
}

static void disk_write_verify(struct scsi_req *r)
{
	disk_rw(r, SCSI_OUT);
	r->flush = true;
}

/* What is on the medium is read, and not kept. */
static void verify_medium(struct scsi_req *r)
{
	struct blk *b = scsi_hold(r);
	g_autofree uint8_t *buf = NULL;
	uint64_t lba, n, at, left;
	int rc = 0;

	if (!b)
		return;
	get_range(r, &lba, &n);
	at = lba * r->unit->block_bytes;
	left = n * r->unit->block_bytes;
	buf = g_malloc(SAME_CHUNK);
	while (left && !rc && !r->unit->stopping) {
		size_t len = MIN(left, SAME_CHUNK);

		rc = blk_pread(b, buf, len, at);
		at += rc ? 0 : len;
		left -= len;
	}
	scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, false, at);
}

static void disk_verify(struct scsi_req *r)
{
	unsigned check = r->cdb[1] >> 1 & 3;
	uint64_t lba, n;

	get_range(r, &lba, &n);
	if ((r->cdb[1] & 0xe0) || check > 1) {
		scsi_bad_cdb(r, 1);
	} else if (n > SCSI_MAX_BLOCKS) {
		scsi_bad_cdb(r, length_at(r));
	} else if (check) {
		r->verify = true;
		scsi_media(r, SCSI_OUT, lba, n);
	} else if (scsi_range(r, lba, n) && n) {
		scsi_slow(r, verify_medium);
	}
}

static void flush(struct scsi_req *r)
{
	struct blk *b = scsi_hold(r);
	int rc;

	if (!b)
		return;
	rc = blk_flush(b);
	scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, true, 0);
}

static void disk_sync(struct scsi_req *r)
{
	uint64_t lba, n;

	get_range(r, &lba, &n);
	if (scsi_range(r, lba, n))
		scsi_slow(r, flush);
}

static void disk_seek(struct scsi_req *r)
{
	uint64_t lba, n;

	get_range(r, &lba, &n);
	scsi_range(r, lba, 1);
}

/* ---- unmapping (5.28, 5.43) ---- */

static int unmap_ranges(struct scsi_req *r, struct blk *b, unsigned n)
{
	uint64_t blocks = b->size / r->unit->block_bytes;
	const uint8_t *p = r->buf + 8;
	int rc = 0;

	for (unsigned i = 0; i < n && !rc; i++, p += 16) {
		uint64_t lba = scsi_get64(p), count = scsi_get32(p + 8);

		if (lba > blocks || count > blocks - lba) {
			scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x21, 0);
			return 0;
		}
		rc = blk_discard(b, lba * r->unit->block_bytes,
			count * r->unit->block_bytes);
	}
	return rc;
}

static void unmap(struct scsi_req *r)
{
	struct blk *b;
	unsigned n;
	int rc;

	if (!r->len)
		return;
	if (r->len < 8) {
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x1a, 0);
		return;
	}
	n = MIN(scsi_get16(r->buf + 2), r->len - 8) / 16;
	b = scsi_hold(r);
	if (!b)
		return;
	rc = unmap_ranges(r, b, n);
	if (!rc && !r->failed && !r->unit->write_cache)
		rc = blk_flush(b);
	scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, true, 0);
}

static void disk_unmap(struct scsi_req *r)
{
	if (!r->unit->blk->can_discard) {
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x20, 0);
	} else if (r->cdb[1] & 1) { /* anchoring */
		scsi_bad_cdb(r, 1);
	} else {
		scsi_take(r, scsi_get16(r->cdb + 7), unmap);
		r->blocks = true;
	}
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !p || (!p[0] && !memcmp(p, p + 1, len - 1));
}

static int write_pattern(
	struct scsi_req *r, struct blk *b, uint64_t at, uint64_t left)
{
	uint32_t block = r->unit->block_bytes;
	g_autofree uint8_t *buf = g_malloc(SAME_CHUNK);
	int rc = 0;

	for (uint32_t i = 0; i < SAME_CHUNK; i += block)
		memcpy(buf + i, r->buf, block);
	while (left && !rc && !r->unit->stopping) {
		size_t len = MIN(left, SAME_CHUNK);

		rc = blk_pwrite(b, buf, len, at);
		at += len;
		left -= len;
	}
	return rc;
}

static void write_same(struct scsi_req *r)
{
	uint32_t block = r->unit->block_bytes;
	struct blk *b = scsi_hold(r);
	uint64_t lba, n;
	int rc;

	if (!b)
		return;
	get_range(r, &lba, &n);
	if (is_zero(r->buf, block))
		rc = blk_write_zeroes(b, lba * block, n * block, r->cdb[1] & 8);
	else
		rc = write_pattern(r, b, lba * block, n * block);
	if (!rc && !r->unit->write_cache)
		rc = blk_flush(b);
	scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, true, lba * block);
}

static void disk_write_same(struct scsi_req *r)
{
	bool none = r->cdb[0] == 0x93 && (r->cdb[1] & 1); /* no data are sent */
	uint64_t lba, n;

	get_range(r, &lba, &n);
	if (r->cdb[1] & 0xf6) /* protection, anchor, obsolete bits */
		scsi_bad_cdb(r, 1);
	else if (r->cdb[0] == 0x41 && (r->cdb[1] & 1))
		scsi_bad_cdb(r, 1);
	else if (!n || n > SCSI_MAX_SAME)
		scsi_bad_cdb(r, length_at(r));
	else if (scsi_range(r, lba, n)) {
		scsi_take(r, none ? 0 : r->unit->block_bytes, write_same);
		r->blocks = true;
	}
}

/* ---- capacity and odd ends ---- */

static void disk_capacity10(struct scsi_req *r)
{
	uint64_t last = scsi_blocks(r->unit) - 1;
	uint8_t *b = scsi_buffer(r, 8);

	scsi_put32(b, MIN(last, UINT32_MAX));
	scsi_put32(b + 4, r->unit->block_bytes);
	scsi_answer(r, 8, 8);
}

/* 5.16; the other service actions are not supported. */
static void disk_service_in16(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;
	uint8_t *b;

	if ((r->cdb[1] & 31) != 0x10) {
		scsi_bad_cdb(r, 1);
		return;
	}
	b = scsi_buffer(r, 32);
	scsi_put64(b, scsi_blocks(u) - 1);
	scsi_put32(b + 8, u->block_bytes);
	b[13] = 3; /* eight to a physical one */
	if (u->blk->can_discard && !u->readonly)
		b[14] = 0x80;
	scsi_answer(r, 32, scsi_get32(r->cdb + 10));
}

/* 5.17: no block is bad, in the format that is asked for. */
static void disk_defects(struct scsi_req *r)
{
	bool ten = r->cdb[0] == 0x37;
	uint8_t *b = scsi_buffer(r, 8);

	b[1] = r->cdb[ten ? 2 : 1] & 0x1f;
	if (ten)
		scsi_answer(r, 4, scsi_get16(r->cdb + 7));
	else
		scsi_answer(r, 8, scsi_get32(r->cdb + 6));
}

static void formatted(struct scsi_req *r)
{
}

/* 5.3: what is on the medium afterwards is the unit's choice: what was. */
static void disk_format(struct scsi_req *r)
{
	if (r->cdb[1] & 0x10)
		scsi_take(r, r->cdb[1] & 0x20 ? 8 : 4, formatted);
}

/* SPC-4, 6.43: the self-test passes. */
static void disk_diagnostic(struct scsi_req *r)
{
	if (scsi_get16(r->cdb + 3))
		scsi_bad_cdb(r, 3);
}

/* SPC-4, 6.8: the page that lists pages lists itself. */
static void disk_log_sense(struct scsi_req *r)
{
	uint8_t *b;

	if ((r->cdb[2] & 0x3f) || r->cdb[3]) {
		scsi_bad_cdb(r, 2);
		return;
	}
	b = scsi_buffer(r, 8);
	b[3] = 1;
	scsi_answer(r, 5, scsi_get16(r->cdb + 7));
}

#define ANY    SCSI_F_ANY_TIME
#define MEDIUM SCSI_F_NEEDS_MEDIUM
#define WRITES (SCSI_F_NEEDS_MEDIUM | SCSI_F_WRITES)

/* clang-format off */
const struct scsi_cmd scsi_disk_cmds[256] = {
	[0x00] = {scsi_cmd_ok, MEDIUM}, /* TEST UNIT READY */
	[0x01] = {scsi_cmd_ok, MEDIUM}, /* REZERO UNIT */
	[0x03] = {scsi_cmd_request_sense, ANY},
	[0x04] = {disk_format, WRITES},
	[0x08] = {disk_read, MEDIUM},
	[0x0a] = {disk_write, WRITES},
	[0x0b] = {disk_seek, MEDIUM},
	[0x12] = {scsi_cmd_inquiry, ANY},
	[0x15] = {scsi_cmd_mode_select, 0},
	[0x16] = {scsi_cmd_ok, 0}, /* RESERVE: there is one host */
	[0x17] = {scsi_cmd_ok, 0}, /* RELEASE */
	[0x1a] = {scsi_cmd_mode_sense, 0},
	[0x1b] = {scsi_cmd_start_stop, 0},
	[0x1d] = {disk_diagnostic, 0},
	[0x1e] = {scsi_cmd_prevent, 0},
	[0x25] = {disk_capacity10, MEDIUM},
	[0x28] = {disk_read, MEDIUM},
	[0x2a] = {disk_write, WRITES},
	[0x2b] = {disk_seek, MEDIUM},
	[0x2e] = {disk_write_verify, WRITES},
	[0x2f] = {disk_verify, MEDIUM},
	[0x35] = {disk_sync, MEDIUM},
	[0x37] = {disk_defects, MEDIUM},
	[0x41] = {disk_write_same, WRITES},
	[0x42] = {disk_unmap, WRITES},
	[0x4d] = {disk_log_sense, 0},
	[0x55] = {scsi_cmd_mode_select, 0},
	[0x56] = {scsi_cmd_ok, 0}, /* RESERVE and RELEASE of 10 bytes */
	[0x57] = {scsi_cmd_ok, 0},
	[0x5a] = {scsi_cmd_mode_sense, 0},
	[0x88] = {disk_read, MEDIUM},
	[0x8a] = {disk_write, WRITES},
	[0x8e] = {disk_write_verify, WRITES},
	[0x8f] = {disk_verify, MEDIUM},
	[0x91] = {disk_sync, MEDIUM},
	[0x93] = {disk_write_same, WRITES},
	[0x9e] = {disk_service_in16, MEDIUM},
	[0xa0] = {scsi_cmd_report_luns, ANY},
	[0xa8] = {disk_read, MEDIUM},
	[0xaa] = {disk_write, WRITES},
	[0xae] = {disk_write_verify, WRITES},
	[0xaf] = {disk_verify, MEDIUM},
	[0xb7] = {disk_defects, MEDIUM},
};
/* clang-format on */
