/*
 * paravirt.c - KVM's interface to its guests as a guest uses it: CPUID, clock,
 * hypercalls from both rings, kick, IPIs, end of interrupt in memory
 * (Linux Documentation/virt/kvm/x86).
 */
#include "lib.h"

#define SYSTEM_TIME 0x4b564d01
#define PV_EOI	    0x4b564d04
#define POLL	    0x4b564d05
#define X2_BASE	    0x800
#define VECTOR	    0x90

static struct __attribute__((packed, aligned(64))) {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} clock_page;
static uint32_t eoi_word;
static uint32_t features;
static volatile word call_result;
static volatile unsigned taken, skipped_eoi;

#define CALL(insn)                                                             \
	static word insn(word nr, word a, word b, word c, word d)              \
	{                                                                      \
		word r = nr;                                                   \
                                                                               \
		__asm__ volatile(#insn                                         \
				 : "+a"(r)                                     \
				 : "b"(a), "c"(b), "d"(c), "S"(d)              \
				 : "memory");                                  \
		return r;                                                      \
	}

CALL(vmcall)
CALL(vmmcall)

static void call_vm(void)
{
	call_result = vmcall(1, 0, 0, 0, 0);
}

static void call_vmm(void)
{
	call_result = vmmcall(1, 0, 0, 0, 0);
}

static void test_cpuid(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	ok(r[2] >> 31, "CPUID says that there is a hypervisor");
	cpuid(0x40000000, 0, r);
	ok(r[1] == 0x4b4d564b && r[2] == 0x564b4d56 && r[3] == 0x4d, "KVM's");
	ok(r[0] >= 0x40000010, "with the leaf of frequencies");
	cpuid(0x40000001, 0, r);
	features = r[0];
	ok(features & 8 && features >> 24 & 1, "its clock is stable");
	cpuid(0x40000010, 0, r);
	ok(r[0] > 1000 && r[1] > 1000, "TSC and APIC frequencies");
}

/* ---- clock ---- */

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* 64 x 32 bits, shifted by 32: no library here for 128-bit products. */
static uint64_t scale(uint64_t d)
{
	return ((d >> 32) * clock_page.mul) +
	       ((d & 0xffffffff) * clock_page.mul >> 32);
}

static uint64_t now_ns(void)
{
	uint64_t d = rdtsc() - clock_page.tsc;

	d = clock_page.shift < 0 ? d >> -clock_page.shift
				 : d << clock_page.shift;
	return clock_page.ns + scale(d);
}

static void bad_address(void)
{
	wrmsr(SYSTEM_TIME, 0xfff00000001ull);
}

static void crooked_address(void)
{
	wrmsr(SYSTEM_TIME, (word)&clock_page | 3);
}

static void not_offered(void)
{
	wrmsr(0x4b564d07, 1);
}

static void test_clock(void)
{
	uint64_t a, b, t;
	bool back = false;

	wrmsr(SYSTEM_TIME, (word)&clock_page | 1);
	ok(rdmsr(SYSTEM_TIME) == ((word)&clock_page | 1), "address reads back");
	ok(clock_page.version && !(clock_page.version & 1), "published");
	ok(clock_page.flags & 1, "marked as stable");
	ok(clock_page.mul >> 31, "the multiplier is exact");
	a = now_ns();
	for (t = rdtsc() + 20000000; rdtsc() < t;) {
		b = now_ns();
		back |= b < a;
		a = b;
	}
	ok(!back, "it never goes back");
	ok_eq(guarded(bad_address), 13, "#GP where there is no memory");
	ok_eq(guarded(crooked_address), 13, "#GP for a crooked address");
	ok_eq(guarded(not_offered), 13, "#GP for what is not offered");
	wrmsr(POLL, 0);
	ok(rdmsr(POLL) == 0, "poll control reads back");
	wrmsr(SYSTEM_TIME, 0);
	ok(rdmsr(SYSTEM_TIME) == 0, "the clock is off again");
}

/* ---- hypercalls ---- */

static void test_calls(void)
{
	ok_eq(vmcall(1, 0, 0, 0, 0), 0, "VMCALL");
	ok_eq(vmmcall(1, 0, 0, 0, 0), 0, "VMMCALL");
	ok_eq(vmcall(4711, 0, 0, 0, 0), (word)-1000, "unknown: ENOSYS");
	ok_eq(guarded_user(call_vm), -1, "VMCALL in ring 3 does not fault");
	ok_eq(call_result, (word)-1, "but is refused");
	ok_eq(guarded_user(call_vmm), -1, "VMMCALL in ring 3 does not fault");
	ok_eq(call_result, (word)-1, "but is refused, too");
}

static void test_kick(void)
{
	uint32_t r[4];

	if (!(features & 1 << 7)) {
		skip("kick", "not offered");
		return;
	}
	cpuid(1, 0, r);
	ok_eq(vmcall(5, 0, r[1] >> 24, 0, 0), 0, "kick");
	__asm__ volatile("cli; hlt");
	ok(true, "it ends the next HLT, interrupts off");
}

/* ---- interrupts ---- */

static void on_ipi(struct frame *f)
{
	(void)f;
	taken++;
	if (eoi_word & 1) {
		eoi_word = 0;
		skipped_eoi++;
	} else {
		wrmsr(X2_BASE + 0xb, 0);
	}
}

static word send(unsigned vector)
{
	uint32_t r[4];

	cpuid(0xb, 0, r);
	return vmcall(10, 1, 0, r[3], vector);
}

/* Branches, for lockstep lets interrupts in between blocks only. */
static void take(void)
{
	__asm__ volatile("sti\n nop\n jmp 1f\n1: nop\n jmp 2f\n2: cli"
			 :
			 :
			 : "memory");
}

static void test_ipis(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(features & 1 << 11) || !(r[2] >> 21 & 1)) {
		skip("IPIs", "not offered");
		return;
	}
	wrmsr(0x1b, rdmsr(0x1b) | 1 << 10 | 1 << 11); /* x2APIC */
	wrmsr(X2_BASE + 0xf, 0x1ff);
	on_vector(VECTOR, on_ipi);
	on_vector(VECTOR + 1, on_ipi);
	ok_eq(send(VECTOR), 1, "an IPI to one processor");
	take();
	ok_eq(taken, 1, "arrives");
	wrmsr(PV_EOI, (word)&eoi_word | 1);
	for (unsigned i = 0; i < 100; i++) {
		send(VECTOR + (i & 1));
		take();
	}
	ok_eq(taken, 101, "a hundred more, ended in memory");
	ok_eq(skipped_eoi, 100, "all of them");
	/* two at once: the first must end in the register */
	send(VECTOR);
	send(VECTOR + 1);
	take();
	ok_eq(taken, 103, "two at once");
	ok_eq(skipped_eoi, 101, "of which the last ends in memory");
	ok_eq(rdmsr(X2_BASE + 0x14), 0, "and none is in service");
	wrmsr(PV_EOI, 0);
}

void test_main(void)
{
	test_cpuid();
	test_clock();
	test_calls();
	test_kick();
	test_ipis();
}
