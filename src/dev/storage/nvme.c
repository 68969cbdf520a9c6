/*
 * nvme.c - an NVMe controller: PCI function, registers, queues, interrupts
 * (NVM Express 1.4, chapters 2, 3, 4 and 7).
 *
 * A doorbell of the admin queue carries its commands out at once, for none of
 * them takes long; those of I/O queues wake worker threads.
 */
#include "dev/storage/nvme_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/state.h"

#define BAR_BYTES 0x4000u
#define DOORBELLS 0x1000u

enum {
	REG_CAP = 0x00,
	REG_VS = 0x08,
	REG_INTMS = 0x0c,
	REG_INTMC = 0x10,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ACQ = 0x30,
};

#define VERSION 0x00010400u

/* 3.1.1: queues in one piece; 10 s to become ready; the NVM command set; pages
 * of 4 to 64 KiB. */
#define CAP                                                                    \
	((NVME_MAX_ENTRIES - 1) | 1ull << 16 | 20ull << 24 | 1ull << 37 |      \
		4ull << 52)

#define CC_EN	     0x00000001u
#define CC_SHN	     0x0000c000u
#define CC_WRITABLE  0x00fffff1u
#define CSTS_RDY     0x1u
#define CSTS_CFS     0x2u
#define CSTS_SHST    0xcu
#define SHST_GOES_ON 0x4u
#define SHST_DONE    0x8u

/* events (5.2): of errors, which are always told */
#define EVENT_ERROR	   0
#define EVENT_BAD_REGISTER 0
#define EVENT_BAD_VALUE	   1
#define LOG_ERRORS	   1

/* ---- interrupts (7.5) ---- */

static bool cq_pending(const struct nvme *d, unsigned n)
{
	const struct nvme_cq *q = &d->cq[n];

	return q->there && q->irq && q->head != q->tail;
}

static void update_pin(struct nvme *d)
{
	bool level = false;

	for (unsigned i = 0; i < NVME_QUEUES && !level; i++)
		level = cq_pending(d, i) && !(d->intms & 1);
	pci_set_intx(&d->pci, level);
}

void nvme_update_irq(struct nvme *d, unsigned cq)
{
	if (!d->pci.msix.enabled)
		update_pin(d);
	else if (cq_pending(d, cq))
		pci_msix_notify(&d->pci, d->cq[cq].vector);
}

/* ---- completion ---- */

static unsigned cq_used(const struct nvme_cq *q)
{
	return (q->tail + q->size - q->head) % q->size;
}

unsigned nvme_cq_room(const struct nvme_cq *q)
{
	unsigned taken;

	if (!q->there)
		return 0;
	taken = cq_used(q) + q->reserved + 1u;
	return taken < q->size ? q->size - taken : 0;
}

/* 4.6: the phase tag comes with the last double word. */
void nvme_complete(struct nvme *d, unsigned sq, uint16_t sq_head, uint16_t cid,
	uint32_t result, uint16_t status)
{
	struct nvme_cq *q = &d->cq[d->sq[sq].cq];
	struct bus *bus = d->dev.host.bus;
	gpa_t at = q->base + q->tail * 16ull;
	uint32_t e[4] = {result, 0, sq_head | sq << 16,
		cid | (uint32_t)status << 17 | (uint32_t)q->phase << 16};

	if (!q->there)
		return;
	bus_dma_write(bus, at, e, 12);
	bus_dma_write(bus, at + 12, &e[3], 4);
	q->tail = (q->tail + 1) % q->size;
	if (!q->tail)
		q->phase = !q->phase;
}

void nvme_note_error(
	struct nvme *d, unsigned sq, const struct nvme_cmd *c, uint16_t status)
{
	struct nvme_error *e = &d->error[d->errors % NVME_ERRORS];

	*e = (struct nvme_error){.count = ++d->errors,
		.sq = sq,
		.cid = c->cid,
		.status = status,
		.lba = sq ? c->cdw10 | (uint64_t)c->cdw11 << 32 : 0,
		.nsid = c->nsid};
}

