/*
 * i8042.c - keyboard controller (ports 0x60 and 0x64).
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary
 * Device Controller": status, command byte, commands; 82371SB data sheet
 * 290550, 2.5.6 (A20, reset by the controller).
 *
 * One byte at a time waits in the output buffer.  It comes from the
 * controller's own answers, then the keyboard, then the mouse, and is loaded
 * when the one before it has been read.  The controller is never busy, so IBF
 * always reads 0.
 */
#include <string.h>

#include "dev/input/i8042.h"
#include "dev/input/ps2.h"
#include "dev/misc/cpu_init.h"
#include "dev/state.h"

#define STS_OBF	   0x01
#define STS_SYS	   0x04
#define STS_CMD	   0x08
#define STS_UNLOCK 0x10
#define STS_AUX	   0x20

#define CTR_KBD_INT 0x01
#define CTR_AUX_INT 0x02
#define CTR_SYS	    0x04
#define CTR_KBD_DIS 0x10
#define CTR_AUX_DIS 0x20
#define CTR_XLATE   0x40

#define OUT_RESET   0x01 /* low = reset */
#define OUT_A20	    0x02
#define OUT_KBD_OBF 0x10
#define OUT_AUX_OBF 0x20

#define OWN_AUX 0x100

struct i8042 {
	struct dev dev;
	struct ps2_kbd kbd;
	struct ps2_mouse mouse;
	uint16_t
		own[8]; /* the controller's answers; bit 8: as from the mouse */
	unsigned nown;
	uint8_t ram[32]; /* [0] is the command byte */
	uint8_t status, data, out_port;
	uint8_t command; /* waits for its byte at 0x60, or 0 */
	bool release;	 /* translation saw F0 */
};

static uint8_t i8042_ctr(const struct i8042 *k)
{
	return k->ram[0];
}

static void i8042_update(struct i8042 *k)
{
	bool obf = k->status & STS_OBF, aux = k->status & STS_AUX;

	bus_irq_set(&k->dev.host.gsi[1],
		obf && !aux && (i8042_ctr(k) & CTR_KBD_INT));
	bus_irq_set(&k->dev.host.gsi[12],
		obf && aux && (i8042_ctr(k) & CTR_AUX_INT));
}

/* The keyboard's next byte, translated; -1 if there is none. */
static int i8042_take_kbd(struct i8042 *k)
{
	int byte = -1;

	while (byte < 0 && k->kbd.out.n) {
		byte = ps2_queue_take(&k->kbd.out);
		k->kbd.last = byte;
		if (i8042_ctr(k) & CTR_XLATE)
			byte = ps2_translate(byte, &k->release);
	}
	return byte;
}

static int i8042_take_mouse(struct i8042 *k)
{
	int byte = ps2_queue_take(&k->mouse.out);

	if (byte >= 0)
		k->mouse.last = byte;
	ps2_mouse_report(&k->mouse);
	return byte;
}

/* Load the output buffer if it is empty. */
static void i8042_load(struct i8042 *k)
{
	int byte = -1;

	if (k->status & STS_OBF) {
		i8042_update(k);
		return;
	}
	k->status &= ~STS_AUX;
	if (k->nown) {
		byte = k->own[0];
		memmove(k->own, k->own + 1, --k->nown * sizeof(k->own[0]));
	}
	if (byte < 0 && !(i8042_ctr(k) & CTR_KBD_DIS))
		byte = i8042_take_kbd(k);
	if (byte < 0 && !(i8042_ctr(k) & CTR_AUX_DIS)) {
		byte = i8042_take_mouse(k);
		if (byte >= 0)
			byte |= OWN_AUX;
	}
	if (byte >= 0) {
		k->data = byte;
		k->status |= STS_OBF | (byte & OWN_AUX ? STS_AUX : 0);
	}
	i8042_update(k);
}

static void i8042_answer(struct i8042 *k, uint16_t byte)
{
	if (k->nown < sizeof(k->own) / sizeof(k->own[0]))
		k->own[k->nown++] = byte;
}

/* ---- the output port ---- */

static void i8042_write_out_port(struct i8042 *k, uint8_t val)
{
	k->out_port = val;
	bus_set_a20(k->dev.host.bus, val & OUT_A20);
	if (!(val & OUT_RESET))
		cpu_init_pulse(k->dev.host.bus);
}

static uint8_t i8042_read_out_port(const struct i8042 *k)
{
	bool a20 = bus_a20_mask(k->dev.host.bus) & (1u << 20);
	uint8_t val = k->out_port & ~(OUT_A20 | OUT_KBD_OBF | OUT_AUX_OBF);

	val |= OUT_RESET | (a20 ? OUT_A20 : 0);
	if (k->status & STS_OBF)
		val |= k->status & STS_AUX ? OUT_AUX_OBF : OUT_KBD_OBF;
	return val;
}

/* ---- commands ---- */

static void i8042_write_ctr(struct i8042 *k, uint8_t val)
{
	k->ram[0] = val & ~0x80;
	k->status = (k->status & ~STS_SYS) | (val & CTR_SYS ? STS_SYS : 0);
}

