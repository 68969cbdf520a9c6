/*
 * faults.c - exceptions while exceptions are delivered, which of several comes
 * first, and what holds NMIs and interrupts back (SDM vol. 3, 6.7 to 6.9,
 * 6.13, table 6-5).
 */
#include "lib.h"

#define USED __attribute__((used))
#define TS   8
#define FREE SEL_FREE

#ifdef __x86_64__
#define AX "%rax"
#define SP "%rsp"
#else
#define AX "%eax"
#define SP "%esp"
#endif

static uint8_t room[64] __attribute__((aligned(64), used));
uint32_t zero USED, one USED = 0x3f800000, mxcsr_z USED = 0x1d80,
			mxcsr USED = 0x1f80;
uint16_t cw_z USED = 0x37b;

/* ---- first this, then that ---- */

FN(f_de, "xor %ecx, %ecx; at_de: div %ecx");
FN(f_db, "at_db: .byte 0xf1");
FN(f_bp, "at_bp: int3");
FN(f_ud, "at_ud: ud2");
FN(f_nm, "at_nm: fninit");
FN(f_np, "mov $0x70, %eax; at_np: mov %eax, %es");
FN(f_ss, "mov $0x70, %eax; at_ss: mov %eax, %ss");
FN(f_gp, "mov $0xfff8, %eax; at_gp: mov %eax, %es");
FN(f_mf, "fninit; fldcw cw_z; fld1; fdivs zero; at_mf: fwait");
FN(f_xm, "ldmxcsr mxcsr_z; movss one, %xmm0; at_xm: divss zero, %xmm0");
FN(f_int, "at_int: int $0x50");
extern char at_de[], at_db[], at_bp[], at_ud[], at_nm[], at_np[], at_ss[],
	at_gp[], at_mf[], at_xm[], at_int[];

#ifdef __x86_64__
#define HOLE 0x40200000
FN(f_pf, "at_pf: mov 0x40200000, %al");
extern char at_pf[];

static uint64_t *hole_entry(unsigned n)
{
	return (uint64_t *)(0x100000 + 0x2000 + 0x1000) + n;
}

static void make_hole(void)
{
	*hole_entry(0) = 0x1000000 | 0x87; /* RAM before it */
	*hole_entry(1) = 0;
	write_cr3(read_cr3());
}
#endif

enum kind { BENIGN, CONTRIBUTORY, PAGE };

static const struct first {
	void (*fn)(void);
	char *at;
	uint8_t vector, kind;
	bool soft; /* INT n and INT3 are not external to the program */
	const char *name;
} firsts[] = {
	{f_de, at_de, 0, CONTRIBUTORY, false, "#DE"},
	{f_db, at_db, 1, BENIGN, false, "INT1"},
	{f_bp, at_bp, 3, BENIGN, true, "INT3"},
	{f_ud, at_ud, 6, BENIGN, false, "#UD"},
	{f_nm, at_nm, 7, BENIGN, false, "#NM"},
	{f_np, at_np, 11, CONTRIBUTORY, false, "#NP"},
	{f_ss, at_ss, 12, CONTRIBUTORY, false, "#SS"},
	{f_gp, at_gp, 13, CONTRIBUTORY, false, "#GP"},
	{f_mf, at_mf, 16, BENIGN, false, "#MF"},
	{f_xm, at_xm, 19, BENIGN, false, "#XM"},
	{f_int, at_int, 0x50, BENIGN, true, "INT 50h"},
#ifdef __x86_64__
	{f_pf, at_pf, 14, PAGE, false, "#PF"},
#endif
};

/* How the gate of the first is spoilt, and what comes of it. */
static const struct second {
	uint64_t clear, set;
	uint8_t vector;
	bool names_gate;
	const char *name;
} seconds[] = {
	{0x80ull << 40, 0, 11, true, ", gate absent: #NP"},
	{0x0full << 40, 0x0cull << 40, 13, true, ", a call gate: #GP"},
	{0xffff0000, 0, 13, false, ", null selector: #GP"},
#ifdef __x86_64__
	{7ull << 32, 2ull << 32, 14, false, ", stack absent: #PF"},
	{7ull << 32, 3ull << 32, 12, false, ", stack not canonical: #SS"},
#endif
};

