/*
 * intc_state.c - what of the interrupt controllers is saved.
 *
 * The levels of all lines are among it, for nobody drives a line again.  What
 * pends at processors follows: lapic_update.
 */
#include <errno.h>
#include <stdio.h>

#include "dev/irq/i8259.h"
#include "dev/irq/intc_state.h"
#include "dev/irq/ioapic.h"
#include "dev/irq/lapic.h"
#include "dev/state.h"

/* ---- the 8259 pair ---- */

static const struct state_field i8259_chip_fields[] = {
	STATE(struct i8259_chip, irr),
	STATE(struct i8259_chip, imr),
	STATE(struct i8259_chip, isr),
	STATE(struct i8259_chip, line),
	STATE(struct i8259_chip, elcr),
	STATE(struct i8259_chip, base),
	STATE(struct i8259_chip, prio_add, .max = 7),
	STATE(struct i8259_chip, icw, .max = 4),
	STATE(struct i8259_chip, icw4_needed),
	STATE(struct i8259_chip, single),
	STATE(struct i8259_chip, auto_eoi),
	STATE(struct i8259_chip, rotate_aeoi),
	STATE(struct i8259_chip, special_nested),
	STATE(struct i8259_chip, special_mask),
	STATE(struct i8259_chip, poll),
	STATE(struct i8259_chip, read_isr),
	STATE(struct i8259_chip, initialised),
};

static const struct state_list i8259_chip_state =
	STATE_LIST("chip", struct i8259_chip, 1, i8259_chip_fields);

static const struct state_field i8259_fields[] = {
	STATE_STRUCTS(struct i8259, chip, &i8259_chip_state),
	STATE(struct i8259, out_level),
};

const struct state_list i8259_state =
	STATE_LIST("pic", struct i8259, 1, i8259_fields);

/* ---- the I/O APIC ---- */

static const struct state_field ioapic_fields[] = {
	STATE_ARRAY(struct ioapic, rte),
	STATE(struct ioapic, line, .max = (1u << IOAPIC_NPINS) - 1),
	STATE(struct ioapic, irr, .max = (1u << IOAPIC_NPINS) - 1),
	STATE(struct ioapic, id, .max = 15),
	STATE(struct ioapic, select),
};

const struct state_list ioapic_state =
	STATE_LIST("ioapic", struct ioapic, 1, ioapic_fields);

/* ---- local APICs ---- */

static int lapic_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct lapic *l = obj;

	lapic_map_page(l);
	lapic_update(l);
	return 0;
}

static const struct state_field lapic_fields[] = {
	STATE(struct lapic, base, .max = (1ull << 52) - 1),
	STATE(struct lapic, id),
	STATE(struct lapic, tpr),
	STATE(struct lapic, ldr),
	STATE(struct lapic, dfr),
	STATE(struct lapic, svr),
	STATE_ARRAY(struct lapic, isr),
	STATE_ARRAY(struct lapic, tmr),
	STATE_ARRAY(struct lapic, irr),
	STATE_ARRAY(struct lapic, lvt),
	STATE(struct lapic, icr),
	STATE(struct lapic, esr),
	STATE(struct lapic, esr_new),
	STATE_ARRAY(struct lapic, lint),
	STATE(struct lapic, extint),
	STATE(struct lapic, timer.initial),
	STATE(struct lapic, timer.divide, .max = 0xb),
	STATE(struct lapic, timer.running),
	STATE(struct lapic, timer.expiry_ns),
	STATE_TSC(struct lapic, timer.deadline_tsc),
	STATE_TIMER(struct lapic, timer.timer),
	STATE(struct lapic, pv.system_time),
	STATE(struct lapic, pv.version),
	STATE(struct lapic, pv.eoi),
	STATE(struct lapic, pv.eoi_given),
	STATE(struct lapic, pv.poll_control),
};

static const struct state_list lapic_state = STATE_LIST(
	"lapic", struct lapic, 1, lapic_fields, .loaded = lapic_loaded);

/* The clock's slope was measured on the host that saved it. */
static int lapic_set_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	pv_measure_anew(obj);
	return 0;
}

static const struct state_field lapic_set_fields[] = {
	STATE_POINTERS_TO(struct lapic_set, apic, n, &lapic_state),
	STATE(struct lapic_set, next_lowest, .max = BUS_MAX_CPUS - 1),
	STATE(struct lapic_set, pic_line),
	STATE(struct lapic_set, owed, .max = LAPIC_MAX_OWED),
	STATE(struct lapic_set, pv.wall_clock),
	STATE(struct lapic_set, pv.wall_version),
	STATE(struct lapic_set, pv.clock_runs),
	STATE_TSC(struct lapic_set, pv.clock.base_tsc),
	STATE(struct lapic_set, pv.clock.base_ns),
	STATE(struct lapic_set, pv.clock.mul),
	STATE(struct lapic_set, pv.clock.shift, .min = -32, .max = 32),
};

const struct state_list lapic_set_state = STATE_LIST("lapics", struct lapic_set,
	1, lapic_set_fields, .loaded = lapic_set_loaded);
