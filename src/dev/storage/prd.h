/*
 * prd.h - a cursor over a table of physical region descriptors.
 *
 * Two formats: that of bus-master IDE (Programming Interface for Bus Master
 * IDE Controller 1.0, 1.2) and that of AHCI (AHCI 1.3.1, 4.2.3.3).  The table
 * is guest memory: each entry is read once.  Any thread, no lock.
 */
#ifndef DEV_STORAGE_PRD_H
#define DEV_STORAGE_PRD_H

#include "dev/storage/dma_iov.h"

enum prd_kind {
	PRD_IDE,  /* ends with an entry that says so; at most 64 KiB */
	PRD_AHCI, /* has a given number of entries */
};

struct prd {
	struct bus *bus;
	enum prd_kind kind;
	gpa_t table;	  /* of the next entry */
	unsigned entries; /* left */
	gpa_t at;	  /* in the current region */
	uint64_t left;	  /* bytes of it */
};

void prd_init_ide(struct prd *p, struct bus *b, uint32_t table);
void prd_init_ahci(struct prd *p, struct bus *b, gpa_t table, unsigned entries);

/* The next bytes, at most max, as a vector; fetch: the guest's memory is read.
 * 0: there are no more. */
uint64_t prd_take(struct prd *p, struct dma_iov *v, uint64_t max, bool fetch);
/* Copy between buf and the next bytes; how many there were. */
uint64_t prd_copy(struct prd *p, void *buf, uint64_t len, bool to_guest);

#endif
