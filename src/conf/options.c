/*
 * options.c - the arguments of `vmeste run` flags into parts of a machine.
 */
#include "conf/options.h"

#include <string.h>

#include "conf/error.h"
#include "conf/priv.h"

bool conf_engine_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"irqchip", "cache", "change", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *v;
	int word;

	if (!o || !conf_parse_word(o->value ? o->value : "auto",
			  &conf_engine_words, &word, err))
		return false;
	m->engine = (enum conf_engine)word;
	v = conf_options_get(o, "irqchip");
	if (v) {
		if (!conf_parse_word(v, &conf_irqchip_words, &word, err))
			return false;
		m->irqchip = (enum conf_irqchip)word;
	}
	v = conf_options_get(o, "change");
	if (v && !conf_parse_bool(v, &m->change, err))
		return false;
	v = conf_options_get(o, "cache");
	return !v || conf_parse_size(v, &m->code_cache_bytes, err);
}

bool conf_trace_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"events", "insns", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *events = o ? conf_options_get(o, "events") : NULL;
	const char *insns = o ? conf_options_get(o, "insns") : NULL;
	unsigned n = 1 << 16;

	if (!o)
		return false;
	if (!o->value)
		return bad(err, "trace", text, "write --trace FILE");
	if ((events && !conf_parse_uint(events, "number of events", 1, 1 << 20,
			       &n, err)) ||
		(insns && !conf_parse_bool(insns, &m->trace_insns, err)))
		return false;
	g_free(m->trace.path);
	m->trace.path = g_strdup(o->value);
	m->trace_events = n;
	return true;
}

bool conf_cpus_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"sockets", "cores", "threads", NULL};
	unsigned n[3] = {1, 1, 1};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);

	if (!o)
		return false;
	/* A bare number is cores of one socket, as a desktop has them. */
	if (o->value && !conf_parse_uint(o->value, "number of processors", 1,
				CONF_MAX_CPUS, &n[1], err))
		return false;
	for (int i = 0; i < 3; i++) {
		const char *v = conf_options_get(o, keys[i]);

		if (v && !conf_parse_uint(
				 v, keys[i], 1, CONF_MAX_CPUS, &n[i], err))
			return false;
	}
	if (n[0] * n[1] * n[2] > CONF_MAX_CPUS)
		return bad(err, "topology", text,
			"a machine has at most 64 processors");
	m->sockets = n[0];
	m->cores = n[1];
	m->threads = n[2];
	return true;
}

bool conf_serial_parse(struct conf_serial *s, const char *text, GError **err)
{
	const char *colon = strchr(text, ':');
	g_autofree char *word = colon ? g_strndup(text, (size_t)(colon - text))
				      : g_strdup(text);
	int kind;

	if (!conf_parse_word(word, &conf_serial_words, &kind, err))
		return false;
	if ((kind >= CONF_SERIAL_FILE) != (colon && colon[1]))
		return bad(err, "serial line", text,
			"write stdio, none, file:PATH or unix:PATH");
	s->kind = (enum conf_serial_kind)kind;
	s->file.path = colon ? g_strdup(colon + 1) : NULL;
	return true;
}

bool conf_bootindex_parse(
	const struct conf_options *o, unsigned *out, GError **err)
{
	const char *v = conf_options_get(o, "bootindex");

	return !v ||
	       conf_parse_uint(v, "bootindex", 1, CONF_MAX_BOOTINDEX, out, err);
}

#define MENU_MS 3000

/* on, off, or how long to wait for the key. */
static bool parse_menu(struct conf_machine *m, const char *text, GError **err)
{
	uint64_t ms = 0;
	bool on = false;

	if (g_ascii_isdigit(*text)) {
		if (!conf_parse_time(text, &ms, err))
			return false;
		if (ms > CONF_MAX_BOOT_MENU_MS)
			return bad(err, "wait for the boot menu", text,
				"at most 65s");
	} else if (!conf_parse_bool(text, &on, err)) {
		return false;
	}
	m->boot_menu_ms = on ? MENU_MS : (unsigned)ms;
	return true;
}

bool conf_mem_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"max", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *max = o ? conf_options_get(o, "max") : NULL;

	if (!o || (o->value && !conf_parse_size(o->value, &m->mem_bytes, err)))
		return false;
	m->mem_max_bytes = 0;
	return !max || conf_parse_size(max, &m->mem_max_bytes, err);
}

bool conf_watchdog_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"action", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	int model = CONF_WATCHDOG_I6300ESB, action = CONF_WATCHDOG_RESET;
	const char *act;

	if (!o)
		return false;
	if (o->value &&
		!conf_parse_word(o->value, &conf_watchdog_words, &model, err))
		return false;
	act = conf_options_get(o, "action");
	if (act && !conf_parse_word(
			   act, &conf_watchdog_action_words, &action, err))
		return false;
	m->watchdog = (enum conf_watchdog)model;
	m->watchdog_action = (enum conf_watchdog_action)action;
	return true;
}

