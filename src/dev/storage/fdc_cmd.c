/*
 * fdc_cmd.c - the floppy controller's commands without data (82078 data sheet
 * 290468-004, chapter 5).
 */
#include <string.h>

#include <glib.h>

#include "dev/storage/fdc_priv.h"

#define SEEK_NS 1000000ull

static unsigned fdc_unit(const struct fdc *f)
{
	return f->cmd[1] & 3;
}

/* 5.2.5: the heads move for a while; then an interrupt. */
static void fdc_seek_to(struct fdc *f, uint8_t track, uint8_t st0)
{
	unsigned n = fdc_unit(f);
	struct bus *b = f->dev.host.bus;

	if (n < FDC_DRIVES && f->drive[n].present)
		fdc_step(f, n, track);
	f->pcn[n] = track;
	f->sense[n] = st0 | (f->cmd[1] & 7);
	f->seeking |= 1u << n;
	if (!f->seek_timer.slot)
		bus_timer_arm(&f->seek_timer, bus_clock_ns(b) + SEEK_NS);
	fdc_finish(f);
}

static void fdc_recalibrate(struct fdc *f)
{
	struct fdc_drive *d = fdc_selected(f);

	f->cmd[1] &= 3;
	if (d)
		fdc_seek_to(f, 0, ST0_SEEK_END);
	else
		fdc_seek_to(f, 0, ST0_ABNORMAL | ST0_SEEK_END | ST0_CHECK);
}

static void fdc_seek(struct fdc *f)
{
	unsigned to = f->cmd[2];

	if (f->cmd[0] & 0x80) { /* relative: bit 6 is the direction */
		int by = f->cmd[0] & 0x40 ? (int)to : -(int)to;

		to = CLAMP((int)f->pcn[fdc_unit(f)] + by, 0, 255);
	}
	fdc_seek_to(f, to, ST0_SEEK_END);
}

static void fdc_sense_interrupt(struct fdc *f)
{
	for (unsigned n = 0; n < 4; n++) {
		if (!(f->sensed >> n & 1))
			continue;
		f->sensed &= ~(1u << n);
		f->result[0] = f->sense[n];
		f->result[1] = f->pcn[n];
		fdc_answer(f, 2, false);
		return;
	}
	f->result[0] = ST0_INVALID;
	fdc_answer(f, 1, false);
}

/* ST3: write protected, ready, at track 0, two sides. */
static void fdc_sense_drive(struct fdc *f)
{
	struct fdc_drive *d = fdc_selected(f);
	uint8_t st3 = (f->cmd[1] & 7) | 0x20 | 0x08;

	if (d && d->blk && d->readonly)
		st3 |= 0x40;
	if (d && !d->track)
		st3 |= 0x10;
	f->result[0] = st3;
	fdc_answer(f, 1, false);
}

static void fdc_specify(struct fdc *f)
{
	memcpy(f->specify, f->cmd + 1, 2);
	fdc_finish(f);
}

static void fdc_configure(struct fdc *f)
{
	/* Locked: the FIFO and its threshold stay through a reset only. */
	memcpy(f->configure, f->cmd + 2, 2);
	fdc_finish(f);
}

/* OW is not kept; without it the drives' bits are. */
static void fdc_set_perpendicular(struct fdc *f)
{
	uint8_t val = f->cmd[1];

	if (!(val & 0x80))
		val = (f->perpendicular & 0x3c) | (val & 3);
	f->perpendicular = val & 0x3f;
	fdc_finish(f);
}

static void fdc_set_lock(struct fdc *f)
{
	f->lock = f->cmd[0] & 0x80;
	f->result[0] = f->lock << 4;
	fdc_answer(f, 1, false);
}

static void fdc_version(struct fdc *f)
{
	f->result[0] = 0x90;
	fdc_answer(f, 1, false);
}

static void fdc_part_id(struct fdc *f)
{
	f->result[0] = 0x41;
	fdc_answer(f, 1, false);
}

