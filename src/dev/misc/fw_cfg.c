/*
 * fw_cfg.c - the firmware configuration device of QEMU-class machines.
 *
 * Interface as documented in QEMU's docs/specs/fw_cfg.rst: a 16-bit selector
 * at 0x510, a data byte at 0x511 that moves on with every access, and a DMA
 * register at 0x514 (big endian) that takes the address of a request block
 * { control, length, address }.
 *
 * Whatever is read past an item's end is zero.  A DMA request works in pieces
 * of a page and ends with the error bit at the first one that is not memory,
 * so its length is bounded by what RAM there is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/misc/fw_cfg.h"
#include "dev/state.h"

#define FW_CFG_PORT_SEL	 0x510
#define FW_CFG_PORT_DATA 0x511
#define FW_CFG_PORT_DMA	 0x514

#define FW_CFG_KEY_MASK	  0xbfff /* bit 14 was "write" once */
#define FW_CFG_ARCH_LOCAL 0x8000
#define FW_CFG_NKEYS	  (FW_CFG_FILE_FIRST + FW_CFG_MAX_FILES)

#define FW_CFG_VERSION	   1
#define FW_CFG_VERSION_DMA 2

#define FW_CFG_DMA_ERROR  1u
#define FW_CFG_DMA_READ	  2u
#define FW_CFG_DMA_SKIP	  4u
#define FW_CFG_DMA_SELECT 8u
#define FW_CFG_DMA_WRITE  16u

static const char fw_cfg_dma_signature[8] = "QEMU CFG";

struct fw_cfg_item {
	uint8_t *data;
	uint32_t len;
	bool writable;
	void (*written)(void *opaque, const void *data, size_t len);
	void *opaque;
};

struct fw_cfg {
	struct dev dev;
	struct fw_cfg_item item[2][FW_CFG_NKEYS]; /* common, arch local */
	char name[FW_CFG_MAX_FILES][FW_CFG_NAME_SIZE];
	unsigned nfiles;
	uint16_t selected;
	uint32_t offset;
	uint32_t dma_high;
};

struct fw_cfg_dma {
	uint32_t control, length;
	uint64_t address;
};

static struct fw_cfg_item *fw_cfg_item(struct fw_cfg *f, uint16_t key)
{
	unsigned n = key & FW_CFG_KEY_MASK & ~FW_CFG_ARCH_LOCAL;

	if (n >= FW_CFG_NKEYS)
		return NULL;
	return &f->item[!!(key & FW_CFG_ARCH_LOCAL)][n];
}

/* Copy what there is at the offset, zeros after; moves on. */
static void fw_cfg_take(struct fw_cfg *f, uint8_t *buf, uint32_t len)
{
	struct fw_cfg_item *it = fw_cfg_item(f, f->selected);
	uint32_t n = 0;

	if (it && f->offset < it->len)
		n = MIN(len, it->len - f->offset);
	if (n)
		memcpy(buf, it->data + f->offset, n);
	memset(buf + n, 0, len - n);
	f->offset += MIN(len, UINT32_MAX - f->offset);
}

static uint32_t fw_cfg_read(void *opaque, uint16_t port, unsigned size)
{
	struct fw_cfg *f = opaque;
	uint8_t byte;

	if (port != FW_CFG_PORT_DATA)
		return 0;
	fw_cfg_take(f, &byte, 1);
	return byte;
}

static void fw_cfg_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct fw_cfg *f = opaque;

	if (port != FW_CFG_PORT_SEL || size != 2)
		return;
	f->selected = val;
	f->offset = 0;
}

/* ---- DMA ---- */

static bool fw_cfg_dma_read(struct fw_cfg *f, gpa_t to, uint32_t len)
{
	uint8_t buf[4096];

	while (len) {
		uint32_t n = MIN(len, sizeof(buf));

		fw_cfg_take(f, buf, n);
		if (!bus_dma_write(f->dev.host.bus, to, buf, n))
			return false;
		to += n;
		len -= n;
	}
	return true;
}

static bool fw_cfg_dma_write(struct fw_cfg *f, gpa_t from, uint32_t len)
{
	struct fw_cfg_item *it = fw_cfg_item(f, f->selected);

	if (!it || !it->writable || f->offset > it->len ||
		len > it->len - f->offset)
		return false;
	if (!bus_dma_read(f->dev.host.bus, from, it->data + f->offset, len))
		return false;
	f->offset += len;
	if (it->written)
		it->written(it->opaque, it->data, it->len);
	return true;
}

