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
		.flags = !r->writable	 ? KVM_MEM_READONLY
			 : vm->log_dirty ? KVM_MEM_LOG_DIRTY_PAGES
					 : 0,
		.guest_phys_addr = r->base,
		.memory_size = r->size,
		.userspace_addr = (uintptr_t)r->host,
	};

	if (kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m) == 0)
		vm->slots[slot] = *r;
	else
		memset(&vm->slots[slot], 0, sizeof(*r));
}

static void kvm_slot_fetch(struct cpu_vm *vm, unsigned slot);

static void kvm_slot_clear(struct cpu_vm *vm, unsigned slot)
{
	struct bus_range none = vm->slots[slot];

	if (vm->log_dirty)
		kvm_slot_fetch(vm, slot);
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

/* ---- the dirty log ---- */

static void kvm_slot_fetch(struct cpu_vm *vm, unsigned slot)
{
	const struct bus_ram *ram = bus_ram(vm->bus);
	const struct bus_range *r = &vm->slots[slot];
	uint64_t pages = r->size >> BUS_PAGE_SHIFT, first = r->host - ram->host;
	g_autofree uint64_t *bits = NULL;
	struct kvm_dirty_log log = {.slot = slot};

	if (r->host < ram->host || first >= ram->bytes || !r->writable)
		return;
	bits = g_new0(uint64_t, (pages + 63) / 64);
	log.dirty_bitmap = bits;
	if (kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) < 0) {
		bus_dirty_mark(vm->bus, first, r->size); /* all, to be sure */
		return;
	}
	for (uint64_t i = 0; i < pages; i++)
		if (bits[i / 64] >> i % 64 & 1)
			bus_dirty_mark(vm->bus, first + (i << BUS_PAGE_SHIFT),
				BUS_PAGE_SIZE);
}

int kvm_memory_dirty(struct cpu_vm *vm, enum cpu_dirty what)
{
	bool failed = false;

	for (unsigned i = 0; i < KVM_MAX_SLOTS; i++) {
		struct bus_range r = vm->slots[i];

		if (!r.size || !r.writable)
			continue;
		if (what != CPU_DIRTY_START)
			kvm_slot_fetch(vm, i);
		if (what == CPU_DIRTY_FETCH)
			continue;
		vm->log_dirty = what == CPU_DIRTY_START;
		kvm_slot_set(vm, i, &r);
		failed |= !vm->slots[i].size;
	}
	return failed ? -ENOTSUP : 0;
}
