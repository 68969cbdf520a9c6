/*
 * host-block.c - random blocks of instructions that mostly run to their end.
 *
 * A few registers are kept as pointers into the test's memory, one as a small
 * index, and those that count loops are written by nothing else; the rest is
 * anybody's.  So accesses share their base, run along a page, meet its end or a
 * read-only page now and then, and flags live and die across branches, loops
 * and calls, which is what a translator makes assumptions about.
 */
#include <string.h>

#include "host.h"

#define MAX_INSNS 48
#define MAX_DEPTH 2

/*
 * Registers by the low three bits of their number, so that REX.B and its
 * like may be random.
 */
struct plan {
	unsigned pointer[2], index;
	unsigned counter[MAX_DEPTH];
	unsigned rare; /* eighths of instructions that are of any kind */
	unsigned near; /* bytes of branches' displacements and of pointers */
	bool strings, vsib[32];
};

struct block {
	struct host_case *k;
	struct plan *p;
	unsigned insns, depth;
	bool in_func;
};

static struct plan plan; /* of the last block made */

/* ---- one instruction ---- */

/* Opcodes with a ModRM byte, those without, by map; common ones repeated. */
static const uint8_t one_modrm[] = {0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a,
	0x0b, 0x10, 0x11, 0x13, 0x18, 0x19, 0x1b, 0x20, 0x21, 0x22, 0x23, 0x28,
	0x29, 0x2a, 0x2b, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3a, 0x3b, 0x63,
	0x69, 0x6b, 0x80, 0x81, 0x83, 0x83, 0x83, 0x84, 0x85, 0x85, 0x86, 0x87,
	0x88, 0x89, 0x89, 0x89, 0x89, 0x8a, 0x8b, 0x8b, 0x8b, 0x8b, 0x8b, 0x8d,
	0x8d, 0x8d, 0x8f, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3, 0xd8,
	0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xf6, 0xf7, 0xf7, 0xfe, 0xff, 0xff};
static const uint8_t one_plain[] = {0x04, 0x05, 0x0d, 0x14, 0x1d, 0x25, 0x2c,
	0x35, 0x3c, 0x3d, 0x40, 0x47, 0x48, 0x4f, 0x50, 0x51, 0x52, 0x56, 0x57,
	0x58, 0x59, 0x5a, 0x5d, 0x5f, 0x68, 0x6a, 0x90, 0x91, 0x97, 0x98, 0x99,
	0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
	0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb4, 0xb8, 0xbb,
	0xbf, 0xc8, 0xc9, 0xf5, 0xf8, 0xf9, 0xfc, 0xfc, 0xfc, 0xfd};
static const uint8_t two_modrm[] = {0x18, 0x1f, 0x40, 0x41, 0x42, 0x43, 0x44,
	0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x90,
	0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c,
	0x9d, 0x9e, 0x9f, 0xa3, 0xa4, 0xa5, 0xab, 0xac, 0xad, 0xaf, 0xaf, 0xb0,
	0xb1, 0xb3, 0xb6, 0xb6, 0xb7, 0xb7, 0xb8, 0xba, 0xbb, 0xbc, 0xbd, 0xbe,
	0xbf, 0xc0, 0xc1, 0xc7, 0x10, 0x11, 0x28, 0x29, 0x2e, 0x2f, 0x51, 0x54,
	0x57, 0x58, 0x59, 0x5c, 0x5e, 0x6e, 0x6f, 0x70, 0x74, 0x7e, 0x7f, 0xd4,
	0xd6, 0xd7, 0xef, 0xfe};
static const uint8_t two_plain[] = {0xc8, 0xc9, 0xca, 0xcb, 0xcf};

