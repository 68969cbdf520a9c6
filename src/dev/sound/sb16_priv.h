/*
 * sb16_priv.h - the card, for sb16.c (ports, mixer) and sb16_dsp.c (commands
 * and DMA).
 */
#ifndef DEV_SOUND_SB16_PRIV_H
#define DEV_SOUND_SB16_PRIV_H

#include "dev/misc/i8237.h"
#include "dev/sound/opl3.h"
#include "dev/sound/pipe.h"

#define SB_IRQ_8   0x01 /* of mixer register 0x82 */
#define SB_IRQ_16  0x02
#define SB_IRQ_MPU 0x04

#define SB_OUT_BYTES 64
#define SB_MAX_ARGS  3

struct sb16;

/* Samples by DMA: one for 8 bits, one for 16. */
struct sb_engine {
	struct sb16 *card;
	bool active, paused;
	bool input, automatic, stereo, is_signed, silence;
	bool last;	/* automatic no more: this block ends it */
	uint8_t adpcm;	/* bits of a sample, 0: none */
	bool reference; /* the first byte is the ADPCM's start */
	uint8_t step;
	int16_t predictor;
	uint32_t block, left; /* bytes, or words */
	uint32_t rate;	      /* frames per second */
	/* The clock: units since start. */
	uint64_t start_ns, units;
	struct sound_pipe pipe;
};

struct sb16 {
	struct dev dev;
	struct sb_engine engine[2]; /* 8 bits, 16 bits */
	/* DSP */
	uint8_t command, nargs, need;
	bool busy_with; /* a command waits for its arguments */
	uint8_t arg[SB_MAX_ARGS];
	uint8_t out[SB_OUT_BYTES];
	uint8_t nout, last_out;
	bool in_reset, speaker, midi_uart;
	uint8_t test, e2_sum, e2_count;
	uint8_t constant; /* time constant, if !rate_set */
	bool rate_set;
	uint16_t rate;
	uint32_t block; /* as command 48 sets it, bytes less one */
	/* Samples that the processor itself puts out. */
	uint8_t direct;
	bool direct_on;
	uint64_t direct_ns;	/* played up to here */
	uint64_t direct_put_ns; /* the last one came then */
	struct audio_stream *direct_stream;
	/* Mixer */
	uint8_t mixer_index, mixer[256];
	uint8_t irq_status;
	/* MPU-401 */
	bool mpu_uart;
	uint8_t mpu_in[4], mpu_nin;
	/* FM */
	struct opl3 opl;
	uint64_t opl_ns, opl_made; /* since when; samples since then */
	struct audio_stream *opl_stream;
	struct bus_timer timer;
	struct i8237_watch watch;
	uint64_t played, midi;
};

/* ---- sb16.c ---- */

void sb_set_irq(struct sb16 *s, uint8_t bit, bool on);
/* How loud: registers of the source's left volume. */
void sb_volume(const struct sb16 *s, unsigned reg, unsigned out[2]);
/* Something runs now or no more. */
void sb_arm(struct sb16 *s);

/* ---- sb16_dsp.c ---- */

void sb_dsp_init(struct sb16 *s);
void sb_dsp_fini(struct sb16 *s);
void sb_dsp_reset(struct sb16 *s);
void sb_dsp_write(struct sb16 *s, uint8_t val);
uint8_t sb_dsp_read(struct sb16 *s);
/* To where the clock says all is. */
void sb_dsp_advance(struct sb16 *s, uint64_t now);
uint64_t sb_dsp_due(const struct sb16 *s, uint64_t now);
/* The mixer's volumes have changed. */
void sb_dsp_tune(struct sb16 *s);
/* After a state was loaded: clocks start now. */
void sb_dsp_resume(struct sb16 *s);

extern const struct state_list sb_engine_state;

#endif
