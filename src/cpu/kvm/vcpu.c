/*
 * vcpu.c - the KVM_RUN loop: events in, exits out.
 *
 * With our own interrupt controllers the loop injects what they give as soon
 * as the guest can take it; CR8 is copied before and after each run.
 * Source: Linux Documentation/virt/kvm/api.rst.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include <glib.h>

#include "cpu/kvm/priv.h"

#define RUN_LOOP_EVENTS (BUS_EV_STOP | BUS_EV_INIT | BUS_EV_SIPI)

static void kvm_count(struct cpu *c, enum kvm_counter n)
{
	c->counters[n]++;
}

static void kvm_now(struct cpu *c, enum cpu_where where)
{
	atomic_store_explicit(&c->where, where, memory_order_relaxed);
}

/* Any thread: make KVM_RUN return, now or when it is next entered. */
void kvm_cpu_kick(void *opaque)
{
	struct cpu *c = opaque;

	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (atomic_load(&c->in_run) &&
		!pthread_equal(c->thread, pthread_self()))
		pthread_kill(c->thread, SIGUSR1);
}

/* An I/O or MMIO exit is carried into the registers only by the next KVM_RUN:
 * do that without running the guest. */
void kvm_cpu_finish_exit(struct cpu *c)
{
	if (!c->incomplete)
		return;
	c->run->immediate_exit = 1;
	kvm_ioctl(c->fd, KVM_RUN, NULL);
	c->run->immediate_exit = 0;
	c->incomplete = false;
}

static void kvm_exit_io(struct cpu *c)
{
	struct kvm_run *r = c->run;
	uint8_t *data = (uint8_t *)r + r->io.data_offset;
	unsigned size = r->io.size;

	kvm_count(c, r->io.direction == KVM_EXIT_IO_OUT ? KVM_CNT_IO_OUT
							: KVM_CNT_IO_IN);
	bus_io_many(c->vm->bus, r->io.port, size, data, r->io.count,
		r->io.direction == KVM_EXIT_IO_OUT);
	c->incomplete = true;
}

static void kvm_exit_mmio(struct cpu *c)
{
	struct kvm_run *r = c->run;
	uint64_t val = 0;

	kvm_count(c, KVM_CNT_MMIO);
	if (r->mmio.is_write) {
		memcpy(&val, r->mmio.data, r->mmio.len);
		bus_mmio_write(
			c->vm->bus, c->bc, r->mmio.phys_addr, r->mmio.len, val);
	} else {
		val = bus_mmio_read(
			c->vm->bus, c->bc, r->mmio.phys_addr, r->mmio.len);
		memcpy(r->mmio.data, &val, r->mmio.len);
	}
	c->incomplete = true;
}

#define MSR_TSC_DEADLINE 0x6e0
#define MSR_SYSTEM_TIME	 0x4b564d01

/* The local APIC's deadline is in the host's ticks; zero is none. */
static uint64_t kvm_deadline(uint32_t msr, uint64_t val, uint64_t offset)
{
	if (msr != MSR_TSC_DEADLINE || !val)
		return val;
	val += offset;
	return val + !val;
}

static void kvm_exit_msr(struct cpu *c, bool write)
{
	struct kvm_run *r = c->run;
	uint64_t val = r->msr.data;
	bool ok;

	kvm_count(c, write ? KVM_CNT_WRMSR : KVM_CNT_RDMSR);
	if (write && r->msr.index == MSR_SYSTEM_TIME)
		kvm_tsc_tell(c); /* the clock to be shown is based on it */
	if (write)
		ok = bus_cpu_wrmsr(c->bc, r->msr.index,
			kvm_deadline(r->msr.index, val, -c->bc->tsc_offset));
	else
		ok = bus_cpu_rdmsr(c->bc, r->msr.index, &val);
	if (!write)
		val = kvm_deadline(r->msr.index, val, c->bc->tsc_offset);
	r->msr.data = val;
	r->msr.error = !ok;
	c->incomplete = true;
}

/* Before entering: give what the guest can take, else ask to be told. */
static void kvm_inject(struct cpu *c, uint32_t events)
{
	struct kvm_run *r = c->run;
	struct kvm_interrupt irq;
	int vector;

	if (c->debug.hold && c->extra.activity != X86_ACT_HALT)
		events = 0; /* until the step is done */
	if (events & BUS_EV_NMI) {
		bus_cpu_clear(c->bc, BUS_EV_NMI);
		kvm_ioctl(c->fd, KVM_NMI, NULL);
		kvm_count(c, KVM_CNT_NMI);
	}
	if (c->vm->irqchip)
		return;
	r->request_interrupt_window = 0;
	if (events & BUS_EV_INTR) {
		if (!r->ready_for_interrupt_injection) {
			r->request_interrupt_window = 1;
		} else {
			vector = bus_cpu_ack_interrupt(c->bc);
			irq.irq = vector;
			if (vector >= 0 &&
				kvm_ioctl(c->fd, KVM_INTERRUPT, &irq) == 0) {
				kvm_count(c, KVM_CNT_INTERRUPT);
				/* not again before KVM says so */
				r->ready_for_interrupt_injection = 0;
			}
		}
	}
	r->cr8 = bus_cpu_get_tpr(c->bc);
}

