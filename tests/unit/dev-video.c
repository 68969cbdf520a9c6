/*
 * dev-video.c - the VGA: what registers read back, what bytes written to its
 * memory become, and the pictures of each kind of mode, which the test works
 * out by itself.
 */
#include "dev-board.h"
#include "dev/video/vga_priv.h"

#define LEGACY 0xa0000

struct rig {
	struct board b;
	struct dev *dev;
	struct vga *vga;
	struct display_source source;
	struct display_view view;
};

static void rig_init(struct rig *r)
{
	board_init(&r->b, 1);
	memset(&r->view, 0, sizeof(r->view));
	r->b.host.vram_bytes = 4 << 20;
	r->dev = board_add(&r->b, "vga");
	r->vga = vga_of(r->dev);
	vga_source(r->dev, &r->source);
}

static void rig_fini(struct rig *r)
{
	display_view_fini(&r->view);
	board_fini(&r->b);
}

static void set(struct rig *r, uint16_t port, uint8_t index, uint8_t val)
{
	outb(&r->b, port, index);
	outb(&r->b, port + 1, val);
}

static uint8_t get(struct rig *r, uint16_t port, uint8_t index)
{
	outb(&r->b, port, index);
	return inb(&r->b, port + 1);
}

static void set_attr(struct rig *r, uint8_t index, uint8_t val)
{
	inb(&r->b, 0x3da);
	outb(&r->b, 0x3c0, index);
	outb(&r->b, 0x3c0, val);
}

static void poke(struct rig *r, uint32_t off, uint8_t val)
{
	bus_mmio_write(r->b.bus, NULL, LEGACY + off, 1, val);
}

static uint8_t peek(struct rig *r, uint32_t off)
{
	return bus_mmio_read(r->b.bus, NULL, LEGACY + off, 1);
}

static void dispi(struct rig *r, uint16_t index, uint16_t val)
{
	bus_io_write(r->b.bus, 0x1ce, 2, index);
	bus_io_write(r->b.bus, 0x1cf, 2, val);
}

static uint16_t dispi_get(struct rig *r, uint16_t index)
{
	bus_io_write(r->b.bus, 0x1ce, 2, index);
	return bus_io_read(r->b.bus, 0x1cf, 2);
}

/* ---- registers ---- */

