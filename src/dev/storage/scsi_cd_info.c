/*
 * scsi_cd_info.c - what a CD drive answers of itself and its disc (MMC-5,
 * chapter 6).
 *
 * A disc has one session with one data track.  Up to 99 minutes it is a CD,
 * beyond that a DVD.  r->buf is zeroed before each of these.
 */
#include <string.h>

#include <glib.h>

#include "dev/storage/scsi.h"

#define CD_MAX_SECTORS (99u * 60 * 75)
#define LEAD_OUT       0xaa
#define DATA_TRACK     0x14 /* ADR 1, control 4 */

#define PROFILE_CD  0x0008
#define PROFILE_DVD 0x0010

/* An address as the packet asked for: minutes, seconds, frames or a number. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	if (!msf) {
		scsi_put32(p, lba);
		return;
	}
	lba += 150;
	p[1] = lba / 75 / 60;
	p[2] = lba / 75 % 60;
	p[3] = lba % 75;
}

/* ---- the drive ---- */

uint32_t scsi_cd_mechanism_status(struct scsi_req *r)
{
	r->buf[1] = r->unit->tray_open ? 0x10 : 0;
	return 8;
}

/* 6.6: only the media class; polled. */
uint32_t scsi_cd_get_event(struct scsi_req *r)
{
	uint8_t *b = r->buf;

	if (!(r->cdb[1] & 1))
		return 0;
	b[3] = 0x10;
	if (!(r->cdb[4] & 0x10)) {
		b[1] = 2;
		b[2] = 0x80; /* no such event */
		return 4;
	}
	b[1] = 6;
	b[2] = 4;
	b[4] = r->unit->event;
	b[5] = (r->unit->tray_open ? 1 : 0) | (scsi_blocks(r->unit) ? 2 : 0);
	r->unit->event = 0;
	/* Who polls events knows of the change by now. */
	r->unit->attention &= ~SCSI_AT_GONE;
	return 8;
}

/* ---- features (MMC-5, 5.3 and 6.6) ---- */

static unsigned profile(const struct scsi_req *r)
{
	uint32_t n = scsi_blocks(r->unit);

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
	{0x0001, 0x0b, 8, {0, 0, 0, 0, 1}, 0},	  /* core */
	{0x0002, 0x07, 4, {2}, 0},		  /* morphing: events */
	{0x0003, 0x03, 4, {0x29}, 0},		  /* tray, ejects, locks */
	{0x0010, 0, 8, {0, 0, 8, 0, 0, 1, 1}, 1}, /* random readable */
	{0x001e, 0x08, 4, {0}, PROFILE_CD}, {0x001f, 0x04, 4, {0}, PROFILE_DVD},
	{0x0100, 0x03, 0, {0}, 0}, /* power management */
	{0x0105, 0x07, 4, {0}, 0}, /* time-outs */
};

static uint8_t *put_profiles(uint8_t *p, unsigned now)
{
	p = scsi_put16(p, 0);
	*p++ = 3;
	*p++ = 8;
	p = scsi_put16(p, PROFILE_DVD);
	*p++ = now == PROFILE_DVD;
	*p++ = 0;
	p = scsi_put16(p, PROFILE_CD);
	*p++ = now == PROFILE_CD;
	*p++ = 0;
	return p;
}

/* 5.3.2: what it is cabled to. */
static const uint8_t standard[] = {[SCSI_ON_PARALLEL] = 1,
	[SCSI_ON_VIRTIO] = 1,
	[SCSI_ON_USB] = 8,
	[SCSI_ON_ATAPI] = 2};

static uint8_t *put_feature(const struct scsi_req *r, uint8_t *p,
	const struct feature *f, unsigned now)
{
	bool only_current = (r->cdb[1] & 3) == 1;
	bool current = f->with == 0 || f->with == now || (f->with == 1 && now);

	if (only_current && !current)
		return p;
	p = scsi_put16(p, f->code);
	*p++ = (f->flags & ~1) | current;
	*p++ = f->len;
	memcpy(p, f->data, f->len);
	if (f->code == 0x0001)
		p[3] = standard[r->unit->cable];
	return p + f->len;
}

