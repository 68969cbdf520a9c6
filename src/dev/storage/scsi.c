/*
 * scsi.c - the life of SCSI commands and logical units (SPC-4, SAM-5).
 *
 * A command that is at the medium holds the unit: the medium is changed when
 * nobody does, and what began before finds out at its next step.  Locks: the
 * bus lock, if held, is taken before a unit's.
 */
#include "dev/storage/scsi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#define WINDOW (4u << 20)

void scsi_put_text(uint8_t *p, const char *s, unsigned len)
{
	size_t n = strlen(s);

	for (unsigned i = 0; i < len; i++)
		p[i] = i < n ? s[i] : ' ';
}

/* ---- sense data (SPC-4, 4.5) ---- */

void scsi_fail(struct scsi_req *r, uint8_t key, uint8_t asc, uint8_t ascq)
{
	r->why = (struct scsi_sense){.key = key, .asc = asc, .ascq = ascq};
	r->failed = true;
}

static void bad_field(struct scsi_req *r, bool in_cdb, unsigned byte)
{
	scsi_fail(r, SCSI_ILLEGAL_REQUEST, in_cdb ? 0x24 : 0x26, 0);
	r->why.has_field = true;
	r->why.in_cdb = in_cdb;
	r->why.field = byte;
}

void scsi_bad_cdb(struct scsi_req *r, unsigned byte)
{
	bad_field(r, true, byte);
}

void scsi_bad_param(struct scsi_req *r, unsigned byte)
{
	bad_field(r, false, byte);
}

void scsi_io_failed(struct scsi_req *r, int rc, bool write, uint64_t off)
{
	if (rc == -EROFS) {
		scsi_fail(r, SCSI_DATA_PROTECT, 0x27, 0);
		return;
	}
	if (rc == -ENOSPC) /* space allocation failed write protect */
		scsi_fail(r, SCSI_DATA_PROTECT, 0x27, 7);
	else if (write)
		scsi_fail(r, SCSI_MEDIUM_ERROR, 0x0c, 0);
	else
		scsi_fail(r, SCSI_MEDIUM_ERROR, 0x11, 0);
	r->why.has_info = true;
	r->why.info = off / r->unit->block_bytes;
}

/* 4.5.2.4.2: which field; the bit is not said. */
static void sense_field(const struct scsi_sense *s, uint8_t *p)
{
	p[0] = 0x80 | (s->in_cdb ? 0x40 : 0);
	scsi_put16(p + 1, s->field);
}

static unsigned sense_descriptors(const struct scsi_sense *s, uint8_t *b)
{
	uint8_t *p = b + 8;

	b[0] = 0x72;
	b[1] = s->key;
	b[2] = s->asc;
	b[3] = s->ascq;
	if (s->has_info) {
		p[1] = 10;
		p[2] = 0x80;
		scsi_put64(p + 4, s->info);
		p += 12;
	}
	if (s->has_field) {
		p[0] = 2;
		p[1] = 6;
		sense_field(s, p + 4);
		p += 8;
	}
	b[7] = p - b - 8;
	return p - b;
}

unsigned scsi_sense_bytes(
	const struct scsi_sense *s, bool descriptor, uint8_t *b)
{
	memset(b, 0, SCSI_SENSE_BYTES);
	if (descriptor)
		return sense_descriptors(s, b);
	b[0] = 0x70;
	b[2] = s->key;
	if (s->has_info && s->info <= UINT32_MAX) {
		b[0] |= 0x80;
		scsi_put32(b + 3, s->info);
	}
	b[7] = 10;
	b[12] = s->asc;
	b[13] = s->ascq;
	if (s->has_field)
		sense_field(s, b + 15);
	return 18;
}

