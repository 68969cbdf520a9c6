/*
 * cpu.c - life of a software processor, its derived mode and its state.
 *
 * A soft_cpu sits at the top of its own mapping: a guard page, then room for
 * the stack of translated code, then the struct.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/soft/priv.h"

#define STACK_BYTES (1u << 20)
#define GUARD_BYTES 4096u
#define CPU_BYTES   ((sizeof(struct soft_cpu) + 4095) & ~4095ul)

struct soft_cpu *soft_cpu_alloc(struct soft_vm *vm, struct bus_cpu *bc)
{
	uint8_t *p = mmap(NULL, GUARD_BYTES + STACK_BYTES + CPU_BYTES,
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct soft_cpu *c;

	if (p == MAP_FAILED)
		return NULL;
	mprotect(p, GUARD_BYTES, PROT_NONE);
	c = (struct soft_cpu *)(p + GUARD_BYTES + STACK_BYTES);
	c->vm = vm;
	c->bus = vm->bus;
	c->bc = bc;
	c->phys_bits = vm->model->phys_bits;
	c->a20 = bus_a20_mask(vm->bus);
	soft_tlb_from_zeros(c);
	x86_state_reset(&c->st, false, bc->index == 0);
	soft_update_mode(c);
	soft_update_dr7(c);
	vm->cpus[bc->index] = c;
	if (vm->ncpus <= bc->index)
		vm->ncpus = bc->index + 1;
	return c;
}

void soft_cpu_free(struct soft_cpu *c)
{
	if (!c)
		return;
	c->vm->cpus[c->bc->index] = NULL;
	free(c->debugger);
	munmap((uint8_t *)c - STACK_BYTES - GUARD_BYTES,
		GUARD_BYTES + STACK_BYTES + CPU_BYTES);
}

static void soft_map_changed(void *opaque)
{
	struct soft_vm *vm = opaque;

	for (unsigned i = 0; i < vm->ncpus; i++)
		if (vm->cpus[i])
			bus_cpu_raise(vm->cpus[i]->bc, BUS_EV_FLUSH);
}

void soft_vm_dirty(struct soft_vm *vm)
{
	soft_map_changed(vm);
}

static void soft_ram_written(void *opaque, gpa_t gpa, size_t len)
{
	struct soft_vm *vm = opaque;
	int64_t off = bus_ram_offset(vm->bus, gpa);

	if (vm->code_written && off >= 0)
		vm->code_written(vm, NULL, off, len);
}

static bool soft_leaf(const struct x86_cpu_model *m, uint32_t leaf,
	uint32_t sub, struct x86_cpuid_regs *r)
{
	for (unsigned i = 0; i < m->nleaves; i++) {
		if (m->leaves[i].leaf != leaf ||
			(m->leaves[i].has_sub && m->leaves[i].sub != sub))
			continue;
		*r = m->leaves[i].r;
		return true;
	}
	return false;
}

/* What the model's CPUID says that is needed often. */
static void soft_learn_model(struct soft_vm *vm)
{
	/* Intel's layout, for what the model does not state. */
	static const struct {
		uint8_t i;
		uint16_t off, bytes;
	} usual[] = {
		{2, 576, 256},
		{5, 1088, 64},
		{6, 1152, 512},
		{7, 1664, 1024},
		{9, 2688, 8},
	};
	struct x86_cpuid_regs r;

	if (soft_leaf(vm->model, 0, 0, &r))
		vm->amd = r.ebx == 0x68747541 || r.ebx == 0x6f677948;
	for (unsigned k = 0; k < sizeof(usual) / sizeof(usual[0]); k++) {
		unsigned i = usual[k].i;

		vm->xsave[i].off = usual[k].off;
		vm->xsave[i].bytes = usual[k].bytes;
		if (!soft_leaf(vm->model, 0xd, i, &r) ||
			r.eax != usual[k].bytes || r.ebx < 576 ||
			r.ebx > 4096 - r.eax)
			continue;
		vm->xsave[i].off = r.ebx;
		vm->xsave[i].align = r.ecx & 2;
	}
}

