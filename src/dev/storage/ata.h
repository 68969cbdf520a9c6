/*
 * ata.h - an ATA disk or ATAPI CD drive, apart from how it is cabled.
 *
 * The command sets live here once; ide.c and ahci.c are the two transports.
 * A transport fills the registers, calls ata_command, and is told by its
 * struct ata_transport when data can move and when the command has ended.
 *
 * Specification: ATA/ATAPI-7 (T13 1532D) volume 1; packet commands are SCSI's
 * (scsi.h).  All functions: bus lock held.
 *
 * ata.c          registers, phases, the table of commands
 * ata_io.c       what a worker thread does: medium <-> guest memory
 * ata_info.c     IDENTIFY, SMART, logs
 * atapi.c        how packet commands move their data
 * ata_state.c    what is saved of it all
 */
#ifndef DEV_STORAGE_ATA_H
#define DEV_STORAGE_ATA_H

#include "block/blk.h"
#include "dev/dev.h"
#include "dev/storage/disk_queue.h"
#include "dev/storage/prd.h"
#include "dev/storage/scsi.h"

#define ATA_SECTOR    512u
#define ATA_BUFFER    (128u * 1024)
#define ATA_MULTIPLE  16u /* sectors in one data block, at most */
#define ATA_CDB_BYTES 16u

/* status */
#define ATA_ERR	 0x01
#define ATA_DRQ	 0x08
#define ATA_DSC	 0x10
#define ATA_DF	 0x20
#define ATA_DRDY 0x40
#define ATA_BSY	 0x80

/* error */
#define ATA_E_ABRT 0x04
#define ATA_E_IDNF 0x10
#define ATA_E_UNC  0x40

/* device register */
#define ATA_DEV_1   0x10
#define ATA_DEV_LBA 0x40

/* interrupt reason: the count register of packet commands */
#define ATAPI_CD 0x01
#define ATAPI_IO 0x02

enum {
	ATA_CMD_DEVICE_RESET = 0x08,
	ATA_CMD_DIAGNOSTIC = 0x90,
	ATA_CMD_PACKET = 0xa0,
	ATA_CMD_FPDMA_READ = 0x60,
	ATA_CMD_FPDMA_WRITE = 0x61,
};

enum ata_phase {
	ATA_IDLE,
	ATA_BUSY,    /* a worker is at it */
	ATA_PIO_IN,  /* the host reads x.block bytes at x.pos of buf */
	ATA_PIO_OUT, /* the host writes them */
	ATA_CDB,     /* the host writes the command packet into cdb */
	ATA_DMA,     /* ready: the transport shall call ata_dma_go */
};

struct ata_drive;

struct ata_transport {
	/* A data block is there or wanted; irq: interrupt for it. */
	void (*pio)(struct ata_drive *d, bool irq);
	/* The command wants DMA; its direction is d->io.to_guest. */
	void (*dma)(struct ata_drive *d);
	/* The PRD table was too short; the drive still waits for more. */
	void (*dma_short)(struct ata_drive *d);
	/* The command has ended, status and error are set. */
	void (*done)(struct ata_drive *d, bool irq);
	/* One block may be as long as the buffer. */
	bool whole_blocks;
	bool sata; /* says so in its identification; NCQ */
};

/* Something for a worker thread. */
enum ata_io_kind {
	ATA_IO_READ,
	ATA_IO_WRITE,
	ATA_IO_VERIFY,
	ATA_IO_FLUSH,
	ATA_IO_TRIM,   /* ranges from guest memory */
	ATA_IO_BUF_IN, /* buf to guest memory */
	ATA_IO_PACKET, /* data of d->req */
};

struct ata_io {
	struct disk_job job;
	struct ata_drive *d;
	struct blk *blk;
	enum ata_io_kind kind;
	bool to_guest; /* direction of DMA */
	bool flush;    /* afterwards */
	uint8_t *buf;  /* or NULL: guest memory by prd */
	struct prd prd;
	uint64_t off, len; /* on the medium, in bytes */
	uint64_t moved;	   /* so many were there in the PRD table */
	int rc;		   /* 0 or -errno */
	/* Bus lock held. */
	void (*end)(struct ata_io *io);
	unsigned tag; /* NCQ */
};

/* The data of the command at work. */
struct ata_xfer {
	uint64_t off, left; /* on the medium: not yet in or out of buf */
	uint32_t len, pos, block, block_max;
	bool media, packet, flush;
	/* The host has written len bytes that are not for the medium. */
	void (*end)(struct ata_drive *d);
};

struct ata_conf {
	const char *id;	 /* "disk0", "cd0" */
	struct blk *blk; /* CD: or NULL */
	bool atapi, readonly;
	const char *serial; /* or NULL: from the id */
};

struct ata_drive {
	const struct ata_transport *t;
	void *port; /* the transport's */
	struct bus *bus;
	struct disk_queue *queue;
	_Atomic(bool) stopping; /* what is at work is not wanted any more */
	struct blk *blk;
	bool present, atapi, readonly;
	unsigned unit; /* 1: second on its cable */
	char model[41], serial[21];
	uint64_t sectors;

