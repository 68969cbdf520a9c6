/*
 * snapshots.c - snapshots.xml: reading it, holding it against itself, writing.
 *
 * The file may have been edited, or come from elsewhere: numbers are bounded,
 * parents come before children (so there are no loops), and files that might
 * be removed lie in the folder.
 */
#include "node/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <libxml/tree.h>

#include "conf/error.h"
#include "node/folder.h"
#include "node/xml.h"

#define MAX_BYTES  (4u << 20)
#define MAX_IMAGES 100000
#define WAIT_US	   (60 * G_USEC_PER_SEC)

static const char *const kinds[] = {"snap", "back", "merge", NULL};
static const char *const image_words[] = {"live", "new", "gone", NULL};

/* ---- objects ---- */

static void disk_free(void *p)
{
	struct node_disk *d = p;

	g_free(d->drive);
	g_free(d->file);
	g_free(d);
}

GPtrArray *node_disks_new(void)
{
	return g_ptr_array_new_with_free_func(disk_free);
}

void node_disk_add(GPtrArray *to, const char *drive, const char *file)
{
	struct node_disk *d = g_new0(struct node_disk, 1);

	d->drive = g_strdup(drive);
	d->file = g_strdup(file);
	g_ptr_array_add(to, d);
}

const char *node_disk_find(const GPtrArray *disks, const char *drive)
{
	for (guint i = 0; i < disks->len; i++) {
		const struct node_disk *d = g_ptr_array_index(disks, i);

		if (!strcmp(d->drive, drive))
			return d->file;
	}
	return NULL;
}

struct node_snapshot *node_snapshot_new(void)
{
	struct node_snapshot *s = g_new0(struct node_snapshot, 1);

	s->disks = node_disks_new();
	return s;
}

void node_snapshot_free(void *p)
{
	struct node_snapshot *s = p;

	if (!s)
		return;
	g_free(s->name);
	g_free(s->note);
	g_ptr_array_unref(s->disks);
	g_free(s);
}

static void image_free(void *p)
{
	struct node_image *i = p;

	g_free(i->file);
	g_free(i->format);
	g_free(i->on);
	g_free(i);
}

static void stamp_free(void *p)
{
	struct node_stamp *s = p;

	g_free(s->file);
	g_free(s);
}

struct node_change *node_change_new(enum node_change_kind kind)
{
	struct node_change *c = g_new0(struct node_change, 1);

	c->kind = kind;
	c->tops = node_disks_new();
	return c;
}

void node_change_free(struct node_change *c)
{
	if (!c)
		return;
	node_snapshot_free(c->snapshot);
	g_free(c->from);
	g_free(c->to);
	g_ptr_array_unref(c->tops);
	g_free(c);
}

static struct node_tree *tree_new(void)
{
	struct node_tree *t = g_new0(struct node_tree, 1);

	t->next = 1;
	t->snapshots = g_ptr_array_new_with_free_func(node_snapshot_free);
	t->images = g_ptr_array_new_with_free_func(image_free);
	t->saved.disks = g_ptr_array_new_with_free_func(stamp_free);
	return t;
}

void node_tree_free(struct node_tree *t)
{
	if (!t)
		return;
	g_ptr_array_unref(t->snapshots);
	g_ptr_array_unref(t->images);
	g_ptr_array_unref(t->saved.disks);
	g_free(t->saved.file);
	node_change_free(t->change);
	g_free(t);
}

/* ---- the tree ---- */

struct node_snapshot *node_tree_get(const struct node_tree *t, unsigned id)
{
	for (guint i = 0; id && i < t->snapshots->len; i++) {
		struct node_snapshot *s = g_ptr_array_index(t->snapshots, i);

		if (s->id == id)
			return s;
	}
	return NULL;
}

static struct node_snapshot *by_name(
	const struct node_tree *t, const char *name)
{
	for (guint i = 0; i < t->snapshots->len; i++) {
		struct node_snapshot *s = g_ptr_array_index(t->snapshots, i);

		if (!strcmp(s->name, name))
			return s;
	}
	return NULL;
}

struct node_snapshot *node_tree_find(
	const struct node_tree *t, const char *name, GError **err)
{
	struct node_snapshot *s = by_name(t, name);
	guint64 id;

	if (!s && g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT, &id, NULL))
		s = node_tree_get(t, (unsigned)id);
	if (!s)
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
			"vmeste snaps NAME lists them",
			"there is no snapshot '%s'", name);
	return s;
}

