/*
 * node-snapshots.c - snapshots.xml: what is written is read again and fits the
 * schema; what makes no sense is refused; the tree's own rules.
 */
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <libxml/relaxng.h>

#include "conf/error.h"
#include "node/folder.h"
#include "node/snapshots.h"

static char *home;

static struct node_tree *parse(const char *text, GError **err)
{
	return node_tree_parse(text, strlen(text), "x", err);
}

static struct node_snapshot *add(
	struct node_tree *t, unsigned parent, const char *name)
{
	struct node_snapshot *s = node_snapshot_new();

	s->id = t->next++;
	s->parent = parent;
	s->name = g_strdup(name);
	s->time_s = 1700000000 + s->id;
	node_disk_add(s->disks, "disk0", "disks/disk0.img");
	g_ptr_array_add(t->snapshots, s);
	return s;
}

/* All that can stand in it. */
static struct node_tree *full(void)
{
	struct node_tree *t = parse("<snapshots/>", NULL);
	struct node_stamp *stamp = g_new0(struct node_stamp, 1);
	struct node_snapshot *s;

	add(t, 0, "one");
	s = add(t, 1, "two <&> \"three\"");
	s->ram = true;
	s->bytes = 1ull << 40;
	s->note = g_strdup("a\nb");
	add(t, 1, "üben")->time_s = -61346332800; /* the year 26 */
	t->current = 2;
	node_image_add(t, "/var/base.vhd", "vhd", NULL);
	node_image_add(t, "disks/disk0.img", "qcow2", "/var/base.vhd");
	node_image_add(t, "disks/a.qcow2", "qcow2", "disks/disk0.img")->is =
		NODE_IMAGE_NEW;
	node_image_add(t, "disks/b.qcow2", "qcow2", "disks/disk0.img")->is =
		NODE_IMAGE_GONE;
	t->saved.file = g_strdup("states/2/state");
	t->saved.time_s = 1700000000;
	t->saved.resuming = true;
	stamp->file = g_strdup("disks/a.qcow2");
	stamp->mtime_ns = 1700000000123456789;
	stamp->bytes = 512;
	g_ptr_array_add(t->saved.disks, stamp);
	return t;
}

static void valid(const char *text)
{
	xmlRelaxNGParserCtxt *parser =
		xmlRelaxNGNewParserCtxt(g_getenv("SNAPSHOTS_SCHEMA"));
	xmlRelaxNG *rng = xmlRelaxNGParse(parser);
	xmlRelaxNGValidCtxt *v;
	xmlDoc *doc;

	g_assert_nonnull(rng);
	v = xmlRelaxNGNewValidCtxt(rng);
	doc = xmlReadDoc((const xmlChar *)text, NULL, NULL, XML_PARSE_NONET);
	g_assert_cmpint(xmlRelaxNGValidateDoc(v, doc), ==, 0);
	xmlFreeDoc(doc);
	xmlRelaxNGFreeValidCtxt(v);
	xmlRelaxNGFree(rng);
	xmlRelaxNGFreeParserCtxt(parser);
}

static void round_trip(struct node_tree *t)
{
	g_autofree char *text = node_tree_text(t);
	g_autoptr(GError) err = NULL;
	g_autoptr(node_tree_auto) again = parse(text, &err);
	g_autofree char *second = NULL;

	g_assert_no_error(err);
	second = node_tree_text(again);
	g_assert_cmpstr(text, ==, second);
	g_assert_cmpuint(again->next, ==, t->next);
	valid(text);
}

static void test_round_trip(void)
{
	g_autoptr(node_tree_auto) t = full();

	round_trip(t);
	for (int kind = NODE_SNAP; kind <= NODE_MERGE; kind++) {
		t->change = node_change_new((enum node_change_kind)kind);
		if (kind == NODE_SNAP) {
			t->change->snapshot = node_snapshot_new();
			t->change->snapshot->id = t->next;
			t->change->snapshot->name = g_strdup("next");
		}
		t->change->id = kind == NODE_BACK ? 2 : 0;
		t->change->ram = kind == NODE_BACK;
		if (kind == NODE_MERGE) {
			t->change->from = g_strdup("disks/a.qcow2");
			t->change->to = g_strdup("disks/disk0.img");
		}
		node_disk_add(t->change->tops, "disk0", "disks/a.qcow2");
		round_trip(t);
		g_clear_pointer(&t->change, node_change_free);
	}
}

