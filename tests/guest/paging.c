/*
 * paging.c - who may touch which page, and what the page-fault says (SDM vol.
 * 3, 4.6, 4.7, 4.8, 4.10).
 *
 * The rights of page-table entries, of the access and of the control registers
 * are tried in all combinations against a model that is written out here.
 */
#include "lib.h"

#define P	(1ull << 0)
#define W	(1ull << 1)
#define U	(1ull << 2)
#define A	(1ull << 5)
#define D	(1ull << 6)
#define PS	(1ull << 7)
#define G	(1ull << 8)
#define NX	(1ull << 63)
#define WP	((word)1 << 16)
#define PGE	((word)1 << 7)
#define PCIDE	((word)1 << 17)
#define SMEP	((word)1 << 20)
#define SMAP	((word)1 << 21)
#define EFER	0xc0000080
#define NXE	(1ull << 11)
#define AC	((word)1 << 18)
#define PAGE(n) __attribute__((aligned(4096))) n

static word target; /* linear address that is touched */

static void k_read(void)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(target) : "eax", "memory");
}

static void k_write(void)
{
	__asm__ volatile("movb $1, 32(%0)" : : "r"(target) : "memory");
}

static void k_exec(void)
{
	((void (*)(void))(target + 16))();
}

#ifdef __x86_64__

static uint64_t PAGE(pdpt[512]), PAGE(pd[512]), PAGE(pt[512]), PAGE(pd_u[512]);
static uint8_t PAGE(page[4096]), PAGE(page2[4096]);

#define TEST_VA 0x8080000000ull /* PML4 1, PDPT 2 */
#define USER_VA 0x8040000000ull /* the image for ring 3: PDPT 1 */

/* Position-independent code for ring 3; rDI has the address. */
__asm__("u_read: movb (%rdi), %al; int $0x81\n"
	"u_write: movb $1, 32(%rdi); int $0x81\n"
	"u_exec: jmp *%rdi\n");
extern char u_read[], u_write[], u_exec[];

static uint64_t *pml4(void)
{
	return (uint64_t *)(read_cr3() & ~(word)0xfff);
}

static void invlpg(word a)
{
	__asm__ volatile("invlpg (%0)" : : "r"(a) : "memory");
}

/* Ring 0 loses U, ring 3 gets the image at another address. */
static void make_tables(void)
{
	uint64_t *low = (uint64_t *)(pml4()[0] & ~0xfffull);

	for (unsigned i = 0; i < 4; i++) {
		uint64_t *d = (uint64_t *)(low[i] & ~0xfffull);

		for (unsigned j = 0; j < 512; j++)
			d[j] &= ~U;
	}
	pml4()[1] = (word)pdpt | P | W | U;
	pdpt[1] = (word)pd_u | P | W | U;
	pdpt[2] = (word)pd | P | W | U;
	pd_u[0] = 0x200000 | P | W | U | PS;
	pd[0] = (word)pt | P | W | U;
	pt[0] = (word)page | P | W | U;
	page[0] = 0xcd; /* int 0x81 */
	page[1] = 0x81;
	page[16] = 0xc3; /* ret */
	write_cr3(read_cr3());
}

enum kind { READ, WRITE, EXEC };

static int touch(bool user, enum kind k)
{
	static void (*const kernel[])(void) = {k_read, k_write, k_exec};
	static char *const ring3[] = {u_read, u_write, u_exec};

	invlpg(target);
	if (!user)
		return guarded(kernel[k]);
	lib_target_arg = target;
	return guarded_at(SEL_UCODE, SEL_UDATA,
		(void (*)(void))(USER_VA + ((word)ring3[k] - 0x200000)));
}

struct setting {
	uint64_t dir, leaf;
	bool user, wp, nxe, smep, smap, ac;
	enum kind kind;
};

/* -1: goes; else the error code */
static int model(const struct setting *s)
{
	bool w = s->dir & s->leaf & W, u = s->dir & s->leaf & U;
	bool nx = (s->dir | s->leaf) & NX;
	int error = (s->kind == WRITE) << 1 | s->user << 2 |
		    (s->kind == EXEC && (s->nxe || s->smep)) << 4;

	if (!(s->dir & P))
		return error;
	if (s->dir & NX && !s->nxe)
		return error | 9;
	if (!(s->leaf & P))
		return error;
	if (nx && !s->nxe)
		return error | 9;
	error |= 1;
	if (s->user && !u)
		return error;
	if (s->kind == WRITE && !w && (s->user || s->wp))
		return error;
	if (s->kind == EXEC && nx)
		return error;
	if (!s->user && u && s->kind == EXEC && s->smep)
		return error;
	if (!s->user && u && s->kind != EXEC && s->smap && !s->ac)
		return error;
	return -1;
}

