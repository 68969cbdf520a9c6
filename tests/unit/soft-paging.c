/*
 * soft-paging.c - walks, rights, A and D, reserved bits, the TLB.
 */
#include "soft-rig.h"

#define P  1ull
#define W  2ull
#define U  4ull
#define A  0x20ull
#define D  0x40ull
#define PS 0x80ull
#define G  0x100ull
#define NX (1ull << 63)

/* 4-level tables for one linear address. */
#define VA   0x12345000ull
#define PML4 0x100000
#define PDPT 0x101000
#define PD   0x102000
#define PT   0x103000
#define PAGE 0x200000

static uint32_t pte_at(uint64_t va, unsigned level)
{
	static const uint32_t table[] = {0, PT, PD, PDPT, PML4};

	return table[level] + (va >> (12 + 9 * (level - 1)) & 511) * 8;
}

static void map4(struct rig *r, uint64_t leaf)
{
	memset(r->ram + PML4, 0, 0x4000);
	put8(r, pte_at(VA, 4), PDPT | P | W | U);
	put8(r, pte_at(VA, 3), PD | P | W | U);
	put8(r, pte_at(VA, 2), PT | P | W | U);
	put8(r, pte_at(VA, 1), leaf);
}

static struct rig *rig_paging(void)
{
	struct rig *r = rig_new();

	rig_long(r, 0);
	r->c->st.cr3 = PML4;
	soft_tlb_flush(r->c);
	return r;
}

static uint32_t walk(struct rig *r, enum soft_access acc, enum soft_mode m)
{
	gpa_t gpa = 0;
	uint32_t e = soft_translate(r->c, VA + 0x123, acc, m, false, &gpa);

	if (!e)
		g_assert_cmphex(gpa, ==, PAGE + 0x123);
	return e;
}

/* Said anew, from SDM 4.6.1, for one leaf. */
static bool allowed(uint64_t pte, enum soft_access acc, bool user, bool ac,
	uint64_t cr0, uint64_t cr4)
{
	if (user && !(pte & U))
		return false;
	if (acc == SOFT_EXEC) {
		if (pte & NX)
			return false;
		return user || !(pte & U) || !(cr4 & X86_CR4_SMEP);
	}
	if (!user && (pte & U) && (cr4 & X86_CR4_SMAP) && !ac)
		return false;
	if (acc == SOFT_WRITE && !(pte & W))
		return !user && !(cr0 & X86_CR0_WP);
	return true;
}

static void check_one(struct rig *r, uint64_t pte, uint64_t cr0, uint64_t cr4)
{
	map4(r, PAGE | pte);
	r->c->st.cr0 = (r->c->st.cr0 & ~X86_CR0_WP) | cr0;
	r->c->st.cr4 = (r->c->st.cr4 & ~(X86_CR4_SMEP | X86_CR4_SMAP)) | cr4;
	soft_update_mode(r->c);
	for (unsigned acc = 0; acc < SOFT_NACCESS; acc++)
		for (unsigned m = 0; m < SOFT_NMODES; m++) {
			bool user = m >= SOFT_USER;
			bool ok = (pte & P) &&
				  allowed(pte, acc, user, m == SOFT_KERNEL_AC,
					  cr0, cr4);
			uint32_t want = 0;

			if (!ok)
				want = 1u << 31 | (pte & P) |
				       (acc == SOFT_WRITE ? 2 : 0) |
				       (user ? 4 : 0) |
				       (acc == SOFT_EXEC ? 16 : 0);
			g_assert_cmphex(walk(r, acc, m), ==, want);
		}
}

static void test_matrix(void)
{
	struct rig *r = rig_paging();

	for (unsigned i = 0; i < 16; i++)
		for (unsigned j = 0; j < 8; j++)
			check_one(r, (i & 7) | (i & 8 ? NX : 0),
				j & 1 ? X86_CR0_WP : 0,
				(j & 2 ? X86_CR4_SMEP : 0) |
					(j & 4 ? X86_CR4_SMAP : 0));
	rig_free(r);
}

