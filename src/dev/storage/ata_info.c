/*
 * ata_info.c - what ATA drives say of themselves: IDENTIFY (ATA/ATAPI-7,
 * 6.17 and 6.18; SATA 3.0, 13.2 for the words of serial drives), SMART (6.53),
 * logs (6.30).
 */
#include <string.h>

#include <glib.h>

#include "dev/storage/ata.h"

#define FIRMWARE  "1.0"
#define MAX_LBA28 0x0fffffffu

static void put(struct ata_drive *d, unsigned word, unsigned val)
{
	d->buf[2 * word] = val;
	d->buf[2 * word + 1] = val >> 8;
}

static void put_long(struct ata_drive *d, unsigned word, uint64_t val, int n)
{
	for (int i = 0; i < n; i++)
		put(d, word + i, val >> (16 * i));
}

/* Two characters a word, the first in the high byte, padded with spaces. */
static void put_text(
	struct ata_drive *d, unsigned word, const char *text, unsigned len)
{
	size_t n = strlen(text);

	for (unsigned i = 0; i < len; i++)
		d->buf[2 * word + (i ^ 1)] = i < n ? text[i] : ' ';
}

/* 6.17.72: the sum of all bytes is zero. */
static void put_checksum(struct ata_drive *d)
{
	uint8_t sum = 0xa5;

	d->buf[510] = 0xa5;
	for (unsigned i = 0; i < 510; i++)
		sum += d->buf[i];
	d->buf[511] = -sum;
}

static void identify_common(struct ata_drive *d)
{
	memset(d->buf, 0, ATA_SECTOR);
	put_text(d, 10, d->serial, 20);
	put_text(d, 23, FIRMWARE, 8);
	put_text(d, 27, d->model, 40);
	put(d, 48, 1);
	put(d, 51, 0x0200);
	put(d, 53, 7);
	put(d, 63, 0x07 | d->mwdma << 8);
	put(d, 64, 3);
	for (unsigned w = 65; w <= 68; w++)
		put(d, w, 120);
	put(d, 80, 0x00f0); /* ATA/ATAPI-4 to -7 */
	put(d, 81, 0x0019);
	put(d, 83, 0x4000);
	put(d, 84, 0x4000);
	put(d, 87, 0x4000);
	put(d, 88, 0x3f | d->udma << 8);
	if (!d->t->sata)
		/* 80-wire cable; who answered at power-on */
		put(d, 93, d->unit ? 0x6100 : 0x6001);
}

static void identify_serial(struct ata_drive *d)
{
	put(d, 76, 1 << 1 | 1 << 2 | (d->atapi ? 0 : 1 << 8));
	put(d, 78, 0);
	if (!d->atapi)
		put(d, 75, 31);
}

static void identify_geometry(struct ata_drive *d)
{
	uint64_t n = d->sectors / (16 * 63);
	uint32_t now = (uint32_t)d->cyls * d->heads * d->spt;

	put(d, 1, MIN(n, 16383));
	put(d, 3, 16);
	put(d, 6, 63);
	put(d, 54, d->cyls);
	put(d, 55, d->heads);
	put(d, 56, d->spt);
	put_long(d, 57, now, 2);
	put_long(d, 60, MIN(d->sectors, MAX_LBA28), 2);
	put_long(d, 100, d->sectors, 4);
}

void ata_cmd_identify(struct ata_drive *d)
{
	identify_common(d);
	put(d, 0, 0x0040);
	identify_geometry(d);
	put(d, 20, 3);
	put(d, 21, ATA_SECTOR);
	put(d, 22, 4);
	put(d, 47, 0x8000 | ATA_MULTIPLE);
	put(d, 49, 0x0f00); /* DMA, LBA, IORDY that can be disabled */
	put(d, 50, 0x4000);
	put(d, 59, d->multiple ? 0x100 | d->multiple : 0);
	/* SMART, power, write cache, look-ahead, buffers; LBA48, flushes;
	 * SMART logs and self-test, general logs, FUA */
	put(d, 82, 0x3069);
	put(d, 83, 0x7400);
	put(d, 84, 0x4063);
	put(d, 85,
		0x3008 | (d->smart ? 1 : 0) | (d->write_cache ? 0x20 : 0) |
			(d->look_ahead ? 0x40 : 0));
	put(d, 86, 0x3400);
	put(d, 87, 0x4063);
	if (!d->readonly) {
		put(d, 105, 8);
		put(d, 169, 1);
		put(d, 69, 0x4020); /* trimmed sectors read as zeros */
	}
	put(d, 106, 0x6003); /* 4 KiB physical sectors */
	if (d->t->sata)
		identify_serial(d);
	put_checksum(d);
	ata_answer(d, ATA_SECTOR);
}

void ata_cmd_identify_packet(struct ata_drive *d)
{
	identify_common(d);
	/* a CD drive with removable media; DRQ comes at once; 12 bytes */
	put(d, 0, 0x85c0);
	put(d, 49, 0x0b00);
	put(d, 82, 0x4210);
	put(d, 85, 0x4210);
	put(d, 125, 0);
	if (d->t->sata)
		identify_serial(d);
	put_checksum(d);
	ata_answer(d, ATA_SECTOR);
}

/* ---- SMART ---- */

enum {
	SMART_READ_DATA = 0xd0,
	SMART_READ_THRESHOLDS = 0xd1,
	SMART_AUTOSAVE = 0xd2,
	SMART_SAVE = 0xd3,
	SMART_TEST = 0xd4,
	SMART_READ_LOG = 0xd5,
	SMART_ENABLE = 0xd8,
	SMART_DISABLE = 0xd9,
	SMART_STATUS = 0xda,
};

