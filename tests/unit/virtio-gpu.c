/*
 * virtio-gpu.c - the virtio GPU as its driver sees it: resources, pictures,
 * the pointer, another size, and what is refused.
 */
#include "dev/video/vga_priv.h"
#include "dev/video/virtio_vga.h"
#include "virtio-driver.h"

#define V1     (1ull << 32)
#define QUERY  DATA_BASE
#define ANSWER (DATA_BASE + 0x1000)
#define PAGES  (DATA_BASE + 0x10000)

struct rig {
	struct driver d;
	struct display_source source;
	struct display_view view;
};

static void rig_init(struct rig *r)
{
	struct dev_host host = {.vram_bytes = 1 << 20};

	memset(&r->view, 0, sizeof(r->view));
	driver_open(&r->d, &virtio_vga_class, &host);
	virtio_vga_source(r->d.dev, &r->source);
	g_assert_true(driver_offered(&r->d) & 2); /* EDID */
	g_assert_true(driver_negotiate(&r->d, V1 | 2));
	driver_queue(&r->d, 0, 16);
	driver_queue(&r->d, 1, 16);
	driver_go(&r->d);
}

static void rig_fini(struct rig *r)
{
	display_view_fini(&r->view);
	driver_close(&r->d);
}

/* Words behind the header; the type of the answer, which is at ANSWER. */
static uint32_t ask_fenced(struct rig *r, unsigned q, uint32_t type,
	uint32_t flags, const uint32_t *word, unsigned n)
{
	uint32_t hdr[6] = {type, flags, 77, 0, 5, 0}, got[6], id, len;
	struct driver *d = &r->d;

	wr(d, QUERY, hdr, sizeof(hdr));
	if (n)
		wr(d, QUERY + 24, word, 4 * n);
	driver_desc(d, d->q[q].desc, 0, QUERY, 24 + 4 * n, D_NEXT, 1);
	driver_desc(d, d->q[q].desc, 1, ANSWER, 2048, D_WRITE, 0);
	driver_offer(d, q, 0);
	driver_kick(d, q);
	g_assert_true(driver_used(d, q, 100, &id, &len));
	g_assert_cmpuint(len, >=, 24);
	rd(d, ANSWER, got, sizeof(got));
	g_assert_cmpuint(got[1], ==, flags & 1);
	g_assert_cmpuint(got[2], ==, flags & 1 ? 77 : 0);
	return got[0];
}

static uint32_t ask(struct rig *r, unsigned q, uint32_t type,
	const uint32_t *word, unsigned n)
{
	return ask_fenced(r, q, type, 1, word, n);
}