/* Rights of upper levels count as the leaf's do. */
static void test_upper_rights(void)
{
	struct rig *r = rig_paging();

	for (unsigned level = 2; level <= 4; level++) {
		map4(r, PAGE | P | W | U);
		put8(r, pte_at(VA, level), get8(r, pte_at(VA, level)) & ~U);
		g_assert_cmphex(
			walk(r, SOFT_READ, SOFT_USER), ==, 1u << 31 | 5);
		map4(r, PAGE | P | W | U);
		put8(r, pte_at(VA, level), get8(r, pte_at(VA, level)) & ~W);
		g_assert_cmphex(
			walk(r, SOFT_WRITE, SOFT_USER), ==, 1u << 31 | 7);
		map4(r, PAGE | P | W | U);
		put8(r, pte_at(VA, level), get8(r, pte_at(VA, level)) | NX);
		g_assert_cmphex(
			walk(r, SOFT_EXEC, SOFT_USER), ==, 1u << 31 | 0x15);
		map4(r, PAGE | P | W | U);
		put8(r, pte_at(VA, level), get8(r, pte_at(VA, level)) & ~P);
		g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, 1u << 31);
	}
	rig_free(r);
}

static void test_reserved(void)
{
	struct rig *r = rig_paging();
	const uint32_t rsvd = 1u << 31 | 9;

	map4(r, PAGE | P | W | U | 1ull << 41);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, rsvd);
	map4(r, PAGE | P | W | U | 1ull << 53); /* ignored */
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, 0);
	map4(r, PAGE | P | W | U);
	put8(r, pte_at(VA, 4), PDPT | P | W | U | PS);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_USER), ==, rsvd | 4);
	map4(r, 0);
	put8(r, pte_at(VA, 2), 0x200000 | P | W | U | PS | 1 << 13);
	g_assert_cmphex(walk(r, SOFT_WRITE, SOFT_USER), ==, rsvd | 6);
	map4(r, 0);
	put8(r, pte_at(VA, 3), P | W | U | PS | 1 << 20);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, rsvd);
	/* NX without EFER.NXE is reserved, and no I bit is reported then */
	map4(r, PAGE | P | W | U | NX);
	r->c->st.efer &= ~X86_EFER_NXE;
	soft_update_mode(r->c);
	g_assert_cmphex(walk(r, SOFT_EXEC, SOFT_KERNEL), ==, rsvd);
	r->c->st.cr4 |= X86_CR4_SMEP;
	soft_update_mode(r->c);
	g_assert_cmphex(walk(r, SOFT_EXEC, SOFT_KERNEL), ==, rsvd | 16);
	/* a reserved bit above beats a missing page below */
	map4(r, 0);
	put8(r, pte_at(VA, 3), PD | P | 1ull << 45);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, rsvd);
	r->model.feature[X86_FEAT_PDPE1GB] = false;
	map4(r, 0);
	put8(r, pte_at(VA, 3), P | W | U | PS);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, rsvd);
	rig_free(r);
}

static void test_accessed_dirty(void)
{
	struct rig *r = rig_paging();

	map4(r, PAGE | P | U);
	r->c->st.cr0 |= X86_CR0_WP;
	soft_update_mode(r->c);
	/* a refused write sets nothing */
	g_assert_cmpint(FAULT(r->c, soft_store(r->c, VA, 4, 1, SOFT_KERNEL)),
		==, X86_PF);
	g_assert_cmphex(r->c->fault.error, ==, 3);
	g_assert_cmphex(r->c->fault.cr2, ==, VA);
	g_assert_cmphex(get8(r, pte_at(VA, 1)), ==, PAGE | P | U);
	soft_load(r->c, VA, 4, SOFT_KERNEL);
	g_assert_cmphex(get8(r, pte_at(VA, 1)), ==, PAGE | P | U | A);
	for (unsigned level = 2; level <= 4; level++)
		g_assert_cmphex(get8(r, pte_at(VA, level)) & (A | D), ==, A);
	map4(r, PAGE | P | W | U);
	soft_tlb_flush(r->c);
	soft_load(r->c, VA, 4, SOFT_KERNEL);
	soft_store(r->c, VA + 8, 4, 0x1234, SOFT_KERNEL);
	g_assert_cmphex(get8(r, pte_at(VA, 1)), ==, PAGE | P | W | U | A | D);
	g_assert_cmphex(get4(r, PAGE + 8), ==, 0x1234);
	rig_free(r);
}

static void test_large(void)
{
	struct rig *r = rig_paging();
	gpa_t gpa;

	map4(r, 0);
	put8(r, pte_at(VA, 2), 0x400000 | P | W | PS);
	g_assert_cmphex(
		soft_translate(r->c, VA, SOFT_WRITE, SOFT_KERNEL, true, &gpa),
		==, 0);
	g_assert_cmphex(gpa, ==, 0x400000 | (VA & 0x1fffff));
	g_assert_cmphex(
		get8(r, pte_at(VA, 2)), ==, 0x400000 | P | W | PS | A | D);
	put8(r, pte_at(VA, 3), 0x40000000 | P | W | PS);
	g_assert_cmphex(
		soft_translate(r->c, VA, SOFT_READ, SOFT_KERNEL, true, &gpa),
		==, 0);
	g_assert_cmphex(gpa, ==, 0x40000000 | (VA & 0x3fffffff));
	rig_free(r);
}

