/*
 * vsock_conn.c - connections between a guest's sockets and the host's.
 *
 * Credit (virtio 1.2, 5.10.6.3) both ways is counted in 32-bit numbers that
 * wrap.  The guest may have sent rx_cnt - fwd_cnt bytes more than the host's
 * program has taken; what the socket does not take at once is kept in a ring of
 * that size.  A guest that sends more is reset.  To the guest go no more bytes
 * than it says it has room for; the rest stays in the socket, so that who
 * writes on the host is held up.
 *
 * Sockets tell of changes only (epoll's edges): `readable` holds until a read
 * says that there is no more, so that a guest without room costs nothing.
 */
#include "dev/virtio/vsock_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Ports of the host's for programs that come to us. */
#define FIRST_PORT (1u << 30)
#define LAST_PORT  ((1u << 31) - 1)

enum conn_state {
	CONN_ASKED,   /* by the guest: the owner looks who listens */
	CONN_OFFERED, /* to the guest: a program of the host's waits */
	CONN_OPEN,
	CONN_LEFT, /* the guest has closed it; the host reads what is left */
	CONN_DEAD, /* all that is left is to tell the guest */
};

/* packets that are due */
#define DUE_REQUEST  0x01u
#define DUE_RESPONSE 0x02u
#define DUE_SHUTDOWN 0x04u
#define DUE_ASK	     0x08u /* how much credit there is */
#define DUE_CREDIT   0x10u

struct vsock_conn {
	uint64_t ports; /* the guest's << 32 | the host's */
	uint32_t id;
	enum conn_state state;
	int fd; /* -1: not yet, or no more */
	unsigned due;
	bool readable, hung_up, asked_credit;
	bool waits_out;			/* for room in the socket */
	bool wr_shut;			/* told the host's end */
	unsigned guest_shut, host_shut; /* VSOCK_SHUT_*: who said so */
	/* to the guest: what it has room for, what we sent */
	uint32_t peer_alloc, peer_fwd, tx_cnt;
	/* from the guest: what it sent, what went on, what it knows of that */
	uint32_t alloc, rx_cnt, fwd_cnt, fwd_told;
	uint8_t *ring; /* alloc bytes, or NULL */
	uint32_t head, used;
	bool queued;
	GList link; /* in vsock.want */
};

static uint32_t guest_port(const struct vsock_conn *c)
{
	return (uint32_t)(c->ports >> 32);
}

static uint32_t host_port(const struct vsock_conn *c)
{
	return (uint32_t)c->ports;
}

/* ---- tables ---- */

static struct vsock_conn *conn_find(struct vsock *v, uint64_t ports)
{
	return g_hash_table_lookup(v->by_ports, &ports);
}

static struct vsock_conn *conn_by_id(struct vsock *v, uint32_t id)
{
	struct vsock_conn *c = v->conn[id % VSOCK_MAX_CONNS];

	return c && c->id == id ? c : NULL;
}

static struct vsock_conn *conn_new(
	struct vsock *v, uint32_t guest, uint32_t host, enum conn_state state)
{
	struct vsock_conn *c;

	if (v->nconns == VSOCK_MAX_CONNS)
		return NULL;
	while (v->conn[v->slot])
		v->slot = (v->slot + 1) % VSOCK_MAX_CONNS;
	c = g_new0(struct vsock_conn, 1);
	c->ports = (uint64_t)guest << 32 | host;
	c->id = v->serial++ * VSOCK_MAX_CONNS + v->slot;
	c->state = state;
	c->fd = -1;
	/* Of those with much there are VSOCK_FEW at any time. */
	c->alloc = v->nconns < VSOCK_FEW ? VSOCK_ALLOC_FEW : VSOCK_ALLOC_MANY;
	c->link.data = c;
	v->conn[v->slot] = c;
	v->nconns++;
	g_hash_table_insert(v->by_ports, &c->ports, c);
	return c;
}

static void conn_close(struct vsock *v, struct vsock_conn *c)
{
	if (c->fd >= 0)
		v->host->close(v->host, c->fd);
	c->fd = -1;
	c->readable = false;
	g_clear_pointer(&c->ring, g_free);
	c->used = 0;
}

