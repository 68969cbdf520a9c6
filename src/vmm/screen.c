/*
 * screen.c - the machine's screen: what draws it, what takes input, keys that
 * are typed for the user.
 *
 * Strokes wait until the guest has read the one before, and a moment longer:
 * a BIOS keeps only fifteen.
 */
#include <string.h>
#include <unistd.h>

#include "conf/error.h"
#include "dev/input/i8042.h"
#include "dev/usb/hid.h"
#include "dev/video/vga.h"
#include "dev/virtio/devices.h"
#include "display/rfb.h"
#include "vmm/priv.h"

#define MAX_STROKES 65536u
#define PEM_MAX	    65536
#define MAX_CHORD   6 /* keys held together */
#define RETRY_NS    2000000u

/* Keys pressed one after the other, then released in turn. */
struct stroke {
	uint16_t code[MAX_CHORD];
	uint8_t n;
};

struct screen {
	struct machine *m;
	struct bus_timer timer;
	struct display_input tablet; /* virtio's, or nothing */
	GArray *strokes;	     /* bus lock */
	guint next;
	uint64_t delay_ns;
	struct rfb *rfb; /* or NULL */
	/* Who reads the screen; the loop's thread. */
	uint8_t *uefi_font; /* once it was found */
	gint64 look_us;	    /* for it not before then */
};

/* ---- input devices ---- */

/* The keyboard that a driver runs; PS/2 as a rule.  Lock held. */
static void press(struct machine *m, unsigned code, bool down)
{
	struct board *b = &m->board;

	if (b->keyboard && virtio_keyboard_key(b->keyboard, code, down))
		return;
	if (!b->usb_kbd || !usb_kbd_key(b->usb_kbd, code, down))
		i8042_key(b->kbd, code, down);
}

static bool keys_idle(const struct board *b)
{
	return i8042_keys_idle(b->kbd) &&
	       (!b->keyboard || virtio_keyboard_idle(b->keyboard)) &&
	       (!b->usb_kbd || usb_kbd_idle(b->usb_kbd));
}

static void input_key(void *opaque, unsigned code, bool down)
{
	struct machine *m = opaque;

	bus_lock(m->bus);
	press(m, code, down);
	bus_unlock(m->bus);
}

static void input_move(
	void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	struct machine *m = opaque;

	bus_lock(m->bus);
	if (!m->board.usb_mouse ||
		!usb_mouse_move(m->board.usb_mouse, dx, dy, wheel, buttons))
		i8042_mouse(m->board.kbd, dx, dy, wheel, buttons);
	bus_unlock(m->bus);
}

/* USB devices come and go: who is there is looked up under the lock. */
static bool input_point(
	void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct machine *m = opaque;
	struct display_input *v = &m->screen->tablet, in = {0};
	bool seen;

	bus_lock(m->bus);
	if (m->board.usb_tablet)
		usb_tablet_input(m->board.usb_tablet, &in);
	seen = in.point && in.point(in.opaque, x, y, wheel, buttons);
	bus_unlock(m->bus);
	return seen || (v->point && v->point(v->opaque, x, y, wheel, buttons));
}

/* ---- typing ---- */

static void screen_strike(struct machine *m, const struct stroke *s)
{
	for (unsigned i = 0; i < s->n; i++)
		press(m, s->code[i], true);
	for (unsigned i = s->n; i-- > 0;)
		press(m, s->code[i], false);
}

static void screen_fire(void *opaque)
{
	struct screen *s = opaque;
	uint64_t now = bus_clock_ns(s->m->bus);

	if (!keys_idle(&s->m->board)) {
		bus_timer_arm(&s->timer, now + RETRY_NS);
		return;
	}
	if (s->next < s->strokes->len) {
		screen_strike(s->m,
			&g_array_index(s->strokes, struct stroke, s->next++));
		bus_timer_arm(&s->timer, now + s->delay_ns);
		return;
	}
	g_array_set_size(s->strokes, 0);
	s->next = 0;
}