static word set_controls(const struct setting *s)
{
	word cr4 = read_cr4();

	write_cr0((read_cr0() & ~WP) | (s->wp ? WP : 0));
	wrmsr(EFER, (rdmsr(EFER) & ~NXE) | (s->nxe ? NXE : 0));
	write_cr4((cr4 & ~(SMEP | SMAP)) | (s->smep ? SMEP : 0) |
		  (s->smap ? SMAP : 0));
	return cr4;
}

static void k_with_ac(void)
{
	__asm__ volatile("stac");
	if (page2[0])
		k_write();
	else
		k_read();
	__asm__ volatile("clac");
}

static bool try_one(const struct setting *s)
{
	int want = model(s), got;
	bool ad;

	pd[0] = (word)pt | s->dir;
	pt[0] = (word)page | s->leaf;
	if (s->ac) {
		page2[0] = s->kind == WRITE;
		invlpg(target);
		got = guarded(k_with_ac);
	} else {
		got = touch(s->user, s->kind);
	}
	if (want < 0) {
		/* a read-only page is not dirty */
		ad = (pt[0] & A) && (pd[0] & A) &&
		     !!(pt[0] & D) == (s->kind == WRITE);
		return got < 0 && ad;
	}
	return got == 14 && fault.error == (word)want &&
	       fault.cr2 == target + (s->kind == WRITE ? 32
					     : s->kind == EXEC && !s->user
						     ? 16
						     : 0) &&
	       !(pt[0] & D);
}

static void show(const struct setting *s)
{
	print("# directory ");
	print_hex(s->dir);
	print(" page ");
	print_hex(s->leaf);
	print(s->user ? " ring 3" : " ring 0");
	print(s->kind == READ	   ? " read"
		: s->kind == WRITE ? " write"
				   : " exec");
	print(": vector ");
	print_hex((word)fault.vector);
	print(" error ");
	print_hex(fault.error);
	print(" entry ");
	print_hex(pt[0]);
	print("\n");
}

/* All entries and accesses under these controls. */
static void check_controls(struct setting s, const char *name)
{
	static const uint64_t bit[] = {P, W, U, NX};
	unsigned bad = 0;

	set_controls(&s);
	for (unsigned n = 0; n < 256 * 6; n++) {
		s.dir = s.leaf = 0;
		for (unsigned b = 0; b < 4; b++) {
			s.dir |= n >> b & 1 ? bit[b] : 0;
			s.leaf |= n >> (b + 4) & 1 ? bit[b] : 0;
		}
		s.kind = n / 256 % 3;
		s.user = n / 768;
		if (s.ac && (s.user || s.kind == EXEC))
			continue;
		if (!try_one(&s) && !bad++)
			show(&s);
	}
	ok_eq(bad, 0, name);
}

static void check_matrix(void)
{
	bool smep = has(7, 0, 1, 7), smap = has(7, 0, 1, 20);

	target = TEST_VA;
	check_controls((struct setting){.nxe = true}, "no WP");
	check_controls((struct setting){.wp = true, .nxe = true}, "WP");
	check_controls((struct setting){.wp = true}, "WP, NX reserved");
	if (!smep || !smap) {
		skip("SMEP and SMAP", "not in this model");
		return;
	}
	check_controls((struct setting){.wp = true, .nxe = true, .smep = true},
		"SMEP");
	check_controls((struct setting){.wp = true, .smep = true},
		"SMEP, NX reserved");
	check_controls((struct setting){.wp = true, .nxe = true, .smap = true},
		"SMAP");
	check_controls(
		(struct setting){.nxe = true, .smap = true}, "SMAP without WP");
	check_controls(
		(struct setting){
			.wp = true, .nxe = true, .smap = true, .ac = true},
		"SMAP, AC set");
	check_controls(
		(struct setting){
			.wp = true, .nxe = true, .smep = true, .smap = true},
		"SMEP and SMAP");
	set_controls(&(struct setting){.wp = true, .nxe = true});
}

