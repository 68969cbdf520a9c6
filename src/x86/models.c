/*
 * models.c - named CPU baselines.
 *
 * x86-64-v1..v4 are the levels of the x86-64 psABI (section 3.1.1) with the
 * system features that every 64-bit kernel expects.
 */
#include "x86/models.h"

#include <stddef.h>
#include <string.h>

#define FEATURES(...)                                                          \
	(const uint16_t[])                                                     \
	{                                                                      \
		__VA_ARGS__, 0                                                 \
	}
#define F(name) X86_FEAT_##name

static const struct x86_named i486 = {"486", NULL, 0x480, 1,
	FEATURES(F(FPU), F(VME), F(PSE), F(TSC), F(CX8))};

static const struct x86_named pentium = {"pentium", &i486, 0x543, 1,
	FEATURES(F(DE), F(MSR), F(MCE), F(APIC), F(MMX))};

static const struct x86_named pentium3 = {"pentium3", &pentium, 0x68a, 2,
	FEATURES(F(PAE), F(SEP), F(MTRR), F(PGE), F(MCA), F(CMOV), F(PAT),
		F(PSE36), F(FXSR), F(SSE))};

static const struct x86_named v1 = {"x86-64-v1", &pentium3, 0, 0,
	FEATURES(F(SSE2), F(CLFSH), F(SYSCALL), F(NX), F(LM), F(HYPERVISOR),
		F(X2APIC), F(TSC_DEADLINE), F(RDTSCP))};

static const struct x86_named generic64 = {
	"generic64", &v1, 0, 0, FEATURES(F(SSE3), F(CX16), F(LAHF64))};

static const struct x86_named v2 = {"x86-64-v2", &generic64, 0, 0,
	FEATURES(F(SSSE3), F(SSE4_1), F(SSE4_2), F(POPCNT))};

static const struct x86_named v3 = {"x86-64-v3", &v2, 0, 0,
	FEATURES(F(XSAVE), F(AVX), F(AVX2), F(BMI1), F(BMI2), F(F16C), F(FMA),
		F(LZCNT), F(MOVBE))};

static const struct x86_named v4 = {"x86-64-v4", &v3, 0, 0,
	FEATURES(F(AVX512F), F(AVX512BW), F(AVX512CD), F(AVX512DQ),
		F(AVX512VL))};

static const struct x86_named *const all[] = {
	&i486, &pentium, &pentium3, &v1, &generic64, &v2, &v3, &v4};

static const char *const names[] = {"auto", "host", "486", "pentium",
	"pentium3", "x86-64-v1", "generic64", "x86-64-v2", "x86-64-v3",
	"x86-64-v4", NULL};

const struct x86_named *x86_named_find(const char *name)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

const char *const *x86_cpu_model_names(void)
{
	return names;
}
