/*
 * media.c - `vmeste insert` and `vmeste eject`: discs of a running machine;
 * `vmeste attach` and `vmeste detach`: its USB devices.
 *
 * The image is opened and locked here, with the user's rights; the machine
 * gets the descriptor, and the lock with it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/files.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "conf/options.h"

#define ANSWER_MS 10000

struct media {
	struct cli_words words; /* machine, drive, file */
	bool force, cdrom;
};

void *cli_media_new(void)
{
	struct media *e = g_new0(struct media, 1);

	e->words.max = 3;
	return e;
}

static bool set_force(void *ctx, const char *v, GError **err)
{
	((struct media *)ctx)->force = true;
	return true;
}

const struct cli_flag cli_media_flags[] = {
	{"force", 0, NULL, "although the guest has locked the drive", NULL,
		set_force},
	{NULL},
};

static bool set_cdrom(void *ctx, const char *v, GError **err)
{
	((struct media *)ctx)->cdrom = true;
	return true;
}

const struct cli_flag cli_attach_flags[] = {
	{"cdrom", 0, NULL, "as a CD in its drive", NULL, set_cdrom},
	{NULL},
};

static bool media_words(const struct media *e, unsigned n, GError **err)
{
	if (e->words.n == n)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		n == 3 ? "write for example vmeste insert web cd0 tools.iso"
		       : "write for example vmeste eject web cd0",
		"give a machine%s",
		n == 3 ? ", a drive and a file" : " and a drive");
	return false;
}

/* Asks; body is consumed. */
static int media_ask(const struct media *e, const char *what, JsonObject *body,
	int fd, GError **err)
{
	g_autoptr(wire_msg_auto) m = NULL;
	int sock = cli_control_connect(e->words.word[0], err);

	json_object_set_string_member(body, "drive", e->words.word[1]);
	json_object_set_boolean_member(body, "force", e->force);
	if (sock < 0) {
		json_object_unref(body);
		return conf_error_status(*err);
	}
	m = cli_control_ask(sock, what, body, fd, ANSWER_MS, err);
	close(sock);
	return m ? 0 : conf_error_status(*err);
}

/* A running machine is handed one descriptor. */
static bool no_key(const struct conf_drive *d, GError **err)
{
	if (!d->key.path)
		return true;
	conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
		"give it to vmeste run or create",
		"an encrypted image cannot come to a running machine");
	return false;
}

int cli_insert(void *ctx, GError **err)
{
	struct media *e = ctx;
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	struct conf_drive *d;
	JsonObject *body;

	if (!media_words(e, 3, err) ||
		!conf_drive_parse(m,
			g_str_has_prefix(e->words.word[1], "floppy")
				? CONF_MEDIA_FLOPPY
				: CONF_MEDIA_CDROM,
			e->words.word[2], err))
		return conf_error_status(*err);
	d = g_ptr_array_index(m->drives, 0);
	if (d->snapshot || !d->file.path) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"copy the image, or insert it ,readonly",
			"cannot insert '%s'", e->words.word[2]);
		return CONF_ERROR_USAGE;
	}
	if (!no_key(d, err) || !cli_files_open_drive(d, err))
		return conf_error_status(*err);
	body = json_object_new();
	json_object_set_string_member(body, "path", d->file.path);
	json_object_set_string_member(
		body, "format", conf_format_words.words[d->format]);
	json_object_set_boolean_member(body, "readonly", d->readonly);
	return media_ask(e, "insert", body, d->file.fd, err);
}

int cli_eject(void *ctx, GError **err)
{
	struct media *e = ctx;

	if (!media_words(e, 2, err))
		return CONF_ERROR_USAGE;
	return media_ask(e, "eject", json_object_new(), -1, err);
}

/* ---- USB devices ---- */

static bool attach_words(const struct media *e, bool out, GError **err)
{
	if (e->words.n == 2)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		out ? "write for example vmeste detach web disk1"
		    : "write for example vmeste attach web stick.img",
		out ? "give a machine and a device"
		    : "give a machine and an image, keyboard, mouse or tablet");
	return false;
}

/* Asks; body is consumed.  Prints the name that the device got. */
static int attach_ask(const struct media *e, const char *what, JsonObject *body,
	int fd, GError **err)
{
	g_autoptr(wire_msg_auto) m = NULL;
	int sock = cli_control_connect(e->words.word[0], err);
	const char *name;

	if (sock < 0) {
		json_object_unref(body);
		return conf_error_status(*err);
	}
	m = cli_control_ask(sock, what, body, fd, ANSWER_MS, err);
	close(sock);
	name = m ? wire_msg_string(m, "name") : NULL;
	if (name)
		puts(name);
	return m ? 0 : conf_error_status(*err);
}

static struct conf_drive *attach_drive(
	const struct media *e, struct conf_machine *m, GError **err)
{
	const char *word = e->words.word[1];
	g_autofree char *text = g_strconcat(
		word, strstr(word, ",bus=") ? "" : ",bus=usb", NULL);
	struct conf_drive *d;
	bool fits;

	if (!conf_drive_parse(m, e->cdrom ? CONF_MEDIA_CDROM : CONF_MEDIA_DISK,
		    text, err))
		return NULL;
	d = g_ptr_array_index(m->drives, 0);
	fits = d->bus == CONF_BUS_USB ||
	       (d->bus == CONF_BUS_VIRTIO && !e->cdrom);
	if (d->snapshot || !d->file.path || !fits) {
		conf_error_set(err, CONF_ERROR_USAGE,
			fits ? NULL
			     : "a running machine takes USB devices and virtio "
			       "disks only",
			fits ? "copy the image, or attach it ,readonly"
			     : "write bus=usb, or leave it out",
			"cannot attach '%s'", word);
		return NULL;
	}
	return no_key(d, err) && cli_files_open_drive(d, err) ? d : NULL;
}

int cli_attach(void *ctx, GError **err)
{
	static const char *const inputs[] = {
		"keyboard", "mouse", "tablet", NULL};
	struct media *e = ctx;
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	JsonObject *body;
	struct conf_drive *d;

	if (!attach_words(e, false, err))
		return CONF_ERROR_USAGE;
	if (g_strv_contains(inputs, e->words.word[1])) {
		body = json_object_new();
		json_object_set_string_member(body, "device", e->words.word[1]);
		return attach_ask(e, "attach", body, -1, err);
	}
	d = attach_drive(e, m, err);
	if (!d)
		return conf_error_status(*err);
	body = json_object_new();
	json_object_set_string_member(
		body, "device", e->cdrom ? "cdrom" : "disk");
	json_object_set_int_member(body, "controller", d->slot);
	json_object_set_string_member(
		body, "bus", conf_bus_words.words[d->bus]);
	json_object_set_string_member(body, "path", d->file.path);
	json_object_set_string_member(
		body, "format", conf_format_words.words[d->format]);
	json_object_set_boolean_member(body, "readonly", d->readonly);
	if (d->serial)
		json_object_set_string_member(body, "serial", d->serial);
	return attach_ask(e, "attach", body, d->file.fd, err);
}

int cli_detach(void *ctx, GError **err)
{
	struct media *e = ctx;
	JsonObject *body;

	if (!attach_words(e, true, err))
		return CONF_ERROR_USAGE;
	body = json_object_new();
	json_object_set_string_member(body, "device", e->words.word[1]);
	return attach_ask(e, "detach", body, -1, err);
}
