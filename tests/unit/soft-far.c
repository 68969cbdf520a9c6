/*
 * soft-far.c - segment loads, far transfers, task switches, system registers.
 */
#include "soft-rig.h"

static void check_load(
	struct rig *r, unsigned seg, uint16_t sel, int vector, uint32_t error)
{
	g_assert_cmpint(FAULT(r->c, soft_load_seg(r->c, seg, sel)), ==, vector);
	if (vector >= 0)
		g_assert_cmphex(r->c->fault.error, ==, error);
}

static void test_segments(void)
{
	struct rig *r = rig_new();

	rig_protected(r, 0);
	check_load(r, X86_DS, 0, -1, 0);
	g_assert_cmphex(r->c->st.seg[X86_DS].attr, ==, 0);
	check_load(r, X86_SS, 0, X86_GP, 0);
	check_load(r, X86_SS, K_DATA | 1, X86_GP, K_DATA);
	check_load(r, X86_SS, U_DATA, X86_GP, U_DATA);
	check_load(r, X86_DS, TSS_SEL, X86_GP, TSS_SEL);
	check_load(r, X86_DS, 0x7f8, X86_GP, 0x7f8);
	check_load(r, X86_DS, K_DATA | 4, X86_GP, K_DATA | 4);
	put8(r, RIG_GDT + EXTRA, desc(0, 0xfffff, 0xc012));
	check_load(r, X86_DS, EXTRA, X86_NP, EXTRA);
	check_load(r, X86_SS, EXTRA, X86_SSF, EXTRA);
	put8(r, RIG_GDT + EXTRA, desc(0x12345678, 0xfffff, 0xc092));
	check_load(r, X86_DS, EXTRA, -1, 0);
	g_assert_cmphex(r->c->st.seg[X86_DS].base, ==, 0x12345678);
	g_assert_cmphex(get8(r, RIG_GDT + EXTRA) >> 40 & 0xff, ==, 0x93);
	put8(r, RIG_GDT + EXTRA, desc(0, 0xfffff, 0xc098)); /* execute-only */
	check_load(r, X86_DS, EXTRA, X86_GP, EXTRA);
	rig_protected(r, 3);
	check_load(r, X86_DS, K_DATA, X86_GP, K_DATA);
	put8(r, RIG_GDT + CONF, desc(0, 0xfffff, 0xc09f));
	check_load(r, X86_DS, CONF | 3, -1, 0); /* conforming: any privilege */
	rig_free(r);
}

static void test_limits(void)
{
	struct rig *r = rig_new();
	struct x86_seg *ds = &r->c->st.seg[X86_DS];
	gva_t a;

	rig_protected(r, 0);
	*ds = (struct x86_seg){0x1000, 0xfff, 0x10, 0x4093};
	a = soft_linear(r->c, X86_DS, 0xffc, 4, SOFT_READ);
	g_assert_cmphex(a, ==, 0x1ffc);
	g_assert_cmpint(
		FAULT(r->c, soft_linear(r->c, X86_DS, 0xffd, 4, SOFT_READ)), ==,
		X86_GP);
	ds->attr = 0x4097; /* expand-down, 32-bit: above the limit */
	g_assert_cmpint(
		FAULT(r->c, soft_linear(r->c, X86_DS, 0xfff, 1, SOFT_READ)), ==,
		X86_GP);
	soft_linear(r->c, X86_DS, 0x1000, 4, SOFT_READ);
	soft_linear(r->c, X86_DS, 0xfffffffc, 4, SOFT_READ);
	ds->attr = 0x0097; /* 16-bit: up to 64 KiB */
	g_assert_cmpint(
		FAULT(r->c, soft_linear(r->c, X86_DS, 0xffff, 2, SOFT_READ)),
		==, X86_GP);
	ds->attr = 0x4091; /* read-only */
	soft_linear(r->c, X86_DS, 0x10, 4, SOFT_READ);
	g_assert_cmpint(
		FAULT(r->c, soft_linear(r->c, X86_DS, 0x10, 4, SOFT_WRITE)), ==,
		X86_GP);
	r->c->st.seg[X86_SS].limit = 0xff;
	g_assert_cmpint(
		FAULT(r->c, soft_linear(r->c, X86_SS, 0x100, 1, SOFT_READ)), ==,
		X86_SSF);
	rig_long(r, 0);
	g_assert_cmpint(FAULT(r->c, soft_linear(r->c, X86_SS, 1ull << 47, 1,
					    SOFT_READ)),
		==, X86_SSF);
	g_assert_cmpint(FAULT(r->c, soft_linear(r->c, X86_DS, (1ull << 47) - 1,
					    2, SOFT_READ)),
		==, X86_GP);
	rig_free(r);
}

