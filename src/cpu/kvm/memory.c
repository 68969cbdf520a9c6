/*
 * memory.c - KVM memory slots that follow the bus's address map.
 *
 * Slots that stay the same are not touched.  While a slot changes, another
 * processor may exit for MMIO on memory: bus_mmio_* serves memory as well.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <glib.h>

#include "cpu/kvm/priv.h"

#define MIB (1ull << 20)

/* A closed A20 gate makes the second megabyte an alias of the first; that is
 * as far as software that closes it looks. */
static unsigned kvm_memory_close_a20(struct bus_range *r, unsigned n)
{
	struct bus_range out[KVM_MAX_SLOTS];
	unsigned m = 0;

	for (unsigned i = 0; i < n && m + 2 < KVM_MAX_SLOTS; i++) {
		gpa_t end = r[i].base + r[i].size;

		if (r[i].base < MIB) {
			struct bus_range low = r[i], alias;

			low.size = MIN(end, MIB) - r[i].base;
			alias = low;
			alias.base += MIB;
			out[m++] = low;
			out[m++] = alias;
		}
		if (end > 2 * MIB) {
			struct bus_range high = r[i];
			uint64_t cut =
				r[i].base < 2 * MIB ? 2 * MIB - r[i].base : 0;

			high.base += cut;
			high.host += cut;
			high.size -= cut;
			out[m++] = high;
		}
	}
	memcpy(r, out, m * sizeof(r[0]));
	return m;
}

static bool kvm_range_equal(
	const struct bus_range *a, const struct bus_range *b)
{
	return a->base == b->base && a->size == b->size && a->host == b->host &&
	       a->writable == b->writable;
}

static void kvm_slot_set(
	struct cpu_vm *vm, unsigned slot, const struct bus_range *r)
{
	struct kvm_userspace_memory_region m = {
		.slot = slot,
		.flags = r->writable ? 0 : KVM_MEM_READONLY,
		.guest_phys_addr = r->base,
		.memory_size = r->size,
		.userspace_addr = (uintptr_t)r->host,
	};

	if (kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m) == 0)
		vm->slots[slot] = *r;
	else
		memset(&vm->slots[slot], 0, sizeof(*r));
}

static void kvm_slot_clear(struct cpu_vm *vm, unsigned slot)
{
	struct bus_range none = vm->slots[slot];

	none.size = 0;
	none.writable = true;
	kvm_slot_set(vm, slot, &none);
	memset(&vm->slots[slot], 0, sizeof(none));
}

static bool kvm_range_in(
	const struct bus_range *r, const struct bus_range *set, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (set[i].size && kvm_range_equal(r, &set[i]))
			return true;
	return false;
}

void kvm_memory_sync(struct cpu_vm *vm)
{
	struct bus_range want[KVM_MAX_SLOTS];
	unsigned n = bus_ranges(vm->bus, want, KVM_MAX_SLOTS - 2);
	unsigned slot = 0;

	if (bus_a20_mask(vm->bus) != ~0ull)
		n = kvm_memory_close_a20(want, n);
	for (unsigned i = 0; i < KVM_MAX_SLOTS; i++)
		if (vm->slots[i].size && !kvm_range_in(&vm->slots[i], want, n))
			kvm_slot_clear(vm, i);
	for (unsigned i = 0; i < n; i++) {
		if (kvm_range_in(&want[i], vm->slots, KVM_MAX_SLOTS))
			continue;
		while (slot < KVM_MAX_SLOTS && vm->slots[slot].size)
			slot++;
		if (slot == KVM_MAX_SLOTS)
			break;
		kvm_slot_set(vm, slot, &want[i]);
	}
}
