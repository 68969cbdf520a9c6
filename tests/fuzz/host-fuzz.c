/*
 * host-fuzz.c - the host processor judges engines: random user-mode
 * instructions one at a time, or in blocks.
 *
 *   host-fuzz [ENGINE [COUNT [SEED [MODE]]]]
 *
 * MODE is 16, 32, 64 or 0 for all, and with b behind it (64b, 32b, 16b, 0b) it
 * is blocks of instructions with branches, loops and calls, each run with
 * several inputs; with k (64k, 64kb) engines run it in ring 0.  COUNT is of
 * instructions carried out and compared; those of blocks are counted by the
 * interpreter, which is judged as well then.
 *
 * Every batch of cases has its own seed, printed with a difference; COUNT 1
 * with that seed and mode runs just that batch.  Flags that the manual calls
 * undefined after the instruction are compared too, unless STRICT=0 is in the
 * environment.  OP=name there leaves only that operation, SHOW=n prints so many
 * differences, TIME=s ends after so many seconds, CPUS=n makes a machine with
 * so many processors of which one runs, OPS=1 lists how often the interpreter
 * carried out each operation.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

#define MAX_ENGINES 2

/* What the handler of a fault may take, so that it is not counted. */
#define HANDLER_INSNS 48

struct judged {
	const char *name;
	struct host_engine *e;
	struct host_judge how;
	uint64_t bad;
};

static struct judged engines[MAX_ENGINES];
static unsigned nengines;
static struct host_engine *counter; /* of instructions in blocks */
static uint64_t per_batch, per_case;
static unsigned shown, max_shown = 40;
static uint64_t now_seed;
static unsigned now_mode;
static struct host_batch batch;
static struct host_case cases[HOST_BATCH];

/* What was done in all. */
static struct {
	uint64_t insns, cases, ignored, faults, blocks;
} sum;

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

/* ---- printing ---- */

static void print_code(const struct host_case *k, unsigned off, unsigned len,
	const struct x86_insn *i)
{
	char text[128];

	for (unsigned n = 0; n < len; n++)
		printf("%02x", k->code[off + n]);
	x86_disasm(i, k->at + off, text, sizeof(text));
	printf("  %s\n", text);
}

static void print_case(const struct host_case *k, unsigned n)
{
	struct x86_insn i;

	printf("seed %lu mode %u%s%s case %u: ", now_seed, k->mode * 8,
		host_kernel ? "k" : "", k->block ? "b" : "", n);
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
	if (k->mode != 8)
		printf("    cs %04x ss %04x ds %04x es %04x\n",
			host_segs.sel[X86_CS], host_segs.sel[X86_SS],
			host_segs.sel[X86_DS], host_segs.sel[X86_ES]);
}

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

static void print_difference(
	const struct judged *j, unsigned n, const struct host_out *e)
{
	const struct host_out *h = &host_native_out()[n];
	const struct host_case *k = &cases[n];

	if (shown++ >= max_shown)
		return;
	printf("%s: ", j->name);
	print_case(k, n);
	print_inputs(k);
	if (!k->block)
		print_vectors(k);
	for (unsigned i = 0; i < h->nfaults && i < HOST_MAX_FAULTS; i++)
		printf("    fault %lu at %lx\n", h->fault[i].vector,
			h->fault[i].rip);
	host_compare(&j->how, k, h, e, true);
	fflush(stdout);
}

/* ---- batches ---- */

/* Bytes that follow the code: a jump to the driver. */
static unsigned put_exit(uint8_t *p, unsigned mode)
{
	uint32_t to = HOST_LABEL(leave);

	memset(p, 0, 14);
	if (mode == 8) { /* jmp [rip] */
		p[0] = 0xff;
		p[1] = 0x25;
		memcpy(p + 6, &to, 4);
		return 14;
	}
	if (mode == 2)
		*p++ = 0x66;
	*p++ = 0xea; /* jmp 0x33:leave */
	memcpy(p, &to, 4);
	p[4] = 0x33;
	return 8;
}

/*
 * Behind a fault a case goes on if the instruction has left nothing behind that
 * only some processors leave, or its second part would differ too.  IRET to a
 * 16-bit stack would lose half of ESP, which Linux prevents.
 */
static bool may_resume(const struct x86_insn *i)
{
	if (host_segs.narrow_stack || i->def->attr & (X86_AT_MMX | X86_AT_X87))
		return false;
	return i->op != X86_OP_POPA && i->op != X86_OP_VCVTPS2PH;
}

static void place(const struct host_case *k)
{
	unsigned at = k->at - HOST_CODE, len;
	uint8_t *step = batch.step + at;
	struct x86_insn i;

	memcpy(batch.code + at, k->code, k->len);
	put_exit(batch.code + at + k->len, k->mode);
	memset(step, STEP_BETWEEN, k->len);
	for (unsigned off = 0; off < k->len; off += len) {
		if (x86_decode(&i, k->code + off, k->len - off, k->mode) !=
			X86_DEC_OK)
			break;
		len = i.len;
		step[off] = len | (may_resume(&i) ? STEP_RESUME : 0);
	}
}

static void begin_batch(uint64_t seed, unsigned mode)
{
	now_seed = seed;
	now_mode = mode;
	host_seed(seed);
	host_segs_choose(mode);
	memset(batch.code, 0xcc, HOST_CODE_BYTES);
	memset(batch.step, 0, HOST_CODE_BYTES);
	host_make_data(batch.data);
	batch.mode = mode;
	batch.n = HOST_BATCH;
	batch.c = cases;
}