static void test_call_gate32(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 3);
	/* two parameters, DPL 3 */
	put8(r, RIG_GDT + GATE, gate(K_CODE, 0x6000, 0xec) | 2ull << 32);
	put4(r, 0x9000, 0x1111);
	put4(r, 0x9004, 0x2222);
	g_assert_cmpint(
		FAULT(r->c, soft_far_call(r->c, GATE | 3, 0, 4, 0x5007)), ==,
		-1);
	g_assert_cmpint(r->c->cpl, ==, 0);
	g_assert_cmphex(s->rip, ==, 0x6000);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x8000 - 24);
	g_assert_cmphex(get4(r, 0x7fe8), ==, 0x5007);
	g_assert_cmphex(get4(r, 0x7fec), ==, U_CODE | 3);
	g_assert_cmphex(get4(r, 0x7ff0), ==, 0x1111);
	g_assert_cmphex(get4(r, 0x7ff4), ==, 0x2222);
	g_assert_cmphex(get4(r, 0x7ff8), ==, 0x9000);
	g_assert_cmphex(get4(r, 0x7ffc), ==, U_DATA | 3);
	/* data segments of ring 0 do not survive the way back */
	rig_flat(r, X86_DS, K_DATA, 0xc093);
	g_assert_cmpint(FAULT(r->c, soft_far_ret(r->c, 4, 8)), ==, -1);
	g_assert_cmpint(r->c->cpl, ==, 3);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x9008);
	g_assert_cmphex(s->rip, ==, 0x5007);
	g_assert_cmphex(s->seg[X86_DS].sel, ==, 0);
	/* JMP may not change privilege; a DPL 0 gate may not be used */
	g_assert_cmpint(
		FAULT(r->c, soft_far_jmp(r->c, GATE | 3, 0, 4, 0)), ==, X86_GP);
	g_assert_cmphex(r->c->fault.error, ==, K_CODE);
	put8(r, RIG_GDT + GATE, gate(K_CODE, 0x6000, 0x8c));
	g_assert_cmpint(FAULT(r->c, soft_far_call(r->c, GATE | 3, 0, 4, 0)), ==,
		X86_GP);
	g_assert_cmphex(r->c->fault.error, ==, GATE);
	put8(r, RIG_GDT + GATE, gate(K_CODE, 0x6000, 0x6c));
	g_assert_cmpint(FAULT(r->c, soft_far_call(r->c, GATE | 3, 0, 4, 0)), ==,
		X86_NP);
	rig_free(r);
}

