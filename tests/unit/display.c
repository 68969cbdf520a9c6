/*
 * display.c - what a view tells of changes, keys by name, text in pictures.
 */
#include <string.h>

#include <glib.h>

#include "display/display.h"

struct told {
	unsigned n, resized;
	unsigned x, y, width, height; /* the last one */
};

static void changed(
	void *opaque, unsigned x, unsigned y, unsigned width, unsigned height)
{
	struct told *t = opaque;

	t->n++;
	t->x = x;
	t->y = y;
	t->width = width;
	t->height = height;
}

static void resized(void *opaque)
{
	((struct told *)opaque)->resized++;
}

static void draw(struct display_view *v, uint32_t picture[6][10])
{
	display_view_size(v, 10, 6);
	for (unsigned y = 0; y < 6; y++)
		display_view_row(v, y, picture[y]);
}

static void test_view(void)
{
	struct told t = {0};
	struct display_view v = {
		.changed = changed, .resized = resized, .opaque = &t};
	uint32_t picture[6][10] = {0};

	draw(&v, picture);
	g_assert_cmpuint(t.resized, ==, 1);
	g_assert_cmpuint(t.n, ==, 0);
	picture[2][3] = picture[3][7] = 5;
	draw(&v, picture);
	g_assert_cmpuint(t.n, ==, 1);
	g_assert_cmpuint(t.x, ==, 3);
	g_assert_cmpuint(t.y, ==, 2);
	g_assert_cmpuint(t.width, ==, 5);
	g_assert_cmpuint(t.height, ==, 2);
	/* apart: told apart, the last row too */
	picture[0][0] = picture[5][9] = 1;
	draw(&v, picture);
	g_assert_cmpuint(t.n, ==, 3);
	g_assert_cmpuint(t.y, ==, 5);
	g_assert_cmpuint(t.x, ==, 9);
	draw(&v, picture);
	g_assert_cmpuint(t.n, ==, 3);
	display_view_fini(&v);
}

static void test_keys(void)
{
	static const struct {
		const char *name;
		int code;
	} name[] = {{"a", 0x1e}, {"A", 0x1e}, {"1", 0x02}, {"ret", 0x1c},
		{"f1", 0x3b}, {"F10", 0x44}, {"f11", 0x57}, {"f12", 0x58},
		{"f13", -1}, {"f", 0x21}, {"left", 0xcb}, {"delete", 0xd3},
		{"ctrl", 0x1d}, {"/", 0x35}, {"", -1}, {"nonsense", -1},
		{"pause", DISPLAY_KEY_PAUSE}, {"space", 0x39}};
	bool shift;

	for (unsigned i = 0; i < G_N_ELEMENTS(name); i++)
		g_assert_cmpint(
			display_key_by_name(name[i].name), ==, name[i].code);
	g_assert_cmpint(display_key_by_char('?', &shift), ==, 0x35);
	g_assert_true(shift);
	g_assert_cmpint(display_key_by_char('z', &shift), ==, 0x2c);
	g_assert_false(shift);
	g_assert_cmpint(display_key_by_char('\n', &shift), ==, 0x1c);
	g_assert_cmpint(display_key_by_char(0, &shift), ==, -1);
	g_assert_cmpint(display_key_by_char(0xe9, &shift), ==, -1);
	/* every printing character has a key */
	for (unsigned c = 32; c < 127; c++)
		g_assert_cmpint(display_key_by_char(c, &shift), >, 0);
	g_assert_cmpint(display_key_by_keysym(0xff0d), ==, 0x1c);
	g_assert_cmpint(display_key_by_keysym(0xffc9), ==, 0x58);
	g_assert_cmpint(display_key_by_keysym('Q'), ==, 0x10);
	g_assert_cmpint(display_key_by_keysym(0x12345), ==, -1);
}

struct pointed {
	int dx, dy;
	unsigned x, y;
	bool seen;
};

static void move(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	struct pointed *p = opaque;

	p->dx = dx;
	p->dy = dy;
}

