/*
 * flash.c - NOR flash with Intel's command set (CFI vendor 0001h), one chip of
 * eight bits with uniform blocks of 4 KiB.
 *
 * JEDEC JESD68.01 (query), Intel StrataFlash Memory (J3) data sheet 290667,
 * chapters 4 and 9 to 11 (commands, status register).  Programming clears
 * bits, only erasing sets them; either is done at once, so the chip is never
 * busy.  Clearing the status register clears the ready bit too, until the next
 * operation: by this firmware of QEMU-class boards tells flash from ROM.
 *
 * While it is read as an array it is memory, and only writes come here;
 * otherwise reads do as well.  What has changed goes to the image when the
 * guest returns to reading the array, which UEFI does after each piece.
 */
#include "dev/misc/flash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "block/blk.h"
#include "dev/state.h"

#define FLASH_PRIO   3
#define FLASH_BUFFER 32 /* bytes of a buffered write */

#define CMD_PROGRAM_ALT	 0x10
#define CMD_ERASE	 0x20
#define CMD_PROGRAM	 0x40
#define CMD_CLEAR_STATUS 0x50
#define CMD_LOCK	 0x60
#define CMD_READ_STATUS	 0x70
#define CMD_READ_ID	 0x90
#define CMD_QUERY	 0x98
#define CMD_CONFIRM	 0xd0
#define CMD_WRITE_BUFFER 0xe8
#define CMD_READ_ARRAY	 0xff
#define CMD_LOCK_SET	 0x01

#define SR_READY	 0x80
#define SR_ERASE_ERROR	 0x20
#define SR_PROGRAM_ERROR 0x10
#define SR_ERRORS	 (SR_ERASE_ERROR | SR_PROGRAM_ERROR)

#define ID_MAKER  0x89
#define ID_DEVICE 0x18

enum flash_reads { FLASH_ARRAY, FLASH_STATUS, FLASH_ID, FLASH_QUERY };

/* What the next write is. */
enum flash_expects {
	FLASH_COMMAND,
	FLASH_PROGRAM_DATA,
	FLASH_ERASE_CONFIRM,
	FLASH_LOCK_CONFIRM,
	FLASH_BUFFER_COUNT,
	FLASH_BUFFER_DATA,
	FLASH_BUFFER_CONFIRM,
	FLASH_NEXPECTS,
};

struct flash {
	struct dev dev;
	uint8_t *data;
	uint32_t bytes;
	gpa_t base;
	uint8_t reads, expects, status;
	uint8_t left; /* data of a buffered write still to come */
	uint8_t ngathered;
	uint8_t gathered[FLASH_BUFFER];
	uint32_t gathered_at[FLASH_BUFFER];
	uint32_t dirty_lo, dirty_hi; /* not in the image yet */
	struct bus_region array, writes;
};

/* ---- contents ---- */

static void flash_dirty(struct flash *f, uint32_t at, uint32_t len)
{
	f->dirty_lo = MIN(f->dirty_lo, at);
	f->dirty_hi = MAX(f->dirty_hi, at + len);
}

/* An image that cannot be written: programming fails from now on. */
static void flash_keep(struct flash *f)
{
	uint32_t lo = f->dirty_lo, len = f->dirty_hi - lo;

	if (f->dirty_lo >= f->dirty_hi)
		return;
	f->dirty_lo = f->bytes;
	f->dirty_hi = 0;
	if (!f->dev.host.readonly &&
		blk_pwrite(f->dev.host.blk, f->data + lo, len, lo))
		f->status |= SR_PROGRAM_ERROR;
}

static void flash_program(struct flash *f, uint32_t at, uint8_t val)
{
	f->data[at] &= val;
	f->status |= SR_READY;
	flash_dirty(f, at, 1);
}

static void flash_erase(struct flash *f, uint32_t at)
{
	at &= ~(FLASH_BLOCK - 1);
	memset(f->data + at, 0xff, FLASH_BLOCK);
	f->status |= SR_READY;
	flash_dirty(f, at, FLASH_BLOCK);
}

/* ---- what reads see ---- */

