/*
 * nbd.h - a disk for clients of the NBD protocol.
 *
 * Spoken are the fixed newstyle handshake without TLS, simple and structured
 * replies, and the metadata context base:allocation (NetworkBlockDevice/nbd,
 * doc/proto.md; names of constants are those there, shortened).  Clients are
 * hostile: what one can make us keep is bounded (NBD_THREADS pieces of
 * NBD_PIECE), what it asks for is checked once, where it is read.
 */
#ifndef DISK_NBD_H
#define DISK_NBD_H

#include <pthread.h>
#include <stdatomic.h>

#include "block/blk.h"

#define NBD_THREADS   4		 /* requests of a client at once */
#define NBD_PIECE     (1u << 20) /* bytes that are moved at once */
#define NBD_NAME_MAX  4096
#define NBD_BYTES_MAX (32u << 20) /* of a request that carries data */

struct nbd_export {
	struct blk *disk;
	const char *name; /* "" is taken, too */
};

/* One client. */
struct nbd_client {
	int fd;
	const struct nbd_export *export;
	bool structured; /* replies to reads have chunks */
	bool allocation; /* it has asked for base:allocation */
	pthread_mutex_t rx, tx;
	atomic_bool gone;
};

/* Talks to a client until it goes, is cut off, or somebody shuts the socket
 * down; fd stays the caller's. */
void nbd_serve(int fd, const struct nbd_export *e);

/* ---- between nbd_hello.c and nbd_serve.c ---- */

/* All of it, or false: the client is gone. */
bool nbd_get(const struct nbd_client *c, void *buf, size_t len);
bool nbd_put(const struct nbd_client *c, struct iovec *iov, int n);

/* The handshake; false: it ended without a wish to see the disk. */
bool nbd_hello(struct nbd_client *c);

#define NBD_CONTEXT_ID 1u /* of base:allocation */

uint16_t nbd_flags(const struct nbd_export *e);

#endif
