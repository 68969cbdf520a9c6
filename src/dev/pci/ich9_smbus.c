/*
 * ich9_smbus.c - the ICH9's SMBus controller, function 1f.3.
 *
 * Intel ICH9 data sheet 316972, chapter 19 (D31:F3; 19.2, registers in I/O
 * space); System Management Bus Specification 2.0, 5.5 (protocols); Microchip
 * 24C02 for how an EEPROM answers.  Addresses 50h to 57h are the EEPROMs of the
 * memory modules (dev/misc/spd.h), which cannot be written; nobody else is
 * there.  The bus is infinitely fast: what is started is done at once, and only
 * blocks that go byte by byte wait, for software.
 */
#include "dev/pci/ich9_smbus.h"

#include <string.h>

#include <glib.h>

#include "dev/misc/spd.h"
#include "dev/pci/ich9.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define HOSTC	     0x40
#define HOSTC_EN     0x01
#define SMB_BAR	     4
#define SMB_BYTES    32
#define SMB_BLOCK    32
#define EEPROM_FIRST 0x50

enum {
	HST_STS = 0x00,
	HST_CNT = 0x02,
	HST_CMD = 0x03,
	XMIT_SLVA = 0x04,
	HST_D0 = 0x05,
	HST_D1 = 0x06,
	HOST_BLOCK_DB = 0x07,
	PEC = 0x08,
	AUX_STS = 0x0c,
	AUX_CTL = 0x0d,
};

#define STS_BUSY  0x01
#define STS_INTR  0x02
#define STS_DEV	  0x04
#define STS_FAIL  0x10
#define STS_INUSE 0x40
#define STS_DS	  0x80
#define STS_ASKS  0x9e /* what may interrupt */
#define STS_W1C	  0xfe

#define CNT_INTREN 0x01
#define CNT_KILL   0x02
#define CNT_LAST   0x20
#define CNT_START  0x40
#define CNT_BITS   0xbf
#define CNT_CMD(c) ((c) >> 2 & 7)

#define AUX_CTL_E32B 0x02

enum { /* CNT_CMD */
	SMB_QUICK,
	SMB_BYTE,
	SMB_BYTE_DATA,
	SMB_WORD_DATA,
	SMB_PROCESS_CALL,
	SMB_BLOCK_DATA,
	SMB_I2C_READ,
	SMB_BLOCK_PROCESS,
};

struct eeprom {
	bool present;
	uint8_t at;
	uint8_t data[SPD_BYTES];
};

struct ich9_smbus {
	struct dev dev;
	struct pci_func pci;
	uint8_t sts, cnt, reg[SMB_BYTES];
	uint8_t block[SMB_BLOCK], block_at;
	/* a block that goes byte by byte */
	bool running, last;
	uint8_t left; /* bytes to come; 255: until LAST_BYTE */
	struct eeprom module[SPD_MODULES];
};

#define UNTIL_LAST 255

static void smb_update(struct ich9_smbus *s)
{
	pci_set_intx(&s->pci, (s->cnt & CNT_INTREN) && (s->sts & STS_ASKS));
}

/* ---- who is there ---- */

static struct eeprom *smb_slave(struct ich9_smbus *s)
{
	unsigned n = (s->reg[XMIT_SLVA] >> 1) - EEPROM_FIRST;

	return n < SPD_MODULES && s->module[n].present ? &s->module[n] : NULL;
}

static uint8_t eeprom_next(struct eeprom *e)
{
	return e->data[e->at++];
}

/* ---- transactions ---- */

static void smb_end(struct ich9_smbus *s, uint8_t sts)
{
	s->running = false;
	s->sts = (s->sts & ~STS_BUSY) | sts;
}

/* The next byte of a block from the slave. */
static void smb_receive(struct ich9_smbus *s, struct eeprom *e)
{
	s->reg[HOST_BLOCK_DB] = eeprom_next(e);
	s->last = s->cnt & CNT_LAST;
	if (s->left != UNTIL_LAST)
		s->left--;
	s->sts |= STS_DS;
}