static void test_hostile(void)
{
	static const char *const bad[] = {"", "x", "<other/>",
		"<snapshots version='2'/>", "<snapshots current='1'/>",
		"<snapshots><what/></snapshots>",
		"<snapshots><snapshot id='1' parent='0' name='a'/></snapshots>",
		"<snapshots><snapshot id='0' parent='0' name='a' "
		"time='2026-01-01T00:00:00Z'/></snapshots>",
		"<snapshots><snapshot id='1' parent='1' name='a' "
		"time='2026-01-01T00:00:00Z'/></snapshots>",
		"<snapshots><snapshot id='1' parent='0' name='-a' "
		"time='2026-01-01T00:00:00Z'/></snapshots>",
		"<snapshots><snapshot id='1' parent='0' name='a' "
		"time='2026-01-01T00:00:00Z'><disk drive='disk0' file='a'/>"
		"<disk drive='disk0' file='b'/></snapshot></snapshots>",
		"<snapshots><image file='a'/></snapshots>",
		"<snapshots><image file='a' format='raw'/>"
		"<image file='a' format='raw'/></snapshots>",
		"<snapshots><image file='/a' format='raw' is='gone'/>"
		"</snapshots>",
		"<snapshots><image file='a/../../b' format='raw' is='new'/>"
		"</snapshots>",
		"<snapshots><image file='a' format='raw' is='what'/>"
		"</snapshots>",
		"<snapshots><saved file='../x' time='2026-01-01T00:00:00Z'/>"
		"</snapshots>",
		"<snapshots><change kind='back' id='3'/></snapshots>",
		"<snapshots><change kind='merge' from='a' to='b'/></snapshots>",
		"<snapshots><change kind='snap'/></snapshots>",
		"<snapshots next='99999999999999999999'/>",
		"<!DOCTYPE snapshots [<!ENTITY a 'b'>]><snapshots/>"};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) err = NULL;

		g_test_message("%s", bad[i]);
		g_assert_null(parse(bad[i], &err));
		g_assert_error(err, CONF_ERROR, CONF_ERROR_FAILED);
	}
}

static void test_tree(void)
{
	g_autoptr(node_tree_auto) t = full();
	g_autoptr(GError) err = NULL;
	struct node_image *base = node_image_find(t, "disks/disk0.img");

	g_assert_cmpuint(node_tree_find(t, "3", NULL)->id, ==, 3);
	g_assert_cmpuint(node_tree_find(t, "one", NULL)->id, ==, 1);
	g_assert_null(node_tree_find(t, "four", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_NOT_FOUND);
	g_clear_error(&err);
	g_assert_false(node_tree_name_ok(t, "one", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_CONFLICT);
	g_clear_error(&err);
	g_assert_false(node_tree_name_ok(t, "a\nb", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	g_assert_true(node_tree_name_ok(t, "another", NULL));

	/* children hang on the parent of what goes */
	g_assert_true(node_image_named(t, base));
	node_tree_drop(t, node_tree_get(t, 1));
	g_assert_cmpuint(node_tree_get(t, 2)->parent, ==, 0);
	node_tree_drop(t, node_tree_get(t, 2));
	g_assert_cmpuint(t->current, ==, 0);
	node_tree_drop(t, node_tree_get(t, 3));
	g_assert_false(node_image_named(t, base));
	g_assert_cmpuint(node_image_children(t, base, NULL), ==, 0);
	node_image_find(t, "disks/a.qcow2")->is = NODE_IMAGE_LIVE;
	g_assert_cmpuint(node_image_children(t, base, NULL), ==, 1);
	g_assert_true(node_is_inside("disks/a"));
	g_assert_false(node_is_inside("/a"));
	g_assert_false(node_is_inside("a//b"));
	g_assert_false(node_is_inside("../a"));
	g_assert_false(node_is_inside(""));
}

static void test_file(void)
{
	g_autoptr(node_tree_auto) t = NULL, again = NULL;
	g_autoptr(GError) err = NULL;
	int lock;

	g_assert_true(node_create("a", NULL));
	t = node_tree_read("a", NULL);
	g_assert_nonnull(t);
	g_assert_cmpuint(t->snapshots->len, ==, 0);
	add(t, 0, "one");
	g_assert_true(node_tree_write(t, "a", NULL));
	again = node_tree_read("a", NULL);
	g_assert_cmpuint(again->snapshots->len, ==, 1);
	lock = node_tree_lock("a", &err);
	g_assert_no_error(err);
	close(lock);
	node_discard("a");
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	home = g_dir_make_tmp("node-XXXXXX", NULL);
	g_setenv("VMESTE_HOME", home, TRUE);
	g_test_add_func("/snapshots/round-trip", test_round_trip);
	g_test_add_func("/snapshots/hostile", test_hostile);
	g_test_add_func("/snapshots/tree", test_tree);
	g_test_add_func("/snapshots/file", test_file);
	status = g_test_run();
	node_discard(".");
	g_free(home);
	return status;
}
