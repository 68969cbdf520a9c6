/*
 * ps2.c - PS/2 keyboard and mouse.
 *
 * IBM PS/2 Hardware Interface Technical Reference (keyboards, 101/102-key:
 * commands, scan code sets 1, 2 and 3; mouse: commands, data packet);
 * Microsoft, "IntelliMouse" and "IntelliMouse Explorer" packets (rates 200 100
 * 80 and 200 200 80).
 *
 * Key presses and movement find only part of a queue, the rest is kept for
 * answers to commands, which therefore never get lost behind them.
 */
#include <string.h>

#include "dev/input/i8042.h"
#include "dev/input/ps2.h"
#include "dev/state.h"

#define PS2_ACK	   0xfa
#define PS2_RESEND 0xfe
#define PS2_BAT_OK 0xaa

/* Set 1 make codes 0x00..0x7f -> set 2; 0 = no such key. */
static const uint8_t ps2_set2[128] = {
	0x00,
	0x76,
	0x16,
	0x1e,
	0x26,
	0x25,
	0x2e,
	0x36,
	0x3d,
	0x3e,
	0x46,
	0x45,
	0x4e,
	0x55,
	0x66,
	0x0d,
	0x15,
	0x1d,
	0x24,
	0x2d,
	0x2c,
	0x35,
	0x3c,
	0x43,
	0x44,
	0x4d,
	0x54,
	0x5b,
	0x5a,
	0x14,
	0x1c,
	0x1b,
	0x23,
	0x2b,
	0x34,
	0x33,
	0x3b,
	0x42,
	0x4b,
	0x4c,
	0x52,
	0x0e,
	0x12,
	0x5d,
	0x1a,
	0x22,
	0x21,
	0x2a,
	0x32,
	0x31,
	0x3a,
	0x41,
	0x49,
	0x4a,
	0x59,
	0x7c,
	0x11,
	0x29,
	0x58,
	0x05,
	0x06,
	0x04,
	0x0c,
	0x03,
	0x0b,
	0x83,
	0x0a,
	0x01,
	0x09,
	0x77,
	0x7e,
	0x6c,
	0x75,
	0x7d,
	0x7b,
	0x6b,
	0x73,
	0x74,
	0x79,
	0x69,
	0x72,
	0x7a,
	0x70,
	0x71,
	0x84,
	0x60,
	0x61,
	0x78,
	0x07,
	0x0f,
	0x17,
	0x1f,
	0x27,
	0x2f,
	0x37,
	0x3f,
	0x47,
	0x4f,
	0x56,
	0x5e,
	0x08,
	0x10,
	0x18,
	0x20,
	0x28,
	0x30,
	0x38,
	0x40,
	0x48,
	0x50,
	0x57,
	0x6f,
	0x13,
	0x19,
	0x39,
	0x51,
	0x53,
	0x5c,
	0x5f,
	0x62,
	0x63,
	0x64,
	0x65,
	0x67,
	0x68,
	0x6a,
	0x6d,
	0x6e,
};

/* Set 1 make codes 0x00..0x5f -> set 3, and those behind E0. */
static const uint8_t ps2_set3[0x60] = {0x00, 0x08, 0x16, 0x1e, 0x26, 0x25, 0x2e,
	0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d, 0x15, 0x1d, 0x24,
	0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x11, 0x1c,
	0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12,
	0x5c, 0x1a, 0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59,
	0x7e, 0x19, 0x29, 0x14, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
	0x47, 0x4f, 0x76, 0x5f, 0x6c, 0x75, 0x7d, 0x84, 0x6b, 0x73, 0x74, 0x7c,
	0x69, 0x72, 0x7a, 0x70, 0x71, 0x57, 0x00, 0x13, 0x56, 0x5e, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00};
static const uint8_t ps2_set3_e0[][2] = {{0x1c, 0x79}, {0x1d, 0x58},
	{0x35, 0x77}, {0x37, 0x57}, {0x38, 0x39}, {0x47, 0x6e}, {0x48, 0x63},
	{0x49, 0x6f}, {0x4b, 0x61}, {0x4d, 0x6a}, {0x4f, 0x65}, {0x50, 0x60},
	{0x51, 0x6d}, {0x52, 0x67}, {0x53, 0x64}, {0x5b, 0x8b}, {0x5c, 0x8c},
	{0x5d, 0x8d}};

#define PS2_SET3_PAUSE 0x62

static uint8_t ps2_set3_code(unsigned code)
{
	if (code == I8042_KEY_PAUSE)
		return PS2_SET3_PAUSE;
	if (code < sizeof(ps2_set3))
		return ps2_set3[code];
	for (unsigned i = 0; i < sizeof(ps2_set3_e0) / 2; i++)
		if ((code & 0x80) && ps2_set3_e0[i][0] == (code & 0x7f))
			return ps2_set3_e0[i][1];
	return 0;
}

