/*
 * i6300esb.c - watchdog timer of the 6300ESB I/O controller hub (8086:25ab).
 *
 * Intel 6300ESB I/O Controller Hub data sheet 300641, chapter "Watchdog Timer"
 * (D29:F4): configuration register 60h, lock register 68h; in memory the two
 * preload values, the interrupt status and the reload register, which take a
 * write only behind 80h and 86h to the reload register.
 *
 * It counts down twice, from either preload value: after the first there may
 * be an interrupt, after the second the output is driven.  That it was is told
 * by WDT_TIMEOUT, which a reset leaves as it is.
 */
#include "dev/misc/i6300esb.h"

#include <stdio.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define ESB_CONFIG	0x60
#define CONFIG_BITS	0x0027
#define CONFIG_INT_TYPE 0x0003 /* 0: interrupt, 2: SMI, 3: none */
#define CONFIG_FAST	0x0004 /* 2^5 clocks a tick, else 2^15 */
#define CONFIG_NO_OUT	0x0020
#define ESB_LOCK	0x68
#define LOCK_LOCKED	0x01
#define LOCK_ENABLE	0x02
#define LOCK_FREE_RUN	0x04

#define REG_TIMER1     0x00
#define REG_TIMER2     0x04
#define REG_GINTSR     0x08
#define REG_RELOAD     0x0c
#define TIMER_BITS     0xfffff
#define GINTSR_ACTIVE  0x0001
#define RELOAD_RELOAD  0x0100
#define RELOAD_TIMEOUT 0x0200
#define UNLOCK_1       0x80
#define UNLOCK_2       0x86
#define UNLOCKED       2 /* writes of the sequence seen */

struct i6300esb {
	struct dev dev;
	struct pci_func pci;
	uint32_t preload[2];
	uint8_t unlock;
	uint8_t stage; /* 0, 1: which value it counts from */
	bool interrupt, timeout;
	struct bus_timer timer;
};

static bool i6300esb_enabled(const struct i6300esb *w)
{
	return w->pci.config[ESB_LOCK] & LOCK_ENABLE;
}

/* A preload value of 0 counts as the largest. */
static uint64_t i6300esb_stage_ns(const struct i6300esb *w)
{
	bool fast = w->pci.config[ESB_CONFIG] & CONFIG_FAST;
	uint64_t clocks = (uint64_t)w->preload[w->stage] << (fast ? 5 : 15);

	if (!clocks)
		clocks = (TIMER_BITS + 1ull) << (fast ? 5 : 15);
	return clocks * 30; /* of 33 MHz, rounded to whole nanoseconds */
}

static void i6300esb_start(struct i6300esb *w, unsigned stage)
{
	w->stage = stage;
	if (i6300esb_enabled(w))
		bus_timer_arm(&w->timer,
			bus_clock_ns(w->dev.host.bus) + i6300esb_stage_ns(w));
	else
		bus_timer_cancel(&w->timer);
}

static void i6300esb_update(struct i6300esb *w)
{
	bool irq = !(w->pci.config[ESB_CONFIG] & CONFIG_INT_TYPE);

	pci_set_intx(&w->pci, irq && w->interrupt);
}

static void i6300esb_fire(void *opaque)
{
	struct i6300esb *w = opaque;
	uint8_t lock = w->pci.config[ESB_LOCK];

	if (w->stage == 0 && !(lock & LOCK_FREE_RUN)) {
		w->interrupt = true;
		i6300esb_update(w);
		i6300esb_start(w, 1);
		return;
	}
	w->timeout = true;
	if (!(w->pci.config[ESB_CONFIG] & CONFIG_NO_OUT))
		bus_request(w->dev.host.bus, BUS_REQ_WATCHDOG);
	if (lock & LOCK_FREE_RUN)
		i6300esb_start(w, 0);
}

/* ---- registers ---- */

static uint64_t i6300esb_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct i6300esb *w = opaque;
	uint32_t val = 0;

	switch (off & ~3u) {
	case REG_TIMER1: val = w->preload[0]; break;
	case REG_TIMER2: val = w->preload[1]; break;
	case REG_GINTSR: val = w->interrupt ? GINTSR_ACTIVE : 0; break;
	case REG_RELOAD: val = w->timeout ? RELOAD_TIMEOUT : 0; break;
	}
	return val >> (8 * (off & 3));
}

static void i6300esb_write_reload(struct i6300esb *w, uint32_t val)
{
	bool open = w->unlock == UNLOCKED;

	if (val == UNLOCK_1) {
		w->unlock = 1;
		return;
	}
	w->unlock = w->unlock == 1 && val == UNLOCK_2 ? UNLOCKED : 0;
	if (!open)
		return;
	if (val & RELOAD_TIMEOUT)
		w->timeout = false;
	if (val & RELOAD_RELOAD)
		i6300esb_start(w, 0);
}