static const char *join(const char *a, const char *b)
{
	static char text[80];
	unsigned n = 0;

	while (*a && n < sizeof(text) - 1)
		text[n++] = *a++;
	while (*b && n < sizeof(text) - 1)
		text[n++] = *b++;
	text[n] = 0;
	return text;
}

static word error_of(const struct first *f, const struct second *s)
{
	if (s->vector == 14)
		return 2; /* a write, not present */
	return (s->names_gate ? f->vector * 8 + 2 : 0) + !f->soft;
}

static void try_pair(const struct first *f, const struct second *s)
{
	uint64_t *gate = idt_entry(f->vector), old = *gate;
	unsigned vector = s->vector;
	word error = error_of(f, s), cr0 = read_cr0();

	if ((f->kind == CONTRIBUTORY && s->vector != 14) || f->kind == PAGE) {
		vector = 8;
		error = 0;
	}
	if (f->vector == 7)
		write_cr0(cr0 | TS);
	*gate = (old & ~s->clear) | s->set;
	guarded(f->fn);
	*gate = old;
	write_cr0(cr0);
	ok_eq((word)fault.vector, vector, join(f->name, s->name));
	if (fault.error != error)
		ok_eq(fault.error, error, "  error code");
	if (fault.rip != (word)f->at)
		ok_eq(fault.rip, (word)f->at, "  at the first's instruction");
	__asm__ volatile("fninit; ldmxcsr mxcsr");
}

static void check_pairs(void)
{
	unsigned ns = sizeof(seconds) / sizeof(*seconds);

	gdt[FREE / 8] = descriptor(0, 0xfffff, 0x13, 0xc); /* absent */
#ifdef __x86_64__
	make_hole();
	tss[11] = HOLE + 0x1000;
	tss[12] = 0;
	tss[13] = 0;
	tss[14] = 0x8000;
#endif
	for (unsigned i = 0; i < sizeof(firsts) / sizeof(*firsts); i++)
		for (unsigned j = 0; j < ns; j++)
			try_pair(&firsts[i], &seconds[j]);
}

/* ---- several faults in one instruction ---- */

FN(p_lock, ".byte 0xf0; movl %eax, room");
FN(p_cr1, ".byte 0x0f, 0x20, 0xc8");
FN(p_cr0, "mov %cr0, " AX);
FN(p_dr_ring, "mov %dr0, " AX);
FN(p_hlt, "hlt");
FN(p_bp_hlt, "bp_hlt: hlt");
FN(p_bp_ud, "bp_ud: ud2");
FN(p_in, "in $0x80, %al");
FN(p_crooked, "movaps room + 1, %xmm0");
FN(p_int50, "int $0x50");
FN(p_mf_fld, "fninit; fldcw cw_z; fld1; fdivs zero; fldcw cw_z");
FN(p_step_ud, "pushf; orl $0x100, (" SP "); popf; nop\nstep_ud: ud2");
FN(p_xm_crooked, "ldmxcsr mxcsr_z; movss one, %xmm0; divps room + 4, %xmm0");
extern char bp_hlt[], bp_ud[], step_ud[];

static void set_dr0(char *at, word dr7)
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(at), "r"(dr7));
}

