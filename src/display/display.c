/*
 * display.c - views that remember what they showed, and where input goes.
 */
#include "display/display.h"

#include <string.h>

#include <glib.h>

void display_view_fini(struct display_view *v)
{
	g_clear_pointer(&v->pixels, g_free);
	v->width = v->height = 0;
}

void display_view_size(struct display_view *v, unsigned width, unsigned height)
{
	width = MIN(width, DISPLAY_MAX_WIDTH);
	height = MIN(height, DISPLAY_MAX_HEIGHT);
	if (v->width == width && v->height == height)
		return;
	g_free(v->pixels);
	v->pixels = g_new0(uint32_t, (size_t)width * height);
	v->width = width;
	v->height = height;
	v->dirty = true;
	v->y0 = v->y1 = 0;
	if (v->resized)
		v->resized(v->opaque);
}

static void view_tell(struct display_view *v)
{
	if (v->y0 < v->y1 && v->changed)
		v->changed(
			v->opaque, v->x0, v->y0, v->x1 - v->x0, v->y1 - v->y0);
	v->y0 = v->y1 = 0;
}

/* Rows that follow one another are told together. */
static void view_mark(
	struct display_view *v, unsigned y, unsigned x0, unsigned x1)
{
	v->dirty = true;
	if (v->y0 == v->y1 || v->y1 != y) {
		view_tell(v);
		v->x0 = x0;
		v->x1 = x1;
		v->y0 = y;
	}
	v->x0 = MIN(v->x0, x0);
	v->x1 = MAX(v->x1, x1);
	v->y1 = y + 1;
}

void display_view_row(struct display_view *v, unsigned y, const uint32_t *line)
{
	uint32_t *row = v->pixels + (size_t)y * v->width;
	unsigned x0 = 0, x1 = v->width;

	if (y >= v->height)
		return;
	if (memcmp(row, line, v->width * sizeof(*row)) != 0) {
		while (row[x0] == line[x0])
			x0++;
		while (row[x1 - 1] == line[x1 - 1])
			x1--;
		memcpy(row + x0, line + x0, (x1 - x0) * sizeof(*row));
		view_mark(v, y, x0, x1);
	}
	if (y + 1 == v->height)
		view_tell(v);
}

void display_key(struct display *d, unsigned code, bool down)
{
	if (d->keyboard.key)
		d->keyboard.key(d->keyboard.opaque, code, down);
}

/* 0..max of pixels to the whole range. */
static unsigned scale(int at, unsigned pixels)
{
	return pixels > 1 ? (unsigned)at * DISPLAY_POINTER_MAX / (pixels - 1)
			  : 0;
}

void display_point(struct display *d, const struct display_pointer *p)
{
	struct display_input *t = &d->tablet;
	int x, y, dx, dy;

	if (!p->width || !p->height)
		return;
	x = CLAMP(p->x, 0, (int)p->width - 1);
	y = CLAMP(p->y, 0, (int)p->height - 1);
	dx = x - d->pointer_x;
	dy = y - d->pointer_y;
	d->pointer_x = x;
	d->pointer_y = y;
	if (t->point && t->point(t->opaque, scale(x, p->width),
				scale(y, p->height), p->wheel, p->buttons))
		return;
	if (d->mouse.move)
		d->mouse.move(d->mouse.opaque, dx, dy, p->wheel, p->buttons);
}