void soft_vm_init(
	struct soft_vm *vm, struct bus *bus, const struct x86_cpu_model *model)
{
	memset(vm, 0, sizeof(*vm));
	vm->bus = bus;
	vm->model = model;
	vm->ram = bus_ram(bus);
	vm->ram_host = vm->ram->host;
	vm->page_flags = bus_page_flags(bus);
	soft_learn_model(vm);
	pthread_mutex_init(&vm->bus_lock, NULL);
	vm->listener.opaque = vm;
	vm->listener.map_changed = soft_map_changed;
	vm->listener.ram_written = soft_ram_written;
	bus_listen(bus, &vm->listener);
}

void soft_vm_fini(struct soft_vm *vm)
{
	bus_unlisten(vm->bus, &vm->listener);
	pthread_mutex_destroy(&vm->bus_lock);
}

static void soft_update_tlb_mode(struct soft_cpu *c)
{
	c->tlb_mode = soft_mode_for(c, c->cpl);
}

void soft_update_mode(struct soft_cpu *c)
{
	const struct x86_state *s = &c->st;
	uint64_t key;

	c->protected_mode = s->cr0 & X86_CR0_PE;
	c->paging = s->cr0 & X86_CR0_PG;
	c->pae = s->cr4 & X86_CR4_PAE;
	c->long_mode = s->efer & X86_EFER_LMA;
	c->v86 = c->protected_mode && (s->rflags & X86_FL_VM);
	c->code64 = c->long_mode && (s->seg[X86_CS].attr & X86_SEG_L);
	if (!c->protected_mode)
		c->cpl = 0;
	else if (c->v86)
		c->cpl = 3;
	else
		c->cpl = (s->seg[X86_SS].attr & X86_SEG_DPL) >>
			 X86_SEG_DPL_SHIFT;
	c->code_size = s->seg[X86_CS].attr & X86_SEG_DB ? 4 : 2;
	c->stack_size = s->seg[X86_SS].attr & X86_SEG_DB ? 4 : 2;
	if (c->code64)
		c->code_size = c->stack_size = 8;
	soft_update_tlb_mode(c);

	key = (s->cr0 & (X86_CR0_PG | X86_CR0_WP)) |
	      (s->efer & (X86_EFER_LMA | X86_EFER_NXE)) |
	      (s->cr4 & (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE |
				X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PCIDE))
		      << 32;
	if (key != c->mode_key) {
		c->mode_key = key;
		soft_tlb_flush(c);
	}
}

/* Would an engine, or the host's FPU, choke on it? */
static bool soft_state_sane(const struct soft_cpu *c, const struct x86_state *s)
{
	uint32_t mxcsr;
	bool lma = (s->efer & X86_EFER_LME) && (s->cr0 & X86_CR0_PG);

	memcpy(&mxcsr, s->fpu.fx + 24, 4);
	if (mxcsr & ~0xffffu)
		return false;
	if ((s->cr0 & X86_CR0_PG) && !(s->cr0 & X86_CR0_PE))
		return false;
	if (lma != !!(s->efer & X86_EFER_LMA))
		return false;
	if (lma && !(s->cr4 & X86_CR4_PAE))
		return false;
	if (s->cr4 & ~soft_cr4_valid(c))
		return false;
	if ((s->xcr0 & ~c->vm->model->xcr0_mask) || !(s->xcr0 & 1))
		return false;
	return s->activity <= X86_ACT_SHUTDOWN && soft_canonical(s->rip);
}

/* What another engine had taken and not delivered. */
static void soft_take_injection(struct soft_cpu *c)
{
	unsigned kind = c->st.inject;
	bool nmi = c->st.nmi_pending;

	c->st.inject = c->st.nmi_pending = 0;
	if (nmi)
		bus_cpu_raise(c->bc, BUS_EV_NMI);
	switch (kind) {
	case X86_INJECT_INTERRUPT:
		soft_deliver_interrupt(c, c->st.inject_vector);
		break;
	case X86_INJECT_NMI: soft_deliver_nmi(c); break;
	case X86_INJECT_EXCEPTION:
		c->fault = (struct soft_fault){
			.vector = c->st.inject_vector,
			.has_error = c->st.inject_error,
			.error = c->st.inject_code,
			.cr2 = c->st.cr2,
		};
		soft_deliver_fault(c);
		break;
	}
}

