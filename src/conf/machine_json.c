/*
 * machine_json.c - a machine's description to and from JSON.
 *
 * Reading takes anything: whatever is missing keeps its default, whatever has
 * the wrong type or is out of range is an error.  The first error sticks and
 * everything after it is skipped.
 */
#include "conf/machine.h"

#include <string.h>

#include "conf/error.h"

/* A day: numbers on the wire are not negative. */
#define RTC_OFFSET_BIAS 86400

/* ---- writing ---- */

static void put_file(
	JsonObject *o, const char *key, const struct conf_file *f, GArray *fds)
{
	JsonObject *j;

	if (!f->path && f->fd < 0)
		return;
	j = json_object_new();
	if (f->path)
		json_object_set_string_member(j, "path", f->path);
	if (f->fd >= 0 && fds) {
		json_object_set_int_member(j, "fd", fds->len);
		g_array_append_val(fds, f->fd);
	}
	json_object_set_object_member(o, key, j);
}

static void put_word(JsonObject *o, const char *key,
	const struct conf_word_list *list, int word)
{
	json_object_set_string_member(o, key, list->words[word]);
}

static void put_string(JsonObject *o, const char *key, const char *text)
{
	if (text)
		json_object_set_string_member(o, key, text);
}

static JsonObject *serial_to_json(const struct conf_serial *s, GArray *fds)
{
	JsonObject *o = json_object_new();

	put_word(o, "kind", &conf_serial_words, (int)s->kind);
	put_file(o, "file", &s->file, fds);
	if (s->in_fd >= 0 && fds) {
		json_object_set_int_member(o, "in", fds->len);
		g_array_append_val(fds, s->in_fd);
	}
	return o;
}

static JsonObject *drive_to_json(const struct conf_drive *d, GArray *fds)
{
	JsonObject *o = json_object_new();

	put_word(o, "media", &conf_media_words, (int)d->media);
	put_word(o, "format", &conf_format_words, (int)d->format);
	put_word(o, "bus", &conf_bus_words, (int)d->bus);
	if (d->bus == CONF_BUS_SCSI)
		put_word(o, "hba", &conf_hba_words, (int)d->hba);
	if (d->slot >= 0)
		json_object_set_int_member(o, "slot", d->slot);
	json_object_set_boolean_member(o, "readonly", d->readonly);
	json_object_set_boolean_member(o, "snapshot", d->snapshot);
	put_string(o, "serial", d->serial);
	put_string(o, "name", d->name);
	json_object_set_int_member(o, "bootindex", d->bootindex);
	put_file(o, "file", &d->file, fds);
	put_file(o, "cow", &d->cow, fds);
	put_file(o, "top", &d->top, fds);
	put_string(o, "top_backing", d->top_backing);
	put_file(o, "key", &d->key, fds);
	json_object_set_int_member(o, "iops", (gint64)d->iops);
	json_object_set_int_member(o, "bps", (gint64)d->bps);
	json_object_set_int_member(o, "burst", (gint64)d->burst_ms);
	return o;
}

static JsonArray *forwards_to_json(const GArray *forwards)
{
	JsonArray *a = json_array_new();

	for (guint i = 0; i < forwards->len; i++) {
		const struct conf_forward *f =
			&((const struct conf_forward *)(const void *)
					forwards->data)[i];
		JsonObject *o = json_object_new();

		json_object_set_boolean_member(o, "udp", f->udp);
		json_object_set_int_member(o, "addr", f->host_addr);
		json_object_set_int_member(o, "host", f->host_port);
		json_object_set_int_member(o, "guest", f->guest_port);
		json_array_add_object_element(a, o);
	}
	return a;
}

static JsonObject *nic_to_json(const struct conf_nic *n, GArray *fds)
{
	JsonObject *o = json_object_new();

	put_word(o, "model", &conf_nic_words, (int)n->model);
	if (n->has_mac) {
		g_autofree char *mac = g_strdup_printf(
			"%02x%02x%02x%02x%02x%02x", n->mac[0], n->mac[1],
			n->mac[2], n->mac[3], n->mac[4], n->mac[5]);

		put_string(o, "mac", mac);
	}
	put_file(o, "rom", &n->rom, fds);
	put_string(o, "bootfile", n->bootfile);
	put_file(o, "tftp", &n->tftp, fds);
	json_object_set_int_member(o, "queues", n->queues);
	json_object_set_int_member(o, "port", n->isa_port);
	json_object_set_int_member(o, "irq", n->isa_irq);
	json_object_set_int_member(o, "bootindex", n->bootindex);
	json_object_set_array_member(
		o, "forwards", forwards_to_json(n->forwards));
	return o;
}

