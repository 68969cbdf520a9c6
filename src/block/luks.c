/*
 * luks.c - the filter: what is read is decrypted, what is written encrypted, in
 * a buffer of our own, for others may look at theirs meanwhile.
 *
 * Transfers of whole sectors hold the lock shared.  What begins or ends inside
 * one must read it first, and holds the lock alone.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "block/bytes.h"
#include "block/iov.h"
#include "block/luks_priv.h"

#define PIECE	(256u << 10)
#define HANDLES 16 /* kept; as many threads at once are usual */

struct luks {
	struct blk blk;
	struct blk *below;
	struct luks_volume v;
	pthread_rwlock_t lock;
	pthread_mutex_t pool; /* of handles */
	gcry_cipher_hd_t free[HANDLES];
	unsigned nfree;
};

/* ---- handles: one thread each ---- */

static int handle_get(struct luks *l, gcry_cipher_hd_t *h)
{
	bool had;

	pthread_mutex_lock(&l->pool);
	had = l->nfree;
	if (had)
		*h = l->free[--l->nfree];
	pthread_mutex_unlock(&l->pool);
	return had ? 0 : luks_cipher_open(h, l->v.key, l->v.key_len);
}

static void handle_put(struct luks *l, gcry_cipher_hd_t h)
{
	bool kept;

	pthread_mutex_lock(&l->pool);
	kept = l->nfree < HANDLES;
	if (kept)
		l->free[l->nfree++] = h;
	pthread_mutex_unlock(&l->pool);
	if (!kept)
		gcry_cipher_close(h);
}

/* ---- transfers ---- */

struct pass {
	struct luks *l;
	gcry_cipher_hd_t h;
	uint8_t *buf; /* PIECE */
};

/* Whole sectors from off on, at most a piece, into p->buf. */
static int pass_read(struct pass *p, size_t len, uint64_t off)
{
	struct luks *l = p->l;
	int rc = blk_pread(l->below, p->buf, len, l->v.payload + off);

	return rc ? rc
		  : luks_xts(p->h, false, p->buf, len, l->v.tweak + off / 512,
			    l->v.sector);
}

static int pass_write(struct pass *p, size_t len, uint64_t off)
{
	struct luks *l = p->l;
	int rc = luks_xts(
		p->h, true, p->buf, len, l->v.tweak + off / 512, l->v.sector);

	return rc ? rc : blk_pwrite(l->below, p->buf, len, l->v.payload + off);
}

/* What stays of the first and the last sector. */
static int pass_edges(struct pass *p, uint64_t off, uint64_t end)
{
	unsigned s = p->l->v.sector;
	uint64_t first = off - off % s, last = (end - 1) / s * s;
	g_autofree uint8_t *tail = NULL;
	int rc = 0;

	if (end % s) {
		rc = pass_read(p, s, last);
		tail = g_memdup2(p->buf, s);
	}
	if (!rc && off % s)
		rc = pass_read(p, s, first);
	if (tail)
		memcpy(p->buf + (last - first), tail, s);
	return rc;
}

/* Copy between p->buf, from byte `in` of it on, and a part of the vector. */
static void pass_copy(
	struct pass *p, size_t in, const struct iovec *part, int n, bool to_buf)
{
	for (int i = 0; i < n; i++) {
		if (to_buf)
			memcpy(p->buf + in, part[i].iov_base, part[i].iov_len);
		else
			memcpy(part[i].iov_base, p->buf + in, part[i].iov_len);
		in += part[i].iov_len;
	}
}

/* A part of a transfer that fits the buffer. */
static int pass_piece(struct pass *p, const struct iovec *part, int n,
	uint64_t off, bool write)
{
	unsigned s = p->l->v.sector;
	uint64_t end = off + iov_bytes(part, n), first = off - off % s;
	size_t len = (end + s - 1) / s * s - first;
	int rc;

	if (!write) {
		rc = pass_read(p, len, first);
		if (!rc)
			pass_copy(p, off - first, part, n, false);
		return rc;
	}
	rc = pass_edges(p, off, end);
	if (rc)
		return rc;
	pass_copy(p, off - first, part, n, true);
	return pass_write(p, len, first);
}

static int luks_transfer(struct luks *l, const struct iovec *iov, int n,
	uint64_t off, bool write)
{
	uint64_t len = iov_bytes(iov, n), done = 0;
	struct iovec *part = g_new(struct iovec, n);
	struct pass p = {.l = l};
	int rc = handle_get(l, &p.h), m;

	if (!rc) {
		p.buf = aligned_alloc(4096, PIECE);
		while (p.buf && done < len && !rc) {
			uint64_t at = off + done;
			uint64_t part_len =
				MIN(len - done, PIECE - at % l->v.sector);

			/* A piece ends where a sector does. */
			if (part_len < len - done)
				part_len -= (at + part_len) % l->v.sector;
			m = iov_slice(iov, n, done, part_len, part);
			rc = pass_piece(&p, part, m, at, write);
			done += part_len;
		}
		if (!p.buf)
			rc = -ENOMEM;
		/* of guests' data, not of keys */
		free(p.buf);
		handle_put(l, p.h);
	}
	g_free(part);
	return rc;
}

