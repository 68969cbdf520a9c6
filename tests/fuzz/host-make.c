/*
 * host-make.c - random instructions and random state for them.
 *
 * Bytes are made with the shape of each kind of encoding, decoded, and kept if
 * they are user-mode instructions whose result both sides can know.  Then the
 * registers that form its addresses are set so that it mostly meets the test's
 * memory, sometimes its edge, a read-only page, or nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"

bool host_kernel;
static uint64_t rng;

void host_seed(uint64_t seed)
{
	rng = seed;
	rng = host_random() ^ seed << 32;
}

uint64_t host_random(void)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

unsigned host_below(unsigned n)
{
	return (unsigned)(host_random() % n);
}

bool host_chance(unsigned of)
{
	return host_below(of) == 0;
}

/* ---- bytes ---- */

static unsigned make_prefixes(uint8_t *p, unsigned mode)
{
	static const uint8_t some[] = {0x66, 0x66, 0x66, 0xf2, 0xf3, 0xf2, 0xf3,
		0x67, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
	unsigned n = 0;

	while (n < 3 && host_chance(3))
		p[n++] = some[host_below(sizeof(some))];
	if (mode == 8 && host_chance(2))
		p[n++] = 0x40 | host_below(16);
	return n;
}

unsigned host_make_opcode(uint8_t *p, unsigned mode)
{
	unsigned n;

	switch (host_below(10)) {
	case 0:
	case 1:
	case 2:
		n = make_prefixes(p, mode);
		p[n++] = host_random();
		return n;
	case 3:
	case 4:
	case 5:
		n = make_prefixes(p, mode);
		p[n++] = 0x0f;
		p[n++] = host_random();
		return n;
	case 6:
		n = make_prefixes(p, mode);
		p[n++] = 0x0f;
		p[n++] = host_chance(2) ? 0x38 : 0x3a;
		p[n++] = host_random();
		return n;
	case 7:
	case 8:
		p[0] = 0xc4;
		p[1] = (host_random() & 0xe0) | (1 + host_below(3));
		if (mode != 8)
			p[1] |= 0xc0;
		p[2] = host_random();
		if (host_chance(3))
			p[2] |= 0x78;
		p[3] = host_random();
		return 4;
	default:
		p[0] = 0x62;
		p[1] = (host_random() & 0xf0) |
		       "\1\2\3\1\2\3\5\6"[host_below(8)];
		if (mode != 8)
			p[1] |= 0xc0;
		p[2] = host_random() | 4;
		p[3] = host_random();
		if (host_chance(2))
			p[3] |= 8; /* V' */
		if (host_chance(2))
			p[2] |= 0x78;
		p[4] = host_random();
		return 5;
	}
}

/* ---- what is left out ---- */

/* Its result depends on the machine or it would leave the test. */
static bool op_excluded(unsigned op)
{
	switch (op) {
	case X86_OP_CPUID:
	case X86_OP_RDTSC:
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
	case X86_OP_RDTSCP:
	case X86_OP_RDPMC:
	case X86_OP_RDPID:
	case X86_OP_RDRAND:
	case X86_OP_RDSEED:
	case X86_OP_RDPRU:
	case X86_OP_RDPKRU:
	case X86_OP_WRPKRU:
	case X86_OP_SGDT:
	case X86_OP_SIDT:
	case X86_OP_SLDT:
	case X86_OP_STR:
	case X86_OP_SMSW:
	case X86_OP_LAR:
	case X86_OP_LSL:
	case X86_OP_VERR:
	case X86_OP_VERW:
	case X86_OP_RDFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE:
	case X86_OP_SYSCALL:
	case X86_OP_SYSENTER:
	case X86_OP_SYSEXIT:
	case X86_OP_SYSRET:
	case X86_OP_INT:
	case X86_OP_IRET:
	case X86_OP_JMP_FAR:
	case X86_OP_JMP_FARM:
	case X86_OP_CALL_FAR:
	case X86_OP_CALL_FARM:
	case X86_OP_RETF:
	case X86_OP_POP_SREG:
	case X86_OP_LDS:
	case X86_OP_LES:
	case X86_OP_LSS:
	case X86_OP_LFS:
	case X86_OP_LGS:
	case X86_OP_XGETBV:
	case X86_OP_XSAVE:
	case X86_OP_XSAVEC:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVES:
	case X86_OP_XRSTOR:
	case X86_OP_XRSTORS:
	case X86_OP_MONITOR:
	case X86_OP_MWAIT:
	case X86_OP_UMONITOR:
	case X86_OP_UMWAIT:
	case X86_OP_TPAUSE:
	case X86_OP_ENQCMD:
	case X86_OP_ENQCMDS:
	case X86_OP_XBEGIN:
	case X86_OP_XEND:
	case X86_OP_XABORT:
	case X86_OP_XTEST: return true;
	default: return false;
	}
}

bool host_excluded(const struct x86_insn *i)
{
	if (op_excluded(i->op))
		return true;
	if (i->op == X86_OP_MOV_SREG && i->opnd[0].kind == X86_OK_SREG)
		return true;
	if (host_kernel && (i->op == X86_OP_POPF || i->op == X86_OP_MOV_SREG ||
				   i->def->attr & (X86_AT_PRIV | X86_AT_IOPL)))
		return true;
	/* FS is libc's in 64-bit code. */
	return i->mode == 8 && i->seg_override == X86_FS;
}

static bool make_insn(struct host_case *k, const struct x86_cpu_model *m)
{
	unsigned n = host_make_opcode(k->code, k->mode);

	while (n < 15)
		k->code[n++] = host_random();
	if (x86_decode(&k->insn, k->code, 15, k->mode) != X86_DEC_OK)
		return false;
	k->len = k->insn.len;
	return x86_insn_allowed(&k->insn, m) && !host_excluded(&k->insn);
}

/* ---- as many of each operation ---- */

#define BALANCE_SAMPLE 40000u

/* How many in 65536 of those that were made are wanted, by mode and operation;
 * the same in every run, so that a seed says all. */
static uint32_t wanted[3][X86_NOPS];

static void make_balance(uint32_t *want, unsigned mode)
{
	static struct host_case k;
	uint64_t was = rng;
	unsigned ops = 0;

	k.mode = mode;
	host_seed(1);
	for (unsigned n = 0; n < BALANCE_SAMPLE;)
		if (make_insn(&k, host_engine_model())) {
			ops += !want[k.insn.op]++;
			n++;
		}
	for (unsigned op = 0; op < X86_NOPS; op++) {
		uint64_t few = BALANCE_SAMPLE / 2 / ops;

		want[op] = want[op] > few ? (few << 16) / want[op] : 1 << 16;
	}
	if (getenv("OP"))
		for (unsigned op = 0; op < X86_NOPS; op++)
			want[op] = strcmp(getenv("OP"), x86_op_name(op))
					   ? 0
					   : 1 << 16;
	rng = was;
}

bool host_wanted(unsigned op, unsigned mode)
{
	uint32_t *want = wanted[mode >> 2];
	static bool made[3];

	if (!made[mode >> 2])
		make_balance(want, mode);
	made[mode >> 2] = true;
	return (host_random() & 0xffff) < want[op];
}

/* ---- values ---- */

uint64_t host_make_address(void)
{
	uint64_t a = HOST_DATA + host_below(HOST_BYTES);

	switch (host_below(16)) {
	case 0: return HOST_DATA + 8192 - host_below(80); /* edge: read-only */
	case 1: return HOST_DATA + HOST_BYTES - host_below(80);
	case 2: return HOST_DATA + 4096 - host_below(80);
	case 3: return HOST_DATA + HOST_BYTES + host_below(4096);
	case 4: return host_chance(2) ? a : host_random();
	case 5:
	case 6:
	case 7: return HOST_DATA + host_below(8192);
	default: return HOST_DATA + host_below(8192) / 64 * 64;
	}
}

uint64_t host_make_gpr(void)
{
	switch (host_below(8)) {
	case 0: return host_below(256);
	case 1: return host_random();
	case 2: return host_random() & 0xffffffff;
	case 3: return (uint64_t) - (int64_t)host_below(256);
	case 4: return 1ull << host_below(64);
	case 5: return (1ull << host_below(64)) - 1;
	default: return host_make_address();
	}
}

static void make_lane(uint8_t *p, unsigned n)
{
	static const uint64_t f64[] = {0, 0x8000000000000000ull,
		0x3ff0000000000000ull, 0x7ff0000000000000ull,
		0xfff0000000000000ull, 0x7ff8000000000000ull,
		0x7ff0000000000001ull, 0x0000000000000001ull,
		0x000fffffffffffffull, 0x0010000000000000ull,
		0x7fefffffffffffffull, 0x41dfffffffc00000ull,
		0x43e0000000000000ull};
	static const uint32_t f32[] = {0, 0x80000000u, 0x3f800000u, 0x7f800000u,
		0xff800000u, 0x7fc00000u, 0x7f800001u, 1, 0x007fffffu,
		0x00800000u, 0x7f7fffffu, 0x4f000000u};
	unsigned kind = host_below(6);

	for (unsigned at = 0; at < n; at += 8) {
		uint64_t v = host_random(), w = host_random();

		if (kind == 1 || (kind == 4 && host_chance(2)))
			v = f64[w % 13];
		else if (kind == 2 || (kind == 5 && host_chance(2)))
			v = f32[w % 12] | (uint64_t)f32[w / 256 % 12] << 32;
		else if (kind == 3)
			v = (int64_t)(v << 40) >> 40;
		else if (kind == 4) /* modest doubles */
			v = (v & 0x800fffffffffffffull) | (1023 - 32 + w % 64)
								  << 52;
		memcpy(p + at, &v, 8);
	}
}

static void make_st(uint8_t *p)
{
	static const uint16_t exps[] = {0, 0x7fff, 0x3fff, 0x3ffe, 0x4000,
		0x403e, 1, 0x7ffe, 0x4010, 0x3fc0};
	uint64_t m = host_random();
	uint16_t e = host_random();

	if (!host_chance(4))
		e = exps[host_below(10)] | (e & 0x8000);
	if (host_chance(2))
		m = host_chance(2) ? 1ull << 63 : 3ull << 62;
	if (host_chance(16))
		m = 0;
	if (!host_chance(12) && (e & 0x7fff))
		m |= 1ull << 63;
	memcpy(p, &m, 8);
	memcpy(p + 8, &e, 2);
	memset(p + 10, 0, 6);
}

void host_make_fpu(struct x86_fpu *f)
{
	uint16_t fcw = 0x40 | (host_random() & 0xf00), fsw;
	uint32_t mxcsr = host_random() & 0xe03f;

	memset(f, 0, sizeof(*f));
	fcw |= host_chance(4) ? host_random() & 0x3f : 0x3f;
	mxcsr |= host_chance(4)	  ? host_random() & 0x1fc0
		 : host_chance(4) ? 0x1fc0
				  : 0x1f80;
	fsw = host_random() & 0x7f7f;
	if (host_chance(2))
		fsw &= ~0x3f;
	if (!host_chance(8))
		fsw &= ~(0x3f & ~fcw);
	if (fsw & 0x3f & ~fcw)
		fsw |= 0x8080;
	memcpy(f->fx, &fcw, 2);
	memcpy(f->fx + 2, &fsw, 2);
	f->fx[4] = host_chance(2) ? 0xff : host_random();
	memcpy(f->fx + 24, &mxcsr, 4);
	f->fx[28] = f->fx[29] = 0xff;
	for (unsigned n = 0; n < 8; n++) {
		make_st(f->fx + 32 + n * 16);
		f->k[n] = host_chance(3)   ? host_random()
			  : host_chance(2) ? ~0ull
					   : host_random() & host_random();
	}
	for (unsigned n = 0; n < 32; n++)
		make_lane(f->zmm[n], 64);
}

void host_make_data(uint8_t data[HOST_BYTES])
{
	for (unsigned n = 0; n < HOST_BYTES; n += 64)
		make_lane(data + n, 64);
}

void host_make_patches(struct host_case *k)
{
	for (unsigned n = 0; n < HOST_PATCHES; n++) {
		k->patch[n].at =
			HOST_DATA + host_below(HOST_DATA_BYTES) / 64 * 64;
		make_lane(k->patch[n].bytes, 64);
	}
}

/* ---- aiming ---- */

/* Where direct branches go: INT3 are there. */
#define HOST_NOWHERE (HOST_CODE + 0x3800)

static void set_gpr(struct host_case *k, unsigned r, uint64_t v)
{
	k->in.gpr[r] = k->mode == 8 ? v : (uint32_t)v;
}

static void patch_disp(struct host_case *k, uint32_t v)
{
	unsigned n = k->insn.disp_size;

	if ((n != 4 && n != 2) || !k->insn.disp_off)
		return;
	memcpy(k->code + k->insn.disp_off, &v, n);
	k->insn.disp = n == 4 ? (int32_t)v : (int16_t)v;
}

/* Offset in the segment, of an address in the test's memory. */
static uint64_t offset_in(const struct host_case *k, unsigned seg, uint64_t a)
{
	return k->mode == 8 ? a : a - host_segs.base[seg];
}

/* 16-bit code mostly leaves the upper half alone. */
static void set_offset(struct host_case *k, unsigned r, uint64_t v)
{
	if (k->mode == 2)
		v = (v & 0xffff) | (host_chance(8) ? host_random() << 16 : 0);
	set_gpr(k, r, v);
}

static void aim_memory(struct host_case *k)
{
	const struct x86_insn *i = &k->insn;
	uint64_t to = offset_in(k, i->seg, host_make_address()), index = 0;

	if (i->asize == 2 && k->mode != 2)
		return;
	if (i->disp_size == 4 || i->disp_size == 2)
		patch_disp(k, host_below(8192) - 4096);
	if (i->vsib) {
		for (unsigned n = 0; n < 64; n += 4) {
			uint32_t v = host_below(2048) - 1024;

			if (i->opcode & 1 && n & 4)
				v = k->in.fpu.zmm[i->index][n - 1] & 0x80 ? ~0u
									  : 0;
			memcpy(k->in.fpu.zmm[i->index] + n, &v, 4);
		}
	} else if (i->index != X86_NOREG) {
		if (host_chance(4))
			set_gpr(k, i->index, host_below(512));
		index = k->in.gpr[i->index] * i->scale;
	}
	if (i->base < X86_NGPR) {
		if (i->index == i->base && !i->vsib)
			return;
		set_offset(k, i->base, to - index - (uint64_t)(int64_t)i->disp);
	} else if (i->base == X86_RIP) {
		patch_disp(k, (uint32_t)to - (k->at + k->len));
	} else {
		patch_disp(k, (uint32_t)(to - index));
	}
}

/* Does any address that it may use fall on what differs between the sides? */
static bool near_harness(uint64_t a)
{
	return a + 0x2000 >= HOST_CODE && a < HOST_CTL + 0x4000;
}

static bool bad_address(const struct host_case *k)
{
	const struct x86_insn *i = &k->insn;
	uint64_t a = (uint64_t)(int64_t)i->disp;

	for (unsigned r = 0; r < 16; r++)
		if (near_harness(k->in.gpr[r]) ||
			near_harness((uint32_t)k->in.gpr[r]))
			return true;
	if (!i->has_mem || i->vsib)
		return false;
	if (i->base < X86_NGPR)
		a += k->in.gpr[i->base];
	else if (i->base == X86_RIP)
		a += k->at + k->len;
	if (i->index != X86_NOREG)
		a += k->in.gpr[i->index] * i->scale;
	if (k->mode != 8)
		a += host_segs.base[i->seg];
	return near_harness(a) || near_harness((uint32_t)a);
}

static bool aim_branch(struct host_case *k)
{
	struct x86_insn *i = &k->insn;
	uint64_t to;

	if (!(i->def->attr & X86_AT_BRANCH) || !i->nopnds ||
		i->opnd[0].kind != X86_OK_REL)
		return true;
	if (i->imm_size != 1) {
		int32_t v = (int32_t)(HOST_NOWHERE + host_below(1024) -
				      (k->at + k->len));

		memcpy(k->code + i->imm_off, &v, i->imm_size);
	}
	if (x86_decode(i, k->code, 15, k->mode) != X86_DEC_OK)
		return false;
	to = k->at + k->len + i->imm;
	return to + 32 < k->at || to > k->at + 32;
}

static void aim_register(struct host_case *k, unsigned r, unsigned seg)
{
	set_offset(k, r, offset_in(k, seg, host_make_address()));
}

static void aim_implied(struct host_case *k)
{
	uint32_t attr = k->insn.def->attr;

	if (attr & X86_AT_STRING) {
		aim_register(k, X86_RSI, X86_DS);
		aim_register(k, X86_RDI, X86_ES);
		set_gpr(k, X86_RCX,
			host_chance(8) ? host_below(9000) : host_below(40));
		if (k->insn.asize == 4)
			for (unsigned r = X86_RCX; r <= X86_RDI; r++)
				set_gpr(k, r,
					k->in.gpr[r] |
						(host_random() & host_random())
							<< 32);
	}
	if (attr & X86_AT_STACK || host_chance(4))
		set_offset(k, X86_RSP,
			offset_in(k, X86_SS, host_make_address() & ~7ull));
	if (k->insn.op == X86_OP_ENTER || k->insn.op == X86_OP_LEAVE)
		aim_register(k, X86_RBP, X86_SS);
	if (k->insn.op == X86_OP_BT || k->insn.op == X86_OP_BTS ||
		k->insn.op == X86_OP_BTR || k->insn.op == X86_OP_BTC)
		set_gpr(k, k->insn.reg & 15, host_below(4096) - 2048);
	if (attr & X86_AT_IMPGPR) {
		aim_register(k, X86_RDI, X86_DS);
		set_gpr(k, X86_RAX, host_below(40) - 20);
		set_gpr(k, X86_RDX, host_below(40) - 20);
	}
}

static bool make_case(struct host_case *k)
{
	memset(&k->in.gpr, 0, sizeof(k->in.gpr));
	for (unsigned r = 0; r < (k->mode == 8 ? 16u : 8u); r++)
		set_gpr(k, r, host_make_gpr());
	k->in.rflags = 0x202 | (host_random() & X86_FL_ARITH) |
		       (host_chance(4) ? X86_FL_DF : 0);
	host_make_fpu(&k->in.fpu);
	aim_implied(k);
	if (k->insn.has_mem)
		aim_memory(k);
	if (!aim_branch(k) || bad_address(k))
		return false;
	host_make_patches(k);
	return x86_decode(&k->insn, k->code, 15, k->mode) == X86_DEC_OK &&
	       k->insn.len == k->len;
}

void host_make(struct host_case *k, unsigned mode, uint32_t at)
{
	k->mode = mode;
	k->at = at;
	k->block = false;
	do {
		while (!make_insn(k, host_engine_model()) ||
			!host_wanted(k->insn.op, mode))
			;
	} while (!make_case(k));
}
