/*
 * screen.c - `vmeste screenshot`, `type`, `key`, `wait`, `mouse`: a machine
 * driven by its screen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/png.h"
#include "cli/verb.h"
#include "conf/error.h"

#define ANSWER_MS 10000
#define POLL_US	  100000
#define START_US  5000000
#define STUCK_US  (20 * G_USEC_PER_SEC) /* no key was read for so long */

struct screen {
	GPtrArray *words; /* the first is the machine */
	char *text;	  /* of wait */
	bool enter;
	uint64_t delay_ms, timeout_ms; /* UINT64_MAX: the default */
	int sock;
};

void *cli_screen_new(void)
{
	struct screen *s = g_new0(struct screen, 1);

	s->words = g_ptr_array_new_with_free_func(g_free);
	s->delay_ms = s->timeout_ms = UINT64_MAX;
	s->sock = -1;
	return s;
}

void cli_screen_free(void *ctx)
{
	struct screen *s = ctx;

	if (s->sock >= 0)
		close(s->sock);
	g_ptr_array_unref(s->words);
	g_free(s->text);
	g_free(s);
}

bool cli_screen_positional(void *ctx, const char *word, GError **err)
{
	g_ptr_array_add(((struct screen *)ctx)->words, g_strdup(word));
	return true;
}

static bool set_enter(void *ctx, const char *v, GError **err)
{
	((struct screen *)ctx)->enter = true;
	return true;
}

static bool set_delay(void *ctx, const char *v, GError **err)
{
	return conf_parse_time(v, &((struct screen *)ctx)->delay_ms, err);
}

static bool set_timeout(void *ctx, const char *v, GError **err)
{
	return conf_parse_time(v, &((struct screen *)ctx)->timeout_ms, err);
}

static bool set_text(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct screen *)ctx)->text, v);
}

const struct cli_flag cli_type_flags[] = {
	{"enter", 0, NULL, "press Enter behind the text", NULL, set_enter},
	{"delay", 0, "TIME", "from key to key (default: 20ms)", NULL,
		set_delay},
	{NULL},
};

const struct cli_flag cli_key_flags[] = {
	{"delay", 0, "TIME", "from key to key (default: 20ms)", NULL,
		set_delay},
	{NULL},
};

const struct cli_flag cli_wait_flags[] = {
	{"text", 0, "TEXT", "until this stands in a line of the screen", NULL,
		set_text},
	{"timeout", 0, "TIME", "give up after this time, with status 6", NULL,
		set_timeout},
	{NULL},
};

/* Connect; there must be from min to max words. */
static bool screen_open(struct screen *s, unsigned min, unsigned max,
	const char *usage, GError **err)
{
	if (s->words->len >= min && s->words->len <= max) {
		s->sock = cli_control_connect(
			g_ptr_array_index(s->words, 0), err);
		return s->sock >= 0;
	}
	conf_error_set(err, CONF_ERROR_USAGE, NULL, usage,
		s->words->len < min ? "too few arguments"
				    : "too many arguments");
	return false;
}

static const char *word(const struct screen *s, unsigned n)
{
	return g_ptr_array_index(s->words, n);
}

/* ---- screenshot ---- */

static bool save(
	const struct wire_msg *m, int fd, const char *path, GError **err)
{
	gint64 width = wire_msg_int(m, "width", 0);
	gint64 height = wire_msg_int(m, "height", 0);
	off_t bytes = lseek(fd, 0, SEEK_END);
	void *pixels;
	bool ok;

	if (width <= 0 || height <= 0 || width > 65535 || height > 65535 ||
		bytes != width * height * 4) {
		conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
			"the machine sent no picture");
		return false;
	}
	pixels = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (pixels == MAP_FAILED) {
		conf_error_set_errno(
			err, errno, NULL, "cannot read the picture");
		return false;
	}
	ok = cli_png_write(
		path, pixels, (unsigned)width, (unsigned)height, err);
	munmap(pixels, (size_t)bytes);
	return ok;
}

