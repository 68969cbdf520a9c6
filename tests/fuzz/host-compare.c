/*
 * host-compare.c - what differs between the processor's result and an engine's.
 */
#include <stdio.h>
#include <string.h>

#include "host.h"

static void show(const char *what, uint64_t at, uint64_t host, uint64_t engine)
{
	printf("    %6s+%-4lu host %016lx engine %016lx\n", what, at, host,
		engine);
}

static unsigned compare_bytes(const char *what, const void *host,
	const void *engine, unsigned n, bool print)
{
	const uint8_t *h = host, *e = engine;
	unsigned bad = 0;

	if (!memcmp(h, e, n))
		return 0;
	for (unsigned at = 0; at < n; at += 8) {
		uint64_t a = 0, b = 0;

		memcpy(&a, h + at, n - at < 8 ? n - at : 8);
		memcpy(&b, e + at, n - at < 8 ? n - at : 8);
		if (a == b)
			continue;
		if (print && bad < 6)
			show(what, at, a, b);
		bad++;
	}
	return bad;
}

static unsigned compare_fpu(
	const struct x86_fpu *h, const struct x86_fpu *e, bool print)
{
	unsigned bad = compare_bytes("fx", h->fx, e->fx, 24, print) +
		       compare_bytes("mxcsr", h->fx + 24, e->fx + 24, 4, print);
	char what[16];

	for (unsigned n = 0; n < 8; n++) {
		snprintf(what, sizeof(what), "st%u", n);
		bad += compare_bytes(what, h->fx + 32 + n * 16,
			e->fx + 32 + n * 16, 10, print);
	}
	for (unsigned n = 0; n < 32; n++) {
		snprintf(what, sizeof(what), "zmm%u", n);
		bad += compare_bytes(what, h->zmm[n], e->zmm[n], 64, print);
	}
	return bad + compare_bytes("k", h->k, e->k, 64, print);
}

static unsigned compare_fault(
	const struct host_result *h, const struct host_result *e, bool print)
{
	uint32_t ignore = 0;

	if (h->faulted != e->faulted ||
		(h->faulted && h->vector != e->vector)) {
		if (print)
			show("vector", 0, h->faulted ? h->vector : 0xffff,
				e->faulted ? e->vector : 0xffff);
		return 1;
	}
	if (!h->faulted)
		return 0;
	/* Linux hides from user mode what of its half is mapped. */
	if (h->vector == X86_PF && h->cr2 >= 0x7ffffffff000ull)
		ignore = 1;
	if ((h->error ^ e->error) & ~ignore) {
		if (print)
			show("error", 0, h->error, e->error);
		return 1;
	}
	if (h->vector == X86_PF && h->cr2 != e->cr2) {
		if (print)
			show("cr2", 0, h->cr2, e->cr2);
		return 1;
	}
	return 0;
}

/*
 * What processors leave behind of an instruction that faulted, though the
 * manual has it leave nothing: Intel's clear TOP before an MMX store,
 * write the first part of a long operand that crosses into a forbidden page,
 * load some registers of POPA, set the underflow flag before VCVTPS2PH's store
 * faults, and try some byte within a masked operand first if that crosses
 * pages.
 */
static void forgive(
	const struct host_case *k, struct host_result *h, struct host_result *e)
{
	struct x86_insn at, *i = &at;
	uint64_t off = h->rip - k->at;
	uint32_t attr;

	if (k->insn.op == X86_OP_FXRSTOR) {
		/* FIP and FDP become canonical for the host's address width */
		memcpy(h->fpu.fx + 14, e->fpu.fx + 14, 2);
		memcpy(h->fpu.fx + 22, e->fpu.fx + 22, 2);
	}
	if (!h->faulted || off >= k->len ||
		x86_decode(i, k->code + off, k->len - off, k->mode) !=
			X86_DEC_OK)
		return;
	attr = i->def->attr;
	if (attr & X86_AT_MMX && h->vector != X86_XM)
		memcpy(h->fpu.fx, e->fpu.fx, 160);
	if (h->vector != X86_XM && i->op == X86_OP_VCVTPS2PH)
		memcpy(h->fpu.fx + 24, e->fpu.fx + 24, 4);
	if (i->aaa || !strncmp(i->def->name, "vmaskmov", 8) ||
		!strncmp(i->def->name, "vpmaskmov", 9))
		h->cr2 = h->cr2 >> 12 == e->cr2 >> 12 ? e->cr2 : h->cr2;
	if (i->op == X86_OP_POPA)
		memcpy(h->gpr, e->gpr, sizeof(h->gpr));
	if (attr & X86_AT_X87)
		memcpy(h->data, e->data, HOST_BYTES);
}

