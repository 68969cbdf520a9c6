/*
 * virtio_vga.c - a virtio GPU, 2D (virtio 1.2, 5.7), that is a VGA until its
 * driver shows a picture.  OVMF sets modes by the VGA's registers in BAR 2.
 *
 * Resources are pictures of ours, into which the guest has its own memory
 * copied; one of them is the scanout, and another may be the pointer's.  How
 * much memory and how many of them there are is bounded.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/video/vga_priv.h"
#include "dev/video/virtio_vga.h"
#include "dev/virtio/virtio.h"

#define GPU_QUEUE_SIZE 64
#define GPU_F_EDID     1
#define GPU_CONFIG     16
#define GPU_EVENT_SIZE 1 /* the display has another size */
#define GPU_MAX_BYTES  (256u << 20)
#define GPU_MAX_ITEMS  4096u
#define GPU_MAX_PAGES  65536u
#define GPU_SCANOUTS   16
#define GPU_FENCE      1
#define GPU_CURSOR     64 /* pixels each way */

/* 5.7.6.7 */
enum gpu_type {
	GPU_GET_DISPLAY_INFO = 0x100,
	GPU_CREATE_2D,
	GPU_UNREF,
	GPU_SET_SCANOUT,
	GPU_FLUSH,
	GPU_TRANSFER,
	GPU_ATTACH,
	GPU_DETACH,
	GPU_GET_EDID = 0x10a,
	GPU_UPDATE_CURSOR = 0x300,
	GPU_MOVE_CURSOR,
	GPU_OK = 0x1100,
	GPU_OK_DISPLAY_INFO,
	GPU_OK_EDID = 0x1104,
	GPU_ERR = 0x1200,
	GPU_ERR_MEMORY,
	GPU_ERR_SCANOUT,
	GPU_ERR_RESOURCE,
	GPU_ERR_CONTEXT,
	GPU_ERR_PARAMETER,
};

struct gpu_hdr {
	uint32_t type, flags;
	uint64_t fence;
	uint32_t context, ring;
};

struct gpu_rect {
	uint32_t x, y, width, height;
};

/* All requests fit; what follows the header depends on the type. */
struct gpu_request {
	struct gpu_hdr hdr;
	union {
		struct {
			uint32_t resource, format, width, height;
		} create;
		struct {
			uint32_t resource, entries;
		} attach;
		struct {
			struct gpu_rect rect;
			uint32_t scanout, resource;
		} set;
		struct {
			struct gpu_rect rect;
			uint32_t resource;
		} flush;
		struct {
			struct gpu_rect rect;
			uint64_t offset;
			uint32_t resource;
		} transfer;
		struct {
			uint32_t scanout, x, y, pad, resource, hot_x, hot_y;
		} cursor;
		uint32_t word[12];
	} u;
};

struct gpu_entry {
	uint64_t addr;
	uint32_t len, pad;
};

struct gpu_answer {
	struct gpu_hdr hdr;
	union {
		struct {
			struct gpu_rect rect;
			uint32_t enabled, flags;
		} mode[GPU_SCANOUTS];
		struct {
			uint32_t size, pad;
			uint8_t edid[1024];
		} edid;
	} u;
};

struct gpu_item {
	uint32_t id, format, width, height;
	uint32_t *pixels;
	struct gpu_entry *backing;
	uint32_t nbacking;
};

struct virtio_vga {
	struct virtio v;
	struct vga vga;
	uint32_t events;
	unsigned width, height; /* what the guest is asked to show */
	GHashTable *items;	/* by id */
	uint64_t bytes;		/* of their pixels */
	uint32_t scanout;	/* the resource that is shown, or 0 */
	struct gpu_rect shown;
	bool cursor_on;
	int cursor_x, cursor_y;
	uint32_t cursor[GPU_CURSOR * GPU_CURSOR]; /* 0xAARRGGBB */
	struct virtq_chain chain;
};

static struct virtio_vga *gpu_of(struct virtio *v)
{
	return (struct virtio_vga *)v;
}

/* ---- resources ---- */

static void gpu_item_free(gpointer opaque)
{
	struct gpu_item *i = opaque;

	g_free(i->pixels);
	g_free(i->backing);
	g_free(i);
}

static struct gpu_item *gpu_find(struct virtio_vga *g, uint32_t id)
{
	return g_hash_table_lookup(g->items, GUINT_TO_POINTER(id));
}

