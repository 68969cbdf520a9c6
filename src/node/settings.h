/*
 * settings.h - machine.xml: what a machine is, in words that users read and
 * write.
 *
 * A setting is a flag of `vmeste run` with its argument; machine.xml says the
 * same in elements and attributes (docs/machines.md).  The document is changed
 * in place, so comments and elements that are not known stay.
 *
 * One thread.  Errors are CONF_ERRORs.
 */
#ifndef NODE_SETTINGS_H
#define NODE_SETTINGS_H

#include <stdbool.h>

#include <glib.h>

struct node_setting {
	char *flag;  /* "disk" */
	char *value; /* "/a/web.img,bus=sata"; NULL: the flag takes none */
};

struct node_settings;

/* Of a new machine: nothing but its name. */
struct node_settings *node_settings_new(const char *name);
/* At most 1 MiB, no document type, nothing fetched.  NULL and *err. */
struct node_settings *node_settings_read(const char *path, GError **err);
/* All or nothing, durable: by a temporary file beside it. */
bool node_settings_write(
	struct node_settings *s, const char *path, GError **err);
void node_settings_free(struct node_settings *s);

/* As the document has them, in order; paths are made absolute by dir.  An
 * array of struct node_setting *. */
GPtrArray *node_settings_list(const struct node_settings *s, const char *dir);
GPtrArray *node_setting_array(void); /* empty; frees what is in it */
void node_setting_append(GPtrArray *to, const char *flag, const char *value);

/* Flags that may be given once replace what was there; others are added.
 * Relative paths are made absolute by dir, or kept if that is NULL. */
bool node_settings_add(struct node_settings *s, const char *flag,
	const char *value, const char *dir, GError **err);
/* Back to the default: no such attribute or element any more. */
void node_settings_drop(struct node_settings *s, const char *flag);

/* May the flag be kept, and may it be given several times? */
bool node_setting_known(const char *flag);
bool node_setting_repeats(const char *flag);
/* An attribute (NULL: take it away) of element n of those of that name; false:
 * there is none. */
bool node_settings_attr(struct node_settings *s, const char *element,
	unsigned n, const char *attr, const char *value);
/* Does its value begin with a path? */
bool node_setting_is_path(const char *flag);

/* Element n of those called so (disk, floppy) names another image, whose format
 * is told by its name.  False: there is none. */
bool node_settings_set_file(struct node_settings *s, const char *element,
	unsigned n, const char *file);
/* Network card n of those that have a cable: its address, and none of the
 * host's ports for it. */
void node_settings_own_nic(
	struct node_settings *s, unsigned n, const char *mac);

/* All elements called so lose the attribute. */
void node_settings_unset(
	struct node_settings *s, const char *element, const char *attr);

void node_settings_rename(struct node_settings *s, const char *name);

typedef struct node_settings node_settings_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(node_settings_auto, node_settings_free)

#endif