/* Software has taken a byte, or given one. */
static void smb_go_on(struct ich9_smbus *s)
{
	struct eeprom *e = smb_slave(s);
	bool ends = s->left == UNTIL_LAST ? s->last : s->left == 0;

	if (!e || ends)
		smb_end(s, STS_INTR);
	else if (s->reg[XMIT_SLVA] & 1 || s->left == UNTIL_LAST)
		smb_receive(s, e);
	else
		s->left--, s->sts |= STS_DS; /* an EEPROM that takes nothing */
}

/* At once, into or out of the buffer. */
static void smb_whole_block(struct ich9_smbus *s, struct eeprom *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		s->block[i] = eeprom_next(e);
	smb_end(s, STS_INTR);
}

/* Of SMBus: the first byte says how many come. */
static void smb_block(struct ich9_smbus *s, struct eeprom *e)
{
	bool in = s->reg[XMIT_SLVA] & 1;
	unsigned n;

	e->at = s->reg[HST_CMD];
	if (in)
		s->reg[HST_D0] = eeprom_next(e);
	n = s->reg[HST_D0];
	if (!n || n > SMB_BLOCK) {
		smb_end(s, STS_DEV);
	} else if (s->reg[AUX_CTL] & AUX_CTL_E32B) {
		if (in)
			smb_whole_block(s, e, n);
		else
			smb_end(s, STS_INTR);
	} else {
		s->running = true;
		s->left = n;
		s->sts |= STS_BUSY;
		smb_go_on(s);
	}
}

/* 19.2.1 of I2C: DATA1 is the offset, any number of bytes comes. */
static void smb_i2c_read(struct ich9_smbus *s, struct eeprom *e)
{
	e->at = s->reg[HST_D1];
	s->running = true;
	s->left = UNTIL_LAST;
	s->sts |= STS_BUSY;
	smb_receive(s, e);
}

static void smb_word(struct ich9_smbus *s, struct eeprom *e, bool wide)
{
	e->at = s->reg[HST_CMD];
	if (s->reg[XMIT_SLVA] & 1) {
		s->reg[HST_D0] = eeprom_next(e);
		if (wide)
			s->reg[HST_D1] = eeprom_next(e);
	}
	smb_end(s, STS_INTR);
}

static void smb_start(struct ich9_smbus *s)
{
	struct eeprom *e = smb_slave(s);
	bool in = s->reg[XMIT_SLVA] & 1;

	if (!e) { /* nobody acknowledges */
		smb_end(s, STS_DEV);
		return;
	}
	switch (CNT_CMD(s->cnt)) {
	case SMB_QUICK: smb_end(s, STS_INTR); break;
	case SMB_BYTE:
		if (in)
			s->reg[HST_D0] = eeprom_next(e);
		else
			e->at = s->reg[HST_CMD];
		smb_end(s, STS_INTR);
		break;
	case SMB_BYTE_DATA: smb_word(s, e, false); break;
	case SMB_WORD_DATA: smb_word(s, e, true); break;
	case SMB_BLOCK_DATA: smb_block(s, e); break;
	case SMB_I2C_READ: smb_i2c_read(s, e); break;
	default: smb_end(s, STS_DEV); /* no EEPROM knows process calls */
	}
}

/* ---- registers ---- */

static uint8_t smb_read_byte(struct ich9_smbus *s, unsigned off)
{
	uint8_t val;

	switch (off) {
	case HST_STS:
		val = s->sts;
		s->sts |= STS_INUSE;
		return val;
	case HST_CNT: s->block_at = 0; return s->cnt;
	case HOST_BLOCK_DB:
		if (!(s->reg[AUX_CTL] & AUX_CTL_E32B))
			break;
		return s->block[s->block_at++ % SMB_BLOCK];
	}
	return s->reg[off];
}

static void smb_write_sts(struct ich9_smbus *s, uint8_t val)
{
	bool done = val & s->sts & STS_DS;

	s->sts &= ~(val & STS_W1C);
	if (done && s->running)
		smb_go_on(s);
}

static void smb_write_cnt(struct ich9_smbus *s, uint8_t val)
{
	s->cnt = val & CNT_BITS;
	if (val & CNT_KILL)
		smb_end(s, STS_FAIL);
	else if ((val & CNT_START) && !(s->sts & STS_BUSY))
		smb_start(s);
}

