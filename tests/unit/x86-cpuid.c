/*
 * x86-cpuid.c - CPU models and their CPUID answers.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "x86/cpuid.h"

static const struct x86_topology one = {1, 1, 1};
static struct x86_cpu_model m;
static struct x86_state st;

static struct x86_cpuid_regs ask_as(uint32_t id, uint32_t leaf, uint32_t sub)
{
	struct x86_cpuid_regs r;

	x86_cpu_model_cpuid(&m, id, &st, leaf, sub, &r);
	return r;
}

static struct x86_cpuid_regs ask(uint32_t leaf, uint32_t sub)
{
	return ask_as(0, leaf, sub);
}

static void build(const char *name, const struct x86_topology *t)
{
	const char *missing;

	g_assert_cmpint(x86_cpu_model_init(&m, name, NULL, t, &missing), ==, 0);
	memset(&st, 0, sizeof(st));
	x86_state_reset(&st, false, true);
}

static void test_host(void)
{
	struct x86_cpuid_regs r;

	build("auto", &one);
	g_assert_true(m.feature[X86_FEAT_LM]);
	g_assert_true(m.feature[X86_FEAT_X2APIC]);
	g_assert_true(m.feature[X86_FEAT_HYPERVISOR]);
	g_assert_false(m.feature[X86_FEAT_VMX]);
	g_assert_false(m.feature[X86_FEAT_PCID]);
	g_assert_false(m.feature[X86_FEAT_PKU]);
	g_assert_false(m.feature[X86_FEAT_RTM]);
	g_assert_cmpuint(m.tsc_hz, >, 100000000);
	g_assert_cmphex(ask(0, 0).eax, ==, 0x16);
	r = ask(0x15, 0);
	/* guests multiply in 32 bits, in kHz; twenty parts in a million */
	g_assert_cmpuint(r.ecx / 1000 * (uint64_t)r.ebx, <=, UINT32_MAX);
	g_assert_cmpuint(
		ABS((gint64)((uint64_t)r.ecx * r.ebx / r.eax - m.tsc_hz)), <,
		m.tsc_hz / 50000);
	g_assert_cmpuint(ask(0x80000008, 0).eax, ==, m.phys_bits | 48 << 8);
}

static void test_hypervisor(void)
{
	struct x86_cpuid_regs r;
	char sign[13] = {0};

	build("auto", &one);
	r = ask(0x40000000, 0);
	memcpy(sign, &r.ebx, 4);
	memcpy(sign + 4, &r.ecx, 4);
	memcpy(sign + 8, &r.edx, 4);
	g_assert_cmpstr(sign, ==, "KVMKVMKVM");
	g_assert_cmphex(r.eax, ==, 0x40000010);
	r = ask(0x40000010, 0);
	g_assert_cmpuint(r.eax, ==, m.tsc_hz / 1000);
	g_assert_cmpuint(r.ebx, ==, m.apic_hz / 1000);
}

/* What follows the processor's state. */
static void test_dynamic(void)
{
	bool amd;

	build("auto", &one);
	amd = ask(0, 0).ebx == 0x68747541;
	g_assert_false(ask(1, 0).ecx & 1u << 27);
	st.cr4 = X86_CR4_OSXSAVE;
	g_assert_true(ask(1, 0).ecx & 1u << 27);
	g_assert_true(ask(1, 0).edx & 1u << 9);
	st.apic_base &= ~(1ull << 11);
	g_assert_false(ask(1, 0).edx & 1u << 9);
	g_assert_cmpuint(ask_as(5, 1, 0).ebx >> 24, ==, 5);
	g_assert_cmpuint(ask_as(300, 0xb, 0).edx, ==, 300);
	if (!amd)
		g_assert_false(ask(0x80000001, 0).edx & 1u << 11);
	st.efer = X86_EFER_LMA;
	st.seg[X86_CS].attr |= X86_SEG_L;
	g_assert_true(ask(0x80000001, 0).edx & 1u << 11);
	g_assert_true(ask(0x80000001, 0).edx & 1u << 20);
	st.misc_enable |= 1ull << 34;
	g_assert_false(ask(0x80000001, 0).edx & 1u << 20);
	st.misc_enable |= 1ull << 22;
	g_assert_cmphex(ask(0, 0).eax, ==, 2);
}

/* Leaves above the last: Intel repeats the highest basic one. */
static void test_beyond(void)
{
	struct x86_cpuid_regs a, b;

	build("auto", &one);
	a = ask(0x12345, 0);
	b = ask(0x16, 0);
	if (ask(0, 0).ebx == 0x756e6547)
		g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
	else
		g_assert_cmphex(a.eax | a.ebx | a.ecx | a.edx, ==, 0);
	b = ask(0x90000000, 3);
	g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
}

