/*
 * storage.c - USB mass storage: the bulk-only transport (Universal Serial Bus
 * Mass Storage Class, Bulk-Only Transport 1.0), one logical unit.
 *
 * A command comes as a wrapper of 31 bytes, moves data one way, and ends with
 * a status of 13 bytes.  Data go through a buffer that a worker thread fills
 * or empties; meanwhile the host is told NAK.  What host and command think of
 * length and direction is compared as chapter 6.7 says.
 */
#include "dev/usb/storage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/storage/scsi.h"

enum { /* bmRequestType, bRequest: chapter 3 */
	STORAGE_RESET = 0x21ff,
	GET_MAX_LUN = 0xa1fe,
};

#define EP_IN  0x81
#define EP_OUT 0x02

#define CBW_BYTES     31u
#define CBW_SIGNATURE 0x43425355u
#define CSW_BYTES     13u
#define CSW_SIGNATURE 0x53425355u

#define STORAGE_BUFFER (128u * 1024) /* whole packets of any size */
#define SERIAL_BYTES   32

enum storage_status { /* 5.2 */
	STATUS_GOOD,
	STATUS_FAILED,
	STATUS_PHASE,
};

enum storage_phase {
	PHASE_COMMAND,
	PHASE_IN,
	PHASE_OUT,
	PHASE_STALL_IN, /* less data than the host wants: say so */
	PHASE_STATUS,
	PHASE_BROKEN, /* no valid wrapper: until it is reset, 6.6.1 */
};

struct usb_storage {
	struct usb_device usb;
	struct scsi_unit unit;
	struct disk_queue *queue;
	char serial[SERIAL_BYTES + 1];
	enum storage_phase phase;
	uint32_t tag;
	uint32_t host_left; /* bytes that the host still wants to move */
	uint32_t residue;
	uint8_t status;
	bool ended; /* the command; its status is final */
	bool busy;  /* a worker is at it */
	struct scsi_req req;
	struct scsi_job job;
	uint32_t len, pos; /* IN: of the buffer; OUT: len is in it */
	uint8_t *buf;
};

static struct usb_storage *storage_of(struct usb_device *d)
{
	return (struct usb_storage *)d;
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static enum usb_result storage_stall(struct usb_storage *s, uint8_t ep)
{
	s->usb.halted |= usb_ep_bit(ep);
	return USB_STALL;
}

/* ---- the command's work ---- */

static void storage_ended(struct usb_storage *s)
{
	s->ended = true;
	if (s->req.status != SCSI_GOOD && s->status == STATUS_GOOD)
		s->status = STATUS_FAILED;
}

/* What was moved into or out of the buffer. */
static void storage_moved(struct usb_storage *s, uint32_t n)
{
	s->pos = 0;
	s->len = s->req.dir == SCSI_IN ? n : 0;
	if (s->job.end)
		storage_ended(s);
}

static void storage_done(struct disk_job *j)
{
	struct usb_storage *s =
		(struct usb_storage *)(void *)((char *)j -
					       offsetof(struct usb_storage,
						       job.job));

	s->busy = false;
	storage_moved(s, (uint32_t)s->job.moved);
	usb_device_ready(&s->usb, false);
}

/* Move max bytes by the buffer and, if that was all, end. */
static void storage_step(struct usb_storage *s, uint32_t max, bool end)
{
	struct iovec iov = {s->buf, max};
	uint64_t before = s->req.moved;

	s->job.req = &s->req;
	s->job.max = max;
	s->job.end = end;
	s->job.buf = s->buf;
	s->job.job.done = storage_done;
	if (s->req.blocks) {
		s->busy = true;
		scsi_submit(s->queue, &s->job);
		return;
	}
	if (max)
		scsi_move(&s->req, &iov, 1);
	if (end)
		scsi_end(&s->req);
	storage_moved(s, (uint32_t)(s->req.moved - before));
}

/* The next piece to the host, or the end. */
static void storage_fetch(struct usb_storage *s)
{
	uint64_t left = scsi_left(&s->req), most = MIN(left, s->host_left);
	uint32_t n = (uint32_t)MIN(most, STORAGE_BUFFER);

	if (!s->busy && !s->ended)
		storage_step(s, n, n == most);
}

/* Nobody waits for it any more. */
static void storage_stop(struct usb_storage *s)
{
	scsi_unit_stop(&s->unit, true);
	disk_queue_stop(s->queue);
	scsi_unit_stop(&s->unit, false);
	scsi_drop(&s->req);
	s->busy = s->ended = false;
	s->len = s->pos = 0;
	s->phase = PHASE_COMMAND;
}

/* ---- phases ---- */

/* 6.7: the thirteen cases; here those in which the two do not agree. */
static enum storage_phase storage_match(struct usb_storage *s, bool in)
{
	struct scsi_req *r = &s->req;
	bool differ = s->host_left && r->len && (r->dir == SCSI_IN) != in;

