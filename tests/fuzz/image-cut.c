/*
 * image-cut.c - power cuts under images of each format that can be written.
 *
 *     image-cut FORMAT[:KIND][:child] CUTS [SEED]
 *
 * Random writes, zeroings, discards and flushes on an image over a recording
 * disk (tests/lib/powercut.h); then cuts anywhere in the record.  After each,
 * the image opens for writing, a check finds no errors (space may be lost),
 * all that was flushed and not touched since is there, and after a repair
 * nothing is left to find.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "block/image.h"
#include "powercut.h"

#define SECTOR 512u
#define ROOM   (48u << 20)
#define DISK   (5u << 20)
#define OPS    60
#define ROUND  50 /* cuts of one history */

struct bench {
	const struct image_format *f;
	const char *kind;
	bool child;
	uint8_t *base; /* a parent image, in memory */
	uint64_t base_len;
	uint64_t used; /* bytes of a cut's image that may not be zero */
	uint8_t *got;  /* what it shows */
	GRand *r;
};

/* The disk at points of the record. */
struct point {
	unsigned at; /* entries of the log */
	uint8_t *want;
	uint8_t *unsure; /* a byte a sector: written since the flush */
};

static G_GNUC_NORETURN void fail(const char *what, unsigned cut)
{
	printf("not ok: %s, cut at %u\n", what, cut);
	exit(1);
}

/* ---- a parent: image files name it, we hand out memory ---- */

static int open_base(void *opaque, const char *from, const char *name,
	bool writable, char **path, GError **err)
{
	const struct bench *b = opaque;
	int fd = (int)memfd_create("base", MFD_CLOEXEC);

	if (write(fd, b->base, b->base_len) != (ssize_t)b->base_len)
		fail("no memory", 0);
	return fd;
}

static struct blk *open_over(
	const struct bench *b, struct blk *lower, bool repair, GError **err)
{
	struct image_source source = {open_base, NULL};
	struct image_open how = {
		.lower = lower, .source = &source, .repair = repair};
	union {
		const struct bench *in;
		void *out;
	} p = {.in = b};

	source.opaque = p.out;
	return image_open(b->f, &how, err);
}

/* A new image in memory; its bytes. */
static uint64_t make_image(
	const struct bench *b, struct blk *parent, uint8_t *bytes)
{
	struct image_create c = {.lower = powercut_memory(bytes, 0, ROOM),
		.size = parent ? parent->size : DISK,
		.kind = b->kind,
		.block = g_str_has_prefix(b->f->name, "vhd") ? 1u << 20 : 0,
		.name = "t.img",
		.backing = parent ? "base" : NULL,
		.backing_format = b->f->name,
		.parent = parent};
	g_autoptr(GError) err = NULL;
	uint64_t len;

	if (!b->f->create(&c, &err)) {
		printf("%s\n", err->message);
		exit(1);
	}
	len = c.lower->size;
	blk_close(c.lower);
	return len;
}

/* ---- the guest ---- */

static void guest_op(struct bench *b, struct blk *d, struct point *p)
{
	uint64_t sectors = d->size / SECTOR;
	uint64_t s = g_rand_int_range(b->r, 0, (gint32)sectors);
	uint64_t most = g_rand_int_range(b->r, 0, 10) ? 200 : 6000;
	uint64_t n = MIN(
		(uint64_t)g_rand_int_range(b->r, 1, (gint32)most), sectors - s);
	g_autofree uint8_t *buf = NULL;
	int rc;

	n = MIN(n, sectors - s);
	buf = g_malloc(n * SECTOR);
	memset(p->unsure + s, 1, n);
	switch (g_rand_int_range(b->r, 0, 8)) {
	case 0:
		memset(buf, 0, n * SECTOR);
		rc = blk_write_zeroes(
			d, s * SECTOR, n * SECTOR, g_rand_boolean(b->r));
		break;
	case 1:
		rc = blk_discard(d, s * SECTOR, n * SECTOR);
		if (!rc)
			rc = blk_pread(d, buf, n * SECTOR, s * SECTOR);
		memset(p->unsure + s, 2, n);
		break;
	default:
		for (uint64_t i = 0; i < n * SECTOR; i += 4) {
			uint32_t v = g_rand_int(b->r);

			memcpy(buf + i, &v, 4);
		}
		rc = blk_pwrite(d, buf, n * SECTOR, s * SECTOR);
	}
	if (rc)
		fail(g_strerror(-rc), 0);
	memcpy(p->want + s * SECTOR, buf, n * SECTOR);
}

static struct point *point_copy(const struct point *p, uint64_t size)
{
	struct point *c = g_new(struct point, 1);

	c->at = p->at;
	c->want = g_memdup2(p->want, size);
	c->unsure = g_memdup2(p->unsure, size / SECTOR);
	return c;
}

static void point_free(void *v)
{
	struct point *p = v;

	g_free(p->want);
	g_free(p->unsure);
	g_free(p);
}

/* Writes at random; a point of the truth before and after each flush. */
static GPtrArray *play(struct bench *b, struct powercut *rec)
{
	GPtrArray *points = g_ptr_array_new_with_free_func(point_free);
	g_autoptr(GError) err = NULL;
	struct blk *d = open_over(b, &rec->blk, false, &err);
	struct point p = {0};

	if (!d) {
		printf("%s\n", err->message);
		exit(1);
	}
	p.want = g_malloc(d->size);
	p.unsure = g_malloc0(d->size / SECTOR);
	if (blk_pread(d, p.want, d->size, 0))
		fail("cannot read", 0);
	for (unsigned i = 0; i < OPS; i++) {
		if (g_rand_int_range(b->r, 0, 5) == 0) {
			if (blk_flush(d))
				fail("cannot flush", 0);
			memset(p.unsure, 0, d->size / SECTOR);
		} else {
			guest_op(b, d, &p);
		}
		p.at = rec->log->len;
		g_ptr_array_add(points, point_copy(&p, d->size));
	}
	blk_close(d);
	g_free(p.want);
	g_free(p.unsure);
	return points;
}

