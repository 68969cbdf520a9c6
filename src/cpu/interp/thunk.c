/*
 * thunk.c - making and running host code for vector and x87 instructions.
 *
 * The instruction is encoded anew from its decoded form with its memory
 * operand at [rsi], a buffer, and a general register operand in rAX; vector
 * registers keep their numbers.  Around it stand loads and stores of the
 * registers that it names, whole, so that what it does to their upper parts is
 * right by itself.
 *
 *   rbx  struct thunk_frame        rbp  struct x86_fpu
 *
 * A guest that unmasks SIMD exceptions makes the host raise them: the SIGFPE
 * handler moves on to the thunk's second exit, with MXCSR as the hardware left
 * it.  x87 exceptions stay pending and are saved with the state.
 */
#include "cpu/interp/thunk.h"

#include "cpu/interp/host.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define THUNK_CODE_BYTES (1u << 20)
#define THUNK_MAX_BYTES	 1024u
#define THUNK_SLOTS	 4096u

struct thunk_cache {
	uint8_t *code;
	uint32_t used;
	struct thunk slots[THUNK_SLOTS];
};

/* ---- SIGFPE ---- */

static __thread const struct thunk *thunk_running;
static struct sigaction thunk_old_action;

static void thunk_sigfpe(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	const struct thunk *t = thunk_running;
	uintptr_t rip = uc->uc_mcontext.gregs[REG_RIP];

	if (t && rip == (uintptr_t)t->insn) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)t->fault;
		return;
	}
	if (thunk_old_action.sa_flags & SA_SIGINFO) {
		thunk_old_action.sa_sigaction(sig, si, context);
		return;
	}
	if (thunk_old_action.sa_handler != SIG_DFL &&
		thunk_old_action.sa_handler != SIG_IGN) {
		thunk_old_action.sa_handler(sig);
		return;
	}
	signal(SIGFPE, SIG_DFL); /* our own bug: die of it */
}

static void thunk_install(void)
{
	struct sigaction sa = {
		.sa_sigaction = thunk_sigfpe,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGFPE, &sa, &thunk_old_action);
}

/* ---- what the host has ---- */

enum thunk_level { THUNK_SSE, THUNK_AVX, THUNK_AVX512 };

static enum thunk_level thunk_host;
static bool thunk_host_bw;

static void thunk_probe_host(void)
{
	thunk_host = x86_host_has(X86_FEAT_AVX512F) ? THUNK_AVX512
		     : x86_host_has(X86_FEAT_AVX)   ? THUNK_AVX
						    : THUNK_SSE;
	thunk_host_bw = x86_host_has(X86_FEAT_AVX512BW);
	thunk_install();
}

/* ---- the instruction, encoded anew ---- */

struct thunk_bytes {
	uint8_t b[512];
	unsigned n;
};

static void thunk_put(struct thunk_bytes *t, uint8_t v)
{
	t->b[t->n++] = v;
}

static void thunk_put4(struct thunk_bytes *t, uint32_t v)
{
	memcpy(t->b + t->n, &v, 4);
	t->n += 4;
}

static const struct x86_opnd *thunk_gpr_opnd(const struct x86_insn *i)
{
	for (unsigned n = 0; n < i->nopnds; n++)
		if (i->opnd[n].kind == X86_OK_GPR)
			return &i->opnd[n];
	return NULL;
}

/* Is the general register operand in ModRM.reg? */
static bool thunk_gpr_in_reg(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_MOVMSKPS:
	case X86_OP_MOVMSKPD:
	case X86_OP_PMOVMSKB:
	case X86_OP_CVTTSS2SI:
	case X86_OP_CVTTSD2SI:
	case X86_OP_CVTSS2SI:
	case X86_OP_CVTSD2SI:
	case X86_OP_VCVTTSH2SI:
	case X86_OP_VCVTSH2SI:
	case X86_OP_VCVTTSS2USI:
	case X86_OP_VCVTTSD2USI:
	case X86_OP_VCVTTSH2USI:
	case X86_OP_VCVTSS2USI:
	case X86_OP_VCVTSD2USI:
	case X86_OP_VCVTSH2USI: return true;
	case X86_OP_PEXTRW: return i->opcode == 0xc5;
	case X86_OP_KMOVB:
	case X86_OP_KMOVW:
	case X86_OP_KMOVD:
	case X86_OP_KMOVQ: return i->opcode == 0x93;
	default: return false;
	}
}

