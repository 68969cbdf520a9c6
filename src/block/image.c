/*
 * image.c - the table of formats, and what they share.
 */
#include "block/image.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "block/bytes.h"

const struct image_format *const image_formats[] = {&image_raw, &image_qcow2,
	&image_vhd, &image_vhdx, &image_vdi, &image_vmdk, &image_parallels,
	&image_dmg, NULL};

const struct image_format *image_format_find(const char *name)
{
	for (unsigned i = 0; name && image_formats[i]; i++)
		if (!g_ascii_strcasecmp(name, image_formats[i]->name) ||
			(image_formats[i]->alias &&
				!g_ascii_strcasecmp(
					name, image_formats[i]->alias)))
			return image_formats[i];
	return NULL;
}

const struct image_format *image_format_of(const struct blk *b)
{
	return image_format_find(b->ops->name);
}

const struct image_format *image_format_by_name(const char *path)
{
	g_autofree char *lower = g_ascii_strdown(path, -1);

	for (unsigned i = 0; image_formats[i]; i++)
		if (image_formats[i]->suffix &&
			g_str_has_suffix(lower, image_formats[i]->suffix))
			return image_formats[i];
	return &image_raw;
}

const struct image_format *image_probe(struct blk *lower)
{
	uint8_t head[512] = {0}, tail[512] = {0};

	if (lower->size >= 512 &&
		(blk_pread(lower, head, 512, 0) ||
			blk_pread(lower, tail, 512, lower->size - 512)))
		return &image_raw;
	for (unsigned i = 0; image_formats[i]; i++)
		if (image_formats[i]->probe &&
			image_formats[i]->probe(head, tail))
			return image_formats[i];
	return &image_raw;
}

/* ---- opening ---- */

struct blk *image_open(
	const struct image_format *f, struct image_open *how, GError **err)
{
	struct blk *b;

	if (how->snapshot && f != &image_qcow2) {
		image_cannot(err, f->name, "no snapshots inside");
		blk_close(how->lower);
		return NULL;
	}
	b = f->open(how, err);
	if (b)
		b->readonly |= how->readonly;
	return b;
}

struct blk *image_open_file(const struct image_open *how, const char *name,
	bool readonly, char **path, GError **err)
{
	*path = NULL;
	if (!how->source || !how->source->open) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_ACCES,
			"the image needs another file, %s, which may not be "
			"opened here",
			name);
		return NULL;
	}
	return how->source->open(
		how->source->opaque, how->path, name, !readonly, path, err);
}

struct blk *image_open_parent(const struct image_open *how,
	const struct image_names *names, const struct image_format *f,
	GError **err)
{
	g_autofree char *path = NULL;
	g_autoptr(GError) first = NULL;
	struct image_open next = {.readonly = true,
		.source = how->source,
		.depth = how->depth + 1,
		.must_be_set = true};
	struct blk *b = NULL;
	unsigned i = 0;

	if (how->parent)
		return how->parent;
	if (next.depth > IMAGE_MAX_DEPTH)
		g_set_error(&first, G_FILE_ERROR, G_FILE_ERROR_LOOP,
			"the image has more than %d backing files below one "
			"another, or they are in a loop",
			IMAGE_MAX_DEPTH);
	for (; i < names->n && !next.lower && next.depth <= IMAGE_MAX_DEPTH;
		i++) {
		g_free(path);
		next.lower = image_open_file(how, names->name[i], true, &path,
			first ? NULL : &first);
	}
	next.path = path;
	if (next.lower) {
		g_clear_error(&first);
		b = image_open(f, &next, &first);
	}
	if (b && names->which)
		*names->which = i - 1;
	if (b)
		return b;
	g_propagate_error(err, g_steal_pointer(&first));
	/* A loop has one line, not sixty-four. */
	if (how->depth < 2)
		g_prefix_error(err, "backing file %s: ",
			names->name[next.lower ? i - 1 : 0]);
	return NULL;
}

