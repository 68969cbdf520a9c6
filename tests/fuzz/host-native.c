/*
 * host-native.c - run one instruction on the processor itself.
 *
 * Two stubs are written at HOST_AREA, below 4 GiB so that 32-bit code reaches
 * them: one loads all registers and jumps to the instruction, the other, which
 * follows the instruction by a jump, saves them.  Whatever faults is caught as
 * a signal, whose frame has the registers and the hardware's vector, error
 * code and address.
 */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host.h"

#define XSAVE_BYTES 4096u

/* At HOST_AREA. */
struct native_area {
	uint8_t enter[1024]; /* code */
	uint8_t leave[1024];
	uint64_t gpr[16], rflags, rip; /* in and out */
	uint64_t host_rsp;
	uint64_t insn[2]; /* far pointer of the entry */
	uint64_t stack[16];
	_Alignas(64) uint8_t xsave[XSAVE_BYTES];
};

static struct native_area *const area = (void *)(uintptr_t)HOST_AREA;
static uint8_t *code_alias; /* writable view of HOST_CODE */
static uint8_t *data_alias;
static uint32_t off_avx, off_k, off_zmm_hi, off_zmm16;
static sigjmp_buf out;
static struct host_result *result;
static uint64_t all_components;

/* ---- XSAVE images ---- */

static uint32_t component_offset(unsigned n)
{
	uint32_t a, b, c, d;

	__cpuid_count(0xd, n, a, b, c, d);
	return b;
}

static void xsave_from_fpu(uint8_t *x, const struct x86_fpu *f)
{
	memset(x, 0, XSAVE_BYTES);
	memcpy(x, f->fx, 160);
	x[28] = 0xff;
	x[29] = 0xff;
	for (unsigned n = 0; n < 16; n++) {
		memcpy(x + 160 + n * 16, f->zmm[n], 16);
		if (off_avx)
			memcpy(x + off_avx + n * 16, f->zmm[n] + 16, 16);
		if (!off_k)
			continue;
		memcpy(x + off_zmm_hi + n * 32, f->zmm[n] + 32, 32);
		memcpy(x + off_zmm16 + n * 64, f->zmm[n + 16], 64);
	}
	if (off_k)
		memcpy(x + off_k, f->k, 64);
	memcpy(x + 512, &all_components, 8);
}

static void xsave_to_fpu(struct x86_fpu *f, const uint8_t *x)
{
	uint64_t have;

	memset(f, 0, sizeof(*f));
	memcpy(&have, x + 512, 8);
	memcpy(f->fx, x, 160);
	if (!(have & 1)) {
		memset(f->fx, 0, 24);
		memset(f->fx + 32, 0, 128);
		f->fx[0] = 0x7f;
		f->fx[1] = 0x03;
	}
	for (unsigned n = 0; n < 16; n++) {
		if (have & 2)
			memcpy(f->zmm[n], x + 160 + n * 16, 16);
		if (have & 4)
			memcpy(f->zmm[n] + 16, x + off_avx + n * 16, 16);
		if (have & 1 << 6)
			memcpy(f->zmm[n] + 32, x + off_zmm_hi + n * 32, 32);
		if (have & 1 << 7)
			memcpy(f->zmm[n + 16], x + off_zmm16 + n * 64, 64);
	}
	if (have & 1 << 5)
		memcpy(f->k, x + off_k, 64);
}

/* ---- stubs ---- */

struct emit {
	uint8_t *p;
};

static void put(struct emit *e, const char *bytes, unsigned n)
{
	memcpy(e->p, bytes, n);
	e->p += n;
}
#define PUT(e, s) put(e, s, sizeof(s) - 1)

static void put4(struct emit *e, uint32_t v)
{
	memcpy(e->p, &v, 4);
	e->p += 4;
}

/* modrm and SIB for [disp32], absolute in 64-bit mode */
static void put_abs(struct emit *e, unsigned reg, const void *p)
{
	*e->p++ = 0x04 | (reg & 7) << 3;
	*e->p++ = 0x25;
	put4(e, (uint32_t)(uintptr_t)p);
}

static void put_mov(struct emit *e, unsigned reg, const void *p, bool store)
{
	*e->p++ = 0x48 | (reg & 8) >> 1;
	*e->p++ = store ? 0x89 : 0x8b;
	put_abs(e, reg, p);
}

