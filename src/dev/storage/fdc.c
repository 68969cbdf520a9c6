/*
 * fdc.c - a floppy disk controller of the 82078 class in AT mode: registers,
 * phases, drives and their discs.
 *
 * Intel 82078 data sheet 290468-004: chapter 2 (registers), 3 (reset), 4
 * (phases).  Ports 0x3f2-0x3f5 and 0x3f7, interrupt 6, DMA channel 2.
 *
 * A worker thread touches the image; heads take a millisecond to move and a
 * reset takes a moment, as drivers expect the interrupt to come later.
 */
#include "dev/storage/fdc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/misc/i8237.h"
#include "dev/state.h"
#include "dev/storage/fdc_priv.h"

#define FDC_IRQ	    6
#define FDC_CHANNEL 2
#define RESET_NS    100000ull
#define LAST_TRACK  83 /* where the heads meet the stop */
#define LIST_BYTES  1024

#define DOR_NOT_RESET 0x04
#define DOR_GATE      0x08
#define DSR_RESET     0x80
#define MSR_RQM	      0x80
#define MSR_DIO	      0x40
#define MSR_NDM	      0x20
#define MSR_BUSY      0x10

/* ---- discs ---- */

static const struct fdc_format fdc_formats[] = {
	{160 << 10, 40, 1, 8, 2, true, "160K"},
	{180 << 10, 40, 1, 9, 2, true, "180K"},
	{320 << 10, 40, 2, 8, 2, true, "320K"},
	{360 << 10, 40, 2, 9, 2, true, "360K"},
	{720 << 10, 80, 2, 9, 2, false, "720K"},
	{1200 << 10, 80, 2, 15, 0, true, "1.2M"},
	{1440 << 10, 80, 2, 18, 0, false, "1.44M"},
	{1680 << 10, 80, 2, 21, 0, false, "1.68M"},
	{2880 << 10, 80, 2, 36, 3, false, "2.88M"},
};

const char fdc_format_names[] = "160K, 180K, 320K, 360K, 720K, 1.2M, 1.44M, "
				"1.68M or 2.88M";

const struct fdc_format *fdc_format(uint64_t bytes)
{
	if (!bytes || bytes % FDC_SECTOR)
		return NULL;
	for (unsigned i = 0; i < G_N_ELEMENTS(fdc_formats); i++)
		if (bytes <= fdc_formats[i].bytes)
			return &fdc_formats[i];
	return NULL;
}

/* The drive that one would have bought for such discs. */
static unsigned fdc_type_for(const struct fdc_format *f)
{
	if (f && f->large)
		return f->tracks == 40 ? 1 : 2;
	return f && f->rate == 3 ? 5 : 4;
}

static bool fdc_fits(const struct fdc_drive *d, const struct fdc_format *f)
{
	if (f->large != d->large)
		return false;
	return f->large ? f->tracks == 40 || d->type == 2
			: f->rate != 3 || d->type == 5;
}

static void fdc_set_disc(struct fdc_drive *d, struct blk *blk, bool readonly)
{
	d->blk = blk;
	d->readonly = readonly || (blk && blk->readonly);
	d->format = blk ? fdc_format(blk->size) : NULL;
	d->changed = true;
	d->next_id = 0;
}

int fdc_attach(struct dev *dev, unsigned n, struct blk *blk, bool readonly)
{
	struct fdc *f = (struct fdc *)dev;
	struct fdc_drive *d = &f->drive[n];

	if (d->present)
		return -EBUSY;
	if (blk && !fdc_format(blk->size))
		return -EINVAL;
	fdc_set_disc(d, blk, readonly);
	d->present = true;
	d->type = fdc_type_for(d->format);
	d->large = d->format && d->format->large;
	return 0;
}

int fdc_change(struct dev *dev, unsigned n, struct blk *blk, bool readonly,
	struct blk **old)
{
	struct fdc *f = (struct fdc *)dev;
	struct fdc_drive *d = &f->drive[n];
	const struct fdc_format *format = blk ? fdc_format(blk->size) : NULL;

	if (blk && (!format || !fdc_fits(d, format)))
		return -EINVAL;
	disk_queue_stop(f->queue);
	*old = d->blk;
	fdc_set_disc(d, blk, readonly);
	/* A command at work finds nothing any more. */
	if (f->phase == FDC_EXEC)
		fdc_answer_data(f, ST0_ABNORMAL, ST1_MA, 0);
	return 0;
}