static JsonArray *shares_to_json(const GPtrArray *shares, GArray *fds)
{
	JsonArray *a = json_array_new();

	for (guint i = 0; i < shares->len; i++) {
		const struct conf_share *s = g_ptr_array_index(shares, i);
		JsonObject *o = json_object_new();

		put_string(o, "tag", s->tag);
		put_file(o, "folder", &s->folder, fds);
		json_object_set_boolean_member(o, "readonly", s->readonly);
		json_object_set_int_member(o, "uid", s->uid);
		json_object_set_int_member(o, "gid", s->gid);
		json_array_add_object_element(a, o);
	}
	return a;
}

static void put_lists(JsonObject *o, const struct conf_machine *m, GArray *fds)
{
	JsonArray *drives = json_array_new(), *nics = json_array_new(),
		  *serial = json_array_new(), *boot = json_array_new(),
		  *usb = json_array_new();

	for (guint i = 0; i < m->drives->len; i++)
		json_array_add_object_element(drives,
			drive_to_json(g_ptr_array_index(m->drives, i), fds));
	for (guint i = 0; i < m->nics->len; i++)
		json_array_add_object_element(
			nics, nic_to_json(g_ptr_array_index(m->nics, i), fds));
	for (guint i = 0; i < m->serial->len; i++)
		json_array_add_object_element(serial,
			serial_to_json(g_ptr_array_index(m->serial, i), fds));
	for (unsigned i = 0; i < m->nboot; i++)
		json_array_add_string_element(
			boot, conf_boot_words.words[m->boot[i]]);
	json_object_set_array_member(o, "drives", drives);
	json_object_set_array_member(o, "nics", nics);
	json_object_set_array_member(o, "serial", serial);
	json_object_set_array_member(
		o, "shares", shares_to_json(m->shares, fds));
	json_object_set_array_member(o, "boot", boot);
	for (unsigned i = 0; i < m->nusb; i++)
		json_array_add_string_element(
			usb, conf_usb_words.words[m->usb[i]]);
	json_object_set_array_member(o, "usb", usb);
}

static void put_plugs(JsonObject *o, const struct conf_machine *m)
{
	JsonArray *a = json_array_new();

	for (guint i = 0; i < m->plugs->len; i++) {
		const struct conf_plug *p = g_ptr_array_index(m->plugs, i);
		JsonObject *j = json_object_new();

		put_string(j, "id", p->id);
		put_string(j, "at", p->at);
		json_array_add_object_element(a, j);
	}
	json_object_set_array_member(o, "plugs", a);
}

static void put_legacy(JsonObject *o, const struct conf_machine *m, GArray *fds)
{
	JsonArray *a = json_array_new();

	for (guint i = 0; i < m->parallel->len; i++)
		json_array_add_object_element(a,
			serial_to_json(g_ptr_array_index(m->parallel, i), fds));
	json_object_set_array_member(o, "parallel", a);
	json_object_set_boolean_member(o, "gameport", m->gameport);
	json_object_set_boolean_member(o, "balloon", m->balloon);
	json_object_set_boolean_member(o, "balloon_oom", m->balloon_oom);
	json_object_set_boolean_member(
		o, "balloon_reporting", m->balloon_reporting);
	json_object_set_int_member(
		o, "balloon_bytes", (gint64)m->balloon_bytes);
}

static void put_sound(JsonObject *o, const struct conf_machine *m, GArray *fds)
{
	JsonArray *cards = json_array_new();

	for (guint i = 0; i < m->sound->len; i++) {
		const struct conf_sound *s =
			&g_array_index(m->sound, struct conf_sound, i);
		JsonObject *c = json_object_new();

		put_word(c, "model", &conf_sound_words, (int)s->model);
		json_object_set_int_member(c, "port", s->port);
		json_object_set_int_member(c, "irq", s->irq);
		json_object_set_int_member(c, "dma", s->dma);
		json_object_set_int_member(c, "dma16", s->dma16);
		json_array_add_object_element(cards, c);
	}
	json_object_set_array_member(o, "sound", cards);
	put_word(o, "audio", &conf_audio_words, (int)m->audio);
	put_file(o, "audio_file", &m->audio_file, fds);
	put_word(o, "audio_source", &conf_audio_words, (int)m->audio_source);
	put_file(o, "audio_source_file", &m->audio_source_file, fds);
}

