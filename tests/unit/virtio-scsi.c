/* virtio-scsi.c - the SCSI host adapter driven through its rings. */
#include "virtio-driver.h"

#include "dev/virtio/virtio_scsi.h"
#include "disk-rig.h"

#define MIB	 (1u << 20)
#define CDB	 32
#define SENSE	 96
#define RESPONSE (12 + SENSE)
#define BUF_AT	 (DATA_BASE + 0x1000)
#define ANSWER	 (DATA_BASE + 0x800)

#define F_HOTPLUG 2ull
#define F_CHANGE  4ull

struct hba {
	struct driver d;
	struct blk *disk, *cd;
	uint8_t answer[RESPONSE];
	uint32_t used;
};

static void attach(struct hba *h, unsigned target, struct blk *blk, bool cd)
{
	struct scsi_conf c = {.id = "disk0", .blk = blk, .cd = cd};

	bus_lock(h->d.bus);
	g_assert_cmpint(virtio_scsi_attach(h->d.dev, target, &c), ==, 0);
	g_assert_cmpint(virtio_scsi_attach(h->d.dev, target, &c), ==, -EBUSY);
	g_assert_cmpint(virtio_scsi_attach(h->d.dev, 16, &c), ==, -EINVAL);
	bus_unlock(h->d.bus);
}

static void hba_up(struct hba *h)
{
	struct dev_host host = {.queues = 2};

	memset(h, 0, sizeof(*h));
	driver_open(&h->d, &virtio_scsi_class, &host);
	attach(h, 3, h->disk = rig_image(MIB, false), false);
	attach(h, 5, h->cd = rig_image(MIB, true), true);
	g_assert_true(driver_negotiate(&h->d, driver_offered(&h->d)));
	for (unsigned i = 0; i < 4; i++)
		driver_queue(&h->d, i, 16);
	driver_go(&h->d);
}

static void hba_down(struct hba *h)
{
	driver_close(&h->d);
	blk_close(h->disk);
	blk_close(h->cd);
}

static void put_lun(uint8_t *p, unsigned target, unsigned lun)
{
	p[0] = 1;
	p[1] = target;
	p[2] = 0x40;
	p[3] = lun;
}

/* A command with n bytes of data; its response code. */
static int command(struct hba *h, unsigned queue, unsigned lun,
	const uint8_t *cdb, unsigned n, bool in)
{
	uint8_t header[19 + CDB] = {0};
	struct driver *d = &h->d;
	gpa_t t = d->q[queue].desc;
	uint32_t id;

	put_lun(header, lun >> 8, lun & 255);
	header[8] = 0x77;
	memcpy(header + 19, cdb, 16);
	wr(d, DATA_BASE, header, sizeof(header));
	driver_desc(
		d, t, 0, DATA_BASE, sizeof(header), D_NEXT, n && !in ? 1 : 2);
	driver_desc(d, t, 1, BUF_AT, n, D_NEXT, 2);
	driver_desc(
		d, t, 2, ANSWER, RESPONSE, D_WRITE | (n && in ? D_NEXT : 0), 3);
	driver_desc(d, t, 3, BUF_AT, n, D_WRITE, 0);
	driver_offer(d, queue, 0);
	driver_kick(d, queue);
	g_assert_true(driver_used(d, queue, 5000, &id, &h->used));
	rd(d, ANSWER, h->answer, RESPONSE);
	return h->answer[11];
}

#define DISK  (3u << 8)
#define CDROM (5u << 8)

#define COMMAND(h, q, lun, n, in, ...)                                         \
	command(h, q, lun, (const uint8_t[16]){__VA_ARGS__}, n, in)

static uint32_t residual(const struct hba *h)
{
	uint32_t v;

	memcpy(&v, h->answer + 4, 4);
	return v;
}