/* ---- queues ---- */

static bool ps2_queue_put(struct ps2_queue *q, uint8_t byte, unsigned limit)
{
	if (q->n >= limit)
		return false;
	q->byte[(q->first + q->n++) % PS2_QUEUE] = byte;
	return true;
}

int ps2_queue_take(struct ps2_queue *q)
{
	uint8_t byte;

	if (!q->n)
		return -1;
	byte = q->byte[q->first];
	q->first = (q->first + 1) % PS2_QUEUE;
	q->n--;
	return byte;
}

static void ps2_answer(struct ps2_queue *q, uint8_t byte)
{
	ps2_queue_put(q, byte, PS2_QUEUE);
}

static unsigned ps2_room(const struct ps2_queue *q)
{
	unsigned limit = PS2_QUEUE - PS2_ANSWERS;

	return q->n < limit ? limit - q->n : 0;
}

/* ---- keyboard ---- */

/* Set 3: which keys tell that they are released. */
static void ps2_set_breaks(struct ps2_kbd *k, bool all)
{
	memset(k->breaks, all ? 0xff : 0, sizeof(k->breaks));
}

static void ps2_set_break(struct ps2_kbd *k, uint8_t code, bool on)
{
	if (on)
		k->breaks[code / 8] |= 1u << code % 8;
	else
		k->breaks[code / 8] &= ~(1u << code % 8);
}

static void ps2_kbd_defaults(struct ps2_kbd *k)
{
	/* Ctrl, Shift, Caps Lock, Alt, Shift */
	static const uint8_t held[] = {0x11, 0x12, 0x14, 0x19, 0x59};

	ps2_set_breaks(k, false);
	for (unsigned i = 0; i < sizeof(held); i++)
		ps2_set_break(k, held[i], true);
	k->scanning = true;
	k->rate = 0x2b;
	k->set = 2;
	k->leds = 0;
	k->command = 0;
}

void ps2_kbd_reset(struct ps2_kbd *k)
{
	memset(k, 0, sizeof(*k));
	ps2_kbd_defaults(k);
}

static void ps2_kbd_argument(struct ps2_kbd *k, uint8_t val)
{
	uint8_t command = k->command;

	/* Keys of one type, until another command comes. */
	if (command >= 0xfb) {
		ps2_set_break(k, val, command == 0xfc);
		ps2_answer(&k->out, PS2_ACK);
		return;
	}
	k->command = 0;
	ps2_answer(&k->out, PS2_ACK);
	switch (command) {
	case 0xed: k->leds = val & 7; break;
	case 0xf3: k->rate = val & 0x7f; break;
	case 0xf0:
		if (val == 0)
			ps2_answer(&k->out, k->set);
		else if (val <= 3)
			k->set = val;
		break;
	}
}

static void ps2_kbd_command(struct ps2_kbd *k, uint8_t val)
{
	switch (val) {
	case 0xed: /* LEDs, scan code set, typematic rate: argument follows */
	case 0xf0:
	case 0xf3: k->command = val; break;
	case 0xee: ps2_answer(&k->out, 0xee); return; /* echo */
	case 0xf2:
		ps2_answer(&k->out, PS2_ACK);
		ps2_answer(&k->out, 0xab);
		ps2_answer(&k->out, 0x83);
		return;
	case 0xf4:
		k->out.n = 0;
		k->scanning = true;
		break;
	case 0xf5:
		ps2_kbd_defaults(k);
		k->out.n = 0;
		k->scanning = false;
		break;
	case 0xf6: ps2_kbd_defaults(k); break;
	case 0xf7:				     /* all keys: typematic */
	case 0xf9: ps2_set_breaks(k, false); break;  /* make */
	case 0xf8:				     /* make and break */
	case 0xfa: ps2_set_breaks(k, true); break;   /* and typematic */
	case 0xfb ... 0xfd: k->command = val; break; /* those that follow */
	case 0xfe: ps2_answer(&k->out, k->last); return;
	case 0xff:
		ps2_kbd_reset(k);
		ps2_answer(&k->out, PS2_ACK);
		ps2_answer(&k->out, PS2_BAT_OK);
		return;
	default: ps2_answer(&k->out, PS2_RESEND); return;
	}
	ps2_answer(&k->out, PS2_ACK);
}

void ps2_kbd_write(struct ps2_kbd *k, uint8_t val)
{
	if (k->command && val < 0x80)
		ps2_kbd_argument(k, val);
	else if (k->command && k->command != 0xed && val < 0xed)
		ps2_kbd_argument(k, val);
	else {
		k->command = 0;
		ps2_kbd_command(k, val);
	}
}

