/*
 * virtio_scsi.c - a virtio SCSI host adapter (virtio 1.2, 5.6).
 *
 * Queue 0 takes task management, queue 1 buffers for events, the others
 * commands.  Workers (virtio_pool.h) carry commands out from begin to end.
 * Those that were sent before a task management function are done when it is
 * answered; a reset makes them give up soon.
 *
 * Locks: the bus lock, the lock of targets (a worker holds it for reading
 * while it is at a command), then the pool's or a unit's.
 */
#include "dev/virtio/virtio_scsi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/virtio/virtio_pool.h"

#define QUEUE_SIZE  256
#define CONTROLQ    0
#define EVENTQ	    1
#define FIRSTQ	    2
#define SENSE_SIZE  96u
#define CDB_SIZE    32u
#define MAX_SECTORS SCSI_MAX_BLOCKS

#define F_INOUT	  0
#define F_HOTPLUG 1
#define F_CHANGE  2

/* response (5.6.6.1, 5.6.6.2) */
enum {
	S_OK = 0,
	S_OVERRUN = 1,
	S_BAD_TARGET = 3,
	S_RESET = 4,
	S_FAILURE = 9,
	S_FUNCTION_COMPLETE = 0,
	S_FUNCTION_SUCCEEDED = 10,
	S_FUNCTION_REJECTED = 11,
	S_INCORRECT_LUN = 12,
};

/* 5.6.6.2 */
enum {
	T_TMF = 0,
	T_AN_QUERY = 1,
	T_AN_SUBSCRIBE = 2,
	TMF_ABORT_TASK = 0,
	TMF_ABORT_TASK_SET = 1,
	TMF_CLEAR_ACA = 2,
	TMF_CLEAR_TASK_SET = 3,
	TMF_NEXUS_RESET = 4,
	TMF_UNIT_RESET = 5,
	TMF_QUERY_TASK = 6,
	TMF_QUERY_TASK_SET = 7,
};

/* 5.6.6.3 */
#define EVENT_MISSED	   0x80000000u
#define EVENT_RESET	   1
#define EVENT_PARAM_CHANGE 3
#define RESET_RESCAN	   1
#define RESET_REMOVED	   2

struct scsi_config {
	uint32_t num_queues, seg_max, max_sectors, cmd_per_lun;
	uint32_t event_info_size, sense_size, cdb_size;
	uint16_t max_channel, max_target;
	uint32_t max_lun;
};

struct cmd_header {
	uint8_t lun[8];
	uint64_t id;
	uint8_t attr, prio, crn;
	uint8_t cdb[SCSI_CDB_BYTES]; /* and more, which nobody uses */
} __attribute__((packed));

#define CMD_FIXED 19u /* of the header, before the CDB */

struct cmd_response {
	uint32_t sense_len, residual;
	uint16_t qualifier;
	uint8_t status, response;
	uint8_t sense[SCSI_SENSE_BYTES]; /* and room for more */
};

#define RESPONSE_FIXED 12u

struct tmf {
	uint32_t type, subtype;
	uint8_t lun[8];
	uint64_t id;
};

struct event {
	uint32_t event;
	uint8_t lun[8];
	uint32_t reason;
};

/* What a worker is at. */
struct task {
	_Atomic(bool) busy;
	_Atomic(uint64_t) id;
	_Atomic(unsigned) target;
};

struct virtio_scsi {
	struct virtio v;
	struct virtio_pool pool;
	uint32_t sense_size, cdb_size; /* the driver's choice */
	bool events_missed;
	pthread_rwlock_t targets; /* covers the two rows */
	bool present[VIRTIO_SCSI_TARGETS];
	struct scsi_unit unit[VIRTIO_SCSI_TARGETS];
	struct task task[QUEUE_POOL_WORKERS];
};

