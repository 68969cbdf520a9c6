/*
 * bmap.c - reading and writing disks that lie in a file block by block.
 */
#include "block/bmap.h"

#include <errno.h>
#include <string.h>

#include "block/bytes.h"
#include "block/iov.h"

#define RUN_BLOCKS 1024u      /* looked at for one run */
#define ROW_BYTES  (4u << 20) /* placed at once */
#define SECTOR	   512u
#define FEW	   16 /* parts of a vector that need no memory */

/* ---- the table ---- */

void bmap_init(struct bmap *m)
{
	pthread_rwlock_init(&m->lock, NULL);
	pthread_mutex_init(&m->load_lock, NULL);
	pthread_mutex_init(&m->unpacked_lock, NULL);
}

void bmap_fini(struct bmap *m)
{
	if (!m->blk.readonly && m->begun)
		bmap_flush(&m->blk);
	for (uint64_t p = 0; m->page && p < m->npages; p++)
		g_free(m->page[p].data);
	g_free(m->page);
	g_free(m->unpacked_data);
	if (!m->lends_lower)
		blk_close(m->lower);
	pthread_mutex_destroy(&m->unpacked_lock);
	pthread_mutex_destroy(&m->load_lock);
	pthread_rwlock_destroy(&m->lock);
}

static uint64_t bmap_slot(const struct bmap *m, uint64_t block)
{
	return m->chunk ? block + block / m->chunk : block;
}

bool bmap_table_pages(struct bmap *m, uint32_t per_page)
{
	uint64_t slots = m->nblocks ? bmap_slot(m, m->nblocks - 1) + 1 : 0;

	m->per_page = per_page;
	m->npages = (slots + per_page - 1) / per_page;
	m->page = g_try_new0(struct bmap_page, MAX(m->npages, 1));
	return m->page != NULL;
}

bool bmap_table_at(struct bmap *m, uint64_t off, uint32_t per_page)
{
	uint64_t slots = m->nblocks ? bmap_slot(m, m->nblocks - 1) + 1 : 0;

	if (off > m->lower->size || slots > (m->lower->size - off) / m->width ||
		!bmap_table_pages(m, per_page))
		return false;
	for (uint64_t p = 0; p < m->npages; p++)
		m->page[p].off = off + p * per_page * m->width;
	return true;
}

static int bmap_load(struct bmap *m, struct bmap_page *p)
{
	uint32_t len = m->per_page * m->width;
	uint8_t *data;
	struct iovec iov;
	int rc = 0;

	pthread_mutex_lock(&m->load_lock);
	if (!atomic_load(&p->data)) {
		data = g_try_malloc0(len);
		iov = (struct iovec){data, len};
		if (!data)
			rc = -ENOMEM;
		else if (p->off)
			rc = blk_preadv_clamped(m->lower, &iov, 1, p->off);
		if (rc)
			g_free(data);
		else
			atomic_store_explicit(
				&p->data, data, memory_order_release);
	}
	pthread_mutex_unlock(&m->load_lock);
	return rc;
}

/* The page of a block's entry and the byte in it. */
static inline int bmap_find_page(
	struct bmap *m, uint64_t block, struct bmap_page **page, uint32_t *at)
{
	uint64_t slot = bmap_slot(m, block);
	struct bmap_page *p = &m->page[slot / m->per_page];

	*page = p;
	*at = (uint32_t)(slot % m->per_page) * m->width;
	if (atomic_load_explicit(&p->data, memory_order_acquire))
		return 0;
	return bmap_load(m, p);
}

int bmap_entry(struct bmap *m, uint64_t block, uint64_t *entry)
{
	struct bmap_page *p;
	uint32_t at;
	int rc = bmap_find_page(m, block, &p, &at);
	const uint8_t *e = rc ? NULL : p->data + at;

	if (rc)
		return rc;
	if (m->width == 8)
		*entry = get_le64(e);
	else
		*entry = m->big_endian ? get_be32(e) : get_le32(e);
	return 0;
}

int bmap_spot(struct bmap *m, uint64_t block, struct bmap_spot *s)
{
	uint64_t e;
	int rc = bmap_entry(m, block, &e);

	if (!rc)
		*s = m->cls->decode(m, block, e);
	return rc;
}

