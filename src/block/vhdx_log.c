/*
 * vhdx_log.c - the log of a VHDX: [MS-VHDX] section 2.3.
 *
 * The log is a ring of entries of 4 KiB sectors.  Among the runs of valid
 * entries with rising numbers, that which ends highest is the one to bring to
 * its place, from where its last entry says that it begins.  Pages collect in
 * memory; then they are written, or laid over the file if it may only be
 * read.
 */
#include <errno.h>
#include <string.h>

#include "block/iov.h"
#include "block/vhdx.h"

#define SECTOR	  4096u
#define PAGES_MAX 32768 /* 128 MiB */
#define LOG_MAX	  (64u << 20)
#define ENTRY	  64		      /* bytes of its header, and */
#define DESC	  32		      /* of a descriptor */
#define ZEROS_MAX (32ull * PAGES_MAX) /* pages zeroed, again and again */
#define SUMS_MAX  16 /* times the ring that checksums are made of */

struct log {
	uint8_t *ring;
	uint32_t len;
	const uint8_t *guid;
	GHashTable *pages; /* number of a page -> 4096 bytes */
	uint64_t last_end; /* the file has at least so many bytes */
	uint32_t *entry;   /* by sector: bytes of the valid entry there, 1:
			    * there is none, 0: not known yet */
	uint64_t zeroed, summed; /* work done so far: pages, bytes */
};

struct run {
	uint32_t first, head; /* bytes of the ring: first and last entry */
	uint32_t next;
	uint64_t seq; /* of the last */
	unsigned n;
};

/* A copy of len bytes of the ring from at on. */
static void ring_copy(
	const struct log *l, uint32_t at, uint8_t *out, uint32_t len)
{
	uint32_t one = MIN(len, l->len - at);

	memcpy(out, l->ring + at, one);
	memcpy(out + one, l->ring, len - one);
}

/* A copy of len bytes from `at` on, or NULL. */
static uint8_t *entry_copy(const struct log *l, uint32_t at, uint32_t len)
{
	uint8_t *e = g_try_malloc(len);

	if (e)
		ring_copy(l, at, e, len);
	return e;
}

static bool entry_is_valid(struct log *l, uint32_t at)
{
	const uint8_t *h = l->ring + at;
	uint32_t len = get_le32(h + 8);
	g_autofree uint8_t *e = NULL;

	if (memcmp(h, "loge", 4) || len < SECTOR || len > l->len ||
		len % SECTOR || memcmp(h + 32, l->guid, 16) ||
		get_le32(h + 12) >= l->len || get_le32(h + 12) % SECTOR ||
		!get_le64(h + 16) || get_le32(h + 24) > (len - ENTRY) / DESC ||
		l->summed + len > (uint64_t)SUMS_MAX * l->len)
		return false;
	l->summed += len;
	e = entry_copy(l, at, len);
	return e && get_le32(e + 4) == vhdx_crc(e, len, 4);
}

/* Bytes of the valid entry at `at`, or 0. */
static uint32_t entry_at(struct log *l, uint32_t at)
{
	uint32_t *known = &l->entry[at / SECTOR];

	if (!*known)
		*known = entry_is_valid(l, at) ? get_le32(l->ring + at + 8) : 1;
	return *known > 1 ? *known : 0;
}

/* The run of entries that begins at `at`. */
static struct run run_at(struct log *l, uint32_t at)
{
	struct run r = {.first = at, .next = at};
	bool tail_in = false;
	uint32_t done = 0, len = entry_at(l, at);

	while (len && done < l->len) {
		const uint8_t *e = l->ring + r.next;

		if (r.n && get_le64(e + 16) != r.seq + 1)
			break;
		r.seq = get_le64(e + 16);
		r.head = r.next;
		r.n++;
		done += len;
		r.next = (r.next + len) % l->len;
		/* Is where it says to begin within the run? */
		tail_in = (get_le32(e + 12) + l->len - r.first) % l->len < done;
		len = entry_at(l, r.next);
	}
	if (!tail_in)
		r.n = 0;
	return r;
}

static uint8_t *page_of(struct log *l, uint64_t off)
{
	uint8_t *p =
		g_hash_table_lookup(l->pages, GSIZE_TO_POINTER(off / SECTOR));

	if (p || g_hash_table_size(l->pages) >= PAGES_MAX)
		return p;
	p = g_malloc0(SECTOR);
	g_hash_table_insert(l->pages, GSIZE_TO_POINTER(off / SECTOR), p);
	return p;
}

static bool take_zeros(struct log *l, uint64_t off, uint64_t len)
{
	if (off % SECTOR || len % SECTOR || off >> 62 ||
		len > (uint64_t)PAGES_MAX * SECTOR)
		return false;
	l->zeroed += len / SECTOR;
	if (l->zeroed > ZEROS_MAX)
		return false;
	for (; len; len -= SECTOR, off += SECTOR) {
		uint8_t *p = page_of(l, off);

		if (!p)
			return false;
		memset(p, 0, SECTOR);
	}
	return true;
}

static bool take_data(struct log *l, const uint8_t *d, const uint8_t *s)
{
	uint64_t off = get_le64(d + 16), seq = get_le64(d + 24);
	uint8_t *p;

	if (off % SECTOR || off >> 62 || memcmp(s, "data", 4) ||
		((uint64_t)get_le32(s + 4) << 32 | get_le32(s + SECTOR - 4)) !=
			seq)
		return false;
	p = page_of(l, off);
	if (!p)
		return false;
	/* The descriptor has the bytes that signature and number took. */
	memcpy(p, d + 8, 8);
	memcpy(p + 8, s + 8, SECTOR - 12);
	memcpy(p + SECTOR - 4, d + 4, 4);
	return true;
}

