/*
 * kvm.h - what the board needs to know when KVM keeps the interrupt
 * controllers (cpu_vm_conf.kernel_irqchip).
 */
#ifndef CPU_KVM_KVM_H
#define CPU_KVM_KVM_H

#include "cpu/engine.h"

/*
 * With in-kernel controllers the kernel also handles HLT, INIT and SIPI: every
 * processor is run() at once and never reported as waiting.
 */
bool cpu_kvm_has_irqchip(const struct cpu_vm *vm);

/* Take out of can[] what KVM gives a guest only together with its own local
 * APICs (paravirtual IPIs and the like). */
void cpu_kvm_without_irqchip(bool can[X86_NFEATURES]);

/* Fill the board's interrupt lines with ones that drive the kernel's PIC and
 * IOAPIC, and route bus_msi_send() there.  Lock held. */
void cpu_kvm_wire(struct cpu_vm *vm, struct bus_irq gsi[BUS_NGSI]);

#endif
