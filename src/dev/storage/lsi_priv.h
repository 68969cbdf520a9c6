/*
 * lsi_priv.h - what the files of the LSI 53C895A share.  Chapters are those of
 * its technical manual, version 2.2.
 *
 * lsi.c          PCI function, registers, interrupts (chapter 4)
 * lsi_scripts.c  the SCRIPTS processor (chapter 5)
 * lsi_bus.c      the SCSI bus: phases, messages, the target's side (SPI-2)
 *
 * Registers are bytes, as the chip has them; what a processor or SCRIPTS reads
 * or writes with an effect goes through lsi_reg_read and lsi_reg_write.
 */
#ifndef DEV_STORAGE_LSI_PRIV_H
#define DEV_STORAGE_LSI_PRIV_H

#include "dev/pci/pci.h"
#include "dev/storage/lsi.h"

#define LSI_REGS 256u
#define LSI_RAM	 8192u
#define LSI_MSG	 16u

enum {
	LSI_SCNTL0 = 0x00,
	LSI_SCNTL1 = 0x01,
	LSI_SCNTL2 = 0x02,
	LSI_SCNTL3 = 0x03,
	LSI_SCID = 0x04,
	LSI_SXFER = 0x05,
	LSI_SDID = 0x06,
	LSI_SFBR = 0x08,
	LSI_SOCL = 0x09,
	LSI_SSID = 0x0a,
	LSI_SBCL = 0x0b,
	LSI_DSTAT = 0x0c,
	LSI_SSTAT0 = 0x0d,
	LSI_SSTAT1 = 0x0e,
	LSI_SSTAT2 = 0x0f,
	LSI_DSA = 0x10,
	LSI_ISTAT0 = 0x14,
	LSI_ISTAT1 = 0x15,
	LSI_CTEST1 = 0x19,
	LSI_CTEST2 = 0x1a,
	LSI_CTEST3 = 0x1b,
	LSI_TEMP = 0x1c,
	LSI_DBC = 0x24,
	LSI_DCMD = 0x27,
	LSI_DNAD = 0x28,
	LSI_DSP = 0x2c,
	LSI_DSPS = 0x30,
	LSI_SCRATCHA = 0x34,
	LSI_DMODE = 0x38,
	LSI_DIEN = 0x39,
	LSI_DCNTL = 0x3b,
	LSI_SIEN0 = 0x40,
	LSI_SIEN1 = 0x41,
	LSI_SIST0 = 0x42,
	LSI_SIST1 = 0x43,
	LSI_MACNTL = 0x46,
	LSI_GPCNTL = 0x47,
	LSI_STIME1 = 0x49,
	LSI_STEST4 = 0x52,
	LSI_CCNTL0 = 0x56,
	LSI_CCNTL1 = 0x57,
	LSI_SBDL = 0x58,
	LSI_SCRATCHC = 0x60,
	LSI_MMRS = 0xa0,
	LSI_PMJAD1 = 0xc0,
	LSI_PMJAD2 = 0xc4,
	LSI_RBC = 0xc8,
	LSI_UA = 0xcc,
	LSI_ESA = 0xd0,
	LSI_IA = 0xd4,
	LSI_SBC = 0xd8,
};

/* interrupts: DSTAT, SIST0, SIST1 */
#define LSI_D_ABRT 0x10
#define LSI_D_SSI  0x08
#define LSI_D_SIR  0x04
#define LSI_D_IID  0x01
#define LSI_D_DFE  0x80 /* no interrupt: the FIFO is empty */
#define LSI_S0_MA  0x80
#define LSI_S0_RST 0x02
#define LSI_S1_STO 0x04
#define LSI_S1_GEN 0x02

#define LSI_I_INTF 0x04
#define LSI_I_CON  0x08
#define LSI_I_SIGP 0x20

/* phases (table 2-3 of SPI-2): MSG, C/D, I/O; and none is asked for yet */
enum lsi_phase {
	LSI_DATA_OUT = 0,
	LSI_DATA_IN = 1,
	LSI_COMMAND = 2,
	LSI_STATUS = 3,
	LSI_MESSAGE_OUT = 6,
	LSI_MESSAGE_IN = 7,
	LSI_NO_REQ = 8,
};

/* What SCRIPTS wait for. */
enum lsi_wait {
	LSI_WAIT_NOTHING,
	LSI_WAIT_RESELECT, /* or the host's signal */
	LSI_WAIT_REQ,	   /* the target asks for a phase: DSP stands there */
	LSI_WAIT_DATA,	   /* of a block move */
};

struct lsi {
	struct dev dev;
	struct pci_func pci;
	struct disk_queue *queue;
	uint8_t *ram; /* for SCRIPTS */
	uint8_t reg[LSI_REGS];
	struct bus_timer go_on, general;

	/* the processor */
	bool running, inside, carry;
	uint8_t wait;

	/* the bus */
	bool connected, atn, timed_out, selected;
	uint8_t phase, later; /* enum lsi_phase; later: behind messages */
	uint8_t target, lun;
	uint8_t out[LSI_MSG], in[LSI_MSG]; /* messages */
	uint8_t nout, nin;
	bool over; /* the last message in ends the connection */

	/* the command */
	bool active, ended;
	struct scsi_req req;
	struct lsi_step {
		struct scsi_job j;
		struct lsi *d;
		gpa_t at;
	} step;
	gpa_t move_at; /* of the block move: where its next byte goes */
	uint32_t move_left;
	uint8_t move_high; /* upper byte of its table's count */

	bool present[LSI_TARGETS];
	struct scsi_unit unit[LSI_TARGETS];
};

static inline uint32_t lsi_get(const struct lsi *d, unsigned reg)
{
	const uint8_t *p = d->reg + reg;

	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void lsi_put(struct lsi *d, unsigned reg, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		d->reg[reg + i] = v >> (8 * i);
}

/* ---- lsi.c ---- */
uint8_t lsi_reg_read(struct lsi *d, unsigned reg);
void lsi_reg_write(struct lsi *d, unsigned reg, uint8_t v);
/* Raise interrupts; SCRIPTS stop. */
void lsi_dma_interrupt(struct lsi *d, uint8_t dstat);
void lsi_scsi_interrupt(struct lsi *d, uint8_t sist0, uint8_t sist1);
void lsi_update_irq(struct lsi *d);

/* ---- lsi_scripts.c ---- */
/* Go on until there is something to wait for. */
void lsi_run(struct lsi *d);
void lsi_start(struct lsi *d);
/* The target asks for a phase now. */
void lsi_asked(struct lsi *d);
/* The host's signal was set. */
void lsi_signalled(struct lsi *d);
/* A block move has moved n bytes; what is left of it is in move_left. */
void lsi_moved(struct lsi *d, uint32_t n);

/* ---- lsi_bus.c ---- */
/* False: nobody answers. */
bool lsi_select(struct lsi *d, unsigned target, bool atn);
/* Move what the phase has between the target and the block move's memory, then
 * call lsi_moved, at once or later. */
void lsi_transfer(struct lsi *d);
/* A block move wants this phase, the first since a selection. */
void lsi_message_first(struct lsi *d, enum lsi_phase wanted);
void lsi_set_atn(struct lsi *d, bool on);
void lsi_free_bus(struct lsi *d);
/* Give up what is at work. */
void lsi_abandon(struct lsi *d);
void lsi_bus_reset(struct lsi *d);

#endif