static bool gpu_inside(const struct gpu_item *i, const struct gpu_rect *r)
{
	return (uint64_t)r->x + r->width <= i->width &&
	       (uint64_t)r->y + r->height <= i->height;
}

/* Places of red, green and blue in a pixel's word; false: no such format. */
static bool gpu_format(uint32_t format, uint8_t shift[3])
{
	static const struct {
		uint8_t format, shift[3];
	} known[] = {{1, {16, 8, 0}}, {2, {16, 8, 0}}, {3, {8, 16, 24}},
		{4, {8, 16, 24}}, {67, {0, 8, 16}}, {134, {0, 8, 16}},
		{68, {24, 16, 8}}, {121, {24, 16, 8}}};

	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
		if (known[i].format != format)
			continue;
		memcpy(shift, known[i].shift, 3);
		return true;
	}
	return false;
}

static uint32_t gpu_create(struct virtio_vga *g, const struct gpu_request *q)
{
	uint32_t id = q->u.create.resource;
	uint32_t width = q->u.create.width, height = q->u.create.height;
	uint64_t bytes = 4ull * width * height;
	struct gpu_item *i;
	uint8_t shift[3];

	if (!id || gpu_find(g, id))
		return GPU_ERR_RESOURCE;
	if (!width || !height || width > 16384 || height > 16384 ||
		!gpu_format(q->u.create.format, shift))
		return GPU_ERR_PARAMETER;
	if (g->bytes + bytes > GPU_MAX_BYTES ||
		g_hash_table_size(g->items) >= GPU_MAX_ITEMS)
		return GPU_ERR_MEMORY;
	i = g_new0(struct gpu_item, 1);
	i->pixels = g_try_malloc0(bytes);
	if (!i->pixels) {
		g_free(i);
		return GPU_ERR_MEMORY;
	}
	i->id = id;
	i->format = q->u.create.format;
	i->width = width;
	i->height = height;
	g->bytes += bytes;
	g_hash_table_insert(g->items, GUINT_TO_POINTER(id), i);
	return GPU_OK;
}

static uint32_t gpu_unref(struct virtio_vga *g, const struct gpu_request *q)
{
	struct gpu_item *i = gpu_find(g, q->u.word[0]);

	if (!i)
		return GPU_ERR_RESOURCE;
	if (g->scanout == i->id)
		g->scanout = 0;
	g->bytes -= 4ull * i->width * i->height;
	g_hash_table_remove(g->items, GUINT_TO_POINTER(i->id));
	return GPU_OK;
}

static void gpu_detach(struct gpu_item *i)
{
	g_clear_pointer(&i->backing, g_free);
	i->nbacking = 0;
}

static uint32_t gpu_attach(
	struct virtio_vga *g, struct virtq *vq, const struct gpu_request *q)
{
	struct gpu_item *i = gpu_find(g, q->u.attach.resource);
	uint32_t n = q->u.attach.entries;
	size_t bytes = n * sizeof(struct gpu_entry);

	if (!i || i->backing)
		return i ? GPU_ERR : GPU_ERR_RESOURCE;
	if (!n || n > GPU_MAX_PAGES || g->chain.out_bytes < 32 + bytes)
		return GPU_ERR_PARAMETER;
	i->backing = g_malloc(bytes);
	if (virtq_read(vq, &g->chain, 32, i->backing, bytes) != bytes) {
		gpu_detach(i);
		return GPU_ERR_PARAMETER;
	}
	i->nbacking = n;
	return GPU_OK;
}

/* Where in the backing memory reading goes on: it only goes forward. */
struct gpu_reader {
	struct virtio_vga *g;
	const struct gpu_item *i;
	uint32_t n;    /* the entry */
	uint64_t base; /* offset of its first byte */
};

static bool gpu_read(
	struct gpu_reader *r, uint64_t off, uint8_t *buf, size_t len)
{
	while (len) {
		const struct gpu_entry *e;
		uint64_t at;
		size_t n;

		while (r->n < r->i->nbacking &&
			off - r->base >= r->i->backing[r->n].len)
			r->base += r->i->backing[r->n++].len;
		if (r->n == r->i->nbacking)
			return false;
		e = &r->i->backing[r->n];
		at = off - r->base;
		n = MIN(len, e->len - at);
		bus_dma_read(r->g->v.dev.host.bus, e->addr + at, buf, n);
		off += n;
		buf += n;
		len -= n;
	}
	return true;
}