/* What can be shown on a line, and typed. */
static const char *name_fault(const char *name)
{
	if (!*name || strlen(name) > NODE_MAX_NAME)
		return "a name has 1 to 100 bytes";
	if (!g_utf8_validate(name, -1, NULL))
		return "it is not UTF-8";
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return "there are control characters in it";
	if (*name == ' ' || *name == '-' || name[strlen(name) - 1] == ' ')
		return "it begins with - or a blank, or ends with one";
	return strcmp(name, "current") ? NULL : "that is the machine of now";
}

bool node_tree_name_ok(
	const struct node_tree *t, const char *name, GError **err)
{
	const char *fault = name_fault(name);

	if (fault) {
		conf_error_set(err, CONF_ERROR_USAGE, fault,
			"choose another name",
			"a snapshot cannot be called '%s'", name);
		return false;
	}
	if (!by_name(t, name))
		return true;
	conf_error_set(err, CONF_ERROR_CONFLICT, NULL, "choose another name",
		"there is a snapshot '%s' already", name);
	return false;
}

void node_tree_drop(struct node_tree *t, struct node_snapshot *s)
{
	for (guint i = 0; i < t->snapshots->len; i++) {
		struct node_snapshot *c = g_ptr_array_index(t->snapshots, i);

		if (c->parent == s->id)
			c->parent = s->parent;
	}
	if (t->current == s->id)
		t->current = s->parent;
	g_ptr_array_remove(t->snapshots, s);
}

/* ---- images ---- */

bool node_is_inside(const char *file)
{
	g_auto(GStrv) part = g_strsplit(file, "/", -1);

	if (*file == '/' || !*file)
		return false;
	for (unsigned i = 0; part[i]; i++)
		if (!strcmp(part[i], "..") || !*part[i])
			return false;
	return true;
}

struct node_image *node_image_find(const struct node_tree *t, const char *file)
{
	for (guint i = 0; file && i < t->images->len; i++) {
		struct node_image *m = g_ptr_array_index(t->images, i);

		if (!strcmp(m->file, file))
			return m;
	}
	return NULL;
}

struct node_image *node_image_add(struct node_tree *t, const char *file,
	const char *format, const char *on)
{
	struct node_image *i = node_image_find(t, file);

	if (i)
		return i;
	i = g_new0(struct node_image, 1);
	i->file = g_strdup(file);
	i->format = g_strdup(format);
	i->on = g_strdup(on);
	g_ptr_array_add(t->images, i);
	return i;
}

void node_image_remove(struct node_tree *t, struct node_image *i)
{
	g_ptr_array_remove(t->images, i);
}

unsigned node_image_children(const struct node_tree *t,
	const struct node_image *i, struct node_image **child)
{
	unsigned n = 0;

	for (guint k = 0; k < t->images->len; k++) {
		struct node_image *c = g_ptr_array_index(t->images, k);

		if (g_strcmp0(c->on, i->file) != 0 || c->is != NODE_IMAGE_LIVE)
			continue;
		if (child && !n)
			*child = c;
		n++;
	}
	return n;
}

bool node_image_named(const struct node_tree *t, const struct node_image *i)
{
	for (guint k = 0; k < t->snapshots->len; k++) {
		const struct node_snapshot *s =
			g_ptr_array_index(t->snapshots, k);

		for (guint d = 0; d < s->disks->len; d++) {
			const struct node_disk *one =
				g_ptr_array_index(s->disks, d);

			if (!strcmp(one->file, i->file))
				return true;
		}
	}
	return false;
}

char *node_snapshot_path(const char *name, unsigned id, const char *file)
{
	g_autofree char *dir = g_strdup_printf("states/%u", id);
	g_autofree char *in =
		file ? g_build_filename(dir, file, NULL) : g_strdup(dir);

	return node_path(name, in);
}

/* ---- reading ---- */

struct reader {
	const char *path;
	GError **err;
	bool bad;
};

static bool fault(struct reader *r, const xmlNode *n, const char *what)
{
	g_autofree char *why =
		g_strdup_printf("line %ld: %s", xmlGetLineNo(n), what);

	if (!r->bad)
		conf_error_set(r->err, CONF_ERROR_FAILED, why,
			"mend it by an editor, or put a copy there; the images "
			"in disks/ are not touched meanwhile",
			"%s is damaged", r->path);
	r->bad = true;
	return false;
}

