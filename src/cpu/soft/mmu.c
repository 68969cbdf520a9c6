/*
 * mmu.c - from linear to physical addresses.
 *
 * The four paging modes (none, 32-bit, PAE, 4-level) differ in the size of an
 * entry, the number of levels and which bits are reserved; one walk serves
 * all.  Rights are checked after the last level, then A and D are set by
 * compare-and-exchange on the entries as they were read; if one changed
 * meanwhile the walk starts anew, as another processor or the guest's own
 * update would make the hardware do.
 *
 * Intel SDM vol. 3, 4.3-4.8; AMD APM vol. 2, 5.
 */
#include "cpu/soft/priv.h"

#define WALK_TRIES 32

/* An entry as it was read. */
struct mmu_entry {
	uint64_t val;
	gpa_t gpa;
};

struct mmu_path {
	struct mmu_entry e[4]; /* top first */
	unsigned n;
	unsigned size;	 /* of an entry: 4 or 8 */
	uint64_t rights; /* AND of W and U, OR of NX, of all levels */
};

void soft_phys_page(struct soft_cpu *c, gpa_t gpa, struct bus_page *p)
{
	const struct bus_ram *ram = c->vm->ram;

	bus_resolve(c->bus, gpa & c->a20, p);
	if (__builtin_expect(c->vm->ram_host == ram->host, 1))
		return;
	if (p->read && (size_t)(p->read - ram->host) < ram->bytes)
		p->read = c->vm->ram_host + (p->read - ram->host);
	if (p->write && (size_t)(p->write - ram->host) < ram->bytes)
		p->write = c->vm->ram_host + (p->write - ram->host);
}

uint64_t soft_phys_read(struct soft_cpu *c, gpa_t gpa, unsigned size)
{
	struct bus_page p;

	soft_phys_page(c, gpa, &p);
	gpa &= c->a20;
	if (p.read)
		return soft_host_load(p.read + (gpa & 0xfff), size);
	return soft_mmio_read(c, gpa, size);
}

/* Bits of a present entry that must be zero.  level: 4 PML4E .. 1 PTE. */
static uint64_t mmu_reserved(
	const struct soft_cpu *c, uint64_t e, unsigned level, unsigned size)
{
	uint64_t r;

	if (size == 4) {
		/* A 4 MiB page has physical bits 39:32 in bits 20:13. */
		unsigned m = c->phys_bits < 40 ? c->phys_bits : 40;

		if (level != 2 || !(e & PTE_PS) || !(c->st.cr4 & X86_CR4_PSE))
			return 0;
		if (!soft_has(c, X86_FEAT_PSE36))
			m = 32;
		return (1ull << 21 | 0x1fe000) & ~((1ull << (m - 19)) - 1);
	}
	r = PTE_ADDR & ~((1ull << c->phys_bits) - 1);
	if (!c->long_mode)
		r |= 0x7ff0000000000000ull;
	if (!(c->st.efer & X86_EFER_NXE))
		r |= PTE_NX;
	if (level == 4 || (level == 3 && !soft_has(c, X86_FEAT_PDPE1GB)))
		r |= PTE_PS;
	else if (level == 3 && (e & PTE_PS))
		r |= 0x3fffe000;
	else if (level == 2 && (e & PTE_PS))
		r |= 0x1fe000;
	return r;
}

static bool mmu_is_leaf(
	const struct soft_cpu *c, uint64_t e, unsigned level, unsigned size)
{
	if (level == 1)
		return true;
	if (!(e & PTE_PS) || level == 4)
		return false;
	return size == 8 || (c->st.cr4 & X86_CR4_PSE);
}

/* Physical address of a byte in the page of a leaf entry. */
static gpa_t mmu_leaf_gpa(uint64_t e, gva_t a, unsigned bits, unsigned size)
{
	uint64_t off = (1ull << bits) - 1;

	if (size == 4 && bits == 22)
		return (e & 0xffc00000) | (e & 0x1fe000) << 19 | (a & off);
	if (size == 4)
		return (e & 0xfffff000) | (a & off);
	return (e & PTE_ADDR & ~off) | (a & off);
}

/*
 * Follow the tables from `table` (level `level`) down to the leaf.  0 and
 * w->gpa, w->page_bits, or error-code bits with bit 31.
 */
static uint32_t mmu_descend(struct soft_cpu *c, gva_t a, gpa_t table,
	unsigned level, struct mmu_path *path, struct soft_walk *w)
{
	unsigned per = path->size == 8 ? 9 : 10;

	for (;; level--) {
		unsigned shift = 12 + per * (level - 1);
		uint64_t idx = (a >> shift) & ((1u << per) - 1);
		gpa_t gpa = (table + idx * path->size);
		uint64_t e = soft_phys_read(c, gpa, path->size);

		if (!(e & PTE_P))
			return 1u << 31;
		if (e & mmu_reserved(c, e, level, path->size))
			return 1u << 31 | X86_PFEC_P | X86_PFEC_RSVD;
		path->e[path->n].val = e;
		path->e[path->n++].gpa = gpa;
		path->rights &= e | PTE_NX;
		path->rights |= e & PTE_NX;
		if (mmu_is_leaf(c, e, level, path->size)) {
			w->page_bits = shift;
			w->global = (e & PTE_G) && (c->st.cr4 & X86_CR4_PGE);
			w->gpa = mmu_leaf_gpa(e, a, shift, path->size);
			return 0;
		}
		table = path->size == 8 ? e & PTE_ADDR : e & 0xfffff000;
	}
}