struct blk *image_open_backing(const struct image_open *how, const char *name,
	const struct image_format *f, GError **err)
{
	const char *const list[] = {name};
	const struct image_names names = {list, 1, NULL};

	return image_open_parent(how, &names, f, err);
}

bool image_check_parent(
	struct blk *parent, const uint8_t *id, unsigned bytes, GError **err)
{
	const struct image_format *f = image_format_of(parent);
	uint8_t is[IMAGE_ID_BYTES];

	if (f && f->identity && f->identity(parent, is) &&
		!memcmp(is, id, bytes))
		return true;
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"the backing file is not the one that the image was made on, "
		"or was changed since\n"
		"  fix:  put the right file there; if you know that its "
		"content is the same: vmeste disk rebase --unsafe");
	return false;
}

/* ---- telling ---- */

static void snapshot_free(void *p)
{
	struct image_snapshot *s = p;

	g_free(s->id);
	g_free(s->name);
	g_free(s);
}

struct image_info *image_info_new(struct blk *b)
{
	struct image_info *i = g_new0(struct image_info, 1);
	const struct image_format *f = image_format_of(b);

	i->facts = g_ptr_array_new_with_free_func(g_free);
	i->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
	i->extents = g_ptr_array_new_with_free_func(g_free);
	if (f && f->describe)
		f->describe(b, i);
	return i;
}

void image_info_free(struct image_info *i)
{
	g_ptr_array_free(i->facts, TRUE);
	g_ptr_array_free(i->snapshots, TRUE);
	g_ptr_array_free(i->extents, TRUE);
	g_free(i->backing);
	g_free(i->backing_format);
	g_free(i);
}

void image_info_fact(
	struct image_info *i, const char *key, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	g_ptr_array_add(i->facts, g_strdup(key));
	g_ptr_array_add(i->facts, g_strdup_vprintf(format, ap));
	va_end(ap);
}

void image_check_say(struct image_check *c, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list ap;

	if (!c->say)
		return;
	va_start(ap, format);
	text = g_strdup_vprintf(format, ap);
	va_end(ap);
	c->say(c->opaque, text);
}

/* ---- errors ---- */

bool image_bad(GError **err, const char *format, const char *what)
{
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"the %s image is damaged: %s\n"
		"  fix:  try `vmeste disk check --repair` on a copy of it",
		format, what);
	return false;
}

bool image_cannot(GError **err, const char *format, const char *what)
{
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
		"the %s image uses %s, which is not supported", format, what);
	return false;
}

bool image_errno(GError **err, int rc, const char *format, const char *what)
{
	if (rc == -EINVAL) /* outside the file */
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"the %s image is truncated: its %s is not whole",
			format, what);
	else
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-rc),
			"the %s image's %s: %s", format, what, g_strerror(-rc));
	return false;
}

void image_uuid(uint8_t id[16])
{
	if (getrandom(id, 16, 0) != 16)
		for (unsigned i = 0; i < 16; i++)
			id[i] = (uint8_t)g_random_int();
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
}

char *image_utf16_get(const uint8_t *p, size_t bytes, bool big_endian)
{
	g_autofree gunichar2 *u = g_new0(gunichar2, bytes / 2 + 1);

	for (size_t i = 0; i < bytes / 2; i++)
		u[i] = big_endian ? get_be16(p + 2 * i) : get_le16(p + 2 * i);
	return g_utf16_to_utf8(u, (glong)(bytes / 2), NULL, NULL, NULL);
}

uint8_t *image_utf16_put(const char *text, bool big_endian, size_t *len)
{
	glong n = 0;
	g_autofree gunichar2 *u = g_utf8_to_utf16(text, -1, NULL, &n, NULL);
	uint8_t *p = u ? g_malloc0((size_t)n * 2 + 2) : NULL;

	*len = 0;
	if (!u)
		return NULL;
	*len = (size_t)n * 2;
	for (glong i = 0; i < n; i++)
		if (big_endian)
			put_be16(p + 2 * i, u[i]);
		else
			put_le16(p + 2 * i, u[i]);
	return p;
}
