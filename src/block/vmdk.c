/*
 * vmdk.c - VMware disk images: a text that describes the disk, and extents.
 *
 * "Virtual Disk Format 5.0", VMware 2011.  The text lies in the sparse extent
 * itself (monolithic) or in a file of its own, beside the extents' files.
 *
 * CID changes as the disk is first written to: a child has its parent's in
 * parentCID and so knows whether the parent is still what it was.
 */
#include "block/vmdk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/bytes.h"
#include "block/iov.h"

/* ---- the disk as a row of extents ---- */

static struct vmdk_extent *vmdk_at(struct vmdk *v, uint64_t off)
{
	guint lo = 0, hi = v->ext->len;

	while (hi - lo > 1) {
		guint mid = (lo + hi) / 2;
		struct vmdk_extent *e = g_ptr_array_index(v->ext, mid);

		if (e->start <= off)
			lo = mid;
		else
			hi = mid;
	}
	return g_ptr_array_index(v->ext, lo);
}

/* The eight digits behind CID= in the file, changed in place: they are within
 * one sector or two, and any mixture is a new number too. */
static int vmdk_write_cid(struct vmdk *v)
{
	char *at = strstr(v->text, "CID=");
	char digits[9];

	/* parentCID= holds it too */
	if (!at || (at != v->text && at[-1] != '\n') || strlen(at) < 12)
		return 0;
	do
		v->cid = g_random_int();
	while (v->cid == VMDK_NO_PARENT);
	snprintf(digits, sizeof(digits), "%08x", v->cid);
	if (strspn(at + 4, "0123456789abcdefABCDEF") < 8)
		return 0;
	memcpy(at + 4, digits, 8);
	return blk_pwrite(v->lower, digits, 8,
		v->text_off + (uint64_t)(at + 4 - v->text));
}

static int vmdk_touch(struct vmdk *v)
{
	int rc = 0;

	if (atomic_load_explicit(&v->cid_new, memory_order_acquire))
		return 0;
	g_mutex_lock(&v->cid_lock);
	if (!atomic_load(&v->cid_new))
		rc = vmdk_write_cid(v);
	if (!rc)
		atomic_store(&v->cid_new, true);
	g_mutex_unlock(&v->cid_lock);
	return rc;
}

enum vmdk_op { READ, WRITE, ZERO, ZERO_UNMAP, DISCARD };

static int vmdk_one(const struct vmdk_extent *e, enum vmdk_op op,
	const struct iovec *iov, int n, const uint64_t range[2])
{
	uint64_t at = range[0] - e->start + e->base;

	if (!e->blk) {
		if (op == READ)
			iov_zero(iov, n);
		return op == WRITE ? -EIO : 0;
	}
	switch (op) {
	case READ: return blk_preadv(e->blk, iov, n, at);
	case WRITE: return blk_pwritev(e->blk, iov, n, at);
	case DISCARD: return blk_discard(e->blk, at, range[1]);
	case ZERO:
	case ZERO_UNMAP: break;
	}
	return blk_write_zeroes(e->blk, at, range[1], op == ZERO_UNMAP);
}

static int vmdk_do(struct vmdk *v, enum vmdk_op op, const struct iovec *iov,
	int n, const uint64_t range[2])
{
	g_autofree struct iovec *part = NULL;
	uint64_t off = range[0], len = range[1], done = 0;
	int rc = op == READ ? 0 : vmdk_touch(v);

	while (done < len && !rc) {
		const struct vmdk_extent *e = vmdk_at(v, off + done);
		uint64_t r[2] = {off + done,
			MIN(len - done, e->start + e->size - off - done)};

		if (r[1] == len)
			return vmdk_one(e, op, iov, n, r);
		if (n && !part)
			part = g_new(struct iovec, n);
		rc = vmdk_one(e, op, part,
			n ? iov_slice(iov, n, done, r[1], part) : 0, r);
		done += r[1];
	}
	return rc;
}

static int vmdk_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return vmdk_do(
		vmdk_of(b), READ, iov, n, (uint64_t[]){off, iov_bytes(iov, n)});
}

static int vmdk_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	const struct vmdk_extent *e = vmdk_at(vmdk_of(b), off);

	if (!e->blk || off - e->start + iov_bytes(iov, n) > e->size)
		return -EAGAIN;
	return blk_preadv_now(e->blk, iov, n, off - e->start + e->base);
}

