/*
 * settings.c - machine.xml by libxml2.
 */
#include "node/settings.h"

#include <string.h>

#include <libxml/tree.h>

#include "conf/error.h"
#include "conf/parse.h"
#include "node/xml.h"

#define MAX_BYTES (1 << 20)

/*
 * Where flags are.  Each that repeats has an element of its own; of those that
 * do not, several may share one.  SPLIT: what stands behind commas are further
 * attributes.
 */
enum {
	REPEATS = 1,
	SPLIT = 2,
	PATH = 4,
};

static const struct place {
	const char *flag, *element, *attr;
	unsigned is;
} places[] = {
	{"os", "os", "name", 0},
	{"board", "board", "type", 0},
	{"cpus", "cpu", "count", 0},
	{"cpu", "cpu", "model", 0},
	{"engine", "cpu", "engine", 0},
	{"hypervisor", "cpu", "hypervisor", 0},
	{"cpu-limit", "cpu", "limit", 0},
	{"mem", "memory", "size", SPLIT},
	{"firmware", "firmware", "type", SPLIT},
	{"acpi", "firmware", "acpi", 0},
	{"ioapic", "firmware", "ioapic", 0},
	{"hpet", "firmware", "hpet", 0},
	{"genid", "firmware", "genid", 0},
	{"boot", "firmware", "boot", 0},
	{"nvram", "firmware", "nvram", PATH},
	{"kernel", "kernel", "file", PATH},
	{"initrd", "kernel", "initrd", PATH},
	{"append", "kernel", "append", 0},
	{"disk", "disk", "file", REPEATS | SPLIT | PATH},
	{"cdrom", "cdrom", "file", REPEATS | SPLIT | PATH},
	{"floppy", "floppy", "file", REPEATS | SPLIT | PATH},
	{"nic", "nic", "net", REPEATS | SPLIT},
	{"share", "share", "path", REPEATS | SPLIT | PATH},
	{"serial", "serial", "to", REPEATS},
	{"parallel", "parallel", "to", REPEATS},
	{"gameport", "gameport", "is", 0},
	{"balloon", "balloon", "is", SPLIT},
	{"console", "console", "to", 0},
	{"debugcon", "debugcon", "to", 0},
	{"vga", "video", "model", SPLIT},
	{"display", "display", "to", 0},
	{"pointer", "input", "pointer", 0},
	{"keyboard", "input", "keyboard", 0},
	{"usb", "usb", "controllers", 0},
	{"smartcard", "usb", "smartcard", 0},
	{"sound", "sound", "card", REPEATS | SPLIT},
	{"audio", "audio", "to", SPLIT},
	{"watchdog", "watchdog", "model", SPLIT},
	{"rtc", "clock", "rtc", 0},
	{"vsock", "vsock", "to", SPLIT},
};

struct node_settings {
	xmlDoc *doc;
};

static const struct place *place_of(const char *flag)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
		if (!strcmp(places[i].flag, flag))
			return &places[i];
	return NULL;
}

bool node_setting_known(const char *flag)
{
	return place_of(flag);
}

bool node_setting_repeats(const char *flag)
{
	const struct place *p = place_of(flag);

	return p && (p->is & REPEATS);
}

bool node_setting_is_path(const char *flag)
{
	const struct place *p = place_of(flag);

	return p && (p->is & PATH);
}

static xmlNode *root_of(const struct node_settings *s)
{
	return xmlDocGetRootElement(s->doc);
}

static const xmlChar *X(const char *text)
{
	return (const xmlChar *)text;
}

bool node_settings_attr(struct node_settings *s, const char *element,
	unsigned n, const char *attr, const char *value)
{
	xmlNode *e = root_of(s)->children;

	for (; e; e = e->next)
		if (e->type == XML_ELEMENT_NODE &&
			xmlStrEqual(e->name, X(element)) && !n--)
			break;
	if (e && value)
		xmlSetProp(e, X(attr), X(value));
	else if (e)
		xmlUnsetProp(e, X(attr));
	return e != NULL;
}

/* ---- reading and writing ---- */

struct node_settings *node_settings_new(const char *name)
{
	struct node_settings *s = g_new0(struct node_settings, 1);
	xmlNode *root;

	s->doc = xmlNewDoc(X("1.0"));
	root = xmlNewNode(NULL, X("machine"));
	xmlDocSetRootElement(s->doc, root);
	xmlNewProp(root, X("name"), X(name));
	xmlNewProp(root, X("type"), X("vm"));
	xmlNewProp(root, X("version"), X(NODE_XML_VERSION));
	return s;
}