int soft_set_state(struct soft_cpu *c, const struct x86_state *s)
{
	if (!soft_state_sane(c, s))
		return -EINVAL;
	c->st = *s;
	c->st.rflags = (s->rflags & 0x3f7fd5) | X86_FL_1;
	c->db_pending = 0;
	c->delivering = false;
	c->ext = 0;
	c->bp_inhibit = false;
	c->a20 = bus_a20_mask(c->bus);
	atomic_store(&c->bc->nmi_masked, s->nmi_blocked);
	bus_cpu_tsc_moved(c->bc, s->tsc_offset);
	soft_update_mode(c);
	soft_tlb_flush(c);
	soft_update_dr7(c);
	if (c->paging && c->pae && !c->long_mode)
		soft_load_pdptes(c, s->cr3, c->pdpte);
	if (soft_get_tpr(c) != s->cr8)
		soft_set_tpr(c, s->cr8 & 15);
	soft_take_injection(c);
	return 0;
}

void soft_get_state(struct soft_cpu *c, struct x86_state *s)
{
	*s = c->st;
	s->cr8 = soft_get_tpr(c);
}

uint64_t soft_rdtsc(struct soft_cpu *c)
{
	uint64_t t = c->env && c->env->rdtsc ? c->env->rdtsc(c)
					     : __builtin_ia32_rdtsc();

	return t + c->st.tsc_offset;
}

/*
 * KVM's calling convention (Linux, hypercalls.rst): number in RAX, arguments
 * in RBX, RCX, RDX, RSI, result in RAX; outside 64-bit code all have 32 bits.
 */
void soft_hypercall(struct soft_cpu *c)
{
	enum { KVM_EPERM = 1, KVM_HC_SCHED_YIELD = 11 };
	uint64_t mask = c->code64 ? ~0ull : 0xffffffff;
	uint64_t *r = c->st.gpr, nr = r[X86_RAX] & mask;
	const uint64_t arg[4] = {r[X86_RBX] & mask, r[X86_RCX] & mask,
		r[X86_RDX] & mask, r[X86_RSI] & mask};
	int64_t ret = -KVM_EPERM;

	if (!c->cpl) {
		ret = c->env && c->env->hypercall
			      ? c->env->hypercall(c, nr, arg, c->code64)
			      : bus_cpu_hypercall(c->bc, nr, arg, c->code64);
		if (nr == KVM_HC_SCHED_YIELD && ret == 0)
			sched_yield();
	}
	r[X86_RAX] = ret & mask;
}

void soft_cpuid(struct soft_cpu *c)
{
	struct x86_cpuid_regs r;

	c->counters[SOFT_CNT_CPUID]++;
	soft_trace(c, CPU_TRACE_CPUID, 4, (uint32_t)c->st.gpr[X86_RAX],
		(uint32_t)c->st.gpr[X86_RCX]);
	x86_cpu_model_cpuid(c->vm->model, c->bc->apic_id, &c->st,
		(uint32_t)c->st.gpr[X86_RAX], (uint32_t)c->st.gpr[X86_RCX], &r);
	c->st.gpr[X86_RAX] = r.eax;
	c->st.gpr[X86_RBX] = r.ebx;
	c->st.gpr[X86_RCX] = r.ecx;
	c->st.gpr[X86_RDX] = r.edx;
}

uint8_t soft_get_tpr(struct soft_cpu *c)
{
	if (c->env && c->env->get_tpr)
		return c->env->get_tpr(c);
	return bus_cpu_get_tpr(c->bc);
}

void soft_set_tpr(struct soft_cpu *c, uint8_t cr8)
{
	if (c->env && c->env->set_tpr)
		c->env->set_tpr(c, cr8);
	else
		bus_cpu_set_tpr(c->bc, cr8);
}
