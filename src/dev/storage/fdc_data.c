/*
 * fdc_data.c - commands that read, write, compare and format (82078 data sheet
 * 290468-004, 5.1).
 *
 * The cylinder under the heads is read into memory as a whole; sectors then
 * move one by one until terminal count or the end that the command gave, and
 * what was written goes to the medium in one piece.
 */
#include <string.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/storage/fdc_priv.h"

#define RATE_300K 1

/* ---- what is under the heads ---- */

/* A drive of 80 tracks steps twice for a disc of 40. */
static bool fdc_double_step(const struct fdc_drive *d)
{
	return d->type == 2 && d->format->tracks == 40;
}

static unsigned fdc_cylinder(const struct fdc_drive *d)
{
	return fdc_double_step(d) ? d->track / 2 : d->track;
}

static unsigned fdc_head(const struct fdc *f)
{
	return f->cmd[1] >> 2 & 1;
}

/* Can anything be read there at this rate and density? */
static bool fdc_readable(const struct fdc *f, const struct fdc_drive *d)
{
	if (!d || !d->blk || !fdc_motor(f, f->cmd[1] & 3) ||
		!(f->cmd[0] & 0x40))
		return false;
	return f->rate == (fdc_double_step(d) ? RATE_300K : d->format->rate) &&
	       fdc_cylinder(d) < d->format->tracks &&
	       fdc_head(f) < d->format->heads;
}

static void fdc_fail(struct fdc *f, uint8_t st1, uint8_t st2)
{
	fdc_answer_data(f, ST0_ABNORMAL, st1, st2);
}

/* The sector that x names, or NULL. */
static uint8_t *fdc_sector(struct fdc *f)
{
	const struct fdc_drive *d = fdc_selected(f);
	const struct fdc_xfer *x = &f->x;

	if (x->n != 2 || !x->r || x->r > d->format->sectors ||
		x->h >= d->format->heads)
		return NULL;
	return f->buf + (x->h * d->format->sectors + x->r - 1) * FDC_SECTOR;
}

/* 5.1.1: to the next sector; false behind the last one.  What x names then is
 * what the result tells. */
static bool fdc_advance(struct fdc_xfer *x)
{
	if (x->r++ != x->eot)
		return true;
	x->r = 1;
	if (!x->mt || x->h) {
		x->c++;
		x->h = x->mt ? 0 : x->h;
		return false;
	}
	x->h = 1;
	return true;
}

/* ---- start and end ---- */

static void fdc_load(struct fdc *f, void (*end)(struct fdc *f))
{
	const struct fdc_drive *d = fdc_selected(f);
	uint32_t len = d->format->heads * d->format->sectors * FDC_SECTOR;

	f->requests++;
	fdc_submit(f, (uint64_t)fdc_cylinder(d) * len, len, false, end);
}

static void fdc_begin(struct fdc *f, void (*loaded)(struct fdc *f))
{
	struct fdc_xfer *x = &f->x;
	struct fdc_drive *d = fdc_selected(f);

	*x = (struct fdc_xfer){.c = f->cmd[2],
		.h = f->cmd[3],
		.r = f->cmd[4],
		.n = f->cmd[5],
		.eot = f->cmd[6],
		.mt = f->cmd[0] & 0x80};
	if (d && (f->configure[0] & 0x40) && f->pcn[f->cmd[1] & 3] != x->c) {
		fdc_step(f, f->cmd[1] & 3, x->c);
		f->pcn[f->cmd[1] & 3] = x->c;
	}
	if (!fdc_readable(f, d))
		fdc_fail(f, ST1_MA, 0);
	else if (x->c != fdc_cylinder(d))
		fdc_fail(f, ST1_ND, ST2_WC);
	else if (x->h != fdc_head(f))
		fdc_fail(f, ST1_ND, 0);
	else
		fdc_load(f, loaded);
}

/* All is where it shall be. */
static void fdc_end(struct fdc *f)
{
	if (f->job_rc)
		f->x.st1 |= ST1_DE;
	fdc_answer_data(f, f->x.st1 ? ST0_ABNORMAL : 0, f->x.st1, f->x.st2);
}

