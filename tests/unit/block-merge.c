/*
 * block-merge.c - images of a disk's chain become part of one another while
 * the disk is read and written: what it shows, what each image that stays
 * shows, and what is in the files at any moment, is as it was.
 */
#include "block/merge.h"

#include "image-rig.h"

#define SIZE   6301696ull /* which VHD can have */
#define ROUNDS 2
#define LAYERS 5 /* at most; the last is on top */

struct shape {
	const char *name, *format, *kind;
	uint32_t block;
	const char *child; /* format of what stands on it */
	bool by_identity;  /* parents have another one when they are written */
};

static const struct shape shapes[] = {
	{"raw", "raw", NULL, 0, "qcow2"},
	{"qcow2", "qcow2", "v3", 0, "qcow2"},
	{"qcow2-v2", "qcow2", "v2", 0, "qcow2"},
	{"qcow2-512", "qcow2", "v3", 512, "qcow2"},
	{"qcow2-2m", "qcow2", "v3", 2 << 20, "qcow2"},
	{"qcow2-ext", "qcow2", "extended", 0, "qcow2"},
	{"vhd", "vhd", "dynamic", 0, "vhd"},
	{"vhd-fixed", "vhd", "fixed", 0, "vhd"},
	{"vhd-qcow2", "vhd", "dynamic", 0, "qcow2"},
	{"vhdx", "vhdx", "dynamic", 0, "vhdx", true},
	{"vhdx-fixed", "vhdx", "fixed", 0, "vhdx", true},
	{"vdi", "vdi", "dynamic", 0, "vdi", true},
	{"vmdk-qcow2", "vmdk", "sparse", 0, "qcow2"},
};

struct layer {
	char *name;
	const char *format;
	uint8_t *was; /* what it showed when the next came on top */
};

struct rig {
	const struct shape *s;
	GRand *r;	/* of who merges */
	GRand *guest_r; /* of who reads and writes */
	struct blk *b;
	uint8_t *want;
	struct layer layer[LAYERS + 1];
	unsigned n, made;
	gint done;	 /* the guest may end */
	bool peek;	 /* files may be looked at */
	unsigned filled; /* layer that takes in what is above */
};

static unsigned below(GRand *r, unsigned n)
{
	return (unsigned)g_rand_int_range(r, 0, (gint32)n);
}

/* ---- the guest ---- */

static void guest_op(struct rig *g)
{
	uint64_t off = below(g->guest_r, SIZE / 512) * 512ull;
	uint64_t len = (1 + below(g->guest_r, 300)) * 512ull;
	g_autofree uint8_t *buf = NULL;

	len = MIN(len, SIZE - off);
	buf = g_malloc(len);
	switch (below(g->guest_r, 12)) {
	case 0:
		g_assert_cmpint(blk_write_zeroes(g->b, off, len, true), ==, 0);
		memset(g->want + off, 0, len);
		break;
	case 1:
		g_assert_cmpint(blk_discard(g->b, off, len), ==, 0);
		g_assert_cmpint(
			blk_pread(g->b, g->want + off, len, off), ==, 0);
		break;
	case 2: g_assert_cmpint(blk_flush(g->b), ==, 0); break;
	case 3:
	case 4:
		memset(buf, 1 + (int)below(g->guest_r, 255), len);
		memcpy(buf, &off, 8);
		g_assert_cmpint(blk_pwrite(g->b, buf, len, off), ==, 0);
		memcpy(g->want + off, buf, len);
		break;
	default:
		g_assert_cmpint(blk_pread(g->b, buf, len, off), ==, 0);
		g_assert_cmpmem(buf, len, g->want + off, len);
	}
}

static void *guest(void *opaque)
{
	struct rig *g = opaque;

	while (!g_atomic_int_get(&g->done))
		guest_op(g);
	return NULL;
}

static void shows(struct blk *b, const uint8_t *want)
{
	g_autofree uint8_t *buf = g_malloc(SIZE);

	g_assert_cmpint(blk_pread(b, buf, SIZE, 0), ==, 0);
	g_assert_cmpint(memcmp(buf, want, SIZE), ==, 0);
}

