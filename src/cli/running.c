/*
 * running.c - `vmeste set`, `stop`, `pause`, `resume`, `reset`: one request to
 * a running machine.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/memory.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "conf/options.h"
#include "node/folder.h"

#define ANSWER_MS 10000
#define STOP_MS	  60000

struct running {
	struct cli_words words; /* machine, what to set */
	bool now;
	uint64_t timeout_ms;
};

void *cli_running_new(void)
{
	struct running *r = g_new0(struct running, 1);

	r->words.max = 2;
	r->timeout_ms = STOP_MS;
	return r;
}

static bool set_now(void *ctx, const char *v, GError **err)
{
	((struct running *)ctx)->now = true;
	return true;
}

static bool set_timeout(void *ctx, const char *v, GError **err)
{
	return conf_parse_time(v, &((struct running *)ctx)->timeout_ms, err);
}

const struct cli_flag cli_stop_flags[] = {
	{"now", 0, NULL, "do not ask the guest", NULL, set_now},
	{"timeout", 0, "TIME",
		"how long the guest may take (default: 60s), else status 6",
		NULL, set_timeout},
	{NULL},
};

/* Connected to the machine that the words name; n words are wanted. */
static int running_open(struct running *r, unsigned n, GError **err)
{
	if (r->words.n == n)
		return cli_control_connect(r->words.word[0], err);
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"vmeste ls lists the machines that run",
		r->words.n < n ? n == 1 ? "which machine?"
					: "give a machine and KEY=VALUE"
			       : "one machine at a time");
	return -1;
}

static int request(int sock, const char *type, JsonObject *body, GError **err)
{
	g_autoptr(wire_msg_auto) m = NULL;

	if (sock < 0) {
		if (body)
			json_object_unref(body);
		return cli_status(err);
	}
	m = cli_control_ask(sock, type, body, -1, ANSWER_MS, err);
	close(sock);
	if (m && wire_msg_string(m, "note"))
		fprintf(stderr, "vmeste: %s\n", wire_msg_string(m, "note"));
	return m ? 0 : cli_status(err);
}

int cli_pause(void *ctx, GError **err)
{
	return request(running_open(ctx, 1, err), "pause", NULL, err);
}

int cli_resume(void *ctx, GError **err)
{
	const struct running *r = ctx;

	if (r->words.n == 1 &&
		!strcmp(cli_stored_state(r->words.word[0]), "saved"))
		return cli_stored_start(
			r->words.word[0], (struct cli_start){0}, err);
	return request(running_open(ctx, 1, err), "resume", NULL, err);
}

int cli_reset(void *ctx, GError **err)
{
	return request(running_open(ctx, 1, err), "reset", NULL, err);
}

int cli_nmi(void *ctx, GError **err)
{
	return request(running_open(ctx, 1, err), "nmi", NULL, err);
}

/* What a balloon offers cannot change once a driver has seen it; how much the
 * guest may keep can. */
static bool balloon_now(const char *value, gint64 *bytes, GError **err)
{
	g_autoptr(conf_machine_auto) m = conf_machine_new();

	if (*value && !conf_balloon_parse(m, value, err))
		return false;
	*bytes = (gint64)m->balloon_bytes;
	return m->balloon && !strchr(value, ',');
}

static bool set_balloon(JsonObject *body, const char *value, GError **err)
{
	g_autoptr(GError) e = NULL;
	gint64 bytes;

	if (balloon_now(value, &bytes, &e)) {
		json_object_set_int_member(body, "balloon", bytes);
		return true;
	}
	if (e) {
		g_propagate_error(err, g_steal_pointer(&e));
		return false;
	}
	conf_error_set(err, CONF_ERROR_UNSUPPORTED,
		"the guest has seen the balloon that there is",
		"write balloon=SIZE, or balloon=on for all memory; --balloon "
		"says the rest",
		"'%s' cannot be had while the machine runs", value);
	return false;
}