/* ---- the admin queue ---- */

static void admin_complete(
	struct nvme *d, uint16_t cid, uint32_t result, uint16_t status)
{
	struct nvme_cq *q = &d->cq[0];

	pthread_mutex_lock(&d->pool.lock);
	nvme_complete(d, 0, d->sq[0].head, cid, result, status);
	q->told = q->tail;
	pthread_mutex_unlock(&d->pool.lock);
	nvme_update_irq(d, 0);
}

void nvme_flush_events(struct nvme *d)
{
	if (!d->event || d->event_masked || !d->naers ||
		!nvme_cq_room(&d->cq[0]))
		return;
	d->naers--;
	d->event_masked = true;
	admin_complete(d, d->aer[d->naers], d->event & 0xffffff, NVME_OK);
	d->event = 0;
}

void nvme_event(struct nvme *d, uint8_t type, uint8_t info, uint8_t log)
{
	if (d->event || !(d->csts & CSTS_RDY))
		return;
	/* the top bit: no error of register writes is 0 altogether */
	d->event = 1u << 31 | type | info << 8 | log << 16;
	nvme_flush_events(d);
}

/* At most a queue full of commands by one ring of the bell. */
static void admin_run(struct nvme *d)
{
	struct nvme_sq *q = &d->sq[0];

	while (q->there && q->head != q->tail && nvme_cq_room(&d->cq[0])) {
		struct nvme_cmd c;
		uint32_t result = 0;
		uint16_t status;

		bus_dma_read(d->dev.host.bus, q->base + q->head * 64ull, &c,
			sizeof(c));
		q->head = (q->head + 1) % q->size;
		status = nvme_admin(d, &c, &result);
		if (status == NVME_LATER)
			continue;
		if (status) {
			pthread_mutex_lock(&d->pool.lock);
			nvme_note_error(d, 0, &c, status);
			pthread_mutex_unlock(&d->pool.lock);
		}
		admin_complete(d, c.cid, result, status);
	}
	nvme_flush_events(d);
}

/* ---- doorbells (3.1.24, 3.1.25) ---- */

static void ring_sq(struct nvme *d, unsigned n, uint16_t tail)
{
	pthread_mutex_lock(&d->pool.lock);
	d->sq[n].tail = tail;
	pthread_mutex_unlock(&d->pool.lock);
	if (!n)
		admin_run(d);
	else if (!queue_pool_here(&d->pool, n - 1))
		queue_pool_notify(&d->pool, n - 1);
}

/* What waited for room may go on. */
static void ring_cq(struct nvme *d, unsigned n, uint16_t head)
{
	uint64_t waiting = 0;

	pthread_mutex_lock(&d->pool.lock);
	d->cq[n].head = head;
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (d->sq[i].there && d->sq[i].cq == n &&
			d->sq[i].head != d->sq[i].tail)
			waiting |= 1ull << (i - 1);
	pthread_mutex_unlock(&d->pool.lock);
	for (; waiting; waiting &= waiting - 1)
		queue_pool_notify(&d->pool, __builtin_ctzll(waiting));
	if (!n)
		admin_run(d);
	if (!d->pci.msix.enabled)
		update_pin(d);
}

static void ring(struct nvme *d, unsigned bell, uint32_t val)
{
	unsigned n = bell / 2;
	bool cq = bell & 1;

	if (!(d->csts & CSTS_RDY) || (d->csts & CSTS_SHST))
		return;
	if (n >= NVME_QUEUES || !(cq ? d->cq[n].there : d->sq[n].there))
		nvme_event(d, EVENT_ERROR, EVENT_BAD_REGISTER, LOG_ERRORS);
	else if (val >= (cq ? d->cq[n].size : d->sq[n].size))
		nvme_event(d, EVENT_ERROR, EVENT_BAD_VALUE, LOG_ERRORS);
	else if (cq)
		ring_cq(d, n, val);
	else
		ring_sq(d, n, val);
}

