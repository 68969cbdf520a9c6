/*
 * png.c - pictures as PNG files, by libpng.
 */
#include "cli/png.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <png.h>

#include "conf/error.h"

bool cli_png_write(const char *path, const uint32_t *pixels, unsigned width,
	unsigned height, GError **err)
{
	g_autofree char *temp = g_strdup_printf("%s.%d", path, (int)getpid());
	g_autofree uint8_t *rgb = g_malloc((size_t)width * height * 3);
	png_image image = {.version = PNG_IMAGE_VERSION,
		.width = width,
		.height = height,
		.format = PNG_FORMAT_RGB};
	FILE *f = fopen(temp, "wxe");
	bool ok;

	for (size_t i = 0; i < (size_t)width * height; i++) {
		rgb[3 * i] = (uint8_t)(pixels[i] >> 16);
		rgb[3 * i + 1] = (uint8_t)(pixels[i] >> 8);
		rgb[3 * i + 2] = (uint8_t)pixels[i];
	}
	errno = 0;
	ok = f && png_image_write_to_stdio(&image, f, 0, rgb, 0, NULL);
	if (f && fclose(f))
		ok = false;
	if (ok && !rename(temp, path))
		return true;
	conf_error_set_errno(err, errno ? errno : EIO,
		"name a file in a folder that you can write to",
		"cannot write %s", path);
	if (f)
		unlink(temp);
	return false;
}
