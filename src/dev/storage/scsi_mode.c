/*
 * scsi_mode.c - mode pages (SPC-4, 6.11 to 6.14 and 7.5; SBC-3, 6.5; pages 3
 * and 4: SBC, 7.1; those of CD drives: MMC-5, 7).
 *
 * A page is a row of defaults and a row of bits that the host may change.
 * What it can change are flags of the unit, kept until reset; nothing is saved.
 */
#include "dev/storage/scsi.h"

#include <string.h>

#include <glib.h>

#define PAGE_MAX  24
#define ALL_PAGES 0x3f

#define HEADS	  16u
#define PER_TRACK 63u

enum {
	CURRENT,
	CHANGEABLE,
	DEFAULT,
	SAVED,
};

struct page {
	bool cd;
	uint8_t code, len; /* with its two bytes of header */
	uint8_t defaults[PAGE_MAX];
	uint8_t mask[PAGE_MAX];
};

#define CACHE_WCE      0x04 /* byte 2 */
#define CONTROL_DSENSE 0x04 /* byte 2 */
#define CD_LOCKED      0x02 /* byte 6 */
#define CONTROL_SWP    0x08 /* byte 4 */

static const struct page pages[] = {
	/* automatic reallocation */
	{false, 0x01, 12, {0, 0, 0xc0, 1, 0, 0, 0, 0, 1}, {0}},
	{false, 0x02, 16, {0}, {0}},
	/* 63 sectors a track, of 512 bytes; hard sectors */
	{false, 0x03, 24, {[11] = PER_TRACK, [12] = 2, [15] = 1, [20] = 0x40},
		{0}},
	{false, 0x04, 24, {[5] = HEADS, [20] = 0x1c, [21] = 0x20}, {0}},
	{false, 0x08, 20, {[2] = CACHE_WCE}, {[2] = CACHE_WCE}},
	/* unrestricted reordering */
	{false, 0x0a, 12, {[3] = 0x10, [8] = 0xff, [9] = 0xff},
		{[2] = CONTROL_DSENSE, [4] = CONTROL_SWP}},
	/* no report of failures to come */
	{false, 0x1c, 12, {[2] = 0x08}, {0}},
	{true, 0x01, 8, {[3] = 5}, {0}},
	{true, 0x0d, 8, {[3] = 13, [5] = 60, [7] = 75}, {0}},
	{true, 0x0e, 16, {[2] = 4, [7] = 75, 1, 255, 2, 255}, {0}},
	/* reads CD-R, CD-RW, DVD; no audio; tray, locks, ejects; 64x */
	{true, 0x2a, 20,
		{0, 0, 0x3b, 0, 0x70, 0, 0x29, 0, 0x2c, 0x20, 0, 2, 2, 0, 0x2c,
			0x20},
		{0}},
};

static void set_bit(uint8_t *p, uint8_t bit, bool on)
{
	*p = on ? *p | bit : *p & ~bit;
}

static void page_current(const struct scsi_unit *u, uint8_t *p)
{
	uint64_t cyls = scsi_blocks(u) / (HEADS * PER_TRACK);

	switch (p[0]) {
	case 0x04:
		cyls = MIN(MAX(cyls, 1), 0xffffff);
		p[2] = cyls >> 16;
		scsi_put16(p + 3, cyls);
		break;
	case 0x08: set_bit(p + 2, CACHE_WCE, u->write_cache); break;
	case 0x0a:
		set_bit(p + 2, CONTROL_DSENSE, u->descriptor_sense);
		set_bit(p + 4, CONTROL_SWP, u->write_protect);
		break;
	case 0x2a: set_bit(p + 6, CD_LOCKED, u->locked); break;
	}
}

static uint8_t *page_put(const struct scsi_unit *u, uint8_t *p,
	const struct page *g, unsigned which)
{
	memcpy(p, which == CHANGEABLE ? g->mask : g->defaults, g->len);
	p[0] = g->code;
	p[1] = g->len - 2;
	if (which == CURRENT || (which == DEFAULT && g->code == 0x04))
		page_current(u, p);
	return p + g->len;
}

/* What old drives said of their discs: door open, data, none. */
static unsigned medium_type(const struct scsi_unit *u)
{
	if (!u->cd)
		return 0;
	return u->tray_open ? 0x71 : u->blk ? 0x01 : 0x70;
}