/* ---- the files, as another process finds them ---- */

static void check_file(const struct layer *l)
{
	g_autoptr(GError) err = NULL;
	struct blk *b = rig_open(l->name, l->format, true, &err);
	const struct image_format *f = image_format_find(l->format);
	struct image_check c = {0};

	g_assert_no_error(err);
	shows(b, l->was);
	if (f->check)
		g_assert_cmpint(f->check(b, &c), ==, 0);
	g_assert_cmpuint(c.errors, ==, 0);
	blk_close(b);
}

/* All below the top.  vdi: found by UUID, which the rig does not do. */
static void check_files(struct rig *g)
{
	for (unsigned i = 0; i + 1 < g->n; i++)
		if (i != g->filled && (!i || strcmp(g->layer[i].format, "vdi")))
			check_file(&g->layer[i]);
}

/* ---- layers ---- */

static void flush_disk(struct rig *g)
{
	g_assert_cmpint(blk_merge_flush(g->b), ==, 0);
}

static void bottom(struct rig *g)
{
	struct image_create c = {
		.size = SIZE, .kind = g->s->kind, .block = g->s->block};
	g_autoptr(GError) err = NULL;
	struct blk *b;

	g->layer[0] = (struct layer){g_strdup("m0.img"), g->s->format};
	g_assert_true(rig_create("m0.img", g->s->format, &c, &err));
	b = rig_open("m0.img", g->s->format, false, &err);
	g_assert_no_error(err);
	g_assert_cmpuint(b->size, ==, SIZE);
	g->b = image_live_new(b, -1);
	g->n = g->made = 1;
}