static void test_registers(void)
{
	static const uint8_t seq[] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
	static const uint8_t gfx[] = {
		0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
	struct rig r;

	rig_init(&r);
	outb(&r.b, 0x3c2, 0xff);
	g_assert_cmphex(inb(&r.b, 0x3cc), ==, 0xef);
	for (unsigned i = 0; i < 5; i++) {
		set(&r, 0x3c4, i, 0xff);
		g_assert_cmphex(get(&r, 0x3c4, i), ==, seq[i]);
	}
	for (unsigned i = 0; i < 9; i++) {
		set(&r, 0x3ce, i, 0xff);
		g_assert_cmphex(get(&r, 0x3ce, i), ==, gfx[i]);
	}
	set(&r, 0x3ce, 9, 0xff);
	g_assert_cmphex(get(&r, 0x3ce, 9), ==, 0);
	outb(&r.b, 0x3da, 0xff);
	g_assert_cmphex(inb(&r.b, 0x3ca), ==, 0x0b);
	/* monochrome: the ports move */
	outb(&r.b, 0x3c2, 0x02);
	set(&r, 0x3b4, 0x0e, 0x5a);
	g_assert_cmphex(get(&r, 0x3d4, 0x0e), ==, 0xff);
	g_assert_cmphex(get(&r, 0x3b4, 0x0e), ==, 0x5a);
	outb(&r.b, 0x3c2, 0x03);
	g_assert_cmphex(get(&r, 0x3d4, 0x0e), ==, 0x5a);
	rig_fini(&r);
}

static void test_crtc(void)
{
	struct rig r;

	rig_init(&r);
	outb(&r.b, 0x3c2, 0x67);
	for (unsigned i = 0; i < 0x19; i++)
		set(&r, 0x3d4, i, i == 0x11 ? 0x0e : 0xa0 + i);
	for (unsigned i = 0; i < 0x19; i++)
		g_assert_cmphex(
			get(&r, 0x3d4, i), ==, i == 0x11 ? 0x0e : 0xa0 + i);
	g_assert_cmphex(get(&r, 0x3d4, 0x19), ==, 0);
	/* protected: only bit 4 of register 7 changes */
	set(&r, 0x3d4, 0x11, 0x8e);
	for (unsigned i = 0; i < 8; i++)
		set(&r, 0x3d4, i, 0x10);
	for (unsigned i = 0; i < 7; i++)
		g_assert_cmphex(get(&r, 0x3d4, i), ==, 0xa0 + i);
	g_assert_cmphex(get(&r, 0x3d4, 7), ==, 0xb7);
	set(&r, 0x3d4, 8, 0x10);
	g_assert_cmphex(get(&r, 0x3d4, 8), ==, 0x10);
	rig_fini(&r);
}

static void test_attributes(void)
{
	struct rig r;

	rig_init(&r);
	outb(&r.b, 0x3c2, 0x67);
	set_attr(&r, 3, 0xff);
	set_attr(&r, 0x10, 0xff);
	g_assert_cmphex(inb(&r.b, 0x3c1), ==, 0xef);
	outb(&r.b, 0x3c0, 0x23); /* index, the screen on */
	g_assert_cmphex(inb(&r.b, 0x3c0), ==, 0x23);
	g_assert_cmphex(inb(&r.b, 0x3c1), ==, 0x3f);
	/* the palette cannot be written then */
	outb(&r.b, 0x3c0, 0x00);
	g_assert_cmphex(inb(&r.b, 0x3c1), ==, 0x3f);
	g_assert_cmphex(get(&r, 0x3d4, 0x24), ==, 0);
	outb(&r.b, 0x3c0, 0x20);
	g_assert_cmphex(get(&r, 0x3d4, 0x24), ==, 0x80);
	inb(&r.b, 0x3da);
	g_assert_cmphex(get(&r, 0x3d4, 0x24), ==, 0);
	rig_fini(&r);
}

static void test_dac(void)
{
	struct rig r;

	rig_init(&r);
	outb(&r.b, 0x3c8, 0xff);
	for (unsigned i = 0; i < 6; i++)
		outb(&r.b, 0x3c9, 0xc0 + i);
	g_assert_cmphex(inb(&r.b, 0x3c8), ==, 1);
	g_assert_cmphex(inb(&r.b, 0x3c7), ==, 0);
	outb(&r.b, 0x3c7, 0xff);
	g_assert_cmphex(inb(&r.b, 0x3c7), ==, 3);
	for (unsigned i = 0; i < 6; i++)
		g_assert_cmphex(inb(&r.b, 0x3c9), ==, i);
	/* colours that are not complete change nothing */
	outb(&r.b, 0x3c8, 5);
	outb(&r.b, 0x3c9, 0x3f);
	outb(&r.b, 0x3c7, 5);
	g_assert_cmphex(inb(&r.b, 0x3c9), ==, 0);
	rig_fini(&r);
}

/* The retrace comes and goes, and with it the rest. */
static void test_retrace(void)
{
	unsigned seen = 0;
	struct rig r;

	rig_init(&r);
	vga_set_text_mode(r.dev, (const uint8_t[4096]){0});
	for (gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
		seen != 15 && g_get_monotonic_time() < end;) {
		uint8_t s = inb(&r.b, 0x3da);

		seen |= s & 8 ? 1 : 2;
		seen |= s & 1 ? 4 : 8;
		g_assert_true(!(s & 8) || (s & 1));
	}
	g_assert_cmphex(seen, ==, 15);
	rig_fini(&r);
}

/* ---- memory ---- */

static void planar(struct rig *r)
{
	outb(&r->b, 0x3c2, 0x67);
	set(r, 0x3c4, 2, 0x0f);
	set(r, 0x3c4, 4, 0x06);
	for (unsigned i = 0; i < 9; i++)
		set(r, 0x3ce, i, i == 6 ? 5 : i == 8 ? 0xff : 0);
}

static uint32_t word(const struct rig *r, uint32_t at)
{
	uint32_t w;

	memcpy(&w, r->vga->vram + 4 * at, 4);
	return w;
}

/* Each write is made over what the one before left; the latches hold
 * 0x0ff03cc3 (planes 3 to 0). */
static void test_write_modes(void)
{
	static const struct {
		uint8_t mask, mode, set_reset, enable, rotate, bits, val;
		uint32_t want;
	} step[] = {
		/* rotate, all planes */
		{15, 0, 0, 0, 3, 0xff, 0x81, 0x30303030},
		/* bit mask keeps the latches */
		{15, 0, 0, 0, 0, 0x0f, 0xff, 0x0fff3fcf},
		/* set/reset for planes 0 and 2: 1 and 0 */
		{15, 0, 1, 5, 0, 0xff, 0xaa, 0xaa00aaff},
		/* map mask: plane 1 only */
		{2, 0, 0, 0, 0, 0xff, 0x11, 0xaa0011ff},
		/* and, or, xor with the latches */
		{15, 0, 0, 0, 0x08, 0xff, 0xf0, 0x00f030c0},
		{15, 0, 0, 0, 0x10, 0xff, 0xf0, 0xfff0fcf3},
		{15, 0, 0, 0, 0x18, 0xff, 0xff, 0xf00fc33c},
		/* 1: the latches */
		{15, 1, 0, 0, 0, 0x00, 0x55, 0x0ff03cc3},
		/* 2: a bit a plane */
		{15, 2, 0, 0, 0, 0xf0, 0x0a, 0xff00fc03},
		/* 3: set/reset through the data and the mask */
		{15, 3, 9, 0, 1, 0x3f, 0x1e, 0x0ff030cf},
	};
	struct rig r;

	rig_init(&r);
	planar(&r);
	memcpy(r.vga->vram + 400, (const uint32_t[]){0x0ff03cc3}, 4);
	for (unsigned i = 0; i < G_N_ELEMENTS(step); i++) {
		set(&r, 0x3c4, 2, step[i].mask);
		set(&r, 0x3ce, 0, step[i].set_reset);
		set(&r, 0x3ce, 1, step[i].enable);
		set(&r, 0x3ce, 3, step[i].rotate);
		set(&r, 0x3ce, 5, step[i].mode);
		set(&r, 0x3ce, 8, step[i].bits);
		peek(&r, 100);
		poke(&r, 7, step[i].val);
		g_assert_cmphex(word(&r, 7), ==, step[i].want);
	}
	rig_fini(&r);
}

static void test_read_modes(void)
{
	struct rig r;

	rig_init(&r);
	planar(&r);
	memcpy(r.vga->vram + 4 * 9, (const uint32_t[]){0x0ff03cc3}, 4);
	for (unsigned p = 0; p < 4; p++) {
		set(&r, 0x3ce, 4, p);
		g_assert_cmphex(peek(&r, 9), ==, (0x0ff03cc3 >> 8 * p) & 0xff);
		g_assert_cmphex(
			get(&r, 0x3d4, 0x22), ==, (0x0ff03cc3 >> 8 * p) & 0xff);
	}
	/* colour compare: pixels that are 5, then with plane 0 not looked at */
	set(&r, 0x3ce, 5, 0x08);
	set(&r, 0x3ce, 2, 5);
	set(&r, 0x3ce, 7, 15);
	g_assert_cmphex(peek(&r, 9), ==, 0xc3 & ~0x3c & 0xf0 & ~0x0f);
	set(&r, 0x3ce, 7, 14);
	g_assert_cmphex(peek(&r, 9), ==, ~0x3c & 0xf0 & ~0x0f & 0xff);
	rig_fini(&r);
}

/* Text: characters in plane 0, attributes in plane 1. */
static void test_odd_even(void)
{
	struct rig r;

	rig_init(&r);
	vga_set_text_mode(r.dev, (const uint8_t[4096]){0});
	poke(&r, 0x18000 + 2, 'A');
	poke(&r, 0x18000 + 3, 0x1e);
	g_assert_cmphex(word(&r, 2), ==, 0x1e41);
	g_assert_cmphex(peek(&r, 0x18002), ==, 'A');
	g_assert_cmphex(peek(&r, 0x18003), ==, 0x1e);
	g_assert_cmphex(peek(&r, 0x0), ==, 0xff); /* not selected */
	/* the other page */
	outb(&r.b, 0x3c2, 0x47);
	g_assert_cmphex(peek(&r, 0x18002), ==, 0);
	/* RAM off */
	outb(&r.b, 0x3c2, 0x65);
	g_assert_cmphex(peek(&r, 0x18002), ==, 0xff);
	rig_fini(&r);
}

static const uint8_t *host_page(struct rig *r, bool write)
{
	struct bus_page p;

	bus_resolve(r->b.bus, LEGACY, &p);
	return write ? p.write : p.read;
}

/* Chain 4 is memory only while a byte written is a byte stored. */
static void test_direct(void)
{
	static const struct {
		uint16_t port;
		uint8_t index, val;
	} off[] = {{0x3c4, 2, 7}, {0x3c4, 4, 6}, {0x3ce, 1, 1}, {0x3ce, 3, 8},
		{0x3ce, 5, 1}, {0x3ce, 8, 0x7f}, {0x3ce, 6, 0x0d}};
	struct rig r;

	rig_init(&r);
	planar(&r);
	g_assert_null(host_page(&r, false));
	set(&r, 0x3c4, 4, 0x0e);
	g_assert_true(host_page(&r, true) == r.vga->vram);
	for (unsigned i = 0; i < G_N_ELEMENTS(off); i++) {
		uint8_t old = get(&r, off[i].port, off[i].index);

		set(&r, off[i].port, off[i].index, off[i].val);
		g_assert_null(host_page(&r, true));
		set(&r, off[i].port, off[i].index, old);
		g_assert_nonnull(host_page(&r, true));
	}
	poke(&r, 5, 0x77);
	g_assert_cmphex(r.vga->vram[5], ==, 0x77);
	bus_lock(r.b.bus);
	vga_set_direct(r.dev, false);
	bus_unlock(r.b.bus);
	g_assert_null(host_page(&r, false));
	g_assert_cmphex(peek(&r, 5), ==, 0x77);
	rig_fini(&r);
}

static void count(void *opaque)
{
	++*(unsigned *)opaque;
}

static void test_wake(void)
{
	unsigned woken = 0;
	struct rig r;

	rig_init(&r);
	planar(&r);
	set(&r, 0x3c4, 4, 0x0e);
	r.source.arm(r.source.opaque, count, &woken);
	g_assert_nonnull(host_page(&r, false));
	g_assert_null(host_page(&r, true));
	inb(&r.b, 0x3da);
	peek(&r, 0);
	g_assert_cmpuint(woken, ==, 0);
	poke(&r, 0, 1);
	g_assert_cmpuint(woken, ==, 1);
	g_assert_nonnull(host_page(&r, true));
	poke(&r, 0, 2);
	g_assert_cmpuint(woken, ==, 1);
	r.source.arm(r.source.opaque, count, &woken);
	outb(&r.b, 0x3c6, 0xff);
	g_assert_cmpuint(woken, ==, 2);
	rig_fini(&r);
}

/* ---- pictures ---- */

static void set_crtc(struct rig *r, const uint8_t crtc[0x19])
{
	set(r, 0x3d4, 0x11, 0);
	for (unsigned i = 0; i < 0x19; i++)
		set(r, 0x3d4, i, crtc[i]);
}

/* A palette that tells every index apart; attributes one to one. */
static void colours(struct rig *r, uint8_t mode)
{
	outb(&r->b, 0x3c6, 0xff);
	outb(&r->b, 0x3c8, 0);
	for (unsigned i = 0; i < 256; i++) {
		outb(&r->b, 0x3c9, i & 63);
		outb(&r->b, 0x3c9, i >> 2 & 63);
		outb(&r->b, 0x3c9, (i * 7) & 63);
	}
	for (unsigned i = 0; i < 16; i++)
		set_attr(r, i, i);
	set_attr(r, 0x10, mode);
	set_attr(r, 0x12, 15);
	set_attr(r, 0x13, 0);
	set_attr(r, 0x14, 0);
	inb(&r->b, 0x3da);
	outb(&r->b, 0x3c0, 0x20);
}

static uint32_t six(unsigned v)
{
	return (v & 63) << 2 | (v & 63) >> 4;
}

static uint32_t colour(unsigned i)
{
	return six(i) << 16 | six(i >> 2) << 8 | six(i * 7);
}

static void scramble(struct rig *r)
{
	uint32_t x = 1;

	for (uint32_t i = 0; i < r->vga->vram_bytes; i++) {
		x = x * 1664525 + 1013904223;
		r->vga->vram[i] = x >> 24;
	}
}

typedef uint32_t pixel_fn(const struct rig *r, unsigned x, unsigned y);

static void compare(
	struct rig *r, unsigned width, unsigned height, pixel_fn *want)
{
	r->source.draw(r->source.opaque, &r->view);
	g_assert_cmpuint(r->view.width, ==, width);
	g_assert_cmpuint(r->view.height, ==, height);
	for (unsigned y = 0; y < height; y++)
		for (unsigned x = 0; x < width; x++)
			if (r->view.pixels[y * width + x] != want(r, x, y))
				g_error("(%u, %u) is %06x, not %06x", x, y,
					r->view.pixels[y * width + x],
					want(r, x, y));
	/* nothing has changed since */
	r->source.draw(r->source.opaque, &r->view);
	g_assert_false(r->view.dirty);
}

static unsigned plane_bits(const uint8_t *vram, unsigned byte, unsigned bit)
{
	unsigned c = 0;

	for (unsigned p = 0; p < 4; p++)
		c |= (vram[4 * byte + p] >> (7 - bit) & 1u) << p;
	return c;
}

static const uint8_t crtc_12h[0x19] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b,
	0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 4,
	0xe3, 0xff};

