/*
 * atapi.c - packet commands of a CD drive (ATA/ATAPI-7, 6.34 and 9.8; MMC-5).
 *
 * The drive is empty, has its tray open (with or without a disc on it), or has
 * a disc.  What changed is told to the host by unit attention and by media
 * events; to a host that does not poll events a disc that was
 * swapped shows as "no disc" once, as it would with real hands at work.
 */
#include <string.h>

#include <glib.h>

#include "dev/storage/ata.h"

#define CD_SECTOR 2048u
#define MAX_READ  65536u /* sectors by one packet */

/* sense keys */
#define NOT_READY	2
#define ILLEGAL_REQUEST 5
#define UNIT_ATTENTION	6

#define EVENT_EJECT_REQUEST 1
#define EVENT_NEW_MEDIA	    2
#define EVENT_REMOVAL	    3

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint32_t be16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* ---- ends and blocks ---- */

void atapi_fail(struct ata_drive *d, uint8_t key, uint8_t asc, uint8_t ascq)
{
	d->sense = (struct ata_sense){key, asc, ascq};
	d->count = ATAPI_CD | ATAPI_IO;
	ata_fail(d, key << 4 | ATA_E_ABRT);
}

static void atapi_illegal(struct ata_drive *d)
{
	atapi_fail(d, ILLEGAL_REQUEST, 0x24, 0); /* invalid field */
}

/* The command ends well: what the registers say then. */
void atapi_ok(struct ata_drive *d)
{
	d->sense = (struct ata_sense){0};
	d->count = ATAPI_CD | ATAPI_IO;
}

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

void atapi_answer(struct ata_drive *d, uint32_t len, uint32_t allowed)
{
	len = MIN(len, allowed);
	if (!len)
		ata_ok(d);
	else if (d->dma_wanted)
		ata_answer_dma(d, len);
	else
		ata_answer(d, len);
}

static void atapi_take(
	struct ata_drive *d, uint32_t len, void (*end)(struct ata_drive *d))
{
	len = MIN(len, ATA_BUFFER);
	d->x.end = end;
	if (!len)
		end(d);
	else if (d->dma_wanted)
		ata_dma_ready(d, ATA_IO_BUF_OUT, 0, len);
	else
		ata_take(d, len, end);
}

/* ---- the medium ---- */

static bool atapi_has_medium(const struct ata_drive *d)
{
	return d->blk && !d->tray_open;
}

uint32_t atapi_sectors(const struct ata_drive *d)
{
	uint64_t n = 0;

	if (atapi_has_medium(d))
		n = (d->blk->size + CD_SECTOR - 1) / CD_SECTOR;
	return MIN(n, UINT32_MAX);
}

static void atapi_read(struct ata_drive *d, uint32_t lba, uint32_t n)
{
	uint32_t sectors = atapi_sectors(d);
	uint64_t off = (uint64_t)lba * CD_SECTOR;

	if (lba > sectors || n > sectors - lba) {
		atapi_fail(d, ILLEGAL_REQUEST, 0x21, 0); /* out of range */
		return;
	}
	if (n > MAX_READ) {
		atapi_illegal(d);
		return;
	}
	d->requests++;
	if (!n)
		ata_ok(d);
	else if (d->dma_wanted)
		ata_dma_ready(d, ATA_IO_READ, off, (uint64_t)n * CD_SECTOR);
	else
		ata_media_in(d, off, (uint64_t)n * CD_SECTOR);
}

static void atapi_cmd_read10(struct ata_drive *d)
{
	atapi_read(d, be32(d->cdb + 2), be16(d->cdb + 7));
}

static void atapi_cmd_read12(struct ata_drive *d)
{
	atapi_read(d, be32(d->cdb + 2), be32(d->cdb + 6));
}

/* MMC-5, 6.19 READ CD: user data of mode 1 sectors, or nothing. */
static void atapi_read_cd(struct ata_drive *d, uint32_t lba, uint32_t n)
{
	unsigned type = d->cdb[1] >> 2 & 7, what = d->cdb[9] & 0xfe;

	if (type != 0 && type != 2)
		atapi_fail(d, ILLEGAL_REQUEST, 0x64, 0); /* not this track's */
	else if (d->cdb[10] & 7)
		atapi_illegal(d);
	else if (what == 0x10)
		atapi_read(d, lba, n);
	else if (what == 0)
		atapi_read(d, lba, 0);
	else
		atapi_illegal(d);
}

static void atapi_cmd_read_cd(struct ata_drive *d)
{
	atapi_read_cd(d, be32(d->cdb + 2), be32(d->cdb + 5) & 0xffffff);
}

static uint32_t msf_lba(const uint8_t *p)
{
	return (p[0] * 60u + p[1]) * 75 + p[2] - 150;
}