static void test_call_gate64(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_long(r, 3);
	put8(r, RIG_GDT + GATE, gate(K_CODE, 0x6000, 0xec));
	put8(r, RIG_GDT + GATE + 8, 0);
	g_assert_cmpint(
		FAULT(r->c, soft_far_call(r->c, GATE | 3, 0, 8, 0x5007)), ==,
		-1);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x8000 - 32);
	g_assert_cmphex(s->seg[X86_SS].sel, ==, 0);
	g_assert_cmphex(get8(r, 0x7fe0), ==, 0x5007);
	g_assert_cmphex(get8(r, 0x7ff8), ==, U_DATA | 3);
	g_assert_cmpint(FAULT(r->c, soft_far_ret(r->c, 8, 0)), ==, -1);
	g_assert_cmpint(r->c->cpl, ==, 3);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x9000);
	put8(r, RIG_GDT + GATE + 8, 1ull << 40);
	g_assert_cmpint(FAULT(r->c, soft_far_call(r->c, GATE | 3, 0, 8, 0)), ==,
		X86_GP);
	g_assert_cmphex(r->c->fault.error, ==, GATE);
	/* compatibility mode is entered by a 32-bit code segment */
	rig_long(r, 0);
	g_assert_cmpint(
		FAULT(r->c, soft_far_jmp(r->c, CODE32, 0x6000, 8, 0)), ==, -1);
	g_assert_false(r->c->code64);
	g_assert_cmpint(r->c->code_size, ==, 4);
	/* TSS descriptors are no targets in long mode */
	g_assert_cmpint(
		FAULT(r->c, soft_far_jmp(r->c, TSS_SEL, 0, 4, 0)), ==, X86_GP);
	rig_free(r);
}

static void make_tss2(struct rig *r)
{
	const uint32_t t = 0x4800;

	put8(r, RIG_GDT + TSS2_SEL, desc(t, 0x67, 0x89));
	memset(r->ram + t, 0, 104);
	put4(r, t + 32, 0x6600);
	put4(r, t + 36, 2);
	put4(r, t + 40, 0xaaaa);
	put4(r, t + 56, 0xa000);
	for (unsigned i = 0; i < 6; i++)
		put4(r, t + 72 + i * 4, i == 1 ? K_CODE : K_DATA);
}

static void test_task(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	make_tss2(r);
	s->gpr[X86_RAX] = 0x77;
	g_assert_cmpint(
		FAULT(r->c, soft_far_call(r->c, TSS2_SEL, 0, 4, 0x5007)), ==,
		-1);
	g_assert_cmphex(s->seg[X86_TR].sel, ==, TSS2_SEL);
	g_assert_cmphex(s->rip, ==, 0x6600);
	g_assert_cmphex(s->gpr[X86_RAX], ==, 0xaaaa);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0xa000);
	g_assert_cmphex(s->rflags, ==, X86_FL_NT | 2);
	g_assert_cmphex(s->cr0 & X86_CR0_TS, ==, X86_CR0_TS);
	g_assert_cmphex(get2(r, 0x4800), ==, TSS_SEL);
	g_assert_cmphex(get4(r, RIG_TSS + 32), ==, 0x5007);
	g_assert_cmphex(get4(r, RIG_TSS + 40), ==, 0x77);
	g_assert_cmphex(get8(r, RIG_GDT + TSS2_SEL) >> 40 & 15, ==, 11);
	g_assert_cmphex(get8(r, RIG_GDT + TSS_SEL) >> 40 & 15, ==, 11);
	/* a busy task cannot be called */
	g_assert_cmpint(
		FAULT(r->c, soft_far_call(r->c, TSS_SEL, 0, 4, 0)), ==, X86_GP);
	g_assert_cmphex(r->c->fault.error, ==, TSS_SEL);
	g_assert_cmpint(FAULT(r->c, soft_iret(r->c, 4, 0x6601)), ==, -1);
	g_assert_cmphex(s->seg[X86_TR].sel, ==, TSS_SEL);
	g_assert_cmphex(s->rip, ==, 0x5007);
	g_assert_cmphex(s->gpr[X86_RAX], ==, 0x77);
	g_assert_cmphex(get8(r, RIG_GDT + TSS2_SEL) >> 40 & 15, ==, 9);
	g_assert_cmphex(get4(r, 0x4800 + 36), ==, 2); /* NT cleared */
	/* a bad segment is the new task's fault */
	put4(r, 0x4800 + 80, U_DATA);
	g_assert_cmpint(
		FAULT(r->c, soft_far_jmp(r->c, TSS2_SEL, 0, 4, 0)), ==, X86_TS);
	g_assert_cmphex(r->c->fault.error, ==, U_DATA);
	g_assert_cmphex(s->seg[X86_TR].sel, ==, TSS2_SEL);
	g_assert_cmphex(get8(r, RIG_GDT + TSS_SEL) >> 40 & 15, ==, 9);
	/* too small a TSS is the old one's */
	rig_protected(r, 0);
	put8(r, RIG_GDT + TSS2_SEL, desc(0x4800, 0x66, 0x89));
	g_assert_cmpint(
		FAULT(r->c, soft_far_jmp(r->c, TSS2_SEL, 0, 4, 0)), ==, X86_TS);
	g_assert_cmphex(s->seg[X86_TR].sel, ==, TSS_SEL);
	rig_free(r);
}

