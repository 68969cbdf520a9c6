/*
 * snap_back.c - `vmeste back`: the machine is again what it was.
 *
 * Its disks get new, empty images on top of the snapshot's; what the machine
 * had since it was last saved goes.  One that ran runs on from there.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/snap.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define ANSWER_MS 10000
#define GONE_MS	  60000

/* Empty images for the snapshot's disks; *tops names them. */
static bool make_tops(struct snaps *s, const struct node_snapshot *n,
	GPtrArray *tops, GError **err)
{
	for (guint i = 0; i < n->disks->len; i++) {
		const struct node_disk *d = g_ptr_array_index(n->disks, i);
		struct node_image *on = node_image_find(s->t, d->file), *child;

		if (!on) {
			conf_error_set(err, CONF_ERROR_FAILED,
				"snapshots.xml does not tell its format", NULL,
				"the snapshot's image %s is not known",
				d->file);
			return false;
		}
		child = snaps_new_image(s, d->drive, on);
		node_disk_add(tops, d->drive, child->file);
	}
	s->t->next++; /* names of images are not used twice */
	if (!snaps_write(s, err))
		return false;
	for (guint i = 0; i < tops->len; i++) {
		const struct node_disk *d = g_ptr_array_index(tops, i);

		if (!snaps_make_image(s, node_image_find(s->t, d->file), err))
			return false;
	}
	return true;
}

/* Somebody let it stand. */
static bool is_paused(const char *name)
{
	g_autoptr(wire_msg_auto) m = NULL;
	int sock = cli_control_try(name, "status", ANSWER_MS, &m);
	const char *state = m ? wire_msg_string(m, "state") : NULL;

	if (sock >= 0)
		close(sock);
	return state && !strcmp(state, "paused");
}

static bool stop(struct snaps *s, GError **err)
{
	g_autoptr(wire_msg_auto) m = NULL;
	int sock = cli_control_try(s->name, "stop", ANSWER_MS, &m);

	s->runs = !node_wait_off(s->name, GONE_MS);
	if (sock >= 0)
		close(sock);
	if (!s->runs)
		return true;
	conf_error_set(err, CONF_ERROR_TIMEOUT, NULL, "vmeste stop --now it",
		"the machine '%s' does not end", s->name);
	return false;
}

/* The images that the machine wrote to go, if they are nobody's. */
static void drop_tops(struct snaps *s)
{
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, i);
		struct node_image *m = node_image_find(s->t, d->file);

		if (m && node_is_inside(m->file) &&
			!node_image_named(s->t, m) &&
			!node_image_children(s->t, m, NULL))
			m->is = NODE_IMAGE_GONE;
	}
}

static bool states_there(const struct snaps *s, const struct node_snapshot *n,
	bool ram, GError **err)
{
	static const char *const files[] = {"machine.xml", "state"};

	for (unsigned i = 0; i < 1u + ram; i++) {
		g_autofree char *path =
			node_snapshot_path(s->name, n->id, files[i]);

		if (!access(path, R_OK))
			continue;
		conf_error_set_errno(err, errno,
			i ? "put the file there again, or take its disks "
			    "alone: vmeste back --disk-only"
			  : "put the file there again",
			"the snapshot '%s' is not whole: %s", n->name, path);
		return false;
	}
	return true;
}

struct back {
	struct cli_words words;
	bool disk_only, paused;
};

static bool back(struct snaps *s, const struct back *o, GError **err)
{
	struct node_snapshot *n = node_tree_find(s->t, o->words.word[1], err);
	struct node_change *c;

	if (!n)
		return false;
	if (!states_there(s, n, n->ram && !o->disk_only, err))
		return false;
	snaps_drives(s, NULL); /* settings that are broken are replaced */
	c = node_change_new(NODE_BACK);
	c->id = n->id;
	c->ram = n->ram && !o->disk_only;
	if (!make_tops(s, n, c->tops, err) || (s->runs && !stop(s, err))) {
		node_change_free(c);
		snaps_finish(s, NULL);
		return false;
	}
	s->t->change = c;
	drop_tops(s);
	return snaps_write(s, err) && snaps_finish(s, err);
}

void *cli_back_new(void)
{
	struct back *b = g_new0(struct back, 1);

	b->words.max = 2;
	return b;
}

static bool set_disk_only(void *ctx, const char *v, GError **err)
{
	((struct back *)ctx)->disk_only = true;
	return true;
}

static bool set_paused(void *ctx, const char *v, GError **err)
{
	((struct back *)ctx)->paused = true;
	return true;
}

const struct cli_flag cli_back_flags[] = {
	{"disk-only", 0, NULL,
		"take its disks and settings, not its memory: it boots as "
		"after a power cut",
		NULL, set_disk_only},
	{"paused", 0, NULL,
		"of one that runs: let it stand there until vmeste resume",
		NULL, set_paused},
	{NULL},
};

/* NAME SNAPSHOT, or NAME@SNAPSHOT. */
bool cli_snap_words(struct cli_words *w, GError **err)
{
	char *at = w->n == 1 ? strchr(w->word[0], '@') : NULL;

	if (at) {
		w->word[1] = g_strdup(at + 1);
		*at = '\0';
		w->n = 2;
	}
	if (w->n >= 2)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"vmeste snaps NAME lists the snapshots of a machine",
		"give a machine and a snapshot");
	return false;
}

int cli_back(void *ctx, GError **err)
{
	struct back *o = ctx;
	struct snaps s;
	bool ok, ran;

	if (!cli_snap_words(&o->words, err))
		return CONF_ERROR_USAGE;
	ok = snaps_open(&s, o->words.word[0], err);
	ran = ok && s.runs;
	if (ran && is_paused(s.name))
		o->paused = true;
	ok = ok && back(&s, o, err);
	snaps_close(&s);
	if (!ok)
		return cli_status(err);
	return ran ? cli_stored_start(o->words.word[0],
			     (struct cli_start){.paused = o->paused}, err)
		   : 0;
}