/* Does W only choose the width of an integer operand?  Outside 64-bit mode it
 * is ignored then. */
static bool thunk_w_is_width(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_CVTSI2SS:
	case X86_OP_CVTSI2SD:
	case X86_OP_VCVTSI2SH:
	case X86_OP_VCVTUSI2SS:
	case X86_OP_VCVTUSI2SD:
	case X86_OP_VCVTUSI2SH:
	case X86_OP_MOVD:
	case X86_OP_PINSRD:
	case X86_OP_PEXTRD:
	case X86_OP_VPBROADCASTD:
	case X86_OP_PCMPESTRI:
	case X86_OP_PCMPESTRM: return true;
	default: return thunk_gpr_in_reg(i) && i->enc != X86_ENC_LEGACY;
	}
}

struct thunk_fields {
	uint8_t reg, rm; /* 0..31 */
	uint8_t modrm;
	bool w;
};

bool interp_vex_w(const struct x86_insn *i)
{
	if (i->mode != 8 && thunk_w_is_width(i) && i->op != X86_OP_KMOVQ &&
		i->op != X86_OP_KMOVD)
		return false;
	return i->rex & X86_REX_W;
}

static void thunk_fields(const struct x86_insn *i, struct thunk_fields *f)
{
	bool gpr = thunk_gpr_opnd(i);

	f->reg = i->reg;
	f->rm = i->rm;
	f->w = interp_vex_w(i);
	if (i->has_mem)
		f->rm = 6; /* [rsi] */
	if (gpr && thunk_gpr_in_reg(i))
		f->reg = 0;
	else if (gpr && !i->has_mem)
		f->rm = 0;
	f->modrm = (i->has_mem ? 0 : 0xc0) | (f->reg & 7) << 3 | (f->rm & 7);
}

static void thunk_legacy(struct thunk_bytes *t, const struct x86_insn *i,
	const struct thunk_fields *f)
{
	uint8_t rex = 0;

	if (!(i->def->attr & X86_AT_X87)) {
		if (i->prefix & X86_PFX_OPSIZE)
			thunk_put(t, 0x66);
		if (i->prefix & X86_PFX_REP)
			thunk_put(t, 0xf3);
		if (i->prefix & X86_PFX_REPNE)
			thunk_put(t, 0xf2);
		rex = (f->w ? 8 : 0) | (f->reg & 8) >> 1 | (f->rm & 8) >> 3;
	}
	if (rex && i->mode == 8)
		thunk_put(t, 0x40 | rex);
	if (i->map)
		thunk_put(t, 0x0f);
	if (i->map > 1)
		thunk_put(t, i->map == 2 ? 0x38 : 0x3a);
	thunk_put(t, i->opcode);
}

static uint8_t thunk_pp(const struct x86_insn *i)
{
	if (i->prefix & X86_PFX_REP)
		return 2;
	if (i->prefix & X86_PFX_REPNE)
		return 3;
	return i->prefix & X86_PFX_OPSIZE ? 1 : 0;
}

static void thunk_vex(struct thunk_bytes *t, const struct x86_insn *i,
	const struct thunk_fields *f)
{
	thunk_put(t, 0xc4);
	thunk_put(t, (~f->reg & 8) << 4 | 0x40 | (~f->rm & 8) << 2 | i->map);
	thunk_put(t, f->w << 7 | (~i->vvvv & 15) << 3 | (i->vl == 32) << 2 |
			     thunk_pp(i));
	thunk_put(t, i->opcode);
}

