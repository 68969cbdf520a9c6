/*
 * parts.c - partition tables (UEFI 2.10, 5.2 and 5.3).
 *
 * A boot sector of a file system ends with the table's signature, too; a table
 * has nothing but 0 and 0x80 where its entries have their flags.
 */
#include "disk/parts.h"

#include <string.h>
#include <zlib.h>

#include "block/bytes.h"

#define SECTOR	     512u
#define MBR_ENTRIES  446
#define MBR_ENTRY    16
#define MBR_FIRST    8 /* in an entry: first sector, sectors */
#define MBR_COUNT    12
#define MBR_LOGICAL  5
#define GPT_HEADER   92 /* bytes that any header has */
#define GPT_ENTRY    128
#define GPT_ENTRIES  (1u << 20) /* bytes, at most */
#define TYPE_GPT     0xee
#define SECTOR_LARGE 4096u

struct reader {
	struct blk *b;
	GArray *parts;
	int rc;
};

static bool get(struct reader *r, uint64_t off, void *buf, size_t len)
{
	if (r->rc || off > r->b->size || len > r->b->size - off)
		return false;
	r->rc = blk_pread(r->b, buf, len, off);
	return !r->rc;
}

/* Sectors of `unit` bytes. */
static void add(struct reader *r, unsigned number, uint64_t first,
	uint64_t count, unsigned unit)
{
	struct disk_part p = {.number = number};

	if (!count || first >= r->b->size / unit ||
		r->parts->len >= DISK_PARTS_MAX)
		return;
	p.off = first * unit;
	p.len = MIN(count, (r->b->size - p.off) / unit) * unit;
	if (p.len)
		g_array_append_val(r->parts, p);
}

/* ---- MBR ---- */

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool is_table(const uint8_t *s)
{
	if (s[510] != 0x55 || s[511] != 0xaa)
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (s[MBR_ENTRIES + i * MBR_ENTRY] & 0x7f)
			return false;
	return true;
}

/* Each logical one has a table with itself, relative to that table, and the
 * next table, relative to the first. */
static void read_logical(struct reader *r, uint64_t first)
{
	uint64_t at = first, been[DISK_PARTS_MAX];
	uint8_t s[SECTOR];

	for (unsigned n = MBR_LOGICAL; n < DISK_PARTS_MAX; n++) {
		const uint8_t *e = s + MBR_ENTRIES, *next = e + MBR_ENTRY;

		been[n] = at;
		for (unsigned i = MBR_LOGICAL; i < n; i++)
			if (been[i] == at)
				return;
		if (!get(r, at * SECTOR, s, SECTOR) || !is_table(s))
			return;
		if (e[4])
			add(r, n, at + get_le32(e + MBR_FIRST),
				get_le32(e + MBR_COUNT), SECTOR);
		if (!is_extended(next[4]) || !get_le32(next + MBR_FIRST))
			return;
		at = first + get_le32(next + MBR_FIRST);
	}
}

static void read_mbr(struct reader *r, const uint8_t *s)
{
	uint64_t extended = 0;

	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *e = s + MBR_ENTRIES + i * MBR_ENTRY;

		if (is_extended(e[4]) && !extended)
			extended = get_le32(e + MBR_FIRST);
		else if (e[4] && !is_extended(e[4]))
			add(r, i + 1, get_le32(e + MBR_FIRST),
				get_le32(e + MBR_COUNT), SECTOR);
	}
	if (extended)
		read_logical(r, extended);
}

/* ---- GPT ---- */

static uint32_t crc(const uint8_t *p, size_t len)
{
	return (uint32_t)crc32(0, p, (uInt)len);
}

static bool gpt_header_ok(uint8_t *h, uint64_t lba, unsigned sector)
{
	uint32_t len = get_le32(h + 12), sum = get_le32(h + 16);

	if (memcmp(h, "EFI PART", 8) != 0 || len < GPT_HEADER || len > sector ||
		get_le64(h + 24) != lba)
		return false;
	put_le32(h + 16, 0);
	return crc(h, len) == sum;
}

static bool gpt_at(struct reader *r, uint64_t lba, unsigned sector)
{
	uint8_t h[SECTOR_LARGE];
	g_autofree uint8_t *list = NULL;
	uint32_t n, each;

	if (!get(r, lba * sector, h, sector) || !gpt_header_ok(h, lba, sector))
		return false;
	n = get_le32(h + 80);
	each = get_le32(h + 84);
	if (each < GPT_ENTRY || each % 8 || !n || n > GPT_ENTRIES / each ||
		get_le64(h + 72) > r->b->size / sector)
		return false;
	list = g_malloc((size_t)n * each);
	if (!get(r, get_le64(h + 72) * sector, list, (size_t)n * each) ||
		crc(list, (size_t)n * each) != get_le32(h + 88))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *e = list + (size_t)i * each;
		uint64_t first = get_le64(e + 32), last = get_le64(e + 40);

		if (!blk_is_zero(e, 16) && last >= first)
			add(r, i + 1, first, last - first + 1, sector);
	}
	return true;
}

static bool read_gpt(struct reader *r)
{
	static const unsigned sectors[] = {SECTOR, SECTOR_LARGE};

	for (unsigned i = 0; i < G_N_ELEMENTS(sectors); i++) {
		uint64_t last = r->b->size / sectors[i];

		if (last > 1 && (gpt_at(r, 1, sectors[i]) ||
					gpt_at(r, last - 1, sectors[i])))
			return true;
	}
	return false;
}

static bool has_gpt(const uint8_t *s)
{
	for (unsigned i = 0; i < 4; i++)
		if (s[MBR_ENTRIES + i * MBR_ENTRY + 4] == TYPE_GPT)
			return true;
	return false;
}

GArray *disk_parts_read(struct blk *b, GError **err)
{
	struct reader r = {.b = b};
	uint8_t s[SECTOR];

	r.parts = g_array_new(FALSE, FALSE, sizeof(struct disk_part));
	if (get(&r, 0, s, SECTOR) && is_table(s) &&
		!(has_gpt(s) && read_gpt(&r)) && !r.rc)
		read_mbr(&r, s);
	if (!r.rc)
		return r.parts;
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-r.rc),
		"cannot read the partition table: %s", g_strerror(-r.rc));
	g_array_unref(r.parts);
	return NULL;
}
