/*
 * lsi_bus.c - the SCSI bus behind the LSI 53C895A: who is connected, phases,
 * messages (SPI-2, chapters 10 and 11), and how a command's data come and go.
 *
 * A target keeps the bus until its command is done: it never disconnects, as
 * targets may, so at most one command is at work.
 */
#include "dev/storage/lsi_priv.h"

#include <string.h>

#include <glib.h>

/* messages */
enum {
	MSG_COMPLETE = 0x00,
	MSG_EXTENDED = 0x01,
	MSG_ABORT = 0x06,
	MSG_REJECT = 0x07,
	MSG_DEVICE_RESET = 0x0c,
	MSG_ABORT_TAG = 0x0d,
	MSG_CLEAR_QUEUE = 0x0e,
	MSG_SIMPLE_TAG = 0x20, /* and two more; one byte follows */
	MSG_IDENTIFY = 0x80,
	EXT_SDTR = 1,
	EXT_WDTR = 3,
	EXT_PPR = 4,
};

static void ask(struct lsi *d, enum lsi_phase phase)
{
	if (d->atn && phase != LSI_NO_REQ && phase != LSI_MESSAGE_OUT) {
		d->later = phase;
		phase = LSI_MESSAGE_OUT;
	}
	d->phase = phase;
}

void lsi_free_bus(struct lsi *d)
{
	d->connected = d->selected = false;
	d->atn = d->over = d->timed_out = false;
	d->phase = LSI_NO_REQ;
	d->nout = d->nin = 0;
}

static void drop_command(struct lsi *d)
{
	if (d->active)
		scsi_drop(&d->req);
	d->active = false;
}

void lsi_abandon(struct lsi *d)
{
	if (d->active)
		scsi_unit_stop(&d->unit[d->target], true);
	disk_queue_stop(d->queue);
	if (d->active)
		scsi_unit_stop(&d->unit[d->target], false);
	drop_command(d);
	lsi_free_bus(d);
}

void lsi_bus_reset(struct lsi *d)
{
	lsi_abandon(d);
	for (unsigned i = 0; i < LSI_TARGETS; i++)
		if (d->present[i])
			scsi_unit_reset(&d->unit[i], SCSI_AT_BUS_RESET);
}

bool lsi_select(struct lsi *d, unsigned target, bool atn)
{
	lsi_abandon(d);
	if (!d->present[target])
		return false;
	d->connected = d->selected = true;
	d->target = target;
	d->lun = 0;
	d->atn = atn;
	d->later = LSI_COMMAND;
	ask(d, LSI_COMMAND);
	return true;
}

/*
 * Selected without ATN, a target goes to the command phase at once.  SeaBIOS's
 * driver selects like that and sends IDENTIFY all the same: let it.
 */
void lsi_message_first(struct lsi *d, enum lsi_phase wanted)
{
	if (d->selected && wanted == LSI_MESSAGE_OUT && d->phase == LSI_COMMAND)
		d->phase = LSI_MESSAGE_OUT;
	d->selected = false;
}

void lsi_set_atn(struct lsi *d, bool on)
{
	d->atn = on;
	if (on && d->connected && d->phase != LSI_NO_REQ)
		ask(d, d->phase);
}

/* ---- the end of a command ---- */

static void ended(struct lsi *d)
{
	d->ended = true;
	ask(d, LSI_STATUS);
}

/* No data, or no more. */
static void finish(struct lsi *d)
{
	struct lsi_step *s = &d->step;

	if (!d->req.blocks || d->req.failed) {
		scsi_end(&d->req);
		ended(d);
		return;
	}
	s->j.max = 0;
	s->j.end = true;
	d->phase = LSI_NO_REQ;
	scsi_submit(d->queue, &s->j);
}

/* ---- data ---- */

static uint64_t step_window(
	struct scsi_job *j, struct dma_iov *v, uint64_t bytes)
{
	struct lsi_step *s = (struct lsi_step *)j;

	dma_iov_clear(v);
	if (!dma_iov_add(v, s->at, bytes, s->d->req.dir == SCSI_OUT))
		return 0;
	s->at += bytes;
	return bytes;
}

static void data_moved(struct lsi *d, uint64_t n)
{
	if (!scsi_left(&d->req)) {
		if (d->req.failed && !d->ended)
			scsi_end(&d->req);
		ended(d);
	} else {
		ask(d, d->req.dir == SCSI_IN ? LSI_DATA_IN : LSI_DATA_OUT);
	}
	lsi_moved(d, (uint32_t)n);
}

static void step_done(struct disk_job *j)
{
	struct lsi_step *s = (struct lsi_step *)j;
	struct lsi *d = s->d;

	if (s->j.max) {
		d->ended = s->j.end;
		data_moved(d, s->j.moved);
		return;
	}
	ended(d);
	lsi_asked(d);
}

static void move_buffer(struct lsi *d, uint64_t n)
{
	g_autofree uint8_t *buf = g_malloc(n);
	struct iovec iov = {buf, n};
	struct bus *bus = d->dev.host.bus;

	if (d->req.dir == SCSI_OUT)
		bus_dma_read(bus, d->move_at, buf, n);
	scsi_move(&d->req, &iov, 1);
	if (d->req.dir == SCSI_IN)
		bus_dma_write(bus, d->move_at, buf, n);
	if (!scsi_left(&d->req))
		scsi_end(&d->req);
	d->ended = !scsi_left(&d->req);
	data_moved(d, n);
}