static void fw_cfg_dma(struct fw_cfg *f, gpa_t at)
{
	struct bus *b = f->dev.host.bus;
	struct fw_cfg_dma req;
	uint32_t control, len, done = 0;
	gpa_t addr;
	bool ok = true;

	if (!bus_dma_read(b, at, &req, sizeof(req)))
		return;
	control = GUINT32_FROM_BE(req.control);
	len = GUINT32_FROM_BE(req.length);
	addr = GUINT64_FROM_BE(req.address);
	if (control & FW_CFG_DMA_SELECT) {
		f->selected = control >> 16;
		f->offset = 0;
	}
	if (control & FW_CFG_DMA_READ)
		ok = fw_cfg_dma_read(f, addr, len);
	else if (control & FW_CFG_DMA_WRITE)
		ok = fw_cfg_dma_write(f, addr, len);
	else if (control & FW_CFG_DMA_SKIP)
		f->offset += MIN(len, UINT32_MAX - f->offset);
	if (!ok)
		done = GUINT32_TO_BE(FW_CFG_DMA_ERROR);
	bus_dma_write(b, at, &done, sizeof(done));
}

static uint32_t fw_cfg_dma_reg_read(void *opaque, uint16_t port, unsigned size)
{
	const char *sig = fw_cfg_dma_signature + (port - FW_CFG_PORT_DMA);
	uint32_t val = 0;

	memcpy(&val, sig, size);
	return val;
}

static void fw_cfg_dma_reg_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct fw_cfg *f = opaque;
	uint32_t high;

	if (size != 4)
		return;
	val = GUINT32_SWAP_LE_BE(val);
	if (port == FW_CFG_PORT_DMA) {
		f->dma_high = val;
	} else if (port == FW_CFG_PORT_DMA + 4) {
		high = f->dma_high;
		f->dma_high = 0;
		fw_cfg_dma(f, (gpa_t)high << 32 | val);
	}
}

/* ---- items ---- */

static void fw_cfg_put(struct fw_cfg_item *it, const void *data, size_t len)
{
	g_free(it->data);
	*it = (struct fw_cfg_item){.data = g_malloc(len ? len : 1), .len = len};
	if (len)
		memcpy(it->data, data, len);
}

void fw_cfg_add_key(struct dev *d, uint16_t key, const void *data, size_t len)
{
	struct fw_cfg_item *it = fw_cfg_item((struct fw_cfg *)d, key);

	g_assert(it && len < UINT32_MAX);
	fw_cfg_put(it, data, len);
}

void fw_cfg_add_u16(struct dev *d, uint16_t key, uint16_t val)
{
	val = GUINT16_TO_LE(val);
	fw_cfg_add_key(d, key, &val, sizeof(val));
}

void fw_cfg_add_u32(struct dev *d, uint16_t key, uint32_t val)
{
	val = GUINT32_TO_LE(val);
	fw_cfg_add_key(d, key, &val, sizeof(val));
}

void fw_cfg_add_u64(struct dev *d, uint16_t key, uint64_t val)
{
	val = GUINT64_TO_LE(val);
	fw_cfg_add_key(d, key, &val, sizeof(val));
}

/* The directory: count, then { size, select, reserved, name[56] } for each,
 * numbers big endian. */
static void fw_cfg_make_dir(struct fw_cfg *f)
{
	struct entry {
		uint32_t size;
		uint16_t select, reserved;
		char name[FW_CFG_NAME_SIZE];
	} * e;
	size_t len = 4 + f->nfiles * sizeof(*e);
	g_autofree uint8_t *dir = g_malloc0(len);
	uint32_t count = GUINT32_TO_BE(f->nfiles);

	memcpy(dir, &count, 4);
	for (unsigned i = 0; i < f->nfiles; i++) {
		e = (struct entry *)(void *)(dir + 4 + i * sizeof(*e));
		e->size = GUINT32_TO_BE(f->item[0][FW_CFG_FILE_FIRST + i].len);
		e->select = GUINT16_TO_BE(FW_CFG_FILE_FIRST + i);
		memcpy(e->name, f->name[i], FW_CFG_NAME_SIZE);
	}
	fw_cfg_put(&f->item[0][FW_CFG_FILE_DIR], dir, len);
}