static uint32_t gpu_transfer(struct virtio_vga *g, const struct gpu_request *q)
{
	struct gpu_item *i = gpu_find(g, q->u.transfer.resource);
	struct gpu_rect r = q->u.transfer.rect;
	struct gpu_reader in = {.g = g, .i = i};

	if (!i)
		return GPU_ERR_RESOURCE;
	if (!gpu_inside(i, &r) || q->u.transfer.offset > GPU_MAX_BYTES)
		return GPU_ERR_PARAMETER;
	for (uint32_t y = 0; y < r.height; y++) {
		uint64_t off = q->u.transfer.offset + 4ull * i->width * y;
		uint32_t *row = i->pixels + (size_t)(r.y + y) * i->width + r.x;

		if (!gpu_read(&in, off, (uint8_t *)row, 4ull * r.width))
			return GPU_ERR;
	}
	return GPU_OK;
}

/* ---- what is shown ---- */

static uint32_t gpu_set_scanout(
	struct virtio_vga *g, const struct gpu_request *q)
{
	const struct gpu_rect *r = &q->u.set.rect;
	struct gpu_item *i;

	if (q->u.set.scanout)
		return GPU_ERR_SCANOUT;
	if (!q->u.set.resource) {
		g->scanout = 0;
		return GPU_OK;
	}
	i = gpu_find(g, q->u.set.resource);
	if (!i)
		return GPU_ERR_RESOURCE;
	if (!r->width || !r->height || !gpu_inside(i, r) ||
		r->width > DISPLAY_MAX_WIDTH || r->height > DISPLAY_MAX_HEIGHT)
		return GPU_ERR_PARAMETER;
	g->scanout = i->id;
	g->shown = *r;
	return GPU_OK;
}

static uint32_t gpu_flush(struct virtio_vga *g, const struct gpu_request *q)
{
	return gpu_find(g, q->u.flush.resource) ? GPU_OK : GPU_ERR_RESOURCE;
}

static void gpu_cursor(struct virtio_vga *g, const struct gpu_request *q)
{
	struct gpu_item *i;

	g->cursor_x = (int)(q->u.cursor.x & 0xffff);
	g->cursor_y = (int)(q->u.cursor.y & 0xffff);
	if (q->hdr.type == GPU_MOVE_CURSOR)
		return;
	i = gpu_find(g, q->u.cursor.resource);
	g->cursor_on = i && i->width == GPU_CURSOR && i->height == GPU_CURSOR;
	if (g->cursor_on)
		memcpy(g->cursor, i->pixels, sizeof(g->cursor));
}

static uint32_t gpu_blend(uint32_t under, uint32_t over)
{
	uint32_t a = over >> 24, out = 0;

	for (unsigned s = 0; s < 24; s += 8) {
		uint32_t u = under >> s & 255, o = over >> s & 255;

		/* colours are multiplied by alpha already */
		out |= MIN(o + u * (255 - a) / 255, 255u) << s;
	}
	return out;
}

static void gpu_draw_cursor(
	const struct virtio_vga *g, unsigned y, uint32_t *line)
{
	int row = (int)y - g->cursor_y;

	if (!g->cursor_on || row < 0 || row >= GPU_CURSOR)
		return;
	for (int x = 0; x < GPU_CURSOR; x++) {
		int at = g->cursor_x + x;

		if (at >= 0 && at < (int)g->shown.width)
			line[at] = gpu_blend(
				line[at], g->cursor[row * GPU_CURSOR + x]);
	}
}

static void gpu_draw(struct virtio_vga *g, const struct gpu_item *i,
	struct display_view *view)
{
	uint32_t line[DISPLAY_MAX_WIDTH];
	uint8_t shift[3] = {16, 8, 0};

	gpu_format(i->format, shift);
	view->dirty = false;
	display_view_size(view, g->shown.width, g->shown.height);
	for (unsigned y = 0; y < g->shown.height; y++) {
		const uint32_t *row = i->pixels +
				      (size_t)(g->shown.y + y) * i->width +
				      g->shown.x;

		for (unsigned x = 0; x < g->shown.width; x++)
			line[x] = (row[x] >> shift[0] & 255) << 16 |
				  (row[x] >> shift[1] & 255) << 8 |
				  (row[x] >> shift[2] & 255);
		gpu_draw_cursor(g, y, line);
		display_view_row(view, y, line);
	}
}