static void put_vsock(JsonObject *o, const struct conf_machine *m, GArray *fds)
{
	JsonObject *v = json_object_new();

	json_object_set_boolean_member(v, "stated", m->vsock.stated);
	json_object_set_int_member(v, "cid", m->vsock.cid);
	put_file(v, "socket", &m->vsock.socket, fds);
	json_object_set_object_member(o, "vsock", v);
}

static void put_boot(JsonObject *o, const struct conf_machine *m)
{
	json_object_set_int_member(o, "boot_menu_ms", m->boot_menu_ms);
	put_word(o, "watchdog", &conf_watchdog_words, (int)m->watchdog);
	put_word(o, "watchdog_action", &conf_watchdog_action_words,
		(int)m->watchdog_action);
}

static void put_cpu(JsonObject *o, const struct conf_machine *m)
{
	put_word(o, "engine", &conf_engine_words, (int)m->engine);
	put_word(o, "irqchip", &conf_irqchip_words, (int)m->irqchip);
	json_object_set_int_member(
		o, "code_cache_bytes", (gint64)m->code_cache_bytes);
	json_object_set_boolean_member(o, "change", m->change);
	put_word(o, "hypervisor", &conf_hypervisor_words, (int)m->hypervisor);
	put_string(o, "cpu_model", m->cpu_model);
	json_object_set_int_member(o, "sockets", m->sockets);
	json_object_set_int_member(o, "cores", m->cores);
	json_object_set_int_member(o, "threads", m->threads);
	json_object_set_int_member(o, "mem_bytes", (gint64)m->mem_bytes);
	json_object_set_int_member(
		o, "mem_max_bytes", (gint64)m->mem_max_bytes);
	json_object_set_int_member(o, "cpu_limit", m->cpu_limit);
}

JsonNode *conf_machine_to_json(const struct conf_machine *m, GArray *fds)
{
	JsonObject *o = json_object_new();
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	put_string(o, "name", m->name);
	put_cpu(o, m);
	put_word(o, "board", &conf_board_words, (int)m->board);
	json_object_set_boolean_member(o, "acpi", m->acpi);
	json_object_set_boolean_member(o, "ioapic", m->ioapic);
	json_object_set_boolean_member(o, "hpet", m->hpet);
	json_object_set_boolean_member(o, "genid", m->genid);
	put_string(o, "genid_value", m->genid_value);
	put_word(o, "rtc", &conf_rtc_words, (int)m->rtc);
	json_object_set_int_member(
		o, "rtc_offset_s", m->rtc_offset_s + RTC_OFFSET_BIAS);
	put_word(o, "firmware", &conf_firmware_words, (int)m->firmware);
	put_file(o, "firmware_file", &m->firmware_file, fds);
	put_file(o, "nvram", &m->nvram, fds);
	json_object_set_boolean_member(o, "nvram_keep", m->nvram_keep);
	put_file(o, "kernel", &m->kernel, fds);
	put_file(o, "initrd", &m->initrd, fds);
	put_string(o, "append", m->append);
	put_lists(o, m, fds);
	json_object_set_object_member(
		o, "console", serial_to_json(&m->console, fds));
	json_object_set_object_member(
		o, "smartcard", serial_to_json(&m->smartcard, fds));
	json_object_set_object_member(
		o, "debugcon", serial_to_json(&m->debugcon, fds));
	put_word(o, "display", &conf_display_words, (int)m->display);
	put_string(o, "display_addr", m->display_addr);
	put_string(o, "display_password", m->display_password);
	put_file(o, "screen", &m->screen, fds);
	put_word(o, "keyboard", &conf_keyboard_words, (int)m->keyboard);
	put_word(o, "pointer", &conf_pointer_words, (int)m->pointer);
	put_word(o, "vga", &conf_vga_words, (int)m->vga);
	json_object_set_int_member(o, "vram_bytes", (gint64)m->vram_bytes);
	put_file(o, "vga_rom", &m->vga_rom, fds);
	json_object_set_boolean_member(o, "display_tls", m->display_tls);
	put_file(o, "tls_cert", &m->tls_cert, fds);
	put_file(o, "tls_key", &m->tls_key, fds);
	put_sound(o, m, fds);
	put_legacy(o, m, fds);
	put_plugs(o, m);
	if (m->vsock.on)
		put_vsock(o, m, fds);
	put_file(o, "control", &m->control, fds);
	put_file(o, "gdb", &m->gdb, fds);
	put_file(o, "trace", &m->trace, fds);
	put_file(o, "state", &m->state, fds);
	put_file(o, "ram", &m->ram, fds);
	put_file(o, "ram_ready", &m->ram_ready, fds);
	json_object_set_boolean_member(o, "copy", m->copy);
	put_string(o, "model", m->model);
	json_object_set_boolean_member(o, "clock_stands", m->clock_stands);
	json_object_set_int_member(o, "trace_events", (gint64)m->trace_events);
	json_object_set_boolean_member(o, "trace_insns", m->trace_insns);
	json_object_set_boolean_member(o, "gdb_wait", m->gdb_wait);
	json_object_set_boolean_member(o, "paused", m->paused);
	json_object_set_boolean_member(o, "no_reboot", m->no_reboot);
	put_boot(o, m);
	json_object_set_int_member(o, "timeout_ms", (gint64)m->timeout_ms);
	json_object_set_boolean_member(o, "verbose", m->verbose);
	json_node_take_object(node, o);
	return node;
}

