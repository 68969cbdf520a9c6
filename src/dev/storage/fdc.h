/*
 * fdc.h - the floppy disk controller, its drives and their discs.
 */
#ifndef DEV_STORAGE_FDC_H
#define DEV_STORAGE_FDC_H

#include "block/blk.h"
#include "dev/dev.h"

#define FDC_DRIVES 2

extern const struct dev_class fdc_class;

/* What an image is by its size; a smaller one is the next larger disc with
 * nothing behind its end. */
struct fdc_format {
	uint32_t bytes;
	uint8_t tracks, heads, sectors;
	uint8_t rate; /* as in the data rate register */
	bool large;   /* 5.25 inches */
	const char *name;
};

/* NULL: no floppy has so many bytes, or part of a sector. */
const struct fdc_format *fdc_format(uint64_t bytes);
/* "160K, 180K, ...". */
extern const char fdc_format_names[];

/* blk NULL: an empty 3.5 inch drive.  0 or -errno.  Lock held. */
int fdc_attach(struct dev *d, unsigned n, struct blk *blk, bool readonly);
/* Change the disc, or take it out (NULL).  -EINVAL: it does not go into this
 * drive; else the old one, which is no more used, is in *old.  Lock held. */
int fdc_change(struct dev *d, unsigned n, struct blk *blk, bool readonly,
	struct blk **old);
/* For CMOS: 0 none, 2 1.2M, 4 1.44M, 5 2.88M. */
unsigned fdc_drive_type(struct dev *d, unsigned n);

#endif