static uint32_t want_12h(const struct rig *r, unsigned x, unsigned y)
{
	return colour(plane_bits(r->vga->vram, y * 80 + x / 8, x % 8));
}

/* Started at 1000, moved by 3; from line 100 again at 0, not moved. */
static uint32_t want_12h_split(const struct rig *r, unsigned x, unsigned y)
{
	if (y >= 100)
		return want_12h(r, x, y - 100);
	x += 3;
	return colour(plane_bits(r->vga->vram, 1000 + y * 80 + x / 8, x % 8));
}

static void test_12h(void)
{
	struct rig r;

	rig_init(&r);
	planar(&r);
	set(&r, 0x3c4, 1, 0x01);
	set_crtc(&r, crtc_12h);
	colours(&r, 0x21);
	scramble(&r);
	compare(&r, 640, 480, want_12h);
	set(&r, 0x3d4, 0x0c, 1000 >> 8);
	set(&r, 0x3d4, 0x0d, 1000 & 0xff);
	set(&r, 0x3d4, 0x18, 99);
	set(&r, 0x3d4, 0x07, 0x2e);
	set(&r, 0x3d4, 0x09, 0x00);
	set_attr(&r, 0x13 | 0x20, 3);
	compare(&r, 640, 480, want_12h_split);
	rig_fini(&r);
}

