/*
 * stored.c - `vmeste create`, `start`, `restart`, `show`, `rm`, `rename`,
 * `edit`: machines that live in folders.
 */
#include "cli/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/balloon.h"
#include "cli/control.h"
#include "cli/memory.h"
#include "cli/session.h"
#include "cli/snap.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

static struct node_settings *stored_read(const char *name, GError **err)
{
	g_autofree char *path = node_path(name, "machine.xml");

	if (!cli_control_name_ok(name, err))
		return NULL;
	if (node_exists(name))
		return node_settings_read(path, err);
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
		"vmeste ls lists the machines; vmeste create makes one",
		"there is no machine '%s'", name);
	return NULL;
}

GPtrArray *cli_stored_settings(const char *name, GError **err)
{
	g_autoptr(node_settings_auto) s = stored_read(name, err);
	g_autofree char *dir = node_dir(name);

	return s ? node_settings_list(s, dir) : NULL;
}

/* Not one of which somebody began to go on, and was killed. */
static bool is_saved(const char *name)
{
	g_autoptr(node_tree_auto) t = snaps_look(name, NULL);

	return t && t->saved.file && !t->saved.resuming;
}

const char *cli_stored_state(const char *name)
{
	switch (node_state(name)) {
	case NODE_RUNNING: return "running";
	case NODE_CRASHED: return is_saved(name) ? "saved" : "crashed";
	case NODE_OFF: break;
	}
	return is_saved(name) ? "saved" : "off";
}

/* Do the settings make a machine? */
static bool settings_check(const GPtrArray *settings, GError **err)
{
	void *run = cli_run_new();
	bool ok = cli_run_apply(run, settings, err) && cli_run_check(run, err);

	cli_run_free(run);
	return ok;
}

/* ---- create ---- */

struct create {
	char *name;
	GPtrArray *given;
	unsigned ndisks; /* to be made: of so many bytes */
	uint64_t bytes[CONF_MAX_DRIVES];
};

void *cli_create_new(void)
{
	struct create *c = g_new0(struct create, 1);

	c->given = node_setting_array();
	return c;
}

void cli_create_free(void *ctx)
{
	struct create *c = ctx;

	g_free(c->name);
	g_ptr_array_unref(c->given);
	g_free(c);
}

bool cli_create_positional(void *ctx, const char *word, GError **err)
{
	struct create *c = ctx;

	if (c->name) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"one machine at a time: '%s'", word);
		return false;
	}
	c->name = g_strdup(word);
	return cli_control_name_ok(word, err);
}

/* --disk 20G makes an image of that size in the folder. */
static char *create_disk(struct create *c, const char *value)
{
	const char *pos = value;
	g_autofree char *item = conf_options_item(&pos);
	uint64_t bytes;

	if (!g_ascii_isdigit(*item) || !conf_parse_size(item, &bytes, NULL) ||
		g_file_test(item, G_FILE_TEST_EXISTS) || !bytes ||
		c->ndisks == CONF_MAX_DRIVES)
		return g_strdup(value);
	c->bytes[c->ndisks] = bytes;
	return g_strdup_printf(
		"disks/disk%u.img%s%s", c->ndisks++, *pos ? "," : "", pos);
}

bool cli_create_flag(
	void *ctx, const struct cli_flag *f, const char *value, GError **err)
{
	struct create *c = ctx;
	g_autofree char *disk =
		strcmp(f->name, "disk") ? NULL : create_disk(c, value);
	g_autofree char *cwd = g_get_current_dir();
	g_autoptr(node_settings_auto) try = node_settings_new("");
	g_autoptr(GPtrArray) list = NULL;

	/* through the document, which makes paths absolute */
	if (!node_settings_add(try, f->name, disk ? disk : value,
		    c->ndisks && disk && strcmp(disk, value) ? NULL : cwd, err))
		return false;
	list = node_settings_list(try, NULL);
	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *s = g_ptr_array_index(list, i);

		node_setting_append(c->given, s->flag, s->value);
	}
	return true;
}

static bool make_disks(const struct create *c, GError **err)
{
	for (unsigned i = 0; i < c->ndisks; i++) {
		g_autofree char *file = g_strdup_printf("disks/disk%u.img", i);
		g_autofree char *path = node_path(c->name, file);
		int fd = open(
			path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || ftruncate(fd, (off_t)c->bytes[i])) {
			conf_error_set_errno(
				err, errno, NULL, "cannot make %s", path);
			if (fd >= 0)
				close(fd);
			return false;
		}
		close(fd);
	}
	return true;
}

