/*
 * lsi_scripts.c - the SCRIPTS processor of the LSI 53C895A (chapter 5).
 *
 * It runs inside the write that starts it, under the bus lock, until it has to
 * wait, has interrupted, or has spent its budget; then a timer goes on, so that
 * a program without end stops nobody.
 */
#include "dev/storage/lsi_priv.h"

#include <string.h>

#include <glib.h>

#define BUDGET	 4096 /* instructions, about */
#define GO_ON_NS 20000u
#define COPY	 256u /* bytes of a memory move at a time */

/* CCNTL0, CCNTL1 */
#define ENPMJ	  0x80
#define PMJCTL	  0x40
#define EN64DBMV  0x01
#define EN64TIBMV 0x02
#define TI64MOD	  0x04
#define WSR	  0x01 /* of SCNTL2 */
#define DMODE_MAN 0x01
#define DCNTL_SSM 0x10

struct insn {
	uint32_t op, arg;
	uint32_t at; /* its address */
};

static int32_t offset24(uint32_t v)
{
	return (int32_t)(v << 8) >> 8;
}

/* ---- memory, as the chip sees it ---- */

/* Its own registers are reached from outside. */
static bool own_register(struct lsi *d, uint64_t at, unsigned *reg)
{
	const struct pci_bar *b = &d->pci.bar[1];

	if (!b->active || at < b->addr || at >= b->addr + LSI_REGS)
		return false;
	*reg = at - b->addr;
	return true;
}

