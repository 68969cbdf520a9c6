/*
 * scsi_state.c - what of SCSI units and commands is saved.
 *
 * A command is saved between two steps: what it was told to do, how much was
 * moved, and what it has in its buffer.  Loading begins it anew, so that all
 * it wants to know of the medium is checked again, and puts those back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/state.h"
#include "dev/storage/scsi.h"

/* ---- units ---- */

static const struct state_field scsi_sense_fields[] = {
	STATE(struct scsi_sense, key, .max = 15),
	STATE(struct scsi_sense, asc),
	STATE(struct scsi_sense, ascq),
	STATE(struct scsi_sense, has_info),
	STATE(struct scsi_sense, info),
	STATE(struct scsi_sense, has_field),
	STATE(struct scsi_sense, in_cdb),
	STATE(struct scsi_sense, bit),
	STATE(struct scsi_sense, field),
};

static const struct state_list scsi_sense_state =
	STATE_LIST("sense", struct scsi_sense, 1, scsi_sense_fields);

static const struct state_field scsi_unit_fields[] = {
	STATE_STRUCT(struct scsi_unit, sense, &scsi_sense_state),
	STATE(struct scsi_unit, attention, .max = 31),
	STATE(struct scsi_unit, event),
	STATE(struct scsi_unit, stopped),
	STATE(struct scsi_unit, locked),
	STATE(struct scsi_unit, tray_open),
	STATE(struct scsi_unit, write_cache),
	STATE(struct scsi_unit, descriptor_sense),
	STATE(struct scsi_unit, write_protect),
};

const struct state_list scsi_unit_state =
	STATE_LIST("scsi", struct scsi_unit, 1, scsi_unit_fields);

/* ---- requests ---- */

/* As it stands in the blob, little-endian as this host is. */
struct saved_req {
	uint8_t cdb[SCSI_CDB_BYTES];
	uint8_t no_unit, failed, has_buf, status;
	uint8_t key, asc, ascq, over;
	uint64_t len, moved;
};

void scsi_req_save(const struct scsi_req *r, bool over, GByteArray *out)
{
	struct saved_req s = {.no_unit = r->no_unit,
		.failed = r->failed,
		.has_buf = r->buf != NULL,
		.status = r->status,
		.key = r->why.key,
		.asc = r->why.asc,
		.ascq = r->why.ascq,
		.over = over,
		.len = r->len,
		.moved = r->moved};

	memcpy(s.cdb, r->cdb, sizeof(s.cdb));
	g_byte_array_append(out, (const uint8_t *)&s, sizeof(s));
	if (r->buf)
		g_byte_array_append(out, r->buf, (guint)r->len);
}

/* Without what beginning a command does to its unit: it was done before. */
static void begin_again(struct scsi_req *r, struct scsi_unit *u, bool no_unit)
{
	struct scsi_sense sense = u->sense;
	uint8_t attention = u->attention, event = u->event;

	u->attention = 0;
	scsi_begin(r, u, no_unit);
	u->sense = sense;
	u->attention = attention;
	u->event = event;
}

int scsi_req_load(struct scsi_req *r, struct scsi_unit *u,
	const struct state_bytes *from, char *err, unsigned errsize)
{
	struct saved_req s;
	size_t bytes;

	snprintf(err, errsize, "the command makes no sense");
	if (from->n < sizeof(s))
		return -EINVAL;
	memcpy(&s, from->p, sizeof(s));
	bytes = from->n - sizeof(s);
	if (bytes != (s.has_buf ? s.len : 0) || s.moved > s.len ||
		(s.over && s.has_buf))
		return -EINVAL;
	if (!from->apply)
		return 0;
	scsi_drop(r);
	memcpy(r->cdb, s.cdb, sizeof(r->cdb));
	if (!s.over)
		begin_again(r, u, s.no_unit);
	r->unit = u;
	r->status = s.status;
	if (s.failed)
		scsi_fail(r, s.key, s.asc, s.ascq);
	if (s.failed || s.over)
		return s.over ? 1 : 0;
	if (r->failed || r->len != s.len || s.has_buf != (r->buf != NULL)) {
		snprintf(err, errsize, "the command cannot go on here");
		return -EINVAL;
	}
	r->moved = s.moved;
	if (bytes)
		memcpy(r->buf, from->p + sizeof(s), bytes);
	return 0;
}
