/*
 * host-segs.c - segments of 16- and 32-bit code: Linux's flat ones, or some of
 * a local descriptor table that both sides have.
 *
 * Their bases are such that the same linear addresses are met, their limits
 * such that these are sometimes beyond them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/ldt.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

struct host_segs host_segs;

enum { DATA, DOWN, CODE };

/* 16-bit code reaches 64 KiB. */
static const struct segment {
	uint32_t base, limit;
	uint8_t contents;
	bool wide, pages, read_only;
} table[HOST_LDT_ENTRIES] = {
	{HOST_CODE, 0xffff, CODE, false, false, false},
	{HOST_CODE - 0x400, 0xf, CODE, false, true, true},
	{HOST_CODE, 0x3fff, CODE, true, false, false},
	{0x10000000, 0xfffff, CODE, true, true, false},
	/* for 32-bit code */
	{0, 0x20002, DATA, true, true, false},
	{0x100, 0x20001, DATA, true, true, false},
	{0x10000000, 0xfffff, DATA, true, true, false},
	{0, 0x1ffff, DOWN, true, true, false},
	{0xfffff000, 0xfffff, DATA, true, true, true},
	/* for 16-bit code */
	{HOST_DATA, 0xffff, DATA, false, false, false},
	{HOST_DATA, 0xffff, DATA, true, false, false},
	{HOST_DATA - 16, 0x1fff, DATA, false, false, false},
	{HOST_DATA, 0x2, DATA, true, true, false},
	{HOST_DATA - 0xd000, 0xd7ff, DOWN, false, false, false},
	{HOST_DATA, 0x1fff, DATA, false, false, true},
};
#define FIRST_DATA32 4
#define FIRST_DATA16 9

/* As struct user_desc of Linux makes it. */
uint64_t host_segs_descriptor(unsigned n)
{
	const struct segment *s = &table[n];
	uint64_t d = (s->limit & 0xffff) | (uint64_t)(s->base & 0xffffff) << 16;

	d |= (0xf1ull | (s->read_only ? 0 : 2) | s->contents << 2) << 40;
	d |= (uint64_t)(s->limit >> 16) << 48;
	d |= (uint64_t)s->wide << 54 | (uint64_t)s->pages << 55;
	return d | (uint64_t)(s->base >> 24) << 56;
}

bool host_segs_init(void)
{
	for (unsigned n = 0; n < HOST_LDT_ENTRIES; n++) {
		const struct segment *s = &table[n];
		struct user_desc d = {.entry_number = n,
			.base_addr = s->base,
			.limit = s->limit,
			.seg_32bit = s->wide,
			.contents = s->contents,
			.read_exec_only = s->read_only,
			.limit_in_pages = s->pages};

		if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
			return false;
	}
	return true;
}

static void set(unsigned seg, unsigned n)
{
	host_segs.sel[seg] = n << 3 | 7;
	host_segs.base[seg] = table[n].base;
	if (seg == X86_SS)
		host_segs.narrow_stack = !table[n].wide;
}

static unsigned data_segment(unsigned seg, unsigned mode)
{
	unsigned first = mode == 2 ? FIRST_DATA16 : FIRST_DATA32;
	unsigned end = mode == 2 ? HOST_LDT_ENTRIES : FIRST_DATA16;

	for (;;) {
		unsigned n = first + host_below(end - first);

		if (seg != X86_SS || !table[n].read_only)
			return n;
	}
}

void host_segs_choose(unsigned mode)
{
	static const uint8_t data[] = {X86_SS, X86_DS, X86_ES};
	struct host_segs *s = &host_segs;

	memset(s, 0, sizeof(*s));
	s->sel[X86_CS] = mode == 8 ? 0x33 : 0x23;
	s->sel[X86_SS] = 0x2b;
	if (mode == 8)
		return;
	s->sel[X86_DS] = s->sel[X86_ES] = 0x2b;
	if (mode == 4 && host_chance(2))
		return;
	if (mode == 2 || host_chance(2))
		set(X86_CS, (mode == 2 ? 0 : 2) + host_below(2));
	for (unsigned i = 0; i < sizeof(data); i++)
		if (mode == 2 || host_chance(2))
			set(data[i], data_segment(data[i], mode));
}