static void fdc_dump_registers(struct fdc *f)
{
	memcpy(f->result, f->pcn, 4);
	memcpy(f->result + 4, f->specify, 2);
	f->result[6] = f->x.eot;
	f->result[7] = f->lock << 7 | f->perpendicular;
	memcpy(f->result + 8, f->configure, 2);
	fdc_answer(f, 10, false);
}

static void fdc_save(struct fdc *f)
{
	memset(f->result, 0, sizeof(f->result));
	f->result[0] = f->rate;
	f->result[1] = f->option;
	memcpy(f->result + 2, f->pcn, 4);
	memcpy(f->result + 6, f->specify, 2);
	f->result[8] = f->x.eot;
	f->result[9] = f->lock << 7 | f->perpendicular;
	memcpy(f->result + 10, f->configure, 2);
	fdc_answer(f, 16, false);
}

static void fdc_restore(struct fdc *f)
{
	const uint8_t *p = f->cmd + 1;

	f->rate = p[0] & 3;
	f->option = p[1];
	memcpy(f->pcn, p + 2, 4);
	memcpy(f->specify, p + 6, 2);
	f->x.eot = p[8];
	f->lock = p[9] & 0x80;
	f->perpendicular = p[9] & 0x3f;
	memcpy(f->configure, p + 10, 2);
	fdc_finish(f);
}

static void fdc_set_option(struct fdc *f)
{
	f->option = f->cmd[1];
	fdc_finish(f);
}

static void fdc_power_mode(struct fdc *f)
{
	f->result[0] = f->cmd[1];
	fdc_answer(f, 1, false);
}

/* 5.2.20: parameters until one says DONE; it may ask for what is set. */
static void fdc_drive_spec(struct fdc *f)
{
	uint8_t last = f->cmd[f->cmd_at - 1];

	if (!(last & 0x80) && f->cmd_at < 6) {
		f->cmd_len++;
		f->phase = FDC_COMMAND;
		return;
	}
	if (last & 0x40) {
		fdc_finish(f);
		return;
	}
	for (unsigned n = 0; n < 4; n++)
		f->result[n] = n << 5;
	fdc_answer(f, 4, false);
}

/* clang-format off */
const struct fdc_command fdc_commands[] = {
	{0x1f, 0x06, 8, fdc_read_data},
	{0x1f, 0x0c, 8, fdc_read_data},
	{0x3f, 0x05, 8, fdc_write_data},
	{0x3f, 0x09, 8, fdc_write_data},
	{0x9f, 0x02, 8, fdc_read_track},
	{0x1f, 0x16, 8, fdc_verify},
	{0xbf, 0x0d, 5, fdc_format_track},
	{0x1f, 0x11, 8, fdc_scan},
	{0x1f, 0x19, 8, fdc_scan},
	{0x1f, 0x1d, 8, fdc_scan},
	{0xff, 0x07, 1, fdc_recalibrate},
	{0xff, 0x08, 0, fdc_sense_interrupt},
	{0xff, 0x03, 2, fdc_specify},
	{0xff, 0x04, 1, fdc_sense_drive},
	{0xff, 0x0f, 2, fdc_seek},
	{0xbf, 0x8f, 2, fdc_seek},
	{0xff, 0x10, 0, fdc_version},
	{0xff, 0x13, 3, fdc_configure},
	{0xff, 0x12, 1, fdc_set_perpendicular},
	{0xbf, 0x0a, 1, fdc_read_id},
	{0xff, 0x0e, 0, fdc_dump_registers},
	{0x7f, 0x14, 0, fdc_set_lock},
	{0xff, 0x18, 0, fdc_part_id},
	{0xff, 0x17, 1, fdc_power_mode},
	{0xff, 0x2e, 0, fdc_save},
	{0xff, 0x4e, 16, fdc_restore},
	{0xff, 0x33, 1, fdc_set_option},
	{0xff, 0x8e, 1, fdc_drive_spec},
	{0, 0, 0, NULL},
};
/* clang-format on */
