/*
 * share.c - the arguments of --share: folders of the host for the guest.
 */
#include <string.h>

#include "conf/error.h"
#include "conf/machine.h"
#include "conf/options.h"
#include "conf/priv.h"

#define MAX_ID 0xfffffffeu /* of a user; the last number means none */

static const char *const mode_words[] = {"rw", "ro", NULL};
static const struct conf_word_list modes = {"mode of a share", mode_words};

struct conf_share *conf_share_new(void)
{
	struct conf_share *s = g_new0(struct conf_share, 1);

	s->folder.fd = s->self_fd = -1;
	return s;
}

void conf_share_free(struct conf_share *s)
{
	struct conf_file self = {.fd = s->self_fd};

	g_free(s->tag);
	conf_file_clear(&s->folder);
	conf_file_clear(&self);
	g_free(s);
}

/* What mount(8) takes without quotes. */
bool conf_share_tag_ok(const char *tag)
{
	size_t n = strlen(tag);

	for (const char *c = tag; *c; c++)
		if (!g_ascii_isgraph(*c) || *c == ',')
			return false;
	return n && n <= CONF_SHARE_TAG;
}

static bool parse_tag(
	struct conf_share *s, const struct conf_options *o, GError **err)
{
	const char *tag = conf_options_get(o, "tag");

	if (!tag)
		tag = conf_options_get(o, "name");
	if (!tag)
		return bad(err, "share", s->folder.path,
			"add the name that the guest mounts it by: "
			"--share FOLDER,tag=NAME");
	if (strlen(tag) > CONF_SHARE_TAG)
		return bad(err, "tag", tag, "a tag has at most 64 bytes");
	if (!conf_share_tag_ok(tag))
		return bad(err, "tag", tag,
			"use ASCII letters, digits and signs without blanks");
	s->tag = g_strdup(tag);
	return true;
}

static bool parse_mode(
	struct conf_share *s, const struct conf_options *o, GError **err)
{
	const char *readonly = conf_options_get(o, "readonly");
	const char *mode = conf_options_get(o, "mode");
	int word = 0;

	if (mode && !conf_parse_word(mode, &modes, &word, err))
		return false;
	s->readonly = word == 1;
	return !readonly || conf_parse_bool(readonly, &s->readonly, err);
}

static bool parse_id(const struct conf_options *o, const char *key,
	unsigned *out, GError **err)
{
	const char *v = conf_options_get(o, key);

	return !v || conf_parse_uint(v, key, 0, MAX_ID, out, err);
}

bool conf_share_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {
		"tag", "name", "readonly", "mode", "uid", "gid", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	struct conf_share *s;

	if (!o)
		return false;
	if (!o->value || !*o->value)
		return bad(err, "share", text, "write --share FOLDER,tag=NAME");
	s = conf_share_new();
	g_ptr_array_add(m->shares, s);
	s->folder.path = g_strdup(o->value);
	return parse_tag(s, o, err) && parse_mode(s, o, err) &&
	       parse_id(o, "uid", &s->uid, err) &&
	       parse_id(o, "gid", &s->gid, err);
}

bool conf_shares_check(const struct conf_machine *m, GError **err)
{
	if (m->shares->len > CONF_MAX_SHARES) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a machine has at most 8 shared folders",
			"share the folder that they are in",
			"too many shared folders");
		return false;
	}
	for (guint i = 0; i < m->shares->len; i++) {
		const struct conf_share *a = g_ptr_array_index(m->shares, i);

		for (guint k = 0; k < i; k++) {
			const struct conf_share *b =
				g_ptr_array_index(m->shares, k);

			if (strcmp(a->tag, b->tag))
				continue;
			conf_error_set(err, CONF_ERROR_USAGE,
				"the guest mounts a folder by its tag",
				"give one of them another tag=",
				"two folders are shared as '%s'", a->tag);
			return false;
		}
	}
	return true;
}