static const uint8_t crtc_13h[0x19] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf,
	0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96,
	0xb9, 0xa3, 0xff};

static uint32_t want_13h(const struct rig *r, unsigned x, unsigned y)
{
	return colour(r->vga->vram[y / 2 * 320 + x / 2]);
}

/* Drawn through the window, as programs do. */
static void test_13h(void)
{
	struct rig r;

	rig_init(&r);
	planar(&r);
	set(&r, 0x3c4, 1, 0x01);
	set(&r, 0x3c4, 4, 0x0e);
	set(&r, 0x3ce, 5, 0x40);
	set_crtc(&r, crtc_13h);
	colours(&r, 0x41);
	scramble(&r);
	for (unsigned i = 0; i < 64000; i++)
		poke(&r, i, i * 13 >> 3);
	g_assert_cmphex(r.vga->vram[1000], ==, 1000 * 13 >> 3 & 0xff);
	compare(&r, 640, 400, want_13h);
	rig_fini(&r);
}

/* Unchained, 240 lines: plane by plane through the map mask. */
static void test_mode_x(void)
{
	static const struct {
		uint8_t index, val;
	} change[] = {{0x14, 0}, {0x17, 0xe3}, {0x11, 0x2c}, {0x06, 0x0d},
		{0x07, 0x3e}, {0x10, 0xea}, {0x12, 0xdf}, {0x15, 0xe7},
		{0x16, 0x06}};
	struct rig r;

	rig_init(&r);
	planar(&r);
	set(&r, 0x3c4, 1, 0x01);
	set(&r, 0x3ce, 5, 0x40);
	set_crtc(&r, crtc_13h);
	for (unsigned i = 0; i < G_N_ELEMENTS(change); i++)
		set(&r, 0x3d4, change[i].index, change[i].val);
	colours(&r, 0x41);
	for (unsigned p = 0; p < 4; p++) {
		set(&r, 0x3c4, 2, 1u << p);
		for (unsigned i = 0; i < 80 * 240; i++)
			poke(&r, i, i * 29 + p * 77);
	}
	g_assert_cmphex(
		r.vga->vram[4 * 100 + 2], ==, (100 * 29 + 2 * 77) & 0xff);
	compare(&r, 640, 480, want_13h);
	rig_fini(&r);
}

