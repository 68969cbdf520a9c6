/*
 * vsock_conn.h - the connections of a virtio socket device (virtio 1.2, 5.10.6)
 * without its queues: packets in, packets out, sockets of the host behind.
 *
 * What a guest can make it keep is bounded: VSOCK_MAX_CONNS connections, for
 * each at most what its credit allows, VSOCK_MAX_REPLIES packets that belong
 * to none.  Data on its way to the guest stays in the host's sockets.
 *
 * Threads: the bus lock is held.
 */
#ifndef DEV_VIRTIO_VSOCK_CONN_H
#define DEV_VIRTIO_VSOCK_CONN_H

#include <stddef.h>

#include <glib.h>

#include "dev/vsock.h"

#define VSOCK_HOST_CID	  2
#define VSOCK_TYPE_STREAM 1

#define VSOCK_MAX_CONNS	  1024
#define VSOCK_MAX_REPLIES 64
#define VSOCK_MAX_PAYLOAD (64u << 10)
/* Credit of a connection; the first few get more. */
#define VSOCK_FEW	 128
#define VSOCK_ALLOC_FEW	 (256u << 10)
#define VSOCK_ALLOC_MANY (32u << 10)

enum vsock_op {
	VSOCK_INVALID,
	VSOCK_REQUEST,
	VSOCK_RESPONSE,
	VSOCK_RST,
	VSOCK_SHUTDOWN,
	VSOCK_RW,
	VSOCK_CREDIT_UPDATE,
	VSOCK_CREDIT_REQUEST,
};

/* flags of VSOCK_SHUTDOWN: who says so will no more */
#define VSOCK_SHUT_RECEIVE 1u
#define VSOCK_SHUT_SEND	   2u
#define VSOCK_SHUT_BOTH	   3u

struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

_Static_assert(sizeof(struct vsock_packet) == 44, "5.10.6");

struct vsock_conn;

struct vsock {
	struct dev_vsock *host; /* NULL: nobody listens */
	uint32_t cid;		/* the guest's */
	struct vsock_conn *conn[VSOCK_MAX_CONNS];
	unsigned nconns, slot; /* slot: where to look for a free one */
	uint32_t serial;
	uint32_t next_port;   /* of the host's, for programs that come to us */
	GHashTable *by_ports; /* those that the guest knows */
	GQueue want; /* of struct vsock_conn: have something for the guest */
	struct vsock_packet reply[VSOCK_MAX_REPLIES];
	unsigned nreplies;
	uint64_t opened, refused, to_host, to_guest; /* counters */
};

void vsock_init(struct vsock *v, struct dev_vsock *host);
/* As if there had never been one. */
void vsock_clear(struct vsock *v);
void vsock_fini(struct vsock *v);

/* A packet of the guest's; data has len bytes, at most VSOCK_MAX_PAYLOAD. */
void vsock_take(
	struct vsock *v, const struct vsock_packet *p, const uint8_t *data);
/* It may not take another until the guest has fetched some. */
static inline bool vsock_full(const struct vsock *v)
{
	return v->nreplies == VSOCK_MAX_REPLIES;
}

/* Is there perhaps something for the guest? */
static inline bool vsock_pending(const struct vsock *v)
{
	return v->nreplies || v->want.length;
}
/* The next packet, with data of at most room (> 0) bytes; false: none. */
bool vsock_give(
	struct vsock *v, struct vsock_packet *p, uint8_t *data, size_t room);

/* As in struct dev_vsock. */
void vsock_answered(struct vsock *v, uint32_t id, int fd);
bool vsock_connect(struct vsock *v, uint32_t port, int fd);
void vsock_ready(struct vsock *v, uint32_t id, unsigned events);

#endif