unsigned screen_typing(const struct machine *m)
{
	unsigned n;

	bus_lock(m->bus);
	n = m->screen->strokes->len - m->screen->next;
	/* The last one still has to be read. */
	n += !n && m->screen->timer.slot;
	bus_unlock(m->bus);
	return n;
}

static int screen_queue(
	struct machine *m, const GArray *add, uint64_t delay_ms, GError **err)
{
	struct screen *s = m->screen;
	unsigned n = 0;

	bus_lock(m->bus);
	if (s->strokes->len + add->len <= MAX_STROKES) {
		g_array_append_vals(s->strokes, add->data, add->len);
		s->delay_ns = MAX(delay_ms, 1) * 1000000;
		if (!s->timer.slot)
			bus_timer_arm(&s->timer, bus_clock_ns(m->bus));
		n = s->strokes->len - s->next;
	}
	bus_unlock(m->bus);
	if (n || !add->len)
		return (int)n;
	conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
		"wait until the machine has taken what was typed",
		"too many keys wait");
	return -1;
}

int screen_type(
	struct machine *m, const char *text, uint64_t delay_ms, GError **err)
{
	g_autoptr(GArray) add = g_array_new(FALSE, TRUE, sizeof(struct stroke));
	g_autofree gunichar *c = g_utf8_to_ucs4_fast(text, -1, NULL);

	for (unsigned i = 0; c[i]; i++) {
		struct stroke s = {0};
		bool shift;
		int code = display_key_by_char(c[i], &shift);

		if (code < 0) {
			conf_error_set(err, CONF_ERROR_USAGE,
				"keys are pressed as on a US keyboard", NULL,
				"no key gives U+%04X", c[i]);
			return -1;
		}
		if (shift)
			s.code[s.n++] = (uint16_t)display_key_by_name("shift");
		s.code[s.n++] = (uint16_t)code;
		g_array_append_val(add, s);
	}
	return screen_queue(m, add, delay_ms, err);
}

/* "ctrl-alt-del"; the key "-" is called minus. */
static bool parse_chord(const char *word, struct stroke *s, GError **err)
{
	g_auto(GStrv) names = g_strsplit(word, "-", MAX_CHORD + 1);

	for (unsigned i = 0; names[i]; i++) {
		int code = display_key_by_name(names[i]);

		if (code < 0 || s->n == MAX_CHORD) {
			conf_error_set(err, CONF_ERROR_USAGE, NULL,
				"write for example ret, f2, ctrl-alt-del; "
				"vmeste help key lists the names",
				code < 0 ? "there is no key '%s'"
					 : "too many keys at once at '%s'",
				names[i]);
			return false;
		}
		s->code[s->n++] = (uint16_t)code;
	}
	return true;
}

int screen_keys(
	struct machine *m, const char *keys, uint64_t delay_ms, GError **err)
{
	g_autoptr(GArray) add = g_array_new(FALSE, TRUE, sizeof(struct stroke));
	g_auto(GStrv) words = g_strsplit(keys, " ", 1024);

	for (unsigned i = 0; words[i]; i++) {
		struct stroke s = {0};

		if (!*words[i])
			continue;
		if (!parse_chord(words[i], &s, err))
			return -1;
		g_array_append_val(add, s);
	}
	return screen_queue(m, add, delay_ms, err);
}

/* ---- reading ---- */

/* All of a large memory takes a while: not more than a tenth of the time. */
static const uint8_t *screen_uefi_font(void *opaque)
{
	struct machine *m = opaque;
	struct screen *s = m->screen;
	const struct bus_ram *ram = bus_ram(m->bus);
	gint64 start = g_get_monotonic_time();

	if (s->uefi_font || start < s->look_us)
		return s->uefi_font;
	s->uefi_font = g_malloc(256 * DISPLAY_UEFI_ROWS);
	if (!display_uefi_font(ram->host, ram->low, s->uefi_font))
		g_clear_pointer(&s->uefi_font, g_free);
	s->look_us = start + 10 * (g_get_monotonic_time() - start);
	return s->uefi_font;
}

