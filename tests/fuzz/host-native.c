/*
 * host-native.c - run a batch of cases on the processor itself.
 *
 * The driver is copied to HOST_DRIVER, below 4 GiB so that 32-bit code reaches
 * it.  Whatever faults becomes a signal, whose frame has the registers and the
 * hardware's vector, error code and address; the handler notes them and lets
 * the driver go on.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host.h"

static struct host_ctl *const ctl = (void *)(uintptr_t)HOST_CTL;
static uint8_t *const step = (void *)(uintptr_t)HOST_STEP;
static uint8_t *code_alias; /* writable view of HOST_CODE */
static uint8_t *data_alias;
static uint32_t off_avx, off_k, off_zmm_hi, off_zmm16;
static const struct host_batch *running;
static bool late;

/* ---- XSAVE images ---- */

static uint32_t component_offset(unsigned n)
{
	uint32_t a, b, c, d;

	__cpuid_count(0xd, n, a, b, c, d);
	return b;
}

static bool find_components(void)
{
	uint32_t a, b, c, d;

	__cpuid_count(0xd, 0, a, b, c, d);
	off_avx = a & 4 ? component_offset(2) : 0;
	if (a & 1 << 5) {
		off_k = component_offset(5);
		off_zmm_hi = component_offset(6);
		off_zmm16 = component_offset(7);
	}
	return off_zmm16 + 1024 <= HOST_XSAVE;
}

/* x begins as zeros, and only these parts are ever written. */
static void xsave_from_fpu(uint8_t *x, const struct x86_fpu *f)
{
	static const uint64_t header = HOST_XC;

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
	memcpy(x + 512, &header, 8);
	x[512] &= off_k ? 0xff : off_avx ? 7 : 3;
}

/* ---- signals ---- */

static struct host_in *now_in(void)
{
	return (struct host_in *)(uintptr_t)ctl->in;
}

static const struct host_case *now_case(void)
{
	return &running->c[now_in() - host_native_in()];
}

/* Code that was not meant to be run may be more than ring 3 is allowed. */
static bool is_privileged(uint64_t off)
{
	struct x86_insn i;

	return off < HOST_CODE_BYTES - 15 &&
	       x86_decode(&i, running->code + off, 15, running->mode) ==
		       X86_DEC_OK &&
	       i.def->attr & (X86_AT_PRIV | X86_AT_IOPL);
}

/* Does the fault say nothing about the instruction? */
static bool says_nothing(const struct host_fault *f)
{
	const struct host_case *k = now_case();
	uint64_t off = f->rip + ctl->base - HOST_CODE;

	/* single step */
	if (f->vector == X86_DB &&
		(k->block || off != k->at + k->len - HOST_CODE))
		return true;
	/* canonical for a host with 57-bit addresses only */
	if (f->vector == X86_PF &&
		f->cr2 != (uint64_t)((int64_t)(f->cr2 << 16) >> 16))
		return true;
	/* nor where the engine has its tables and handlers */
	if (host_kernel && (f->vector == X86_AC || is_privileged(off) ||
				   (f->rip | f->cr2) >> 47))
		return true;
	/* It ran into the harness, or between the instructions, where
	 * anything may stand. */
	if (f->rip >= HOST_DRIVER && f->rip < HOST_CTL + 0x2000)
		return true;
	return off < HOST_CODE_BYTES && step[off] & STEP_BETWEEN;
}

/* The driver ends the case as it is. */
static void leave(greg_t *g)
{
	g[REG_RIP] = (greg_t)HOST_LABEL(leave);
	g[REG_EFL] = 0x202;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | 0x33;
}

static void ignore(greg_t *g)
{
	now_in()->skip = 1;
	ctl->end = ctl->in + IN_BYTES;
	leave(g);
}

static void note_fault(greg_t *g)
{
	struct host_out *o = (struct host_out *)(uintptr_t)ctl->out;
	struct host_fault *f = &o->fault[o->nfaults++];
	uint64_t off;

	f->vector = (uint64_t)g[REG_TRAPNO];
	f->error = (uint64_t)g[REG_ERR];
	f->cr2 = f->vector == X86_PF ? (uint64_t)g[REG_CR2] : 0;
	f->rip = (uint64_t)g[REG_RIP];
	f->rflags = (uint64_t)g[REG_EFL];
	off = f->rip + ctl->base - HOST_CODE;
	if (says_nothing(f)) {
		ignore(g);
	} else if (o->nfaults < HOST_MAX_FAULTS &&
		   HOST_RESUMABLE >> f->vector & 1 && off < HOST_CODE_BYTES &&
		   step[off] & STEP_RESUME) {
		g[REG_RIP] += step[off] & STEP_LEN;
		g[REG_EFL] &= ~HOST_DROPPED;
	} else {
		o->left = 1;
		leave(g);
	}
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;

	asm volatile("pushfq\n\tandl $~0x40400, (%%rsp)\n\tpopfq" ::
			     : "cc", "memory");
	if (sig == SIGVTALRM) {
		/* Else it comes again. */
		if (g[REG_RIP] + ctl->base - HOST_CODE < HOST_CODE_BYTES) {
			late = true;
			ignore(g);
		}
	} else if (!running) {
		signal(sig, SIG_DFL);
	} else if (sig == SIGSYS) {
		ignore(g);
	} else {
		note_fault(g);
	}
}