static void make_enter(void)
{
	struct emit e = {area->enter};

	PUT(&e, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57\x9c");
	put_mov(&e, X86_RSP, &area->host_rsp, true);
	PUT(&e, "\xb8\xff\xff\xff\xff\xba\xff\xff\xff\xff"); /* eax, edx */
	PUT(&e, "\x48\x0f\xae");			     /* xrstor64 */
	put_abs(&e, 5, area->xsave);
	/* data segments for 32-bit code: edi = selector */
	PUT(&e, "\x8e\xdf\x8e\xc7"); /* mov ds, edi; mov es, edi */
	PUT(&e, "\xff");	     /* push rflags; popfq */
	put_abs(&e, 6, &area->rflags);
	PUT(&e, "\x9d");
	for (unsigned r = 0; r < 16; r++)
		if (r != X86_RSP)
			put_mov(&e, r, &area->gpr[r], false);
	put_mov(&e, X86_RSP, &area->gpr[X86_RSP], false);
	PUT(&e, "\xff"); /* jmp far [insn] */
	put_abs(&e, 5, &area->insn);
}

static void make_leave(void)
{
	struct emit e = {area->leave};

	put_mov(&e, X86_RSP, &area->gpr[X86_RSP], true);
	PUT(&e, "\x48\xbc"); /* mov rsp, end of stack */
	put4(&e, (uint32_t)(uintptr_t)&area->stack[16]);
	put4(&e, 0);
	PUT(&e, "\x9c\x8f"); /* pushfq; pop rflags */
	put_abs(&e, 0, &area->rflags);
	PUT(&e, "\x6a\x02\x9d"); /* push 2; popfq: AC, DF, NT off */
	for (unsigned r = 0; r < 16; r++)
		if (r != X86_RSP)
			put_mov(&e, r, &area->gpr[r], true);
	PUT(&e, "\xb8\xff\xff\xff\xff\xba\xff\xff\xff\xff");
	PUT(&e, "\x48\x0f\xae"); /* xsave64 */
	put_abs(&e, 4, area->xsave);
	put_mov(&e, X86_RSP, &area->host_rsp, false);
	PUT(&e, "\x31\xff\x8e\xdf\x8e\xc7");	 /* ds = es = 0 */
	PUT(&e, "\xdb\xe3\xc5\xf8\x77\x0f\xae"); /* fninit; vzeroupper */
	put_abs(&e, 2, &area->insn[1]);		 /* ldmxcsr */
	PUT(&e, "\x9d\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3");
}

/* ---- signals ---- */

static void on_signal(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
		REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10,
		REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

	asm volatile("pushfq\n\tandl $~0x40400, (%%rsp)\n\tpopfq" ::
			     : "cc", "memory");
	if (!result) {
		signal(sig, SIG_DFL);
		return;
	}
	result->faulted = true;
	result->vector = (uint8_t)g[REG_TRAPNO];
	result->error = (uint32_t)g[REG_ERR];
	result->cr2 = (uint64_t)g[REG_CR2];
	result->rip = (uint64_t)g[REG_RIP];
	result->rflags = (uint64_t)g[REG_EFL];
	for (unsigned i = 0; i < 16; i++)
		result->gpr[i] = (uint64_t)g[order[i]];
	xsave_to_fpu(&result->fpu, (const uint8_t *)uc->uc_mcontext.fpregs);
	if (sig == SIGVTALRM)
		result->ignore = true;
	siglongjmp(out, 1);
}

static void catch_signals(void)
{
	static const int which[] = {
		SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGVTALRM};
	struct sigaction sa = {.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t st = {.ss_sp = malloc(65536), .ss_size = 65536};

	sigaltstack(&st, NULL);
	for (unsigned i = 0; i < sizeof(which) / sizeof(which[0]); i++)
		sigaction(which[i], &sa, NULL);
}

/* ---- life ---- */

static void *map_at(uintptr_t at, size_t n, int prot, int fd, off_t off)
{
	int how = MAP_FIXED_NOREPLACE |
		  (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
	void *p = mmap((void *)at, n, prot, how | MAP_POPULATE, fd, off);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

void host_native_init(void)
{
	int fd = memfd_create("fuzz", 0);
	uint32_t a, b, c, d;

	__cpuid_count(0xd, 0, a, b, c, d);
	all_components = a & 0xe7;
	off_avx = a & 4 ? component_offset(2) : 0;
	if (a & 1 << 5) {
		off_k = component_offset(5);
		off_zmm_hi = component_offset(6);
		off_zmm16 = component_offset(7);
	}
	if (ftruncate(fd, HOST_CODE_BYTES + HOST_BYTES))
		exit(1);
	map_at(HOST_CODE, HOST_CODE_BYTES, PROT_READ | PROT_EXEC, fd, 0);
	map_at(HOST_AREA, 16384, PROT_READ | PROT_WRITE | PROT_EXEC, -1, 0);
	map_at(HOST_DATA, 8192, PROT_READ | PROT_WRITE, fd, HOST_CODE_BYTES);
	map_at(HOST_DATA + 8192, 4096, PROT_READ, fd, HOST_CODE_BYTES + 8192);
	code_alias = mmap(NULL, HOST_CODE_BYTES + HOST_BYTES,
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	data_alias = code_alias + HOST_CODE_BYTES;
	memset(code_alias, 0xcc, HOST_CODE_BYTES);
	/* not used by libc, and kept by the kernel */
	syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)HOST_GS_BASE);
	make_enter();
	make_leave();
	area->insn[1] = 0x1f80;
	catch_signals();
}

static void place_code(const struct host_case *k)
{
	static uint8_t *last;
	static unsigned last_bytes;
	uint8_t *p = code_alias + (k->at - HOST_CODE);

	if (last)
		memset(last, 0xcc, last_bytes);
	memcpy(p, k->code, k->len);
	host_put_exit(p + k->len, k->mode);
	last = p;
	last_bytes = k->len + HOST_EXIT_BYTES;
	area->insn[0] = k->at | (k->mode == 8 ? 0x33ull : 0x23ull) << 32;
}

/* A block that does not end is not the engine's fault. */
static void set_timer(long us)
{
	struct itimerval t = {.it_value = {.tv_usec = us}};

	setitimer(ITIMER_VIRTUAL, &t, NULL);
}

static void enter(unsigned mode)
{
	void (*go)(int ds) = (void (*)(int))(uintptr_t)area->enter;

	go(mode == 8 ? 0 : 0x2b);
}

/* In the harness, or between the instructions, where anything may stand. */
static bool astray(const struct host_case *k, uint64_t rip)
{
	struct x86_insn i;

	if (rip >= HOST_AREA && rip < HOST_AREA + 0x6000)
		return true;
	if (!k->block || rip < k->at || rip >= k->at + k->len)
		return false;
	for (unsigned off = 0; off < k->len; off += i.len) {
		if (k->at + off == rip)
			return false;
		if (x86_decode(&i, k->code + off, k->len - off, k->mode) !=
			X86_DEC_OK)
			break;
	}
	return true;
}

void host_native_run(const struct host_case *k, struct host_result *r)
{
	place_code(k);
	memcpy(data_alias, k->data, HOST_BYTES);
	memcpy(area->gpr, k->in.gpr, sizeof(area->gpr));
	area->rflags = k->in.rflags;
	xsave_from_fpu(area->xsave, &k->in.fpu);
	r->faulted = r->ignore = false;
	result = r;
	if (!sigsetjmp(out, 1)) {
		if (k->block)
			set_timer(100000);
		enter(k->mode);
		memcpy(r->gpr, area->gpr, sizeof(r->gpr));
		r->rflags = area->rflags;
		r->rip = k->at + k->len;
		xsave_to_fpu(&r->fpu, area->xsave);
	} else {
		/* what the stub does on its way out */
		asm volatile("fninit\n\tldmxcsr %0\n\tmovl %1, %%ds\n\t"
			     "movl %1, %%es" ::"m"(*(uint32_t *)&area->insn[1]),
			     "r"(0)
			     : "memory");
		/* single step, or a stub that ran into it */
		if ((r->vector == 1 &&
			    (k->block || r->rip != k->at + k->len)) ||
			(r->vector == 17 && !k->block && r->rip != k->at))
			r->ignore = true;
		/* canonical for a host with 57-bit addresses only */
		if (r->vector == 14 &&
			r->cr2 != (uint64_t)((int64_t)(r->cr2 << 16) >> 16))
			r->ignore = true;
		if (astray(k, r->rip))
			r->ignore = true;
	}
	result = NULL;
	if (k->block)
		set_timer(0);
	memcpy(r->data, data_alias, HOST_BYTES);
}