/* ---- a cut ---- */

/* Sectors that a cut at n must find as they were: those sure at the last point
 * before it, and not touched by the operation that the cut is in. */
static void verify(
	const GPtrArray *points, unsigned n, struct blk *d, uint8_t *got)
{
	const struct point *p = NULL, *next = NULL;

	for (guint i = 0; i < points->len && !next; i++) {
		const struct point *q = g_ptr_array_index(points, i);

		if (q->at <= n)
			p = q;
		else
			next = q;
	}
	if (blk_pread(d, got, d->size, 0))
		fail("cannot be read", n);
	for (uint64_t s = 0; p && s < d->size / SECTOR; s++) {
		if (p->unsure[s] || (next && next->unsure[s]))
			continue;
		if (memcmp(got + s * SECTOR, p->want + s * SECTOR, SECTOR))
			fail("a flushed sector is lost", n);
	}
}

static void say(void *opaque, const char *text)
{
	printf("# %s\n", text);
}

static void check_image(
	const struct bench *b, struct blk *d, bool repair, unsigned n)
{
	struct image_check c = {.repair = repair, .say = say};

	if (!b->f->check)
		return;
	if (b->f->check(d, &c))
		fail("cannot be checked", n);
	if (c.errors)
		fail("check finds errors", n);
}

static void one_cut(struct bench *b, const struct powercut *rec,
	const GPtrArray *points, uint8_t *bytes)
{
	unsigned n =
		(unsigned)g_rand_int_range(b->r, 0, (gint32)rec->log->len + 1);
	bool any = g_rand_int_range(b->r, 0, 4) != 0;
	uint8_t more[SECTOR] = "going on";
	uint64_t len;
	g_autoptr(GError) err = NULL;
	struct blk *d, *lower;

	memset(bytes, 0, b->used);
	len = powercut_replay(rec, n, any, b->r, bytes);
	lower = powercut_memory(bytes, len, ROOM);
	d = open_over(b, lower, false, &err);
	if (!d) {
		printf("# %s\n", err->message);
		fail("does not open", n);
	}
	check_image(b, d, false, n);
	verify(points, n, d, b->got);
	check_image(b, d, true, n);
	verify(points, n, d, b->got);
	/* And it goes on. */
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = (uint64_t)g_rand_int_range(
				      b->r, 0, (gint32)(d->size / SECTOR)) *
			      SECTOR;

		if (blk_pwrite(d, more, SECTOR, at))
			fail("cannot be written", n);
	}
	if (blk_flush(d))
		fail("cannot be flushed", n);
	check_image(b, d, false, n);
	b->used = MIN(lower->size + (4u << 20), ROOM);
	blk_close(d);
}

static void prepare_base(struct bench *b)
{
	struct blk *d;
	uint64_t len;
	g_autoptr(GError) err = NULL;

	b->base = g_malloc0(ROOM);
	len = make_image(b, NULL, b->base);
	d = open_over(b, powercut_memory(b->base, len, ROOM), false, &err);
	for (uint64_t at = 0; at < d->size; at += 700 * SECTOR)
		blk_pwrite(d, "the parent's data", 16, at);
	blk_flush(d);
	blk_close(d);
	for (b->base_len = ROOM; !b->base[b->base_len - 1];)
		b->base_len--;
	b->base_len = (b->base_len + SECTOR - 1) & ~(SECTOR - 1ull);
}

static void one_round(struct bench *b, unsigned cuts)
{
	g_autofree uint8_t *image = g_malloc0(ROOM);
	g_autofree uint8_t *bytes = g_malloc0(ROOM);
	struct blk *parent = NULL;
	struct powercut *rec;
	GPtrArray *points;
	uint64_t len;

	if (b->child) {
		uint8_t *copy = g_memdup2(b->base, ROOM);

		parent = open_over(b, powercut_memory(copy, b->base_len, ROOM),
			false, NULL);
		len = make_image(b, parent, image);
		blk_close(parent);
		g_free(copy);
	} else {
		len = make_image(b, NULL, image);
	}
	rec = powercut_new(ROOM, image, len);
	points = play(b, rec);
	b->used = ROOM;
	for (unsigned i = 0; i < cuts; i++)
		one_cut(b, rec, points, bytes);
	g_ptr_array_free(points, TRUE);
	powercut_free(rec);
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	unsigned cuts = argc > 2 ? (unsigned)atoi(argv[2]) : 100, done = 0;
	g_auto(GStrv) word = g_strsplit(argc > 1 ? argv[1] : "qcow2", ":", 3);

	b.f = image_format_find(word[0]);
	b.kind = word[1] && *word[1] ? word[1] : NULL;
	b.child = word[1] && word[2];
	b.got = g_malloc(2 * DISK); /* formats round up */
	b.r = g_rand_new_with_seed(
		argc > 3 ? (guint32)atoi(argv[3]) : g_random_int());
	if (!b.f || !b.f->create) {
		fprintf(stderr, "usage: image-cut FORMAT[:KIND[:child]] CUTS "
				"[SEED]\n");
		return 2;
	}
	if (b.child)
		prepare_base(&b);
	for (; done < cuts; done += ROUND)
		one_round(&b, MIN(ROUND, cuts - done));
	printf("ok - %s: %u cuts\n", argv[1], cuts);
	g_rand_free(b.r);
	g_free(b.base);
	g_free(b.got);
	return 0;
}
