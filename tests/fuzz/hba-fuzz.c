/*
 * hba-fuzz.c - disk controllers that find their commands in the guest's memory,
 * under a driver gone mad (dev-fuzz.h): queues, rings and lists that hold
 * anything, drives that come and go.
 */
#include "dev-fuzz.h"

#include "dev/storage/lsi.h"
#include "dev/storage/nvme.h"
#include "dev/virtio/virtio_scsi.h"

#define DISK_BYTES (2u << 20)
#define TABLES	   0x100000u /* where queues and lists are */
#define DATA	   0x200000u

/* Commands that disks and CDs know, mostly; addresses on them, mostly. */
static void make_cdb(struct fuzz *f, uint8_t cdb[16])
{
	static const uint8_t codes[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x15,
		0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42,
		0x43, 0x46, 0x4a, 0x55, 0x5a, 0x88, 0x8a, 0x8f, 0x93, 0x9e,
		0xa0, 0xa8, 0xad, 0xbe};

	for (unsigned i = 0; i < 16; i++)
		cdb[i] = byte(f);
	if (below(f, 4))
		memset(cdb + 1, 0, 7);
	cdb[0] = below(f, 16) ? codes[below(f, sizeof(codes))] : rnd(f);
	if (below(f, 4))
		memset(cdb + 8, 0, 6);
	cdb[8] = below(f, 32);
}

/* ---- virtio SCSI ---- */

#define RING(q)	  (TABLES + (q)*0x10000)
#define ENTRIES	  16u
#define CONFIG	  0x00u /* the common structure begins the BAR */
#define VS_QUEUES 4u

struct vs {
	uint32_t common, notify;
	uint16_t avail[VS_QUEUES];
};

static void vs_find(struct fuzz *f)
{
	struct pci_bus *b = f->r.b.host.pci;
	unsigned devfn = devfn_of(f), at = pci_config_read(b, 0, devfn, 52, 1);
	struct vs *vs = f->own;

	for (; at; at = pci_config_read(b, 0, devfn, at + 1, 1)) {
		uint32_t off = pci_config_read(b, 0, devfn, at + 8, 4);

		if (pci_config_read(b, 0, devfn, at, 1) != 9)
			continue;
		switch (pci_config_read(b, 0, devfn, at + 3, 1)) {
		case 1: vs->common = off; break;
		case 2: vs->notify = off; break;
		}
	}
}

static void vs_attach(struct fuzz *f, unsigned n)
{
	struct scsi_conf c = {.id = "d", .cd = n == 1};

	c.blk = f->media[n] = rig_image(DISK_BYTES, n == 1);
	g_assert_cmpint(virtio_scsi_attach(f->dev, n, &c), ==, 0);
}

static void vs_open(struct fuzz *f)
{
	f->r.b.host.queues = 2;
	f->dev = board_add(&f->r.b, "virtio-scsi");
	f->own = g_new0(struct vs, 1);
	bus_lock(f->r.b.bus);
	for (unsigned n = 0; n < 3; n++)
		vs_attach(f, n);
	vs_find(f);
	bus_unlock(f->r.b.bus);
}

static void vs_awake(struct fuzz *f)
{
	struct vs *vs = f->own;
	uint32_t c = vs->common;
	uint8_t zero[256] = {0};

	config_write(f, devfn_of(f), 0x20, 4, FUZZ_MMIO);
	config_write(f, devfn_of(f), 4, 2, 7);
	mmio_write(f, c + 0x14, 1, 0);
	mmio_write(f, c + 0x14, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		mmio_write(f, c + 8, 4, i);
		mmio_write(f, c + 12, 4, i ? 1 : 6 | below(f, 4) << 28);
	}
	mmio_write(f, c + 0x14, 1, 11);
	for (unsigned q = 0; q < VS_QUEUES; q++) {
		put(f, RING(q) + 0x1000, zero, sizeof(zero));
		vs->avail[q] = 0;
		mmio_write(f, c + 0x16, 2, q);
		mmio_write(f, c + 0x18, 2, ENTRIES);
		mmio_write(f, c + 0x20, 8, RING(q));
		mmio_write(f, c + 0x28, 8, RING(q) + 0x1000);
		mmio_write(f, c + 0x30, 8, RING(q) + 0x2000);
		mmio_write(f, c + 0x1c, 2, 1);
	}
	mmio_write(f, c + 0x14, 1, 15);
}

