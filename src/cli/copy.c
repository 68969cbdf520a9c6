/*
 * copy.c - `vmeste copy`: a machine of its own out of another, or out of one
 * of its snapshots.
 *
 * It gets the settings and one image for each disk, with all that the chain
 * shows; linked, only what differs from then on: the snapshot's images become
 * files of its folder too (hard links), below a new one.  Whoever removes or
 * moves the other machine takes nothing away from it.  machine.xml comes last:
 * what is broken off is no machine, and is removed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/disk.h"
#include "cli/snap.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "conf/options.h"
#include "node/folder.h"
#include "node/settings.h"

struct copy_ctx {
	struct cli_words words; /* machine, new one */
	bool linked;
};

struct copy {
	struct snaps from, to;	       /* to: has no lock, nobody knows it */
	const struct node_snapshot *s; /* NULL: as it is now */
	bool linked;
	struct node_settings *xml;
	GPtrArray *tops; /* struct node_disk of the new one */
};

void *cli_copy_new(void)
{
	struct copy_ctx *c = g_new0(struct copy_ctx, 1);

	c->words.max = 2;
	return c;
}

static bool set_linked(void *ctx, const char *v, GError **err)
{
	((struct copy_ctx *)ctx)->linked = true;
	return true;
}

const struct cli_flag cli_copy_flags[] = {
	{"linked", 0, NULL,
		"of a snapshot: share its images, write only what differs; it "
		"takes no time and no room",
		NULL, set_linked},
	{NULL},
};

/* ---- disks ---- */

/* What the chain began as. */
static const char *bottom_format(
	const struct snaps *s, const struct node_image *i)
{
	static const char *const made[] = {
		"raw", "qcow2", "vhd", "vhdx", "vdi", NULL};
	const struct node_image *below;

	for (unsigned n = 0; n < 200 && i->on; n++) {
		below = node_image_find(s->t, i->on);
		if (!below)
			break;
		i = below;
	}
	return g_strv_contains(made, i->format) ? i->format : "qcow2";
}

static bool copy_full(struct copy *c, const struct node_disk *d,
	const struct node_image *i, GError **err)
{
	const char *format = bottom_format(&c->from, i);
	g_autofree char *file = g_strdup_printf("disks/%s.%s", d->drive,
		strcmp(format, "raw") ? format : "img");
	g_autofree char *src = snaps_path(&c->from, i->file);
	g_autofree char *dst = snaps_path(&c->to, file);
	struct cli_disk_job *j = cli_disk_new("convert");
	g_autoptr(wire_msg_auto) m = NULL;
	bool ok;

	j->sync = true;
	if (cli_disk_add(j, "src", src, i->format, false, err) &&
		cli_disk_add_new(j, dst, format, false, err))
		m = cli_disk_run(j, err);
	ok = m && cli_disk_keep(j, err);
	cli_disk_free(j);
	node_disk_add(c->tops, d->drive, file);
	return ok;
}

static bool link_file(struct copy *c, const char *file, GError **err)
{
	g_autofree char *from = snaps_path(&c->from, file);
	g_autofree char *to = snaps_path(&c->to, file);
	g_autofree char *dir = g_path_get_dirname(to);

	if (!g_mkdir_with_parents(dir, 0700) &&
		(!link(from, to) || errno == EEXIST))
		return true;
	conf_error_set_errno(err, errno,
		"copy it without --linked, or keep the machines in one file "
		"system",
		"cannot share %s", from);
	return false;
}

static bool link_image(struct copy *c, const struct node_image *i, GError **err)
{
	g_autoptr(GPtrArray) files = snaps_image_files(c->from.dir, i);

	for (guint k = 0; k < files->len; k++)
		if (!link_file(c, g_ptr_array_index(files, k), err))
			return false;
	return true;
}

static bool copy_linked(struct copy *c, const struct node_disk *d,
	const struct node_image *i, GError **err)
{
	struct node_image *top = NULL, *mine, *child;

	for (unsigned n = 0; i && n < 200; n++) {
		if (node_is_inside(i->file) && !link_image(c, i, err))
			return false;
		mine = node_image_add(c->to.t, i->file, i->format, i->on);
		top = top ? top : mine;
		i = node_image_find(c->from.t, i->on);
	}
	child = snaps_new_image(&c->to, d->drive, top);
	child->is = NODE_IMAGE_LIVE;
	node_disk_add(c->tops, d->drive, child->file);
	return snaps_make_image(&c->to, child, err);
}

static bool copy_disks(struct copy *c, GError **err)
{
	g_autoptr(GPtrArray) list = node_disks_new();

	for (guint i = 0; !c->s && i < c->from.drives->len; i++) {
		const struct snap_drive *d =
			g_ptr_array_index(c->from.drives, i);

		if (!snaps_top(&c->from, d, err))
			return false;
		node_disk_add(list, d->drive, d->file);
	}
	for (guint i = 0; c->s && i < c->s->disks->len; i++) {
		const struct node_disk *d = g_ptr_array_index(c->s->disks, i);

		node_disk_add(list, d->drive, d->file);
	}
	for (guint i = 0; i < list->len; i++) {
		const struct node_disk *d = g_ptr_array_index(list, i);
		const struct node_image *m =
			node_image_find(c->from.t, d->file);

		if (!m) {
			conf_error_set(err, CONF_ERROR_FAILED,
				"snapshots.xml does not tell its format", NULL,
				"the image %s is not known", d->file);
			return false;
		}
		if (!(c->linked ? copy_linked : copy_full)(c, d, m, err))
			return false;
	}
	return !c->linked || snaps_write(&c->to, err);
}