static void gpu_source_draw(void *opaque, struct display_view *view)
{
	struct virtio_vga *g = opaque;
	struct display_source vga;
	struct gpu_item *i;

	bus_lock(g->vga.bus);
	i = g->scanout ? gpu_find(g, g->scanout) : NULL;
	if (i)
		gpu_draw(g, i, view);
	bus_unlock(g->vga.bus);
	if (i)
		return;
	vga_source_init(&g->vga, &vga);
	vga.draw(vga.opaque, view);
}

static bool gpu_source_text(void *opaque, struct display_text *t)
{
	struct virtio_vga *g = opaque;
	struct display_source vga;

	vga_source_init(&g->vga, &vga);
	return !g->scanout && vga.text(vga.opaque, t);
}

static void gpu_source_arm(
	void *opaque, void (*wake)(void *opaque), void *looker)
{
	struct virtio_vga *g = opaque;
	struct display_source vga;

	vga_source_init(&g->vga, &vga);
	vga.arm(vga.opaque, wake, looker);
}

static bool gpu_source_resize(void *opaque, unsigned width, unsigned height)
{
	struct virtio_vga *g = opaque;
	bool can;

	bus_lock(g->vga.bus);
	can = virtio_running(&g->v);
	if (can) {
		g->width = CLAMP(width & ~7u, 64, DISPLAY_MAX_WIDTH - 8);
		g->height = CLAMP(height, 64, DISPLAY_MAX_HEIGHT - 8);
		g->events |= GPU_EVENT_SIZE;
		virtio_config_changed(&g->v);
	}
	bus_unlock(g->vga.bus);
	return can;
}

struct vga *virtio_vga_core(struct dev *d)
{
	return &((struct virtio_vga *)d)->vga;
}

void virtio_vga_source(struct dev *d, struct display_source *out)
{
	*out = (struct display_source){.draw = gpu_source_draw,
		.text = gpu_source_text,
		.arm = gpu_source_arm,
		.resize = gpu_source_resize,
		.opaque = d};
}

/* ---- requests ---- */

static uint32_t gpu_info(struct virtio_vga *g, struct gpu_answer *a)
{
	a->u.mode[0].rect.width = g->width;
	a->u.mode[0].rect.height = g->height;
	a->u.mode[0].enabled = 1;
	return GPU_OK_DISPLAY_INFO;
}

static uint32_t gpu_edid(
	struct virtio_vga *g, const struct gpu_request *q, struct gpu_answer *a)
{
	if (q->u.word[0])
		return GPU_ERR_SCANOUT;
	a->u.edid.size = 128;
	vga_edid(a->u.edid.edid, g->width, g->height);
	return GPU_OK_EDID;
}

static uint32_t gpu_do(struct virtio_vga *g, struct virtq *vq,
	const struct gpu_request *q, struct gpu_answer *a)
{
	struct gpu_item *i;

	switch (q->hdr.type) {
	case GPU_GET_DISPLAY_INFO: return gpu_info(g, a);
	case GPU_GET_EDID: return gpu_edid(g, q, a);
	case GPU_CREATE_2D: return gpu_create(g, q);
	case GPU_UNREF: return gpu_unref(g, q);
	case GPU_SET_SCANOUT: return gpu_set_scanout(g, q);
	case GPU_FLUSH: return gpu_flush(g, q);
	case GPU_TRANSFER: return gpu_transfer(g, q);
	case GPU_ATTACH: return gpu_attach(g, vq, q);
	case GPU_DETACH:
		i = gpu_find(g, q->u.word[0]);
		if (i)
			gpu_detach(i);
		return i ? GPU_OK : GPU_ERR_RESOURCE;
	case GPU_UPDATE_CURSOR:
	case GPU_MOVE_CURSOR: gpu_cursor(g, q); return GPU_OK;
	default: return GPU_ERR;
	}
}

