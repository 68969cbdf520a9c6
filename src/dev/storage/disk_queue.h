/*
 * disk_queue.h - worker threads for disk controllers.
 *
 * A job is embedded in whatever needs it.  Its work runs on a worker thread
 * without a lock, then done runs with the bus lock held.  Between submit and
 * done it belongs to the queue; disk_queue_stop gives all jobs back, told or
 * not.
 */
#ifndef DEV_STORAGE_DISK_QUEUE_H
#define DEV_STORAGE_DISK_QUEUE_H

#include "dev/storage/dma_iov.h"

struct disk_job {
	/* v is the thread's own, to be left empty. */
	void (*work)(struct disk_job *j, struct dma_iov *v);
	void (*done)(struct disk_job *j);
	struct disk_job *next; /* private */
};

struct disk_queue;

/* NULL if the host gives no thread.  threads: at most 8. */
struct disk_queue *disk_queue_new(struct bus *b, unsigned threads);
/* Bus lock held, released meanwhile: nobody may submit any more. */
void disk_queue_free(struct disk_queue *q);
/* Bus lock held. */
void disk_queue_submit(struct disk_queue *q, struct disk_job *j);
/* Drop what waits, wait for what is at work, tell nobody.  Bus lock held. */
void disk_queue_stop(struct disk_queue *q);

/* Wait until all that was submitted has been told of, and what came of that.
 * Bus lock held, let go meanwhile. */
void disk_queue_drain(struct disk_queue *q);

#endif
