/*
 * virtio_input.c - a virtio tablet and a virtio keyboard (virtio 1.2, 5.8). The
 * tablet is a pointer that says where it is, not how far it moved, with three
 * buttons and a wheel.
 *
 * What is pressed and where the pointer is wait here as a state, not as a
 * list: however slow the guest takes events, it gets at the end what is true.
 * Of keys a list stands before that, so that short strokes are not lost.
 */
#include <string.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio.h"

#define INPUT_QUEUE_SIZE 64
#define INPUT_EVENTS	 0 /* queues */
#define INPUT_STATUS	 1
#define INPUT_REPORT	 8 /* events at most, of one state */
#define INPUT_WHEEL_MAX	 100

/* 5.8.4: what the configuration selects */
enum {
	CFG_ID_NAME = 0x01,
	CFG_ID_DEVIDS = 0x03,
	CFG_PROP_BITS = 0x10,
	CFG_EV_BITS = 0x11,
	CFG_ABS_INFO = 0x12,
};

#define CFG_DATA  8
#define CFG_BYTES 136

/* Linux's input event codes, which 5.8 refers to */
#define EV_SYN	   0x00
#define EV_KEY	   0x01
#define EV_REL	   0x02
#define EV_ABS	   0x03
#define EV_LED	   0x11
#define EV_REP	   0x14
#define REL_WHEEL  0x08
#define BTN_LEFT   0x110
#define BTN_RIGHT  0x111
#define BTN_MIDDLE 0x112
#define ABS_X	   0x00
#define ABS_Y	   0x01

struct input_event {
	uint16_t type, code;
	uint32_t value;
};

struct input_state {
	unsigned x, y, buttons;
};

#define KEYS	  128 /* codes that a keyboard has */
#define KEY_QUEUE 64
#define KEY_DOWN  0x8000

struct virtio_input;

struct input_kind {
	/* What the configuration selects: how many bytes. */
	unsigned (*select)(const struct virtio_input *d, uint8_t *out);
	/* What the guest has not been told; how many events.  Then it has. */
	unsigned (*report)(const struct virtio_input *d, struct input_event *e);
	void (*told)(struct virtio_input *d);
};

struct virtio_input {
	struct virtio v;
	const struct input_kind *kind;
	/* A keyboard's: keys that are down, as told; strokes not told yet; more
	 * were lost, the keys have the truth. */
	uint8_t keys[KEYS / 8], keys_told[KEYS / 8];
	uint16_t stroke[KEY_QUEUE];
	uint8_t nstrokes;
	bool lost;
	uint8_t select, subsel;
	struct input_state now, told;
	int wheel; /* not told yet */
	struct virtq_chain chain;
};

static struct virtio_input *input_of(struct virtio *v)
{
	return (struct virtio_input *)v;
}

/* ---- configuration ---- */

static unsigned input_bits(uint8_t *out, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		out[i / 8] |= 1u << i % 8;
	return (first + n + 7) / 8;
}

static void input_put32(uint8_t *out, uint32_t v)
{
	v = GUINT32_TO_LE(v);
	memcpy(out, &v, sizeof(v));
}

/* Fills the data that is selected; how many bytes. */
static unsigned tablet_select(const struct virtio_input *d, uint8_t *out)
{
	static const char name[] = "vmeste tablet";
	static const uint8_t ids[8] = {6, 0, 0x56, 0x4d, 1, 0, 1, 0};

	switch (d->select << 8 | d->subsel) {
	case CFG_ID_NAME << 8: memcpy(out, name, sizeof(name) - 1); return 13;
	case CFG_ID_DEVIDS << 8: memcpy(out, ids, sizeof(ids)); return 8;
	case CFG_EV_BITS << 8 | EV_KEY: return input_bits(out, BTN_LEFT, 3);
	case CFG_EV_BITS << 8 | EV_REL: return input_bits(out, REL_WHEEL, 1);
	case CFG_EV_BITS << 8 | EV_ABS: return input_bits(out, ABS_X, 2);
	case CFG_ABS_INFO << 8 | ABS_X:
	case CFG_ABS_INFO << 8 | ABS_Y:
		input_put32(out + 4, DISPLAY_POINTER_MAX);
		return 20;
	default: return 0;
	}
}

