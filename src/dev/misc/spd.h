/*
 * spd.h - memory modules and what their EEPROMs say (JEDEC Standard 21-C,
 * 4.1.2.10, "Serial Presence Detect for DDR2 SDRAM").
 */
#ifndef DEV_MISC_SPD_H
#define DEV_MISC_SPD_H

#include <stdbool.h>
#include <stdint.h>

#define SPD_BYTES   256
#define SPD_MODULES 8

/* Of module n of those that make up so much memory; false: there is none. */
bool spd_make(uint64_t ram_bytes, unsigned n, uint8_t spd[SPD_BYTES]);

#endif