/* ---- reading ---- */

struct reader {
	int *fds;
	unsigned nfds;
	GError **err;
	bool failed;
};

static void reader_fail(struct reader *r, const char *key)
{
	if (!r->failed)
		conf_error_set(r->err, CONF_ERROR_FAILED,
			"a message between vmeste's processes is malformed",
			NULL, "bad value of '%s'", key);
	r->failed = true;
}

/* The member if it is there and has the type; a wrong type fails. */
static JsonNode *reader_member(struct reader *r, JsonObject *o, const char *key,
	JsonNodeType type, GType value)
{
	JsonNode *n = json_object_get_member(o, key);

	if (r->failed || !n)
		return NULL;
	if (json_node_get_node_type(n) != type ||
		(value && json_node_get_value_type(n) != value)) {
		reader_fail(r, key);
		return NULL;
	}
	return n;
}

static uint64_t get_int(struct reader *r, JsonObject *o, const char *key,
	uint64_t max, uint64_t dflt)
{
	JsonNode *n = reader_member(r, o, key, JSON_NODE_VALUE, G_TYPE_INT64);
	gint64 v;

	if (!n)
		return dflt;
	v = json_node_get_int(n);
	if (v < 0 || (uint64_t)v > max) {
		reader_fail(r, key);
		return dflt;
	}
	return (uint64_t)v;
}

static bool get_bool(
	struct reader *r, JsonObject *o, const char *key, bool dflt)
{
	JsonNode *n = reader_member(r, o, key, JSON_NODE_VALUE, G_TYPE_BOOLEAN);

	return n ? json_node_get_boolean(n) : dflt;
}

static const char *get_string(struct reader *r, JsonObject *o, const char *key)
{
	JsonNode *n = reader_member(r, o, key, JSON_NODE_VALUE, G_TYPE_STRING);

	return n ? json_node_get_string(n) : NULL;
}

static void take_string(
	struct reader *r, JsonObject *o, const char *key, char **out)
{
	const char *s = get_string(r, o, key);

	if (s) {
		g_free(*out);
		*out = g_strdup(s);
	}
}

static int get_word(struct reader *r, JsonObject *o, const char *key,
	const struct conf_word_list *list)
{
	const char *s = get_string(r, o, key);
	int word = 0;

	if (s && !conf_parse_word(s, list, &word, NULL))
		reader_fail(r, key);
	return word;
}

static JsonObject *get_object(struct reader *r, JsonObject *o, const char *key)
{
	JsonNode *n = reader_member(r, o, key, JSON_NODE_OBJECT, 0);

	return n ? json_node_get_object(n) : NULL;
}

static int get_fd(struct reader *r, JsonObject *o, const char *key)
{
	uint64_t i = get_int(r, o, key, UINT32_MAX, UINT64_MAX);
	int fd = -1;

	if (i == UINT64_MAX)
		return -1;
	if (i >= r->nfds || r->fds[i] < 0)
		reader_fail(r, key);
	else {
		fd = r->fds[i];
		r->fds[i] = -1;
	}
	return fd;
}

static void get_file(
	struct reader *r, JsonObject *o, const char *key, struct conf_file *f)
{
	JsonObject *j = get_object(r, o, key);

