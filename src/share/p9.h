/*
 * p9.h - the bytes of 9P2000.L: numbers are little-endian, a string is a 16-bit
 * length and its bytes.
 */
#ifndef SHARE_P9_H
#define SHARE_P9_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

/* requests; the answer has the number after */
enum p9_type {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
	P9_TYPES = 128,
};

#define P9_NOFID     0xffffffffu
#define P9_HEADER    7u	 /* size, type, tag */
#define P9_IO_HEADER 24u /* what reading and writing have beside the data */
#define P9_MAX_WALK  16u

/* qid.type */
#define P9_QT_DIR     0x80
#define P9_QT_SYMLINK 0x02

struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

/* ---- reading: what is not there is 0 and makes it bad ---- */

struct p9_in {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static inline uint64_t p9_get(struct p9_in *in, unsigned bytes)
{
	uint64_t v = 0;

	if (in->bad || in->n < bytes) {
		in->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)in->p[i] << (8 * i);
	in->p += bytes;
	in->n -= bytes;
	return v;
}

#define p9_get8(in)  ((uint8_t)p9_get(in, 1))
#define p9_get16(in) ((uint16_t)p9_get(in, 2))
#define p9_get32(in) ((uint32_t)p9_get(in, 4))
#define p9_get64(in) p9_get(in, 8)

static inline void p9_skip(struct p9_in *in, unsigned bytes)
{
	p9_get(in, MIN(bytes, 8));
}

/* A copy of a string without NULs in it, or NULL. */
static inline char *p9_get_string(struct p9_in *in)
{
	size_t n = p9_get16(in);
	char *s;

	if (in->bad || in->n < n || memchr(in->p, 0, n)) {
		in->bad = true;
		return NULL;
	}
	s = g_strndup((const char *)in->p, n);
	in->p += n;
	in->n -= n;
	return s;
}

/* ---- writing: what does not fit makes it full ---- */

struct p9_out {
	uint8_t *p;
	size_t n, max;
	bool full;
};

static inline void p9_put_bytes(struct p9_out *out, const void *p, size_t n)
{
	if (out->full || out->max - out->n < n) {
		out->full = true;
		return;
	}
	memcpy(out->p + out->n, p, n);
	out->n += n;
}

static inline void p9_put(struct p9_out *out, uint64_t v, unsigned bytes)
{
	uint8_t b[8];

	for (unsigned i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	p9_put_bytes(out, b, bytes);
}

#define p9_put8(out, v)	 p9_put(out, v, 1)
#define p9_put16(out, v) p9_put(out, v, 2)
#define p9_put32(out, v) p9_put(out, v, 4)
#define p9_put64(out, v) p9_put(out, v, 8)

static inline void p9_put_string(struct p9_out *out, const char *s)
{
	size_t n = strlen(s);

	if (n > 0xffff) {
		out->full = true;
		return;
	}
	p9_put16(out, n);
	p9_put_bytes(out, s, n);
}

static inline void p9_put_qid(struct p9_out *out, const struct p9_qid *q)
{
	p9_put8(out, q->type);
	p9_put32(out, q->version);
	p9_put64(out, q->path);
}

#endif