static void vs_desc(struct fuzz *f, unsigned q, unsigned i, uint64_t at,
	uint32_t len, uint16_t flags)
{
	struct {
		uint64_t at;
		uint32_t len;
		uint16_t flags, next;
	} e = {at, len, flags, i + 1};

	if (!below(f, 64))
		e.at = address(f);
	if (!below(f, 64))
		e.len = rnd(f);
	if (!below(f, 64))
		e.flags = below(f, 8);
	if (!below(f, 64))
		e.next = below(f, 20);
	put(f, RING(q) + 16 * i, &e, sizeof(e));
}

static void vs_offer(struct fuzz *f, unsigned q, uint16_t head)
{
	struct vs *vs = f->own;

	put(f, RING(q) + 0x1000 + 4 + 2 * (vs->avail[q] % ENTRIES), &head, 2);
	vs->avail[q] += below(f, 256) ? 1 : below(f, 40);
	put(f, RING(q) + 0x1000 + 2, &vs->avail[q], 2);
	mmio_write(f, vs->notify + 4 * q, 2, q);
}

static void vs_command(struct fuzz *f)
{
	unsigned q = 2 + below(f, 2), at = 4 * below(f, 4);
	uint8_t h[51] = {1, below(f, 4), 0x40, below(f, 16) ? 0 : byte(f)};
	uint32_t mem = DATA + below(f, 64) * 0x4000, n = below(f, 0x4000);
	bool in = below(f, 2);

	make_cdb(f, h + 19);
	put(f, mem, h, sizeof(h));
	vs_desc(f, q, at, mem, 51, 1);
	if (!in)
		vs_desc(f, q, at + 1, mem + 0x200, n, 1);
	vs_desc(f, q, at + 1 + !in, mem + 0x100, 108, in ? 3 : 2);
	if (in)
		vs_desc(f, q, at + 2, mem + 0x200, n, 2);
	vs_offer(f, q, at);
}

static void vs_control(struct fuzz *f)
{
	uint32_t h[6] = {below(f, 8) ? 0 : below(f, 4), below(f, 9),
		1 | below(f, 4) << 8};

	put(f, DATA - 0x100, h, sizeof(h));
	vs_desc(f, 0, 0, DATA - 0x100, 24, 1);
	vs_desc(f, 0, 1, DATA - 0x80, 5, 2);
	vs_offer(f, 0, 0);
}

static void vs_plug(struct fuzz *f)
{
	struct blk *old;

	bus_lock(f->r.b.bus);
	old = virtio_scsi_detach(f->dev, 2);
	vs_attach(f, 2);
	bus_unlock(f->r.b.bus);
	blk_close(old);
}

static void vs_change(struct fuzz *f)
{
	struct blk *next = below(f, 3) ? rig_image(99 * 512, true) : NULL;
	struct scsi_unit *u;

	bus_lock(f->r.b.bus);
	u = virtio_scsi_unit(f->dev, 1);
	scsi_eject_button(u);
	blk_close(scsi_change_medium(u, next));
	virtio_scsi_changed(f->dev, 1);
	f->media[1] = next;
	bus_unlock(f->r.b.bus);
}

static void vs_round(struct fuzz *f)
{
	struct vs *vs = f->own;

	switch (below(f, 16)) {
	default: vs_command(f); break;
	case 0: vs_control(f); break;
	case 1:
		vs_desc(f, 1, 0, DATA - 0x40, 16, 2);
		vs_offer(f, 1, 0);
		break;
	case 2:
		if (!below(f, 30))
			vs_plug(f);
		break;
	case 3:
		if (!below(f, 30))
			vs_change(f);
		break;
	case 4:
		if (!below(f, 50))
			mmio_write(f, vs->common + below(f, 0x40), 4, rnd(f));
		break;
	case 5:
		if (!below(f, 3))
			vs_awake(f);
		break;
	}
}

/* ---- NVMe ---- */

#define NVME_IO 2u /* queues of each kind beside the admin queue */

struct nvme_host {
	uint16_t tail[NVME_IO + 1];
};

static uint32_t sq_at(unsigned q)
{
	return TABLES + q * 0x10000;
}

static void nvme_open(struct fuzz *f)
{
	f->media[0] = rig_image(DISK_BYTES, false);
	f->r.b.host.blk = f->media[0];
	f->dev = board_add(&f->r.b, "nvme");
	f->own = g_new0(struct nvme_host, 1);
}