	if (!j)
		return;
	take_string(r, j, "path", &f->path);
	f->fd = get_fd(r, j, "fd");
}

/* Calls add for each object of the array. */
static void get_list(struct reader *r, JsonObject *o, const char *key,
	unsigned max,
	void (*add)(struct reader *r, JsonObject *o, void *opaque),
	void *opaque)
{
	JsonNode *n = reader_member(r, o, key, JSON_NODE_ARRAY, 0);
	JsonArray *a = n ? json_node_get_array(n) : NULL;

	if (a && json_array_get_length(a) > max)
		reader_fail(r, key);
	for (guint i = 0; a && !r->failed && i < json_array_get_length(a);
		i++) {
		JsonNode *e = json_array_get_element(a, i);

		if (JSON_NODE_HOLDS_OBJECT(e))
			add(r, json_node_get_object(e), opaque);
		else
			reader_fail(r, key);
	}
}

static void read_serial(struct reader *r, JsonObject *o, struct conf_serial *s)
{
	s->kind = (enum conf_serial_kind)get_word(
		r, o, "kind", &conf_serial_words);
	get_file(r, o, "file", &s->file);
	s->in_fd = get_fd(r, o, "in");
}

static void add_serial(struct reader *r, JsonObject *o, void *list)
{
	struct conf_serial *s = conf_serial_new();

	g_ptr_array_add(list, s);
	read_serial(r, o, s);
}

/* As conf_drive_name makes them, and of one drive only. */
static bool is_drive_name(const char *s, const GPtrArray *drives)
{
	unsigned same = 0;

	for (guint i = 0; i < drives->len; i++) {
		const struct conf_drive *d = g_ptr_array_index(drives, i);

		same += !g_strcmp0(s, d->name);
	}
	return same == 1 && g_regex_match_simple("^(disk|cd|floppy)[0-9]{1,4}$",
				    s, G_REGEX_DOLLAR_ENDONLY, 0);
}

static void add_drive(struct reader *r, JsonObject *o, void *list)
{
	struct conf_drive *d = conf_drive_new();

	g_ptr_array_add(list, d);
	d->media = (enum conf_media)get_word(r, o, "media", &conf_media_words);
	d->format =
		(enum conf_format)get_word(r, o, "format", &conf_format_words);
	d->bus = (enum conf_bus)get_word(r, o, "bus", &conf_bus_words);
	d->hba = (enum conf_hba)get_word(r, o, "hba", &conf_hba_words);
	d->slot = (int)get_int(r, o, "slot", 255, UINT64_MAX);
	d->readonly = get_bool(r, o, "readonly", false);
	d->snapshot = get_bool(r, o, "snapshot", false);
	take_string(r, o, "serial", &d->serial);
	take_string(r, o, "name", &d->name);
	if (d->name && !is_drive_name(d->name, list))
		reader_fail(r, "name");
	d->bootindex =
		(unsigned)get_int(r, o, "bootindex", CONF_MAX_BOOTINDEX, 0);
	get_file(r, o, "file", &d->file);
	get_file(r, o, "cow", &d->cow);
	get_file(r, o, "top", &d->top);
	take_string(r, o, "top_backing", &d->top_backing);
	get_file(r, o, "key", &d->key);
	d->iops = get_int(r, o, "iops", CONF_MAX_RATE, 0);
	d->bps = get_int(r, o, "bps", CONF_MAX_RATE, 0);
	d->burst_ms = get_int(r, o, "burst", CONF_MAX_BURST_MS, 0);
}

static void add_plug(struct reader *r, JsonObject *o, void *list)
{
	const char *id = get_string(r, o, "id"), *at = get_string(r, o, "at");

	if (id && at)
		g_ptr_array_add(list, conf_plug_new(id, at));
	else
		reader_fail(r, "plugs");
}

static void add_forward(struct reader *r, JsonObject *o, void *list)
{
	struct conf_forward f = {
		.udp = get_bool(r, o, "udp", false),
		.host_addr = (uint32_t)get_int(r, o, "addr", UINT32_MAX, 0),
		.host_port = (uint16_t)get_int(r, o, "host", 65535, 0),
		.guest_port = (uint16_t)get_int(r, o, "guest", 65535, 0),
	};

	g_array_append_val((GArray *)list, f);
}