static void thunk_evex(struct thunk_bytes *t, const struct x86_insn *i,
	const struct thunk_fields *f)
{
	/* the fifth bit of a vector register in rm */
	uint8_t x = i->has_mem || !(i->rex & X86_REX_X) ? 0x40 : 0;

	thunk_put(t, 0x62);
	thunk_put(t, (~f->reg & 8) << 4 | x | (~f->rm & 8) << 2 |
			     (~f->reg & 16) | i->map);
	thunk_put(t, f->w << 7 | (~i->vvvv & 15) << 3 | 4 | thunk_pp(i));
	thunk_put(t, i->evex_z << 7 | i->evex_ll << 5 | i->evex_b << 4 |
			     (~i->vvvv & 16) >> 1 | i->aaa);
	thunk_put(t, i->opcode);
}

/* A register number in the immediate has three bits outside 64-bit mode. */
static uint8_t thunk_imm(const struct x86_insn *i)
{
	bool is4 = i->enc == X86_ENC_VEX && i->map == 3 && i->opcode >= 0x4a &&
		   i->opcode <= 0x4c;

	return is4 && i->mode != 8 ? i->imm & 0x7f : i->imm;
}

static void thunk_insn(struct thunk_bytes *t, const struct x86_insn *i)
{
	struct thunk_fields f;

	thunk_fields(i, &f);
	switch (i->enc) {
	case X86_ENC_VEX: thunk_vex(t, i, &f); break;
	case X86_ENC_EVEX: thunk_evex(t, i, &f); break;
	default: thunk_legacy(t, i, &f); break;
	}
	if (i->modrm_off)
		thunk_put(t, f.modrm);
	if (i->imm_size)
		thunk_put(t, thunk_imm(i));
	if (i->imm_size > 1)
		thunk_put(t, i->imm2);
}

/* ---- the code around it ---- */

#define THUNK_RBX	 3
#define THUNK_RBP	 5
#define THUNK_OFF(field) (uint32_t) offsetof(struct thunk_frame, field)

struct thunk_regs {
	uint32_t vec;
	uint16_t k;
};

static void thunk_find_regs(const struct x86_insn *i, struct thunk_regs *r)
{
	r->vec = 0;
	r->k = i->enc == X86_ENC_EVEX && i->aaa ? 1u << i->aaa : 0;
	for (unsigned n = 0; n < i->nopnds; n++) {
		if (i->opnd[n].kind == X86_OK_VEC)
			r->vec |= 1u << i->opnd[n].reg;
		if (i->opnd[n].kind == X86_OK_KREG)
			r->k |= 1u << (i->opnd[n].reg & 7);
	}
	if (i->op == X86_OP_PCMPESTRM || i->op == X86_OP_PCMPISTRM)
		r->vec |= 1;
	if (i->op == X86_OP_VP2INTERSECTD || i->op == X86_OP_VP2INTERSECTQ)
		r->k |= 3u << (i->opnd[0].reg & 6);
}

/* op reg, [base + disp32]; base is rbx or rbp */
static void thunk_mem(
	struct thunk_bytes *t, unsigned reg, unsigned base, uint32_t disp)
{
	thunk_put(t, 0x80 | (reg & 7) << 3 | base);
	thunk_put4(t, disp);
}

static void thunk_vec(struct thunk_bytes *t, unsigned n, bool store)
{
	bool r3 = n & 8, r4 = n & 16;

	if (thunk_host == THUNK_AVX512) {
		thunk_put(t, 0x62);
		thunk_put(t, !r3 << 7 | 0x60 | !r4 << 4 | 1);
		thunk_put(t, 0x7c);
		thunk_put(t, 0x48);
	} else if (thunk_host == THUNK_AVX) {
		thunk_put(t, 0xc5);
		thunk_put(t, !r3 << 7 | 0x7c);
	} else {
		if (r3)
			thunk_put(t, 0x44);
		thunk_put(t, 0x0f);
	}
	thunk_put(t, store ? 0x11 : 0x10);
	thunk_mem(t, n, THUNK_RBP,
		(uint32_t)offsetof(struct x86_fpu, zmm) + n * 64);
}