	if (r->len > s->host_left || differ)
		s->status = STATUS_PHASE;
	if (differ || (r->len > s->host_left && !s->host_left)) {
		scsi_drop(r);
		r->len = r->moved = 0;
		s->ended = true;
	}
	if (!s->host_left)
		return PHASE_STATUS;
	return in ? PHASE_IN : PHASE_OUT;
}

static enum usb_result storage_broken(struct usb_storage *s)
{
	s->phase = PHASE_BROKEN;
	storage_stall(s, EP_IN);
	return storage_stall(s, EP_OUT);
}

static enum usb_result storage_command(struct usb_storage *s, struct usb_io *io)
{
	const uint8_t *p = io->buf;
	uint8_t cdb_bytes;

	if (io->len != CBW_BYTES || get32(p) != CBW_SIGNATURE)
		return storage_broken(s);
	cdb_bytes = p[14] & 31;
	if ((p[13] & 15) || cdb_bytes < 1 || cdb_bytes > SCSI_CDB_BYTES)
		return storage_broken(s);
	io->moved = CBW_BYTES;
	s->tag = get32(p + 4);
	s->host_left = s->residue = get32(p + 8);
	memset(s->req.cdb, 0, sizeof(s->req.cdb));
	memcpy(s->req.cdb, p + 15, cdb_bytes);
	scsi_begin(&s->req, &s->unit, 0);
	s->status = STATUS_GOOD;
	s->ended = false;
	s->len = s->pos = 0;
	s->phase = storage_match(s, p[12] & 0x80);
	if (s->phase != PHASE_OUT)
		storage_fetch(s);
	return USB_ACK;
}

static enum usb_result storage_in(struct usb_storage *s, struct usb_io *io)
{
	unsigned packet =
		s->usb.type->interface->ep[0].max_packet[s->usb.speed];
	uint32_t most = MIN(io->len, s->host_left);
	uint32_t n = MIN(most, s->len - s->pos);
	bool more;

	if (s->busy)
		return USB_NAK;
	memcpy(io->buf, s->buf + s->pos, n);
	s->pos += n;
	s->host_left -= n;
	s->residue -= n;
	io->moved = n;
	if (s->pos < s->len)
		return USB_ACK;
	if (!s->ended)
		storage_fetch(s);
	more = s->busy || s->pos < s->len;
	if (more)
		return n == most ? USB_ACK : USB_NAK;
	/* That was all: a short packet says so, or else a stall. */
	s->phase = PHASE_STATUS;
	if (!n && s->host_left)
		return storage_stall(s, EP_IN);
	if (s->host_left && n == io->len && n % packet == 0)
		s->phase = PHASE_STALL_IN;
	return USB_ACK;
}

/* Into the buffer; what the command does not want is thrown away. */
static enum usb_result storage_out(struct usb_storage *s, struct usb_io *io)
{
	uint64_t wants = scsi_left(&s->req);
	uint32_t n = MIN(io->len, s->host_left);

	if (s->busy)
		return USB_NAK;
	if (s->len < wants) {
		uint32_t room = (uint32_t)MIN(wants, STORAGE_BUFFER) - s->len;
		uint32_t take = MIN(n, room);

		memcpy(s->buf + s->len, io->buf, take);
		s->len += take;
		s->residue -= take;
		if (s->len < wants)
			n = take;
	}
	s->host_left -= n;
	io->moved = n;
	if (!s->host_left)
		s->phase = PHASE_STATUS;
	if (!s->ended &&
		(s->len == MIN(wants, STORAGE_BUFFER) || !s->host_left))
		storage_step(s, s->len, !s->host_left || s->len == wants);
	return n < io->len ? USB_NAK : USB_ACK;
}

static enum usb_result storage_csw(struct usb_storage *s, struct usb_io *io)
{
	uint8_t csw[CSW_BYTES];