/* In a folder that is there: settings last, for they make it a machine. */
static bool create_in(const struct create *c, GError **err)
{
	g_autoptr(node_settings_auto) s = node_settings_new(c->name);
	g_autofree char *path = node_path(c->name, "machine.xml");

	for (guint i = 0; i < c->given->len; i++) {
		const struct node_setting *one = g_ptr_array_index(c->given, i);

		if (!node_settings_add(s, one->flag, one->value, NULL, err))
			return false;
	}
	return make_disks(c, err) && node_settings_write(s, path, err);
}

static int create(struct create *c, GError **err)
{
	if (!c->name) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"'vmeste create --help' ends with examples",
			"a machine needs a name");
		return CONF_ERROR_USAGE;
	}
	if (!settings_check(c->given, err) || !node_create(c->name, err))
		return cli_status(err);
	if (create_in(c, err))
		return 0;
	node_discard(c->name);
	return cli_status(err);
}

int cli_create(void *ctx, GError **err)
{
	return create(ctx, err);
}

/* ---- running ---- */

/* A machine and the right to run it. */
struct started {
	void *run;
	int lock;
	struct snaps snaps; /* until its guest runs */
	int ready;	    /* tell that it does, or -1 */
};

/* It goes on if it was saved. */
static bool stored_saved(struct started *s, bool discard, GError **err)
{
	g_autoptr(GError) e = NULL;
	g_autofree char *state = NULL;

	if (discard)
		return snaps_discard(&s->snaps, err);
	state = snaps_saved(&s->snaps, &e);
	if (e) {
		g_propagate_error(err, g_steal_pointer(&e));
		return false;
	}
	if (state)
		cli_run_go_on(s->run, state);
	return true;
}

static bool stored_open(struct started *s, const char *name,
	const GPtrArray *flags, bool discard, const char *socket, GError **err)
{
	*s = (struct started){.lock = -1, .ready = -1};
	s->run = cli_run_new();
	if (!snaps_open(&s->snaps, name, err) ||
		!cli_run_stored(s->run, name, flags, err))
		return false;
	s->lock = node_begin(name, err);
	if (s->lock < 0 || !snaps_drives(&s->snaps, err) ||
		!snaps_tops_free(&s->snaps, err) ||
		!stored_saved(s, discard, err))
		return false;
	if (socket)
		unlink(socket); /* of one that was killed */
	return cli_run_open(s->run, socket, err) &&
	       (!s->snaps.t->saved.file || snaps_resuming(&s->snaps, err));
}

/* Its guest runs: nothing is saved any more, and others may work on its
 * states.  What waits hears nothing but an end of file. */
static void stored_runs(void *opaque)
{
	struct started *s = opaque;
	g_autoptr(GError) e = NULL;

	if (s->snaps.t && s->snaps.t->saved.file &&
		!snaps_resumed(&s->snaps, &e))
		fprintf(stderr, "vmeste: %s\n", e->message);
	snaps_close(&s->snaps);
	if (s->ready >= 0)
		close(s->ready);
	s->ready = -1;
}

static void stored_close(struct started *s, const char *name, int status,
	const GError *e, bool opened)
{
	if (opened)
		cli_run_close(s->run);
	snaps_still_saved(&s->snaps);
	if (s->lock >= 0)
		node_end(name, s->lock, status, e ? e->message : NULL);
	snaps_close(&s->snaps);
	cli_run_free(s->run);
}

/* A name that is mistyped makes no machine. */
static bool create_missing(
	const char *name, const GPtrArray *flags, GError **err)
{
	struct create *c;
	bool ok = true;

	if (!flags->len) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
			"vmeste ls lists the machines; vmeste create makes "
			"one, and so does run with flags that say what to boot",
			"there is no machine '%s'", name);
		return false;
	}
	c = cli_create_new();

	for (guint i = 0; ok && i < flags->len; i++) {
		const struct node_setting *s = g_ptr_array_index(flags, i);
		const struct cli_flag f = {.name = s->flag};

		if (node_setting_known(s->flag))
			ok = cli_create_flag(c, &f, s->value, err);
	}
	c->name = g_strdup(name);
	ok = ok && !create(c, err);
	cli_create_free(c);
	return ok;
}

