/*
 * sound-fuzz.c - sound cards under a driver gone mad: any register, any
 * command, descriptors and DMA channels that point anywhere, while somebody
 * listens and something is recorded.
 */
#include "dev-fuzz.h"

#include "audio/audio.h"
#include "dev/misc/i8237.h"
#include "dev/sound/speaker.h"
#include "dev/timer/i8254.h"

#define TABLES 0x100000u
#define NABM   (FUZZ_IO + 0x400)
#define SB     0x220

/* Who listens: frames come in order. */
struct listener {
	struct audio_sink sink;
	uint64_t next, frames;
};

static void listen_write(
	struct audio_sink *s, uint64_t at, const int16_t *frames, unsigned n)
{
	struct listener *l = (struct listener *)s;

	g_assert_cmpuint(at, >=, l->next);
	g_assert_cmpuint(n, >, 0);
	l->next = at + n;
	l->frames += n;
}

static void listen_free(struct audio_sink *s)
{
	g_free(s);
}

static unsigned noise_read(struct audio_source *s, int16_t *frames, unsigned n)
{
	memset(frames, 0x5a, n * 4);
	return n;
}

static void noise_free(struct audio_source *s)
{
	g_free(s);
}

static void sound_open(struct fuzz *f, const char *class)
{
	struct listener *l = g_new0(struct listener, 1);
	struct audio_source *s = g_new0(struct audio_source, 1);

	l->sink =
		(struct audio_sink){.write = listen_write, .free = listen_free};
	*s = (struct audio_source){
		.rate = 44100, .read = noise_read, .free = noise_free};
	f->r.b.host.audio = audio_new(&l->sink, s);
	f->dma = board_add(&f->r.b, "i8237");
	f->r.b.host.dma = f->dma;
	f->dev = board_add(&f->r.b, class);
}

static void sound_close(struct fuzz *f)
{
	audio_free(f->r.b.host.audio);
}

/* Descriptors: addresses, lengths, flags. */
static void make_tables(struct fuzz *f, unsigned stride)
{
	uint32_t at = TABLES + below(f, 16) * 128;

	for (unsigned i = 1 + below(f, 40); i; i--, at += stride) {
		uint32_t e[4] = {address(f), below(f, 8) ? 0 : rnd(f)};
		uint32_t len = below(f, 4) ? below(f, 600) : rnd(f);

		e[stride / 4 - (stride == 16 ? 2 : 1)] = len;
		if (stride == 16)
			e[3] = below(f, 4);
		else
			e[1] |= below(f, 2) ? 1u << 31 : 0;
		bus_dma_write(f->r.b.bus, at, e, stride);
	}
}

/* ---- AC '97 ---- */

static void ac97_open(struct fuzz *f)
{
	sound_open(f, "ac97");
}

static void ac97_awake(struct fuzz *f)
{
	config_write(f, 2 << 3, 0x10, 4, FUZZ_IO);
	config_write(f, 2 << 3, 0x14, 4, NABM);
	config_write(f, 2 << 3, 4, 2, below(f, 16) ? 5 : rnd(f));
	bus_io_write(f->r.b.bus, NABM + 0x2c, 4, below(f, 16) ? 2 : rnd(f));
}

static void ac97_round(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	unsigned box = NABM + 0x10 * below(f, 3);

	switch (below(f, 8)) {
	case 0: make_tables(f, 8); break;
	case 1:
		bus_io_write(b, box, 4, TABLES + below(f, 16) * 128);
		bus_io_write(b, box + 5, 1, rnd(f));
		bus_io_write(b, box + 11, 1, 0x1d);
		break;
	case 2: bus_io_write(b, box + 5, 1, rnd(f)); break;
	case 3: port_write(f, NABM + below(f, 64), byte(f)); break;
	case 4: port_read(f, NABM + below(f, 64)); break;
	case 5:
		bus_io_write(b, FUZZ_IO + 2 * below(f, 128), 2,
			below(f, 2) ? rnd(f) : below(f, 2) * 9);
		break;
	case 6: port_read(f, FUZZ_IO + below(f, 256)); break;
	case 7:
		if (!below(f, 20))
			ac97_awake(f);
		break;
	}
}