/* Write back what was changed, then end. */
static void fdc_settle(struct fdc *f)
{
	const struct fdc_drive *d = fdc_selected(f);
	struct fdc_xfer *x = &f->x;
	uint32_t len = d->format->heads * d->format->sectors * FDC_SECTOR;
	uint64_t off = (uint64_t)fdc_cylinder(d) * len;

	if (x->dirty >= x->dirty_end) {
		fdc_end(f);
		return;
	}
	fdc_submit(f, off, len, true, fdc_end);
}

static void fdc_dirty(struct fdc *f, const uint8_t *p)
{
	struct fdc_xfer *x = &f->x;
	uint32_t at = p - f->buf;

	if (x->dirty >= x->dirty_end)
		x->dirty = at;
	x->dirty = MIN(x->dirty, at);
	x->dirty_end = MAX(x->dirty_end, at + FDC_SECTOR);
}

/* ---- reading and writing ---- */

/* Move the sector that x names, or end. */
static void fdc_next(struct fdc *f)
{
	uint8_t *p = fdc_sector(f);

	if (!p) {
		f->x.st1 |= ST1_ND;
		fdc_settle(f);
		return;
	}
	fdc_move(f, p, FDC_SECTOR);
}

static void fdc_sector_moved(struct fdc *f, bool tc)
{
	struct fdc_xfer *x = &f->x;
	bool deleted = (f->cmd[0] & 0x1f) == 0x0c;

	if (x->way == FDC_FROM_HOST) {
		/* Cut off by terminal count: the rest is zeros. */
		memset(x->at + x->pos, 0, FDC_SECTOR - x->pos);
		fdc_dirty(f, x->at);
	}
	if (x->st1 & ST1_OR) {
		fdc_settle(f);
		return;
	}
	if (!fdc_advance(x) && !tc) {
		x->st1 |= ST1_EN;
		fdc_settle(f);
	} else if (tc || deleted) {
		/* No sector here is marked as deleted. */
		x->st2 |= deleted ? ST2_CM : 0;
		fdc_settle(f);
	} else {
		fdc_next(f);
	}
}

static void fdc_loaded(struct fdc *f)
{
	if (f->job_rc) {
		fdc_end(f);
		return;
	}
	f->x.moved = fdc_sector_moved;
	fdc_next(f);
}

void fdc_read_data(struct fdc *f)
{
	fdc_begin(f, fdc_loaded);
}

static bool fdc_protected(struct fdc *f)
{
	const struct fdc_drive *d = fdc_selected(f);

	return d && d->blk && d->readonly;
}

static void fdc_loaded_for_write(struct fdc *f)
{
	f->x.way = FDC_FROM_HOST;
	fdc_loaded(f);
}

void fdc_write_data(struct fdc *f)
{
	if (fdc_protected(f))
		fdc_fail(f, ST1_NW, 0);
	else
		fdc_begin(f, fdc_loaded_for_write);
}

/* 5.1.4: from the index hole on, whatever the sectors are called. */
void fdc_read_track(struct fdc *f)
{
	f->cmd[0] &= 0x7f;
	f->cmd[4] = 1;
	fdc_begin(f, fdc_loaded);
}

/* 5.1.5: as reading, but nothing moves. */
static void fdc_loaded_for_verify(struct fdc *f)
{
	struct fdc_xfer *x = &f->x;
	unsigned count = f->cmd[1] & 0x80 ? f->cmd[8] : 512;

	while (!f->job_rc && count--) {
		if (!fdc_sector(f)) {
			x->st1 |= ST1_ND;
			break;
		}
		if (!fdc_advance(x))
			break;
	}
	fdc_end(f);
}

void fdc_verify(struct fdc *f)
{
	fdc_begin(f, fdc_loaded_for_verify);
}

/* ---- scanning ---- */

/* Bytes of all ones match anything. */
static void fdc_compare(struct fdc *f)
{
	struct fdc_xfer *x = &f->x;
	const uint8_t *disk = fdc_sector(f), *host = f->list;
	bool equal = true, below = true, above = true;
	unsigned kind = f->cmd[0] & 0x1f;

	for (unsigned i = 0; i < x->pos; i++) {
		if (disk[i] == host[i] || disk[i] == 0xff || host[i] == 0xff)
			continue;
		equal = false;
		below &= disk[i] < host[i];
		above &= disk[i] > host[i];
	}
	x->st2 = ST2_SN;
	if (equal)
		x->st2 = ST2_SH;
	else if ((kind == 0x19 && below) || (kind == 0x1d && above))
		x->st2 = 0;
}

