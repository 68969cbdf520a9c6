/*
 * change.c - jobs that make an image of an image, or change one: convert,
 * compact, resize, rebase, commit.
 *
 * What a format cannot do in place is done by making the image anew in another
 * file (role dst), which the client then puts in the old one's place.
 */
#include <errno.h>
#include <string.h>

#include "block/merge.h"
#include "conf/error.h"
#include "disk/job.h"

/* How large a compressed block of dst is; 0 and *err: it has none. */
static uint32_t packed_block(struct blk *dst, GError **err)
{
	struct image_info *i = image_info_new(dst);
	uint32_t block = i->block ? i->block : 64u << 10;

	image_info_free(i);
	if (dst->ops->write_packed)
		return block;
	conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
		"choose qcow2, or vmdk with --kind stream",
		"%s images cannot be compressed", dst->ops->name);
	return 0;
}

/* Fills dst, made by *c, with src.  Closes what it opens, syncs. */
static bool fill(struct disk_job *j, struct image_create *c, struct blk *src,
	bool own_only, GError **err)
{
	bool stream = !g_strcmp0(c->kind, "stream");
	struct disk_copy copy = {.src = src,
		.size = MIN(src->size, c->size),
		.own_only = own_only,
		.dst_zero = !c->parent,
		.in_order = stream,
		.job = j};
	struct blk *dst = disk_open_made(j, "dst", c->lower, !c->parent, err);
	int rc;

	if (dst && disk_overhead(j)) {
		dst = disk_encrypt(j, dst, err);
		/* What was never written does not read as zeros. */
		copy.dst_zero = false;
	}
	if (!dst)
		return false;
	if (stream || disk_arg_bool(j, "compress")) {
		copy.packed = packed_block(dst, err);
		if (!copy.packed) {
			blk_close(dst);
			return false;
		}
	}
	copy.dst = dst;
	rc = disk_copy_run(&copy);
	if (!rc)
		rc = blk_flush(dst);
	blk_close(dst);
	return !rc || disk_errno(err, rc, "cannot copy the disk");
}

/* ---- convert ---- */

bool disk_convert(struct disk_job *j, GError **err)
{
	struct blk *src = disk_image(j, "src", DISK_WHOLE, err);
	struct image_create c = {0};
	bool ok;

	if (!src)
		return false;
	c.size = src->size + disk_overhead(j);
	c.lower = disk_file(j, "dst", err);
	ok = c.lower && disk_make(j, &c, err);
	if (ok)
		ok = fill(j, &c, src, false, err); /* consumes lower */
	else
		blk_close(c.lower);
	json_object_set_int_member(j->result, "size", (gint64)c.size);
	blk_close(src);
	return ok;
}

/* ---- the same image anew ---- */

/* Our word for what an image is, or NULL: the usual. */
static const char *kind_of(const struct image_format *f, const char *kind)
{
	static const char *const vmdk[][2] = {{"monolithicSparse", "sparse"},
		{"monolithicFlat", "flat"},
		{"twoGbMaxExtentSparse", "split-sparse"},
		{"twoGbMaxExtentFlat", "split-flat"},
		{"streamOptimized", "stream"}};

	for (unsigned i = 0; kind && i < G_N_ELEMENTS(vmdk); i++)
		if (!strcmp(kind, vmdk[i][0]))
			return vmdk[i][1];
	for (unsigned i = 0; kind && f->kinds && f->kinds[i]; i++)
		if (!strcmp(kind, f->kinds[i]))
			return f->kinds[i];
	return NULL;
}

/* In role dst what src is, with size bytes (0: as many). */
static bool remake(
	struct disk_job *j, struct blk *src, uint64_t size, GError **err)
{
	const struct image_format *f = image_format_of(src);
	struct image_info *i = image_info_new(src);
	struct image_create c = {.size = size ? size : src->size,
		.kind = kind_of(f, i->kind),
		.block = i->block,
		.backing = i->backing,
		.backing_path = disk_arg(j, "backing_path"),
		.backing_format = i->backing_format,
		.parent = i->backing ? src->backing : NULL};
	bool ok = false;

	if (!strcmp(f->name, "vdi") || !strcmp(f->name, "raw"))
		c.block = 0;
	if (i->snapshots->len) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"they would be lost", NULL,
			"the image has snapshots inside");
	} else if (i->extents->len) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
			"convert it to another file",
			"the image lies in several files");
	} else {
		c.lower = disk_file(j, "dst", err);
		ok = c.lower && disk_make(j, &c, err);
		if (ok)
			ok = fill(j, &c, src, c.parent != NULL, err);
		else
			blk_close(c.lower);
	}
	image_info_free(i);
	return ok;
}

