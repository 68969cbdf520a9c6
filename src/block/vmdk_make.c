/*
 * vmdk_make.c - making VMDK images.
 */
#include <errno.h>
#include <string.h>

#include "block/vmdk.h"

struct make {
	struct image_create *c;
	bool split, flat, stream;
	GString *extents;
	char *stem; /* the name without .vmdk */
	int rc;
};

static struct blk *make_file(struct make *k, const char *name, GError **err)
{
	const struct image_source *s = k->c->source;
	g_autofree char *path = NULL;

	if (!s) {
		image_cannot(err, "vmdk", "several files");
		return NULL;
	}
	return s->open(s->opaque, NULL, name, true, &path, err);
}

static bool make_extent(
	struct make *k, const char *name, uint64_t bytes, GError **err)
{
	struct blk *b = make_file(k, name, err);
	int rc;

	if (!b)
		return false;
	rc = k->flat ? blk_resize(b, bytes)
		     : vmdk_sparse_create(b, bytes, VMDK_GRAIN, NULL);
	blk_close(b);
	g_string_append_printf(k->extents,
		"RW %" G_GUINT64_FORMAT " %s \"%s\"%s\n", bytes / 512,
		k->flat ? "FLAT" : "SPARSE", name, k->flat ? " 0" : "");
	return !rc || image_errno(err, rc, "vmdk", "extent");
}

static bool make_extents(struct make *k, GError **err)
{
	uint64_t size = k->c->size, step = k->split ? VMDK_SPLIT : size;
	unsigned n = 0;

	if (!k->flat && !k->split) {
		g_string_append_printf(k->extents,
			"RW %" G_GUINT64_FORMAT " SPARSE \"%s.vmdk\"\n",
			size / 512, k->stem);
		return true;
	}
	for (uint64_t at = 0; at < size; at += step) {
		g_autofree char *name =
			k->split ? g_strdup_printf("%s-%c%03u.vmdk", k->stem,
					   k->flat ? 'f' : 's', ++n)
				 : g_strdup_printf("%s-flat.vmdk", k->stem);

		if (!make_extent(k, name, MIN(step, size - at), err))
			return false;
	}
	return true;
}

static char *make_text(const struct make *k)
{
	const struct image_create *c = k->c;
	const char *type = k->stream  ? "streamOptimized"
			   : k->split ? k->flat ? "twoGbMaxExtentFlat"
						: "twoGbMaxExtentSparse"
			   : k->flat  ? "monolithicFlat"
				      : "monolithicSparse";
	uint32_t cid = g_random_int_range(1, G_MAXINT32);
	g_autofree char *hint = NULL;

	if (c->parent)
		hint = g_strdup_printf(
			"parentFileNameHint=\"%s\"\n", c->backing);
	return g_strdup_printf("# Disk DescriptorFile\n"
			       "version=1\n"
			       "CID=%08x\n"
			       "parentCID=%08x\n"
			       "createType=\"%s\"\n"
			       "%s\n"
			       "# Extent description\n"
			       "%s\n"
			       "# The Disk Data Base\n"
			       "#DDB\n\n"
			       "ddb.virtualHWVersion = \"4\"\n"
			       "ddb.geometry.cylinders = \"%u\"\n"
			       "ddb.geometry.heads = \"16\"\n"
			       "ddb.geometry.sectors = \"63\"\n"
			       "ddb.adapterType = \"ide\"\n",
		cid, c->parent ? vmdk_of(c->parent)->cid : VMDK_NO_PARENT, type,
		hint ? hint : "", k->extents->str,
		(unsigned)MIN(c->size / (512 * 16 * 63), 16383));
}

static int make_self(const struct make *k, const char *text)
{
	const struct image_create *c = k->c;
	uint64_t len = strlen(text);
	int rc;

	if (k->stream)
		return vmdk_stream_create(c->lower, c->size, text);
	if (!k->flat && !k->split)
		return vmdk_sparse_create(c->lower, c->size,
			c->block ? c->block : VMDK_GRAIN, text);
	/* The text ends the file: no zeros behind it. */
	rc = blk_resize(c->lower, (len + 511) & ~511ull);
	if (!rc) {
		g_autofree char *padded = g_strdup(text);

		rc = blk_pwrite(c->lower, padded, len, 0);
	}
	for (uint64_t at = len; at % 512 && !rc; at++)
		rc = blk_pwrite(c->lower, "\n", 1, at);
	return rc;
}

static bool make_check(const struct make *k, GError **err)
{
	const struct image_create *c = k->c;

	if (c->parent && (image_format_of(c->parent) != &image_vmdk ||
				 k->flat || k->stream)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"only a sparse vmdk image can stand on another, and "
			"that must be a vmdk image");
		return false;
	}
	if (c->block && (c->block < 4096 || c->block > 32u << 20)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"grains of a vmdk image have 4K to 32M");
		return false;
	}
	if (!k->flat && !k->split && c->size > (uint64_t)0xffffff00u * 512 * 2)
		return image_cannot(err, "vmdk", "more than 4 TiB in one file");
	return true;
}

bool vmdk_create(struct image_create *c, GError **err)
{
	const char *kind = c->kind ? c->kind : "sparse";
	struct make k = {.c = c,
		.split = g_str_has_prefix(kind, "split"),
		.flat = g_str_has_suffix(kind, "flat"),
		.stream = !strcmp(kind, "stream"),
		.extents = g_string_new(NULL)};
	const char *name = c->name ? c->name : "disk.vmdk";
	g_autofree char *text = NULL;
	bool ok;

	c->size = (c->size + 511) & ~511ull;
	k.stem = g_str_has_suffix(name, ".vmdk")
			 ? g_strndup(name, strlen(name) - 5)
			 : g_strdup(name);
	ok = make_check(&k, err) && make_extents(&k, err);
	if (ok) {
		text = make_text(&k);
		k.rc = make_self(&k, text);
		ok = !k.rc || image_errno(err, k.rc, "vmdk", "first blocks");
	}
	g_string_free(k.extents, TRUE);
	g_free(k.stem);
	return ok;
}