/* KEY=VALUE as the request wants it. */
static bool set_body(JsonObject *body, const char *word, GError **err)
{
	g_autofree char *drive = NULL, *key = NULL, *value = NULL;
	uint64_t bytes;
	unsigned share;

	if (g_str_has_prefix(word, "mem=")) {
		if (!conf_parse_size(word + 4, &bytes, err))
			return false;
		json_object_set_int_member(
			body, "mem_bytes", (gint64)MIN(bytes, 1ull << 62));
		return true;
	}
	if (g_str_has_prefix(word, "engine=")) {
		json_object_set_string_member(body, "engine", word + 7);
		return true;
	}
	if (g_str_has_prefix(word, "cpu-limit=")) {
		if (!conf_parse_share(word + 10, &share, err))
			return false;
		json_object_set_int_member(body, "cpu_limit", share);
		return true;
	}
	if (g_str_has_prefix(word, "balloon="))
		return set_balloon(body, word + 8, err);
	if (cli_drive_setting(word, &drive, &key, &value)) {
		json_object_set_string_member(body, "drive", drive);
		json_object_set_string_member(body, "key", key);
		json_object_set_string_member(body, "value", value);
		return true;
	}
	if (g_str_has_prefix(word, "joystick=")) {
		json_object_set_string_member(body, "joystick", word + 9);
		return true;
	}
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write engine=bt, engine=interp, engine=kvm, mem=2G, "
		"cpu-limit=50%, "
		"balloon=512M, disk0.iops=500 (or bps, burst) or "
		"joystick=128,128",
		"'%s' cannot be set", word);
	return false;
}

static int set_running(struct running *r, GError **err)
{
	int sock = running_open(r, 2, err);
	JsonObject *body = json_object_new();

	if (sock >= 0 && !set_body(body, r->words.word[1], err)) {
		close(sock);
		sock = -1;
	}
	return request(sock, "set", body, err);
}

/* A machine that has a folder keeps it; what can change at once does. */
static int set_stored(struct running *r, GError **err)
{
	const char *name = r->words.word[0], *what = r->words.word[1];
	bool runs = strcmp(cli_stored_state(name), "running") == 0;
	gint64 bytes;
	int status;

	/* Where the stick is is no setting that is kept. */
	if (g_str_has_prefix(what, "joystick="))
		return set_running(r, err);
	if (runs && cli_memory_changes(name, what)) {
		status = set_running(r, err);
		return status ? status : cli_stored_set(name, what, err);
	}
	status = cli_stored_set(name, what, err);
	if (status || !runs)
		return status;
	if (cli_drive_setting(what, NULL, NULL, NULL) ||
		!strncmp(what, "engine=", 7) ||
		!strncmp(what, "cpu-limit=", 10) ||
		(!strncmp(what, "balloon=", 8) &&
			balloon_now(what + 8, &bytes, NULL)))
		return set_running(r, err);
	fprintf(stderr, "vmeste: '%s' runs; this counts from its next start\n",
		name);
	return 0;
}

int cli_set(void *ctx, GError **err)
{
	struct running *r = ctx;

	return r->words.n == 2 && node_exists(r->words.word[0])
		       ? set_stored(r, err)
		       : set_running(r, err);
}

/* Until the machine closes the socket, which it does by ending. */
static bool wait_gone(int sock, uint64_t timeout_ms, GError **err)
{
	gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
	struct pollfd p = {.fd = sock, .events = POLLIN};

	for (;;) {
		gint64 left = (end - g_get_monotonic_time()) / 1000;
		int n = poll(&p, 1, (int)CLAMP(left, 0, G_MAXINT));

		if (n > 0)
			return true;
		if (n == 0 && left <= 0)
			break;
	}
	conf_error_set(err, CONF_ERROR_TIMEOUT,
		"the guest does not answer to its power button, or takes long",
		"give --timeout a longer time, or stop it with --now",
		"the machine still runs");
	return false;
}

int cli_stop(void *ctx, GError **err)
{
	struct running *r = ctx;
	int sock = running_open(r, 1, err);
	g_autoptr(wire_msg_auto) m = NULL;
	bool gone = false;

	if (sock < 0)
		return cli_status(err);
	m = cli_control_ask(
		sock, r->now ? "stop" : "powerdown", NULL, -1, ANSWER_MS, err);
	if (m)
		gone = wait_gone(sock, r->timeout_ms, err);
	close(sock);
	if (gone && node_exists(r->words.word[0]))
		node_wait_off(r->words.word[0], STOP_MS);
	return gone ? 0 : cli_status(err);
}

int cli_restart(void *ctx, GError **err)
{
	struct running *r = ctx;
	g_autoptr(GError) e = NULL;

	/* without a folder there is nothing to start it from */
	if (r->words.n == 1 && !node_exists(r->words.word[0])) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
			"vmeste ls lists the machines; vmeste reset presses "
			"the button of one that is transient",
			"there is no machine '%s' with a folder",
			r->words.word[0]);
		return CONF_ERROR_NOT_FOUND;
	}
	if (cli_stop(ctx, &e) && e->code != CONF_ERROR_NOT_FOUND) {
		g_propagate_error(err, g_steal_pointer(&e));
		return cli_status(err);
	}
	return cli_stored_start(r->words.word[0], (struct cli_start){0}, err);
}
