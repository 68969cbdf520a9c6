/*
 * tlb.c - flushing the software TLB, and filling it (quick.c has the rest).
 *
 * Every entry maps 4 KiB, whatever the size of the guest's page.  Entries of
 * large pages are remembered by region in hashed filters, so that INVLPG of
 * any address in a large page, which must drop the whole page, knows when one
 * entry is not enough.  Entries of global pages outlive a change of CR3; a
 * journal of the others makes it cost what was filled, not what the arrays
 * hold.
 */
#include "cpu/soft/priv.h"

static void soft_tlb_clear_array(struct soft_tlb_entry *e)
{
	for (unsigned i = 1; i < SOFT_TLB_SIZE; i++)
		e[i].tag = soft_tlb_empty(i);
	e->tag = soft_tlb_empty(0);
}

/* Drop the arrays that used tells, or what the journal does. */
static void soft_tlb_clear(struct soft_cpu *c, const bool *used, bool all)
{
	struct soft_tlb_entry *flat = (struct soft_tlb_entry *)(void *)c->tlb;

	if (all || c->tlb_nfills > SOFT_TLB_JOURNAL) {
		for (unsigned i = 0; i < SOFT_NMODES * SOFT_NACCESS; i++)
			if (used[i])
				soft_tlb_clear_array(flat + i * SOFT_TLB_SIZE);
		memset(c->tlb_local, 0, sizeof(c->tlb_local));
		return;
	}
	for (unsigned i = 0; i < c->tlb_nfills; i++) {
		unsigned slot = c->tlb_journal[i];

		flat[slot].tag = soft_tlb_empty(slot % SOFT_TLB_SIZE);
		c->tlb_local[slot / 64] = 0;
	}
}

static void soft_tlb_flushed(
	struct soft_cpu *c, const bool (*used)[SOFT_NACCESS])
{
	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		if (!used[m][SOFT_EXEC])
			continue;
		c->exec_stale |= 1u << m;
		c->exec_gen++;
	}
	c->tlb_nfills = 0;
	memset(c->tlb_used_local, 0, sizeof(c->tlb_used_local));
	memset(&c->tlb_seen[0], 0, sizeof(c->tlb_seen[0]));
	c->tlb_gen++;
	c->counters[SOFT_CNT_TLB_FLUSH]++;
}

void soft_tlb_flush_local(struct soft_cpu *c)
{
	soft_tlb_clear(c, &c->tlb_used_local[0][0], false);
	soft_tlb_flushed(c, c->tlb_used_local);
}

void soft_tlb_flush(struct soft_cpu *c)
{
	soft_tlb_clear(c, &c->tlb_used[0][0], true);
	soft_tlb_flushed(c, c->tlb_used);
	memset(c->tlb_used, 0, sizeof(c->tlb_used));
	memset(&c->tlb_seen[1], 0, sizeof(c->tlb_seen[1]));
}

static bool soft_tlb_large(const struct soft_tlb_seen *seen, gva_t a)
{
	return soft_filter_has(seen->large, a >> 21) ||
	       (seen->giant >> ((a >> 30) & 63) & 1);
}

/* Tell the engine if code may have been fetched from there. */
static void soft_tlb_exec_page(struct soft_cpu *c, gva_t page)
{
	unsigned modes = 0;

	for (unsigned user = 0; user < 2; user++)
		if (soft_filter_has(c->tlb_seen[0].exec[user], page >> 12) ||
			soft_filter_has(c->tlb_seen[1].exec[user], page >> 12))
			modes |=
				user ? 1u << SOFT_USER | 1u << SOFT_USER_AC
				     : 1u << SOFT_KERNEL | 1u << SOFT_KERNEL_AC;
	if (!modes)
		return;
	if (c->exec_npages < SOFT_EXEC_PAGES)
		c->exec_page[c->exec_npages++] = page | modes;
	else
		c->exec_stale |= modes;
	c->exec_gen++;
}

void soft_tlb_flush_page(struct soft_cpu *c, gva_t a)
{
	unsigned idx = soft_tlb_index(a);
	gva_t page = a & ~(BUS_PAGE_SIZE - 1);

	if (soft_tlb_large(&c->tlb_seen[1], a)) {
		soft_tlb_flush(c);
		return;
	}
	if (soft_tlb_large(&c->tlb_seen[0], a))
		soft_tlb_flush_local(c);
	for (unsigned m = 0; m < SOFT_NMODES; m++)
		for (unsigned acc = 0; acc < SOFT_NACCESS; acc++)
			if (c->tlb[m][acc][idx].tag == page)
				c->tlb[m][acc][idx].tag = soft_tlb_empty(idx);
	c->tlb_gen++;
	soft_tlb_exec_page(c, page);
	c->counters[SOFT_CNT_TLB_FLUSH_PAGE]++;
}

void soft_tlb_place(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, struct soft_place *p)
{
	struct soft_walk w;
	struct bus_page page;
	uint32_t err = soft_mmu_walk(c, a, acc, m, true, &w);
	uint8_t *host;

	if (err)
		soft_raise_pf(c, a, err & ~(1u << 31));
	c->counters[SOFT_CNT_TLB_READ + acc]++;
	soft_phys_page(c, w.gpa, &page);
	host = acc == SOFT_WRITE ? page.write : page.read;
	p->gpa = w.gpa;
	p->ram = -1;
	p->host = NULL;
	if (!host)
		return;
	p->host = host + (w.gpa & (BUS_PAGE_SIZE - 1));
	if (acc == SOFT_WRITE && page.ram >= 0)
		bus_dirty_mark(c->bus, page.ram, 1);
	if (acc == SOFT_WRITE && page.ram >= 0 &&
		(atomic_load(&bus_page_flags(c->bus)[page.ram >> 12]) &
			BUS_PAGE_CODE)) {
		p->ram = page.ram + (w.gpa & (BUS_PAGE_SIZE - 1));
		return;
	}
	soft_tlb_fill(c, a, acc, m, host, &w);
	if (acc == SOFT_WRITE && page.read == host)
		soft_tlb_fill(c, a, SOFT_READ, m, host, &w);
	if (acc == SOFT_WRITE && page.ram >= 0 &&
		!soft_tlb_recheck(c, a, m, page.ram))
		p->ram = page.ram + (w.gpa & (BUS_PAGE_SIZE - 1));
}