static void thunk_kreg(struct thunk_bytes *t, unsigned n, bool store)
{
	if (thunk_host_bw) {
		thunk_put(t, 0xc4);
		thunk_put(t, 0xe1);
	} else {
		thunk_put(t, 0xc5);
	}
	thunk_put(t, 0xf8);
	thunk_put(t, store ? 0x91 : 0x90);
	thunk_mem(
		t, n, THUNK_RBP, (uint32_t)offsetof(struct x86_fpu, k) + n * 8);
}

static void thunk_registers(
	struct thunk_bytes *t, const struct thunk_regs *r, bool store)
{
	for (unsigned n = 0; n < 32; n++)
		if (r->vec >> n & 1)
			thunk_vec(t, n, store);
	for (unsigned n = 0; n < 8; n++)
		if (r->k >> n & 1)
			thunk_kreg(t, n, store);
}

/* ldmxcsr /2, stmxcsr /3, fxsave64 /0, fxrstor64 /1 at a frame field */
static void thunk_0fae(
	struct thunk_bytes *t, unsigned ext, bool w, uint32_t disp)
{
	if (w)
		thunk_put(t, 0x48);
	thunk_put(t, 0x0f);
	thunk_put(t, 0xae);
	thunk_mem(t, ext, THUNK_RBX, disp);
}

static void thunk_gprs(struct thunk_bytes *t, bool store)
{
	for (unsigned n = 0; n < 3; n++) {
		thunk_put(t, 0x48);
		thunk_put(t, store ? 0x89 : 0x8b);
		thunk_mem(t, n, THUNK_RBX, THUNK_OFF(gpr) + n * 8);
	}
}

static void thunk_put_all(struct thunk_bytes *t, const char *b, unsigned n)
{
	memcpy(t->b + t->n, b, n);
	t->n += n;
}

#define THUNK_CODE(t, s) thunk_put_all(t, s, sizeof(s) - 1)

static void thunk_exit(struct thunk_bytes *t, uint8_t result)
{
	thunk_0fae(t, 2, false, THUNK_OFF(host_mxcsr));
	if (thunk_host != THUNK_SSE)
		THUNK_CODE(t, "\xc5\xf8\x77"); /* vzeroupper */
	THUNK_CODE(t, "\x5d\x5b\xb8");	       /* pop rbp, rbx; mov eax, .. */
	thunk_put4(t, result);
	thunk_put(t, 0xc3);
}

static bool thunk_flags(const struct x86_insn *i)
{
	return (i->def->flags_read | i->def->flags_written |
		       i->def->flags_undef) &
	       X86_FL_ARITH;
}