struct scsi_sense scsi_take_attention(struct scsi_unit *u)
{
	static const struct {
		uint8_t what, key, asc, ascq;
	} all[] = {
		{SCSI_AT_POWER_ON, SCSI_UNIT_ATTENTION, 0x29, 0},
		{SCSI_AT_BUS_RESET, SCSI_UNIT_ATTENTION, 0x29, 2},
		{SCSI_AT_DEVICE_RESET, SCSI_UNIT_ATTENTION, 0x29, 3},
		{SCSI_AT_GONE, SCSI_NOT_READY, 0x3a, 0},
		{SCSI_AT_MEDIUM, SCSI_UNIT_ATTENTION, 0x28, 0},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
		if (!(u->attention & all[i].what))
			continue;
		u->attention &= ~all[i].what;
		/* One reset is told once. */
		if (all[i].what == SCSI_AT_POWER_ON)
			u->attention &=
				~(SCSI_AT_BUS_RESET | SCSI_AT_DEVICE_RESET);
		return (struct scsi_sense){.key = all[i].key,
			.asc = all[i].asc,
			.ascq = all[i].ascq};
	}
	return (struct scsi_sense){0};
}

/* ---- the medium ---- */

bool scsi_has_medium(const struct scsi_unit *u)
{
	return u->blk && !u->tray_open;
}

/* A CD may end inside a block. */
uint64_t scsi_blocks(const struct scsi_unit *u)
{
	if (!scsi_has_medium(u))
		return 0;
	if (u->cd)
		return MIN((u->blk->size + u->block_bytes - 1) / u->block_bytes,
			UINT32_MAX);
	return u->blk->size / u->block_bytes;
}

static struct blk *hold_locked(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;

	if (r->changes != u->changes || !u->blk) {
		scsi_fail(r, SCSI_UNIT_ATTENTION, 0x28, 0);
		return NULL;
	}
	u->users++;
	return u->blk;
}

struct blk *scsi_hold(struct scsi_req *r)
{
	struct blk *b;

	pthread_mutex_lock(&r->unit->lock);
	b = hold_locked(r);
	pthread_mutex_unlock(&r->unit->lock);
	return b;
}

void scsi_release(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;

	pthread_mutex_lock(&u->lock);
	if (!--u->users)
		pthread_cond_broadcast(&u->unused);
	pthread_mutex_unlock(&u->lock);
}

struct blk *scsi_change_medium(struct scsi_unit *u, struct blk *blk)
{
	struct blk *old;
	bool had;

	pthread_mutex_lock(&u->lock);
	u->stopping = true;
	while (u->users)
		pthread_cond_wait(&u->unused, &u->lock);
	u->stopping = false;
	old = u->blk;
	had = scsi_has_medium(u);
	u->blk = blk;
	u->readonly = u->cd || (blk && blk->readonly);
	u->changes++;
	u->tray_open = false;
	u->attention &= ~(SCSI_AT_GONE | SCSI_AT_MEDIUM);
	if (blk)
		u->attention |= SCSI_AT_MEDIUM | (had ? SCSI_AT_GONE : 0);
	u->event = blk ? SCSI_EV_NEW_MEDIA : SCSI_EV_REMOVAL;
	pthread_mutex_unlock(&u->lock);
	return old;
}

bool scsi_eject_button(struct scsi_unit *u)
{
	bool may;

	pthread_mutex_lock(&u->lock);
	may = !u->locked;
	if (!may)
		u->event = SCSI_EV_EJECT_REQUEST;
	pthread_mutex_unlock(&u->lock);
	return may;
}

/* ---- what commands do with data ---- */

uint8_t *scsi_buffer(struct scsi_req *r, uint32_t max)
{
	r->buf = g_malloc0(max);
	return r->buf;
}

void scsi_answer(struct scsi_req *r, uint32_t len, uint32_t allowed)
{
	r->dir = SCSI_IN;
	r->len = MIN(len, allowed);
}

void scsi_take(
	struct scsi_req *r, uint32_t len, void (*finish)(struct scsi_req *r))
{
	r->finish = finish;
	r->len = MIN(len, SCSI_MAX_PARAMS);
	if (!r->len)
		return;
	r->dir = SCSI_OUT;
	scsi_buffer(r, r->len);
}