static void i6300esb_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct i6300esb *w = opaque;

	if (off == REG_RELOAD && size >= 2) {
		i6300esb_write_reload(w, val);
		return;
	}
	if (off == REG_RELOAD) {
		i6300esb_write_reload(w, val & 0xff);
		return;
	}
	if (off == REG_GINTSR && (val & GINTSR_ACTIVE)) {
		w->interrupt = false;
		i6300esb_update(w);
	}
	if (w->unlock != UNLOCKED || size < 4)
		return;
	if (off == REG_TIMER1 || off == REG_TIMER2) {
		w->preload[off == REG_TIMER2] = val & TIMER_BITS;
		w->unlock = 0;
	}
}

static const struct bus_mmio_ops i6300esb_ops = {
	.read = i6300esb_read,
	.write = i6300esb_write,
};

static void i6300esb_config_written(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct i6300esb *w = (struct i6300esb *)f->dev;
	bool armed = w->timer.slot;

	/* Once locked it stays as it is until reset. */
	if (f->config[ESB_LOCK] & LOCK_LOCKED)
		f->wmask[ESB_LOCK] = 0;
	if (i6300esb_enabled(w) != armed && off <= ESB_LOCK &&
		off + len > ESB_LOCK)
		i6300esb_start(w, 0);
	i6300esb_update(w);
}

/* ---- life ---- */

static int i6300esb_init(struct dev *d, char *err, unsigned errsize)
{
	struct i6300esb *w = (struct i6300esb *)d;
	struct pci_func *f = &w->pci;

	pci_func_init(f, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x25ab,
			.class_code = 0x088000,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	f->irq_pin = 1;
	f->config_written = i6300esb_config_written;
	f->bar[0] = (struct pci_bar){
		.size = 16, .mmio = &i6300esb_ops, .opaque = w};
	pci_put16(f->wmask + ESB_CONFIG, CONFIG_BITS);
	bus_timer_init(&w->timer, d->host.bus, i6300esb_fire, w);
	return pci_func_plug(f, d->host.pci,
		d->host.pci_slot < 0 ? -1 : d->host.pci_slot << 3);
}

static void i6300esb_reset(struct dev *d)
{
	struct i6300esb *w = (struct i6300esb *)d;

	bus_timer_cancel(&w->timer);
	pci_func_reset(&w->pci);
	pci_put16(w->pci.config + ESB_CONFIG, 0);
	w->pci.config[ESB_LOCK] = 0;
	w->pci.wmask[ESB_LOCK] = LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE_RUN;
	w->preload[0] = w->preload[1] = TIMER_BITS;
	w->unlock = w->stage = 0;
	w->interrupt = false;
}

static void i6300esb_fini(struct dev *d)
{
	struct i6300esb *w = (struct i6300esb *)d;

	bus_timer_cancel(&w->timer);
	pci_func_unplug(&w->pci);
}

static void i6300esb_describe(struct dev *d, char *buf, unsigned size)
{
	struct i6300esb *w = (struct i6300esb *)d;

	snprintf(buf, size, "%s%s", i6300esb_enabled(w) ? "counts" : "off",
		w->timeout ? ", has fired" : "");
}

/* ---- state ---- */

static int i6300esb_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct i6300esb *w = obj;

	if (w->pci.config[ESB_LOCK] & LOCK_LOCKED)
		w->pci.wmask[ESB_LOCK] = 0;
	return 0;
}

static const struct state_field i6300esb_fields[] = {
	STATE_STRUCT(struct i6300esb, pci, &pci_func_state),
	STATE_ARRAY(struct i6300esb, preload, .max = TIMER_BITS),
	STATE(struct i6300esb, unlock, .max = UNLOCKED),
	STATE(struct i6300esb, stage, .max = 1),
	STATE(struct i6300esb, interrupt),
	STATE(struct i6300esb, timeout),
	STATE_TIMER(struct i6300esb, timer),
};

static const struct state_list i6300esb_state = STATE_LIST("i6300esb",
	struct i6300esb, 1, i6300esb_fields, .loaded = i6300esb_loaded);

const struct dev_class i6300esb_class = {
	.name = "i6300esb",
	.size = sizeof(struct i6300esb),
	.init = i6300esb_init,
	.reset = i6300esb_reset,
	.fini = i6300esb_fini,
	.describe = i6300esb_describe,
	.state = &i6300esb_state,
};