/* JESD68.01, tables 3 to 5; blocks as one region. */
static uint8_t flash_query(const struct flash *f, uint32_t off)
{
	static const uint8_t q[] = {'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0,
		/* supply, times of commands, their maxima */
		0x27, 0x36, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0};
	unsigned size = 0, blocks = f->bytes / FLASH_BLOCK - 1;

	while (1u << size < f->bytes)
		size++;
	if (off >= 0x10 && off - 0x10 < sizeof(q))
		return q[off - 0x10];
	switch (off) {
	case 0x27: return size;
	case 0x2a: return 5; /* buffer of 2^5 bytes */
	case 0x2c: return 1; /* regions */
	case 0x2d: return blocks;
	case 0x2e: return blocks >> 8;
	case 0x2f: return FLASH_BLOCK / 256;
	case 0x30: return FLASH_BLOCK / 256 >> 8;
	case 0x31: return 'P';
	case 0x32: return 'R';
	case 0x33: return 'I';
	case 0x34: return '1';
	case 0x35: return '1';
	}
	return 0;
}

static uint8_t flash_read_byte(const struct flash *f, uint32_t off)
{
	if (off >= f->bytes)
		return 0xff;
	switch (f->reads) {
	case FLASH_STATUS: return f->status;
	case FLASH_QUERY: return flash_query(f, off & 0xff);
	case FLASH_ID:
		return (off & 0xff) == 0   ? ID_MAKER
		       : (off & 0xff) == 1 ? ID_DEVICE
					   : 0;
	}
	return f->data[off];
}

static uint64_t flash_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)flash_read_byte(opaque, off + i) << (8 * i);
	return val;
}

static const struct bus_mmio_ops flash_ops;

/* The array is memory; writes, and reads of anything else, are commands. */
static void flash_remap(struct flash *f)
{
	struct bus *b = f->dev.host.bus;
	bool array = f->reads == FLASH_ARRAY;

	if (!f->base || (f->array.mapped && !!f->array.host == array))
		return;
	bus_region_unmap(b, &f->writes);
	bus_region_unmap(b, &f->array);
	f->array = (struct bus_region){
		.name = "flash",
		.base = f->base,
		.size = f->bytes,
		.prio = FLASH_PRIO,
		.access = BUS_MAP_R,
		.host = array ? f->data : NULL,
		.ops = &flash_ops,
		.opaque = f,
	};
	f->writes = f->array;
	f->writes.access = BUS_MAP_W;
	f->writes.host = NULL;
	bus_region_map(b, &f->writes);
	bus_region_map(b, &f->array);
}

static void flash_set_reads(struct flash *f, enum flash_reads reads)
{
	f->reads = reads;
	if (reads == FLASH_ARRAY)
		flash_keep(f);
	flash_remap(f);
}

/* ---- commands ---- */

static void flash_command(struct flash *f, uint8_t cmd)
{
	switch (cmd) {
	case CMD_READ_ARRAY: flash_set_reads(f, FLASH_ARRAY); return;
	case CMD_READ_ID: flash_set_reads(f, FLASH_ID); return;
	case CMD_QUERY: flash_set_reads(f, FLASH_QUERY); return;
	case CMD_READ_STATUS: break;
	case CMD_CLEAR_STATUS: f->status = 0; return;
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT: f->expects = FLASH_PROGRAM_DATA; break;
	case CMD_ERASE: f->expects = FLASH_ERASE_CONFIRM; break;
	case CMD_LOCK: f->expects = FLASH_LOCK_CONFIRM; break;
	case CMD_WRITE_BUFFER: f->expects = FLASH_BUFFER_COUNT; break;
	default: return;
	}
	flash_set_reads(f, FLASH_STATUS);
}

static void flash_buffer_data(struct flash *f, uint32_t at, uint8_t val)
{
	f->gathered_at[f->ngathered] = at;
	f->gathered[f->ngathered++] = val;
	if (!--f->left)
		f->expects = FLASH_BUFFER_CONFIRM;
}

static void flash_buffer_confirm(struct flash *f, uint8_t val)
{
	f->expects = FLASH_COMMAND;
	if (val != CMD_CONFIRM)
		f->status |= SR_ERRORS; /* bad sequence */
	for (unsigned i = 0; i < f->ngathered && val == CMD_CONFIRM; i++)
		flash_program(f, f->gathered_at[i], f->gathered[i]);
	f->ngathered = 0;
}

