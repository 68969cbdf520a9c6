/*
 * scsi.h - a SCSI logical unit, apart from how it is cabled.
 *
 * The command sets live here once: disks (SBC-3), CD drives (MMC-5), and what
 * all units know (SPC-4).  Transports are parallel SCSI, virtio, USB mass
 * storage and ATAPI.  A command is carried out in three steps:
 *
 *   scsi_begin   decodes it and says which way how much data goes
 *   scsi_move    moves the next piece of it, until all is moved or the
 *                transport gives up
 *   scsi_end     does what is left to do; status and sense are final
 *
 * scsi_begin is quick.  The other two block if r->blocks is set: then they are
 * for worker threads, either the transport's own or those of a disk queue by
 * way of struct scsi_job.
 *
 * Threads: any, with or without the bus lock; a request belongs to one at a
 * time, a unit has its own lock.
 *
 * scsi.c         life of requests and units, sense data, medium changes
 * scsi_info.c    what all units answer: INQUIRY, REPORT LUNS, REQUEST SENSE
 * scsi_mode.c    mode pages
 * scsi_disk.c    commands of disks
 * scsi_cd.c      commands of CD drives
 * scsi_cd_info.c what they answer
 * scsi_state.c   what is saved
 */
#ifndef DEV_STORAGE_SCSI_H
#define DEV_STORAGE_SCSI_H

#include <pthread.h>

#include "block/blk.h"
#include "dev/state.h"
#include "dev/storage/disk_queue.h"

#define SCSI_CDB_BYTES	 16u
#define SCSI_SENSE_BYTES 32u	  /* at most */
#define SCSI_MAX_BLOCKS	 65536u	  /* read or written by one command */
#define SCSI_MAX_PARAMS	 65535u	  /* bytes of a parameter list */
#define SCSI_ID_BYTES	 20u	  /* of a serial number */
#define SCSI_MAX_SAME	 0x20000u /* blocks of one WRITE SAME */

/* status (SAM-5, 5.3.1) */
#define SCSI_GOOD	     0x00
#define SCSI_CHECK_CONDITION 0x02
#define SCSI_BUSY	     0x08
#define SCSI_TASK_SET_FULL   0x28

/* sense keys (SPC-4, 4.5.6) */
enum {
	SCSI_NO_SENSE = 0,
	SCSI_NOT_READY = 2,
	SCSI_MEDIUM_ERROR = 3,
	SCSI_HARDWARE_ERROR = 4,
	SCSI_ILLEGAL_REQUEST = 5,
	SCSI_UNIT_ATTENTION = 6,
	SCSI_DATA_PROTECT = 7,
	SCSI_ABORTED_COMMAND = 11,
	SCSI_MISCOMPARE = 14,
};

/* What a unit is cabled to: it says so here and there. */
enum scsi_cable {
	SCSI_ON_PARALLEL,
	SCSI_ON_VIRTIO,
	SCSI_ON_USB,
	SCSI_ON_ATAPI,
};

/* Pending unit attentions, in the order in which they are told. */
enum scsi_attention {
	SCSI_AT_POWER_ON = 1 << 0,     /* 29/00 */
	SCSI_AT_BUS_RESET = 1 << 1,    /* 29/02 */
	SCSI_AT_DEVICE_RESET = 1 << 2, /* 29/03 */
	SCSI_AT_GONE = 1 << 3,	       /* not ready, once: see scsi_cd.c */
	SCSI_AT_MEDIUM = 1 << 4,       /* 28/00 */
};

/* Events of removable media (MMC-5, 6.6). */
enum {
	SCSI_EV_EJECT_REQUEST = 1,
	SCSI_EV_NEW_MEDIA = 2,
	SCSI_EV_REMOVAL = 3,
};

struct scsi_sense {
	uint8_t key, asc, ascq;
	bool has_info;
	uint64_t info; /* the block that failed */
	/* Which byte (and bit, or 8) of the CDB or parameters was bad. */
	bool has_field, in_cdb;
	uint8_t bit;
	uint16_t field;
};

struct scsi_conf {
	const char *id;	 /* "disk0", "cd0" */
	struct blk *blk; /* removable: or NULL */
	bool cd, removable, readonly;
	enum scsi_cable cable;
	/* Sense data go with the status; otherwise they are kept for REQUEST
	 * SENSE. */
	bool autosense;
	const char *serial; /* or NULL: from the id */
};

struct scsi_unit {
	/* what it is */
	bool cd, removable, autosense;
	enum scsi_cable cable;
	uint32_t block_bytes;
	char serial[SCSI_ID_BYTES + 1];