static bool kvm_fail(struct cpu_exit *exit, const char *what, uint64_t code)
{
	exit->reason = CPU_EXIT_ERROR;
	g_snprintf(exit->text, sizeof(exit->text),
		"KVM could not go on: %s (0x%" PRIx64 ")", what, code);
	return true;
}

/* Mostly an instruction that it cannot emulate: which and where. */
static bool kvm_internal_error(struct cpu *c, struct cpu_exit *exit)
{
	const struct kvm_run *r = c->run;
	unsigned n = MIN(r->emulation_failure.insn_size, 15);
	struct kvm_regs regs = {0};
	char text[128] = "";

	if (r->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
		return kvm_fail(exit, "internal error", r->internal.suberror);
	kvm_ioctl(c->fd, KVM_GET_REGS, &regs);
	if (r->internal.ndata < 3 ||
		!(r->emulation_failure.flags &
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		n = 0;
	for (unsigned i = 0; i < n; i++)
		g_snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x",
			r->emulation_failure.insn_bytes[i]);
	exit->reason = CPU_EXIT_ERROR;
	g_snprintf(exit->text, sizeof(exit->text),
		"KVM cannot emulate the instruction%s at 0x%" PRIx64, text,
		(uint64_t)regs.rip);
	return true;
}

/* True if run() must return. */
static bool kvm_handle_exit(struct cpu *c, struct cpu_exit *exit)
{
	struct kvm_run *r = c->run;

	switch (r->exit_reason) {
	case KVM_EXIT_IO: kvm_exit_io(c); return false;
	case KVM_EXIT_MMIO: kvm_exit_mmio(c); return false;
	case KVM_EXIT_X86_RDMSR: kvm_exit_msr(c, false); return false;
	case KVM_EXIT_X86_WRMSR: kvm_exit_msr(c, true); return false;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		kvm_count(c, KVM_CNT_WINDOW);
		return false;
	case KVM_EXIT_INTR: kvm_count(c, KVM_CNT_KICK); return false;
	case KVM_EXIT_HLT:
		kvm_count(c, KVM_CNT_HLT);
		c->extra.activity = X86_ACT_HALT;
		return false;
	case KVM_EXIT_SHUTDOWN:
		c->extra.activity = X86_ACT_SHUTDOWN;
		exit->reason = CPU_EXIT_SHUTDOWN;
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		return kvm_fail(exit, "the processor refused the guest state",
			r->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_DEBUG: return kvm_exit_debug(c, exit);
	case KVM_EXIT_INTERNAL_ERROR: return kvm_internal_error(c, exit);
	default: return kvm_fail(exit, "unknown exit", r->exit_reason);
	}
}

/* HLT ended by an event that the guest may take?  Interrupts need IF, which
 * KVM reports in the run page. */
static bool kvm_still_halted(struct cpu *c, uint32_t events)
{
	if ((events & BUS_EV_NMI) ||
		((events & BUS_EV_INTR) && c->run->if_flag)) {
		c->extra.activity = X86_ACT_RUN;
		return false;
	}
	return true;
}

void kvm_cpu_run(struct cpu *c, struct cpu_exit *exit)
{
	c->thread = pthread_self();
	atomic_store(&c->in_run, true);
	for (;;) {
		uint32_t events;
		int e;

		__atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		events = atomic_load(&c->bc->events);
		if (events & BUS_EV_FLUSH)
			bus_cpu_clear(c->bc, BUS_EV_FLUSH);
		if (events & RUN_LOOP_EVENTS) {
			exit->reason = CPU_EXIT_EVENT;
			break;
		}
		if (c->extra.activity == X86_ACT_HALT &&
			kvm_still_halted(c, events)) {
			exit->reason = CPU_EXIT_HALT;
			exit->masked = !c->run->if_flag;
			break;
		}
		kvm_inject(c, events);
		kvm_now(c, CPU_IN_GUEST);
		e = kvm_ioctl(c->fd, KVM_RUN, NULL);
		kvm_now(c, CPU_IN_ENGINE);
		c->incomplete = false;
		kvm_count(c, KVM_CNT_EXIT);
		if (!c->vm->irqchip &&
			(c->run->cr8 & 0xf) != bus_cpu_get_tpr(c->bc))
			bus_cpu_set_tpr(c->bc, c->run->cr8 & 0xf);
		if (e == -EINTR || e == -EAGAIN)
			continue;
		if (e < 0) {
			kvm_fail(exit, g_strerror(-e), -e);
			break;
		}
		if (kvm_handle_exit(c, exit))
			break;
	}
	atomic_store(&c->in_run, false);
	kvm_now(c, CPU_OUTSIDE);
}