unsigned fdc_drive_type(struct dev *dev, unsigned n)
{
	struct fdc *f = (struct fdc *)dev;

	return f->drive[n].present ? f->drive[n].type : 0;
}

/* ---- interrupt ---- */

static void fdc_update_irq(struct fdc *f)
{
	bus_irq_set(&f->dev.host.gsi[FDC_IRQ], f->irq && (f->dor & DOR_GATE));
}

void fdc_raise(struct fdc *f)
{
	f->irq = true;
	fdc_update_irq(f);
}

static void fdc_lower(struct fdc *f)
{
	f->irq = false;
	fdc_update_irq(f);
}

/* ---- for the commands ---- */

struct fdc_drive *fdc_selected(struct fdc *f)
{
	unsigned n = f->cmd[1] & 3;

	return n < FDC_DRIVES && f->drive[n].present ? &f->drive[n] : NULL;
}

bool fdc_motor(const struct fdc *f, unsigned n)
{
	return f->dor >> (4 + n) & 1;
}

static bool fdc_dma(const struct fdc *f)
{
	return !(f->specify[1] & 1);
}

void fdc_finish(struct fdc *f)
{
	f->phase = FDC_IDLE;
	f->cmd_at = 0;
}

void fdc_answer(struct fdc *f, unsigned n, bool irq)
{
	f->phase = FDC_RESULT;
	f->result_len = n;
	f->result_at = 0;
	if (irq)
		fdc_raise(f);
}

void fdc_answer_data(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
	const struct fdc_xfer *x = &f->x;

	f->x.at = NULL;
	i8237_request(f->dev.host.dma, FDC_CHANNEL, false);
	f->result[0] = st0 | (f->cmd[1] & 7);
	f->result[1] = st1;
	f->result[2] = st2;
	f->result[3] = x->c;
	f->result[4] = x->h;
	f->result[5] = x->r;
	f->result[6] = x->n;
	fdc_answer(f, 7, true);
}

void fdc_step(struct fdc *f, unsigned n, uint8_t track)
{
	struct fdc_drive *d = &f->drive[n];

	track = MIN(track, LAST_TRACK);
	/* The change line goes with the first step over a disc. */
	if (track != d->track && d->blk)
		d->changed = false;
	d->track = track;
}

/* ---- data ---- */

static void fdc_move_dma(struct fdc *f)
{
	struct fdc_xfer *x = &f->x;
	struct dev *dma = f->dev.host.dma;
	enum i8237_kind kind = i8237_kind(dma, FDC_CHANNEL);
	enum i8237_kind want =
		x->way == FDC_TO_HOST ? I8237_TO_MEMORY : I8237_FROM_MEMORY;
	bool tc = false;

	i8237_request(dma, FDC_CHANNEL, true);
	if ((f->dor & DOR_GATE) && (kind == want || kind == I8237_VERIFY))
		x->pos = i8237_transfer(dma, FDC_CHANNEL, x->at, x->len, &tc);
	/* Nobody takes or gives the next byte in time. */
	if (x->pos < x->len && !tc)
		x->st1 |= ST1_OR;
	x->moved(f, tc);
}

void fdc_move(struct fdc *f, uint8_t *p, uint32_t len)
{
	struct fdc_xfer *x = &f->x;

	x->at = p;
	x->pos = 0;
	x->len = len;
	if (fdc_dma(f))
		fdc_move_dma(f);
	else
		fdc_raise(f);
}

/* Without DMA the FIFO moves bytes, an interrupt each. */
static bool fdc_fifo_open(const struct fdc *f)
{
	return f->phase == FDC_EXEC && f->x.at && !fdc_dma(f);
}

static void fdc_fifo_moved(struct fdc *f)
{
	fdc_lower(f);
	if (f->x.pos < f->x.len)
		fdc_raise(f);
	else
		f->x.moved(f, false);
}

/* ---- the worker ---- */

/* Behind an image that is too short for its format there are zeros; writing
 * there makes it longer. */
static int fdc_job_read(struct fdc *f)
{
	uint64_t size = f->job_blk->size, n = 0;

	if (f->job_off < size)
		n = MIN(f->job_len, size - f->job_off);
	memset(f->buf + n, 0, f->job_len - n);
	return n ? blk_pread(f->job_blk, f->buf, n, f->job_off) : 0;
}