	if (s->busy)
		return USB_NAK;
	if (!s->ended)
		storage_step(s, 0, true);
	if (s->busy)
		return USB_NAK;
	put32(csw, CSW_SIGNATURE);
	put32(csw + 4, s->tag);
	put32(csw + 8, s->residue);
	csw[12] = s->status;
	io->moved = MIN(io->len, CSW_BYTES);
	memcpy(io->buf, csw, io->moved);
	s->phase = PHASE_COMMAND;
	return io->len < CSW_BYTES ? USB_BABBLE : USB_ACK;
}

static enum usb_result storage_io(struct usb_device *d, struct usb_io *io)
{
	struct usb_storage *s = storage_of(d);
	bool in = io->pid == USB_PID_IN;

	switch (s->phase) {
	case PHASE_COMMAND: return in ? USB_NAK : storage_command(s, io);
	case PHASE_IN: return in ? storage_in(s, io) : storage_broken(s);
	case PHASE_OUT: return in ? USB_NAK : storage_out(s, io);
	case PHASE_STALL_IN:
		if (!in)
			return storage_broken(s);
		s->phase = PHASE_STATUS;
		return storage_stall(s, EP_IN);
	case PHASE_STATUS:
		/* What the host still sends, the command does not want. */
		return in ? storage_csw(s, io) : storage_broken(s);
	case PHASE_BROKEN: break;
	}
	return storage_stall(s, in ? EP_IN : EP_OUT);
}

/* ---- requests ---- */

static bool storage_control(struct usb_device *d, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len)
{
	*len = 0;
	if (s->index)
		return false;
	switch (USB_REQUEST(s)) {
	case STORAGE_RESET: storage_stop(storage_of(d)); return true;
	case GET_MAX_LUN:
		buf[0] = 0;
		*len = 1;
		return true;
	}
	return false;
}

/* Only a reset mends the pipes then. */
static void storage_unhalted(struct usb_device *d, uint8_t ep)
{
	if (storage_of(d)->phase == PHASE_BROKEN)
		storage_stall(storage_of(d), ep);
}

static void storage_bus_reset(struct usb_device *d)
{
	struct usb_storage *s = storage_of(d);

	storage_stop(s);
	scsi_unit_reset(&s->unit, SCSI_AT_BUS_RESET);
}

/* ---- tables ---- */

static const struct usb_endpoint storage_endpoints[] = {
	{.address = EP_IN,
		.attributes = 2,
		.max_packet = {0, 64, 512, 1024},
		.burst = 15},
	{.address = EP_OUT,
		.attributes = 2,
		.max_packet = {0, 64, 512, 1024},
		.burst = 15},
};

/* SCSI commands, bulk-only */
static const struct usb_interface storage_interface = {
	.cls = 8,
	.subclass = 6,
	.protocol = 0x50,
	.ep = storage_endpoints,
	.neps = G_N_ELEMENTS(storage_endpoints),
};

static const struct usb_type storage_type = {
	.product = "drive",
	.vendor_id = 0x1209,
	.product_id = 0x0005,
	.release = 0x0100,
	.speeds = USB_FULL | USB_HIGH | USB_SUPER,
	.interface = &storage_interface,
	.ninterfaces = 1,
	.reset = storage_bus_reset,
	.control = storage_control,
	.io = storage_io,
	.unhalted = storage_unhalted,
};

/* ---- life ---- */

struct scsi_unit *usb_storage_unit(struct dev *d)
{
	return &((struct usb_storage *)d)->unit;
}

/* 4.1.1: at least twelve digits. */
static void storage_serial(struct usb_storage *s)
{
	struct dev *d = &s->usb.dev;
	unsigned n = 0;

	for (const char *p = d->id; *p; p++)
		n = n * 31 + (uint8_t)*p;
	snprintf(s->serial, sizeof(s->serial), "564D%08X", n);
	if (!d->host.serial)
		d->host.serial = s->serial;
}

static int storage_init(struct dev *d, bool cd, char *err, unsigned errsize)
{
	struct usb_storage *s = (struct usb_storage *)d;
	struct scsi_conf c = {.id = d->id,
		.blk = d->host.blk,
		.cd = cd,
		.readonly = d->host.readonly,
		.cable = SCSI_ON_USB,
		.serial = d->host.serial};

	if (scsi_unit_init(&s->unit, &c)) {
		snprintf(err, errsize, "the image is empty");
		return -EINVAL;
	}
	s->queue = disk_queue_new(d->host.bus, 1);
	if (!s->queue) {
		scsi_unit_fini(&s->unit);
		snprintf(err, errsize, "the host gives no thread");
		return -EAGAIN;
	}
	storage_serial(s);
	s->buf = g_malloc0(STORAGE_BUFFER);
	usb_device_init(&s->usb, &storage_type);
	return 0;
}

static int disk_init(struct dev *d, char *err, unsigned errsize)
{
	return storage_init(d, false, err, errsize);
}

static int cd_init(struct dev *d, char *err, unsigned errsize)
{
	return storage_init(d, true, err, errsize);
}

static void storage_reset(struct dev *d)
{
	struct usb_storage *s = (struct usb_storage *)d;

	usb_device_reset(&s->usb);
	scsi_unit_reset(&s->unit, SCSI_AT_POWER_ON);
}

static void storage_fini(struct dev *d)
{
	struct usb_storage *s = (struct usb_storage *)d;

	usb_device_fini(&s->usb);
	storage_stop(s);
	disk_queue_free(s->queue);
	scsi_unit_fini(&s->unit);
	g_free(s->buf);
}

static void storage_describe(struct dev *d, char *buf, unsigned size)
{
	struct usb_storage *s = (struct usb_storage *)d;
	size_t n;

	usb_device_describe(&s->usb, buf, size);
	n = strlen(buf);
	if (n + 2 < size) {
		buf[n] = ';';
		buf[n + 1] = ' ';
		scsi_describe(&s->unit, buf + n + 2, size - (unsigned)n - 2);
	}
}

/* ---- state ---- */

static void storage_drain(struct dev *d)
{
	disk_queue_drain(((struct usb_storage *)d)->queue);
}

static void storage_req_get(const void *obj, GByteArray *out)
{
	const struct usb_storage *s = obj;

	scsi_req_save(&s->req, s->ended || s->phase == PHASE_COMMAND, out);
}

static int storage_req_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct usb_storage *s = obj;
	int rc = scsi_req_load(&s->req, &s->unit, from, err, errsize);

