/*
 * probe.c - is there a usable KVM, what can it give, and how fast is it?
 *
 * A /dev/kvm may be a software emulation that runs a million instructions a
 * second.  So a counting loop is run in a tiny virtual machine and timed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "cpu/kvm/priv.h"

#define PROBE_LOOPS 4000u

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* mov cx, PROBE_LOOPS; 1: dec cx; jnz 1b; hlt */
static const uint8_t probe_code[] = {
	0xb9, PROBE_LOOPS & 0xff, PROBE_LOOPS >> 8, 0x49, 0x75, 0xfd, 0xf4};

struct probe_vm {
	int sys, vm, cpu;
	uint8_t *page;
	struct kvm_run *run;
	size_t run_bytes;
};

static bool probe_vm_open(struct probe_vm *p)
{
	struct kvm_userspace_memory_region m = {.memory_size = 4096};
	struct kvm_sregs s;
	struct kvm_regs r = {.rflags = 2};

	p->vm = ioctl(p->sys, KVM_CREATE_VM, 0);
	if (p->vm < 0)
		return false;
	ioctl(p->vm, KVM_SET_TSS_ADDR, 0xfeffd000u);
	p->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->page == MAP_FAILED)
		return false;
	memcpy(p->page, probe_code, sizeof(probe_code));
	m.userspace_addr = (uintptr_t)p->page;
	p->cpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	if (p->cpu < 0 || kvm_ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &m) < 0)
		return false;
	p->run_bytes = ioctl(p->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	p->run = mmap(NULL, p->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		p->cpu, 0);
	if (p->run == MAP_FAILED || kvm_ioctl(p->cpu, KVM_GET_SREGS, &s) < 0)
		return false;
	s.cs.base = 0;
	s.cs.selector = 0;
	return kvm_ioctl(p->cpu, KVM_SET_SREGS, &s) == 0 &&
	       kvm_ioctl(p->cpu, KVM_SET_REGS, &r) == 0;
}

static void probe_vm_close(struct probe_vm *p)
{
	if (p->run && p->run != MAP_FAILED)
		munmap(p->run, p->run_bytes);
	if (p->cpu >= 0)
		close(p->cpu);
	if (p->vm >= 0)
		close(p->vm);
	if (p->page && p->page != MAP_FAILED)
		munmap(p->page, 4096);
}

/* Million instructions a second, 0 if the loop does not run. */
static double probe_speed(int sys)
{
	struct probe_vm p = {.sys = sys, .vm = -1, .cpu = -1};
	double mips = 0;

	if (probe_vm_open(&p)) {
		double t = bus_host_ns() / 1e3;
		int e;

		do
			e = kvm_ioctl(p.cpu, KVM_RUN, NULL);
		while (e == -EINTR);
		t = bus_host_ns() / 1e3 - t;
		if (e == 0 && p.run->exit_reason == KVM_EXIT_HLT)
			mips = 2.0 * PROBE_LOOPS / MAX(t, 0.1);
	}
	probe_vm_close(&p);
	return mips;
}

/* Mark every feature whose CPUID bit KVM supports. */
static void probe_features(int sys, bool *can)
{
	static const struct {
		uint32_t leaf, sub;
		uint8_t reg, bit;
	} where[X86_NFEATURES] = {
#define X86_FEATURE(name, text, leaf, sub, reg, bit)                           \
	[X86_FEAT_##name] = {leaf, sub, CPUID_##reg, bit},
#include "x86/features.def"
#undef X86_FEATURE
	};
	struct kvm_cpuid2 *k =
		g_malloc0(sizeof(*k) + 256 * sizeof(struct kvm_cpuid_entry2));

	k->nent = 256;
	if (kvm_ioctl(sys, KVM_GET_SUPPORTED_CPUID, k) < 0)
		k->nent = 0;
	for (unsigned f = 1; f < X86_NFEATURES; f++)
		for (unsigned i = 0; i < k->nent; i++) {
			const struct kvm_cpuid_entry2 *e = &k->entries[i];
			const uint32_t r[] = {e->eax, e->ebx, e->ecx, e->edx};

			if (e->function == where[f].leaf &&
				e->index == where[f].sub &&
				(r[where[f].reg] >> where[f].bit & 1))
				can[f] = true;
		}
	g_free(k);
	/* Ours, or set by KVM itself as state asks for. */
	can[X86_FEAT_X2APIC] = can[X86_FEAT_TSC_DEADLINE] = true;
	can[X86_FEAT_HYPERVISOR] = can[X86_FEAT_OSXSAVE] = true;
	can[X86_FEAT_HTT] = can[X86_FEAT_APIC] = true;
}

#define EMULATED_MIPS 50.0

void kvm_probe(struct cpu_probe *out)
{
	int sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	memset(out, 0, sizeof(*out));
	if (sys < 0) {
		int e = errno;

		g_snprintf(out->why, sizeof(out->why), "/dev/kvm: %s",
			g_strerror(e));
		if (e == EACCES)
			g_strlcpy(out->fix,
				"add yourself to the group that owns /dev/kvm "
				"(usually: sudo adduser $USER kvm)",
				sizeof(out->fix));
		else
			g_strlcpy(out->fix,
				"if this processor has VT-x or AMD-V, switch "
				"it on in the firmware set-up (or nesting in "
				"the outer hypervisor) and load kvm_intel or "
				"kvm_amd",
				sizeof(out->fix));
		return;
	}
	out->mips = probe_speed(sys);
	out->usable = out->mips > 0;
	probe_features(sys, out->can);
	close(sys);
	if (!out->usable)
		g_strlcpy(out->why, "/dev/kvm does not run a test program",
			sizeof(out->why));
	else if (out->mips < EMULATED_MIPS)
		g_snprintf(out->why, sizeof(out->why),
			"KVM is present but emulated here (%.1f million "
			"instructions/s)",
			out->mips);
	else
		g_snprintf(out->why, sizeof(out->why),
			"hardware virtualization (%.0f million "
			"instructions/s)",
			out->mips);
}
