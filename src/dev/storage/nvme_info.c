/*
 * nvme_info.c - what an NVMe controller answers of itself: identification
 * (NVM Express 1.4, 5.15), logs (5.14), features (5.21).
 */
#include "dev/storage/nvme_priv.h"

#include <string.h>

#include <glib.h>

/* optional commands (ONCS): compare, dataset, write zeroes, verify */
#define ONCS 0x008d

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v;
	p[1] = v >> 8;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, v);
	put32(p + 4, v >> 32);
}

static void put_text(uint8_t *p, const char *s, unsigned len)
{
	size_t n = strlen(s);

	for (unsigned i = 0; i < len; i++)
		p[i] = i < n ? s[i] : ' ';
}

/* len bytes of page to the host */
static uint16_t answer(struct nvme *d, const struct nvme_cmd *c,
	const uint8_t *page, uint64_t len)
{
	uint16_t status = nvme_map(d, c, len, d->v, false);

	for (unsigned i = 0; !status && i < d->v->n; i++) {
		memcpy(d->v->iov[i].iov_base, page, d->v->iov[i].iov_len);
		page += d->v->iov[i].iov_len;
	}
	if (!status)
		dma_iov_written(d->v);
	dma_iov_clear(d->v);
	return status;
}

/* ---- identification ---- */

static void identify_controller(const struct nvme *d, uint8_t *b)
{
	memcpy(b, d->pci.config, 2);
	memcpy(b + 2, d->pci.config + 0x2c, 2);
	put_text(b + 4, d->serial, 20);
	put_text(b + 24, "VMESTE NVMe", 40);
	put_text(b + 64, "1.0", 8);
	b[72] = 6; /* commands to be arbitrated at a time, as a power of two */
	b[77] = NVME_MDTS;
	put32(b + 80, 0x10400);
	b[111] = 1; /* an I/O controller */
	b[258] = 3; /* aborts at a time, less one */
	b[259] = NVME_AERS - 1;
	b[260] = 3; /* one firmware slot, read only */
	b[261] = 4; /* logs can be read from any byte on */
	b[262] = NVME_ERRORS - 1;
	put16(b + 266, 343); /* K: warning, critical */
	put16(b + 268, 373);
	b[512] = 0x66; /* entries of 64 and of 16 bytes */
	b[513] = 0x44;
	put32(b + 516, 1); /* one namespace */
	put16(b + 520, ONCS);
	b[525] = 7; /* a volatile write cache; one flush for all */
	g_snprintf((char *)b + 768, 256, "nqn.2014-08.org.nvmexpress:vmeste:%s",
		d->serial);
	put16(b + 2048, 500); /* of power, 10 mW */
}

static void identify_namespace(const struct nvme *d, uint8_t *b)
{
	uint64_t n = d->blk->size / NVME_BLOCK;

	put64(b, n);
	put64(b + 8, n);
	put64(b + 16, n);
	b[24] = (d->blk->can_discard ? 1 : 0) | 0x10;
	b[33] = 8; /* writing zeroes may deallocate */
	/* Best in units of 8 blocks, less one. */
	for (unsigned at = 64; at <= 70; at += 2)
		put16(b + at, 7);
	b[99] = d->readonly; /* write protected */
	b[130] = 9;	     /* blocks of 2^9 bytes */
}

/* 5.15.2.3: by an EUI-64 that is locally administered, made of the serial
 * number. */