static void input_config_get(struct virtio *v, uint8_t *config)
{
	struct virtio_input *d = input_of(v);

	memset(config, 0, CFG_BYTES);
	config[0] = d->select;
	config[1] = d->subsel;
	config[2] = d->kind->select(d, config + CFG_DATA);
}

static void input_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	struct virtio_input *d = input_of(v);

	for (unsigned i = 0; i < len; i++) {
		if (off + i == 0)
			d->select = buf[i];
		else if (off + i == 1)
			d->subsel = buf[i];
	}
}

/* ---- events ---- */

static void input_add(struct input_event *e, unsigned *n, uint16_t type,
	uint16_t code, uint32_t value)
{
	e[(*n)++] = (struct input_event){
		GUINT16_TO_LE(type), GUINT16_TO_LE(code), GUINT32_TO_LE(value)};
}

static unsigned tablet_report(
	const struct virtio_input *d, struct input_event *e)
{
	unsigned changed = d->now.buttons ^ d->told.buttons, n = 0;

	if (d->now.x != d->told.x)
		input_add(e, &n, EV_ABS, ABS_X, d->now.x);
	if (d->now.y != d->told.y)
		input_add(e, &n, EV_ABS, ABS_Y, d->now.y);
	if (d->wheel)
		input_add(e, &n, EV_REL, REL_WHEEL, (uint32_t)d->wheel);
	for (unsigned i = 0; i < 3; i++)
		if (changed >> i & 1)
			input_add(e, &n, EV_KEY, (uint16_t)(BTN_LEFT + i),
				d->now.buttons >> i & 1);
	if (n)
		input_add(e, &n, EV_SYN, 0, 0);
	return n;
}

static void tablet_told(struct virtio_input *d)
{
	d->told = d->now;
	d->wheel = 0;
}

static const struct input_kind tablet_kind = {
	tablet_select, tablet_report, tablet_told};

/* ---- keyboard ---- */

/* Linux's code of a key by its position (display/display.h); 0: none.  Without
 * prefix they are the scan codes of set 1. */
static unsigned keyboard_code(unsigned code)
{
	static const uint8_t prefixed[][2] = {{0x1c, 96}, {0x1d, 97},
		{0x35, 98}, {0x37, 99}, {0x38, 100}, {0x47, 102}, {0x48, 103},
		{0x49, 104}, {0x4b, 105}, {0x4d, 106}, {0x4f, 107}, {0x50, 108},
		{0x51, 109}, {0x52, 110}, {0x53, 111}, {0x5b, 125}, {0x5c, 126},
		{0x5d, 127}};

	if (code == DISPLAY_KEY_PAUSE)
		return 119;
	if (code < 0x80)
		return code <= 0x58 ? code : 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(prefixed); i++)
		if (prefixed[i][0] == (code & 0x7f))
			return prefixed[i][1];
	return 0;
}

static unsigned keyboard_select(const struct virtio_input *d, uint8_t *out)
{
	static const char name[] = "vmeste keyboard";
	static const uint8_t ids[8] = {6, 0, 0x56, 0x4d, 2, 0, 1, 0};

	switch (d->select << 8 | d->subsel) {
	case CFG_ID_NAME << 8: memcpy(out, name, sizeof(name) - 1); return 15;
	case CFG_ID_DEVIDS << 8: memcpy(out, ids, sizeof(ids)); return 8;
	case CFG_EV_BITS << 8 | EV_KEY:
		for (unsigned i = 1; i <= DISPLAY_KEY_PAUSE; i++)
			if (keyboard_code(i))
				input_bits(out, keyboard_code(i), 1);
		return KEYS / 8;
	case CFG_EV_BITS << 8 | EV_LED:
	case CFG_EV_BITS << 8 | EV_REP: return input_bits(out, 0, 2);
	default: return 0;
	}
}