static void mem_read(struct lsi *d, uint64_t at, uint8_t *buf, unsigned n)
{
	unsigned reg;

	if (!own_register(d, at, &reg)) {
		bus_dma_read(d->dev.host.bus, at, buf, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		buf[i] = lsi_reg_read(d, (reg + i) % LSI_REGS);
}

static void mem_write(
	struct lsi *d, uint64_t at, const uint8_t *buf, unsigned n)
{
	unsigned reg;

	if (!own_register(d, at, &reg)) {
		bus_dma_write(d->dev.host.bus, at, buf, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		lsi_reg_write(d, (reg + i) % LSI_REGS, buf[i]);
}

static uint32_t read32(struct lsi *d, uint64_t at)
{
	uint8_t b[4];

	mem_read(d, at, b, 4);
	return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t next32(struct lsi *d)
{
	uint32_t at = lsi_get(d, LSI_DSP);

	lsi_put(d, LSI_DSP, at + 4);
	return read32(d, at);
}

/* ---- block moves (5.3) ---- */

/* Where more than 32 bits of an address come from, by the number in the upper
 * byte of a table's count: SCRATCHC to SCRATCHR, MMRS to DBMS. */
static uint32_t segment(struct lsi *d, unsigned n)
{
	n &= 0x1f;
	if (n < 16)
		return lsi_get(d, LSI_SCRATCHC + 4 * n);
	return n < 22 ? lsi_get(d, LSI_MMRS + 4 * (n - 16)) : 0;
}

static uint64_t high_part(struct lsi *d, uint8_t high)
{
	uint8_t how = d->reg[LSI_CCNTL1];

	if (!(how & EN64TIBMV))
		return 0;
	return (uint64_t)(how & TI64MOD ? high : segment(d, high)) << 32;
}

static void move_operands(struct lsi *d, struct insn *i)
{
	uint32_t count = i->op & 0xffffff;
	uint64_t at = i->arg;

	d->move_high = 0;
	if (i->op & 1u << 28) { /* table indirect */
		uint32_t table = lsi_get(d, LSI_DSA) + offset24(i->arg);

		lsi_put(d, LSI_ESA, table);
		count = read32(d, table);
		d->move_high = count >> 24;
		count &= 0xffffff;
		at = read32(d, table + 4) | high_part(d, d->move_high);
	} else if (i->op & 1u << 29) { /* indirect */
		at = read32(d, at);
	} else if (d->reg[LSI_CCNTL1] & EN64DBMV) {
		at |= (uint64_t)next32(d) << 32;
	}
	d->move_at = at;
	d->move_left = count;
}

/* 4: the target is in another phase than the instruction says. */
static void mismatch(struct lsi *d, bool out)
{
	bool second;

	lsi_put(d, LSI_UA, (uint32_t)d->move_at);
	lsi_put(d, LSI_RBC, d->move_left | (uint32_t)d->move_high << 24);
	if (!(d->reg[LSI_CCNTL0] & ENPMJ)) {
		lsi_scsi_interrupt(d, LSI_S0_MA, 0);
		return;
	}
	if (d->reg[LSI_CCNTL0] & PMJCTL)
		second = !out;
	else
		second = d->reg[LSI_SCNTL2] & WSR;
	lsi_put(d, LSI_DSP, lsi_get(d, second ? LSI_PMJAD2 : LSI_PMJAD1));
}

static void show_move(struct lsi *d)
{
	uint8_t cmd = d->reg[LSI_DCMD];

	lsi_put(d, LSI_DBC, d->move_left);
	d->reg[LSI_DCMD] = cmd;
	lsi_put(d, LSI_DNAD, (uint32_t)d->move_at);
}

/* The phase of the instruction in DCMD. */
static unsigned wanted_phase(const struct lsi *d)
{
	return d->reg[LSI_DCMD] & 7;
}

void lsi_moved(struct lsi *d, uint32_t n)
{
	bool waited = d->wait == LSI_WAIT_DATA;

	d->move_at += n;
	d->move_left -= MIN(n, d->move_left);
	lsi_put(d, LSI_SBC, n);
	d->wait = LSI_WAIT_NOTHING;
	show_move(d);
	if (d->move_left)
		mismatch(d, !(wanted_phase(d) & 1));
	if (waited)
		lsi_run(d);
}

/* Between two phases the processor waits for the target. */
static bool wait_for_req(struct lsi *d, const struct insn *i)
{
	if (d->timed_out) {
		lsi_free_bus(d);
		lsi_scsi_interrupt(d, 0, LSI_S1_STO);
		return true;
	}
	if (d->phase != LSI_NO_REQ || !d->connected)
		return false;
	lsi_put(d, LSI_DSP, i->at);
	d->wait = LSI_WAIT_REQ;
	return true;
}

static void block_move(struct lsi *d, struct insn *i)
{
	if (wait_for_req(d, i))
		return;
	lsi_put(d, LSI_IA, i->at);
	move_operands(d, i);
	show_move(d);
	lsi_message_first(d, wanted_phase(d));
	/* The manual calls a count of 0 illegal, but SeaBIOS's driver has it
	 * for commands without data, whatever the phase. */
	if (!d->move_left)
		return;
	if (!d->connected || d->phase != wanted_phase(d)) {
		mismatch(d, !(wanted_phase(d) & 1));
	} else {
		d->wait = LSI_WAIT_DATA;
		lsi_transfer(d);
	}
}

/* ---- I/O and register instructions (5.4, 5.5) ---- */

static void select_target(struct lsi *d, struct insn *i)
{
	uint32_t id = i->op;

	if (i->op & 1u << 25) {
		id = read32(d, lsi_get(d, LSI_DSA) + offset24(i->op));
		d->reg[LSI_SCNTL3] = id >> 24;
		d->reg[LSI_SXFER] = id >> 8;
	}
	id = id >> 16 & 15;
	d->reg[LSI_SDID] = id;
	/* A target that is not there shows when the bus is used. */
	if (!lsi_select(d, id, i->op & 1u << 24))
		d->timed_out = true;
}

static void wait_reselect(struct lsi *d, struct insn *i)
{
	lsi_put(d, LSI_DNAD, i->arg);
	if (d->reg[LSI_ISTAT0] & LSI_I_SIGP)
		lsi_put(d, LSI_DSP, i->arg);
	else
		d->wait = LSI_WAIT_RESELECT;
}

static void set_or_clear(struct lsi *d, const struct insn *i, bool on)
{
	if (i->op & 1u << 10)
		d->carry = on;
	if (i->op & 1u << 3)
		lsi_set_atn(d, on);
}

static uint8_t alu(struct lsi *d, unsigned op, uint8_t a, uint8_t b)
{
	unsigned v;

	switch (op) {
	case 1:
		v = a << 1 | d->carry;
		d->carry = v >> 8;
		return v;
	case 2: return a | b;
	case 3: return a ^ b;
	case 4: return a & b;
	case 5:
		v = a | d->carry << 8;
		d->carry = a & 1;
		return v >> 1;
	case 6:
	case 7:
		v = a + b + (op == 7 && d->carry);
		d->carry = v >> 8;
		return v;
	}
	return b;
}

static void register_insn(struct lsi *d, const struct insn *i, unsigned code)
{
	unsigned reg = (i->op >> 16 & 0x7f) | (i->op & 0x80);
	unsigned from = code == 5 ? (unsigned)LSI_SFBR : reg;
	unsigned to = code == 6 ? (unsigned)LSI_SFBR : reg;
	uint8_t data = i->op & 1u << 23 ? d->reg[LSI_SFBR] : i->op >> 8;
	unsigned op = i->op >> 24 & 7;
	uint8_t a = op ? lsi_reg_read(d, from) : 0;

	lsi_reg_write(d, to, alu(d, op, a, data));
}

static void io_insn(struct lsi *d, struct insn *i)
{
	unsigned code = i->op >> 27 & 7;

	if (code >= 5) {
		register_insn(d, i, code);
		return;
	}
	if (i->op & 1u << 26) /* relative */
		i->arg = lsi_get(d, LSI_DSP) + offset24(i->arg);
	switch (code) {
	case 0: select_target(d, i); break;
	case 1: /* wait disconnect */
		if (d->connected)
			lsi_abandon(d);
		break;
	case 2: wait_reselect(d, i); break;
	case 3: set_or_clear(d, i, true); break;
	case 4: set_or_clear(d, i, false); break;
	}
}

/* ---- transfers of control (5.6) ---- */

#define TC_CARRY 0x00200000u
#define TC_TRUE	 0x00080000u
#define TC_DATA	 0x00040000u
#define TC_PHASE 0x00020000u
#define TC_WAIT	 0x00010000u

static bool condition(const struct lsi *d, uint32_t op)
{
	uint8_t mask = ~(op >> 8), sfbr = d->reg[LSI_SFBR];
	bool yes = true;

	if (op & TC_CARRY)
		yes = d->carry;
	if (op & TC_PHASE)
		yes = yes && d->connected && d->phase == (op >> 24 & 7);
	if (op & TC_DATA)
		yes = yes && (sfbr & mask) == (op & mask & 0xff);
	return yes == !!(op & TC_TRUE);
}

static void control(struct lsi *d, struct insn *i)
{
	uint32_t dsp;

	if (!(i->op & (TC_CARRY | TC_TRUE | TC_DATA | TC_PHASE)))
		return; /* the NOP */
	if ((i->op & (TC_WAIT | TC_PHASE)) && wait_for_req(d, i))
		return;
	if (!condition(d, i->op))
		return;
	dsp = lsi_get(d, LSI_DSP);
	if (i->op & 1u << 23)
		i->arg = dsp + offset24(i->arg);
	switch (i->op >> 27 & 7) {
	case 1: lsi_put(d, LSI_TEMP, dsp); /* fall through */
	case 0: lsi_put(d, LSI_DSP, i->arg); break;
	case 2: lsi_put(d, LSI_DSP, lsi_get(d, LSI_TEMP)); break;
	case 3:
		if (i->op & 1u << 20) { /* on the fly */
			d->reg[LSI_ISTAT0] |= LSI_I_INTF;
			lsi_update_irq(d);
		} else {
			lsi_dma_interrupt(d, LSI_D_SIR);
		}
		break;
	default: lsi_dma_interrupt(d, LSI_D_IID); break;
	}
}

/* ---- memory (5.7, 5.8): how much of the budget it takes ---- */

static unsigned memory_move(struct lsi *d, const struct insn *i)
{
	uint32_t from = i->arg, to = next32(d), left = i->op & 0xffffff;
	unsigned spent = left / COPY;
	uint8_t buf[COPY];

	while (left) {
		unsigned n = MIN(left, COPY);

		mem_read(d, from, buf, n);
		mem_write(d, to, buf, n);
		from += n;
		to += n;
		left -= n;
	}
	lsi_put(d, LSI_TEMP, to);
	return spent;
}

static void load_store(struct lsi *d, const struct insn *i)
{
	unsigned reg = i->op >> 16 & 0xff, n = i->op & 7;
	uint32_t at = i->arg;
	uint8_t buf[8];

	if (!n || n > 4) {
		lsi_dma_interrupt(d, LSI_D_IID);
		return;
	}
	if (i->op & 1u << 28)
		at = lsi_get(d, LSI_DSA) + offset24(at);
	if (i->op & 1u << 24) {
		mem_read(d, at, buf, n);
		for (unsigned k = 0; k < n; k++)
			lsi_reg_write(d, (reg + k) % LSI_REGS, buf[k]);
	} else {
		for (unsigned k = 0; k < n; k++)
			buf[k] = lsi_reg_read(d, (reg + k) % LSI_REGS);
		mem_write(d, at, buf, n);
	}
}

/* ---- running ---- */

/* One instruction; what it costs. */
static unsigned step(struct lsi *d)
{
	struct insn i = {.at = lsi_get(d, LSI_DSP)};

	i.op = next32(d);
	i.arg = next32(d);
	lsi_put(d, LSI_DBC, i.op);
	lsi_put(d, LSI_DSPS, i.arg);
	switch (i.op >> 30) {
	case 0: block_move(d, &i); break;
	case 1: io_insn(d, &i); break;
	case 2: control(d, &i); break;
	default:
		if (!(i.op & 1u << 29))
			return 1 + memory_move(d, &i);
		load_store(d, &i);
		break;
	}
	return 1;
}

void lsi_run(struct lsi *d)
{
	int budget = BUDGET;

	if (d->inside)
		return;
	d->inside = true;
	while (d->running && !d->wait && budget > 0) {
		budget -= (int)step(d);
		if (d->running && d->reg[LSI_DCNTL] & DCNTL_SSM)
			lsi_dma_interrupt(d, LSI_D_SSI);
	}
	d->inside = false;
	if (d->running && !d->wait)
		bus_timer_arm(
			&d->go_on, bus_clock_ns(d->dev.host.bus) + GO_ON_NS);
}

void lsi_start(struct lsi *d)
{
	if (d->wait == LSI_WAIT_DATA) /* what it was at is lost */
		lsi_abandon(d);
	d->running = true;
	d->wait = LSI_WAIT_NOTHING;
	lsi_run(d);
}

void lsi_asked(struct lsi *d)
{
	if (d->wait != LSI_WAIT_REQ)
		return;
	d->wait = LSI_WAIT_NOTHING;
	lsi_run(d);
}

void lsi_signalled(struct lsi *d)
{
	if (!d->running || d->wait != LSI_WAIT_RESELECT)
		return;
	d->wait = LSI_WAIT_NOTHING;
	lsi_put(d, LSI_DSP, lsi_get(d, LSI_DNAD));
	lsi_run(d);
}