#define ASK(r, type, ...)                                                      \
	ask(r, 0, type, (const uint32_t[]){__VA_ARGS__},                       \
		sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static void test_info(void)
{
	uint32_t mode[6];
	uint8_t edid[128];
	struct rig r;

	rig_init(&r);
	g_assert_cmphex(ask_fenced(&r, 0, 0x100, 0, NULL, 0), ==, 0x1101);
	rd(&r.d, ANSWER + 24, mode, sizeof(mode));
	g_assert_cmpuint(mode[2], ==, 1280);
	g_assert_cmpuint(mode[3], ==, 800);
	g_assert_cmpuint(mode[4], ==, 1);
	g_assert_true(r.source.resize(r.source.opaque, 1001, 601));
	g_assert_cmpuint(bus_mmio_read(r.d.bus, NULL, r.d.device, 4), ==, 1);
	bus_mmio_write(r.d.bus, NULL, r.d.device + 4, 4, 1);
	g_assert_cmpuint(bus_mmio_read(r.d.bus, NULL, r.d.device, 4), ==, 0);
	g_assert_cmphex(ASK(&r, 0x100, 0), ==, 0x1101);
	rd(&r.d, ANSWER + 24, mode, sizeof(mode));
	g_assert_cmpuint(mode[2], ==, 1000);
	g_assert_cmpuint(mode[3], ==, 601);
	g_assert_cmphex(ASK(&r, 0x10a, 0), ==, 0x1104);
	rd(&r.d, ANSWER + 32, edid, sizeof(edid));
	g_assert_cmpuint(edid[54 + 2] | edid[54 + 4] >> 4 << 8, ==, 1000);
	g_assert_cmphex(ASK(&r, 0x10a, 1), ==, 0x1202);
	rig_fini(&r);
}

static uint32_t pixel(unsigned x, unsigned y)
{
	return (x * 7 + y * 1000) * 0x010305 & 0xffffff;
}

/* 100x50 in two pieces of memory, the second of them before the first. */
static void make_picture(struct rig *r, uint32_t id, uint32_t format)
{
	uint32_t line[100];

	g_assert_cmphex(ASK(r, 0x101, id, format, 100, 50), ==, 0x1100);
	g_assert_cmphex(ASK(r, 0x106, id, 2, PAGES + 0x10000, 0, 1234 * 4, 0,
				PAGES, 0, 20000 - 1234 * 4, 0),
		==, 0x1100);
	for (unsigned y = 0; y < 50; y++)
		for (unsigned x = 0; x < 100; x++) {
			unsigned at = y * 100 + x;

			line[0] = pixel(x, y) | 0x55000000;
			wr(&r->d,
				at < 1234 ? PAGES + 0x10000 + 4 * at
					  : PAGES + 4 * (at - 1234),
				line, 4);
		}
	g_assert_cmphex(ASK(r, 0x105, 0, 0, 100, 50, 0, 0, id, 0), ==, 0x1100);
}

static void test_picture(void)
{
	struct rig r;

	rig_init(&r);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmpuint(r.view.width, !=, 60);
	make_picture(&r, 9, 2);
	/* a part of it is shown */
	g_assert_cmphex(ASK(&r, 0x103, 8, 4, 64, 32, 0, 9), ==, 0x1100);
	g_assert_cmphex(ASK(&r, 0x104, 8, 4, 64, 32, 9, 0), ==, 0x1100);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmpuint(r.view.width, ==, 64);
	g_assert_cmpuint(r.view.height, ==, 32);
	for (unsigned y = 0; y < 32; y++)
		for (unsigned x = 0; x < 64; x++)
			g_assert_cmphex(r.view.pixels[y * 64 + x], ==,
				pixel(x + 8, y + 4));
	/* a part of it is brought again, from another place */
	wr(&r.d, PAGES + 0x10000 + 4 * 40, &(uint32_t){0x123456}, 4);
	g_assert_cmphex(
		ASK(&r, 0x105, 10, 5, 1, 1, 4 * 40, 0, 9, 0), ==, 0x1100);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmphex(r.view.pixels[64 + 2], ==, 0x123456);
	/* without it the VGA is seen */
	g_assert_cmphex(ASK(&r, 0x102, 9, 0), ==, 0x1100);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmpuint(r.view.width, !=, 64);
	rig_fini(&r);
}

/* Red, green and blue come out right from each format. */
static void test_formats(void)
{
	static const struct {
		uint32_t format, word;
	} f[] = {{1, 0x00112233}, {2, 0xff112233}, {3, 0x332211ff},
		{4, 0x332211ff}, {67, 0xff332211}, {134, 0xff332211},
		{68, 0x112233ff}, {121, 0x112233ff}};
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < G_N_ELEMENTS(f); i++) {
		make_picture(&r, i + 1, f[i].format);
		wr(&r.d, PAGES + 0x10000, &f[i].word, 4);
		ASK(&r, 0x105, 0, 0, 100, 50, 0, 0, i + 1, 0);
		ASK(&r, 0x103, 0, 0, 100, 50, 0, i + 1);
		r.source.draw(r.source.opaque, &r.view);
		g_assert_cmphex(r.view.pixels[0], ==, 0x112233);
	}
	rig_fini(&r);
}

