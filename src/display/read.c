/*
 * read.c - text out of a screen.
 *
 * In a text mode the characters are there to be read.  In a picture they are
 * looked for on a grid of 8x16 dots, where consoles put them, by comparing
 * each cell of at most two colours with the glyphs of the card's font; or of
 * 8x19 dots with those of UEFI (uefi_font.c).
 */
#include <string.h>

#include <glib.h>

#include "display/display.h"

#define CELL_WIDTH 8
#define GLYPHS	   256
/* An underlining cursor may stand in the last ones. */
#define CURSOR_ROWS(rows) ((rows) == DISPLAY_UEFI_ROWS ? 3 : 2)
#define MAX_ROWS	  DISPLAY_UEFI_ROWS
/* Its graphical terminal leaves so many dots free all around. */
#define GRUB_BORDER 10
#define BLANK_HASH  0x3538be3du /* of a cell without dots */

/* Code page 437, 0x00-0x1f and 0x7f-0xff. */
static const uint16_t low[32] = {0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663,
	0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b,
	0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
	0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
static const uint16_t high[129] = {0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2,
	0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
	0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2,
	0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7,
	0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
	0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591,
	0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563,
	0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c,
	0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566,
	0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558,
	0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c,
	0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5,
	0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
	0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0,
	0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0};

uint32_t display_cp437(uint8_t c)
{
	return c < 32 ? low[c] : c < 127 ? c : high[c - 127];
}

/* ---- glyphs of a picture ---- */

/* The characters by a hash of their upper rows. */
struct glyphs {
	const uint8_t *font;
	unsigned rows;	       /* to MAX_ROWS */
	uint8_t first[GLYPHS]; /* of a chain, 0: none */
	uint8_t next[GLYPHS];
};

/* Dots that differ from the first one; false: more than two colours. */
static bool cell_dots(const struct display_view *v, unsigned x, unsigned y,
	uint8_t *dots, unsigned rows)
{
	const uint32_t *p = v->pixels + (size_t)y * v->width + x;
	uint32_t back = p[0], ink = back;

	for (unsigned r = 0; r < rows; r++, p += v->width) {
		dots[r] = 0;
		for (unsigned c = 0; c < CELL_WIDTH; c++) {
			if (p[c] == back)
				continue;
			if (ink == back)
				ink = p[c];
			if (p[c] != ink)
				return false;
			dots[r] |= 0x80 >> c;
		}
	}
	return true;
}

static bool cell_empty(const uint8_t *dots, unsigned rows)
{
	for (unsigned r = 0; r < rows; r++)
		if (dots[r])
			return false;
	return true;
}

static unsigned glyph_hash(const struct glyphs *g, const uint8_t *dots)
{
	unsigned h = 0;

	for (unsigned r = 0; r < g->rows - CURSOR_ROWS(g->rows); r++)
		h = h * 31 + dots[r];
	return (h ^ h >> 8) & (GLYPHS - 1);
}

static void glyphs_init(struct glyphs *g, const uint8_t *font, unsigned rows)
{
	memset(g, 0, sizeof(*g));
	g->font = font;
	g->rows = rows;
	/* The ASCII ones last, so that they are found first. */
	for (unsigned i = 1; i < 2 * GLYPHS; i++) {
		unsigned c = i & (GLYPHS - 1);
		bool ascii = c > 32 && c < 127;
		unsigned h;

		if (ascii != (i >= GLYPHS) || cell_empty(font + c * rows, rows))
			continue;
		h = glyph_hash(g, font + c * rows);
		g->next[c] = g->first[h];
		g->first[h] = (uint8_t)c;
	}
}

static int glyph_find(
	const struct glyphs *g, const uint8_t *dots, unsigned rows)
{
	uint8_t c = g->first[glyph_hash(g, dots)];

	for (; c; c = g->next[c])
		if (!memcmp(g->font + c * g->rows, dots, rows))
			return c;
	return -1;
}

/*
 * Other fonts of 8x16 dots by FNV-1a of the upper rows: what Linux's console
 * draws otherwise than the firmware, and the printing characters of GNU
 * Unifont, which GRUB's graphical terminal has; but for '_', where there is
 * nothing in those rows.
 */
static const struct {
	char c;
	uint32_t hash;
} linux_font[] = {{'0', 0x021e6705}, {'M', 0xd367abe5}, {'T', 0xe004b3c3},
	{'V', 0x5ef75737}, {'W', 0xaddc026f}, {'X', 0x49b4cccd},
	{'Y', 0x6e772f95}, {'Z', 0x69b6df3d}, {'`', 0x010cb7d1},
	{'f', 0x7b126475}, {'m', 0x627e2c71}, {'v', 0x01fea72f},
	{'w', 0x3701f681}, {'x', 0x8abe0e15}, {'|', 0x4fd3bb1d},
	{'~', 0xeedf78e7}};

static const uint32_t unifont[] = {0xd47afeb5, 0x20a4046d, 0xe2e9a327,
	0x8ffd5b38, 0x48f9c84e, 0xa07b8890, 0x31d1ab3d, 0x3d90e391, 0x63875b7d,
	0x70ec8421, 0x2d6a4e20, 0x0d24f78d, 0xa603ec89, 0xfd24de5d, 0x67aeaef1,
	0x2502fb89, 0x7fccfa2b, 0x164f9981, 0xcc3c7c0b, 0x0a9907b7, 0x0e449edb,
	0x30734c59, 0x88a91bff, 0x05f5b96b, 0xbe228703, 0x04a6076d, 0x5ccda165,
	0xcea9f61d, 0x47ff793d, 0xae563d91, 0xc654fde7, 0x8cef41cd, 0x73b4be8b,
	0xdf038eab, 0x212aca05, 0x9b73a55d, 0xdf1f3791, 0x091f79af, 0x2cae93bb,
	0x6e352109, 0x3ad9b23d, 0x48cf22f2, 0x12c4430d, 0xba2ed883, 0xc1544aed,
	0x728ea97d, 0xc731ad15, 0xfd6ae25f, 0xaffd0ef9, 0x35aa4b67, 0xae1ea453,
	0x381ab1e2, 0x60d9d16b, 0x806003a4, 0xe9c420ed, 0xa4d6d4dd, 0x4f7d80c3,
	0xfdd80521, 0xea663bb3, 0xcfac3d39, 0xa7e030ad, 0x9c16894b, 0,
	0x861af305, 0x30626e3b, 0xca697ddd, 0xb6622d6d, 0xbce475f7, 0xd087ebd1,
	0x529eed7d, 0x2a4c47a7, 0x0cb804a3, 0xf048f57b, 0x93940edd, 0x9b497737,
	0x117d0d23, 0x3e5e9cba, 0x2ca0c063, 0x93c8a29d, 0xea50a69d, 0xbefe0bd5,
	0xbc38eb99, 0xe931d33b, 0x00c1195d, 0xdd3f15e1, 0x295b10b3, 0xaf64d580,
	0x21bfb1d5, 0xb56237c9, 0x14677b2b, 0xa4df9de9, 0x7b82153d, 0x6b3ea2a9,
	0x7db4d605};

static int known_find(const uint8_t *dots)
{
	const unsigned rows =
		DISPLAY_GLYPH_ROWS - CURSOR_ROWS(DISPLAY_GLYPH_ROWS);
	uint32_t h = 0x811c9dc5;

	for (unsigned r = 0; r < rows; r++)
		h = (h ^ dots[r]) * 0x01000193;
	for (unsigned i = 0; i < G_N_ELEMENTS(linux_font); i++)
		if (linux_font[i].hash == h)
			return linux_font[i].c;
	/* Unlike a cursor it does not reach from edge to edge. */
	if (h == BLANK_HASH)
		return dots[14] == 0x7f && !dots[15] ? '_' : -1;
	for (unsigned i = 0; i < G_N_ELEMENTS(unifont); i++)
		if (unifont[i] == h)
			return (int)('!' + i);
	return -1;
}

static uint8_t cell_read(const struct glyphs *g, uint8_t dots[MAX_ROWS])
{
	int found = -1;

	/* The first dot may be the ink. */
	for (unsigned turn = 0; turn < 4 && found < 0; turn++) {
		found = glyph_find(g, dots,
			g->rows - (turn >= 2 ? CURSOR_ROWS(g->rows) : 0));
		if (found < 0 && g->rows == DISPLAY_GLYPH_ROWS)
			found = known_find(dots);
		for (unsigned r = 0; r < g->rows; r++)
			dots[r] = ~dots[r];
	}
	return found < 0 ? ' ' : (uint8_t)found;
}

/* Read on the grid that begins at x, y; how many characters were there. */
static unsigned match_at(const struct display_view *v, const struct glyphs *g,
	struct display_text *t, unsigned x, unsigned y)
{
	unsigned found = 0;

	t->cols = (v->width - x) / CELL_WIDTH;
	t->rows = (v->height - y) / g->rows;
	t->cursor_col = t->cols;
	t->cursor_row = 0;
	for (unsigned i = 0; i < t->cols * t->rows; i++) {
		uint8_t dots[MAX_ROWS];

		t->cell[i] = ' ';
		if (cell_dots(v, x + i % t->cols * CELL_WIDTH,
			    y + i / t->cols * g->rows, dots, g->rows) &&
			!cell_empty(dots, g->rows))
			t->cell[i] = cell_read(g, dots);
		found += t->cell[i] != ' ';
	}
	return found;
}

/* A screen of so many cells in the middle of a larger picture, as programs for
 * UEFI have it, may be off the grid. */
static unsigned middle(unsigned size, unsigned cells, unsigned cell)
{
	return size < cells * cell ? 0 : (size - cells * cell) / 2 % cell;
}

/* As many as there are on the best of the grids.  Screens have an even number
 * of columns; where they begin depends on whether that of rows is so, too. */
static unsigned match(const struct display_view *v, const struct glyphs *g,
	struct display_text *t)
{
	const unsigned x[] = {0, middle(v->width, 80, CELL_WIDTH),
		middle(v->width, 80, CELL_WIDTH), GRUB_BORDER};
	const unsigned y[] = {0, middle(v->height, 25, g->rows),
		middle(v->height, 24, g->rows), GRUB_BORDER};
	unsigned best = 0, most = 0, found = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(x); i++) {
		if ((i && !x[i] && !y[i]) || v->width < x[i] ||
			v->height < y[i])
			continue;
		found = match_at(v, g, t, x[i], y[i]);
		if (found > most) {
			most = found;
			best = i;
		}
	}
	match_at(v, g, t, x[best], y[best]);
	return most;
}