/* id, flags, value, worst, threshold, raw: of a drive that never wears. */
static const struct smart_attribute {
	uint8_t id, flags, value, threshold;
	uint8_t raw;
} smart_attributes[] = {
	{0x01, 0x03, 100, 6, 0},  /* read error rate */
	{0x03, 0x03, 100, 0, 16}, /* spin-up time */
	{0x04, 0x02, 100, 20, 100},
	{0x05, 0x03, 100, 36, 0}, /* reallocated sectors */
	{0x09, 0x03, 100, 0, 1},  /* hours */
	{0x0c, 0x03, 100, 0, 1},  /* power cycles */
	{0xbe, 0x03, 69, 50, 31}, /* temperature */
	{0xc5, 0x03, 100, 0, 0},  /* pending sectors */
};

static void smart_read_data(struct ata_drive *d)
{
	uint8_t *p = d->buf + 2;

	d->buf[0] = 0x10;
	for (unsigned i = 0; i < G_N_ELEMENTS(smart_attributes); i++) {
		const struct smart_attribute *a = &smart_attributes[i];

		p[0] = a->id;
		p[1] = a->flags;
		p[3] = p[4] = a->value;
		p[5] = a->raw;
		p += 12;
	}
	d->buf[362] = 0x02; /* off-line collection: done */
	d->buf[364] = 1;    /* it takes a second */
	d->buf[367] = 0x19; /* off-line, self-tests */
	d->buf[368] = 3;    /* saves its data */
	d->buf[370] = 1;    /* has an error log */
	d->buf[372] = 1;    /* minutes of tests */
	d->buf[373] = 1;
}

static void smart_read_thresholds(struct ata_drive *d)
{
	d->buf[0] = 0x10;
	for (unsigned i = 0; i < G_N_ELEMENTS(smart_attributes); i++) {
		d->buf[2 + 12 * i] = smart_attributes[i].id;
		d->buf[3 + 12 * i] = smart_attributes[i].threshold;
	}
}

/* Directory, error log, self-test log: nothing ever happened. */
static bool smart_read_log(struct ata_drive *d)
{
	switch (d->lba[0] & 0xff) {
	case 0:
		d->buf[0] = 1;
		d->buf[2 * 1] = 1;
		d->buf[2 * 6] = 1;
		return true;
	case 1:
	case 6: d->buf[0] = 1; return true;
	}
	return false;
}

/* The sum of all bytes is zero. */
static void smart_answer(struct ata_drive *d)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < 511; i++)
		sum += d->buf[i];
	d->buf[511] = -sum;
	ata_answer(d, ATA_SECTOR);
}

static bool smart_known(const struct ata_drive *d, unsigned what)
{
	if ((d->lba[1] & 0xff) != 0x4f || (d->lba[2] & 0xff) != 0xc2)
		return false;
	return d->smart || what == SMART_ENABLE;
}

void ata_cmd_smart(struct ata_drive *d)
{
	unsigned what = d->feature & 0xff;
	bool ok = smart_known(d, what);

	memset(d->buf, 0, ATA_SECTOR);
	if (ok && what == SMART_READ_DATA) {
		smart_read_data(d);
		smart_answer(d);
		return;
	}
	if (ok && what == SMART_READ_THRESHOLDS) {
		smart_read_thresholds(d);
		smart_answer(d);
		return;
	}
	if (ok && what == SMART_READ_LOG && (d->count & 0xff) == 1 &&
		smart_read_log(d)) {
		smart_answer(d);
		return;
	}
	if (what == SMART_ENABLE || what == SMART_DISABLE)
		d->smart = ok ? what == SMART_ENABLE : d->smart;
	else if (what == SMART_AUTOSAVE)
		d->smart_save = d->count & 0xff;
	else if (what != SMART_SAVE && what != SMART_TEST &&
		 what != SMART_STATUS)
		ok = false;
	/* SMART_STATUS: 4f and c2 stay, as no threshold is passed. */
	if (ok)
		ata_ok(d);
	else
		ata_fail(d, ATA_E_ABRT);
}

/* ---- general logs ---- */

static bool log_page(struct ata_drive *d, unsigned log, unsigned page)
{
	uint8_t sum = 0;

	if (page)
		return false;
	switch (log) {
	case 0x00: /* directory: one page each */
		d->buf[0] = 1;
		d->buf[2 * 0x03] = 1;
		d->buf[2 * 0x07] = 1;
		if (d->t->sata)
			d->buf[2 * 0x10] = 1;
		return true;
	case 0x03:
	case 0x07: d->buf[0] = 1; return true;
	case 0x10: /* SATA 3.0, 13.7.4: what stopped the queue */
		if (!d->t->sata)
			return false;
		memcpy(d->buf, d->ncq_log, sizeof(d->ncq_log));
		if (!d->ncq_failed)
			d->buf[0] = 0x80;
		for (unsigned i = 0; i < 511; i++)
			sum += d->buf[i];
		d->buf[511] = -sum;
		d->ncq_failed = false;
		return true;
	}
	return false;
}

void ata_cmd_read_log(struct ata_drive *d)
{
	unsigned page = (d->lba[1] & 0xff) | (d->lba[1] >> 8) << 8;

	memset(d->buf, 0, ATA_SECTOR);
	if (d->count != 1 || !log_page(d, d->lba[0] & 0xff, page)) {
		ata_fail(d, ATA_E_ABRT);
		return;
	}
	if (d->command == 0x47)
		ata_answer_dma(d, ATA_SECTOR);
	else
		ata_answer(d, ATA_SECTOR);
}