static int luks_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct luks *l = (struct luks *)b;
	int rc;

	pthread_rwlock_rdlock(&l->lock);
	rc = luks_transfer(l, iov, n, off, false);
	pthread_rwlock_unlock(&l->lock);
	return rc;
}

static int luks_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct luks *l = (struct luks *)b;
	int rc;

	if ((off | iov_bytes(iov, n)) % l->v.sector)
		pthread_rwlock_wrlock(&l->lock);
	else
		pthread_rwlock_rdlock(&l->lock);
	rc = luks_transfer(l, iov, n, off, true);
	pthread_rwlock_unlock(&l->lock);
	return rc;
}

static int luks_flush(struct blk *b)
{
	return blk_flush(((struct luks *)b)->below);
}

/* Tells who sees the image where there is no data; and gives the room back. */
static int luks_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct luks *l = (struct luks *)b;
	uint64_t s = l->v.sector, first = (off + s - 1) / s * s;
	uint64_t end = (off + len) / s * s;

	return first < end ? blk_discard(l->below, l->v.payload + first,
				     end - first)
			   : 0;
}

static int luks_resize(struct blk *b, uint64_t size)
{
	struct luks *l = (struct luks *)b;
	int rc = l->v.size ? -EOPNOTSUPP
			   : blk_resize(l->below, l->v.payload + size);

	if (!rc)
		b->size = size;
	return rc;
}

static void luks_free(struct luks *l)
{
	while (l->nfree)
		gcry_cipher_close(l->free[--l->nfree]);
	pthread_rwlock_destroy(&l->lock);
	pthread_mutex_destroy(&l->pool);
	explicit_bzero(&l->v, sizeof(l->v));
	g_free(l);
}

static struct blk *luks_below(struct blk *b)
{
	return ((struct luks *)b)->below;
}

static void luks_close(struct blk *b)
{
	struct luks *l = (struct luks *)b;

	blk_close(l->below);
	luks_free(l);
}

/* No map: zeros beneath are not zeros here.  No write_zeroes, so that they are
 * written. */
static const struct blk_ops luks_ops = {
	.name = "luks",
	.preadv = luks_preadv,
	.pwritev = luks_pwritev,
	.flush = luks_flush,
	.discard = luks_discard,
	.close = luks_close,
	.resize = luks_resize,
	.below = luks_below,
};

/* ---- opening ---- */

/* 0: none. */
static unsigned version_of(struct blk *below)
{
	uint8_t h[8];

	if (below->size < 4096 || blk_pread(below, h, sizeof(h), 0) ||
		memcmp(h, LUKS_MAGIC, LUKS_MAGIC_LEN) != 0)
		return 0;
	return get_be16(h + LUKS_MAGIC_LEN);
}

const char *luks_probe(struct blk *below)
{
	unsigned v = version_of(below);

	return v == 1 ? "LUKS1" : v == 2 ? "LUKS2" : NULL;
}

uint64_t luks_overhead(enum luks_kind kind)
{
	return kind == LUKS_1 ? LUKS1_PAYLOAD : LUKS2_PAYLOAD;
}

static bool unlock(struct luks *l, const struct luks_secret *s, GError **err)
{
	gcry_cipher_hd_t h;
	uint64_t room;
	bool ok;
	int rc;

	/* A LUKS2 whose first header is lost has a second one. */
	ok = version_of(l->below) == 1 ? luks1_open(l->below, s, &l->v, err)
				       : luks2_open(l->below, s, &l->v, err);
	if (!ok)
		return false;
	room = l->v.size ? l->v.size : l->below->size - l->v.payload;
	l->blk.size = room - room % l->v.sector;
	rc = luks_cipher_open(&h, l->v.key, l->v.key_len);
	if (rc)
		return luks_errno(err, rc, "key");
	handle_put(l, h);
	return true;
}

struct blk *luks_open(
	struct blk *below, const void *secret, size_t len, GError **err)
{
	const struct luks_secret s = {secret, len};
	struct luks *l = g_new0(struct luks, 1);

	luks_init();
	pthread_rwlock_init(&l->lock, NULL);
	pthread_mutex_init(&l->pool, NULL);
	l->blk.ops = &luks_ops;
	l->blk.readonly = below->readonly;
	l->blk.can_discard = below->can_discard;
	l->below = below;
	if (unlock(l, &s, err))
		return &l->blk;
	blk_close(below);
	luks_free(l);
	return NULL;
}

bool luks_format(struct blk *below, const struct luks_new *how, GError **err)
{
	luks_init();
	if (below->size <= luks_overhead(how->kind))
		return luks_errno(err, -EINVAL, "room");
	return how->kind == LUKS_1 ? luks1_format(below, how, err)
				   : luks2_format(below, how, err);
}