static void test_commands(void)
{
	uint8_t buf[4096], back[4096];
	struct hba h;

	hba_up(&h);
	/* no such target, no such unit, then what pends */
	g_assert_cmpint(COMMAND(&h, 2, 0x400, 0, false, 0), ==, 3);
	g_assert_cmpint(COMMAND(&h, 2, DISK | 1, 0, false, 0), ==, 0);
	g_assert_cmpuint(h.answer[10], ==, 2);
	g_assert_cmpmem(h.answer + 12, 3, ((uint8_t[]){0x70, 0, 5}), 3);
	g_assert_cmpuint(h.answer[24], ==, 0x25);
	g_assert_cmpint(COMMAND(&h, 2, DISK, 0, false, 0), ==, 0);
	g_assert_cmpuint(h.answer[0], ==, 18);
	g_assert_cmpuint(h.answer[12 + 12], ==, 0x29);
	g_assert_cmpint(COMMAND(&h, 3, DISK, 0, false, 0), ==, 0);
	g_assert_cmpuint(h.answer[10], ==, 0);
	g_assert_cmpuint(h.used, ==, RESPONSE);
	/* less than there is room for, and more */
	g_assert_cmpint(
		COMMAND(&h, 3, DISK, 255, true, 0x12, 0, 0, 0, 255), ==, 0);
	g_assert_cmpuint(residual(&h), ==, 255 - 36);
	g_assert_cmpuint(h.used, ==, RESPONSE + 36);
	g_assert_cmpint(
		COMMAND(&h, 3, DISK, 512, true, 0x28, 0, 0, 0, 0, 0, 0, 0, 2),
		==, 1);
	g_assert_cmpint(
		COMMAND(&h, 2, DISK, 512, true, 0x0a, 0, 0, 0, 1), ==, 1);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = i * 11;
	wr(&h.d, BUF_AT, buf, sizeof(buf));
	g_assert_cmpint(
		COMMAND(&h, 2, DISK, 4096, false, 0x0a, 0, 0, 7, 8), ==, 0);
	g_assert_cmpuint(h.answer[10], ==, 0);
	g_assert_cmpint(blk_pread(h.disk, back, 4096, 7 * 512), ==, 0);
	g_assert_cmpmem(back, 4096, buf, 4096);
	g_assert_cmpint(
		COMMAND(&h, 2, DISK, 4096, true, 0x08, 0, 0, 4, 8), ==, 0);
	rd(&h.d, BUF_AT, back, 4096);
	g_assert_cmpuint(rig_sector_number(back), ==, 4);
	g_assert_cmpmem(back + 3 * 512, 5 * 512, buf, 5 * 512);
	hba_down(&h);
}

/* Task management: response. */
static int manage(struct hba *h, unsigned lun, uint32_t subtype, uint64_t tag)
{
	struct driver *d = &h->d;
	uint8_t f[24] = {0}, answer = 0xee;
	uint32_t id;

	memcpy(f + 4, &subtype, 4);
	put_lun(f + 8, lun >> 8, lun & 255);
	memcpy(f + 16, &tag, 8);
	wr(d, DATA_BASE, f, sizeof(f));
	wr(d, ANSWER, &answer, 1);
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 24, D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, ANSWER, 1, D_WRITE, 0);
	driver_offer(d, 0, 0);
	driver_kick(d, 0);
	g_assert_true(driver_used(d, 0, 5000, &id, &h->used));
	rd(d, ANSWER, &answer, 1);
	return answer;
}

static void test_management(void)
{
	static const struct {
		unsigned lun, subtype;
		int answer;
	} cases[] = {
		{DISK, 0, 0},
		{DISK, 1, 0},
		{DISK, 2, 11},
		{DISK, 3, 0},
		{DISK, 4, 0},
		{DISK, 5, 0},
		{DISK, 6, 0},
		{DISK, 7, 0},
		{DISK, 8, 11},
		{DISK | 2, 5, 12},
		{0x900, 5, 3},
	};
	struct hba h;

	hba_up(&h);
	COMMAND(&h, 2, DISK, 0, false, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpint(
			manage(&h, cases[i].lun, cases[i].subtype, 0x77), ==,
			cases[i].answer);
	g_assert_cmpint(COMMAND(&h, 2, DISK, 0, false, 0), ==, 0);
	g_assert_cmpuint(h.answer[12 + 12], ==, 0x29);
	g_assert_cmpuint(h.answer[12 + 13], ==, 3); /* by a function */
	/* Commands that wait are done before a reset is answered. */
	for (unsigned i = 0; i < 8; i++) {
		uint8_t header[19 + CDB] = {0};
		gpa_t t = h.d.q[2].desc;

		put_lun(header, 3, 0);
		wr(&h.d, DATA_BASE + 0x400, header, sizeof(header));
		driver_desc(&h.d, t, 2 * i, DATA_BASE + 0x400, sizeof(header),
			D_NEXT, 2 * i + 1);
		driver_desc(&h.d, t, 2 * i + 1, BUF_AT + 0x100 * i, RESPONSE,
			D_WRITE, 0);
		driver_offer(&h.d, 2, 2 * i);
	}
	g_assert_cmpint(manage(&h, DISK, 5, 0), ==, 0);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t id, used;

		g_assert_true(driver_used(&h.d, 2, 0, &id, &used));
	}
	hba_down(&h);
}

static void expect_event(
	struct hba *h, uint32_t what, unsigned target, uint32_t reason)
{
	uint32_t id, used, e[4];

	g_assert_true(driver_used(&h->d, 1, 1000, &id, &used));
	g_assert_cmpuint(used, ==, 16);
	rd(&h->d, BUF_AT + 16 * id, e, 16);
	g_assert_cmphex(e[0], ==, what);
	g_assert_cmphex(e[1], ==, target ? 1 | target << 8 : 0);
	g_assert_cmphex(e[3], ==, reason);
}

static void give_event(struct hba *h, unsigned n)
{
	driver_desc(&h->d, h->d.q[1].desc, n, BUF_AT + 16 * n, 16, D_WRITE, 0);
	driver_offer(&h->d, 1, n);
	driver_kick(&h->d, 1);
}

