/*
 * nvme_admin.c - commands of the admin queue (NVM Express 1.4, chapter 5).
 */
#include "dev/storage/nvme_priv.h"

#include <string.h>

#include <glib.h>

enum {
	ADMIN_DELETE_SQ = 0x00,
	ADMIN_CREATE_SQ = 0x01,
	ADMIN_GET_LOG = 0x02,
	ADMIN_DELETE_CQ = 0x04,
	ADMIN_CREATE_CQ = 0x05,
	ADMIN_IDENTIFY = 0x06,
	ADMIN_ABORT = 0x08,
	ADMIN_SET_FEATURES = 0x09,
	ADMIN_GET_FEATURES = 0x0a,
	ADMIN_AER = 0x0c,
};

/* 5.3, 5.4: number and size are in dword 10; in dword 11 whether it is one
 * piece of memory, which it has to be. */
static uint16_t check_queue(const struct nvme *d, const struct nvme_cmd *c)
{
	uint16_t n = c->cdw10 & 0xffff;
	uint32_t size = (c->cdw10 >> 16) + 1;

	if (!n || n >= NVME_QUEUES)
		return NVME_BAD_QUEUE;
	if (size < 2 || size > NVME_MAX_ENTRIES)
		return NVME_BAD_SIZE;
	if (!(c->cdw11 & 1))
		return NVME_BAD_FIELD;
	if (c->prp1 & (nvme_page(d) - 1))
		return NVME_BAD_PRP;
	return NVME_OK;
}

/* The host says in CC how long entries are, before it makes queues. */
static bool entries_fit(const struct nvme *d)
{
	return (d->cc >> 16 & 15) == 6 && (d->cc >> 20 & 15) == 4;
}

static uint16_t create_cq(struct nvme *d, const struct nvme_cmd *c)
{
	uint16_t n = c->cdw10 & 0xffff, vector = c->cdw11 >> 16;
	uint16_t status = check_queue(d, c);

	if (status)
		return status;
	if (d->cq[n].there)
		return NVME_BAD_QUEUE;
	if (vector >= NVME_VECTORS || (vector && !d->pci.msix.enabled))
		return NVME_BAD_VECTOR;
	if (!entries_fit(d))
		return NVME_BAD_SIZE;
	pthread_mutex_lock(&d->pool.lock);
	d->cq[n] = (struct nvme_cq){.there = true,
		.irq = c->cdw11 & 2,
		.phase = true,
		.size = (c->cdw10 >> 16) + 1,
		.vector = vector,
		.base = c->prp1};
	pthread_mutex_unlock(&d->pool.lock);
	return NVME_OK;
}

static uint16_t create_sq(struct nvme *d, const struct nvme_cmd *c)
{
	uint16_t n = c->cdw10 & 0xffff, cq = c->cdw11 >> 16;
	uint16_t status = check_queue(d, c);

	if (status)
		return status;
	if (d->sq[n].there)
		return NVME_BAD_QUEUE;
	if (!cq || cq >= NVME_QUEUES || !d->cq[cq].there)
		return NVME_BAD_CQ;
	if (!entries_fit(d))
		return NVME_BAD_SIZE;
	pthread_mutex_lock(&d->pool.lock);
	d->sq[n] = (struct nvme_sq){.there = true,
		.size = (c->cdw10 >> 16) + 1,
		.cq = cq,
		.base = c->prp1};
	pthread_mutex_unlock(&d->pool.lock);
	return NVME_OK;
}

/* 5.6: what is at work is done first, what waits is gone. */
static uint16_t delete_sq(struct nvme *d, const struct nvme_cmd *c)
{
	uint16_t n = c->cdw10 & 0xffff;
	unsigned cq;

	if (!n || n >= NVME_QUEUES || !d->sq[n].there)
		return NVME_BAD_QUEUE;
	cq = d->sq[n].cq;
	pthread_mutex_lock(&d->pool.lock);
	d->sq[n].there = false;
	queue_pool_settle(&d->pool, n - 1);
	d->cq[cq].told = d->cq[cq].tail;
	pthread_mutex_unlock(&d->pool.lock);
	nvme_update_irq(d, cq);
	return NVME_OK;
}

static uint16_t delete_cq(struct nvme *d, const struct nvme_cmd *c)
{
	uint16_t n = c->cdw10 & 0xffff;

	if (!n || n >= NVME_QUEUES || !d->cq[n].there)
		return NVME_BAD_QUEUE;
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (d->sq[i].there && d->sq[i].cq == n)
			return NVME_BAD_DELETION;
	pthread_mutex_lock(&d->pool.lock);
	d->cq[n] = (struct nvme_cq){0};
	pthread_mutex_unlock(&d->pool.lock);
	nvme_update_irq(d, n);
	return NVME_OK;
}

static uint16_t add_aer(struct nvme *d, const struct nvme_cmd *c)
{
	if (d->naers == NVME_AERS)
		return NVME_AER_LIMIT;
	d->aer[d->naers++] = c->cid;
	return NVME_LATER;
}

uint16_t nvme_admin(struct nvme *d, const struct nvme_cmd *c, uint32_t *result)
{
	if (c->flags & 3) /* fused */
		return NVME_BAD_FIELD;
	switch (c->opcode) {
	case ADMIN_DELETE_SQ: return delete_sq(d, c);
	case ADMIN_CREATE_SQ: return create_sq(d, c);
	case ADMIN_GET_LOG: return nvme_get_log(d, c);
	case ADMIN_DELETE_CQ: return delete_cq(d, c);
	case ADMIN_CREATE_CQ: return create_cq(d, c);
	case ADMIN_IDENTIFY: return nvme_identify(d, c);
	case ADMIN_ABORT:
		*result = 1; /* not aborted: it will be done soon */
		return NVME_OK;
	case ADMIN_SET_FEATURES: return nvme_set_features(d, c, result);
	case ADMIN_GET_FEATURES: return nvme_get_features(d, c, result);
	case ADMIN_AER: return add_aer(d, c);
	}
	return NVME_BAD_OPCODE;
}