/* ---- High Definition Audio ---- */

static void hda_open(struct fuzz *f)
{
	sound_open(f, "hda");
}

static void hda_write(struct fuzz *f, unsigned reg, unsigned size, uint32_t val)
{
	bus_mmio_write(f->r.b.bus, NULL, FUZZ_MMIO + reg, size, val);
}

static void hda_awake(struct fuzz *f)
{
	static const uint32_t verbs[] = {0x0023b04a, 0x00435b4a, 0x00270610,
		0x00470620, 0x00370740, 0x00570720};

	config_write(f, 2 << 3, 0x10, 4, FUZZ_MMIO);
	config_write(f, 2 << 3, 4, 2, below(f, 16) ? 6 : rnd(f));
	hda_write(f, 8, 4, 1);
	hda_write(f, 0x40, 4, TABLES + 0x10000);
	hda_write(f, 0x50, 4, TABLES + 0x12000);
	hda_write(f, 0x70, 4, (TABLES + 0x14000) | below(f, 2));
	hda_write(f, 0x4c, 1, 2);
	hda_write(f, 0x5c, 1, 3);
	hda_write(f, 0x20, 4, 0xc00000ff);
	for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
		hda_write(f, 0x60, 4, verbs[i]);
		hda_write(f, 0x68, 2, 1);
	}
}

static void hda_run(struct fuzz *f)
{
	unsigned sd = 0x80 + 0x20 * below(f, 8);

	hda_write(f, sd, 1, 1);
	hda_write(f, sd, 1, 0);
	hda_write(f, sd + 0x08, 4, below(f, 4) ? below(f, 9000) : rnd(f));
	hda_write(f, sd + 0x0c, 2, below(f, 4) ? below(f, 8) : rnd(f));
	hda_write(f, sd + 0x12, 2, below(f, 2) ? 0x11 : rnd(f));
	hda_write(f, sd + 0x18, 4, TABLES + below(f, 16) * 128);
	hda_write(f, sd, 4, 0x1e | (1 + below(f, 3)) << 20);
}

static void hda_round(struct fuzz *f)
{
	uint32_t verb = rnd(f) & (below(f, 4) ? 0x007fffff : 0xffffffff);

	switch (below(f, 9)) {
	case 0: make_tables(f, 16); break;
	case 1: hda_run(f); break;
	case 2: hda_write(f, below(f, 0x200), 1u << below(f, 3), rnd(f)); break;
	case 3: hda_write(f, below(f, 0x200), 1, byte(f)); break;
	case 4:
		bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + below(f, 0x3ff8),
			1u << below(f, 4));
		break;
	case 5:
		hda_write(f, 0x60, 4, verb);
		hda_write(f, 0x68, 2, 1);
		break;
	case 6:
		bus_dma_write(f->r.b.bus, TABLES + 0x10000 + 4 * below(f, 256),
			&verb, 4);
		hda_write(f, 0x48, 2, rnd(f));
		break;
	case 7: hda_write(f, 0x80 + 0x20 * below(f, 8), 1, byte(f)); break;
	case 8:
		if (!below(f, 20))
			hda_awake(f);
		break;
	}
}

/* ---- Sound Blaster, and the loudspeaker beside it ---- */

static void sb16_open(struct fuzz *f)
{
	struct dev *speaker, *pit;

	sound_open(f, "sb16");
	pit = board_add(&f->r.b, "i8254");
	speaker = board_add(&f->r.b, "speaker");
	bus_lock(f->r.b.bus);
	speaker_attach(speaker, pit);
	bus_unlock(f->r.b.bus);
}

