/*
 * image-fuzz.c - damaged and hostile images of each format.
 *
 *     image-fuzz FORMAT[:KIND] ROUNDS|SECONDSs [SEED]
 *     image-fuzz FORMAT:@FILE ROUNDS|SECONDSs [SEED]
 *
 * A small image is made and written to, or read from FILE; in each round some
 * of its bytes get other values (checksums are set right, mostly), or its end
 * is cut off.  Then it is opened, described, mapped, read, checked, repaired,
 * written to. Nothing may crash, hang, or take much memory.  Best under the
 * sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "block/image.h"
#include "block/vhd.h"
#include "block/vhdx.h"
#include "bounds.h"
#include "powercut.h"

#define ROOM	(64u << 20)
#define DISK	(6u << 20)
#define SECONDS 30 /* a round takes some milliseconds */
#define MEMORY	(1500ull << 20)

struct fuzz {
	const struct image_format *f;
	const char *kind;
	GRand *r;
	uint8_t *good, *bytes;
	uint64_t len;
	GArray *spots; /* uint32_t: bytes that are not zero, outside of data */
	guint32 seed;
	unsigned round, opened;
};

static struct fuzz now; /* for the alarm */

/* ---- a good image ---- */

/* Writes fixed bytes, which are told from metadata by being these. */
static void make(struct fuzz *z)
{
	struct image_create c = {.size = DISK, .kind = z->kind};
	g_autoptr(GError) err = NULL;
	struct image_open how = {0};
	g_autofree uint8_t *data = g_malloc(70000);
	struct blk *b;

	memset(data, 0xda, 70000);
	z->good = g_malloc0(ROOM);
	c.lower = powercut_memory(z->good, 0, ROOM);
	if (!z->f->create(&c, &err)) {
		printf("%s\n", err->message);
		exit(1);
	}
	how.lower = c.lower;
	b = image_open(z->f, &how, &err);
	if (!b) {
		printf("%s\n", err->message);
		exit(1);
	}
	for (unsigned i = 0; i < 12; i++) {
		uint64_t at = (uint64_t)i * 450560 + 512;

		if (b->ops->write_packed && i % 2)
			b->ops->write_packed(
				b, data, 65536, at & ~(uint64_t)0xffff);
		else
			blk_pwrite(b, data, 69632, at);
	}
	blk_flush(b);
	z->len = c.lower->size;
	blk_close(b);
}

/* Of formats that we cannot make. */
static void load(struct fuzz *z)
{
	g_autofree char *text = NULL;
	gsize len = 0;

	if (!g_file_get_contents(z->kind + 1, &text, &len, NULL) ||
		len > ROOM) {
		printf("cannot read %s\n", z->kind + 1);
		exit(1);
	}
	z->good = g_malloc0(ROOM);
	memcpy(z->good, text, len);
	z->len = (len + 511) & ~511ull;
}

static void find_spots(struct fuzz *z)
{
	z->spots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	for (uint32_t i = 0; i < z->len; i++)
		if (z->good[i] && z->good[i] != 0xda)
			g_array_append_val(z->spots, i);
}

/* ---- damage ---- */

static uint64_t value(struct fuzz *z)
{
	static const uint64_t nice[] = {0, 1, 2, 7, 0x7f, 0xff, 0x200, 0x1000,
		0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe,
		0x7fffffffffffffff, 0x8000000000000000, ~0ull};
	uint64_t v = (uint64_t)g_rand_int(z->r) << 32 | g_rand_int(z->r);

	switch (g_rand_int_range(z->r, 0, 4)) {
	case 0: return nice[g_rand_int_range(z->r, 0, G_N_ELEMENTS(nice))];
	case 1: return v % (2 * z->len);
	case 2: return z->len / 512 + v % 5;
	default: return v;
	}
}

static void damage_one(struct fuzz *z, uint64_t len)
{
	static const unsigned widths[] = {1, 2, 4, 8};
	unsigned w = widths[g_rand_int_range(z->r, 0, 4)];
	uint64_t at = g_array_index(z->spots, uint32_t,
		g_rand_int_range(z->r, 0, (gint32)z->spots->len));
	uint64_t v = value(z);

	at -= at % w;
	if (g_rand_int_range(z->r, 0, 8) == 0) /* where nothing was */
		at = (at + 8u * (guint32)g_rand_int_range(z->r, 0, 64)) & ~7ull;
	if (at + w > len)
		return;
	if (g_rand_boolean(z->r))
		z->bytes[at] ^= (uint8_t)(1u << g_rand_int_range(z->r, 0, 8));
	else if (g_rand_boolean(z->r))
		memcpy(z->bytes + at, &v, w);
	else
		for (unsigned i = 0; i < w; i++)
			z->bytes[at + i] = (uint8_t)(v >> 8 * (w - 1 - i));
}

static void sum_vhd(uint8_t *f, size_t len, size_t field)
{
	put_be32(f + field, vhd_checksum(f, len, field));
}

static void sum_vhdx(uint8_t *p, size_t len)
{
	put_le32(p + X_SUM, vhdx_crc(p, len, X_SUM));
}

