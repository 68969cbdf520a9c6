/* disk-rig.h - images and interrupt counters for the tests of dev/storage. */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include <sys/mman.h>
#include <unistd.h>

#include "block/blk.h"
#include "dev-board.h"

struct rig {
	struct board b;
	struct bus_irq gsi[BUS_NGSI];
	bool level[BUS_NGSI];
	unsigned rises[BUS_NGSI];
};

static inline void rig_irq(void *opaque, unsigned n, bool level)
{
	struct rig *r = opaque;

	r->rises[n] += level && !r->level[n];
	r->level[n] = level;
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	board_init(&r->b, 1);
	for (unsigned i = 0; i < BUS_NGSI; i++)
		r->gsi[i] = (struct bus_irq){rig_irq, r, i};
	r->b.host.gsi = r->gsi;
}

/* Each sector begins with its number. */
static inline struct blk *rig_image(uint64_t bytes, bool readonly)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	uint8_t sector[512];

	g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
	for (uint64_t at = 0; at + 512 <= bytes && at < 16 << 20; at += 512) {
		uint32_t n = at / 512;

		memset(sector, n * 7, sizeof(sector));
		memcpy(sector, &n, 4);
		g_assert_cmpint(pwrite(fd, sector, 512, (off_t)at), ==, 512);
	}
	return blk_raw_open(fd, readonly, NULL);
}

static inline uint32_t rig_sector_number(const void *p)
{
	uint32_t n;

	memcpy(&n, p, 4);
	return n;
}

/* What worker threads do takes time. */
#define RIG_WAIT(condition)                                                    \
	do {                                                                   \
		for (unsigned tries = 0; !(condition) && tries < 50000;        \
			tries++)                                               \
			g_usleep(100);                                         \
		g_assert_true(condition);                                      \
	} while (0)

#endif