/* Those that are not kept; all, if the machine has been there before. */
static GPtrArray *flags_now(const GPtrArray *flags, bool made)
{
	GPtrArray *now = node_setting_array();

	for (guint i = 0; i < flags->len; i++) {
		const struct node_setting *s = g_ptr_array_index(flags, i);

		if (!made || !node_setting_known(s->flag))
			node_setting_append(now, s->flag, s->value);
	}
	return now;
}

int cli_stored_run(const char *name, const GPtrArray *flags, GError **err)
{
	bool made = !node_exists(name);
	g_autoptr(GPtrArray) now = flags_now(flags, made);
	g_autoptr(GError) e = NULL;
	struct started s;
	bool opened;
	int status;

	if (made && !create_missing(name, flags, err))
		return cli_status(err);
	opened = stored_open(&s, name, now, false, NULL, &e);
	status = opened ? cli_session_run_with(
				  cli_run_machine(s.run), stored_runs, &s, &e)
			: conf_error_status(e);
	stored_close(&s, name, status, e, opened);
	if (e)
		g_propagate_error(err, g_steal_pointer(&e));
	return status;
}

static void say_failed(int fd, int status, const char *message)
{
	g_autofree char *text = g_strdup_printf("%d\n%s", status, message);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return; /* nobody waits any more */
}

static void detach(const char *name)
{
	g_autofree char *log = node_path(name, "logs/vmeste.log");
	int in = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	setsid();
	if (chdir("/"))
		return;
	dup2(in, 0);
	dup2(out < 0 ? in : out, 1);
	dup2(out < 0 ? in : out, 2);
}

static void background(struct started *s, const char *name, int ready)
{
	g_autoptr(GError) e = NULL;
	int status;

	detach(name);
	if (s->lock >= 0)
		node_runs(s->lock, getpid());
	s->ready = ready;
	status = cli_session_run_with(
		cli_run_machine(s->run), stored_runs, s, &e);
	if (e) {
		fprintf(stderr, "vmeste: %s\n", e->message);
		say_failed(s->ready, status, e->message);
	}
	stored_close(s, name, status, e, true);
	_exit(0);
}

int cli_stored_wait(int fd, GError **err)
{
	GString *text = g_string_new(NULL);
	char buf[512], *line;
	int status = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0 ||
		(n < 0 && errno == EINTR))
		if (n > 0)
			g_string_append_len(text, buf, n);
	line = strchr(text->str, '\n');
	if (line) {
		status = CLAMP(atoi(text->str), 1, 255);
		g_set_error_literal(err, CONF_ERROR, status, line + 1);
	}
	g_string_free(text, TRUE);
	close(fd);
	return status;
}

static int stored_background(
	struct started *s, const struct cli_background *b, GError **err)
{
	int ready[2];
	pid_t pid;

	pid = pipe2(ready, O_CLOEXEC) ? -1 : fork();
	if (pid < 0) {
		conf_error_set_errno(
			err, errno, NULL, "cannot start a process");
		stored_close(s, b->name, CONF_ERROR_FAILED, NULL, true);
		return -1;
	}
	if (!pid) {
		close(ready[0]);
		if (b->forget)
			b->forget(b->opaque);
		background(s, b->name, ready[1]);
	}
	close(ready[1]);
	if (s->lock >= 0)
		close(s->lock); /* the other process has it, too */
	snaps_close(&s->snaps);
	cli_run_free(s->run);
	return ready[0];
}

int cli_stored_background(const struct cli_background *b, GError **err)
{
	struct started s = {
		.run = b->run, .lock = b->lock, .ready = -1, .snaps.lock = -1};

	return stored_background(&s, b, err);
}

int cli_stored_start(const char *name, struct cli_start how, GError **err)
{
	g_autoptr(GPtrArray) flags = node_setting_array();
	g_autofree char *socket = cli_control_path(name, ".serial");
	struct started s;
	int ready;

	if (how.paused)
		node_setting_append(flags, "paused", NULL);
	if (!stored_open(&s, name, flags, how.discard, socket, err)) {
		stored_close(
			&s, name, cli_status(err), err ? *err : NULL, false);
		return cli_status(err);
	}
	ready = stored_background(
		&s, &(struct cli_background){.name = name}, err);
	return ready < 0 ? cli_status(err) : cli_stored_wait(ready, err);
}