static const uint8_t crtc_cga[0x19] = {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf,
	0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96,
	0xb9, 0xa2, 0xff};

static uint8_t cga_byte(const struct rig *r, unsigned at)
{
	return r->vga->vram[4 * (at & ~1u) + (at & 1)];
}

/* Four colours: even lines, then odd ones 8 KiB further. */
static uint32_t want_4(const struct rig *r, unsigned x, unsigned y)
{
	uint8_t b;

	x /= 2;
	y /= 2;
	b = cga_byte(r, y / 2 * 80 + (y & 1) * 0x2000 + x / 4);
	return colour(b >> (6 - 2 * (x & 3)) & 3);
}

static uint32_t want_6(const struct rig *r, unsigned x, unsigned y)
{
	unsigned at;

	y /= 2;
	at = y / 2 * 80 + (y & 1) * 0x2000 + x / 8;
	return colour(r->vga->vram[4 * at] >> (7 - (x & 7)) & 1);
}

static void test_cga(void)
{
	struct rig r;

	rig_init(&r);
	planar(&r);
	set(&r, 0x3c4, 1, 0x09);
	set(&r, 0x3c4, 2, 0x03);
	set(&r, 0x3c4, 4, 0x02);
	set(&r, 0x3ce, 5, 0x30);
	set(&r, 0x3ce, 6, 0x0f);
	set_crtc(&r, crtc_cga);
	colours(&r, 0x01);
	set_attr(&r, 0x12, 3);
	inb(&r.b, 0x3da);
	outb(&r.b, 0x3c0, 0x20);
	for (unsigned i = 0; i < 0x4000; i++)
		poke(&r, 0x18000 + i, i * 5 >> 2);
	compare(&r, 640, 400, want_4);
	set(&r, 0x3c4, 1, 0x01);
	set(&r, 0x3c4, 4, 0x06);
	set(&r, 0x3c4, 2, 0x01);
	set(&r, 0x3ce, 5, 0);
	set(&r, 0x3ce, 6, 0x0d);
	set(&r, 0x3d4, 0x11, 0x0e);
	set(&r, 0x3d4, 1, 79);
	set(&r, 0x3d4, 0x13, 40);
	set(&r, 0x3d4, 0x17, 0xc2);
	set_attr(&r, 0x12, 1);
	inb(&r.b, 0x3da);
	outb(&r.b, 0x3c0, 0x20);
	scramble(&r);
	compare(&r, 640, 400, want_6);
	rig_fini(&r);
}

