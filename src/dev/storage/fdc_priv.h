/*
 * fdc_priv.h - what the files of the floppy disk controller share.
 *
 * fdc.c      registers, phases, drives and discs
 * fdc_cmd.c  commands without data
 * fdc_data.c commands that read, write, compare and format
 */
#ifndef DEV_STORAGE_FDC_PRIV_H
#define DEV_STORAGE_FDC_PRIV_H

#include "dev/state.h"
#include "dev/storage/disk_queue.h"
#include "dev/storage/fdc.h"

#define FDC_SECTOR 512u
#define FDC_BUFFER (2 * 36 * FDC_SECTOR) /* a cylinder of 2.88M */
#define FDC_PARAMS 17

/* ST0 */
#define ST0_ABNORMAL 0x40
#define ST0_INVALID  0x80
#define ST0_POLLED   0xc0
#define ST0_SEEK_END 0x20
#define ST0_CHECK    0x10 /* recalibrate did not find track 0 */
/* ST1 */
#define ST1_MA 0x01 /* no address mark */
#define ST1_NW 0x02 /* write protected */
#define ST1_ND 0x04 /* sector not found */
#define ST1_OR 0x10 /* overrun */
#define ST1_DE 0x20 /* data error */
#define ST1_EN 0x80 /* end of cylinder */
/* ST2 */
#define ST2_SN 0x04 /* scan not satisfied */
#define ST2_SH 0x08 /* scan equal */
#define ST2_WC 0x10 /* wrong cylinder */
#define ST2_CM 0x40 /* deleted mark where none was wanted, or the reverse */

enum fdc_phase {
	FDC_IDLE,
	FDC_COMMAND, /* takes parameters */
	FDC_EXEC,    /* at work, or data by the FIFO */
	FDC_RESULT,
};

struct fdc_drive {
	bool present, readonly, large;
	struct blk *blk;
	const struct fdc_format *format; /* of the disc */
	unsigned type;			 /* as in CMOS */
	uint8_t track;			 /* where the heads are */
	uint8_t next_id;		 /* for READ ID */
	bool changed;			 /* the change line */
};

struct fdc;

enum fdc_way { /* of data through the FIFO or DMA */
	FDC_TO_HOST,
	FDC_FROM_HOST,
};

/* The data of the command at work; buf holds the whole cylinder. */
struct fdc_xfer {
	uint8_t c, h, r, n, eot;
	bool mt;
	uint8_t st1, st2;
	enum fdc_way way;
	uint8_t *at;		   /* the sector, or the list, at hand */
	uint32_t pos, len;	   /* in it */
	uint32_t dirty, dirty_end; /* of buf */
	/* A piece was moved whole, or up to terminal count (tc). */
	void (*moved)(struct fdc *f, bool tc);
};

struct fdc {
	struct dev dev;
	struct fdc_drive drive[FDC_DRIVES];
	struct disk_queue *queue;
	uint8_t dor, tdr, rate;
	enum fdc_phase phase;
	uint8_t cmd[FDC_PARAMS], result[FDC_PARAMS];
	unsigned cmd_len, cmd_at, result_len, result_at;
	bool irq;
	/* what commands set */
	uint8_t specify[2], configure[2], perpendicular, option;
	bool lock, powerdown;
	uint8_t pcn[4];
	/* interrupts that wait for SENSE INTERRUPT, one a drive */
	uint8_t sense[4];
	uint8_t sensed; /* bit per drive: sense[n] waits */
	uint8_t seeking;
	struct bus_timer seek_timer, reset_timer;
	struct fdc_xfer x;
	/* the worker's orders */
	struct disk_job job;
	struct blk *job_blk;
	uint64_t job_off, job_len;
	bool job_write;
	int job_rc;
	void (*job_end)(struct fdc *f);
	uint8_t *buf, *list; /* a cylinder; what the host sends besides */
	uint64_t requests;
};

struct fdc_command {
	uint8_t mask, code; /* of the first byte */
	uint8_t params;	    /* bytes behind it */
	void (*run)(struct fdc *f);
};

/* Ends with a NULL run: whatever else is invalid. */
extern const struct fdc_command fdc_commands[];

/* The drive a command names, or NULL: none there. */
struct fdc_drive *fdc_selected(struct fdc *f);
bool fdc_motor(const struct fdc *f, unsigned n);
void fdc_raise(struct fdc *f);
/* End with n bytes of f->result; irq: interrupt for them. */
void fdc_answer(struct fdc *f, unsigned n, bool irq);
void fdc_finish(struct fdc *f); /* no result */
/* The seven bytes of data commands. */
void fdc_answer_data(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2);
/* Move len bytes of buf from or to off of the selected disc. */
void fdc_submit(struct fdc *f, uint64_t off, uint32_t len, bool write,
	void (*end)(struct fdc *f));
void fdc_step(struct fdc *f, unsigned n, uint8_t track);
/* Move len bytes at p between the host and us, by DMA or the FIFO; then
 * x.moved is called. */
void fdc_move(struct fdc *f, uint8_t *p, uint32_t len);

/* fdc_data.c: what a state may have as x.moved; find the data again that the
 * FIFO moves, false if there cannot be any. */
extern const struct state_choice fdc_moves[];
bool fdc_resume(struct fdc *f);

void fdc_read_data(struct fdc *f);
void fdc_write_data(struct fdc *f);
void fdc_scan(struct fdc *f);
void fdc_verify(struct fdc *f);
void fdc_read_track(struct fdc *f);
void fdc_read_id(struct fdc *f);
void fdc_format_track(struct fdc *f);

#endif