/* ---- enabling and shutting down (7.3, 7.6) ---- */

static void disable(struct nvme *d)
{
	queue_pool_stop(&d->pool);
	disk_queue_stop(d->flusher);
	memset(d->sq, 0, sizeof(d->sq));
	memset(d->cq, 0, sizeof(d->cq));
	d->csts = 0;
	d->intms = 0;
	d->naers = 0;
	d->event = 0;
	d->event_masked = false;
	nvme_features_reset(d);
	pci_set_intx(&d->pci, false);
}

static void enable(struct nvme *d)
{
	uint16_t sq = d->aqa & 0xfff, cq = d->aqa >> 16 & 0xfff;
	uint32_t page = nvme_page(d);

	if ((d->cc >> 4 & 7) || (d->cc >> 7 & 15) > 4 || !sq || !cq ||
		(d->asq & (page - 1)) || (d->acq & (page - 1))) {
		d->csts = CSTS_CFS;
		return;
	}
	d->sq[0] =
		(struct nvme_sq){.there = true, .size = sq + 1, .base = d->asq};
	d->cq[0] = (struct nvme_cq){.there = true,
		.irq = true,
		.phase = true,
		.size = cq + 1,
		.base = d->acq};
	d->csts = CSTS_RDY;
}

static void shutdown_work(struct disk_job *j, struct dma_iov *v)
{
	struct nvme *d =
		(struct nvme *)((uint8_t *)j - offsetof(struct nvme, shutdown));

	blk_flush(d->blk);
}

static void shutdown_done(struct disk_job *j)
{
	struct nvme *d =
		(struct nvme *)((uint8_t *)j - offsetof(struct nvme, shutdown));

	d->csts = (d->csts & ~CSTS_SHST) | SHST_DONE;
}

static void write_cc(struct nvme *d, uint32_t val)
{
	uint32_t old = d->cc;

	d->cc = val & CC_WRITABLE;
	if (!(d->cc & CC_EN)) {
		if (old & CC_EN)
			disable(d);
	} else if (!(old & CC_EN)) {
		enable(d);
	}
	if ((d->cc & CC_SHN) && !(d->csts & CSTS_SHST)) {
		d->csts |= SHST_GOES_ON;
		disk_queue_submit(d->flusher, &d->shutdown);
	}
}

/* ---- registers (3.1) ---- */

static uint32_t read32(struct nvme *d, uint64_t off)
{
	switch (off) {
	case REG_CAP: return (uint32_t)CAP;
	case REG_CAP + 4: return (uint32_t)(CAP >> 32);
	case REG_VS: return VERSION;
	case REG_INTMS:
	case REG_INTMC: return d->intms;
	case REG_CC: return d->cc;
	case REG_CSTS: return d->csts;
	case REG_AQA: return d->aqa;
	case REG_ASQ: return (uint32_t)d->asq;
	case REG_ASQ + 4: return (uint32_t)(d->asq >> 32);
	case REG_ACQ: return (uint32_t)d->acq;
	case REG_ACQ + 4: return (uint32_t)(d->acq >> 32);
	}
	return 0;
}

static void put_half(uint64_t *reg, bool high, uint32_t val)
{
	unsigned at = high ? 32 : 0;

	*reg = (*reg & ~(0xffffffffull << at)) | (uint64_t)val << at;
}

static void write_address(uint64_t *reg, bool high, uint32_t val)
{
	put_half(reg, high, high ? val : val & ~0xfffu);
}

static void write32(struct nvme *d, uint64_t off, uint32_t val)
{
	switch (off) {
	case REG_INTMS:
		d->intms |= val;
		update_pin(d);
		break;
	case REG_INTMC:
		d->intms &= ~val;
		update_pin(d);
		break;
	case REG_CC: write_cc(d, val); break;
	case REG_AQA: d->aqa = val & 0x0fff0fff; break;
	case REG_ASQ:
	case REG_ASQ + 4: write_address(&d->asq, off & 4, val); break;
	case REG_ACQ:
	case REG_ACQ + 4: write_address(&d->acq, off & 4, val); break;
	}
}

