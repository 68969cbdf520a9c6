/*
 * nbd_serve.c - requests of one client of NBD.
 *
 * Threads take turns at reading a request (rx) and carry it out while the next
 * one reads; replies go out whole (tx).  Data moves in pieces, so that a
 * thread's buffer is all that a client can fill: a long write is written while
 * it comes, a long read is sent as it is read.
 */
#include "disk/nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "block/bytes.h"

#define REQUEST_MAGIC	 0x25609513u
#define SIMPLE_MAGIC	 0x67446698u
#define STRUCTURED_MAGIC 0x668e33efu
#define EXTENTS_MAX	 1024  /* of one reply */
#define MAPS_MAX	 8192  /* looks at the tables for one reply */
#define WHOLE_MAX	 65536 /* a read of so much is never parted */

enum {
	CMD_READ = 0,
	CMD_WRITE = 1,
	CMD_DISC = 2,
	CMD_FLUSH = 3,
	CMD_TRIM = 4,
	CMD_CACHE = 5,
	CMD_WRITE_ZEROES = 6,
	CMD_BLOCK_STATUS = 7,
};

enum {
	FLAG_FUA = 1 << 0,
	FLAG_NO_HOLE = 1 << 1,
	FLAG_DF = 1 << 2,
	FLAG_REQ_ONE = 1 << 3,
};

enum { REPLY_DONE = 1 };

enum {
	TYPE_NONE = 0,
	TYPE_OFFSET_DATA = 1,
	TYPE_OFFSET_HOLE = 2,
	TYPE_BLOCK_STATUS = 5,
	TYPE_ERROR = 0x8001,
};

enum { STATE_HOLE = 1, STATE_ZERO = 2 };

struct request {
	struct nbd_client *c;
	uint16_t flags, type;
	uint64_t cookie, off;
	uint32_t len;
	uint8_t *buf; /* NBD_PIECE */
	int rc;	      /* what has failed so far */
};

/* ---- replies ---- */

static uint32_t error_of(int rc)
{
	switch (-rc) {
	case 0: return 0;
	case EROFS:
	case EPERM: return 1;
	case ENOMEM: return 12;
	case EINVAL: return 22;
	case EFBIG:
	case EDQUOT:
	case ENOSPC: return 28;
	case EOVERFLOW: return 75;
	case EOPNOTSUPP: return 95;
	default: return 5;
	}
}

static void cut(struct nbd_client *c)
{
	atomic_store(&c->gone, true);
	shutdown(c->fd, SHUT_RDWR);
}

/* tx held, or nobody else is sending. */
static void send_now(struct nbd_client *c, struct iovec *iov, int n)
{
	if (!nbd_put(c, iov, n))
		cut(c);
}

static void send_all(struct nbd_client *c, struct iovec *iov, int n)
{
	pthread_mutex_lock(&c->tx);
	send_now(c, iov, n);
	pthread_mutex_unlock(&c->tx);
}

static void simple_head(const struct request *r, uint8_t head[16], int rc)
{
	put_be32(head, SIMPLE_MAGIC);
	put_be32(head + 4, error_of(rc));
	put_be64(head + 8, r->cookie);
}

static void simple(const struct request *r, int rc)
{
	uint8_t head[16];
	struct iovec iov = {head, sizeof(head)};

	simple_head(r, head, rc);
	send_all(r->c, &iov, 1);
}

/* iov[0] is for the head; len: of the rest. */
static void chunk(const struct request *r, unsigned type, bool done,
	struct iovec *iov, int n)
{
	uint8_t head[20];
	uint32_t len = 0;

	for (int i = 1; i < n; i++)
		len += (uint32_t)iov[i].iov_len;
	put_be32(head, STRUCTURED_MAGIC);
	put_be16(head + 4, done ? REPLY_DONE : 0);
	put_be16(head + 6, (uint16_t)type);
	put_be64(head + 8, r->cookie);
	put_be32(head + 16, len);
	iov[0] = (struct iovec){head, sizeof(head)};
	send_all(r->c, iov, n);
}

static void error_chunk(const struct request *r, int rc)
{
	uint8_t body[6] = {0};
	struct iovec iov[2] = {{0}, {body, sizeof(body)}};

	put_be32(body, error_of(rc));
	chunk(r, TYPE_ERROR, true, iov, 2);
}

/* Of reads, and of what only structured replies can answer. */
static void failed(const struct request *r, int rc)
{
	if (r->c->structured)
		error_chunk(r, rc);
	else
		simple(r, rc);
}

/* ---- reading ---- */

static uint32_t piece_of(const struct request *r, uint32_t done)
{
	return MIN(r->len - done, NBD_PIECE);
}