/* An exception through a task gate pushes its error code in the new task; the
 * T bit gives #DB before its first instruction. */
static void test_task_gate(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_protected(r, 0);
	make_tss2(r);
	put8(r, RIG_IDT + X86_GP * 8, gate(TSS2_SEL, 0, 0x85));
	put8(r, RIG_IDT + X86_DB * 8, gate(K_CODE, 0x6000, 0x8e));
	memset(&r->c->fault, 0, sizeof(r->c->fault));
	r->c->fault.vector = X86_GP;
	r->c->fault.has_error = true;
	r->c->fault.error = 0x88;
	soft_deliver_fault(r->c);
	g_assert_cmphex(s->rip, ==, 0x6600);
	g_assert_cmphex(s->gpr[X86_RSP], ==, 0x9ffc);
	g_assert_cmphex(get4(r, 0x9ffc), ==, 0x88);
	g_assert_cmphex(get4(r, RIG_TSS + 36) & X86_FL_RF, ==, X86_FL_RF);
	g_assert_cmpint(FAULT(r->c, soft_iret(r->c, 4, 0x6600)), ==, -1);
	put4(r, 0x4800 + 100, 1);
	r->c->fault.vector = X86_GP;
	soft_deliver_fault(r->c);
	g_assert_cmphex(s->rip, ==, 0x6000);
	g_assert_cmphex(s->dr6 & 0x8000, ==, 0x8000);
	rig_free(r);
}

static void check_cr(struct rig *r, unsigned n, uint64_t val, int vector)
{
	g_assert_cmpint(FAULT(r->c, soft_write_cr(r->c, n, val)), ==, vector);
}

static void test_control(void)
{
	struct rig *r = rig_new();
	struct soft_cpu *c = r->c;

	rig_long(r, 0);
	check_cr(r, 0, X86_CR0_PG, X86_GP);
	check_cr(r, 0, X86_CR0_PE | X86_CR0_NW | X86_CR0_PG, X86_GP);
	check_cr(r, 0, c->st.cr0 | 1ull << 32, X86_GP);
	check_cr(r, 0, X86_CR0_PE, X86_GP); /* paging off in 64-bit code */
	check_cr(r, 4, 0, X86_GP);	    /* PAE off in long mode */
	check_cr(r, 4, c->st.cr4 | X86_CR4_VMXE, X86_GP);
	check_cr(r, 3, 1ull << 45, X86_GP);
	check_cr(r, 3, 1ull << 63, X86_GP); /* without PCIDE */
	check_cr(r, 3, RIG_PT | 8, -1);
	check_cr(r, 4, c->st.cr4 | X86_CR4_PCIDE, X86_GP); /* CR3[11:0] */
	check_cr(r, 3, RIG_PT, -1);
	check_cr(r, 4, c->st.cr4 | X86_CR4_PCIDE, -1);
	check_cr(r, 3, RIG_PT | 1ull << 63 | 5, -1);
	g_assert_cmphex(c->st.cr3, ==, RIG_PT | 5);
	check_cr(r, 8, 16, X86_GP);
	check_cr(r, 1, 0, X86_UD);
	g_assert_cmpint(FAULT(c, soft_wrmsr(c, X86_MSR_EFER, 0)), ==, X86_GP);
	g_assert_cmpint(
		FAULT(c, soft_wrmsr(c, X86_MSR_EFER, 1 << 9)), ==, X86_GP);
	g_assert_cmpint(
		FAULT(c, soft_wrmsr(c, X86_MSR_LSTAR, 1ull << 47)), ==, X86_GP);
	g_assert_cmpint(FAULT(c, soft_wrmsr(c, X86_MSR_GS_BASE, 1ull << 63)),
		==, X86_GP);
	g_assert_cmpint(FAULT(c, soft_wrmsr(c, X86_MSR_PAT, 2)), ==, X86_GP);
	g_assert_cmpint(
		FAULT(c, soft_wrmsr(c, X86_MSR_MTRR_PHYSBASE0, 1ull << 41)), ==,
		X86_GP);
	g_assert_cmpint(FAULT(c, soft_rdmsr(c, 0x12345)), ==, X86_GP);
	c->st.cr4 |= X86_CR4_OSXSAVE;
	g_assert_cmpint(FAULT(c, soft_xsetbv(c, 0, 4)), ==, X86_GP);
	g_assert_cmpint(FAULT(c, soft_xsetbv(c, 0, 5)), ==, X86_GP);
	g_assert_cmpint(FAULT(c, soft_xsetbv(c, 0, 7)), ==, -1);
	rig_long(r, 3);
	check_cr(r, 3, RIG_PT, X86_GP);
	rig_free(r);
}