static int fdc_job_write(struct fdc *f)
{
	uint64_t from = f->x.dirty, to = f->x.dirty_end;
	int rc = 0;

	if (f->job_off + to > f->job_blk->size)
		rc = blk_resize(f->job_blk, f->job_off + to);
	if (!rc)
		rc = blk_pwrite(f->job_blk, f->buf + from, to - from,
			f->job_off + from);
	return rc;
}

static void fdc_job_work(struct disk_job *j, struct dma_iov *v)
{
	struct fdc *f =
		(struct fdc *)((uint8_t *)j - offsetof(struct fdc, job));

	f->job_rc = f->job_write ? fdc_job_write(f) : fdc_job_read(f);
}

static void fdc_job_done(struct disk_job *j)
{
	struct fdc *f =
		(struct fdc *)((uint8_t *)j - offsetof(struct fdc, job));

	f->job_end(f);
}

void fdc_submit(struct fdc *f, uint64_t off, uint32_t len, bool write,
	void (*end)(struct fdc *f))
{
	f->x.at = NULL;
	f->job_blk = fdc_selected(f)->blk;
	f->job_off = off;
	f->job_len = len;
	f->job_write = write;
	f->job_end = end;
	disk_queue_submit(f->queue, &f->job);
}

/* ---- commands ---- */

static const struct fdc_command *fdc_find(uint8_t code)
{
	const struct fdc_command *c = fdc_commands;

	while (c->run && ((code & c->mask) != c->code))
		c++;
	return c;
}

static void fdc_command_byte(struct fdc *f, uint8_t val)
{
	const struct fdc_command *c;

	if (!f->cmd_at) {
		memset(f->cmd, 0, sizeof(f->cmd));
		f->cmd_len = 1 + fdc_find(val)->params;
	}
	f->cmd[f->cmd_at++] = val;
	f->phase = FDC_COMMAND;
	if (f->cmd_at < f->cmd_len)
		return;
	c = fdc_find(f->cmd[0]);
	f->phase = FDC_EXEC;
	f->x.at = NULL;
	if (!c->run) {
		f->result[0] = ST0_INVALID;
		fdc_answer(f, 1, false);
		return;
	}
	if (c->code == 0x08)
		fdc_lower(f);
	c->run(f);
}

static uint8_t fdc_fifo_read(struct fdc *f)
{
	uint8_t val;

	if (fdc_fifo_open(f) && f->x.way == FDC_TO_HOST) {
		val = f->x.at[f->x.pos++];
		fdc_fifo_moved(f);
		return val;
	}
	if (f->phase != FDC_RESULT)
		return 0;
	if (!f->result_at)
		fdc_lower(f);
	val = f->result[f->result_at++];
	if (f->result_at == f->result_len)
		fdc_finish(f);
	return val;
}

static void fdc_fifo_write(struct fdc *f, uint8_t val)
{
	if (!(f->dor & DOR_NOT_RESET) || f->reset_timer.slot)
		return;
	if (fdc_fifo_open(f) && f->x.way == FDC_FROM_HOST) {
		f->x.at[f->x.pos++] = val;
		fdc_fifo_moved(f);
	} else if (f->phase == FDC_IDLE || f->phase == FDC_COMMAND) {
		fdc_command_byte(f, val);
	}
}

/* ---- reset ---- */

static void fdc_reset_state(struct fdc *f, bool hard)
{
	disk_queue_stop(f->queue);
	bus_timer_cancel(&f->seek_timer);
	bus_timer_cancel(&f->reset_timer);
	fdc_finish(f);
	f->x = (struct fdc_xfer){0};
	f->sensed = f->seeking = 0;
	memset(f->pcn, 0, sizeof(f->pcn));
	f->perpendicular = hard ? 0 : f->perpendicular & 0x3c;
	f->lock = f->lock && !hard;
	if (!f->lock) {
		f->configure[0] = 0x20; /* no FIFO */
		f->configure[1] = 0;
	}
	fdc_lower(f);
}

/* 3.2: out of reset; polling finds all drives ready. */
static void fdc_reset_over(void *opaque)
{
	struct fdc *f = opaque;

	if (f->configure[0] & 0x10) /* no polling */
		return;
	for (unsigned n = 0; n < 4; n++)
		f->sense[n] = ST0_POLLED | n;
	f->sensed = 15;
	fdc_raise(f);
}

static void fdc_leave_reset(struct fdc *f)
{
	bus_timer_arm(
		&f->reset_timer, bus_clock_ns(f->dev.host.bus) + RESET_NS);
}

static void fdc_seek_over(void *opaque)
{
	struct fdc *f = opaque;

	f->sensed |= f->seeking;
	f->seeking = 0;
	fdc_raise(f);
}