/* SPC-4, 7.5.5: header, for disks the one block descriptor, pages. */
static uint8_t *put_header(const struct scsi_req *r, uint8_t *b)
{
	struct scsi_unit *u = r->unit;
	bool ten = r->cdb[0] == 0x5a, wide = ten && (r->cdb[1] & 0x10);
	uint64_t blocks = scsi_blocks(u);
	uint8_t *p = b + (ten ? 8 : 4);
	unsigned len = u->cd || (r->cdb[1] & 8) ? 0 : wide ? 16 : 8;

	b[ten ? 2 : 1] = medium_type(u);
	if (!u->cd)
		b[ten ? 3 : 2] =
			(u->readonly || u->write_protect ? 0x80 : 0) | 0x10;
	b[ten ? 7 : 3] = len;
	if (ten && len == 16)
		b[4] = 1;
	if (len == 16) {
		scsi_put64(p, blocks);
		scsi_put32(p + 12, u->block_bytes);
	} else if (len) {
		scsi_put32(p, MIN(blocks, 0xffffff));
		p[0] = 0;
		scsi_put32(p + 4, u->block_bytes);
	}
	return p + len;
}

void scsi_cmd_mode_sense(struct scsi_req *r)
{
	bool ten = r->cdb[0] == 0x5a;
	unsigned which = r->cdb[2] >> 6, code = r->cdb[2] & 0x3f;
	unsigned sub = r->cdb[3];
	uint8_t *b = scsi_buffer(r, 512), *p = put_header(r, b), *first = p;

	if (which == SAVED) { /* saving is not supported */
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x39, 0);
		return;
	}
	if (sub && !r->unit->cd && !(sub == 0xff && code == ALL_PAGES)) {
		scsi_bad_cdb(r, 3);
		return;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++)
		if (pages[i].cd == r->unit->cd &&
			(code == ALL_PAGES || code == pages[i].code))
			p = page_put(r->unit, p, &pages[i], which);
	if (p == first && (code || r->unit->cd)) {
		scsi_bad_cdb(r, 2);
		return;
	}
	if (ten)
		scsi_put16(b, p - b - 2);
	else
		b[0] = p - b - 1;
	scsi_answer(r, p - b, ten ? scsi_get16(r->cdb + 7) : r->cdb[4]);
}

/* ---- MODE SELECT ---- */

static void page_set(struct scsi_unit *u, const uint8_t *p)
{
	switch (p[0] & 0x3f) {
	case 0x08: u->write_cache = p[2] & CACHE_WCE; break;
	case 0x0a:
		u->descriptor_sense = p[2] & CONTROL_DSENSE;
		u->write_protect = p[4] & CONTROL_SWP;
		break;
	}
}

/* Bits that cannot be changed have to be as they are.  Where the first bad
 * byte is, or -1. */
static int page_check(const struct scsi_unit *u, const uint8_t *p, size_t left)
{
	uint8_t now[PAGE_MAX];

	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
		const struct page *g = &pages[i];

		if (g->cd != u->cd || g->code != (p[0] & 0x3f))
			continue;
		if (g->cd) /* speeds, volumes: they make no difference */
			return -1;
		if (left < g->len || p[1] != g->len - 2)
			return 1;
		page_put(u, now, g, CURRENT);
		for (int k = 2; k < g->len; k++)
			if ((p[k] ^ now[k]) & ~g->mask[k])
				return k;
		return -1;
	}
	return 0;
}

static int check_pages(struct scsi_req *r, size_t at)
{
	while (at < r->len) {
		int bad = r->len - at < 2 ? 0
					  : page_check(r->unit, r->buf + at,
						    r->len - at);

		if (bad >= 0)
			return (int)at + bad;
		at += 2u + r->buf[at + 1];
	}
	return -1;
}

static void mode_selected(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;
	bool ten = r->cdb[0] == 0x55;
	unsigned head = ten ? 8 : 4, desc;
	int bad;

	if (!r->len) /* no parameters: no error */
		return;
	if (r->len < head) {
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x1a, 0);
		return;
	}
	desc = ten ? scsi_get16(r->buf + 6) : r->buf[3];
	if (head + desc > r->len) {
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x1a, 0);
		return;
	}
	/* The block's length is what it is. */
	if (desc && (desc != 8 || (scsi_get32(r->buf + head + 4) & 0xffffff) !=
					  u->block_bytes)) {
		scsi_bad_param(r, desc == 8 ? head + 5 : head - 1);
		return;
	}
	pthread_mutex_lock(&u->lock);
	bad = check_pages(r, head + desc);
	for (size_t at = head + desc; bad < 0 && at < r->len;
		at += 2u + r->buf[at + 1])
		page_set(u, r->buf + at);
	pthread_mutex_unlock(&u->lock);
	if (bad >= 0)
		scsi_bad_param(r, bad);
	/* What the cache holds goes to the medium if it is switched off. */
	r->flush = !u->cd && scsi_has_medium(u) && !u->write_cache;
}

void scsi_cmd_mode_select(struct scsi_req *r)
{
	bool ten = r->cdb[0] == 0x55;

	if (r->cdb[1] & 1) /* to be saved */
		scsi_bad_cdb(r, 1);
	else
		scsi_take(r, ten ? scsi_get16(r->cdb + 7) : r->cdb[4],
			mode_selected);
	r->blocks = true;
}
