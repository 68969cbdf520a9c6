/*
 * scsi_info.c - commands that all SCSI units know (SPC-4, chapter 6; the vital
 * product data of disks: SBC-3, 6.6).
 */
#include "dev/storage/scsi.h"

#include <string.h>

#include <glib.h>

#define VENDOR "VMESTE"

#define MAX_UNMAP_BLOCKS (1u << 22)
#define MAX_UNMAP_RANGES 255u

static unsigned kind_of(const struct scsi_req *r)
{
	if (r->no_unit)
		return 0x7f; /* no unit can be there */
	return r->unit->cd ? 5 : 0;
}

static bool thin(const struct scsi_unit *u)
{
	return u->blk && u->blk->can_discard && !u->readonly;
}

/* ---- vital product data: fill b, return the page's length ---- */

static uint32_t page_serial(struct scsi_unit *u, uint8_t *b)
{
	scsi_put_text(b + 4, u->serial, SCSI_ID_BYTES);
	return SCSI_ID_BYTES;
}

/* 64-bit FNV-1a, to make a name of a serial number */
static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3;
	return h;
}

/* SPC-4, 7.8.6: by vendor and serial number; locally assigned. */
static uint32_t page_identification(struct scsi_unit *u, uint8_t *b)
{
	uint8_t *p = b + 4;
	size_t n = strlen(u->serial);

	*p++ = 2; /* ASCII */
	*p++ = 1; /* T10 vendor */
	*p++ = 0;
	*p++ = 8 + n;
	scsi_put_text(p, VENDOR, 8);
	memcpy(p + 8, u->serial, n);
	p += 8 + n;
	*p++ = 1; /* binary */
	*p++ = 3; /* NAA */
	*p++ = 0;
	*p++ = 8;
	p = scsi_put64(p, hash(u->serial));
	p[-8] = 0x30 | (p[-8] & 15);
	return p - b - 4;
}

static uint32_t page_limits(struct scsi_unit *u, uint8_t *b)
{
	b[4] = 1; /* WRITE SAME wants a number of blocks */
	scsi_put16(b + 6, 8);
	scsi_put32(b + 8, SCSI_MAX_BLOCKS);
	if (thin(u)) {
		scsi_put32(b + 20, MAX_UNMAP_BLOCKS);
		scsi_put32(b + 24, MAX_UNMAP_RANGES);
		scsi_put32(b + 28, 8);
		scsi_put32(b + 32, 0x80000000);
	}
	scsi_put64(b + 36, SCSI_MAX_SAME);
	return 60;
}

static uint32_t page_characteristics(struct scsi_unit *u, uint8_t *b)
{
	scsi_put16(b + 4, 1); /* it does not rotate */
	return 60;
}

static uint32_t page_provisioning(struct scsi_unit *u, uint8_t *b)
{
	if (thin(u)) {
		b[5] = 0xe0; /* UNMAP, WRITE SAME of 16 and 10 bytes */
		b[6] = 2;
	}
	return 4;
}

static const struct {
	uint8_t code;
	bool for_disks;
	uint32_t (*fill)(struct scsi_unit *u, uint8_t *b);
} pages[] = {
	{0x80, false, page_serial},
	{0x83, false, page_identification},
	{0xb0, true, page_limits},
	{0xb1, true, page_characteristics},
	{0xb2, true, page_provisioning},
};

static void inquiry_page(struct scsi_req *r, uint8_t *b)
{
	struct scsi_unit *u = r->unit;
	unsigned len = 0;

	b[0] = kind_of(r);
	b[1] = r->cdb[2];
	if (!r->cdb[2])
		len = 1; /* that of pages: itself, to begin with */
	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
		if (r->no_unit || (pages[i].for_disks && u->cd))
			continue;
		if (!r->cdb[2])
			b[4 + len++] = pages[i].code;
		else if (pages[i].code == r->cdb[2])
			len = pages[i].fill(u, b);
	}
	scsi_put16(b + 2, len);
	if (len)
		scsi_answer(r, 4 + len, scsi_get16(r->cdb + 3));
	else
		scsi_bad_cdb(r, 2);
}