static void check_order(void)
{
	uint64_t *gate = idt_entry(0x50), old = *gate;
	word cr0 = read_cr0();

	ok_eq((word)guarded(p_lock), 6, "LOCK MOV is #UD");
	ok_eq((word)guarded_user(p_cr1), 6, "CR1 in ring 3: #UD before #GP");
	ok_eq((word)guarded_user(p_cr0), 13, "CR0 in ring 3: #GP");
	set_dr0(bp_hlt, 0x401);
	ok_eq((word)guarded_user(p_bp_hlt), 1,
		"a breakpoint comes before #GP of its instruction");
	set_dr0(bp_ud, 0x401);
	ok_eq((word)guarded(p_bp_ud), 1, "and before #UD");
	set_dr0(0, 0x2400);
	ok_eq((word)guarded_user(p_dr_ring), 13,
		"DR0 in ring 3 with GD: #GP before #DB");
	ok_eq((word)guarded(p_dr_ring), 1, "in ring 0 #DB, which clears GD");
	set_dr0(0, 0x400);
	*gate &= ~(0x80ull << 40);
	ok_eq((word)guarded_user(p_int50), 13,
		"a gate of DPL 0 that is absent: #GP before #NP");
	*gate = old;
	ok_eq((word)guarded(p_crooked), 13, "MOVAPS not aligned: #GP");
	ok_eq((word)guarded(p_step_ud), 1, "TF: the step before comes first");
	ok_eq(fault.rip, (word)step_ud, "then #UD");
	write_cr0(cr0 | TS);
	ok_eq((word)guarded(p_mf_fld), 7, "#NM comes first");
	ok_eq((word)guarded(p_crooked), 7, "before the alignment, too");
	write_cr0(cr0);
	ok_eq((word)guarded(p_xm_crooked), 13, "the operand before #XM");
	__asm__ volatile("fninit; ldmxcsr mxcsr");
}

#ifdef __x86_64__

FN(h_lock, ".byte 0xf0; movl %eax, 0x40200000");
FN(h_x87, "flds 0x40200000");
FN(h_sse, "addps 0x40200000, %xmm0");
FN(h_movaps, "movaps 0x40200001, %xmm0");
FN(h_mf, "fninit; fldcw cw_z; fld1; fdivs zero; flds 0x40200000");
FN(h_xm, "ldmxcsr mxcsr_z; divps 0x40200000, %xmm0");
FN(h_div, "divl 0x40200000");
FN(h_ds, "movw 0x40200000, %ds");
FN(h_push, "pushq 0x40200000");
FN(h_lar, "larw 0x40200000, %ax");
FN(h_cmpxchg16b, "cmpxchg16b 0x40200008");
FN(h_fxsave, "fxsave 0x40200008");
FN(h_lgdt, "lgdt 0x40200000");
FN(h_jmp, "mov $0x40200000, %eax; jmp *%rax");
FN(h_at_end, "mov code_at, %eax; jmp *%rax");
uint32_t code_at USED;

static const struct attempt into_hole[] = {
	{h_lock, 6, "no page: LOCK MOV is #UD"},
	{h_x87, 14, "FLD is #PF"},
	{h_sse, 14, "ADDPS is"},
	{h_movaps, 13, "MOVAPS not aligned is #GP"},
	{h_mf, 16, "a pending #MF comes before"},
	{h_xm, 14, "#XM after"},
	{h_div, 14, "DIV is #PF"},
	{h_ds, 14, "MOV to DS is"},
	{h_push, 14, "PUSH is"},
	{h_lar, 14, "LAR is"},
	{h_cmpxchg16b, 13, "CMPXCHG16B not aligned is #GP"},
	{h_fxsave, 13, "FXSAVE not aligned is"},
	{h_lgdt, 14, "LGDT is #PF"},
};

static const struct attempt into_hole_ts[] = {
	{h_x87, 7, "with TS: FLD is #NM"},
	{h_sse, 7, "ADDPS is"},
	{h_movaps, 7, "MOVAPS is"},
	{h_fxsave, 7, "FXSAVE is"},
};

