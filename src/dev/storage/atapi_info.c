/*
 * atapi_info.c - what a CD drive answers of itself and its disc (MMC-5,
 * chapter 6; SPC-3 for INQUIRY and mode pages).
 *
 * A disc has one session with one data track.  Up to 99 minutes it is a CD,
 * beyond that a DVD.  buf is zeroed before each of these.
 */
#include <string.h>

#include <glib.h>

#include "dev/storage/ata.h"

#define CD_MAX_SECTORS (99u * 60 * 75)
#define LEAD_OUT       0xaa
#define DATA_TRACK     0x14 /* ADR 1, control 4 */

#define PROFILE_CD  0x0008
#define PROFILE_DVD 0x0010

static uint8_t *put16(uint8_t *p, unsigned v)
{
	p[0] = v >> 8;
	p[1] = v;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v);
}

static void text(uint8_t *p, const char *s, unsigned len)
{
	size_t n = strlen(s);

	for (unsigned i = 0; i < len; i++)
		p[i] = i < n ? s[i] : ' ';
}

/* An address as the packet asked for: minutes, seconds, frames or a number. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	if (!msf) {
		put32(p, lba);
		return;
	}
	lba += 150;
	p[1] = lba / 75 / 60;
	p[2] = lba / 75 % 60;
	p[3] = lba % 75;
}

/* ---- the drive ---- */

static uint32_t inquiry_page(struct ata_drive *d)
{
	uint8_t *b = d->buf;

	b[0] = 5;
	b[1] = d->cdb[2];
	switch (d->cdb[2]) {
	case 0x00:
		b[3] = 2;
		b[5] = 0x80;
		return 6;
	case 0x80:
		b[3] = 20;
		text(b + 4, d->serial, 20);
		return 24;
	}
	return 0;
}

uint32_t atapi_inquiry(struct ata_drive *d)
{
	uint8_t *b = d->buf;

	if (d->cdb[1] & 1)
		return inquiry_page(d);
	if (d->cdb[2])
		return 0;
	b[0] = 5;
	b[1] = 0x80; /* removable */
	b[3] = 0x32; /* ATAPI version, response format 2 */
	b[4] = 31;
	text(b + 8, "VMESTE", 8);
	text(b + 16, "CD-ROM", 16);
	text(b + 32, "1.0", 4);
	return 36;
}

static uint8_t *mode_page(uint8_t *p, unsigned page, bool changeable)
{
	static const uint8_t error[] = {0x01, 6, 0, 5, 0, 0, 0, 0};
	static const uint8_t cd[] = {0x0d, 6, 0, 13, 0, 60, 0, 75};
	static const uint8_t audio[] = {
		0x0e, 14, 4, 0, 0, 0, 0, 75, 1, 255, 2, 255, 0, 0, 0, 0};
	/* reads CD-R, CD-RW, DVD; no audio; tray, locks, ejects; 64x */
	static const uint8_t able[] = {0x2a, 18, 0x3b, 0, 0x70, 0, 0x29, 0,
		0x2c, 0x20, 0, 2, 2, 0, 0x2c, 0x20, 0, 0, 0, 0};
	static const struct {
		const uint8_t *data;
		unsigned len;
	} pages[] = {{error, sizeof(error)}, {cd, sizeof(cd)},
		{audio, sizeof(audio)}, {able, sizeof(able)}};

	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
		if (page != 0x3f && page != pages[i].data[0])
			continue;
		memcpy(p, pages[i].data, changeable ? 2 : pages[i].len);
		p += pages[i].len;
	}
	return p;
}

uint32_t atapi_mode_sense10(struct ata_drive *d)
{
	uint8_t *b = d->buf, *end;
	unsigned control = d->cdb[2] >> 6, page;

	if (control == 3) /* nothing is saved */
		return 0;
	end = mode_page(b + 8, d->cdb[2] & 0x3f, control == 1);
	if (end == b + 8)
		return 0;
	b[2] = d->tray_open ? 0x71 : atapi_sectors(d) ? 0x01 : 0x70;
	/* Whether the door is locked stands in byte 6 of page 2a, the last. */
	page = d->cdb[2] & 0x3f;
	if ((page == 0x2a || page == 0x3f) && d->locked && control != 1)
		end[-14] |= 2;
	put16(b, end - b - 2);
	return end - b;
}