/* The guest may use its ports for another. */
static void conn_forget(struct vsock *v, struct vsock_conn *c)
{
	if (conn_find(v, c->ports) == c)
		g_hash_table_remove(v->by_ports, &c->ports);
}

static void conn_free(struct vsock *v, struct vsock_conn *c)
{
	conn_close(v, c);
	conn_forget(v, c);
	if (c->queued)
		g_queue_unlink(&v->want, &c->link);
	v->conn[c->id % VSOCK_MAX_CONNS] = NULL;
	v->nconns--;
	g_free(c);
}

/* ---- what there is for the guest ---- */

static uint32_t conn_credit(const struct vsock_conn *c)
{
	uint32_t used = c->tx_cnt - c->peer_fwd;

	return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

static bool conn_reads(const struct vsock_conn *c)
{
	return c->state == CONN_OPEN && c->readable && c->fd >= 0 &&
	       !(c->guest_shut & VSOCK_SHUT_RECEIVE);
}

/* Put it into the queue of those that have something. */
static void conn_want(struct vsock *v, struct vsock_conn *c)
{
	bool reads = conn_reads(c);

	if (reads && !conn_credit(c) && !c->asked_credit) {
		c->asked_credit = true;
		c->due |= DUE_ASK;
	}
	if (c->queued ||
		!(c->due || c->state == CONN_DEAD || (reads && conn_credit(c))))
		return;
	c->queued = true;
	g_queue_push_tail_link(&v->want, &c->link);
}

/* Nothing of it is left but to tell the guest. */
static void conn_die(struct vsock *v, struct vsock_conn *c)
{
	conn_close(v, c);
	conn_forget(v, c);
	c->state = CONN_DEAD;
	c->due = 0;
	conn_want(v, c);
}

static void conn_host_shut(struct vsock_conn *c, unsigned how)
{
	if (how & ~c->host_shut)
		c->due |= DUE_SHUTDOWN;
	c->host_shut |= how;
}

/* Tell when the guest has room for less than half of what it might have. */
static void conn_look_at_credit(struct vsock_conn *c)
{
	if (c->fwd_cnt != c->fwd_told && c->rx_cnt - c->fwd_told > c->alloc / 2)
		c->due |= DUE_CREDIT;
}

/* ---- from the guest to the host ---- */

/* Nobody on the host will ever read it. */
static void conn_discard(struct vsock_conn *c)
{
	c->used = 0;
	c->fwd_cnt = c->rx_cnt;
	conn_host_shut(c, VSOCK_SHUT_RECEIVE);
}

static void conn_wait_out(struct vsock *v, struct vsock_conn *c, bool wait)
{
	if (c->waits_out == wait)
		return;
	c->waits_out = wait;
	v->host->watch(v->host, c->fd, c->id, wait);
}

/* How many of the bytes are dealt with. */
static uint32_t conn_send(
	struct vsock *v, struct vsock_conn *c, const uint8_t *p, uint32_t n)
{
	ssize_t done;

	do
		done = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (done < 0 && errno == EINTR);
	if (done < 0 && errno != EAGAIN) {
		conn_discard(c);
		return n;
	}
	v->to_host += (uint64_t)MAX(done, 0);
	return (uint32_t)MAX(done, 0);
}

static void conn_keep(struct vsock_conn *c, const uint8_t *p, uint32_t n)
{
	uint32_t at = (c->head + c->used) % c->alloc;
	uint32_t first = MIN(n, c->alloc - at);

	if (!c->ring)
		c->ring = g_malloc(c->alloc);
	memcpy(c->ring + at, p, first);
	memcpy(c->ring, p + first, n - first);
	c->used += n;
}

/* All that the guest sent is on its way: what did it want then? */
static void conn_drained(struct vsock *v, struct vsock_conn *c)
{
	if (c->used)
		return;
	if (c->state == CONN_LEFT) {
		conn_free(v, c);
		return;
	}
	if (c->guest_shut & VSOCK_SHUT_SEND && !c->wr_shut && c->fd >= 0) {
		c->wr_shut = true;
		shutdown(c->fd, SHUT_WR);
	}
	/* 5.10.6.5: it waits for that. */
	if (c->guest_shut == VSOCK_SHUT_BOTH)
		conn_die(v, c);
}

static void conn_flush(struct vsock *v, struct vsock_conn *c)
{
	while (c->used) {
		uint32_t n = MIN(c->used, c->alloc - c->head);
		uint32_t done = conn_send(v, c, c->ring + c->head, n);

		if (!c->used)
			break; /* thrown away */
		c->head = (c->head + done) % c->alloc;
		c->used -= done;
		c->fwd_cnt += done;
		if (done < n)
			break;
	}
	conn_wait_out(v, c, c->used);
	conn_look_at_credit(c);
	conn_drained(v, c);
}

static void conn_receive(struct vsock *v, struct vsock_conn *c,
	const uint8_t *data, uint32_t len)
{
	uint32_t done = 0;

	if (len > c->alloc - (c->rx_cnt - c->fwd_cnt)) {
		conn_die(v, c); /* it had no credit for that */
		return;
	}
	c->rx_cnt += len;
	if (!c->used && !(c->host_shut & VSOCK_SHUT_RECEIVE))
		done = conn_send(v, c, data, len);
	if (c->host_shut & VSOCK_SHUT_RECEIVE) {
		c->fwd_cnt = c->rx_cnt;
	} else {
		c->fwd_cnt += done;
		if (done < len) {
			conn_keep(c, data + done, len - done);
			conn_wait_out(v, c, true);
		}
	}
	conn_look_at_credit(c);
}

/* ---- from the host to the guest ---- */

/* No more comes from the host, and if it has gone, none is read there. */
static void conn_ended(struct vsock_conn *c)
{
	c->readable = false;
	conn_host_shut(c, VSOCK_SHUT_SEND);
	if (c->hung_up)
		conn_discard(c);
}

static uint32_t conn_read(
	struct vsock *v, struct vsock_conn *c, uint8_t *data, size_t room)
{
	size_t want = MIN(MIN(room, conn_credit(c)), VSOCK_MAX_PAYLOAD);
	ssize_t n;

	do
		n = recv(c->fd, data, want, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		c->tx_cnt += (uint32_t)n;
		v->to_guest += (uint64_t)n;
		return (uint32_t)n;
	}
	if (n < 0 && errno == EAGAIN) {
		c->readable = false;
		return 0;
	}
	c->hung_up |= n < 0;
	conn_ended(c);
	return 0;
}

static void conn_address(const struct vsock *v, const struct vsock_conn *c,
	struct vsock_packet *p)
{
	*p = (struct vsock_packet){.src_cid = VSOCK_HOST_CID,
		.dst_cid = v->cid,
		.src_port = host_port(c),
		.dst_port = guest_port(c),
		.type = VSOCK_TYPE_STREAM,
		.op = VSOCK_RST,
		.buf_alloc = c->alloc,
		.fwd_cnt = c->fwd_cnt};
}

/* The one of the packets that are due that comes first, or none. */
static enum vsock_op conn_due(struct vsock_conn *c)
{
	static const struct {
		unsigned due;
		enum vsock_op op;
	} order[] = {{DUE_SHUTDOWN, VSOCK_SHUTDOWN},
		{DUE_ASK, VSOCK_CREDIT_REQUEST},
		{DUE_CREDIT, VSOCK_CREDIT_UPDATE}};

	for (unsigned i = 0; i < G_N_ELEMENTS(order); i++)
		if (c->due & order[i].due) {
			c->due &= ~order[i].due;
			return order[i].op;
		}
	return VSOCK_INVALID;
}

static bool conn_give(struct vsock *v, struct vsock_conn *c,
	struct vsock_packet *p, uint8_t *data, size_t room)
{
	conn_address(v, c, p);
	if (c->state == CONN_DEAD) {
		conn_free(v, c);
		return true;
	}
	if (c->due & (DUE_REQUEST | DUE_RESPONSE)) {
		p->op = c->due & DUE_REQUEST ? VSOCK_REQUEST : VSOCK_RESPONSE;
		c->due &= ~(DUE_REQUEST | DUE_RESPONSE);
	} else {
		p->op = VSOCK_RW;
		if (conn_reads(c) && conn_credit(c))
			p->len = conn_read(v, c, data, room);
		if (!p->len)
			p->op = (uint16_t)conn_due(c);
	}
	if (p->op == VSOCK_SHUTDOWN) {
		p->flags = c->host_shut;
		if (c->host_shut == VSOCK_SHUT_BOTH)
			conn_close(v, c);
	}
	if (p->op != VSOCK_INVALID) {
		/* what the end of it has changed, too */
		p->fwd_cnt = c->fwd_told = c->fwd_cnt;
		c->due &= ~DUE_CREDIT;
	}
	conn_want(v, c);
	return p->op != VSOCK_INVALID;
}

bool vsock_give(
	struct vsock *v, struct vsock_packet *p, uint8_t *data, size_t room)
{
	if (v->nreplies) {
		*p = v->reply[0];
		v->nreplies--;
		memmove(v->reply, v->reply + 1,
			v->nreplies * sizeof(v->reply[0]));
		return true;
	}
	for (unsigned left = v->want.length; left; left--) {
		GList *l = g_queue_pop_head_link(&v->want);
		struct vsock_conn *c = l->data;

		c->queued = false;
		if (conn_give(v, c, p, data, room))
			return true;
	}
	return false;
}

/* ---- packets of the guest's ---- */

static void vsock_reply_rst(struct vsock *v, const struct vsock_packet *p)
{
	if (p->op == VSOCK_RST || vsock_full(v))
		return;
	v->reply[v->nreplies++] = (struct vsock_packet){.src_cid = p->dst_cid,
		.dst_cid = v->cid,
		.src_port = p->dst_port,
		.dst_port = p->src_port,
		.type = p->type,
		.op = VSOCK_RST};
}

static void guest_connects(struct vsock *v, const struct vsock_packet *p)
{
	struct vsock_conn *c = NULL;

	if (v->host)
		c = conn_new(v, p->src_port, p->dst_port, CONN_ASKED);
	if (!c) {
		v->refused++;
		vsock_reply_rst(v, p);
		return;
	}
	c->peer_alloc = p->buf_alloc;
	c->peer_fwd = p->fwd_cnt;
	v->host->ask(v->host, p->dst_port, c->id);
}

static void guest_accepts(struct vsock *v, struct vsock_conn *c)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "OK %u\n", host_port(c));

	c->state = CONN_OPEN;
	c->readable = true;
	v->opened++;
	/* It goes into an empty socket. */
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		conn_discard(c);
}