/* ---- text ---- */

static uint8_t glyph_row(unsigned c, unsigned row)
{
	return c * 31 + row * 73;
}

static void fill_font(uint8_t font[4096])
{
	for (unsigned i = 0; i < 4096; i++)
		font[i] = glyph_row(i / 16, i % 16);
}

static uint32_t want_text(const struct rig *r, unsigned x, unsigned y)
{
	unsigned cell = y / 16 * 80 + x / 9, row = y % 16, col = x % 9;
	unsigned c = (cell * 7) & 0xff, attr = (cell * 3) & 0xff;
	unsigned dots = glyph_row(c, row) << 1;
	bool ink;

	if (c >= 0xc0 && c <= 0xdf)
		dots |= dots >> 1 & 1;
	ink = dots >> (8 - col) & 1;
	/* the cursor: lines 13 and 14 of cell 85 */
	if (cell == 85 && (row == 13 || row == 14))
		ink = true;
	return colour(ink ? attr & 15 : attr >> 4 & 7);
}

static void test_text(void)
{
	struct display_text *t = g_new0(struct display_text, 1);
	uint8_t font[4096];
	struct rig r;

	rig_init(&r);
	fill_font(font);
	vga_set_text_mode(r.dev, font);
	colours(&r, 0x0c);
	set_attr(&r, 0x13 | 0x20, 8);
	for (unsigned i = 0; i < 2000; i++) {
		poke(&r, 0x18000 + 2 * i, i * 7);
		poke(&r, 0x18001 + 2 * i, i * 3);
	}
	set(&r, 0x3d4, 0x0e, 0);
	set(&r, 0x3d4, 0x0f, 85);
	compare(&r, 720, 400, want_text);
	g_assert_true(r.source.text(r.source.opaque, t));
	g_assert_cmpuint(t->cols, ==, 80);
	g_assert_cmpuint(t->rows, ==, 25);
	g_assert_cmpuint(t->cursor_row * 80 + t->cursor_col, ==, 85);
	for (unsigned i = 0; i < 2000; i++)
		g_assert_cmphex(
			t->cell[i], ==, (i * 7 & 0xff) | (i * 3 & 0xff) << 8);
	/* scrolled by a row */
	set(&r, 0x3d4, 0x0d, 80);
	g_assert_true(r.source.text(r.source.opaque, t));
	g_assert_cmphex(t->cell[0] & 0xff, ==, 80 * 7 & 0xff);
	g_assert_cmpuint(t->cursor_row, ==, 0);
	g_free(t);
	rig_fini(&r);
}