static bool may_keep_flags(const struct x86_insn *i)
{
	if (!(i->def->attr & X86_AT_MAYFLAGS))
		return false;
	if (i->op != X86_OP_SHL && i->op != X86_OP_SHR && i->op != X86_OP_SAR)
		return true;
	return !i->imm_size || !(i->imm & (i->osize == 8 ? 63 : 31));
}

/*
 * Arithmetic flags that are read, on some path from off on, before they are
 * written: those that matter in the frame of a fault there.  A flag that
 * nothing reads any more may be an older one in a translator.
 */
static uint32_t flags_live(
	const struct host_case *k, uint64_t off, uint32_t open, uint8_t *seen)
{
	struct x86_insn i;
	uint32_t live = 0;

	while (open && off < k->len && !(seen[off / 8] & 1 << off % 8)) {
		seen[off / 8] |= 1 << off % 8;
		if (x86_decode(&i, k->code + off, k->len - off, k->mode) !=
			X86_DEC_OK)
			return live;
		live |= i.def->flags_read & open;
		if (!may_keep_flags(&i))
			open &= ~(i.def->flags_written | i.def->flags_undef);
		off += i.len;
		if (!(i.def->attr & X86_AT_BRANCH))
			continue;
		if (!i.nopnds || i.opnd[0].kind != X86_OK_REL)
			return live;
		live |= flags_live(k, off + i.imm, open, seen);
		if (!(i.def->attr & X86_AT_COND))
			return live;
	}
	return off == k->len ? live | open : live;
}

static uint32_t flags_to_compare(const struct host_judge *j,
	const struct host_case *k, const struct host_result *h)
{
	uint8_t seen[HOST_MAX_CODE / 8 + 1] = {0};
	uint32_t flags = 0x3fffff;

	if (!h->faulted && !k->block && !j->strict)
		flags &= ~k->insn.def->flags_undef;
	/* traps are reported behind their instruction */
	if (!h->faulted || !j->live || !k->block || h->vector == X86_DB ||
		h->vector == X86_BP || h->vector == X86_OF)
		return flags;
	flags &= ~X86_FL_ARITH;
	return flags | flags_live(k, h->rip - k->at, X86_FL_ARITH, seen);
}

unsigned host_compare(const struct host_judge *j, const struct host_case *k,
	struct host_result *h, struct host_result *e, bool print)
{
	uint64_t mask = k->mode == 8 ? ~0ull : 0xffffffffull;
	uint32_t flags = flags_to_compare(j, k, h);
	unsigned bad;

	forgive(k, h, e);
	bad = compare_fault(h, e, print);
	for (unsigned r = 0; r < (k->mode == 8 ? 16u : 8u); r++)
		if ((h->gpr[r] ^ e->gpr[r]) & mask) {
			if (print)
				show("gpr", r, h->gpr[r], e->gpr[r]);
			bad++;
		}
	if ((h->rip ^ e->rip) & mask) {
		if (print)
			show("rip", 0, h->rip, e->rip);
		bad++;
	}
	if ((h->rflags ^ e->rflags) & flags) {
		if (print)
			show("rflags", 0, h->rflags, e->rflags);
		bad++;
	}
	bad += compare_fpu(&h->fpu, &e->fpu, print);
	return bad + compare_bytes("data", h->data, e->data, HOST_BYTES, print);
}