/* Once the head is out, an error can only be told by leaving. */
static void read_simple(struct request *r)
{
	struct nbd_client *c = r->c;
	uint8_t head[16];
	struct iovec iov[2] = {{head, sizeof(head)}, {r->buf}};
	int rc = blk_pread(c->export->disk, r->buf, piece_of(r, 0), r->off);

	if (rc) {
		simple(r, rc);
		return;
	}
	simple_head(r, head, 0);
	pthread_mutex_lock(&c->tx);
	iov[1].iov_len = piece_of(r, 0);
	send_now(c, iov, 2);
	for (uint32_t done = piece_of(r, 0), n; done < r->len; done += n) {
		n = piece_of(r, done);
		if (atomic_load(&c->gone))
			break;
		if (blk_pread(c->export->disk, r->buf, n, r->off + done)) {
			cut(c);
			break;
		}
		iov[0] = (struct iovec){r->buf, n};
		send_now(c, iov, 1);
	}
	pthread_mutex_unlock(&c->tx);
}

static void send_hole(
	const struct request *r, uint64_t off, uint32_t len, bool done)
{
	uint8_t body[12];
	struct iovec iov[2] = {{0}, {body, sizeof(body)}};

	put_be64(body, off);
	put_be32(body + 8, len);
	chunk(r, TYPE_OFFSET_HOLE, done, iov, 2);
}

/* One piece as a chunk; *n: how much of it. */
static int read_chunk(struct request *r, uint32_t at, uint32_t *n)
{
	struct blk *b = r->c->export->disk;
	uint64_t off = r->off + at;
	struct blk_extent e = {.len = *n};
	uint8_t where[8];
	struct iovec iov[3] = {{0}, {where, sizeof(where)}, {r->buf}};
	int rc;

	if (!(r->flags & FLAG_DF) && !blk_map_deep(b, off, *n, &e, NULL)) {
		*n = (uint32_t)MIN(*n, e.len);
		if (e.state == BLK_ZERO) {
			send_hole(r, off, *n, at + *n == r->len);
			return 0;
		}
	}
	rc = blk_pread(b, r->buf, *n, off);
	if (rc)
		return rc;
	put_be64(where, off);
	iov[2].iov_len = *n;
	chunk(r, TYPE_OFFSET_DATA, at + *n == r->len, iov, 3);
	return 0;
}

static void do_read(struct request *r)
{
	int rc = r->rc;

	if (!rc && r->flags & FLAG_DF && r->len > NBD_PIECE)
		rc = -EOVERFLOW;
	if (!rc && !r->c->structured) {
		read_simple(r);
		return;
	}
	for (uint32_t at = 0, n; !rc && at < r->len; at += n) {
		n = piece_of(r, at);
		rc = read_chunk(r, at, &n);
		if (atomic_load(&r->c->gone))
			return;
	}
	if (rc)
		failed(r, rc);
}

/* ---- block status ---- */

/* Extents of [off, off + len) into out; their number, or -errno. */
static int list_extents(struct request *r, uint8_t *out)
{
	struct blk *b = r->c->export->disk;
	unsigned n = 0, most = r->flags & FLAG_REQ_ONE ? 1 : EXTENTS_MAX;
	uint32_t last = UINT32_MAX, at = 0;
	struct blk_extent e;

	for (unsigned i = 0; at < r->len && i < MAPS_MAX; i++) {
		int rc = blk_map_deep(b, r->off + at, r->len - at, &e, NULL);
		uint32_t state;

		if (rc)
			return rc;
		state = e.state == BLK_ZERO ? STATE_HOLE | STATE_ZERO : 0;
		if (state != last && n == most)
			break;
		if (state != last) {
			put_be32(out + 8 * n, 0);
			put_be32(out + 8 * n + 4, state);
			n++;
		}
		last = state;
		put_be32(out + 8 * n - 8,
			get_be32(out + 8 * n - 8) + (uint32_t)e.len);
		at += (uint32_t)e.len;
	}
	return (int)n;
}

static void do_block_status(struct request *r)
{
	uint8_t id[4];
	struct iovec iov[3] = {{0}, {id, sizeof(id)}, {r->buf}};
	int n = r->rc ? r->rc : !r->len ? -EINVAL : 0;

	if (!n)
		n = list_extents(r, r->buf);
	if (n < 0) {
		failed(r, n);
		return;
	}
	put_be32(id, NBD_CONTEXT_ID);
	iov[2].iov_len = (size_t)n * 8;
	chunk(r, TYPE_BLOCK_STATUS, true, iov, 3);
}

/* ---- the others ---- */

static void do_change(struct request *r)
{
	struct blk *b = r->c->export->disk;
	int rc = r->rc;

	if (!rc && r->type == CMD_TRIM)
		rc = blk_discard(b, r->off, r->len);
	else if (!rc && r->type == CMD_WRITE_ZEROES)
		rc = blk_write_zeroes(
			b, r->off, r->len, !(r->flags & FLAG_NO_HOLE));
	if (!rc && !b->readonly &&
		(r->flags & FLAG_FUA || r->type == CMD_FLUSH))
		rc = blk_flush(b);
	simple(r, rc);
}