static uint32_t want_black(const struct rig *r, unsigned x, unsigned y)
{
	return 0;
}

static void test_blank(void)
{
	struct rig r;

	rig_init(&r);
	planar(&r);
	set(&r, 0x3c4, 1, 0x21);
	set_crtc(&r, crtc_12h);
	colours(&r, 0x01);
	scramble(&r);
	compare(&r, 640, 480, want_black);
	set(&r, 0x3c4, 1, 0x01);
	compare(&r, 640, 480, want_12h);
	inb(&r.b, 0x3da);
	outb(&r.b, 0x3c0, 0);
	compare(&r, 640, 480, want_black);
	rig_fini(&r);
}

/* ---- DISPI ---- */

static uint32_t five(unsigned v)
{
	return (v & 31) << 3 | (v & 31) >> 2;
}

/* 320x100 at (8, 5) of lines of 400. */
static uint32_t want_dispi(const struct rig *r, unsigned x, unsigned y)
{
	unsigned bpp = r->vga->r.dispi[DISPI_BPP];
	unsigned at = (y + 5) * 400 + x + 8;
	const uint8_t *p = r->vga->vram + at * ((bpp + 7) / 8);
	unsigned w = p[0] | p[1] << 8;

	switch (bpp) {
	case 4: return colour(plane_bits(r->vga->vram, at / 8, at % 8));
	case 8: return colour(*p);
	case 15: return five(w >> 10) << 16 | five(w >> 5) << 8 | five(w);
	case 16: return five(w >> 11) << 16 | six(w >> 5) << 8 | five(w);
	default: return p[0] | p[1] << 8 | (uint32_t)p[2] << 16;
	}
}

static void test_dispi(void)
{
	static const uint8_t bpps[] = {4, 8, 15, 16, 24, 32};
	struct rig r;

	rig_init(&r);
	colours(&r, 0x01);
	g_assert_cmphex(dispi_get(&r, DISPI_ID), ==, 0xb0c5);
	dispi(&r, DISPI_ID, 0xb0c0);
	g_assert_cmphex(dispi_get(&r, DISPI_ID), ==, 0xb0c0);
	dispi(&r, DISPI_ID, 0x1234);
	g_assert_cmphex(dispi_get(&r, DISPI_ID), ==, 0xb0c0);
	g_assert_cmpuint(dispi_get(&r, DISPI_MEMORY), ==, 64);
	for (unsigned i = 0; i < sizeof(bpps); i++) {
		dispi(&r, DISPI_ENABLE, 0);
		dispi(&r, DISPI_XRES, 320);
		dispi(&r, DISPI_YRES, 100);
		dispi(&r, DISPI_BPP, bpps[i]);
		r.vga->vram[0] = 0x55;
		dispi(&r, DISPI_ENABLE, 0x41);
		g_assert_cmphex(r.vga->vram[0], ==, 0);
		dispi(&r, DISPI_VIRT_WIDTH, 400);
		dispi(&r, DISPI_X_OFFSET, 8);
		dispi(&r, DISPI_Y_OFFSET, 5);
		scramble(&r);
		compare(&r, 320, 100, want_dispi);
	}
	rig_fini(&r);
}