/* ---- verbs with a name or two ---- */

struct stored {
	struct cli_words words;
	bool yes;
	struct cli_start how;
	int output;
};

void *cli_stored_new(void)
{
	struct stored *s = g_new0(struct stored, 1);

	s->words.max = 1;
	return s;
}

void *cli_stored_new2(void)
{
	struct stored *s = cli_stored_new();

	s->words.max = 2;
	return s;
}

static bool stored_words(const struct stored *s, const char *what, GError **err)
{
	if (s->words.n == s->words.max)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"vmeste ls lists the machines", "%s", what);
	return false;
}

int cli_start(void *ctx, GError **err)
{
	struct stored *s = ctx;

	if (!stored_words(s, "which machine?", err))
		return CONF_ERROR_USAGE;
	return cli_stored_start(s->words.word[0], s->how, err);
}

static bool set_discard(void *ctx, const char *v, GError **err)
{
	((struct stored *)ctx)->how.discard = true;
	return true;
}

static bool set_paused(void *ctx, const char *v, GError **err)
{
	((struct stored *)ctx)->how.paused = true;
	return true;
}

const struct cli_flag cli_start_flags[] = {
	{"discard", 0, NULL,
		"of a machine that is saved: boot it as after a power cut "
		"instead of going on",
		NULL, set_discard},
	{"paused", 0, NULL, "let it stand until vmeste resume", NULL,
		set_paused},
	{NULL},
};

static bool set_yes(void *ctx, const char *v, GError **err)
{
	((struct stored *)ctx)->yes = true;
	return true;
}

static bool set_output(void *ctx, const char *v, GError **err)
{
	static const char *const words[] = {"text", "json", "xml", NULL};
	static const struct conf_word_list list = {"output format", words};

	return conf_parse_word(v, &list, &((struct stored *)ctx)->output, err);
}

const struct cli_flag cli_rm_flags[] = {
	{"yes", 'y', NULL, "do not ask", NULL, set_yes},
	{NULL},
};

const struct cli_flag cli_show_flags[] = {
	{"output", 'o', "FORMAT", "text (default), json or xml",
		"text json xml", set_output},
	{NULL},
};

static bool confirmed(const char *name, GError **err)
{
	g_autofree char *dir = node_dir(name);
	char answer[8] = "";

	if (!isatty(0) || !isatty(2)) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"its disks go with it, and there is no terminal to ask",
			"add --yes", "not removed");
		return false;
	}
	fprintf(stderr, "Remove %s with its disks? [y/N] ", dir);
	if (fgets(answer, sizeof(answer), stdin) &&
		(*answer == 'y' || *answer == 'Y'))
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL, "not removed");
	return false;
}

int cli_rm(void *ctx, GError **err)
{
	struct stored *s = ctx;
	const char *name = s->words.word[0];
	int lock = 0, status = 0;

	if (!stored_words(s, "which machine?", err))
		return CONF_ERROR_USAGE;
	if (!cli_control_name_ok(name, err) ||
		(node_exists(name) && !s->yes && !confirmed(name, err)))
		return cli_status(err);
	if (node_exists(name))
		lock = node_tree_lock(name, err);
	if (lock < 0 || !node_remove(name, err))
		status = cli_status(err);
	if (lock > 0)
		close(lock);
	return status;
}

int cli_rename(void *ctx, GError **err)
{
	struct stored *s = ctx;
	const char *name = s->words.word[0], *to = s->words.word[1];
	g_autoptr(node_settings_auto) x = NULL;
	g_autofree char *path = NULL;
	struct snaps all;
	bool ok;

	if (!stored_words(s, "give a machine and its new name", err))
		return CONF_ERROR_USAGE;
	ok = snaps_open(&all, name, err) && cli_control_name_ok(to, err);
	x = ok ? stored_read(name, err) : NULL;
	ok = x && node_rename(name, to, err);
	if (ok) {
		path = node_path(to, "machine.xml");
		node_settings_rename(x, to);
		ok = node_settings_write(x, path, err);
	}
	snaps_close(&all);
	return ok ? 0 : cli_status(err);
}

/* ---- show ---- */