void node_settings_free(struct node_settings *s)
{
	if (!s)
		return;
	xmlFreeDoc(s->doc);
	g_free(s);
}

struct node_settings *node_settings_read(const char *path, GError **err)
{
	gsize n = 0;
	g_autofree char *text = node_xml_read(path, MAX_BYTES, &n, err);
	struct node_settings *s;
	xmlDoc *doc;

	if (!text)
		return NULL;
	/* An empty file is a machine of defaults. */
	if (!*g_strchug(text))
		return node_settings_new("");
	doc = node_xml_parse(text, strlen(text), path, "machine", err);
	if (!doc)
		return NULL;
	s = g_new0(struct node_settings, 1);
	s->doc = doc;
	return s;
}

bool node_settings_write(
	struct node_settings *s, const char *path, GError **err)
{
	return node_xml_write(s->doc, path, err);
}

/* ---- the document as settings ---- */

/* An attribute of a value's element that belongs to another flag? */
static bool of_other(const struct place *p, const char *attr)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
		if (!strcmp(places[i].element, p->element) &&
			!strcmp(places[i].attr, attr) && &places[i] != p)
			return true;
	return false;
}

/* A comma in a value is written twice. */
static void put_item(GString *to, const char *key, const char *text)
{
	if (to->len)
		g_string_append_c(to, ',');
	if (key)
		g_string_append_printf(to, "%s=", key);
	for (; *text; text++) {
		if (*text == ',')
			g_string_append_c(to, ',');
		g_string_append_c(to, *text);
	}
}

static char *absolute(const char *path, const char *dir)
{
	if (!dir || !*path || *path == '/' || !strcmp(path, "none"))
		return g_strdup(path);
	return g_canonicalize_filename(path, dir);
}

/* file:PATH, unix:PATH, wav:PATH */
static char *absolute_to(const char *to, const char *dir)
{
	const char *colon = strchr(to, ':');
	g_autofree char *path = NULL;

	if (!g_str_has_prefix(to, "file:") && !g_str_has_prefix(to, "unix:") &&
		!g_str_has_prefix(to, "wav:"))
		return g_strdup(to);
	path = absolute(colon + 1, dir);
	return g_strdup_printf("%.*s:%s", (int)(colon - to), to, path);
}

/* The value of an attribute with what it names found from dir. */
static char *located(const struct place *p, const char *attr, const char *value,
	const char *dir)
{
	static const char *const paths[] = {
		"file", "rom", "nvram", "password", "tftp", "key-file", NULL};

	if (p->is & PATH ? !strcmp(attr, p->attr) || !strcmp(attr, "nvram")
			 : g_strv_contains(paths, attr))
		return absolute(value, dir);
	return !strcmp(attr, "to") || !strcmp(attr, "source") ||
			       !strcmp(attr, "smartcard")
		       ? absolute_to(value, dir)
		       : g_strdup(value);
}

static void put_options(
	GString *to, const struct place *p, xmlNode *n, const char *dir)
{
	for (xmlAttr *a = n->properties; a; a = a->next) {
		const char *key = (const char *)a->name;
		g_autofree char *text = NULL;
		xmlChar *v;

		if (!strcmp(key, p->attr) || !strcmp(key, "id") ||
			of_other(p, key))
			continue;
		v = xmlNodeListGetString(n->doc, a->children, 1);
		text = located(p, key, v ? (const char *)v : "", dir);
		put_item(to, key, text);
		xmlFree(v);
	}
}

/* <forward proto="tcp" host="8080" guest="80"/> */
static void put_forwards(GString *to, xmlNode *n)
{
	for (xmlNode *f = n->children; f; f = f->next) {
		xmlChar *v[3];
		g_autofree char *text = NULL;

		if (!node_xml_is(f, "forward"))
			continue;
		v[0] = xmlGetProp(f, X("proto"));
		v[1] = xmlGetProp(f, X("host"));
		v[2] = xmlGetProp(f, X("guest"));
		text = g_strdup_printf("%s:%s:%s", v[0] ? (char *)v[0] : "tcp",
			v[1] ? (char *)v[1] : "", v[2] ? (char *)v[2] : "");
		put_item(to, "forward", text);
		for (unsigned i = 0; i < 3; i++)
			xmlFree(v[i]);
	}
}

