/* prd.c - tables of physical region descriptors; see prd.h. */
#include "dev/storage/prd.h"

#include <glib.h>

#define IDE_ENTRIES  (0x10000 / 8)
#define IDE_LAST     0x80000000u
#define AHCI_MAX_LEN 0x3fffffu

void prd_init_ide(struct prd *p, struct bus *b, uint32_t table)
{
	*p = (struct prd){.bus = b,
		.kind = PRD_IDE,
		.table = table & ~3u,
		.entries = IDE_ENTRIES};
}

void prd_init_ahci(struct prd *p, struct bus *b, gpa_t table, unsigned entries)
{
	*p = (struct prd){
		.bus = b, .kind = PRD_AHCI, .table = table, .entries = entries};
}

/* 1.2: bit 0 of address and count are not there; a count of 0 is 64 KiB. */
static void prd_next_ide(struct prd *p)
{
	uint32_t e[2] = {0, 0};

	bus_dma_read(p->bus, p->table, e, sizeof(e));
	p->table += sizeof(e);
	p->at = e[0] & ~1u;
	p->left = e[1] & 0xfffe;
	if (!p->left)
		p->left = 0x10000;
	if (e[1] & IDE_LAST)
		p->entries = 0;
}

/* 4.2.3.3: a word-aligned address, and the number of bytes less one. */
static void prd_next_ahci(struct prd *p)
{
	uint32_t e[4] = {0, 0, 0, 0};

	bus_dma_read(p->bus, p->table, e, sizeof(e));
	p->table += sizeof(e);
	p->at = (e[0] & ~1u) | (gpa_t)e[1] << 32;
	p->left = (uint64_t)((e[3] & AHCI_MAX_LEN) | 1) + 1;
}

static bool prd_more(struct prd *p)
{
	if (p->left)
		return true;
	if (!p->entries)
		return false;
	p->entries--;
	if (p->kind == PRD_IDE)
		prd_next_ide(p);
	else
		prd_next_ahci(p);
	return true;
}

static void prd_skip(struct prd *p, uint64_t n)
{
	p->at += n;
	p->left -= n;
}

uint64_t prd_take(struct prd *p, struct dma_iov *v, uint64_t max, bool fetch)
{
	dma_iov_clear(v);
	while (v->bytes < max && prd_more(p)) {
		uint64_t n = MIN(p->left, max - v->bytes);

		if (!dma_iov_add(v, p->at, n, fetch))
			break;
		prd_skip(p, n);
	}
	return v->bytes;
}

uint64_t prd_copy(struct prd *p, void *buf, uint64_t len, bool to_guest)
{
	uint64_t done = 0;

	while (done < len && prd_more(p)) {
		uint64_t n = MIN(p->left, len - done);
		uint8_t *at = (uint8_t *)buf + done;

		if (to_guest)
			bus_dma_write(p->bus, p->at, at, n);
		else
			bus_dma_read(p->bus, p->at, at, n);
		prd_skip(p, n);
		done += n;
	}
	return done;
}