static void ps2_kbd_pause(struct ps2_kbd *k)
{
	static const uint8_t set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const uint8_t set2[] = {
		0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
	const uint8_t *seq = k->set == 1 ? set1 : set2;
	unsigned n = k->set == 1 ? sizeof(set1) : sizeof(set2);

	if (ps2_room(&k->out) < n)
		return;
	for (unsigned i = 0; i < n; i++)
		ps2_answer(&k->out, seq[i]);
}

static void ps2_kbd_key3(struct ps2_kbd *k, uint8_t code, bool down)
{
	bool breaks = k->breaks[code / 8] >> code % 8 & 1;

	if (!code || (!down && !breaks) || ps2_room(&k->out) < 2)
		return;
	if (!down)
		ps2_answer(&k->out, 0xf0);
	ps2_answer(&k->out, code);
}

void ps2_kbd_key(struct ps2_kbd *k, unsigned code, bool down)
{
	uint8_t seq[3];
	unsigned n = 0;

	if (!k->scanning)
		return;
	if (k->set == 3) {
		ps2_kbd_key3(k, ps2_set3_code(code), down);
		return;
	}
	if (code == I8042_KEY_PAUSE) {
		if (down)
			ps2_kbd_pause(k);
		return;
	}
	if (code > 0xff || !ps2_set2[code & 0x7f])
		return;
	if (code & 0x80)
		seq[n++] = 0xe0;
	if (k->set == 1) {
		seq[n++] = (code & 0x7f) | (down ? 0 : 0x80);
	} else {
		if (!down)
			seq[n++] = 0xf0;
		seq[n++] = ps2_set2[code & 0x7f];
	}
	/* A whole sequence or nothing. */
	if (ps2_room(&k->out) < n)
		return;
	for (unsigned i = 0; i < n; i++)
		ps2_answer(&k->out, seq[i]);
}

int ps2_translate(uint8_t byte, bool *release)
{
	uint8_t up = *release ? 0x80 : 0;

	if (byte == 0xf0) {
		*release = true;
		return -1;
	}
	*release = false;
	if (byte == 0x83)
		return 0x41 | up;
	if (byte == 0x84)
		return 0x54 | up;
	for (unsigned i = 1; byte < 0x80 && i < 128; i++)
		if (ps2_set2[i] == byte)
			return i | up;
	return byte;
}

/* ---- mouse ---- */

static void ps2_mouse_defaults(struct ps2_mouse *m)
{
	m->rate = 100;
	m->resolution = 2;
	m->scaling = 1;
	m->reporting = m->remote = false;
	m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	memset(m, 0, sizeof(*m));
	ps2_mouse_defaults(m);
}

static int ps2_clamp(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

static void ps2_mouse_packet(struct ps2_mouse *m)
{
	int dx = ps2_clamp(m->dx, -255, 255), dy = ps2_clamp(m->dy, -255, 255);
	int dz = ps2_clamp(
		m->dz, m->type == 4 ? -8 : -128, m->type == 4 ? 7 : 127);

	ps2_answer(&m->out, 0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) |
				    (dy < 0 ? 0x20 : 0));
	ps2_answer(&m->out, dx);
	ps2_answer(&m->out, dy);
	if (m->type == 3)
		ps2_answer(&m->out, dz);
	else if (m->type == 4)
		ps2_answer(&m->out, (dz & 15) | (m->buttons & 0x18) << 1);
	m->dx -= dx;
	m->dy -= dy;
	m->dz -= dz;
}

void ps2_mouse_report(struct ps2_mouse *m)
{
	if (!m->reporting || m->remote || m->wrap || m->command)
		return;
	while ((m->dx || m->dy || (m->dz && m->type)) && ps2_room(&m->out) >= 4)
		ps2_mouse_packet(m);
}

void ps2_mouse_move(
	struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
	bool pressed = m->buttons != (buttons & 0x1f);

	m->dx = ps2_clamp(m->dx + ps2_clamp(dx, -4096, 4096), -4096, 4096);
	m->dy = ps2_clamp(m->dy - ps2_clamp(dy, -4096, 4096), -4096, 4096);
	m->dz = ps2_clamp(m->dz - ps2_clamp(dz, -256, 256), -256, 256);
	m->buttons = buttons & 0x1f;
	if (pressed && m->reporting && !m->remote && !m->wrap && !m->command &&
		ps2_room(&m->out) >= 4)
		ps2_mouse_packet(m);
	ps2_mouse_report(m);
}

static void ps2_mouse_knock(struct ps2_mouse *m, uint8_t rate)
{
	m->knock[0] = m->knock[1];
	m->knock[1] = m->knock[2];
	m->knock[2] = m->rate = rate;
	if (m->knock[0] == 200 && m->knock[1] == 100 && m->knock[2] == 80)
		m->type = 3;
	else if (m->knock[0] == 200 && m->knock[1] == 200 &&
		 m->knock[2] == 80 && m->type)
		m->type = 4;
}

static void ps2_mouse_status(struct ps2_mouse *m)
{
	uint8_t b = m->buttons;

	ps2_answer(&m->out,
		(b & 1 ? 4 : 0) | (b & 4 ? 2 : 0) | (b & 2 ? 1 : 0) |
			(m->scaling == 2 ? 0x10 : 0) |
			(m->reporting ? 0x20 : 0) | (m->remote ? 0x40 : 0));
	ps2_answer(&m->out, m->resolution);
	ps2_answer(&m->out, m->rate);
}

static void ps2_mouse_command(struct ps2_mouse *m, uint8_t val)
{
	ps2_answer(&m->out, val == 0xfe ? m->last : PS2_ACK);
	switch (val) {
	case 0xe6: m->scaling = 1; break;
	case 0xe7: m->scaling = 2; break;
	case 0xe8: /* resolution, rate: argument follows */
	case 0xf3: m->command = val; break;
	case 0xe9: ps2_mouse_status(m); break;
	case 0xea: m->remote = false; break;
	case 0xeb: ps2_mouse_packet(m); break;
	case 0xec: m->wrap = false; break;
	case 0xee: m->wrap = true; break;
	case 0xf0: m->remote = true; break;
	case 0xf2: ps2_answer(&m->out, m->type); break;
	case 0xf4: m->reporting = true; break;
	case 0xf5: m->reporting = false; break;
	case 0xf6: ps2_mouse_defaults(m); break;
	case 0xfe: break;
	case 0xff:
		ps2_mouse_reset(m);
		ps2_answer(&m->out, PS2_ACK);
		ps2_answer(&m->out, PS2_BAT_OK);
		ps2_answer(&m->out, 0);
		break;
	default:
		/* replace the acknowledgement */
		m->out.n--;
		ps2_answer(&m->out, PS2_RESEND);
	}
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t val)
{
	uint8_t command = m->command;

	if (m->wrap && val != 0xec && val != 0xff) {
		ps2_answer(&m->out, val);
		return;
	}
	if (!command) {
		ps2_mouse_command(m, val);
		return;
	}
	m->command = 0;
	ps2_answer(&m->out, PS2_ACK);
	if (command == 0xe8)
		m->resolution = val & 3;
	else
		ps2_mouse_knock(m, val);
}

/* ---- state ---- */

static const struct state_field ps2_queue_fields[] = {
	STATE_BYTES(struct ps2_queue, byte),
	STATE(struct ps2_queue, first, .max = PS2_QUEUE - 1),
	STATE(struct ps2_queue, n, .max = PS2_QUEUE),
};

static const struct state_list ps2_queue_state =
	STATE_LIST("queue", struct ps2_queue, 1, ps2_queue_fields);

static const struct state_field ps2_kbd_fields[] = {
	STATE_STRUCT(struct ps2_kbd, out, &ps2_queue_state),
	STATE(struct ps2_kbd, scanning),
	STATE(struct ps2_kbd, command),
	STATE(struct ps2_kbd, leds),
	STATE(struct ps2_kbd, rate),
	STATE(struct ps2_kbd, set, .min = 1, .max = 3),
	STATE(struct ps2_kbd, last),
	STATE_BYTES(struct ps2_kbd, breaks),
};

const struct state_list ps2_kbd_state =
	STATE_LIST("keyboard", struct ps2_kbd, 1, ps2_kbd_fields);

static const struct state_field ps2_mouse_fields[] = {
	STATE_STRUCT(struct ps2_mouse, out, &ps2_queue_state),
	STATE(struct ps2_mouse, reporting),
	STATE(struct ps2_mouse, remote),
	STATE(struct ps2_mouse, wrap),
	STATE(struct ps2_mouse, command),
	STATE(struct ps2_mouse, rate),
	STATE(struct ps2_mouse, resolution, .max = 3),
	STATE(struct ps2_mouse, scaling, .min = 1, .max = 2),
	STATE(struct ps2_mouse, type, .max = 4),
	STATE_BYTES(struct ps2_mouse, knock),
	STATE(struct ps2_mouse, last),
	STATE(struct ps2_mouse, buttons, .max = 0x1f),
	STATE(struct ps2_mouse, dx, .min = -4096, .max = 4096),
	STATE(struct ps2_mouse, dy, .min = -4096, .max = 4096),
	STATE(struct ps2_mouse, dz, .min = -256, .max = 256),
};

const struct state_list ps2_mouse_state =
	STATE_LIST("mouse", struct ps2_mouse, 1, ps2_mouse_fields);