int bmap_set(struct bmap *m, uint64_t block, uint64_t entry)
{
	struct bmap_page *p;
	uint32_t at;
	int rc = bmap_find_page(m, block, &p, &at);

	if (!rc && !p->off && m->cls->make_page)
		rc = m->cls->make_page(m, p);
	if (rc)
		return rc;
	if (m->width == 8)
		put_le64(p->data + at, entry);
	else if (m->big_endian)
		put_be32(p->data + at, (uint32_t)entry);
	else
		put_le32(p->data + at, (uint32_t)entry);
	if (!p->dirty_end) {
		p->dirty = at;
		p->dirty_end = at + m->width;
	} else {
		p->dirty = MIN(p->dirty, at);
		p->dirty_end = MAX(p->dirty_end, at + m->width);
	}
	atomic_store(&m->dirty, true);
	return 0;
}

static int bmap_write_page(struct bmap *m, struct bmap_page *p)
{
	uint32_t from, to;
	int rc;

	if (!p->dirty_end)
		return 0;
	/* Whole sectors of the file. */
	from = p->dirty - MIN(p->dirty, (p->off + p->dirty) % SECTOR);
	to = p->dirty_end;
	rc = blk_pwrite(m->lower, p->data + from, to - from, p->off + from);
	if (!rc && p->copy)
		rc = blk_pwrite(
			m->lower, p->data + from, to - from, p->copy + from);
	if (!rc)
		p->dirty = p->dirty_end = 0;
	return rc;
}

int bmap_settle(struct bmap *m)
{
	int rc = 0;

	if (!atomic_load(&m->dirty))
		return blk_flush(m->lower);
	if (m->cls->before)
		rc = m->cls->before(m);
	if (!rc)
		rc = blk_flush(m->lower);
	for (uint64_t p = 0; p < m->npages && !rc; p++)
		rc = bmap_write_page(m, &m->page[p]);
	if (!rc)
		rc = blk_flush(m->lower);
	if (!rc && m->cls->after)
		rc = m->cls->after(m);
	if (!rc)
		atomic_store(&m->dirty, false);
	return rc;
}

int bmap_flush(struct blk *b)
{
	struct bmap *m = (struct bmap *)b;
	int rc;

	if (b->readonly)
		return 0;
	if (!atomic_load(&m->dirty))
		return blk_flush(m->lower);
	pthread_rwlock_wrlock(&m->lock);
	rc = bmap_settle(m);
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

/* ---- where things are ---- */

struct bmap_run {
	enum bmap_kind kind;
	uint64_t off; /* in the file, of the first byte asked for */
	uint64_t block, in, len;
};

/* The run at off, at most len bytes. */
static int bmap_find(
	struct bmap *m, uint64_t off, uint64_t len, struct bmap_run *r)
{
	struct bmap_spot s, next;
	uint64_t have;
	int rc;

	r->block = off / m->block;
	r->in = off % m->block;
	rc = bmap_spot(m, r->block, &s);
	if (rc)
		return rc;
	if (s.kind == BMAP_BAD)
		return -EIO;
	r->kind = s.kind;
	r->off = s.off + r->in;
	have = m->block - r->in;
	for (unsigned i = 1; have < len && i < RUN_BLOCKS; i++) {
		if (s.kind == BMAP_PART || s.kind == BMAP_PACKED ||
			bmap_spot(m, r->block + i, &next) ||
			next.kind != s.kind ||
			(s.kind == BMAP_DATA &&
				next.off != s.off + (uint64_t)i * m->block))
			break;
		have += m->block;
	}
	r->len = MIN(have, len);
	return 0;
}

static bool bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

/* The sectors from r on that are here, or not. */
static int bmap_map_part(
	struct bmap *m, const struct bmap_run *r, struct blk_extent *e)
{
	g_autofree uint8_t *bits = g_try_malloc0(m->block / SECTOR / 8 + 1);
	uint64_t s = r->in / SECTOR, end = s + 1;
	int rc = bits ? m->cls->part(m, r->block, r->off - r->in, bits)
		      : -ENOMEM;

	if (rc)
		return rc;
	while (end * SECTOR < r->in + r->len && bit(bits, end) == bit(bits, s))
		end++;
	e->len = MIN(end * SECTOR - r->in, r->len);
	if (!bit(bits, s))
		e->state = BLK_BELOW;
	return 0;
}

int bmap_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	struct bmap *m = (struct bmap *)b;
	struct bmap_run r;
	int rc;

	pthread_rwlock_rdlock(&m->lock);
	rc = bmap_find(m, off, len, &r);
	if (!rc && r.kind == BMAP_PART)
		rc = bmap_map_part(m, &r, e);
	pthread_rwlock_unlock(&m->lock);
	if (rc || r.kind == BMAP_PART)
		return rc;
	e->len = r.len;
	switch (r.kind) {
	case BMAP_BELOW: e->state = BLK_BELOW; break;
	case BMAP_ZERO: e->state = BLK_ZERO; break;
	case BMAP_DATA:
		e->plain = true;
		e->at = r.off;
		e->file = m->lower;
		break;
	case BMAP_PACKED: e->packed = true; break;
	case BMAP_PART:
	case BMAP_BAD: break;
	}
	return 0;
}