/* ---- settings, and what else is in the folder ---- */

static bool is_top(const struct copy *c, const char *file)
{
	for (guint i = 0; i < c->tops->len; i++) {
		const struct node_disk *d = g_ptr_array_index(c->tops, i);

		if (!strcmp(d->file, file))
			return true;
	}
	return false;
}

/* Kernels, CDs and what is only read are shared. */
static bool link_others(struct copy *c, GError **err)
{
	g_autoptr(GPtrArray) list = node_settings_list(c->xml, NULL);

	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *s = g_ptr_array_index(list, i);
		const char *pos = s->value;
		g_autofree char *file = NULL, *from = NULL;

		if (!node_setting_is_path(s->flag) || !pos ||
			!strcmp(s->flag, "nvram"))
			continue;
		file = node_setting_repeats(s->flag) ? conf_options_item(&pos)
						     : g_strdup(pos);
		from = snaps_path(&c->from, file);
		if (node_is_inside(file) && !is_top(c, file) &&
			g_file_test(from, G_FILE_TEST_IS_REGULAR) &&
			!link_file(c, file, err))
			return false;
	}
	return true;
}

/* UEFI's variables are its own from now on. */
static bool copy_nvram(struct copy *c, GError **err)
{
	g_autofree char *from = NULL, *to = snaps_path(&c->to, "nvram.fd");
	g_autofree char *data = NULL;
	g_autoptr(GPtrArray) list = node_settings_list(c->xml, c->from.dir);
	gsize n = 0;

	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *s = g_ptr_array_index(list, i);

		if (!strcmp(s->flag, "nvram"))
			from = c->s ? node_snapshot_path(
					      c->from.name, c->s->id, "nvram")
				    : g_strdup(s->value);
	}
	if (!from)
		return true;
	if (!access(from, F_OK) &&
		!(g_file_get_contents(from, &data, &n, err) &&
			g_file_set_contents(to, data, (gssize)n, err)))
		return false;
	return node_settings_add(c->xml, "nvram", "nvram.fd", NULL, err);
}

static bool write_settings(struct copy *c, GError **err)
{
	g_autofree char *path = snaps_path(&c->to, "machine.xml");

	node_settings_rename(c->xml, c->to.name);
	node_settings_unset(c->xml, "nic", "mac");
	if (!copy_nvram(c, err))
		return false;
	for (guint i = 0; i < c->tops->len; i++) {
		const struct node_disk *d = g_ptr_array_index(c->tops, i);

		if (!snaps_set_file(c->xml, d, err))
			return false;
	}
	return link_others(c, err) && node_settings_write(c->xml, path, err);
}

/* ---- all of it ---- */

/* In a folder that is there. */
static bool copy_into(struct copy *c, const char *name, GError **err)
{
	g_autofree char *xml =
		c->s ? node_snapshot_path(c->from.name, c->s->id, "machine.xml")
		     : snaps_path(&c->from, "machine.xml");
	bool ok;

	c->to = (struct snaps){.name = name, .lock = -1, .dir = node_dir(name)};
	c->to.t = node_tree_read(name, err);
	c->xml = c->to.t ? node_settings_read(xml, err) : NULL;
	c->tops = node_disks_new();
	ok = c->xml && copy_disks(c, err) && write_settings(c, err);
	node_settings_free(c->xml);
	g_ptr_array_unref(c->tops);
	node_tree_free(c->to.t);
	g_free(c->to.dir);
	return ok;
}

static bool may_copy(struct copy *c, const char *snap, GError **err)
{
	if (snap) {
		c->s = node_tree_find(c->from.t, snap, err);
		return c->s != NULL;
	}
	if (c->linked) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"images that are written to cannot be shared",
			"take a snapshot and copy that: vmeste copy --linked "
			"NAME@SNAPSHOT NEW",
			"--linked is for snapshots");
		return false;
	}
	if (c->from.runs) {
		conf_error_set(err, CONF_ERROR_CONFLICT,
			"its disks change meanwhile",
			"stop it, or take a snapshot and copy that: vmeste "
			"copy NAME@SNAPSHOT NEW",
			"the machine '%s' runs", c->from.name);
		return false;
	}
	return snaps_drives(&c->from, err);
}

static bool copy(struct copy_ctx *x, GError **err)
{
	char *name = x->words.word[0], *to = x->words.word[1];
	char *at = strchr(name, '@');
	struct copy c = {.linked = x->linked};
	bool ok;

	if (at)
		*at++ = '\0';
	ok = snaps_open(&c.from, name, err) && may_copy(&c, at, err) &&
	     cli_control_name_ok(to, err) && node_create(to, err);
	if (ok) {
		ok = copy_into(&c, to, err);
		if (!ok)
			node_discard(to);
	}
	snaps_close(&c.from);
	return ok;
}

int cli_copy(void *ctx, GError **err)
{
	struct copy_ctx *x = ctx;

	if (x->words.n != 2) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines",
			"give a machine and the name of the new one");
		return CONF_ERROR_USAGE;
	}
	return copy(x, err) ? 0 : cli_status(err);
}