static unsigned make_prefixes(uint8_t *p, unsigned mode)
{
	static const uint8_t seg[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	unsigned n = 0;

	if (host_chance(8))
		p[n++] = 0x66;
	if (host_chance(12))
		p[n++] = host_chance(2) ? 0xf2 : 0xf3;
	if (host_chance(24))
		p[n++] = seg[host_below(6)];
	if (host_chance(48))
		p[n++] = 0xf0;
	if (host_chance(mode == 2 ? 4 : 64))
		p[n++] = 0x67;
	if (mode == 8 && host_chance(2))
		p[n++] = 0x40 | host_below(16);
	return n;
}

/* The same with 16-bit addresses: SI, DI, BP, BX, seldom the sum of two. */
static unsigned make_modrm16(const struct plan *pl, uint8_t *p)
{
	static const uint8_t rm[8] = {0, 1, 2, 7, 3, 6, 4, 5};
	unsigned mod = host_below(3);

	p[0] = host_below(8) << 3 | rm[pl->pointer[host_below(2)]];
	if (host_chance(12))
		p[0] = (p[0] & 0x38) | host_below(8);
	if (!mod && host_chance(2)) {
		p[0] = (p[0] & 0x38) | 6; /* absolute */
		return 1;
	}
	p[0] |= mod << 6;
	p[1] = host_below(32) * 8 - 128;
	return mod ? 2 : 1;
}

/* ModRM, SIB and displacement, mostly by a pointer. */
static unsigned make_modrm32(const struct plan *pl, uint8_t *p)
{
	unsigned reg = host_below(8) << 3, mod = host_below(8), base, index;

	if (mod < 3) {
		p[0] = 0xc0 | reg | host_below(8);
		return 1;
	}
	mod = mod < 4 ? 0 : mod < 7 ? 1 : 2;
	base = host_chance(6) ? 4 : pl->pointer[host_below(2)];
	if (!mod && base == 5)
		mod = 1;
	if (!mod && host_chance(2))
		base = 5; /* RIP or absolute: the displacement follows */
	p[0] = mod << 6 | reg | base;
	p[1] = host_below(32) * 8 - 128;
	if (base != 4 && !host_chance(4))
		return mod ? 2 : 1;
	index = host_chance(2) ? pl->index : 4;
	p[0] = mod << 6 | reg | 4;
	p[2] = p[1];
	p[1] = (host_random() & 0xc0) | index << 3 | base;
	return mod ? 3 : 2;
}

/* Behind n bytes of prefixes and opcode. */
static unsigned make_modrm(
	const struct plan *pl, uint8_t *p, unsigned n, unsigned mode)
{
	bool other = memchr(p, 0x67, n);

	return n + ((mode == 2 && !other) || (mode == 4 && other)
				   ? make_modrm16(pl, p + n)
				   : make_modrm32(pl, p + n));
}

static unsigned make_common(const struct plan *pl, uint8_t *p, unsigned mode)
{
	unsigned n = make_prefixes(p, mode);

	switch (host_below(8)) {
	case 0:
	case 1: p[n++] = one_plain[host_below(sizeof(one_plain))]; return n;
	case 2:
		p[n++] = 0x0f;
		p[n++] = two_plain[host_below(sizeof(two_plain))];
		return n;
	case 3:
	case 4:
		p[n++] = 0x0f;
		p[n++] = two_modrm[host_below(sizeof(two_modrm))];
		break;
	default: p[n++] = one_modrm[host_below(sizeof(one_modrm))]; break;
	}
	return make_modrm(pl, p, n, mode);
}

static unsigned make_bytes(const struct plan *pl, uint8_t *p, unsigned mode)
{
	unsigned n = host_make_opcode(p, mode);

	return make_modrm(pl, p, n, mode);
}

/* Does it write this register, as the table or the operation says? */
static bool writes(const struct x86_insn *i, unsigned r)
{
	bool cx = i->rep_string;

	switch (i->op) {
	case X86_OP_LEAVE:
	case X86_OP_ENTER:
		if (r == X86_RBP)
			return true;
		break;
	case X86_OP_POPA: return r != X86_RSP;
	case X86_OP_PCMPISTRI:
	case X86_OP_PCMPESTRI: cx = true; break;
	default: break;
	}
	if (i->def->attr & X86_AT_IMPGPR && r == X86_RCX)
		return true;
	if (cx && r == X86_RCX)
		return true;
	if (i->def->attr & X86_AT_STRING && (r == X86_RSI || r == X86_RDI))
		return true;
	for (unsigned n = 0; n < i->nopnds; n++)
		if (i->opnd[n].kind == X86_OK_GPR && i->opnd[n].reg == r &&
			i->opnd[n].access & X86_OA_W)
			return true;
	return false;
}

/* Moves a pointer a little? */
static bool steps(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_INC:
	case X86_OP_DEC: return i->osize >= 4;
	case X86_OP_ADD:
	case X86_OP_SUB:
		return i->osize >= 4 && i->imm_size == 1 &&
		       i->opnd[0].kind == X86_OK_GPR;
	case X86_OP_LEA: return i->osize >= 4 && i->disp_size < 2;
	default: return i->def->attr & X86_AT_STRING;
	}
}