struct blk *bmap_below(struct blk *b)
{
	return ((struct bmap *)b)->lower;
}

void bmap_set_backing(struct blk *b, struct blk *backing)
{
	b->backing = backing;
	((struct bmap *)b)->below = backing;
}

/* ---- reading ---- */

static int bmap_read_below(
	struct bmap *m, const struct iovec *iov, int n, uint64_t off)
{
	if (m->below)
		return blk_preadv_clamped(m->below, iov, n, off + m->below_off);
	iov_zero(iov, n);
	return 0;
}

static int bmap_read_packed(struct bmap *m, const struct iovec *iov, int n,
	const struct bmap_run *r)
{
	int rc = 0;

	pthread_mutex_lock(&m->unpacked_lock);
	if (m->unpacked != r->block + 1) {
		if (!m->unpacked_data)
			m->unpacked_data = g_try_malloc(m->block);
		m->unpacked = 0;
		rc = m->unpacked_data
			     ? m->cls->unpack(m, r->block, r->off - r->in,
				       m->unpacked_data)
			     : -ENOMEM;
		if (!rc)
			m->unpacked = r->block + 1;
	}
	if (!rc)
		iov_fill(iov, n, 0, m->unpacked_data + r->in, r->len);
	pthread_mutex_unlock(&m->unpacked_lock);
	return rc;
}

/* Sectors of a block, some here, some below. */
static int bmap_read_part(struct bmap *m, const struct iovec *iov, int n,
	const struct bmap_run *r)
{
	g_autofree uint8_t *bits = g_try_malloc0(m->block / SECTOR / 8 + 1);
	g_autofree struct iovec *part = g_new(struct iovec, n);
	uint64_t done = 0;
	int rc = bits ? m->cls->part(m, r->block, r->off - r->in, bits)
		      : -ENOMEM;

	while (!rc && done < r->len) {
		uint64_t in = r->in + done, s = in / SECTOR, e = s + 1, len;
		bool here = bit(bits, s);
		int k;

		while (e * SECTOR < r->in + r->len && bit(bits, e) == here)
			e++;
		len = MIN(e * SECTOR, r->in + r->len) - in;
		k = iov_slice(iov, n, done, len, part);
		rc = here ? blk_preadv_clamped(m->lower, part, k, r->off + done)
			  : bmap_read_below(
				    m, part, k, r->block * m->block + in);
		done += len;
	}
	return rc;
}

static int bmap_read_run(struct bmap *m, const struct iovec *iov, int n,
	const struct bmap_run *r)
{
	switch (r->kind) {
	case BMAP_DATA: return blk_preadv_clamped(m->lower, iov, n, r->off);
	case BMAP_BELOW:
		return bmap_read_below(m, iov, n, r->block * m->block + r->in);
	case BMAP_PACKED: return bmap_read_packed(m, iov, n, r);
	case BMAP_PART: return bmap_read_part(m, iov, n, r);
	case BMAP_ZERO: break;
	case BMAP_BAD: return -EIO;
	}
	iov_zero(iov, n);
	return 0;
}

/* Lock held. */
static int bmap_read(
	struct bmap *m, const struct iovec *iov, int n, uint64_t off)
{
	struct iovec few[FEW];
	g_autofree struct iovec *many = NULL;
	struct iovec *part = few;
	uint64_t len = iov_bytes(iov, n), done = 0;
	struct bmap_run r;
	int rc = bmap_find(m, off, len, &r);