static void fdc_scan_next(struct fdc *f)
{
	if (fdc_sector(f)) {
		fdc_move(f, f->list, FDC_SECTOR);
		return;
	}
	f->x.st1 |= ST1_ND;
	fdc_end(f);
}

static void fdc_scan_moved(struct fdc *f, bool tc)
{
	struct fdc_xfer *x = &f->x;
	bool more;

	fdc_compare(f);
	more = fdc_advance(x);
	if (more && f->cmd[8] == 2 && x->st2 == ST2_SN)
		more = fdc_advance(x); /* every other sector */
	if (!more || tc || x->st2 != ST2_SN || (x->st1 & ST1_OR))
		fdc_end(f);
	else
		fdc_scan_next(f);
}

static void fdc_loaded_for_scan(struct fdc *f)
{
	f->x.way = FDC_FROM_HOST;
	f->x.moved = fdc_scan_moved;
	if (f->job_rc)
		fdc_end(f);
	else
		fdc_scan_next(f);
}

void fdc_scan(struct fdc *f)
{
	fdc_begin(f, fdc_loaded_for_scan);
}

/* ---- identification and formatting ---- */

void fdc_read_id(struct fdc *f)
{
	struct fdc_drive *d = fdc_selected(f);

	if (!fdc_readable(f, d)) {
		fdc_fail(f, ST1_MA, 0);
		return;
	}
	f->x = (struct fdc_xfer){.c = fdc_cylinder(d),
		.h = fdc_head(f),
		.r = d->next_id % d->format->sectors + 1,
		.n = 2};
	d->next_id = f->x.r;
	fdc_answer_data(f, 0, 0, 0);
}

/* Four bytes for each sector: cylinder, head, number, size. */
static void fdc_ids_moved(struct fdc *f, bool tc)
{
	const struct fdc_drive *d = fdc_selected(f);
	struct fdc_xfer *x = &f->x;

	for (uint32_t i = 0; i + 4 <= x->pos; i += 4) {
		uint8_t *p;

		x->c = f->list[i];
		x->h = f->list[i + 1];
		x->r = f->list[i + 2];
		x->n = f->list[i + 3];
		p = fdc_sector(f);
		if (!p || x->c != fdc_cylinder(d) || x->h != fdc_head(f))
			continue; /* nothing that an image could hold */
		memset(p, f->cmd[5], FDC_SECTOR);
		fdc_dirty(f, p);
	}
	fdc_settle(f);
}

static void fdc_loaded_for_format(struct fdc *f)
{
	if (f->job_rc || !f->cmd[3]) {
		fdc_end(f);
		return;
	}
	f->x.way = FDC_FROM_HOST;
	f->x.moved = fdc_ids_moved;
	fdc_move(f, f->list, f->cmd[3] * 4u);
}

void fdc_format_track(struct fdc *f)
{
	f->x = (struct fdc_xfer){0};
	if (fdc_protected(f))
		fdc_fail(f, ST1_NW, 0);
	else if (!fdc_readable(f, fdc_selected(f)))
		fdc_fail(f, ST1_MA, 0);
	else
		fdc_load(f, fdc_loaded_for_format);
}

/* ---- state ---- */

const struct state_choice fdc_moves[] = {
	{"sector", (const void *)fdc_sector_moved},
	{"scan", (const void *)fdc_scan_moved},
	{"ids", (const void *)fdc_ids_moved},
	{NULL, NULL},
};

bool fdc_resume(struct fdc *f)
{
	const struct fdc_drive *d = fdc_selected(f);
	struct fdc_xfer *x = &f->x;
	uint32_t len = FDC_SECTOR;

	if (!d || !d->blk || !d->format || !x->moved ||
		fdc_cylinder(d) >= d->format->tracks)
		return false;
	x->at = x->moved == fdc_sector_moved ? fdc_sector(f) : f->list;
	if (x->moved == fdc_scan_moved && !fdc_sector(f))
		return false;
	if (x->moved == fdc_ids_moved)
		len = f->cmd[3] * 4u;
	return x->at && x->len == len && x->pos < len;
}
