/*
 * kvm.c - the KVM engine: machines and processors over raw ioctls.
 *
 * Interrupt controllers are ours unless the board asks for the kernel's.
 * Source: Linux Documentation/virt/kvm/api.rst.
 */
#include "cpu/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "cpu/kvm/priv.h"

/* Three pages that Intel hosts need for real mode, and the identity map page
 * below them; out of the way of RAM and ROM. */
#define KVM_TSS_ADDR	  0xfeffd000u
#define KVM_IDENTITY_ADDR 0xfeffc000ull

#define MSR_APIC_BASE	  0x1b
#define MSR_KVM_CLOCK_OLD 0x11
#define MSR_KVM_FIRST	  0x4b564d00
#define MSR_TSC_DEADLINE  0x6e0

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

static int kvm_error(char *err, unsigned size, const char *what, int e)
{
	g_snprintf(err, size, "KVM: %s: %s", what, g_strerror(-e));
	return e;
}

static void kvm_map_changed(void *opaque)
{
	kvm_memory_sync(opaque);
}

/*
 * With our own local APICs, the APIC's MSRs must come to us, and so must those
 * of the paravirtual clock and EOI, which our APICs serve for all engines.
 * What KVM does not know comes by itself; the rest must be filtered.
 */
static void kvm_route_msrs(struct cpu_vm *vm)
{
	static uint8_t deny[1];
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = {KVM_MSR_EXIT_REASON_UNKNOWN |
			 KVM_MSR_EXIT_REASON_INVAL |
			 KVM_MSR_EXIT_REASON_FILTER}};
	struct kvm_msr_filter f = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
	static const struct {
		uint32_t first, n;
	} ours[] = {
		{MSR_APIC_BASE, 1},
		{MSR_TSC_DEADLINE, 1},
		{MSR_KVM_CLOCK_OLD, 2},
		{MSR_KVM_FIRST, 8},
	};

	vm->user_msr = kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap) == 0;
	if (!vm->user_msr || vm->irqchip)
		return;
	for (unsigned i = 0; i < G_N_ELEMENTS(ours); i++)
		f.ranges[i] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.nmsrs = ours[i].n,
			.base = ours[i].first,
			.bitmap = deny,
		};
	kvm_ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &f);
}

static int kvm_vm_setup(struct cpu_vm *vm, char *err, unsigned size)
{
	uint64_t identity = KVM_IDENTITY_ADDR;
	int e;

	if (ioctl(vm->sys, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return kvm_error(err, size, "unknown API version", -ENOTSUP);
	vm->fd = ioctl(vm->sys, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return kvm_error(err, size, "cannot create a VM", -errno);
	vm->run_bytes = ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	/* Needed by some Intel hosts only; others may not know them. */
	kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	ioctl(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_ADDR);
	if (vm->irqchip) {
		e = kvm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL);
		if (e < 0)
			return kvm_error(err, size,
				"no interrupt controllers in the kernel", e);
	}
	kvm_route_msrs(vm);
	return 0;
}

static void kvm_vm_free(struct cpu_vm *vm)
{
	bus_unlisten(vm->bus, &vm->listener);
	if (vm->fd >= 0)
		close(vm->fd);
	close(vm->sys);
	g_free(vm);
}

static int kvm_vm_new(struct cpu_vm **out, struct bus *bus,
	const struct cpu_vm_conf *conf, char *err, unsigned errsize)
{
	struct cpu_vm *vm = g_new0(struct cpu_vm, 1);
	int e;

	vm->bus = bus;
	vm->model = conf->model;
	vm->irqchip = conf->kernel_irqchip;
	vm->fd = -1;
	vm->listener.opaque = vm;
	vm->listener.map_changed = kvm_map_changed;
	vm->sys = conf->dev_kvm ? fcntl(conf->dev_kvm, F_DUPFD_CLOEXEC, 0)
				: open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->sys < 0) {
		e = kvm_error(err, errsize, "cannot open /dev/kvm", -errno);
		g_free(vm);
		return e;
	}
	e = kvm_vm_setup(vm, err, errsize);
	if (e < 0) {
		kvm_vm_free(vm);
		return e;
	}
	bus_lock(bus);
	bus_listen(bus, &vm->listener);
	kvm_memory_sync(vm);
	bus_unlock(bus);
	*out = vm;
	return 0;
}

/* The signal only interrupts KVM_RUN. */
static void kvm_kick_signal(int sig)
{
}

static void kvm_install_kick(void)
{
	struct sigaction sa = {.sa_handler = kvm_kick_signal};

	sigaction(SIGUSR1, &sa, NULL);
}

static void kvm_cpu_free(struct cpu *c)
{
	if (c->bc->kick_opaque == c)
		c->bc->kick = NULL;
	if (c->run)
		munmap(c->run, c->vm->run_bytes);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static int kvm_cpu_new(struct cpu **out, struct cpu_vm *vm, struct bus_cpu *bc,
	char *err, unsigned errsize)
{
	/* 64-byte alignment for the vector part of x86_state */
	struct cpu *c = aligned_alloc(64, (sizeof(*c) + 63) & ~63ul);
	int e;

	memset(c, 0, sizeof(*c));
	c->vm = vm;
	c->bc = bc;
	/* The number given to KVM is the processor's initial APIC id. */
	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, bc->apic_id);
	if (c->fd < 0) {
		e = kvm_error(
			err, errsize, "cannot create a processor", -errno);
		kvm_cpu_free(c);
		return e;
	}
	c->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		c->fd, 0);
	if (c->run == MAP_FAILED) {
		c->run = NULL;
		e = kvm_error(err, errsize, "cannot map a processor", -errno);
		kvm_cpu_free(c);
		return e;
	}
	e = kvm_state_cpuid(c);
	if (e < 0) {
		kvm_error(err, errsize, "CPU model refused", e);
		kvm_cpu_free(c);
		return e;
	}
	kvm_install_kick();
	bc->kick_opaque = c;
	bc->kick = kvm_cpu_kick;
	*out = c;
	return 0;
}