/* ---- registers ---- */

static void fdc_write_dor(struct fdc *f, uint8_t val)
{
	bool was = f->dor & DOR_NOT_RESET;

	f->dor = val;
	if (!(val & DOR_NOT_RESET))
		fdc_reset_state(f, false);
	else if (!was)
		fdc_leave_reset(f);
	fdc_update_irq(f);
}

static void fdc_write_dsr(struct fdc *f, uint8_t val)
{
	f->rate = val & 3;
	if (!(val & DSR_RESET) || !(f->dor & DOR_NOT_RESET))
		return;
	fdc_reset_state(f, false);
	fdc_leave_reset(f);
}

static uint8_t fdc_read_msr(struct fdc *f)
{
	uint8_t val = f->seeking;

	if (!(f->dor & DOR_NOT_RESET) || f->reset_timer.slot)
		return 0;
	switch (f->phase) {
	case FDC_IDLE: return val | MSR_RQM;
	case FDC_COMMAND: return val | MSR_RQM | MSR_BUSY;
	case FDC_RESULT: return val | MSR_RQM | MSR_DIO | MSR_BUSY;
	case FDC_EXEC: break;
	}
	val |= MSR_BUSY;
	if (!fdc_dma(f))
		val |= MSR_NDM;
	if (fdc_fifo_open(f))
		val |= MSR_RQM | (f->x.way == FDC_TO_HOST ? MSR_DIO : 0);
	return val;
}

static uint8_t fdc_read_dir(struct fdc *f)
{
	unsigned n = f->dor & 3;

	if (n >= FDC_DRIVES || !f->drive[n].present || !fdc_motor(f, n))
		return 0;
	return f->drive[n].changed ? 0x80 : 0;
}

static uint32_t fdc_read(void *opaque, uint16_t port, unsigned size)
{
	struct fdc *f = opaque;

	switch (port & 7) {
	case 2: return f->dor;
	case 3: return f->tdr;
	case 4: return fdc_read_msr(f);
	case 5: return fdc_fifo_read(f);
	case 7: return fdc_read_dir(f);
	}
	return 0xff;
}

static void fdc_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct fdc *f = opaque;

	switch (port & 7) {
	case 2: fdc_write_dor(f, val); break;
	case 3: f->tdr = val & 3; break;
	case 4: fdc_write_dsr(f, val); break;
	case 5: fdc_fifo_write(f, val); break;
	case 7: f->rate = val & 3; break;
	}
}

static const struct bus_io_ops fdc_ops = {
	.read = fdc_read,
	.write = fdc_write,
};

/* ---- life ---- */

static int fdc_init(struct dev *d, char *err, unsigned errsize)
{
	struct fdc *f = (struct fdc *)d;
	struct bus *b = d->host.bus;

	if (!d->host.dma) {
		snprintf(err, errsize, "%s: there is no DMA", d->id);
		return -EINVAL;
	}
	f->queue = disk_queue_new(b, 1);
	if (!f->queue) {
		snprintf(err, errsize, "%s: no worker thread", d->id);
		return -EAGAIN;
	}
	f->buf = g_malloc0(FDC_BUFFER);
	f->list = g_malloc0(LIST_BYTES);
	f->job.work = fdc_job_work;
	f->job.done = fdc_job_done;
	bus_timer_init(&f->seek_timer, b, fdc_seek_over, f);
	bus_timer_init(&f->reset_timer, b, fdc_reset_over, f);
	bus_io_claim(b, 0x3f2, 4, &fdc_ops, f);
	bus_io_claim(b, 0x3f7, 1, &fdc_ops, f);
	return 0;
}

static void fdc_reset(struct dev *d)
{
	struct fdc *f = (struct fdc *)d;

	fdc_reset_state(f, true);
	f->dor = f->tdr = 0;
	f->rate = 2;
	memset(f->specify, 0, sizeof(f->specify));
	for (unsigned n = 0; n < FDC_DRIVES; n++) {
		f->drive[n].track = 0;
		f->drive[n].changed = true;
	}
	fdc_update_irq(f);
}

static void fdc_fini(struct dev *d)
{
	struct fdc *f = (struct fdc *)d;
	struct bus *b = d->host.bus;

	disk_queue_free(f->queue);
	bus_timer_cancel(&f->seek_timer);
	bus_timer_cancel(&f->reset_timer);
	bus_io_release(b, 0x3f2, 4, f);
	bus_io_release(b, 0x3f7, 1, f);
	g_free(f->buf);
	g_free(f->list);
}