static void i8042_command(struct i8042 *k, uint8_t val)
{
	k->command = 0;
	switch (val) {
	case 0x20 ... 0x3f: i8042_answer(k, k->ram[val & 31]); break;
	case 0x60 ... 0x7f: /* these take a byte at 0x60 */
	case 0xd1 ... 0xd4: k->command = val; break;
	case 0xa7: k->ram[0] |= CTR_AUX_DIS; break;
	case 0xa8: k->ram[0] &= ~CTR_AUX_DIS; break;
	case 0xa9: /* interface tests: no error */
	case 0xab: i8042_answer(k, 0x00); break;
	case 0xaa: /* self test */
		k->status |= STS_SYS;
		k->ram[0] |= CTR_SYS;
		i8042_answer(k, 0x55);
		break;
	case 0xad: k->ram[0] |= CTR_KBD_DIS; break;
	case 0xae: k->ram[0] &= ~CTR_KBD_DIS; break;
	case 0xc0: i8042_answer(k, 0x80); break; /* input port: not locked */
	case 0xd0: i8042_answer(k, i8042_read_out_port(k)); break;
	case 0xdd: bus_set_a20(k->dev.host.bus, false); break;
	case 0xdf: bus_set_a20(k->dev.host.bus, true); break;
	case 0xe0: i8042_answer(k, 0x03); break; /* test inputs: clocks high */
	case 0xf0 ... 0xff: /* pulse output bits 3:0 that are 0 */
		if (!(val & 1))
			cpu_init_pulse(k->dev.host.bus);
		break;
	}
	i8042_load(k);
}

static void i8042_data(struct i8042 *k, uint8_t val)
{
	uint8_t command = k->command;

	k->command = 0;
	switch (command) {
	case 0x60: i8042_write_ctr(k, val); break;
	case 0x61 ... 0x7f: k->ram[command & 31] = val; break;
	case 0xd1: i8042_write_out_port(k, val); break;
	case 0xd2: i8042_answer(k, val); break;
	case 0xd3: i8042_answer(k, val | OWN_AUX); break;
	case 0xd4:
		ps2_mouse_write(&k->mouse, val);
		k->ram[0] &= ~CTR_AUX_DIS;
		break;
	default:
		/* Writing to the keyboard enables its interface. */
		k->ram[0] &= ~CTR_KBD_DIS;
		ps2_kbd_write(&k->kbd, val);
	}
	i8042_load(k);
}

static uint32_t i8042_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8042 *k = opaque;
	uint8_t val = k->data;

	if (port == 0x64)
		return k->status;
	if (k->status & STS_OBF) {
		k->status &= ~STS_OBF;
		/* The line falls before it rises for the next byte. */
		i8042_update(k);
		i8042_load(k);
	}
	return val;
}

static void i8042_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8042 *k = opaque;

	if (port == 0x64) {
		k->status |= STS_CMD;
		i8042_command(k, val);
	} else {
		k->status &= ~STS_CMD;
		i8042_data(k, val);
	}
}

static const struct bus_io_ops i8042_ops = {
	.read = i8042_read,
	.write = i8042_write,
};

/* ---- input from the host ---- */

void i8042_key(struct dev *d, unsigned code, bool down)
{
	struct i8042 *k = (struct i8042 *)d;

	ps2_kbd_key(&k->kbd, code, down);
	i8042_load(k);
}

bool i8042_keys_idle(const struct dev *d)
{
	const struct i8042 *k = (const struct i8042 *)d;

	return !k->kbd.out.n && !(k->status & STS_OBF);
}

void i8042_mouse(struct dev *d, int dx, int dy, int dz, unsigned buttons)
{
	struct i8042 *k = (struct i8042 *)d;

	ps2_mouse_move(&k->mouse, dx, dy, dz, buttons);
	i8042_load(k);
}

/* ---- life ---- */

static int i8042_init(struct dev *d, char *err, unsigned errsize)
{
	bus_io_claim(d->host.bus, 0x60, 1, &i8042_ops, d);
	bus_io_claim(d->host.bus, 0x64, 1, &i8042_ops, d);
	return 0;
}

static void i8042_reset(struct dev *d)
{
	struct i8042 *k = (struct i8042 *)d;

	ps2_kbd_reset(&k->kbd);
	ps2_mouse_reset(&k->mouse);
	memset(k->ram, 0, sizeof(k->ram));
	k->nown = 0;
	k->command = 0;
	k->release = false;
	k->data = 0;
	k->ram[0] = CTR_KBD_INT | CTR_AUX_INT | CTR_XLATE;
	k->status = STS_CMD | STS_UNLOCK;
	k->out_port = 0xcf;
	i8042_update(k);
}

static void i8042_fini(struct dev *d)
{
	bus_io_release(d->host.bus, 0x60, 1, d);
	bus_io_release(d->host.bus, 0x64, 1, d);
}

/* ---- state ---- */

static const struct state_field i8042_fields[] = {
	STATE_STRUCT(struct i8042, kbd, &ps2_kbd_state),
	STATE_STRUCT(struct i8042, mouse, &ps2_mouse_state),
	STATE_ARRAY(struct i8042, own, .max = OWN_AUX | 0xff),
	STATE(struct i8042, nown, .max = 8),
	STATE_BYTES(struct i8042, ram),
	STATE(struct i8042, status),
	STATE(struct i8042, data),
	STATE(struct i8042, out_port),
	STATE(struct i8042, command),
	STATE(struct i8042, release),
};

static const struct state_list i8042_state =
	STATE_LIST("i8042", struct i8042, 1, i8042_fields);

const struct dev_class i8042_class = {
	.name = "i8042",
	.size = sizeof(struct i8042),
	.init = i8042_init,
	.reset = i8042_reset,
	.fini = i8042_fini,
	.state = &i8042_state,
};