static uint64_t nvme_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct nvme *d = opaque;
	uint64_t v = 0;

	if ((off & (size - 1)) || off >= DOORBELLS)
		return 0;
	v = read32(d, off & ~3ull);
	if (size == 8)
		return v | (uint64_t)read32(d, off + 4) << 32;
	return v >> (off & 3) * 8 & (0xffffffffu >> (32 - 8 * size));
}

static void nvme_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct nvme *d = opaque;

	/* 3.1: only whole registers, or halves of 8 bytes. */
	if (size < 4 || (off & (size - 1)))
		return;
	if (off >= DOORBELLS) {
		if (size == 4)
			ring(d, (off - DOORBELLS) / 4, (uint32_t)val);
		return;
	}
	write32(d, off, (uint32_t)val);
	if (size == 8)
		write32(d, off + 4, (uint32_t)(val >> 32));
}

static const struct bus_mmio_ops nvme_ops = {nvme_read, nvme_write};

/* ---- device ---- */

static void nvme_stop_threads(struct nvme *d)
{
	queue_pool_close(&d->pool);
	disk_queue_free(d->flusher);
	g_free(d->v);
}

static int nvme_start_threads(struct nvme *d)
{
	d->v = g_new0(struct dma_iov, 1);
	d->v->bus = d->dev.host.bus;
	d->shutdown = (struct disk_job){shutdown_work, shutdown_done, NULL};
	d->pool.bus = d->dev.host.bus;
	d->pool.ops = &nvme_pool_ops;
	d->pool.opaque = d;
	d->flusher = disk_queue_new(d->dev.host.bus, 1);
	if (queue_pool_open(&d->pool) || !d->flusher) {
		nvme_stop_threads(d);
		return -EAGAIN;
	}
	return 0;
}

static int nvme_init(struct dev *dev, char *err, unsigned errsize)
{
	static const struct pci_ident id = {
		.vendor = 0x1b36, /* what other virtual machines have, too */
		.device = 0x0010,
		.class_code = 0x010802,
		.revision = 2,
		.sub_vendor = 0x1af4,
		.sub_id = 0x1100,
	};
	struct nvme *d = (struct nvme *)dev;
	int slot = dev->host.pci_slot;
	int rc;

	d->blk = dev->host.blk;
	if (!d->blk || d->blk->size < NVME_BLOCK) {
		snprintf(err, errsize, "%s: the image is empty", dev->id);
		return -EINVAL;
	}
	d->readonly = dev->host.readonly || d->blk->readonly;
	if (dev->host.serial)
		g_strlcpy(d->serial, dev->host.serial, sizeof(d->serial));
	else
		snprintf(d->serial, sizeof(d->serial), "VMESTE-%s", dev->id);
	pci_func_init(&d->pci, dev, &id);
	d->pci.irq_pin = 1;
	d->pci.bar[0] = (struct pci_bar){.size = BAR_BYTES,
		.mem64 = true,
		.mmio = &nvme_ops,
		.opaque = d};
	pci_add_msix(&d->pci, 4, NVME_VECTORS);
	rc = pci_func_plug(&d->pci, dev->host.pci, slot < 0 ? -1 : slot << 3);
	if (rc) {
		snprintf(err, errsize, "%s: no free PCI slot", dev->id);
		return rc;
	}
	rc = nvme_start_threads(d);
	if (rc) {
		snprintf(err, errsize, "%s: no worker thread", dev->id);
		pci_func_unplug(&d->pci);
	}
	return rc;
}

static void nvme_reset(struct dev *dev)
{
	struct nvme *d = (struct nvme *)dev;

	disable(d);
	d->cc = d->aqa = 0;
	d->asq = d->acq = 0;
	pci_func_reset(&d->pci);
}

static void nvme_fini(struct dev *dev)
{
	struct nvme *d = (struct nvme *)dev;

	disable(d);
	nvme_stop_threads(d);
	pci_func_unplug(&d->pci);
}

