/*
 * x86-state.c - state after RESET, INIT and SIPI (SDM vol. 3, table 10-1).
 */
#include <glib.h>
#include <string.h>

#include "x86/state.h"

static struct x86_state s, t;

static void expect_seg(unsigned i, uint16_t sel, uint64_t base, uint16_t attr)
{
	g_assert_cmphex(s.seg[i].sel, ==, sel);
	g_assert_cmphex(s.seg[i].base, ==, base);
	g_assert_cmphex(s.seg[i].limit, ==, 0xffff);
	g_assert_cmphex(s.seg[i].attr, ==, attr);
}

/* The rows of the table that RESET and INIT have in common. */
static void expect_common(void)
{
	g_assert_cmphex(s.rflags, ==, 2);
	g_assert_cmphex(s.rip, ==, 0xfff0);
	g_assert_cmphex(s.cr2 | s.cr3 | s.cr4 | s.cr8, ==, 0);
	expect_seg(X86_CS, 0xf000, 0xffff0000, 0x9b);
	expect_seg(X86_SS, 0, 0, 0x93);
	expect_seg(X86_DS, 0, 0, 0x93);
	expect_seg(X86_ES, 0, 0, 0x93);
	expect_seg(X86_FS, 0, 0, 0x93);
	expect_seg(X86_GS, 0, 0, 0x93);
	expect_seg(X86_LDTR, 0, 0, 0x82);
	expect_seg(X86_TR, 0, 0, 0x8b);
	g_assert_cmphex(s.gpr[X86_RDX] & 0xf00, ==, 0x600);
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (i != X86_RDX)
			g_assert_cmphex(s.gpr[i], ==, 0);
	g_assert_cmphex(s.gdtr.base | s.idtr.base, ==, 0);
	g_assert_cmphex(s.gdtr.limit & s.idtr.limit, ==, 0xffff);
	for (unsigned i = 0; i < 4; i++)
		g_assert_cmphex(s.dr[i], ==, 0);
	g_assert_cmphex(s.dr6, ==, 0xffff0ff0);
	g_assert_cmphex(s.dr7, ==, 0x400);
	g_assert_cmphex(s.efer, ==, 0);
	g_assert_false(s.sti_shadow || s.movss_shadow || s.nmi_blocked);
}

static void test_reset(void)
{
	uint16_t fcw;
	uint32_t mxcsr;

	memset(&s, 0xa5, sizeof(s));
	x86_state_reset(&s, false, true);
	expect_common();
	g_assert_cmphex(s.cr0, ==, 0x60000010);
	g_assert_cmphex(s.xcr0, ==, 1);
	g_assert_cmphex(s.pat, ==, 0x0007040600070406);
	g_assert_cmphex(s.apic_base, ==, 0xfee00900);
	g_assert_cmphex(s.mtrr_def_type, ==, 0);
	g_assert_cmphex(s.sysenter_cs | s.sysenter_esp | s.sysenter_eip, ==, 0);
	memcpy(&fcw, s.fpu.fx, 2);
	memcpy(&mxcsr, s.fpu.fx + 24, 4);
	g_assert_cmphex(fcw, ==, 0x40);
	g_assert_cmphex(s.fpu.fx[4], ==, 0xff); /* tag word 5555H */
	g_assert_cmphex(mxcsr, ==, 0x1f80);
	g_assert_cmpint(s.activity, ==, X86_ACT_RUN);
	x86_state_reset(&s, false, false);
	g_assert_cmphex(s.apic_base, ==, 0xfee00800);
	g_assert_cmpint(s.activity, ==, X86_ACT_WAIT_SIPI);
}

/* INIT keeps CD and NW, the FPU, MTRRs and most MSRs. */
static void test_init(void)
{
	memset(&s, 0xa5, sizeof(s));
	s.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_NW;
	t = s;
	x86_state_reset(&s, true, true);
	expect_common();
	g_assert_cmphex(s.cr0, ==, X86_CR0_NW | X86_CR0_ET);
	g_assert_cmpmem(&s.fpu, sizeof(s.fpu), &t.fpu, sizeof(t.fpu));
	g_assert_cmphex(s.pat, ==, t.pat);
	g_assert_cmphex(s.mtrr_def_type, ==, t.mtrr_def_type);
	g_assert_cmphex(s.sysenter_eip, ==, t.sysenter_eip);
	g_assert_cmphex(s.kernel_gs_base, ==, t.kernel_gs_base);
	g_assert_cmphex(s.xcr0, ==, t.xcr0);
	g_assert_cmphex(s.smbase, ==, t.smbase);
	g_assert_cmphex(s.tsc_offset, ==, t.tsc_offset);
}

static void test_sipi(void)
{
	x86_state_reset(&s, false, false);
	x86_state_sipi(&s, 0x9f);
	expect_seg(X86_CS, 0x9f00, 0x9f000, 0x9b);
	g_assert_cmphex(s.rip, ==, 0);
	g_assert_cmpint(s.activity, ==, X86_ACT_RUN);
}

static void test_diff(void)
{
	char buf[4096], small[8];

	x86_state_reset(&s, false, true);
	t = s;
	g_assert_cmpuint(x86_state_diff(&s, &t, buf, sizeof(buf)), ==, 0);
	g_assert_cmpstr(buf, ==, "");
	t.gpr[X86_RBX] = 0x1234;
	t.seg[X86_SS].limit = 5;
	t.fpu.zmm[3][0] = 1;
	t.rflags |= X86_FL_ZF;
	g_assert_cmpuint(x86_state_diff(&s, &t, buf, sizeof(buf)), ==, 4);
	g_assert_nonnull(strstr(buf, "rbx 0 / 1234"));
	g_assert_nonnull(strstr(buf, "zmm3[0]"));
	g_assert_cmpuint(x86_state_diff(&s, &t, small, sizeof(small)), ==, 4);
	g_assert_cmpuint(strlen(small), <, sizeof(small));
	x86_state_print(&s, buf, sizeof(buf));
	g_assert_nonnull(strstr(buf, "rip 000000000000fff0"));
	x86_state_print(&s, small, sizeof(small));
	g_assert_cmpuint(strlen(small), <, sizeof(small));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/x86/state/reset", test_reset);
	g_test_add_func("/x86/state/init", test_init);
	g_test_add_func("/x86/state/sipi", test_sipi);
	g_test_add_func("/x86/state/diff", test_diff);
	return g_test_run();
}