static void test_xsave(void)
{
	struct x86_cpuid_regs r;

	build("auto", &one);
	if (!m.feature[X86_FEAT_XSAVE]) {
		g_test_skip("no XSAVE on this host");
		return;
	}
	r = ask(0xd, 0);
	g_assert_cmphex(r.eax, ==, (uint32_t)m.xcr0_mask);
	g_assert_cmpuint(r.ebx, ==, 576);
	g_assert_cmpuint(r.ecx, >=, r.ebx);
	if (m.xcr0_mask & 4) {
		st.xcr0 = 7;
		g_assert_cmpuint(ask(0xd, 2).eax, ==, 256);
		g_assert_cmpuint(
			ask(0xd, 0).ebx, ==, ask(0xd, 2).ebx + ask(0xd, 2).eax);
	}
	g_assert_cmphex(ask(0xd, 40).eax, ==, 0);
}

static void test_topology(void)
{
	const struct x86_topology t = {2, 3, 2};

	g_assert_cmpuint(x86_topology_apic_id(&t, 0), ==, 0);
	g_assert_cmpuint(x86_topology_apic_id(&t, 1), ==, 1);
	g_assert_cmpuint(x86_topology_apic_id(&t, 2), ==, 2);
	g_assert_cmpuint(x86_topology_apic_id(&t, 5), ==, 5);
	g_assert_cmpuint(x86_topology_apic_id(&t, 6), ==, 8);
	g_assert_cmpuint(x86_topology_apic_id(&t, 11), ==, 13);
	build("auto", &t);
	g_assert_true(ask(1, 0).edx & 1u << 28);
	g_assert_cmpuint(ask(1, 0).ebx >> 16 & 0xff, ==, 8);
	g_assert_cmpuint(ask(0xb, 0).eax, ==, 1);
	g_assert_cmpuint(ask(0xb, 0).ebx, ==, 2);
	g_assert_cmphex(ask(0xb, 0).ecx, ==, 0x100);
	g_assert_cmpuint(ask(0xb, 1).eax, ==, 3);
	g_assert_cmpuint(ask(0xb, 1).ebx, ==, 6);
	g_assert_cmphex(ask(0xb, 1).ecx, ==, 0x201);
	g_assert_cmphex(ask(0xb, 7).ecx, ==, 7);
	build("auto", &one);
	g_assert_false(ask(1, 0).edx & 1u << 28);
}

static void test_named(void)
{
	static bool can[X86_NFEATURES];
	const char *const *names = x86_cpu_model_names(), *missing;

	for (unsigned i = 0; names[i]; i++) {
		int e = x86_cpu_model_init(&m, names[i], NULL, &one, &missing);

		if (e == -EOPNOTSUPP)
			g_assert_nonnull(missing);
		else
			g_assert_cmpint(e, ==, 0);
	}
	g_assert_cmpint(x86_cpu_model_init(&m, "z80", NULL, &one, &missing), ==,
		-ENOENT);
	g_assert_cmpint(
		x86_cpu_model_init(&m, "x86-64-v1", can, &one, &missing), ==,
		-EOPNOTSUPP);
	g_assert_nonnull(missing);
	build("x86-64-v2", &one);
	g_assert_true(m.feature[X86_FEAT_SSE4_2]);
	g_assert_false(m.feature[X86_FEAT_AVX]);
	g_assert_cmphex(m.xcr0_mask, ==, 1);
	build("pentium3", &one);
	g_assert_true(m.feature[X86_FEAT_SSE]);
	g_assert_false(m.feature[X86_FEAT_SSE2]);
	g_assert_false(m.feature[X86_FEAT_LM]);
	g_assert_cmphex(ask(0, 0).eax, ==, 2);
	g_assert_cmphex(ask(1, 0).eax, ==, 0x68a);
	g_assert_cmphex(x86_cpu_model_signature(&m), ==, 0x68a);
}

/* Feature bits and the table of them agree. */
static void test_bits(void)
{
	static bool can[X86_NFEATURES];

	memset(can, 1, sizeof(can));
	can[X86_FEAT_AVX] = false;
	g_assert_cmpint(x86_cpu_model_init(&m, "host", can, &one, NULL), ==, 0);
	g_assert_false(m.feature[X86_FEAT_AVX2]);
	g_assert_false(m.feature[X86_FEAT_AVX512F]);
	g_assert_false(m.feature[X86_FEAT_AVX512_FP16]);
	g_assert_false(m.feature[X86_FEAT_FMA]);
	g_assert_false(m.feature[X86_FEAT_AMX_TILE]);
	g_assert_cmphex(m.xcr0_mask & ~0x200ull, ==, 3);
	memset(&st, 0, sizeof(st));
	g_assert_false(ask(7, 0).ebx & 1u << 5);
	g_assert_false(ask(1, 0).ecx & 1u << 28);
	g_assert_true(ask(1, 0).edx & 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/x86/cpuid/host", test_host);
	g_test_add_func("/x86/cpuid/hypervisor", test_hypervisor);
	g_test_add_func("/x86/cpuid/dynamic", test_dynamic);
	g_test_add_func("/x86/cpuid/beyond", test_beyond);
	g_test_add_func("/x86/cpuid/xsave", test_xsave);
	g_test_add_func("/x86/cpuid/topology", test_topology);
	g_test_add_func("/x86/cpuid/named", test_named);
	g_test_add_func("/x86/cpuid/bits", test_bits);
	return g_test_run();
}
