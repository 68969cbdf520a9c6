/*
 * xml.h - documents of a machine's folder: bounded, of a known root and
 * version, nothing fetched; written whole or not at all.
 */
#ifndef NODE_XML_H
#define NODE_XML_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define NODE_XML_VERSION "1"

/* libxml/tree.h has the same */
typedef struct _xmlDoc xmlDoc;
typedef struct _xmlNode xmlNode;

/* n: bytes, at most max.  NULL and *err. */
xmlDoc *node_xml_parse(const char *text, gsize n, const char *path,
	const char *root, GError **err);
/* NULL and *err. */
char *node_xml_read(const char *path, gsize max, gsize *n, GError **err);
bool node_xml_write(xmlDoc *doc, const char *path, GError **err);
char *node_xml_text(xmlDoc *doc); /* g_free */

bool node_xml_is(const xmlNode *n, const char *name);
/* An attribute, or NULL; g_free. */
char *node_xml_get(xmlNode *n, const char *attr);
void node_xml_set(xmlNode *n, const char *attr, const char *value);
void node_xml_set_number(xmlNode *n, const char *attr, uint64_t v);
/* False: it is there and is no number up to max.  Absent: *out stays. */
bool node_xml_number(xmlNode *n, const char *attr, uint64_t max, uint64_t *out);

#endif