uint32_t scsi_cd_get_configuration(struct scsi_req *r)
{
	unsigned which = r->cdb[1] & 3, now = profile(r);
	unsigned first = r->cdb[2] << 8 | r->cdb[3];
	uint8_t *p = r->buf + 8;

	if (which == 3)
		return 0;
	scsi_put16(r->buf + 6, now);
	if (!first)
		p = put_profiles(p, now);
	for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
		if (which == 2 ? features[i].code == first
			       : features[i].code >= first)
			p = put_feature(r, p, &features[i], now);
	scsi_put32(r->buf, p - r->buf - 4);
	return p - r->buf;
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
static uint8_t *toc_full(struct scsi_req *r, uint8_t *p)
{
	static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 1};

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++, p += 11) {
		uint8_t at[4] = {0};

		p[0] = 1;
		p[1] = DATA_TRACK;
		p[3] = points[i];
		if (points[i] == 0xa2)
			put_address(at, scsi_blocks(r->unit), true);
		else if (points[i] == 1)
			put_address(at, 0, true);
		else
			at[1] = 1;
		memcpy(p + 8, at + 1, 3);
	}
	return p;
}

uint32_t scsi_cd_read_toc(struct scsi_req *r)
{
	unsigned format = r->cdb[2] & 15, track = r->cdb[6];
	bool msf = r->cdb[1] & 2;
	uint8_t *p = r->buf + 4;

	if (!format) /* SFF-8020i had it there */
		format = r->cdb[9] >> 6;
	r->buf[2] = r->buf[3] = 1;
	if (format == 0 && (track <= 1 || track == LEAD_OUT)) {
		if (track <= 1)
			p = toc_entry(p, 1, 0, msf);
		p = toc_entry(p, LEAD_OUT, scsi_blocks(r->unit), msf);
	} else if (format == 1) {
		p = toc_entry(p, 1, 0, msf);
	} else if (format == 2) {
		p = toc_full(r, p);
	} else {
		return 0;
	}
	scsi_put16(r->buf, p - r->buf - 2);
	return p - r->buf;
}

uint32_t scsi_cd_read_capacity(struct scsi_req *r)
{
	scsi_put32(r->buf, scsi_blocks(r->unit) - 1);
	scsi_put32(r->buf + 4, r->unit->block_bytes);
	return 8;
}

uint32_t scsi_cd_read_disc_info(struct scsi_req *r)
{
	uint8_t *b = r->buf;

	if (r->cdb[1] & 7)
		return 0;
	scsi_put16(b, 32);
	b[2] = 0x0e; /* finalized, last session complete */
	b[3] = b[4] = b[5] = b[6] = 1;
	b[7] = 0x20; /* unrestricted use */
	memset(b + 16, 0xff, 8);
	return 34;
}

uint32_t scsi_cd_read_track_info(struct scsi_req *r)
{
	unsigned kind = r->cdb[1] & 3;
	uint32_t at = (uint32_t)r->cdb[2] << 24 | r->cdb[3] << 16 |
		      r->cdb[4] << 8 | r->cdb[5];
	uint8_t *b = r->buf;

	if (kind == 0 ? at >= scsi_blocks(r->unit) : at != 1)
		return 0;
	scsi_put16(b, 34);
	b[2] = b[3] = 1;
	b[5] = 4; /* data */
	b[6] = 1; /* mode 1 */
	scsi_put32(b + 24, scsi_blocks(r->unit));
	return 36;
}

uint32_t scsi_cd_read_subchannel(struct scsi_req *r)
{
	uint8_t *b = r->buf;

	b[1] = 0x15; /* no audio status */
	if (!(r->cdb[2] & 0x40))
		return 4;
	b[4] = r->cdb[3];
	switch (r->cdb[3]) {
	case 1:
		b[3] = 12;
		b[5] = DATA_TRACK;
		b[6] = b[7] = 1;
		put_address(b + 8, 0, r->cdb[1] & 2);
		put_address(b + 12, 0, r->cdb[1] & 2);
		return 16;
	case 2:
	case 3: b[3] = 20; return 24;
	}
	return 0;
}

uint32_t scsi_cd_read_format_capacities(struct scsi_req *r)
{
	uint32_t n = scsi_blocks(r->unit);
	uint8_t *b = r->buf;

	b[3] = 8;
	scsi_put32(b + 4, n);
	b[8] = n ? 2 : 3; /* formatted; no disc */
	scsi_put16(b + 10, 2048);
	return 12;
}

/* 6.24, 0: physical format; 1: no copyright protection. */
uint32_t scsi_cd_read_dvd_structure(struct scsi_req *r)
{
	uint8_t *b = r->buf;

	if (profile(r) != PROFILE_DVD || r->cdb[6])
		return 0;
	switch (r->cdb[7]) {
	case 0:
		scsi_put16(b, 2050);
		b[4] = 1;    /* DVD-ROM */
		b[5] = 0x0f; /* 12 cm, no rate */
		b[6] = 1;    /* one layer, embossed */
		scsi_put32(b + 8, 0x30000);
		scsi_put32(b + 12, 0x30000 + scsi_blocks(r->unit) - 1);
		return 2052;
	case 1: scsi_put16(b, 6); return 8;
	}
	return 0;
}