int fw_cfg_add_writable(struct dev *d, const char *name, const void *data,
	size_t len, void (*written)(void *opaque, const void *data, size_t len),
	void *opaque)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	int rc = fw_cfg_add_file(d, name, data, len);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < f->nfiles; i++) {
		struct fw_cfg_item *it = &f->item[0][FW_CFG_FILE_FIRST + i];

		if (strcmp(f->name[i], name) != 0)
			continue;
		it->writable = true;
		it->written = written;
		it->opaque = opaque;
	}
	return 0;
}

int fw_cfg_add_file(
	struct dev *d, const char *name, const void *data, size_t len)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	unsigned i = 0;

	if (strlen(name) >= FW_CFG_NAME_SIZE || len >= UINT32_MAX)
		return -EINVAL;
	while (i < f->nfiles && strcmp(f->name[i], name) != 0)
		i++;
	if (i == FW_CFG_MAX_FILES)
		return -ENOSPC;
	if (i == f->nfiles)
		f->nfiles++;
	g_strlcpy(f->name[i], name, FW_CFG_NAME_SIZE);
	fw_cfg_put(&f->item[0][FW_CFG_FILE_FIRST + i], data, len);
	fw_cfg_make_dir(f);
	return 0;
}

/* ---- life ---- */

static const struct bus_io_ops fw_cfg_ops = {
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.sizes = 1 | 2,
};

static const struct bus_io_ops fw_cfg_dma_ops = {
	.read = fw_cfg_dma_reg_read,
	.write = fw_cfg_dma_reg_write,
	.sizes = 1 | 2 | 4,
};

static int fw_cfg_init(struct dev *d, char *err, unsigned errsize)
{
	struct fw_cfg *f = (struct fw_cfg *)d;

	fw_cfg_add_key(d, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_add_u32(d, FW_CFG_ID, FW_CFG_VERSION | FW_CFG_VERSION_DMA);
	fw_cfg_make_dir(f);
	bus_io_claim(d->host.bus, FW_CFG_PORT_SEL, 2, &fw_cfg_ops, f);
	bus_io_claim(d->host.bus, FW_CFG_PORT_DMA, 8, &fw_cfg_dma_ops, f);
	return 0;
}

static void fw_cfg_reset(struct dev *d)
{
	struct fw_cfg *f = (struct fw_cfg *)d;

	f->selected = 0;
	f->offset = 0;
	f->dma_high = 0;
}

static void fw_cfg_fini(struct dev *d)
{
	struct fw_cfg *f = (struct fw_cfg *)d;

	bus_io_release(d->host.bus, FW_CFG_PORT_SEL, 2, f);
	bus_io_release(d->host.bus, FW_CFG_PORT_DMA, 8, f);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < FW_CFG_NKEYS; i++)
			g_free(f->item[k][i].data);
}

/* ---- state ---- */

/* Items follow from the settings, but for those that firmware writes. */
static void fw_cfg_written_get(const void *obj, GByteArray *out)
{
	const struct fw_cfg *f = obj;

	for (unsigned i = 0; i < f->nfiles; i++) {
		const struct fw_cfg_item *it =
			&f->item[0][FW_CFG_FILE_FIRST + i];

		if (it->writable)
			g_byte_array_append(out, it->data, it->len);
	}
}

static int fw_cfg_written_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct fw_cfg *f = obj;
	const uint8_t *p = from->p;
	size_t n = from->n;

	for (unsigned i = 0; i < f->nfiles; i++) {
		struct fw_cfg_item *it = &f->item[0][FW_CFG_FILE_FIRST + i];

		if (!it->writable)
			continue;
		if (n < it->len)
			return -EINVAL;
		if (from->apply) {
			memcpy(it->data, p, it->len);
			if (it->written)
				it->written(it->opaque, it->data, it->len);
		}
		p += it->len;
		n -= it->len;
	}
	return n ? -EINVAL : 0;
}

static const struct state_blob fw_cfg_written_blob = {
	.get = fw_cfg_written_get, .put = fw_cfg_written_put, .max = 1 << 16};

static const struct state_field fw_cfg_fields[] = {
	STATE(struct fw_cfg, selected),
	STATE(struct fw_cfg, offset),
	STATE(struct fw_cfg, dma_high),
	STATE_BLOB("written", &fw_cfg_written_blob),
};

static const struct state_list fw_cfg_state =
	STATE_LIST("fw_cfg", struct fw_cfg, 1, fw_cfg_fields);

const struct dev_class fw_cfg_class = {
	.name = "fw_cfg",
	.size = sizeof(struct fw_cfg),
	.init = fw_cfg_init,
	.reset = fw_cfg_reset,
	.fini = fw_cfg_fini,
	.state = &fw_cfg_state,
};