static bool point(
	void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct pointed *p = opaque;

	p->x = x;
	p->y = y;
	return p->seen;
}

static void test_pointer(void)
{
	struct pointed p = {.seen = false};
	struct display d = {.mouse = {.move = move, .opaque = &p},
		.tablet = {.point = point, .opaque = &p}};

	display_point(&d, &(struct display_pointer){100, 50, 640, 480, 0, 0});
	display_point(&d, &(struct display_pointer){90, 9999, 640, 480, 0, 0});
	g_assert_cmpint(p.dx, ==, -10);
	g_assert_cmpint(p.dy, ==, 429);
	g_assert_cmpuint(p.y, ==, DISPLAY_POINTER_MAX);
	p.seen = true;
	display_point(&d, &(struct display_pointer){639, 0, 640, 480, 0, 0});
	g_assert_cmpuint(p.x, ==, DISPLAY_POINTER_MAX);
	g_assert_cmpint(p.dx, ==, -10);
	display_point(&d, &(struct display_pointer){5, 5, 0, 0, 0, 0});
}

/* ---- text in pictures ---- */

static void put(struct display_view *v, const uint8_t *font, unsigned cell,
	uint8_t c, uint32_t ink, uint32_t back)
{
	unsigned left = cell % (v->width / 8) * 8;
	unsigned top = cell / (v->width / 8) * 16;

	for (unsigned y = 0; y < 16; y++)
		for (unsigned x = 0; x < 8; x++)
			v->pixels[(top + y) * v->width + left + x] =
				font[c * 16 + y] >> (7 - x) & 1 ? ink : back;
}

static void test_match(void)
{
	struct display_text *t = g_new0(struct display_text, 1);
	struct display_view v = {0};
	uint8_t font[4096] = {0};

	for (unsigned c = 1; c < 256; c++)
		for (unsigned y = 2; c != ' ' && y < 13; y++)
			font[c * 16 + y] = c * 57 + y * (c | 1) * 91;
	memset(font + 0xdb * 16, 0xff, 16);
	display_view_size(&v, 83, 50); /* 10 x 3 cells and a rest */
	for (unsigned i = 0; i < 30; i++)
		put(&v, font, i, 'A' + i, i & 1 ? 0xffffff : 0x123456,
			i & 2 ? 0 : 0xff);
	/* a cursor under one, a picture over another, a blank one */
	for (unsigned x = 0; x < 8; x++) {
		v.pixels[15 * 83 + 16 + x] = 0x123456;
		v.pixels[20 * 83 + x] = x * 1000;
	}
	put(&v, font, 11, ' ', 1, 2);
	g_assert_true(display_match(&v, font, NULL, t));
	g_assert_cmpuint(t->cols, ==, 10);
	g_assert_cmpuint(t->rows, ==, 3);
	for (unsigned i = 0; i < 30; i++)
		g_assert_cmpint(t->cell[i], ==,
			i == 10 || i == 11 ? ' ' : 'A' + (int)i);
	g_assert_false(display_match(&v, NULL, NULL, t));
	display_view_fini(&v);
	g_free(t);
}

/* 80x25 in the middle of 640x480: eight dots off the grid. */
static void test_match_middle(void)
{
	struct display_text *t = g_new0(struct display_text, 1);
	struct display_view v = {0}, inner;
	uint8_t font[4096] = {0};

	for (unsigned c = 1; c < 256; c++)
		for (unsigned y = 2; c != ' ' && y < 13; y++)
			font[c * 16 + y] = c * 57 + y * (c | 1) * 91;
	display_view_size(&v, 640, 480);
	inner = v;
	inner.pixels += 40 * 640;
	for (unsigned i = 0; i < 26; i++)
		put(&inner, font, 80 + i, 'A' + i, 0xffffff, 0);
	g_assert_true(display_match(&v, font, NULL, t));
	for (unsigned i = 0; i < 26; i++) /* two rows are above it */
		g_assert_cmpint(t->cell[3 * 80 + i], ==, 'A' + (int)i);
	display_view_fini(&v);
	g_free(t);
}

