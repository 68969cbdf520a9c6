/*
 * display.h - where a graphics card, input devices and those who look at a
 * machine's screen meet.
 *
 * A card (the source) draws into a view that belongs to whoever looks: a
 * remote screen keeps one, a screenshot makes one for a moment.  Nobody looks:
 * nothing is drawn.  A looker that has seen no change for a while asks the
 * source to wake it; until then neither does anything.
 *
 * Threads: any, without the bus lock, which sources and input devices take
 * themselves; one thread a view.  wake() runs with the bus lock held.
 */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISPLAY_MAX_WIDTH  4096u
#define DISPLAY_MAX_HEIGHT 4096u

/* ---- what is seen ---- */

/* Pixels are 0x00RRGGBB, rows one after the other. */
struct display_view {
	unsigned width, height; /* 0: nothing drawn yet */
	uint32_t *pixels;
	/* Called while drawing for what differs from before; may be NULL. */
	void (*changed)(void *opaque, unsigned x, unsigned y, unsigned width,
		unsigned height);
	/* Before that, if the size is another one now; may be NULL. */
	void (*resized)(void *opaque);
	void *opaque;
	bool dirty; /* the last drawing changed something */
	/* the changed rows that are not told yet */
	unsigned x0, x1, y0, y1;
};

void display_view_fini(struct display_view *v);

/* For sources: the size of what follows; a new one clears to black. */
void display_view_size(struct display_view *v, unsigned width, unsigned height);
/* Row y is line[width] now. */
void display_view_row(struct display_view *v, unsigned y, const uint32_t *line);

/* A screen of text: one cell is a character of code page 437 (low byte) and
 * its attribute. */
#define DISPLAY_MAX_CELLS 16384

struct display_text {
	unsigned cols, rows;
	unsigned cursor_col, cursor_row; /* cols: none is shown */
	uint16_t cell[DISPLAY_MAX_CELLS];
};

struct display_source {
	/* Bring the view up to date. */
	void (*draw)(void *opaque, struct display_view *v);
	/* In a text mode: what it shows; else false. */
	bool (*text)(void *opaque, struct display_text *t);
	/*
	 * Call wake once when something of the picture may have changed since
	 * now.  Draw once more after this: what was being written while it was
	 * called may not count.  NULL: not any more.
	 */
	void (*arm)(void *opaque, void (*wake)(void *opaque), void *looker);
	/* Ask the guest for another size; it may do so some time.  false: it
	 * cannot.  May be NULL. */
	bool (*resize)(void *opaque, unsigned width, unsigned height);
	void *opaque;
};

/* ---- input ---- */

/*
 * Keys by position: the set 1 scan code of a 101/102-key keyboard, with 0x80
 * for those that have the prefix E0 (0xcb = left arrow); Pause apart.
 */
#define DISPLAY_KEY_PAUSE 0x100

enum {
	DISPLAY_BUTTON_LEFT = 1,
	DISPLAY_BUTTON_RIGHT = 2,
	DISPLAY_BUTTON_MIDDLE = 4,
};

#define DISPLAY_POINTER_MAX 0x7fff

struct display_input {
	/* All may be NULL. */
	void (*key)(void *opaque, unsigned code, bool down);
	/* Right, down, wheel up positive. */
	void (*move)(void *opaque, int dx, int dy, int wheel, unsigned buttons);
	/* 0..DISPLAY_POINTER_MAX; false: it would not be seen now. */
	bool (*point)(void *opaque, unsigned x, unsigned y, int wheel,
		unsigned buttons);
	void *opaque;
};

/* ---- the screen of a machine ---- */

#define DISPLAY_GLYPH_ROWS 16
#define DISPLAY_UEFI_ROWS  19

struct display {
	struct display_source source;
	struct display_input keyboard, mouse, tablet;
	/* The 8x16 font of the card's firmware: 256 glyphs of 16 rows, or
	 * NULL. */
	const uint8_t *font;
	/* The same of UEFI, 256 glyphs of 19 rows, or NULL while there is none.
	 * May be NULL. */
	const uint8_t *(*uefi_font)(void *opaque);
	void *uefi_opaque;
	/* Where the pointer was said to be, in pixels. */
	int pointer_x, pointer_y;
};

void display_key(struct display *d, unsigned code, bool down);

/* Where the pointer is in a picture, and what is pressed. */
struct display_pointer {
	int x, y;
	unsigned width, height; /* of the picture */
	int wheel;
	unsigned buttons;
};

void display_point(struct display *d, const struct display_pointer *p);

/*
 * What is to be read on the screen, in UTF-8, a line per row, spaces at the
 * ends of rows left out: from a text mode, or by looking for the font's glyphs
 * in a picture.  NULL: there is nothing to read.  Free with g_free.
 */
char *display_read(struct display *d, struct display_text *t);
/* The same for a picture, into cells without attributes, with one of the fonts
 * or both; false: it is none that could hold text. */
bool display_match(const struct display_view *v, const uint8_t *font,
	const uint8_t *uefi, struct display_text *t);
/* Look for UEFI's font in memory, which may change meanwhile. */
bool display_uefi_font(const uint8_t *mem, size_t bytes,
	uint8_t font[256 * DISPLAY_UEFI_ROWS]);
/* A character of code page 437 as Unicode. */
uint32_t display_cp437(uint8_t c);

/* ---- keys by name and by character (keys.c) ---- */

/* "a", "ret", "f1", "ctrl": a code or -1.  Names as on a US keyboard. */
int display_key_by_name(const char *name);
/* The key that gives a character on a US keyboard; -1: none.  *shift. */
int display_key_by_char(uint32_t c, bool *shift);
/* X11's keysym as remote screens send it; -1: unknown. */
int display_key_by_keysym(uint32_t sym);

#endif