/* Gives the offsets of the instruction and of the exit for faults. */
static void thunk_emit(struct thunk_bytes *t, const struct x86_insn *i,
	unsigned *insn, unsigned *fault)
{
	bool x87 = host_uses_x87(i), flags = thunk_flags(i);
	struct thunk_regs r;

	thunk_find_regs(i, &r);
	/* push rbx, rbp; mov rbx, rdi; mov rbp, rsi */
	THUNK_CODE(t, "\x53\x55\x48\x89\xfb\x48\x89\xf5");
	if (x87)
		thunk_0fae(t, 1, true, THUNK_OFF(fx));
	thunk_registers(t, &r, false);
	thunk_0fae(t, 2, false, THUNK_OFF(mxcsr));
	THUNK_CODE(t, "\x48\x8d"); /* lea rsi, mem */
	thunk_mem(t, 6, THUNK_RBX, THUNK_OFF(mem));
	thunk_gprs(t, false);
	if (flags) {
		THUNK_CODE(t, "\xff"); /* push flags; popfq */
		thunk_mem(t, 6, THUNK_RBX, THUNK_OFF(flags));
		thunk_put(t, 0x9d);
	}
	*insn = t->n;
	thunk_insn(t, i);
	if (flags) {
		THUNK_CODE(t, "\x9c\x8f"); /* pushfq; pop flags */
		thunk_mem(t, 0, THUNK_RBX, THUNK_OFF(flags));
	}
	thunk_gprs(t, true);
	thunk_0fae(t, 3, false, THUNK_OFF(mxcsr));
	thunk_registers(t, &r, true);
	if (x87) {
		thunk_0fae(t, 0, true, THUNK_OFF(fx));
		THUNK_CODE(t, "\xdb\xe3"); /* fninit */
	}
	thunk_exit(t, 1);
	*fault = t->n;
	thunk_0fae(t, 3, false, THUNK_OFF(mxcsr));
	if (x87) {
		/* the change to MMX state comes before the exception */
		thunk_0fae(t, 0, true, THUNK_OFF(fx));
		THUNK_CODE(t, "\xdb\xe3");
	}
	thunk_exit(t, 0);
}

/* ---- cache ---- */

static struct thunk_cache *thunk_cache_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct thunk_cache *k;

	pthread_once(&once, thunk_probe_host);
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->code =
		mmap(NULL, THUNK_CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->code == MAP_FAILED) {
		free(k);
		return NULL;
	}
	return k;
}

static void thunk_make(
	struct thunk_cache *k, struct thunk *t, const struct x86_insn *i)
{
	struct thunk_bytes b;
	unsigned insn, fault;

	if (k->used + THUNK_MAX_BYTES > THUNK_CODE_BYTES) {
		memset(k->slots, 0, sizeof(k->slots));
		k->used = 0;
	}
	b.n = 0;
	thunk_emit(&b, i, &insn, &fault);
	memcpy(k->code + k->used, b.b, b.n);
	t->code = k->code + k->used;
	t->insn = t->code + insn;
	t->fault = t->code + fault;
	k->used += (b.n + 15) & ~15u;
}

const struct thunk *thunk_get(struct soft_cpu *c, const struct x86_insn *i)
{
	struct thunk_cache **slot = interp_thunks(c), *k = *slot;
	struct thunk_bytes b = {.n = 0};
	uint64_t key[2];
	struct thunk *t;

	if (!k) {
		k = thunk_cache_new();
		if (!k)
			return NULL;
		*slot = k;
	}
	thunk_insn(&b, i);
	memset(b.b + b.n, 0, 16 - b.n);
	b.b[15] = b.n;
	memcpy(key, b.b, 16);
	t = &k->slots[((key[0] * 0x9e3779b97f4a7c15ull) ^
			      (key[1] * 0xc2b2ae3d27d4eb4full)) >>
		      52];
	if (memcmp(t->key, key, 16) || !t->code) {
		thunk_make(k, t, i);
		memcpy(t->key, key, 16);
	}
	return t;
}

void thunk_free(struct soft_cpu *c)
{
	struct thunk_cache *k = *interp_thunks(c);

	if (!k)
		return;
	munmap(k->code, THUNK_CODE_BYTES);
	free(k);
	*interp_thunks(c) = NULL;
}

bool thunk_run(
	const struct thunk *t, struct thunk_frame *f, struct x86_fpu *fpu)
{
	uint64_t (*code)(struct thunk_frame * f, struct x86_fpu * fpu) =
		(uint64_t(*)(struct thunk_frame *, struct x86_fpu *))(
			uintptr_t)t->code;
	bool ok;

	f->host_mxcsr = __builtin_ia32_stmxcsr();
	thunk_running = t;
	asm volatile("" ::: "memory");
	ok = code(f, fpu);
	asm volatile("" ::: "memory");
	thunk_running = NULL;
	return ok;
}
