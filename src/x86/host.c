/*
 * host.c - what the processor that we run on says.
 *
 * CPUID costs a world switch under an outer hypervisor, so that features are
 * read once, into one table.
 */
#include "x86/host.h"

#include <cpuid.h>
#include <pthread.h>
#include <time.h>
#include <x86intrin.h>

#define XCR0_AVX    0x06 /* SSE, AVX */
#define XCR0_AVX512 0xe6 /* and opmask, ZMM */

static bool host_features[X86_NFEATURES];
static uint64_t host_hz;

struct x86_cpuid_regs x86_host_cpuid(uint32_t leaf, uint32_t sub)
{
	struct x86_cpuid_regs r = {0};

	if (__get_cpuid_max(leaf & 0x80000000u, NULL) >= leaf)
		__cpuid_count(leaf, sub, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

/* What the host's kernel has enabled of extended state. */
static uint64_t host_xcr0(void)
{
	struct x86_cpuid_regs r = x86_host_cpuid(1, 0);
	uint32_t lo, hi;

	if (!(r.ecx >> 27 & 1))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static void host_read_features(void)
{
	enum { EAX, EBX, ECX, EDX };
	static const struct {
		uint32_t leaf, sub;
		uint8_t reg, bit;
	} rows[X86_NFEATURES] = {
#define X86_FEATURE(name, text, leaf, sub, reg, bit)                           \
	[X86_FEAT_##name] = {leaf, sub, reg, bit},
#include "x86/features.def"
#undef X86_FEATURE
	};
	struct x86_cpuid_regs r = {0};
	uint64_t xcr0 = host_xcr0();

	for (unsigned f = 1; f < X86_NFEATURES; f++) {
		/* the rows are sorted by leaf */
		if (f == 1 || rows[f].leaf != rows[f - 1].leaf ||
			rows[f].sub != rows[f - 1].sub)
			r = x86_host_cpuid(rows[f].leaf, rows[f].sub);
		uint32_t v[] = {r.eax, r.ebx, r.ecx, r.edx};

		host_features[f] = v[rows[f].reg] >> rows[f].bit & 1;
	}
	if ((xcr0 & XCR0_AVX) != XCR0_AVX)
		host_features[X86_FEAT_AVX] = false;
	if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
		host_features[X86_FEAT_AVX512F] = false;
}

bool x86_host_has(enum x86_feature f)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, host_read_features);
	return host_features[f];
}

static uint64_t host_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Told by CPUID, by the outer hypervisor, or measured for 4 ms. */
static void host_find_hz(void)
{
	struct x86_cpuid_regs r = x86_host_cpuid(0x15, 0);
	uint64_t t0, t1, c0, c1;

	if (r.eax && r.ebx && r.ecx) {
		host_hz = (uint64_t)r.ecx * r.ebx / r.eax;
		return;
	}
	__cpuid(0x40000000, r.eax, r.ebx, r.ecx, r.edx);
	if (x86_host_has(X86_FEAT_HYPERVISOR) && r.eax >= 0x40000010 &&
		r.eax < 0x40000100) {
		__cpuid(0x40000010, r.eax, r.ebx, r.ecx, r.edx);
		host_hz = r.eax * 1000ull;
		if (host_hz)
			return;
	}
	t0 = host_now_ns();
	c0 = __rdtsc();
	do
		t1 = host_now_ns();
	while (t1 - t0 < 4000000);
	c1 = __rdtsc();
	host_hz = (uint64_t)((double)(c1 - c0) * 1e9 / (double)(t1 - t0));
}

uint64_t x86_host_tsc_hz(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, host_find_hz);
	return host_hz;
}