/* Half transparent, partly beyond the edge. */
static void test_cursor(void)
{
	uint32_t ink = 0x80400000;
	struct rig r;

	rig_init(&r);
	make_picture(&r, 1, 1);
	ASK(&r, 0x103, 0, 0, 100, 50, 0, 1);
	g_assert_cmphex(ASK(&r, 0x101, 2, 1, 64, 64), ==, 0x1100);
	g_assert_cmphex(
		ASK(&r, 0x106, 2, 1, PAGES + 0x20000, 0, 16384, 0), ==, 0x1100);
	for (unsigned i = 0; i < 4096; i++)
		wr(&r.d, PAGES + 0x20000 + 4 * i, &ink, 4);
	ASK(&r, 0x105, 0, 0, 64, 64, 0, 0, 2, 0);
	g_assert_cmphex(
		ask(&r, 1, 0x300, (uint32_t[]){0, 90, 40, 0, 2, 0, 0, 0}, 8),
		==, 0x1100);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmphex(r.view.pixels[39 * 100 + 95], ==, pixel(95, 39));
	g_assert_cmphex(r.view.pixels[45 * 100 + 89], ==, pixel(89, 45));
	g_assert_cmphex(r.view.pixels[45 * 100 + 95] >> 16, ==,
		0x40 + (pixel(95, 45) >> 16) * 127 / 255);
	ask(&r, 1, 0x301, (uint32_t[]){0, 0, 0, 0, 2, 0, 0, 0}, 8);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmphex(r.view.pixels[45 * 100 + 95], ==, pixel(95, 45));
	ask(&r, 1, 0x300, (uint32_t[]){0, 0, 0, 0, 0, 0, 0, 0}, 8);
	r.source.draw(r.source.opaque, &r.view);
	g_assert_cmphex(r.view.pixels[0], ==, pixel(0, 0));
	rig_fini(&r);
}

static void test_errors(void)
{
	struct rig r;

	rig_init(&r);
	make_picture(&r, 1, 1);
	g_assert_cmphex(ASK(&r, 0x101, 1, 1, 8, 8), ==, 0x1203);
	g_assert_cmphex(ASK(&r, 0x101, 0, 1, 8, 8), ==, 0x1203);
	g_assert_cmphex(ASK(&r, 0x101, 2, 99, 8, 8), ==, 0x1205);
	g_assert_cmphex(ASK(&r, 0x101, 2, 1, 0, 8), ==, 0x1205);
	g_assert_cmphex(ASK(&r, 0x101, 2, 1, 16384, 16384), ==, 0x1201);
	g_assert_cmphex(ASK(&r, 0x102, 7, 0), ==, 0x1203);
	g_assert_cmphex(ASK(&r, 0x103, 0, 0, 100, 50, 1, 1), ==, 0x1202);
	g_assert_cmphex(ASK(&r, 0x103, 0, 0, 100, 51, 0, 1), ==, 0x1205);
	g_assert_cmphex(ASK(&r, 0x103, 0xffffffff, 0, 2, 2, 0, 1), ==, 0x1205);
	g_assert_cmphex(ASK(&r, 0x103, 0, 0, 9, 9, 0, 7), ==, 0x1203);
	g_assert_cmphex(ASK(&r, 0x104, 0, 0, 9, 9, 7, 0), ==, 0x1203);
	g_assert_cmphex(ASK(&r, 0x105, 0, 0, 100, 50, 4, 0, 1, 0), ==, 0x1200);
	g_assert_cmphex(ASK(&r, 0x105, 1, 0, 100, 50, 0, 0, 1, 0), ==, 0x1205);
	g_assert_cmphex(
		ASK(&r, 0x105, 0, 0, 9, 9, 0, 0x80000000, 1, 0), ==, 0x1205);
	/* memory twice, more entries than are there, none */
	g_assert_cmphex(ASK(&r, 0x106, 1, 1, PAGES, 0, 16, 0), ==, 0x1200);
	g_assert_cmphex(ASK(&r, 0x101, 2, 1, 8, 8), ==, 0x1100);
	g_assert_cmphex(ASK(&r, 0x106, 2, 2, PAGES, 0, 16, 0), ==, 0x1205);
	g_assert_cmphex(ASK(&r, 0x106, 2, 0), ==, 0x1205);
	g_assert_cmphex(ASK(&r, 0x105, 0, 0, 8, 8, 0, 0, 2, 0), ==, 0x1200);
	g_assert_cmphex(ASK(&r, 0x107, 1, 0), ==, 0x1100);
	g_assert_cmphex(ASK(&r, 0x107, 7, 0), ==, 0x1203);
	g_assert_cmphex(ASK(&r, 0x999, 0), ==, 0x1200);
	rig_fini(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio-gpu/info", test_info);
	g_test_add_func("/virtio-gpu/picture", test_picture);
	g_test_add_func("/virtio-gpu/formats", test_formats);
	g_test_add_func("/virtio-gpu/cursor", test_cursor);
	g_test_add_func("/virtio-gpu/errors", test_errors);
	return g_test_run();
}
