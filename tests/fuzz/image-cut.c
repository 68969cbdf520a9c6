/*
 * image-cut.c - power cuts under images of each format that can be written.
 *
 *     image-cut FORMAT[+luks1|+luks2][:KIND][:child] CUTS [SEED]
 *
 * Random writes, zeroings, discards and flushes on an image over recording
 * disks (tests/lib/powercut.h), one for each of its files; then cuts anywhere
 * in the record.  After each, the image opens for writing, a check finds no
 * errors (space may be lost), all that was flushed and not touched since is
 * there, and after a repair nothing is left to find.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "block/image.h"
#include "block/luks.h"
#include "powercut.h"

#define SECTOR	 512u
#define ROOM	 (48u << 20)
#define DISK	 (5u << 20)
#define OPS	 60
#define ROUND	 50 /* cuts of one history */
#define PARTS	 3u /* extents of a split disk, which would be of 2 GiB */
#define MAX_FILE (1 + PARTS)
#define SECRET	 "secret"

enum phase { MAKE, PLAY, CUT };

/* The image, or an extent of it. */
struct file {
	char *name;
	struct powercut *rec;
	uint8_t *image; /* as it was made */
	uint64_t len;
	uint8_t *bytes; /* after a cut; those from used on are zero */
	uint64_t used;
	struct blk *lower; /* over bytes */
};

struct bench {
	const struct image_format *f;
	const char *kind;
	bool child;
	const struct luks_new *luks; /* or NULL */
	enum phase phase;
	struct file file[MAX_FILE];
	unsigned nfiles;
	uint8_t *base; /* a parent image, in memory */
	uint64_t base_len;
	struct blk *image; /* below LUKS, or the disk itself */
	uint8_t *got;	   /* what it shows */
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

static G_GNUC_NORETURN void fail_error(const GError *err)
{
	printf("%s\n", err->message);
	exit(1);
}

/* ---- files ---- */

static struct file *file_find(struct bench *b, const char *name)
{
	for (unsigned i = 0; i < b->nfiles; i++)
		if (!strcmp(b->file[i].name, name))
			return &b->file[i];
	return NULL;
}

/* An empty one; what is written to it is in its record. */
static struct file *file_new(struct bench *b, const char *name)
{
	struct file *f = &b->file[b->nfiles++];

	if (b->nfiles > MAX_FILE)
		fail("too many files", 0);
	*f = (struct file){.name = g_strdup(name)};
	f->rec = powercut_new(ROOM, "", 0);
	return f;
}

static void file_made(struct file *f)
{
	f->len = f->rec->blk.size;
	f->image = g_memdup2(f->rec->now, ROOM);
	f->bytes = g_malloc0(ROOM);
	powercut_free(f->rec);
	f->rec = NULL;
}

static struct blk *file_over(struct file *f, uint8_t *bytes, uint64_t len)
{
	f->lower = powercut_memory(bytes, len, ROOM);
	return f->lower;
}

static void files_free(struct bench *b)
{
	for (unsigned i = b->nfiles; i--;) {
		struct file *f = &b->file[i];

		if (f->rec)
			powercut_free(f->rec);
		g_free(f->name);
		g_free(f->image);
		g_free(f->bytes);
	}
	b->nfiles = 0;
}

/* struct image_source */
static struct blk *open_file(void *opaque, const char *from, const char *name,
	bool writable, char **path, GError **err)
{
	struct bench *b = opaque;
	struct file *f = file_find(b, name);
	int fd;

	if (b->phase == MAKE && !f)
		return &file_new(b, name)->rec->blk;
	if (f && b->phase == PLAY)
		return &f->rec->blk;
	if (f)
		return f->lower;
	fd = (int)memfd_create("base", MFD_CLOEXEC);
	if (strcmp(name, "base") != 0 ||
		write(fd, b->base, b->base_len) != (ssize_t)b->base_len)
		fail("no such file", 0);
	return blk_raw_open(fd, !writable, err);
}

static struct blk *open_image(struct bench *b, struct blk *lower, GError **err)
{
	const struct image_source source = {open_file, b};
	struct image_open how = {.lower = lower, .source = &source};