/* So that what is behind the checksums is reached too. */
static void set_sums(struct fuzz *z, uint64_t len)
{
	if (z->f == &image_vhd && len >= 4096) {
		sum_vhd(z->bytes, 512, FOOT_SUM);
		sum_vhd(z->bytes + 512, 1024, HEAD_SUM);
		sum_vhd(z->bytes + len - 512, 512, FOOT_SUM);
	} else if (z->f == &image_vhdx && len >= VHDX_MB) {
		sum_vhdx(z->bytes + VHDX_HEAD1, VHDX_HEADER);
		sum_vhdx(z->bytes + VHDX_HEAD2, VHDX_HEADER);
		sum_vhdx(z->bytes + VHDX_REGION1, VHDX_TABLE);
		sum_vhdx(z->bytes + VHDX_REGION2, VHDX_TABLE);
	}
}

static uint64_t damage(struct fuzz *z)
{
	uint64_t len = z->len;

	memcpy(z->bytes, z->good, z->len);
	memset(z->bytes + z->len, 0, ROOM - z->len);
	if (g_rand_int_range(z->r, 0, 10) == 0)
		len = (uint64_t)g_rand_int_range(z->r, 0, (gint32)len + 1);
	for (int i = g_rand_int_range(z->r, 1, 6); i; i--)
		damage_one(z, len);
	if (g_rand_int_range(z->r, 0, 4))
		set_sums(z, len);
	return len;
}

/* ---- use ---- */

static void look(struct fuzz *z, struct blk *b)
{
	struct image_info *i = image_info_new(b);
	uint8_t buf[8192];
	struct blk_extent e;
	uint64_t at = 0;

	image_info_free(i);
	for (unsigned k = 0; k < 200 && at < b->size; k++) {
		if (blk_map_deep(b, at, b->size - at, &e, NULL) || !e.len)
			break;
		at += e.len;
	}
	for (unsigned k = 0; k < 40 && b->size >= sizeof(buf); k++) {
		uint64_t range = (b->size - sizeof(buf)) / 512 + 1;

		at = ((uint64_t)g_rand_int(z->r) << 20 | k) % range * 512;
		if (k < 30)
			at = MIN((uint64_t)k * 200704, b->size - sizeof(buf));
		if (blk_pread(b, buf, sizeof(buf), at) == 0 && !b->readonly)
			blk_pwrite(b, buf, sizeof(buf), at);
	}
	if (!b->readonly) {
		blk_write_zeroes(b, 0, MIN(b->size, 3u << 20), true);
		blk_discard(b, 0, MIN(b->size, 1u << 20));
		blk_flush(b);
	}
}

static void use(struct fuzz *z, uint64_t len, bool readonly, bool repair)
{
	struct image_open how = {.lower = powercut_memory(z->bytes, len, ROOM),
		.readonly = readonly,
		.repair = repair};
	struct image_check c = {.repair = repair};
	struct blk *b;

	how.lower->readonly = readonly;
	b = image_open(z->f, &how, NULL);
	if (!b)
		return;
	z->opened++;
	if (z->f->check && (repair || g_rand_boolean(z->r)))
		z->f->check(b, &c);
	look(z, b);
	blk_close(b);
}

static void one_round(struct fuzz *z)
{
	uint64_t len = damage(z);

	alarm(SECONDS);
	use(z, len, true, false);
	use(z, len, false, g_rand_boolean(z->r));
	alarm(0);
}

int main(int argc, char **argv)
{
	struct fuzz *z = &now;
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	bool timed = argc > 2 && g_str_has_suffix(argv[2], "s"), from_file;
	g_auto(GStrv) word = g_strsplit(argc > 1 ? argv[1] : "", ":", 2);
	gint64 end;

	z->f = image_format_find(word[0]);
	z->kind = word[0] ? word[1] : NULL;
	from_file = z->kind && z->kind[0] == '@';
	if (!z->f || (!z->f->create && !from_file)) {
		fprintf(stderr, "usage: image-fuzz FORMAT[:KIND|:@FILE] "
				"ROUNDS|SECONDSs [SEED]\n");
		return 2;
	}
	z->seed = argc > 3 ? (guint32)atoi(argv[3]) : g_random_int();
	z->r = g_rand_new_with_seed(z->seed);
	bound_init();
	printf("# %s, seed %u\n", argv[1], z->seed);
	fflush(stdout);
	if (from_file)
		load(z);
	else
		make(z);
	find_spots(z);
	z->bytes = g_malloc0(ROOM);
	bound_memory(MEMORY);
	end = g_get_monotonic_time() + rounds * (gint64)G_USEC_PER_SEC;
	while (timed ? g_get_monotonic_time() < end : z->round < rounds) {
		one_round(z);
		z->round++;
	}
	printf("ok - %s: %u rounds, %u times it opened\n", argv[1], z->round,
		z->opened);
	g_array_free(z->spots, TRUE);
	g_rand_free(z->r);
	g_free(z->good);
	g_free(z->bytes);
	return 0;
}