static void fdc_describe(struct dev *d, char *buf, unsigned size)
{
	const struct fdc *f = (const struct fdc *)d;
	const char *disc[FDC_DRIVES];

	for (unsigned n = 0; n < FDC_DRIVES; n++)
		disc[n] = f->drive[n].format ? f->drive[n].format->name : "-";
	snprintf(buf, size, "A: %s, B: %s, %llu requests", disc[0], disc[1],
		(unsigned long long)f->requests);
}

/* ---- state ---- */

static void fdc_drain(struct dev *d)
{
	disk_queue_drain(((struct fdc *)d)->queue);
}

static bool fdc_bytes_ok(const struct fdc *f)
{
	switch (f->phase) {
	case FDC_COMMAND: return f->cmd_at && f->cmd_at < f->cmd_len;
	case FDC_RESULT: return f->result_at < f->result_len;
	default: return true;
	}
}

static int fdc_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct fdc *f = obj;

	f->x.at = NULL;
	if (f->phase == FDC_IDLE)
		f->cmd_at = 0;
	if (fdc_bytes_ok(f) && (f->phase != FDC_EXEC || fdc_resume(f)))
		return 0;
	snprintf(err, errsize, "the command at work makes no sense");
	return -EINVAL;
}

static const struct state_field fdc_drive_fields[] = {
	STATE(struct fdc_drive, track, .max = LAST_TRACK),
	STATE(struct fdc_drive, next_id),
	STATE(struct fdc_drive, changed),
};

static const struct state_list fdc_drive_state =
	STATE_LIST("drive", struct fdc_drive, 1, fdc_drive_fields);

static const struct state_field fdc_fields[] = {
	STATE_STRUCTS(struct fdc, drive, &fdc_drive_state),
	STATE(struct fdc, dor),
	STATE(struct fdc, tdr),
	STATE(struct fdc, rate, .max = 3),
	STATE(struct fdc, phase, .max = FDC_RESULT),
	STATE_BYTES(struct fdc, cmd),
	STATE_BYTES(struct fdc, result),
	STATE(struct fdc, cmd_len, .max = FDC_PARAMS),
	STATE(struct fdc, cmd_at, .max = FDC_PARAMS),
	STATE(struct fdc, result_len, .max = FDC_PARAMS),
	STATE(struct fdc, result_at, .max = FDC_PARAMS),
	STATE(struct fdc, irq),
	STATE_BYTES(struct fdc, specify),
	STATE_BYTES(struct fdc, configure),
	STATE(struct fdc, perpendicular),
	STATE(struct fdc, option),
	STATE(struct fdc, lock),
	STATE(struct fdc, powerdown),
	STATE_BYTES(struct fdc, pcn),
	STATE_BYTES(struct fdc, sense),
	STATE(struct fdc, sensed, .max = 15),
	STATE(struct fdc, seeking, .max = 15),
	STATE_TIMER(struct fdc, seek_timer),
	STATE_TIMER(struct fdc, reset_timer),
	STATE(struct fdc, x.c),
	STATE(struct fdc, x.h),
	STATE(struct fdc, x.r),
	STATE(struct fdc, x.n),
	STATE(struct fdc, x.eot),
	STATE(struct fdc, x.mt),
	STATE(struct fdc, x.st1),
	STATE(struct fdc, x.st2),
	STATE(struct fdc, x.way, .max = FDC_FROM_HOST),
	STATE(struct fdc, x.pos, .max = FDC_BUFFER),
	STATE(struct fdc, x.len, .max = FDC_BUFFER),
	STATE(struct fdc, x.dirty, .max = FDC_BUFFER),
	STATE(struct fdc, x.dirty_end, .max = FDC_BUFFER),
	STATE_CHOICE(struct fdc, x.moved, fdc_moves),
	STATE_MEM(struct fdc, buf, FDC_BUFFER),
	STATE_MEM(struct fdc, list, LIST_BYTES),
};

static const struct state_list fdc_state =
	STATE_LIST("fdc", struct fdc, 1, fdc_fields, .loaded = fdc_loaded);

const struct dev_class fdc_class = {
	.name = "fdc",
	.size = sizeof(struct fdc),
	.init = fdc_init,
	.reset = fdc_reset,
	.fini = fdc_fini,
	.describe = fdc_describe,
	.state = &fdc_state,
	.drain = fdc_drain,
};