static void catch_signals(void)
{
	static const int which[] = {
		SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGVTALRM, SIGSYS};
	struct sigaction sa = {.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t st = {.ss_sp = malloc(65536), .ss_size = 65536};

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGVTALRM);
	sigaltstack(&st, NULL);
	for (unsigned i = 0; i < sizeof(which) / sizeof(which[0]); i++)
		sigaction(which[i], &sa, NULL);
}

/* Random code that meets a SYSCALL between the instructions must not get
 * through with it. */
static void forbid_calls(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog p = {sizeof(f) / sizeof(f[0]), f};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))
		perror("seccomp");
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

static void map_driver(void)
{
	void *p = map_at(HOST_DRIVER, 4096, PROT_READ | PROT_WRITE, -1, 0);

	memcpy(p, host_driver, host_driver_end - host_driver);
	mprotect(p, 4096, PROT_READ | PROT_EXEC);
	map_at(HOST_CTL, 4096, PROT_READ | PROT_WRITE, -1, 0);
	ctl->finish = HOST_LABEL(finish);
	ctl->mxcsr = 0x1f80;
	map_at(HOST_IN, HOST_BATCH * IN_BYTES, PROT_READ | PROT_WRITE, -1, 0);
	map_at(HOST_OUT, HOST_BATCH * OUT_BYTES, PROT_READ | PROT_WRITE, -1, 0);
	map_at(HOST_STEP, HOST_CODE_BYTES, PROT_READ | PROT_WRITE, -1, 0);
}

void host_native_init(void)
{
	int fd = memfd_create("fuzz", 0);

	if (!find_components() || ftruncate(fd, HOST_CODE_BYTES + HOST_BYTES))
		exit(1);
	map_at(HOST_CODE, HOST_CODE_BYTES, PROT_READ | PROT_EXEC, fd, 0);
	map_at(HOST_DATA, 8192, PROT_READ | PROT_WRITE, fd, HOST_CODE_BYTES);
	map_at(HOST_DATA + 8192, 4096, PROT_READ, fd, HOST_CODE_BYTES + 8192);
	code_alias = mmap(NULL, HOST_CODE_BYTES + HOST_BYTES,
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	data_alias = code_alias + HOST_CODE_BYTES;
	map_driver();
	/* not used by libc, and kept by the kernel */
	syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)HOST_GS_BASE);
	if (!host_segs_init())
		perror("modify_ldt");
	catch_signals();
	forbid_calls();
}

/* ---- a batch ---- */

/* A block that does not end is not the engine's fault. */
static void set_timer(long us)
{
	struct itimerval t = {.it_value = {.tv_usec = us},
		.it_interval = {.tv_usec = us / 100}};

	setitimer(ITIMER_VIRTUAL, &t, NULL);
}

static void fill_in(struct host_in *in, const struct host_case *k)
{
	memcpy(in->gpr, k->in.gpr, sizeof(in->gpr));
	in->rflags = k->in.rflags;
	in->go = k->mode == 8 ? k->at : HOST_LABEL(far);
	in->far = (k->at - host_segs.base[X86_CS]) |
		  (uint64_t)host_segs.sel[X86_CS] << 32;
	in->skip = 0;
	memcpy(in->patch, k->patch, sizeof(in->patch));
	xsave_from_fpu(in->xsave, &k->in.fpu);
}

static void enter(void)
{
	void (*go)(void) = (void (*)(void))(uintptr_t)HOST_LABEL(enter);

	go();
}

/* A case that is ignored has left nothing behind. */
static void undo_data(const struct host_batch *b, unsigned n)
{
	struct host_out *o = host_native_out() + n;

	memcpy(o->data, n ? o[-1].data : b->data, HOST_DATA_BYTES);
	memcpy(data_alias, o->data, HOST_DATA_BYTES);
}

void host_native_run(struct host_batch *b)
{
	struct host_in *in = host_native_in();
	unsigned from = 0;

	memcpy(code_alias, b->code, HOST_CODE_BYTES);
	memcpy(step, b->step, HOST_CODE_BYTES);
	memcpy(data_alias, b->data, HOST_BYTES);
	for (unsigned n = 0; n < b->n; n++)
		fill_in(&in[n], &b->c[n]);
	ctl->ss = host_segs.sel[X86_SS];
	ctl->ds = host_segs.sel[X86_DS];
	ctl->es = host_segs.sel[X86_ES];
	ctl->base = host_segs.base[X86_CS];
	running = b;
	late = false;
	set_timer(200000);
	while (from < b->n && !late) {
		/* the driver steps forward first */
		ctl->in = (uintptr_t)(in + from) - IN_BYTES;
		ctl->out = (uintptr_t)(host_native_out() + from) - OUT_BYTES;
		ctl->end = (uintptr_t)(in + b->n);
		enter();
		from = now_in() - in;
		if (in[from - 1].skip)
			undo_data(b, from - 1);
	}
	set_timer(0);
	if (late)
		b->n = from - 1;
	running = NULL;
}
