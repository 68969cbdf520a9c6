/*
 * meter.h - a disk whose requests are counted, and held back beyond a limit.
 *
 * A filter.  Who is held back sleeps where it calls, in the order of calling:
 * devices call from threads that may.  Limits change at any time, and then
 * count for those who sleep, too.
 */
#ifndef BLOCK_METER_H
#define BLOCK_METER_H

#include "block/blk.h"

struct meter_limits {
	uint64_t iops;	   /* requests a second; 0: no limit */
	uint64_t bps;	   /* bytes a second; 0: no limit */
	uint64_t burst_ms; /* what was not used in so long may be made up for */
};

#define METER_BURST_MS	   100 /* if nothing is said */
#define METER_BURST_MAX_MS 3600000

enum meter_what {
	METER_READ,
	METER_WRITE, /* and zeros */
	METER_DISCARD,
	METER_FLUSH, /* is never held back */
	METER_NWHAT,
};

struct meter_count {
	uint64_t requests, bytes;
	uint64_t ns; /* all together, with what they were held back */
};

struct meter_stat {
	struct meter_count count[METER_NWHAT];
	uint64_t held_ns; /* by the limit */
};

/* below is consumed. */
struct blk *meter_new(struct blk *below, const struct meter_limits *limits);
void meter_limit(struct blk *b, const struct meter_limits *limits);
/* Without limits for a while, for whoever must wait for the last request. */
void meter_hurry(struct blk *b, bool on);
void meter_stat(struct blk *b, struct meter_stat *s);

#endif