static void atapi_cmd_read_cd_msf(struct ata_drive *d)
{
	uint32_t from = msf_lba(d->cdb + 3), to = msf_lba(d->cdb + 6);

	if (to < from)
		atapi_illegal(d);
	else
		atapi_read_cd(d, from, to - from);
}

static void atapi_cmd_seek(struct ata_drive *d)
{
	if (be32(d->cdb + 2) < atapi_sectors(d))
		ata_ok(d);
	else
		atapi_fail(d, ILLEGAL_REQUEST, 0x21, 0);
}

static void atapi_cmd_read_capacity(struct ata_drive *d)
{
	uint32_t r[2] = {
		GUINT32_TO_BE(atapi_sectors(d) - 1), GUINT32_TO_BE(CD_SECTOR)};

	memcpy(d->buf, r, sizeof(r));
	atapi_answer(d, sizeof(r), sizeof(r));
}

/* ---- state ---- */

static struct ata_sense atapi_pending(struct ata_drive *d, bool take)
{
	struct ata_sense s = {0};

	if (d->attention_reset) {
		s = (struct ata_sense){UNIT_ATTENTION, 0x29, 0};
		d->attention_reset &= !take;
	} else if (d->gone) {
		s = (struct ata_sense){NOT_READY, 0x3a, 0};
		d->gone &= !take;
	} else if (d->attention_media) {
		s = (struct ata_sense){UNIT_ATTENTION, 0x28, 0};
		d->attention_media &= !take;
	}
	return s;
}

static void atapi_cmd_request_sense(struct ata_drive *d)
{
	struct ata_sense s = d->sense;

	if (!s.key)
		s = atapi_pending(d, true);
	memset(d->buf, 0, 18);
	d->buf[0] = 0x70;
	d->buf[2] = s.key;
	d->buf[7] = 10;
	d->buf[12] = s.asc;
	d->buf[13] = s.ascq;
	atapi_answer(d, 18, d->cdb[4]);
}

static void atapi_cmd_ok(struct ata_drive *d)
{
	ata_ok(d);
}

static void atapi_set_tray(struct ata_drive *d, bool open)
{
	if (d->tray_open == open)
		return;
	d->tray_open = open;
	if (!d->blk)
		return;
	d->attention_media = !open;
	d->gone = false;
	d->event = open ? EVENT_REMOVAL : EVENT_NEW_MEDIA;
}

static void atapi_cmd_start_stop(struct ata_drive *d)
{
	unsigned how = d->cdb[4];

	if ((how & 0xf0) || !(how & 2)) { /* power; spin up or down */
		if ((how & 1) && !(how & 0xf0) && !atapi_has_medium(d))
			atapi_fail(d, NOT_READY, 0x3a, 0);
		else
			ata_ok(d);
		return;
	}
	if (!(how & 1) && d->locked) {
		atapi_fail(d, ILLEGAL_REQUEST, 0x53, 2); /* prevented */
		return;
	}
	atapi_set_tray(d, !(how & 1));
	ata_ok(d);
}

static void atapi_cmd_prevent(struct ata_drive *d)
{
	d->locked = d->cdb[4] & 1;
	ata_ok(d);
}

/* SPC-3, 6.8: header of 8, then pages that exist. */
static void atapi_mode_selected(struct ata_drive *d)
{
	uint32_t len = MIN(be16(d->cdb + 7), ATA_BUFFER);
	uint32_t at = 8;

	while (at + 2 <= len) {
		unsigned page = d->buf[at] & 0x3f;

		if (page != 0x01 && page != 0x0d && page != 0x0e &&
			page != 0x2a) {
			/* invalid field in the parameter list */
			atapi_fail(d, ILLEGAL_REQUEST, 0x26, 0);
			return;
		}
		at += 2u + d->buf[at + 1];
	}
	ata_ok(d);
}

static void atapi_cmd_mode_select(struct ata_drive *d)
{
	atapi_take(d, be16(d->cdb + 7), atapi_mode_selected);
}

/* ---- the table ---- */

enum {
	NEEDS_MEDIUM = 1,
	ANY_TIME = 2, /* whatever is pending */
};

struct atapi_cmd {
	void (*fn)(struct ata_drive *d);
	atapi_info_fn *info; /* instead: fills buf */
	uint8_t flags;
	uint8_t len_at, len_bytes; /* info: where the allowed length stands */
};