static void flash_write_byte(struct flash *f, uint32_t at, uint8_t val)
{
	enum flash_expects expects = f->expects;

	switch (expects) {
	case FLASH_BUFFER_DATA: flash_buffer_data(f, at, val); return;
	case FLASH_BUFFER_CONFIRM: flash_buffer_confirm(f, val); return;
	case FLASH_BUFFER_COUNT:
		f->left = val % FLASH_BUFFER + 1;
		f->ngathered = 0;
		f->expects = FLASH_BUFFER_DATA;
		return;
	default: f->expects = FLASH_COMMAND;
	}
	switch (expects) {
	case FLASH_PROGRAM_DATA: flash_program(f, at, val); break;
	case FLASH_ERASE_CONFIRM:
		if (val == CMD_CONFIRM)
			flash_erase(f, at);
		else
			f->status |= SR_ERRORS;
		break;
	case FLASH_LOCK_CONFIRM: /* no block is locked, ever */
		if (val != CMD_CONFIRM && val != CMD_LOCK_SET)
			f->status |= SR_ERRORS;
		break;
	default: flash_command(f, val);
	}
}

static void flash_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct flash *f = opaque;

	for (unsigned i = 0; i < size && off + i < f->bytes; i++)
		flash_write_byte(f, off + i, val >> (8 * i));
}

static const struct bus_mmio_ops flash_ops = {
	.read = flash_read,
	.write = flash_write,
};

/* ---- life ---- */

void flash_map(struct dev *d, gpa_t base)
{
	struct flash *f = (struct flash *)d;

	f->base = base;
	flash_remap(f);
}

static int flash_init(struct dev *d, char *err, unsigned errsize)
{
	struct flash *f = (struct flash *)d;
	struct blk *b = d->host.blk;
	void *data = NULL;
	int e;

	if (!b || !b->size || b->size % FLASH_BLOCK || b->size > FLASH_MAX) {
		snprintf(err, errsize,
			"flash has whole blocks of %u bytes, at most 4 MiB",
			FLASH_BLOCK);
		return -EINVAL;
	}
	f->bytes = (uint32_t)b->size;
	f->dirty_lo = f->bytes;
	if (posix_memalign(&data, BUS_PAGE_SIZE, f->bytes))
		return -ENOMEM;
	f->data = data;
	e = blk_pread(b, f->data, f->bytes, 0);
	if (!e)
		return 0;
	snprintf(err, errsize, "cannot read it: %s", g_strerror(-e));
	free(f->data);
	return e;
}

static void flash_reset(struct dev *d)
{
	struct flash *f = (struct flash *)d;

	f->expects = FLASH_COMMAND;
	f->status = SR_READY;
	f->left = f->ngathered = 0;
	flash_set_reads(f, FLASH_ARRAY);
}

static void flash_fini(struct dev *d)
{
	struct flash *f = (struct flash *)d;

	flash_keep(f);
	bus_region_unmap(d->host.bus, &f->writes);
	bus_region_unmap(d->host.bus, &f->array);
	free(f->data);
}

/* ---- state ---- */

/* The image becomes what the flash was. */
static int flash_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct flash *f = obj;

	if (f->ngathered + f->left > FLASH_BUFFER ||
		(f->expects == FLASH_BUFFER_DATA && !f->left)) {
		snprintf(err, errsize, "a buffered write is too long");
		return -EINVAL;
	}
	for (unsigned i = 0; i < FLASH_BUFFER; i++)
		f->gathered_at[i] %= f->bytes;
	flash_dirty(f, 0, f->bytes);
	if (f->reads == FLASH_ARRAY)
		flash_keep(f);
	flash_remap(f);
	return 0;
}

static const struct state_field flash_fields[] = {
	STATE_BYTES_AT(struct flash, data, bytes),
	STATE(struct flash, reads, .max = FLASH_QUERY),
	STATE(struct flash, expects, .max = FLASH_NEXPECTS - 1),
	STATE(struct flash, status),
	STATE(struct flash, left, .max = FLASH_BUFFER),
	STATE(struct flash, ngathered, .max = FLASH_BUFFER),
	STATE_BYTES(struct flash, gathered),
	STATE_ARRAY(struct flash, gathered_at),
};

static const struct state_list flash_state = STATE_LIST(
	"flash", struct flash, 1, flash_fields, .loaded = flash_loaded);

const struct dev_class flash_class = {
	.name = "flash",
	.size = sizeof(struct flash),
	.init = flash_init,
	.reset = flash_reset,
	.fini = flash_fini,
	.state = &flash_state,
};