static uint64_t number(
	struct reader *r, xmlNode *n, const char *attr, uint64_t max)
{
	uint64_t v = 0;

	if (!node_xml_number(n, attr, max, &v))
		fault(r, n, attr);
	return v;
}

static char *need(struct reader *r, xmlNode *n, const char *attr)
{
	char *v = node_xml_get(n, attr);

	if (!v || !*v)
		fault(r, n, attr);
	return v;
}

static int word(
	struct reader *r, xmlNode *n, const char *attr, const char *const *of)
{
	g_autofree char *v = node_xml_get(n, attr);

	for (int i = 0; v && of[i]; i++)
		if (!strcmp(of[i], v))
			return i;
	if (v)
		fault(r, n, attr);
	return 0;
}

static bool yes(xmlNode *n, const char *attr)
{
	g_autofree char *v = node_xml_get(n, attr);

	return !g_strcmp0(v, "yes");
}

static gint64 when(struct reader *r, xmlNode *n)
{
	g_autofree char *text = node_xml_get(n, "time");
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) t =
		text ? g_date_time_new_from_iso8601(text, utc) : NULL;

	if (!t)
		fault(r, n, "time");
	return t ? g_date_time_to_unix(t) : 0;
}

static void read_disks(
	struct reader *r, xmlNode *in, const char *element, GPtrArray *to)
{
	for (xmlNode *n = in->children; n; n = n->next) {
		g_autofree char *drive = NULL, *file = NULL;

		if (!node_xml_is(n, element))
			continue;
		drive = need(r, n, "drive");
		file = need(r, n, "file");
		if (!r->bad && node_disk_find(to, drive))
			fault(r, n, "a drive is there twice");
		if (!r->bad)
			node_disk_add(to, drive, file);
	}
}

static char *note_of(xmlNode *in)
{
	for (xmlNode *n = in->children; n; n = n->next)
		if (node_xml_is(n, "note")) {
			xmlChar *v = xmlNodeGetContent(n);
			char *text = g_strndup((char *)v, NODE_MAX_NOTE);

			xmlFree(v);
			return text;
		}
	return NULL;
}

static struct node_snapshot *read_snapshot(struct reader *r, xmlNode *n)
{
	struct node_snapshot *s = node_snapshot_new();

	s->id = (unsigned)number(r, n, "id", G_MAXINT);
	s->parent = (unsigned)number(r, n, "parent", G_MAXINT);
	s->name = need(r, n, "name");
	s->note = note_of(n);
	s->time_s = when(r, n);
	s->ram = yes(n, "ram");
	s->bytes = number(r, n, "bytes", G_MAXINT64);
	s->stood_ns = number(r, n, "stood", G_MAXINT64);
	s->took_ns = number(r, n, "took", G_MAXINT64);
	read_disks(r, n, "disk", s->disks);
	if (!s->id)
		fault(r, n, "id");
	if (s->name && name_fault(s->name))
		fault(r, n, "name");
	return s;
}

/* Parents come before their children: there are no loops. */
static void add_snapshot(struct reader *r, xmlNode *n, struct node_tree *t)
{
	struct node_snapshot *s = read_snapshot(r, n);

	if (!r->bad && node_tree_get(t, s->id))
		fault(r, n, "a snapshot's id is there twice");
	if (!r->bad && by_name(t, s->name))
		fault(r, n, "a snapshot's name is there twice");
	if (!r->bad && s->parent && !node_tree_get(t, s->parent))
		fault(r, n, "a snapshot's parent is not there before it");
	if (t->snapshots->len >= NODE_MAX_SNAPSHOTS)
		fault(r, n, "there are too many snapshots");
	if (s->id >= t->next)
		t->next = s->id + 1;
	g_ptr_array_add(t->snapshots, s);
}

static void add_image(struct reader *r, xmlNode *n, struct node_tree *t)
{
	g_autofree char *file = need(r, n, "file");
	g_autofree char *format = need(r, n, "format");
	g_autofree char *on = node_xml_get(n, "on");
	struct node_image *i;

	if (r->bad)
		return;
	if (node_image_find(t, file))
		fault(r, n, "an image is there twice");
	if (t->images->len >= MAX_IMAGES)
		fault(r, n, "there are too many images");
	i = node_image_add(t, file, format, on);
	i->is = (enum node_image_is)word(r, n, "is", image_words);
	if (i->is != NODE_IMAGE_LIVE && !node_is_inside(file))
		fault(r, n, "an image to be removed is not in the folder");
}