/* The value of flag p in element n; NULL: it is not there. */
static char *value_in(const struct place *p, xmlNode *n, const char *dir)
{
	GString *to = g_string_new(NULL);
	xmlChar *v = xmlGetProp(n, X(p->attr));
	g_autofree char *text = NULL;

	if (v) {
		text = located(p, p->attr, (const char *)v, dir);
		if (p->is & SPLIT)
			put_item(to, NULL, text);
		else
			g_string_append(to, text);
		xmlFree(v);
	}
	if (!strcmp(p->flag, "boot")) /* blanks do, too */
		g_strdelimit(g_strstrip(to->str), " ", ',');
	if (p->is & SPLIT)
		put_options(to, p, n, dir);
	if (!strcmp(p->flag, "nic"))
		put_forwards(to, n);
	if (!v && !to->len && !(p->is & REPEATS)) {
		g_string_free(to, TRUE);
		return NULL;
	}
	return g_string_free(to, FALSE);
}

static void setting_free(void *p)
{
	struct node_setting *s = p;

	g_free(s->flag);
	g_free(s->value);
	g_free(s);
}

GPtrArray *node_setting_array(void)
{
	return g_ptr_array_new_with_free_func(setting_free);
}

void node_setting_append(GPtrArray *to, const char *flag, const char *value)
{
	struct node_setting *s = g_new0(struct node_setting, 1);

	s->flag = g_strdup(flag);
	s->value = g_strdup(value);
	g_ptr_array_add(to, s);
}

GPtrArray *node_settings_list(const struct node_settings *s, const char *dir)
{
	GPtrArray *list = node_setting_array();

	for (xmlNode *n = root_of(s)->children; n; n = n->next)
		for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
			g_autofree char *v = NULL;

			if (node_xml_is(n, places[i].element))
				v = value_in(&places[i], n, dir);
			if (v)
				node_setting_append(list, places[i].flag, v);
		}
	return list;
}

/* ---- changing it ---- */

static xmlNode *find_element(const struct node_settings *s, const char *name)
{
	for (xmlNode *n = root_of(s)->children; n; n = n->next)
		if (node_xml_is(n, name))
			return n;
	return NULL;
}

static void add_forward(xmlNode *n, const char *text)
{
	g_auto(GStrv) part = g_strsplit(text, ":", 2);
	const char *last = part[0] && part[1] ? strrchr(part[1], ':') : NULL;
	g_autofree char *host = NULL;
	xmlNode *f;

	f = xmlNewChild(n, NULL, X("forward"), NULL);
	xmlSetProp(f, X("proto"), X(part[0] ? part[0] : ""));
	if (!last) {
		xmlSetProp(f, X("host"), X(part[0] && part[1] ? part[1] : ""));
		return;
	}
	host = g_strndup(part[1], (gsize)(last - part[1]));
	xmlSetProp(f, X("host"), X(host));
	xmlSetProp(f, X("guest"), X(last + 1));
}

/* As other programs write it: mode="ro". */
static void set_mode(xmlNode *share, const char *readonly)
{
	bool on = true;

	if (conf_parse_bool(readonly, &on, NULL))
		xmlSetProp(share, X("mode"), X(on ? "ro" : "rw"));
	else
		xmlSetProp(share, X("readonly"), X(readonly));
}

static void add_option(
	xmlNode *n, const struct place *p, const char *item, const char *dir)
{
	const char *eq = strchr(item, '=');
	g_autofree char *key =
		eq ? g_strndup(item, (gsize)(eq - item)) : g_strdup(item);
	g_autofree char *text = located(p, key, eq ? eq + 1 : "on", dir);

	if (!strcmp(p->flag, "nic") && !strcmp(key, "forward"))
		add_forward(n, text);
	else if (!strcmp(p->flag, "share") && !strcmp(key, "tag"))
		xmlSetProp(n, X("name"), X(text));
	else if (!strcmp(p->flag, "share") && !strcmp(key, "readonly"))
		set_mode(n, text);
	else
		xmlSetProp(n, X(key), X(text));
}

/* A child of the root on a line of its own. */
static xmlNode *add_element(struct node_settings *s, const char *name)
{
	xmlNode *root = root_of(s), *n = xmlNewNode(NULL, X(name));

	xmlAddChild(root, xmlNewText(X(root->children ? "  " : "\n  ")));
	xmlAddChild(root, n);
	xmlAddChild(root, xmlNewText(X("\n")));
	return n;
}