	/* The register file: low byte current, high byte written before. */
	uint16_t feature, count, lba[3];
	uint8_t device, command, status, error;
	bool hob; /* the host reads the high bytes */

	enum ata_phase phase;
	struct ata_xfer x;
	struct ata_io io;
	uint8_t *buf;
	uint8_t cdb[ATA_CDB_BYTES];

	/* what the host has set */
	uint16_t cyls, heads, spt; /* translation; cyls 0: none */
	uint8_t multiple, power;
	uint8_t udma, mwdma; /* bits as in words 88 and 63, high byte */
	bool write_cache, look_ahead, smart, smart_save, asleep;

	/* NCQ: what failed last, for log 0x10 */
	bool ncq_failed;
	uint8_t ncq_log[20];

	/* ATAPI */
	struct scsi_unit scsi;
	struct scsi_req req;
	bool req_ended;	 /* its status is there, its data perhaps not yet */
	bool dma_wanted; /* by the PACKET command */
	uint64_t requests, bytes_read, bytes_written;
};

/* Make a drive of a zeroed object; 0 or -errno. */
int ata_init(struct ata_drive *d, struct dev *dev,
	const struct ata_transport *t, const struct ata_conf *c);
void ata_fini(struct ata_drive *d);
/* Power-on state. */
void ata_power_on(struct ata_drive *d);
/* Give up what is at work, put the signature into the registers.  hard: what
 * features were set goes too. */
void ata_reset(struct ata_drive *d, bool hard);
void ata_signature(struct ata_drive *d);
/* Give up the command at work; nobody is told. */
void ata_abort(struct ata_drive *d);

/* The command register was written: d->command. */
void ata_command(struct ata_drive *d);
/* The host has moved the block of PIO_IN, PIO_OUT or CDB. */
void ata_pio_done(struct ata_drive *d);
/* In phase DMA: go. */
void ata_dma_go(struct ata_drive *d, const struct prd *prd);

/* A queued command of AHCI; regs as in the FIS.  False: refused, d->status and
 * d->error say why.  io->end comes later. */
bool ata_ncq(struct ata_drive *d, struct ata_io *io);
/* Remember for log 0x10. */
void ata_ncq_fail(struct ata_drive *d, const struct ata_io *io, uint8_t error);

/* ata_state.c: let what is under way end; what of a drive is saved. */
void ata_drain_all(struct ata_drive *d);
extern const struct state_list ata_state;

void ata_describe(struct ata_drive *d, char *buf, unsigned size);

/* ---- for the files of the command sets ---- */

static inline uint64_t ata_lba48(const struct ata_drive *d)
{
	return (uint64_t)(d->lba[2] >> 8) << 40 |
	       (uint64_t)(d->lba[1] >> 8) << 32 |
	       (uint32_t)(d->lba[0] >> 8) << 24 | (d->lba[2] & 0xff) << 16 |
	       (d->lba[1] & 0xff) << 8 | (d->lba[0] & 0xff);
}

void ata_set_lba48(struct ata_drive *d, uint64_t lba);

/* ends of a command */
void ata_ok(struct ata_drive *d);
void ata_fail(struct ata_drive *d, uint8_t error);
/* Answer with len bytes of buf by PIO, or by DMA. */
void ata_answer(struct ata_drive *d, uint32_t len);
void ata_answer_dma(struct ata_drive *d, uint32_t len);
/* Take len bytes into buf, then call end. */
void ata_take(
	struct ata_drive *d, uint32_t len, void (*end)(struct ata_drive *d));
void ata_media_in(struct ata_drive *d, uint64_t off, uint64_t len);
void ata_media_out(struct ata_drive *d, uint64_t off, uint64_t len);
void ata_dma_ready(
	struct ata_drive *d, enum ata_io_kind kind, uint64_t off, uint64_t len);
void ata_submit(struct ata_drive *d, struct ata_io *io);

void ata_io_work(struct disk_job *j, struct dma_iov *v);

/* ata_info.c */
void ata_cmd_identify(struct ata_drive *d);
void ata_cmd_identify_packet(struct ata_drive *d);
void ata_cmd_smart(struct ata_drive *d);
void ata_cmd_read_log(struct ata_drive *d);

/* Data of a packet command, max bytes at most, between it and buf; then end is
 * called. */
void ata_packet_step(
	struct ata_drive *d, uint32_t max, void (*end)(struct ata_io *io));
/* Let the host read len bytes of buf. */
void ata_pio_in(struct ata_drive *d, uint32_t len);

/* atapi.c */
void ata_cmd_packet(struct ata_drive *d);
/* The packet is in d->cdb. */
void atapi_packet(struct ata_drive *d);
void atapi_block(struct ata_drive *d);
/* The host has written what a packet command takes. */
void atapi_drain(struct ata_drive *d);
/* The host has read what was in buf. */
void atapi_more(struct ata_drive *d);
void atapi_dma_end(struct ata_drive *d);

#endif