/* A stroke, or a key of which the guest thinks otherwise; 0: nothing. */
static unsigned keyboard_next(const struct virtio_input *d)
{
	if (d->nstrokes)
		return d->stroke[0];
	for (unsigned i = 0; d->lost && i < KEYS; i++) {
		bool down = d->keys[i / 8] >> i % 8 & 1;

		if (down != (d->keys_told[i / 8] >> i % 8 & 1))
			return i | (down ? KEY_DOWN : 0);
	}
	return 0;
}

static unsigned keyboard_report(
	const struct virtio_input *d, struct input_event *e)
{
	unsigned next = keyboard_next(d), n = 0;

	if (!next)
		return 0;
	input_add(e, &n, EV_KEY, next & 0x7f, next & KEY_DOWN ? 1 : 0);
	input_add(e, &n, EV_SYN, 0, 0);
	return n;
}

static void keyboard_put(uint8_t *keys, unsigned code, bool down)
{
	uint8_t bit = (uint8_t)(1u << code % 8);

	keys[code / 8] = down ? keys[code / 8] | bit : keys[code / 8] & ~bit;
}

static void keyboard_told(struct virtio_input *d)
{
	unsigned next = keyboard_next(d);

	keyboard_put(d->keys_told, next & 0x7f, next & KEY_DOWN);
	if (d->nstrokes) {
		d->nstrokes--;
		memmove(d->stroke, d->stroke + 1,
			d->nstrokes * sizeof(d->stroke[0]));
	}
	d->lost = d->lost && keyboard_next(d);
}

static const struct input_kind keyboard_kind = {
	keyboard_select, keyboard_report, keyboard_told};

/* ---- both ---- */

/* Whole reports or nothing. */
static void input_flush(struct virtio_input *d)
{
	struct virtq *q = &d->v.queue[INPUT_EVENTS];
	struct input_event e[INPUT_REPORT];
	bool any = false;
	unsigned n;

	while (virtio_running(&d->v) && q->enabled && !q->broken &&
		(n = d->kind->report(d, e)) && virtq_available(q) >= n) {
		for (unsigned i = 0; i < n; i++) {
			if (virtq_pop(q, &d->chain) <= 0)
				break;
			virtq_fill(q, d->chain.head,
				(uint32_t)virtq_write(
					q, &d->chain, 0, &e[i], sizeof(e[i])));
		}
		d->kind->told(d);
		any = true;
	}
	if (!any)
		return;
	virtq_publish(q);
	virtio_signal(&d->v, q);
	if (q->broken)
		virtio_fail(&d->v);
}

/* The lamps of a keyboard: nobody sees them. */
static void input_drain(struct virtio_input *d, struct virtq *q)
{
	bool any = false;

	while (virtq_pop(q, &d->chain) > 0) {
		virtq_fill(q, d->chain.head, 0);
		any = true;
	}
	if (any) {
		virtq_publish(q);
		virtio_signal(&d->v, q);
	}
	if (q->broken)
		virtio_fail(&d->v);
}

static void input_notify(struct virtio *v, unsigned queue)
{
	if (queue == INPUT_STATUS)
		input_drain(input_of(v), &v->queue[queue]);
	else
		input_flush(input_of(v));
}

static void input_stop(struct virtio *v)
{
	struct virtio_input *d = input_of(v);

	d->select = d->subsel = 0;
	d->told = (struct input_state){0};
	d->wheel = 0;
	memset(d->keys_told, 0, sizeof(d->keys_told));
	d->nstrokes = 0;
	d->lost = true;
	d->lost = keyboard_next(d); /* what is down by then */
}

static bool input_point(
	void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct virtio_input *d = opaque;
	bool seen;

	bus_lock(d->v.dev.host.bus);
	d->now = (struct input_state){x, y, buttons & 7};
	seen = virtio_running(&d->v);
	if (seen) {
		d->wheel = CLAMP(d->wheel + CLAMP(wheel, -INPUT_WHEEL_MAX,
						    INPUT_WHEEL_MAX),
			-INPUT_WHEEL_MAX, INPUT_WHEEL_MAX);
		input_flush(d);
	}
	bus_unlock(d->v.dev.host.bus);
	return seen;
}

