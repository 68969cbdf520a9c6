/* share-rig.h - a client of a file server: builds requests, takes answers. */
#ifndef TESTS_UNIT_SHARE_RIG_H
#define TESTS_UNIT_SHARE_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "share/p9.h"
#include "share/share.h"

#define RIG_BYTES (256u << 10)

struct share_rig {
	char *dir;
	struct share *s;
	uint8_t msg[RIG_BYTES], reply[RIG_BYTES];
	struct p9_in in; /* the answer behind its header */
	struct iovec iov;
	uint64_t most; /* room for an answer */
};

static inline char *rig_path(struct share_rig *r, const char *name)
{
	return g_build_filename(r->dir, name, NULL);
}

static inline void rig_write(
	struct share_rig *r, const char *name, const char *text)
{
	g_autofree char *path = rig_path(r, name);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline struct share *share_of(
	const char *dir, bool readonly, unsigned max_open)
{
	struct share_conf c = {.tag = "work",
		.root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.self_fd = open("/proc/self/fd", O_PATH | O_CLOEXEC),
		.readonly = readonly,
		.uid = 1001,
		.gid = 1002,
		.max_open = max_open};
	struct share *s;

	g_assert_cmpint(share_new(&c, &s), ==, 0);
	return s;
}

static inline void rig_open(
	struct share_rig *r, bool readonly, unsigned max_open)
{
	r->dir = g_dir_make_tmp("vmeste-share-XXXXXX", NULL);
	g_assert_nonnull(r->dir);
	r->s = share_of(r->dir, readonly, max_open);
	r->most = RIG_BYTES;
}

static inline void rig_remove(const char *dir)
{
	const char *argv[] = {"rm", "-rf", dir, NULL};

	g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH,
		NULL, NULL, NULL, NULL, NULL, NULL);
}

static inline void rig_close(struct share_rig *r)
{
	share_free(r->s);
	rig_remove(r->dir);
	g_free(r->dir);
}

static inline bool rig_map(
	struct share_request *q, bool out, uint64_t skip, uint64_t len)
{
	uint8_t *base = out ? (uint8_t *)(uintptr_t)q->msg : q->reply;
	static _Thread_local struct iovec iov;

	if (skip > RIG_BYTES || len > RIG_BYTES - skip)
		return false;
	iov = (struct iovec){base + skip, len};
	q->iov = &iov;
	q->niov = 1;
	return true;
}

/* total bytes of r->msg as they are: 0 or the error that came. */
static inline int rig_send(struct share_rig *r, size_t total)
{
	struct share_request q = {.msg = r->msg,
		.len = MIN(total, SHARE_MAX_REQUEST),
		.total = total,
		.reply = r->reply,
		.room = r->most,
		.map = rig_map};
	size_t n = share_serve(r->s, &q);
	uint32_t size;

	r->in = (struct p9_in){r->reply, n + q.data, false};
	size = p9_get32(&r->in);
	g_assert_cmpint(size, ==, n + q.data);
	g_assert_cmpint(size, <=, r->most);
	if (p9_get8(&r->in) == P9_RLERROR) {
		g_assert_cmpint(
			p9_get16(&r->in), ==, r->msg[5] | r->msg[6] << 8);
		return (int)p9_get32(&r->in);
	}
	g_assert_cmpint(r->reply[4], ==, r->msg[4] + 1);
	g_assert_cmpint(p9_get16(&r->in), ==, r->msg[5] | r->msg[6] << 8);
	return 0;
}

/* b w d q: numbers of 1, 2, 4, 8 bytes; s: a string; x: bytes, which are a
 * pointer and a number of 4 bytes. */
static inline size_t rig_build(
	struct share_rig *r, uint8_t type, const char *shape, va_list ap)
{
	struct p9_out out = {.p = r->msg, .max = RIG_BYTES, .n = 7};
	size_t n;

	for (; *shape; shape++) {
		switch (*shape) {
		case 'b': p9_put8(&out, va_arg(ap, unsigned)); break;
		case 'w': p9_put16(&out, va_arg(ap, unsigned)); break;
		case 'd': p9_put32(&out, va_arg(ap, unsigned)); break;
		case 'q': p9_put64(&out, va_arg(ap, uint64_t)); break;
		case 's': p9_put_string(&out, va_arg(ap, const char *)); break;
		case 'x': {
			const void *p = va_arg(ap, const void *);

			n = va_arg(ap, unsigned);
			p9_put32(&out, n);
			p9_put_bytes(&out, p, n);
		} break;
		default: g_assert_not_reached();
		}
	}
	g_assert_false(out.full);
	n = out.n;
	out.n = 0;
	p9_put32(&out, n);
	p9_put8(&out, type);
	p9_put16(&out, 0x1234);
	return n;
}

static inline int ask(struct share_rig *r, uint8_t type, const char *shape, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, shape);
	n = rig_build(r, type, shape, ap);
	va_end(ap);
	return rig_send(r, n);
}

/* A session, with fid 0 for the root. */
static inline void rig_attach(struct share_rig *r)
{
	g_assert_cmpint(ask(r, P9_TVERSION, "ds", 131072u, "9P2000.L"), ==, 0);
	g_assert_cmpint(p9_get32(&r->in), ==, 131072);
	g_assert_cmpint(
		ask(r, P9_TATTACH, "ddssd", 0u, P9_NOFID, "root", "/", 0u), ==,
		0);
	g_assert_cmpint(p9_get8(&r->in), ==, P9_QT_DIR);
}

/* Give the file of that path ("a/b", "" = the root) a number. */
static inline int rig_walk(
	struct share_rig *r, unsigned from, unsigned id, const char *path)
{
	g_auto(GStrv) part = g_strsplit(path, "/", -1);
	unsigned n = *path ? g_strv_length(part) : 0;
	struct p9_out out = {.p = r->msg, .max = RIG_BYTES};
	int rc;

	p9_put32(&out, 0);
	p9_put8(&out, P9_TWALK);
	p9_put16(&out, 5);
	p9_put32(&out, from);
	p9_put32(&out, id);
	p9_put16(&out, n);
	for (unsigned i = 0; i < n; i++)
		p9_put_string(&out, part[i]);
	for (unsigned i = 0; i < 4; i++)
		r->msg[i] = (uint8_t)(out.n >> (8 * i));
	rc = rig_send(r, out.n);
	if (!rc && p9_get16(&r->in) < n)
		return ENOENT; /* part of the way */
	return rc;
}

static inline int rig_clunk(struct share_rig *r, unsigned id)
{
	return ask(r, P9_TCLUNK, "d", id);
}

#endif
