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

static unsigned compare_fpu(const uint8_t *h, const uint8_t *e, bool print)
{
	unsigned bad = compare_bytes("fx", h, e, 24, print) +
		       compare_bytes("mxcsr", h + 24, e + 24, 4, print);
	char what[16];

	for (unsigned n = 0; n < 8; n++) {
		snprintf(what, sizeof(what), "st%u", n);
		bad += compare_bytes(
			what, h + 32 + n * 16, e + 32 + n * 16, 10, print);
	}
	for (unsigned n = 0; n < 16; n++) {
		snprintf(what, sizeof(what), "xmm%u", n);
		bad += compare_bytes(
			what, h + 160 + n * 16, e + 160 + n * 16, 16, print);
	}
	return bad + compare_bytes("xsave", h, e, HOST_XSAVE, print && !bad);
}

static unsigned compare_vector(
	const struct host_fault *h, const struct host_fault *e, bool print)
{
	uint32_t ignore = 0;

	if (h->vector != e->vector) {
		if (print)
			show("vector", 0, h->vector, e->vector);
		return 1;
	}
	/* Linux hides from user mode what of its half is mapped. */
	if (h->vector == X86_PF && h->cr2 >= 0x7ffffffff000ull)
		ignore = 1;
	if (h->vector == X86_PF && host_kernel)
		ignore |= 4; /* U/S */
	if ((h->error ^ e->error) & ~ignore) {
		if (print)
			show("error", 0, h->error, e->error);
		return 1;
	}
	if (h->cr2 != e->cr2) {
		if (print)
			show("cr2", 0, h->cr2, e->cr2);
		return 1;
	}
	return 0;
}

/* The instruction that faulted. */
static bool decode_at(
	const struct host_case *k, uint64_t rip, struct x86_insn *i)
{
	uint64_t off = rip + host_segs.base[X86_CS] - k->at;

	return off < k->len && x86_decode(i, k->code + off, k->len - off,
				       k->mode) == X86_DEC_OK;
}

/*
 * What processors leave behind of an instruction that faulted, though the
 * manual has it leave nothing: Intel's clear TOP before an MMX store,
 * write the first part of a long operand that crosses into a forbidden page,
 * load some registers of POPA, set the underflow flag before VCVTPS2PH's store
 * faults, and try some byte within a masked operand first if that crosses
 * pages.  But for that last one, such a fault ends its case: host_place.
 */
static void forgive(
	const struct host_case *k, struct host_out *h, const struct host_out *e)
{
	const struct host_fault *f;
	struct x86_insn at, *i = &at;
	uint32_t attr;

	if (k->insn.op == X86_OP_FXRSTOR) {
		/* FIP and FDP become canonical for the host's address width */
		memcpy(h->xsave + 14, e->xsave + 14, 2);
		memcpy(h->xsave + 22, e->xsave + 22, 2);
	}
	if (!h->left)
		return;
	f = &h->fault[h->nfaults - 1];
	if (!decode_at(k, f->rip, i))
		return;
	attr = i->def->attr;
	if (attr & X86_AT_MMX && f->vector != X86_XM)
		memcpy(h->xsave, e->xsave, 160);
	if (f->vector != X86_XM && i->op == X86_OP_VCVTPS2PH)
		memcpy(h->xsave + 24, e->xsave + 24, 4);
	if (i->op == X86_OP_POPA)
		memcpy(h->gpr, e->gpr, sizeof(h->gpr));
	if (attr & X86_AT_X87)
		memcpy(h->data, e->data, HOST_DATA_BYTES);
}

