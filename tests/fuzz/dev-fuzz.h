/*
 * dev-fuzz.h - a device under a driver gone mad: what the programs that do
 * that share.
 *
 *	PROGRAM KIND ROUNDS [SEED]
 *	PROGRAM KIND FILE	 what the guided form has found
 *
 * It must neither crash nor hang, and its memory stays bounded.  The seed is
 * printed; threads make runs differ all the same.
 *
 * All chance comes out of rnd(): a generator of numbers, or the bytes that
 * libFuzzer makes up (FUZZ_GUIDED, the kind in FUZZ_KIND), until they end.
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

struct kind;

struct fuzz {
	struct rig r;
	struct dev *dma, *dev;
	struct blk *media[4];
	const struct kind *kind;
	void *own; /* the kind's */
	uint64_t state;
	/* Chance of a file, or of libFuzzer. */
	const uint8_t *input;
	size_t left;
};

static inline uint32_t rnd_input(struct fuzz *f, unsigned bytes)
{
	uint32_t v = 0;

	bytes = MIN(bytes, f->left);
	memcpy(&v, f->input, bytes);
	f->input += bytes;
	f->left -= bytes;
	return v;
}

static inline uint32_t rnd(struct fuzz *f)
{
	if (f->input)
		return rnd_input(f, 4);
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return f->state >> 16;
}

static inline uint32_t below(struct fuzz *f, uint32_t n)
{
	if (f->input)
		return rnd_input(f, n > 65536 ? 4 : n > 256 ? 2 : 1) % n;
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

/* Where what is judged is plugged. */
static inline unsigned devfn_of(struct fuzz *f)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct pci_func *p = pci_bus_func(f->r.b.host.pci, devfn);

		if (p && p->dev == f->dev)
			return devfn;
	}
	g_assert_not_reached();
}

static inline void mmio_write(
	struct fuzz *f, uint32_t off, unsigned size, uint64_t v)
{
	bus_mmio_write(f->r.b.bus, NULL, FUZZ_MMIO + off, size, v);
}

static inline void put(struct fuzz *f, uint32_t at, const void *p, unsigned n)
{
	bus_dma_write(f->r.b.bus, at, p, n);
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
	const void *of;		       /* what they know of it; may be NULL */
};

static inline void fuzz_reset(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	if (f->dev->cls->reset)
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

/* As if the machine had not run for a while. */
static inline void fuzz_leap(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	uint64_t ns = below(f, 2000000000) >> below(f, 24);

	bus_lock(b);
	bus_clock_pause(b, true);
	bus_clock_move(b, bus_clock_ns(b) + ns, 2 * ns);
	bus_clock_pause(b, false);
	bus_unlock(b);
	bus_timers_run(b);
}

static inline void fuzz_rounds(
	struct fuzz *f, const struct kind *k, unsigned long rounds)
{
	for (unsigned long i = 0; f->input ? f->left > 0 : i < rounds; i++) {
		k->round(f);
		if (!below(f, 50))
			bus_timers_run(f->r.b.bus);
		if (!below(f, 100))
			fuzz_leap(f);
		if (!f->input && !below(f, 8))
			g_usleep(below(f, 100));
		if (!below(f, 5000)) {
			fuzz_reset(f);
			k->awake(f);
		}
	}
}

/* From nothing to nothing.  What describe says is in text. */
static inline void fuzz_whole(struct fuzz *f, const struct kind *k,
	unsigned long rounds, char *text, unsigned size)
{
	f->kind = k;
	rig_init(&f->r);
	k->open(f);
	k->awake(f);
	fuzz_rounds(f, k, rounds);
	if (f->dev->cls->describe)
		f->dev->cls->describe(f->dev, text, size);
	board_fini(&f->r.b);
	if (k->close)
		k->close(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(f->media); i++)
		blk_close(f->media[i]);
	g_free(f->own);
}

#ifdef FUZZ_GUIDED

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MAIN(kinds)                                                       \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)           \
	{                                                                      \
		return fuzz_guided(kinds, data, size);                         \
	}

static inline int fuzz_guided(
	const struct kind *kinds, const uint8_t *data, size_t size)
{
	const struct kind *k = fuzz_kind(kinds, g_getenv("FUZZ_KIND"));
	struct fuzz f = {.input = data, .left = size};
	char text[512];

	g_assert_nonnull(k);
	fuzz_whole(&f, k, 0, text, sizeof(text));
	return 0;
}

#else

#define FUZZ_MAIN(kinds)                                                       \
	int main(int argc, char **argv)                                        \
	{                                                                      \
		return fuzz_main(argc, argv, kinds);                           \
	}

/* kinds ends with one that has no name. */
static inline int fuzz_main(int argc, char **argv, const struct kind *kinds)
{
	const struct kind *k = fuzz_kind(kinds, argv[1]);
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 100000;
	g_autofree char *input = NULL;
	struct fuzz f = {0};
	char text[512] = "";
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
	if (argc > 2 && g_file_get_contents(argv[2], &input, &f.left, NULL))
		f.input = (const uint8_t *)input;
	grown = -fuzz_peak_kb();
	fuzz_whole(&f, k, rounds, text, sizeof(text));
	grown += fuzz_peak_kb();
	printf("%lu rounds, %ld KiB grown; %s\n", rounds, grown, text);
	return grown > 256 << 10;
}

#endif

#endif
