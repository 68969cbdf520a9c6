/*
 * dma_iov.h - guest buffers as an I/O vector.
 *
 * Plain RAM is used in place; what is not (shadowed ROM, device memory) goes
 * through bounce buffers of bounded size.  Any thread, no lock.
 */
#ifndef DEV_STORAGE_DMA_IOV_H
#define DEV_STORAGE_DMA_IOV_H

#include <sys/uio.h>

#include "bus/bus.h"

#define DMA_IOV_MAX 1024

/* Too big for a stack; a worker thread has one. */
struct dma_iov {
	struct bus *bus;
	unsigned n;
	uint64_t bytes;
	size_t bounced;
	struct iovec iov[DMA_IOV_MAX];
	void *bounce[DMA_IOV_MAX];
	gpa_t gpa[DMA_IOV_MAX];
};

/* Empty it; bounce buffers go. */
void dma_iov_clear(struct dma_iov *v);
/* Add a buffer; fetch: its contents will be read.  False: it is full, or too
 * much would have to be bounced. */
bool dma_iov_add(struct dma_iov *v, gpa_t gpa, size_t len, bool fetch);
/* The vector was filled: tell who watches, empty the bounce buffers. */
void dma_iov_written(struct dma_iov *v);

#endif