static int vmdk_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return vmdk_do(vmdk_of(b), WRITE, iov, n,
		(uint64_t[]){off, iov_bytes(iov, n)});
}

static int vmdk_discard(struct blk *b, uint64_t off, uint64_t len)
{
	return vmdk_do(vmdk_of(b), DISCARD, NULL, 0, (uint64_t[]){off, len});
}

static int vmdk_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	return vmdk_do(vmdk_of(b), unmap ? ZERO_UNMAP : ZERO, NULL, 0,
		(uint64_t[]){off, len});
}

static int vmdk_flush(struct blk *b)
{
	struct vmdk *v = vmdk_of(b);
	int rc = 0;

	if (b->readonly)
		return 0;
	for (guint i = 0; i < v->ext->len && !rc; i++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, i);

		if (e->blk)
			rc = blk_flush(e->blk);
	}
	return rc ? rc : blk_flush(v->lower);
}

static int vmdk_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *r)
{
	struct vmdk *v = vmdk_of(b);
	const struct vmdk_extent *e = vmdk_at(v, off);
	int rc = 0;

	len = MIN(len, e->start + e->size - off);
	*r = (struct blk_extent){.state = BLK_ZERO, .len = len};
	if (e->blk)
		rc = blk_map(e->blk, off - e->start + e->base, len, r);
	/* A place in another file says nothing. */
	if (v->ext->len > 1 || e->file)
		r->plain = false;
	return rc;
}

static struct blk_stamp vmdk_stamp(struct blk *b)
{
	struct vmdk *v = vmdk_of(b);
	struct blk_stamp s = blk_stamp(v->lower);

	for (guint i = 0; i < v->ext->len; i++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, i);

		s.changed_ns = MAX(s.changed_ns, blk_stamp(e->blk).changed_ns);
	}
	return s;
}

static void vmdk_share(struct blk *b)
{
	struct vmdk *v = vmdk_of(b);

	for (guint i = 0; i < v->ext->len; i++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, i);
		struct blk *file = e->lower ? e->lower : e->blk;

		if (e->file && file->ops->share)
			file->ops->share(file);
	}
}

/* The file, if it is only one. */
static struct blk *vmdk_below(struct blk *b)
{
	struct vmdk *v = vmdk_of(b);

	for (guint i = 0; i < v->ext->len; i++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, i);

		if (e->file)
			return NULL;
	}
	return v->lower;
}

static int vmdk_write_packed(
	struct blk *b, const void *buf, size_t len, uint64_t off)
{
	struct vmdk_extent *e = vmdk_at(vmdk_of(b), off);

	if (!e->blk || !e->blk->ops->write_packed)
		return -EOPNOTSUPP;
	return e->blk->ops->write_packed(e->blk, buf, len, off - e->start);
}

static void extent_free(void *p)
{
	struct vmdk_extent *e = p;

	blk_close(e->blk);
	blk_close(e->lower);
	g_free(e->file);
	g_free(e);
}

static void vmdk_close(struct blk *b)
{
	struct vmdk *v = vmdk_of(b);

	g_ptr_array_free(v->ext, TRUE);
	blk_close(b->backing);
	blk_close(v->lower);
	g_mutex_clear(&v->cid_lock);
	g_free(v->text);
	g_free(v->type);
	g_free(v->parent);
	g_free(v);
}

static const struct blk_ops vmdk_ops = {
	.name = "vmdk",
	.preadv = vmdk_preadv,
	.preadv_now = vmdk_preadv_now,
	.below = vmdk_below,
	.stamp = vmdk_stamp,
	.share = vmdk_share,
	.pwritev = vmdk_pwritev,
	.flush = vmdk_flush,
	.discard = vmdk_discard,
	.write_zeroes = vmdk_write_zeroes,
	.map = vmdk_map,
	.write_packed = vmdk_write_packed,
	.close = vmdk_close,
};

/* ---- the text ---- */

/* Value of key= at a line's start, without quotes; free it.  NULL: none. */
static char *text_get(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *l = text; l && *l; l = strchr(l, '\n')) {
		const char *p = l + (*l == '\n');
		char *v;

		p += strspn(p, " \t");
		l = *l == '\n' ? l + 1 : l;
		if (g_ascii_strncasecmp(p, key, len))
			continue;
		p += len;
		p += strspn(p, " \t");
		if (*p++ != '=')
			continue;
		v = g_strndup(p, strcspn(p, "\r\n"));
		g_strstrip(v);
		if (v[0] == '"' && strlen(v) > 1) {
			v[strlen(v) - 1] = '\0';
			memmove(v, v + 1, strlen(v));
		}
		return v;
	}
	return NULL;
}