static void guest_shuts(struct vsock *v, struct vsock_conn *c, unsigned how)
{
	c->guest_shut |= how & VSOCK_SHUT_BOTH;
	if (c->guest_shut & VSOCK_SHUT_RECEIVE && c->fd >= 0)
		shutdown(c->fd, SHUT_RD);
	conn_drained(v, c);
}

/* It will hear no more of it.  What it sent before it closed its socket is
 * still the host's. */
static void guest_resets(struct vsock *v, struct vsock_conn *c)
{
	if (c->guest_shut != VSOCK_SHUT_BOTH || !c->used) {
		conn_free(v, c);
		return;
	}
	conn_forget(v, c);
	c->state = CONN_LEFT;
	c->due = 0;
}

/* False: that is not allowed now. */
static bool guest_says(struct vsock *v, struct vsock_conn *c,
	const struct vsock_packet *p, const uint8_t *data)
{
	bool open = c->state == CONN_OPEN;

	switch (p->op) {
	case VSOCK_RESPONSE:
		if (c->state != CONN_OFFERED || c->due & DUE_REQUEST)
			return false;
		guest_accepts(v, c);
		return true;
	case VSOCK_RW:
		if (!open || c->guest_shut & VSOCK_SHUT_SEND)
			return false;
		conn_receive(v, c, data, p->len);
		return true;
	case VSOCK_SHUTDOWN:
		if (open)
			guest_shuts(v, c, p->flags);
		return open;
	case VSOCK_CREDIT_UPDATE: return open;
	case VSOCK_CREDIT_REQUEST: c->due |= DUE_CREDIT; return open;
	default: return false;
	}
}