static bool keeps_plan(const struct block *b, const struct x86_insn *i)
{
	const struct plan *p = b->p;

	for (unsigned r = 0; r < X86_NGPR; r++) {
		if (!writes(i, r))
			continue;
		for (unsigned n = 0; n < b->depth; n++)
			if (p->counter[n] == r)
				return false;
		if (r == X86_RSP && !host_chance(steps(i) ? 4 : 64))
			return false;
		if ((r & 7) == p->pointer[0] || (r & 7) == p->pointer[1])
			return host_chance(steps(i) ? 2 : 16);
		if ((r & 7) == p->index)
			return host_chance(4);
	}
	return true;
}

static bool is_pointer(const struct plan *p, unsigned r)
{
	return (r & 7) == p->pointer[0] || (r & 7) == p->pointer[1] ||
	       r == X86_RSP;
}

/* Displacements are chosen here, where they are known to be such. */
static bool aim(struct block *b, const struct x86_insn *i, uint8_t *code)
{
	uint64_t to = HOST_DATA + host_below(8192) - host_segs.base[i->seg];
	uint32_t next = b->k->at + b->k->len + i->len;
	int32_t v = (int32_t)host_below(1024) - 512;

	if (!i->has_mem)
		return true;
	if (i->asize == 2 && b->k->mode != 2)
		return host_chance(8);
	if (!i->map && (i->opcode & 0xfc) == 0xa0) { /* moffs */
		memcpy(code + i->opcode_off + 1, &to, i->asize);
		return true;
	}
	if (i->base == X86_RIP)
		v = (int32_t)((uint32_t)to - next);
	else if (i->base == X86_NOREG)
		v = (int32_t)to;
	else if (!is_pointer(b->p, i->base) && i->op != X86_OP_LEA)
		return host_chance(32);
	if (i->disp_size == 4 || i->disp_size == 2)
		memcpy(code + i->disp_off, &v, i->disp_size);
	else if (i->base == X86_NOREG)
		return host_chance(32);
	if (i->index == X86_NOREG || i->vsib || i->op == X86_OP_LEA)
		return true;
	return (i->index & 7) == b->p->index || host_chance(32);
}

/* A bit string's offset reaches 256 MiB, and so the harness. */
static bool far_bit(const struct plan *p, const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		return i->has_mem && i->opnd[1].kind == X86_OK_GPR &&
		       (i->opnd[1].reg & 7) != p->index;
	default: return false;
	}
}

static bool wanted(struct block *b, const struct x86_insn *i, uint8_t *code)
{
	uint32_t attr = i->def->attr;

	if (!x86_insn_allowed(i, host_engine_model()) || host_excluded(i) ||
		(attr & X86_AT_BRANCH))
		return false;
	if ((attr & (X86_AT_PRIV | X86_AT_IOPL)) && !host_chance(256))
		return false;
	if ((attr & X86_AT_STACK) && b->in_func && !host_chance(32))
		return false;
	switch (i->op) {
	case X86_OP_INT3:
	case X86_OP_INT1:
	case X86_OP_INTO:
	case X86_OP_BOUND:
	case X86_OP_UD0:
	case X86_OP_UD1:
	case X86_OP_UD2:
	case X86_OP_POPF: /* half of what it pops has TF */
		if (!host_chance(32))
			return false;
		break;
	case X86_OP_ENTER:
		if (!host_chance(16))
			return false;
		break;
	/* FIP and FDP become canonical for the host's address width */
	case X86_OP_FXRSTOR:
		if ((i->rex & X86_REX_W) || !host_chance(16))
			return false;
		break;
	default: break;
	}
	if (far_bit(b->p, i) && !host_chance(256))
		return false;
	if (!keeps_plan(b, i))
		return false;
	if ((attr & X86_AT_STRING))
		b->p->strings = true;
	if (i->vsib)
		b->p->vsib[i->index & 31] = true;
	return aim(b, i, code);
}

static bool room(const struct block *b)
{
	return b->insns < MAX_INSNS && b->k->len + 160 < HOST_MAX_CODE;
}

static void put_insn(struct block *b)
{
	struct x86_insn i;
	uint8_t *p = b->k->code + b->k->len;
	bool rare = host_below(8) < b->p->rare;
	unsigned n, mode = b->k->mode;

	do {
		n = rare ? make_bytes(b->p, p, mode)
			 : make_common(b->p, p, mode);
		while (n < 15)
			p[n++] = host_random();
	} while (x86_decode(&i, p, 15, mode) != X86_DEC_OK ||
		 (rare && !host_wanted(i.op, mode)) || !wanted(b, &i, p));
	b->k->len += i.len;
	b->insns++;
}