/* In ring 3 with AC: the address is looked at before the page. */
#define AC_ON "pushf; orl $0x40000, (%rsp); popf; "
FN(ac_load, AC_ON "mov 0x40200001, %eax");
FN(ac_store, AC_ON "mov %eax, 0x40200001");
FN(ac_add, AC_ON "addl $1, 0x40200001");
FN(ac_lock, AC_ON "lock; addl $1, 0x401ffffe");
FN(ac_split, AC_ON "addl $1, 0x401ffffe");
FN(ac_xchg, AC_ON "xchg %ax, 0x401fffff");
FN(ac_cmpxchg, AC_ON "cmpxchg8b 0x40200004");
FN(ac_movs, AC_ON "mov $0x40200001, %edi; mov $room, %esi; movsl");
FN(ac_movups, AC_ON "movups 0x40200001, %xmm0");
FN(ac_movaps, AC_ON "movaps 0x40200001, %xmm0");

static const struct {
	void (*fn)(void);
	int vector;
	const char *name;
} crooked[] = {
	{ac_load, 17, "AC and no page: a load is #AC"},
	{ac_store, 17, "a store is"},
	{ac_add, 17, "ADD to memory is"},
	{ac_split, 17, "over two pages, too"},
	{ac_lock, 17, "LOCK ADD is"},
	{ac_xchg, 17, "XCHG is"},
	{ac_cmpxchg, 17, "CMPXCHG8B is"},
	{ac_movs, 17, "MOVS is"},
	{ac_movups, 14, "MOVUPS is #PF"},
	{ac_movaps, 13, "MOVAPS is #GP"},
};

static void check_crooked(void)
{
	word cr0 = read_cr0();

	write_cr0(cr0 | 1 << 18);
	for (unsigned i = 0; i < sizeof(crooked) / sizeof(*crooked); i++)
		ok_eq((word)guarded_user(crooked[i].fn),
			(word)crooked[i].vector, crooked[i].name);
	write_cr0(cr0);
}

/* Code that ends where the hole begins. */
static const struct {
	uint8_t code[16], n;
	uint8_t vector;
	bool in_hole; /* CR2 */
	const char *name;
} at_end[] = {
	{{0x0f, 0x0b}, 2, 6, false, "UD2 at the end of a page is #UD"},
	{{0x0f}, 1, 14, true, "half of it is #PF"},
	{{0x66, 0x66}, 2, 14, true, "prefixes are"},
	{{0xb8, 0, 0}, 3, 14, true, "a part of the immediate is"},
	{{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
		 0x66, 0x66, 0x66, 0x66},
		15, 13, false, "15 prefixes are #GP without the next page"},
	{{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
		 0x66, 0x66, 0x66},
		14, 14, true, "14 are #PF"},
	{{0xf4, 0xcd, 0x81}, 3, 0xff, false, "INT ends there"},
	{{0x90}, 1, 14, true, "to run on is #PF"},
	{{0xd6}, 1, 6, false, "SALC is #UD in 64 bits"},
};

/* Code that ran on into the next page, time and again changed, then does not
 * any more; nor is that page there. */
static void check_changed(void)
{
	volatile uint8_t *p = (uint8_t *)(word)HOLE - 3;
	unsigned bad = 0;

	*hole_entry(1) = 0x1200000 | 0x87;
	write_cr3(read_cr3());
	code_at = HOLE - 3;
	p[0] = 0xb8; /* mov $.., %eax */
	p[4] = 0;
	p[5] = 0xcd;
	p[6] = 0x81;
	for (unsigned n = 0; n < 200; n++) {
		p[1] = (uint8_t)n;
		bad += guarded(h_at_end) != -1;
	}
	ok_eq(bad, 0, "changing code in two pages");
	p[0] = 0x90;
	p[1] = 0xcd;
	p[2] = 0x81;
	make_hole();
	ok_eq((word)guarded(h_at_end), (word)-1, "then in one, the other gone");
}

