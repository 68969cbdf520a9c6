/*
 * ich9_tco.h - the ICH9's system management TCO registers: the watchdog that
 * resets a machine whose software does not feed it.  Private to pci/.
 */
#ifndef DEV_PCI_ICH9_TCO_H
#define DEV_PCI_ICH9_TCO_H

#include "bus/bus.h"

#define ICH9_TCO       0x60 /* from PMBASE */
#define ICH9_TCO_BYTES 32
#define ICH9_GCS       0x3410 /* chipset configuration */
#define ICH9_GCS_NR    0x20   /* no reboot */

struct state_list;

struct ich9_tco {
	struct bus *bus;
	const uint8_t *gcs; /* that register */
	uint16_t initial;   /* ticks */
	uint16_t sts1, sts2, cnt1, cnt2;
	bool once;	      /* it ended, and was not reloaded since */
	uint16_t held;	      /* what a halted timer has left */
	uint64_t deadline_ns; /* when a running one ends */
	uint8_t dat_in, dat_out, message[2], wdcnt, sw_irq;
	struct bus_timer timer;
};

/* All: lock held. */
void ich9_tco_init(struct ich9_tco *t, struct bus *b, const uint8_t *gcs);
void ich9_tco_fini(struct ich9_tco *t);
/* What tells why a machine was reset stays. */
void ich9_tco_reset(struct ich9_tco *t);
/* GCS has changed. */
void ich9_tco_update(struct ich9_tco *t);
/* The 16-bit registers at even offsets from ICH9_TCO; put: the bits of mask. */
uint16_t ich9_tco_get(struct ich9_tco *t, unsigned off);
void ich9_tco_put(
	struct ich9_tco *t, unsigned off, uint16_t val, uint16_t mask);

extern const struct state_list ich9_tco_state;

#endif