/* What comes with a write: all but its last piece is written at once. */
static bool get_data(struct request *r, uint32_t *left)
{
	struct blk *b = r->c->export->disk;
	uint32_t at = 0, n;

	for (*left = 0; at < r->len; at += n) {
		n = piece_of(r, at);
		if (!nbd_get(r->c, r->buf, n))
			return false;
		if (at + n == r->len)
			*left = n;
		else if (!r->rc)
			r->rc = blk_pwrite(b, r->buf, n, r->off + at);
	}
	return true;
}

static void do_write(struct request *r, uint32_t left)
{
	struct blk *b = r->c->export->disk;

	if (!r->rc && left)
		r->rc = blk_pwrite(b, r->buf, left, r->off + r->len - left);
	do_change(r);
}

/* ---- requests ---- */

static int check_flags(const struct request *r)
{
	static const uint16_t may[] = {[CMD_READ] = FLAG_DF | FLAG_FUA,
		[CMD_WRITE] = FLAG_FUA,
		[CMD_FLUSH] = FLAG_FUA,
		[CMD_TRIM] = FLAG_FUA,
		[CMD_WRITE_ZEROES] = FLAG_FUA | FLAG_NO_HOLE,
		[CMD_BLOCK_STATUS] = FLAG_REQ_ONE | FLAG_FUA};

	if (r->type >= G_N_ELEMENTS(may) || r->type == CMD_CACHE ||
		r->flags & ~may[r->type])
		return -EINVAL;
	if (r->flags & FLAG_DF && !r->c->structured)
		return -EINVAL;
	return r->type == CMD_BLOCK_STATUS && !r->c->allocation ? -EINVAL : 0;
}

static int check(const struct request *r)
{
	const struct blk *b = r->c->export->disk;
	bool writes = r->type == CMD_WRITE || r->type == CMD_TRIM ||
		      r->type == CMD_WRITE_ZEROES;
	int rc = check_flags(r);

	if (rc)
		return rc;
	if (writes && b->readonly)
		return -EPERM;
	if (r->type == CMD_FLUSH)
		return r->off || r->len ? -EINVAL : 0;
	if (r->off > b->size || r->len > b->size - r->off)
		return writes ? -ENOSPC : -EINVAL;
	if (r->type == CMD_READ && (!r->len || r->len > NBD_BYTES_MAX))
		return -EINVAL;
	return 0;
}

/* False: there is nothing more to come. */
static bool get_request(struct request *r, uint32_t *left)
{
	uint8_t h[28];

	*left = 0;
	if (atomic_load(&r->c->gone) || !nbd_get(r->c, h, sizeof(h)) ||
		get_be32(h) != REQUEST_MAGIC)
		return false;
	r->flags = get_be16(h + 4);
	r->type = get_be16(h + 6);
	r->cookie = get_be64(h + 8);
	r->off = get_be64(h + 16);
	r->len = get_be32(h + 24);
	r->rc = check(r);
	if (r->type == CMD_DISC ||
		(r->type == CMD_WRITE && r->len > NBD_BYTES_MAX))
		return false;
	return r->type != CMD_WRITE || get_data(r, left);
}

static void carry_out(struct request *r, uint32_t left)
{
	switch (r->type) {
	case CMD_READ: do_read(r); break;
	case CMD_WRITE: do_write(r, left); break;
	case CMD_BLOCK_STATUS: do_block_status(r); break;
	default: do_change(r); break;
	}
}

static void *worker(void *opaque)
{
	struct nbd_client *c = opaque;
	struct request r = {.c = c, .buf = aligned_alloc(4096, NBD_PIECE)};
	uint32_t left;
	bool more = r.buf != NULL;

	while (more) {
		pthread_mutex_lock(&c->rx);
		more = get_request(&r, &left);
		if (!more)
			atomic_store(&c->gone, true);
		pthread_mutex_unlock(&c->rx);
		if (more)
			carry_out(&r, left);
	}
	free(r.buf);
	return NULL;
}

void nbd_serve(int fd, const struct nbd_export *e)
{
	struct nbd_client c = {.fd = fd, .export = e};
	GThread *t[NBD_THREADS] = {NULL};

	pthread_mutex_init(&c.rx, NULL);
	pthread_mutex_init(&c.tx, NULL);
	if (nbd_hello(&c)) {
		for (unsigned i = 1; i < NBD_THREADS; i++)
			t[i] = g_thread_try_new("nbd", worker, &c, NULL);
		worker(&c);
		for (unsigned i = 1; i < NBD_THREADS; i++)
			if (t[i])
				g_thread_join(t[i]);
	}
	pthread_mutex_destroy(&c.rx);
	pthread_mutex_destroy(&c.tx);
}