/* Whatever is asked for, the picture lies within memory. */
static void test_dispi_limits(void)
{
	struct rig r;

	rig_init(&r);
	colours(&r, 0x01);
	dispi(&r, DISPI_XRES, 0xffff);
	dispi(&r, DISPI_YRES, 0xffff);
	dispi(&r, DISPI_BPP, 32);
	dispi(&r, DISPI_ENABLE, 0xc1);
	g_assert_cmpuint(dispi_get(&r, DISPI_XRES), ==, 4096);
	g_assert_cmpuint(dispi_get(&r, DISPI_YRES), ==, 256);
	dispi(&r, DISPI_Y_OFFSET, 0xffff);
	g_assert_cmpuint(dispi_get(&r, DISPI_Y_OFFSET), ==, 0);
	dispi(&r, DISPI_VIRT_WIDTH, 0xffff);
	g_assert_cmpuint(dispi_get(&r, DISPI_VIRT_WIDTH), ==, 4096);
	dispi(&r, DISPI_BPP, 3);
	g_assert_cmpuint(dispi_get(&r, DISPI_BPP), ==, 8);
	r.source.draw(r.source.opaque, &r.view);
	dispi(&r, DISPI_ENABLE, 3);
	g_assert_cmpuint(dispi_get(&r, DISPI_BPP), ==, 32);
	/* banks */
	dispi(&r, DISPI_BANK, 63);
	poke(&r, 0xffff, 0x99);
	g_assert_cmphex(r.vga->vram[(4 << 20) - 1], ==, 0x99);
	dispi(&r, DISPI_BANK, 64);
	g_assert_cmpuint(dispi_get(&r, DISPI_BANK), ==, 63);
	rig_fini(&r);
}

static void test_edid(void)
{
	uint8_t e[128], sum = 0;

	vga_edid(e, 1280, 800);
	for (unsigned i = 0; i < 128; i++)
		sum += e[i];
	g_assert_cmphex(sum, ==, 0);
	g_assert_cmpuint(e[54 + 2] | e[54 + 4] >> 4 << 8, ==, 1280);
	g_assert_cmpuint(e[54 + 5] | e[54 + 7] >> 4 << 8, ==, 800);
}

/* Registers at random: whatever comes, it stays within bounds. */
static void test_random(void)
{
	GRand *g = g_rand_new_with_seed(1);
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t x = g_rand_int(g);

		switch (x & 3) {
		case 0: outb(&r.b, 0x3b0 + (x >> 8) % 48, x >> 16); break;
		case 1: dispi(&r, (x >> 8) % 12, x >> 16); break;
		case 2:
			bus_mmio_write(r.b.bus, NULL,
				LEGACY + (x >> 8 & 0x1fff8), 8, x * 77ull);
			break;
		case 3:
			bus_mmio_read(
				r.b.bus, NULL, LEGACY + (x >> 8 & 0x1ffff), 1);
			break;
		}
		if (i % 500 == 0)
			r.source.draw(r.source.opaque, &r.view);
	}
	g_rand_free(g);
	rig_fini(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vga/registers", test_registers);
	g_test_add_func("/vga/crtc", test_crtc);
	g_test_add_func("/vga/attributes", test_attributes);
	g_test_add_func("/vga/dac", test_dac);
	g_test_add_func("/vga/retrace", test_retrace);
	g_test_add_func("/vga/write-modes", test_write_modes);
	g_test_add_func("/vga/read-modes", test_read_modes);
	g_test_add_func("/vga/odd-even", test_odd_even);
	g_test_add_func("/vga/direct", test_direct);
	g_test_add_func("/vga/wake", test_wake);
	g_test_add_func("/vga/12h", test_12h);
	g_test_add_func("/vga/13h", test_13h);
	g_test_add_func("/vga/mode-x", test_mode_x);
	g_test_add_func("/vga/cga", test_cga);
	g_test_add_func("/vga/text", test_text);
	g_test_add_func("/vga/blank", test_blank);
	g_test_add_func("/vga/dispi", test_dispi);
	g_test_add_func("/vga/dispi-limits", test_dispi_limits);
	g_test_add_func("/vga/edid", test_edid);
	g_test_add_func("/vga/random", test_random);
	return g_test_run();
}