/* ---- what instructions stand in ---- */

static void put(struct block *b, uint32_t bytes, unsigned n)
{
	memcpy(b->k->code + b->k->len, &bytes, n);
	b->k->len += n;
}

/* Before what has an operand of the size of pointers, which 16-bit code may
 * choose. */
static void put_opsize(struct block *b)
{
	if (b->k->mode == 2 && b->p->near == 4)
		put(b, 0x66, 1);
}

/* A branch whose displacement is patched; its end is returned. */
static unsigned put_jcc(struct block *b, unsigned cc)
{
	put_opsize(b);
	put(b, 0x800f | cc << 8, 2);
	put(b, 0, b->p->near);
	return b->k->len;
}

static unsigned put_rel(struct block *b, uint8_t opcode)
{
	put_opsize(b);
	put(b, opcode, 1);
	put(b, 0, b->p->near);
	return b->k->len;
}

static void patch(struct block *b, unsigned end, unsigned to)
{
	int32_t rel = (int32_t)(to - end);

	memcpy(b->k->code + end - b->p->near, &rel, b->p->near);
}

static void put_stmts(struct block *b, unsigned n);

/* The short form of a branch forwards, if it reaches. */
static void put_if(struct block *b)
{
	unsigned cc = host_below(16), from = b->k->len;

	put(b, 0x70 | cc, 2);
	put_stmts(b, 1 + host_below(3));
	if (b->k->len - from - 2 < 128 && !host_chance(4)) {
		b->k->code[from + 1] = b->k->len - from - 2;
		return;
	}
	b->k->len = from;
	from = put_jcc(b, cc);
	put_stmts(b, 1 + host_below(3));
	patch(b, from, b->k->len);
}

static unsigned loop_count(struct block *b)
{
	if (b->depth > 1)
		return 1 + host_below(5);
	if (host_chance(64))
		return 300 + host_below(5000);
	return host_chance(8) ? 20 + host_below(200) : 1 + host_below(8);
}

/* lea r, [r-1]; test r, r */
static void put_lea(struct block *b, unsigned r, bool wide)
{
	if (b->k->mode == 2)
		put(b, 0x67, 1);
	put(b, 0xff408d | (r & 7) * 0x900, 3);
	if (wide)
		b->k->code[b->k->len - 4] |= r >> 3 << 2;
	put_opsize(b);
	if (wide)
		put(b, 0x48 | (r >> 3) * 5, 1);
	put(b, 0xc085 | (r & 7) * 0x900, 2);
}

static void put_count(struct block *b, unsigned r)
{
	bool wide = b->k->mode == 8 && (r >= 8 || host_chance(2));
	uint8_t rex = 0x40 | (host_chance(2) ? 8 : 0) | r >> 3;

	put_opsize(b);
	if (wide)
		put(b, rex, 1);
	switch (host_below(4)) {
	case 0: put(b, 0xc8ff | (r & 7) << 8, 2); break;    /* dec */
	case 1: put(b, 0x01e883 | (r & 7) << 8, 3); break;  /* sub r, 1 */
	case 2: put(b, 0xffc083u | (r & 7) << 8, 3); break; /* add r, -1 */
	default: put_lea(b, r, wide); break;
	}
}

static void put_loop(struct block *b)
{
	unsigned r = b->p->counter[b->depth], top, end;

	b->depth++;
	put_opsize(b);
	if (r >= 8)
		put(b, 0x41, 1);
	put(b, 0xb8 | (r & 7), 1);
	put(b, loop_count(b), b->p->near);
	top = b->k->len;
	put_stmts(b, 1 + host_below(6));
	b->depth--;
	if (r == X86_RCX && b->k->len + 2 - top < 128 && host_chance(2)) {
		put(b, host_chance(8) ? 0xe0 + host_below(2) : 0xe2, 1);
		put(b, top - (b->k->len + 1), 1);
		return;
	}
	put_count(b, r);
	if (b->k->len + 2 - top < 128 && !host_chance(4)) {
		put(b, 0x75, 1);
		put(b, top - (b->k->len + 1), 1);
		return;
	}
	end = put_jcc(b, 5);
	patch(b, end, top);
}