static bool is_text(const char *value)
{
	if (!g_utf8_validate(value, -1, NULL))
		return false;
	for (; *value; value++)
		if ((unsigned char)*value < ' ')
			return false;
	return true;
}

/* What key=... begins with, where the main attribute may be absent. */
static bool is_option(const struct place *p, const char *item)
{
	const char *eq = strchr(item, '=');

	return !(p->is & PATH) && eq && eq != item &&
	       strspn(item, "abcdefghijklmnopqrstuvwxyz-") ==
		       (gsize)(eq - item);
}

static void drop_in(xmlNode *n, const struct place *p)
{
	xmlAttr *next;

	xmlUnsetProp(n, X(p->attr));
	for (xmlAttr *a = p->is & SPLIT ? n->properties : NULL; a; a = next) {
		next = a->next;
		if (!of_other(p, (const char *)a->name))
			xmlRemoveProp(a);
	}
}

void node_settings_drop(struct node_settings *s, const char *flag)
{
	const struct place *p = place_of(flag);
	xmlNode *next;

	if (!p)
		return;
	for (xmlNode *n = root_of(s)->children; n; n = next) {
		next = n->next;
		if (!node_xml_is(n, p->element))
			continue;
		drop_in(n, p);
		if (!n->properties && !n->children) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		}
	}
}

static void put_value(
	xmlNode *n, const struct place *p, const char *value, const char *dir)
{
	const char *pos = value;

	for (bool first = true; *pos || first; first = false) {
		g_autofree char *item = p->is & SPLIT ? conf_options_item(&pos)
						      : g_strdup(value);
		g_autofree char *text = located(p, p->attr, item, dir);

		if (!(p->is & SPLIT))
			pos = "";
		if (!(p->is & SPLIT) || (first && !is_option(p, item)))
			xmlSetProp(n, X(p->attr), X(text));
		else
			add_option(n, p, item, dir);
	}
}

bool node_settings_add(struct node_settings *s, const char *flag,
	const char *value, const char *dir, GError **err)
{
	const struct place *p = place_of(flag);
	xmlNode *n;

	if (!p || !value || !is_text(value)) {
		conf_error_set(err, CONF_ERROR_USAGE,
			p && value ? "there are control characters in it, or "
				     "it is not UTF-8"
				   : "it is no lasting setting of a machine",
			p ? NULL : "give it to vmeste run",
			"--%s cannot be kept in machine.xml", flag);
		return false;
	}
	n = p->is & REPEATS ? NULL : find_element(s, p->element);
	if (!n)
		n = add_element(s, p->element);
	else
		drop_in(n, p);
	put_value(n, p, value, dir);
	return true;
}

void node_settings_rename(struct node_settings *s, const char *name)
{
	xmlSetProp(root_of(s), X("name"), X(name));
}

static xmlNode *nth(
	const struct node_settings *s, const char *element, unsigned n)
{
	for (xmlNode *e = root_of(s)->children; e; e = e->next)
		if (node_xml_is(e, element) && !n--)
			return e;
	return NULL;
}

bool node_settings_set_file(struct node_settings *s, const char *element,
	unsigned n, const char *file)
{
	xmlNode *e = nth(s, element, n);

	if (!e)
		return false;
	node_xml_set(e, "file", file);
	/* its name tells */
	xmlUnsetProp(e, X("format"));
	return true;
}

static bool has_cable(xmlNode *nic)
{
	xmlChar *net = xmlGetProp(nic, X("net"));
	bool has = !net || strcmp((const char *)net, "none") != 0;

	xmlFree(net);
	return has;
}

void node_settings_own_nic(struct node_settings *s, unsigned n, const char *mac)
{
	xmlNode *nic = root_of(s)->children, *next;

	while (nic && !(node_xml_is(nic, "nic") && has_cable(nic) && !n--))
		nic = nic->next;
	if (!nic)
		return;
	xmlSetProp(nic, X("mac"), X(mac));
	for (xmlNode *f = nic->children; f; f = next) {
		next = f->next;
		if (!node_xml_is(f, "forward"))
			continue;
		xmlUnlinkNode(f);
		xmlFreeNode(f);
	}
}

void node_settings_unset(
	struct node_settings *s, const char *element, const char *attr)
{
	xmlNode *e;

	for (unsigned n = 0; (e = nth(s, element, n)); n++)
		xmlUnsetProp(e, X(attr));
}