static void test_events(void)
{
	struct hba h;
	struct blk *b;

	hba_up(&h);
	give_event(&h, 0);
	give_event(&h, 1);
	bus_lock(h.d.bus);
	virtio_scsi_changed(h.d.dev, 5);
	bus_unlock(h.d.bus);
	expect_event(&h, 3, 5, 0x28);
	attach(&h, 9, b = rig_image(MIB, false), false);
	expect_event(&h, 1, 9, 1);
	g_assert_cmpint(COMMAND(&h, 2, 0x900, 0, false, 0), ==, 0);
	/* One that nobody was there to take is told of. */
	bus_lock(h.d.bus);
	g_assert_true(virtio_scsi_detach(h.d.dev, 9) == b);
	g_assert_null(virtio_scsi_detach(h.d.dev, 9));
	bus_unlock(h.d.bus);
	blk_close(b);
	give_event(&h, 2);
	expect_event(&h, 0x80000000, 0, 0);
	g_assert_cmpint(COMMAND(&h, 2, 0x900, 0, false, 0), ==, 3);
	hba_down(&h);
}

/* A disk comes and goes while a function waits for commands whose workers want
 * the bus. */
static void test_plug_at_work(void)
{
	struct hba h;
	struct driver *d = &h.d;
	struct scsi_conf c = {.id = "late"};
	uint8_t header[19 + CDB] = {0}, tmf[24] = {[4] = 1};
	uint32_t id, used;

	hba_up(&h);
	g_assert_true(driver_negotiate(d, F_V1));
	for (unsigned i = 0; i < 4; i++)
		driver_queue(d, i, 256);
	driver_go(d);
	put_lun(header, 3, 0);
	put_lun(tmf + 8, 3, 0);
	wr(d, DATA_BASE, header, sizeof(header));
	wr(d, DATA_BASE + 0x100, tmf, sizeof(tmf));
	c.blk = rig_image(MIB, false);
	bus_lock(d->bus);
	for (unsigned q = 2; q < 4; q++) {
		driver_desc(d, d->q[q].desc, 0, DATA_BASE, sizeof(header),
			D_NEXT, 1);
		driver_desc(d, d->q[q].desc, 1, ANSWER, RESPONSE, D_WRITE, 0);
		for (unsigned n = 0; n < 256; n++)
			driver_offer(d, q, 0);
	}
	driver_desc(
		d, d->q[0].desc, 0, DATA_BASE + 0x100, sizeof(tmf), D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, ANSWER + 0x200, 1, D_WRITE, 0);
	driver_offer(d, 0, 0);
	driver_kick(d, 0);
	g_usleep(20000); /* let it begin, mostly */
	driver_kick(d, 2);
	driver_kick(d, 3);
	g_usleep(20000);
	g_assert_cmpint(virtio_scsi_attach(d->dev, 9, &c), ==, 0);
	g_assert_true(virtio_scsi_detach(d->dev, 9) == c.blk);
	bus_unlock(d->bus);
	g_assert_true(driver_used(d, 0, 5000, &id, &used));
	blk_close(c.blk);
	hba_down(&h);
}

/* What the driver may set, and what breaks the rules. */
static void test_sizes(void)
{
	struct hba h;

	hba_up(&h);
	g_assert_cmpuint(bus_mmio_read(h.d.bus, NULL, h.d.device, 4), ==, 2);
	g_assert_true(driver_negotiate(&h.d, F_V1));
	bus_mmio_write(h.d.bus, NULL, h.d.device + 20, 4, 8);
	g_assert_cmpuint(
		bus_mmio_read(h.d.bus, NULL, h.d.device + 20, 4), ==, 8);
	driver_queue(&h.d, 2, 16);
	driver_go(&h.d);
	/* eight bytes of sense data, and then the response is shorter */
	g_assert_cmpint(COMMAND(&h, 2, DISK, 0, false, 0), ==, 0);
	g_assert_cmpuint(h.answer[0], ==, 8);
	g_assert_cmpuint(h.used, ==, 20);
	g_assert_true(driver_negotiate(&h.d, F_V1));
	g_assert_cmpuint(
		bus_mmio_read(h.d.bus, NULL, h.d.device + 20, 4), ==, 96);
	driver_queue(&h.d, 2, 16);
	driver_go(&h.d);
	driver_desc(&h.d, h.d.q[2].desc, 0, DATA_BASE, 19 + CDB, 0, 0);
	driver_offer(&h.d, 2, 0);
	driver_kick(&h.d, 2);
	g_assert_true(driver_wait_status(&h.d, NEEDS_RESET));
	hba_down(&h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio-scsi/commands", test_commands);
	g_test_add_func("/virtio-scsi/management", test_management);
	g_test_add_func("/virtio-scsi/events", test_events);
	g_test_add_func("/virtio-scsi/plug-at-work", test_plug_at_work);
	g_test_add_func("/virtio-scsi/sizes", test_sizes);
	return g_test_run();
}