/* 32-bit paging with PSE and PSE-36. */
static void test_legacy(void)
{
	struct rig *r = rig_new();
	gpa_t gpa;

	rig_protected(r, 0);
	r->c->st.cr3 = PML4;
	r->c->st.cr0 |= X86_CR0_PG;
	soft_update_mode(r->c);
	put4(r, PML4 + (VA >> 22) * 4, PT | P | W | U);
	put4(r, PT + (VA >> 12 & 1023) * 4, PAGE | P | W | U);
	g_assert_cmphex(walk(r, SOFT_WRITE, SOFT_USER), ==, 0);
	soft_store(r->c, VA, 1, 7, SOFT_USER);
	g_assert_cmphex(get4(r, PML4 + (VA >> 22) * 4), ==, PT | P | W | U | A);
	g_assert_cmphex(get4(r, PT + (VA >> 12 & 1023) * 4), ==,
		PAGE | P | W | U | A | D);
	/* without CR4.PSE the PS bit is ignored */
	put4(r, PML4 + (VA >> 22) * 4, PT | P | W | U | PS);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_USER), ==, 0);
	r->c->st.cr4 |= X86_CR4_PSE;
	soft_update_mode(r->c);
	put4(r, PML4 + (VA >> 22) * 4, 0x00800000 | P | W | PS | 3 << 13);
	g_assert_cmphex(
		soft_translate(r->c, VA, SOFT_READ, SOFT_KERNEL, false, &gpa),
		==, 0);
	g_assert_cmphex(gpa, ==, 0x300800000 | (VA & 0x3fffff));
	put4(r, PML4 + (VA >> 22) * 4, P | W | PS | 1 << 21);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, 1u << 31 | 9);
	/* no execute protection, so no I bit */
	put4(r, PML4 + (VA >> 22) * 4, 0);
	g_assert_cmphex(walk(r, SOFT_EXEC, SOFT_USER), ==, 1u << 31 | 4);
	rig_free(r);
}

/* PAE: PDPTEs are loaded with CR3 and stay until the next load. */
static void test_pae(void)
{
	struct rig *r = rig_new();

	rig_protected(r, 0);
	put8(r, PDPT, PD | P);
	put8(r, PD + (VA >> 21 & 511) * 8, PT | P | W | U);
	put8(r, PT + (VA >> 12 & 511) * 8, PAGE | P | W | U);
	soft_write_cr(r->c, 4, X86_CR4_PAE);
	soft_write_cr(r->c, 3, PDPT);
	/* identity is not mapped: no code runs here */
	soft_write_cr(r->c, 0, r->c->st.cr0 | X86_CR0_PG);
	g_assert_cmphex(walk(r, SOFT_WRITE, SOFT_USER), ==, 0);
	put8(r, PDPT, 0);
	g_assert_cmphex(walk(r, SOFT_WRITE, SOFT_USER), ==, 0);
	soft_write_cr(r->c, 3, PDPT);
	g_assert_cmphex(walk(r, SOFT_WRITE, SOFT_USER), ==, 1u << 31 | 6);
	put8(r, PDPT, PD | P | W);
	g_assert_cmpint(FAULT(r->c, soft_write_cr(r->c, 3, PDPT)), ==, X86_GP);
	put8(r, PDPT, PD | P);
	soft_write_cr(r->c, 3, PDPT);
	/* bits 62:52 are reserved in PAE */
	put8(r, PT + (VA >> 12 & 511) * 8, PAGE | P | 1ull << 53);
	g_assert_cmphex(walk(r, SOFT_READ, SOFT_KERNEL), ==, 1u << 31 | 9);
	rig_free(r);
}