/* Reserved bits, large pages. */
static void check_reserved(void)
{
	uint32_t r[4];
	uint64_t beyond;

	cpuid(0x80000008, 0, r);
	beyond = 1ull << (r[0] & 0xff);
	pt[0] = (word)page | P | W | U;
	pd[0] = (word)pt | P | W | U | beyond;
	ok_eq((word)touch(false, READ), 14, "an address bit too many faults");
	ok_eq(fault.error, 9, "with RSVD");
	pd[0] = (word)pt | P | W | U;
	pt[0] |= 1ull << 51;
	ok_eq((word)touch(true, WRITE), 14, "in the page's entry too");
	ok_eq(fault.error, 15, "with RSVD, ring 3, write");
	pt[0] = 1ull << 51;
	ok_eq((word)touch(false, READ), 14, "but not in one that is absent");
	ok_eq(fault.error, 0, "plainly absent");
	pd[0] = 0x200000 | P | W | PS;
	ok_eq((word)touch(false, READ), (word)-1, "a 2 MiB page");
	ok_eq(pd[0] & (A | D), A, "is accessed, not dirty");
	ok_eq((word)touch(false, WRITE), (word)-1, "written");
	ok_eq(pd[0] & (A | D), A | D, "it is dirty");
	pd[0] = 0x200000 | P | W | PS | 1 << 13;
	ok_eq((word)touch(false, READ), 14, "2 MiB with bit 13 faults");
	ok_eq(fault.error, 9, "with RSVD");
	if (has(0x80000001, 0, 3, 26)) {
		pdpt[2] = 0 | P | W | PS;
		ok_eq((word)touch(false, READ), (word)-1, "a 1 GiB page");
		pdpt[2] = 0 | P | W | PS | 1 << 20;
		ok_eq((word)touch(false, READ), 14, "1 GiB with bit 20 faults");
		ok_eq(fault.error, 9, "with RSVD");
	} else {
		skip("1 GiB pages", "not in this model");
	}
	pdpt[2] = (word)pd | P | W | U;
	pml4()[1] |= PS;
	ok_eq((word)touch(false, READ), 14, "PS in a PML4 entry faults");
	ok_eq(fault.error, 9, "with RSVD");
	pml4()[1] &= ~PS;
	pd[0] = (word)pt | P | W | U;
	pt[0] = (word)page | P | W | U;
}

/* ---- the TLB: what must be gone ---- */

static bool sees(uint8_t what)
{
	return *(volatile uint8_t *)target == what;
}

static void map(const uint8_t *to, uint64_t bits)
{
	pt[0] = (word)to | P | W | bits;
}

static void invpcid(word type, uint64_t pcid, word a)
{
	struct {
		uint64_t pcid, a;
	} d = {pcid, a};

	__asm__ volatile("invpcid %1, %0" : : "r"(type), "m"(d) : "memory");
}

static void check_tlb(void)
{
	word cr3 = read_cr3(), cr4 = read_cr4();

	page[0] = 1;
	page2[0] = 2;
	map(page, 0);
	invlpg(target);
	ok(sees(1), "a page");
	map(page2, 0);
	invlpg(target + 5);
	ok(sees(2), "INVLPG of any byte of it drops it");
	map(page, 0);
	write_cr3(cr3);
	ok(sees(1), "a load of CR3 drops it");
	write_cr4(cr4 | PGE);
	map(page2, G);
	invlpg(target);
	ok(sees(2), "a global page");
	map(page, G);
	invlpg(target);
	ok(sees(1), "INVLPG drops it");
	map(page2, G);
	write_cr4(cr4 & ~PGE);
	ok(sees(2), "a change of PGE drops it");
	map(page, 0);
	write_cr0(read_cr0() ^ WP);
	write_cr0(read_cr0() ^ WP);
	invlpg(target);
	ok(sees(1), "WP turned");
	write_cr4(cr4);
}

/* What calls in the page return: 8 functions, mov eax, imm32; ret. */
static bool calls(word what)
{
	bool good = true;

	for (unsigned at = 32; at < 4096; at += 520)
		good &= ((word(*)(void))(target + at))() == what + at;
	return good;
}

static void fill_code(uint8_t *p, uint32_t what)
{
	for (unsigned at = 32; at < 4096; at += 520) {
		p[at] = 0xb8;
		*(volatile uint32_t *)(p + at + 1) = what + at;
		p[at + 5] = 0xc3;
	}
}