/* Little-endian, as this host is. */
static uint32_t gpu_serve(struct virtio_vga *g, struct virtq *vq)
{
	struct gpu_request q = {0};
	struct gpu_answer a = {0};
	size_t len = sizeof(a.hdr);

	virtq_read(vq, &g->chain, 0, &q, sizeof(q));
	a.hdr.type = gpu_do(g, vq, &q, &a);
	if (q.hdr.flags & GPU_FENCE) {
		a.hdr.flags = GPU_FENCE;
		a.hdr.fence = q.hdr.fence;
		a.hdr.context = q.hdr.context;
	}
	if (a.hdr.type == GPU_OK_DISPLAY_INFO)
		len += sizeof(a.u.mode);
	else if (a.hdr.type == GPU_OK_EDID)
		len += sizeof(a.u.edid);
	return (uint32_t)virtq_write(vq, &g->chain, 0, &a, len);
}

static void gpu_notify(struct virtio *v, unsigned queue)
{
	struct virtio_vga *g = gpu_of(v);
	struct virtq *vq = &v->queue[queue];
	bool any = false;

	while (virtq_pop(vq, &g->chain) > 0) {
		virtq_fill(vq, g->chain.head, gpu_serve(g, vq));
		any = true;
	}
	if (any) {
		vga_touched(&g->vga);
		virtq_publish(vq);
		virtio_signal(v, vq);
	}
	if (vq->broken)
		virtio_fail(v);
}

static void gpu_config_get(struct virtio *v, uint8_t *config)
{
	uint32_t word[GPU_CONFIG / 4] = {gpu_of(v)->events, 0, 1, 0};

	memcpy(config, word, sizeof(word));
}

/* events_clear */
static void gpu_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	uint32_t clear = 0;

	if (off != 4 || len != 4)
		return;
	memcpy(&clear, buf, 4);
	gpu_of(v)->events &= ~clear;
}

static void gpu_stop(struct virtio *v)
{
	struct virtio_vga *g = gpu_of(v);

	g_hash_table_remove_all(g->items);
	g->bytes = 0;
	g->scanout = 0;
	g->cursor_on = false;
	g->events = 0;
	vga_touched(&g->vga);
}

/* ---- life ---- */

static const struct virtio_type gpu_virtio_type = {
	.id = 16,
	.pci_class = 0x030000,
	.config_size = GPU_CONFIG,
	.config_get = gpu_config_get,
	.config_set = gpu_config_set,
	.notify = gpu_notify,
	.stop = gpu_stop,
};

static int virtio_vga_init(struct dev *d, char *err, unsigned errsize)
{
	struct virtio_vga *g = (struct virtio_vga *)d;
	int e;

	g->width = VGA_WIDTH;
	g->height = VGA_HEIGHT;
	g->items = g_hash_table_new_full(NULL, NULL, NULL, gpu_item_free);
	virtio_init(&g->v, &gpu_virtio_type, VIRTIO_BIT(GPU_F_EDID), 2,
		GPU_QUEUE_SIZE);
	e = vga_init(&g->vga, d->host.bus, &g->v.pci, d->host.vram_bytes);
	if (!e) {
		e = virtio_plug(&g->v, err, errsize);
		if (!e)
			return 0;
		vga_fini(&g->vga);
		munmap(g->vga.vram, g->vga.vram_bytes);
	}
	g_hash_table_unref(g->items);
	return e;
}

static void virtio_vga_reset(struct dev *d)
{
	struct virtio_vga *g = (struct virtio_vga *)d;

	virtio_reset(&g->v);
	vga_reset(&g->vga);
}

static void virtio_vga_fini(struct dev *d)
{
	struct virtio_vga *g = (struct virtio_vga *)d;

	vga_fini(&g->vga);
	virtio_fini(&g->v);
	g_hash_table_unref(g->items);
	munmap(g->vga.vram, g->vga.vram_bytes);
}

static void virtio_vga_describe(struct dev *d, char *buf, unsigned size)
{
	virtio_describe(&((struct virtio_vga *)d)->v, buf, size);
}

/* ---- state ---- */

/* A resource in the blob; its backing and its pixels follow. */
struct gpu_saved {
	uint32_t id, format, width, height, nbacking, zero;
};

static void gpu_items_get(const void *obj, GByteArray *out)
{
	const struct virtio_vga *g = obj;
	GHashTableIter it;
	gpointer p;

	g_hash_table_iter_init(&it, g->items);
	while (g_hash_table_iter_next(&it, NULL, &p)) {
		const struct gpu_item *i = p;
		struct gpu_saved s = {.id = i->id,
			.format = i->format,
			.width = i->width,
			.height = i->height,
			.nbacking = i->nbacking};

		g_byte_array_append(out, (const uint8_t *)&s, sizeof(s));
		g_byte_array_append(out, (const uint8_t *)i->backing,
			(guint)(i->nbacking * sizeof(i->backing[0])));
		g_byte_array_append(out, (const uint8_t *)i->pixels,
			4 * i->width * i->height);
	}
}