static void kvm_stats(struct cpu *c, struct cpu_stats *out)
{
	static const char *const names[KVM_NCOUNTERS] = {
		[KVM_CNT_EXIT] = "all",
		[KVM_CNT_IO_IN] = "io-in",
		[KVM_CNT_IO_OUT] = "io-out",
		[KVM_CNT_MMIO] = "mmio",
		[KVM_CNT_HLT] = "hlt",
		[KVM_CNT_RDMSR] = "rdmsr",
		[KVM_CNT_WRMSR] = "wrmsr",
		[KVM_CNT_WINDOW] = "interrupt-window",
		[KVM_CNT_KICK] = "kick",
		[KVM_CNT_INTERRUPT] = "interrupt",
		[KVM_CNT_NMI] = "nmi",
	};

	for (unsigned i = 0; i < KVM_NCOUNTERS; i++)
		cpu_stats_add(out, "exit", names[i],
			__atomic_load_n(&c->counters[i], __ATOMIC_RELAXED));
}

static enum cpu_where kvm_where(struct cpu *c)
{
	return atomic_load_explicit(&c->where, memory_order_relaxed);
}

/* ---- the kernel's interrupt controllers ---- */

void cpu_kvm_without_irqchip(bool can[X86_NFEATURES])
{
	can[X86_FEAT_KVM_ASYNC_PF] = can[X86_FEAT_KVM_ASYNC_PF_INT] = false;
	can[X86_FEAT_KVM_STEAL_TIME] = can[X86_FEAT_KVM_PV_TLB_FLUSH] = false;
	can[X86_FEAT_KVM_PV_UNHALT] = can[X86_FEAT_KVM_PV_SEND_IPI] = false;
	can[X86_FEAT_KVM_SCHED_YIELD] = false;
}

bool cpu_kvm_has_irqchip(const struct cpu_vm *vm)
{
	return vm->irqchip;
}

static void kvm_gsi_set(void *opaque, unsigned n, bool level)
{
	struct cpu_vm *vm = opaque;
	struct kvm_irq_level irq = {.irq = n, .level = level};

	kvm_ioctl(vm->fd, KVM_IRQ_LINE, &irq);
}

static void kvm_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct cpu_vm *vm = opaque;
	struct kvm_msi msi = {
		.address_lo = addr, .address_hi = addr >> 32, .data = data};

	kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

void cpu_kvm_wire(struct cpu_vm *vm, struct bus_irq gsi[BUS_NGSI])
{
	for (unsigned i = 0; i < BUS_NGSI; i++)
		gsi[i] = (struct bus_irq){kvm_gsi_set, vm, i};
	bus_msi_handler(vm->bus, kvm_msi, vm);
}

const struct cpu_engine cpu_kvm = {
	.name = "kvm",
	.probe = kvm_probe,
	.vm_new = kvm_vm_new,
	.vm_free = kvm_vm_free,
	.cpu_new = kvm_cpu_new,
	.cpu_free = kvm_cpu_free,
	.run = kvm_cpu_run,
	.get = kvm_state_get,
	.set = kvm_state_set,
	.dirty = kvm_memory_dirty,
	.shift_tsc = kvm_shift_tsc,
	.max_breaks = KVM_MAX_BREAKS,
	.can_break = kvm_can_break,
	.set_debug = kvm_set_debug,
	.stats = kvm_stats,
	.where = kvm_where,
};