static void sb16_awake(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	i8237_cascade(f->dma);
	bus_unlock(f->r.b.bus);
	bus_io_write(f->r.b.bus, SB + 6, 1, 1);
	bus_io_write(f->r.b.bus, SB + 6, 1, 0);
}

static void dma_setup(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	bool wide = below(f, 2);
	unsigned ch = wide ? 1 : below(f, 2) ? 1 : below(f, 4);

	bus_io_write(b, wide ? 0xd8 : 0x0c, 1, 0);
	bus_io_write(b, wide ? 0xd6 : 0x0b, 1, (rnd(f) & 0xfc) | ch);
	for (unsigned i = 0; i < 4; i++)
		bus_io_write(b,
			(wide ? 0xc0 : 0) +
				((2 * ch + i / 2) << (wide ? 1 : 0)),
			1, rnd(f));
	bus_io_write(b, wide ? 0x8b : 0x83, 1, below(f, 32));
	bus_io_write(b, wide ? 0xd4 : 0x0a, 1, ch | (below(f, 8) ? 0 : 4));
}

static void dsp_command(struct fuzz *f)
{
	static const uint8_t codes[] = {0x10, 0x14, 0x16, 0x17, 0x1c, 0x1f,
		0x20, 0x24, 0x2c, 0x40, 0x41, 0x42, 0x45, 0x47, 0x48, 0x74,
		0x75, 0x76, 0x77, 0x7d, 0x7f, 0x80, 0x90, 0x91, 0x98, 0x99,
		0xa0, 0xa8, 0xb6, 0xbe, 0xb0, 0xc6, 0xce, 0xc0, 0xd0, 0xd4,
		0xd5, 0xd6, 0xd9, 0xda, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe8,
		0xf2, 0xf3, 0xfb};
	struct bus *b = f->r.b.bus;

	bus_io_write(b, SB + 12, 1,
		below(f, 16) ? codes[below(f, sizeof(codes))] : rnd(f));
	bus_io_write(b, SB + 12, 1, rnd(f));
	bus_io_write(b, SB + 12, 1, rnd(f));
	bus_io_write(b, SB + 12, 1, below(f, 8) ? 0 : rnd(f));
}

static void fm_write(struct fuzz *f)
{
	static const uint8_t groups[] = {
		0x20, 0x40, 0x60, 0x80, 0xa0, 0xb0, 0xc0, 0xe0};
	uint16_t port = 0x388 + 2 * below(f, 2);

	bus_io_write(f->r.b.bus, port, 1,
		below(f, 8) ? groups[below(f, sizeof(groups))] + below(f, 0x16)
			    : rnd(f));
	bus_io_write(f->r.b.bus, port + 1, 1, rnd(f));
}

static void sb16_round(struct fuzz *f)
{
	static const uint16_t speaker[] = {0x42, 0x43, 0x61};

	switch (below(f, 10)) {
	case 0: dma_setup(f); break;
	case 1: dsp_command(f); break;
	case 2: port_write(f, SB + below(f, 16), byte(f)); break;
	case 3: port_read(f, SB + below(f, 16)); break;
	case 4:
		bus_io_write(f->r.b.bus, SB + 4, 1, rnd(f));
		bus_io_write(f->r.b.bus, SB + 5, 1, rnd(f));
		break;
	case 5:
	case 6: fm_write(f); break;
	case 7: port_write(f, 0x330 + below(f, 2), byte(f)); break;
	case 8:
		port_write(f, speaker[below(f, 3)], rnd(f));
		port_read(f, below(f, 16));
		break;
	case 9:
		if (!below(f, 20))
			sb16_awake(f);
		break;
	}
}

static const struct kind kinds[] = {
	{"ac97", ac97_open, ac97_awake, ac97_round, sound_close},
	{"hda", hda_open, hda_awake, hda_round, sound_close},
	{"sb16", sb16_open, sb16_awake, sb16_round, sound_close},
	{NULL},
};

FUZZ_MAIN(kinds)