static void check_code_tlb(void)
{
	bool good = true;

	fill_code(page, 1 << 16);
	fill_code(page2, 2 << 16);
	for (unsigned i = 0; i < 50; i++) {
		map(i & 1 ? page2 : page, 0);
		invlpg(target + i * 8);
		good &= calls(((i & 1) + 1) << 16);
		good &= calls(((i & 1) + 1) << 16);
	}
	ok(good, "INVLPG of a page of code");
	map(page, 0);
	invlpg(target);
}

static void set_pcide(void)
{
	write_cr4(read_cr4() | PCIDE);
}

static void clear_pg(void)
{
	write_cr0(read_cr0() & ~((word)1 << 31));
}

static void clear_pae(void)
{
	write_cr4(read_cr4() & ~(word)0x20);
}

static void clear_lme(void)
{
	wrmsr(EFER, rdmsr(EFER) & ~0x100ull);
}

static void cr3_beyond(void)
{
	write_cr3(read_cr3() | (word)1 << 52);
}

static void bad_invpcid(void)
{
	invpcid(4, 0, 0);
}

static void bad_pcid(void)
{
	invpcid(0, 0x1000, 0);
}

static void bad_address(void)
{
	invpcid(0, 0, 1ull << 63);
}

static void check_pcid(void)
{
	word cr3 = read_cr3();

	ok_eq((word)guarded(clear_pae), 13, "long mode without PAE is #GP");
	ok_eq((word)guarded(clear_lme), 13, "LME with PG is #GP");
	ok_eq((word)guarded(cr3_beyond), 13, "CR3 beyond physical is #GP");
	if (!has(1, 0, 2, 17)) {
		skip("PCID", "not in this model");
		return;
	}
	write_cr3(cr3 | 8);
	ok_eq((word)guarded(set_pcide), 13, "PCIDE with CR3 11:0 is #GP");
	write_cr3(cr3);
	ok_eq((word)guarded(set_pcide), (word)-1, "PCIDE");
	ok_eq((word)guarded(clear_pg), 13, "PG off with PCIDE is #GP");
	map(page, 0);
	write_cr3(cr3 | 1);
	ok(sees(1), "PCID 1");
	map(page2, 0);
	write_cr3(cr3 | 1);
	ok(sees(2), "CR3 without bit 63 drops its pages");
	write_cr3(cr3 | 2);
	ok(sees(2), "PCID 2");
	map(page, 0);
	invlpg(target);
	ok(sees(1), "INVLPG in PCID 2");
	if (has(7, 0, 1, 10)) {
		map(page2, 0);
		invpcid(0, 2, target);
		ok(sees(2), "INVPCID of an address");
		map(page, 0);
		invpcid(1, 2, 0);
		ok(sees(1), "INVPCID of a context");
		map(page2, 0);
		invpcid(2, 0, 0);
		ok(sees(2), "INVPCID of all");
		map(page, 0);
		invpcid(3, 0, 0);
		ok(sees(1), "INVPCID of all but global");
		map(page2, 0);
		invpcid(1, 1, 0);
		write_cr3(cr3 | 1 | (word)1 << 63);
		ok(sees(2), "INVPCID of another context");
		ok_eq((word)guarded(bad_invpcid), 13, "INVPCID type 4 is #GP");
		ok_eq((word)guarded(bad_pcid), 13, "a PCID of 13 bits is #GP");
		ok_eq((word)guarded(bad_address), 13, "non-canonical is #GP");
	}
	ok_eq(read_cr3() >> 63, 0, "bit 63 of CR3 reads as 0");
	write_cr3(cr3);
	write_cr4(read_cr4() & ~PCIDE);
}

/* ---- accesses over two pages ---- */

static void split_write(void)
{
	__asm__ volatile("movq %1, (%0)"
			 :
			 : "r"(target + 4092), "r"(0x1122334455667788ull)
			 : "memory");
}

static void split_rmw(void)
{
	__asm__ volatile("lock addq $1, (%0)"
			 :
			 : "r"(target + 4092)
			 : "memory");
}

static void split_push(void)
{
	__asm__ volatile("mov %%rsp, %%rcx; mov %0, %%rsp; push %%rax; "
			 "mov %%rcx, %%rsp"
			 :
			 : "r"(target + 4100)
			 : "rcx", "memory");
}

static void movs(void)
{
	word n = 4096, s = (word)page, d = target + 2048;

	__asm__ volatile("rep movsb" : "+c"(n), "+S"(s), "+D"(d) : : "memory");
}