static void forgive_address(const struct host_case *k, struct host_fault *h,
	const struct host_fault *e)
{
	struct x86_insn i;

	if (h->cr2 == e->cr2 || h->cr2 >> 12 != e->cr2 >> 12 ||
		!decode_at(k, h->rip, &i))
		return;
	if (i.aaa || !strncmp(i.def->name, "vmaskmov", 8) ||
		!strncmp(i.def->name, "vpmaskmov", 9))
		h->cr2 = e->cr2;
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

/* In a fault's frame. */
static uint32_t flags_in_frame(const struct host_judge *j,
	const struct host_case *k, const struct host_fault *f)
{
	uint8_t seen[HOST_MAX_CODE / 8 + 1] = {0};
	uint64_t off = f->rip + host_segs.base[X86_CS] - k->at;
	uint32_t flags = 0x3fffff;

	/* traps are reported behind their instruction */
	if (!j->live || (!k->block && !off) || f->vector == X86_DB ||
		f->vector == X86_BP || f->vector == X86_OF)
		return flags;
	flags &= ~X86_FL_ARITH;
	return flags | flags_live(k, off, X86_FL_ARITH, seen);
}

/*
 * FXSAVE and kin, and what is accessed by elements, are many accesses, none of
 * which may be the one that crosses the end of what an address of 16 or 32 bits
 * reaches.  SDM vol. 3, 5.3: accesses beyond that "may or may not cause the
 * indicated exceptions".
 */
#define FXSAVE_BYTES 512

static bool may_wrap(const struct host_case *k, const struct host_fault *h,
	const struct host_fault *e)
{
	struct x86_insn i;
	uint64_t base;

	if (h->vector != X86_PF || k->mode == 8 || h->rip != e->rip ||
		(e->vector != X86_GP && e->vector != X86_SSF) ||
		!decode_at(k, h->rip, &i))
		return false;
	base = host_segs.base[i.seg];
	return (i.op == X86_OP_FXSAVE || i.op == X86_OP_FXRSTOR || i.aaa ||
		       i.def->attr & X86_AT_X87) &&
	       (k->mode == 4 ? base : h->cr2 - base + FXSAVE_BYTES > 0x10000);
}

static unsigned compare_fault(const struct host_judge *j,
	const struct host_case *k, const struct host_fault *host,
	const struct host_fault *e, bool print)
{
	struct host_fault copy = *host, *h = &copy;
	unsigned bad;

	if (!memcmp(h, e, sizeof(*h)) || may_wrap(k, h, e))
		return 0;
	forgive_address(k, h, e);
	bad = compare_vector(h, e, print);
	if (h->rip != e->rip) {
		if (print)
			show("rip", 0, h->rip, e->rip);
		return bad + 1;
	}
	if ((h->rflags ^ e->rflags) & flags_in_frame(j, k, h)) {
		if (print)
			show("rflags", 0, h->rflags, e->rflags);
		bad++;
	}
	return bad;
}

static unsigned compare_faults(const struct host_judge *j,
	const struct host_case *k, const struct host_out *h,
	const struct host_out *e, bool print)
{
	unsigned bad = 0;

	if (h->nfaults > HOST_MAX_FAULTS || e->nfaults > HOST_MAX_FAULTS)
		return 1;
	for (unsigned n = 0; n < h->nfaults && n < e->nfaults && !bad; n++)
		bad = compare_fault(j, k, &h->fault[n], &e->fault[n], print);
	if (!bad && (h->nfaults != e->nfaults || h->left != e->left)) {
		if (print)
			show("faults", 0, h->nfaults, e->nfaults);
		if (print && h->nfaults > e->nfaults)
			show("vector", 0, h->fault[e->nfaults].vector, ~0u);
		if (print && h->nfaults < e->nfaults)
			show("vector", 0, ~0u, e->fault[h->nfaults].vector);
		bad++;
	}
	return bad;
}

static unsigned compare_registers(const struct host_judge *j,
	const struct host_case *k, const struct host_out *h,
	const struct host_out *e, bool print)
{
	uint64_t mask = k->mode == 8 ? ~0ull : 0xffffffffull;
	uint32_t flags = 0x3fffff;
	unsigned bad = 0;

	for (unsigned r = 0; r < (k->mode == 8 ? 16u : 8u); r++)
		if ((h->gpr[r] ^ e->gpr[r]) & mask) {
			if (print)
				show("gpr", r, h->gpr[r], e->gpr[r]);
			bad++;
		}
	if (!k->block && !j->strict)
		flags &= ~k->insn.def->flags_undef;
	if (h->left) /* those in the frame count */
		flags = 0;
	if ((h->rflags ^ e->rflags) & flags) {
		if (print)
			show("rflags", 0, h->rflags, e->rflags);
		bad++;
	}
	return bad;
}

static bool same(const struct host_out *h, const struct host_out *e)
{
	return !memcmp(h, e,
		       OUT_FAULT +
			       (h->nfaults & 7) * sizeof(struct host_fault)) &&
	       !memcmp(h->xsave, e->xsave, HOST_XSAVE + HOST_DATA_BYTES);
}

unsigned host_compare(const struct host_judge *j, const struct host_case *k,
	const struct host_out *host, const struct host_out *e, bool print)
{
	static struct host_out copy, *h = &copy;
	unsigned bad;

	if (same(host, e))
		return 0;
	*h = *host;
	bad = compare_faults(j, k, h, e, print);
	forgive(k, h, e);
	bad += compare_registers(j, k, h, e, print);
	bad += compare_fpu(h->xsave, e->xsave, print);
	return bad +
	       compare_bytes("data", h->data, e->data, HOST_DATA_BYTES, print);
}