int cli_screenshot(void *ctx, GError **err)
{
	struct screen *s = ctx;
	g_autoptr(wire_msg_auto) m = NULL;
	bool ok = false;
	int fd;

	if (!screen_open(s, 2, 2, "give a machine and a file", err))
		return cli_status(err);
	fd = memfd_create("picture", MFD_CLOEXEC);
	if (fd < 0) {
		conf_error_set_errno(err, errno, NULL, "cannot hold a picture");
		return cli_status(err);
	}
	m = cli_control_ask(s->sock, "screenshot", NULL, fd, ANSWER_MS, err);
	if (m)
		ok = save(m, fd, word(s, 1), err);
	close(fd);
	return ok ? 0 : cli_status(err);
}

/* ---- keys ---- */

/* Until the guest has read all. */
static bool typed(struct screen *s, GError **err)
{
	gint64 last = -1, since = g_get_monotonic_time();

	for (;;) {
		g_autoptr(wire_msg_auto) m = cli_control_ask(
			s->sock, "type", NULL, -1, ANSWER_MS, err);
		gint64 left = m ? wire_msg_int(m, "waiting", 0) : 0;

		if (!m)
			return false;
		if (!left)
			return true;
		if (left != last)
			since = g_get_monotonic_time();
		last = left;
		if (g_get_monotonic_time() - since > STUCK_US)
			break;
		g_usleep(POLL_US / 4);
	}
	conf_error_set(err, CONF_ERROR_TIMEOUT,
		"the guest does not read its keyboard",
		"what was typed is read when it does",
		"%" G_GINT64_FORMAT " keys still wait", last);
	return false;
}

static int send_keys(struct screen *s, const char *member, const char *text,
	const char *keys, GError **err)
{
	JsonObject *body = json_object_new();
	g_autoptr(wire_msg_auto) m = NULL;

	json_object_set_string_member(body, member, text);
	if (keys)
		json_object_set_string_member(body, "keys", keys);
	if (s->delay_ms != UINT64_MAX)
		json_object_set_int_member(
			body, "delay_ms", (gint64)s->delay_ms);
	m = cli_control_ask(s->sock, "type", body, -1, ANSWER_MS, err);
	return m && typed(s, err) ? 0 : cli_status(err);
}

/* The words behind the machine. */
static char *joined(const struct screen *s)
{
	GString *t = g_string_new(NULL);

	for (guint i = 1; i < s->words->len; i++) {
		if (i > 1)
			g_string_append_c(t, ' ');
		g_string_append(t, word(s, i));
	}
	return g_string_free(t, FALSE);
}

int cli_type(void *ctx, GError **err)
{
	struct screen *s = ctx;
	g_autofree char *text = joined(s);

	if (!screen_open(s, s->enter ? 1 : 2, G_MAXUINT,
		    "give a machine and a text", err))
		return cli_status(err);
	if (!g_utf8_validate(text, -1, NULL)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"the text is not UTF-8");
		return cli_status(err);
	}
	return send_keys(s, "text", text, s->enter ? "ret" : NULL, err);
}

int cli_key(void *ctx, GError **err)
{
	struct screen *s = ctx;
	g_autofree char *keys = joined(s);

	if (!screen_open(s, 2, G_MAXUINT, "give a machine and keys", err))
		return cli_status(err);
	return send_keys(s, "keys", keys, NULL, err);
}

/* ---- wait ---- */

static bool shows(struct screen *s, bool *found, GError **err)
{
	g_autoptr(wire_msg_auto) m =
		cli_control_ask(s->sock, "screen", NULL, -1, ANSWER_MS, err);
	const char *text = m ? wire_msg_string(m, "text") : NULL;

	*found = text && strstr(text, s->text);
	return m != NULL;
}

/* The machine, too, which somebody may just have started. */
static bool wait_open(struct screen *s, gint64 began, GError **err)
{
	g_autoptr(GError) e = NULL;

	while (!screen_open(s, 1, 1, "give one machine", &e)) {
		gint64 us = g_get_monotonic_time() - began;

		if (e->code != CONF_ERROR_NOT_FOUND || us > START_US ||
			(uint64_t)us / 1000 >= s->timeout_ms) {
			g_propagate_error(err, g_steal_pointer(&e));
			return false;
		}
		g_clear_error(&e);
		g_usleep(POLL_US);
	}
	return true;
}