static struct frame movs_frame;

static void on_pf(struct frame *f)
{
	movs_frame = *f;
	pt[1] = (word)page2 | P | W;
}

static void check_split(void)
{
	uint32_t *end = (uint32_t *)(page + 4092);

	write_cr0(read_cr0() | WP);
	map(page, 0);
	pt[1] = (word)page2 | P;
	*end = 7;
	invlpg(target);
	invlpg(target + 4096);
	ok_eq((word)guarded(split_write), 14, "a write into a read-only page");
	ok_eq(fault.cr2, target + 4096, "faults at its first byte there");
	ok_eq(fault.error, 3, "as a write");
	ok_eq(*end, 7, "and leaves the first part alone");
	ok_eq((word)guarded(split_rmw), 14, "LOCK ADD faults");
	ok_eq(fault.error, 3, "as a write");
	ok_eq(*end, 7, "and writes nothing");
	ok_eq((word)guarded(split_push), 14, "PUSH faults");
	pt[1] = 0;
	invlpg(target + 4096);
	ok_eq((word)guarded(split_write), 14, "into an absent one");
	ok_eq(fault.error, 2, "not present");
	on_vector(14, on_pf);
	ok_eq((word)guarded(movs), (word)-1, "REP MOVSB goes on after a fault");
	on_vector(14, NULL);
	ok_eq(movs_frame.gpr[13], 2048, "which came half way");
	ok_eq(movs_frame.flags >> 16 & 1, 1, "with RF");
	ok_eq(page2[100], page[2148], "and copies all");
}

/* ---- descriptors: the processor's own accesses (4.6.1) ---- */

FN(load_ldt_fs, "mov $7, %eax; mov %eax, %fs; int $0x81");
FN(load_ldt_fs_ac, "pushf; orl $0x40000, (%rsp); popf; mov $7, %eax\n"
		   "mov %eax, %fs; int $0x81");

static const struct {
	uint64_t bits; /* of the LDT's page */
	bool smap, ac, wp, user, accessed;
	int vector;
	word error;
	const char *name;
} implicit[] = {
	{P | W | U, 0, 0, 1, 0, 0, -1, 0, "an LDT in a page of ring 3"},
	{P | W | U, 1, 0, 1, 0, 0, 14, 1, "with SMAP it faults"},
	{P | W | U, 1, 1, 1, 0, 0, 14, 1, "whatever AC is"},
	{P | W | U, 1, 0, 1, 1, 0, 14, 1, "and whoever loads from it"},
	{P | W, 1, 0, 1, 1, 0, -1, 0, "in a page of ring 0: ring 3 may"},
	{P, 0, 0, 1, 0, 0, 14, 3, "Accessed cannot be set in a read-only page"},
	{P, 0, 0, 1, 1, 0, 14, 3, "from ring 3 neither"},
	{P, 0, 0, 0, 1, 0, -1, 0, "unless WP is clear"},
	{P, 0, 0, 1, 1, 1, -1, 0, "nor need it be when it is set"},
	{0, 0, 0, 1, 1, 0, 14, 0, "not present: no U in the error code"},
};

static void check_implicit(void)
{
	uint64_t *ldt = (uint64_t *)page;
	word cr0 = read_cr0(), cr4 = read_cr4();

	target = TEST_VA;
	gdt[SEL_LDT / 8] = descriptor((uint32_t)TEST_VA, 7, 0x82, 0);
	gdt[SEL_LDT / 8 + 1] = TEST_VA >> 32;
	__asm__ volatile("lldt %w0" : : "r"(SEL_LDT));
	for (unsigned i = 0; i < sizeof(implicit) / sizeof(*implicit); i++) {
		void (*fn)(void) =
			implicit[i].ac ? load_ldt_fs_ac : load_ldt_fs;
		int got;

		if (implicit[i].smap && !has(7, 0, 1, 20))
			continue;
		*ldt = descriptor(0, 0xfffff, 0xf2 | implicit[i].accessed, 0xc);
		pt[0] = (word)page | implicit[i].bits;
		invlpg(target);
		write_cr4(implicit[i].smap ? cr4 | SMAP : cr4 & ~SMAP);
		write_cr0(implicit[i].wp ? cr0 | WP : cr0 & ~WP);
		if (implicit[i].user)
			got = guarded_at(SEL_UCODE, SEL_UDATA,
				(void (*)(void))(
					USER_VA + ((word)fn - 0x200000)));
		else
			got = guarded(fn);
		write_cr4(cr4);
		write_cr0(cr0);
		ok_eq((word)got, (word)implicit[i].vector, implicit[i].name);
		if (got == 14) {
			ok_eq(fault.error, implicit[i].error, "  error code");
			ok_eq(fault.cr2 & ~7ul, TEST_VA, "  CR2");
		}
		ok_eq(*ldt >> 40 & 1, got < 0 || implicit[i].accessed,
			"  Accessed");
	}
	__asm__ volatile("lldt %w0; mov %0, %%fs" : : "r"(0));
}