/* A stale entry stays until it is dropped; INVLPG drops all of a large page. */
static void test_tlb(void)
{
	struct rig *r = rig_paging();
	uint64_t big = VA & ~0x1fffffull;

	map4(r, PAGE | P | W);
	put8(r, PAGE, 0x1111);
	put8(r, PAGE + 0x1000, 0x2222);
	g_assert_cmphex(soft_load(r->c, VA, 8, SOFT_KERNEL), ==, 0x1111);
	put8(r, pte_at(VA, 1), (PAGE + 0x1000) | P | W);
	g_assert_cmphex(soft_load(r->c, VA, 8, SOFT_KERNEL), ==, 0x1111);
	soft_tlb_flush_page(r->c, VA + 0x800);
	g_assert_cmphex(soft_load(r->c, VA, 8, SOFT_KERNEL), ==, 0x2222);

	put8(r, pte_at(VA, 2), 0x400000 | P | W | PS);
	soft_tlb_flush(r->c);
	put8(r, 0x400000, 0x3333);
	put8(r, 0x600000, 0x4444);
	g_assert_cmphex(soft_load(r->c, big, 8, SOFT_KERNEL), ==, 0x3333);
	put8(r, pte_at(VA, 2), 0x600000 | P | W | PS);
	soft_tlb_flush_page(r->c, big + 0x1f0000);
	g_assert_cmphex(soft_load(r->c, big, 8, SOFT_KERNEL), ==, 0x4444);

	/* more fills than the journal holds */
	for (unsigned i = 0; i < 512; i++)
		put8(r, PT + i * 8, (PAGE + (i & 15) * 0x1000) | P | W | U);
	put8(r, pte_at(VA, 2), PT | P | W | U);
	soft_tlb_flush(r->c);
	for (unsigned i = 0; i < 3 * 512; i++)
		soft_store(r->c, big + (i & 511) * 0x1000, 1, i, i >> 9);
	memset(r->ram + PT, 0, 4096);
	soft_write_cr(r->c, 3, PML4);
	for (unsigned i = 0; i < 512; i++)
		g_assert_cmpint(FAULT(r->c, soft_load(r->c, big + i * 0x1000, 1,
						    SOFT_KERNEL)),
			==, X86_PF);
	rig_free(r);
}

/* Entries of global pages stay when CR3 is written, unless CR4.PGE is clear. */
static void test_global(void)
{
	struct rig *r = rig_paging();

	put8(r, PAGE, 0x1111);
	put8(r, PAGE + 0x1000, 0x2222);
	for (unsigned pge = 0; pge < 2; pge++) {
		soft_write_cr(r->c, 4,
			(r->c->st.cr4 & ~X86_CR4_PGE) |
				(pge ? X86_CR4_PGE : 0));
		map4(r, PAGE | P | W | G);
		soft_tlb_flush(r->c);
		g_assert_cmphex(
			soft_load(r->c, VA, 8, SOFT_KERNEL), ==, 0x1111);
		put8(r, pte_at(VA, 1), (PAGE + 0x1000) | P | W | G);
		soft_write_cr(r->c, 3, PML4);
		g_assert_cmphex(soft_load(r->c, VA, 8, SOFT_KERNEL), ==,
			pge ? 0x1111 : 0x2222);
	}
	/* a page that is not global takes the slot and leaves it */
	put8(r, pte_at(VA, 1), PAGE | P | W);
	soft_tlb_flush_page(r->c, VA);
	g_assert_cmphex(soft_load(r->c, VA, 8, SOFT_KERNEL), ==, 0x1111);
	put8(r, pte_at(VA, 1), 0);
	soft_write_cr(r->c, 3, PML4);
	g_assert_cmpint(
		FAULT(r->c, soft_load(r->c, VA, 8, SOFT_KERNEL)), ==, X86_PF);

	put8(r, pte_at(VA, 1), PAGE | P | W | G);
	g_assert_cmphex(soft_load(r->c, VA, 8, SOFT_KERNEL), ==, 0x1111);
	put8(r, pte_at(VA, 1), 0);
	soft_write_cr(r->c, 4, r->c->st.cr4 & ~X86_CR4_PGE);
	g_assert_cmpint(
		FAULT(r->c, soft_load(r->c, VA, 8, SOFT_KERNEL)), ==, X86_PF);
	rig_free(r);
}

/* Nothing is written unless both pages may be. */
static void test_crossing(void)
{
	struct rig *r = rig_paging();
	uint64_t a = VA + 0xffd;
	uint8_t buf[16];

	map4(r, PAGE | P | W);
	put8(r, PAGE + 0xff8, 0);
	g_assert_cmpint(FAULT(r->c, soft_store(r->c, a, 8, ~0ull, SOFT_KERNEL)),
		==, X86_PF);
	g_assert_cmphex(r->c->fault.cr2, ==, VA + 0x1000);
	g_assert_cmphex(get8(r, PAGE + 0xff8), ==, 0);
	put8(r, pte_at(VA, 1) + 8, (PAGE + 0x5000) | P | W);
	soft_store(r->c, a, 8, 0x8877665544332211ull, SOFT_KERNEL);
	g_assert_cmphex(
		get8(r, PAGE + 0x5000) & 0xffffffffff, ==, 0x8877665544);
	g_assert_cmphex(
		soft_load(r->c, a, 8, SOFT_KERNEL), ==, 0x8877665544332211ull);
	soft_load_bytes(r->c, a, buf, 16, SOFT_KERNEL);
	g_assert_cmphex(buf[7], ==, 0x88);
	g_assert_null(soft_host(r->c, a, 8, SOFT_READ, SOFT_KERNEL));
	rig_free(r);
}