uint32_t atapi_mechanism_status(struct ata_drive *d)
{
	d->buf[1] = d->tray_open ? 0x10 : 0;
	return 8;
}

/* 6.6: only the media class; polled. */
uint32_t atapi_get_event(struct ata_drive *d)
{
	uint8_t *b = d->buf;

	if (!(d->cdb[1] & 1))
		return 0;
	b[3] = 0x10;
	if (!(d->cdb[4] & 0x10)) {
		b[1] = 2;
		b[2] = 0x80; /* no such event */
		return 4;
	}
	b[1] = 6;
	b[2] = 4;
	b[4] = d->event;
	b[5] = (d->tray_open ? 1 : 0) | (atapi_sectors(d) ? 2 : 0);
	d->event = 0;
	d->gone = false; /* who polls events knows of the change by now */
	return 8;
}

/* ---- features (MMC-5, 5.3 and 6.6) ---- */

static unsigned profile(const struct ata_drive *d)
{
	uint32_t n = atapi_sectors(d);

	if (!n)
		return 0;
	return n > CD_MAX_SECTORS ? PROFILE_DVD : PROFILE_CD;
}

struct feature {
	uint16_t code;
	uint8_t flags; /* bit 0: current, 1: always, 2..5: version */
	uint8_t len;
	uint8_t data[8];
	uint16_t with; /* current only with this profile's disc */
};

static const struct feature features[] = {
	{0x0001, 0x0b, 8, {0, 0, 0, 2, 1}, 0},	  /* core: ATAPI */
	{0x0002, 0x07, 4, {2}, 0},		  /* morphing: events */
	{0x0003, 0x03, 4, {0x29}, 0},		  /* tray, ejects, locks */
	{0x0010, 0, 8, {0, 0, 8, 0, 0, 1, 1}, 1}, /* random readable */
	{0x001e, 0x08, 4, {0}, PROFILE_CD}, {0x001f, 0x04, 4, {0}, PROFILE_DVD},
	{0x0100, 0x03, 0, {0}, 0}, /* power management */
	{0x0105, 0x07, 4, {0}, 0}, /* time-outs */
};

static uint8_t *put_profiles(uint8_t *p, unsigned now)
{
	p = put16(p, 0);
	*p++ = 3;
	*p++ = 8;
	p = put16(p, PROFILE_DVD);
	*p++ = now == PROFILE_DVD;
	*p++ = 0;
	p = put16(p, PROFILE_CD);
	*p++ = now == PROFILE_CD;
	*p++ = 0;
	return p;
}

static uint8_t *put_feature(
	uint8_t *p, const struct feature *f, unsigned now, bool only_current)
{
	bool current = f->with == 0 || f->with == now || (f->with == 1 && now);

	if (only_current && !current)
		return p;
	p = put16(p, f->code);
	*p++ = (f->flags & ~1) | current;
	*p++ = f->len;
	memcpy(p, f->data, f->len);
	return p + f->len;
}

uint32_t atapi_get_configuration(struct ata_drive *d)
{
	unsigned which = d->cdb[1] & 3, now = profile(d);
	unsigned first = d->cdb[2] << 8 | d->cdb[3];
	uint8_t *p = d->buf + 8;

	if (which == 3)
		return 0;
	put16(d->buf + 6, now);
	if (!first)
		p = put_profiles(p, now);
	for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
		if (which == 2 ? features[i].code == first
			       : features[i].code >= first)
			p = put_feature(p, &features[i], now, which == 1);
	put32(d->buf, p - d->buf - 4);
	return p - d->buf;
}

/* ---- the disc ---- */

static uint8_t *toc_entry(uint8_t *p, unsigned track, uint32_t lba, bool msf)
{
	p[1] = DATA_TRACK;
	p[2] = track;
	put_address(p + 4, lba, msf);
	return p + 8;
}