void test_main(void)
{
	make_tables();
	check_matrix();
	check_reserved();
	check_tlb();
	check_code_tlb();
	check_pcid();
	check_implicit();
	check_split();
}

#else

static uint32_t PAGE(dir[1024]), PAGE(table[1024]);
static uint64_t PAGE(pae_dir[512]), PAGE(pae_table[512]);
static uint64_t __attribute__((aligned(32))) pdpte[4];
static uint8_t PAGE(page[4096]), PAGE(page2[4096]);

#define TEST_VA 0x40000000u
#define PG	0x80000000u
#define PSE	0x10u
#define PAE	0x20u

static void off(void)
{
	write_cr0(read_cr0() & ~PG);
}

static void on(word cr3)
{
	write_cr3(cr3);
	write_cr0(read_cr0() | PG | WP);
}

static void u_read(void)
{
	k_read();
}

static void u_write(void)
{
	k_write();
}

static void expect(void (*fn)(void), int vector, word error, const char *name)
{
	__asm__ volatile("invlpg (%0)" : : "r"(target) : "memory");
	if (fn == u_read || fn == u_write)
		guarded_user(fn);
	else
		guarded(fn);
	ok_eq((word)fault.vector, (word)vector, name);
	if (vector == 14 && fault.error != error)
		ok_eq(fault.error, error, "  error code");
}

/* ---- pages and segment limits (32-bit segment FS, page 1 is absent) ---- */

uint32_t far_ends[8] __attribute__((used)) = {-1u, 0, 0, 0, 0, 0, 0, -1u};
FN(l_load, "mov $0x70, %eax; mov %eax, %fs");
FN(l_tbyte, "fninit; fldz; fstpt %fs:0x1000");
FN(l_tbyte2, "fninit; fldz; fstpt %fs:0x1001");
FN(l_bcd, "fninit; fldz; fbstp %fs:0x1000");
FN(l_mask, "vmovups far_ends, %ymm0; vmaskmovps %ymm0, %ymm0, %fs:0xffc");
FN(l_mask_load, "vmovups far_ends, %ymm0; vmaskmovps %fs:0xffc, %ymm0, %ymm0");

static void check_limits(void)
{
	static const struct attempt ends[] = {
		{l_tbyte, 14, "FSTP of ten bytes tries eight first: #PF"},
		{l_tbyte2, 13, "but for all eight the limit: #GP"},
		{l_bcd, 14, "so does FBSTP"},
	};

	table[1] = 0;
	gdt[SEL_FREE / 8] = descriptor(TEST_VA, 0x1007, 0x93, 4);
	guarded(l_load);
	ATTEMPT(ends);
	if (!has(1, 0, 2, 28)) {
		skip("VMASKMOVPS", "no AVX in this model");
		return;
	}
	write_cr4(read_cr4() | 1 << 18);
	__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	table[0] = 0;
	ok_eq((word)guarded(l_mask), 13, "VMASKMOVPS: limits before pages");
	ok_eq((word)guarded(l_mask_load), 13, "  as it loads too");
	gdt[SEL_FREE / 8] = descriptor(TEST_VA, 0x2000, 0x93, 4);
	guarded(l_load);
	ok_eq((word)guarded(l_mask), 14, "within them #PF");
	ok_eq((word)guarded(l_mask_load), 14, "  loading");
	table[0] = (word)page | 7;
}