void scsi_slow(struct scsi_req *r, void (*finish)(struct scsi_req *r))
{
	r->blocks = true;
	r->finish = finish;
}

bool scsi_range(struct scsi_req *r, uint64_t lba, uint64_t n)
{
	uint64_t blocks = scsi_blocks(r->unit);

	if (lba <= blocks && n <= blocks - lba && (n || lba < blocks))
		return true;
	scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x21, 0);
	return false;
}

void scsi_media(struct scsi_req *r, enum scsi_dir dir, uint64_t lba, uint64_t n)
{
	if (!scsi_range(r, lba, n) || !n)
		return;
	r->unit->requests++;
	r->dir = dir;
	r->media = r->blocks = true;
	r->off = lba * r->unit->block_bytes;
	r->len = n * r->unit->block_bytes;
}

/* ---- moving ---- */

/* Between r->buf and the vector; as many as are left. */
static uint64_t move_buf(struct scsi_req *r, const struct iovec *iov, int n)
{
	uint8_t *at = r->buf + r->moved;
	uint64_t left = r->len - r->moved, done = 0;

	for (int i = 0; i < n && done < left; i++) {
		size_t len = MIN(iov[i].iov_len, left - done);

		if (r->dir == SCSI_IN)
			memcpy(iov[i].iov_base, at + done, len);
		else
			memcpy(at + done, iov[i].iov_base, len);
		done += len;
	}
	return done;
}

static uint64_t bytes_of(const struct iovec *iov, int n)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Beyond the image's end, inside the last block, there are zeros. */
static int read_tail(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t left = off < b->size ? b->size - off : 0;

	for (int i = 0; i < n; i++) {
		size_t len = MIN(left, iov[i].iov_len);
		int rc = len ? blk_pread(b, iov[i].iov_base, len, off) : 0;

		if (rc)
			return rc;
		memset((uint8_t *)iov[i].iov_base + len, 0,
			iov[i].iov_len - len);
		off += len;
		left -= len;
	}
	return 0;
}

/* SBC-3, 5.29: BYTCHK. */
static int compare(struct scsi_req *r, struct blk *b, const struct iovec *iov,
	int n, uint64_t off)
{
	int rc = 0;

	for (int i = 0; i < n && !rc && !r->failed; i++) {
		g_autofree uint8_t *got = g_malloc(iov[i].iov_len);

		rc = blk_pread(b, got, iov[i].iov_len, off);
		if (!rc && memcmp(got, iov[i].iov_base, iov[i].iov_len) != 0)
			scsi_fail(r, SCSI_MISCOMPARE, 0x1d, 0);
		off += iov[i].iov_len;
	}
	return rc;
}

static uint64_t move_media(struct scsi_req *r, const struct iovec *iov, int n)
{
	struct scsi_unit *u = r->unit;
	struct blk *b = scsi_hold(r);
	uint64_t off = r->off + r->moved, len = bytes_of(iov, n);
	int rc;

	if (!b)
		return 0;
	if (len > r->len - r->moved)
		rc = -EINVAL;
	else if (r->verify)
		rc = compare(r, b, iov, n, off);
	else if (r->dir == SCSI_OUT)
		rc = blk_pwritev(b, iov, n, off);
	else if (off + len > b->size)
		rc = read_tail(b, iov, n, off);
	else
		rc = blk_preadv(b, iov, n, off);
	scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, r->dir == SCSI_OUT && !r->verify, off);
	if (r->failed)
		return 0;
	pthread_mutex_lock(&u->lock);
	*(r->dir == SCSI_OUT ? &u->bytes_written : &u->bytes_read) += len;
	pthread_mutex_unlock(&u->lock);
	return len;
}

