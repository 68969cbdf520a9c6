/*
 * vmdk_stream.c - writing a stream-optimized VMDK.
 *
 * Compressed grains come one after the other, each behind a marker; then the
 * grain tables, the directory, and the header again with the directory's
 * place.  Tables stay in memory until a flush ends the image.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "block/bytes.h"
#include "block/vmdk.h"

#define MARKER	  12
#define TEXT_ROOM 20 /* sectors */
#define OVERHEAD  128

struct stream {
	struct blk blk;
	struct blk *lower;
	uint8_t head[512];
	GMutex lock;
	uint32_t **table;     /* per directory entry, or NULL */
	uint64_t tables, end; /* end: bytes */
	bool ended;
};

static int stream_append(struct stream *s, const void *buf, uint64_t len)
{
	uint64_t end = (s->end + len + 511) & ~511ull;
	int rc = end > s->lower->size
			 ? blk_resize(
				   s->lower, (end + (16u << 20)) & ~0xffffffull)
			 : 0;

	if (!rc)
		rc = blk_pwrite(s->lower, buf, len, s->end);
	if (!rc)
		s->end = end;
	return rc;
}

static int stream_note(struct stream *s, uint64_t grain, uint64_t at)
{
	uint32_t **t = &s->table[grain / VMDK_GT_ENTRIES];

	if (!*t)
		*t = g_try_new0(uint32_t, VMDK_GT_ENTRIES);
	if (!*t || at / 512 > 0xffffffffu)
		return *t ? -EFBIG : -ENOMEM;
	(*t)[grain % VMDK_GT_ENTRIES] = GUINT32_TO_LE((uint32_t)(at / 512));
	return 0;
}

static int stream_write_packed(
	struct blk *b, const void *buf, size_t len, uint64_t off)
{
	struct stream *s = (struct stream *)b;
	uLongf room = compressBound(VMDK_GRAIN);
	g_autofree uint8_t *out = g_try_malloc(MARKER + room);
	g_autofree uint8_t *whole = NULL;
	int rc;

	if (!out || off % VMDK_GRAIN || len > VMDK_GRAIN)
		return out ? -EINVAL : -ENOMEM;
	if (len < VMDK_GRAIN) {
		whole = g_malloc0(VMDK_GRAIN);
		memcpy(whole, buf, len);
		buf = whole;
	}
	if (compress2(out + MARKER, &room, buf, VMDK_GRAIN, 1) != Z_OK)
		return -EIO;
	put_le64(out, off / 512);
	put_le32(out + 8, (uint32_t)room);
	g_mutex_lock(&s->lock);
	rc = s->ended ? -EROFS : stream_note(s, off / VMDK_GRAIN, s->end);
	if (!rc)
		rc = stream_append(s, out, MARKER + room);
	g_mutex_unlock(&s->lock);
	return rc;
}

static int stream_marker(struct stream *s, uint64_t sectors, uint32_t type)
{
	uint8_t m[512] = {0};

	put_le64(m, sectors);
	put_le32(m + 12, type);
	return stream_append(s, m, 512);
}

static int stream_end(struct stream *s)
{
	uint64_t dir = (s->tables * 4 + 511) / 512;
	g_autofree uint8_t *gd = g_malloc0(dir * 512);
	uint8_t none[512] = {0};
	int rc = 0;

	for (uint64_t i = 0; i < s->tables && !rc; i++) {
		if (!s->table[i])
			continue;
		rc = stream_marker(s, VMDK_GT_ENTRIES * 4 / 512, VMDK_GT);
		put_le32(gd + 4 * i, (uint32_t)(s->end / 512));
		if (!rc)
			rc = stream_append(s, s->table[i], VMDK_GT_ENTRIES * 4);
	}
	if (!rc)
		rc = stream_marker(s, dir, VMDK_GD);
	put_le64(s->head + V_GD, s->end / 512);
	if (!rc)
		rc = stream_append(s, gd, dir * 512);
	if (!rc)
		rc = stream_marker(s, 1, VMDK_FOOTER);
	if (!rc)
		rc = stream_append(s, s->head, 512);
	if (!rc)
		rc = stream_append(s, none, 512);
	return rc ? rc : blk_resize(s->lower, s->end);
}

static int stream_flush(struct blk *b)
{
	struct stream *s = (struct stream *)b;
	int rc = 0;

	g_mutex_lock(&s->lock);
	if (!s->ended)
		rc = stream_end(s);
	s->ended |= !rc;
	g_mutex_unlock(&s->lock);
	return rc ? rc : blk_flush(s->lower);
}

/* It is written once, from one end to the other. */
static int stream_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return -EIO;
}

static int stream_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return -EROFS;
}

static int stream_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	return 0;
}

static void stream_close(struct blk *b)
{
	struct stream *s = (struct stream *)b;

	for (uint64_t i = 0; i < s->tables; i++)
		g_free(s->table[i]);
	g_free(s->table);
	g_mutex_clear(&s->lock);
	g_free(s);
}

static const struct blk_ops stream_ops = {
	.name = "vmdk-extent",
	.preadv = stream_preadv,
	.pwritev = stream_pwritev,
	.flush = stream_flush,
	.write_zeroes = stream_write_zeroes,
	.write_packed = stream_write_packed,
	.close = stream_close,
};

struct blk *vmdk_stream_open(
	struct blk *lower, const uint8_t *head, GError **err)
{
	struct stream *s = g_new0(struct stream, 1);
	uint64_t per = (uint64_t)VMDK_GRAIN * VMDK_GT_ENTRIES;

	s->blk.ops = &stream_ops;
	s->blk.size = get_le64(head + V_CAPACITY) * 512;
	s->lower = lower;
	memcpy(s->head, head, 512);
	g_mutex_init(&s->lock);
	s->end = lower->size;
	s->tables = (s->blk.size + per - 1) / per;
	s->table = g_try_new0(uint32_t *, s->tables);
	if (s->table)
		return &s->blk;
	s->tables = 0;
	stream_close(&s->blk);
	image_errno(err, -ENOMEM, "vmdk", "tables");
	return NULL;
}

int vmdk_stream_create(struct blk *lower, uint64_t bytes, const char *text)
{
	uint8_t h[512] = {0};
	int rc;

	put_le32(h, VMDK_MAGIC);
	put_le32(h + V_VERSION, 3);
	put_le32(h + V_FLAGS, VMDK_F_NEWLINES | VMDK_F_PACKED | VMDK_F_MARKERS);
	put_le64(h + V_CAPACITY, bytes / 512);
	put_le64(h + V_GRAIN, VMDK_GRAIN / 512);
	put_le64(h + V_TEXT, 1);
	put_le64(h + V_TEXT_SECTORS, TEXT_ROOM);
	put_le32(h + V_GT_ENTRIES, VMDK_GT_ENTRIES);
	put_le64(h + V_GD, VMDK_AT_END);
	put_le64(h + V_OVERHEAD, OVERHEAD);
	memcpy(h + V_NEWLINES, "\n \r\n", 4);
	put_le16(h + V_COMPRESSION, 1);
	rc = blk_resize(lower, OVERHEAD * 512);
	if (!rc)
		rc = blk_pwrite(lower, text, strlen(text), 512);
	return rc ? rc : blk_pwrite(lower, h, 512, 0);
}
