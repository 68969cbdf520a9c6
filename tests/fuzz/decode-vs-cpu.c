/*
 * decode-vs-cpu.c - x86_decode() against the processor that we run on.
 *
 *   decode-vs-cpu [count [seed]]
 *
 * A string that we accept with length L is placed so that its last byte is the
 * last one before an unmapped page: the processor must not raise #UD, nor want
 * the next page.  With one byte less it must want that page.  A string that we
 * refuse must raise #UD, when as many bytes are there as we want to see, and
 * not before.  (Other vendors' lengths of undefined instructions may differ.)
 * Instructions run with all registers zero and TF set,
 * so that they fault on memory or trap at once; in 64-bit mode and, through a
 * 32-bit code segment, in compatibility mode.
 *
 * Left out: what would leave this process (system calls, hypercalls) or change
 * FS, on which its C library stands.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <ucontext.h>

#include "x86/cpuid.h"
#include "x86/decode.h"

#define PAGE	  4096
#define CODE_64	  0x1000000000ul /* nothing within 2 GiB */
#define CODE_32	  0x40000000ul
#define USER32_CS 0x23
#define USER64_CS 0x33

static sigjmp_buf back;
static volatile int got_signal;
static volatile uint64_t got_addr, got_rip;

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	const ucontext_t *u = uc;

	got_signal = sig;
	got_addr = (uint64_t)info->si_addr;
	got_rip = u->uc_mcontext.gregs[REG_RIP];
	siglongjmp(back, 1);
}

/* IRET to cs:rip with all registers zero and TF. */
__attribute__((noreturn, noinline)) static void enter(uint64_t cs, uint64_t rip)
{
	__asm__ volatile("mov %%ss, %%ecx\n\t"
			 "push %%rcx\n\t"
			 "push $0\n\t"
			 "push $0x102\n\t"
			 "push %0\n\t"
			 "push %1\n\t"
			 "xor %%eax, %%eax\n\t"
			 "xor %%ebx, %%ebx\n\t"
			 "xor %%ecx, %%ecx\n\t"
			 "xor %%edx, %%edx\n\t"
			 "xor %%esi, %%esi\n\t"
			 "xor %%edi, %%edi\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "xor %%r8d, %%r8d\n\t"
			 "xor %%r9d, %%r9d\n\t"
			 "xor %%r10d, %%r10d\n\t"
			 "xor %%r11d, %%r11d\n\t"
			 "xor %%r12d, %%r12d\n\t"
			 "xor %%r13d, %%r13d\n\t"
			 "xor %%r14d, %%r14d\n\t"
			 "xor %%r15d, %%r15d\n\t"
			 "iretq"
			 :
			 : "r"(cs), "r"(rip)
			 : "rcx", "memory");
	__builtin_unreachable();
}

struct window {
	uint64_t at; /* executable page; the next one is unmapped */
	uint8_t *alias;
	unsigned mode;
};

enum outcome { RAN, WANTS_MORE, UNDEFINED };

static unsigned long seen[9][3]; /* by mode and outcome */

/* What does the processor do with the last n bytes before the hole? */
static enum outcome try_once(
	const struct window *w, const uint8_t *b, unsigned n)
{
	static const uint32_t mxcsr = 0x1f80;
	uint64_t rip = w->at + PAGE - n, hole = w->at + PAGE;

	memcpy(w->alias + PAGE - n, b, n);
	if (!sigsetjmp(back, 0))
		enter(w->mode == 8 ? USER64_CS : USER32_CS, rip);
	__asm__ volatile("push $2; popfq; cld; fninit; ldmxcsr %0"
			 :
			 : "m"(mxcsr)
			 : "cc");
	if (got_rip != rip)
		return RAN;
	if (got_signal == SIGILL)
		return UNDEFINED;
	/* a long one may fetch the hole's page for its data as well, but
	 * memory operands lie elsewhere */
	if (got_signal == SIGSEGV && got_addr == hole)
		return WANTS_MORE;
	return RAN;
}

static enum outcome try(const struct window *w, const uint8_t *b, unsigned n)
{
	enum outcome o = try_once(w, b, n);

	seen[w->mode][o]++;
	return o;
}

static bool window_open(struct window *w, uint64_t at, unsigned mode)
{
	int fd = memfd_create("code", 0);
	void *p;

	if (fd < 0 || ftruncate(fd, PAGE) < 0)
		return false;
	w->alias = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p = mmap((void *)at, PAGE, PROT_READ | PROT_EXEC,
		MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	close(fd);
	w->at = at;
	w->mode = mode;
	return w->alias != MAP_FAILED && p == (void *)at;
}

/* ---- samples ---- */

static uint64_t rng_state;

static uint64_t rng(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void make_sample(uint8_t b[16])
{
	static const uint8_t pfx[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36,
		0x48, 0x41, 0x4f, 0x66, 0xf3};
	uint64_t r = rng(), v = rng();
	unsigned n = 0;

	memcpy(b, &v, 8);
	v = rng();
	memcpy(b + 8, &v, 8);
	while ((r & 3) == 1 && n < 4) {
		b[n++] = pfx[rng() % sizeof(pfx)];
		r >>= 2;
	}
	switch (r >> 8 & 7) {
	case 0:
	case 1: b[n] = 0x0f; break;
	case 2:
		b[n] = 0x0f;
		b[n + 1] = r & 0x1000 ? 0x38 : 0x3a;
		break;
	case 3: b[n] = 0xc5; break;
	case 4:
		b[n] = 0xc4;
		b[n + 1] = (b[n + 1] & 0xe0) | (1 + (r >> 12) % 3);
		if (r & 0x8000)
			b[n + 2] |= 0x78;
		break;
	case 5:
	case 6:
		b[n] = 0x62;
		b[n + 1] = (b[n + 1] & 0xf0) |
			   ((uint8_t[]){1, 2, 3, 5, 6, 1, 2, 3})[r >> 12 & 7];
		b[n + 2] |= r & 0x8000 ? 0x7c : 4;
		b[n + 3] |= r & 0x10000 ? 8 : 0;
		break;
	}
}

/* ---- judging ---- */

/* Would it leave the process, or take FS away from the C library? */
static bool dangerous(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_SYSCALL:
	case X86_OP_SYSENTER:
	case X86_OP_INT:
	case X86_OP_INTO:
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE:
	case X86_OP_LFS:
	case X86_OP_LGS:
	case X86_OP_LSS: return true;
	case X86_OP_MOV_SREG: return in->opnd[0].kind == X86_OK_SREG;
	case X86_OP_XBEGIN: return true; /* aborts to anywhere */
	default: return in->seg_override == X86_FS;
	}
}

/* Accepted, and yet #UD at CPL 3 or for this processor's operating system. */
static bool undefined_here(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_UD0:
	case X86_OP_UD1:
	case X86_OP_UD2:
	case X86_OP_RSM:
	case X86_OP_CLAC:
	case X86_OP_STAC:
	case X86_OP_MONITOR:
	case X86_OP_MWAIT: return true;
	case X86_OP_SYSRET: return in->mode != 8; /* Intel */
	default: return false;
	}
}

