/*
 * png.h - pictures as PNG files.
 */
#ifndef CLI_PNG_H
#define CLI_PNG_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Pixels are 0x00RRGGBB.  The file is replaced only when all is written. */
bool cli_png_write(const char *path, const uint32_t *pixels, unsigned width,
	unsigned height, GError **err);

#endif