/* 5.6.6.1: 1, the target, and a number in flat format. */
static struct scsi_unit *unit_at(
	struct virtio_scsi *d, const uint8_t lun[8], unsigned *number)
{
	unsigned target = lun[1];

	if (lun[0] != 1 || target >= VIRTIO_SCSI_TARGETS || !d->present[target])
		return NULL;
	*number = (lun[2] << 8 | lun[3]) & 0x3fff;
	return &d->unit[target];
}

/* ---- commands ---- */

/* Bytes of the chain before the data, either way. */
struct shape {
	uint64_t out, in;
};

static uint8_t move_data(struct scsi_req *q, struct virtio_pool_req *r,
	const struct shape *s, uint64_t *residual)
{
	bool out = q->dir == SCSI_OUT;
	uint64_t room =
		out ? r->chain.out_bytes - s->out : r->chain.in_bytes - s->in;
	uint8_t response = S_OK;

	*residual = q->len ? room : 0;
	if (!q->len) {
		*residual =
			r->chain.out_bytes - s->out + r->chain.in_bytes - s->in;
		return S_OK;
	}
	if (q->len > room)
		return S_OVERRUN;
	if (!virtio_pool_map(r, out, out ? s->out : s->in, q->len))
		response = S_FAILURE;
	else if (scsi_move(q, r->v.iov, (int)r->v.n) && !out)
		dma_iov_written(&r->v);
	dma_iov_clear(&r->v);
	*residual -= q->moved;
	return response;
}

static void run_command(struct virtio_scsi *d, struct virtio_pool_req *r,
	const struct cmd_header *h, const struct shape *s,
	struct cmd_response *a, uint64_t *written)
{
	struct scsi_req q = {0};
	unsigned number;
	struct scsi_unit *u = unit_at(d, h->lun, &number);
	uint64_t residual;

	if (!u || u->stopping) {
		a->response = u ? S_RESET : S_BAD_TARGET;
		return;
	}
	memcpy(q.cdb, h->cdb, sizeof(q.cdb));
	scsi_begin(&q, u, number);
	a->response = move_data(&q, r, s, &residual);
	if (a->response != S_OK) {
		scsi_drop(&q);
		return;
	}
	scsi_end(&q);
	if (u->stopping && q.status != SCSI_GOOD)
		a->response = S_RESET;
	a->status = q.status;
	a->residual = (uint32_t)MIN(residual, UINT32_MAX);
	a->sense_len = MIN(q.sense_len, d->sense_size);
	memcpy(a->sense, q.sense, a->sense_len);
	if (q.dir == SCSI_IN)
		*written += q.moved;
}

static int64_t serve_command(struct virtio_scsi *d, struct virtio_pool_req *r)
{
	struct virtq_chain *c = &r->chain;
	struct shape s = {.out = (uint64_t)CMD_FIXED + d->cdb_size,
		.in = (uint64_t)RESPONSE_FIXED + d->sense_size};
	struct task *t = &d->task[r->slot.worker];
	struct cmd_response a = {0};
	struct cmd_header h = {0};
	uint64_t written = s.in;

	if (c->out_bytes < s.out || c->in_bytes < s.in)
		return -EINVAL;
	virtq_read(r->q, c, 0, &h, MIN(sizeof(h), s.out));
	t->id = h.id;
	t->target = h.lun[1];
	t->busy = true;
	pthread_rwlock_rdlock(&d->targets);
	run_command(d, r, &h, &s, &a, &written);
	pthread_rwlock_unlock(&d->targets);
	t->busy = false;
	virtq_write(r->q, c, 0, &a, RESPONSE_FIXED + a.sense_len);
	return (int64_t)written;
}

/* ---- task management ---- */

static uint8_t query(struct virtio_scsi *d, const struct tmf *f)
{
	for (unsigned i = 0; i < QUEUE_POOL_WORKERS; i++) {
		struct task *t = &d->task[i];

		if (t->busy && t->target == f->lun[1] &&
			(f->subtype == TMF_QUERY_TASK_SET || t->id == f->id))
			return S_FUNCTION_SUCCEEDED;
	}
	return S_FUNCTION_COMPLETE;
}