void scsi_cmd_inquiry(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;
	uint8_t *b;

	if (!(r->cdb[1] & 1) && r->cdb[2]) {
		scsi_bad_cdb(r, 2);
		return;
	}
	b = scsi_buffer(r, 256);
	if (r->cdb[1] & 1) {
		inquiry_page(r, b);
		return;
	}
	b[0] = kind_of(r);
	b[1] = u->removable ? 0x80 : 0;
	b[2] = u->cd ? 5 : 6; /* SPC-3, SPC-4 */
	b[3] = 2;	      /* format of this */
	b[4] = 31;
	if (u->cable == SCSI_ON_ATAPI) {
		b[2] = 0;
		b[3] = 0x32;
	} else if (u->cable != SCSI_ON_USB) {
		b[7] = 2; /* queues commands */
	}
	if (u->cable == SCSI_ON_PARALLEL)
		b[7] |= 0x30; /* 16 bits wide, synchronous */
	scsi_put_text(b + 8, VENDOR, 8);
	scsi_put_text(b + 16, u->cd ? "CD-ROM" : "DISK", 16);
	scsi_put_text(b + 32, "1.0", 4);
	scsi_answer(r, 36, scsi_get16(r->cdb + 3));
}

/* ---- others ---- */

void scsi_cmd_ok(struct scsi_req *r)
{
}

void scsi_cmd_request_sense(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;
	struct scsi_sense s = u->sense;
	uint8_t *b = scsi_buffer(r, SCSI_SENSE_BYTES);
	unsigned len;

	if (r->no_unit)
		s = (struct scsi_sense){
			.key = SCSI_ILLEGAL_REQUEST, .asc = 0x25};
	else if (!s.key)
		s = scsi_take_attention(u);
	u->sense = (struct scsi_sense){0};
	len = scsi_sense_bytes(&s, r->cdb[1] & 1, b);
	scsi_answer(r, len, r->cdb[4]);
}

void scsi_cmd_report_luns(struct scsi_req *r)
{
	uint32_t allowed = scsi_get32(r->cdb + 6);
	uint8_t *b = scsi_buffer(r, 16);

	if (r->cdb[2] > 2) {
		scsi_bad_cdb(r, 2);
	} else if (allowed < 16) {
		scsi_bad_cdb(r, 6);
	} else if (r->cdb[2] == 1) { /* well known units: none */
		scsi_answer(r, 8, allowed);
	} else {
		scsi_put32(b, 8); /* number 0 */
		scsi_answer(r, 16, allowed);
	}
}

void scsi_cmd_prevent(struct scsi_req *r)
{
	if (r->unit->removable)
		r->unit->locked = r->cdb[4] & 1;
}

/* The tray moves, perhaps with a medium on it. */
static void set_tray(struct scsi_unit *u, bool open)
{
	if (u->tray_open == open)
		return;
	u->tray_open = open;
	if (!u->blk)
		return;
	u->changes++;
	u->attention &= ~(SCSI_AT_MEDIUM | SCSI_AT_GONE);
	if (!open)
		u->attention |= SCSI_AT_MEDIUM;
	u->event = open ? SCSI_EV_REMOVAL : SCSI_EV_NEW_MEDIA;
}

static void stop_flush(struct scsi_req *r)
{
	struct blk *b = scsi_hold(r);
	int rc = b ? blk_flush(b) : 0;

	if (b)
		scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, true, 0);
}

/* SBC-3, 5.20; MMC-5, 6.42.  What the cache holds is on the medium before it
 * stops. */
void scsi_cmd_start_stop(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;
	unsigned how = r->cdb[4];
	bool start = how & 1, load = how & 2;

	if (how & 0xf0) /* a power condition: it makes no difference */
		return;
	if (load && u->removable) {
		if (!start && u->locked) /* removal prevented */
			scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x53, 2);
		else
			set_tray(u, !start);
		return;
	}
	if (start && !scsi_has_medium(u)) {
		scsi_fail(r, SCSI_NOT_READY, 0x3a, u->cd ? 0 : 1);
		return;
	}
	if (u->cd)
		return;
	if (!start && scsi_has_medium(u))
		scsi_slow(r, stop_flush);
	u->stopped = !start;
}