static void nvme_describe(struct dev *dev, char *buf, unsigned size)
{
	struct nvme *d = (struct nvme *)dev;

	snprintf(buf, size, "%llu MiB %s%s, %s, %llu requests",
		(unsigned long long)(d->blk->size >> 20), d->blk->ops->name,
		d->readonly ? " read-only" : "",
		d->csts & CSTS_RDY ? "ready" : "no driver",
		(unsigned long long)d->pool.requests);
}

/* ---- state ---- */

static void nvme_drain(struct dev *dev)
{
	queue_pool_drain(&((struct nvme *)dev)->pool);
}

static bool queues_make_sense(const struct nvme *d)
{
	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		const struct nvme_sq *s = &d->sq[i];
		const struct nvme_cq *c = &d->cq[i];

		if (s->there &&
			(s->size < 2 || s->size > 4096 || s->head >= s->size ||
				s->tail >= s->size))
			return false;
		if (c->there &&
			(c->size < 2 || c->size > 4096 || c->head >= c->size ||
				c->tail >= c->size))
			return false;
	}
	return true;
}

static int nvme_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct nvme *d = obj;

	if (!queues_make_sense(d)) {
		snprintf(err, errsize, "its queues make no sense");
		return -EINVAL;
	}
	if ((d->csts & CSTS_SHST) == SHST_GOES_ON)
		disk_queue_submit(d->flusher, &d->shutdown);
	d->write_through = !(d->feature[6] & 1);
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (d->sq[i].there && d->sq[i].head != d->sq[i].tail)
			queue_pool_notify(&d->pool, i - 1);
	return 0;
}

static const struct state_field nvme_sq_fields[] = {
	STATE(struct nvme_sq, there),
	STATE(struct nvme_sq, size),
	STATE(struct nvme_sq, head),
	STATE(struct nvme_sq, tail),
	STATE(struct nvme_sq, cq, .max = NVME_QUEUES - 1),
	STATE(struct nvme_sq, base),
};

static const struct state_list nvme_sq_state =
	STATE_LIST("sq", struct nvme_sq, 1, nvme_sq_fields);

static const struct state_field nvme_cq_fields[] = {
	STATE(struct nvme_cq, there),
	STATE(struct nvme_cq, irq),
	STATE(struct nvme_cq, phase),
	STATE(struct nvme_cq, size),
	STATE(struct nvme_cq, head),
	STATE(struct nvme_cq, tail),
	STATE(struct nvme_cq, vector, .max = NVME_VECTORS - 1),
	STATE(struct nvme_cq, told),
	STATE(struct nvme_cq, base),
};

static const struct state_list nvme_cq_state =
	STATE_LIST("cq", struct nvme_cq, 1, nvme_cq_fields);

static const struct state_field nvme_fields[] = {
	STATE_STRUCT(struct nvme, pci, &pci_func_state),
	STATE(struct nvme, intms),
	STATE(struct nvme, cc),
	STATE(struct nvme, csts),
	STATE(struct nvme, aqa),
	STATE(struct nvme, asq),
	STATE(struct nvme, acq),
	STATE_STRUCTS(struct nvme, sq, &nvme_sq_state),
	STATE_STRUCTS(struct nvme, cq, &nvme_cq_state),
	STATE_ARRAY(struct nvme, feature),
	STATE_ARRAY(struct nvme, aer),
	STATE(struct nvme, naers, .max = NVME_AERS),
	STATE(struct nvme, event),
	STATE(struct nvme, event_masked),
};

static const struct state_list nvme_state =
	STATE_LIST("nvme", struct nvme, 1, nvme_fields, .loaded = nvme_loaded);

const struct dev_class nvme_class = {
	.name = "nvme",
	.size = sizeof(struct nvme),
	.init = nvme_init,
	.reset = nvme_reset,
	.fini = nvme_fini,
	.describe = nvme_describe,
	.state = &nvme_state,
	.drain = nvme_drain,
};