/* Leaving protected mode and entering long mode, step by step. */
static void test_modes(void)
{
	struct rig *r = rig_new();
	struct soft_cpu *c = r->c;

	rig_long(r, 0); /* makes the tables */
	soft_far_jmp(c, CODE32, 0x6000, 8, 0);
	soft_write_cr(c, 0, X86_CR0_PE);
	g_assert_false(c->long_mode);
	g_assert_cmphex(c->st.efer & X86_EFER_LMA, ==, 0);
	soft_write_cr(c, 4, 0);
	check_cr(r, 0, X86_CR0_PE | X86_CR0_PG, X86_GP); /* LME without PAE */
	soft_write_cr(c, 4, X86_CR4_PAE);
	soft_write_cr(c, 0, X86_CR0_PE | X86_CR0_PG);
	g_assert_true(c->long_mode);
	g_assert_false(c->code64);
	soft_far_jmp(c, K_CODE, 0x6000, 4, 0);
	g_assert_true(c->code64);
	rig_free(r);
}

static void test_sysret(void)
{
	struct rig *r = rig_new();
	struct x86_state *s = &r->c->st;

	rig_long(r, 3);
	s->star = 0x0013000800000000ull;
	s->lstar = 0xffff800000001000ull;
	s->sfmask = X86_FL_IF;
	s->rflags = 0x10202;
	g_assert_cmpint(FAULT(r->c, soft_syscall(r->c, 0x5002)), ==, -1);
	g_assert_cmphex(s->rip, ==, 0xffff800000001000ull);
	g_assert_cmphex(s->gpr[X86_R11], ==, 0x202);
	g_assert_cmphex(s->rflags, ==, 2);
	g_assert_cmphex(s->seg[X86_CS].sel, ==, 8);
	g_assert_cmphex(s->seg[X86_SS].sel, ==, 0x10);
	s->gpr[X86_RCX] = 1ull << 47;
	g_assert_cmpint(FAULT(r->c, soft_sysret(r->c, 8)), ==, X86_GP);
	g_assert_cmpint(r->c->cpl, ==, 0);
	s->gpr[X86_RCX] = 0x5002;
	g_assert_cmpint(FAULT(r->c, soft_sysret(r->c, 8)), ==, -1);
	g_assert_cmpint(r->c->cpl, ==, 3);
	g_assert_cmphex(s->seg[X86_CS].sel, ==, 0x23);
	g_assert_cmphex(s->seg[X86_SS].sel, ==, 0x1b);
	g_assert_cmphex(s->rflags, ==, 0x202);
	g_assert_cmpint(FAULT(r->c, soft_sysenter(r->c)), ==, X86_GP);
	rig_free(r);
}