bool scsi_move(struct scsi_req *r, const struct iovec *iov, int n)
{
	if (!scsi_left(r))
		return false;
	if (r->unit->stopping)
		scsi_fail(r, SCSI_ABORTED_COMMAND, 0, 0);
	else if (r->media)
		r->moved += move_media(r, iov, n);
	else
		r->moved += move_buf(r, iov, n);
	return !r->failed;
}

void scsi_work(struct scsi_job *j, struct dma_iov *v)
{
	struct scsi_req *r = j->req;

	j->moved = 0;
	while (j->moved < j->max && scsi_left(r)) {
		uint64_t before = r->moved;
		uint64_t n = MIN(MIN(scsi_left(r), j->max - j->moved), WINDOW);
		struct iovec iov = {NULL, n};

		if (!j->window) {
			iov.iov_base = (uint8_t *)j->buf + j->moved;
			scsi_move(r, &iov, 1);
		} else {
			if (!j->window(j, v, n))
				break;
			if (scsi_move(r, v->iov, (int)v->n) &&
				r->dir == SCSI_IN)
				dma_iov_written(v);
		}
		j->moved += r->moved - before;
	}
	if (j->window)
		dma_iov_clear(v);
	if (j->end)
		scsi_end(r);
}

static void scsi_job_work(struct disk_job *j, struct dma_iov *v)
{
	scsi_work((struct scsi_job *)j, v);
}

void scsi_submit(struct disk_queue *q, struct scsi_job *j)
{
	j->job.work = scsi_job_work;
	disk_queue_submit(q, &j->job);
}

/* ---- begin and end ---- */

/* SAM-5, 5.14: what pends is told instead of doing the command. */
static bool may_begin(struct scsi_req *r, unsigned flags)
{
	struct scsi_unit *u = r->unit;
	struct scsi_sense s = {0};

	if (!(flags & SCSI_F_ANY_TIME))
		s = scsi_take_attention(u);
	if (!s.key && (flags & SCSI_F_NEEDS_MEDIUM)) {
		if (!scsi_has_medium(u))
			s = (struct scsi_sense){.key = SCSI_NOT_READY,
				.asc = 0x3a,
				.ascq = u->tray_open ? 2 : 1};
		else if (u->stopped) /* START UNIT is needed */
			s = (struct scsi_sense){
				.key = SCSI_NOT_READY, .asc = 4, .ascq = 2};
	}
	if (!s.key && (flags & SCSI_F_WRITES) &&
		(u->readonly || u->write_protect))
		s = (struct scsi_sense){.key = SCSI_DATA_PROTECT, .asc = 0x27};
	r->why = s;
	r->failed = s.key != 0;
	return !r->failed;
}

#define INFO_BYTES 4096u

static void begin_info(struct scsi_req *r, const struct scsi_cmd *c)
{
	uint32_t len;

	scsi_buffer(r, INFO_BYTES);
	len = c->info(r);
	if (len)
		scsi_answer(r, len,
			c->len_at ? scsi_get16(r->cdb + c->len_at) : len);
	else
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x24, 0);
}

/* A unit that is not there knows a few commands (SPC-4, 4.5.5). */
static bool known_without_unit(uint8_t op)
{
	return op == 0x03 || op == 0x12 || op == 0xa0;
}

static void begin_locked(struct scsi_req *r, uint64_t lun)
{
	struct scsi_unit *u = r->unit;
	const struct scsi_cmd *c =
		&(u->cd ? scsi_cd_cmds : scsi_disk_cmds)[r->cdb[0]];

	/* What was kept is for the very next command. */
	if (r->cdb[0] != 0x03)
		u->sense = (struct scsi_sense){0};
	if (lun && !known_without_unit(r->cdb[0]))
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x25, 0);
	else if (!c->begin && !c->info)
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x20, 0);
	else if (!lun && !may_begin(r, c->flags))
		return;
	else if (c->info)
		begin_info(r, c);
	else
		c->begin(r);
}