	return MIN(rc, 0);
}

static void storage_data_get(const void *obj, GByteArray *out)
{
	const struct usb_storage *s = obj;

	g_byte_array_append(out, s->buf, s->len);
}

static int storage_data_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct usb_storage *s = obj;

	if (from->apply) /* what was not saved cannot be asked for */
		memcpy(s->buf, from->p, from->n);
	return 0;
}

static int storage_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct usb_storage *s = obj;

	if (s->pos <= s->len &&
		(s->ended || s->phase == PHASE_COMMAND || s->req.unit))
		return 0;
	snprintf(err, errsize, "a command that makes no sense");
	return -EINVAL;
}

static const struct state_blob storage_req_blob = {
	storage_req_get, storage_req_put, SCSI_REQ_STATE_MAX};
static const struct state_blob storage_data_blob = {
	storage_data_get, storage_data_put, STORAGE_BUFFER};

static const struct state_field storage_fields[] = {
	STATE_STRUCT(struct usb_storage, usb, &usb_device_state),
	STATE_STRUCT(struct usb_storage, unit, &scsi_unit_state),
	STATE(struct usb_storage, phase, .max = PHASE_BROKEN),
	STATE(struct usb_storage, tag),
	STATE(struct usb_storage, host_left),
	STATE(struct usb_storage, residue),
	STATE(struct usb_storage, status, .max = STATUS_PHASE),
	STATE(struct usb_storage, ended),
	STATE(struct usb_storage, len, .max = STORAGE_BUFFER),
	STATE(struct usb_storage, pos, .max = STORAGE_BUFFER),
	STATE_BLOB("req", &storage_req_blob),
	STATE_BLOB("data", &storage_data_blob),
};

static const struct state_list storage_state = STATE_LIST("usb-storage",
	struct usb_storage, 1, storage_fields, .loaded = storage_loaded);

#define STORAGE_CLASS(name_, init_)                                            \
	{                                                                      \
		.name = name_, .size = sizeof(struct usb_storage),             \
		.init = init_, .reset = storage_reset, .fini = storage_fini,   \
		.describe = storage_describe, .state = &storage_state,         \
		.drain = storage_drain,                                        \
	}

const struct dev_class usb_disk_class = STORAGE_CLASS("usb-disk", disk_init);
const struct dev_class usb_cd_class = STORAGE_CLASS("usb-cd", cd_init);