void vsock_take(
	struct vsock *v, const struct vsock_packet *p, const uint8_t *data)
{
	uint64_t ports = (uint64_t)p->src_port << 32 | p->dst_port;
	bool ours =
		p->dst_cid == VSOCK_HOST_CID && p->type == VSOCK_TYPE_STREAM;
	struct vsock_conn *c = ours ? conn_find(v, ports) : NULL;
	uint32_t id;

	if (p->src_cid != v->cid)
		return; /* who would hear an answer? */
	if (!c) {
		if (ours && p->op == VSOCK_REQUEST)
			guest_connects(v, p);
		else
			vsock_reply_rst(v, p);
		return;
	}
	if (p->op == VSOCK_RST) {
		guest_resets(v, c);
		return;
	}
	id = c->id;
	c->peer_alloc = p->buf_alloc;
	c->peer_fwd = p->fwd_cnt;
	if (conn_credit(c))
		c->asked_credit = false;
	if (!guest_says(v, c, p, data))
		conn_die(v, c);
	else if (conn_by_id(v, id))
		conn_want(v, c);
}

/* ---- what the host says ---- */

void vsock_answered(struct vsock *v, uint32_t id, int fd)
{
	struct vsock_conn *c = conn_by_id(v, id);

	if (!c || c->state != CONN_ASKED) {
		if (fd >= 0)
			v->host->close(v->host, fd);
		return;
	}
	if (fd < 0) {
		v->refused++;
		conn_die(v, c);
		return;
	}
	c->fd = fd;
	c->state = CONN_OPEN;
	c->readable = true;
	c->due |= DUE_RESPONSE;
	v->opened++;
	v->host->watch(v->host, fd, c->id, false);
	conn_want(v, c);
}