static void test_io(void)
{
	struct rig *r = rig_new();
	struct soft_cpu *c = r->c;

	rig_protected(r, 3);
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x80, 1)), ==, X86_GP);
	c->st.seg[X86_TR].limit = 0x68 + 0x12;
	memset(r->ram + RIG_TSS + 0x68, 0, 0x14);
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x80, 4)), ==, -1);
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x87, 2)), ==, -1);
	/* the second byte must lie within the limit */
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x90, 1)), ==, X86_GP);
	r->ram[RIG_TSS + 0x68 + 0x11] = 1;
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x87, 2)), ==, X86_GP);
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x87, 1)), ==, -1);
	c->st.rflags |= X86_FL_IOPL;
	g_assert_cmpint(FAULT(c, soft_io_check(c, 0x90, 1)), ==, -1);
	rig_free(r);
}

static void test_xsave(void)
{
	struct rig *r = rig_new();
	struct soft_cpu *c = r->c;
	const uint32_t a = 0x300000;

	rig_long(r, 0);
	c->st.xcr0 = 7;
	memset(c->st.fpu.zmm, 0, sizeof(c->st.fpu.zmm));
	memset(c->st.fpu.zmm[3], 0x5a, 32);
	memset(c->st.fpu.fx, 0, 24); /* as FNINIT leaves it */
	c->st.fpu.fx[0] = 0x7f;
	c->st.fpu.fx[1] = 0x03;
	memset(r->ram + a, 0xff, 1024);
	memset(r->ram + a + 512, 0, 64);
	g_assert_cmphex(soft_xinuse(c), ==, 6);
	soft_xsave(c, a, 7, SOFT_XSAVE, true);
	g_assert_cmphex(get8(r, a + 512), ==, 6);
	g_assert_cmphex(r->ram[a + 160 + 3 * 16], ==, 0x5a);
	g_assert_cmphex(r->ram[a + 576 + 3 * 16], ==, 0x5a);
	memset(c->st.fpu.zmm, 0x11, sizeof(c->st.fpu.zmm));
	soft_xrstor(c, a, 4, false, true); /* only the upper halves */
	g_assert_cmphex(c->st.fpu.zmm[3][0], ==, 0x11);
	g_assert_cmphex(c->st.fpu.zmm[3][16], ==, 0x5a);
	g_assert_cmphex(c->st.fpu.zmm[3][32], ==, 0x11);
	put8(r, a + 512, 1ull << 62);
	g_assert_cmpint(
		FAULT(c, soft_xrstor(c, a, 7, false, true)), ==, X86_GP);
	put8(r, a + 512, 0);
	put4(r, a + 24, 0x10000);
	g_assert_cmpint(
		FAULT(c, soft_xrstor(c, a, 2, false, true)), ==, X86_GP);
	g_assert_cmpint(
		FAULT(c, soft_xrstor(c, a + 8, 2, false, true)), ==, X86_GP);
	put4(r, a + 24, 0x1f80);
	soft_xrstor(c, a, 7, false, true); /* all initial */
	g_assert_cmphex(soft_xinuse(c), ==, 0);
	soft_xsave(c, a, 7, SOFT_XSAVEC, true);
	g_assert_cmphex(get8(r, a + 512), ==, 0);
	g_assert_cmphex(get8(r, a + 520), ==, 1ull << 63 | 7);
	rig_free(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/soft/far/segments", test_segments);
	g_test_add_func("/soft/far/limits", test_limits);
	g_test_add_func("/soft/far/call-gate32", test_call_gate32);
	g_test_add_func("/soft/far/call-gate64", test_call_gate64);
	g_test_add_func("/soft/far/task", test_task);
	g_test_add_func("/soft/far/task-gate", test_task_gate);
	g_test_add_func("/soft/far/control", test_control);
	g_test_add_func("/soft/far/modes", test_modes);
	g_test_add_func("/soft/far/sysret", test_sysret);
	g_test_add_func("/soft/far/io", test_io);
	g_test_add_func("/soft/far/xsave", test_xsave);
	return g_test_run();
}
