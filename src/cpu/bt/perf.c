/*
 * perf.c - names of translated code for perf(1).
 *
 * With VMESTE_PERF_MAP in its environment a machine's process appends to
 * /tmp/perf-PID.map, opened before it gives up its rights: a line of hot and
 * one of cold code a block, with mode and address of the guest.  Code of
 * evicted blocks stays listed; the last line of an address counts.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu/bt/priv.h"

void bt_perf_init(struct cpu_vm *vm)
{
	char path[64];

	vm->perf = -1;
	if (!getenv("VMESTE_PERF_MAP"))
		return;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	vm->perf = open(path,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void bt_perf_fini(struct cpu_vm *vm)
{
	if (vm->perf >= 0)
		close(vm->perf);
}

static void bt_perf_line(struct cpu_vm *vm, const uint8_t *from,
	const uint8_t *to, const char *name)
{
	if (to > from)
		dprintf(vm->perf, "%" PRIxPTR " %tx %s\n", (uintptr_t)from,
			to - from, name);
}

void bt_perf_block(struct soft_cpu *c, const struct bt_block *b,
	const uint8_t *hot, const uint8_t *cold)
{
	struct cpu_vm *vm = bt_vm(c);
	char name[64];
	uint64_t rip = c->st.rip & ~(BUS_PAGE_SIZE - 1);

	snprintf(name, sizeof(name), "%s%u_%" PRIx64 "%s",
		c->cpl == 3 ? "user" : "kernel", c->code_size * 8, rip | b->off,
		b->checked ? "_checked" : "");
	bt_perf_line(vm, hot, vm->hot, name);
	strcat(name, "_cold");
	bt_perf_line(vm, cold, vm->cold, name);
}
