/*
 * nbd_hello.c - the handshake of NBD: what is there, what both can.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "block/bytes.h"
#include "disk/nbd.h"

#define INIT_MAGIC   0x4e42444d41474943ull /* "NBDMAGIC" */
#define OPTION_MAGIC 0x49484156454f5054ull /* "IHAVEOPT" */
#define REPLY_MAGIC  0x0003e889045565a9ull
#define OPTIONS_MAX  1000 /* more and it means harm */
#define DATA_MAX     16384
#define HELLO_S	     60

enum { FLAG_FIXED_NEWSTYLE = 1, FLAG_NO_ZEROES = 2 };

enum {
	OPT_EXPORT_NAME = 1,
	OPT_ABORT = 2,
	OPT_LIST = 3,
	OPT_INFO = 6,
	OPT_GO = 7,
	OPT_STRUCTURED_REPLY = 8,
	OPT_LIST_META_CONTEXT = 9,
	OPT_SET_META_CONTEXT = 10,
};

enum {
	REP_ACK = 1,
	REP_SERVER = 2,
	REP_INFO = 3,
	REP_META_CONTEXT = 4,
	REP_ERR_UNSUP = 0x80000001,
	REP_ERR_INVALID = 0x80000003,
	REP_ERR_UNKNOWN = 0x80000006,
	REP_ERR_TOO_BIG = 0x80000009,
};

enum { INFO_EXPORT = 0, INFO_NAME = 1, INFO_BLOCK_SIZE = 3 };

enum {
	HAS_FLAGS = 1 << 0,
	READ_ONLY = 1 << 1,
	SEND_FLUSH = 1 << 2,
	SEND_FUA = 1 << 3,
	SEND_TRIM = 1 << 5,
	SEND_WRITE_ZEROES = 1 << 6,
	SEND_DF = 1 << 7,
	CAN_MULTI_CONN = 1 << 8,
};

static const char context[] = "base:allocation";

struct option {
	struct nbd_client *c;
	uint32_t what, len, at; /* at: read so far */
	uint8_t data[DATA_MAX];
	bool no_zeroes;
};

/* What follows an option. */
enum next { NEXT_OPTION, NEXT_DISK, NEXT_END };

/* ---- bytes ---- */