void virtio_tablet_input(struct dev *d, struct display_input *out)
{
	*out = (struct display_input){.point = input_point, .opaque = d};
}

bool virtio_keyboard_key(struct dev *dev, unsigned code, bool down)
{
	struct virtio_input *d = (struct virtio_input *)dev;
	unsigned key = keyboard_code(code);

	if (!virtio_running(&d->v))
		return false;
	if (!key)
		return true;
	keyboard_put(d->keys, key, down);
	if (d->nstrokes < KEY_QUEUE && !d->lost)
		d->stroke[d->nstrokes++] =
			(uint16_t)(key | (down ? KEY_DOWN : 0));
	else
		d->lost = true;
	input_flush(d);
	return true;
}

bool virtio_keyboard_idle(const struct dev *dev)
{
	return !keyboard_next((const struct virtio_input *)dev);
}

/* ---- life ---- */

static const struct virtio_type virtio_input_type = {
	.id = 18,
	.pci_class = 0x098000,
	.config_size = CFG_BYTES,
	.config_get = input_config_get,
	.config_set = input_config_set,
	.notify = input_notify,
	.stop = input_stop,
};

static int virtio_input_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_input *d = (struct virtio_input *)dev;

	d->kind = dev->cls == &virtio_keyboard_class ? &keyboard_kind
						     : &tablet_kind;
	virtio_init(&d->v, &virtio_input_type, 0, 2, INPUT_QUEUE_SIZE);
	return virtio_plug(&d->v, err, errsize);
}

static void virtio_input_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_input *)dev)->v);
}

static void virtio_input_fini(struct dev *dev)
{
	virtio_fini(&((struct virtio_input *)dev)->v);
}

static void virtio_input_describe(struct dev *dev, char *buf, unsigned size)
{
	virtio_describe(&((struct virtio_input *)dev)->v, buf, size);
}

/* ---- state ---- */

static const struct state_field virtio_input_fields[] = {
	STATE_STRUCT(struct virtio_input, v, &virtio_state),
	STATE(struct virtio_input, select),
	STATE(struct virtio_input, subsel),
	STATE(struct virtio_input, now.x),
	STATE(struct virtio_input, now.y),
	STATE(struct virtio_input, now.buttons, .max = 7),
	STATE(struct virtio_input, told.x),
	STATE(struct virtio_input, told.y),
	STATE(struct virtio_input, told.buttons, .max = 7),
	STATE(struct virtio_input, wheel, .min = -INPUT_WHEEL_MAX,
		.max = INPUT_WHEEL_MAX),
};

static const struct state_list virtio_input_state = STATE_LIST(
	"virtio-tablet", struct virtio_input, 1, virtio_input_fields);

const struct dev_class virtio_tablet_class = {
	.name = "virtio-tablet",
	.size = sizeof(struct virtio_input),
	.init = virtio_input_init,
	.reset = virtio_input_reset,
	.fini = virtio_input_fini,
	.describe = virtio_input_describe,
	.state = &virtio_input_state,
};

static const struct state_field virtio_keyboard_fields[] = {
	STATE_STRUCT(struct virtio_input, v, &virtio_state),
	STATE(struct virtio_input, select),
	STATE(struct virtio_input, subsel),
	STATE_BYTES(struct virtio_input, keys),
	STATE_BYTES(struct virtio_input, keys_told),
	STATE_ARRAY(struct virtio_input, stroke),
	STATE(struct virtio_input, nstrokes, .max = KEY_QUEUE),
	STATE(struct virtio_input, lost),
};

static const struct state_list virtio_keyboard_state = STATE_LIST(
	"virtio-keyboard", struct virtio_input, 1, virtio_keyboard_fields);

const struct dev_class virtio_keyboard_class = {
	.name = "virtio-keyboard",
	.size = sizeof(struct virtio_input),
	.init = virtio_input_init,
	.reset = virtio_input_reset,
	.fini = virtio_input_fini,
	.describe = virtio_input_describe,
	.state = &virtio_keyboard_state,
};