bool conf_genid_parse(struct conf_machine *m, const char *text, GError **err)
{
	if (!g_uuid_string_is_valid(text)) {
		if (conf_parse_bool(text, &m->genid, NULL))
			return true;
		return bad(
			err, "generation id", text, "write on, off or a UUID");
	}
	m->genid = true;
	g_free(m->genid_value);
	m->genid_value = g_ascii_strdown(text, -1);
	return true;
}

bool conf_balloon_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"oom", "reporting", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *oom = o ? conf_options_get(o, "oom") : NULL;
	const char *reporting = o ? conf_options_get(o, "reporting") : NULL;

	if (!o)
		return false;
	m->balloon = m->balloon_oom = m->balloon_reporting = true;
	m->balloon_bytes = 0;
	if (o->value && !conf_parse_bool(o->value, &m->balloon, NULL) &&
		(!conf_parse_size(o->value, &m->balloon_bytes, NULL) ||
			!m->balloon_bytes))
		return bad(err, "balloon", text,
			"write on, off or how much the guest may keep, for "
			"example 512M");
	return (!oom || conf_parse_bool(oom, &m->balloon_oom, err)) &&
	       (!reporting ||
		       conf_parse_bool(reporting, &m->balloon_reporting, err));
}

bool conf_boot_parse(struct conf_machine *m, const char *text, GError **err)
{
	g_auto(GStrv) p = g_strsplit(text, ",", CONF_NBOOT + 2);
	unsigned seen = 0;
	int word;

	m->nboot = 0;
	for (unsigned i = 0; p[i]; i++) {
		if (g_str_has_prefix(p[i], "menu=")) {
			if (!parse_menu(m, p[i] + 5, err))
				return false;
			continue;
		}
		if (!conf_parse_word(p[i], &conf_boot_words, &word, err))
			return false;
		if (seen & 1u << word)
			return bad(err, "boot order", text,
				"name each medium once");
		seen |= 1u << word;
		m->boot[m->nboot++] = (enum conf_boot)word;
	}
	return true;
}

static bool display_tls(
	struct conf_machine *m, const struct conf_options *o, GError **err)
{
	const char *tls = conf_options_get(o, "tls");

	g_free(m->tls_cert.path);
	g_free(m->tls_key.path);
	m->tls_cert.path = g_strdup(conf_options_get(o, "tls-cert"));
	m->tls_key.path = g_strdup(conf_options_get(o, "tls-key"));
	m->display_tls = m->tls_cert.path || m->tls_key.path;
	if (!m->tls_cert.path != !m->tls_key.path)
		return bad(err, "certificate",
			m->tls_cert.path ? m->tls_cert.path : m->tls_key.path,
			"give both tls-cert= and tls-key=, or tls alone for "
			"one made by vmeste");
	return !tls || conf_parse_bool(tls, &m->display_tls, err);
}

bool conf_display_parse(
	struct conf_machine *m, const char *text, char **password, GError **err)
{
	static const char *const keys[] = {
		"password", "tls", "tls-cert", "tls-key", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *value = o && o->value ? o->value : "none";
	const char *eq = strchr(value, '=');
	g_autofree char *word =
		eq ? g_strndup(value, (size_t)(eq - value)) : g_strdup(value);
	int kind;

	if (!o || !conf_parse_word(word, &conf_display_words, &kind, err))
		return false;
	m->display = (enum conf_display)kind;
	g_free(m->display_addr);
	m->display_addr = eq ? g_strdup(eq + 1) : NULL;
	g_free(*password);
	*password = g_strdup(conf_options_get(o, "password"));
	return display_tls(m, o, err);
}

bool conf_vga_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"vram", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *vram = o ? conf_options_get(o, "vram") : NULL;
	int kind;

	if (!o || !conf_parse_word(o->value ? o->value : "std", &conf_vga_words,
			  &kind, err))
		return false;
	m->vga = (enum conf_vga)kind;
	return !vram || conf_parse_size(vram, &m->vram_bytes, err);
}

bool conf_vsock_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"cid", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *to = o && o->value ? o->value : "on";
	const char *cid = o ? conf_options_get(o, "cid") : NULL;
	struct conf_vsock *v = &m->vsock;

	if (!o)
		return false;
	conf_file_clear(&v->socket);
	v->stated = g_str_has_prefix(to, "unix:") && to[5];
	v->cid = CONF_VSOCK_CID;
	if (v->stated)
		v->on = true;
	else if (!conf_parse_bool(to, &v->on, NULL))
		return bad(err, "place for sockets", to,
			"write --vsock on, off or unix:PATH");
	if (v->stated)
		v->socket.path = g_strdup(to + 5);
	if (!cid || conf_parse_uint(cid, "context id", CONF_VSOCK_CID,
			    CONF_VSOCK_CID_MAX, &v->cid, NULL))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"a guest's is from 3 to 4294967294: 0 and 1 mean the guest "
		"itself, 2 the host, the last anybody",
		"leave cid= out: it is 3 then", "bad context id '%s'", cid);
	return false;
}
