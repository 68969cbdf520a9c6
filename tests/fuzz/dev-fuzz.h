/*
 * dev-fuzz.h - a device under a driver gone mad: what the programs that do
 * that share.
 *
 *	PROGRAM KIND ROUNDS [SEED]
 *
 * It must neither crash nor hang, and its memory stays bounded.  The seed is
 * printed; threads make runs differ all the same.
 */
#ifndef TESTS_FUZZ_DEV_FUZZ_H
#define TESTS_FUZZ_DEV_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../unit/disk-rig.h"

#define FUZZ_RAM  (16u << 20)
#define FUZZ_IO	  0xc000 /* where BARs are, as a rule */
#define FUZZ_MMIO 0xfe000000u

struct fuzz {
	struct rig r;
	struct dev *dma, *dev;
	struct blk *media[4];
	void *own; /* the kind's */
	uint64_t state;
};

static inline uint32_t rnd(struct fuzz *f)
{
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return f->state >> 16;
}

static inline uint32_t below(struct fuzz *f, uint32_t n)
{
	return rnd(f) % n;
}

/* Mostly RAM; sometimes ROM, devices, nothing. */
static inline uint32_t address(struct fuzz *f)
{
	switch (below(f, 16)) {
	case 0: return rnd(f);
	case 1: return 0xfffffff0u + below(f, 16);
	case 2: return FUZZ_RAM - below(f, 4096);
	case 3: return 0xa0000 + below(f, 0x60000);
	case 4: return FUZZ_MMIO + below(f, 4096);
	default: return below(f, FUZZ_RAM);
	}
}

static inline uint8_t byte(struct fuzz *f)
{
	static const uint8_t some[] = {
		0, 1, 2, 3, 4, 8, 0x10, 0x7f, 0x80, 0xff};

	return below(f, 3) ? some[below(f, sizeof(some))] : rnd(f);
}

static inline void port_write(struct fuzz *f, uint16_t port, uint32_t val)
{
	bus_io_write(f->r.b.bus, port, 1u << below(f, 3), val);
}

static inline void port_read(struct fuzz *f, uint16_t port)
{
	bus_io_read(f->r.b.bus, port, 1u << below(f, 3));
}

static inline void config_write(struct fuzz *f, unsigned devfn, unsigned off,
	unsigned size, uint32_t val)
{
	bus_lock(f->r.b.bus);
	pci_config_write(f->r.b.host.pci, 0, devfn, off, size, val);
	bus_unlock(f->r.b.bus);
}

/* One kind of device. */
struct kind {
	const char *name;
	void (*open)(struct fuzz *f);  /* make it */
	void (*awake)(struct fuzz *f); /* as a driver finds it after a reset */
	void (*round)(struct fuzz *f); /* do something to it */
	void (*close)(struct fuzz *f); /* after it has gone; may be NULL */
};

static inline void fuzz_reset(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	f->dev->cls->reset(f->dev);
	bus_unlock(f->r.b.bus);
}

static inline long fuzz_peak_kb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static inline const struct kind *fuzz_kind(
	const struct kind *kinds, const char *name)
{
	for (; name && kinds->name; kinds++)
		if (!strcmp(name, kinds->name))
			return kinds;
	return NULL;
}

static inline void fuzz_rounds(
	struct fuzz *f, const struct kind *k, unsigned long rounds)
{
	for (unsigned long i = 0; i < rounds; i++) {
		k->round(f);
		if (!below(f, 50))
			bus_timers_run(f->r.b.bus);
		if (!below(f, 8))
			g_usleep(below(f, 100));
		if (!below(f, 5000)) {
			fuzz_reset(f);
			k->awake(f);
		}
	}
}

/* kinds ends with one that has no name. */
static inline int fuzz_main(int argc, char **argv, const struct kind *kinds)
{
	const struct kind *k = fuzz_kind(kinds, argv[1]);
	struct fuzz f = {0};
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 100000;
	char text[512];
	long grown;

	if (!k) {
		fprintf(stderr, "%s KIND ROUNDS [SEED]; kinds:", argv[0]);
		for (; kinds->name; kinds++)
			fprintf(stderr, " %s", kinds->name);
		fprintf(stderr, "\n");
		return 2;
	}
	f.state = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)getpid();
	printf("seed %llu\n", (unsigned long long)f.state);
	f.state = f.state * 0x9e3779b97f4a7c15ull | 1;
	rig_init(&f.r);
	k->open(&f);
	k->awake(&f);
	grown = -fuzz_peak_kb();
	fuzz_rounds(&f, k, rounds);
	f.dev->cls->describe(f.dev, text, sizeof(text));
	board_fini(&f.r.b);
	if (k->close)
		k->close(&f);
	for (unsigned i = 0; i < G_N_ELEMENTS(f.media); i++)
		blk_close(f.media[i]);
	g_free(f.own);
	grown += fuzz_peak_kb();
	printf("%lu rounds, %ld KiB grown; %s\n", rounds, grown, text);
	return grown > 256 << 10;
}

#endif