	pthread_mutex_t lock; /* covers what follows */
	pthread_cond_t unused;
	struct blk *blk;
	bool readonly;
	unsigned users;	  /* requests that are at the medium */
	unsigned changes; /* of the medium */
	_Atomic(bool) stopping;
	/* what the host sees and has set */
	struct scsi_sense sense; /* without autosense: of the last command */
	uint8_t attention;	 /* enum scsi_attention */
	uint8_t event;		 /* to be reported */
	bool stopped, locked, tray_open;
	bool write_cache, descriptor_sense, write_protect;
	uint64_t requests, bytes_read, bytes_written;
};

enum scsi_dir {
	SCSI_NO_DATA,
	SCSI_IN, /* to the host */
	SCSI_OUT,
};

struct scsi_req {
	/* given by the transport */
	uint8_t cdb[SCSI_CDB_BYTES];

	/* after scsi_begin */
	enum scsi_dir dir;
	uint64_t len;	/* bytes that the command moves */
	uint64_t moved; /* of them, so far */
	bool blocks;	/* scsi_move and scsi_end may block */

	/* after scsi_end */
	uint8_t status;
	uint8_t sense_len; /* 0: none */
	uint8_t sense[SCSI_SENSE_BYTES];

	/* private */
	struct scsi_unit *unit;
	struct scsi_sense why;
	bool no_unit; /* the LUN is not there */
	bool failed, media, verify, flush;
	unsigned changes; /* of the medium, when it began */
	uint64_t off;	  /* of the data on the medium, in bytes */
	uint8_t *buf;	  /* of len bytes: what is not on the medium */
	void (*finish)(struct scsi_req *r); /* when all is moved */
};

/* Make a unit of a zeroed object; 0 or -EINVAL: the image is empty. */
int scsi_unit_init(struct scsi_unit *u, const struct scsi_conf *c);
void scsi_unit_fini(struct scsi_unit *u);
/* Power-on state; or that after a reset, which it has to tell of. */
void scsi_unit_power_on(struct scsi_unit *u);
void scsi_unit_reset(struct scsi_unit *u, enum scsi_attention why);
/* While set, whoever moves a lot gives up soon. */
void scsi_unit_stop(struct scsi_unit *u, bool stop);

/*
 * Begin r->cdb, of which the transport has filled in what it got (the rest is
 * 0), for the logical unit lun of a target whose only unit is u, with number
 * 0.  Everything but the CDB is set here.  Then, whatever came of it, call
 * scsi_end or scsi_drop.
 */
void scsi_begin(struct scsi_req *r, struct scsi_unit *u, uint64_t lun);
/* The next bytes, at most r->len - r->moved: between the host's memory and
 * the unit.  False: it failed, there is no more to move. */
bool scsi_move(struct scsi_req *r, const struct iovec *iov, int n);
/* If less was moved out than r->len, what the command does is up to it. */
void scsi_end(struct scsi_req *r);
/* Give it up. */
void scsi_drop(struct scsi_req *r);

static inline uint64_t scsi_left(const struct scsi_req *r)
{
	return r->failed ? 0 : r->len - r->moved;
}

/*
 * A step for a disk queue's thread: move up to max bytes, then, if asked, end.
 * Its done callback runs with the bus lock held.
 */
struct scsi_job {
	struct disk_job job; /* its done: the transport's */
	struct scsi_req *req;
	uint64_t max;
	bool end; /* afterwards */
	/* The host's memory: this buffer, or where window is set, what it puts
	 * into v, bytes of it at most; 0: there is no more.  No lock held. */
	void *buf;
	uint64_t (*window)(
		struct scsi_job *j, struct dma_iov *v, uint64_t bytes);
	uint64_t moved; /* result: so many were moved by this step */
};

void scsi_submit(struct disk_queue *q, struct scsi_job *j);
/* The same, here and now. */
void scsi_work(struct scsi_job *j, struct dma_iov *v);

/* Give it a medium or take it (NULL); the old one, which is no more used. */
struct blk *scsi_change_medium(struct scsi_unit *u, struct blk *blk);
/* What a press of the eject button does: false if the guest has locked the
 * door, and is told of the wish. */
bool scsi_eject_button(struct scsi_unit *u);

void scsi_describe(struct scsi_unit *u, char *buf, unsigned size);

/*
 * scsi_state.c: what of a unit is saved; and a request between two steps, for
 * a transport's struct state_blob: appended to out, then taken from there into
 * *r (apply, else only looked at) after the unit was loaded.  over: scsi_end
 * was called.  Loading returns 0, 1 if it is over, or -errno.
 */
extern const struct state_list scsi_unit_state;
#define SCSI_REQ_STATE_MAX (64u + 65536u)
void scsi_req_save(const struct scsi_req *r, bool over, GByteArray *out);
int scsi_req_load(struct scsi_req *r, struct scsi_unit *u,
	const struct state_bytes *from, char *err, unsigned errsize);