/* As firmware has it in memory: EFI_NARROW_GLYPH, 22 bytes each. */
static unsigned uefi_table(uint8_t *mem)
{
	static const uint16_t more[] = {0xe9, 0x2500, 0x2502, 0x25bc, 0x2191};
	unsigned n = 0;

	for (unsigned c = 0x20; c < 0x7f + G_N_ELEMENTS(more); c++, n++) {
		unsigned u = c < 0x7f ? c : more[c - 0x7f];

		mem[n * 22] = (uint8_t)u;
		mem[n * 22 + 1] = (uint8_t)(u >> 8);
		for (unsigned y = 3; c > 0x20 && y < 17; y++)
			mem[n * 22 + 3 + y] = c * 57 + y * (c | 1) * 91;
	}
	return n;
}

/* A screen of 80x25 in the middle, and the cursor behind its text. */
static void test_uefi_font(void)
{
	struct display_text *t = g_new0(struct display_text, 1);
	struct display_view v = {0};
	uint8_t mem[8192] = {0}, font[256 * DISPLAY_UEFI_ROWS];
	unsigned n = uefi_table(mem + 777);

	g_assert_false(display_uefi_font(mem, 777 + 50 * 22, font));
	g_assert_true(display_uefi_font(mem, 777 + n * 22, font));
	g_assert_cmpmem(
		font + 'q' * 19, 19, mem + 777 + ('q' - 32) * 22 + 3, 19);
	g_assert_cmpmem(font + 0x18 * 19, 19, mem + 777 + 99 * 22 + 3, 19);
	g_assert_cmpmem(font + 0x19 * 19, 19, mem, 19);

	display_view_size(&v, 800, 600); /* six dots off the grid */
	for (unsigned i = 0; i < 27; i++)
		for (unsigned y = 0; y < 19; y++)
			for (unsigned x = 0; x < 8; x++)
				v.pixels[(62 + 19 + y) * 800 + 80 + i * 8 + x] =
					i == 26 ? (y > 15 ? 0xff : 0)
					: font[('A' + i) * 19 + y] >> (7 - x) &
							1
						? 0xff
						: 0;
	g_assert_true(display_match(&v, NULL, font, t));
	g_assert_cmpuint(t->rows, ==, 31);
	for (unsigned i = 0; i < 27; i++) /* three rows are above it */
		g_assert_cmpint(t->cell[4 * t->cols + 10 + i], ==,
			i < 26 ? 'A' + (int)i : ' ');
	mem[777 + 22 * 60] ^= 1;
	g_assert_false(display_uefi_font(mem, sizeof(mem), font));
	g_assert_false(display_uefi_font(mem, 3, font));
	/* nothing but beginnings: it gives up */
	memset(mem, 0, sizeof(mem));
	for (unsigned i = 0; i < sizeof(mem) / 44; i++)
		mem[i * 44] = 0x20, mem[i * 44 + 22] = 0x21;
	uefi_table(mem + 44 * 65);
	g_assert_false(display_uefi_font(mem, sizeof(mem), font));
	display_view_fini(&v);
	g_free(t);
}

static void test_cp437(void)
{
	g_assert_cmphex(display_cp437('A'), ==, 'A');
	g_assert_cmphex(display_cp437(0x81), ==, 0xfc);
	g_assert_cmphex(display_cp437(0xc9), ==, 0x2554);
	g_assert_cmphex(display_cp437(0xff), ==, 0xa0);
	g_assert_cmphex(display_cp437(0x7f), ==, 0x2302);
	g_assert_cmphex(display_cp437(1), ==, 0x263a);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/display/view", test_view);
	g_test_add_func("/display/keys", test_keys);
	g_test_add_func("/display/pointer", test_pointer);
	g_test_add_func("/display/match-middle", test_match_middle);
	g_test_add_func("/display/match", test_match);
	g_test_add_func("/display/uefi-font", test_uefi_font);
	g_test_add_func("/display/cp437", test_cp437);
	return g_test_run();
}