/* Each where its short branches meet no other; one crosses pages. */
static void make_singles(uint64_t seed, unsigned mode)
{
	begin_batch(seed, mode);
	for (unsigned n = 0; n < HOST_BATCH; n++) {
		uint32_t at = HOST_CODE + 128 + n * 256;

		if (n == HOST_BATCH - 1)
			at = HOST_CODE + 0x3000 - 1 - host_below(14);
		host_make(&cases[n], mode, at);
		place(&cases[n]);
	}
}

static void make_block(uint64_t seed, unsigned mode)
{
	begin_batch(seed, mode);
	host_make_block(&cases[0], mode);
	place(&cases[0]);
	for (unsigned n = 0; n < HOST_BATCH; n++) {
		if (n)
			cases[n] = cases[0];
		host_make_block_inputs(&cases[n]);
	}
	sum.blocks++;
}

/* Memory differs where that is forgiven: what follows cannot be the same. */
static bool spoiled(const struct host_out *e, unsigned n)
{
	return memcmp(e[n].data, host_native_out()[n].data, HOST_DATA_BYTES);
}

static void judge_batch(struct judged *j)
{
	const struct host_out *e = host_engine_run(j->e, &batch);

	for (unsigned n = 0; n < batch.n; n++) {
		if (host_native_in()[n].skip)
			continue;
		if (host_compare(&j->how, &cases[n], &host_native_out()[n],
			    &e[n], false)) {
			j->bad++;
			print_difference(j, n, &e[n]);
			break;
		}
		if (spoiled(e, n))
			break;
	}
	if (memcmp(host_engine_constant(j->e), batch.data + HOST_DATA_BYTES,
		    HOST_BYTES - HOST_DATA_BYTES)) {
		printf("%s: seed %lu: read-only page written\n", j->name,
			now_seed);
		j->bad++;
	}
}

static void run_batch(void)
{
	uint64_t before = counter ? host_engine_insns(counter) : 0;
	uint64_t ran = 0, faults = 0, all;

	host_native_run(&batch);
	for (unsigned n = 0; n < nengines; n++)
		judge_batch(&engines[n]);
	for (unsigned n = 0; n < batch.n; n++) {
		if (host_native_in()[n].skip)
			continue;
		ran++;
		faults += host_native_out()[n].nfaults;
	}
	sum.cases += ran;
	sum.ignored += HOST_BATCH - ran;
	sum.faults += faults;
	if (!counter) {
		sum.insns += ran;
		return;
	}
	all = host_engine_insns(counter) - before;
	before = per_batch + per_case * ran + HANDLER_INSNS * faults;
	sum.insns += all > before ? all - before : 0;
}

/* What the driver takes, so that it is not counted. */
static void calibrate(void)
{
	uint64_t n[2];

	begin_batch(0, 8);
	cases[0] =
		(struct host_case){.mode = 8, .at = HOST_INSN, .block = true};
	host_make_block_inputs(&cases[0]);
	cases[1] = cases[0];
	place(&cases[0]);
	for (unsigned i = 0; i < 2; i++) {
		n[i] = host_engine_insns(counter);
		batch.n = i + 1;
		host_native_run(&batch);
		host_engine_run(counter, &batch);
		n[i] = host_engine_insns(counter) - n[i];
	}
	per_case = n[1] - n[0];
	per_batch = n[0] - per_case;
}

/* ---- life ---- */

static bool add_engine(const char *name)
{
	struct judged *j = &engines[nengines];

	j->e = host_engine_new(name);
	if (!j->e)
		return false;
	j->name = name;
	j->how.strict = true;
	if (getenv("STRICT"))
		j->how.strict = atoi(getenv("STRICT"));
	j->how.live = strcmp(name, "interp") != 0;
	nengines++;
	return true;
}

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void print_sum(bool block, uint64_t first, uint64_t last)
{
	double took = seconds(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t bad = 0;

	for (unsigned n = 0; n < nengines; n++) {
		printf("%s%s", n ? ", " : "", engines[n].name);
		bad += engines[n].bad;
	}
	printf(": %lu instructions", sum.insns);
	if (block)
		printf(" in %lu blocks with %lu inputs", sum.blocks, sum.cases);
	printf(", %lu faults, %lu ignored; %.1f CPU s, %.2f million/s; "
	       "%lu differences (seeds %lu to %lu)\n",
		sum.faults, sum.ignored, took, sum.insns / took / 1e6, bad,
		first, last);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *engine = argc > 1 ? argv[1] : "interp";
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 300000;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1, last = seed;
	unsigned mode = argc > 4 ? (unsigned)atoi(argv[4]) / 8 : 0;
	bool block = argc > 4 && strchr(argv[4], 'b');
	double stop = getenv("TIME") ? atof(getenv("TIME")) : 1e9;

	if (getenv("SHOW"))
		max_shown = (unsigned)atoi(getenv("SHOW"));
	host_kernel = argc > 4 && strchr(argv[4], 'k');
	if (!add_engine(engine) ||
		(block && strcmp(engine, "interp") && !add_engine("interp"))) {
		fprintf(stderr, "engine %s: not here\n", engine);
		return 77;
	}
	host_native_init();
	signal(SIGPROF, on_time);
	if (block) {
		counter = engines[nengines - 1].e;
		calibrate();
	}
	stop += seconds(CLOCK_MONOTONIC);
	for (; sum.insns < count && seconds(CLOCK_MONOTONIC) < stop; last++) {
		static const uint8_t modes[] = {8, 4, 8, 2};
		unsigned m = mode ? mode : modes[last % 4];

		set_watch();
		if (block)
			make_block(last, m);
		else
			make_singles(last, m);
		run_batch();
		if (count == 1)
			break;
	}
	print_sum(block, seed, last - 1);
	if (getenv("OPS"))
		host_engine_print_ops(engines[nengines - 1].e);
	return engines[0].bad || engines[1].bad;
}