static void add_layer(struct rig *g)
{
	struct layer *top = &g->layer[g->n - 1];
	char *name = g_strdup_printf("m%u.img", g->made++);
	g_autofree char *p = rig_path(name);
	struct image_child c = {
		.fd = open(p, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
		.format = image_format_find(g->s->child),
		.name = name,
		.backing = top->name};
	g_autoptr(GError) err = NULL;
	struct blk *child;

	flush_disk(g);
	child = image_live_child(g->b, &c, &err);
	g_assert_no_error(err);
	top->was = g_memdup2(g->want, SIZE);
	image_live_switch(g->b, child, -1);
	g->layer[g->n++] = (struct layer){name, g->s->child};
}

static struct blk *image_at(struct rig *g, unsigned i)
{
	struct blk *b = image_live_top(g->b);

	for (unsigned k = g->n - 1; k > i; k--)
		b = b->backing;
	return b;
}

static struct blk *again(struct rig *g, unsigned i)
{
	g_autofree char *p = rig_path(g->layer[i].name);
	g_autoptr(GError) err = NULL;
	struct blk *b = image_live_again(image_at(g, i),
		blk_raw_open(open(p, O_RDWR | O_CLOEXEC), false, &err), &err);

	g_assert_no_error(err);
	return b;
}

/* ---- merging ---- */

struct part {
	struct rig *g;
	uint64_t until; /* broken off there */
};

static bool told(void *opaque, uint64_t done, uint64_t total)
{
	struct part *p = opaque;

	if (p->g->peek && !below(p->g->r, 40))
		check_files(p->g);
	return done < p->until;
}

static void set_parent(
	struct rig *g, struct blk *b, struct blk *on, const char *name)
{
	const struct image_format *f = image_format_of(b);
	struct image_create c = {.size = b->size,
		.backing = on ? name : NULL,
		.backing_format = on ? image_format_of(on)->name : NULL,
		.parent = on};
	g_autoptr(GError) err = NULL;

	f->rebase(b, &c, &err);
	g_assert_no_error(err);
}

static void at_rest(struct blk *b)
{
	b->readonly = true;
}

/* The images above layer i have `on` below them now. */
static void tell(struct rig *g, unsigned i, struct blk *on, const char *name)
{
	for (; ++i < g->n;) {
		bool top = i + 1 == g->n;
		struct blk *old = image_at(g, i);
		struct blk *b = top ? old : again(g, i);

		set_parent(g, b, on, name);
		if (!top) {
			image_live_put(g->b, old, b);
			at_rest(b);
		}
		on = b;
		name = g->layer[i].name;
		if (!strcmp(g->layer[i].format, "qcow2"))
			break;
	}
}

/* Layer i, opened for writing, takes in the other. */
static int copy(struct rig *g, struct blk *to, struct blk *from, bool up)
{
	struct part p = {g, below(g->r, 3) ? UINT64_MAX : below(g->r, SIZE)};
	const struct blk_merge_told t = {told, &p};

	return up ? blk_merge_up(to, from->backing, &t)
		  : blk_merge_down(from, to, &t);
}

static void forget_layer(struct rig *g, unsigned i)
{
	g_free(g->layer[i].was);
	g_free(g->layer[i].name);
	memmove(&g->layer[i], &g->layer[i + 1],
		(g->n - i - 1) * sizeof(g->layer[0]));
	g->n--;
}

/* Layers i and i + 1 become one. */
static void merge(struct rig *g, unsigned i, bool up)
{
	unsigned to = up ? i + 1 : i, from = up ? i : i + 1;
	GThread *t;
	struct blk *b, *old;
	int rc;

	do {
		old = image_at(g, to);
		b = again(g, to);
		image_live_put(g->b, old, b);
		g->peek = !g->s->by_identity;
		g->filled = up ? LAYERS : to;
		g_atomic_int_set(&g->done, 0);
		t = g_thread_new("guest", guest, g);
		rc = copy(g, b, image_at(g, from), up);
		g_atomic_int_set(&g->done, 1);
		g_thread_join(t);
		g_assert_true(!rc || rc == -ECANCELED);
		g_assert_cmpint(blk_merge_flush(b), ==, 0);
		at_rest(b);
		if (g->peek)
			check_files(g);
	} while (rc);
	b->readonly = false;
	if (up) {
		struct blk *on = image_at(g, from)->backing;

		set_parent(g, b, on, i ? g->layer[i - 1].name : NULL);
		if (g->s->by_identity)
			tell(g, i + 1, b, g->layer[i + 1].name);
	} else {
		tell(g, i + 1, b, g->layer[i].name);
		g_free(g->layer[i].was);
		g->layer[i].was = g->layer[i + 1].was;
		g->layer[i + 1].was = NULL;
	}
	image_live_put(g->b, image_at(g, from), NULL);
	at_rest(b);
	forget_layer(g, from);
	g->filled = LAYERS;
	check_files(g);
}

static bool can_merge(struct rig *g, unsigned i, bool up)
{
	const struct blk *to = image_at(g, up ? i + 1 : i);

	/* one that cannot have its parent changed is not moved itself */
	return image_live_movable(to) && (!up || image_format_of(to)->rebase) &&
	       (up || strcmp(g->layer[i].format, "vmdk"));
}

static void test_merge(const void *data)
{
	struct rig g = {.s = data,
		.r = g_rand_new_with_seed(g_test_rand_int()),
		.guest_r = g_rand_new_with_seed(g_test_rand_int()),
		.want = g_malloc0(SIZE),
		.filled = LAYERS};

	bottom(&g);
	for (unsigned round = 0; round < ROUNDS; round++) {
		while (g.n < LAYERS) {
			for (unsigned k = 0; k < 25; k++)
				guest_op(&g);
			add_layer(&g);
		}
		while (g.n > 2 && below(g.r, 5)) {
			unsigned i = below(g.r, g.n - 2);
			bool up = below(g.r, 2);

			if (can_merge(&g, i, up))
				merge(&g, i, up);
			shows(g.b, g.want);
		}
	}
	flush_disk(&g);
	shows(g.b, g.want);
	blk_close(g.b);
	g.layer[g.n - 1].was = g.want;
	g.n++; /* the top as a file, too */
	check_files(&g);
	while (g.n > 1)
		forget_layer(&g, g.n - 2);
	g_rand_free(g.r);
	g_rand_free(g.guest_r);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	rig_init();
	for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
		g_autofree char *n =
			g_strdup_printf("/merge/%s", shapes[i].name);

		g_test_add_data_func(n, &shapes[i], test_merge);
	}
	rc = g_test_run();
	rig_fini();
	return rc;
}