int cli_wait(void *ctx, GError **err)
{
	struct screen *s = ctx;
	gint64 began = g_get_monotonic_time();
	bool found = false;

	if (!s->text) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write for example --text login:", "wait for what?");
		return cli_status(err);
	}
	if (!wait_open(s, began, err))
		return cli_status(err);
	while (shows(s, &found, err)) {
		gint64 ms = (g_get_monotonic_time() - began) / 1000;

		if (found)
			return 0;
		if ((uint64_t)ms >= s->timeout_ms) {
			conf_error_set(err, CONF_ERROR_TIMEOUT, NULL,
				"vmeste screenshot shows what is there",
				"'%s' is not on the screen", s->text);
			break;
		}
		g_usleep(POLL_US);
	}
	return cli_status(err);
}

/* ---- mouse ---- */

struct mouse {
	gint64 x, y, wheel, buttons; /* x < 0: where it is */
};

static bool mouse_send(struct screen *s, struct mouse *p, GError **err)
{
	JsonObject *body = json_object_new();
	g_autoptr(wire_msg_auto) m = NULL;

	if (p->x >= 0) {
		json_object_set_int_member(body, "x", p->x);
		json_object_set_int_member(body, "y", p->y);
	}
	json_object_set_int_member(body, "wheel", p->wheel);
	json_object_set_int_member(body, "buttons", p->buttons);
	p->wheel = 0;
	m = cli_control_ask(s->sock, "mouse", body, -1, ANSWER_MS, err);
	/* Time for the guest to see one after the other. */
	g_usleep(POLL_US / 4);
	return m != NULL;
}

static bool mouse_click(
	struct screen *s, struct mouse *p, unsigned button, GError **err)
{
	p->buttons = button;
	if (!mouse_send(s, p, err))
		return false;
	p->buttons = 0;
	return mouse_send(s, p, err);
}

static bool mouse_do(
	struct screen *s, struct mouse *p, const char *what, GError **err)
{
	static const struct {
		const char *word;
		unsigned button, times;
	} click[] = {{"click", 1, 1}, {"double", 1, 2}, {"right", 2, 1},
		{"middle", 4, 1}};

	for (unsigned i = 0; i < G_N_ELEMENTS(click); i++) {
		if (strcmp(what, click[i].word) != 0)
			continue;
		for (unsigned n = 0; n < click[i].times; n++)
			if (!mouse_click(s, p, click[i].button, err))
				return false;
		return true;
	}
	if (!strcmp(what, "press") || !strcmp(what, "release")) {
		p->buttons = what[0] == 'p';
		return mouse_send(s, p, err);
	}
	if (!strcmp(what, "up") || !strcmp(what, "down")) {
		p->wheel = what[0] == 'u' ? 1 : -1;
		return mouse_send(s, p, err);
	}
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write X Y, click, double, right, middle, press, release, up "
		"or down",
		"the mouse cannot '%s'", what);
	return false;
}

int cli_mouse(void *ctx, GError **err)
{
	struct screen *s = ctx;
	struct mouse p = {.x = -1};

	if (!screen_open(s, 2, G_MAXUINT, "give a machine and what to do", err))
		return cli_status(err);
	for (guint i = 1; i < s->words->len; i++) {
		unsigned x, y;
		bool ok;

		if (!g_ascii_isdigit(word(s, i)[0])) {
			ok = mouse_do(s, &p, word(s, i), err);
		} else {
			ok = conf_parse_uint(
				     word(s, i), "X", 0, 65535, &x, err) &&
			     conf_parse_uint(i + 1 < s->words->len
						     ? word(s, i + 1)
						     : "",
				     "Y", 0, 65535, &y, err);
			if (ok) {
				p.x = x;
				p.y = y;
				i++;
				ok = mouse_send(s, &p, err);
			}
		}
		if (!ok)
			return cli_status(err);
	}
	return 0;
}