bool display_match(const struct display_view *v, const uint8_t *font,
	const uint8_t *uefi, struct display_text *t)
{
	struct glyphs g, u;
	unsigned found = 0;

	t->cols = v->width / CELL_WIDTH;
	t->rows = v->height / DISPLAY_GLYPH_ROWS;
	if ((!font && !uefi) || !t->cols || !t->rows ||
		t->cols * t->rows > DISPLAY_MAX_CELLS)
		return false;
	if (font) {
		glyphs_init(&g, font, DISPLAY_GLYPH_ROWS);
		found = match(v, &g, t);
	}
	if (uefi) {
		glyphs_init(&u, uefi, DISPLAY_UEFI_ROWS);
		if (match(v, &u, t) <= found && font)
			match(v, &g, t);
	}
	return true;
}

/* ---- as a string ---- */

static char *text_string(const struct display_text *t)
{
	GString *s = g_string_new(NULL);

	for (unsigned y = 0; y < t->rows; y++) {
		const uint16_t *row = t->cell + y * t->cols;
		unsigned n = t->cols;

		while (n &&
			((uint8_t)row[n - 1] == ' ' || !(uint8_t)row[n - 1]))
			n--;
		for (unsigned x = 0; x < n; x++)
			g_string_append_unichar(
				s, display_cp437((uint8_t)row[x]));
		g_string_append_c(s, '\n');
	}
	return g_string_free(s, FALSE);
}

char *display_read(struct display *d, struct display_text *t)
{
	struct display_view v = {0};
	bool found;

	if (!d->source.draw)
		return NULL;
	if (d->source.text(d->source.opaque, t))
		return text_string(t);
	d->source.draw(d->source.opaque, &v);
	found = display_match(&v, d->font,
		d->uefi_font ? d->uefi_font(d->uefi_opaque) : NULL, t);
	display_view_fini(&v);
	return found ? text_string(t) : NULL;
}