bool disk_compact(struct disk_job *j, GError **err)
{
	struct blk *src = disk_image(j, "src", DISK_WHOLE, err);
	bool ok = src && remake(j, src, 0, err);

	blk_close(src);
	return ok;
}

/* ---- resize ---- */

/* Shrinking must be asked for, for it may cut off data. */
static bool may_resize(const struct disk_job *j, const struct blk *b,
	uint64_t size, GError **err)
{
	if (!size || size % 512) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"a disk has whole sectors of 512 bytes");
		return false;
	}
	if (size >= b->size || disk_arg_bool(j, "shrink"))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"what lies behind the new end will be lost",
		"add --shrink if that is meant",
		"the disk is larger than that");
	return false;
}

/* With a file in role dst: make it anew.  Else in place; "remake" in the
 * answer: that cannot be. */
bool disk_resize(struct disk_job *j, GError **err)
{
	struct blk *b = disk_image(j, "src", DISK_WHOLE, err);
	uint64_t size = disk_arg_size(j, "size");
	bool ok = b != NULL;
	int rc;

	if (!ok)
		return false;
	if (disk_arg_bool(j, "relative"))
		size += b->size;
	ok = may_resize(j, b, size, err);
	if (ok && disk_has(j, "dst")) {
		ok = remake(j, b, size, err);
	} else if (ok) {
		rc = blk_resize(b, size);
		if (!rc)
			rc = blk_flush(b);
		if (rc == -EOPNOTSUPP)
			json_object_set_boolean_member(
				j->result, "remake", TRUE);
		else if (rc)
			ok = disk_errno(err, rc, "cannot resize the image");
		json_object_set_int_member(j->result, "size", (gint64)b->size);
	}
	blk_close(b);
	return ok;
}

/* ---- rebase ---- */

static bool told(void *opaque, uint64_t done, uint64_t total)
{
	disk_progress(opaque, done, total);
	return true;
}

bool disk_rebase(struct disk_job *j, GError **err)
{
	bool unsafe = disk_arg_bool(j, "unsafe");
	struct blk *top =
		disk_image(j, "src", unsafe ? DISK_ALONE : DISK_WHOLE, err);
	const struct image_format *f = top ? image_format_of(top) : NULL;
	struct image_create c = {.backing = disk_arg(j, "backing"),
		.backing_path = disk_arg(j, "backing_path")};
	bool ok = top != NULL;
	int rc = 0;

	if (ok && (!f || !f->rebase)) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL, NULL,
			"%s images have no backing file", f ? f->name : "such");
		ok = false;
	}
	if (ok && c.backing) {
		c.parent =
			disk_image(j, "backing", unsafe ? 0 : DISK_WHOLE, err);
		ok = c.parent != NULL;
	}
	if (c.parent) {
		c.backing_format = image_format_of(c.parent)->name;
		c.size = top->size;
	}
	if (ok && !unsafe)
		rc = blk_merge_up(
			top, c.parent, &(struct blk_merge_told){told, j});
	ok = ok && (!rc || disk_errno(err, rc, "cannot copy"));
	ok = ok && f->rebase(top, &c, err);
	blk_close(top);
	blk_close(c.parent);
	return ok;
}

/* ---- commit ---- */

/* What src itself has goes into dst, its backing file. */
bool disk_commit(struct disk_job *j, GError **err)
{
	struct blk *dst = disk_image(j, "dst", DISK_WHOLE, err);
	struct blk *src =
		dst ? disk_image(j, "src", DISK_ALONE | DISK_WHOLE, err) : NULL;
	struct disk_copy copy = {
		.src = src, .dst = dst, .own_only = true, .job = j};
	bool ok = src != NULL;
	int rc;

	if (ok && src->size > dst->size) {
		conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
			"resize it first",
			"the image below is smaller than the one above");
		ok = false;
	}
	if (ok) {
		copy.size = src->size;
		rc = disk_copy_run(&copy);
		if (!rc)
			rc = blk_flush(dst);
		ok = !rc || disk_errno(err, rc, "cannot copy the disk");
	}
	blk_close(src);
	blk_close(dst);
	return ok;
}