static bool vmdk_parse_text(struct vmdk *v, GError **err)
{
	g_autofree char *cid = text_get(v->text, "CID");
	g_autofree char *parent = text_get(v->text, "parentCID");

	v->type = text_get(v->text, "createType");
	v->parent = text_get(v->text, "parentFileNameHint");
	v->cid = cid ? (uint32_t)strtoul(cid, NULL, 16) : 0;
	v->parent_cid =
		parent ? (uint32_t)strtoul(parent, NULL, 16) : VMDK_NO_PARENT;
	if (v->parent)
		g_strdelimit(v->parent, "\\", '/');
	if (!v->type)
		return image_bad(err, "vmdk", "its description has no type");
	return true;
}

/* The text of a sparse file, or the whole file. */
static bool vmdk_load_text(struct vmdk *v, const uint8_t *head, GError **err)
{
	uint64_t off = 0, len = v->lower->size;
	int rc;

	if (get_le32(head) == VMDK_MAGIC) {
		off = get_le64(head + V_TEXT);
		len = get_le64(head + V_TEXT_SECTORS);
		if (!off || !len || off > 1u << 30 || len > 1u << 20)
			return image_bad(
				err, "vmdk", "its description is missing");
		off *= 512;
		len *= 512;
		v->text_room = len;
	} else if (memcmp(head, "# Disk Descr", 12)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a vmdk image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	if (len > VMDK_TEXT_MAX)
		return image_bad(err, "vmdk", "its description is too long");
	v->text_off = off;
	v->text = g_malloc0(len + 1);
	rc = blk_pread(v->lower, v->text, len, off);
	if (rc)
		return image_errno(err, rc, "vmdk", "description");
	return vmdk_parse_text(v, err);
}

/* ---- extents ---- */

/* A file in the same folder, nothing else. */
static bool name_ok(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') &&
	       !strchr(name, '\\');
}

static bool extent_open_file(struct vmdk *v, struct vmdk_extent *e,
	const struct image_open *how, GError **err)
{
	g_autofree char *path = NULL;
	uint8_t head[512];
	struct blk *b;
	int rc;

	if (!name_ok(e->file))
		return image_cannot(err, "vmdk", "an extent in another folder");
	b = image_open_file(how, e->file, v->blk.readonly, &path, err);
	if (!b)
		return false;
	if (!e->sparse) {
		e->blk = b;
		if (e->base + e->size <= b->size)
			return true;
		return image_bad(err, "vmdk", "an extent is truncated");
	}
	e->lower = b;
	rc = vmdk_sparse_head(b, head);
	if (rc)
		return image_errno(err, rc, "vmdk", "extent");
	if (get_le32(head) != VMDK_MAGIC)
		return image_bad(err, "vmdk", "an extent is not a sparse one");
	e->blk = vmdk_sparse_open(b, head, v->blk.readonly, how->repair, err);
	if (!e->blk || e->size <= e->blk->size)
		return e->blk != NULL;
	return image_bad(err, "vmdk", "an extent is too small");
}

/* "RW 4192256 SPARSE "name" 0" */
static struct vmdk_extent *extent_parse(const char *line, GError **err)
{
	char access[16] = "", type[16] = "", name[512] = "";
	unsigned long long sectors = 0, base = 0;
	struct vmdk_extent *e;
	int n = sscanf(line, "%15s %llu %15s \"%511[^\"]\" %llu", access,
		&sectors, type, name, &base);
	bool sparse = !strcmp(type, "SPARSE");
	bool zero = !strcmp(type, "ZERO");

	if (n < 3 || !sectors || sectors >> 50 || base >> 50) {
		image_bad(err, "vmdk", "an extent's description is wrong");
		return NULL;
	}
	if (!strcmp(access, "NOACCESS") ||
		(!sparse && !zero && strcmp(type, "FLAT") &&
			strcmp(type, "VMFS"))) {
		image_cannot(err, "vmdk", "an unknown kind of extent");
		return NULL;
	}
	if (!zero && n < 4) {
		image_bad(err, "vmdk", "an extent has no name");
		return NULL;
	}
	e = g_new0(struct vmdk_extent, 1);
	e->size = sectors * 512;
	e->base = sparse ? 0 : base * 512;
	e->sparse = sparse;
	e->file = zero ? NULL : g_strdup(name);
	return e;
}

static bool is_extent_line(const char *l)
{
	return g_str_has_prefix(l, "RW ") || g_str_has_prefix(l, "RDONLY ") ||
	       g_str_has_prefix(l, "NOACCESS ");
}

/* Those that the text lists. */
static bool vmdk_open_extents(
	struct vmdk *v, const struct image_open *how, GError **err)
{
	g_auto(GStrv) lines = g_strsplit(v->text, "\n", -1);

	for (unsigned i = 0; lines[i]; i++) {
		struct vmdk_extent *e;

		if (!is_extent_line(g_strstrip(lines[i])))
			continue;
		e = extent_parse(lines[i], err);
		if (!e)
			return false;
		e->start = v->blk.size;
		v->blk.size += e->size;
		g_ptr_array_add(v->ext, e);
		if (v->ext->len > VMDK_EXTENTS || v->blk.size >> 60)
			return image_bad(err, "vmdk", "it is too large");
		if (e->file && !extent_open_file(v, e, how, err))
			return false;
	}
	return v->ext->len ||
	       image_bad(err, "vmdk", "its description has no extent");
}

/* Header and text say how large it is; programs round up to a grain. */
static bool sizes_agree(const struct vmdk *v, const struct blk *extent)
{
	uint64_t grain = ((const struct bmap *)extent)->block;
	g_auto(GStrv) lines = g_strsplit(v->text, "\n", -1);
	unsigned long long sectors;

	for (unsigned i = 0; lines[i]; i++)
		if (is_extent_line(g_strstrip(lines[i])) &&
			sscanf(lines[i], "%*s %llu", &sectors) == 1)
			return !(sectors >> 50) &&
			       (sectors * 512 + grain - 1) / grain ==
				       (extent->size + grain - 1) / grain;
	return true;
}

/* The file itself is the one extent. */
static bool vmdk_open_self(struct vmdk *v, const uint8_t *head,
	const struct image_open *how, GError **err)
{
	struct vmdk_extent *e = g_new0(struct vmdk_extent, 1);
	bool fresh = get_le64(head + V_GD) == VMDK_AT_END &&
		     v->lower->size == get_le64(head + V_OVERHEAD) * 512;

	g_ptr_array_add(v->ext, e);
	e->sparse = true;
	if (fresh && !v->blk.readonly)
		e->blk = vmdk_stream_open(v->lower, head, err);
	else
		e->blk = vmdk_sparse_open(
			v->lower, head, v->blk.readonly, how->repair, err);
	if (!e->blk)
		return false;
	e->size = v->blk.size = e->blk->size;
	return fresh || sizes_agree(v, e->blk) ||
	       image_bad(err, "vmdk",
		       "its header and its description tell another size");
}

static bool vmdk_open_parent(
	struct vmdk *v, const struct image_open *how, GError **err)
{
	uint8_t cid[4];

	if (v->parent_cid == VMDK_NO_PARENT) {
		g_clear_pointer(&v->parent, g_free);
		return true;
	}
	if (!v->parent)
		return image_bad(err, "vmdk", "its parent has no name");
	if (how->no_backing)
		return true;
	v->blk.backing = image_open_backing(how, v->parent, &image_vmdk, err);
	if (!v->blk.backing)
		return false;
	put_le32(cid, v->parent_cid);
	if (!image_check_parent(v->blk.backing, cid, 4, err))
		return false;
	for (guint i = 0; i < v->ext->len; i++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, i);
		struct bmap *m = (struct bmap *)e->blk;

		if (!e->sparse)
			return image_cannot(
				err, "vmdk", "a parent below flat extents");
		m->below = v->blk.backing;
		m->below_off = e->start;
	}
	return true;
}