static void identify_names(const struct nvme *d, uint8_t *b)
{
	uint64_t h = 0xcbf29ce484222325;

	for (const char *s = d->serial; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3;
	b[0] = 1;
	b[1] = 8;
	put64(b + 4, h);
	b[4] = (b[4] & ~1u) | 2;
}

uint16_t nvme_identify(struct nvme *d, const struct nvme_cmd *c)
{
	uint8_t b[NVME_INFO] = {0};

	switch (c->cdw10 & 0xff) {
	case 0x00:
		if (c->nsid != 1 && c->nsid != UINT32_MAX)
			return NVME_BAD_NAMESPACE;
		identify_namespace(d, b);
		break;
	case 0x01: identify_controller(d, b); break;
	case 0x02: /* active ones, of higher numbers */
		if (c->nsid >= 0xfffffffe)
			return NVME_BAD_NAMESPACE;
		if (!c->nsid)
			put32(b, 1);
		break;
	case 0x03:
		if (c->nsid != 1)
			return NVME_BAD_NAMESPACE;
		identify_names(d, b);
		break;
	default: return NVME_BAD_FIELD;
	}
	return answer(d, c, b, sizeof(b));
}

/* ---- logs ---- */

static uint32_t log_errors(struct nvme *d, uint8_t *b)
{
	pthread_mutex_lock(&d->pool.lock);
	for (unsigned i = 0; i < NVME_ERRORS && i < d->errors; i++) {
		const struct nvme_error *e =
			&d->error[(d->errors - 1 - i) % NVME_ERRORS];
		uint8_t *p = b + 64 * i;

		put64(p, e->count);
		put16(p + 8, e->sq);
		put16(p + 10, e->cid);
		put16(p + 12, e->status << 1);
		put16(p + 14, 0xffff);
		put64(p + 16, e->lba);
		put32(p + 24, e->nsid);
	}
	pthread_mutex_unlock(&d->pool.lock);
	return 64 * NVME_ERRORS;
}

/* 5.14.1.2: units of 1000 blocks, rounded up. */
static uint32_t log_health(struct nvme *d, uint8_t *b)
{
	put16(b + 1, 313); /* K */
	b[3] = 100;	   /* spare, in percent, and when it were too few */
	b[4] = 10;
	put64(b + 32, (d->read_blocks + 999) / 1000);
	put64(b + 48, (d->written_blocks + 999) / 1000);
	put64(b + 64, d->reads);
	put64(b + 80, d->writes);
	put64(b + 112, 1);
	put64(b + 176, d->errors);
	return 512;
}

static uint32_t log_firmware(struct nvme *d, uint8_t *b)
{
	b[0] = 1;
	put_text(b + 8, "1.0", 8);
	return 512;
}

uint16_t nvme_get_log(struct nvme *d, const struct nvme_cmd *c)
{
	static uint32_t (*const logs[])(struct nvme * d, uint8_t * b) = {
		[1] = log_errors, [2] = log_health, [3] = log_firmware};
	/* dwords less one, and from which byte on */
	uint64_t len = ((uint64_t)(c->cdw11 & 0xffff) << 16 | c->cdw10 >> 16);
	uint64_t from = c->cdw12 | (uint64_t)c->cdw13 << 32;
	g_autofree uint8_t *b = NULL;
	unsigned which = c->cdw10 & 0xff;
	uint32_t size;

	if (which >= G_N_ELEMENTS(logs) || !logs[which])
		return NVME_BAD_LOG;
	len = (len + 1) * 4;
	if ((from & 3) || from > NVME_INFO || len > NVME_MAX_BYTES)
		return NVME_BAD_FIELD;
	b = g_malloc0(NVME_INFO + len);
	size = logs[which](d, b);
	if (from > size)
		return NVME_BAD_FIELD;
	if (!(c->cdw10 >> 15 & 1)) /* events may be told again */
		d->event_masked = false;
	return answer(d, c, b + from, len);
}

/* ---- features ---- */

enum {
	F_ARBITRATION = 0x01,
	F_POWER = 0x02,
	F_TEMPERATURE = 0x04,
	F_RECOVERY = 0x05,
	F_WRITE_CACHE = 0x06,
	F_QUEUES = 0x07,
	F_COALESCING = 0x08,
	F_VECTOR = 0x09,
	F_ATOMICITY = 0x0a,
	F_EVENTS = 0x0b,
};

#define QUEUES ((NVME_QUEUES - 2) | (NVME_QUEUES - 2) << 16)

static const struct {
	bool known;
	uint32_t value, mask; /* at reset; bits that can be set */
} features[NVME_FEATURES] = {
	[F_ARBITRATION] = {true, 6, 0xffffff07},
	[F_POWER] = {true, 0, 0},
	[F_TEMPERATURE] = {true, 343, 0x003fffff},
	[F_RECOVERY] = {true, 0, 0xffff},
	[F_WRITE_CACHE] = {true, 1, 1},
	[F_QUEUES] = {true, QUEUES, 0},
	[F_COALESCING] = {true, 0, 0xffff},
	[F_VECTOR] = {true, 0, 0},
	[F_ATOMICITY] = {true, 0, 1},
	[F_EVENTS] = {true, 0, 0x7f},
};

void nvme_features_reset(struct nvme *d)
{
	for (unsigned i = 0; i < NVME_FEATURES; i++)
		d->feature[i] = features[i].value;
	d->write_through = false;
}

uint16_t nvme_get_features(
	struct nvme *d, const struct nvme_cmd *c, uint32_t *result)
{
	unsigned f = c->cdw10 & 0xff, select = c->cdw10 >> 8 & 7;

	if (f >= NVME_FEATURES || !features[f].known || select > 3)
		return NVME_BAD_FIELD;
	if (select == 3)
		*result = features[f].mask ? 4 : 0; /* changeable */
	else if (select)
		*result = features[f].value;
	else if (f == F_VECTOR)
		*result = c->cdw11 & 0xffff;
	else
		*result = d->feature[f];
	return NVME_OK;
}

static bool io_queues(const struct nvme *d)
{
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (d->sq[i].there || d->cq[i].there)
			return true;
	return false;
}

uint16_t nvme_set_features(
	struct nvme *d, const struct nvme_cmd *c, uint32_t *result)
{
	unsigned f = c->cdw10 & 0xff;

	if (f >= NVME_FEATURES || !features[f].known)
		return NVME_BAD_FIELD;
	if (c->cdw10 >> 31)
		return NVME_NOT_SAVEABLE;
	if (f == F_QUEUES) {
		/* As many as are asked for are there: all of them. */
		if ((c->cdw11 & 0xffff) == 0xffff || c->cdw11 >> 16 == 0xffff)
			return NVME_BAD_FIELD;
		if (io_queues(d))
			return NVME_SEQUENCE;
		*result = QUEUES;
		return NVME_OK;
	}
	if (f == F_POWER && (c->cdw11 & 31))
		return NVME_BAD_FIELD;
	d->feature[f] = c->cdw11 & features[f].mask;
	if (f == F_WRITE_CACHE)
		d->write_through = !(c->cdw11 & 1);
	return NVME_OK;
}