/* 0F FF and 0F B9: the length of UD0 and UD1 cannot be told. */
static bool length_unknown(const struct x86_insn *in)
{
	return in->op == X86_OP_UD0 || in->op == X86_OP_UD1;
}

static unsigned long differences;

static void complain(const struct window *w, const uint8_t *b, const char *what,
	const char *name)
{
	differences++;
	if (differences > 200)
		return;
	printf("%u:", w->mode * 8);
	for (unsigned i = 0; i < 15; i++)
		printf(" %02x", b[i]);
	printf("  %s %s\n", name, what);
}

/* How many bytes do we want to see before we judge? */
static unsigned needed(const uint8_t *b, unsigned mode)
{
	struct x86_insn in;
	unsigned n = 1;

	while (n < 15 && x86_decode(&in, b, n, mode) == X86_DEC_MORE)
		n++;
	return n;
}

/* EXTRQ and INSERTQ have immediates on AMD only; VMCALL with a stray prefix
 * still calls the hypervisor on Intel. */
static bool refused_otherwise(const uint8_t *b)
{
	for (unsigned i = 0; i < 13; i++)
		if (b[i] == 0x0f &&
			((b[i + 1] & 0xfe) == 0x78 ||
				(b[i + 1] == 1 && b[i + 2] == 0xc1)))
			return true;
	return false;
}

/* Refused: the processor must want as many bytes, and then refuse as well. */
static void judge_refused(const struct window *w, const uint8_t *b)
{
	unsigned n = needed(b, w->mode);

	if (memchr(b, 0x64, 15) || refused_otherwise(b))
		return; /* should it run, FS must be left alone */
	if (try(w, b, n) != UNDEFINED)
		complain(w, b, "runs or is longer", "(refused)");
	else if (n > 1 && try(w, b, n - 1) != WANTS_MORE)
		complain(w, b, "is shorter", "(refused)");
}

static void judge(
	const struct window *w, const struct x86_cpu_model *m, const uint8_t *b)
{
	struct x86_insn in;
	enum x86_dec_status st = x86_decode(&in, b, 15, w->mode);
	enum outcome o;

	/* VEX and EVEX with a map number that has no map: when the processor
	 * says #UD varies */
	if (st == X86_DEC_UD && (in.enc == X86_ENC_LEGACY || in.map & 3))
		judge_refused(w, b);
	if (st != X86_DEC_OK || dangerous(&in))
		return;
	o = try(w, b, in.len);
	if (o == WANTS_MORE)
		complain(w, b, "is longer", in.def->name);
	/* what CPUID hides may run all the same under a hypervisor */
	else if (o == UNDEFINED && x86_insn_allowed(&in, m) &&
		 !undefined_here(&in))
		complain(w, b, "is undefined", in.def->name);
	else if (in.len > 1 && !length_unknown(&in) &&
		 x86_insn_allowed(&in, m) &&
		 try(w, b, in.len - 1) != WANTS_MORE)
		complain(w, b, "is shorter", in.def->name);
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000, i;
	static bool can[X86_NFEATURES];
	static struct x86_cpu_model m;
	struct window w64, w32;
	struct sigaction sa = {.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t ss = {.ss_size = 1 << 16, .ss_sp = malloc(1 << 16)};
	static const int sigs[] = {SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGFPE, 0};
	uint8_t b[16];

	rng_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(can, 1, sizeof(can));
	x86_cpu_model_init(
		&m, "host", can, &(struct x86_topology){1, 1, 1}, NULL);
	if (!window_open(&w64, CODE_64, 8) || !window_open(&w32, CODE_32, 4)) {
		printf("cannot map the test pages\n");
		return 77;
	}
	sigaltstack(&ss, NULL);
	for (i = 0; sigs[i]; i++)
		sigaction(sigs[i], &sa, NULL);
	for (i = 0; i < n; i++) {
		make_sample(b);
		judge(i & 1 ? &w64 : &w32, &m, b);
	}
	for (i = 4; i <= 8; i += 4)
		printf("%lu-bit: %lu ran, %lu wanted more, %lu undefined\n",
			i * 8, seen[i][RAN], seen[i][WANTS_MORE],
			seen[i][UNDEFINED]);
	printf("%lu strings, %lu differences\n", n, differences);
	return differences != 0;
}
