/*
 * xml.c - reading and writing documents by libxml2.
 */
#include "node/xml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <libxml/parser.h>

#include "conf/error.h"

static void ignore(void *ctx, xmlErrorPtr error)
{
}

static const xmlChar *X(const char *text)
{
	return (const xmlChar *)text;
}

static bool bad(
	GError **err, const char *path, const char *why, const char *fix)
{
	conf_error_set(err, CONF_ERROR_FAILED, why, fix, "cannot use %s", path);
	return false;
}

bool node_xml_is(const xmlNode *n, const char *name)
{
	return n->type == XML_ELEMENT_NODE &&
	       !strcmp((const char *)n->name, name);
}

char *node_xml_get(xmlNode *n, const char *attr)
{
	xmlChar *v = xmlGetProp(n, X(attr));
	char *out = g_strdup((const char *)v);

	xmlFree(v);
	return out;
}

void node_xml_set(xmlNode *n, const char *attr, const char *value)
{
	xmlSetProp(n, X(attr), X(value));
}

void node_xml_set_number(xmlNode *n, const char *attr, uint64_t v)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, v);

	node_xml_set(n, attr, text);
}

bool node_xml_number(xmlNode *n, const char *attr, uint64_t max, uint64_t *out)
{
	g_autofree char *text = node_xml_get(n, attr);
	guint64 v;

	if (!text)
		return true;
	if (!g_ascii_string_to_unsigned(text, 10, 0, max, &v, NULL))
		return false;
	*out = v;
	return true;
}

static bool check_root(
	const xmlDoc *doc, const char *path, const char *name, GError **err)
{
	xmlNode *root = xmlDocGetRootElement(doc);
	g_autofree char *version = NULL;
	g_autofree char *why = NULL;

	if (doc->intSubset || doc->extSubset)
		return bad(err, path, "it has a document type",
			"remove the <!DOCTYPE ...> line");
	if (!root || !node_xml_is(root, name)) {
		why = g_strdup_printf("it is not a <%s> document", name);
		return bad(err, path, why, NULL);
	}
	version = node_xml_get(root, "version");
	return !version || !strcmp(version, NODE_XML_VERSION) ||
	       bad(err, path, "it is of another version than " NODE_XML_VERSION,
		       "use the vmeste that wrote it");
}

xmlDoc *node_xml_parse(const char *text, gsize n, const char *path,
	const char *root, GError **err)
{
	xmlParserCtxt *x = xmlNewParserCtxt();
	g_autofree char *why = NULL;
	const xmlError *e;
	xmlDoc *doc;

	xmlSetStructuredErrorFunc(x, ignore);
	doc = xmlCtxtReadMemory(x, text, (int)n, NULL, NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	xmlSetStructuredErrorFunc(NULL, NULL);
	e = xmlCtxtGetLastError(x);
	if (!doc) {
		why = e ? g_strdup_printf("line %d: %s", e->line,
				  e->message ? e->message : "not XML")
			: g_strdup("not XML");
		bad(err, path, g_strchomp(why), "mend it by an editor");
	} else if (!check_root(doc, path, root, err)) {
		xmlFreeDoc(doc);
		doc = NULL;
	}
	xmlFreeParserCtxt(x);
	return doc;
}

/* Whatever the file is: not more of it than max, and no waiting. */
char *node_xml_read(const char *path, gsize max, gsize *n, GError **err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g_autofree char *text = g_malloc(max + 2);
	g_autofree char *why = NULL;
	ssize_t got = 0;

	*n = 0;
	while (fd >= 0 && *n <= max &&
		(got = read(fd, text + *n, max + 1 - *n)) > 0)
		*n += (gsize)got;
	if (fd < 0 || got < 0)
		conf_error_set_errno(err, errno, NULL, "cannot read %s", path);
	if (fd >= 0)
		close(fd);
	if (fd < 0 || got < 0)
		return NULL;
	text[*n] = '\0';
	if (*n <= max)
		return g_steal_pointer(&text);
	why = g_strdup_printf("it is larger than %zu MiB", max >> 20);
	bad(err, path, why, NULL);
	return NULL;
}

char *node_xml_text(xmlDoc *doc)
{
	xmlChar *text = NULL;
	char *out;
	int n = 0;

	xmlKeepBlanksDefault(1);
	xmlDocDumpFormatMemoryEnc(doc, &text, &n, "UTF-8", 1);
	out = text ? g_strndup((const char *)text, (gsize)n) : NULL;
	xmlFree(text);
	return out;
}

bool node_xml_write(xmlDoc *doc, const char *path, GError **err)
{
	g_autofree char *text = node_xml_text(doc);
	g_autoptr(GError) e = NULL;

	if (text && g_file_set_contents_full(path, text, -1,
			    G_FILE_SET_CONTENTS_CONSISTENT |
				    G_FILE_SET_CONTENTS_DURABLE,
			    0600, &e))
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, e ? e->message : "no memory",
		NULL, "cannot write %s", path);
	return false;
}