/* What is not on the medium is in a buffer of 64 KiB at most. */
static void move_data(struct lsi *d)
{
	uint64_t n = MIN(scsi_left(&d->req), d->move_left);
	struct lsi_step *s = &d->step;

	if (!d->req.blocks) {
		move_buffer(d, n);
		return;
	}
	s->at = d->move_at;
	s->j.max = n;
	s->j.end = n == scsi_left(&d->req);
	d->phase = LSI_NO_REQ;
	scsi_submit(d->queue, &s->j);
}

/* ---- command, status ---- */

static void take_command(struct lsi *d)
{
	uint32_t n = MIN(d->move_left, SCSI_CDB_BYTES);
	uint8_t cdb[SCSI_CDB_BYTES] = {0};

	bus_dma_read(d->dev.host.bus, d->move_at, cdb, n);
	memcpy(d->req.cdb, cdb, sizeof(cdb));
	scsi_begin(&d->req, &d->unit[d->target], d->lun);
	d->active = true;
	d->ended = false;
	d->step.j = (struct scsi_job){
		.job.done = step_done, .req = &d->req, .window = step_window};
	if (d->req.len)
		ask(d, d->req.dir == SCSI_IN ? LSI_DATA_IN : LSI_DATA_OUT);
	else
		finish(d);
	lsi_moved(d, d->move_left);
}

static void give_byte(struct lsi *d, uint8_t b)
{
	bus_dma_write(d->dev.host.bus, d->move_at, &b, 1);
	d->reg[LSI_SFBR] = b;
}

static void give_status(struct lsi *d)
{
	give_byte(d, d->req.status);
	drop_command(d);
	d->in[0] = MSG_COMPLETE;
	d->nin = 1;
	d->over = true;
	ask(d, LSI_MESSAGE_IN);
	lsi_moved(d, 1);
}

/* ---- messages ---- */

static void give_message(struct lsi *d)
{
	uint32_t n = MIN(d->nin, d->move_left);

	bus_dma_write(d->dev.host.bus, d->move_at, d->in, n);
	d->reg[LSI_SFBR] = d->in[0];
	memmove(d->in, d->in + n, sizeof(d->in) - n);
	d->nin -= n;
	if (!d->nin && d->over)
		lsi_free_bus(d);
	else
		ask(d, d->nin ? LSI_MESSAGE_IN : d->later);
	lsi_moved(d, n);
}

/* Agree to what the host offers, as far as an Ultra2 target can. */
static void negotiate(struct lsi *d, const uint8_t *m)
{
	unsigned len = m[1] + 2u;

	memcpy(d->in, m, len);
	switch (m[2]) {
	case EXT_SDTR:
		d->in[3] = MAX(m[3], 0x0a);
		d->in[4] = MIN(m[4], 31);
		break;
	case EXT_WDTR: d->in[3] = MIN(m[3], 1); break;
	case EXT_PPR:
		d->in[3] = MAX(m[3], 0x0a);
		d->in[5] = MIN(m[5], 31);
		d->in[6] = MIN(m[6], 1);
		d->in[7] = 0; /* no double transitions, units, or quick ways */
		break;
	}
	d->nin = len;
}

/* Bytes of the message at m, of which n are there; 0: more are needed. */
static unsigned message_bytes(const uint8_t *m, unsigned n)
{
	unsigned len = 1;

	if (m[0] == MSG_EXTENDED)
		len = n < 2 ? 2 : m[1] ? m[1] + 2u : 258;
	else if ((m[0] & 0xf0) == 0x20)
		len = 2;
	return len <= n ? len : 0;
}

static bool known_extended(const uint8_t *m)
{
	return (m[2] == EXT_SDTR && m[1] == 3) ||
	       (m[2] == EXT_WDTR && m[1] == 2) ||
	       (m[2] == EXT_PPR && m[1] == 6);
}

/* False: the target leaves the bus. */
static bool take_one(struct lsi *d, const uint8_t *m)
{
	if (m[0] & MSG_IDENTIFY) {
		d->lun = m[0] & 0x3f;
		return true;
	}
	switch (m[0]) {
	case MSG_EXTENDED:
		if (known_extended(m)) {
			negotiate(d, m);
		} else {
			d->in[0] = MSG_REJECT;
			d->nin = 1;
		}
		return true;
	case MSG_DEVICE_RESET:
		scsi_unit_reset(&d->unit[d->target], SCSI_AT_DEVICE_RESET);
		return false;
	case MSG_ABORT:
	case MSG_ABORT_TAG:
	case MSG_CLEAR_QUEUE: return false;
	}
	return true; /* tags, rejections, nothing */
}

/* Messages come whole or byte by byte. */
static void take_messages(struct lsi *d)
{
	uint32_t n = MIN(d->move_left, LSI_MSG - d->nout), len;
	bool stay = true;

	bus_dma_read(d->dev.host.bus, d->move_at, d->out + d->nout, n);
	d->nout += n;
	d->atn = false; /* goes with the last byte (5.3.1) */
	while (stay && d->nout && (len = message_bytes(d->out, d->nout))) {
		stay = take_one(d, d->out);
		memmove(d->out, d->out + len, sizeof(d->out) - len);
		d->nout -= len;
	}
	if (!stay) {
		drop_command(d);
		lsi_free_bus(d);
	} else if (d->nout && d->nout < LSI_MSG) {
		d->phase = LSI_MESSAGE_OUT;
	} else {
		d->nout = 0;
		ask(d, d->nin ? LSI_MESSAGE_IN : d->later);
	}
	lsi_moved(d, n ? n : d->move_left);
}

void lsi_transfer(struct lsi *d)
{
	switch (d->phase) {
	case LSI_COMMAND: take_command(d); break;
	case LSI_STATUS: give_status(d); break;
	case LSI_MESSAGE_IN: give_message(d); break;
	case LSI_MESSAGE_OUT: take_messages(d); break;
	default: move_data(d); break;
	}
}