static void read_mac(struct reader *r, JsonObject *o, struct conf_nic *n)
{
	const char *s = get_string(r, o, "mac");

	if (!s)
		return;
	n->has_mac = strlen(s) == 12;
	for (int i = 0; n->has_mac && i < 6; i++) {
		int hi = g_ascii_xdigit_value(s[2 * i]);
		int lo = g_ascii_xdigit_value(s[2 * i + 1]);

		n->has_mac = hi >= 0 && lo >= 0;
		n->mac[i] = (uint8_t)(hi << 4 | (lo & 15));
	}
	if (!n->has_mac)
		reader_fail(r, "mac");
}

static void add_nic(struct reader *r, JsonObject *o, void *list)
{
	struct conf_nic *n = conf_nic_new();

	g_ptr_array_add(list, n);
	n->model =
		(enum conf_nic_model)get_word(r, o, "model", &conf_nic_words);
	read_mac(r, o, n);
	get_file(r, o, "rom", &n->rom);
	take_string(r, o, "bootfile", &n->bootfile);
	get_file(r, o, "tftp", &n->tftp);
	n->queues = (unsigned)get_int(r, o, "queues", CONF_MAX_NIC_QUEUES, 1);
	n->isa_port = (unsigned)get_int(r, o, "port", 0x3e0, 0);
	n->isa_irq = (unsigned)get_int(r, o, "irq", 15, 0);
	n->bootindex =
		(unsigned)get_int(r, o, "bootindex", CONF_MAX_BOOTINDEX, 0);
	get_list(r, o, "forwards", 1024, add_forward, n->forwards);
}

static void add_share(struct reader *r, JsonObject *o, void *list)
{
	struct conf_share *s = conf_share_new();

	g_ptr_array_add(list, s);
	take_string(r, o, "tag", &s->tag);
	if (!s->tag || !conf_share_tag_ok(s->tag))
		reader_fail(r, "tag");
	get_file(r, o, "folder", &s->folder);
	if (!s->folder.path)
		reader_fail(r, "folder");
	s->readonly = get_bool(r, o, "readonly", false);
	s->uid = (unsigned)get_int(r, o, "uid", UINT32_MAX, 0);
	s->gid = (unsigned)get_int(r, o, "gid", UINT32_MAX, 0);
}

static void add_sound(struct reader *r, JsonObject *o, void *list)
{
	struct conf_sound s = {
		.model = (enum conf_sound_model)get_word(
			r, o, "model", &conf_sound_words),
		.port = (unsigned)get_int(r, o, "port", 0xffff, 0),
		.irq = (unsigned)get_int(r, o, "irq", 15, 0),
		.dma = (unsigned)get_int(r, o, "dma", 7, 0),
		.dma16 = (unsigned)get_int(r, o, "dma16", 7, 0),
	};

	if (!conf_sound_possible(&s))
		reader_fail(r, "sound");
	g_array_append_val((GArray *)list, s);
}

static void read_sound(struct reader *r, JsonObject *o, struct conf_machine *m)
{
	get_list(r, o, "sound", CONF_MAX_SOUND, add_sound, m->sound);
	m->audio = (enum conf_audio_kind)get_word(
		r, o, "audio", &conf_audio_words);
	get_file(r, o, "audio_file", &m->audio_file);
	m->audio_source = (enum conf_audio_kind)get_word(
		r, o, "audio_source", &conf_audio_words);
	get_file(r, o, "audio_source_file", &m->audio_source_file);
}

/* How many words of the list there are, at most max. */
static unsigned get_words(struct reader *r, JsonObject *o, const char *key,
	const struct conf_word_list *list, int *out, unsigned max)
{
	JsonNode *n = reader_member(r, o, key, JSON_NODE_ARRAY, 0);
	JsonArray *a = n ? json_node_get_array(n) : NULL;
	unsigned found = 0;

	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonNode *e = json_array_get_element(a, i);
		const char *s = JSON_NODE_HOLDS_VALUE(e)
					? json_node_get_string(e)
					: NULL;

		if (i >= max || !s ||
			!conf_parse_word(s, list, &out[i], NULL)) {
			reader_fail(r, key);
			return 0;
		}
		found++;
	}
	return found;
}