bool nbd_get(const struct nbd_client *c, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = recv(c->fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

bool nbd_put(const struct nbd_client *c, struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};

	while (m.msg_iovlen) {
		ssize_t got = sendmsg(c->fd, &m, MSG_NOSIGNAL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		while (m.msg_iovlen && (size_t)got >= m.msg_iov->iov_len) {
			got -= (ssize_t)m.msg_iov->iov_len;
			m.msg_iov++;
			m.msg_iovlen--;
		}
		if (m.msg_iovlen) {
			m.msg_iov->iov_base =
				(uint8_t *)m.msg_iov->iov_base + got;
			m.msg_iov->iov_len -= (size_t)got;
		}
	}
	return true;
}

static bool reply(
	const struct option *o, uint32_t type, void *data, uint32_t len)
{
	uint8_t head[20];
	struct iovec iov[2] = {{head, sizeof(head)}, {data, len}};

	put_be64(head, REPLY_MAGIC);
	put_be32(head + 8, o->what);
	put_be32(head + 12, type);
	put_be32(head + 16, len);
	return nbd_put(o->c, iov, len ? 2 : 1);
}

static enum next answer(const struct option *o, uint32_t type)
{
	return reply(o, type, NULL, 0) ? NEXT_OPTION : NEXT_END;
}

/* The next n bytes of the option's data, or NULL. */
static const uint8_t *take(struct option *o, uint32_t n)
{
	const uint8_t *p = o->data + o->at;

	if (n > o->len - o->at)
		return NULL;
	o->at += n;
	return p;
}

/* A length and a text: is it `want`? */
static bool take_text(struct option *o, const uint8_t **text, uint32_t *len)
{
	const uint8_t *p = take(o, 4);

	if (!p)
		return false;
	*len = get_be32(p);
	*text = *len <= NBD_NAME_MAX ? take(o, *len) : NULL;
	return *text != NULL;
}

static bool is_text(const uint8_t *text, uint32_t len, const char *want)
{
	return len == strlen(want) && !memcmp(text, want, len);
}

static bool is_export(const struct option *o, const uint8_t *name, uint32_t len)
{
	return !len || is_text(name, len, o->c->export->name);
}

uint16_t nbd_flags(const struct nbd_export *e)
{
	if (e->disk->readonly)
		return HAS_FLAGS | READ_ONLY | SEND_DF | CAN_MULTI_CONN;
	return HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_TRIM |
	       SEND_WRITE_ZEROES | SEND_DF | CAN_MULTI_CONN;
}

/* ---- options ---- */

/* The old way: no answer but the disk, or the end. */
static enum next on_export_name(struct option *o)
{
	const struct nbd_export *e = o->c->export;
	uint8_t out[10 + 124] = {0};
	struct iovec iov = {out, o->no_zeroes ? 10 : sizeof(out)};

	if (!is_export(o, o->data, o->len))
		return NEXT_END;
	put_be64(out, e->disk->size);
	put_be16(out + 8, nbd_flags(e));
	return nbd_put(o->c, &iov, 1) ? NEXT_DISK : NEXT_END;
}

static enum next on_list(struct option *o)
{
	const char *name = o->c->export->name;
	uint8_t out[4 + NBD_NAME_MAX];
	uint32_t len = (uint32_t)strnlen(name, NBD_NAME_MAX);

	if (o->len)
		return answer(o, REP_ERR_INVALID);
	put_be32(out, len);
	memcpy(out + 4, name, len);
	return reply(o, REP_SERVER, out, 4 + len) ? answer(o, REP_ACK)
						  : NEXT_END;
}

static bool send_infos(const struct option *o)
{
	const struct nbd_export *e = o->c->export;
	uint8_t size[12], block[14], name[2 + NBD_NAME_MAX];
	uint32_t len = (uint32_t)strnlen(e->name, NBD_NAME_MAX);

	put_be16(size, INFO_EXPORT);
	put_be64(size + 2, e->disk->size);
	put_be16(size + 10, nbd_flags(e));
	put_be16(name, INFO_NAME);
	memcpy(name + 2, e->name, len);
	put_be16(block, INFO_BLOCK_SIZE);
	put_be32(block + 2, 1);
	put_be32(block + 6, 4096);
	put_be32(block + 10, NBD_BYTES_MAX);
	return reply(o, REP_INFO, size, sizeof(size)) &&
	       reply(o, REP_INFO, name, 2 + len) &&
	       reply(o, REP_INFO, block, sizeof(block));
}

/* Which pieces it asks for does not matter: all may be sent. */
static enum next on_info(struct option *o)
{
	const uint8_t *name, *n;
	uint32_t len;

	if (!take_text(o, &name, &len))
		return answer(o, REP_ERR_INVALID);
	n = take(o, 2);
	if (!n || !take(o, get_be16(n) * 2u) || o->at != o->len)
		return answer(o, REP_ERR_INVALID);
	if (!is_export(o, name, len))
		return answer(o, REP_ERR_UNKNOWN);
	if (!send_infos(o) || !reply(o, REP_ACK, NULL, 0))
		return NEXT_END;
	return o->what == OPT_GO ? NEXT_DISK : NEXT_OPTION;
}

static bool wants_allocation(const uint8_t *query, uint32_t len, bool list)
{
	return is_text(query, len, context) ||
	       (list && is_text(query, len, "base:"));
}

static enum next on_meta_context(struct option *o)
{
	bool list = o->what == OPT_LIST_META_CONTEXT, found;
	uint8_t out[4 + sizeof(context) - 1];
	const uint8_t *text, *n;
	uint32_t len, queries;

	/* What was chosen before goes, whatever comes of it. */
	if (!list)
		o->c->allocation = false;
	if (!take_text(o, &text, &len) || !(n = take(o, 4)))
		return answer(o, REP_ERR_INVALID);
	if (!list && !o->c->structured)
		return answer(o, REP_ERR_INVALID);
	if (!is_export(o, text, len))
		return answer(o, REP_ERR_UNKNOWN);
	queries = get_be32(n);
	found = list && !queries;
	while (queries--) {
		if (!take_text(o, &text, &len))
			return answer(o, REP_ERR_INVALID);
		found |= wants_allocation(text, len, list);
	}
	if (o->at != o->len)
		return answer(o, REP_ERR_INVALID);
	put_be32(out, list ? 0 : NBD_CONTEXT_ID);
	memcpy(out + 4, context, sizeof(context) - 1);
	if (found && !reply(o, REP_META_CONTEXT, out, sizeof(out)))
		return NEXT_END;
	if (!list)
		o->c->allocation = found;
	return answer(o, REP_ACK);
}

static enum next on_structured(struct option *o)
{
	if (o->len)
		return answer(o, REP_ERR_INVALID);
	o->c->structured = true;
	return answer(o, REP_ACK);
}

static enum next on_option(struct option *o)
{
	switch (o->what) {
	case OPT_EXPORT_NAME: return on_export_name(o);
	case OPT_ABORT: answer(o, REP_ACK); return NEXT_END;
	case OPT_LIST: return on_list(o);
	case OPT_INFO:
	case OPT_GO: return on_info(o);
	case OPT_STRUCTURED_REPLY: return on_structured(o);
	case OPT_LIST_META_CONTEXT:
	case OPT_SET_META_CONTEXT: return on_meta_context(o);
	default: return answer(o, REP_ERR_UNSUP);
	}
}

/* More than any option needs is read, and thrown away. */
static enum next too_big(struct option *o)
{
	for (uint32_t left = o->len, n; left; left -= n) {
		n = MIN(left, DATA_MAX);
		if (!nbd_get(o->c, o->data, n))
			return NEXT_END;
	}
	return o->what == OPT_EXPORT_NAME ? NEXT_END
					  : answer(o, REP_ERR_TOO_BIG);
}

static enum next one_option(struct option *o)
{
	uint8_t head[16];

	if (!nbd_get(o->c, head, sizeof(head)) ||
		get_be64(head) != OPTION_MAGIC)
		return NEXT_END;
	o->what = get_be32(head + 8);
	o->len = get_be32(head + 12);
	o->at = 0;
	if (o->len > NBD_BYTES_MAX)
		return NEXT_END;
	if (o->len > DATA_MAX)
		return too_big(o);
	return nbd_get(o->c, o->data, o->len) ? on_option(o) : NEXT_END;
}

/* Who says nothing does not keep a place for long. */
static void patience(const struct nbd_client *c, time_t seconds)
{
	const struct timeval t = {.tv_sec = seconds};

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

bool nbd_hello(struct nbd_client *c)
{
	g_autofree struct option *o = g_new0(struct option, 1);
	uint8_t hello[18], flags[4];
	struct iovec iov = {hello, sizeof(hello)};
	enum next next = NEXT_OPTION;

	patience(c, HELLO_S);
	o->c = c;
	put_be64(hello, INIT_MAGIC);
	put_be64(hello + 8, OPTION_MAGIC);
	put_be16(hello + 16, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
	if (!nbd_put(c, &iov, 1) || !nbd_get(c, flags, sizeof(flags)) ||
		get_be32(flags) & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES))
		return false;
	o->no_zeroes = get_be32(flags) & FLAG_NO_ZEROES;
	for (unsigned i = 0; i < OPTIONS_MAX && next == NEXT_OPTION; i++)
		next = one_option(o);
	patience(c, 0);
	return next == NEXT_DISK;
}