/* Raw TOC: first and last track, lead-out, the track. */
static uint8_t *toc_full(struct ata_drive *d, uint8_t *p)
{
	static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 1};

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++, p += 11) {
		uint8_t at[4] = {0};

		p[0] = 1;
		p[1] = DATA_TRACK;
		p[3] = points[i];
		if (points[i] == 0xa2)
			put_address(at, atapi_sectors(d), true);
		else if (points[i] == 1)
			put_address(at, 0, true);
		else
			at[1] = 1;
		memcpy(p + 8, at + 1, 3);
	}
	return p;
}

uint32_t atapi_read_toc(struct ata_drive *d)
{
	unsigned format = d->cdb[2] & 15, track = d->cdb[6];
	bool msf = d->cdb[1] & 2;
	uint8_t *p = d->buf + 4;

	if (!format) /* SFF-8020i had it there */
		format = d->cdb[9] >> 6;
	d->buf[2] = d->buf[3] = 1;
	if (format == 0 && (track <= 1 || track == LEAD_OUT)) {
		if (track <= 1)
			p = toc_entry(p, 1, 0, msf);
		p = toc_entry(p, LEAD_OUT, atapi_sectors(d), msf);
	} else if (format == 1) {
		p = toc_entry(p, 1, 0, msf);
	} else if (format == 2) {
		p = toc_full(d, p);
	} else {
		return 0;
	}
	put16(d->buf, p - d->buf - 2);
	return p - d->buf;
}

uint32_t atapi_read_disc_info(struct ata_drive *d)
{
	uint8_t *b = d->buf;

	if (d->cdb[1] & 7)
		return 0;
	put16(b, 32);
	b[2] = 0x0e; /* finalized, last session complete */
	b[3] = b[4] = b[5] = b[6] = 1;
	b[7] = 0x20; /* unrestricted use */
	memset(b + 16, 0xff, 8);
	return 34;
}

uint32_t atapi_read_track_info(struct ata_drive *d)
{
	unsigned kind = d->cdb[1] & 3;
	uint32_t at = (uint32_t)d->cdb[2] << 24 | d->cdb[3] << 16 |
		      d->cdb[4] << 8 | d->cdb[5];
	uint8_t *b = d->buf;

	if (kind == 0 ? at >= atapi_sectors(d) : at != 1)
		return 0;
	put16(b, 34);
	b[2] = b[3] = 1;
	b[5] = 4; /* data */
	b[6] = 1; /* mode 1 */
	put32(b + 24, atapi_sectors(d));
	return 36;
}

uint32_t atapi_read_subchannel(struct ata_drive *d)
{
	uint8_t *b = d->buf;

	b[1] = 0x15; /* no audio status */
	if (!(d->cdb[2] & 0x40))
		return 4;
	b[4] = d->cdb[3];
	switch (d->cdb[3]) {
	case 1:
		b[3] = 12;
		b[5] = DATA_TRACK;
		b[6] = b[7] = 1;
		put_address(b + 8, 0, d->cdb[1] & 2);
		put_address(b + 12, 0, d->cdb[1] & 2);
		return 16;
	case 2:
	case 3: b[3] = 20; return 24;
	}
	return 0;
}

uint32_t atapi_read_format_capacities(struct ata_drive *d)
{
	uint32_t n = atapi_sectors(d);
	uint8_t *b = d->buf;

	b[3] = 8;
	put32(b + 4, n);
	b[8] = n ? 2 : 3; /* formatted; no disc */
	put16(b + 10, 2048);
	return 12;
}

/* 6.24, 0: physical format; 1: no copyright protection. */
uint32_t atapi_read_dvd_structure(struct ata_drive *d)
{
	uint8_t *b = d->buf;

	if (profile(d) != PROFILE_DVD || d->cdb[6])
		return 0;
	switch (d->cdb[7]) {
	case 0:
		put16(b, 2050);
		b[4] = 1;    /* DVD-ROM */
		b[5] = 0x0f; /* 12 cm, no rate */
		b[6] = 1;    /* one layer, embossed */
		put32(b + 8, 0x30000);
		put32(b + 12, 0x30000 + atapi_sectors(d) - 1);
		return 2052;
	case 1: put16(b, 6); return 8;
	}
	return 0;
}
