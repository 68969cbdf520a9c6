/*
 * host-fuzz.c - the host processor judges an engine, one random user-mode
 * instruction at a time.
 *
 *   host-fuzz [ENGINE [COUNT [SEED [MODE]]]]
 *
 * MODE is 32, 64 or 0 for both.  Every case has its own seed, printed with a
 * difference; COUNT 1 with that seed and mode runs just this case, verbosely.
 * Flags that the manual calls undefined after the instruction are compared
 * too, unless STRICT=0 is in the environment.  OP=name there leaves only that
 * operation, SHOW=n prints so many differences.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

static bool strict = true;
static uint64_t done[X86_NOPS], done_all;
static unsigned shown, max_shown = 40;

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
	uint32_t attr = k->insn.def->attr;

	if (k->insn.op == X86_OP_FXRSTOR) {
		/* FIP and FDP become canonical for the host's address width */
		memcpy(h->fpu.fx + 14, e->fpu.fx + 14, 2);
		memcpy(h->fpu.fx + 22, e->fpu.fx + 22, 2);
	}
	if (!h->faulted)
		return;
	if (attr & X86_AT_MMX && h->vector != X86_XM)
		memcpy(h->fpu.fx, e->fpu.fx, 160);
	if (h->vector != X86_XM && k->insn.op == X86_OP_VCVTPS2PH)
		memcpy(h->fpu.fx + 24, e->fpu.fx + 24, 4);
	if (k->insn.aaa || !strncmp(k->insn.def->name, "vmaskmov", 8) ||
		!strncmp(k->insn.def->name, "vpmaskmov", 9))
		h->cr2 = h->cr2 >> 12 == e->cr2 >> 12 ? e->cr2 : h->cr2;
	if (k->insn.op == X86_OP_POPA)
		memcpy(h->gpr, e->gpr, sizeof(h->gpr));
	if (attr & X86_AT_X87)
		memcpy(h->data, e->data, HOST_BYTES);
}

static unsigned compare(const struct host_case *k, const struct host_result *h,
	const struct host_result *e, bool print)
{
	uint64_t mask = k->mode == 8 ? ~0ull : 0xffffffffull;
	uint64_t flags = 0x3fffff;
	unsigned bad = compare_fault(h, e, print);

	if (!strict && !h->faulted)
		flags &= ~(uint64_t)k->insn.def->flags_undef;
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

static void print_case(const struct host_case *k, uint64_t seed)
{
	char text[128];

	x86_disasm(&k->insn, HOST_INSN, text, sizeof(text));
	printf("seed %lu mode %u: ", seed, k->mode * 8);
	for (unsigned n = 0; n < k->len; n++)
		printf("%02x", k->code[n]);
	printf("  %s\n", text);
}

static void print_inputs(const struct host_case *k)
{
	for (unsigned r = 0; r < 16; r += 4)
		printf("    %016lx %016lx %016lx %016lx\n", k->in.gpr[r],
			k->in.gpr[r + 1], k->in.gpr[r + 2], k->in.gpr[r + 3]);
	printf("    rflags %lx fcw %04x fsw %04x mxcsr %08x\n", k->in.rflags,
		*(const uint16_t *)k->in.fpu.fx,
		*(const uint16_t *)(k->in.fpu.fx + 2),
		*(const uint32_t *)(k->in.fpu.fx + 24));
}

/* Every operation gets about the same number of cases. */
static bool worn_out(unsigned op)
{
	const char *only = getenv("OP");

	if (only)
		return strcmp(only, x86_op_name(op)) != 0;
	if (done[op] * X86_NOPS > done_all * 4 + 4000)
		return true;
	done[op]++;
	done_all++;
	return false;
}

enum verdict { SAME, DIFFERENT, SKIPPED };

static void print_vectors(const struct host_case *k)
{
	for (unsigned n = 0; n < k->insn.nopnds; n++) {
		const struct x86_opnd *o = &k->insn.opnd[n];
		uint64_t v[8];

		if (o->kind != X86_OK_VEC)
			continue;
		memcpy(v, k->in.fpu.zmm[o->reg], 64);
		printf("    zmm%u", o->reg);
		for (unsigned i = 0; i < o->size / 8; i++)
			printf(" %016lx", v[i]);
		printf("\n");
	}
	if (k->insn.aaa)
		printf("    k%u %016lx\n", k->insn.aaa,
			k->in.fpu.k[k->insn.aaa]);
}

static enum verdict run_case(uint64_t seed, unsigned mode, bool verbose)
{
	static struct host_case k;
	static struct host_result h, e;

	host_seed(seed);
	memset(k.data, 0, sizeof(k.data));
	host_make(&k, mode);
	if (!verbose && worn_out(k.insn.op))
		return SKIPPED;
	if (verbose) {
		print_case(&k, seed);
		print_inputs(&k);
		print_vectors(&k);
		fflush(stdout);
	}
	host_native_run(&k, &h);
	if (h.ignore)
		return SKIPPED;
	host_engine_run(&k, &e);
	forgive(&k, &h, &e);
	if (!compare(&k, &h, &e, false))
		return SAME;
	if (shown++ < max_shown) {
		if (!verbose)
			print_case(&k, seed);
		compare(&k, &h, &e, true);
		fflush(stdout);
	}
	return DIFFERENT;
}

int main(int argc, char **argv)
{
	const char *engine = argc > 1 ? argv[1] : "interp";
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 300000;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	unsigned mode = argc > 4 ? (unsigned)atoi(argv[4]) / 8 : 0;
	uint64_t bad = 0;

	if (getenv("SHOW"))
		max_shown = (unsigned)atoi(getenv("SHOW"));
	if (getenv("STRICT"))
		strict = atoi(getenv("STRICT"));
	if (host_engine_init(engine)) {
		fprintf(stderr, "engine %s: not here\n", engine);
		return 77;
	}
	host_native_init();
	for (uint64_t n = 0, ran = 0; ran < count; n++) {
		unsigned m = mode ? mode : (seed + n) % 4 ? 8 : 4;
		enum verdict v;

		if (n % 1024 == 0)
			alarm(20);
		v = run_case(seed + n, m, count == 1);
		ran += v != SKIPPED || count == 1;
		bad += v == DIFFERENT;
	}
	printf("%s: %lu instructions, %lu differences (seeds %lu on)\n", engine,
		count, bad, seed);
	return bad ? 1 : 0;
}