static unsigned written;

static void on_written(
	struct soft_vm *vm, struct soft_cpu *c, uint64_t ram, unsigned len)
{
	written++;
	g_assert_cmphex(ram, ==, PAGE + 4);
	g_assert_cmpuint(len, ==, 4);
}

static void test_code_pages(void)
{
	struct rig *r = rig_paging();
	int64_t ram;
	uint32_t *p;

	map4(r, PAGE | P | W);
	r->vm.code_written = on_written;
	soft_store(r->c, VA + 4, 4, 1, SOFT_KERNEL);
	g_assert_cmpuint(written, ==, 0);
	atomic_fetch_or(&bus_page_flags(r->bus)[PAGE >> 12], BUS_PAGE_CODE);
	soft_tlb_flush(r->c);
	soft_store(r->c, VA + 4, 4, 2, SOFT_KERNEL);
	g_assert_cmpuint(written, ==, 1);
	g_assert_null(soft_host(r->c, VA + 4, 4, SOFT_WRITE, SOFT_KERNEL));
	p = soft_host_rmw(r->c, VA + 4, 4, SOFT_KERNEL, &ram);
	g_assert_cmphex(*p, ==, 2);
	soft_code_written(r->c, ram, 4);
	g_assert_cmpuint(written, ==, 2);
	rig_free(r);
}

static void test_alignment(void)
{
	struct rig *r = rig_new();

	rig_long(r, 3);
	r->c->st.cr0 |= X86_CR0_AM;
	r->c->st.rflags |= X86_FL_AC;
	soft_update_mode(r->c);
	g_assert_cmpint(r->c->tlb_mode, ==, SOFT_USER_AC);
	g_assert_cmpint(
		FAULT(r->c, soft_fast_load(r->c, 0x6001, 4, r->c->tlb_mode)),
		==, X86_AC);
	soft_fast_load(r->c, 0x6004, 4, r->c->tlb_mode);
	g_assert_cmpint(
		FAULT(r->c, soft_fast_load(r->c, 0x6002, 4, r->c->tlb_mode)),
		==, X86_AC);
	g_assert_cmphex(r->c->fault.error, ==, 0);
	soft_fast_load(r->c, 0x6003, 1, r->c->tlb_mode);
	rig_free(r);
}

static void test_fetch(void)
{
	struct rig *r = rig_paging();
	uint8_t buf[15];

	map4(r, PAGE | P | U);
	put8(r, PAGE + 0xff8, 0x8877665544332211ull);
	g_assert_cmpuint(soft_fetch(r->c, VA + 0xffc, buf, true), ==, 4);
	g_assert_cmphex(buf[0], ==, 0x55);
	g_assert_cmpint(FAULT(r->c, soft_fetch(r->c, VA + 0x1000, buf, true)),
		==, X86_PF);
	g_assert_cmphex(r->c->fault.error, ==, 0x10);
	put8(r, pte_at(VA, 1) + 8, (PAGE + 0x3000) | P);
	put8(r, PAGE + 0x3000, 0xcc);
	g_assert_cmpuint(soft_fetch(r->c, VA + 0xffc, buf, true), ==, 15);
	g_assert_cmphex(buf[4], ==, 0xcc);
	g_assert_cmpint(FAULT(r->c, soft_fetch(r->c, 1ull << 47, buf, true)),
		==, X86_GP);
	rig_free(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/soft/paging/matrix", test_matrix);
	g_test_add_func("/soft/paging/upper-rights", test_upper_rights);
	g_test_add_func("/soft/paging/reserved", test_reserved);
	g_test_add_func("/soft/paging/accessed-dirty", test_accessed_dirty);
	g_test_add_func("/soft/paging/large", test_large);
	g_test_add_func("/soft/paging/legacy", test_legacy);
	g_test_add_func("/soft/paging/pae", test_pae);
	g_test_add_func("/soft/paging/tlb", test_tlb);
	g_test_add_func("/soft/paging/global", test_global);
	g_test_add_func("/soft/paging/crossing", test_crossing);
	g_test_add_func("/soft/paging/code-pages", test_code_pages);
	g_test_add_func("/soft/paging/alignment", test_alignment);
	g_test_add_func("/soft/paging/fetch", test_fetch);
	return g_test_run();
}
