/*
 * host-fuzz.c - the host processor judges an engine, one random user-mode
 * instruction at a time, or a block of them.
 *
 *   host-fuzz [ENGINE [COUNT [SEED [MODE]]]]
 *
 * MODE is 32, 64 or 0 for both, and with b behind it (64b, 32b, 0b) it is
 * blocks of instructions with branches, loops and calls, each run with several
 * inputs.  Every case has its own seed, printed with a difference; COUNT 1
 * with that seed and mode runs just this case, verbosely.
 * Flags that the manual calls undefined after the instruction are compared
 * too, unless STRICT=0 is in the environment.  OP=name there leaves only that
 * operation, SHOW=n prints so many differences.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "host.h"

static struct host_judge judge = {.strict = true};
static uint64_t done[X86_NOPS], done_all;
static unsigned shown, max_shown = 40;
static uint64_t now_seed;
static unsigned now_mode;

/* The engine hangs. */
static void on_time(int sig)
{
	fprintf(stderr, "seed %lu mode %u: does not end\n", now_seed,
		now_mode * 8);
	_exit(1);
}

/* In processor time, for the machine may be busy. */
static void set_watch(void)
{
	struct itimerval t = {.it_value = {.tv_sec = 60}};

	setitimer(ITIMER_PROF, &t, NULL);
}

static void print_code(const struct host_case *k, unsigned off, unsigned len,
	const struct x86_insn *i)
{
	char text[128];

	for (unsigned n = 0; n < len; n++)
		printf("%02x", k->code[off + n]);
	x86_disasm(i, k->at + off, text, sizeof(text));
	printf("  %s\n", text);
}

static void print_case(const struct host_case *k, uint64_t seed)
{
	struct x86_insn i;

	printf("seed %lu mode %u%s: ", seed, k->mode * 8, k->block ? "b" : "");
	if (!k->block) {
		print_code(k, 0, k->len, &k->insn);
		return;
	}
	printf("%u bytes\n", k->len);
	for (unsigned off = 0; off < k->len; off += i.len) {
		if (x86_decode(&i, k->code + off, k->len - off, k->mode) !=
			X86_DEC_OK)
			break;
		printf("    %x: ", k->at + off);
		print_code(k, off, i.len, &i);
	}
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

static enum verdict judge_case(struct host_case *k, uint64_t seed, bool verbose)
{
	static struct host_result h, e;

	if (verbose) {
		print_inputs(k);
		if (!k->block)
			print_vectors(k);
		fflush(stdout);
	}
	host_native_run(k, &h);
	if (h.ignore)
		return SKIPPED;
	host_engine_run(k, &e);
	if (!host_compare(&judge, k, &h, &e, false))
		return SAME;
	if (shown++ < max_shown) {
		if (!verbose)
			print_case(k, seed);
		if (h.faulted)
			printf("    fault %u at %lx\n", h.vector, h.rip);
		host_compare(&judge, k, &h, &e, true);
		fflush(stdout);
	}
	return DIFFERENT;
}

static enum verdict run_case(uint64_t seed, unsigned mode, bool verbose)
{
	static struct host_case k;

	host_seed(seed);
	memset(k.data, 0, sizeof(k.data));
	host_make(&k, mode);
	if (!verbose && worn_out(k.insn.op))
		return SKIPPED;
	if (verbose)
		print_case(&k, seed);
	return judge_case(&k, seed, verbose);
}

/* One block, with up to eight inputs. */
static enum verdict run_block(uint64_t seed, unsigned mode, bool verbose)
{
	static struct host_case k;
	enum verdict v = SKIPPED, all = SKIPPED;

	host_seed(seed);
	memset(k.data, 0, sizeof(k.data));
	host_make_block(&k, mode);
	if (verbose)
		print_case(&k, seed);
	for (unsigned n = 1 + host_below(8); n && all != DIFFERENT; n--) {
		host_make_block_inputs(&k);
		v = judge_case(&k, seed, verbose);
		all = v == SKIPPED ? all : v;
	}
	return all;
}

int main(int argc, char **argv)
{
	const char *engine = argc > 1 ? argv[1] : "interp";
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 300000;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	unsigned mode = argc > 4 ? (unsigned)atoi(argv[4]) / 8 : 0;
	bool block = argc > 4 && strchr(argv[4], 'b');
	uint64_t bad = 0;

	if (getenv("SHOW"))
		max_shown = (unsigned)atoi(getenv("SHOW"));
	if (getenv("STRICT"))
		judge.strict = atoi(getenv("STRICT"));
	judge.live = strcmp(engine, "interp") != 0;
	if (host_engine_init(engine)) {
		fprintf(stderr, "engine %s: not here\n", engine);
		return 77;
	}
	host_native_init();
	signal(SIGPROF, on_time);
	for (uint64_t n = 0, ran = 0; ran < count; n++) {
		unsigned m = mode ? mode : (seed + n) % 4 ? 8 : 4;
		enum verdict v;

		if (n % 1024 == 0)
			set_watch();
		now_seed = seed + n;
		now_mode = m;
		v = block ? run_block(seed + n, m, count == 1)
			  : run_case(seed + n, m, count == 1);
		ran += v != SKIPPED || count == 1;
		bad += v == DIFFERENT;
	}
	printf("%s: %lu %s, %lu differences (seeds %lu on)\n", engine, count,
		block ? "blocks" : "instructions", bad, seed);
	return bad ? 1 : 0;
}