/* What was sent before is done afterwards, one way or the other. */
static uint8_t settle(struct virtio_scsi *d, struct virtio_pool_req *r,
	struct scsi_unit *u, bool reset)
{
	bool done;

	if (reset)
		scsi_unit_stop(u, true);
	done = virtio_pool_barrier(&d->pool, r);
	if (!reset)
		return done ? S_FUNCTION_COMPLETE : S_FAILURE;
	scsi_unit_stop(u, false);
	scsi_unit_reset(u, SCSI_AT_DEVICE_RESET);
	return done ? S_FUNCTION_COMPLETE : S_FAILURE;
}

static uint8_t run_tmf(
	struct virtio_scsi *d, struct virtio_pool_req *r, const struct tmf *f)
{
	unsigned number;
	struct scsi_unit *u = unit_at(d, f->lun, &number);

	if (!u)
		return S_BAD_TARGET;
	if (number && f->subtype != TMF_NEXUS_RESET)
		return S_INCORRECT_LUN;
	switch (f->subtype) {
	case TMF_ABORT_TASK:
	case TMF_ABORT_TASK_SET:
	case TMF_CLEAR_TASK_SET: return settle(d, r, u, false);
	case TMF_NEXUS_RESET:
	case TMF_UNIT_RESET: return settle(d, r, u, true);
	case TMF_QUERY_TASK:
	case TMF_QUERY_TASK_SET: return query(d, f);
	}
	return S_FUNCTION_REJECTED; /* CLEAR ACA: there is no such condition */
}

/* Nobody writes the lock's rows while a function waits for commands: they hold
 * it for reading, too. */
static int64_t serve_control(struct virtio_scsi *d, struct virtio_pool_req *r)
{
	struct virtq_chain *c = &r->chain;
	uint8_t answer[5] = {0};
	struct tmf f = {0};
	size_t n = virtq_read(r->q, c, 0, &f, sizeof(f));

	if (n < sizeof(f.type))
		return -EINVAL;
	if (f.type == T_TMF) {
		if (n < sizeof(f) || !c->in_bytes)
			return -EINVAL;
		pthread_rwlock_rdlock(&d->targets);
		answer[0] = run_tmf(d, r, &f);
		pthread_rwlock_unlock(&d->targets);
		virtq_write(r->q, c, 0, answer, 1);
		return 1;
	}
	/* No asynchronous notifications: none of those asked for. */
	if (f.type > T_AN_SUBSCRIBE || c->in_bytes < sizeof(answer))
		return -EINVAL;
	virtq_write(r->q, c, 0, answer, sizeof(answer));
	return sizeof(answer);
}

static int64_t virtio_scsi_serve(struct virtio *v, struct virtio_pool_req *r)
{
	struct virtio_scsi *d = (struct virtio_scsi *)v;

	if (r->q == &v->queue[CONTROLQ])
		return serve_control(d, r);
	return serve_command(d, r);
}

/* ---- events ---- */

/* Ours held.  False: the driver has given no buffer. */
static bool put_event(struct virtio_scsi *d, const struct event *e)
{
	struct virtq *q = &d->v.queue[EVENTQ];
	g_autofree struct virtq_chain *c = g_new(struct virtq_chain, 1);

	if (!q->enabled || virtq_pop(q, c) != 1)
		return false;
	virtq_push(q, c->head, (uint32_t)virtq_write(q, c, 0, e, sizeof(*e)));
	return true;
}