	if (!rc && r.len == len)
		return bmap_read_run(m, iov, n, &r);
	if (n > FEW)
		part = many = g_new(struct iovec, n);
	while (!rc) {
		rc = bmap_read_run(
			m, part, iov_slice(iov, n, done, r.len, part), &r);
		done += r.len;
		if (rc || done == len)
			break;
		rc = bmap_find(m, off + done, len - done, &r);
	}
	return rc;
}

int bmap_preadv(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct bmap *m = (struct bmap *)b;
	int rc;

	pthread_rwlock_rdlock(&m->lock);
	rc = bmap_read(m, iov, n, off);
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

/* Is the table's piece for [off, off + len) in memory?  Two pages at most. */
static bool bmap_loaded(struct bmap *m, uint64_t off, uint64_t len)
{
	uint64_t first = bmap_slot(m, off / m->block) / m->per_page;
	uint64_t last = bmap_slot(m, (off + len - 1) / m->block) / m->per_page;

	return last - first <= 1 && atomic_load(&m->page[first].data) &&
	       atomic_load(&m->page[last].data);
}

/* Lock held. */
static int bmap_read_now(
	struct bmap *m, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t len = iov_bytes(iov, n);
	struct bmap_run r;

	if (!bmap_loaded(m, off, len) || bmap_find(m, off, len, &r) ||
		r.len != len)
		return -EAGAIN;
	if (r.kind == BMAP_DATA)
		return blk_preadv_now(m->lower, iov, n, r.off);
	if (r.kind == BMAP_BELOW && m->below)
		return blk_preadv_now(m->below, iov, n, off + m->below_off);
	if (r.kind != BMAP_BELOW && r.kind != BMAP_ZERO)
		return -EAGAIN;
	iov_zero(iov, n);
	return 0;
}

int bmap_preadv_now(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct bmap *m = (struct bmap *)b;
	int rc = -EAGAIN;

	if (pthread_rwlock_tryrdlock(&m->lock))
		return rc;
	rc = bmap_read_now(m, iov, n, off);
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

/* ---- writing: lock held alone ---- */

int bmap_place(struct bmap *m, unsigned n, uint64_t *off)
{
	uint64_t end = m->end + (uint64_t)n * m->block;
	int rc = end > m->lower->size ? blk_resize(m->lower, end) : 0;

	if (rc)
		return rc;
	*off = m->end;
	m->end = end;
	return 0;
}

int bmap_begin(struct bmap *m)
{
	int rc = 0;

	if (m->begun)
		return 0;
	if (m->cls->begin)
		rc = m->cls->begin(m);
	m->begun = !rc;
	return rc;
}

/* Put [from, to) of the disk, which is not in the file yet, to place at. */
static int bmap_copy_up(struct bmap *m, uint64_t from, uint64_t to, uint64_t at)
{
	const uint32_t step = 1u << 20;
	g_autofree uint8_t *buf = NULL;
	int rc = 0;

	to = MIN(to, m->blk.size);
	if (from >= to || !m->below)
		return 0;
	buf = g_try_malloc(MIN(step, to - from));
	if (!buf)
		return -ENOMEM;
	while (from < to && !rc) {
		uint32_t len = (uint32_t)MIN(step, to - from);
		struct iovec iov = {buf, len};

		rc = bmap_read(m, &iov, 1, from);
		if (!rc && !blk_is_zero(buf, len))
			rc = blk_pwrite(m->lower, buf, len, at);
		from += len;
		at += len;
	}
	return rc;
}

int bmap_point(struct bmap *m, uint64_t block, unsigned n, uint64_t at)
{
	int rc = 0;

	for (unsigned i = 0; i < n && !rc; i++) {
		struct bmap_spot s = {BMAP_DATA, at + (uint64_t)i * m->block};
		uint64_t e;

		rc = m->cls->encode(m, block + i, s, &e) ? 0 : -EFBIG;
		if (!rc)
			rc = bmap_set(m, block + i, e);
	}
	return rc;
}

/* The sectors of a block that are not here yet. */
static int bmap_complete(struct bmap *m, const struct bmap_run *r)
{
	g_autofree uint8_t *bits = g_try_malloc0(m->block / SECTOR / 8 + 1);
	uint64_t base = r->off - r->in, start = r->block * m->block, e;
	uint64_t n = MIN(m->block, m->blk.size - start) / SECTOR;
	uint8_t buf[16 * SECTOR];
	int rc = bits ? m->cls->part(m, r->block, base, bits) : -ENOMEM;

	for (uint64_t s = 0; s < n && !rc; s = e) {
		struct iovec iov = {buf, 0};

		for (e = s; e < n && e < s + 16 && !bit(bits, e); e++)
			;
		iov.iov_len = (e - s) * SECTOR;
		if (e > s)
			rc = bmap_read_below(m, &iov, 1, start + s * SECTOR);
		if (!rc && e > s)
			rc = blk_pwrite(
				m->lower, buf, iov.iov_len, base + s * SECTOR);
		while (e < n && bit(bits, e))
			e++;
	}
	if (!rc)
		rc = blk_flush(m->lower);
	if (!rc && m->cls->whole)
		rc = m->cls->whole(m, r->block, base);
	if (!rc)
		rc = bmap_point(m, r->block, 1, base);
	return rc;
}

/* How many blocks from r on need a place for len bytes. */
static unsigned bmap_row(struct bmap *m, const struct bmap_run *r, uint64_t len)
{
	uint64_t want = (r->in + len + m->block - 1) / m->block;
	uint64_t most = m->cls->only_one ? 1 : MAX(ROW_BYTES / m->block, 1);
	struct bmap_spot s;
	unsigned n = 1;

	want = MIN(want, most);
	while (n < want && !bmap_spot(m, r->block + n, &s) &&
		(s.kind == BMAP_BELOW || s.kind == BMAP_ZERO))
		n++;
	return n;
}

/* Places the blocks at r, with what of them is not in [.., len) of iov (NULL:
 * zeros) as it was.  Bytes done, or -errno. */
static int64_t bmap_write_new(struct bmap *m, const struct iovec *iov, int n,
	const struct bmap_run *r, uint64_t len)
{
	unsigned row = bmap_row(m, r, len);
	uint64_t bytes = (uint64_t)row * m->block, start = r->block * m->block;
	g_autofree struct iovec *part = iov ? g_new(struct iovec, n) : NULL;
	uint64_t at;
	int rc = m->cls->place(m, row, &at);

	len = MIN(len, bytes - r->in);
	if (!rc)
		rc = bmap_copy_up(m, start, start + r->in, at);
	if (!rc)
		rc = bmap_copy_up(m, start + r->in + len, start + bytes,
			at + r->in + len);
	if (!rc && iov)
		rc = blk_pwritev(m->lower, part,
			iov_slice(iov, n, 0, len, part), at + r->in);
	if (!rc)
		rc = bmap_point(m, r->block, row, at);
	return rc ? rc : (int64_t)len;
}

/* What is to be written to: blocks that are partly the backing's made whole. */
static int bmap_find_writable(
	struct bmap *m, uint64_t off, uint64_t len, struct bmap_run *r)
{
	int rc = bmap_begin(m);

	if (!rc)
		rc = bmap_find(m, off, len, r);
	if (!rc && r->kind == BMAP_PART)
		rc = bmap_complete(m, r);
	return rc ? rc : r->kind == BMAP_PACKED ? -EROFS : 0;
}

/* One step of a write. */
static int64_t bmap_write_alone(struct bmap *m, const struct iovec *iov, int n,
	uint64_t off, uint64_t len)
{
	g_autofree struct iovec *part = g_new(struct iovec, n);
	struct bmap_run r;
	int rc = bmap_find_writable(m, off, len, &r);

	if (rc)
		return rc;
	if (r.kind != BMAP_DATA && r.kind != BMAP_PART)
		return bmap_write_new(m, iov, n, &r, len);
	/* The last block may be cut off where the disk ends. */
	if (r.off + r.len > m->lower->size)
		rc = blk_resize(m->lower, (r.off + r.len + 511) & ~511ull);
	if (rc)
		return rc;
	rc = blk_pwritev(
		m->lower, part, iov_slice(iov, n, 0, r.len, part), r.off);
	return rc ? rc : (int64_t)r.len;
}

/* What is in place already, under the shared lock.  Bytes, 0 if it is not. */
static int64_t bmap_write_shared(struct bmap *m, const struct iovec *iov, int n,
	uint64_t off, uint64_t len)
{
	struct iovec few[FEW];
	g_autofree struct iovec *many = NULL;
	struct iovec *part = few;
	struct bmap_run r;
	int rc;

	if (!m->begun)
		return 0;
	rc = bmap_find(m, off, len, &r);
	if (rc || r.kind != BMAP_DATA)
		return rc;
	if (r.off + r.len > m->lower->size)
		return 0;
	if (r.len == len)
		return (rc = blk_pwritev(m->lower, iov, n, r.off))
			       ? rc
			       : (int64_t)len;
	if (n > FEW)
		part = many = g_new(struct iovec, n);
	rc = blk_pwritev(
		m->lower, part, iov_slice(iov, n, 0, r.len, part), r.off);
	return rc ? rc : (int64_t)r.len;
}

int bmap_pwritev(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct bmap *m = (struct bmap *)b;
	g_autofree struct iovec *rest = NULL;
	uint64_t len = iov_bytes(iov, n), done = 0;
	const struct iovec *v = iov;
	int k = n;

	while (done < len) {
		int64_t rc;

		if (done) {
			if (!rest)
				rest = g_new(struct iovec, n);
			k = iov_slice(iov, n, done, len - done, rest);
			v = rest;
		}
		pthread_rwlock_rdlock(&m->lock);
		rc = bmap_write_shared(m, v, k, off + done, len - done);
		pthread_rwlock_unlock(&m->lock);
		if (!rc) {
			pthread_rwlock_wrlock(&m->lock);
			rc = bmap_write_alone(m, v, k, off + done, len - done);
			pthread_rwlock_unlock(&m->lock);
		}
		if (rc < 0)
			return (int)rc;
		done += (uint64_t)rc;
	}
	return 0;
}

/* ---- zeros ---- */

/* A step of zeroing where nothing is in the file.  Bytes, or -errno. */
static int64_t bmap_zero_below(
	struct bmap *m, const struct bmap_run *r, uint64_t len)
{
	uint64_t e;

	if (!m->below || r->kind == BMAP_ZERO)
		return (int64_t)r->len;
	if (!r->in && len >= m->block &&
		m->cls->encode(
			m, r->block, (struct bmap_spot){BMAP_ZERO, 0}, &e)) {
		int rc = bmap_set(m, r->block, e);

		return rc ? rc : (int64_t)m->block;
	}
	return bmap_write_new(m, NULL, 0, r, MIN(len, m->block - r->in));
}

static int64_t bmap_zero_step(
	struct bmap *m, uint64_t off, uint64_t len, bool unmap)
{
	struct bmap_run r;
	int rc = bmap_find_writable(m, off, len, &r);

	if (rc)
		return rc;
	if (r.kind != BMAP_DATA && r.kind != BMAP_PART)
		return bmap_zero_below(m, &r, len);
	if (r.off >= m->lower->size)
		return (int64_t)r.len;
	r.len = MIN(r.len, m->lower->size - r.off);
	rc = blk_write_zeroes(m->lower, r.off, r.len, unmap);
	return rc ? rc : (int64_t)r.len;
}

int bmap_write_zeroes(struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	struct bmap *m = (struct bmap *)b;
	int64_t n = 0;

	for (; len && n >= 0; len -= (uint64_t)n, off += (uint64_t)n) {
		pthread_rwlock_wrlock(&m->lock);
		n = bmap_zero_step(m, off, len, unmap);
		pthread_rwlock_unlock(&m->lock);
		if (n < 0)
			break;
	}
	return n < 0 ? (int)n : 0;
}

/* What lies in the file becomes a hole there; what does not stays. */
int bmap_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct bmap *m = (struct bmap *)b;
	struct bmap_run r;
	int rc = 0;

	pthread_rwlock_wrlock(&m->lock);
	rc = bmap_begin(m);
	for (; len && !rc; len -= r.len, off += r.len) {
		rc = bmap_find(m, off, len, &r);
		if (rc)
			break;
		if (r.kind == BMAP_DATA && r.off < m->lower->size)
			rc = blk_discard(m->lower, r.off,
				MIN(r.len, m->lower->size - r.off));
	}
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

int bmap_write_table(
	struct blk *lower, uint64_t off, uint64_t bytes, uint8_t fill)
{
	const uint32_t step = 64u << 10;
	g_autofree uint8_t *buf = g_malloc(step);
	int rc = 0;

	memset(buf, fill, step);
	for (uint64_t at = 0; at < bytes && !rc; at += step)
		rc = blk_pwrite(lower, buf, MIN(step, bytes - at), off + at);
	return rc;
}