/* One resource off the bytes; false: it could not have been made. */
static bool gpu_item_take(struct virtio_vga *g, const uint8_t **p, size_t *n)
{
	struct gpu_request q = {0};
	struct gpu_item *i;
	struct gpu_saved s;
	size_t backing, pixels;

	if (*n < sizeof(s))
		return false;
	memcpy(&s, *p, sizeof(s));
	q.u.create.resource = s.id;
	q.u.create.format = s.format;
	q.u.create.width = s.width;
	q.u.create.height = s.height;
	if (s.nbacking > GPU_MAX_PAGES)
		return false;
	backing = s.nbacking * sizeof(struct gpu_entry);
	pixels = 4ull * s.width * s.height;
	if (*n - sizeof(s) < backing ||
		*n - sizeof(s) - backing < 4ull * s.width * s.height ||
		gpu_create(g, &q) != GPU_OK)
		return false;
	*p += sizeof(s);
	i = gpu_find(g, s.id);
	i->nbacking = s.nbacking;
	i->backing = backing ? g_memdup2(*p, backing) : NULL;
	memcpy(i->pixels, *p + backing, pixels);
	*p += backing + pixels;
	*n -= sizeof(s) + backing + pixels;
	return true;
}

/* What a look finds wrong taking finds wrong, too: then nothing is shown. */
static int gpu_items_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct virtio_vga *g = obj;
	const uint8_t *p = from->p;
	size_t n = from->n;

	if (!from->apply)
		return 0;
	g_hash_table_remove_all(g->items);
	g->bytes = 0;
	g->scanout = 0;
	while (n)
		if (!gpu_item_take(g, &p, &n)) {
			snprintf(err, errsize, "a resource makes no sense");
			return -EINVAL;
		}
	return 0;
}

static const struct state_blob gpu_items = {.get = gpu_items_get,
	.put = gpu_items_put,
	.max = GPU_MAX_BYTES +
	       GPU_MAX_ITEMS * (uint32_t)sizeof(struct gpu_saved) +
	       (64u << 20)};

static int virtio_vga_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtio_vga *g = obj;
	const struct gpu_item *i = g->scanout ? gpu_find(g, g->scanout) : NULL;

	if (!g->scanout || (i && gpu_inside(i, &g->shown) && g->shown.width &&
				   g->shown.height &&
				   g->shown.width <= DISPLAY_MAX_WIDTH &&
				   g->shown.height <= DISPLAY_MAX_HEIGHT))
		return 0;
	g->scanout = 0;
	snprintf(err, errsize, "what is shown is not there");
	return -EINVAL;
}

static const struct state_field virtio_vga_fields[] = {
	STATE_STRUCT(struct virtio_vga, v, &virtio_state),
	STATE_STRUCT(struct virtio_vga, vga, &vga_state),
	STATE_BLOB("resources", &gpu_items),
	STATE(struct virtio_vga, events),
	STATE(struct virtio_vga, width, .min = 64, .max = DISPLAY_MAX_WIDTH),
	STATE(struct virtio_vga, height, .min = 64, .max = DISPLAY_MAX_HEIGHT),
	STATE(struct virtio_vga, scanout),
	STATE(struct virtio_vga, shown.x),
	STATE(struct virtio_vga, shown.y),
	STATE(struct virtio_vga, shown.width),
	STATE(struct virtio_vga, shown.height),
	STATE(struct virtio_vga, cursor_on),
	STATE(struct virtio_vga, cursor_x, .max = 0xffff),
	STATE(struct virtio_vga, cursor_y, .max = 0xffff),
	STATE_BYTES(struct virtio_vga, cursor),
};

static const struct state_list virtio_vga_state = STATE_LIST("virtio-vga",
	struct virtio_vga, 1, virtio_vga_fields, .loaded = virtio_vga_loaded);

const struct dev_class virtio_vga_class = {
	.name = "virtio-vga",
	.size = sizeof(struct virtio_vga),
	.init = virtio_vga_init,
	.reset = virtio_vga_reset,
	.fini = virtio_vga_fini,
	.describe = virtio_vga_describe,
	.state = &virtio_vga_state,
};