/* clang-format off */
static const struct atapi_cmd atapi_cmds[256] = {
	[0x00] = {.fn = atapi_cmd_ok, .flags = NEEDS_MEDIUM},
	[0x03] = {.fn = atapi_cmd_request_sense, .flags = ANY_TIME},
	[0x12] = {.info = atapi_inquiry, .flags = ANY_TIME,
		.len_at = 3, .len_bytes = 2},
	[0x1b] = {.fn = atapi_cmd_start_stop},
	[0x1e] = {.fn = atapi_cmd_prevent},
	[0x23] = {.info = atapi_read_format_capacities,
		.len_at = 7, .len_bytes = 2},
	[0x25] = {.fn = atapi_cmd_read_capacity, .flags = NEEDS_MEDIUM},
	[0x28] = {.fn = atapi_cmd_read10, .flags = NEEDS_MEDIUM},
	[0x2b] = {.fn = atapi_cmd_seek, .flags = NEEDS_MEDIUM},
	[0x2f] = {.fn = atapi_cmd_seek, .flags = NEEDS_MEDIUM},
	[0x35] = {.fn = atapi_cmd_ok},
	[0x42] = {.info = atapi_read_subchannel, .flags = NEEDS_MEDIUM,
		.len_at = 7, .len_bytes = 2},
	[0x43] = {.info = atapi_read_toc, .flags = NEEDS_MEDIUM,
		.len_at = 7, .len_bytes = 2},
	[0x46] = {.info = atapi_get_configuration, .flags = ANY_TIME,
		.len_at = 7, .len_bytes = 2},
	[0x4a] = {.info = atapi_get_event, .flags = ANY_TIME,
		.len_at = 7, .len_bytes = 2},
	[0x51] = {.info = atapi_read_disc_info, .flags = NEEDS_MEDIUM,
		.len_at = 7, .len_bytes = 2},
	[0x52] = {.info = atapi_read_track_info, .flags = NEEDS_MEDIUM,
		.len_at = 7, .len_bytes = 2},
	[0x55] = {.fn = atapi_cmd_mode_select},
	[0x5a] = {.info = atapi_mode_sense10, .len_at = 7, .len_bytes = 2},
	[0xa8] = {.fn = atapi_cmd_read12, .flags = NEEDS_MEDIUM},
	[0xad] = {.info = atapi_read_dvd_structure, .flags = NEEDS_MEDIUM,
		.len_at = 8, .len_bytes = 2},
	[0xb9] = {.fn = atapi_cmd_read_cd_msf, .flags = NEEDS_MEDIUM},
	[0xbb] = {.fn = atapi_cmd_ok},
	[0xbd] = {.info = atapi_mechanism_status,
		.len_at = 8, .len_bytes = 2},
	[0xbe] = {.fn = atapi_cmd_read_cd, .flags = NEEDS_MEDIUM},
};
/* clang-format on */

static bool atapi_may(struct ata_drive *d, const struct atapi_cmd *c)
{
	struct ata_sense s = {0};

	if (c->flags & ANY_TIME)
		return true;
	s = atapi_pending(d, true);
	if (!s.key && (c->flags & NEEDS_MEDIUM) && !atapi_has_medium(d))
		s = (struct ata_sense){NOT_READY, 0x3a, d->tray_open ? 2 : 1};
	if (!s.key)
		return true;
	atapi_fail(d, s.key, s.asc, s.ascq);
	return false;
}

void atapi_packet(struct ata_drive *d)
{
	const struct atapi_cmd *c = &atapi_cmds[d->cdb[0]];
	const uint8_t *at = d->cdb + c->len_at;
	uint32_t len;

	if (!c->fn && !c->info) {
		atapi_fail(d, ILLEGAL_REQUEST, 0x20, 0); /* no such command */
		return;
	}
	if (!atapi_may(d, c))
		return;
	if (c->fn) {
		c->fn(d);
		return;
	}
	memset(d->buf, 0, 4096);
	len = c->info(d);
	if (len)
		atapi_answer(d, len, c->len_bytes == 2 ? be16(at) : *at);
	else
		atapi_illegal(d);
}

/* ---- hands at the drive ---- */

void atapi_reset(struct ata_drive *d)
{
	d->sense = (struct ata_sense){0};
	d->attention_reset = true;
	d->locked = false;
	d->dma_wanted = false;
}

struct blk *ata_change_medium(struct ata_drive *d, struct blk *blk)
{
	struct blk *old = d->blk;
	bool had = atapi_has_medium(d);

	ata_stop(d);
	d->blk = blk;
	d->tray_open = false;
	d->gone = had && blk;
	d->attention_media = blk != NULL;
	d->event = blk ? EVENT_NEW_MEDIA : EVENT_REMOVAL;
	/* The transfer is given up. */
	if (d->phase != ATA_IDLE && d->phase != ATA_CDB)
		atapi_fail(d, UNIT_ATTENTION, 0x28, 0);
	return old;
}

bool ata_eject_button(struct ata_drive *d)
{
	if (!d->locked)
		return true;
	d->event = EVENT_EJECT_REQUEST;
	return false;
}