static void read_saved(struct reader *r, xmlNode *n, struct node_tree *t)
{
	t->saved.file = need(r, n, "file");
	t->saved.time_s = when(r, n);
	t->saved.resuming = yes(n, "resuming");
	if (t->saved.file && !node_is_inside(t->saved.file))
		fault(r, n, "the saved state is not in the folder");
	for (xmlNode *d = n->children; d; d = d->next) {
		struct node_stamp *s;

		if (!node_xml_is(d, "disk"))
			continue;
		s = g_new0(struct node_stamp, 1);
		s->file = need(r, d, "file");
		s->mtime_ns = (gint64)number(r, d, "mtime", G_MAXINT64);
		s->bytes = number(r, d, "bytes", G_MAXINT64);
		g_ptr_array_add(t->saved.disks, s);
	}
}

static void read_change(struct reader *r, xmlNode *n, struct node_tree *t)
{
	struct node_change *c = node_change_new(
		(enum node_change_kind)word(r, n, "kind", kinds));

	node_change_free(t->change);
	t->change = c;
	c->id = (unsigned)number(r, n, "id", G_MAXINT);
	c->ram = yes(n, "ram");
	c->from = node_xml_get(n, "from");
	c->to = node_xml_get(n, "to");
	read_disks(r, n, "top", c->tops);
	for (xmlNode *s = n->children; s; s = s->next)
		if (node_xml_is(s, "snapshot") && !c->snapshot)
			c->snapshot = read_snapshot(r, s);
	if (c->kind == NODE_SNAP       ? !c->snapshot
		: c->kind == NODE_BACK ? !node_tree_get(t, c->id)
				       : !node_image_find(t, c->from) ||
						 !node_image_find(t, c->to))
		fault(r, n, "the change that was under way");
}

static void check_whole(struct reader *r, xmlNode *root, struct node_tree *t)
{
	t->current = (unsigned)number(r, root, "current", G_MAXINT);
	t->next = MAX(t->next, (unsigned)number(r, root, "next", G_MAXINT / 2));
	if (!r->bad && t->current && !node_tree_get(t, t->current))
		fault(r, root, "the current snapshot is not there");
}

static struct node_tree *tree_of(xmlDoc *doc, const char *path, GError **err)
{
	struct reader r = {.path = path, .err = err};
	xmlNode *root = xmlDocGetRootElement(doc);
	struct node_tree *t = tree_new();

	for (xmlNode *n = root->children; n && !r.bad; n = n->next) {
		if (node_xml_is(n, "snapshot"))
			add_snapshot(&r, n, t);
		else if (node_xml_is(n, "image"))
			add_image(&r, n, t);
		else if (node_xml_is(n, "saved") && !t->saved.file)
			read_saved(&r, n, t);
		else if (node_xml_is(n, "change"))
			read_change(&r, n, t);
		else if (n->type == XML_ELEMENT_NODE)
			fault(&r, n, "an element that is not known");
	}
	check_whole(&r, root, t);
	if (!r.bad)
		return t;
	node_tree_free(t);
	return NULL;
}

struct node_tree *node_tree_parse(
	const char *text, gsize n, const char *path, GError **err)
{
	xmlDoc *doc = node_xml_parse(text, n, path, "snapshots", err);
	struct node_tree *t = doc ? tree_of(doc, path, err) : NULL;

	if (doc)
		xmlFreeDoc(doc);
	return t;
}

struct node_tree *node_tree_read(const char *name, GError **err)
{
	g_autofree char *path = node_path(name, "snapshots.xml");
	g_autofree char *text = NULL;
	gsize n = 0;

	if (access(path, F_OK) && errno == ENOENT)
		return tree_new();
	text = node_xml_read(path, MAX_BYTES, &n, err);
	return text ? node_tree_parse(text, n, path, err) : NULL;
}

/* ---- writing ---- */

static xmlNode *add(xmlNode *to, const char *element)
{
	xmlNode *n = xmlNewNode(NULL, (const xmlChar *)element);

	return xmlAddChild(to, n);
}

static void put_time(xmlNode *n, gint64 time_s)
{
	g_autoptr(GDateTime) t = g_date_time_new_from_unix_utc(time_s);
	g_autofree char *text = t ? g_date_time_format_iso8601(t) : NULL;

	node_xml_set(n, "time", text ? text : "1970-01-01T00:00:00Z");
}