	return image_open(b->f, &how, err);
}

/* What the guest sees. */
static struct blk *open_disk(struct bench *b, struct blk *lower, GError **err)
{
	b->image = open_image(b, lower, err);
	if (!b->image || !b->luks)
		return b->image;
	return luks_open(b->image, SECRET, strlen(SECRET), err);
}

/* ---- making ---- */

static void create(struct bench *b, struct file *f, struct blk *parent,
	const char *kind, uint64_t size)
{
	const struct image_source source = {open_file, b};
	struct image_create c = {.lower = &f->rec->blk,
		.size = size,
		.kind = kind,
		.block = g_str_has_prefix(b->f->name, "vhd") ? 1u << 20 : 0,
		.name = f->name,
		.backing = parent ? "base" : NULL,
		.backing_format = b->f->name,
		.parent = parent,
		.source = &source};
	g_autoptr(GError) err = NULL;

	if (!b->f->create(&c, &err))
		fail_error(err);
}

/* The line of an extent, with what is before it and behind it. */
static void cut_text(const char *text, char *part[3])
{
	const char *line = strstr(text, "\nRW ");
	const char *end = line ? strchr(line + 1, '\n') : NULL;

	if (!end)
		fail("no line of an extent", 0);
	part[0] = g_strndup(text, (gsize)(line - text));
	part[1] = g_strndup(line, (gsize)(end - line));
	part[2] = g_strdup(end);
}

/* A split disk is one extent up to 2 GiB: ours is put together of several. */
static void create_split(struct bench *b, struct file *f)
{
	static const unsigned sectors[PARTS] = {
		1000, 5000, DISK / SECTOR - 6000};
	GString *lines = g_string_new(NULL);
	char *part[3] = {NULL};

	for (unsigned i = 0; i < PARTS; i++) {
		g_autofree char *name = g_strdup_printf("part%u.vmdk", i);
		struct file one = {.name = name};

		for (unsigned k = 0; k < 3; k++)
			g_clear_pointer(&part[k], g_free);
		one.rec = powercut_new(ROOM, "", 0);
		create(b, &one, NULL, b->kind, (uint64_t)sectors[i] * SECTOR);
		cut_text((char *)one.rec->now, part);
		g_string_append(lines, part[1]);
		powercut_free(one.rec);
	}
	g_string_prepend(lines, part[0]);
	g_string_append(lines, part[2]);
	while (lines->len % SECTOR)
		g_string_append_c(lines, '\n');
	if (blk_resize(&f->rec->blk, lines->len) ||
		blk_pwrite(&f->rec->blk, lines->str, lines->len, 0))
		fail("no description", 0);
	g_string_free(lines, TRUE);
	for (unsigned k = 0; k < 3; k++)
		g_free(part[k]);
}

/* The image is new: LUKS' header goes into it. */
static void encrypt(struct bench *b)
{
	g_autoptr(GError) err = NULL;
	struct file *f = &b->file[0];
	struct blk *d;

	b->phase = CUT;
	for (unsigned i = 1; i < b->nfiles; i++)
		file_over(&b->file[i], b->file[i].image, b->file[i].len);
	d = open_image(b, file_over(f, f->image, f->len), &err);
	if (!d || !luks_format(d, b->luks, &err))
		fail_error(err);
	if (blk_flush(d) || blk_flush(d))
		fail("cannot flush", 0);
	for (unsigned i = 0; i < b->nfiles; i++)
		b->file[i].len = b->file[i].lower->size;
	blk_close(d);
}

/* A new image in memory: b->file. */
static void make_image(struct bench *b, struct blk *parent, const char *kind)
{
	uint64_t size = DISK + (b->luks ? luks_overhead(b->luks->kind) : 0);
	struct file *f;

	b->phase = MAKE;
	f = file_new(b, "t.vmdk");
	if (kind && g_str_has_prefix(kind, "split"))
		create_split(b, f);
	else
		create(b, f, parent, kind, parent ? parent->size : size);
	for (unsigned i = 0; i < b->nfiles; i++)
		file_made(&b->file[i]);
	if (b->luks)
		encrypt(b);
}

/* Its files record from now on. */
static void record(struct bench *b)
{
	b->phase = PLAY;
	for (unsigned i = 0; i < b->nfiles; i++) {
		struct file *f = &b->file[i];

		f->rec = i ? powercut_beside(
				     b->file[0].rec, ROOM, f->image, f->len)
			   : powercut_new(ROOM, f->image, f->len);
		f->used = ROOM;
	}
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
static GPtrArray *play(struct bench *b)
{
	const GArray *log = b->file[0].rec->log;
	GPtrArray *points = g_ptr_array_new_with_free_func(point_free);
	g_autoptr(GError) err = NULL;
	struct blk *d = open_disk(b, &b->file[0].rec->blk, &err);
	struct point p = {0};

	if (!d)
		fail_error(err);
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
		p.at = log->len;
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

static void check_image(const struct bench *b, bool repair, unsigned n)
{
	struct image_check c = {.repair = repair, .say = say};

	if (!b->f->check)
		return;
	if (b->f->check(b->image, &c))
		fail("cannot be checked", n);
	if (c.errors)
		fail("check finds errors", n);
}

/* The files as a cut leaves them. */
static void cut_files(struct bench *b, unsigned n)
{
	bool any = g_rand_int_range(b->r, 0, 4) != 0;

	b->phase = CUT;
	for (unsigned i = 0; i < b->nfiles; i++) {
		struct file *f = &b->file[i];

		memset(f->bytes, 0, f->used);
		file_over(f, f->bytes,
			powercut_replay(f->rec, n, any, b->r, f->bytes));
	}
}

static void one_cut(struct bench *b, const GPtrArray *points)
{
	guint len = b->file[0].rec->log->len;
	unsigned n = (unsigned)g_rand_int_range(b->r, 0, (gint32)len + 1);
	uint8_t more[SECTOR] = "going on";
	g_autoptr(GError) err = NULL;
	struct blk *d;

	cut_files(b, n);
	d = open_disk(b, b->file[0].lower, &err);
	if (!d) {
		printf("# %s\n", err->message);
		fail("does not open", n);
	}
	check_image(b, false, n);
	verify(points, n, d, b->got);
	check_image(b, true, n);
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
	check_image(b, false, n);
	for (unsigned i = 0; i < b->nfiles; i++)
		b->file[i].used =
			MIN(b->file[i].lower->size + (4u << 20), ROOM);
	blk_close(d);
}

static void prepare_base(struct bench *b)
{
	g_autoptr(GError) err = NULL;
	struct blk *d;
	struct file *f = &b->file[0];

	make_image(b, NULL, NULL);
	b->phase = CUT;
	d = open_image(b, file_over(f, f->image, f->len), &err);
	if (!d)
		fail_error(err);
	for (uint64_t at = 0; at < d->size; at += 700 * SECTOR)
		blk_pwrite(d, "the parent's data", 16, at);
	blk_flush(d);
	blk_close(d);
	b->base = g_steal_pointer(&f->image);
	for (b->base_len = ROOM; !b->base[b->base_len - 1];)
		b->base_len--;
	b->base_len = (b->base_len + SECTOR - 1) & ~(SECTOR - 1ull);
	files_free(b);
}

static void make_child(struct bench *b)
{
	g_autofree uint8_t *copy = g_memdup2(b->base, ROOM);
	struct blk *parent =
		open_image(b, powercut_memory(copy, b->base_len, ROOM), NULL);

	make_image(b, parent, b->kind);
	blk_close(parent);
}

static void one_round(struct bench *b, unsigned cuts)
{
	GPtrArray *points;

	if (b->child)
		make_child(b);
	else
		make_image(b, NULL, b->kind);
	record(b);
	points = play(b);
	for (unsigned i = 0; i < cuts; i++)
		one_cut(b, points);
	g_ptr_array_free(points, TRUE);
	files_free(b);
}

int main(int argc, char **argv)
{
	struct luks_new luks = {
		.cheap = true, .secret = SECRET, .len = strlen(SECRET)};
	struct bench b = {0};
	unsigned cuts = argc > 2 ? (unsigned)atoi(argv[2]) : 100, done = 0;
	g_auto(GStrv) word = g_strsplit(argc > 1 ? argv[1] : "qcow2", ":", 3);
	char *plus = strchr(word[0], '+');

	if (plus) {
		*plus++ = '\0';
		luks.kind = strcmp(plus, "luks1") ? LUKS_2 : LUKS_1;
		b.luks = &luks;
	}
	b.f = image_format_find(word[0]);
	b.kind = word[1] && *word[1] ? word[1] : NULL;
	b.child = word[1] && word[2];
	b.got = g_malloc(2 * DISK); /* formats round up */
	b.r = g_rand_new_with_seed(
		argc > 3 ? (guint32)atoi(argv[3]) : g_random_int());
	if (!b.f || !b.f->create || (b.child && b.luks) ||
		(plus && strcmp(plus,
				 luks.kind == LUKS_1 ? "luks1" : "luks2"))) {
		fprintf(stderr, "usage: image-cut FORMAT[+luks1|+luks2][:KIND]"
				"[:child] CUTS [SEED]\n");
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
