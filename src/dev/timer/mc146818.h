/*
 * mc146818.h - real-time clock and CMOS memory.  Drives line 8.
 */
#ifndef DEV_TIMER_MC146818_H
#define DEV_TIMER_MC146818_H

#include "dev/dev.h"

extern const struct dev_class mc146818_class;

/* One byte of CMOS memory, 0x0e..0x7f except the century 0x32; survives
 * reset. */
void mc146818_set(struct dev *d, uint8_t addr, uint8_t val);

/* Let the time of day be the host's UTC and so much. */
void mc146818_set_offset(struct dev *d, int seconds);

/* Does bit 7 of port 0x70 hold the NMI line back?  Lock held. */
bool mc146818_nmi_masked(struct dev *d);

/* Does the shutdown byte, 0x0f, tell the firmware to go on where the guest
 * wants when the processor is reset?  Lock held. */
bool mc146818_returns(struct dev *d);

/* What PC firmware looks for.  low: bytes of RAM below 4 GiB, high: above. */
void mc146818_set_memory(struct dev *d, uint64_t low, uint64_t high);
void mc146818_set_cpus(struct dev *d, unsigned ncpus);
/* Boot order as SeaBIOS reads it, up to three of 1 floppy, 2 disk, 3 CD-ROM,
 * 4 network; 0 ends.  Bit 0 of check_floppy: skip the signature check. */
void mc146818_set_boot(
	struct dev *d, const uint8_t order[3], bool no_signature_check);

#endif
