/*
 * debug.c - a debugger outside the guest, by KVM_SET_GUEST_DEBUG.
 *
 * Breakpoints stand in the host's debug registers, so there are four; those of
 * the guest have no effect meanwhile, though it reads what it wrote.
 *
 * Source: Linux Documentation/virt/kvm/api.rst, 4.87; Intel SDM vol. 3, 17.2.
 */
#include <errno.h>
#include <string.h>

#include "cpu/kvm/priv.h"

#define DR6_BS (1u << 14)

/* Of DR7: what is watched and how many bytes. */
static uint64_t debug_dr7(const struct cpu_break *b)
{
	static const uint8_t lens[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

	if (b->kind == CPU_BREAK_EXEC)
		return 0;
	return (b->kind == CPU_BREAK_WRITE ? 1 : 3) | lens[b->len] << 2;
}

/* There is no watching of reads alone. */
bool kvm_can_break(const struct cpu_break *b)
{
	if (b->kind == CPU_BREAK_EXEC)
		return true;
	return b->kind != CPU_BREAK_READ && b->len && b->len <= 8 &&
	       !(b->len & (b->len - 1)) && !(b->addr & (b->len - 1));
}

/* Linear address of the next instruction. */
static uint64_t debug_pc(struct cpu *c)
{
	struct kvm_sregs s = {0};
	struct kvm_regs r = {0};

	kvm_cpu_finish_exit(c);
	kvm_ioctl(c->fd, KVM_GET_SREGS, &s);
	kvm_ioctl(c->fd, KVM_GET_REGS, &r);
	return s.cs.l && (s.efer & X86_EFER_LMA)
		       ? r.rip
		       : (uint32_t)(s.cs.base + r.rip);
}

/* May KVM hold interrupts back during a step? */
static uint32_t debug_block_irq(struct cpu *c)
{
	long can = kvm_ioctl(c->vm->sys, KVM_CHECK_EXTENSION,
		(void *)(uintptr_t)KVM_CAP_SET_GUEST_DEBUG2);

	return can > 0 ? (uint32_t)can & KVM_GUESTDBG_BLOCKIRQ : 0;
}

int kvm_set_debug(struct cpu *c, const struct cpu_debug *d)
{
	struct kvm_guest_debug k = {0};

	memset(&c->debug, 0, sizeof(c->debug));
	if (d && d->nbrk > KVM_MAX_BREAKS)
		return -ENOSPC;
	if (d && d->step) {
		c->debug.step = true;
		c->debug.pc = debug_pc(c);
		c->debug.hold = !d->events;
		k.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
		if (c->debug.hold)
			k.control |= debug_block_irq(c);
	}
	for (unsigned i = 0; d && i < d->nbrk; i++) {
		const struct cpu_break *b = &d->brk[i];

		/* What is stepped is carried out whatever stands there. */
		if (!kvm_can_break(b) || (d->step && b->kind == CPU_BREAK_EXEC))
			continue;
		c->debug.brk[i] = *b;
		c->debug.set |= 1u << i;
		k.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		k.arch.debugreg[i] = b->addr;
		k.arch.debugreg[7] |= 2ull << 2 * i | debug_dr7(b)
							      << (16 + 4 * i);
	}
	return kvm_ioctl(c->fd, KVM_SET_GUEST_DEBUG, &k);
}

/* Is the instruction at the linear address a repeated string instruction? */
static bool debug_in_string(struct cpu *c, uint64_t pc)
{
	bool rep = false;

	for (unsigned i = 0; i < 15; i++) {
		struct kvm_translation t = {.linear_address = pc + i};
		uint8_t b = 0;

		if (kvm_ioctl(c->fd, KVM_TRANSLATE, &t) < 0 || !t.valid ||
			!bus_dma_read(c->vm->bus, t.physical_address, &b, 1))
			return false;
		rep |= (b | 1) == 0xf3;
		if ((b | 1) == 0xf3 || b == 0x66 || b == 0x67 ||
			(b & 0xe7) == 0x26 || (b & 0xfe) == 0x64 ||
			(b & 0xf0) == 0x40)
			continue; /* prefixes; REX where it is one */
		return rep && ((b & 0xfc) == 0x6c || (b & 0xfc) == 0xa4 ||
				      (b >= 0xaa && b <= 0xaf));
	}
	return false;
}

bool kvm_exit_debug(struct cpu *c, struct cpu_exit *exit)
{
	const struct kvm_debug_exit_arch *a = &c->run->debug.arch;
	uint32_t hit = (uint32_t)a->dr6 & c->debug.set;
	uint64_t last = c->debug.pc;

	c->debug.pc = a->pc;
	if (hit) {
		exit->debug = c->debug.brk[__builtin_ctz(hit)];
	} else if (!c->debug.step) {
		return false;
	} else {
		/* a repeated one is one step, unless a watchpoint is met */
		if (a->pc == last && debug_in_string(c, a->pc))
			return false;
		exit->debug = (struct cpu_break){
			.kind = CPU_BREAK_STEP, .addr = a->pc};
	}
	exit->reason = CPU_EXIT_DEBUG;
	return true;
}