/* The pointer moves by so much in each pass, in one of the ways there are. */
static void put_step(struct block *b, unsigned r, int by)
{
	put(b, 0x48, 1);
	switch (host_below(3)) {
	case 0: put(b, 0xc083 | r << 8, 2); break; /* add r, by */
	case 1:
		put(b, 0xe883 | r << 8, 2); /* sub r, -by */
		by = -by;
		break;
	default: put(b, 0x408d | r * 0x900, 2); break; /* lea r, [r + by] */
	}
	put(b, (uint8_t)by, 1);
}

/*
 * A loop through all pages of the test's memory, as translators check at once
 * for many passes: it begins at one end.
 */
static void put_walk(struct block *b)
{
	static const int8_t strides[] = {
		1, 2, 3, 4, 8, 12, 16, 32, 64, 100, -1, -2, -4, -8, -24, -64};
	int by = strides[host_below(sizeof(strides))];
	unsigned r = b->p->pointer[0], c = b->p->counter[0], top, end;
	unsigned passes = HOST_BYTES / (by < 0 ? -by : by);

	put(b, 0xc0c748 | r << 16, 3); /* mov r, address */
	put(b, HOST_DATA + host_below(512) + (by < 0 ? HOST_BYTES - 1024 : 0),
		4);
	if (c >= 8)
		put(b, 0x41, 1);
	put(b, 0xb8 | (c & 7), 1);
	put(b, host_chance(4) ? 1 + host_below(passes) : passes, 4);
	b->depth++;
	top = b->k->len;
	for (unsigned n = 1 + host_below(4); n--;)
		put_insn(b);
	put_step(b, r, by);
	if (host_chance(3))
		put_step(b, b->p->pointer[1], host_chance(2) ? by : 0);
	if (host_chance(3))
		put_insn(b);
	b->depth--;
	put_count(b, c);
	end = put_jcc(b, 5);
	patch(b, end, top);
}

/* Address of code into a register, for an indirect branch; as put_rel32. */
static unsigned put_address(struct block *b, unsigned r)
{
	put_opsize(b);
	if (b->k->mode == 8)
		put(b, 0x058d48 | r << 19, 3); /* lea r, [rip + disp32] */
	else
		put(b, 0xb8 | r, 1);
	put(b, 0, b->p->near);
	return b->k->len;
}

static void patch_address(struct block *b, unsigned end, unsigned to)
{
	uint32_t v = b->k->at + to - host_segs.base[X86_CS];

	if (b->k->mode == 8)
		patch(b, end, to);
	else
		memcpy(b->k->code + end - b->p->near, &v, b->p->near);
}

static void put_ret(struct block *b)
{
	put_opsize(b);
	if (!host_chance(8)) {
		put(b, 0xc3, 1);
		return;
	}
	put(b, 0xc2, 1);
	put(b, host_below(4) * 8, 2);
}

/* call f; ...; jmp over; f: ...; ret; over: */
static void put_call(struct block *b)
{
	bool indirect = host_chance(3), was = b->in_func;
	unsigned call, over, r = host_below(3) ? X86_RAX : X86_RDX;

	call = indirect ? put_address(b, r) : put_rel(b, 0xe8);
	if (indirect)
		put_opsize(b);
	if (indirect)
		put(b, 0xd0ff | r << 8, 2);
	put_stmts(b, 1 + host_below(2));
	over = put_rel(b, 0xe9);
	if (indirect)
		patch_address(b, call, b->k->len);
	else
		patch(b, call, b->k->len);
	b->in_func = true;
	put_stmts(b, 1 + host_below(4));
	b->in_func = was;
	put_ret(b);
	patch(b, over, b->k->len);
}

/* jmp over bytes that are never reached, directly or by a register */
static void put_jump(struct block *b)
{
	bool indirect = host_chance(3);
	unsigned junk = host_below(8);
	unsigned at = indirect ? put_address(b, X86_RAX) : put_rel(b, 0xe9);

	if (indirect)
		put_opsize(b);
	if (indirect)
		put(b, 0xe0ff, 2);
	while (junk--) /* one-byte instructions, for who decodes on */
		put(b, "\x90\xcc\xf4\x50\xc3\x9c\xfd\x6f"[host_below(8)], 1);
	if (indirect)
		patch_address(b, at, b->k->len);
	else
		patch(b, at, b->k->len);
}