static bool take_entry(struct log *l, const uint8_t *e)
{
	uint32_t len = get_le32(e + 8), n = get_le32(e + 24);
	uint64_t at = (ENTRY + (uint64_t)n * DESC + SECTOR - 1) & -SECTOR;

	at = at & 0xffffffffu;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *d = e + ENTRY + DESC * i;

		if (get_le64(d + 24) != get_le64(e + 16))
			return false;
		if (!memcmp(d, "zero", 4)) {
			if (!take_zeros(l, get_le64(d + 16), get_le64(d + 8)))
				return false;
			continue;
		}
		if (memcmp(d, "desc", 4) || at + SECTOR > len ||
			!take_data(l, d, e + at))
			return false;
		at += SECTOR;
	}
	l->last_end = MAX(l->last_end, get_le64(e + 56));
	return true;
}

static bool log_collect(struct log *l, uint64_t file_bytes, GError **err)
{
	struct run best = {0};
	uint32_t at;

	for (uint32_t i = 0; i < l->len; i += SECTOR) {
		struct run r = run_at(l, i);

		if (r.n && r.seq > best.seq)
			best = r;
	}
	if (!best.n)
		return image_bad(err, "vhdx", "its log is wrong");
	at = get_le32(l->ring + best.head + 12);
	for (unsigned i = 0; i < best.n; i++) {
		uint32_t len = entry_at(l, at);
		g_autofree uint8_t *e = len ? entry_copy(l, at, len) : NULL;

		if (!e || !take_entry(l, e))
			return image_bad(err, "vhdx", "its log is wrong");
		if (at == best.head) {
			if (get_le64(e + 48) > file_bytes)
				return image_bad(
					err, "vhdx", "it is truncated");
			return true;
		}
		at = (at + len) % l->len;
	}
	return image_bad(err, "vhdx", "its log has no end");
}

/* ---- the file with what the log has laid over it ---- */

struct over {
	struct blk blk;
	struct blk *lower;
	GHashTable *pages;
};

static int over_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct over *o = (struct over *)b;
	uint64_t len = iov_bytes(iov, n), end = off + len;
	int rc = blk_preadv_clamped(o->lower, iov, n, off);

	for (uint64_t p = off / SECTOR; !rc && p * SECTOR < end; p++) {
		const uint8_t *page =
			g_hash_table_lookup(o->pages, GSIZE_TO_POINTER(p));
		uint64_t from = MAX(p * SECTOR, off);
		uint64_t to = MIN((p + 1) * SECTOR, end);

		if (page)
			iov_fill(iov, n, from - off, page + from % SECTOR,
				to - from);
	}
	return rc;
}

static void over_close(struct blk *b)
{
	struct over *o = (struct over *)b;

	g_hash_table_destroy(o->pages);
	blk_close(o->lower);
	g_free(o);
}

static const struct blk_ops over_ops = {
	.name = "vhdx-log",
	.preadv = over_preadv,
	.close = over_close,
};

static struct blk *lay_over(struct blk *lower, const struct log *l)
{
	struct over *o = g_new0(struct over, 1);

	o->blk.ops = &over_ops;
	o->blk.readonly = true;
	o->blk.size = MAX(lower->size, l->last_end & ~511ull);
	o->lower = lower;
	o->pages = g_hash_table_ref(l->pages);
	return &o->blk;
}

static int write_pages(struct blk *lower, const struct log *l)
{
	GHashTableIter it;
	gpointer key, page;
	int rc = 0;

	if (l->last_end > lower->size)
		rc = blk_resize(lower, (l->last_end + 511) & ~511ull);
	g_hash_table_iter_init(&it, l->pages);
	while (!rc && g_hash_table_iter_next(&it, &key, &page)) {
		uint64_t at = (uint64_t)GPOINTER_TO_SIZE(key) * SECTOR;

		if (at + SECTOR > lower->size)
			rc = blk_resize(lower, at + SECTOR);
		if (!rc)
			rc = blk_pwrite(lower, page, SECTOR, at);
	}
	return rc ? rc : blk_flush(lower);
}

struct blk *vhdx_replay(
	struct blk *lower, const uint8_t *head, bool readonly, GError **err)
{
	struct log l = {
		.len = get_le32(head + X_LOG_BYTES), .guid = head + X_LOG_GUID};
	uint64_t at = get_le64(head + X_LOG);
	struct blk *b = NULL;
	bool ok;
	int rc;

	if (get_le16(head + X_LOG_VERSION) || !l.len || l.len % VHDX_MB ||
		l.len > LOG_MAX || at < VHDX_MB || at > lower->size ||
		l.len > lower->size - at) {
		image_bad(err, "vhdx", "its log lies outside the file");
		blk_close(lower);
		return NULL;
	}
	l.ring = g_malloc(l.len);
	l.entry = g_new0(uint32_t, l.len / SECTOR);
	l.pages = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	rc = blk_pread(lower, l.ring, l.len, at);
	ok = rc ? image_errno(err, rc, "vhdx", "log")
		: log_collect(&l, lower->size, err);
	if (ok && l.last_end > lower->size + (1ull << 40))
		ok = image_bad(err, "vhdx", "its log is wrong");
	if (ok && readonly) {
		b = lay_over(lower, &l);
	} else if (ok) {
		rc = write_pages(lower, &l);
		if (rc)
			image_errno(err, rc, "vhdx", "log, written back");
		else
			b = lower;
	}
	g_hash_table_unref(l.pages);
	g_free(l.entry);
	g_free(l.ring);
	if (!b)
		blk_close(lower);
	return b;
}