static bool vmdk_setup(
	struct vmdk *v, const struct image_open *how, GError **err)
{
	uint8_t head[512];
	int rc = vmdk_sparse_head(v->lower, head);
	bool self;

	if (rc)
		return image_errno(err, rc, "vmdk", "header");
	if (!memcmp(head, "COWD", 4))
		return image_cannot(err, "vmdk", "ESX's old sparse extents");
	self = get_le32(head) == VMDK_MAGIC;
	return vmdk_load_text(v, head, err) &&
	       (self ? vmdk_open_self(v, head, how, err)
		     : vmdk_open_extents(v, how, err)) &&
	       vmdk_open_parent(v, how, err);
}

static struct blk *vmdk_open(struct image_open *how, GError **err)
{
	struct vmdk *v = g_new0(struct vmdk, 1);

	v->blk.ops = &vmdk_ops;
	v->blk.readonly = how->readonly;
	v->blk.can_discard = true;
	v->lower = how->lower;
	v->ext = g_ptr_array_new_with_free_func(extent_free);
	g_mutex_init(&v->cid_lock);
	if (vmdk_setup(v, how, err))
		return &v->blk;
	v->blk.readonly = true;
	vmdk_close(&v->blk);
	return NULL;
}

static bool vmdk_probe(const uint8_t *head, const uint8_t *tail)
{
	return get_le32(head) == VMDK_MAGIC ||
	       !memcmp(head, "# Disk Descriptor", 17);
}