static void send_event(struct virtio_scsi *d, struct event e)
{
	struct virtq *q = &d->v.queue[EVENTQ];
	bool sent;

	if (!virtio_running(&d->v))
		return;
	if (d->events_missed)
		e.event |= EVENT_MISSED;
	pthread_mutex_lock(&d->pool.pool.lock);
	sent = put_event(d, &e);
	pthread_mutex_unlock(&d->pool.pool.lock);
	d->events_missed = !sent;
	if (q->broken)
		virtio_fail(&d->v);
	else if (sent)
		virtio_signal(&d->v, q);
}

static void tell(
	struct virtio_scsi *d, uint32_t what, unsigned target, uint32_t reason)
{
	struct event e = {
		.event = what, .lun = {1, (uint8_t)target}, .reason = reason};

	if (virtio_has(&d->v, what == EVENT_RESET ? F_HOTPLUG : F_CHANGE))
		send_event(d, e);
}

/* ---- virtio ---- */

static void virtio_scsi_notify(struct virtio *v, unsigned queue)
{
	struct virtio_scsi *d = (struct virtio_scsi *)v;

	if (queue != EVENTQ)
		virtio_pool_notify(&d->pool, queue);
	else if (d->events_missed)
		send_event(d, (struct event){0});
}

static void virtio_scsi_stop(struct virtio *v)
{
	struct virtio_scsi *d = (struct virtio_scsi *)v;

	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		scsi_unit_stop(&d->unit[i], true);
	queue_pool_stop(&d->pool.pool);
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		scsi_unit_stop(&d->unit[i], false);
	d->sense_size = SENSE_SIZE;
	d->cdb_size = CDB_SIZE;
	d->events_missed = false;
}

static void virtio_scsi_config_get(struct virtio *v, uint8_t *config)
{
	struct virtio_scsi *d = (struct virtio_scsi *)v;
	struct scsi_config c = {
		.num_queues = v->nqueues - FIRSTQ,
		.seg_max = QUEUE_SIZE - 2,
		.max_sectors = MAX_SECTORS,
		.cmd_per_lun = 128,
		.event_info_size = sizeof(struct event),
		.sense_size = d->sense_size,
		.cdb_size = d->cdb_size,
		.max_target = VIRTIO_SCSI_TARGETS - 1,
	};

	memcpy(config, &c, sizeof(c));
}

/* 5.6.4: two fields can be written. */
static void virtio_scsi_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	struct virtio_scsi *d = (struct virtio_scsi *)v;
	uint32_t val;

	if (len != sizeof(val) || (v->status & VIRTIO_S_DRIVER_OK))
		return;
	memcpy(&val, buf, sizeof(val));
	if (off == offsetof(struct scsi_config, sense_size))
		d->sense_size = val;
	else if (off == offsetof(struct scsi_config, cdb_size))
		d->cdb_size = val;
}

static const struct virtio_type virtio_scsi_type = {
	.id = 8,
	.legacy_id = 0x1004,
	.pci_class = 0x010000,
	.config_size = sizeof(struct scsi_config),
	.config_get = virtio_scsi_config_get,
	.config_set = virtio_scsi_config_set,
	.notify = virtio_scsi_notify,
	.stop = virtio_scsi_stop,
};

/* ---- targets ---- */

/* A task management function holds the lock for reading until older commands
 * are done, for which workers may need the bus.  So: this one before it. */
static void targets_lock(struct virtio_scsi *d)
{
	struct bus *b = d->v.dev.host.bus;
	unsigned depth = dev_let_go(b);

	pthread_rwlock_wrlock(&d->targets);
	dev_take_back(b, depth);
}

int virtio_scsi_attach(struct dev *dev, unsigned target, struct scsi_conf *c)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;
	int rc = -EINVAL;

	c->cable = SCSI_ON_VIRTIO;
	c->autosense = true;
	if (target >= VIRTIO_SCSI_TARGETS)
		return -EINVAL;
	targets_lock(d);
	rc = d->present[target] ? -EBUSY : scsi_unit_init(&d->unit[target], c);
	d->present[target] |= !rc;
	pthread_rwlock_unlock(&d->targets);
	if (!rc)
		tell(d, EVENT_RESET, target, RESET_RESCAN);
	return rc;
}