static void smb_write_byte(struct ich9_smbus *s, unsigned off, uint8_t val)
{
	switch (off) {
	case HST_STS: smb_write_sts(s, val); break;
	case HST_CNT: smb_write_cnt(s, val); break;
	case HOST_BLOCK_DB:
		if (s->reg[AUX_CTL] & AUX_CTL_E32B)
			s->block[s->block_at++ % SMB_BLOCK] = val;
		else
			s->reg[off] = val;
		break;
	case AUX_STS: s->reg[off] &= ~val; break;
	case AUX_CTL: s->reg[off] = val & 3; break;
	default:
		if (off >= HST_CMD && off <= PEC)
			s->reg[off] = val;
	}
}

static uint32_t smb_read(void *opaque, uint16_t port, unsigned size)
{
	return smb_read_byte(opaque, port & (SMB_BYTES - 1));
}

static void smb_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	smb_write_byte(opaque, port & (SMB_BYTES - 1), val);
	smb_update(opaque);
}

static const struct bus_io_ops smb_ops = {
	.read = smb_read,
	.write = smb_write,
};

void ich9_smbus_setup(struct dev *d)
{
	((struct ich9_smbus *)d)->pci.config[HOSTC] = HOSTC_EN;
}

/* ---- life ---- */

static int ich9_smbus_init(struct dev *d, char *err, unsigned errsize)
{
	struct ich9_smbus *s = (struct ich9_smbus *)d;
	uint64_t ram = d->host.ram_bytes ? d->host.ram_bytes
					 : bus_ram(d->host.bus)->bytes;

	pci_func_init(&s->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x2930,
			.class_code = 0x0c0500,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	s->pci.irq_pin = 3; /* as D31IP says */
	s->pci.wmask[HOSTC] = 0x07;
	s->pci.bar[SMB_BAR] = (struct pci_bar){
		.size = SMB_BYTES, .io = true, .ports = &smb_ops, .opaque = s};
	for (unsigned n = 0; n < SPD_MODULES; n++)
		s->module[n].present = spd_make(ram, n, s->module[n].data);
	return pci_func_plug(
		&s->pci, d->host.pci, ICH9_SLOT << 3 | ICH9_SMBUS_FN);
}

static void ich9_smbus_reset(struct dev *d)
{
	struct ich9_smbus *s = (struct ich9_smbus *)d;

	pci_func_reset(&s->pci);
	s->pci.config[HOSTC] = 0;
	s->sts = s->cnt = s->block_at = s->left = 0;
	s->running = s->last = false;
	memset(s->reg, 0, sizeof(s->reg));
	memset(s->block, 0, sizeof(s->block));
	for (unsigned n = 0; n < SPD_MODULES; n++)
		s->module[n].at = 0;
	smb_update(s);
}

static void ich9_smbus_fini(struct dev *d)
{
	pci_func_unplug(&((struct ich9_smbus *)d)->pci);
}

/* ---- state ---- */

static const struct state_field eeprom_fields[] = {
	STATE(struct eeprom, at),
};

static const struct state_list eeprom_state =
	STATE_LIST("eeprom", struct eeprom, 1, eeprom_fields);

static const struct state_field ich9_smbus_fields[] = {
	STATE_STRUCT(struct ich9_smbus, pci, &pci_func_state),
	STATE(struct ich9_smbus, sts),
	STATE(struct ich9_smbus, cnt, .max = CNT_BITS),
	STATE_BYTES(struct ich9_smbus, reg),
	STATE_BYTES(struct ich9_smbus, block),
	STATE(struct ich9_smbus, block_at),
	STATE(struct ich9_smbus, running),
	STATE(struct ich9_smbus, last),
	STATE(struct ich9_smbus, left),
	STATE_STRUCTS(struct ich9_smbus, module, &eeprom_state),
};

static const struct state_list ich9_smbus_state =
	STATE_LIST("ich9-smbus", struct ich9_smbus, 1, ich9_smbus_fields);

const struct dev_class ich9_smbus_class = {
	.name = "ich9-smbus",
	.size = sizeof(struct ich9_smbus),
	.init = ich9_smbus_init,
	.reset = ich9_smbus_reset,
	.fini = ich9_smbus_fini,
	.state = &ich9_smbus_state,
};