static void show_text(const char *name, const GPtrArray *list)
{
	g_autofree char *dir = node_dir(name);
	g_autofree char *message = NULL;
	g_autoptr(wire_msg_auto) m = NULL;
	int status;

	printf("%-12s %s\n%-12s %s\n%-12s %s\n", "name", name, "state",
		cli_stored_state(name), "folder", dir);
	cli_memory_text(name);
	if (node_last(name, &status, &message))
		printf("%-12s status %d%s%s\n", "last run", status,
			message ? ": " : "", message ? message : "");
	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *s = g_ptr_array_index(list, i);

		printf("%-12s %s\n", s->flag, s->value);
	}
	m = cli_balloon_ask(name);
	if (m && cli_balloon_of(m->body))
		cli_balloon_print(m->body, 12);
}

static void show_json(const char *name, const GPtrArray *list)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *o = json_object_new(), *one;
	JsonArray *settings = json_array_new();
	g_autofree char *dir = node_dir(name);
	g_autofree char *text = NULL;
	g_autofree char *message = NULL;
	g_autoptr(wire_msg_auto) m = NULL;
	int status;

	json_object_set_string_member(o, "name", name);
	json_object_set_string_member(o, "state", cli_stored_state(name));
	json_object_set_string_member(o, "folder", dir);
	cli_memory_json(name, o);
	if (node_last(name, &status, &message)) {
		json_object_set_int_member(o, "last_status", status);
		json_object_set_string_member(
			o, "last_message", message ? message : "");
	}
	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *s = g_ptr_array_index(list, i);

		one = json_object_new();
		json_object_set_string_member(one, "setting", s->flag);
		json_object_set_string_member(one, "value", s->value);
		json_array_add_object_element(settings, one);
	}
	json_object_set_array_member(o, "settings", settings);
	m = cli_balloon_ask(name);
	if (m && cli_balloon_of(m->body))
		json_object_set_object_member(
			o, "balloon", json_object_ref(cli_balloon_of(m->body)));
	json_node_take_object(node, o);
	text = json_to_string(node, TRUE);
	puts(text);
}

int cli_show(void *ctx, GError **err)
{
	struct stored *s = ctx;
	const char *name = s->words.word[0];
	g_autoptr(GPtrArray) list = NULL;
	g_autofree char *path = NULL;
	g_autofree char *text = NULL;

	if (!stored_words(s, "which machine?", err))
		return CONF_ERROR_USAGE;
	list = cli_stored_settings(name, err);
	if (!list)
		return cli_status(err);
	path = node_path(name, "machine.xml");
	if (s->output == 2 && g_file_get_contents(path, &text, NULL, err))
		fputs(text, stdout);
	else if (s->output == 1)
		show_json(name, list);
	else if (!s->output)
		show_text(name, list);
	return err && *err ? cli_status(err) : 0;
}

/* ---- changing settings ---- */

bool cli_drive_setting(const char *word, char **drive, char **key, char **value)
{
	g_autoptr(GRegex) r =
		g_regex_new("^((?:disk|cd|floppy)[0-9]+)[.](iops|bps|burst)"
			    "=(.*)$",
			0, 0, NULL);
	g_autoptr(GMatchInfo) m = NULL;
	char **to[] = {drive, key, value};

	if (!g_regex_match(r, word, 0, &m))
		return false;
	for (int i = 0; i < 3; i++)
		if (to[i])
			*to[i] = g_match_info_fetch(m, i + 1);
	return true;
}

static bool set_drive(struct node_settings *x, const char *drive,
	const char *key, const char *value, GError **err)
{
	size_t len = strcspn(drive, "0123456789");
	g_autofree char *kind = g_strndup(drive, len);
	unsigned n = (unsigned)strtoul(drive + len, NULL, 10);

	if (node_settings_attr(x, strcmp(kind, "cd") ? kind : "cdrom", n, key,
		    *value && strcmp(value, "off") ? value : NULL))
		return true;
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
		"vmeste show lists the drives", "there is no drive %s", drive);
	return false;
}

