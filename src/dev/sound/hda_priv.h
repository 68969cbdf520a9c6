/*
 * hda_priv.h - the controller, for hda.c and hda_stream.c.
 */
#ifndef DEV_SOUND_HDA_PRIV_H
#define DEV_SOUND_HDA_PRIV_H

#include "dev/pci/pci.h"
#include "dev/sound/hda_codec.h"
#include "dev/sound/pipe.h"

#define HDA_INPUTS  4
#define HDA_STREAMS 8 /* then as many outputs */

#define HDA_SD	    0x80 /* first stream's descriptor */
#define HDA_SD_SIZE 0x20
#define HDA_REGS    (HDA_SD + HDA_STREAMS * HDA_SD_SIZE)

#define HDA_GCTL     0x08
#define HDA_WAKEEN   0x0c
#define HDA_STATESTS 0x0e
#define HDA_INTCTL   0x20
#define HDA_INTSTS   0x24
#define HDA_WALCLK   0x30
#define HDA_SSYNC    0x34
#define HDA_CORBBASE 0x40
#define HDA_CORBWP   0x48
#define HDA_CORBRP   0x4a
#define HDA_CORBCTL  0x4c
#define HDA_CORBSIZE 0x4e
#define HDA_RIRBBASE 0x50
#define HDA_RIRBWP   0x58
#define HDA_RINTCNT  0x5a
#define HDA_RIRBCTL  0x5c
#define HDA_RIRBSTS  0x5d
#define HDA_RIRBSIZE 0x5e
#define HDA_ICW	     0x60
#define HDA_IRR	     0x64
#define HDA_ICS	     0x68
#define HDA_DPBASE   0x70

#define SD_CTL	0x00
#define SD_STS	0x03
#define SD_LPIB 0x04
#define SD_CBL	0x08
#define SD_LVI	0x0c
#define SD_FMT	0x12
#define SD_BDP	0x18

#define SD_CTL_SRST 0x01
#define SD_CTL_RUN  0x02
#define SD_CTL_IOCE 0x04
#define SD_CTL_FEIE 0x08
#define SD_CTL_DEIE 0x10
#define SD_STS_BCIS 0x04
#define SD_STS_FIFO 0x08
#define SD_STS_DESE 0x10
#define SD_STS_RDY  0x20

struct hda;

struct hda_stream {
	struct hda *hda;
	bool moves; /* runs, and is not held back for others */
	uint8_t index;
	bool ioc, fetched;
	uint32_t at, len; /* in the buffer of that index */
	uint64_t addr;
	/* The clock: frames since start. */
	uint64_t start_ns, frames;
	unsigned rate, frame; /* bytes */
	struct sound_pipe pipe;
};

struct hda {
	struct dev dev;
	struct pci_func pci;
	struct hda_codec codec;
	uint8_t reg[HDA_REGS];
	uint64_t epoch_ns; /* of the wall clock */
	struct hda_stream stream[HDA_STREAMS];
	struct bus_timer timer;
	uint64_t verbs, moved;
};

static inline uint32_t hda_get(const struct hda *h, unsigned off, unsigned size)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint32_t)h->reg[off + i] << 8 * i;
	return v;
}

static inline void hda_put(
	struct hda *h, unsigned off, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < size; i++)
		h->reg[off + i] = val >> 8 * i & 0xff;
}

static inline uint64_t hda_get_address(const struct hda *h, unsigned off)
{
	return hda_get(h, off, 4) | (uint64_t)hda_get(h, off + 4, 4) << 32;
}

static inline bool hda_masters(const struct hda *h)
{
	return h->pci.config[4] & 4;
}

/* ---- hda_stream.c ---- */

extern const struct state_list hda_stream_state;

void hda_stream_init(struct hda *h, unsigned n);
void hda_stream_reset(struct hda *h, unsigned n);
/* Its control register, or what holds it back, has been written. */
void hda_stream_control(struct hda *h, unsigned n);
/* From now the clock counts anew. */
void hda_stream_clock(struct hda *h, unsigned n);
/* What the codec's registers say. */
void hda_streams_tune(struct hda *h);
/* All to where the clock says they are, or when they want to be looked at;
 * true: something has happened that interrupts. */
bool hda_streams_advance(struct hda *h);
void hda_streams_arm(struct hda *h);

#endif
