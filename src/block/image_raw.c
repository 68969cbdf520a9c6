/*
 * image_raw.c - the format without a format: the file's bytes are the disk's.
 */
#include <errno.h>
#include <string.h>

#include "block/image.h"

static struct blk *open_raw(struct image_open *how, GError **err)
{
	return how->lower;
}

static bool create_raw(struct image_create *c, GError **err)
{
	int rc;

	if (c->parent) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a raw image cannot stand on another");
		return false;
	}
	c->size = (c->size + 511) & ~511ull;
	rc = blk_resize(c->lower, c->size);
	if (!rc && !g_strcmp0(c->kind, "full"))
		rc = blk_write_zeroes(c->lower, 0, c->size, false);
	return !rc || image_errno(err, rc, "raw", "space");
}

static const char *const raw_kinds[] = {"sparse", "full", NULL};

const struct image_format image_raw = {
	.name = "raw",
	.summary = "the bytes of the disk, nothing else",
	.kinds = raw_kinds,
	.open = open_raw,
	.create = create_raw,
};