bool vsock_connect(struct vsock *v, uint32_t port, int fd)
{
	struct vsock_conn *c;

	if (v->nconns == VSOCK_MAX_CONNS)
		return false;
	/* There are more ports than connections. */
	do
		v->next_port =
			v->next_port < FIRST_PORT || v->next_port >= LAST_PORT
				? FIRST_PORT
				: v->next_port + 1;
	while (conn_find(v, (uint64_t)port << 32 | v->next_port));
	c = conn_new(v, port, v->next_port, CONN_OFFERED);
	c->fd = fd;
	c->due = DUE_REQUEST;
	v->host->watch(v->host, fd, c->id, false);
	conn_want(v, c);
	return true;
}

/* The host's program has closed its end. */
static void conn_hung_up(struct vsock *v, struct vsock_conn *c)
{
	c->hung_up = true;
	if (c->state == CONN_LEFT ||
		(c->state == CONN_OFFERED && c->due & DUE_REQUEST))
		conn_free(v, c); /* the guest knows nothing of it */
	else if (c->state == CONN_OFFERED)
		conn_die(v, c);
	else if (c->guest_shut & VSOCK_SHUT_RECEIVE)
		conn_ended(c); /* else when all has been read */
}

void vsock_ready(struct vsock *v, uint32_t id, unsigned events)
{
	struct vsock_conn *c = conn_by_id(v, id);

	if (!c || c->fd < 0)
		return;
	if (events & (DEV_VSOCK_IN | DEV_VSOCK_HUP))
		c->readable = true;
	if (events & DEV_VSOCK_OUT && c->used)
		conn_flush(v, c);
	if (events & DEV_VSOCK_HUP && conn_by_id(v, id) && c->fd >= 0)
		conn_hung_up(v, c);
	if (conn_by_id(v, id))
		conn_want(v, c);
}

/* ---- life ---- */

void vsock_init(struct vsock *v, struct dev_vsock *host)
{
	v->host = host;
	v->cid = host ? host->cid : 3;
	v->by_ports = g_hash_table_new(g_int64_hash, g_int64_equal);
	g_queue_init(&v->want);
}

void vsock_clear(struct vsock *v)
{
	for (unsigned i = 0; i < VSOCK_MAX_CONNS; i++)
		if (v->conn[i])
			conn_free(v, v->conn[i]);
	v->nreplies = 0;
}

void vsock_fini(struct vsock *v)
{
	vsock_clear(v);
	g_clear_pointer(&v->by_ports, g_hash_table_unref);
}