static void read_boot(struct reader *r, JsonObject *o, struct conf_machine *m)
{
	int word[CONF_NBOOT];

	m->nboot = get_words(r, o, "boot", &conf_boot_words, word, CONF_NBOOT);
	for (unsigned i = 0; i < m->nboot; i++)
		m->boot[i] = (enum conf_boot)word[i];
	m->boot_menu_ms = (unsigned)get_int(
		r, o, "boot_menu_ms", CONF_MAX_BOOT_MENU_MS, 0);
	m->watchdog = (enum conf_watchdog)get_word(
		r, o, "watchdog", &conf_watchdog_words);
	m->watchdog_action = (enum conf_watchdog_action)get_word(
		r, o, "watchdog_action", &conf_watchdog_action_words);
}

static void read_usb(struct reader *r, JsonObject *o, struct conf_machine *m)
{
	int word[CONF_MAX_USB];

	JsonObject *card = get_object(r, o, "smartcard");

	if (card)
		read_serial(r, card, &m->smartcard);
	m->keyboard = (enum conf_keyboard)get_word(
		r, o, "keyboard", &conf_keyboard_words);
	m->nusb = get_words(r, o, "usb", &conf_usb_words, word, CONF_MAX_USB);
	for (unsigned i = 0; i < m->nusb; i++)
		m->usb[i] = (enum conf_usb)word[i];
}

static void read_vsock(struct reader *r, JsonObject *o, struct conf_vsock *v)
{
	v->on = true;
	v->stated = get_bool(r, o, "stated", false);
	v->cid = (unsigned)get_int(
		r, o, "cid", CONF_VSOCK_CID_MAX, CONF_VSOCK_CID);
	if (v->cid < CONF_VSOCK_CID)
		reader_fail(r, "cid");
	get_file(r, o, "socket", &v->socket);
}

static void read_cpu(struct reader *r, JsonObject *o, struct conf_machine *m)
{
	m->engine =
		(enum conf_engine)get_word(r, o, "engine", &conf_engine_words);
	m->irqchip = (enum conf_irqchip)get_word(
		r, o, "irqchip", &conf_irqchip_words);
	m->code_cache_bytes = get_int(r, o, "code_cache_bytes", 1ull << 40, 0);
	m->change = get_bool(r, o, "change", false);
	m->hypervisor = (enum conf_hypervisor)get_word(
		r, o, "hypervisor", &conf_hypervisor_words);
	take_string(r, o, "cpu_model", &m->cpu_model);
	m->sockets = (unsigned)get_int(r, o, "sockets", CONF_MAX_CPUS, 1);
	m->cores = (unsigned)get_int(r, o, "cores", CONF_MAX_CPUS, 1);
	m->threads = (unsigned)get_int(r, o, "threads", CONF_MAX_CPUS, 1);
	if (!conf_machine_ncpus(m) || conf_machine_ncpus(m) > CONF_MAX_CPUS)
		reader_fail(r, "cores");
	m->mem_bytes = get_int(r, o, "mem_bytes", 1ull << 40, m->mem_bytes);
	m->cpu_limit = (unsigned)get_int(r, o, "cpu_limit", CONF_LIMIT_FULL, 0);
	if (m->mem_bytes < 1 << 20 || m->mem_bytes & 0xfffff)
		reader_fail(r, "mem_bytes");
	m->mem_max_bytes = get_int(r, o, "mem_max_bytes", 1ull << 40, 0);
	if (m->mem_max_bytes &&
		(m->mem_max_bytes < m->mem_bytes ||
			(m->mem_max_bytes | m->mem_bytes) % CONF_MEM_BLOCK))
		reader_fail(r, "mem_max_bytes");
}

static void read_hardware(
	struct reader *r, JsonObject *o, struct conf_machine *m)
{
	JsonObject *j;

