/* dma_iov.c - guest buffers as an I/O vector; see dma_iov.h. */
#include "dev/storage/dma_iov.h"

#include <glib.h>

#define MAX_BOUNCE (4u << 20)

void dma_iov_clear(struct dma_iov *v)
{
	for (unsigned i = 0; i < v->n; i++)
		g_clear_pointer(&v->bounce[i], g_free);
	v->n = 0;
	v->bytes = v->bounced = 0;
}

bool dma_iov_add(struct dma_iov *v, gpa_t gpa, size_t len, bool fetch)
{
	unsigned n = v->n;
	void *p;

	if (n == DMA_IOV_MAX)
		return false;
	p = bus_dma_map(v->bus, gpa, len);
	v->bounce[n] = NULL;
	if (!p) {
		if (len > MAX_BOUNCE - v->bounced)
			return false;
		v->bounced += len;
		p = v->bounce[n] = g_malloc0(len);
		if (fetch)
			bus_dma_read(v->bus, gpa, p, len);
	}
	v->iov[n] = (struct iovec){p, len};
	v->gpa[n] = gpa;
	v->bytes += len;
	v->n++;
	return true;
}

void dma_iov_written(struct dma_iov *v)
{
	for (unsigned i = 0; i < v->n; i++) {
		size_t len = v->iov[i].iov_len;

		if (v->bounce[i])
			bus_dma_write(v->bus, v->gpa[i], v->bounce[i], len);
		else
			bus_dma_written(v->bus, v->gpa[i], len);
	}
}