static void check_hole(void)
{
	word cr0 = read_cr0();

	make_hole();
	ATTEMPT(into_hole);
	__asm__ volatile("fninit; ldmxcsr mxcsr");
	write_cr0(cr0 | TS);
	ATTEMPT(into_hole_ts);
	write_cr0(cr0);
	check_crooked();
	ok_eq((word)guarded(h_jmp), 14, "a jump there is #PF");
	ok_eq(fault.rip, HOLE, "at the target");
	for (unsigned i = 0; i < sizeof(at_end) / sizeof(*at_end); i++) {
		volatile uint8_t *p = (uint8_t *)(word)HOLE - at_end[i].n;
		int want = (int8_t)at_end[i].vector;

		for (unsigned n = 0; n < at_end[i].n; n++)
			p[n] = at_end[i].code[n];
		if (p[0] == 0xf4)
			p[0] = 0x90;
		code_at = HOLE - at_end[i].n;
		ok_eq((word)guarded(h_at_end), (word)want, at_end[i].name);
		if (at_end[i].in_hole)
			ok_eq(fault.cr2, HOLE, "  CR2");
	}
	check_changed();
}

#else

static void check_hole(void)
{
}

#endif

/* ---- NMI, STI ---- */

#define APIC(reg) (*(volatile uint32_t *)(word)(0xfee00000 + (reg)))

static volatile unsigned nmis, depth, deepest, came;
static volatile bool with_iret;
static word came_at;

static void send(uint32_t command)
{
	APIC(0x310) = APIC(0x20) & 0xff000000;
	APIC(0x300) = command;
}

static void spin(void)
{
	for (volatile unsigned n = 0; n < 200; n++)
		;
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmis++;
	if (++depth > deepest)
		deepest = depth;
	if (nmis == 1) {
		send(0x400);
		spin();
		send(0x400);
		spin();
		if (with_iret)
			__asm__ volatile("int3");
		spin();
	}
	depth--;
}

static void on_interrupt(struct frame *f)
{
	came++;
	came_at = f->rip;
	APIC(0xb0) = 0;
}

static void do_nothing(struct frame *f)
{
	(void)f;
}

static void check_nmi(void)
{
	APIC(0xf0) = 0x1ff;
	on_vector(2, on_nmi);
	on_vector(3, do_nothing);
	send(0x400);
	spin();
	ok_eq(nmis, 2, "NMIs in the handler of one: one is kept");
	ok_eq(deepest, 1, "until its IRET");
	nmis = deepest = 0;
	with_iret = true;
	send(0x400);
	spin();
	ok_eq(nmis, 2, "the same");
	ok_eq(deepest, 2, "but any IRET lets it in");
	on_vector(2, NULL);
	on_vector(3, NULL);
}

FN(sti_nop, "cli; call send_60; sti; nop\nsti_1: nop; cli");
FN(sti_cli, "cli; call send_60; sti; cli; nop; sti; cli");
FN(popf_if, "cli; call send_60; push $0x202; popf\npopf_1: nop; cli");
FN(sti_sti, "cli; call send_60; sti; sti\nsti_2: nop; cli");
extern char sti_1[], popf_1[], sti_2[];

USED void send_60(void)
{
	send(0x60);
	spin();
}

static void shadow(void (*fn)(void), char *at, const char *name)
{
	came = 0;
	guarded(fn);
	ok_eq(came, at ? 1 : 0, name);
	if (at)
		ok_eq(came_at, (word)at, "  there");
	/* what is still pending */
	__asm__ volatile("sti; nop; nop; cli");
}

static void check_shadow(void)
{
	on_vector(0x60, on_interrupt);
	shadow(sti_nop, sti_1, "STI: behind the next instruction");
	shadow(sti_cli, NULL, "STI, CLI: never");
	shadow(popf_if, popf_1, "POPF: at once");
	shadow(sti_sti, sti_2, "STI, STI: behind the second");
	on_vector(0x60, NULL);
}

/* ---- the end ---- */

static void triple(void)
{
	static const struct {
		uint16_t limit;
		word base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

void test_main(void)
{
	write_cr0(read_cr0() & ~(word)0xc);
	write_cr4(read_cr4() | 0x600);
	__asm__ volatile("fninit; ldmxcsr mxcsr");
	check_pairs();
	check_order();
	check_hole();
	check_nmi();
	check_shadow();
	expect_shutdown(triple);
}