static void put_stmts(struct block *b, unsigned n)
{
	while (n-- && room(b)) {
		switch (host_below(24)) {
		case 0:
		case 1:
		case 2:
		case 3: put_if(b); break;
		case 4:
		case 5:
			if (b->depth < MAX_DEPTH)
				put_loop(b);
			break;
		case 6: put_call(b); break;
		case 7: put_jump(b); break;
		case 8:
			if (b->k->mode == 8 && !b->depth)
				put_walk(b);
			break;
		default: put_insn(b); break;
		}
	}
}

/* ---- plan and inputs ---- */

static void make_plan(struct plan *p, unsigned mode)
{
	static const uint8_t some[4] = {X86_RBX, X86_RBP, X86_RSI, X86_RDI};
	unsigned turn = host_below(4);

	memset(p, 0, sizeof(*p));
	p->pointer[0] = some[turn];
	p->pointer[1] = some[(turn + 1) & 3];
	p->index = host_below(3);
	p->rare = 1 + host_below(7);
	p->near = mode == 2 && !host_chance(3) ? 2 : 4;
	for (unsigned n = 0; n < MAX_DEPTH; n++) {
		p->counter[n] = some[(turn + 2 + n) & 3];
		if (mode == 8 && host_chance(2))
			p->counter[n] |= 8;
	}
	if (host_chance(3) && p->index != X86_RCX)
		p->counter[host_below(MAX_DEPTH)] = X86_RCX;
}

static uint64_t make_pointer(unsigned r, unsigned mode)
{
	unsigned seg = r == X86_RSP || r == X86_RBP ? X86_SS : X86_DS;
	uint64_t a = HOST_DATA + 1024 + host_below(6 * 1024) / 64 * 64;

	if (r == X86_RSP)
		a = HOST_DATA + host_below(8192) / 8 * 8;
	else if (host_chance(6))
		a = host_make_address();
	/* the string's other end, now and then */
	if (r == X86_RDI && host_chance(3))
		seg = X86_ES;
	a -= host_segs.base[seg];
	return mode == 2 && !host_chance(8) ? a & 0xffff : a;
}

static uint64_t make_register(const struct plan *p, unsigned r, unsigned mode)
{
	if (r == X86_RSP || (r & 7) == p->pointer[0] ||
		(r & 7) == p->pointer[1])
		return make_pointer(r, mode);
	if ((r & 7) == p->index)
		return host_below(64) - (host_chance(4) ? 32u : 0u);
	return host_make_gpr();
}

static bool near_code(uint64_t v)
{
	return (uint32_t)v + 0x3000 >= HOST_CODE &&
	       (uint32_t)v < HOST_CTL + 0x4000;
}

void host_make_block_inputs(struct host_case *k)
{
	unsigned n = k->mode == 8 ? 16 : 8;

	memset(k->in.gpr, 0, sizeof(k->in.gpr));
	for (unsigned r = 0; r < n; r++)
		do {
			k->in.gpr[r] = make_register(&plan, r, k->mode);
			if (k->mode != 8)
				k->in.gpr[r] = (uint32_t)k->in.gpr[r];
		} while (near_code(k->in.gpr[r]));
	if (plan.strings) {
		k->in.gpr[X86_RSI] = make_pointer(X86_RSI, k->mode);
		k->in.gpr[X86_RDI] = make_pointer(X86_RDI, k->mode);
		if (plan.index != X86_RCX)
			k->in.gpr[X86_RCX] = host_below(100);
	}
	if (k->mode != 8)
		for (unsigned r = 0; r < n; r++)
			k->in.gpr[r] = (uint32_t)k->in.gpr[r];
	k->in.rflags = 0x202 | (host_random() & X86_FL_ARITH) |
		       (host_chance(12) ? X86_FL_DF : 0);
	host_make_fpu(&k->in.fpu);
	for (unsigned v = 0; v < 32; v++)
		for (unsigned at = 0; plan.vsib[v] && at < 64; at += 4) {
			uint32_t lane = host_below(512);

			memcpy(k->in.fpu.zmm[v] + at, &lane, 4);
		}
	host_make_patches(k);
}

void host_make_block(struct host_case *k, unsigned mode)
{
	struct block b = {.k = k, .p = &plan};

	make_plan(&plan, mode);
	k->mode = mode;
	k->len = 0;
	k->block = true;
	/* every fourth near the end of the page */
	k->at = host_chance(4) ? HOST_CODE + 4096 - host_below(64) : HOST_INSN;
	memset(&k->insn, 0, sizeof(k->insn));
	put_stmts(&b, 2 + host_below(9));
}