static void check_legacy(void)
{
	target = TEST_VA;
	page[16] = 0xc3;
	dir[0] = 0x87;
	dir[TEST_VA >> 22] = (word)table | 7;
	table[0] = (word)page | 7;
	write_cr4(read_cr4() | PSE);
	on((word)dir);
	ok(true, "paging with 4 MiB pages");
	expect(k_read, -1, 0, "read");
	ok_eq(table[0] & 0x60, 0x20, "accessed");
	expect(k_write, -1, 0, "write");
	ok_eq(table[0] & 0x60, 0x60, "dirty");
	ok_eq(dir[TEST_VA >> 22] & 0x20, 0x20, "the directory is accessed");
	expect(k_exec, -1, 0, "execute");
	expect(u_read, -1, 0, "ring 3 reads");
	table[0] = (word)page | 3;
	expect(u_read, 14, 5, "ring 3 reads the supervisor's");
	expect(k_read, -1, 0, "ring 0 reads it");
	table[0] = (word)page | 5;
	expect(u_write, 14, 7, "ring 3 writes a read-only page");
	expect(k_write, 14, 3, "ring 0 with WP");
	write_cr0(read_cr0() & ~WP);
	expect(k_write, -1, 0, "ring 0 without WP");
	write_cr0(read_cr0() | WP);
	table[0] = (word)page | 7;
	check_limits();
	table[0] = 0;
	expect(k_exec, 14, 0, "a fetch of nothing has no I bit here");
	dir[TEST_VA >> 22] = 0x400000 | 0x83;
	expect(k_read, -1, 0, "a 4 MiB page");
	dir[TEST_VA >> 22] = 0x400000 | 0x83 | 1 << 21;
	expect(k_read, 14, 9, "with bit 21: reserved");
	off();
	write_cr4(read_cr4() & ~PSE);
	dir[TEST_VA >> 22] = (word)table | 7 | PS;
	dir[0] = (word)pae_table | 7;
	for (unsigned i = 0; i < 1024; i++)
		((uint32_t *)pae_table)[i] = i << 12 | 7;
	table[0] = (word)page | 7;
	on((word)dir);
	expect(k_read, -1, 0, "without PSE bit 7 is ignored");
	off();
}

static void load_cr3(void)
{
	write_cr3((word)pdpte);
}

static void pg_on(void)
{
	write_cr0(read_cr0() | PG);
}

static void check_pae(void)
{
	write_cr4(read_cr4() | PAE);
	pdpte[0] = (word)pae_dir | 1;
	pdpte[1] = (word)dir | 1;
	for (unsigned i = 0; i < 512; i++)
		dir[i] = dir[i + 512] = 0;
	pae_dir[0] = 0x000087;
	pae_dir[1] = 0x200087;
	((uint64_t *)dir)[0] = (word)pae_table | 7;
	pae_table[0] = (word)page | 7;
	on((word)pdpte);
	ok(true, "PAE paging");
	expect(k_read, -1, 0, "read");
	pae_table[0] = (word)page | 7 | NX;
	expect(k_read, 14, 9, "NX without NXE is reserved");
	if (has(0x80000001, 0, 3, 20)) {
		wrmsr(EFER, rdmsr(EFER) | NXE);
		expect(k_read, -1, 0, "with NXE it is not");
		expect(k_exec, 14, 0x11, "and forbids execution");
	}
	pae_table[0] = (word)page | 7 | 1ull << 62;
	expect(k_read, 14, 9, "bit 62 is reserved");
	pae_table[0] = (word)page | 7;
	((uint64_t *)dir)[0] = 0x200000 | 0x87 | 1 << 13;
	expect(k_read, 14, 9, "bit 13 of a 2 MiB page is reserved");
	((uint64_t *)dir)[0] = (word)pae_table | 7;
	pdpte[1] = (word)dir | 1 | 2;
	ok_eq((word)guarded(load_cr3), 13, "a reserved bit in a PDPTE is #GP");
	pdpte[1] = (word)dir | 2;
	ok_eq((word)guarded(load_cr3), (word)-1, "but not in an absent one");
	expect(k_read, 14, 0, "which maps nothing");
	pdpte[1] = (word)dir | 1;
	ok_eq((word)guarded(load_cr3), (word)-1, "CR3 loads it again");
	expect(k_read, -1, 0, "and it is there");
	off();
	pdpte[1] |= 4;
	ok_eq((word)guarded(pg_on), 13, "PG checks the PDPTEs as well");
	ok_eq(read_cr0() & PG, 0, "and stays off");
	pdpte[1] &= ~4ull;
}

void test_main(void)
{
	check_legacy();
	if (has(1, 0, 3, 6))
		check_pae();
	else
		skip("PAE", "not in this model");
}
#endif
