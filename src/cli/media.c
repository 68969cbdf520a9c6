/*
 * media.c - `vmeste insert` and `vmeste eject`: discs of a running machine.
 *
 * The image is opened and locked here, with the user's rights; the machine
 * gets the descriptor, and the lock with it.
 */
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
	bool force;
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
	if (!cli_files_open_drive(d, err))
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