/* ---- for the files of the command sets; the unit's lock is held ---- */

enum {
	SCSI_F_ANY_TIME = 1,	 /* whatever is pending */
	SCSI_F_NEEDS_MEDIUM = 2, /* loaded and spinning */
	SCSI_F_WRITES = 4,
};

struct scsi_cmd {
	void (*begin)(struct scsi_req *r);
	uint8_t flags;
	/* Or: fill r->buf with an answer, return its length; 0: refused. */
	uint32_t (*info)(struct scsi_req *r);
	uint8_t len_at; /* where 16 bits say how much is allowed; 0: all */
};

extern const struct scsi_cmd scsi_disk_cmds[256], scsi_cd_cmds[256];

static inline uint32_t scsi_get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static inline uint32_t scsi_get32(const uint8_t *p)
{
	return scsi_get16(p) << 16 | scsi_get16(p + 2);
}

static inline uint64_t scsi_get64(const uint8_t *p)
{
	return (uint64_t)scsi_get32(p) << 32 | scsi_get32(p + 4);
}

static inline uint8_t *scsi_put16(uint8_t *p, unsigned v)
{
	p[0] = v >> 8;
	p[1] = v;
	return p + 2;
}

static inline uint8_t *scsi_put32(uint8_t *p, uint32_t v)
{
	return scsi_put16(scsi_put16(p, v >> 16), v);
}

static inline uint8_t *scsi_put64(uint8_t *p, uint64_t v)
{
	return scsi_put32(scsi_put32(p, v >> 32), v);
}

/* len characters, blanks behind s */
void scsi_put_text(uint8_t *p, const char *s, unsigned len);

bool scsi_has_medium(const struct scsi_unit *u);
/* Blocks of the medium; 0: there is none. */
uint64_t scsi_blocks(const struct scsi_unit *u);

void scsi_fail(struct scsi_req *r, uint8_t key, uint8_t asc, uint8_t ascq);
/* Bad: a byte of the CDB (24/00), or of the parameters (26/00). */
void scsi_bad_cdb(struct scsi_req *r, unsigned byte);
void scsi_bad_param(struct scsi_req *r, unsigned byte);
/* The sense data that pend, which are told by that. */
struct scsi_sense scsi_take_attention(struct scsi_unit *u);
/* As bytes; how many. */
unsigned scsi_sense_bytes(
	const struct scsi_sense *s, bool descriptor, uint8_t *out);

/* A zeroed buffer of max bytes to answer from; then how many there are, and
 * how many the host has room for. */
uint8_t *scsi_buffer(struct scsi_req *r, uint32_t max);
void scsi_answer(struct scsi_req *r, uint32_t len, uint32_t allowed);
/* Take len bytes of parameters into r->buf, then finish. */
void scsi_take(
	struct scsi_req *r, uint32_t len, void (*finish)(struct scsi_req *r));
/* Move n blocks from or to lba.  False: they are not all there. */
bool scsi_range(struct scsi_req *r, uint64_t lba, uint64_t n);
void scsi_media(
	struct scsi_req *r, enum scsi_dir dir, uint64_t lba, uint64_t n);
/* No data; finish may block. */
void scsi_slow(struct scsi_req *r, void (*finish)(struct scsi_req *r));

/* For finish functions, which run without the unit's lock: the medium that the
 * command began with, to be given back; NULL: it failed, for the medium has
 * gone. */
struct blk *scsi_hold(struct scsi_req *r);
void scsi_release(struct scsi_req *r);
/* The medium gave rc, at byte off of it. */
void scsi_io_failed(struct scsi_req *r, int rc, bool write, uint64_t off);

/* scsi_info.c */
void scsi_cmd_ok(struct scsi_req *r);
void scsi_cmd_inquiry(struct scsi_req *r);
void scsi_cmd_request_sense(struct scsi_req *r);
void scsi_cmd_report_luns(struct scsi_req *r);
void scsi_cmd_prevent(struct scsi_req *r);
void scsi_cmd_start_stop(struct scsi_req *r);

/* scsi_cd_info.c */
typedef uint32_t scsi_info_fn(struct scsi_req *r);
scsi_info_fn scsi_cd_read_toc, scsi_cd_get_configuration, scsi_cd_get_event,
	scsi_cd_mechanism_status, scsi_cd_read_disc_info,
	scsi_cd_read_track_info, scsi_cd_read_subchannel, scsi_cd_read_capacity,
	scsi_cd_read_format_capacities, scsi_cd_read_dvd_structure;

/* scsi_mode.c */
void scsi_cmd_mode_sense(struct scsi_req *r);
void scsi_cmd_mode_select(struct scsi_req *r);

#endif