void scsi_begin(struct scsi_req *r, struct scsi_unit *u, uint64_t lun)
{
	uint8_t cdb[SCSI_CDB_BYTES];

	memcpy(cdb, r->cdb, sizeof(cdb));
	*r = (struct scsi_req){.unit = u, .no_unit = lun != 0};
	memcpy(r->cdb, cdb, sizeof(cdb));
	pthread_mutex_lock(&u->lock);
	r->changes = u->changes;
	begin_locked(r, lun);
	pthread_mutex_unlock(&u->lock);
	if (!r->failed)
		return;
	r->dir = SCSI_NO_DATA;
	r->len = 0;
	r->blocks = false;
}

static void flush_medium(struct scsi_req *r)
{
	struct blk *b = scsi_hold(r);
	int rc;

	if (!b)
		return;
	rc = blk_flush(b);
	scsi_release(r);
	if (rc)
		scsi_io_failed(r, rc, true, r->off);
}

void scsi_end(struct scsi_req *r)
{
	struct scsi_unit *u = r->unit;

	/* A parameter list has to be there whole. */
	if (!r->failed && r->finish && r->moved < r->len)
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x1a, 0);
	if (!r->failed && r->finish)
		r->finish(r);
	if (!r->failed && r->flush && r->moved)
		flush_medium(r);
	r->status = r->failed ? SCSI_CHECK_CONDITION : SCSI_GOOD;
	r->sense_len = 0;
	if (r->failed) {
		pthread_mutex_lock(&u->lock);
		if (!u->autosense)
			u->sense = r->why;
		r->sense_len = scsi_sense_bytes(
			&r->why, u->descriptor_sense, r->sense);
		pthread_mutex_unlock(&u->lock);
	}
	g_clear_pointer(&r->buf, g_free);
}

void scsi_drop(struct scsi_req *r)
{
	g_clear_pointer(&r->buf, g_free);
}

/* ---- units ---- */

void scsi_unit_reset(struct scsi_unit *u, enum scsi_attention why)
{
	pthread_mutex_lock(&u->lock);
	u->sense = (struct scsi_sense){0};
	u->attention |= why;
	u->locked = u->stopped = false;
	u->write_cache = !u->cd;
	u->descriptor_sense = u->write_protect = false;
	pthread_mutex_unlock(&u->lock);
}

void scsi_unit_power_on(struct scsi_unit *u)
{
	u->tray_open = false;
	scsi_unit_reset(u, SCSI_AT_POWER_ON);
}

void scsi_unit_stop(struct scsi_unit *u, bool stop)
{
	u->stopping = stop;
}

int scsi_unit_init(struct scsi_unit *u, const struct scsi_conf *c)
{
	u->cd = c->cd;
	u->removable = c->removable || c->cd;
	u->autosense = c->autosense;
	u->cable = c->cable;
	u->block_bytes = c->cd ? 2048 : 512;
	u->blk = c->blk;
	u->readonly = c->readonly || c->cd || (c->blk && c->blk->readonly);
	if (!u->removable && (!c->blk || c->blk->size < u->block_bytes))
		return -EINVAL;
	if (c->serial)
		g_strlcpy(u->serial, c->serial, sizeof(u->serial));
	else
		snprintf(u->serial, sizeof(u->serial), "VMESTE-%s", c->id);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->unused, NULL);
	scsi_unit_power_on(u);
	return 0;
}

void scsi_unit_fini(struct scsi_unit *u)
{
	pthread_cond_destroy(&u->unused);
	pthread_mutex_destroy(&u->lock);
}

void scsi_describe(struct scsi_unit *u, char *buf, unsigned size)
{
	pthread_mutex_lock(&u->lock);
	snprintf(buf, size, "%s %llu MiB %s%s, %llu requests",
		u->cd ? "CD" : "disk",
		(unsigned long long)(u->blk ? u->blk->size >> 20 : 0),
		u->blk ? u->blk->ops->name : "empty",
		u->readonly ? " read-only" : "",
		(unsigned long long)u->requests);
	pthread_mutex_unlock(&u->lock);
}
