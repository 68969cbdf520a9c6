/*
 * pvclock.h - the clock that KVM shares with its guests, private to irq/.
 *
 * Source: Linux Documentation/virt/kvm/x86/msr.rst.
 */
#ifndef DEV_IRQ_PVCLOCK_H
#define DEV_IRQ_PVCLOCK_H

#include <stdint.h>

#define PVCLOCK_BYTES 32

/* Time as a straight line over the host's TSC:
 * ns = base_ns + (((tsc - base_tsc) << shift) * mul >> 32), with a negative
 * shift to the right. */
struct pvclock {
	uint64_t base_tsc, base_ns;
	uint32_t mul;
	int8_t shift;
};

/* The slope: ns nanoseconds in so many ticks, neither 0. */
void pvclock_set_rate(struct pvclock *c, uint64_t ns, uint64_t ticks);

/* As a guest computes it. */
uint64_t pvclock_ns(const struct pvclock *c, uint64_t tsc);

/*
 * Go on from tsc, without a jump, so that the clock meets the line through
 * (tsc, now_ns) of slope ns/ticks after interval_ns; it runs at most 500 parts
 * in a million faster or slower than that.  Only if it is far behind it jumps
 * forward.
 */
struct pvclock_pace {
	uint64_t tsc, now_ns; /* now */
	uint64_t ns, ticks;   /* measured slope */
	uint64_t interval_ns; /* until the next correction */
};

void pvclock_correct(struct pvclock *c, const struct pvclock_pace *p);

/* The guest's structure.  It is valid while its version is even: mark it
 * first, then publish, which leaves *version even. */
void pvclock_mark(uint8_t to[PVCLOCK_BYTES], uint32_t *version);
void pvclock_publish(const struct pvclock *c, uint64_t tsc_offset,
	uint8_t to[PVCLOCK_BYTES], uint32_t *version);

#endif