struct blk *virtio_scsi_detach(struct dev *dev, unsigned target)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;
	struct scsi_unit *u = virtio_scsi_unit(dev, target);
	struct blk *old;

	if (!u)
		return NULL;
	scsi_unit_stop(u, true);
	targets_lock(d);
	old = u->blk;
	d->present[target] = false;
	scsi_unit_fini(u);
	memset(u, 0, sizeof(*u));
	pthread_rwlock_unlock(&d->targets);
	tell(d, EVENT_RESET, target, RESET_REMOVED);
	return old;
}

struct scsi_unit *virtio_scsi_unit(struct dev *dev, unsigned target)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;

	return target < VIRTIO_SCSI_TARGETS && d->present[target]
		       ? &d->unit[target]
		       : NULL;
}

void virtio_scsi_changed(struct dev *dev, unsigned target)
{
	/* its code and qualifier: another medium */
	tell((struct virtio_scsi *)dev, EVENT_PARAM_CHANGE, target, 0x28);
}

/* ---- device ---- */

static int virtio_scsi_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;
	unsigned queues = CLAMP(dev->host.queues, 1, VIRTIO_SCSI_MAX_QUEUES);

	pthread_rwlock_init(&d->targets, NULL);
	virtio_init(&d->v, &virtio_scsi_type,
		VIRTIO_BIT(F_HOTPLUG) | VIRTIO_BIT(F_CHANGE), FIRSTQ + queues,
		QUEUE_SIZE);
	d->pool.v = &d->v;
	d->pool.serve = virtio_scsi_serve;
	d->pool.pool.one_by_one = 1u << CONTROLQ | 1u << EVENTQ;
	return virtio_pool_plug(&d->pool, err, errsize);
}

static void virtio_scsi_reset(struct dev *dev)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;

	virtio_reset(&d->v);
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		if (d->present[i])
			scsi_unit_power_on(&d->unit[i]);
}

static void virtio_scsi_fini(struct dev *dev)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;

	virtio_pool_fini(&d->pool);
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		if (d->present[i])
			scsi_unit_fini(&d->unit[i]);
	pthread_rwlock_destroy(&d->targets);
}

static void virtio_scsi_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_scsi *d = (struct virtio_scsi *)dev;
	char text[160];
	unsigned at;

	virtio_describe(&d->v, text, sizeof(text));
	at = snprintf(buf, size, "%s", text);
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS && at < size; i++) {
		if (!d->present[i])
			continue;
		scsi_describe(&d->unit[i], text, sizeof(text));
		at += snprintf(buf + at, size - at, "; %u: %s", i, text);
	}
}

/* ---- state ---- */

static void virtio_scsi_drain(struct dev *dev)
{
	queue_pool_drain(&((struct virtio_scsi *)dev)->pool.pool);
}

/* The settings say what is attached. */
static const struct state_field virtio_scsi_fields[] = {
	STATE_STRUCT(struct virtio_scsi, v, &virtio_state),
	STATE(struct virtio_scsi, sense_size),
	STATE(struct virtio_scsi, cdb_size),
	STATE(struct virtio_scsi, events_missed),
	STATE_STRUCTS(struct virtio_scsi, unit, &scsi_unit_state),
};

static const struct state_list virtio_scsi_state =
	STATE_LIST("virtio-scsi", struct virtio_scsi, 1, virtio_scsi_fields);

const struct dev_class virtio_scsi_class = {
	.name = "virtio-scsi",
	.size = sizeof(struct virtio_scsi),
	.init = virtio_scsi_init,
	.reset = virtio_scsi_reset,
	.fini = virtio_scsi_fini,
	.describe = virtio_scsi_describe,
	.state = &virtio_scsi_state,
	.drain = virtio_scsi_drain,
};
