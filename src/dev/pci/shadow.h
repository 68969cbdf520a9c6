/*
 * shadow.h - the memory from 640 KiB to 1 MiB as Intel's host bridges decode
 * it, and the firmware image.
 *
 * 0xc0000-0xfffff are thirteen segments, each with a read and a write enable
 * in the seven PAM registers: enabled, the access goes to RAM; disabled, to
 * PCI, where the firmware image answers reads in its last 128 KiB and nothing
 * answers elsewhere.  0xa0000-0xbffff is the display's, whatever that maps
 * there; RAM only while SMRAM is open.
 */
#ifndef DEV_PCI_SHADOW_H
#define DEV_PCI_SHADOW_H

#include "dev/pci/pci.h"

#define SHADOW_NSEGMENTS 13

struct shadow {
	struct pci_func *f; /* whose configuration space has the registers */
	unsigned pam0, smram;
	uint8_t *bios;
	uint32_t bios_bytes;
	struct bus_region bios_region; /* below 4 GiB */
	struct bus_region read[SHADOW_NSEGMENTS];
	struct bus_region write[SHADOW_NSEGMENTS];
	struct bus_region display, open;
};

/* pam0, smram: offsets of the first PAM register and of SMRAM.  All: lock
 * held. */
void shadow_init(
	struct shadow *s, struct pci_func *f, unsigned pam0, unsigned smram);
void shadow_fini(struct shadow *s);
/* Power-on values of the registers. */
void shadow_reset(struct shadow *s);
/* After the guest wrote [off, off+len) of configuration space. */
void shadow_written(struct shadow *s, unsigned off, unsigned len);

/*
 * Give the firmware image: it ends at 4 GiB and its last 128 KiB (or all of
 * it, if smaller) also at 1 MiB.  4 KiB to 16 MiB, whole pages; the memory
 * stays the caller's, must outlive the bridge and be page aligned.  0 or
 * -EINVAL.
 */
int shadow_set_bios(struct shadow *s, uint8_t *image, uint32_t bytes);

/* Make 0xc0000-0xfffff plain RAM: boots without firmware, after reset. */
void shadow_open(struct shadow *s);

#endif