static void put_disks(xmlNode *to, const char *element, const GPtrArray *disks)
{
	for (guint i = 0; i < disks->len; i++) {
		const struct node_disk *d = g_ptr_array_index(disks, i);
		xmlNode *n = add(to, element);

		node_xml_set(n, "drive", d->drive);
		node_xml_set(n, "file", d->file);
	}
}

static void put_snapshot(xmlNode *to, const struct node_snapshot *s)
{
	xmlNode *n = add(to, "snapshot");

	node_xml_set_number(n, "id", s->id);
	node_xml_set_number(n, "parent", s->parent);
	node_xml_set(n, "name", s->name);
	put_time(n, s->time_s);
	node_xml_set(n, "ram", s->ram ? "yes" : "no");
	if (s->ram) {
		node_xml_set_number(n, "bytes", s->bytes);
		node_xml_set_number(n, "stood", s->stood_ns);
		node_xml_set_number(n, "took", s->took_ns);
	}
	if (s->note)
		xmlNewTextChild(n, NULL, (const xmlChar *)"note",
			(const xmlChar *)s->note);
	put_disks(n, "disk", s->disks);
}

static void put_saved(xmlNode *to, const struct node_saved *s)
{
	xmlNode *n = add(to, "saved");

	node_xml_set(n, "file", s->file);
	put_time(n, s->time_s);
	node_xml_set(n, "resuming", s->resuming ? "yes" : "no");
	for (guint i = 0; i < s->disks->len; i++) {
		const struct node_stamp *d = g_ptr_array_index(s->disks, i);
		xmlNode *e = add(n, "disk");

		node_xml_set(e, "file", d->file);
		node_xml_set_number(e, "mtime", (uint64_t)d->mtime_ns);
		node_xml_set_number(e, "bytes", d->bytes);
	}
}

static void put_change(xmlNode *to, const struct node_change *c)
{
	xmlNode *n = add(to, "change");

	node_xml_set(n, "kind", kinds[c->kind]);
	if (c->id)
		node_xml_set_number(n, "id", c->id);
	if (c->ram)
		node_xml_set(n, "ram", "yes");
	if (c->from)
		node_xml_set(n, "from", c->from);
	if (c->to)
		node_xml_set(n, "to", c->to);
	if (c->snapshot)
		put_snapshot(n, c->snapshot);
	put_disks(n, "top", c->tops);
}

static xmlDoc *doc_of(const struct node_tree *t)
{
	xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"snapshots");

	xmlDocSetRootElement(doc, root);
	node_xml_set(root, "version", NODE_XML_VERSION);
	node_xml_set_number(root, "current", t->current);
	node_xml_set_number(root, "next", t->next);
	if (t->saved.file)
		put_saved(root, &t->saved);
	for (guint i = 0; i < t->snapshots->len; i++)
		put_snapshot(root, g_ptr_array_index(t->snapshots, i));
	for (guint i = 0; i < t->images->len; i++) {
		const struct node_image *m = g_ptr_array_index(t->images, i);
		xmlNode *n = add(root, "image");

		node_xml_set(n, "file", m->file);
		node_xml_set(n, "format", m->format);
		if (m->on)
			node_xml_set(n, "on", m->on);
		if (m->is != NODE_IMAGE_LIVE)
			node_xml_set(n, "is", image_words[m->is]);
	}
	if (t->change)
		put_change(root, t->change);
	return doc;
}

char *node_tree_text(const struct node_tree *t)
{
	xmlDoc *doc = doc_of(t);
	char *text = node_xml_text(doc);

	xmlFreeDoc(doc);
	return text;
}

bool node_tree_write(const struct node_tree *t, const char *name, GError **err)
{
	g_autofree char *path = node_path(name, "snapshots.xml");
	xmlDoc *doc = doc_of(t);
	bool ok = node_xml_write(doc, path, err);

	xmlFreeDoc(doc);
	return ok;
}

/* ---- alone ---- */

int node_tree_lock(const char *name, GError **err)
{
	g_autofree char *path = node_path(name, "states.lock");
	gint64 end = g_get_monotonic_time() + WAIT_US;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		conf_error_set_errno(err, errno, NULL,
			"cannot write to the folder of '%s'", name);
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (g_get_monotonic_time() > end) {
			close(fd);
			conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
				"wait until it is done, then try again",
				"another command works on the states of '%s'",
				name);
			return -1;
		}
		g_usleep(20000);
	}
	return fd;
}