/* ---- life ---- */

bool screen_prepare(struct machine *m, GError **err)
{
	g_autofree char *why = NULL;

	if (m->conf->screen.fd < 0)
		return true;
	m->rfb = rfb_load(&why);
	return m->rfb ||
	       fw_error(err, why, "install libvncserver1, or vmeste whole",
		       "there are no remote screens here");
}

/* A text of PEM; NULL: it cannot be read. */
static char *screen_pem(const struct conf_file *f)
{
	g_autofree char *text = g_malloc0(PEM_MAX + 1);
	ssize_t n = f->fd < 0 ? -1 : pread(f->fd, text, PEM_MAX, 0);

	return n > 0 ? g_steal_pointer(&text) : NULL;
}

static bool screen_serve(
	struct machine *m, struct display *d, struct screen *s, GError **err)
{
	const struct conf_machine *c = m->conf;
	bool given = c->display_tls && c->tls_cert.path;
	g_autofree char *cert = given ? screen_pem(&c->tls_cert) : NULL;
	g_autofree char *key = given ? screen_pem(&c->tls_key) : NULL;
	g_autofree char *why = NULL;
	struct rfb_conf conf = {.listen_fd = c->screen.fd,
		.name = c->name,
		.password = c->display_password,
		.tls = c->display_tls,
		.tls_cert = cert,
		.tls_key = key};

	if (given && (!cert || !key))
		return fw_error(err, "a file is empty or cannot be read",
			"name files of PEM", "no certificate for TLS");
	s->rfb = m->rfb->new (d, &conf, &why);
	if (!s->rfb)
		return fw_error(err, why,
			"give a certificate and its own key, both of PEM",
			"cannot serve remote screens by TLS");
	if (m->rfb->fingerprint(s->rfb))
		machine_note(m, "screen: certificate sha256:%s",
			m->rfb->fingerprint(s->rfb));
	return true;
}

bool screen_init(struct machine *m, GError **err)
{
	struct screen *s = m->screen = g_new0(struct screen, 1);
	struct display *d = &m->display;

	s->m = m;
	s->strokes = g_array_new(FALSE, TRUE, sizeof(struct stroke));
	bus_timer_init(&s->timer, m->bus, screen_fire, s);
	d->keyboard = (struct display_input){.key = input_key, .opaque = m};
	d->mouse = (struct display_input){.move = input_move, .opaque = m};
	if (m->board.tablet)
		virtio_tablet_input(m->board.tablet, &s->tablet);
	d->tablet = (struct display_input){.point = input_point, .opaque = m};
	if (!m->board.vga)
		return true;
	vga_source(m->board.vga, &d->source);
	d->font = m->board.vga_font;
	if (m->conf->firmware == CONF_FIRMWARE_UEFI) {
		d->uefi_font = screen_uefi_font;
		d->uefi_opaque = m;
	}
	/* Its two engines read and write memory one after the other. */
	if (m->conf->engine == CONF_ENGINE_LOCKSTEP) {
		bus_lock(m->bus);
		vga_set_direct(m->board.vga, false);
		bus_unlock(m->bus);
	}
	return !m->rfb || screen_serve(m, d, s, err);
}

void screen_start(struct machine *m)
{
	if (m->screen->rfb)
		m->rfb->start(m->screen->rfb);
}

void screen_fini(struct machine *m)
{
	struct screen *s = m->screen;

	if (!s)
		return;
	if (s->rfb)
		m->rfb->free(s->rfb);
	bus_lock(m->bus);
	bus_timer_cancel(&s->timer);
	bus_unlock(m->bus);
	g_array_unref(s->strokes);
	g_free(s->uefi_font);
	g_free(s);
	m->screen = NULL;
}