/* ---- telling ---- */

static void vmdk_describe(struct blk *b, struct image_info *i)
{
	struct vmdk *v = vmdk_of(b);

	i->kind = v->type;
	i->backing = g_strdup(v->parent);
	i->backing_format = v->parent ? g_strdup("vmdk") : NULL;
	image_info_fact(i, "content id", "%08x", v->cid);
	for (guint k = 0; k < v->ext->len; k++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, k);

		if (e->file)
			g_ptr_array_add(i->extents, g_strdup(e->file));
		if (e->blk && e->blk->ops == &vmdk_sparse_ops)
			i->block = ((struct bmap *)e->blk)->block;
	}
}

static bool vmdk_identity(struct blk *b, uint8_t id[IMAGE_ID_BYTES])
{
	memset(id, 0, IMAGE_ID_BYTES);
	put_le32(id, vmdk_of(b)->cid);
	return true;
}

static int vmdk_check(struct blk *b, struct image_check *c)
{
	struct vmdk *v = vmdk_of(b);
	struct image_check sum = *c;
	int rc = 0;

	for (guint k = 0; k < v->ext->len && !rc; k++) {
		struct vmdk_extent *e = g_ptr_array_index(v->ext, k);

		if (!e->blk || e->blk->ops != &vmdk_sparse_ops)
			continue;
		rc = bmap_check((struct bmap *)e->blk, c);
		sum.blocks += c->blocks;
		sum.allocated += c->allocated;
	}
	c->blocks = sum.blocks;
	c->allocated = sum.allocated;
	return rc;
}

/* The text again, with another parent; it is one or two sectors long. */
static bool vmdk_rebase(
	struct blk *b, const struct image_create *c, GError **err)
{
	struct vmdk *v = vmdk_of(b);
	g_auto(GStrv) lines = g_strsplit(v->text, "\n", -1);
	GString *s = g_string_new(NULL);
	uint32_t cid = c->parent ? vmdk_of(c->parent)->cid : VMDK_NO_PARENT;
	uint64_t room = v->text_room ? v->text_room : VMDK_TEXT_MAX;
	int rc = 0;

	for (unsigned i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], "parentFileNameHint="))
			continue;
		if (g_str_has_prefix(lines[i], "parentCID=")) {
			g_string_append_printf(s, "parentCID=%08x\n", cid);
			if (c->parent)
				g_string_append_printf(s,
					"parentFileNameHint=\"%s\"\n",
					c->backing);
			continue;
		}
		g_string_append(s, lines[i]);
		if (lines[i + 1])
			g_string_append_c(s, '\n');
	}
	if (s->len > room)
		rc = -ENOSPC;
	while (!rc && s->len < MIN(room, strlen(v->text)))
		g_string_append_c(s, '\n');
	if (!rc && !v->text_room)
		rc = blk_resize(v->lower, (s->len + 511) & ~511ull);
	if (!rc)
		rc = blk_pwrite(v->lower, s->str, s->len, v->text_off);
	if (!rc)
		rc = blk_flush(v->lower);
	g_free(v->text);
	v->text = g_string_free(s, FALSE);
	return !rc || image_errno(err, rc, "vmdk", "description");
}

static const char *const vmdk_kinds[] = {
	"sparse", "flat", "split-sparse", "split-flat", "stream", NULL};

const struct image_format image_vmdk = {
	.name = "vmdk",
	.suffix = ".vmdk",
	.summary = "VMware",
	.kinds = vmdk_kinds,
	.probe = vmdk_probe,
	.open = vmdk_open,
	.create = vmdk_create,
	.describe = vmdk_describe,
	.check = vmdk_check,
	.identity = vmdk_identity,
	.rebase = vmdk_rebase,
};
