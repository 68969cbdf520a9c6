/*
 * powercut.c - the recording filter and its replay.
 */
#include "powercut.h"

#include <errno.h>
#include <string.h>

/* ---- recording ---- */

static struct powercut *of(struct blk *b)
{
	return (struct powercut *)b;
}

static void note(struct powercut *p, enum powercut_kind kind, uint64_t off,
	uint64_t len, const void *data)
{
	struct powercut_entry e = {
		p, kind, off, len, data ? g_memdup2(data, len) : NULL};

	g_array_append_val(p->log, e);
}

static int cut_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	for (int i = 0; i < n; off += iov[i++].iov_len)
		memcpy(iov[i].iov_base, of(b)->now + off, iov[i].iov_len);
	return 0;
}

static int cut_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	for (int i = 0; i < n; off += iov[i++].iov_len) {
		memcpy(of(b)->now + off, iov[i].iov_base, iov[i].iov_len);
		note(of(b), CUT_WRITE, off, iov[i].iov_len, iov[i].iov_base);
	}
	return 0;
}

static int cut_flush(struct blk *b)
{
	note(of(b), CUT_FLUSH, 0, 0, NULL);
	return 0;
}

static int cut_discard(struct blk *b, uint64_t off, uint64_t len)
{
	memset(of(b)->now + off, 0, len);
	note(of(b), CUT_ZERO, off, len, NULL);
	return 0;
}

static int cut_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	return cut_discard(b, off, len);
}

static int cut_resize(struct blk *b, uint64_t size)
{
	if (size > of(b)->room)
		return -ENOSPC;
	if (size < b->size)
		memset(of(b)->now + size, 0, b->size - size);
	b->size = size;
	note(of(b), CUT_RESIZE, size, 0, NULL);
	return 0;
}

static void cut_close(struct blk *b)
{
}

static const struct blk_ops cut_ops = {
	.name = "powercut",
	.preadv = cut_preadv,
	.pwritev = cut_pwritev,
	.flush = cut_flush,
	.discard = cut_discard,
	.write_zeroes = cut_write_zeroes,
	.resize = cut_resize,
	.close = cut_close,
};

static struct powercut *make(
	uint64_t room, const void *content, uint64_t len, GArray *log)
{
	struct powercut *p = g_new0(struct powercut, 1);

	p->blk.ops = &cut_ops;
	p->blk.can_discard = true;
	p->blk.size = p->start_size = (len + 511) & ~511ull;
	p->room = room;
	p->now = g_malloc0(room);
	p->start = g_malloc0(p->start_size + 1);
	memcpy(p->now, content, len);
	memcpy(p->start, content, len);
	p->log = log;
	return p;
}

struct powercut *powercut_new(uint64_t room, const void *content, uint64_t len)
{
	struct powercut *p = make(room, content, len,
		g_array_new(FALSE, FALSE, sizeof(struct powercut_entry)));

	p->first = true;
	return p;
}

struct powercut *powercut_beside(
	struct powercut *p, uint64_t room, const void *content, uint64_t len)
{
	return make(room, content, len, p->log);
}

void powercut_free(struct powercut *p)
{
	for (guint i = 0; p->first && i < p->log->len; i++)
		g_free(g_array_index(p->log, struct powercut_entry, i).data);
	if (p->first)
		g_array_free(p->log, TRUE);
	g_free(p->now);
	g_free(p->start);
	g_free(p);
}

/* ---- replay ---- */

/* One entry; per sector: is it there? */
static void apply(const struct powercut_entry *e, GRand *any, uint8_t *out)
{
	uint64_t end = e->off + e->len, next;

	for (uint64_t at = e->off; at < end; at = next) {
		next = MIN((at / POWERCUT_SECTOR + 1) * POWERCUT_SECTOR, end);
		if (any && g_rand_boolean(any))
			continue;
		if (e->kind == CUT_WRITE)
			memcpy(out + at, e->data + (at - e->off), next - at);
		else
			memset(out + at, 0, next - at);
	}
}

uint64_t powercut_replay(
	const struct powercut *p, unsigned n, bool any, GRand *r, uint8_t *out)
{
	uint64_t size = p->start_size, end = size;
	unsigned flushed = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct powercut_entry *e =
			&g_array_index(p->log, struct powercut_entry, i);

		if (e->of == p && e->kind == CUT_FLUSH)
			flushed = i;
	}
	memcpy(out, p->start, p->start_size);
	for (unsigned i = 0; i < n; i++) {
		const struct powercut_entry *e =
			&g_array_index(p->log, struct powercut_entry, i);
		bool sure = i < flushed || !any;

		if (e->of != p)
			continue;
		if (e->kind == CUT_RESIZE) {
			if (!sure && g_rand_boolean(r))
				continue;
			if (e->off < size)
				memset(out + e->off, 0, size - e->off);
			size = e->off;
		} else if (e->kind != CUT_FLUSH) {
			apply(e, sure ? NULL : r, out);
			end = MAX(end, e->off + e->len);
		}
	}
	/* What lies behind the end is not there. */
	memset(out + size, 0, MAX(end, size) - size);
	return size;
}

/* ---- a disk in memory ---- */

struct memory {
	struct blk blk;
	uint8_t *bytes;
	uint64_t room;
};

static int mem_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	const struct memory *m = (const struct memory *)b;

	for (int i = 0; i < n; off += iov[i++].iov_len)
		memcpy(iov[i].iov_base, m->bytes + off, iov[i].iov_len);
	return 0;
}

static int mem_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	const struct memory *m = (const struct memory *)b;

	for (int i = 0; i < n; off += iov[i++].iov_len)
		memcpy(m->bytes + off, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

static int mem_resize(struct blk *b, uint64_t size)
{
	struct memory *m = (struct memory *)b;

	if (size > m->room)
		return -ENOSPC;
	if (size < b->size)
		memset(m->bytes + size, 0, b->size - size);
	b->size = size;
	return 0;
}

static void mem_close(struct blk *b)
{
	g_free(b);
}

static const struct blk_ops mem_ops = {
	.name = "memory",
	.preadv = mem_preadv,
	.pwritev = mem_pwritev,
	.resize = mem_resize,
	.close = mem_close,
};

struct blk *powercut_memory(uint8_t *bytes, uint64_t len, uint64_t room)
{
	struct memory *m = g_new0(struct memory, 1);

	m->blk.ops = &mem_ops;
	m->blk.size = (len + 511) & ~511ull;
	m->bytes = bytes;
	m->room = room;
	return &m->blk;
}
