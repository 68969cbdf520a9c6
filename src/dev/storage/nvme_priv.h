/*
 * nvme_priv.h - what the files of the NVMe controller share (NVM Express 1.4).
 *
 * nvme.c        the PCI function, registers, queues, interrupts
 * nvme_admin.c  commands of the admin queue
 * nvme_info.c   what they answer: identification, logs, features
 * nvme_io.c     commands of I/O queues, on worker threads; PRPs
 *
 * Locks: registers and the admin queue belong to the bus lock; I/O queues and
 * all completion queues to the pool's.
 */
#ifndef DEV_STORAGE_NVME_PRIV_H
#define DEV_STORAGE_NVME_PRIV_H

#include "block/blk.h"
#include "dev/pci/pci.h"
#include "dev/storage/disk_queue.h"
#include "dev/storage/dma_iov.h"
#include "dev/storage/nvme.h"
#include "dev/storage/queue_pool.h"

#define NVME_QUEUES	 65u   /* the admin queue and those of the pool */
#define NVME_MAX_ENTRIES 1024u /* of a queue */
#define NVME_VECTORS	 65u
#define NVME_BLOCK	 512u
#define NVME_MDTS	 9u /* 2^9 pages of 4 KiB */
#define NVME_MAX_BYTES	 (4096u << NVME_MDTS)
#define NVME_AERS	 4u
#define NVME_ERRORS	 16u /* entries of the error log */
#define NVME_INFO	 4096u

/* A status: code, type << 8, do not retry (4.6.1). */
#define NVME_DNR 0x4000u
enum {
	NVME_OK = 0,
	NVME_BAD_OPCODE = 0x001 | NVME_DNR,
	NVME_BAD_FIELD = 0x002 | NVME_DNR,
	NVME_TRANSFER = 0x004,
	NVME_INTERNAL = 0x006,
	NVME_SQ_DELETED = 0x008,
	NVME_BAD_NAMESPACE = 0x00b | NVME_DNR,
	NVME_SEQUENCE = 0x00c | NVME_DNR,
	NVME_BAD_PRP = 0x013 | NVME_DNR,
	NVME_LBA_RANGE = 0x080 | NVME_DNR,
	NVME_CAPACITY = 0x081 | NVME_DNR,
	NVME_BAD_CQ = 0x100 | NVME_DNR,
	NVME_BAD_QUEUE = 0x101 | NVME_DNR,
	NVME_BAD_SIZE = 0x102 | NVME_DNR,
	NVME_AER_LIMIT = 0x105 | NVME_DNR,
	NVME_BAD_VECTOR = 0x108 | NVME_DNR,
	NVME_BAD_LOG = 0x109 | NVME_DNR,
	NVME_BAD_DELETION = 0x10c | NVME_DNR,
	NVME_NOT_SAVEABLE = 0x10d | NVME_DNR,
	NVME_READ_ONLY = 0x182 | NVME_DNR,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_MISCOMPARE = 0x285 | NVME_DNR,
	/* not a status: the answer comes later */
	NVME_LATER = 0xffff,
};

struct nvme_cmd {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved, metadata;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

_Static_assert(sizeof(struct nvme_cmd) == 64, "3.1: 64 bytes");

struct nvme_sq {
	bool there;
	uint16_t size, head, tail, cq;
	gpa_t base;
};

struct nvme_cq {
	bool there, irq, phase;
	uint16_t size, head, tail, vector;
	uint16_t told;	   /* tail at the last interrupt */
	uint16_t reserved; /* entries that commands at work will need */
	gpa_t base;
};

struct nvme_error {
	uint64_t count;
	uint16_t sq, cid, status;
	uint64_t lba;
	uint32_t nsid;
};

/* Feature values that are kept: from 0x01 on. */
#define NVME_FEATURES 12u

struct nvme {
	struct dev dev;
	struct pci_func pci;
	struct blk *blk;
	bool readonly;
	char serial[21];
	struct queue_pool pool;
	struct disk_queue *flusher;
	struct disk_job shutdown;
	struct dma_iov *v; /* for the admin queue */

	/* registers */
	uint32_t intms, cc, csts, aqa;
	uint64_t asq, acq;

	struct nvme_sq sq[NVME_QUEUES];
	struct nvme_cq cq[NVME_QUEUES];
	uint32_t feature[NVME_FEATURES];
	_Atomic(bool) write_through; /* feature 6 */

	uint16_t aer[NVME_AERS]; /* their command identifiers */
	uint8_t naers;
	uint32_t event;	   /* to be told, or 0 */
	bool event_masked; /* until its log page was read */
	struct nvme_error error[NVME_ERRORS];
	uint64_t errors; /* under the pool's lock, as the row */
	_Atomic(uint64_t) reads, writes, read_blocks, written_blocks;
};

/* A worker's command. */
struct nvme_slot {
	struct queue_slot slot;
	struct nvme_sq *sq;
	struct nvme_cmd cmd;
	uint16_t sq_head; /* for its completion */
	uint16_t status;
	struct dma_iov v;
};

/* Bytes of the host's pages (CC.MPS). */
static inline uint32_t nvme_page(const struct nvme *d)
{
	return 4096u << (d->cc >> 7 & 15);
}

/* ---- nvme.c ---- */

/* Pool's lock held: complete a command of queue sq. */
void nvme_complete(struct nvme *d, unsigned sq, uint16_t sq_head, uint16_t cid,
	uint32_t result, uint16_t status);
/* Pool's lock held: entries that may still be completed. */
unsigned nvme_cq_room(const struct nvme_cq *q);
/* Bus lock held. */
void nvme_update_irq(struct nvme *d, unsigned cq);
/* Tell a waiting AER of an event: its type, information, log page. */
void nvme_event(struct nvme *d, uint8_t type, uint8_t info, uint8_t log);
void nvme_flush_events(struct nvme *d);
void nvme_note_error(
	struct nvme *d, unsigned sq, const struct nvme_cmd *c, uint16_t status);

/* ---- nvme_admin.c, nvme_info.c: bus lock held ---- */

/* NVME_LATER, or the status and *result. */
uint16_t nvme_admin(struct nvme *d, const struct nvme_cmd *c, uint32_t *result);
uint16_t nvme_identify(struct nvme *d, const struct nvme_cmd *c);
uint16_t nvme_get_log(struct nvme *d, const struct nvme_cmd *c);
void nvme_features_reset(struct nvme *d);
uint16_t nvme_get_features(
	struct nvme *d, const struct nvme_cmd *c, uint32_t *result);
uint16_t nvme_set_features(
	struct nvme *d, const struct nvme_cmd *c, uint32_t *result);

/* ---- nvme_io.c ---- */

/* The command's data, len bytes, as a vector.  A status. */
uint16_t nvme_map(struct nvme *d, const struct nvme_cmd *c, uint64_t len,
	struct dma_iov *v, bool fetch);
extern const struct queue_pool_ops nvme_pool_ops;

#endif
