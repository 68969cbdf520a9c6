/*
 * opl3.h - a Yamaha YMF262 (OPL3): 18 channels of FM synthesis.
 *
 * Samples are made only when they are asked for; nothing but the timers can be
 * read back.  Lock held.
 */
#ifndef DEV_SOUND_OPL3_H
#define DEV_SOUND_OPL3_H

#include "dev/state.h"

#define OPL3_HZ	   49716u
#define OPL3_SLOTS 36

struct opl3_slot {
	uint32_t phase; /* 10 bits and 9 behind the point */
	uint16_t level; /* attenuation by the envelope, 0 loud to 511 */
	uint8_t stage;	/* enum opl3_stage */
	bool key, begin;
	int16_t out[2]; /* now, and the sample before */
};

struct opl3 {
	uint8_t reg[2][256];
	uint8_t index[2]; /* as the address ports have been written */
	struct opl3_slot slot[OPL3_SLOTS];
	uint64_t clock; /* samples made */
	uint32_t noise;
	/* Timers: when they were started, in ns; flags that stand. */
	uint64_t timer_ns[2];
	uint8_t flags;
	/* Derived. */
	uint16_t log_sine[256], exponent[256];
};

extern const struct state_list opl3_state;

void opl3_init(struct opl3 *o);
void opl3_reset(struct opl3 *o);
/* Ports 0 to 3: address and data of both register banks.  Before it changes
 * what is heard, samples up to now_ns should have been made. */
void opl3_write(struct opl3 *o, unsigned port, uint8_t val, uint64_t now_ns);
uint8_t opl3_read(struct opl3 *o, unsigned port, uint64_t now_ns);
/* Some tone has not died away. */
bool opl3_sounds(const struct opl3 *o);
/* The next n frames of two channels. */
void opl3_make(struct opl3 *o, int16_t *frames, unsigned n);

#endif