static bool set_one(struct node_settings *x, const char *what, GError **err)
{
	g_autofree char *drive = NULL, *key = NULL, *value = NULL;
	const char *eq = strchr(what, '=');
	g_autofree char *flag =
		eq ? g_strndup(what, (gsize)(eq - what)) : g_strdup(what);
	g_autofree char *cwd = g_get_current_dir();

	if (cli_drive_setting(what, &drive, &key, &value))
		return set_drive(x, drive, key, value, err);
	if (!eq || !node_setting_known(flag)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write KEY=VALUE with a flag of vmeste run as key, for "
			"example mem=2G",
			"'%s' cannot be set", what);
		return false;
	}
	if (node_setting_repeats(flag)) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a machine may have several",
			"change them by vmeste edit NAME", "'%s' cannot be set",
			flag);
		return false;
	}
	/* Another size leaves the balloon's options alone. */
	if (!strcmp(flag, "balloon") && eq[1] && !strchr(eq, ',') &&
		node_settings_attr(x, flag, 0, "is", eq + 1))
		return true;
	if (eq[1]) {
		g_autofree char *v = strcmp(flag, "mem")
					     ? g_strdup(eq + 1)
					     : cli_memory_keep(x, eq + 1);

		return node_settings_add(x, flag, v, cwd, err);
	}
	node_settings_drop(x, flag);
	return true;
}

/* Keep what is a machine. */
static int store(const char *name, struct node_settings *x, GError **err)
{
	g_autofree char *path = node_path(name, "machine.xml");
	g_autofree char *dir = node_dir(name);
	g_autoptr(GPtrArray) list = node_settings_list(x, dir);

	return settings_check(list, err) && node_settings_write(x, path, err)
		       ? 0
		       : cli_status(err);
}

int cli_stored_set(const char *name, const char *what, GError **err)
{
	g_autoptr(node_settings_auto) x = NULL;
	struct snaps s;
	int status = CONF_ERROR_FAILED;

	if (snaps_open(&s, name, err))
		x = stored_read(name, err);
	if (x && set_one(x, what, err))
		status = store(name, x, err);
	snaps_close(&s);
	return status ? cli_status(err) : 0;
}

/* Kept, unless the file is not the one that was edited. */
static int store_edited(const char *name, struct node_settings *x,
	const char *was, GError **err)
{
	g_autofree char *path = node_path(name, "machine.xml");
	g_autofree char *now = NULL;
	struct snaps s;
	int status = CONF_ERROR_FAILED;

	if (snaps_open(&s, name, err) &&
		g_file_get_contents(path, &now, NULL, err)) {
		if (!strcmp(was, now))
			status = store(name, x, err);
		else
			conf_error_set(err, CONF_ERROR_CONFLICT,
				"a snapshot was taken, or a setting made",
				"edit it again",
				"machine.xml has changed meanwhile");
	}
	snaps_close(&s);
	return status;
}

static bool edit_file(const char *path, GError **err)
{
	const char *editor = g_getenv("VISUAL");
	g_autofree char *line = NULL;
	g_auto(GStrv) words = NULL;
	int ws = 0;

	if (!editor || !*editor)
		editor = g_getenv("EDITOR");
	line = g_strdup_printf("%s \"$1\"", editor && *editor ? editor : "vi");
	words = g_strsplit("sh -c X sh F", " ", 0);
	g_free(words[2]);
	words[2] = g_steal_pointer(&line);
	g_free(words[4]);
	words[4] = g_strdup(path);
	return g_spawn_sync(NULL, words, NULL,
		       G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN, NULL,
		       NULL, NULL, NULL, &ws, err) &&
	       g_spawn_check_wait_status(ws, err);
}

int cli_edit(void *ctx, GError **err)
{
	struct stored *s = ctx;
	const char *name = s->words.word[0];
	g_autoptr(node_settings_auto) x = NULL;
	g_autofree char *copy = NULL;
	g_autofree char *path = NULL;
	g_autofree char *was = NULL;

	if (!stored_words(s, "which machine?", err))
		return CONF_ERROR_USAGE;
	x = stored_read(name, err);
	path = x ? node_path(name, "machine.xml") : NULL;
	if (!x || !g_file_get_contents(path, &was, NULL, err))
		return cli_status(err);
	copy = node_path(name, "machine.xml.edited");
	if (!node_settings_write(x, copy, err) || !edit_file(copy, err))
		return cli_status(err);
	node_settings_free(x);
	x = node_settings_read(copy, err);
	if (!x || store_edited(name, x, was, err)) {
		fprintf(stderr, "vmeste: what you wrote is in %s\n", copy);
		return cli_status(err);
	}
	unlink(copy);
	return 0;
}