	m->board = (enum conf_board)get_word(r, o, "board", &conf_board_words);
	m->acpi = get_bool(r, o, "acpi", true);
	m->ioapic = get_bool(r, o, "ioapic", true);
	m->hpet = get_bool(r, o, "hpet", true);
	/* Machines that were saved before there was one lack it. */
	m->genid = get_bool(r, o, "genid", false);
	take_string(r, o, "genid_value", &m->genid_value);
	if (m->genid_value && !g_uuid_string_is_valid(m->genid_value))
		reader_fail(r, "genid_value");
	m->rtc = (enum conf_rtc)get_word(r, o, "rtc", &conf_rtc_words);
	m->rtc_offset_s = (int)get_int(r, o, "rtc_offset_s",
				  2 * RTC_OFFSET_BIAS, RTC_OFFSET_BIAS) -
			  RTC_OFFSET_BIAS;
	m->firmware = (enum conf_firmware)get_word(
		r, o, "firmware", &conf_firmware_words);
	get_file(r, o, "firmware_file", &m->firmware_file);
	get_file(r, o, "nvram", &m->nvram);
	m->nvram_keep = get_bool(r, o, "nvram_keep", false);
	get_file(r, o, "kernel", &m->kernel);
	get_file(r, o, "initrd", &m->initrd);
	take_string(r, o, "append", &m->append);
	get_list(r, o, "drives", CONF_MAX_DRIVES, add_drive, m->drives);
	get_list(r, o, "nics", CONF_MAX_NICS, add_nic, m->nics);
	get_list(r, o, "shares", CONF_MAX_SHARES, add_share, m->shares);
	get_list(r, o, "serial", CONF_MAX_SERIAL, add_serial, m->serial);
	j = get_object(r, o, "console");
	if (j)
		read_serial(r, j, &m->console);
	j = get_object(r, o, "debugcon");
	if (j)
		read_serial(r, j, &m->debugcon);
	m->display = (enum conf_display)get_word(
		r, o, "display", &conf_display_words);
	take_string(r, o, "display_addr", &m->display_addr);
	take_string(r, o, "display_password", &m->display_password);
	get_file(r, o, "screen", &m->screen);
	m->pointer = (enum conf_pointer)get_word(
		r, o, "pointer", &conf_pointer_words);
	m->vga = (enum conf_vga)get_word(r, o, "vga", &conf_vga_words);
	m->vram_bytes = get_int(r, o, "vram_bytes", 256 << 20, m->vram_bytes);
	if (m->vram_bytes < 1 << 20 || m->vram_bytes & (m->vram_bytes - 1))
		reader_fail(r, "vram_bytes");
	get_file(r, o, "vga_rom", &m->vga_rom);
	m->display_tls = get_bool(r, o, "display_tls", false);
	get_file(r, o, "tls_cert", &m->tls_cert);
	get_file(r, o, "tls_key", &m->tls_key);
	read_sound(r, o, m);
	get_list(r, o, "parallel", CONF_MAX_LPT, add_serial, m->parallel);
	get_list(r, o, "plugs", CONF_MAX_PLUGS, add_plug, m->plugs);
	m->gameport = get_bool(r, o, "gameport", false);
	/* Machines that were saved before there was one lack it. */
	m->balloon = get_bool(r, o, "balloon", false);
	m->balloon_oom = get_bool(r, o, "balloon_oom", true);
	m->balloon_reporting = get_bool(r, o, "balloon_reporting", true);
	m->balloon_bytes = get_int(r, o, "balloon_bytes", 1ull << 40, 0);
	read_boot(r, o, m);
	read_usb(r, o, m);
	j = get_object(r, o, "vsock");
	if (j)
		read_vsock(r, j, &m->vsock);
}

struct conf_machine *conf_machine_from_json(
	JsonNode *node, int *fds, unsigned nfds, GError **err)
{
	struct reader r = {.fds = fds, .nfds = nfds, .err = err};
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	JsonObject *o;

	if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
		reader_fail(&r, "machine");
		return NULL;
	}
	o = json_node_get_object(node);
	take_string(&r, o, "name", &m->name);
	read_cpu(&r, o, m);
	read_hardware(&r, o, m);
	get_file(&r, o, "control", &m->control);
	get_file(&r, o, "gdb", &m->gdb);
	get_file(&r, o, "trace", &m->trace);
	get_file(&r, o, "state", &m->state);
	get_file(&r, o, "ram", &m->ram);
	get_file(&r, o, "ram_ready", &m->ram_ready);
	m->copy = get_bool(&r, o, "copy", false);
	take_string(&r, o, "model", &m->model);
	m->clock_stands = get_bool(&r, o, "clock_stands", false);
	m->trace_events = get_int(&r, o, "trace_events", 1 << 20, 0);
	m->trace_insns = get_bool(&r, o, "trace_insns", false);
	m->gdb_wait = get_bool(&r, o, "gdb_wait", false);
	m->paused = get_bool(&r, o, "paused", false);
	m->no_reboot = get_bool(&r, o, "no_reboot", false);
	m->timeout_ms = get_int(&r, o, "timeout_ms", INT64_MAX, 0);
	m->verbose = get_bool(&r, o, "verbose", false);
	return r.failed ? NULL : g_steal_pointer(&m);
}