static void nvme_submit(struct fuzz *f, unsigned q, const uint32_t c[16])
{
	struct nvme_host *h = f->own;

	put(f, sq_at(q) + 64 * h->tail[q], c, 64);
	h->tail[q] = (h->tail[q] + 1) % 32;
	mmio_write(f, 0x1000 + 8 * q, 4, h->tail[q]);
}

static void nvme_make_queues(struct fuzz *f)
{
	for (unsigned q = 1; q <= NVME_IO; q++) {
		uint32_t cq[16] = {5, [6] = sq_at(q) + 0x8000,
			[10] = q | 31 << 16, [11] = 3};
		uint32_t sq[16] = {1, [6] = sq_at(q), [10] = q | 31 << 16,
			[11] = 1 | q << 16};

		nvme_submit(f, 0, cq);
		nvme_submit(f, 0, sq);
	}
}

static void nvme_awake(struct fuzz *f)
{
	config_write(f, devfn_of(f), 0x10, 4, FUZZ_MMIO);
	config_write(f, devfn_of(f), 0x14, 4, 0);
	config_write(f, devfn_of(f), 4, 2, 6);
	mmio_write(f, 0x14, 4, 0);
	mmio_write(f, 0x24, 4, 31 << 16 | 31);
	mmio_write(f, 0x28, 8, sq_at(0));
	mmio_write(f, 0x30, 8, sq_at(0) + 0x8000);
	mmio_write(f, 0x14, 4, 0x00460001 | below(f, 3) << 7);
	memset(f->own, 0, sizeof(struct nvme_host));
	nvme_make_queues(f);
}

static void nvme_pages(struct fuzz *f, uint32_t c[16])
{
	uint32_t list = DATA + 0x100000 + below(f, 64) * 4096;

	c[6] = below(f, 16) ? DATA + below(f, 256) * 4096 : address(f);
	if (!below(f, 8))
		c[6] += below(f, 4096);
	c[8] = below(f, 2) ? DATA + below(f, 256) * 4096 : list;
	if (!below(f, 16))
		c[8] = address(f);
	for (unsigned i = 0; i < 16; i++) {
		uint64_t e = below(f, 32) ? DATA + below(f, 256) * 4096ull
					  : address(f);

		put(f, list + 8 * i, &e, 8);
		put(f, list + 4096 - 8 * (i + 1), &e, 8);
	}
}

static void nvme_io(struct fuzz *f)
{
	static const uint8_t codes[] = {0, 1, 1, 2, 2, 2, 5, 8, 9, 12};
	uint32_t c[16] = {codes[below(f, sizeof(codes))], 1};

	c[0] |= rnd(f) << 16;
	if (!below(f, 32))
		c[0] = rnd(f);
	if (!below(f, 32))
		c[1] = rnd(f);
	nvme_pages(f, c);
	c[10] = below(f, 8) ? below(f, DISK_BYTES / 512) : rnd(f);
	c[11] = below(f, 16) ? (c[0] & 255) == 9 ? 4 : 0 : rnd(f);
	c[12] = below(f, 16) ? below(f, 64) : rnd(f);
	nvme_submit(f, 1 + below(f, NVME_IO), c);
}

static void nvme_admin(struct fuzz *f)
{
	static const uint8_t codes[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12};
	uint32_t c[16] = {codes[below(f, sizeof(codes))], below(f, 3)};

	c[0] |= rnd(f) << 16;
	nvme_pages(f, c);
	c[10] = below(f, 2) ? below(f, 16) : rnd(f);
	c[11] = below(f, 2) ? below(f, 4) : rnd(f);
	if (!below(f, 8))
		c[12] = rnd(f);
	nvme_submit(f, 0, c);
}

static void nvme_round(struct fuzz *f)
{
	switch (below(f, 16)) {
	default: nvme_io(f); break;
	case 0: nvme_admin(f); break;
	case 1:
	case 2:
	case 3: /* what was completed was seen */
		mmio_write(
			f, 0x1004 + 8 * below(f, NVME_IO + 1), 4, below(f, 33));
		break;
	case 4:
		if (!below(f, 8))
			mmio_write(
				f, below(f, 0x40), 1u << below(f, 4), rnd(f));
		break;
	case 5:
		bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + below(f, 0x1020),
			1u << below(f, 4));
		break;
	case 6:
		if (!below(f, 16))
			mmio_write(f, 0x1000 + 4 * below(f, 200), 4, rnd(f));
		break;
	case 7:
		if (!below(f, 16))
			nvme_awake(f);
		break;
	}
}

