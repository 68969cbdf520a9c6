/* dev-flash.c - NOR flash: commands, status, and what reaches the image. */
#include "dev/misc/flash.h"
#include "disk-rig.h"

#define BASE  0xffc00000u
#define BYTES (16u << 10)

struct flash_rig {
	struct board b;
	struct blk *blk;
	struct dev *d;
};

static void flash_open(struct flash_rig *r, bool readonly)
{
	board_init(&r->b, 1);
	r->blk = rig_image(BYTES, readonly);
	r->b.host.blk = r->blk;
	r->b.host.readonly = readonly;
	r->d = board_add(&r->b, "flash");
	bus_lock(r->b.bus);
	r->d->cls->reset(r->d);
	flash_map(r->d, BASE);
	bus_unlock(r->b.bus);
}

static void flash_close(struct flash_rig *r)
{
	board_fini(&r->b);
	blk_close(r->blk);
}

static uint8_t get(struct flash_rig *r, uint32_t at)
{
	return bus_mmio_read(r->b.bus, NULL, BASE + at, 1);
}

static void put(struct flash_rig *r, uint32_t at, uint8_t val)
{
	bus_mmio_write(r->b.bus, NULL, BASE + at, 1, val);
}

static uint8_t kept(struct flash_rig *r, uint32_t at)
{
	uint8_t v;

	g_assert_cmpint(blk_pread(r->blk, &v, 1, at), ==, 0);
	return v;
}

/* As UEFI looks for it: a status of zero once it was cleared. */
static void test_detect(void)
{
	struct flash_rig r;

	flash_open(&r, false);
	g_assert_cmphex(get(&r, 516), ==, 7);
	put(&r, 516, 0x50);
	g_assert_cmphex(get(&r, 516), ==, 7);
	put(&r, 516, 0x70);
	g_assert_cmphex(get(&r, 516), ==, 0);
	put(&r, 516, 0xff);
	g_assert_cmphex(get(&r, 516), ==, 7);
	/* identifier and query */
	put(&r, 0, 0x90);
	g_assert_cmphex(get(&r, 0), ==, 0x89);
	put(&r, 0, 0x98);
	g_assert_cmphex(bus_mmio_read(r.b.bus, NULL, BASE + 0x10, 4), ==,
		'Q' | 'R' << 8 | 'Y' << 16 | 1 << 24);
	g_assert_cmphex(get(&r, 0x27), ==, 14);
	g_assert_cmphex(get(&r, 0x2d), ==, 3);
	g_assert_cmphex(get(&r, 0x2f), ==, 0x10);
	flash_close(&r);
}

static void test_program(void)
{
	struct flash_rig r;

	flash_open(&r, false);
	/* bits are cleared, not set */
	put(&r, 516, 0x10);
	put(&r, 516, 0xfe);
	g_assert_cmphex(get(&r, 0), ==, 0x80);
	put(&r, 517, 0x40);
	put(&r, 517, 0x03);
	put(&r, 0, 0xff);
	g_assert_cmphex(get(&r, 516), ==, 0x06);
	g_assert_cmphex(get(&r, 517), ==, 0x03);
	g_assert_cmphex(get(&r, 518), ==, 0x07);
	g_assert_cmphex(kept(&r, 516), ==, 0x06);
	/* a block becomes ones, its neighbours stay */
	put(&r, 0x1234, 0x20);
	put(&r, 0x1234, 0xd0);
	put(&r, 0, 0xff);
	g_assert_cmphex(get(&r, 0x0fff), ==, 0x31);
	g_assert_cmphex(get(&r, 0x1000), ==, 0xff);
	g_assert_cmphex(get(&r, 0x1fff), ==, 0xff);
	g_assert_cmphex(get(&r, 0x2004), ==, 0x70);
	g_assert_cmphex(kept(&r, 0x1fff), ==, 0xff);
	/* without confirmation: an error, no more */
	put(&r, 0x2000, 0x20);
	put(&r, 0x2000, 0x00);
	g_assert_cmphex(get(&r, 0) & 0x30, ==, 0x30);
	put(&r, 0, 0x50);
	put(&r, 0, 0xff);
	g_assert_cmphex(get(&r, 0x2004), ==, 0x70);
	/* by the buffer: 4 bytes */
	put(&r, 0x1000, 0xe8);
	g_assert_cmphex(get(&r, 0x1000) & 0x30, ==, 0);
	put(&r, 0x1000, 3);
	for (unsigned i = 0; i < 4; i++)
		put(&r, 0x1010 + i, 0xa0 + i);
	put(&r, 0x1000, 0xd0);
	put(&r, 0x1000, 0xff);
	g_assert_cmphex(
		bus_mmio_read(r.b.bus, NULL, BASE + 0x1010, 4), ==, 0xa3a2a1a0);
	flash_close(&r);
}

/* What may not be kept is there until the end. */
static void test_readonly(void)
{
	struct flash_rig r;

	flash_open(&r, true);
	put(&r, 516, 0x10);
	put(&r, 516, 0);
	put(&r, 516, 0xff);
	g_assert_cmphex(get(&r, 516), ==, 0);
	g_assert_cmphex(kept(&r, 516), ==, 7);
	flash_close(&r);
}

static void test_rubbish(void)
{
	GRand *rnd = g_rand_new_with_seed(4);
	struct flash_rig r;

	flash_open(&r, false);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned size = 1u << g_rand_int_range(rnd, 0, 4);
		gpa_t at = BASE + (g_rand_int(rnd) % BYTES & ~(size - 1));

		if (g_rand_int(rnd) & 1)
			bus_mmio_read(r.b.bus, NULL, at, size);
		else
			bus_mmio_write(
				r.b.bus, NULL, at, size, g_rand_int(rnd));
	}
	g_rand_free(rnd);
	flash_close(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/flash/detect", test_detect);
	g_test_add_func("/flash/program", test_program);
	g_test_add_func("/flash/readonly", test_readonly);
	g_test_add_func("/flash/rubbish", test_rubbish);
	return g_test_run();
}