static uint32_t mmu_walk_tables(
	struct soft_cpu *c, gva_t a, struct mmu_path *path, struct soft_walk *w)
{
	path->n = 0;
	path->rights = PTE_W | PTE_U;
	path->size = 8;
	if (c->long_mode)
		return mmu_descend(c, a, c->st.cr3 & PTE_ADDR, 4, path, w);
	if (c->pae) {
		uint64_t pdpte = c->pdpte[(a >> 30) & 3];

		if (!(pdpte & PTE_P))
			return 1u << 31;
		return mmu_descend(c, a, pdpte & PTE_ADDR, 2, path, w);
	}
	path->size = 4;
	return mmu_descend(c, a, c->st.cr3 & 0xfffff000, 2, path, w);
}

/* Set bits in one entry: false if it changed since it was read. */
static bool mmu_update(
	struct soft_cpu *c, struct mmu_entry *e, unsigned size, uint64_t bits)
{
	struct bus_page p;
	uint8_t *host;
	bool ok;

	if ((e->val & bits) == bits)
		return true;
	soft_phys_page(c, e->gpa, &p);
	if (!p.write || p.write != p.read)
		return true; /* ROM or a device: nothing to set */
	host = p.write + (e->gpa & 0xfff);
	if (size == 8) {
		uint64_t old = e->val;

		ok = __atomic_compare_exchange_n((uint64_t *)host, &old,
			e->val | bits, false, __ATOMIC_SEQ_CST,
			__ATOMIC_SEQ_CST);
	} else {
		uint32_t old = e->val;

		ok = __atomic_compare_exchange_n((uint32_t *)host, &old,
			(uint32_t)(e->val | bits), false, __ATOMIC_SEQ_CST,
			__ATOMIC_SEQ_CST);
	}
	if (ok && p.ram >= 0)
		bus_dirty_mark(c->bus, p.ram, size);
	if (ok && p.ram >= 0 &&
		(atomic_load(&bus_page_flags(c->bus)[p.ram >> 12]) &
			BUS_PAGE_CODE))
		soft_code_written(c, p.ram + (e->gpa & 0xfff), size);
	return ok;
}

static bool mmu_set_ad(struct soft_cpu *c, struct mmu_path *path, bool dirty)
{
	for (unsigned i = 0; i < path->n; i++) {
		uint64_t bits = PTE_A;

		if (dirty && i == path->n - 1)
			bits |= PTE_D;
		if (!mmu_update(c, &path->e[i], path->size, bits))
			return false;
	}
	return true;
}

static uint32_t mmu_error(const struct soft_cpu *c, uint32_t err,
	enum soft_access acc, enum soft_mode m)
{
	err |= 1u << 31;
	if (acc == SOFT_WRITE)
		err |= X86_PFEC_W;
	if (m >= SOFT_USER)
		err |= X86_PFEC_U;
	if (acc == SOFT_EXEC && ((c->pae && (c->st.efer & X86_EFER_NXE)) ||
					(c->st.cr4 & X86_CR4_SMEP)))
		err |= X86_PFEC_I;
	return err;
}

uint32_t soft_mmu_walk(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, bool set_ad, struct soft_walk *w)
{
	struct mmu_path path;
	uint32_t err;

	if (!c->paging) {
		w->gpa = (uint32_t)a & c->a20;
		w->page_bits = 12;
		w->global = false;
		return 0;
	}
	for (unsigned i = 0; i < WALK_TRIES; i++) {
		err = mmu_walk_tables(c, a, &path, w);
		if (err)
			return mmu_error(c, err, acc, m);
		if (!soft_allowed(c, path.rights, acc, m))
			return mmu_error(c, X86_PFEC_P, acc, m);
		if (!set_ad || mmu_set_ad(c, &path, acc == SOFT_WRITE))
			break;
	}
	w->gpa &= c->a20;
	return 0;
}

uint32_t soft_translate(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, bool set_ad, gpa_t *gpa)
{
	struct soft_walk w;
	uint32_t err = soft_mmu_walk(c, a, acc, m, set_ad, &w);

	if (!err)
		*gpa = w.gpa;
	return err;
}

bool soft_load_pdptes(struct soft_cpu *c, uint64_t cr3, uint64_t out[4])
{
	/* Reserved: 2:1, 8:5 and all from the physical width up. */
	uint64_t bad = 0x1e6 | ~((1ull << c->phys_bits) - 1);

	for (unsigned i = 0; i < 4; i++) {
		out[i] = soft_phys_read(c, (cr3 & 0xffffffe0) + i * 8, 8);
		if ((out[i] & PTE_P) && (out[i] & bad))
			return false;
	}
	return true;
}