/* ---- LSI 53C895A ---- */

static void lsi_open(struct fuzz *f)
{
	struct scsi_conf c = {.id = "d"};

	f->dev = board_add(&f->r.b, "lsi53c895a");
	bus_lock(f->r.b.bus);
	for (unsigned n = 0; n < 3; n++) {
		c.cd = n == 1;
		c.blk = f->media[n] = rig_image(DISK_BYTES, n == 1);
		g_assert_cmpint(lsi_attach(f->dev, n, &c), ==, 0);
	}
	bus_unlock(f->r.b.bus);
}

static void lsi_awake(struct fuzz *f)
{
	config_write(f, devfn_of(f), 0x14, 4, FUZZ_MMIO);
	config_write(f, devfn_of(f), 0x18, 4, FUZZ_MMIO + 0x10000);
	config_write(f, devfn_of(f), 4, 2, 6);
	mmio_write(f, 0x14, 1, 0x40);
}

static void lsi_insn(struct fuzz *f, uint32_t at, uint32_t op, uint32_t arg)
{
	uint32_t i[2] = {op, arg};

	if (!below(f, 64))
		i[0] = rnd(f);
	if (!below(f, 64))
		i[1] = address(f);
	if (!below(f, 128))
		i[0] ^= 1u << below(f, 32);
	put(f, at, i, 8);
}

/* A command as drivers have it, with a slip here and there. */
static void lsi_command(struct fuzz *f)
{
	uint32_t at = TABLES + below(f, 16) * 0x1000, mem = DATA;
	uint32_t n = below(f, 0x4000), ph = below(f, 4) ? 1 : 0;
	uint8_t msg[8] = {0xc0 | below(f, 2), 0x20, 7, 1, 3, 1, 12, 15};
	uint8_t cdb[16];

	if (!below(f, 8))
		msg[below(f, 8)] = rnd(f);
	put(f, mem, msg, sizeof(msg));
	make_cdb(f, cdb);
	put(f, mem + 16, cdb, sizeof(cdb));
	lsi_insn(f, at, 0x41000000 | below(f, 4) << 16, at + 0x100);
	lsi_insn(f, at + 8, 0x06000000 | (1 + below(f, 8)), mem);
	lsi_insn(f, at + 16, 0x87830000, 8); /* no answer */
	lsi_insn(f, at + 24, 0x07000005, mem + 64);
	lsi_insn(f, at + 32, 0x0200000a, mem + 16);
	lsi_insn(f, at + 40, ph << 24 | n, mem + 0x1000);
	lsi_insn(f, at + 48, 0x03000001, mem + 65);
	lsi_insn(f, at + 56, 0x07000001, mem + 66);
	lsi_insn(f, at + 64, 0x60000048, 0);
	lsi_insn(f, at + 72, 0x48000000, 0);
	lsi_insn(f, at + 80, below(f, 2) ? 0x98080000 : 0x98180000, at);
	lsi_insn(f, at + 88, 0x50000000, at);
	mmio_write(f, 0x2c, 4, at);
}

static void lsi_junk(struct fuzz *f)
{
	uint32_t at = TABLES + 0x20000;

	for (unsigned i = 0; i < 16; i++)
		lsi_insn(f, at + 8 * i, rnd(f), address(f));
	mmio_write(f, 0x2c, 4, at);
}

static void lsi_round(struct fuzz *f)
{
	switch (below(f, 16)) {
	default: lsi_command(f); break;
	case 0: lsi_junk(f); break;
	case 1: mmio_write(f, below(f, 256), 1u << below(f, 3), rnd(f)); break;
	case 2: mmio_write(f, 0x14, 1, below(f, 8) ? 0x20 : rnd(f)); break;
	case 3:
	case 4:
	case 5:
		bus_mmio_read(f->r.b.bus, NULL,
			FUZZ_MMIO + (below(f, 2) ? 0x40 : below(f, 255)), 4);
		break;
	case 6:
		if (!below(f, 4))
			mmio_write(f, 0x56, 4, rnd(f));
		break;
	case 7: lsi_awake(f); break;
	}
}

/* ---- all ---- */

static const struct kind kinds[] = {
	{"virtio-scsi", vs_open, vs_awake, vs_round},
	{"lsi", lsi_open, lsi_awake, lsi_round},
	{"nvme", nvme_open, nvme_awake, nvme_round},
	{NULL},
};

FUZZ_MAIN(kinds)
